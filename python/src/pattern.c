/* SPDX-License-Identifier: Apache-2.0
 * Patterns: what receive() looks for. Compiled once into a row of nodes, matched without a call into Python but for `where` functions, values that
 * compare in Python, and classes with a way of their own to tell their instances.
 *
 * What stands for what:
 * - ANY: everything. A class, or a union (int | str): its instances, as isinstance() says (so True is an int).
 * - None, True, False: themselves. Numbers, str, bytes, Atom, Pid, Ref, frozenset, Term: what is == (so 1 is 1.0 and True, and Atom("a") is "a").
 * - a tuple: tuples of that length (NamedTuples too), element by element; a list: lists, likewise.
 * - a dict: dicts that have those keys, whose values match; other keys may be there.
 * - a NamedTuple or a registered message, with patterns for fields: instances of its class, field by field.
 * - any_of(p, q), p | q: what one of them matches. pattern(p, where=f): what p matches and f(value) is true for.
 *
 * P1: nodes stand in preorder; `skip` is the number of a subtree's nodes, itself included. P2: a pattern never changes and nests to DEPTH_MAX levels,
 * so matching recurses no deeper. P3: values that match are held by the caller; what Python code could take away meanwhile is held here. */
#include "mp.h"

#define DEPTH_MAX 200
#define NODES_MAX 100000

#ifndef Py_TPFLAGS_IMMUTABLETYPE
#define Py_TPFLAGS_IMMUTABLETYPE 0
#endif

enum kind {
    IS_ANY,
    IS_CLASS,        /* value: a class whose instances are told by their type alone */
    IS_INSTANCE,     /* value: a class that has a say in isinstance() */
    IS_SAME,         /* value: None, True, False */
    IS_PID,          /* value: a Pid */
    IS_REF,          /* value: a Ref */
    IS_TEXT,         /* value: an exact str, or an Atom */
    IS_EQUAL,        /* value: compared by == */
    IS_TUPLE,        /* `count` subtrees */
    IS_NAMED,        /* value: a class of tuples; likewise */
    IS_OBJECT,       /* value: a class; `count` times IS_FIELD */
    IS_FIELD,        /* value: an attribute's name; one subtree */
    IS_LIST,         /* `count` subtrees */
    IS_DICT,         /* `count` times IS_ENTRY */
    IS_ENTRY,        /* value: a key; one subtree */
    IS_EITHER,       /* `count` subtrees */
    IS_WHERE         /* value: a function; one subtree */
};

struct node {
    enum kind kind;
    uint32_t count;
    uint32_t skip;
    PyObject *value; /* or NULL */
};

enum form { OF_NAME, OF_PATTERN, OF_ANY };

struct pattern {
    PyObject_HEAD
    PyObject *spec;    /* what it was made of, for repr(): a name, the argument of pattern(), a tuple of those of any_of() */
    PyObject *where;   /* or NULL */
    enum form form;
    struct node *node; /* `size` of them, that nest to `depth` levels */
    size_t size;
    size_t depth;
    struct mp_ref *ref; /* see mp_pattern_ref(); borrowed from a node */
};

/* ---------------------------------------------------------------------------------------------- matching */

static int match(const struct mp_state *st, const struct node *p, PyObject *v);

/* A str's hash, or -1 when nobody has asked for it yet. */
static inline Py_hash_t known_hash(PyObject *str) { return ((PyASCIIObject *)str)->hash; }

/* A tag that differs is what a selective receive sees most: its hash tells, without a look at the letters. */
static int match_text(const struct mp_state *st, PyObject *p, PyObject *v) {
    if (!PyUnicode_CheckExact(v) && !Py_IS_TYPE(v, st->atom)) return PyUnicode_Check(v) ? PyObject_RichCompareBool(v, p, Py_EQ) : 0;
    if (known_hash(v) != known_hash(p) && known_hash(v) != -1 && known_hash(p) != -1) return 0;
    return PyUnicode_GET_LENGTH(p) == PyUnicode_GET_LENGTH(v) && PyUnicode_Compare(p, v) == 0;
}

