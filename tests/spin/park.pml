/* SPDX-License-Identifier: Apache-2.0
 * How idle schedulers sleep and are woken: src/sched/sched.c.
 *
 * Each shared access is a step of its own; what a lock or one atomic instruction does is one step. Modelled: rings (with stealing of
 * the older half, and spilling), newest-task slots (stealable when the watchdog says `stuck`), the injector, `park` with its futex or
 * the poller, timed sleep, the counters `parked` and `searching`, attached threads that push, kick or arm a descriptor, the watchdog.
 *
 * When nothing can move any more: every task has run, the timer and the descriptor have been served, nobody is counted as searching,
 * and who does not hold a turn that never ends sleeps.
 *
 * Sizes: W schedulers, K tasks made by tasks, OUT by an attached thread, LOOKS at descriptors by who does not sleep
 * (the watchdog; with two, the schedulers too).
 * Parts: HOG a turn may last for ever; TIMER a timer of an attached thread; ALARM one that is set already;
 * POLL a descriptor of one; LEAN no rings, no stealing.
 */
#ifndef W
#define W 2
#endif
#ifndef K
#define K 2
#endif
#ifndef OUT
#define OUT 1
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
#ifndef RING
#define RING 2
#endif
#define WOKEN 3 /* park: 0 awake, 1 asleep on the futex, 2 asleep in the poller, 3 woken: the sleeper is counted as searching */

byte ring[W], lifo[W], injected;
byte park[W], in_futex[W];
short parked, searching;
bool is_searching[W]; /* its owner's alone */
bool stuck[W], hogging[W];
byte spare = K, made, done;
byte hogs;

bool armed, event, polling, poll_wake; /* descriptor, its event, the poller's role, its wake-up */
byte looks = LOOKS;                        /* how often the busy look at descriptors */
#ifdef ALARM
bool wheel = true, due;
#else
bool wheel, due;                       /* a timer in scheduler 0's wheel; its time has come */
#endif

/* ------------------------------------------------------------------------------------------------- waking */

/* A waker has moved park[v] from `m` to WOKEN. It counts afterwards: so `searching` can fall below 0 for a moment. */
inline woken(v, m) {
#ifdef BUG_LATE_FLAG
    parked--;
#endif
#ifndef BUG_UNCOUNTED
    searching++;
#endif
#ifdef BUG_LATE_FLAG
    is_searching[v] = true;
#endif
    if
    :: m == 1 ->
#ifndef BUG_NO_FUTEX_WAKE
        in_futex[v] = 0
#endif
    :: else -> poll_wake = true
    fi;
    m = 0
}

#ifdef BUG_LATE_FLAG
#define CLAIMED 0
#else
#define CLAIMED WOKEN
#endif

inline wake_one(v, m) {
    v = 0;
    do
    :: v < W ->
        m = park[v];
        if
        :: m == 1 || m == 2 ->
            if
            :: atomic { park[v] == m -> park[v] = CLAIMED }; woken(v, m); break
            :: else -> v++
            fi
        :: else -> v++
        fi
    :: else -> break
    od;
    atomic { v = 0; m = 0 }
}

inline notify(v, m) {
    if
    :: searching <= 0 ->
        if
        :: parked != 0 -> wake_one(v, m)
        :: else
        fi
    :: else
    fi
}

inline kick(v, m) {
    v = 0;
    m = park[v];
    if
    :: (m == 1 || m == 2) ->
        if
        :: atomic { park[v] == m -> park[v] = CLAIMED }; woken(v, m)
        :: else
        fi
    :: else
    fi;
    atomic { v = 0; m = 0 }
}

/* --------------------------------------------------------------------------------------- a scheduler's queues */

/* Appends one task to its own ring; of a full one the older half goes to the injector with it. */
inline ring_add(id, n) {
#ifdef LEAN
    injected++
#else
    if
    :: atomic { ring[id] < RING -> ring[id]++ }
    :: else ->
        atomic { n = ring[id] - ring[id] / 2; ring[id] = ring[id] - n };
        atomic { injected = injected + n + 1; n = 0 }
    fi
#endif
}

inline push(id, n, v, m) {
    ring_add(id, n);
    notify(v, m)
}

inline wake_task(id, n, v, m) {
    atomic { n = lifo[id]; lifo[id] = 1 };
    if
    :: n -> n = 0; push(id, n, v, m)
    :: else
    fi
}

inline take_injected(id, got, n, v, m) {
    if
    :: injected > 0 ->
        n = injected / W + 1;
        atomic {
            if
            :: injected < n -> n = injected
            :: else
            fi;
            injected = injected - n; got = (n > 0)
        };
        if
        :: n > 1 ->
            m = n - 1;
            do
            :: m > 0 -> ring_add(id, n); m--
            :: else -> break
            od;
            n = 0;
            notify(v, m)
        :: else -> n = 0
        fi
    :: else
    fi
}

