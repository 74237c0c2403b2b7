/* SPDX-License-Identifier: Apache-2.0
 * Turns that last: their report, and how a process is ended that never calls mote. What is told of processes and of the core.
 *
 * An exit signal that a running process does not hear is thrown: PyThreadState_SetAsyncExc() on the scheduler's thread. W1 it is thrown only with the
 * GIL held, at the process that is `current`, which keeps that from changing. W2 it is taken back, with the GIL held, before another flow runs there:
 * whoever leaves looks at `attention`, and so does whoever calls mote. So no process gets another's. W3 what is raised is made in the process
 * itself, by mp_told(), from the signal. See docs/design/hosting.md. */
#include "process.h"

#include <signal.h>
#include <time.h>

#define AGAIN_MS 250u       /* a process that goes on for so long after it was told is told again */
#define TELLINGS_RUNNING 8  /* so often; then it is ended as it stands */
#define QUICK_NS UINT64_C(20000000) /* some of Python's switch intervals */
#define QUICK 3u
#define TOLD_MOST 20u                /* ends that are told of within TOLD_WINDOW_NS */
#define TOLD_WINDOW_NS UINT64_C(1000000000)

uint64_t mp_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------ who is it */

/* The name of a process, for people: its own, else its function's. Gives; NULL: error set. */
static PyObject *name_of(struct mp_proc *p) {
    char text[256];
    mote_host_name(p->self, text, sizeof text);
    if (*text) return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    PyObject *what = p->flavour == COROUTINE ? p->coroutine : p->flavour == FUNCTION ? p->function : NULL;
    PyObject *name = what ? PyObject_GetAttrString(what, "__qualname__") : NULL;
    if (!name) PyErr_Clear();
    if (!name && what) name = PyObject_GetAttrString((PyObject *)Py_TYPE(what), "__qualname__");
    return name ? name : PyUnicode_FromString(p->flavour == THREAD ? "thread" : "");
}

/* "<0.5.1> (name)". Gives; NULL: error set. */
static PyObject *describe(struct mp_proc *p) {
    PyObject *pid = mp_pid_new(p->node->st, mote_self_pid(p->self)), *name = pid ? name_of(p) : NULL;
    PyObject *text = name ? PyUnicode_FromFormat("%R (%S)", pid, name) : NULL;
    Py_XDECREF(pid);
    Py_XDECREF(name);
    return text;
}

/* The process that calls, if there is one already; NULL: none. */
static struct mp_proc *who_calls(struct mp_state *st) {
    struct mp_node *node = st->node;
    if (!node || st->forked) return NULL;
    return PyThreadState_Get() == node->ts ? node->current : mp_thread_known(node);
}

/* whoami() -> (pid, name), for records of the log */
static PyObject *py_whoami(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = who_calls(st);
    (void)none;
    if (!p) return Py_BuildValue("(ss)", "-", "-");
    PyObject *pid = mp_pid_new(st, mote_self_pid(p->self)), *text = pid ? PyObject_Repr(pid) : NULL, *name = text ? name_of(p) : NULL;
    PyObject *pair = name ? PyTuple_Pack(2, text, name) : NULL;
    Py_XDECREF(pid);
    Py_XDECREF(text);
    Py_XDECREF(name);
    return pair;
}

/* ------------------------------------------------------------------------------------------------ telling */

/* Calls mote._log.NAME(...). Errors are written, an exception that is set stays as it is. */
static void tell(const char *name, const char *format, ...) {
    PyObject *type, *value, *traceback;
    va_list list;
    PyErr_Fetch(&type, &value, &traceback);
    va_start(list, format);
    PyObject *log = PyImport_ImportModule("mote._log"), *f = log ? PyObject_GetAttrString(log, name) : NULL;
    PyObject *args = f ? Py_VaBuildValue(format, list) : NULL, *result = args ? PyObject_CallObject(f, args) : NULL;
    va_end(list);
    if (!result) PyErr_WriteUnraisable(NULL);
    Py_XDECREF(result);
    Py_XDECREF(args);
    Py_XDECREF(f);
    Py_XDECREF(log);
    PyErr_Restore(type, value, traceback);
}

