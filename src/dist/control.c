/* SPDX-License-Identifier: Apache-2.0
 * Both directions go along the elements that control.def lists. */
#include "dist/control.h"

#include <string.h>

enum { ALONE, FOLLOWED };

struct form {
    enum mt_control_op op;
    const char *elements;
    int followed;
    uint64_t flags;
};

#define NUMBERS 38u

static const struct form forms[NUMBERS] = {
#define X(number, op, elements, followed, flags) [number] = {MT_CONTROL_##op, elements, followed, flags},
#include "dist/control.def"
#undef X
};

static bool is_form(uint64_t number) { return number < NUMBERS && forms[number].elements; }

/* ------------------------------------------------------------------------------------------------ reading */

/* A token of a kind that must stand here. */
static bool read_kind(mote_reader *r, mote_token *t, mote_token_kind kind) {
    return mote_token_read(r, t) && (t->kind == kind || mote_reader_fail(r, MOTE_ESYNTAX, "something else must stand here"));
}

/* Nodes have names of ASCII. */
static struct mt_far_pid pid_of(const mote_token *t) { return (struct mt_far_pid){t->name, t->words[0], t->words[1], t->creation}; }

static bool read_pid(mote_reader *r, struct mt_far_pid *pid) {
    mote_token t;
    if (!read_kind(r, &t, MOTE_TOKEN_PID)) return false;
    *pid = pid_of(&t);
    return true;
}

static bool read_name(mote_reader *r, mote_name *name) {
    mote_token t;
    if (!read_kind(r, &t, MOTE_TOKEN_ATOM)) return false;
    *name = t.name;
    return true;
}

static bool read_pid_or_name(mote_reader *r, struct mt_control *c, struct mt_far_pid *pid) {
    mote_token t;
    if (!mote_token_read(r, &t)) return false;
    if (t.kind == MOTE_TOKEN_PID) *pid = pid_of(&t);
    else if (t.kind == MOTE_TOKEN_ATOM) c->name = t.name, c->named = true;
    else return mote_reader_fail(r, MOTE_ESYNTAX, "a pid or an atom must stand here");
    return true;
}

static bool read_ref(mote_reader *r, struct mt_far_ref *ref) {
    mote_token t;
    if (!read_kind(r, &t, MOTE_TOKEN_REF)) return false;
    *ref = (struct mt_far_ref){.node = t.name, .creation = t.creation, .count = (size_t)t.count};
    for (size_t i = 0; i < ref->count; i++) ref->words[i] = t.words[i];
    return true;
}

/* A number from `min` on, of 64 bits at most. */
static bool read_number(mote_reader *r, uint64_t min, uint64_t *number) {
    mote_token t;
    if (!mote_token_read(r, &t)) return false;
    bool big = t.kind == MOTE_TOKEN_BIG && !t.negative && t.bytes.size <= 8;
    if (!big && (t.kind != MOTE_TOKEN_INT || t.integer < 0)) return mote_reader_fail(r, MOTE_ESYNTAX, "a number must stand here");
    *number = big ? 0 : (uint64_t)t.integer;
    for (size_t i = t.bytes.size; big && i > 0; i--) *number = *number << 8 | ((const uint8_t *)t.bytes.data)[i - 1];
    return *number >= min || mote_reader_fail(r, MOTE_ESYNTAX, "this number is too small");
}

/* Later releases may set flags that have more bits; the lowest count. */
static bool read_flags(mote_reader *r, uint32_t *flags) {
    mote_token t;
    if (!mote_token_read(r, &t)) return false;
    if (t.kind == MOTE_TOKEN_BIG && !t.negative) *flags = ((const uint8_t *)t.bytes.data)[0];
    else if (t.kind == MOTE_TOKEN_INT && t.integer >= 0) *flags = (uint32_t)t.integer & 255;
    else return mote_reader_fail(r, MOTE_ESYNTAX, "flags must stand here");
    return true;
}

static bool read_term(mote_reader *r, mote_bytes *term) {
    const uint8_t *begin = r->next;
    if (!mote_reader_skip(r, 1)) return false;
    *term = (mote_bytes){begin, (size_t)(r->next - begin)};
    return true;
}

