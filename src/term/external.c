/* SPDX-License-Identifier: Apache-2.0
 * The external term format's pieces: what mote/external.h does not do inline.
 *
 * T1 a token is read without a change of the reader until it is whole: a reader that fails stands at the token that was wrong.
 * T2 the token functions get the bytes behind the tag and give NULL when they have failed, else where they ended. */
#include <mote/external.h>
#include <stdlib.h>
#include <string.h>

#include "term/term.h"

#define OWN_BYTES_MIN 256u
#define NAME_CHARS_MAX 255u
#define BIG_BYTES_MAX ((size_t)1 << 30)
#define FLOAT_TEXT 31u
#define REF_ROUNDS (sizeof ((mote_ref_key *)NULL)->round / sizeof(uint32_t))
#define CUT_SHORT "the bytes end within a term"

/* ------------------------------------------------------------------------------------------------ the writer */

void mote_writer_init(mote_writer *writer, mote_form form, void *memory, size_t size, size_t size_max) {
    MT_ASSERT(memory || size == 0);
    MT_ASSERT(size <= size_max);
    writer->form = form;
    writer->err = MOTE_OK;
    writer->data = writer->next = memory;
    writer->end = size ? writer->data + size : writer->data;
    writer->own = NULL;
    writer->size_max = size_max;
}

void mote_writer_fini(mote_writer *writer) {
    mt_os_free(writer->own);
    writer->own = NULL;
    writer->data = writer->next = writer->end = NULL;
}

bool mote_writer_fail(mote_writer *writer, mote_err err) {
    MT_ASSERT(err != MOTE_OK);
    if (!writer->err) writer->err = err;
    writer->end = writer->next; /* X3 */
    return false;
}

bool mote_writer_grow(mote_writer *writer, size_t size) {
    size_t used = (size_t)(writer->next - writer->data), capacity = (size_t)(writer->end - writer->data);
    if (writer->err) return false;
    if (size <= capacity - used) return true;
    if (size > writer->size_max - used) return mote_writer_fail(writer, MOTE_ELIMIT);
    size_t want = capacity < writer->size_max / 2 ? 2 * capacity : writer->size_max;
    if (want < used + size) want = used + size;
    if (want < OWN_BYTES_MIN) want = OWN_BYTES_MIN < writer->size_max ? OWN_BYTES_MIN : writer->size_max;
    uint8_t *memory = mt_os_realloc(writer->own, want);
    if (!memory) return mote_writer_fail(writer, MOTE_ENOMEM);
    if (!writer->own && used) memcpy(memory, writer->data, used);
    writer->own = writer->data = memory;
    writer->next = memory + used;
    writer->end = memory + want;
    return true;
}

/* ------------------------------------------------------------------------------------------------ writing pieces */

bool mote_long_write_(mote_writer *writer, bool negative, uint64_t magnitude) {
    uint8_t bytes[8];
    size_t size = 0;
    for (; magnitude; magnitude >>= 8) bytes[size++] = (uint8_t)magnitude;
    uint8_t *p = mote_short_head_(writer, MOTE_TAG_SMALL_BIG_, size, 1 + size);
    if (!p) return false;
    p[0] = negative;
    memcpy(p + 1, bytes, size);
    return true;
}

/* The number that up to eight bytes stand for. */
static uint64_t number_of(const uint8_t *bytes, size_t size) {
    uint64_t v = 0;
    MT_ASSERT(size <= 8);
    for (size_t i = 0; i < size; i++) v |= (uint64_t)bytes[i] << 8 * i;
    return v;
}

bool mote_big_write(mote_writer *writer, bool negative, const void *magnitude, size_t size) {
    const uint8_t *bytes = magnitude;
    while (size > 0 && bytes[size - 1] == 0) size--;
    uint64_t small = size <= 4 ? number_of(bytes, size) : UINT64_MAX;
    if (small <= (uint64_t)INT32_MAX + negative) return mote_int_write(writer, negative ? -(int64_t)small : (int64_t)small);
    if (size > BIG_BYTES_MAX) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = size <= 255 ? mote_short_head_(writer, MOTE_TAG_SMALL_BIG_, size, 1 + size)
                             : mote_long_head_(writer, MOTE_TAG_LARGE_BIG_, size, 1 + size);
    if (!p) return false;
    p[0] = negative;
    memcpy(p + 1, bytes, size);
    return true;
}

