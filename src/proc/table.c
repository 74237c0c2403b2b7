/* SPDX-License-Identifier: Apache-2.0
 * The process table. A chunk is owned by the scheduler that takes slots from it, listed when it has slots to spare, or full. Freed
 * slots go onto their chunk's stack; the owner takes the whole stack over when its own list is empty. Serials start anew above
 * serial_base when a chunk's memory was given back, so no pid is ever used twice (law L6). */
#include <string.h>

#include "proc/proc.h"

enum { FULL, OWNED, LISTED };
#define LIST_AT (MT_CHUNK_SLOTS / 4)
#define WHOLE_KEEP 4u /* chunks without a process that keep their memory */
#define SERIAL_MAX (((uint64_t)1 << MT_PID_SERIAL_BITS) - 1)
#define POPULATE 256u /* slots whose memory is fetched together, but for a runtime's first ones */
#define SLOTS_BYTES (MT_CHUNK_SLOTS * sizeof(struct mt_proc))

static size_t directory_bytes(const struct mt_table *t) {
    size_t page = mt_os_page_size();
    return (t->chunk_max * sizeof *t->chunks + page - 1) / page * page;
}

mote_err mt_table_init(struct mt_table *t, size_t processes_max) {
    uint64_t own = t->own;
    memset(t, 0, sizeof *t);
    t->own = own;
    size_t chunks = 2 * processes_max / MT_CHUNK_SLOTS + MT_SCHEDS_MAX + 1;
    size_t limit = ((size_t)1 << MT_PID_INDEX_BITS) / MT_CHUNK_SLOTS;
    t->chunk_max = (uint32_t)(chunks < limit ? chunks : limit);
    t->chunks = mt_os_map(directory_bytes(t));
    if (!t->chunks) return MOTE_ENOMEM;
    mt_lock_init(&t->mu, MT_RANK_TABLE);
    return MOTE_OK;
}

void mt_table_fini(struct mt_table *t) {
    if (!t->chunks) return;
    for (uint32_t i = 0; i < atomic_load(&t->chunk_count); i++) {
        mt_os_unmap(t->chunks[i]->slots, SLOTS_BYTES);
        mt_os_free(t->chunks[i]);
    }
    mt_os_unmap(t->chunks, directory_bytes(t));
    mt_lock_fini(&t->mu);
}

static mote_err new_chunk_locked(mote_runtime *rt, struct mt_chunk **chunk) {
    struct mt_table *t = &rt->table;
    uint32_t n = atomic_load_explicit(&t->chunk_count, memory_order_relaxed);
    if (n == t->chunk_max) return MOTE_ELIMIT;
    if (mt_injector_reserve(&rt->cluster.injector, ((size_t)n + 1) * MT_CHUNK_SLOTS)) return MOTE_ENOMEM;
    struct mt_chunk *c = mt_os_alloc_zero(sizeof *c);
    if (!c) return MOTE_ENOMEM;
    c->slots = mt_os_map(SLOTS_BYTES);
    if (!c->slots) {
        mt_os_free(c);
        return MOTE_ENOMEM;
    }
    c->first = n * MT_CHUNK_SLOTS;
    atomic_store(&c->free_count, MT_CHUNK_SLOTS);
    t->chunks[n] = c;
    atomic_store_explicit(&t->chunk_count, n + 1, memory_order_release);
    *chunk = c;
    return MOTE_OK;
}

static mote_err own_chunk(mote_runtime *rt, struct mt_sched *s) {
    struct mt_table *t = &rt->table;
    mote_err err = MOTE_OK;
    mt_lock_take(&t->mu);
    struct mt_chunk *c = t->available;
    if (c) {
        t->available = c->next;
        if (c->whole) t->available_whole--;
        c->whole = 0;
    } else {
        err = new_chunk_locked(rt, &c);
    }
    if (!err) {
        atomic_store(&c->state, OWNED);
        s->chunk = c;
    }
    mt_lock_drop(&t->mu);
    return err;
}

/* Gives the memory of a chunk without processes back. Its slots' serials go on above the highest one used. */
static void decommit_locked(struct mt_chunk *c) {
    for (uint32_t i = 0; i < c->touched; i++) {
        uint64_t serial = mt_serial(&c->slots[i]);
        if (serial > c->serial_base) c->serial_base = serial;
    }
    if (c->serial_base >= SERIAL_MAX - 1) return; /* keeps its slots, which retire one by one */
    atomic_store(&c->freed, 0);
    c->local = c->touched = 0;
    mt_os_decommit(c->slots, SLOTS_BYTES);
}

/* Puts a chunk that nobody owns into the list when it has enough free slots, and keeps few whole ones in memory. */
static void consider(struct mt_table *t, struct mt_chunk *c) {
    mt_lock_take(&t->mu);
    uint32_t n = atomic_load(&c->free_count);
    if (atomic_load(&c->state) == FULL && n >= LIST_AT) {
        atomic_store(&c->state, LISTED);
        c->next = t->available;
        t->available = c;
    }
    if (atomic_load(&c->state) == LISTED && n == MT_CHUNK_SLOTS && !c->whole && c->touched) {
        if (t->available_whole < WHOLE_KEEP) {
            c->whole = 1;
            t->available_whole++;
        } else {
            decommit_locked(c);
        }
    }
    mt_lock_drop(&t->mu);
}

