/* SPDX-License-Identifier: Apache-2.0
 * What Python processes do to each other beside sending: links, monitors, exit signals, aliases, names, timers, calls. Arguments are checked
 * here and in the core; names and defaults are the Python layer's. */
#include "process.h"

static PyObject *none_or(struct mp_state *st, mote_err err, const char *doing) {
    if (err) return mp_fail(st, err, doing);
    Py_RETURN_NONE;
}

int mp_pid_from(struct mp_state *st, PyObject *o, mote_pid *pid) {
    if (mp_is_pid(st, o)) return *pid = ((struct mp_pid *)o)->pid, 0;
    return PyErr_Format(PyExc_TypeError, "a Pid is needed, not %R", o), -1;
}
int mp_own_pid_from(struct mp_state *st, PyObject *o, const char *doing, mote_pid *pid) {
    if (mp_pid_from(st, o, pid) < 0) return -1;
    if (mp_is_ours(pid->word)) return 0;
    PyObject *node = PyObject_GetAttrString(o, "node");
    if (node) PyErr_Format(PyExc_ValueError, "%s: %R is a process of the node %S: ask there", doing, o, node);
    Py_XDECREF(node);
    return -1;
}
/* One that this node has made: whoever it belongs to is here. */
static int ref_from(struct mp_state *st, PyObject *o, mote_ref *ref) {
    if (!mp_is_ref(st, o)) return PyErr_Format(PyExc_TypeError, "a Ref is needed, not %R", o), -1;
    *ref = ((struct mp_ref *)o)->ref;
    return mp_is_ours(ref->word) ? 0 : (PyErr_Format(PyExc_ValueError, "%R was made by another node: only there it can be undone", o), -1);
}

/* ------------------------------------------------------------------------------------------- links, monitors */

static PyObject *link_or_not(PyObject *module, PyObject *o, mote_err (*does)(mote_self *, mote_pid), const char *doing) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_pid pid;
    if (!p || mp_pid_from(st, o, &pid) < 0) return NULL;
    return none_or(st, does(p->self, pid), doing);
}
static PyObject *py_link(PyObject *module, PyObject *o) { return link_or_not(module, o, mote_link, "mote.link"); }
static PyObject *py_unlink(PyObject *module, PyObject *o) { return link_or_not(module, o, mote_unlink, "mote.unlink"); }

/* How long the alias of a monitor lives: a name of enum mote_alias_mode in small letters, or None. -1: error set. */
static int alias_mode_of(PyObject *o, mote_alias_mode *mode) {
    static const char *const modes[] = {NULL, "explicit_unalias", "demonitor", "reply_demonitor"};
    if (o == Py_None) return *mode = MOTE_ALIAS_NONE, 0;
    for (int i = 1; PyUnicode_Check(o) && i < 4; i++)
        if (PyUnicode_CompareWithASCIIString(o, modes[i]) == 0) return *mode = (mote_alias_mode)i, 0;
    return PyErr_Format(PyExc_ValueError, "alias is None, 'explicit_unalias', 'demonitor' or 'reply_demonitor', not %R", o), -1;
}

static PyObject *monitor(struct mp_state *st, struct mp_proc *p, PyObject *process, PyObject *alias, PyObject *tag) {
    mote_monitor_options options = {0};
    struct mp_outgoing out = {0};
    mote_term term;
    mote_ref ref;
    if (mp_process_of(st, process, &term) < 0 || alias_mode_of(alias, &options.alias) < 0) return NULL;
    if (tag != Py_None && mp_encoded(st, tag, &out) < 0) return NULL;
    options.tag = out.term;
    mote_err err = mote_monitor_opt(p->self, term, &options, &ref);
    mp_outgoing_drop(&out);
    return err ? mp_fail(st, err, "mote.monitor") : mp_ref_new(st, ref);
}

