/* SPDX-License-Identifier: Apache-2.0
 * Frames: as a node of OTP 25 has sent them, with everything that may be wrong with one, and through both halves. */
#include "dist/frame.h"

#include "check.h"
#include "dist/control.h"
#include "dist/swap.h"
#include "hex.h"
#include "term/etf_random.h"
#include "term/term.h"

#define ALL MT_FLAGS_OFFERED
#define NO_CACHE (MT_FLAGS_OFFERED & ~MT_FLAG_ATOM_CACHE)
#define NO_PIECES (MT_FLAGS_OFFERED & ~MT_FLAG_FRAGMENTS)
#define PLAIN (NO_CACHE & ~MT_FLAG_FRAGMENTS)
#define SECOND ((uint64_t)1000000000)

static struct mt_frames_in *coming(uint64_t flags, const struct mt_frame_limits *limits) {
    struct mt_frames_in *in = NULL;
    CHECK_OK(mt_frames_in_new(flags, limits, &in));
    return in;
}

static struct mt_frames_out *going(uint64_t flags) {
    struct mt_frames_out *out = NULL;
    CHECK_OK(mt_frames_out_new(flags, &out));
    return out;
}

/* Feeds a frame with this body, in its own block so that reading on is seen. */
static enum mt_verdict feed(struct mt_frames_in *in, mote_bytes body, struct mt_frame *frame) {
    static uint8_t *block;
    size_t used = 0;
    free(block);
    block = malloc(4 + body.size);
    CHECK(block);
    mote_put32_(block, body.size);
    if (body.size) memcpy(block + 4, body.data, body.size);
    enum mt_verdict verdict = mt_frames_in_feed(in, block, 4 + body.size, &used, frame);
    CHECK(used == 4 + body.size || (verdict != MT_FINE && verdict != MT_MORE));
    return verdict;
}

static enum mt_verdict feed_hex(struct mt_frames_in *in, const char *body, struct mt_frame *frame) { return feed(in, hex(body), frame); }

/* ------------------------------------------------------------------------------------------------ as recorded */

/* The frames of one connection, so each knows the atoms of those before it. */
static const char *const recorded[] = {
    "834403af0c420c7431403132372e302e302e31990d766563403132372e302e302e317703726578680361165852000000005d000000006b036c6e5852010000000100000000112233446802520258520000000055000000006b036c6e",
    "83440427aa00429978046563686f9a0261316803611658520000000055000000006b036c6e5852010000000100000000112233446803520258520000000055000000006b036c6e5203",
    "83440527220a4299789a9b0261326803611658520000000055000000006b036c6e5852010000000100000000112233446803520258520000000055000000006b036c6e6c00000002520352046a",
    "83440327024299786803611658520000000055000000006b036c6e5852010000000100000000112233446803520258520000000055000000006b036c6e740000000161016102",
};
static const char *const recorded_terms[] = {
    "{rex,<'t1@127.0.0.1'.85.0.1795386478>}",
    "{echo,<'t1@127.0.0.1'.85.0.1795386478>,a1}",
    "{echo,<'t1@127.0.0.1'.85.0.1795386478>,[a1,a2]}",
    "{echo,<'t1@127.0.0.1'.85.0.1795386478>,#{1 => 2}}",
};

/* A term as text. */
static void check_term(mote_bytes bytes, const char *want) {
    char text[300] = "";
    mote_arena *arena = mote_arena_new(0);
    mote_term term;
    CHECK_OK(mote_term_decode(arena, bytes.data, bytes.size, NULL, &term, NULL));
    mote_term_print(term, text, sizeof text);
    CHECK_STR(text, want);
    mote_arena_free(arena);
}

static void reads_what_erlang_sends(void) {
    struct mt_frames_in *in = coming(ALL, NULL);
    size_t atoms = mote_atom_count();
    for (size_t i = 0; i < sizeof recorded / sizeof *recorded; i++) {
        struct mt_frame frame;
        struct mt_control control;
        CHECK_INT(feed_hex(in, recorded[i], &frame), MT_FINE);
        CHECK_INT(mt_control_read(frame.control, frame.payload, ALL, (mote_bytes){"t1@127.0.0.1", 12}, &control), MT_FINE);
        CHECK_INT(control.op, MT_CONTROL_SEND);
        CHECK(control.to.node.size == 13 && memcmp(control.to.node.data, "vec@127.0.0.1", 13) == 0 && control.to.creation == 0x11223344);
        CHECK_INT(mote_atom_count(), atoms); /* B3 */
        check_term(control.payload, recorded_terms[i]);
    }
    mt_frames_in_free(in);
}

/* ------------------------------------------------------------------------------------------------ what is wrong */

/* The beginnings of frames: a SEND_SENDER between pids with atoms of the header, 0 and 1, and its message. */
#define ATOMS "028800" "0103614062" "0203634064"
#define CONTROL "6803611658520000000001000000000000000458520100000002000000000000000" "5"

