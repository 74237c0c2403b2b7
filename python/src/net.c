/* SPDX-License-Identifier: Apache-2.0
 * This program as a node among others: its name, which stands in its pids where others read them. Names and defaults are the Python layer's. */
#include "process.h"

#include <mote/node.h>

/* Looked up until the node has a name, which it keeps; a node that stops is not asked any more. */
static void look_up_name(struct mp_node *node) {
    const mote_ref_key *key;
    node->name = mote_host_node(node->rt, &node->creation, &key);
    if (!node->name.word) return;
    mote_atom_hold(node->name);
    node->ref_key = *key;
}

void mp_codec_name(const struct mp_state *st, struct mp_codec *codec) {
    struct mp_node *node = st->node;
    if (node && !node->name.word && !node->stopping) look_up_name(node);
    bool named = node && node->name.word;
    codec->node = (mote_atom){named ? node->name.word : 0};
    codec->creation = named ? node->creation : 0;
    codec->ref_key = named ? &node->ref_key : NULL;
}

PyObject *mp_node_name(struct mp_state *st) {
    struct mp_codec codec;
    mp_codec_name(st, &codec);
    mote_bytes name = mp_name_text(codec.node);
    return mp_atom_new(st, name.data, (Py_ssize_t)name.size);
}

static PyObject *py_node(PyObject *module, PyObject *none) {
    (void)none;
    return mp_node_name(mp_state_of(module));
}

/* ----------------------------------------------------------------------------------------------- starting */

#define WHY_MAX 512

/* What could not be, in words; the caller's options are not in them. */
static PyObject *not_started(struct mp_state *st, mote_err err, const char *why) {
    if (err == MOTE_ENOMEM) return PyErr_NoMemory();
    PyObject *type = err == MOTE_EARG || err == MOTE_ENAME ? PyExc_ValueError : st->error;
    return PyErr_Format(type, "mote.Node: %s (%s)", *why ? why : mote_err_text(err), mote_err_name(err));
}

