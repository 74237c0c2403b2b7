/* SPDX-License-Identifier: Apache-2.0
 * M: supervisors. */
#include <mote/supervisor.h>

#include "conf.h"

/* Tells its start and the exit signals it traps to Log; its argument is {{Log, Id, Stubborn}, Starter, Ref}. */
static void kid(mote_self *self, mote_term arg) {
    mote_pid log, starter;
    mote_ref ref;
    mote_term id, m, reason;
    bool stubborn;
    mote_assert(self, mote_match(arg, "{{?, ?, ?}, ?, ?}", &log, &id, &stubborn, &starter, &ref));
    trap(self);
    mote_must(self, mote_send(self, log, "{up, ?, ?}", id, mote_self_pid(self)));
    mote_must(self, mote_send(self, starter, "{ack, ?}", ref));
    for (;;) {
        mote_must(self, mote_receive(self, -1, &m));
        if (mote_match(m, "{die, ?}", &reason)) mote_exit(self, reason);
        if (!mote_match(m, "{'EXIT', _, ?}", &reason)) continue;
        mote_must(self, mote_send(self, log, "{term, ?, ?}", id, reason));
        if (!stubborn) mote_exit(self, reason);
    }
}
/* Returns when the child is up: what several children tell somebody else has no order by itself, not in Erlang either. */
static mote_err start_kid(mote_self *self, mote_term arg, mote_pid *child) {
    mote_ref ref = mote_ref_make(self);
    *child = start_linked(self, kid, TERM(self, "{?, ?, ?}", arg, mote_self_pid(self), ref));
    return mote_receive_match(self, LIMIT_MS, "{ack, ^}", ref);
}
static mote_child_spec spec(mote_self *self, const char *id, bool stubborn) {
    mote_term arg = TERM(self, "{?, ?, ?}", mote_self_pid(self), atom(id), stubborn);
    return (mote_child_spec){.id = id, .start = start_kid, .arg = arg, .restart = MOTE_PERMANENT, .shutdown_ms = LIMIT_MS};
}

static mote_pid supervise(mote_self *self, mote_strategy strategy, int intensity, const mote_child_spec *children, size_t count) {
    mote_pid pid = {0};
    mote_supervisor_options options = {.strategy = strategy, .intensity = intensity, .period_s = 3600, .children = children, .count = count};
    mote_must(self, mote_supervisor_start_link(self, &options, &pid, NULL));
    return pid;
}
static mote_pid supervise_abc(mote_self *self, mote_strategy strategy) {
    mote_child_spec abc[] = {spec(self, "a", false), spec(self, "b", false), spec(self, "c", false)};
    return supervise(self, strategy, 3, abc, 3);
}

static mote_pid wait_up(mote_self *self, const char *id) {
    mote_pid pid = {0};
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{up, ^, ?}", atom(id), &pid));
    return pid;
}
static bool is_event(mote_term m, void *context) {
    (void)context;
    return mote_match(m, "{up, _, _}") || mote_match(m, "{term, _, _}");
}
/* What is told: what has to come, and then whatever more comes until nothing does for 80 ms; their number. `out` may be NULL. */
static int put_events(mote_self *self, struct out *out, int expected) {
    mote_term m, id, reason;
    int n = 0;
    for (; mote_receive_if(self, n < expected ? LIMIT_MS : 80, is_event, NULL, &m) == MOTE_OK; n++) {
        if (!out) continue;
        if (mote_match(m, "{up, ?, _}", &id)) put_term(out, TERM(self, "{up, ?}", id));
        else if (mote_match(m, "{term, ?, ?}", &id, &reason)) put_term(out, TERM(self, "{term, ?, ?}", id, reason));
    }
    if (out && !n) put(out, "none");
    return n;
}
static void stop(mote_self *self, mote_pid supervisor) {
    mote_ref monitor = {0};
    mote_must(self, mote_unlink(self, supervisor));
    mote_must(self, mote_monitor(self, supervisor, &monitor));
    signal_exit(self, supervisor, "shutdown");
    down(self, monitor);
}
static void die(mote_self *self, mote_pid pid, const char *reason) { mote_must(self, mote_send(self, pid, "{die, ?}", atom(reason))); }

static void order(mote_self *self, struct out *out) {
    trap(self);
    mote_pid supervisor = supervise_abc(self, MOTE_ONE_FOR_ONE);
    put_events(self, out, 3);
    stop(self, supervisor);
    put_events(self, out, 3);
}

