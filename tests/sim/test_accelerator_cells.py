# SPDX-License-Identifier: Apache-2.0
"""Every cell in Verilator: networks loaded one by one into a design of some kinds, or of all."""

import fcntl
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network, make_path
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim import execute
from deltaloom.sim.testing.accelerator import check_accelerator, load_network
from deltaloom.sim.testing.kinds import FEW

SIZES = {1: 7, 2: 5}
"""Units by the number of layers of a cell."""
INPUTS = 3


def with_wide_candidate(layer, rng):
    """The candidate's recurrent path, or that of a first gate, on its own with 16 bits."""
    wide = layer.cell.candidate or layer.cell.gates[0]
    source = [s for s, gates in layer.cell.feeds.items() if wide in gates][-1]
    paths = []
    for path in layer.paths:
        if path.source != source:
            paths.append(path)
            continue
        kept = [n for n, gate in enumerate(path.gates) if gate != wide]
        if kept:
            paths.append(
                replace(
                    path,
                    gates=tuple(path.gates[n] for n in kept),
                    weights=path.weights[kept],
                    mult=path.mult[kept],
                    shift=path.shift[kept],
                )
            )
        bits = {"weight_bits": 16, "activation_bits": 16, "threshold": 300}
        paths.append(make_path(rng, source, (wide,), layer.units, path.columns, **bits))
    return replace(layer, paths=tuple(paths))


def make(kind, layers, skipped):
    """1 or 2 layers of `kind`, behind one that gives it an input where it cannot be the first."""
    units = SIZES[layers]
    front = [("linear", units)] if kind == "sru" else []
    options = {"seed": layers, "threshold": 2, "wide_exponent": 3 * skipped}
    network = make_network(front + [(kind, units)] * layers, INPUTS, **options)
    if not skipped:
        return network
    rng = np.random.default_rng(layers)
    changed = [
        with_wide_candidate(layer, rng) if layer.kind == kind else layer for layer in network.layers
    ]
    return replace(network, layers=tuple(changed))


NETWORKS = {
    f"{kind}-{layers}-{'skipped' if skipped else 'uniform'}": make(kind, layers, skipped)
    for kind in CELLS
    for layers in SIZES
    for skipped in (False, True)
}
ALL = "gru-7 linear-5 sru-5 lstm_cifg-3 ligru-7 sru0-1 sru4-9 gru_before-3 lstm-5"
SHAPE = [(kind, int(units)) for kind, units in (word.split("-") for word in ALL.split())]
NETWORKS["all"] = make_network(SHAPE, INPUTS, seed=9)
NETWORKS["bidirectional"] = make_network(
    [
        Shape(kind="lstm", units=5, both=True, projection=3),
        Shape(kind="lstm_peephole", units=3, both=True, shared=True),
        Shape(kind="gru_before", units=4, both=True, initial=True),
        Shape(kind="sru4", units=7, backward=True, initial=True),
    ],
    INPUTS,
    seed=10,
    threshold=1,
)
NETWORKS["bidirectional-outputs"] = make_network(
    [Shape(kind="ligru", units=5, both=True), Shape(kind="gru", units=3, both=True, shared=True)],
    INPUTS,
    seed=11,
)
SPECIAL = ("all", "bidirectional", "bidirectional-outputs")
KINDS = {
    "few": FEW,
    "all": [kind for kind in CELLS if not CELLS[kind].takes_means],
    "means": [kind for kind in CELLS if CELLS[kind].takes_means],
}
KINDS["two means"] = ["gru_norm_xh", "layer_norm"]
QUICK = [("few", f"{kind}-2-skipped") for kind in FEW] + [("few", name) for name in SPECIAL]
QUICK += [("two means", f"{kind}-2-skipped") for kind in KINDS["two means"]]
"""What runs in small designs: each cell in two layers with wide paths, and all that is special."""
SLOW = [
    (design, name)
    for design in ("all", "means")
    for name in NETWORKS
    if name.split("-")[0] in KINDS[design] or (name in SPECIAL and design == "all")
]


@pytest.fixture(scope="module")
def design(tmp_path_factory, request):
    """(Verilog, config, workdir) of a design without an image, of the cells of KINDS[param].

    Test processes that run beside each other share it: Verilator takes most of a minute.
    """
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    folder = folder / f"cells-{request.param.replace(' ', '-')}"
    folder.mkdir(exist_ok=True)
    kinds = KINDS[request.param]
    special = SPECIAL if "means" not in request.param else ()
    held = [net for name, net in NETWORKS.items() if name in special or name.split("-")[0] in kinds]
    config = derive_config(*held, word_bits=48)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        verilog = folder / "rtl" / "deltaloom.v"
        if not verilog.exists():
            generate(held[0], folder / "rtl", config=config, baked=False)
        execute.build([verilog], "verilator", folder, waves=False)
    return verilog, config, folder


@pytest.mark.parametrize(
    ("design", "name"),
    QUICK + [pytest.param(*each, marks=pytest.mark.slow) for each in SLOW],
    indirect=["design"],
)
def test_cells(design, name):
    verilog, config, folder = design
    network = NETWORKS[name]
    lengths = (4, 1, 3)
    frames = [make_frames(INPUTS, n, seed=n, smooth=0.6) for n in lengths]
    check_accelerator(
        verilog,
        network,
        frames,
        workdir=folder,
        simulator="verilator",
        seed=len(name),
        **load_network(network, config),
    )


@pytest.mark.parametrize(
    "design",
    [
        "few",
        "two means",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("all", "means")),
    ],
    indirect=True,
)
def test_the_design_has_its_cells_and_no_number_that_is_round(design):
    _, config, folder = design
    kinds = KINDS[folder.name.removeprefix("cells-").replace("-", " ")]
    assert sorted(config.cells) == sorted(s.name for kind in kinds for s in CELLS[kind].stages)
    assert config.weight_bits == (8, 16)
    assert (config.lanes, config.drain_rows) == (6, 3)
