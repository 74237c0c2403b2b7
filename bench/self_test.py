# SPDX-License-Identifier: Apache-2.0
"""bench/run --self-test: ratios, tables and picture of sample.tsv, and how runs can fail. The sample is written by
hand, with figures that are easy to divide: nobody measured it."""
import importlib.machinery
import importlib.util
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

import picture
import plan
import report

HERE = Path(__file__).resolve().parent


def load_runner():
    """bench/run as a module: its name has no suffix."""
    loader = importlib.machinery.SourceFileLoader("runner", str(HERE / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runner", loader))
    loader.exec_module(module)
    return module


class Reports(unittest.TestCase):
    def setUp(self):
        self.results = report.read(HERE / "sample.tsv")
        self.verdicts = {(v.target.title, v.target.label): v for v in report.verdicts(self.results)}

    def check(self, title, label, value, word):
        verdict = self.verdicts[title, label]
        self.assertEqual(verdict.word, word, title)
        self.assertAlmostEqual(verdict.value, value, 4, title)

    def test_medians(self):
        self.assertEqual(self.results.median("erlang/1/pingpong.same"), 435)
        self.assertEqual(self.results.best("erlang/1/pingpong.same"), 430)
        self.assertEqual(self.results.best("mote/1/bigbin.copy"), 10)
        self.assertIsNone(self.results.median("go/1/bigbin.copy"))

    def test_run_beside_others_does_not_count(self):
        self.assertEqual(self.results.median("mote/1/pingpong.same"), 61)

    def test_run_beside_others_counts_when_there_is_no_better(self):
        results = report.Results()
        for value, foreign in ((10, 0.5), (20, 0.0), (30, 0.6)):
            results.add("mote", 1, "skynet", value, "ms", foreign)
        self.assertEqual(results.median("mote/1/skynet"), 20)

    def test_verdicts(self):
        self.check("ping-pong, one scheduler", "Erlang", 61 / 435, "met")
        self.check("ping-pong, one scheduler", "Go", 61 / 205, "met")
        self.check("100 pairs at once, 1 to 2 schedulers", "S2", 2, "met")
        self.check("ring of 100,000, S2", "the best", 300 / 403, "**missed**")
        self.check("spawn 1M alive, handlers, S1", "the best", 150 / 2900, "met")
        self.check("memory per waiting process, handler", "", 232, "met")
        self.check("memory per waiting process, own stack", "", 4400, "**missed**")
        self.check("call, 10,000 messages ahead or none", "with none", 100 / 90, "met")
        self.check("timer fire, CPU", "", 0, "met")
        self.assertEqual(self.verdicts["ring of 1,000, S1", "Erlang"].word, "not measured")

    def test_every_target_has_a_workload(self):
        measured = {(peer, str(case.schedulers)) for case in plan.cases() for peer in case.peers}
        for target in plan.targets():
            for series in (target.series, *target.over):
                self.assertIn(tuple(series.split("/")[:2]), measured)

    def test_page(self):
        text = report.page(self.results)
        self.assertIn("| ping-pong, one scheduler | 61.0 ns | Erlang 435 | ≤ 0.2 × Erlang | 0.14 | 0.14 | met |", text)
        self.assertIn("| pingpong.same | 1 | ns | 61.0 (60.0) | 41.0 (40.0) | 435 (430) | 205 (200) |", text)
        self.assertIn("round 2: go S2 pairs 100 20000: not done in 90 s", text)
        for block in text.split("\n\n"):
            if block.startswith("|"):
                self.assertEqual(len({line.count("|") for line in block.splitlines()}), 1, block)

    def test_readme(self):
        text = "a\n<!-- numbers -->\nold\n<!-- /numbers -->\nb\n"
        self.assertEqual(report.put_between(text, "new\n"), "a\n<!-- numbers -->\nnew\n<!-- /numbers -->\nb\n")
        for wrong in ("", "<!-- numbers -->", "<!-- /numbers --><!-- numbers -->", text + text):
            with self.assertRaises(ValueError):
                report.put_between(wrong, "new")

    def test_picture(self):
        top = xml.fromstring(picture.draw(self.results))
        name = "{http://www.w3.org/2000/svg}"
        bars = [rect for rect in top.iter(name + "rect") if rect.get("height") == str(picture.BAR)]
        self.assertEqual(len(bars), 18)
        for rect in bars:
            self.assertGreater(float(rect.get("width")), 0)
            self.assertLessEqual(float(rect.get("x")) + float(rect.get("width")), picture.WIDTH)
        self.assertIn("ring of 100,000, per hop, S2", [text.text for text in top.iter(name + "text")])

    def test_picture_of_nothing(self):
        xml.fromstring(picture.draw(report.Results()))
        self.assertIn("0 of", report.page(report.Results()))


class Runs(unittest.TestCase):
    def setUp(self):
        self.runner = load_runner()

    def test_parse(self):
        self.assertEqual(self.runner.parse("noise\nskynet 12.500 ms\nbigbin.copy 9.100 GB/s\n"),
                         [("skynet", 12.5, "ms"), ("bigbin.copy", 9.1, "GB/s")])

    def test_failures(self):
        for command, timeout, message in (("exit 3", 30, "exit code 3"), ("echo why >&2; exit 1", 30, "why"),
                                          ("sleep 60 & wait", 0.2, "not done in 0.2 s")):
            with self.assertRaisesRegex(self.runner.Failed, message):
                self.runner.call(["sh", "-c", command], {}, timeout)
        with self.assertRaisesRegex(self.runner.Failed, "no results"):
            self.runner.parse("nothing\n")


def run():
    """Gives an exit code."""
    suite = unittest.defaultTestLoader.loadTestsFromName(__name__)
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1
