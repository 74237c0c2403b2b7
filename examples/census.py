#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""census in Python: counts the words of directory trees with one process per file.  census.py --help

    walker --spawns--> reader (one per file) --("words", ..)--> counter (a few)
     ^   |                     |                                    |
     |   | ("walked", ..)      | ("ended", ..)                      | ("totals", ..)
     |   v                     v                                    |
    main program, the reducer <-------------------------------------+

The walker finds N files; each ends in one message ("ended", ..), and when N have ended it is over. Memory is bounded, whatever the tree is like: the
walker waits while enough readers run, a reader has one block of its file at a time, and stands still while a counter has a full mailbox.
census_files.py has the files and their words, census_show.py the command line and the report. A word is what census.h says.
"""
import heapq
import signal
import sys
from collections import Counter

import census_files
import census_show

import mote

COUNTERS, BATCHES_MAX, TICK = 4, 256, 0.1


def reader(path, min_length, size_max, counters, reducer):
    """Counts a file. It sends when it has everything: one that crashes has sent nothing."""
    text = census_files.Text(path, size_max)
    for _ in text.read():
        mote.sleep(0)  # a large file holds nobody up
    for counter_pid, batch in zip(counters, text.batches(min_length, len(counters))):
        mote.send(counter_pid, ("words", batch))
    mote.sleep(0)  # stands still while a counter's mailbox is full
    mote.send(reducer, ("ended", path, text.why, text.more, text.size))


def counter(reducer):
    """Adds up its share of the words, until it is asked and has had every batch."""
    words, batches, expected, top = Counter(), 0, None, None
    while batches != expected:  # messages of different senders have no order
        match mote.receive():
            case ("words", batch):
                words.update(batch)
                batches += 1
            case ("report", expected, top):
                pass
    best = heapq.nsmallest(top or len(words), words.items(), key=census_files.ranking)
    mote.send(reducer, ("totals", sum(words.values()), len(words), best))


def heed(running, readers_max, reducer):
    """The walker's messages: who has ended makes room. Waits for room; whether to go on."""
    while True:
        match mote.receive(timeout=0 if len(running) < readers_max else None, default=None):
            case mote.Down(ref=ref, reason=reason):
                path = running.pop(ref)
                if reason != "normal":
                    mote.send(reducer, ("crashed", path, str(reason)))
            case "stop":
                return False
            case None:
                return True


def walker(job, counters, reducer):
    """Starts a reader for each file of the trees."""
    running, found, total, peak, capped = {}, 0, 0, 0, False
    mote.receive("go")  # now a signal can stop it
    for kind, path, *more in census_files.walk(job["paths"], job["max_size"]):
        if kind == "directory":
            mote.send(reducer, (kind, path, *more))
            continue
        go_on = heed(running, job["max_readers"], reducer)
        size = more[0] if kind == "file" else 0
        capped = go_on and (found == job["max_files"] or total + size > job["max_total"])
        if capped or not go_on:
            break
        found, total = found + 1, total + size
        if kind == "file":
            _, ref = mote.spawn_monitor(reader, path, job["min_length"], job["max_size"], counters, reducer)
            running[ref] = path
            peak = max(peak, len(running))
        else:
            mote.send(reducer, (kind, path, *more))
    while running:
        heed(running, 1, reducer)
    mote.send(reducer, ("walked", found, peak, capped))


def reduce(job, result):
    """Runs the census in the main program. The first Ctrl-C ends the walk, and files in hand are finished; the second one ends the program."""
    me = mote.self()
    counters = tuple(mote.options(link=True, mailbox=BATCHES_MAX).spawn(counter, me) for _ in range(COUNTERS))
    walker_pid = mote.spawn_link(walker, job, counters, me)

    def stop(number, _):
        result.signal = number
        mote.send(walker_pid, "stop")
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    mote.send(walker_pid, "go")
    mote.send(me, "tick")
    while result.ended != result.found:
        message = mote.receive()
        if message == "tick":
            census_show.live(result)
            mote.send_after(TICK, me, "tick")
        else:
            result.add(*message)
    for pid in counters:
        mote.send(pid, ("report", result.read, job["top"]))
    for _ in counters:
        result.add(*mote.receive(("totals", int, int, list)))
    result.end(len(counters))


if __name__ == "__main__":
    sys.exit(census_show.main(sys.argv[1:], reduce))
