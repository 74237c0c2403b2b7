/* SPDX-License-Identifier: Apache-2.0
 * The module _mote: its state and what it is made of. */
#include "blob.h"
#include "aio.h"
#include "compat.h"
#include "process.h"

extern struct PyModuleDef mp_module;

/* A class made of Python's own: `name` is "mote.Name". */
static int add_exception(struct mp_state *st, PyObject **slot, const char *name, PyObject *base, const char *doc) {
    *slot = PyErr_NewExceptionWithDoc(name, doc, base, NULL);
    return *slot && PyModule_AddObject(st->module, strrchr(name, '.') + 1, Py_NewRef(*slot)) == 0 ? 0 : -1;
}

/* _set(name, value): what the Python layer gives: classes of system messages and of exceptions with attributes. */
static PyObject *set(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    const char *name;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "sO", &name, &value)) return NULL;
    struct {
        const char *name;
        PyObject **slot;
    } slots[] = {{"Down", &st->down}, {"ExitSignal", &st->exit_signal}, {"ProcessExit", &st->process_exit}, {"Exit", &st->exit}, {"green", &st->green},
                 {"Info", &st->info}, {"NodeUp", &st->node_up}, {"NodeDown", &st->node_down}, {"Told", &st->told}, {"place", &st->place}, {"loading", &st->loading}};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (strcmp(slots[i].name, name) == 0) {
            Py_XSETREF(*slots[i].slot, Py_NewRef(value));
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "nothing is called %s", name);
}

/* NoProc.reason: noproc, unless the process was there and an instance knows why it ended. */
static int no_proc_reason(struct mp_state *st) {
    PyObject *noproc = mp_atom_new(st, "noproc", 6);
    int set = noproc ? PyObject_SetAttrString(st->no_proc, "reason", noproc) : -1;
    Py_XDECREF(noproc);
    return set;
}

static int init(PyObject *module) {
    struct mp_state *st = mp_state_of(module);
    st->module = module;
    if (add_exception(st, &st->error, "mote.MoteError", PyExc_Exception, "What mote could not do, with the name of the error as C has it. The other exceptions are more special.") < 0) return -1;
    if (add_exception(st, &st->no_proc, "mote.NoProc", PyExc_LookupError, "There is no such process, or no such name; .reason says why a server ended instead of answering.") < 0) return -1;
    if (add_exception(st, &st->mailbox_full, "mote.MailboxFull", st->error, "The receiver's mailbox is full, and its policy is to drop what it has no room for.") < 0) return -1;
    if (add_exception(st, &st->not_sendable, "mote.NotSendable", PyExc_TypeError, "A value that cannot be in a message: the text says which, and where it was.") < 0) return -1;
    if (mp_values_init(st) < 0 || mp_pattern_init(st) < 0 || mp_process_init(st) < 0 || mp_aio_init(st) < 0 || mp_server_init(st) < 0) return -1;
    if (no_proc_reason(st) < 0 || PyModule_AddFunctions(module, mp_process_methods) < 0 || PyModule_AddFunctions(module, mp_look_methods) < 0) return -1;
    if (PyModule_AddIntConstant(module, "OWN_STACKS", MP_OWN_STACKS) < 0 || PyModule_AddFunctions(module, mp_aio_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, mp_tree_methods) < 0 || PyModule_AddFunctions(module, mp_codec_methods) < 0 || mp_codec_init(st) < 0 || mp_blob_init(st) < 0) return -1;
    if (PyModule_AddFunctions(module, mp_blob_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, mp_control_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, mp_net_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, mp_node_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, mp_worker_methods) < 0 || PyModule_AddFunctions(module, mp_together_methods) < 0) return -1;
    return PyModule_AddFunctions(module, mp_watch_methods);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    struct mp_state *st = mp_state_of(module);
    if (!st) return 0;
    PyObject *all[] = {(PyObject *)st->atom, (PyObject *)st->pid, (PyObject *)st->ref, (PyObject *)st->pattern, st->error, st->not_sendable, st->process_exit, st->exit,
                       st->no_proc, st->mailbox_full, st->atoms, st->message_types, st->message_tags, st->message_names, st->any, st->skip, st->down,
                       st->exit_signal, st->node_up, st->node_down, st->info, st->stop, st->told, st->place, st->loading, (PyObject *)st->receive, st->receive_any, st->receive_asyncio, (PyObject *)st->process_task, st->green,
                       (PyObject *)st->method, st->gen_call, st->gen_cast, st->system};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) Py_VISIT(all[i]);
    for (size_t i = 0; i < MP_MET; i++) {
        Py_VISIT(st->met_atoms[i]);
        Py_VISIT(st->met_keys[i]);
    }
    return 0;
}

static int clear(PyObject *module) {
    struct mp_state *st = mp_state_of(module);
    if (!st) return 0;
    for (size_t i = 0; i < MP_MET; i++) {
        Py_CLEAR(st->met_atoms[i]);
        Py_CLEAR(st->met_keys[i]);
    }
    Py_CLEAR(st->receive_any);
    Py_CLEAR(st->receive_asyncio);
    Py_CLEAR(st->process_task);
    Py_CLEAR(st->receive);
    Py_CLEAR(st->method);
    Py_CLEAR(st->shared_bytes);
    Py_CLEAR(st->buffer);
    Py_CLEAR(st->atom);
    Py_CLEAR(st->pid);
    Py_CLEAR(st->ref);
    Py_CLEAR(st->pattern);
    PyObject **all[] = {&st->error, &st->not_sendable, &st->process_exit, &st->exit, &st->no_proc, &st->mailbox_full, &st->atoms,
                        &st->message_types, &st->message_tags, &st->message_names, &st->any, &st->skip, &st->down, &st->exit_signal, &st->node_up, &st->node_down, &st->info, &st->stop, &st->told, &st->place, &st->loading, &st->green, &st->gen_call, &st->gen_cast, &st->system};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) Py_CLEAR(*all[i]);
    return 0;
}

static void release(void *module) { clear(module); }

static PyMethodDef methods[] = {{"_set", set, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot slots[] = {{Py_mod_exec, init}, {0, NULL}};
struct PyModuleDef mp_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_mote",
    .m_doc = "The core of mote: use the package mote.",
    .m_size = sizeof(struct mp_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC PyInit__mote(void) { return PyModuleDef_Init(&mp_module); }
