/* SPDX-License-Identifier: Apache-2.0
 * Stress with exact accounting: processes of all kinds send to each other at random, time out, end and are replaced. Every message sent must
 * be received, dropped by a policy, or addressed to the dead; none may wait for a second.
 *
 *   stress [MESSAGES] [PROCESSES] [SCHEDULERS] [SEED]      SEED 0: no random yields
 */
#include <mote/mote.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SLOTS_MAX 100000
#ifndef LATE_TICKS
#define LATE_TICKS 100 /* of 10 ms */
#endif

static struct {
    long messages, processes;
    _Atomic long to_send;       /* budget of sends that is left */
    _Atomic long sent, received, told_full, ends, timeouts, latest;
    _Atomic uint64_t slots[SLOTS_MAX];
    _Atomic long tick;
    _Atomic int quit;
    _Atomic uint64_t seed;
} g;

/* What one process counts, added up when it ends, however it does. */
struct mine {
    long sent, received, full, credit;
    uint64_t random;
    uint32_t slot;
    bool handler;
};

static uint64_t next(struct mine *m) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    return m->random ^= m->random << 17;
}

static void settle(void *context) {
    struct mine *m = context;
    atomic_fetch_add(&g.sent, m->sent);
    atomic_fetch_add(&g.received, m->received);
    atomic_fetch_add(&g.told_full, m->full);
    atomic_fetch_add(&g.ends, 1);
    atomic_fetch_add(&g.to_send, m->credit);
    m->credit = 0;
}

static void fail(const char *what, long a, long b) {
    fprintf(stderr, "stress: %s: %ld, %ld\n", what, a, b);
    abort();
}
#define OK(call) ((call) == MOTE_OK ? (void)0 : fail(#call, __LINE__, 0))

static bool may_send(struct mine *m) {
    if (m->credit == 0) {
        long left = atomic_fetch_sub(&g.to_send, 64);
        if (left <= 0) {
            atomic_fetch_add(&g.to_send, 64);
            return false;
        }
        m->credit = 64;
    }
    m->credit--;
    return true;
}

/* On the average one message for each that came, so that neither backlog nor silence grows: one, none, or a burst. */
static void send_some(mote_self *self, struct mine *m, bool came) {
    uint64_t dice = next(m) % 16;
    int n = !came ? 1 : dice == 0 ? 8 : dice <= 8 ? 1 : 0;
    for (int i = 0; i < n && may_send(m); i++) {
        mote_pid to = {atomic_load_explicit(&g.slots[next(m) % (uint64_t)g.processes], memory_order_relaxed)};
        long tick = atomic_load_explicit(&g.tick, memory_order_relaxed);
        mote_err err;
        if (next(m) % 64 == 0)
            err = mote_send(self, to, "{big, ?, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]}", tick);
        else
            err = mote_send(self, to, "{m, ?}", tick);
        m->sent++;
        if (err == MOTE_EFULL)
            m->full++;
        else if (err)
            fail("send", err, 0);
    }
}

static void spawn_into(mote_self *self, struct mine *m, uint32_t slot);

/* One message has come (or none, in time). */
static void step(mote_self *self, struct mine *m, mote_term message) {
    long sent_at;
    if (message.word) {
        m->received++;
        if (mote_match(message, "{m, ?}", &sent_at) || mote_match(message, "{big, ?, _}", &sent_at)) {
            long age = atomic_load_explicit(&g.tick, memory_order_relaxed) - sent_at;
            if (age > atomic_load_explicit(&g.latest, memory_order_relaxed)) atomic_store(&g.latest, age);
            if (age > LATE_TICKS) fail("a message has waited too long (ticks of 10 ms)", age, m->slot);
        }
    }
    send_some(self, m, message.word != 0);
    if (next(m) % 4096 == 0) {
        spawn_into(self, m, m->slot); /* its successor; what still arrives here is addressed to the dead */
        mote_term reason = MOTE_TERM_NONE;
        OK(mote_build(mote_scratch(self), &reason, "{stress, ?}", m->slot));
        if (!m->handler && next(m) % 2) {
            OK(mote_exit_send(self, mote_self_pid(self), reason));
            OK(mote_yield(self));
        }
        mote_exit(self, reason);
    }
}

static void init_mine(mote_self *self, struct mine *m, mote_term arg, bool handler) {
    OK(mote_match(arg, "{?, ?}", &m->slot, &m->random) ? MOTE_OK : MOTE_NOMATCH);
    m->handler = handler;
    if (!handler) OK(mote_cleanup_add(self, settle, m));
}

static void straight(mote_self *self, mote_term arg) {
    struct mine *m = mote_alloc(self, sizeof *m); /* outlives this frame: the clean-up reads it */
    mote_term message;
    if (!m) fail("no memory", 0, 0);
    init_mine(self, m, arg, false);
    for (int idle = 0; idle < 40;) {
        int64_t timeout = next(m) % 32 == 0 ? (int64_t)(next(m) % 3) : 25;
        mote_err err = mote_receive(self, timeout, &message);
        if (err == MOTE_TIMEOUT) {
            atomic_fetch_add_explicit(&g.timeouts, 1, memory_order_relaxed);
            message = MOTE_TERM_NONE;
            if (atomic_load(&g.to_send) <= 0) idle++;
        } else if (err) {
            fail("receive", err, 0);
        } else {
            idle = 0;
        }
        step(self, m, message);
    }
}

