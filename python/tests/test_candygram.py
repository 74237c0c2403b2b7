# SPDX-License-Identifier: Apache-2.0
"""mote.candygram: its whole interface, the rules of patterns, what it does better than Candygram, and the Erlang book's programs in two styles."""
import pathlib
import re
import subprocess
import sys
import threading
import time
import unittest

import mote
from mote import candygram
from mote.candygram import (
    Any,
    ExitError,
    Message,
    Process,
    Receiver,
    exit,
    isProcessAlive,
    link,
    processes,
    processFlag,
    self_,
    send,
    spawn,
    spawnLink,
    unlink,
)

PATIENCE = 60000
NOTHING = "nothing"


def get(*pattern, timeout=PATIENCE):
    """The first message that matches (any); NOTHING when none comes."""
    r = Receiver()
    r.addHandler(pattern[0] if pattern else Any, lambda m: m, Message)
    return r.receive(timeout, lambda: NOTHING)


def matches(pattern, message):
    self_() | message
    return get(pattern, timeout=0) is not NOTHING or get() is NOTHING


def waits():
    Receiver().receive()


def gone(proc):
    """Waits until a process has ended."""
    ref = mote.monitor(proc.pid)
    mote.receive(lambda m: m if m[1:2] == (ref,) else mote.SKIP, timeout=60)


def ended():
    proc = spawn(lambda: None)
    while isProcessAlive(proc):
        pass
    return proc


class Case(unittest.TestCase):
    def setUp(self):
        processFlag("trap_exit", False)
        while get(timeout=0) is not NOTHING:
            pass

    tearDown = setUp

    def assertExit(self, reason, f, *args, **kwargs):
        with self.assertRaises(ExitError) as caught:
            f(*args, **kwargs)
        self.assertEqual(caught.exception.reason, reason)
        return caught.exception

    def in_process(self, f, *args):
        """What f(*args) gives in a process of its own."""
        to = self_()
        spawn(lambda: to | ("result", f(*args)))
        return get(("result", Any))[1]

    def end_of(self, f, *args):
        """The reason of a process that runs f(*args)."""
        before = processFlag("trap_exit", True)
        proc = spawnLink(f, *args)
        reason = get(("EXIT", proc, Any))[2]
        processFlag("trap_exit", before)
        return reason


