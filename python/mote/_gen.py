# SPDX-License-Identifier: Apache-2.0
"""What servers and machines have in common: how they start and end, system messages, and the clients' side of both.

The wire form is Erlang's, as include/mote/server.h has it: {'$gen_call', From, Request}, {'$gen_cast', Message}, {system, From, Request}.
"""
from __future__ import annotations

from collections import namedtuple
from time import monotonic

from mote import _mote
from mote._control import Down, options
from mote._errors import Exit, ProcessExit, describe, reason_of
from mote._mote import ANY, SKIP, Atom, MoteError, NoProc, NotSendable, Pid, any_of, pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, ClassVar, Generic, NamedTuple, Optional, Type, TypeVar, Union, overload

    from mote._control import Destination
    from mote._mote import Pattern, Ref

    B = TypeVar("B", bound="Behaviour")
    Place = Union[Pid[Any], str, tuple[str, str]]  # of a server: its pid, its name, or (name, node)
    Where = Union[Destination, "Behaviour"]  # or what start() gave

CALL, CAST, SYSTEM, EXIT, DOWN = Atom("$gen_call"), Atom("$gen_cast"), Atom("system"), Atom("EXIT"), Atom("DOWN")
OK, ERROR, NORMAL = Atom("ok"), Atom("error"), Atom("normal")
GET_STATE, REPLACE_STATE, SUSPEND, RESUME = Atom("get_state"), Atom("replace_state"), Atom("suspend"), Atom("resume")
GET_STATUS, CHANGE_CODE, DEBUG, STATISTICS = Atom("get_status"), Atom("change_code"), Atom("debug"), Atom("statistics")
TERMINATE, STARTED, TAKEN = Atom("terminate"), Atom("$started"), Atom("$taken")
NOTHING = object()  # no message has come
A_SYSTEM_MESSAGE = pattern((SYSTEM, ANY, ANY))
COROUTINE_FLAG = 0x80  # of a function's code: it is an `async def`


async def _coroutine() -> None:
    pass


_one = _coroutine()
Coroutine: Any = type(_one)
_one.close()


def ending(error: BaseException) -> Any:
    """The reason of a process that an exception ends."""
    return error.reason if isinstance(error, (Exit, ProcessExit)) else describe(error)


def no_proc(reason: Any) -> NoProc:
    error = NoProc(reason)
    error.reason = reason
    return error


# ------------------------------------------------------------------------------------------- in the process itself


class Agenda:
    """What a process has to heed besides its mailbox. Few have one, and those mostly for a while."""

    __slots__ = ("deadline", "todo", "suspended", "counting", "since", "reductions", "messages_in", "messages_out")

    def __init__(self) -> None:
        self.deadline: Optional[float] = None  # of set_timeout()
        self.todo: list[Any] = []  # of continue_with()
        self.suspended = False
        self.counting = False

    def count(self, on: bool) -> None:
        self.counting, self.messages_in, self.messages_out = on, 0, 0
        self.since, self.reductions = int(monotonic() * 1000), _mote.info(_mote.self(), 0).reductions

    def counts(self) -> Any:
        if not self.counting:
            return Atom("no_statistics")
        used = _mote.info(_mote.self(), 0).reductions - self.reductions
        names = ("start_time", "current_time", "reductions", "messages_in", "messages_out")
        figures = (self.since, int(monotonic() * 1000), used, self.messages_in, self.messages_out)
        return [(Atom(name), figure) for name, figure in zip(names, figures)]

    def seconds(self) -> Optional[float]:
        """How long to wait for a message."""
        if self.deadline is None or self.suspended:
            return None
        return max(0.0, self.deadline - monotonic())

    def is_over(self, message: Any) -> bool:
        """After a wait: whether its time limit is over. Any message ends that, but a system message."""
        if message is NOTHING:
            self.deadline = None
            return True
        if type(message) is not tuple or not message or message[0] is not SYSTEM:
            self.deadline = None
            self.messages_in = self.messages_in + 1 if self.counting else 0
        return False

    def is_empty(self) -> bool:
        return self.deadline is None and not (self.todo or self.suspended or self.counting)


