/* SPDX-License-Identifier: Apache-2.0
 * Python's objects as bytes in the external term format, see codec.h. What may be sent, and what is said of what may not, is as in values.c.
 *
 * E1 every function here gives false when something was noted in the walk, an error is set, or the writer has failed; mp_encode() finds out which.
 * E2 what is announced in a head (of a list, dict, set) is written, or the whole fails: a container that shrinks meanwhile is an error. */
#include "blob.h"
#include "codec.h"
#include "compat.h"

#include <string.h>

#define LEFT_FROM 65536 /* bytes: as mote_parcel_leave() takes them at least */
#define UTF8_KEPT 4096 /* characters: str keep the UTF-8 of themselves up to here */

struct encode {
    struct mp_walk w;
    mote_writer *out;
    const struct mp_codec *codec;
};

static bool put(struct encode *e, PyObject *v);

/* Whether types are kept; whether it stays within the node. */
static inline bool is_own(const struct encode *e) { return e->out->form != MOTE_FORM_ERLANG; }
static inline bool is_within(const struct encode *e) { return e->out->form == MOTE_FORM_MOTE; }

static bool refuse(struct encode *e, PyObject *v, const char *why) {
    mp_refuse(&e->w, v, why);
    return false;
}

/* ------------------------------------------------------------------------------------------------ plain values */

static bool put_name(struct encode *e, const char *name) { return mote_atom_write(e->out, name, strlen(name)); }

static __attribute__((noinline)) bool put_big(struct encode *e, PyObject *v, bool negative) {
    PyObject *bytes = mp_int_magnitude(v);
    size_t size = bytes ? (size_t)PyBytes_GET_SIZE(bytes) : 0;
    bool done = false;
    if (bytes && !is_own(e) && size > 512 * 1024) refuse(e, v, "Erlang's integers have at most 512 KiB");
    else if (bytes) done = mote_big_write(e->out, negative, PyBytes_AS_STRING(bytes), size);
    Py_XDECREF(bytes);
    return done;
}

static bool put_int(struct encode *e, PyObject *v) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(v, &overflow);
    return overflow ? put_big(e, v, overflow < 0) : mote_int_write(e->out, value);
}

/* Floats as they are in memory: what Erlang has not. */
static bool put_raw_floats(struct encode *e, uint8_t code, const double *values, size_t count) {
    uint64_t bits;
    uint8_t *p = mote_host_write(e->out, code, 1) ? mote_binary_room(e->out, 8 * count) : NULL;
    for (size_t i = 0; p && i < count; i++) {
        memcpy(&bits, values + i, sizeof bits);
        mote_put64_(p + 8 * i, bits);
    }
    return p != NULL;
}

static bool put_float(struct encode *e, PyObject *v) {
    double value = PyFloat_AS_DOUBLE(v);
    if (Py_IS_FINITE(value)) return mote_float_write(e->out, value);
    return is_own(e) ? put_raw_floats(e, MP_HOST_FLOAT, &value, 1) : refuse(e, v, MP_NO_SUCH_FLOAT);
}

static bool put_complex(struct encode *e, PyObject *v) {
    Py_complex c = ((PyComplexObject *)v)->cval;
    double parts[2] = {c.real, c.imag};
    return is_own(e) ? put_raw_floats(e, MP_HOST_COMPLEX, parts, 2) : refuse(e, v, MP_NO_COMPLEX);
}

static bool put_surrogates(struct encode *e, PyObject *v) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) return false;
    PyErr_Clear();
    if (!is_own(e)) return refuse(e, v, MP_SURROGATES);
    PyObject *bytes = PyUnicode_AsEncodedString(v, "utf-8", "surrogatepass");
    bool done = bytes && mote_host_write(e->out, MP_HOST_SURROGATES, 1) && mote_binary_write(e->out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_XDECREF(bytes);
    return done;
}

