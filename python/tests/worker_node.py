# SPDX-License-Identifier: Apache-2.0
"""For tests of workers: a node for each test, and processes that stand in its workers and do what they are told."""
import os
import signal
import time
import unittest
from typing import NamedTuple

import mote
import mote._hub
import mote._workers
from mote import ANY, Atom

PATIENCE = 30
mote._hub.HEARD_SECONDS = PATIENCE  # each hears of a new worker before that works, however slow the machine is


@mote.message
class Note(NamedTuple):
    what: str
    value: object


def here(to):
    mote.send(to, os.getpid())


def stands(to):
    """Says where it is, and does what it is told."""
    mote.send(to, ("here", os.getpid(), mote.self()))
    while True:
        what = mote.receive()
        if what[0] == "end":
            mote.exit(what[1])
        elif what[0] == "die":
            os._exit(what[1])
        elif what[0] == "send":
            for n in range(what[1]):
                mote.send(to, ("sent", n, b"x" * what[2]))
            mote.exit("sent all")
        mote.send(to, ("told", what))


async def stands_aio(to):
    mote.send(to, ("here", os.getpid(), mote.self()))
    what = await mote.aio.receive(("end", ANY))
    mote.exit(what[1])


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


class SharedNode(unittest.TestCase):
    """One node for all tests of a class; each begins with an empty mailbox and all workers."""

    WORKERS = 2

    @classmethod
    def setUpClass(cls):
        mote._mote.stop()
        cls.node = mote.Node(workers=cls.WORKERS)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass
        self.hub = mote._workers.begin()


class WithNode(unittest.TestCase):
    def setUp(self):
        mote._mote.stop()
        self.node = None

    def tearDown(self):
        mote._workers.end()
        if self.node:
            self.node.stop()

    def begin(self, **how):
        self.node = mote.Node(**how)
        self.hub = mote._workers.hub

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            mote.sleep(0.001)  # others get the interpreter

    def stand(self, place, function=stands):
        """(pid, ref, OS process) of one that stands there."""
        pid, ref = mote.options(place=place, monitor=True).spawn(function, mote.self())
        _, where, _ = mote.receive(("here", ANY, pid), timeout=PATIENCE)
        return pid, ref, where

    @staticmethod
    def stop(worker):
        """Stops an OS process, which is a worker, and waits until it stands."""
        os.kill(worker, signal.SIGSTOP)
        os.waitid(os.P_PID, worker, os.WSTOPPED | os.WNOWAIT)

    def reason(self, ref):
        return mote.receive((Atom("DOWN"), ref, ANY, ANY, ANY), timeout=PATIENCE).reason

    def pool(self):
        return {worker.pid for worker in self.hub.places.values()}

    def is_alone(self):
        return set(self.hub.workers.values()) == set(self.hub.places.values())

    def until_alone(self):
        """Nothing is there but the pool."""
        self.until(self.is_alone, f"workers are left: {self.hub.workers}")
