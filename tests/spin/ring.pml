/* SPDX-License-Identifier: Apache-2.0
 * Rings and doorbells between workers: src/worker/ring.h, doorbell.h.
 *
 * Two producers with a ring each to one consumer. A ring is a number of records here; each load, store and exchange of what is shared is a
 * step. A producer publishes after each record or later, and sleeps when its ring is full; the consumer gives room back whenever it likes,
 * and sleeps when both are empty. Any of the three may be killed between any two steps (DEATHS in all): then the hub writes to the events of the others.
 *
 * No record is taken before it is written. When nothing can move any more: whoever lives has done its work, and all that was published has been taken.
 */
#ifndef N
#define N 3 /* records of each producer */
#endif
#ifndef CAP
#define CAP 2
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#define P 2   /* producers; the consumer's number. ONE: there is one */
#define ALL 3

byte tail[P], head[P];          /* as they are in shared memory */
bool needs_room[P];
byte written[P], taken[P];      /* what has truly happened */
bool sleeps[ALL], event[ALL];
bool dead[ALL + 1];             /* by _pid, which is one more than the number */
bool told[ALL];                 /* the death of each, by the hub */
bool done[ALL];
byte deaths;

/* mt_doorbell_ring() */
inline ring(who, saw) {
    saw = sleeps[who];
    if
    :: saw ->
        if
        :: atomic { sleeps[who] -> sleeps[who] = false }; event[who] = true
        :: else
        fi
    :: else
    fi;
    saw = false
}

/* mt_doorbell_wake() */
inline wake(who, reported) {
    sleeps[who] = false;
    if
    :: reported -> reported = false; event[who] = false
    :: else
    fi
}

inline publish(me, t) {
#ifdef BUG_RUNG_FIRST
    if
    :: tail[me] != t -> ring(P, saw); tail[me] = t
    :: else
    fi
#else
    if
    :: tail[me] != t -> tail[me] = t; ring(P, saw)
    :: else
    fi
#endif
}

proctype producer(byte me) provided (!dead[_pid]) {
    byte t, seen; /* its own index, and the other's as read last */
    bool saw;
    do
    :: t == N -> break
    :: t < N && t - seen < CAP ->
#ifdef BUG_PUBLISHED_FIRST
        t++;
        tail[me] = t;
        written[me]++;
        ring(P, saw)
#else
        written[me]++;
        t++;
        if
        :: publish(me, t)
        :: t < N /* with the next one */
        fi
#endif
    :: t < N && t - seen == CAP ->
        seen = head[me];
        if
        :: t - seen < CAP
        :: else ->
#ifndef BUG_UNPUBLISHED
            publish(me, t);
#endif
            sleeps[me] = true; /* mt_doorbell_sleep() */
            if
            :: told[P] -> goto end
            :: else
            fi;
#ifdef BUG_ROOM_LATE
            seen = head[me];
            needs_room[me] = true;
#else
            needs_room[me] = true; /* mt_ring_wants_room() */
#ifndef BUG_ROOM_NOT_RECHECKED
            seen = head[me];
#endif
#endif
            if
            :: t - seen < CAP -> needs_room[me] = false
            :: else -> event[me]; saw = true
            fi;
            wake(me, saw)
        fi
    od;
    publish(me, t);
end:
    done[me] = true
}

/* mt_ring_release() */
inline release(from) {
#ifdef BUG_HEAD_LATE
    saw = needs_room[from];
    head[from] = h[from];
#else
    head[from] = h[from];
    saw = needs_room[from];
#endif
    if
    :: saw ->
        saw = false;
        seen = tail[from];
        if
        :: seen - h[from] <= CAP / 2 ->
            if
            :: atomic { needs_room[from] -> needs_room[from] = false }; ring(from, saw)
            :: else
            fi
        :: else
        fi;
        seen = 0
    :: else
    fi
}

/* Takes what is there, of each producer. */
inline take(from) {
    seen = tail[from];
    do
    :: h[from] < seen ->
        atomic { h[from]++; taken[from]++; assert(taken[from] <= written[from]); any = true };
        if
        :: release(from); seen = tail[from]
        :: true
        fi
    :: else -> break
    od;
    seen = 0;
    if
    :: head[from] != h[from] -> release(from) /* before it sleeps */
    :: else
    fi
}

/* The consumer: it never ends, unless it is killed. */
proctype consumer() provided (!dead[_pid]) {
    byte h[P], seen;
    bool saw, any;
    do
    :: any = false;
        take(0);
        take(1);
        if
        :: any
        :: else ->
            sleeps[P] = true; /* mt_doorbell_sleep() */
#ifndef BUG_NO_RECHECK
            if
            :: tail[0] != h[0] -> any = true
            :: tail[1] != h[1] -> any = true
            :: else
            fi;
#endif
#ifdef BUG_CLEARED_LATE
            event[P] = false;
#endif
            if
            :: any
            :: else -> event[P]; saw = true
            fi;
            wake(P, saw)
        fi
    od
}

/* Kills, and tells of it: the events of all are written to, for a dead one may have cleared a word and not written (D4). */
proctype hub() {
    byte who;
    bool saw;
    do
    :: deaths < DEATHS ->
        if
        :: !dead[1] -> who = 0
        :: !dead[2] -> who = 1
        :: !dead[3] -> who = 2
        fi;
        atomic { dead[who + 1] = true; deaths++ };
        told[who] = true;
#ifdef BUG_DEATH_SILENT
        ring(0, saw); ring(1, saw); ring(2, saw)
#else
        event[0] = true; event[1] = true; event[2] = true
#endif
    :: break
    od
}

proctype nobody() { skip }

init {
    byte i;
    atomic {
        run producer(0);
#ifdef ONE
        done[1] = true;
        taken[1] = N;
        run nobody();
#else
        run producer(1);
#endif
        run consumer(); run hub()
    };
    timeout;
    do
    :: i < P ->
        assert(dead[i + 1] || done[i]);
        assert(dead[3] || taken[i] == tail[i] || done[1] && i == 1 && !tail[1]);
        assert(dead[3] || sleeps[P]);
        assert(dead[3] || dead[i + 1] || taken[i] == N);
        i++
    :: else -> break
    od
}
