/* SPDX-License-Identifier: Apache-2.0
 * B: exit signals, exit reasons, trapping, clean-ups. */
#include "conf.h"

static void has_normal_child(mote_self *self, mote_term arg) {
    (void)arg;
    start_linked(self, ends, MOTE_TERM_NIL);
    settle(self);
    int n = count_rest(self);
    mote_exit(self, TERM(self, "{alive, ?}", n));
}
static void normal_peer(mote_self *self, struct out *out) {
    mote_ref monitor;
    start_monitored(self, has_normal_child, MOTE_TERM_NIL, &monitor);
    put_term(out, down(self, monitor));
}

/* Has a linked child that exits with Arg. */
static void has_child(mote_self *self, mote_term arg) {
    start_linked(self, exits_with, arg);
    forever(self, arg);
}
static void abnormal_peer(mote_self *self, struct out *out) { put_die(self, out, has_child, atom("boom")); }
static void kill_over_link(mote_self *self, struct out *out) { put_die(self, out, has_child, atom("kill")); }

static void trap_child(mote_self *self, struct out *out, const char *reason) {
    trap(self);
    mote_pid child = start_linked(self, exits_with, atom(reason));
    put_exit(out, child, msg(self));
}
static void trap_normal(mote_self *self, struct out *out) {
    trap(self);
    mote_pid child = start_linked(self, ends, MOTE_TERM_NIL);
    put_exit(out, child, msg(self));
}
static void trap_abnormal(mote_self *self, struct out *out) { trap_child(self, out, "boom"); }
static void exit_kill_by_itself(mote_self *self, struct out *out) { trap_child(self, out, "kill"); }

static void normal_is_ignored(mote_self *self, struct out *out) {
    mote_pid pid = idle(self);
    signal_exit(self, pid, "normal");
    settle(self);
    put(out, "alive:%s", is_alive(self, pid) ? "true" : "false");
}

/* Traps, says `up`, and passes one message on as {got, Message}. */
static void traps_and_tells(mote_self *self, mote_term arg) {
    trap(self);
    tell(self, pid_of(arg), "up");
    mote_term m = msg(self);
    mote_must(self, mote_send(self, pid_of(arg), "{got, ?}", m));
}
static void put_trapped(mote_self *self, struct out *out, const char *reason) {
    mote_term got = MOTE_TERM_NONE;
    mote_pid pid = start(self, traps_and_tells, self_term(self));
    mote_assert(self, is(msg(self), "up"));
    signal_exit(self, pid, reason);
    mote_assert(self, mote_match(msg(self), "{got, ?}", &got));
    put_exit(out, mote_self_pid(self), got);
}
static void normal_trapped(mote_self *self, struct out *out) { put_trapped(self, out, "normal"); }

static void exits_itself_normal(mote_self *self, mote_term arg) {
    (void)arg;
    signal_exit(self, mote_self_pid(self), "normal");
    settle(self);
    mote_exit(self, atom("still_alive"));
}
static void normal_to_oneself(mote_self *self, struct out *out) { put_die(self, out, exits_itself_normal, MOTE_TERM_NIL); }
static void normal_to_oneself_trapped(mote_self *self, struct out *out) {
    trap(self);
    signal_exit(self, mote_self_pid(self), "normal");
    put_exit(out, mote_self_pid(self), msg(self));
}

static void traps_forever(mote_self *self, mote_term arg) {
    trap(self);
    tell(self, pid_of(arg), "up");
    forever(self, arg);
}
static void kill_not_trapped(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_pid pid = start_monitored(self, traps_forever, self_term(self), &monitor);
    mote_assert(self, is(msg(self), "up"));
    signal_exit(self, pid, "kill");
    put_reason(out, down(self, monitor));
}

static void links_and_waits(mote_self *self, mote_term arg) {
    mote_pid to;
    mote_term victim;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &victim));
    mote_must(self, mote_link(self, pid_of(victim)));
    tell(self, to, "linked");
    forever(self, arg);
}
static void killed_peers(mote_self *self, struct out *out) {
    mote_ref monitor;
    trap(self);
    mote_pid victim = idle(self);
    mote_must(self, mote_link(self, victim));
    mote_pid peer = start_here(self, links_and_waits, TERM(self, "{?, ?}", mote_self_pid(self), victim));
    mote_must(self, mote_monitor(self, peer, &monitor));
    mote_assert(self, is(msg(self), "linked"));
    signal_exit(self, victim, "kill");
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{'EXIT', _, _}")); /* of two senders: the DOWN may come first */
    put_exit(out, victim, mote_message(self));
    put_reason(out, down(self, monitor));
}

static void kills_itself(mote_self *self, mote_term arg) {
    trap(self);
    signal_exit(self, mote_self_pid(self), "kill");
    forever(self, arg);
}
static void kill_to_oneself(mote_self *self, struct out *out) { put_die(self, out, kills_itself, MOTE_TERM_NIL); }

