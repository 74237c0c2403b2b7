/* SPDX-License-Identifier: Apache-2.0
 * Atoms in terms: what has which shape, against the reader that knows what terms mean. */
#include "dist/swap.h"

#include "check.h"
#include "hex.h"
#include "term/etf_random.h"

/* Numbers atoms by their first letter: a is 0, b is 1. Others stay. */
static int by_letter(void *context, mote_bytes atom) {
    const char *p = atom.data;
    ++*(unsigned *)context;
    return atom.size == 1 && p[0] >= 'a' && p[0] <= 'f' ? p[0] - 'a' : -1;
}

static const mote_bytes letters[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}, {"f", 1}};

/* Whole, it is moved over and comes back the same through references; each beginning of it is refused. Gives how many bytes it has with references. */
static size_t holds(mote_bytes term) {
    const uint8_t *p = term.data;
    unsigned asked = 0;
    for (size_t n = 0; n <= term.size; n++) {
        uint8_t *copy = malloc(n ? n : 1); /* reading on is seen */
        CHECK(copy);
        if (n) memcpy(copy, p, n);
        struct mt_swap_input input = {copy, copy + n};
        CHECK_INT(mt_swap_skip(&input, 0), n < term.size ? MT_NO_TERM : MT_FINE);
        CHECK(n < term.size || input.at == input.end);
        free(copy);
    }
    mote_writer out, in;
    mote_writer_init(&out, MOTE_FORM_NODES, NULL, 0, 1 << 20), mote_writer_init(&in, MOTE_FORM_NODES, NULL, 0, 1 << 20);
    struct mt_swap_input input = {p, p + term.size};
    CHECK_INT(mt_swap_out(&input, by_letter, &asked, &out), MT_FINE);
    mote_bytes refs = mote_writer_bytes(&out);
    input = (struct mt_swap_input){refs.data, (const uint8_t *)refs.data + refs.size};
    CHECK_INT(mt_swap_in(&input, letters, 6, &in), MT_FINE);
    CHECK(input.at == input.end && mote_writer_bytes(&in).size == term.size && memcmp(mote_writer_bytes(&in).data, p, term.size) == 0);
    size_t size = refs.size;
    mote_writer_fini(&out), mote_writer_fini(&in);
    return size;
}

