/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>

#include "check.h"

/* Small, as a process has it; the system may want more (PTHREAD_STACK_MIN is 128 KiB on aarch64). */
#define SMALL_STACK ((size_t)32768 > (size_t)PTHREAD_STACK_MIN ? (size_t)32768 : (size_t)PTHREAD_STACK_MIN)
#include "term/term.h"

/* Runs `call` with stderr caught; what it said is in `said`. */
static char said[4096];
#define CATCH(call)                                     \
    do {                                                \
        int old_ = catch_start();                       \
        call;                                           \
        catch_end(old_);                                \
    } while (0)

static int pipe_ends[2];
static int catch_start(void) {
    int old = dup(STDERR_FILENO);
    CHECK(pipe(pipe_ends) == 0);
    dup2(pipe_ends[1], STDERR_FILENO);
    close(pipe_ends[1]);
    return old;
}
static void catch_end(int old) {
    dup2(old, STDERR_FILENO);
    close(old);
    ssize_t n = 0, more = 0;
    while ((more = read(pipe_ends[0], said + n, sizeof said - 1 - (size_t)n)) > 0) n += more;
    said[n] = 0;
    close(pipe_ends[0]);
}

static mote_arena *arena;

static mote_term parse(const char *text) {
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    mote_err err = mote_term_parse(arena, text, strlen(text), &term, &at);
    if (err) fprintf(stderr, "# %s at %zu of: %s\n", mote_err_name(err), at, text);
    CHECK_OK(err);
    return term;
}

/* The fragment holds the whole term, root first, and nothing points out of it. */
static void check_fragment(mote_term term, const uint64_t *words, size_t count) {
    size_t size = 0;
    if (!mt_is_pointer(term.word)) return;
    CHECK(mt_ptr(term.word) == words);
    for (size_t i = 0; i < count; i++) {
        uint64_t word = words[i];
        if (mt_tag(word) == MT_HEADER) {
            if (mt_tagged_words(word) != mt_header_words(word)) i += mt_header_words(word);
        } else if (mt_is_pointer(word)) {
            CHECK(mt_ptr(word) > words && mt_ptr(word) < words + count);
        }
    }
    CHECK_OK(mt_term_size(term, &size));
    CHECK(size <= count);
}

/* Builds as a message is built, and again in the arena; both must be `want`. */
static void builds(mote_site *site, size_t count, const mote_arg *args, const char *want) {
    const struct mt_pattern *p;
    size_t words = 0;
    bool counted = false;
    mote_term term = MOTE_TERM_NONE, again = MOTE_TERM_NONE, expected = parse(want);
    CHECK_OK(mt_site_pattern(site, &p));
    CHECK_OK(mt_pattern_size(p, count, args, &words));
    uint64_t *to = malloc((words + 1) * sizeof *to);
    CHECK(to);
    to[words] = UINT64_C(0x1122334455667788);
    CHECK_OK(mt_pattern_fill(p, args, to, &counted, &term));
    CHECK(to[words] == UINT64_C(0x1122334455667788));
    check_fragment(term, to, words);
    if (!mote_term_same(term, expected)) {
        char text[300];
        mote_term_print(term, text, sizeof text);
        fprintf(stderr, "# %s gave %s, not %s\n", site->text, text, want);
    }
    CHECK(mote_term_same(term, expected));
    CHECK_OK(mote_build_site(arena, &again, site, count, args));
    CHECK(mote_term_same(again, expected));
    mt_fragment_drop(to, words);
    free(to);
}
#define BUILDS(want, text, ...) builds(MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__), want)
#define FAILS(err, text, ...)                                                                     \
    do {                                                                                          \
        mote_term untouched_ = {77};                                                              \
        mote_err got_ = MOTE_OK;                                                                  \
        CATCH(got_ = mote_build(arena, &untouched_, text __VA_OPT__(, ) __VA_ARGS__));            \
        CHECK_INT(got_, err);                                                                     \
        CHECK(untouched_.word == 77);                                                             \
    } while (0)

static void builds_constants(void) {
    BUILDS("ok", "ok");
    BUILDS("42", "42");
    BUILDS("-42", " - 42 . % a comment");
    BUILDS("[]", "[]");
    BUILDS("{}", "{}");
    BUILDS("#{}", "#{}");
    BUILDS("1.5", "1.5");
    BUILDS("18446744073709551616", "18446744073709551616");
    BUILDS("{a,{b,[1,2|c]},\"text\"}", "{a, {b, [1, 2|c]}, \"te\" \"xt\"}");
    BUILDS("<<1,2,3>>", "<<1,2,3>>");
    BUILDS("{<<\"abc\">>,<<5:3>>}", "{<<\"abc\">>, <<5:3>>}");
    BUILDS("{<<\"x\"/utf8>>}", "{<<\"x\"/utf8>>}");
    BUILDS("{#{},[#{a => #{}}]}", "{#{}, [#{a => #{}}]}");
    BUILDS("#{a => 1, <<\"k\">> => 3}", "#{<<\"k\">> => 2, a => 1, <<\"k\">> => 3}");
    BUILDS("#{#{<<\"k\">> => 1, b => 2} => 3}", "#{#{b => 2, <<\"k\">> => 1} => 3}");
    BUILDS("[#{[<<\"k\">>|t] => 1}]", "[#{[<<\"k\">>|t] => 1}]");
    BUILDS("fun lists:map/2", "fun lists:map/2");
    BUILDS("<0.5.1>", "<0.5.1>");
    BUILDS("{<0.5.1>,#Ref<0.0.0.7>}", "{(<0.5.1>), #Ref<0.0.0.7>}");
    BUILDS("{<<\"0123456789012345678901234567890123456789012345678901234567890123456789\">>}",
           "{<<\"0123456789012345678901234567890123456789012345678901234567890123456789\">>}");
}