inline steal(id, got, n, v) {
    v = 0;
    do
    :: v < W && !got ->
        if
        :: v == id
        :: else ->
            if
            :: atomic { ring[v] > 0 -> n = ring[v] - ring[v] / 2; ring[v] = ring[v] - n; got = true };
                do
                :: n > 1 -> atomic { assert(ring[id] < RING); ring[id]++; n-- }
                :: else -> break
                od;
                n = 0
            :: else ->
                if
                :: stuck[v] ->
                    if
                    :: atomic { lifo[v] -> lifo[v] = 0; got = true }
                    :: else
                    fi
                :: else
                fi
            fi
        fi;
        v++
    :: else -> break
    od;
    v = 0
}

inline stop_searching(id, found, n, v, m) {
    if
    :: is_searching[id] ->
        is_searching[id] = false;
        atomic { n = (searching <= 1 -> 1 : 0); searching-- };
#ifndef BUG_LAST_SILENT
        if
        :: n && found -> n = 0; notify(v, m)
        :: else -> n = 0
        fi
#else
        n = 0
#endif
    :: else
    fi
}

/* -------------------------------------------------------------------------------------------------- sleeping */

inline anything_to_do(id, mode, n, v) {
    n = 0;
#ifndef BUG_NO_RECHECK
    if
    :: injected > 0 -> n = 1
    :: else
    fi;
#ifdef LEAN
    if
    :: lifo[id] -> n = 1
    :: else
    fi;
#else
    v = 0;
    do
    :: v < W && !n ->
        if
        :: ring[v] > 0 || ((v == id || stuck[v]) && lifo[v]) -> n = 1
        :: else
        fi;
        v++
    :: else -> break
    od;
    v = 0;
#endif
#if defined(TIMER) || defined(ALARM)
    if
    :: id == 0 && due -> n = 1
    :: else
    fi;
#endif
#if defined(POLL) && !defined(BUG_POLLER_NOT_RECHECKED)
    if
    :: mode == 1 && armed ->
        if
        :: !polling -> n = 1
        :: else
        fi
    :: else
    fi
#endif
#endif
}

/* Leaves the announced state: undone by itself, or taken over from a waker. */
inline wake_up(id, mode) {
    if
    :: atomic { park[id] == mode -> park[id] = 0 };
#ifdef BUG_LATE_FLAG
        parked--
#endif
    :: else ->
#ifndef BUG_LATE_FLAG
        atomic { assert(park[id] == WOKEN); park[id] = 0; is_searching[id] = true }
#endif
    fi;
#ifndef BUG_LATE_FLAG
    parked--
#endif
}

inline sleep(id, mode, n) {
    do
    :: park[id] == mode && !n ->
        n = (id == 0 && wheel -> 2 : 0); /* the wheel's next deadline: a finite sleep */
        if
        :: n == 2 && due -> n = 0; break
        :: else
        fi;
        if
        :: mode == 1 ->
            if
            :: atomic { park[id] == 1 -> in_futex[id] = 1 };
                if
                :: !in_futex[id]
                :: n == 2 && due -> in_futex[id] = 0
                fi
            :: else
            fi;
            n = 0
        :: else ->
            if
            :: atomic { poll_wake -> poll_wake = false; n = 0 }
            :: atomic { event && armed -> event = false; armed = false; n = 1 }
            :: n == 2 && due -> n = 0
            fi
        fi
    :: else -> break
    od
}

