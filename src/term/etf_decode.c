/* SPDX-License-Identifier: Apache-2.0
 * Terms read from the external term format: see etf.h.
 *
 * D1 a place that waits for its term holds the address of the place that is filled after it (tag 0: who walks the words passes over it). D2 the list of
 * such places begins in fill.next, and the reader is owed as many terms as it is long. D3 fill.at is the first word without an object. */
#include <string.h>

#include "term/etf.h"

#define PAIRS_MAX ((uint64_t)INT32_MAX)
#define MAPS_INSIDE 16u
#define TOO_LARGE "the term is larger than it may be"

/* ------------------------------------------------------------------------------------------------ what is ours */

static bool is_ours(const struct mt_etf *etf, const mote_token *t) {
    char buffer[510];
    if (t->creation != etf->options->creation) return false;
    mote_bytes node = mote_name_utf8(&t->name, buffer);
    return node.size == etf->node.size && memcmp(node.data, etf->node.data, node.size) == 0;
}

/* The word of a pid or reference of this node; 0: it is none. */
static uint64_t local_word(const struct mt_etf *etf, const mote_token *t) {
    mote_pid pid;
    mote_ref ref;
    if (!is_ours(etf, t)) return 0;
    if (t->kind == MOTE_TOKEN_PID) return mote_pid_of_far(t->words[0], t->words[1], &pid) ? pid.word : 0;
    return mote_ref_of_far(t->words, (size_t)t->count, etf->options->ref_key, &ref) ? ref.word : 0;
}

/* ------------------------------------------------------------------------------------------------ the first step */

static uint64_t words_of_bytes(uint64_t size) { return (size + 7) / 8; }

/* Moves over what follows a closure or an object of a host's, which stays as it is. A handle in it would be passed on by who does not know of it. */
static bool skip_opaque(mote_reader *r, const mote_token *t) {
    mote_token inner;
    mote_form form = r->form;
    uint64_t rest = r->owed - t->count;
    if (t->kind == MOTE_TOKEN_CLOSURE) r->form = MOTE_FORM_ERLANG;
    while (r->owed > rest) {
        const uint8_t *before = r->next;
        if (!mote_token_read(r, &inner)) return false;
        if (inner.kind != MOTE_TOKEN_HANDLE) continue;
        r->next = before;
        return mote_reader_fail(r, MOTE_ETERM, "a handle within an object of a host's");
    }
    r->form = form;
    return true;
}

/* Whether a binary that is not inline stays where it stands. */
static bool is_held(const struct mt_etf *etf, size_t size) { return etf->options->hold && size >= etf->options->hold_min; }

static bool scan_bytes(struct mt_etf *etf, const mote_token *t) {
    uint64_t size = t->bytes.size;
    if (size <= MT_BIN_INLINE_MAX) {
        etf->words += 2 + words_of_bytes(size);
    } else {
        etf->words += 4;
        etf->outside += sizeof(struct mt_bin) + (is_held(etf, (size_t)size) ? 0 : size);
    }
    return true;
}

/* Refuses at the token's own beginning. */
static bool refuse(mote_reader *r, const uint8_t *begin, mote_err err, const char *why) {
    r->next = begin;
    return mote_reader_fail(r, err, why);
}

static bool scan_atom(const struct mt_etf *etf, mote_reader *r, const mote_name *name, const uint8_t *begin) {
    char buffer[510];
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    bool known = !etf->options->known_atoms || mt_atom_exists(utf8.data, utf8.size);
    return known || refuse(r, begin, MOTE_ENAME, "there is no such atom");
}

static bool scan_big(struct mt_etf *etf, mote_reader *r, const mote_token *t, const uint8_t *begin) {
    if (t->bytes.size > MT_BIG_READ_MAX) return refuse(r, begin, MOTE_ELIMIT, "this integer is too large");
    etf->words += 1 + words_of_bytes(t->bytes.size);
    return true;
}

