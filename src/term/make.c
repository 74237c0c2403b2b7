/* SPDX-License-Identifier: Apache-2.0
 * Constructors.
 *
 * M1 words taken from the arena are filled with whole objects before anything else happens, also when the constructor fails.
 * M2 each place a counted thing gets in the arena is counted (term.h, I3). */
#include <string.h>

#include "term/term.h"

#define ELEMENTS_MAX (((size_t)1 << 24) - 1)
#define PAIRS_MAX ((size_t)INT32_MAX)
#define LIST_MAX (SIZE_MAX / 64)
#define BINARY_MAX (SIZE_MAX / 32)

static mote_term boxed(const uint64_t *p) { return (mote_term){mt_boxed(p)}; }

/* ------------------------------------------------------------------------------------ putting terms in */

static bool counted_atom(uint64_t word) { return mt_tag(word) == MT_ATOM && mt_atom_counted(word); }

static __attribute__((noinline)) void hold_all(mote_arena *arena, const uint64_t *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (counted_atom(words[i])) mt_atom_hold(words[i]);
    mt_arena_note_counted(arena);
}

/* Puts terms into an object under construction (M2); false when one is MOTE_TERM_NONE: then nil stands in all places (M1). */
static bool place(mote_arena *arena, uint64_t *to, const mote_term *from, size_t count) {
    bool none = false, counted = false;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = from[i].word;
        to[i] = word;
        none |= word == 0;
        counted |= counted_atom(word);
    }
    if (mt_unlikely(none)) {
        for (size_t i = 0; i < count; i++) to[i] = MT_NIL_WORD;
        return false;
    }
    if (mt_unlikely(counted)) hold_all(arena, to, count);
    return true;
}

/* --------------------------------------------------------------------------------------------- numbers */

static mote_term big_of_one(mote_arena *arena, bool negative, uint64_t limb) {
    uint64_t *p = mt_arena_words(arena, 2);
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(negative ? MT_BIG_NEG : MT_BIG, 1);
    p[1] = limb;
    return boxed(p);
}

