/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/sched.h"

#include <string.h>

#include "base/segv.h"
#include "sched/watchdog.h"

#define POLL_EVERY_NS 500000    /* a busy scheduler looks at descriptors this often */
#define OLDEST_EVERY_NS 20000000 /* so often the oldest task that has not begun is begun */
#define SOON_NS 200000          /* a sleep that ends by then was hardly worth it */
#define BRIEF_NS 100000         /* who is awake for longer should not be the only one that looks at descriptors, */
#define TOIL 16u                /* nor the next so many times */
#define WOKEN 3u                /* `park`: woken, counted as searching, not yet noticed */
#define BATCH 64u               /* tasks or events moved at once */

static _Thread_local struct mt_sched *here;

__attribute__((noinline)) struct mt_sched *mt_sched_here(void) {
    __asm__ volatile("" ::: "memory");
    return here;
}

__attribute__((noinline)) void mt_sched_set_here(struct mt_sched *sched) { here = sched; }

static uint64_t random_next(struct mt_sched *s) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    return s->random ^= s->random << 17;
}

/* ------------------------------------------------------------------------------------------ sleeping and waking */

/* Takes a sleeper out of its sleep, if it sleeps; it finds WOKEN and knows that it is counted as searching (L4). */
static bool wake(struct mt_sched *s) {
    struct mt_cluster *c = s->cluster;
    uint32_t mode = atomic_load_explicit(&s->park, memory_order_relaxed);
    if ((mode != 1 && mode != 2) || !atomic_compare_exchange_strong(&s->park, &mode, WOKEN)) return false;
    atomic_fetch_add(&c->searching, 1);
    if (mode == 1)
        mt_os_futex_wake(&s->park, 1);
    else
        mt_poll_wake(c->poll);
    return true;
}

static bool wake_one(struct mt_cluster *c) {
    for (unsigned i = 0; i < c->count; i++)
        if (wake(c->scheds[i])) return true;
    return false;
}

void mt_cluster_notify(struct mt_cluster *c) {
    mt_fence();
    if (atomic_load_explicit(&c->searching, memory_order_relaxed) <= 0 && atomic_load_explicit(&c->parked, memory_order_relaxed))
        wake_one(c);
}

void mt_sched_kick(struct mt_sched *s) { wake(s); }

/* Ends a search. When it was the last and found something, the next sleeper may find more (L4). */
static void stop_searching(struct mt_sched *s, bool found) {
    if (!atomic_load_explicit(&s->searching, memory_order_relaxed)) return;
    atomic_store(&s->searching, false);
    if (atomic_fetch_sub(&s->cluster->searching, 1) <= 1 && found) mt_cluster_notify(s->cluster);
}

/* Whether the host has an event loop that does the sleeping. */
static bool host_waits(const struct mt_sched *s) {
    const mote_host_loop *host = s->cluster->host;
    return host && host->waits && host->waits(host->context, s->id);
}

/* Every source of work, looked at after sleep has been announced (L3). */
static bool anything_to_do(struct mt_sched *s, uint32_t mode) {
    struct mt_cluster *c = s->cluster;
    if (mode == 1 && host_waits(s)) return true; /* the watchdog has the poller for a moment */
    if (atomic_load(&c->injector.waiting) || atomic_load(&c->stopping)) return true;
    for (unsigned i = 0; i < c->count; i++) {
        struct mt_sched *v = c->scheds[i];
        for (int p = 0; p < MT_PRIORITIES; p++)
            if (mt_ring_count(&v->rings[p])) return true;
        if (mt_fresh_count(&v->fresh)) return true;
        if ((v == s || atomic_load(&v->stuck)) && atomic_load(&v->lifo)) return true;
    }
    if (mode == 1 && mt_poll_armed(c->poll) && mt_poll_enter(c->poll)) { /* somebody must be in the poller: come back as mode 2 */
        mt_poll_leave(c->poll);
        return true;
    }
    return mt_os_now_ns() >= atomic_load_explicit(&s->wheel_next_ns, memory_order_relaxed);
}

