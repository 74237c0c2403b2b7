# SPDX-License-Identifier: Apache-2.0
"""What is the whole node's, whatever worker asks: names, the list of processes, groups, registries."""
import os
import signal
import time

import mote
import mote._workers
from mote import ANY, Atom
from worker_node import PATIENCE, WithNode, stands


# ------------------------------------------------------------------------------- what runs in the workers


def registers(to, name, pid):
    try:
        mote.register(name, pid)
        mote.send(to, ("register", None))
    except Exception as error:
        mote.send(to, ("register", type(error).__name__))


async def registers_wrongly(to, name, pid):
    try:
        mote.register(name, pid)
    except RuntimeError as error:
        mote.send(to, ("refused", str(error)))


async def registers_aio(to, name, pid):
    try:
        await mote.aio.register(name, pid)
        mote.send(to, ("register", None))
    except Exception as error:
        mote.send(to, ("register", type(error).__name__))


def renames(to):
    """Finds that its name was taken away, and takes others."""
    mote.register("first name")
    mote.send(to, ("named", mote.self()))
    mote.receive("look")
    found = [mote.whereis("first name"), mote.info(mote.self()).name]
    mote.register("second name")
    mote.unregister("second name")
    mote.register("first name")
    mote.send(to, ("renamed", found, mote.whereis("first name") == mote.self()))
    mote.receive("end")


def lists(to):
    mote.send(to, ("list", mote.processes()))


async def lists_aio(to):
    try:
        mote.processes()
    except RuntimeError as error:
        mote.send(to, ("refused", str(error)))
    mote.send(to, ("list", await mote.aio.processes()))


def joins(to, group, times):
    scope = mote.Group("scope of the test")
    for _ in range(times):
        scope.join(group)
    mote.send(to, ("joined", mote.self()))
    while True:
        mote.send(to, ("got", mote.self(), mote.receive()))


def watches(to, group):
    ref, members = mote.Group("scope of the test").monitor(group)
    mote.send(to, ("watches", members))
    while True:
        _, what, name, pids = mote.receive((ref, ANY, ANY, ANY))
        mote.send(to, (what, name, pids))


def starts_scope(to):
    mote.Group.start("scope of the test")
    mote.Registry.start(name="registry of the test")
    mote.send(to, "scope")


def enters(to, key, value):
    registry = mote.Registry("registry of the test")
    registry.register(key, value)
    mote.send(to, ("entered", registry.lookup(key)))
    mote.receive("end")


class Names(WithNode):
    def setUp(self):
        super().setUp()
        self.begin(workers=3)

    def told(self, what):
        return mote.receive((what, ANY), timeout=PATIENCE)[1]

    def test_register(self):
        """Of processes here and there, from here and there."""
        places = {place: self.stand(place)[:2] for place in (1, 2)}
        places["here"] = mote.options(place="here", monitor=True).spawn(stands, mote.self())
        for by in ("here", 1, 2):
            for flavour in (registers, registers_aio):
                for place, (pid, _) in places.items():
                    with self.subTest(by=by, of=place, flavour=flavour.__name__):
                        mote.options(place=by).spawn(flavour, mote.self(), "some name", pid)
                        self.assertIsNone(self.told("register"))
                        self.assertEqual((mote.whereis("some name"), mote.info(pid).name), (pid, "some name"))
                        mote.options(place=by).spawn(flavour, mote.self(), "some name", places[1][0])
                        mote.options(place=by).spawn(flavour, mote.self(), "another name", pid)
                        self.assertEqual([self.told("register") for _ in range(2)], ["ValueError"] * 2)
                        mote.unregister("some name")
        pid, ref = places[2]
        mote.register("some name", pid)
        mote.send("some name", "hello")
        self.assertEqual(self.told("told"), "hello")
        mote.send(pid, ("end", "over"))
        self.assertEqual(self.reason(ref), "over")
        self.assertIsNone(mote.whereis("some name"))
        for by in ("here", 1, 2):
            mote.options(place=by).spawn(registers, mote.self(), "some name", pid)
            self.assertEqual(self.told("register"), "NoProc")
        for wrong, error in ((7, TypeError), ("", ValueError), ("undefined", ValueError), ("x" * 300, ValueError)):
            with self.assertRaises(error):
                mote.register(wrong, places[1][0])

    def test_coroutines_are_told(self):
        pid, _, _ = self.stand(1)
        mote.options(place="here").spawn(registers_wrongly, mote.self(), "some name", pid)
        self.assertIn("register", self.told("refused"))

    def test_of_a_worker_that_dies(self):
        pid, ref, where = self.stand(1)
        mote.register("goes with it", pid)
        os.kill(where, signal.SIGKILL)
        self.assertEqual(self.reason(ref)[0], "worker_died")
        self.assertIsNone(mote.whereis("goes with it"))
        with self.assertRaises(mote.NoProc):
            mote.register("goes with it", pid)
        other, _, _ = self.stand(2)
        mote.register("goes with it", other)

    def test_unregistered_from_elsewhere(self):
        """Its own worker knows that, too."""
        mote.options(place=1).spawn(renames, mote.self())
        pid = self.told("named")
        mote.unregister("first name")
        self.assertIsNone(mote.whereis("first name"))
        mote.send(pid, "look")
        _, found, again = mote.receive(("renamed", ANY, ANY), timeout=PATIENCE)
        self.assertEqual((found, again), ([None, None], True))
        self.assertEqual(mote.whereis("first name"), pid)
        mote.unregister("first name")
        mote.register("first name")  # now another's, which its end does not take away
        ref = mote.monitor(pid)
        mote.send(pid, "end")
        self.assertEqual(self.reason(ref), "normal")
        self.assertEqual(mote.whereis("first name"), mote.self())
        mote.unregister("first name")


