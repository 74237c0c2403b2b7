# SPDX-License-Identifier: Apache-2.0
"""Workers: more interpreters of the node, each an OS process, so that Python uses all cores. Imported when the first is wanted.

Here is what starts and ends them (_hub.py does it), and where a process goes (_stock.py starts it). docs/design/workers.md says how it works.
"""
from __future__ import annotations

import atexit
import os
import time

from mote import _mote, _stock
from mote._errors import describe
from mote._hub import FULL, GRANTED, START_SECONDS, WORKERS_MAX, Hub, Plan
from mote._mote import ANY, Atom, MoteError
from mote._stock import forget, keeper_name, number, order, others, places, stock_of
from mote._travel import call_of, path_of
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from mote._mote import Pid
    from mote._travel import Call
    from mote._wait import Wait

_PLACED, _REFUSED, _GO = Atom("placed"), Atom("refused"), Atom("go")
WAIT_SECONDS = START_SECONDS
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
    path = path_of(function)
    if path is None:
        return None
    worker = idle()
    pid = None if worker is None else stock_of(worker).take(_mote.awaits(function))
    return None if pid is None else order(pid, path, args, kwargs or {}, link, monitor)


def call_for(where: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[Call]:
    """How a call travels to a place. None: it stays, as "any" lets it. NotSendable."""
    if where not in ("here", "any", _stock.place):
        return call_of(function, args, kwargs)
    path = path_of(function)
    return None if path is None else (path, args, kwargs)


class Start:
    """A process that is to be started somewhere, as options(place=) says."""

    def __init__(self, where: Any, call: Optional[Call], coroutine: bool):
        self.where, self.call, self.coroutine = where, call, coroutine
        self.stays = where == "here" or where == _stock.place and where is not None or call is None

    def take(self) -> Optional[Pid[Any]]:
        """A granted process, if there is one now."""
        worker = idle() if self.where == "any" else others.get(self.where)
        return None if worker is None else stock_of(worker).take(self.coroutine)

    async def granted(self, wait: Wait) -> Optional[Pid[Any]]:
        """A granted process; None: it stays here."""
        if self.where == "dedicated":
            return await self.dedicated(wait)
        if number() == 0:
            started = start()
            if not places or self.where not in ("any", *places):  # who has been there will be again: the others are not waited for
                await _begin(wait, started)
        if self.where == "any":
            return self.take()
        self.check()
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            pid = self.take()
            if pid is not None:
                return pid
            failure = hub.failure(self.where) if hub else None
            if failure is not None:
                raise MoteError(f"mote: {failure}")
            if time.monotonic() > deadline:
                why = hub.missing() if hub else None
                raise TimeoutError(f"mote: worker {self.where} has not taken a process within {WAIT_SECONDS:.0f} s" + (f"; {why}" if why else ""))
            await wait.sleep(0.001)

    def check(self) -> None:
        if self.where not in places and not (hub and self.where in range(1, hub.wanted)):  # one that is being started again is waited for
            known = sorted({*places, *([_stock.place] if _stock.place is not None else [])})
            raise ValueError(f"there is no worker {self.where!r}: place is 'here', 'any', 'dedicated' or the number of a worker, of which there are {known}")

    async def dedicated(self, wait: Wait) -> Pid[Any]:
        """The hub starts a worker, which grants the process."""
        if number() == 0:
            start(1)
        alias = _mote.alias(True)
        try:
            _mote.send(keeper_name(0), (_stock.DEDICATE, _mote.self(), alias, self.coroutine))
            answer: Any
            pid: Any
            _, answer, pid = await wait.receive((alias, ANY, ANY))
        except BaseException:
            _mote.unalias(alias)
            _mote.send(keeper_name(0), (_stock.CANCEL, alias))
            raise
        if answer != GRANTED:
            raise MoteError(f"mote: the process has no worker of its own: {pid}")
        return pid  # type: ignore[no-any-return]


def start_of(where: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Start:
    """The Start of function(*args, **kwargs) at a place. NotSendable."""
    return Start(where, call_for(where, function, args, kwargs), _mote.awaits(function))


def granted_now(to: Start) -> Optional[Pid[Any]]:
    """For options(place=).spawn(): a granted process. None: it stays here."""
    if to.stays:
        return None
    if not _mote.is_awaiting():
        return in_place("spawn", to.granted)
    if number() == 0 and to.where != "dedicated":
        start()
    pid = None if to.where == "dedicated" else to.take()
    if pid is None and to.where != "any":
        if to.where != "dedicated" and places:
            to.check()
        raise MoteError(f"mote: place={to.where!r} has to be waited for: in a coroutine `await mote.options(place={to.where!r}).aio.spawn(...)`")
    return pid


async def aio_granted(to: Start) -> Optional[Pid[Any]]:
    """The same, to be awaited."""
    return None if to.stays else await awaited("spawn", to.granted)


# ------------------------------------------------------------------------------------------------- supervisors


async def place_child(caller: Any, held: Any) -> None:
    """For a supervisor, which cannot run Python: finds a process for its child, and makes it that when the supervisor watches it. `held`: the specification
    (see _tree.py and tree.c), or that with the arguments of one dynamic start."""
    from mote import aio

    spec, more = held if len(held) == 2 else (held, ((), {}))
    kind, _, args, kwargs = spec[1:5]
    name, (where, call, behaves) = spec[6], spec[12]
    start = Start(where, call, kind == 1)
    try:
        pid = await aio_granted(start)
    except Exception as error:
        _mote.reply(caller, (_REFUSED, (Atom("place"), str(error))))
        return
    if pid is None:
        _mote.reply(caller, Atom("here"))
        return
    supervisor = caller[0]
    watch = _mote.monitor(supervisor)
    _mote.reply(caller, (_PLACED, pid, _mote.self()))
    message = await aio.receive(_mote.any_of((_GO, pid), (Atom("DOWN"), watch, ANY, ANY, ANY)))
    if message[0] != _GO:
        _stock.give_back(pid)
        return
    path, before, keywords = call
    try:
        runs = ("mote._stock", "child_aio" if start.coroutine else "child")
        order(pid, runs, (supervisor, name, path, behaves, (*before, *args, *more[0]), {**keywords, **(kwargs or {}), **more[1]}), {}, False, False)
    except Exception as error:
        _mote.exit_send(pid, describe(error))
