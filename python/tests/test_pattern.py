# SPDX-License-Identifier: Apache-2.0
"""Patterns: what matches what, what can be one, and the reference that makes a receive quick."""
import abc
import collections
import dataclasses
import enum
import gc
import numbers
import sys
import typing
import unittest
import weakref

import mote
from mote import ANY, Atom, any_of, pattern
from mote._mote import _testing, term_parse as parse

PID, REF = parse("<0.12.1>"), parse("#Ref<0.1.2.3>")
REF_AGAIN, OTHER_REF = parse("#Ref<0.1.2.3>"), parse("#Ref<0.9.9.9>")
pattern_ref = _testing.pattern_ref


class Down(typing.NamedTuple):
    tag: object
    ref: object
    reason: object


@mote.message
@dataclasses.dataclass(frozen=True)
class Move:
    who: object
    to: object


class Matching(unittest.TestCase):
    def yes(self, spec, *values):
        for value in values:
            self.assertTrue(pattern(spec).matches(value), (spec, value))

    def no(self, spec, *values):
        for value in values:
            self.assertFalse(pattern(spec).matches(value), (spec, value))

    def test_anything(self):
        self.yes(ANY, None, 1, (), [ANY])
        self.assertIs(pattern(ANY), ANY)
        self.assertEqual(repr(ANY), "ANY")

    def test_classes(self):
        self.yes(int, 1, True, 2**100)
        self.no(int, 1.0, "1", None)
        self.yes(bool, True)
        self.no(bool, 1)
        self.yes(str, "a", Atom("a"))
        self.no(Atom, "a")
        self.yes(mote.Pid, PID)
        self.no(mote.Pid, REF)
        self.yes(tuple, (), Down(1, 2, 3))
        self.yes(Down, Down(1, 2, 3))
        self.no(Down, (1, 2, 3))
        self.yes(Move, Move(1, 2))
        self.yes(object, 1, None)
        self.yes(type(None), None)

    def test_classes_with_a_say(self):
        class Even(abc.ABCMeta):
            def __instancecheck__(cls, value):
                return value % 2 == 0

        even = Even("even", (), {})
        self.yes(even, 2)
        self.no((even,), (3,))
        self.assertRaises(TypeError, pattern((even,)).matches, (None,))
        self.yes(numbers.Number, 1, 1.5, 1j)
        self.no(collections.abc.Mapping, [])
        self.yes(collections.abc.Mapping, {})

    def test_values(self):
        self.yes(1, 1, 1.0, True)
        self.yes(None, None)
        self.yes(True, True)
        self.no(True, 1)
        self.no(False, 0, None)
        self.no(None, False, 0)
        self.yes("ab", "ab", "".join(["a", "b"]), Atom("ab"))
        self.yes(Atom("ab"), "".join(["a", "b"]), Atom("ab"))
        self.no("ab", "ac", "abc", b"ab", "aé", 1)
        self.yes("é\U0001f600", "é" + chr(0x1F600))
        self.yes(b"ab", bytes(bytearray(b"ab")), bytearray(b"ab"))
        self.yes(PID, parse("<0.12.1>"))
        self.no(PID, parse("<0.13.1>"), REF, 5)
        self.yes(REF, REF_AGAIN)
        self.no(REF, OTHER_REF, None)
        self.yes(1.5, 1.5)
        self.yes(frozenset([1]), {1}, frozenset([1]))
        self.yes(parse("[a|b]"), parse("[a|b]"))
        self.yes(enum.IntEnum("E", "A B").B, 2)

    def test_tuples_and_lists(self):
        spec = ("inc", int, ANY)
        self.yes(spec, ("inc", 1, None), (Atom("inc"), True, ()))
        self.no(spec, ("inc", 1), ("inc", 1, 2, 3), ("dec", 1, 2), ("inc", "1", 2), ["inc", 1, 2], "inc", None, ())
        self.yes((), ())
        self.yes(("DOWN", REF, ANY), Down("DOWN", REF_AGAIN, 1))
        self.yes([], [])
        self.yes([int, (str, [ANY])], [1, ("a", [2])])
        self.no([int], [], [1, 2], ["a"], (1,), [[1]])
        self.yes((((1, int),),), (((1, 2),),))

    def test_dicts(self):
        spec = {"op": "add", "args": [int, int]}
        self.yes(spec, {"op": "add", "args": [1, 2], "more": 3})
        self.no(spec, {"op": "add"}, {"op": "sub", "args": [1, 2]}, {}, [("op", "add")])
        self.yes({}, {}, {1: 2})
        self.yes({1: {2: {3: ANY}}}, {1: {2: {3: None}}})
        self.yes({Atom("a"): 1}, {"a": 1})

    def test_alternatives(self):
        for spec in (any_of(int, "a", (1, ANY)), pattern(int) | "a" | (1, ANY), int | pattern("a") | (1, ANY)):
            self.yes(spec, 5, "a", (1, 2))
            self.no(spec, "b", (2, 2), None)
        self.yes(any_of(1, 2), 2)
        self.no(any_of(), 1, None)
        self.yes(("x", any_of(1, 2), any_of([3], 4)), ("x", 2, [3]))
        self.no(("x", any_of(1, 2), any_of([3], 4)), ("x", 3, 4))
        self.yes(typing.Union[int, None], 1, None)
        self.no(typing.Optional[int], "a")
        self.yes("a" | pattern(Atom("b")), "a", "b")
        self.yes(Atom("a") | ANY, 1)

    @unittest.skipIf(sys.version_info < (3, 10), "no int | str")
    def test_unions(self):
        self.yes(int | str | None, 1, "a", None)
        self.yes(("a", int | str), ("a", 1))
        self.no(int | str, 1.5, None)

    def test_where(self):
        seen = []
        positive = pattern(("n", int), where=lambda m: seen.append(m) or m[1] > 0)
        self.assertTrue(positive.matches(("n", 1)))
        self.assertFalse(positive.matches(("n", -1)))
        self.assertFalse(positive.matches(("n", "a")))
        self.assertEqual(seen, [("n", 1), ("n", -1)])
        self.yes(("x", pattern(int, where=lambda n: n % 2)), ("x", 3))
        self.no(("x", pattern(int, where=lambda n: n % 2)), ("x", 4))
        self.assertRaises(ZeroDivisionError, pattern(int, where=lambda n: 1 / n).matches, 0)
        self.assertRaisesRegex(TypeError, "where is a function", pattern, 1, where=2)
        self.assertTrue(pattern(pattern(int, where=lambda n: n > 1), where=lambda n: n < 3).matches(2))

    def test_messages_as_patterns(self):
        self.yes(Down(ANY, REF, ANY), Down("DOWN", REF_AGAIN, 1))
        self.no(Down(ANY, REF, ANY), Down("DOWN", OTHER_REF, 1), ("DOWN", REF, 1), None)
        self.yes(Move(mote.Pid, (int, ANY)), Move(PID, (1, 2)))
        self.no(Move(mote.Pid, (int, ANY)), Move(REF, (1, 2)), Move(PID, (1, 2, 3)), (PID, (1, 2)))

    def test_value_that_cannot_be_compared(self):
        class Bad:
            def __eq__(self, other):
                raise ZeroDivisionError

            __hash__ = object.__hash__

        self.assertRaises(ZeroDivisionError, pattern((1,)).matches, (Bad(),))
        self.assertRaises(ZeroDivisionError, pattern([{1: 2}]).matches, [{1: Bad()}])