static bool scan_map(struct mt_etf *etf, mote_reader *r, const mote_token *t, const uint8_t *begin) {
    if (t->count > PAIRS_MAX) return refuse(r, begin, MOTE_ELIMIT, "this map is too large");
    etf->words += 1 + 2 * t->count;
    etf->maps += t->count > 1;
    return true;
}

static bool scan_opaque(struct mt_etf *etf, mote_reader *r, const mote_token *t, const uint8_t *begin) {
    if (!skip_opaque(r, t)) return false;
    etf->words += 2 + words_of_bytes((uint64_t)(r->next - begin));
    return true;
}

static bool scan_text(struct mt_etf *etf, mote_reader *r, const mote_token *t, const uint8_t *begin) {
    if (!mt_utf8_valid(t->bytes.data, t->bytes.size, NULL)) return refuse(r, begin, MOTE_ESYNTAX, "this text is not UTF-8");
    return scan_bytes(etf, t);
}

/* An identifier of a node: `words` of them, unless it is ours. */
static bool scan_far(struct mt_etf *etf, mote_reader *r, const mote_token *t, const uint8_t *begin, uint64_t words) {
    if (t->kind != MOTE_TOKEN_PORT && local_word(etf, t)) return true;
    etf->words += words;
    return scan_atom(etf, r, &t->name, begin);
}

/* Adds what one token takes. */
static bool scan_token(struct mt_etf *etf, mote_reader *r, const mote_token *t, const uint8_t *begin) {
    switch (t->kind) {
    case MOTE_TOKEN_INT: etf->words += mt_small_fits(t->integer) ? 0 : 2; return true;
    case MOTE_TOKEN_BIG: return scan_big(etf, r, t, begin);
    case MOTE_TOKEN_FLOAT: etf->words += 2; return true;
    case MOTE_TOKEN_ATOM: return scan_atom(etf, r, &t->name, begin);
    case MOTE_TOKEN_BINARY:
    case MOTE_TOKEN_BITS: return scan_bytes(etf, t);
    case MOTE_TOKEN_TEXT: return scan_text(etf, r, t, begin);
    case MOTE_TOKEN_STRING: etf->words += 2 * t->bytes.size; return true;
    case MOTE_TOKEN_TUPLE: etf->words += 1 + t->count; return true;
    case MOTE_TOKEN_LIST: etf->words += 2 * t->count; return true;
    case MOTE_TOKEN_MAP: return scan_map(etf, r, t, begin);
    case MOTE_TOKEN_FUNCTION:
        etf->words += 4;
        return scan_atom(etf, r, &t->name, begin) && scan_atom(etf, r, &t->function, begin);
    case MOTE_TOKEN_PID:
    case MOTE_TOKEN_PORT: return scan_far(etf, r, t, begin, 4);
    case MOTE_TOKEN_REF: return scan_far(etf, r, t, begin, 3 + (t->count + 1) / 2);
    case MOTE_TOKEN_CLOSURE:
    case MOTE_TOKEN_HOST: return scan_opaque(etf, r, t, begin);
    case MOTE_TOKEN_LIKE: return mote_reader_skip(r, t->count);
    case MOTE_TOKEN_HANDLE:
        etf->words += 4;
        etf->outside += sizeof(struct mt_bin);
        return etf->options->unblob || refuse(r, begin, MOTE_ETERM, "handles are not understood here");
    case MOTE_TOKEN_NIL:
    case MOTE_TOKEN_LOCAL_PID:
    case MOTE_TOKEN_LOCAL_REF: return true;
    }
    return true;
}

/* Whether all of it may be allocated (F2). The sums have no more than 40 bits per byte of input. */
static bool fits(const struct mt_etf *etf) {
    uint64_t memory = 8 * etf->words + etf->outside + etf->maps * 2 * sizeof(uint64_t);
    uint64_t bound = (uint64_t)MT_ETF_TIMES * etf->size + MT_ETF_MORE;
    if (etf->options->memory_max && etf->options->memory_max < bound) bound = etf->options->memory_max;
    return memory <= bound && etf->words <= UINT32_MAX;
}

