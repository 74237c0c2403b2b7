# SPDX-License-Identifier: Apache-2.0
"""The functions of mote that wait, for coroutines: the same names, to be awaited."""
from __future__ import annotations

from mote import _cluster, _gen, _mote
from mote._control import _is_far
from mote._mote import aio_receive as receive
from mote._scope import scope
from mote._task import _first, _gather
from mote._wait import awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Optional, TypeVar, Union

    from mote._control import Destination, Info
    from mote._gen import Where
    from mote._mote import Pid
    from mote._task import Task

    T = TypeVar("T")

__all__ = [
    "blocking",
    "call",
    "connect",
    "first",
    "gather",
    "get_state",
    "get_status",
    "info",
    "is_alive",
    "mailbox",
    "ping",
    "processes",
    "receive",
    "register",
    "replace_state",
    "resume",
    "rpc",
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
    return awaited("first", _first, tasks, timeout)


def gather(tasks: Iterable[Task[T]], timeout: Optional[float] = None) -> Coroutine[Any, Any, list[T]]:
    """As mote.gather()."""
    return awaited("gather", _gather, tasks, timeout)


def connect(node: str, timeout: Optional[float] = 15.0) -> Coroutine[Any, Any, None]:
    """As mote.connect()."""
    return awaited("connect", _cluster._connect, node, timeout)


def ping(node: str, timeout: Optional[float] = 15.0) -> Coroutine[Any, Any, bool]:
    """As mote.ping()."""
    return awaited("ping", _cluster._ping, node, timeout)


def rpc(node: str, function: Union[str, Callable[..., object]], /, *args: Any, timeout: Optional[float] = 5.0) -> Coroutine[Any, Any, Any]:
    """As mote.rpc()."""
    from mote import _together

    return awaited("rpc", _together._rpc, node, function, args, timeout)


def sleep(seconds: float) -> Awaitable[None]:
    """As mote.sleep()."""
    return _mote.aio_sleep(seconds)


def is_alive(pid: Pid[Any]) -> Awaitable[bool]:
    """As mote.is_alive()."""
    return _mote.aio_is_alive(pid)


def info(pid: Pid[Any], timeout: Optional[float] = 5.0) -> Awaitable[Info]:
    """As mote.info()."""
    return _mote.aio_info(pid, timeout)


async def register(name: str, pid: Optional[Pid[Any]] = None) -> None:
    """As mote.register()."""
    if pid is None or not _is_far(pid):
        _mote.register(name, _mote.self() if pid is None else pid)
        return
    from mote import _stock

    await awaited("register", _stock.register_there, name, pid)


async def processes(*, timeout: Optional[float] = 5.0) -> list[Pid[Any]]:
    """As mote.processes()."""
    from mote import _stock

    return await awaited("processes", _stock.all_processes, timeout)


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