static PyObject *py_monitor(PyObject *module, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *alias = Py_None, *tag = Py_None;
    if (!p) return NULL;
    if (n != 1) return PyErr_SetString(PyExc_TypeError, "monitor(process, *, alias=None, tag=None) takes one process"), NULL;
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "alias") == 0) alias = args[n + i];
        else if (PyUnicode_CompareWithASCIIString(name, "tag") == 0) tag = args[n + i];
        else return PyErr_Format(PyExc_TypeError, "monitor has no argument %R (it has alias and tag)", name);
    }
    return monitor(st, p, args[0], alias, tag);
}

/* demonitor(ref, flush) -> whether it was active */
static PyObject *py_demonitor(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o;
    int flush;
    bool active;
    mote_ref ref;
    if (!p || !PyArg_ParseTuple(args, "Op", &o, &flush) || ref_from(st, o, &ref) < 0) return NULL;
    mote_err err = mote_demonitor(p->self, ref, flush != 0, &active);
    return err ? mp_fail(st, err, "mote.demonitor") : PyBool_FromLong(active);
}

/* exit_send(to, reason) */
static PyObject *py_exit_send(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o, *reason;
    mote_term to;
    if (!p || !PyArg_ParseTuple(args, "OO", &o, &reason) || mp_process_of(st, o, &to) < 0) return NULL;
    struct mp_outgoing why;
    if (mp_encoded(st, reason, &why) < 0) return NULL;
    mote_err err = mote_exit_send(p->self, to, why.term);
    mp_outgoing_drop(&why);
    if (!err && p->flavour != ASYNCIO && mote_host_exit_reason(p->self, NULL)) return mp_raise_exit(p); /* to oneself */
    return none_or(st, err, "mote.exit");
}

/* interrupt(to, exception) -> whether it lives: raises the exception in another process, where it receives or calls next */
static PyObject *py_interrupt(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o, *exception;
    mote_term to;
    mote_host_box box;
    if (!p || !PyArg_ParseTuple(args, "OO", &o, &exception) || mp_to_of(st, o, &to) < 0) return NULL;
    if (!PyExceptionInstance_Check(exception)) return PyErr_Format(PyExc_TypeError, "an exception is needed, not %R", exception);
    if (!mote_host_takes(p->self, to)) Py_RETURN_FALSE;
    mote_err err = mote_send_term(p->self, to, mote_host_box_term(&box, &mp_object_kind, exception));
    return err ? mp_fail(st, err, "mote.interrupt") : Py_NewRef(Py_True);
}

/* trap_exit(on) -> before */
static PyObject *py_set_trap(PyObject *module, PyObject *on) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    int64_t before = 0;
    int value = PyObject_IsTrue(on);
    if (!p || value < 0) return NULL;
    mote_err err = mote_flag_set(p->self, MOTE_TRAP_EXIT, value, &before);
    return err ? mp_fail(st, err, "mote.trap_exit") : PyBool_FromLong(before != 0);
}

/* set_reach(level): a mote_reach */
static PyObject *py_set_reach(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    long level = PyLong_AsLong(o);
    if (!p || (level == -1 && PyErr_Occurred())) return NULL;
    return none_or(st, mote_flag_set(p->self, MOTE_REACH, level, NULL), "mote.protect");
}

/* ------------------------------------------------------------------------------------------------- aliases */

/* alias(reply=False) -> Ref */
static PyObject *py_alias(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"reply", NULL};
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    int reply = 0;
    mote_ref alias;
    if (!p || !PyArg_ParseTupleAndKeywords(args, kwargs, "|p", names, &reply)) return NULL;
    mote_err err = mote_alias(p->self, reply ? MOTE_ALIAS_REPLY : 0, &alias);
    return err ? mp_fail(st, err, "mote.alias") : mp_ref_new(st, alias);
}

static PyObject *py_unalias(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_ref alias;
    if (!p || ref_from(st, o, &alias) < 0) return NULL;
    mote_err err = mote_unalias(p->self, alias);
    return err && err != MOTE_NOMATCH ? mp_fail(st, err, "mote.unalias") : PyBool_FromLong(!err);
}

/* --------------------------------------------------------------------------------------------------- names */