/* What threads without the GIL, or an interpreter that ends, can still do. */
static void write_plainly(const char *text) {
    size_t size = strlen(text);
    if (write(2, "mote: ", 6) != 6 || write(2, text, size) != (ssize_t)size || write(2, "\n", 1) != 1) return; /* nobody reads it */
}

/* The core's log, on any thread, which may have the GIL or not. */
void mp_node_log(void *context, mote_log_level level, const char *text) {
    struct mp_node *node = context;
    if (node->stopping && level == MOTE_LOG_WARNING) return; /* whom it waits for: see node_stop() */
    if (atomic_load(&node->gone) || node->st->exiting || node->interp != PyInterpreterState_Main()) {
        write_plainly(text);
        return;
    }
    bool have = PyGILState_Check();
    PyGILState_STATE before = have ? PyGILState_LOCKED : PyGILState_Ensure();
    tell("core", "(is)", (int)level, text);
    if (!have) PyGILState_Release(before);
}

/* Whether one more end may be told of now; *missed: how many were not since the last. */
static bool may_tell(struct mp_node *node, unsigned *missed) {
    uint64_t now = mp_now_ns();
    if (now - node->told_since_ns >= TOLD_WINDOW_NS) {
        node->told_since_ns = now;
        node->told = 0;
    }
    if (node->told++ >= TOLD_MOST) return node->missed++, false;
    *missed = node->missed;
    node->missed = 0;
    return true;
}

/* An end that nobody has planned; `reason` as Python has it, `error` what was not caught, or NULL. */
void mp_tell_end(struct mp_proc *p, PyObject *reason, PyObject *error) {
    unsigned missed = 0;
    mote_host_told(p->self);
    if (!may_tell(p->node, &missed)) return;
    PyObject *who = describe(p);
    struct mp_proc *before = p->node->current;
    p->node->current = p; /* whose record it is */
    if (who) tell("ended", "(OOOI)", who, reason, error ? error : Py_None, missed);
    else PyErr_Clear();
    if (p->node->attention) mp_withdraw(p->node);
    p->node->current = before;
    Py_XDECREF(who);
}

/* --------------------------------------------------------------------------------------- another thread looks */

/* A thread that is none of Python's takes the GIL. false: there is nothing to look at any more. */
static bool visit(struct mp_node *node, PyThreadState **ts) {
    if (atomic_load(&node->gone)) return false;
    *ts = PyThreadState_New(node->interp);
    if (!*ts) return false;
    PyEval_RestoreThread(*ts);
    return true;
}
static void visit_end(PyThreadState *ts) {
    PyThreadState_Clear(ts);
    PyThreadState_DeleteCurrent();
}

/* The turn goes on, and it is a Python process's. */
static bool is_under_way(struct mp_node *node, unsigned scheduler, uint64_t turn) {
    return node->started && node->current && mote_host_turn(node->rt, scheduler) == turn;
}

/* Who runs, where. */
static void tell_running(struct mp_node *node, const char *name, double seconds) {
    PyObject *who = describe(node->current), *frame = (PyObject *)PyThreadState_GetFrame(node->ts);
    if (who) tell(name, "(OdO)", who, seconds, frame ? frame : Py_None);
    Py_XDECREF(frame);
    Py_XDECREF(who);
    if (PyErr_Occurred()) PyErr_Clear();
}

void mp_tell_left(struct mp_node *node) {
    if (node->current) tell_running(node, "left", 0);
    else tell("left", "(sdO)", "", 0.0, Py_None);
}

/* Who is blocked may wait for the GIL itself, which others have. That it could be had QUICK times in a row, at once, and the turn went on, says that it
 * does not. */
static bool is_sure(struct mp_node *node, uint64_t turn, bool blocked, uint64_t waited_ns) {
    bool quick = waited_ns < QUICK_NS;
    node->quick = !quick ? 0 : node->quick_turn == turn ? node->quick + 1 : 1;
    node->quick_turn = turn;
    return !blocked || node->quick >= QUICK;
}

