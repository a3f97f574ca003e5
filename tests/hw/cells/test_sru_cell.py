# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.models.network import MAX_VECTOR_SHIFT
from deltaloom.sim.testing.cell import check_cell

KINDS = ("sru", "sru4", "sru0")
ENDS = (-32768, 32767)
EXTREMES = (-32768, -1, 0, 1, 32767)
SHIFTS = range(MAX_VECTOR_SHIFT + 1)


def random_units(rng, kind, count):
    """Gates, state, vectors and skip over all magnitudes."""
    gates = len(CELLS[kind].gates)
    values = rng.integers(-32768, 32768, (gates + 4, count))
    values >>= rng.integers(0, 10, values.shape)
    c, v_f, v_r, skip, *p = values
    return np.stack(p, axis=1), {
        "c": c,
        "vectors": {"v_f": v_f, "v_r": v_r},
        "skip": skip if kind == "sru" else 0,
    }


@pytest.mark.parametrize("shift", SHIFTS)
def test_random_units_at_every_shift(shift):
    p, inputs = random_units(np.random.default_rng(shift), "sru", 1000)
    check_cell("sru", p, vector_shift=shift, **inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_shifts_side_by_side(kind):
    rng = np.random.default_rng(20)
    p, inputs = random_units(rng, kind, 4000)
    check_cell(kind, p, vector_shift=rng.integers(0, MAX_VECTOR_SHIFT + 1, 4000), **inputs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [0, 8, 15, 18])
def test_extremes_of_every_input(kind, shift):
    """Ends of everything, with u, c and the skip at the values between too."""
    names = ["c", "skip", "u", "f", "r", "v_f", "v_r"]
    ranges = [EXTREMES, ENDS if kind == "sru0" else EXTREMES, EXTREMES, *[ENDS] * 4]
    columns = dict(zip(names, np.array(list(itertools.product(*ranges))).T, strict=True))
    gates = [columns[name] for name in ("u", "f", "r")]
    if kind == "sru4":
        gates.append(columns["skip"])
    check_cell(
        kind,
        np.stack(gates, axis=1),
        c=columns["c"],
        vectors={name: columns[name] for name in ("v_f", "v_r")},
        vector_shift=shift,
        skip=columns["skip"] if kind == "sru" else 0,
    )


@pytest.mark.parametrize("shift", SHIFTS)
def test_vector_products_around_the_ends_of_a_gate(shift):
    """v * c of which the shifted value is within a few codes of where the gate saturates."""
    rng = np.random.default_rng(40 + shift)
    p = rng.integers(-40, 41, (2000, 3)) + rng.choice([-32768 + 40, 0, 32767 - 40], (2000, 1))
    wanted = rng.choice([-65536, -32768, 0, 32768, 65536], 2000) - p[:, 1]
    wanted = wanted + rng.integers(-3, 4, 2000)
    c = rng.integers(16384, 32768, 2000) * rng.choice([-1, 1], 2000)
    v = np.clip(np.round(wanted * 2.0**shift / c), -32768, 32767).astype(int)
    check_cell("sru0", p, c=c, vectors={"v_f": v, "v_r": -v - 1}, vector_shift=shift)


def test_both_gates_read_the_old_c():
    """f near 0 makes c' = u whatever c is; r then follows the old c, not u."""
    c = np.array([-30000, 30000])
    p = np.tile([20000, -32768, 0], (2, 1))
    vectors = {"v_f": 0, "v_r": 32767}
    after = check_cell("sru0", p, c=c, vectors=vectors, vector_shift=15)
    assert abs(after.c - 20000).max() < 32
    assert after.h[0] < 500 and after.h[1] > 19000
