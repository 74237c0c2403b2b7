/* SPDX-License-Identifier: Apache-2.0
 * Big binaries that all workers read where they lie (mote/worker.h): what has come is a SharedBytes, what is to be sent may be written into a Buffer.
 *
 * B1 a SharedBytes is an object of bytes whose header stands in the gap before a blob's data; its address stands at the gap's beginning. It has one use of the blob.
 *    There is one for each blob: the blob's `host`. B2 a Buffer's memory is nobody's to write once it is sealed: no export that could write is left, and none is given. */
#include "blob.h"
#include "compat.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define HEADER offsetof(PyBytesObject, ob_sval)
_Static_assert(HEADER + sizeof(mote_blob *) <= MOTE_BLOB_GAP, "a header fits into the gap");

/* ------------------------------------------------------------------------------------------------ what has come */

static mote_blob **blob_of(PyObject *bytes) { return (mote_blob **)(void *)((char *)bytes + HEADER - MOTE_BLOB_GAP); }

static void shared_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    mote_blob *blob = *blob_of(self);
    blob->host = NULL;
    mote_blob_drop(blob);
    Py_DECREF(type);
}

static PyObject *shared_reduce(PyObject *self, PyObject *none) {
    (void)none;
    return Py_BuildValue("(O(y#))", &PyBytes_Type, PyBytes_AS_STRING(self), PyBytes_GET_SIZE(self));
}

static PyObject *shared_copy(PyObject *self, PyObject *memo) {
    (void)memo;
    Py_INCREF(self);
    return self;
}

static PyMethodDef shared_methods[] = {
    {"__reduce__", shared_reduce, METH_NOARGS, "As bytes."},
    {"__copy__", shared_copy, METH_NOARGS, "Itself: it is immutable."},
    {"__deepcopy__", shared_copy, METH_O, "Itself: it is immutable."},
    {NULL, NULL, 0, NULL},
};
static PyObject *shared_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "SharedBytes come in messages; mote.buffer(size) makes memory to be sent");
    return NULL;
}
static PyType_Slot shared_slots[] = {
    {Py_tp_doc, "bytes that have come from another worker and lie in memory that both share. Nobody copies them; the memory is given back when the last worker lets go."},
    {Py_tp_dealloc, shared_dealloc},
    {Py_tp_new, shared_new},
    {Py_tp_methods, shared_methods},
    {0, NULL},
};
static PyType_Spec shared_spec = {"mote.SharedBytes", 0, 0, Py_TPFLAGS_DEFAULT, shared_slots};

/* The SharedBytes of a blob. Takes the use. Gives; cannot fail. */
static PyObject *blob_bytes(struct mp_state *st, mote_blob *blob) {
    PyObject *bytes = blob->host;
    if (bytes) { /* B1 */
        Py_INCREF(bytes);
        mote_blob_drop(blob);
        return bytes;
    }
    bytes = (PyObject *)(void *)((char *)blob->data - HEADER);
    memset(bytes, 0, HEADER);
    PyObject_InitVar((PyVarObject *)bytes, st->shared_bytes, (Py_ssize_t)blob->size);
    memset((char *)blob->data - sizeof(Py_hash_t), 0xff, sizeof(Py_hash_t)); /* no hash yet: -1 */
    *blob_of(bytes) = blob;
    blob->host = bytes;
    return bytes;
}

PyObject *mp_unblob(void *context, const void *handle, size_t size) {
    const struct mp_letter *letter = context;
    mote_blob *blob;
    mote_err err = letter->blobs->take(letter->blobs->context, (mote_bytes){handle, size}, &blob);
    if (err) {
        PyErr_SetString(err == MOTE_ENOMEM ? PyExc_MemoryError : PyExc_ValueError, "a handle in a message from another worker stands for nothing");
        return NULL;
    }
    return blob_bytes(letter->st, blob);
}

/* ------------------------------------------------------------------------------------------- what is to be sent */

struct buffer {
    PyObject_HEAD
    char *data;
    Py_ssize_t size;
    mote_blob *blob;    /* NULL: memory of its own */
    Py_ssize_t writers; /* exports through which somebody could write */
    bool sealed;
};

