/* SPDX-License-Identifier: Apache-2.0
 * See swap.h. */
#include "dist/swap.h"

#define TAG_REF 82u

/* What stands at a tag: `size` bytes, then `terms` terms; of an identifier, an atom and `tail` bytes more. */
struct shape {
    uint64_t size, terms;
    bool atom;
    uint64_t tail;
};

struct walk {
    struct mt_swap_input *input;
    mote_writer *to;            /* NULL: only moves over it */
    const uint8_t *copied;      /* all before it is written */
    const mote_bytes *atoms;    /* references stand for; NULL: for nothing that is needed */
    size_t count;
    int (*refer)(void *context, mote_bytes atom);
    void *context;
    uint64_t owed;              /* terms */
    uint64_t closure;           /* W2: within one while more than that are owed */
};

/* Bytes of `n` bytes each way; whether they are there. */
static bool plain(struct shape *s, uint64_t size, uint64_t terms) {
    *s = (struct shape){.size = size, .terms = terms};
    return true;
}

static bool identifier(struct shape *s, uint64_t size, uint64_t tail) {
    *s = (struct shape){.size = size, .atom = true, .tail = tail};
    return true;
}

/* What has a size or count of 16 or 32 bits behind its tag. */
static bool long_shape(const uint8_t *p, uint64_t left, struct shape *s) {
    uint64_t n = left >= 5 ? mote_get32_(p + 1) : 0, words = left >= 3 ? mote_get16_(p + 1) : 0;
    switch (p[0]) {
    case MOTE_TAG_STRING_: return left >= 3 && plain(s, 3 + words, 0);
    case MOTE_TAG_NEWER_REFERENCE_: return left >= 3 && identifier(s, 3, 4 + 4 * words);
    case MOTE_TAG_NEW_REFERENCE_: return left >= 3 && identifier(s, 3, 1 + 4 * words);
    default: break;
    }
    if (left < 5) return false;
    switch (p[0]) {
    case MOTE_TAG_TEXT_:
    case MOTE_TAG_BINARY_: return plain(s, 5 + n, 0);
    case MOTE_TAG_HOST_: return left >= 6 && plain(s, 6, mote_get32_(p + 2));
    case MOTE_TAG_BITS_:
    case MOTE_TAG_LARGE_BIG_: return plain(s, 6 + n, 0);
    case MOTE_TAG_LARGE_TUPLE_: return plain(s, 5, n);
    case MOTE_TAG_LIST_: return plain(s, 5, n + 1);
    case MOTE_TAG_MAP_: return plain(s, 5, 2 * n);
    case MOTE_TAG_NEW_FUN_: return left >= 30 && plain(s, 30, 4 + (uint64_t)mote_get32_(p + 26)); /* module, index, uniq, pid, what it has closed over */
    default: return false;
    }
}

/* False: nothing has such a shape. The size may be more than what is left. */
static bool shape_of(const uint8_t *p, uint64_t left, struct shape *s) {
    switch (p[0]) {
    case MOTE_TAG_NIL_: return plain(s, 1, 0);
    case MOTE_TAG_SMALL_INTEGER_: return plain(s, 2, 0);
    case MOTE_TAG_INTEGER_: return plain(s, 5, 0);
    case MOTE_TAG_NEW_FLOAT_: return plain(s, 9, 0);
    case MOTE_TAG_FLOAT_: return plain(s, 32, 0);
    case MOTE_TAG_SMALL_BIG_: return left >= 2 && plain(s, 3 + (uint64_t)p[1], 0);
    case MOTE_TAG_SMALL_TUPLE_: return left >= 2 && plain(s, 2, p[1]);
    case MOTE_TAG_EXPORT_: return plain(s, 1, 3);
    case MOTE_TAG_SHORT_TEXT_: return left >= 2 && plain(s, 2 + (uint64_t)p[1], 0);
    case MOTE_TAG_SHORT_HOST_: return left >= 3 && plain(s, 3, p[2]);
    case MOTE_TAG_LIKE_: return left >= 3 && plain(s, 3, (uint64_t)p[2] + 1);
    case MOTE_TAG_NEW_PID_: return identifier(s, 1, 12);
    case MOTE_TAG_PID_OLD_: return identifier(s, 1, 9);
    case MOTE_TAG_NEW_PORT_: return identifier(s, 1, 8);
    case MOTE_TAG_V4_PORT_: return identifier(s, 1, 12);
    case MOTE_TAG_PORT_:
    case MOTE_TAG_REFERENCE_: return identifier(s, 1, 5);
    default: return long_shape(p, left, s);
    }
}

static enum mt_verdict why_not(const mote_writer *to) { return to->err == MOTE_ELIMIT ? MT_NO_LARGE : MT_NO_MEMORY; }

