# SPDX-License-Identifier: Apache-2.0
"""Servers, machines, tasks and supervisors' children in other workers."""
import functools
import os
import signal

import mote
import mote._workers
import quick
from mote import ANY, Atom
from worker_node import PATIENCE, WithNode, is_there

quick.for_the_ends()


# ------------------------------------------------------------------------------- what runs in the workers


class Counter(mote.Server):
    def init(self, n=0):
        if n == "refuses":
            raise ValueError("refused on purpose")
        self.n = n

    @mote.call
    def add(self, k):
        self.n += k
        return self.n

    @mote.call
    def where(self):
        return os.getpid()


class Derived(Counter):
    @mote.call
    def twice(self):
        return 2 * self.n


class Awaits(mote.Server):
    async def init(self, n):
        self.n = n

    @mote.call
    async def where(self):
        await mote.aio.sleep(0)
        return os.getpid()


class Door(mote.Machine):
    def init(self):
        return self.closed

    @mote.state
    def closed(self, event):
        if event.kind == "call":
            self.reply(os.getpid())


async def starts_aio(to, place):
    server = await Counter.options(place=place).aio.start(5)
    mote.send(to, ("started", await server.aio.where(), await server.aio.add(1)))


def tells(to, text, *, more=""):
    mote.send(to, ("child", os.getpid(), mote.self(), text + more))
    what = mote.receive()
    if what[0] == "die":
        os._exit(what[1])
    mote.exit(what[1])


async def tells_aio(to, text):
    mote.send(to, ("child", os.getpid(), mote.self(), text))
    mote.exit((await mote.aio.receive())[1])


def supervises(to):
    """A tree in another worker, with children elsewhere."""
    with mote.Supervisor.start_link([mote.Child(tells, to, "far").options(place=2)]) as tree:
        mote.send(to, ("tree", tree.pid))
        mote.receive("stop")


def doubles(n):
    return n * 2, os.getpid()


async def doubles_aio(n):
    await mote.aio.sleep(0)
    return n * 2, os.getpid()


def unsendable():
    return lambda: None


def sleeps():
    mote.sleep(1000)


async def starts_tasks(to, place):
    first = await mote.Task.options(place=place).aio.start(doubles, 7)
    second = await mote.Task.options(place=place).aio.start_nolink(doubles_aio, 8)
    mote.send(to, ("tasks", (await first)[0], *(await second)))


class Servers(WithNode):
    def setUp(self):
        super().setUp()
        self.begin(workers=3)

    def test_servers(self):
        for cls, args in ((Counter, (1,)), (Derived, (1,)), (Awaits, (1,))):
            with self.subTest(cls.__name__):
                server = cls.options(place=1, name="server of the test").start(*args)
                self.assertEqual(server.where(), self.hub.places[1].pid)
                self.assertEqual(mote.whereis("server of the test"), server.pid)
                with self.assertRaises(ValueError) as caught:
                    cls.options(place=2, name="server of the test").start(*args)
                self.assertIn("is taken", str(caught.exception))
                server.stop()
                self.assertIsNone(mote.whereis("server of the test"))
        door = Door.options(place=2).start()
        self.assertEqual(mote.call(door.pid, "where"), self.hub.places[2].pid)
        self.assertEqual(Derived.options(place="any").start(4).twice(), 8)

    def test_dedicated(self):
        server = Counter.options(place="dedicated").start(2)
        where = server.where()
        self.assertNotIn(where, {os.getpid(), *self.pool()})
        self.assertEqual(server.add(3), 5)
        server.stop()
        self.until(lambda: not is_there(where), "its worker does not end")
        with self.assertRaises(mote.NoProc) as caught:
            Counter.options(place="dedicated").start("refuses")
        self.assertIn("refused on purpose", str(caught.exception.reason))
        self.until_alone()

    def test_in_coroutines(self):
        for place in (1, "any", "here", "dedicated"):
            mote.options(place="here").spawn(starts_aio, mote.self(), place)
            _, where, total = mote.receive(("started", ANY, ANY), timeout=PATIENCE)
            self.assertEqual(total, 6)
            self.assertEqual(where == os.getpid(), place == "here" or where == os.getpid() and place == "any")

    def test_what_cannot_go(self):
        class Local(mote.Server):
            pass

        with self.assertRaises(mote.NotSendable):
            Local.options(place=1).start()
        Local.options(place="any").start().stop()
        with self.assertRaises(ValueError):
            Counter.options(place=1, mailbox=10).start()


