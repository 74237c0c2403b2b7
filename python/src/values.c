/* SPDX-License-Identifier: Apache-2.0
 * Values: Pid, Ref, Atom and Term; what one process may give another (mp_share), and values as terms and back.
 *
 * What is shared, what is copied (V1: nothing that two processes can reach is mutable):
 * - int, str, bytes, float, complex, bool, None, Atom, Pid, Ref, Term: the same object. Of their subclasses none.
 * - tuple, frozenset, registered messages: the same object when all within is; else made anew. A frozen dataclass with a __dict__ (no slots) is
 *   always made anew, since a __dict__ can be written to.
 * - list, dict, set, bytearray: copied.
 * - memoryview over bytes (or SharedBytes, or a Buffer that was sent; a Buffer itself as well): a new view of the same memory (the view itself can be released, so it is not shared). Every other buffer (an array,
 *   NumPy's too, and views of them): copied once into bytes, and arrives as a read-only memoryview with its format and shape. A read-only view
 *   proves nothing: who made it may hold a writable one. So sending big data again and again costs nothing once it is bytes.
 * - everything else: NotSendable.
 * V2: values nest to MP_DEPTH_MAX levels, in both directions; a cycle is too deep. What a peer sends deeper arrives as a Term from there on.
 * V3: nothing here runs a program's code while it holds a borrowed reference into a mutable container. */
#include "blob.h"
#include "values.h"

#include <string.h>

#define REMEMBER_FROM 1000             /* containers seen, from when on unchanged ones are remembered: shared parts are walked once */
#define PATH_SHOWN 10
#define SHARED_FROM 65                 /* bytes: binaries from here on refer to Python's memory */
#define ATOM_CHARS_MAX 255

#ifndef Py_TPFLAGS_IMMUTABLETYPE
#define Py_TPFLAGS_IMMUTABLETYPE 0
#endif
#define TYPE_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE)

/* A term that no value of Python stands for, in an arena of its own. */
struct term {
    PyObject_HEAD
    mote_arena *arena;
    mote_term term;
};

static PyObject *held(PyObject *o) {
    Py_INCREF(o);
    return o;
}

/* ------------------------------------------------------------------------------------------- the GIL */

#if PY_VERSION_HEX >= 0x030d0000
static bool finalizing(void) { return Py_IsFinalizing() != 0; }
#else
static bool finalizing(void) { return _Py_IsFinalizing() != 0; }
#endif

enum gil { GIL_HELD, GIL_TAKEN, GIL_GONE };

/* While the interpreter ends nobody gets its lock any more: then objects are left alone, and leak. */
static enum gil gil_take(PyGILState_STATE *state) {
    if (!Py_IsInitialized()) return GIL_GONE;
    if (PyGILState_Check()) return GIL_HELD;
    if (finalizing()) return GIL_GONE;
    *state = PyGILState_Ensure();
    return GIL_TAKEN;
}

static void object_hold(void *object) {
    PyGILState_STATE state = PyGILState_UNLOCKED;
    enum gil gil = gil_take(&state);
    if (gil != GIL_GONE) Py_INCREF((PyObject *)object);
    if (gil == GIL_TAKEN) PyGILState_Release(state);
}

static void object_drop(void *object) {
    PyGILState_STATE state = PyGILState_UNLOCKED;
    enum gil gil = gil_take(&state);
    if (gil == GIL_GONE) return;
    if (gil == GIL_HELD && Py_REFCNT((PyObject *)object) > 1) { /* nothing runs */
        Py_DECREF((PyObject *)object);
        return;
    }
    PyObject *type, *value, *trace; /* a finalizer that runs now leaves the caller's error alone */
    PyErr_Fetch(&type, &value, &trace);
    Py_DECREF((PyObject *)object);
    PyErr_Restore(type, value, trace);
    if (gil == GIL_TAKEN) PyGILState_Release(state);
}

void mp_bytes_release(void *data, void *object) {
    (void)data;
    object_drop(object);
}

const mote_host_kind mp_object_kind = {"Python", object_hold, object_drop, mp_far_encode};

/* ------------------------------------------------------------------------------------- Pid, Ref and Term */

PyObject *mp_atom_from(struct mp_state *st, mote_atom atom) {
    size_t size;
    const char *name = mote_atom_name(atom, &size);
    return mp_atom_new(st, name, (Py_ssize_t)size);
}

static PyObject *print_term(mote_term term, const char *before, const char *after) {
    char few[96], *text = few;
    size_t size = mote_term_print(term, few, sizeof few);
    if (size >= sizeof few) {
        text = PyMem_Malloc(size + 1);
        if (!text) return PyErr_NoMemory();
        mote_term_print(term, text, size + 1);
    }
    PyObject *str = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
    if (text != few) PyMem_Free(text);
    if (!str) return NULL;
    PyObject *whole = PyUnicode_FromFormat("%s%U%s", before, str, after);
    Py_DECREF(str);
    return whole;
}

static PyObject *compare_terms(mote_term a, mote_term b, int op) { Py_RETURN_RICHCOMPARE(mote_term_compare(a, b), 0, op); }

/* Equal words hash alike; the words of neighbours differ in few bits. */
static Py_hash_t word_hash(uint64_t word) {
    uint64_t h = (word ^ word >> 29) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    return (Py_hash_t)h == -1 ? -2 : (Py_hash_t)h;
}

/* Of objects without references. */
static void plain_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    return PyErr_Format(PyExc_TypeError, "a %s is not made by its class: the runtime gives it out", type->tp_name);
}

static PyObject *no_reduce(PyObject *self, PyObject *none) {
    (void)none;
    return PyErr_Format(PyExc_TypeError, "cannot pickle a %s: it means something only while its runtime runs; send it in a message instead",
                        Py_TYPE(self)->tp_name);
}

static PyObject *same(PyObject *self, PyObject *memo) {
    (void)memo;
    return held(self);
}

#define IMMUTABLE_METHODS                                                       \
    {"__reduce__", no_reduce, METH_NOARGS, NULL},                               \
    {"__copy__", same, METH_NOARGS, NULL},                                      \
    {"__deepcopy__", same, METH_O, NULL}

/* A Pid or Ref of another node. */
struct far {
    PyObject_HEAD
    uint64_t word; /* where struct mp_pid and mp_ref have theirs */
    mote_far_box box;
};
_Static_assert(offsetof(struct far, word) == offsetof(struct mp_pid, pid) && offsetof(struct far, word) == offsetof(struct mp_ref, ref), "one place for the word");

static struct far *far_new(PyTypeObject *type, mote_atom node) {
    struct far *self = PyObject_Malloc(sizeof *self);
    if (!self) return PyErr_NoMemory(), (struct far *)NULL;
    (void)PyObject_Init((PyObject *)self, type);
    mote_atom_hold(node);
    return self;
}

static void identity_dealloc(PyObject *self) {
    mote_far far;
    if (mote_far_get((mote_term){((struct far *)self)->word}, &far)) mote_atom_drop(far.node);
    plain_dealloc(self);
}

/* The name of the node it is of. */
static PyObject *identity_node(PyObject *self, void *closure) {
    mote_far far;
    PyObject *module = PyType_GetModule(Py_TYPE(self));
    (void)closure;
    if (!module) return NULL;
    if (!mote_far_get((mote_term){((struct far *)self)->word}, &far)) return mp_node_name(mp_state_of(module));
    return mp_atom_from(mp_state_of(module), far.node);
}

static PyObject *identity_sizeof(PyObject *self, PyObject *none) {
    (void)none;
    return PyLong_FromSize_t(mp_is_ours(((struct far *)self)->word) ? sizeof(struct mp_pid) : sizeof(struct far));
}

static mote_term pid_term(PyObject *self) { return mote_pid_term(((struct mp_pid *)self)->pid); }
static mote_term ref_term(PyObject *self) { return mote_ref_term(((struct mp_ref *)self)->ref); }
static PyObject *pid_repr(PyObject *self) { return print_term(pid_term(self), "", ""); }
static PyObject *ref_repr(PyObject *self) { return print_term(ref_term(self), "", ""); }
static Py_hash_t identity_hash(PyObject *self) {
    uint64_t word = ((struct far *)self)->word;
    return word_hash(mp_is_ours(word) ? word : mote_term_hash((mote_term){word}));
}

static PyObject *pid_compare(PyObject *a, PyObject *b, int op) {
    if (Py_TYPE(a) != Py_TYPE(b)) Py_RETURN_NOTIMPLEMENTED;
    return compare_terms(pid_term(a), pid_term(b), op);
}

static PyObject *ref_compare(PyObject *a, PyObject *b, int op) {
    if (Py_TYPE(a) != Py_TYPE(b)) Py_RETURN_NOTIMPLEMENTED;
    return compare_terms(ref_term(a), ref_term(b), op);
}

