#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""census in Python: counts the words of directory trees on all cores, with one process per file.  census.py --help

    main program <--("ended", ..)-- foreman --("files", ..)--> crew, one in each worker --spawns--> reader, one per file
                                    ^  ^                       |  ^                                 |
                                    |  +------("harvest", ..)--+  +------------("read", ..)---------+
                      ("died", ..)  +-- overseer, one for each crew: starts it, and starts it again

The foreman walks, deals files to the crews as they have room, and adds up what it harvests. A worker may die at any moment (--kill-workers sees to it): what
its crew had in hand is dealt again. A harvest has the words of some files and says which, in one message: it comes or it does not, so every word counts once.
Memory is bounded, whatever the tree is like: a reader has one block of its file at a time, and files are looked for when there is room for them.
census_crew.py has crews, readers and overseers, census_files.py the files and their words, census_ledger.py who has which file in hand, census_show.py the
command line and the report. A word is what census.h says.
"""
import sys
from collections import Counter

import census_crew
import census_files
import census_ledger
import census_show

import mote

SHOT, TICK = ("signal", "SIGKILL"), 0.1  # seconds


def foreman(job, reducer):
    """Deals files to the crews until all have ended, adds up the words, and tells the reducer how each file has ended."""
    words, walk, crews = Counter(), census_files.Walk(job), min(job["workers"], job["max_readers"])
    ledger = census_ledger.Ledger(files_of(walk, reducer), job["max_readers"] // crews)
    mote.receive("go")  # now a signal can stop it
    for place in range(crews):
        mote.options(place="here", link=True).spawn(census_crew.overseer, place, mote.self(), ledger.room, job)
    while not ledger.is_over():
        match mote.receive():
            case ("crew", crew_pid, place):
                ledger.hire(crew_pid, place)
            case ("harvest", crew_pid, more, ends):
                words.update(more)
                for number, *end in ends:
                    mote.send(reducer, ("ended", ledger.ended(crew_pid, number), *end))
            case ("died", crew_pid, reason, shot):
                mote.send(reducer, ("died", shot, str(reason), *ledger.lost(crew_pid, reason[-1] == SHOT)))
            case "stop":
                ledger.stop()
        for crew_pid, files in ledger.deal():
            mote.send(crew_pid, ("files", files))
    for crew_pid in ledger.hands:
        mote.send(crew_pid, "over")
    mote.send(reducer, ("walked", walk.found, ledger.peak, walk.capped))
    mote.send(reducer, ("words", dict(words)))


def files_of(walk, reducer):
    """The files that a walk finds; what else it finds is told."""
    for kind, path, *more in walk:
        if kind == "file":
            yield walk.found, path
        else:
            mote.send(reducer, (kind, path, *more))


def reduce(job, result):
    """Runs the census, and takes what it finds, in the main program."""
    with mote.Node(workers=job["workers"]):
        foreman_pid = mote.options(place="here", link=True).spawn(foreman, job, mote.self())
        census_show.on_signal(result, lambda: mote.send(foreman_pid, "stop"))
        mote.send(foreman_pid, "go")
        while not result.complete:
            result.add(mote.receive(timeout=TICK, default=None))


if __name__ == "__main__":
    sys.exit(census_show.main(sys.argv[1:], reduce))
