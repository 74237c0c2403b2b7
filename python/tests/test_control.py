# SPDX-License-Identifier: Apache-2.0
"""What processes do to each other, and know of each other, in both flavours: aliases, options of monitors, questions, sleeping, names."""
import asyncio
import threading
import time
import unittest

import mote

PATIENCE = 60
NODE = "nonode@nohost"


def f_idle():
    mote.receive("a message that never comes")


async def c_idle():
    await mote.aio.receive("a message that never comes")


def f_looks(to, pid):
    before = mote.is_alive(pid), mote.info(pid).messages
    mote.send(pid, 1)
    mote.send(pid, 2)
    info = mote.info(pid)
    mote.kill(pid)
    mote.send(to, (before, info.messages, mote.is_alive(pid), f_known(pid), mote.info(mote.self()).state))


def f_known(pid):
    try:
        return mote.info(pid).state
    except mote.NoProc as e:
        return e.reason


async def c_looks(to, pid):
    before = await mote.aio.is_alive(pid), (await mote.aio.info(pid)).messages
    mote.send(pid, 1)
    mote.send(pid, 2)
    info = await mote.aio.info(pid)
    mote.kill(pid)
    mote.send(to, (before, info.messages, await mote.aio.is_alive(pid), await c_known(pid), (await mote.aio.info(mote.self())).state))


async def c_known(pid):
    try:
        return (await mote.aio.info(pid)).state
    except mote.NoProc as e:
        return e.reason


def f_sleeps(to, seconds):
    since = time.monotonic()
    mote.sleep(seconds)
    mote.send(to, ("slept", time.monotonic() - since, mote.receive(timeout=0, default="nothing")))


async def c_sleeps(to, seconds):
    since = time.monotonic()
    await mote.aio.sleep(seconds)
    mote.send(to, ("slept", time.monotonic() - since, await mote.aio.receive(timeout=0, default="nothing")))


def f_exits_itself(to):
    try:
        mote.exit(mote.self(), "enough")
    finally:
        mote.send(to, "finally")
    mote.send(to, "it goes on")


async def c_exits_itself(to):
    try:
        mote.exit(mote.self(), "enough")
    finally:
        mote.send(to, "finally")
    mote.send(to, "it goes on")


def f_asks(to, pid):
    mote.send(to, "asking")
    mote.info(pid)


async def c_asks(to, pid):
    mote.send(to, "asking")
    await mote.aio.info(pid)


def f_counts_looks(to, last):
    looks = []
    mote.receive(lambda m: looks.append(m) or (m if m == last else mote.SKIP))
    mote.send(to, len(looks))


async def c_counts_looks(to, last):
    looks = []
    await mote.aio.receive(lambda m: looks.append(m) or (m if m == last else mote.SKIP))
    mote.send(to, len(looks))


class Case(unittest.TestCase):
    def both(self, name):
        return [globals()[flavour + name] for flavour in ("f_", "c_")]

    def receive(self, *what, **more):
        return mote.receive(*what, timeout=PATIENCE, **more)

    def end(self, pid):
        """Waits until a process has ended; gives its reason."""
        with mote.monitoring(pid) as ref:
            return self.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY)).reason

    def rest(self):
        return mote.receive(timeout=0, default="nothing")

    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass


class Aliases(Case):
    def test_open_and_closed(self):
        alias = mote.alias()
        mote.send(alias, 1)
        self.assertEqual(self.receive(), 1)
        self.assertTrue(mote.unalias(alias))
        self.assertFalse(mote.unalias(alias))
        mote.send(alias, 2)
        self.assertEqual(self.rest(), "nothing")

    def test_first_reply_closes(self):
        alias = mote.alias(reply=True)
        mote.send(alias, 1)
        mote.send(alias, 2)
        self.assertEqual([self.receive(), self.rest()], [1, "nothing"])

    def test_of_monitors(self):
        for idle in self.both("idle"):
            for kind, left in (("explicit_unalias", ["late"]), ("demonitor", []), ("reply_demonitor", [])):
                pid = mote.spawn(idle)
                alias = mote.monitor(pid, alias=kind)
                mote.exit(pid, "over")
                self.assertEqual(self.receive(mote.Down), ("DOWN", alias, "process", pid, "over"))
                mote.send(alias, "late")
                self.assertEqual([m for m in [self.rest()] if m != "nothing"], left)
                self.assertEqual(mote.unalias(alias), kind == "explicit_unalias")

    def test_first_reply_removes_the_monitor(self):
        pid = mote.spawn(f_idle)
        alias = mote.monitor(pid, alias="reply_demonitor")
        mote.send(alias, 1)
        mote.send(alias, 2)
        self.assertEqual(self.receive(), 1)
        mote.kill(pid)
        self.end(pid)
        self.assertEqual(self.rest(), "nothing")

    def test_are_for_messages(self):
        alias = mote.alias()
        for wrong in (mote.link, mote.monitor, mote.kill):
            with self.assertRaises(TypeError):
                wrong(alias)
        with self.assertRaises(ValueError):
            mote.monitor(mote.self(), alias="always")
        with self.assertRaises(TypeError):
            mote.monitor(mote.self(), tags=1)
        with self.assertRaises(TypeError):
            mote.unalias("name")


class Monitors(Case):
    def test_tag(self):
        pid = mote.spawn(f_idle)
        refs = [mote.monitor(pid, tag=tag) for tag in (("child", 1), "text", mote.Atom("gone"))]
        mote.exit(pid, "over")
        for ref, tag in zip(refs, (("child", 1), "text", "gone")):
            self.assertEqual(self.receive((mote.ANY, ref, mote.ANY, mote.ANY, mote.ANY)), (tag, ref, "process", pid, "over"))
        with self.assertRaises(mote.NotSendable):
            mote.monitor(pid, tag=object())


