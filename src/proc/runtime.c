/* SPDX-License-Identifier: Apache-2.0
 * Runtimes: start, drain, stop; attached threads. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/segv.h"
#include "proc/far.h"

#define PROCESSES_MAX ((size_t)1 << 25)
#define STACK_DEFAULT ((size_t)64 << 10)
#define BLOCKING_DEFAULT 64u
#define BLOCKING_IDLE_NS ((uint64_t)1000000000)
#define REF_BLOCK ((uint64_t)1 << 16)
#define LOOK_EVERY_NS ((uint64_t)5000000)
#define NAG_NS ((uint64_t)5000000000) /* the stopper says every so often whom it waits for */

/* ----------------------------------------------------------------------------------------------- reports */

void mt_log(mote_runtime *rt, mote_log_level level, const char *format, ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    int n = snprintf(text, sizeof text, "mote: ");
    vsnprintf(text + n, sizeof text - (size_t)n - 1, format, args);
    va_end(args);
    if (rt->options.log) {
        rt->options.log(rt->options.log_context, level, text + n);
        return;
    }
    strcat(text, "\n");
    mt_os_log(text);
}

void mt_proc_describe(struct mt_proc *p, char *text, size_t size) {
    const char *name = mt_proc_name(p);
    snprintf(text, size, *name ? "<0.%u.%llu> (%s)" : "<0.%u.%llu>", p->index, (unsigned long long)mt_serial(p), name);
}

static void report_stuck(struct mt_cluster *cluster, struct mt_sched *s, struct mt_task *task, uint64_t ns) {
    mote_runtime *rt = (mote_runtime *)(void *)cluster;
    struct mt_proc *p = mt_task_proc(task);
    char who[128] = "";
    atomic_store(&rt->inspecting, true);
    bool open = !(atomic_load(&p->inbox.low) & MT_IN_CLOSED) && atomic_load(&s->current) == task;
    if (open) mt_proc_describe(p, who, sizeof who);
    atomic_store(&rt->inspecting, false);
    if (!open) return;
    mt_log(rt, MOTE_LOG_WARNING,
           "process %s has held scheduler %u for %llu ms. Others wait behind it: let it call mote_reductions() or mote_yield() in long "
           "loops, and use mote_blocking() for calls that block",
           who, s->id, (unsigned long long)(ns / 1000000));
}

/* The slot is a slot whatever has become of the task (P5). */
static bool has_news(struct mt_task *task, uint64_t *seen) {
    uint64_t low = atomic_load_explicit(&mt_task_proc(task)->inbox.low, memory_order_relaxed);
    bool news = low != *seen && (low & ~(uint64_t)(MT_IN_STATE & ~MT_IN_KILLED));
    *seen = low;
    return news;
}

/* ------------------------------------------------------------------------------------------------ figures */

uint64_t mt_ref_next(struct mt_sched *s) {
    if (s->ref_next == s->ref_end) {
        s->ref_next = atomic_fetch_add_explicit(&mt_runtime_of_sched(s)->refs, REF_BLOCK, memory_order_relaxed);
        s->ref_end = s->ref_next + REF_BLOCK;
    }
    MT_ASSERT(!(s->ref_next >> 59)); /* see MT_REF_ALIAS */
    return s->ref_next++ << 3 | MT_REF;
}

/* Calls `add` for every scheduler that processes run on or send from. */
static void each_sched(mote_runtime *rt, void (*add)(void *context, struct mt_sched *s), void *context) {
    for (unsigned i = 0; i < rt->cluster.count; i++) add(context, rt->cluster.scheds[i]);
    mt_lock_take(&rt->mu);
    for (struct mt_attached *a = rt->attached; a; a = a->next) add(context, a->proc->task.sched);
    mt_lock_drop(&rt->mu);
}

static void add_started(void *sum, struct mt_sched *s) { *(uint64_t *)sum += atomic_load_explicit(&s->started, memory_order_acquire); }
static void add_ended(void *sum, struct mt_sched *s) { *(uint64_t *)sum += atomic_load_explicit(&s->ended, memory_order_acquire); }

