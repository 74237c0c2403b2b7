# SPDX-License-Identifier: Apache-2.0
"""Workers: more interpreters of the node, each an OS process, so that Python uses all cores. Imported when the first is wanted.

Here is what starts and ends them (_hub.py does it), and where a process goes (_stock.py starts it). docs/design/workers.md says how it works.
"""
from __future__ import annotations

import atexit
import os
import time

from mote import _mote
from mote._hub import START_SECONDS, WORKERS_MAX, Hub
from mote._stock import _stocks, number, others, spawn
from mote._travel import path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional


WAIT_SECONDS = 10.0
membership: Any = None
hub: Optional[Hub] = None


def cores() -> int:
    """The cores that this program may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def idle() -> Optional[int]:
    """Another worker that has nothing to do, if there is one."""
    for worker in others:
        if _mote.worker_idle(membership, worker):
            return worker
    return None


def place(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Optional[dict[str, Any]], link: bool, monitor: bool) -> Any:
    """A plain spawn, where they may go to other workers: to one that is idle. None: it stays."""
    worker = idle() if path_of(function) else None
    return None if worker is None else spawn(worker, function, args, kwargs or {}, link, monitor)


def begin(count: Optional[int] = None, spreads: bool = False) -> Hub:
    """The hub of the running node, whose workers are started if they have not been. Waits for them."""
    global hub, membership
    if number() != 0:
        raise _mote.MoteError("mote: only the program itself can start workers, not a worker")
    if hub is None:
        count = cores() if count is None else count
        if not 1 < count <= WORKERS_MAX:
            raise ValueError(f"workers is a number from 2 to {WORKERS_MAX}")
        hub = Hub(count, spreads)
        membership = hub.membership
        atexit.register(end)
        if spreads:
            _mote._set("place", place)
    elif count is not None:
        hub.grow(count)
    if not hub.wait(START_SECONDS):
        raise TimeoutError(f"mote: the workers have not started within {START_SECONDS:.0f} s; what they have written says why")
    return hub


def end(seconds: float = 5.0) -> Optional[Callable[[], None]]:
    """Ends the workers, if there are any. Gives what has to be called when the node has stopped."""
    global hub, membership
    if hub is None:
        return None
    _mote._set("place", None)
    hub.stop(seconds)
    left, hub, membership = membership, None, None
    others.clear()
    _stocks.clear()
    atexit.unregister(end)

    def leave() -> None:
        _mote.worker_leave(left)

    return leave


def spawn_at(where: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool) -> Any:
    """For options(place=). None: it stays here."""
    me = number()
    if where == "here" or where == me:
        return None
    if me == 0 and hub is None:
        begin()
    if where == "any":
        return place(function, args, kwargs, link, monitor)
    if where not in others and where not in _stocks:  # one that is being started again is waited for
        raise ValueError(f"there is no worker {where!r}: place is 'here', 'any' or the number of a worker, of which there are {sorted({me, *others})}")
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        started = spawn(where, function, args, kwargs, link, monitor) if where in others else None
        if started is not None:
            return started
        if _mote.is_awaiting():
            raise _mote.MoteError(f"mote: worker {where} is not ready for so many processes at once; await something, mote.aio.sleep(0.01), and try again")
        if time.monotonic() > deadline:
            raise TimeoutError(f"mote: worker {where} has not taken a process within {WAIT_SECONDS:.0f} s")
        _mote.sleep(0.001)
