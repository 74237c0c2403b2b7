# SPDX-License-Identifier: Apache-2.0
"""What mote tells of processes: by the logger "mote" where logging is configured, else on stderr. And records of logging name their process."""
from __future__ import annotations

import sys

from mote import _mote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Optional

_ERROR, _WARNING = 40, 30  # logging is not imported here: most programs do without
_CORE = (_ERROR, _WARNING, 20)
_HOGS_MOST, _HOGS_WINDOW = 10, 60.0
_hogs = [0.0, 0, 0]  # since when, told of, not told of


def _logger() -> Any:
    logging = sys.modules.get("logging")
    get = getattr(logging, "getLogger", None)
    logger = get("mote") if get else None
    return logger if logger is not None and logger.hasHandlers() else None


def tell(level: int, text: str, error: Optional[BaseException] = None, trace: str = "") -> None:
    """`trace` is the text of `error`, or of a stack; a logger gets the exception itself."""
    logger = _logger()
    if logger is not None:
        logger.log(level, "%s", text if error is not None or not trace else f"{text}\n{trace.rstrip()}", exc_info=error)
        return
    stream = sys.stderr
    if stream is not None:
        stream.write("".join(f"{part.rstrip()}\n" for part in (f"mote: {text}", trace) if part))
        stream.flush()


def core(level: int, text: str) -> None:
    """What the core has to tell; on stderr no more than logging would show."""
    if level == 2 and _logger() is None:
        return
    tell(_CORE[level] if level < len(_CORE) else _ERROR, text)


def ended(who: str, reason: Any, error: Optional[BaseException], missed: int) -> None:
    """A process has ended in a way that nobody has planned."""
    more = f" ({missed} ends before it were too many to be told of)" if missed else ""
    failed = isinstance(reason, tuple) and len(reason) == 2 and reason[0] == "error" and isinstance(reason[1], tuple) and len(reason[1]) == 3
    if error is not None:
        from mote._errors import trace_of

        tell(_ERROR, f"process {who} has ended with an uncaught exception{more}:", error, trace_of(error))
    elif failed:
        kind, text, _ = reason[1]
        tell(_ERROR, f"process {who} has ended with another that has failed{more}: {kind}: {text}")
    else:
        tell(_ERROR, f"process {who} has ended{more}: {reason if isinstance(reason, str) else repr(reason)}"[:2000])


def dropped(who: str) -> None:
    """A process would not end."""
    tell(_ERROR, f"process {who} has caught its own end again and again: it is ended as it stands, and what it holds is lost")


def hog(who: str, seconds: float, frame: Optional[FrameType]) -> None:
    """A process has held the interpreter for long."""
    import time

    places, now = _places(frame), time.monotonic()
    if now - _hogs[0] > _HOGS_WINDOW:
        _hogs[:2] = now, 0
    _hogs[1] += 1
    if _hogs[1] > _HOGS_MOST:
        _hogs[2] += 1
        return
    more = f" ({int(_hogs[2])} more were not told of)" if _hogs[2] else ""
    _hogs[2] = 0
    tell(_WARNING, f"process {who} has held the interpreter for {seconds:.2f} s, and others wait behind it{more}; where it is now:", None, _stack(places))


def left(who: str, _: float, frame: Optional[FrameType]) -> None:
    """A process that did not end in time, when the node was stopped."""
    text = f"process {who} could not be ended in time, and is left behind; where it is:" if who else "a process could not be ended in time, and is left behind"
    tell(_ERROR, text, None, _stack(_places(frame)))


def _places(frame: Optional[FrameType]) -> list[tuple[str, int, str]]:
    """Innermost last. Quickly: the process may go on meanwhile."""
    places = []
    while frame is not None:
        places.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        frame = frame.f_back
    places.reverse()
    return places[-50:]


def _stack(places: list[tuple[str, int, str]]) -> str:
    import linecache

    lines = []
    for file, line, name in places:
        lines.append(f'  File "{file}", line {line}, in {name}\n')
        source = linecache.getline(file, line).strip()
        if source:
            lines.append(f"    {source}\n")
    return "".join(lines)


def child_ends(error: Optional[BaseException]) -> None:
    """A process has called os.fork(), and has come to its end in the child: the child ends, as a forked thread does."""
    import os

    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if code and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    elif error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(code & 0xFF)


# ------------------------------------------------------------------------------------------------ records


def started() -> None:
    """Called before a node starts."""
    if "logging" in sys.modules:
        log_processes()


def log_processes() -> None:
    """Gives every record of logging the attributes `mote_pid` and `mote_name`, of the process that makes it: for `%(mote_name)s` in a format. They
    are "-" outside processes. Called by itself when logging is there as mote is imported or its node starts."""
    import logging

    factory = getattr(logging, "getLogRecordFactory", None)  # not there: it is being imported
    before = factory() if factory else None
    if before is None or getattr(before, "_mote", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made: logging.LogRecord = before(*args, **kwargs)
        made.mote_pid, made.mote_name = _mote.whoami()
        return made

    record._mote = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