static bool scan_term(struct mt_etf *etf, mote_reader *r) {
    mote_token t;
    const uint8_t *begin = NULL;
    while (r->owed > 0) {
        begin = r->next;
        if (!mote_token_read(r, &t) || !scan_token(etf, r, &t, begin)) return false;
    }
    etf->atom = etf->words == 0 && t.kind == MOTE_TOKEN_ATOM;
    if (etf->atom) etf->words = 2;
    etf->size = (size_t)(r->next - etf->data);
    return fits(etf) || refuse(r, etf->data, MOTE_ELIMIT, TOO_LARGE);
}

mote_err mt_etf_scan(struct mt_etf *etf, const void *data, size_t size, const mote_external_options *options, size_t *at) {
    mote_reader r;
    MT_ASSERT(data || size == 0);
    mote_atom node = options->node.word ? options->node : (mote_atom){MT_WORD_OF(nonode_at_nohost)};
    *etf = (struct mt_etf){.options = options};
    etf->node.data = mote_atom_name(node, &etf->node.size);
    mote_reader_init(&r, options->form, data, size);
    bool good = !options->version || mote_version_read(&r);
    etf->data = r.next;
    etf->before = (size_t)(r.next - r.data);
    good = good && scan_term(etf, &r);
    MT_ASSERT(good == (r.err == MOTE_OK));
    *at = (size_t)(r.next - r.data);
    return r.err;
}

/* ------------------------------------------------------------------------------------------------ the second step */

struct note {
    uint64_t *map;
    size_t at; /* its byte */
};

struct fill {
    const struct mt_etf *etf;
    mote_reader r;
    uint64_t *next; /* D2 */
    uint64_t *at;   /* D3 */
    uint64_t *end;
    struct note *maps; /* those that are to be put in order, outer ones first */
    size_t maps_count;
    bool counted;
    mote_err err;
    size_t wrong; /* the byte */
};

static uint64_t *take(struct fill *f, uint64_t words) {
    uint64_t *p = f->at;
    MT_ASSERT(words <= (uint64_t)(f->end - f->at)); /* the first step has counted them */
    f->at += words;
    return p;
}

static uint64_t failed(struct fill *f, mote_err err) {
    f->err = err;
    return MT_NIL_WORD;
}

/* Puts a place before those that wait. */
static void await(struct fill *f, uint64_t *place) {
    *place = (uint64_t)(uintptr_t)f->next;
    f->next = place;
}

/* ------------------------------------------------------------------------------------------------ leaves */

static uint64_t limbs(struct fill *f, bool negative, const uint8_t *bytes, size_t size) {
    uint64_t n = words_of_bytes(size), *p = take(f, 1 + n);
    p[0] = mt_header(negative ? MT_BIG_NEG : MT_BIG, n);
    p[n] = 0;
    memcpy(p + 1, bytes, size); /* limbs lie as bytes do: see parse.c */
    MT_ASSERT(p[n] != 0);
    return mt_boxed(p);
}

static uint64_t integer(struct fill *f, int64_t value) {
    if (mt_small_fits(value)) return mt_small(value);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    return limbs(f, value < 0, (const uint8_t *)&magnitude, sizeof magnitude);
}

static uint64_t real(struct fill *f, double value) {
    uint64_t *p = take(f, 2);
    p[0] = mt_header(MT_FLOAT, 1);
    memcpy(p + 1, &value, sizeof value);
    return mt_boxed(p);
}

/* An atom with a count for the place it gets. Nil when it cannot be made. */
static uint64_t atom(struct fill *f, const mote_name *name) {
    char buffer[510];
    mote_err err = MOTE_OK;
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    uint64_t word = mt_atom_intern(utf8.data, utf8.size, false, &err);
    if (!word) return failed(f, err);
    f->counted |= mt_atom_counted(word);
    return word;
}