static PyGetSetDef pid_getset[] = {{"node", identity_node, NULL, "The name of its node: nonode@nohost while this one has none.", NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyGetSetDef ref_getset[] = {{"node", identity_node, NULL, "The name of the node that has made it.", NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyMethodDef pid_methods[] = {
    IMMUTABLE_METHODS,
    {"__sizeof__", identity_sizeof, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Pid[M]: who takes messages of type M, for type checkers."},
    {NULL, NULL, 0, NULL},
};
static PyMethodDef ref_methods[] = {IMMUTABLE_METHODS, {"__sizeof__", identity_sizeof, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyType_Slot pid_slots[] = {
    {Py_tp_doc, "A process, of this node or another: immutable, hashable, ordered. It is never reused; what is sent to one that has ended reaches nobody."},
    {Py_tp_new, no_new},          {Py_tp_dealloc, identity_dealloc},  {Py_tp_repr, pid_repr}, {Py_tp_hash, identity_hash},
    {Py_tp_richcompare, pid_compare}, {Py_tp_methods, pid_methods}, {Py_tp_getset, pid_getset}, {0, NULL},
};
static PyType_Slot ref_slots[] = {
    {Py_tp_doc, "A unique reference: immutable, hashable, ordered."},
    {Py_tp_new, no_new},          {Py_tp_dealloc, identity_dealloc},  {Py_tp_repr, ref_repr}, {Py_tp_hash, identity_hash},
    {Py_tp_richcompare, ref_compare}, {Py_tp_methods, ref_methods}, {Py_tp_getset, ref_getset}, {0, NULL},
};
static PyType_Spec pid_spec = {"mote.Pid", sizeof(struct mp_pid), 0, TYPE_FLAGS, pid_slots};
static PyType_Spec ref_spec = {"mote.Ref", sizeof(struct mp_ref), 0, TYPE_FLAGS, ref_slots};

static PyObject *far_pid_new(struct mp_state *st, const mote_far *far) {
    struct far *self = far_new(st->pid, far->node);
    if (self) self->word = mote_far_pid_make(&self->box, far).word;
    return (PyObject *)self;
}

static PyObject *far_ref_new(struct mp_state *st, const mote_far *far) {
    struct far *self = far_new(st->ref, far->node);
    if (self) self->word = mote_far_ref_make(&self->box, far).word;
    return (PyObject *)self;
}

PyObject *mp_pid_new(struct mp_state *st, mote_pid pid) {
    mote_far far;
    if (mote_far_get(mote_pid_term(pid), &far)) return far_pid_new(st, &far);
    struct mp_pid *self = PyObject_New(struct mp_pid, st->pid);
    if (self) self->pid = pid;
    return (PyObject *)self;
}

PyObject *mp_ref_new(struct mp_state *st, mote_ref ref) {
    mote_far far;
    if (mote_far_get(mote_ref_term(ref), &far)) return far_ref_new(st, &far);
    struct mp_ref *self = PyObject_New(struct mp_ref, st->ref);
    if (self) self->ref = ref;
    return (PyObject *)self;
}

/* Puts methods into Pid's class, before anybody uses it. They get their state by METH_METHOD, or by mp_state_of(PyType_GetModule(Py_TYPE(self))). */
int mp_pid_methods_add(struct mp_state *st, PyMethodDef *methods) {
    for (PyMethodDef *def = methods; def->ml_name; def++) {
        PyObject *method = PyDescr_NewMethod(st->pid, def);
        int failed = !method || PyDict_SetItemString(st->pid->tp_dict, def->ml_name, method) < 0;
        Py_XDECREF(method);
        if (failed) return -1;
    }
    PyType_Modified(st->pid);
    return 0;
}

static void term_dealloc(PyObject *self) {
    mote_arena_free(((struct term *)self)->arena);
    plain_dealloc(self);
}

bool mp_is_term(PyObject *o) { return Py_TYPE(o)->tp_dealloc == term_dealloc; }
static mote_term term_term(PyObject *self) { return ((struct term *)self)->term; }
static PyObject *term_repr(PyObject *self) { return print_term(term_term(self), "Term(", ")"); }
static PyObject *term_str(PyObject *self) { return print_term(term_term(self), "", ""); }
static Py_hash_t term_hash(PyObject *self) { return word_hash(mote_term_hash(term_term(self))); }

static PyObject *term_compare(PyObject *a, PyObject *b, int op) {
    if (Py_TYPE(a) != Py_TYPE(b)) Py_RETURN_NOTIMPLEMENTED;
    if (op == Py_EQ || op == Py_NE) return PyBool_FromLong(mote_term_same(term_term(a), term_term(b)) == (op == Py_EQ));
    return compare_terms(term_term(a), term_term(b), op);
}

static PyMethodDef term_methods[] = {IMMUTABLE_METHODS, {NULL, NULL, 0, NULL}};
static PyType_Slot term_slots[] = {
    {Py_tp_doc, "An Erlang term that is no value of Python's: a port, a function, a bitstring, an improper list, a map whose keys "
                "are not hashable or equal in Python, or what is nested too deep. It can be printed, compared and sent."},
    {Py_tp_new, no_new},     {Py_tp_dealloc, term_dealloc},      {Py_tp_repr, term_repr},       {Py_tp_str, term_str},
    {Py_tp_hash, term_hash}, {Py_tp_richcompare, term_compare}, {Py_tp_methods, term_methods}, {0, NULL},
};
static PyType_Spec term_spec = {"mote.Term", sizeof(struct term), 0, TYPE_FLAGS, term_slots};

/* The class stands in the module; rarely needed, so it has no place in the state. */
static PyTypeObject *term_type(struct mp_state *st) {
    PyObject *type = PyDict_GetItemString(PyModule_GetDict(st->module), "Term");
    if (type && PyType_Check(type) && ((PyTypeObject *)type)->tp_dealloc == term_dealloc) return (PyTypeObject *)type;
    PyErr_SetString(PyExc_SystemError, "_mote.Term is gone");
    return NULL;
}

PyObject *mp_term_new(struct mp_state *st, mote_term term) {
    mote_arena *arena = mote_arena_new(0);
    mote_term copy = arena ? mote_term_copy(arena, term) : MOTE_TERM_NONE;
    if (copy.word) return mp_term_take(st, arena, copy);
    mote_arena_free(arena);
    return PyErr_NoMemory();
}

PyObject *mp_term_take(struct mp_state *st, mote_arena *arena, mote_term term) {
    PyTypeObject *type = term_type(st);
    struct term *self = type ? PyObject_New(struct term, type) : NULL;
    if (!self) {
        mote_arena_free(arena);
        return NULL;
    }
    self->arena = arena;
    self->term = term;
    return (PyObject *)self;
}

mote_term mp_term_of(PyObject *term) { return term_term(term); }

/* ---------------------------------------------------------------------------------------------- Atom */

static void atom_dealloc(PyObject *self) {
    struct mp_atom *atom = (struct mp_atom *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject *error_type, *value, *trace;
    PyErr_Fetch(&error_type, &value, &trace);
    if (atom->table && PyDict_DelItem(atom->table, atom->name) < 0) PyErr_Clear(); /* emptied when the module ended */
    PyErr_Restore(error_type, value, trace);
    Py_XDECREF(atom->table);
    Py_XDECREF(atom->name);
    PyUnicode_Type.tp_dealloc(self);
    Py_DECREF(type);
}

static PyObject *atom_repr(PyObject *self) { return PyUnicode_FromFormat("Atom(%R)", ((struct mp_atom *)self)->name); }
static PyObject *atom_reduce(PyObject *self, PyObject *none) {
    (void)none;
    return Py_BuildValue("O(O)", Py_TYPE(self), ((struct mp_atom *)self)->name);
}
static PyObject *atom_name(PyObject *self, void *closure) {
    (void)closure;
    return held(((struct mp_atom *)self)->name);
}

/* An Atom that is not in the table yet. Borrows `name`, an exact str. */
static PyObject *atom_make(struct mp_state *st, PyObject *name) {
    if (PyUnicode_GET_LENGTH(name) > ATOM_CHARS_MAX) {
        PyErr_Format(PyExc_ValueError, "an atom has at most %d characters, this one %zd", ATOM_CHARS_MAX, PyUnicode_GET_LENGTH(name));
        return NULL;
    }
    if (!PyUnicode_AsUTF8AndSize(name, NULL)) return NULL; /* lone surrogates */
    PyObject *args = PyTuple_Pack(1, name);
    PyObject *self = args ? PyUnicode_Type.tp_new(st->atom, args, NULL) : NULL;
    Py_XDECREF(args);
    if (!self) return NULL;
    PyObject *address = PyLong_FromVoidPtr(self);
    struct mp_atom *atom = (struct mp_atom *)self;
    atom->name = held(name);
    if (address && PyDict_SetItem(st->atoms, name, address) == 0) atom->table = held(st->atoms);
    Py_XDECREF(address);
    if (!atom->table) Py_CLEAR(self);
    return self;
}

PyObject *mp_atom_of(struct mp_state *st, PyObject *name) {
    PyObject *address = PyDict_GetItemWithError(st->atoms, name);
    if (address) return held(PyLong_AsVoidPtr(address));
    return PyErr_Occurred() ? NULL : atom_make(st, name);
}

static PyObject *atom_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *name;
    if (kwargs && PyDict_GET_SIZE(kwargs)) return PyErr_Format(PyExc_TypeError, "Atom() takes no keyword arguments");
    if (!PyArg_ParseTuple(args, "U:Atom", &name)) return NULL;
    if (Py_IS_TYPE(name, type)) return held(name);
    name = PyUnicode_FromObject(name); /* exact */
    PyObject *module = name ? PyType_GetModule(type) : NULL;
    PyObject *atom = module ? mp_atom_of(mp_state_of(module), name) : NULL;
    Py_XDECREF(name);
    return atom;
}

PyObject *mp_atom_new(struct mp_state *st, const char *name, Py_ssize_t size) {
    PyObject *str = PyUnicode_DecodeUTF8(name, size, "strict");
    PyObject *atom = str ? mp_atom_of(st, str) : NULL;
    Py_XDECREF(str);
    return atom;
}

static PyMethodDef atom_methods[] = {
    {"__reduce__", atom_reduce, METH_NOARGS, NULL},
    {"__copy__", same, METH_NOARGS, NULL},
    {"__deepcopy__", same, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef atom_getset[] = {{"name", atom_name, NULL, "The same letters as a plain str.", NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot atom_slots[] = {
    {Py_tp_doc, "Atom(name): a name that is its own value, as Erlang's atoms. Equal to the str of the same letters; one object for each name."},
    {Py_tp_new, atom_new},         {Py_tp_dealloc, atom_dealloc}, {Py_tp_repr, atom_repr},
    {Py_tp_methods, atom_methods}, {Py_tp_getset, atom_getset},   {0, NULL},
};
static PyType_Spec atom_spec = {"mote.Atom", sizeof(struct mp_atom), 0, TYPE_FLAGS, atom_slots};

/* --------------------------------------------------------------------------- what cannot be sent, and where */

void *mp_refuse(struct mp_walk *w, PyObject *v, const char *why) {
    w->offender = held(v);
    w->why = why;
    return NULL;
}

static bool has(PyObject *o, const char *name) {
    PyObject *value = PyObject_GetAttrString(o, name);
    if (!value) PyErr_Clear();
    Py_XDECREF(value);
    return value != NULL;
}

const char *mp_advice(PyObject *v) {
    PyObject *type = (PyObject *)Py_TYPE(v);
    if (PyType_Check(v)) return "a class is not sent; send its name";
    if (has(type, "__members__")) return "of a member of an enum send .value or .name";
    if (PyTuple_Check(v) && has(type, "_fields")) return "register its class with @mote.message, or send tuple(x)";
    if (has(type, "__dataclass_fields__")) return "register its class with @mote.message, above @dataclass(frozen=True, slots=True)";
    if (PyTuple_Check(v) || PyLong_Check(v) || PyUnicode_Check(v) || PyBytes_Check(v) || PyFloat_Check(v) || PyList_Check(v) || PyDict_Check(v) ||
        PyAnySet_Check(v) || PyByteArray_Check(v))
        return "it is a subclass of a built-in class, which could hold anything; send the built-in value";
    if (PyExceptionInstance_Check(v)) return "send its text: repr(x), or that of the traceback module";
    if (PyCallable_Check(v)) return "code is not sent; send a name that the receiver knows";
    return "send what it is made of (numbers, text, bytes, tuples, lists, dicts, sets, pids), or let one process own it and ask that one";
}

/* Adds a step of the path, or drops the reference; without memory the path is shorter. Takes `step`. */
static void note(struct mp_walk *w, PyObject *step) {
    if (!w->path) w->path = PyList_New(0);
    if (!step || !w->path || PyList_Append(w->path, step) < 0) PyErr_Clear();
    Py_XDECREF(step);
}

void mp_at_index(struct mp_walk *w, Py_ssize_t i) {
    if (w->offender) note(w, PyUnicode_FromFormat("[%zd]", i));
}

void mp_at_field(struct mp_walk *w, PyObject *names, Py_ssize_t i) {
    if (!w->offender) return;
    if (names && i < PyTuple_GET_SIZE(names)) note(w, PyUnicode_FromFormat(".%U", PyTuple_GET_ITEM(names, i)));
    else mp_at_index(w, i);
}

void mp_at_text(struct mp_walk *w, const char *text) {
    if (w->offender) note(w, PyUnicode_FromString(text));
}

void mp_at_key(struct mp_walk *w, PyObject *key) {
    if (!w->offender) return;
    if (mp_is_plain(w->st, key)) note(w, PyUnicode_FromFormat("[%.60R]", key));
    else note(w, PyUnicode_FromFormat("[<%s>]", Py_TYPE(key)->tp_name));
}

static void *too_deep(struct mp_walk *w, PyObject *v) { return mp_refuse(w, v, NULL); }

static PyObject *path_text(struct mp_walk *w) {
    PyObject *steps = w->path ? held(w->path) : PyList_New(0);
    if (!steps) return NULL;
    int ok = PyList_Reverse(steps) == 0;
    Py_ssize_t n = PyList_GET_SIZE(steps);
    if (ok && n > PATH_SHOWN) ok = PyList_SetSlice(steps, PATH_SHOWN, n, NULL) == 0;
    PyObject *empty = ok ? PyUnicode_FromString("") : NULL;
    PyObject *joined = empty ? PyUnicode_Join(empty, steps) : NULL;
    PyObject *text = joined ? PyUnicode_FromFormat("message%U%s", joined, n > PATH_SHOWN ? "..." : "") : NULL;
    Py_XDECREF(joined);
    Py_XDECREF(empty);
    Py_DECREF(steps);
    return text;
}

/* Turns what was noted into the error, unless one is set; frees what the walk has. */
void mp_walk_end(struct mp_walk *w) {
    if (w->offender && !PyErr_Occurred()) {
        PyObject *path = path_text(w), *type = (PyObject *)Py_TYPE(w->offender);
        if (path && w->why) PyErr_Format(w->st->not_sendable, "%U: cannot send %R: %s", path, type, w->why);
        else if (path) PyErr_Format(PyExc_RecursionError, "%U: nested deeper than %d levels, or it contains itself", path, MP_DEPTH_MAX);
        Py_XDECREF(path);
    }
    Py_CLEAR(w->offender);
    Py_CLEAR(w->path);
    Py_CLEAR(w->known);
}

/* -------------------------------------------------------------------------------------- registered messages */

/* What message() wrote down of a class: (tag, names), borrowed. NULL: not registered, or an error is set. */
PyObject *mp_message_info(struct mp_state *st, PyTypeObject *type) {
    return PyDict_GET_SIZE(st->message_types) ? PyDict_GetItemWithError(st->message_types, (PyObject *)type) : NULL;
}

static bool is_registered(struct mp_state *st, PyObject *v, PyObject **names) {
    PyObject *info = mp_message_info(st, Py_TYPE(v));
    if (info) *names = PyTuple_GET_ITEM(info, 1);
    return info != NULL;
}

/* The NamedTuples of the Python layer have their tag as a field, so they are the tuples that everybody else sees. */
bool mp_is_system_message(const struct mp_state *st, PyObject *v) {
    PyObject *type = (PyObject *)Py_TYPE(v);
    return (type == st->down || type == st->exit_signal || type == st->node_up || type == st->node_down) && PyTuple_Check(v);
}

/* The fields of a message as a tuple. Gives. */
PyObject *mp_message_fields(PyObject *v, PyObject *names) {
    Py_ssize_t n = PyTuple_GET_SIZE(names);
    PyObject *fields = PyTuple_New(n);
    for (Py_ssize_t i = 0; fields && i < n; i++) {
        PyObject *field = PyTuple_Check(v) ? PySequence_GetItem(v, i) : PyObject_GetAttr(v, PyTuple_GET_ITEM(names, i));
        if (!field) Py_CLEAR(fields);
        else PyTuple_SET_ITEM(fields, i, field);
    }
    return fields;
}

static int fields_set(PyObject *object, PyObject *names, PyObject *fields) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++)
        if (PyObject_GenericSetAttr(object, PyTuple_GET_ITEM(names, i), PyTuple_GET_ITEM(fields, i)) < 0) return -1;
    return 0;
}

/* An object of a registered class with these fields (an exact tuple); none of its code runs. */
PyObject *mp_message_make(PyTypeObject *type, PyObject *names, PyObject *fields) {
    bool tuple = PyType_IsSubtype(type, &PyTuple_Type);
    PyObject *args = tuple ? PyTuple_Pack(1, fields) : PyTuple_New(0);
    PyObject *object = args ? (tuple ? &PyTuple_Type : &PyBaseObject_Type)->tp_new(type, args, NULL) : NULL;
    Py_XDECREF(args);
    if (object && !tuple && fields_set(object, names, fields) < 0) Py_CLEAR(object);
    return object;
}

/* ------------------------------------------------------------------------------------------------- sharing */

static PyObject *share(struct mp_walk *w, PyObject *v);

/* The rest of a tuple's copy: elements before `first` are shared as they are, `copy` (taken) is that of `first`. */
static PyObject *tuple_copy(struct mp_walk *w, PyObject *v, PyObject *names, Py_ssize_t first, PyObject *copy) {
    Py_ssize_t n = PyTuple_GET_SIZE(v);
    PyObject *to = PyTuple_New(n);
    if (!to) {
        Py_DECREF(copy);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < first; i++) PyTuple_SET_ITEM(to, i, held(PyTuple_GET_ITEM(v, i)));
    PyTuple_SET_ITEM(to, first, copy);
    for (Py_ssize_t i = first + 1; i < n; i++) {
        PyObject *one = share(w, PyTuple_GET_ITEM(v, i));
        if (!one) {
            mp_at_field(w, names, i);
            Py_DECREF(to);
            return NULL;
        }
        PyTuple_SET_ITEM(to, i, one);
    }
    return to;
}

/* Of a tuple, or of a NamedTuple whose fields are `names` (then an exact tuple when anything was copied). */
static PyObject *share_tuple(struct mp_walk *w, PyObject *v, PyObject *names) {
    Py_ssize_t n = PyTuple_GET_SIZE(v);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *one = PyTuple_GET_ITEM(v, i);
        if (mp_is_plain(w->st, one)) continue;
        PyObject *copy = share(w, one);
        if (!copy) {
            mp_at_field(w, names, i);
            return NULL;
        }
        if (copy != one) return tuple_copy(w, v, names, i, copy);
        Py_DECREF(copy);
    }
    return held(v);
}

static PyObject *share_message(struct mp_walk *w, PyObject *v, PyObject *names) {
    PyTypeObject *type = Py_TYPE(v);
    bool tuple = PyTuple_Check(v);
    PyObject *fields = tuple ? held(v) : mp_message_fields(v, names);
    PyObject *shared = fields ? share_tuple(w, fields, names) : NULL;
    PyObject *result = NULL;
    if (shared && shared == fields && (tuple || type->tp_dictoffset == 0)) result = held(v);
    else if (shared) result = mp_message_make(type, names, shared);
    Py_XDECREF(shared);
    Py_XDECREF(fields);
    return result;
}

static PyObject *share_item(struct mp_walk *w, PyObject *list, Py_ssize_t i) {
    if (i >= PyList_GET_SIZE(list)) return PyErr_Format(PyExc_RuntimeError, "a list changed while it was being sent");
    PyObject *one = held(PyList_GET_ITEM(list, i));
    if (mp_is_plain(w->st, one)) return one;
    PyObject *copy = share(w, one);
    Py_DECREF(one);
    return copy;
}

static PyObject *share_list(struct mp_walk *w, PyObject *v) {
    Py_ssize_t n = PyList_GET_SIZE(v);
    PyObject *to = PyList_New(n);
    for (Py_ssize_t i = 0; to && i < n; i++) {
        PyObject *copy = share_item(w, v, i);
        if (copy) {
            PyList_SET_ITEM(to, i, copy);
            continue;
        }
        mp_at_index(w, i);
        Py_CLEAR(to);
    }
    return to;
}

/* A dict of our own, made anew because keys have to be copied. */
static PyObject *dict_anew(struct mp_walk *w, PyObject *v) {
    PyObject *to = PyDict_New(), *key, *value;
    Py_ssize_t at = 0;
    while (to && PyDict_Next(v, &at, &key, &value)) {
        PyObject *k = share(w, key), *c = k ? share(w, value) : NULL;
        if (!k) mp_at_text(w, ".keys()");
        else if (!c) mp_at_key(w, key);
        if (!c || PyDict_SetItem(to, k, c) < 0) Py_CLEAR(to);
        Py_XDECREF(k);
        Py_XDECREF(c);
    }
    return to;
}

/* 1: the key is shared as it is; 0: it must be copied; -1. */
static int key_shared(struct mp_walk *w, PyObject *key) {
    if (mp_is_plain(w->st, key)) return 1;
    PyObject *copy = share(w, key);
    if (!copy) {
        mp_at_text(w, ".keys()");
        return -1;
    }
    Py_DECREF(copy);
    return copy == key;
}

/* The copy is ours alone, so nobody changes it while we walk it (V3). */
static PyObject *share_dict(struct mp_walk *w, PyObject *v) {
    PyObject *to = PyDict_Copy(v), *key, *value;
    Py_ssize_t at = 0;
    while (to && PyDict_Next(to, &at, &key, &value)) {
        int shared = key_shared(w, key);
        if (shared <= 0) {
            PyObject *anew = shared == 0 ? dict_anew(w, to) : NULL;
            Py_DECREF(to);
            return anew;
        }
        if (mp_is_plain(w->st, value)) continue;
        PyObject *copy = share(w, value);
        if (!copy) mp_at_key(w, key);
        if (!copy || (copy != value && PyDict_SetItem(to, key, copy) < 0)) Py_CLEAR(to);
        Py_XDECREF(copy);
    }
    return to;
}

static PyObject *share_set(struct mp_walk *w, PyObject *v) {
    bool frozen = Py_IS_TYPE(v, &PyFrozenSet_Type), changed = false;
    PyObject *items = PySequence_List(v);
    for (Py_ssize_t i = 0; items && i < PyList_GET_SIZE(items); i++) {
        PyObject *one = PyList_GET_ITEM(items, i), *copy = share(w, one);
        if (!copy) {
            mp_at_text(w, "{...}");
            Py_CLEAR(items);
            break;
        }
        changed |= copy != one;
        PyList_SetItem(items, i, copy);
    }
    if (!items) return NULL;
    PyObject *to = frozen && !changed ? held(v) : frozen ? PyFrozenSet_New(items) : PySet_New(items);
    Py_DECREF(items);
    return to;
}

/* A view of the bytes with a format and shape. NULL without an error: memoryview knows no such format. Takes `bytes`. */
PyObject *mp_view_cast(PyObject *bytes, const Py_buffer *b) {
    PyObject *view = bytes ? PyMemoryView_FromObject(bytes) : NULL;
    Py_XDECREF(bytes);
    const char *format = b->format ? b->format : "B";
    if (!view || (b->ndim == 1 && strcmp(format, "B") == 0)) return view;
    PyObject *shape = PyList_New(0);
    bool empty = b->len == 0;
    for (int i = 0; shape && i < b->ndim; i++) {
        PyObject *n = PyLong_FromSsize_t(b->shape[i]);
        if (!n || PyList_Append(shape, n) < 0) Py_CLEAR(shape);
        Py_XDECREF(n);
    }
    PyObject *cast = !shape ? NULL : empty || b->ndim == 1 ? PyObject_CallMethod(view, "cast", "s", format)
                                                           : PyObject_CallMethod(view, "cast", "sO", format, shape);
    Py_XDECREF(shape);
    Py_DECREF(view);
    if (!cast && !PyErr_ExceptionMatches(PyExc_MemoryError)) PyErr_Clear();
    return cast;
}

static PyObject *share_buffer(struct mp_walk *w, PyObject *v) {
    Py_buffer b;
    if (mp_is_buffer(w->st, v) && mp_buffer_seal(v)) return PyMemoryView_FromObject(v);
    if (PyObject_GetBuffer(v, &b, PyBUF_FULL_RO) < 0) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError)) return NULL;
        PyErr_Clear();
        return mp_refuse(w, v, MP_NO_MEMORY);
    }
    PyObject *view = NULL;
    if (b.ndim == 0) mp_refuse(w, v, MP_ONE_NUMBER);
    else {
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, b.len);
        if (bytes && PyBuffer_ToContiguous(PyBytes_AS_STRING(bytes), &b, b.len, 'C') < 0) Py_CLEAR(bytes);
        view = mp_view_cast(bytes, &b);
        if (!view && !PyErr_Occurred()) mp_refuse(w, v, MP_NO_FORMAT);
    }
    PyBuffer_Release(&b);
    return view;
}

/* A view of what a view shows, whose base may be asked for: a view that was released has none. NULL: refused, or an error is set. */
PyObject *mp_view_of_view(struct mp_walk *w, PyObject *v) {
    PyObject *view = PyMemoryView_FromObject(v);
    if (view || PyErr_ExceptionMatches(PyExc_MemoryError)) return view;
    PyErr_Clear();
    return mp_refuse(w, v, MP_NO_MEMORY);
}

static PyObject *share_view(struct mp_walk *w, PyObject *v) {
    PyObject *view = mp_view_of_view(w, v), *base = view ? PyMemoryView_GET_BASE(view) : NULL;
    if (!view || (base && mp_is_fixed(w->st, base))) return view;
    Py_DECREF(view);
    return share_buffer(w, v);
}

static PyObject *share_other(struct mp_walk *w, PyObject *v) {
    PyObject *names;
    if (is_registered(w->st, v, &names)) return share_message(w, v, names);
    if (PyErr_Occurred()) return NULL;
    if (mp_is_system_message(w->st, v)) return share_message(w, v, NULL);
    if (mp_is_term(v)) return held(v);
    if (PyObject_CheckBuffer(v) && !PyBytes_Check(v) && !PyByteArray_Check(v)) return share_buffer(w, v);
    return mp_refuse(w, v, mp_advice(v));
}

static PyObject *share_container(struct mp_walk *w, PyObject *v) {
    PyTypeObject *t = Py_TYPE(v);
    if (t == &PyTuple_Type) return share_tuple(w, v, NULL);
    if (t == &PyList_Type) return share_list(w, v);
    if (t == &PyDict_Type) return share_dict(w, v);
    if (t == &PySet_Type || t == &PyFrozenSet_Type) return share_set(w, v);
    if (t == &PyByteArray_Type) return PyByteArray_FromStringAndSize(PyByteArray_AS_STRING(v), PyByteArray_GET_SIZE(v));
    if (t == &PyMemoryView_Type) return share_view(w, v);
    return share_other(w, v);
}

/* The same in large messages: what was shared as it is before is so again, without a walk through it. `known` keeps it, so addresses stay its own. */
static PyObject *share_large(struct mp_walk *w, PyObject *v) {
    if (w->containers > MP_COPIES_MAX) return mp_refuse(w, v, "the message holds too many containers, or holds the same ones too often");
    if (!w->known) w->known = PyDict_New();
    PyObject *address = w->known ? PyLong_FromVoidPtr(v) : NULL;
    if (!address) return NULL;
    PyObject *before = PyDict_GetItemWithError(w->known, address), *to = NULL;
    if (before) to = held(before);
    else if (!PyErr_Occurred()) to = share_container(w, v);
    if (to == v && !before && PyDict_SetItem(w->known, address, v) < 0) Py_CLEAR(to);
    Py_DECREF(address);
    return to;
}

static PyObject *share(struct mp_walk *w, PyObject *v) {
    if (mp_is_plain(w->st, v)) return held(v);
    if (w->depth == MP_DEPTH_MAX) return too_deep(w, v);
    w->depth++;
    PyObject *to = ++w->containers > REMEMBER_FROM ? share_large(w, v) : share_container(w, v);
    w->depth--;
    return to;
}

/* A tuple of plain values: most messages are, and need no walk. */
static bool is_flat(const struct mp_state *st, PyObject *v) {
    if (!PyTuple_CheckExact(v)) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(v); i++)
        if (!mp_is_plain(st, PyTuple_GET_ITEM(v, i))) return false;
    return true;
}

static PyObject *share_whole(struct mp_state *st, PyObject *value) {
    struct mp_walk w = {.st = st};
    PyObject *to = share(&w, value);
    if (!to || w.known) mp_walk_end(&w);
    return to;
}

PyObject *mp_share_other(struct mp_state *st, PyObject *value) { return is_flat(st, value) ? held(value) : share_whole(st, value); }

/* --------------------------------------------------------------------------------------- values as terms */

static mote_term term_of(struct mp_walk *w, PyObject *v);

static mote_term term_refuse(struct mp_walk *w, PyObject *v, const char *why) {
    mp_refuse(w, v, why);
    return MOTE_TERM_NONE;
}

/* What a constructor gave; without it memory is out. */
static mote_term made(mote_term term) {
    if (!term.word && !PyErr_Occurred()) PyErr_NoMemory();
    return term;
}

static mote_term term_named(struct mp_walk *w, const char *name) { return made(mote_atom_make_counted(w->arena, name, strlen(name))); }

/* By its own methods: CPython's inner ones differ between versions. */
PyObject *mp_int_magnitude(PyObject *v) {
    PyObject *magnitude = PyNumber_Absolute(v), *bits = magnitude ? PyObject_CallMethod(magnitude, "bit_length", NULL) : NULL;
    size_t size = bits ? (PyLong_AsSize_t(bits) + 7) / 8 : 0;
    PyObject *bytes = bits && size <= (size_t)PY_SSIZE_T_MAX ? PyObject_CallMethod(magnitude, "to_bytes", "ns", (Py_ssize_t)size, "little") : NULL;
    Py_XDECREF(bits);
    Py_XDECREF(magnitude);
    return bytes;
}

/* An int of more than 64 bits. */
static mote_term term_of_big(struct mp_walk *w, PyObject *v, bool negative) {
    PyObject *bytes = mp_int_magnitude(v);
    size_t size = bytes ? (size_t)PyBytes_GET_SIZE(bytes) : 0;
    mote_term term = bytes ? mote_big_make(w->arena, negative, PyBytes_AS_STRING(bytes), size) : MOTE_TERM_NONE;
    if (bytes && !term.word && size > 512 * 1024) mp_refuse(w, v, "Erlang's integers have at most 512 KiB");
    else made(term);
    Py_XDECREF(bytes);
    return term;
}

static mote_term term_of_int(struct mp_walk *w, PyObject *v) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(v, &overflow);
    return overflow ? term_of_big(w, v, overflow < 0) : made(mote_int_make(w->arena, value));
}

static mote_term term_of_float(struct mp_walk *w, PyObject *v) {
    double value = PyFloat_AS_DOUBLE(v);
    if (!Py_IS_FINITE(value)) return term_refuse(w, v, MP_NO_SUCH_FLOAT);
    return made(mote_float_make(w->arena, value));
}

static mote_term term_of_text(struct mp_walk *w, PyObject *v) {
    Py_ssize_t size;
    bool atom = Py_IS_TYPE(v, w->st->atom);
    const char *text = PyUnicode_AsUTF8AndSize(atom ? ((struct mp_atom *)v)->name : v, &size);
    if (text) return made((atom ? mote_atom_make_counted : mote_text_make)(w->arena, text, (size_t)size));
    if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) return MOTE_TERM_NONE;
    PyErr_Clear();
    return term_refuse(w, v, MP_SURROGATES);
}

/* Memory within `bytes`, from `data` on. */
static mote_term term_of_memory(struct mp_walk *w, PyObject *bytes, const void *data, size_t size) {
    if (size < SHARED_FROM) return made(mote_binary_make(w->arena, data, size));
    mote_term term = mote_binary_share(w->arena, data, size, mp_bytes_release, bytes);
    if (term.word) Py_INCREF(bytes);
    return made(term);
}

static mote_term term_of_bytes(struct mp_walk *w, PyObject *bytes) {
    return term_of_memory(w, bytes, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

/* A view of bytes that lies in one piece is not copied; every other buffer is, once. Borrows `view`. */
static mote_term term_of_view(struct mp_walk *w, PyObject *view) {
    PyObject *base = PyMemoryView_GET_BASE(view);
    Py_buffer *b = PyMemoryView_GET_BUFFER(view);
    if (base && mp_is_fixed(w->st, base) && PyBuffer_IsContiguous(b, 'C')) return term_of_memory(w, base, b->buf, (size_t)b->len);
    PyObject *bytes = PyBytes_FromObject(view);
    mote_term term = bytes ? term_of_bytes(w, bytes) : MOTE_TERM_NONE;
    Py_XDECREF(bytes);
    return term;
}

static mote_term term_of_buffer(struct mp_walk *w, PyObject *v) {
    if (mp_is_buffer(w->st, v)) (void)mp_buffer_seal(v);
    PyObject *view = mp_view_of_view(w, v);
    mote_term term = view ? term_of_view(w, view) : MOTE_TERM_NONE;
    Py_XDECREF(view);
    return term;
}

/* A Pid or Ref: a term of its own, for it may outlive the object. */
static mote_term term_of_identity(struct mp_walk *w, PyObject *v) {
    mote_term term = {((struct far *)v)->word};
    return mp_is_ours(term.word) ? term : made(mote_term_copy(w->arena, term));
}

/* Room for terms: few of them on the stack. */
struct room {
    mote_term few[8];
    mote_term *at;
};

static mote_term *room_take(struct room *room, size_t count) {
    room->at = count <= sizeof room->few / sizeof room->few[0] ? room->few : PyMem_Malloc(count * sizeof room->few[0]);
    if (!room->at) PyErr_NoMemory();
    return room->at;
}

static void room_drop(struct room *room) {
    if (room->at != room->few) PyMem_Free(room->at);
}

/* The terms of a tuple's elements. False: an error. */
static bool terms_of(struct mp_walk *w, PyObject *tuple, PyObject *names, mote_term *to) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        to[i] = term_of(w, PyTuple_GET_ITEM(tuple, i));
        if (to[i].word) continue;
        mp_at_field(w, names, i);
        return false;
    }
    return true;
}

/* Of a tuple, with `tag` before its elements when there is one. */
static mote_term term_of_tuple(struct mp_walk *w, PyObject *v, PyObject *tag, PyObject *names) {
    struct room room;
    size_t before = tag ? 1 : 0, count = (size_t)PyTuple_GET_SIZE(v);
    mote_term term = MOTE_TERM_NONE;
    if (!room_take(&room, before + count)) return term;
    if (tag) room.at[0] = term_of_text(w, tag);
    if ((!tag || room.at[0].word) && terms_of(w, v, names, room.at + before)) term = made(mote_tuple_make(w->arena, before + count, room.at));
    room_drop(&room);
    return term;
}

static mote_term term_of_list(struct mp_walk *w, PyObject *v) {
    struct room room;
    PyObject *items = PyList_AsTuple(v); /* V3 */
    mote_term term = MOTE_TERM_NONE;
    if (items && room_take(&room, (size_t)PyTuple_GET_SIZE(items))) {
        if (terms_of(w, items, NULL, room.at)) term = made(mote_list_make(w->arena, (size_t)PyTuple_GET_SIZE(items), room.at, MOTE_TERM_NIL));
        room_drop(&room);
    }
    Py_XDECREF(items);
    return term;
}

static bool pairs_of(struct mp_walk *w, PyObject *dict, mote_term *keys, mote_term *values) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    for (size_t i = 0; PyDict_Next(dict, &at, &key, &value); i++) {
        keys[i] = term_of(w, key);
        if (!keys[i].word) mp_at_text(w, ".keys()");
        else if (!(values[i] = term_of(w, value)).word) mp_at_key(w, key);
        else continue;
        return false;
    }
    return true;
}

