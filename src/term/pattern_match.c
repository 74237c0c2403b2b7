/* SPDX-License-Identifier: Apache-2.0
 * Terms matched with patterns: the program is run over the term, and when all of it holds, what was found is stored.
 *
 * M1 nothing is stored before the whole program has held. M2 runs nest only for keys inside keys: at most MT_DEPTH_MAX deep. */
#include <limits.h>
#include <string.h>

#include "term/pattern.h"

#define BASES (MT_DEPTH_MAX + 2)

struct run {
    const mote_arg *args;
    uint64_t found[MT_HOLES_MAX];
    const uint64_t *base[BASES];
};

static bool is_object(uint64_t word, enum mt_kind kind) {
    return mt_tag(word) == MT_BOXED && mt_header_kind(*mt_ptr(word)) == kind;
}

/* ---------------------------------------------------------------------------------------------------- ? */

static __attribute__((noinline)) bool fits_signed(uint64_t word, int64_t min, int64_t max) {
    int64_t v = mt_small_value(word);
    if (mt_unlikely(mt_tag(word) != MT_SMALL && mote_int_get((mote_term){word}, &v) != MOTE_OK)) return false;
    return v >= min && v <= max;
}

static bool fits_unsigned(uint64_t word, uint64_t max) {
    int64_t v = mt_small_value(word);
    uint64_t u;
    if (mt_likely(mt_tag(word) == MT_SMALL)) return v >= 0 && (uint64_t)v <= max;
    return mote_uint_get((mote_term){word}, &u) == MOTE_OK && u <= max;
}

static bool fits_bytes(uint64_t word) {
    mote_bytes ignored;
    return mote_bytes_get((mote_term){word}, &ignored) == MOTE_OK;
}

/* Whether a term can be stored at an address of that kind. */
static __attribute__((noinline)) bool fits_any(uint64_t word, mote_arg_kind kind) {
    switch (kind) {
    case MOTE_ARG_TO_INT: return fits_signed(word, INT_MIN, INT_MAX);
    case MOTE_ARG_TO_LONG: return fits_signed(word, LONG_MIN, LONG_MAX);
    case MOTE_ARG_TO_LLONG: return fits_signed(word, LLONG_MIN, LLONG_MAX);
    case MOTE_ARG_TO_UINT: return fits_unsigned(word, UINT_MAX);
    case MOTE_ARG_TO_ULONG: return fits_unsigned(word, ULONG_MAX);
    case MOTE_ARG_TO_ULLONG: return fits_unsigned(word, ULLONG_MAX);
    case MOTE_ARG_TO_BOOL: return word == MT_WORD_OF(true) || word == MT_WORD_OF(false);
    case MOTE_ARG_TO_DOUBLE: return is_object(word, MT_FLOAT);
    case MOTE_ARG_TO_TERM: return true;
    case MOTE_ARG_TO_PID: return mt_tag(word) == MT_PID || is_object(word, MT_PID_FAR);
    case MOTE_ARG_TO_REF: return mt_tag(word) == MT_REF || is_object(word, MT_REF_FAR);
    case MOTE_ARG_TO_ATOM: return mt_tag(word) == MT_ATOM;
    case MOTE_ARG_TO_BYTES: return fits_bytes(word);
    default: return false;
    }
}

_Static_assert(sizeof(long) == 8, "a small integer fits");
/* The same, inlined for kinds that are often asked for; they are addresses, see mt_pattern_check(). */
static inline bool fits(uint64_t word, mote_arg_kind kind) {
    if (kind == MOTE_ARG_TO_TERM || (kind == MOTE_ARG_TO_PID && mt_tag(word) == MT_PID)) return true;
    if (kind <= MOTE_ARG_TO_LLONG && mt_tag(word) == MT_SMALL)
        return kind != MOTE_ARG_TO_INT || mt_small_value(word) == (int)mt_small_value(word);
    return fits_any(word, kind);
}

/* The low 64 bits of an integer that fits where it goes. */
static int64_t integer_of(uint64_t word) {
    if (mt_likely(mt_tag(word) == MT_SMALL)) return mt_small_value(word);
    int64_t v = 0;
    uint64_t u = 0;
    if (mote_int_get((mote_term){word}, &v) == MOTE_OK) return v;
    mote_err err = mote_uint_get((mote_term){word}, &u);
    MT_ASSERT(err == MOTE_OK); /* fits() */
    return (int64_t)u;
}

