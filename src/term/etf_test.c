/* SPDX-License-Identifier: Apache-2.0
 * The external format of terms: what Erlang has written, each tag, each limit, bytes that lie. */
#include "term/etf.h"

#include <limits.h>
#include <pthread.h>

#include "check.h"
#include "hex.h"
#include "term/etf_random.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SMALL_STACK ((size_t)65536 > (size_t)PTHREAD_STACK_MIN ? (size_t)65536 : (size_t)PTHREAD_STACK_MIN)
#define BYTES_MAX 8192u
#define NODE "here@there"

static mote_arena *arena;

/* The options that most tests use. */
static mote_external_options in_form(mote_form form) {
    return (mote_external_options){.form = form, .node = mote_atom_make(NODE), .creation = 77};
}

/* Decodes bytes that end where their block ends, so that reading on is seen. */
static mote_err decode_with(const mote_external_options *options, const void *data, size_t size, mote_term *term, size_t *at) {
    uint8_t *copy = malloc(size + 1);
    CHECK(copy);
    if (size) memcpy(copy + 1, data, size);
    mote_err err = mote_term_decode(arena, copy + 1, size, options, term, at);
    free(copy);
    return err;
}

static mote_term parse(const char *text) {
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    if (mote_term_parse(arena, text, strlen(text), &term, &at)) fprintf(stderr, "# byte %zu of: %s\n", at, text);
    CHECK(term.word);
    return term;
}

static size_t from_hex(const char *hex, uint8_t *to) { return hex_read(hex, to, BYTES_MAX); }

/* Decodes what hexadecimal digits say. */
static mote_err decode_hex(mote_form form, const char *hex, mote_term *term, size_t *at) {
    uint8_t bytes[BYTES_MAX];
    mote_external_options options = in_form(form);
    size_t size = from_hex(hex, bytes);
    return decode_with(&options, bytes, size, term, at);
}

static mote_term good_hex(mote_form form, const char *hex) {
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    mote_err err = decode_hex(form, hex, &term, &at);
    if (err) fprintf(stderr, "# %s at %zu of %.200s\n", mote_err_name(err), at, hex);
    CHECK_OK(err);
    CHECK_INT(at, strlen(hex) / 2);
    return term;
}

/* Refused with this error at this byte, and nothing given. */
static void bad_hex(mote_form form, const char *hex, mote_err want, size_t where) {
    mote_term term = {77};
    size_t at = 9999, before = mote_atom_count();
    mote_err err = decode_hex(form, hex, &term, &at);
    if (err != want || at != where) fprintf(stderr, "# %s at %zu of %.200s\n", mote_err_name(err), at, hex);
    CHECK_INT(err, want);
    CHECK_INT(at, where);
    CHECK(term.word == 77);
    CHECK_INT(mote_atom_count(), before);
}

/* Encodes into a growing writer, to be ended by the caller. */
static void encode(mote_writer *w, mote_form form, mote_term term) {
    mote_external_options options = in_form(form);
    mote_writer_init(w, form, NULL, 0, SIZE_MAX);
    CHECK_OK(mote_term_encode(term, &options, w));
}

static void check_hex(mote_form form, mote_term term, const char *hex) {
    uint8_t bytes[BYTES_MAX];
    size_t size = from_hex(hex, bytes);
    mote_writer w;
    encode(&w, form, term);
    mote_bytes got = mote_writer_bytes(&w);
    if (got.size != size || memcmp(got.data, bytes, size) != 0) {
        fprintf(stderr, "# not %.300s but ", hex);
        for (size_t i = 0; i < got.size; i++) fprintf(stderr, "%02x", ((const uint8_t *)got.data)[i]);
        fprintf(stderr, "\n");
        CHECK(false);
    }
    mote_writer_fini(&w);
}

/* Through bytes and back. */
static mote_term again(mote_form form, mote_term term) {
    mote_writer w;
    mote_external_options options = in_form(form);
    mote_term back = MOTE_TERM_NONE;
    size_t at = 0;
    encode(&w, form, term);
    mote_bytes bytes = mote_writer_bytes(&w);
    CHECK_OK(decode_with(&options, bytes.data, bytes.size, &back, &at));
    CHECK_INT(at, bytes.size);
    mote_writer_fini(&w);
    return back;
}

/* ------------------------------------------------------------------------------------------------ Erlang's bytes */

struct vector {
    const char *hex, *text;
    char kind;
};
static const struct vector vectors[] = {
#define X(hex, text) {hex, text, 'X'},
#define Y(hex, text) {hex, text, 'Y'},
#define Z(hex, text) {hex, text, 'Z'},
#include "term/etf_test.inc"
};

static void recorded(void) {
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const struct vector *v = &vectors[i];
        uint8_t bytes[BYTES_MAX];
        mote_external_options options = {.version = v->kind != 'Y'};
        size_t size = from_hex(v->hex, bytes), at = 0;
        mote_term term = MOTE_TERM_NONE;
        mote_err err = decode_with(&options, bytes, size, &term, &at);
        if (err || !mote_term_same(term, parse(v->text))) fprintf(stderr, "# %s: %.200s at %zu\n", mote_err_name(err), v->text, at);
        CHECK_OK(err);
        CHECK_INT(at, size);
        CHECK(mote_term_same(term, parse(v->text)));
        CHECK(mote_term_same(term, again(MOTE_FORM_ERLANG, term)));
        CHECK(mote_term_same(term, again(MOTE_FORM_MOTE, term)));
        if (v->kind == 'X') check_hex(MOTE_FORM_ERLANG, term, v->hex + 2);
        mote_arena_reset(arena);
    }
}

/* Each beginning of a term is refused, wherever it was cut. */
static void cut_short(void) {
    for (size_t i = 0; i < COUNT(vectors); i++) {
        uint8_t bytes[BYTES_MAX];
        size_t size = from_hex(vectors[i].hex, bytes), step = size > 1000 ? 7 : 1;
        mote_external_options options = {.version = vectors[i].kind != 'Y'};
        for (size_t n = 0; n < size; n += step) {
            mote_term term = {77};
            size_t at = 0;
            mote_err err = decode_with(&options, bytes, n, &term, &at);
            CHECK(err == MOTE_ESYNTAX);
            CHECK(term.word == 77 && at <= n);
        }
        mote_arena_reset(arena);
    }
}

/* What is read from any bytes at all can be written, and is the same when it is read again. */
static void survive(const mote_external_options *options, const uint8_t *bytes, size_t size) {
    mote_term term = {77};
    size_t at = 0, before = mote_atom_count();
    mote_err err = decode_with(options, bytes, size, &term, &at);
    CHECK(at <= size);
    if (err) {
        CHECK(err == MOTE_ESYNTAX || err == MOTE_ELIMIT || err == MOTE_ETERM);
        CHECK(term.word == 77);
        CHECK_INT(mote_atom_count(), before);
        return;
    }
    char text[300];
    mote_term_print(term, text, sizeof text);
    mote_term_hash(term);
    CHECK(mote_term_same(term, again(options->form, term)));
}

static void bits_flipped(void) {
    for (size_t i = 0; i < COUNT(vectors); i++) {
        uint8_t bytes[BYTES_MAX];
        size_t size = from_hex(vectors[i].hex, bytes);
        mote_external_options options = in_form(i % 2 ? MOTE_FORM_MOTE : MOTE_FORM_ERLANG);
        if (vectors[i].kind != 'Y' && size > 0) memmove(bytes, bytes + 1, --size);
        for (size_t bit = 0; bit < 8 * size; bit += size > 300 ? 61 : 1) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            survive(&options, bytes, size);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        mote_arena_reset(arena);
    }
}

/* ------------------------------------------------------------------------------------------------ bytes that lie */

static void lies(void) {
    static const char *const hex[] = {
        "6dffffffff00", "6d0000000200", "6b000201", "6cffffffff6a", "6c400000006a6a6a6a6a", "69ffffffff6a", "6900ffffff6a", "68ff6a6a", "74ffffffff6a6a",
        "7480000000", "6effff00", "6f00ffffff00", "77056162", "760400", "64000561", "4dffffffff0800", "5a0005770161000000010000000200000003",
        "6c000000026c000000026c000000026a6a", "68026802680268026a", "740000000174000000017400000001", "6c000000016a", "6801", "6c00000000", "70"};
    for (size_t i = 0; i < COUNT(hex); i++) {
        mote_term term = {77};
        size_t at = 0;
        mote_err err = decode_hex(MOTE_FORM_ERLANG, hex[i], &term, &at);
        if (err != MOTE_ESYNTAX && err != MOTE_ELIMIT) fprintf(stderr, "# %s: %s\n", hex[i], mote_err_name(err));
        CHECK(err == MOTE_ESYNTAX || err == MOTE_ELIMIT);
        CHECK(term.word == 77 && at <= strlen(hex[i]) / 2);
    }
}

