# SPDX-License-Identifier: Apache-2.0
"""Server: a process that keeps a state and answers calls, as Erlang's gen_server. Callers may be Python, C or Erlang."""
from __future__ import annotations

from time import monotonic

from mote import _mote
from mote._errors import Exit
from mote._gen import CALL, CAST, NOTHING, SYSTEM, Behaviour, aio_stop, done, ending, is_async, stop
from mote._mote import Atom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, ClassVar, NoReturn, Optional, Type, TypeVar

    from mote._gen import Agenda, Place
    from mote._mote import Pattern, Pid

    S = TypeVar("S", bound="Server")

_CALLBACKS = ("init", "terminate", "timeout", "continue_")
_WAY_CALL, _WAY_AWAIT, _WAY_CAST = 0, 1, 2


def _text(name: Any) -> Any:
    """Other nodes' str come as bytes."""
    return name.decode(errors="replace") if type(name) is bytes else name


class _NoReply:
    def __repr__(self) -> str:
        return "mote.NoReply"


NoReply: NoReturn = _NoReply()  # type: ignore[assignment]  # what a call's method returns that replies later, whatever its type is


class Server(Behaviour):
    """A server's class: its methods marked with `@mote.call`, `@mote.cast` and `@mote.info` are what others may ask of it.

        class Counter(mote.Server):
            def init(self, start=0):
                self.n = start

            @mote.call
            def add(self, k: int) -> int:
                self.n += k
                return self.n

            @mote.cast
            def reset(self) -> None:
                self.n = 0

            @mote.info("tick")
            def on_tick(self, message):
                self.n += 1

        counter = Counter.start(10)
        counter.add(5)  # 15
        counter.cast.reset()

    On what start() gives, calls wait five seconds for their answer (`counter.within(60).add(5)`: a minute), then TimeoutError is raised; NoProc(reason)
    when the server has ended. In coroutine processes: `counter = await Counter.aio.start(10)`, `await counter.aio.add(5)`.

    Everything runs in the server's process, one message at a time. A class with an `async def` among these methods or init, terminate, timeout and
    continue_ is a coroutine process: its methods wait by `await` only, and plain ones among them not at all. Other classes are functions on
    stacks of their own, whose methods may wait wherever they like. `self.caller` is whose call it is, for mote.reply(); a method that replies later
    returns mote.NoReply. Requests that nobody has a method for end the server, with (bad_call, request); messages are dropped. As gen_server.
    """

    _mote_calls: ClassVar[dict[str, Callable[..., Any]]] = {}
    _mote_casts: ClassVar[dict[str, Callable[..., Any]]] = {}
    _mote_infos: ClassVar[tuple[tuple[Optional[Pattern], Callable[..., Any]], ...]] = ()
    caller: Any = None

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        cls._mote_calls, cls._mote_casts = dict(cls._mote_calls), dict(cls._mote_casts)
        infos: list[tuple[Optional[Pattern], Callable[..., Any]]] = []
        for name, method in vars(cls).items():
            if getattr(method, "_mote_call", False) or name in cls._mote_calls:
                cls._mote_calls[name] = _allowed(cls, name, method)
            if getattr(method, "_mote_cast", False) or name in cls._mote_casts:
                cls._mote_casts[name] = _allowed(cls, name, method)
            infos += [(None if spec is _mote.ANY else _mote.pattern(spec), method) for spec in getattr(method, "_mote_info", ())]
        cls._mote_infos = tuple(sorted((*infos, *cls._mote_infos), key=lambda info: info[0] is None))
        own = [*cls._mote_calls.values(), *cls._mote_casts.values(), *(method for _, method in cls._mote_infos), *(getattr(cls, name) for name in _CALLBACKS)]
        cls._mote_is_async = any(map(is_async, own))

    def timeout(self) -> Any:
        """Called when no message has come for as long as set_timeout() has said."""

    def continue_(self, what: Any) -> Any:
        """Called before the next message, after continue_with(what)."""

    def set_timeout(self, seconds: Optional[float]) -> None:
        """timeout() is called if no message comes for so many seconds after the method that runs; any message ends that. None: not at all."""
        self._mote_make_agenda().deadline = None if seconds is None else monotonic() + seconds

    def continue_with(self, what: Any) -> None:
        """After the method that runs (and its reply), and before any message, continue_(what) is called: so that init need not take long."""
        self._mote_make_agenda().todo.append(what)

    # ---------------------------------------------------------------------------------- the caller's side

    @property
    def cast(self: S) -> S:
        """Its casts: `server.cast.method()` tells it, and does not wait."""
        return _View(type(self), self.pid, None, _WAY_CAST)  # type: ignore[return-value]

    def within(self: S, seconds: Optional[float]) -> S:
        """The same server, whose calls wait for so many seconds (None: for ever) instead of five."""
        return self

    @classmethod
    def _mote_proxy(cls, where: Place) -> Any:
        return Proxy(cls, where)

    # ---------------------------------------------------------------------------------------- the process

    def _mote_run(self, first: Any) -> None:
        receive, reply, calls = _mote.receive, _mote.reply, self._mote_calls
        while True:
            agenda = self._mote_agenda
            message = receive() if agenda is None else self._mote_next(agenda)
            head = message[0] if type(message) is tuple and message else None
            if head is CALL and len(message) == 3:
                self.caller, request = message[1], message[2]
                method = calls.get(request[0]) if type(request) is tuple and request else None
                answer = method(self, *request[1:]) if method is not None else self._mote_odd("call", request)
                if answer is not NoReply:
                    reply(message[1], answer)
                    if agenda is not None and agenda.counting:
                        agenda.messages_out += 1
            elif head is CAST and len(message) == 2:
                self._mote_odd("cast", message[1])
            elif head is SYSTEM and len(message) == 3:
                self._mote_system(message[1], message[2])
                calls = self._mote_calls
            elif message is not NOTHING:
                self._mote_other(message)
            message = request = answer = None  # which may be large, are not kept while it waits

    @classmethod
    async def _mote_serve_async(cls, starter: Pid[Any], linked: bool, name: Optional[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """In one frame, which keeps nothing of the start: there may be a million of them."""
        self, _ = await cls._mote_begin_async(starter, linked, name, args, kwargs)
        del starter, linked, name, args, kwargs, _
        if self is None:
            return
        try:
            while True:
                agenda = self._mote_agenda
                message = await (_mote.aio_receive() if agenda is None else self._mote_next_async(agenda))
                head = message[0] if type(message) is tuple and message else None
                if head is CALL and len(message) == 3:
                    self.caller = message[1]
                    answer = await done(self._mote_odd("call", message[2]))
                    if answer is not NoReply:
                        _mote.reply(message[1], answer)
                        if agenda is not None and agenda.counting:
                            agenda.messages_out += 1
                elif head is CAST and len(message) == 2:
                    await done(self._mote_odd("cast", message[1]))
                elif head is SYSTEM and len(message) == 3:
                    self._mote_system(message[1], message[2])
                elif message is not NOTHING:
                    await done(self._mote_other(message))
                message = head = answer = None  # which may be large, are not kept while it waits
        except GeneratorExit:  # killed
            raise
        except BaseException as e:
            await done(self.terminate(ending(e)))
            raise

    def _mote_next(self, agenda: Agenda) -> Any:
        """The next message; NOTHING: something else was due."""
        if agenda.todo and not agenda.suspended:
            self.continue_(agenda.todo.pop(0))
            return NOTHING
        message = _mote.receive(self._mote_wanted() if agenda.suspended else _mote.ANY, timeout=agenda.seconds(), default=NOTHING)
        if agenda.is_over(message):
            self.timeout()
        return message

    async def _mote_next_async(self, agenda: Agenda) -> Any:
        if agenda.todo and not agenda.suspended:
            await done(self.continue_(agenda.todo.pop(0)))
            return NOTHING
        message = await _mote.aio_receive(self._mote_wanted() if agenda.suspended else _mote.ANY, timeout=agenda.seconds(), default=NOTHING)
        if agenda.is_over(message):
            await done(self.timeout())
        return message

    def _mote_odd(self, kind: str, request: Any) -> Any:
        """Any request: ("name", arguments...), "name", or of a proxy ("$kw", "name", arguments, keyword arguments)."""
        table = self._mote_calls if kind == "call" else self._mote_casts
        name, args, kwargs = (request[0], request[1:], {}) if type(request) is tuple and request else (request, (), {})
        if name in ("$kw", b"$kw") and len(args) == 3:
            name, args, kwargs = args
            kwargs = {_text(key): value for key, value in kwargs.items()} if type(kwargs) is dict else {}
        name = _text(name)
        method = table.get(name) if isinstance(name, str) else None
        if method is None:
            raise Exit((Atom(f"bad_{kind}"), request))
        return method(self, *args, **kwargs)

    def _mote_other(self, message: Any) -> Any:
        if self._mote_is_of_parent(message):
            raise Exit(message[2])
        for wanted, method in self._mote_infos:
            if wanted is None or wanted.matches(message):
                return method(self, message)
        return None


def _allowed(cls: Type[Server], name: str, method: Any) -> Any:
    if hasattr(Server, name):
        raise TypeError(f"{cls.__name__}.{name}: every server has a {name} of its own; call it something else")
    if not callable(method):
        raise TypeError(f"{cls.__name__}.{name} is no method")
    return method


# ------------------------------------------------------------------------------------------------------- proxies


class _View:
    """A server's methods, one way: called, awaited or cast. Each is made when it is first asked for, and kept."""

    def __init__(self, cls: Type[Server], pid: Place, timeout: Optional[float], way: int):
        self._cls, self.pid, self._timeout, self._way = cls, pid, timeout, way

    def __getattr__(self, name: str) -> Any:
        cls, kind = self._cls, "cast" if self._way == _WAY_CAST else "call"
        table = cls._mote_casts if kind == "cast" else cls._mote_calls
        if name not in table:
            raise AttributeError(f"{cls.__name__} has no {kind} {name!r}; it has {', '.join(sorted(table)) or 'none'}")
        method = vars(self)[name] = _mote.method(self.pid, name, self._timeout, self._way)
        return method

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(self._cls._mote_casts if self._way == _WAY_CAST else self._cls._mote_calls)})

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _View) and self.pid == other.pid

    def __hash__(self) -> int:
        return hash(self.pid)

    def __repr__(self) -> str:
        return f"<{self._cls.__name__} server {self.pid!r}>"


