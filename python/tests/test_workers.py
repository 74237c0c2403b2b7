# SPDX-License-Identifier: Apache-2.0
"""Workers: processes in other interpreters of the node, behind the same spawn, send, link, monitor and names."""
import dataclasses
import functools
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

import mote
from mote import ANY, Atom, Down, ExitSignal
from said import but_hogs
from worker_node import PATIENCE, SharedNode

PROGRAM_SECONDS = 60


# ------------------------------------------------------------------------------- what runs in the workers


def echo(to):
    """Answers whatever comes; says first where it is."""
    mote.send(to, ("here", os.getpid(), mote.self()))
    while True:
        message = mote.receive()
        if message == "stop":
            return
        if isinstance(message, tuple) and message[:1] == ("die",):
            getattr(sys.modules[__name__], message[1])()
        mote.send(to, ("echo", message))


async def echo_aio(to):
    mote.send(to, ("here", os.getpid(), mote.self()))
    while True:
        message = await mote.aio.receive()
        if message == "stop":
            return
        mote.send(to, ("echo", message))


@mote.message
@dataclasses.dataclass(frozen=True)
class Greeter:
    to: object

    def greets(self, name, *, and_then=None):
        mote.send(self.to, ("hello", name, and_then, mote._workers.number()))

    async def greets_aio(self, name):
        mote.send(self.to, ("aio", name, mote._workers.number()))

    __call__ = greets

    @classmethod
    def makes(cls, to):
        mote.send(to, cls(1))


def exits():
    os._exit(3)


def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


def raises():
    raise ValueError("on purpose")


def trapper(to):
    mote.trap_exit()
    mote.send(to, ("here", os.getpid(), mote.self()))
    while True:
        mote.send(to, mote.receive())


def linker(to, other):
    mote.link(other)
    mote.send(to, "linked")
    mote.receive("stop")
    mote.exit(("because", 7))


def named(to, name):
    mote.register(name)
    mote.send(to, "registered")
    while True:
        caller = mote.receive()
        mote.send(caller, ("by name", os.getpid()))


def counts(to):
    n = 0
    while True:
        message = mote.receive()
        if message == "done":
            mote.send(to, ("counted", n))
            return
        assert message == n, (message, n)
        n += 1


def streams(to, n):
    for i in range(n):
        mote.send(to, i)
    mote.send(to, "done")


async def streams_aio(to, n):
    streams(to, n)


class Adder(mote.Server):
    def init(self, total):
        self.total = total

    @mote.call
    def add(self, n):
        self.total += n
        return self.total, os.getpid()

    @mote.call
    def slow(self):
        mote.sleep(60)


def serves(to):
    adder = Adder.start(100)
    mote.send(to, adder.pid)
    mote.receive()


def started(function, *args, place=1, **how):
    return mote.options(place=place, **how).spawn(function, *args)