uint8_t *mote_bits_room(mote_writer *writer, size_t bits) {
    size_t size = bits / 8 + (bits % 8 != 0);
    if (bits % 8 == 0) return mote_binary_room(writer, size);
    uint8_t *p = mote_long_head_(writer, MOTE_TAG_BITS_, size, 1 + size);
    if (p) *p++ = (uint8_t)(bits % 8);
    return p;
}

/* Bytes that an atom of this name takes. */
static size_t atom_bytes(mote_bytes name) { return name.size + (name.size <= 255 ? 2 : 3); }

/* A tag, and room for `more` bytes behind it. */
static uint8_t *head(mote_writer *writer, uint8_t tag, size_t more) {
    uint8_t *p = mote_writer_room(writer, 1 + more);
    if (p) *p++ = tag;
    return p;
}

/* An atom where there is room for it; gives what is behind it. */
static uint8_t *put_atom(uint8_t *p, mote_bytes name) {
    *p++ = name.size <= 255 ? MOTE_TAG_SMALL_ATOM_UTF8_ : MOTE_TAG_ATOM_UTF8_;
    if (name.size > 255) *p++ = (uint8_t)(name.size >> 8);
    *p++ = (uint8_t)name.size;
    if (name.size) memcpy(p, name.data, name.size);
    return p + name.size;
}

bool mote_function_write(mote_writer *writer, mote_bytes module, mote_bytes function, uint8_t arity) {
    if (module.size > 4 * NAME_CHARS_MAX || function.size > 4 * NAME_CHARS_MAX) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = head(writer, MOTE_TAG_EXPORT_, atom_bytes(module) + atom_bytes(function) + 2);
    if (!p) return false;
    p = put_atom(put_atom(p, module), function);
    p[0] = MOTE_TAG_SMALL_INTEGER_;
    p[1] = arity;
    return true;
}

bool mote_far_pid_write(mote_writer *writer, mote_bytes node, uint32_t id, uint32_t serial, uint32_t creation) {
    if (node.size > 4 * NAME_CHARS_MAX) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = head(writer, MOTE_TAG_NEW_PID_, atom_bytes(node) + 12);
    if (!p) return false;
    p = put_atom(p, node);
    mote_put32_(p, id);
    mote_put32_(p + 4, serial);
    mote_put32_(p + 8, creation);
    return true;
}

bool mote_far_port_write(mote_writer *writer, mote_bytes node, uint64_t id, uint32_t creation) {
    bool small = id < (uint64_t)1 << 28;
    if (node.size > 4 * NAME_CHARS_MAX) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = head(writer, small ? MOTE_TAG_NEW_PORT_ : MOTE_TAG_V4_PORT_, atom_bytes(node) + (small ? 8 : 12));
    if (!p) return false;
    p = put_atom(p, node);
    if (small) mote_put32_(p, id);
    else mote_put64_(p, id);
    mote_put32_(p + (small ? 4 : 8), creation);
    return true;
}

bool mote_far_ref_write(mote_writer *writer, mote_bytes node, uint32_t creation, const uint32_t *words, size_t count) {
    if (node.size > 4 * NAME_CHARS_MAX || count == 0 || count > 5) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = head(writer, MOTE_TAG_NEWER_REFERENCE_, 2 + atom_bytes(node) + 4 + 4 * count);
    if (!p) return false;
    mote_put16_(p, count);
    p = put_atom(p + 2, node);
    mote_put32_(p, creation);
    for (size_t i = 0; i < count; i++) mote_put32_(p + 4 + 4 * i, words[i]);
    return true;
}

/* A pid's word without its tag has 61 bits: the lower 32 are the id, the others the serial. */
bool mote_pid_write_as(mote_writer *writer, mote_pid pid, mote_bytes node, uint32_t creation) {
    if (mt_tag(pid.word) != MT_PID) return mote_writer_fail(writer, MOTE_ETERM);
    return mote_far_pid_write(writer, node, (uint32_t)(pid.word >> 3), (uint32_t)(pid.word >> 35), creation);
}

