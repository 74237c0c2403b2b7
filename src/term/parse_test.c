/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <pthread.h>

#include "check.h"

/* Small, as a process has it; the system may want more (PTHREAD_STACK_MIN is 128 KiB on aarch64). */
#define SMALL_STACK ((size_t)65536 > (size_t)PTHREAD_STACK_MIN ? (size_t)65536 : (size_t)PTHREAD_STACK_MIN)
#include "term/term.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static mote_arena *arena;

/* Parses bytes that end where their block ends, so that reading on is seen. */
static mote_err parse_bytes(const char *text, size_t size, mote_term *term, size_t *at) {
    char *copy = malloc(size + 1);
    CHECK(copy);
    memmove(copy + 1, text, size);
    mote_err err = mote_term_parse(arena, copy + 1, size, term, at);
    free(copy);
    return err;
}

static mote_term parse(const char *text) {
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    mote_err err = parse_bytes(text, strlen(text), &term, &at);
    if (err) fprintf(stderr, "# %s at %zu of: %s\n", mote_err_name(err), at, text);
    CHECK_OK(err);
    return term;
}

/* Each text, and what print makes of it; compared with OTP 25. */
static void notations(void) {
    static const char *const texts[][2] = {
        {"16#ff", "255"}, {"16#FF_ff", "65535"}, {"36#zZ", "1295"}, {"2#101", "5"}, {"1_000", "1000"}, {"1_6#ff", "255"},
        {"- 1", "-1"}, {"+1", "1"}, {"-$a", "-97"}, {"-16#10", "-16"}, {"007", "7"}, {"-0", "0"},
        {"$a", "97"}, {"$\\n", "10"}, {"$\\^a", "1"}, {"$\\^A", "1"}, {"$ ", "32"}, {"$\\s", "32"}, {"$\\\\", "92"}, {"$\\x{41}", "65"},
        {"$\\x41", "65"}, {"$\\101", "65"}, {"$\n", "10"}, {"$\303\251", "233"}, {"[$a,$b]", "\"ab\""}, {"$\\d", "127"}, {"$\\e", "27"},
        {"1.5", "1.5"}, {"1.0e3", "1.0e3"}, {"1.0E+3", "1.0e3"}, {"1.0e-400", "0.0"}, {"1_0.5_1e1_0", "1.051e11"}, {"-0.0", "-0.0"},
        {"00.50", "0.5"}, {"0.1e1", "1.0"}, {"100000000000000000000000000000000000000000.0", "1.0e41"},
        {"0.000000000000000000000000000000000000000000000000000000000000000000000000001", "1.0e-75"},
        {"\"abc\"", "\"abc\""}, {"\"a\" \"b\"", "\"ab\""}, {"\"a\"\n% comment\n\"b\"", "\"ab\""}, {"\"\"", "[]"}, {"[\"a\" \"b\"|c]", "[\"ab\"|c]"},
        {"\"\\x{400}a\"", "[1024,97]"}, {"\"\\^?\"", "[31]"}, {"\"a\\\nb\"", "\"a\\nb\""}, {"\"\\q\\8\"", "\"q8\""}, {"\"\\777\"", "[511]"},
        {"\"\\^\303\251\"", "\"\\t\""}, {"\"\\\"\"", "\"\\\"\""}, {"\"\303\251\"", "\"\303\251\""}, {"\"\346\227\245\"", "[26085]"},
        {"abc", "abc"}, {"'abc'", "abc"}, {"'A b'", "'A b'"}, {"'a\\x{400}'", "'a\\x{400}'"}, {"a@B_9", "a@B_9"}, {"''", "''"},
        {"'\\'\\n'", "'\\'\\n'"}, {"\303\251", "\303\251"}, {"'end'", "'end'"}, {"'a\\0b'", "'a\\000b'"}, {"'a\nb'", "'a\\nb'"},
        {"{}", "{}"}, {"{ a , b }", "{a,b}"}, {"[]", "[]"}, {"[a|b]", "[a|b]"}, {"[a,b|[c]]", "[a,b,c]"}, {"[a|[]]", "[a]"},
        {"(1)", "1"}, {"{(a),([(b)])}", "{a,[b]}"}, {"#{}", "#{}"}, {"# {a=>1}", "#{a => 1}"}, {"#{b=>1,a=>2,b=>3}", "#{a => 2,b => 3}"},
        {"#{1.0=>a,1=>b}", "#{1 => b,1.0 => a}"}, {"#{{}=>#{}}", "#{{} => #{}}"},
        {"<<>>", "<<>>"}, {"<<\"abc\">>", "<<\"abc\">>"}, {"<<1,2,3>>", "<<1,2,3>>"}, {"<<5:3>>", "<<5:3>>"}, {"<<1:1,2:2>>", "<<6:3>>"},
        {"<<1,2:3,\"abc\",16#ffff:16>>", "<<1,76,44,76,127,255,7:3>>"}, {"<<-1>>", "<<\"\303\277\">>"}, {"<<-2:12>>", "<<255,14:4>>"},
        {"<<256>>", "<<0>>"}, {"<<$a:4>>", "<<1:4>>"}, {"<<1:0>>", "<<>>"}, {"<<1:16/little>>", "<<1,0>>"}, {"<<1:16/big-unsigned>>", "<<0,1>>"},
        {"<<258:16/little,5:11/little>>", "<<2,1,5,0:3>>"}, {"<<1:2/unit:8>>", "<<0,1>>"}, {"<<1:2/little-unit:8>>", "<<1,0>>"},
        {"<<1.5/float>>", "<<63,248,0,0,0,0,0,0>>"}, {"<<1.5:32/float>>", "<<63,192,0,0>>"}, {"<<1.0:16/float>>", "<<60,0>>"},
        {"<<-0.1:16/float>>", "<<\"\302\256f\">>"}, {"<<65504.0:16/float>>", "<<\"{\303\277\">>"}, {"<<6.0e-8:16/float>>", "<<0,1>>"},
        {"<<1/float>>", "<<63,240,0,0,0,0,0,0>>"}, {"<<1.5:64/float-little>>", "<<0,0,0,0,0,0,248,63>>"},
        {"<<\"ab\":16>>", "<<0,97,0,98>>"}, {"<<\"ab\":16/little>>", "<<97,0,98,0>>"}, {"<<\"ab\":4>>", "<<18>>"}, {"<<\"a\" \"b\":16>>", "<<0,97,0,98>>"},
        {"<<\"a\" \"b\",\"c\">>", "<<\"abc\">>"}, {"<<\"\346\227\245\">>", "<<\"\303\245\">>"}, {"<<\"\303\251\"/utf8>>", "<<\"\303\251\"/utf8>>"},
        {"<<\"\303\251\"/utf8,1>>", "<<195,169,1>>"}, {"<<16#e9/utf8>>", "<<\"\303\203\302\251\">>"}, {"<<\"\303\251\"/utf16>>", "<<0,233>>"},
        {"<<\"\360\235\204\236\"/utf16-little>>", "<<52,216,30,221>>"}, {"<<$a/utf32-little>>", "<<97,0,0,0>>"},
        {"<<123456789012345678901234567890:100>>", "<<24,238,144,255,108,55,62,14,228,227,240,173,2:4>>"},
        {"<<-123456789012345678901234567890:100/little>>", "<<46,245,192,177,17,31,140,60,9,240,22,113,14:4>>"},
        {"<<1:99/little-unit:1>>", "<<1,0,0,0,0,0,0,0,0,0,0,0,0:3>>"},
        {"fun a:b/1", "fun a:b/1"}, {"fun 'a':'b'/16#a", "fun a:b/10"}, {"fun and:'A b'/255", "fun and:'A b'/255"}, {"fun\na : b / 0", "fun a:b/0"},
        {"fun '\303\251':'\346\227\245'/1", "fun \303\251:'\\x{65E5}'/1"},
        {"<0.12.3>", "<0.12.3>"}, {"#Ref<0.1.2.3>", "#Ref<0.1.2.3>"}, {"[<0.1.2>]", "[<0.1.2>]"}, {"<a@b.1.2.3>", "<a@b.1.2.3>"},
        {"<'a@1.2'.4294967295.0.7>", "<'a@1.2'.4294967295.0.7>"}, {"#Ref<a@b.1.2.3.4>", "#Ref<a@b.1.2.3.4>"}, {"#Ref<a@b.1.2>", "#Ref<a@b.1.2>"},
        {"#Ref<a@b.1.2.3.4.5.6>", "#Ref<a@b.1.2.3.4.5.6>"}, {"#Port<a@b.18446744073709551615.2>", "#Port<a@b.18446744073709551615.2>"},
        {"<0.17179869183.134217727>", "<0.17179869183.134217727>"}, {"#Ref<0.2047.4294967295.262143>", "#Ref<0.2047.4294967295.262143>"},
        {"ok.", "ok"}, {"ok . ", "ok"}, {"ok.% end", "ok"}, {" \t\r\n\302\240ok", "ok"}, {"% first\n{a, % x\n b}", "{a,b}"}, {"1.", "1"},
        {"1152921504606846976", "1152921504606846976"}, {"-1152921504606846977", "-1152921504606846977"},
        {"18446744073709551615", "18446744073709551615"}, {"-18446744073709551615", "-18446744073709551615"},
        {"16#1_0000_0000_0000_0000", "18446744073709551616"}, {"-16#8000000000000000", "-9223372036854775808"}};
    for (size_t i = 0; i < COUNT(texts); i++) {
        char text[400];
        mote_term term = parse(texts[i][0]);
        mote_term_print(term, text, sizeof text);
        if (strcmp(text, texts[i][1]) != 0) fprintf(stderr, "# %s\n", texts[i][0]);
        CHECK_STR(text, texts[i][1]);
        CHECK(mote_term_same(parse(text), term));
    }
}