static int name_from(PyObject *o, mote_term *name) { return mp_name_of(o, "a name is a str or an Atom", name); }

/* register(name, pid, remote=True) */
static PyObject *py_register(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *name, *o;
    mote_term term;
    mote_pid pid;
    int remote = 1;
    if (!p || !PyArg_ParseTuple(args, "OO|p", &name, &o, &remote) || name_from(name, &term) < 0 || mp_own_pid_from(st, o, "mote.register", &pid) < 0) return NULL;
    mote_err err = remote ? mote_register(p->self, term, pid) : mote_register_here(p->self, term, pid);
    if (err == MOTE_EBUSY) return PyErr_Format(PyExc_ValueError, "%R is taken, or the process has a name", name);
    if (err == MOTE_ENAME) return PyErr_Format(PyExc_ValueError, "%R cannot be a name", name);
    return none_or(st, err, "mote.register");
}

static PyObject *py_unregister(PyObject *module, PyObject *name) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_term term;
    if (!p || name_from(name, &term) < 0) return NULL;
    return none_or(st, mote_unregister(p->self, term), "mote.unregister");
}

static PyObject *py_whereis(PyObject *module, PyObject *name) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_term term;
    mote_pid pid;
    if (!p || name_from(name, &term) < 0) return NULL;
    mote_err err = mote_whereis(p->self, term, &pid);
    if (err == MOTE_ENAME) Py_RETURN_NONE;
    return err ? mp_fail(st, err, "mote.whereis") : mp_pid_new(st, pid);
}

/* A list that may grow while it is made: asked again with more room. */
static PyObject *py_registered(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_atom *names = NULL;
    size_t count = 0, room = 0;
    (void)none;
    if (!p) return NULL;
    for (;;) {
        mote_err err = mote_registered(p->self, names, room, &count);
        if (err && err != MOTE_ERANGE) return PyMem_Free(names), mp_fail(st, err, "mote.registered");
        if (count <= room) break;
        room = count + 16;
        PyMem_Free(names);
        if (!(names = PyMem_New(mote_atom, room))) return PyErr_NoMemory();
    }
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *atom = mp_atom_from(st, names[i]);
        if (!atom) Py_CLEAR(list);
        else PyList_SET_ITEM(list, (Py_ssize_t)i, atom);
    }
    PyMem_Free(names);
    return list;
}

/* --------------------------------------------------------------------------------------------------- time */

static int ms_from(PyObject *o, int64_t *ms) {
    double seconds = PyFloat_AsDouble(o);
    if (seconds == -1 && PyErr_Occurred()) return -1;
    if (!(seconds >= 0 && seconds < 1e11)) return PyErr_Format(PyExc_ValueError, "seconds from 0 on are needed, not %R", o), -1;
    *ms = (int64_t)(seconds * 1000 + 0.999);
    return 0;
}

/* send_after(seconds, to, message) -> Ref */
static PyObject *py_send_after(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *seconds, *o, *message;
    mote_term to;
    int64_t ms;
    mote_ref timer;
    if (!p || !PyArg_ParseTuple(args, "OOO", &seconds, &o, &message) || ms_from(seconds, &ms) < 0 || mp_to_of(st, o, &to) < 0) return NULL;
    struct mp_outgoing out;
    if (mp_outgoing(st, p, to, message, &out) < 0) return NULL;
    mote_err err = mote_send_after(p->self, ms, to, &timer, "?", out.term);
    mp_outgoing_drop(&out);
    return err ? mp_fail(st, err, "mote.send_after") : mp_ref_new(st, timer);
}

/* False: it would have had to wait, or to connect. */
static PyObject *py_send_nosuspend(PyObject *module, PyObject *args, PyObject *kwargs) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o, *message;
    mote_term to;
    int noconnect = 0;
    static char *names[] = {"", "", "noconnect", NULL};
    if (!p || !PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$p:send_nosuspend", names, &o, &message, &noconnect) || mp_to_of(st, o, &to) < 0) return NULL;
    mote_err err = mote_host_in_the_way(p->self, to, MOTE_SEND_NOSUSPEND | (noconnect ? MOTE_SEND_NOCONNECT : 0u));
    if (err == MOTE_EFULL || (err == MOTE_ENOPROC && noconnect && mp_is_abroad(p, to))) Py_RETURN_FALSE;
    if (err) return mp_fail(st, err, "mote.send_nosuspend");
    if (mp_send(st, p, to, message) < 0) return NULL;
    Py_RETURN_TRUE;
}

