# SPDX-License-Identifier: Apache-2.0
"""Machine: a server whose answer to an event depends on the state it is in, as Erlang's gen_statem.

The order of things is gen_statem's, and that of src/lib/machine.c: M1 events are handled in the order of the queue, which goes before messages. A
change of state puts the postponed ones in front, oldest first; inserted ones go in front of these. M2 timeouts of 0 come when the queue is empty,
before any message. M3 a timer's message is known by its number, so that one that was too late to cancel is nobody's.
"""
from __future__ import annotations

from collections import deque, namedtuple

from mote import _mote
from mote._errors import Exit
from mote._gen import CALL, CAST, NOTHING, SYSTEM, Behaviour, aio_stop, done, is_async, stop
from mote._mote import Atom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, ClassVar, NamedTuple, Optional, Type, TypeVar, Union, overload

    from mote._gen import Place

    F = TypeVar("F", bound=Callable[..., Any])
    M = TypeVar("M", bound="Machine")

    class Event(NamedTuple):
        kind: Any
        content: Any = None
        caller: Any = None

else:
    Event = namedtuple("Event", "kind content caller", defaults=(None, None), module=__name__)

    def overload(function):
        return None


Event.__doc__ = """What happens to a machine: `case ("call", ("unlock", code), caller)`.

kind: "call", "cast", "info" (any other message), "internal" (of next_event()), "timeout", "state_timeout", ("timeout", name) of a named timeout,
"enter" (the state has been entered; content is the state before).
"""

_TIMER = Atom("$mote_timer")
_IN_ONE_GO = 256  # events of the queue; then the mailbox is looked at


@overload
def state(method: F, /) -> F: ...
@overload
def state(*, enter: bool = False) -> Callable[[F], F]: ...
def state(method: Any = None, /, *, enter: bool = False) -> Any:
    """`@mote.state` before a method of a Machine: it is a state, and gets the events that come in it. `@mote.state(enter=True)`: also an "enter"
    event, each time the machine comes into it."""

    def mark(method: Any) -> Any:
        method._mote_state = enter
        return method

    return mark if method is None else mark(method)