/* Stores a term that fits(). */
static void store(const mote_arg *a, uint64_t word) {
    void *to = (void *)(uintptr_t)a->as.p;
    mote_bytes bytes = {NULL, 0};
    mote_err err = MOTE_OK;
    switch (a->kind) {
    case MOTE_ARG_TO_INT: *(int *)to = (int)mt_small_value(word); break;
    case MOTE_ARG_TO_UINT: *(unsigned *)to = (unsigned)mt_small_value(word); break;
    case MOTE_ARG_TO_LONG: *(long *)to = (long)integer_of(word); break;
    case MOTE_ARG_TO_LLONG: *(long long *)to = integer_of(word); break;
    case MOTE_ARG_TO_ULONG: *(unsigned long *)to = (unsigned long)integer_of(word); break;
    case MOTE_ARG_TO_ULLONG: *(unsigned long long *)to = (unsigned long long)integer_of(word); break;
    case MOTE_ARG_TO_BOOL: *(bool *)to = word == MT_WORD_OF(true); break;
    case MOTE_ARG_TO_DOUBLE: memcpy(to, mt_ptr(word) + 1, sizeof(double)); break;
    case MOTE_ARG_TO_BYTES:
        err = mote_bytes_get((mote_term){word}, &bytes);
        MT_ASSERT(err == MOTE_OK);
        *(mote_bytes *)to = bytes;
        break;
    case MOTE_ARG_TO_PID: ((mote_pid *)to)->word = word; break;
    case MOTE_ARG_TO_REF: ((mote_ref *)to)->word = word; break;
    case MOTE_ARG_TO_ATOM: ((mote_atom *)to)->word = word; break;
    default: ((mote_term *)to)->word = word;
    }
}

/* ---------------------------------------------------------------------------------------------------- ^ */

static bool same(uint64_t a, uint64_t b) {
    return a == b || (mt_is_pointer(a) && mt_is_pointer(b) && mote_term_same((mote_term){a}, (mote_term){b}));
}

static mote_bytes bytes_of(const mote_arg *a) {
    if (a->kind == MOTE_ARG_BYTES) return a->as.b;
    return (mote_bytes){a->as.p, a->as.p ? strlen(a->as.p) : 0};
}

static bool is_bytes(const mote_arg *a) { return a->kind == MOTE_ARG_BYTES || a->kind == MOTE_ARG_CSTR; }

static bool same_bytes(uint64_t word, mote_bytes want) {
    mote_bytes has;
    if (mt_tag(word) != MT_BOXED || mote_bytes_get((mote_term){word}, &has) != MOTE_OK || has.size != want.size) return false;
    return want.size == 0 || (want.data && memcmp(has.data, want.data, want.size) == 0);
}

/* A value as a term that lives here. */
struct value {
    uint64_t words[2];
};

/* The word of a value that is not bytes; 0: nothing is equal to it. */
static uint64_t word_of(const mote_arg *a, struct value *v) {
    switch (a->kind) {
    case MOTE_ARG_INT:
        if (mt_likely(mt_small_fits(a->as.i))) return mt_small(a->as.i);
        v->words[0] = mt_header(a->as.i < 0 ? MT_BIG_NEG : MT_BIG, 1);
        v->words[1] = a->as.i < 0 ? 0 - a->as.u : a->as.u;
        return mt_boxed(v->words);
    case MOTE_ARG_UINT:
        if (mt_likely(a->as.u <= (uint64_t)MT_SMALL_MAX)) return mt_small(a->as.i);
        v->words[0] = mt_header(MT_BIG, 1);
        v->words[1] = a->as.u;
        return mt_boxed(v->words);
    case MOTE_ARG_DOUBLE:
        v->words[0] = mt_header(MT_FLOAT, 1);
        v->words[1] = a->as.u;
        return a->as.d - a->as.d == 0 ? mt_boxed(v->words) : 0;
    case MOTE_ARG_BOOL: return a->as.i ? MT_WORD_OF(true) : MT_WORD_OF(false);
    default: return a->as.u;
    }
}

static __attribute__((noinline)) bool pinned(uint64_t word, const mote_arg *a) {
    struct value value;
    if (is_bytes(a)) return same_bytes(word, bytes_of(a));
    uint64_t want = word_of(a, &value);
    return want != 0 && same(word, want);
}

/* ------------------------------------------------------------------------------------------------- maps */

