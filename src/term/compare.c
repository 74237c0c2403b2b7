/* SPDX-License-Identifier: Apache-2.0
 * Erlang's order of terms, equality and hashes.
 *
 * Two terms are walked side by side, depth first, until they differ. C1 nothing here can fail: where the explicit stack cannot
 * grow, the sub-terms at hand are compared without one (walk.h, I2).
 * C2 in a map's keys, and everywhere for =:=, the comparison is `exact`: every integer comes before every float. */
#include <string.h>

#include "term/walk.h"

static int sign(uint64_t a, uint64_t b) { return (a > b) - (a < b); }

/* --------------------------------------------------------------------------------------------- numbers */

struct integer {
    const uint64_t *limbs; /* least significant first; the highest is not 0 */
    uint64_t count;        /* 0 for the number 0 */
    bool negative;
    uint64_t one; /* the limb of a small integer */
};

static void integer_of(uint64_t word, struct integer *i) {
    if (mt_tag(word) == MT_SMALL) {
        int64_t value = mt_small_value(word);
        i->negative = value < 0;
        i->one = i->negative ? 0 - (uint64_t)value : (uint64_t)value;
        i->limbs = &i->one;
        i->count = value != 0;
        return;
    }
    uint64_t header = *mt_ptr(word);
    i->negative = mt_header_kind(header) == MT_BIG_NEG;
    i->limbs = mt_ptr(word) + 1;
    i->count = mt_header_words(header);
    MT_ASSERT(i->count > 0 && i->limbs[i->count - 1] != 0);
}

static int compare_integers(uint64_t a, uint64_t b) {
    struct integer x, y;
    if (mt_tag(a) == MT_SMALL && mt_tag(b) == MT_SMALL) return mt_small_value(a) < mt_small_value(b) ? -1 : a != b;
    integer_of(a, &x);
    integer_of(b, &y);
    if (x.negative != y.negative) return x.negative ? -1 : 1;
    int order = sign(x.count, y.count);
    for (uint64_t i = x.count; !order && i-- > 0;) order = sign(x.limbs[i], y.limbs[i]);
    return x.negative ? -order : order;
}

/* A magnitude's bits from the highest on, as 64-bit numbers aligned to the left; 0 behind the last. */
static uint64_t high_bits(const struct integer *i, int zeros, uint64_t at) {
    if (at >= i->count) return 0;
    const uint64_t *limb = &i->limbs[i->count - 1 - at];
    return zeros && at + 1 < i->count ? limb[0] << zeros | limb[-1] >> (64 - zeros) : limb[0] << zeros;
}

/* The magnitude of an integer to that of a float, both not 0: by number of bits before the point, then by the bits. */
static int compare_magnitudes(const struct integer *i, double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    int exponent = (int)(bits >> 52 & 2047) - 1022; /* d = 0.1... * 2^exponent */
    if (exponent < 1) return 1;                     /* below 1, subnormal numbers too */
    int zeros = __builtin_clzll(i->limbs[i->count - 1]);
    int order = sign(64 * i->count - (uint64_t)zeros, (uint64_t)exponent);
    if (order) return order;
    order = sign(high_bits(i, zeros, 0), (bits << 11 | (uint64_t)1 << 63));
    for (uint64_t at = 1; !order && at < i->count; at++) order = high_bits(i, zeros, at) != 0;
    return order;
}

static int compare_integer_float(uint64_t a, double d) {
    struct integer i;
    integer_of(a, &i);
    if (i.count == 0 || d == 0) return i.count ? (i.negative ? -1 : 1) : (d < 0) - (d > 0);
    if (i.negative != (d < 0)) return i.negative ? -1 : 1;
    int order = compare_magnitudes(&i, d < 0 ? -d : d);
    return i.negative ? -order : order;
}

static double float_of(uint64_t word) {
    double d;
    memcpy(&d, mt_ptr(word) + 1, sizeof d);
    return d;
}

static int compare_numbers(uint64_t a, uint64_t b, mote_type x, mote_type y) {
    if (x == MOTE_INTEGER) return y == MOTE_INTEGER ? compare_integers(a, b) : compare_integer_float(a, float_of(b));
    if (y == MOTE_INTEGER) return -compare_integer_float(b, float_of(a));
    double d = float_of(a), e = float_of(b);
    return (d > e) - (d < e);
}

/* ----------------------------------------------------------------------------------------- other leaves */