static void builds_values(void) {
    mote_pid pid = {mt_pid_word(5, 0, 1)};
    mote_ref ref;
    CHECK_OK(mote_ref_get(parse("#Ref<0.1.2.3>"), &ref));
    char chars[] = "hel\303\251";
    BUILDS("{a,1,2,3}", "{a, ?, ?, ?}", 1, (short)2, (signed char)3);
    BUILDS("{a,1,2,3}", "{a, ^, ?, ^}", 1u, 2ul, (unsigned char)3);
    BUILDS("7", "?", 7);
    BUILDS("9223372036854775807", "?", INT64_MAX);
    BUILDS("{-9223372036854775808,18446744073709551615}", "{?,?}", INT64_MIN, UINT64_MAX);
    BUILDS("{1152921504606846975,1152921504606846976}", "{?,?}", MT_SMALL_MAX, MT_SMALL_MAX + 1);
    BUILDS("{-1152921504606846976,-1152921504606846977}", "{?,?}", MT_SMALL_MIN, MT_SMALL_MIN - 1);
    BUILDS("{1152921504606846975,1152921504606846976}", "{?,?}", (uint64_t)MT_SMALL_MAX, (uint64_t)MT_SMALL_MAX + 1);
    BUILDS("{true,false}", "{?,?}", (bool)true, (bool)false);
    BUILDS("{1.5,-0.25}", "{?,?}", 1.5, -0.25f);
    BUILDS("1.0e308", "?", 1e308);
    BUILDS("{<<\"h\303\251\"/utf8>>,<<\"hel\303\251\"/utf8>>,<<\"\"/utf8>>}", "{?,?,?}", "h\303\251", chars, "");
    BUILDS("{<0.5.1>,#Ref<0.1.2.3>,abc}", "{?,?,?}", pid, ref, mote_atom_make("abc"));
    BUILDS("{x,{y,[1]}}", "{x, ?}", parse("{y,[1]}"));
    BUILDS("{x,y,[]}", "{x, ?, ?}", parse("y"), MOTE_TERM_NIL);
    BUILDS("{y,[1]}", "?", parse("{y,[1]}"));
    BUILDS("[1|2]", "?", parse("[1|2]"));
    BUILDS("counted_atom_here", "?", parse("counted_atom_here"));
    BUILDS("{counted_atom_here,{counted_atom_here}}", "{?, ?}", parse("counted_atom_here"), parse("{counted_atom_here}"));
    BUILDS("[counted_atom_here|{counted_atom_here}]", "[?|?]", parse("counted_atom_here"), parse("{counted_atom_here}"));
}

static void builds_bytes(void) {
    char long_text[200];
    memset(long_text, 'x', sizeof long_text);
    long_text[199] = 0;
    for (size_t n = 0; n < sizeof long_text; n++) {
        char want[500];
        snprintf(want, sizeof want, "{<<\"%.*s\">>,1.0,<<\"%.*s\">>}", (int)n, long_text, (int)n, long_text);
        BUILDS(want, "{?, ?, ?}", ((mote_bytes){long_text, n}), 1.0, ((mote_bytes){long_text, n}));
        snprintf(want, sizeof want, "<<\"%s\"/utf8>>", long_text + n);
        BUILDS(want, "?", long_text + n);
    }
    BUILDS("{<<0,255>>,<<>>}", "{?,?}", ((mote_bytes){"\0\377", 2}), ((mote_bytes){NULL, 0}));
}

static void builds_compounds(void) {
    BUILDS("[1|2]", "[?|?]", 1, 2);
    BUILDS("[1,2,3,4]", "[?,2|?]", 1, parse("[3,4]"));
    BUILDS("[[1]]", "[[?]]", 1);
    BUILDS("{a,{b,1},[{c,2.0}|d]}", "{a, {b, ?}, [{c, ?}|d]}", 1, 2.0);
    BUILDS("#{a => 1, b => <<\"x\"/utf8>>}", "#{b => ?, a := ?}", "x", 1);
    BUILDS("#{a => 2}", "#{a => ?, a => ?}", 1, 2);
    BUILDS("#{a => 2}", "#{a => {?, ?}, a => 2}", "0123456789012345678901234567890123456789012345678901234567890123456789", 2);
    BUILDS("#{1 => 2}", "#{? => ?}", 1, 2);
    BUILDS("#{1 => a, 2 => b, c => 3, {4} => d}", "#{c => ?, ? => b, {?} => d, 1 => a}", 3, 2, 4);
    BUILDS("#{1 => c, 2 => b}", "#{? => a, 2 => b, 1 => c}", 1);
    BUILDS("#{1 => c}", "#{? => {a, ?}, ? => [b], 1 => c}", 1, 2.5, 1);
    BUILDS("{#{1 => e, 2 => d}, z}", "{#{? => a, ? => b, 1 => c, ? => d, 1 => e}, z}", 1, 2, 2);
    BUILDS("#{#{1 => 2} => 3}", "#{#{? => ?} => ?}", 1, 2, 3);
    BUILDS("#{<<\"k\">> => 1}", "#{? => ?}", ((mote_bytes){"k", 1}), 1);
    BUILDS("#{1 => 2, 1.0 => 3}", "#{? => 3, 1 => ?}", 1.0, 2);
    BUILDS("{1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}", "{?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?}", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
           14, 15, 16);
}

