# SPDX-License-Identifier: Apache-2.0
"""The whole simulation flow, on a stand-in for the accelerator whose network is the identity."""

import json
import pathlib

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from deltaloom.golden.models.network import Layer, Network, Path, Quantizer
from deltaloom.golden.models.synthetic import make_frames
from deltaloom.hw.bus.axi import AxiLite, AxiLiteSignature, AxiStreamSignature, flat_ports
from deltaloom.hw.bus.image_loader import ImageLoader
from deltaloom.hw.bus.register_map import Window, memory_map, place_windows
from deltaloom.hw.bus.registers import Registers
from deltaloom.sim.simulate import simulate
from deltaloom.sim.stimulus import FULL_SPEED, Stimulus

UNITS = 5
WINDOWS = (Window(name="bias", depth=UNITS, width=20), Window(name="other", depth=3, width=70))
SIMULATORS = ("icarus", "verilator")


def identity(threshold=0, bias=None):
    """A network whose outputs are its inputs' references, plus a bias."""
    path = Path(
        source="x",
        gates=("y",),
        weights=np.eye(UNITS, dtype=np.int64)[None],
        weight_bits=8,
        quantizer=Quantizer(bits=16, mult=1, shift=0),
        mult=np.ones((1, UNITS), np.int64),
        shift=np.zeros(1, np.int64),
        threshold=threshold,
    )
    bias = np.zeros((1, UNITS), np.int64) if bias is None else np.array([bias])
    layer = Layer(name="echo", kind="linear", paths=(path,), bias=bias, h_exponent=2)
    return Network(layers=(layer,), x_exponent=2)


