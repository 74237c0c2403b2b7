/* SPDX-License-Identifier: Apache-2.0
 * The order of terms against Erlang's own: order_test.inc is made by tests/gen_order.escript. */
#include <mote/external.h>

#include "check.h"
#include "hex.h"
#include "term/term.h"

static mote_term read_hex(mote_arena *arena, const char *digits) {
    mote_bytes bytes = hex(digits);
    mote_external_options options = {.version = true};
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    CHECK_OK(mote_term_decode(arena, bytes.data, bytes.size, &options, &term, &at));
    CHECK_INT(at, bytes.size);
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
