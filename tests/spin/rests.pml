/* SPDX-License-Identifier: Apache-2.0
 * When the process of a connection may wait: may_rest() in src/dist/conn.c, mt_link_take() in src/dist/link.c, and put() and wake() in src/dist/carry.c.
 *
 * Who has something for the peer puts it into the queue, under the link's lock, and says there how much waits; then it looks whether the process rests, and who takes that back sends it a message. The process takes all, says that it rests, and looks once more
 * how much waits, without the lock. When nothing can move any more: all that was put has been taken.
 */
#define N 2
#define PUTS 2

byte queue, waiting, rests, mail, taken;

inline publish() {
    atomic { queue++; waiting = queue } /* the lock */
}

inline wake() {
    if
    :: rests -> /* looked at first: mostly it does not */
        if
        :: atomic { rests -> rests = 0 }; mail++
        :: else
        fi
    :: else
    fi
}

proctype putter() {
    byte i;
    do
    :: i < PUTS ->
#ifdef BUG_LOOKS_FIRST
        wake();
        publish();
#else
        publish();
        wake();
#endif
        i++
    :: else -> break
    od
}

proctype process() {
again:
    if
    :: waiting == 0
    :: else ->
#ifdef BUG_SAID_OUTSIDE
        atomic { taken = taken + queue; queue = 0 };
        waiting = 0
#else
        atomic { taken = taken + queue; queue = 0; waiting = 0 } /* the lock */
#endif
    fi;
#ifdef BUG_SAID_LATE
    if
    :: waiting == 0 -> rests = 1; mail > 0 -> mail = 0
    :: else
    fi;
#else
    rests = 1;
#ifdef BUG_NO_RECHECK
    mail > 0 -> mail = 0;
#else
    if
    :: waiting == 0 -> mail > 0 -> mail = 0
    :: else
    fi;
#endif
#endif
    rests = 0;
    goto again
}

init {
    atomic { run putter(); run putter(); run process() };
    timeout;
    assert(taken == N * PUTS && queue == 0)
}