/* Each bad text, and the byte where it goes wrong. */
static void errors(void) {
    static const struct {
        const char *text;
        size_t at;
    } bad[] = {{"", 0}, {"  ", 2}, {"% only", 6}, {"{", 1}, {"{a", 2}, {"{a,", 3}, {"{a,}", 3}, {"{,a}", 1}, {"{a b}", 3}, {"{a]", 2}, {"}", 0},
               {"[", 1}, {"[a", 2}, {"[a,", 3}, {"[a,]", 3}, {"[|a]", 1}, {"[a|", 3}, {"[a|]", 3}, {"[a|b", 4}, {"[a|b|c]", 4}, {"[a|b,c]", 4},
               {"(", 1}, {"()", 1}, {"(a", 2}, {"(a,b)", 2}, {"#", 1}, {"#a", 1}, {"#{", 2}, {"#{a}", 3}, {"#{a=>}", 5}, {"#{a=>1,}", 7},
               {"#{a=>1=>2}", 6}, {"#{a:=1}", 3}, {"#{a=1}", 3}, {"#{a,b}", 3},
               {"a b", 2}, {"a,b", 1}, {"a..", 2}, {"a.b", 2}, {"1.2.3", 4}, {"1 . 2", 4}, {"X", 0}, {"_", 0}, {"{_}", 1}, {"_a", 0}, {"?", 0}, {"^", 0},
               {"{end}", 1}, {"and", 0}, {"'a", 0}, {"{'a}", 1}, {"\"a", 0}, {"\"a\\", 2}, {"\"\\x\"", 1}, {"\"ab\\xfg\"", 3}, {"\"\\x{}\"", 1},
               {"\"\\x{110000}\"", 1}, {"\"\\x{d800}\"", 1}, {"\"\\x{41\"", 1}, {"\"\\^\"", 0}, {"\"\\^", 1}, {"$", 0}, {"$\\", 1}, {"$\\x", 1},
               {"'a' 'b'", 4}, {"--1", 1}, {"- -1", 2}, {"-a", 1}, {"-", 1}, {"-(1)", 1},
               {"1__0", 1}, {"1_", 1}, {"16#", 3}, {"16#g", 3}, {"37#1", 0}, {"1#0", 0}, {"2#3", 2}, {"16#_f", 3}, {"99999999999999999999#1", 0},
               {"1.0e", 4}, {"1.0e+", 5}, {"1.0e400", 0}, {"-1.0e309", 1}, {"1.e3", 2}, {"1e3", 1}, {"12a", 2}, {"{1.0e99999999999999999999}", 1},
               {"\377", 0}, {"a\377", 1}, {"\"\300\200\"", 1}, {"'\355\240\200'", 1}, {"$\377", 1}, {"{\"\360\237\"}", 2}, {"a ~", 2}, {"a=", 1}, {"!", 0},
               {"a\302\265", 1}, {"\342\202\254", 0},
               {"<<", 2}, {"<<1", 3}, {"<<1,", 4}, {"<<1,>>", 4}, {"<<,>>", 2}, {"<<a>>", 2}, {"<<1.5>>", 2}, {"<<1:a>>", 4}, {"<<1:-1>>", 4},
               {"<<1/>>", 4}, {"<<1/foo>>", 4}, {"<<1/binary>>", 4}, {"<<1/unit:8>>", 2}, {"<<1/unit:0>>", 9}, {"<<1/unit>>", 8}, {"<<1:8/float>>", 2},
               {"<<1.0e10:16/float>>", 2}, {"<<1.0e39:32/float>>", 2}, {"<<16#d800/utf8>>", 2}, {"<<-1/utf8>>", 3}, {"<<\"a\":8/utf8>>", 2},
               {"<<\"a\"/float>>", 2}, {"<<1/utf8-utf16>>", 9}, {"<<1:99999999999>>", 2}, {"<<1:18446744073709551615/unit:256>>", 2}, {"<<1>", 3},
               {"<<1:100000000,1:100000000>>", 14}, {"<<1.5/utf8>>", 2}, {"<<99999999999999999999/float>>", 2}, {"<<- 'a'>>", 4},
               {"fun", 3}, {"fun a", 5}, {"fun a:", 6}, {"fun a:b", 7}, {"fun a:b/", 8}, {"fun a:b/256", 8}, {"fun a:b/x", 8}, {"fun a/1", 5}, {"fun A:b/1", 4},
               {"<", 1}, {"<0", 2}, {"<0.1", 4}, {"<0.1.2", 6}, {"<0.1>", 0}, {"<1.1.2>", 1}, {"<0.1.2.3>", 0}, {"<0.1.x>", 5}, {"<0.99999999999.1>", 3},
               {"<0.1.134217728>", 5}, {"<0.99999999999999999999.1>", 3}, {"<a@b.1.2>", 0}, {"<a@b.4294967296.2.3>", 5}, {"<X.1.2.3>", 1},
               {"#Ref<0.1.2>", 0}, {"#Ref<1.1.2.3>", 0}, {"#Ref<0.2048.0.0>", 7}, {"#Ref<0.0.0.262144>", 11}, {"#Ref<a@b.1>", 0}, {"#Ref<", 5},
               {"#Ref<a@b.1.2.3.4.5.6.7>", 0}, {"#Ref<0.1.2.3", 12}, {"#Port<0.1>", 0}, {"#Port<a@b.1>", 0}, {"#Fun<a.1.2>", 1}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        mote_term term = {77};
        size_t at = 999;
        mote_err err = parse_bytes(bad[i].text, strlen(bad[i].text), &term, &at);
        if (err != MOTE_ESYNTAX || at != bad[i].at) fprintf(stderr, "# %s: %s at %zu\n", bad[i].text, mote_err_name(err), at);
        CHECK_INT(err, MOTE_ESYNTAX);
        CHECK_INT(at, bad[i].at);
        CHECK(term.word == 77);
        CHECK_INT(mote_term_parse(arena, bad[i].text, strlen(bad[i].text), &term, NULL), MOTE_ESYNTAX);
    }
}