class Tasks(WithNode):
    def test_tasks(self):
        self.begin(workers=3)
        options = mote.Task.options
        tasks = [options(place=place).start(doubles, n) for n, place in enumerate((1, 2, "any", "here", "dedicated", 1))]
        found = mote.gather(tasks, timeout=PATIENCE)
        self.assertEqual([n for n, _ in found], [0, 2, 4, 6, 8, 10])
        self.assertEqual([found[0][1], found[1][1], found[3][1]], [self.hub.places[1].pid, self.hub.places[2].pid, os.getpid()])
        for function in (functools.partial(doubles, 21), functools.partial(doubles_aio, n=21)):
            self.assertEqual(options(place=1).start(function).result(timeout=PATIENCE), (42, self.hub.places[1].pid))
        with self.assertRaises(mote.TaskFailed) as caught:
            options(place=1).start_nolink(doubles, None).result(timeout=PATIENCE)
        self.assertIn("TypeError", str(caught.exception))
        with self.assertRaises(mote.TaskFailed) as caught:
            options(place=1).start_nolink(unsendable).result(timeout=PATIENCE)
        self.assertIn("NotSendable", str(caught.exception))
        with self.assertRaises(mote.NotSendable):
            options(place=1).start(lambda: 1)
        with self.assertRaises(mote.NotSendable):
            options(place=1).start(doubles, lambda: 1)
        self.assertEqual(options(place="any").start(lambda: 1).result(timeout=PATIENCE), 1)
        task = options(place=2).start_nolink(sleeps)
        with self.assertRaises(TimeoutError):
            task.result(timeout=0.05)
        task = options(place=2).start_nolink(sleeps)
        os.kill(self.hub.places[2].pid, signal.SIGKILL)
        with self.assertRaises(mote.TaskFailed) as caught:
            task.result(timeout=PATIENCE)
        self.assertEqual(caught.exception.reason[:2], (Atom("worker_died"), 2))
        self.assertIsNone(mote.receive(timeout=0, default=None))

    def test_in_coroutines(self):
        self.begin(workers=2)
        for place in (1, "here", "dedicated"):
            mote.options(place="here").spawn(starts_tasks, mote.self(), place)
            where = mote.receive(("tasks", 14, 16, ANY), timeout=PATIENCE)[3]
            self.assertEqual(where == os.getpid(), place == "here")


