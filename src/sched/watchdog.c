/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/watchdog.h"

#define TICK_NS ((uint64_t)2000000)
#define TICK_MAX_NS ((uint64_t)64000000)
#define TRIM_NS ((uint64_t)1000000000)
#define TRIM_KEEP ((size_t)4 << 20)
#define TIDY 64 /* batches of stacks given back in a tick */
#define QUIET_NS ((uint64_t)2000000000) /* after so long without a turn anywhere the watchdog sleeps without limit */
#define STUCK_NS ((uint64_t)MT_STUCK_MS * 1000000)
#define UNHEARD_NS ((uint64_t)10000000) /* how long a turn lasts before a host is told of signals, and how often it is asked again */

/* What it remembers of a scheduler between ticks. */
struct watched {
    uint64_t turns;
    uint64_t since_ns;         /* when `turns` was first seen as it is */
    struct mt_os_times before; /* the thread's times then */
    bool reported;
    bool unheard;              /* a host was told of its signals, and wants to be told again */
    uint64_t listened_ns;      /* when a host was last told of signals */
    uint64_t signals;          /* what ops->news() has seen of them */
};

struct watchdog {
    struct mt_cluster *cluster;
    struct mt_sched *own; /* an outside scheduler, to send from */
    struct watched *watched;
    uint64_t trimmed_ns, changed_ns;
    uint32_t quiet_trims; /* since something has changed; two give everything back that is not needed */
    bool untidy;          /* there are stacks to be given back */
};

static bool has_waiting(struct mt_sched *s) {
    if (atomic_load_explicit(&s->lifo, memory_order_relaxed)) return true;
    for (int p = 0; p < MT_PRIORITIES; p++)
        if (mt_ring_count(&s->rings[p])) return true;
    return mt_fresh_count(&s->fresh) != 0;
}

/* Helps those that wait behind a turn that lasts (I2). What a host's process does takes longer than its reductions say: its turn is over (see
 * mote_host_turn_over()), whoever waits, for that may be one whom a thread has woken. */
static void help(struct watchdog *w, struct mt_sched *s, uint64_t now) {
    bool waiting = has_waiting(s);
    if (waiting || w->cluster->host) atomic_store(&s->stuck, true);
    if (waiting) mt_cluster_notify(w->cluster);
    if (now >= atomic_load_explicit(&s->wheel_next_ns, memory_order_relaxed)) w->cluster->ops->expire(w->own, s, now);
}

static struct mt_os_times times_of(struct mt_sched *s) {
    return mt_os_thread_times(atomic_load_explicit(&s->thread_id, memory_order_relaxed));
}

/* How long a turn may last. */
static uint64_t limit_ns(const mote_host_loop *host) { return host && host->held && host->held_ms ? host->held_ms * UINT64_C(1000000) : STUCK_NS; }

/* A turn that lasts: reported once when it has run, or been blocked in the system, for so long. Time in which the machine gave its thread no
 * processor does not count. */
static void judge(struct watchdog *w, struct mt_sched *s, struct mt_task *task, struct watched *seen, uint64_t now) {
    const mote_host_loop *host = w->cluster->host;
    uint64_t held = now - seen->since_ns, limit = limit_ns(host);
    if (seen->reported || held < limit) return;
    struct mt_os_times times = times_of(s);
    uint64_t starved = times.starved_ns - seen->before.starved_ns; /* counted by another clock than `held` */
    if (times.blocked)
        held = held > starved ? held - starved : 0;
    else if (times.run_ns)
        held = times.run_ns - seen->before.run_ns;
    if (held < limit) return;
    bool blocked = times.blocked || !times.run_ns;
    seen->reported = !host || !host->held || host->held(host->context, s->id, seen->turns, held, blocked);
    if (!host || !host->held) w->cluster->ops->stuck(w->cluster, s, task, held);
}

/* A turn that lasts and does not look at its signals: the host may have a way to tell the process. */
static void listen(struct watchdog *w, struct mt_sched *s, struct mt_task *task, struct watched *seen, uint64_t now) {
    const mote_host_loop *host = w->cluster->host;
    if (!host || !host->unheard || now - seen->since_ns < UNHEARD_NS || now - seen->listened_ns < UNHEARD_NS) return;
    seen->listened_ns = now;
    if (w->cluster->ops->news(task, &seen->signals) || seen->unheard) seen->unheard = host->unheard(host->context, s->id, seen->turns);
}