static bool put_other_text(struct encode *e, PyObject *v) {
    Py_ssize_t size;
    if (PyUnicode_GET_LENGTH(v) <= UTF8_KEPT) {
        const char *text = PyUnicode_AsUTF8AndSize(v, &size);
        return text ? mote_text_write(e->out, text, (size_t)size) : put_surrogates(e, v);
    }
    PyObject *bytes = PyUnicode_AsUTF8String(v);
    if (!bytes) return put_surrogates(e, v);
    bool done = mote_text_write(e->out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return done;
}

static inline bool put_text(struct encode *e, PyObject *v) {
    if (PyUnicode_IS_COMPACT_ASCII(v)) return mote_text_write(e->out, PyUnicode_DATA(v), (size_t)PyUnicode_GET_LENGTH(v));
    return put_other_text(e, v);
}

static bool is_constant(const char *name, Py_ssize_t size) {
    return size == 3 ? memcmp(name, "nil", 3) == 0 : size == 4 ? memcmp(name, "true", 4) == 0 : size == 5 && memcmp(name, "false", 5) == 0;
}

/* An Atom; names that are read as constants are marked. */
static bool put_atom(struct encode *e, PyObject *v) {
    PyObject *str = ((struct mp_atom *)v)->name;
    Py_ssize_t size = PyUnicode_GET_LENGTH(str);
    const char *name = PyUnicode_IS_COMPACT_ASCII(str) ? PyUnicode_DATA(str) : PyUnicode_AsUTF8AndSize(str, &size);
    if (!name) return false;
    bool constant = is_constant(name, size);
    if (constant && is_own(e) && !mote_like_write(e->out, MP_LIKE_ATOM, 0)) return false;
    return mote_atom_write(e->out, name, (size_t)size);
}

static bool put_pid(struct encode *e, PyObject *v) {
    mote_far far;
    mote_pid pid = ((struct mp_pid *)v)->pid;
    if (mote_far_get(mote_pid_term(pid), &far)) return mote_far_pid_write(e->out, mp_name_text(far.node), far.words[0], far.words[1], far.creation);
    return is_within(e) ? mote_pid_write(e->out, pid) : mote_pid_write_as(e->out, pid, mp_name_text(e->codec->node), e->codec->creation);
}

static bool put_ref(struct encode *e, PyObject *v) {
    mote_far far;
    mote_ref ref = ((struct mp_ref *)v)->ref;
    if (mote_far_get(mote_ref_term(ref), &far)) return mote_far_ref_write(e->out, mp_name_text(far.node), far.creation, far.words, far.count);
    return is_within(e) ? mote_ref_write(e->out, ref) : mote_ref_write_as(e->out, ref, e->codec->ref_key, mp_name_text(e->codec->node), e->codec->creation);
}

/* Out of line: the handle has no place in the frames of put(). */
static __attribute__((noinline)) bool put_blob(struct encode *e, const void *data, size_t size) {
    uint8_t handle[255];
    Py_ssize_t taken = e->codec->blob(e->codec->context, data, size, handle);
    if (taken < 0) return false;
    return taken > 0 ? mote_handle_write(e->out, handle, (size_t)taken) : mote_binary_write(e->out, data, size);
}

/* Whether the bytes are left out, but for their head; *done: that was written. */
static __attribute__((noinline)) bool put_head(struct encode *e, const void *data, size_t size, PyObject *owner, bool *done) {
    if (size > UINT32_MAX || !e->codec->leave(e->codec->context, mote_writer_bytes(e->out).size + 5, data, size, owner)) return false;
    *done = mote_long_head_(e->out, MOTE_TAG_BINARY_, size, 0) != NULL;
    return true;
}

/* Bytes, or a handle for them, or only their head. `owner`: while it lives they stay as they are; NULL: they may change. */
static bool put_bytes(struct encode *e, const void *data, size_t size, PyObject *owner) {
    bool done;
    if (e->codec->blob && size >= e->codec->blob_min && is_within(e)) return put_blob(e, data, size);
    if (owner && size >= LEFT_FROM && e->codec->leave && !is_within(e) && put_head(e, data, size, owner, &done)) return done;
    return mote_binary_write(e->out, data, size);
}

static bool put_bytearray(struct encode *e, PyObject *v) {
    if (is_own(e) && !mote_like_write(e->out, MP_LIKE_BYTEARRAY, 0)) return false;
    return put_bytes(e, PyByteArray_AS_STRING(v), (size_t)PyByteArray_GET_SIZE(v), NULL);
}

/* ----------------------------------------------------------------------------------------------------- buffers */

/* 1: memoryview knows the format of a buffer's elements; 0; -1: error set. */
static int knows_format(const Py_buffer *b) {
    Py_buffer none = *b;
    none.len = 0;
    none.ndim = 1;
    PyObject *view = mp_view_cast(PyBytes_FromStringAndSize(NULL, 0), &none);
    Py_XDECREF(view);
    return view ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* How a view of these bytes is made again. */
static bool put_shape(struct encode *e, PyObject *v, const Py_buffer *b) {
    const char *format = b->format ? b->format : "B";
    if (b->ndim == 1 && strcmp(format, "B") == 0) return mote_like_write(e->out, MP_LIKE_VIEW, 0);
    if (b->ndim == 0) return refuse(e, v, MP_ONE_NUMBER);
    int known = knows_format(b);
    if (known <= 0) return known == 0 ? refuse(e, v, MP_NO_FORMAT) : false;
    bool done = mote_like_write(e->out, MP_LIKE_VIEW, 2) && mote_text_write(e->out, format, strlen(format)) && mote_list_write(e->out, (size_t)b->ndim);
    for (int i = 0; done && i < b->ndim; i++) done = mote_int_write(e->out, b->shape[i]);
    return done && mote_nil_write(e->out);
}

/* Whose memory a buffer shows, if that does not change any more. Borrowed; NULL. */
static PyObject *owner_of(const struct encode *e, PyObject *v) {
    PyObject *base = PyMemoryView_Check(v) ? PyMemoryView_GET_BASE(v) : v;
    return base && mp_is_fixed(e->w.st, base) ? base : NULL;
}

static bool put_content(struct encode *e, PyObject *v, const Py_buffer *b) {
    if (PyBuffer_IsContiguous(b, 'C')) return put_bytes(e, b->buf, (size_t)b->len, owner_of(e, v));
    uint8_t *p = mote_binary_room(e->out, (size_t)b->len);
    return p && PyBuffer_ToContiguous(p, (Py_buffer *)(uintptr_t)b, b->len, 'C') == 0;
}

static __attribute__((noinline)) bool put_buffer(struct encode *e, PyObject *v) {
    Py_buffer b;
    if (mp_is_buffer(e->w.st, v)) (void)mp_buffer_seal(v); /* else it is copied */
    if (PyObject_GetBuffer(v, &b, PyBUF_FULL_RO) < 0) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError)) return false;
        PyErr_Clear();
        return refuse(e, v, MP_NO_MEMORY);
    }
    bool done = (!is_own(e) || put_shape(e, v, &b)) && put_content(e, v, &b);
    PyBuffer_Release(&b);
    return done;
}