/* Leaves the announced state: by itself, or taking over what its waker has counted. The watchdog may sleep no longer. */
static void wake_up(struct mt_sched *s, uint32_t mode) {
    struct mt_cluster *c = s->cluster;
    uint32_t announced = mode, unlimited = 2;
    if (!atomic_compare_exchange_strong(&s->park, &announced, 0)) {
        MT_ASSERT(announced == WOKEN);
        atomic_store(&s->searching, true);
        atomic_store(&s->park, 0);
    }
    atomic_fetch_sub(&c->parked, 1);
    if (mode == 2) mt_poll_leave(c->poll);
    if (atomic_compare_exchange_strong(&c->watch_word, &unlimited, 0)) mt_os_futex_wake(&c->watch_word, 1);
}

static uint64_t until(uint64_t deadline, uint64_t now) {
    if (deadline == MT_NEVER) return MT_NEVER;
    return deadline > now ? deadline - now : 0;
}

static void wait_in_host(void *context, int fd, uint64_t timeout_ns) {
    struct mt_sched *s = context;
    const mote_host_loop *host = s->cluster->host;
    host->wait(host->context, s->id, fd, timeout_ns);
}

/* Descriptors are ready. Whoever is woken for what may last is the next poller. */
static void hear(struct mt_sched *s, const struct mt_poll_event *events, size_t count) {
    s->cluster->ops->ready(s, events, count);
    if (s->toil) mt_cluster_notify(s->cluster);
}

/* Sleeps until woken, or a timer is due, or descriptors are ready; the events are handed to the process layer. */
static void sleep_until_woken(struct mt_sched *s, uint32_t mode) {
    struct mt_cluster *c = s->cluster;
    struct mt_poll_event events[BATCH];
    size_t count = 0;
    uint64_t before = mt_os_now_ns(), now = before;
    s->toil = before - s->woken_ns > BRIEF_NS ? TOIL : s->toil ? s->toil - 1 : 0;
    atomic_store_explicit(&s->asleep_since_ns, before, memory_order_relaxed);
    bool hosted = host_waits(s), again = true;
    while (again && atomic_load(&s->park) == mode && count == 0) {
        uint64_t left = until(atomic_load_explicit(&s->wheel_next_ns, memory_order_relaxed), now);
        if (left == 0) break;
        if (mode == 1)
            mt_os_futex_wait(&s->park, 1, left);
        else if (!hosted)
            count = mt_poll_run(c->poll, left, events, BATCH);
        else
            count = mt_poll_run_within(c->poll, left, events, BATCH, wait_in_host, s);
        again = !hosted; /* what ran in the host's loop may have made tasks runnable */
        now = mt_os_now_ns();
    }
    wake_up(s, mode);
    atomic_store_explicit(&s->asleep_since_ns, 0, memory_order_relaxed);
    mt_count(&s->idle_ns, now - before);
    mt_count(&s->parks, 1);
    if (now - before < 2 * MT_SPIN_NS && atomic_load_explicit(&s->searching, memory_order_relaxed)) s->fruitless = 0; /* looking longer would have paid */
    s->polled_ns = s->now_ns = s->woken_ns = now;
    s->lively = count && now - before < SOON_NS;
    if (count) hear(s, events, count);
}

static void park(struct mt_sched *s) {
    struct mt_cluster *c = s->cluster;
    uint32_t mode = (mt_poll_armed(c->poll) || host_waits(s)) && mt_poll_enter(c->poll) ? 2 : 1;
    atomic_store(&s->park, mode);
    atomic_fetch_add(&c->parked, 1);
    mt_fence();
    if (!anything_to_do(s, mode)) {
        sleep_until_woken(s, mode);
        return;
    }
    wake_up(s, mode);
}

/* ------------------------------------------------------------------------------------------------- queues */

static inline bool is_fresh(const struct mt_task *task) { return !task->started && task->priority == MOTE_NORMAL; }

/* Half of a full queue goes to the injector, so that others may have it. */
static __attribute__((noinline)) void spill(struct mt_sched *s, struct mt_task *task) {
    struct mt_task *tasks[MT_RING / 2 + 1];
    bool fresh = is_fresh(task);
    uint32_t n = fresh ? mt_fresh_steal(&s->fresh, tasks, MT_RING / 2) : mt_ring_steal(&s->rings[task->priority], tasks, MT_RING / 2);
    if (fresh && mt_fresh_push(&s->fresh, task))
        task = NULL; /* the newest stays */
    else
        tasks[n++] = task;
    mt_injector_push(&s->cluster->injector, fresh ? MT_LANE_FRESH : tasks[0]->priority, tasks, n);
}