if TYPE_CHECKING:

    class _Aio:
        """`Class.aio.start(...)` starts from a coroutine process; `proxy.aio.method(...)` is to be awaited."""

        @overload
        def __get__(self, instance: None, cls: Type[B]) -> AioOptions[B]: ...
        @overload
        def __get__(self, instance: Behaviour, cls: Type[Behaviour]) -> Any: ...
        def __get__(self, instance: Any, cls: Any) -> Any: ...

else:

    class _Aio:
        def __get__(self, instance, cls):
            return Options(cls).aio if instance is None else cls._mote_proxy(_mote.self()).aio


class Behaviour:
    """A process with callbacks: Server and Machine. One object of the class lives in each process; its attributes are the state.

    What start() gives is a proxy, which type checkers take for the class itself: so calls of its methods are checked.
    """

    _mote_is_async: ClassVar[bool] = False
    _mote_agenda: Optional[Agenda] = None
    _mote_parent: Optional[Pid[Any]] = None
    aio: ClassVar[_Aio] = _Aio()

    # ---------------------------------------------------------------------------------------- callbacks

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Makes the state, in the new process, before start() returns. What it raises, start() raises as NoProc(reason)."""

    def terminate(self, reason: Any) -> Any:
        """The last thing the process does, whatever its end is (but kill). After an exit signal it cannot wait any more."""

    def format_state(self) -> Any:
        """The state as mote.get_state() tells it: all attributes. What cannot be sent goes as its repr()."""
        return {name: value for name, value in vars(self).items() if name != "caller" and not name.startswith("_mote_")}

    def replace_state(self, state: Any) -> None:
        """Sets the state, for mote.replace_state(): a dict's items become attributes. What it raises is the asker's error."""
        for name, value in state.items():
            setattr(self, name if isinstance(name, str) else name.decode(), value)

    def upgrade(self, old_version: Any, extra: Any) -> None:
        """Makes the state of an older version this one's, for mote.upgrade(); may set self.__class__. An exception leaves all as it was."""

    # ------------------------------------------------------------------------------------------- starting

    @classmethod
    def start(cls: Type[B], *args: Any, **kwargs: Any) -> B:
        """Starts a process with init(*args, **kwargs), and waits until that has returned. As gen_server:start."""
        return Options(cls).start(*args, **kwargs)

    @classmethod
    def start_link(cls: Type[B], *args: Any, **kwargs: Any) -> B:
        """The same, linked with the caller, which is its parent: when it traps exits it ends with its parent, terminate() called. An init that fails
        ends the caller too, unless that traps exits. As gen_server:start_link."""
        return Options(cls, link=True).start(*args, **kwargs)

    @classmethod
    def options(
        cls: Type[B],
        *,
        name: Optional[str] = None,
        link: bool = False,
        timeout: Optional[float] = None,
        mailbox: int = 0,
        policy: str = "suspend",
        priority: str = "normal",
        stack: int = 0,
        place: Union[str, int, None] = None,
    ) -> Options[B]:
        """How to start: `Counter.options(name="counter", link=True).start(10)`.

        name: registered before init is called; start() raises ValueError when it is taken. timeout: seconds for init, then TimeoutError and
        no process is left. The others as mote.options().
        """
        return Options(cls, name, link, timeout, mailbox=mailbox, policy=policy, priority=priority, stack=stack, place=place)

    @classmethod
    def at(cls: Type[B], where: Place) -> B:
        """The proxy of one that runs: by its pid, by its name, or by (name, node)."""
        return cls._mote_proxy(where)  # type: ignore[no-any-return]

    @classmethod
    def _mote_proxy(cls, where: Place) -> Any:
        raise NotImplementedError

    @classmethod
    def _mote_body(cls) -> Callable[..., Any]:
        """What the process runs: body(starter, linked, name, args, kwargs). It sends the starter ("$started", pid)."""
        return cls._mote_serve_async if cls._mote_is_async else cls._mote_serve

    @classmethod
    def _mote_child(cls) -> Callable[..., Any]:
        """The same with the arguments of init, for a supervisor, which registers names itself: child(supervisor, *args, **kwargs)."""
        body = cls._mote_body()

        async def async_child(supervisor: Pid[Any], *args: Any, **kwargs: Any) -> None:
            await body(supervisor, True, None, args, kwargs)

        def child(supervisor: Pid[Any], *args: Any, **kwargs: Any) -> None:
            body(supervisor, True, None, args, kwargs)

        return async_child if cls._mote_is_async else child

    @classmethod
    def _mote_begin(cls: Type[B], starter: Pid[Any], linked: bool, name: Optional[str]) -> Optional[B]:
        if name is not None:
            try:
                _mote.register(name, _mote.self())
            except ValueError:
                _mote.send(starter, (TAKEN, _mote.self(), _mote.whereis(name)))
                return None
        server = cls()
        if linked:
            server._mote_parent = starter
        return server

    @classmethod
    def _mote_serve(cls, starter: Pid[Any], linked: bool, name: Optional[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        server = cls._mote_begin(starter, linked, name)
        if server is None:
            return
        first = server.init(*args, **kwargs)
        server._mote_check(first)
        _mote.send(starter, (STARTED, _mote.self()))
        reason: Any = NORMAL
        try:
            server._mote_run(first)
        except BaseException as e:
            reason = ending(e)
            raise
        finally:
            server.terminate(reason)

    @classmethod
    async def _mote_serve_async(cls, starter: Pid[Any], linked: bool, name: Optional[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        server, first = await cls._mote_begin_async(starter, linked, name, args, kwargs)
        if server is None:
            return
        try:
            await server._mote_run_async(first)
        except GeneratorExit:  # killed
            raise
        except BaseException as e:
            await done(server.terminate(ending(e)))
            raise

    @classmethod
    async def _mote_begin_async(
        cls: Type[B], starter: Pid[Any], linked: bool, name: Optional[str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Optional[B], Any]:
        server = cls._mote_begin(starter, linked, name)
        if server is None:
            return None, None
        first = await done(server.init(*args, **kwargs))
        server._mote_check(first)
        _mote.send(starter, (STARTED, _mote.self()))
        return server, first

    def _mote_check(self, first: Any) -> None:
        """Looks at what init has returned."""

    def _mote_run(self, first: Any) -> None:
        raise NotImplementedError

    async def _mote_run_async(self, first: Any) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------- the caller's side

    @property
    def pid(self) -> Pid[Any]:
        """Its pid (a proxy by name: the name)."""
        return _mote.self()

    def stop(self, reason: Any = "normal", timeout: Optional[float] = 5.0) -> None:
        """Ends it with a reason, terminate() called, and waits for that. NoProc(reason): it had ended, or has ended with another reason;
        TimeoutError: it has not ended yet. In the process itself: ends it. As gen_server:stop."""
        raise Exit(reason)

    # --------------------------------------------------------------------------------------- system messages

    def _mote_make_agenda(self) -> Agenda:
        if self._mote_agenda is None:
            self._mote_agenda = Agenda()
        return self._mote_agenda

    def _mote_wanted(self) -> Pattern:
        """What is received while suspended: system messages, and the parent's end."""
        parent = self._mote_parent
        return A_SYSTEM_MESSAGE if parent is None else any_of(A_SYSTEM_MESSAGE, (EXIT, parent, ANY))

    def _mote_is_of_parent(self, message: Any) -> bool:
        """Whether the parent's end has been told, which ends a process that traps exits, too."""
        parent = self._mote_parent
        return parent is not None and isinstance(message, tuple) and len(message) == 3 and message[0] == EXIT and message[1] == parent

    def _mote_told_state(self, state: Any) -> Any:
        return state

    def _mote_set_told_state(self, state: Any) -> None:
        self.replace_state(state)

    def _mote_upgrade(self, old_version: Any, extra: Any) -> None:
        cls, before = type(self), dict(vars(self))
        try:
            self.upgrade(old_version, extra)
        except BaseException:
            self.__class__ = cls
            vars(self).clear()
            vars(self).update(before)
            raise

    def _mote_reply_state(self, caller: Any, make: Callable[[Any], Any]) -> None:
        state = self.format_state()
        for told in (_as_it_is, _sendable, _described):
            try:
                _mote.reply(caller, make(self._mote_told_state(told(state))))
                return
            except NotSendable:
                pass

    def _mote_status(self, state: Any) -> Any:
        name = type(self).__name__
        phase = Atom("suspended" if self._mote_agenda is not None and self._mote_agenda.suspended else "running")
        parent = self._mote_parent
        shown = [(Atom("header"), name), (Atom("data"), [("Status", phase), ("Parent", parent)]), (Atom("data"), [("State", state)])]
        return (Atom("status"), _mote.self(), (Atom("module"), Atom(name)), [[], phase, parent, [], shown])

    def _mote_system(self, caller: Any, request: Any) -> None:
        """Answers a system message; {terminate, Reason} ends the process."""
        head, *rest = request if type(request) is tuple and request else (request,)
        if head == "terminate" and len(rest) == 1:
            _mote.reply(caller, OK)
            raise Exit(rest[0])
        try:
            self._mote_answer(caller, request, head, rest)
        except Exception as e:
            _mote.reply(caller, (ERROR, f"{type(e).__name__}: {e}"))
        if self._mote_agenda is not None and self._mote_agenda.is_empty():
            self._mote_agenda = None

    def _mote_answer(self, caller: Any, request: Any, head: Any, rest: list[Any]) -> None:
        answer: Any = OK
        if request == "get_state":
            return self._mote_reply_state(caller, lambda state: (OK, state))
        if request == "get_status":
            return self._mote_reply_state(caller, self._mote_status)
        if head == "replace_state" and len(rest) == 1:
            self._mote_set_told_state(rest[0])
            return self._mote_reply_state(caller, lambda state: (OK, state))
        if request in ("suspend", "resume"):
            self._mote_make_agenda().suspended = request == "suspend"
        elif head == "change_code" and len(rest) == 3 and self._mote_make_agenda().suspended:
            self._mote_upgrade(rest[1], rest[2])
        elif head == "debug" and rest and type(rest[0]) is tuple and rest[0][0] == "statistics":
            answer = self._mote_statistics(rest[0][1])
        else:
            answer = (ERROR, (Atom("unknown_system_msg"), request))
        _mote.reply(caller, answer)

    def _mote_statistics(self, what: Any) -> Any:
        if what == "get":
            return (OK, self._mote_make_agenda().counts())
        self._mote_make_agenda().count(bool(what))
        return OK


async def done(result: Any) -> Any:
    """What a callback gave, after it was awaited if it is an `async def`."""
    return await result if type(result) is Coroutine else result


def is_async(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & COROUTINE_FLAG)


def _as_it_is(state: Any) -> Any:
    return state


def _sendable(state: Any) -> Any:
    """What cannot be sent becomes its repr(), by attribute."""
    if type(state) is not dict:
        return repr(state)
    told = {}
    for name, value in state.items():
        try:
            told[name] = _mote.share(value)
        except NotSendable:
            told[name] = repr(value)
    return told


def _described(state: Any) -> Any:
    return {name: repr(value) for name, value in state.items()} if type(state) is dict else repr(state)


# ------------------------------------------------------------------------------------------------------- starting


def _label(name: str) -> str:
    return name.encode()[:63].decode(errors="ignore")


class _Start:
    """A process that is being started."""

    def __init__(self, how: Options[Any], args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.how = how
        label = _label(how._cls.__name__) if how._how.get("place") in (None, "here") else None
        self.spawning = options(link=how._link, monitor=True, name=label, **how._how)
        self.run = (how._cls._mote_body(), _mote.self(), how._link, how._name, args, kwargs)

    def spawn(self) -> _Start:
        self.pid, self.ref = self.spawning.spawn(*self.run)
        return self

    async def aio_spawn(self) -> None:
        self.pid, self.ref = await self.spawning.aio.spawn(*self.run)

    def wanted(self, message: Any) -> Any:
        if type(message) is Down:
            return message if message.ref == self.ref else SKIP
        is_it = type(message) is tuple and len(message) > 1 and message[1] == self.pid and message[0] in (STARTED, TAKEN)
        return message if is_it else SKIP

    def lives(self, message: Any) -> bool:
        """Whether it has started; else it is ended, and its `down` and `exit` will come."""
        if message is not None and message[0] == STARTED:
            _mote.demonitor(self.ref, True)
            return True
        if message is None:
            _mote.unlink(self.pid)
            _mote.exit_send(self.pid, Atom("kill"))
        return False

    def down(self, message: Any) -> Any:
        """What is still to come of it, if its end has not."""
        return (DOWN, self.ref, ANY, ANY, ANY) if message is None or message[0] == TAKEN else None

    def exit(self) -> Any:
        """The signal of its end is no news for a caller that traps exits."""
        _mote.unlink(self.pid)
        return (EXIT, self.pid, ANY)

    def failure(self, message: Any) -> Exception:
        if message is None:
            return TimeoutError(f"{self.how._cls.__name__}.init() has taken longer than {self.how._timeout} s")
        if message[0] == TAKEN:
            return ValueError(f"{self.how._name!r} is taken, by {message[2]!r}")
        return no_proc(message.reason)

    def proxy(self) -> Any:
        return self.how._cls._mote_proxy(self.pid)


if TYPE_CHECKING:

    class _Of(Generic[B]): ...

else:
    B = None

    class _Of:
        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls


class Options(_Of[B]):
    """How servers of a class are started; made by Class.options()."""

    __slots__ = ("_cls", "_name", "_link", "_timeout", "_how")

    def __init__(self, cls: Type[B], name: Optional[str] = None, link: bool = False, timeout: Optional[float] = None, **how: Any):
        self._cls, self._name, self._link, self._timeout, self._how = cls, name, link, timeout, how

    def start(self, *args: Any, **kwargs: Any) -> B:
        """Starts one with init(*args, **kwargs), as Class.start()."""
        _mote.may_wait("start", False)
        start = _Start(self, args, kwargs).spawn()
        message = _mote.receive(start.wanted, timeout=self._timeout, default=None)
        if start.lives(message):
            return start.proxy()  # type: ignore[no-any-return]
        down = start.down(message)
        if down is not None:
            _mote.receive(down)
        _mote.receive(start.exit(), timeout=0, default=None)
        raise start.failure(message)

    @property
    def aio(self) -> AioOptions[B]:
        """The same for coroutine processes."""
        return AioOptions(self)


class AioOptions(_Of[B]):
    """What starts servers from coroutine processes."""

    __slots__ = ("_options",)

    def __init__(self, how: Options[B]):
        self._options = how

    def start(self, *args: Any, **kwargs: Any) -> Awaitable[B]:
        """As Class.start(), to be awaited."""
        _mote.may_wait("start", True)
        start, waits = _Start(self._options, args, kwargs), self._options._how.get("place") not in (None, "here")
        return self._finish(start if waits else start.spawn(), waits)

    async def _finish(self, start: _Start, waits: bool) -> B:
        if waits:
            await start.aio_spawn()
        message = await _mote.aio_receive(start.wanted, timeout=self._options._timeout, default=None)
        if start.lives(message):
            return start.proxy()  # type: ignore[no-any-return]
        down = start.down(message)
        if down is not None:
            await _mote.aio_receive(down)
        await _mote.aio_receive(start.exit(), timeout=0, default=None)
        raise start.failure(message)

    def start_link(self, *args: Any, **kwargs: Any) -> Awaitable[B]:
        """As Class.start_link(), to be awaited."""
        how = self._options
        return Options(how._cls, how._name, True, how._timeout, **how._how).aio.start(*args, **kwargs)


# --------------------------------------------------------------------------------------- clients: system messages

if TYPE_CHECKING:

    class Status(NamedTuple):
        pid: Pid[Any]
        module: str
        phase: str
        parent: Optional[Pid[Any]]
        state: Any

else:
    Status = namedtuple("Status", "pid module phase parent state", module=__name__)
Status.__doc__ = """What mote.get_status() tells of a server: phase is "running" or "suspended"."""


def where(server: Where) -> Destination:
    """Where its messages go: of a proxy its pid."""
    return getattr(server, "pid", server)  # type: ignore


def value_of(answer: Any) -> Any:
    """The answer to a system message: None for ok, the value of {ok, Value}; an error is raised."""
    if answer == OK:
        return None
    if type(answer) is tuple and len(answer) == 2 and answer[0] == ERROR:
        raise MoteError(f"the server has refused: {answer[1]}")
    return answer[1] if type(answer) is tuple and len(answer) == 2 and answer[0] == OK else answer


def status_of(answer: Any) -> Status:
    _, pid, (_, module), (_, phase, parent, _, items) = value_of(answer)
    state = next(value for kind, what in items if kind == "data" for name, value in what if _text(name) == "State")
    return Status(pid, module, phase, parent if isinstance(parent, Pid) else None, state)


def _text(name: Any) -> Any:
    """Erlang's strings are lists of numbers."""
    return "".join(map(chr, name)) if isinstance(name, list) else name


def statistics_of(answer: Any) -> Any:
    counts = value_of(answer)
    return {str(name): figure for name, figure in counts} if isinstance(counts, list) else None


def statistics_request(on: Optional[bool]) -> Any:
    return (DEBUG, (STATISTICS, Atom("get") if on is None else on))


def get_state(server: Where, timeout: Optional[float] = 5.0) -> Any:
    """The state of a server or machine of any language, as it tells it; of a machine (state, data). As sys:get_state."""
    return value_of(_mote.system(where(server), GET_STATE, timeout))


def replace_state(server: Where, state: Any, timeout: Optional[float] = 5.0) -> Any:
    """Sets its state, and gives what it is now. MoteError: it has refused. As sys:replace_state, with a value instead of a function."""
    return value_of(_mote.system(where(server), (REPLACE_STATE, state), timeout))


def suspend(server: Where, timeout: Optional[float] = 5.0) -> None:
    """From now on it handles system messages only; all others wait, in their order, until resume(). As sys:suspend."""
    value_of(_mote.system(where(server), SUSPEND, timeout))


def resume(server: Where, timeout: Optional[float] = 5.0) -> None:
    """Ends a suspension. As sys:resume."""
    value_of(_mote.system(where(server), RESUME, timeout))


def get_status(server: Where, timeout: Optional[float] = 5.0) -> Status:
    """Its pid, class, phase, parent and state. As sys:get_status."""
    return status_of(_mote.system(where(server), GET_STATUS, timeout))


def statistics(server: Where, on: Optional[bool] = None, timeout: Optional[float] = 5.0) -> Any:
    """Without `on` the counts as a dict (start_time and current_time in ms, reductions, messages_in, messages_out), or None when nothing is
    counted; True starts to count, from 0, False ends it. As sys:statistics."""
    return statistics_of(_mote.system(where(server), statistics_request(on), timeout))


def upgrade(server: Where, old_version: Any = None, extra: Any = None, timeout: Optional[float] = 5.0) -> None:
    """Suspends it, has its upgrade(old_version, extra) called, and resumes it. MoteError: that has failed, and the state is as it was. As
    sys:change_code between suspend and resume."""
    suspend(server, timeout)
    try:
        value_of(_mote.system(where(server), change_code(old_version, extra), timeout))
    finally:
        resume(server, timeout)


def change_code(old_version: Any, extra: Any) -> Any:
    return (CHANGE_CODE, Atom("undefined"), old_version, extra)


class _Ending:
    """The steps of stop()."""

    def __init__(self, to: Place, reason: Any, timeout: Optional[float]):
        self.to, self.reason = to, reason_of(reason)
        self.request = (TERMINATE, self.reason)
        self.until = None if timeout is None else monotonic() + timeout

    def seconds(self) -> Optional[float]:
        return None if self.until is None else max(0.0, self.until - monotonic())

    def check(self, reason: Any) -> None:
        """After its end."""
        if reason != self.reason:
            raise no_proc(reason) from None


def stop(to: Place, reason: Any, timeout: Optional[float]) -> None:
    """Ends a server of any language, by {system, From, {terminate, Reason}}."""
    _mote.may_wait("stop", False)
    end = _Ending(to, reason, timeout)
    ref = _mote.monitor(to)
    try:
        _mote.system(to, end.request, timeout)
        end.check(_mote.receive((DOWN, ref, ANY, ANY, ANY), timeout=end.seconds())[4])
    except NoProc as e:
        end.check(e.args[0])
    finally:
        _mote.demonitor(ref, True)


def aio_stop(to: Place, reason: Any, timeout: Optional[float]) -> Awaitable[None]:
    _mote.may_wait("stop", True)
    return _aio_stop(to, _Ending(to, reason, timeout), timeout)


async def _aio_stop(to: Place, end: _Ending, timeout: Optional[float]) -> None:
    ref = _mote.monitor(to)
    try:
        await _mote.aio_system(to, end.request, timeout)
        end.check((await _mote.aio_receive((DOWN, ref, ANY, ANY, ANY), timeout=end.seconds()))[4])
    except NoProc as e:
        end.check(e.args[0])
    finally:
        _mote.demonitor(ref, True)
