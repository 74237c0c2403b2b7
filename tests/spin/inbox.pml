/* SPDX-License-Identifier: Apache-2.0
 * A process's inbox, its going to sleep, its end, and the next process in its slot: mt_push(), mt_fetch(), mt_after(), mt_close(),
 * mt_table_take().
 *
 * The word is what it is in C: the newest signal, linked to the older ones by `next`, state bits, and the slot's serial. Each load,
 * store and compare-and-swap is a step. Two schedulers run whatever is in the run queue. Senders hold the pid of the first process or
 * of the second one, which is started in the same slot when the first has ended. The timeout of a wait and a kill are signals too.
 *
 * A process is in the run queue at most once and on one scheduler at most, and only with its context saved. A signal reaches the
 * process it was sent to or is counted dead, exactly one of them, once. A message to one that sleeps goes straight into its queue, before it
 * is made runnable; the timeout and the kill are to be applied, and never do. When nothing can move any more: all signals are accounted for,
 * an open process sleeps with an empty inbox, and one that was killed has ended.
 */
#define PTR 7
#define WAITING 8
#define CLOSED 16

#define TIMEOUT 1 /* signals: 1 the timeout, 2 and 3 to the first process, 4 a message to the second one */
#define KILL 2
#define SIGNALS 4
#define OF(sig) (sig == SIGNALS -> 2 : 1) /* which process it is for */
#ifdef BUG_HANDED_KILL
#define HANDS(sig) true
#else
#define HANDS(sig) (sig > KILL) /* it is a message */
#endif
#define SERIAL(sig) (sig == SIGNALS -> second : 1)

byte low, high = 1;
byte next[SIGNALS + 1];
byte fate[SIGNALS + 1]; /* 0 under way, 1 received, 2 dead, 3 taken back */
byte queued = 1;        /* the process's entries in the run queue; the first one was just started */
byte on_cpu;
bool saved = true;      /* its context is */
byte handed;            /* the message in its queue: whoever owns the process reads and writes it */
bool exiting;           /* a kill was applied */
bool slot_free;
byte second;            /* the second process's serial, when it has been started */
byte life = 1;          /* which process the slot's is */
byte alarm;             /* 0 none, 1 in the wheel, 2 fired, 3 taken back: under the wheel's lock */
byte ended;

inline runnable() {
    atomic { queued++; assert(queued == 1 && !on_cpu) }
}

inline settle(sig, what) {
    assert(fate[sig] == 0);
    fate[sig] = what
}

/* mt_push() and what its callers do with the result */
inline deliver(sig, l, h) {
    do
    :: h = high;
        l = low;
        if
        :: h != SERIAL(sig) || (l & CLOSED) -> atomic { settle(sig, 2) }; break
        :: h == SERIAL(sig) && !(l & CLOSED) && (l & WAITING) && HANDS(sig) ->
            if
#ifdef BUG_HANDED_LATE
            :: atomic { low == l && high == SERIAL(sig) -> low = 0 };
                runnable();
                atomic { assert(!handed && !on_cpu); handed = sig };
                break
#else
            :: atomic { low == l && high == SERIAL(sig) -> low = 0 };
                atomic { assert(!handed && !on_cpu && !queued); handed = sig };
                runnable();
                break
#endif
            :: else
            fi
        :: else ->
            next[sig] = l & PTR;
            if
#ifdef BUG_SERIAL_BEFORE
            :: atomic { low == l -> low = sig }
#elif defined(BUG_WAITING_STAYS)
            :: atomic { low == l && high == SERIAL(sig) -> low = sig | (l & WAITING) }
#else
            :: atomic { low == l && high == SERIAL(sig) -> low = sig }
#endif
                if
#ifdef BUG_FIRST_WAKES
                :: !(l & PTR) -> runnable()
#else
                :: l & WAITING -> runnable()
#endif
                :: else
                fi;
                break
            :: else
            fi
        fi
    od;
    atomic { l = 0; h = 0 }
}

/* Walks what was in the inbox; `what` becomes of each. Nobody else can reach it any more. */
inline walk(l, what) {
    d_step {
        do
        :: l & PTR ->
            assert(OF((l & PTR)) == life); /* for this very process */
            settle((l & PTR), what);
            if
            :: what == 1 && (l & PTR) == KILL -> exiting = true
            :: else
            fi;
            l = next[l & PTR]
        :: else -> break
        od;
        l = 0
    }
}

