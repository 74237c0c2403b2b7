/* SPDX-License-Identifier: Apache-2.0
 * Python's objects from bytes in the external term format, see codec.h; and the functions encode() and decode().
 *
 * D1 every function here gives NULL when an error is set or the reader has failed; mp_decode() finds out which. D2 room is made for no more than a head
 * announces, which external.h (X2) bounds. D3 no code of a program runs, but that of a dict's key (__hash__, __eq__ of a message), and finalizers. */
#include "codec.h"
#include "compat.h"

#include <string.h>

_Static_assert(sizeof(long) == sizeof(int64_t), "PyLong_FromLong() is quicker than PyLong_FromLongLong()");

#define KEY_BYTES_MAX 24   /* keys of dicts that are remembered */
#define ENCODED_MAX ((size_t)UINT32_MAX)
#define ENCODED_INSIDE 512 /* bytes on the stack */

struct decode {
    struct mp_state *st;
    const struct mp_codec *codec;
    mote_reader *r;
    size_t depth;
    mote_token t; /* the last that was read: one for all, so that a level of depth takes little stack */
};

/* Where a value begins, for those that are read again as a Term. */
struct place {
    const uint8_t *next;
    uint64_t owed;
};

static PyObject *get(struct decode *d);
static PyObject *value_of(struct decode *d, struct place place);

/* mote_token_read() where it need not be quick: its code is long. */
static __attribute__((noinline)) bool token(struct decode *d) { return mote_token_read(d->r, &d->t); }

static struct place here(const struct decode *d) { return (struct place){d->r->next, d->r->owed}; }

/* The bytes are no value, for a reason that only we know. */
static PyObject *refuse(struct decode *d, struct place place, const char *why) {
    d->r->next = place.next;
    mote_reader_fail(d->r, MOTE_ESYNTAX, why);
    return NULL;
}

/* ------------------------------------------------------------------------------------- Terms, and what is like one */

static const char *why_no_term(mote_err err) {
    if (err == MOTE_ELIMIT) return "it is larger than mote allows";
    return err == MOTE_ETERM ? "there is a handle where nobody can ask for it" : "a map has a key twice, or a text is not UTF-8";
}

/* The value at a place as a term, in an arena. NULL: D1. */
static mote_arena *read_term(struct decode *d, struct place place, mote_term *term) {
    mote_external_options options = {.form = d->r->form, .node = d->codec->node, .creation = d->codec->creation, .ref_key = d->codec->ref_key};
    d->r->next = place.next;
    d->r->owed = place.owed;
    if (!mote_reader_skip(d->r, 1)) return NULL;
    size_t size = (size_t)(d->r->next - place.next);
    mote_arena *arena = mote_arena_new(0);
    mote_err err = arena ? mote_term_decode(arena, place.next, size, &options, term, NULL) : MOTE_ENOMEM;
    if (!err) return arena;
    mote_arena_free(arena);
    if (err == MOTE_ENOMEM) PyErr_NoMemory();
    else refuse(d, place, why_no_term(err));
    return NULL;
}

static PyObject *as_term(struct decode *d, struct place place) {
    mote_term term;
    mote_arena *arena = read_term(d, place, &term);
    return arena ? mp_term_take(d->st, arena, term) : NULL;
}

/* A pid or reference of another node. */
static PyObject *of_other_node(struct decode *d, struct place place) {
    mote_term term;
    mote_arena *arena = read_term(d, place, &term);
    PyObject *v = arena ? mp_from_term(d->st, term) : NULL;
    mote_arena_free(arena);
    return v;
}

/* --------------------------------------------------------------------------------------------------- plain values */

/* Where something of these letters was met before, if it was. */
static size_t met_at(const uint8_t *p, size_t size) {
    uint32_t h = (uint32_t)size * 0x9e3779b1u;
    for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 0x01000193u;
    return (h ^ h >> 15) & (MP_MET - 1);
}

static bool is_called(PyObject *ascii, const uint8_t *p, size_t size) {
    return PyUnicode_IS_COMPACT_ASCII(ascii) && (size_t)PyUnicode_GET_LENGTH(ascii) == size && memcmp(PyUnicode_DATA(ascii), p, size) == 0;
}

static PyObject *ascii_text(const uint8_t *p, size_t size) {
    PyObject *text = PyUnicode_New((Py_ssize_t)size, 127);
    if (text && size) memcpy(PyUnicode_DATA(text), p, size);
    return text;
}

static PyObject *text_of(const mote_bytes *bytes) {
    const uint8_t *p = bytes->data;
    if (bytes->size > 1 && bytes->size <= 64 && mote_ascii_(p, bytes->size)) return ascii_text(p, bytes->size);
    if (bytes->size == 1 && p[0] < 128) return PyUnicode_FromOrdinal(p[0]); /* which is there */
    return PyUnicode_DecodeUTF8(bytes->data, (Py_ssize_t)bytes->size, "strict");
}

/* A text that must be UTF-8; if not, the reader fails. */
static PyObject *text(struct decode *d, struct place place) {
    PyObject *v = text_of(&d->t.bytes);
    if (v || !PyErr_ExceptionMatches(PyExc_UnicodeError)) return v;
    PyErr_Clear();
    return refuse(d, place, "this text is not UTF-8");
}