/* Into the queue where it belongs. */
static inline void enqueue(struct mt_sched *s, struct mt_task *task) {
    bool room = is_fresh(task) ? mt_fresh_push(&s->fresh, task) : mt_ring_push(&s->rings[task->priority], task);
    if (mt_unlikely(!room)) spill(s, task);
}

/* So many spilled tasks that whoever is spilled next would wait tens of milliseconds. With fewer, tasks behind them would wait longer than
 * without this rule: the injector is looked at every 64 picks only. */
#define CROWD 32768u

void mt_sched_push(struct mt_sched *s, struct mt_task *task) {
    struct mt_cluster *c = s->cluster;
    if (s->outside) {
        mt_injector_push(&c->injector, task->priority, &task, 1);
        mt_cluster_notify(c);
        return;
    }
    if (mt_unlikely(atomic_load_explicit(&c->injector.waiting, memory_order_relaxed) > CROWD) && !is_fresh(task))
        mt_injector_push(&c->injector, task->priority, &task, 1); /* behind those that were spilled before it */
    else
        enqueue(s, task);
    if (c->count > 1) mt_cluster_notify(c);
}

static void wake_thread(struct mt_task *task) {
    struct mt_sched *s = task->sched; /* const for threads */
    int fd = atomic_load(&s->watch_fd);
    if (fd >= 0) mt_os_event_write(fd);
    atomic_store(&s->park, 0); /* from here on it may be gone */
    mt_os_futex_wake(&s->park, 1);
}

void mt_sched_wake_any(struct mt_sched *s, struct mt_task *task) {
    if (mt_task_kind(task) == MT_THREAD) {
        wake_thread(task);
        return;
    }
    if (s->outside || task->priority != MOTE_NORMAL || (s->chaos && random_next(s) % 4 == 0)) {
        mt_sched_push(s, task);
        return;
    }
    task = mt_sched_swap_lifo(s, task);
    if (task) mt_sched_push(s, task);
}

/* A batch from the injector: the first is given, the rest goes into the own queues. */
static struct mt_task *take_injected(struct mt_sched *s, unsigned lanes, size_t max) {
    struct mt_task *tasks[BATCH];
    size_t share = atomic_load_explicit(&s->cluster->injector.waiting, memory_order_relaxed) / s->cluster->count + 1;
    size_t n = mt_injector_pop(&s->cluster->injector, lanes, tasks, share < max ? share : max);
    for (size_t i = 0; i < n; i++) mt_prefetch_write(tasks[i]);
    for (size_t i = 1; i < n; i++) enqueue(s, is_fresh(tasks[0]) ? tasks[n - i] : tasks[i]); /* the oldest goes next */
    if (n > 1 && s->cluster->count > 1) mt_cluster_notify(s->cluster);
    return n ? tasks[0] : NULL;
}

static struct mt_task *steal_from(struct mt_sched *s, struct mt_sched *victim) {
    static const int by_rank[MT_PRIORITIES] = {MOTE_HIGH, MOTE_NORMAL, MOTE_LOW};
    struct mt_task *tasks[MT_RING / 2];
    for (int i = 0; i < MT_PRIORITIES; i++) {
        uint32_t n = mt_ring_steal(&victim->rings[by_rank[i]], tasks, MT_RING / 2);
        if (n == 0) continue;
        mt_count(&s->steals, n);
        for (uint32_t k = 1; k < n; k++) enqueue(s, tasks[k]);
        return tasks[0];
    }
    uint32_t n = mt_fresh_steal(&victim->fresh, tasks, MT_RING / 2);
    if (n) {
        mt_count(&s->steals, n);
        for (uint32_t k = n - 1; k > 0; k--) enqueue(s, tasks[k]); /* the oldest, with the most to come, next */
        return tasks[0];
    }
    if (!atomic_load_explicit(&victim->stuck, memory_order_acquire)) return NULL;
    struct mt_task *task = atomic_exchange_explicit(&victim->lifo, NULL, memory_order_acq_rel);
    if (task) mt_count(&s->steals, 1);
    return task;
}