/* A chain of Arg linked processes that pass `go` on; the last exits. */
static void chain_link(mote_self *self, mote_term arg) {
    int64_t n = 0;
    mote_must(self, mote_int_get(arg, &n));
    if (n == 0) obeys(self, atom("boom"));
    mote_pid next = start_linked(self, chain_link, mote_int_make(NULL, n - 1));
    mote_must(self, mote_receive_match(self, -1, "go"));
    tell(self, next, "go");
    forever(self, arg);
}
static void chain_of_links(mote_self *self, struct out *out) {
    trap(self);
    mote_pid pid = start_linked(self, chain_link, mote_int_make(NULL, 10));
    tell(self, pid, "go");
    put_exit(out, pid, msg(self));
}

static void exit_without_link(mote_self *self, struct out *out) {
    mote_ref monitor;
    put_trapped(self, out, "why");
    mote_pid pid = start_monitored(self, forever, MOTE_TERM_NIL, &monitor);
    signal_exit(self, pid, "why");
    put_reason(out, down(self, monitor));
}
static void exit_to_dead(mote_self *self, struct out *out) { put_returned(out, mote_exit_send(self, dead(self), atom("x"))); }

static void trap_flag(mote_self *self, struct out *out) {
    int64_t old = -1;
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, true, &old));
    put_bool(out, old);
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, false, &old));
    put_bool(out, old);
}
static void trap_off_keeps(mote_self *self, struct out *out) {
    trap(self);
    mote_pid child = start_linked(self, exits_with, atom("x"));
    settle_with(self, 1);
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, false, NULL));
    put_exit(out, child, msg(self));
}

/* C has no throw: what nobody catches is an error whose What is {nocatch, Term}, as Erlang makes it. */
static void reasons(mote_self *self, struct out *out) {
    put_die(self, out, ends, MOTE_TERM_NIL);
    put_die(self, out, errors_with, atom("bang"));
    put_die(self, out, errors_with, TERM(self, "{nocatch, t}"));
    put_die(self, out, exits_with, atom("t"));
}
static void others_live(mote_self *self, struct out *out) {
    struct out died = {0};
    mote_pid pid = idle(self);
    put_die(self, &died, errors_with, atom("bang"));
    mote_assert(self, strcmp(died.text, "error:bang") == 0);
    put(out, "alive:%s", is_alive(self, pid) ? "true" : "false");
}

/* A clean-up that tells its process's starter. */
struct cleaning {
    mote_self *self;
    mote_pid to;
};
static void tell_cleanup(void *context) {
    const struct cleaning *c = context;
    mote_send(c->self, c->to, "cleanup_ran");
}
static void cleans_up(mote_self *self, mote_term arg) {
    mote_term reason = MOTE_TERM_NONE;
    struct cleaning *c = mote_alloc(self, sizeof *c);
    mote_assert(self, c);
    c->self = self;
    mote_assert(self, mote_match(arg, "{?, ?}", &c->to, &reason));
    mote_must(self, mote_cleanup_add(self, tell_cleanup, c));
    if (!is(reason, "none")) mote_exit(self, reason);
    tell(self, c->to, "up");
    forever(self, arg);
}
static void cleanup_of_killed(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_pid pid = start_monitored(self, cleans_up, TERM(self, "{?, none}", mote_self_pid(self)), &monitor);
    mote_must(self, mote_receive_match(self, LIMIT_MS, "up"));
    signal_exit(self, pid, "shutdown");
    put_reason(out, down(self, monitor));
    put_rest(self, out);
}
static void cleanup_of_exit(mote_self *self, struct out *out) {
    mote_ref monitor;
    start_monitored(self, cleans_up, TERM(self, "{?, shutdown}", mote_self_pid(self)), &monitor);
    put_reason(out, down(self, monitor));
    put_rest(self, out);
}

static void spins(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) spin_for(self, 1);
}
static void hits_computing(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_pid pid = start_monitored(self, spins, MOTE_TERM_NIL, &monitor);
    settle(self);
    signal_exit(self, pid, "stop");
    put_reason(out, down(self, monitor));
}

const struct conf conf_exits[] = {
    CONF(B, 01, normal_peer), CONF(B, 02, abnormal_peer), CONF(B, 03, trap_normal), CONF(B, 04, trap_abnormal),
    CONF(B, 05, normal_is_ignored), CONF(B, 06, normal_trapped), CONF(B, 07, normal_to_oneself),
    CONF(B, 08, normal_to_oneself_trapped), CONF(B, 09, kill_not_trapped), CONF(B, 10, killed_peers),
    CONF(B, 11, exit_kill_by_itself), CONF(B, 12, kill_over_link), CONF(B, 13, kill_to_oneself),
    CONF(B, 14, chain_of_links), CONF(B, 15, exit_without_link), CONF(B, 16, exit_to_dead), CONF(B, 17, trap_flag),
    CONF(B, 18, trap_off_keeps), CONF(B, 19, reasons), CONF(B, 20, others_live), CONF(B, 21, cleanup_of_killed),
    CONF(B, 22, cleanup_of_exit), CONF(B, 23, hits_computing), {0},
};
