/* SPDX-License-Identifier: Apache-2.0
 * G: timers, and the time limits of receives. */
#include "conf.h"

static mote_ref after(mote_self *self, int64_t ms, mote_pid to, const char *name) {
    mote_ref timer = {0};
    bool own = to.word == mote_self_pid(self).word;
    mote_must(self, own ? say_after(self, ms, &timer, atom(name)) : mote_send_after(self, ms, to, &timer, "?", atom(name)));
    return timer;
}
/* Erlang's cancel_timer: a number, or false. */
static bool cancelled(mote_self *self, mote_ref timer, int64_t *left) {
    mote_err err = mote_timer_cancel(self, timer, left);
    if (err != MOTE_NOMATCH) mote_must(self, err);
    return err == MOTE_OK;
}

static void never_early(mote_self *self, struct out *out) {
    static const int64_t ms[] = {0, 1, 5, 20, 50};
    int violations = 0;
    for (int i = 1; i <= 100; i++) {
        uint64_t since = now_ns();
        after(self, ms[i % 5], mote_self_pid(self), "t");
        mote_assert(self, is(msg(self), "t"));
        violations += now_ns() - since < (uint64_t)ms[i % 5] * 1000000;
    }
    put_violations(out, violations);
}

/* A message that names its timer has a reference of the sender's own in it. */
static void both_forms(mote_self *self, struct out *out) {
    mote_ref ref = mote_ref_make(self);
    mote_must(self, say_after(self, 1, NULL, TERM(self, "{timeout, ?, m}", ref)));
    put(out, "%s", mote_receive_match(self, LIMIT_MS, "{timeout, ^, m}", ref) ? "no" : "ok");
    after(self, 1, mote_self_pid(self), "b");
    put_term(out, msg(self));
}

/* Where a thread stands still for longer than a timer takes, a scenario that has to be quicker is done again with a longer one. */
static void cancel_before(mote_self *self, struct out *out) {
    int64_t left = -1, ms = 60;
    bool was = cancelled(self, after(self, ms, mote_self_pid(self), "t"), &left);
    for (; !was && ms < LIMIT_MS; was = cancelled(self, after(self, ms *= 4, mote_self_pid(self), "t"), &left)) mote_assert(self, is(msg(self), "t"));
    pause_ms(self, ms + 30);
    hear(self);
    put_bool(out, was && left >= 0 && left <= ms);
    put(out, "%d", count_rest(self));
}
static void cancel_after(mote_self *self, struct out *out) {
    mote_ref timer = after(self, 1, mote_self_pid(self), "t");
    settle_with(self, 1);
    put_bool(out, cancelled(self, timer, NULL));
    put(out, "%d", count_rest(self));
    put_bool(out, cancelled(self, timer, NULL));
}

static void cancel_race(mote_self *self, struct out *out) {
    struct race race = {0};
    int n = rounds(1000);
    for (int i = 1; i <= n; i++) {
        mote_ref timer = after(self, 1, mote_self_pid(self), "t");
        busy_us(self, (int64_t)i * 37 % 3000);
        bool fired = !cancelled(self, timer, NULL);
        pause_ms(self, i % 20 ? 0 : 5);
        hear(self);
        bool once = !fired || is(msg(self), "t");
        race_round(&race, fired, once && is(msg_within(self, 0), "nothing"));
    }
    put_race(out, &race);
}

static void takes_name(mote_self *self, mote_term arg) {
    mote_must(self, mote_register(self, "conf_g6", mote_self_pid(self)));
    tell(self, pid_of(arg), "named");
    mote_must(self, mote_send_term(self, pid_of(arg), msg(self)));
}
static void to_name(mote_self *self, struct out *out) {
    for (int64_t ms = 30;; ms *= 4) {
        uint64_t since = now_ns();
        mote_must(self, mote_send_after(self, ms, "conf_g6", NULL, "t"));
        mote_pid pid = start(self, takes_name, self_term(self));
        mote_assert(self, is(msg(self), "named"));
        if (ms_since(since) < ms || ms > LIMIT_MS) break;
        signal_exit(self, pid, "kill");
        gone(self, pid);
        count_rest(self);
    }
    put_term(out, msg(self));
    mote_must(self, mote_send_after(self, 1, "conf_g6_none", NULL, "t"));
    settle(self);
    put(out, "%d", count_rest(self));
}