static uint64_t shared(struct fill *f, enum mt_kind kind, struct mt_bin *bin, uint64_t count) {
    uint64_t *p = take(f, 4);
    p[0] = mt_header(kind, 3);
    p[1] = count;
    p[2] = 0;
    p[3] = (uint64_t)(uintptr_t)bin;
    f->counted = true;
    return mt_boxed(p);
}

/* A binary's memory that is not ours. */
static struct mt_bin *outside(const struct mt_etf *etf, mote_bytes bytes) {
    struct mt_bin *bin = mt_bin_new(0);
    if (!bin) return NULL;
    bin->data = bytes.data;
    bin->size = bytes.size;
    bin->release = etf->options->release;
    bin->context = etf->options->context;
    return bin;
}

static struct mt_bin *bin_of(const struct mt_etf *etf, mote_bytes bytes) {
    bool held = is_held(etf, bytes.size);
    struct mt_bin *bin = held ? outside(etf, bytes) : mt_bin_new(bytes.size);
    if (!bin) return NULL;
    if (held) etf->options->hold(etf->options->context, bytes.data);
    else memcpy(bin + 1, bytes.data, bytes.size);
    return bin;
}

/* A binary, text or bitstring. */
static uint64_t bits(struct fill *f, enum mt_kind kind, mote_bytes bytes, uint64_t count) {
    if (bytes.size > MT_BIN_INLINE_MAX) {
        struct mt_bin *bin = bin_of(f->etf, bytes);
        return bin ? shared(f, kind == MT_TEXT ? MT_TEXT_SHARED : MT_BIN_SHARED, bin, count) : failed(f, MOTE_ENOMEM);
    }
    struct mt_bits from = {bytes.data, 0, count};
    uint64_t n = words_of_bytes(bytes.size), *p = take(f, 2 + n);
    p[0] = mt_header(kind, 1 + n);
    p[1] = count;
    if (n) p[1 + n] = 0;
    mt_bits_copy(&from, (uint8_t *)(p + 2));
    return mt_boxed(p);
}

/* The binary that a handle stands for. */
static uint64_t unblob(struct fill *f, mote_bytes handle) {
    mote_bytes bytes;
    void *held = NULL;
    const mote_external_options *o = f->etf->options;
    struct mt_bin *bin = mt_bin_new(0);
    if (!bin) return failed(f, MOTE_ENOMEM);
    if (!o->unblob(o->context, handle, &bytes, &held)) {
        mt_bin_drop(bin);
        return failed(f, MOTE_ETERM);
    }
    bin->data = bytes.data;
    bin->size = bytes.size;
    bin->release = o->release;
    bin->context = held;
    return shared(f, MT_BIN_SHARED, bin, 8 * (uint64_t)bytes.size);
}

/* ------------------------------------------------------------------------------------------------ identifiers */

/* An object of a node's: its name, then raw words, which the caller fills. */
static uint64_t *far(struct fill *f, enum mt_kind kind, const mote_token *t, uint64_t raw) {
    uint64_t node = atom(f, &t->name), *p = take(f, 2 + raw);
    p[0] = mt_header(kind, 1 + raw);
    p[1] = node;
    return p;
}

static uint64_t far_pid(struct fill *f, const mote_token *t) {
    uint64_t *p = far(f, MT_PID_FAR, t, 2);
    p[2] = t->words[0] | (uint64_t)t->words[1] << 32;
    p[3] = t->creation;
    return mt_boxed(p);
}

static uint64_t far_port(struct fill *f, const mote_token *t) {
    uint64_t *p = far(f, MT_PORT_FAR, t, 2);
    p[2] = t->word;
    p[3] = t->creation;
    return mt_boxed(p);
}