/* Counts of what is built are given back: of constants, large binaries and atoms that go with dropped keys. */
static void builds_counted(void) {
    mote_arena *own = mote_arena_new(0);
    mote_term atom = mote_atom_make_counted(own, "soon_gone", 9);
    size_t before = mote_atom_count();
    BUILDS("#{soon_gone => {soon_gone}}", "#{? => 1, ? => {?}}", atom, atom, atom);
    mote_arena_reset(arena);
    mote_arena_free(own);
    CHECK_INT(mote_atom_count(), before - 1);
}

static void build_errors(void) {
    mote_term none = MOTE_TERM_NONE;
    int n = 0;
    FAILS(MOTE_EPATTERN, "{?, ?}", 1);
    CHECK(strstr(said, "pattern_test.c:") && strstr(said, "\"{?, ?}\"") && strstr(said, "2 holes, but 1 arguments"));
    FAILS(MOTE_EPATTERN, "{?}");
    FAILS(MOTE_EPATTERN, "ok", 1);
    FAILS(MOTE_EPATTERN, "{?, _}", 1);
    CHECK(strstr(said, "at column 5: _ cannot be built"));
    FAILS(MOTE_EHOLE, "{a, ?}", &n);
    CHECK(strstr(said, "at column 5: an address (int *) cannot be built; pass the value"));
    FAILS(MOTE_ETERM, "{a, ?}", none);
    CHECK_STR(said, "");
    FAILS(MOTE_ETERM, "?", none);
    FAILS(MOTE_ETERM, "?", ((mote_atom){0}));
    FAILS(MOTE_ETERM, "{?}", (double)NAN);
    FAILS(MOTE_ETERM, "?", (double)INFINITY);
    FAILS(MOTE_ETERM, "?", -INFINITY);
    FAILS(MOTE_ETERM, "?", "\300\200");
    FAILS(MOTE_ETERM, "?", (const char *)NULL);
    FAILS(MOTE_ETERM, "?", ((mote_bytes){NULL, 3}));
    FAILS(MOTE_ETERM, "#{a => ?, a => 1}", "\377");
    mote_arg bad = {{0}, (mote_arg_kind)99};
    mote_site site = {"?", NULL, 7, NULL};
    mote_err err = MOTE_OK;
    CATCH(err = mote_build_site(arena, &none, &site, 1, &bad));
    CHECK_INT(err, MOTE_EHOLE);
    mote_arena *small = mote_arena_new(64);
    for (int i = 0; i < 100 && !err; i++) err = mote_build(small, &none, "{?, ?}", 1, 2);
    CHECK_INT(mote_build(small, &none, "{?,?,?,?,?,?,?,?,?,?}", 1, 2, 3, 4, 5, 6, 7, 8, 9, 0), MOTE_ENOMEM);
    CHECK_INT(mote_build(NULL, &none, "{?, ?}", 1, 2), MOTE_ENOMEM);
    CHECK_OK(mote_build(NULL, &none, "?", 1));
    mote_arena_free(small);
}

