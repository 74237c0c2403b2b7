# SPDX-License-Identifier: Apache-2.0
"""Workers: more interpreters of the node, each an OS process, so that Python uses all cores. Imported when the first is wanted.

Here is what starts and ends them (_hub.py does it), and where a process goes (_stock.py starts it). docs/design/workers.md says how it works.
"""
from __future__ import annotations

import atexit
import os
import time

from mote import _mote, _stock
from mote._hub import FULL, GRANTED, START_SECONDS, WORKERS_MAX, Hub, Plan
from mote._mote import ANY, MoteError
from mote._stock import forget, keeper_name, number, order, others, places, spawn
from mote._travel import path_of, sendable_path
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Optional

    from mote._wait import Wait

WAIT_SECONDS = 10.0
membership: Any = None
hub: Optional[Hub] = None


def cores() -> int:
    """The cores that this program may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# ------------------------------------------------------------------------------------------ starting and ending


def start(count: Optional[int] = None, plan: Optional[Plan] = None) -> Hub:
    """The hub of the running node, which sees that there are `count` workers at least, the hub included (None: one for each core, if there are none yet). Does not wait for them."""
    global hub, membership
    if number() != 0:
        raise MoteError("mote: only the program itself can start workers, not a worker")
    if count is not None and not 1 <= count <= WORKERS_MAX:
        raise ValueError(f"workers is a number from 1 to {WORKERS_MAX}: {FULL}")
    if hub is None:
        hub = Hub(plan or Plan())
        membership = hub.membership
        atexit.register(end)
        if hub.plan.spreads:
            _mote._set("place", place)
    if count is None and hub.wanted == 1:
        count = max(2, cores())
    if count is not None and count > hub.wanted:
        hub.wanted = count
        hub.ask(hub.add)
    return hub


def begin(count: Optional[int] = None, plan: Optional[Plan] = None) -> Hub:
    """The same, and waits for them. MoteError: one does not start, and says why; TimeoutError."""
    return in_place("workers", _begin, start(count, plan))


async def _begin(wait: Wait, hub: Hub) -> Hub:
    deadline = time.monotonic() + START_SECONDS
    while True:
        missing = hub.missing()
        if missing is None:
            return hub
        failure = hub.failure()
        if failure is not None:
            raise MoteError(f"mote: {failure}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"mote: the workers have not started within {START_SECONDS:.0f} s; {missing}")
        await wait.sleep(0.001)


def end(seconds: float = 5.0) -> Optional[Callable[[], None]]:
    """Ends the workers, if there are any. Gives what has to be called when the node has stopped."""
    global hub, membership
    if hub is None:
        return None
    _mote._set("place", None)
    hub.stop(seconds)
    left, hub, membership = membership, None, None
    forget()
    atexit.unregister(end)

    def leave() -> None:
        _mote.worker_leave(left)

    return leave


# ---------------------------------------------------------------------------------------------------- where to


def idle() -> Optional[int]:
    """The number of another worker that has nothing to do, if there is one."""
    for worker in tuple(others.values()):
        if _mote.worker_idle(membership, worker):
            return worker
    return None


def place(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Optional[dict[str, Any]], link: bool, monitor: bool) -> Any:
    """A plain spawn, where they may go to other workers: to one that is idle. None: it stays."""
    worker = idle() if path_of(function) else None
    return None if worker is None else spawn(worker, function, args, kwargs or {}, link, monitor)


class Start:
    """A process that is to be started somewhere, as options(place=) says."""

    def __init__(self, where: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool):
        self.where, self.call = where, (function, args, kwargs, link, monitor)
        self.stays = where == "here" or where == _stock.place and where is not None
        if not self.stays and where != "any":
            sendable_path(function)

    def at_once(self) -> Any:
        """What spawn() gives, if that can be said at once; None."""
        if self.where == "any":
            return place(*self.call)
        worker = others.get(self.where)
        return None if worker is None else spawn(worker, *self.call)

    async def wait(self, wait: Wait) -> Any:
        """What spawn() gives; None: it stays here."""
        if self.where == "dedicated":
            return await self.dedicated(wait)
        if number() == 0:
            await _begin(wait, start())
        if self.where == "any":
            return self.at_once()
        self.check()
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            started = self.at_once()
            if started is not None:
                return started
            if time.monotonic() > deadline:
                raise TimeoutError(f"mote: worker {self.where} has not taken a process within {WAIT_SECONDS:.0f} s")
            await wait.sleep(0.001)

    def check(self) -> None:
        if self.where not in places and not (hub and self.where in range(1, hub.wanted)):  # one that is being started again is waited for
            known = sorted({*places, *([_stock.place] if _stock.place is not None else [])})
            raise ValueError(f"there is no worker {self.where!r}: place is 'here', 'any', 'dedicated' or the number of a worker, of which there are {known}")

    async def dedicated(self, wait: Wait) -> Any:
        """The hub starts a worker, which grants the process."""
        function, args, kwargs, link, monitor = self.call
        if number() == 0:
            start(1)
        alias = _mote.alias(True)
        try:
            _mote.send(keeper_name(0), (_stock.DEDICATE, _mote.self(), alias, _mote.awaits(function)))
            _, answer, what = await wait.receive((alias, ANY, ANY))
        except BaseException:
            _mote.unalias(alias)
            _mote.send(keeper_name(0), (_stock.CANCEL, alias))
            raise
        if answer != GRANTED:
            raise MoteError(f"mote: the process has no worker of its own: {what}")
        return order(what, sendable_path(function), args, kwargs, link, monitor)


def spawn_at(start: Start) -> Any:
    """For options(place=).spawn(). None: it stays here."""
    if not _mote.is_awaiting():
        return in_place("spawn", start.wait)
    started = None if start.where == "dedicated" else start.at_once()
    if started is None and start.where != "any":
        if start.where != "dedicated" and places:
            start.check()
        raise MoteError(f"mote: place={start.where!r} has to be waited for: in a coroutine `await mote.options(place={start.where!r}).aio.spawn(...)`")
    return started


def aio_spawn_at(start: Start) -> Coroutine[Any, Any, Any]:
    """The same, to be awaited."""
    return awaited("spawn", start.wait)
