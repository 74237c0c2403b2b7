# SPDX-License-Identifier: Apache-2.0
"""What waits, written once for both flavours: as an `async def` whose waiting is done by its first argument.

Functions and threads wait in place, so such a coroutine ends at its first step; coroutines await it.
"""
from __future__ import annotations

from mote import _mote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Coroutine, Optional, Protocol, TypeVar

    from mote._control import Destination

    _T = TypeVar("_T")

    class Wait(Protocol):
        def receive(self, what: Any, *, timeout: Optional[float] = None, default: Any = ...) -> Awaitable[Any]: ...
        def call(self, to: Destination, request: Any, timeout: Optional[float], /) -> Awaitable[Any]: ...
        def sleep(self, seconds: float, /) -> Awaitable[None]: ...
        def start_child(self, to: Destination, spec: Any, more: Any, timeout: Optional[float], /) -> Awaitable[Any]: ...


class _InPlace:
    async def receive(self, what: Any, **options: Any) -> Any:
        return _mote.receive(what, **options)

    async def call(self, to: Destination, request: Any, timeout: Optional[float], /) -> Any:
        return _mote.call(to, request, timeout)

    async def sleep(self, seconds: float, /) -> None:
        _mote.sleep(seconds)

    async def start_child(self, to: Destination, spec: Any, more: Any, timeout: Optional[float], /) -> Any:
        return _mote.start_child(to, spec, more, timeout)


class _Awaited:
    receive = staticmethod(_mote.aio_receive)
    call = staticmethod(_mote.aio_call)
    sleep = staticmethod(_mote.aio_sleep)
    start_child = staticmethod(_mote.aio_start_child)


_IN_PLACE: Wait = _InPlace()
_AWAITED: Any = _Awaited()


def in_place(name: str, steps: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> _T:
    """Does steps(wait, *args) for a function or a thread; gives its result. `name` is how the caller knows it."""
    _mote.may_wait(name, False)
    try:
        steps(_IN_PLACE, *args).send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    raise RuntimeError(f"{name}() has waited for something that is not mote's")


def awaited(name: str, steps: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> Coroutine[Any, Any, _T]:
    """The same, to be awaited by a coroutine process or a task of asyncio's."""
    _mote.may_wait(name, True)
    return steps(_AWAITED, *args)