static void names(void) {
    char text[2000];
    mote_term term;
    size_t at = 0;
    for (size_t n = 254; n <= 257; n++) {
        memset(text, 'a', n);
        CHECK_INT(parse_bytes(text, n, &term, &at), n <= 255 ? MOTE_OK : MOTE_ESYNTAX);
        text[0] = '\'';
        for (size_t i = 0; i < n; i++) memcpy(text + 1 + 2 * i, "\303\251", 2);
        text[1 + 2 * n] = '\'';
        CHECK_INT(parse_bytes(text, 2 + 2 * n, &term, &at), n <= 255 ? MOTE_OK : MOTE_ESYNTAX);
        for (size_t i = 0; i < n; i++) memcpy(text + 1 + 4 * i, "\\x41", 4);
        text[1 + 4 * n] = '\'';
        CHECK_INT(parse_bytes(text, 2 + 4 * n, &term, &at), n <= 255 ? MOTE_OK : MOTE_ESYNTAX);
        CHECK_INT(at, 0);
    }
}

/* Atoms that came with a text go with it, also when it is bad. */
static void atoms_are_counted(void) {
    size_t before = mote_atom_count();
    mote_term term;
    size_t at;
    mote_arena *own = mote_arena_new(0);
    CHECK_OK(mote_term_parse(own, "{fresh_a, [fresh_b, fun fresh_c:fresh_d/1], <fresh@e.1.2.3>}", 60, &term, &at));
    CHECK_INT(mote_atom_count(), before + 5);
    mote_arena_free(own);
    CHECK_INT(mote_atom_count(), before);
    own = mote_arena_new(0);
    CHECK_INT(mote_term_parse(own, "{fresh_a, [fresh_b, <<\"0\":640>>, X", 35, &term, &at), MOTE_ESYNTAX);
    CHECK_INT(mote_atom_count(), before);
    mote_arena_free(own);
}

