/* SPDX-License-Identifier: Apache-2.0
 * What servers and their clients need of C: methods of proxies, what is known of a process, the core's registries and groups. All else of
 * them is Python's: python/mote/_gen.py and its neighbours. */
#include "process.h"

#include <mote/group.h>
#include <mote/registry.h>
#include <structmember.h>

/* --------------------------------------------------------------------------------------- methods of proxies */

enum way { WAY_CALL, WAY_AWAIT, WAY_CAST, WAYS };

/* A server's method as its callers have it: calling it asks the server. It holds nothing that could hold it. */
struct method {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    struct mp_state *st;
    PyObject *to;      /* a Pid, a name or (name, node) */
    PyObject *name;    /* of the method; an Atom to other nodes, which get a str as bytes */
    PyObject *timeout; /* seconds, or None */
    enum way way;
};

static PyObject *tuple_of(PyObject *first, PyObject *const *args, Py_ssize_t n) {
    Py_ssize_t before = first ? 1 : 0;
    PyObject *tuple = PyTuple_New(before + n);
    if (!tuple) return NULL;
    if (first) PyTuple_SET_ITEM(tuple, 0, Py_NewRef(first));
    for (Py_ssize_t i = 0; i < n; i++) PyTuple_SET_ITEM(tuple, before + i, Py_NewRef(args[i]));
    return tuple;
}

/* A name as the server gets it. */
static PyObject *name_for(const struct method *m, PyObject *name) {
    if (!Py_IS_TYPE(m->name, m->st->atom)) return Py_NewRef(name);
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &size);
    return utf8 ? mp_atom_new(m->st, utf8, size) : NULL;
}

static PyObject *dict_of(const struct method *m, PyObject *names, PyObject *const *values) {
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = name_for(m, PyTuple_GET_ITEM(names, i));
        if (!name || PyDict_SetItem(dict, name, values[i]) < 0) Py_CLEAR(dict);
        Py_XDECREF(name);
    }
    return dict;
}

/* ("name", arguments...), as Erlang has it; with keyword arguments ("$kw", "name", (arguments...), {...}). */
static PyObject *request_of(const struct method *m, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    if (!names || PyTuple_GET_SIZE(names) == 0) return tuple_of(m->name, args, n);
    PyObject *positional = tuple_of(NULL, args, n), *named = positional ? dict_of(m, names, args + n) : NULL;
    PyObject *kw = named ? PyUnicode_FromString("$kw") : NULL, *head = kw ? name_for(m, kw) : NULL;
    PyObject *request = head ? PyTuple_Pack(4, head, m->name, positional, named) : NULL;
    Py_XDECREF(head);
    Py_XDECREF(kw);
    Py_XDECREF(named);
    Py_XDECREF(positional);
    return request;
}

static bool may_wait(const struct mp_proc *p, PyObject *name, bool awaits) {
    if (mp_may_wait(p, awaits)) return true;
    if (awaits) PyErr_Format(PyExc_RuntimeError, ".aio.%U() is for coroutines: in a function use %U() without .aio", name, name);
    else PyErr_Format(PyExc_RuntimeError, "%U() waits, in a coroutine: use `await` and .aio.%U()", name, name);
    return false;
}