/* Processes alive. Ended ones are counted first: the difference is never below the truth, and 0 only if that is 0. */
static uint64_t alive(mote_runtime *rt) {
    uint64_t ended = atomic_load(&rt->gone_ended), started = 0;
    each_sched(rt, add_ended, &ended);
    mt_fence();
    each_sched(rt, add_started, &started);
    started += atomic_load(&rt->gone_started);
    return started > ended ? started - ended : 0;
}

static void add_messages(void *context, struct mt_sched *s) {
    mote_runtime_info *info = context;
    info->processes_started += atomic_load_explicit(&s->started, memory_order_relaxed);
    info->messages_sent += atomic_load_explicit(&s->sent, memory_order_relaxed);
    info->messages_dropped += atomic_load_explicit(&s->dropped, memory_order_relaxed);
    info->messages_dead += atomic_load_explicit(&s->dead, memory_order_relaxed);
}

void mt_runtime_figures(mote_runtime *rt, mote_runtime_info *info) {
    memset(info, 0, sizeof *info);
    info->schedulers = rt->cluster.count;
    info->processes = alive(rt);
    info->uptime_ns = mt_os_now_ns() - rt->cluster.started_ns;
    info->processes_started = atomic_load(&rt->gone_started);
    info->messages_sent = atomic_load(&rt->gone_sent);
    info->messages_dropped = atomic_load(&rt->gone_dropped);
    info->messages_dead = atomic_load(&rt->gone_dead);
    each_sched(rt, add_messages, info);
    mt_lock_take(&rt->mu);
    for (struct mt_attached *a = rt->attached; a; a = a->next) info->processes++;
    mt_lock_drop(&rt->mu);
}

void mt_runtime_ended(mote_runtime *rt, struct mt_sched *s) {
    mt_count_release(&s->ended);
    if (!atomic_load_explicit(&rt->draining, memory_order_relaxed)) return;
    atomic_store(&rt->drained, 1);
    mt_os_futex_wake(&rt->drained, 1);
}

/* -------------------------------------------------------------------------------------------------- start */

static void after(struct mt_sched *s) { mt_after(s); }

static const struct mt_task_ops ops = {
    .turn = mt_turn,
    .entry = mt_entry,
    .after = after,
    .no_stack = mt_no_stack,
    .stack_size = mt_task_stack_size,
    .expire = mt_alarm_expire,
    .ready = mt_fd_ready,
    .stuck = report_stuck,
    .news = has_news,
};

static unsigned default_schedulers(void) {
    const char *text = getenv("MOTE_SCHEDULERS");
    long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 && n <= (long)MT_SCHEDS_MAX - 1 ? (unsigned)n : mt_os_cores();
}

static mote_err set_options(mote_runtime *rt, const mote_options *options) {
    size_t page = mt_os_page_size();
    if (options) rt->options = *options;
    mote_options *o = &rt->options;
    if (!o->schedulers) o->schedulers = default_schedulers();
    if (!o->stack_size) o->stack_size = STACK_DEFAULT;
    if (!o->processes_max) o->processes_max = PROCESSES_MAX;
    if (!o->blocking_max) o->blocking_max = BLOCKING_DEFAULT;
    if (o->schedulers >= MT_SCHEDS_MAX || o->processes_max > PROCESSES_MAX || o->blocking_max > 4096 || o->worker > 255 || o->worker % MT_WORKERS_MAX == MT_REMOTE) return MOTE_ELIMIT;
    if (o->stack_size < MT_STACK_MIN || o->stack_size > MT_STACK_MAX) return MOTE_ELIMIT;
    if (o->stack_head % 16 || o->stack_head > o->stack_size - MT_STACK_MIN) return MOTE_ELIMIT;
    o->stack_size = (o->stack_size + page - 1) / page * page;
    int64_t batch = (int64_t)(o->processes_max / (32u * o->schedulers));
    rt->quota_batch = batch < 1 ? 1 : batch > 64 ? 64 : batch;
    atomic_store(&rt->room, (int64_t)o->processes_max);
    return MOTE_OK;
}

