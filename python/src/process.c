/* SPDX-License-Identifier: Apache-2.0
 * Processes: the two flavours, sending, receiving, starting, ending. */
#include "aio.h"
#include "process.h"

#include "values.h"

struct receive { /* the awaitable */
    PyObject_HEAD
    struct mp_state *st;
    struct wanted want;
    struct seen seen;
    bool native; /* made in a coroutine process, for it */
};

/* ------------------------------------------------------------------------------------------------ errors */

PyObject *mp_fail(struct mp_state *st, mote_err err, const char *doing) {
    if (err == MOTE_ENOMEM) return PyErr_NoMemory();
    PyObject *type = err == MOTE_ENOPROC || err == MOTE_ENAME ? st->no_proc : err == MOTE_EFULL ? st->mailbox_full : st->error;
    PyErr_Format(type, "%s: %s (%s)", doing, mote_err_text(err), mote_err_name(err));
    return NULL;
}

/* A function that catches its end again and again, and waits again, would never end: after TELLINGS times it is ended as it stands. */
#define TELLINGS 100
static void tell_again(struct mp_proc *p) {
    if (p->flavour != FUNCTION || p->tellings++ == 0) return;
    if (p->tellings > TELLINGS) mp_end_as_it_stands(p);
    mp_leave(p);
    (void)mote_yield(p->self);
    mp_enter(p);
}

/* Raises ProcessExit with the reason of the signal that ends this process. */
PyObject *mp_raise_exit(struct mp_proc *p) {
    tell_again(p);
    mp_is_told(p);
    struct mp_state *st = p->node->st;
    mote_term why;
    PyObject *reason = mote_host_exit_reason(p->self, &why) ? mp_from_term(st, why) : Py_NewRef(Py_None);
    if (!reason) return NULL;
    PyObject *class = p->task && p->task->future ? mp_aio_exit_class(p->node) : st->process_exit;
    PyObject *e = class ? PyObject_CallFunctionObjArgs(class, reason, NULL) : NULL;
    Py_DECREF(reason);
    if (e) PyErr_SetObject(class, e);
    Py_XDECREF(e);
    return NULL;
}

PyObject *mp_pid_of(struct mp_proc *p) {
    if (!p->pid) p->pid = mp_pid_new(p->node->st, mote_self_pid(p->self));
    return Py_XNewRef(p->pid);
}

/* ------------------------------------------------------------------------------------------------- waiting */

/* A flow gives the thread state back, and takes it again (M5). */
void mp_leave(struct mp_proc *p) {
    if (p->node->attention) mp_withdraw(p->node);
    mp_frames_save(p->node->ts, &p->frames);
    mp_frames_load(p->node->ts, &p->node->base);
    p->node->current = NULL;
}
void mp_enter(struct mp_proc *p) {
    if (p->node->aio.running) mp_aio_leave(p->node);
    mp_frames_save_rest(p->node->ts, &p->node->base);
    mp_frames_load(p->node->ts, &p->frames);
    p->node->current = p;
}

int64_t mp_ms_until(uint64_t deadline_ns) {
    if (deadline_ns == UINT64_MAX) return -1;
    uint64_t now = mp_now_ns();
    return now >= deadline_ns ? 0 : (int64_t)((deadline_ns - now + 999999) / 1000000);
}

#define SIGNALS_EVERY_MS 50 /* a thread that waits looks whether Python has a signal to handle (Ctrl-C) */

static mote_err wait_thread(struct mp_proc *p, uint64_t deadline_ns) {
    for (;;) {
        int64_t ms = mp_ms_until(deadline_ns);
        mote_err err;
        bool slice = ms < 0 || ms > SIGNALS_EVERY_MS;
        if (ms == 0) return mote_host_wait(p->self, 0);
        Py_BEGIN_ALLOW_THREADS
        atomic_store_explicit(&p->node->thread_holds, 0, memory_order_relaxed);
        err = mote_host_wait(p->self, slice ? SIGNALS_EVERY_MS : ms);
        if ((err == MOTE_EEXIT || err == MOTE_ESTOPPED) && p->node->st->exiting) mp_freeze();
        mp_lock_soon(p->node, &p->node->scheduler_holds);
        Py_END_ALLOW_THREADS
        atomic_store_explicit(&p->node->thread_holds, 1, memory_order_relaxed);
        if (err != MOTE_TIMEOUT || !slice) return err;
        if (PyErr_CheckSignals() < 0) return MOTE_ECONTEXT; /* an exception is set */
    }
}

/* Waits for something new in a process that can: not a coroutine. */
static mote_err wait_for_more(struct mp_proc *p, uint64_t deadline_ns) {
    if (p->flavour == THREAD) return wait_thread(p, deadline_ns);
    mp_leave(p);
    mote_err err = mote_host_wait(p->self, mp_ms_until(deadline_ns));
    mp_enter(p);
    return err;
}

static mote_err give_way(struct mp_proc *p) {
    mote_err err;
    if (p->flavour == THREAD) {
        Py_BEGIN_ALLOW_THREADS
        err = mote_yield(p->self);
        Py_END_ALLOW_THREADS
    } else {
        mp_leave(p);
        err = mote_yield(p->self);
        mp_enter(p);
    }
    return err;
}

/* A function or a thread lets others run. */
int mp_yield(struct mp_proc *p) {
    if (give_way(p) == MOTE_EEXIT) return mp_raise_exit(p), -1;
    return 0;
}

int mp_turn_over(struct mp_proc *p) {
    if (give_way(p) == MOTE_EEXIT && mp_had_time(p)) return mp_raise_exit(p), -1;
    return 0;
}

/* ----------------------------------------------------------------------------------------------- receiving */

struct search {
    struct mp_state *st;
    const struct wanted *want;
    struct seen *seen;
    PyObject *found; /* the message, or what the handler gave */
    bool failed;     /* an exception is set */
};

static PyObject *system_class(struct mp_state *st, mote_term message) {
    if (mote_match(message, "{'DOWN', _, _, _, _}")) return st->down;
    if (mote_match(message, "{'EXIT', _, _}")) return st->exit_signal;
    if (mote_match(message, "{nodedown, _}")) return st->node_down;
    return mote_match(message, "{nodeup, _}") ? st->node_up : NULL;
}

/* {'DOWN', ...}, {'EXIT', ...} and the like of the core become the classes' instances, which are tuples too. */
static PyObject *system_value(struct mp_state *st, mote_term message, PyObject *value) {
    PyObject *class = system_class(st, message);
    if (value && class) Py_SETREF(value, PyObject_Call(class, value, NULL));
    return value;
}

PyObject *mp_value_of(struct mp_state *st, mote_term message) {
    PyObject *o = mote_host_object(message, &mp_object_kind);
    return o ? Py_NewRef(o) : system_value(st, message, mp_from_term(st, message));
}

/* The message last received is freed: its value is held, or not needed. */
static void drop_message(struct mp_proc *p) {
    PyObject *o = mote_host_take(p->self, &mp_object_kind);
    if (o) Py_DECREF(o);
    else mote_host_message_drop(p->self);
}

/* What an answer of another worker's begins with, or (a Term: [alias|Ref]) of another node's. */
static bool is_tag(struct mp_state *st, PyObject *tag, mote_ref call) {
    if (mp_is_ref(st, tag)) return ((struct mp_ref *)tag)->ref.word == call.word;
    return mp_is_term(tag) && mote_match(mp_term_of(tag), "[alias|^]", call);
}

