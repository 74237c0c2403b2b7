/* SPDX-License-Identifier: Apache-2.0
 * Erlang's external term format: terms as bytes and back, and the primitives that codecs are made of.
 *
 * Three forms. MOTE_FORM_ERLANG is what Erlang writes and reads. MOTE_FORM_MOTE is that and some tags of our own, from 1 to 8, for what Erlang cannot
 * say; it is for peers that have said they understand it. MOTE_FORM_NODES is between the two: what mote's nodes say to each other. A *writer* puts pieces of a term behind each other, a *reader* gives one piece (a token)
 * after the other. A tuple, list, map, function, object of a host is a token that says how many terms follow. Tag bytes are known here.
 *
 * Any thread; a writer or reader is used by one at a time. Nothing here waits.
 * X1 a reader reads no byte behind the last; each length is compared with the bytes that are left, in 64 bits, before it is used.
 * X2 a reader counts the terms it is owed, and refuses a token by which it would be owed more terms than bytes are left. So whoever makes room for what
 *    a token announces makes no more than the input could fill, however deep announcements are nested, and a list of 2^30 elements in 10 bytes is
 *    refused at its head.
 * X3 a writer or reader that has failed goes on failing, and says why and where. So it is enough to look once, at the end.
 * X4 what is written is the shortest form there is. What is read may be any: numbers come normalised, names checked.
 */
#ifndef MOTE_EXTERNAL_H
#define MOTE_EXTERNAL_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mote_form {
    MOTE_FORM_ERLANG,
    MOTE_FORM_MOTE, /* also: local pids and references by their word, text, handles, objects of a host */
    MOTE_FORM_NODES /* Erlang's, and of the others text and objects of a host: what means the same everywhere */
} mote_form;

/* ------------------------------------------------------------------------------------------------ terms as bytes */

/* What hides the references of a node's life from other nodes: who has seen any number of them cannot tell another. */
typedef struct mote_ref_key {
    uint32_t round[27];
} mote_ref_key;

/* Makes one of four random words (copied) that nobody else knows, and must not get to know. */
MOTE_API void mote_ref_key_make(mote_ref_key *key, const uint32_t *secret);

/* How terms are written and read. Zero everywhere is the default. */
typedef struct mote_external_options {
    mote_form form;      /* reading; a writer has its own */
    bool version;        /* the byte 131 stands before the term, as where Erlang keeps terms outside its own connections */
    bool known_atoms;    /* reading: names of which there is no atom yet are refused */
    size_t memory_max;   /* reading: bytes that the term may take; 0: what X2 allows, 24 times the input and 64 KiB */
    mote_atom node;      /* this node, in whose name local pids and references are written in Erlang's form; word 0: nonode@nohost */
    uint32_t creation;   /* of this node */
    const mote_ref_key *ref_key; /* of this node, see mote_host_node(): by which its local references are written in Erlang's form, and known; NULL: as they are */
    size_t blob_min;     /* writing: binaries of so many bytes or more are offered to `blob` (MOTE_FORM_MOTE) or `leave` (the others) */
    /* Writing, may be NULL: gives the size of a handle for a binary, which it has put into `handle` (255 bytes); 0: the bytes shall be written. */
    size_t (*blob)(void *context, mote_term binary, uint8_t *handle);
    /* Writing, may be NULL: whether a binary's bytes (its term is borrowed) are left out: `at` bytes have been written then, and they belong there. */
    bool (*leave)(void *context, mote_term binary, size_t at);
    /* Reading, may be NULL (then handles are refused): the bytes that a handle stands for, kept until `release`(data, *held). False: there are none. */
    bool (*unblob)(void *context, mote_bytes handle, mote_bytes *bytes, void **held);
    size_t hold_min;     /* reading, with `hold`: of so many bytes; 0: more than 64 */
    /* Reading, may be NULL: instead of copying a binary of so many bytes the term refers to the input's own memory; called for each such binary,
     * `release`(data, context) when the last term that refers to it is gone. */
    void (*hold)(void *context, const void *data);
    void (*release)(void *data, void *held); /* for `unblob` and `hold` (with `context`): any thread; must not wait */
    void *context;
} mote_external_options;