mote_term mote_int_make(mote_arena *arena, int64_t value) {
    if (mt_likely(mt_small_fits(value))) return (mote_term){mt_small(value)};
    return big_of_one(arena, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

mote_term mote_uint_make(mote_arena *arena, uint64_t value) {
    if (value <= (uint64_t)MT_SMALL_MAX) return (mote_term){mt_small((int64_t)value)};
    return big_of_one(arena, false, value);
}

static uint64_t limb_of(const uint8_t *bytes, size_t count) {
    uint64_t limb = 0;
    for (size_t i = 0; i < count; i++) limb |= (uint64_t)bytes[i] << 8 * i;
    return limb;
}

mote_term mote_big_make(mote_arena *arena, bool negative, const void *magnitude, size_t size) {
    const uint8_t *bytes = magnitude;
    MT_ASSERT(magnitude != NULL || size == 0);
    while (size > 0 && bytes[size - 1] == 0) size--;
    if (size > MT_BIG_BYTES_MAX) return MOTE_TERM_NONE;
    if (size <= 8) {
        uint64_t limb = limb_of(bytes, size);
        if (limb <= (uint64_t)MT_SMALL_MAX + negative) return (mote_term){mt_small((int64_t)(negative ? 0 - limb : limb))};
    }
    size_t limbs = (size + 7) / 8;
    uint64_t *p = mt_arena_words(arena, 1 + limbs);
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(negative ? MT_BIG_NEG : MT_BIG, limbs);
    for (size_t i = 0; i < limbs; i++) p[1 + i] = limb_of(bytes + 8 * i, size - 8 * i < 8 ? size - 8 * i : 8);
    MT_ASSERT(p[limbs] != 0);
    return boxed(p);
}

mote_term mote_float_make(mote_arena *arena, double value) {
    if (!__builtin_isfinite(value)) return MOTE_TERM_NONE;
    uint64_t *p = mt_arena_words(arena, 2);
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(MT_FLOAT, 1);
    memcpy(p + 1, &value, sizeof value);
    return boxed(p);
}

/* ------------------------------------------------------------------------------------ atoms, functions */

mote_term mote_atom_make_counted(mote_arena *arena, const char *name, size_t size) {
    mote_term atom = {mt_atom_intern(name, size, false, NULL)};
    if (!counted_atom(atom.word)) return atom;
    /* The arena holds the count in a tuple of its own. */
    uint64_t *p = mt_arena_words(arena, 2);
    if (!p) {
        mt_atom_drop(atom.word);
        return MOTE_TERM_NONE;
    }
    p[0] = mt_header(MT_TUPLE, 1);
    p[1] = atom.word;
    mt_arena_note_counted(arena);
    return atom;
}

mote_term mote_function_make(mote_arena *arena, mote_atom module, mote_atom function, unsigned arity) {
    if (mt_tag(module.word) != MT_ATOM || mt_tag(function.word) != MT_ATOM || arity > 255) return MOTE_TERM_NONE;
    mote_term parts[3] = {{module.word}, {function.word}, {mt_small(arity)}};
    uint64_t *p = mt_arena_words(arena, 4);
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(MT_FUN, 3);
    bool placed = place(arena, p + 1, parts, 3);
    MT_ASSERT(placed);
    return boxed(p);
}

/* -------------------------------------------------------------------------------------------- binaries */

/* A binary's object with its bytes inside; `kind` MT_BIN or MT_TEXT. The padding of the last byte is cleared. */
static mote_term inline_bits(mote_arena *arena, enum mt_kind kind, const struct mt_bits *bits) {
    size_t words = (bits->count + 63) / 64;
    MT_ASSERT(words <= MT_BIN_INLINE_MAX / 8);
    uint64_t *p = mt_arena_words(arena, 2 + words);
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(kind, 1 + words);
    p[1] = bits->count;
    if (words) p[1 + words] = 0;
    mt_bits_copy(bits, (uint8_t *)(p + 2));
    return boxed(p);
}

/* A binary's object that refers to shared memory; takes one reference, on failure too. */
static mote_term shared_bits(mote_arena *arena, enum mt_kind kind, struct mt_bin *bin, uint64_t first, uint64_t count) {
    MT_ASSERT((first + count + 7) / 8 <= bin->size);
    uint64_t *p = mt_arena_words(arena, 4);
    if (!p) {
        mt_bin_drop(bin);
        return MOTE_TERM_NONE;
    }
    p[0] = mt_header(kind == MT_TEXT ? MT_TEXT_SHARED : MT_BIN_SHARED, 3);
    p[1] = count;
    p[2] = first;
    p[3] = (uint64_t)(uintptr_t)bin;
    mt_arena_note_counted(arena);
    return boxed(p);
}

static mote_term make_bits(mote_arena *arena, enum mt_kind kind, const void *data, uint64_t count) {
    struct mt_bits bits = {data, 0, count};
    MT_ASSERT(data != NULL || count == 0);
    if (count <= 8 * MT_BIN_INLINE_MAX) return inline_bits(arena, kind, &bits);
    struct mt_bin *bin = mt_bin_new((count + 7) / 8);
    if (!bin) return MOTE_TERM_NONE;
    mt_bits_copy(&bits, (uint8_t *)(bin + 1));
    return shared_bits(arena, kind, bin, 0, count);
}

mote_term mote_binary_make(mote_arena *arena, const void *data, size_t size) {
    if (size > BINARY_MAX) return MOTE_TERM_NONE;
    return make_bits(arena, MT_BIN, data, 8 * (uint64_t)size);
}

mote_term mote_bitstring_make(mote_arena *arena, const void *data, size_t bits) {
    if (bits > BINARY_MAX * 8) return MOTE_TERM_NONE;
    return make_bits(arena, MT_BIN, data, bits);
}

mote_term mote_text_make(mote_arena *arena, const char *utf8, size_t size) {
    if (size > BINARY_MAX || !mt_utf8_valid(utf8, size, NULL)) return MOTE_TERM_NONE;
    return make_bits(arena, MT_TEXT, utf8, 8 * (uint64_t)size);
}

mote_term mote_binary_share(mote_arena *arena, const void *data, size_t size, void (*release)(void *data, void *context),
                            void *context) {
    if (size > BINARY_MAX || (!data && size)) return MOTE_TERM_NONE;
    struct mt_bin *bin = mt_bin_new(0);
    if (!bin) return MOTE_TERM_NONE;
    bin->size = size;
    bin->data = data;
    mt_bin_hold(bin);
    mote_term term = shared_bits(arena, MT_BIN, bin, 0, 8 * (uint64_t)size);
    if (term.word) { /* only now `data` is ours to release; nobody else has the term yet */
        bin->release = release;
        bin->context = context;
    }
    mt_bin_drop(bin);
    return term;
}

mote_term mote_binary_part(mote_arena *arena, mote_term binary, size_t offset, size_t size) {
    if (!mt_is_bits(binary.word)) return MOTE_TERM_NONE;
    struct mt_bits bits = mt_bits_of(binary.word);
    if (offset > bits.count / 8 || size > bits.count / 8 - offset) return MOTE_TERM_NONE;
    const uint64_t *p = mt_ptr(binary.word);
    bits.data += offset;
    bits.count = 8 * (uint64_t)size;
    if (size <= MT_BIN_INLINE_MAX) return inline_bits(arena, MT_BIN, &bits);
    MT_ASSERT(mt_header_kind(*p) >= MT_BIN_SHARED); /* larger than any inline one */
    struct mt_bin *bin = (struct mt_bin *)(uintptr_t)p[3];
    mt_bin_hold(bin);
    return shared_bits(arena, MT_BIN, bin, p[2] + 8 * (uint64_t)offset, bits.count);
}

/* ------------------------------------------------------------------------------------- tuples and lists */

mote_term mote_tuple_make(mote_arena *arena, size_t count, const mote_term *elements) {
    if (count > ELEMENTS_MAX) return MOTE_TERM_NONE;
    uint64_t *p = mt_arena_words(arena, 1 + count);
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(MT_TUPLE, count);
    return place(arena, p + 1, elements, count) ? boxed(p) : MOTE_TERM_NONE;
}

mote_term mote_cons_make(mote_arena *arena, mote_term head, mote_term tail) {
    mote_term halves[2] = {head, tail};
    uint64_t *p = mt_arena_words(arena, 2);
    if (!p || !place(arena, p, halves, 2)) return MOTE_TERM_NONE;
    return (mote_term){mt_cons(p)};
}

mote_term mote_list_make(mote_arena *arena, size_t count, const mote_term *elements, mote_term tail) {
    if (count > LIST_MAX || tail.word == 0) return MOTE_TERM_NONE;
    for (size_t i = 0; i < count; i++)
        if (elements[i].word == 0) return MOTE_TERM_NONE;
    if (count == 0) return tail;
    uint64_t *p = mt_arena_words(arena, 2 * count);
    if (!p) return MOTE_TERM_NONE;
    bool counted = counted_atom(tail.word);
    for (size_t i = 0; i < count; i++) {
        p[2 * i] = elements[i].word;
        p[2 * i + 1] = mt_cons(p + 2 * i + 2);
        counted |= counted_atom(elements[i].word);
    }
    p[2 * count - 1] = tail.word;
    if (counted) hold_all(arena, p, 2 * count);
    return (mote_term){mt_cons(p)};
}

/* ------------------------------------------------------------------------------------------------ maps */

/* Whether keys stand in order already, without equal ones. */
static bool in_order(size_t count, const mote_term *keys) {
    for (size_t i = 1; i < count; i++)
        if (mt_term_compare_keys(keys[i - 1].word, keys[i].word) >= 0) return false;
    return true;
}

/* Merges order[low..middle) and order[middle..high), each in order, into `to`; equal keys stay as they stood. */
static void merge(const mote_term *keys, const uint32_t *order, size_t low, size_t middle, size_t high, uint32_t *to) {
    size_t i = low, j = middle;
    for (size_t k = low; k < high; k++) {
        bool left = j == high || (i < middle && mt_term_compare_keys(keys[order[i]].word, keys[order[j]].word) <= 0);
        to[k] = left ? order[i++] : order[j++];
    }
    MT_ASSERT(i == middle && j == high);
}

/* Sorts order[0..count) by keys; `spare` has the same room. Gives the one of the two that holds the result. */
static uint32_t *sort(size_t count, const mote_term *keys, uint32_t *order, uint32_t *spare) {
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = low + 2 * width < count ? low + 2 * width : count;
            merge(keys, order, low, middle, high, spare);
        }
        uint32_t *swap = order;
        order = spare;
        spare = swap;
    }
    return order;
}