static mote_term term_of_dict(struct mp_walk *w, PyObject *v) {
    struct room keys, values;
    PyObject *own = PyDict_Copy(v); /* V3 */
    size_t n = own ? (size_t)PyDict_GET_SIZE(own) : 0;
    mote_term term = MOTE_TERM_NONE;
    if (own && room_take(&keys, n)) {
        if (room_take(&values, n)) {
            if (pairs_of(w, own, keys.at, values.at)) term = made(mote_map_make(w->arena, n, keys.at, values.at));
            room_drop(&values);
        }
        room_drop(&keys);
    }
    Py_XDECREF(own);
    return term;
}

static mote_term term_of_message(struct mp_walk *w, PyObject *v, PyObject *info) {
    PyObject *names = PyTuple_GET_ITEM(info, 1), *fields = mp_message_fields(v, names);
    mote_term term = fields ? term_of_tuple(w, fields, PyTuple_GET_ITEM(info, 0), names) : MOTE_TERM_NONE;
    Py_XDECREF(fields);
    return term;
}

static mote_term term_of_other(struct mp_walk *w, PyObject *v) {
    PyObject *info = mp_message_info(w->st, Py_TYPE(v));
    if (info) return term_of_message(w, v, info);
    if (PyErr_Occurred()) return MOTE_TERM_NONE;
    if (mp_is_system_message(w->st, v)) return term_of_tuple(w, v, NULL, NULL);
    if (mp_is_term(v)) return made(mote_term_copy(w->arena, term_term(v)));
    if (Py_IS_TYPE(v, &PyComplex_Type)) return term_refuse(w, v, MP_NO_COMPLEX);
    if (PyAnySet_CheckExact(v)) return term_refuse(w, v, MP_NO_SET);
    if (PyByteArray_CheckExact(v) || (PyObject_CheckBuffer(v) && !PyBytes_Check(v) && !PyByteArray_Check(v))) return term_of_buffer(w, v);
    return term_refuse(w, v, mp_advice(v));
}

