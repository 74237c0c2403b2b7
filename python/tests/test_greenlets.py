# SPDX-License-Identifier: Apache-2.0
"""Functions on greenlets, as where the extension has no stacks for them: the other tests again, in a program that is told to do so."""
import importlib.util
import os
import subprocess
import sys
import unittest
from pathlib import Path

import quick

PATIENCE = 300
AGAIN = ["test_process.Functions", "test_process.Misuse", "test_process.Both", "test_server", "test_task.Tasks", "test_task.Scopes", "test_candygram"]


def program(*args, **env):
    env = {**os.environ, "MOTE_STACKS": "greenlet", "PYTHONPATH": os.pathsep.join(sys.path), **env}
    return subprocess.run([sys.executable, *args], cwd=Path(__file__).parent, env=env, capture_output=True, text=True, timeout=PATIENCE)


@unittest.skipIf(os.environ.get("MOTE_TEST_UNDER") == "asan", "greenlet copies stacks, which AddressSanitizer takes for a mistake")
@unittest.skipUnless(importlib.util.find_spec("greenlet"), "no greenlet here")
class Greenlets(unittest.TestCase):
    def test_functions_are_greenlets(self):
        text = """
import greenlet, mote
def function(to):
    mote.send(to, (greenlet.getcurrent().parent is not None, mote.receive(("n", int))))
pid = mote.spawn(function, mote.self())
mote.send(pid, ("other", 1))
mote.send(pid, ("n", 2))
print(mote.receive(timeout=30))
"""
        self.assertEqual(program("-c", text).stdout, "(True, ('n', 2))\n")

    def test_kill_and_finally(self):
        text = """
import mote
def function(to):
    try:
        mote.send(to, "begun")
        mote.receive()
    finally:
        mote.send(to, "cleaned")
for end in (mote.kill, lambda pid: mote.exit(pid, "enough")):
    pid, ref = mote.spawn_monitor(function, mote.self())
    mote.receive("begun", timeout=30)
    end(pid)
    print(mote.receive("cleaned", timeout=30), mote.receive(mote.Down, timeout=30).reason)
"""
        self.assertEqual(program("-c", text).stdout.split("\n")[:2], ["cleaned killed", "cleaned enough"])

    @quick.once
    def test_the_others_again(self):
        done = program("-m", "unittest", "-q", *AGAIN)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"Ran 1[0-9]{2} tests")


class Without(unittest.TestCase):
    def test_it_is_said(self):
        text = "import sys\nsys.modules['greenlet'] = None\nimport mote\ntry:\n    mote.spawn(lambda: 1)\nexcept mote.MoteError as e:\n    print(e)"
        self.assertIn("install it, or use `async def`", program("-c", text).stdout)
