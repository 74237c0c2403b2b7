# SPDX-License-Identifier: Apache-2.0
"""One node of storm.py:  storm_node.py NET INDEX COUNT PORT COOKIE

It sends numbered messages to the others, watches each, and is in a group with them. What must not be it says as a line `violation ...`. It answers the lines it is told: `view` (the group, as it sees it), `quiet` (it sends
no more), `check` (whether each of its monitors watches who is there now), `counts`.
"""
import random
import sys

import mote
from mote import ANY, Atom, Down

NET, ME, COUNT, PORT, COOKIE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
LIFE = random.getrandbits(62)
SAY, ASK, AGAIN = Atom("say"), Atom("ask"), Atom("again")
OTHERS = [i for i in range(1, COUNT + 1) if i != ME]
counts = {"sent": 0, "came": 0, "downs": 0, "lives": 0}
quiet = False


def name_of(i):
    return f"s@{NET}.{i}"


def violation(text):
    print("violation", name_of(ME), text, flush=True)


def ear():
    """Hears the others: of one life of a sender no number twice, and none after a higher one. Says which life this is to who asks."""
    mote.register("ear", mote.self())
    mote.pg.join("storm")
    last = {}
    while True:
        what, *rest = mote.receive()
        if what == SAY:
            who, life, number = rest
            if number <= last.get((who, life), 0):
                violation(f"number {number} of {who} came after {last[who, life]}")
            counts["lives"] += (who, life) not in last
            last[who, life] = number
            counts["came"] += 1
        elif what == ASK:
            pid, ref = rest
            mote.send(pid, (ref, LIFE))


def mouth():
    number = 0
    while True:
        mote.sleep(0.003)
        if not quiet:
            number += 1
            mote.send(("ear", name_of(random.choice(OTHERS))), (SAY, ME, LIFE, number))
            counts["sent"] += 1


def watcher():
    """Each of the others is watched, always. The answer to what it asks comes behind the monitor: so it is of the life that is watched."""
    mote.register("watcher", mote.self())
    watched = {}  # ref: who, life

    def watch(i):
        ref = mote.monitor(("ear", name_of(i)))
        watched[ref] = [i, None]
        mote.send(("ear", name_of(i)), (ASK, mote.self(), ref))

    for i in OTHERS:
        watch(i)
    while True:
        message = mote.receive()
        if type(message) is Down:
            fired(watched, message.ref)
        elif message[0] == AGAIN:
            watch(message[1])
        elif message[0] == "check":
            check(watched)
            mote.send(message[1], (Atom("checked"), len(watched)))
        elif message[0] in watched:
            watched[message[0]][1] = message[1]


def fired(watched, ref):
    counts["downs"] += 1
    who = watched.pop(ref, None)
    if who is None:
        violation("a monitor has fired twice")
    else:
        mote.send_after(0.1 + 0.2 * random.random(), mote.self(), (AGAIN, who[0]))


def check(watched):
    """Who is there must be who was there when the monitor was set, or it would have fired: a connection that was cut may be given up as late as now."""
    for ref, (i, life) in list(watched.items()):
        question = mote.make_ref()
        mote.send(("ear", name_of(i)), (ASK, mote.self(), question))
        answer = mote.receive((question, ANY), timeout=60, default=None)
        if mote.receive((Atom("DOWN"), ref, ANY, ANY, ANY), timeout=0, default=None) is not None:
            fired(watched, ref)
        elif answer is None:
            violation(f"{name_of(i)} is not there, and nobody was told")
        elif life is not None and answer[1] != life:
            violation(f"the monitor of an earlier life of {name_of(i)} has not fired")


def main():
    with mote.Node(name_of(ME), cookie=COOKIE, address=f"{NET}.{ME}", port=PORT, epmd=False, insecure=True, tick=4, visible=True):
        for i in OTHERS:
            mote.node_at(name_of(i), f"{NET}.{i}", PORT)
        with mote.Cluster([name_of(i) for i in OTHERS]):
            serve()


def serve():
    global quiet
    for body in (ear, watcher, mouth):
        mote.spawn(body)
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "view\n":
            print("view", *sorted({pid.node for pid in mote.pg.members("storm")}), flush=True)
        elif line == "quiet\n":
            quiet = True
            print("quiet", flush=True)
        elif line == "check\n":
            mote.send("watcher", (Atom("check"), mote.self()))
            print("checked", mote.receive((Atom("checked"), ANY), timeout=400)[1], flush=True)
        elif line == "counts\n":
            print("counts", *counts.values(), flush=True)


main()