static mote_term term_of_container(struct mp_walk *w, PyObject *v) {
    PyTypeObject *t = Py_TYPE(v);
    if (t == &PyTuple_Type) return term_of_tuple(w, v, NULL, NULL);
    if (t == &PyList_Type) return term_of_list(w, v);
    if (t == &PyDict_Type) return term_of_dict(w, v);
    return term_of_other(w, v);
}

static mote_term term_of(struct mp_walk *w, PyObject *v) {
    PyTypeObject *t = Py_TYPE(v);
    if (t == &PyLong_Type) return term_of_int(w, v);
    if (t == &PyUnicode_Type || t == w->st->atom) return term_of_text(w, v);
    if (t == &PyBytes_Type || t == w->st->shared_bytes) return term_of_bytes(w, v);
    if (t == &PyFloat_Type) return term_of_float(w, v);
    if (t == w->st->pid || t == w->st->ref) return term_of_identity(w, v);
    if (v == Py_None) return term_named(w, "nil");
    if (t == &PyBool_Type) return term_named(w, v == Py_True ? "true" : "false");
    if (w->depth == MP_DEPTH_MAX || ++w->containers > MP_COPIES_MAX) return term_refuse(w, v, w->depth == MP_DEPTH_MAX ? NULL : MP_TOO_MUCH);
    w->depth++;
    mote_term term = term_of_container(w, v);
    w->depth--;
    return term;
}