/* The answer of a call: 1: *found; 0: another message; -1: the server is gone, error set. */
static int is_answer(struct mp_state *st, mote_ref call, mote_term message, PyObject **found) {
    PyObject *o = mote_host_object(message, &mp_object_kind);
    mote_term reply, why;
    if (o) {
        bool is = PyTuple_CheckExact(o) && PyTuple_GET_SIZE(o) == 2 && is_tag(st, PyTuple_GET_ITEM(o, 0), call);
        if (is) *found = Py_NewRef(PyTuple_GET_ITEM(o, 1));
        return is;
    }
    if (mote_match(message, "{'DOWN', ^, _, _, ?}", call, &why)) {
        PyObject *reason = mp_from_term(st, why), *e = reason ? PyObject_CallOneArg(st->no_proc, reason) : NULL;
        if (e && PyObject_SetAttrString(e, "reason", reason) == 0) PyErr_SetObject(st->no_proc, e);
        Py_XDECREF(e);
        Py_XDECREF(reason);
        return -1;
    }
    if (mote_call_answer(message, call, &reply)) return 0;
    *found = mp_from_term(st, reply);
    return *found ? 1 : -1;
}

/* Raises what is an exception: no message is one, but _mote.interrupt() puts them into mailboxes. */
static bool interrupts(PyObject *o) {
    if (!o || !PyExceptionInstance_Check(o)) return false;
    PyErr_SetObject((PyObject *)Py_TYPE(o), o);
    return true;
}

/* The message last received, which is no object: as a value. Gives; NULL: an exception is set. */
static PyObject *term_taken(struct mp_proc *p) {
    PyObject *value = mp_value_of(p->node->st, mote_message(p->self));
    mote_host_message_drop(p->self);
    return value;
}

/* Whether a term is a reference, or a tuple with it: all that the pattern can fit, see mp_pattern_ref(). */
static bool has_ref(mote_term message, mote_ref ref) {
    size_t n;
    mote_term element;
    if (mote_tuple_size(message, &n)) return message.word == ref.word;
    for (size_t i = 0; i < n; i++)
        if (mote_tuple_get(message, i, &element) == MOTE_OK && element.word == ref.word) return true;
    return false;
}

/* For mote_host_receive(). After an exception nothing else is looked at. Terms that cannot fit are not made values. */
static bool is_wanted(mote_term message, void *context) {
    struct search *s = context;
    if (s->failed) return false;
    s->seen->any = true;
    if (interrupts(mote_host_object(message, &mp_object_kind))) return s->failed = true;
    if (s->want->instead) return false;
    if (s->want->ref.word && !mote_host_object(message, &mp_object_kind) && !has_ref(message, s->want->ref)) return false;
    if (s->want->call.word) {
        int is = is_answer(s->st, s->want->call, message, &s->found);
        s->failed = is < 0;
        return is != 0; /* a DOWN is taken, too */
    }
    PyObject *value = mp_value_of(s->st, message), *result = NULL;
    int matches = value ? 1 : -1;
    if (value && s->want->pattern) matches = mp_pattern_match(s->st, s->want->pattern, value);
    if (matches == 1 && s->want->handler) {
        result = PyObject_CallOneArg(s->want->handler, value);
        matches = !result ? -1 : result == s->st->skip ? 0 : 1;
    }
    s->failed = matches < 0;
    if (matches == 1) {
        s->found = result ? result : value;
        if (result) Py_DECREF(value);
        return true;
    }
    Py_XDECREF(result);
    Py_XDECREF(value);
    return false;
}

/* What is wanted instead of a message, if it is there: as take(). */
static int take_instead(struct mp_proc *p, const struct wanted *want, PyObject **found) {
    mote_process_info info;
    if (want->instead == KNOWN) return *found = Py_NewRef(want->known), MOTE_OK;
    mote_err err = want->instead == AN_ANSWER ? mote_host_answer(want->question, &info) : MOTE_TIMEOUT;
    if (err == MOTE_TIMEOUT) return MOTE_TIMEOUT;
    *found = mp_answer_value(p->node->st, want->lives, err, &info);
    return *found ? MOTE_OK : -1;
}

/* It is about to wait: what it has looked at need not be looked at again, however often it is woken. */
static void look_on(struct mp_proc *p, struct seen *seen) {
    if (seen->any) seen->since = mote_ref_make(p->self);
    seen->any = false;
}

/* Takes the oldest message: as take(). */
static inline int take_any(struct mp_proc *p, PyObject **found) {
    void *object;
    mote_err err = mote_host_next(p->self, &mp_object_kind, &object);
    if (err) return (int)err;
    if (interrupts(object)) Py_CLEAR(object);
    else if (!object) object = term_taken(p);
    *found = object;
    return object ? MOTE_OK : -1;
}

static __attribute__((noinline)) int take_wanted(struct mp_proc *p, const struct wanted *want, struct seen *seen, PyObject **found) {
    mote_term message;
    mote_err err;
    if (__builtin_expect(want->instead, 0)) {
        int got = take_instead(p, want, found);
        if (got != MOTE_TIMEOUT) return got;
    }
    struct search s = {.st = p->node->st, .want = want, .seen = seen};
    if (p->searching) return PyErr_SetString(s.st->error, "mote: receive within a receive's own handler or where="), -1;
    p->searching = true;
    err = mote_host_receive(p->self, seen->since.word ? seen->since : want->since, is_wanted, &s, &message);
    p->searching = false;
    if (s.failed && want->call.word) (void)mote_call_cancel(p->self, want->call);
    if (s.failed) return -1;
    if (err) return (int)err;
    *found = s.found;
    drop_message(p);
    return MOTE_OK;
}

/* Takes the first message that is wanted: MOTE_OK and *found, MOTE_TIMEOUT, MOTE_EEXIT, or -1: an exception is set. */
static inline int take(struct mp_proc *p, const struct wanted *want, struct seen *seen, PyObject **found) {
    bool any = !want->pattern && !want->handler && !want->call.word && !want->instead;
    return any ? take_any(p, found) : take_wanted(p, want, seen, found);
}

/* What a receive gives whose time is up. A call is given up: no late answer can come, but one may be there already. */
static PyObject *timed_out(struct mp_proc *p, const struct wanted *want) {
    if (want->call.word) {
        (void)mote_call_cancel(p->self, want->call);
        PyErr_SetString(PyExc_TimeoutError, "mote.call: no answer came in time");
        return NULL;
    }
    if (want->fallback) return Py_NewRef(want->fallback);
    PyErr_SetString(PyExc_TimeoutError, want->instead == AN_ANSWER ? "mote.info: the process has not answered in time" : "mote: no message came in time");
    return NULL;
}

static bool is_late(const struct wanted *want) { return want->deadline_ns != UINT64_MAX && mp_now_ns() >= want->deadline_ns; }

/* Its coroutine awaits for it. */
PyObject *mp_await_green(PyObject *awaitable) {
    PyObject *module = awaitable ? PyImport_ImportModule("mote._greenlets") : NULL;
    PyObject *result = module ? PyObject_CallMethod(module, "wait", "O", awaitable) : NULL;
    Py_XDECREF(awaitable);
    Py_XDECREF(module);
    return result;
}

static PyObject *receive_green(struct mp_proc *p, const struct wanted *want) {
    struct wanted own = *want;
    own.pattern = Py_XNewRef(want->pattern);
    own.handler = Py_XNewRef(want->handler);
    own.fallback = Py_XNewRef(want->fallback);
    return mp_await_green(mp_awaitable(p->node->st, &own));
}