static int match_equal(PyObject *p, PyObject *v) { return PyObject_RichCompareBool(v, p, Py_EQ); }

/* Of two Pids, or two Refs. */
static inline bool is_same(uint64_t a, uint64_t b) { return a == b || (!mp_is_ours(a) && mote_term_same((mote_term){a}, (mote_term){b})); }

/* What decides most elements at once; -2: see match(). */
static inline int match_quick(const struct node *p, PyObject *v) {
    switch (p->kind) {
    case IS_ANY: return 1;
    case IS_CLASS: return (PyObject *)Py_TYPE(v) == p->value || PyType_IsSubtype(Py_TYPE(v), (PyTypeObject *)p->value);
    case IS_SAME: return v == p->value;
    case IS_PID: return Py_TYPE(v) == Py_TYPE(p->value) && is_same(((struct mp_pid *)v)->pid.word, ((struct mp_pid *)p->value)->pid.word);
    case IS_REF: return Py_TYPE(v) == Py_TYPE(p->value) && is_same(((struct mp_ref *)v)->ref.word, ((struct mp_ref *)p->value)->ref.word);
    case IS_TEXT: return v == p->value ? 1 : -2;
    default: return -2;
    }
}

/* Elements of a tuple: it is immutable, so they stay. */
static int match_tuple(const struct mp_state *st, const struct node *p, PyObject *v) {
    if (PyTuple_GET_SIZE(v) != (Py_ssize_t)p->count) return 0;
    const struct node *child = p + 1;
    for (uint32_t i = 0; i < p->count; i++, child += child->skip) {
        PyObject *one = PyTuple_GET_ITEM(v, (Py_ssize_t)i);
        int is = match_quick(child, one);
        if (is == -2) is = match(st, child, one);
        if (is != 1) return is;
    }
    return 1;
}

static int match_list(const struct mp_state *st, const struct node *p, PyObject *v) {
    const struct node *child = p + 1;
    int is = PyList_GET_SIZE(v) == (Py_ssize_t)p->count;
    for (uint32_t i = 0; is == 1 && i < p->count; i++, child += child->skip) {
        if ((Py_ssize_t)i >= PyList_GET_SIZE(v)) return 0;
        PyObject *one = PyList_GET_ITEM(v, (Py_ssize_t)i);
        Py_INCREF(one);
        is = match(st, child, one);
        Py_DECREF(one);
    }
    return is;
}

/* One child that is an entry: its key must be there. */
static int match_entry(const struct mp_state *st, const struct node *p, PyObject *dict) {
    PyObject *one = PyDict_GetItemWithError(dict, p->value);
    if (!one) return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(one);
    int is = match(st, p + 1, one);
    Py_DECREF(one);
    return is;
}

static int match_field(const struct mp_state *st, const struct node *p, PyObject *object) {
    PyObject *one = PyObject_GetAttr(object, p->value);
    if (!one) return -1;
    int is = match(st, p + 1, one);
    Py_DECREF(one);
    return is;
}

typedef int child_match(const struct mp_state *st, const struct node *p, PyObject *v);

static int match_all(const struct mp_state *st, const struct node *p, PyObject *v, child_match *one) {
    const struct node *child = p + 1;
    int is = 1;
    for (uint32_t i = 0; is == 1 && i < p->count; i++, child += child->skip) is = one(st, child, v);
    return is;
}

static int match_either(const struct mp_state *st, const struct node *p, PyObject *v) {
    const struct node *child = p + 1;
    int is = 0;
    for (uint32_t i = 0; is == 0 && i < p->count; i++, child += child->skip) is = match(st, child, v);
    return is;
}

static int match_where(const struct mp_state *st, const struct node *p, PyObject *v) {
    int is = match(st, p + 1, v);
    if (is != 1) return is;
    PyObject *answer = PyObject_CallFunctionObjArgs(p->value, v, NULL);
    if (!answer) return -1;
    is = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return is;
}

static bool is_of(PyObject *v, PyObject *class) { return (PyObject *)Py_TYPE(v) == class || PyType_IsSubtype(Py_TYPE(v), (PyTypeObject *)class); }