mote_term mp_to_term(struct mp_state *st, mote_arena *arena, PyObject *value) {
    struct mp_walk w = {.st = st, .arena = arena};
    mote_term term = term_of(&w, value);
    if (!term.word) mp_walk_end(&w);
    return term;
}

/* --------------------------------------------------------------------------------------- terms as values */

static PyObject *value_of(struct mp_state *st, mote_term term, size_t depth);

PyObject *mp_int_of(const void *magnitude, size_t size, bool negative) {
    PyObject *value = PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "y#s", magnitude, (Py_ssize_t)size, "little");
    if (value && negative) Py_SETREF(value, PyNumber_Negative(value));
    return value;
}

static PyObject *value_of_int(mote_term term) {
    int64_t small;
    if (mote_int_get(term, &small) == MOTE_OK) return PyLong_FromLongLong(small);
    bool negative;
    size_t size = 0;
    if (mote_big_get(term, &negative, NULL, 0, &size) != MOTE_ERANGE) return PyErr_Format(PyExc_SystemError, "no integer");
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size), *value = NULL;
    if (bytes && mote_big_get(term, &negative, PyBytes_AS_STRING(bytes), size, &size) == MOTE_OK)
        value = mp_int_of(PyBytes_AS_STRING(bytes), size, negative);
    Py_XDECREF(bytes);
    return value;
}