/* Whether the scheduler has done anything since the last look. */
static bool look_at(struct watchdog *w, unsigned i, uint64_t now) {
    struct mt_sched *s = w->cluster->scheds[i];
    struct watched *seen = &w->watched[i];
    uint64_t turns = atomic_load_explicit(&s->turns, memory_order_relaxed);
    struct mt_task *task = atomic_load_explicit(&s->current, memory_order_acquire);
    if (turns != seen->turns || !task) {
        bool changed = turns != seen->turns;
        *seen = (struct watched){.turns = turns};
        if (atomic_load_explicit(&s->stuck, memory_order_relaxed)) atomic_store(&s->stuck, false);
        return changed;
    }
    if (seen->since_ns == 0) {
        seen->since_ns = now;
        seen->before = times_of(s);
    }
    help(w, s, now);
    judge(w, s, task, seen, now);
    listen(w, s, task, seen, now);
    return true;
}

/* Sleeps a tick; longer when nothing happens; without limit (watch_word 2: a scheduler that leaves its sleep ends ours) after a quiet
 * while in which memory was given back. */
static void rest(struct watchdog *w, uint64_t now) {
    struct mt_cluster *c = w->cluster;
    uint64_t quiet = now - w->changed_ns;
    uint64_t tick = quiet < 16 * TICK_NS || w->untidy ? TICK_NS : TICK_MAX_NS;
    uint32_t mode = quiet > QUIET_NS && w->quiet_trims >= 2 && !w->untidy ? 2 : 1;
    atomic_store(&c->watch_word, mode);
    if (mode == 2 && atomic_load(&c->parked) == c->count) tick = MT_NEVER;
    if (!atomic_load(&c->stopping)) mt_os_futex_wait(&c->watch_word, mode, tick);
    atomic_store(&c->watch_word, 0);
    if (tick != MT_NEVER) return;
    w->changed_ns = mt_os_now_ns();
    w->quiet_trims = 0;
}

/* Gives back what has lain idle since the last look: looking through the blocks is dear, and what comes and goes is needed again. */
static void trim(struct watchdog *w) {
    struct mt_depot *depot = w->cluster->depot;
    size_t unneeded = mt_depot_unneeded_bytes(depot), free = mt_depot_free_bytes(depot);
    if (unneeded > TRIM_KEEP) mt_depot_trim(depot, free > unneeded ? free - unneeded + TRIM_KEEP : TRIM_KEEP);
    mt_stacks_age(w->cluster->scheds[0]->stacks.stacks);
    w->untidy = true;
    w->quiet_trims++;
}

static void tidy(struct watchdog *w) {
    for (int i = 0; i < TIDY && w->untidy; i++) w->untidy = mt_stacks_tidy(w->cluster->scheds[0]->stacks.stacks);
}

static void *watch(void *arg) {
    struct watchdog *w = arg;
    struct mt_cluster *c = w->cluster;
    mt_sched_set_here(w->own);
    while (!atomic_load(&c->stopping)) {
        uint64_t now = mt_os_now_ns();
        bool changed = false;
        for (unsigned i = 0; i < c->count; i++) changed |= look_at(w, i, now);
        if (changed) w->changed_ns = now, w->quiet_trims = 0;
        if (changed) mt_sched_look_at_descriptors(w->own); /* when every scheduler is busy with one turn */
        if (now - w->trimmed_ns > TRIM_NS) {
            w->trimmed_ns = now;
            trim(w);
        }
        tidy(w);
        rest(w, now);
    }
    mt_sched_set_here(NULL);
    mt_sched_free(w->own);
    mt_os_free(w->watched);
    mt_os_free(w);
    return NULL;
}

mote_err mt_watchdog_start(struct mt_cluster *c) {
    mote_err err = MOTE_ENOMEM;
    struct watchdog *w = mt_os_alloc_zero(sizeof *w);
    if (!w) return err;
    w->cluster = c;
    w->trimmed_ns = w->changed_ns = mt_os_now_ns();
    w->watched = mt_os_alloc_zero(c->count * sizeof *w->watched);
    if (!w->watched) goto fail;
    if ((err = mt_sched_new(c, c->scheds[0]->stacks.stacks, MT_SCHEDS_MAX, true, &w->own))) goto fail;
    if ((err = mt_os_thread_start(&c->watchdog, watch, w, "mote-watch"))) goto fail;
    return MOTE_OK;
fail:
    if (w->own) mt_sched_free(w->own);
    mt_os_free(w->watched);
    mt_os_free(w);
    return err;
}

void mt_watchdog_stop(struct mt_cluster *c) {
    atomic_store(&c->stopping, true);
    atomic_store(&c->watch_word, 0);
    mt_os_futex_wake(&c->watch_word, 1);
    mt_os_thread_join(c->watchdog);
}
