# SPDX-License-Identifier: Apache-2.0
"""For tests that take long and are not about the interpreter: run.py --quick leaves them out, or has them do less."""
import os
import unittest

QUICK = bool(os.environ.get("MOTE_TEST_QUICK"))



def for_the_ends():
    """A file that says so is about processes and programs more than about the interpreter: --between leaves it out, for the oldest, the newest and the system's interpreter run it."""
    if os.environ.get("MOTE_TEST_QUICK") == "between":
        raise unittest.SkipTest("the oldest and the newest interpreter run it")


once = unittest.skipIf(QUICK, "another interpreter runs it")