/* A megabyte of heads that each announce all that is left: the sum is refused, without memory for it. */
static void nested_lies(void) {
    size_t size = 1 << 20;
    uint8_t *bytes = malloc(size);
    CHECK(bytes);
    for (unsigned kind = 0; kind < 3; kind++) {
        static const uint8_t tags[] = {108, 105, 116};
        for (size_t i = 0; i + 5 <= size; i += 5) {
            bytes[i] = tags[kind];
            mote_put32_(bytes + i + 1, kind == 2 ? (size - i) / 4 : (size - i) / 2);
        }
        mote_term term = {77};
        size_t at = 0;
        mote_external_options options = in_form(MOTE_FORM_ERLANG);
        mote_err err = decode_with(&options, bytes, size, &term, &at);
        CHECK(err == MOTE_ESYNTAX && term.word == 77);
        CHECK(at <= 20); /* at the second or third */
        mote_reader r;
        mote_reader_init(&r, MOTE_FORM_ERLANG, bytes, size);
        CHECK(!mote_reader_skip(&r, 1) && r.err == MOTE_ESYNTAX && r.next - r.data <= 20);
    }
    free(bytes);
}

static void wrong(void) {
    static const struct {
        const char *hex;
        mote_err err;
        size_t at;
    } all[] = {
        {"", MOTE_ESYNTAX, 0}, {"00", MOTE_ESYNTAX, 0}, {"83", MOTE_ESYNTAX, 0}, {"43", MOTE_ESYNTAX, 0}, {"79", MOTE_ESYNTAX, 0}, {"ff", MOTE_ESYNTAX, 0},
        {"75000000006161", MOTE_ESYNTAX, 0}, {"5000000001789c", MOTE_ESYNTAX, 0}, {"5200", MOTE_ESYNTAX, 0}, {"680161016102", MOTE_OK, 4},
        {"467ff0000000000000", MOTE_ESYNTAX, 0}, {"46fff8000000000000", MOTE_ESYNTAX, 0}, {"6802610146fff8000000000000", MOTE_ESYNTAX, 4},
        {"7701ff", MOTE_ESYNTAX, 0}, {"7702c080", MOTE_ESYNTAX, 0}, {"7703eda080", MOTE_ESYNTAX, 0}, {"7704f4908080", MOTE_ESYNTAX, 0}, {"7701c3", MOTE_ESYNTAX, 0},
        {"6e010205", MOTE_ESYNTAX, 0}, {"4d000000010900", MOTE_ESYNTAX, 0}, {"4d000000010000", MOTE_ESYNTAX, 0}, {"4d0000000001", MOTE_ESYNTAX, 0},
        {"716102770161", MOTE_ESYNTAX, 0}, {"717701617701616200000001", MOTE_ESYNTAX, 0}, {"5861000000000000000000000000", MOTE_ESYNTAX, 0},
        {"5a00007701610000000100000001", MOTE_ESYNTAX, 0}, {"5a0006770161000000010000000100000001000000010000000100000001000000010000000100000001", MOTE_ESYNTAX, 0},
        {"7400000002610161026101", MOTE_ESYNTAX, 11}, {"74000000026101610261016103", MOTE_ESYNTAX, 0}, {"680274000000026101610261016103740000000261016102610161036a", MOTE_ESYNTAX, 15},
        {"7400000002770161610177016176", MOTE_ESYNTAX, 13},
        {"740000000274000000017701616101610174000000017701616101610f", MOTE_ESYNTAX, 0}, {"7400000002680061016c000000006800610f", MOTE_ESYNTAX, 0},
        {"69010000006a", MOTE_ELIMIT, 0}, {"632d312e3530303030303030303030303030303030303030302b3030000000000000", MOTE_ESYNTAX, 0},
        {"63312e35303030303030303030303030303030303030652b393939000000000000", MOTE_ESYNTAX, 0}, {"6331652b303000000000000000000000000000000000000000000000000000000000", MOTE_ESYNTAX, 0},
        {"636e616e000000000000000000000000000000000000000000000000000000000000", MOTE_ESYNTAX, 0}};
    for (size_t i = 0; i < COUNT(all); i++) {
        mote_term term = MOTE_TERM_NONE;
        size_t at = 0;
        if (all[i].err) {
            bad_hex(MOTE_FORM_ERLANG, all[i].hex, all[i].err, all[i].at);
        } else { /* bytes behind a term are not looked at */
            CHECK_OK(decode_hex(MOTE_FORM_ERLANG, all[i].hex, &term, &at));
            CHECK_INT(at, all[i].at);
        }
    }
}

static void names(void) {
    static const uint8_t tags[] = {100, 115, 118, 119};
    uint8_t bytes[1200];
    mote_external_options options = in_form(MOTE_FORM_ERLANG);
    for (size_t i = 0; i < COUNT(tags); i++)
        for (size_t n = 253; n <= 257; n++) {
            mote_term term = MOTE_TERM_NONE;
            size_t head = i % 2 ? 2 : 3, at;
            bytes[0] = tags[i];
            if (i % 2) bytes[1] = (uint8_t)n;
            else mote_put16_(bytes + 1, n);
            memset(bytes + head, 'x', n);
            mote_err err = decode_with(&options, bytes, head + (i % 2 ? n & 255 : n), &term, &at);
            CHECK_INT(err, i % 2 || n <= 255 ? MOTE_OK : MOTE_ELIMIT);
            if (err) CHECK_INT(at, 0);
        }
    for (size_t n = 254; n <= 256; n++) { /* characters are counted */
        mote_term term = MOTE_TERM_NONE;
        size_t at;
        bytes[0] = 118;
        mote_put16_(bytes + 1, 4 * n);
        for (size_t i = 0; i < n; i++) memcpy(bytes + 3 + 4 * i, "\360\237\230\200", 4);
        CHECK_INT(decode_with(&options, bytes, 3 + 4 * n, &term, &at), n <= 255 ? MOTE_OK : MOTE_ELIMIT);
        bytes[0] = 100; /* 255 characters of Latin-1 become 510 bytes */
        mote_put16_(bytes + 1, n);
        memset(bytes + 3, 0xe9, n);
        CHECK_INT(decode_with(&options, bytes, 3 + n, &term, &at), n <= 255 ? MOTE_OK : MOTE_ELIMIT);
    }
    mote_atom atom;
    size_t size;
    CHECK_OK(mote_atom_get(good_hex(MOTE_FORM_ERLANG, "6400026be9"), &atom));
    const char *name = mote_atom_name(atom, &size);
    CHECK(size == 3 && memcmp(name, "k\303\251", 3) == 0);
}

static void large_numbers(void) {
    mote_external_options options = in_form(MOTE_FORM_ERLANG);
    uint8_t *bytes = malloc(MT_BIG_READ_MAX + 20);
    CHECK(bytes);
    memset(bytes, 0xff, MT_BIG_READ_MAX + 20);
    static const size_t sizes[] = {MT_BIG_BYTES_MAX - 1, MT_BIG_BYTES_MAX, MT_BIG_BYTES_MAX + 1, MT_BIG_READ_MAX, MT_BIG_READ_MAX + 1};
    for (size_t i = 0, n; i < sizeof sizes / sizeof *sizes; i++) {
        n = sizes[i];
        mote_term term = {77};
        size_t at = 0;
        bytes[0] = 111;
        mote_put32_(bytes + 1, n);
        bytes[5] = 1;
        mote_err err = decode_with(&options, bytes, 6 + n, &term, &at);
        CHECK_INT(err, n <= MT_BIG_READ_MAX ? MOTE_OK : MOTE_ELIMIT);
        if (!err) CHECK(mote_term_same(term, again(MOTE_FORM_ERLANG, term)));
        if (n <= MT_BIG_BYTES_MAX) CHECK(mote_term_same(term, mote_big_make(arena, true, bytes + 6, n)));
    }
    bytes[6 + MT_BIG_READ_MAX] = 0; /* leading zeros do not count */
    mote_term term = MOTE_TERM_NONE;
    size_t at = 0;
    CHECK_OK(decode_with(&options, bytes, 7 + MT_BIG_READ_MAX, &term, &at));
    free(bytes);
}

/* ------------------------------------------------------------------------------------------------ depth, size */

/* `n` times `open`, then `middle`, then `n` times `close`. */
static uint8_t *repeated(const char *open, const char *middle, const char *close, size_t n, size_t *size) {
    uint8_t a[64], b[64], c[64];
    size_t x = from_hex(open, a), y = from_hex(middle, b), z = from_hex(close, c);
    *size = n * (x + z) + y;
    uint8_t *bytes = malloc(*size), *at = bytes;
    CHECK(bytes);
    for (size_t i = 0; i < n; i++, at += x) memcpy(at, a, x);
    memcpy(at, b, y);
    at += y;
    for (size_t i = 0; i < n; i++, at += z) memcpy(at, c, z);
    return bytes;
}