static void each_class_of_wrong(void) {
    static const struct {
        uint64_t flags;
        const char *body;
        enum mt_verdict verdict;
    } rows[] = {
        {ALL, "83", MT_NO_FRAME},
        {ALL, "70", MT_NO_FRAME},
        {ALL, "ffffffff", MT_NO_FRAME},
        {ALL, "8344", MT_NO_FRAME},
        {ALL, "8343006a", MT_NO_FRAME},
        {ALL, "8470006a", MT_NO_FRAME},
        {ALL, "7083680161056a", MT_NO_FRAME}, /* pass-through where there are headers */
        {PLAIN, "834400680161056a", MT_NO_FRAME}, /* and the reverse */
        {PLAIN, "70", MT_NO_FRAME},
        {PLAIN, "7068016105", MT_NO_FRAME}, /* its terms have a version */
        {PLAIN, "708368016105" "6a", MT_NO_FRAME},
        {PLAIN, "7083", MT_NO_TERM},
        {NO_PIECES, "8345" "0000000000000001" "0000000000000001" "00" "680161056a", MT_NO_FRAME},
        {NO_PIECES, "8346" "0000000000000001" "0000000000000001", MT_NO_FRAME},
        {NO_CACHE, "834401080003616263" "680161056a", MT_NO_FRAME}, /* no atoms were agreed on */
        /* headers */
        {ALL, "834400", MT_NO_TERM},
        {ALL, "8344ff", MT_NO_FRAME},
        {ALL, "834401", MT_NO_FRAME},
        {ALL, "83440108", MT_NO_FRAME},
        {ALL, "8344010800", MT_NO_FRAME},
        {ALL, "834401080003", MT_NO_FRAME},
        {ALL, "8344010800036162", MT_NO_FRAME},
        {ALL, "834401100061", MT_NO_ATOMS}, /* a slot that is empty (long atoms: no matter) */
        {ALL, "83440118000", MT_NO_FRAME},
        {ALL, "834401180000ff61", MT_NO_FRAME},
        {ALL, "83440108000161" "5201", MT_NO_ATOM_REF},
        {ALL, "83440108000161" "52", MT_NO_TERM},
        {ALL, "834400" "5200", MT_NO_ATOM_REF},
        {ALL, "834401080001ff" "5200", MT_NO_ATOMS}, /* no UTF-8 */
        {ALL, "834401080002c080" "5200", MT_NO_ATOMS},
        {ALL, "834401080003eda080" "5200", MT_NO_ATOMS},
        /* terms */
        {ALL, "834400" "68026105", MT_NO_TERM},
        {ALL, "834400" "69ffffffff6105", MT_NO_TERM},
        {ALL, "834400" "6cffffffff6105", MT_NO_TERM},
        {ALL, "834400" "74ffffffff6105", MT_NO_TERM},
        {ALL, "834400" "6dffffffff00", MT_NO_TERM},
        {ALL, "834400" "6fffffffff0000", MT_NO_TERM},
        {ALL, "834400" "50000000016161", MT_NO_TERM}, /* compressed */
        {ALL, "834400" "8368016105", MT_NO_TERM},     /* a version within */
        {ALL, "834400" "7568016105", MT_NO_TERM},
        {ALL, "834400" "58" "6a" "000000000000000000000000", MT_NO_TERM}, /* a pid of no node */
        {ALL, "834400" "58" "770161" "0000000000000000000000", MT_NO_TERM},
        {ALL, "834400" "0100000000000000", MT_NO_TERM}, /* a tag of mote's own */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mt_frames_in *in = coming(rows[i].flags, NULL);
        struct mt_frame frame;
        char digits[200];
        snprintf(digits, sizeof digits, "%s", rows[i].body);
        digits[strlen(digits) / 2 * 2] = 0;
        enum mt_verdict verdict = feed_hex(in, digits, &frame);
        if (verdict != rows[i].verdict) fprintf(stderr, "# row %zu: %s\n", i, rows[i].body);
        CHECK_STR(mt_verdict_text(verdict), mt_verdict_text(rows[i].verdict));
        mt_frames_in_free(in);
    }
}

static void what_is_right_but_odd(void) {
    struct mt_frames_in *in = coming(ALL, NULL);
    struct mt_frame frame;
    CHECK_INT(feed_hex(in, "", &frame), MT_FINE);
    CHECK(frame.tick);
    CHECK_INT(feed_hex(in, "8344" "00" "680161056aff", &frame), MT_FINE); /* more behind the payload */
    CHECK(!frame.tick);
    check_bytes(frame.control, hex("68016105"));
    check_bytes(frame.payload, hex("6aff"));
    CHECK_INT(feed_hex(in, "8344" ATOMS CONTROL "5201" "ffff", &frame), MT_FINE);
    check_bytes(frame.control, hex("68036116587703614062000000010000000000000004587703634064000000020000000000000005"));
    check_bytes(frame.payload, hex("7703634064"));
    CHECK_INT(feed_hex(in, "8344" "01" "08" "0100" "5200", &frame), MT_FINE); /* '' takes the slot of a@b */
    check_bytes(frame.control, hex("7700"));
    CHECK_INT(frame.payload.size, 0);
    CHECK_INT(feed_hex(in, "8344" "02" "1000" "0102" "680252015200", &frame), MT_NO_ATOMS); /* slot 2 of segment 1 is not the one of segment 0 */
    mt_frames_in_free(in);
    in = coming(ALL, NULL);
    CHECK_INT(feed_hex(in, "8344" "01" "1f" "ff" "0003" "616263" "5200", &frame), MT_FINE); /* long atoms, the last slot */
    check_bytes(frame.control, hex("7703616263"));
    CHECK_INT(feed_hex(in, "8344" "02" "7f01" "ff" "0001" "64" "ff" "680252005201", &frame), MT_FINE); /* put in, and used at once */
    check_bytes(frame.control, hex("6802770164770164"));
    mt_frames_in_free(in);
    in = coming(ALL, NULL); /* twice the same slot in one message: each number has what was there when it stood there */
    CHECK_INT(feed_hex(in, "8344" "02" "8800" "050161" "050162" "680252005201", &frame), MT_FINE);
    check_bytes(frame.control, hex("6802770161770162"));
    mt_frames_in_free(in);
}

/* An atom of 255 characters of four bytes, which needs a long length, and one of 256. */
static void the_longest_atoms(void) {
    static uint8_t body[3000];
    struct mt_frame frame;
    for (unsigned chars = 255; chars <= 256; chars++) {
        struct mt_frames_in *in = coming(ALL, NULL);
        memcpy(body, "\x83\x44\x01\x18\x00", 5);
        mote_put16_(body + 5, 4 * chars);
        for (unsigned i = 0; i < chars; i++) memcpy(body + 7 + 4 * i, "\xf0\x9f\x98\x80", 4);
        memcpy(body + 7 + 4 * chars, "\x52\x00", 2);
        enum mt_verdict verdict = feed(in, (mote_bytes){body, 9 + 4 * chars}, &frame);
        CHECK_INT(verdict, chars == 255 ? MT_FINE : MT_NO_ATOMS);
        if (verdict == MT_FINE) CHECK(frame.control.size == 3 + 1020 && memcmp((const uint8_t *)frame.control.data + 3, body + 7, 1020) == 0);
        mt_frames_in_free(in);
    }
}

