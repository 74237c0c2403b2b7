/* SPDX-License-Identifier: Apache-2.0
 * A: signals from one process to another arrive in the order sent, whatever their kind and address. */
#include "conf.h"

/* Takes 1 .. n; the number of those that were not next. */
static int take_numbers(mote_self *self, int n) {
    int violations = 0;
    for (int i = 1; i <= n; i++) {
        int64_t got = 0;
        violations += !(mote_int_get(msg(self), &got) == MOTE_OK && got == i);
    }
    return violations;
}

static void sends_numbers(mote_self *self, mote_term arg) {
    mote_pid to;
    int n;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &n));
    for (int i = 1; i <= n; i++) mote_must(self, mote_send(self, to, "?", i));
}
static void one_sender(mote_self *self, struct out *out) {
    start(self, sends_numbers, TERM(self, "{?, 100000}", mote_self_pid(self)));
    put_violations(out, take_numbers(self, 100000));
}

static void wants_may(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    for (;;)
        if (mote_receive(self, 0, &m) == MOTE_OK && is(m, "mustnot")) mote_exit(self, atom("bad"));
}
static void exit_in_order(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_ref monitor;
        mote_pid pid = start_monitored(self, wants_may, MOTE_TERM_NIL, &monitor);
        tell(self, pid, "may"), tell(self, pid, "may");
        signal_exit(self, pid, "good");
        tell(self, pid, "mustnot"), tell(self, pid, "mustnot");
        violations += !is(down(self, monitor), "good");
    }
    put_violations(out, violations);
}

/* Sends 1 and 2 and ends for the reason given. */
static void one_two(mote_self *self, mote_term arg) {
    mote_pid to;
    mote_term reason;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &reason));
    mote_must(self, mote_send(self, to, "1"));
    mote_must(self, mote_send(self, to, "2"));
    if (!is(reason, "normal")) mote_exit(self, reason);
}
static bool took_one_two(mote_self *self) {
    bool one = mote_match(msg(self), "1"), two = mote_match(msg(self), "2");
    return one && two;
}
static void messages_then_exit(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    trap(self);
    for (int i = 0; i < n; i++) {
        mote_pid child = start_linked(self, one_two, TERM(self, "{?, bye}", mote_self_pid(self)));
        bool first = took_one_two(self);
        violations += !(mote_match(msg(self), "{'EXIT', ^, bye}", child) && first);
    }
    put_violations(out, violations);
}
static void messages_then_down(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_ref monitor;
        mote_pid child = start_monitored(self, one_two, TERM(self, "{?, normal}", mote_self_pid(self)), &monitor);
        bool first = took_one_two(self);
        violations += !(mote_match(msg(self), "{'DOWN', ^, process, ^, normal}", monitor, child) && first);
    }
    put_violations(out, violations);
}

static void sends_pairs(mote_self *self, mote_term arg) {
    mote_pid to;
    int n;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &n));
    for (int i = 1; i <= n; i++) mote_must(self, mote_send(self, to, "{?, ?}", mote_self_pid(self), i));
}
static void eight_senders(mote_self *self, struct out *out) {
    enum { SENDERS = 8, EACH = 5000 };
    mote_pid pids[SENDERS], from;
    int last[SENDERS] = {0}, violations = 0, got;
    for (int i = 0; i < SENDERS; i++) pids[i] = start(self, sends_pairs, TERM(self, "{?, ?}", mote_self_pid(self), EACH));
    for (int i = 0; i < SENDERS * EACH; i++) {
        int k = 0;
        bool came = mote_receive_match(self, LIMIT_MS, "{?, ?}", &from, &got) == MOTE_OK;
        while (came && k < SENDERS && pids[k].word != from.word) k++;
        violations += !(came && k < SENDERS && got == last[k] + 1);
        if (came && k < SENDERS) last[k] = got;
    }
    put_violations(out, violations);
}

/* Sends 1 .. n by each address in turn. */
static void spam(mote_self *self, const mote_term *to, int addresses, int n) {
    for (int i = 1; i <= n; i++) mote_must(self, mote_send(self, to[(i - 1) % addresses], "?", i));
}
static void spams_four(mote_self *self, mote_term arg) {
    mote_pid pid;
    mote_ref alias;
    mote_assert(self, mote_match(arg, "{?, ?}", &pid, &alias));
    mote_arena *arena = mote_scratch(self); /* it never receives */
    mote_term pair = MOTE_TERM_NONE;
    mote_must(self, mote_build(arena, &pair, "{conf_a06, '" NODE "'}"));
    spam(self, (mote_term[]){mote_pid_term(pid), atom("conf_a06"), pair, mote_ref_term(alias)}, 4, 2000);
}
static void four_addresses(mote_self *self, struct out *out) {
    mote_ref alias = {0};
    mote_must(self, mote_register(self, "conf_a06", mote_self_pid(self)));
    mote_must(self, mote_alias(self, 0, &alias));
    start(self, spams_four, TERM(self, "{?, ?}", mote_self_pid(self), alias));
    put_violations(out, take_numbers(self, 2000));
    mote_must(self, mote_unregister(self, "conf_a06"));
}

