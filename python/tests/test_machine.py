# SPDX-License-Identifier: Apache-2.0
"""State machines: the order of events, what methods may ask for, time, starting and ending; as functions and as coroutines."""
import unittest

import mote
from both import Clean, in_coroutine
from mote._mote import _testing

PATIENCE = 60


class Door(mote.Machine):
    def init(self, code, told=None, seconds=3600):
        self.code, self.told, self.seconds, self.n = code, told, seconds, 0
        return self.locked

    @mote.state
    def locked(self, event):
        kind, content, caller = event
        if kind == "call" and content[0] == "unlock":
            self.reply(content[1] == self.code)
            if content[1] == self.code:
                self.state_timeout(self.seconds, "too long")
                self.next(self.open)
        elif kind == "cast":
            self.postpone()

    @mote.state
    def open(self, event):
        kind, content, caller = event
        if kind == "state_timeout":
            self.next("locked")
            mote.send(self.told, (kind, content))
        elif kind == "call" and content == "close":
            self.reply("closed", caller)
            self.next(self.locked)
        elif kind == "cast":
            mote.send(self.told, ("walked", content))


class AsyncDoor(Door):
    async def init(self, *args):
        return Door.init(self, *args)

    @mote.state
    async def locked(self, event):
        await mote.aio.sleep(0)
        Door.locked(self, event)

    @mote.state
    async def open(self, event):
        Door.open(self, event)


class Recorder(mote.Machine):
    """Does as it is told, and tells what happens: an event is a list of (method, arguments...) to call."""

    def init(self, told, *steps):
        self.told = told
        self.obey(steps)
        return "one"

    def obey(self, steps):
        for name, *args in steps:
            getattr(self, name)(*args)

    def tell(self, where, event):
        mote.send(self.told, (where, event.kind, event.content))
        if type(event.content) is tuple and event.content and event.content[0] == "do":
            self.obey(event.content[1:])

    @mote.state(enter=True)
    def one(self, event):
        self.tell("one", event)

    @mote.state(enter=True)
    def two(self, event):
        self.tell("two", event)

    @mote.state
    def three(self, event):
        if event.content == "keep":
            self.postpone()
        self.tell("three", event)

    def handle_event(self, event):
        self.tell(self.state, event)

    def terminate(self, reason):
        mote.send(self.told, ("terminated", reason))


class AsyncRecorder(Recorder):
    async def terminate(self, reason):
        Recorder.terminate(self, reason)


class Doors(Clean):
    def each(self):
        for cls in (Door, AsyncDoor):
            print(cls.__name__)  # which is shown when the test fails
            yield cls

    def test_calls(self):
        for cls in self.each():
            door = cls.start("1234", mote.self())
            self.assertIs(door.call(("unlock", "1")), False)
            self.assertEqual(mote.get_state(door)[0], "locked")
            self.assertIs(door.call(("unlock", "1234")), True)
            self.assertEqual(mote.get_state(door), ("open", {"code": "1234", "told": mote.self(), "seconds": 3600, "n": 0}))
            self.assertEqual(door.call("close"), "closed")
            door.stop()
            with self.assertRaises(mote.NoProc):
                door.call("close")

    def test_from_coroutines(self):
        async def use(cls):
            door = await cls.aio.start("1")
            told = [await door.aio.call(("unlock", "1")), await door.aio.call("close"), (await mote.aio.get_state(door))[0]]
            await door.aio.stop()
            return told

        for cls in self.each():
            self.assertEqual(in_coroutine(use, cls), [True, "closed", "locked"])

    def test_postponed_events_come_first(self):
        for cls in self.each():
            door = cls.start("1234", mote.self())
            for n in range(3):
                door.cast(n)
            door.call(("unlock", "1234"))
            door.cast(3)
            self.assertEqual([mote.receive(timeout=PATIENCE) for _ in range(4)], [("walked", n) for n in range(4)])
            door.stop()

    def test_state_timeout(self):
        for cls in self.each():
            door = cls.start("1234", mote.self(), 0.001)
            door.call(("unlock", "1234"))
            self.assertEqual(mote.receive(timeout=PATIENCE), ("state_timeout", "too long"))
            self.assertEqual(mote.get_state(door)[0], "locked")
            door.stop()

    def test_suspension(self):
        for cls in self.each():
            door = cls.start("1234", mote.self())
            mote.suspend(door)
            door.cast(1)
            with self.assertRaises(TimeoutError):
                door.call(("unlock", "1234"), 0.01)
            self.assertEqual(mote.get_status(door).phase, "suspended")
            mote.resume(door)
            self.assertEqual(mote.receive(timeout=PATIENCE), ("walked", 1))
            self.assertEqual(mote.get_state(door)[0], "open")
            mote.statistics(door, True)
            door.call("close")
            counts = mote.statistics(door)
            self.assertEqual((counts["messages_in"], counts["messages_out"]), (1, 1))
            self.assertEqual(mote.replace_state(door, ("open", {"n": 5}))[1]["n"], 5)
            self.assertEqual(door.call("close"), "closed")
            with self.assertRaisesRegex(mote.MoteError, "'broken' is no state of"):
                mote.replace_state(door, ("broken", {"n": 6}))
            self.assertEqual(_testing.c_ask("state", door.pid), ("locked", {"code": "1234", "told": mote.self(), "seconds": 3600, "n": 5}))
            _testing.c_ask("stop", door.pid)

    def test_names_and_links(self):
        for cls in self.each():
            door = cls.options(name="door", link=True).start("1")
            self.assertIs(cls.at("door").call(("unlock", "2")), False)
            self.assertEqual(door, cls.at(door.pid))
            self.assertIn("machine", repr(door))
            with self.assertRaises(ValueError):
                cls.options(name="door").start("1")
            cls.at("door").stop()


