#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles and runs the C examples of README.md and of the pages under docs/.

  tests/readme.py [--cc "CC ARGS"] [--library FILE]      without the library, programs are compiled but not run

A block that begins with ```c and
  - has a main() is a program: it must compile without a warning, run and return 0; when a ```text block follows it
    directly, that is exactly what it prints;
  - defines functions or types is compiled as a file of its own;
  - else is a fragment, compiled as the body of a function in which the names of FRAGMENT are known.
docs/reference.md is made from the header and left out.
"""
import argparse
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS_MAX = 120
HEAD = """#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <mote/mote.h>
"""
FRAGMENT = """
void work(mote_self *self, mote_term arg);
void work_context(void *context);
void fragment(mote_self *self, mote_runtime *runtime, mote_arena *arena, mote_term message, mote_pid to, mote_ref ref, void *context,
              int fd);
void fragment(mote_self *self, mote_runtime *runtime, mote_arena *arena, mote_term message, mote_pid to, mote_ref ref, void *context,
              int fd) {
    (void)self, (void)runtime, (void)arena, (void)message, (void)to, (void)ref, (void)context, (void)fd;
    mote_err err = MOTE_OK;
    (void)err;
#line %d
%s
}
"""
WARNINGS = ["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror"]
LOOSE = ["-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-unused-function", "-Wno-unused-parameter"]


def blocks(path):
    """(line, text, expected output or None) of each C block."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^```c\n(.*?)^```\n(?:\n*```text\n(.*?)^```$)?", text, re.M | re.S):
        yield text[: match.start()].count("\n") + 2, match[1], match[2]


def kind(code):
    if re.search(r"^int main\(", code, re.M):
        return "program"
    return "file" if re.search(r"^(static|struct|typedef|enum|#|(?!while|if|for|switch|else|do)\w[\w *]*\([^;]*\) \{$)", code, re.M) else "fragment"


def compile_and_run(path, block, options, directory):
    """What is wrong with a block, or None."""
    line, code, expected = block
    source, program = directory / "example.c", directory / "example"
    what = kind(code)
    if what == "program":
        source.write_text(f"#line {line}\n{code}", encoding="utf-8")
    elif what == "file":
        source.write_text(f"{HEAD}#line {line}\n{code}", encoding="utf-8")
    else:
        source.write_text(HEAD + FRAGMENT % (line, code), encoding="utf-8")
    command = [*options.cc, *WARNINGS, *(LOOSE if what != "program" else []), f"-I{ROOT}/include", str(source)]
    if what == "program" and options.library:
        place = options.library.resolve().parent
        command += ["-o", str(program), f"-L{place}", "-lmote", f"-Wl,-rpath,{place}"]
    else:
        command += ["-c", "-o", str(program) + ".o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"does not compile (line numbers are those of {path.name}):\n{done.stderr}"
    if what != "program" or not options.library:
        return None
    try:
        ran = subprocess.run([program], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return f"does not end within {SECONDS_MAX} s"
    if ran.returncode:
        return f"ends with code {ran.returncode}:\n{ran.stdout}{ran.stderr}"
    if expected is not None and ran.stdout != expected:
        return f"prints:\n{ran.stdout}and not what the text block below it says:\n{expected}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cc", type=shlex.split, default=["cc"])
    parser.add_argument("--library", type=pathlib.Path)
    options = parser.parse_args()
    paths = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.name != "reference.md")]
    examples = [(path, block) for path in paths for block in blocks(path)]
    failed = 0
    print(f"1..{len(examples)}")
    for n, (path, block) in enumerate(examples, 1):
        with tempfile.TemporaryDirectory() as directory:
            fault = compile_and_run(path, block, options, pathlib.Path(directory))
        if fault:
            print("\n".join(f"# {line}" for line in fault.splitlines()))
        print(f'{"not " if fault else ""}ok {n} - {path.relative_to(ROOT)}:{block[0]} ({kind(block[1])})', flush=True)
        failed += bool(fault)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