static int compare_bits(uint64_t a, uint64_t b) {
    struct mt_bits x = mt_bits_of(a), y = mt_bits_of(b);
    int order = sign(x.count, y.count);
    x.count = y.count = order < 0 ? x.count : y.count;
    uint64_t bytes = (x.count + 7) / 8, i = 0;
    if (!x.first && !y.first && x.count >= 8) {
        int common = memcmp(x.data, y.data, x.count / 8);
        if (common) return common;
        i = x.count / 8;
    }
    for (; i < bytes; i++) {
        uint8_t c = mt_bits_byte(&x, i), d = mt_bits_byte(&y, i);
        if (c != d) return c < d ? -1 : 1;
    }
    if (order) return order;
    /* Equal bytes: text comes after binary. */
    enum mt_kind k = mt_header_kind(*mt_ptr(a)), l = mt_header_kind(*mt_ptr(b));
    return (k == MT_TEXT || k == MT_TEXT_SHARED) - (l == MT_TEXT || l == MT_TEXT_SHARED);
}

/* Pids of other nodes go by serial and id first, ports and references by node first; the node's creation after its name. */
static int compare_far_pids(const uint64_t *a, const uint64_t *b) {
    int order = sign(a[2], b[2]);
    if (!order) order = mt_atom_compare(a[1], b[1]);
    return order ? order : sign(a[3], b[3]);
}

static int compare_far_ports(const uint64_t *a, const uint64_t *b) {
    int order = mt_atom_compare(a[1], b[1]);
    if (!order) order = sign(a[3], b[3]);
    return order ? order : sign(a[2], b[2]);
}

static int compare_far_refs(const uint64_t *a, const uint64_t *b) {
    int order = mt_atom_compare(a[1], b[1]);
    if (!order) order = sign((uint32_t)a[2], (uint32_t)b[2]);
    uint64_t m = mt_header_words(*a), n = mt_header_words(*b);
    for (uint64_t i = m > n ? m : n; !order && i > 2; i--) order = sign(i > m ? 0 : a[i], i > n ? 0 : b[i]);
    return order ? order : sign(a[2] >> 32, b[2] >> 32);
}

static int compare_functions(const uint64_t *a, const uint64_t *b) {
    enum mt_kind k = mt_header_kind(*a), l = mt_header_kind(*b);
    if (k != l) return k < l ? -1 : 1;
    if (k == MT_HOST) return sign(a[1], b[1]);
    if (k == MT_OPAQUE) {
        int order = memcmp(a + 2, b + 2, a[1] < b[1] ? a[1] : b[1]);
        return order ? order : sign(a[1], b[1]);
    }
    int order = mt_atom_compare(a[1], b[1]);
    if (!order) order = mt_atom_compare(a[2], b[2]);
    return order ? order : compare_integers(a[3], b[3]);
}

/* Pids, ports and references: this runtime's before those of others. */
static int compare_named(uint64_t a, uint64_t b) {
    if (mt_tag(a) != MT_BOXED || mt_tag(b) != MT_BOXED)
        return mt_tag(a) == mt_tag(b) ? sign(a, b) : mt_tag(a) == MT_BOXED ? 1 : -1;
    switch (mt_header_kind(*mt_ptr(a))) {
    case MT_PID_FAR: return compare_far_pids(mt_ptr(a), mt_ptr(b));
    case MT_PORT_FAR: return compare_far_ports(mt_ptr(a), mt_ptr(b));
    default: return compare_far_refs(mt_ptr(a), mt_ptr(b));
    }
}

/* Terms that need no walk: of different types, or atomic, or compound ones of different sizes (0 if the sizes are equal). */
static int compare_leaves(uint64_t a, uint64_t b, bool exact) {
    static const uint8_t rank[] = {[MOTE_INTEGER] = 1, [MOTE_FLOAT] = 1, [MOTE_ATOM] = 2, [MOTE_REFERENCE] = 3, [MOTE_FUNCTION] = 4,
                                   [MOTE_PORT] = 5, [MOTE_PID] = 6, [MOTE_TUPLE] = 7, [MOTE_MAP] = 8, [MOTE_NIL] = 9,
                                   [MOTE_LIST] = 10, [MOTE_BINARY] = 11, [MOTE_BITSTRING] = 11, [MOTE_TEXT] = 11};
    mote_type x = mote_term_type((mote_term){a}), y = mote_term_type((mote_term){b});
    if (rank[x] != rank[y]) return rank[x] < rank[y] ? -1 : 1;
    switch (x) {
    case MOTE_INTEGER:
    case MOTE_FLOAT:
        if (exact && x != y) return x == MOTE_INTEGER ? -1 : 1; /* C2 */
        return compare_numbers(a, b, x, y);
    case MOTE_ATOM: return mt_atom_compare(a, b);
    case MOTE_FUNCTION: return compare_functions(mt_ptr(a), mt_ptr(b));
    case MOTE_TUPLE:
    case MOTE_MAP: return sign(mt_header_words(*mt_ptr(a)), mt_header_words(*mt_ptr(b)));
    case MOTE_REFERENCE:
    case MOTE_PORT:
    case MOTE_PID: return compare_named(a, b);
    case MOTE_BINARY:
    case MOTE_BITSTRING:
    case MOTE_TEXT: return compare_bits(a, b);
    default: return 0; /* nil, none; lists are walked */
    }
}

