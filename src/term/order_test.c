/* SPDX-License-Identifier: Apache-2.0
 * The order of terms against Erlang's own: order_test.inc is made by tests/gen_order.escript. */
#include "check.h"
#include "term/term.h"

/* ------------------------------------------- a reader of the external format, as far as the table needs it */

struct reader {
    const char *hex;
    mote_arena *arena;
};

static uint64_t number(struct reader *r, size_t bytes) {
    uint64_t n = 0;
    unsigned byte;
    for (; bytes-- > 0; r->hex += 2) {
        CHECK(sscanf(r->hex, "%2x", &byte) == 1);
        n = n << 8 | byte;
    }
    return n;
}

static void take(struct reader *r, void *to, size_t size) {
    for (size_t i = 0; i < size; i++) ((uint8_t *)to)[i] = (uint8_t)number(r, 1);
}

static mote_term read_term(struct reader *r);

static mote_term read_atom(struct reader *r) {
    char name[256];
    uint64_t tag = number(r, 1);
    CHECK(tag == 119 || tag == 100);
    size_t size = number(r, tag == 119 ? 1 : 2);
    take(r, name, size);
    return mote_atom_make_counted(r->arena, name, size);
}

static mote_term read_big(struct reader *r, size_t size) {
    uint8_t bytes[512];
    bool negative = number(r, 1);
    take(r, bytes, size);
    return mote_big_make(r->arena, negative, bytes, size);
}

static mote_term read_float(struct reader *r) {
    uint64_t bits = number(r, 8);
    double d;
    memcpy(&d, &bits, 8);
    return mote_float_make(r->arena, d);
}

static mote_term read_tuple(struct reader *r, size_t count) {
    mote_term parts[64];
    CHECK(count <= 64);
    for (size_t i = 0; i < count; i++) parts[i] = read_term(r);
    return mote_tuple_make(r->arena, count, parts);
}

static mote_term read_list(struct reader *r, size_t count) {
    mote_term parts[64];
    CHECK(count <= 64);
    for (size_t i = 0; i < count; i++) parts[i] = read_term(r);
    return mote_list_make(r->arena, count, parts, read_term(r));
}

static mote_term read_string(struct reader *r, size_t count) {
    mote_term parts[64];
    for (size_t i = 0; i < count; i++) parts[i] = mote_int_make(NULL, (int64_t)number(r, 1));
    return mote_list_make(r->arena, count, parts, MOTE_TERM_NIL);
}

static mote_term read_map(struct reader *r, size_t count) {
    mote_term keys[64], values[64];
    for (size_t i = 0; i < count; i++) keys[i] = read_term(r), values[i] = read_term(r);
    return mote_map_make(r->arena, count, keys, values);
}

static mote_term read_bits(struct reader *r, size_t size, size_t last) {
    uint8_t bytes[256];
    take(r, bytes, size);
    return mote_bitstring_make(r->arena, bytes, 8 * size - (8 - last));
}

static mote_term read_function(struct reader *r) {
    mote_atom module, function;
    int64_t arity;
    CHECK_OK(mote_atom_get(read_atom(r), &module));
    CHECK_OK(mote_atom_get(read_atom(r), &function));
    CHECK_OK(mote_int_get(read_term(r), &arity));
    return mote_function_make(r->arena, module, function, (unsigned)arity);
}

/* An object of another node: `words` raw words follow the node. */
static mote_term far(struct reader *r, enum mt_kind kind, mote_term node, const uint64_t *raw, size_t words) {
    uint64_t *p = mt_arena_words(r->arena, 2 + words);
    p[0] = mt_header(kind, 1 + words);
    p[1] = node.word;
    memcpy(p + 2, raw, 8 * words);
    mt_atom_hold(node.word);
    return (mote_term){mt_boxed(p)};
}

static mote_term read_pid(struct reader *r) {
    mote_term node = read_atom(r);
    uint64_t raw[2];
    raw[0] = number(r, 4);
    raw[0] |= number(r, 4) << 32;
    raw[1] = number(r, 4);
    return far(r, MT_PID_FAR, node, raw, 2);
}

static mote_term read_port(struct reader *r, size_t bytes) {
    mote_term node = read_atom(r);
    uint64_t raw[2];
    raw[0] = number(r, bytes);
    raw[1] = number(r, 4);
    return far(r, MT_PORT_FAR, node, raw, 2);
}

static mote_term read_ref(struct reader *r) {
    uint64_t raw[4] = {0}, count = number(r, 2);
    mote_term node = read_atom(r);
    raw[0] = number(r, 4) | count << 32;
    for (size_t i = 0; i < count; i++) raw[1 + i / 2] |= number(r, 4) << i % 2 * 32;
    return far(r, MT_REF_FAR, node, raw, 1 + (count + 1) / 2);
}