/* A dict's key: those of the kind that recur are kept, with their hashes. */
static PyObject *key_of(struct decode *d, struct place place) {
    const uint8_t *p = d->t.bytes.data;
    size_t size = d->t.bytes.size;
    if (d->t.kind != MOTE_TOKEN_TEXT || size > KEY_BYTES_MAX || size < 2 || !mote_ascii_(p, size)) return value_of(d, place);
    PyObject **met = &d->st->met_keys[met_at(p, size)];
    if (*met && is_called(*met, p, size)) return Py_NewRef(*met);
    PyObject *key = ascii_text(p, size);
    if (key) Py_XSETREF(*met, Py_NewRef(key));
    return key;
}

/* Out of line: its buffer is not for the common way. */
static __attribute__((noinline)) PyObject *new_atom(struct decode *d, const mote_name *name, PyObject **met) {
    char buffer[510];
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    PyObject *made = mp_atom_new(d->st, utf8.data, (Py_ssize_t)utf8.size);
    if (made) Py_XSETREF(*met, Py_NewRef(made));
    return made;
}

/* An Atom, whatever its name. */
static PyObject *atom(struct decode *d, const mote_name *name) {
    const uint8_t *p = (const uint8_t *)name->data;
    PyObject **met = &d->st->met_atoms[met_at(p, name->size)];
    if (*met && !name->latin1 && is_called(((struct mp_atom *)*met)->name, p, name->size)) return Py_NewRef(*met);
    return new_atom(d, name, met);
}

static PyObject *constant_or_atom(struct decode *d, const mote_name *name) {
    if (name->size == 3 && memcmp(name->data, "nil", 3) == 0) return Py_NewRef(Py_None);
    if (name->size == 4 && memcmp(name->data, "true", 4) == 0) return Py_NewRef(Py_True);
    if (name->size == 5 && memcmp(name->data, "false", 5) == 0) return Py_NewRef(Py_False);
    return atom(d, name);
}

static PyObject *big(const mote_token *t) {
    if (t->bytes.size > 8 || t->negative) return mp_int_of(t->bytes.data, t->bytes.size, t->negative);
    uint64_t v = 0;
    memcpy(&v, t->bytes.data, t->bytes.size);
    return PyLong_FromUnsignedLongLong(v);
}

/* The bytes of a binary, or of what a handle stands for. */
static PyObject *bytes_of(struct decode *d, struct place place) {
    if (d->t.kind == MOTE_TOKEN_BINARY) return PyBytes_FromStringAndSize(d->t.bytes.data, (Py_ssize_t)d->t.bytes.size);
    if (d->t.kind != MOTE_TOKEN_HANDLE) return refuse(d, place, "a binary must stand here");
    if (!d->codec->unblob) return refuse(d, place, "handles are not understood here");
    return d->codec->unblob(d->codec->context, d->t.bytes.data, d->t.bytes.size);
}

/* Whether the name that was read is this node's, of its present life. */
static bool is_ours(const struct decode *d) {
    mote_bytes name = mp_name_text(d->codec->node);
    return d->t.creation == d->codec->creation && d->t.name.size == name.size && memcmp(d->t.name.data, name.data, name.size) == 0;
}

static PyObject *pid(struct decode *d, struct place place) {
    mote_pid local;
    bool ours = is_ours(d) && mote_pid_of_far(d->t.words[0], d->t.words[1], &local);
    return ours ? mp_pid_new(d->st, local) : of_other_node(d, place);
}

static PyObject *ref(struct decode *d, struct place place) {
    mote_ref local;
    bool ours = is_ours(d) && mote_ref_of_far(d->t.words, (size_t)d->t.count, d->codec->ref_key, &local);
    return ours ? mp_ref_new(d->st, local) : of_other_node(d, place);
}

/* ---------------------------------------------------------------------------------------------------- containers */

/* The elements of a tuple. */
static PyObject *elements(struct decode *d, uint64_t count) {
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (uint64_t i = 0; tuple && i < count; i++) {
        PyObject *one = get(d);
        if (one) PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, one);
        else Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *tuple(struct decode *d, uint64_t count) {
    PyObject *v = elements(d, count);
    bool tagged = v && count > 0 && Py_IS_TYPE(PyTuple_GET_ITEM(v, 0), d->st->atom) && PyDict_GET_SIZE(d->st->message_tags) > 0;
    return tagged ? mp_tuple_as_message(d->st, v) : v;
}

static bool add_string(PyObject *list, Py_ssize_t at, const mote_bytes *bytes) {
    const uint8_t *p = bytes->data;
    for (size_t i = 0; i < bytes->size; i++) {
        PyObject *one = PyLong_FromLong(p[i]);
        if (!one) return false;
        PyList_SET_ITEM(list, at + (Py_ssize_t)i, one);
    }
    return true;
}

static PyObject *string(const mote_bytes *bytes) {
    PyObject *list = PyList_New((Py_ssize_t)bytes->size);
    if (list && !add_string(list, 0, bytes)) Py_CLEAR(list);
    return list;
}

/* Adds `count` elements behind those that a list has. */
static bool extend(struct decode *d, PyObject *list, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        PyObject *one = get(d);
        int failed = !one || PyList_Append(list, one) < 0;
        Py_XDECREF(one);
        if (failed) return false;
    }
    return true;
}

