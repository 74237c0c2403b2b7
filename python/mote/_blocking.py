# SPDX-License-Identifier: Apache-2.0
"""Calls that block, on threads of their own, while the calling process waits and all others run."""
from __future__ import annotations

import threading
from collections import deque
from contextvars import copy_context

from mote import _mote
from mote._mote import Atom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

_THREADS_MAX = 64
_IDLE_SECONDS = 10.0
_DONE = Atom("mote_done")


class _Job:
    """A call, and what came of it."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.call = (function, args, kwargs)
        self.pid, self.ref, self.context = _mote.self(), _mote.make_ref(), copy_context()
        self.value: Any = None
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        function, args, kwargs = self.call
        try:
            self.value = self.context.run(function, *args, **kwargs)
        except BaseException as e:
            self.error = e
        _mote.blocking_done(self.pid, self.ref)

    @property
    def done(self) -> tuple[Atom, Any]:
        return (_DONE, self.ref)

    def result(self) -> Any:
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self.value


class _Threads:
    """Daemons that run jobs: as many as there is work for, at most _THREADS_MAX; an idle one ends after a while."""

    def __init__(self) -> None:
        self._some = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._count = self._idle = 0

    def add(self, job: _Job) -> None:
        with self._some:
            self._jobs.append(job)
            if len(self._jobs) > self._idle and self._count < _THREADS_MAX:
                self._count += 1
                threading.Thread(target=self._work, name="mote-blocking", daemon=True).start()
            else:
                self._some.notify()

    def _next(self) -> Optional[_Job]:
        with self._some:
            self._idle += 1
            found = self._some.wait_for(lambda: self._jobs, _IDLE_SECONDS)
            self._idle -= 1
            if found:
                return self._jobs.popleft()
            self._count -= 1
            return None

    def _work(self) -> None:
        while True:
            job = self._next()
            if job is None:
                return
            job.run()


_threads = _Threads()


def start(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Job:
    """Starts function(*args, **kwargs) on a thread; its `done` comes as a message to the caller."""
    job = _Job(function, args, kwargs)
    _threads.add(job)
    return job