/* -------------------------------------------------------------------------------------------------- containers */

static bool put_elements(struct encode *e, PyObject *tuple, PyObject *names) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++)
        if (!put(e, PyTuple_GET_ITEM(tuple, i))) {
            mp_at_field(&e->w, names, i);
            return false;
        }
    return true;
}

static bool put_tuple(struct encode *e, PyObject *v) {
    size_t n = (size_t)PyTuple_GET_SIZE(v);
    bool tagged = n > 0 && Py_IS_TYPE(PyTuple_GET_ITEM(v, 0), e->w.st->atom) && is_own(e);
    if (tagged && !mote_like_write(e->out, MP_LIKE_TUPLE, 0)) return false;
    return mote_tuple_write(e->out, n) && put_elements(e, v, NULL);
}

/* Writes a list of integers from 0 to 255 as such. *done: it was one, or the writer has failed. */
static bool put_string(struct encode *e, PyObject *v, bool *done) {
    size_t n = (size_t)PyList_GET_SIZE(v), i = 0;
    *done = false;
    if (n > 65535 || !PyLong_CheckExact(PyList_GET_ITEM(v, 0))) return false;
    uint8_t *p = mote_writer_room(e->out, 3 + n);
    if (!p) return !(*done = true);
    for (; i < n && PyLong_CheckExact(PyList_GET_ITEM(v, i)); i++) {
        int overflow;
        long value = PyLong_AsLongAndOverflow(PyList_GET_ITEM(v, i), &overflow);
        if (overflow || value < 0 || value > 255) break;
        p[3 + i] = (uint8_t)value;
    }
    *done = i == n;
    if (!*done) {
        e->out->next = p; /* as if nothing was written */
        return false;
    }
    p[0] = MOTE_TAG_STRING_;
    mote_put16_(p + 1, n);
    return true;
}

