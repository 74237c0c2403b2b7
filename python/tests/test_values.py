# SPDX-License-Identifier: Apache-2.0
"""Values: Atom, Pid, Ref, Term; what may be sent and how it arrives; values as terms of Erlang and back."""
import array
import collections
import copy
import dataclasses
import enum
import functools
import gc
import math
import pickle
import socket
import sys
import threading
import typing
import unittest

import mote
from mote import Atom, NotSendable
from mote._mote import _testing, term_parse as parse, term_text

share, through_term, boxed = _testing.share, _testing.through_term, _testing.boxed
PID, REF = parse("<0.12.1>"), parse("#Ref<0.1.2.3>")
FAR_PID, FAR_REF = parse("<a@b.1.2.3>"), parse("#Ref<a@b.1.2.3.4>")
SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}


def slotted(cls):
    """A frozen dataclass without __dict__, on 3.9 too."""
    return dataclasses.dataclass(frozen=True, **SLOTS)(cls)


@mote.message
class Point(typing.NamedTuple):
    x: object
    y: object


@mote.message(tag="moved")
@slotted
class Moved:
    if not SLOTS:
        __slots__ = ("who", "to")
    who: object
    to: object


@mote.message
@dataclasses.dataclass(frozen=True)
class HTTPRequestDone:
    status: object
    body: object = b""

    def __post_init__(self):
        calls.append("post_init")

    @functools.cached_property
    def cache(self):
        return [self.status]


calls = []


def nested(levels, value=0, wrap=lambda v: (v,)):
    for _ in range(levels):
        value = wrap(value)
    return value


class Atoms(unittest.TestCase):
    def test_one_object_for_a_name(self):
        self.assertIs(Atom("ok"), Atom("o" + "k"))
        self.assertIs(Atom(Atom("ok")), Atom("ok"))
        self.assertIs(parse("ok"), Atom("ok"))

    def test_equal_to_its_letters(self):
        self.assertEqual(Atom("ok"), "ok")
        self.assertEqual(hash(Atom("größe")), hash("größe"))
        self.assertEqual({Atom("a"): 1}["a"], 1)
        self.assertEqual((repr(Atom("ok")), str(Atom("ok"))), ("Atom('ok')", "ok"))
        self.assertIs(type(Atom("ok").name), str)
        self.assertIs(type(str(Atom("ok"))), str)

    def test_copies_and_pickles_are_itself(self):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.assertIs(pickle.loads(pickle.dumps(Atom("ok"), protocol)), Atom("ok"))
        self.assertIs(copy.deepcopy([Atom("ok")])[0], Atom("ok"))

    def test_limits(self):
        self.assertEqual(len(Atom("ä" * 255)), 255)
        with self.assertRaisesRegex(ValueError, "255 characters"):
            Atom("a" * 256)
        with self.assertRaises(ValueError):
            Atom("\ud800")
        for wrong in (1, b"ok", None):
            self.assertRaises(TypeError, Atom, wrong)
        self.assertRaises(TypeError, Atom)
        self.assertRaises(TypeError, Atom, name="ok")
        with self.assertRaises(TypeError):
            type("Mine", (Atom,), {})
        with self.assertRaises((TypeError, AttributeError)):
            Atom("ok").x = 1

    def test_forgotten_when_nobody_holds_it(self):
        for i in range(1000):
            Atom(f"atom {i}")
        again = Atom("atom 5")
        self.assertIs(Atom("atom 5"), again)

    @unittest.skipIf(sys.version_info < (3, 10), "no match statement")
    def test_match_statement(self):
        space = {"Atom": Atom}
        exec("def f(v):\n match v:\n  case (Atom('ok'), n): return n\n  case Atom(name): return name\n  case _: return None\n", space)
        self.assertEqual(space["f"]((Atom("ok"), 3)), 3)
        self.assertEqual(space["f"](Atom("other")), "other")
        self.assertIsNone(space["f"](("ok", 3)))