static bool find(uint64_t map, uint64_t key, const uint64_t **value) {
    size_t index;
    if (!mt_map_find(map, key, &index)) return false;
    const uint64_t *p = mt_ptr(map);
    *value = p + 1 + mt_header_words(*p) / 2 + index;
    return true;
}

/* A key that is a binary or a text of these bytes, whichever the map has. */
static bool find_bytes(uint64_t map, mote_bytes key, const uint64_t **value) {
    struct mt_bin bin = {.refs = 1, .size = key.size, .data = key.data};
    uint64_t words[4] = {mt_header(MT_BIN_SHARED, 3), (uint64_t)key.size * 8, 0, (uint64_t)(uintptr_t)&bin};
    if (key.size && !key.data) return false;
    if (find(map, mt_boxed(words), value)) return true;
    words[0] = mt_header(MT_TEXT_SHARED, 3);
    return mt_utf8_valid(key.data, key.size, NULL) && find(map, mt_boxed(words), value);
}

static bool fetch(uint64_t map, const mote_arg *a, const uint64_t **value) {
    struct value key;
    if (is_bytes(a)) return find_bytes(map, bytes_of(a), value);
    uint64_t word = word_of(a, &key);
    return word != 0 && find(map, word, value);
}

static bool find_either(uint64_t map, uint64_t keys, const uint64_t **value) {
    const uint64_t *p = mt_ptr(keys);
    for (uint64_t i = 1; i <= mt_header_words(*p); i++)
        if (find(map, p[i], value)) return true;
    return false;
}

static bool same_either(uint64_t word, uint64_t both) {
    const uint64_t *p = mt_ptr(both);
    for (uint64_t i = 1; i <= mt_header_words(*p); i++)
        if (same(word, p[i])) return true;
    return false;
}

/* ------------------------------------------------------------------------------------------- the program */

static bool run(struct run *r, const struct mt_op *op, const struct mt_op *end);

/* Tries the keys one after the other. */
static bool search(struct run *r, uint64_t map, const struct mt_op *op) {
    const uint64_t *keys = mt_ptr(map) + 1;
    uint64_t pairs = mt_header_words(*mt_ptr(map)) / 2;
    for (uint64_t i = 0; i < pairs; i++) {
        r->base[op->to] = keys + i;
        if (!run(r, op + 1, op + 1 + op->word)) continue;
        r->base[op->to] = keys + pairs + i;
        return true;
    }
    return false;
}

/* Runs the ops from op to end: whether all hold. */
static bool run(struct run *r, const struct mt_op *op, const struct mt_op *end) {
    for (; op < end; op++) {
        uint64_t word = r->base[op->from][op->index];
        bool good = true;
        switch ((enum mt_op_code)op->code) {
        case MT_OP_WORD: good = word == op->word; break;
        case MT_OP_SAME: good = same(word, op->word); break;
        case MT_OP_BYTES: good = same_either(word, op->word); break;
        case MT_OP_BIND:
            r->found[op->hole] = word;
            good = fits(word, r->args[op->hole].kind);
            break;
        case MT_OP_PIN: good = pinned(word, &r->args[op->hole]); break;
        case MT_OP_TUPLE:
            good = mt_tag(word) == MT_BOXED && *mt_ptr(word) == op->word;
            if (good) r->base[op->to] = mt_ptr(word) + 1;
            break;
        case MT_OP_CONS:
            good = mt_tag(word) == MT_CONS;
            if (good) r->base[op->to] = mt_ptr(word);
            break;
        case MT_OP_MAP: good = is_object(word, MT_MAP) && (op->word == 0 || *mt_ptr(word) == op->word); break;
        case MT_OP_FIND: good = find(word, op->word, &r->base[op->to]); break;
        case MT_OP_LOOK: good = find_either(word, op->word, &r->base[op->to]); break;
        case MT_OP_FETCH: good = fetch(word, &r->args[op->hole], &r->base[op->to]); break;
        case MT_OP_SEARCH:
            good = search(r, word, op);
            op += op->word;
            break;
        }
        if (!good) return false;
    }
    return true;
}

/* Kinds of addresses where the word itself is stored. */
static inline bool takes_word(mote_arg_kind kind) { return kind >= MOTE_ARG_TO_TERM && kind <= MOTE_ARG_TO_ATOM; }