class Proxy(_View):
    """A server as its callers see it; type checkers see its class. Its methods are calls. In messages: proxy.pid, and Class.at(pid) there."""

    def __init__(self, cls: Type[Server], pid: Place, timeout: Optional[float] = 5.0):
        super().__init__(cls, pid, timeout, _WAY_CALL)

    def __getattr__(self, name: str) -> Any:
        if name == "cast":
            view: Any = _View(self._cls, self.pid, None, _WAY_CAST)
        elif name == "aio":
            view = AioProxy(self._cls, self.pid, self._timeout)
        else:
            return super().__getattr__(name)
        vars(self)[name] = view
        return view

    def within(self, seconds: Optional[float]) -> Proxy:
        """The same server, whose calls wait for so many seconds (None: for ever) instead of five."""
        return Proxy(self._cls, self.pid, seconds)

    def stop(self, reason: Any = "normal", timeout: Optional[float] = 5.0) -> None:
        """Ends it with a reason, and waits for that, as Server.stop()."""
        stop(self.pid, reason, timeout)


class AioProxy(_View):
    """The same for coroutine processes: what its methods give is to be awaited."""

    def __init__(self, cls: Type[Server], pid: Place, timeout: Optional[float] = 5.0):
        super().__init__(cls, pid, timeout, _WAY_AWAIT)

    def within(self, seconds: Optional[float]) -> AioProxy:
        return AioProxy(self._cls, self.pid, seconds)

    def stop(self, reason: Any = "normal", timeout: Optional[float] = 5.0) -> Awaitable[None]:
        return aio_stop(self.pid, reason, timeout)


__all__ = ["NoReply", "Proxy", "Server"]