static bool read_function(mote_reader *r, struct mt_control *c) {
    mote_token t;
    uint64_t arity = 0;
    if (!read_kind(r, &t, MOTE_TOKEN_TUPLE)) return false;
    if (t.count != 3) return mote_reader_fail(r, MOTE_ESYNTAX, "{Module, Function, Arity} must stand here");
    if (!read_name(r, &c->module) || !read_name(r, &c->function) || !read_number(r, 0, &arity)) return false;
    c->arity = (uint8_t)arity;
    return arity <= 255 || mote_reader_fail(r, MOTE_ESYNTAX, "an arity must stand here");
}

static bool read_to_any(mote_reader *r, struct mt_control *c) {
    c->named = (c->flags & (MT_ALTACT_NAME | MT_ALTACT_ALIAS)) == MT_ALTACT_NAME;
    if (c->flags & MT_ALTACT_ALIAS) return read_ref(r, &c->ref);
    return c->named ? read_name(r, &c->name) : read_pid(r, &c->to);
}

static bool read_element(mote_reader *r, char element, struct mt_control *c) {
    mote_bytes dropped;
    switch (element) {
    case 'F': c->sender = true; return read_pid(r, &c->from);
    case 'f': return read_pid(r, &c->from);
    case 'T': return read_pid(r, &c->to);
    case 'L': return read_pid(r, &c->leader);
    case 'N': c->named = true; return read_name(r, &c->name);
    case 'D': return read_pid_or_name(r, c, &c->to);
    case 'W':
    case 'P': return read_pid_or_name(r, c, &c->from);
    case 'A':
    case 'R': return read_ref(r, &c->ref);
    case 'Z': return read_to_any(r, c);
    case 'I': return read_number(r, 1, &c->id);
    case 'G': return read_flags(r, &c->flags);
    case 'M': return read_function(r, c);
    case 'O': return read_term(r, &c->options);
    case 'X': return read_term(r, &c->payload);
    default: MT_ASSERT(element == 'U' || element == 'K' || element == 'E'); return read_term(r, &dropped);
    }
}

/* Whether a tuple of so many elements behind its number can be this. */
static bool arity_fits(const struct form *form, uint64_t count) {
    size_t listed = strlen(form->elements);
    return form->elements[listed - 1] == 'E' ? count >= listed - 1 : count == listed;
}

static bool is_peers(const struct mt_far_pid *pid, mote_bytes peer) {
    return pid->node.size == peer.size && memcmp(pid->node.data, peer.data, peer.size) == 0;
}

/* The elements, which are as many as there may be. K4 */
static enum mt_verdict read_elements(mote_reader *r, const struct form *form, uint64_t count, mote_bytes peer, struct mt_control *c) {
    size_t listed = strlen(form->elements);
    for (uint64_t i = 0; i < count; i++) {
        char element = form->elements[i < listed ? i : listed - 1];
        if (!read_element(r, element, c)) return MT_NO_FIELD;
        bool changes = element == 'f' || (element == 'F' && c->op == MT_CONTROL_ALTACT && c->flags & MT_ALTACT_EXIT);
        if (changes && !is_peers(&c->from, peer)) return MT_NO_FORGED;
    }
    return MT_FINE;
}

enum mt_verdict mt_control_read(mote_bytes term, mote_bytes payload, uint64_t flags, mote_bytes peer, struct mt_control *control) {
    mote_reader r;
    mote_token tuple, number;
    struct mt_control c = {.payload = payload};
    mote_reader_init(&r, MOTE_FORM_ERLANG, term.data, term.size);
    if (!read_kind(&r, &tuple, MOTE_TOKEN_TUPLE) || tuple.count == 0) return MT_NO_CONTROL;
    if (!read_kind(&r, &number, MOTE_TOKEN_INT) || number.integer < 0 || !is_form((uint64_t)number.integer)) return MT_NO_CONTROL;
    const struct form *form = &forms[number.integer];
    if ((flags & form->flags) != form->flags) return MT_NO_NOT_AGREED; /* K3 */
    if (!arity_fits(form, tuple.count - 1)) return MT_NO_ARITY;
    if (form->followed == ALONE) c.payload = (mote_bytes){NULL, 0};
    if (form->followed == FOLLOWED && payload.size == 0) return MT_NO_PAYLOAD;
    c.op = form->op;
    enum mt_verdict verdict = read_elements(&r, form, tuple.count - 1, peer, &c);
    if (verdict != MT_FINE) return verdict;
    if (r.next != r.end) return MT_NO_CONTROL;
    if (c.op == MT_CONTROL_ALTACT) c.flags &= ~MT_ALTACT_TOKEN; /* K2 */
    *control = c;
    return MT_FINE;
}

