/* SPDX-License-Identifier: Apache-2.0
 * D: monitors. */
#include "conf.h"

#define MANY 5000

static mote_ref monitor(mote_self *self, mote_pid pid) {
    mote_ref ref = {0};
    mote_must(self, mote_monitor(self, pid, &ref));
    return ref;
}
static bool demonitor(mote_self *self, mote_ref ref, bool flush) {
    bool active = false;
    mote_must(self, mote_demonitor(self, ref, flush, &active));
    return active;
}

static void of_dead(mote_self *self, struct out *out) { put_reason(out, gone(self, dead(self))); }
static void of_nobody(mote_self *self, struct out *out) {
    mote_ref ref = {0};
    mote_term reason = MOTE_TERM_NONE;
    mote_must(self, mote_monitor(self, "conf_nobody", &ref));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{'DOWN', ^, process, {conf_nobody, '" NODE "'}, ?}", ref, &reason));
    put_term(out, TERM(self, "{named, ?}", reason));
}

static void three(mote_self *self, struct out *out) {
    mote_ref refs[3];
    mote_pid pid = idle(self);
    for (int i = 0; i < 3; i++) refs[i] = monitor(self, pid);
    signal_exit(self, pid, "x");
    for (int i = 0; i < 3; i++) put_reason(out, down(self, refs[i]));
    put(out, "%d", count_rest(self));
}

static void monitors_and_exits(mote_self *self, mote_term arg) {
    monitor(self, pid_of(arg));
    mote_exit(self, atom("boom"));
}
static void one_way(mote_self *self, struct out *out) {
    struct out died = {0};
    mote_pid pid = idle_here(self);
    put_die(self, &died, monitors_and_exits, mote_pid_term(pid));
    settle(self);
    put(out, "alive:%s", is_alive(self, pid) ? "true" : "false");
}

static void demonitor_race(mote_self *self, struct out *out) {
    struct race race = {0};
    int n = rounds(3000);
    for (int i = 1; i <= n; i++) {
        mote_pid pid = racer(self, i, "normal");
        mote_ref ref = monitor(self, pid);
        let_see(self, pid, i);
        tell(self, pid, "go");
        sweep(self, &race);
        bool active = demonitor(self, ref, true);
        gone(self, pid);
        race_round(&race, !active, mote_receive_match(self, 0, "{'DOWN', ^, _, _, _}", ref) == MOTE_TIMEOUT);
    }
    put_race(out, &race);
}

static void queued_down_stays(mote_self *self, struct out *out) {
    mote_term reason = atom("none");
    mote_ref ref = monitor(self, dead(self));
    settle_with(self, 1);
    demonitor(self, ref, false);
    if (mote_receive_match(self, 50, "{'DOWN', ^, _, _, ?}", ref, &reason)) reason = atom("none");
    put_reason(out, reason);
}
static void demonitor_tells(mote_self *self, struct out *out) {
    mote_pid pid = idle(self);
    put_bool(out, demonitor(self, monitor(self, pid), false));
    mote_ref ref = monitor(self, pid);
    signal_exit(self, pid, "x");
    settle_with(self, 1);
    put_bool(out, demonitor(self, ref, false));
    put_bool(out, demonitor(self, ref, true));
    put(out, "%d", count_rest(self));
}
static void unknown_reference(mote_self *self, struct out *out) {
    put_returned(out, mote_demonitor(self, mote_ref_make(self), false, NULL));
}

static void reasons(mote_self *self, struct out *out) {
    mote_ref ref;
    put_die(self, out, ends, MOTE_TERM_NIL);
    put_die(self, out, exits_with, atom("r"));
    mote_pid pid = start_monitored(self, forever, MOTE_TERM_NIL, &ref);
    signal_exit(self, pid, "kill");
    put_reason(out, down(self, ref));
    put_die(self, out, errors_with, atom("e"));
}
static void of_oneself(mote_self *self, struct out *out) {
    monitor(self, mote_self_pid(self));
    settle(self);
    put_rest(self, out);
}

static void of_name(mote_self *self, struct out *out) {
    mote_ref ref = {0};
    mote_pid first = idle(self);
    mote_must(self, name_it(self, "conf_d11", first));
    mote_must(self, mote_monitor(self, "conf_d11", &ref));
    mote_must(self, mote_unregister(self, "conf_d11"));
    mote_pid second = idle_here(self);
    mote_must(self, mote_register(self, "conf_d11", second));
    signal_exit(self, second, "q");
    settle(self);
    put(out, "%d", count_rest(self));
    signal_exit(self, first, "p");
    put_reason(out, down(self, ref));
}

static void never_noproc(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(3000);
    for (int i = 0; i < n; i++) {
        mote_ref ref;
        start_monitored(self, exits_with, atom("x"), &ref);
        violations += !is(down(self, ref), "x");
    }
    put_violations(out, violations);
}
static void tagged(mote_self *self, struct out *out) {
    mote_ref ref = {0};
    mote_term tag, reason;
    mote_pid pid = dead(self);
    mote_monitor_options options = {.tag = atom("mytag")};
    mote_must(self, mote_monitor_opt(self, pid, &options, &ref));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{?, ^, process, ^, ?}", &tag, ref, pid, &reason));
    put_term(out, TERM(self, "{?, ?}", tag, reason));
}

static void many(mote_self *self, struct out *out) {
    mote_ref *refs = mote_alloc(self, MANY * sizeof *refs);
    mote_pid pid = idle(self);
    int n = 0;
    mote_assert(self, refs);
    for (int i = 0; i < MANY; i++) refs[i] = monitor(self, pid);
    signal_exit(self, pid, "x");
    for (int i = 0; i < MANY; i++) n += is(down(self, refs[i]), "x");
    put(out, "%d:%d", n, count_rest(self));
}

static void with_link(mote_self *self, struct out *out) {
    mote_term reason = MOTE_TERM_NONE;
    trap(self);
    mote_pid pid = idle(self);
    mote_must(self, mote_link(self, pid));
    mote_ref ref = monitor(self, pid);
    signal_exit(self, pid, "x");
    put_reason(out, down(self, ref));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{'EXIT', ^, ?}", pid, &reason));
    put_reason(out, reason);
}

const struct conf conf_monitors[] = {
    CONF(D, 01, of_dead), CONF(D, 02, of_nobody), CONF(D, 03, three), CONF(D, 04, one_way),
    CONF(D, 05, demonitor_race), CONF(D, 06, queued_down_stays), CONF(D, 07, demonitor_tells),
    CONF(D, 08, unknown_reference), CONF(D, 09, reasons), CONF(D, 10, of_oneself), CONF(D, 11, of_name),
    CONF(D, 12, never_noproc), CONF(D, 13, tagged), CONF(D, 14, many), CONF(D, 15, with_link), {0},
};
