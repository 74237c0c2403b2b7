# SPDX-License-Identifier: Apache-2.0
"""The crews of census.py. In each worker runs one, with a reader for each file; its overseer runs in the program itself, which nobody shoots."""
import contextlib
import os
import random
import signal
from collections import Counter

import census_files

import mote


def reader(number, path, job, crew_pid):
    """Counts the words of a file, and sends them when it has all: one that crashes has sent nothing."""
    text = census_files.Text(path, job)
    for _ in text.read():
        mote.sleep(0)  # a large file holds nobody up
    mote.send(crew_pid, ("read", number, text.words(), text.end()))


def crew(overseer_pid, foreman_pid, room, job):
    """Starts a reader for each file it is given, and when half of them have ended hands in what they have found."""
    words, ends, running, me = Counter(), [], {}, mote.self()
    mote.send(overseer_pid, ("at_work", os.getpid()))
    while True:
        match mote.receive():
            case ("files", files):
                for number, path in files:
                    _, ref = mote.options(place="here", monitor=True, priority="low").spawn(reader, number, path, job, me)
                    running[ref] = number, path
            case ("read", number, more, end):
                words.update(more)
                ends.append((number, *end))
            case mote.Down(ref=ref, reason=reason):
                number, path = running.pop(ref)
                if reason != "normal":
                    ends.append((number, path, "crashed", str(reason), 0))
                if not running or len(ends) > room // 2:
                    mote.send(foreman_pid, ("harvest", me, dict(words), ends))
                    words, ends = Counter(), []
            case "over":
                return


def overseer(place, foreman_pid, room, job):
    """Sees that there is a crew in its worker, and starts another when that one has died. With --kill-workers it is what kills."""
    while True:
        life, shot, process = None, False, None
        crew_pid, _ = mote.options(place=place, monitor=True).spawn(crew, mote.self(), foreman_pid, room, job)
        while crew_pid:
            match mote.receive(timeout=life, default="shoot"):
                case ("at_work", process):
                    mote.send(foreman_pid, ("crew", crew_pid, place))
                    if place and job["kill_workers"]:  # worker 0 is the program itself
                        life = random.expovariate(1 / job["kill_workers"])
                case "shoot":
                    with contextlib.suppress(ProcessLookupError):  # it has just died of something else
                        os.kill(process, signal.SIGKILL)
                        shot = True
                    life = None
                case mote.Down(reason="normal"):
                    return
                case mote.Down(reason=("error", *_) as reason):
                    mote.exit(reason)  # a bug in census.py itself: starting it again would not help
                case mote.Down(reason=reason):
                    if process:
                        mote.send(foreman_pid, ("died", crew_pid, reason, shot))
                    crew_pid = None
