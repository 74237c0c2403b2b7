# SPDX-License-Identifier: Apache-2.0
"""encode() and decode(): Erlang's external term format, and mote's own form of it, against the way through terms."""
import array
import dataclasses
import gc
import math
import os
import random
import struct
import sys
import threading
import types
import typing
import unittest

import mote
import quick
from mote import Atom, NotSendable
from mote._mote import _testing, term_parse as parse

encode_term, decode_term, blobs, encode_into = _testing.encode_term, _testing.decode_term, _testing.blobs, _testing.encode_into
PID, REF = parse("<0.12.1>"), parse("#Ref<0.1.2.3>")
FAR_PID, FAR_REFS = parse("<far@away.1.2.3>"), [parse("#Ref<far@away.3." + ".".join("12345"[:n]) + ">") for n in range(1, 6)]
SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}


@mote.message
class Point(typing.NamedTuple):
    x: object
    y: object


@mote.message(tag="moved")
@dataclasses.dataclass(frozen=True, **SLOTS)
class Moved:
    if not SLOTS:
        __slots__ = ("who", "to")
    who: object
    to: object


class Outer:
    @mote.message(tag="inner")
    @dataclasses.dataclass(frozen=True)
    class Inner:
        value: object

        def __post_init__(self):
            raise AssertionError("no code of a class runs")


def inner(value):
    one = object.__new__(Outer.Inner)
    object.__setattr__(one, "value", value)
    return one


def there(value, form="mote"):
    """There and back."""
    return mote.decode(mote.encode(value, form=form), form=form)


def nested(levels, value=0, wrap=lambda v: (v,)):
    for _ in range(levels):
        value = wrap(value)
    return value