class Identities(unittest.TestCase):
    def test_by_value(self):
        for text, other in (("<0.12.1>", "<0.13.1>"), ("#Ref<0.1.2.3>", "#Ref<0.1.2.4>"), ("<a@b.1.2.3>", "<a@b.2.2.3>"), ("<a@b.1.2.3>", "<a@c.1.2.3>"),
                            ("#Ref<a@b.1.2.3.4>", "#Ref<a@b.1.2.3.5>"), ("<0.12.1>", "<a@b.12.1.1>")):
            one, same, next_one = parse(text), parse(text), parse(other)
            self.assertEqual(repr(one), text)
            self.assertIsNot(one, same)
            self.assertEqual(one, same)
            self.assertEqual(hash(one), hash(same))
            self.assertNotEqual(one, next_one)
            self.assertLess(one, next_one)
            self.assertEqual(sorted([next_one, one]), [one, next_one])
            self.assertNotEqual(one, text)
            self.assertEqual(len({one, same, next_one}), 2)
            with self.assertRaises(TypeError):
                one < 1

    def test_only_the_runtime_makes_them(self):
        for one in (PID, REF, FAR_PID, FAR_REF, parse("[a|b]")):
            kind = type(one)
            self.assertRaisesRegex(TypeError, "runtime gives it out", kind)
            self.assertRaises(TypeError, object.__new__, kind)
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                self.assertRaisesRegex(TypeError, "cannot pickle", pickle.dumps, one, protocol)
            self.assertIs(copy.deepcopy(one), one)
            self.assertIs(copy.copy(one), one)
            with self.assertRaises(TypeError):
                type("Mine", (kind,), {})
            with self.assertRaises(AttributeError):
                one.x = 1

    def test_node(self):
        self.assertEqual([one.node for one in (PID, REF, FAR_PID, FAR_REF)], ["nonode@nohost", "nonode@nohost", "a@b", "a@b"])
        self.assertIs(type(FAR_PID.node), Atom)
        self.assertEqual(mote.node(), "nonode@nohost")
        with self.assertRaises(AttributeError):
            FAR_PID.node = Atom("c@d")
        self.assertGreater(sys.getsizeof(FAR_PID), sys.getsizeof(PID))

    def test_of_other_nodes_outlive_what_they_came_in(self):
        """Each holds its node's atom, which ends with the last of them."""
        many = [parse("[<'n%d@away'.1.2.3>, #Ref<'n%d@away'.1.2.3>]" % (i, i)) for i in range(100)]
        gc.collect()
        self.assertEqual([repr(pid) for pid, _ in many], ["<n%d@away.1.2.3>" % i for i in range(100)])
        self.assertEqual([ref.node for _, ref in many], ["n%d@away" % i for i in range(100)])
        atoms = _testing.atom_count()
        del many
        self.assertEqual(atoms - _testing.atom_count(), 100)

    def test_generic(self):
        self.assertIs(typing.get_origin(mote.Pid[int]), mote.Pid)


