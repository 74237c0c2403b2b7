#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs an example many times and compares what it prints: examples_test.py hello|counter PROGRAM"""
import subprocess
import sys

EXPECTED = {
    "hello": "hello from another process\n",
    "counter": "the counter says 155\nthe counter has ended at 155\nasked again: MOTE_TIMEOUT\n",
}

name, program = sys.argv[1:]
for run in range(20):
    p = subprocess.run([program], capture_output=True, text=True, timeout=60)
    if (p.returncode, p.stdout, p.stderr) != (0, EXPECTED[name], ""):
        sys.exit(f"{name}, run {run}: exit code {p.returncode}, expected 0 and\n{EXPECTED[name]}\n"
                 f"stdout:\n{p.stdout}\nstderr:\n{p.stderr}")