/* Writes what was passed over up to `at`, and goes on behind `behind`. */
static bool flush(struct walk *w, const uint8_t *at, const uint8_t *behind) {
    bool good = mote_raw_write(w->to, w->copied, (size_t)(at - w->copied));
    w->copied = behind;
    return good;
}

static enum mt_verdict reference(struct walk *w, const uint8_t *p, size_t left) {
    if (left < 2) return MT_NO_TERM;
    if (p[1] >= w->count) return MT_NO_ATOM_REF;
    w->input->at = p + 2;
    if (!w->to) return MT_FINE;
    mote_bytes atom = w->atoms[p[1]];
    return flush(w, p, p + 2) && mote_atom_write(w->to, atom.data, atom.size) ? MT_FINE : why_not(w->to);
}

/* An atom of ours: whether it is in the header. */
static enum mt_verdict replaced(struct walk *w, const uint8_t *p, size_t size) {
    int ref = w->refer(w->context, (mote_bytes){p + 2, size});
    if (ref < 0) return MT_FINE;
    uint8_t instead[2] = {TAG_REF, (uint8_t)ref};
    return flush(w, p, p + 2 + size) && mote_raw_write(w->to, instead, 2) ? MT_FINE : why_not(w->to);
}

/* Bytes before an atom's text, by its tag: a table is quicker here than a jump. */
static const uint8_t heads[256] = {[TAG_REF] = 1, [MOTE_TAG_SMALL_ATOM_UTF8_] = 2, [MOTE_TAG_SMALL_ATOM_] = 2, [MOTE_TAG_ATOM_UTF8_] = 3, [MOTE_TAG_ATOM_] = 3};

/* *atom: there was one. */
static inline enum mt_verdict an_atom(struct walk *w, bool *atom) {
    const uint8_t *p = w->input->at;
    size_t left = (size_t)(w->input->end - p), head = left ? heads[p[0]] : 0;
    *atom = head > 0;
    if (left == 0) return MT_NO_TERM;
    if (head == 0) return MT_FINE;
    if (head == 1) return reference(w, p, left);
    size_t size = left < head ? 0 : head == 2 ? p[1] : mote_get16_(p + 1);
    if (left < head || left - head < size) return MT_NO_TERM;
    w->input->at = p + head + size;
    bool may = w->refer && p[0] == MOTE_TAG_SMALL_ATOM_UTF8_ && w->owed <= w->closure;
    return may ? replaced(w, p, size) : MT_FINE;
}

/* What is no atom. */
static enum mt_verdict other(struct walk *w) {
    struct mt_swap_input *in = w->input;
    const uint8_t *p = in->at;
    uint64_t left = (uint64_t)(in->end - p);
    struct shape s;
    bool atom;
    if (!shape_of(p, left, &s) || s.size > left || w->owed - 1 + s.terms > left - s.size) return MT_NO_TERM; /* W1 */
    if (p[0] == MOTE_TAG_NEW_FUN_ && w->owed <= w->closure) w->closure = w->owed - 1;
    w->owed += s.terms;
    in->at += s.size;
    if (!s.atom) return MT_FINE;
    enum mt_verdict verdict = an_atom(w, &atom);
    if (verdict != MT_FINE) return verdict;
    if (!atom || (uint64_t)(in->end - in->at) < s.tail) return MT_NO_TERM;
    in->at += s.tail;
    return MT_FINE;
}

static enum mt_verdict walk(struct walk *w) {
    bool atom;
    w->owed = 1;
    w->closure = UINT64_MAX;
    w->copied = w->input->at;
    while (w->owed > 0) {
        if (w->owed <= w->closure && w->closure != UINT64_MAX) w->closure = UINT64_MAX;
        enum mt_verdict verdict = an_atom(w, &atom);
        if (verdict == MT_FINE && !atom) verdict = other(w);
        if (verdict != MT_FINE) return verdict;
        w->owed--;
    }
    return !w->to || flush(w, w->input->at, w->input->at) ? MT_FINE : why_not(w->to);
}

enum mt_verdict mt_swap_skip(struct mt_swap_input *input, size_t count) { return walk(&(struct walk){.input = input, .count = count}); }

enum mt_verdict mt_swap_in(struct mt_swap_input *input, const mote_bytes *atoms, size_t count, mote_writer *to) {
    return walk(&(struct walk){.input = input, .to = to, .atoms = atoms, .count = count});
}

enum mt_verdict mt_swap_out(struct mt_swap_input *input, int (*refer)(void *context, mote_bytes atom), void *context, mote_writer *to) {
    return walk(&(struct walk){.input = input, .to = to, .refer = refer, .context = context});
}
