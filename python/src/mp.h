/* SPDX-License-Identifier: Apache-2.0
 * _mote: mote's processes for CPython. What its files share.
 *
 * One interpreter runs on one scheduler of one runtime: its thread holds the GIL while processes run and gives it up while there are none
 * (mote_host_loop). Python processes are hosted processes of the core: a coroutine is a handler with `resume`, a plain function a body on its own
 * stack. So pids, mailboxes, links, monitors, names and timers are the core's, and C processes live among them.
 *
 * Laws: M1 all Python objects here are touched with the GIL held. M2 a message between Python processes is one host object (mp_share() has made
 * it immutable, or a copy of its own); to everybody else it is a term. M3 no Python frame is ever dropped: mote_exit() is called only with none
 * on the stack. M4 state is the module's (struct mp_state), not static; types are heap types.
 */
#ifndef MP_H
#define MP_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <mote/external.h>
#include <mote/host.h>
#include <mote/mote.h>
#include <stdatomic.h>

struct mp_node;

#define MP_MET 256 /* a power of two */

/* The module's state. */
struct mp_state {
    PyObject *module;
    PyTypeObject *atom, *pid, *ref, *pattern; /* Atom, Pid, Ref, Pattern */
    PyObject *error;          /* MoteError(Exception), of which the next but NotSendable are made */
    PyObject *not_sendable;   /* NotSendable(TypeError) */
    PyObject *process_exit;   /* ProcessExit(BaseException): .reason */
    PyObject *exit;           /* Exit(Exception): .reason */
    PyObject *no_proc;        /* NoProc(LookupError) */
    PyObject *mailbox_full;   /* MailboxFull(Exception) */
    PyObject *atoms;          /* dict: name -> address of its Atom, which the dict does not keep alive; see mp_atom_new() */
    PyObject *message_types;  /* dict: class -> (tag Atom, names of its fields, its name); see message() */
    PyObject *message_tags;   /* dict: (tag, arity) -> class */
    PyObject *message_names;  /* dict: "module:Class" -> class */
    PyObject *any;            /* ANY */
    PyObject *skip;           /* SKIP */
    PyObject *down, *exit_signal; /* classes Down and ExitSignal (NamedTuples of the Python layer), or NULL until it has set them */
    PyObject *node_up, *node_down; /* classes NodeUp and NodeDown, in the same way */
    PyObject *info;           /* class Info, in the same way */
    PyTypeObject *receive;    /* the awaitables of process.c */
    PyTypeObject *method;     /* methods of proxies, of server.c */
    PyObject *gen_call, *gen_cast, *system; /* Atoms: the heads of what servers get */
    PyObject *receive_any;    /* the one that wants anything */
    PyObject *stop;           /* a StopIteration that is used again, or NULL */
    size_t nodes_started;
    bool forked;              /* this is the child of a fork: the node's threads are not here */
    bool asyncio;             /* it has been imported */
    PyTypeObject *process_task; /* see aio.h */
    PyObject *green;          /* mote._greenlets.wrap, where functions run on greenlets, or NULL */
    PyObject *receive_asyncio; /* as receive_any, made outside a process */
    bool lost;                /* a node was left behind with a process that could not be ended */
    _Atomic bool exiting;     /* the interpreter ends, and the node with it; read without the GIL */
    PyObject *place;          /* mote._workers.place, which may start a process in another worker, or NULL */
    PyObject *loading;        /* the Pid of a process that imports the program's main module for this worker, or None, or NULL */
    PyObject *met_atoms[MP_MET], *met_keys[MP_MET]; /* Atoms and short str that were read from bytes, by their letters; see decode.c */
    PyObject *told;           /* class Told: ProcessExit in a process that does not wait, see watch.c */
    struct mp_node *node;     /* the running node, or NULL */
    PyTypeObject *shared_bytes, *buffer; /* SharedBytes, Buffer */
    struct mote_worker *member; /* this interpreter as one of the node's workers, or NULL */
};

static inline struct mp_state *mp_state_of(PyObject *module) { return PyModule_GetState(module); }

/* ----------------------------------------------------------------------------------------------- values.c */

/* A process, as Python sees it. Immutable, hashable, ordered, == by value. What is another node's has memory for its term behind it: the word is valid while the object is. */
struct mp_pid {
    PyObject_HEAD
    mote_pid pid;
};
struct mp_ref {
    PyObject_HEAD
    mote_ref ref;
};
/* Makes types and tables of values; called once for a module. -1: error set. */
int mp_values_init(struct mp_state *st);
/* Copy what a word of another node's refers to. */
PyObject *mp_pid_new(struct mp_state *st, mote_pid pid);
PyObject *mp_ref_new(struct mp_state *st, mote_ref ref);
/* The Atom of a name (size in bytes, UTF-8), or of an atom; interned. Give. */
PyObject *mp_atom_new(struct mp_state *st, const char *name, Py_ssize_t size);
PyObject *mp_atom_from(struct mp_state *st, mote_atom atom);
static inline int mp_is_pid(const struct mp_state *st, PyObject *o) { return Py_IS_TYPE(o, st->pid); }
static inline int mp_is_ref(const struct mp_state *st, PyObject *o) { return Py_IS_TYPE(o, st->ref); }
static inline bool mp_is_ours(uint64_t word) { return !mote_far_get((mote_term){word}, NULL); }