class Looking(Case):
    def test_sees_what_was_sent_before(self):
        for looks in self.both("looks"):
            for idle in self.both("idle"):
                for begun in (False, True):
                    pid = mote.spawn(idle)
                    if begun:
                        self.assertTrue(mote.is_alive(pid))
                    mote.spawn(looks, mote.self(), pid)
                    self.assertEqual(self.receive(), ((True, 0), 2, False, "noproc", "running"))

    def silent(self):
        """The process of a thread that has ended its first call, and makes no other; it ends with the test."""
        main, over = mote.self(), threading.Event()
        thread = threading.Thread(target=lambda: mote.send(main, mote.self()) or over.wait(PATIENCE))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)
        return self.receive(mote.Pid)

    def test_who_asks_one_that_is_busy_can_be_ended(self):
        main, free = mote.self(), threading.Event()

        def busy():
            mote.send(main, mote.self())
            free.wait(PATIENCE)  # without a call of mote it answers nobody
            mote.receive(timeout=0, default=None)
            mote.send(main, "answered")

        for asks in self.both("asks"):
            free.clear()
            thread = threading.Thread(target=busy)
            thread.start()
            busy_pid = self.receive(mote.Pid)
            pids = [mote.spawn(asks, main, busy_pid) for _ in range(2)]
            refs = [mote.monitor(pid) for pid in pids]
            for _ in pids:
                self.receive("asking")
            mote.exit(pids[0], "enough")
            self.assertEqual(self.receive(mote.Down), ("DOWN", refs[0], "process", pids[0], "enough"))
            self.assertEqual(self.rest(), "nothing")
            free.set()
            self.receive("answered")
            thread.join()
            self.assertEqual(self.receive(mote.Down), ("DOWN", refs[1], "process", pids[1], "normal"))

    def test_info(self):
        pid, _ = mote.options(mailbox=10, priority="low", monitor=True, name="a label").spawn(c_idle)
        mote.register("test_info", pid)
        while mote.info(pid).state != "waiting":
            mote.sleep(0)
        info = mote.info(pid)
        self.assertIsInstance(info, mote.Info)
        self.assertEqual((info.pid, info.label, info.name, info.state), (pid, "a label", "test_info", "waiting"))
        self.assertEqual((info.priority, info.mailbox, info.trap_exit), ("low", 10, False))
        self.assertEqual((info.links, info.monitors, info.monitored_by, info.aliases), (0, 0, 1, 0))
        self.assertGreater(info.memory, 0)
        mote.kill(pid)
        self.receive(mote.Down)
        mine = mote.info(mote.self())
        self.assertEqual((mine.pid, mine.state, mine.name), (mote.self(), "running", None))
        with self.assertRaises(TimeoutError):
            mote.info(self.silent(), timeout=0.01)

    def test_the_wrong_flavour_is_told(self):
        async def coroutine(to):
            for wrong in (mote.is_alive, mote.info, mote.sleep):
                try:
                    wrong(to if wrong is not mote.sleep else 0)
                except RuntimeError as e:
                    mote.send(to, str(e))

        def function(to):
            for wrong in (mote.aio.is_alive, mote.aio.info, mote.aio.sleep):
                try:
                    wrong(to if wrong is not mote.aio.sleep else 0)
                except RuntimeError as e:
                    mote.send(to, str(e))

        mote.spawn(coroutine, mote.self())
        for name in ("is_alive", "info", "sleep"):
            self.assertIn(f"await mote.aio.{name}()", self.receive(str))
        mote.spawn(function, mote.self())
        for name in ("is_alive", "info", "sleep"):
            self.assertIn(f"use mote.{name}()", self.receive(str))

    def test_in_tasks_of_asyncio(self):
        async def looks(pid):
            before = await mote.aio.is_alive(pid), (await mote.aio.info(pid)).state
            mote.send(pid, 1)
            await mote.aio.sleep(0)
            messages = (await mote.aio.info(pid)).messages
            mote.kill(pid)
            await mote.aio.sleep(0.001)
            return before[0], messages, await mote.aio.is_alive(pid), await c_known(pid)

        async def process(to, pids):
            mote.send(to, await asyncio.gather(*[asyncio.ensure_future(looks(pid)) for pid in pids]))

        async def program(pids):
            with self.assertRaises(TimeoutError):
                await mote.aio.info(self.silent(), timeout=0.01)
            return await asyncio.gather(*map(looks, pids))

        def pids():
            return [mote.spawn(idle) for idle in self.both("idle")]

        self.assertEqual(asyncio.run(program(pids())), [(True, 1, False, "noproc")] * 2)
        mote.spawn(process, mote.self(), pids())
        self.assertEqual(self.receive(), [(True, 1, False, "noproc")] * 2)

    def test_a_task_waits_for_the_answer(self):
        main, free = mote.self(), threading.Event()

        def busy():
            mote.send(main, mote.self())
            free.wait(PATIENCE)
            mote.receive(timeout=0, default=None)

        async def program(pid):
            asking = asyncio.ensure_future(asyncio.wait_for(mote.aio.is_alive(pid), PATIENCE))
            await asyncio.sleep(0.01)
            answered = asking.done()
            free.set()
            return answered, await asking

        thread = threading.Thread(target=busy)
        thread.start()
        self.assertEqual(asyncio.run(program(self.receive(mote.Pid))), (False, True))
        thread.join()


class Sleeping(Case):
    def test_leaves_messages(self):
        for sleeps in self.both("sleeps"):
            wanted, message = 0.02, "nothing"
            while message == "nothing" and wanted < PATIENCE:  # what comes before it wakes has to be sent before that
                pid = mote.spawn(sleeps, mote.self(), wanted)
                mote.send(pid, "early")
                tag, seconds, message = self.receive()
                self.assertGreaterEqual(seconds, wanted)
                wanted *= 4
            self.assertEqual((tag, message), ("slept", "early"))

    def test_0_lets_others_run(self):
        for sleeps in self.both("sleeps"):

            def starts(to):
                mote.spawn(mote.send, to, "first")
                sleeping = mote.spawn(sleeps, to, 0)
                mote.spawn(mote.send, sleeping, "second")

            for _ in range(20):  # a turn of `starts` may end between two of them
                mote.spawn(starts, mote.self())
                self.assertEqual(self.receive(), "first")
                slept = self.receive()[::2]
                if slept == ("slept", "second"):
                    break
            self.assertEqual(slept, ("slept", "second"))

    def test_is_ended(self):
        for sleeps in self.both("sleeps"):
            for seconds in (1e6, 1e10):
                pid = mote.spawn(sleeps, mote.self(), seconds)
                self.assertTrue(mote.is_alive(pid))
                mote.exit(pid, "enough")
                self.assertIn(self.end(pid), ("enough", "noproc"))

    def test_wrong_times(self):
        for wrong in (-1, float("nan")):
            with self.assertRaises(ValueError):
                mote.sleep(wrong)
        for wrong in (None, "long"):
            with self.assertRaises(TypeError):
                mote.sleep(wrong)


