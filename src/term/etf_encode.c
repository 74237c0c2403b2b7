/* SPDX-License-Identifier: Apache-2.0
 * Terms written in the external term format.
 *
 * W1 a frame is pushed only while its object has words left, so what is nested in last place needs no stack. */
#include <string.h>

#include "term/etf.h"

#define FRAMES_INSIDE 16u
#define STRING_MAX 65535u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "limbs are written as bytes, least significant first");

enum frame_kind { WORDS, CELLS, PAIRS };

/* What is left of an object: words, a list from a cell on, or pairs of a map. */
struct frame {
    const uint64_t *at;
    uint64_t left;  /* words; cells (the tail is one more); words of pairs */
    uint64_t pairs; /* PAIRS: a value stands so many words behind its key */
    enum frame_kind kind;
};

struct encode {
    mote_writer *w;
    const mote_external_options *options;
    mote_bytes node; /* this one's name */
    struct frame *frames;
    size_t count;
    size_t capacity;
    struct frame inside[FRAMES_INSIDE];
};

static bool grow(struct encode *e) {
    size_t want = e->capacity * 2;
    struct frame *frames = want > SIZE_MAX / 2 / sizeof *frames ? NULL : mt_os_realloc(e->frames == e->inside ? NULL : e->frames, want * sizeof *frames);
    if (!frames) return mote_writer_fail(e->w, MOTE_ENOMEM);
    if (e->frames == e->inside) memcpy(frames, e->inside, sizeof e->inside);
    e->frames = frames;
    e->capacity = want;
    return true;
}

static bool push(struct encode *e, enum frame_kind kind, const uint64_t *at, uint64_t left, uint64_t pairs) {
    if (left == 0) return true; /* W1 */
    if (mt_unlikely(e->count == e->capacity) && !grow(e)) return false;
    e->frames[e->count++] = (struct frame){at, left, pairs, kind};
    return true;
}

/* ------------------------------------------------------------------------------------------------- leaves */

static mote_bytes name_of(uint64_t atom) {
    mote_bytes name;
    name.data = mote_atom_name((mote_atom){atom}, &name.size);
    return name;
}

static bool put_atom(struct encode *e, uint64_t word) {
    mote_bytes name = name_of(word);
    return mote_atom_write(e->w, name.data, name.size);
}

static bool put_pid(struct encode *e, uint64_t word) {
    if (e->w->form == MOTE_FORM_MOTE) return mote_pid_write(e->w, (mote_pid){word});
    return mote_pid_write_as(e->w, (mote_pid){word}, e->node, e->options->creation);
}

static bool put_ref(struct encode *e, uint64_t word) {
    if (e->w->form == MOTE_FORM_MOTE) return mote_ref_write(e->w, (mote_ref){word});
    return mote_ref_write_as(e->w, (mote_ref){word}, e->options->ref_key, e->node, e->options->creation);
}

static bool put_far_ref(struct encode *e, const uint64_t *p) {
    uint32_t words[5];
    size_t count = (size_t)(p[2] >> 32);
    MT_ASSERT(count <= 5);
    for (size_t i = 0; i < count; i++) words[i] = (uint32_t)(p[3 + i / 2] >> (32 * (i % 2)));
    return mote_far_ref_write(e->w, name_of(p[1]), (uint32_t)p[2], words, count);
}

static bool put_big(struct encode *e, const uint64_t *p, bool negative) {
    uint64_t limbs = mt_header_words(*p);
    size_t size = (size_t)(8 * limbs) - (size_t)__builtin_clzll(p[limbs]) / 8;
    return mote_big_write(e->w, negative, p + 1, size);
}

static bool put_float(struct encode *e, const uint64_t *p) {
    double value;
    memcpy(&value, p + 1, sizeof value);
    return mote_float_write(e->w, value);
}

/* One term, which the host writes; a host that only says that it has not makes the writer fail. */
static bool put_host(struct encode *e, const uint64_t *p) {
    const mote_host_kind *kind = mt_host_kind(p);
    bool written = kind->encode && e->w->form != MOTE_FORM_ERLANG && kind->encode((void *)(uintptr_t)p[1], e->w) && !e->w->err;
    return written || mote_writer_fail(e->w, MOTE_ETERM);
}

/* An object of a host's for other nodes: local pids and references within it get their names. */
static bool put_named(struct encode *e, const uint8_t *bytes, size_t size) {
    mote_reader r;
    mote_token t;
    bool good = true;
    for (mote_reader_init(&r, MOTE_FORM_MOTE, bytes, size); good && r.owed > 0;) {
        const uint8_t *at = r.next;
        good = mote_token_read(&r, &t) && t.kind != MOTE_TOKEN_HANDLE;
        if (good && t.kind == MOTE_TOKEN_LOCAL_PID) good = mote_pid_write_as(e->w, (mote_pid){t.word}, e->node, e->options->creation);
        else if (good && t.kind == MOTE_TOKEN_LOCAL_REF) good = mote_ref_write_as(e->w, (mote_ref){t.word}, e->options->ref_key, e->node, e->options->creation);
        else if (good) good = mote_raw_write(e->w, at, (size_t)(r.next - at));
    }
    return good || mote_writer_fail(e->w, e->w->err ? e->w->err : MOTE_ETERM);
}