static uint64_t far_ref(struct fill *f, const mote_token *t) {
    uint64_t pairs = (t->count + 1) / 2, *p = far(f, MT_REF_FAR, t, 1 + pairs);
    p[2] = t->creation | t->count << 32;
    p[2 + pairs] = 0;
    for (uint64_t i = 0; i < t->count; i++) {
        if (i % 2 == 0) p[3 + i / 2] = t->words[i];
        else p[3 + i / 2] |= (uint64_t)t->words[i] << 32;
    }
    return mt_boxed(p);
}

static uint64_t function(struct fill *f, const mote_token *t) {
    uint64_t *p = take(f, 4);
    p[0] = mt_header(MT_FUN, 3);
    p[1] = atom(f, &t->name);
    p[2] = f->err ? MT_NIL_WORD : atom(f, &t->function);
    p[3] = mt_small(t->code);
    return mt_boxed(p);
}

/* -------------------------------------------------------------------------------- closures, objects of hosts */

struct open_closure {
    uint8_t *size;  /* where it is written */
    uint64_t owed;  /* when the closure has ended */
};

/* Writes the right sizes into the closures of a copy: each is known when its last term was read. */
static bool mend_sizes(uint8_t *copy, size_t size) {
    struct open_closure few[8], *open = few;
    size_t count = 0, capacity = sizeof few / sizeof few[0];
    mote_reader r;
    mote_token t;
    mote_reader_init(&r, MOTE_FORM_MOTE, copy, size);
    bool good = true;
    while (good && r.owed > 0) {
        uint8_t *begin = copy + (r.next - r.data);
        uint64_t owed = r.owed - 1;
        bool read = mote_token_read(&r, &t);
        MT_ASSERT(read); /* the first step has read it */
        if (t.kind == MOTE_TOKEN_CLOSURE && count == capacity) {
            struct open_closure *more = mt_os_realloc(open == few ? NULL : open, 2 * capacity * sizeof *open);
            if (more && open == few) memcpy(more, few, sizeof few);
            if (more) open = more, capacity *= 2;
            else good = false;
        }
        if (t.kind == MOTE_TOKEN_CLOSURE && good) open[count++] = (struct open_closure){begin + 1, owed};
        while (count > 0 && open[count - 1].owed == r.owed) {
            count--;
            mote_put32_(open[count].size, (uint64_t)(r.next - open[count].size));
        }
    }
    if (open != few) mt_os_free(open);
    return good;
}

static uint64_t opaque(struct fill *f, const mote_token *t, const uint8_t *begin) {
    bool skipped = skip_opaque(&f->r, t);
    MT_ASSERT(skipped);
    size_t size = (size_t)(f->r.next - begin);
    uint64_t n = words_of_bytes(size), *p = take(f, 2 + n);
    p[0] = mt_header(MT_OPAQUE, 1 + n);
    p[1] = size;
    p[1 + n] = 0;
    memcpy(p + 2, begin, size);
    return mend_sizes((uint8_t *)(p + 2), size) ? mt_boxed(p) : failed(f, MOTE_ENOMEM);
}

/* ------------------------------------------------------------------------------------------------ compounds */

static uint64_t tuple(struct fill *f, uint64_t count) {
    uint64_t *p = take(f, 1 + count);
    p[0] = mt_header(MT_TUPLE, count);
    for (uint64_t i = count; i > 0; i--) await(f, p + i);
    return mt_boxed(p);
}

static uint64_t string(struct fill *f, mote_bytes bytes) {
    const uint8_t *from = bytes.data;
    if (bytes.size == 0) return MT_NIL_WORD;
    uint64_t *p = take(f, 2 * (uint64_t)bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        p[2 * i] = mt_small(from[i]);
        p[2 * i + 1] = mt_cons(p + 2 * i + 2);
    }
    p[2 * bytes.size - 1] = MT_NIL_WORD;
    return mt_cons(p);
}

