/* SPDX-License-Identifier: Apache-2.0
 * The explicit stack of functions that walk terms: what is left to do of objects begun, innermost last.
 *
 * One thread: it lives in its user's frame. It starts there (MT_WALK_INSIDE spans) and grows into the heap.
 * I1 a span is pushed only when its object has words left, so lists and tuples nested in last place need no stack.
 * I2 when it cannot grow, mt_walk_push() changes nothing. What must not fail then goes on without a stack: mt_walk_smaller()
 *    tells which of two parts is the smaller one; who recurses into that one and loops over the other is at most
 *    log2(words of the term) calls deep.
 */
#ifndef MT_TERM_WALK_H
#define MT_TERM_WALK_H

#include "term/term.h"

#define MT_WALK_INSIDE 18u

/* Words of an object that are yet to be walked; of two objects side by side when terms are compared. */
struct mt_span {
    const uint64_t *a;
    const uint64_t *b; /* NULL when one term is walked */
    uint32_t count;    /* words from a (and b) on */
    uint32_t exact;    /* how many of them, from the first, are compared as keys are */
};

struct mt_walk {
    struct mt_span *spans;
    uint32_t count;
    uint32_t capacity;
    struct mt_span inside[MT_WALK_INSIDE];
};

static inline void mt_walk_init(struct mt_walk *walk) {
    walk->spans = walk->inside;
    walk->count = 0;
    walk->capacity = MT_WALK_INSIDE;
}
/* Frees what it took. */
static inline void mt_walk_fini(struct mt_walk *walk) {
    if (mt_unlikely(walk->spans != walk->inside)) mt_os_free(walk->spans);
}
/* Doubles the room; false when out of memory. */
bool mt_walk_grow(struct mt_walk *walk);
static inline bool mt_walk_push(struct mt_walk *walk, const struct mt_span *span) {
    MT_ASSERT(span->count > 0); /* I1 */
    if (mt_unlikely(walk->count == walk->capacity) && !mt_walk_grow(walk)) return false;
    walk->spans[walk->count++] = *span;
    return true;
}
/* Takes the innermost span; false when there is none. */
static inline bool mt_walk_pop(struct mt_walk *walk, struct mt_span *span) {
    if (walk->count == 0) return false;
    *span = walk->spans[--walk->count];
    return true;
}

/* The words inside a term that are terms to walk into: none for atomic terms (functions count as such). */
static inline uint32_t mt_walk_inner(uint64_t word, const uint64_t **words) {
    if (mt_tag(word) == MT_CONS) {
        *words = mt_ptr(word);
        return 2;
    }
    if (mt_tag(word) != MT_BOXED) return 0;
    MT_ASSERT(word != 0);
    uint64_t header = *mt_ptr(word);
    *words = mt_ptr(word) + 1;
    return mt_header_kind(header) <= MT_MAP ? (uint32_t)mt_header_words(header) : 0;
}

/* Whether `part` has (about) no more terms in it than `rest`; neither is empty. Needs no memory; slow: only for I2. */
bool mt_walk_smaller(const struct mt_span *part, const struct mt_span *rest);

#endif
