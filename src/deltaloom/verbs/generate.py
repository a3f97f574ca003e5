# SPDX-License-Identifier: Apache-2.0
"""`deltaloom generate`: a quantized network in; Verilog, memory files and a manifest out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..golden.writing import check_folder
from ..terminal.accelerator_options import (
    add_lanes,
    add_longest,
    add_weight_memory,
    memory_options,
)
from ..terminal.console import stdout
from ..terminal.document import write_document
from ..terminal.options import add_network
from ..terminal.progress import progress_bars
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.evaluation.networks import AnyNetwork
    from ..hw.config import AcceleratorConfig
    from ..hw.generate import Design

BENCH_FRAMES = 20
"""Frames that the benches of --testbench run."""


class Generate:
    """Derives the smallest accelerator that holds the network, writes it, says what it is."""

    help = "generate the accelerator of a quantized network: Verilog, memory files, manifest"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        add_network(parser)
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="DIR",
            required=True,
            default=argparse.SUPPRESS,
            help="folder to write to: NAME.v, one .hex file per memory, and manifest.json (ports, "
            "registers, memory map)",
        )
        parser.add_argument(
            "--name",
            metavar="NAME",
            default="deltaloom",
            help="name of the top module; the others' begin with it, too, so that accelerators of "
            "different names go into one design",
        )
        add_weight_memory(parser, clock=True)
        add_lanes(parser)
        add_longest(parser)
        parser.add_argument(
            "--drain-rows",
            type=int,
            metavar="N",
            default=argparse.SUPPRESS,
            help="rows rescaled per cycle, a divisor of the lanes; fewer take less area, and "
            "cycles where a step has few events (default: the largest divisor up to 8)",
        )
        parser.add_argument(
            "--norm-lanes",
            type=int,
            metavar="N",
            default=argparse.SUPPRESS,
            help="values that an integer-only LSTM's layer normalization takes per cycle, a power "
            "of two; more take fewer cycles where a step has few events, and eleven multipliers "
            "each (default: 1)",
        )
        parser.add_argument(
            "--no-bake",
            action="store_true",
            default=argparse.SUPPRESS,
            help="leave the memories empty; the image is then loaded over AXI4-Lite "
            "(default: the Verilog holds the image)",
        )
        parser.add_argument(
            "--integration",
            action="store_true",
            default=argparse.SUPPRESS,
            help="write what other people's systems take, too: a FuseSoC core, an Edalize example, "
            "the registers as C header, SystemRDL and SVD, a LiteX module, and a wrapper and a "
            "PYNQ driver for an AXI DMA (docs/integration.md; default: none)",
        )
        parser.add_argument(
            "--testbench",
            type=Path,
            metavar="D",
            default=argparse.SUPPRESS,
            help=f"write two benches to start from, too, NAME_tb.v and test_NAME.py (cocotb), "
            f"with {BENCH_FRAMES} frames of this data set, .npz or .npy, and the words that must "
            "come; and NAME.vlt, Verilator's waivers for its linter (default: none)",
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.evaluation.networks import load_network
        from ..hw.generate import check_name, generate
        from ..sim.lint import waivers

        check_name(args.name)
        check_folder("-o", args.output)
        network = load_network(args.network)
        config = _config(args, network)
        benches = _testbench(args, network, config)
        with progress_bars() as progress:
            progress("Verilog", 0)
            design = generate(
                network,
                args.output,
                config=config,
                baked="no_bake" not in args,
                name=args.name,
                more=benches | (waivers(args.name) if "integration" in args else {}),
                integration="integration" in args,
            )
        _print(network, config, design)
        if benches:
            _print_commands(args.name, design)
        write_document(args, _plain(network, config, design) | _commands(args.name, benches))


def _config(args: argparse.Namespace, network: "AnyNetwork") -> "AcceleratorConfig":
    """The smallest accelerator that holds the network."""
    from ..hw.compiler.fit import derive_config

    try:
        return derive_config(
            network,
            **memory_options(args),
            drain_rows=checked_drain_rows(args),
            norm_lanes=getattr(args, "norm_lanes", None),
            lane_kind=args.lanes,
            frames=args.longest,
        )
    except UserError as error:
        field, option = "norm_lanes:", "--norm-lanes:"
        if not str(error).startswith(field):
            raise
        raise UserError(option + str(error).removeprefix(field)) from None


def _testbench(
    args: argparse.Namespace, network: "AnyNetwork", config: "AcceleratorConfig"
) -> dict[str, str]:
    """The benches of --testbench by file name, none without it."""
    from ..golden.data import Dataset
    from ..sim.frames import choose_frames
    from ..sim.simulate import check_lengths
    from ..sim.testbench import bench_files

    if "testbench" not in args:
        return {}
    if config.sdram:
        raise UserError(
            "--testbench: its design needs the weights in it; leave --weight-memory out, or use "
            "deltaloom simulate"
        )
    if "no_bake" in args:
        raise UserError("--testbench: its design needs the network in it; leave --no-bake out")
    from ..hw.compiler.fit import longest_sequence

    frames = choose_frames(network, Dataset.load(args.testbench), BENCH_FRAMES)
    check_lengths(frames, longest_sequence(network, config))
    return bench_files(network, config, frames, args.name)


def _plain(network: "AnyNetwork", config: "AcceleratorConfig", design: "Design") -> dict[str, Any]:
    """What is printed, as plain data."""
    from ..hw.compiler.fit import longest_sequence
    from ..hw.image import memories

    files = zip(memories(config), design.memories, strict=True)
    names = ("lane_kind", "lanes", "word_bits", "weight_bits", "activation_bits", "drain_rows")
    return {
        "output": design.verilog.parent,
        "verilog": design.verilog.name,
        "manifest": design.manifest.name,
        "memories": [
            {"name": each.name, "words": each.depth, "word_bits": each.width, "file": file.name}
            for each, file in files
        ],
        "cells": config.cells,
        "inputs": network.inputs,
        "outputs": network.outputs,
        **{name: getattr(config, name) for name in (*names, "sum_bits")},
        "longest_sequence": longest_sequence(network, config),
    }


def _commands(name: str, benches: dict[str, str]) -> dict[str, Any]:
    from ..sim.testbench import commands

    return {"benches": [*benches], "commands": list(commands(name))} if benches else {}


def _print_commands(name: str, design: "Design") -> None:
    from rich.console import Console
    from rich.markup import escape

    from ..sim.testbench import commands

    console = Console(highlight=False)
    folder = escape(str(design.verilog.parent))
    console.print(f"benches and lint, to run in {folder}:", soft_wrap=True)
    for command in commands(name):
        console.print(f"  {escape(command)}", soft_wrap=True)


def checked_drain_rows(args: argparse.Namespace) -> int | None:
    """--drain-rows, or None where it is not given."""
    rows: int | None = getattr(args, "drain_rows", None)
    if rows is not None and rows < 1:
        raise UserError(f"drain rows: {rows} is not possible, it must be at least 1")
    return rows


def _print(network: "AnyNetwork", config: "AcceleratorConfig", design: "Design") -> None:
    from rich.markup import escape
    from rich.table import Table

    from ..hw.compiler.fit import longest_sequence
    from ..hw.image import memories

    console = stdout()
    memory_table = Table("memory")
    for heading in ("words", "bits of a word", "kbit", "file"):
        memory_table.add_column(heading, justify="left" if heading == "file" else "right")
    total = 0
    for memory, file in zip(memories(config), design.memories, strict=True):
        bits = memory.depth * memory.width
        total += bits
        numbers = (f"{memory.depth:,}", f"{memory.width:,}", f"{bits / 1000:,.1f}")
        memory_table.add_row(memory.name, *numbers, escape(file.name))
    memory_table.add_section()
    memory_table.add_row("all", "", "", f"{total / 1000:,.1f}", "")
    print_table(memory_table)

    facts = Table.grid(padding=(0, 2))
    facts.add_column()
    facts.add_column(justify="right")
    rows = (
        ("cells", ", ".join(config.cells)),
        ("inputs, outputs", f"{network.inputs}, {network.outputs}"),
        (f"{config.lane_kind} lanes", f"{config.lanes}"),
        ("weight word", f"{config.word_bits} bits"),
        ("weights", f"{', '.join(map(str, config.weight_bits))} bits"),
        ("activations, up to", f"{config.activation_bits} bits"),
        ("rows drained per cycle", f"{config.drain_rows}"),
        ("accumulator", f"{config.sum_bits} bits"),
    )
    for name, value in rows:
        facts.add_row(name, value)
    if (longest := longest_sequence(network, config)) is not None:
        facts.add_row("longest sequence", f"{longest:,} frames")
    print_table(facts)
    folder = design.verilog.parent
    console.print(
        f"{design.verilog.name}, {design.manifest.name} and {len(design.memories)} memory files "
        f"-> {escape(str(folder))}",
        soft_wrap=True,
    )
