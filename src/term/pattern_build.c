/* SPDX-License-Identifier: Apache-2.0
 * Terms built from patterns: the template is copied, its pointers moved, its holes filled; what holes take goes behind it.
 *
 * B1 size and fill see the same arguments and count the same words. B2 fill makes all large binaries before anything else is
 * counted: after that it cannot fail. */
#include <string.h>

#include "term/pattern.h"

#define BINARY_MAX (SIZE_MAX / 32)

/* ------------------------------------------------------------------------------------------------- size */

static mote_bytes bytes_of(const mote_arg *a) {
    if (a->kind == MOTE_ARG_BYTES) return a->as.b;
    return (mote_bytes){a->as.p, strlen(a->as.p)};
}

static size_t bytes_words(size_t size) { return size <= MT_BIN_INLINE_MAX ? 2 + (size + 7) / 8 : 4; }

static mote_err bytes_size(const mote_arg *a, size_t *words) {
    if (a->kind == MOTE_ARG_CSTR && !a->as.p) return MOTE_ETERM;
    mote_bytes b = bytes_of(a);
    if (b.size && !b.data) return MOTE_ETERM;
    if (a->kind == MOTE_ARG_CSTR && !mt_utf8_valid(b.data, b.size, NULL)) return MOTE_ETERM;
    *words = bytes_words(b.size);
    return b.size > BINARY_MAX ? MOTE_ELIMIT : MOTE_OK;
}

/* The words an argument takes behind the template. */
static mote_err argument_size(const mote_arg *a, size_t *words) {
    *words = 0;
    if (mt_arg_immediate(a)) return MOTE_OK;
    switch (a->kind) {
    case MOTE_ARG_INT:
    case MOTE_ARG_UINT: *words = 2; return MOTE_OK;
    case MOTE_ARG_DOUBLE: *words = 2; return a->as.d - a->as.d == 0 ? MOTE_OK : MOTE_ETERM;
    case MOTE_ARG_CSTR:
    case MOTE_ARG_BYTES: return bytes_size(a, words);
    default: return mt_term_size((mote_term){a->as.u}, words);
    }
}

/* Whether it is an atom: a counted one needs a fragment of its own only when it is all there is. */
static bool is_atom(const mote_arg *a) {
    return a->kind >= MOTE_ARG_TERM && a->kind <= MOTE_ARG_ATOM && mt_tag(a->as.u) == MT_ATOM;
}

static mote_err check(const struct mt_pattern *p, size_t count, const mote_arg *args) {
    if (count != p->holes) return mt_pattern_report_count(p, count);
    if (p->any_at != MT_NOWHERE)
        return mt_pattern_report(p, MOTE_EPATTERN, p->any_at, "_ cannot be built: write the value, or ? and pass it");
    for (size_t i = 0; i < count; i++)
        if (!mt_arg_is_value(args[i].kind)) return mt_pattern_report_hole(p, i, args[i].kind, false);
    return MOTE_OK;
}

static __attribute__((noinline)) mote_err size_any(const struct mt_pattern *p, size_t count, const mote_arg *args, size_t *words) {
    mote_err err = check(p, count, args);
    size_t total = p->words;
    if (!err && p->root == MT_ROOT_CONST) err = mt_term_size((mote_term){p->root_word}, &total);
    for (size_t i = 0; i < count && !err; i++) {
        size_t more = 0;
        err = argument_size(&args[i], &more);
        bool none = p->root != MT_ROOT_HOLE && (p->slots[i].at == MT_NOWHERE || is_atom(&args[i]));
        total += none ? 0 : more;
        if (!err && total > UINT32_MAX) err = MOTE_ELIMIT;
    }
    if (!err) *words = total;
    return err;
}