static mote_term read_term(struct reader *r) {
    switch (number(r, 1)) {
    case 70: return read_float(r);
    case 77: {
        size_t size = number(r, 4), last = number(r, 1);
        return read_bits(r, size, last);
    }
    case 88: return read_pid(r);
    case 89: return read_port(r, 4);
    case 90: return read_ref(r);
    case 97: return mote_int_make(r->arena, (int64_t)number(r, 1));
    case 98: return mote_int_make(r->arena, (int32_t)number(r, 4));
    case 104: return read_tuple(r, number(r, 1));
    case 106: return MOTE_TERM_NIL;
    case 107: return read_string(r, number(r, 2));
    case 108: return read_list(r, number(r, 4));
    case 109: return read_bits(r, number(r, 4), 8);
    case 110: return read_big(r, number(r, 1));
    case 111: return read_big(r, number(r, 4));
    case 113: return read_function(r);
    case 116: return read_map(r, number(r, 4));
    case 120: return read_port(r, 8);
    default: r->hex -= 2; return read_atom(r);
    }
}

static mote_term read_hex(mote_arena *arena, const char *hex) {
    struct reader r = {hex, arena};
    CHECK(number(&r, 1) == 131);
    mote_term term = read_term(&r);
    CHECK(term.word != 0);
    CHECK(*r.hex == 0);
    return term;
}

/* ---------------------------------------------------------------------------------------------- the tests */

static const struct row {
    const char *a, *b;
    int order;
    bool same;
    int key_order;
} rows[] = {
#define X(a, b, order, same, key_order) {a, b, order, same, key_order},
#include "term/order_test.inc"
#undef X
};
#define ROWS (sizeof rows / sizeof *rows)

static int sign(int order) { return (order > 0) - (order < 0); }

static void check_row(mote_arena *arena, const struct row *row) {
    mote_term a = read_hex(arena, row->a), b = read_hex(arena, row->b);
    int got = sign(mote_term_compare(a, b)), keys = sign(mt_term_compare_keys(a.word, b.word));
    if (got != row->order || keys != row->key_order) fprintf(stderr, "# %s %s: %d, as keys %d\n", row->a, row->b, got, keys);
    CHECK_INT(got, row->order);
    CHECK_INT(sign(mote_term_compare(b, a)), -row->order);
    CHECK_INT(keys, row->key_order);
    CHECK_INT(sign(mt_term_compare_keys(b.word, a.word)), -row->key_order);
    CHECK_INT(mote_term_equal(a, b), row->order == 0);
    CHECK_INT(mote_term_same(a, b), row->same);
    CHECK_INT(mote_term_hash(a) == mote_term_hash(b), row->same); /* no collisions among so few */
    CHECK_INT(mote_term_compare(a, a), 0);
}

static void as_erlang(void) {
    mote_arena *arena = mote_arena_new(0);
    CHECK(ROWS > 300);
    for (size_t i = 0; i < ROWS; i++) check_row(arena, &rows[i]);
    mote_arena_free(arena);
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE);
}

/* Without memory for the explicit stack the answers are the same. A chain of first elements leaves no room in it. */
static mote_term buried(mote_arena *arena, mote_term term, unsigned depth) {
    for (; depth > 0; depth--) term = mote_cons_make(arena, term, mote_int_make(NULL, (int64_t)depth));
    return term;
}

static void as_erlang_without_memory(void) {
    mote_arena *arena = mote_arena_new(0);
    for (size_t i = 0; i < ROWS; i++) {
        mote_term a = buried(arena, read_hex(arena, rows[i].a), 16 + i % 8), b = buried(arena, read_hex(arena, rows[i].b), 16 + i % 8);
        uint64_t hash = mote_term_hash(a), other = mote_term_hash(b);
        mt_os_fault_arm(1, true);
        CHECK_INT(sign(mote_term_compare(a, b)), rows[i].order);
        CHECK_INT(mote_term_same(a, b), rows[i].same);
        CHECK_INT(sign(mt_term_compare_keys(b.word, a.word)), -rows[i].key_order);
        CHECK(mote_term_hash(a) == hash && mote_term_hash(b) == other);
        mt_os_fault_arm(0, false);
    }
    mote_arena_free(arena);
}

/* Every three of the table's terms are ordered consistently. */
static void is_transitive(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_term terms[ROWS];
    for (size_t i = 0; i < ROWS; i++) terms[i] = read_hex(arena, i % 2 ? rows[i].a : rows[i].b);
    uint32_t seed = 1;
    for (size_t n = 0; n < 300000; n++) {
        mote_term t[3];
        for (int k = 0; k < 3; k++) t[k] = terms[(seed = seed * 1103515245 + 12345) / 65536 % ROWS];
        if (mote_term_compare(t[0], t[1]) <= 0 && mote_term_compare(t[1], t[2]) <= 0) CHECK(mote_term_compare(t[0], t[2]) <= 0);
    }
    mote_arena_free(arena);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(as_erlang), TEST(as_erlang_without_memory), TEST(is_transitive), {0}});
}