static void lengths(void) {
    struct mt_frame_limits limits = {.frame_max = 100, .message_max = 60};
    static const uint8_t heads[][4] = {{0, 0, 0, 101}, {0x3f, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}};
    struct mt_frame frame;
    size_t used = 0;
    for (size_t i = 0; i < 4; i++) {
        struct mt_frames_in *in = coming(ALL, &limits);
        CHECK_INT(mt_frames_in_feed(in, heads[i], 4, &used, &frame), MT_NO_TOO_LONG);
        mt_frames_in_free(in);
        in = coming(ALL, NULL);
        if (i > 0) CHECK_INT(mt_frames_in_feed(in, heads[i], 4, &used, &frame), MT_NO_TOO_LONG);
        mt_frames_in_free(in);
    }
    struct mt_frames_in *in = coming(ALL, NULL); /* B1: announced, but not there */
    CHECK_INT(mt_frames_in_feed(in, "\x07\xff\xff\xff" "x", 5, &used, &frame), MT_MORE);
    CHECK(used == 5 && mt_frames_in_bytes(in) <= 4096);
    mt_frames_in_free(in);
    in = coming(ALL, &limits);
    static uint8_t big[100] = {0x83, 0x44, 0, 'm', 0, 0, 0, 55}, refs[100] = {0x83, 0x44, 1, 8, 0, 40};
    CHECK_INT(feed(in, (mote_bytes){big, 3 + 60}, &frame), MT_FINE);
    CHECK_INT(feed(in, (mote_bytes){big, 3 + 61}, &frame), MT_NO_LARGE);
    mt_frames_in_free(in);
    in = coming(ALL, &limits); /* two references to 40 bytes: what comes of it is too large */
    memset(refs + 6, 'a', 40);
    memcpy(refs + 46, "\x68\x01\x52\x00\x52\x00", 6);
    CHECK_INT(feed(in, (mote_bytes){refs, 50}, &frame), MT_FINE);
    CHECK_INT(feed(in, (mote_bytes){refs, 52}, &frame), MT_NO_LARGE);
    mt_frames_in_free(in);
}

/* ------------------------------------------------------------------------------------------------ pieces */

#define NUMBERS(sequence, fragment) "00000000000000" sequence "00000000000000" fragment
#define BEGIN(sequence, fragment) "8345" NUMBERS(sequence, fragment) "00" "68016105"
#define GO_ON(sequence, fragment) "8346" NUMBERS(sequence, fragment)

/* Feeds all but the last, which is checked. */
static void pieces(const char *const *frames, enum mt_verdict verdict, const char *payload) {
    struct mt_frames_in *in = coming(ALL, NULL);
    struct mt_frame frame;
    for (; frames[1]; frames++) CHECK_INT(feed_hex(in, frames[0], &frame), MT_MORE);
    enum mt_verdict last = feed_hex(in, frames[0], &frame);
    CHECK_STR(mt_verdict_text(last), mt_verdict_text(verdict));
    if (last == MT_FINE) check_bytes(frame.control, hex("68016105")), check_bytes(frame.payload, hex(payload));
    mt_frames_in_free(in);
}

#define PIECES(verdict, payload, ...) pieces((const char *const[]){__VA_ARGS__, NULL}, verdict, payload)

static void messages_in_pieces(void) {
    PIECES(MT_FINE, "6105", BEGIN("01", "01") "6105");
    PIECES(MT_FINE, "6105", BEGIN("01", "02") "61", GO_ON("01", "01") "05");
    PIECES(MT_FINE, "6105", BEGIN("01", "04"), GO_ON("01", "03"), GO_ON("01", "02") "6105", GO_ON("01", "01"));
    PIECES(MT_FINE, "6106", BEGIN("01", "02") "61", BEGIN("02", "02") "61", GO_ON("02", "01") "06");
    PIECES(MT_NO_FRAGMENT, "", GO_ON("01", "01"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "00"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("00", "01"));
    PIECES(MT_NO_FRAGMENT, "", "8345" "0000000000000001" "ffffffffffffffff" "00" "68016105");
    PIECES(MT_NO_FRAGMENT, "", "8345" "0000000000000001" "0000000100000000" "00" "68016105");
    PIECES(MT_NO_FRAGMENT, "", "8345" "0000000000000001" "0000000080000000" "00" "68016105");
    PIECES(MT_MORE, "", "8345" "0000000000000001" "000000007fffffff" "00" "68016105");
    PIECES(MT_NO_FRAGMENT, "", "8345" "00000000000000");
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "02"), "8346" "0000000000000001");
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "03"), GO_ON("01", "01"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "03"), GO_ON("01", "03"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "03"), GO_ON("01", "02"), GO_ON("01", "02"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "03"), BEGIN("01", "03"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "02"), GO_ON("02", "01"));
    PIECES(MT_NO_FRAGMENT, "", BEGIN("01", "02"), GO_ON("01", "00"));
    PIECES(MT_NO_TERM, "", "8345" NUMBERS("01", "02") "00" "680161"); /* the control term is in the first */
    PIECES(MT_NO_FRAME, "", "8345" NUMBERS("01", "02") "01");
    PIECES(MT_NO_FRAME, "", "8345" NUMBERS("01", "02"));
}

/* What the header said when a message began holds to its end. */
static void pieces_keep_their_atoms(void) {
    struct mt_frames_in *in = coming(ALL, NULL);
    struct mt_frame frame;
    CHECK_INT(feed_hex(in, "8345" NUMBERS("09", "02") "01" "08" "07" "0161" "52005200", &frame), MT_MORE);
    CHECK_INT(feed_hex(in, "8344" "01" "08" "07" "0162" "5200", &frame), MT_FINE);
    check_bytes(frame.control, hex("770162"));
    CHECK_INT(feed_hex(in, "8345" NUMBERS("0a", "02") "01" "00" "07" "5200" "68015200", &frame), MT_MORE);
    CHECK_INT(feed_hex(in, "8346" NUMBERS("09", "01"), &frame), MT_FINE);
    check_bytes(frame.control, hex("770161"));
    check_bytes(frame.payload, hex("770161"));
    CHECK_INT(feed_hex(in, "8346" NUMBERS("0a", "01"), &frame), MT_FINE);
    check_bytes(frame.payload, hex("6801770162"));
    CHECK_INT(feed_hex(in, "", &frame), MT_FINE);
    CHECK_INT(mt_frames_in_bytes(in), 0);
    CHECK_INT(feed_hex(in, "8345" NUMBERS("0b", "02") "01" "00" "07" "5200" "52", &frame), MT_MORE); /* freed with the connection */
    mt_frames_in_free(in);
}