static uint64_t list(struct fill *f, uint64_t count) {
    uint64_t *p = take(f, 2 * count);
    await(f, p + 2 * count - 1);
    for (uint64_t i = count; i > 0; i--) {
        if (i < count) p[2 * i - 1] = mt_cons(p + 2 * i);
        await(f, p + 2 * i - 2);
    }
    return mt_cons(p);
}

static uint64_t map(struct fill *f, uint64_t count, const uint8_t *begin) {
    uint64_t *p = take(f, 1 + 2 * count);
    p[0] = mt_header(MT_MAP, 2 * count);
    for (uint64_t i = count; i > 0; i--) {
        await(f, p + count + i);
        await(f, p + i);
    }
    if (count > 1) f->maps[f->maps_count++] = (struct note){p, (size_t)(begin - f->etf->data)};
    return mt_boxed(p);
}

/* ------------------------------------------------------------------------------------------------ any term */

/* The word of a token. */
static uint64_t word_of(struct fill *f, const mote_token *t, const uint8_t *begin) {
    uint64_t local = 0;
    switch (t->kind) {
    case MOTE_TOKEN_INT: return integer(f, t->integer);
    case MOTE_TOKEN_BIG: return limbs(f, t->negative, t->bytes.data, t->bytes.size);
    case MOTE_TOKEN_FLOAT: return real(f, t->real);
    case MOTE_TOKEN_ATOM: return atom(f, &t->name);
    case MOTE_TOKEN_BINARY: return bits(f, MT_BIN, t->bytes, 8 * (uint64_t)t->bytes.size);
    case MOTE_TOKEN_TEXT: return bits(f, MT_TEXT, t->bytes, 8 * (uint64_t)t->bytes.size);
    case MOTE_TOKEN_BITS: return bits(f, MT_BIN, t->bytes, t->count);
    case MOTE_TOKEN_STRING: return string(f, t->bytes);
    case MOTE_TOKEN_NIL: return MT_NIL_WORD;
    case MOTE_TOKEN_TUPLE: return tuple(f, t->count);
    case MOTE_TOKEN_LIST: return list(f, t->count);
    case MOTE_TOKEN_MAP: return map(f, t->count, begin);
    case MOTE_TOKEN_FUNCTION: return function(f, t);
    case MOTE_TOKEN_CLOSURE:
    case MOTE_TOKEN_HOST: return opaque(f, t, begin);
    case MOTE_TOKEN_PID: return (local = local_word(f->etf, t)) ? local : far_pid(f, t);
    case MOTE_TOKEN_REF: return (local = local_word(f->etf, t)) ? local : far_ref(f, t);
    case MOTE_TOKEN_PORT: return far_port(f, t);
    case MOTE_TOKEN_LOCAL_PID:
    case MOTE_TOKEN_LOCAL_REF: return t->word;
    case MOTE_TOKEN_HANDLE: return unblob(f, t->bytes);
    case MOTE_TOKEN_LIKE: break;
    }
    MT_ASSERT(false);
    return MT_NIL_WORD;
}

/* The next token of a term, over what says how hosts understand it, and over lists that are nothing but a tail. */
static const uint8_t *next_token(mote_reader *r, mote_token *t) {
    for (;;) {
        const uint8_t *begin = r->next;
        bool read = mote_token_read(r, t);
        MT_ASSERT(read); /* F1 */
        if (t->kind == MOTE_TOKEN_LIKE) {
            bool skipped = mote_reader_skip(r, t->count);
            MT_ASSERT(skipped);
        } else if (t->kind != MOTE_TOKEN_LIST || t->count > 0) {
            return begin;
        }
    }
}

/* Fills all places that wait. */
static void fill_places(struct fill *f) {
    mote_token t;
    while (f->next && !f->err) {
        uint64_t *place = f->next;
        const uint8_t *begin = next_token(&f->r, &t);
        f->next = (uint64_t *)(uintptr_t)*place;
        *place = MT_NIL_WORD;
        *place = word_of(f, &t, begin);
        f->wrong = (size_t)(begin - f->etf->data);
    }
}