static void *deep(void *context) {
    static const char *const forms[][3] = {{"6801", "6101", ""}, {"6c00000001", "6a", "6a"}, {"6c000000016101", "6102", ""}, {"6803 6101", "6102", "6103"},
                                           {"74000000016101", "6102", ""}, {"7400000001", "6102", "6103"}, {"080000", "6802610161", "02"}, {"6c00000000", "6101", ""},
                                           {"7400000002 61016102", "6102", "6103"}};
    for (size_t i = 0; i < COUNT(forms); i++) {
        char open[64];
        size_t n = i == 8 ? 3000 : MT_TSAN ? 100000 : 1000000, size, at, k = 0;
        for (const char *p = forms[i][0]; *p; p++)
            if (*p != ' ') open[k++] = *p;
        open[k] = 0;
        uint8_t *bytes = repeated(open, forms[i][1], i == 6 ? "" : forms[i][2], n, &size);
        if (i == 6) { /* what it is like stands n times before it */
            bytes = realloc(bytes, size + 1);
            CHECK(bytes);
            bytes[size++] = 2;
        }
        mote_arena *own = mote_arena_new(0);
        mote_external_options options = {.form = MOTE_FORM_MOTE};
        mote_term term = MOTE_TERM_NONE;
        mote_err err = mote_term_decode(own, bytes, size, &options, &term, &at);
        if (err) fprintf(stderr, "# form %zu: %s at %zu\n", i, mote_err_name(err), at);
        CHECK_OK(err);
        CHECK_INT(at, size);
        mote_writer w;
        mote_writer_init(&w, MOTE_FORM_MOTE, NULL, 0, size);
        CHECK_OK(mote_term_encode(term, &options, &w));
        mote_bytes back = mote_writer_bytes(&w);
        if (i == 2) CHECK(back.size == 5 + 2 * n + 2); /* one list */
        else if (i == 6) CHECK(back.size == 6);
        else if (i == 7) CHECK(back.size == 2);
        else CHECK(back.size == size && (i == 8 || memcmp(back.data, bytes, size) == 0));
        mote_writer_fini(&w);
        if (i != 6) CHECK_INT(mote_term_decode(own, bytes, size - 1, &options, &term, &at), MOTE_ESYNTAX);
        free(bytes);
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
static void million_levels(void) { on_small_stack(deep); }

/* The term, and all that was made for it, is no larger than said (etf.h, F2). */
static void memory(void) {
    static const char *const densest[][2] = {{"6a", ""}, {"6800", ""}, {"6e0000", ""}, {"4600000000000000001", "0"}, {"060000", ""}, {"71770077006100", ""}, {"770161", ""}};
    for (size_t i = 0; i < COUNT(densest); i++) {
        char one[64];
        uint8_t bytes[64];
        snprintf(one, sizeof one, "%.60s", densest[i][0]);
        if (densest[i][1][0]) one[18] = 0;
        size_t n = 100000, size = from_hex(one, bytes), at = 0;
        uint8_t *all = malloc(6 + n * size);
        CHECK(all);
        all[0] = 108;
        mote_put32_(all + 1, n);
        for (size_t k = 0; k < n; k++) memcpy(all + 5 + k * size, bytes, size);
        all[5 + n * size] = 106;
        struct mt_etf etf;
        mote_external_options options = in_form(MOTE_FORM_MOTE);
        CHECK_OK(mt_etf_scan(&etf, all, 6 + n * size, &options, &at));
        CHECK(8 * etf.words + etf.outside <= MT_ETF_TIMES * etf.size);
        options.memory_max = 8 * etf.words;
        CHECK_OK(mt_etf_scan(&etf, all, 6 + n * size, &options, &at));
        options.memory_max--;
        CHECK_INT(mt_etf_scan(&etf, all, 6 + n * size, &options, &at), MOTE_ELIMIT);
        CHECK_INT(at, 0);
        free(all);
    }
    mote_arena *small = mote_arena_new(1000);
    mote_term term = {77};
    uint8_t text[300] = {107, 0, 200};
    size_t at = 0;
    CHECK_INT(mote_term_decode(small, text, sizeof text, NULL, &term, &at), MOTE_ENOMEM);
    text[2] = 20;
    CHECK_OK(mote_term_decode(small, text, sizeof text, NULL, &term, &at));
    CHECK_INT(at, 23);
    CHECK_OK(mote_term_decode(NULL, "a\5", 2, NULL, &term, NULL));
    CHECK_INT(term.word, mt_small(5));
    CHECK_INT(mote_term_decode(NULL, "h\0", 2, NULL, &term, NULL), MOTE_ENOMEM);
    mote_arena_free(small);
}

/* ------------------------------------------------------------------------------------------------ maps */

static void maps(void) {
    mote_term map = good_hex(MOTE_FORM_ERLANG, "7400000003" "770162" "6101" "463ff0000000000000" "6102" "6101" "6103"), value;
    CHECK(mote_term_same(map, parse("#{b => 1, 1.0 => 2, 1 => 3}")));
    CHECK_OK(mote_map_get(map, parse("1"), &value));
    CHECK_INT(value.word, mt_small(3));
    for (size_t n = 1; n < 400; n += 7) { /* in any order of keys */
        mote_term keys[400], values[400];
        mote_writer w;
        struct random_terms r = {.state = n, .arena = arena};
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, SIZE_MAX);
        mote_map_write(&w, n);
        for (size_t i = 0; i < n; i++) {
            int64_t k = (int64_t)(i * 7919 % 4001) - 2000, v = (int64_t)random_below(&r, 1000);
            keys[i] = mote_int_make(NULL, k);
            values[i] = mote_int_make(NULL, v);
            mote_int_write(&w, k);
            mote_int_write(&w, v);
        }
        mote_bytes bytes = mote_writer_bytes(&w);
        mote_external_options options = in_form(MOTE_FORM_ERLANG);
        CHECK_OK(decode_with(&options, bytes.data, bytes.size, &map, NULL));
        CHECK(mote_term_same(map, mote_map_make(arena, n, keys, values)));
        mote_writer_fini(&w);
    }
}

/* Keys that differ in Erlang's form only by being text are refused, when they stand in the map themselves. */
static void keys_collide(void) {
    mote_writer w;
    static const char *const bad[] = {"#{<<\"\303\251\"/utf8>> => 1, <<195,169>> => 2}", "{x, #{<<>> => 0, <<\"\303\251\"/utf8>> => 1, <<195,169>> => 2, <<195,170>> => 3}}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, SIZE_MAX);
        CHECK_INT(mote_term_encode(parse(bad[i]), NULL, &w), MOTE_ETERM);
        mote_writer_fini(&w);
        CHECK(mote_term_same(parse(bad[i]), again(MOTE_FORM_MOTE, parse(bad[i]))));
    }
    check_hex(MOTE_FORM_ERLANG, parse("#{<<\"\303\251\"/utf8>> => 1, <<195,170>> => 2}"), "74000000026d00000002c3a961016d00000002c3aa6102");
}

/* ------------------------------------------------------------------------------------------------ what is local */

static void identifiers(void) {
    mote_term pid = {mt_pid_word(5, 3, 7)}, ref = {UINT64_C(0x123456789abcdef) << 3 | MT_REF}, term = MOTE_TERM_NONE;
    mote_external_options other = {.node = mote_atom_make(NODE), .creation = 78}, none = {0};
    mote_writer w;
    size_t at;
    check_hex(MOTE_FORM_ERLANG, pid, "58770a686572654074686572650c0000050000001c0000004d");
    check_hex(MOTE_FORM_ERLANG, ref, "5a0003770a686572654074686572650000004d0003cdefd159e26a00000048");
    check_hex(MOTE_FORM_MOTE, (mote_term){UINT64_C(0x0102030405060708) | MT_PID}, "01010203040506070b");
    check_hex(MOTE_FORM_MOTE, (mote_term){UINT64_C(0x0102030405060708) | MT_REF}, "02010203040506070c");
    for (int form = 0; form < 2; form++) {
        CHECK(again((mote_form)form, pid).word == pid.word && again((mote_form)form, ref).word == ref.word);
        uint64_t last = mt_pid_word((1u << MT_PID_INDEX_BITS) - 1, (1u << MT_PID_WORKER_BITS) - 2, (1u << MT_PID_SERIAL_BITS) - 1);
        CHECK(again((mote_form)form, (mote_term){last}).word == last);
        CHECK(again((mote_form)form, (mote_term){UINT64_MAX - 7 + MT_REF}).word == UINT64_MAX - 7 + MT_REF);
    }
    encode(&w, MOTE_FORM_ERLANG, mote_tuple_make(arena, 2, (mote_term[]){pid, ref})); /* of another incarnation: not ours */
    mote_bytes bytes = mote_writer_bytes(&w);
    CHECK_OK(decode_with(&other, bytes.data, bytes.size, &term, &at));
    CHECK(mote_term_same(term, parse("{<here@there.201326597.28.77>, #Ref<here@there.72.3512328810.249327.77>}")));
    mote_writer_fini(&w);
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 100); /* without a name */
    CHECK_OK(mote_term_encode(pid, &none, &w));
    bytes = mote_writer_bytes(&w);
    CHECK(memcmp((const char *)bytes.data + 3, "nonode@nohost", 13) == 0);
    CHECK_OK(decode_with(&none, bytes.data, bytes.size, &term, &at));
    CHECK(term.word == pid.word);
    mote_writer_fini(&w);
    /* What carries our name but cannot be ours stays as it is. */
    term = good_hex(MOTE_FORM_ERLANG, "58770a68657265407468657265" "00000001" "20000000" "0000004d");
    CHECK(mote_term_same(term, parse("<here@there.1.536870912.77>")));
    term = good_hex(MOTE_FORM_ERLANG, "5a0002770a68657265407468657265" "0000004d" "00000001" "00000002");
    CHECK(mote_term_same(term, parse("#Ref<here@there.2.1.77>")));
    term = good_hex(MOTE_FORM_ERLANG, "5a0003770a68657265407468657265" "0000004d" "00040000" "00000002" "00000003");
    CHECK(mote_term_same(term, parse("#Ref<here@there.3.2.262144.77>")));
    term = good_hex(MOTE_FORM_ERLANG, "5a0005770178" "00000001" "00000001" "00000002" "00000003" "00000004" "ffffffff");
    CHECK(mote_term_same(term, parse("#Ref<x.4294967295.4.3.2.1.1>")) && mote_term_same(term, again(MOTE_FORM_ERLANG, term)));
    check_hex(MOTE_FORM_ERLANG, parse("#Port<x.268435455.2>"), "597701780fffffff00000002");
    check_hex(MOTE_FORM_ERLANG, parse("#Port<x.268435456.2>"), "78770178000000001000000000000002");
}

