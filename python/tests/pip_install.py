#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the package with pip, in a new virtual environment and without network, and looks at what came of it:  pip_install.py PYTHON BUILD_DIR

BUILD_DIR is where the wheel is built; it is kept, so that a second run is quick. Tells in TAP.
"""
import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

TREE = pathlib.Path(__file__).resolve().parents[2]
LIBC = re.compile(r"(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread)\.so(\.\d+)*")
USE = """
import mote
def echo():
    sender, what = mote.receive()
    mote.send(sender, what)
pid = mote.spawn(echo)
mote.send(pid, (mote.self(), 2 ** 100))
assert mote.receive(timeout=60) == 2 ** 100
from mote import _mote
print(_mote.__file__)
"""


class Steps:
    """The venv, and what each step leaves for the next."""

    def __init__(self, python, build, folder):
        self.python = python
        self.build = build
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        self.env.update(PYTHONDONTWRITEBYTECODE="1", PIP_NO_INDEX="1", PIP_CONFIG_FILE="/dev/null", PIP_DISABLE_PIP_VERSION_CHECK="1",
                        http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
        self.extension = None

    def run(self, *command):
        done = subprocess.run(list(map(str, command)), env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: code {done.returncode}\n{done.stdout}"
        return done.stdout

    def pip(self, *args):
        return self.run(self.bin / "pip", *args)

    def wheel(self, name, *options):
        out = self.folder / name
        self.pip("wheel", "--no-deps", *options, "--config-settings", f"build-dir={self.build}", "-w", out, TREE)
        return next(out.glob("*.whl"))

    def step_virtual_environment(self):
        self.run(self.python, "-m", "venv", self.folder / "venv")

    def step_pip_install(self):
        self.pip("install", "--no-deps", "--config-settings", f"build-dir={self.build}", TREE)
        self.pip("check")

    def step_installed_package_works(self):
        self.extension = pathlib.Path(self.run(self.bin / "python", "-c", USE).strip().splitlines()[-1])
        assert self.folder in self.extension.parents, self.extension

    def step_command_works(self):
        version = self.run(self.bin / "python", "-c", "import mote; print('mote', mote.__version__)")
        assert self.run(self.bin / "mote", "--version") == self.run(self.bin / "python", "-m", "mote", "--version") == version, version
        program = self.folder / "program.py"
        program.write_text("import mote, sys\nprint(mote.node(), sys.argv[1:], sys.path[0])\n")
        told = self.run(self.bin / "mote", "run", "--no-epmd", "--cookie-file", self.folder / "cookie", program, "x")
        assert told == f"program@127.0.0.1 ['x'] {self.folder}\n", told

    def step_libraries_are_its_own(self):
        told = self.run("ldd", self.extension)
        others = {name: path for name, path in re.findall(r"^\s*(\S+) => (.*?)(?: \(0x\w+\))?$", told, re.M) if not LIBC.fullmatch(name)}
        assert set(name.split(".")[0] for name in others) == {"libgmp"}, told
        assert all(self.folder in pathlib.Path(os.path.normpath(path)).parents for path in others.values()), told

    def step_wheel_is_the_same_again(self):
        one, two = self.wheel("one"), self.wheel("two", "--no-build-isolation")
        assert one.name == two.name and one.read_bytes() == two.read_bytes(), f"{one} and {two} differ"

    def step_wheel_record_is_right(self):
        with zipfile.ZipFile(next((self.folder / "one").glob("*.whl"))) as wheel:
            record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
            lines = [line.rsplit(",", 2) for line in wheel.read(record).decode().splitlines()]
            assert [name for name, _, _ in lines] == wheel.namelist()
            for name, digest, size in lines[:-1]:
                content = wheel.read(name)
                wanted = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                assert (digest, int(size)) == (wanted, len(content)), name
            assert lines[-1] == [record, "", ""]
            assert not [entry.filename for entry in wheel.infolist() if entry.date_time[0] != 1980]

    def step_uninstall_leaves_nothing(self):
        self.pip("uninstall", "-y", "mote")
        left = [path for path in self.extension.parents[1].glob("mote*") if any(one.suffix != ".pyc" for one in path.rglob("*") if one.is_file())]
        assert not left, left


def main(python, build):
    names = [name for name in vars(Steps) if name.startswith("step_")]
    print(f"1..{len(names)}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="mote-pip-") as folder:
        steps = Steps(python, pathlib.Path(build).resolve(), pathlib.Path(folder).resolve())
        for n, name in enumerate(names, 1):
            why = "a step before it has failed" if failed else None
            try:
                if not failed:
                    getattr(steps, name)()
            except (AssertionError, OSError, StopIteration) as fault:
                why = str(fault) or repr(fault)
            for line in (why or "").splitlines():
                print("#", line)
            failed |= why is not None
            print(f"{'not ' if why is not None else ''}ok {n} - {name[5:].replace('_', ' ')}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
