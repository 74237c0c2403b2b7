# SPDX-License-Identifier: Apache-2.0
"""Recursion without end in plain functions, on stacks of several sizes: it ends in RecursionError, as on a thread; where Python itself asks nobody
before it uses more C stack, a report says which process has used up its stack. Nothing ends in a crash that does not say why."""
import inspect
import os
import subprocess
import sys
import textwrap
import unittest

import quick

PATIENCE = 300

# What Python does without a look at the C stack, or with a limit of its own that counts on a large one: threads with such stacks crash, too.
UNASKED = {"hash_of_a_tuple"} | ({"compiles_a_sum"} if sys.version_info < (3, 10) else set())
LARGE_FRAMES = {"sends_a_tuple", "receives_a_pattern"} if os.environ.get("MOTE_TEST_UNDER") else set()  # sanitized ones, of mote's own
UNASKED_ON_SMALL = UNASKED | LARGE_FRAMES | {"compiles_parentheses", "compiles_minuses", "literal_eval", "frees_a_chain", "compiles_a_sum"}


def nested(kind, n=100_000):
    x = kind()
    for _ in range(n):
        x = {"a": x} if kind is dict else kind([x])
    return x


def calls_itself():
    calls_itself()


def sort_key(x=1):
    return sorted([x], key=sort_key)


def maps(x=1):
    return list(map(maps, [x]))


def generators():
    def g():
        yield from g()

    list(g())


def methods():
    class A:
        def __call__(self):
            return self()

    A()()


def comparisons():
    class A:
        def __eq__(self, other):
            return self == other

    return A() == A()


def attributes():
    class A:
        def __getattr__(self, name):
            return getattr(self, name + "x")

    return A().a


def reprs():
    class A:
        def __repr__(self):
            return repr(self)

    repr(A())


def constructors():
    class A:
        def __init__(self):
            A()

    A()


def repr_of_a_list():
    repr(nested(list))


def repr_of_a_dict():
    repr(nested(dict))


def compares_lists():
    return nested(list) == nested(list)


def hash_of_a_tuple():
    hash(nested(tuple, 300_000))


def is_an_instance():
    x = int
    for _ in range(100_000):
        x = (x,)
    isinstance(1, x)


def json_dumps():
    import json

    json.dumps(nested(list))


def json_loads():
    import json

    json.loads("[" * 100_000 + "]" * 100_000)


def pickles():
    import pickle

    pickle.dumps(nested(list))


def copies():
    import copy

    copy.deepcopy(nested(list))


def a_pattern_of_re():
    import re

    re.compile("(" * 5000 + "a" + ")" * 5000)


def matches_of_re():
    import re

    re.match("(?:a|b)*c", "ab" * 100_000)
    re.match("(x|y)*?z", "xy" * 10_000)


def compiles_parentheses():
    compile("(" * 100_000 + ")" * 100_000, "x", "eval")


def compiles_minuses():
    compile("-" * 100_000 + "1", "x", "eval")


def compiles_a_sum():
    compile("+".join(["a"] * 100_000), "x", "eval")


def literal_eval():
    import ast

    ast.literal_eval("[" * 1000 + "]" * 1000)


def frees_lists():
    x = nested(list, 1_000_000)
    del x


def frees_tuples():
    x = nested(tuple, 1_000_000)
    del x


def frees_objects():
    class N:
        pass

    x = None
    for _ in range(300_000):
        n = N()
        n.next, x = x, n
    del n, x


def frees_a_chain():
    e = None
    for i in range(200_000):
        n = ValueError(i)
        n.__cause__, e = e, n
    del n, e


def finalizers():
    class D:
        def __init__(self, n):
            self.n = n

        def __del__(self):
            if self.n:
                D(self.n - 1)

    D(100_000)


def a_chain_of_exceptions():
    e = None
    for i in range(20_000):
        try:
            raise ValueError(i) from e
        except ValueError as n:
            e = n
    raise e


def sends_a_tuple():
    import mote

    mote.send(mote.self(), nested(tuple))


def receives_a_pattern():
    import mote

    mote.receive(nested(tuple), timeout=0)


def waits_in_the_depth(n=0):
    import mote

    mote.sleep(0)
    waits_in_the_depth(n + 1)


CASES = [f for f in list(globals().values()) if inspect.isfunction(f) and f not in (nested,)]

PROGRAM = """
import mote, sys
CASES = {}
def body(to, name):
    try: CASES[name]()
    except BaseException as e: mote.send(to, type(e).__name__)
    else: mote.send(to, "fine")
def main(stack, names):
    for name in names:
        print(name, flush=True)
        mote.options(stack=stack).spawn(body, mote.self(), name)
        print(mote.receive(timeout=200), flush=True)
"""


def program(stack, names):
    source = "".join(textwrap.dedent(inspect.getsource(f)) + "\n" for f in (nested, *CASES))
    entries = ", ".join(f"{f.__name__}={f.__name__}" for f in CASES)
    return f"{PROGRAM}\n{source}\nCASES.update({entries})\nmain({stack}, {names!r})\n"


def run(stack, names=None):
    """{name: what came of it}; where the program has ended, it goes on with the next."""
    left, results = names or [f.__name__ for f in CASES], {}
    while left:
        done = subprocess.run([sys.executable, "-c", program(stack, left)], capture_output=True, text=True, timeout=PATIENCE, check=False)
        lines = done.stdout.split()
        results.update(zip(lines[::2], lines[1::2]))
        if len(lines) % 2:
            said = "mote: stack overflow in process" in done.stderr and "The program ends." in done.stderr
            results[lines[-1]] = "reported" if said else f"{done.returncode}: {done.stderr[-300:]}"
        left = left[(len(lines) + 1) // 2 :]
        if not lines:
            raise AssertionError(done.stderr)
    return results


@unittest.skipIf(hasattr(sys, "gettotalrefcount"), "a debug build takes several times the stack")
class Deep(unittest.TestCase):
    ENDS = ("RecursionError", "fine", "MemoryError", "SyntaxError", "ValueError")  # the last: Python's compiler and the chain; nothing else raises them

    def check(self, stack, unasked, names=None):
        for name, result in run(stack, names).items():
            with self.subTest(name, stack=stack):
                self.assertIn(result, (*self.ENDS, "reported") if name in unasked else self.ENDS)

    def test_the_usual_stack(self):
        self.check(0, UNASKED)

    def test_small_stacks(self):
        for stack in (65536, 300_000):
            self.check(stack, UNASKED_ON_SMALL)

    def test_the_first_to_compile(self):
        self.check(65536, UNASKED_ON_SMALL, ["literal_eval"])

    @quick.once
    def test_large_stacks(self):
        for stack in (1_000_000, 64 << 20):
            self.check(stack, UNASKED_ON_SMALL if stack < 4 << 20 else UNASKED)

    def test_all_are_tried(self):
        self.assertGreater(len(CASES), 30)


if __name__ == "__main__":
    unittest.main()