/* The receive of functions and threads. Inlined where what is wanted is known. */
static inline __attribute__((always_inline)) PyObject *receive(struct mp_proc *p, const struct wanted *want) {
    struct seen seen = {0};
    if (p->green) return receive_green(p, want);
    for (;;) {
        PyObject *found;
        int got = take(p, want, &seen, &found);
        if (got == MOTE_OK) return mp_let_others(p) < 0 ? (Py_DECREF(found), NULL) : found;
        if (got < 0) return NULL;
        if (got == MOTE_EEXIT) return mp_raise_exit(p);
        if (got != MOTE_TIMEOUT) return mp_fail(p->node->st, (mote_err)got, "mote.receive");
        if (seen.any && !is_late(want)) look_on(p, &seen);
        mote_err err = wait_for_more(p, want->deadline_ns);
        if (!err) continue;
        if (PyErr_Occurred()) return NULL;
        if (err == MOTE_EEXIT) return mp_raise_exit(p);
        if (err == MOTE_TIMEOUT) return mp_let_others(p) < 0 ? NULL : timed_out(p, want); /* who only polls lets others run, too */
        return mp_fail(p->node->st, err, "mote.receive");
    }
}

PyObject *mp_receive(struct mp_proc *p, const struct wanted *want) { return receive(p, want); }

/* seconds (None: for ever) to a deadline; -1: error set. */
int mp_deadline_of(PyObject *timeout, uint64_t *deadline_ns) {
    *deadline_ns = UINT64_MAX;
    if (!timeout || timeout == Py_None) return 0;
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1 && PyErr_Occurred()) return -1;
    if (!(seconds >= 0)) return PyErr_Format(PyExc_ValueError, "timeout must be None or seconds from 0 on, not %R", timeout), -1;
    if (seconds < 1e9) *deadline_ns = mp_now_ns() + (uint64_t)(seconds * 1e9);
    return 0;
}

/* (what?, *, timeout=None, default=...) Owned references in `want`, to be dropped with want_drop(). */
static void want_drop(struct wanted *want) {
    Py_CLEAR(want->pattern);
    Py_CLEAR(want->handler);
    Py_CLEAR(want->fallback);
    if (want->instead == KNOWN) Py_CLEAR(want->known);
    if (want->instead == AN_ANSWER) mote_host_question_drop(want->question);
    want->instead = A_MESSAGE;
}
static int want_from(struct mp_state *st, PyObject *const *args, Py_ssize_t n, PyObject *names, struct wanted *want) {
    memset(want, 0, sizeof *want);
    want->deadline_ns = UINT64_MAX;
    if (n > 1) return PyErr_SetString(PyExc_TypeError, "receive takes one pattern or handler; for several use any_of(p, q)"), -1;
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i), *value = args[n + i];
        if (PyUnicode_CompareWithASCIIString(name, "timeout") == 0) {
            if (mp_deadline_of(value, &want->deadline_ns) < 0) goto fail;
        } else if (PyUnicode_CompareWithASCIIString(name, "default") == 0) {
            want->fallback = Py_NewRef(value);
        } else {
            PyErr_Format(PyExc_TypeError, "receive has no argument %R (it has timeout and default)", name);
            goto fail;
        }
    }
    if (n == 0) return 0;
    bool handler = PyCallable_Check(args[0]) && !PyType_Check(args[0]) && !Py_IS_TYPE(args[0], st->pattern);
    if (handler) want->handler = Py_NewRef(args[0]);
    else if (!(want->pattern = mp_pattern_of(st, args[0]))) goto fail;
    struct mp_ref *ref = want->pattern ? mp_pattern_ref(st, want->pattern) : NULL;
    if (ref) want->since = want->ref = ref->ref;
    return 0;
fail:
    want_drop(want);
    return -1;
}

static const struct wanted anything = {.deadline_ns = UINT64_MAX};

static __attribute__((noinline)) PyObject *receive_as_told(struct mp_state *st, struct mp_proc *p, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    struct wanted want;
    if (want_from(st, args, n, names, &want) < 0) return NULL;
    PyObject *result = mp_receive(p, &want);
    want_drop(&want);
    return result;
}

static PyObject *py_receive(PyObject *module, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    if (!p) return NULL;
    if (mp_awaits(p))
        return PyErr_SetString(PyExc_RuntimeError, "mote.receive() in a coroutine: use `await mote.aio.receive()`"), NULL;
    return n == 0 && !names ? receive(p, &anything) : receive_as_told(st, p, args, n, names);
}

/* ------------------------------------------------------------------------------------------------- awaiting */

/* The coroutine process that runs, or NULL. */
static struct mp_proc *coroutine_here(struct mp_state *st) {
    struct mp_node *node = st->node;
    struct mp_proc *p = node && PyThreadState_Get() == node->ts ? node->current : NULL;
    return p && p->flavour == COROUTINE ? p : NULL;
}

static struct receive *receive_new(struct mp_state *st) {
    struct receive *r = PyObject_New(struct receive, st->receive);
    if (!r) return NULL;
    r->st = st;
    r->native = coroutine_here(st) != NULL;
    memset(&r->want, 0, sizeof r->want);
    memset(&r->seen, 0, sizeof r->seen);
    r->want.deadline_ns = UINT64_MAX;
    return r;
}

PyObject *mp_awaitable(struct mp_state *st, const struct wanted *want) {
    struct receive *r = receive_new(st);
    struct wanted owned = *want;
    if (r) r->want = owned;
    else want_drop(&owned);
    return (PyObject *)r;
}

static PyObject *py_aio_receive(PyObject *module, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *here = coroutine_here(st);
    if (here && here->green) return PyErr_SetString(PyExc_RuntimeError, "mote.aio.receive() is for coroutines: in a function use mote.receive()"), NULL;
    if (n == 0 && !names) return Py_NewRef(here ? st->receive_any : st->receive_asyncio); /* what it wants never changes: one serves all */
    struct receive *r = receive_new(st);
    if (r && want_from(st, args, n, names, &r->want) < 0) Py_CLEAR(r);
    return (PyObject *)r;
}

static void receive_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    want_drop(&((struct receive *)self)->want);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* The coroutine that awaits: by itself, not through asyncio. */
static struct mp_proc *awaiting(struct receive *r) {
    struct mp_proc *p = coroutine_here(r->st);
    if (p && p->node->attention) mp_withdraw(p->node);
    if (!p && (r->st->node || mp_may_start(r->st)))
        PyErr_SetString(PyExc_RuntimeError, "mote.aio.receive() is for coroutine processes: elsewhere use mote.receive()");
    return p;
}

/* In a coroutine process it is its own iterator; in a task of asyncio's another one waits. */
static PyObject *receive_await(PyObject *self) {
    struct receive *r = (struct receive *)self;
    if (coroutine_here(r->st)) return Py_NewRef(self);
    if (!r->st->node && !mp_may_start(r->st)) return NULL;
    if (!r->native) return mp_aio_await(r->st, self);
    PyErr_SetString(PyExc_RuntimeError, "mote.aio.receive() of a process is awaited in a task of asyncio's: await it in the process, with timeout= for a limit");
    return NULL;
}

