# SPDX-License-Identifier: Apache-2.0
"""The life of workers: what is called when one starts, processes with a worker of their own, and workers that are replaced when they are worn."""
import collections
import os
import signal
import tempfile
import time
import unittest

import mote
import mote._stock
import mote._workers
import quick
from mote import ANY, Atom, ExitSignal
from worker_node import PATIENCE, WithNode, here, is_there, stands, stands_aio

quick.for_the_ends()


# ------------------------------------------------------------------------------- what runs in the workers

began = []  # the OS process of each call of begins()


def begins():
    began.append(os.getpid())


def imports_asyncio():
    import asyncio

    assert asyncio


def dedicates(to):
    mote.options(place="dedicated").spawn(stands, to)


def tells(pid, what):
    mote.send(pid, what)


class Asked(mote.Server):
    @mote.call
    def ask(self):
        return "welcome"


def asks_the_hub():
    if mote.whereis("asked at the start"):
        began.append(mote.call("asked at the start", "ask", timeout=PATIENCE))


def always_fails():
    raise ValueError("no licence here")


def fails_twice():
    with open(os.environ["MOTE_TEST_TRIES"], "ab+") as file:
        file.write(b"x")
        file.flush()
        if file.tell() < 3:
            raise OSError("the database is not there yet")


def fails_if_told():
    if os.path.exists(os.environ["MOTE_TEST_TRIES"]):
        raise OSError("broken")


def tells_began(to):
    mote.send(to, (os.getpid(), list(began)))


def starts_one(to, place):
    """From another worker: a process somewhere, which answers to `to`."""
    mote.send(to, ("started", mote.options(place=place).spawn(stands, to)))
    mote.receive("end")


async def starts_one_aio(to, place):
    try:
        mote.options(place=place).spawn(stands_aio, to)
    except mote.MoteError as error:
        mote.send(to, ("refused", str(error)))
    pid, ref = await mote.options(place=place, monitor=True).aio.spawn(stands_aio, to)
    mote.send(to, ("started", pid))
    mote.send(to, ("ended", (await mote.aio.receive((Atom("DOWN"), ref, ANY, ANY, ANY))).reason))


def starts_many(to, n):
    for i in range(n):
        mote.options(place=1).spawn(mote.send, to, ("one", i))
    mote.send(to, "all")


kept = []


def keeps(to, size):
    kept.append(b"x" * size)
    mote.send(to, os.getpid())


def knows(to, number):
    mote.send(to, ("knows", number in mote._stock.present))


def os_pid(*_):
    return os.getpid()


