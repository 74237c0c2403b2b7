# SPDX-License-Identifier: Apache-2.0
"""asyncio on mote: the node's event loop, and how asyncio's tasks wait for mote. Imported when asyncio is; python/src/aio.c calls it."""
from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any, Callable, Optional

from mote import _mote
from mote._errors import ProcessExit

_CLOSE_SECONDS = 2.0


class ProcessCancelled(ProcessExit, asyncio.CancelledError):
    """ProcessExit in a process that awaits something of asyncio's, which cleans up as for a cancellation."""


class Task(_mote.ProcessTask):
    """asyncio's current task, in a coroutine process."""

    __slots__ = ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def get_coro(self) -> None:
        return None

    def get_name(self) -> str:
        return repr(self.pid)

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Any = None) -> None:
        self.callbacks = [*(self.callbacks or ()), callback]

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        before = self.callbacks or []
        self.callbacks = [c for c in before if c != callback]
        return len(before) - len(self.callbacks)

    def __repr__(self) -> str:
        return f"<mote process {self.pid!r}>"


def _new_loop() -> asyncio.AbstractEventLoop:
    """One as the policy makes them (uvloop's, say) that says that it runs also while a process does: libraries ask for that."""
    loop = asyncio.new_event_loop()

    class Loop(type(loop)):  # type: ignore[misc]
        def is_running(self) -> bool:
            return super().is_running() or asyncio._get_running_loop() is self

    try:
        ours: asyncio.AbstractEventLoop = Loop()
    except TypeError:  # one that wants arguments
        return loop
    loop.close()
    return ours


class Driver:
    """The event loop of a node, on its scheduler's thread."""

    def __init__(self) -> None:
        self.loop = _new_loop()
        self.waiting: set[asyncio.Future[None]] = set()
        self._fd = -1
        sys.set_asyncgen_hooks(finalizer=self._finalize)

    def _finalize(self, generator: Any) -> None:
        if not self.loop.is_closed():
            self.loop.create_task(generator.aclose())

    def wait(self, fd: int, seconds: Optional[float]) -> None:
        """Runs until `fd` can be read, the time is up, or somebody stops the loop."""
        if self._fd != fd:
            self._fd = fd
            self.loop.add_reader(fd, self.loop.stop)
        timer = None if seconds is None else self.loop.call_later(seconds, self.loop.stop)
        try:
            self.loop.run_forever()
        finally:
            if timer is not None:
                timer.cancel()

    def look(self) -> None:
        """Runs what is ready."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def news(self) -> None:
        """Something has come for the loop's own process."""
        for future in self.waiting:
            _wake(future)
        self.waiting.clear()

    def close(self) -> None:
        """The node stops: what still runs here is cancelled."""
        loop = self.loop
        if self._fd >= 0:
            loop.remove_reader(self._fd)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_CLOSE_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Watch:
    """Tells a loop that is not mote's of news for the process of its thread, as long as somebody waits for that."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: set[asyncio.Future[None]] = set()
        self._fd = -1

    def add(self, future: asyncio.Future[None]) -> None:
        self.waiting.add(future)
        if self._fd < 0:
            self._fd = _mote.event_fd()
            self.loop.add_reader(self._fd, self._read)
        if not _mote.watch(self._fd):
            self.loop.call_soon(self._tell)

    def discard(self, future: asyncio.Future[None]) -> None:
        self.waiting.discard(future)
        if self.waiting or self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self.loop.remove_reader(fd)
        _mote.unwatch()
        os.close(fd)

    def _read(self) -> None:
        os.read(self._fd, 8)
        self._tell()

    def _tell(self) -> None:
        for future in self.waiting:
            _wake(future)


class _Here(threading.local):
    driver: Optional[Driver] = None  # on a scheduler's thread
    watch: Optional[_Watch] = None


_here = _Here()


def begin() -> Driver:
    """The scheduler's thread gets its event loop."""
    _here.driver = Driver()
    return _here.driver


def _waiters(loop: asyncio.AbstractEventLoop) -> Any:
    if _here.driver is not None and _here.driver.loop is loop:
        return _here.driver.waiting
    if _here.watch is None or _here.watch.loop is not loop:
        _here.watch = _Watch(loop)
    return _here.watch


async def receive(wanted: Any) -> Any:
    """What an awaitable of mote's gives, for a task of asyncio's."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            got = _mote.aio_take(wanted)
            if isinstance(got, tuple):
                return got[0]
            future: asyncio.Future[None] = loop.create_future()
            timer = None if got is None else loop.call_later(got, _wake, future)
            waiters = _waiters(loop)
            waiters.add(future)
            try:
                await future
            finally:
                if timer is not None:
                    timer.cancel()
                waiters.discard(future)
    except asyncio.CancelledError:
        _mote.aio_give_up(wanted)
        raise
