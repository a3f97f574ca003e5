# SPDX-License-Identifier: Apache-2.0
"""The core alone in Verilator, driven from C++: the fastest way to measure large networks.

The core is built empty, once per configuration; each run loads its image through the load ports,
weights in an SDRAM from a file.
Nothing of the buses is in it; `runner` simulates whole accelerators.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring

from ...boards.tools import toolchain
from ...boards.tools.process import digest, fresh_folder
from ...golden.arithmetic import Ints
from ...golden.engines.engine import Result
from ...golden.engines.engine import run as run_golden
from ...golden.errors import UserError
from ...golden.models.network import Network
from ...hw.compiler.compile import compile_network
from ...hw.config import AcceleratorConfig
from ...hw.datapath.core import Core
from ...hw.datapath.fetch.weight_store import store_latency
from ...hw.datapath.fetch.words import store_members
from ...hw.image import core_memories
from ..memory.chip import SOURCE, beat_lines
from ..memory.store import store_with_chip
from ..verilator import compile_model

__all__ = ["CoreCycles", "measure_core"]

TOP = "core"

POWER_UP = 3000.0
"""ns that an SDRAM takes from power on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreCycles:
    """A core's run. results: golden's. ends: cycle in which each frame's last output left; the
    first frame's first word was taken in cycle `start`. beats: cycles in which a weight word came
    to the array. events: by list index, as the core counted them.
    """

    results: list[Result]
    start: int
    ends: tuple[int, ...]
    beats: int
    events: tuple[int, ...]

    @property
    def cycles_per_step(self) -> float:
        """Mean cycles per frame, from the first word in to the last one out."""
        return (self.ends[-1] - self.start) / len(self.ends)


def measure_core(
    network: Network,
    sequences: Sequence[Ints],
    config: AcceleratorConfig,
    workdir: Path,
    *,
    idle: float = 0.0,
    stall: float = 0.0,
    seed: int = 1,
) -> CoreCycles:
    """Run int16 frames [steps, inputs] of each sequence; AssertionError where a bit differs.

    idle, stall: chance that a cycle of the input or the output stream rests; both 0 measure the
    core's own speed.
    Raises UserError where the core does not build or its run does not end.
    """
    image = compile_network(network, config)
    golden = run_golden(network, sequences)
    program = _build(config, workdir)
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        parts = []
        for n, memory in enumerate(core_memories(config)):
            words = image.contents[memory.name]
            if config.sdram and memory.name == "weights":
                lines = beat_lines(words, config.sdram, config.word_bits)
                (run / "weights.hex").write_text(lines, "utf-8")
                words = words[: config.near_words]
            count = -(-memory.width // 32)
            raw = b"".join(word.to_bytes(4 * count, "little") for word in words)
            parts += [np.array([n, len(words), count], "<u4").tobytes(), raw]
        thresholds = [entry.threshold for entry in image.lists]
        parts.append(np.array([0xFFFFFFFF, len(thresholds), *thresholds], "<u4").tobytes())
        frames = np.concatenate(sequences)
        starts = np.zeros(len(frames), np.int64)
        starts[np.cumsum([0, *(len(s) for s in sequences)])[:-1]] = 1
        shape = [*frames.shape, network.outputs, config.input_elements, config.output_elements]
        parts.append(np.array(shape, "<u4").tobytes())
        parts.append(np.concatenate([starts[:, None], frames], axis=1).astype("<i2").tobytes())
        (run / "job.bin").write_bytes(b"".join(parts))
        command = [str(program), str(run), *map(str, (idle, stall, seed))]
        command.append(f"+sdram={run / 'weights.hex'}")
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-300:]
            raise UserError(f"core: the simulation did not end ({said})")
        outputs = np.fromfile(run / "outputs.bin", "<i2").astype(np.int64)
        facts = json.loads(done.stdout)
    wanted = np.concatenate([g.outputs for g in golden])
    np.testing.assert_array_equal(outputs.reshape(wanted.shape), wanted)
    events = facts["events"][: len(image.lists)]
    totals = [sum(int(g.events[entry.path].sum()) for g in golden) for entry in image.lists]
    if events != totals:
        raise AssertionError(f"events {events}, golden has {totals}")
    return CoreCycles(
        results=golden,
        start=facts["start"],
        ends=tuple(facts["ends"]),
        beats=facts["beats"],
        events=tuple(events),
    )