class InWorkers(SharedNode):
    def there(self, function=echo, *args, **how):
        """(pid, ref) of a process that is in the other worker."""
        pid, ref = started(function, mote.self(), *args, monitor=True, **how)
        tag, os_pid, self_pid = mote.receive(("here", ANY, ANY), timeout=PATIENCE)
        self.assertEqual(pid, self_pid)
        self.assertNotEqual(os_pid, os.getpid())
        return pid, ref

    def down(self, ref):
        """The Down of this monitor; those of other tests' processes may come as well."""
        return mote.receive((Atom("DOWN"), ref, ANY, ANY, ANY), timeout=PATIENCE)

    def test_both_flavours(self):
        for function in (echo, echo_aio):
            with self.subTest(function.__name__):
                pid, ref = self.there(function)
                mote.send(pid, 1)
                self.assertEqual(mote.receive(timeout=PATIENCE), ("echo", 1))
                mote.send(pid, "stop")
                down = self.down(ref)
                self.assertIsInstance(down, Down)
                self.assertEqual((down.process, down.reason), (pid, Atom("normal")))

    def test_values(self):
        pid, _ = self.there()
        values = [0, -1, 2**70, -(2**70), 1.5, True, False, None, "text", "täxt", b"bytes", b"", Atom("atom"), (), (1, ("a", b"b")), [1, 2, 300], [], {"a": 1, 2: [3]}, {}]
        values += [{1, 2}, frozenset("ab"), bytearray(b"x"), 1 + 2j, float("inf"), (True, [None]), mote.self(), pid, mote.make_ref(), "x" * 100_000, b"y" * 1_000_000, list(range(10_000)), ("deep", [[[[["er"]]]]])]
        for value in values:
            with self.subTest(repr(value)[:40]):
                mote.send(pid, value)
                tag, back = mote.receive(("echo", ANY), timeout=PATIENCE)
                kind = bytes if type(back) is mote.SharedBytes and len(back) >= 32768 else type(back)
                self.assertEqual((back, kind), (value, type(value)))

    def test_order(self):
        for function in (streams, streams_aio):
            counter = mote.spawn(counts, mote.self())
            started(function, counter, 20_000)
            self.assertEqual(mote.receive(timeout=PATIENCE), ("counted", 20_000))
        counter = started(counts, mote.self())
        streams(counter, 20_000)
        self.assertEqual(mote.receive(timeout=PATIENCE), ("counted", 20_000))

    def test_exits(self):
        pid, ref = self.there(trapper)
        mote.exit(pid, "please")
        self.assertEqual(mote.receive(ExitSignal, timeout=PATIENCE), ExitSignal(Atom("EXIT"), mote.self(), Atom("please")))
        mote.kill(pid)
        self.assertEqual(self.down(ref).reason, Atom("killed"))
        self.assertFalse(mote.is_alive(pid))
        pid, ref = self.there(echo)
        mote.send(pid, ("die", "raises"))
        reason = self.down(ref).reason
        self.assertEqual(reason[0], Atom("error"))
        self.assertIn("on purpose", str(reason))

    def test_links(self):
        trap, _ = self.there(trapper)
        here = mote.spawn(linker, mote.self(), trap)
        self.assertEqual(mote.receive("linked", timeout=PATIENCE), "linked")
        mote.send(here, "stop")

        signal_ = mote.receive(ExitSignal, timeout=PATIENCE)
        self.assertEqual((signal_.sender, signal_.reason), (here, ("because", 7)))

    def test_names(self):
        pid, ref = started(named, mote.self(), "far_name", monitor=True)
        self.assertEqual(mote.receive(timeout=PATIENCE), "registered")
        self.assertEqual(mote.whereis("far_name"), pid)
        self.assertIn("far_name", mote.registered())
        mote.send("far_name", mote.self())
        self.assertEqual(mote.receive(timeout=PATIENCE)[0], "by name")
        with self.assertRaises(ValueError):
            mote.register("far_name")
        mote.kill(pid)
        self.assertEqual(self.down(ref).reason, Atom("killed"))
        self.assertIsNone(mote.whereis("far_name"))

    def test_calls(self):
        pid, _ = started(serves, mote.self(), monitor=True)
        server = mote.receive(mote.Pid, timeout=PATIENCE)
        proxy = Adder.at(server)
        total, where = proxy.add(5)
        self.assertEqual(total, 105)
        self.assertNotEqual(where, os.getpid())
        with self.assertRaises(TimeoutError):
            mote.call(mote.spawn(mote.receive, "never"), "anything", timeout=0.05)
        with self.assertRaises(mote.NoProc) as caught:
            mote.call(server, "nothing it knows")
        self.assertEqual(caught.exception.reason, ("bad_call", "nothing it knows"))

    def test_timers(self):
        pid, _ = self.there()
        mote.send_after(0.01, pid, "later")
        self.assertEqual(mote.receive(("echo", ANY), timeout=PATIENCE), ("echo", "later"))
        timer = mote.send_after(1000, pid, "never")
        self.assertGreater(mote.cancel(timer), 900)
        started(named, mote.self(), "later by name")
        mote.receive("registered", timeout=PATIENCE)
        mote.send_after(0.01, "later by name", mote.self())
        self.assertEqual(mote.receive(("by name", ANY), timeout=PATIENCE)[0], "by name")

    def test_info(self):
        pid, _ = self.there()
        info = mote.info(pid)
        self.assertEqual((info.pid, info.messages), (pid, 0))
        self.assertIn(info.state, ("waiting", "runnable"))
        self.assertTrue(mote.is_alive(pid))

    def test_partials_and_methods(self):
        there = mote.options(place=1)
        greeter = Greeter(mote.self())
        for function in (greeter.greets, greeter, functools.partial(Greeter.greets, greeter), functools.partial(functools.partial(greeter, and_then=1), and_then=None)):
            there.spawn(function, "you")
            self.assertEqual(mote.receive(timeout=PATIENCE), ("hello", "you", None, 1))
        for function in (greeter.greets_aio, functools.partial(greeter.greets_aio)):
            there.spawn(function, "you")
            self.assertEqual(mote.receive(timeout=PATIENCE), ("aio", "you", 1))
        there.spawn(Greeter.makes, mote.self())
        self.assertEqual(mote.receive(timeout=PATIENCE), Greeter(1))

    def test_what_cannot_go(self):
        here = []
        with self.assertRaises(mote.NotSendable) as caught:
            started(lambda: None)
        self.assertIn("top level", str(caught.exception))
        mote.options(place="any").spawn(lambda to: mote.send(to, os.getpid()), mote.self())
        self.assertEqual(mote.receive(timeout=PATIENCE), os.getpid())
        with self.assertRaises(ValueError):
            started(echo, mote.self(), place=7)
        with self.assertRaises(ValueError):
            started(echo, mote.self(), place=1, name="label")
        self.assertEqual(here, [])

    def test_death(self):
        asan = os.environ.get("MOTE_TEST_UNDER") == "asan"  # it tells of a fault, and exits
        for how, cause in (("exits", ("exit", 3)), ("crashes", ("exit", 1) if asan else ("signal", "SIGSEGV"))):
            with self.subTest(how):
                pid, ref = self.there()
                begin = time.monotonic()
                mote.send(pid, ("die", how))
                self.assertEqual(self.down(ref).reason, ("worker_died", 1, cause))
                self.assertLess(time.monotonic() - begin, PATIENCE if asan else 5)
                self.assertFalse(mote.is_alive(pid))
                mote._workers.begin()
                again, _ = self.there()
                self.assertNotEqual(pid, again)

    def test_kill_of_the_os(self):
        pid, ref = self.there(trapper)
        _, other = started(named, mote.self(), "goes_with_it", monitor=True)
        mote.receive("registered", timeout=PATIENCE)
        os.kill(mote._workers.hub.places[1].pid, signal.SIGKILL)
        for each in (ref, other):
            self.assertEqual(self.down(each).reason, ("worker_died", 1, ("signal", "SIGKILL")))
        self.assertIsNone(mote.whereis("goes_with_it"))

    def test_who_waits_for_a_restart_waits_alone(self):
        """A place that is being started again holds up the process that wants to be there, and nobody else: here another one lets it start."""
        hub = mote._workers.hub
        start, may = hub.start, threading.Event()
        hub.start = lambda worker: (may.wait(PATIENCE), start(worker))
        self.addCleanup(hub.__dict__.pop, "start")
        _, ref = self.there()
        os.kill(hub.places[1].pid, signal.SIGKILL)
        self.down(ref)
        here = mote.options(place="here")
        here.spawn(lambda to: mote.send(to, started(echo, to)), mote.self())  # stands still first
        here.spawn(may.set)
        pid = mote.receive(mote.Pid, timeout=PATIENCE / 2)
        self.assertEqual(mote.receive(("here", ANY, ANY), timeout=PATIENCE)[2], pid)

    def test_plain_spawns_go_to_idle_ones(self):
        places, deadline = set(), time.monotonic() + PATIENCE
        while mote._workers.hub.places[1].pid not in places and time.monotonic() < deadline:
            mote.spawn(echo, mote.self())
            places.add(mote.receive(("here", ANY, ANY), timeout=PATIENCE)[1])
            mote.sleep(0.002)
        self.assertIn(mote._workers.hub.places[1].pid, places)

    def test_many(self):
        """More at once than a stock has."""
        pids = [started(echo_aio if i % 2 else echo, mote.self()) for i in range(1000)]
        self.assertEqual(len(set(pids)), 1000)
        seen = {mote.receive(("here", ANY, ANY), timeout=PATIENCE)[2] for _ in pids}
        self.assertEqual(seen, set(pids))
        for pid in pids:
            mote.send(pid, "stop")