static void first_match(mote_self *self, struct out *out) {
    for (int i = 1; i <= 5; i++) mote_must(self, say(self, self_term(self), mote_int_make(NULL, i)));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "3"));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "5"));
    put_rest(self, out);
}

static void send_to_dead(mote_self *self, struct out *out) {
    mote_err err = mote_send(self, dead(self), "x");
    put(out, "%s", err ? mote_err_name(err) : "x");
}
static void send_to_nobody(mote_self *self, struct out *out) {
    put_raised(out, mote_send(self, "conf_nobody", "x"));
    mote_err err = mote_send(self, TERM(self, "{conf_nobody, '" NODE "'}"), "y");
    put(out, "%s", err ? mote_err_name(err) : "y");
}

static void links_and_unlinks(mote_self *self, mote_term arg) {
    mote_must(self, mote_link(self, pid_of(arg)));
    mote_must(self, mote_unlink(self, pid_of(arg)));
    mote_exit(self, atom("boom"));
}
static void link_unlink_exit(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_ref monitor;
        mote_pid victim = idle_here(self);
        start_monitored(self, links_and_unlinks, mote_pid_term(victim), &monitor);
        mote_assert(self, is(down(self, monitor), "boom"));
        violations += !is_alive(self, victim);
        signal_exit(self, victim, "kill");
    }
    put_violations(out, violations);
}

static void links_and_exits(mote_self *self, mote_term arg) {
    mote_must(self, mote_link(self, pid_of(arg)));
    mote_exit(self, atom("boom"));
}
static void link_exit(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    trap(self);
    for (int i = 0; i < n; i++) {
        mote_pid child = start(self, links_and_exits, self_term(self));
        violations += !mote_match(msg(self), "{'EXIT', ^, boom}", child);
    }
    put_violations(out, violations);
}

static void kill_then_look(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_pid pid = idle(self);
        signal_exit(self, pid, "kill");
        violations += is_alive(self, pid);
    }
    put_violations(out, violations);
}

static void registers_and_spams(mote_self *self, mote_term arg) {
    mote_pid to;
    mote_ref alias, monitor;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &alias));
    mote_must(self, mote_register(self, "conf_a13s", mote_self_pid(self)));
    tell(self, to, "up");
    mote_must(self, mote_receive_match(self, -1, "{go, ?}", &monitor));
    spam(self, (mote_term[]){mote_pid_term(to), atom("conf_a13"), mote_ref_term(alias), mote_ref_term(monitor)}, 4, 100);
}
static bool down_after_all(mote_self *self, mote_ref alias) {
    mote_ref monitor = {0};
    mote_monitor_options explicit = {.alias = MOTE_ALIAS_EXPLICIT_UNALIAS};
    mote_pid pid = start(self, registers_and_spams, TERM(self, "{?, ?}", mote_self_pid(self), alias));
    mote_assert(self, is(msg(self), "up"));
    mote_must(self, mote_monitor_opt(self, "conf_a13s", &explicit, &monitor));
    mote_must(self, mote_send(self, pid, "{go, ?}", monitor));
    bool in_order = take_numbers(self, 100) == 0;
    bool last = mote_match(msg(self), "{'DOWN', ^, process, {conf_a13s, '" NODE "'}, normal}", monitor);
    mote_unalias(self, monitor);
    return in_order && last;
}
static void down_comes_last(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(200);
    mote_ref alias = {0};
    mote_must(self, mote_register(self, "conf_a13", mote_self_pid(self)));
    mote_must(self, mote_alias(self, 0, &alias));
    for (int i = 0; i < n; i++) violations += !down_after_all(self, alias);
    mote_must(self, mote_unregister(self, "conf_a13"));
    put_violations(out, violations);
}

static void to_oneself(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 1; i <= n; i++) {
        mote_must(self, say(self, self_term(self), mote_int_make(NULL, i)));
        violations += mote_receive_match(self, 0, "^", i) != MOTE_OK;
    }
    put_violations(out, violations);
}

const struct conf conf_order[] = {
    CONF(A, 01, one_sender), CONF(A, 02, exit_in_order), CONF(A, 03, messages_then_exit),
    CONF(A, 04, messages_then_down), CONF(A, 05, eight_senders), CONF(A, 06, four_addresses),
    CONF(A, 07, first_match), CONF(A, 08, send_to_dead), CONF(A, 09, send_to_nobody), CONF(A, 10, link_unlink_exit),
    CONF(A, 11, link_exit), CONF(A, 12, kill_then_look), CONF(A, 13, down_comes_last), CONF(A, 14, to_oneself), {0},
};
