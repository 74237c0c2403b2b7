/* SPDX-License-Identifier: Apache-2.0
 * Timers and time-outs: never early, in order, cancelled exactly once, by anybody. */
#include <sched.h>

#include "live.h"

/* ------------------------------------------------------------------------------------------------- never early */

static bool never(mote_term message, void *context) { return (void)message, (void)context, false; }

static int early(mote_self *self, void *context) {
    mote_term m;
    mote_ref ref = mote_ref_make(self);
    (void)context;
    CHECK_OK(mote_send(self, mote_self_pid(self), "junk"));
    for (int ms = 0; ms < 12; ms++) {
        uint64_t start = now_ns();
        if (ms % 6 == 0) CHECK_OK(mote_sleep(self, ms));
        if (ms % 6 == 1) CHECK_INT(mote_receive_if(self, ms, never, NULL, &m), MOTE_TIMEOUT);
        if (ms % 6 == 2) CHECK_INT(mote_receive_match(self, ms, "{reply, ^}", ref), MOTE_TIMEOUT);
        if (ms % 6 == 3) CHECK_OK(mote_send_after(self, ms, mote_self_pid(self), NULL, "tick"));
        if (ms % 6 == 3) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "tick"));
        if (ms % 6 == 4) CHECK_OK(mote_receive_match(self, ms, "junk"));
        if (ms % 6 == 4) start -= (uint64_t)ms * 1000000;
        if (ms % 6 == 5) CHECK_INT(mote_receive(self, ms, &m), MOTE_TIMEOUT);
        if (ms % 6 == 5) CHECK_OK(mote_send(self, mote_self_pid(self), "junk"));
        CHECK(now_ns() - start >= (uint64_t)ms * 1000000);
    }
    return 0;
}
ONE_AND_TWO(never_early, early)

/* Many processes with time-outs of their own, and messages that come and do not fit. */
static void sleeper(mote_self *self, mote_term arg) {
    uint64_t random = (uint64_t)(uintptr_t)self * 2654435761u;
    for (int i = 0; i < 8; i++) {
        int64_t ms = (int64_t)(random >> 33) % 20;
        uint64_t start = now_ns();
        CHECK_INT(mote_receive_match(self, ms, "never"), MOTE_TIMEOUT);
        CHECK(now_ns() - start >= (uint64_t)ms * 1000000);
        random = random * 6364136223846793005u + 1;
    }
    CHECK_OK(mote_send(self, pid_of(arg), "slept"));
}
static int sleepers(mote_self *self, void *context) {
    enum { N = 300 };
    mote_pid pids[N];
    (void)context;
    for (int i = 0; i < N; i++) CHECK_OK(mote_spawn(self, sleeper, self_term(self), &pids[i]));
    for (int done = 0, i = 0; done < N; i++) {
        CHECK_OK(mote_send(self, pids[i % N], "{does_not_fit, ?}", i));
        if (mote_receive_match(self, i % 16 == 0, "slept") == MOTE_OK) done++;
    }
    return 0;
}
ONE_AND_TWO(many_sleepers, sleepers)

/* A long time does not come at once. */
static int long_times(mote_self *self, void *context) {
    static const int64_t times[] = {1000000, 9223372036854, 9223372036855, 18446744073709, 18446744073710, 18446744073711, (int64_t)1 << 47};
    mote_ref timers[7];
    mote_term m;
    int64_t left;
    (void)context;
    for (int i = 0; i < 7; i++) CHECK_OK(mote_send_after(self, times[i], mote_self_pid(self), &timers[i], "{early, ?}", i));
    CHECK_INT(mote_receive(self, 5, &m), MOTE_TIMEOUT);
    for (int i = 0; i < 7; i++) {
        CHECK_OK(mote_timer_read(self, timers[i], &left));
        CHECK(left > 900000);
        CHECK_OK(mote_timer_cancel(self, timers[i], NULL));
    }
    for (int i = 0; i < 7; i++) {
        CHECK_OK(mote_send_after(self, 3, mote_self_pid(self), NULL, "wake"));
        CHECK_OK(mote_receive(self, times[i], &m));
        CHECK(mote_match(m, "wake"));
    }
    return 0;
}
static void far_away(void) { RUN(1, long_times); }

