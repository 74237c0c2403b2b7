/* SPDX-License-Identifier: Apache-2.0
 * Stress with exact accounting: processes of all kinds send to each other at random, time out, end and are replaced. Every message sent must
 * be received, dropped by a policy, or addressed to the dead; nobody may wait for a second while his mailbox is not empty.
 *
 *   stress [MESSAGES] [PROCESSES] [SCHEDULERS] [SEED]      SEED 0: no random yields; MOTE_TEST_SEED overrides it
 * Sanitizers get a hundredth of the messages, valgrind and qemu (MOTE_TEST_UNDER) fewer still.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proc/proc.h"

#define SLOTS_MAX 100000
#define TABLE_MAX (4 * SLOTS_MAX) /* slots of the process table that the watchdog can look at */
#define LOOK_MS 20
#define SANITIZED (MT_ASAN || MT_TSAN)

static struct {
    long messages, processes;
    _Atomic long to_send;       /* budget of sends that is left */
    _Atomic long sent, received, told_full, ends, timeouts, latest;
    _Atomic uint64_t slots[SLOTS_MAX];
    _Atomic uint64_t seed;
    long late_ms; /* const: the longest wait allowed */
    long starved_ms; /* the watchdog's: see starved_ms() */
    struct look {
        uint64_t serial, low, turns;
        long ms; /* so long it has not been run */
    } looks[TABLE_MAX]; /* the watchdog's */
} g;

/* Milliseconds, cheap and good to a few of them. */
static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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

