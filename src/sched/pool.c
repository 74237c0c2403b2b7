/* SPDX-License-Identifier: Apache-2.0
 * Threads for calls that block: see pool.h.
 *
 * P1 a job waits in the queue only while no thread is idle. P2 who takes a worker off the idle list sets its word, and the worker goes on
 * only when it has seen that: until then the worker exists. P3 a thread that ends joins the one that ended before it; mt_pool_stop() joins
 * the last: every thread is joined, and only by one that has nothing to do. */
#include "sched/pool.h"

struct worker {
    struct mt_pool *pool;   /* const */
    pthread_t thread;       /* owner: itself; after its end who joins it */
    struct worker *next;    /* lock: the pool's: in the idle list */
    struct mt_job *job;     /* lock: the pool's: handed to it, or NULL */
    _Atomic uint32_t woken; /* atomic: release in wake(), acquire in doze(): taken off the idle list */
};

struct mt_pool { /* MT_SHARED */
    unsigned threads_max;    /* const */
    uint64_t idle_ns;        /* const */
    struct mt_lock mu;
    struct mt_job *queue;    /* lock: mu: oldest first */
    struct mt_job **end;     /* lock: mu */
    struct worker *idle;     /* lock: mu: newest first, so that what is too many becomes idle for long */
    struct worker *ended;    /* lock: mu: the last that ended, not joined yet */
    unsigned threads;        /* lock: mu: running or being started */
    size_t busy;             /* lock: mu */
    bool closing;            /* lock: mu */
    _Atomic uint32_t empty;  /* atomic: release in leave(), acquire in mt_pool_stop(): closing, and no thread is left */
};

static void enqueue_locked(struct mt_pool *pool, struct mt_job *job) {
    job->next = NULL;
    *pool->end = job;
    pool->end = &job->next;
}

static struct mt_job *dequeue_locked(struct mt_pool *pool) {
    struct mt_job *job = pool->queue;
    if (!job) return NULL;
    pool->queue = job->next;
    if (!pool->queue) pool->end = &pool->queue;
    return job;
}

static struct worker *take_idle_locked(struct mt_pool *pool, struct mt_job *job) {
    struct worker *worker = pool->idle;
    if (!worker) return NULL;
    MT_ASSERT(!worker->job && !pool->queue); /* P1 */
    pool->idle = worker->next;
    worker->job = job;
    return worker;
}

/* Without the lock. The worker may be gone after the store: its address alone is used then. */
static void wake(struct worker *worker) {
    _Atomic uint32_t *word = &worker->woken;
    atomic_store_explicit(word, 1, memory_order_release);
    mt_os_futex_wake(word, 1);
}

/* ---------------------------------------------------------------------------------------------------- the threads */

/* Whether the worker was on the idle list, and no longer is. */
static bool give_up_locked(struct mt_pool *pool, struct worker *worker) {
    for (struct worker **at = &pool->idle; *at; at = &(*at)->next) {
        if (*at != worker) continue;
        *at = worker->next;
        return true;
    }
    return false;
}

/* Waits for work; false: for too long. Enters and leaves with the lock. */
static bool doze_locked(struct mt_pool *pool, struct worker *worker) {
    uint64_t now = mt_os_now_ns(), limit = pool->idle_ns < MT_NEVER - now ? now + pool->idle_ns : MT_NEVER;
    atomic_store_explicit(&worker->woken, 0, memory_order_relaxed);
    worker->next = pool->idle;
    pool->idle = worker;
    mt_lock_drop(&pool->mu);
    for (; now < limit && !atomic_load_explicit(&worker->woken, memory_order_acquire); now = mt_os_now_ns())
        mt_os_futex_wait(&worker->woken, 0, limit == MT_NEVER ? MT_NEVER : limit - now);
    mt_lock_take(&pool->mu);
    if (give_up_locked(pool, worker)) return false;
    mt_lock_drop(&pool->mu);
    while (!atomic_load_explicit(&worker->woken, memory_order_acquire)) /* P2 */
        mt_os_futex_wait(&worker->woken, 0, MT_NEVER);
    mt_lock_take(&pool->mu);
    return true;
}

/* Runs a job. Enters and leaves with the lock. I1 */
static void run_locked(struct mt_pool *pool, struct mt_job *job) {
    mt_lock_drop(&pool->mu);
    mt_lock_assert_none();
    job->run(job->context);
    job->done(job);
    mt_lock_take(&pool->mu);
    MT_ASSERT(pool->busy > 0);
    pool->busy--;
}