bool mote_pid_of_far(uint32_t id, uint32_t serial, mote_pid *pid) {
    uint64_t word = ((uint64_t)serial << 32 | id) << 3 | MT_PID;
    if (serial >> 29 || mt_is_remote(word)) return false;
    pid->word = word;
    return true;
}

/* Speck64/128, a block cipher of 64 bits (Beaulieu and others, 2013): 27 rounds of a generalised Feistel network; the keys of the rounds come of the same round. */
static uint32_t turn(uint32_t v, unsigned left) { return v << left | v >> (32 - left); }

static void mix(uint32_t *x, uint32_t *y, uint32_t key) {
    *x = (turn(*x, 24) + *y) ^ key;
    *y = turn(*y, 3) ^ *x;
}

void mote_ref_key_make(mote_ref_key *key, const uint32_t *secret) {
    uint32_t next = secret[0], other[3] = {secret[1], secret[2], secret[3]};
    for (uint32_t i = 0; i < REF_ROUNDS; i++) {
        key->round[i] = next;
        mix(&other[i % 3], &next, i);
    }
}

static uint64_t hide(const mote_ref_key *key, uint64_t word) {
    uint32_t x = (uint32_t)(word >> 32), y = (uint32_t)word;
    for (size_t i = 0; i < REF_ROUNDS; i++) mix(&x, &y, key->round[i]);
    return (uint64_t)x << 32 | y;
}

static uint64_t show(const mote_ref_key *key, uint64_t hidden) {
    uint32_t x = (uint32_t)(hidden >> 32), y = (uint32_t)hidden;
    for (size_t i = REF_ROUNDS; i-- > 0;) {
        y = turn(y ^ x, 29);
        x = turn((x ^ key->round[i]) - y, 8);
    }
    return (uint64_t)x << 32 | y;
}

/* A reference's 61 bits, or with a key the 64 of its word as the key hides it, as Erlang's own are divided: 18, 32, and the rest. */
void mote_ref_as_far(mote_ref ref, const mote_ref_key *key, uint32_t *words) {
    uint64_t v = key ? hide(key, ref.word) : ref.word >> 3;
    words[0] = (uint32_t)(v & ((1u << 18) - 1));
    words[1] = (uint32_t)(v >> 18);
    words[2] = (uint32_t)(v >> 50);
}

bool mote_ref_write_as(mote_writer *writer, mote_ref ref, const mote_ref_key *key, mote_bytes node, uint32_t creation) {
    uint32_t words[3];
    if (mt_tag(ref.word) != MT_REF) return mote_writer_fail(writer, MOTE_ETERM);
    mote_ref_as_far(ref, key, words);
    return mote_far_ref_write(writer, node, creation, words, 3);
}

bool mote_ref_of_far(const uint32_t *words, size_t count, const mote_ref_key *key, mote_ref *ref) {
    if (count != 3 || words[0] >> 18 || words[2] >> (key ? 14 : 11)) return false;
    uint64_t v = (uint64_t)words[2] << 50 | (uint64_t)words[1] << 18 | words[0], word = key ? show(key, v) : v << 3 | MT_REF;
    if (mt_tag(word) != MT_REF) return false; /* one of eight that are made up ends here */
    ref->word = word;
    return true;
}

bool mote_handle_write(mote_writer *writer, const void *handle, size_t size) {
    if (size == 0 || size > 255) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = mote_own_head_(writer, MOTE_TAG_HANDLE_, 1 + size);
    if (!p) return false;
    p[0] = (uint8_t)size;
    memcpy(p + 1, handle, size);
    return true;
}

/* ------------------------------------------------------------------------------------------------ the reader */

bool mote_reader_fail(mote_reader *reader, mote_err err, const char *why) {
    MT_ASSERT(err != MOTE_OK);
    if (!reader->err) {
        reader->err = err;
        reader->why = why;
    }
    reader->end = reader->next; /* X3 */
    return false;
}

