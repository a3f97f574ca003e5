# SPDX-License-Identifier: Apache-2.0
import io
import subprocess

import numpy as np
import pytest

from deltaloom.sim.gates import toggles
from deltaloom.sim.gates.toggles import count_toggles

DUMP = b"""$date today $end
$timescale 1ps $end
$scope module bench $end
$var reg 1 ! clk $end
$scope module dut $end
$var wire 1 " a $end
$var wire 1 # b [3] $end
$var wire 4 % wide [3:0] $end
$scope module part $end
$var wire 1 " same $end
$var wire 1 & inner $end
$upscope $end
$upscope $end
$upscope $end
$enddefinitions $end
VCD info: dumpfile /dev/stdout opened for output.
#100
$dumpvars
0!
0"
x#
b0000 %
1&
$end
#200
1!
1"
b0101 %
0#
#300
0!
x"
0"
1"
0&"""


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
def test_changes_are_counted_after_the_first_values(chunk, monkeypatch):
    monkeypatch.setattr(toggles, "CHUNK", chunk)
    assert count_toggles(io.BytesIO(DUMP), "bench.dut") == {
        "a": 3, "b": 1, "part.same": 3, "part.inner": 1,
    }  # fmt: skip


def test_a_dump_of_nothing_has_no_counts():
    assert count_toggles(io.BytesIO(b""), "bench.dut") == {}


def test_what_icarus_dumps_is_counted_as_it_was(tmp_path):
    """A random sequence of bits, against the changes in it."""
    bits = np.random.default_rng(2).integers(0, 2, 300)
    (tmp_path / "bits.txt").write_text("\n".join(map(str, bits)))
    (tmp_path / "t.v").write_text("""
module inner(input a, output y); assign y = ~a; endmodule
module bench;
  reg bits [0:299]; reg a; wire y; integer n;
  inner dut (a, y);
  initial begin
    $readmemb("bits.txt", bits);
    a = bits[0];
    #1 $dumpfile("dump.vcd");
    $dumpvars(1, dut);
    for (n = 1; n < 300; n = n + 1) #1 a = bits[n];
    #1 $finish;
  end
endmodule
""")
    subprocess.run(["iverilog", "-g2005", "-o", "t", "t.v"], cwd=tmp_path, check=True)
    (tmp_path / "dump.vcd").symlink_to("/dev/stdout")
    run = subprocess.run(["vvp", "-n", "t"], cwd=tmp_path, check=True, capture_output=True)
    changes = int(np.count_nonzero(np.diff(bits)))
    found = count_toggles(io.BytesIO(run.stdout), "bench.dut")
    assert found == {"a": changes, "y": changes}
