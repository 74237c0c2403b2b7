# SPDX-License-Identifier: Apache-2.0
"""Server: a process that keeps a state and answers calls, as Erlang's gen_server. Callers may be Python, C or Erlang."""
from __future__ import annotations

from mote import _mote
from mote._control import call, monitoring, options, register
from mote._errors import Exit, ProcessExit, describe
from mote._mote import Atom, NoProc, Pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, ClassVar, Optional, TypeVar

    from mote._control import Destination

    F = TypeVar("F", bound=Callable[..., Any])

_CALL, _CAST = Atom("$gen_call"), Atom("$gen_cast")
_START_TIMEOUT = 60.0
_CO_COROUTINE = 0x80


def _marked(kind: str) -> Callable[[F], F]:
    def mark(method: F) -> F:
        method._mote_kind = kind  # type: ignore[attr-defined]
        return method

    return mark


def handles_call(method: F) -> F:
    """`@mote.handles_call` before a method: others may call it, and get what it returns."""
    return _marked("call")(method)


def handles_cast(method: F) -> F:
    """`@mote.handles_cast` before a method: others may tell it; nothing comes back."""
    return _marked("cast")(method)


class NoReply:
    """Returned by a call's method that replies later, by mote.reply(self.caller, value)."""


class Server:
    """A server's class: its methods marked with `@handles_call` and `@handles_cast` are what others may ask of it.

        class Counter(mote.Server):
            def init(self, start=0):
                self.n = start

            @mote.handles_call
            def add(self, k):
                self.n += k
                return self.n

        counter = Counter.start(10)
        counter.add(5)  # 15

    `init` runs in the new process before start() returns; what it raises, start() raises as NoProc. `info(message)` gets all other messages,
    `terminate(reason)` runs at the end, however it comes (not for kill).
    """

    _calls: ClassVar[dict[str, Callable[..., Any]]] = {}
    _casts: ClassVar[dict[str, Callable[..., Any]]] = {}
    caller: Any = None

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        cls._calls, cls._casts = dict(cls._calls), dict(cls._casts)
        for name, method in vars(cls).items():
            kind = getattr(method, "_mote_kind", None)
            if kind is None:
                continue
            if method.__code__.co_flags & _CO_COROUTINE:
                raise TypeError(f"{cls.__name__}.{name}: methods of a server are plain functions")
            (cls._calls if kind == "call" else cls._casts)[name] = method

    def init(self, *args: Any, **kwargs: Any) -> None:
        """Makes the state."""

    def info(self, message: Any) -> None:
        """A message that is neither call nor cast; dropped unless a subclass wants it."""

    def terminate(self, reason: Any) -> None:
        """The last thing the process does."""

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Proxy:
        """Starts a server with init(*args, **kwargs)."""
        return cls._start(False, None, args, kwargs)

    @classmethod
    def start_link(cls, *args: Any, **kwargs: Any) -> Proxy:
        """The same, linked with the caller."""
        return cls._start(True, None, args, kwargs)

    @classmethod
    def start_named(cls, name: str, *args: Any, **kwargs: Any) -> Proxy:
        """The same as start(), under a name."""
        return cls._start(False, name, args, kwargs)

    @classmethod
    def _start(cls, link: bool, name: Optional[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Proxy:
        pid, ref = options(link=link, monitor=True, name=cls.__name__[:60]).spawn(_Body(cls), _mote.self(), name, args, kwargs)
        answer = _mote.receive(lambda m: m if _is_about(m, pid, ref) else _mote.SKIP, timeout=_START_TIMEOUT)
        _mote.demonitor(ref, True)
        if answer[0] == "DOWN":
            raise NoProc(answer[4])
        return Proxy(cls, pid)

    def _run(self) -> None:
        receive, calls = _mote.receive, self._calls
        while True:
            message = receive()
            if type(message) is tuple and message:
                if message[0] == _CALL and len(message) == 3:
                    self._call(calls, message[1], message[2])
                    continue
                if message[0] == _CAST and len(message) == 2:
                    self._cast(message[1])
                    continue
            self.info(message)

    def _call(self, calls: dict[str, Callable[..., Any]], caller: Any, request: Any) -> None:
        name, args, kwargs = _request(request)
        method = calls.get(name)
        if method is None:
            if request == "$stop":
                _mote.reply(caller, Atom("ok"))
                raise Exit("normal")
            raise Exit((Atom("bad_call"), request))
        self.caller = caller
        answer = method(self, *args, **kwargs)
        if answer is not NoReply:
            _mote.reply(caller, answer)

    def _cast(self, request: Any) -> None:
        name, args, kwargs = _request(request)
        method = self._casts.get(name)
        if method is None:
            raise Exit((Atom("bad_cast"), request))
        method(self, *args, **kwargs)


def _request(request: Any) -> tuple[Any, Any, Any]:
    """A request is ("name", args...), as Erlang's servers have it, or ("name", args, kwargs) of a proxy, or a name alone."""
    if type(request) is tuple and request:
        if len(request) == 3 and type(request[1]) is tuple and type(request[2]) is dict:
            return request[0], request[1], request[2]
        return request[0], request[1:], {}
    return request, (), {}


def _is_about(message: Any, pid: Pid, ref: Any) -> bool:
    return isinstance(message, tuple) and len(message) > 1 and (message[0] == "$started" and message[1] == pid or message[0] == "DOWN" and message[1] == ref)


class _Body:
    """What a server's process runs."""

    def __init__(self, cls: type[Server]):
        self._cls = cls

    def __call__(self, parent: Pid, name: Optional[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        server = self._cls()
        if name is not None:
            register(name)
        server.init(*args, **kwargs)
        _mote.send(parent, (Atom("$started"), _mote.self()))
        reason: Any = Atom("normal")
        try:
            server._run()
        except BaseException as e:
            reason = e.reason if isinstance(e, (Exit, ProcessExit)) else describe(e)
            raise
        finally:
            server.terminate(reason)


class Proxy:
    """A server as its callers see it: its methods are calls, `proxy.cast.method()` are casts. Sendable as proxy.pid."""

    __slots__ = ("_cls", "cast", "pid")

    def __init__(self, cls: type[Server], pid: Destination):
        self._cls = cls
        self.pid = pid
        self.cast = _Casts(cls, pid)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._cls._calls:
            raise AttributeError(f"{self._cls.__name__} has no call {name!r}; it has {', '.join(sorted(self._cls._calls)) or 'none'}")
        pid = self.pid

        def ask(*args: Any, timeout: Optional[float] = 5.0, **kwargs: Any) -> Any:
            return _mote.call(pid, (name, args, kwargs), timeout)

        return ask

    def stop(self, timeout: Optional[float] = 5.0) -> None:
        """Ends the server with reason normal, and waits for that."""
        with monitoring(self.pid) as ref:
            call(self.pid, "$stop", timeout)
            _mote.receive((Atom("DOWN"), ref, _mote.ANY, _mote.ANY, _mote.ANY), timeout=timeout)

    def __repr__(self) -> str:
        return f"<{self._cls.__name__} server {self.pid!r}>"


class _Casts:
    __slots__ = ("_cls", "_pid")

    def __init__(self, cls: type[Server], pid: Destination):
        self._cls, self._pid = cls, pid

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in self._cls._casts:
            raise AttributeError(f"{self._cls.__name__} has no cast {name!r}; it has {', '.join(sorted(self._cls._casts)) or 'none'}")
        pid = self._pid
        return lambda *args, **kwargs: _mote.cast(pid, (name, args, kwargs))


__all__ = ["NoReply", "Proxy", "Server", "handles_call", "handles_cast"]