static void limits_of_pieces(void) {
    struct mt_frame_limits limits = {.message_max = 20000, .pieces_bytes = 30000, .pieces_open = 3};
    struct mt_frames_in *in = coming(ALL, &limits);
    struct mt_frame frame;
    static uint8_t part[5018] = {0x83, 0x46, [9] = 1};
    CHECK_INT(feed_hex(in, BEGIN("01", "7f"), &frame), MT_MORE);
    CHECK_INT(feed_hex(in, BEGIN("02", "7f"), &frame), MT_MORE);
    CHECK_INT(feed_hex(in, BEGIN("03", "7f"), &frame), MT_MORE);
    CHECK_INT(feed_hex(in, BEGIN("04", "7f"), &frame), MT_NO_FRAGMENTS);
    mt_frames_in_free(in);
    for (int two = 0; two < 2; two++) {
        in = coming(ALL, &limits);
        CHECK_INT(feed_hex(in, BEGIN("01", "7f"), &frame), MT_MORE);
        CHECK_INT(feed_hex(in, BEGIN("02", "7f"), &frame), MT_MORE);
        for (uint8_t i = 0; i < 3; i++) {
            part[9] = 1, part[17] = (uint8_t)(0x7e - i);
            CHECK_INT(feed(in, (mote_bytes){part, sizeof part}, &frame), MT_MORE);
        }
        part[9] = two ? 2 : 1, part[17] = two ? 0x7e : 0x7b;
        if (two) CHECK_INT(feed(in, (mote_bytes){part, sizeof part}, &frame), MT_MORE), part[17]--;
        CHECK_INT(feed(in, (mote_bytes){part, sizeof part}, &frame), two ? MT_NO_HOARD : MT_NO_LARGE);
        mt_frames_in_free(in);
    }
    in = coming(ALL, NULL); /* empty ones */
    CHECK_INT(feed(in, (mote_bytes){"\x83\x45\0\0\0\0\0\0\0\1\0\0\0\0\0\0\7\xff\0\x6a\x6a", 21}, &frame), MT_MORE);
    uint8_t empty[18] = {0x83, 0x46, [9] = 1};
    for (unsigned i = 1; i <= MT_PIECES_EMPTY + 1; i++) {
        mote_put16_(empty + 16, 0x7ff - i);
        CHECK_INT(feed(in, (mote_bytes){empty, 18}, &frame), i <= MT_PIECES_EMPTY ? MT_MORE : MT_NO_FRAGMENTS);
    }
    mt_frames_in_free(in);
}

/* As many as there may be, of which nothing more comes: they cost what they are charged. */
static void many_are_open(void) {
    struct mt_frames_in *in = coming(ALL, NULL);
    struct mt_frame frame;
    uint8_t begin[] = "\x83\x45\0\0\0\0\0\0\0\1\0\0\0\0\x7f\xff\xff\xff\0\x6a\x6a";
    for (unsigned i = 1; i <= MT_PIECES_OPEN + 1; i++) {
        mote_put16_(begin + 8, i);
        CHECK_INT(feed(in, (mote_bytes){begin, sizeof begin - 1}, &frame), i <= MT_PIECES_OPEN ? MT_MORE : MT_NO_FRAGMENTS);
        if (i == MT_PIECES_OPEN / 2 - 1) CHECK_INT(mt_frames_in_check(in, SECOND), MT_FINE), CHECK_INT(mt_frames_in_check(in, 500 * SECOND), MT_FINE);
        if (i == MT_PIECES_OPEN) {
            CHECK_INT(mt_frames_in_check(in, 600 * SECOND), MT_FINE);
            CHECK_INT(mt_frames_in_check(in, 719 * SECOND), MT_FINE);
            CHECK_INT(mt_frames_in_check(in, 720 * SECOND), MT_NO_STALLED);
        }
    }
    CHECK(mt_frames_in_bytes(in) <= MT_PIECES_OPEN * (4096 + 400));
    mt_frames_in_free(in);
}

static void a_frame_that_does_not_go_on(void) {
    struct mt_frames_in *in = coming(ALL, NULL);
    struct mt_frame frame;
    size_t used = 0;
    static uint8_t bytes[3000];
    CHECK_INT(mt_frames_in_check(in, 1 * SECOND), MT_FINE);
    CHECK_INT(mt_frames_in_check(in, 100 * SECOND), MT_FINE);
    CHECK_INT(mt_frames_in_feed(in, "\0\1\0\0" "x", 5, &used, &frame), MT_MORE);
    CHECK_INT(mt_frames_in_check(in, 101 * SECOND), MT_FINE);
    mt_frames_in_feed(in, bytes, 1100, &used, &frame);
    CHECK_INT(mt_frames_in_check(in, 170 * SECOND), MT_FINE); /* it has gone on */
    mt_frames_in_feed(in, bytes, 1000, &used, &frame);
    CHECK_INT(mt_frames_in_check(in, 229 * SECOND), MT_FINE);
    CHECK_INT(mt_frames_in_check(in, 230 * SECOND), MT_NO_STALLED);
    mt_frames_in_free(in);
}

/* ------------------------------------------------------------------------------------------------ through both halves */

/* A message: the sender and its number in the control term, so that order can be checked; its payload is a term. */
struct stream_check {
    struct random_terms terms;
    struct mt_frames_out *out;
    struct mt_frames_in *in;
    mote_writer wire;
    unsigned sent[5], got[5];
    size_t released, borrowed, placed;
    uint64_t hashes[5][400];
    bool binary; /* payloads are large binaries */
};

static uint64_t hash_bytes(mote_bytes bytes) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes.size; i++) hash = (hash ^ ((const uint8_t *)bytes.data)[i]) * 1099511628211u;
    return hash ^ bytes.size;
}

/* A payload that is lent. */
struct loan {
    size_t *released;
    uint8_t bytes[];
};

static void released(void *context) {
    struct loan *loan = context;
    ++*loan->released;
    free(loan);
}