proctype scheduler(byte id) {
    byte n, v, m, mode;
    bool got;

again:
    if /* do_duty: timers; now and then descriptors */
    :: id == 0 && due -> atomic { due = false; wheel = false; made++ }; wake_task(id, n, v, m)
    :: else
    fi;
#if defined(POLL) && LOOKS > 1
    if
    :: atomic { looks > 0 && armed && !polling -> polling = true; looks-- };
        if
        :: atomic { event -> event = false; armed = false; n = 1 }
        :: else
        fi;
        polling = false;
        if
        :: n -> atomic { n = 0; made++ }; wake_task(id, n, v, m)
        :: else
        fi
    :: true
    fi;
#endif
    if
    :: atomic { lifo[id] -> lifo[id] = 0; got = true }
    :: else ->
        if
#ifndef LEAN
        :: atomic { ring[id] > 0 -> ring[id]--; got = true }
#endif
        :: else -> take_injected(id, got, n, v, m)
        fi
    fi;
    if
    :: got -> stop_searching(id, true, n, v, m); goto turn
    :: else
    fi;

    /* spin */
    if
    :: !is_searching[id] ->
        if
        :: 2 * searching < W -> is_searching[id] = true; searching++
        :: else
        fi
    :: else
    fi;
    if
    :: is_searching[id] ->
#ifndef LEAN
        steal(id, got, n, v);
#endif
        if
        :: !got -> take_injected(id, got, n, v, m)
        :: else
        fi;
        stop_searching(id, got, n, v, m);
        if
        :: got -> goto turn
        :: else
        fi
    :: else
    fi;

    /* park */
    mode = 1;
#ifdef POLL
    if
    :: armed ->
        if
        :: atomic { !polling -> polling = true; mode = 2 }
        :: else
        fi
    :: else
    fi;
#endif
#ifdef BUG_RECHECK_BEFORE
    anything_to_do(id, mode, n, v);
#endif
    park[id] = mode;
    parked++;
#ifndef BUG_RECHECK_BEFORE
    anything_to_do(id, mode, n, v);
#endif
    if
    :: n -> n = 0; wake_up(id, mode)
    :: else -> sleep(id, mode, n); wake_up(id, mode)
    fi;
    if
    :: mode == 2 -> polling = false
    :: else
    fi;
    mode = 0;
    if
    :: n -> atomic { n = 0; made++ }; wake_task(id, n, v, m)
    :: else
    fi;
    goto again;

turn:
    got = false;
    do
    :: atomic { spare > 0 -> spare--; made++ };
        if
        :: push(id, n, v, m)
        :: wake_task(id, n, v, m)
        fi
    :: break
    od;
#ifdef HOG
    if
    :: atomic { hogs == 0 -> hogs = 1; hogging[id] = true; done++ }; /* a turn that never ends */
        false
    :: true
    fi;
#endif
    done++;
    goto again
}

/* -------------------------------------------------------------------------------------------------- outside */

#if OUT > 0
proctype pusher() {
    byte v, m, n = OUT;
    do
    :: n > 0 -> n--; atomic { injected++; made++ };
#ifndef BUG_PUSH_SILENT
        notify(v, m)
#endif
    :: else -> break
    od
}
#endif

#ifdef TIMER
proctype timer() {
    byte v, m;
    wheel = true;
#ifndef BUG_NO_KICK
    kick(v, m)
#endif
}
#endif

#if defined(TIMER) || defined(ALARM)
proctype clock() {
    wheel -> due = true
}
#endif

#ifdef POLL
proctype descriptor() {
    byte v, m;
    armed = true;
    poll_wake = true; /* the poller, if there is one, takes the watch over */
    notify(v, m);
    event = true
}
#endif

#if defined(HOG) || defined(POLL)
proctype watchdog() {
    byte v, m, i, n;
#ifdef POLL
    if /* looks at descriptors, without waiting, at any time */
    :: atomic { looks > 0 && armed && !polling -> polling = true; looks-- };
        if
        :: atomic { event -> event = false; armed = false; n = 1 }
        :: else
        fi;
        polling = false;
        if
        :: n -> atomic { n = 0; injected++; made++ }
        :: else
        fi;
#ifndef BUG_WATCHDOG_SILENT
        notify(v, m)
#endif
    :: true
    fi;
#endif
#ifdef HOG
end:
    if
    :: hogging[0]
    :: hogging[1] -> i = 1
#if W > 2
    :: hogging[2] -> i = 2
#endif
    fi;
    if
    :: lifo[i] || ring[i] -> stuck[i] = true; notify(v, m)
    :: else
    fi;
#if defined(TIMER) || defined(ALARM)
end_due:
    i == 0 && due;
    atomic { due = false; wheel = false; injected++; made++ };
    notify(v, m)
#endif
#endif
}
#endif

init {
    byte i;
    atomic {
        do
        :: i < W -> run scheduler(i); i++
        :: else -> break
        od;
        i = 0;
#if OUT > 0
        run pusher();
#endif
#ifdef TIMER
        run timer();
#endif
#if defined(TIMER) || defined(ALARM)
        run clock();
#endif
#ifdef POLL
        run descriptor();
#endif
#if defined(HOG) || defined(POLL)
        run watchdog();
#endif
    };
    timeout;
    d_step {
        assert(made == done && injected == 0); /* nothing that is runnable waits */
        assert(!due && !event);
        assert(searching == 0);
        do
        :: i < W ->
            assert(ring[i] == 0 && !lifo[i] && !is_searching[i]);
            assert(hogging[i] || park[i] == 1 || park[i] == 2);
            i++
        :: else -> break
        od;
        assert(parked == W - hogs);
#ifdef POLL
        assert(polling || !armed); /* a descriptor that is armed has a poller */
#endif
    }
}
