# SPDX-License-Identifier: Apache-2.0
"""Processes that hold the interpreter: how they are told of, and how they are ended."""
import subprocess
import sys
import threading
import time
import unittest

import mote
import quick

PATIENCE = 60
GO_ON = []   # their loops may end
CAUGHT = []  # how often they have caught their end


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


# From 3.11 on an exception that comes from outside at the end of a loop is not always caught by the try around it in the same function: so loops stand
# in functions of their own.


def spin():
    n = 0
    while not GO_ON:
        n += 1


def f_hog(to):
    try:
        mote.send(to, "on")
        spin()
    except mote.ProcessExit as e:
        mote.send(to, ("told", e.reason, type(e) is mote.ProcessExit))
        raise
    finally:
        mote.send(to, "finally")


async def c_hog(to):
    try:
        mote.send(to, "on")
        spin()
    except mote.ProcessExit as e:
        mote.send(to, ("told", e.reason, type(e) is mote.ProcessExit))
        raise
    finally:
        mote.send(to, "finally")


def f_stubborn(to):
    told = False
    while True:
        try:
            if not told:
                told = True
                mote.send(to, "on")
            spin()
        except BaseException:
            CAUGHT.append(1)


async def c_stubborn(to):
    told = False
    while True:
        try:
            if not told:
                told = True
                mote.send(to, "on")
            spin()
        except BaseException:
            CAUGHT.append(1)


def f_traps(to):
    mote.trap_exit()
    mote.send(to, "on")
    spin()
    mote.send(to, mote.receive(timeout=PATIENCE))


async def c_traps(to):
    mote.trap_exit()
    mote.send(to, "on")
    spin()
    mote.send(to, await mote.aio.receive(timeout=PATIENCE))


def f_ignores(to):
    mote.send(to, "on")
    spin()
    mote.send(to, "went on")


async def c_ignores(to):
    mote.send(to, "on")
    spin()
    mote.send(to, "went on")


def f_waits_then(to):
    try:
        mote.send(to, "on")
        spin()
        mote.receive()
    except mote.ProcessExit as e:
        mote.send(to, e.reason)


async def c_waits_then(to):
    try:
        mote.send(to, "on")
        spin()
        await mote.aio.receive()
    except mote.ProcessExit as e:
        mote.send(to, e.reason)


def f_turns(to, seconds):
    while mote.receive(timeout=0, default=None) is None:
        busy(seconds)
        mote.sleep(0)
    mote.send(to, "unhurt")


async def c_turns(to, seconds):
    while await mote.aio.receive(timeout=0, default=None) is None:
        busy(seconds)
        await mote.aio.sleep(0)
    mote.send(to, "unhurt")


class Ending(unittest.TestCase):
    def both(self, name):
        return [globals()[flavour + name] for flavour in ("f_", "c_")]

    def setUp(self):
        GO_ON.clear()
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def start(self, body):
        pid, ref = mote.spawn_monitor(body, mote.self())
        mote.receive("on", timeout=PATIENCE)
        return pid, ref

    def reason(self, ref):
        return mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)[4]

    def test_kill(self):
        for hog in self.both("hog"):
            pid, ref = self.start(hog)
            mote.kill(pid)
            self.assertEqual(mote.receive(("told", mote.ANY, mote.ANY), timeout=PATIENCE), ("told", "killed", True))
            self.assertEqual(mote.receive(timeout=PATIENCE), "finally")
            self.assertEqual(self.reason(ref), "killed")

    def test_exit(self):
        for hog in self.both("hog"):
            pid, ref = self.start(hog)
            mote.exit(pid, ("enough", 1))
            self.assertEqual(mote.receive(("told", mote.ANY, mote.ANY), timeout=PATIENCE), ("told", ("enough", 1), True))
            self.assertEqual(mote.receive(timeout=PATIENCE), "finally")
            self.assertEqual(self.reason(ref), ("enough", 1))

    def test_by_a_timer(self):
        for hog in self.both("hog"):
            pid, ref = self.start(hog)
            killer = threading.Timer(0.02, mote.kill, [pid])
            killer.start()
            self.assertEqual(self.reason(ref), "killed")
            killer.join()

    def test_who_catches_every_end_is_ended(self):
        for stubborn in self.both("stubborn"):
            pid, ref = self.start(stubborn)
            mote.kill(pid)
            self.assertEqual(self.reason(ref), "killed")
            self.assertGreater(len(CAUGHT), 1)
            self.assertLess(len(CAUGHT), 20)
            CAUGHT.clear()

    def test_who_traps_goes_on(self):
        for traps in self.both("traps"):
            pid, ref = self.start(traps)
            mote.exit(pid, "not for long")
            busy(0.05)
            self.assertEqual(mote.receive(timeout=0.05, default="it runs"), "it runs")
            GO_ON.append(1)
            self.assertEqual(mote.receive(("EXIT", mote.ANY, mote.ANY), timeout=PATIENCE).reason, "not for long")
            self.assertEqual(self.reason(ref), "normal")
            GO_ON.clear()

    def test_normal_is_ignored(self):
        for ignores in self.both("ignores"):
            pid, ref = self.start(ignores)
            mote.exit(pid, "normal")
            mote.send(pid, "a message is no reason either")
            self.assertEqual(mote.receive(timeout=0.05, default="it runs"), "it runs")
            GO_ON.append(1)
            self.assertEqual(mote.receive(timeout=PATIENCE), "went on")
            self.assertEqual(self.reason(ref), "normal")
            GO_ON.clear()

    def test_who_waits_in_the_end_is_told_there(self):
        for waits in self.both("waits_then"):
            for _ in range(20):  # the exception is under way, or it is not
                pid, ref = self.start(waits)
                mote.exit(pid, "now")
                busy(0.008)
                GO_ON.append(1)
                self.assertEqual(mote.receive("now", timeout=PATIENCE), "now")
                self.assertEqual(self.reason(ref), "now")
                GO_ON.clear()

    def test_nobody_gets_anothers(self):
        """Turns of about the length after which an exception is thrown: it is raised, or taken back; innocents run between."""
        innocents = [mote.spawn_monitor(turns, mote.self(), seconds) for turns in self.both("turns") for seconds in (0.001, 0.012)]
        for n in range(12 if quick.QUICK else 30):
            turns = self.both("turns")[n % 2]
            pid, ref = mote.spawn_monitor(turns, mote.self(), 0.010 + n % 6 * 0.001)
            busy(0.01 * (n % 4))
            mote.kill(pid)
            self.assertEqual(self.reason(ref), "killed")
        for pid, _ in innocents:
            mote.send(pid, "stop")
        for _, ref in innocents:
            mote.receive("unhurt", timeout=PATIENCE)
            self.assertEqual(self.reason(ref), "normal")