static void free_runtime(mote_runtime *rt) {
    struct mt_cluster *c = &rt->cluster;
    struct mt_sched *last = NULL;
    if (rt->pool) mt_pool_free(rt->pool);
    while (rt->foreign) {
        struct mt_sched *s = rt->foreign;
        rt->foreign = s->chunk;
        mt_sched_free(s);
    }
    for (unsigned i = 0; c->scheds && i < c->count; i++) {
        last = c->scheds[i];
        if (!last) continue;
        mt_alarms_free(last, &last->cache);
        if (last->spare_arena) mote_arena_free(last->spare_arena);
        mt_sched_free(last);
    }
    mt_os_free(c->scheds);
    mt_far_free(rt);
    if (rt->stopper) mt_sched_free(rt->stopper);
    if (c->poll) mt_poll_free(c->poll);
    mt_injector_fini(&c->injector);
    mt_table_fini(&rt->table);
    if (rt->stacks) mt_stacks_free(rt->stacks);
    if (c->depot) mt_depot_free(c->depot);
    if (rt->names) mt_names_free(rt->names);
    mt_lock_fini(&rt->mu);
    mt_atom_table_drop();
    mt_os_free(rt);
}

static mote_err make_parts(mote_runtime *rt) {
    struct mt_cluster *c = &rt->cluster;
    mote_err err = mt_table_init(&rt->table, rt->options.processes_max);
    if (err) return err;
    c->ops = &ops;
    c->host = rt->options.host_loop;
    c->stack_head = rt->options.stack_head;
    c->count = rt->options.schedulers;
    c->started_ns = mt_os_now_ns();
    c->spare_cores = mt_os_cores() > 1;
    if (!(c->depot = mt_depot_new())) return MOTE_ENOMEM;
    if ((err = mt_names_new(&rt->names))) return err;
    if (!(rt->stacks = mt_stacks_new(rt->options.stack_size))) return MOTE_ENOMEM;
    if (!(rt->pool = mt_pool_new(rt->options.blocking_max, BLOCKING_IDLE_NS))) return MOTE_ENOMEM;
    if ((err = mt_poll_new(&c->poll))) return err;
    if ((err = mt_sched_new(c, rt->stacks, MT_SCHEDS_MAX, true, &rt->stopper))) return err;
    if (!(c->scheds = mt_os_alloc_zero(c->count * sizeof(struct mt_sched *)))) return MOTE_ENOMEM;
    for (unsigned i = 0; i < c->count; i++) {
        if ((err = mt_sched_new(c, rt->stacks, i, false, &c->scheds[i]))) return err;
        c->scheds[i]->chaos = rt->options.chaos_seed;
        if (rt->options.chaos_seed) c->scheds[i]->random = (rt->options.chaos_seed + i) * 0x9e3779b97f4a7c15u | 1;
    }
    return MOTE_OK;
}

mote_err mt_runtime_start(const mote_options *options, mote_runtime **runtime) {
    mote_runtime *rt = mt_os_alloc_aligned(64, sizeof *rt);
    if (!rt) return MOTE_ENOMEM;
    memset(rt, 0, sizeof *rt);
    mt_atom_table_hold();
    mt_lock_init(&rt->mu, MT_RANK_RUNTIME);
    mt_injector_init(&rt->cluster.injector);
    rt->table.own = mt_pid_word(0, options ? options->worker & 255 : 0, 0) ^ MT_PID;
    atomic_store(&rt->refs, (uint64_t)mt_own_worker(rt) << MT_REF_COUNTER_BITS | (mt_os_random() & (((uint64_t)1 << 40) - 1)));
    atomic_store(&rt->owners, 1);
    atomic_store(&rt->leader, mt_pid_of(rt, 0, 0));
    atomic_store(&rt->deaths_to, mt_pid_of(rt, 0, 0));
    mote_err err = set_options(rt, options);
    if (err || (err = make_parts(rt)) || (err = mt_segv_start(mt_overflowed))) goto fail;
    if ((err = mt_cluster_start(&rt->cluster))) {
        mt_segv_stop();
        goto fail;
    }
    *runtime = rt;
    return MOTE_OK;
fail:
    free_runtime(rt);
    return err;
}