static int match(const struct mp_state *st, const struct node *p, PyObject *v) {
    switch (p->kind) {
    case IS_INSTANCE: return PyObject_IsInstance(v, p->value);
    case IS_TEXT: return match_text(st, p->value, v);
    case IS_EQUAL: return match_equal(p->value, v);
    case IS_TUPLE: return PyTuple_Check(v) ? match_tuple(st, p, v) : 0;
    case IS_NAMED: return is_of(v, p->value) ? match_tuple(st, p, v) : 0;
    case IS_LIST: return PyList_Check(v) ? match_list(st, p, v) : 0;
    case IS_OBJECT: return is_of(v, p->value) ? match_all(st, p, v, match_field) : 0;
    case IS_DICT: return PyDict_Check(v) ? match_all(st, p, v, match_entry) : 0;
    case IS_EITHER: return match_either(st, p, v);
    case IS_WHERE: return match_where(st, p, v);
    case IS_FIELD:
    case IS_ENTRY: break; /* only below IS_OBJECT and IS_DICT */
    case IS_ANY:
    case IS_CLASS:
    case IS_SAME:
    case IS_PID:
    case IS_REF: return match_quick(p, v);
    }
    PyErr_SetString(PyExc_SystemError, "a broken pattern");
    return -1;
}

int mp_pattern_match(struct mp_state *st, PyObject *pattern, PyObject *value) {
    const struct pattern *self = (struct pattern *)pattern;
    if (self->size == 0) return 0; /* the collector has cleared it */
    int is = match_quick(self->node, value);
    return is == -2 ? match(st, self->node, value) : is;
}

struct mp_ref *mp_pattern_ref(struct mp_state *st, PyObject *pattern) {
    (void)st;
    return ((struct pattern *)pattern)->ref;
}

/* ---------------------------------------------------------------------------------------------- compiling */

struct build {
    struct mp_state *st;
    struct node *node;
    size_t size, room;
    size_t depth, deepest;
};

static int compile(struct build *b, PyObject *spec);

/* A node with a value (borrowed, may be NULL); its place, or -1. */
static Py_ssize_t put(struct build *b, enum kind kind, PyObject *value, Py_ssize_t count) {
    if (b->size == NODES_MAX) return PyErr_Format(PyExc_ValueError, "a pattern has at most %d parts", NODES_MAX), -1;
    if (b->size == b->room) {
        size_t room = b->room ? 2 * b->room : 8;
        struct node *node = PyMem_Realloc(b->node, room * sizeof *node);
        if (!node) return PyErr_NoMemory(), -1;
        b->node = node;
        b->room = room;
    }
    Py_XINCREF(value);
    b->node[b->size] = (struct node){kind, (uint32_t)count, 1, value};
    return (Py_ssize_t)b->size++;
}

static int leaf(struct build *b, enum kind kind, PyObject *value) { return put(b, kind, value, 0) < 0 ? -1 : 0; }

/* Notes that nodes will nest `more` levels below here (P2). */
static int deepen(struct build *b, size_t more) {
    if (b->depth + more > DEPTH_MAX) {
        PyErr_Format(PyExc_RecursionError, "a pattern nests to at most %d levels", DEPTH_MAX);
        return -1;
    }
    if (b->depth + more > b->deepest) b->deepest = b->depth + more;
    return 0;
}

/* A subtree is complete (P1). */
static int seal(struct build *b, Py_ssize_t at) {
    b->node[at].skip = (uint32_t)(b->size - (size_t)at);
    return 0;
}

/* A node with one subtree. */
static int wrap(struct build *b, enum kind kind, PyObject *value, PyObject *spec) {
    Py_ssize_t at = put(b, kind, value, 1);
    return at < 0 || compile(b, spec) < 0 ? -1 : seal(b, at);
}

/* A node with a subtree for each element of a tuple. */
static int compile_items(struct build *b, enum kind kind, PyObject *class, PyObject *items) {
    Py_ssize_t n = PyTuple_GET_SIZE(items), at = put(b, kind, class, n);
    for (Py_ssize_t i = 0; at >= 0 && i < n; i++)
        if (compile(b, PyTuple_GET_ITEM(items, i)) < 0) return -1;
    return at < 0 ? -1 : seal(b, at);
}