def trickles(to):
    """Sends and sends; what it sends is counted by nobody."""
    while True:
        for _ in range(100):
            mote.send(to, b"x" * 100)
        mote.sleep(0.001)


def swallows():
    while True:
        mote.receive()


class Kills(unittest.TestCase):
    """Workers that are killed at any moment, under load: who watches is told once and soon, and nothing is left."""

    ROUNDS = 1000 if os.environ.get("MOTE_TEST_LONG") else 10

    def test_kills(self):
        mote._mote.stop()
        chance = random.Random(7)
        with mote.Node(workers=3):
            sink = mote.options(place="here").spawn(swallows)
            before, waits = None, []
            for round_ in range(self.ROUNDS):
                hub = mote._workers.begin()
                victim = chance.choice([hub.places[1], hub.places[2]])
                number, os_pid = victim.number, victim.pid
                refs = [started(echo, mote.self(), place=number, monitor=True)[1] for _ in range(10)]
                for _ in range(3):
                    started(trickles, sink, place=number)
                    started(trickles, mote.options(place=3 - number).spawn(swallows), place=number)
                mote.sleep(chance.random() / 100)
                os.kill(os_pid, signal.SIGKILL)
                killed = time.monotonic()
                told = [mote.receive((Atom("DOWN"), ANY, ANY, ANY, ANY), timeout=PATIENCE) for _ in refs]
                waits.append(time.monotonic() - killed)
                self.assertEqual({d.ref for d in told}, set(refs))
                self.assertEqual({d.reason for d in told}, {("worker_died", number, ("signal", "SIGKILL"))})
                while mote.receive(timeout=0, default=None) is not None:
                    pass
                mote._workers.begin()
                if round_ == 4:
                    before = self.held()
            until = time.monotonic() + PATIENCE  # what was the last one's goes when all is told
            while self.held()[0] > before[0] and time.monotonic() < until:
                mote.sleep(0.01)
            self.assertLessEqual(self.held()[0], before[0])
            self.assertLess(self.held()[1], 1.3 * before[1] + 50_000)
        waits.sort()
        self.assertLess(waits[-1 if self.ROUNDS > 10 else len(waits) // 2], 1.0 if self.ROUNDS > 10 else 5.0, waits)

    @staticmethod
    def held():
        """Descriptors, and KiB of memory, shared memory as well."""
        status = pathlib.Path("/proc/self/status").read_text()
        return len(os.listdir("/proc/self/fd")), sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:")))


class Programs(unittest.TestCase):
    """What has to be a program of its own."""

    ROUNDS = 100 if os.environ.get("MOTE_TEST_LONG") else 6  # of a whole node

    def run_program(self, text, *args, seconds=PROGRAM_SECONDS):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "program.py")
            path.write_text(textwrap.dedent(text))
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
            done = subprocess.run([sys.executable, str(path), *args], env=env, capture_output=True, text=True, timeout=seconds)
            done.stderr = but_hogs(done.stderr)
            return done

    def test_functions_of_the_main_module(self):
        done = self.run_program(
            """
            import os, mote
            def work(to, n):
                mote.send(to, (n * 2, os.getpid() != parent() ))
            def parent():
                return os.getppid() if __name__ != "__main__" else os.getpid()
            if __name__ == "__main__":
                with mote.Node(workers=2):
                    mote.options(place=1).spawn(work, mote.self(), 21)
                    print(mote.receive(timeout=30))
            """
        )
        self.assertEqual((done.stdout, done.returncode), ("(42, True)\n", 0), done.stderr)

    def test_without_a_guard(self):
        done = self.run_program(
            """
            import mote
            def work(to):
                mote.send(to, 1)
            node = mote.Node(workers=2)
            pid, ref = mote.options(place=1, monitor=True).spawn(work, mote.self())
            print(mote.receive(timeout=30).reason[0])
            node.stop()
            """
        )
        self.assertEqual(done.stdout, "error\n", done.stderr)
        self.assertIn('if __name__ == "__main__":', done.stderr)

    def test_end_while_processes_are_granted(self):
        """A node that ends while a worker makes processes for another one ends without a word."""
        done = self.run_program(
            """
            import mote
            if __name__ == "__main__":
                for _ in range(10):
                    with mote.Node(workers=2):
                        for _ in range(20):
                            mote.send("mote keeper 1", (mote.Atom("more"), mote.self(), False, 1000))
                        mote.receive(timeout=30)
            """
        )
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("", "", 0))

    def test_nothing_is_left(self):
        """Start, work of all kinds, some of which dies, stop: no process, descriptor, mapping, shared memory or temporary file."""
        shared = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else None
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TMPDIR"], before = folder, os.environ.get("TMPDIR")
            try:
                done = self.run_program(
                    """
                    import os, signal, sys, mote
                    def work(to):
                        mote.send(to, os.getpid())
                    def stands(to):
                        mote.send(to, os.getpid())
                        mote.receive()
                    def double(n):
                        return 2 * n
                    def held():
                        with open("/proc/self/maps") as maps:
                            return len(os.listdir("/proc/self/fd")), sum("memfd:" in line for line in maps)
                    def round_(n):
                        with mote.Node(workers=3, recycle_after=5) as node:
                            for place in (1, 2, "dedicated", "any") * 3:
                                mote.options(place=place).spawn(work, mote.self())
                            pids = {mote.receive(int, timeout=30) for _ in range(12)}
                            for place in (1, "dedicated"):
                                mote.options(place=place).spawn(stands, mote.self())
                                pids.add(mote.receive(int, timeout=30))
                            if n % 3 == 0:
                                with mote.Executor(2) as executor:
                                    assert list(executor.map(double, range(50))) == list(range(0, 100, 2))
                            if n % 3 == 1:
                                pid, ref = mote.options(place=2, monitor=True).spawn(stands, mote.self())
                                victim = mote.receive(int, timeout=30)
                                os.kill(victim, signal.SIGKILL)
                                assert mote.receive(mote.Down, timeout=30).reason[0] == "worker_died"
                        return pids - {os.getpid()}
                    if __name__ == "__main__":
                        pids = set()
                        for n in range(int(sys.argv[1])):
                            pids |= round_(n)
                            try:
                                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                                raise SystemExit(f"children are left after round {n}")
                            except ChildProcessError:
                                pass
                            if n == 2:
                                before = held()
                        assert held() <= before, (before, held())
                        for pid in pids:
                            assert not os.path.exists(f"/proc/{pid}"), f"{pid} is there"
                        print("nothing")
                    """,
                    str(self.ROUNDS),
                    seconds=10 * PROGRAM_SECONDS,
                )
                self.assertEqual((done.stdout, done.returncode), ("nothing\n", 0), done.stderr)
                self.assertEqual(os.listdir(folder), [])
            finally:
                os.environ.pop("TMPDIR") if before is None else os.environ.__setitem__("TMPDIR", before)
        until = time.monotonic() + PATIENCE  # what others have there comes and goes
        while shared is not None and not set(os.listdir("/dev/shm")) <= shared:
            self.assertLess(time.monotonic(), until, set(os.listdir("/dev/shm")) - shared)
            mote.sleep(0.1)

    def test_the_hub_is_killed(self):
        done = self.run_program(
            """
            import os, signal, sys, mote
            def work(to):
                mote.send(to, os.getpid())
                mote.receive()
            if __name__ == "__main__":
                mote.Node(workers=2)
                mote.options(place=1).spawn(work, mote.self())
                print(mote.receive(timeout=30), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            """
        )
        pid = int(done.stdout)
        deadline = time.monotonic() + PATIENCE
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
            os.sched_yield()
        self.assertFalse(os.path.exists(f"/proc/{pid}"))


if __name__ == "__main__":
    unittest.main()