static bool changed(const char *what) {
    PyErr_Format(PyExc_RuntimeError, "a %s changed while it was being sent", what);
    return false;
}

static bool put_list(struct encode *e, PyObject *v) {
    Py_ssize_t n = PyList_GET_SIZE(v);
    bool done;
    if (n == 0) return mote_nil_write(e->out);
    bool written = put_string(e, v, &done);
    if (done) return written;
    if (!mote_list_write(e->out, (size_t)n)) return false;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (i >= PyList_GET_SIZE(v)) return changed("list");
        PyObject *one = Py_NewRef(PyList_GET_ITEM(v, i));
        bool good = put(e, one);
        Py_DECREF(one);
        if (good) continue;
        mp_at_index(&e->w, i);
        return false;
    }
    return mote_nil_write(e->out);
}

/* In Erlang's form a str and bytes of the same letters are one key: 1 if a dict has such a pair, 0; -1: error set. Takes nothing. */
static int keys_collide(PyObject *dict) {
    PyObject *key, *value, *bytes;
    Py_ssize_t at = 0;
    int found = 0;
    while (found == 0 && PyDict_Next(dict, &at, &key, &value)) {
        if (!PyUnicode_CheckExact(key)) continue;
        bytes = PyUnicode_AsUTF8String(key);
        if (!bytes) PyErr_Clear(); /* it is refused itself */
        else found = PyDict_Contains(dict, bytes);
        Py_XDECREF(bytes);
    }
    return found;
}

static bool put_pair(struct encode *e, PyObject *key, PyObject *value) {
    if (!put(e, key)) mp_at_text(&e->w, ".keys()");
    else if (!put(e, value)) mp_at_key(&e->w, key);
    else return true;
    return false;
}