/* Each bad text: its column, and a part of what is said. */
static void bad_texts(void) {
    static const struct {
        const char *text;
        unsigned column;
        const char *why;
    } bad[] = {{"", 1, "the text ends where a term must stand"},
               {"{a, ", 5, "the text ends where a term must stand"},
               {"{a", 3, "a , or } must stand here"},
               {"[a", 3, "a , or | or ] must stand here"},
               {"[a|b", 5, "a ] must stand here"},
               {"(a", 3, "a ) must stand here"},
               {"{a}}", 4, "the term ends before this"},
               {"{Name}", 2, "quote it to be an atom"},
               {"{end}", 2, "reserved word"},
               {"#{a}", 4, "a => must stand here"},
               {"#{_ => 1}", 3, "cannot be _"},
               {"#{{1, _} => 1}", 7, "cannot be _"},
               {"\"abc", 1, "not closed"},
               {"{'abc}", 2, "not closed"},
               {"<<?>>", 3, "a segment is"},
               {"{?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?}", 34, "at most 16 holes"},
               {"{\377}", 2, "UTF-8"},
               {"?!", 2, "does not belong"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mote_site site = {bad[i].text, "some/file.c", 4711, NULL};
        mote_term term = {77};
        mote_err err = MOTE_OK;
        char place[64];
        CATCH(err = mote_build_site(arena, &term, &site, 0, NULL));
        CHECK_INT(err, MOTE_EPATTERN);
        CHECK(term.word == 77);
        snprintf(place, sizeof place, "some/file.c:4711: bad pattern \"%.0s", "");
        CHECK(strstr(said, place));
        snprintf(place, sizeof place, "\" at column %u: ", bad[i].column);
        if (!strstr(said, place) || !strstr(said, bad[i].why)) fprintf(stderr, "# %s", said);
        CHECK(strstr(said, place) && strstr(said, bad[i].why));
        CATCH(err = mote_match_site(MOTE_TERM_NIL, &site, 0, NULL));
        CHECK_INT(err, MOTE_EPATTERN);
        CHECK_STR(said, ""); /* once */
    }
}

static void *nested(void *context) {
    for (unsigned n = 60; n <= 70; n++) {
        char text[300] = "", *at = text;
        for (unsigned i = 0; i < n; i++) *at++ = i % 2 ? '[' : '{';
        *at++ = '?';
        for (unsigned i = n; i > 0; i--) *at++ = (i - 1) % 2 ? ']' : '}';
        *at = 0;
        mote_site site = {text, "f.c", 1, NULL};
        mote_term term = MOTE_TERM_NONE;
        mote_err err = MOTE_OK;
        int found = 0;
        CATCH(err = mote_build_site(arena, &term, &site, MOTE_ARGS(5)));
        CHECK_INT(err, n <= 64 ? MOTE_OK : MOTE_EPATTERN);
        if (err) CHECK(strstr(said, "at column 65: this is nested deeper"));
        if (err) continue;
        CHECK_OK(mote_match_site(term, &site, MOTE_ARGS(&found)));
        CHECK_INT(found, 5);
    }
    return context;
}
/* With the stack of a process: the compiler recurses as deep as the pattern. */
static void depth(void) {
    pthread_attr_t attr;
    pthread_t thread;
    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, MT_ASAN || MT_TSAN ? 1 << 20 : SMALL_STACK) == 0);
    CHECK(pthread_create(&thread, &attr, nested, NULL) == 0);
    pthread_join(thread, NULL);
}

/* ----------------------------------------------------------------------------------------------- matching */

#define MATCHES(term, ...) CHECK(mote_match(parse(term), __VA_ARGS__))
#define DIFFERS(term, ...) CHECK(!mote_match(parse(term), __VA_ARGS__))

static void matches_constants(void) {
    static const char *const texts[] = {"ok", "'A b'", "42", "-1", "1.5", "18446744073709551616", "[]", "{}", "#{}", "\"abc\"", "<<1,2>>",
                                        "<<5:3>>", "{a,b}", "{a,{b,[1,2|c]}}", "#{}", "fun a:b/1", "<0.5.1>", "#Ref<0.1.2.3>",
                                        "{<<1>>,{2}}", "[<<1>>|<<2>>]", "1.0", "1", "#{<<1>> => 2}", "{[<<1>>]}"};
    const size_t count = sizeof texts / sizeof texts[0];
    for (size_t i = 0; i < count; i++) {
        mote_site site = {texts[i], "f.c", 1, NULL};
        for (size_t k = 0; k < count; k++) {
            mote_term term = parse(texts[k]);
            bool map = mote_term_type(term) == MOTE_MAP && strcmp(texts[i], "#{}") == 0; /* any map has its keys */
            mote_err want = map || mote_term_same(parse(texts[i]), term) ? MOTE_OK : MOTE_NOMATCH;
            mote_err got = mote_match_site(term, &site, 0, NULL);
            if (got != want) fprintf(stderr, "# %s with %s\n", texts[i], texts[k]);
            CHECK_INT(got, want);
        }
    }
    CHECK(!mote_match(MOTE_TERM_NONE, "_"));
    MATCHES("{a,[b|{c}]}", "_");
    MATCHES("{a,[b|{c}]}", "{_,[_|_]}");
    DIFFERS("{a}", "{_,_}");
    DIFFERS("a", "{_}");
    DIFFERS("[]", "[_|_]");
    DIFFERS("[1]", "[_,_|_]");
    MATCHES("[1,2|3]", "[_,_|_]");
    MATCHES("[1,2|3]", "[1,_|3]");
    MATCHES("{\"abc\"}", "{\"abc\"}");
    DIFFERS("{<<\"abc\">>}", "{\"abc\"}");
}

/* <<"x">> fits binaries and texts alike, wherever it stands. */
static void matches_both_kinds(void) {
    static const char *const forms[] = {"<<\"abc\"%s>>", "{a,<<\"abc\"%s>>}", "[<<\"abc\"%s>>|{<<\"abc\"%s>>}]", "#{k => <<\"abc\"%s>>}",
                                        "#{<<\"abc\"%s>> => 1}", "#{{<<\"abc\"%s>>} => 1, x => 2}"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++) {
                char pattern[100], text[100];
                const char *first = strstr(forms[i], "%s"), *second = strstr(first + 2, "%s");
                const char *kinds[] = {"", "/utf8"};
                for (int side = 0; side < 2; side++) {
                    char *to = side ? text : pattern;
                    const char *kind = kinds[side ? a : b];
                    size_t tail = second ? (size_t)(second - first - 2) : 0;
                    snprintf(to, 100, "%.*s%s%.*s%s%s", (int)(first - forms[i]), forms[i], kind, (int)tail, first + 2,
                             second ? kind : "", second ? second + 2 : first + 2);
                }
                mote_site site = {pattern, "f.c", 1, NULL};
                if (mote_match_site(parse(text), &site, 0, NULL)) fprintf(stderr, "# %s with %s\n", pattern, text);
                CHECK_OK(mote_match_site(parse(text), &site, 0, NULL));
                CHECK_INT(mote_match_site(parse("{<<\"abd\">>}"), &site, 0, NULL), MOTE_NOMATCH);
            }
    MATCHES("<<255>>", "<<255>>");
    MATCHES("<<>>", "<<>>");
    DIFFERS("<<1:1>>", "<<>>");
}

