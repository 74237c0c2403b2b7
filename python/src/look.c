/* SPDX-License-Identifier: Apache-2.0
 * Looking at processes: which there are, whether one lives, what is known of one; and sleeping. What may have to wait stands here twice: for
 * functions and threads, which wait in the core, and for coroutines, which ask and are resumed (AN_ANSWER of process.h). */
#include "process.h"

/* The calling process, unless `name` is not for its flavour. NULL: error set. */
static struct mp_proc *caller_of(PyObject *module, bool awaits, const char *name) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    if (!p || mp_may_wait(p, awaits)) return p;
    if (awaits) PyErr_Format(PyExc_RuntimeError, "mote.aio.%s() is for coroutines: in a function use mote.%s()", name, name);
    else PyErr_Format(PyExc_RuntimeError, "mote.%s() in a coroutine: use `await mote.aio.%s()`", name, name);
    return NULL;
}

static PyObject *py_processes(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    mote_pid *pids = NULL;
    size_t count = 0, room = 0;
    (void)none;
    if (!p) return NULL;
    for (;;) {
        mote_err err = mote_process_list(p->self, pids, room, &count);
        if (err && err != MOTE_ERANGE) return PyMem_Free(pids), mp_fail(st, err, "mote.processes");
        if (count <= room) break;
        room = count + count / 4 + 16;
        PyMem_Free(pids);
        if (!(pids = PyMem_New(mote_pid, room))) return PyErr_NoMemory();
    }
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *pid = mp_pid_new(st, pids[i]);
        if (!pid) Py_CLEAR(list);
        else PyList_SET_ITEM(list, (Py_ssize_t)i, pid);
    }
    PyMem_Free(pids);
    return list;
}

/* ------------------------------------------------------------------------------------------------- questions */

static PyObject *registered_of(struct mp_state *st, mote_atom name) {
    if (!name.word) Py_RETURN_NONE;
    return mp_atom_from(st, name);
}

/* The fields of Info, in _control.py's order. */
static PyObject *info_value(struct mp_state *st, const mote_process_info *info) {
    static const char *const states[] = {[MOTE_STATE_RUNNABLE] = "runnable", [MOTE_STATE_RUNNING] = "running", [MOTE_STATE_WAITING] = "waiting",
                                         [MOTE_STATE_SUSPENDED] = "suspended"};
    static const char *const priorities[] = {[MOTE_NORMAL] = "normal", [MOTE_HIGH] = "high", [MOTE_LOW] = "low"};
    PyObject *label = PyUnicode_DecodeUTF8(info->name, (Py_ssize_t)strlen(info->name), "replace"); /* it may have been cut */
    PyObject *fields = Py_BuildValue("(NNNssnnKKnOnnnnd)", mp_pid_new(st, info->pid), registered_of(st, info->registered), label, states[info->state],
                                     priorities[info->priority], (Py_ssize_t)info->mailbox, (Py_ssize_t)info->mailbox_max,
                                     (unsigned long long)info->dropped, (unsigned long long)info->reductions, (Py_ssize_t)info->memory,
                                     info->trap_exit ? Py_True : Py_False, (Py_ssize_t)info->links, (Py_ssize_t)info->monitors,
                                     (Py_ssize_t)info->monitored_by, (Py_ssize_t)info->aliases, (double)info->lived_ms / 1000);
    if (fields && st->info) Py_SETREF(fields, PyObject_Call(st->info, fields, NULL));
    return fields;
}

PyObject *mp_answer_value(struct mp_state *st, bool lives, mote_err err, const mote_process_info *info) {
    if (lives && (!err || err == MOTE_ENOPROC)) return PyBool_FromLong(!err);
    return err ? mp_fail(st, err, lives ? "mote.is_alive" : "mote.info") : info_value(st, info);
}

/* A question, and until when its answer is waited for. */
struct question {
    mote_pid pid;
    bool lives;
    uint64_t deadline_ns;
};

/* Waits for the answer, in the core; MOTE_ENOPROC: the process has ended. */
static mote_err ask_core(struct mp_proc *p, const struct question *q, mote_process_info *info) {
    bool alive = false;
    if (!q->lives) return mote_process_info_get(p->self, q->pid, mp_ms_until(q->deadline_ns), info);
    mote_err err = mote_is_alive(p->self, q->pid, &alive);
    return !err && !alive ? MOTE_ENOPROC : err;
}

/* Of a function or a thread, which waits for the answer. */
static mote_err ask_and_wait(struct mp_proc *p, const struct question *q, mote_process_info *info) {
    mote_err err;
    if (p->flavour == THREAD) {
        Py_BEGIN_ALLOW_THREADS
        err = ask_core(p, q, info);
        Py_END_ALLOW_THREADS
    } else {
        mp_leave(p);
        err = ask_core(p, q, info);
        mp_enter(p);
    }
    return err;
}

static PyObject *answer_of(struct mp_proc *p, const struct question *q, mote_err err, const mote_process_info *info) {
    if (err == MOTE_EEXIT) return mp_raise_exit(p);
    if (err == MOTE_TIMEOUT) return PyErr_SetString(PyExc_TimeoutError, "mote.info: the process has not answered in time"), NULL;
    return mp_answer_value(p->node->st, q->lives, err, info);
}