class Functions(Case):
    def test_names(self):
        names = "spawn spawnLink self self_ exit link unlink processFlag processes isProcessAlive send ExitError Process Receiver Message Any"
        self.assertEqual(candygram.__all__, names.split())

    def test_spawn(self):
        to = self_()
        proc = spawn(lambda *args, **kwargs: to | (self_(), args, kwargs), 1, [2], a=3)
        self.assertIsInstance(proc, Process)
        self.assertEqual(get(), (proc, (1, [2]), {"a": 3}))
        self.assertEqual(self.end_of(lambda: "dropped"), "normal")
        self.assertExit("badarg", spawn, 42)
        self.assertExit("badarg", spawnLink, None)
        self.assertExit("badarg", spawn, waits, _processClass=int)

    def test_spawn_link(self):
        processFlag("trap_exit", True)
        proc = spawnLink(exit, "why")
        self.assertEqual(get(), ("EXIT", proc, "why"))
        proc = spawn(exit, "why")
        self.assertEqual(get(timeout=30), NOTHING)

    def test_self(self):
        self.assertIs(self_(), self_())
        self.assertEqual(candygram.self(), self_(True))
        self.assertNotEqual(self_(), self.in_process(self_))
        self.assertRegex(repr(self_()), r"^<PID [0-9.]+>$")

    def test_exit_of_oneself(self):
        for reason in ("why", ("a", 1), 42, None, [1, {"b": 2.5}], {1, 2}, 3j, "x" * 1000, "\ud800", self_(), object, ("p", self_())):
            self.assertEqual(self.end_of(exit, reason), reason)
        error = self.assertExit("why", exit, "why")
        self.assertEqual((error.proc, str(error)), (self_(), "why"))

    def test_exit_arguments(self):
        self.assertExit("badarg", exit)
        self.assertExit("badarg", exit, self_(), 1, 2)
        self.assertExit("badarg", exit, "no process", "why")

    def test_exit_of_another(self):
        processFlag("trap_exit", True)
        proc = spawnLink(waits)
        self.assertIs(exit(proc, "normal"), True)
        self.assertTrue(isProcessAlive(proc))
        self.assertIs(exit(proc, ("any", {"value"})), True)
        self.assertEqual(get(), ("EXIT", proc, ("any", {"value"})))
        self.assertIs(exit(proc, "dead already"), True)
        self.assertEqual(get(timeout=10), NOTHING)

    def test_exit_is_an_exception_there(self):
        def catches(to):
            try:
                waits()
            except ExitError as error:
                to | (error.reason, error.proc)
            to | "lives on"
            waits()

        proc = spawn(catches, self_())
        exit(proc, "why")
        self.assertEqual((get(), get()), (("why", self_()), "lives on"))
        self.assertTrue(isProcessAlive(proc))

    def test_exit_of_who_traps(self):
        def traps(to):
            processFlag("trap_exit", True)
            to | "ready"
            while True:
                to | get()

        proc = spawn(traps, self_())
        self.assertEqual(get(), "ready")
        for reason in ("normal", "why", "killed"):
            exit(proc, reason)
            self.assertEqual(get(), ("EXIT", self_(), reason))
        exit(proc, "kill")
        gone(proc)
        self.assertFalse(isProcessAlive(proc))

    def test_link(self):
        to = self_()

        def child():
            link(to)
            to | link(to)
            get("go")
            exit("why")

        proc = spawn(child)
        self.assertIs(get(), True)
        proc | "go"
        error = self.assertExit("why", get)
        self.assertEqual(error.proc, proc)
        self.assertEqual(get(timeout=10), NOTHING)
        self.assertIs(link(self_()), True)
        self.assertExit("badarg", link, "no process")

    def test_link_with_one_that_is_gone(self):
        proc = ended()
        self.assertEqual(self.assertExit("noproc", link, proc).proc, proc)
        processFlag("trap_exit", True)
        self.assertIs(link(proc), True)
        self.assertEqual(get(), ("EXIT", proc, "noproc"))

    def test_unlink(self):
        proc = spawnLink(waits)
        self.assertIs(unlink(proc), True)
        self.assertIs(unlink(proc), True)
        exit(proc, "why")
        gone(proc)
        self.assertEqual(get(timeout=10), NOTHING)
        self.assertIs(unlink(proc), True)
        self.assertExit("badarg", unlink, 1)

    def test_unlink_while_the_other_ends(self):
        proc = spawnLink(lambda: get("go") and exit("why"))

        class Late(candygram._State):
            __slots__ = ()

            def check(self):
                super().check()
                mote.send(proc.pid, "go")
                there = []
                while not there:  # its signal, and it stays there
                    mote.receive(lambda m: there.append(m) or mote.SKIP, timeout=0.005, default=None)

        me = candygram._me()
        me.__class__, before = Late, type(me)
        try:
            unlink(proc)
        finally:
            me.__class__ = before
        self.assertEqual(get(timeout=10), NOTHING)

    def test_normal_ends_are_ignored(self):
        spawnLink(lambda: None)
        self.assertEqual(get(timeout=30), NOTHING)

    def test_process_flag(self):
        self.assertIs(processFlag("trap_exit", True), False)
        self.assertIs(processFlag("trap_exit", False), True)
        for flag, value in (("trap_exit", 1), ("trap_exit", None), ("other", True), (None, True)):
            self.assertExit("badarg", processFlag, flag, value)

    def test_processes(self):
        proc = spawn(waits)
        self.assertIn(proc, processes())
        self.assertIn(self_(), processes())
        self.assertIn(self_(), self.in_process(processes))
        exit(proc, "kill")
        gone(proc)
        self.assertNotIn(proc, processes())

    def test_is_process_alive(self):
        proc = spawn(waits)
        self.assertEqual((isProcessAlive(proc), proc.isProcessAlive(), proc.isAlive()), (True, True, True))
        exit(proc, "end")
        gone(proc)
        self.assertEqual((isProcessAlive(proc), proc.isProcessAlive(), proc.isAlive()), (False, False, False))
        self.assertExit("badarg", isProcessAlive, None)

    def test_send(self):
        message = ("a", [1])
        self.assertIs(send(self_(), message), message)
        self.assertIs(self_().send(message), message)
        self.assertIs(self_() | message, message)
        self.assertEqual([get() for _ in range(3)], [message] * 3)
        self.assertIs(ended() | message, message)
        self.assertExit("badarg", send, "no process", message)

    def test_processes_are_values(self):
        proc, other = spawn(waits), spawn(waits)
        self_() | [{"who": (proc, {proc: other})}]
        [got] = get()
        self.assertEqual(got, {"who": (proc, {proc: other})})
        self.assertEqual(hash(got["who"][0]), hash(proc))
        self.assertNotEqual(proc, other)
        self.assertNotEqual(proc, proc.pid)
        mote.send(self_().pid, proc)
        self.assertEqual(get(proc), proc)