/* One message for each that came, on the average: one, none, or a burst. Time-outs make up for what dies, so neither backlog nor silence grows. */
static void send_some(mote_self *self, struct mine *m, bool came) {
    uint64_t dice = next(m) % 64;
    int n = !came ? 1 : dice == 0 ? 8 : dice <= 56 ? 1 : 0;
    for (int i = 0; i < n && may_send(m); i++) {
        mote_pid to = {atomic_load_explicit(&g.slots[next(m) % (uint64_t)g.processes], memory_order_relaxed)};
        if (!to.word) to = mote_self_pid(NULL); /* the slot's first process has not started yet: as good as one that has ended */
        long now = now_ms();
        mote_err err;
        if (next(m) % 64 == 0)
            err = mote_send(self, to, "{big, ?, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]}", now);
        else
            err = mote_send(self, to, "{m, ?}", now);
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
            long age = now_ms() - sent_at;
            if (age > atomic_load_explicit(&g.latest, memory_order_relaxed)) atomic_store(&g.latest, age);
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
    for (int idle = 0; idle < 20;) {
        int64_t timeout = next(m) % 128 == 0 ? (int64_t)(next(m) % 3) : 50;
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
    if ((seed >> 9 & 15) == 0) o.mailbox_max = 20, o.policy = o.body ? MOTE_DROP : MOTE_SUSPEND; /* a handler needs its tick */
    if ((seed >> 9 & 15) == 1) o.mailbox_max = 20, o.policy = MOTE_SUSPEND;
    if ((seed >> 9 & 15) == 2) o.priority = MOTE_HIGH;
    if ((seed >> 9 & 15) == 3) o.priority = MOTE_LOW;
    OK(mote_spawn_opt(self, &o, arg, &pid));
    atomic_store(&g.slots[slot], pid.word);
}

/* ------------------------------------------------------------------------------------------------- the watchdog
 * It looks into the control blocks of all processes from outside, also at what belongs to their owners: a value that is torn or old is
 * looked at again LOOK_MS later. */

/* Whether a process ought to run: it does not sleep (P2), or sleeps on messages without standing still for somebody's policy. */
__attribute__((no_sanitize("thread"))) static bool ought_to_run(struct mt_proc *p, uint64_t low) {
    if (p->task.kind == MT_THREAD || (low & MT_IN_CLOSED)) return false;
    return !(low & MT_IN_WAITING) || (p->queued && !p->suspensions);
}

/* Something that changes whenever the process has run. */
__attribute__((no_sanitize("thread"))) static uint64_t progress(struct mt_proc *p) {
    return p->reductions * 31 + (uint64_t)(uint32_t)p->task.budget * 17 + p->queued + (uint64_t)(uintptr_t)p->current;
}

static void look_at(struct mt_proc *p, struct look *seen, long passed) {
    uint64_t serial = mt_serial(p), low = atomic_load(&p->inbox.low), turns = progress(p);
    bool same = serial && seen->serial == serial && seen->low == low && seen->turns == turns;
    seen->ms = same && ought_to_run(p, low) ? seen->ms + passed : 0;
    seen->serial = serial;
    seen->low = low;
    seen->turns = turns;
    if (seen->ms <= g.late_ms) return;
    fprintf(stderr, "stress: process %u (%s, priority %u) has had %u messages and the inbox %#llx for %ld ms without being run\n", p->index,
            p->task.kind == MT_HANDLER ? "handler" : "straight", p->task.priority, p->queued, (unsigned long long)low, seen->ms);
    abort();
}

/* How long the schedulers have been ready and not given a processor in all: the longest, ms. A scheduler that sleeps is not ready. */
static long starved_ms(mote_self *self) {
    struct mt_cluster *c = &mt_runtime(mt_self(self))->cluster;
    uint64_t most = 0;
    for (unsigned i = 0; i < c->count; i++) {
        uint64_t ns = mt_os_thread_times(atomic_load(&c->scheds[i]->thread_id)).starved_ns;
        if (ns > most) most = ns;
    }
    return (long)(most / 1000000);
}

/* Looks at every process. Time in which the watchdog itself, or a scheduler, was not given a processor does not count. */
static void look_at_all(mote_self *self, long *last_ms) {
    struct mt_table *t = &mt_runtime(mt_self(self))->table;
    uint32_t chunks = atomic_load_explicit(&t->chunk_count, memory_order_acquire);
    long now = now_ms(), passed = now - *last_ms < 2 * LOOK_MS ? now - *last_ms : 2 * LOOK_MS;
    long starved = starved_ms(self);
    passed = passed > starved - g.starved_ms ? passed - (starved - g.starved_ms) : 0;
    g.starved_ms = starved;
    *last_ms = now;
    if (chunks * MT_CHUNK_SLOTS > TABLE_MAX) fail("too many slots to look at", chunks, TABLE_MAX);
    for (uint32_t i = 0; i < chunks * MT_CHUNK_SLOTS; i++)
        look_at(&t->chunks[i / MT_CHUNK_SLOTS]->slots[i % MT_CHUNK_SLOTS], &g.looks[i], passed);
}

static void check_accounts(mote_self *self) {
    mote_runtime_info info;
    OK(mote_runtime_info_get(self, &info));
    long sent = atomic_load(&g.sent), received = atomic_load(&g.received);
    long dropped = (long)info.messages_dropped, dead = (long)info.messages_dead;
    printf("# sent %ld = received %ld + dropped %ld + dead %ld; processes %llu, ended %ld, timeouts %ld, oldest message %ld ms, %.1f s\n", sent,
           received, dropped, dead, (unsigned long long)info.processes_started, atomic_load(&g.ends), atomic_load(&g.timeouts),
           atomic_load(&g.latest), (double)info.uptime_ns / 1e9);
    if (sent < g.messages - 64 * g.processes) fail("too few messages were sent", sent, g.messages);
    if ((long)info.messages_sent != sent) fail("the runtime counted other sends", (long)info.messages_sent, sent);
    if (dropped != atomic_load(&g.told_full)) fail("dropped, but the sender was not told", dropped, atomic_load(&g.told_full));
    if (sent != received + dropped + dead) fail("messages were lost or doubled", sent, received + dropped + dead);
    if (info.processes != 1) fail("processes are left", (long)info.processes, 1);
}

/* Processes end by the thousand here: their certificates are not looked at. */
static void no_log(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

static void set_up(int argc, char **argv, mote_options *options) {
    const char *seed = getenv("MOTE_TEST_SEED") ? getenv("MOTE_TEST_SEED") : argc > 4 ? argv[4] : "1";
    bool tool = getenv("MOTE_TEST_UNDER") != NULL;
    long scale = tool ? 3000 : SANITIZED ? 100 : 1;
    *options = (mote_options){.schedulers = argc > 3 ? (unsigned)atol(argv[3]) : 0, .chaos_seed = strtoull(seed, NULL, 10),
                               .log = no_log};
    g.messages = (argc > 1 ? atol(argv[1]) : 100000000) / scale;
    g.processes = (argc > 2 ? atol(argv[2]) : 10000) / (tool || MT_TSAN ? 50 : 1); /* ThreadSanitizer pays per process at each switch */
    if (g.messages < 30000) g.messages = 30000;
    if (g.processes < 1 || g.processes > SLOTS_MAX) fail("usage: MESSAGES PROCESSES SCHEDULERS SEED", 0, 0);
    g.late_ms = 10000; /* time that others take from this machine counts, too; what is lost never comes */
    atomic_store(&g.to_send, g.messages);
    atomic_store(&g.seed, options->chaos_seed + 12345);
    printf("# seed %llu (MOTE_TEST_SEED), %ld messages, %ld processes\n1..1\n", (unsigned long long)options->chaos_seed, g.messages, g.processes);
    fflush(stdout);
}

/* A handler whose mailbox was full when its tick came never hears another (its policy drops it): when nothing has ended for a while, and
 * nothing is to be sent any more, those that are left are ended. */
static void end_stragglers(mote_self *self, const mote_runtime_info *info, long *ends, long *since) {
    static mote_pid pids[SLOTS_MAX];
    size_t count = 0;
    if (atomic_load(&g.ends) != *ends || atomic_load(&g.to_send) > 0) {
        *ends = atomic_load(&g.ends);
        *since = now_ms();
    }
    if (now_ms() - *since < 3000 || info->processes > SLOTS_MAX) return;
    *since = now_ms();
    OK(mote_process_list(self, pids, SLOTS_MAX, &count));
    for (size_t i = 0; i < count && i < SLOTS_MAX; i++)
        OK(mote_exit_send(self, pids[i], mote_atom_term(mote_atom_make("straggler"))));
}

int main(int argc, char **argv) {
    long ends = -1, ends_since = 0;
    mote_options options;
    mote_runtime *rt;
    mote_self *self;
    set_up(argc, argv, &options);
    OK(mote_runtime_start(&options, &rt));
    OK(mote_attach(rt, &self));
    for (uint32_t i = 0; i < (uint32_t)g.processes; i++) spawn_into(self, NULL, i);
    for (long last = now_ms();;) {
        mote_runtime_info info;
        OK(mote_runtime_info_get(self, &info));
        if (info.processes == 1) break;
        look_at_all(self, &last);
        end_stragglers(self, &info, &ends, &ends_since);
        OK(mote_sleep(self, LOOK_MS));
    }
    check_accounts(self);
    OK(mote_detach(self));
    OK(mote_runtime_stop(rt, 1000));
    printf("ok 1 - %ld messages among %ld processes, every one accounted for\n", g.messages, g.processes);
    return 0;
}