static bool put_pairs(struct encode *e, PyObject *v, Py_ssize_t n, bool *text, bool *bytes) {
    PyObject *key, *value;
    Py_ssize_t at = 0, count = 0;
    while (count < n && PyDict_Next(v, &at, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        *text |= PyUnicode_CheckExact(key);
        *bytes |= PyBytes_Check(key) != 0;
        bool good = put_pair(e, key, value);
        Py_DECREF(value);
        Py_DECREF(key);
        if (!good) return false;
        count++;
    }
    return (count == n && PyDict_GET_SIZE(v) == n) || changed("dict");
}

static bool put_dict(struct encode *e, PyObject *v) {
    Py_ssize_t n = PyDict_GET_SIZE(v);
    bool text = false, bytes = false;
    if (!mote_map_write(e->out, (size_t)n) || !put_pairs(e, v, n, &text, &bytes)) return false;
    if (is_own(e) || !text || !bytes) return true;
    int found = keys_collide(v);
    return found > 0 ? refuse(e, v, "it has a str and bytes of the same letters as keys, which are one key to Erlang") : found == 0;
}

static bool put_set(struct encode *e, PyObject *v) {
    if (!is_own(e)) return refuse(e, v, MP_NO_SET);
    PyObject *items = PySequence_Tuple(v);
    uint8_t code = PyFrozenSet_CheckExact(v) ? MP_HOST_FROZENSET : MP_HOST_SET;
    bool done = items && mote_host_write(e->out, code, (size_t)PyTuple_GET_SIZE(items));
    for (Py_ssize_t i = 0; done && i < PyTuple_GET_SIZE(items); i++) done = put(e, PyTuple_GET_ITEM(items, i));
    if (!done) mp_at_text(&e->w, "{...}");
    Py_XDECREF(items);
    return done;
}

/* ---------------------------------------------------------------------------------------------------- others */

static bool put_message(struct encode *e, PyObject *v, PyObject *info) {
    PyObject *names = PyTuple_GET_ITEM(info, 1), *fields = mp_message_fields(v, names);
    bool done = fields && (!is_own(e) || (mote_like_write(e->out, MP_LIKE_MESSAGE, 1) && put_text(e, PyTuple_GET_ITEM(info, 2))));
    done = done && mote_tuple_write(e->out, 1 + (size_t)PyTuple_GET_SIZE(fields)) && put_atom(e, PyTuple_GET_ITEM(info, 0)) && put_elements(e, fields, names);
    Py_XDECREF(fields);
    return done;
}

static uint8_t code_of(const struct mp_state *st, PyObject *class) {
    if (class == st->down) return MP_LIKE_DOWN;
    return class == st->exit_signal ? MP_LIKE_EXIT_SIGNAL : class == st->node_up ? MP_LIKE_NODE_UP : MP_LIKE_NODE_DOWN;
}

static bool put_system_message(struct encode *e, PyObject *v) {
    if (is_within(e) && !mote_like_write(e->out, code_of(e->w.st, (PyObject *)Py_TYPE(v)), 0)) return false;
    return mote_tuple_write(e->out, (size_t)PyTuple_GET_SIZE(v)) && put_elements(e, v, NULL);
}

/* Whether a term is surely read as a Term, because Python has no such value. */
static bool stays_term(mote_term term) {
    size_t n;
    mote_type type = mote_term_type(term);
    return type == MOTE_BITSTRING || type == MOTE_PORT || (type == MOTE_LIST && mote_list_length(term, &n) != MOTE_OK);
}

static bool put_term(struct encode *e, PyObject *v) {
    mote_term term = mp_term_of(v);
    if (is_own(e) && !stays_term(term) && !mote_like_write(e->out, MP_LIKE_TERM, 0)) return false;
    const mote_external_options options = {.node = e->codec->node, .creation = e->codec->creation, .ref_key = e->codec->ref_key};
    mote_err err = mote_term_encode(term, &options, e->out);
    return err == MOTE_ETERM ? refuse(e, v, "it holds what only mote's own processes have") : err == MOTE_OK;
}

static bool put_other(struct encode *e, PyObject *v) {
    PyObject *info = mp_message_info(e->w.st, Py_TYPE(v));
    if (info) return put_message(e, v, info);
    if (PyErr_Occurred()) return false;
    if (mp_is_system_message(e->w.st, v)) return put_system_message(e, v);
    if (mp_is_term(v)) return put_term(e, v);
    if (PyObject_CheckBuffer(v) && !PyBytes_Check(v) && !PyByteArray_Check(v)) return put_buffer(e, v);
    return refuse(e, v, mp_advice(v));
}

static bool put_container(struct encode *e, PyObject *v) {
    PyTypeObject *t = Py_TYPE(v);
    if (t == &PyTuple_Type) return put_tuple(e, v);
    if (t == &PyList_Type) return put_list(e, v);
    if (t == &PyDict_Type) return put_dict(e, v);
    if (t == &PySet_Type || t == &PyFrozenSet_Type) return put_set(e, v);
    if (t == &PyByteArray_Type) return put_bytearray(e, v);
    return put_other(e, v);
}

static bool put(struct encode *e, PyObject *v) {
    PyTypeObject *t = Py_TYPE(v);
    if (t == &PyLong_Type) return put_int(e, v);
    if (t == &PyUnicode_Type) return put_text(e, v);
    if (t == e->w.st->atom) return put_atom(e, v);
    if (t == &PyBytes_Type || t == e->w.st->shared_bytes) return put_bytes(e, PyBytes_AS_STRING(v), (size_t)PyBytes_GET_SIZE(v), v);
    if (t == &PyFloat_Type) return put_float(e, v);
    if (t == e->w.st->pid) return put_pid(e, v);
    if (t == e->w.st->ref) return put_ref(e, v);
    if (v == Py_None) return put_name(e, "nil");
    if (t == &PyBool_Type) return put_name(e, v == Py_True ? "true" : "false");
    if (t == &PyComplex_Type) return put_complex(e, v);
    if (e->w.depth == MP_DEPTH_MAX) return refuse(e, v, NULL);
    if (++e->w.containers > MP_COPIES_MAX) return refuse(e, v, MP_TOO_MUCH);
    e->w.depth++;
    bool done = put_container(e, v);
    e->w.depth--;
    return done;
}

int mp_encode(struct mp_state *st, const struct mp_codec *codec, PyObject *value, mote_writer *writer) {
    struct encode e = {.w = {.st = st}, .out = writer, .codec = codec};
    if (put(&e, value)) return 0;
    mp_walk_end(&e.w);
    if (PyErr_Occurred()) return -1;
    if (writer->err) return 1;
    PyErr_SetString(PyExc_SystemError, "a value was not encoded, and nobody has said why"); /* E1 */
    return -1;
}