/* Whether it is a Term: one that Python has no value for. */
bool mp_is_term(PyObject *value);
/* Adds methods to Pid, before it is used; and the functions for tests. -1: error set. */
int mp_pid_methods_add(struct mp_state *st, PyMethodDef *methods);
int mp_testing_add(struct mp_state *st, PyMethodDef *methods);

/* What a process may give another: the same object where it is immutable through and through, else a copy of its own. Gives; NULL:
 * NotSendable (a TypeError that names the path to the offending value, as `message[2]["x"].y`), RecursionError beyond 200 levels. */
PyObject *mp_share_other(struct mp_state *st, PyObject *value);
static inline bool mp_is_plain(const struct mp_state *st, PyObject *v) {
    PyTypeObject *t = Py_TYPE(v);
    return t == &PyLong_Type || t == &PyUnicode_Type || t == st->atom || t == &PyBytes_Type || t == &PyFloat_Type || v == Py_None || t == st->pid ||
           t == st->ref || t == &PyBool_Type || t == &PyComplex_Type || t == st->shared_bytes;
}
static inline PyObject *mp_share(struct mp_state *st, PyObject *value) {
    if (!mp_is_plain(st, value)) return mp_share_other(st, value);
    Py_INCREF(value);
    return value;
}
/* The term for a value, in an arena. MOTE_TERM_NONE: error set. */
mote_term mp_to_term(struct mp_state *st, mote_arena *arena, PyObject *value);
/* The value of a term: host objects of this module give their object. Gives; NULL: error set. */
PyObject *mp_from_term(struct mp_state *st, mote_term term);
struct mote_writer;
bool mp_far_encode(void *object, struct mote_writer *writer); /* see process.h */
/* Gives an object back that mote has held: for mote_binary_share() and the like. Any thread. */
void mp_bytes_release(void *data, void *object);
/* The host kind of Python objects (one for all modules of the program: it needs no state). */
extern const mote_host_kind mp_object_kind;

/* --------------------------------------------------------------------------------- encode.c, decode.c */

/* How Python's objects become bytes (mote/external.h) and back, without terms between. */
struct mp_codec {
    mote_form form;
    mote_atom node;    /* this node's name: ours are written by it in Erlang's form, and known by it; word 0: nonode@nohost. See mp_codec_name() */
    uint32_t creation;
    const mote_ref_key *ref_key; /* what hides ours from other nodes; NULL: they are written as they are */
    size_t blob_min; /* with `blob`, in MOTE_FORM_MOTE: bytes, bytearrays and buffers of so many bytes or more are offered to it */
    /* In the other forms, of 64 KiB and more, may be NULL: whether bytes that stay as they are while `owner` lives (which is held then) are left out: they belong behind byte `at`. */
    bool (*leave)(void *context, size_t at, const void *data, size_t size, PyObject *owner);
    /* May be NULL: puts a handle for the bytes into `handle` (255 bytes) and gives its size; 0: they shall be written; -1: error set. */
    Py_ssize_t (*blob)(void *context, const void *data, size_t size, uint8_t *handle);
    /* May be NULL (then handles are refused): the bytes object that a handle stands for. Gives; NULL: error set. */
    PyObject *(*unblob)(void *context, const void *handle, size_t size);
    void *context;
};
/* Writes a value. 0; -1: error set (NotSendable, RecursionError as mp_share(), in Erlang's form as mp_to_term()); 1: the writer has failed, and says why. */
int mp_encode(struct mp_state *st, const struct mp_codec *codec, PyObject *value, mote_writer *writer);
/* The value that the reader gives. Gives; NULL: error set, ValueError for bytes that are no term. The bytes must not change meanwhile. */
PyObject *mp_decode(struct mp_state *st, const struct mp_codec *codec, mote_reader *reader);
/* Sets node, creation and ref_key: those of the node that runs, if it has a name. See net.c. */
void mp_codec_name(const struct mp_state *st, struct mp_codec *codec);
#define MP_NODELESS "nonode@nohost"
/* A node's name in letters; of word 0: nonode@nohost. */
static inline mote_bytes mp_name_text(mote_atom node) {
    mote_bytes name = {MP_NODELESS, sizeof MP_NODELESS - 1};
    if (node.word) name.data = mote_atom_name(node, &name.size);
    return name;
}
/* The node's name as an Atom. Gives; NULL: error set. */
PyObject *mp_node_name(struct mp_state *st);
extern PyMethodDef mp_codec_methods[];
/* Functions for tests. -1: error set. */
int mp_codec_init(struct mp_state *st);

/* ---------------------------------------------------------------------------------------------- pattern.c */

int mp_pattern_init(struct mp_state *st);
/* The compiled Pattern of a plain value (or the Pattern itself). Gives; NULL: error set (TypeError for what cannot be a pattern). */
PyObject *mp_pattern_of(struct mp_state *st, PyObject *spec);
/* Whether a value matches: 1, 0; -1: an error in a `where` function or a comparison, set. */
int mp_pattern_match(struct mp_state *st, PyObject *pattern, PyObject *value);
/* The reference that every match must contain at the top or in its outermost tuple, if there is one (for a receive that is quick however long the
 * mailbox is); NULL: none. Borrowed. */
struct mp_ref *mp_pattern_ref(struct mp_state *st, PyObject *pattern);

/* ---------------------------------------------------------------------------------------------- process.c */

int mp_process_init(struct mp_state *st);
extern PyMethodDef mp_process_methods[];

#endif
