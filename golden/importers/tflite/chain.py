# SPDX-License-Identifier: Apache-2.0
"""Which operators of a graph are the network: a chain of LSTM and fully connected layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...errors import UserError
from ...tflite.operators import DENSE, DEQUANTIZE, LSTM, QUANTIZE, RESHAPE, STRIDED_SLICE
from ...tflite.schema import FLOAT32, Graph, Operator, Tensor

LAYERS = (LSTM, DENSE)
NO_LSTM = {
    16: "the LSTM operator of one step (uint8, or 16x8)",
    24: "RNN",
    35: "UNIDIRECTIONAL_SEQUENCE_RNN",
    46: "BIDIRECTIONAL_SEQUENCE_RNN",
    52: "BIDIRECTIONAL_SEQUENCE_LSTM",
    119: "a WHILE loop, as an LSTM or GRU that was not fused",
}


@dataclass(frozen=True)
class Chain:
    """The layers' operators in order, and what else the graph has.

    ends: QUANTIZE before and DEQUANTIZE behind the layers, which are the network's ends.
    """

    graph: Graph
    layers: tuple[int, ...]
    passed: tuple[int, ...]
    ends: tuple[int, ...]

    @cached_property
    def where(self) -> tuple[tuple[str, str], ...]:
        """Each operator's title, and where it went: "before", "network" or "after"."""
        own = {*self.layers, *self.passed, *self.ends}
        found = []
        for n, operator in enumerate(self.graph.operators):
            side = "before" if n < self.layers[0] else "after"
            made = self.graph.tensors[operator.outputs[0]].name if operator.outputs else ""
            found.append((f"{operator.title} {made!r}", "network" if n in own else side))
        return tuple(found)

    @property
    def last_only(self) -> bool:
        """Whether the file goes on with the last frame's values alone."""
        own = (*self.passed, *self.ends)
        return any(self.graph.operators[n].code == STRIDED_SLICE for n in own)

    @property
    def part(self) -> Graph:
        """The graph of the network alone, with its ends."""
        own = sorted((*self.layers, *self.passed, *self.ends))
        operators = [self.graph.operators[n] for n in own]
        ends = operators[0].inputs[:1], operators[-1].outputs[:1]
        return replace(self.graph, operators=operators, inputs=ends[0], outputs=ends[1])

    @property
    def cut(self) -> tuple[str, ...]:
        """Titles of what was cut off."""
        return tuple(title for title, place in self.where if place != "network")


def find_chain(graph: Graph) -> Chain:
    """Raises UserError where there is no LSTM, or not all LSTMs are in one chain."""
    lstms = [n for n, op in enumerate(graph.operators) if op.code == LSTM]
    if not lstms:
        found = [NO_LSTM[op.code] for op in graph.operators if op.code in NO_LSTM]
        others = list(dict.fromkeys(op.title for op in graph.operators))[:8]
        raise UserError(
            f"no UNIDIRECTIONAL_SEQUENCE_LSTM; it has {', '.join(found or others) or 'nothing'}, "
            "which is not supported; convert a Keras LSTM so that it is fused"
        )
    walk = _Walk(graph)
    first, front = walk.back(lstms[0])
    layers, passed, end = walk.on(first)
    missing = [n for n in lstms if n not in layers]
    if missing:
        title = _title(graph, missing[0])
        raise UserError(f"{title}: is not in one chain with the first LSTM; export them apart")
    return Chain(graph, tuple(layers), tuple(passed), tuple({*front, *end}))


