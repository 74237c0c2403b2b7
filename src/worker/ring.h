/* SPDX-License-Identifier: Apache-2.0
 * A ring of records in memory that two OS processes share: one producer, one consumer, no lock.
 *
 * Each end belongs to one thread at a time. Nothing here blocks or calls the system.
 * R1 a record is written whole, then published by one store of `tail`: whenever either side dies, each record is there whole or not at all.
 * R2 an end keeps its own index privately; the other's is read once, checked, then used. What the other side could not rightly have written cuts
 *    the ring for good: a ring that is cut holds and takes no more records.
 * R3 the consumer copies: what is read from shared memory is used once.
 * R4 no loop is as long as the other side likes: a call looks at one record, and at one padding before it.
 * R5 records are 8-aligned, have MT_RING_RECORD_MAX(capacity) bytes at most, and lie in one piece: what is left before the end is padded.
 * R6 `needs_room` is set by a producer that is about to sleep and cleared by a consumer that wakes it: as with doorbells (doorbell.h) each writes, fences,
 *    and looks, so one sees the other. Half the ring free is room for any record.
 */
#ifndef MT_WORKER_RING_H
#define MT_WORKER_RING_H

#include <string.h>

#include "base/atomic.h"
#include "base/os.h"

#define MT_RING_CAPACITY_MIN 1024u
#define MT_RING_CAPACITY_MAX ((size_t)1 << 30)
#define MT_RING_RECORD_MAX(capacity) ((capacity) / 4 - 8) /* R5 */
#define MT_RING_PREFETCH 256u

/* What lies in front of the bytes. Lines in pairs, as processors fetch them. */
struct mt_ring_shared { /* MT_SHARED */
    _Alignas(128) _Atomic uint64_t tail;       /* atomic: release by the producer, acquire by the consumer: bytes published since the start */
    _Alignas(128) _Atomic uint64_t head;       /* atomic: release by the consumer, acquire by the producer: bytes given back */
    _Alignas(128) _Atomic uint32_t needs_room; /* atomic: R6 */
};

/* Bytes of memory that a ring takes. */
static inline size_t mt_ring_bytes(size_t capacity) { return sizeof(struct mt_ring_shared) + capacity; }

struct mt_ring_out {
    struct mt_ring_shared *shared;
    char *data;
    uint64_t mask;     /* capacity - 1 */
    uint64_t tail;     /* where the next record begins; those before it are written */
    uint64_t published;
    uint64_t head;     /* as read last, checked */
    uint64_t reserved; /* bytes of the record that is being written, with its header; 0: none */
    bool cut;          /* R2 */
};

struct mt_ring_in {
    struct mt_ring_shared *shared;
    const char *data;
    uint64_t mask;
    uint64_t head;     /* where the record after the present one begins */
    uint64_t limit;    /* records up to here are taken without looking at anything shared: <= tail */
    uint64_t tail;     /* as read last, checked */
    uint64_t released; /* head as the producer knows it */
    uint64_t told;     /* head as it was when R6 was looked at */
    uint64_t at, left; /* of the present record: the next byte, and how many there are */
    bool cut;
};

/* A record's header: the size of what follows it. Padding has a size with MT_RING_PADDING. */
#define MT_RING_PADDING ((uint64_t)1 << 63)
static inline _Atomic uint64_t *mt_ring_word(const char *data, uint64_t at) {
    return (_Atomic uint64_t *)(uintptr_t)(data + at);
}

enum mt_ring_got { MT_RING_EMPTY, MT_RING_RECORD, MT_RING_CUT };

/* Makes an empty ring in mt_ring_bytes(capacity) bytes of zeroed, 128-aligned memory that the other side does not use yet. The capacity is a power of two
 * within the limits; both sides know it from elsewhere. */
void mt_ring_init(void *memory, size_t capacity);
/* An end of the ring. Borrows the memory until the end is not used any more. Only the first producer and the first consumer of a ring may attach: there is no way to take
 * over a dead one's place. */
void mt_ring_attach_out(struct mt_ring_out *out, void *memory, size_t capacity);
void mt_ring_attach_in(struct mt_ring_in *in, void *memory, size_t capacity);