/* The calling thread's entry, and where it is linked. */
static struct mt_attached *find_locked(mote_runtime *rt, struct mt_attached ***at) {
    for (*at = &rt->attached; **at; *at = &(**at)->next)
        if (pthread_equal((**at)->thread, pthread_self())) return **at;
    return NULL;
}

/* Whether the calling thread runs this runtime's processes, or is one. */
static bool is_inside(mote_runtime *rt) {
    struct mt_sched *here = mt_sched_here();
    struct mt_attached **at;
    mt_lock_take(&rt->mu);
    bool attached = find_locked(rt, &at) != NULL;
    mt_lock_drop(&rt->mu);
    return attached || (here && here->cluster == &rt->cluster);
}

/* --------------------------------------------------------------------------------------------------- stop */

/* Waits until no process but attached threads lives, or the time is up. A process that ends just now may not have seen `draining` (it looks
 * without a barrier, because every process ends): so it also looks by itself now and then. */
static bool drain(mote_runtime *rt, uint64_t deadline_ns) {
    atomic_store(&rt->draining, true);
    for (;;) {
        atomic_store(&rt->drained, 0);
        if (alive(rt) == 0) return true;
        uint64_t now = mt_os_now_ns();
        if (now >= deadline_ns) return false;
        mt_os_futex_wait(&rt->drained, 0, deadline_ns - now < LOOK_EVERY_NS ? deadline_ns - now : LOOK_EVERY_NS);
    }
}

/* Sets KILLED and wakes the process in a slot, if there is one. */
static void kill_one(struct mt_sched *s, struct mt_proc *p) {
    uint64_t low, serial;
    do {
        serial = atomic_load_explicit(&p->inbox.high, memory_order_acquire);
        low = atomic_load_explicit(&p->inbox.low, memory_order_acquire);
        if (serial == 0 || (low & (MT_IN_CLOSED | MT_IN_KILLED))) return;
    } while (!mt_pair_cas(&p->inbox, low, serial, (low & ~(uint64_t)MT_IN_WAITING) | MT_IN_KILLED));
    if (low & MT_IN_WAITING) mt_sched_wake(s, &p->task); /* P2 */
}

/* Tells every process to end, and threads that wait to look at `stopped`. Needs no memory: it may be for want of it that we stop. */
static void kill_all(mote_runtime *rt) {
    uint32_t chunks = atomic_load_explicit(&rt->table.chunk_count, memory_order_acquire);
    for (uint32_t i = 0; i < chunks; i++) {
        struct mt_chunk *c = rt->table.chunks[i];
        if (atomic_load(&c->free_count) == MT_CHUNK_SLOTS) continue;
        for (uint32_t k = 0; k < MT_CHUNK_SLOTS; k++) kill_one(rt->stopper, &c->slots[k]);
    }
}

static void nag(mote_runtime *rt) {
    mt_log(rt, MOTE_LOG_WARNING, "still %llu processes cannot be ended, because they run C code that does not return or wait",
           (unsigned long long)alive(rt));
}

/* Ends what is left: again and again, for processes that were just being started. */
static void end_all(mote_runtime *rt) {
    uint64_t next_nag = mt_os_now_ns() + NAG_NS;
    for (;;) {
        kill_all(rt);
        if (drain(rt, mt_os_now_ns() + 20000000)) return;
        if (mt_os_now_ns() < next_nag) continue;
        nag(rt);
        next_nag += NAG_NS;
    }
}

static void disown(mote_runtime *rt) {
    if (atomic_fetch_sub(&rt->owners, 1) == 1) free_runtime(rt);
}

