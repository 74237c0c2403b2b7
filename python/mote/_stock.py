# SPDX-License-Identifier: Apache-2.0
"""Which other workers there are, and how processes are started in them without waiting: each worker grants the others some in advance, which wait to be told what
they are. The worker's *keeper* is the process that grants them; it also does what only the worker itself can do for others.

Y1 a granted process is told once what it is, or that it is given back, or it ends with the keeper that it was granted to. So when a worker *retires* (it grants nothing more, and
the others give back what they have) it has no processes but those that somebody wanted.
Y2 who says so is of this node: he knows its secret, which is never sent to another. (Hidden to others like a keeper it cannot be: whom it is told to may be
in another node, and write to it before it has heard what it is.)
"""
from __future__ import annotations

import time
from collections import deque

from mote import _mote
from mote._control import HERE, HIDDEN
from mote._errors import Exit
from mote._mote import ANY, Atom, NoProc, Pid, Ref
from mote._travel import call_of, function_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from mote._wait import Wait

BATCH, BATCH_MAX = 128, 4096
CALL_SECONDS = 5.0  # for a keeper's answer
_MORE, _PIDS, _ORDER, _BACK = Atom("more"), Atom("pids"), Atom("$mote_spawn"), Atom("$mote_back")
OK, _CALL, _PLACE, _STARTED = Atom("ok"), Atom("$gen_call"), Atom("$mote_place"), Atom("$started")
DEDICATE, CANCEL, MOVED = Atom("dedicate"), Atom("cancel"), Atom("$mote_moved")

place: Optional[int] = 0  # this interpreter's own; None: it is dedicated to a process
others: dict[int, int] = {}  # the numbers of the other workers by their places: those where processes may be started
present: set[int] = set()  # the numbers of all that are there
places: set[int] = set()  # all there have ever been
hidden: list[Callable[..., Any]] = []  # functions whose processes are this node's own: others do not reach them
listeners: set[Pid[Any]] = set()  # are told MOVED when a place has another worker
_stocks: dict[int, Stock] = {}
_secret = b""


def share(secret: bytes) -> None:
    """All workers of the node have it."""
    global _secret
    _secret = secret


def number() -> int:
    """This interpreter's number among the workers; 0: the hub."""
    return _mote.worker_of(_mote.self())


def came(worker: int, its_place: Optional[int]) -> None:
    present.add(worker)
    if its_place is None:
        return
    places.add(its_place)
    others[its_place] = worker
    for pid in tuple(listeners):
        _mote.send(pid, MOVED)


def retired(worker: int) -> None:
    """It takes no processes any more."""
    stock_of(worker).retire()


def gone(worker: int) -> None:
    present.discard(worker)
    for its_place, its_number in tuple(others.items()):
        if its_number == worker:
            del others[its_place]
    stock = _stocks.pop(worker, None)
    if stock is not None:
        stock.retire()


def forget() -> None:
    """The node ends."""
    others.clear()
    present.clear()
    places.clear()
    listeners.clear()
    _stocks.clear()


# ------------------------------------------------------------------------------------------------------ stocks


class Stock:
    """Processes of another worker that wait for us to say what they are: functions, and coroutines."""

    def __init__(self, number: int):
        self.number = number
        self.kinds: tuple[deque[Pid[Any]], deque[Pid[Any]]] = (deque(), deque())
        self.asked = [0.0, 0.0]  # when, last, for what has not come yet
        self.batch = [BATCH, BATCH]
        self.retired = False

    def ask(self, coroutine: bool) -> None:
        now = time.monotonic()
        if self.retired or now - self.asked[coroutine] < 1.0:
            return
        try:
            _mote.send(keeper_name(self.number), (_MORE, _mote.whereis(keeper_name(number())), coroutine, self.batch[coroutine]))
            self.asked[coroutine] = now
        except NoProc:  # it is being started
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
        if self.retired:  # asked after it was put there: who retires it meanwhile may have found it empty
            self.retire()

    def retire(self) -> None:
        """Gives back what there is, and what comes."""
        self.retired = True
        for pids in self.kinds:
            while pids:
                try:
                    give_back(pids.popleft())
                except IndexError:  # somebody has taken the last one
                    break


def stock_of(worker: int) -> Stock:
    stock = _stocks.get(worker)
    return _stocks.setdefault(worker, Stock(worker)) if stock is None else stock


def spawn(worker: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool) -> Any:
    """Starts a process in another worker: its Pid, or (Pid, Ref). None: none is to be had now."""
    call = call_of(function, args, kwargs)
    pid = stock_of(worker).take(_mote.awaits(function))
    return None if pid is None else order(pid, *call, link, monitor)


def give_back(pid: Pid[Any]) -> None:
    _mote.send(pid, (_BACK, _secret))


def order(pid: Pid[Any], path: tuple[str, str], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool) -> Any:
    """Tells a granted process what it is. NotSendable: the arguments are no message, and the process is given back."""
    ref = _mote.monitor(pid) if monitor else None
    if link:
        _mote.link(pid)
    try:
        _mote.send(pid, (_ORDER, _secret, *path, args, kwargs))
    except BaseException:
        if ref is not None:
            _mote.demonitor(ref, True)
        if link:
            _mote.unlink(pid)
        give_back(pid)
        raise
    return (pid, ref) if monitor else pid


# ------------------------------------------------------------------------------------------------- the keeper


async def register_there(wait: Wait, name: str, pid: Pid[Any]) -> None:
    """register() of another worker's process."""
    _mote.whereis(name)  # TypeError: it is no name
    try:
        answer, what = await wait.call(keeper_name(_mote.worker_of(pid)), ("register", name, pid), CALL_SECONDS)
    except NoProc:
        raise NoProc("mote.register: the process has ended, and its worker too") from None
    if answer != OK:
        raise (NoProc if answer == "NoProc" else ValueError)(what)


