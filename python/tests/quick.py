# SPDX-License-Identifier: Apache-2.0
"""For tests that take long and are not about the interpreter: run.py --quick leaves them out, or has them do less."""
import os
import unittest

QUICK = bool(os.environ.get("MOTE_TEST_QUICK"))

once = unittest.skipIf(QUICK, "another interpreter runs it")
