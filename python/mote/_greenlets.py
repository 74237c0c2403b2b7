# SPDX-License-Identifier: Apache-2.0
"""Functions as processes where the extension does not know how to give them stacks of their own: greenlets do that, several times slower.

Such a process is a coroutine that runs the function on a greenlet, and awaits for it what it waits for.
"""
from __future__ import annotations

from contextvars import copy_context

from mote import _mote
from mote._errors import ProcessExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine

_TELLINGS = 100  # as often a function may catch its end and wait again


def wrap(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The coroutine function that runs a plain one."""
    try:
        import greenlet  # type: ignore[import]
    except ImportError:
        raise _mote.MoteError(
            "mote: on this Python plain functions are processes only with greenlet (python3-greenlet): install it, or use `async def`"
        ) from None

    async def process(*args: Any, **kwargs: Any) -> None:
        _mote.green()
        flow = greenlet.greenlet(function)
        flow.gr_context = copy_context()
        wanted = flow.switch(*args, **kwargs)
        while not flow.dead:
            try:
                value = await wanted
            except GeneratorExit:  # it is closed
                _end(flow)
                raise
            except BaseException as e:
                wanted = flow.throw(e)
            else:
                wanted = flow.switch(value)

    process.__qualname__ = getattr(function, "__qualname__", "process")
    return process


def _end(flow: Any) -> None:
    for _ in range(_TELLINGS):
        try:
            flow.throw(ProcessExit("killed"))
        except BaseException:
            return
        if flow.dead:
            return


def wait(wanted: Any) -> Any:
    """Lets the process's coroutine await something; gives what it gave."""
    import greenlet

    return greenlet.getcurrent().parent.switch(wanted)