class Receiving(Case):
    def test_looks_at_each_message_once_while_it_waits(self):
        for counts in self.both("counts_looks"):
            n = 200
            pid = mote.spawn(counts, mote.self(), n - 1)
            for i in range(n):
                mote.send(pid, i)
                if i < n - 1:
                    self.assertTrue(mote.is_alive(pid))  # it has been woken by it
            self.assertEqual(self.receive(int), n)

    def test_finds_what_came_before_the_next(self):
        """What one receive has looked at in vain, the next one finds."""

        def takes(to):
            for wanted in ("c", "a", "b"):
                mote.send(to, mote.receive(wanted))

        pid = mote.spawn(takes, mote.self())
        for message in "abc":
            mote.send(pid, message)
            mote.is_alive(pid)
        self.assertEqual([self.receive() for _ in range(3)], ["c", "a", "b"])


class Errors(Case):
    def test_exit_to_oneself(self):
        for exits in self.both("exits_itself"):
            pid, ref = mote.spawn_monitor(exits, mote.self())
            self.assertEqual(self.receive(), "finally")
            self.assertEqual(self.receive(), ("DOWN", ref, "process", pid, "enough"))

    def test_a_call_to_oneself(self):
        mote.register("test_call")
        for me in (mote.self(), "test_call", ("test_call", NODE)):
            with self.assertRaises(mote.MoteError):
                mote.call(me, "x")
        mote.unregister("test_call")

    def test_reasons_of_no_proc(self):
        for call in (lambda: mote.call("nobody", 1), lambda: mote.send("nobody", 1), lambda: mote.unregister("nobody")):
            with self.assertRaises(mote.NoProc) as caught:
                call()
            self.assertEqual(caught.exception.reason, "noproc")

    def test_name_and_node(self):
        mote.register("test_pair")
        for i, to in enumerate((("test_pair", NODE), ("test_pair", mote.Atom(NODE)))):
            mote.send(to, i)
            mote.send_after(0, to, "later")
            self.assertEqual([self.receive(), self.receive()], [i, "later"])
        mote.send(("nobody", NODE), "x")
        mote.send(("test_pair", "other@nohost"), "x")
        with mote.monitoring(("nobody", NODE)) as ref:
            self.assertEqual(self.receive(), ("DOWN", ref, "process", ("nobody", NODE), "noproc"))
        for wrong in (("test_pair", 1), (1, NODE), ("test_pair",), ("a", "b", "c")):
            with self.assertRaises(TypeError):
                mote.send(wrong, "x")
        mote.unregister("test_pair")
        self.assertEqual(self.rest(), "nothing")

    def test_names(self):
        with self.assertRaises(ValueError):
            mote.register("undefined")

    def test_timers(self):
        timer = mote.send_after(100, mote.self(), "x")
        self.assertTrue(0 < mote.read_timer(timer) <= 100)
        self.assertTrue(0 < mote.cancel(timer) <= 100)
        self.assertIsNone(mote.read_timer(timer))

    def test_trap_exit_tells_what_was(self):
        self.assertFalse(mote.trap_exit().before)
        with mote.trap_exit(False) as trap:
            self.assertTrue(trap.before)
        self.assertTrue(mote.trap_exit(False).before)

    def test_a_coroutine_has_no_stack(self):
        with self.assertRaises(ValueError):
            mote.options(stack=1 << 20).spawn(c_idle)


if __name__ == "__main__":
    unittest.main()