/* Puts maps in order, inner ones first: when keys are compared, the maps in them are in order. */
static void order_maps(struct fill *f) {
    while (f->maps_count > 0 && !f->err) {
        struct note *note = &f->maps[--f->maps_count];
        bool twice = false;
        f->err = mt_map_sort(note->map + 1, mt_header_words(*note->map) / 2, &twice);
        if (twice) f->err = MOTE_ESYNTAX;
        f->wrong = note->at;
    }
}

/* One object of words that are of no use. */
static void blank(uint64_t *at, uint64_t words) {
    if (words == 0) return;
    at[0] = mt_header(words == 1 ? MT_TUPLE : MT_BIN, words - 1);
    if (words > 1) at[1] = 0;
}

/* Leaves whole objects, with nothing counted. */
static void give_up(struct fill *f, uint64_t *to, uint64_t words) {
    for (uint64_t *place = f->next, *next; place; place = next) {
        next = (uint64_t *)(uintptr_t)*place;
        *place = MT_NIL_WORD;
    }
    blank(f->at, (uint64_t)(f->end - f->at));
    mt_fragment_drop(to, words);
    blank(to, words);
}

static mote_err fill(struct fill *f, uint64_t *to, mote_term *term) {
    uint64_t root = 0, words = f->etf->words;
    if (f->etf->atom) { /* it stands in a tuple of one */
        to[0] = mt_header(MT_TUPLE, 1);
        f->at = f->end = to + 2;
        f->next = to + 1;
        to[1] = 0;
    } else {
        f->next = &root;
    }
    fill_places(f);
    MT_ASSERT(f->err || (f->at == f->end && f->r.owed == 0));
    if (!f->err) order_maps(f);
    if (f->err) {
        give_up(f, to, words);
        return f->err;
    }
    term->word = f->etf->atom ? to[1] : root;
    return MOTE_OK;
}

mote_err mt_etf_fill(const struct mt_etf *etf, uint64_t *to, bool *counted, mote_term *term, size_t *at) {
    struct note few[MAPS_INSIDE];
    struct fill f = {.etf = etf, .at = to, .end = to ? to + etf->words : NULL, .maps = few};
    MT_ASSERT(to || etf->words == 0);
    mote_reader_init(&f.r, etf->options->form, etf->data, etf->size);
    if (etf->maps > MAPS_INSIDE && !(f.maps = mt_os_alloc((size_t)etf->maps * sizeof *f.maps))) {
        blank(to, etf->words);
        *at = etf->before;
        return MOTE_ENOMEM;
    }
    mote_err err = fill(&f, to, term);
    if (f.maps != few) mt_os_free(f.maps);
    if (err) *at = etf->before + f.wrong;
    else *counted |= f.counted;
    return err;
}

/* ------------------------------------------------------------------------------------------------ into an arena */

static mote_err decode(mote_arena *arena, const struct mt_etf *etf, mote_term *term, size_t *at) {
    struct mt_arena_mark mark = {0};
    bool counted = false;
    if (arena) mark = mt_arena_mark(arena);
    uint64_t *to = etf->words ? mt_arena_words(arena, (size_t)etf->words) : NULL;
    if (!to && etf->words) {
        *at = etf->before;
        return MOTE_ENOMEM;
    }
    mote_err err = mt_etf_fill(etf, to, &counted, term, at);
    if (counted) mt_arena_note_counted(arena);
    if (err && arena) mt_arena_rewind(arena, mark);
    return err;
}

mote_err mote_term_decode(mote_arena *arena, const void *data, size_t size, const mote_external_options *options, mote_term *term, size_t *at) {
    static const mote_external_options defaults;
    struct mt_etf etf;
    size_t where = 0;
    MT_ASSERT(term);
    mote_err err = mt_etf_scan(&etf, data, size, options ? options : &defaults, &where);
    if (!err) err = decode(arena, &etf, term, &where);
    if (at) *at = where;
    return err;
}
