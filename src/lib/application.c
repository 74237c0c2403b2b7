/* SPDX-License-Identifier: Apache-2.0
 * Programs that are trees: the first process is the root's parent, a second one waits for signals on a thread that may block.
 *
 * A1 both signals are blocked in every thread, so they stay pending until the second process takes them. A2 it looks at `over` every LOOK_NS:
 *    sending oneself a signal to wake it would end programs with threads that do not block it. A3 whatever is pending then is taken before
 *    the mask is given back. */
#include <mote/supervisor.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "lib/store.h"
#include "lib/sup.h"

#define STOP_MS 10000
#define CODE_FAILED 1
#define CODE_TOO_LONG 124
#define CODE_SIGNAL 128
#define LOOK_NS 20000000

struct program {
    const mote_application *application;
    mote_pid main, waiter, root;
    sigset_t signals;
    int taken;             /* the signal that came last */
    uint64_t stopping_ms;  /* since when; 0: it is not */
    bool wanted;           /* the root's end is in order */
    atomic_bool over;      /* the first process has ended */
};

/* ------------------------------------------------------------------------------------------------- signals */

static void take_signal(void *context) {
    struct program *p = context;
    const struct timespec look = {.tv_nsec = LOOK_NS};
    do
        p->taken = sigtimedwait(&p->signals, NULL, &look);
    while (p->taken < 0 && !atomic_load(&p->over)); /* A2 */
}

/* The second signal ends the program here: the first process may be busy with what does not end. */
static void wait_for_signals(mote_self *self, mote_term arg) {
    uint64_t word;
    mote_must(self, mote_uint_get(arg, &word));
    struct program *p = (struct program *)(uintptr_t)word;
    for (bool first = true;; first = false) {
        mote_must(self, mote_blocking(self, take_signal, p));
        if (atomic_load(&p->over)) return;
        if (!first) _exit(CODE_SIGNAL + p->taken);
        mote_must(self, mote_send(self, p->main, "{'$signal', ?}", p->taken));
    }
}

/* The first process ends, however it does. */
static void end_waiting(void *context) {
    struct program *p = context;
    atomic_store(&p->over, true);
}

static void start_waiting(mote_self *self, struct program *p) {
    const mote_spawn_options options = {.body = wait_for_signals, .name = "signals", .link = true};
    mote_term arg = mote_uint_make(mote_scratch(self), (uint64_t)(uintptr_t)p);
    mote_must(self, mote_spawn_opt(self, &options, arg, &p->waiter));
    mote_must(self, mote_cleanup_add(self, end_waiting, p));
}

static void take_pending(const sigset_t *signals) {
    sigset_t pending;
    int taken;
    for (;;) {
        sigemptyset(&pending);
        sigpending(&pending);
        if (!sigismember(&pending, SIGTERM) && !sigismember(&pending, SIGINT)) return;
        sigwait(signals, &taken); /* A3 */
    }
}

/* --------------------------------------------------------------------------------------------------- the root */

static mote_err start_root(mote_self *self, struct program *p, mote_term *reason) {
    const mote_application *a = p->application;
    if (a->root) return mt_sup_start(self, a->root, true, &p->root, reason);
    mote_err err = a->start(self, MOTE_TERM_NIL, &p->root);
    if (err && mote_receive_match(self, 0, "{'$child_refused', ?}", reason) != MOTE_OK) *reason = mote_to_name(mote_err_name(err));
    return err;
}

static void stop_root(mote_self *self, struct program *p) {
    p->stopping_ms = mt_now_ms(self) + 1; /* never 0 */
    mote_must(self, mote_exit_send(self, p->root, mote_to_name("shutdown")));
}

/* Waits until the root has ended; gives its reason, borrowed until the next receive. */
static mote_term await_root(mote_self *self, struct program *p) {
    int64_t limit_ms = p->application->stop_ms ? p->application->stop_ms : STOP_MS;
    mote_term message, reason;
    mote_pid from;
    for (;;) {
        mote_err err = mote_receive(self, p->stopping_ms ? mt_left_ms(self, p->stopping_ms, limit_ms) : -1, &message);
        if (err == MOTE_TIMEOUT) _exit(CODE_TOO_LONG);
        mote_must(self, err);
        if (mote_match(message, "{'EXIT', ?, ?}", &from, &reason)) {
            if (from.word == p->root.word) return reason;
            if (from.word == p->waiter.word) stop_root(self, p); /* nobody can stop it any more */
        } else if (mote_match(message, "{'$supervisor_done', ^}", p->root)) {
            p->wanted = true;
        } else if (mote_match(message, "{'$signal', _}")) {
            p->wanted = true;
            stop_root(self, p);
        }
    }
}

static MOTE_NORETURN void fail(mote_self *self, const char *what, mote_term reason) {
    mote_term all = reason;
    if (mote_build(mote_scratch(self), &all, "{?, ?}", mote_atom_make(what), reason)) all = mote_to_name(what);
    mote_exit(self, all); /* which is logged, and gives 1 */
}

static int run_root(mote_self *self, void *context) {
    struct program *p = context;
    mote_term reason = MOTE_TERM_NIL;
    p->main = mote_self_pid(self);
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    start_waiting(self, p);
    if (start_root(self, p, &reason)) fail(self, "application_not_started", reason);
    reason = await_root(self, p);
    if (mote_match(reason, "normal") || (p->wanted && mote_match(reason, "shutdown"))) return 0;
    fail(self, "application_ended", reason);
}

int mote_application_run(const mote_options *options, const mote_application *application) {
    struct program p = {.application = application};
    mote_options own = options ? *options : (mote_options){0};
    sigset_t before;
    if (!application || !application->root == !application->start || application->stop_ms < MOTE_INFINITY) return CODE_FAILED;
    if (own.blocking_max) own.blocking_max++; /* one thread is ours */
    sigemptyset(&p.signals);
    sigaddset(&p.signals, SIGTERM);
    sigaddset(&p.signals, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &p.signals, &before)) return CODE_FAILED;
    int code = mote_run(&own, run_root, &p);
    take_pending(&p.signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