static void buffer_dealloc(PyObject *self) {
    struct buffer *b = (struct buffer *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (b->blob) mote_blob_drop(b->blob);
    else free(b->data);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int buffer_get(PyObject *self, Py_buffer *view, int flags) {
    struct buffer *b = (struct buffer *)self;
    if (PyBuffer_FillInfo(view, self, b->data, b->size, b->sealed, flags) < 0) return -1;
    view->internal = b->sealed ? NULL : b;
    if (!b->sealed) b->writers++;
    return 0;
}

static void buffer_release(PyObject *self, Py_buffer *view) {
    struct buffer *b = (struct buffer *)self;
    if (view->internal) b->writers--;
}

static Py_ssize_t buffer_length(PyObject *self) { return ((struct buffer *)self)->size; }

static PyObject *buffer_repr(PyObject *self) {
    const struct buffer *b = (const struct buffer *)self;
    return PyUnicode_FromFormat("<mote.Buffer of %zd bytes%s>", b->size, b->sealed ? ", read-only" : "");
}

static PyObject *buffer_readonly(PyObject *self, void *none) {
    (void)none;
    return PyBool_FromLong(((struct buffer *)self)->sealed);
}

static PyGetSetDef buffer_getset[] = {
    {"readonly", buffer_readonly, NULL, "Whether it has been sent.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyObject *buffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "mote.buffer(size) makes a Buffer");
    return NULL;
}
static PyType_Slot buffer_slots[] = {
    {Py_tp_doc, "Memory to be filled once and sent without a copy: see buffer()."},
    {Py_tp_dealloc, buffer_dealloc},
    {Py_tp_new, buffer_new},
    {Py_tp_repr, buffer_repr},
    {Py_tp_getset, buffer_getset},
    {Py_sq_length, buffer_length},
    {Py_bf_getbuffer, buffer_get},
    {Py_bf_releasebuffer, buffer_release},
    {0, NULL},
};
static PyType_Spec buffer_spec = {"mote.Buffer", sizeof(struct buffer), 0, Py_TPFLAGS_DEFAULT, buffer_slots};

bool mp_is_buffer(const struct mp_state *st, PyObject *v) { return Py_IS_TYPE(v, st->buffer); }

bool mp_buffer_seal(PyObject *v) {
    struct buffer *b = (struct buffer *)v;
    if (!b->sealed && b->writers == 0) {
        b->sealed = true;
        if (b->blob) mote_blob_seal(b->blob);
    }
    return b->sealed;
}

bool mp_is_fixed(const struct mp_state *st, PyObject *v) {
    return PyBytes_CheckExact(v) || Py_IS_TYPE(v, st->shared_bytes) || (mp_is_buffer(st, v) && ((struct buffer *)v)->sealed);
}

/* Zeroed memory: the workers', if there are any and it is worth it. */
static bool allocate(struct mp_state *st, struct buffer *b, size_t size) {
    b->data = NULL;
    if (st->member && size >= MOTE_BLOB_MIN && mote_blob_make(st->member, size, &b->blob) == MOTE_OK) {
        b->data = b->blob->data;
        memset(b->data, 0, size); /* it may have been another's */
        return true;
    }
    b->data = calloc(size ? size : 1, 1);
    return b->data != NULL;
}

static PyObject *py_buffer(PyObject *module, PyObject *arg) {
    struct mp_state *st = mp_state_of(module);
    Py_ssize_t size = PyNumber_AsSsize_t(arg, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) return NULL;
    if (size < 0) {
        PyErr_Format(PyExc_ValueError, "buffer(%zd): a size in bytes, 0 or more", size);
        return NULL;
    }
    struct buffer *b = PyObject_New(struct buffer, st->buffer);
    if (!b) return NULL;
    b->size = size;
    b->blob = NULL;
    b->writers = 0;
    b->sealed = false;
    if (allocate(st, b, (size_t)size)) return (PyObject *)b;
    Py_DECREF(b);
    return PyErr_NoMemory();
}

/* worker_blobs() -> (own that anybody has, their bytes, all in use here, made since the start) */
static PyObject *py_stats(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    mote_blob_stats stats = {0};
    (void)none;
    if (st->member) mote_worker_blob_stats(st->member, &stats);
    return Py_BuildValue("(nnnK)", (Py_ssize_t)stats.live, (Py_ssize_t)stats.live_bytes, (Py_ssize_t)stats.held, (unsigned long long)stats.made);
}

PyMethodDef mp_blob_methods[] = {
    {"buffer", py_buffer, METH_O,
     "buffer(size, /)\n--\n\nA Buffer of so many zero bytes, to be filled through memoryview(buffer) or numpy.frombuffer(buffer, dtype) and sent. It goes to other workers "
     "without being copied, if nobody could still write to it: let go of those views first, else the message gets a copy. From then on it is read-only."},
    {"worker_blobs", py_stats, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int mp_blob_init(struct mp_state *st) {
    PyObject *bases = PyTuple_Pack(1, &PyBytes_Type);
    if (!bases) return -1;
    st->shared_bytes = (PyTypeObject *)PyType_FromModuleAndSpec(st->module, &shared_spec, bases);
    Py_DECREF(bases);
    st->buffer = (PyTypeObject *)PyType_FromModuleAndSpec(st->module, &buffer_spec, NULL);
    if (!st->shared_bytes || !st->buffer) return -1;
    if (PyModule_AddObject(st->module, "SharedBytes", Py_NewRef(st->shared_bytes)) < 0) return -1;
    return PyModule_AddObject(st->module, "Buffer", Py_NewRef(st->buffer));
}