/* net_start(name, cookie, cookie_file, address, port, epmd_port, no_epmd, visible, insecure, rights, tick_ms, tls, atoms, processes, relations, message, queue, global_names) */
static PyObject *py_start(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_node_options o = {0};
    int no_epmd, visible, insecure, global_names;
    unsigned long long message, queue;
    char why[WHY_MAX] = "";
    mote_err err;
    if (!p || !PyArg_ParseTuple(args, "szzzHHpppIIzIIIKKp", &o.name, &o.cookie, &o.cookie_file, &o.address, &o.port, &o.epmd_port, &no_epmd, &visible, &insecure, &o.rights, &o.tick_ms, &o.tls,
                                &o.atoms_max, &o.processes_max, &o.relations_max, &message, &queue, &global_names))
        return NULL;
    if (p->flavour != THREAD) return PyErr_SetString(st->error, "mote.Node: a process cannot start its own node"), NULL;
    o.no_epmd = no_epmd != 0;
    o.visible = visible != 0;
    o.insecure = insecure != 0;
    o.global_names = global_names != 0;
    o.message_max = (size_t)message;
    o.queue_max = (size_t)queue;
    Py_BEGIN_ALLOW_THREADS
    err = mote_node_start(p->self, &o, why, sizeof why);
    Py_END_ALLOW_THREADS
    if (err) return not_started(st, err, why);
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------------------------------------- certificates */

/* What could not be with files, in words. */
static PyObject *not_made(struct mp_state *st, mote_err err, const char *what, const char *why) {
    if (err == MOTE_ENOMEM) return PyErr_NoMemory();
    PyObject *type = err == MOTE_EARG || err == MOTE_ETERM ? PyExc_ValueError : err == MOTE_EBUSY ? PyExc_FileExistsError : err == MOTE_EOS || err == MOTE_ENOPROC ? PyExc_OSError : st->error;
    return PyErr_Format(type, "%s: %s", what, *why ? why : mote_err_text(err));
}

static PyObject *py_tls_reload(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    char why[WHY_MAX] = "";
    (void)none;
    if (!p) return NULL;
    mote_err err = mote_node_tls_reload(p->self, why, sizeof why); /* some milliseconds: `p` is not left for them */
    if (err == MOTE_ENOPROC) return PyErr_SetString(st->error, "mote.Node.reload_tls: this node has no TLS"), NULL;
    if (err) return not_made(st, err, "mote.Node.reload_tls", why);
    Py_RETURN_NONE;
}

/* cert_make(folder, node, days, renew) */
static PyObject *py_cert_make(PyObject *module, PyObject *args) {
    const char *folder, *node;
    unsigned days;
    int renew;
    char why[WHY_MAX] = "";
    mote_err err;
    if (!PyArg_ParseTuple(args, "ssIp", &folder, &node, &days, &renew)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    err = mote_cert_make(folder, node, days, renew != 0, why, sizeof why);
    Py_END_ALLOW_THREADS
    if (err) return not_made(mp_state_of(module), err, "mote cert", why);
    Py_RETURN_NONE;
}

/* cert_names(file) -> whom its certificate is for: hosts, addresses, erlnode:alive@host */
static PyObject *py_cert_names(PyObject *module, PyObject *o) {
    const char *file = PyUnicode_AsUTF8(o);
    char names[8192], why[WHY_MAX] = "";
    mote_err err;
    if (!file) return NULL;
    Py_BEGIN_ALLOW_THREADS
    err = mote_cert_names(file, names, sizeof names, why, sizeof why);
    Py_END_ALLOW_THREADS
    if (err) return not_made(mp_state_of(module), err, "a certificate cannot be read", why);
    PyObject *text = PyUnicode_DecodeUTF8(names, (Py_ssize_t)strlen(names), "replace"), *lines = text ? PyUnicode_Splitlines(text, 0) : NULL;
    Py_XDECREF(text);
    return lines;
}

/* -------------------------------------------------------------------------------------------------- peers */

/* A node's name. -1: error set. */
static int node_from(PyObject *o, mote_atom *node) {
    mote_term term;
    Py_ssize_t n = PyUnicode_Check(o) ? PyUnicode_GET_LENGTH(o) : 0, at = n ? PyUnicode_FindChar(o, '@', 0, n, 1) : -1;
    if (mp_name_of(o, "a node is a str or an Atom", &term) < 0) return -1;
    if (at < 1 || at == n - 1) return PyErr_Format(PyExc_ValueError, "a node's name is alive@host, not %R", o), -1;
    node->word = term.word;
    return 0;
}

static PyObject *net_fail(struct mp_state *st, mote_err err, const char *doing, PyObject *node) {
    if (err == MOTE_ENOMEM) return PyErr_NoMemory();
    if (err == MOTE_EARG) return PyErr_Format(PyExc_ValueError, "%s: %s (%s)", doing, mote_err_text(err), mote_err_name(err));
    if (mote_host_node(st->node->rt, NULL, NULL).word) return PyErr_Format(PyExc_ConnectionError, "%s: there is no connection to %S", doing, node);
    return PyErr_Format(st->error, "%s: this is no node among others: give it a name, mote.Node(\"name@host\")", doing);
}

/* connect_start(node) -> Ref: ("mote_node", Ref, whether it is connected) comes; or None: it is this node itself. */
static PyObject *py_connect_start(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_atom node;
    mote_ref ref;
    if (!p || node_from(o, &node) < 0) return NULL;
    if (node.word == mote_host_node(p->node->rt, NULL, NULL).word) Py_RETURN_NONE;
    mote_err err = mote_node_connect_start(p->self, node, &ref);
    return err ? net_fail(st, err, "mote.connect", o) : mp_ref_new(st, ref);
}

static PyObject *py_disconnect(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_atom node;
    if (!p || node_from(o, &node) < 0) return NULL;
    mote_err err = mote_node_disconnect(p->self, node);
    if (err) return net_fail(st, err, "mote.disconnect", o);
    Py_RETURN_NONE;
}

/* nodes(hidden): a list that may grow while it is made is asked for again, with more room. */
static PyObject *py_nodes(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_atom *nodes = NULL;
    size_t count = 0, room = 0;
    int hidden = PyObject_IsTrue(o);
    if (!p || hidden < 0) return NULL;
    for (;;) {
        mote_err err = mote_nodes(p->self, hidden != 0, nodes, room, &count);
        if (err) return PyMem_Free(nodes), mp_fail(st, err, "mote.nodes");
        if (count <= room) break;
        room = count + 16;
        PyMem_Free(nodes);
        if (!(nodes = PyMem_New(mote_atom, room))) return PyErr_NoMemory();
    }
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *atom = mp_atom_from(st, nodes[i]);
        if (!atom) Py_CLEAR(list);
        else PyList_SET_ITEM(list, (Py_ssize_t)i, atom);
    }
    PyMem_Free(nodes);
    return list;
}

/* monitor_node(node or None: all, on) */
static PyObject *py_monitor_node(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o;
    int on;
    mote_atom node;
    if (!p || !PyArg_ParseTuple(args, "Op", &o, &on) || (o != Py_None && node_from(o, &node) < 0)) return NULL;
    mote_err err = o == Py_None ? mote_nodes_monitor(p->self, on != 0) : mote_node_monitor(p->self, node, on != 0);
    if (err) return net_fail(st, err, o == Py_None ? "mote.monitor_nodes" : "mote.monitor_node", o);
    Py_RETURN_NONE;
}

/* node_at(node, address, port) */
static PyObject *py_node_at(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o;
    const char *address;
    unsigned short port;
    mote_atom node;
    if (!p || !PyArg_ParseTuple(args, "OsH", &o, &address, &port) || node_from(o, &node) < 0) return NULL;
    mote_err err = mote_node_at(p->self, node, address, port);
    if (err == MOTE_EARG) return PyErr_Format(PyExc_ValueError, "mote.node_at: an IP address and a port are needed, not '%s' and %d", address, (int)port);
    if (err) return net_fail(st, err, "mote.node_at", o);
    Py_RETURN_NONE;
}

/* node_cookie(node, cookie) */
static PyObject *py_node_cookie(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o;
    const char *cookie;
    mote_atom node;
    if (!p || !PyArg_ParseTuple(args, "Os", &o, &cookie) || node_from(o, &node) < 0) return NULL;
    mote_err err = mote_node_cookie(p->self, node, cookie);
    if (err) return net_fail(st, err, "mote.set_cookie", o);
    Py_RETURN_NONE;
}

/* node_rights(node, rights) */
static PyObject *py_node_rights(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o;
    unsigned rights;
    mote_atom node;
    if (!p || !PyArg_ParseTuple(args, "OI", &o, &rights) || node_from(o, &node) < 0) return NULL;
    mote_err err = mote_node_rights(p->self, node, rights);
    if (err) return net_fail(st, err, "mote.allow", o);
    Py_RETURN_NONE;
}

/* node_port() -> where this node listens; 0: it is none */
static PyObject *py_node_port(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    uint16_t port;
    (void)none;
    if (!p) return NULL;
    (void)mote_node_name(p->self, NULL, &port);
    return PyLong_FromLong(port);
}

PyMethodDef mp_net_methods[] = {
    {"node", py_node, METH_NOARGS,
     "node() -> Atom\n\n"
     "The name of this node: nonode@nohost while it has none. As Erlang's node/0."},
    {"net_start", py_start, METH_VARARGS, NULL},
    {"tls_reload", py_tls_reload, METH_NOARGS, NULL},
    {"cert_make", py_cert_make, METH_VARARGS, NULL},
    {"cert_names", py_cert_names, METH_O, NULL},
    {"connect_start", py_connect_start, METH_O, NULL},
    {"disconnect", py_disconnect, METH_O,
     "disconnect(node, /)\n\n"
     "Ends the connection to a node: links and monitors across it tell `noconnection`. ConnectionError when there is none. Never waits. As Erlang's\n"
     "erlang:disconnect_node/1."},
    {"nodes", py_nodes, METH_O, NULL},
    {"monitor_node", py_monitor_node, METH_VARARGS, NULL},
    {"node_at", py_node_at, METH_VARARGS,
     "node_at(node, address, port, /)\n\n"
     "Says where a node listens that no port mapper knows: an IP address and a port. ValueError. Never waits."},
    {"node_cookie", py_node_cookie, METH_VARARGS, NULL},
    {"node_rights", py_node_rights, METH_VARARGS, NULL},
    {"node_port", py_node_port, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