class Machine(Behaviour):
    """A machine's class: its states are methods marked with `@mote.state`, which get the events one at a time.

        class Door(mote.Machine):
            def init(self, code):
                self.code = code
                return self.locked  # the first state

            @mote.state
            def locked(self, event):
                match event:
                    case ("call", ("unlock", code), _):
                        self.reply(code == self.code)
                        if code == self.code:
                            self.state_timeout(10)
                            self.next(self.open)

            @mote.state
            def open(self, event):
                match event:
                    case ("state_timeout", _, _):
                        self.next(self.locked)
                    case ("call", _, _):
                        self.postpone()

        door = Door.start("1234")
        door.call(("unlock", "1234"))  # True

    What a method asks for by next(), repeat(), postpone(), next_event() and the timeouts happens when it has returned, in gen_statem's order: the
    event is postponed, the state changes, events are inserted, timeouts start. Without next() the state is kept. An event that a method does nothing
    with is dropped. In states without a method (next() takes any value that can be sent) handle_event(event) is called; self.state says which it is.

    It starts, stops and tells its state as a Server, with coroutine processes too: a class with an `async def` among its states is one.
    """

    _mote_states: ClassVar[dict[str, tuple[Callable[..., Any], bool]]] = {}
    _mote_engine: _Engine

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        cls._mote_states = dict(cls._mote_states)
        for name, method in vars(cls).items():
            enter = getattr(method, "_mote_state", None)
            if enter is not None and hasattr(Machine, name):
                raise TypeError(f"{cls.__name__}.{name}: every machine has a {name} of its own; call the state something else")
            if enter is not None:
                cls._mote_states[name] = (method, enter)
            elif name in cls._mote_states:
                cls._mote_states[name] = (method, cls._mote_states[name][1])
        own = (*(method for method, _ in cls._mote_states.values()), cls.init, cls.terminate, cls.handle_event)
        cls._mote_is_async = any(map(is_async, own))

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Makes the data, and returns the first state; may set timeouts and insert events."""
        raise NotImplementedError(f"{type(self).__name__} has no init(), which returns the first state")

    def handle_event(self, event: Event) -> Any:
        """Gets the events of states that have no method."""
        raise Exit((Atom("bad_state"), self.state))

    # ------------------------------------------------------------------------------- for the states' methods

    @property
    def state(self) -> Any:
        """The state it is in: a method's name, or the value that next() got."""
        return self._mote_engine.state

    def next(self, state: Any) -> None:
        """To another state: one of the methods, its name, or any value. If it is not the one it is in, the state timeout is cancelled, and
        postponed events are tried again before newer ones."""
        self._mote_engine.ask_step("next", state)

    def repeat(self) -> None:
        """Keeps the state, and enters it again."""
        self._mote_engine.ask_step("repeat", None)

    def postpone(self) -> None:
        """Keeps the event in hand until the state changes; then it comes again."""
        self._mote_engine.ask_postpone()

    def next_event(self, content: Any, kind: str = "internal") -> None:
        """Inserts an event that is handled before all that wait; several in this order. kind: internal, cast or info."""
        self._mote_engine.ask_event(kind, content)

    def timeout(self, seconds: Optional[float], content: Any = None) -> None:
        """A "timeout" event if none comes for so long; any event cancels it. 0: at once, if no event is there. None: cancels."""
        self._mote_engine.ask_timeout("timeout", seconds, content)

    def state_timeout(self, seconds: Optional[float], content: Any = None) -> None:
        """A "state_timeout" event after so long; a change of state cancels it. 0: after the events that are there. None: cancels."""
        self._mote_engine.ask_timeout("state_timeout", seconds, content)

    def named_timeout(self, name: Any, seconds: Optional[float], content: Any = None) -> None:
        """A ("timeout", name) event after so long, whatever comes meanwhile; one for each name, a hashable value. None: cancels."""
        self._mote_engine.ask_timeout(("timeout", name), seconds, content)

    def reply(self, value: Any, caller: Any = None) -> None:
        """Answers a call: the event in hand, or one whose event.caller was kept."""
        self._mote_engine.reply(value, caller)

    # ------------------------------------------------------------------------------------ the caller's side

    def call(self, request: Any, timeout: Optional[float] = 5.0) -> Any:
        """Asks the machine, by a "call" event, and waits for its answer. As mote.call()."""
        return _mote.call(self.pid, request, timeout)

    def cast(self, message: Any) -> None:
        """Tells the machine, by a "cast" event."""
        _mote.cast(self.pid, message)

    @classmethod
    def _mote_proxy(cls, where: Place) -> Any:
        return MachineProxy(cls, where)

    # ----------------------------------------------------------------------------------------- the process

    @classmethod
    def _mote_begin(cls, starter: Any, linked: bool, name: Optional[str]) -> Any:
        machine = super()._mote_begin(starter, linked, name)
        if machine is not None:
            machine._mote_engine = _Engine(machine)
        return machine

    def _mote_check(self, first: Any) -> None:
        self._mote_engine.state = self._mote_engine.state_of(first)

    def _mote_run(self, first: Any) -> None:
        try:
            self._mote_engine.run(_receive_now).send(None)
        except StopIteration:
            return
        raise RuntimeError("a machine without `async def` cannot await")

    async def _mote_run_async(self, first: Any) -> None:
        await self._mote_engine.run(_mote.aio_receive)

    def _mote_told_state(self, state: Any) -> Any:
        return (Atom(self.state) if isinstance(self.state, str) else self.state, state)

    def _mote_set_told_state(self, state: Any) -> None:
        which, data = state
        which = self._mote_engine.state_of(which)
        self.replace_state(data)
        self._mote_engine.state = which

    def _mote_upgrade(self, old_version: Any, extra: Any) -> None:
        try:
            super()._mote_upgrade(old_version, extra)
        except BaseException:
            self._mote_engine.forget()
            raise
        self._mote_engine.take_step_quietly()


async def _receive_now(*what: Any, **how: Any) -> Any:
    """In a function: waits here and now, so that the engine is written once."""
    return _mote.receive(*what, **how)


