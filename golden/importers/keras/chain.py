# SPDX-License-Identifier: Apache-2.0
"""How the layers of a Keras configuration follow each other."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import UserError

_ONE_CHAIN = "only a single chain of layers can be imported"


def order_of(layers: Any, names: list[str], inner: Any, start: str, end: str) -> tuple[str, ...]:
    """Names from input to output, or from `start` to `end`.

    Raises UserError where these layers are no single chain.
    """
    for option, name in (("from", start), ("to", end)):
        if name and name not in names:
            raise UserError(f"--{option} {name}: no layer has that name; there are {_some(names)}")
    if not any(layer.get("inbound_nodes") for layer in layers):
        order, known = tuple(names), ""
    elif end:
        order, known = (end,), end
    else:
        order = _whole(layers, names, inner) if not start else (_output(layers, names, inner),)
        known = "" if not start else order[0]
    if known:
        return _back(layers, names, known, start)
    first = order.index(start) if start else 0
    last = order.index(end) if end else len(order) - 1
    if first > last:
        raise UserError(f"--to {end}: comes before --from {start}; change them round")
    return order[first : last + 1]


def _whole(layers: Any, names: list[str], inner: Any) -> tuple[str, ...]:
    """All layers of a model that is one chain."""
    readers: dict[str, str] = {}
    problems: list[str] = []
    for name, layer in zip(names, layers, strict=True):
        sources, found = _sources_of(name, layer)
        problems += found
        for source in sources:
            if source in readers:
                problems.append(f"{source!r} leads to {readers[source]!r} and to {name!r}")
            readers.setdefault(source, name)
    if problems:
        raise UserError(_joined(problems))
    ends = [name for name in names if name not in readers]
    given = _outputs(inner)
    starts = [name for name in names if name not in readers.values()]
    other = next((name for name in given if name in readers), None)
    if len(ends) != 1 or len(starts) != 1 or len(set(given)) > 1 or other is not None:
        what = f"{other!r}, in the middle," if other else f"{', '.join(map(repr, given or ends))}"
        raise UserError(
            f"the model's output is {what} from {', '.join(map(repr, starts))}; {_ONE_CHAIN}"
        )
    order = starts
    while order[-1] in readers:
        order.append(readers[order[-1]])
    return tuple(order)


def _output(layers: Any, names: list[str], inner: Any) -> str:
    """The one layer that is the model's output."""
    read = {s for layer in layers for s in _sources(layer.get("inbound_nodes") or [])}
    given = list(dict.fromkeys(_outputs(inner))) or [name for name in names if name not in read]
    if len(given) != 1:
        raise UserError(
            f"the model's outputs are {', '.join(map(repr, given))}; --to LAYER says which"
        )
    return given[0]


def _back(layers: Any, names: list[str], end: str, start: str) -> tuple[str, ...]:
    """The chain that ends in one layer, back to `start` or the model's input."""
    by_name = dict(zip(names, layers, strict=True))
    order = [end]
    while order[-1] != start:
        sources, problems = _sources_of(order[-1], by_name[order[-1]])
        if problems:
            raise UserError(_joined(problems))
        if not sources:
            break
        if sources[0] in order:
            raise UserError(f"layer {sources[0]!r}: is part of a circle; save the model anew")
        order.append(sources[0])
    if start and order[-1] != start:
        raise UserError(f"--from {start}: does not lead to {end!r}; {_ONE_CHAIN}")
    if start and len(_sources_of(start, by_name[start])[0]) > 1:
        raise UserError(f"--from {start}: takes several layers' outputs; {_ONE_CHAIN}")
    return tuple(order[::-1])


def _sources_of(name: str, layer: Any) -> tuple[list[str], list[str]]:
    """What a layer takes, and what is in the way of that."""
    title, nodes = f"{layer['class_name']} layer {name!r}", layer.get("inbound_nodes") or []
    problems = []
    if len(nodes) > 1:
        problems.append(
            f"{title}: is called {len(nodes)} times; only layers that are called once are "
            "supported; give each call a layer of its own"
        )
    sources = list(_sources(nodes))
    if len(sources) > 1 and not problems:
        problems.append(f"{title}: takes {' and '.join(map(repr, sources))}")
    return sources, problems


def _joined(problems: Sequence[str]) -> str:
    """Several calls and several inputs first: where one layer leads to two follows from them."""
    own = [text for text in problems if " leads to " not in text] or problems
    return f"{'; '.join(own)}; {_ONE_CHAIN}, --from LAYER and --to LAYER choose one"


def _outputs(inner: Any) -> list[str]:
    return list(_sources(inner.get("output_layers", []))) if isinstance(inner, dict) else []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _sources(node: Any) -> Iterator[str]:
    """Names of the layers whose outputs a node of the graph takes, as Keras 2 and 3 write them."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            yield str(node["config"]["keras_history"][0])
            return
        for value in node.values():
            yield from _sources(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(type(n) is int for n in node[1:3]):
            yield node[0]
            node = node[3:]
        for value in node:
            yield from _sources(value)
