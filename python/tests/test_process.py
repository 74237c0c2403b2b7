# SPDX-License-Identifier: Apache-2.0
"""Processes of both flavours: starting, sending, receiving, failing, watching, calling."""
import contextvars
import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import mote

PATIENCE = 60


def end(pid):
    """Waits until a process has ended; gives its reason."""
    ref = mote.monitor(pid)
    return mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)[4]


def rss():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


# Each behaviour twice: as a function and as a coroutine.


def f_echo():
    while True:
        sender, what = mote.receive()
        mote.send(sender, ("echo", what))


async def c_echo():
    while True:
        sender, what = await mote.aio.receive()
        mote.send(sender, ("echo", what))


def f_select(to):
    for tag in ("first", "second", "third"):
        mote.send(to, mote.receive((tag, mote.ANY)))


async def c_select(to):
    for tag in ("first", "second", "third"):
        mote.send(to, await mote.aio.receive((tag, mote.ANY)))


def f_late(to):
    try:
        mote.receive(timeout=0.01)
    except TimeoutError:
        mote.send(to, "late")
    mote.send(to, mote.receive(timeout=0, default="nothing"))
    mote.send(to, mote.receive("never", timeout=0.01, default="default"))


async def c_late(to):
    try:
        await mote.aio.receive(timeout=0.01)
    except TimeoutError:
        mote.send(to, "late")
    mote.send(to, await mote.aio.receive(timeout=0, default="nothing"))
    mote.send(to, await mote.aio.receive("never", timeout=0.01, default="default"))


def f_told(to):
    try:
        mote.send(to, "ready")
        mote.receive()
    except mote.ProcessExit as e:
        mote.send(to, ("told", e.reason))
        try:
            mote.receive(timeout=5)
        except BaseException as again:
            mote.send(to, ("again", type(again).__name__))
            raise
    finally:
        mote.send(to, "finally")


async def c_told(to):
    mote.send(to, "ready")
    try:
        await mote.aio.receive()
    except mote.ProcessExit as e:
        mote.send(to, ("told", e.reason))
        try:
            await mote.aio.receive(timeout=5)
        except BaseException as again:
            mote.send(to, ("again", type(again).__name__))
            raise
    finally:
        mote.send(to, "finally")


def f_stubborn(to):
    mote.send(to, "ready")
    for _ in range(50):
        try:
            mote.receive()
        except BaseException:
            pass


async def c_stubborn(to):
    mote.send(to, "ready")
    for _ in range(50):
        try:
            await mote.aio.receive()
        except BaseException:
            pass


def f_fails():
    raise ValueError("no good")


async def c_fails():
    raise ValueError("no good")


def f_exits(reason):
    raise mote.Exit(reason)


async def c_exits(reason):
    raise mote.Exit(reason)


def f_server():
    total = 0
    while True:
        message = mote.receive()
        if message[0] == "$gen_call":
            _, caller, request = message
            if request == "silence":
                continue
            if request == "die":
                raise mote.Exit("asked to")
            total += request
            mote.reply(caller, total)
        elif message[0] == "$gen_cast":
            total = message[1]


async def c_server():
    total = 0
    while True:
        message = await mote.aio.receive()
        if message[0] == "$gen_call":
            _, caller, request = message
            if request == "silence":
                continue
            if request == "die":
                raise mote.Exit("asked to")
            total += request
            mote.reply(caller, total)
        elif message[0] == "$gen_cast":
            total = message[1]


async def c_client(server, to):
    mote.send(to, [await mote.aio.call(server, 1), await mote.aio.call(server, 2)])
    try:
        await mote.aio.call(server, "silence", timeout=0.02)
    except TimeoutError:
        mote.send(to, "timeout")
    try:
        await mote.aio.call(server, "die")
    except mote.NoProc as e:
        mote.send(to, e.args[0])


def f_hog(to, turns):
    for _ in range(turns):
        mote.send(to, "x")


async def c_waits():
    await mote.aio.receive()


def f_waits():
    mote.receive()


