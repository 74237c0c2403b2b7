# SPDX-License-Identifier: Apache-2.0
"""Erlang's scenarios with the parties in two workers, two OS processes: they print what they print in one. Each as functions and as coroutines, and once more with
turns that end at random. MOTE_TEST_SEED is the seed of these, CONF_N scales all rounds."""
import os
import unittest
import unittest.mock

import mote
import quick
from mote import _mote

from conformance import across, tools

SEED = int(os.environ.get("MOTE_TEST_SEED", "20261125"))
LARGE = ("J04", "F04")  # a hundred thousand processes: so many once, with the turns that there are
SCENARIOS = [name for name in tools.statements() if name in tools.SCENARIOS and name[0] != "M"]  # supervisors do not place their children


class Scenarios(unittest.TestCase):
    """All of a flavour, on a node of their own. Subclasses have `flavour`, `seed` (0: turns end where they end) and `share` (a part of the rounds)."""

    seed, share = 0, 8

    @classmethod
    def setUpClass(cls):
        tools.Scale.share = cls.share
        _mote.stop()
        across.begin(cls.seed)

    @classmethod
    def tearDownClass(cls):
        across.end()
        tools.Scale.share = 1


def add_tests(cls):
    """A test for each scenario."""
    for name in SCENARIOS:

        def test(self, name=name):
            if name in LARGE and (self.seed or quick.QUICK):
                self.skipTest("it is about numbers: others run it")
            across.Across.crossings = 0
            got, want = tools.run(name, self.flavour), tools.expected()[name]
            self.assertTrue(tools.agree(got, want), f"{name} printed {got}, not {want} (seed {self.seed})")
            self.assertIsNone(across.misplaced(name, across.Across.crossings), name)

        test.__doc__ = f"{name} {tools.statements()[name]}"
        setattr(cls, f"test_{tools.SCENARIOS[name].__name__}", test)
    return cls


@add_tests
class AsFunctions(Scenarios):
    flavour = across.FLAVOURS["functions across"]


@add_tests
class AsCoroutines(Scenarios):
    flavour = across.FLAVOURS["coroutines across"]


@quick.once
@add_tests
class AtRandomAsFunctions(Scenarios):
    flavour, seed, share = AsFunctions.flavour, SEED, 16


@quick.once
@add_tests
class AtRandomAsCoroutines(Scenarios):
    flavour, seed, share = AsCoroutines.flavour, SEED, 16


class Complete(Scenarios):
    """Nothing passes whose parties were in one worker."""

    flavour = AsFunctions.flavour

    def test_so_many_cross(self):
        for name, why in across.HERE.items():
            print(f"in one worker: {name} {tools.statements()[name]}: {why}")
        self.assertEqual(len(SCENARIOS), 114)
        self.assertEqual(len(set(SCENARIOS) - set(across.HERE)), 101)

    def test_parties_in_one_worker_are_found(self):
        async def stays(f):
            pid = f.idle_here()
            mote.kill(pid)
            return await f.gone(pid)

        async def crosses(f):
            await f.dead()

        for flavour in across.FLAVOURS.values():
            for function, found in ((stays, "nothing crossed"), (crosses, None)):
                across.Across.crossings = 0
                with unittest.mock.patch.dict(tools.SCENARIOS, Z01=function):
                    tools.run("Z01", flavour)
                self.assertEqual(across.misplaced("Z01", across.Across.crossings), found)
            self.assertEqual(across.misplaced("A09", 1), "it crosses after all")
            with self.assertRaises(AssertionError):  # the starter is of this worker, too
                across.arrived(mote.self(), across.packed(flavour.ends))

    def test_bodies_arrive_as_they_were(self):
        flavour, word = self.flavour, "word"

        async def inner():
            return word

        async def outer(n):
            return [await inner(), flavour.name, word, n] + (await outer(n - 1) if n else [])

        self.assertEqual(across.unpacked(across.packed(flavour.idle)), flavour.idle)
        self.assertEqual(tools.drive(across.unpacked(across.packed(outer))(1)), ["word", flavour.name, "word", 1, "word", flavour.name, "word", 0])


if __name__ == "__main__":
    unittest.main()