/* The second of three children crashes. */
static void crash_b(mote_self *self, struct out *out, mote_strategy strategy, int expected) {
    trap(self);
    mote_pid supervisor = supervise_abc(self, strategy);
    wait_up(self, "a");
    mote_pid b = wait_up(self, "b");
    wait_up(self, "c");
    die(self, b, "x");
    put_events(self, out, expected);
    stop(self, supervisor);
}
static void one_for_one(mote_self *self, struct out *out) { crash_b(self, out, MOTE_ONE_FOR_ONE, 1); }
static void one_for_all(mote_self *self, struct out *out) { crash_b(self, out, MOTE_ONE_FOR_ALL, 5); }
static void rest_for_one(mote_self *self, struct out *out) { crash_b(self, out, MOTE_REST_FOR_ONE, 3); }

static mote_pid child_of(mote_self *self, mote_pid supervisor, const char *id) {
    mote_pid pid = {0};
    mote_term list, head, name;
    mote_must(self, mote_supervisor_which_children(self, supervisor, &list));
    for (; mote_list_get(list, &head, &list) == MOTE_OK;)
        if (mote_match(head, "{?, ?, _, _}", &name, &pid) && is(name, id)) return pid;
    mote_error(self, atom("no_child"));
}
static void gives_up(mote_self *self, struct out *out) {
    mote_term reason = atom("no");
    trap(self);
    mote_child_spec ab[] = {spec(self, "a", false), spec(self, "b", false)};
    mote_pid supervisor = supervise(self, MOTE_ONE_FOR_ONE, 2, ab, 2);
    wait_up(self, "a"), wait_up(self, "b");
    for (int i = 0; i < 3; i++) {
        die(self, child_of(self, supervisor, "a"), "x");
        mote_err err = mote_receive_match(self, i < 2 ? LIMIT_MS : 0, "{up, a, _}");
        if (err != MOTE_TIMEOUT) mote_must(self, err);
    }
    mote_err err = mote_receive_match(self, LIMIT_MS, "{'EXIT', ^, ?}", supervisor, &reason);
    if (err != MOTE_TIMEOUT) mote_must(self, err);
    put_reason(out, reason);
    put_events(self, out, 1);
}

/* How many events follow when a child of that kind ends with a reason. */
static void restarts(mote_self *self, struct out *out, mote_restart restart, const char *reason, int expected) {
    mote_child_spec a = spec(self, "a", false);
    a.restart = restart;
    mote_pid supervisor = supervise(self, MOTE_ONE_FOR_ONE, 3, &a, 1);
    die(self, wait_up(self, "a"), reason);
    int n = put_events(self, NULL, expected);
    stop(self, supervisor);
    put_events(self, NULL, expected);  /* of the one that runs again */
    put(out, "%s:%d", reason, n);
}
static void kinds(mote_self *self, struct out *out) {
    trap(self);
    restarts(self, out, MOTE_TRANSIENT, "x", 1);
    restarts(self, out, MOTE_TRANSIENT, "normal", 0);
    restarts(self, out, MOTE_TRANSIENT, "shutdown", 0);
    restarts(self, out, MOTE_TEMPORARY, "x", 0);
    restarts(self, out, MOTE_PERMANENT, "normal", 1);
}

/* Stops the supervisor of one child, whose reason is put; the milliseconds it took. */
static int64_t stop_one(mote_self *self, struct out *out, bool stubborn, int64_t shutdown_ms) {
    mote_ref monitor = {0};
    trap(self);
    mote_child_spec a = spec(self, "a", stubborn);
    a.shutdown_ms = shutdown_ms;
    mote_pid supervisor = supervise(self, MOTE_ONE_FOR_ONE, 3, &a, 1);
    mote_must(self, mote_monitor(self, wait_up(self, "a"), &monitor));
    uint64_t since = now_ns();
    stop(self, supervisor);
    int64_t ms = ms_since(since);
    put_reason(out, down(self, monitor));
    return ms;
}
static void killed_in_the_end(mote_self *self, struct out *out) {
    int64_t ms = stop_one(self, out, true, 100);
    put_bool(out, ms >= 95);
    put_bool(out, ms < LIMIT_MS);
}
static void brutal_kill(mote_self *self, struct out *out) {
    stop_one(self, out, false, MOTE_BRUTAL_KILL);
    put_events(self, out, 0);
}

const struct conf conf_supervisors[] = {
    CONF(M, 01, order), CONF(M, 02, one_for_one), CONF(M, 03, one_for_all), CONF(M, 04, rest_for_one),
    CONF(M, 05, gives_up), CONF(M, 06, kinds), CONF(M, 07, killed_in_the_end), CONF(M, 08, brutal_kill), {0},
};