static struct mt_task *steal(struct mt_sched *s) {
    struct mt_cluster *c = s->cluster;
    unsigned first = (unsigned)(random_next(s) % c->count);
    for (unsigned i = 0; i < c->count; i++) {
        struct mt_sched *victim = c->scheds[(first + i) % c->count];
        struct mt_task *task = victim == s ? NULL : steal_from(s, victim);
        if (task) return task;
    }
    return NULL;
}

/* --------------------------------------------------------------------------------------------------- picking */

static struct mt_task *pick_lifo(struct mt_sched *s) {
    if (!atomic_load_explicit(&s->lifo, memory_order_relaxed)) return NULL;
    return mt_sched_swap_lifo(s, NULL);
}

static struct mt_task *take_oldest(struct mt_sched *s) {
    struct mt_task *task = NULL;
    s->oldest_due = false;
    if (atomic_load_explicit(&s->cluster->injector.fresh, memory_order_relaxed) && (task = take_injected(s, 1u << MT_LANE_FRESH, 1)))
        return task;
    return mt_fresh_steal(&s->fresh, &task, 1) ? task : NULL;
}

/* Those in the ring have begun: they go first, but for every eighth pick. Of those that have not begun the newest goes first, but for one
 * every few ms, so that none waits for ever. */
struct mt_task *mt_sched_pick_fresh(struct mt_sched *s) {
    struct mt_task *task = NULL;
    bool ring = mt_ring_count(&s->rings[MOTE_NORMAL]) != 0;
    bool eighth = ++s->fresh_picks % MT_LOW_EVERY == 0; /* not of s->tick: runs of the slot keep step with it */
    if (mt_unlikely(s->oldest_due || (ring && eighth)) && (task = take_oldest(s))) return task;
    if (s->fresh_turns > 0 && ring) {
        s->fresh_turns--;
        if ((task = mt_fresh_pop(&s->fresh))) return task;
    }
    if (ring && (task = mt_ring_pop(&s->rings[MOTE_NORMAL]))) {
        mt_sched_look_ahead(&s->rings[MOTE_NORMAL]);
        return task;
    }
    return mt_fresh_pop(&s->fresh);
}

/* Whether timers or descriptors want the base stack; asked every 64 picks. */
static bool duty_calls(struct mt_sched *s) {
    uint64_t now = s->now_ns = mt_os_now_ns();
    if (now - s->oldest_ns > OLDEST_EVERY_NS) {
        s->oldest_ns = now;
        s->oldest_due = true;
    }
    if (now >= atomic_load_explicit(&s->wheel_next_ns, memory_order_relaxed)) return true;
    return now - s->polled_ns > POLL_EVERY_NS && (mt_poll_armed(s->cluster->poll) || host_waits(s));
}

struct mt_task *mt_sched_pick_slow(struct mt_sched *s) {
    struct mt_task *task = NULL;
    bool low_first = s->tick % MT_LOW_EVERY == 0;
    if ((s->tick & 63) == 0) {
        if ((s->duty = duty_calls(s))) return NULL;
        unsigned lanes = mt_fresh_count(&s->fresh) ? MT_LANES_BEGUN : MT_LANES_ALL; /* spilled ones come back when there is room */
        if ((task = take_injected(s, lanes, BATCH))) return task;
    }
    if ((task = mt_ring_pop(&s->rings[MOTE_HIGH]))) return task;
    if (low_first && (task = mt_ring_pop(&s->rings[MOTE_LOW]))) return task;
    bool ring_first = (++s->lifo_runs & 63) == 0 || (s->chaos && random_next(s) % 2);
    if (!ring_first && (task = pick_lifo(s))) return task;
    if ((task = mt_sched_pick_fresh(s))) return task;
    if ((task = pick_lifo(s))) return task;
    return mt_ring_pop(&s->rings[MOTE_LOW]);
}

void mt_sched_look_at_descriptors(struct mt_sched *s) {
    struct mt_poll_event events[BATCH];
    struct mt_poll *poll = s->cluster->poll;
    if (!mt_poll_armed(poll) || !mt_poll_enter(poll)) return;
    size_t n = mt_poll_run(poll, 0, events, BATCH);
    mt_poll_leave(poll);
    if (s->outside) mt_cluster_notify(s->cluster); /* the watchdog's: who fell asleep meanwhile found the role taken */
    if (n) s->cluster->ops->ready(s, events, n);
}