mote_err mt_runtime_stop(mote_runtime *rt, int64_t drain_ms) {
    if (is_inside(rt)) return MOTE_ECONTEXT;
    bool drained = drain(rt, mt_deadline(drain_ms));
    atomic_store(&rt->stopped, true);
    if (!drained || alive(rt)) end_all(rt);
    kill_all(rt); /* attached threads that wait */
    mt_pool_stop(rt->pool); /* freed later: a thread may be about to start a call */
    mt_cluster_stop(&rt->cluster);
    mt_segv_stop();
    for (unsigned i = 0; i < rt->cluster.count; i++) mt_table_release_chunk(rt, rt->cluster.scheds[i]);
    disown(rt);
    return drained ? MOTE_OK : MOTE_TIMEOUT;
}

/* ------------------------------------------------------------------------------------------------- threads */

static void add_attached(mote_runtime *rt, struct mt_attached *a) {
    mt_lock_take(&rt->mu);
    a->next = rt->attached;
    rt->attached = a;
    mt_lock_drop(&rt->mu);
}

mote_err mt_attach(mote_runtime *rt, struct mt_proc **self) {
    struct mt_sched *s = NULL;
    struct mt_proc *p = NULL;
    mote_err err = MOTE_ENOMEM;
    if (atomic_load(&rt->stopped)) return MOTE_ESTOPPED;
    if (is_inside(rt)) return MOTE_EBUSY;
    struct mt_attached *a = mt_os_alloc_zero(sizeof *a);
    if (!a) return err;
    if ((err = mt_sched_new(&rt->cluster, rt->stacks, MT_SCHEDS_MAX, true, &s))) goto fail;
    if ((err = mt_table_take(rt, s, &p))) goto fail;
    mt_reset(p, s, MT_THREAD);
    s->attached = &p->task;
    p->task.budget = MT_TURN;
    p->code.body = NULL;
    a->proc = p;
    a->thread = pthread_self();
    add_attached(rt, a);
    atomic_fetch_add(&rt->owners, 1);
    mt_pair_set(&p->inbox, 0, mt_serial(p));
    mt_fence(); /* the stopper finds it in the table, or it finds `stopped` */
    *self = p;
    return MOTE_OK;
fail:
    if (s) {
        if (s->quota) atomic_fetch_add(&rt->room, s->quota);
        mt_table_release_chunk(rt, s);
        mt_sched_free(s);
    }
    mt_os_free(a);
    return err;
}

/* What the thread counted stays in the runtime's figures. */
static void keep_figures(mote_runtime *rt, struct mt_sched *s) {
    atomic_fetch_add(&rt->gone_started, atomic_load(&s->started));
    atomic_fetch_add(&rt->gone_ended, atomic_load(&s->ended));
    atomic_fetch_add(&rt->gone_sent, atomic_load(&s->sent));
    atomic_fetch_add(&rt->gone_dropped, atomic_load(&s->dropped));
    atomic_fetch_add(&rt->gone_dead, atomic_load(&s->dead));
}

mote_err mt_detach(struct mt_proc *p) {
    mote_runtime *rt = mt_runtime(p);
    struct mt_sched *s = p->task.sched;
    struct mt_attached **at;
    mt_unwatch(p);
    mt_close(p, p->flags & MT_PF_EXITING ? mt_signal_reason(p) : (struct mt_reason){MT_WORD_OF(normal), NULL});
    while (!mt_relations_tell(s, p, SIZE_MAX)) continue;
    mt_lock_take(&rt->mu);
    struct mt_attached *a = find_locked(rt, &at);
    MT_ASSERT(a && a->proc == p);
    *at = a->next;
    keep_figures(rt, s);
    mt_lock_drop(&rt->mu);
    mt_os_free(a);
    mt_free_more(rt, &s->cache, p);
    mt_table_give(rt, p); /* now nobody looks at its slot for this thread's figures */
    if (s->quota) atomic_fetch_add(&rt->room, s->quota);
    mt_table_release_chunk(rt, s);
    if (s->spare_arena) mote_arena_free(s->spare_arena);
    mt_sched_free(s);
    disown(rt);
    return MOTE_OK;
}
