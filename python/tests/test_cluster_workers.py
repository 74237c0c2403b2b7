# SPDX-License-Identifier: Apache-2.0
"""Nodes of several workers: whatever test_cluster.py asks of two nodes, asked by a process of a worker, of processes in workers of the other; and what workers alone have."""
import contextlib
import io
import os
import shutil
import signal
import sys
import unittest

import mote
import mote._workers
import quick
from mote import ANY, Atom, Down
from test_cluster import PATIENCE, SECRET, A, AsyncProbe, Case, Peers, Probe, idle, watch

WORKERS = 3  # the hub is one


def peer(name, port):
    """The program of the other node. What the probe starts stands in its workers, as itself does."""
    with mote.Node(name, cookie=SECRET, epmd=int(port), rights=["exit"], tick=240, workers=WORKERS):
        Placed.options(name="probe", place=1).start()
        AsyncProbe.options(name="async_probe", place=2).start()
        Placed.options(name="hub_probe", place="here").start()
        print("ready", flush=True)
        sys.stdin.read()


# ------------------------------------------------------------------------------------- what runs in workers


class Placed(Probe):
    @mote.call
    def idle(self):
        return mote.options(place=2).spawn(idle)

    @mote.call
    def watch(self, how, target, to):
        return mote.options(place=2).spawn(watch, how, target, to)

    @mote.call
    def sink(self):
        return mote.options(place="here").spawn(swallows)

    @mote.call
    def where(self):
        return os.getpid()

    @mote.call
    def kill_worker(self, pid):
        os.kill(pid, signal.SIGKILL)
        return True


class Inside(Peers):
    """One test of Peers, in a worker: the nodes are there."""

    def setUp(self):
        self.assertNotEqual(mote._workers.number(), 0)
        self.assertEqual((mote.node(), mote.self().node), (self.name, self.name))
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def hears(self, *wanted):
        return mote.receive(*wanted, timeout=PATIENCE)


class Program:
    def __init__(self, pid):
        self.pid = pid


def inside(test, name, other, program, plain, visible, to):
    """Runs a test, and says what has failed."""
    case = type("Case", (Inside, unittest.TestCase), {})(test)
    case.name, case.peer, case.probe = name, other, (A["probe"], Atom(other))
    case.program, case.plain, case.visible = Program(program), plain, visible
    result = unittest.TestResult()
    case.run(result)
    to.send(("ran", result.testsRun, [text for _, text in result.failures + result.errors]))


async def in_coroutine(name, to):
    found = [await mote.aio.ping("nobody@127.0.0.1"), await mote.aio.ping(name), mote.nodes(hidden=True)]
    found.append(await mote.aio.call(("probe", name), (A["add"], 1)))
    found.append(await AsyncProbe.at(("async_probe", name)).aio.add(1))
    mote.monitor(("nobody", name))
    found.append((await mote.aio.receive(Down)).reason)
    mote.send(to, found)


def sends_much(to, count, size):
    for n in range(count):
        mote.send(to, (n, bytes(size)))
    mote.exit("sent all")


def encodes(ref, to):
    mote.send(to, (mote.encode(ref), mote.make_ref()))


def swallows():
    while True:
        mote.receive()


def links(name, to):
    """With the process of a name of another node."""
    mote.send(name, (A["echo"], mote.self(), 1))
    mote.link(mote.receive()[1])
    mote.send(name, (A["echo"], mote.self(), 2))
    mote.receive((A["echo"], ANY, 2))
    mote.send(to, "linked")
    mote.receive("never")


def careless(to):
    mote.send(to, ("here", os.getpid()))
    mote.receive("die")
    os._exit(3)


began = []  # in a worker: what its start has found


def begins():
    began.append((mote.node(), mote.nodes(hidden=True), mote._workers.number()))


def tells_began(to):
    mote.send(to, began)


# --------------------------------------------------------------------------------------------------- the tests


class World(Case):
    """A node of ours and one of others, for all tests of a class."""

    def start_mote(self, name="peer@127.0.0.1"):
        return name, self.run_peer([sys.executable, __file__, "peer", name, str(self.port)])