static PyObject *value_of_atom(struct mp_state *st, mote_term term) {
    mote_atom atom = {term.word};
    size_t size;
    const char *name = mote_atom_name(atom, &size);
    if (size == 4 && memcmp(name, "true", 4) == 0) Py_RETURN_TRUE;
    if (size == 5 && memcmp(name, "false", 5) == 0) Py_RETURN_FALSE;
    if (size == 3 && memcmp(name, "nil", 3) == 0) Py_RETURN_NONE;
    return mp_atom_new(st, name, (Py_ssize_t)size);
}

static PyObject *value_of_bytes(struct mp_state *st, mote_term term, bool text) {
    mote_bytes bytes;
    if (mote_bytes_get(term, &bytes) != MOTE_OK) return mp_term_new(st, term);
    return text ? PyUnicode_DecodeUTF8(bytes.data, (Py_ssize_t)bytes.size, "strict") : PyBytes_FromStringAndSize(bytes.data, (Py_ssize_t)bytes.size);
}

/* The object of a registered class for a tuple that begins with its tag, else the tuple. Takes and gives. */
PyObject *mp_tuple_as_message(struct mp_state *st, PyObject *tuple) {
    PyObject *key = Py_BuildValue("(On)", PyTuple_GET_ITEM(tuple, 0), PyTuple_GET_SIZE(tuple)), *result = NULL;
    PyObject *type = key ? PyDict_GetItemWithError(st->message_tags, key) : NULL;
    Py_XDECREF(key);
    PyObject *info = type ? PyDict_GetItemWithError(st->message_types, type) : NULL;
    if (!info) return PyErr_Occurred() ? (Py_DECREF(tuple), NULL) : tuple;
    PyObject *fields = PyTuple_GetSlice(tuple, 1, PyTuple_GET_SIZE(tuple));
    if (fields) result = mp_message_make((PyTypeObject *)type, PyTuple_GET_ITEM(info, 1), fields);
    Py_XDECREF(fields);
    Py_DECREF(tuple);
    return result;
}

static PyObject *value_of_tuple(struct mp_state *st, mote_term term, size_t depth) {
    size_t n = 0;
    mote_term one = MOTE_TERM_NONE;
    if (mote_tuple_size(term, &n) != MOTE_OK) return PyErr_Format(PyExc_SystemError, "no tuple");
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; tuple && i < n; i++) {
        PyObject *value = mote_tuple_get(term, i, &one) == MOTE_OK ? value_of(st, one, depth) : NULL;
        if (value) PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, value);
        else Py_CLEAR(tuple);
    }
    bool tagged = tuple && n > 0 && Py_IS_TYPE(PyTuple_GET_ITEM(tuple, 0), st->atom) && PyDict_GET_SIZE(st->message_tags) > 0;
    return tagged ? mp_tuple_as_message(st, tuple) : tuple;
}

static PyObject *value_of_list(struct mp_state *st, mote_term term, size_t depth) {
    size_t n;
    mote_term one = MOTE_TERM_NONE, rest = term;
    if (mote_list_length(term, &n) != MOTE_OK) return mp_term_new(st, term); /* improper */
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *value = mote_list_get(rest, &one, &rest) == MOTE_OK ? value_of(st, one, depth) : NULL;
        if (value) PyList_SET_ITEM(list, (Py_ssize_t)i, value);
        else Py_CLEAR(list);
    }
    return list;
}

/* 1: the pair is in the dict; 0: its key is not hashable; -1. */
static int pair_put(struct mp_state *st, PyObject *dict, mote_term key, mote_term value, size_t depth) {
    PyObject *k = value_of(st, key, depth), *v = k ? value_of(st, value, depth) : NULL;
    int result = v && PyDict_SetItem(dict, k, v) == 0 ? 1 : -1;
    if (v && result < 0 && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        result = 0;
    }
    Py_XDECREF(k);
    Py_XDECREF(v);
    return result;
}

