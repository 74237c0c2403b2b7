# SPDX-License-Identifier: Apache-2.0
"""What other nodes may do, by the name that they have proved, and what they do not reach: they are clients of bytes (tests/dist_wire.py)."""
import importlib
import os
import pathlib
import sys
import tempfile
import unittest

import mote
from mote import Atom, _stock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))
wire = importlib.import_module("dist_wire")

SECRET = "a_secret_of_this_test"
NAME = "rights@127.0.0.1"
PATIENCE = 60


def waits():
    while True:
        message = mote.receive()
        if message == "die":
            return
        mote.send(message[0], (Atom("got"), message[1]))


def protected(hide):
    mote.protect(hide=hide)
    mote.register("is protected", remote=False)
    waits()


class Case(unittest.TestCase):
    def begin(self, **how):
        self.node = mote.Node(NAME, cookie=SECRET, epmd=False, **how)
        self.addCleanup(self.node.stop)

    def peer(self, name, flags=wire.PLAIN):
        n = wire.Node(self.node.port, NAME, name, SECRET, flags)
        self.addCleanup(n.close)
        return n

    def raw(self, value):
        return wire.Raw(mote.encode(value)[1:])

    def pid_of(self, pid):
        return self.raw(pid)

    def answers(self, n, pid, mark):
        n.send(n.frame((22, n.me, pid), (n.me, mark)))
        return n.waits_for(mark, PATIENCE)

    def exits(self, n, pid):
        n.send(n.frame((26, n.me, pid), wire.Atom("kill")))


class Rights(Case):
    def test_of_each(self):
        self.begin(rights={"may@127.0.0.1": ["exit"], "*": []})
        may, may_not, witness = self.peer("may@127.0.0.1"), self.peer("may_not@127.0.0.1"), mote.spawn(waits)
        pid, ref = mote.spawn_monitor(waits)
        self.exits(may_not, self.pid_of(pid))
        self.answers(may_not, self.pid_of(witness), b"first")
        self.assertTrue(mote.is_alive(pid))
        self.exits(may, self.pid_of(pid))
        self.assertEqual(mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE).reason, "killed")
        pid, ref = mote.spawn_monitor(waits)
        mote.allow("may_not@127.0.0.1", "exit")
        mote.allow("may@127.0.0.1")
        self.exits(may, self.pid_of(pid))
        self.answers(may, self.pid_of(witness), b"second")
        self.assertTrue(mote.is_alive(pid))
        self.exits(may_not, self.pid_of(pid))
        self.assertEqual(mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE).reason, "killed")
        for wrong in (lambda: mote.allow("may@127.0.0.1", "all"), lambda: mote.allow("no name", "exit")):
            self.assertRaises(ValueError, wrong)

    def test_protected(self):
        self.begin(rights=["exit"])
        n, witness = self.peer("a@127.0.0.1"), mote.spawn(waits)
        for hide in (False, True):
            pid, ref = mote.spawn_monitor(protected, hide)
            while mote.whereis("is protected") != pid:
                mote.sleep(0.001)
            data = self.pid_of(pid)
            self.exits(n, data)
            n.send(n.frame((1, n.me, data)))
            self.assertTrue(n.waits_for(b"noproc"))
            n.send(n.named("is protected", wire.Atom("die")))
            if hide:
                n.send(n.frame((22, n.me, data), wire.Atom("die")))
            self.answers(n, self.pid_of(witness), b"after all")
            self.assertTrue(mote.is_alive(pid))
            if not hide:
                self.answers(n, data, b"by its pid")
            mote.send("is protected", Atom("die"))  # here it has its name
            mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)

    def test_what_workers_wait_for(self):
        """A process that another worker has been granted runs what it is told: not by other nodes, nor does a keeper do anything for them."""
        self.begin(workers=2, rights=["exit", "spawn", "rpc"])
        n, witness = self.peer("a@127.0.0.1"), mote.spawn(waits)
        with tempfile.TemporaryDirectory() as work:
            marks = [os.path.join(work, f"mark{i}") for i in range(2)]
            granted = _stock.grant(mote.self(), False)  # as the keeper does
            does = (Atom("os"), Atom("mkdir"), (marks[0].encode(),), {})
            for forged in ((Atom("$mote_spawn"), *does), (Atom("$mote_spawn"), os.urandom(16), *does), (Atom("$mote_back"), b""), (Atom("DOWN"), 1, Atom("process"), 1, 1)):
                n.send(n.frame((22, n.me, self.pid_of(granted)), self.raw(forged)))
            n.send(n.named("mote keeper 0", self.raw((Atom("more"), mote.self(), False, 5))))
            self.answers(n, self.pid_of(witness), b"they were told")
            self.assertIsNone(mote.receive((Atom("pids"), mote.ANY, mote.ANY, mote.ANY), timeout=0, default=None))
            self.assertTrue(mote.is_alive(granted))
            _, ref = _stock.order(granted, (Atom("os"), Atom("mkdir")), (marks[1].encode(),), {}, False, True)  # it does run what its node tells it
            mote.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)
            self.assertEqual(os.listdir(work), ["mark1"])


class Names(Case):
    def test_longest(self):
        """One that is no atom is an error here; what ends a connection is not sent. From outside it ends the one it comes by, as in Erlang."""
        self.begin()
        n, other, witness = self.peer("a@127.0.0.1"), self.peer("b@127.0.0.1"), mote.spawn(waits)
        for name in ("y" * 256, "y" * 70_000):
            for does in (lambda: mote.send((name, "a@127.0.0.1"), 1), lambda: mote.monitor((name, "a@127.0.0.1"))):
                self.assertRaisesRegex(ValueError, "a name has at most 255 characters", does)
        mote.send(("\U0001f600" * 255, "a@127.0.0.1"), b"the longest")
        self.assertTrue(n.waits_for(b"the longest"))
        other.send(other.named("y" * 256, 1))
        self.assertTrue(wire.closes(other.socket))
        self.assertTrue(self.answers(n, self.pid_of(witness), b"goes on"))


class Limits(Case):
    def test_of_a_peer(self):
        self.begin(limits={"message": 10_000, "relations": 10})
        self.assertEqual(mote.node(), NAME)
        n, other, witness = self.peer("a@127.0.0.1"), self.peer("b@127.0.0.1"), mote.spawn(waits)
        self.assertTrue(self.answers(n, self.pid_of(witness), b"x" * 9000))
        n.send(n.frame((22, n.me, self.pid_of(witness)), b"x" * 10_001))
        self.assertTrue(wire.closes(n.socket))
        self.assertTrue(self.answers(other, self.pid_of(witness), b"goes on"))

    def test_what_cannot_be(self):
        for limits, why in (({"atom": 1}, "limits are of atoms, processes"), ({"atoms": 0}, "a number from 1 on"), ({"atoms": 1 << 32}, "a number from 1 on")):
            with self.assertRaisesRegex(ValueError, why):
                mote.Node(NAME, cookie=SECRET, epmd=False, limits=limits)


if __name__ == "__main__":
    unittest.main()