class Dedicated(WithNode):
    def test_a_worker_of_its_own(self):
        self.begin(workers=2)
        for function in (stands, stands_aio):
            with self.subTest(function.__name__):
                pid, ref, where = self.stand("dedicated", function)
                self.assertNotIn(where, {os.getpid(), *self.pool()})
                for _ in range(20):
                    mote.spawn(here, mote.self())
                    mote.options(place="any").spawn(here, mote.self())
                self.assertNotIn(where, {mote.receive(int, timeout=PATIENCE) for _ in range(40)})
                with self.assertRaises(ValueError):
                    mote.options(place=mote._mote.worker_of(pid)).spawn(here, mote.self())
                mote.send(pid, ("end", ("because", 1)))
                self.assertEqual(self.reason(ref), ("because", 1))
                self.until(lambda: not is_there(where), "its worker does not end")
        self.until_alone()

    def is_known(self, number):
        mote.options(place=1).spawn(knows, mote.self(), number)
        return mote.receive(("knows", ANY), timeout=PATIENCE)[1]

    def test_all_know_it_first(self):
        """Who is told of its process reaches it from wherever he is: before all others have heard of the worker nobody gets one there."""
        self.begin(workers=2)
        _, _, where = self.stand(1)
        self.addCleanup(setattr, mote._hub, "HEARD_SECONDS", mote._hub.HEARD_SECONDS)
        for patience, waits in ((PATIENCE, True), (0.05, False)):
            mote._hub.HEARD_SECONDS = patience
            self.stop(where)
            try:
                before = set(self.hub.workers)
                mote.options(place="here").spawn(dedicates, mote.self())
                self.until(lambda: any(one.until for number, one in list(self.hub.workers.items()) if number not in before), "it does not begin")
                new = next(one for number, one in list(self.hub.workers.items()) if number not in before)
                if waits:
                    self.assertEqual((new.up, new.awaits & {1}), (False, {1}))
                else:
                    self.until(lambda: new.up, "who does not answer holds it up")
            finally:
                os.kill(where, signal.SIGCONT)
            other = mote.receive(("here", ANY, ANY), timeout=PATIENCE)[2]
            self.until(lambda: self.is_known(new.number), "worker 1 does not hear of it")
            mote.options(place=1).spawn(tells, other, (Atom("told by"), mote.self()))
            self.assertEqual(mote.receive(("told", ANY), timeout=PATIENCE)[1], (Atom("told by"), mote.self()))
            mote.send(other, ("end", "over"))

    def test_without_others(self):
        """A program that has asked for no other workers gets just this one."""
        self.begin()
        pid, ref, where = self.stand("dedicated")
        hub = mote._workers.hub
        self.assertEqual(([worker.pid for worker in hub.workers.values()], hub.places), ([where], {}))
        mote.kill(pid)
        self.assertEqual(self.reason(ref), Atom("killed"))
        mote.options(place="here").spawn(here, mote.self())
        self.assertEqual(mote.receive(int, timeout=PATIENCE), os.getpid())

    def test_its_last_words_arrive(self):
        """More than the channel takes at once, then the reason of its own, for monitors and links."""
        self.begin(workers=2)
        with mote.trap_exit():
            for n, size in ((3000, 10), (40, 100_000), (1, 20_000_000)):
                pid, ref, where = self.stand("dedicated")
                mote.link(pid)
                mote.send(pid, ("send", n, size))
                for i in range(n):
                    _, number, data = mote.receive(("sent", ANY, ANY), timeout=PATIENCE)
                    self.assertEqual((number, len(data)), (i, size))
                self.assertEqual(self.reason(ref), Atom("sent all"))
                self.assertEqual(mote.receive(ExitSignal, timeout=PATIENCE).reason, Atom("sent all"))
                self.until(lambda: not is_there(where), "its worker does not end")
                self.assertFalse(mote.is_alive(pid))
                late = mote.monitor(pid)
                self.assertEqual(self.reason(late), Atom("noproc"))
        self.assertIsNone(mote.receive(timeout=0, default=None))

    def test_crash(self):
        self.begin(workers=2)
        pid, ref, where = self.stand("dedicated")
        number = mote._mote.worker_of(pid)
        mote.send(pid, ("die", 0))
        self.assertEqual(self.reason(ref), ("worker_died", number, ("exit", 0)))
        self.until_alone()  # it is not started again
        again, ref, _ = self.stand("dedicated")
        self.assertEqual(mote._mote.worker_of(again), number)  # its number is
        self.assertNotEqual(again, pid)
        self.assertFalse(mote.is_alive(pid))
        os.kill(self.hub.workers[number].pid, signal.SIGKILL)
        self.assertEqual(self.reason(ref), ("worker_died", number, ("signal", "SIGKILL")))

    def test_numbers_are_used_again(self):
        self.begin(workers=2)
        numbers = set()
        for i in range(12):
            pid, ref, where = self.stand("dedicated")
            numbers.add(mote._mote.worker_of(pid))
            mote.send(pid, ("end", i))
            self.assertEqual(self.reason(ref), i)
            self.until_alone()
        self.assertEqual(len(numbers), 1)

    def test_from_elsewhere(self):
        """From another worker, and from coroutines in both."""
        self.begin(workers=2)
        mote.options(place=1).spawn(starts_one, mote.self(), "dedicated")
        _, pid = mote.receive(("started", ANY), timeout=PATIENCE)
        where = mote.receive(("here", ANY, pid), timeout=PATIENCE)[1]
        self.assertNotIn(where, {os.getpid(), *self.pool()})
        mote.send(pid, ("end", "over"))
        for place in ("here", 1):
            mote.options(place=place).spawn(starts_one_aio, mote.self(), "dedicated")
            self.assertIn("aio.spawn", mote.receive(("refused", ANY), timeout=PATIENCE)[1])
            _, pid = mote.receive(("started", ANY), timeout=PATIENCE)
            where = mote.receive(("here", ANY, pid), timeout=PATIENCE)[1]
            self.assertNotIn(where, {os.getpid(), *self.pool()})
            mote.send(pid, ("end", ("with", place)))
            self.assertEqual(mote.receive(("ended", ANY), timeout=PATIENCE)[1], ("with", place))
        self.until_alone()

    def test_who_has_asked_ends(self):
        """At any moment of the start: no worker is left."""
        self.begin(workers=2)
        for delay in (0, 0.005, 0.02, 0.04, 0.06, 0.08, 0.1):
            pid = mote.options(place="here").spawn(starts_one, mote.self(), "dedicated")
            mote.sleep(delay)
            mote.kill(pid)
            told = mote.receive(("started", ANY), timeout=0, default=None)
            if told:
                mote.send(told[1], ("end", "normal"))
        self.until(lambda: not self.hub.requests, "the hub has not taken a request")

        def are_ended():
            told = mote.receive(("here", ANY, ANY), timeout=0, default=None)  # who was told of nobody
            if told:
                mote.send(told[2], ("end", "normal"))
            return self.is_alone()

        self.until(are_ended, "workers are left")

    def test_the_limit(self):
        self.begin(workers=2)
        some = [number for number in range(1, 63) if number not in self.hub.workers]
        for number in some:
            worker = mote._hub.Worker(number, number, None)
            worker.due = 0.0
            self.hub.workers[number] = worker
        with self.assertRaises(mote.MoteError) as caught:
            mote.options(place="dedicated").spawn(here, mote.self())
        self.assertIn("at most 62 workers", str(caught.exception))
        for number in some:
            del self.hub.workers[number]
        self.stand("dedicated")
        with self.assertRaises(mote.NotSendable):
            mote.options(place="dedicated").spawn(lambda: None)