bool mote_version_read(mote_reader *reader) {
    if (reader->next == reader->end || *reader->next != MOTE_TAG_VERSION_)
        return mote_reader_fail(reader, MOTE_ESYNTAX, "the first byte is not 131, so this is no term");
    reader->next++;
    return true;
}

static const uint8_t *wrong(mote_reader *r, const char *why) {
    mote_reader_fail(r, MOTE_ESYNTAX, why);
    return NULL;
}

static const uint8_t *too_large(mote_reader *r, const char *why) {
    mote_reader_fail(r, MOTE_ELIMIT, why);
    return NULL;
}

/* Whether `size` bytes are there from p on; if not, the reader fails. */
static bool there(mote_reader *r, const uint8_t *p, uint64_t size) {
    return size <= (uint64_t)(r->end - p) || mote_reader_fail(r, MOTE_ESYNTAX, CUT_SHORT);
}

/* Bytes of the token, from p on (T2). */
static const uint8_t *bytes_of(mote_reader *r, mote_token *t, const uint8_t *p, mote_token_kind kind, uint64_t size) {
    if (!there(r, p, size)) return NULL;
    t->kind = kind;
    t->bytes.data = p;
    t->bytes.size = (size_t)size;
    return p + size;
}

/* ---------------------------------------------------------------------------------------------- numbers, bits */

/* "1.50000000000000000000e+00", then zeros: read without a locale's say, so without its point. */
static const uint8_t *old_float(mote_reader *r, mote_token *t, const uint8_t *p) {
    static const char no_float[] = "this is no float, as it was written of old";
    char digits[FLOAT_TEXT + 16], text[FLOAT_TEXT + 1], *end;
    size_t n = 0, at = 0, whole;
    if (!there(r, p, FLOAT_TEXT)) return NULL;
    memcpy(text, p, FLOAT_TEXT);
    text[FLOAT_TEXT] = 0;
    if (text[at] == '-') digits[n++] = text[at++];
    whole = strspn(text + at, "0123456789");
    memcpy(digits + n, text + at, whole);
    n += whole, at += whole;
    if (whole == 0 || text[at++] != '.') return wrong(r, no_float);
    size_t fraction = strspn(text + at, "0123456789");
    memcpy(digits + n, text + at, fraction);
    n += fraction, at += fraction;
    if (fraction == 0 || text[at++] != 'e') return wrong(r, no_float);
    size_t sign = text[at] == '-' || text[at] == '+', exponent = strspn(text + at + sign, "0123456789");
    if (exponent == 0 || exponent > 4 || text[at + sign + exponent] != 0) return wrong(r, no_float);
    long power = strtol(text + at, &end, 10) - (long)fraction;
    digits[n++] = 'e';
    if (power < 0) digits[n++] = '-';
    if (power < 0) power = -power;
    MT_ASSERT(power < 100000);
    for (long unit = 10000; unit > 0; unit /= 10) digits[n++] = (char)('0' + power / unit % 10);
    digits[n] = 0;
    t->kind = MOTE_TOKEN_FLOAT;
    t->real = strtod(digits, NULL);
    return t->real - t->real == 0 ? p + FLOAT_TEXT : wrong(r, "this float is too large");
}

/* Sign and magnitude. */
static const uint8_t *big(mote_reader *r, mote_token *t, const uint8_t *p, uint64_t size) {
    if (!there(r, p, size + 1)) return NULL;
    if (p[0] > 1) return wrong(r, "the sign of an integer is 0 or 1");
    const uint8_t *bytes = p + 1, *end = bytes + size;
    while (size > 0 && bytes[size - 1] == 0) size--;
    if (size > BIG_BYTES_MAX) return too_large(r, "this integer is too large");
    uint64_t small = size <= 8 ? number_of(bytes, (size_t)size) : UINT64_MAX;
    t->negative = p[0];
    t->kind = size <= 8 && small <= (uint64_t)INT64_MAX + t->negative ? MOTE_TOKEN_INT : MOTE_TOKEN_BIG;
    if (t->kind == MOTE_TOKEN_INT) {
        t->integer = (int64_t)(t->negative ? 0 - small : small);
    } else {
        t->bytes.data = bytes;
        t->bytes.size = (size_t)size;
    }
    return end;
}

