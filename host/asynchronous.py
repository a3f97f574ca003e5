# SPDX-License-Identifier: Apache-2.0
"""The same accelerator for asyncio: each call is awaited, the event loop never waits for a line."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from ..golden.cells import State
from ..golden.evaluation.networks import AnyNetwork
from ..golden.storage import AnyPath
from .accelerator import UNDER_WAY, Accelerator, Throughput
from .driver import Counters

P = ParamSpec("P")
T = TypeVar("T")


class AsyncAccelerator:
    """An `Accelerator` in a thread of its own, one call after the other.

    `await AsyncAccelerator.open(...)` makes one; methods and parameters are those of `Accelerator`.
    """

    def __init__(self, accelerator: Accelerator, thread: ThreadPoolExecutor) -> None:
        self._accelerator, self._thread = accelerator, thread

    @classmethod
    async def open(cls, port: str, **options: Any) -> "AsyncAccelerator":
        """See `Accelerator.open`."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="deltaloom-accelerator")
        opening = partial(Accelerator.open, port, **options)
        try:
            return cls(await asyncio.get_running_loop().run_in_executor(thread, opening), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    @property
    def network(self) -> AnyNetwork:
        """What runs."""
        return self._accelerator.network

    async def load(self, network: AnyNetwork | AnyPath) -> None:
        """See `Accelerator.load`."""
        await self._call(self._accelerator.load, network)

    async def predict(self, sequence: npt.ArrayLike) -> np.ndarray:
        """See `Accelerator.predict`."""
        return await self._call(self._accelerator.predict, sequence)

    async def stream(
        self,
        frames: AsyncIterable[npt.ArrayLike] | Iterable[npt.ArrayLike],
        *,
        under_way: int = UNDER_WAY,
    ) -> AsyncIterator[np.ndarray]:
        """See `Accelerator.stream`; of frames that are awaited, each goes on as it comes."""
        if not isinstance(frames, AsyncIterable):
            outputs = self._accelerator.stream(frames, under_way=under_way)
            while (output := await self._call(next, outputs, None)) is not None:
                yield output
            return
        async for frame in frames:
            outputs = self._accelerator.stream([frame], under_way=1)
            yield await self._call(next, outputs)

    async def set_thresholds(self, thresholds: Mapping[str, int] | int) -> None:
        """See `Accelerator.set_thresholds`."""
        await self._call(self._accelerator.set_thresholds, thresholds)

    async def state(self) -> dict[str, State]:
        """See `Accelerator.state`."""
        return await self._call(lambda: self._accelerator.state)

    async def reset(self) -> None:
        """See `Accelerator.reset`."""
        await self._call(self._accelerator.reset)

    async def counters(self, *, clear: bool = False) -> Counters:
        """See `Accelerator.counters`."""
        return await self._call(self._accelerator.counters, clear=clear)

    async def throughput_test(self, frames: int = 200, *, seed: int = 0) -> Throughput:
        """See `Accelerator.throughput_test`."""
        return await self._call(self._accelerator.throughput_test, frames, seed=seed)

    async def reconnect(self) -> None:
        """See `Accelerator.reconnect`."""
        await self._call(self._accelerator.reconnect)

    async def close(self) -> None:
        """See `Accelerator.close`."""
        await self._call(self._accelerator.close)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> "AsyncAccelerator":
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.close()

    async def _call(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(work, *args, **options))