/* The end of a thread; drops the lock. P3 */
static void leave_locked(struct mt_pool *pool, struct worker *worker) {
    struct worker *before = pool->ended;
    _Atomic uint32_t *empty = &pool->empty;
    MT_ASSERT(pool->threads > 0 && !worker->job);
    pool->ended = worker;
    bool last = --pool->threads == 0 && pool->closing;
    if (last) atomic_store_explicit(empty, 1, memory_order_release);
    mt_lock_drop(&pool->mu);
    if (before) mt_os_thread_join(before->thread);
    mt_os_free(before);
    if (last) mt_os_futex_wake(empty, 1); /* the pool may be gone: its address alone is used */
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct mt_pool *pool = worker->pool;
    worker->thread = pthread_self();
    mt_lock_take(&pool->mu);
    for (;;) {
        struct mt_job *job = worker->job ? worker->job : dequeue_locked(pool);
        worker->job = NULL;
        if (job) run_locked(pool, job);
        else if (pool->closing || !doze_locked(pool, worker)) break;
    }
    leave_locked(pool, worker);
    return NULL;
}

/* Starts a thread that begins with `job`. */
static mote_err worker_start(struct mt_pool *pool, struct mt_job *job) {
    pthread_t thread;
    struct worker *worker = mt_os_alloc_zero(sizeof *worker);
    if (!worker) return MOTE_ENOMEM;
    worker->pool = pool;
    worker->job = job;
    mote_err err = mt_os_thread_start(&thread, work, worker, "mote-pool");
    if (err) mt_os_free(worker);
    return err;
}

/* There is no new thread: a job that counts already goes to one of those that are there, if any; otherwise it is not accepted. */
static mote_err no_thread(struct mt_pool *pool, struct mt_job *job, mote_err err) {
    mt_lock_take(&pool->mu);
    bool alone = --pool->threads == 0;
    struct worker *worker = alone ? NULL : take_idle_locked(pool, job);
    if (alone) pool->busy--;
    else if (!worker) enqueue_locked(pool, job);
    mt_lock_drop(&pool->mu);
    if (worker) wake(worker);
    return alone ? err : MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------- contract */

struct mt_pool *mt_pool_new(unsigned threads_max, uint64_t idle_ns) {
    MT_ASSERT(threads_max > 0);
    struct mt_pool *pool = mt_os_alloc_zero(sizeof *pool);
    if (!pool) return NULL;
    pool->threads_max = threads_max;
    pool->idle_ns = idle_ns;
    pool->end = &pool->queue;
    mt_lock_init(&pool->mu, MT_RANK_POOL);
    return pool;
}

void mt_pool_stop(struct mt_pool *pool) {
    mt_lock_take(&pool->mu);
    MT_ASSERT(!pool->closing);
    pool->closing = true;
    struct worker *idle = pool->idle;
    bool empty = pool->threads == 0;
    pool->idle = NULL;
    mt_lock_drop(&pool->mu);
    for (struct worker *next; idle; idle = next) {
        next = idle->next;
        wake(idle);
    }
    while (!empty && !atomic_load_explicit(&pool->empty, memory_order_acquire)) mt_os_futex_wait(&pool->empty, 0, MT_NEVER);
    mt_lock_take(&pool->mu); /* after the last one has dropped it */
    MT_ASSERT(pool->busy == 0 && pool->threads == 0 && !pool->queue);
    struct worker *last = pool->ended;
    pool->ended = NULL;
    mt_lock_drop(&pool->mu);
    if (last) mt_os_thread_join(last->thread);
    mt_os_free(last);
}

void mt_pool_free(struct mt_pool *pool) {
    if (!pool->closing) mt_pool_stop(pool);
    mt_lock_fini(&pool->mu);
    mt_os_free(pool);
}

mote_err mt_pool_run(struct mt_pool *pool, struct mt_job *job) {
    MT_ASSERT(job->run && job->done);
    mt_lock_take(&pool->mu);
    if (pool->closing) {
        mt_lock_drop(&pool->mu);
        return MOTE_ESTOPPED;
    }
    struct worker *worker = take_idle_locked(pool, job);
    bool more = !worker && pool->threads < pool->threads_max;
    pool->busy++;
    if (more) pool->threads++;
    else if (!worker) enqueue_locked(pool, job);
    mt_lock_drop(&pool->mu);
    if (worker) wake(worker);
    mote_err err = more ? worker_start(pool, job) : MOTE_OK;
    return err ? no_thread(pool, job, err) : MOTE_OK;
}

size_t mt_pool_busy(struct mt_pool *pool) {
    mt_lock_take(&pool->mu);
    size_t busy = pool->busy;
    mt_lock_drop(&pool->mu);
    return busy;
}