/* The seconds that are, or were, left of a timer; None: it has fired, or there is none. */
static PyObject *timer(PyObject *module, PyObject *o, mote_err (*does)(mote_self *, mote_ref, int64_t *), const char *doing) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_ref ref;
    int64_t left = 0;
    if (!p || ref_from(st, o, &ref) < 0) return NULL;
    mote_err err = does(p->self, ref, &left);
    if (err == MOTE_NOMATCH) Py_RETURN_NONE;
    return err ? mp_fail(st, err, doing) : PyFloat_FromDouble((double)left / 1000);
}
static PyObject *py_cancel(PyObject *module, PyObject *o) { return timer(module, o, mote_timer_cancel, "mote.cancel"); }
static PyObject *py_read_timer(PyObject *module, PyObject *o) { return timer(module, o, mote_timer_read, "mote.read_timer"); }

/* --------------------------------------------------------------------------------------------------- calls */

/* To a hosted server of this node: (head, (caller, Ref), request); the Ref is an alias that takes one answer. -1: error set. */
static int call_hosted(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *head, PyObject *request, mote_ref *ref) {
    mote_monitor_options options = {.alias = MOTE_ALIAS_REPLY_DEMONITOR};
    PyObject *shared = mp_share(st, request);
    if (!shared) return -1;
    mote_err err = mote_monitor_opt(p->self, to, &options, ref);
    PyObject *tag = err ? NULL : mp_ref_new(st, *ref), *me = tag ? mp_pid_of(p) : NULL, *from = me ? PyTuple_Pack(2, me, tag) : NULL;
    PyObject *message = from ? PyTuple_Pack(3, head, from, shared) : NULL;
    int sent = message ? mp_send_shared(st, p, to, message) : -1;
    if (err) mp_fail(st, err, "mote.call");
    else if (sent < 0) mote_demonitor(p->self, *ref, true, NULL);
    Py_XDECREF(message);
    Py_XDECREF(from);
    Py_XDECREF(me);
    Py_XDECREF(tag);
    Py_DECREF(shared);
    return sent;
}

/* To one of C's or Erlang's, or of another node: the head is that of a call or of a system message. */
static int call_other(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *head, PyObject *request, mote_ref *ref) {
    struct mp_outgoing out;
    if (mp_encoded(st, request, &out) < 0) return -1;
    mote_err err = head == st->system ? mote_call_start_site(p->self, to, ref, MOTE_SITE("{system, {?, [alias|?]}, ?}"), MOTE_ARGS(0, 0, out.term))
                                      : mote_call_start_term(p->self, to, out.term, ref);
    mp_outgoing_drop(&out);
    return err ? mp_fail(st, err, "mote.call"), -1 : 0;
}

static bool is_caller(struct mp_proc *p, mote_term to) {
    mote_pid me = mote_self_pid(p->self), named;
    if (mp_is_abroad(p, to) || (mote_term_type(to) == MOTE_TUPLE && mote_tuple_get(to, 0, &to))) return false;
    if (mote_term_type(to) == MOTE_ATOM) return mote_whereis(p->self, to, &named) == MOTE_OK && named.word == me.word;
    return to.word == mote_pid_term(me).word;
}

int mp_call_start(struct mp_state *st, struct mp_proc *p, PyObject *o, PyObject *head, PyObject *request, struct wanted *want) {
    mote_term to;
    if (mp_to_of(st, o, &to) < 0) return -1;
    if (is_caller(p, to)) return PyErr_SetString(st->error, "mote.call: a process that asks itself would wait for ever"), -1;
    bool hosted = !mp_is_abroad(p, to) && mp_takes(p, to);
    if ((hosted ? call_hosted : call_other)(st, p, to, head, request, &want->call) < 0) return -1;
    want->since = want->call;
    return 0;
}

