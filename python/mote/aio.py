# SPDX-License-Identifier: Apache-2.0
"""The functions of mote that wait, for coroutine processes: the same names, to be awaited."""
from __future__ import annotations

from mote import _mote
from mote._mote import aio_receive as receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Optional

    from mote._control import Destination

__all__ = ["call", "receive", "sleep"]


def call(to: Destination, request: Any, timeout: Optional[float] = 5.0) -> Awaitable[Any]:
    """As mote.call()."""
    return _mote.aio_call(to, request, timeout)


async def sleep(seconds: float) -> None:
    """Lets others run for a while; messages stay where they are."""
    await _mote.aio_receive(_skip, timeout=seconds, default=None)


def _skip(_: Any) -> Any:
    return _mote.SKIP
