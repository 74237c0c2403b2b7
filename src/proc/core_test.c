/* SPDX-License-Identifier: Apache-2.0
 * Processes, mailboxes, timers, ends: the public functions on a live runtime. */
#include <mote/mote.h>

#include "check.h"

static const mote_options *with(unsigned schedulers) {
    static mote_options o;
    o = (mote_options){.schedulers = schedulers};
    if (getenv("MOTE_TEST_SEED")) o.chaos_seed = strtoull(getenv("MOTE_TEST_SEED"), NULL, 10);
    return &o;
}

#define RUN(schedulers, body) CHECK_INT(mote_run(with(schedulers), body, NULL), 0)

/* ------------------------------------------------------------------------------------------------ ping-pong */

static void echo(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) {
        mote_term m, x;
        mote_pid from;
        CHECK_OK(mote_receive(self, -1, &m));
        if (mote_match(m, "stop")) return;
        CHECK(mote_match(m, "{?, ?}", &from, &x));
        CHECK_OK(mote_send_term(self, from, x));
    }
}

static int ping(mote_self *self, void *context) {
    mote_pid e;
    mote_term m;
    (void)context;
    CHECK_OK(mote_spawn(self, echo, MOTE_TERM_NIL, &e));
    for (int i = 0; i < 20000; i++) {
        int got;
        CHECK_OK(mote_send(self, e, "{?, {n, ?}}", mote_self_pid(self), i));
        CHECK_OK(mote_receive(self, -1, &m));
        CHECK(mote_match(m, "{n, ?}", &got));
        CHECK_INT(got, i);
    }
    CHECK_OK(mote_send(self, e, "stop"));
    return 0;
}
static void pingpong(void) { RUN(1, ping); }
static void pingpong_2(void) { RUN(2, ping); }

/* --------------------------------------------------------------------------------------------------- handlers */

static void adder_handle(mote_self *self, mote_term m, void *state) {
    int64_t *sum = state, n;
    mote_pid from;
    if (mote_match(m, "{add, ?}", &n)) *sum += n;
    if (mote_match(m, "{get, ?}", &from)) CHECK_OK(mote_send(self, from, "{sum, ?}", *sum));
    if (mote_match(m, "stop")) mote_exit(self, mote_atom_term(mote_atom_make("normal")));
}
static const mote_handler adder = {.name = "adder", .state_size = sizeof(int64_t), .handle = adder_handle};

static int add(mote_self *self, void *context) {
    mote_pid a;
    int64_t sum;
    (void)context;
    CHECK_OK(mote_spawn_handler(self, &adder, MOTE_TERM_NIL, &a));
    for (int i = 1; i <= 10000; i++) CHECK_OK(mote_send(self, a, "{add, ?}", i));
    CHECK_OK(mote_send(self, a, "{get, ?}", mote_self_pid(self)));
    CHECK_OK(mote_receive_match(self, 60000, "{sum, ?}", &sum));
    CHECK_INT(sum, 50005000);
    CHECK_OK(mote_send(self, a, "stop"));
    mote_process_info info;
    mote_err err;
    while ((err = mote_process_info_get(self, a, 60000, &info)) == MOTE_OK)
        ;
    CHECK_INT(err, MOTE_ENOPROC);
    return 0;
}
static void handlers(void) { RUN(2, add); }

/* ----------------------------------------------------------------------------------------------------- timers */

static int time_out(mote_self *self, void *context) {
    mote_term m;
    mote_ref t;
    int64_t left;
    (void)context;
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_INT(mote_receive(self, 20, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_send_after(self, 10, mote_self_pid(self), &t, "{tick, ?}", 7));
    CHECK_OK(mote_receive(self, 60000, &m));
    CHECK(mote_match(m, "{tick, 7}"));
    CHECK_INT(mote_timer_cancel(self, t, &left), MOTE_NOMATCH);
    CHECK_OK(mote_send_after(self, 600000, mote_self_pid(self), &t, "never"));
    CHECK_OK(mote_timer_read(self, t, &left));
    CHECK(left > 500000 && left <= 600000);
    CHECK_OK(mote_timer_cancel(self, t, &left));
    CHECK_INT(mote_timer_cancel(self, t, &left), MOTE_NOMATCH);
    CHECK_OK(mote_sleep(self, 5));
    return 0;
}
static void timers(void) { RUN(1, time_out); }

/* ------------------------------------------------------------------------------------------------- selective */

static int select_reply(mote_self *self, void *context) {
    mote_pid e;
    (void)context;
    CHECK_OK(mote_spawn(self, echo, MOTE_TERM_NIL, &e));
    for (int i = 0; i < 1000; i++) CHECK_OK(mote_send(self, mote_self_pid(self), "{junk, ?}", i));
    for (int i = 0; i < 1000; i++) {
        mote_ref ref = mote_ref_make(self);
        int n;
        CHECK_OK(mote_send(self, e, "{?, {reply, ?, ?}}", mote_self_pid(self), ref, i));
        CHECK_OK(mote_receive_match(self, 60000, "{reply, ^, ?}", ref, &n));
        CHECK_INT(n, i);
    }
    for (int i = 0; i < 1000; i++) {
        int n;
        CHECK_OK(mote_receive_match(self, 0, "{junk, ?}", &n));
        CHECK_INT(n, i);
    }
    CHECK_OK(mote_send(self, e, "stop"));
    return 0;
}
static void selective(void) { RUN(2, select_reply); }

/* --------------------------------------------------------------------------------------------------- many */

static void leaf(mote_self *self, mote_term arg) {
    mote_pid parent;
    mote_term m;
    CHECK_OK(mote_pid_get(arg, &parent));
    CHECK_OK(mote_send(self, parent, "ready"));
    CHECK_OK(mote_receive(self, -1, &m));
    CHECK_OK(mote_send(self, parent, "done"));
}

#if defined(__SANITIZE_THREAD__)
#define MANY 500 /* ThreadSanitizer knows 8128 stacks at a time, and makes them slowly */
#else
#define MANY 20000
#endif

static int many_processes(mote_self *self, void *context) {
    static mote_pid pids[MANY];
    (void)context;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) CHECK_OK(mote_spawn(self, leaf, mote_pid_term(mote_self_pid(self)), &pids[i]));
        for (int i = 0; i < MANY; i++) CHECK_OK(mote_receive_match(self, 60000, "ready"));
        for (int i = 0; i < MANY; i++) CHECK_OK(mote_send(self, pids[i], "go"));
        for (int i = 0; i < MANY; i++) CHECK_OK(mote_receive_match(self, 60000, "done"));
    }
    return 0;
}
static void many(void) { RUN(2, many_processes); }

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(pingpong), TEST(pingpong_2), TEST(handlers), TEST(timers), TEST(selective), TEST(many), {0}});
}