/* Of each run of equal keys keeps the last; gives how many are left. */
static size_t drop_equal(size_t count, const mote_term *keys, uint32_t *order) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n > 0 && mt_term_compare_keys(keys[order[n - 1]].word, keys[order[i]].word) == 0) n--;
        order[n++] = order[i];
    }
    return n;
}

/* A map of the pairs in `order` (NULL: as they stand), keys in order. */
static mote_term fill_map(mote_arena *arena, size_t n, const mote_term *keys, const mote_term *values, const uint32_t *order) {
    uint64_t *p = mt_arena_words(arena, 1 + 2 * n);
    bool counted = false;
    if (!p) return MOTE_TERM_NONE;
    p[0] = mt_header(MT_MAP, 2 * n);
    for (size_t i = 0; i < n; i++) {
        size_t from = order ? order[i] : i;
        p[1 + i] = keys[from].word;
        p[1 + n + i] = values[from].word;
        counted |= counted_atom(p[1 + i]) || counted_atom(p[1 + n + i]);
    }
    if (counted) hold_all(arena, p + 1, 2 * n);
    return boxed(p);
}

static mote_term make_map(mote_arena *arena, size_t count, const mote_term *keys, const mote_term *values, uint32_t *room) {
    for (size_t i = 0; i < count; i++) room[i] = (uint32_t)i;
    uint32_t *order = sort(count, keys, room, room + count);
    size_t n = drop_equal(count, keys, order);
    return fill_map(arena, n, keys, values, order);
}

