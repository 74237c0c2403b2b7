/* SPDX-License-Identifier: Apache-2.0
 * When the watchdog may sleep without limit: rest() in src/sched/watchdog.c, and who leaves the parked state in src/sched/sched.c.
 *
 * The watchdog writes 2 into `watch_word`, looks whether all schedulers are parked, and then sleeps. A scheduler that is parked no
 * longer changes 2 into 0 and wakes it. When nothing can move any more: the watchdog does not sleep without limit while a turn lasts.
 */
#define N 2
#define WOKEN 3

byte park[N], parked, jobs, watch_word;
bool hogging[N], watch_sleeps;

inline left_parking() {
    if
    :: atomic { watch_word == 2 -> watch_word = 0 }; watch_sleeps = false
    :: else
    fi
}

proctype scheduler(byte id) {
    bool slept;
again:
    if
    :: atomic { jobs > 0 -> jobs--; hogging[id] = true }; false /* a turn that never ends */
    :: else
    fi;
    park[id] = 1;
    parked++;
    if
    :: jobs > 0
    :: else -> slept = true; park[id] != 1
    fi;
    if
    :: atomic { park[id] == 1 -> park[id] = 0 };
#ifdef BUG_WAKER_COUNTS
        parked--
#endif
    :: else -> park[id] = 0
    fi;
#ifndef BUG_WAKER_COUNTS
    parked--;
#endif
#ifdef BUG_ONLY_SLEEPERS_TELL
    if
    :: slept -> left_parking()
    :: else
    fi;
#else
    left_parking();
#endif
    slept = false;
    goto again
}

proctype pusher() {
    byte i;
    jobs++;
    do
    :: i < N && parked > 0 ->
        if
        :: atomic { park[i] == 1 -> park[i] = WOKEN };
#ifdef BUG_WAKER_COUNTS
            parked--;
#endif
            break
        :: else -> i++
        fi
    :: else -> break
    od
}

proctype watchdog() {
again:
    watch_word = 2;
    if
    :: parked == N ->
        if
        :: atomic { watch_word == 2 -> watch_sleeps = true }; !watch_sleeps
        :: else
        fi
    :: else -> watch_word = 0; (parked == N) /* a short sleep; again, when it may matter */
    fi;
    goto again
}

init {
    atomic { run scheduler(0); run scheduler(1); run pusher(); run watchdog() };
    timeout;
    assert(jobs == 0);
    assert(!watch_sleeps || !(hogging[0] || hogging[1]))
}
