# SPDX-License-Identifier: Apache-2.0
"""The examples of the pages about Python run, and print what their comments say."""
import pathlib
import re
import subprocess
import sys
import unittest

DOCS = pathlib.Path(__file__).resolve().parents[2]
PAGES = [DOCS / "README.md", *(DOCS / "docs" / f"{name}.md" for name in ("python", "from-asyncio", "from-threads", "from-erlang"))]


class Examples(unittest.TestCase):
    def test_pages(self):
        found = 0
        for page in PAGES:
            for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)):
                if sys.version_info < (3, 10) and re.search(r"^\s*match ", code, re.M):
                    continue
                with self.subTest(page=page.name, example=number + 1):
                    found += 1
                    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(done.stdout.splitlines()[: len(self.promised(code))], self.promised(code))
        self.assertGreater(found, 3)

    @staticmethod
    def promised(code):
        return re.findall(r"^\s*print\(.*\)  # (.*)$", code, re.M)


if __name__ == "__main__":
    unittest.main()