def _build(config: AcceleratorConfig, workdir: Path) -> Path:
    """The simulator of a configuration's empty core, unless the same was built before."""
    # Power is on long before a run begins.
    chip = config.sdram and replace(config.sdram, power_up=POWER_UP)
    core = Core(config, store=store_with_chip(config, chip) if chip else _Store(config))
    source = verilog.convert(core, name=TOP, strip_internal_attrs=True)
    loads = "".join(
        f"      case {n}: top->load_{memory.name}__en = 1; top->load_{memory.name}__addr = a;"
        f" put(top->load_{memory.name}__data, w); tick(); top->load_{memory.name}__en = 0; break;\n"
        for n, memory in enumerate(core_memories(config))
    )
    source += SOURCE.read_text("utf-8") if config.sdram else STORE
    harness = HARNESS.replace("LOADS", loads).replace("__", "___05F")  # as Verilator writes it
    tools = [toolchain.require(name) for name in ("verilator", "g++", "make")]
    name = digest("core", [tool.version for tool in tools], source, harness)
    built = workdir / f"core-{name}"
    if not built.is_dir():
        with fresh_folder(built) as folder:
            (folder / f"{TOP}.v").write_text(source, "utf-8")
            (folder / "main.cpp").write_text(harness, "utf-8")
            options = ["--x-assign", "fast", "--x-initial", "fast", "-CFLAGS", "-O2"]
            files = [folder / f"{TOP}.v", folder / "main.cpp"]
            environment = toolchain.environment(*tools)
            try:
                compile_model(files, folder, TOP, options, environment, out=subprocess.PIPE)
            except subprocess.CalledProcessError as error:
                said = error.stdout.decode(errors="replace").strip()[-300:]
                raise UserError(f"core: verilator cannot build it: {said}") from error
    return built / TOP


class _Store(wiring.Component):
    """`BlockRamStore` as the simulator has it: one memory that is not written out word by word."""

    STEADY = True
    spacing = 1
    store: Any
    load: Any
    load_ready: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self.latency = store_latency(config.weight_words)
        self.outstanding = self.latency + 2
        self.address_bits = max(1, (config.weight_words - 1).bit_length())
        self._word_bits = config.word_bits
        super().__init__(store_members(depth=config.weight_words, word_bits=config.word_bits))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, response = self.store.request, self.store.response
        m.submodules.memory = Instance(
            "weight_memory",
            p_ADDRESS=self.address_bits,
            p_WIDTH=self._word_bits,
            p_LATENCY=self.latency,
            i_clk=ClockSignal(),
            i_address=request.payload,
            i_valid=request.valid,
            o_word=response.payload,
            o_answered=response.valid,
            i_w_en=self.load.en,
            i_w_addr=self.load.addr,
            i_w_data=self.load.data,
        )
        m.d.comb += [self.load_ready.eq(1), request.ready.eq(1)]
        return m


STORE = """
module weight_memory #(parameter ADDRESS = 1, WIDTH = 1, LATENCY = 2) (
  input clk, valid, w_en, input [ADDRESS-1:0] address, w_addr, input [WIDTH-1:0] w_data,
  output [WIDTH-1:0] word, output answered);
  reg [WIDTH-1:0] memory [0:(1 << ADDRESS) - 1];
  reg [WIDTH-1:0] words [0:LATENCY-1];
  reg [LATENCY-1:0] there = 0;
  integer n;
  always @(posedge clk) begin
    if (w_en) memory[w_addr] <= w_data;
    words[0] <= memory[address];
    for (n = 1; n < LATENCY; n = n + 1) words[n] <= words[n-1];
    there <= (there << 1) | valid;
  end
  assign word = words[LATENCY-1];
  assign answered = there[LATENCY-1];
endmodule
"""