/* The slow half of mt_ring_reserve(). */
void *mt_ring_reserve_more(struct mt_ring_out *out, uint64_t need);
/* Whether there is room for a record of `max` bytes, having read `head` again, for one that is about to sleep until there is: when there is
 * not, the consumer will say so (mt_ring_release()). Everything must have been published. */
bool mt_ring_wants_room(struct mt_ring_out *out, size_t max);
/* The next record of mt_ring_next(), slowly. */
enum mt_ring_got mt_ring_next_more(struct mt_ring_in *in, size_t *size);
/* Gives the room of all records before the present one back; whether the producer sleeps for want of it and has now to be woken (by its doorbell). To be called
 * after each handful of records and before sleeping. */
bool mt_ring_release(struct mt_ring_in *in);

/* Room for a record of up to `max` bytes (<= MT_RING_RECORD_MAX), to be written at will and then committed. Borrowed until then. NULL: the ring is
 * full, or cut. An earlier room that was not committed is forgotten. */
static inline void *mt_ring_reserve(struct mt_ring_out *out, size_t max) {
    MT_ASSERT(max <= MT_RING_RECORD_MAX(out->mask + 1)); /* R5 */
    uint64_t need = ((uint64_t)max + 15) & ~(uint64_t)7, at = out->tail & out->mask;
    if (mt_unlikely(need > out->mask + 1 - at || out->tail + need - out->head > out->mask + 1 || out->cut)) return mt_ring_reserve_more(out, need);
    out->reserved = need;
    mt_prefetch_write(out->data + ((at + MT_RING_PREFETCH) & out->mask));
    return out->data + at + 8;
}

/* The record has `size` bytes, no more than were reserved. Only mt_ring_publish() shows it to the consumer. */
static inline void mt_ring_commit(struct mt_ring_out *out, size_t size) {
    uint64_t need = ((uint64_t)size + 15) & ~(uint64_t)7;
    MT_ASSERT(out->reserved && need <= out->reserved);
    atomic_store_explicit(mt_ring_word(out->data, out->tail & out->mask), size, memory_order_relaxed);
    out->tail += need;
    out->reserved = 0;
}

/* Shows what has been committed to the consumer, which then has to be woken if it sleeps (doorbell.h); whether there was anything. R1 */
static inline bool mt_ring_publish(struct mt_ring_out *out) {
    if (out->published == out->tail) return false;
    out->published = out->tail;
    atomic_store_explicit(&out->shared->tail, out->tail, memory_order_release);
    return true;
}

/* Goes to the next record, past what is left of the present one; its size. */
static inline enum mt_ring_got mt_ring_next(struct mt_ring_in *in, size_t *size) {
    uint64_t at = in->head & in->mask, left = in->limit - in->head;
    if (mt_unlikely(left < 8)) return mt_ring_next_more(in, size);
    uint64_t header = atomic_load_explicit(mt_ring_word(in->data, at), memory_order_relaxed); /* R3 */
    if (mt_unlikely(header > left - 8 || header > (in->mask + 1) / 4 - 8 || header > in->mask + 1 - at - 8)) return mt_ring_next_more(in, size);
    __builtin_prefetch(in->data + ((at + MT_RING_PREFETCH) & in->mask));
    in->at = at + 8;
    in->left = header;
    in->head += (header + 15) & ~(uint64_t)7;
    *size = header;
    return MT_RING_RECORD;
}

/* Copies the next `count` bytes of the present record; false, and nothing, when fewer are left. */
static inline bool mt_ring_read(struct mt_ring_in *in, void *into, size_t count) {
    if (count > in->left) return false;
    memcpy(into, in->data + in->at, count);
    in->at += count;
    in->left -= count;
    return true;
}

/* Whether something has come that has not been taken. Reads shared memory once; what it says is only a hint. */
static inline bool mt_ring_waits(const struct mt_ring_in *in) {
    return !in->cut && atomic_load_explicit(&in->shared->tail, memory_order_acquire) != in->head;
}

/* Bytes of the present record that have not been read. */
static inline size_t mt_ring_left(const struct mt_ring_in *in) { return in->left; }

#endif
