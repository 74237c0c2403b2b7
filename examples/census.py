#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""census in Python: counts the words of directory trees with one process per file.  census.py --help

    walker --spawns--> reader (one per file) --("read", ..)--> counter
     ^   |                                                        |
     |   | ("skipped", ..), .., ("walked", ..)                    | ("ended", ..) for each file, ("words", ..)
     |   v                                                        |
    main program, the reducer <-----------------------------------+

The walker finds N files. Each ends in one message to the reducer, and when N have ended it is over. Memory is bounded, whatever the tree is like: the
walker waits while enough readers run, a reader has one block of its file at a time, and stands still while the counter's mailbox is full.
census_files.py has the files and their words, census_show.py the command line and the report. A word is what census.h says.
"""
import sys
from collections import Counter

import census_files
import census_show

import mote

UNREAD_MAX, TICK = 256, 0.1  # messages of the counter, seconds


def reader(path, job, counter_pid):
    """Counts the words of a file, and sends them when it has all: one that crashes has sent nothing."""
    text = census_files.Text(path, job)
    for _ in text.read():
        mote.sleep(0)  # a large file holds nobody up
    mote.send(counter_pid, ("read", text.words(), text.end()))
    mote.sleep(0)  # stands still while the counter's mailbox is full


def counter(reducer):
    """Adds up the words of all files, and passes on how each file has ended."""
    words = Counter()
    while True:
        match mote.receive():
            case ("read", more, end):
                words.update(more)
                mote.send(reducer, ("ended", *end))
            case "report":
                mote.send(reducer, ("words", dict(words)))
                return


def walker(job, counter_pid, reducer):
    """Starts a reader for each file of the trees, and waits for the last of them."""
    running, peak = {}, 0
    mote.receive("go")  # now a signal can stop it
    walk = census_files.Walk(job)
    for kind, path, *more in walk:
        if kind == "file":
            _, ref = mote.spawn_monitor(reader, path, job, counter_pid)
            running[ref] = path
            peak = max(peak, len(running))
        else:
            mote.send(reducer, (kind, path, *more))
        if not heed(running, job["max_readers"], reducer):
            break
    while running:
        heed(running, 1, reducer)
    mote.send(reducer, ("walked", walk.found, peak, walk.capped))


def heed(running, readers_max, reducer):
    """The walker's messages: who has ended makes room, and a crash is told. Waits for room; whether to go on."""
    while message := mote.receive(timeout=0 if len(running) < readers_max else None, default=None):
        match message:
            case mote.Down(ref=ref, reason=reason):
                path = running.pop(ref)
                if reason != "normal":
                    mote.send(reducer, ("crashed", path, str(reason)))
            case "stop":
                return False
    return True


def reduce(job, result):
    """Runs the census in the main program, and takes what it finds."""
    me = mote.self()
    counter_pid = mote.options(link=True, mailbox=UNREAD_MAX).spawn(counter, me)
    walker_pid = mote.spawn_link(walker, job, counter_pid, me)
    census_show.on_signal(result, lambda: mote.send(walker_pid, "stop"))
    mote.send(walker_pid, "go")
    while result.ended != result.found:  # found is None until the walk is over
        result.add(mote.receive(timeout=TICK, default=None))
    mote.send(counter_pid, "report")
    result.add(mote.receive(("words", dict)))


if __name__ == "__main__":
    sys.exit(census_show.main(sys.argv[1:], reduce))