void mt_table_release_chunk(mote_runtime *rt, struct mt_sched *s) {
    struct mt_chunk *c = s->chunk;
    if (!c) return;
    s->chunk = NULL;
    mt_lock_take(&rt->table.mu);
    atomic_store(&c->state, FULL);
    mt_lock_drop(&rt->table.mu);
    consider(&rt->table, c);
}

/* A free slot of the chunk the scheduler owns; NULL when it has none. */
static struct mt_proc *pop(struct mt_chunk *c) {
    struct mt_proc *p;
    if (!c->local) c->local = atomic_exchange_explicit(&c->freed, 0, memory_order_acquire);
    if (c->local) {
        p = &c->slots[c->local - 1];
        c->local = p->queued;
    } else if (c->touched < MT_CHUNK_SLOTS) {
        p = &c->slots[c->touched];
        if (c->touched % POPULATE == 0 && (c->first || c->touched)) mt_os_populate(p, POPULATE * sizeof *p);
        p->index = c->first + c->touched++;
        mt_pair_set(&p->inbox, MT_IN_CLOSED, c->serial_base);
    } else {
        return NULL;
    }
    atomic_fetch_sub_explicit(&c->free_count, 1, memory_order_relaxed);
    return p;
}

static mote_err reserve_room(mote_runtime *rt, struct mt_sched *s) {
    if (s->quota > 0) {
        s->quota--;
        return MOTE_OK;
    }
    int64_t room = atomic_load_explicit(&rt->room, memory_order_relaxed), taken;
    do {
        if (room <= 0) return MOTE_ELIMIT;
        taken = room < rt->quota_batch ? room : rt->quota_batch;
    } while (!atomic_compare_exchange_weak_explicit(&rt->room, &room, room - taken, memory_order_relaxed, memory_order_relaxed));
    s->quota = taken - 1;
    return MOTE_OK;
}

static void return_room(mote_runtime *rt, struct mt_sched *s) {
    int64_t keep = rt->quota_batch > 1 ? 2 * rt->quota_batch : 0;
    if (++s->quota <= keep) return;
    atomic_fetch_add_explicit(&rt->room, s->quota - keep / 2, memory_order_relaxed);
    s->quota = keep / 2;
}

mote_err mt_table_take(mote_runtime *rt, struct mt_sched *s, struct mt_proc **proc) {
    mote_err err = reserve_room(rt, s);
    if (err) return err;
    for (;;) {
        struct mt_proc *p = s->chunk ? pop(s->chunk) : NULL;
        if (p && mt_serial(p) < SERIAL_MAX) {
            MT_ASSERT(atomic_load_explicit(&p->inbox.low, memory_order_relaxed) & MT_IN_CLOSED);
            mt_pair_set(&p->inbox, MT_IN_CLOSED, mt_serial(p) + 1);
            *proc = p;
            return MOTE_OK;
        }
        if (p) continue; /* its serials are used up: the slot is never used again */
        mt_table_release_chunk(rt, s);
        if ((err = own_chunk(rt, s))) break;
    }
    return_room(rt, s);
    return err;
}

void mt_table_give(mote_runtime *rt, struct mt_proc *p) {
    struct mt_chunk *c = rt->table.chunks[p->index / MT_CHUNK_SLOTS];
    uint32_t position = p->index - c->first + 1;
    uint32_t head = atomic_load_explicit(&c->freed, memory_order_relaxed);
    return_room(rt, p->task.sched);
    do
        p->queued = head;
    while (!atomic_compare_exchange_weak_explicit(&c->freed, &head, position, memory_order_release, memory_order_relaxed));
    uint32_t n = atomic_fetch_add_explicit(&c->free_count, 1, memory_order_acq_rel) + 1;
    uint32_t state = atomic_load_explicit(&c->state, memory_order_relaxed);
    if ((state == FULL && n == LIST_AT) || (state != OWNED && n == MT_CHUNK_SLOTS)) consider(&rt->table, c);
}

mote_err mt_list(mote_runtime *rt, mote_pid *pids, size_t capacity, size_t *count) {
    uint32_t chunks = atomic_load_explicit(&rt->table.chunk_count, memory_order_acquire);
    size_t n = 0;
    for (uint32_t i = 0; i < chunks; i++) {
        struct mt_chunk *c = rt->table.chunks[i];
        if (atomic_load(&c->free_count) == MT_CHUNK_SLOTS) continue;
        for (uint32_t k = 0; k < MT_CHUNK_SLOTS; k++) {
            struct mt_proc *p = &c->slots[k];
            uint64_t serial = atomic_load_explicit(&p->inbox.high, memory_order_acquire);
            if (serial == 0 || (atomic_load_explicit(&p->inbox.low, memory_order_acquire) & MT_IN_CLOSED)) continue;
            if (n < capacity) pids[n] = (mote_pid){mt_pid_of(rt, c->first + k, serial)};
            n++;
        }
    }
    *count = n;
    return MOTE_OK;
}