/* -------------------------------------------------------------------------------------------------- order */

static int ordered(mote_self *self, void *context) {
    enum { N = 40 };
    int in_order = 0;
    (void)context;
    for (int times = 0; times < 10 && in_order < N; times++) { /* a thread that stands still for 3 ms turns two round */
        int n, last = -1;
        for (int i = 0; i < N; i++) { /* 0, 7, 14 ... of 40: each once, mixed */
            int ms = i * 7 % N;
            CHECK_OK(mote_send_after(self, 20 + 3 * ms, mote_self_pid(self), NULL, "{tick, ?}", ms));
        }
        in_order = 0;
        for (int i = 0; i < N; i++) {
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{tick, ?}", &n));
            in_order += n > last;
            last = n;
        }
    }
    CHECK(in_order == N || under_tool());
    CHECK_INT(mote_receive_match(self, 5, "_"), MOTE_TIMEOUT);
    return 0;
}
static void order(void) { RUN(1, ordered); }

static int crowd(mote_self *self, void *context) {
    int n = scaled(100000), got;
    long sum = 0;
    (void)context;
    for (int i = 0; i < n; i++) CHECK_OK(mote_send_after(self, i * 7 % 50, mote_self_pid(self), NULL, "{?}", i));
    for (int i = 0; i < n; i++) {
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{?}", &got));
        sum += got;
    }
    CHECK_INT(sum, (long)n * (n - 1) / 2);
    CHECK_INT(mote_receive_match(self, 5, "_"), MOTE_TIMEOUT);
    return 0;
}
ONE_AND_TWO(many, crowd)

/* ------------------------------------------------------------------------------------------------- cancelling */

static void canceller(mote_self *self, mote_term arg) {
    mote_pid main = pid_of(arg);
    mote_ref timer;
    int64_t left;
    CHECK_OK(mote_receive_match(self, -1, "{cancel, ?}", &timer));
    mote_err err = mote_timer_cancel(self, timer, &left);
    CHECK_OK(mote_send(self, main, "{?, ?}", (bool)(err == MOTE_OK), left));
}

static int cancels(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self), pid;
    mote_ref timer, second;
    int64_t left = -1, less = -1;
    bool done;
    (void)context;
    CHECK_OK(mote_send_after(self, 50000, me, &timer, "never"));
    CHECK_OK(mote_timer_read(self, timer, &left));
    CHECK(left > 40000 && left <= 50000);
    CHECK_OK(mote_sleep(self, 3));
    CHECK_OK(mote_timer_read(self, timer, &less));
    CHECK(less <= left - 2);
    CHECK_OK(mote_timer_cancel(self, timer, &left));
    CHECK(left <= less);
    CHECK_INT(mote_timer_cancel(self, timer, &left), MOTE_NOMATCH);
    CHECK_INT(mote_timer_read(self, timer, &left), MOTE_NOMATCH);
    CHECK_OK(mote_send_after(self, 50000, me, &second, "never")); /* perhaps in the same place: the old name is no name for it */
    CHECK(second.word != timer.word);
    CHECK_INT(mote_timer_cancel(self, timer, NULL), MOTE_NOMATCH);
    CHECK_OK(mote_spawn(self, canceller, self_term(self), &pid));
    CHECK_OK(mote_send(self, pid, "{cancel, ?}", second));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{?, ?}", &done, &left));
    CHECK(done && left > 40000);
    CHECK_OK(mote_send_after(self, 0, me, &timer, "now"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "now"));
    CHECK_INT(mote_timer_cancel(self, timer, &left), MOTE_NOMATCH);
    return 0;
}
ONE_AND_TWO(cancel, cancels)