static void receiver_dies(mote_self *self, struct out *out) {
    int64_t left;
    mote_pid pid = idle_here(self);
    mote_ref timer = after(self, 5000, pid, "t");
    signal_exit(self, pid, "kill");
    gone(self, pid);
    settle(self);
    mote_err err = mote_timer_read(self, timer, &left);
    put(out, "%s", err == MOTE_NOMATCH ? "false" : err ? mote_err_name(err) : "number");
}

static void makes_noise(mote_self *self, mote_term arg) {
    for (;;) {
        tell(self, pid_of(arg), "noise");
        pause_ms(self, 10);
    }
}
static void not_restarted(mote_self *self, struct out *out) {
    mote_pid pid = start(self, makes_noise, self_term(self));
    uint64_t since = now_ns();
    mote_assert(self, mote_receive_match(self, 150, "never") == MOTE_TIMEOUT);
    int64_t ms = ms_since(since);
    signal_exit(self, pid, "kill");
    put_bool(out, ms >= 150);
    put_bool(out, ms < LIMIT_MS);
}
static void zero_still_takes(mote_self *self, struct out *out) {
    mote_must(self, say(self, self_term(self), atom("x")));
    mote_must(self, say(self, self_term(self), atom("y")));
    put(out, "%s", mote_receive_match(self, 0, "y") ? "missed" : "found");
}

/* -1 waits for ever here; Erlang's limit of 2^32 - 1 is 2^47. */
static void refused_times(mote_self *self, struct out *out) {
    mote_term m;
    put_raised(out, mote_send_after(self, -1, mote_self_pid(self), NULL, "x"));
    put_raised(out, mote_receive(self, -2, &m));
    tell(self, mote_self_pid(self), "x");
    put_raised(out, mote_receive(self, INT64_C(0x100000000), &m));
}

static void starts_timer(mote_self *self, mote_term arg) { after(self, 30, pid_of(arg), "t"); }
static void outlives_starter(mote_self *self, struct out *out) {
    start(self, starts_timer, self_term(self));
    put_term(out, msg(self));
}
static void deadline_order(mote_self *self, struct out *out) {
    static const int ms[] = {60, 20, 40, 80};
    mote_term got[4];
    bool ordered = false;
    for (int times = 0; times < 20 && !ordered; times++) { /* set within 20 ms, and each sent before the next one's time, in one of them */
        for (int i = 0; i < 4; i++) mote_must(self, say_after(self, ms[i], NULL, mote_int_make(NULL, ms[i])));
        for (int i = 0; i < 4; i++) got[i] = msg(self);
        ordered = mote_term_compare(got[0], got[1]) < 0 && mote_term_compare(got[1], got[2]) < 0 && mote_term_compare(got[2], got[3]) < 0;
    }
    for (int i = 0; i < 4; i++) put_term(out, got[i]);
}
static void many_cancelled(mote_self *self, struct out *out) {
    enum { N = 10000 };
    mote_ref *timers = mote_alloc(self, N * sizeof *timers);
    int n = 0, rest = 0;
    mote_assert(self, timers);
    for (int64_t ms = 300; n < N && ms < LIMIT_MS; ms *= 2) {
        n = 0;
        for (int i = 0; i < N; i++) timers[i] = after(self, ms, mote_self_pid(self), "t");
        for (int i = 0; i < N; i++) n += cancelled(self, timers[i], NULL);
        pause_ms(self, ms + 50);
        hear(self);
        rest = count_rest(self);
    }
    put(out, "%d", n);
    put(out, "%d", rest);
}

const struct conf conf_timers[] = {
    CONF(G, 01, never_early), CONF(G, 02, both_forms), CONF(G, 03, cancel_before), CONF(G, 04, cancel_after),
    CONF(G, 05, cancel_race), CONF(G, 06, to_name), CONF(G, 07, receiver_dies), CONF(G, 08, not_restarted),
    CONF(G, 09, zero_still_takes), CONF(G, 10, refused_times), CONF(G, 11, outlives_starter),
    CONF(G, 12, deadline_order), CONF(G, 13, many_cancelled), {0},
};
