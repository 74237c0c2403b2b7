/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "term/term.h"

#ifndef PRINT_TEST_INC
#define PRINT_TEST_INC "term/print_test.inc"
#endif
#include PRINT_TEST_INC

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static mote_term parse(mote_arena *arena, const char *text) {
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    mote_err err = mote_term_parse(arena, text, strlen(text), &term, &at);
    if (err) fprintf(stderr, "# %s at %zu of: %s\n", mote_err_name(err), at, text);
    CHECK_OK(err);
    return term;
}

/* The printed text in a block to be freed. */
static char *print(mote_term term) {
    size_t size = mote_term_print(term, NULL, 0);
    char *text = malloc(size + 1);
    CHECK(text);
    CHECK_INT(mote_term_print(term, text, size + 1), size);
    CHECK_INT(strlen(text), size);
    return text;
}

static void prints(mote_term term, const char *want) {
    char *text = print(term);
    if (strcmp(text, want) != 0) fprintf(stderr, "# got  %s\n# want %s\n", text, want);
    CHECK(strcmp(text, want) == 0);
    free(text);
}

static void as_erlang(void) {
    for (size_t i = 0; i < COUNT(printed_terms); i++) {
        mote_arena *arena = mote_arena_new(0);
        mote_term term = parse(arena, printed_terms[i].source);
        prints(term, printed_terms[i].printed);
        CHECK(mote_term_same(parse(arena, printed_terms[i].printed), term));
        mote_arena_free(arena);
    }
}

static void floats_as_erlang(void) {
    mote_arena *arena = mote_arena_new(0);
    for (size_t i = 0; i < COUNT(printed_floats); i++) {
        double v, back;
        memcpy(&v, &printed_floats[i].bits, sizeof v);
        prints(mote_float_make(arena, v), printed_floats[i].printed);
        CHECK_OK(mote_float_get(parse(arena, printed_floats[i].printed), &back));
        CHECK(memcmp(&back, &v, sizeof v) == 0);
    }
    mote_arena_free(arena);
}

int main(int argc, char **argv) { return check_main(argc, argv, (struct check_test[]){TEST(as_erlang), TEST(floats_as_erlang), {0}}); }