/* may_wait(name, awaits): raises RuntimeError when it may not */
static PyObject *py_may_wait(PyObject *module, PyObject *args) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    PyObject *name;
    int awaits;
    if (!p || !PyArg_ParseTuple(args, "Up", &name, &awaits) || !may_wait(p, name, awaits != 0)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *ask(const struct method *m, struct mp_proc *p, PyObject *request) {
    struct wanted want = {0};
    if (mp_deadline_of(m->timeout, &want.deadline_ns) < 0 || mp_call_start(m->st, p, m->to, m->st->gen_call, request, &want) < 0) return NULL;
    return m->way == WAY_CALL ? mp_receive(p, &want) : mp_awaitable(m->st, &want);
}

static PyObject *method_call(PyObject *self, PyObject *const *args, size_t count, PyObject *names) {
    struct method *m = (struct method *)self;
    struct mp_proc *p = mp_caller(m->st);
    if (!p || (m->way != WAY_CAST && !may_wait(p, m->name, m->way == WAY_AWAIT))) return NULL;
    PyObject *request = request_of(m, args, PyVectorcall_NARGS(count), names);
    if (!request) return NULL;
    PyObject *result = m->way != WAY_CAST ? ask(m, p, request) : mp_cast(m->st, p, m->to, request) < 0 ? NULL : Py_NewRef(Py_None);
    Py_DECREF(request);
    return result;
}

static void method_dealloc(PyObject *self) {
    struct method *m = (struct method *)self;
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(m->to);
    Py_XDECREF(m->name);
    Py_XDECREF(m->timeout);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *method_repr(PyObject *self) {
    static const char *const ways[] = {[WAY_CALL] = "call", [WAY_AWAIT] = "awaited call", [WAY_CAST] = "cast"};
    struct method *m = (struct method *)self;
    return PyUnicode_FromFormat("<%s %U of %R>", ways[m->way], m->name, m->to);
}

static PyMemberDef method_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct method, vectorcall), READONLY, NULL},
    {"__name__", T_OBJECT, offsetof(struct method, name), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot method_slots[] = {{Py_tp_dealloc, method_dealloc},
                                     {Py_tp_call, PyVectorcall_Call},
                                     {Py_tp_repr, method_repr},
                                     {Py_tp_members, method_members},
                                     {0, NULL}};
static PyType_Spec method_spec = {"mote._mote.Method", sizeof(struct method), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, method_slots};

static bool is_place(const struct mp_state *st, PyObject *to) {
    if (!PyTuple_CheckExact(to)) return mp_is_pid(st, to) || PyUnicode_Check(to);
    return PyTuple_GET_SIZE(to) == 2 && PyUnicode_Check(PyTuple_GET_ITEM(to, 0)) && PyUnicode_Check(PyTuple_GET_ITEM(to, 1));
}

/* method(to, name, timeout, way): 0 a call, 1 one to be awaited, 2 a cast */
static PyObject *py_method(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    PyObject *to, *name, *timeout;
    int way;
    if (!PyArg_ParseTuple(args, "OUOi", &to, &name, &timeout, &way)) return NULL;
    if (way < 0 || way >= WAYS || !is_place(st, to)) return PyErr_SetString(PyExc_TypeError, "a Pid, a name or (name, node) is needed"), NULL;
    uint64_t ignored;
    if (mp_deadline_of(timeout, &ignored) < 0) return NULL;
    bool here = PyUnicode_Check(to) || (mp_is_pid(st, to) && mp_is_ours(((struct mp_pid *)to)->pid.word));
    PyObject *known = here ? Py_NewRef(name) : PyObject_CallOneArg((PyObject *)st->atom, name);
    struct method *m = known ? PyObject_New(struct method, st->method) : NULL;
    if (!m) return Py_XDECREF(known), NULL;
    m->vectorcall = method_call;
    m->st = st;
    m->to = Py_NewRef(to);
    m->name = known;
    m->timeout = Py_NewRef(timeout);
    m->way = (enum way)way;
    return (PyObject *)m;
}

/* ---------------------------------------------------------------------------------------- registries, groups */

static PyObject *started(struct mp_state *st, mote_err err, mote_pid pid, const char *name) {
    if (err == MOTE_EBUSY && name) return PyErr_Format(PyExc_ValueError, "'%s' is taken", name);
    return err ? mp_fail(st, err, "start_link") : mp_pid_new(st, pid);
}

/* registry_start(name or None, duplicate) -> Pid, linked */
static PyObject *py_registry_start(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    const char *name;
    int duplicate;
    mote_pid pid = {0};
    if (!p || !PyArg_ParseTuple(args, "zp", &name, &duplicate)) return NULL;
    mote_registry_options options = {.name = name, .duplicate = duplicate != 0};
    mote_err err = mote_registry_start_link(p->self, &options, &pid);
    return started(st, err, pid, name);
}

/* group_start(name or None) -> Pid, linked */
static PyObject *py_group_start(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    const char *name;
    mote_pid pid = {0};
    if (!p || !PyArg_ParseTuple(args, "z", &name)) return NULL;
    mote_err err = mote_group_start_link(p->self, name, &pid);
    return started(st, err, pid, name);
}

/* error_name(code): the answers of registries and groups begin with one */
static PyObject *py_error_name(PyObject *module, PyObject *code) {
    long number = PyLong_AsLong(code);
    (void)module;
    if (number == -1 && PyErr_Occurred()) return NULL;
    return PyUnicode_FromString(mote_err_name((mote_err)number));
}

static PyObject *py_share(PyObject *module, PyObject *value) { return mp_share(mp_state_of(module), value); }

static PyMethodDef methods[] = {
    {"method", py_method, METH_VARARGS, NULL},
    {"may_wait", py_may_wait, METH_VARARGS, NULL},
    {"registry_start", py_registry_start, METH_VARARGS, NULL},
    {"group_start", py_group_start, METH_VARARGS, NULL},
    {"error_name", py_error_name, METH_O, NULL},
    {"share", py_share, METH_O, "share(value, /)\n\nThe value as another process would get it; NotSendable."},
    {NULL, NULL, 0, NULL},
};

/* ------------------------------------------------------------------------------------ a server of C's, for tests */

struct sum {
    int64_t n;
};

static mote_next sum_init(mote_self *self, mote_term arg, void *state) {
    (void)self, (void)arg;
    ((struct sum *)state)->n = 1;
    return mote_next_wait();
}

/* {add, K} gives the sum. */
static mote_next sum_call(mote_self *self, mote_term request, mote_term from, void *state) {
    struct sum *s = state;
    int64_t k;
    if (mote_match(request, "{add, ?}", &k)) mote_must(self, mote_reply(self, from, "?", s->n += k));
    else mote_error(self, request);
    return mote_next_wait();
}

static mote_term sum_format(mote_self *self, mote_arena *arena, void *state) {
    (void)self;
    return mote_int_make(arena, ((struct sum *)state)->n);
}

static mote_err sum_replace(mote_self *self, mote_term term, void *state) {
    (void)self;
    return mote_match(term, "?", &((struct sum *)state)->n) ? MOTE_OK : MOTE_ETERM;
}

static const mote_server_module sum_module = {
    .name = "sum", .state_size = sizeof(struct sum), .init = sum_init, .call = sum_call, .format = sum_format, .replace = sum_replace};

/* A thread's process; NULL: error set. The functions of C's clients wait without mp_leave(). */
static struct mp_proc *thread_only(PyObject *module) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    if (!p || p->flavour == THREAD) return p;
    PyErr_SetString(PyExc_RuntimeError, "for threads only");
    return NULL;
}

