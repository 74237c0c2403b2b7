# SPDX-License-Identifier: Apache-2.0
"""The functions of mote that wait, for coroutines: the same names, to be awaited."""
from __future__ import annotations

from mote import _gen, _mote
from mote._control import Info
from mote._mote import Atom
from mote._mote import aio_receive as receive
from mote._scope import scope
from mote._task import _first, _gather
from mote._wait import awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Optional, TypeVar

    from mote._control import Destination
    from mote._gen import Where
    from mote._mote import Pid, Ref
    from mote._task import Task

    T = TypeVar("T")

__all__ = [
    "blocking",
    "call",
    "first",
    "gather",
    "get_state",
    "get_status",
    "info",
    "mailbox",
    "receive",
    "replace_state",
    "resume",
    "scope",
    "sleep",
    "statistics",
    "suspend",
    "upgrade",
]


async def blocking(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """As mote.blocking()."""
    from mote import _blocking

    job = _blocking.start(function, args, kwargs)
    await receive(job.done)
    result: T = job.result()
    return result


async def mailbox(what: Any = _mote.ANY, *, timeout: Optional[float] = None) -> AsyncIterator[Any]:
    """`async for message in mote.aio.mailbox():`, as mote.mailbox()."""
    while True:
        try:
            message = await receive(what, timeout=timeout)
        except TimeoutError:
            return
        yield message


def call(to: Destination, request: Any, timeout: Optional[float] = 5.0) -> Awaitable[Any]:
    """As mote.call()."""
    return _mote.aio_call(to, request, timeout)


def first(tasks: Iterable[Task[T]], timeout: Optional[float] = None) -> Coroutine[Any, Any, T]:
    """As mote.first()."""
    return awaited("mote.first", _first, tasks, timeout)


def gather(tasks: Iterable[Task[T]], timeout: Optional[float] = None) -> Coroutine[Any, Any, list[T]]:
    """As mote.gather()."""
    return awaited("mote.gather", _gather, tasks, timeout)


async def sleep(seconds: float) -> None:
    """As mote.sleep()."""
    if seconds == 0:
        _mote.end_turn()
    await _mote.aio_receive(_skip, timeout=seconds, default=None)


def _skip(_: Any) -> Any:
    return _mote.SKIP


async def info(pid: Pid[Any], timeout: Optional[float] = 5.0) -> Info:
    """As mote.info()."""
    if pid == _mote.self():
        return Info(*_mote.process_info(pid, 0))
    key = _mote.make_ref()
    _, ref = _mote.spawn_monitor(_ask_info, pid, timeout, _mote.self(), key)
    told = await receive(_mote.any_of((key, _mote.ANY), (_gen.DOWN, ref, _mote.ANY, _mote.ANY, _mote.ANY)))
    _mote.demonitor(ref, True)
    found = told[1] if told[0] == key else told[4]
    if found == "timeout":
        raise TimeoutError("mote.info: the process has not answered in time")
    if found == "noproc" or told[0] != key:
        raise _gen.no_proc(found)
    return Info(pid, *found)


def _ask_info(pid: Pid[Any], timeout: Optional[float], asker: Pid[Any], key: Ref) -> None:
    """On a stack of its own: who asks for another's info waits in place."""
    found: Any = Atom("noproc")
    try:
        found = _mote.process_info(pid, timeout)[1:]
    except TimeoutError:
        found = "timeout"
    except _mote.NoProc:
        pass
    _mote.send(asker, (key, found))


async def get_state(server: Where, timeout: Optional[float] = 5.0) -> Any:
    """As mote.get_state()."""
    return _gen.value_of(await _mote.aio_system(_gen.where(server), _gen.GET_STATE, timeout))


async def replace_state(server: Where, state: Any, timeout: Optional[float] = 5.0) -> Any:
    """As mote.replace_state()."""
    return _gen.value_of(await _mote.aio_system(_gen.where(server), (_gen.REPLACE_STATE, state), timeout))


async def suspend(server: Where, timeout: Optional[float] = 5.0) -> None:
    """As mote.suspend()."""
    _gen.value_of(await _mote.aio_system(_gen.where(server), _gen.SUSPEND, timeout))


async def resume(server: Where, timeout: Optional[float] = 5.0) -> None:
    """As mote.resume()."""
    _gen.value_of(await _mote.aio_system(_gen.where(server), _gen.RESUME, timeout))


async def get_status(server: Where, timeout: Optional[float] = 5.0) -> _gen.Status:
    """As mote.get_status()."""
    return _gen.status_of(await _mote.aio_system(_gen.where(server), _gen.GET_STATUS, timeout))


async def statistics(server: Where, on: Optional[bool] = None, timeout: Optional[float] = 5.0) -> Any:
    """As mote.statistics()."""
    return _gen.statistics_of(await _mote.aio_system(_gen.where(server), _gen.statistics_request(on), timeout))


async def upgrade(server: Where, old_version: Any = None, extra: Any = None, timeout: Optional[float] = 5.0) -> None:
    """As mote.upgrade()."""
    await suspend(server, timeout)
    try:
        _gen.value_of(await _mote.aio_system(_gen.where(server), _gen.change_code(old_version, extra), timeout))
    finally:
        await resume(server, timeout)