class _Walk:
    """From operator to operator, by what makes a tensor and what reads it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._makers: dict[int, int] = {}
        self._readers: dict[int, list[int]] = {}
        for n, operator in enumerate(graph.operators):
            for place in operator.outputs:
                if place in self._makers:
                    raise UserError("a tensor is made twice, it is damaged; export it anew")
                self._makers[place] = n
            for place in dict.fromkeys(operator.inputs):
                self._readers.setdefault(place, []).append(n)

    def _operator(self, n: int) -> Operator:
        return self._graph.operators[n]

    def _maker(self, n: int) -> int | None:
        """What makes an operator's first input."""
        inputs = self._operator(n).inputs
        return self._makers.get(inputs[0]) if inputs else None

    def back(self, n: int) -> tuple[int, list[int]]:
        """The first layer of the chain that ends in layer n, and a QUANTIZE before it."""
        first = at = n
        while True:
            before = self._maker(at)
            if before is None or before >= at or self._reader(before) != at:
                return first, []
            if self._operator(before).code == QUANTIZE:
                given = self._graph.tensors[self._operator(before).inputs[0]]
                return first, [before] if given.type == FLOAT32 else []
            if not self._continues(before):
                return first, []
            at = before
            if self._operator(at).code in LAYERS:
                first = at

    def on(self, n: int) -> tuple[list[int], list[int], list[int]]:
        """Layers from n on, what passes values on between them, and a DEQUANTIZE behind."""
        layers, passed, waiting = [n], list[int](), list[int]()
        lstm = n if self._operator(n).code == LSTM else None
        at = self._reader(n)
        while at is not None and at > layers[-1] and self._goes_on(lstm, at):
            if self._operator(at).code in LAYERS:
                lstm = at if self._operator(at).code == LSTM else lstm
                layers.append(at)
                passed += waiting
                waiting = []
            else:
                waiting.append(at)
            at = self._reader(at)
        ends = at is not None and self._operator(at).code == DEQUANTIZE
        return layers, passed, [*waiting, at] if ends and at is not None else []

    def _goes_on(self, lstm: int | None, n: int) -> bool:
        """Whether operator n belongs to the chain that has come through this LSTM last.

        An LSTM must find the axes as that one left them.
        """
        if lstm is None:
            return self._continues(n)
        before, operator = self._operator(lstm), self._operator(n)
        if operator.code == LSTM:
            made, read = (
                self._graph.tensors[p].shape for p in (before.outputs[0], operator.inputs[0])
            )
            major = (op.options["time_major"] for op in (before, operator))
            return made[:-1] == read[:-1] and len(set(major)) == 1
        return self._continues(n) or takes_last(self._graph, operator, before)

    def _reader(self, n: int) -> int | None:
        """The one operator that reads what operator n makes, as its first input."""
        outputs = self._operator(n).outputs
        readers = self._readers.get(outputs[0], []) if outputs else []
        if len(readers) != 1 or outputs[0] in self._graph.outputs:
            return None
        operator = self._operator(readers[0])
        return readers[0] if operator.inputs[0] == outputs[0] else None

    def _continues(self, n: int) -> bool:
        """Whether operator n is a layer, or a RESHAPE that leaves frames as they are."""
        operator = self._operator(n)
        if operator.code in LAYERS:
            return True
        if operator.code != RESHAPE or not operator.inputs or not operator.outputs:
            return False
        tensors: Sequence[Tensor] = self._graph.tensors
        before, after = (tensors[k].shape for k in (operator.inputs[0], operator.outputs[0]))
        return bool(before and after and before[-1] == after[-1])


def takes_last(graph: Graph, operator: Operator, lstm: Operator) -> bool:
    """Whether an operator is a STRIDED_SLICE that leaves the last frame of what the LSTM makes."""
    if operator.code != STRIDED_SLICE or len(operator.inputs) != 4:
        return False
    shape, *given = (graph.tensors[place] for place in operator.inputs)
    numbers = [tensor.data for tensor in given]
    if len(shape.shape) != 3 or any(each is None or each.shape != (3,) for each in numbers):
        return False
    begin, end, strides = (each.tolist() for each in numbers if each is not None)
    time = 0 if lstm.options["time_major"] else 1
    options = operator.options
    whole = all(
        (options["begin_mask"] >> k & 1 or begin[k] == 0)
        and (options["end_mask"] >> k & 1 or end[k] >= shape.shape[k])
        for k in range(3)
        if k != time
    )
    last = not options["begin_mask"] >> time & 1 and begin[time] in (-1, shape.shape[time] - 1)
    plain = not options["ellipsis_mask"] and not options["new_axis_mask"]
    alone = options["shrink_mask"] == 1 << time
    return bool(whole and last and plain and alone and strides == [1, 1, 1])


def _title(graph: Graph, n: int) -> str:
    operator = graph.operators[n]
    made: Mapping[int, str] = {k: graph.tensors[k].name for k in operator.outputs}
    return f"{operator.title} {next(iter(made.values()), '')!r}"