def f_turns(to, name):
    for n in range(3):
        mote.send(to, (name, n))
        mote.sleep(0)


async def c_turns(to, name):
    for n in range(3):
        mote.send(to, (name, n))
        await mote.aio.sleep(0)


class Both(unittest.TestCase):
    """What holds in both flavours."""

    def both(self, name):
        return [globals()[flavour + name] for flavour in ("f_", "c_")]

    def receive(self, what, **more):
        return mote.receive(what, timeout=PATIENCE, **more)

    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def test_echo(self):
        for echo in self.both("echo"):
            pid = mote.spawn(echo)
            for what in (1, "two", (3, [4, {"five": 6.0}]), None, b"x" * 1000):
                mote.send(pid, (mote.self(), what))
                self.assertEqual(self.receive(("echo", mote.ANY)), ("echo", what))
            mote.kill(pid)
            self.assertEqual(end(pid), "killed")

    def test_each_message_holds_what_it_carries(self):
        what = ("text", float(os.getpid()))
        before = sys.getrefcount(what)
        me, alias = mote.self(), mote.alias()
        gone = mote.spawn(c_waits)
        mote.kill(gone)
        end(gone)
        mote.register("holder")
        for to in (me, alias, "holder"):
            for receive in (mote.receive, lambda: self.receive(what), lambda: self.receive(lambda m: m), lambda: self.receive((str, float))):
                mote.send(to, what)
                self.assertEqual(sys.getrefcount(what), before + 1)
                self.assertIs(receive(), what)
                self.assertEqual(sys.getrefcount(what), before)
        me.send(what)
        self.assertIs(self.receive(lambda m: len(m) == 2), True)
        mote.send(gone, what)
        mote.unregister("holder")
        self.assertRaises(mote.NoProc, mote.send, "holder", what)
        mote.send(alias, what)
        mote.unalias(alias)
        self.assertIsNone(mote.receive(timeout=0, default=None))
        self.assertEqual(sys.getrefcount(what), before)
        for reads in self.both("told"):
            pid = mote.spawn(reads, me)
            self.receive("ready")
            mote.send(pid, what)
            self.receive("finally")
            end(pid)
            self.assertEqual(sys.getrefcount(what), before)

    def test_send_nosuspend(self):
        pid = mote.options(mailbox=2, policy="suspend").spawn(mote.sleep, 60)
        self.assertEqual([mote.send_nosuspend(pid, n, noconnect=True) for n in range(4)], [True, True, False, False])
        mote.kill(pid)

    def test_messages_refused_or_never_read_are_let_go(self):
        what = ("text", float(os.getpid()))
        before = sys.getrefcount(what)
        for selects in self.both("select"):
            pid = mote.options(mailbox=2, policy="drop").spawn(selects, mote.self())
            mote.send(pid, what)
            mote.send(pid, what)
            self.assertRaises(mote.MailboxFull, mote.send, pid, what)
            self.assertEqual(sys.getrefcount(what), before + 2)
            mote.kill(pid)
            end(pid)
            self.assertEqual(sys.getrefcount(what), before)

    def test_select(self):
        for select in self.both("select"):
            pid, ref = mote.spawn_monitor(select, mote.self())
            for tag in ("third", "second", "other", "first"):
                mote.send(pid, (tag, len(tag)))
            self.assertEqual([mote.receive(timeout=PATIENCE)[0] for _ in range(3)], ["first", "second", "third"])
            self.assertEqual(self.receive(mote.Down), ("DOWN", ref, "process", pid, "normal"))

    def test_timeouts(self):
        for late in self.both("late"):
            mote.spawn(late, mote.self())
            self.assertEqual([mote.receive(timeout=PATIENCE) for _ in range(3)], ["late", "nothing", "default"])

    def test_told_of_its_end(self):
        for told in self.both("told"):
            pid, ref = mote.spawn_monitor(told, mote.self())
            self.receive("ready")
            mote.exit(pid, "because")
            self.assertEqual(self.receive(("told", mote.ANY)), ("told", "because"))
            self.receive(("again", mote.ANY))
            self.receive("finally")
            self.assertEqual(self.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY)).reason, "because")

    def test_kill_ends_the_stubborn(self):
        for stubborn in self.both("stubborn"):
            pid = mote.spawn(stubborn, mote.self())
            self.receive("ready")
            ref = mote.monitor(pid)
            mote.kill(pid)
            self.assertEqual(self.receive(("DOWN", ref, mote.ANY, pid, mote.ANY))[4], "killed")

    def test_uncaught(self):
        for fails in self.both("fails"):
            _, ref = mote.spawn_monitor(fails)
            down = self.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY))
            self.assertIsInstance(down, mote.Down)
            kind, (name, text, trace) = down.reason
            self.assertEqual((kind, name, text), ("error", "ValueError", "no good"))
            self.assertIn('raise ValueError("no good")', trace)

    def test_reasons(self):
        for exits in self.both("exits"):
            for reason in ("normal", "shutdown", ("a", 1), 42, None):
                _, ref = mote.spawn_monitor(exits, reason)
                self.assertEqual(self.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY)).reason, reason)

    def test_links(self):
        for fails in self.both("fails"):
            with mote.trap_exit():
                pid = mote.spawn_link(fails)
                signal = self.receive(("EXIT", pid, mote.ANY))
                self.assertIsInstance(signal, mote.ExitSignal)
                self.assertEqual(signal.reason[0], "error")

    def test_calls(self):
        for server in self.both("server"):
            pid, _ = mote.spawn_monitor(server)
            self.assertEqual([mote.call(pid, 1), mote.call(pid, 2)], [1, 3])
            mote.cast(pid, 40)
            self.assertEqual(mote.call(pid, 2), 42)
            with self.assertRaises(TimeoutError):
                mote.call(pid, "silence", timeout=0.02)
            with self.assertRaises(mote.NoProc) as caught:
                mote.call(pid, "die")
            self.assertEqual(caught.exception.args[0], "asked to")
            with self.assertRaises(mote.NoProc):
                mote.call(pid, 1)
            self.receive(("DOWN", mote.ANY, mote.ANY, pid, "asked to"))
            self.assertEqual(mote.receive(timeout=0.05, default="nothing is left"), "nothing is left")

    def test_calls_of_coroutines(self):
        for server in self.both("server"):
            mote.spawn(c_client, mote.spawn(server), mote.self())
            self.assertEqual(mote.receive(timeout=PATIENCE), [1, 3])
            self.assertEqual(mote.receive(timeout=PATIENCE), "timeout")
            self.assertEqual(mote.receive(timeout=PATIENCE), "asked to")

    def test_many(self):
        for waits in self.both("waits"):
            count = 2000
            pids = [mote.spawn(waits) for _ in range(count)]
            refs = {mote.monitor(pid) for pid in pids}
            for pid in pids:
                mote.send(pid, "go")
            while refs:
                refs.remove(mote.receive(timeout=PATIENCE).ref)

    def test_names(self):
        for server in self.both("server"):
            pid = mote.spawn(server)
            mote.register("a server", pid)
            self.assertEqual(mote.whereis("a server"), pid)
            self.assertIn("a server", mote.registered())
            self.assertEqual(mote.call("a server", 5), 5)
            with self.assertRaises(ValueError):
                mote.register("a server")
            mote.kill("a server")
            end(pid)
            self.assertIsNone(mote.whereis("a server"))
            with self.assertRaises(mote.NoProc):
                mote.send("a server", 1)


    def test_sleep_of_0_gives_a_turn(self):
        me = mote.self()
        for body in self.both("turns"):
            with self.subTest(body.__name__):
                for _ in range(50):
                    mote.spawn(lambda: [mote.spawn(body, me, name) for name in "ab"])  # both, before either runs, unless its turn ends between them
                    told = [mote.receive(timeout=PATIENCE)[1] for _ in range(6)]
                    if told == [0, 0, 1, 1, 2, 2]:
                        break
                self.assertEqual(told, [0, 0, 1, 1, 2, 2])