/* What stands where a list's end may: the end, or another list that goes on. *improper: something else. */
static bool tail(struct decode *d, PyObject *list, bool *improper) {
    for (;;) {
        if (!token(d)) return false;
        if (d->t.kind == MOTE_TOKEN_NIL) return true;
        if (d->t.kind == MOTE_TOKEN_LIST) {
            if (!extend(d, list, d->t.count)) return false;
            continue;
        }
        *improper = d->t.kind != MOTE_TOKEN_STRING;
        if (*improper) return true;
        PyObject *more = string(&d->t.bytes);
        int failed = !more || PyList_SetSlice(list, PyList_GET_SIZE(list), PyList_GET_SIZE(list), more) < 0;
        Py_XDECREF(more);
        return !failed;
    }
}

static PyObject *list(struct decode *d, uint64_t count, struct place place) {
    bool improper = false;
    PyObject *v = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; v && i < count; i++) {
        PyObject *one = get(d);
        if (one) PyList_SET_ITEM(v, (Py_ssize_t)i, one);
        else Py_CLEAR(v);
    }
    if (v && !tail(d, v, &improper)) Py_CLEAR(v);
    if (!improper) return v;
    Py_DECREF(v);
    return as_term(d, place);
}

/* 1: a pair is in the dict; 0: its key cannot be; -1: D1. */
static int pair(struct decode *d, PyObject *dict) {
    struct place place = here(d);
    PyObject *key = token(d) ? key_of(d, place) : NULL, *value = key ? get(d) : NULL;
    int result = value && PyDict_SetItem(dict, key, value) == 0 ? 1 : -1;
    if (value && result < 0 && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        result = 0;
    }
    Py_XDECREF(value);
    Py_XDECREF(key);
    return result;
}

/* A map that a dict cannot hold whole (1 and 1.0 and true are one key in Python) is a Term. */
static PyObject *map(struct decode *d, uint64_t count, struct place place) {
    PyObject *dict = PyDict_New();
    int put = dict ? 1 : -1;
    for (uint64_t i = 0; put > 0 && i < count; i++) put = pair(d, dict);
    if (put > 0 && (uint64_t)PyDict_GET_SIZE(dict) == count) return dict;
    Py_XDECREF(dict);
    return put < 0 ? NULL : as_term(d, place);
}

/* ------------------------------------------------------------------------------------------ tokens of our own */

static PyObject *set(struct decode *d, uint8_t code, uint64_t count, struct place place) {
    PyObject *v = code == MP_HOST_SET ? PySet_New(NULL) : PyFrozenSet_New(NULL);
    for (uint64_t i = 0; v && i < count; i++) {
        PyObject *one = get(d);
        int failed = !one || PySet_Add(v, one) < 0;
        Py_XDECREF(one);
        if (failed) Py_CLEAR(v);
    }
    if (v && (uint64_t)PySet_GET_SIZE(v) == count) return v;
    bool bad = v || (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError));
    Py_XDECREF(v);
    if (!bad) return NULL;
    PyErr_Clear();
    return refuse(d, place, "a set has an element twice, or one that no set can have");
}

/* A binary of so many bytes. */
static bool raw(struct decode *d, size_t size, struct place place) {
    if (!token(d)) return false;
    if (d->t.kind == MOTE_TOKEN_BINARY && (size == 0 || d->t.bytes.size == size)) return true;
    refuse(d, place, "an object of Python's is not made of this");
    return false;
}

