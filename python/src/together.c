/* SPDX-License-Identifier: Apache-2.0
 * Life among nodes: the process that keeps a cluster together, functions that other nodes may start and call, and starting them there. Names and defaults are the Python layer's. */
#include "process.h"

#include <mote/cluster.h>
#include <mote/node.h>

/* The texts of a tuple, up to NULL, borrowed from it; to be freed. NULL: error set. */
static const char **texts_of(PyObject *tuple) {
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    const char **texts = PyMem_New(const char *, (size_t)n + 1);
    if (!texts) return PyErr_NoMemory(), NULL;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!(texts[i] = PyUnicode_AsUTF8(PyTuple_GET_ITEM(tuple, i)))) return PyMem_Free(texts), NULL;
    texts[n] = NULL;
    return texts;
}

/* cluster_start(nodes, dns, hosts, prefix, look_ms, retry_ms, retry_ms_max) -> Pid, linked; tuples of str */
static PyObject *py_cluster_start(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *tuples[3];
    const char **texts[3] = {NULL};
    mote_cluster_options o = {0};
    mote_pid pid = {0};
    mote_err err = MOTE_OK;
    bool whole = true;
    if (!p || !PyArg_ParseTuple(args, "O!O!O!sIII", &PyTuple_Type, &tuples[0], &PyTuple_Type, &tuples[1], &PyTuple_Type, &tuples[2], &o.prefix, &o.look_ms, &o.retry_ms, &o.retry_ms_max)) return NULL;
    for (int i = 0; i < 3 && whole; i++) whole = (texts[i] = texts_of(tuples[i])) != NULL;
    o.nodes = texts[0];
    o.dns = texts[1];
    o.hosts = texts[2];
    if (whole) err = mote_cluster_start_link(p->self, &o, &pid);
    for (int i = 0; i < 3; i++) PyMem_Free(texts[i]);
    if (!whole) return NULL;
    if (err == MOTE_EARG) return PyErr_SetString(PyExc_ValueError, "mote.Cluster: nodes are alive@host, dns is alive@name, hosts are names or addresses; 1024 nodes and 32 places at most"), NULL;
    if (err == MOTE_ENOPROC) return PyErr_SetString(st->error, "mote.Cluster: this is no node among others: give it a name, mote.Node(\"name@host\")"), NULL;
    return err ? mp_fail(st, err, "mote.Cluster") : mp_pid_new(st, pid);
}

static PyObject *request_there(PyObject *module, PyObject *args, bool calls) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *names[3], *list;
    mote_term terms[3];
    unsigned options = 0;
    mote_ref ref;
    if (!p || !PyArg_ParseTuple(args, "OOOO!|I", &names[0], &names[1], &names[2], &PyList_Type, &list, &options)) return NULL;
    for (int i = 0; i < 3; i++)
        if (mp_name_of(names[i], "nodes, modules and functions are names", &terms[i]) < 0) return NULL;
    mote_arena *arena = mote_arena_new(0);
    if (!arena) return PyErr_NoMemory();
    mote_term all = mp_to_term(st, arena, list);
    const mote_atom node = {terms[0].word}, where = {terms[1].word}, name = {terms[2].word};
    mote_err err = !all.word ? MOTE_OK : calls ? mote_rpc_start(p->self, node, where, name, all, &ref) : mote_spawn_request(p->self, node, where, name, all, options, &ref);
    mote_arena_free(arena);
    if (!all.word) return NULL;
    if (err == MOTE_ENOPROC) return PyErr_SetString(st->error, "mote: this is no node among others: give it a name, mote.Node(\"name@host\")"), NULL;
    return err ? mp_fail(st, err, calls ? "mote.rpc" : "spawn") : mp_ref_new(st, ref);
}

/* spawn_request(node, module, function, [argument, ...], options) -> Ref: ("spawn_reply", Ref, "ok" or "error", Pid or reason) comes */
static PyObject *py_spawn_request(PyObject *module, PyObject *args) { return request_there(module, args, false); }
/* rpc_start(node, module, function, [argument, ...]) -> Ref: a Down of it comes, with what came of it, or ("spawn_reply", Ref, "error", reason) */
static PyObject *py_rpc_start(PyObject *module, PyObject *args) { return request_there(module, args, true); }

/* export(module, name, function): from now on it can be started and called by nodes that have a right to. It is kept for ever: nobody says when none of its callers is left. */
static PyObject *py_export(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *where, *name, *function;
    mote_term terms[2];
    if (!p || !PyArg_ParseTuple(args, "OOO", &where, &name, &function)) return NULL;
    if (mp_name_of(where, "a module is a name", &terms[0]) < 0 || mp_name_of(name, "a function is a name", &terms[1]) < 0) return NULL;
    if (st->green) return PyErr_SetString(PyExc_NotImplementedError, "mote.export: not where functions run on greenlets"), NULL;
    int coroutine = mp_flavour_of(function);
    if (coroutine) return coroutine < 0 ? NULL : (PyErr_Format(PyExc_TypeError, "mote.export: %R is a coroutine function: export a function", function), NULL);
    const mote_function how = {.call = mp_exported_call, .context = function, .hosted = true};
    mote_err err = mote_export_function(p->self, (mote_atom){terms[0].word}, (mote_atom){terms[1].word}, MOTE_ARITY_ANY, &how);
    if (err == MOTE_EBUSY) return PyErr_Format(PyExc_ValueError, "mote.export: another function is exported as %U:%U", where, name), NULL;
    if (err) return mp_fail(st, err, "mote.export");
    Py_INCREF(function);
    Py_RETURN_NONE;
}

PyMethodDef mp_together_methods[] = {
    {"cluster_start", py_cluster_start, METH_VARARGS, NULL},
    {"spawn_request", py_spawn_request, METH_VARARGS, NULL},
    {"rpc_start", py_rpc_start, METH_VARARGS, NULL},
    {"export", py_export, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