static PyObject *test_c_server(PyObject *module, PyObject *none) {
    struct mp_proc *p = thread_only(module);
    mote_pid pid = {0};
    mote_err err;
    (void)none;
    if (!p) return NULL;
    Py_BEGIN_ALLOW_THREADS
    err = mote_server_start(p->self, &sum_module, MOTE_TERM_NIL, NULL, &pid, NULL);
    Py_END_ALLOW_THREADS
    return err ? mp_fail(mp_state_of(module), err, "c_server") : mp_pid_new(mp_state_of(module), pid);
}

/* c_ask(what, server): what C's clients get from a server of any language: its state, its status, its statistics, {add, 1}; or its end. */
static PyObject *test_c_ask(PyObject *module, PyObject *args) {
    struct mp_proc *p = thread_only(module);
    struct mp_state *st = mp_state_of(module);
    const char *what;
    PyObject *o;
    mote_term reply = MOTE_TERM_NIL;
    mote_err err = MOTE_EARG;
    if (!p || !PyArg_ParseTuple(args, "sO!", &what, st->pid, &o)) return NULL;
    mote_pid pid = ((struct mp_pid *)o)->pid;
    Py_BEGIN_ALLOW_THREADS
    if (strcmp(what, "state") == 0) err = mote_server_get_state(p->self, pid, 60000, &reply);
    else if (strcmp(what, "status") == 0) err = mote_server_get_status(p->self, pid, 60000, &reply);
    else if (strcmp(what, "statistics") == 0) err = mote_server_statistics(p->self, pid, 60000, &reply);
    else if (strcmp(what, "suspend") == 0) err = mote_server_suspend(p->self, pid, 60000);
    else if (strcmp(what, "resume") == 0) err = mote_server_resume(p->self, pid, 60000);
    else if (strcmp(what, "upgrade") == 0) err = mote_server_upgrade(p->self, pid, 60000, mote_to_name("old"), mote_to_name("extra"));
    else if (strcmp(what, "add") == 0) err = mote_call(p->self, pid, 60000, &reply, "{add, 1}");
    else if (strcmp(what, "stop") == 0) err = mote_server_stop(p->self, pid, mote_to_name("normal"), 60000);
    Py_END_ALLOW_THREADS
    return err ? mp_fail(st, err, "c_ask") : mp_from_term(st, reply);
}

static PyMethodDef testing[] = {
    {"c_server", test_c_server, METH_NOARGS, "c_server() -> Pid: of a server written in C"},
    {"c_ask", test_c_ask, METH_VARARGS, "c_ask(what, server)"},
    {NULL, NULL, 0, NULL},
};

int mp_server_init(struct mp_state *st) {
    st->method = (PyTypeObject *)PyType_FromModuleAndSpec(st->module, &method_spec, NULL);
    st->gen_call = mp_atom_new(st, "$gen_call", 9);
    st->gen_cast = mp_atom_new(st, "$gen_cast", 9);
    st->system = mp_atom_new(st, "system", 6);
    if (!st->method || !st->gen_call || !st->gen_cast || !st->system) return -1;
    return PyModule_AddFunctions(st->module, methods) < 0 ? -1 : mp_testing_add(st, testing);
}