/* Large numbers: as they were made; the limit; text as long as that of the largest. */
static void *big(void *context) {
    static uint8_t bytes[MT_BIG_BYTES_MAX + 8];
    static const size_t sizes[] = {8, 9, 100, 1000, 1024, 1025, 1032, 2000, 20000};
    uint32_t seed = 12345;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int minus = 0; minus < 2; minus++) {
            mote_term term = mote_big_make(arena, minus, bytes, sizes[i]);
            size_t size = mote_term_print(term, NULL, 0);
            char *text = malloc(size + 1);
            CHECK(text && mote_term_print(term, text, size + 1) == size);
            CHECK(mote_term_same(parse(text), term));
            free(text);
        }
    char *hex = malloc(MT_BIG_BYTES_MAX * 2 + 8);
    mote_term term = MOTE_TERM_NONE;
    size_t at = 99;
    CHECK(hex);
    memcpy(hex, "16#", 3);
    memset(hex + 3, 'f', MT_BIG_BYTES_MAX * 2 + 2);
    CHECK_OK(parse_bytes(hex, 3 + MT_BIG_BYTES_MAX * 2, &term, &at));
    CHECK_INT(parse_bytes(hex, 3 + MT_BIG_BYTES_MAX * 2 + 1, &term, &at), MOTE_ESYNTAX);
    CHECK_INT(at, 0);
    hex[0] = '-';
    memset(hex + 1, '9', 40);
    memset(hex + 1, '0', 20);
    CHECK_OK(parse_bytes(hex, 41, &term, &at));
    CHECK(mote_term_same(term, parse("-99999999999999999999")));
    free(hex);
    char *nines = malloc(20000000);
    CHECK(nines);
    memset(nines, '9', 20000000);
    CHECK_INT(parse_bytes(nines, 20000000, &term, &at), MOTE_ESYNTAX);
    CHECK_INT(parse_bytes(nines, 1500000, &term, &at), MOTE_ESYNTAX);
    free(nines);
    return context;
}

