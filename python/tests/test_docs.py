# SPDX-License-Identifier: Apache-2.0
"""The examples of the pages about Python run, and print what their comments say."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import quick

DOCS = pathlib.Path(__file__).resolve().parents[2]
PAGES = [DOCS / "README.md", *(DOCS / "docs" / f"{name}.md" for name in ("python", "workers", "from-asyncio", "from-threads", "from-erlang", "cluster"))]


class Examples(unittest.TestCase):
    @quick.once
    def test_pages(self):
        found = 0
        for page in PAGES:
            for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)):
                if re.match(r"# \w+\.py\n", code):  # a file of several: see test_cluster.py
                    continue
                if sys.version_info < (3, 10) and re.search(r"^\s*match ", code, re.M):
                    continue
                with self.subTest(page=page.name, example=number + 1):
                    found += 1
                    done = self.run_example(code)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(done.stdout.splitlines()[: len(self.promised(code))], self.promised(code))
        self.assertGreater(found, 3)

    @staticmethod
    def run_example(code):
        if "__name__" not in code:
            return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        with tempfile.TemporaryDirectory() as folder:  # a program that is imported by others is a file
            path = pathlib.Path(folder, "program.py")
            path.write_text(code, encoding="utf-8")
            return subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False)

    @staticmethod
    def promised(code):
        return re.findall(r"^\s*print\(.*\)  # (.*)$", code, re.M)


if __name__ == "__main__":
    unittest.main()