/* What lies in the queue; `what` becomes of it. */
inline take_handed(what) {
    d_step {
        if
        :: handed -> assert(OF(handed) == life); settle(handed, what); handed = 0
        :: else
        fi
    }
}

proctype scheduler() {
    byte l;
    bool got;

pick:
    atomic { queued > 0 -> queued--; assert(!on_cpu); on_cpu++ };
    atomic { assert(saved); saved = false };

receive: /* mt_receive(), with or without a timeout */
    if
    :: handed -> take_handed(1); got = true; goto asked
    :: else
    fi;
    l = low;
    if
    :: l & PTR ->
#ifdef BUG_FETCH_STORE
        low = 0;
#else
        atomic { l = low; low = 0 };
#endif
        got = true;
        walk(l, 1)
    :: else -> l = 0
    fi;
asked:
#ifdef BUG_EXIT_ASKED_ONCE /* asks only after a fetch that got something, and another fetch has come before */
    if
    :: exiting && got -> got = false; goto end
    :: got && !exiting -> got = false;
        if
        :: goto end
        :: true
        fi;
        l = low;
        if
        :: l & PTR -> atomic { l = low; low = 0 }; walk(l, 1); goto receive
        :: else -> l = 0
        fi
    :: else
    fi;
#else
    if
    :: exiting -> got = false; goto end
    :: got ->
        got = false;
        if
        :: goto end /* enough */
        :: goto receive
        fi
    :: else
    fi;
#endif
    if /* a wait with a timeout: its alarm is set once */
    :: atomic { alarm == 0 && life == 1 -> alarm = 1 }
    :: true
    fi;

    /* mt_sched_leave(WAIT): away from the stack, then mt_after() */
#ifdef BUG_WAITING_EARLY
    if
    :: atomic { low == 0 -> low = WAITING }; on_cpu--; saved = true; goto pick
    :: else
    fi;
#endif
    atomic { on_cpu--; saved = true };
    l = low;
#ifdef BUG_NO_COMPARE
    if
    :: !(l & PTR) -> low = WAITING
    :: else -> l = 0; runnable()
    fi;
#else
    if
    :: l == 0 ->
        if
        :: atomic { low == l -> low = l | WAITING }
        :: else -> runnable()
        fi
    :: else -> l = 0; runnable()
    fi;
#endif
    goto pick;

end: /* mt_close() */
#ifdef BUG_CLOSE_STORE
    l = low;
    low = CLOSED;
#else
    atomic { l = low; low = CLOSED };
#endif
    assert(!(l & (CLOSED | WAITING)));
    take_handed(2);
#ifdef BUG_CLOSE_LOSES
    l = 0;
#else
    walk(l, 2);
#endif
    if
    :: atomic { alarm == 1 && life == 1 -> alarm = 3; settle(TIMEOUT, 3) }
    :: else
    fi;
    atomic { on_cpu--; saved = true; exiting = false; ended++ }; /* mt_sched_leave(END), then mt_bury() */
    slot_free = true;
    if
    :: ended < 2 -> goto pick
    :: else
    fi
}

/* mt_table_take(), publish(): another process in the same slot. */
proctype spawner() {
    slot_free -> slot_free = false;
    assert(low & CLOSED);
#ifndef BUG_SAME_SERIAL
    high = high + 1;
#endif
    low = CLOSED;
    atomic { life = 2; second = high };
    low = 0;
    runnable()
}

proctype sender(byte sig) {
    byte l, h;
    deliver(sig, l, h)
}

proctype second_sender() {
    byte l, h;
    second -> deliver(SIGNALS, l, h)
}

proctype wheel() {
    byte l, h;
    if
    :: atomic { alarm == 1 -> alarm = 2 }; deliver(TIMEOUT, l, h)
    :: atomic { ended > 0 && alarm != 1 -> skip }
    fi
}

init {
    byte i;
    atomic {
        run scheduler(); run scheduler(); run spawner();
        run sender(KILL); run sender(3); run second_sender(); run wheel()
    };
    timeout;
    d_step {
        assert(!exiting && !on_cpu && !queued && !handed);
        i = 1;
        do
        :: i <= SIGNALS ->
            assert(fate[i] || (i == TIMEOUT && alarm < 2));
            i++
        :: else -> break
        od;
        assert(low == WAITING || low == CLOSED);
        assert(ended > 0)
    }
}