static double real(const uint8_t *p) {
    uint64_t bits = mote_get64_(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static PyObject *surrogates(struct decode *d, const mote_bytes *bytes, struct place place) {
    PyObject *v = PyUnicode_DecodeUTF8(bytes->data, (Py_ssize_t)bytes->size, "surrogatepass");
    if (v || !PyErr_ExceptionMatches(PyExc_UnicodeError)) return v;
    PyErr_Clear();
    return refuse(d, place, "this text is not UTF-8");
}

static PyObject *host(struct decode *d, struct place place) {
    uint8_t code = d->t.code;
    if (code == MP_HOST_SET || code == MP_HOST_FROZENSET) return set(d, code, d->t.count, place);
    if (d->t.count != 1 || code > MP_HOST_SURROGATES) return as_term(d, place);
    if (!raw(d, code == MP_HOST_FLOAT ? 8 : code == MP_HOST_COMPLEX ? 16 : 0, place)) return NULL;
    const uint8_t *p = d->t.bytes.data;
    if (code == MP_HOST_FLOAT) return PyFloat_FromDouble(real(p));
    if (code == MP_HOST_COMPLEX) return PyComplex_FromDoubles(real(p), real(p + 8));
    return surrogates(d, &d->t.bytes, place);
}

/* What `name` is within a class or module; NULL: nothing. Borrowed. */
static PyObject *within(PyObject *where, PyObject *name) {
    PyObject *dict = PyModule_Check(where) ? PyModule_GetDict(where) : PyType_Check(where) ? ((PyTypeObject *)where)->tp_dict : NULL;
    return dict ? PyDict_GetItemWithError(dict, name) : NULL;
}

/* The class "module:Outer.Class", where the module is imported already: its names are looked up, no code of it runs. Borrowed; NULL: none. */
static PyObject *class_in_modules(PyObject *name) {
    PyObject *colon = PyUnicode_FromString(":"), *dot = PyUnicode_FromString("."), *found = NULL;
    PyObject *parts = colon ? PyUnicode_Partition(name, colon) : NULL;
    PyObject *path = parts && dot ? PyUnicode_Split(PyTuple_GET_ITEM(parts, 2), dot, -1) : NULL;
    if (path) found = PyDict_GetItemWithError(PyImport_GetModuleDict(), PyTuple_GET_ITEM(parts, 0));
    for (Py_ssize_t i = 0; found && i < PyList_GET_SIZE(path); i++) found = within(found, PyList_GET_ITEM(path, i));
    Py_XDECREF(path);
    Py_XDECREF(dot);
    Py_XDECREF(colon);
    Py_XDECREF(parts);
    return found;
}

/* The registered class of a name. Borrowed; NULL: none, or an error is set. */
static PyObject *class_of(struct mp_state *st, PyObject *name) {
    PyObject *class = PyDict_GetItemWithError(st->message_names, name);
    if (class || PyErr_Occurred()) return class;
    class = class_in_modules(name);
    if (!class || !PyType_Check(class) || !mp_message_info(st, (PyTypeObject *)class)) return NULL;
    return PyDict_SetItem(st->message_names, name, class) < 0 ? NULL : class;
}

static PyObject *no_class(struct decode *d, struct place place, PyObject *name) {
    size_t at = (size_t)(place.next - d->r->data);
    PyErr_Format(PyExc_ValueError, "byte %zu: no class %R is registered here with @mote.message", at, name);
    return NULL;
}

/* The fields behind a class's name: a tuple with its tag. */
static PyObject *message_fields(struct decode *d, Py_ssize_t count, struct place place) {
    if (!token(d)) return NULL;
    if (d->t.kind != MOTE_TOKEN_TUPLE || d->t.count != (uint64_t)count + 1) return refuse(d, place, "a message has not as many fields as its class has here");
    return mote_reader_skip(d->r, 1) ? elements(d, d->t.count - 1) : NULL;
}

static PyObject *message_named(struct decode *d, PyObject *name, struct place place) {
    PyObject *class = class_of(d->st, name);
    if (!class && PyErr_Occurred()) return NULL;
    if (!class) return d->r->form == MOTE_FORM_NODES ? get(d) : no_class(d, place, name); /* a node may be of another program */
    Py_INCREF(class);
    PyObject *names = PyTuple_GET_ITEM(mp_message_info(d->st, (PyTypeObject *)class), 1), *v = NULL;
    Py_INCREF(names);
    PyObject *fields = message_fields(d, PyTuple_GET_SIZE(names), place);
    if (fields) v = mp_message_make((PyTypeObject *)class, names, fields);
    Py_XDECREF(fields);
    Py_DECREF(names);
    Py_DECREF(class);
    return v;
}

static PyObject *message(struct decode *d, struct place place) {
    struct place at = here(d);
    if (!token(d)) return NULL;
    if (d->t.kind != MOTE_TOKEN_TEXT) return refuse(d, at, "the name of a class must stand here");
    PyObject *name = key_of(d, at), *v = name ? message_named(d, name, place) : NULL;
    Py_XDECREF(name);
    return v;
}

/* A NamedTuple of the Python layer. */
static PyObject *system_message(struct decode *d, PyObject *class, struct place place) {
    if (!class) return refuse(d, place, "the package mote is not imported");
    PyObject *names = PyObject_GetAttrString(class, "_fields"), *fields = NULL, *v = NULL;
    if (names && token(d)) {
        if (d->t.kind == MOTE_TOKEN_TUPLE && d->t.count == (uint64_t)PyTuple_GET_SIZE(names)) fields = elements(d, d->t.count);
        else refuse(d, place, "this is no message of mote's own");
    }
    if (fields) v = mp_message_make((PyTypeObject *)class, names, fields);
    Py_XDECREF(fields);
    Py_XDECREF(names);
    return v;
}

static PyObject *bytearray(struct decode *d, struct place place) {
    PyObject *bytes = token(d) ? bytes_of(d, place) : NULL;
    PyObject *v = bytes ? PyByteArray_FromStringAndSize(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) : NULL;
    Py_XDECREF(bytes);
    return v;
}

#define DIMENSIONS_MAX 64

/* Format and sizes of a view; false: D1. `format` is a str, given. */
static bool shape(struct decode *d, PyObject **format, Py_ssize_t *sizes, int *count, struct place place) {
    if (!token(d)) return false;
    if (d->t.kind != MOTE_TOKEN_TEXT || !(*format = text(d, place))) return refuse(d, place, "the format of a view must stand here");
    if (!token(d)) return false;
    if (d->t.kind != MOTE_TOKEN_LIST || d->t.count > DIMENSIONS_MAX) return refuse(d, place, "the sizes of a view must stand here");
    *count = (int)d->t.count;
    for (int i = 0; i < *count; i++) {
        if (!token(d)) return false;
        if (d->t.kind != MOTE_TOKEN_INT || d->t.integer < 0) return refuse(d, place, "the size of a view must stand here");
        sizes[i] = (Py_ssize_t)d->t.integer;
    }
    return mote_reader_skip(d->r, 1);
}

/* A view of the bytes that come next. */
static PyObject *view_of(struct decode *d, const char *format, Py_ssize_t *sizes, int count, struct place place) {
    PyObject *bytes = token(d) ? bytes_of(d, place) : NULL;
    if (!bytes) return NULL;
    Py_buffer b = {.len = PyBytes_GET_SIZE(bytes), .ndim = count, .shape = sizes};
    b.format = (char *)(uintptr_t)format;
    if (b.ndim == 1 && strcmp(format, "B") == 0) return mp_view_cast(bytes, &b);
    PyObject *view = mp_view_cast(bytes, &b);
    return view || PyErr_Occurred() ? view : refuse(d, place, "there is no such view of these bytes");
}

static __attribute__((noinline)) PyObject *view(struct decode *d, uint64_t count, struct place place) {
    Py_ssize_t sizes[DIMENSIONS_MAX];
    PyObject *format = NULL, *v = NULL;
    int dimensions = 1;
    if (count == 0) return view_of(d, "B", sizes, 1, place);
    const char *utf8 = NULL;
    if (count == 2 && shape(d, &format, sizes, &dimensions, place)) utf8 = PyUnicode_AsUTF8(format);
    if (utf8) v = view_of(d, utf8, sizes, dimensions, place);
    else if (count != 2) refuse(d, place, "a view has a format and sizes");
    Py_XDECREF(format);
    return v;
}

static PyObject *marked_atom(struct decode *d, struct place place) {
    if (!token(d)) return NULL;
    return d->t.kind == MOTE_TOKEN_ATOM ? atom(d, &d->t.name) : refuse(d, place, "an atom must stand here");
}

static PyObject *marked_tuple(struct decode *d, struct place place) {
    if (!token(d)) return NULL;
    return d->t.kind == MOTE_TOKEN_TUPLE ? elements(d, d->t.count) : refuse(d, place, "a tuple must stand here");
}

/* Where the class of such a code is; NULL: it is none. What a node says is no word of mote's own (C3). */
static PyObject **system_class(struct mp_state *st, uint8_t code) {
    switch (code) {
    case MP_LIKE_DOWN: return &st->down;
    case MP_LIKE_EXIT_SIGNAL: return &st->exit_signal;
    case MP_LIKE_NODE_UP: return &st->node_up;
    case MP_LIKE_NODE_DOWN: return &st->node_down;
    default: return NULL;
    }
}

/* What something is to everybody else is what it is to us when we do not know more. */
static PyObject *like(struct decode *d, struct place place) {
    if (d->t.code == MP_LIKE_TUPLE && d->t.count == 0) return marked_tuple(d, place);
    if (d->t.code == MP_LIKE_ATOM && d->t.count == 0) return marked_atom(d, place);
    if (d->t.code == MP_LIKE_MESSAGE && d->t.count == 1) return message(d, place);
    PyObject **class = d->t.count == 0 && d->r->form == MOTE_FORM_MOTE ? system_class(d->st, d->t.code) : NULL;
    if (class) return system_message(d, *class, place);
    if (d->t.code == MP_LIKE_BYTEARRAY && d->t.count == 0) return bytearray(d, place);
    if (d->t.code == MP_LIKE_VIEW) return view(d, d->t.count, place);
    if (d->t.code == MP_LIKE_TERM && d->t.count == 0) return as_term(d, here(d));
    return mote_reader_skip(d->r, d->t.count) ? get(d) : NULL;
}

/* ------------------------------------------------------------------------------------------------- any value */

/* A list without elements is its tail. */
static PyObject *only_tail(struct decode *d) {
    struct place place;
    do {
        place = here(d);
        if (!token(d)) return NULL;
    } while (d->t.kind == MOTE_TOKEN_LIST && d->t.count == 0);
    return value_of(d, place);
}

/* What holds other values, one level deeper. */
static PyObject *container(struct decode *d, struct place place) {
    PyObject *v;
    if (d->depth == MP_DEPTH_MAX) return as_term(d, place);
    d->depth++;
    switch (d->t.kind) {
    case MOTE_TOKEN_LIKE: v = like(d, place); break;
    case MOTE_TOKEN_TUPLE: v = tuple(d, d->t.count); break;
    case MOTE_TOKEN_LIST: v = list(d, d->t.count, place); break;
    case MOTE_TOKEN_MAP: v = map(d, d->t.count, place); break;
    case MOTE_TOKEN_STRING: v = string(&d->t.bytes); break;
    default: v = host(d, place);
    }
    d->depth--;
    return v;
}

static PyObject *value_of(struct decode *d, struct place place) {
    switch (d->t.kind) {
    case MOTE_TOKEN_INT: return PyLong_FromLong(d->t.integer);
    case MOTE_TOKEN_BIG: return big(&d->t);
    case MOTE_TOKEN_FLOAT: return PyFloat_FromDouble(d->t.real);
    case MOTE_TOKEN_ATOM: return constant_or_atom(d, &d->t.name);
    case MOTE_TOKEN_TEXT: return text(d, place);
    case MOTE_TOKEN_BINARY:
    case MOTE_TOKEN_HANDLE: return bytes_of(d, place);
    case MOTE_TOKEN_NIL: return PyList_New(0);
    case MOTE_TOKEN_LOCAL_PID: return mp_pid_new(d->st, (mote_pid){d->t.word});
    case MOTE_TOKEN_LOCAL_REF: return mp_ref_new(d->st, (mote_ref){d->t.word});
    case MOTE_TOKEN_PID: return pid(d, place);
    case MOTE_TOKEN_REF: return ref(d, place);
    case MOTE_TOKEN_BITS:
    case MOTE_TOKEN_PORT:
    case MOTE_TOKEN_FUNCTION:
    case MOTE_TOKEN_CLOSURE: return as_term(d, place);
    case MOTE_TOKEN_LIST: return d->t.count == 0 ? only_tail(d) : container(d, place);
    case MOTE_TOKEN_TUPLE:
    case MOTE_TOKEN_STRING:
    case MOTE_TOKEN_MAP:
    case MOTE_TOKEN_HOST:
    case MOTE_TOKEN_LIKE: break;
    }
    return container(d, place);
}

static PyObject *get(struct decode *d) {
    struct place place = here(d);
    if (!mote_token_read(d->r, &d->t)) return NULL;
    if (d->t.kind == MOTE_TOKEN_INT) return PyLong_FromLong(d->t.integer); /* the commonest do not take the call */
    if (d->t.kind == MOTE_TOKEN_TEXT) return text(d, place);
    if (d->t.kind == MOTE_TOKEN_ATOM) return constant_or_atom(d, &d->t.name);
    if (d->t.kind == MOTE_TOKEN_LIKE || d->t.kind == MOTE_TOKEN_TUPLE) return container(d, place);
    return value_of(d, place);
}

static PyObject *decode_at(struct mp_state *st, const struct mp_codec *codec, mote_reader *reader, size_t depth) {
    struct decode d; /* without zeros for the token */
    d.st = st;
    d.codec = codec;
    d.r = reader;
    d.depth = depth;
    PyObject *v = get(&d);
    if (v || PyErr_Occurred()) return v;
    PyErr_Format(PyExc_ValueError, "byte %zu: %s", (size_t)(reader->next - reader->data), reader->why);
    return NULL;
}

PyObject *mp_decode(struct mp_state *st, const struct mp_codec *codec, mote_reader *reader) { return decode_at(st, codec, reader, 0); }

PyObject *mp_from_opaque(struct mp_state *st, mote_term term, size_t depth) {
    struct mp_codec codec = {.form = MOTE_FORM_MOTE};
    mp_codec_name(st, &codec);
    uint8_t inside[ENCODED_INSIDE];
    mote_writer w;
    mote_reader r;
    PyObject *v = NULL;
    mote_writer_init(&w, MOTE_FORM_MOTE, inside, sizeof inside, ENCODED_MAX);
    mote_err err = mote_term_encode(term, NULL, &w);
    mote_bytes bytes = mote_writer_bytes(&w);
    const uint8_t *p = bytes.data;
    if (!err && (*p == MOTE_TAG_SHORT_HOST_ || *p == MOTE_TAG_HOST_)) {
        mote_reader_init(&r, MOTE_FORM_MOTE, bytes.data, bytes.size);
        v = decode_at(st, &codec, &r, depth);
        if (!v && PyErr_ExceptionMatches(PyExc_ValueError)) PyErr_Clear(); /* of a class that nobody knows here, say */
    } else if (err == MOTE_ENOMEM) {
        PyErr_NoMemory();
    }
    mote_writer_fini(&w);
    return v;
}

/* --------------------------------------------------------------------------------------------- encode(), decode() */

/* The one argument and form= of a call. -1: error set. */
static int arguments(const struct mp_state *st, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames, struct mp_codec *codec) {
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    codec->form = MOTE_FORM_ERLANG;
    mp_codec_name(st, codec);
    if (count != 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes one positional argument, and got %zd", name, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i), *value = args[count + i];
        if (PyUnicode_CompareWithASCIIString(key, "form") != 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", name, key);
            return -1;
        }
        bool own = PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, "mote") == 0;
        if (!own && !(PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, "erlang") == 0)) {
            PyErr_Format(PyExc_ValueError, "%s(): form is \"erlang\" or \"mote\", not %R", name, value);
            return -1;
        }
        codec->form = own ? MOTE_FORM_MOTE : MOTE_FORM_ERLANG;
    }
    return 0;
}