/* Another runtime's closure, or an object of a host's: as it came. */
static bool put_opaque(struct encode *e, const uint64_t *p) {
    const uint8_t *bytes = (const uint8_t *)(p + 2);
    MT_ASSERT(p[1] > 0 && p[1] <= 8 * (mt_header_words(*p) - 1));
    if (bytes[0] == MOTE_TAG_NEW_FUN_ || e->w->form == MOTE_FORM_MOTE) return mote_raw_write(e->w, bytes, (size_t)p[1]);
    return e->w->form == MOTE_FORM_NODES ? put_named(e, bytes, (size_t)p[1]) : mote_writer_fail(e->w, MOTE_ETERM);
}

/* Whether a binary goes as a handle; *done: it was written, or that has failed. */
static bool put_handle(struct encode *e, uint64_t word, bool *done) {
    uint8_t handle[255];
    size_t size = e->options->blob(e->options->context, (mote_term){word}, handle);
    MT_ASSERT(size <= sizeof handle);
    *done = size > 0 && mote_handle_write(e->w, handle, size);
    return size > 0;
}

/* Whether a binary's bytes are left out; *done: its head was written, or that has failed. */
static bool put_head(struct encode *e, uint64_t word, size_t size, bool *done) {
    size_t at = mote_writer_bytes(e->w).size + 5;
    if (size > UINT32_MAX || !e->options->leave(e->options->context, (mote_term){word}, at)) return false;
    uint8_t *p = mote_writer_room(e->w, 5);
    if (p) *p = MOTE_TAG_BINARY_, mote_put32_(p + 1, size);
    *done = p != NULL;
    return true;
}

static bool put_bits(struct encode *e, uint64_t word) {
    struct mt_bits bits = mt_bits_of(word);
    enum mt_kind kind = mt_header_kind(*mt_ptr(word));
    bool text = kind == MT_TEXT || kind == MT_TEXT_SHARED, done;
    if (text && bits.first == 0 && bits.count % 8 == 0) return mote_text_write(e->w, (const char *)bits.data, (size_t)(bits.count / 8));
    bool offered = bits.count % 8 == 0 && bits.count / 8 >= e->options->blob_min;
    if (offered && e->options->blob && e->w->form == MOTE_FORM_MOTE && put_handle(e, word, &done)) return done;
    if (offered && e->options->leave && e->w->form != MOTE_FORM_MOTE && put_head(e, word, (size_t)bits.count / 8, &done)) return done;
    uint8_t *p = mote_bits_room(e->w, (size_t)bits.count);
    if (p) mt_bits_copy(&bits, p);
    return p != NULL;
}

/* ------------------------------------------------------------------------------------------------ compounds */

/* Cells of a list; whether all of it is integers from 0 to 255. */
static size_t list_cells(uint64_t word, bool *bytes) {
    size_t n = 0;
    *bytes = true;
    for (; mt_tag(word) == MT_CONS; n++, word = mt_ptr(word)[1]) {
        uint64_t head = mt_ptr(word)[0];
        *bytes &= mt_tag(head) == MT_SMALL && (head >> 3) <= 255;
    }
    *bytes &= word == MT_NIL_WORD && n <= STRING_MAX;
    return n;
}

static bool put_string(struct encode *e, uint64_t word, size_t count) {
    uint8_t *p = mote_writer_room(e->w, 3 + count);
    if (!p) return false;
    *p++ = MOTE_TAG_STRING_;
    mote_put16_(p, count);
    p += 2;
    for (; word != MT_NIL_WORD; word = mt_ptr(word)[1]) *p++ = (uint8_t)(mt_ptr(word)[0] >> 3);
    return true;
}

static bool put_list(struct encode *e, uint64_t word) {
    bool bytes;
    size_t count = list_cells(word, &bytes);
    if (bytes) return put_string(e, word, count);
    return mote_list_write(e->w, count) && push(e, CELLS, mt_ptr(word), count + 1, 0);
}

