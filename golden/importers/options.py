# SPDX-License-Identifier: Apache-2.0
"""What a user says of a checkpoint that the file does not tell."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a file of tensors does not tell.

    candidate_scale: the factor of LiGRU's candidate at test time, PyTorch-Kaldi's 1 - dropout:
    one for all such layers or one for each; none: 1.
    without_skip: layers of the package `sru` were made with has_skip_term=False.
    reset: "after" or "before", where a GRU's tensors fit both.
    bidirectional: layers of `sru`, and LiGRU and PyTorch-Kaldi layers that are a file's last, run
    in both directions.
    """

    candidate_scale: tuple[float, ...] = ()
    without_skip: bool = False
    reset: str = ""
    bidirectional: bool = False


NOTHING_SAID = ImportOptions()