/* aio_take(awaitable) -> (what came,), or the seconds until its time is up, or None */
static PyObject *py_aio_take(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    struct receive *r = (struct receive *)o;
    PyObject *found = NULL;
    if (!p) return NULL;
    if (!Py_IS_TYPE(o, st->receive)) return PyErr_SetString(PyExc_TypeError, "aio_take needs an awaitable of mote's"), NULL;
    int got = take(p, &r->want, &r->seen, &found);
    if (got == MOTE_EEXIT) return mp_raise_exit(p);
    if (got == MOTE_TIMEOUT && r->want.yields) return r->want.yields = false, PyFloat_FromDouble(0);
    if (got == MOTE_TIMEOUT && is_late(&r->want)) found = timed_out(p, &r->want);
    else if (got == MOTE_TIMEOUT && r->want.deadline_ns == UINT64_MAX) Py_RETURN_NONE;
    else if (got == MOTE_TIMEOUT) return PyFloat_FromDouble((double)mp_ms_until(r->want.deadline_ns) / 1000);
    else if (got > 0) return mp_fail(st, (mote_err)got, "mote.aio.receive");
    return found ? Py_BuildValue("(N)", found) : NULL;
}

/* aio_give_up(awaitable): nobody waits for it any more. */
static PyObject *py_aio_give_up(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    if (p && Py_IS_TYPE(o, st->receive) && ((struct receive *)o)->want.call.word) (void)mote_call_cancel(p->self, ((struct receive *)o)->want.call);
    if (!p) return NULL;
    Py_RETURN_NONE;
}

/* 1: *value; 0: wait; -1: exception. */
static int receive_step(struct receive *r, PyObject **value) {
    struct mp_proc *p = awaiting(r);
    if (!p) return -1;
    if (p->value) { /* it was waited for, and came */
        *value = p->value;
        p->value = NULL;
        return 1;
    }
    bool over = mote_host_turn_over(p->self) || p->told; /* who was told of its end and waits again is closed: see coroutine_resume() */
    int got = over ? MOTE_TIMEOUT : take(p, &r->want, &r->seen, value);
    if (got == MOTE_OK) return 1;
    if (got == -1) return -1;
    if (got == MOTE_EEXIT) return mp_raise_exit(p), -1;
    if (got != MOTE_TIMEOUT) return mp_fail(r->st, (mote_err)got, "mote.aio.receive"), -1;
    if (over || r->want.yields) {
        r->want.yields = false;
        (void)mote_yield(p->self); /* others first */
    } else if (is_late(&r->want))
        return (*value = timed_out(p, &r->want)) ? 1 : -1;
    look_on(p, &r->seen);
    p->awaited = r;
    return 0;
}

static PySendResult receive_send(PyObject *self, PyObject *sent, PyObject **result) {
    (void)sent;
    int step = receive_step((struct receive *)self, result);
    if (step > 0) return PYGEN_RETURN;
    *result = step < 0 ? NULL : Py_NewRef(Py_None);
    return step < 0 ? PYGEN_ERROR : PYGEN_NEXT;
}

static PyObject *receive_next(PyObject *self) {
    PyObject *value;
    PySendResult how = receive_send(self, Py_None, &value);
    if (how != PYGEN_RETURN) return value;
    mp_stop_iteration(&((struct receive *)self)->st->stop, value);
    return NULL;
}

static PyObject *same(PyObject *self) { return Py_NewRef(self); }

static PyType_Slot receive_slots[] = {{Py_tp_dealloc, receive_dealloc},
                                      {Py_am_await, receive_await},
#if PY_VERSION_HEX >= 0x030A0000
                                      {Py_am_send, receive_send},
#endif
                                      {Py_tp_iter, same},
                                      {Py_tp_iternext, receive_next},
                                      {0, NULL}};
static PyType_Spec receive_spec = {"mote._mote.Receive", sizeof(struct receive), 0, Py_TPFLAGS_DEFAULT, receive_slots};

/* ---------------------------------------------------------------------------------------------------- ends */

/* ("error", {type, message, traceback text}) as a term; what cannot be one is its repr. */
static mote_term term_or_repr(struct mp_state *st, mote_arena *arena, PyObject *value) {
    mote_term term = mp_to_term(st, arena, value);
    if (term.word) return term;
    PyErr_Clear();
    PyObject *text = PyObject_Repr(value);
    if (text) term = mp_to_term(st, arena, text);
    Py_XDECREF(text);
    PyErr_Clear();
    return term.word ? term : mote_atom_term(mote_atom_make("error"));
}

/* What mote._errors says of an exception that was not caught. Gives; "error" where even that fails. */
static PyObject *described(struct mp_state *st, PyObject *e) {
    PyObject *module = PyImport_ImportModule("mote._errors");
    PyObject *told = module ? PyObject_CallMethod(module, "describe", "O", e) : NULL;
    Py_XDECREF(module);
    PyErr_Clear();
    return told ? told : mp_atom_new(st, "error", 5);
}

/* Frames that an exception holds are let go of, whoever holds the exception. */
static void forget_frames(PyObject *e) {
    PyObject *module = PyImport_ImportModule("mote._errors"), *done = module ? PyObject_CallMethod(module, "forget", "O", e) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(module);
    PyErr_Clear();
}

static bool is_planned(mote_term reason) {
    return mote_match(reason, "normal") || mote_match(reason, "shutdown") || mote_match(reason, "{shutdown, _}");
}

/* The reason of an end by exception `e` (NULL: closed), which is no Exit and no ProcessExit if `fails`. An exit signal's reason goes before. */
static mote_term exception_reason(struct mp_proc *p, mote_arena *arena, PyObject *e, bool fails) {
    struct mp_state *st = p->node->st;
    mote_term term;
    PyObject *reason = fails ? described(st, e) : e ? PyObject_GetAttrString(e, "reason") : NULL, *told = NULL;
    bool signal = mote_host_exit_reason(p->self, &term);
    if (!signal) term = term_or_repr(st, arena, reason ? reason : Py_None);
    if (fails) fails = !PyErr_GivenExceptionMatches(e, PyExc_SystemExit);
    if (fails || !(is_planned(term) || p->node->stopping)) told = mp_from_term(st, term);
    if (told) mp_tell_end(p, told, fails ? e : NULL);
    Py_XDECREF(told);
    Py_XDECREF(reason);
    PyErr_Clear();
    return term;
}

/* Why a flow has ended, from the exception that is set (if one is); clears it, and tells of it unless it was planned. */
static mote_term end_reason(struct mp_proc *p) {
    mote_term normal = mote_atom_term(mote_atom_make("normal"));
    PyObject *e = mp_take_exception();
    if (!e && !mote_host_exit_reason(p->self, NULL)) return normal;
    mote_arena *arena = mote_scratch(p->self);
    bool fails = e && PyObject_IsInstance(e, p->node->st->exit) != 1 && PyObject_IsInstance(e, p->node->st->process_exit) != 1;
    mote_term term = arena ? exception_reason(p, arena, e, fails) : mote_atom_term(mote_atom_make("system_limit"));
    if (fails) forget_frames(e);
    Py_XDECREF(e);
    return term;
}

/* ---------------------------------------------------------------------------------------------- coroutines */

static void coroutine_make(struct mp_proc *p, mote_term arg);

/* `arg`: the coroutine, or (coroutine, context), or what mp_child_call() takes. */
static void coroutine_init(mote_self *self, mote_term arg, void *state) {
    struct mp_proc *p = state;
    PyObject *start = mote_host_object(arg, &mp_object_kind);
    p->self = self;
    p->node = mote_host_context(self);
    p->flavour = COROUTINE;
    if (!start) {
        coroutine_make(p, arg);
        return;
    }
    if (PyTuple_Check(start)) p->context = Py_NewRef(PyTuple_GET_ITEM(start, 1));
    p->coroutine = Py_NewRef(PyTuple_Check(start) ? PyTuple_GET_ITEM(start, 0) : start);
    PyObject_GC_UnTrack(p->coroutine); /* a million of them would make each collection long */
}