/* Whether a map has a binary and a text of the same bytes among its keys: Erlang's form has but one key for both. They are neighbours. */
static bool keys_collide(const uint64_t *keys, uint64_t count) {
    for (uint64_t i = 1; i < count; i++) {
        if (!mt_is_bits(keys[i]) || !mt_is_bits(keys[i - 1])) continue;
        enum mt_kind kind = mt_header_kind(*mt_ptr(keys[i]));
        struct mt_bits a = mt_bits_of(keys[i - 1]), b = mt_bits_of(keys[i]);
        if ((kind != MT_TEXT && kind != MT_TEXT_SHARED) || a.count != b.count || b.first) continue;
        uint64_t same = 0, bytes = b.count / 8;
        while (same < bytes && mt_bits_byte(&a, same) == b.data[same]) same++;
        if (same == bytes) return true;
    }
    return false;
}

static bool put_map(struct encode *e, const uint64_t *p) {
    uint64_t pairs = mt_header_words(*p) / 2;
    if (e->w->form == MOTE_FORM_ERLANG && keys_collide(p + 1, pairs)) return mote_writer_fail(e->w, MOTE_ETERM);
    return mote_map_write(e->w, (size_t)pairs) && push(e, PAIRS, p + 1, 2 * pairs, pairs);
}

static bool put_boxed(struct encode *e, uint64_t word) {
    const uint64_t *p = mt_ptr(word);
    uint64_t words = mt_header_words(*p);
    switch (mt_header_kind(*p)) {
    case MT_TUPLE: return mote_tuple_write(e->w, (size_t)words) && push(e, WORDS, p + 1, words, 0);
    case MT_MAP: return put_map(e, p);
    case MT_FUN: return mote_function_write(e->w, name_of(p[1]), name_of(p[2]), (uint8_t)mt_small_value(p[3]));
    case MT_FLOAT: return put_float(e, p);
    case MT_BIG: return put_big(e, p, false);
    case MT_BIG_NEG: return put_big(e, p, true);
    case MT_BIN:
    case MT_TEXT:
    case MT_BIN_SHARED:
    case MT_TEXT_SHARED: return put_bits(e, word);
    case MT_PID_FAR: return mote_far_pid_write(e->w, name_of(p[1]), (uint32_t)p[2], (uint32_t)(p[2] >> 32), (uint32_t)p[3]);
    case MT_PORT_FAR: return mote_far_port_write(e->w, name_of(p[1]), p[2], (uint32_t)p[3]);
    case MT_REF_FAR: return put_far_ref(e, p);
    case MT_OPAQUE: return put_opaque(e, p);
    case MT_HOST: return put_host(e, p);
    }
    return mote_writer_fail(e->w, MOTE_ETERM);
}

/* Writes a term, or its head and a frame for the rest. */
static bool put(struct encode *e, uint64_t word) {
    switch ((enum mt_tag)mt_tag(word)) {
    case MT_BOXED: return word ? put_boxed(e, word) : mote_writer_fail(e->w, MOTE_ETERM);
    case MT_SMALL: return mote_int_write(e->w, mt_small_value(word));
    case MT_ATOM: return put_atom(e, word);
    case MT_PID: return put_pid(e, word);
    case MT_REF: return put_ref(e, word);
    case MT_CONS: return put_list(e, word);
    case MT_NIL_TAG: return mote_nil_write(e->w);
    case MT_HEADER: break;
    }
    MT_ASSERT(false); /* term.h, I1 */
    return false;
}

/* The next word of the innermost frame, which goes when it was the last. */
static uint64_t next_word(struct encode *e) {
    struct frame *f = &e->frames[e->count - 1];
    const uint64_t *at = f->at;
    uint64_t left = --f->left, word;
    if (f->kind == WORDS) {
        word = *f->at++;
    } else if (f->kind == PAIRS) {
        word = left & 1 ? at[0] : at[f->pairs];
        f->at += !(left & 1);
    } else if (left > 0) {
        word = at[0];
        if (left > 1) f->at = mt_ptr(at[1]);
    } else {
        word = at[1]; /* the tail */
    }
    if (left == 0) e->count--;
    return word;
}

static bool run(struct encode *e, uint64_t word) {
    if (!put(e, word)) return false;
    while (e->count > 0)
        if (!put(e, next_word(e))) return false;
    return true;
}

static const mote_external_options defaults;

mote_err mote_term_encode(mote_term term, const mote_external_options *options, mote_writer *writer) {
    struct encode e;
    MT_ASSERT(writer);
    e.w = writer;
    e.options = options ? options : &defaults;
    e.node = name_of(e.options->node.word ? e.options->node.word : MT_WORD_OF(nonode_at_nohost));
    e.frames = e.inside;
    e.count = 0;
    e.capacity = FRAMES_INSIDE;
    if (writer->err) return writer->err;
    bool done = (!e.options->version || mote_version_write(writer)) && run(&e, term.word);
    if (e.frames != e.inside) mt_os_free(e.frames);
    MT_ASSERT(done == (writer->err == MOTE_OK));
    return writer->err;
}
