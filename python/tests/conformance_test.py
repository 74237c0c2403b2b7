# SPDX-License-Identifier: Apache-2.0
"""Erlang's scenarios (tests/conformance/conf.erl) print, through Python, what they print through C: each as functions and as coroutines, and
once more with turns that end at random. MOTE_TEST_SEED is the seed of these, CONF_N scales all rounds."""
import os
import unittest
import unittest.mock

import mote
from mote import _mote

import conformance
import quick
from conformance import tools

GROUPS = "ABCDEFGHIJKM"
# What cannot be said in Python, and why.
LEFT_OUT = {}
SEED = int(os.environ.get("MOTE_TEST_SEED", "20261125"))


def wanted():
    """The ids of conf.erl that are this file's."""
    return [name for name in tools.statements() if name[0] in GROUPS]


class Scenarios(unittest.TestCase):
    """All of a flavour, on a node of their own. Subclasses have `flavour`, `seed` (0: turns end where they end) and `share` (a part of the rounds)."""

    seed, share = 0, 1

    @classmethod
    def setUpClass(cls):
        tools.Scale.share = cls.share
        _mote.stop()
        _mote.start(0, 0.1, 0, cls.seed)

    @classmethod
    def tearDownClass(cls):
        _mote.stop()
        tools.Scale.share = 1


def add_tests(cls):
    """A test for each scenario."""
    for name, statement in tools.statements().items():
        if name not in tools.SCENARIOS:
            continue

        def test(self, name=name):
            got, want = tools.run(name, self.flavour), tools.expected()[name]
            self.assertTrue(tools.agree(got, want), f"{name} printed {got}, not {want} (seed {self.seed})")

        test.__doc__ = f"{name} {statement}"
        setattr(cls, f"test_{tools.SCENARIOS[name].__name__}", test)
    return cls


@add_tests
class AsFunctions(Scenarios):
    flavour = tools.Functions()


@add_tests
class AsCoroutines(Scenarios):
    flavour = tools.Coroutines()


@quick.once
@add_tests
class AtRandomAsFunctions(Scenarios):
    flavour, seed, share = tools.Functions(), SEED, 4


@quick.once
@add_tests
class AtRandomAsCoroutines(Scenarios):
    flavour, seed, share = tools.Coroutines(), SEED, 4


class Complete(unittest.TestCase):
    """No statement goes missing, and nothing passes that did not run."""

    def test_every_statement_runs_or_has_its_reason(self):
        for name, why in LEFT_OUT.items():
            print(f"left out: {name} {tools.statements()[name]}: {why}")
        self.assertEqual(len(wanted()), 122)
        self.assertEqual(sorted([*tools.SCENARIOS, *LEFT_OUT]), sorted(wanted()))
        for cls in (AsFunctions, AsCoroutines, AtRandomAsFunctions, AtRandomAsCoroutines):
            found = unittest.defaultTestLoader.getTestCaseNames(cls)
            self.assertEqual(len(found), len(tools.SCENARIOS))

    def test_faults_are_found(self):
        async def dies(f):
            raise mote.Exit("by accident")

        async def hangs(f):
            await f.forever()

        async def of_another_flavour(f):
            await (mote.aio.receive("x", timeout=0) if f.own_stacks else AsFunctions.flavour.receive("x", timeout=0))

        planted = {dies: "harness_died,by accident", hangs: "hang", of_another_flavour: "harness_died,.*RuntimeError"}
        for flavour in (AsFunctions.flavour, AsCoroutines.flavour):
            for function, line in planted.items():
                limit = 0.1 if function is hangs else tools.SCENARIO_LIMIT
                with unittest.mock.patch.dict(tools.SCENARIOS, Z01=function), unittest.mock.patch.object(tools, "SCENARIO_LIMIT", limit):
                    self.assertRegex(tools.run("Z01", flavour), line)

    def test_words_are_compared(self):
        self.assertTrue(tools.agree("x,untested", "x,y"))
        for got, want in (("x", "y"), ("x", "x,y"), ("untested", "x"), ("untested,untested", "x,y"), ("violations:0:one_sided", "violations:0:both")):
            self.assertFalse(tools.agree(got, want), got)


if __name__ == "__main__":
    unittest.main()