/* A map that a dict cannot hold whole (1 and 1.0 and true are one key in Python) stays a Term. */
static PyObject *value_of_map(struct mp_state *st, mote_term term, size_t depth) {
    size_t n = 0;
    mote_term key = MOTE_TERM_NONE, value = MOTE_TERM_NONE;
    if (mote_map_size(term, &n) != MOTE_OK) return PyErr_Format(PyExc_SystemError, "no map");
    PyObject *dict = PyDict_New();
    int put = dict ? 1 : -1;
    for (size_t i = 0; put > 0 && i < n; i++) put = mote_map_at(term, i, &key, &value) == MOTE_OK ? pair_put(st, dict, key, value, depth) : 0;
    if (put > 0 && (size_t)PyDict_GET_SIZE(dict) == n) return dict;
    Py_XDECREF(dict);
    return put < 0 ? NULL : mp_term_new(st, term);
}

static PyObject *value_of_other(struct mp_state *st, mote_term term, size_t depth) {
    PyObject *object = mote_host_object(term, &mp_object_kind);
    if (object) return held(object);
    if (!term.word) return PyErr_Format(PyExc_SystemError, "no term");
    object = mote_term_type(term) == MOTE_FUNCTION ? mp_from_opaque(st, term, depth) : NULL;
    return object || PyErr_Occurred() ? object : mp_term_new(st, term);
}

static PyObject *value_of(struct mp_state *st, mote_term term, size_t depth) {
    double number = 0;
    mote_type type = mote_term_type(term);
    if (depth == MP_DEPTH_MAX && (type == MOTE_TUPLE || type == MOTE_LIST || type == MOTE_MAP)) return mp_term_new(st, term);
    switch (type) {
    case MOTE_INTEGER: return value_of_int(term);
    case MOTE_FLOAT: return mote_float_get(term, &number) == MOTE_OK ? PyFloat_FromDouble(number) : PyErr_NoMemory();
    case MOTE_ATOM: return value_of_atom(st, term);
    case MOTE_REFERENCE: return mp_ref_new(st, (mote_ref){term.word});
    case MOTE_PID: return mp_pid_new(st, (mote_pid){term.word});
    case MOTE_TUPLE: return value_of_tuple(st, term, depth + 1);
    case MOTE_MAP: return value_of_map(st, term, depth + 1);
    case MOTE_NIL: return PyList_New(0);
    case MOTE_LIST: return value_of_list(st, term, depth + 1);
    case MOTE_BINARY: return value_of_bytes(st, term, false);
    case MOTE_TEXT: return value_of_bytes(st, term, true);
    case MOTE_NONE:
    case MOTE_FUNCTION:
    case MOTE_PORT:
    case MOTE_BITSTRING: break;
    }
    return value_of_other(st, term, depth);
}

PyObject *mp_from_term(struct mp_state *st, mote_term term) { return value_of(st, term, 0); }

/* ------------------------------------------------------------------------------------------- mote.message */

/* HTTPRequestDone -> http_request_done. */
static PyObject *snake(PyObject *name) {
    char to[128];
    Py_ssize_t size, n = 0;
    const char *from = PyUnicode_AsUTF8AndSize(name, &size);
    if (!from) return NULL;
    for (Py_ssize_t i = 0; i < size && n < (Py_ssize_t)sizeof to - 1; i++) {
        bool upper = Py_ISUPPER(from[i]);
        bool starts = upper && i > 0 && from[i - 1] != '_' && (!Py_ISUPPER(from[i - 1]) || Py_ISLOWER(from[i + 1]));
        if (starts) to[n++] = '_';
        to[n++] = (char)Py_TOLOWER(from[i]);
    }
    return PyUnicode_DecodeUTF8(to, n, "replace");
}

static PyObject *tag_of(struct mp_state *st, PyObject *class, PyObject *tag) {
    if (Py_IS_TYPE(tag, st->atom)) return held(tag);
    if (tag != Py_None && !PyUnicode_Check(tag)) return PyErr_Format(PyExc_TypeError, "tag is the name of an atom, not %R", Py_TYPE(tag));
    PyObject *class_name = tag == Py_None ? PyObject_GetAttrString(class, "__name__") : NULL;
    if (tag == Py_None && !class_name) return NULL;
    PyObject *name = class_name ? snake(class_name) : PyUnicode_FromObject(tag);
    PyObject *atom = name ? mp_atom_of(st, name) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(class_name);
    return atom;
}

static bool is_frozen(PyObject *class) {
    PyObject *params = PyObject_GetAttrString(class, "__dataclass_params__");
    PyObject *frozen = params ? PyObject_GetAttrString(params, "frozen") : NULL;
    bool is = frozen == Py_True;
    if (!frozen) PyErr_Clear();
    Py_XDECREF(frozen);
    Py_XDECREF(params);
    return is;
}

static PyObject *dataclass_names(PyObject *class) {
    PyObject *dataclasses = PyImport_ImportModule("dataclasses");
    PyObject *fields = dataclasses ? PyObject_CallMethod(dataclasses, "fields", "O", class) : NULL;
    PyObject *names = fields ? PyTuple_New(PyTuple_GET_SIZE(fields)) : NULL;
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyObject_GetAttrString(PyTuple_GET_ITEM(fields, i), "name");
        if (name) PyTuple_SET_ITEM(names, i, name);
        else Py_CLEAR(names);
    }
    Py_XDECREF(fields);
    Py_XDECREF(dataclasses);
    return names;
}

static PyObject *tuple_names(PyObject *class) {
    PyObject *names = PyObject_GetAttrString(class, "_fields");
    if (names && PyTuple_CheckExact(names)) return names;
    Py_XDECREF(names);
    return PyErr_Format(PyExc_TypeError, "message: %R has no tuple _fields", class);
}

/* The names of the fields of a class that can be registered. */
static PyObject *names_of(PyObject *class) {
    if (!PyType_Check(class)) return PyErr_Format(PyExc_TypeError, "message registers classes, not %R", Py_TYPE(class));
    PyTypeObject *type = (PyTypeObject *)class;
    if (PyType_IsSubtype(type, &PyTuple_Type) && has(class, "_fields")) {
        if (type->tp_dictoffset == 0) return tuple_names(class);
        return PyErr_Format(PyExc_TypeError, "message: instances of %R have a __dict__, so they can change; give the class __slots__ = ()", class);
    }
    if (!has(class, "__dataclass_fields__")) return PyErr_Format(PyExc_TypeError, "message: %R is neither a NamedTuple nor a dataclass", class);
    if (!is_frozen(class)) return PyErr_Format(PyExc_TypeError, "message: %R can change; make it @dataclass(frozen=True, slots=True)", class);
    if (type->tp_new != PyBaseObject_Type.tp_new)
        return PyErr_Format(PyExc_TypeError, "message: %R has a __new__ or a built-in base class, so it may hold more than its fields", class);
    return dataclass_names(class);
}

static bool is_same_name(PyObject *a, PyObject *b, const char *name) {
    PyObject *x = PyObject_GetAttrString(a, name), *y = PyObject_GetAttrString(b, name);
    int same_name = x && y ? PyObject_RichCompareBool(x, y, Py_EQ) : -1;
    if (same_name < 0) PyErr_Clear();
    Py_XDECREF(x);
    Py_XDECREF(y);
    return same_name == 1;
}

/* A class that was made again (a module loaded anew, a cell run again) takes the place of the old one. */
static int tag_put(struct mp_state *st, PyObject *tag, Py_ssize_t arity, PyObject *class) {
    PyObject *key = Py_BuildValue("(On)", tag, arity), *before = key ? PyDict_GetItemWithError(st->message_tags, key) : NULL;
    int result = -1;
    if (before && before != class && !(is_same_name(before, class, "__qualname__") && is_same_name(before, class, "__module__")))
        PyErr_Format(PyExc_ValueError, "message: %R with %zd fields is the tag of %R already; give %R another tag=", tag, arity - 1, before, class);
    else if (key && !PyErr_Occurred()) result = PyDict_SetItem(st->message_tags, key, class);
    Py_XDECREF(key);
    return result;
}

/* "module:Class", by which other interpreters know it. */
static PyObject *name_of(PyObject *class) {
    PyObject *module = PyObject_GetAttrString(class, "__module__"), *name = module ? PyObject_GetAttrString(class, "__qualname__") : NULL;
    PyObject *whole = name ? PyUnicode_FromFormat("%S:%S", module, name) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(module);
    return whole;
}

static PyObject *message_register(struct mp_state *st, PyObject *class, PyObject *tag) {
    PyObject *names = names_of(class), *atom = names ? tag_of(st, class, tag) : NULL, *name = atom ? name_of(class) : NULL;
    PyObject *info = name ? PyTuple_Pack(3, atom, names, name) : NULL;
    bool done = info && tag_put(st, atom, PyTuple_GET_SIZE(names) + 1, class) == 0 && PyDict_SetItem(st->message_types, class, info) == 0 &&
                PyDict_SetItem(st->message_names, name, class) == 0;
    Py_XDECREF(info);
    Py_XDECREF(name);
    Py_XDECREF(atom);
    Py_XDECREF(names);
    return done ? held(class) : NULL;
}

static PyObject *later(PyObject *module, PyObject *tag) {
    PyObject *functools = PyImport_ImportModule("functools"), *function = PyObject_GetAttrString(module, "message");
    PyObject *partial = functools ? PyObject_GetAttrString(functools, "partial") : NULL;
    PyObject *args = function ? PyTuple_Pack(1, function) : NULL, *kwargs = Py_BuildValue("{sO}", "tag", tag);
    PyObject *decorator = partial && args && kwargs ? PyObject_Call(partial, args, kwargs) : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(partial);
    Py_XDECREF(function);
    Py_XDECREF(functools);
    return decorator;
}