#define BINDS(type, text, good, want)                        \
    do {                                                     \
        type v_ = (type)85;                                  \
        type w_ = (want);                                    \
        CHECK(mote_match(parse(text), "?", &v_) == (good));  \
        CHECK((good) ? v_ == w_ : v_ == (type)85);           \
        v_ = (type)85;                                       \
        CHECK(mote_match(parse("{x,[" text "]}"), "{x,[?]}", &v_) == (good)); \
        CHECK((good) ? v_ == w_ : v_ == (type)85);           \
    } while (0)

static void binds_numbers(void) {
    BINDS(int, "7", true, 7);
    BINDS(int, "2147483647", true, INT_MAX);
    BINDS(int, "2147483648", false, 0);
    BINDS(int, "-2147483648", true, INT_MIN);
    BINDS(int, "-2147483649", false, 0);
    BINDS(int, "18446744073709551616", false, 0);
    BINDS(int, "1.0", false, 0);
    BINDS(int, "a", false, 0);
    BINDS(unsigned, "4294967295", true, UINT_MAX);
    BINDS(unsigned, "4294967296", false, 0);
    BINDS(unsigned, "-1", false, 0);
    BINDS(long, "9223372036854775807", true, LONG_MAX);
    BINDS(long, "-9223372036854775808", true, LONG_MIN);
    BINDS(long, "9223372036854775808", false, 0);
    BINDS(long, "{}", false, 0);
    BINDS(long long, "-1152921504606846977", true, -1152921504606846977);
    BINDS(long long, "-9223372036854775809", false, 0);
    BINDS(unsigned long, "18446744073709551615", true, ULONG_MAX);
    BINDS(unsigned long, "1", true, 1);
    BINDS(unsigned long, "-1152921504606846977", false, 0);
    BINDS(unsigned long long, "18446744073709551615", true, ULLONG_MAX);
    BINDS(unsigned long long, "18446744073709551616", false, 0);
    BINDS(unsigned long long, "[]", false, 0);
    BINDS(double, "1.5", true, 1.5);
    BINDS(double, "1", false, 0);
    BINDS(double, "<<1>>", false, 0);
    BINDS(bool, "true", true, true);
    BINDS(bool, "false", true, false);
    BINDS(bool, "1", false, false);
    BINDS(bool, "truth", false, false);
}

#define BINDS_WORD(type, text, good)                                          \
    do {                                                                      \
        type v_ = {77};                                                       \
        mote_term t_ = parse(text);                                           \
        CHECK(mote_match(t_, "?", &v_) == (good));                            \
        CHECK(v_.word == ((good) ? t_.word : 77));                            \
    } while (0)

static void binds_words(void) {
    BINDS_WORD(mote_term, "{a,b}", true);
    BINDS_WORD(mote_term, "[]", true);
    BINDS_WORD(mote_pid, "<0.5.1>", true);
    BINDS_WORD(mote_pid, "<a@b.5.1.7>", true);
    BINDS_WORD(mote_pid, "#Ref<0.1.2.3>", false);
    BINDS_WORD(mote_pid, "{}", false);
    BINDS_WORD(mote_ref, "#Ref<0.1.2.3>", true);
    BINDS_WORD(mote_ref, "#Ref<a@b.1.2.3.4>", true);
    BINDS_WORD(mote_ref, "<0.5.1>", false);
    BINDS_WORD(mote_atom, "abc", true);
    BINDS_WORD(mote_atom, "<0.5.1>", false);
    BINDS_WORD(mote_atom, "<<\"abc\">>", false);
}

static void binds_bytes(void) {
    static const char *const good[] = {"<<\"abc\">>", "<<\"abc\"/utf8>>"};
    static const char *const bad[] = {"abc", "\"abc\"", "<<1:7>>", "{}", "7"};
    for (size_t i = 0; i < 2; i++) {
        mote_bytes b = {NULL, 0};
        CHECK(mote_match(parse(good[i]), "?", &b));
        CHECK(b.size == 3 && memcmp(b.data, "abc", 3) == 0);
    }
    for (size_t i = 0; i < 5; i++) {
        mote_bytes b = {"x", 99};
        CHECK(!mote_match(parse(bad[i]), "?", &b));
        CHECK(b.size == 99);
    }
    mote_bytes shared = {NULL, 0};
    char text[200] = "<<\"";
    memset(text + 3, 'y', 100);
    memcpy(text + 103, "\">>", 4);
    CHECK(mote_match(parse(text), "?", &shared));
    CHECK_INT(shared.size, 100);
}