class Processes(WithNode):
    def setUp(self):
        super().setUp()
        self.begin(workers=3)

    def test_all(self):
        pids = [self.stand(place)[0] for place in (1, 2, "dedicated")]
        pids += [mote.options(place="here").spawn(stands, mote.self()), mote.self()]
        for place in ("here", 1, 2):
            for flavour in (lists, lists_aio):
                mote.options(place=place).spawn(flavour, mote.self())
                found = mote.receive(("list", ANY), timeout=PATIENCE)[1]
                self.assertEqual(len(found), len(set(found)))
                self.assertLessEqual(set(pids), set(found))
                if flavour is lists_aio:
                    self.assertIn("processes", mote.receive(("refused", ANY), timeout=PATIENCE)[1])
        workers = {mote._mote.worker_of(pid) for pid in mote.processes()}
        self.assertEqual(workers, {0, *self.hub.workers})
        self.assertEqual({mote.info(pid).pid for pid in pids}, set(pids))

    def test_one_does_not_answer(self):
        pid, ref, where = self.stand(1)  # who is asked first
        self.stop(where)
        try:
            begin = time.monotonic()
            with self.assertRaises(TimeoutError) as caught:
                mote.processes(timeout=0.1)
            self.assertLess(time.monotonic() - begin, 5)
            self.assertIn("worker 1 has not answered", str(caught.exception))
        finally:
            os.kill(where, signal.SIGCONT)
        self.assertIn(pid, mote.processes(timeout=PATIENCE))
        self.stop(where)
        mote.options(place="here").spawn(lists, mote.self())
        os.kill(where, signal.SIGKILL)  # it never will
        found = mote.receive(("list", ANY), timeout=PATIENCE)[1]
        self.assertNotIn(pid, found)
        self.assertEqual(self.reason(ref)[0], "worker_died")


class Groups(WithNode):
    def test_a_scope_of_the_node(self):
        """Found by its name from everywhere, wherever it is."""
        self.begin(workers=3)
        for home in ("here", 2):
            with self.subTest(home):
                mote.options(place=home).spawn(starts_scope, mote.self())
                mote.receive("scope", timeout=PATIENCE)
                scope = mote.Group("scope of the test")
                watcher = mote.options(place=2).spawn(watches, mote.self(), "team")
                self.assertEqual(mote.receive(("watches", ANY), timeout=PATIENCE)[1], [])
                members = []
                for place, times in ((1, 1), ("here", 1), (1, 2)):
                    members.append(mote.options(place=place).spawn(joins, mote.self(), "team", times))
                    mote.receive(("joined", ANY), timeout=PATIENCE)
                    for _ in range(times):
                        self.assertEqual(mote.receive(("join", ANY, ANY), timeout=PATIENCE)[2], [members[-1]])
                expected = [*members, members[2]]
                self.assertEqual(sorted(scope.members("team")), sorted(expected))
                self.assertEqual(scope.broadcast("team", "all of you"), 4)
                got = [mote.receive(("got", ANY, ANY), timeout=PATIENCE) for _ in range(4)]
                self.assertEqual(sorted(pid for _, pid, _ in got), sorted(expected))
                scope.join("team", watcher)  # somebody else's process
                self.assertEqual(mote.receive(("join", ANY, ANY), timeout=PATIENCE)[2], [watcher])
                scope.leave("team", watcher)
                self.assertEqual(mote.receive(("leave", ANY, ANY), timeout=PATIENCE)[2], [watcher])
                os.kill(self.hub.places[1].pid, signal.SIGKILL)
                left = [mote.receive(("leave", ANY, ANY), timeout=PATIENCE)[2] for _ in range(2)]
                self.assertEqual(sorted(left), sorted([[members[0]], [members[2]] * 2]))
                self.assertEqual(scope.members("team"), [members[1]])
                mote.kill(members[1])
                self.assertEqual(mote.receive(("leave", ANY, ANY), timeout=PATIENCE)[2], [members[1]])
                self.assertEqual(scope.names(), [])
                mote.kill(watcher)
                scope.stop()
                mote.Registry("registry of the test").stop()

    def test_a_registry_of_the_node(self):
        self.begin(workers=3)
        for home in ("here", 2):
            with self.subTest(home):
                mote.options(place=home).spawn(starts_scope, mote.self())
                mote.receive("scope", timeout=PATIENCE)
                registry = mote.Registry("registry of the test")
                pid, ref = mote.options(place=1, monitor=True).spawn(enters, mote.self(), ("key", 1), [1, 2])
                entries = mote.receive(("entered", ANY), timeout=PATIENCE)[1]
                self.assertEqual(entries, [(pid, [1, 2])])
                self.assertEqual(registry.lookup(("key", 1)), entries)
                with self.assertRaises(ValueError) as caught:
                    registry.register(("key", 1))
                self.assertEqual(caught.exception.holder, pid)
                os.kill(self.hub.places[1].pid, signal.SIGKILL)
                self.assertEqual(self.reason(ref)[:2], (Atom("worker_died"), 1))
                self.until(lambda: registry.lookup(("key", 1)) == [], "the entry stays")
                registry.stop()
                mote.Group("scope of the test").stop()


if __name__ == "__main__":
    import unittest

    unittest.main()
