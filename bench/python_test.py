# SPDX-License-Identifier: Apache-2.0
"""Every workload of bench/python, small, with every peer that is installed: it prints its name and unit, and wrong usage is refused.

usage: python_test.py PYTHON PACKAGE     the interpreter, and where the package is (build/python)
"""
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import plan_python
import report

sys.path.append(str(HERE.parent / "python" / "tests"))
from said import but_hogs

PYTHON, PACKAGE = sys.argv[1:3]
STANDARD = ("mote", "asyncio", "threads", "multiprocessing")  # need no package
SECONDS, PROCESSES = "0.01", "200"


def run(*words):
    env = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([PYTHON, *words], capture_output=True, text=True, timeout=600, check=False, env=env)


class Workloads(unittest.TestCase):
    def setUp(self):
        if run("-c", "import sys; sys.exit(sys.version_info < (3, 10))").returncode:
            self.skipTest("the workloads use match, which Python 3.10 brought")

    def check(self, peer, workload):
        counted = workload.startswith(("memory", "gc", "map"))
        got = run(str(HERE / "python" / f"{peer}_bench.py"), workload, PROCESSES if counted else "1" if workload == "start" else SECONDS)
        self.assertEqual((got.returncode, but_hogs(got.stderr)), (0, ""))
        lines = [re.fullmatch(r"(\S+) (-?\d+\.\d{3}) (\S+)", line) for line in got.stdout.splitlines()]
        self.assertNotIn(None, lines, got.stdout)
        unit = "bytes" if workload.startswith("memory") else "ms" if workload.startswith(("gc", "start")) else "times" if workload == "speedup" else "ns"
        names = [workload, workload + ".tables"] if unit == "bytes" else [workload]
        self.assertEqual([(line[1], line[3]) for line in lines], [(name, unit) for name in names])
        if unit == "ns":
            self.assertGreater(float(lines[0][2]), 0)

    def test_all(self):
        for case in plan_python.cases():
            for peer in case.peers:
                with self.subTest(peer, workload=case.full):
                    if peer not in STANDARD and run("-c", f"import {peer}").returncode:
                        continue
                    self.check(peer, case.full.split()[0])

    def test_refused(self):
        for words in ([], ["pingpong.coroutine"], ["nothing", "1"]):
            got = run(str(HERE / "python" / "mote_bench.py"), *words)
            self.assertEqual((got.returncode, got.stdout), (1, ""))
            self.assertIn("workloads: pingpong.coroutine", got.stderr)

    def test_quick_is_the_same(self):
        for case in plan_python.cases():
            self.assertEqual(case.full.split()[0], case.quick.split()[0])


class Page(unittest.TestCase):
    def test_every_target_has_a_workload(self):
        measured = {f"{peer}/{case.schedulers}/{case.full.split()[0]}" for case in plan_python.cases() for peer in case.peers}
        for target in plan_python.targets():
            self.assertLessEqual({target.series, *target.over}, measured)

    def test_page(self):
        results = report.Results(plan_python)
        for peer, value in (("mote", 100), ("asyncio", 4000), ("uvloop", 3000)):
            results.add(peer, 1, "pingpong.coroutine", value, "ns", 0.0)
        text = report.page(results)
        self.assertIn("| ping-pong, coroutines, per message | 100 ns | asyncio 4,000 | ≤ 0.05 × asyncio | 0.03 | 0.03 | met |", text)
        self.assertIn("| name | unit | mote | asyncio | uvloop |", text)
        self.assertIn("(benchmarks-python.md)", report.readme_part(results))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