static void pins(void) {
    mote_ref ref = {0}, other = {0};
    CHECK(mote_match(parse("#Ref<0.1.2.3>"), "?", &ref) && mote_match(parse("#Ref<0.1.2.4>"), "?", &other));
    MATCHES("{a,7}", "{a,^}", 7);
    DIFFERS("{a,7}", "{a,^}", 8);
    DIFFERS("7.0", "^", 7);
    DIFFERS("7", "^", 7.0);
    MATCHES("7.0", "^", 7.0);
    DIFFERS("7.0", "^", (double)NAN);
    MATCHES("7", "^", 7u);
    MATCHES("9223372036854775807", "^", INT64_MAX);
    MATCHES("-9223372036854775808", "^", INT64_MIN);
    DIFFERS("9223372036854775808", "^", INT64_MIN);
    MATCHES("18446744073709551615", "^", UINT64_MAX);
    DIFFERS("-1", "^", UINT64_MAX);
    MATCHES("true", "^", (bool)true);
    DIFFERS("1", "^", (bool)true);
    MATCHES("<<\"abc\">>", "^", "abc");
    MATCHES("<<\"abc\"/utf8>>", "^", "abc");
    MATCHES("<<\"abc\"/utf8>>", "^", ((mote_bytes){"abc", 3}));
    DIFFERS("<<\"abcd\">>", "^", "abc");
    DIFFERS("abc", "^", "abc");
    DIFFERS("<<>>", "^", (const char *)"x");
    MATCHES("<<>>", "^", "");
    MATCHES("<<>>", "^", ((mote_bytes){NULL, 0}));
    MATCHES("{[1,{2}]}", "{^}", parse("[1,{2}]"));
    DIFFERS("{[1,{2}]}", "{^}", parse("[1,{2.0}]"));
    DIFFERS("{[1,{2}]}", "{^}", MOTE_TERM_NONE);
    MATCHES("{abc}", "{^}", mote_atom_make("abc"));
    MATCHES("#Ref<0.1.2.3>", "^", ref);
    DIFFERS("#Ref<0.1.2.3>", "^", other);
    MATCHES("<a@b.1.2.3>", "^", parse("<a@b.1.2.3>"));
}

static void maps(void) {
    int n = 0, m = 0;
    MATCHES("#{a => 1, b => 2}", "#{b := ?}", &n);
    CHECK_INT(n, 2);
    MATCHES("#{a => 1, b => 2}", "#{b => ?, a := ?}", &n, &m);
    CHECK(n == 2 && m == 1);
    DIFFERS("#{a => 1}", "#{c := ?}", &n);
    DIFFERS("[a]", "#{}");
    DIFFERS("#{a => 1}", "#{a := 2}");
    MATCHES("{x,#{a => 1, b => #{c => 2}}}", "{x,#{b := #{}}}");
    MATCHES("[#{a => 1, b => 2}]", "[#{a := 1}]");
    MATCHES("#{#{a => 1} => 2}", "#{#{a => 1} := 2}");
    DIFFERS("#{#{a => 1, b => 2} => 2}", "#{#{a => 1} := 2}"); /* keys are compared as a whole */
    DIFFERS("#{#{a => 1} => 2}", "#{#{} := 2}");
    MATCHES("#{{#{<<\"a\"/utf8>> => 1}, #{}} => 2}", "#{{#{<<\"a\">> => 1}, #{}} := 2}");
    DIFFERS("#{{#{<<\"a\">> => 1, b => 1}, #{}} => 2}", "#{{#{<<\"a\">> => 1}, #{}} := 2}");
    DIFFERS("#{{#{<<\"a\">> => 1}, #{c => 1}} => 2}", "#{{#{<<\"a\">> => 1}, #{}} := 2}");
    MATCHES("#{a => 7, b => 1}", "#{a := ?, a := ?}", &n, &m);
    CHECK(n == 7 && m == 7);
    MATCHES("#{1.0 => a, 1 => b}", "#{1 := b, 1.0 := a}");
    MATCHES("#{k => #{l => [1,{x,7}]}}", "#{k := #{l := [_|[{x,?}]]}}", &n);
    CHECK_INT(n, 7);
    MATCHES("#{5 => 6}", "#{^ := ?}", 5, &n);
    CHECK_INT(n, 6);
    MATCHES("#{18446744073709551615 => 7}", "#{^ := ?}", UINT64_MAX, &n);
    MATCHES("#{1.5 => 8}", "#{^ := ?}", 1.5, &n);
    CHECK_INT(n, 8);
    DIFFERS("#{1.5 => 8}", "#{^ := ?}", (double)NAN, &n);
    MATCHES("#{<<\"key\">> => 9}", "#{^ := ?}", "key", &n);
    CHECK_INT(n, 9);
    MATCHES("#{<<\"key\"/utf8>> => 10}", "#{^ := ?}", ((mote_bytes){"key", 3}), &n);
    CHECK_INT(n, 10);
    DIFFERS("#{<<\"key\"/utf8>> => 10}", "#{^ := ?}", "kez", &n);
    MATCHES("#{{a,5} => 11, {a,6} => 12}", "#{{a,^} := ?}", 6, &n);
    CHECK_INT(n, 12);
    DIFFERS("#{{a,5} => 11, {a,6} => 12}", "#{{a,^} := ?}", 7, &n);
    MATCHES("#{#{{a,5} => 1} => {x,13}}", "#{#{{a,^} := 1} := {x,?}}", 5, &n);
    CHECK_INT(n, 13);
}