static const uint8_t *float_of(mote_reader *r, mote_token *t, const uint8_t *p) {
    if (!there(r, p, 8)) return NULL;
    MT_ASSERT((mote_get64_(p) >> 52 & 2047) == 2047); /* others are read inline */
    (void)t;
    return wrong(r, "a float is neither NaN nor infinite");
}

static const uint8_t *number(mote_reader *r, mote_token *t, uint8_t tag, const uint8_t *p) {
    switch (tag) {
    case MOTE_TAG_NEW_FLOAT_: return float_of(r, t, p);
    case MOTE_TAG_FLOAT_: return old_float(r, t, p);
    case MOTE_TAG_SMALL_BIG_: return there(r, p, 1) ? big(r, t, p + 1, p[0]) : NULL;
    case MOTE_TAG_LARGE_BIG_: return there(r, p, 4) ? big(r, t, p + 4, mote_get32_(p)) : NULL;
    default: MT_ASSERT(tag == MOTE_TAG_SMALL_INTEGER_ || tag == MOTE_TAG_INTEGER_); return wrong(r, CUT_SHORT);
    }
}

static const uint8_t *bits(mote_reader *r, mote_token *t, const uint8_t *p) {
    if (!there(r, p, 5)) return NULL;
    uint64_t size = mote_get32_(p);
    unsigned last = p[4];
    if (last > 8 || (last == 0) != (size == 0)) return wrong(r, "the last byte of a bitstring has 1 to 8 bits");
    p = bytes_of(r, t, p + 5, last == 8 || size == 0 ? MOTE_TOKEN_BINARY : MOTE_TOKEN_BITS, size);
    if (p) t->count = size ? 8 * (size - 1) + last : 0;
    return p;
}

/* --------------------------------------------------------------------------------------- names, identifiers */

static bool name_fits(mote_reader *r, const mote_name *name) {
    size_t chars = name->size;
    bool valid = name->latin1 || mt_utf8_valid(name->data, name->size, &chars);
    if (!valid) return mote_reader_fail(r, MOTE_ESYNTAX, "the name of an atom is not UTF-8");
    return chars <= NAME_CHARS_MAX || mote_reader_fail(r, MOTE_ELIMIT, "the name of an atom has at most 255 characters");
}

/* An atom, from its tag on; gives where it ends. */
static const uint8_t *atom(mote_reader *r, const uint8_t *p, mote_name *name) {
    uint64_t size = 0;
    if (!there(r, p, 2)) return NULL;
    uint8_t tag = *p++;
    if (tag == MOTE_TAG_SMALL_ATOM_UTF8_ || tag == MOTE_TAG_SMALL_ATOM_) {
        size = *p++;
    } else if (tag == MOTE_TAG_ATOM_UTF8_ || tag == MOTE_TAG_ATOM_) {
        if (!there(r, p, 2)) return NULL;
        size = mote_get16_(p);
        p += 2;
    } else {
        return wrong(r, "an atom must stand here");
    }
    if (!there(r, p, size)) return NULL;
    name->data = (const char *)p;
    name->size = (size_t)size;
    name->latin1 = (tag == MOTE_TAG_SMALL_ATOM_ || tag == MOTE_TAG_ATOM_) && !mote_ascii_(p, (size_t)size);
    return name_fits(r, name) ? p + size : NULL;
}

/* PID_EXT and NEW_PID_EXT: their creations have one byte and four. */
static const uint8_t *pid(mote_reader *r, mote_token *t, const uint8_t *p, size_t creation) {
    if (!(p = atom(r, p, &t->name)) || !there(r, p, 8 + creation)) return NULL;
    t->kind = MOTE_TOKEN_PID;
    t->words[0] = mote_get32_(p);
    t->words[1] = mote_get32_(p + 4);
    t->creation = creation == 1 ? p[8] : mote_get32_(p + 8);
    return p + 8 + creation;
}

static const uint8_t *port(mote_reader *r, mote_token *t, const uint8_t *p, size_t id, size_t creation) {
    if (!(p = atom(r, p, &t->name)) || !there(r, p, id + creation)) return NULL;
    t->kind = MOTE_TOKEN_PORT;
    t->word = id == 8 ? mote_get64_(p) : mote_get32_(p);
    t->creation = creation == 1 ? p[id] : mote_get32_(p + id);
    return p + id + creation;
}

