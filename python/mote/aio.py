# SPDX-License-Identifier: Apache-2.0
"""The functions of mote that wait, for coroutine processes: the same names, to be awaited."""
from __future__ import annotations

from mote import _mote
from mote._mote import aio_receive as receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Awaitable, Callable, Optional, TypeVar

    from mote._control import Destination

    T = TypeVar("T")

__all__ = ["blocking", "call", "mailbox", "receive", "sleep"]


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


async def sleep(seconds: float) -> None:
    """Lets others run for a while; messages stay where they are."""
    await _mote.aio_receive(_skip, timeout=seconds, default=None)


def _skip(_: Any) -> Any:
    return _mote.SKIP