/* The writer's bytes, or the error why there are none. */
static PyObject *written(const mote_writer *w) {
    mote_bytes bytes = mote_writer_bytes(w);
    if (w->err == MOTE_ENOMEM) return PyErr_NoMemory();
    if (w->err) return PyErr_Format(PyExc_OverflowError, "the value is larger than 4 GiB, or a part of it than the format allows");
    return PyBytes_FromStringAndSize(bytes.data, (Py_ssize_t)bytes.size);
}

static PyObject *encode_with(struct mp_state *st, const struct mp_codec *codec, PyObject *value) {
    uint8_t inside[ENCODED_INSIDE];
    mote_writer w;
    mote_writer_init(&w, codec->form, inside, sizeof inside, ENCODED_MAX);
    if (codec->form == MOTE_FORM_ERLANG) mote_version_write(&w);
    int failed = mp_encode(st, codec, value, &w);
    PyObject *bytes = failed < 0 ? NULL : written(&w);
    mote_writer_fini(&w);
    return bytes;
}

static PyObject *decode_bytes(struct mp_state *st, const struct mp_codec *codec, PyObject *bytes) {
    mote_reader r;
    mote_reader_init(&r, codec->form, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    if (codec->form == MOTE_FORM_ERLANG) mote_version_read(&r);
    PyObject *v = mp_decode(st, codec, &r);
    if (!v || r.next == r.end) return v;
    PyErr_Format(PyExc_ValueError, "byte %zu: the term ends here, and more bytes follow", (size_t)(r.next - r.data));
    Py_DECREF(v);
    return NULL;
}

/* Other bytes than `bytes` may change while we read: they are copied. */
static PyObject *decode_with(struct mp_state *st, const struct mp_codec *codec, PyObject *data) {
    if (!PyBytes_CheckExact(data) && !PyObject_CheckBuffer(data))
        return PyErr_Format(PyExc_TypeError, "decode(): a bytes-like object is required, not %R", Py_TYPE(data));
    PyObject *bytes = PyBytes_CheckExact(data) ? Py_NewRef(data) : PyBytes_FromObject(data);
    PyObject *v = bytes ? decode_bytes(st, codec, bytes) : NULL;
    Py_XDECREF(bytes);
    return v;
}

static PyObject *encode(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *kwnames) {
    struct mp_codec codec = {0};
    return arguments(mp_state_of(module), "encode", args, count, kwnames, &codec) < 0 ? NULL : encode_with(mp_state_of(module), &codec, args[0]);
}

static PyObject *decode(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *kwnames) {
    struct mp_codec codec = {0};
    return arguments(mp_state_of(module), "decode", args, count, kwnames, &codec) < 0 ? NULL : decode_with(mp_state_of(module), &codec, args[0]);
}

#define FUNCTION(f) (PyCFunction)(void (*)(void))(f)

PyMethodDef mp_codec_methods[] = {
    {"encode", FUNCTION(encode), METH_FASTCALL | METH_KEYWORDS,
     "encode(value, /, *, form='erlang')\n--\n\n"
     "The bytes of a value. form=\"erlang\": as Erlang's term_to_binary() writes them; a str is a binary there, None the atom nil.\n"
     "form=\"mote\": every value that may be sent keeps its exact type; for other interpreters with mote, of this version. NotSendable says what\n"
     "cannot be encoded, and where it was."},
    {"decode", FUNCTION(decode), METH_FASTCALL | METH_KEYWORDS,
     "decode(data, /, *, form='erlang')\n--\n\n"
     "The value of such bytes, all of which must be read. form=\"erlang\": as a message from a process that is not Python's would arrive: binaries are\n"
     "bytes, the atoms true, false and nil the constants. Nothing is imported, and no code runs but that of keys: bytes of strangers are safe.\n"
     "ValueError says which byte is wrong."},
    {NULL, NULL, 0, NULL},
};

/* ---------------------------------------------------------------------------------------------------- for tests */

/* encode_term(value, own): mp_to_term(), and its bytes. */
static PyObject *test_encode_term(PyObject *module, PyObject *args) {
    PyObject *value, *bytes = NULL;
    int own;
    mote_writer w;
    if (!PyArg_ParseTuple(args, "Op", &value, &own)) return NULL;
    mote_arena *arena = mote_arena_new(0);
    mote_term term = arena ? mp_to_term(mp_state_of(module), arena, value) : MOTE_TERM_NONE;
    mote_writer_init(&w, own ? MOTE_FORM_MOTE : MOTE_FORM_ERLANG, NULL, 0, ENCODED_MAX);
    if (term.word && mote_term_encode(term, &(mote_external_options){.version = !own}, &w) == MOTE_OK) bytes = written(&w);
    else if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, mote_err_name(w.err));
    mote_writer_fini(&w);
    mote_arena_free(arena);
    return bytes;
}

