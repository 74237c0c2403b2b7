#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long `import mote` takes, without the interpreter's own start:  import_time.py PACKAGE PYTHON...

The median of 5 starts with it less the median of 5 without, in turns, in time of the processor: others on the machine do not count. A busy
machine gets three tries all the same, and a slow one twice its bare start. Tells each PYTHON in TAP.
"""
import os
import resource
import statistics
import subprocess
import sys

LIMIT_MS = 30
STARTS = 5
TRIES = 3


def start_ms(python, package, code):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", code], env={**env, "PYTHONPATH": package}, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def import_ms(python, package):
    """(what the import takes, what it may take)"""
    pairs = [(start_ms(python, package, "import mote"), start_ms(python, package, "pass")) for _ in range(STARTS)]
    bare = statistics.median(b for _, b in pairs)
    return statistics.median(a for a, _ in pairs) - bare, max(LIMIT_MS, 2 * bare)


def main(package, *pythons):
    print(f"1..{len(pythons)}")
    slow = False
    for n, python in enumerate(pythons, 1):
        start_ms(python, package, "import mote")  # compiles it
        for _ in range(TRIES):
            took, limit = import_ms(python, package)
            if took < limit:
                break
        slow |= took >= limit
        print(f"{'not ' if took >= limit else ''}ok {n} - {python}: import mote takes {took:.1f} ms, {limit:.0f} at most", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