class Making(unittest.TestCase):
    def test_what_cannot_be_one(self):
        for spec in (object(), {1, 2}, bytearray(b"a"), dataclasses.dataclass(type("D", (), {}))(), Ellipsis, type("T", (tuple,), {})((1,))):
            for inside in (spec, (1, spec), [spec], {1: spec}, any_of):
                self.assertRaisesRegex(TypeError, "cannot be a pattern", pattern, inside)
        self.assertRaisesRegex(TypeError, r"pattern\(p, where=function\)", pattern, lambda m: m)
        with self.assertRaises(TypeError):
            ANY | object()
        self.assertRaisesRegex(TypeError, r"pattern\(\) and any_of", mote.Pattern)
        self.assertRaises(TypeError, pattern)
        self.assertRaises(mote.NotSendable, _testing.share, ANY)

    def test_depth(self):
        spec = value = 0
        for _ in range(199):
            spec, value = (spec,), (value,)
        self.assertTrue(pattern(spec).matches(value))
        self.assertRaisesRegex(RecursionError, "200 levels", pattern, ((spec,),))
        cycle = []
        cycle.append(cycle)
        self.assertRaises(RecursionError, pattern, cycle)
        made = ANY
        with self.assertRaises(RecursionError):
            for _ in range(300):
                made = pattern((made,))
        made = ANY
        with self.assertRaises(RecursionError):
            for _ in range(300):
                made = made | 1

    def test_size(self):
        self.assertTrue(pattern([0] * 1000).matches([0] * 1000))
        self.assertRaisesRegex(ValueError, "100000 parts", pattern, [0] * 200000)

    def test_repr(self):
        self.assertEqual(repr(pattern(("a", ANY))), "pattern(('a', ANY))")
        self.assertEqual(repr(any_of(1, pattern([2]))), "any_of(1, pattern([2]))")
        self.assertEqual(repr(any_of(1)), "any_of(*(1,))")
        self.assertRegex(repr(pattern(1, where=print)), r"pattern\(1, where=<built-in function print>\)")

    def test_spec_may_change_afterwards(self):
        spec = [1, {"a": 2}]
        made = pattern(spec)
        spec.append(3)
        spec[1]["a"] = 5
        self.assertTrue(made.matches([1, {"a": 2}]))

    def test_reference(self):
        for spec in (REF, ("reply", REF, ANY), Down(ANY, REF, ANY), pattern(("r", REF), where=print), any_of(("r", REF), Down(1, REF_AGAIN, 2), REF),
                     (ANY, REF, OTHER_REF), pattern(("r", REF)) | ("s", REF)):
            self.assertEqual(pattern_ref(spec), REF, spec)
        for spec in (ANY, ("r", ANY), [REF], {"a": REF}, ("r", (REF,)), any_of(("r", REF), ("r", OTHER_REF)), any_of(("r", REF), 1), any_of(),
                     Move(REF, 1), ("r", any_of(REF, 1))):
            self.assertIsNone(pattern_ref(spec), spec)

    def test_no_leaks(self):
        def use():
            made = pattern((1, {"a": int}, [ANY], Down(1, ANY, REF), Move(1, 2))) | any_of("x", REF)
            made.matches((1, {"a": 1}, [2], Down(1, 2, REF), Move(1, 2)))
            repr(made), pattern_ref(made)
            for wrong in ((1, len), [{1: len}], Move(1, len)):
                try:
                    pattern(wrong)
                except TypeError:
                    pass

        use()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(2000):
            use()
        gc.collect()
        self.assertLess(len(gc.get_objects()) - before, 50)

    def test_cycle_is_collected(self):
        class Holder:
            pass

        holder = Holder()
        holder.pattern = pattern(int, where=lambda n, h=holder: h)
        gone = weakref.ref(holder)
        del holder
        gc.collect()
        self.assertIsNone(gone())


if __name__ == "__main__":
    unittest.main()