/* REFERENCE_EXT: one word before the creation. */
static const uint8_t *old_ref(mote_reader *r, mote_token *t, const uint8_t *p) {
    if (!(p = atom(r, p, &t->name)) || !there(r, p, 5)) return NULL;
    t->kind = MOTE_TOKEN_REF;
    t->count = 1;
    t->words[0] = mote_get32_(p);
    t->creation = p[4];
    return p + 5;
}

/* NEW_REFERENCE_EXT and NEWER_REFERENCE_EXT. */
static const uint8_t *ref(mote_reader *r, mote_token *t, const uint8_t *p, size_t creation) {
    if (!there(r, p, 2)) return NULL;
    t->kind = MOTE_TOKEN_REF;
    t->count = mote_get16_(p);
    if (t->count == 0 || t->count > 5) return wrong(r, "a reference has 1 to 5 words");
    if (!(p = atom(r, p + 2, &t->name)) || !there(r, p, creation + 4 * t->count)) return NULL;
    t->creation = creation == 1 ? p[0] : mote_get32_(p);
    p += creation;
    for (uint64_t i = 0; i < t->count; i++) t->words[i] = mote_get32_(p + 4 * i);
    return p + 4 * t->count;
}

static const uint8_t *identifier(mote_reader *r, mote_token *t, uint8_t tag, const uint8_t *p) {
    switch (tag) {
    case MOTE_TAG_NEW_PID_: return pid(r, t, p, 4);
    case MOTE_TAG_PID_OLD_: return pid(r, t, p, 1);
    case MOTE_TAG_NEW_PORT_: return port(r, t, p, 4, 4);
    case MOTE_TAG_V4_PORT_: return port(r, t, p, 8, 4);
    case MOTE_TAG_PORT_: return port(r, t, p, 4, 1);
    case MOTE_TAG_NEWER_REFERENCE_: return ref(r, t, p, 4);
    case MOTE_TAG_NEW_REFERENCE_: return ref(r, t, p, 1);
    default: MT_ASSERT(tag == MOTE_TAG_REFERENCE_); return old_ref(r, t, p);
    }
}

/* ------------------------------------------------------------------------------------ functions, what has parts */

static const uint8_t *function(mote_reader *r, mote_token *t, const uint8_t *p) {
    if (!(p = atom(r, p, &t->name)) || !(p = atom(r, p, &t->function)) || !there(r, p, 2)) return NULL;
    if (p[0] != MOTE_TAG_SMALL_INTEGER_) return wrong(r, "an arity must stand here");
    t->kind = MOTE_TOKEN_FUNCTION;
    t->code = p[1];
    return p + 2;
}

/* Moves over an integer of at most 32 bits. */
static const uint8_t *small_int(mote_reader *r, const uint8_t *p) {
    if (!there(r, p, 2)) return NULL;
    if (p[0] == MOTE_TAG_SMALL_INTEGER_) return p + 2;
    if (p[0] != MOTE_TAG_INTEGER_) return wrong(r, "an integer must stand here");
    return there(r, p, 5) ? p + 5 : NULL;
}

/* NEW_FUN_EXT: size (some releases of Erlang write a wrong one, so nobody looks at it), arity, unique, index, number of variables, module, index and
 * unique of old; a pid and the variables follow. */
static const uint8_t *closure(mote_reader *r, mote_token *t, const uint8_t *p) {
    if (!there(r, p, 29)) return NULL;
    t->kind = MOTE_TOKEN_CLOSURE;
    t->count = (uint64_t)mote_get32_(p + 25) + 1;
    if (!(p = atom(r, p + 29, &t->name)) || !(p = small_int(r, p)) || !(p = small_int(r, p)) || !there(r, p, 1)) return NULL;
    return *p == MOTE_TAG_NEW_PID_ || *p == MOTE_TAG_PID_OLD_ ? p : wrong(r, "a pid must stand here");
}

static const uint8_t *counted(mote_token *t, const uint8_t *p, mote_token_kind kind, uint64_t count) {
    t->kind = kind;
    t->count = count;
    return p;
}