static void own_tags(void) {
    static const struct {
        const char *hex;
        const char *text; /* NULL: refused in the other form, too */
        size_t at;
    } all[] = {{"0300", "<<\"\"/utf8>>", 0}, {"0302c3a9", "<<\"\303\251\"/utf8>>", 0}, {"0400000002c3a9", "<<\"\303\251\"/utf8>>", 0}, {"0807006105", "5", 0},
               {"080702680161016a68016103", "{3}", 0}, {"0801000802000803006102", "2", 0}, {"68020800016161018801", NULL, 2}, {"0302c328", NULL, 0}, {"030361", NULL, 0},
               {"0101020304050607", NULL, 0}, {"01010203040506070c", NULL, 0}, {"02010203040506070b", NULL, 0}, {"0500", NULL, 0}, {"0601", NULL, 0},
               {"07010000000161", NULL, 7}, {"0601016161", "", 0}, {"0801026101", NULL, 0}, {"0700000000ff61", NULL, 0}, {"09", NULL, 0}, {"42", NULL, 0}};
    for (size_t i = 0; i < COUNT(all); i++) {
        mote_term term = {77};
        size_t at = 0;
        if (all[i].text && all[i].text[0]) CHECK(mote_term_same(good_hex(MOTE_FORM_MOTE, all[i].hex), parse(all[i].text)));
        else if (!all[i].text) CHECK_INT(decode_hex(MOTE_FORM_MOTE, all[i].hex, &term, &at), MOTE_ESYNTAX);
        CHECK_INT(decode_hex(MOTE_FORM_ERLANG, all[i].hex, &term, &at), MOTE_ESYNTAX);
        CHECK(term.word == 77 && (i == 6 || at == 0));
    }
    char text[400];
    memset(text, 'x', sizeof text);
    text[1] = '\303', text[2] = '\251';
    for (size_t n = 60; n < sizeof text; n += n < 70 || n > 250 ? 1 : 180) {
        mote_term term = mote_text_make(arena, text, n), back = again(MOTE_FORM_MOTE, term);
        CHECK(mote_term_type(back) == MOTE_TEXT && mote_term_same(term, back));
        CHECK_INT(mote_term_type(again(MOTE_FORM_ERLANG, term)), MOTE_BINARY);
    }
    check_hex(MOTE_FORM_ERLANG, mote_text_make(arena, "ab", 2), "6d000000026162");
}

/* Between nodes: what means the same everywhere, and no words, no handles. */
static void between_nodes(void) {
    static const char *const refused[] = {"010000000000000403", "020000000000000404", "050161", "6801010000000000000403"};
    static const char *const taken[] = {"0302c3a9", "0400000002c3a9", "0807006105", "060901060900", "0709000000016105", "680203016103026162"};
    mote_term term = {77};
    size_t at;
    for (size_t i = 0; i < COUNT(refused); i++) CHECK_INT(decode_hex(MOTE_FORM_NODES, refused[i], &term, &at), MOTE_ESYNTAX);
    CHECK(term.word == 77);
    for (size_t i = 0; i < COUNT(taken); i++) CHECK(mote_term_same(good_hex(MOTE_FORM_NODES, taken[i]), good_hex(MOTE_FORM_MOTE, taken[i])));
    check_hex(MOTE_FORM_NODES, mote_text_make(arena, "ab", 2), "03026162");
    check_hex(MOTE_FORM_NODES, good_hex(MOTE_FORM_MOTE, "060901060900"), "060901060900");
    mote_writer w;
    mote_writer_init(&w, MOTE_FORM_NODES, NULL, 0, 1000);
    CHECK(!mote_handle_write(&w, "a", 1) && w.err == MOTE_ETERM);
    mote_writer_fini(&w);
}

/* An object of a host's that a worker has sent goes to other nodes with the names of what is local in it. */
static void objects_to_nodes(void) {
    static const char own[] = "060903" "010000000000000403" "68020200000000000004040302c3a9" "0807006105";
    mote_term object = good_hex(MOTE_FORM_MOTE, own), pid = good_hex(MOTE_FORM_MOTE, "010000000000000403"), ref = good_hex(MOTE_FORM_MOTE, "020000000000000404");
    mote_external_options options = in_form(MOTE_FORM_NODES);
    mote_writer w;
    mote_reader r;
    mote_token t;
    mote_writer_init(&w, MOTE_FORM_NODES, NULL, 0, 1000);
    CHECK_OK(mote_term_encode(object, &options, &w));
    mote_reader_init(&r, MOTE_FORM_NODES, mote_writer_bytes(&w).data, mote_writer_bytes(&w).size);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_HOST && t.count == 3);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_PID && t.creation == 77);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_TUPLE);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_REF && t.creation == 77);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_TEXT && mote_reader_skip(&r, 1) && r.owed == 0 && r.next == r.end);
    mote_writer_fini(&w);
    mote_writer_init(&w, MOTE_FORM_NODES, NULL, 0, 10);
    CHECK_INT(mote_term_encode(object, &options, &w), MOTE_ELIMIT);
    mote_writer_fini(&w);
    CHECK(mote_term_same(again(MOTE_FORM_NODES, pid), pid) && mote_term_same(again(MOTE_FORM_NODES, ref), ref));
}

/* ------------------------------------------------------------------------------------ closures, objects of hosts */

#define CLOSURE(size, free, rest) "70" size "02" "00112233445566778899aabbccddeeff" "00000001" free "770161" "6101" "6201020304" "58770178000000010000000200000003" rest

static void closures(void) {
    static const char good[] = CLOSURE("00000039", "00000001", "6107"), lying[] = CLOSURE("7fffffff", "00000001", "6107");
    mote_term fun = good_hex(MOTE_FORM_ERLANG, lying), same = good_hex(MOTE_FORM_ERLANG, good);
    CHECK_INT(strlen(good) / 2 - 1, 0x39);
    CHECK_INT(mote_term_type(fun), MOTE_FUNCTION);
    CHECK(mote_term_same(fun, same));
    check_hex(MOTE_FORM_ERLANG, fun, good);
    check_hex(MOTE_FORM_MOTE, fun, good);
    /* Closures within closures: each gets its own size. */
    mote_term outer = good_hex(MOTE_FORM_ERLANG, "6801" CLOSURE("00000000", "00000002", CLOSURE("00000000", "00000001", "6107") CLOSURE("00000001", "00000000", "")));
    check_hex(MOTE_FORM_ERLANG, outer, "6801" CLOSURE("000000a9", "00000002", CLOSURE("00000039", "00000001", "6107") CLOSURE("00000037", "00000000", "")));
    bad_hex(MOTE_FORM_MOTE, CLOSURE("00000039", "00000001", "030161"), MOTE_ESYNTAX, 56); /* a tag of ours, which Erlang would get back */
    bad_hex(MOTE_FORM_ERLANG, CLOSURE("00000039", "00000002", "6107"), MOTE_ESYNTAX, 58);
    bad_hex(MOTE_FORM_ERLANG, CLOSURE("00000039", "7fffffff", "6107"), MOTE_ESYNTAX, 0);
    bad_hex(MOTE_FORM_ERLANG, "7000000039" "02" "00112233445566778899aabbccddeeff" "00000001" "00000001" "770161" "6101" "6201020304" "61076107", MOTE_ESYNTAX, 0);
}

