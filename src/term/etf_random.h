/* SPDX-License-Identifier: Apache-2.0
 * Random terms for tests of the external format: the same ones for the same seed.
 *
 * One thread: everything hangs off struct random_terms.
 * R1 with `erlang` there is nothing in them that Erlang has not, or reads as something else (text); R2 about `size` of them at most in each.
 */
#ifndef MT_TERM_ETF_RANDOM_H
#define MT_TERM_ETF_RANDOM_H

#include <string.h>

#include "term/term.h"

struct random_terms {
    uint64_t state; /* not 0 */
    mote_arena *arena;
    bool erlang;
    size_t size; /* what is left */
};

static inline uint64_t random_next(struct random_terms *r) {
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}
static inline size_t random_below(struct random_terms *r, size_t n) { return (size_t)((random_next(r) >> 32) % n); }
static inline void random_bytes(struct random_terms *r, uint8_t *to, size_t size) {
    for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(random_next(r) >> 40);
}

static inline mote_term random_int(struct random_terms *r) {
    static const int64_t edges[] = {0, 255, 256, -1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, MT_SMALL_MAX, MT_SMALL_MIN};
    uint8_t magnitude[300];
    size_t size = random_below(r, 8) ? random_below(r, 20) : random_below(r, sizeof magnitude);
    if (random_below(r, 3) == 0) return mote_int_make(r->arena, (int64_t)random_below(r, 300));
    if (random_below(r, 2)) {
        int64_t edge = edges[random_below(r, sizeof edges / sizeof edges[0])];
        return mote_int_make(r->arena, (int64_t)((uint64_t)edge + random_below(r, 3) - 1));
    }
    random_bytes(r, magnitude, size);
    return mote_big_make(r->arena, random_below(r, 2), magnitude, size);
}

static inline mote_term random_float(struct random_terms *r) {
    uint64_t bits = random_next(r);
    double value;
    if ((bits >> 52 & 2047) == 2047) bits ^= (uint64_t)1 << 60;
    memcpy(&value, &bits, sizeof value);
    return mote_float_make(r->arena, random_below(r, 2) ? value : (double)(int64_t)random_below(r, 100) - 50);
}

/* Few different names, so that equal atoms meet; some have characters of two, three and four bytes, some are long. */
static inline mote_term random_atom(struct random_terms *r) {
    static const char *const parts[] = {"a", "ok", "\303\251", "\346\227\245", "\360\237\230\200", "B c", "'", "true"};
    char name[1020];
    size_t size = 0, count = random_below(r, 4), first = random_below(r, 8);
    bool long_one = random_below(r, 30) == 0;
    if (long_one) count = 60; /* of one part: Erlang keeps all that it meets */
    for (size_t i = 0; i < count; i++) {
        const char *part = parts[long_one ? first : random_below(r, sizeof parts / sizeof parts[0])];
        memcpy(name + size, part, strlen(part));
        size += strlen(part);
    }
    return mote_atom_make_counted(r->arena, name, size);
}

static inline mote_term random_bits(struct random_terms *r) {
    uint8_t bytes[200];
    size_t size = random_below(r, 4) ? random_below(r, 12) : random_below(r, sizeof bytes);
    random_bytes(r, bytes, size);
    if (!r->erlang && random_below(r, 2)) {
        for (size_t i = 0; i < size; i++) bytes[i] &= 0x7f;
        return mote_text_make(r->arena, (const char *)bytes, size);
    }
    if (random_below(r, 4) || size == 0) return mote_binary_make(r->arena, bytes, size);
    return mote_bitstring_make(r->arena, bytes, 8 * size - random_below(r, 8));
}

/* A pid, port or reference of another node; a local one. */
static inline mote_term random_identifier(struct random_terms *r) {
    uint64_t *p = mt_arena_words(r->arena, 4), node = MT_WORD_OF(nonode_at_nohost);
    size_t kind = random_below(r, 5);
    node = mote_atom_make(random_below(r, 2) ? "far@nowhere1" : "other@nowhere2").word;
    p[0] = mt_header(MT_PID_FAR, 3);
    p[1] = node;
    p[2] = random_below(r, 1 << 15) | (uint64_t)random_below(r, 1 << 13) << 32;
    p[3] = 1 + random_below(r, 16);
    if (kind == 0) return (mote_term){mt_boxed(p)};
    if (kind == 1) {
        p[0] = mt_header(MT_PORT_FAR, 3);
        p[2] = random_below(r, 2) ? random_next(r) : random_below(r, 1 << 28);
        return (mote_term){mt_boxed(p)};
    }
    if (kind == 2) {
        p = mt_arena_words(r->arena, 5);
        p[0] = mt_header(MT_REF_FAR, 4);
        p[1] = node;
        p[2] = (1 + random_below(r, 16)) | (uint64_t)3 << 32;
        p[3] = random_below(r, 1 << 18) | random_next(r) << 32;
        p[4] = random_next(r) >> 32;
        return (mote_term){mt_boxed(p)};
    }
    if (kind == 3) return (mote_term){(random_next(r) << 3) | MT_REF};
    uint64_t pid = (random_next(r) << 3) | MT_PID;
    return (mote_term){mt_is_remote(pid) ? pid & ~MT_PID_WORKER_MASK : pid};
}

static inline mote_term random_leaf(struct random_terms *r) {
    switch (random_below(r, 8)) {
    case 0:
    case 1: return random_int(r);
    case 2: return random_float(r);
    case 3:
    case 4: return random_atom(r);
    case 5: return random_bits(r);
    case 6: return random_below(r, 3) ? MOTE_TERM_NIL : random_identifier(r);
    default: {
        mote_atom module, function;
        if (random_below(r, 4)) return random_int(r);
        if (mote_atom_get(random_atom(r), &module) || mote_atom_get(random_atom(r), &function)) return MOTE_TERM_NIL;
        return mote_function_make(r->arena, module, function, (unsigned)random_below(r, 256));
    }
    }
}

static inline mote_term random_any(struct random_terms *r, unsigned depth);

static inline mote_term random_compound(struct random_terms *r, unsigned depth) {
    mote_term all[40], tail = MOTE_TERM_NIL;
    size_t kind = random_below(r, 4), count = random_below(r, 3) ? random_below(r, 5) : random_below(r, 20);
    if (kind == 3) { /* a string */
        for (size_t i = 0; i < 2 * count; i++) all[i] = mote_int_make(NULL, (int64_t)random_below(r, 256));
        return mote_list_make(r->arena, 2 * count, all, random_below(r, 5) ? tail : random_any(r, depth + 1));
    }
    for (size_t i = 0; i < 2 * count; i++) all[i] = random_any(r, depth + 1);
    if (kind == 0) return mote_tuple_make(r->arena, 2 * count, all);
    if (kind == 1) return mote_map_make(r->arena, count, all, all + count);
    if (count > 0 && random_below(r, 4) == 0) tail = random_leaf(r);
    return mote_list_make(r->arena, count, all, tail);
}

static inline mote_term random_any(struct random_terms *r, unsigned depth) {
    if (r->size == 0 || depth > 12) return random_leaf(r);
    r->size--;
    return random_below(r, 5) < 3 ? random_leaf(r) : random_compound(r, depth);
}

static inline mote_term random_term(struct random_terms *r, size_t size) {
    r->size = size;
    return random_any(r, 0);
}

#endif