static char *repeated(const char *open, const char *middle, const char *close, size_t n) {
    size_t o = strlen(open), c = strlen(close);
    char *text = malloc(n * (o + c) + strlen(middle) + 1), *at = text;
    CHECK(text);
    for (size_t i = 0; i < n; i++, at += o) memcpy(at, open, o);
    memcpy(at, middle, strlen(middle));
    at += strlen(middle);
    for (size_t i = 0; i < n; i++, at += c) memcpy(at, close, c);
    *at = 0;
    return text;
}

/* A million levels, there and back, with a small stack. */
static void *deep(void *context) {
    static const char *const forms[][3] = {{"{", "a", "}"}, {"[", "a", "]"}, {"[a|", "b", "]"}, {"{a,", "b", ",c}"}, {"#{a => ", "b", "}"}, {"#{", "b", " => a}"}};
    for (size_t i = 0; i < COUNT(forms); i++) {
        mote_arena *own = mote_arena_new(0);
        mote_term term = MOTE_TERM_NONE;
        size_t n = i == 5 ? 2000 : MT_TSAN ? 100000 : 1000000; /* nested keys are compared when a map is made */
        char *text = repeated(forms[i][0], forms[i][1], forms[i][2], n);
        CHECK_OK(mote_term_parse(own, text, strlen(text), &term, NULL));
        size_t size = mote_term_print(term, NULL, 0);
        char *printed = malloc(size + 1);
        CHECK(printed && mote_term_print(term, printed, size + 1) == size);
        if (i != 2) CHECK(strcmp(printed, text) == 0);
        free(printed);
        CHECK_INT(mote_term_parse(own, text, strlen(text) - 1, &term, &size), MOTE_ESYNTAX);
        CHECK_INT(size, strlen(text) - 1);
        free(text);
        mote_arena_free(own);
    }
    return context;
}
static void on_small_stack(void *(*run)(void *)) {
    pthread_attr_t attr;
    pthread_t thread;
    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, MT_ASAN || MT_TSAN ? 1 << 20 : SMALL_STACK) == 0);
    CHECK(pthread_create(&thread, &attr, run, NULL) == 0);
    pthread_join(thread, NULL);
}
static void deep_terms(void) { on_small_stack(deep); }
static void big_numbers(void) { on_small_stack(big); }