/* Twenty thousand closures, each within the one before. */
static void nested_closures(void) {
    uint8_t one[64], *bytes;
    size_t size = from_hex(CLOSURE("00000000", "00000001", ""), one), n = 20000, at = 0;
    CHECK((bytes = malloc(n * size + 2)) != NULL);
    for (size_t i = 0; i < n; i++) memcpy(bytes + i * size, one, size);
    memcpy(bytes + n * size, "a\1", 2);
    mote_term term = MOTE_TERM_NONE;
    CHECK_OK(mote_term_decode(arena, bytes, n * size + 2, NULL, &term, &at));
    mote_writer w;
    encode(&w, MOTE_FORM_ERLANG, term);
    mote_bytes back = mote_writer_bytes(&w);
    CHECK_INT(back.size, n * size + 2);
    for (size_t i = 0; i < n; i++) CHECK_INT(mote_get32_((const uint8_t *)back.data + i * size + 1), back.size - i * size - 1);
    mote_writer_fini(&w);
    free(bytes);
}

/* A host that writes its objects as what they are like, or not at all; the last one says so, and leaves the writer as it is. */
static bool write_host(void *object, mote_writer *w) {
    const char *text = object;
    return *text && mote_like_write(w, 3, 0) && mote_text_write(w, text, strlen(text));
}

static void objects_of_hosts(void) {
    static const mote_host_kind kind = {"Test", NULL, NULL, write_host};
    static char good[] = "hello", bad[] = "";
    static const struct {
        char *object;
        mote_form form;
        size_t room;
        mote_err err;
    } all[] = {{good, MOTE_FORM_MOTE, 23, MOTE_OK}, {good, MOTE_FORM_MOTE, 22, MOTE_ELIMIT}, {bad, MOTE_FORM_MOTE, 100, MOTE_ETERM}, {good, MOTE_FORM_ERLANG, 100, MOTE_ETERM}};
    for (size_t i = 0; i < COUNT(all); i++) {
        mote_host_box boxes[2];
        mote_term first = mote_host_box_term(&boxes[0], &kind, good), last = mote_host_box_term(&boxes[1], &kind, all[i].object);
        uint64_t tuple[] = {mt_header(MT_TUPLE, 3), first.word, MT_NIL_WORD, last.word};
        mote_writer w;
        mote_writer_init(&w, all[i].form, NULL, 0, all[i].room);
        CHECK_INT(mote_term_encode((mote_term){mt_boxed(tuple)}, NULL, &w), all[i].err);
        if (!all[i].err) CHECK(memcmp(mote_writer_bytes(&w).data, "h\3\10\3\0\3\5helloj\10\3\0\3\5hello", 23) == 0);
        mote_writer_fini(&w);
    }
}

static void hosts(void) {
    static const char *const all[] = {"060900", "06090261017701616a"};
    mote_external_options options = in_form(MOTE_FORM_MOTE);
    mote_writer w;
    CHECK_INT(mote_term_type(good_hex(MOTE_FORM_MOTE, all[0])), MOTE_FUNCTION);
    check_hex(MOTE_FORM_MOTE, good_hex(MOTE_FORM_MOTE, "680206090261017701616105"), "680206090261017701616105");
    check_hex(MOTE_FORM_MOTE, good_hex(MOTE_FORM_MOTE, "060901060901060900"), "060901060901060900");
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 100);
    CHECK_INT(mote_term_encode(good_hex(MOTE_FORM_MOTE, all[0]), &options, &w), MOTE_ETERM);
    CHECK_INT(mote_term_encode(MOTE_TERM_NIL, &options, &w), MOTE_ETERM); /* it goes on failing */
    mote_writer_fini(&w);
    check_hex(MOTE_FORM_MOTE, good_hex(MOTE_FORM_MOTE, "060901" CLOSURE("00000000", "00000001", "6107")), "060901" CLOSURE("00000039", "00000001", "6107"));
    bad_hex(MOTE_FORM_MOTE, "6801060901050161", MOTE_ETERM, 5);
    mote_host_box box;
    static const mote_host_kind kind = {"Test", NULL, NULL, NULL};
    mote_writer_init(&w, MOTE_FORM_MOTE, NULL, 0, 100);
    CHECK_INT(mote_term_encode(mote_host_box_term(&box, &kind, &w), &options, &w), MOTE_ETERM);
    mote_writer_fini(&w);
    mote_writer_init(&w, MOTE_FORM_MOTE, NULL, 0, 100);
    CHECK_INT(mote_term_encode(MOTE_TERM_NONE, &options, &w), MOTE_ETERM);
    mote_writer_fini(&w);
}

/* ------------------------------------------------------------------------------------------------ blobs, atoms */

static struct {
    int held, released, given;
    uint8_t memory[1000];
} blobs;

static void blob_hold(void *context, const void *data) {
    CHECK(context == &blobs && data);
    blobs.held++;
}
static void blob_release(void *data, void *context) {
    CHECK(context == &blobs && data);
    blobs.released++;
}
static size_t blob_out(void *context, mote_term binary, uint8_t *handle) {
    mote_bytes bytes;
    CHECK(context == &blobs);
    CHECK_OK(mote_bytes_get(binary, &bytes));
    if (bytes.size > sizeof blobs.memory) return 0;
    memcpy(blobs.memory, bytes.data, bytes.size);
    mote_put16_(handle, bytes.size);
    return 2;
}
static bool blob_in(void *context, mote_bytes handle, mote_bytes *bytes, void **held) {
    CHECK(context == &blobs && handle.size == 2);
    size_t size = mote_get16_(handle.data);
    if (size > sizeof blobs.memory) return false;
    *bytes = (mote_bytes){blobs.memory, size};
    *held = &blobs;
    blobs.given++;
    return true;
}

static void large_binaries(void) {
    uint8_t data[700], bytes[BYTES_MAX];
    mote_arena *own = mote_arena_new(0);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    mote_term parts[] = {mote_binary_make(arena, data, 64), mote_binary_make(arena, data, 65), mote_bitstring_make(arena, data, 699 * 8 + 3),
                         mote_text_make(arena, "ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt", 90),
                         mote_binary_part(arena, mote_binary_make(arena, data, 300), 7, 100)};
    mote_term tuple = mote_tuple_make(arena, COUNT(parts), parts), back = MOTE_TERM_NONE;
    mote_writer w;
    mote_external_options options = {.form = MOTE_FORM_MOTE, .hold = blob_hold, .release = blob_release, .context = &blobs};
    size_t at = 0;
    mote_writer_init(&w, MOTE_FORM_MOTE, bytes, sizeof bytes, sizeof bytes);
    CHECK_OK(mote_term_encode(tuple, &options, &w));
    size_t size = mote_writer_bytes(&w).size;
    CHECK_OK(mote_term_decode(own, bytes, size, &options, &back, &at));
    CHECK(mote_term_same(tuple, back));
    CHECK(blobs.held == 4 && blobs.released == 0);
    mote_bytes inside;
    mote_term one;
    CHECK_OK(mote_tuple_get(back, 1, &one));
    CHECK_OK(mote_bytes_get(one, &inside));
    CHECK((const uint8_t *)inside.data > bytes && (const uint8_t *)inside.data < bytes + size);
    mote_arena_free(own);
    CHECK_INT(blobs.released, 4);
    CHECK(mote_term_same(tuple, again(MOTE_FORM_MOTE, tuple)));
}

/* Binaries whose bytes are left out, up to two; the second time none is. */
struct left {
    mote_bytes bytes[2];
    size_t at[2], count;
};
static bool leave(void *context, mote_term binary, size_t at) {
    struct left *left = context;
    if (left->count == COUNT(left->at)) return false;
    left->at[left->count] = at;
    CHECK_OK(mote_bytes_get(binary, &left->bytes[left->count++]));
    return true;
}

/* What is written without its binaries is, with them put where they belong, what is written with them. */
static void bytes_left_out(void) {
    uint8_t data[700], all[BYTES_MAX], bytes[BYTES_MAX];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    mote_term parts[] = {mote_binary_make(arena, data, 99), mote_binary_make(arena, data, 700), parse("[a, <<1:801>>]"), mote_binary_make(arena, data, 100), mote_binary_make(arena, data, 200)};
    mote_term tuple = mote_tuple_make(arena, COUNT(parts), parts);
    struct left left = {.count = 0};
    mote_external_options options = {.blob_min = 100, .leave = leave, .context = &left};
    mote_writer whole, w;
    mote_writer_init(&whole, MOTE_FORM_ERLANG, all, sizeof all, sizeof all);
    CHECK_OK(mote_term_encode(tuple, NULL, &whole));
    mote_writer_init(&w, MOTE_FORM_ERLANG, bytes, sizeof bytes, sizeof bytes);
    CHECK_OK(mote_term_encode(tuple, &options, &w));
    CHECK(left.count == 2 && left.bytes[0].size == 700 && left.bytes[1].size == 100);
    size_t size = mote_writer_bytes(&w).size;
    CHECK_INT(size + 800, mote_writer_bytes(&whole).size);
    CHECK(memcmp(all, bytes, left.at[0]) == 0 && memcmp(all + left.at[0], data, 700) == 0);
    CHECK(memcmp(all + left.at[0] + 700, bytes + left.at[0], left.at[1] - left.at[0]) == 0 && memcmp(all + left.at[1] + 700, data, 100) == 0);
    CHECK(memcmp(all + left.at[1] + 800, bytes + left.at[1], size - left.at[1]) == 0);
}

