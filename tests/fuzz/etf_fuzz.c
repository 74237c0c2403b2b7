/* SPDX-License-Identifier: Apache-2.0
 * What must hold of any bytes that are read as a term: for libFuzzer (make check-fuzz), and for the corpus in every build (corpus.c).
 *
 * The first byte chooses the options, the others are the term. */
#include <mote/external.h>

#include "check.h"
#include "term/etf.h"

enum { FORM_MOTE = 1, VERSION = 2, KNOWN_ATOMS = 4, HOLD = 8, UNBLOB = 16, LITTLE_MEMORY = 32, FORM_NODES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    size_t held, given, released;
    uint8_t blob[300];
} memory;

static void hold(void *context, const void *data) {
    (void)context, (void)data;
    memory.held++;
}
static void release(void *data, void *context) {
    (void)context, (void)data;
    memory.released++;
}
static bool unblob(void *context, mote_bytes handle, mote_bytes *bytes, void **held) {
    (void)context, (void)held;
    const uint8_t *p = handle.data;
    if (p[0] == 'x') return false;
    *bytes = (mote_bytes){memory.blob, p[0]};
    memory.given++;
    return true;
}

/* Reads what was written, which is the same term. */
static void read_again(mote_arena *arena, mote_bytes bytes, const mote_external_options *options, mote_term term) {
    mote_term back = MOTE_TERM_NONE;
    size_t at = 0;
    CHECK_OK(mote_term_decode(arena, bytes.data, bytes.size, options, &back, &at));
    CHECK_INT(at, bytes.size);
    CHECK(mote_term_same(term, back));
    CHECK(mote_term_hash(term) == mote_term_hash(back));
}

static void write_and_read(mote_arena *arena, mote_form form, const mote_external_options *options, mote_term term) {
    mote_writer w;
    mote_external_options plain = {.form = form, .version = options->version};
    mote_writer_init(&w, form, NULL, 0, (size_t)64 << 20);
    mote_err err = mote_term_encode(term, &plain, &w);
    if (form == options->form) CHECK_OK(err);
    else CHECK(err == MOTE_OK || err == MOTE_ETERM); /* an object of a host's */
    if (!err && form == options->form) read_again(arena, mote_writer_bytes(&w), &plain, term);
    mote_writer_fini(&w);
}

/* A term was read: it is whole, no larger than was said, and was all there. */
static void whole(mote_arena *arena, const uint8_t *data, size_t used, const mote_external_options *options, mote_term term) {
    char text[200];
    struct mt_etf etf;
    size_t at = 0, words = 0;
    CHECK_OK(mt_etf_scan(&etf, data, used, options, &at));
    CHECK(at == used && 8 * etf.words + etf.outside <= MT_ETF_TIMES * (uint64_t)used + MT_ETF_MORE);
    CHECK_OK(mt_term_size(term, &words));
    CHECK(words <= etf.words);
    mote_term_print(term, text, sizeof text);
    mote_reader r;
    mote_reader_init(&r, options->form, data, used);
    CHECK((!options->version || mote_version_read(&r)) && mote_reader_skip(&r, 1) && r.next == r.end && r.owed == 0);
    write_and_read(arena, MOTE_FORM_ERLANG, options, term);
    write_and_read(arena, MOTE_FORM_MOTE, options, term);
    write_and_read(arena, MOTE_FORM_NODES, options, term);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    unsigned choice = data[0];
    size_t at = 0, atoms = mote_atom_count();
    mote_external_options options = {.form = choice & FORM_MOTE ? MOTE_FORM_MOTE : choice & FORM_NODES ? MOTE_FORM_NODES : MOTE_FORM_ERLANG, .version = choice & VERSION, .known_atoms = choice & KNOWN_ATOMS};
    if (choice & HOLD) options.hold = hold;
    if (choice & UNBLOB) options.unblob = unblob;
    options.release = release;
    options.memory_max = choice & LITTLE_MEMORY ? 400 : 0;
    mote_arena *arena = mote_arena_new(0);
    mote_term term = {77};
    CHECK(arena);
    mote_err err = mote_term_decode(arena, data + 1, size - 1, &options, &term, &at);
    CHECK(at <= size - 1);
    if (!err) whole(arena, data + 1, at, &options, term);
    else CHECK(err == MOTE_ESYNTAX || err == MOTE_ELIMIT || err == MOTE_ETERM || (err == MOTE_ENAME && options.known_atoms));
    if (err) CHECK(term.word == 77);
    mote_arena_free(arena);
    CHECK(mote_atom_count() == atoms);
    CHECK(memory.held + memory.given == memory.released);
    return 0;
}