static void all_or_nothing(void) {
    int a = 1;
    double d = 2;
    mote_term t = {3};
    mote_bytes b = {"z", 4};
    DIFFERS("{1,2.0,c,<<\"x\">>,wrong}", "{?,?,?,?,right}", &a, &d, &t, &b);
    DIFFERS("{1,2.0,c,<<\"x\">>,{1}}", "{?,?,?,?,{2}}", &a, &d, &t, &b);
    CHECK(a == 1 && d == 2 && t.word == 3 && b.size == 4);
    MATCHES("{1,2.5,c,<<\"x\">>,{1}}", "{?,?,?,?,{1}}", &a, &d, &t, &b);
    CHECK(a == 1 && d == 2.5 && mote_term_same(t, parse("c")) && b.size == 1);
}

static void match_errors(void) {
    int n = 5;
    mote_err err = MOTE_OK;
#define REFUSES(code, text, ...)                                                                     \
    do {                                                                                              \
        CATCH(err = mote_match_site(parse("{a,1}"), MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__)));        \
        CHECK_INT(err, code);                                                                         \
        CHECK_INT(n, 5);                                                                              \
    } while (0)
    REFUSES(MOTE_EPATTERN, "{a,?}");
    CHECK(strstr(said, "1 holes, but 0 arguments"));
    REFUSES(MOTE_EPATTERN, "{a,?}", &n, &n);
    REFUSES(MOTE_EHOLE, "{a,?}", 1);
    CHECK(strstr(said, "at column 4: a value (an integer) cannot be bound; pass its address, or write ^"));
    REFUSES(MOTE_EHOLE, "{a,^}", &n);
    CHECK(strstr(said, "at column 4: an address (int *) cannot be compared with"));
    REFUSES(MOTE_EHOLE, "{a,?}", (int *)NULL);
    CHECK(strstr(said, "(int *) is NULL"));
    REFUSES(MOTE_EPATTERN, "#{? := 1}", &n);
    CHECK(strstr(said, "at column 3: ? cannot find keys"));
    REFUSES(MOTE_EPATTERN, "#{{x,?} := 1}", &n);
    mote_site site = {"{?", "f.c", 3, NULL};
    for (int i = 0; i < 3; i++) {
        CATCH(err = mote_match_site(parse("{a,1}"), &site, MOTE_ARGS(&n)));
        CHECK_INT(err, MOTE_EPATTERN);
        CHECK((said[0] == 0) == (i > 0));
    }
    CHECK(!mote_match(parse("{a,1}"), "_ _"));
}

static bool pinned(mote_site *site, size_t count, const mote_arg *args, mote_ref ref) {
    const struct mt_pattern *p;
    CHECK_OK(mt_site_pattern(site, &p));
    CHECK_OK(mt_pattern_check(p, count, args));
    return mt_pattern_pins(p, args, ref);
}
#define PINNED(ref, text, ...) pinned(MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__), ref)

static void pins_of(void) {
    mote_ref ref = {0}, other = {0}, far = {0};
    int n;
    CHECK(mote_match(parse("{#Ref<0.1.2.3>,#Ref<0.1.2.4>,#Ref<a@b.1.2>}"), "{?,?,?}", &ref, &other, &far));
    CHECK(PINNED(ref, "{reply, ^, ?}", ref, &n));
    CHECK(PINNED(ref, "^", mote_ref_term(ref)));
    CHECK(PINNED(ref, "{a, [{b, ^}|_], ^}", other, ref));
    CHECK(PINNED(ref, "#{ref := ^}", ref));
    CHECK(PINNED(ref, "#{^ := ?}", ref, &n));
    CHECK(PINNED(far, "{^}", far));
    CHECK(!PINNED(ref, "{reply, ^, ?}", other, &n));
    CHECK(!PINNED(ref, "{reply, ?}", &n));
    CHECK(!PINNED(ref, "{reply, ^}", 5));
    CHECK(!PINNED(((mote_ref){0}), "{reply, ^}", MOTE_TERM_NONE));
}

/* ------------------------------------------------------------------------------------------ first use, faults */

#define THREADS 4
#define SITES 300
static mote_site shared_sites[SITES];
static _Atomic unsigned ready;

static void *use_sites(void *context) {
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS) mt_os_thread_yield();
    mote_arena *own = mote_arena_new(0);
    for (size_t i = 0; i < SITES; i++) {
        mote_term term = MOTE_TERM_NONE;
        int n = 0;
        CHECK_OK(mote_build_site(own, &term, &shared_sites[i], MOTE_ARGS(7)));
        CHECK_OK(mote_match_site(term, &shared_sites[i], MOTE_ARGS(&n)));
        CHECK_INT(n, 7);
    }
    mote_arena_free(own);
    return context;
}

static void concurrent_first_use(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < SITES; i++) shared_sites[i] = (mote_site){"{some_atom, {<<\"bytes\">>, [?|#{k => 1}]}}", "f.c", 1, NULL};
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, use_sites, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void *use_bad_site(void *site) {
    mote_term term;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS) mt_os_thread_yield();
    CHECK_INT(mote_build_site(arena, &term, site, 0, NULL), MOTE_EPATTERN);
    return NULL;
}