mote_err mt_pattern_size(const struct mt_pattern *pattern, size_t count, const mote_arg *args, size_t *words) {
    MT_ASSERT(!pattern->bad); /* I3 */
    if (mt_unlikely(!pattern->plain || count != pattern->holes || pattern->any_at != MT_NOWHERE))
        return size_any(pattern, count, args, words);
    for (size_t i = 0; i < count; i++)
        if (mt_unlikely(!mt_arg_immediate(&args[i]))) return size_any(pattern, count, args, words);
    *words = pattern->words;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- filling */

/* Where the next object goes, and what was made beforehand (B2). */
struct fill {
    uint64_t *next;
    bool *counted;
    uint32_t large; /* bit i: bins[i] is there */
    struct mt_bin *bins[MT_HOLES_MAX];
};

static uint64_t put_two(struct fill *f, enum mt_kind kind, uint64_t raw) {
    uint64_t *at = f->next;
    at[0] = mt_header(kind, 1);
    at[1] = raw;
    f->next += 2;
    return mt_boxed(at);
}

static uint64_t put_bytes(struct fill *f, const mote_arg *a, struct mt_bin *bin) {
    mote_bytes b = bytes_of(a);
    bool text = a->kind == MOTE_ARG_CSTR;
    uint64_t *at = f->next;
    size_t words = bytes_words(b.size);
    f->next += words;
    if (bin) {
        at[0] = mt_header(text ? MT_TEXT_SHARED : MT_BIN_SHARED, 3);
        at[2] = 0;
        at[3] = (uint64_t)(uintptr_t)bin;
        *f->counted = true;
    } else {
        at[0] = mt_header(text ? MT_TEXT : MT_BIN, words - 1);
        at[words - 1] = 0; /* its padding; when the binary is empty this is the number of bits */
        if (b.size) memcpy(at + 2, b.data, b.size);
    }
    at[1] = (uint64_t)b.size * 8;
    return mt_boxed(at);
}

static uint64_t put_double(struct fill *f, double d) {
    uint64_t raw;
    memcpy(&raw, &d, sizeof raw);
    return put_two(f, MT_FLOAT, raw);
}

static uint64_t object_words(const uint64_t *at, uint64_t tag) { return tag == MT_CONS ? 2 : 1 + mt_header_words(*at); }

/* The end of a copy just made at `at`, of an object of that tag: behind whatever its pointers reach. No memory. */
static uint64_t *copy_end(uint64_t *at, uint64_t tag) {
    uint64_t *end = at + object_words(at, tag);
    while (at < end) {
        uint64_t word = *at++;
        if (mt_tag(word) == MT_HEADER) {
            uint64_t tagged = mt_tagged_words(word);
            if (tagged != mt_header_words(word)) at += mt_header_words(word);
        } else if (mt_is_pointer(word)) {
            uint64_t *inner = mt_ptr(word), *inner_end = inner + object_words(inner, mt_tag(word));
            if (inner_end > end) end = inner_end;
        }
    }
    MT_ASSERT(at == end); /* whole objects */
    return end;
}

static uint64_t put_term(struct fill *f, uint64_t word) {
    if (mt_tag(word) == MT_ATOM) {
        mt_atom_hold(word);
        *f->counted = true;
        return word;
    }
    uint64_t *at = f->next;
    uint64_t copy = mt_term_copy_to((mote_term){word}, at, f->counted).word;
    MT_ASSERT(mt_is_pointer(copy) && mt_ptr(copy) == at);
    f->next = copy_end(at, mt_tag(copy));
    return copy;
}

static uint64_t put_argument(struct fill *f, const mote_arg *args, uint32_t i) {
    const mote_arg *a = &args[i];
    uint64_t word = mt_arg_immediate(a);
    if (word) return word;
    switch (a->kind) {
    case MOTE_ARG_INT: return put_two(f, a->as.i < 0 ? MT_BIG_NEG : MT_BIG, a->as.i < 0 ? 0 - a->as.u : a->as.u);
    case MOTE_ARG_UINT: return put_two(f, MT_BIG, a->as.u);
    case MOTE_ARG_DOUBLE: return put_double(f, a->as.d);
    case MOTE_ARG_CSTR:
    case MOTE_ARG_BYTES: return put_bytes(f, a, f->large >> i & 1 ? f->bins[i] : NULL);
    default: return put_term(f, a->as.u);
    }
}

/* ---------------------------------------------------------------------------- maps with holes in their keys */

static void swap(uint64_t *a, uint64_t *b) {
    uint64_t t = *a;
    *a = *b;
    *b = t;
}

static void reverse(uint64_t *from, uint64_t *to) {
    while (from < to) swap(from++, --to);
}

/* Moves pair i behind the other `count` ones, which keep their order. */
static void move_last(uint64_t *keys, uint64_t *values, size_t i, size_t count) {
    for (; i + 1 < count; i++) {
        swap(&keys[i], &keys[i + 1]);
        swap(&values[i], &values[i + 1]);
    }
}

/* Sorts pairs by key; equal ones stay in the order they were written. */
static void sort_pairs(uint64_t *keys, uint64_t *values, size_t count) {
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && mt_term_compare_keys(keys[k - 1], keys[k]) > 0; k--) {
            swap(&keys[k - 1], &keys[k]);
            swap(&values[k - 1], &values[k]);
        }
}

/* Puts a map in order. Of equal keys the last pair stays; the words of the others become cells behind the map that nothing
 * refers to: so objects stay whole, and what is counted there stays counted. */