/* It is over, or can be closed no better. */
static void coroutine_stop(mote_self *self, mote_term reason, void *state) {
    struct mp_proc *p = state;
    (void)self, (void)reason;
    if (!p->node) return; /* its first turn has not come */
    struct mp_proc *before = p->node->current;
    p->node->current = p; /* for what its last frames do: to wait is to be told again, see receive_step() */
    p->told = true;
    if (p->coroutine && !PyObject_GC_IsTracked(p->coroutine)) PyObject_GC_Track(p->coroutine);
    Py_CLEAR(p->coroutine);
    Py_CLEAR(p->context);
    Py_CLEAR(p->value);
    Py_CLEAR(p->pid);
    mp_aio_ended(p);
    if (PyErr_Occurred()) PyErr_WriteUnraisable(NULL);
    p->node->current = before;
}

/* Within: runs with the process's context, as its process. */
static void coroutine_enter(struct mp_proc *p, PyObject **outside) {
    PyThreadState *ts = p->node->ts;
    *outside = ts->context;
    ts->context = p->context;
    ts->context_ver++;
    p->awaited = NULL;
    p->node->current = p;
    if (!p->node->st->asyncio) return;
    if (p->green) mp_aio_leave(p->node);
    else mp_aio_enter(p);
}
static void coroutine_leave(struct mp_proc *p, PyObject *outside) {
    PyThreadState *ts = p->node->ts;
    if (p->node->attention & MP_FORKED) mp_child_ends();
    if (p->node->attention) mp_withdraw(p->node);
    p->node->current = NULL;
    p->context = ts->context;
    ts->context = outside;
    ts->context_ver++;
    mp_stop_forget(p->node->st->stop);
    if (p->node->aio.here) mp_aio_left(p);
}

/* What the coroutine has yielded, when it is not mote's: waited for, or thrown back at it as an error. */
static bool coroutine_throw(struct mp_proc *p, PyObject *e);
static bool coroutine_waits(struct mp_proc *p, PyObject *yielded) {
    if (p->task && p->task->future) Py_CLEAR(p->task->future);
    int waits = p->awaited ? 0 : mp_aio_yielded(p, yielded);
    Py_DECREF(yielded);
    return waits == 0 || coroutine_throw(p, mp_take_exception());
}

/* A supervisor's child makes its coroutine in its first turn. */
static void coroutine_make(struct mp_proc *p, mote_term arg) {
    PyObject *outside;
    struct mp_state *st = p->node->st;
    coroutine_enter(p, &outside);
    p->coroutine = mp_child_call(st, arg);
    coroutine_leave(p, outside);
    if (p->coroutine && !PyCoro_CheckExact(p->coroutine)) {
        PyErr_Format(PyExc_TypeError, "a child's function gave %R, which is no coroutine", p->coroutine);
        Py_CLEAR(p->coroutine);
    }
    if (!p->coroutine) mote_exit(p->self, end_reason(p));
    PyObject_GC_UnTrack(p->coroutine);
}

/* Lets it run until it waits: true; false: it has ended, and the exception that is set says how. */
static bool coroutine_run(struct mp_proc *p) {
    PyObject *outside, *result = NULL;
    coroutine_enter(p, &outside);
    PySendResult how = mp_send_none(p->coroutine, &result);
    coroutine_leave(p, outside);
    if (how == PYGEN_NEXT && (!p->awaited || p->task)) return coroutine_waits(p, result);
    Py_XDECREF(result);
    return how == PYGEN_NEXT;
}

/* The same, with an exception (taken) out of what it awaits; NULL: it is closed. */
static bool coroutine_throw(struct mp_proc *p, PyObject *e) {
    PyObject *outside, *result;
    coroutine_enter(p, &outside);
    result = e ? PyObject_CallMethod(p->coroutine, "throw", "O", e) : PyObject_CallMethod(p->coroutine, "close", NULL);
    coroutine_leave(p, outside);
    Py_XDECREF(e);
    if (!result && e && PyErr_ExceptionMatches(PyExc_StopIteration)) PyErr_Clear(); /* it has returned */
    if (result && e) return coroutine_waits(p, result);
    Py_XDECREF(result);
    return false;
}

/* Goes on if what it waits for is there. */
static bool coroutine_step(struct mp_proc *p) {
    struct receive *r = p->awaited;
    struct mp_task *t = p->task;
    PyObject *cancelled = t ? mp_aio_cancelled(p) : NULL;
    if (cancelled) return coroutine_throw(p, cancelled);
    if (!r && t && t->future && !t->ready) return true;
    int got = r && !p->value ? take(p, &r->want, &r->seen, &p->value) : MOTE_OK;
    if (got == MOTE_EEXIT) return true; /* see coroutine_resume() */
    if (got == MOTE_TIMEOUT) look_on(p, &r->seen);
    if (got == -1) return coroutine_throw(p, mp_take_exception());
    return (got == MOTE_TIMEOUT && !is_late(&r->want)) || coroutine_run(p);
}

/* Told of its end it may await asyncio's things for a while, as clean-ups do. Whether it does; false: it has ended, or is to be closed. */
static bool coroutine_cleans(struct mp_proc *p, bool *waits) {
    struct mp_task *t = p->task;
    if (*waits && t && !p->awaited) *waits = coroutine_step(p);
    t = p->task;
    return *waits && t && !p->awaited && mp_now_ns() < t->clean_until_ns && mote_host_wake_after(p->self, mp_ms_until(t->clean_until_ns)) == MOTE_OK;
}

/* An exit signal: ProcessExit comes out of its await; kill, or to wait for mote again, closes it. Returns if it still cleans up. */
static void coroutine_exit(struct mp_proc *p) {
    mote_term why;
    bool waits = true, killed = mote_host_exit_reason(p->self, &why) && mote_match(why, "killed");
    if (!killed && !p->told) {
        PyObject *future = p->task ? Py_XNewRef(p->task->future) : NULL;
        if (p->task) p->task->clean_until_ns = mp_now_ns() + MP_CLEAN_NS;
        mp_raise_exit(p);
        waits = coroutine_throw(p, mp_take_exception());
        mp_aio_drop(future);
        if (coroutine_cleans(p, &waits)) return;
    } else if (!killed && coroutine_cleans(p, &waits)) {
        return;
    }
    if (waits) coroutine_throw(p, NULL);
    mote_exit(p->self, end_reason(p));
}

static void coroutine_resume(mote_self *self, void *state) {
    struct mp_proc *p = state;
    if (mote_host_exit_reason(self, NULL)) {
        coroutine_exit(p);
        return;
    }
    if (!coroutine_step(p)) mote_exit(self, end_reason(p));
    if (mote_host_exit_reason(self, NULL) || p->told) {
        coroutine_exit(p);
        return;
    }
    if (p->task && p->task->must_cancel) (void)mote_yield(self); /* it has cancelled itself */
    uint64_t deadline_ns = p->awaited ? p->awaited->want.deadline_ns : UINT64_MAX; /* 0: it only lets others run */
    if (deadline_ns && deadline_ns != UINT64_MAX && mote_host_wake_after(self, mp_ms_until(deadline_ns)))
        mote_exit(self, mote_atom_term(mote_atom_make("system_limit"))); /* no memory for the alarm */
}

