# SPDX-License-Identifier: Apache-2.0
"""The package as it was built: its files, its version, the names in its stub, the symbols it exports."""
import ast
import pathlib
import re
import shutil
import subprocess
import unittest

import mote
from mote import _mote

TREE = pathlib.Path(__file__).resolve().parents[2]
SOURCE = TREE / "python" / "mote"
BUILT = pathlib.Path(mote.__file__).resolve().parent


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".py", ".pyi") or path.name == "py.typed"}


def stub_names():
    """The names that _mote.pyi gives the module: not imports, not its own helpers."""
    names = set()
    for node in ast.parse((SOURCE / "_mote.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
    return names


class Package(unittest.TestCase):
    def test_has_all_files(self):
        self.assertEqual(files(BUILT), files(SOURCE), "name new files in python/mote/meson.build; make clean takes old ones away")

    def test_files_are_the_sources(self):
        for name in files(SOURCE):
            with self.subTest(name):
                self.assertEqual((BUILT / name).read_bytes(), (SOURCE / name).read_bytes())

    def test_version_is_the_projects(self):
        project = (TREE / "meson.build").read_text(encoding="utf-8")
        self.assertEqual(mote.__version__, re.search(r"\bversion: '([^']+)'", project)[1])

    def test_all_names_exist(self):
        for name in mote.__all__:
            with self.subTest(name):
                self.assertTrue(hasattr(mote, name))

    def test_stub_has_the_modules_names(self):
        self.assertEqual({name for name in stub_names() if not name.startswith("_")}, {name for name in dir(_mote) if not name.startswith("_")})
        self.assertEqual([name for name in stub_names() if not hasattr(_mote, name)], [])

    @unittest.skipUnless(shutil.which("nm"), "there is no nm (Debian: binutils)")
    def test_extension_exports_nothing_else(self):
        told = subprocess.run(["nm", "-D", "--defined-only", _mote.__file__], capture_output=True, text=True, check=True).stdout
        self.assertEqual([line.split()[-1] for line in told.splitlines()], ["PyInit__mote"])


if __name__ == "__main__":
    unittest.main()
