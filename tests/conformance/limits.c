/* SPDX-License-Identifier: Apache-2.0
 * J: fairness and limits. */
#include "conf.h"

static void spins(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) spin_for(self, 1);
}
static void echo(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) {
        mote_pid from;
        mote_term m;
        mote_must(self, mote_receive_match(self, -1, "{?, ?}", &from, &m));
        mote_must(self, mote_send_term(self, from, m));
    }
}
/* 200 ping-pongs; how many went wrong. */
static int ping_pongs(mote_self *self, mote_pid server) {
    int wrong = 0;
    for (int i = 1; i <= 200; i++) {
        int64_t got = 0;
        mote_must(self, mote_send(self, server, "{?, ?}", mote_self_pid(self), i));
        wrong += !(mote_int_get(msg(self), &got) == MOTE_OK && got == i);
    }
    return wrong;
}

static void among_spinners(mote_self *self, struct out *out) {
    enum { MAX = 508 };
    mote_pid spinners[MAX];
    mote_runtime_info info = {0};
    mote_must(self, mote_runtime_info_get(self, &info));
    unsigned n = 2 * info.schedulers;
    mote_assert(self, n <= MAX);
    for (unsigned i = 0; i < n; i++) spinners[i] = (i % 2 ? start_here : start)(self, spins, MOTE_TERM_NIL);
    mote_pid server = start(self, echo, MOTE_TERM_NIL);
    uint64_t since = now_ns();
    put(out, "%d", ping_pongs(self, server));
    put_bool(out, ms_since(since) < 5 * LIMIT_MS);
    signal_exit(self, server, "kill");
    for (unsigned i = 0; i < n; i++) signal_exit(self, spinners[i], "kill");
}

static void long_queue(mote_self *self, struct out *out) {
    mote_pid full = idle(self);
    for (int i = 1; i <= 1000000; i++) mote_must(self, mote_send(self, full, "?", i));
    mote_pid server = start(self, echo, MOTE_TERM_NIL);
    uint64_t since = now_ns();
    put(out, "%d", ping_pongs(self, server));
    int64_t ms = ms_since(since);
    signal_exit(self, full, "kill");
    gone(self, full);
    signal_exit(self, server, "kill");
    put_bool(out, ms < 10000);
}

/* No process has a heap here that could grow: what grows from outside is its mailbox, and that has a limit that can end it. */
static void offender_ends(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_pid offender, other = idle(self);
    mote_spawn_options options = {.body = forever, .mailbox_max = 10000, .policy = MOTE_END, .monitor = &monitor};
    offender = launch(self, &options, MOTE_TERM_NIL);
    for (int i = 0; i < 20000; i++) mote_must(self, mote_send(self, offender, "[1, 2, 3]"));
    put_reason(out, down(self, monitor));
    put_bool(out, is_alive(self, other));
}

static int by_word(const void *a, const void *b) {
    uint64_t x = ((const mote_ref *)a)->word, y = ((const mote_ref *)b)->word;
    return x < y ? -1 : x > y;
}
/* The DOWNs are taken as they come: to look for each in its turn would go through a long mailbox again and again. */
static void many_at_once(mote_self *self, struct out *out) {
    enum { N = 100000 };
    mote_pid *pids = mote_alloc(self, N * sizeof *pids);
    mote_ref *monitors = mote_alloc(self, N * sizeof *monitors), *told = mote_alloc(self, N * sizeof *told);
    bool found;
    size_t before = processes(self, mote_self_pid(self), &found);
    int killed = 0;
    mote_assert(self, pids && monitors && told);
    for (int i = 0; i < N; i++) pids[i] = start_light(self, true, &monitors[i]);
    for (int i = 0; i < N; i++) signal_exit(self, pids[i], "kill");
    for (int i = 0; i < N && mote_receive_match(self, LIMIT_MS, "{'DOWN', ?, _, _, killed}", &told[i]) == MOTE_OK; i++) continue;
    settle(self);
    size_t after = processes(self, mote_self_pid(self), &found);
    qsort(monitors, N, sizeof *monitors, by_word);
    qsort(told, N, sizeof *told, by_word);
    for (int i = 0; i < N; i++) killed += told[i].word == monitors[i].word;
    put(out, "%d", killed);
    put_bool(out, (after > before ? after - before : before - after) < 5);
}

/* A frame for each level: the compiler must not see through it. */
static int deep(int n);
static int (*const volatile next_level)(int n) = deep;
__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) static int deep(int n) {
    volatile int here = n;
    return n == 0 ? 0 : 1 + next_level(n - 1) + (here - n);
}
static void dives(mote_self *self, mote_term arg) {
    int64_t n = 0;
    mote_must(self, mote_int_get(arg, &n));
    int depth = deep((int)n);
    mote_exit(self, TERM(self, "{depth, ?}", depth));
}
/* On a stack of the usual size, and on one that is large enough. */
static void recursion(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_spawn_options options = {.body = dives, .monitor = &monitor};
    for (int large = 0; large < 2; large++) {
        options.stack_size = large ? (size_t)256 << 20 : 0;
        if (!large && FEW_STACKS) { /* nor does it bear that a signal handler is left for another stack */
            put(out, "untested");
            continue;
        }
        launch(self, &options, mote_int_make(NULL, 1000000));
        put_term(out, down(self, monitor));
    }
}

const struct conf conf_limits[] = {
    CONF(J, 01, among_spinners), CONF(J, 02, long_queue), CONF(J, 03, offender_ends), CONF(J, 04, many_at_once),
    CONF(J, 05, recursion), {0},
};