/* ------------------------------------------------------------------------------------------- comparing */

/* Takes the next pair of a span. Gives its order when that is decided; else 0, and what to walk inside it (maybe nothing). */
static int step(struct mt_span *span, struct mt_span *inner) {
    uint64_t a = *span->a++, b = *span->b++;
    bool exact = span->exact > 0;
    span->count--;
    span->exact -= exact;
    inner->count = 0;
    if (a == b) return 0;
    uint32_t count = mt_walk_inner(a, &inner->a);
    if (!count || count != mt_walk_inner(b, &inner->b)) return compare_leaves(a, b, exact);
    if (mt_tag(a) != mt_tag(b) || (mt_tag(a) == MT_BOXED && *mt_ptr(a) != *mt_ptr(b))) return compare_leaves(a, b, exact);
    bool map = mt_tag(a) == MT_BOXED && mt_header_kind(*mt_ptr(a)) == MT_MAP;
    inner->count = count;
    inner->exact = exact ? count : map ? count / 2 : 0; /* C2 */
    return 0;
}

/* Compares without an explicit stack: gives `otherwise` when all is equal. Of two parts the smaller one is done first, by
 * recursion, at most log2(terms) deep; the first one that differs decides. */
static int compare_lean(struct mt_span span, int otherwise) {
    while (span.count > 0) {
        struct mt_span inner;
        int order = step(&span, &inner);
        if (order) return order;
        if (inner.count == 0) continue;
        if (span.count == 0) {
            span = inner;
        } else if (mt_walk_smaller(&inner, &span)) {
            order = compare_lean(inner, 0);
            if (order) return order;
        } else {
            otherwise = compare_lean(span, otherwise);
            span = inner;
        }
    }
    return otherwise;
}

static int compare_walk(struct mt_span span) {
    struct mt_walk walk;
    int order = 0;
    mt_walk_init(&walk);
    do {
        while (span.count > 0 && !order) {
            struct mt_span inner;
            order = step(&span, &inner);
            if (order || inner.count == 0) continue;
            if (span.count == 0 || mt_walk_push(&walk, &span))
                span = inner;
            else
                order = compare_lean(inner, 0); /* C1 */
        }
    } while (!order && mt_walk_pop(&walk, &span));
    mt_walk_fini(&walk);
    return order;
}

static int compare(uint64_t a, uint64_t b, bool exact) {
    struct mt_span inner, span = {&a, &b, 1, exact};
    int order = step(&span, &inner);
    return order || inner.count == 0 ? order : compare_walk(inner);
}

int mote_term_compare(mote_term a, mote_term b) { return compare(a.word, b.word, false); }

bool mote_term_equal(mote_term a, mote_term b) { return compare(a.word, b.word, false) == 0; }

bool mote_term_same(mote_term a, mote_term b) { return compare(a.word, b.word, true) == 0; }

int mt_term_compare_keys(uint64_t a, uint64_t b) { return compare(a, b, true); }

/* ---------------------------------------------------------------------------------------------- hashing */

/* A term is the sequence of its tokens, depth first; its hash is their polynomial in HASH_P. Appending a token, or a sequence,
 * is an affine map, and these compose in any order that keeps neighbours together: so hash_lean() may do parts first. */
#define HASH_P UINT64_C(0x9e3779b97f4a7c15)

struct affine {
    uint64_t mul;
    uint64_t add;
};

