# SPDX-License-Identifier: Apache-2.0
"""Loops of a graph."""

from collections.abc import Sequence


def components(follows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Strongly connected components of a graph (Tarjan), without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on: set[int] = set()
    found = []
    for root in range(len(follows)):
        if root in index:
            continue
        work = [(root, iter(follows[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            at, rest = work[-1]
            for to in rest:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on.add(to)
                    work.append((to, iter(follows[to])))
                    break
                if to in on:
                    low[at] = min(low[at], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    part: list[int] = []
                    while part[-1:] != [at]:
                        part.append(stack.pop())
                        on.discard(part[-1])
                    found.append(part)
    return found
