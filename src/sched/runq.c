/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/runq.h"

#include <string.h>

void mt_injector_init(struct mt_injector *q) {
    memset(q, 0, sizeof *q);
    mt_lock_init(&q->mu, MT_RANK_INJECT);
}

void mt_injector_fini(struct mt_injector *q) {
    for (int p = 0; p < MT_LANES; p++) mt_os_free(q->tasks[p]);
    mt_lock_fini(&q->mu);
}

static void unroll(const struct mt_injector *q, int priority, struct mt_task **to) {
    for (size_t i = 0; i < q->count[priority]; i++)
        to[i] = q->tasks[priority][(q->first[priority] + i) & (q->room - 1)];
}

mote_err mt_injector_reserve(struct mt_injector *q, size_t tasks) {
    struct mt_task **bigger[MT_LANES] = {0};
    size_t room = 1024;
    while (room < tasks) room *= 2;
    if (room <= q->room) return MOTE_OK; /* only the process table grows it, under its own lock */
    for (int p = 0; p < MT_LANES; p++)
        if (!(bigger[p] = mt_os_alloc(room * sizeof *bigger[p]))) goto fail;
    mt_lock_take(&q->mu);
    for (int p = 0; p < MT_LANES; p++) {
        unroll(q, p, bigger[p]);
        struct mt_task **old = q->tasks[p];
        q->tasks[p] = bigger[p];
        bigger[p] = old;
        q->first[p] = 0;
    }
    q->room = room;
    mt_lock_drop(&q->mu);
    for (int p = 0; p < MT_LANES; p++) mt_os_free(bigger[p]);
    return MOTE_OK;
fail:
    for (int p = 0; p < MT_LANES; p++) mt_os_free(bigger[p]);
    return MOTE_ENOMEM;
}

void mt_injector_push(struct mt_injector *q, int lane, struct mt_task *const *tasks, size_t count) {
    mt_lock_take(&q->mu);
    MT_ASSERT(q->count[lane] + count <= q->room); /* I3 */
    for (size_t i = 0; i < count; i++) q->tasks[lane][(q->first[lane] + q->count[lane] + i) & (q->room - 1)] = tasks[i];
    q->count[lane] += count;
    if (lane == MT_LANE_FRESH) atomic_store_explicit(&q->fresh, q->count[lane], memory_order_relaxed);
    atomic_fetch_add_explicit(&q->waiting, count, memory_order_seq_cst);
    mt_lock_drop(&q->mu);
}

static const int by_rank[MT_LANES] = {MOTE_HIGH, MOTE_NORMAL, MT_LANE_FRESH, MOTE_LOW};

/* The lane to take from; -1: all of those are empty. */
static int choose_locked(struct mt_injector *q, unsigned lanes) {
    if (++q->pops % MT_LOW_EVERY == 0 && q->count[MOTE_LOW] && (lanes >> MOTE_LOW & 1)) return MOTE_LOW;
    for (int i = 0; i < MT_LANES; i++)
        if (q->count[by_rank[i]] && (lanes >> by_rank[i] & 1)) return by_rank[i];
    return -1;
}

size_t mt_injector_pop(struct mt_injector *q, unsigned lanes, struct mt_task **tasks, size_t max) {
    size_t n = 0;
    if (atomic_load_explicit(&q->waiting, memory_order_relaxed) == 0) return 0;
    mt_lock_take(&q->mu);
    int lane = choose_locked(q, lanes);
    if (lane >= 0) {
        n = q->count[lane] < max ? q->count[lane] : max;
        for (size_t k = 0; k < n; k++) tasks[k] = q->tasks[lane][(q->first[lane] + k) & (q->room - 1)];
        q->first[lane] = (q->first[lane] + n) & (q->room - 1);
        q->count[lane] -= n;
        if (lane == MT_LANE_FRESH) atomic_store_explicit(&q->fresh, q->count[lane], memory_order_relaxed);
        atomic_fetch_sub_explicit(&q->waiting, n, memory_order_seq_cst);
    }
    mt_lock_drop(&q->mu);
    return n;
}

uint32_t mt_ring_steal(struct mt_ring *ring, struct mt_task **tasks, uint32_t max) {
    for (;;) {
        uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        uint32_t n = atomic_load_explicit(&ring->tail, memory_order_acquire) - head;
        if (n > MT_RING) continue; /* head is old: read again */
        n -= n / 2;
        if (n > max) n = max;
        if (n == 0) return 0;
        for (uint32_t i = 0; i < n; i++)
            tasks[i] = atomic_load_explicit(&ring->tasks[(head + i) % MT_RING], memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(&ring->head, &head, head + n, memory_order_acq_rel, memory_order_relaxed))
            return n;
    }
}

uint32_t mt_fresh_steal(struct mt_fresh *fresh, struct mt_task **tasks, uint32_t max) {
    uint64_t range = atomic_load_explicit(&fresh->range, memory_order_acquire), next;
    uint32_t n;
    do {
        n = mt_fresh_size(range);
        n -= n / 2;
        if (n > max) n = max;
        if (n == 0) return 0;
        for (uint32_t i = 0; i < n; i++)
            tasks[i] = atomic_load_explicit(&fresh->tasks[(mt_fresh_head(range) + i) % MT_RING], memory_order_relaxed);
        next = mt_fresh_range(range >> 25, mt_fresh_size(range) - n, mt_fresh_head(range) + n);
    } while (!atomic_compare_exchange_weak_explicit(&fresh->range, &range, next, memory_order_acq_rel, memory_order_acquire));
    return n;
}
