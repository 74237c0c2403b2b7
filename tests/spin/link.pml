/* SPDX-License-Identifier: Apache-2.0
 * Links of two processes: R1 and R2 of src/proc/relation.c, and mt_close() and mt_relations_tell() as far as links matter.
 *
 * Each process links and unlinks OPS times at will, and ends or not, at any moment; it traps exits or not; at the start they are linked (as
 * after a spawn) or not. Each has one inbox, in order. A call and the applying of a signal are one step each, for they touch what is their
 * own and push at most one signal; an end takes many.
 *
 * `linked` is what a user may expect, told from the calls and signals alone, not from the table: who linked is told of the other's end, once, unless
 * it has unlinked since; who unlinked sees no exit, unless it linked again, or the other did after it had heard of that. A LINK says how many UNLINKs
 * its sender had heard of. When nothing moves any more, tables agree with that and with each other, and nothing is pending.
 * An exit's reason is the one the process ended with; noproc only when it is linked with too late.
 */
#ifndef OPS
#define OPS 3
#endif
#define ROOM 12 /* in flight to one process */
#define NONE 0
#define ACTIVE 1 /* more: inactive, with the id of the UNLINK that was sent */
#define NOPROC 0
#define REASON 1
#define TOO_LATE 2 /* noproc, from one's own call */

mtype = { LINK, UNLINK, UNLINKED, LINK_EXIT };
chan inbox[2] = [ROOM] of { mtype, byte }; /* LINK: UNLINKs heard of; UNLINK, UNLINKED: id; LINK_EXIT: reason */

byte table[2];                             /* NONE, ACTIVE, or inactive */
bool closed[2], ended[2], traps[2], ends[2];
byte sent[2], heard[2];                    /* UNLINKs */
bool linked[2], wants[2]; /* wants: its last call was to link */

inline put(to, kind, what) {
    assert(nfull(inbox[to]));
    inbox[to]!kind(what)
}

/* Answers and LINK_EXITs: those for the dead are dropped. */
inline deliver(to, kind, what) {
    if
    :: !closed[to] -> put(to, kind, what)
    :: else
    fi
}

/* mt_link() */
inline link(me) {
    if
    :: table[me] == ACTIVE
    :: else ->
        if
        :: !closed[1 - me] -> put(1 - me, LINK, heard[me]); table[me] = ACTIVE; linked[me] = true; wants[me] = true
        :: closed[1 - me] && traps[me] ->
            table[me] = ACTIVE;
            linked[me] = true;
            wants[me] = true;
#ifndef BUG_DEAD_SILENT
            put(me, LINK_EXIT, TOO_LATE)
#endif
#ifdef BUG_LINK_FAILS_FORGETS
        :: closed[1 - me] && !traps[me] -> table[me] = NONE
#else
        :: closed[1 - me] && !traps[me] /* all is as it was */
#endif
        fi
    fi
}

/* mt_unlink() */
inline unlink(me) {
    if
    :: table[me] == ACTIVE ->
        linked[me] = false;
        wants[me] = false;
        sent[me]++;
        table[me] = ACTIVE + sent[me];
        if
        :: !closed[1 - me] ->
#ifdef BUG_NO_ACK_AWAITED
            table[me] = NONE;
#endif
            put(1 - me, UNLINK, ACTIVE + sent[me])
        :: else ->
#ifdef BUG_UNLINK_DEAD_FORGETS /* a LINK of the dead may be in the inbox */
            table[me] = NONE
#else
#ifndef BUG_DEAD_SILENT
            put(me, UNLINKED, ACTIVE + sent[me])
#endif
#endif
        fi
    :: else
    fi
}

inline apply_link(me, what) {
    if
    :: table[me] == NONE -> table[me] = ACTIVE
#ifdef BUG_LINK_WHILE_UNLINKING
    :: table[me] > ACTIVE -> table[me] = ACTIVE
#endif
    :: else
    fi;
    if
    :: what == sent[me] || wants[me] -> linked[me] = true; assert(table[me] == ACTIVE)
    :: else
    fi
}

inline apply_unlink(me, what) {
    heard[me]++;
    if
    :: table[me] == ACTIVE -> table[me] = NONE; linked[me] = false
    :: else
    fi;
    deliver(1 - me, UNLINKED, what)
}

inline apply_unlinked(me, what) {
    if
#ifdef BUG_ID_NOT_COMPARED
    :: table[me] > ACTIVE -> table[me] = NONE
#else
    :: table[me] == what -> table[me] = NONE
#endif
    :: else
    fi
}

inline apply_exit(me, what) {
    if
#ifdef BUG_INACTIVE_EXIT
    :: table[me] != NONE ->
#else
    :: table[me] == ACTIVE ->
#endif
        assert(linked[me]);
        assert(what != NOPROC);
        table[me] = NONE;
        linked[me] = false;
        exiting = !traps[me]
    :: else
    fi
}

/* discard(): what came before the end is applied, so that who linked in time is told the reason. */
inline bury(me, kind, what) {
    if
#ifdef BUG_DEAD_SILENT
    :: kind != LINK_EXIT
#else
#ifdef BUG_NOPROC_FIRST
    :: kind == LINK -> deliver(1 - me, LINK_EXIT, NOPROC)
#else
    :: kind == LINK -> apply_link(me, what)
#endif
    :: kind == UNLINK -> apply_unlink(me, what)
    :: kind == UNLINKED -> apply_unlinked(me, what)
#endif
    :: kind == LINK_EXIT
    fi
}

proctype process(byte me) {
    byte ops, what;
    mtype kind;
    bool exiting;

    do
    :: atomic { inbox[me]?kind(what) ->
        if
        :: kind == LINK -> apply_link(me, what)
        :: kind == UNLINK -> apply_unlink(me, what)
        :: kind == UNLINKED -> apply_unlinked(me, what)
        :: kind == LINK_EXIT -> apply_exit(me, what)
        fi;
        what = 0 }
    :: atomic { !exiting && ops < OPS -> ops++; link(me) }
    :: atomic { !exiting && ops < OPS -> ops++; unlink(me) }
    :: atomic { ends[me] || exiting -> closed[me] = true }; break
    od;
    do
    :: atomic { inbox[me]?kind(what) -> bury(me, kind, what); what = 0 }
    :: empty(inbox[me]) -> break
    od;
    atomic {
        if
        :: table[me] == ACTIVE -> deliver(1 - me, LINK_EXIT, REASON)
        :: else
        fi;
        table[me] = NONE;
        linked[me] = false;
        ended[me] = true
    }
}

inline choose(flag) {
    if
    :: flag = false
    :: flag = true
    fi
}

init {
    atomic {
        choose(traps[0]);
        choose(traps[1]);
        choose(ends[0]);
        choose(ends[1]);
        if
        :: table[0] = ACTIVE; table[1] = ACTIVE; linked[0] = true; linked[1] = true
        :: true
        fi;
        run process(0);
        run process(1)
    };
    timeout;
    assert(table[0] == linked[0] && table[1] == linked[1]); /* nothing pending; each has what it may expect */
    assert(closed[0] == ended[0] && closed[1] == ended[1]);
    assert(linked[0] == linked[1]); /* also when one has ended: the other was told */
    assert(empty(inbox[0]) && empty(inbox[1]))
}