static void concurrent_bad_use(void) {
    for (unsigned round = 0; round < 50; round++) {
        pthread_t threads[THREADS];
        mote_site site = {"{a", "f.c", 1, NULL};
        atomic_store(&ready, 0);
        int old = catch_start();
        for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, use_bad_site, &site) == 0);
        for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        catch_end(old);
        CHECK(strstr(said, "bad pattern") && !strstr(strstr(said, "bad pattern") + 1, "bad pattern"));
    }
}

/* Every n-th failing allocation, until none is left: an error, no harm, and it works the next time. */
static void faults(void) {
#ifdef MT_FAULTS
    char big[100];
    memset(big, 'b', 99);
    big[99] = 0;
    mote_term deep = MOTE_TERM_NIL;
    for (int i = 0; i < 40; i++) CHECK_OK(mote_build(arena, &deep, "{?, 1, 2}", deep));
    mote_term atom = parse("an_atom_that_is_counted");
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        mote_site site = {"#{a_new_atom => ?, <<\"0123456789012345678901234567890123456789012345678901234567890123456789\">> => ?, "
                          "? => [?, {x, ?}|#{<<\"k\">> => 1}], #{<<\"q\">> => {}} => ?}", "f.c", 1, NULL};
        mote_term term = {77};
        mote_arena *own = mote_arena_new(0);
        mt_os_fault_arm(n, false);
        mote_err err = mote_build_site(own, &term, &site, MOTE_ARGS(big, ((mote_bytes){big, 80}), 5, deep, atom, 18446744073709551615u));
        failed = mt_os_fault_count() >= n;
        mt_os_fault_arm(0, false);
        CHECK(failed || err == MOTE_OK);
        CHECK(err == MOTE_OK || (err == MOTE_ENOMEM && term.word == 77));
        CHECK_OK(mote_build_site(own, &term, &site, MOTE_ARGS(big, ((mote_bytes){big, 80}), 5, deep, atom, 18446744073709551615u)));
        mote_term found = MOTE_TERM_NONE;
        CHECK(mote_match(term, "#{^ := [?|_]}", 5, &found) && mote_term_same(found, deep));
        mote_arena_free(own);
    }
#endif
}

/* Texts that are nearly patterns: built with values and matched with what they gave. */
static void hostile(void) {
    static const char *const seeds[] = {"{a, ?, [b, ?|?], #{k => ?, <<\"q\">> := {^, _}}}", "#{? => 1, {x, ?} => [?], #{? => b} => ?, 1 => c}",
                                        "[#{^ := ?, {a,<<1>>} => #{}}, _, (?)|{\"abc\", 1.5, <<\"x\"/utf8, 3:3>>}]"};
    static const char other[] = "?^_{}[]#,|=>:<\"1ak ";
    uint64_t state = 88172645463325252u;
    CHECK(freopen("/dev/null", "w", stderr));
    for (unsigned round = 0; round < 20000; round++) {
        mote_arg values[] = {MOTE_ARG(1), MOTE_ARG(1.0), MOTE_ARG("text"), MOTE_ARG(parse("{counted,[1]}")), MOTE_ARG(mote_atom_make("k")), MOTE_ARG(2u)};
        mote_term found[16], term;
        mote_arg args[16], to[16];
        char text[128];
        snprintf(text, sizeof text, "%s", seeds[round % 3]);
        for (unsigned k = 0; k < round % 5; k++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            text[state % strlen(text)] = other[(state >> 32) % (sizeof other - 1)];
        }
        size_t holes = 0;
        for (const char *at = text; *at; at++) holes += (*at == '?' || *at == '^') && holes < 16;
        mote_site site = {text, "f.c", 1, NULL};
        for (size_t i = 0, hole = 0; text[i] && hole < holes; i++) {
            if (text[i] != '?' && text[i] != '^') continue;
            args[hole] = values[(round + hole) % 6];
            to[hole] = text[i] == '^' ? args[hole] : MOTE_ARG(&found[hole]);
            hole++;
        }
        mote_err err = mote_build_site(arena, &term, &site, holes, args);
        if (!err) err = mote_match_site(term, &site, holes, to);
        CHECK(err == MOTE_OK || err == MOTE_EPATTERN || err == MOTE_NOMATCH); /* no match: a key that came twice */
        if (err == MOTE_EPATTERN) err = mote_match_site(parse("{a,1,[b|2],#{k => 1}}"), &site, holes, to);
        if (round % 100 == 0) mote_arena_reset(arena);
    }
}

int main(int argc, char **argv) {
    arena = mote_arena_new(0);
    int result = check_main(argc, argv,
                            (struct check_test[]){TEST(builds_constants), TEST(builds_values), TEST(builds_bytes), TEST(builds_compounds),
                                                  TEST(builds_counted), TEST(build_errors), TEST(bad_texts), TEST(depth),
                                                  TEST(matches_constants), TEST(matches_both_kinds), TEST(binds_numbers),
                                                  TEST(binds_words), TEST(binds_bytes), TEST(pins), TEST(maps), TEST(all_or_nothing),
                                                  TEST(match_errors), TEST(pins_of), TEST(concurrent_first_use),
                                                  TEST(concurrent_bad_use), TEST(hostile), TEST(faults), {0}});
    mote_arena_free(arena);
    return result;
}
