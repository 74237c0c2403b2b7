/* SPDX-License-Identifier: Apache-2.0
 * The interpreter as one of a node's workers: what mote/_hub.py needs of mote/worker.h. That module starts the programs and gives descriptors around; it
 * knows its membership by a capsule. */
#include "blob.h"
#include "process.h"

#include <mote/node.h>
#include <mote/worker.h>

static const char capsule_name[] = "mote worker";

static mote_worker *worker_of(PyObject *capsule) { return PyCapsule_GetPointer(capsule, capsule_name); }

/* ------------------------------------------------------------------------------------------------ messages */

#define RECORD_INSIDE 512 /* bytes on the stack */
#define RECORD_MAX ((size_t)1 << 31)

static Py_ssize_t load(void *context, const void *data, size_t size, uint8_t *handle) { return (Py_ssize_t)mote_parcel_blob(context, data, size, handle); }

static bool leave(void *context, size_t at, const void *data, size_t size, PyObject *owner) {
    bool left = mote_parcel_leave(context, at, data, size, mp_bytes_release, owner);
    if (left) Py_INCREF(owner);
    return left;
}

/* 0, or -1: error set, for the writer's failure too. */
static int encode(struct mp_state *st, const struct mp_codec *codec, PyObject *value, mote_writer *w) {
    int failed = mp_encode(st, codec, value, w);
    if (failed > 0) PyErr_Format(st->not_sendable, "mote: a message to another worker or node: %s", mote_err_text(w->err));
    return failed ? -1 : 0;
}

int mp_far_send(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message) {
    char memory[RECORD_INSIDE];
    mote_writer w;
    mote_parcel parcel;
    mote_err err = mote_parcel_begin(p->self, to, &parcel);
    if (err) return mp_fail(st, err, "mote.send"), -1;
    struct mp_codec codec = {.form = parcel.form, .blob_min = MOTE_BLOB_MIN, .blob = load, .leave = leave, .context = &parcel};
    mp_codec_name(st, &codec);
    mote_writer_init(&w, parcel.form, memory, sizeof memory, RECORD_MAX);
    int failed = encode(st, &codec, message, &w);
    mote_bytes bytes = mote_writer_bytes(&w);
    if (failed)
        mote_parcel_drop(&parcel);
    else
        mote_host_send_encoded(&parcel, bytes.data, bytes.size);
    mote_writer_fini(&w);
    return failed ? -1 : mp_let_others(p);
}

/* The state of the module in the interpreter that runs. Borrowed; NULL: it is gone. */
static struct mp_state *state_here(void) {
    PyObject *name = PyUnicode_FromString("mote._mote"), *module = name ? PyImport_GetModule(name) : NULL;
    struct mp_state *st = module ? mp_state_of(module) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(module);
    return st;
}

/* An object within a term, as in what a C process passes on. Only what may be shared has become one. */
bool mp_far_encode(void *object, mote_writer *writer) {
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    struct mp_state *st = state_here();
    struct mp_codec codec = {.form = writer->form};
    if (st) mp_codec_name(st, &codec);
    bool ok = st && encode(st, &codec, object, writer) == 0;
    if (!ok && !writer->err) mote_writer_fail(writer, MOTE_ETERM);
    PyErr_Restore(type, value, trace);
    PyGILState_Release(gil);
    return ok;
}

static bool unblob(void *context, mote_bytes handle, mote_bytes *bytes, void **held) {
    const struct mp_letter *letter = context;
    mote_blob *blob;
    if (letter->blobs->take(letter->blobs->context, handle, &blob)) return false;
    *bytes = (mote_bytes){blob->data, blob->size};
    *held = blob;
    return true;
}

static void let_go(void *data, void *held) {
    (void)data;
    mote_blob_drop(held);
}

/* As a term, for what is no value here: of a class that this worker does not know, say. */
static PyObject *decode_term(struct mp_letter *letter, const struct mp_codec *codec, mote_bytes bytes, size_t *used) {
    const mote_external_options options = {.form = codec->form, .node = codec->node, .creation = codec->creation, .ref_key = codec->ref_key, .unblob = letter->blobs ? unblob : NULL, .release = let_go, .context = letter};
    mote_arena *arena = mote_arena_new(0);
    mote_term term;
    PyErr_Clear();
    PyObject *value = arena && !mote_term_decode(arena, bytes.data, bytes.size, &options, &term, used) ? mp_from_term(letter->st, term) : NULL;
    mote_arena_free(arena);
    return value;
}

void *mp_far_decode(void *context, mote_form form, mote_bytes bytes, const mote_host_blobs *blobs, size_t *used) {
    struct mp_node *node = context;
    struct mp_letter letter = {node->st, blobs};
    struct mp_codec codec = {.form = form, .unblob = blobs ? mp_unblob : NULL, .context = &letter};
    mp_codec_name(node->st, &codec);
    mote_reader r;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    mote_reader_init(&r, form, bytes.data, bytes.size);
    PyObject *value = mp_decode(node->st, &codec, &r);
    *used = (size_t)(r.next - r.data);
    if (!value) value = decode_term(&letter, &codec, bytes, used);
    PyErr_Restore(type, error, trace);
    return value;
}

/* ---------------------------------------------------------------------------------------------- membership */