class StandIn(wiring.Component):
    """The accelerator's ports and registers around the identity network.

    fault: what is wrong with it, or "".
    """

    def __init__(self, threshold, fault=""):
        self.threshold = threshold
        self.fault = fault
        super().__init__(
            {
                "s_axis": In(AxiStreamSignature(16, user=2)),
                "m_axis": Out(AxiStreamSignature(16)),
                "s_axil": In(AxiLiteSignature()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.axi = axi = AxiLite()
        m.submodules.registers = registers = Registers(
            thresholds=[self.threshold], state_words=UNITS, lanes=UNITS
        )
        m.submodules.loader = loader = ImageLoader(WINDOWS)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=17, depth=4)
        for name, member in AxiLiteSignature().members.items():
            inner, outer = getattr(axi.axil, name), getattr(self.s_axil, name)
            if self.fault == "strobe" and name == "wstrb":
                m.d.comb += inner.eq(15)
            else:
                m.d.comb += inner.eq(outer) if member.flow == Out else outer.eq(inner)
        wiring.connect(m, axi.bus, registers.bus)
        wiring.connect(m, registers.image, loader.image)

        # A reset leaves what was loaded, as in a memory.
        bias = Array(Signal(signed(20), name=f"bias_{n}", reset_less=True) for n in range(UNITS))
        reference = Array(Signal(signed(16), name=f"reference_{n}") for n in range(UNITS))
        states = Array(Signal(32, name=f"state_{n}") for n in range(UNITS))
        threshold = Signal(16, init=self.threshold)
        index, new = Signal(range(UNITS)), Signal()
        frames, words = Signal(16), Signal(16)
        accept, fresh, fires = Signal(), Signal(), Signal()
        x, old, sent = Signal(signed(16)), Signal(signed(16)), Signal(signed(16))
        y, full = Signal(signed(16)), Signal(signed(21))
        with m.If(loader.loads["bias"].en):
            m.d.sync += bias[loader.loads["bias"].addr].eq(loader.loads["bias"].data)
        with m.If(registers.set_threshold.en):
            m.d.sync += threshold.eq(registers.set_threshold.value)

        stalled = (words >= 13) if self.fault == "stall" else 0
        last = index == UNITS - 1
        m.d.comb += [
            self.s_axis.tready.eq(fifo.w_rdy & ~stalled),
            accept.eq(self.s_axis.tvalid & self.s_axis.tready),
            x.eq(self.s_axis.tdata),
            fresh.eq(Mux(index == 0, self.s_axis.tuser[0] | registers.new_sequence, new)),
            old.eq(Mux(fresh, 0, reference[index])),
            fires.eq(((x - old) > threshold) | ((old - x) > threshold)),
            sent.eq(Mux(fires, x, old)),
            full.eq(sent + bias[index]),
            y.eq(Mux(full > 32767, 32767, Mux(full < -32768, -32768, full))),
            fifo.w_en.eq(accept),
            registers.dense_macs.eq(UNITS * UNITS),
            registers.beat.eq(accept & fires),
            registers.macs_done.eq(Mux(accept & fires, UNITS, 0)),
            registers.list_events.eq(accept & fires),
            registers.frame_error.eq(accept & (self.s_axis.tlast != last)),
            registers.new_sequence_taken.eq(accept & (index == 0)),
            registers.state.ready.eq(1),
        ]
        wrong = {
            "word": (frames == 7) & (index == 3),
            "state": 0,
        }.get(self.fault, 0)
        end = last
        if self.fault == "tlast":
            end = Mux(frames == 6, index == 1, last)
        m.d.comb += fifo.w_data.eq(Cat(y ^ wrong, end))
        with m.If(accept):
            m.d.sync += [
                index.eq(Mux(last, 0, index + 1)),
                frames.eq(frames + last),
                words.eq(words + 1),
                new.eq(fresh),
                reference[index].eq(sent),
                states[index].eq(Cat(y ^ (self.fault == "state"), x)),
            ]
        m.d.sync += registers.state.data.eq(states[registers.state.addr])
        if self.fault == "events":
            m.d.comb += registers.list_events.eq(accept & (fires | (words == 20)))
        if self.fault == "surplus":
            more = Signal(5)
            with m.If((words == 2 * UNITS * 10) & ~more.all()):
                m.d.sync += more.eq(more + 1)
                m.d.comb += [fifo.w_en.eq(more == 20), fifo.w_data.eq(1 << 16)]

        # Out, and busy: from a frame's first word until its last one has left.
        taken = Signal()
        inside = Signal(8)
        m.d.comb += [
            self.m_axis.tvalid.eq(fifo.r_rdy),
            Cat(self.m_axis.tdata, self.m_axis.tlast).eq(fifo.r_data),
            fifo.r_en.eq(self.m_axis.tready),
            taken.eq(self.m_axis.tvalid & self.m_axis.tready & self.m_axis.tlast),
            registers.step_done.eq(taken),
            registers.busy.eq((inside != 0) | (index != 0)),
        ]
        m.d.sync += inside.eq(inside + (accept & last) - taken)
        return m


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """(threshold, fault) -> Verilog file with its manifest; each is generated once."""
    made = {}

    def generate(threshold=0, fault=""):
        key = (threshold, fault)
        if key not in made:
            folder = tmp_path_factory.mktemp("design")
            top = StandIn(threshold, fault)
            file = folder / "deltaloom.v"
            file.write_text(verilog.convert(top, name="deltaloom", ports=flat_ports(top)))
            manifest = {
                "word_bits": 8 * UNITS,
                "lists": [{"index": 0, "path": "echo.x", "columns": UNITS, "threshold": threshold}],
                "layers": [{"name": "echo", "cell": "linear", "units": UNITS, "state_base": 0}],
                "memories": memory_map(WINDOWS),
            }
            (folder / "manifest.json").write_text(json.dumps(manifest))
            made[key] = file
        return made[key]

    return generate


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """One for the module: a design that was built stays built."""
    return tmp_path_factory.mktemp("simulation")


FRAMES = [make_frames(UNITS, 10, seed=1, smooth=0.9), make_frames(UNITS, 10, seed=2, smooth=0.9)]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("seed", range(2))
def test_equal_with_random_pauses(make, workdir, simulator, seed):
    seen = []
    report = simulate(
        make(),
        identity(),
        FRAMES,
        workdir=workdir,
        simulator=simulator,
        stimulus=Stimulus(seed=seed),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert report.ok, str(report)
    assert (report.sequences, report.steps, report.words, report.states) == (2, 20, 100, 5)
    assert report.counters["STEPS"] == 20
    assert report.counters["MACS_DENSE"] == 20 * UNITS * UNITS
    assert report.counters["MACS_DONE"] == UNITS * report.events["echo.x"] > 0
    assert report.counters["CYCLES"] > 100
    assert len(report.frame_ends) == 20
    assert seen[-1] == (20, 20)
    assert str(report) == (
        f"{simulator}: 100 output words and 5 state words equal golden over 20 steps of 2 sequences"
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_full_speed_measures_cycles(make, workdir, simulator):
    """The stand-in takes a word a cycle, so a step takes as many cycles as it has words."""
    report = simulate(
        make(), identity(), FRAMES, workdir=workdir, simulator=simulator, stimulus=FULL_SPEED
    )
    assert report.ok, str(report)
    assert report.steady_cycles_per_step == UNITS
    assert UNITS <= report.cycles_per_step <= UNITS + 0.5
    assert report.ideal_cycles == report.events["echo.x"]
    assert report.utilisation == report.ideal_cycles_per_step / report.cycles_per_step


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_all_options_together(make, workdir, simulator):
    """An image over the bus, a threshold at run time, sequences by register, a reset amid."""
    bias = [1, -2, 300000, -300000, 7]
    place = place_windows(WINDOWS)[0]
    report = simulate(
        make(),
        identity(bias=bias),
        FRAMES,
        workdir=workdir,
        simulator=simulator,
        thresholds={"echo.x": 2000},
        image=list(place.encode(bias)),
        stimulus=Stimulus(new_sequence="register", reset_after=7),
    )
    assert report.ok, str(report)
    assert 20 < report.events["echo.x"] < 90


def test_thresholds_of_the_image(make, workdir):
    """A design made for another threshold gets this network's with the image."""
    report = simulate(
        make(5000),
        identity(threshold=1000),
        FRAMES,
        workdir=workdir,
        simulator="icarus",
        image=list(place_windows(WINDOWS)[0].encode([0] * UNITS)),
    )
    assert report.ok, str(report)


FAULTS = [
    ("strobe", "register 0x001001 (write accepted) (after 0 equal"),
    ("word", "output at sequence 0, step 7, unit 3: got {bad}, expected {good} (after 38 equal"),
    ("tlast", "frame length at sequence 0, step 6: got 2, expected 5 (after 32 equal"),
    ("stall", "stall at sequence 0, step 2 (after 10 equal"),
    ("surplus", "surplus output (after 100 equal"),
    ("state", "state h echo at sequence 1, step 9, unit 0: got "),
    ("events", "counter EVENTS of echo.x: got {more}, expected {events} (after 100 equal"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_faults_are_found_where_they_are(make, workdir, fault, message):
    """One wrong bit, word, count or handshake each, reported at its exact place."""
    still = [np.vstack([f[:1]] * 10) for f in FRAMES]  # nothing changes after a first frame
    good = int(still[0][7, 3])
    report = simulate(
        make(0, fault),
        identity(),
        still,
        workdir=workdir,
        simulator="icarus",
        stimulus=Stimulus(patience=300),
    )
    assert not report.ok
    text = str(report)
    wanted = message.format(bad=good ^ 1, good=good, more=11, events=10)
    assert text.startswith(f"icarus: MISMATCH, {wanted}")
    assert text.endswith("seed 0); run again with --waves for a waveform")


def test_fault_is_found_by_verilator_with_a_waveform(make, workdir):
    report = simulate(make(0, "word"), identity(), FRAMES, workdir=workdir, waves=True)
    assert report.mismatch is not None
    assert (report.mismatch.sequence, report.mismatch.step, report.mismatch.index) == (0, 7, 3)
    assert "s_axis_tdata" in report.waves.read_text()
    assert str(report).endswith(f"waveform: {report.waves}")


def test_waveform_of_icarus(make, workdir):
    report = simulate(make(), identity(), FRAMES, workdir=workdir, simulator="icarus", waves=True)
    assert report.ok
    assert report.waves.stat().st_size > 1000


def test_wrong_threshold_is_a_mismatch(make, workdir):
    """The comparison is with the network that was asked for, not with the design's own."""
    report = simulate(make(3000), identity(), FRAMES, workdir=workdir, simulator="icarus")
    assert report.mismatch is not None
    assert report.mismatch.what == "output"


def test_the_second_run_does_not_build(make, workdir):
    simulate(make(), identity(), FRAMES, workdir=workdir, simulator="icarus")
    again = Stimulus(seed=5)
    before = {f: f.stat().st_mtime_ns for f in (workdir / "build").rglob("sim.vvp")}
    simulate(make(), identity(), FRAMES, workdir=workdir, simulator="icarus", stimulus=again)
    assert {f: f.stat().st_mtime_ns for f in (workdir / "build").rglob("sim.vvp")} == before


def test_interrupt_ends_the_simulator(make, workdir):
    """An exception in the caller, as Ctrl-C is, leaves no process behind."""

    def interrupt(done, total):
        raise KeyboardInterrupt

    frames = [make_frames(UNITS, 20_000, seed=1)]
    with pytest.raises(KeyboardInterrupt):
        simulate(
            make(), identity(), frames, workdir=workdir, simulator="icarus", progress=interrupt
        )
    folder = sorted((workdir / "runs").iterdir())[-1]
    running = [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(folder) in _read(p)]
    assert not running
    assert not (folder / "outcome.json").exists()


def _read(file):
    try:
        return file.read_text(errors="replace")
    except OSError:  # the process ended while we looked
        return ""