class Trees(WithNode):
    def setUp(self):
        super().setUp()
        self.begin(workers=3)

    def child(self):
        """(OS process, pid, text) of a child that has started."""
        return mote.receive(("child", ANY, ANY, ANY), timeout=PATIENCE)[1:]

    def test_children(self):
        """Where they are to be, restarted there, stopped in order."""
        children = [
            mote.Child(tells, mote.self(), "one", more="!").options(place=1, id="one", name="name of one"),
            mote.Child(tells_aio, mote.self(), "two").options(place=2, id="two"),
            mote.Child(Counter, 7).options(place=1, name="counter of the tree"),
            mote.Child(tells, mote.self(), "here").options(place="here", id="here"),
        ]
        with mote.Supervisor.start_link(children, max_restarts=10) as tree:
            places = {}
            for _ in range(3):
                where, pid, text = self.child()
                places[text] = where
            self.assertEqual(places, {"one!": self.hub.places[1].pid, "two": self.hub.places[2].pid, "here": os.getpid()})
            self.assertEqual(mote.whereis("name of one"), tree.whereis("one"))
            counter = tree.whereis("Counter")
            self.assertEqual((counter.add(1), counter.where()), (8, self.hub.places[1].pid))
            for name, why in (("one", "fails"), ("two", ("fails", 2))):
                before = tree.whereis(name)
                ref = mote.monitor(before)
                mote.send(before, ("end", why))
                self.assertEqual(self.reason(ref), why)
                where, pid, _ = self.child()
                self.assertEqual((where, tree.whereis(name)), (places[{"one": "one!"}.get(name, name)], pid))
            counts = tree.count_children()
            self.assertEqual((counts["active"], counts["restarts"]), (4, 2))
            refs = [mote.monitor(info.pid) for info in tree.which_children()]
        self.assertEqual({self.reason(ref) for ref in refs}, {"shutdown"})
        self.assertIsNone(mote.whereis("name of one"))

    def test_partials(self):
        child = mote.Child(functools.partial(tells, mote.self(), more="?"), "one").options(place=2)
        with mote.Supervisor.start_link([child]):
            where, pid, text = self.child()
            self.assertEqual((where, text), (self.hub.places[2].pid, "one?"))
            mote.send(pid, ("end", "fails"))
            self.assertEqual(self.child()[::2], (where, text))

    def test_a_worker_dies(self):
        """Its children are started in its next incarnation; "any": wherever one is idle."""
        children = [mote.Child(tells, mote.self(), str(i)).options(place=1, id=i) for i in range(5)]
        children += [mote.Child(Counter, 1).options(place=1), mote.Child(tells, mote.self(), "any").options(place="any", id="any")]
        with mote.Supervisor.start_link(children, max_restarts=100) as tree:
            first = [self.child() for _ in range(6)]
            for _ in range(3):
                where = self.hub.places[1].pid
                moved = 5 + any(pid == where for pid, _, text in first if text == "any")
                os.kill(where, signal.SIGKILL)
                second = [self.child() for _ in range(moved)]
                self.assertEqual({text for _, _, text in second} - {"any"}, {str(i) for i in range(5)})
                self.assertFalse({pid for pid, _, _ in second} & {where})
                first = [one for one in first if one[2] == "any" and moved == 5] + second
                self.until(lambda: tree.count_children()["active"] == 7, "not all are started again")
                self.assertEqual(tree.whereis("Counter").add(1), 2)

    def test_dedicated(self):
        with mote.Supervisor.start_link([mote.Child(tells, mote.self(), "own").options(place="dedicated")], max_restarts=10) as tree:
            before, pid, _ = self.child()
            mote.send(pid, ("die", 5))
            after, again, _ = self.child()
            self.assertEqual(len({before, after, os.getpid(), *self.pool()}), 5)
            mote.send(again, ("end", "fails"))
            third, _, _ = self.child()
            self.until(lambda: not is_there(before) and not is_there(after), "the workers before do not end")
            self.assertTrue(is_there(third))
        self.until_alone()

    def test_in_a_worker(self):
        """A supervisor of another worker places its children as well; one_for_all."""
        pid = mote.options(place=1).spawn(supervises, mote.self())
        mote.receive(("tree", ANY), timeout=PATIENCE)
        where, child, _ = self.child()
        self.assertEqual(where, self.hub.places[2].pid)
        ref = mote.monitor(child)
        os.kill(self.hub.places[1].pid, signal.SIGKILL)
        self.assertEqual(self.reason(ref)[:2], (Atom("worker_died"), 1))  # by its link

    def test_dynamic(self):
        with mote.Supervisor.start_link([mote.Child(tells, mote.self()).options(place=2)], strategy="simple_one_for_one") as tree:
            pids = [tree.start_child(str(i), more="?") for i in range(3)]
            told = [self.child() for _ in range(3)]
            self.assertEqual({(pid, text) for _, pid, text in told}, set(zip(pids, ("0?", "1?", "2?"))))
            self.assertEqual({where for where, _, _ in told}, {self.hub.places[2].pid})
            tree.terminate_child(pids[0])
        with mote.Supervisor.start_link() as tree:
            pid = tree.start_child(mote.Child(tells_aio, mote.self(), "added").options(place=1))
            self.assertEqual(self.child()[:2], (self.hub.places[1].pid, pid))

    def test_what_fails(self):
        mote.register("taken name")
        for child, error, text in (
            (mote.Child(Counter, "refuses").options(place=1), mote.StartFailed, "refused on purpose"),
            (mote.Child(tells, mote.self(), "x").options(place=1, name="taken name"), ValueError, "taken"),
            (mote.Child(tells, mote.self(), "x").options(place=40), mote.StartFailed, "there is no worker 40"),
        ):
            with self.subTest(text):
                with self.assertRaises(error) as caught:
                    mote.Supervisor.start([child])
                self.assertIn(text, str(caught.exception))
        mote.unregister("taken name")
        with self.assertRaises(mote.NotSendable):
            mote.Child(lambda: None).options(place=1)
        with self.assertRaises(ValueError):
            mote.Child(mote.Supervisor, []).options(place=1)
        with mote.Supervisor.start_link([mote.Child(lambda: mote.receive("never")).options(place="any", id="stays")]) as tree:
            self.assertEqual(mote._mote.worker_of(tree.whereis("stays")), 0)

    def test_without_workers_before(self):
        """They are started for it."""
        self.node.stop()
        self.node = None
        with mote.Supervisor.start_link([mote.Child(tells, mote.self(), "first").options(place=1)]):
            where, _, _ = self.child()
            self.assertNotEqual(where, os.getpid())


if __name__ == "__main__":
    import unittest

    unittest.main()
