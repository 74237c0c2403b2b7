/* SPDX-License-Identifier: Apache-2.0
 * mote's side of tests/external_erlang.py: random terms through Erlang and back, and Erlang's through us, by frames on stdin and stdout. Results in
 * TAP on stderr.  peer ROUNDS SEED */
#include <mote/external.h>

#include "check.h"
#include "term/etf_random.h"

#define BATCH 500u
#define FRAME_MAX ((size_t)64 << 20)

static uint8_t frame[FRAME_MAX];
static mote_arena *arena;
static mote_external_options options;

static void write_all(const void *data, size_t size) {
    for (const char *p = data; size > 0;) {
        ssize_t n = write(STDOUT_FILENO, p, size);
        CHECK(n > 0);
        p += n;
        size -= (size_t)n;
    }
}

static void read_all(void *data, size_t size) {
    for (char *p = data; size > 0;) {
        ssize_t n = read(STDIN_FILENO, p, size);
        CHECK(n > 0); /* else Erlang has ended */
        p += n;
        size -= (size_t)n;
    }
}

static void send_frame(const mote_writer *w) {
    uint8_t head[4];
    mote_bytes bytes = mote_writer_bytes(w);
    CHECK(w->err == MOTE_OK);
    mote_put32_(head, bytes.size);
    write_all(head, sizeof head);
    write_all(bytes.data, bytes.size);
}

static size_t receive_frame(void) {
    uint8_t head[4];
    read_all(head, sizeof head);
    size_t size = mote_get32_(head);
    CHECK(size <= sizeof frame);
    read_all(frame, size);
    return size;
}

static void begin(mote_writer *w, uint8_t what) {
    mote_writer_init(w, MOTE_FORM_ERLANG, NULL, 0, FRAME_MAX);
    mote_raw_write(w, &what, 1);
}

/* A term with its size before it. */
static void add(mote_writer *w, mote_term term) {
    size_t before = mote_writer_bytes(w).size;
    uint8_t *size = mote_writer_room(w, 4);
    CHECK(size);
    CHECK_OK(mote_term_encode(term, &options, w));
    mote_put32_(w->data + before, mote_writer_bytes(w).size - before - 4);
}

/* The next of a frame; what is behind it. */
static const uint8_t *next(const uint8_t *at, mote_term *term) {
    size_t size = mote_get32_(at), used = 0;
    mote_err err = mote_term_decode(arena, at + 4, size, &options, term, &used);
    if (err || used != size) fprintf(stderr, "# %s at %zu of %zu bytes\n", mote_err_name(err), used, size);
    CHECK_OK(err);
    CHECK_INT(used, size);
    return at + 4 + size;
}

static void complain(mote_term ours, mote_term theirs) {
    static char text[3000], other[3000];
    mote_term_print(ours, text, sizeof text);
    mote_term_print(theirs, other, sizeof other);
    fprintf(stderr, "# %s\n# came back as\n# %s\n", text, other);
    CHECK(false);
}

static void ours_through_erlang(size_t rounds, uint64_t seed) {
    struct random_terms r = {.state = seed, .arena = arena, .erlang = true};
    for (size_t done = 0; done < rounds; done += BATCH) {
        mote_term terms[BATCH], back = MOTE_TERM_NONE;
        mote_writer w;
        begin(&w, 1);
        for (size_t i = 0; i < BATCH; i++) add(&w, terms[i] = random_term(&r, 1 + random_below(&r, 12)));
        send_frame(&w);
        mote_writer_fini(&w);
        size_t size = receive_frame();
        const uint8_t *at = frame;
        for (size_t i = 0; i < BATCH; i++) {
            at = next(at, &back);
            if (!mote_term_same(terms[i], back)) complain(terms[i], back);
        }
        CHECK(at == frame + size);
        mote_arena_reset(arena);
    }
}

static void erlangs_through_us(size_t rounds, uint64_t seed) {
    for (size_t done = 0; done < rounds; done += BATCH) {
        uint8_t numbers[8];
        mote_writer w;
        mote_term term = MOTE_TERM_NONE;
        size_t count = 0;
        mote_put32_(numbers, BATCH);
        mote_put32_(numbers + 4, seed + done);
        begin(&w, 2);
        mote_raw_write(&w, numbers, sizeof numbers);
        send_frame(&w);
        mote_writer_fini(&w);
        size_t size = receive_frame();
        begin(&w, 3);
        for (const uint8_t *at = frame; at < frame + size; count++) {
            at = next(at, &term);
            add(&w, term);
        }
        CHECK_INT(count, BATCH);
        send_frame(&w);
        mote_writer_fini(&w);
        size = receive_frame();
        if (size != 2 || memcmp(frame, "ok", 2) != 0) fprintf(stderr, "# %.*s\n", (int)(size < 5000 ? size : 5000), (const char *)frame);
        CHECK(size == 2 && memcmp(frame, "ok", 2) == 0);
        mote_arena_reset(arena);
    }
}

int main(int argc, char **argv) {
    mote_writer w;
    CHECK(argc == 3);
    size_t rounds = strtoul(argv[1], NULL, 10);
    uint64_t seed = strtoul(argv[2], NULL, 10);
    CHECK(rounds >= BATCH && seed);
    arena = mote_arena_new(0);
    options = (mote_external_options){.version = true, .node = mote_atom_make("mote@here"), .creation = 7};
    ours_through_erlang(rounds, seed);
    fprintf(stderr, "ok 1 - %zu of our terms through Erlang\n", rounds);
    erlangs_through_us(rounds, seed);
    fprintf(stderr, "ok 2 - %zu of Erlang's terms through us\n", rounds);
    begin(&w, 4);
    send_frame(&w);
    mote_writer_fini(&w);
    mote_arena_free(arena);
    return 0;
}
