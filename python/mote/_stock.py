# SPDX-License-Identifier: Apache-2.0
"""Starting processes in other workers without waiting: each worker grants the others some in advance, which wait to be told what they are."""
from __future__ import annotations

import time
from collections import deque

from mote import _mote
from mote._mote import Atom, Pid
from mote._travel import function_of, sendable_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional


BATCH, BATCH_MAX = 128, 4096
_ORDER = Atom("$mote_spawn")
_MORE, _PIDS = Atom("more"), Atom("pids")


class Stock:
    """Processes of another worker that wait for us to say what they are: functions, and coroutines."""

    def __init__(self, number: int):
        self.number = number
        self.kinds: tuple[deque[Pid[Any]], deque[Pid[Any]]] = (deque(), deque())
        self.asked = [0.0, 0.0]  # when, last, for what has not come yet
        self.batch = [BATCH, BATCH]

    def ask(self, coroutine: bool) -> None:
        now = time.monotonic()
        if now - self.asked[coroutine] < 1.0:
            return
        try:
            _mote.send(_keeper_name(self.number), (_MORE, _mote.whereis(_keeper_name(number())), coroutine, self.batch[coroutine]))
            self.asked[coroutine] = now
        except _mote.NoProc:  # it is being started
            pass

    def take(self, coroutine: bool) -> Optional[Pid[Any]]:
        pids = self.kinds[coroutine]
        if len(pids) < self.batch[coroutine] // 2:
            self.ask(coroutine)
        try:
            return pids.popleft()
        except IndexError:
            self.batch[coroutine] = min(2 * self.batch[coroutine], BATCH_MAX)
            return None

    def add(self, coroutine: bool, pids: tuple[Pid[Any], ...]) -> None:
        self.kinds[coroutine].extend(pids)
        self.asked[coroutine] = 0.0

    def clear(self) -> None:
        self.asked = [0.0, 0.0]
        for pids in self.kinds:
            pids.clear()


_stocks: dict[int, Stock] = {}


def number() -> int:
    """This interpreter's number among the workers; 0: the hub."""
    return _mote.worker_of(_mote.self())


def stock_of(worker: int) -> Stock:
    stock = _stocks.get(worker)
    if stock is None:
        stock = _stocks[worker] = Stock(worker)
    return stock


def _keeper_name(worker: int) -> str:
    return f"mote keeper {worker}"


async def keeper() -> None:
    """Gives processes to the keepers of other workers, and takes theirs."""
    from mote import aio

    me = number()
    while True:
        message = await aio.receive()
        if message[0] == _MORE:
            _, asker, coroutine, count = message
            body = _becomes_coroutine if coroutine else _becomes_function
            try:
                pids = tuple(_mote.spawn_opt(body, (asker,), {}, *HERE) for _ in range(min(count, BATCH_MAX)))
            except _mote.MoteError as error:
                if "MOTE_ESTOPPED" not in str(error):
                    raise
                return  # the node is being ended, and nobody needs them
            _mote.send(asker, (_PIDS, me, coroutine, pids))
        elif message[0] == _PIDS:
            _, worker, coroutine, pids = message
            stock_of(worker).add(coroutine, pids)


def start_keeper() -> None:
    _mote.register(_keeper_name(number()), _mote.spawn_opt(keeper, (), {}, *HERE))


HERE = (False, False, None, 0, 0, 0, 0)  # of spawn_opt(): no link, no monitor, no name, no limit, ...

_ordered = _mote.any_of((_ORDER, _mote.ANY, _mote.ANY, _mote.ANY, _mote.ANY), (Atom("DOWN"), _mote.ANY, Atom("process"), _mote.ANY, _mote.ANY))


def _becomes_function(asker: Pid[Any]) -> None:
    """A process that waits to be told what it is; without the one who has the right to say so it ends."""
    watch = _mote.monitor(asker)
    order = _mote.receive(_ordered)
    if order[0] == _ORDER:
        _mote.demonitor(watch, True)
        _, module, name, args, kwargs = order
        function_of(module, name)(*args, **kwargs)


async def _becomes_coroutine(asker: Pid[Any]) -> None:
    from mote import aio

    watch = _mote.monitor(asker)
    order = await aio.receive(_ordered)
    if order[0] == _ORDER:
        _mote.demonitor(watch, True)
        _, module, name, args, kwargs = order
        await function_of(module, name)(*args, **kwargs)


def spawn(worker: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool) -> Any:
    """Starts a process in another worker: its Pid, or (Pid, Ref). None: none is to be had now."""
    path = sendable_path(function)
    pid = stock_of(worker).take(_mote.awaits(function))
    if pid is None:
        return None
    ref = _mote.monitor(pid) if monitor else None
    if link:
        _mote.link(pid)
    _mote.send(pid, (_ORDER, *path, args, kwargs))
    return (pid, ref) if monitor else pid


others: set[int] = set()  # numbers of the other workers that are there


def gone(worker: int) -> None:
    others.discard(worker)
    stock_of(worker).clear()