class OnStart(WithNode):
    def test_in_each_incarnation(self):
        self.begin(workers=3, on_worker_start=begins)
        for place in (1, 2):
            for _ in range(2):
                mote.options(place=place).spawn(tells_began, mote.self())
                pid, calls = mote.receive((int, list), timeout=PATIENCE)
                self.assertEqual(calls, [pid])
                os.kill(pid, signal.SIGKILL)
                self.until(lambda: self.hub.places[place].pid not in (0, pid), "it is not started again")
        self.assertEqual(began, [])
        pid, ref = mote.options(place="dedicated", monitor=True).spawn(tells_began, mote.self())
        where, calls = mote.receive((int, list), timeout=PATIENCE)
        self.assertEqual((calls, self.reason(ref)), ([where], "normal"))

    def test_it_reaches_the_hub(self):
        self.begin(workers=2, on_worker_start=asks_the_hub)
        asked = Asked.options(name="asked at the start").start()
        _, ref, where = self.stand(1)
        os.kill(where, signal.SIGKILL)
        self.assertEqual(self.reason(ref)[0], "worker_died")
        mote.options(place=1).spawn(tells_began, mote.self())
        _, answers = mote.receive((int, list), timeout=PATIENCE)
        self.assertEqual(answers, ["welcome"])
        asked.stop()

    def test_fails(self):
        with self.assertRaises(mote.MoteError) as caught:
            self.begin(workers=2, on_worker_start=always_fails)
        text = str(caught.exception)
        self.assertIn("worker 1 has not started in 5 tries", text)
        self.assertIn("ValueError: no licence here", text)
        self.assertIn("in always_fails", text)
        self.begin(workers=2)  # nothing is in the way of another
        self.stand(1)

    def test_fails_at_first(self):
        with tempfile.NamedTemporaryFile() as file:
            os.environ["MOTE_TEST_TRIES"] = file.name
            self.begin(workers=2, on_worker_start=fails_twice)
            self.stand(1)
            self.assertEqual(file.read(), b"xxx")

    def test_fails_later(self):
        """That one is told of; the others are not waited for, and it comes when it can."""
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MOTE_TEST_TRIES"] = os.path.join(folder, "broken")
            self.begin(workers=3, on_worker_start=fails_if_told)
            _, ref, where = self.stand(1)
            with open(os.environ["MOTE_TEST_TRIES"], "w"):
                pass
            os.kill(where, signal.SIGKILL)
            self.assertEqual(self.reason(ref)[0], "worker_died")
            self.until(lambda: self.hub.places[1].tries >= mote._hub.TRIES, "it does not fail")
            self.stand(2)
            with self.assertRaises(mote.MoteError) as caught:
                self.stand(1)
            self.assertIn("OSError: broken", str(caught.exception))
            os.unlink(os.environ["MOTE_TEST_TRIES"])
            self.until(lambda: self.hub.places[1].up, "it does not come again")
            self.stand(1)

    def test_fails_of_a_dedicated_one(self):
        self.begin(on_worker_start=always_fails)
        with self.assertRaises(mote.MoteError) as caught:
            mote.options(place="dedicated").spawn(here, mote.self())
        self.assertIn("ValueError: no licence here", str(caught.exception))
        self.until(lambda: not mote._workers.hub.workers, "it is still there")

    def test_what_it_may_be(self):
        with self.assertRaises(mote.NotSendable):
            self.begin(workers=2, on_worker_start=lambda: None)
        for wrong in ({"recycle_after": 0}, {"recycle_memory": 0}):
            with self.assertRaises(ValueError):
                self.begin(workers=2, **wrong)