/* A timer is cancelled or its message comes, never both, never neither. */
static int races(mote_self *self, void *context) {
    enum { N = 64 };
    mote_ref timers[N];
    bool came[N];
    long cancelled = 0, fired = 0;
    (void)context;
    for (int round = 0; round < scaled(400); round++) {
        int got, open = 0;
        for (int i = 0; i < N; i++) {
            came[i] = false;
            CHECK_OK(mote_send_after(self, i % 3, mote_self_pid(self), &timers[i], "{fired, ?, ?}", round, i));
        }
        for (int i = 0; i < round % 40; i++) CHECK_OK(mote_yield(self));
        for (uint64_t end = now_ns() + (uint64_t)(round % 10) * 200000; now_ns() < end;) CHECK_OK(mote_yield(self));
        for (int i = 0; i < N; i++) {
            mote_err err = mote_timer_cancel(self, timers[i], NULL);
            CHECK(err == MOTE_OK || err == MOTE_NOMATCH);
            came[i] = err == MOTE_OK;
            cancelled += came[i];
            open += !came[i];
        }
        for (; open > 0; open--, fired++) {
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{fired, ^, ?}", round, &got));
            CHECK(!came[got]);
            came[got] = true;
        }
        CHECK_INT(mote_receive_match(self, 0, "_"), MOTE_TIMEOUT);
    }
    CHECK_INT(mote_receive_match(self, 10, "_"), MOTE_TIMEOUT);
    CHECK(under_tool() || (fired > 0 && cancelled > 0));
    return 0;
}
ONE_AND_TWO(race, races)

/* --------------------------------------------------------------------------------------------------- receivers */