class Orders(Clean):
    flavours = Recorder, AsyncRecorder

    def start(self, cls, *steps):
        machine = cls.start(mote.self(), *steps)
        self.assertEqual(mote.receive(timeout=PATIENCE), ("one", "enter", "one"))
        return machine

    def told(self, n):
        return [mote.receive(timeout=PATIENCE) for _ in range(n)]

    def each(self):
        for cls in self.flavours:
            print(cls.__name__)  # which is shown when the test fails
            yield cls

    def cast(self, machine, *events):
        """All of them are there before the first is handled, so that no timeout comes between."""
        mote.suspend(machine)
        for event in events:
            machine.cast(event)
        mote.resume(machine)

    def end(self, machine):
        machine.stop()
        self.assertEqual(self.told(1), [("terminated", "normal")])

    def test_inserted_before_postponed_before_new(self):
        for cls in self.each():
            machine = self.start(cls)
            machine.cast(("do", ("next", "three")))
            machine.cast("keep")
            machine.cast("other")
            go = ("do", ("next_event", "first"), ("next_event", "second", "info"), ("next", "two"))
            machine.cast(go)
            machine.cast("last")
            self.assertEqual([what if type(what) is str else "do" for _, _, what in self.told(9)],
                             ["do", "keep", "other", "do", "three", "first", "second", "keep", "last"])
            self.end(machine)

    def test_events_of_init(self):
        for cls in self.each():
            steps = ("next_event", "inserted"), ("timeout", 0, "idle"), ("state_timeout", 0, "state"), ("named_timeout", "n", 0, "named")
            machine = self.start(cls, *steps)
            # in the order in which they were asked for; the inserted event cancels the event's own timeout not yet started
            self.assertEqual(self.told(3), [("one", "internal", "inserted"), ("one", "state_timeout", "state"), ("one", ("timeout", "n"), "named")])
            self.end(machine)

    def test_enter_calls(self):
        for cls in self.each():
            machine = self.start(cls)
            machine.cast(("do", ("next", "two")))
            machine.cast(("do", ("next", "two")))  # the same: kept
            machine.cast(("do", ("repeat",)))
            machine.cast(("do", ("next", "three")))
            machine.cast("end")
            told = [(where, kind) for where, kind, _ in self.told(7)]
            self.assertEqual(told[:4], [("one", "cast"), ("two", "enter"), ("two", "cast"), ("two", "cast")])
            self.assertEqual(told[4:], [("two", "enter"), ("two", "cast"), ("three", "cast")])
            self.end(machine)

    def test_states_without_methods(self):
        for cls in self.each():
            machine = self.start(cls)
            machine.cast(("do", ("next", ("free", 1))))
            machine.cast("there")
            self.assertEqual(self.told(2)[1], (("free", 1), "cast", "there"))
            self.assertEqual(mote.get_state(machine)[0], ("free", 1))
            self.end(machine)

    def test_event_timeout(self):
        for cls in self.each():
            machine = self.start(cls)
            self.cast(machine, ("do", ("timeout", 0.02, "idle")), "event")
            self.assertEqual(len(self.told(2)), 2)
            self.assertIsNone(mote.receive(timeout=0.04, default=None))
            machine.cast(("do", ("timeout", 0.001, "idle")))
            self.assertEqual(self.told(2)[1], ("one", "timeout", "idle"))
            machine.cast(("do", ("timeout", 0.02, "idle"), ("timeout", None)))
            self.told(1)
            self.assertIsNone(mote.receive(timeout=0.04, default=None))
            self.end(machine)

    def test_named_timeouts(self):
        for cls in self.each():
            machine = self.start(cls)
            start = [("named_timeout", name, seconds, seconds) for name, seconds in (("a", 0.03), ("b", 0.01), ("c", 0.01))]
            self.cast(machine, ("do", *start, ("named_timeout", "c", None)), ("do", ("next", "three")))  # which does not cancel them
            self.told(2)
            self.assertCountEqual(self.told(2), [("three", ("timeout", "b"), 0.01), ("three", ("timeout", "a"), 0.03)])
            self.assertIsNone(mote.receive(timeout=0.02, default=None))
            self.end(machine)

    def test_a_change_of_state_cancels_the_state_timeout(self):
        for cls in self.each():
            machine = self.start(cls)
            self.cast(machine, ("do", ("state_timeout", 0.01, "state")), ("do", ("next", "three")))
            self.told(2)
            self.assertIsNone(mote.receive(timeout=0.03, default=None))
            machine.cast(("do", ("next", "one"), ("state_timeout", 0.001, "new")))  # of the new state
            self.assertEqual(self.told(3)[1:], [("one", "enter", "three"), ("one", "state_timeout", "new")])
            self.end(machine)

    def test_what_cancels_what(self):
        """Of two events that are there at once, until the mark that the second sets."""
        soon, later = 0.001, 0.002
        for cls in self.each():
            for first, second, wanted in (
                ([("timeout", soon, "e")], [], []),
                ([("timeout", soon, "e")], [("timeout", None)], []),
                ([("timeout", soon, "old")], [("timeout", later, "new")], [("one", "timeout", "new")]),
                ([("timeout", 0, "e")], [], [("one", "timeout", "e")]),  # before the second, which is no event yet
                ([("timeout", 0, "e"), ("next_event", "x")], [], [("one", "internal", "x")]),
                ([("state_timeout", soon, "s")], [("next", "one")], [("one", "state_timeout", "s")]),
                ([("state_timeout", soon, "s")], [("next", "three")], []),
                ([("state_timeout", soon, "s")], [("state_timeout", later, "new"), ("next", "three")], [("three", "state_timeout", "new")]),
                ([("state_timeout", soon, "s")], [("state_timeout", None)], []),
                ([("named_timeout", "a", soon, "x")], [("next", "three")], [("three", ("timeout", "a"), "x")]),
                ([("named_timeout", "a", soon, "x")], [("named_timeout", "a", None)], []),
                ([("named_timeout", ("a",), soon, "x")], [("named_timeout", ("a",), later, "y")], [("one", ("timeout", ("a",)), "y")]),
            ):
                machine = self.start(cls)
                self.cast(machine, ("do", *first), ("do", *second, ("named_timeout", "mark", 0.05, "mark")))
                told = []
                while not told or told[-1][1] != ("timeout", "mark"):
                    told.append(mote.receive(timeout=PATIENCE))
                self.assertEqual([event for event in told[:-1] if event[1] not in ("cast", "enter")], wanted, (first, second))
                self.end(machine)

    def test_postponed_calls(self):
        for cls in self.each():
            machine = self.start(cls)
            machine.cast(("do", ("next", "three")))
            self.told(1)
            mote.spawn(lambda to: mote.send(to, ("answer", cls.at(machine.pid).call(("do", ("reply", 5), ("postpone",))))), mote.self())
            self.assertEqual(mote.receive(("answer", mote.ANY), timeout=PATIENCE), ("answer", 5))
            self.told(1)
            machine.cast(("do", ("next", "two")))  # where it comes again, and is answered again, which nobody hears
            self.assertEqual([kind for _, kind, _ in self.told(3)], ["cast", "enter", "call"])
            self.end(machine)

    def test_many_postponed(self):
        n = 5000
        for cls in self.each():
            door = (Door if cls is Recorder else AsyncDoor).start("1", mote.self())
            for k in range(n):
                door.cast(k)
            self.assertIs(door.call(("unlock", "1"), PATIENCE), True)
            self.assertEqual([mote.receive(timeout=PATIENCE) for _ in range(n)], [("walked", k) for k in range(n)])
            for k in range(n):
                door.cast(("closed", k))
            door.call("close", PATIENCE)
            self.assertEqual(len(self.told(n)), n)
            for k in range(n):
                door.cast(k)
            door.stop(timeout=PATIENCE)  # with what is postponed

    def test_messages(self):
        for cls in self.each():
            machine = self.start(cls)
            mote.send(machine.pid, "message")
            self.assertEqual(self.told(1), [("one", "info", "message")])
            self.end(machine)

    def test_a_busy_queue_lets_system_messages_in(self):
        class Busy(mote.Machine):
            def init(self):
                self.n = 0
                self.next_event("more")
                return "busy"

            def handle_event(self, event):
                self.n += 1
                if event.content == "more":
                    self.next_event("more")

        class AsyncBusy(Busy):
            async def handle_event(self, event):
                Busy.handle_event(self, event)

        for cls in (Busy, AsyncBusy):
            busy = cls.start()
            self.assertGreaterEqual(mote.get_state(busy, PATIENCE)[1]["n"], 0)
            busy.stop(timeout=PATIENCE)

    def test_mistakes(self):
        with self.assertRaisesRegex(TypeError, "every machine has a next of its own"):

            class Wrong(mote.Machine):
                @mote.state
                def next(self, event):
                    pass

        class NoInit(mote.Machine):
            pass

        class Nowhere(mote.Machine):
            def init(self):
                return "nowhere"

        for cls, text in ((NoInit, "returns the first state"), (Nowhere, "'nowhere' is no state of Nowhere; it has none")):
            with self.assertRaises(mote.NoProc) as caught:
                cls.start()
            self.assertIn(text, caught.exception.reason[1][1])
        for steps, text in (
            (("next_event", "x", "call"), "none of internal, cast, info"), (("timeout", -1), "seconds from 0 on"),
            (("reply", 1), "the event is no call"), (("next", None), "None is no state of Recorder; it has one, two, three"),
        ):
            machine = self.start(Recorder)
            machine.cast(("do", steps))
            self.assertEqual(len(self.told(1)), 1)
            (_, reason), = self.told(1)
            self.assertIn(text, reason[1][1])

    def test_upgrade(self):
        class Old(mote.Machine):
            def init(self, told):
                self.told = told
                return "old"

            @mote.state
            def old(self, event):
                self.reply("old")

            def upgrade(self, old_version, extra):
                self.__class__ = New
                self.next("new")
                if extra == "fail":
                    raise ValueError(extra)

        class New(mote.Machine):
            @mote.state
            def old(self, event):
                self.reply("still old")

            @mote.state(enter=True)
            def new(self, event):
                if event.kind == "call":
                    self.reply("new")

        machine = Old.start(mote.self())
        with self.assertRaises(mote.MoteError):
            mote.upgrade(machine, 1, "fail")
        self.assertEqual(machine.call("which"), "old")
        self.assertEqual(mote.get_state(machine)[0], "old")
        mote.upgrade(machine, 1, 2)
        self.assertEqual(machine.call("which"), "new")
        machine.stop()


if __name__ == "__main__":
    unittest.main()