class Functions(unittest.TestCase):
    """What only plain functions can do, or get wrong."""

    def run_in(self, f, *args):
        """The result of f(*args) in a process, or its exception's name."""

        def body(to, args):
            try:
                mote.send(to, ("result", f(*args)))
            except Exception as e:
                mote.send(to, ("raised", type(e).__name__))

        mote.spawn(body, mote.self(), args)
        return mote.receive((mote.ANY, mote.ANY), timeout=PATIENCE)

    def test_recursion(self):
        def deep(n):
            return 0 if n == 0 else 1 + deep(n - 1)

        self.assertEqual(self.run_in(deep, 100), ("result", 100))
        self.assertEqual(self.run_in(deep, 10**6), ("raised", "RecursionError"))

    def test_recursion_through_c(self):
        def key(x):
            return sorted([x], key=key)

        self.assertEqual(self.run_in(key, 1), ("raised", "RecursionError"))

    def test_repr_of_a_deep_list(self):
        def deep():
            x = []
            for _ in range(100000):
                x = [x]
            return len(repr(x))

        self.assertEqual(self.run_in(deep), ("raised", "RecursionError"))

    def test_deep_deallocation(self):
        def deep():
            x = None
            for _ in range(1000000):
                x = (x,)
            del x
            return "freed"

        self.assertEqual(self.run_in(deep), ("result", "freed"))

    def test_waits_in_the_midst_of_things(self):
        def key(x):
            mote.send(mote.self(), x)
            return -mote.receive()

        def body():
            try:
                1 / 0
            except ZeroDivisionError:
                got = sorted([1, 2, 3], key=key)
                mote.sleep(0.01)
                return got, sys.exc_info()[0].__name__

        self.assertEqual(self.run_in(body), ("result", ([3, 2, 1], "ZeroDivisionError")))

    def test_generators_shared_with_waits(self):
        def numbers():
            for i in range(5):
                mote.sleep(0)
                yield i

        self.assertEqual(self.run_in(lambda: sum(numbers())), ("result", 10))

    def test_each_has_its_context(self):
        var = contextvars.ContextVar("var", default="none")

        def body():
            before = var.get()
            var.set("mine")
            mote.sleep(0.001)
            return before, var.get()

        var.set("the parent's")
        self.assertEqual(self.run_in(body), ("result", ("the parent's", "mine")))
        self.assertEqual(var.get(), "the parent's")

    def test_collects_garbage_at_any_time(self):
        def body():
            for _ in range(20):
                gc.collect()
                mote.sleep(0)
            return "collected"

        self.assertEqual(self.run_in(body), ("result", "collected"))

    def test_pollers_let_others_run(self):
        def polls(to, how):
            while how == "receive" and mote.receive(timeout=0, default=None) is None or how == "sleep" and mote.sleep(0) is None:
                pass
            mote.send(to, "polled")

        for how in ("receive", "sleep"):
            pid = mote.spawn(polls, mote.self(), how)
            self.assertEqual(self.run_in(lambda: "ran"), ("result", "ran"))
            mote.send(pid, "stop")
            mote.kill(pid)
            end(pid)
            mote.receive("polled", timeout=0, default=None)

    def test_who_catches_every_end_is_ended(self):
        def never_ends(to):
            mote.send(to, "ready")
            while True:
                try:
                    mote.receive()
                except BaseException:
                    pass

        pid = mote.spawn(never_ends, mote.self())
        mote.receive("ready", timeout=PATIENCE)
        ref = mote.monitor(pid)
        mote.kill(pid)
        self.assertEqual(mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)[4], "killed")

    def test_senders_let_others_run(self):
        def counts(to):
            n = 0
            while mote.receive() == "x":
                n += 1
            mote.send(to, n)

        counter = mote.spawn(counts, mote.self())
        hog = mote.spawn(f_hog, counter, 50000)
        end(hog)
        mote.send(counter, "stop")
        self.assertEqual(mote.receive(int, timeout=PATIENCE), 50000)