static void write_payload(struct stream_check *c, mote_writer *w) {
    size_t kind = random_below(&c->terms, 12);
    if (kind == 0) return;
    if (kind <= 2) {
        size_t size = random_below(&c->terms, 400000);
        uint8_t *to = mote_binary_room(w, size);
        CHECK(to);
        memset(to, (int)size, size);
        return;
    }
    mote_arena *arena = mote_arena_new(0);
    c->terms.arena = arena;
    mote_external_options plain = {.form = MOTE_FORM_ERLANG};
    mote_err err = mote_term_encode(random_term(&c->terms, random_below(&c->terms, 8) ? 4 : 200), &plain, w);
    CHECK(err == MOTE_OK);
    mote_arena_free(arena);
}

static void put_one(struct stream_check *c) {
    mote_writer control, payload;
    unsigned sender = (unsigned)random_below(&c->terms, 5), number = c->sent[sender];
    mote_writer_init(&control, MOTE_FORM_ERLANG, NULL, 0, 1000);
    mote_writer_init(&payload, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
    CHECK(mote_tuple_write(&control, 4) && mote_uint_write(&control, sender) && mote_uint_write(&control, number));
    CHECK(mote_far_pid_write(&control, (mote_bytes){"left@127.0.0.1", 14}, 1, 2, 3) && mote_atom_write(&control, "registered_name", 15));
    write_payload(c, &payload);
    mote_bytes bytes = mote_writer_bytes(&payload);
    CHECK(number < 400);
    c->hashes[sender][number] = hash_bytes(bytes);
    void (*release)(void *) = random_below(&c->terms, 2) && bytes.size ? released : NULL;
    struct loan *loan = NULL;
    if (release) {
        loan = malloc(sizeof *loan + bytes.size);
        CHECK(loan);
        loan->released = &c->released;
        memcpy(loan->bytes, bytes.data, bytes.size);
        bytes.data = loan->bytes;
        c->borrowed++;
    }
    CHECK_OK(mt_frames_out_put(c->out, sender, mote_writer_bytes(&control), bytes, release, loan));
    c->sent[sender]++;
    mote_writer_fini(&control), mote_writer_fini(&payload);
}

static void got_one(struct stream_check *c, const struct mt_frame *frame) {
    mote_reader r;
    mote_token t, sender, number;
    mote_reader_init(&r, MOTE_FORM_ERLANG, frame->control.data, frame->control.size);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_TUPLE && t.count == 4);
    CHECK(mote_token_read(&r, &sender) && mote_token_read(&r, &number));
    CHECK(sender.integer < 5 && number.integer == c->got[sender.integer]); /* B4 */
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_PID && t.name.size == 14 && memcmp(t.name.data, "left@127.0.0.1", 14) == 0);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_ATOM && t.name.size == 15 && memcmp(t.name.data, "registered_name", 15) == 0);
    CHECK(hash_bytes(frame->payload) == c->hashes[sender.integer][number.integer]);
    c->got[sender.integer]++;
}

/* Where so many bytes may be put: the place that they have in their message, if there is one. */
static const uint8_t *place(struct stream_check *c, const uint8_t *bytes, size_t *size) {
    size_t room = 0;
    uint8_t *at = mt_frames_in_room(c->in, &room);
    CHECK(!at || room > 0);
    if (!at || random_below(&c->terms, 4) == 0) return bytes;
    if (*size > room) *size = room;
    c->placed += *size;
    return memcpy(at, bytes, *size);
}

/* Feeds what has been written, in chunks of any size. */
static void carry(struct stream_check *c) {
    mote_bytes wire = mote_writer_bytes(&c->wire);
    size_t at = 0;
    while (at < wire.size) {
        struct mt_frame frame;
        size_t used = 0, chunk = random_below(&c->terms, 8) ? random_below(&c->terms, 300) : random_below(&c->terms, 200000);
        if (chunk > wire.size - at) chunk = wire.size - at;
        const uint8_t *bytes = place(c, (const uint8_t *)wire.data + at, &chunk);
        enum mt_verdict verdict = mt_frames_in_feed(c->in, bytes, chunk, &used, &frame);
        CHECK(verdict == MT_FINE || (verdict == MT_MORE && used == chunk));
        if (verdict == MT_FINE) got_one(c, &frame);
        at += used;
    }
    c->wire.next = c->wire.data;
}

static size_t through_both_halves(uint64_t flags, uint64_t seed) {
    struct stream_check c = {.terms = {.state = seed, .erlang = true}, .out = going(flags), .in = coming(flags, NULL)};
    mote_writer_init(&c.wire, MOTE_FORM_ERLANG, NULL, 0, (size_t)1 << 28);
    for (unsigned i = 0; i < 300; i++) {
        put_one(&c);
        for (size_t frames = random_below(&c.terms, 6); frames > 0; frames--) mt_frames_out_take(c.out, &c.wire);
        if (random_below(&c.terms, 4) == 0) carry(&c);
        if (random_below(&c.terms, 4) == 0) mt_frames_over_free(mt_frames_out_over(c.out));
    }
    while (mt_frames_out_take(c.out, &c.wire) == MT_FINE) {}
    carry(&c);
    for (unsigned i = 0; i < 5; i++) CHECK_INT(c.got[i], c.sent[i]);
    CHECK_INT(mt_frames_out_bytes(c.out), 0);
    mt_frames_over_free(mt_frames_out_over(c.out));
    CHECK_INT(c.released, c.borrowed);
    put_one(&c); /* freed with the connection */
    mt_frames_out_free(c.out);
    CHECK_INT(c.released, c.borrowed);
    mt_frames_in_free(c.in);
    mote_writer_fini(&c.wire);
    return c.placed;
}

static void what_goes_comes(void) {
    static const uint64_t flags[] = {ALL, NO_CACHE, NO_PIECES, PLAIN};
    size_t placed = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) placed += through_both_halves(flags[seed % 4], seed * 7919);
    CHECK(placed > 0);
}

static bool contains(mote_bytes all, mote_bytes part) {
    for (size_t at = 0; at + part.size <= all.size; at++)
        if (memcmp((const uint8_t *)all.data + at, part.data, part.size) == 0) return true;
    return false;
}

