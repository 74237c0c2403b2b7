/* SPDX-License-Identifier: Apache-2.0
 * Rings between OS processes: the paths that are rarely taken. See ring.h. */
#include "worker/ring.h"

_Static_assert(sizeof(struct mt_ring_shared) % 128 == 0, "the bytes begin on a line of their own");

static void check_capacity(const void *memory, size_t capacity) {
    MT_ASSERT(capacity >= MT_RING_CAPACITY_MIN && capacity <= MT_RING_CAPACITY_MAX && (capacity & (capacity - 1)) == 0);
    MT_ASSERT(((uintptr_t)memory & 127) == 0);
}

void mt_ring_init(void *memory, size_t capacity) {
    struct mt_ring_shared *shared = memory;
    check_capacity(memory, capacity);
    atomic_init(&shared->tail, 0);
    atomic_init(&shared->head, 0);
    atomic_init(&shared->needs_room, 0);
}

void mt_ring_attach_out(struct mt_ring_out *out, void *memory, size_t capacity) {
    check_capacity(memory, capacity);
    *out = (struct mt_ring_out){.shared = memory, .data = (char *)memory + sizeof(struct mt_ring_shared), .mask = capacity - 1};
}

void mt_ring_attach_in(struct mt_ring_in *in, void *memory, size_t capacity) {
    check_capacity(memory, capacity);
    *in = (struct mt_ring_in){.shared = memory, .data = (char *)memory + sizeof(struct mt_ring_shared), .mask = capacity - 1};
}

/* ---------------------------------------------------------------------------------------------- producer */

/* Reads the consumer's index; whether the ring is whole. R2 */
static bool see_head(struct mt_ring_out *out) {
    uint64_t head = atomic_load_explicit(&out->shared->head, memory_order_acquire);
    if (head - out->head > out->published - out->head || head % 8) out->cut = true;
    if (out->cut) return false;
    out->head = head;
    return true;
}

static uint64_t padding(const struct mt_ring_out *out, uint64_t need) {
    uint64_t left = out->mask + 1 - (out->tail & out->mask);
    return need > left ? left : 0;
}

static bool fits(const struct mt_ring_out *out, uint64_t bytes) { return out->tail + bytes - out->head <= out->mask + 1; }

void *mt_ring_reserve_more(struct mt_ring_out *out, uint64_t need) {
    uint64_t pad = padding(out, need);
    out->reserved = 0;
    if (out->cut) return NULL;
    if (!fits(out, pad + need) && (!see_head(out) || !fits(out, pad + need))) return NULL;
    if (pad) atomic_store_explicit(mt_ring_word(out->data, out->tail & out->mask), (pad - 8) | MT_RING_PADDING, memory_order_relaxed);
    out->tail += pad;
    out->reserved = need;
    return out->data + (out->tail & out->mask) + 8;
}

bool mt_ring_wants_room(struct mt_ring_out *out, size_t max) {
    uint64_t need = ((uint64_t)max + 15) & ~(uint64_t)7;
    MT_ASSERT(max <= MT_RING_RECORD_MAX(out->mask + 1) && out->published == out->tail);
    atomic_store_explicit(&out->shared->needs_room, 1, memory_order_relaxed);
    mt_fence(); /* R6 */
    if (see_head(out) && !fits(out, padding(out, need) + need)) return false;
    atomic_store_explicit(&out->shared->needs_room, 0, memory_order_relaxed);
    return true; /* or the ring is cut: asking for room tells */
}

/* ---------------------------------------------------------------------------------------------- consumer */

static enum mt_ring_got cut(struct mt_ring_in *in) {
    in->cut = true;
    in->limit = in->head;
    return MT_RING_CUT;
}

/* Gives room back, and looks how far the producer is when all that was known has been taken; false: what it says is impossible. R2 */
static bool see_tail(struct mt_ring_in *in) {
    if (in->head != in->released) {
        in->released = in->head;
        atomic_store_explicit(&in->shared->head, in->head, memory_order_release);
    }
    if (in->head == in->tail) {
        uint64_t tail = atomic_load_explicit(&in->shared->tail, memory_order_acquire);
        if (tail - in->head > in->mask + 1 || tail % 8) return false;
        in->tail = tail;
    }
    uint64_t some = (in->mask + 1) / 4, known = in->tail - in->head; /* the producer gets room back before all has been taken */
    in->limit = in->head + (known < some ? known : some);
    return true;
}

/* One record at the head, all of it, or one padding; false: it cannot be. `size` has MT_RING_PADDING if it is one. R2 R5 */
static bool see_header(const struct mt_ring_in *in, uint64_t *size) {
    uint64_t at = in->head & in->mask, to_end = in->mask + 1 - at;
    uint64_t header = atomic_load_explicit(mt_ring_word(in->data, at), memory_order_relaxed), bytes = header & ~MT_RING_PADDING;
    *size = header;
    if (bytes > in->tail - in->head - 8 || bytes > to_end - 8) return false;
    return header & MT_RING_PADDING ? at && bytes == to_end - 8 : bytes <= MT_RING_RECORD_MAX(in->mask + 1);
}

enum mt_ring_got mt_ring_next_more(struct mt_ring_in *in, size_t *size) {
    uint64_t header = 0;
    in->left = 0;
    for (unsigned paddings = 0; paddings < 2; paddings++) { /* R4 */
        if (in->cut || !see_tail(in)) return cut(in);
        if (in->head == in->tail) return MT_RING_EMPTY;
        if (!see_header(in, &header)) return cut(in);
        if (!(header & MT_RING_PADDING)) break;
        in->head += (header & ~MT_RING_PADDING) + 8;
    }
    if (header & MT_RING_PADDING) return cut(in);
    in->at = (in->head & in->mask) + 8;
    in->left = header;
    in->head += (header + 15) & ~(uint64_t)7;
    if (in->limit - in->head > in->mask) in->limit = in->head; /* the record went beyond it */
    *size = header;
    return MT_RING_RECORD;
}

bool mt_ring_release(struct mt_ring_in *in) {
    uint64_t before = in->head;
    if (in->left) before = in->released; /* the present record is still to be read */
    if (before != in->released) {
        in->released = before;
        atomic_store_explicit(&in->shared->head, before, memory_order_release);
    }
    if (in->told == in->released) return false;
    in->told = in->released;
    mt_fence(); /* R6 */
    if (!atomic_load_explicit(&in->shared->needs_room, memory_order_relaxed)) return false;
    uint64_t used = atomic_load_explicit(&in->shared->tail, memory_order_relaxed) - in->released;
    if (used > (in->mask + 1) / 2 && used <= in->mask + 1) return false; /* there will be more to release */
    return atomic_exchange_explicit(&in->shared->needs_room, 0, memory_order_acq_rel) != 0;
}