/* worker_join(peer, board) -> (membership, board, event, blobs): descriptors, which stay the node's */
static PyObject *py_join(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    unsigned peer;
    int board;
    mote_worker *worker;
    if (!p || !PyArg_ParseTuple(args, "Ii", &peer, &board)) return NULL;
    mote_err err = peer ? mote_node_join(p->self) : MOTE_OK;
    if (!err) err = mote_worker_new(p->self, peer, board, &worker);
    if (err) return mp_fail(st, err, "mote: joining the node");
    PyObject *capsule = PyCapsule_New(worker, capsule_name, NULL);
    st->member = worker;
    return capsule ? Py_BuildValue("(Niii)", capsule, mote_worker_board(worker), mote_worker_event(worker), mote_worker_blobs(worker)) : NULL;
}

/* worker_channel() -> a descriptor, the caller's */
static PyObject *py_channel(PyObject *module, PyObject *none) {
    int fd;
    (void)none;
    mote_err err = mote_worker_channel(&fd);
    return err ? mp_fail(mp_state_of(module), err, "mote: a channel between workers") : PyLong_FromLong(fd);
}

/* worker_open(membership, peer, channel, event, blobs): takes the descriptors, unless it raises */
static PyObject *py_open(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned peer;
    int channel, event, blobs;
    if (!PyArg_ParseTuple(args, "OIiii", &capsule, &peer, &channel, &event, &blobs)) return NULL;
    mote_worker *worker = worker_of(capsule);
    mote_err err = worker ? mote_worker_open(worker, peer, channel, event, blobs) : MOTE_OK;
    if (!worker) return NULL;
    if (err) return mp_fail(mp_state_of(module), err, "mote: a channel to a worker");
    Py_RETURN_NONE;
}

/* worker_lost(membership, peer, reason) */
static PyObject *py_lost(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *capsule, *reason;
    unsigned peer;
    struct mp_outgoing why;
    if (!p || !PyArg_ParseTuple(args, "OIO", &capsule, &peer, &reason)) return NULL;
    mote_worker *worker = worker_of(capsule);
    if (!worker || mp_encoded(st, reason, &why) < 0) return NULL;
    mote_err err = mote_worker_lost(worker, p->self, peer, why.term);
    mp_outgoing_drop(&why);
    if (err) return mp_fail(st, err, "mote: a worker that has ended");
    Py_RETURN_NONE;
}

/* worker_cut(membership) -> the peer number of a worker that sends nonsense, or 0 */
static PyObject *py_cut(PyObject *module, PyObject *capsule) {
    mote_worker *worker = worker_of(capsule);
    (void)module;
    return worker ? PyLong_FromUnsignedLong(mote_worker_cut(worker)) : NULL;
}

/* worker_idle(membership, number) -> whether it has nothing to do */
static PyObject *py_idle(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned number;
    (void)module;
    if (!PyArg_ParseTuple(args, "OI", &capsule, &number)) return NULL;
    mote_worker *worker = worker_of(capsule);
    return worker ? PyBool_FromLong(mote_worker_idle(worker, number)) : NULL;
}

/* worker_flush(membership) -> whether nothing waits to be sent any more */
static PyObject *py_flush(PyObject *module, PyObject *capsule) {
    mote_worker *worker = worker_of(capsule);
    (void)module;
    return worker ? PyBool_FromLong(mote_worker_flush(worker)) : NULL;
}

/* worker_leave(membership): the node has stopped */
static PyObject *py_leave(PyObject *module, PyObject *capsule) {
    mote_worker *worker = worker_of(capsule);
    if (!worker || PyCapsule_SetName(capsule, "mote worker that has left") < 0) return NULL;
    mp_state_of(module)->member = NULL;
    mote_worker_free(worker);
    Py_RETURN_NONE;
}

/* worker_of(pid) -> the number of the worker that it is a process of */
static PyObject *py_worker_of(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    mote_pid pid;
    if (mp_own_pid_from(st, o, "mote.worker", &pid) < 0) return NULL;
    return PyLong_FromUnsignedLong(mote_worker_number(pid));
}

/* is_awaiting() -> whether the caller waits by await */
static PyObject *py_is_awaiting(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    return p ? PyBool_FromLong(mp_awaits(p)) : NULL;
}

/* may_hold(): the caller may hold the interpreter for long without being told of as a hog */
static PyObject *py_may_hold(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    if (!p) return NULL;
    p->may_hold = true;
    Py_RETURN_NONE;
}

PyMethodDef mp_worker_methods[] = {
    {"may_hold", py_may_hold, METH_NOARGS, NULL},
    {"is_awaiting", py_is_awaiting, METH_NOARGS, NULL},
    {"worker_join", py_join, METH_VARARGS, NULL},
    {"worker_channel", py_channel, METH_NOARGS, NULL},
    {"worker_open", py_open, METH_VARARGS, NULL},
    {"worker_lost", py_lost, METH_VARARGS, NULL},
    {"worker_cut", py_cut, METH_O, NULL},
    {"worker_idle", py_idle, METH_VARARGS, NULL},
    {"worker_flush", py_flush, METH_O, NULL},
    {"worker_leave", py_leave, METH_O, NULL},
    {"worker_of", py_worker_of, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
