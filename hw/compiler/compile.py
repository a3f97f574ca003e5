# SPDX-License-Identifier: Apache-2.0
"""From a quantized network to the image that an accelerator runs."""

from collections.abc import Sequence

from ..cells.catalogue import reads
from ..config import AcceleratorConfig
from ..image import Image, ListInfo
from .fit import check_fits
from .networks import AnyNetwork
from .pack import (
    constant_word,
    network_word,
    norm_words,
    program_words,
    reference_words,
    row_words,
    stage_word,
    state_words,
    sum_words,
    sweep_words,
    vector_words,
    weight_words,
)
from .paths import PathUse
from .plan import Plan


def compile_network(network: AnyNetwork, config: AcceleratorConfig) -> Image:
    """The image of `network` for `config`.

    Raises UserError that names the parameter, what is needed, what there is, where it does not fit.
    """
    return compile_plan(Plan.of(network, config))


def compile_plan(plan: Plan) -> Image:
    """The image of a network that is already planned; for errors see `compile_network`."""
    check_fits(plan)
    config, program = plan.config, plan.passes
    contents = {
        "weights": [word for p in program if not p.shares for word in weight_words(plan, p)],
        "rows": [word for p in program for word in row_words(plan, p)],
        "program": program_words(plan),
        "layers": [stage_word(plan, stage) for stage in plan.stages],
        "network": [network_word(plan, sweep) for sweep in plan.sweeps],
    }
    layers = [*zip(plan.network.layers, plan.state_words, strict=True)]
    if config.buffered:
        contents["sweeps"] = sweep_words(plan)
    if config.initial:
        contents["initial_states"] = [
            w for layer, count in layers for w in state_words(layer, count)
        ]
        contents["initial_references"] = reference_words(plan)
        contents["initial_sums"] = [word for p in program for word in sum_words(plan, p)]
    if reads(config.cells, "vectors"):
        contents["vectors"] = [w for layer, count in layers for w in vector_words(layer, count)]
    if reads(config.cells, "constants"):
        contents["constants"] = [constant_word(plan, stage) for stage in plan.stages]
    if reads(config.cells, "norm"):
        contents["norm_values"], contents["norm_gates"] = norm_words(plan)
    lists = tuple(_list_info(users) for users in plan.lists)
    return Image(contents=contents, lists=lists, state_bases=plan.state_bases)


def _list_info(users: Sequence[PathUse]) -> ListInfo:
    """A list, with the rows of all stages that use it."""
    first = users[0]
    return ListInfo(
        path=first.name,
        columns=first.path.most_events,
        rows=sum(use.path.rows for use in users),
        threshold=first.path.threshold,
    )
