# SPDX-License-Identifier: Apache-2.0
"""What programs have said on stderr."""


def but_hogs(text):
    """Without what mote tells of processes that hold the interpreter: on a machine that is slow, any may."""
    kept, within = [], False
    for line in text.splitlines(keepends=True):
        within = "has held the interpreter for" in line or within and line.startswith(" ")
        if not within:
            kept.append(line)
    return "".join(kept)