class _Timeout:
    __slots__ = ("number", "seconds", "ref", "content")

    def __init__(self, number: int, seconds: float, content: Any):
        self.number, self.seconds, self.content = number, seconds, content
        self.ref = _mote.send_after(seconds, _mote.self(), (_TIMER, number)) if seconds > 0 else None


class _Engine:
    """The queue of a machine's events, and what follows from each."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.state: Any = None
        self.event: Optional[Event] = None  # in hand
        self.entering = False
        self.queue: deque[Event] = deque()
        self.postponed: list[Event] = []
        self.running: dict[Any, _Timeout] = {}  # oldest first
        self.numbers = 0
        self.forget()

    def forget(self) -> None:
        """What the method that runs has asked for."""
        self.step: Optional[tuple[str, Any]] = None
        self.postpones = False
        self.inserted: list[Event] = []
        self.asked: list[tuple[Any, Optional[float], Any]] = []

    # ------------------------------------------------------------------------------------ what methods ask for

    def state_of(self, state: Any) -> Any:
        """A state as it is kept: of a method its name."""
        machine = type(self.machine)
        name = getattr(state, "__name__", state) if callable(state) else state
        if isinstance(name, str):
            name = str(name)
            if name in machine._mote_states:
                return name
        if callable(state) or name is None or machine.handle_event is Machine.handle_event:
            raise TypeError(f"{name!r} is no state of {machine.__name__}; it has {', '.join(machine._mote_states) or 'none'}")
        return name

    def ask_step(self, kind: str, state: Any) -> None:
        if self.entering:
            raise RuntimeError("when a state is entered it cannot be left yet; self.next_event() is not possible either, self.state_timeout(0) is")
        self.step = (kind, self.state_of(state) if kind == "next" else None)

    def ask_postpone(self) -> None:
        if self.event is None or self.entering:
            raise RuntimeError("there is no event to postpone")
        self.postpones = True

    def ask_event(self, kind: str, content: Any) -> None:
        if kind not in ("internal", "cast", "info"):
            raise ValueError(f"{kind!r} is none of internal, cast, info")
        if self.entering:
            raise RuntimeError("when a state is entered no event can be inserted; self.state_timeout(0) is possible")
        self.inserted.append(Event(kind, content))

    def ask_timeout(self, key: Any, seconds: Optional[float], content: Any) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"seconds from 0 on are needed, or None, not {seconds!r}")
        self.asked.append((key, seconds, content))

    def reply(self, value: Any, caller: Any) -> None:
        if caller is None:
            caller = self.event.caller if self.event is not None else None
        if caller is None:
            raise TypeError("the event is no call: reply(value, caller) needs a caller")
        _mote.reply(caller, value)
        agenda = self.machine._mote_agenda
        if agenda is not None and agenda.counting:
            agenda.messages_out += 1

    # --------------------------------------------------------------------------------------- what follows

    async def run(self, receive: Callable[..., Awaitable[Any]]) -> None:
        machine = self.machine
        await self.enter(self.state)
        self.insert_and_start()
        while True:
            agenda = machine._mote_agenda
            suspended = agenda is not None and agenda.suspended
            more = not suspended and await self.work_off()
            if more or agenda is not None:
                wanted = machine._mote_wanted() if suspended else _mote.ANY
                message = await receive(wanted, timeout=0 if more else None, default=NOTHING)
            else:
                message = await receive()
            if message is not NOTHING:
                self.arrived(message)

    def arrived(self, message: Any) -> None:
        machine = self.machine
        head, size = (message[0], len(message)) if type(message) is tuple and message else (None, 0)
        if head is SYSTEM and size == 3:
            machine._mote_system(message[1], message[2])
            return
        if head is _TIMER and size == 2:
            self.fired(message[1])
            return
        if machine._mote_is_of_parent(message):
            raise Exit(message[2])
        agenda = machine._mote_agenda
        if agenda is not None and agenda.counting:
            agenda.messages_in += 1
        if head is CALL and size == 3:
            self.queue.append(Event("call", message[2], message[1]))
        elif head is CAST and size == 2:
            self.queue.append(Event("cast", message[1]))
        else:
            self.queue.append(Event("info", message))

    def fired(self, number: int) -> None:
        """M3"""
        for key, timeout in self.running.items():
            if timeout.number == number:
                self.queue.append(Event(key, timeout.content))
                del self.running[key]
                return

    def due(self) -> bool:
        """M2: the oldest timeout of 0 becomes an event."""
        for key, timeout in self.running.items():
            if timeout.seconds <= 0:
                self.queue.append(Event(key, timeout.content))
                del self.running[key]
                return True
        return False

    async def work_off(self) -> bool:
        """Some of the queue; whether there is more."""
        for _ in range(_IN_ONE_GO):
            if not self.queue and not self.due():
                return False
            await self.deliver(self.queue.popleft())
        return True

    async def deliver(self, event: Event) -> None:
        self.cancel("timeout")
        self.event = event
        await self.call_back(event)
        if self.postpones:
            self.postponed.append(event)
        self.event = None
        await self.change_state()
        self.insert_and_start()

    async def call_back(self, event: Event) -> None:
        machine = self.machine
        known = type(machine)._mote_states.get(self.state) if isinstance(self.state, str) else None
        await done(known[0](machine, event) if known is not None else machine.handle_event(event))

    async def change_state(self) -> None:
        kind, state = self.step or ("keep", None)
        before = self.state
        if kind == "next" and state != before:
            self.state = state
            self.cancel("state_timeout")
            self.queue.extendleft(reversed(self.postponed))
            self.postponed.clear()
            await self.enter(before)
        elif kind == "repeat":
            await self.enter(before)

    async def enter(self, before: Any) -> None:
        known = type(self.machine)._mote_states.get(self.state) if isinstance(self.state, str) else None
        if known is None or not known[1]:
            return
        self.entering = True
        await self.call_back(Event("enter", before))
        self.entering = False

    def insert_and_start(self) -> None:
        self.queue.extendleft(reversed(self.inserted))
        for key, seconds, content in self.asked:
            self.cancel(key)
            if seconds is not None:
                self.numbers += 1
                self.running[key] = _Timeout(self.numbers, seconds, content)
        self.forget()

    def cancel(self, key: Any) -> None:
        timeout = self.running.pop(key, None)
        if timeout is not None and timeout.ref is not None:
            _mote.cancel(timeout.ref)

    def take_step_quietly(self) -> None:
        """After an upgrade: the state it has asked for, which is not entered."""
        if self.step is not None and self.step[0] == "next":
            self.state = self.step[1]
        self.insert_and_start()


# ------------------------------------------------------------------------------------------------------- proxies


class MachineProxy:
    """A machine as its callers see it; type checkers see its class. In messages: proxy.pid, and Class.at(pid) there."""

    __slots__ = ("_cls", "pid")

    def __init__(self, cls: Type[Machine], pid: Place):
        self._cls, self.pid = cls, pid

    def call(self, request: Any, timeout: Optional[float] = 5.0) -> Any:
        return _mote.call(self.pid, request, timeout)

    def cast(self, message: Any) -> None:
        _mote.cast(self.pid, message)

    def stop(self, reason: Any = "normal", timeout: Optional[float] = 5.0) -> None:
        stop(self.pid, reason, timeout)

    @property
    def aio(self) -> AioMachineProxy:
        return AioMachineProxy(self._cls, self.pid)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, MachineProxy) and self.pid == other.pid

    def __hash__(self) -> int:
        return hash(self.pid)

    def __repr__(self) -> str:
        return f"<{self._cls.__name__} machine {self.pid!r}>"


class AioMachineProxy:
    """The same for coroutine processes: what its methods give is to be awaited."""

    __slots__ = ("_cls", "pid")

    def __init__(self, cls: Type[Machine], pid: Place):
        self._cls, self.pid = cls, pid

    def call(self, request: Any, timeout: Optional[float] = 5.0) -> Awaitable[Any]:
        return _mote.aio_call(self.pid, request, timeout)

    def stop(self, reason: Any = "normal", timeout: Optional[float] = 5.0) -> Awaitable[None]:
        return aio_stop(self.pid, reason, timeout)


__all__ = ["Event", "Machine", "state"]