static int compile_list(struct build *b, PyObject *spec) {
    PyObject *items = PyList_AsTuple(spec);
    int result = items ? compile_items(b, IS_LIST, NULL, items) : -1;
    Py_XDECREF(items);
    return result;
}

static int compile_dict(struct build *b, PyObject *spec) {
    PyObject *own = PyDict_Copy(spec), *key, *value;
    Py_ssize_t at = own ? put(b, IS_DICT, NULL, PyDict_GET_SIZE(own)) : -1, place = 0;
    int result = at < 0 ? -1 : 0;
    while (result == 0 && PyDict_Next(own, &place, &key, &value)) result = wrap(b, IS_ENTRY, key, value);
    Py_XDECREF(own);
    return result < 0 ? -1 : seal(b, at);
}

static int compile_message(struct build *b, PyObject *spec, PyObject *names) {
    Py_ssize_t n = PyTuple_GET_SIZE(names), at = put(b, IS_OBJECT, (PyObject *)Py_TYPE(spec), n);
    int result = at < 0 ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < n; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i), *field = PyObject_GetAttr(spec, name);
        result = field ? wrap(b, IS_FIELD, name, field) : -1;
        Py_XDECREF(field);
    }
    return result < 0 ? -1 : seal(b, at);
}

static int compile_class(struct build *b, PyObject *spec) { return leaf(b, Py_IS_TYPE(spec, &PyType_Type) ? IS_CLASS : IS_INSTANCE, spec); }

/* The nodes of another pattern, as they are: P1 holds wherever they stand. */
static int compile_pattern(struct build *b, const struct pattern *other) {
    if (deepen(b, other->depth) < 0) return -1;
    for (size_t i = 0; i < other->size; i++) {
        Py_ssize_t at = put(b, other->node[i].kind, other->node[i].value, other->node[i].count);
        if (at < 0) return -1;
        b->node[at].skip = other->node[i].skip;
    }
    return other->size ? 0 : leaf(b, IS_EITHER, NULL);
}

static PyObject *attribute(const char *module_name, const char *name) {
    PyObject *module = PyImport_ImportModule(module_name), *value = module ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return value;
}

static bool is_union(PyObject *spec) {
    PyObject *union_type = attribute("types", "UnionType"); /* of 3.10 and later */
    if (!union_type) PyErr_Clear();
    PyObject *typing_union = attribute("typing", "Union"), *origin = PyObject_GetAttrString(spec, "__origin__");
    if (!origin) PyErr_Clear();
    bool is = (PyObject *)Py_TYPE(spec) == union_type || (origin && origin == typing_union);
    Py_XDECREF(origin);
    Py_XDECREF(typing_union);
    Py_XDECREF(union_type);
    return is;
}

static int compile_union(struct build *b, PyObject *spec) {
    PyObject *members = PyObject_GetAttrString(spec, "__args__");
    int result = members && PyTuple_Check(members) ? compile_items(b, IS_EITHER, NULL, members) : -1;
    Py_XDECREF(members);
    return result;
}

/* What is neither a plain value nor built in. */
static int compile_other(struct build *b, PyObject *spec) {
    PyObject *info = PyDict_GetItemWithError(b->st->message_types, (PyObject *)Py_TYPE(spec));
    if (info) return compile_message(b, spec, PyTuple_GET_ITEM(info, 1));
    if (PyErr_Occurred()) return -1;
    if (is_union(spec)) return compile_union(b, spec);
    if (PyErr_Occurred()) return -1;
    const char *why = PyCallable_Check(spec) ? "a function goes into pattern(p, where=function)" : "use ANY, classes, values, and tuples, lists, dicts of them";
    PyErr_Format(PyExc_TypeError, "%.100R cannot be a pattern: %s", spec, why);
    return -1;
}

static int compile_named(struct build *b, PyObject *spec) {
    PyObject *fields = PyObject_GetAttrString((PyObject *)Py_TYPE(spec), "_fields");
    Py_XDECREF(fields);
    if (fields) return compile_items(b, IS_NAMED, (PyObject *)Py_TYPE(spec), spec);
    PyErr_Clear();
    return compile_other(b, spec);
}