static void h_init(mote_self *self, mote_term arg, void *state) {
    struct mine *m = state;
    init_mine(self, m, arg, true);
    OK(mote_send_after(self, 25, mote_self_pid(self), NULL, "tick"));
    send_some(self, m, false);
}

static void h_handle(mote_self *self, mote_term message, void *state) {
    struct mine *m = state;
    if (mote_match(message, "tick")) { /* a timer's: not counted as sent */
        if (atomic_load(&g.to_send) <= 0) mote_exit(self, mote_atom_term(mote_atom_make("normal")));
        OK(mote_send_after(self, 250, mote_self_pid(self), NULL, "tick"));
        message = MOTE_TERM_NONE;
    }
    step(self, m, message);
}

static void h_stop(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)reason;
    settle(state);
}
static const mote_handler handler = {.name = "stress", .state_size = sizeof(struct mine), .init = h_init, .handle = h_handle, .stop = h_stop};

static void spawn_into(mote_self *self, struct mine *m, uint32_t slot) {
    mote_term arg;
    mote_pid pid;
    mote_spawn_options o = {0};
    uint64_t seed = m ? next(m) | 1 : (atomic_fetch_add(&g.seed, 0x9e3779b97f4a7c15u) | 1);
    OK(mote_build(mote_scratch(self), &arg, "{?, ?}", slot, seed));
    if (seed >> 8 & 1)
        o.handler = &handler;
    else
        o.body = straight;
    if ((seed >> 9 & 15) == 0) o.mailbox_max = 20, o.policy = MOTE_DROP;
    if ((seed >> 9 & 15) == 1) o.mailbox_max = 20, o.policy = MOTE_SUSPEND;
    if ((seed >> 9 & 15) == 2) o.priority = MOTE_HIGH;
    if ((seed >> 9 & 15) == 3) o.priority = MOTE_LOW;
    OK(mote_spawn_opt(self, &o, arg, &pid));
    atomic_store(&g.slots[slot], pid.word);
}

static void *tick(void *arg) {
    (void)arg;
    while (!atomic_load(&g.quit)) {
        nanosleep(&(struct timespec){0, 10000000}, NULL); /* it is the clock */
        atomic_fetch_add(&g.tick, 1);
    }
    return NULL;
}

static void check_accounts(mote_self *self) {
    mote_runtime_info info;
    OK(mote_runtime_info_get(self, &info));
    long sent = atomic_load(&g.sent), received = atomic_load(&g.received);
    long dropped = (long)info.messages_dropped, dead = (long)info.messages_dead;
    printf("# sent %ld = received %ld + dropped %ld + dead %ld; processes %llu, ended %ld, timeouts %ld, longest wait %ld0 ms, %.1f s\n", sent,
           received, dropped, dead, (unsigned long long)info.processes_started, atomic_load(&g.ends), atomic_load(&g.timeouts),
           atomic_load(&g.latest), (double)info.uptime_ns / 1e9);
    if (sent < g.messages - 64 * g.processes) fail("too few messages were sent", sent, g.messages);
    if ((long)info.messages_sent != sent) fail("the runtime counted other sends", (long)info.messages_sent, sent);
    if (dropped != atomic_load(&g.told_full)) fail("dropped, but the sender was not told", dropped, atomic_load(&g.told_full));
    if (sent != received + dropped + dead) fail("messages were lost or doubled", sent, received + dropped + dead);
    if (info.processes != 1) fail("processes are left", (long)info.processes, 1);
}

int main(int argc, char **argv) {
    long schedulers = argc > 3 ? atol(argv[3]) : 0;
    mote_options options = {.schedulers = (unsigned)schedulers, .chaos_seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1};
    mote_runtime *rt;
    mote_self *self;
    pthread_t ticker;
    g.messages = argc > 1 ? atol(argv[1]) : 1000000;
    g.processes = argc > 2 ? atol(argv[2]) : 10000;
    if (g.messages < 1 || g.processes < 1 || g.processes > SLOTS_MAX) fail("usage: MESSAGES PROCESSES SCHEDULERS SEED", 0, 0);
    atomic_store(&g.to_send, g.messages);
    atomic_store(&g.seed, options.chaos_seed + 12345);
    OK(mote_runtime_start(&options, &rt));
    OK(mote_attach(rt, &self));
    if (pthread_create(&ticker, NULL, tick, NULL)) fail("no thread", 0, 0);
    printf("1..1\n");
    for (uint32_t i = 0; i < (uint32_t)g.processes; i++) spawn_into(self, NULL, i);
    for (;;) {
        mote_runtime_info info;
        OK(mote_runtime_info_get(self, &info));
        if (info.processes == 1) break;
        OK(mote_sleep(self, 20));
    }
    check_accounts(self);
    OK(mote_detach(self));
    OK(mote_runtime_stop(rt, 1000));
    atomic_store(&g.quit, 1);
    pthread_join(ticker, NULL);
    printf("ok 1 - %ld messages among %ld processes, every one accounted for\n", g.messages, g.processes);
    return 0;
}