static void do_duty(struct mt_sched *s) {
    uint64_t now = mt_os_now_ns();
    s->duty = false;
    if (now >= atomic_load_explicit(&s->wheel_next_ns, memory_order_relaxed)) s->cluster->ops->expire(s, s, now);
    if (now - s->polled_ns <= POLL_EVERY_NS) return;
    s->polled_ns = now;
    mt_sched_look_at_descriptors(s);
    const mote_host_loop *host = s->cluster->host;
    if (host_waits(s)) host->look(host->context, s->id);
}

/* Looks everywhere for a while before sleeping is worth it. */
static struct mt_task *spin(struct mt_sched *s) {
    struct mt_cluster *c = s->cluster;
    struct mt_task *task = NULL;
    if (!atomic_load_explicit(&s->searching, memory_order_relaxed)) {
        if (2 * atomic_load(&c->searching) >= (int32_t)c->count) return NULL;
        atomic_store(&s->searching, true);
        atomic_fetch_add(&c->searching, 1);
    }
    bool patient = !s->lively && (s->fruitless < MT_PATIENCE || s->fruitless % 16 == 0);
    uint64_t end = patient ? mt_os_now_ns() + MT_SPIN_NS : 0;
    for (uint32_t rounds = 0;; rounds++) {
        if ((task = steal(s)) || (task = take_injected(s, MT_LANES_ALL, BATCH))) {
            if (rounds) s->fruitless = 0; /* it was worth it */
            break;
        }
        if (!patient || mt_os_now_ns() >= end || atomic_load_explicit(&c->stopping, memory_order_relaxed)) {
            if (!s->lively) s->fruitless++;
            break;
        }
        for (int k = 0; k < 64; k++) mt_cpu_relax();
    }
    stop_searching(s, task != NULL);
    return task;
}

/* Where descriptors have just had news there may be more soon: looks at them for a while, as one that is awake and does not search. Whether
 * there was any. */
static bool linger(struct mt_sched *s, struct mt_task **task) {
    struct mt_cluster *c = s->cluster;
    struct mt_poll_event events[BATCH];
    size_t count = 0;
    if (!s->lively || !c->spare_cores || !mt_poll_armed(c->poll)) return false;
    if (s->hope == 0 && ++s->hopeless % MT_HOPELESS) return false;
    if (mt_poll_enter(c->poll)) {
        uint64_t end = mt_os_now_ns() + MT_LINGER_NS, timer = atomic_load_explicit(&s->wheel_next_ns, memory_order_relaxed);
        if (timer < end) end = timer;
        do count = mt_poll_run(c->poll, 0, events, BATCH);
        while (!count && !(*task = steal(s)) && !(*task = take_injected(s, MT_LANES_ALL, BATCH)) && mt_os_now_ns() < end);
        mt_poll_leave(c->poll);
    }
    s->hope = !count ? s->hope / 4 : s->hope < MT_HOPE ? s->hope + 1 : MT_HOPE;
    if (count) hear(s, events, count);
    return count;
}

/* There is nothing to run: looks around, and sleeps if there is still nothing. */
static struct mt_task *rest(struct mt_sched *s) {
    const mote_host_loop *host = s->cluster->host;
    if (host && host->idle) host->idle(host->context, s->id);
    struct mt_task *task = NULL;
    bool heard = false, hosted = host_waits(s);
    if (hosted) stop_searching(s, false); /* its loop may have something to run */
    else task = spin(s);
    if (!task && !hosted) heard = linger(s, &task);
    if (!task && !heard) park(s);
    if (host && host->busy) host->busy(host->context, s->id);
    return task;
}

/* The next task, however long it takes; NULL: the cluster stops. */
static struct mt_task *find(struct mt_sched *s) {
    struct mt_cluster *c = s->cluster;
    struct mt_task *task;
    for (;;) {
        do_duty(s);
        if ((task = mt_sched_pick_slow(s)) || (!s->duty && (task = take_injected(s, MT_LANES_ALL, BATCH)))) break;
        if (s->duty) continue;
        if (atomic_load_explicit(&c->stopping, memory_order_acquire)) break;
        if ((task = rest(s))) return task;
    }
    stop_searching(s, task != NULL);
    return task;
}

/* ------------------------------------------------------------------------------------------------------ the loop */

