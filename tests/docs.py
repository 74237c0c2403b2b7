#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what is made from the public headers: every public function and macro has a man page that says something and stands in
docs/reference.md, which is up to date; mandoc, where it is installed, finds no fault in the pages. And of the Python package: every public name
has a docstring and stands in docs/reference-python.md, which is up to date.

  tests/docs.py DIR      DIR holds the pages made by the build
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import header
import python_api


def missing_pages(directory):
    for item in (one for one in header.items() if one.callable and one.documented):
        page = directory / f"{item.name}.3"
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        description = text.partition(".Sh DESCRIPTION\n")[2].partition(".Sh")[0]
        if len(description.split()) < 2 or f".Nm {item.name}" not in text:
            yield f"{item.name} ({item.header.name}:{item.line}) has no man page, or one that says nothing: write its comment there"


def missing_entries(_):
    words = set(re.findall(r"\w+", (ROOT / "docs/reference.md").read_text(encoding="utf-8")))
    for item in (one for one in header.items() if one.documented):
        if item.name not in words:
            yield f"{item.name} ({item.header.name}:{item.line}) does not stand in docs/reference.md: run `make docs`"


def stale_reference(_):
    for name in ("reference", "reference-python"):
        command = [sys.executable, ROOT / "scripts/gen-docs", name, "--check", ROOT / f"docs/{name}.md"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield done.stderr.strip()


def python_names(_):
    """Every name of mote's __all__, and mote.exit and mote.self, which are not in it."""
    items = {item.name: item for found in python_api.sections().values() for item in found}
    for name in sorted({*python_api.public(), "exit", "self"} - {"aio"}):
        if name not in items:
            yield f"mote.{name} does not stand in docs/reference-python.md: scripts/python_api.py does not find where it is defined"
    for item in items.values():
        if len(item.doc.split()) < 2:
            yield f"mote.{item.name} has no docstring that says something"
        for one in item.members:
            if len(one.doc.split()) < 2:
                yield f"mote.{item.name}.{one.name} has no docstring"


def dead_links(_):
    """Links between the pages under docs/, and to headings in them."""
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, heading = target.partition("#")
            if "://" in target:
                continue
            other = (path.parent / name) if name else path
            where = path.relative_to(ROOT)
            if not other.exists():
                yield f"{where} links to {target}, which is not there"
            elif heading and heading not in anchors(other):
                yield f"{where} links to {target}, which has no such heading"


def anchors(path):
    text = path.read_text(encoding="utf-8")
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for title in re.findall(r"^#+ (.*)$", text, re.M):
        found.add(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))
    return found


def faults_of_pages(directory):
    if shutil.which("mandoc"):
        pages = [*sorted(directory.glob("*.3")), ROOT / "man/mote.7"]
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], capture_output=True, text=True, check=False)
        yield from done.stdout.splitlines()


def main():
    directory = pathlib.Path(sys.argv[1])
    checks = [missing_pages, missing_entries, stale_reference, python_names, dead_links, faults_of_pages]
    print(f"1..{len(checks)}")
    failed = 0
    for n, check in enumerate(checks, 1):
        faults = list(check(directory))
        for fault in faults:
            print(f"# {fault}")
        print(f'{"not " if faults else ""}ok {n} - {check.__name__.replace("_", " ")}')
        failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