/* decode_term(bytes, own): their term, and mp_from_term(). */
static PyObject *test_decode_term(PyObject *module, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    int own;
    size_t at = 0;
    mote_term term = MOTE_TERM_NONE;
    if (!PyArg_ParseTuple(args, "y#p", &data, &size, &own)) return NULL;
    mote_arena *arena = mote_arena_new(0);
    mote_external_options options = {.form = own ? MOTE_FORM_MOTE : MOTE_FORM_ERLANG, .version = !own};
    mote_err err = arena ? mote_term_decode(arena, data, (size_t)size, &options, &term, &at) : MOTE_ENOMEM;
    PyObject *value = err ? PyErr_Format(PyExc_ValueError, "byte %zu: %s", at, mote_err_name(err)) : mp_from_term(mp_state_of(module), term);
    mote_arena_free(arena);
    return value;
}

/* Blobs that a Python object keeps: it is called with bytes and gives a handle or None, or with a handle in a tuple and gives bytes. */
static Py_ssize_t test_blob(void *context, const void *data, size_t size, uint8_t *handle) {
    PyObject *given = PyObject_CallFunction(context, "y#", data, (Py_ssize_t)size);
    Py_ssize_t taken = given ? 0 : -1;
    if (given && PyBytes_Check(given) && PyBytes_GET_SIZE(given) <= 255) {
        taken = PyBytes_GET_SIZE(given);
        memcpy(handle, PyBytes_AS_STRING(given), (size_t)taken);
    }
    Py_XDECREF(given);
    return taken;
}

