# SPDX-License-Identifier: Apache-2.0
"""Global names: this program with another of mote's; with Erlang's they are met by tests/dist_global.py."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

import mote
from mote import Atom
from ports import free_port
from test_cluster import SECRET, ended

PATIENCE = 60


def told():
    while True:
        message = mote.receive()
        message[1].send(("told", message[0], mote.self()))


def tries(to, resource, nodes, timeout=0, requester=None):
    try:
        with mote.global_names.lock(resource, requester, nodes=nodes, timeout=timeout):
            to.send((mote.self(), (True, None)))
    except TimeoutError as e:
        to.send((mote.self(), (False, str(e))))


def peer(name, port):
    """The program of the other node: commands are lines, each is answered by one."""
    with mote.Node(name, cookie=SECRET, epmd=int(port), visible=True, global_names=True):
        pids = {}
        print("ready", flush=True)
        for line in sys.stdin:
            what, key = line.split()
            if what == "register":
                pids[key] = mote.spawn(told)
                try:
                    mote.global_names.register(key, pids[key])
                    print("ok", flush=True)
                except ValueError as e:
                    print(e, flush=True)
            elif what == "connect":
                mote.connect(key)
                mote.global_names.sync(PATIENCE)
                print("ok", flush=True)
            elif what == "lock":
                print(mote.global_names.set_lock(key, timeout=0), flush=True)
            elif what == "unlock":
                mote.global_names.del_lock(key)
                print("ok", flush=True)
            elif what == "alive":
                print(mote.is_alive(pids[key]), flush=True)


class Global(unittest.TestCase):
    def begin(self, **how):
        self.port = free_port()
        node = mote.Node("t@127.0.0.1", cookie=SECRET, epmd=self.port, visible=True, global_names=True, **how)
        self.addCleanup(node.stop)

    def start_peer(self):
        path = os.pathsep.join([str(pathlib.Path(mote.__file__).parents[1]), *filter(None, sys.path)])
        command = [sys.executable, __file__, "peer", "u@127.0.0.1", str(self.port)]
        self.peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
        self.addCleanup(ended, self.peer)
        self.assertEqual(self.peer.stdout.readline(), "ready\n")

    def do(self, command):
        self.peer.stdin.write(command + "\n")
        self.peer.stdin.flush()
        return self.peer.stdout.readline().strip()

    def test_alone(self):
        self.begin()
        names = mote.global_names
        pid = mote.spawn(told)
        names.register(Atom("x"), pid)
        with self.assertRaisesRegex(ValueError, "taken"):
            names.register(Atom("x"))
        with self.assertRaisesRegex(ValueError, "conflict"):
            names.register(Atom("y"), conflict="fight")
        with self.assertRaisesRegex(ValueError, "too long"):
            names.register("y" * 2000)
        self.assertEqual(names.whereis(Atom("x")), pid)
        names.reregister(Atom("x"), conflict="notify")
        self.assertEqual(names.whereis(Atom("x")), mote.self())
        names.register(("a", [1, "text"]), pid)
        self.assertCountEqual(names.names(), [Atom("x"), (b"a", [1, b"text"])])
        names.unregister(Atom("x"))
        self.assertIsNone(names.whereis(Atom("x")))
        with self.assertRaises(LookupError):
            names.send(Atom("x"), "hello")
        mote.kill(pid)
        ref = mote.monitor(pid)
        mote.receive((Atom("DOWN"), ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)
        self.assertIsNone(names.whereis(("a", [1, "text"])))
        names.sync(PATIENCE)

    def test_not_asked_for(self):
        self.port = free_port()
        with mote.Node("t@127.0.0.1", cookie=SECRET, epmd=self.port, visible=True):
            with self.assertRaises(mote.NoProc):
                mote.global_names.whereis("x")
        with self.assertRaisesRegex(ValueError, "visible"):
            mote.Node("t@127.0.0.1", cookie=SECRET, epmd=self.port, global_names=True)

    def test_two_nodes(self):
        self.begin()
        self.start_peer()
        self.assertEqual(self.do("register far"), "ok")
        self.assertEqual(self.do("register both"), "ok")
        own = mote.spawn(told)
        mote.global_names.register("both", own)
        self.assertEqual(self.do("connect t@127.0.0.1"), "ok")
        mote.global_names.sync(PATIENCE)
        far = mote.global_names.whereis("far")
        self.assertEqual(far.node, "u@127.0.0.1")
        mote.global_names.send(b"far", ("hello", mote.self()))
        self.assertEqual(mote.receive(("told", mote.ANY, mote.ANY), timeout=PATIENCE), ("told", "hello", far))
        self.assertEqual(mote.global_names.whereis("both"), own)  # its node's name is smaller
        self.assertEqual(self.do("alive both"), "False")
        self.assertEqual(self.do("register both"), "the name is taken")
        mote.monitor_node("u@127.0.0.1")
        self.peer.stdin.close()
        mote.receive(mote.NodeDown(Atom("nodedown"), Atom("u@127.0.0.1")), timeout=PATIENCE)
        until = time.monotonic() + PATIENCE  # who keeps the names is told as we are
        while mote.global_names.names() != [b"both"]:
            self.assertLess(time.monotonic(), until, mote.global_names.names())
            mote.sleep(0.001)

    def test_locks(self):
        self.begin()
        names, me = mote.global_names, mote.self()
        self.start_peer()
        self.assertEqual(self.do("connect t@127.0.0.1"), "ok")
        names.sync(PATIENCE)
        with names.lock("table"):
            self.assertEqual(self.do("lock table"), "False")
            self.assertTrue(names.set_lock("table", timeout=0))  # it has it
            worker = mote.spawn(tries, me, "table", None)
            self.assertEqual(mote.receive((worker, mote.ANY), timeout=PATIENCE)[1], (False, "the lock of 'table' was not to be had in 0 seconds"))
            other = mote.spawn(tries, me, "table", ["t@127.0.0.1"], 0, "elsewhere")
            self.assertIs(mote.receive((other, mote.ANY), timeout=PATIENCE)[1][0], False)
        self.assertEqual(self.do("lock table"), "True")
        self.assertFalse(names.set_lock(b"table", timeout=0.05))  # a text is bytes to others
        self.assertTrue(names.set_lock(b"table", timeout=0, nodes=[]))
        with self.assertRaisesRegex(TimeoutError, "'table' was not to be had in 0.01 seconds"):
            with names.lock("table", timeout=0.01):
                self.fail("it has it")
        self.assertEqual(self.do("unlock table"), "ok")
        self.assertTrue(names.set_lock("table", timeout=PATIENCE))
        names.del_lock("table")
        for requester in ("ours", "ours"):
            self.assertTrue(names.set_lock("both", requester, nodes=["t@127.0.0.1", "u@127.0.0.1", "nobody@127.0.0.1"], timeout=0))
        names.del_lock("both", "ours", nodes=["t@127.0.0.1", "u@127.0.0.1"])
        with self.assertRaisesRegex(TypeError, "a list of names"):
            names.set_lock("table", nodes="t@127.0.0.1")
        self.assertEqual(self.do("lock last"), "True")
        self.peer.kill()
        self.assertTrue(names.set_lock("last", timeout=PATIENCE))  # a lock goes with who has it

    def test_locks_in_coroutines(self):
        self.begin()
        turns = []

        async def takes_turns(to, n):
            for _ in range(5):
                async with mote.global_names.aio.lock("turn"):
                    turns.append(n)
                    await mote.aio.sleep(0)
                    turns.append(n)
            to.send(("done", n, await mote.global_names.aio.set_lock("turn", timeout=0, nodes=[])))

        for n in range(4):
            mote.spawn(takes_turns, mote.self(), n)
        for _ in range(4):
            self.assertIs(mote.receive(("done", mote.ANY, mote.ANY), timeout=PATIENCE)[2], True)
        self.assertEqual(turns[::2], turns[1::2])
        self.assertEqual(sorted(turns), sorted([0, 1, 2, 3] * 10))

    def test_in_coroutines(self):
        self.begin()

        async def main(to):
            names = mote.global_names.aio
            await names.register("x")
            await names.send("x", "hello")
            got = await mote.aio.receive(timeout=PATIENCE)
            found = await names.whereis("x") == mote.self(), await names.whereis("y"), await names.names()
            await names.sync(PATIENCE)
            await names.reregister("x", to)
            await names.unregister("x")
            to.send(("done", got, *found, await names.names()))

        mote.spawn(main, mote.self())
        self.assertEqual(mote.receive(("done", mote.ANY, mote.ANY, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE), ("done", "hello", True, None, [b"x"], []))


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(*sys.argv[2:])
    else:
        unittest.main()