/* Whether asyncio runs a loop in the calling thread. */
static bool runs_loop(struct mp_state *st) {
    PyObject *events = st->asyncio ? PyImport_ImportModule("asyncio.events") : NULL;
    PyObject *loop = events ? PyObject_CallMethod(events, "_get_running_loop", NULL) : NULL;
    Py_XDECREF(events);
    Py_XDECREF(loop);
    PyErr_Clear();
    return loop && loop != Py_None;
}

bool mp_may_wait(const struct mp_proc *p, bool awaits) {
    if (mp_awaits(p)) return awaits;
    return !awaits || (p->flavour == THREAD && runs_loop(p->node->st));
}

/* (to, request, timeout): the call is under way, and what it waits for in *want. NULL: error set. */
static struct mp_proc *call_from(struct mp_state *st, PyObject *const *args, Py_ssize_t n, PyObject *head, bool awaits, struct wanted *want) {
    struct mp_proc *p = mp_caller(st);
    memset(want, 0, sizeof *want);
    if (!p) return NULL;
    if (n != 3) return PyErr_SetString(PyExc_TypeError, "a server, a request and a time limit are needed"), NULL;
    if (!mp_may_wait(p, awaits)) {
        PyErr_SetString(PyExc_RuntimeError, awaits ? "mote.aio.call() is for coroutines: in a function use mote.call()"
                                                   : "mote.call() in a coroutine: use `await mote.aio.call()`");
        return NULL;
    }
    return mp_deadline_of(args[2], &want->deadline_ns) < 0 || mp_call_start(st, p, args[0], head, args[1], want) < 0 ? NULL : p;
}

static PyObject *call_and_wait(struct mp_state *st, PyObject *const *args, Py_ssize_t n, PyObject *head) {
    struct wanted want;
    struct mp_proc *p = call_from(st, args, n, head, false, &want);
    return p ? mp_receive(p, &want) : NULL;
}
static PyObject *call_to_await(struct mp_state *st, PyObject *const *args, Py_ssize_t n, PyObject *head) {
    struct wanted want;
    return call_from(st, args, n, head, true, &want) ? mp_awaitable(st, &want) : NULL;
}

/* call(to, request, timeout), aio_call(): to servers; system(), aio_system(): the same for {system, From, Request} */
static PyObject *py_call(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    return call_and_wait(mp_state_of(module), args, n, mp_state_of(module)->gen_call);
}
static PyObject *py_aio_call(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    return call_to_await(mp_state_of(module), args, n, mp_state_of(module)->gen_call);
}
static PyObject *py_system(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    return call_and_wait(mp_state_of(module), args, n, mp_state_of(module)->system);
}
static PyObject *py_aio_system(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    return call_to_await(mp_state_of(module), args, n, mp_state_of(module)->system);
}

int mp_cast(struct mp_state *st, struct mp_proc *p, PyObject *o, PyObject *message) {
    mote_term to;
    if (mp_to_of(st, o, &to) < 0) return -1;
    PyObject *pair = PyTuple_Pack(2, st->gen_cast, message);
    int sent = pair ? mp_send(st, p, to, pair) : -1;
    Py_XDECREF(pair);
    return sent;
}

/* cast(to, message) */
static PyObject *py_cast(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *to, *message;
    if (!p || !PyArg_ParseTuple(args, "OO", &to, &message) || mp_cast(st, p, to, message) < 0) return NULL;
    Py_RETURN_NONE;
}

/* A tag that is a Ref is the alias of call_hosted(): nobody waits for what it does not take any more. */
static PyObject *reply_hosted(struct mp_state *st, struct mp_proc *p, PyObject *tag, PyObject *value) {
    mote_term to = mote_ref_term(((struct mp_ref *)tag)->ref);
    if (!mp_takes(p, to)) Py_RETURN_NONE;
    PyObject *shared = mp_share(st, value), *pair = shared ? PyTuple_Pack(2, tag, shared) : NULL;
    int sent = pair ? mp_send_shared(st, p, to, pair) : -1;
    Py_XDECREF(pair);
    Py_XDECREF(shared);
    if (sent < 0) return NULL;
    Py_RETURN_NONE;
}

