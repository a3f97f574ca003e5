# SPDX-License-Identifier: Apache-2.0
"""What training lowers against its formulas, the part of operations against golden's events."""

import numpy as np
import pytest
import torch

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import run
from deltaloom.golden.evaluation.metrics import cross_entropy
from deltaloom.golden.models.states import first_codes
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.training.batches import Batch, Batches
from deltaloom.training.loss import Changes, error_of
from deltaloom.training.network import DeltaNetwork
from deltaloom.training.packed import Packed

ROWS, OUTPUTS = 12, 4


def batch(**own):
    parts = dict.fromkeys(("labels", "targets", "teacher", "offset")) | own
    return Batch(packed=Packed.of([ROWS]), frames=torch.zeros(ROWS, 1), first=[], **parts)


@pytest.fixture
def rows():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(4, ROWS, OUTPUTS)))


def test_cross_entropy(rows):
    outputs, _, _, offset = rows
    labels = torch.arange(ROWS) % (OUTPUTS + 1) - 1
    data = Dataset((np.zeros((ROWS, 1), np.float32),), (labels.numpy(),))
    wanted = cross_entropy(data, [(outputs + offset).numpy()])
    found = error_of(batch(labels=labels, offset=offset), outputs, 0.0)
    assert found.item() == pytest.approx(wanted)
    nothing = torch.full((ROWS,), -1)
    assert error_of(batch(labels=nothing), outputs, 0.0).item() == 0


def test_teacher(rows):
    outputs, teacher, _, _ = rows
    labels = torch.zeros(ROWS, dtype=torch.int64)
    own, wanted = (torch.softmax(v, dim=1) for v in (outputs, teacher))
    divergence = (wanted * (wanted / own).log()).sum() / ROWS
    whole = batch(labels=labels, teacher=teacher)
    assert error_of(whole, outputs, 1.0).item() == pytest.approx(divergence.item())
    mixed = 0.25 * divergence + 0.75 * error_of(whole, outputs, 0.0)
    assert error_of(whole, outputs, 0.25).item() == pytest.approx(mixed.item())
    assert error_of(whole, teacher, 1.0).item() == pytest.approx(0, abs=1e-9)


def test_regression(rows):
    outputs, teacher, targets, _ = rows
    whole = batch(targets=targets, teacher=teacher)
    found = error_of(whole, outputs, 0.5).item()
    wanted = [((outputs - t) ** 2).sum() / (t**2).sum() for t in (targets, teacher)]
    assert found == pytest.approx(float(sum(wanted)) / 2)


def test_changes_are_about_the_events():
    """Where every source moves by less than the threshold a step, and far in all, they are."""
    network = make_network([Shape(kind="lstm", units=9, both=True), ("linear", 6)], 5, threshold=9)
    sequences = [make_frames(5, n, seed=n, smooth=0.99) for n in (150, 90)]
    packed = Packed.of([len(s) for s in sequences])
    frames = torch.from_numpy(packed.packing.pack(sequences, 5)).float()
    _, layers = DeltaNetwork(network)(packed, frames, first_codes(network, {}, 2))
    one = Batch(packed, frames, [], None, None, None, None)
    found = float(Changes(network)(one, layers).detach())
    done = steps = 0
    for result in run(network, sequences):
        steps += result.steps
        for layer in network.layers:
            for path in layer.paths:
                if path.source == "h" or layer.kind == "linear":
                    name = f"{layer.name}.{path.source}"
                    done += int(result.events[name].sum()) * path.rows
    assert 0.5 < found / (done / steps / network.macs) < 1.5


def test_pieces_cover_each_sequence_once():
    network = make_network([("gru", 3)], 2)
    lengths = (100, 7, 0, 31)
    data = Dataset(tuple(np.ones((n, 2), np.float32) for n in lengths))
    batches = Batches(network, data, None, size=3, longest=16, noise=0.0, seed=5)
    for number in (1, 2):
        pieces = [piece for group in batches.epoch(number) for piece in group]
        for n, length in enumerate(lengths):
            own = sorted(piece[1:] for piece in pieces if piece.sequence == n)
            assert [t for start, stop in own for t in range(start, stop)] == [*range(length)]
            assert all(0 < stop - start <= 16 for start, stop in own)
    assert batches.epoch(1) != batches.epoch(2)
    assert batches.epoch(1) == batches.epoch(1)


def test_a_piece_starts_from_its_sequences_state_where_it_begins():
    network = make_network([Shape(kind="gru", units=3, both=True, initial=True)], 2)
    states = {f"{layer.name}.h": np.full((1, 3), 0.5, np.float32) for layer in network.layers}
    data = Dataset((np.ones((20, 2), np.float32),), states=states)
    batches = Batches(network, data, None, size=9, longest=9, noise=0.0, seed=1)
    (pieces,) = batches.epoch(1)
    made = batches.batch(pieces, np.random.default_rng(0))
    for state, layer in zip(made.first, network.layers, strict=True):
        for n, piece in enumerate(pieces):
            begins = piece.stop == 20 if layer.backward else piece.start == 0
            wanted = np.full(3, 16384) if begins else layer.initial["h"]
            np.testing.assert_array_equal(state.h[n], wanted)