def same(a, b):
    """Equal, and of the same types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b))
    if isinstance(a, (set, frozenset)):
        return a == b and sorted(map(type_name, a)) == sorted(map(type_name, b))
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, memoryview):
        return (a.format, a.shape, a.tobytes()) == (b.format, b.shape, b.tobytes())
    if isinstance(a, Outer.Inner):
        return same(a.value, b.value)
    return a == b


def shown(*values):
    return ", ".join(f"{v.bit_length()} bits" if type(v) is int else f"{v!r:.100}" for v in values)


def type_name(v):
    return type(v).__name__


PLAIN = [
    0, 1, 255, 256, -1, 2**31 - 1, 2**31, -2**31, -2**31 - 1, 2**60, 2**63 - 1, -2**63, 2**63, 2**64 - 1, 2**64, -2**64, 10**400, -10**400, 1 << 2040, (1 << 2048) - 1,
    True, False, None, 0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, "", "a", "ä", "日本", "😀", "a" * 255, "b" * 256, "ä" * 5000, "\0", b"", b"abc", b"x" * 70000,
    Atom("ok"), Atom(""), Atom("ä"), Atom("x" * 255), Atom("😀" * 255), PID, REF, (), [], {}, (1,), [1], [255], [256], [0, 1.0], [True], (Atom("ok"), 1), (Atom("point"), 1, 2),
    {"a": 1}, {1: 2, "1": 3, b"2": 4, (1,): 5, None: 6, 1.5: 7}, [[]], [[1], [2, [3]]], list(range(300)), list(range(256)) * 300, tuple(range(300)), ("x",) * 256,
    FAR_PID, FAR_REFS, {FAR_PID: FAR_REFS[0]}, parse("<far@away.4294967295.4294967295.4294967295>"), parse("<'@'.0.0.0>"),
    {i: str(i) for i in range(1000)}, Point(1, [2]), Moved("me", {"x": Point(None, b"")}), [Point(1, 2), Moved(3, 4)],
]
ONLY_MOTE = [
    Atom("nil"), Atom("true"), Atom("false"), math.inf, -math.inf, math.nan, 1j, complex(math.nan, -0.0), "\ud800", "a\udfffz", bytearray(), bytearray(b"abc"), set(), {1, "a", b"a"},
    frozenset(), frozenset({(1, frozenset({2}))}), memoryview(b"abc"), memoryview(b""), memoryview(b"abcdefgh").cast("I"), memoryview(b"abcdefgh").cast("H", (2, 2)),
    parse("<<1:3>>"), parse("[1|2]"), parse("fun a:b/1"), parse("#{1 => a, 1.0 => b}"), parse("#Port<a@b.1.2>"), {None: Atom("nil")}, [Atom("true"), True],
    1 << (8 * 600000), {"1": 3, b"1": 4}, {frozenset({1}): {2}}, {Point(1, 2): 3}, (Atom("nil"), Atom("nil")), inner([1]),
]


class MoteForm(unittest.TestCase):
    def test_keeps_every_value_and_type(self):
        for value in PLAIN + ONLY_MOTE:
            back = there(value)
            self.assertTrue(same(value, back), shown(value, back))
            self.assertTrue(same([value, (value,)], there([value, (value,)])), shown(value))

    def test_order_of_dicts(self):
        self.assertEqual(list(there({3: 0, 1: 0, 2: 0})), [3, 1, 2])

    def test_lists_are_new(self):
        value = [[1], {2: [3]}]
        back = there(value)
        back[0].append(4)
        self.assertEqual(value, [[1], {2: [3]}])

    def test_other_buffers_arrive_as_views(self):
        for code, values in (("i", [1, -2, 3]), ("d", [0.5]), ("B", [1, 2]), ("H", [])):
            back = there(array.array(code, values))
            self.assertIs(type(back), memoryview)
            self.assertTrue(back.readonly)
            self.assertEqual((back.format, back.tolist()), (code, values))
        whole = memoryview(bytes(range(100)))
        self.assertEqual(there(whole[10:50:3]).tolist(), list(range(10, 50, 3)))
        self.assertEqual(there(whole[::-1]).tolist(), list(range(99, -1, -1)))
        square = memoryview(array.array("i", range(6))).cast("B").cast("i", (2, 3))
        self.assertEqual(there(square).tolist(), [[0, 1, 2], [3, 4, 5]])
        released = memoryview(b"abc")
        released.release()
        with self.assertRaisesRegex(NotSendable, "memory is not to be had"):
            mote.encode(released, form="mote")

    def test_plain_tuples_stay_tuples(self):
        self.assertIs(type(there((Atom("point"), 1, 2))), tuple)
        self.assertEqual(mote.decode(b"h\3w\5pointa\1a\2", form="mote"), Point(1, 2))  # as C writes it

    def test_what_everybody_else_sees(self):
        for value, seen in ((Point(1, 2), "{point,1,2}"), (bytearray(b"ab"), "<<\"ab\">>"), (memoryview(b"ab"), "<<\"ab\">>"), (Atom("nil"), "nil"), (None, "nil"),
                            ((Atom("a"), 1), "{a,1}"), (memoryview(b"abcd").cast("H"), "<<\"abcd\">>"), (True, "true"), ([PID, REF], "[<0.12.1>,#Ref<0.1.2.3>]")):
            term = decode_term(mote.encode(value, form="mote"), True)
            self.assertEqual(encode_term(term, True), encode_term(parse(seen), True), seen)

    def test_what_others_do_not_understand_they_pass_on(self):
        """A term in C that has it among others, and comes back to Python."""
        for value in ({1, 2}, 1j, math.inf, "\ud800", {frozenset({(1, "a")}): {1}}):
            term = decode_term(mote.encode([(value, 1)], form="mote"), True)
            self.assertTrue(same(term, [(value, 1)]), shown(term))
        unknown = decode_term(bytes.fromhex("066301" "6105"), True)
        self.assertIs(type(unknown), mote.Term)
        self.assertEqual(mote.encode(unknown, form="mote"), bytes.fromhex("080800" "066301" "6105"))
        self.assertEqual(there(unknown), unknown)
        no_class = bytes.fromhex("060101" "080301" "030161" "6802" "770161" "6105")
        for value in (decode_term(bytes.fromhex("060301" "6d0000000100"), True), decode_term(no_class, True)):
            self.assertIs(type(value), mote.Term)
        self.assertRaises(ValueError, mote.decode, no_class, form="mote")

    def test_terms_of_what_python_has(self):
        for hexadecimal in ("7701 61", "6105", "6800", "6a", "6b000105", "0301 61", "060101 6105", "01 0000000000000003", "7400000000", "71 770161 770162 6101", "4d0000000101 80"):
            value = mote.decode(bytes.fromhex("080800" + hexadecimal), form="mote")
            self.assertIs(type(value), mote.Term, hexadecimal)
            self.assertEqual(there(value), value)

    def test_blobs(self):
        kept = {}

        def store(what):
            if isinstance(what, bytes):
                kept[len(kept)] = what
                return struct.pack(">I", len(kept) - 1) if b"no" not in what else None
            return kept[struct.unpack(">I", what[0])[0]]

        class Store:
            def __call__(self, *args):
                return store(*args)

        big, no = b"x" * 100, b"no" * 50
        value = [big, b"x" * 99, bytearray(big), memoryview(big), no, "t" * 200, array.array("B", big), {big: big}]
        encoded, back = blobs(value, Store(), 100)
        for one, other in zip(value[:6], back):
            self.assertTrue(same(one, other), shown(one, other))
        self.assertEqual((bytes(back[6]), back[7]), (big, {big: big}))
        self.assertEqual(len(kept), 7)
        self.assertEqual(encoded.count(b"x"), 99)
        with self.assertRaisesRegex(ValueError, "byte 0: handles are not understood here"):
            mote.decode(b"\5\1h", form="mote")

        def fails(what):
            raise KeyError(what)

        self.assertRaises(KeyError, blobs, [big], fails, 100)
        self.assertRaises(KeyError, blobs, [big], lambda what: b"h" if isinstance(what, bytes) else fails(what), 100)

    def test_full(self):
        value = [{"a": (1, 2.5, "x" * 300)}, b"abc", Point(1, 10**30)]
        whole = mote.encode(value, form="mote")
        for size in range(len(whole)):
            self.assertIsNone(encode_into(value, size))
        self.assertEqual(encode_into(value, len(whole)), whole)
        self.assertRaises(NotSendable, encode_into, [1, object()], 1000)

    def test_classes_are_found_by_name_and_never_imported(self):
        bytes_ = mote.encode(Point(1, 2), form="mote")
        for other, error in ((b"test_codex:Point", "no class 'test_codex:Point' is registered"), (b"test_codec:Paint", "no class")):
            with self.assertRaisesRegex(ValueError, error):
                mote.decode(bytes_.replace(f"{__name__}:Point".encode(), other), form="mote")
        before = set(sys.modules)
        with self.assertRaises(ValueError):
            mote.decode(bytes_.replace(f"{__name__}:Point".encode(), b"colorsys:abcd"), form="mote")
        self.assertEqual(set(sys.modules), before)
        alias = types.ModuleType("alias_of_it")
        alias.Point, alias.Outer, alias.Plain = Point, Outer, dict
        sys.modules["alias_of_it"] = alias  # another interpreter may know the main program by another name
        try:
            for name, value in ((b"alias_of_it:Point", Point(1, 2)), (b"alias_of_it:Point", Point(1, 2))):
                head = b"\x08\3\1\3" + bytes([len(name)]) + name
                self.assertEqual(mote.decode(head + b"h\3w\5pointa\1a\2", form="mote"), value)
            name = b"alias_of_it:Outer.Inner"
            self.assertEqual(mote.decode(b"\x08\3\1\3" + bytes([len(name)]) + name + b"h\2w\5innera\1", form="mote").value, 1)
            for name in (b"alias_of_it:Plain", b"alias_of_it:__name__", b"alias_of_it:Outer", b"alias_of_it:", b"alias_of_it", b":", b"", b"alias_of_it:Outer.Inner.value"):
                with self.assertRaisesRegex(ValueError, "no class"):
                    mote.decode(b"\x08\3\1\3" + bytes([len(name)]) + name + b"h\3w\5pointa\1a\2", form="mote")
        finally:
            del sys.modules["alias_of_it"]

    def test_fields_are_as_many_as_the_class_has(self):
        bytes_ = mote.encode(Point(1, 2), form="mote")
        self.assertRaisesRegex(ValueError, "not as many fields", mote.decode, bytes_[:-7].replace(b"h\3", b"h\2") + bytes_[-2:], form="mote")
        bad = bytes_.replace(b"h\3w\5pointa\1a\2", b"h\4w\5pointa\1a\2a\3")
        self.assertRaisesRegex(ValueError, "not as many fields", mote.decode, bad, form="mote")
        self.assertRaisesRegex(ValueError, "not as many fields", mote.decode, bytes_.replace(b"h\3w\5pointa\1a\2", b"j"), form="mote")

    def test_system_messages(self):
        down, signal = mote.Down(Atom("DOWN"), REF, Atom("process"), PID, Atom("normal")), mote.ExitSignal(Atom("EXIT"), PID, "why")
        for value in (down, signal):
            back = there(value)
            self.assertIs(type(back), type(value))
            self.assertEqual(back, value)
            self.assertIs(type(there(value, "erlang")), tuple)

    def test_deep(self):
        for wrap in (lambda v: (v,), lambda v: [v], lambda v: {1: v}, lambda v: (Atom("a"), v), lambda v: frozenset({v})):
            value = nested(200, 1, wrap)
            self.assertTrue(same(value, there(value)))
            with self.assertRaisesRegex(RecursionError, "deeper than 200"):
                mote.encode(nested(201, 1, wrap), form="mote")
        for wrap in (lambda v: b"h\1" + v, lambda v: b"l\0\0\0\1" + v + b"j", lambda v: b"t\0\0\0\1a\1" + v):
            value = mote.decode(nested(250, b"w\1a", wrap), form="mote")
            for _ in range(200):
                value = next(iter(value.values())) if isinstance(value, dict) else value[0]
            self.assertIs(type(value), mote.Term)
            self.assertEqual(mote.encode(value, form="mote")[3:], nested(50, b"w\1a", wrap))
            self.assertEqual(there(value), value)
        self.assertIs(type(mote.decode(b"l\0\0\0\0" * 100000 + b"h\0", form="mote")), tuple)
        mote.decode(b"h\1" * 1000000 + b"a\1", form="mote")

    def test_a_cycle(self):
        loop = []
        loop.append(loop)
        self.assertRaises(RecursionError, mote.encode, loop, form="mote")
        self.assertRaises(RecursionError, mote.encode, loop)


class ErlangForm(unittest.TestCase):
    def test_bytes(self):
        for value, hexadecimal in ((1, "836101"), (-1, "8362ffffffff"), (2**40, "836e06000000000000 01"), ("ä", "836d00000002c3a4"), (b"a", "836d0000000161"), (None, "8377036e696c"),
                                   (True, "83770474727565"), (Atom("ok"), "8377026f6b"), ([1, 2], "836b00020102"), ([], "836a"), ([256], "836c0000000162000001006a"), ((), "836800"),
                                   ({}, "837400000000"), ({1: 2}, "83740000000161016102"), (1.0, "83463ff0000000000000"), (Point(1, 2), "8368037705706f696e7461016102"),
                                   (bytearray(b"a"), "836d0000000161"), ([True], "836c000000017704747275656a"), (memoryview(b"abc")[::2], "836d000000026163")):
            self.assertEqual(mote.encode(value).hex(), hexadecimal.replace(" ", ""), repr(value))

    def test_as_the_way_through_terms(self):
        for value in PLAIN:
            bytes_ = mote.encode(value)
            want = decode_term(encode_term(value, False), False)
            self.assertTrue(same(mote.decode(bytes_), want) or type(want) is dict, repr(value)[:100])
            self.assertEqual(mote.decode(bytes_), want)
            self.assertEqual(decode_term(bytes_, False), want)

    def test_pids_and_references(self):
        self.assertEqual(there([PID, REF], "erlang"), [PID, REF])
        self.assertEqual(mote.decode(b"\x83X" + b"w\1x" + bytes(12)), parse("<x.0.0.0>"))

    def test_of_other_nodes(self):
        far = "835877086661724061776179000000010000000200000003"
        self.assertEqual(mote.encode(FAR_PID).hex(), far)
        self.assertEqual(mote.encode(FAR_PID, form="mote").hex(), far[2:])
        self.assertEqual(mote.encode(FAR_REFS[1]).hex(), "835a000277086661724061776179000000020000000100000003")
        for one in (FAR_PID, *FAR_REFS):
            back = there(one, "erlang")
            self.assertEqual((type(back), back, repr(back), hash(back), back.node), (type(one), one, repr(one), hash(one), Atom("far@away")))

    def test_our_own_by_our_name(self):
        """A node writes its own by its name and creation, and knows them by both; others stay what they are."""
        encode_as, decode_as = _testing.encode_as, _testing.decode_as
        improper = parse("[<0.12.1>|#Ref<0.1.2.3>]")
        for value in (PID, REF, [PID, (REF,)], improper):
            data = encode_as(value, "me@here", 7)
            self.assertIn(b"me@here", data)
            self.assertEqual(decode_as(data, "me@here", 7), value)
            for node, creation in (("me@here", 8), ("me@her", 7), ("me@herf", 7)):
                self.assertNotEqual(decode_as(data, node, creation), value)
            self.assertNotEqual(mote.decode(data), value)
            self.assertNotEqual(decode_as(mote.encode(value), "me@here", 7), value)
        stranger = decode_as(encode_as(PID, "me@here", 7), "me@here", 8)
        self.assertEqual((repr(stranger), stranger.node), ("<me@here.12.1.7>".replace("12.1", repr(stranger)[9:-3]), "me@here"))
        for value in (FAR_PID, FAR_REFS[2]):
            self.assertEqual(encode_as(value, "me@here", 7), mote.encode(value))
            self.assertEqual(decode_as(mote.encode(value), "me@here", 7), value)

    def test_what_erlang_has_not(self):
        for value, why in ((math.nan, "NaN"), (math.inf, "NaN"), (1j, "complex"), ({1}, "set"), (frozenset(), "set"), ("\ud800", "surrogates"), (object(), "what it is made of"),
                           (1 << (8 * 524288), "512 KiB"), (parse("<<1:3>>").__class__, "a class is not sent"), (print, "code is not sent"), (Exception(), "text")):
            with self.assertRaisesRegex(NotSendable, why):
                mote.encode(value)
            with self.assertRaisesRegex(NotSendable, r"^message\[1\]\['k'\]: "):
                mote.encode([0, {"k": value}])

    def test_keys_that_are_one(self):
        with self.assertRaisesRegex(NotSendable, "a str and bytes of the same letters"):
            mote.encode({"a": 1, b"a": 2})
        self.assertEqual(mote.decode(mote.encode({"a": 1, b"b": 2})), {b"a": 1, b"b": 2})

    def test_host_objects_have_no_form(self):
        term = mote.decode(bytes.fromhex("080800" "060101" "6105"), form="mote")
        self.assertIs(type(term), mote.Term)
        self.assertRaises(NotSendable, mote.encode, term)


class Refused(unittest.TestCase):
    def test_paths(self):
        for form in ("erlang", "mote"):
            for value, path in ((object(), "message: "), ((1, object()), r"message\[1\]: "), ([object()], r"message\[0\]: "), ({"a": object()}, r"message\['a'\]: "),
                                ({(1, object): 2}, r"message\.keys\(\)\[1\]: "), (Point(1, {2: object()}), r"message\.y\[2\]: "), (Moved(object(), 1), r"message\.who: ")):
                with self.assertRaisesRegex(NotSendable, "^" + path):
                    mote.encode(value, form=form)
        with self.assertRaisesRegex(NotSendable, r"message\[0\]\{...\}: "):
            mote.encode([{print}], form="mote")

    def test_arguments(self):
        for call in (mote.encode, mote.decode):
            self.assertRaises(TypeError, call)
            self.assertRaises(TypeError, call, 1, 2)
            self.assertRaises(TypeError, call, b"\x83j", shape=1)
            self.assertRaises(ValueError, call, b"\x83j", form="etf")
            self.assertRaises(ValueError, call, b"\x83j", form=1)
        self.assertRaises(TypeError, mote.decode, "text")
        for data in (b"\x83a\1", bytearray(b"\x83a\1"), memoryview(b"\x83a\1"), array.array("B", b"\x83a\1")):
            self.assertEqual(mote.decode(data), 1)

    def test_bytes_that_are_no_term(self):
        for hexadecimal, error in (("", "byte 0: "), ("00", "byte 0: "), ("83", "byte 1: "), ("8300", "byte 1: "), ("836800 61", "byte 3: .*more bytes follow"), ("836802 6101", "byte 5: "),
                                   ("83740000000261016a61016a", "byte 1: a map has a key twice"), ("837400000002 7701616a 7701616a", "byte 1: a map has a key twice"),
                                   ("8374ffffffff", "byte 1: "), ("83 6cffffffff6a", "byte 1: "), ("837701ff", "byte 1: "), ("8346fff8000000000000", "byte 1: "), ("83 030161", "not Erlang's"),
                                   ("8350000000010203", "compressed"), ("837500000000", "no longer"), ("836c000000016a", "byte 1: more terms"), ("83 6fffffffff00", "byte 1: ")):
            with self.assertRaisesRegex(ValueError, error):
                mote.decode(bytes.fromhex(hexadecimal))

    def test_own_bytes_that_are_no_value(self):
        for hexadecimal in ("", "83", "03", "030261", "0301ff", "0302c328", "05016868", "060102 6101 6101", "060101 6800 00", "06010168016a00", "0601016a",
                            "0603016101", "060301 6d0000000100", "060401 6d0000000800", "060501 6d00000001ff", "08010061", "0801006101", "08020061", "0802006101", "080301", "0803016101 6101",
                            "080400 6101", "080400 6800", "080500 6801 6101", "080600 6101", "080600", "080701 6101 6101", "080702 6101 6a 6d00000000", "080702 030142 6101 6d00000000",
                            "080702 030148 6c000000016101 6a 6d0000000161", "080702 03025151 6c000000016101 6a 6d0000000161", "080702030142 6c00000001 62ffffffff 6a 6d00000000",
                            "080702 030148 6c00000041" + "6101" * 65 + "6a 6d0000000161", "01ffffffffffffffff", "02ffffffffffffffff", "09"):
            with self.assertRaises(ValueError, msg=hexadecimal):
                mote.decode(bytes.fromhex(hexadecimal), form="mote")
        self.assertIs(type(mote.decode(bytes.fromhex("06630161 01".replace(" ", "")), form="mote")), mote.Term)
        self.assertEqual(mote.decode(bytes.fromhex("0863016105 6107".replace(" ", "")), form="mote"), 7)

    def test_room_is_made_for_what_can_come(self):
        """A megabyte of heads that each announce all that is left."""
        for head in (b"l", b"i", b"t"):
            data = b"".join(head + struct.pack(">I", (2**20 - i) // 4) for i in range(0, 2**20, 5))
            with self.assertRaisesRegex(ValueError, "byte (5|10|15): more terms"):
                mote.decode(data, form="mote")

    def test_changes_meanwhile(self):
        @mote.message(tag="wicked")
        @dataclasses.dataclass(frozen=True)
        class Message:
            value: object

            def __getattribute__(self, name):
                if name == "value":
                    trick()
                return object.__getattribute__(self, name)

        rows = [Message(1)] * 3
        trick = rows.clear
        with self.assertRaisesRegex(RuntimeError, "list changed"):
            mote.encode(rows, form="mote")
        table = {1: Message(1), 2: 2}
        trick = table.clear
        with self.assertRaisesRegex(RuntimeError, "dict changed"):
            mote.encode(table, form="mote")


def random_value(rng, depth=0):
    kind = rng.randrange(20 if depth < 4 else 12)
    if kind < 3:
        return rng.choice([rng.randrange(300), rng.randrange(-2**35, 2**35), rng.getrandbits(rng.randrange(1, 200)), -rng.getrandbits(70)])
    if kind < 5:
        return "".join(rng.choice("ab ä日😀\0") for _ in range(rng.randrange(6)))
    if kind < 6:
        return rng.choice([None, True, False, Atom("ok"), Atom("é"), Atom("point")])
    if kind < 8:
        return bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 5, 80])))
    if kind < 10:
        return rng.choice([0.0, -0.0, rng.random(), 1e300, 1.0])
    if kind < 11:
        return rng.choice([PID, REF])
    if kind < 12:
        return [rng.randrange(256) for _ in range(rng.randrange(5))]
    parts = [random_value(rng, depth + 1) for _ in range(rng.choice([0, 1, 2, 3, 7]))]
    if kind < 15:
        return tuple(parts)
    if kind < 17:
        return parts
    if kind < 18:
        return Point(parts, tuple(parts))
    return {random_key(rng): part for part in parts}


def random_key(rng):
    return rng.choice([rng.randrange(20), str(rng.randrange(20)), (1, rng.randrange(9)), Atom(f"a{rng.randrange(9)}"), None, rng.randrange(9) + 0.5])


class AtRandom(unittest.TestCase):
    def test_values(self):
        rng = random.Random(1)
        for _ in range(3000):
            value = random_value(rng)
            self.assertTrue(same(value, there(value)), repr(value))
            try:
                bytes_ = mote.encode(value)
            except NotSendable:
                continue
            want = decode_term(encode_term(value, False), False)
            self.assertEqual(mote.decode(bytes_), want)
            self.assertEqual(decode_term(bytes_, False), want)

    def test_bytes_with_faults(self):
        """Both ways of reading agree on what is a term, and on which."""
        rng = random.Random(2)
        for n in range(12000):
            form, own = ("mote", True) if n % 2 else ("erlang", False)
            try:
                data = bytearray(mote.encode(random_value(rng), form=form))
            except NotSendable:
                continue
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), 97, 98, 104, 106, 107, 108, 109, 110, 116, 119, 70, 77, 88, 3, 8, 6])
            data = bytes(data)
            try:
                value, error = mote.decode(data, form=form), None
            except ValueError as e:
                value, error = None, str(e)
            try:
                other, other_error = decode_term(data, own), None
            except ValueError as e:
                other, other_error = None, str(e)
            if not own and "more bytes follow" not in str(error):
                self.assertEqual(error is None, other_error is None, f"{data.hex()}: {error}, {other_error}")
            if error is None and other_error is None and not own:
                self.assertEqual(value, other, data.hex())
            if error is None:
                self.assertTrue(same(value, there(value)), data.hex())


class Shared(unittest.TestCase):
    def test_memory_is_given_back(self):
        value = [PLAIN[:-1], ONLY_MOTE[:20], {f"key{i}": Atom(f"an atom {i}") for i in range(300)}]
        data = mote.encode(value, form="mote")

        def round_trip():
            for _ in range(5 if quick.QUICK else 20):
                mote.decode(data, form="mote")
                for n in range(0, len(data), 997):
                    try:
                        mote.decode(data[:n], form="mote")
                    except ValueError:
                        pass
            gc.collect()

        round_trip()
        before = len(gc.get_objects()), sys.getrefcount(None) if sys.version_info < (3, 12) else 0
        round_trip()
        after = len(gc.get_objects()), sys.getrefcount(None) if sys.version_info < (3, 12) else 0
        self.assertLess(abs(after[0] - before[0]), 50)
        self.assertLess(abs(after[1] - before[1]), 200)

    def test_small_stacks(self):
        """The deepest values in a process with the smallest stack, and in a thread."""
        checked = hasattr(sys, "gettotalrefcount") or os.environ.get("MOTE_TEST_UNDER")  # these take several times the stack
        process = mote.options(stack=1_000_000 if checked else 65536).spawn(deepest, mote.self())
        self.assertEqual(mote.receive(timeout=60), (process, []))
        seen = []
        thread = threading.Thread(target=lambda: seen.append(bad_at_depth()))
        thread.start()
        thread.join(60)
        self.assertEqual(seen, [[]])


def bad_at_depth():
    wraps = {"tuple": lambda v: (v,), "marked": lambda v: (Atom("a"), v), "list": lambda v: [v], "dict": lambda v: {1: v},
             "set": lambda v: frozenset({v}), "message": lambda v: Point(1, v), "slots": lambda v: Moved(v, 1)}
    bad = []
    for name, wrap in wraps.items():
        value = nested(200, 1, wrap)
        data = mote.encode(value, form="mote")
        bad += [] if mote.encode(mote.decode(data, form="mote"), form="mote") == data else [name]
    return bad


def deepest(to):
    mote.send(to, (mote.self(), bad_at_depth()))


if __name__ == "__main__":
    unittest.main()