/* Only those of so many bytes stay where they stand. */
static void small_ones_are_copied(void) {
    uint8_t data[700] = {1}, bytes[BYTES_MAX];
    mote_arena *own = mote_arena_new(0);
    mote_term parts[] = {mote_binary_make(arena, data, 699), mote_binary_make(arena, data, 700)}, back = MOTE_TERM_NONE;
    mote_external_options options = {.hold_min = 700, .hold = blob_hold, .release = blob_release, .context = &blobs};
    mote_writer w;
    size_t at = 0;
    mote_writer_init(&w, MOTE_FORM_ERLANG, bytes, sizeof bytes, sizeof bytes);
    CHECK_OK(mote_term_encode(mote_tuple_make(arena, COUNT(parts), parts), NULL, &w));
    CHECK_OK(mote_term_decode(own, bytes, mote_writer_bytes(&w).size, &options, &back, &at));
    CHECK(mote_term_same(back, mote_tuple_make(arena, COUNT(parts), parts)) && blobs.held == 1 && blobs.released == 0);
    mote_arena_free(own);
    CHECK_INT(blobs.released, 1);
}

static void handles(void) {
    uint8_t data[2000] = {1, 2, 3}, bytes[BYTES_MAX];
    mote_external_options options = {.form = MOTE_FORM_MOTE, .blob = blob_out, .unblob = blob_in, .release = blob_release, .context = &blobs, .blob_min = 100};
    mote_term parts[] = {mote_binary_make(arena, data, 99), mote_binary_make(arena, data, 100), mote_binary_make(arena, data, 1001), parse("<<1:801>>")}, back = {77};
    mote_term tuple = mote_tuple_make(arena, COUNT(parts), parts);
    mote_arena *own = mote_arena_new(0);
    mote_writer w;
    size_t at = 0;
    mote_writer_init(&w, MOTE_FORM_MOTE, bytes, sizeof bytes, sizeof bytes);
    CHECK_OK(mote_term_encode(tuple, &options, &w));
    CHECK(memcmp(bytes + 2 + 5 + 99, "\5\2\0\144", 4) == 0);
    size_t size = mote_writer_bytes(&w).size;
    CHECK_OK(mote_term_decode(own, bytes, size, &options, &back, &at));
    CHECK(mote_term_same(tuple, back) && blobs.given == 1 && blobs.released == 0);
    mote_arena_reset(own);
    CHECK_INT(blobs.released, 1);
    /* One that stands for nothing, behind one that was given, which is released. */
    uint8_t bad[] = {104, 2, 5, 2, 0, 100, 5, 2, 255, 255};
    back.word = 77;
    CHECK_INT(mote_term_decode(own, bad, sizeof bad, &options, &back, &at), MOTE_ETERM);
    CHECK(at == 6 && back.word == 77 && blobs.given == 2 && blobs.released == 2);
    options.unblob = NULL;
    CHECK_INT(mote_term_decode(own, bytes, size, &options, &back, &at), MOTE_ETERM);
    CHECK_INT(at, 2 + 5 + 99);
    mote_writer_init(&w, MOTE_FORM_ERLANG, bytes, sizeof bytes, sizeof bytes); /* Erlang has none */
    CHECK_OK(mote_term_encode(parts[1], &options, &w));
    CHECK_INT(mote_writer_bytes(&w).size, 105);
    mote_arena_free(own);
}

static void atoms_are_counted(void) {
    static const char hex[] = "6c00000004" "77086e65775f61746f6d" "77086e65775f61746f6d" "71" "77056e65775f66" "77056e65775f67" "6101" "58" "77056e65775f6e" "000000010000000200000003" "6a";
    size_t before = mote_atom_count(), at = 0;
    uint8_t bytes[BYTES_MAX];
    size_t size = from_hex(hex, bytes);
    mote_arena *own = mote_arena_new(0);
    mote_term term = {77};
    CHECK_OK(mote_term_decode(own, bytes, size, NULL, &term, &at));
    CHECK_INT(mote_atom_count(), before + 4);
    mote_term copy = mote_term_copy(arena, term);
    mote_arena_reset(own);
    CHECK_INT(mote_atom_count(), before + 4);
    CHECK_OK(mote_term_decode(own, bytes + 5, 10, NULL, &term, &at)); /* alone */
    CHECK(mt_is_pointer(copy.word) && term.word == mt_ptr(copy.word)[0]);
    mote_arena_free(own);
    mote_arena_reset(arena);
    CHECK_INT(mote_atom_count(), before);
    mote_external_options known = {.known_atoms = true};
    term.word = 77;
    CHECK_INT(decode_with(&known, bytes, size, &term, &at), MOTE_ENAME);
    CHECK(at == 5 && term.word == 77 && mote_atom_count() == before);
    CHECK_OK(decode_with(&known, "w\2ok", 4, &term, &at));
    CHECK(term.word == MT_WORD_OF(ok));
    CHECK_INT(decode_with(&known, "h\2w\2okw\2oK", 10, &term, &at), MOTE_ENAME);
    CHECK_INT(at, 6);
}

/* ------------------------------------------------------------------------------------------------ writers, readers */

/* At each size: full, or exactly enough; no byte behind the memory is touched. */
static void full(void) {
    struct random_terms r = {.state = 99, .arena = arena};
    for (int round = 0; round < 200; round++) {
        mote_term term = random_term(&r, 10);
        mote_form form = round % 2 ? MOTE_FORM_MOTE : MOTE_FORM_ERLANG;
        mote_writer whole, w;
        mote_external_options options = in_form(form);
        encode(&whole, form, term);
        mote_bytes want = mote_writer_bytes(&whole);
        for (size_t n = 0; n <= want.size; n += want.size > 200 && n + 40 < want.size ? 33 : 1) {
            uint8_t *memory = malloc(n + 1);
            CHECK(memory);
            memory[n] = 0xee;
            mote_writer_init(&w, form, memory, n, n);
            mote_err err = mote_term_encode(term, &options, &w);
            CHECK_INT(err, n < want.size ? MOTE_ELIMIT : MOTE_OK);
            CHECK(w.err == err && memory[n] == 0xee && w.data == memory);
            if (!err) CHECK(memcmp(memory, want.data, n) == 0);
            free(memory);
            mote_writer_init(&w, form, NULL, 0, n); /* the same with memory of its own */
            CHECK_INT(mote_term_encode(term, &options, &w), n < want.size ? MOTE_ELIMIT : MOTE_OK);
            CHECK(mote_writer_bytes(&w).size <= n);
            mote_writer_fini(&w);
        }
        mote_writer_fini(&whole);
        mote_arena_reset(arena);
    }
}

/* What the others are made of. */
static void parts_of_pieces(void) {
    uint8_t memory[16];
    mote_writer w;
    mote_reader r;
    mote_token t;
    mote_pid pid = {1};
    mote_ref ref = {1};
    mote_writer_init(&w, MOTE_FORM_ERLANG, memory, 2, sizeof memory);
    CHECK(mote_writer_grow(&w, 2) && w.data == memory);
    CHECK(mote_writer_grow(&w, 16) && w.data != memory && !mote_writer_grow(&w, 17) && w.err == MOTE_ELIMIT);
    mote_writer_fini(&w);
    mote_writer_init(&w, MOTE_FORM_ERLANG, memory, sizeof memory, sizeof memory);
    CHECK(mote_long_write_(&w, true, 256) && memcmp(memory, "n\2\1\0\1", 5) == 0);
    CHECK(!mote_writer_fail(&w, MOTE_EARG) && !mote_writer_fail(&w, MOTE_ENOMEM) && w.err == MOTE_EARG && !mote_writer_room(&w, 1));
    CHECK(!mote_pid_of_far(1, 1u << 29, &pid) && pid.word == 1);
    CHECK(mote_pid_of_far(1, 2, &pid) && pid.word == (UINT64_C(0x200000001) << 3 | MT_PID));
    CHECK(!mote_ref_of_far((uint32_t[]){1, 1, 1 << 11}, 3, NULL, &ref) && !mote_ref_of_far((uint32_t[]){1, 1, 1}, 2, NULL, &ref) && ref.word == 1);
    CHECK(mote_ref_of_far((uint32_t[]){1, 0, 0}, 3, NULL, &ref) && ref.word == (1 << 3 | MT_REF));
    mote_reader_init(&r, MOTE_FORM_ERLANG, "h\0", 2);
    CHECK(mote_token_read_(&r, &t) && t.kind == MOTE_TOKEN_TUPLE && r.owed == 0);
    mote_reader_init(&r, MOTE_FORM_ERLANG, "h\0", 2);
    CHECK(!mote_reader_fail(&r, MOTE_EARG, "why") && !mote_token_read(&r, &t) && r.err == MOTE_EARG && strcmp(r.why, "why") == 0);
}