typedef struct mote_writer mote_writer;

/* Writes a term. `options` (NULL: defaults) is borrowed. MOTE_ETERM: it has no such form (MOTE_TERM_NONE, an object of a host that does not write it: see
 * host.h; in Erlang's form what came as one, and a map that has a binary and a text of the same bytes as keys); MOTE_ELIMIT: it is larger than the
 * writer's maximum; MOTE_ENOMEM. On failure the writer has failed, with a piece of the term written. Never recurses. */
MOTE_API MOTE_MUST mote_err mote_term_encode(mote_term term, const mote_external_options *options, mote_writer *writer);

/* Reads the term that the bytes begin with into `arena` (NULL: only what needs no memory, as small integers). Copies, but what `hold` and `unblob`
 * give. `at` (may be NULL) gets the number of bytes read; on failure, the byte where it went wrong. MOTE_ESYNTAX: the bytes are no term of this form (a
 * closure of old, a map with a key twice, compressed terms, too); MOTE_ENAME: an atom that must not be made; MOTE_ETERM: a handle that stands for
 * nothing; MOTE_ELIMIT: a number, tuple or the whole is larger than mote allows, or than `memory_max`; MOTE_ENOMEM. Never recurses. */
MOTE_API MOTE_MUST mote_err mote_term_decode(mote_arena *arena, const void *data, size_t size, const mote_external_options *options, mote_term *term,
                                             size_t *at);

/* ------------------------------------------------------------------------------------------------ writing pieces */

/* The tags. 1 to 8 are our own; of MOTE_FORM_NODES are 3, 4 and 6 to 8. */
enum mote_tag_ {
    MOTE_TAG_PID_ = 1,        /* u64 word */
    MOTE_TAG_REF_ = 2,        /* u64 word */
    MOTE_TAG_SHORT_TEXT_ = 3, /* u8 size, UTF-8 */
    MOTE_TAG_TEXT_ = 4,       /* u32 size, UTF-8 */
    MOTE_TAG_HANDLE_ = 5,     /* u8 size, bytes */
    MOTE_TAG_SHORT_HOST_ = 6, /* u8 code, u8 count, terms */
    MOTE_TAG_HOST_ = 7,       /* u8 code, u32 count, terms */
    MOTE_TAG_LIKE_ = 8,       /* u8 code, u8 count, terms, then the term that it is to everybody else */
    MOTE_TAG_NEW_FLOAT_ = 70,
    MOTE_TAG_BITS_ = 77,
    MOTE_TAG_COMPRESSED_ = 80,
    MOTE_TAG_NEW_PID_ = 88,
    MOTE_TAG_NEW_PORT_ = 89,
    MOTE_TAG_NEWER_REFERENCE_ = 90,
    MOTE_TAG_SMALL_INTEGER_ = 97,
    MOTE_TAG_INTEGER_ = 98,
    MOTE_TAG_FLOAT_ = 99,
    MOTE_TAG_ATOM_ = 100,
    MOTE_TAG_REFERENCE_ = 101,
    MOTE_TAG_PORT_ = 102,
    MOTE_TAG_PID_OLD_ = 103,
    MOTE_TAG_SMALL_TUPLE_ = 104,
    MOTE_TAG_LARGE_TUPLE_ = 105,
    MOTE_TAG_NIL_ = 106,
    MOTE_TAG_STRING_ = 107,
    MOTE_TAG_LIST_ = 108,
    MOTE_TAG_BINARY_ = 109,
    MOTE_TAG_SMALL_BIG_ = 110,
    MOTE_TAG_LARGE_BIG_ = 111,
    MOTE_TAG_NEW_FUN_ = 112,
    MOTE_TAG_EXPORT_ = 113,
    MOTE_TAG_NEW_REFERENCE_ = 114,
    MOTE_TAG_SMALL_ATOM_ = 115,
    MOTE_TAG_MAP_ = 116,
    MOTE_TAG_FUN_ = 117,
    MOTE_TAG_ATOM_UTF8_ = 118,
    MOTE_TAG_SMALL_ATOM_UTF8_ = 119,
    MOTE_TAG_V4_PORT_ = 120,
    MOTE_TAG_VERSION_ = 131
};