static PyObject *test_unblob(void *context, const void *handle, size_t size) {
    return PyObject_CallFunction(context, "((y#))", handle, (Py_ssize_t)size);
}

/* blobs(value, store, least): encoded with a store for blobs, and decoded with it: (bytes, value). */
static PyObject *test_blobs(PyObject *module, PyObject *args) {
    PyObject *value, *store;
    Py_ssize_t least;
    if (!PyArg_ParseTuple(args, "OOn", &value, &store, &least)) return NULL;
    struct mp_codec codec = {.form = MOTE_FORM_MOTE, .blob_min = (size_t)least, .blob = test_blob, .unblob = test_unblob, .context = store};
    PyObject *bytes = encode_with(mp_state_of(module), &codec, value), *back = bytes ? decode_with(mp_state_of(module), &codec, bytes) : NULL;
    PyObject *both = back ? PyTuple_Pack(2, bytes, back) : NULL;
    Py_XDECREF(back);
    Py_XDECREF(bytes);
    return both;
}

/* encode_into(value, size): into memory of that size; None when it is full. */
static PyObject *test_encode_into(PyObject *module, PyObject *args) {
    PyObject *value;
    Py_ssize_t size;
    mote_writer w;
    struct mp_codec codec = {.form = MOTE_FORM_MOTE};
    if (!PyArg_ParseTuple(args, "On", &value, &size)) return NULL;
    char *memory = PyMem_Malloc((size_t)size + 1);
    if (!memory) return PyErr_NoMemory();
    mote_writer_init(&w, MOTE_FORM_MOTE, memory, (size_t)size, (size_t)size);
    int failed = mp_encode(mp_state_of(module), &codec, value, &w);
    PyObject *bytes = failed < 0 ? NULL : failed > 0 ? Py_NewRef(Py_None) : written(&w);
    PyMem_Free(memory);
    return bytes;
}