/* The words most often wanted are stored here, the others there. */
static inline void store_one(const mote_arg *a, uint64_t word) {
    if (mt_likely(a->kind == MOTE_ARG_TO_INT))
        *(int *)(uintptr_t)a->as.p = (int)mt_small_value(word);
    else if (mt_likely(takes_word(a->kind)))
        ((mote_term *)(uintptr_t)a->as.p)->word = word;
    else if (a->kind == MOTE_ARG_TO_LONG && mt_tag(word) == MT_SMALL)
        *(long *)(uintptr_t)a->as.p = (long)mt_small_value(word);
    else
        store(a, word);
}

/* One element of a flat tuple that is no constant. */
static inline bool flat_hole(uint64_t word, const struct mt_op *op, const mote_arg *a) {
    if (op->code == MT_OP_PIN) return (word == a->as.u && a->kind >= MOTE_ARG_TERM && a->kind <= MOTE_ARG_ATOM) || pinned(word, a);
    return fits(word, a->kind);
}

/* A tuple whose elements are immediates and holes: the program without its registers. */
static bool match_flat(const struct mt_pattern *p, uint64_t word, const mote_arg *args) {
    const struct mt_op *op = p->ops, *end = op + p->ops_count;
    if (mt_tag(word) != MT_BOXED || *mt_ptr(word) != op->word) return false;
    const uint64_t *elements = mt_ptr(word) + 1;
    for (op++; op < end; op++) {
        uint64_t element = elements[op->index];
        if (op->code == MT_OP_WORD ? element != op->word : !flat_hole(element, op, &args[op->hole])) return false;
    }
    if (!p->binds) return true;
    for (op = p->ops + 1; op < end; op++)
        if (op->code == MT_OP_BIND) store_one(&args[op->hole], elements[op->index]);
    return true;
}

static void store_all(const struct mt_pattern *p, const mote_arg *args, const uint64_t *found) {
    for (uint32_t left = p->binds; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        store_one(&args[i], found[i]);
    }
}

static __attribute__((noinline)) bool match_any(const struct mt_pattern *p, mote_term term, const mote_arg *args) {
    struct run r;
    r.args = args;
    r.base[0] = &term.word;
    if (!run(&r, p->ops, p->ops + p->ops_count)) return false;
    store_all(p, args, r.found);
    return true;
}

bool mt_pattern_match(const struct mt_pattern *pattern, mote_term term, const mote_arg *args) {
    MT_ASSERT(!pattern->bad);
    if (pattern->word) return term.word == pattern->ops->word;
    if (mt_unlikely(!term.word)) return false;
    return pattern->flat ? match_flat(pattern, term.word, args) : match_any(pattern, term, args);
}

/* --------------------------------------------------------------------------------------------- the checks */

static __attribute__((noinline, cold)) mote_err refuse(const struct mt_pattern *p, size_t count, const mote_arg *args) {
    if (count != p->holes) return mt_pattern_report_count(p, count);
    for (size_t i = 0; i < count; i++) {
        mote_arg_kind kind = args[i].kind;
        bool good = p->slots[i].pin ? mt_arg_is_value(kind) : mt_arg_is_address(kind) && args[i].as.p;
        if (!good) return mt_pattern_report_hole(p, i, kind, true);
    }
    MT_ASSERT(p->bad_binds);
    size_t hole = (size_t)__builtin_ctz(p->bad_binds);
    return mt_pattern_report(p, MOTE_EPATTERN, p->slots[hole].text, "? cannot find keys of a map; write ^ and pass the key");
}

mote_err mt_pattern_check(const struct mt_pattern *pattern, size_t count, const mote_arg *args) {
    bool good = count == pattern->holes && !pattern->bad_binds;
    uint32_t binds = pattern->binds;
    MT_ASSERT(!pattern->bad);
    for (size_t i = 0; i < count && good; i++, binds >>= 1)
        good = binds & 1 ? mt_arg_is_address(args[i].kind) && args[i].as.p : mt_arg_is_value(args[i].kind);
    return mt_likely(good) ? MOTE_OK : refuse(pattern, count, args);
}

bool mt_pattern_pins(const struct mt_pattern *pattern, const mote_arg *args, mote_ref ref) {
    bool found = false;
    for (uint32_t i = 0; i < pattern->holes && !found; i++) {
        bool word = args[i].kind == MOTE_ARG_REF || args[i].kind == MOTE_ARG_TERM;
        found = pattern->slots[i].pin && word && ref.word && same(args[i].as.u, ref.word);
    }
    return found;
}
