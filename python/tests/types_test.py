#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks with mypy --strict what stands in typed/: what is right passes, each line marked `# wrong: text` is found, and nothing else:
  types_test.py PACKAGE
Tells each file in TAP; without mypy it says that and passes.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FILES = sorted((pathlib.Path(__file__).resolve().parent / "typed").glob("*.py"))


def found_by_mypy(path, package):
    """{line: messages}"""
    with tempfile.TemporaryDirectory() as cache:
        command = ["mypy", "--strict", "--config-file=", "--python-version", "3.9", "--no-error-summary", "--cache-dir", cache, path]
        told = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": package}, timeout=300)
    found = {}
    for line in (told.stdout + told.stderr).splitlines():
        match = re.match(r"([^:]+):(\d+): error: (.*)", line)
        if match and pathlib.Path(match[1]).name != path.name:
            raise SystemExit(f"mypy says of another file: {line}")
        if match:
            found.setdefault(int(match[2]), []).append(match[3])
        elif ": note: " not in line:
            raise SystemExit(f"mypy says: {line}")
    return found


def differences(path, package):
    wanted = {n: match[1] for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) for match in [re.search(r"# wrong: (.*)", line)] if match}
    found = found_by_mypy(path, package)
    if not wanted:
        yield "nothing in it is wrong: the check would not find that mypy does not look"
    for n in sorted({*wanted, *found}):
        told = "; ".join(found.get(n, ["nothing"]))
        if wanted.get(n, "(nothing)") not in told:
            yield f"{path.name}:{n}: expected {wanted.get(n, 'nothing')!r}, mypy says {told}"


def main(package):
    print(f"1..{len(FILES)}")
    failed = False
    for number, path in enumerate(FILES, 1):
        if shutil.which("mypy") is None:
            print(f"ok {number} - {path.stem} # SKIP there is no mypy (Debian: mypy)")
            continue
        found = list(differences(path, package))
        for one in found:
            print("#", one, file=sys.stderr)
        failed |= bool(found)
        print(f"{'not ' if found else ''}ok {number} - {path.stem}", flush=True)
    return 1 if failed or not FILES else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
