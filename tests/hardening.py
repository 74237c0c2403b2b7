#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that what was built is hardened:  tests/hardening.py FILE...   (shared libraries and programs; needs readelf)"""
import re
import subprocess
import sys


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], capture_output=True, text=True, check=True).stdout


def checks(path):
    """(what, whether it holds) of one file."""
    kind, segments, dynamic, symbols = (readelf(path, option) for option in ("-h", "-l", "-d", "--dyn-syms"))
    stack = re.search(r"GNU_STACK\s.*?\s([RWE ]{3})\s", segments)
    yield "relocations are read-only after start (RELRO)", "GNU_RELRO" in segments
    yield "all symbols are bound at start (NOW)", bool(re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic))
    yield "the code is position-independent (PIE or shared)", bool(re.search(r"Type:\s+DYN", kind))
    yield "no text relocations", "TEXTREL" not in dynamic
    yield "the stack is not executable", bool(stack) and "E" not in stack[1]
    yield "no segment is writable and executable", not re.search(r"^\s+LOAD\s.*\sRWE\s", segments, re.M)
    yield "stack protector", "__stack_chk_" in symbols
    yield "checked libc functions (FORTIFY)", bool(re.search(r"\b__(?!stack_chk)\w+_chk\b", symbols))


def main(paths):
    results = [(f"{path.rsplit('/', 1)[-1]}: {what}", good) for path in paths for what, good in checks(path)]
    print(f"1..{len(results)}")
    for n, (what, good) in enumerate(results, 1):
        print(f'{"" if good else "not "}ok {n} - {what}')
    return 0 if all(good for _, good in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
