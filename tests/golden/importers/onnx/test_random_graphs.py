# SPDX-License-Identifier: Apache-2.0
"""Random small ONNX graphs of supported and other pieces: imported rightly, or refused.

onnxruntime is the oracle where it is installed, else onnx's own evaluator, as far as it gets.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, _model
from deltaloom.golden.importers.onnx import check
from deltaloom.golden.importers.onnx.cut import part
from deltaloom.golden.importers.onnx.graph import read_part

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
make = onnx.helper.make_node
UNCHECKED = ImportOptions(check=False)
SIZES = {"T": check.STEPS, "N": check.BATCH}


class Piece:
    """A graph that grows: shapes are those of a batch of 2 and 9 steps, values are random."""

    def __init__(self, draw, rng):
        self.draw, self.rng = draw, rng
        self.nodes, self.constants, self.values = [], {}, []
        self.inputs, self.outputs = {}, []
        self.last, self.shape = "X", ()

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def random(self, *shape):
        return self.constant(self.rng.uniform(-1, 1, shape).astype(np.float32))

    def add(self, kind, *inputs, shape=None, outputs=None, **attributes):
        """A node that goes on; `shape` is of what it makes, by default unchanged."""
        outputs = outputs or [f"v{len(self.nodes)}"]
        self.nodes.append(
            make(kind, list(inputs), outputs, name=f"n{len(self.nodes)}", **attributes)
        )
        self.values.append((self.last, self.shape))
        self.last, self.shape = outputs[0], self.shape if shape is None else tuple(shape)

    def choose(self, *values):
        return self.draw(st.sampled_from(values))


def recurrent(p):
    """A recurrent node, whatever its input's axes hold."""
    if len(p.shape) != 3:
        return
    kind, units = p.choose("LSTM", "LSTM", "GRU", "GRU", "RNN"), p.choose(1, 2, 3)
    direction = p.choose("forward", "forward", "forward", "reverse", "bidirectional")
    both, gates = 1 + (direction == "bidirectional"), {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    rows = gates * units
    given = [p.last, p.random(both, rows, p.shape[2]), p.random(both, rows, units)]
    given.append(p.random(both, 2 * rows) if p.choose(True, False) else "")
    given.append("")
    for _ in range(2 if kind == "LSTM" else 1):
        start = p.choose("", "", "zero", "same", "other")
        if start in ("zero", "same", "other"):
            batch = p.shape[1]
            state = p.rng.uniform(-1, 1, (both, 1, units)).astype(np.float32)
            state = state * np.ones((1, batch, 1), np.float32) * (start != "zero")
            if start == "other":
                state[:, -1] += 0.3
            given.append(p.constant(state))
        else:
            given.append("")
    if kind == "LSTM":
        given.append(p.random(both, 3 * units) if p.choose(True, False, False) else "")
    attributes = {"direction": direction, "hidden_size": units}
    if kind == "GRU":
        attributes["linear_before_reset"] = p.choose(0, 1)
    if p.choose(True, False, False):
        first = p.choose("Relu", "Tanh") if kind == "RNN" else "HardSigmoid"
        attributes["activations"] = [first, "Tanh", "Tanh"][: {"LSTM": 3, "GRU": 2}.get(kind, 1)]
        attributes["activations"] *= both
    steps, batch = p.shape[:2]
    name = f"y{len(p.nodes)}"
    which = p.choose(0, 0, 0, 0, 1)
    outputs = [name, f"{name}h"][: which + 1]
    shape = [(steps, both, batch, units), (both, batch, units)][which]
    p.add(kind, *given, shape=shape, outputs=outputs, **attributes)
    p.last = outputs[which]
    if which == 0 and both == 1 and p.choose(True, True, True, False):
        p.add("Squeeze", p.last, p.constant(np.array([1])), shape=(steps, batch, units))
    elif which == 0 and both == 2 and p.choose(True, True, False):
        p.add("Transpose", p.last, perm=[0, 2, 1, 3], shape=(steps, batch, 2, units))
        p.add("Reshape", p.last, p.constant(np.array([0, 0, -1])), shape=(steps, batch, 2 * units))


def dense(p):
    if not p.shape:
        return
    units = p.choose(1, 2, 3, p.shape[-1])
    if len(p.shape) == 2 and p.choose(True, False):
        flipped = p.choose(0, 1)
        weights = p.random(*((units, p.shape[-1]) if flipped else (p.shape[-1], units)))
        p.add("Gemm", p.last, weights, p.random(units), transB=flipped, shape=(p.shape[0], units))
        return
    if len(p.shape) > 1:
        p.add("MatMul", p.last, p.random(p.shape[-1], units), shape=(*p.shape[:-1], units))


def elementwise(p):
    kind = p.choose("Add", "Mul", "Sub", "Div")
    axis = p.choose(*range(max(len(p.shape), 1)))
    shape = [1] * len(p.shape)
    if p.shape:
        shape[axis] = p.shape[axis]
    if p.choose(True, True, False):
        shape = [p.shape[-1]] if p.shape else [1]
    array = p.constant(p.rng.uniform(0.5, 1.5, shape).astype(np.float32))
    p.add(kind, *([p.last, array] if p.choose(True, True, False) else [array, p.last]))


def branch(p):
    """Takes an earlier value besides, of the same shape."""
    same = [name for name, shape in p.values if shape == p.shape and name != p.last]
    if same:
        p.add(p.choose("Add", "Mul"), p.last, p.choose(*same))


def batch_norm(p):
    if len(p.shape) < 2:
        return
    n = p.shape[1]
    variance = p.constant(p.rng.uniform(0.5, 2, n).astype(np.float32))
    p.add("BatchNormalization", p.last, p.random(n), p.random(n), p.random(n), variance)


def layer_norm(p):
    """A norm of an axis, as a node or in parts, some of which may be missing or others."""
    if not p.shape:
        return
    gain = p.random(p.shape[-1])
    if p.choose(True, False):
        offset = [p.random(p.shape[-1])] * p.choose(0, 1)
        axis = p.choose(-1, -1, -1, len(p.shape) - 1, 0)
        if axis != 0 or len(p.shape) == 1:
            p.add("LayerNormalization", p.last, gain, *offset, axis=axis, epsilon=0.01)
        return
    x, axis = p.last, p.choose(-1, -1, -1, 0)
    mean = [1 if n == axis % len(p.shape) else size for n, size in enumerate(p.shape)]
    whole, number = p.shape, lambda value: p.constant(np.array(value, np.float32))
    p.add("ReduceMean", x, axes=[axis], shape=mean)
    p.add("Sub", x, p.last, shape=whole)
    centred = p.last if p.choose(True, True, True, False) else x
    p.add("Pow", centred, number(p.choose(2, 2, 2, 3)))
    p.add("ReduceMean", p.last, axes=[axis], shape=mean)
    p.add("Add", p.last, number(0.01))
    p.add(p.choose("Sqrt", "Sqrt", "Sqrt", "Identity"), p.last)
    p.add("Div", p.choose(centred, centred, centred, x), p.last, shape=whole)


def transpose(p):
    if not p.shape:
        return
    perm = p.draw(st.permutations(range(len(p.shape))))
    p.add("Transpose", p.last, perm=perm, shape=[p.shape[n] for n in perm])


def reshape(p):
    total = int(np.prod(p.shape))
    if p.choose(True, False) and len(p.shape) > 1:  # merge two neighbours
        at = p.choose(*range(len(p.shape) - 1))
        target = [*p.shape[:at], p.shape[at] * p.shape[at + 1], *p.shape[at + 2 :]]
    else:
        divisors = [n for n in range(1, 20) if total % n == 0]
        first = p.choose(*divisors)
        second = p.choose(*[n for n in divisors if (total // first) % n == 0])
        target = [first, second, total // first // second]
    written = list(target)
    if p.choose(True, False):
        written[p.choose(*range(len(target)))] = -1
    for n in range(min(len(written), len(p.shape))):
        if written[n] == p.shape[n] and p.choose(True, False):
            written[n] = 0
    p.add("Reshape", p.last, p.constant(np.array(written)), shape=target)


def axes(p):
    ones = [n for n, size in enumerate(p.shape) if size == 1]
    if ones and p.choose(True, False):
        n = p.choose(*ones)
        shape = [size for k, size in enumerate(p.shape) if k != n]
        p.add("Squeeze", p.last, p.constant(np.array([n])), shape=shape)
    elif len(p.shape) < 5:
        n = p.choose(*range(len(p.shape) + 1))
        shape = [*p.shape[:n], 1, *p.shape[n:]]
        p.add("Unsqueeze", p.last, p.constant(np.array([n])), shape=shape)


def gather(p):
    if not p.shape:
        return
    n = p.choose(*range(len(p.shape)))
    index = p.choose(-1, -1, 0, p.shape[n] - 1)
    shape = [*p.shape[:n], *p.shape[n + 1 :]]
    p.add("Gather", p.last, p.constant(np.array(index)), axis=n, shape=shape)


def cut_out(p):
    if not p.shape:
        return
    n = p.choose(*range(len(p.shape)))
    start, end = p.choose((-1, 2**31), (0, 2**31), (1, 2**31), (0, 1))
    size = len(range(p.shape[n])[start:end])
    if size:
        parts = [p.constant(np.array([value])) for value in (start, end, n)]
        p.add("Slice", p.last, *parts, shape=[*p.shape[:n], size, *p.shape[n + 1 :]])


def nothing(p):
    kind = p.choose("Identity", "Dropout", "Softmax", "LogSoftmax")
    if kind.endswith("Softmax") and p.shape:
        p.add(kind, p.last, axis=p.choose(-1, *range(len(p.shape))))
    elif not kind.endswith("Softmax"):
        p.add(kind, p.last)


def activation(p):
    kind = p.choose("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSigmoid", "Elu")
    more = {"alpha": p.choose(0.2, 1 / 6), "beta": p.choose(0.5, 0.4)}
    p.add(kind, p.last, **(more if kind == "HardSigmoid" else {}))


def by_shape(p):
    """A Reshape to what Shape says, as exporters write it."""
    name = f"s{len(p.nodes)}"
    p.nodes.append(make("Shape", [p.last], [name]))
    p.add("Reshape", p.last, name)


PIECES = (recurrent, recurrent, recurrent, dense, dense, elementwise, branch, batch_norm)
PIECES += (
    layer_norm,
    transpose,
    transpose,
    reshape,
    axes,
    gather,
    cut_out,
    nothing,
    activation,
    by_shape,
)


@st.composite
def graphs(draw):
    p = Piece(draw, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    width = p.choose(1, 2, 3)
    dims = [p.choose(check.STEPS, 1, "T"), p.choose(check.BATCH, 1, "N")]
    dims = [*dims[:: p.choose(1, 1, -1)], width]
    p.shape = tuple(SIZES.get(n, n) for n in dims)
    names = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7))
    for piece in names:
        if int(np.prod(p.shape)) < 5000:
            piece(p)
    value = onnx.helper.make_tensor_value_info
    outputs = [p.last]
    if p.values and p.choose(True, False, False, False, False):
        outputs.append(p.choose(*[name for name, _ in p.values]))
    outputs = [name for name in dict.fromkeys(outputs) if name != "X"]
    graph = onnx.helper.make_graph(
        p.nodes,
        "g",
        [value("X", onnx.TensorProto.FLOAT, dims)],
        [value(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(a, n) for n, a in p.constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


def outcome(model, file):
    """What became of a graph; raises where the network differs from it."""
    onnx.save(model, file)
    try:
        read = read_part(file, UNCHECKED, cut=True)
        network = _model(file, read.stages, (), UNCHECKED)
    except UserError as error:
        assert "\n" not in str(error)
        return "refused"
    said = check.check(network, read.region)  # raises where they differ
    if said.startswith("not checked"):
        return "no oracle"
    if not assert_parts_make_the_whole(model, read):
        return "no oracle"
    return "whole" if read.region.whole else "cut"


def assert_parts_make_the_whole(model, read):
    """What is cut off, run before and after the part, gives what the graph gives."""
    _, run = check._runtime()
    region, rng = read.region, np.random.default_rng(5)
    shape = [SIZES.get(n, n) for n in region.trace.graph.inputs["X"]]
    values = {"X": rng.normal(size=shape).astype(np.float32)}
    names = list(region.outputs)
    try:
        whole = run(model, values, names)
    except Exception:  # a graph that cannot run
        return False
    if read.before is not None:
        values |= {region.entry: run(read.before, values, [region.entry])[0]}
    middle = part(region.trace.graph, [region.entry], [region.exit])
    taken = {value.name for value in middle.graph.input}
    middle = run(middle, {n: v for n, v in values.items() if n in taken}, [region.exit])[0]
    if read.after is not None:
        values[region.exit] = middle
        taken = [value.name for value in read.after.graph.input]
        ours = run(read.after, {name: values[name] for name in taken}, names)
        for own, expected in zip(ours, whole, strict=True):
            np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)
    return True


def fuzz(count, folder):
    counts = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(graphs())
    def one(model):
        counts[outcome(model, folder / "net.onnx")] += 1

    one()
    return counts


def test_none_is_silently_different(tmp_path):
    counts = fuzz(80, tmp_path)
    assert counts["whole"] + counts["cut"] > 10 and counts["refused"] > 10


@pytest.mark.slow
def test_none_of_many_is_silently_different(tmp_path):
    counts = fuzz(2000, tmp_path)
    print(dict(counts))
    assert counts["whole"] > 100 and counts["cut"] > 100 and counts["refused"] > 100