/* A tuple, list or map: those that are whole have been read inline, but large tuples. */
static const uint8_t *compound(mote_reader *r, mote_token *t, uint8_t tag, const uint8_t *p) {
    if (tag == MOTE_TAG_NIL_) return counted(t, p, MOTE_TOKEN_NIL, 0);
    if (tag == MOTE_TAG_SMALL_TUPLE_) return there(r, p, 1) ? counted(t, p + 1, MOTE_TOKEN_TUPLE, p[0]) : NULL;
    if (!there(r, p, 4)) return NULL;
    uint64_t count = mote_get32_(p);
    if (tag == MOTE_TAG_LIST_) return counted(t, p + 4, MOTE_TOKEN_LIST, count);
    if (tag == MOTE_TAG_MAP_) return counted(t, p + 4, MOTE_TOKEN_MAP, count);
    MT_ASSERT(tag == MOTE_TAG_LARGE_TUPLE_);
    if (count > 16777215) return too_large(r, "a tuple has at most 16777215 elements");
    return counted(t, p + 4, MOTE_TOKEN_TUPLE, count);
}

/* ------------------------------------------------------------------------------------------- tags of our own */

static const uint8_t *word(mote_reader *r, mote_token *t, const uint8_t *p, mote_token_kind kind, enum mt_tag tag) {
    if (!there(r, p, 8)) return NULL;
    t->kind = kind;
    t->word = mote_get64_(p);
    return mt_tag(t->word) == (unsigned)tag ? p + 8 : wrong(r, "this is no word of a pid or a reference");
}

/* A code and a count of one byte or four. */
static const uint8_t *host(mote_reader *r, mote_token *t, const uint8_t *p, mote_token_kind kind, size_t count) {
    if (!there(r, p, 1 + count)) return NULL;
    t->code = p[0];
    return counted(t, p + 1 + count, kind, count == 1 ? p[1] : mote_get32_(p + 1));
}

static const uint8_t *own(mote_reader *r, mote_token *t, uint8_t tag, const uint8_t *p) {
    if (!mote_form_has_(r->form, tag)) return wrong(r, r->form == MOTE_FORM_ERLANG ? "this tag is not Erlang's" : "this tag is not for other nodes");
    switch (tag) {
    case MOTE_TAG_PID_: return word(r, t, p, MOTE_TOKEN_LOCAL_PID, MT_PID);
    case MOTE_TAG_REF_: return word(r, t, p, MOTE_TOKEN_LOCAL_REF, MT_REF);
    case MOTE_TAG_SHORT_TEXT_: return there(r, p, 1) ? bytes_of(r, t, p + 1, MOTE_TOKEN_TEXT, p[0]) : NULL;
    case MOTE_TAG_TEXT_: return there(r, p, 4) ? bytes_of(r, t, p + 4, MOTE_TOKEN_TEXT, mote_get32_(p)) : NULL;
    case MOTE_TAG_HANDLE_:
        if (!there(r, p, 1)) return NULL;
        return p[0] ? bytes_of(r, t, p + 1, MOTE_TOKEN_HANDLE, p[0]) : wrong(r, "a handle is not empty");
    case MOTE_TAG_SHORT_HOST_: return host(r, t, p, MOTE_TOKEN_HOST, 1);
    case MOTE_TAG_HOST_: return host(r, t, p, MOTE_TOKEN_HOST, 4);
    default: MT_ASSERT(tag == MOTE_TAG_LIKE_); return host(r, t, p, MOTE_TOKEN_LIKE, 1);
    }
}

/* ------------------------------------------------------------------------------------------------ any token */