HARNESS = r"""// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include "Vtop.h"
#include "verilated.h"

static Vtop *top;
static uint64_t cycle;

template <typename T> static void put(T &port, const uint32_t *w) {
  uint64_t value = w[0];
  if (sizeof(T) == 8) value |= uint64_t(w[1]) << 32;
  port = T(value);
}
template <std::size_t N> static void put(VlWide<N> &port, const uint32_t *w) {
  for (std::size_t n = 0; n < N; n++) port[n] = w[n];
}
template <typename T> static void pick(const T &port, uint32_t *w) {
  w[0] = uint32_t(port);
  if (sizeof(T) == 8) w[1] = uint32_t(uint64_t(port) >> 32);
}
template <std::size_t N> static void pick(const VlWide<N> &port, uint32_t *w) {
  for (std::size_t n = 0; n < N; n++) w[n] = port[n];
}
static void tick() {
  top->clk = 0; top->eval(); top->clk = 1; top->eval(); cycle++;
}
static uint64_t state;
static bool chance(double p) {
  state ^= state << 13; state ^= state >> 7; state ^= state << 17;
  return p > 0 && double(state >> 11) / 9007199254740992.0 < p;
}
static FILE *job;
static void get(void *p, std::size_t n) {
  if (n && std::fread(p, 1, n, job) != n) { std::fprintf(stderr, "job is short"); std::exit(2); }
}

int main(int argc, char **argv) {
  Verilated::commandArgs(argc, argv);
  std::string folder = argv[1];
  double idle = std::atof(argv[2]), stall = std::atof(argv[3]);
  state = 88172645463325252ull + std::strtoull(argv[4], nullptr, 10) * 2654435761ull;
  top = new Vtop;
  job = std::fopen((folder + "/job.bin").c_str(), "rb");
  top->rst = 1; tick(); tick(); top->rst = 0;
  uint32_t head[3];
  for (get(head, 4); head[0] != 0xffffffff; get(head, 4)) {
    get(head + 1, 8);
    std::vector<uint32_t> word(head[2] + 1);
    uint32_t *w = word.data();
    for (uint32_t a = 0; a < head[1]; a++) {
      get(w, 4 * head[2]);
      switch (head[0]) {
LOADS
      }
    }
  }
  get(head + 1, 4);
  for (uint32_t n = 0; n < head[1]; n++) {
    uint32_t value; get(&value, 4);
    top->set_threshold = 1 | (n << 1) | (value << 6); tick();
  }
  top->set_threshold = 0;
  uint32_t shape[5]; get(shape, 20);
  std::size_t steps = shape[0], inputs = shape[1], outputs = shape[2], elements = shape[3];
  std::size_t beat = shape[4], taken = 0;
  uint32_t o[64];
  std::vector<int16_t> frames(steps * (inputs + 1)), out;
  get(frames.data(), 2 * frames.size());

  std::size_t t = 0, j = 0;
  uint64_t start = 0, beats = 0, last = cycle;
  std::vector<uint64_t> ends, events(64);
  bool resting = false;
  while (ends.size() < steps) {
    // A word that is offered stays until it is taken.
    if (t < steps && !resting) {
      std::vector<uint32_t> w(elements / 2 + 2);
      for (std::size_t e = 0; e < elements && j + e < inputs; e++)
        w[e / 2] |= uint32_t(uint16_t(frames[t * (inputs + 1) + 1 + j + e])) << (16 * (e & 1));
      bool end = j + elements >= inputs, first = j == 0 && frames[t * (inputs + 1)];
      w[elements / 2] |= (uint32_t(end) | uint32_t(first) << 1) << (16 * (elements & 1));
      put(top->i__payload, w.data());
      top->i__valid = 1;
    } else top->i__valid = 0;
    top->o__ready = !chance(stall);
    top->clk = 0; top->eval();
    bool took = top->i__valid && top->i__ready;
    if (top->o__valid && top->o__ready) {
      pick(top->o__payload, o);
      for (std::size_t e = 0; e < beat && taken < outputs; e++, taken++)
        out.push_back(int16_t(o[e / 2] >> (16 * (e & 1))));
      if (o[beat / 2] >> (16 * (beat & 1)) & 1) {
        if (taken != outputs) { std::fprintf(stderr, "a frame of %zu words", taken); return 5; }
        ends.push_back(cycle);
        taken = 0;
      }
      last = cycle;
    }
    beats += top->beat;
    if (top->event) events[top->event_list]++;
    if (took && !start) start = cycle;
    top->clk = 1; top->eval(); cycle++;
    if (took) {
      j += elements;
      if (j >= inputs) { j = 0; t++; }
    }
    if (took || resting) resting = chance(idle);
    if (cycle > last + 2000000) { std::fprintf(stderr, "stuck"); return 3; }
  }
  if (out.size() != steps * outputs) { std::fprintf(stderr, "%zu words", out.size()); return 4; }
  FILE *file = std::fopen((folder + "/outputs.bin").c_str(), "wb");
  std::fwrite(out.data(), 2, out.size(), file);
  std::fclose(file);
  std::printf("{\"start\": %llu, \"beats\": %llu, \"ends\": [", (unsigned long long)start,
              (unsigned long long)beats);
  for (std::size_t n = 0; n < ends.size(); n++)
    std::printf("%s%llu", n ? ", " : "", (unsigned long long)ends[n]);
  std::printf("], \"events\": [");
  for (std::size_t n = 0; n < events.size(); n++)
    std::printf("%s%llu", n ? ", " : "", (unsigned long long)events[n]);
  std::printf("]}\n");
}
"""
"""Loads the image, feeds the frames and writes down what comes out and when."""