static PyObject *message(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"", "tag", NULL};
    PyObject *class = Py_None, *tag = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$O:message", names, &class, &tag)) return NULL;
    return class == Py_None ? later(module, tag) : message_register(mp_state_of(module), class, tag);
}

/* term_text(value): as Erlang writes it. */
static PyObject *term_text(PyObject *module, PyObject *value) {
    mote_arena *arena = mote_arena_new(0);
    mote_term term = arena ? mp_to_term(mp_state_of(module), arena, value) : made(MOTE_TERM_NONE);
    PyObject *text = term.word ? print_term(term, "", "") : NULL;
    mote_arena_free(arena);
    return text;
}

static PyObject *no_term(const char *utf8, size_t at) {
    PyObject *args = Py_BuildValue("s(siis)", "no term of Erlang's", "<term>", 1, (int)at + 1, utf8);
    if (args) PyErr_SetObject(PyExc_SyntaxError, args);
    Py_XDECREF(args);
    return NULL;
}

/* term_parse(text): the value of a term in Erlang's words. SyntaxError: its offset counts bytes, from 1 on. */
static PyObject *term_parse(PyObject *module, PyObject *text) {
    Py_ssize_t size;
    size_t at = 0;
    mote_term term = MOTE_TERM_NONE;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    mote_arena *arena = utf8 ? mote_arena_new(0) : NULL;
    if (!arena) return utf8 ? PyErr_NoMemory() : NULL;
    mote_err err = mote_term_parse(arena, utf8, (size_t)size, &term, &at);
    PyObject *value = err == MOTE_OK ? mp_from_term(mp_state_of(module), term) : err == MOTE_ENOMEM ? PyErr_NoMemory() : no_term(utf8, at);
    mote_arena_free(arena);
    return value;
}

static PyMethodDef functions[] = {
    {"message", (PyCFunction)(void (*)(void))message, METH_VARARGS | METH_KEYWORDS,
     "message(cls=None, /, *, tag=None)\n--\n\n"
     "Class decorator: instances of this NamedTuple or frozen dataclass may be sent. Outside Python they are tuples {tag, field, ...}, and\n"
     "such tuples arrive as instances (no code of the class runs then). The tag is an atom: the class's name in snake_case unless given.\n"
     "Without __dict__ (dataclass(frozen=True, slots=True), NamedTuple) an instance of immutable fields is shared, not copied."},
    {"term_parse", term_parse, METH_O, NULL},
    {"term_text", term_text, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---------------------------------------------------------------------------------------------- for tests */

static PyObject *test_share(PyObject *module, PyObject *value) { return mp_share(mp_state_of(module), value); }

/* through_term(value): as a term and back. */
static PyObject *test_through_term(PyObject *module, PyObject *value) {
    mote_arena *arena = mote_arena_new(0);
    mote_term term = arena ? mp_to_term(mp_state_of(module), arena, value) : made(MOTE_TERM_NONE);
    PyObject *back = term.word ? mp_from_term(mp_state_of(module), term) : NULL;
    mote_arena_free(arena);
    return back;
}

/* boxed(value): as an object in a term, copied once, and back. */
static PyObject *test_boxed(PyObject *module, PyObject *value) {
    mote_host_box box;
    mote_arena *arena = mote_arena_new(0);
    mote_term term = arena ? mote_term_copy(arena, mote_host_box_term(&box, &mp_object_kind, value)) : MOTE_TERM_NONE;
    PyObject *back = term.word ? mp_from_term(mp_state_of(module), term) : PyErr_NoMemory();
    mote_arena_free(arena);
    return back;
}

/* unlocked(value): what boxed() does, and the term of the value besides, held and dropped by a thread that has not the GIL. */
static PyObject *test_unlocked(PyObject *module, PyObject *value) {
    mote_host_box box;
    mote_arena *arena = mote_arena_new(0);
    mote_term term = arena ? mp_to_term(mp_state_of(module), arena, value) : made(MOTE_TERM_NONE), copy = MOTE_TERM_NONE;
    Py_BEGIN_ALLOW_THREADS;
    if (term.word) copy = mote_term_copy(arena, mote_host_box_term(&box, &mp_object_kind, value));
    Py_END_ALLOW_THREADS;
    PyObject *back = copy.word ? mp_from_term(mp_state_of(module), copy) : NULL;
    Py_BEGIN_ALLOW_THREADS;
    mote_arena_free(arena);
    Py_END_ALLOW_THREADS;
    return back;
}

static PyObject *test_share_ns(PyObject *module, PyObject *args) {
    PyObject *value, *clock = PyImport_ImportModule("time");
    long rounds;
    if (!clock || !PyArg_ParseTuple(args, "Ol", &value, &rounds)) return NULL;
    PyObject *begin = PyObject_CallMethod(clock, "perf_counter_ns", NULL), *copy = NULL;
    for (long i = 0; begin && i < rounds && (copy = mp_share(mp_state_of(module), value)); i++) Py_DECREF(copy);
    PyObject *stop = copy ? PyObject_CallMethod(clock, "perf_counter_ns", NULL) : NULL;
    PyObject *took = stop ? PyNumber_Subtract(stop, begin) : NULL;
    Py_XDECREF(stop);
    Py_XDECREF(begin);
    Py_DECREF(clock);
    return took;
}

static PyObject *test_atom_count(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return PyLong_FromSize_t(mote_atom_count());
}

static PyMethodDef testing[] = {
    {"atom_count", test_atom_count, METH_NOARGS, "mote_atom_count()"},
    {"share", test_share, METH_O, "mp_share()"},
    {"through_term", test_through_term, METH_O, "mp_to_term() and mp_from_term()"},
    {"boxed", test_boxed, METH_O, "an object in a term, and back"},
    {"unlocked", test_unlocked, METH_O, "boxed(), by a thread without the GIL"},
    {"share_ns", test_share_ns, METH_VARARGS, "share_ns(value, rounds): ns of all rounds of mp_share()"},
    {NULL, NULL, 0, NULL},
};

/* Adds functions to _mote._testing; they get the module. */
int mp_testing_add(struct mp_state *st, PyMethodDef *methods) {
    PyObject *space = PyDict_GetItemString(PyModule_GetDict(st->module), "_testing");
    if (!space) {
        PyObject *made_now = PyModule_New("_mote._testing");
        if (!made_now || PyModule_AddObject(st->module, "_testing", made_now) < 0) {
            Py_XDECREF(made_now);
            return -1;
        }
        space = made_now; /* the module's now */
    }
    for (PyMethodDef *def = methods; def->ml_name; def++) {
        PyObject *function = PyCFunction_NewEx(def, st->module, NULL);
        int failed = !function || PyObject_SetAttrString(space, def->ml_name, function) < 0;
        Py_XDECREF(function);
        if (failed) return -1;
    }
    return 0;
}

/* --------------------------------------------------------------------------------------------------- init */

/* A class of the module, under the last part of its name. Gives; NULL. */
static PyTypeObject *class_add(struct mp_state *st, PyType_Spec *spec, PyTypeObject *base) {
    PyObject *bases = base ? PyTuple_Pack(1, base) : NULL;
    PyObject *type = base && !bases ? NULL : PyType_FromModuleAndSpec(st->module, spec, bases);
    Py_XDECREF(bases);
    if (type && PyObject_SetAttrString(st->module, strrchr(spec->name, '.') + 1, type) < 0) Py_CLEAR(type);
    return (PyTypeObject *)type;
}

static int atom_finish(PyTypeObject *atom) {
    PyObject *args = Py_BuildValue("(s)", "name");
    int failed = !args || PyDict_SetItemString(atom->tp_dict, "__match_args__", args) < 0;
    Py_XDECREF(args);
    PyType_Modified(atom);
    return failed ? -1 : 0;
}

static int not_sendable_add(struct mp_state *st) {
    if (!st->not_sendable) st->not_sendable = PyErr_NewExceptionWithDoc("mote.NotSendable", "The value cannot be part of a message.", PyExc_TypeError, NULL);
    return st->not_sendable ? PyObject_SetAttrString(st->module, "NotSendable", st->not_sendable) : -1;
}

int mp_values_init(struct mp_state *st) {
    st->atoms = PyDict_New();
    st->message_types = PyDict_New();
    st->message_tags = PyDict_New();
    st->message_names = PyDict_New();
    if (!st->atoms || !st->message_types || !st->message_tags || !st->message_names || not_sendable_add(st) < 0) return -1;
    st->pid = class_add(st, &pid_spec, NULL);
    st->ref = class_add(st, &ref_spec, NULL);
    st->atom = class_add(st, &atom_spec, &PyUnicode_Type);
    PyTypeObject *term = class_add(st, &term_spec, NULL);
    Py_XDECREF(term); /* the module has it */
    if (!st->pid || !st->ref || !st->atom || !term || atom_finish(st->atom) < 0) return -1;
    return PyModule_AddFunctions(st->module, functions) < 0 ? -1 : mp_testing_add(st, testing);
}