/* Closures stand as they are, but for atoms put in. */
static void closures(void) {
    static const char closure[] = "70" "0000002f" "01" "000102030405060708090a0b0c0d0e0f" "00000003" "00000001" "77016d" "6103" "6107" "587701" "6e" "000000010000000000000002" "770161";
    struct mt_frames_out *out = going(ALL);
    struct mt_frames_in *in = coming(ALL, NULL);
    mote_writer w;
    struct mt_frame frame;
    size_t used = 0;
    char term[400];
    snprintf(term, sizeof term, "6803770161%s770161", closure);
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 4096);
    CHECK_OK(mt_frames_out_put(out, 1, hex(term), hex(term), NULL, NULL));
    CHECK_INT(mt_frames_out_take(out, &w), MT_FINE);
    mote_bytes wire = mote_writer_bytes(&w);
    CHECK(contains(wire, hex(closure))); /* W2 */
    CHECK(wire.size == 4 + 3 + 1 + 1 + 2 + 2 * (2 + 2 + hex(closure).size + 2));
    CHECK_INT(mt_frames_in_feed(in, wire.data, wire.size, &used, &frame), MT_FINE);
    check_bytes(frame.payload, hex(term));
    CHECK_INT(feed_hex(in, "8344" "01" "08" "00" "0162"
                           "70" "0000002f" "01" "000102030405060708090a0b0c0d0e0f" "00000003" "00000000" "5200" "6103" "6107" "585200" "000000010000000000000002", &frame), MT_FINE);
    check_bytes(frame.control, hex("70" "0000002f" "01" "000102030405060708090a0b0c0d0e0f" "00000003" "00000000" "770162" "6103" "6107" "58770162" "000000010000000000000002"));
    mote_writer_fini(&w);
    mt_frames_out_free(out), mt_frames_in_free(in);
}

/* ------------------------------------------------------------------------------------------------ fairness */

static uint64_t sender_of(const uint8_t *frame) { return frame[4 + 1] == 70 || frame[4 + 1] == 69 ? 1 : 2; }

/* While one has a hundred pieces, another's small messages go: in turns of the same bytes. */
static void small_ones_do_not_wait(void) {
    struct mt_frames_out *out = going(ALL);
    static uint8_t payload[100 * MT_FRAME_PIECE] = {'m'};
    mote_put32_(payload + 1, sizeof payload - 5);
    mote_bytes control = hex("68016105"), small = hex("6a");
    CHECK_OK(mt_frames_out_put(out, 1, control, (mote_bytes){payload, sizeof payload}, NULL, NULL));
    CHECK_OK(mt_frames_out_put(out, 1, control, small, NULL, NULL));
    for (unsigned i = 0; i < 1000; i++) CHECK_OK(mt_frames_out_put(out, 2, control, small, NULL, NULL));
    size_t frames = 0, of_small = 0, first_small = 0;
    for (;;) {
        mote_writer w;
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 20);
        enum mt_verdict verdict = mt_frames_out_take(out, &w);
        const uint8_t *frame = mote_writer_bytes(&w).data;
        bool is_small = verdict == MT_FINE && sender_of(frame) == 2;
        if (is_small && ++of_small == 1) first_small = frames;
        frames += verdict == MT_FINE;
        if (is_small && of_small == 1000) CHECK(frames <= 1002);
        CHECK(mote_writer_bytes(&w).size <= MT_FRAME_PIECE + 30);
        mote_writer_fini(&w);
        if (verdict != MT_FINE) break;
    }
    CHECK(first_small <= 2);
    CHECK_INT(frames, 1000 + 101 + 1);
    mt_frames_out_free(out);
}

/* Several with large messages advance alike. */
static void large_ones_take_turns(void) {
    struct mt_frames_out *out = going(ALL);
    static uint8_t payload[50 * MT_FRAME_PIECE] = {'m'};
    mote_put32_(payload + 1, sizeof payload - 5);
    unsigned seen[8] = {0}, least = 0, most = 0;
    for (uint64_t sender = 0; sender < 7; sender++) CHECK_OK(mt_frames_out_put(out, sender, hex("68016105"), (mote_bytes){payload, sizeof payload}, NULL, NULL));
    for (unsigned n = 0; n < 7 * 50; n++) {
        mote_writer w;
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 20);
        CHECK_INT(mt_frames_out_take(out, &w), MT_FINE);
        seen[mote_get64_((const uint8_t *)mote_writer_bytes(&w).data + 6)]++; /* sequences are numbered from 1 */
        mote_writer_fini(&w);
        least = most = seen[1];
        for (unsigned i = 2; i <= 7; i++) least = seen[i] < least ? seen[i] : least, most = seen[i] > most ? seen[i] : most;
        CHECK(seen[0] == 0 && most - least <= 1);
    }
    mt_frames_out_free(out);
}

static void too_large_to_go(void) {
    struct mt_frames_out *out = going(ALL);
    static char memory[16];
    mote_err err = mt_frames_out_put(out, 1, hex("68016105"), (mote_bytes){memory, MT_MESSAGE_MAX}, released, memory);
    CHECK_INT(err, MOTE_ELIMIT);
    CHECK_INT(mt_frames_out_bytes(out), 0);
    mt_frames_out_free(out);
}

/* ------------------------------------------------------------------------------------------------ large ones */

enum { LARGE = 10 << 20 };

/* Takes all that goes and feeds it; the last message is in `frame`. */
static void through(struct mt_frames_out *out, struct mt_frames_in *in, struct mt_frame *frame) {
    enum mt_verdict taken = MT_FINE, fed = MT_MORE;
    while (taken == MT_FINE) {
        mote_writer w;
        size_t used = 0;
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
        taken = mt_frames_out_take(out, &w);
        mote_bytes wire = mote_writer_bytes(&w);
        if (taken == MT_FINE) fed = mt_frames_in_feed(in, wire.data, wire.size, &used, frame);
        CHECK(used == wire.size);
        mote_writer_fini(&w);
    }
    mt_frames_over_free(mt_frames_out_over(out));
    CHECK(fed == MT_FINE);
}

static void count_release(void *context) { ++*(unsigned *)context; }