static const mote_handler coroutine_handler = {.name = "coroutine",
                                               .state_size = offsetof(struct mp_proc, frames),
                                               .init = coroutine_init,
                                               .stop = coroutine_stop,
                                               .resume = coroutine_resume};

/* ----------------------------------------------------------------------------------------------- functions */

/* `start`: (function, args, kwargs or None, context or None). */
static PyObject *function_call(PyThreadState *ts, PyObject *start) {
    PyObject *kwargs = PyTuple_GET_ITEM(start, 2), *context = PyTuple_GET_ITEM(start, 3);
    ts->context = context == Py_None ? NULL : Py_NewRef(context);
    return PyObject_Call(PyTuple_GET_ITEM(start, 0), PyTuple_GET_ITEM(start, 1), kwargs == Py_None ? NULL : kwargs);
}

/* Runs on the process's own stack: `start`, or (NULL) what mp_child_call() takes. `result` (may be NULL) gets what it returns, in mote_scratch(); none: it has failed, and the reason that is given says why. All references
 * are given up before it ends (M3). */
static __attribute__((noinline)) mote_term function_run(struct mp_proc *p, PyObject *start, mote_term arg, void *head, mote_term *result) {
    struct mp_own_frame own;
    PyThreadState *ts = p->node->ts;
    mp_aio_leave(p->node);
    mp_frames_save(ts, &p->node->base);
    mp_frames_begin(ts, &own, mote_host_stack_size(p->self), head, MP_STACK_HEAD);
    p->node->current = p;
    if (start) p->function = PyTuple_GET_ITEM(start, 0);
    PyObject *value = start ? function_call(ts, start) : mp_child_call(p->node->st, arg);
    if (p->node->attention & MP_FORKED) mp_child_ends();
    if (value && result) *result = mp_to_term(p->node->st, mote_scratch(p->self), value);
    Py_XDECREF(value);
    mote_term reason = end_reason(p);
    Py_CLEAR(p->pid);
    if (p->node->attention) mp_withdraw(p->node);
    p->node->current = NULL;
    mp_frames_end(ts, head);
    mp_frames_load(ts, &p->node->base);
    return reason;
}

static void function_body(mote_self *self, mote_term arg) {
    struct mp_proc p = {.self = self, .node = mote_host_context(self), .flavour = FUNCTION};
    mote_exit(self, function_run(&p, mote_host_object(arg, &mp_object_kind), arg, mote_host_stack_head(self), NULL));
}

/* What function_call() takes, of arguments that have come from another node. NULL: error set. */
static PyObject *exported_start(struct mp_state *st, PyObject *function, size_t count, const mote_term *args) {
    PyObject *tuple = PyTuple_New((Py_ssize_t)count), *start = NULL;
    for (size_t i = 0; tuple && i < count; i++) {
        PyObject *value = mp_from_term(st, args[i]);
        if (!value) Py_CLEAR(tuple);
        else PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, value);
    }
    if (tuple) start = PyTuple_Pack(4, function, tuple, Py_None, Py_None);
    Py_XDECREF(tuple);
    return start;
}

mote_term mp_exported_call(mote_self *self, size_t count, const mote_term *args, void *context) {
    struct mp_proc p = {.self = self, .node = mote_host_context(self), .flavour = FUNCTION};
    mote_term result = MOTE_TERM_NONE, reason = mote_atom_term(mote_atom_make("badarg"));
    PyObject *start = exported_start(p.node->st, context, count, args);
    if (start) reason = function_run(&p, start, MOTE_TERM_NONE, mote_host_stack_head(self), &result);
    else PyErr_Clear();
    Py_XDECREF(start);
    if (!result.word) mote_exit(self, reason);
    return result;
}

/* ------------------------------------------------------------------------------------------------ spawning */

struct start {
    PyObject *function, *args, *kwargs; /* kwargs may be NULL */
    mote_spawn_options how;
};

/* Arguments are given as messages are. */
static PyObject *share_args(struct mp_state *st, PyObject *const *args, Py_ssize_t n) {
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; i++) {
        PyObject *shared = mp_share(st, args[i]);
        if (!shared) Py_CLEAR(tuple);
        else PyTuple_SET_ITEM(tuple, i, shared);
    }
    return tuple;
}

static PyObject *share_kwargs(struct mp_state *st, PyObject *const *args, PyObject *names) {
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *shared = mp_share(st, args[i]);
        if (!shared || PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), shared) < 0) Py_CLEAR(dict);
        Py_XDECREF(shared);
    }
    return dict;
}

static int is_partial(PyObject *f) {
    PyObject *functools = PyImport_ImportModule("functools"), *partial = functools ? PyObject_GetAttrString(functools, "partial") : NULL;
    int is = partial ? PyObject_IsInstance(f, partial) : -1;
    Py_XDECREF(partial);
    Py_XDECREF(functools);
    return is;
}

static int is_coroutine_function(PyObject *f) {
    if (PyMethod_Check(f)) f = PyMethod_GET_FUNCTION(f);
    if (PyFunction_Check(f)) return (((PyCodeObject *)PyFunction_GET_CODE(f))->co_flags & CO_COROUTINE) != 0;
    if (PyCFunction_Check(f) || PyType_Check(f)) return 0;
    int is = is_partial(f);
    if (is) { /* in CPython 3.9 inspect does not see the function of a method behind it */
        PyObject *behind = is > 0 ? PyObject_GetAttrString(f, "func") : NULL;
        is = behind ? is_coroutine_function(behind) : -1;
        Py_XDECREF(behind);
        return is;
    }
    PyObject *inspect = PyImport_ImportModule("inspect"), *yes = inspect ? PyObject_CallMethod(inspect, "iscoroutinefunction", "O", f) : NULL;
    is = yes ? PyObject_IsTrue(yes) : -1;
    Py_XDECREF(yes);
    Py_XDECREF(inspect);
    return is;
}

int mp_flavour_of(PyObject *function) {
    int coroutine = PyCallable_Check(function) ? is_coroutine_function(function) : -1;
    if (coroutine < 0 && !PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "a function is needed, not %R", function);
    return coroutine;
}

PyObject *mp_flavoured(struct mp_state *st, PyObject *function) {
    int coroutine = mp_flavour_of(function);
    if (coroutine < 0) return NULL;
    return coroutine || !st->green ? Py_NewRef(function) : PyObject_CallOneArg(st->green, function);
}

/* green(): the calling coroutine process is that of a function */
static PyObject *py_green(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    if (!p) return NULL;
    p->green = p->flavour == COROUTINE;
    mp_aio_leave(p->node);
    Py_RETURN_NONE;
}

void mp_spawn_as(mote_spawn_options *how, bool coroutine) {
    how->handler = coroutine ? &coroutine_handler : NULL;
    how->body = coroutine ? NULL : function_body;
    how->hosted = !coroutine;
}

/* What the new process begins with, as one object. */
static PyObject *start_object(const struct start *s, bool coroutine) {
    PyObject *context = PyThreadState_Get()->context ? PyContext_CopyCurrent() : Py_NewRef(Py_None), *start = NULL;
    if (!context) return NULL;
    if (!coroutine) start = PyTuple_Pack(4, s->function, s->args, s->kwargs ? s->kwargs : Py_None, context);
    else if ((start = PyObject_Call(s->function, s->args, s->kwargs)) && !PyCoro_CheckExact(start)) {
        PyErr_Format(PyExc_TypeError, "%R gave %R, which is no coroutine", s->function, start);
        Py_CLEAR(start);
    } else if (start && context != Py_None)
        Py_SETREF(start, PyTuple_Pack(2, start, context));
    Py_DECREF(context);
    return start;
}

