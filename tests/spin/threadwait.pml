/* SPDX-License-Identifier: Apache-2.0
 * An attached thread's wait and its end: wait_thread() in src/proc/receive.c, wake_thread() in src/sched/sched.c, mt_detach(), and what
 * mt_runtime_stop() does to a thread that waits.
 *
 * The thread sleeps on its scheduler's word. Who clears WAITING in the inbox stores 0 into the word, then calls futex_wake; the thread
 * does not go on before that store, so that none comes into a later wait or into memory that was freed. Signals are bits of the inbox
 * here (their order is inbox.pml's matter).
 *
 * The thread waits until it has had LIMIT timeouts, or the runtime has stopped; then it detaches. Every signal is received or dead.
 * It never sleeps for ever.
 */
#define SIGNALS 7 /* bits: two senders' and the stopper's */
#define WAITING 8
#define CLOSED 16
#define LIMIT 2

byte low, received, dead;
bool word, in_futex; /* the word: 1 asleep */
bool freed;          /* the scheduler's struct is */
bool stopped, gone;
byte timeouts;

inline wake_thread() {
    assert(!freed); /* a write to the word */
    word = 0;
    in_futex = false /* futex_wake: only the word's address, which may be free memory by now */
}

inline push(sig, l) {
    do
    :: l = low;
        if
        :: l & CLOSED -> atomic { dead = dead | sig }; break
        :: else ->
            if
            :: atomic { low == l -> low = (l & SIGNALS) | sig };
#ifndef BUG_NO_WAKE
                if
#ifdef BUG_EVERY_PUSH_WAKES
                :: true -> wake_thread()
#else
                :: l & WAITING -> wake_thread()
#endif
                :: else
                fi;
#endif
                break
            :: else
            fi
        fi
    od
}

proctype sender(byte sig) {
    byte l;
    push(sig, l)
}

proctype stopper() {
    byte l;
    stopped = true;
#ifdef BUG_STOP_SILENT
    dead = dead | 4;
#else
    push(4, l)
#endif
}

proctype thread() {
    byte l;
    bool late;

receive:
    l = low;
    if
    :: l & SIGNALS -> atomic { l = low & SIGNALS; low = 0; received = received | l; l = 0 }; goto receive
    :: else
    fi;
    if
    :: stopped || timeouts == LIMIT -> goto detach
    :: else
    fi;

    /* wait_thread() */
    if /* with a deadline, or without */
    :: late = false
    :: late = true
    fi;
    l = low;
#ifdef BUG_WORD_LAST
    if
    :: l == 0 ->
        if
        :: atomic { low == l -> low = WAITING }
        :: else -> goto receive
        fi
    :: else -> goto receive
    fi;
    word = 1;
#else
    word = 1;
    if
    :: l == 0 ->
#ifdef BUG_NO_COMPARE
        low = WAITING
#else
        if
        :: atomic { low == l -> low = WAITING }
        :: else -> word = 0; goto receive
        fi
#endif
    :: else -> word = 0; goto receive
    fi;
#endif
sleep:
    if
    :: word ->
        if /* mt_os_futex_wait(): may return early, or at the deadline */
        :: atomic { word -> in_futex = true };
            if
            :: !in_futex
            :: !late -> in_futex = false; goto expired
            fi
        :: else
        fi;
        goto sleep
    :: else -> goto receive
    fi;

expired:
    timeouts++;
#ifdef BUG_TIMEOUT_STORE
    low = low & SIGNALS;
    word = 0;
    goto receive;
#endif
    if
    :: atomic { low == WAITING -> low = 0 }; word = 0; goto receive
    :: else ->
#ifdef BUG_TIMEOUT_LEAVES /* does not wait for who is about to wake it */
        word = 0; goto receive
#else
        late = true; goto sleep
#endif
    fi;

detach:
    atomic { l = low; low = CLOSED; assert(!(l & (CLOSED | WAITING))); dead = dead | (l & SIGNALS); l = 0 };
    freed = true;
    gone = true
}

init {
    atomic { run thread(); run sender(1); run sender(2); run stopper() };
    timeout;
    assert(gone);
    assert((received | dead) == SIGNALS && !(received & dead))
}
