# SPDX-License-Identifier: Apache-2.0
"""What a fired element sends: the whole difference, or the nearest signed power of two.

And how many signed power-of-two terms that is, which is what `shift_add` lanes add up.
"""

import numpy as np

from .arithmetic import Ints, code_range

EXACT = "exact"
POWER_OF_TWO = "power_of_two"
DELTA_MODES = (EXACT, POWER_OF_TWO)


def nearest_power(d: Ints, reference: Ints, bits: int) -> Ints:
    """The signed power of two nearest to each d != 0, for references that are codes of `bits` bits.

    A tie, and a step that would carry the reference out of the code's range, take the next
    smaller one. That never overshoots d, so what is left of |d| is at most a third of it.
    """
    share, exponent = np.frexp(np.abs(d).astype(np.float64))  # |d| = share * 2**exponent
    small = np.left_shift(1, exponent.astype(np.int64) - 1) * np.sign(d)
    reached = reference + 2 * small
    low, high = code_range(bits)
    up = (share > 0.75) & (reached >= low) & (reached <= high)
    step: Ints = np.where(up, 2 * small, small)
    return step


def sent_steps(d: Ints, reference: Ints, bits: int, mode: str) -> Ints:
    """What elements that fire with d = q - reference send, and add to their references."""
    return nearest_power(d, reference, bits) if mode == POWER_OF_TWO else d


def signed_digits(values: Ints, digits: int) -> Ints:
    """[..., digits] canonical signed digits -1, 0, 1 of integers, the lowest first.

    values = sum over n of digit[n] * 2**n, with the fewest digits that are not 0, and of two
    neighbouring digits at least one is 0 (Reitwiesner's non-adjacent form): the bits in which 3 v
    and v differ, one place down. A value of b bits beside its sign needs b + 1 digits.
    """
    v = np.asarray(values, np.int64)[..., None]
    places = np.arange(1, digits + 1)
    result: Ints = ((3 * v >> places) & 1) - ((v >> places) & 1)
    return result


def count_terms(steps: Ints, bits: int) -> Ints:
    """[..., bits + 1] terms by binary digit of steps [..., columns] of a path with such codes."""
    counts: Ints = np.abs(signed_digits(steps, bits + 1)).sum(axis=-2)
    return counts