bool mp_is_loading(struct mp_state *st, struct mp_proc *p) {
    PyObject *me = st->loading && st->loading != Py_None ? mp_pid_of(p) : NULL;
    bool loading = me && PyObject_RichCompareBool(me, st->loading, Py_EQ) > 0;
    Py_XDECREF(me);
    if (loading)
        PyErr_SetString(PyExc_RuntimeError, "mote: the program's main module starts processes while a worker imports it: put that below "
                                            "if __name__ == \"__main__\":");
    return loading;
}

static PyObject *spawn(struct mp_state *st, struct mp_proc *p, struct start *s) {
    if (mp_is_loading(st, p)) return NULL;
    if (s->how.stack_size && mp_flavour_of(s->function) > 0)
        return PyErr_SetString(PyExc_ValueError, "mote.spawn: a coroutine has no stack: stack= is for functions"), NULL;
    PyObject *function = s->function = mp_flavoured(st, s->function);
    int coroutine = function ? mp_flavour_of(function) : -1;
    PyObject *start = coroutine < 0 ? NULL : start_object(s, coroutine != 0);
    mote_host_box box;
    mote_pid pid;
    Py_XDECREF(function);
    if (!start) return NULL;
    mp_spawn_as(&s->how, coroutine != 0);
    if (coroutine) s->how.stack_size = 0; /* a greenlet's */
    mote_err err = mote_spawn_opt(p->self, &s->how, mote_host_box_term(&box, &mp_object_kind, start), &pid);
    Py_DECREF(start);
    if (err) return mp_fail(st, err, "mote.spawn");
    if (mp_let_others(p) < 0) return NULL;
    return mp_pid_new(st, pid);
}

/* f, *args, **kwargs */
static int start_from(struct mp_state *st, PyObject *const *args, Py_ssize_t n, PyObject *names, struct start *s) {
    memset(s, 0, sizeof *s);
    if (n < 1 || !PyCallable_Check(args[0])) return PyErr_SetString(PyExc_TypeError, "spawn needs a function and its arguments"), -1;
    s->function = args[0];
    if (!(s->args = share_args(st, args + 1, n - 1))) return -1;
    if (names && PyTuple_GET_SIZE(names) && !(s->kwargs = share_kwargs(st, args + n, names))) {
        Py_CLEAR(s->args);
        return -1;
    }
    return 0;
}

PyObject *mp_spawn(struct mp_state *st, struct mp_proc *p, PyObject *function, PyObject *args, PyObject *kwargs, mote_spawn_options *how) {
    PyObject *shared = mp_share(st, args), *named = shared && kwargs ? mp_share(st, kwargs) : NULL, *pid = NULL;
    struct start s = {function, shared, named, *how};
    if (shared && (named || !kwargs)) pid = spawn(st, p, &s);
    Py_XDECREF(shared);
    Py_XDECREF(named);
    return pid;
}

PyObject *mp_pid_and_ref(struct mp_state *st, PyObject *pid, mote_ref ref) {
    PyObject *r = mp_ref_new(st, ref), *pair = r ? PyTuple_Pack(2, pid, r) : NULL;
    Py_DECREF(pid);
    Py_XDECREF(r);
    return pair;
}

enum related { ALONE, LINKED, MONITORED };
/* What mote._workers.place() gives: a Pid, (Pid, Ref), or None: it stays here. */
static PyObject *elsewhere(struct mp_state *st, const struct start *s, enum related related) {
    return PyObject_CallFunction(st->place, "OOOii", s->function, s->args, s->kwargs ? s->kwargs : Py_None, related == LINKED, related == MONITORED);
}

static PyObject *spawn_related(PyObject *module, PyObject *const *args, Py_ssize_t n, PyObject *names, enum related related) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    struct start s;
    mote_ref ref = {0};
    if (!p || start_from(st, args, n, names, &s) < 0) return NULL;
    s.how.link = related == LINKED;
    if (related == MONITORED) s.how.monitor = &ref;
    PyObject *pid = st->place && st->place != Py_None ? elsewhere(st, &s, related) : Py_NewRef(Py_None);
    if (pid == Py_None) {
        Py_DECREF(pid);
        pid = spawn(st, p, &s);
    } else {
        related = ALONE; /* what it gave is all */
    }
    Py_DECREF(s.args);
    Py_XDECREF(s.kwargs);
    return pid && related == MONITORED ? mp_pid_and_ref(st, pid, ref) : pid;
}
static PyObject *py_spawn(PyObject *m, PyObject *const *a, Py_ssize_t n, PyObject *names) { return spawn_related(m, a, n, names, ALONE); }
static PyObject *py_spawn_link(PyObject *m, PyObject *const *a, Py_ssize_t n, PyObject *names) { return spawn_related(m, a, n, names, LINKED); }
static PyObject *py_spawn_monitor(PyObject *m, PyObject *const *a, Py_ssize_t n, PyObject *names) {
    return spawn_related(m, a, n, names, MONITORED);
}

/* ------------------------------------------------------------------------------------------------- sending */

int mp_name_of(PyObject *name, const char *needed, mote_term *term) {
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (text) return *term = mote_atom_term(mote_atom_make(text)), 0;
    if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "%s, not %R", needed, name);
    return -1;
}

/* (name, node), as the DOWN of a named process has it: a term in the caller's scratch arena, where nothing else is. */
static int pair_of(struct mp_state *st, PyObject *pair, mote_term *term) {
    struct mp_proc *p = mp_caller(st);
    mote_arena *arena = p ? mote_scratch(p->self) : NULL;
    mote_term both[2];
    if (arena) mote_arena_reset(arena);
    for (int i = 0; arena && i < 2; i++) {
        PyObject *name = PyTuple_GET_ITEM(pair, i);
        if (mp_name_of(name, "(name, node) are two names", &both[i]) < 0) return -1;
        if (!both[i].word && PyUnicode_GET_LENGTH(name) > 255) return PyErr_Format(PyExc_ValueError, "a name has at most 255 characters, this one %zd", PyUnicode_GET_LENGTH(name)), -1;
    }
    *term = arena ? mote_tuple_make(arena, 2, both) : MOTE_TERM_NONE;
    if (!term->word && !PyErr_Occurred()) PyErr_NoMemory();
    return term->word ? 0 : -1;
}

static int process_of(struct mp_state *st, PyObject *to, const char *needed, mote_term *term) {
    if (mp_is_pid(st, to)) return *term = mote_pid_term(((struct mp_pid *)to)->pid), 0;
    if (PyTuple_CheckExact(to) && PyTuple_GET_SIZE(to) == 2) return pair_of(st, to, term);
    return mp_name_of(to, needed, term);
}
int mp_process_of(struct mp_state *st, PyObject *process, mote_term *term) { return process_of(st, process, "a Pid or a name is needed", term); }
int mp_to_of(struct mp_state *st, PyObject *to, mote_term *term) {
    if (mp_is_ref(st, to)) return *term = mote_ref_term(((struct mp_ref *)to)->ref), 0;
    return process_of(st, to, "a Pid, an alias or a name is needed", term);
}

int mp_encoded(struct mp_state *st, PyObject *value, struct mp_outgoing *out) {
    out->shared = NULL;
    if (!(out->arena = mote_arena_new(0))) return PyErr_NoMemory(), -1;
    out->term = mp_to_term(st, out->arena, value);
    if (out->term.word) return 0;
    mote_arena_free(out->arena);
    return -1;
}