/* reply((pid, tag), value) */
static PyObject *py_reply(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    if (!p) return NULL;
    if (n != 2) return PyErr_SetString(PyExc_TypeError, "reply(caller, value) takes two arguments"), NULL;
    PyObject *from = args[0];
    if (!PyTuple_CheckExact(from) || PyTuple_GET_SIZE(from) != 2) return PyErr_Format(PyExc_TypeError, "reply needs what the call came with, not %R", from);
    PyObject *tag = PyTuple_GET_ITEM(from, 1);
    if (mp_is_ref(st, tag) && mp_is_ours(((struct mp_ref *)tag)->ref.word)) return reply_hosted(st, p, tag, args[1]);
    mote_arena *arena = mote_arena_new(0);
    mote_term to = arena ? mp_to_term(st, arena, from) : MOTE_TERM_NONE, term = to.word ? mp_to_term(st, arena, args[1]) : MOTE_TERM_NONE;
    mote_err err = term.word ? mote_reply_term(p->self, to, term) : MOTE_OK;
    mote_arena_free(arena);
    if (!arena) return PyErr_NoMemory();
    return term.word ? none_or(st, err, "mote.reply") : NULL;
}

/* ------------------------------------------------------------------------------------------------ spawning */

/* spawn_opt(f, args, kwargs, link, monitor, name, mailbox, policy, priority, stack, hidden=False) -> Pid or (Pid, Ref) */
static PyObject *py_spawn_opt(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *f, *positional, *named;
    const char *name;
    int link, monitor, policy, priority, hidden = 0;
    Py_ssize_t mailbox, stack;
    mote_ref ref = {0};
    if (!p || !PyArg_ParseTuple(args, "OO!O!ppzniin|p", &f, &PyTuple_Type, &positional, &PyDict_Type, &named, &link, &monitor, &name, &mailbox, &policy,
                                &priority, &stack, &hidden))
        return NULL;
    if (mailbox < 0 || stack < 0) return PyErr_SetString(PyExc_ValueError, "mailbox and stack are sizes from 0 on"), NULL;
    if (stack && stack < MP_STACK_LEAST) return PyErr_Format(PyExc_ValueError, "stack is at least %d bytes", MP_STACK_LEAST), NULL;
    mote_spawn_options how = {.link = link != 0, .monitor = monitor ? &ref : NULL, .name = name, .mailbox_max = (size_t)mailbox, .policy = (mote_policy)policy,
                              .priority = (mote_priority)priority, .stack_size = mp_stack_size(stack), .reach = hidden ? MOTE_REACH_NONE : MOTE_REACH_ALL};
    PyObject *pid = mp_spawn(st, p, f, positional, PyDict_GET_SIZE(named) ? named : NULL, &how);
    return pid && monitor ? mp_pid_and_ref(st, pid, ref) : pid;
}

