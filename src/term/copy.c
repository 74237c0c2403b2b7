/* SPDX-License-Identifier: Apache-2.0
 * Copying terms into fragments.
 *
 * C1 the copy goes by levels: what has been copied is scanned from its start, and whatever a word there points to is copied to the
 *    end, until the scan meets the end. No stack. C2 copy and size count the same words. */
#include <string.h>

#include "term/walk.h"

/* The words of the one object a pointer word stands for. */
static uint64_t object_words(uint64_t word) {
    if (mt_tag(word) == MT_CONS) return 2;
    uint64_t header = *mt_ptr(word);
    MT_ASSERT(mt_tag(header) == MT_HEADER);
    return 1 + mt_header_words(header);
}

/* Adds up the words of what a span's terms point to. */
static mote_err span_size(struct mt_walk *walk, struct mt_span span, uint64_t *total) {
    uint64_t sum = *total;
    do {
        while (span.count > 0) {
            struct mt_span inner = {.b = NULL};
            uint64_t word = *span.a++;
            span.count--;
            if (!mt_is_pointer(word)) continue;
            sum += object_words(word);
            if (mt_unlikely(sum > UINT32_MAX)) return MOTE_ELIMIT;
            inner.count = mt_walk_inner(word, &inner.a);
            if (inner.count == 0) continue;
            if (span.count > 0 && !mt_walk_push(walk, &span)) return MOTE_ENOMEM;
            span = inner;
        }
    } while (mt_walk_pop(walk, &span));
    *total = sum;
    return MOTE_OK;
}

mote_err mt_term_size(mote_term term, size_t *words) {
    struct mt_walk walk;
    struct mt_span span = {.a = &term.word, .count = 1};
    uint64_t total = 0;
    if (term.word == 0) return MOTE_ETERM;
    if (!mt_is_pointer(term.word)) {
        *words = mt_tag(term.word) == MT_ATOM && mt_atom_counted(term.word) ? 2 : 0;
        return MOTE_OK;
    }
    if (mt_tag(term.word) == MT_BOXED && mt_header_kind(*mt_ptr(term.word)) > MT_FUN) { /* nothing inside */
        *words = (size_t)object_words(term.word);
        return *words > UINT32_MAX ? MOTE_ELIMIT : MOTE_OK;
    }
    mt_walk_init(&walk);
    mote_err err = span_size(&walk, span, &total);
    mt_walk_fini(&walk);
    if (!err) *words = (size_t)total;
    return err;
}

/* Whether a word needs more than being copied. */
static bool is_special(uint64_t word) {
    return mt_is_pointer(word) || (mt_tag(word) == MT_ATOM && mt_atom_counted(word));
}

/* The object of a pointer word, to `end`; gives the new end. */
static uint64_t *copy_object(uint64_t word, uint64_t *end) {
    const uint64_t *from = mt_ptr(word);
    uint64_t n = object_words(word);
    if (n <= 8)
        for (uint64_t i = 0; i < n; i++) end[i] = from[i];
    else
        memcpy(end, from, n * sizeof *end);
    return end + n;
}

/* An object with raw words, just copied to `at`: counts what it refers to; gives what follows it. */
static uint64_t *scan_raw(uint64_t *at, bool *counted) {
    enum mt_kind kind = mt_header_kind(*at);
    if (kind == MT_BIN_SHARED || kind == MT_TEXT_SHARED) {
        mt_bin_hold((struct mt_bin *)(uintptr_t)at[3]);
        *counted = true;
    } else if (kind == MT_HOST) {
        mt_host_hold(at);
        *counted = true;
    } else if (mt_tagged_words(*at) > 0 && mt_atom_counted(at[1])) {
        mt_atom_hold(at[1]);
        *counted = true;
    }
    return at + 1 + mt_header_words(*at);
}

/* Copies what the words from `at` to `end` point to behind them, and so on (C1). Gives the end. */
static uint64_t *scan(uint64_t *at, uint64_t *end, bool *counted) {
    while (at < end) {
        uint64_t word = *at;
        switch ((enum mt_tag)mt_tag(word)) {
        case MT_BOXED:
        case MT_CONS:
            *at++ = mt_boxed(end) | mt_tag(word);
            end = copy_object(word, end);
            break;
        case MT_ATOM:
            if (mt_atom_counted(word)) {
                mt_atom_hold(word);
                *counted = true;
            }
            at++;
            break;
        case MT_HEADER:
            at = mt_tagged_words(word) == mt_header_words(word) ? at + 1 : scan_raw(at, counted);
            break;
        default: at++;
        }
    }
    MT_ASSERT(at == end); /* whole objects (I2) */
    return end;
}

/* An object without raw words; whether its words are all plain. */
static bool copy_plain(const uint64_t *from, uint64_t *to, uint64_t n) {
    bool special = false;
    for (uint64_t i = 0; i < n; i++) {
        to[i] = from[i];
        special |= is_special(from[i]);
    }
    return !special;
}

mote_term mt_term_copy_to(mote_term term, uint64_t *to, bool *counted) {
    uint64_t word = term.word;
    MT_ASSERT(word != 0);
    if (!mt_is_pointer(word)) {
        if (!is_special(word)) return term;
        to[0] = mt_header(MT_TUPLE, 1);
        to[1] = word;
        mt_atom_hold(word);
        *counted = true;
        return term;
    }
    const uint64_t *from = mt_ptr(word);
    mote_term copy = {mt_boxed(to) | mt_tag(word)};
    if (mt_tag(word) == MT_CONS) {
        if (!copy_plain(from, to, 2)) scan(to, to + 2, counted);
        return copy;
    }
    if (mt_header_kind(*from) > MT_FUN) {
        scan(to, copy_object(word, to), counted);
        return copy;
    }
    uint64_t n = mt_header_words(*from);
    to[0] = *from;
    if (!copy_plain(from + 1, to + 1, n)) scan(to + 1, to + 1 + n, counted);
    return copy;
}

void mt_fragment_drop(const uint64_t *words, size_t count) {
    const uint64_t *end = words + count;
    for (const uint64_t *at = words; at < end;) {
        uint64_t word = *at++;
        if (mt_tag(word) == MT_ATOM) mt_atom_drop(word);
        if (mt_tag(word) != MT_HEADER) continue;
        uint64_t tagged = mt_tagged_words(word), n = mt_header_words(word);
        if (tagged == n) continue;
        enum mt_kind kind = mt_header_kind(word);
        MT_ASSERT(n <= (uint64_t)(end - at)); /* whole objects (I2) */
        if (kind == MT_BIN_SHARED || kind == MT_TEXT_SHARED) mt_bin_drop((struct mt_bin *)(uintptr_t)at[2]);
        if (kind == MT_HOST) mt_host_drop(at - 1);
        if (tagged) mt_atom_drop(at[0]);
        at += n;
    }
}

mote_term mote_term_copy(mote_arena *arena, mote_term term) {
    size_t words;
    bool counted = false;
    if (mt_term_size(term, &words) != MOTE_OK) return MOTE_TERM_NONE;
    if (words == 0) return term;
    uint64_t *to = mt_arena_words(arena, words);
    if (!to) return MOTE_TERM_NONE;
    mote_term copy = mt_term_copy_to(term, to, &counted);
    if (counted) mt_arena_note_counted(arena);
    return copy;
}