class Recycled(WithNode):
    def test_after_so_many(self):
        """All run, in one worker after the other; what is in an old one goes on, and nobody is told of a death."""
        self.begin(workers=2, recycle_after=20)
        old, ref, first = self.stand(1)
        seen = set()
        deadline = time.monotonic() + PATIENCE
        while len(seen) < 4:
            self.assertLess(time.monotonic(), deadline, "it is not replaced")
            pid, one = mote.options(place=1, monitor=True).spawn(here, mote.self())
            seen.add(mote.receive(int, timeout=PATIENCE))
            self.assertEqual(self.reason(one), "normal")
        self.assertTrue(is_there(first))
        mote.send(old, ("still there", 1))
        self.assertEqual(mote.receive(("told", ANY), timeout=PATIENCE), ("told", ("still there", 1)))
        mote.send(old, ("send", 100, 50_000))
        for i in range(100):
            mote.receive(("sent", i, ANY), timeout=PATIENCE)
        self.assertEqual(self.reason(ref), "sent all")
        self.until(lambda: not is_there(first), "the first worker does not end")
        self.until_alone()
        self.assertIsNone(mote.receive(timeout=0, default=None))

    def test_under_load(self):
        """From two workers at once: each process that has a pid runs, once."""
        self.begin(workers=3, recycle_after=50)
        pids = [mote.options(place=place, monitor=True).spawn(starts_many, mote.self(), 1500) for place in ("here", 2)]
        counts = collections.Counter()
        all_ = 0
        while all_ < 2:
            message = mote.receive(mote.any_of("all", ("one", ANY)), timeout=PATIENCE)
            all_ += message == "all"
            counts[message] += message != "all"
        while sum(counts.values()) < 3000:
            counts[mote.receive(("one", ANY), timeout=PATIENCE)] += 1
        self.assertEqual({counts["one", i] for i in range(1500)}, {2})
        self.assertEqual({self.reason(ref) for _, ref in pids}, {"normal"})
        self.until(lambda: sum(self.hub.incarnations) + self.hub.places[1].number > 1, "none is replaced")
        self.until_alone()

    def test_by_memory(self):
        self.begin(workers=2, recycle_memory=150 << 20)
        _, ref, first = self.stand(1)
        seen = set()
        deadline = time.monotonic() + PATIENCE
        while seen <= {first}:
            self.assertLess(time.monotonic(), deadline)
            if len(seen) == 0 or mote._hub.memory_of(first) < 250 << 20:
                mote.options(place=1).spawn(keeps, mote.self(), 50 << 20)
                seen.add(mote.receive(int, timeout=PATIENCE))
            mote.options(place=1).spawn(here, mote.self())
            seen.add(mote.receive(int, timeout=PATIENCE))
            mote.sleep(0.001)
        self.assertTrue(is_there(first))

    def test_what_cannot_be_sent_holds_nothing(self):
        """A granted process that was to be told what cannot be sent is given back."""
        self.begin(workers=2, recycle_after=5)
        with mote.trap_exit():
            for place in (1, "dedicated"):
                for how in ({}, {"link": True}, {"monitor": True}):
                    with self.assertRaises(mote.NotSendable):
                        mote.options(place=place, **how).spawn(here, lambda: None)
            while self.hub.places[1].number == 1 or not self.hub.places[1].up:
                mote.options(place=1).spawn(here, mote.self())
                mote.receive(int, timeout=PATIENCE)
            self.until_alone()
            self.assertIsNone(mote.receive(timeout=0, default=None))

    def test_a_worn_one_crashes(self):
        self.begin(workers=2, recycle_after=5)
        pid, ref, first = self.stand(1)
        while self.hub.places[1].pid in (0, first) or not self.hub.places[1].up:
            mote.options(place=1).spawn(here, mote.self())
            mote.receive(int, timeout=PATIENCE)
        second = self.hub.places[1]
        mote.send(pid, ("die", 9))
        self.assertEqual(self.reason(ref), ("worker_died", 1, ("exit", 9)))
        self.until_alone()
        self.assertIs(self.hub.places[1], second)

    def test_who_is_up_is_known_to_all(self):
        """Who waits for the workers does not go on while descriptors are still given around."""
        self.begin(workers=3)
        send, missing = mote._hub.send, []

        def sees(sock, what, *rest, **how):
            if what == "open":
                missing.append(self.hub.missing())
            send(sock, what, *rest, **how)

        pid, ref, _ = self.stand(1)
        self.addCleanup(setattr, mote._hub, "send", send)
        mote._hub.send = sees
        mote.send(pid, ("die", 9))
        self.assertEqual(self.reason(ref), ("worker_died", 1, ("exit", 9)))
        mote._workers.begin()
        self.assertEqual([text and text[:8] for text in missing], ["worker 1"] * 2)

    def test_executor(self):
        mote._mote.stop()
        with mote.Executor(2, max_tasks_per_child=3) as executor:
            pids = collections.Counter(executor.map(os_pid, range(20)))
        self.assertEqual(sum(pids.values()), 20)
        self.assertLessEqual(max(pids.values()), 3)
        with self.assertRaises(ValueError):
            mote.Executor(2, max_tasks_per_child=0)

    def test_executor_moves(self):
        """Its slots do not hold a worn worker."""
        self.moves()

    def test_executor_moves_beside_asyncio(self):
        """Nor does the process that is asyncio's loop."""
        self.moves(on_worker_start=imports_asyncio)

    def moves(self, **how):
        self.begin(workers=2, recycle_after=10, **how)
        with mote.Executor(1) as executor:
            first = executor.submit(os_pid).result()
            while executor.submit(os_pid).result(timeout=PATIENCE) == first:
                mote.options(place=1).spawn(here, mote.self())
                mote.receive(int, timeout=PATIENCE)
            self.until(lambda: not is_there(first), "the first worker does not end")


if __name__ == "__main__":
    unittest.main()