/* Texts that are nearly terms: whatever is said of them, what is read can be printed and read again. */
static void hostile(void) {
    static const char *const seeds[] = {"{abc,[1,2|3],#{a => <<1,2:3,\"abc\"/utf8>>}, 'q\\x{41}', \"s\" \"t\", 1.5e-3, 16#ff, $\\n, fun a:b/2}",
                                        "[<0.1.2>, #Ref<0.1.2.3>, #Port<a@b.1.2>, <a@b.1.2.3>, -12345678901234567890123, <<-1:70/little-unit:2>>]. % c",
                                        "#{1.0=>1,1=>\"\346\227\245\303\251\", [] => {}, <<\"\303\251\"/utf16>> => ''}"};
    uint64_t state = 88172645463325252u;
    char text[256], printed[4096];
    for (unsigned round = 0; round < 60000; round++) {
        const char *seed = seeds[round % COUNT(seeds)];
        size_t size = strlen(seed), at = 0;
        memcpy(text, seed, size);
        for (unsigned k = 0; k < 1 + round % 4; k++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            size_t place = (state >> 8) % size;
            static const char other[] = "{}[](),|<>#'\"$\\:/=-+.%_aZ019?^ \n\303\251\377";
            if (state % 5 == 1) memmove(text + place, text + place + 1, size - place - 1);
            if (state % 5 > 1) text[place] = other[(state >> 32) % (sizeof other - 1)];
            size = state % 5 == 0 ? place + 1 : size - (state % 5 == 1);
            if (size == 0) size = 1;
        }
        mote_arena *own = mote_arena_new(1 << 24);
        mote_term term = {77}, again = MOTE_TERM_NONE;
        char *copy = malloc(size);
        CHECK(copy);
        memcpy(copy, text, size);
        mote_err err = mote_term_parse(own, copy, size, &term, &at);
        free(copy);
        CHECK(err == MOTE_OK || err == MOTE_ENOMEM || (err == MOTE_ESYNTAX && at <= size && term.word == 77));
        if (!err && mote_term_print(term, printed, sizeof printed) < sizeof printed) {
            char twice[4096];
            CHECK_OK(mote_term_parse(own, printed, strlen(printed), &again, &at));
            mote_term_print(again, twice, sizeof twice); /* ASCII text comes back as a binary: so the texts are compared */
            CHECK_STR(twice, printed);
        }
        mote_arena_free(own);
    }
}