/* Nanoseconds of the clock of time.perf_counter_ns(). */
static long long now_ns(void) {
    PyObject *clock = PyImport_ImportModule("time"), *now = clock ? PyObject_CallMethod(clock, "perf_counter_ns", NULL) : NULL;
    long long ns = now ? PyLong_AsLongLong(now) : -1;
    Py_XDECREF(now);
    Py_XDECREF(clock);
    return ns;
}

/* encode_as(value, node, creation), decode_as(bytes, node, creation): in Erlang's form as a node of that name would. */
static int named(PyObject *args, const char *format, PyObject **what, struct mp_codec *codec) {
    const char *name;
    if (!PyArg_ParseTuple(args, format, what, &name, &codec->creation)) return -1;
    codec->node = mote_atom_make(name);
    return 0;
}

static PyObject *test_encode_as(PyObject *module, PyObject *args) {
    struct mp_codec codec = {.form = MOTE_FORM_ERLANG};
    PyObject *value;
    return named(args, "OsI", &value, &codec) < 0 ? NULL : encode_with(mp_state_of(module), &codec, value);
}

static PyObject *test_decode_as(PyObject *module, PyObject *args) {
    struct mp_codec codec = {.form = MOTE_FORM_ERLANG};
    PyObject *bytes;
    return named(args, "SsI", &bytes, &codec) < 0 ? NULL : decode_with(mp_state_of(module), &codec, bytes);
}

/* codec_ns(value, own, rounds): ns of all rounds of mp_encode(), and of mp_decode(). */
static PyObject *test_codec_ns(PyObject *module, PyObject *args) {
    PyObject *value, *back = Py_None;
    int own, failed = 0;
    long rounds;
    uint8_t memory[4096];
    mote_writer w;
    mote_reader r;
    if (!PyArg_ParseTuple(args, "Opl", &value, &own, &rounds)) return NULL;
    struct mp_codec codec = {.form = own ? MOTE_FORM_MOTE : MOTE_FORM_ERLANG};
    long long begin = now_ns();
    for (long i = 0; i < rounds && !failed; i++) {
        mote_writer_init(&w, codec.form, memory, sizeof memory, sizeof memory);
        failed = mp_encode(mp_state_of(module), &codec, value, &w);
    }
    long long middle = now_ns();
    for (long i = 0; i < rounds && !failed && back; i++) {
        mote_reader_init(&r, codec.form, memory, mote_writer_bytes(&w).size);
        if ((back = mp_decode(mp_state_of(module), &codec, &r))) Py_DECREF(back);
    }
    long long end = now_ns();
    if (failed || !back) return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "it is too large");
    return Py_BuildValue("(LL)", middle - begin, end - middle);
}

static PyMethodDef testing[] = {
    {"encode_term", test_encode_term, METH_VARARGS, "mp_to_term(), and its bytes"},
    {"decode_term", test_decode_term, METH_VARARGS, "the term of bytes, and mp_from_term()"},
    {"blobs", test_blobs, METH_VARARGS, "there and back with a store for blobs"},
    {"encode_into", test_encode_into, METH_VARARGS, "into memory of a size; None: it is full"},
    {"encode_as", test_encode_as, METH_VARARGS, "encode() of a node of that name and creation"},
    {"decode_as", test_decode_as, METH_VARARGS, "decode() of such a node"},
    {"codec_ns", test_codec_ns, METH_VARARGS, "ns of all rounds of mp_encode() and mp_decode()"},
    {NULL, NULL, 0, NULL},
};

int mp_codec_init(struct mp_state *st) { return mp_testing_add(st, testing); }