/* 1: a plain value, and done; 0: it is none; -1. */
static int compile_value(struct build *b, PyObject *spec) {
    const struct mp_state *st = b->st;
    enum kind kind = IS_EQUAL;
    if (spec == Py_None || spec == Py_True || spec == Py_False) kind = IS_SAME;
    else if (PyUnicode_CheckExact(spec) || Py_IS_TYPE(spec, st->atom)) kind = PyObject_Hash(spec) == -1 ? IS_EQUAL : IS_TEXT;
    else if (mp_is_pid(st, spec)) kind = IS_PID;
    else if (mp_is_ref(st, spec)) kind = IS_REF;
    else if (!(PyLong_Check(spec) || PyFloat_Check(spec) || PyUnicode_Check(spec) || PyBytes_Check(spec) || PyComplex_Check(spec) ||
               PyFrozenSet_CheckExact(spec) || mp_is_term(spec)))
        return 0;
    return leaf(b, kind, spec) < 0 ? -1 : 1;
}

static int compile_spec(struct build *b, PyObject *spec) {
    int plain = compile_value(b, spec);
    if (plain) return plain < 0 ? -1 : 0;
    if (Py_IS_TYPE(spec, b->st->pattern)) return compile_pattern(b, (struct pattern *)spec);
    if (PyTuple_CheckExact(spec)) return compile_items(b, IS_TUPLE, NULL, spec);
    if (PyList_CheckExact(spec)) return compile_list(b, spec);
    if (PyDict_CheckExact(spec)) return compile_dict(b, spec);
    if (PyType_Check(spec)) return compile_class(b, spec);
    if (PyTuple_Check(spec)) return compile_named(b, spec);
    return compile_other(b, spec);
}

static int compile(struct build *b, PyObject *spec) {
    if (deepen(b, 1) < 0) return -1;
    b->depth++;
    int result = compile_spec(b, spec);
    b->depth--;
    return result;
}

static void nodes_drop(struct node *node, size_t size) {
    for (size_t i = 0; i < size; i++) Py_XDECREF(node[i].value);
    PyMem_Free(node);
}

/* That of a node of the pattern itself. Those of other nodes are not made by the receiver: nothing is quicker for them. */
static struct mp_ref *own_ref(const struct node *p) {
    struct mp_ref *ref = p->kind == IS_REF ? (struct mp_ref *)p->value : NULL;
    return ref && mp_is_ours(ref->ref.word) ? ref : NULL;
}

/* See mp_pattern_ref(): alternatives may name it each in their own way. */
static struct mp_ref *ref_of(const struct node *p) {
    const struct node *child = p + 1;
    struct mp_ref *ref = NULL;
    if (p->kind == IS_REF) return own_ref(p);
    if (p->kind == IS_WHERE) return ref_of(child);
    if (p->kind == IS_TUPLE || p->kind == IS_NAMED)
        for (uint32_t i = 0; !ref && i < p->count; i++, child += child->skip) ref = own_ref(child);
    if (p->kind == IS_EITHER)
        for (uint32_t i = 0; i < p->count; i++, child += child->skip) {
            struct mp_ref *other = ref_of(child);
            if (!other || (ref && other->ref.word != ref->ref.word)) return NULL;
            ref = other;
        }
    return ref;
}