/* Every tag: with how many atoms that become one byte less. */
static void each_shape(void) {
    static const struct {
        const char *term;
        size_t less;
    } rows[] = {
        {"6a", 0}, {"6101", 0}, {"62ffffffff", 0}, {"463ff0000000000000", 0}, {"63312e3030303030303030303030303030303030303030652b30300000000000", 0},
        {"6e010005", 0}, {"6e0000", 0}, {"6f0000000100ff", 0}, {"6b0003616263", 0}, {"6b0000", 0}, {"6d00000000", 0}, {"6d000000026162", 0}, {"4d0000000103e0", 0},
        {"770161", 1}, {"770162", 1}, {"77017a", 0}, {"7700", 0}, {"77026162", 0}, {"76000161", 0}, {"64000161", 0}, {"730161", 0},
        {"6800", 0}, {"6802770161770162", 2}, {"6900000002770161" "6a", 1}, {"6c00000001770161" "6a", 1}, {"6c000000006a", 0}, {"6c00000001770161770162", 2},
        {"03026162", 0}, {"0300", 0}, {"04000000026162", 0}, {"060102" "770161" "6101", 1}, {"0701" "00000001" "770161", 1}, {"080200" "770161", 1}, {"080202" "6101" "770161" "0300", 1},
        {"7400000000", 0}, {"7400000001770161770162", 2}, {"71770161770162" "6103", 2},
        {"58770161" "000000010000000200000003", 1}, {"67770161" "000000010000000203", 1}, {"59770161" "0000000100000003", 1}, {"78770161" "000000000000000100000003", 1},
        {"66770161" "0000000103", 1}, {"65770161" "0000000103", 1}, {"5a0003770161" "00000003" "000000010000000200000003", 1}, {"720002770161" "03" "0000000100000002", 1},
        {"70" "00000040" "01" "000102030405060708090a0b0c0d0e0f" "00000003" "00000001" "770161" "6103" "6107" "58770161" "000000010000000000000002" "770161", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mote_reader r;
        mote_bytes term = hex(rows[i].term);
        mote_reader_init(&r, MOTE_FORM_NODES, term.data, term.size);
        CHECK(mote_reader_skip(&r, 1) && r.next == r.end); /* it is what it should be */
        CHECK_INT(holds(term), term.size - rows[i].less);
    }
}

static void what_has_no_shape(void) {
    for (unsigned tag = 0; tag < 256; tag++) {
        uint8_t bytes[64] = {(uint8_t)tag};
        mote_reader r;
        mote_reader_init(&r, MOTE_FORM_NODES, bytes, sizeof bytes);
        struct mt_swap_input input = {bytes, bytes + sizeof bytes};
        bool meant = mote_reader_skip(&r, 1), shaped = mt_swap_skip(&input, 0) == MT_FINE;
        CHECK(!meant || (shaped && input.at == r.next)); /* whatever has a meaning has that shape */
    }
    struct mt_swap_input input = {NULL, NULL};
    CHECK_INT(mt_swap_skip(&input, 0), MT_NO_TERM);
}

static void random_ones(void) {
    struct random_terms terms = {.state = 4711};
    for (unsigned i = 0; i < 2000; i++) {
        mote_writer w;
        mote_writer_init(&w, MOTE_FORM_NODES, NULL, 0, 1 << 24);
        terms.arena = mote_arena_new(0);
        CHECK_OK(mote_term_encode(random_term(&terms, 30), NULL, &w));
        if (mote_writer_bytes(&w).size < 2000) holds(mote_writer_bytes(&w));
        mote_writer_fini(&w);
        mote_arena_free(terms.arena);
    }
}

/* Deep ones take no stack, and no more than there are bytes may be announced. */
static void deep_ones(void) {
    static uint8_t lists[5 * 200000];
    for (size_t i = 0; i < 200000; i++) memcpy(lists + 5 * i, "\x6c\xff\xff\xff\xff", 5);
    static uint8_t tuples[2 * 500000 + 1];
    for (size_t i = 0; i < 500000; i++) memcpy(tuples + 2 * i, "\x68\1", 2);
    tuples[sizeof tuples - 1] = 0x6a;
    struct mt_swap_input input = {tuples, tuples + sizeof tuples};
    CHECK_INT(mt_swap_skip(&input, 0), MT_FINE);
    input = (struct mt_swap_input){lists, lists + sizeof lists};
    CHECK_INT(mt_swap_skip(&input, 0), MT_NO_TERM);
}

static void references(void) {
    mote_writer w;
    uint8_t memory[8];
    mote_writer_init(&w, MOTE_FORM_NODES, memory, sizeof memory, sizeof memory);
    mote_bytes term = hex("680252005201");
    struct mt_swap_input input = {term.data, (const uint8_t *)term.data + term.size};
    CHECK_INT(mt_swap_skip(&input, 1), MT_NO_ATOM_REF);
    input.at = term.data;
    CHECK_INT(mt_swap_skip(&input, 2), MT_FINE);
    input.at = term.data;
    CHECK_INT(mt_swap_in(&input, letters, 1, &w), MT_NO_ATOM_REF);
    mote_writer_fini(&w);
    mote_writer_init(&w, MOTE_FORM_NODES, memory, sizeof memory, sizeof memory);
    input.at = term.data;
    CHECK_INT(mt_swap_in(&input, letters, 2, &w), MT_FINE);
    mote_writer_fini(&w);
    mote_writer_init(&w, MOTE_FORM_NODES, memory, 7, 7);
    input.at = term.data;
    CHECK_INT(mt_swap_in(&input, letters, 2, &w), MT_NO_LARGE);
    mote_writer_fini(&w);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(each_shape), TEST(what_has_no_shape), TEST(random_ones), TEST(deep_ones), TEST(references), {0}});
}
