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

/* As snprintf: whatever fits, a zero byte, the whole length. */
static void sizes(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_term term = parse(arena, "{abc,[1,2|{}],#{a => <<1,2>>}}");
    size_t whole = mote_term_print(term, NULL, 0);
    char all[100];
    CHECK_INT(mote_term_print(term, all, sizeof all), whole);
    for (size_t size = 1; size < whole + 5; size++) {
        char *text = malloc(size);
        CHECK(text);
        CHECK_INT(mote_term_print(term, text, size), whole);
        CHECK_INT(strlen(text), size <= whole ? size - 1 : whole);
        CHECK(strncmp(text, all, size - 1) == 0);
        free(text);
    }
    CHECK_STR(all, "{abc,[1,2|{}],#{a => <<1,2>>}}");
    mote_arena_free(arena);
}

static void texts(void) {
    static const struct {
        const char *utf8, *printed;
    } forms[] = {{"", "<<>>"}, {"abc", "<<\"abc\">>"}, {"a\"\\\n", "<<\"a\\\"\\\\\\n\">>"}, {"a\001", "<<97,1>>"},
                 {"\303\251", "<<\"\303\251\"/utf8>>"}, {"a\346\227\245\n", "<<\"a\346\227\245\\n\"/utf8>>"},
                 {"\302\200", "<<194,128>>"}, {"\357\277\276", "<<239,191,190>>"}, {"\360\237\230\200", "<<\"\360\237\230\200\"/utf8>>"}};
    mote_arena *arena = mote_arena_new(0);
    for (size_t i = 0; i < COUNT(forms); i++) {
        mote_term text = mote_text_make(arena, forms[i].utf8, strlen(forms[i].utf8));
        prints(text, forms[i].printed);
        mote_term back = parse(arena, forms[i].printed);
        CHECK(mote_term_same(back, text) == (strstr(forms[i].printed, "/utf8") != NULL));
        CHECK(mote_term_type(back) == MOTE_BINARY || mote_term_same(back, text));
    }
    char large[201];
    memset(large, 'x', 200);
    large[200] = 0;
    char *shown = print(mote_text_make(arena, large, 200));
    CHECK_INT(strlen(shown), 206);
    free(shown);
    mote_arena_free(arena);
}

static void others(void) {
    mote_arena *arena = mote_arena_new(0);
    prints(MOTE_TERM_NONE, "<none>");
    prints((mote_term){mt_pid_word(7, 0, 3)}, "<0.7.3>");
    prints((mote_term){mt_pid_word(7, 1, 3)}, "<0.67108871.3>");
    prints((mote_term){(uint64_t)262145 << 3 | MT_REF}, "#Ref<0.0.1.1>");
    mote_term part = mote_binary_part(arena, mote_binary_make(arena, "..abc", 5), 2, 3);
    prints(part, "<<\"abc\">>");
    static const uint8_t fun[] = {112, 0, 0, 0, 60, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 5, 0, 0, 0, 0,
                                  119, 4, 'l', 'i', 's', 't', 97, 42, 98, 0, 0, 1, 2};
    uint64_t words[2 + sizeof fun / 8 + 1] = {mt_header(MT_OPAQUE, 1 + sizeof fun / 8 + 1), sizeof fun};
    memcpy(words + 2, fun, sizeof fun);
    prints((mote_term){mt_boxed(words)}, "#Fun<list.42.258>");
    for (words[1] = 0; words[1] < sizeof fun; words[1]++) CHECK(mote_term_print((mote_term){mt_boxed(words)}, NULL, 0) >= 6);
    mote_arena_free(arena);
}

/* Without memory for its stack or digits it says so in the text. */
static void out_of_memory(void) {
#ifdef MT_FAULTS
    mote_arena *arena = mote_arena_new(0);
    mote_term term = parse(arena, "{{{{{{{{{{{{{{{{{{{{x}}}}}}}}}}}}}}}}}}}}"), number = parse(arena, "[12345678901234567890123]");
    char text[100];
    mt_os_fault_arm(1, true);
    mote_term_print(term, text, sizeof text);
    CHECK_STR(text, "{{{{{{{{{{{{{{{{...}}}}}}}}}}}}}}}}");
    mote_term_print(number, text, sizeof text);
    CHECK_STR(text, "[...]");
    mt_os_fault_arm(0, false);
    mote_arena_free(arena);
#endif
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(as_erlang), TEST(floats_as_erlang), TEST(sizes), TEST(texts), TEST(others), TEST(out_of_memory), {0}});
}