static void run(struct mt_sched *s, struct mt_task *task) {
    if (mt_task_kind(task) == MT_HANDLER) {
        mt_sched_resume(s, task);
        s->cluster->ops->turn(s, task);
        atomic_store_explicit(&s->current, NULL, memory_order_relaxed);
    } else if (mt_likely(mt_sched_bind(s, task))) {
        mt_sched_resume(s, task);
        mt_context_switch(&s->base, &task->context, false);
    } else {
        s->cluster->ops->no_stack(s, task);
    }
}

static __attribute__((noinline)) void loop(struct mt_sched *s) {
    for (;;) {
        if (s->left) s->cluster->ops->after(s);
        struct mt_task *task = s->picked;
        s->picked = NULL;
        if (s->chaos) random_next(s);
        if (!task && !s->duty) task = mt_sched_pick(s);
        if (!task && !(task = find(s))) return;
        run(s, task);
    }
}

static void *scheduler(void *arg) {
    struct mt_sched *s = arg;
    void *volatile alt_stack = mt_segv_thread_begin();
    mt_sched_set_here(s);
    atomic_store_explicit(&s->thread_id, mt_os_thread_id(), memory_order_relaxed);
    mt_context_adopt(&s->base);
    const mote_host_loop *volatile host = s->cluster->host;
    if (host && host->enter) host->enter(host->context, s->id);
    if (_setjmp(s->restart) /* the signal mask stays as it is */) /* a task ended on this stack, or overflowed its own: start afresh */
        atomic_store_explicit(&mt_sched_here()->current, NULL, memory_order_relaxed);
    loop(mt_sched_here());
    s = mt_sched_here();
    if (host && host->leave) host->leave(host->context, s->id);
    mt_segv_thread_end(alt_stack);
    mt_context_fini(&s->base);
    mt_sched_set_here(NULL);
    return NULL;
}

/* --------------------------------------------------------------------------------------------------- life and death */

mote_err mt_sched_new(struct mt_cluster *c, struct mt_stacks *stacks, unsigned id, bool outside, struct mt_sched **sched) {
    struct mt_sched *s = mt_os_alloc_aligned(64, sizeof *s);
    if (!s) return MOTE_ENOMEM;
    memset(s, 0, sizeof *s);
    s->id = id;
    s->outside = outside;
    s->alone = !outside && c->count == 1;
    s->cluster = c;
    s->random = (mt_os_random() ^ ((uint64_t)id << 32)) | 1;
    atomic_store(&s->wheel_next_ns, MT_NEVER);
    atomic_store(&s->watch_fd, -1);
    mt_lock_init(&s->wheel_mu, MT_RANK_WHEEL);
    s->now_ns = mt_os_now_ns();
    mt_wheel_init(&s->wheel, s->now_ns);
    mt_cache_init(&s->cache, c->depot);
    mt_stack_cache_init(&s->stacks, stacks);
    *sched = s;
    return MOTE_OK;
}

void mt_sched_free(struct mt_sched *s) {
    MT_ASSERT(!s->left && !s->picked && !atomic_load(&s->lifo));
    mt_stack_cache_fini(&s->stacks);
    mt_cache_fini(&s->cache);
    mt_lock_fini(&s->wheel_mu);
    mt_os_free(s);
}

mote_err mt_cluster_start(struct mt_cluster *c) {
    char name[16] = "mote-";
    mote_err err = MOTE_OK;
    unsigned n = 0;
    for (; n < c->count && !err; n++) {
        unsigned digit = n;
        name[5] = (char)('0' + digit / 100 % 10), name[6] = (char)('0' + digit / 10 % 10), name[7] = (char)('0' + digit % 10);
        err = mt_os_thread_start(&c->scheds[n]->thread, scheduler, c->scheds[n], name);
        if (err) break;
    }
    if (!err) err = mt_watchdog_start(c);
    if (!err) return MOTE_OK;
    unsigned all = c->count;
    atomic_store(&c->stopping, true);
    for (unsigned i = 0; i < n && i < all; i++) {
        while (wake_one(c))
            ;
        mt_os_thread_join(c->scheds[i]->thread);
    }
    return err;
}

void mt_cluster_stop(struct mt_cluster *c) {
    atomic_store(&c->stopping, true);
    mt_fence();
    mt_watchdog_stop(c);
    for (unsigned i = 0; i < c->count; i++) {
        while (wake_one(c))
            ;
        mt_os_thread_join(c->scheds[i]->thread);
    }
}