/* A Pattern of the nodes that were built, or what remains of them freed. */
static PyObject *finish(struct build *b, int result, PyObject *spec, PyObject *where, enum form form) {
    struct pattern *self = result == 0 ? PyObject_GC_New(struct pattern, b->st->pattern) : NULL;
    if (!self) {
        nodes_drop(b->node, b->size);
        return NULL;
    }
    Py_INCREF(spec);
    Py_XINCREF(where);
    self->spec = spec;
    self->where = where;
    self->form = form;
    self->node = b->node;
    self->size = b->size;
    self->depth = b->deepest;
    self->ref = ref_of(b->node);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *mp_pattern_of(struct mp_state *st, PyObject *spec) {
    if (Py_IS_TYPE(spec, st->pattern)) {
        Py_INCREF(spec);
        return spec;
    }
    struct build b = {.st = st};
    return finish(&b, compile(&b, spec), spec, NULL, OF_PATTERN);
}

static PyObject *either(struct mp_state *st, PyObject *specs) {
    struct build b = {.st = st, .depth = 1, .deepest = 1};
    return finish(&b, compile_items(&b, IS_EITHER, NULL, specs), specs, NULL, OF_ANY);
}

/* ANY and SKIP: one node, known by a name in the module. */
static PyObject *named(struct mp_state *st, enum kind kind, const char *name) {
    struct build b = {.st = st, .deepest = 1};
    PyObject *str = PyUnicode_InternFromString(name);
    PyObject *self = str ? finish(&b, leaf(&b, kind, NULL), str, NULL, OF_NAME) : NULL;
    Py_XDECREF(str);
    if (self && PyObject_SetAttrString(st->module, name, self) < 0) Py_CLEAR(self);
    return self;
}

/* ------------------------------------------------------------------------------------------- the class Pattern */

static struct mp_state *state_of(PyTypeObject *type) {
    PyObject *module = PyType_GetModule(type);
    return module ? mp_state_of(module) : NULL;
}

static int pattern_traverse(PyObject *self, visitproc visit, void *arg) {
    const struct pattern *p = (struct pattern *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(p->spec);
    Py_VISIT(p->where);
    for (size_t i = 0; i < p->size; i++) Py_VISIT(p->node[i].value);
    return 0;
}

static int pattern_clear(PyObject *self) {
    struct pattern *p = (struct pattern *)self;
    struct node *node = p->node;
    size_t size = p->size;
    p->node = NULL;
    p->size = 0;
    p->ref = NULL;
    nodes_drop(node, size);
    Py_CLEAR(p->where);
    Py_CLEAR(p->spec);
    return 0;
}

static void pattern_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    pattern_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *pattern_repr(PyObject *self) {
    const struct pattern *p = (struct pattern *)self;
    if (!p->spec) return PyUnicode_FromString("pattern(...)");
    if (p->form == OF_NAME) return PyObject_Str(p->spec);
    if (p->form == OF_ANY) return PyUnicode_FromFormat(PyTuple_GET_SIZE(p->spec) == 1 ? "any_of(*%R)" : "any_of%R", p->spec);
    return p->where ? PyUnicode_FromFormat("pattern(%R, where=%R)", p->spec, p->where) : PyUnicode_FromFormat("pattern(%R)", p->spec);
}

static PyObject *pattern_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type;
    (void)args;
    (void)kwargs;
    return PyErr_Format(PyExc_TypeError, "a Pattern is made by pattern() and any_of()");
}

static PyObject *pattern_or(PyObject *a, PyObject *b) {
    PyTypeObject *type = Py_TYPE(a)->tp_dealloc == pattern_dealloc ? Py_TYPE(a) : Py_TYPE(b);
    struct mp_state *st = state_of(type);
    PyObject *specs = st ? PyTuple_Pack(2, a, b) : NULL, *self = specs ? either(st, specs) : NULL;
    Py_XDECREF(specs);
    return self;
}

static PyObject *pattern_matches(PyObject *self, PyObject *value) {
    struct mp_state *st = state_of(Py_TYPE(self));
    int is = st ? mp_pattern_match(st, self, value) : -1;
    return is < 0 ? NULL : PyBool_FromLong(is);
}

static PyMethodDef pattern_methods[] = {
    {"matches", pattern_matches, METH_O, "matches($self, value, /)\n--\n\nWhether a value matches."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot pattern_slots[] = {
    {Py_tp_doc, "What receive() looks for, compiled: see pattern() and any_of(). p | q is any_of(p, q)."},
    {Py_tp_new, pattern_new},   {Py_tp_dealloc, pattern_dealloc}, {Py_tp_traverse, pattern_traverse}, {Py_tp_clear, pattern_clear},
    {Py_tp_repr, pattern_repr}, {Py_tp_methods, pattern_methods}, {Py_nb_or, pattern_or},             {0, NULL},
};
static PyType_Spec pattern_spec = {"mote.Pattern", sizeof(struct pattern), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
                                   pattern_slots};

/* ------------------------------------------------------------------------------------------------- functions */

static PyObject *pattern_with(struct mp_state *st, PyObject *spec, PyObject *where) {
    if (!PyCallable_Check(where)) return PyErr_Format(PyExc_TypeError, "where is a function of one value, not %R", where);
    struct build b = {.st = st, .depth = 1, .deepest = 1};
    return finish(&b, wrap(&b, IS_WHERE, where, spec), spec, where, OF_PATTERN);
}

static PyObject *pattern(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"", "where", NULL};
    PyObject *spec, *where = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:pattern", names, &spec, &where)) return NULL;
    return where == Py_None ? mp_pattern_of(mp_state_of(module), spec) : pattern_with(mp_state_of(module), spec, where);
}

static PyObject *any_of(PyObject *module, PyObject *specs) { return either(mp_state_of(module), specs); }

static PyMethodDef functions[] = {
    {"pattern", (PyCFunction)(void (*)(void))pattern, METH_VARARGS | METH_KEYWORDS,
     "pattern(spec, /, *, where=None)\n--\n\n"
     "Compiles a pattern, to be used many times. With where=f a value must also make f(value) true; f must not receive or send.\n"
     "ANY matches everything, a class (or int | str) its instances; None, True and False are matched by identity, other values by ==;\n"
     "tuples and lists element by element, dicts by the keys given, NamedTuples and registered messages field by field."},
    {"any_of", any_of, METH_VARARGS, "any_of(*specs)\n--\n\nA pattern that matches what one of these matches; also written p | q."},
    {NULL, NULL, 0, NULL},
};

/* pattern_ref(spec): the Ref of mp_pattern_ref(), or None. */
static PyObject *test_ref(PyObject *module, PyObject *spec) {
    struct mp_state *st = mp_state_of(module);
    PyObject *self = mp_pattern_of(st, spec), *ref = self ? (PyObject *)mp_pattern_ref(st, self) : NULL;
    if (self && !ref) ref = Py_None;
    Py_XINCREF(ref);
    Py_XDECREF(self);
    return ref;
}

static PyObject *test_match_ns(PyObject *module, PyObject *args) {
    PyObject *spec, *value;
    long rounds;
    if (!PyArg_ParseTuple(args, "OOl", &spec, &value, &rounds)) return NULL;
    struct mp_state *st = mp_state_of(module);
    PyObject *self = mp_pattern_of(st, spec), *clock = self ? attribute("time", "perf_counter_ns") : NULL;
    PyObject *begin = clock ? PyObject_CallObject(clock, NULL) : NULL;
    int is = 0;
    for (long i = 0; begin && is >= 0 && i < rounds; i++) is = mp_pattern_match(st, self, value);
    PyObject *stop = begin && is >= 0 ? PyObject_CallObject(clock, NULL) : NULL;
    PyObject *took = stop ? PyNumber_Subtract(stop, begin) : NULL;
    Py_XDECREF(stop);
    Py_XDECREF(begin);
    Py_XDECREF(clock);
    Py_XDECREF(self);
    return took;
}

static PyMethodDef testing[] = {
    {"pattern_ref", test_ref, METH_O, "mp_pattern_ref()"},
    {"match_ns", test_match_ns, METH_VARARGS, "match_ns(spec, value, rounds): ns of all rounds of mp_pattern_match()"},
    {NULL, NULL, 0, NULL},
};

int mp_pattern_init(struct mp_state *st) {
    st->pattern = (PyTypeObject *)PyType_FromModuleAndSpec(st->module, &pattern_spec, NULL);
    if (!st->pattern || PyObject_SetAttrString(st->module, "Pattern", (PyObject *)st->pattern) < 0) return -1;
    st->any = named(st, IS_ANY, "ANY");
    if (!st->skip) st->skip = named(st, IS_EITHER, "SKIP"); /* matches nothing */
    if (!st->any || !st->skip) return -1;
    return PyModule_AddFunctions(st->module, functions) < 0 ? -1 : mp_testing_add(st, testing);
}
