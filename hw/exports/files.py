# SPDX-License-Identifier: Apache-2.0
"""All exports of a design, by file name."""

from collections.abc import Collection, Mapping
from typing import Any

from ...golden.errors import UserError
from .axi_dma import dma_wrapper
from .c_header import c_header
from .fusesoc import core_file, edalize_example
from .litex import litex_module
from .pynq import pynq_driver
from .svd import svd
from .systemrdl import systemrdl


def export_files(manifest: Mapping[str, Any], beside: Collection[str] = ()) -> dict[str, str]:
    """Texts by file name.

    beside: names of other files that are written; the core file has the benches and waivers.

    Raises UserError for a design with weights in SDRAM.
    """
    name = manifest["top"]
    if any(port["name"].startswith("sdram") for port in manifest["ports"]):
        raise UserError(
            "integration: the wrappers do not connect an SDRAM's pins; leave the weights in block "
            "RAM, or the integration out"
        )
    return {
        f"{name}.core": core_file(manifest, beside),
        f"{name}_edalize.py": edalize_example(manifest),
        f"{name}.h": c_header(manifest),
        f"{name}.rdl": systemrdl(manifest),
        f"{name}.svd": svd(manifest),
        f"{name}_litex.py": litex_module(manifest),
        f"{name}_dma.v": dma_wrapper(manifest),
        f"{name}_pynq.py": pynq_driver(manifest),
    }
