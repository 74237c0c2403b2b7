/* SPDX-License-Identifier: Apache-2.0
 * Run queues: a ring per scheduler and priority, one for tasks that have not begun, and the runtime's overflow queue, both arrays of pointers.
 *
 * A ring has one owner (push, pop) and many thieves (steal). The injector is shared (lock INJECT).
 * I1 a task is in at most one queue (law L4). I2 head <= tail <= head + MT_RING. I3 the injector has room for every task that exists,
 * so that pushing never fails: room is reserved when tasks are made.
 */
#ifndef MT_SCHED_RUNQ_H
#define MT_SCHED_RUNQ_H

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"

#define MT_RING 256u
#define MT_PRIORITIES 3 /* as mote_priority: normal, high, low */
#define MT_LANE_FRESH 3 /* of the injector: tasks of normal priority that have not begun and had no room in a scheduler's queue */
#define MT_LANES 4
#define MT_LOW_EVERY 8u /* picks: how often low goes before normal, so that it goes on at all */

struct mt_task;

struct mt_ring { /* MT_SHARED */
    _Alignas(64) _Atomic uint32_t head;         /* atomic: acq_rel by whoever takes; pairs with pop(), steal() */
    _Alignas(64) _Atomic uint32_t tail;         /* atomic: release by the owner; pairs with steal() */
    _Atomic(struct mt_task *) tasks[MT_RING];   /* atomic: relaxed, ordered by head and tail */
};

/* Tasks that have not begun: the owner takes the newest, thieves the oldest. So what has begun is finished before more is begun (few stacks
 * are in use, and hot ones), and who steals gets large pieces of work. */
struct mt_fresh { /* MT_SHARED */
    _Alignas(64) _Atomic uint64_t range;      /* atomic: acq_rel: version, size, head; who changes it owns what it took */
    _Atomic(struct mt_task *) tasks[MT_RING]; /* atomic: relaxed, ordered by range; written by the owner */
};

struct mt_injector { /* MT_SHARED */
    struct mt_lock mu;
    struct mt_task **tasks[MT_LANES]; /* lock: mu; circular, `room` long */
    size_t first[MT_LANES];           /* lock: mu */
    size_t count[MT_LANES];           /* lock: mu */
    size_t room;                           /* lock: mu; a power of two, or 0 */
    uint32_t pops;                         /* lock: mu */
    _Atomic size_t fresh;                  /* atomic: relaxed hint: those in the lane MT_LANE_FRESH */
    _Atomic size_t waiting;                /* atomic: relaxed hint, seq_cst when parking */
};

void mt_injector_init(struct mt_injector *injector);
void mt_injector_fini(struct mt_injector *injector);
/* Makes room for `tasks` tasks in each lane. MOTE_ENOMEM. Any thread. */
mote_err mt_injector_reserve(struct mt_injector *injector, size_t tasks);
/* Appends to a lane: a priority, or MT_LANE_FRESH. Cannot fail (I3). Any thread. */
void mt_injector_push(struct mt_injector *injector, int lane, struct mt_task *const *tasks, size_t count);
/* Takes up to `max` tasks of one lane, the highest that has any (every MT_LOW_EVERY-th time the lowest), of those in `lanes` (bit i: lane
 * i); gives their number. Any thread. */
#define MT_LANES_BEGUN ((1u << MOTE_HIGH) | (1u << MOTE_NORMAL) | (1u << MOTE_LOW))
#define MT_LANES_ALL (MT_LANES_BEGUN | 1u << MT_LANE_FRESH)
size_t mt_injector_pop(struct mt_injector *injector, unsigned lanes, struct mt_task **tasks, size_t max);

/* Tasks in the ring, as far as can be told from outside. */
static inline uint32_t mt_ring_count(struct mt_ring *ring) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t n = atomic_load_explicit(&ring->tail, memory_order_acquire) - head;
    return n <= MT_RING ? n : 0; /* a head read long ago */
}

/* Appends; false when full. Owner. */
static inline bool mt_ring_push(struct mt_ring *ring, struct mt_task *task) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (mt_unlikely(tail - head >= MT_RING)) return false;
    atomic_store_explicit(&ring->tasks[tail % MT_RING], task, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* Takes the oldest; NULL when empty. Owner. */
static inline struct mt_task *mt_ring_pop(struct mt_ring *ring) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    while (head != tail) {
        struct mt_task *task = atomic_load_explicit(&ring->tasks[head % MT_RING], memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(&ring->head, &head, head + 1, memory_order_acq_rel, memory_order_acquire)) return task;
    }
    return NULL;
}

/* The n-th oldest (from 0), if there are so many; a hint: it may be taken by others meanwhile. Owner. */
static inline struct mt_task *mt_ring_peek(struct mt_ring *ring, uint32_t n) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (atomic_load_explicit(&ring->tail, memory_order_relaxed) - head - 1 < n) return NULL;
    return atomic_load_explicit(&ring->tasks[(head + n) % MT_RING], memory_order_relaxed);
}

static inline uint32_t mt_fresh_head(uint64_t range) { return (uint32_t)(range & 0xffff); }
static inline uint32_t mt_fresh_size(uint64_t range) { return (uint32_t)(range >> 16 & 0x1ff); }
static inline uint64_t mt_fresh_range(uint64_t version, uint32_t size, uint32_t head) {
    return version << 25 | (uint64_t)size << 16 | (head & 0xffff);
}
static inline uint32_t mt_fresh_count(struct mt_fresh *fresh) {
    return mt_fresh_size(atomic_load_explicit(&fresh->range, memory_order_acquire));
}

/* Adds the newest; false when full. Owner. Each push has a version of its own (39 bits): a thief that has read a slot cannot mistake a
 * later range for the one it read. */
static inline bool mt_fresh_push(struct mt_fresh *fresh, struct mt_task *task) {
    uint64_t range = atomic_load_explicit(&fresh->range, memory_order_relaxed), next;
    do {
        uint32_t size = mt_fresh_size(range), head = mt_fresh_head(range);
        if (mt_unlikely(size >= MT_RING)) return false;
        atomic_store_explicit(&fresh->tasks[(head + size) % MT_RING], task, memory_order_relaxed);
        next = mt_fresh_range((range >> 25) + 1, size + 1, head);
    } while (!atomic_compare_exchange_weak_explicit(&fresh->range, &range, next, memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Takes the newest; NULL when empty. Owner. */
static inline struct mt_task *mt_fresh_pop(struct mt_fresh *fresh) {
    uint64_t range = atomic_load_explicit(&fresh->range, memory_order_relaxed), next;
    uint32_t last;
    do {
        uint32_t size = mt_fresh_size(range), head = mt_fresh_head(range);
        if (size == 0) return NULL;
        last = (head + size - 1) % MT_RING;
        next = mt_fresh_range(range >> 25, size - 1, head);
    } while (!atomic_compare_exchange_weak_explicit(&fresh->range, &range, next, memory_order_acq_rel, memory_order_relaxed));
    return atomic_load_explicit(&fresh->tasks[last], memory_order_relaxed);
}

/* Takes the older half, at most `max`, into `tasks`; gives how many. The owner too. */
uint32_t mt_fresh_steal(struct mt_fresh *fresh, struct mt_task **tasks, uint32_t max);

/* Takes the older half, at most `max`, into `tasks`; gives how many. The owner too, when it spills. */
uint32_t mt_ring_steal(struct mt_ring *ring, struct mt_task **tasks, uint32_t max);

#endif