#define MOTE_LIKELY_(x) __builtin_expect(!!(x), 1)
#define MOTE_INLINE_ static inline __attribute__((always_inline))

/* Numbers, most significant byte first. */
static inline void mote_put16_(uint8_t *p, uint64_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static inline void mote_put32_(uint8_t *p, uint64_t v) { mote_put16_(p, v >> 16), mote_put16_(p + 2, v); }
static inline void mote_put64_(uint8_t *p, uint64_t v) { mote_put32_(p, v >> 32), mote_put32_(p + 4, v); }
static inline uint32_t mote_get16_(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t mote_get32_(const uint8_t *p) { return mote_get16_(p) << 16 | mote_get16_(p + 2); }
static inline uint64_t mote_get64_(const uint8_t *p) { return (uint64_t)mote_get32_(p) << 32 | mote_get32_(p + 4); }

/* Where pieces are written: memory of the caller's, and then, if it may grow, memory of its own. Its first four fields may be read. */
struct mote_writer {
    mote_form form;
    mote_err err;   /* why it has failed */
    uint8_t *data;  /* what was written, from here */
    uint8_t *next;  /* to here */
    uint8_t *end;
    void *own;
    size_t size_max;
};

/* Makes a writer that begins in `memory` (borrowed; `size` bytes; may be NULL and 0) and may grow to `size_max` bytes altogether; if that is `size`
 * it never asks for memory. Its failures are MOTE_ELIMIT (full) and MOTE_ENOMEM. End it with mote_writer_fini(). */
MOTE_API void mote_writer_init(mote_writer *writer, mote_form form, void *memory, size_t size, size_t size_max);

/* Frees what the writer has taken, and what was written with it. */
MOTE_API void mote_writer_fini(mote_writer *writer);

/* What was written, borrowed until the next piece. */
static inline mote_bytes mote_writer_bytes(const mote_writer *writer) {
    mote_bytes bytes;
    bytes.data = writer->data;
    bytes.size = (size_t)(writer->next - writer->data);
    return bytes;
}

/* Makes the writer fail. Gives false. */
MOTE_API bool mote_writer_fail(mote_writer *writer, mote_err err);

/* Makes room for `size` more bytes. */
MOTE_API bool mote_writer_grow(mote_writer *writer, size_t size);

/* Pieces. Each gives whether it was written; if not, nothing of it is, and the writer has failed. Bytes are copied. Sizes beyond what the format has are
 * MOTE_ELIMIT. */

/* `size` bytes for the caller to fill at once; NULL: the writer has failed. */
static inline uint8_t *mote_writer_room(mote_writer *writer, size_t size) {
    if (!MOTE_LIKELY_((size_t)(writer->end - writer->next) >= size) && !mote_writer_grow(writer, size)) return NULL;
    uint8_t *p = writer->next;
    writer->next += size;
    return p;
}

/* Bytes as they are: a term that was written before. */
static inline bool mote_raw_write(mote_writer *writer, const void *data, size_t size) {
    if (size == 0) return writer->err == MOTE_OK;
    uint8_t *p = mote_writer_room(writer, size);
    if (p) __builtin_memcpy(p, data, size);
    return p != NULL;
}

/* A tag and a number of 32 bits, with room for `more` bytes behind them. */
static inline uint8_t *mote_long_head_(mote_writer *writer, uint8_t tag, size_t number, size_t more) {
    if (!MOTE_LIKELY_(number <= UINT32_MAX)) return mote_writer_fail(writer, MOTE_ELIMIT), (uint8_t *)NULL;
    uint8_t *p = mote_writer_room(writer, 5 + more);
    if (!p) return NULL;
    p[0] = tag;
    mote_put32_(p + 1, number);
    return p + 5;
}

/* A tag and a number of 8 bits. */
static inline uint8_t *mote_short_head_(mote_writer *writer, uint8_t tag, size_t number, size_t more) {
    uint8_t *p = mote_writer_room(writer, 2 + more);
    if (!p) return NULL;
    p[0] = tag;
    p[1] = (uint8_t)number;
    return p + 2;
}

/* The byte 131. */
static inline bool mote_version_write(mote_writer *writer) {
    uint8_t *p = mote_writer_room(writer, 1);
    if (p) p[0] = MOTE_TAG_VERSION_;
    return p != NULL;
}

/* An integer of any size from its magnitude, least significant byte first. */
MOTE_API bool mote_big_write(mote_writer *writer, bool negative, const void *magnitude, size_t size);

/* An integer of more than 32 bits. */
MOTE_API bool mote_long_write_(mote_writer *writer, bool negative, uint64_t magnitude);

/* An integer from a signed value. */
static inline bool mote_int_write(mote_writer *writer, int64_t value) {
    if (value >= 0 && value <= 255) return mote_short_head_(writer, MOTE_TAG_SMALL_INTEGER_, (size_t)value, 0) != NULL;
    if (value == (int32_t)value) return mote_long_head_(writer, MOTE_TAG_INTEGER_, (uint32_t)value, 0) != NULL;
    return mote_long_write_(writer, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* An integer from an unsigned value. */
static inline bool mote_uint_write(mote_writer *writer, uint64_t value) {
    return value <= INT32_MAX ? mote_int_write(writer, (int64_t)value) : mote_long_write_(writer, false, value);
}

/* A float; MOTE_ETERM for NaN and infinities. */
static inline bool mote_float_write(mote_writer *writer, double value) {
    uint64_t bits;
    if (!MOTE_LIKELY_(value - value == 0)) return mote_writer_fail(writer, MOTE_ETERM);
    uint8_t *p = mote_writer_room(writer, 9);
    if (!p) return false;
    __builtin_memcpy(&bits, &value, sizeof bits);
    p[0] = MOTE_TAG_NEW_FLOAT_;
    mote_put64_(p + 1, bits);
    return true;
}

/* An atom by its name, which must be one (UTF-8, at most 255 characters). */
static inline bool mote_atom_write(mote_writer *writer, const char *name, size_t size) {
    uint8_t *p;
    if (MOTE_LIKELY_(size <= 255)) {
        p = mote_short_head_(writer, MOTE_TAG_SMALL_ATOM_UTF8_, size, size);
    } else {
        if (size > 1020) return mote_writer_fail(writer, MOTE_ELIMIT);
        p = mote_short_head_(writer, MOTE_TAG_ATOM_UTF8_, size >> 8, size + 1);
        if (p) *p++ = (uint8_t)size;
    }
    if (p && size) __builtin_memcpy(p, name, size);
    return p != NULL;
}

/* The empty list, and the end of each list. */
static inline bool mote_nil_write(mote_writer *writer) {
    uint8_t *p = mote_writer_room(writer, 1);
    if (p) p[0] = MOTE_TAG_NIL_;
    return p != NULL;
}

/* The head of a tuple: its elements follow. */
static inline bool mote_tuple_write(mote_writer *writer, size_t count) {
    if (count <= 255) return mote_short_head_(writer, MOTE_TAG_SMALL_TUPLE_, count, 0) != NULL;
    if (count > 16777215) return mote_writer_fail(writer, MOTE_ELIMIT);
    return mote_long_head_(writer, MOTE_TAG_LARGE_TUPLE_, count, 0) != NULL;
}

/* The head of a list that is not empty: its elements follow, then its tail. */
static inline bool mote_list_write(mote_writer *writer, size_t count) {
    return mote_long_head_(writer, MOTE_TAG_LIST_, count, 0) != NULL;
}

/* A whole list of integers from 0 to 255: 1 to 65535 of them. */
static inline bool mote_string_write(mote_writer *writer, const void *bytes, size_t count) {
    if (count == 0 || count > 65535) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = mote_writer_room(writer, 3 + count);
    if (!p) return false;
    p[0] = MOTE_TAG_STRING_;
    mote_put16_(p + 1, count);
    __builtin_memcpy(p + 3, bytes, count);
    return true;
}

/* The head of a map: keys and values by turns follow, no key twice. */
static inline bool mote_map_write(mote_writer *writer, size_t pairs) {
    return mote_long_head_(writer, MOTE_TAG_MAP_, pairs, 0) != NULL;
}

/* A binary's head and room for its bytes, which the caller fills. NULL: the writer has failed. */
static inline uint8_t *mote_binary_room(mote_writer *writer, size_t size) {
    if (!MOTE_LIKELY_(size <= UINT32_MAX)) return mote_writer_fail(writer, MOTE_ELIMIT), (uint8_t *)NULL;
    return mote_long_head_(writer, MOTE_TAG_BINARY_, size, size);
}

/* A binary. */
static inline bool mote_binary_write(mote_writer *writer, const void *data, size_t size) {
    uint8_t *p = mote_binary_room(writer, size);
    if (p && size) __builtin_memcpy(p, data, size);
    return p != NULL;
}

/* The head of a bitstring and room for its (bits + 7) / 8 bytes; what is behind the last bit must be 0. NULL: the writer has failed. */
MOTE_API uint8_t *mote_bits_room(mote_writer *writer, size_t bits);

/* Text (UTF-8, which the caller has checked); a binary in Erlang's form. */
static inline bool mote_text_write(mote_writer *writer, const char *utf8, size_t size) {
    uint8_t *p;
    if (writer->form == MOTE_FORM_ERLANG) return mote_binary_write(writer, utf8, size);
    if (!MOTE_LIKELY_(size <= UINT32_MAX)) return mote_writer_fail(writer, MOTE_ELIMIT);
    p = size <= 255 ? mote_short_head_(writer, MOTE_TAG_SHORT_TEXT_, size, size) : mote_long_head_(writer, MOTE_TAG_TEXT_, size, size);
    if (p && size) __builtin_memcpy(p, utf8, size);
    return p != NULL;
}

/* An exported function. */
MOTE_API bool mote_function_write(mote_writer *writer, mote_bytes module, mote_bytes function, uint8_t arity);

/* A pid, a port and a reference of a node by the node's name, as they were read or as they are made there; a reference has 1 to 5 words, and ours 3. */
MOTE_API bool mote_far_pid_write(mote_writer *writer, mote_bytes node, uint32_t id, uint32_t serial, uint32_t creation);
MOTE_API bool mote_far_port_write(mote_writer *writer, mote_bytes node, uint64_t id, uint32_t creation);
MOTE_API bool mote_far_ref_write(mote_writer *writer, mote_bytes node, uint32_t creation, const uint32_t *words, size_t count);

/* A local pid in Erlang's form, as a pid of `node`; and back: false when it is none of this node's making. */
MOTE_API bool mote_pid_write_as(mote_writer *writer, mote_pid pid, mote_bytes node, uint32_t creation);
MOTE_API bool mote_pid_of_far(uint32_t id, uint32_t serial, mote_pid *pid);

/* The same for references, whose three words are copied; `key` (NULL: none) is borrowed. */
MOTE_API bool mote_ref_write_as(mote_writer *writer, mote_ref ref, const mote_ref_key *key, mote_bytes node, uint32_t creation);
MOTE_API void mote_ref_as_far(mote_ref ref, const mote_ref_key *key, uint32_t *words);
MOTE_API bool mote_ref_of_far(const uint32_t *words, size_t count, const mote_ref_key *key, mote_ref *ref);

/* What a pid or a reference of another node is made of. */
typedef struct mote_far {
    mote_atom node;
    uint32_t creation;
    uint32_t count;    /* words of a reference, 1 to 5; 2 of a pid: its id and its serial */
    uint32_t words[5]; /* those behind the last are 0 */
} mote_far;

/* Memory for the term of one; the term is valid while this, and the atom, are. */
typedef struct mote_far_box {
    uint64_t word[6];
} mote_far_box;

/* The parts of such a term (`far` may be NULL), borrowed from it; false: it is none. Those of this runtime itself are none. */
MOTE_API bool mote_far_get(mote_term term, mote_far *far);

/* And back. Borrows `box` and the atom. The term's word is 0 when `count` is none. */
MOTE_API mote_pid mote_far_pid_make(mote_far_box *box, const mote_far *far);
MOTE_API mote_ref mote_far_ref_make(mote_far_box *box, const mote_far *far);

/* Whether a form has one of our tags. */
static inline bool mote_form_has_(mote_form form, uint8_t tag) {
    return form == MOTE_FORM_MOTE || (form == MOTE_FORM_NODES && tag > MOTE_TAG_REF_ && tag != MOTE_TAG_HANDLE_);
}

/* A tag of our own and room behind it. In a form that has it not: MOTE_ETERM. */
static inline uint8_t *mote_own_head_(mote_writer *writer, uint8_t tag, size_t more) {
    if (!MOTE_LIKELY_(mote_form_has_(writer->form, tag))) return mote_writer_fail(writer, MOTE_ETERM), (uint8_t *)NULL;
    uint8_t *p = mote_writer_room(writer, 1 + more);
    if (!p) return NULL;
    p[0] = tag;
    return p + 1;
}

/* A local pid by its word. MOTE_FORM_MOTE. */
static inline bool mote_pid_write(mote_writer *writer, mote_pid pid) {
    uint8_t *p = mote_own_head_(writer, MOTE_TAG_PID_, 8);
    if (p) mote_put64_(p, pid.word);
    return p != NULL;
}

/* A local reference by its word. MOTE_FORM_MOTE. */
static inline bool mote_ref_write(mote_writer *writer, mote_ref ref) {
    uint8_t *p = mote_own_head_(writer, MOTE_TAG_REF_, 8);
    if (p) mote_put64_(p, ref.word);
    return p != NULL;
}

/* A handle: 1 to 255 bytes that both sides know the meaning of. MOTE_FORM_MOTE. */
MOTE_API bool mote_handle_write(mote_writer *writer, const void *handle, size_t size);

/* The head of an object of a host's: `count` terms follow, and the host says what `code` and they mean. Not in Erlang's form. */
static inline bool mote_host_write(mote_writer *writer, uint8_t code, size_t count) {
    if (count > UINT32_MAX) return mote_writer_fail(writer, MOTE_ELIMIT);
    uint8_t *p = mote_own_head_(writer, count <= 255 ? MOTE_TAG_SHORT_HOST_ : MOTE_TAG_HOST_, count <= 255 ? 2 : 5);
    if (!p) return false;
    p[0] = code;
    if (count <= 255) p[1] = (uint8_t)count;
    else mote_put32_(p + 1, count);
    return true;
}

/* The head of an object of a host's that is a plain term to everybody else: `count` terms follow, and then that one. Not in Erlang's form. */
static inline bool mote_like_write(mote_writer *writer, uint8_t code, uint8_t count) {
    uint8_t *p = mote_own_head_(writer, MOTE_TAG_LIKE_, 2);
    if (p) p[0] = code, p[1] = count;
    return p != NULL;
}

/* ------------------------------------------------------------------------------------------------ reading pieces */

typedef enum mote_token_kind {
    MOTE_TOKEN_INT,      /* integer */
    MOTE_TOKEN_BIG,      /* bytes: the magnitude, least significant first, the last not 0; negative. It does not fit an int64_t */
    MOTE_TOKEN_FLOAT,    /* real: finite */
    MOTE_TOKEN_ATOM,     /* name */
    MOTE_TOKEN_BINARY,   /* bytes */
    MOTE_TOKEN_BITS,     /* bytes; count: bits, no multiple of 8. What is behind the last bit is undefined */
    MOTE_TOKEN_TEXT,     /* bytes: UTF-8, if the writer has kept to it; whoever makes a text of it checks that */
    MOTE_TOKEN_NIL,
    MOTE_TOKEN_STRING,   /* bytes: a whole list of integers from 0 to 255; may be empty */
    MOTE_TOKEN_TUPLE,    /* count: elements that follow */
    MOTE_TOKEN_LIST,     /* count: elements that follow, and then the tail. With 0 the value is the tail */
    MOTE_TOKEN_MAP,      /* count: pairs that follow; whoever makes a map of them sees that no key is there twice */
    MOTE_TOKEN_FUNCTION, /* name: module, function, code: arity */
    MOTE_TOKEN_CLOSURE,  /* count: terms that follow: who made it, and what it has closed over */
    MOTE_TOKEN_PID,      /* name: node, words: id and serial, creation */
    MOTE_TOKEN_PORT,     /* name: node, integer: id (as unsigned), creation */
    MOTE_TOKEN_REF,      /* name: node, words, count of them (1 to 5), creation */
    MOTE_TOKEN_LOCAL_PID, /* word */
    MOTE_TOKEN_LOCAL_REF, /* word */
    MOTE_TOKEN_HANDLE,   /* bytes */
    MOTE_TOKEN_HOST,     /* code, count: terms that follow */
    MOTE_TOKEN_LIKE      /* code, count: terms that follow; one more is what it is to everybody else */
} mote_token_kind;

/* The name of an atom: at most 255 characters, UTF-8 unless `latin1`, which is set only when the difference matters. */
typedef struct mote_name {
    const char *data;
    size_t size; /* bytes */
    bool latin1;
} mote_name;

/* A piece of a term. What is in it stands at mote_token_kind; bytes and names are borrowed from the input. */
typedef struct mote_token {
    mote_token_kind kind;
    uint8_t code;
    bool negative;
    uint32_t creation;
    uint64_t count;
    mote_bytes bytes;
    union {
        int64_t integer;
        double real;
        uint64_t word;
    };
    mote_name name;
    mote_name function;
    uint32_t words[5];
} mote_token;

/* Where tokens are read. All fields may be read. */
typedef struct mote_reader {
    const uint8_t *next;  /* the next token; of a reader that has failed: the one that was wrong */
    const uint8_t *end;
    uint64_t owed;        /* terms that must still come (X2) */
    mote_form form;
    mote_err err;         /* why it has failed */
    const char *why;      /* the same in words; static text */
    const uint8_t *data;
} mote_reader;

/* Makes a reader of one term at the beginning of `data` (borrowed). */
static inline void mote_reader_init(mote_reader *reader, mote_form form, const void *data, size_t size) {
    reader->data = reader->next = (const uint8_t *)data;
    reader->end = size ? reader->data + size : reader->data;
    reader->owed = 1;
    reader->form = form;
    reader->err = MOTE_OK;
    reader->why = "";
}

/* Moves over the byte 131, which must be there. */
MOTE_API bool mote_version_read(mote_reader *reader);

/* Makes the reader fail at its next token. `why` is borrowed for ever. Gives false. */
MOTE_API bool mote_reader_fail(mote_reader *reader, mote_err err, const char *why);

/* Whether `size` bytes are all ASCII, for few of them. */
static inline bool mote_ascii_(const uint8_t *p, size_t size) {
    uint64_t word, all = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        __builtin_memcpy(&word, p + i, 8);
        all |= word;
    }
    for (; i < size; i++) all |= (uint64_t)p[i] << 56;
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

/* Notes a token of `size` bytes that `more` terms follow, if they can (X2). */
MOTE_INLINE_ bool mote_reader_took_(mote_reader *reader, size_t size, uint64_t more) {
    uint64_t owed = reader->owed - 1 + more;
    if (!MOTE_LIKELY_(owed <= (uint64_t)(reader->end - reader->next) - size)) return false;
    reader->owed = owed;
    reader->next += size;
    return true;
}

/* Bytes behind a head of `head` bytes. */
MOTE_INLINE_ bool mote_reader_bytes_(mote_reader *reader, mote_token *token, mote_token_kind kind, size_t head, size_t size) {
    if (!MOTE_LIKELY_(size <= (size_t)(reader->end - reader->next) - head)) return false;
    token->kind = kind;
    token->bytes.data = reader->next + head;
    token->bytes.size = size;
    reader->owed--;
    reader->next += head + size;
    return true;
}

/* A head of `head` bytes, with a count, that `more` terms follow. */
MOTE_INLINE_ bool mote_reader_head_(mote_reader *reader, mote_token *token, mote_token_kind kind, size_t head, uint64_t count, uint64_t more) {
    token->kind = kind;
    token->count = count;
    return mote_reader_took_(reader, head, more);
}

/* All that mote_token_read() does not do itself, errors among them. */
MOTE_API bool mote_token_read_(mote_reader *reader, mote_token *token);

/* Reads the next token, which must be there. False: the reader has failed. MOTE_ESYNTAX, MOTE_ELIMIT (a name or number that is too large). */
MOTE_INLINE_ bool mote_token_read(mote_reader *reader, mote_token *token) {
    const uint8_t *p = reader->next;
    size_t left = (size_t)(reader->end - p);
    uint64_t bits;
    if (!MOTE_LIKELY_(left >= 2 && reader->owed)) return mote_token_read_(reader, token);
    switch (p[0]) {
    case MOTE_TAG_SMALL_INTEGER_:
        token->kind = MOTE_TOKEN_INT;
        token->integer = p[1];
        return reader->owed--, reader->next += 2, true;
    case MOTE_TAG_INTEGER_:
        if (left < 5) break;
        token->kind = MOTE_TOKEN_INT;
        token->integer = (int32_t)mote_get32_(p + 1);
        return reader->owed--, reader->next += 5, true;
    case MOTE_TAG_NEW_FLOAT_:
        if (left < 9) break;
        bits = mote_get64_(p + 1);
        if ((bits >> 52 & 2047) == 2047) break;
        token->kind = MOTE_TOKEN_FLOAT;
        __builtin_memcpy(&token->real, &bits, sizeof bits);
        return reader->owed--, reader->next += 9, true;
    case MOTE_TAG_SMALL_ATOM_UTF8_:
        if (p[1] > left - 2 || !mote_ascii_(p + 2, p[1])) break;
        token->kind = MOTE_TOKEN_ATOM;
        token->name.data = (const char *)p + 2;
        token->name.size = p[1];
        token->name.latin1 = false;
        return reader->owed--, reader->next += 2 + p[1], true;
    case MOTE_TAG_SMALL_TUPLE_:
        if (!mote_reader_head_(reader, token, MOTE_TOKEN_TUPLE, 2, p[1], p[1])) break;
        return true;
    case MOTE_TAG_NIL_: return mote_reader_head_(reader, token, MOTE_TOKEN_NIL, 1, 0, 0) || mote_token_read_(reader, token);
    case MOTE_TAG_STRING_:
        if (left < 3 || !mote_reader_bytes_(reader, token, MOTE_TOKEN_STRING, 3, mote_get16_(p + 1))) break;
        return true;
    case MOTE_TAG_LIST_:
        if (left < 5 || !mote_reader_head_(reader, token, MOTE_TOKEN_LIST, 5, mote_get32_(p + 1), (uint64_t)mote_get32_(p + 1) + 1)) break;
        return true;
    case MOTE_TAG_BINARY_:
        if (left < 5 || !mote_reader_bytes_(reader, token, MOTE_TOKEN_BINARY, 5, mote_get32_(p + 1))) break;
        return true;
    case MOTE_TAG_MAP_:
        if (left < 5 || !mote_reader_head_(reader, token, MOTE_TOKEN_MAP, 5, mote_get32_(p + 1), (uint64_t)mote_get32_(p + 1) * 2)) break;
        return true;
    case MOTE_TAG_SHORT_TEXT_:
        if (reader->form == MOTE_FORM_ERLANG || !mote_reader_bytes_(reader, token, MOTE_TOKEN_TEXT, 2, p[1])) break;
        return true;
    case MOTE_TAG_LIKE_:
        if (reader->form == MOTE_FORM_ERLANG || left < 3) break;
        token->code = p[1];
        if (!mote_reader_head_(reader, token, MOTE_TOKEN_LIKE, 3, p[2], (uint64_t)p[2] + 1)) break;
        return true;
    default: break;
    }
    return mote_token_read_(reader, token);
}

/* Moves over `count` whole terms. Never recurses. Errors as mote_token_read(). */
MOTE_API bool mote_reader_skip(mote_reader *reader, uint64_t count);

/* A name as UTF-8: its own bytes, or those that it is turned into in `buffer`, of 510 bytes. */
MOTE_API mote_bytes mote_name_utf8(const mote_name *name, char *buffer);

#ifdef __cplusplus
}
#endif

#endif