/* A payload in parts, some of them empty, is one; its memory becomes a binary's, which outlives the connection. */
static void parts_become_one_block(void) {
    struct mt_frames_out *out = going(ALL);
    struct mt_frames_in *in = coming(ALL, NULL);
    struct mt_frame frame;
    unsigned freed = 0;
    uint8_t head[5] = {MOTE_TAG_BINARY_}, *bytes = malloc(LARGE);
    CHECK(bytes);
    for (size_t i = 0; i < LARGE; i++) bytes[i] = (uint8_t)(i * 7 + (i >> 13));
    mote_put32_(head + 1, LARGE);
    const mote_bytes parts[] = {{NULL, 0}, {head, 5}, {bytes, 70000}, {bytes + 70000, 0}, {bytes + 70000, LARGE - 70001}, {bytes + LARGE - 1, 1}, {NULL, 0}};
    mote_bytes put = hex("680261057703616263"); /* with an atom, so the frames have a header */
    CHECK_OK(mt_frames_out_put_parts(out, 1, put, parts, sizeof parts / sizeof *parts, count_release, &freed));
    CHECK(mt_frames_out_bytes(out) > LARGE && freed == 0);
    through(out, in, &frame);
    CHECK(freed == 1 && mt_frames_out_bytes(out) == 0);
    CHECK(frame.payload.size == 5 + LARGE && memcmp((const uint8_t *)frame.payload.data + 5, bytes, LARGE) == 0);
    size_t before = mt_frames_in_bytes(in);
    struct mt_bin *block = mt_frames_in_give(in);
    CHECK(block && !mt_frames_in_give(in) && before - mt_frames_in_bytes(in) >= LARGE);
    CHECK(block->data <= (const uint8_t *)frame.payload.data && block->data + block->size == (const uint8_t *)frame.payload.data + frame.payload.size);
    mt_frames_in_free(in);
    CHECK(memcmp(block->data + block->size - LARGE, bytes, LARGE) == 0);
    mt_bin_drop(block);
    CHECK(mt_frames_out_put_parts(out, 1, put, (mote_bytes[]){{bytes, LARGE}, {bytes, MT_MESSAGE_MAX}}, 2, count_release, &freed) == MOTE_ELIMIT && freed == 1);
    CHECK_OK(mt_frames_out_put_parts(out, 1, put, parts, sizeof parts / sizeof *parts, count_release, &freed));
    mt_frames_out_free(out); /* with what waits */
    CHECK(freed == 2);
    free(bytes);
}

/* With references in it the message is written anew, and small ones are copied: there is nothing to give. */
static void what_is_not_given(void) {
    for (unsigned refers = 0; refers < 2; refers++) {
        struct mt_frames_in *in = coming(ALL, NULL);
        struct mt_frame frame;
        mote_writer w;
        const size_t piece = 1 << 20, count = 7;
        uint8_t *body = malloc(100 + piece);
        CHECK(body);
        enum mt_verdict verdict = MT_MORE;
        for (size_t left = count; left > 0 && verdict == MT_MORE; left--) {
            uint8_t numbers[18] = {131, left == count ? 69 : 70};
            mote_put64_(numbers + 2, 1), mote_put64_(numbers + 10, left);
            mote_writer_init(&w, MOTE_FORM_ERLANG, body, 100 + piece, 100 + piece);
            CHECK(mote_raw_write(&w, numbers, sizeof numbers));
            if (left == count) {
                mote_bytes header = hex("01080003616263") /* one atom, new, in slot 0 */, control = hex("6105"), first = hex(refers ? "680252006d006ffff7" : "680261016d006ffff7");
                CHECK(mote_raw_write(&w, header.data, header.size) && mote_raw_write(&w, control.data, control.size) && mote_raw_write(&w, first.data, first.size));
                memset(mote_writer_room(&w, piece - first.size), 'x', piece - first.size);
            } else {
                memset(mote_writer_room(&w, piece), 'x', piece);
            }
            verdict = feed(in, mote_writer_bytes(&w), &frame);
        }
        CHECK_INT(verdict, MT_FINE);
        struct mt_bin *block = mt_frames_in_give(in);
        CHECK(!block == (refers == 1));
        if (refers) CHECK(memcmp(frame.payload.data, hex("68027703616263").data, 7) == 0);
        if (block) mt_bin_drop(block);
        mt_frames_in_free(in);
        free(body);
    }
}

/* Who has little waiting goes on beside who has much; when many have little, that is too much, too. */
static void who_hogs(void) {
    struct mt_frames_out *out = going(ALL);
    static uint8_t payload[200000] = {'m'};
    const size_t limit = 100000;
    mote_put32_(payload + 1, sizeof payload - 5);
    CHECK(!mt_frames_out_hogs(out, 1, limit));
    CHECK_OK(mt_frames_out_put(out, 1, hex("68016105"), (mote_bytes){payload, sizeof payload}, NULL, NULL));
    CHECK_OK(mt_frames_out_put(out, 2, hex("68016105"), hex("6a"), NULL, NULL));
    CHECK(mt_frames_out_hogs(out, 1, limit) && !mt_frames_out_hogs(out, 2, limit) && !mt_frames_out_hogs(out, 3, limit));
    for (unsigned i = 0; i < 1000; i++) CHECK_OK(mt_frames_out_put(out, 2, hex("68016105"), hex("6a"), NULL, NULL));
    CHECK(mt_frames_out_hogs(out, 2, limit));
    for (uint64_t sender = 10; sender < 1010; sender++) CHECK(mt_frames_out_put(out, sender, hex("68016105"), (mote_bytes){payload, 900}, NULL, NULL) == MOTE_OK && !mt_frames_out_hogs(out, sender, limit));
    CHECK_OK(mt_frames_out_put(out, 10, hex("68016105"), (mote_bytes){payload, 900}, NULL, NULL));
    CHECK(mt_frames_out_hogs(out, 10, limit));
    mt_frames_out_free(out);
}

/* ------------------------------------------------------------------------------------------------ the atoms that are sent */

struct atoms_check {
    struct mt_frames_out *out;
    struct mt_frames_in *in;
};