/* ------------------------------------------------------------------------------------------------ writing */

/* The newest form that is agreed on (K3); 0: none is. Forms with a trace token (the next number) are not written. */
static unsigned number_of(const struct mt_control *c, uint64_t flags) {
    for (unsigned n = NUMBERS - 1; n > 0; n--) {
        const struct form *form = &forms[n];
        if (!form->elements || form->op != c->op || strchr(form->elements, 'K') || (flags & form->flags) != form->flags) continue;
        if (form->elements[0] == 'F' && c->op == MT_CONTROL_SEND && !c->sender) continue;
        return n;
    }
    return 0;
}

static bool write_name(mote_writer *w, const mote_name *name) {
    char buffer[510];
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    return mote_atom_write(w, utf8.data, utf8.size);
}

static bool write_pid(mote_writer *w, const struct mt_far_pid *pid) {
    char buffer[510];
    return mote_far_pid_write(w, mote_name_utf8(&pid->node, buffer), pid->id, pid->serial, pid->creation);
}

static bool write_ref(mote_writer *w, const struct mt_far_ref *ref) {
    char buffer[510];
    return mote_far_ref_write(w, mote_name_utf8(&ref->node, buffer), ref->creation, ref->words, ref->count);
}

static bool write_function(mote_writer *w, const struct mt_control *c) {
    return mote_tuple_write(w, 3) && write_name(w, &c->module) && write_name(w, &c->function) && mote_uint_write(w, c->arity);
}

static bool write_to_any(mote_writer *w, const struct mt_control *c) {
    if (c->flags & MT_ALTACT_ALIAS) return write_ref(w, &c->ref);
    return c->flags & MT_ALTACT_NAME ? write_name(w, &c->name) : write_pid(w, &c->to);
}

static bool write_element(mote_writer *w, char element, const struct mt_control *c) {
    switch (element) {
    case 'F':
    case 'f': return write_pid(w, &c->from);
    case 'T': return write_pid(w, &c->to);
    case 'L': return write_pid(w, &c->leader);
    case 'N': return write_name(w, &c->name);
    case 'D': return c->named ? write_name(w, &c->name) : write_pid(w, &c->to);
    case 'W':
    case 'P': return c->named ? write_name(w, &c->name) : write_pid(w, &c->from);
    case 'A':
    case 'R': return write_ref(w, &c->ref);
    case 'Z': return write_to_any(w, c);
    case 'I': return mote_uint_write(w, c->id);
    case 'G': return mote_uint_write(w, c->flags);
    case 'M': return write_function(w, c);
    case 'O': return mote_raw_write(w, c->options.data, c->options.size);
    case 'X': return mote_raw_write(w, c->payload.data, c->payload.size);
    default: MT_ASSERT(element == 'U'); return mote_atom_write(w, "", 0);
    }
}

enum mt_verdict mt_control_write(const struct mt_control *control, uint64_t flags, mote_writer *writer, bool *follows) {
    unsigned number = number_of(control, flags);
    MT_ASSERT(writer->form == MOTE_FORM_ERLANG);
    MT_ASSERT(control->op != MT_CONTROL_ALTACT || !(control->flags & MT_ALTACT_TOKEN));
    if (number == 0) return MT_NO_NOT_AGREED;
    const char *elements = forms[number].elements;
    size_t count = strcspn(elements, "E");
    *follows = forms[number].followed == FOLLOWED;
    mote_tuple_write(writer, 1 + count);
    mote_uint_write(writer, number);
    for (size_t i = 0; i < count; i++) write_element(writer, elements[i], control);
    return writer->err ? MT_NO_MEMORY : MT_FINE;
}