class Misuse(unittest.TestCase):
    """Every error says what was wrong."""

    def test_partials_have_the_flavour_of_what_is_behind_them(self):
        class Told:
            async def awaits(self, to, what):
                await mote.aio.sleep(0)
                mote.send(to, what)

            def runs(self, to, what):
                mote.sleep(0)
                mote.send(to, what)

        told = Told()
        for function in (told.awaits, told.runs):
            for partial in (functools.partial(function, mote.self()), functools.partial(functools.partial(function), mote.self())):
                mote.spawn(partial, function.__name__)
                self.assertEqual(mote.receive(timeout=PATIENCE), function.__name__)

    def test_the_wrong_receive(self):
        async def coroutine(to):
            try:
                mote.receive()
            except RuntimeError as e:
                mote.send(to, str(e))

        mote.spawn(coroutine, mote.self())
        self.assertIn("await mote.aio.receive()", mote.receive(timeout=PATIENCE))

        def function(to):
            try:
                mote.aio.receive().__await__().__next__()
            except RuntimeError as e:
                mote.send(to, str(e))

        mote.spawn(function, mote.self())
        self.assertIn("use mote.receive()", mote.receive(timeout=PATIENCE))

    def test_a_foreign_await(self):
        class Foreign:
            def __await__(self):
                yield 1

        async def coroutine():
            await Foreign()

        _, ref = mote.spawn_monitor(coroutine)
        self.assertIn("neither mote's nor asyncio's", mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE).reason[1][1])

    def test_not_sendable(self):
        for wrong in (object(), threading.Lock(), sys):
            with self.assertRaises(mote.NotSendable) as caught:
                mote.send(mote.self(), {"a": (1, wrong)})
            self.assertIn("message['a'][1]", str(caught.exception))
            self.assertIsInstance(caught.exception, TypeError)

    def test_arguments(self):
        with self.assertRaises(TypeError):
            mote.spawn(42)
        with self.assertRaises(TypeError):
            mote.send(42, "x")
        with self.assertRaises(mote.NoProc):
            mote.send("nobody", "x")
        with self.assertRaises(ValueError):
            mote.receive(timeout=-1)
        with self.assertRaises(TypeError):
            mote.receive(timeout="soon")
        with self.assertRaises(TypeError):
            mote.receive(patience=1)
        with self.assertRaises(ValueError):
            mote.options(policy="maybe")

    def test_receive_within_a_handler(self):
        def handler(_):
            return mote.receive(lambda m: m, timeout=0)

        mote.send(mote.self(), "x")
        with self.assertRaises(mote.MoteError):
            mote.receive(handler, timeout=PATIENCE)
        self.assertEqual(mote.receive(timeout=PATIENCE), "x")