async def all_processes(wait: Wait, timeout: Optional[float]) -> list[Pid[Any]]:
    """Those of all workers that are there."""
    deadline = None if timeout is None else time.monotonic() + timeout
    found = _mote.processes()
    for worker in sorted(present):
        try:
            found += (await wait.call(keeper_name(worker), ("processes",), None if deadline is None else max(0.0, deadline - time.monotonic())))[1]
        except NoProc:  # it has ended meanwhile, and they with it
            pass
        except TimeoutError:
            raise TimeoutError(f"mote.processes: worker {worker} has not answered within {timeout} s; what it runs holds its interpreter") from None
    return found


recycle_after = 0  # in a worker: after so many orders the hub is told that it is worn; 0: never
worn: Callable[[], None] = lambda: None
_orders = 0
_retires = False


def keeper_name(worker: int) -> str:
    return f"mote keeper {worker}"


async def _keeper() -> None:
    from mote import aio

    doing: dict[Any, Any] = {_MORE: _grant, _PIDS: _granted, DEDICATE: _dedicate, CANCEL: _cancel, _CALL: _called}
    while True:
        message = await aio.receive()
        if type(message) is tuple and message and type(message[0]) is Atom and message[0] in doing:
            try:
                doing[message[0]](*message[1:])
            except _mote.MoteError as error:
                if "MOTE_ESTOPPED" not in str(error):
                    raise
                return  # the node is being ended, and nobody needs more processes


def start_keeper() -> None:
    _mote.register(keeper_name(number()), _mote.spawn_opt(_keeper, (), {}, *HIDDEN))


def stop_granting() -> None:
    """Grants no more processes."""
    global _retires
    _retires = True


def _grant(asker: Pid[Any], coroutine: bool, count: int) -> None:
    if not _retires:
        _mote.send(asker, (_PIDS, number(), coroutine, tuple(grant(asker, coroutine) for _ in range(min(count, BATCH_MAX)))))


def grant(asker: Pid[Any], coroutine: bool) -> Pid[Any]:
    """A process that waits to be told what it is, as long as the asker lives."""
    return _mote.spawn_opt(_becomes_coroutine if coroutine else _becomes_function, (asker,), {}, *HERE)  # type: ignore[no-any-return]


def _granted(worker: int, coroutine: bool, pids: tuple[Pid[Any], ...]) -> None:
    stock_of(worker).add(coroutine, pids)


def _called(caller: Any, request: Any) -> None:
    """What only a process here can do or tell."""
    does: dict[str, Callable[..., Any]] = {"register": _mote.register, "processes": _mote.processes}
    if type(request) is tuple and len(request) == 2 and request[0] == _PLACE:
        _place(caller, request[1])
        return
    try:
        what, *args = request
        answer = (OK, does[what](*args))
    except (ValueError, NoProc) as error:
        answer = (Atom(type(error).__name__), str(error))
    _mote.reply(caller, answer)


def _place(caller: Any, held: Any) -> None:
    from mote import _workers

    async def places() -> None:
        await _workers.place_child(caller, held)

    _mote.spawn_opt(places, (), {}, *HIDDEN)


def _dedicate(asker: Pid[Any], alias: Ref, coroutine: bool) -> None:
    _hub_asked("dedicate", asker, alias, coroutine)


def _cancel(alias: Ref) -> None:
    _hub_asked("cancel", alias)


def _hub_asked(what: str, *args: Any) -> None:
    from mote import _workers

    hub = _workers.hub
    if hub is not None:
        hub.ask(getattr(hub, what), *args)


def _awaited(watch: Ref) -> Any:
    return _mote.any_of((_ORDER, _secret, ANY, ANY, ANY, ANY), (_BACK, _secret), (Atom("DOWN"), watch, ANY, ANY, ANY))


def _becomes_function(asker: Pid[Any]) -> None:
    watch = _mote.monitor(asker)
    order = _mote.receive(_awaited(watch))
    if order[0] == _ORDER:
        function, args, kwargs = _begin(watch, *order[2:])
        function(*args, **kwargs)


async def _becomes_coroutine(asker: Pid[Any]) -> None:
    from mote import aio

    watch = _mote.monitor(asker)
    order = await aio.receive(_awaited(watch))
    if order[0] == _ORDER:
        function, args, kwargs = _begin(watch, *order[2:])
        await function(*args, **kwargs)


def _begin(watch: Any, module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    global _orders
    _mote.demonitor(watch, True)
    _orders += 1
    if _orders == recycle_after:
        worn()
    function = function_of(module, name)
    if any(function is own for own in hidden):
        _mote.set_reach(2)
    return function, args, kwargs


# -------------------------------------------------------------------------------------- children of supervisors


def _be_named(name: Optional[str]) -> None:
    if name is None:
        return
    try:
        _mote.register(name, _mote.self())
    except ValueError:
        raise Exit((Atom("mote_error"), Atom("MOTE_EBUSY"))) from None  # as tree.c has it


def child(supervisor: Pid[Any], name: Optional[str], path: tuple[str, str], behaves: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What a supervisor's child in another worker runs. A server says itself when it has started."""
    _be_named(name)
    function = function_of(*path)
    if behaves:
        function(supervisor, True, None, args, kwargs)
    else:
        _mote.send(supervisor, (_STARTED, _mote.self()))
        function(*args, **kwargs)


async def child_aio(supervisor: Pid[Any], name: Optional[str], path: tuple[str, str], behaves: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _be_named(name)
    function = function_of(*path)
    if behaves:
        await function(supervisor, True, None, args, kwargs)
    else:
        _mote.send(supervisor, (_STARTED, _mote.self()))
        await function(*args, **kwargs)