class Sharing(unittest.TestCase):
    def test_immutable_is_the_same_object(self):
        big = ("a" * 100, 2**100, 1.5, 1j, b"x" * 100, True, None, Atom("ok"), PID, REF, FAR_PID, FAR_REF, (1, ("x", ())), frozenset([1, (2, 3)]))
        for value in (*big, big):
            self.assertIs(share(value), value)
        opaque = parse("[a|b]")
        self.assertIs(share(opaque), opaque)

    def test_mutable_is_copied(self):
        for value in ([1, [2]], {"a": [1], "b": {}}, {1, 2}, bytearray(b"ab"), [], {}, set()):
            got = share(value)
            self.assertEqual(got, value)
            self.assertIs(type(got), type(value))
            self.assertIsNot(got, value)
        value = (1, [2], {"k": [3, {4}]}, 5, (6, bytearray(b"7")))
        got = share(value)
        self.assertEqual(got, value)
        self.assertIsNot(got[1], value[1])
        self.assertIsNot(got[2]["k"], value[2]["k"])
        self.assertIsNot(got[2]["k"][1], value[2]["k"][1])
        self.assertIsNot(got[4][1], value[4][1])
        self.assertEqual(list(share({3: 0, 1: 0, 2: 0})), [3, 1, 2])

    def test_refused_with_path_and_advice(self):
        class Text(str):
            pass

        class Colour(enum.Enum):
            RED = 1

        class Pair(typing.NamedTuple):
            a: int

        @dataclasses.dataclass
        class Plain:
            a: int

        with socket.socket() as sock:
            with self.assertRaisesRegex(NotSendable, r"^message\[2\]\['x'\]\.to: cannot send <class 'socket.socket'>: .*own it"):
                share((1, 2, {"x": Moved(PID, sock)}))
            with self.assertRaisesRegex(NotSendable, r"^message\[0\]\.x\[1\]: "):
                share([Point([1, sock], 2)])
        for value, text in (
            (Text("a"), "subclass of a built-in"), (Colour.RED, r"\.value or \.name"), (Pair(1), "@mote.message"), (Plain(1), "@mote.message"),
            (len, "code is not sent"), (int, "class is not sent"), (ValueError(), "repr"), (object(), "own it"), (Ellipsis, "own it"),
            (collections.OrderedDict(), "built-in"), (True.__class__, "class"), (sys, "own it"), (range(3), "own it"),
        ):
            with self.assertRaisesRegex(NotSendable, text):
                share(value)
            with self.assertRaisesRegex(NotSendable, text):
                term_text([value])
        self.assertRaisesRegex(NotSendable, r"message\.keys\(\)\[1\]", share, {(1, len): 1})
        self.assertRaisesRegex(NotSendable, r"message\{\.\.\.\}", share, {len})
        self.assertRaisesRegex(NotSendable, r"message\[<tuple>\]: ", share, {(1,): len})
        self.assertTrue(issubclass(NotSendable, TypeError))

    def test_depth(self):
        for wrap in (lambda v: (v,), lambda v: [v], lambda v: {1: v}, lambda v: Point(1, v)):
            self.assertEqual(share(nested(200, 0, wrap)), nested(200, 0, wrap))
            for way in (share, term_text):
                with self.assertRaisesRegex(RecursionError, "200 levels"):
                    way(nested(201, 0, wrap))
        self.assertEqual(share(nested(200, 0, lambda v: frozenset([v]))), nested(200, 0, lambda v: frozenset([v])))
        cycle, loop = [], {}
        cycle.append((1, cycle))
        loop["me"] = [loop]
        for value in (cycle, loop):
            with self.assertRaisesRegex(RecursionError, "contains itself"):
                share(value)

    def test_shared_parts_are_walked_once(self):
        value = nested(190, (), lambda v: (v, v))
        self.assertIs(share(value), value)
        value = [nested(100, (1,), lambda v: (v, v))] * 3000 + [[1], (2, [3])]
        got = share(value)
        self.assertIs(got[0], value[0])
        self.assertIs(got[2999], value[0])
        self.assertIsNot(got[3001][1], value[3001][1])

    def test_message_classes(self):
        for value in (Point(1, (2, "x")), Moved(PID, 1)):
            self.assertIs(share(value), value)
        for value in (Point(1, [2]), Moved([1], 2)):
            got = share(value)
            self.assertEqual(got, value)
            self.assertIs(type(got), type(value))
            self.assertIsNot(got, value)
        done = HTTPRequestDone(200, "text")
        done.cache.append("private")
        calls.clear()
        got = share(done)
        self.assertEqual(calls, [])
        self.assertEqual(got, done)
        self.assertIsNot(got, done)
        self.assertEqual(vars(got), {"status": 200, "body": "text"})
        with self.assertRaises(dataclasses.FrozenInstanceError):
            got.status = 1
        self.assertEqual(share({done: 1, "a": [1]}), {done: 1, "a": [1]})
        self.assertIsNot(list(share({done: 1}))[0], done)
        self.assertEqual(share(frozenset([done])), {done})

    @unittest.skipUnless(hasattr(mote, "Down"), "values alone")
    def test_system_messages_may_be_passed_on(self):
        down = mote.Down(Atom("DOWN"), REF, Atom("process"), PID, (1, "x"))
        self.assertIs(share(down), down)
        changed = share(down._replace(reason=[1]))
        self.assertEqual((type(changed), changed.reason), (mote.Down, [1]))
        self.assertEqual(term_text(down), '{\'DOWN\',#Ref<0.1.2.3>,process,<0.12.1>,{1,<<"x">>}}')

    def test_message_classes_refused(self):
        class Mutable:
            pass

        class Other:
            pass

        loose = collections.namedtuple("loose", "a")
        for cls, text in (
            (Mutable, "neither a NamedTuple nor a dataclass"), (dataclasses.dataclass(Other), "frozen=True"),
            (type("Loose", (loose,), {}), "__slots__"), (5, "registers classes"),
            (dataclasses.dataclass(frozen=True)(type("L", (list,), {})), "built-in base"),
        ):
            with self.assertRaisesRegex(TypeError, text):
                mote.message(cls)
        with self.assertRaisesRegex(ValueError, "another tag="):
            mote.message(collections.namedtuple("other", "a b"), tag="point")
        self.assertRaises(TypeError, mote.message, loose, tag=5)
        again = type("Point", (Point,), {"__slots__": (), "__module__": Point.__module__, "__qualname__": "Point"})
        self.addCleanup(mote.message, Point)
        self.assertIs(mote.message(again), again)
        self.assertIs(type(parse("{point,1,2}")), again)

    def test_buffers(self):
        data = b"0123456789" * 20
        view = memoryview(data)[10:150]
        got = share(view)
        self.assertIs(got.obj, data)
        view.release()
        self.assertEqual(got, data[10:150])
        numbers = array.array("d", [1.0, 2.0, 3.0])
        got = share((numbers, memoryview(numbers)[::2], memoryview(bytearray(data)).toreadonly()))
        numbers[0] = 9.0
        self.assertEqual([one.readonly for one in got], [True] * 3)
        self.assertEqual(got[0].tolist(), [1.0, 2.0, 3.0])
        self.assertEqual((got[1].format, got[1].tolist()), ("d", [1.0, 3.0]))
        self.assertEqual(got[2], data)
        grid = memoryview(bytearray(range(6))).cast("B", (2, 3))
        self.assertEqual(share(grid).tolist(), [[0, 1, 2], [3, 4, 5]])
        self.assertEqual(share(array.array("i")).tolist(), [])
        for way in (share, term_text):
            self.assertRaisesRegex(NotSendable, r"message\[0\].*released", way, [view])
        import ctypes

        class Struct(ctypes.Structure):
            _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]

        self.assertRaisesRegex(NotSendable, "format", share, (Struct * 2)())
        self.assertRaisesRegex(NotSendable, "single number", share, ctypes.c_double(1))

    def test_boxed_object_is_the_object(self):
        value = object()
        self.assertIs(boxed(value), value)
        before = sys.getrefcount(value)
        for _ in range(100):
            boxed(value)
        self.assertEqual(sys.getrefcount(value), before)

    def test_held_and_dropped_by_any_thread(self):
        data = [b"a" * 100 + bytes([len(sys.argv)])]
        before = sys.getrefcount(data), sys.getrefcount(data[0])
        threads = [threading.Thread(target=lambda: [_testing.unlocked(data) for _ in range(300)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIs(_testing.unlocked(data), data)
        del threads, thread
        self.assertEqual((sys.getrefcount(data), sys.getrefcount(data[0])), before)


class Terms(unittest.TestCase):
    def test_there_and_back(self):
        for value in (
            0, 1, -1, 2**59, 2**60, -2**60, -2**60 - 1, 2**63 - 1, 2**63, -2**63, -2**63 - 1, 2**64, 10**1000, -(10**1000), 1.5, -0.0, True, False,
            None, Atom("ok"), Atom("hello world"), "", "text", "größe \U0001f600", b"", b"x", b"\0" * 64, b"y" * 65, b"z" * 10**6, (), (1,), (1, (2, ())),
            tuple(range(100)), [], [1, [2]], list(range(1000)), {}, {"a": 1, 2: "b", (3,): [4], None: 1.5}, PID, REF, FAR_PID, FAR_REF, {FAR_PID: FAR_REF}, Point(1, "a"), Moved(PID, [1]),
            HTTPRequestDone(1, b"2"), parse("[a|b]"), {i: str(i) for i in range(500)},
        ):
            got = through_term(value)
            self.assertEqual(got, value)
            self.assertIs(type(got), type(value))
            self.assertEqual(through_term([value, (value,)]), [value, (value,)])

    def test_what_erlang_sees(self):
        for value, text in (
            (True, "true"), (None, "nil"), ("a", '<<"a">>'), (b"a", '<<"a">>'), (Atom("a b"), "'a b'"), ((1, [2.5]), "{1,[2.5]}"),
            ({"k": PID}, '#{<<"k">> => <0.12.1>}'), (Point(1, 2), "{point,1,2}"), (Moved(PID, None), "{moved,<0.12.1>,nil}"),
            (HTTPRequestDone(1, 2), "{http_request_done,1,2}"), (bytearray(b"ab"), '<<"ab">>'), (memoryview(b"abcd")[::2], '<<"ac">>'),
            (memoryview(b"abcdef")[2:4], '<<"cd">>'), (array.array("B", b"ab"), '<<"ab">>'), (2**64, "18446744073709551616"), ([], "[]"),
        ):
            self.assertEqual(term_text(value), text)

    def test_what_erlang_sends(self):
        self.assertEqual(parse('{point,1,<<"a">>}'), Point(1, b"a"))
        self.assertIs(type(parse("{point,1,2}")), Point)
        self.assertIs(type(parse("{point,1}")), tuple)
        calls.clear()
        self.assertEqual(parse("{http_request_done,200,nil}").status, 200)
        self.assertEqual(calls, [])
        self.assertIs(parse("undefined"), Atom("undefined"))
        for text in ("[1|2]", "<<1:3>>", "#{1 => a,1.0 => b}", "#{1 => a,true => b}", "#{[1] => a}", "#{#{} => a}", "fun lists:map/2"):
            got = parse("{x," + text + "}")[1]
            self.assertIs(type(got), mote.Term)
            self.assertEqual((str(got), repr(got)), (text, "Term(" + text + ")"))
            self.assertEqual(got, parse(text))
            self.assertEqual(hash(got), hash(parse(text)))
            self.assertNotEqual(got, parse("[a|b]"))
            self.assertEqual(through_term((got, [got])), (got, [got]))
        deep = "[" * 300 + "]" * 300
        value = parse(deep)
        for _ in range(200):
            self.assertIs(type(value), list)
            value = value[0]
        self.assertIs(type(value), mote.Term)
        self.assertLess(parse("[1|2]"), parse("[1|3]"))

    def test_what_has_no_term(self):
        for value, text in (
            (math.nan, "no NaN"), (math.inf, "no NaN"), (1j, "complex"), ({1}, "sorted"), (frozenset(), "sorted"), ("\ud800", "surrogates"),
            (1 << (512 * 1024 * 8), "512 KiB"), (len, "code is not sent"),
        ):
            with self.assertRaisesRegex(NotSendable, r"^message\[0\]\['k'\]: cannot send .*" + text):
                term_text(({"k": value},))
        self.assertRaisesRegex(NotSendable, r"^message\.x: ", term_text, Point(1j, 2))
        self.assertRaisesRegex(NotSendable, r"^message\.keys\(\): ", term_text, {1j: 2})

    def test_large_bytes_are_held_not_copied(self):
        data = b"a" * 100 + bytes([len(sys.argv)])
        for value in (data, [data, data], memoryview(data)[3:90], {"k": memoryview(data)}):
            before = sys.getrefcount(data)
            term_text(value)
            self.assertEqual(sys.getrefcount(data), before)


class Leaks(unittest.TestCase):
    def grown(self, function, rounds):
        function()
        gc.collect()
        before = len(gc.get_objects()), sys.getallocatedblocks()
        for _ in range(rounds):
            function()
        gc.collect()
        return len(gc.get_objects()) - before[0], sys.getallocatedblocks() - before[1]

    def check(self, function, rounds=2000):
        """A leak in each round would show as `rounds`; caches that fill up are fewer."""
        objects, blocks = self.grown(function, rounds)
        self.assertLess(objects, 50)
        self.assertLess(blocks, rounds / 2)

    def test_ways_that_succeed(self):
        value = (1, [2, {"a": {3}, (4, "x"): frozenset([5])}], Point([1], 2), HTTPRequestDone([1]), bytearray(b"x"), array.array("d", [1]), memoryview(b"x"))
        terms = [1, 2**100, {"a": b"x" * 100, (1,): Point(1, 2)}, HTTPRequestDone(1), PID, None, parse("[a|b]"), 1.5]
        self.check(lambda: share(value))
        self.check(lambda: through_term(terms))
        self.check(lambda: parse("#{[1] => foo, bar => [baz|1], <<1:1>> => -1000000000000000000000000}"))
        self.check(lambda: boxed([1]))

    def test_ways_that_fail(self):
        cycle = []
        cycle.append(cycle)
        bad = (1, [2, {"a": Point(1, [len])}])

        def fail():
            for way in (share, term_text):
                for value in (bad, cycle, {(1, len): 2}, {len}, (math.nan, 1j, {1}), HTTPRequestDone([len])):
                    try:
                        way(value)
                    except (NotSendable, RecursionError):
                        pass

        self.check(fail)

    def test_atoms_go(self):
        counter = iter(range(10**6))
        self.check(lambda: through_term(Atom(f"leak {next(counter)}")))


class Threads(unittest.TestCase):
    def test_two_at_once(self):
        """The interpreter may switch wherever a message's own code runs."""
        value, stop, errors = [HTTPRequestDone(1)] * 3, threading.Event(), []

        def change():
            while not stop.is_set():
                value.append(HTTPRequestDone(2))
                del value[1:]
                value.extend([HTTPRequestDone([3])] * 3)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(3000):
                try:
                    share([value, {HTTPRequestDone(1): value}])
                except RuntimeError as error:
                    errors.append(error)
        finally:
            stop.set()
            thread.join()
        self.assertTrue(all("changed" in str(error) for error in errors))


if __name__ == "__main__":
    unittest.main()