class Shared:
    plain, visible, how, servers = False, False, {}, ("probe", "hub_probe")

    @classmethod
    def setUpClass(cls):
        mote._mote.stop()
        cls.log = contextlib.redirect_stderr(io.StringIO())
        cls.log.__enter__()
        cls.world = World()
        try:
            cls.world.begin(rights=["exit"], workers=WORKERS, on_worker_start=begins, **cls.how)
            cls.start_peer()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def start_peer(cls):
        cls.peer, cls.program = cls.world.start_mote()

    @classmethod
    def tearDownClass(cls):
        cls.world.doCleanups()
        cls.log.__exit__(None, None, None)

    def setUp(self):
        if mote.nodes(hidden=True):  # each test begins without a connection
            mote.monitor_node(self.peer)
            with contextlib.suppress(ConnectionError):  # it is gone by itself
                mote.disconnect(self.peer)
            self.hears(mote.NodeDown)
        if self.program.poll() is not None:
            self.start_peer()
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def hears(self, *wanted):
        return mote.receive(*wanted, timeout=PATIENCE)

    def run_inside(self, test):
        mote.options(place=1).spawn(inside, test, self.world.name, self.peer, self.program.pid, self.plain, self.visible, mote.self())
        _, ran, failed = self.hears(("ran", ANY, ANY))
        self.assertEqual((ran, failed), (1, []), "\n".join(failed))
        if test == "test_monitors":  # the probe has ended
            self.program.kill()
        if test in ("test_monitors", "test_death_is_noticed"):
            self.program.wait(PATIENCE)

    def ask(self, server, *args):
        return mote.call((server, self.peer), (Atom(args[0]), *args[1:]), PATIENCE)

    def test_our_worker_dies(self):
        """Who watches from the other node is told why."""
        for how in ("monitor", "link"):
            pid = mote.options(place=1).spawn(careless, mote.self())
            self.hears(("here", ANY))
            for server in self.servers:
                self.ask(server, "watch", Atom(how), pid, mote.self())
                self.hears(("watching", ANY))
            self.ask("probe", "add", 0)
            mote.send(pid, "die")
            for _ in self.servers:
                self.assertEqual(self.hears(("saw", ANY, ANY)), ("saw", pid, ("worker_died", 1, ("exit", 3))))


def asked_inside(cls):
    """The tests of Peers, each in a worker."""
    for name in filter(lambda name: name.startswith("test_"), dir(Peers)):
        setattr(cls, name, lambda self, name=name: self.run_inside(name))
    return cls


@asked_inside
class WithMote(Shared, unittest.TestCase):
    def test_coroutines(self):
        mote.options(place=2).spawn(in_coroutine, self.peer, mote.self())
        self.assertEqual(self.hears()[:3], [False, True, [self.peer]])

    def test_where_they_are(self):
        """The pids of workers are pids of the node."""
        pids = {self.ask("probe", "where"), self.ask("hub_probe", "where")}
        self.assertEqual((len(pids), self.program.pid in pids), (2, True))
        pid = self.ask("hub_probe", "idle")
        self.assertEqual(pid.node, self.peer)
        mote.send(pid, (A["echo"], mote.self(), 1))
        self.assertEqual(self.hears()[1:], (pid, 1))

    def test_references(self):
        """All workers write one as the same to other nodes."""
        ref = mote.make_ref()
        mote.options(place=1).spawn(encodes, ref, mote.self())
        told, theirs = self.hears()
        self.assertEqual((told, mote.decode(told)), (mote.encode(ref), ref))
        self.assertEqual(mote.decode(mote.encode(theirs)), theirs)

    def test_their_worker_dies(self):
        ref, there = mote.monitor(("probe", self.peer)), self.ask("probe", "where")
        with mote.trap_exit():
            pid = mote.options(place=1).spawn(links, ("probe", self.peer), mote.self())
            own = mote.monitor(pid)
            self.hears("linked")
            self.ask("hub_probe", "kill_worker", there)
            told = {down.ref: down.reason for down in (self.hears(Down), self.hears(Down))}
        self.assertEqual(told, dict.fromkeys((ref, own), ("worker_died", 1, ("signal", "SIGKILL"))))
        self.program.kill()  # the probe has ended
        self.program.wait()

    def test_a_worker_begins(self):
        """It knows the node from its first function on, and who is connected."""
        mote.connect(self.peer)
        mote.options(place="dedicated").spawn(tells_began, mote.self())
        mote.options(place=1).spawn(tells_began, mote.self())
        found = {began[0][2]: began for began in (self.hears(list), self.hears(list))}
        self.assertEqual(found.pop(1)[0][0], self.world.name)
        ((_, [(name, nodes, _)]),) = found.items()
        self.assertEqual((name, nodes), (self.world.name, [self.peer]))

    def test_much_waits(self):
        """A sender in a worker stands still while the other node takes nothing. (Larger messages wait in the arena until it is told.)"""
        sink = self.ask("hub_probe", "sink")
        os.kill(self.program.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.program.pid, signal.SIGCONT)
        pid, ref = mote.options(place=2, monitor=True).spawn(sends_much, sink, 3000, 30_000)
        while mote.info(pid).state != "suspended":
            self.assertIsNone(mote.receive(Down, timeout=0.01, default=None))
        os.kill(self.program.pid, signal.SIGCONT)
        self.assertEqual(self.hears(Down), Down(Atom("DOWN"), ref, Atom("process"), pid, "sent all"))


if shutil.which("erl") and shutil.which("erlc"):

    @asked_inside
    @quick.once
    class WithErlang(Shared, unittest.TestCase):
        how = {"cookie": SECRET.replace(" ", "_"), "visible": True}
        plain, visible, servers = True, True, ("probe",)

        @classmethod
        def start_peer(cls):
            cls.peer, cls.program = cls.world.start_erlang()


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(*sys.argv[2:])
    else:
        unittest.main()