static uint64_t as_hidden(const mote_ref_key *key, uint64_t word) {
    uint32_t words[3];
    mote_ref_as_far((mote_ref){word}, key, words);
    CHECK(words[0] >> 18 == 0 && words[2] >> 14 == 0); /* as Erlang's own */
    return (uint64_t)words[2] << 50 | (uint64_t)words[1] << 18 | words[0];
}

/* Who has seen some references of a node cannot tell others: half of the bits differ, whichever bit of the reference or of the key does. */
static void hidden_references(void) {
    mote_ref_key key, other;
    mote_ref ref = {1};
    mote_ref_key_make(&key, (const uint32_t[]){0x03020100, 0x0b0a0908, 0x13121110, 0x1b1a1918});
    CHECK(as_hidden(&key, UINT64_C(0x3b7265747475432d)) == UINT64_C(0x8c6fa548454e028b)); /* of the paper that describes it */
    unsigned long differ = 0, count = 0, valid = 0;
    for (uint64_t n = 1; n < (UINT64_C(1) << 61); n = n * 3 + 1) {
        uint64_t word = n << 3 | MT_REF, v = as_hidden(&key, word);
        CHECK(mote_ref_of_far((uint32_t[]){v & 0x3ffff, (uint32_t)(v >> 18), (uint32_t)(v >> 50)}, 3, &key, &ref) && ref.word == word);
        for (unsigned bit = 3; bit < 64; bit++, count++) differ += (unsigned long)__builtin_popcountll(v ^ as_hidden(&key, word ^ UINT64_C(1) << bit));
        mote_ref_key_make(&other, (const uint32_t[]){0x03020100, 0x0b0a0908, 0x13121110, 0x1b1a1918 ^ 1u << n % 32});
        differ += (unsigned long)__builtin_popcountll(v ^ as_hidden(&other, word)), count++;
    }
    CHECK(differ > count * 31 && differ < count * 33);
    for (uint32_t i = 0; i < 8000; i++) valid += mote_ref_of_far((uint32_t[]){i, 5, 7}, 3, &key, &ref); /* of those made up one of eight is a reference at all */
    CHECK(valid > 800 && valid < 1200);
    CHECK(!mote_ref_of_far((uint32_t[]){1 << 18, 5, 7}, 3, &key, &ref) && !mote_ref_of_far((uint32_t[]){1, 5, 1 << 14}, 3, &key, &ref) && !mote_ref_of_far((uint32_t[]){1, 5, 7, 0}, 4, &key, &ref));
}

/* With a key local references are others in Erlang's form, and come back by that key alone. */
static void terms_with_a_key(void) {
    mote_ref_key key;
    mote_external_options plain = {.node = mote_atom_make(NODE), .creation = 77}, keyed = plain;
    mote_term term, back;
    mote_writer w, p;
    mote_ref_key_make(&key, (const uint32_t[]){1, 2, 3, 4});
    keyed.ref_key = &key;
    for (mote_form form = MOTE_FORM_ERLANG; form <= MOTE_FORM_NODES; form += MOTE_FORM_NODES) {
        plain.form = keyed.form = form;
        mote_writer_init(&w, form, NULL, 0, 1000);
        mote_writer_init(&p, form, NULL, 0, 1000);
        CHECK_OK(mote_build(arena, &term, "{?, {a, [?]}}", (mote_ref){12345 << 3 | MT_REF}, (mote_ref){12346 << 3 | MT_REF}));
        CHECK(!mote_term_encode(term, &keyed, &w) && !mote_term_encode(term, &plain, &p));
        mote_bytes hidden = mote_writer_bytes(&w), open = mote_writer_bytes(&p);
        CHECK(hidden.size == open.size && memcmp(hidden.data, open.data, hidden.size) != 0);
        CHECK(!mote_term_decode(arena, hidden.data, hidden.size, &keyed, &back, NULL) && mote_term_same(back, term));
        CHECK(!mote_term_decode(arena, hidden.data, hidden.size, &plain, &back, NULL) && !mote_term_same(back, term));
        CHECK(!mote_term_decode(arena, open.data, open.size, &keyed, &back, NULL) && !mote_term_same(back, term));
        mote_writer_fini(&w);
        mote_writer_fini(&p);
    }
}

static void pieces(void) {
    uint8_t memory[4], byte = 7;
    char buffer[510];
    mote_writer w;
    mote_reader r;
    mote_token t;
    uint64_t small = 0;
    mote_writer_init(&w, MOTE_FORM_MOTE, memory, sizeof memory, 1000);
    CHECK(mote_version_write(&w) && mote_tuple_write(&w, 18) && mote_int_write(&w, -5) && mote_uint_write(&w, UINT64_MAX) && mote_big_write(&w, true, &small, 8));
    CHECK(mote_float_write(&w, 0.5) && mote_atom_write(&w, "a", 1) && mote_nil_write(&w) && mote_list_write(&w, 1) && mote_map_write(&w, 0) && mote_nil_write(&w));
    CHECK(mote_string_write(&w, "xy", 2) && mote_binary_write(&w, NULL, 0) && mote_text_write(&w, "t", 1) && mote_handle_write(&w, "h", 1));
    uint8_t *p = mote_bits_room(&w, 3);
    CHECK(p);
    *p = 0xa0;
    CHECK(mote_host_write(&w, 4, 1) && mote_like_write(&w, 5, 0) && mote_raw_write(&w, "a\1", 2) && mote_raw_write(&w, "", 0));
    CHECK(mote_function_write(&w, (mote_bytes){"m", 1}, (mote_bytes){"f", 1}, 2) && mote_pid_write(&w, (mote_pid){MT_PID}) && mote_ref_write(&w, (mote_ref){MT_REF}));
    CHECK(mote_far_ref_write(&w, (mote_bytes){"n", 1}, 3, (uint32_t[]){4, 5}, 2) && mote_far_port_write(&w, (mote_bytes){"n", 1}, 6, 7));
    CHECK(w.err == MOTE_OK && w.data != memory);
    mote_bytes all = mote_writer_bytes(&w);
    mote_reader_init(&r, MOTE_FORM_MOTE, all.data, all.size);
    CHECK(mote_version_read(&r));
    static const mote_token_kind kinds[] = {MOTE_TOKEN_TUPLE, MOTE_TOKEN_INT, MOTE_TOKEN_BIG, MOTE_TOKEN_INT, MOTE_TOKEN_FLOAT, MOTE_TOKEN_ATOM, MOTE_TOKEN_NIL,
                                            MOTE_TOKEN_LIST, MOTE_TOKEN_MAP, MOTE_TOKEN_NIL, MOTE_TOKEN_STRING, MOTE_TOKEN_BINARY, MOTE_TOKEN_TEXT,
                                            MOTE_TOKEN_HANDLE, MOTE_TOKEN_BITS, MOTE_TOKEN_HOST, MOTE_TOKEN_LIKE, MOTE_TOKEN_INT, MOTE_TOKEN_FUNCTION,
                                            MOTE_TOKEN_LOCAL_PID, MOTE_TOKEN_LOCAL_REF, MOTE_TOKEN_REF, MOTE_TOKEN_PORT};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        CHECK(mote_token_read(&r, &t));
        CHECK_INT(t.kind, kinds[i]);
        if (i == 2) CHECK(t.bytes.size == 8 && !t.negative);
        if (i == 3) CHECK(t.integer == 0);
        if (i == 14) CHECK(t.count == 3);
        if (i == 18) CHECK(t.code == 2 && t.function.size == 1);
        if (i == 21) CHECK(t.count == 2 && t.words[1] == 5 && t.creation == 3);
    }
    CHECK(r.owed == 0 && r.next == r.end && r.err == MOTE_OK);
    CHECK(!mote_token_read(&r, &t) && r.err == MOTE_ESYNTAX);
    mote_reader_init(&r, MOTE_FORM_MOTE, (const uint8_t *)all.data + 1, all.size - 1);
    CHECK(mote_reader_skip(&r, 1) && r.next == r.end);
    CHECK(!mote_reader_skip(&r, 1));
    CHECK(!mote_version_read(&(mote_reader){.next = &byte, .end = &byte + 1, .data = &byte}));
    mote_writer_fini(&w);
    mote_name name = {"\351x", 2, true};
    mote_bytes utf8 = mote_name_utf8(&name, buffer);
    CHECK(utf8.size == 3 && memcmp(utf8.data, "\303\251x", 3) == 0);
}

