# SPDX-License-Identifier: Apache-2.0
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.hw.exports.files import export_files


def test_names_begin_with_the_designs(small):
    files = export_files(small.manifest)
    ends = {"core", "h", "rdl", "svd"}
    assert {name.removeprefix("asr.") for name in files} >= ends
    assert all(name.startswith("asr") and text.endswith("\n") for name, text in files.items())
    for name in ("asr_edalize.py", "asr_litex.py", "asr_pynq.py"):
        compile(files[name], name, "exec")


def test_a_design_with_an_sdram_is_refused(small):
    ports = [*small.manifest["ports"], {"name": "sdram_cke", "width": 1, "direction": "o"}]
    with pytest.raises(UserError, match="integration: the wrappers do not connect an SDRAM's"):
        export_files(small.manifest | {"ports": ports})