static struct affine then(struct affine first, struct affine second) {
    return (struct affine){first.mul * second.mul, first.add * second.mul + second.add};
}

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t hash_words(const uint64_t *words, uint64_t count, uint64_t h) {
    for (uint64_t i = 0; i < count; i++) h = (h ^ mix(words[i])) * HASH_P;
    return h;
}

static uint64_t hash_integer(uint64_t word) {
    struct integer i;
    integer_of(word, &i);
    return hash_words(i.limbs, i.count, i.negative ? 11 : 10);
}

/* By bytes, eight at a time, the same for every offset and byte order. */
static uint64_t hash_bits(uint64_t word, bool text) {
    struct mt_bits bits = mt_bits_of(word);
    uint64_t bytes = (bits.count + 7) / 8, h = mix(bits.count << 1 | text);
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t eight = 0, n = bytes - i < 8 ? bytes - i : 8;
        for (uint64_t j = 0; j < n; j++) eight |= (uint64_t)mt_bits_byte(&bits, i + j) << 8 * j;
        h = hash_words(&eight, 1, h);
    }
    return h;
}

static uint64_t hash_float(uint64_t word) {
    double d = float_of(word);
    uint64_t bits = 0;
    if (d != 0) memcpy(&bits, &d, sizeof bits); /* 0.0 =:= -0.0 */
    return hash_words(&bits, 1, 12);
}

static uint64_t hash_object(uint64_t word) {
    const uint64_t *p = mt_ptr(word);
    enum mt_kind kind = mt_header_kind(*p);
    uint64_t h = mix(*p);
    switch (kind) {
    case MT_FUN: return hash_words(p + 3, 1, (mt_atom_hash(p[1]) ^ h) * HASH_P + mt_atom_hash(p[2]));
    case MT_FLOAT: return hash_float(word);
    case MT_BIG:
    case MT_BIG_NEG: return hash_integer(word);
    case MT_BIN:
    case MT_BIN_SHARED: return hash_bits(word, false);
    case MT_TEXT:
    case MT_TEXT_SHARED: return hash_bits(word, true);
    case MT_PID_FAR:
    case MT_PORT_FAR:
    case MT_REF_FAR: return hash_words(p + 2, mt_header_words(*p) - 1, mt_atom_hash(p[1]) ^ h);
    case MT_HOST: return hash_words(p + 1, 1, h);
    case MT_OPAQUE:
        for (uint64_t i = 0; i < p[1]; i++) h = (h ^ ((const uint8_t *)(p + 2))[i]) * HASH_P;
        return h;
    default: return h; /* tuples and maps: kind and size */
    }
}

/* The token of a term: all of a leaf, the head of a compound one. */
static uint64_t token(uint64_t word) {
    switch ((enum mt_tag)mt_tag(word)) {
    case MT_BOXED: return word ? mix(hash_object(word)) : 0;
    case MT_SMALL: return mix(hash_integer(word));
    case MT_ATOM: return mix(mt_atom_hash(word));
    case MT_CONS: return mix(MT_CONS);
    default: return mix(word); /* pids, references, nil */
    }
}

static struct affine hash_lean(struct mt_span span) {
    struct affine before = {1, 0}, behind = {1, 0};
    while (span.count > 0) {
        struct mt_span inner = {.b = NULL};
        uint64_t word = *span.a++;
        span.count--;
        before = then(before, (struct affine){HASH_P, token(word)});
        inner.count = mt_walk_inner(word, &inner.a);
        if (inner.count == 0) continue;
        if (span.count == 0) {
            span = inner;
        } else if (mt_walk_smaller(&inner, &span)) {
            before = then(before, hash_lean(inner));
        } else {
            behind = then(hash_lean(span), behind);
            span = inner;
        }
    }
    return then(before, behind);
}

uint64_t mote_term_hash(mote_term term) {
    struct mt_walk walk;
    struct mt_span span = {.a = &term.word, .count = 1};
    uint64_t h = 0;
    mt_walk_init(&walk);
    do {
        while (span.count > 0) {
            struct mt_span inner = {.b = NULL};
            uint64_t word = *span.a++;
            span.count--;
            h = h * HASH_P + token(word);
            inner.count = mt_walk_inner(word, &inner.a);
            if (inner.count == 0) continue;
            if (span.count == 0 || mt_walk_push(&walk, &span)) {
                span = inner;
            } else {
                struct affine part = hash_lean(inner); /* C1 */
                h = h * part.mul + part.add;
            }
        }
    } while (mt_walk_pop(&walk, &span));
    mt_walk_fini(&walk);
    return mix(h);
}