static void settle_map(uint64_t *map) {
    size_t pairs = mt_header_words(*map) / 2, left = pairs;
    uint64_t *keys = map + 1, *values = keys + pairs;
    sort_pairs(keys, values, pairs);
    for (size_t i = 0; i + 1 < left;) {
        if (mt_term_compare_keys(keys[i], keys[i + 1]) == 0)
            move_last(keys, values, i, left--);
        else
            i++;
    }
    if (left == pairs) return;
    uint64_t *middle = values, *end = values + left; /* keys that go, then values that stay: change places */
    reverse(keys + left, middle);
    reverse(middle, end);
    reverse(keys + left, end);
    *map = mt_header(MT_MAP, 2 * left);
}

/* ------------------------------------------------------------------------------------------------ the whole */

/* Makes the binaries of large arguments (B2). */
static mote_err make_bins(const struct mt_pattern *p, const mote_arg *args, struct fill *f) {
    f->large = 0;
    for (uint32_t i = 0; i < p->holes; i++) {
        if (args[i].kind != MOTE_ARG_CSTR && args[i].kind != MOTE_ARG_BYTES) continue;
        mote_bytes b = bytes_of(&args[i]);
        if (b.size <= MT_BIN_INLINE_MAX || (p->root != MT_ROOT_HOLE && p->slots[i].at == MT_NOWHERE)) continue;
        struct mt_bin *bin = f->bins[i] = mt_bin_new(b.size);
        if (bin) {
            memcpy((uint8_t *)(uintptr_t)bin->data, b.data, b.size);
            f->large |= 1u << i;
            continue;
        }
        for (; f->large; f->large &= f->large - 1) mt_bin_drop(f->bins[__builtin_ctz(f->large)]);
        return MOTE_ENOMEM;
    }
    return MOTE_OK;
}

/* Counts what the template holds in a copy of it. */
static void hold_counted(const uint64_t *at, const uint64_t *end) {
    while (at < end) {
        uint64_t word = *at++;
        if (mt_tag(word) == MT_ATOM && mt_atom_counted(word)) mt_atom_hold(word);
        if (mt_tag(word) != MT_HEADER) continue;
        enum mt_kind kind = mt_header_kind(word);
        if (kind == MT_BIN_SHARED || kind == MT_TEXT_SHARED) mt_bin_hold((struct mt_bin *)(uintptr_t)at[2]);
        if (mt_tagged_words(word) == mt_header_words(word)) continue;
        if (mt_tagged_words(word) && mt_atom_counted(at[0])) mt_atom_hold(at[0]);
        at += mt_header_words(word);
    }
    MT_ASSERT(at == end);
}

static void fill_object(const struct mt_pattern *p, const mote_arg *args, uint64_t *to, struct fill *f) {
    for (uint32_t i = 0; i < p->words; i++) to[i] = p->words_at[i];
    for (uint32_t i = 0; i < p->relocs_count; i++) to[p->relocs[i]] += mt_boxed(to);
    if (p->counted) {
        hold_counted(to, to + p->words);
        *f->counted = true;
    }
    f->next = to + p->words;
    for (uint32_t i = 0; i < p->holes; i++)
        if (p->slots[i].at != MT_NOWHERE) to[p->slots[i].at] = put_argument(f, args, i);
    for (uint32_t i = 0; i < p->maps_count; i++) settle_map(to + p->maps[i]);
}

static __attribute__((noinline)) mote_err fill_any(const struct mt_pattern *p, const mote_arg *args, uint64_t *to, bool *counted,
                                                   mote_term *term) {
    struct fill f;
    f.next = to;
    f.counted = counted;
    mote_err err = make_bins(p, args, &f);
    if (err) return err;
    if (p->root == MT_ROOT_OBJECT) {
        fill_object(p, args, to, &f);
        term->word = mt_boxed(to) + p->root_word;
    } else if (p->root == MT_ROOT_HOLE && !is_atom(&args[0])) {
        term->word = put_argument(&f, args, 0);
    } else {
        *term = mt_term_copy_to((mote_term){p->root == MT_ROOT_HOLE ? args[0].as.u : p->root_word}, to, counted);
    }
    return MOTE_OK;
}

mote_err mt_pattern_fill(const struct mt_pattern *pattern, const mote_arg *args, uint64_t *to, bool *counted, mote_term *term) {
    uint32_t words = pattern->words;
    MT_ASSERT(!pattern->bad && pattern->any_at == MT_NOWHERE);
    if (mt_unlikely(!pattern->plain)) return fill_any(pattern, args, to, counted, term);
    for (uint32_t i = 0; i < words; i++) to[i] = pattern->words_at[i];
    for (uint32_t i = 0; i < pattern->holes; i++) {
        uint64_t word = mt_arg_immediate(&args[i]);
        if (mt_unlikely(!word)) return fill_any(pattern, args, to, counted, term);
        to[pattern->slots[i].at] = word;
    }
    term->word = pattern->root_word + (words ? mt_boxed(to) : 0);
    return MOTE_OK;
}