int mp_outgoing(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *value, struct mp_outgoing *out) {
    if (mp_is_abroad(p, to) || !mp_takes(p, to)) return mp_encoded(st, value, out);
    out->arena = NULL;
    if (!(out->shared = mp_share(st, value))) return -1;
    out->term = mote_host_box_term(&out->box, &mp_object_kind, out->shared);
    return 0;
}

void mp_outgoing_drop(struct mp_outgoing *out) {
    Py_XDECREF(out->shared);
    if (out->arena) mote_arena_free(out->arena);
}

static int sent(struct mp_state *st, struct mp_proc *p, mote_err err) {
    if (err) return mp_fail(st, err, "mote.send"), -1;
    return mp_let_others(p);
}

int mp_send_shared(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message) {
    return sent(st, p, mote_host_send(p->self, to, &mp_object_kind, Py_NewRef(message)));
}

bool mp_is_abroad(struct mp_proc *p, mote_term to) {
    mote_term node;
    if (mote_term_type(to) != MOTE_TUPLE) return mote_far_get(to, NULL);
    if (mote_tuple_get(to, 1, &node)) return false;
    return node.word != mote_host_node(p->node->rt, NULL, NULL).word && !mote_match(node, "'" MP_NODELESS "'");
}

bool mp_takes(struct mp_proc *p, mote_term to) { return mote_host_takes(p->self, to) || mote_host_is_far(p->self, to); }

static __attribute__((noinline)) int send_encoded(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message) {
    struct mp_outgoing out;
    if (mote_host_is_far(p->self, to)) return mp_far_send(st, p, to, message);
    if (mp_encoded(st, message, &out) < 0) return -1;
    mote_err err = mote_send_term(p->self, to, out.term);
    mp_outgoing_drop(&out);
    return sent(st, p, err);
}

static inline int send_to(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message) {
    if (!mote_host_takes(p->self, to)) return send_encoded(st, p, to, message);
    PyObject *shared = mp_share(st, message);
    return shared ? sent(st, p, mote_host_send(p->self, to, &mp_object_kind, shared)) : -1;
}

int mp_send(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message) { return send_to(st, p, to, message); }

/* To what is no Pid. */
static __attribute__((noinline)) int send_to_other(struct mp_state *st, struct mp_proc *p, PyObject *to, PyObject *message) {
    mote_term term;
    return mp_to_of(st, to, &term) < 0 ? -1 : mp_send(st, p, term, message);
}

static PyObject *py_send(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    if (!p) return NULL;
    if (n != 2) return PyErr_SetString(PyExc_TypeError, "send(to, message) takes two arguments"), NULL;
    int sent = mp_is_pid(st, args[0]) ? send_to(st, p, mote_pid_term(((struct mp_pid *)args[0])->pid), args[1]) : send_to_other(st, p, args[0], args[1]);
    if (sent < 0) return NULL;
    Py_RETURN_NONE;
}

/* pid.send(message) */
static PyObject *pid_send(PyObject *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    struct mp_state *st = PyType_GetModuleState(class);
    struct mp_proc *p = st ? mp_caller(st) : NULL;
    if (!p) return NULL;
    if (n != 1 || (names && PyTuple_GET_SIZE(names))) return PyErr_SetString(PyExc_TypeError, "Pid.send(message) takes one argument"), NULL;
    if (mp_send(st, p, mote_pid_term(((struct mp_pid *)self)->pid), args[0]) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *py_self(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    return p ? mp_pid_of(p) : NULL;
}

static PyObject *py_make_ref(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    return p ? mp_ref_new(p->node->st, mote_ref_make(p->self)) : NULL;
}

#define FAST(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef mp_process_methods[] = {
    {"spawn", FAST(py_spawn), METH_FASTCALL | METH_KEYWORDS,
     "spawn(function, /, *args, **kwargs) -> Pid\n\n"
     "Starts a process that runs function(*args, **kwargs): an `async def` as a coroutine, any other on a stack of its own. Arguments are given\n"
     "as messages are: immutable ones as they are, lists and dicts as copies; NotSendable for others. What it returns is dropped; see Exit for\n"
     "how it ends. Never waits for it to run. As Erlang's spawn/1."},
    {"spawn_link", FAST(py_spawn_link), METH_FASTCALL | METH_KEYWORDS,
     "spawn_link(function, /, *args, **kwargs) -> Pid\n\n"
     "As spawn(), linked with the caller from its first moment: see link()."},
    {"spawn_monitor", FAST(py_spawn_monitor), METH_FASTCALL | METH_KEYWORDS,
     "spawn_monitor(function, /, *args, **kwargs) -> (Pid, Ref)\n\n"
     "As spawn(), monitored by the caller from its first moment: see monitor()."},
    {"send", FAST(py_send), METH_FASTCALL,
     "send(to, message, /)\n\n"
     "Sends a message to a Pid, an alias (a Ref) or a name. Messages from one process to another arrive in the order sent. To one that has ended\n"
     "it is no error; NoProc when nobody has the name, NotSendable when the message holds what cannot be sent, MailboxFull when the receiver\n"
     "drops what it has no room for. Never waits; where a mailbox is full and its policy is suspend, the sender stands still in its next\n"
     "receive. As Erlang's `!`."},
    {"receive", FAST(py_receive), METH_FASTCALL | METH_KEYWORDS,
     "receive(what=..., /, *, timeout=None, default=...)\n\n"
     "Takes the oldest message; with a pattern the first that fits (see pattern()), with a function the first for which it does not give SKIP,\n"
     "and gives what it gave. Others stay where they are, in order. Waits so many seconds (None: for ever, 0: not at all); then `default` is\n"
     "given, or TimeoutError raised. ProcessExit when an exit signal ends the caller. For functions and threads; RuntimeError in a coroutine\n"
     "process. As Erlang's receive."},
    {"green", py_green, METH_NOARGS, NULL},
    {"aio_take", py_aio_take, METH_O, NULL},
    {"aio_give_up", py_aio_give_up, METH_O, NULL},
    {"aio_receive", FAST(py_aio_receive), METH_FASTCALL | METH_KEYWORDS,
     "receive(what=..., /, *, timeout=None, default=...)\n\n"
     "As mote.receive(), for coroutine processes: to be awaited, `await mote.aio.receive()`. RuntimeError elsewhere."},
    {"self", py_self, METH_NOARGS,
     "self() -> Pid\n\n"
     "The calling process. A thread that calls mote is one, too: from its first call until it ends. As Erlang's self/0."},
    {"make_ref", py_make_ref, METH_NOARGS,
     "make_ref() -> Ref\n\n"
     "A reference that nobody has seen before. A receive whose pattern has the caller's newest one does not look at older messages. As Erlang's\n"
     "make_ref/0."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef pid_methods[] = {
    {"send", FAST(pid_send), METH_METHOD | METH_FASTCALL | METH_KEYWORDS, "send(message, /)\n\nSends it a message. Never waits."},
    {NULL, NULL, 0, NULL},
};

int mp_process_init(struct mp_state *st) {
    if (mp_pid_methods_add(st, pid_methods) < 0) return -1;
    st->receive = (PyTypeObject *)PyType_FromModuleAndSpec(st->module, &receive_spec, NULL);
    st->receive_any = st->receive ? (PyObject *)receive_new(st) : NULL;
    st->receive_asyncio = st->receive_any ? (PyObject *)receive_new(st) : NULL;
    if (!st->receive_asyncio) return -1;
    ((struct receive *)st->receive_any)->native = true;
    return 0;
}