/* What the format has no form for, and that a failed writer stays failed. */
static void writers_fail(void) {
    uint8_t memory[100];
    mote_writer w;
    uint32_t words[6] = {0};
    char name[1100] = {0};
#define FAILS(error, call)                                                      \
    do {                                                                        \
        mote_writer_init(&w, MOTE_FORM_ERLANG, memory, sizeof memory, 100);     \
        CHECK(!(call));                                                         \
        CHECK_INT(w.err, error);                                                \
        CHECK(!mote_int_write(&w, 1) && mote_writer_bytes(&w).size == 0);       \
    } while (0)
    FAILS(MOTE_ETERM, mote_float_write(&w, __builtin_inf()));
    FAILS(MOTE_ETERM, mote_float_write(&w, __builtin_nan("")));
    FAILS(MOTE_ETERM, mote_pid_write(&w, (mote_pid){MT_PID}));
    FAILS(MOTE_ETERM, mote_ref_write(&w, (mote_ref){MT_REF}));
    FAILS(MOTE_ETERM, mote_host_write(&w, 1, 1));
    FAILS(MOTE_ETERM, mote_like_write(&w, 1, 1));
    FAILS(MOTE_ETERM, mote_handle_write(&w, "h", 1));
    FAILS(MOTE_ETERM, mote_pid_write_as(&w, (mote_pid){MT_REF}, (mote_bytes){"n", 1}, 1));
    FAILS(MOTE_ETERM, mote_ref_write_as(&w, (mote_ref){MT_PID}, NULL, (mote_bytes){"n", 1}, 1));
    FAILS(MOTE_ELIMIT, mote_handle_write(&w, "h", 256));
    FAILS(MOTE_ELIMIT, mote_handle_write(&w, "h", 0));
    FAILS(MOTE_ELIMIT, mote_tuple_write(&w, 16777216));
    FAILS(MOTE_ELIMIT, mote_list_write(&w, (size_t)UINT32_MAX + 1));
    FAILS(MOTE_ELIMIT, mote_map_write(&w, SIZE_MAX));
    FAILS(MOTE_ELIMIT, mote_host_write(&w, 1, SIZE_MAX));
    FAILS(MOTE_ELIMIT, mote_binary_write(&w, "", SIZE_MAX));
    FAILS(MOTE_ELIMIT, mote_bits_room(&w, SIZE_MAX));
    FAILS(MOTE_ELIMIT, mote_text_write(&w, "", SIZE_MAX));
    FAILS(MOTE_ELIMIT, mote_string_write(&w, name, 0));
    FAILS(MOTE_ELIMIT, mote_string_write(&w, name, 65536));
    FAILS(MOTE_ELIMIT, mote_atom_write(&w, name, 1021));
    FAILS(MOTE_ELIMIT, mote_function_write(&w, (mote_bytes){name, 1021}, (mote_bytes){name, 1}, 1));
    FAILS(MOTE_ELIMIT, mote_far_pid_write(&w, (mote_bytes){name, 1021}, 1, 1, 1));
    FAILS(MOTE_ELIMIT, mote_far_port_write(&w, (mote_bytes){name, 1021}, 1, 1));
    FAILS(MOTE_ELIMIT, mote_far_ref_write(&w, (mote_bytes){name, 1}, 1, words, 6));
    FAILS(MOTE_ELIMIT, mote_far_ref_write(&w, (mote_bytes){name, 1}, 1, words, 0));
    FAILS(MOTE_ELIMIT, mote_raw_write(&w, name, 101));
#undef FAILS
}

/* ------------------------------------------------------------------------------------------------ at random */

static void random_round_trips(void) {
    struct random_terms r = {.state = 20260101, .arena = arena};
    for (int round = 0; round < 30000; round++) {
        mote_form form = (mote_form)(round % 3);
        r.erlang = form == MOTE_FORM_ERLANG;
        mote_term term = random_term(&r, 1 + random_below(&r, 30));
        CHECK(term.word);
        CHECK(mote_term_same(term, again(form, term)));
        mote_arena_reset(arena);
    }
}

/* Terms with some bytes changed. */
static void hostile(void) {
    struct random_terms r = {.state = 77, .arena = arena};
    uint8_t bytes[BYTES_MAX];
    for (int round = 0; round < 60000; round++) {
        mote_external_options options = in_form((mote_form)(round % 3));
        static const uint8_t likely[] = {1, 2, 3, 4, 5, 6, 7, 8, 70, 77, 88, 90, 97, 98, 99, 100, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 118, 119, 120, 0, 255};
        mote_writer w;
        mote_writer_init(&w, options.form, bytes, sizeof bytes, sizeof bytes);
        mote_err err = mote_term_encode(random_term(&r, 8), &options, &w);
        size_t size = mote_writer_bytes(&w).size;
        for (size_t k = 1 + random_below(&r, 3); k > 0 && size > 0 && !err; k--) {
            size_t place = random_below(&r, size);
            if (random_below(&r, 6) == 0) size = place + 1;
            else bytes[place] = random_below(&r, 2) ? likely[random_below(&r, sizeof likely)] : (uint8_t)random_next(&r);
        }
        mote_arena_reset(arena);
        if (!err) survive(&options, bytes, size);
        mote_arena_reset(arena);
    }
}

/* ------------------------------------------------------------------------------------------------ failing memory */

static void faults(void) {
#ifdef MT_FAULTS
    static const char hex[] =
        "680a" "770a66726573685f61746f6d" "6c0000000261016102" "6a" "7400000002" "6102" "6101" "6101" "6102" "6d00000046"
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff001122334455"
        "7177066672657368317706667265736832" "6101" "58770666726573683300000001" "0000000200000003" "6e0a0001020304050607080910"
        CLOSURE("00000000", "00000001", "6107") "46" "3ff0000000000000" "060101770661746f6d3432";
    mote_external_options options = {.form = MOTE_FORM_MOTE};
    uint8_t bytes[BYTES_MAX], many[BYTES_MAX];
    size_t size = from_hex(hex, bytes), more = 0, at = 0;
    many[more++] = 104, many[more++] = 40; /* maps in wrong order: more than have room on the stack, and one large one */
    for (int i = 0; i < 39; i++) more += from_hex("740000000261026101" "6101" "6102", many + more);
    many[more++] = 116;
    mote_put32_(many + more, 50);
    more += 4;
    for (int i = 0; i < 50; i++) many[more++] = 97, many[more++] = (uint8_t)(50 - i), many[more++] = 106;
    for (int which = 0; which < 2; which++) {
        bool failed = true;
        const uint8_t *data = which ? many : bytes;
        size_t length = which ? more : size;
        for (uint64_t n = 1; failed; n++) {
            mote_arena *own = mote_arena_new(0);
            mote_term term = {77};
            size_t before = mote_atom_count();
            mote_writer w;
            mt_os_fault_arm(n, false);
            mote_err err = mote_term_decode(own, data, length, &options, &term, &at), written = MOTE_OK;
            mote_writer_init(&w, MOTE_FORM_MOTE, NULL, 0, SIZE_MAX);
            if (!err) written = mote_term_encode(term, &options, &w);
            failed = mt_os_fault_count() >= n;
            mt_os_fault_arm(0, false);
            CHECK(!failed == (err == MOTE_OK && written == MOTE_OK));
            CHECK(err == MOTE_OK ? term.word != 77 : err == MOTE_ENOMEM && term.word == 77);
            CHECK(written == MOTE_OK || written == MOTE_ENOMEM);
            if (err) CHECK_INT(mote_atom_count(), before);
            mote_writer_fini(&w);
            CHECK_OK(mote_term_decode(own, data, length, &options, &term, &at));
            mote_arena_free(own);
            CHECK_INT(mote_atom_count(), before);
        }
    }
    /* The stack of a walk in depth. */
    uint8_t deep_bytes[2 * 100 + 1 + 100];
    for (int i = 0; i < 100; i++) memcpy(deep_bytes + 2 * i, "h\2", 2);
    memset(deep_bytes + 200, 106, 101);
    mote_term term = MOTE_TERM_NONE;
    mote_writer w;
    CHECK_OK(mote_term_decode(arena, deep_bytes, sizeof deep_bytes, &options, &term, &at));
    mote_writer_init(&w, MOTE_FORM_MOTE, many, sizeof many, sizeof many);
    mt_os_fault_arm(1, true);
    CHECK_INT(mote_term_encode(term, &options, &w), MOTE_ENOMEM);
    mt_os_fault_arm(0, false);
#endif
}

int main(int argc, char **argv) {
    arena = mote_arena_new(0);
    in_form(MOTE_FORM_ERLANG); /* its atom is there from now on */
    int result = check_main(
        argc, argv,
        (struct check_test[]){TEST(recorded), TEST(cut_short), TEST_SLOW(bits_flipped, 600), TEST(lies), TEST(nested_lies), TEST(wrong), TEST(names), TEST(large_numbers),
                              TEST_SLOW(million_levels, 900), TEST(memory), TEST(maps), TEST(keys_collide), TEST(identifiers), TEST(own_tags), TEST(between_nodes), TEST(objects_to_nodes), TEST(closures), TEST(nested_closures),
                              TEST(hosts), TEST(objects_of_hosts), TEST(large_binaries), TEST(bytes_left_out), TEST(small_ones_are_copied),
                              TEST(handles), TEST(atoms_are_counted), TEST_SLOW(full, 600), TEST(hidden_references), TEST(terms_with_a_key), TEST(pieces), TEST(parts_of_pieces), TEST(writers_fail),
                              TEST_SLOW(random_round_trips, 900), TEST_SLOW(hostile, 900), TEST(faults), {0}});
    mote_arena_free(arena);
    return result;
}
