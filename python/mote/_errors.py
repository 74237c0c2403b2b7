# SPDX-License-Identifier: Apache-2.0
"""How processes end: the exceptions, and what is told of an uncaught one."""
from __future__ import annotations

import sys

from mote import _mote
from mote._mote import Atom, MoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Optional, Sequence

    from mote._mote import Pid


def reason_of(reason: Any) -> Any:
    """A reason as Erlang has it: a str is an atom, also at the head of a tuple: "normal", ("shutdown", why)."""
    if type(reason) is str:
        return Atom(reason)
    if type(reason) is tuple and reason and type(reason[0]) is str:
        return (Atom(reason[0]), *reason[1:])
    return reason


class Exit(Exception):
    """Raised by a process to end with a reason of its own: `raise mote.Exit("no_more_work")`."""

    def __init__(self, reason: Any = "normal"):
        super().__init__(reason)
        self.reason = reason_of(reason)


class ProcessExit(BaseException):
    """Raised in a process that an exit signal ends, where it waits, or where it is if it does not wait for long. It may clean up; it cannot
    receive any more."""

    def __init__(self, reason: Any = "normal"):
        super().__init__(reason)
        self.reason = reason


def _outside(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    """A traceback from the first frame on that is not this package's, if there is one."""
    at, here = trace, __file__.rpartition("/")[0] + "/"
    while at is not None and at.tb_frame.f_code.co_filename.startswith(here):
        at = at.tb_next
    return trace if at is None else at


class Told(ProcessExit):
    """What is thrown at a process that runs: it becomes its ProcessExit there."""

    def __new__(cls, *made: ProcessExit) -> Any:
        return made[0] if made else ProcessExit(_mote.told())  # before 3.11 Python asks again, with what was made, when that is raised again


def trace_of(error: BaseException) -> str:
    """An exception with its traceback as text; what of it can be had."""
    import traceback  # half of what importing mote would take

    try:
        return "".join(traceback.format_exception(type(error), error, _outside(error.__traceback__)))
    except (RecursionError, MemoryError):  # a chain of thousands, or a small stack
        return f"{type(error).__qualname__}: {text_of(error)} (its traceback is too deep)\n"


def text_of(error: BaseException) -> str:
    """str(error), whatever that does."""
    try:
        return str(error)
    except Exception as e:
        return f"<no text: its __str__ raises {type(e).__qualname__}>"


def describe(error: BaseException) -> tuple[Atom, Any]:
    """The reason of a process that has ended with an uncaught exception."""
    if isinstance(error, SystemExit):
        return (Atom("exit"), error.code if isinstance(error.code, (int, str, type(None))) else repr(error.code))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return (Atom("error"), (name, text_of(error), trace_of(error)))


def forget(error: BaseException) -> None:
    """Clears the frames that a described exception still holds."""
    import traceback

    traceback.clear_frames(error.__traceback__)


def explain(reason: Any) -> tuple[str, Optional[str]]:
    """A reason in words, and the traceback in it or None."""
    if type(reason) is tuple and len(reason) == 2 and reason[0] == "error" and type(reason[1]) is tuple and len(reason[1]) == 3:
        kind, text, traceback = reason[1]
        if type(kind) is type(traceback) is str:
            return f"{kind}: {text}", traceback
    return str(reason) if isinstance(reason, str) else repr(reason), None


def shown(value: Any) -> str:
    """A value in an error's text: an atom as the str that stood there."""
    return repr(str(value) if isinstance(value, str) else value)


class _Failed(MoteError):
    """`reason` is that of a process's end; the traceback within it is a note (before Python 3.11: at the end of the text)."""

    def __init__(self, what: str, reason: Any):
        text, traceback = explain(reason)
        self.reason = reason
        if traceback is None or sys.version_info >= (3, 11):
            super().__init__(what + text)
        else:
            super().__init__(f"{what}{text}\n\n{traceback}")
        if sys.version_info >= (3, 11):
            if traceback is not None:
                self.add_note(traceback)


class TaskFailed(_Failed):
    """A MoteError: a task, or another child of a scope, has ended without a result: `reason` says why, `pid` which; `others` are those that failed besides."""

    __module__ = "mote"

    def __init__(self, reason: Any, pid: Optional[Pid[Any]] = None):
        super().__init__("", reason)
        self.pid = pid
        self.others: tuple[Exception, ...] = ()


class RpcError(_Failed):
    """A MoteError: a function that another node was to call has not returned, see mote.rpc. `kind`: "error" (Erlang's error/1, or there is no such function), "exit" (also what a function of Python's has raised), "throw", "signal" (its
    process was ended) or "refused"; `reason`: with what."""

    __module__ = "mote"

    def __init__(self, what: str, kind: str, reason: Any):
        super().__init__(what, reason)
        self.kind = kind


class Interrupted(BaseException):
    """Raised in the block of a scope, where it receives, calls or sleeps, when a child has failed or the time is over: see mote.scope."""

    __module__ = "mote"

    def __init__(self, scope: Any):
        super().__init__("the scope's children are ended")
        self.scope = scope


class StartFailed(_Failed):
    """A MoteError: a supervisor's child could not be started: `child` is its id, `reason` what its start said."""

    __module__ = "mote"

    def __init__(self, child: Any, reason: Any):
        super().__init__("" if child is None else f"child {shown(child)}: ", reason)
        self.child = child


def several(message: str, failures: Sequence[Exception]) -> Exception:
    """What is raised for several failures (at least one): an ExceptionGroup, before Python 3.11 the first one."""
    if sys.version_info >= (3, 11):
        return ExceptionGroup(message, failures)
    first = failures[0]
    if isinstance(first, TaskFailed):
        first.others = tuple(failures[1:])
    return first


class _Broken(RuntimeError):
    """Its place is concurrent.futures.BrokenExecutor's, once that is imported."""


class WorkerDied(_Broken):
    """What ran a task of an Executor has ended before it was done: the process, or its worker. The text says why. A concurrent.futures.BrokenExecutor."""