class Node(unittest.TestCase):
    """The runtime: threads, starting and stopping, the interpreter's end."""

    def test_threads_are_processes(self):
        main, n = mote.self(), 4

        def thread():
            mote.send(main, mote.self())
            mote.send(main, mote.receive(timeout=PATIENCE))

        threads = [threading.Thread(target=thread) for _ in range(n)]
        for t in threads:
            t.start()
        pids = [mote.receive(mote.Pid, timeout=PATIENCE) for _ in range(n)]
        self.assertEqual(len(set(pids)), n)
        for i, pid in enumerate(pids):
            mote.send(pid, i)
        self.assertEqual({mote.receive(int, timeout=PATIENCE) for _ in range(n)}, set(range(n)))
        for t in threads:
            t.join()

    def test_sleeping_main_stops_nobody(self):
        def ticks(to):
            for i in range(5):
                mote.sleep(0.002)
                mote.send(to, i)

        mote.spawn(ticks, mote.self())
        until = time.monotonic() + PATIENCE
        while mote.info(mote.self()).messages < 5 and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual([mote.receive(timeout=0) for _ in range(5)], [0, 1, 2, 3, 4])

    def ends(self, program, code=0):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def test_the_interpreter_ends_with_live_threads(self):
        for waits in ("mote.receive()", "event.wait()"):
            out = self.ends(
                "import mote, threading\n"
                "to, event = mote.self(), threading.Event()\n"
                "def thread():\n"
                "    mote.send(to, 1)\n"
                f"    {waits}\n"
                "threading.Thread(target=thread, daemon=True).start()\n"
                "print(mote.receive(timeout=60))\n"
            )
            self.assertEqual(out, "1\n")

    def test_the_interpreter_ends_with_live_processes(self):
        for waits in ("f", "c"):
            self.ends(
                "import mote\n"
                "async def c(): await mote.aio.receive()\n"
                "def f(): mote.receive()\n"
                f"ps = [mote.spawn({waits}) for _ in range(100)]\n"
                "mote.send(ps[0], 1)\n"
            )

    @unittest.skipIf(os.environ.get("MOTE_TEST_UNDER") == "asan", "in the child, the sanitizer's allocator waits for a lock of the parent's threads")
    def test_the_child_of_a_fork_is_told(self):
        out = self.ends(
            "import mote, os, sys\n"
            "async def c(): await mote.aio.receive()\n"
            "pid = mote.spawn(c)\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    try: mote.send(pid, 1)\n"
            "    except mote.MoteError as e: print(e, flush=True)\n"
            "    sys.exit(0)\n"
            "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
            "mote.send(pid, 1)\n"
        )
        self.assertIn("child of os.fork()", out)

    def test_ctrl_c(self):
        program = (
            "import mote\n"
            "def f(to):\n"
            "    try: mote.send(to, 'begun'); mote.receive()\n"
            "    finally: print('cleaned up', flush=True)\n"
            "mote.spawn(f, mote.self())\n"
            "mote.receive('begun')\n"
            "try:\n"
            "    print('ready', flush=True)\n"
            "    mote.receive()\n"
            "except KeyboardInterrupt: print('interrupted', flush=True)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as p:
            self.assertEqual(p.stdout.readline(), "ready\n")
            p.send_signal(signal.SIGINT)
            out, _ = p.communicate(timeout=PATIENCE)
        self.assertEqual((out, p.returncode), ("interrupted\ncleaned up\n", 0))

    def test_many_runtimes(self):
        out = self.ends(
            "import mote, os, time\n"
            "from mote import _mote\n"
            "async def c(to): mote.send(to, await mote.aio.receive())\n"
            "def f(to): mote.send(to, mote.receive())\n"
            "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * 4\n"
            "for i in range(200):\n"
            "    for body in (c, f):\n"
            "        mote.send(mote.spawn(body, mote.self()), i)\n"
            "        assert mote.receive(timeout=60) == i\n"
            "        mote.spawn(body, mote.self())\n"
            "    _mote.stop()\n"
            "    if i == 50: before, fds = rss(), len(os.listdir('/proc/self/fd'))\n"
            "assert len(os.listdir('/proc/self/fd')) == fds\n"
            "end = time.monotonic() + 30  # a thread that was joined may take a moment to be gone\n"
            "while len(os.listdir('/proc/self/task')) > 1 and time.monotonic() < end: time.sleep(0.001)\n"
            "assert len(os.listdir('/proc/self/task')) == 1\n"
            "print(rss() - before)\n"
        )
        if not os.environ.get("MOTE_TEST_UNDER"):
            self.assertLess(int(out), 8000)

    def test_nothing_is_kept(self):
        def round_trip(body, n):
            for i in range(n):
                pid = mote.spawn(body)
                mote.send(pid, ("x" * 100, [1, 2, 3]))
                if i % 100 == 99:
                    end(pid)

        for body in (c_waits, f_waits):
            round_trip(body, 5000)
            gc.collect()
            before = rss()
            round_trip(body, 20000)
            gc.collect()
            if not os.environ.get("MOTE_TEST_UNDER"):
                self.assertLess(rss() - before, 6 << 20)


if __name__ == "__main__":
    unittest.main()