static const uint8_t *token(mote_reader *r, mote_token *t, const uint8_t *p) {
    uint8_t tag = *p;
    switch (tag) {
    case MOTE_TAG_SMALL_INTEGER_:
    case MOTE_TAG_INTEGER_:
    case MOTE_TAG_NEW_FLOAT_:
    case MOTE_TAG_FLOAT_:
    case MOTE_TAG_SMALL_BIG_:
    case MOTE_TAG_LARGE_BIG_: return number(r, t, tag, p + 1);
    case MOTE_TAG_ATOM_:
    case MOTE_TAG_SMALL_ATOM_:
    case MOTE_TAG_ATOM_UTF8_:
    case MOTE_TAG_SMALL_ATOM_UTF8_: t->kind = MOTE_TOKEN_ATOM; return atom(r, p, &t->name);
    case MOTE_TAG_BITS_: return bits(r, t, p + 1);
    case MOTE_TAG_BINARY_: return there(r, p, 5) ? bytes_of(r, t, p + 5, MOTE_TOKEN_BINARY, mote_get32_(p + 1)) : NULL;
    case MOTE_TAG_STRING_: return there(r, p, 3) ? bytes_of(r, t, p + 3, MOTE_TOKEN_STRING, mote_get16_(p + 1)) : NULL;
    case MOTE_TAG_NIL_:
    case MOTE_TAG_SMALL_TUPLE_:
    case MOTE_TAG_LARGE_TUPLE_:
    case MOTE_TAG_LIST_:
    case MOTE_TAG_MAP_: return compound(r, t, tag, p + 1);
    case MOTE_TAG_NEW_PID_:
    case MOTE_TAG_PID_OLD_:
    case MOTE_TAG_NEW_PORT_:
    case MOTE_TAG_V4_PORT_:
    case MOTE_TAG_PORT_:
    case MOTE_TAG_NEWER_REFERENCE_:
    case MOTE_TAG_NEW_REFERENCE_:
    case MOTE_TAG_REFERENCE_: return identifier(r, t, tag, p + 1);
    case MOTE_TAG_EXPORT_: return function(r, t, p + 1);
    case MOTE_TAG_NEW_FUN_: return closure(r, t, p + 1);
    case MOTE_TAG_FUN_: return wrong(r, "functions of this kind are no longer in use");
    case MOTE_TAG_COMPRESSED_: return wrong(r, "compressed terms are not read");
    default: return tag >= MOTE_TAG_PID_ && tag <= MOTE_TAG_LIKE_ ? own(r, t, tag, p + 1) : wrong(r, "this tag is not known");
    }
}

/* How many terms follow a token. */
static uint64_t following(const mote_token *t) {
    switch (t->kind) {
    case MOTE_TOKEN_TUPLE:
    case MOTE_TOKEN_CLOSURE:
    case MOTE_TOKEN_HOST: return t->count;
    case MOTE_TOKEN_LIST:
    case MOTE_TOKEN_LIKE: return t->count + 1;
    case MOTE_TOKEN_MAP: return 2 * t->count;
    default: return 0;
    }
}

bool mote_token_read_(mote_reader *reader, mote_token *t) {
    if (reader->err) return false;
    if (reader->owed == 0) return mote_reader_fail(reader, MOTE_ESYNTAX, "the term has ended");
    if (reader->next == reader->end) return mote_reader_fail(reader, MOTE_ESYNTAX, CUT_SHORT);
    const uint8_t *end = token(reader, t, reader->next);
    if (!end) return false;
    MT_ASSERT(end > reader->next && end <= reader->end); /* X1 */
    if (mote_reader_took_(reader, (size_t)(end - reader->next), following(t))) return true;
    return mote_reader_fail(reader, MOTE_ESYNTAX, "more terms are announced than there are bytes"); /* X2 */
}

bool mote_reader_skip(mote_reader *reader, uint64_t count) {
    mote_token t;
    if (count > reader->owed) return mote_reader_fail(reader, MOTE_ESYNTAX, "the term has ended");
    uint64_t rest = reader->owed - count;
    while (reader->owed > rest)
        if (!mote_token_read(reader, &t)) return false;
    return true;
}

mote_bytes mote_name_utf8(const mote_name *name, char *buffer) {
    mote_bytes bytes = {name->data, name->size};
    if (!name->latin1) return bytes;
    size_t n = 0;
    for (size_t i = 0; i < name->size; i++) {
        uint8_t c = (uint8_t)name->data[i];
        if (c >= 0x80) buffer[n++] = (char)(0xc0 | c >> 6);
        buffer[n++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
    return (mote_bytes){buffer, n};
}
