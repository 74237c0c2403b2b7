# SPDX-License-Identifier: Apache-2.0
"""The functions of mote that wait, for coroutine processes: the same names, to be awaited."""
from __future__ import annotations

from mote import _mote
from mote._mote import aio_receive as receive
from mote._scope import aio_scope as scope
from mote._task import _first, _gather
from mote._wait import awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Optional, TypeVar

    from mote._control import Destination
    from mote._task import Task

    T = TypeVar("T")

__all__ = ["blocking", "call", "first", "gather", "mailbox", "receive", "scope", "sleep"]


async def blocking(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """As mote.blocking()."""
    from mote import _blocking

    job = _blocking.start(function, args, kwargs)
    await receive(job.done)
    return job.result()


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