class Exceptions(Case):
    class Mine(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")
            self.a = a

    def fails(self):
        raise Exceptions.Mine(1, 2)

    def test_raised_in_who_is_linked(self):
        spawnLink(self.fails)
        with self.assertRaises(Exceptions.Mine) as caught:
            get()
        self.assertEqual((caught.exception.a, str(caught.exception)), (1, "1 and 2"))

    def test_each_has_its_own(self):
        errors = []  # kept: an address is used again

        def linked(to, proc):
            link(proc)
            to | "linked"
            try:
                get()
            except ValueError as error:
                errors.append(error)
                to | ("got", str(error))

        def fails():
            get("now")
            raise ValueError("no good")

        proc = spawn(fails)
        for _ in range(2):
            spawn(linked, self_(), proc)
            self.assertEqual(get(), "linked")
        proc | "now"
        self.assertEqual([get(("got", str))[1] for _ in range(2)], ["no good", "no good"])
        self.assertIsNot(errors[0], errors[1])

    def test_as_a_reason(self):
        reason = self.end_of(self.fails)
        self.assertEqual(str(reason), "<exception: 1 and 2>")
        self.assertIs(reason.excInfo[0], Exceptions.Mine)

    def test_through_a_chain(self):
        def middle():
            spawnLink(self.fails)
            waits()

        reason = self.end_of(middle)
        self.assertIs(reason.excInfo[0], Exceptions.Mine)


class Better(Case):
    """Deviations of Candygram from Erlang that are none here, by their numbers in docs/from-candygram.md."""

    def test_2_messages_are_copied(self):
        inner = [1]
        self_() | ("list", inner)
        inner.append(2)
        self.assertEqual(get(), ("list", [1]))

    def test_2_objects_too(self):
        class Thing:
            def __init__(self, x):
                self.x = x

        thing, lock = Thing([1]), threading.Lock()
        self_() | {"thing": thing, "lock": lock, "f": waits, "class": Thing}
        thing.x.append(2)
        got = get()
        self.assertEqual((got["thing"].x, got["lock"], got["f"], got["class"]), ([1], lock, waits, Thing))
        self.assertIs(type(got["thing"]), Thing)

    def test_2_arguments_too(self):
        to, r, x = self_(), Receiver(), [1]
        r["hello"] = lambda: to | ("handled", x)
        proc = spawn(lambda r, x: (x.append(2), r()), r, x)
        proc | "hello"
        self.assertEqual(get(), ("handled", [1]))

    def test_3_a_signal_comes_before_what_follows_it(self):
        def works(to):
            to | "ready"
            get("never", timeout=PATIENCE)

        proc = spawn(works, self_())
        get("ready")
        exit(proc, "why")
        gone(proc)

    def test_4_kill_is_certain(self):
        def stubborn(to):
            to | "ready"
            while True:
                try:
                    waits()
                except Exception:
                    pass

        processFlag("trap_exit", True)
        proc = spawnLink(stubborn, self_())
        get("ready")
        exit(proc, "kill")
        self.assertEqual(get(), ("EXIT", proc, "killed"))

    def test_5_no_signal_is_lost(self):
        def counts(to):
            got = []
            to | "ready"
            time.sleep(0.05)
            while len(got) < 3:
                try:
                    get("never", timeout=1000)
                except ExitError as error:
                    got.append(error.reason)
            to | got

        proc = spawn(counts, self_())
        get("ready")
        for reason in (1, 2, 3):
            exit(proc, reason)
        self.assertEqual(get(), [1, 2, 3])

    def test_6_exit_to_oneself(self):
        for reason in ("why", "normal", "kill"):
            self.assertEqual(self.end_of(lambda reason: exit(self_(), reason), reason), "killed" if reason == "kill" else reason)

        def traps():
            processFlag("trap_exit", True)
            return exit(self_(), "why") and get() == ("EXIT", self_(), "why")

        self.assertTrue(self.in_process(traps))

    def test_7_who_ends_a_linked_child_is_told(self):
        processFlag("trap_exit", True)
        proc = spawnLink(waits)
        exit(proc, "why")
        self.assertEqual(get(), ("EXIT", proc, "why"))
        self.assertNotIn(proc, processes())

    def test_8_from_is_the_linked_process(self):
        def b(to):
            to | ("a is", spawnLink(exit, "why"))
            waits()

        processFlag("trap_exit", True)
        proc = spawnLink(b, self_())
        self.assertEqual(get(("EXIT", Any, Any)), ("EXIT", proc, "why"))

    def test_8_an_error_knows_where_it_began(self):
        def b(to):
            to | ("a is", spawnLink(lambda: get("go") and exit("why")))
            waits()

        spawnLink(b, self_())
        a = get(("a is", Any))[1]
        a | "go"
        self.assertEqual(self.assertExit("why", get).proc, a)

    def test_9_kill_as_ones_own_reason(self):
        self.assertEqual(self.end_of(exit, "kill"), "kill")

    def test_13_each_receive_looks_at_all(self):
        wanted, r = [], Receiver()
        r[lambda m: m in wanted] = lambda m: m, Message
        self_() | 1
        self_() | 2
        self.assertEqual(r.receive(0, lambda: NOTHING), NOTHING)
        wanted.append(2)
        self.assertEqual(r.receive(0), 2)
        wanted.append(1)
        self.assertEqual(r.receive(0), 1)

    def test_14_a_dict_matches_only_dicts(self):
        for message in (1, "a", None, ["a"], ("a",), {"a"}):
            self.assertFalse(matches({"a": Any}, message))
            self.assertFalse(matches({}, message))
        self.assertTrue(matches({}, {}))

    def test_15_one_receiver_for_several(self):
        r = Receiver()
        r["go", Process] = lambda m: m[1] | "went", Message
        procs = [spawn(r) for _ in range(10)]
        for proc in procs:
            proc | ("go", self_())
        self.assertEqual([get() for _ in procs], ["went"] * 10)

    def test_19_any_thread_may_call(self):
        def thread(to):
            to | self_()
            to | get()

        t = threading.Thread(target=thread, args=(self_(),))
        t.start()
        get(Process) | "hello"
        self.assertEqual(get(), "hello")
        t.join()

    def test_processes_of_mote(self):
        to = self_().pid
        pid = mote.spawn(lambda: mote.send(to, mote.receive((mote.ANY, mote.ANY))))
        proc = self.in_process(lambda: [p for p in processes() if p.pid == pid])
        self.assertEqual(proc, [])
        mote.send(pid, ("x", self_()))
        self.assertEqual(get(), ("x", self_()))

        def wrong():
            return 1 / 0

        processFlag("trap_exit", True)
        self_()
        pid = mote.spawn_link(wrong)
        got = get(("EXIT", Any, Any))
        self.assertEqual((got[1].pid, got[2][0]), (pid, "error"))


class Patterns(Case):
    def test_values(self):
        for value in (1, "a", b"a", None, True, 2.5, frozenset({1}), (), [], {}):
            self.assertTrue(matches(value, value))
            self.assertFalse(matches(value, "other"))
        self.assertTrue(matches(1, 1.0))
        self.assertTrue(matches(1, True))

    def test_any(self):
        for message in (None, 0, (), object):
            self.assertTrue(matches(Any, message))

    def test_classes(self):
        self.assertTrue(matches(int, 1))
        self.assertTrue(matches(int, True))
        self.assertTrue(matches(object, None))
        self.assertTrue(matches(Process, self_()))
        self.assertTrue(matches(str, "a"))
        self.assertFalse(matches(str, b"a"))

    def test_callables(self):
        self.assertTrue(matches(lambda m: m > 2, 3))
        self.assertFalse(matches(lambda m: m > 2, 1))
        self.assertTrue(matches(len, "truthy"))
        self.assertFalse(matches(len, ""))

    def test_tuples(self):
        self.assertTrue(matches(("a", int, (Any,)), ("a", 1, (2,))))
        for message in (("a", 1), ("a", 1, ()), ("a", "1", (2,)), ["a", 1, (2,)], ("a", 1, (2,), 3), "a"):
            self.assertFalse(matches(("a", int, (Any,)), message))
        self.assertTrue(matches((), ()))
        self.assertFalse(matches((), (1,)))

    def test_lists(self):
        for message in (["x"], ["x", 1], ["x", 1, 2, 3]):
            self.assertTrue(matches([str, int], message))
        for message in ([], [1], ["x", "y"], ["x", 1, "y"], ("x", 1), "x"):
            self.assertFalse(matches([str, int], message))
        self.assertTrue(matches([int], []))
        self.assertTrue(matches([int], [1, 2, 3]))
        self.assertFalse(matches([int], [1, "2"]))
        self.assertTrue(matches([], []))
        self.assertFalse(matches([], [1]))
        self.assertTrue(matches([[str], (int, Any)], [["a", "b"], (1, 2), (3, 4)]))

    def test_dicts(self):
        self.assertTrue(matches({"a": int}, {"a": 1, "more": 2}))
        self.assertFalse(matches({"a": int}, {"a": "1"}))
        self.assertFalse(matches({"a": int}, {"b": 1}))
        self.assertTrue(matches({"a": {"b": [Any]}}, {"a": {"b": [1]}}))
        self.assertTrue(matches({}, {"anything": 1}))

    def test_a_pattern_may_send(self):
        r = Receiver()
        r[lambda m: m == "a" and self_() | "b" and False] = lambda: "never"
        r["b"] = lambda: "b"
        self_() | "a"
        self.assertEqual(r.receive(PATIENCE), "b")

    def test_nothing_within_is_taken_twice(self):
        def pattern(_):
            with self.assertRaises(AssertionError):
                Receiver().receive(0)
            return True

        self.assertTrue(matches(pattern, 1))

    def test_a_pattern_that_fails_takes_nothing(self):
        r = Receiver()
        r[lambda m: m > 1] = lambda: None
        self_() | "a"
        with self.assertRaises(TypeError):
            r()
        self.assertEqual(get(), "a")


class Receivers(Case):
    def test_order(self):
        r = Receiver()
        r["a"] = lambda: "first"
        r[str] = lambda: "second"
        for message in ("b", "a"):
            self_() | message
        self.assertEqual([r(), r()], ["second", "first"])

    def test_arguments(self):
        r = Receiver()
        r.addHandler(1, lambda *args, **kwargs: (args, kwargs), "x", Message, [Message], k=Message, j=2)
        self_() | 1
        args, kwargs = r()
        self.assertEqual((args, kwargs), (("x", 1, [Message]), {"k": 1, "j": 2}))
        self.assertIs(args[2][0], Message)

    def test_items(self):
        r = Receiver()
        r["a", "b"] = lambda *args: args, 1, Message
        r["c"] = lambda: "c"
        r["d"]
        for message in (("a", "b"), "c", "d"):
            self_() | message
        self.assertEqual([r(), r(), r()], [(1, ("a", "b")), "c", None])

    def test_without_function(self):
        r = Receiver()
        self.assertIsInstance(r.addHandler("a"), int)
        self_() | "a"
        self.assertIsNone(r.receive(1000, lambda: NOTHING))
        self.assertExit("badarg", r.addHandler, "a", 42)

    def test_add_handlers(self):
        a, b = Receiver(), Receiver()
        a[1] = lambda: "one"
        a[int] = lambda: "int"
        a.after(0, lambda: "a's")
        references = b.addHandlers(a)
        self.assertEqual(len(references), 2)
        self_() | 1
        self.assertEqual(b(), "one")
        b.removeHandler(references[0])
        self_() | 1
        self.assertEqual(b(), "int")
        self.assertEqual(b.receive(0, lambda: "b's"), "b's")
        self.assertExit("badarg", b.addHandlers, "no receiver")
        self.assertEqual(len(b.addHandlers(b)), 1)

    def test_remove_handler(self):
        r = Receiver()
        reference = r.addHandler("a")
        r.removeHandler(reference)
        self_() | "a"
        self.assertEqual(r.receive(0, lambda: NOTHING), NOTHING)
        self.assertExit("badarg", r.removeHandler, reference)
        self.assertExit("badarg", r.removeHandler, "unknown")

    def test_after(self):
        r = Receiver()
        r.after(1, lambda *args: args, 1, 2)
        self.assertEqual([r(), r()], [(1, 2), (1, 2)])
        with self.assertRaises(AssertionError):
            r.after(1)
        with self.assertRaises(AssertionError):
            r.receive(1)
        s = Receiver()
        s.after(True)
        self.assertIsNone(s())

    def test_timeouts(self):
        r = Receiver()
        for wrong in (1.5, "1", -1, []):
            self.assertExit("badarg", r.receive, wrong)
            self.assertExit("badarg", r.after, wrong)
        self.assertExit("badarg", r.receive, 1, 42)
        self.assertExit("badarg", r.after, 1, 42)
        self.assertIsNone(r.receive(0))
        self.assertEqual(r.receive(0, lambda a, b: a + b, 1, b=2), 3)
        before = time.monotonic()
        self.assertIsNone(r.receive(50))
        self.assertTrue(0.05 <= time.monotonic() - before < 5)

    def test_what_does_not_match_does_not_prolong(self):
        def sends(to):
            for _ in range(100):
                to | "other"
                get("never", timeout=2)

        spawn(sends, self_())
        before = time.monotonic()
        self.assertEqual(get("wanted", timeout=40), NOTHING)
        self.assertLess(time.monotonic() - before, 5)

    def test_iteration(self):
        r = Receiver()
        r[int] = lambda m: m * 2, Message
        for i in range(3):
            self_() | i
        self.assertIs(iter(r), r)
        self.assertEqual([m for _, m in zip(range(3), r)], [0, 2, 4])
        self_() | 5
        self_() | 6
        self.assertEqual((r.next(), next(r)), (10, 12))

    def test_handlers_receive(self):
        r = Receiver()
        r["outer"] = lambda: ("outer", get("inner"))
        self_() | "outer"
        self_() | "inner"
        self.assertEqual(r(), ("outer", "inner"))

    def test_handlers_fail(self):
        r = Receiver()
        r["a"] = lambda: 1 / 0
        self_() | "a"
        with self.assertRaises(ZeroDivisionError):
            r()
        self.assertEqual(get(timeout=0), NOTHING)

    def test_polls_let_others_run(self):
        def polls(to):
            n = 0
            while get("go", timeout=0) is NOTHING:
                n += 1
            to | ("polled", n)

        def says(proc):
            proc | "go"

        spawn(says, spawn(polls, self_()))
        self.assertEqual(get(("polled", int))[0], "polled")


class Classes(Case):
    class Woken(Process):
        """A loop of its own owns the mailbox: it is told to look, and polls."""

        def __init__(self):
            Process.__init__(self)
            self.wake = threading.Event()

        def send(self, message):
            result = super().send(message)
            self.wake.set()
            return result

    def test_a_process_class(self):
        to = self_()

        def loop():
            me = self_()
            to | me
            while get("stop", timeout=0) is NOTHING:
                get("never", timeout=1)
            to | ("woken", type(me).__name__, me.wake.is_set())

        proc = spawn(loop, _processClass=Classes.Woken)
        self.assertIs(type(proc), Classes.Woken)
        got = get(Process)
        self.assertEqual(got, proc)
        self.assertIs(type(got), Classes.Woken)
        self.assertIs(got.wake, proc.wake)
        got | "stop"
        self.assertEqual(get(("woken", Any, Any)), ("woken", "Woken", True))
        with self.assertRaises(AttributeError):
            proc.other

    def test_it_is_the_one_in_exit_messages(self):
        processFlag("trap_exit", True)
        proc = spawnLink(exit, "why", _processClass=Classes.Woken)
        self.assertIs(get()[1], proc)

    def test_spawn_link_class(self):
        class Local(Process):
            pass

        self.assertIs(type(self.in_process(lambda: spawnLink(waits, _processClass=Local))), Local)


class Many(Case):
    def test_a_thousand(self):
        def member(to):
            r = Receiver()
            r["add", int] = lambda m: to | ("sum", m[1] + 1), Message
            r["stop"] = exit, "normal"
            for _ in r:
                pass

        procs = [spawn(member, self_()) for _ in range(1000)]
        for i, proc in enumerate(procs):
            proc | ("add", i)
        self.assertEqual(sum(get(("sum", int))[1] for _ in procs), sum(range(1, 1001)))
        self.assertTrue(set(procs) <= set(processes()))
        for proc in procs:
            proc | "stop"
        for proc in procs:
            gone(proc)
        self.assertFalse(set(procs) & set(processes()))

    def test_a_ring(self):
        def node(to):
            while True:
                m = get()
                to | m
                if m == 0:
                    return

        first = self_()
        for _ in range(1000):
            first = spawn(node, first)
        for m in (1, 2, 0):
            first | m
        self.assertEqual([get(), get(), get()], [1, 2, 0])

    def test_a_chain_of_links(self):
        def element(n, to):
            if n:
                spawnLink(element, n - 1, to)
            else:
                to | ("last", self_())
            waits()

        processFlag("trap_exit", True)
        first = spawnLink(element, 1000, self_())
        exit(get(("last", Process))[1], "why")
        self.assertEqual(get(("EXIT", Any, Any)), ("EXIT", first, "why"))

    def test_nothing_is_kept(self):
        processFlag("trap_exit", True)
        for _ in range(200):
            spawnLink(lambda: exit({"a", "set"}))
            get(("EXIT", Any, Any))
        self.assertLess(len(candygram._states), 50)

    def test_a_deep_mailbox(self):
        for i in range(5000):
            self_() | i
        self_() | "last"
        self.assertEqual(get("last"), "last")
        self.assertEqual([get() for _ in range(5000)], list(range(5000)))

    def test_a_sleeping_main_stops_nobody(self):
        def ticks(to):
            for i in range(5):
                get("never", timeout=2)
                to | i
            done.set()

        done = threading.Event()
        spawn(ticks, self_())
        self.assertTrue(done.wait(60))
        self.assertEqual([get(timeout=0) for _ in range(5)], list(range(5)))


# The programs of chapters 5 and 7 of "Concurrent Programming in Erlang", each as a loop that says what it waits for, and as a class whose
# methods are the handlers of one Receiver.


def counter_loop(value=0):
    while True:
        m = get(lambda m: m == "increment" or m == "stop" or m[0] == "value")
        if m == "increment":
            value += 1
        elif m == "stop":
            return
        else:
            m[1] | (self_(), value)


class Counter:
    def __init__(self):
        self.value = 0
        self.receiver = Receiver()
        self.receiver["increment"] = self.increment
        self.receiver["value", Process] = lambda m: m[1] | (self_(), self.value), Message
        self.receiver["stop"] = exit, "normal"

    def increment(self):
        self.value += 1

    def run(self):
        for _ in self.receiver:
            pass


def counter_class():
    Counter().run()


def value_of(counter):
    counter | ("value", self_())
    return get((counter, Any))[1]


def alarm_first_loop(to):
    """5.4: what matters most is received first, though it came last."""
    get("start")
    while (m := get("alarm", timeout=0)) != NOTHING or (m := get(str)) != "end":
        to | m
    to | "end"


def alarm_first_class(to):
    urgent, other = Receiver(), Receiver()
    urgent["alarm"] = lambda m: to | m, Message
    other["end"] = lambda: (to | "end", exit("normal"))
    other[str] = lambda m: to | m, Message
    get("start")
    urgent.after(0, other)
    for _ in urgent:
        pass


def timer_loop(ms, to, what):
    if get("cancel", timeout=ms) is NOTHING:
        to | what


def timer_class(ms, to, what):
    r = Receiver()
    r["cancel"]
    r.after(ms, to.send, what)
    r()


def analyser_loop(table):
    while True:
        _, client, key, *value = get(lambda m: m[0] in ("add", "look"))
        if value:
            table[key] = value[0]
        client | ("answer", table.get(key, "unknown"))


def analyser_class(table):
    def add(m):
        table[m[2]] = m[3]
        m[1] | ("answer", m[3])

    r = Receiver()
    r["add", Process, str, Any] = add, Message
    r["look", Process, str] = lambda m: m[1] | ("answer", table.get(m[2], "unknown")), Message
    while True:
        r()


def ask(server, *request):
    server | (request[0], self_(), *request[1:])
    return get(("answer", Any))[1]


def allocator_loop(free, used):
    """5.6, and 7.3: what a client has that ends comes back."""
    processFlag("trap_exit", True)
    while True:
        tag, client, what = get((str, Process, Any))
        if tag == "alloc" and free:
            used[free[0]] = client
            link(client)
            client | ("answer", free.pop(0))
        elif tag == "alloc":
            client | ("answer", "none")
        elif tag == "free" and used.get(what) == client:
            del used[what]
            unlink(client)
            free.append(what)
            client | ("answer", "ok")
        elif tag == "free":
            client | ("answer", "error")
        elif tag == "EXIT":
            free += [k for k, v in used.items() if v == client]
            used = {k: v for k, v in used.items() if v != client}


class Allocator:
    def __init__(self, free):
        self.free, self.used = free, {}
        self.receiver = Receiver()
        self.receiver["alloc", Process, Any] = self.alloc, Message
        self.receiver["free", Process, Any] = self.release, Message
        self.receiver["EXIT", Process, Any] = self.lost, Message

    def alloc(self, message):
        _, client, _ = message
        if not self.free:
            return client | ("answer", "none")
        self.used[self.free[0]] = client
        link(client)
        return client | ("answer", self.free.pop(0))

    def release(self, message):
        _, client, what = message
        if self.used.get(what) != client:
            return client | ("answer", "error")
        del self.used[what]
        unlink(client)
        self.free.append(what)
        return client | ("answer", "ok")

    def lost(self, message):
        _, client, _ = message
        self.free += [k for k, v in self.used.items() if v == client]
        self.used = {k: v for k, v in self.used.items() if v != client}


def allocator_class(free, _):
    processFlag("trap_exit", True)
    for _ in Allocator(free).receiver:
        pass


def echo_loop():
    """7.1: it ends as it is told, and whoever is linked with it hears of it."""
    while True:
        _, client, what = get(("echo", Process, Any))
        if what == "fail":
            exit("failed")
        client | ("answer", what)


def echo_class():
    def answer(m):
        if m[2] == "fail":
            exit("failed")
        m[1] | ("answer", m[2])

    r = Receiver()
    r["echo", Process, Any] = answer, Message
    for _ in r:
        pass


def keeper_loop(start, to):
    """7.2: starts what has failed anew."""
    processFlag("trap_exit", True)
    proc = spawnLink(start)
    while True:
        to | ("started", proc)
        get(("EXIT", proc, "failed"))
        proc = spawnLink(start)


def keeper_class(start, to):
    def restart():
        proc = spawnLink(start)
        to | ("started", proc)

    processFlag("trap_exit", True)
    r = Receiver()
    r["EXIT", Process, "failed"] = restart
    restart()
    for _ in r:
        pass


class Book(Case):
    def both(self, name):
        return [globals()[f"{name}_{style}"] for style in ("loop", "class")]

    def test_5_1_and_5_2_counter(self):
        for body in self.both("counter"):
            a, b = spawn(body), spawn(body)
            for _ in range(3):
                a | "increment"
            b | "increment"
            self.assertEqual((value_of(a), value_of(b)), (3, 1))
            a | "stop"
            gone(a)
            self.assertEqual(value_of(b), 1)

    def test_5_3_timer(self):
        for body in self.both("timer"):
            spawn(body, 5, self_(), "it is time")
            self.assertEqual(get(), "it is time")
            proc = spawn(body, PATIENCE, self_(), "too late")
            proc | "cancel"
            gone(proc)
            self.assertEqual(get(timeout=0), NOTHING)

    def test_5_4_priority(self):
        for body in self.both("alarm_first"):
            proc = spawn(body, self_())
            for what in ("a", "b", "alarm", "c", "end", "start"):
                proc | what
            self.assertEqual([get() for _ in range(5)], ["alarm", "a", "b", "c", "end"])

    def test_5_5_client_and_server(self):
        for body in self.both("analyser"):
            server = spawn(body, {"12": "fire"})
            self.assertEqual(ask(server, "look", "12"), "fire")
            self.assertEqual(ask(server, "look", "34"), "unknown")
            self.assertEqual(ask(server, "add", "34", "home"), "home")
            self.assertEqual(ask(server, "look", "34"), "home")

    def test_5_6_allocator(self):
        for body in self.both("allocator"):
            server = spawn(body, [1, 2], {})
            self.assertEqual([ask(server, "alloc", None) for _ in range(3)], [1, 2, "none"])
            self.assertEqual(ask(server, "free", 2), "ok")
            self.assertEqual(ask(server, "free", 7), "error")
            self.assertEqual(ask(server, "alloc", None), 2)

    def test_7_1_echo_and_links(self):
        for body in self.both("echo"):
            server = spawnLink(body)
            self.assertEqual(ask(server, "echo", [1]), [1])
            server | ("echo", self_(), "fail")
            self.assertEqual(self.assertExit("failed", get).proc, server)

    def test_7_2_keep_alive(self):
        for keeper, body in zip(self.both("keeper"), self.both("echo")):
            proc = spawn(keeper, body, self_())
            for _ in range(3):
                server = get(("started", Process))[1]
                self.assertEqual(ask(server, "echo", 1), 1)
                server | ("echo", self_(), "fail")
            get(("started", Process))
            exit(proc, "kill")
            gone(proc)

    def test_7_3_allocator_survives_its_clients(self):
        def client(server, to):
            to | ("got", ask(server, "alloc", None))
            exit("without giving it back")

        for body in self.both("allocator"):
            server = spawn(body, ["one"], {})
            for _ in range(5):
                proc = spawn(client, server, self_())
                self.assertEqual(get(("got", Any)), ("got", "one"))
                gone(proc)
                while (got := ask(server, "alloc", None)) == "none":
                    pass
                self.assertEqual((got, ask(server, "free", "one")), ("one", "ok"))

    def test_priority_receiver(self):
        urgent, other = Receiver(), Receiver()
        urgent["alarm"] = lambda: "alarm"
        other.addHandlers(urgent)
        other[Any] = lambda m: m, Message
        for m in (1, 2, "alarm", 3):
            self_() | m
        got = [urgent.receive(0, other) for _ in range(4)]
        self.assertEqual(got, ["alarm", 1, 2, 3])


class Programs(unittest.TestCase):
    def run_program(self, program, code=0):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def test_the_main_program_ends(self):
        out = self.run_program(
            "from mote.candygram import *\n"
            "def loop():\n"
            "    for _ in Receiver(): pass\n"
            "for i in range(100): spawn(loop)\n"
            "print(len(processes()))\n"
        )
        self.assertEqual(out, "101\n")

    def test_the_main_program_fails_with_its_link(self):
        self.run_program("from mote.candygram import *\nspawnLink(exit, 'why')\nReceiver()()\n", 1)

    def test_the_page(self):
        page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "from-candygram.md"
        programs = re.findall(r"```python\n(.*?)```\n+(?:```text\n(.*?)```)?", page.read_text(encoding="utf-8"), re.S)
        self.assertTrue(programs)
        for program, output in programs:
            self.assertEqual(self.run_program(program), output)


if __name__ == "__main__":
    unittest.main()