mote_term mote_map_make(mote_arena *arena, size_t count, const mote_term *keys, const mote_term *values) {
    uint32_t few[64], *room = few;
    if (count > PAIRS_MAX) return MOTE_TERM_NONE;
    for (size_t i = 0; i < count; i++)
        if (keys[i].word == 0 || values[i].word == 0) return MOTE_TERM_NONE;
    if (in_order(count, keys)) return fill_map(arena, count, keys, values, NULL);
    if (2 * count > sizeof few / sizeof *few && !(room = mt_os_alloc(2 * count * sizeof *room))) return MOTE_TERM_NONE;
    mote_term map = make_map(arena, count, keys, values, room);
    if (room != few) mt_os_free(room);
    return map;
}

/* Moves pairs into an order, by way of `copy`, which has room for them. */
static void move_pairs(uint64_t *keys, size_t count, const uint32_t *order, uint64_t *copy) {
    memcpy(copy, keys, 2 * count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        keys[i] = copy[order[i]];
        keys[count + i] = copy[count + order[i]];
    }
}

static bool sort_pairs(uint64_t *keys, size_t count, uint32_t *room, uint64_t *copy) {
    const mote_term *terms = (const mote_term *)(const void *)keys;
    for (size_t i = 0; i < count; i++) room[i] = (uint32_t)i;
    uint32_t *order = sort(count, terms, room, room + count);
    for (size_t i = 1; i < count; i++)
        if (mt_term_compare_keys(keys[order[i - 1]], keys[order[i]]) == 0) return false;
    move_pairs(keys, count, order, copy);
    return true;
}

mote_err mt_map_sort(uint64_t *keys, size_t count, bool *twice) {
    uint32_t few[64], *room = few;
    uint64_t few_pairs[64], *copy = few_pairs;
    MT_ASSERT(count <= PAIRS_MAX);
    if (in_order(count, (const mote_term *)(const void *)keys)) return MOTE_OK;
    if (2 * count > sizeof few / sizeof *few) {
        if (!(copy = mt_os_alloc(2 * count * (sizeof *copy + sizeof *room)))) return MOTE_ENOMEM;
        room = (uint32_t *)(copy + 2 * count);
    }
    *twice = !sort_pairs(keys, count, room, copy);
    if (copy != few_pairs) mt_os_free(copy);
    return MOTE_OK;
}

mote_term mote_map_put(mote_arena *arena, mote_term map, mote_term key, mote_term value) {
    size_t index, size;
    if (mote_map_size(map, &size) != MOTE_OK || key.word == 0 || value.word == 0) return MOTE_TERM_NONE;
    bool there = mt_map_find(map.word, key.word, &index);
    size_t n = size + !there, rest = size - index - there;
    uint64_t *p = n > PAIRS_MAX ? NULL : mt_arena_words(arena, 1 + 2 * n);
    if (!p) return MOTE_TERM_NONE;
    const mote_term *keys = (const mote_term *)(const void *)(mt_ptr(map.word) + 1), *values = keys + size;
    uint64_t *to = p + 1;
    p[0] = mt_header(MT_MAP, 2 * n);
    bool placed = place(arena, to, keys, index) && place(arena, to + index, &key, 1) &&
                  place(arena, to + index + 1, keys + index + there, rest) && place(arena, to + n, values, index) &&
                  place(arena, to + n + index, &value, 1) && place(arena, to + n + index + 1, values + index + there, rest);
    MT_ASSERT(placed);
    return boxed(p);
}