/* The same for coroutines, and for asyncio's tasks. Whether a process lives can often be seen at once. */
static PyObject *ask_later(struct mp_proc *p, const struct question *q) {
    struct wanted want = {.instead = AN_ANSWER, .lives = q->lives, .deadline_ns = q->deadline_ns};
    bool alive;
    mote_err err = q->lives && p->flavour != THREAD ? mote_is_alive(p->self, q->pid, &alive) : MOTE_ECONTEXT; /* of a thread it would wait */
    if (!err) want.instead = KNOWN, want.known = Py_NewRef(alive ? Py_True : Py_False);
    if (err == MOTE_ECONTEXT) err = mote_host_ask(p->self, q->pid, &want.question);
    return err ? mp_answer_value(p->node->st, q->lives, err, NULL) : mp_awaitable(p->node->st, &want);
}

static PyObject *ask(struct mp_proc *p, const struct question *q) {
    mote_process_info info;
    bool own = q->pid.word == mote_self_pid(p->self).word; /* needs no waiting, anywhere */
    if (!own && p->green) return mp_await_green(ask_later(p, q));
    mote_err err = own ? mote_process_info_get(p->self, q->pid, 0, &info) : ask_and_wait(p, q, &info);
    return answer_of(p, q, err, &info);
}

/* (pid[, timeout]): what the calling process asks. NULL: error set. */
static struct mp_proc *question_from(PyObject *module, PyObject *const *args, Py_ssize_t n, bool awaits, struct question *q) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    if (!p) return NULL;
    if (n != (q->lives ? 1 : 2)) return PyErr_SetString(PyExc_TypeError, q->lives ? "is_alive(pid) takes one argument" : "info(pid, timeout) takes two"), NULL;
    if (mp_own_pid_from(st, args[0], q->lives ? "mote.is_alive" : "mote.info", &q->pid) < 0) return NULL;
    q->deadline_ns = UINT64_MAX;
    if (!q->lives && mp_deadline_of(args[1], &q->deadline_ns) < 0) return NULL;
    if (!awaits && q->pid.word == mote_self_pid(p->self).word) return p;
    return caller_of(module, awaits, q->lives ? "is_alive" : "info");
}

static PyObject *question(PyObject *module, PyObject *const *args, Py_ssize_t n, bool awaits, bool lives) {
    struct question q = {.lives = lives};
    struct mp_proc *p = question_from(module, args, n, awaits, &q);
    return !p ? NULL : awaits ? ask_later(p, &q) : ask(p, &q);
}
static PyObject *py_is_alive(PyObject *m, PyObject *const *a, Py_ssize_t n) { return question(m, a, n, false, true); }
static PyObject *py_aio_is_alive(PyObject *m, PyObject *const *a, Py_ssize_t n) { return question(m, a, n, true, true); }
static PyObject *py_info(PyObject *m, PyObject *const *a, Py_ssize_t n) { return question(m, a, n, false, false); }
static PyObject *py_aio_info(PyObject *m, PyObject *const *a, Py_ssize_t n) { return question(m, a, n, true, false); }

/* -------------------------------------------------------------------------------------------------- sleeping */

/* What a sleep wants. -1: error set. */
static int sleep_from(PyObject *seconds, struct wanted *want) {
    *want = (struct wanted){.instead = NOTHING, .fallback = Py_None /* borrowed */};
    if (seconds == Py_None) return PyErr_SetString(PyExc_TypeError, "sleep needs seconds"), -1;
    if (mp_deadline_of(seconds, &want->deadline_ns) < 0) return -1;
    want->yields = PyFloat_AsDouble(seconds) == 0;
    if (want->yields) want->deadline_ns = 0;
    return 0;
}

static PyObject *sleep_later(struct mp_proc *p, struct wanted *want) {
    Py_INCREF(want->fallback);
    return mp_awaitable(p->node->st, want);
}

static PyObject *py_sleep(PyObject *module, PyObject *seconds) {
    struct mp_proc *p = caller_of(module, false, "sleep");
    struct wanted want;
    if (!p || sleep_from(seconds, &want) < 0) return NULL;
    if (p->green) return mp_await_green(sleep_later(p, &want));
    if (want.yields && mp_yield(p) < 0) return NULL;
    return mp_receive(p, &want);
}

static PyObject *py_aio_sleep(PyObject *module, PyObject *seconds) {
    struct mp_proc *p = caller_of(module, true, "sleep");
    struct wanted want;
    return p && sleep_from(seconds, &want) == 0 ? sleep_later(p, &want) : NULL;
}

#define FAST(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef mp_look_methods[] = {
    {"processes", py_processes, METH_NOARGS,
     "processes() -> list[Pid]\n\n"
     "All processes, of C too and of the threads that call mote, in no order. As Erlang's processes/0."},
    {"is_alive", FAST(py_is_alive), METH_FASTCALL,
     "is_alive(pid, /) -> bool\n\n"
     "Whether a process has not ended. It has seen all that the caller has sent it before: after kill(pid) it is not alive. Waits while the other\n"
     "is busy. RuntimeError in a coroutine: mote.aio.is_alive(). As Erlang's is_process_alive/1."},
    {"aio_is_alive", FAST(py_aio_is_alive), METH_FASTCALL, "As mote.is_alive()."},
    {"info", FAST(py_info), METH_FASTCALL, NULL},
    {"aio_info", FAST(py_aio_info), METH_FASTCALL, NULL},
    {"sleep", py_sleep, METH_O,
     "sleep(seconds, /)\n\n"
     "Lets others run for so many seconds; messages stay where they are. 0: whoever can run has a turn first. RuntimeError in a coroutine:\n"
     "mote.aio.sleep(). As Erlang's timer:sleep/1, and yield/0."},
    {"aio_sleep", py_aio_sleep, METH_O, "As mote.sleep()."},
    {NULL, NULL, 0, NULL},
};