bool mp_watch_held(void *context, unsigned scheduler, uint64_t turn, uint64_t held_ns, bool blocked) {
    struct mp_node *node = context;
    PyThreadState *ts;
    uint64_t begin_ns = mp_now_ns();
    if (!visit(node, &ts)) return true;
    bool sure = is_sure(node, turn, blocked, mp_now_ns() - begin_ns);
    if (sure && is_under_way(node, scheduler, turn) && !(node->current && node->current->may_hold)) {
        node->hogs++;
        tell_running(node, "hog", (double)held_ns / 1e9);
    }
    visit_end(ts);
    return sure;
}

bool mp_watch_unheard(void *context, unsigned scheduler, uint64_t turn) {
    struct mp_node *node = context;
    PyThreadState *ts;
    if (!visit(node, &ts)) return false;
    bool thrown = is_under_way(node, scheduler, turn) && mp_throw(node);
    visit_end(ts);
    return thrown;
}

/* ------------------------------------------------------------------------------------------------ throwing */

void mp_is_told(struct mp_proc *p) {
    p->told = true;
    p->told_ms = (uint32_t)(mp_now_ns() / 1000000u);
}

bool mp_had_time(const struct mp_proc *p) { return !p->told || (uint32_t)(mp_now_ns() / 1000000u) - p->told_ms >= AGAIN_MS; }

bool mp_throw(struct mp_node *node) {
    struct mp_proc *p = node->current;
    if (!p || !mote_host_ends(p->self)) return false;
    if (!mp_had_time(p) && !node->force) return true;
    if (PyThreadState_SetAsyncExc(node->ts->thread_id, node->st->told) == 0) return false;
    node->attention |= MP_THROWN;
    return true;
}

/* W2. What was raised already is raised. */
void mp_withdraw(struct mp_node *node) {
    if (!(node->attention & MP_THROWN)) return;
    node->attention &= ~(unsigned)MP_THROWN;
    PyThreadState_SetAsyncExc(node->ts->thread_id, NULL);
}

void mp_end_as_it_stands(struct mp_proc *p) {
    struct mp_node *node = p->node;
    PyErr_Clear();
    PyObject *who = describe(p);
    if (who) tell("dropped", "(O)", who);
    Py_XDECREF(who);
    mote_host_told(p->self);
    if (p->flavour == FUNCTION) {
        mp_leave(p);
    } else {
        p->coroutine = p->context = NULL; /* it runs: nobody may free it */
        mp_withdraw(node);
        mp_frames_drop(node->ts, &node->bare);
        node->current = NULL;
    }
    mote_exit(p->self, mote_atom_term(mote_atom_make("normal"))); /* the signal's reason goes before */
}

/* told() -> the reason of ProcessExit, in the process that it is raised in */
static PyObject *py_told(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_node *node = st->node;
    struct mp_proc *p = node && PyThreadState_Get() == node->ts ? node->current : NULL;
    mote_term why = mote_atom_term(mote_atom_make("killed"));
    (void)none;
    if (p && mote_host_look(p->self)) {
        mp_is_told(p);
        if (++p->tellings > TELLINGS_RUNNING || node->force) mp_end_as_it_stands(p);
        mote_host_exit_reason(p->self, &why);
    }
    return mp_from_term(st, why);
}

/* ------------------------------------------------------------------------------------------ the child of a fork */

/* A process has forked, and its function has come to its end in the child: there is nobody to go on with. */
void mp_child_ends(void) {
    PyObject *error = mp_take_exception();
    tell("child_ends", "(O)", error ? error : Py_None);
    _exit(1);
}

PyMethodDef mp_watch_methods[] = {
    {"whoami", py_whoami, METH_NOARGS, "whoami() -> (pid, name)\n\nThe calling process as texts; \"-\" where there is none. Starts none."},
    {"told", py_told, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