/* Sends a list of atoms `prefix`FIRST .. ; checks that it comes whole; the frame's size. */
static size_t send_atoms(struct atoms_check *c, const char *prefix, unsigned first, unsigned count) {
    mote_writer control, wire;
    char name[300];
    struct mt_frame frame;
    size_t used = 0;
    mote_writer_init(&control, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
    mote_writer_init(&wire, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
    CHECK(mote_list_write(&control, count));
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%08u", prefix, first + i);
        CHECK(mote_atom_write(&control, name, strlen(name)));
    }
    CHECK(mote_nil_write(&control));
    CHECK_OK(mt_frames_out_put(c->out, 1, mote_writer_bytes(&control), (mote_bytes){NULL, 0}, NULL, NULL));
    CHECK_INT(mt_frames_out_take(c->out, &wire), MT_FINE);
    CHECK_INT(mt_frames_in_feed(c->in, mote_writer_bytes(&wire).data, mote_writer_bytes(&wire).size, &used, &frame), MT_FINE);
    check_bytes(frame.control, mote_writer_bytes(&control));
    size_t size = mote_writer_bytes(&wire).size;
    mote_writer_fini(&control), mote_writer_fini(&wire);
    return size;
}

static void atoms_are_sent_once(void) {
    struct atoms_check c = {going(ALL), coming(ALL, NULL)};
    size_t first = send_atoms(&c, "node_of_a_name_", 0, 200), again = send_atoms(&c, "node_of_a_name_", 0, 200);
    CHECK_INT(first, 4 + 3 + 101 + 200 * (2 + 23) + 5 + 200 * 2 + 1);
    CHECK_INT(again, 4 + 3 + 101 + 200 * 1 + 5 + 200 * 2 + 1);
    size_t many = send_atoms(&c, "node_of_a_name_", 0, 300); /* 255 in the header, the others as they are */
    CHECK_INT(many, 4 + 3 + 128 + 200 + 55 * 25 + 5 + 255 * 2 + 45 * 25 + 1);
    mt_frames_out_free(c.out), mt_frames_in_free(c.in);
}

/* B7: atoms that are used now and then stay, however many come along once. */
static void atoms_in_use_stay(void) {
    struct atoms_check c = {going(ALL), coming(ALL, NULL)};
    send_atoms(&c, "hot", 0, 100);
    size_t hot = send_atoms(&c, "hot", 0, 100);
    for (unsigned i = 0; i < 200; i++) {
        send_atoms(&c, "cold", 200 * i, 200);
        if (i % 5 == 0) CHECK_INT(send_atoms(&c, "hot", 0, 100), hot);
    }
    char longest[256];
    memset(longest, 'x', 247), longest[247] = 0; /* 255 with the number; and one more */
    for (unsigned i = 0; i < 2; i++) send_atoms(&c, longest, 0, 50);
    memset(longest, 'x', 248), longest[248] = 0;
    size_t once = send_atoms(&c, longest, 0, 50);
    CHECK_INT(send_atoms(&c, longest, 0, 50), once); /* too long for the header */
    mt_frames_out_free(c.out), mt_frames_in_free(c.in);
}

/* ------------------------------------------------------------------------------------------------ memory, ticks */

static void one_run(void) {
    struct mt_frames_out *out = NULL;
    struct mt_frames_in *in = NULL;
    struct mt_frame frame;
    size_t used = 0;
    mote_writer w;
    static uint8_t payload[3 * MT_FRAME_PIECE] = {'m'};
    mote_put32_(payload + 1, sizeof payload - 5);
    if (mt_frames_out_new(ALL, &out) == MOTE_OK && mt_frames_in_new(ALL, NULL, &in) == MOTE_OK) {
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 20);
        bool put = mt_frames_out_put(out, 1, hex("6801587703614062000000010000000000000004"), hex("770161"), NULL, NULL) == MOTE_OK &&
                   mt_frames_out_put(out, 2, hex("6801587703614062000000010000000000000004"), (mote_bytes){payload, sizeof payload}, NULL, NULL) == MOTE_OK;
        while (put && mt_frames_out_take(out, &w) == MT_FINE) {}
        mote_bytes wire = mote_writer_bytes(&w);
        enum mt_verdict verdict = MT_FINE;
        for (size_t at = 0; at < wire.size && verdict == MT_FINE; at += used) {
            verdict = mt_frames_in_feed(in, (const uint8_t *)wire.data + at, wire.size - at < 5000 ? wire.size - at : 5000, &used, &frame);
            if (verdict == MT_MORE) verdict = MT_FINE;
        }
        CHECK(verdict == MT_FINE || verdict == MT_NO_MEMORY);
        mote_writer_fini(&w);
    }
    mt_frames_out_free(out), mt_frames_in_free(in);
}

static void memory_runs_out_anywhere(void) {
    one_run();
    for (uint64_t n = 1;; n++) {
        mt_os_fault_arm(n, n % 2);
        one_run();
        uint64_t passed = mt_os_fault_count();
        mt_os_fault_arm(0, false);
        if (passed < n) break;
    }
}

static void ticks(void) {
    struct mt_ticker t = {0};
    CHECK_INT(mt_tick(&t, 10, 10, 0, false), MT_TICK_REST);
    CHECK_INT(mt_tick(&t, 20, 10, 0, false), MT_TICK_SEND); /* nothing was written */
    CHECK_INT(mt_tick(&t, 30, 10, 5, false), MT_TICK_REST); /* something waits, and will be */
    CHECK_INT(mt_tick(&t, 30, 20, 0, false), MT_TICK_REST);
    CHECK_INT(mt_tick(&t, 30, 30, 0, true), MT_TICK_SEND); /* so that who is hidden is heard */
    CHECK_INT(mt_tick(&t, 30, 40, 0, false), MT_TICK_REST);
    CHECK_INT(mt_tick(&t, 30, 50, 0, false), MT_TICK_DOWN);
    CHECK_INT(mt_tick(&t, 31, 60, 0, false), MT_TICK_REST);
    for (unsigned i = 0; i < MT_TICK_SILENT - 1; i++) CHECK_INT(mt_tick(&t, 31, 60, 0, false), MT_TICK_SEND);
    CHECK_INT(mt_tick(&t, 31, 60, 0, false), MT_TICK_DOWN);
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(reads_what_erlang_sends), TEST(each_class_of_wrong), TEST(what_is_right_but_odd), TEST(the_longest_atoms),
                                            TEST(lengths), TEST(messages_in_pieces), TEST(pieces_keep_their_atoms), TEST(limits_of_pieces), TEST(many_are_open),
                                            TEST(a_frame_that_does_not_go_on), TEST(what_goes_comes), TEST(closures), TEST(small_ones_do_not_wait),
                                            TEST(large_ones_take_turns), TEST(too_large_to_go), TEST(parts_become_one_block), TEST(what_is_not_given), TEST(who_hogs),
                                            TEST(atoms_are_sent_once), TEST(atoms_in_use_stay),
                                            TEST(memory_runs_out_anywhere), TEST(ticks), {0}});
}