static void truncated(void) {
    static const char text[] = "{abc,[1,2|3],#{a => <<1,2:3,\"abc\"/utf8>>}, 'q\\x{41}', \"s\" \"t\", 1.5e-3, 16#ff, $\\n, fun a:b/2, #Ref<0.1.2.3>}";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        mote_term term = {77};
        size_t at = 0;
        CHECK_INT(parse_bytes(text, n, &term, &at), MOTE_ESYNTAX);
        CHECK(at <= n);
    }
}

static void limits(void) {
    mote_term term = {77};
    size_t at = 5;
    mote_arena *small = mote_arena_new(256);
    char *text = repeated("{", "1", "}", 1000);
    CHECK_INT(mote_term_parse(small, text, strlen(text), &term, &at), MOTE_ENOMEM);
    CHECK(term.word == 77 && at == 5);
    CHECK_OK(mote_term_parse(small, "{a}", 3, &term, &at));
    CHECK_OK(mote_term_parse(NULL, "42", 2, &term, &at));
    CHECK_INT(mote_term_parse(NULL, "{1}", 3, &term, &at), MOTE_ENOMEM);
    mote_arena_free(small);
    free(text);
}

static void faults(void) {
#ifdef MT_FAULTS
    static const char text[] = "{new_atom,[1,2|3],#{a => <<1,2:3,\"abc\">>, b => <<\"x\"/utf8>>}, {{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{1}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}},"
                               "123456789012345678901234567890, <<12345678901234567890123:90>>, fun new:other/1, <far@node.1.2.3>,"
                               "1.00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001}";
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        mote_arena *own = mote_arena_new(0);
        mote_term term = {77};
        size_t at = 0, before = mote_atom_count();
        mt_os_fault_arm(n, false);
        mote_err err = mote_term_parse(own, text, sizeof text - 1, &term, &at);
        failed = mt_os_fault_count() >= n;
        char printed[2000];
        mote_term_print(err ? MOTE_TERM_NIL : term, printed, sizeof printed); /* may fail inside, must not crash */
        mt_os_fault_arm(0, false);
        CHECK(err == MOTE_OK ? term.word != 77 : err == MOTE_ENOMEM && term.word == 77);
        if (err) CHECK_INT(mote_atom_count(), before);
        CHECK_OK(mote_term_parse(own, text, sizeof text - 1, &term, &at));
        mote_arena_free(own);
    }
#endif
}

int main(int argc, char **argv) {
    arena = mote_arena_new(0);
    int result = check_main(argc, argv,
                            (struct check_test[]){TEST(notations), TEST(errors), TEST(names), TEST(atoms_are_counted), TEST_SLOW(big_numbers, 900),
                                                  TEST_SLOW(deep_terms, 900), TEST_SLOW(hostile, 900), TEST(truncated), TEST(limits), TEST(faults), {0}});
    mote_arena_free(arena);
    return result;
}