static void short_life(mote_self *self, mote_term arg) { (void)self, (void)arg; }
static void starts_timer(mote_self *self, mote_term arg) { CHECK_OK(mote_send_after(self, 5, pid_of(arg), NULL, "{from, ?}", mote_self_pid(self))); }
static void waits(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

static int lives(mote_self *self, void *context) {
    mote_pid pid, from;
    mote_ref timer;
    int64_t left;
    (void)context;
    CHECK_OK(mote_spawn(self, starts_timer, self_term(self), &pid));
    wait_gone(self, pid);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{from, ?}", &from)); /* it lives on when its starter ends */
    CHECK(from.word == pid.word);
    CHECK_OK(mote_spawn(self, waits, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send_after(self, 100000, pid, &timer, "never"));
    CHECK_OK(mote_timer_read(self, timer, &left));
    CHECK_OK(mote_send(self, pid, "stop"));
    wait_gone(self, pid);
    CHECK_INT(mote_timer_read(self, timer, &left), MOTE_NOMATCH); /* its receiver has ended */
    CHECK_INT(mote_timer_cancel(self, timer, &left), MOTE_NOMATCH);
    CHECK_OK(mote_send_after(self, 1, pid, &timer, "to_the_dead"));
    CHECK_OK(mote_exit_after(self, 1, pid, atom("dead"), &timer));
    CHECK_INT(mote_timer_cancel(self, timer, &left), MOTE_NOMATCH);
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(mote_spawn(self, short_life, MOTE_TERM_NIL, &pid));
        CHECK_OK(mote_send_after(self, i % 3, pid, NULL, "perhaps"));
    }
    CHECK_OK(mote_sleep(self, 5));
    return 0;
}
ONE_AND_TWO(ends, lives)

static mote_pid main_pid;
static void say_why(mote_self *self, mote_term reason, void *state) {
    (void)state;
    CHECK_OK(mote_send(self, main_pid, "{why, ?}", reason));
}
static void ignore(mote_self *self, mote_term message, void *state) { (void)self, (void)message, (void)state; }
static const mote_handler talks = {.name = "talks", .handle = ignore, .stop = say_why};

static int exits(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref timer;
    int64_t left;
    (void)context;
    main_pid = mote_self_pid(self);
    CHECK_OK(mote_spawn_handler(self, &talks, MOTE_TERM_NIL, &pid));
    uint64_t start = now_ns();
    CHECK_OK(mote_exit_after(self, 10, pid, mote_tuple_make(mote_scratch(self), 1, &(mote_term){atom("late").word}), &timer));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{why, {late}}"));
    CHECK(now_ns() - start >= 10000000);
    CHECK_OK(mote_spawn_handler(self, &talks, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_exit_after(self, 1, pid, atom("kill"), NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{why, killed}"));
    CHECK_OK(mote_spawn_handler(self, &talks, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_exit_after(self, 0, pid, atom("normal"), NULL));
    CHECK_OK(mote_exit_after(self, 60000, pid, atom("never"), &timer));
    CHECK_INT(mote_receive_match(self, 10, "{why, _}"), MOTE_TIMEOUT);
    CHECK_OK(mote_timer_cancel(self, timer, &left));
    CHECK_OK(mote_exit_send(self, pid, atom("enough")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{why, enough}"));
    return 0;
}
ONE_AND_TWO(exit_after, exits)

/* A timer for a name looks for who has it when the time has come, and keeps the name until then. */
static void time_names(mote_self *self, int number) {
    mote_term name, m;
    mote_pid pid;
    mote_ref timer, ref;
    int64_t left;
    mote_arena *arena = mote_arena_new(0);
    char text[30];
    snprintf(text, sizeof text, "counted_target_%d", number);
    CHECK_OK(mote_term_parse(arena, text, strlen(text), &name, NULL));
    for (int64_t ms = 20;; ms *= 4) {
        uint64_t since = now_ns();
        CHECK_OK(mote_send_after(self, ms, name, NULL, "fired"));
        CHECK_OK(mote_send_after(self, 1, name, NULL, "too_early"));
        CHECK_OK(mote_send_after(self, 5, mote_self_pid(self), NULL, "later"));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "later"));
        CHECK_OK(mote_register(self, name, mote_self_pid(self)));
        if (ms_since(since) < ms) break;
        CHECK(ms < PATIENCE_MS); /* a machine that was too slow for that tries with more time */
        CHECK_OK(mote_unregister(self, name));
        (void)!mote_receive_match(self, 100, "fired");
    }
    CHECK_OK(mote_exit_after(self, 60000, name, atom("kill"), &timer));
    CHECK_OK(mote_timer_read(self, timer, &left));
    CHECK(left > 0);
    CHECK_OK(mote_timer_cancel(self, timer, NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "fired"));
    CHECK_OK(mote_unregister(self, name));
    CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_register(self, name, pid));
    CHECK_OK(mote_exit_after(self, 1, name, atom("kill"), NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, killed}", ref));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    mote_arena_free(arena);
}
static int names_are_kept(mote_self *self, void *context) {
    (void)context;
    time_names(self, 0);
    size_t atoms = mote_atom_count(); /* and those of the report of who was killed, which may come later */
    for (int i = 1; i <= 20; i++) time_names(self, i);
    WAIT_UNTIL(self, mote_atom_count() < atoms + 10);
    return 0;
}
ONE_AND_TWO(to_name, names_are_kept)

/* A timer fires though the process that started it holds its scheduler. */
static atomic_int ticked;
static void awaits_tick(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "tick"));
    atomic_store(&ticked, 1);
}
static int holds(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn(self, awaits_tick, MOTE_TERM_NIL, &pid));
    wait_idle(self, pid);
    CHECK_OK(mote_send_after(self, 5, pid, NULL, "tick"));
    for (uint64_t since = now_ns(); !atomic_load(&ticked); sched_yield()) CHECK(ms_since(since) < PATIENCE_MS);
    return 0;
}
static void while_held(void) { RUN(2, holds); }

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST_ONE_AND_TWO(never_early), TEST_ONE_AND_TWO(many_sleepers), TEST(far_away), TEST(order),
                                            TEST_ONE_AND_TWO(many), TEST_ONE_AND_TWO(cancel), TEST_ONE_AND_TWO(race), TEST_ONE_AND_TWO(ends),
                                            TEST_ONE_AND_TWO(exit_after), TEST_ONE_AND_TWO(to_name), TEST(while_held), {0}});
}
