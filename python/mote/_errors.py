# SPDX-License-Identifier: Apache-2.0
"""How processes end: the exceptions, and what is told of an uncaught one."""
from mote._mote import Atom


def reason_of(reason):
    """A reason as Erlang has it: a str is an atom, also at the head of a tuple: "normal", ("shutdown", why)."""
    if type(reason) is str:
        return Atom(reason)
    if type(reason) is tuple and reason and type(reason[0]) is str:
        return (Atom(reason[0]), *reason[1:])
    return reason


class Exit(Exception):
    """Raised by a process to end with a reason of its own: `raise mote.Exit("no_more_work")`."""

    def __init__(self, reason="normal"):
        super().__init__(reason)
        self.reason = reason_of(reason)


class ProcessExit(BaseException):
    """Raised in a process that an exit signal ends, where it waits. It may clean up; it cannot receive any more."""

    def __init__(self, reason="normal"):
        super().__init__(reason)
        self.reason = reason


def describe(error):
    """The reason of a process that has ended with an uncaught exception."""
    if isinstance(error, SystemExit):
        return (Atom("exit"), error.code if isinstance(error.code, (int, str, type(None))) else repr(error.code))
    import traceback  # half of what importing mote would take

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    traceback.clear_frames(error.__traceback__)
    return (Atom("error"), (name, str(error), text))