class Report(unittest.TestCase):
    """In interpreters of their own, for what they write on stderr."""

    BUSY = """
import mote, sys, time
class Said:
    "stderr, and whether a report has come"
    hog = False
    def __init__(self, to): self.to = to
    def write(self, text):
        self.hog = self.hog or "has held" in text
        return self.to.write(text)
    def flush(self): self.to.flush()
said = sys.stderr = Said(sys.stderr)
def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
def until_told():
    late = time.monotonic() + 50
    while not said.hog and time.monotonic() < late: busy(0.01)
def crunch(to, seconds=0.4):
    busy(seconds)
    until_told()
    busy(0.2)  # it is not told of again
    mote.send(to, "done")
async def acrunch(to, seconds=0.4):
    busy(seconds)
    until_told()
    busy(0.2)
    mote.send(to, "done")
def short(to):
    busy(0.4)
    mote.send(to, "done")
def often(to):
    late = time.monotonic() + 50
    while node.info().hogs < 12 and time.monotonic() < late:
        busy(0.08)
        mote.sleep(0)
    mote.send(to, "done")
"""

    def run_program(self, program):
        done = subprocess.run([sys.executable, "-c", self.BUSY + program], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_once_with_name_and_stack(self):
        for body in ("crunch", "acrunch"):
            err = self.run_program(f"mote.options(name='cruncher').spawn({body}, mote.self())\nmote.receive('done', timeout=60)\n")
            self.assertEqual(err.count("has held the interpreter for "), 1, err)
            self.assertRegex(err, r"^mote: process <0\.\d+\.\d+> \(cruncher\) has held")
            self.assertIn(f", in {body}\n", err)
            self.assertIn(", in busy\n", err)

    def test_without_a_name_the_functions(self):
        err = self.run_program("mote.spawn(crunch, mote.self())\nmote.receive('done', timeout=60)\n")
        self.assertIn("(crunch) has held", err)

    def test_each_offence_up_to_a_rate(self):
        err = self.run_program(
            "with mote.Node(hog=0.01) as node:\n"
            "    mote.spawn(often, mote.self())\n"
            "    mote.receive('done', timeout=60)\n"
            "    print(node.info().hogs, file=sys.stderr)\n"
        )
        self.assertEqual(err.count("has held the interpreter"), 10, err)
        self.assertGreater(int(err.splitlines()[-1]), 10)

    def test_limits(self):
        self.assertEqual(self.run_program("with mote.Node(hog=None):\n    mote.spawn(short, mote.self())\n    mote.receive('done', timeout=60)\n"), "")
        self.assertEqual(self.run_program("with mote.Node(hog=30):\n    mote.spawn(short, mote.self())\n    mote.receive('done', timeout=60)\n"), "")

    def test_who_only_waits_for_the_interpreter_is_none(self):
        err = self.run_program(
            "def works(to):\n"
            "    while mote.receive(timeout=0, default=None) is None:\n"
            "        busy(0.008)\n"
            "        mote.sleep(0)\n"
            "    mote.send(to, 'done')\n"
            "pid = mote.spawn(works, mote.self())\n"
            "for _ in range(4): sum(range(12_000_000))\n"
            "mote.send(pid, 'stop')\n"
            "mote.receive('done', timeout=60)\n"
        )
        self.assertEqual(err, "")

    def test_who_is_blocked_is_one(self):
        err = self.run_program("def naps(to):\n    while not said.hog: time.sleep(0.4)\n    mote.send(to, 'done')\nmote.spawn(naps, mote.self())\nmote.receive('done', timeout=60)\n")
        self.assertEqual(err.count("(naps) has held the interpreter"), 1, err)
        self.assertIn("time.sleep(0.4)" if sys.version_info >= (3, 13) else "in naps", err)

    def test_through_logging(self):
        err = self.run_program(
            "import logging\n"
            "logging.basicConfig(format='%(levelname)s %(name)s: %(message)s')\n"
            "mote.spawn(crunch, mote.self())\nmote.receive('done', timeout=60)\n"
        )
        self.assertRegex(err, r"^WARNING mote: process <0\.\d+\.\d+> \(crunch\) has held the interpreter")
        self.assertIn(", in busy\n", err)


if __name__ == "__main__":
    unittest.main()