#define FAST(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef mp_control_methods[] = {
    {"link", py_link, METH_O,
     "link(pid, /)\n\n"
     "Ties the caller and a process together: when one ends for any other reason than normal, the other is sent an exit signal. Two processes\n"
     "have one link at most. NoProc when the other has ended; a caller that traps exits gets ExitSignal(reason=noproc) instead. Never waits. As\n"
     "Erlang's link/1."},
    {"unlink", py_unlink, METH_O,
     "unlink(pid, /)\n\n"
     "Undoes link(), from either side; no exit signal of this link comes afterwards. Without a link it does nothing. Never waits. As Erlang's\n"
     "unlink/1."},
    {"monitor", FAST(py_monitor), METH_FASTCALL | METH_KEYWORDS,
     "monitor(process, /, *, alias=None, tag=None) -> Ref\n\n"
     "Watches a process, given by Pid or name: one Down(...) with this reference comes when it ends, at once with the reason noproc when there\n"
     "is none. Ended by demonitor(). `alias`: messages reach the caller through the reference, until unalias() (\"explicit_unalias\"), until the\n"
     "monitor is removed (\"demonitor\"), or also until the first of them, which removes the monitor (\"reply_demonitor\"). `tag`: this instead of\n"
     "\"DOWN\", in a plain tuple. Never waits. As Erlang's monitor/3."},
    {"demonitor", py_demonitor, METH_VARARGS, NULL},
    {"alias", FAST(py_alias), METH_VARARGS | METH_KEYWORDS,
     "alias(reply=False) -> Ref\n\n"
     "A reference through which messages reach the caller until unalias(), with `reply` the first one alone; what comes later is dropped. Never\n"
     "waits. As Erlang's alias/1."},
    {"unalias", py_unalias, METH_O,
     "unalias(alias, /) -> bool\n\n"
     "Closes an alias of the caller. False: it is none, or closed. Never waits. As Erlang's unalias/1."},
    {"exit_send", py_exit_send, METH_VARARGS, NULL},
    {"interrupt", py_interrupt, METH_VARARGS, NULL},
    {"set_trap", py_set_trap, METH_O, NULL},
    {"set_reach", py_set_reach, METH_O, NULL},
    {"register", py_register, METH_VARARGS, NULL},
    {"unregister", py_unregister, METH_O,
     "unregister(name, /)\n\n"
     "Frees a name that register() has given; it is free by itself when its process ends. NoProc when nobody has it. As Erlang's unregister/1."},
    {"whereis", py_whereis, METH_O,
     "whereis(name, /) -> Pid | None\n\n"
     "Who has this name now. As Erlang's whereis/1."},
    {"registered", py_registered, METH_NOARGS,
     "registered() -> list[Atom]\n\n"
     "All names that are given, in no order. As Erlang's registered/0."},
    {"send_nosuspend", (PyCFunction)(void (*)(void))py_send_nosuspend, METH_VARARGS | METH_KEYWORDS,
     "send_nosuspend(to, message, /, *, noconnect=False) -> bool\n\n"
     "As send(), unless the caller would have to stand still for it, because too much waits for the receiver, its worker or its node: then nothing is sent, and\n"
     "it says False. With noconnect also when the receiver's node is not connected. Never waits. As Erlang's send_nosuspend/2."},
    {"send_after", py_send_after, METH_VARARGS,
     "send_after(seconds, to, message, /) -> Ref\n\n"
     "Sends a message later: not before so many seconds (a float, exact to a millisecond) have passed. cancel() takes the reference. The timer\n"
     "outlives the caller, and ends with its receiver. Never waits. As Erlang's send_after/3."},
    {"cancel", py_cancel, METH_O,
     "cancel(timer, /) -> float | None\n\n"
     "Cancels a timer of send_after(): the seconds that were left; None: it has sent its message, or was cancelled before. Never waits. As\n"
     "Erlang's cancel_timer/1."},
    {"read_timer", py_read_timer, METH_O,
     "read_timer(timer, /) -> float | None\n\n"
     "The seconds that are left of a timer of send_after(); None: as of cancel(), or its receiver has ended. Never waits. As Erlang's read_timer/1."},
    {"call", FAST(py_call), METH_FASTCALL, NULL},
    {"aio_call", FAST(py_aio_call), METH_FASTCALL, NULL},
    {"system", FAST(py_system), METH_FASTCALL, NULL},
    {"aio_system", FAST(py_aio_system), METH_FASTCALL, NULL},
    {"cast", py_cast, METH_VARARGS, NULL},
    {"reply", FAST(py_reply), METH_FASTCALL,
     "reply(caller, value, /)\n\n"
     "Answers a call: `caller` is what the request came with, `self.caller` in a Server. Any process may do it, once. An answer that comes too\n"
     "late is dropped. Never waits. As gen_server:reply/2."},
    {"spawn_opt", py_spawn_opt, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
