/* SPDX-License-Identifier: Apache-2.0
 * The node: the runtime of an interpreter, its scheduler's thread, and the threads that are processes of it.
 *
 * N1 a stop is bounded: the core's, which waits for every process, runs on a thread of its own. When the time is up, who is told of its end is ended as
 * it stands; who even then does not end (it is blocked in C) is left behind, and the node with it. N2 at the interpreter's end no thread goes on
 * into Python that a node has stopped: it is frozen. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "aio.h"
#include "process.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

/* ----------------------------------------------------------------------------------------------- who calls */

/* The node is not used any more by one of its users. */
static void node_drop(struct mp_node *node) {
    if (--node->users) return;
    if (node->name.word) mote_atom_drop(node->name);
    Py_XDECREF(node->key);
    PyMem_RawFree(node);
}

/* A thread's process; lives in the thread's dictionary, which ends with it. */
static const char thread_key[] = "mote process";

static void forget_thread(PyObject *capsule) {
    struct mp_proc *p = PyCapsule_GetPointer(capsule, thread_key);
    if (p->program != getpid() || !pthread_equal(p->thread, pthread_self())) return; /* it is still used, or cannot be ended here: it stays */
    mote_detach(p->self);
    node_drop(p->node);
    Py_XDECREF(p->pid);
    PyMem_Free(p);
}

static struct mp_proc *attach_thread(struct mp_node *node, PyObject *dict) {
    struct mp_proc *p = PyMem_Calloc(1, sizeof *p);
    if (!p) return PyErr_NoMemory(), NULL;
    p->node = node;
    p->flavour = THREAD;
    p->program = getpid();
    p->thread = pthread_self();
    mote_err err = mote_host_attach(node->rt, &p->self);
    PyObject *capsule = err ? NULL : PyCapsule_New(p, thread_key, forget_thread);
    if (!capsule) {
        if (err) mp_fail(node->st, err, "mote: this thread cannot be a process");
        else mote_detach(p->self);
        PyMem_Free(p);
        return NULL;
    }
    node->users++;
    int set = PyDict_SetItem(dict, node->key, capsule);
    Py_DECREF(capsule);
    return set < 0 ? NULL : p;
}

struct mp_proc *mp_thread_known(struct mp_node *node) {
    PyObject *dict = PyThreadState_GetDict(), *capsule = dict ? PyDict_GetItemWithError(dict, node->key) : NULL;
    return capsule ? PyCapsule_GetPointer(capsule, thread_key) : NULL;
}

static struct mp_proc *thread_process(struct mp_node *node) {
    struct mp_proc *p = mp_thread_known(node);
    PyObject *dict = PyThreadState_GetDict();
    if (p) return p;
    if (!dict) PyErr_SetString(node->st->error, "mote: this thread has no Python state");
    return PyErr_Occurred() ? NULL : attach_thread(node, dict);
}

bool mp_may_start(struct mp_state *st) {
    const char *why = st->forked ? "mote: this is the child of os.fork(), where the node does not run: start the program anew (subprocess), or fork before mote is used"
                      : st->exiting ? "mote: the interpreter ends, and the node has stopped"
                      : st->lost ? "mote: a node was left behind with a process that could not be ended: no other can start" : NULL;
    if (why) PyErr_SetString(st->error, why);
    return !why;
}

struct how {
    Py_ssize_t processes_max, stack;
    double hog; /* seconds; below 0: never */
    unsigned long long chaos_seed; /* not 0: turns end at random, for tests */
    unsigned worker; /* of a node of several: see mote_options */
};
static struct mp_node *node_start(struct mp_state *st, const struct how *how);
static const struct how by_itself = {.hog = 0.1};

struct mp_proc *mp_caller_slow(struct mp_state *st) {
    struct mp_node *node = st->node;
    if (!node && (!mp_may_start(st) || !(node = node_start(st, &by_itself)))) return NULL;
    if (PyThreadState_Get() != node->ts) return thread_process(node);
    if (!node->current) return mp_aio_caller(node);
    if (node->attention) mp_withdraw(node); /* what it does now may let it live on, see W2 of watch.c */
    return node->current;
}

void mp_freeze(void) {
    for (;;) pause();
}

/* --------------------------------------------------------------------------------------------------- the lock */

#define HANDOVER_NS 30000 /* less than a sleep for the lock and its end take */

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

void mp_lock_soon(const struct mp_node *node, const _Atomic int *holder) {
    uint64_t end = node->spare_cores ? mp_now_ns() + HANDOVER_NS : 0;
    while (atomic_load_explicit(holder, memory_order_relaxed) && mp_now_ns() < end)
        for (int i = 0; i < 16; i++) relax();
}

static bool has_spare_cores(void) {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) != 0 || CPU_COUNT(&cores) > 1;
}

/* --------------------------------------------------------------------------------------------------- the loop */

static void loop_enter(void *context, unsigned scheduler) {
    struct mp_node *node = context;
    (void)scheduler;
    node->ts = PyThreadState_New(node->interp);
    PyEval_RestoreThread(node->ts);
    mp_frames_save(node->ts, &node->bare);
}
static void loop_idle(void *context, unsigned scheduler) {
    struct mp_node *node = context;
    (void)scheduler;
    if (node->aio.loop) return; /* asyncio's loop gives it up where it waits */
    PyEval_SaveThread();
    atomic_store_explicit(&node->scheduler_holds, 0, memory_order_relaxed);
}
static void loop_busy(void *context, unsigned scheduler) {
    struct mp_node *node = context;
    (void)scheduler;
    if (node->aio.loop) return;
    mp_lock_soon(node, &node->thread_holds);
    PyEval_RestoreThread(node->ts);
    atomic_store_explicit(&node->scheduler_holds, 1, memory_order_relaxed);
}
static void loop_leave(void *context, unsigned scheduler) {
    struct mp_node *node = context;
    (void)scheduler;
    mp_aio_close(node);
    PyThreadState_Clear(node->ts);
    PyThreadState_DeleteCurrent();
}

/* --------------------------------------------------------------------------------------------------- starting */

/* Tells mote._log: what has to be there before a process runs. */
static int tell_started(void) {
    PyObject *module = PyImport_ImportModule("mote._log"), *done = module ? PyObject_CallMethod(module, "started", NULL) : NULL;
    Py_XDECREF(module);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static mote_err run(struct mp_node *node, const struct how *how) {
    mote_err err;
    unsigned held_ms = how->hog < 0 || how->hog > 1e6 ? UINT_MAX : (unsigned)(how->hog * 1000 + 0.999);
    node->loop = (mote_host_loop){.context = node, .enter = loop_enter, .idle = loop_idle, .busy = loop_busy, .leave = loop_leave, .waits = mp_aio_waits, .wait = mp_aio_wait,
                                  .look = mp_aio_look, .held_ms = held_ms ? held_ms : 1, .held = mp_watch_held, .unheard = mp_watch_unheard, .decode = mp_far_decode, .decoded = &mp_object_kind};
    mote_options options = {.schedulers = 1, .stack_size = how->stack ? mp_stack_size(how->stack) : MP_STACK_DEFAULT, .stack_head = MP_STACK_HEAD,
                            .processes_max = (size_t)how->processes_max, .host_loop = &node->loop, .log = mp_node_log, .log_context = node, .chaos_seed = how->chaos_seed, .worker = how->worker};
    Py_BEGIN_ALLOW_THREADS
    err = mote_runtime_start(&options, &node->rt);
    Py_END_ALLOW_THREADS
    return err;
}

/* What must not be imported by a process first. -1: error set. */
static int import_first(void) {
    static const char *const names[] = {
        "threading", /* takes the thread that imports it for the main one */
#if PY_VERSION_HEX < 0x030a0000
        "_ast", /* compile() imports it, and when the stack is too small for that CPython 3.9 goes on with nothing, and crashes */
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PyObject *module = PyImport_ImportModule(names[i]);
        if (!module) return -1;
        Py_DECREF(module);
    }
    return 0;
}

static struct mp_node *node_start(struct mp_state *st, const struct how *how) {
    if (import_first() < 0 || tell_started() < 0) return NULL;
    struct mp_node *node = PyMem_RawCalloc(1, sizeof *node);
    if (!node) return PyErr_NoMemory(), NULL;
    node->st = st;
    node->interp = PyInterpreterState_Get();
    node->spare_cores = has_spare_cores();
    node->number = ++st->nodes_started;
    node->users = 1;
    node->key = PyUnicode_FromFormat("mote %zu", node->number);
    mote_err err = node->key ? run(node, how) : MOTE_ENOMEM;
    if (!err && st->node) { /* another thread was quicker */
        Py_BEGIN_ALLOW_THREADS
        mote_runtime_stop(node->rt, 0);
        Py_END_ALLOW_THREADS
    }
    if (err || st->node) {
        node_drop(node);
        return err ? mp_fail(st, err, "mote: the runtime cannot start"), NULL : st->node;
    }
    node->started = true;
    st->node = node;
    return node;
}

/* start(processes_max, hog, stack, chaos_seed=0, worker=0) -> its number. Not if one runs. */
static PyObject *py_start(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct how how = {0};
    if (!PyArg_ParseTuple(args, "ndn|KI", &how.processes_max, &how.hog, &how.stack, &how.chaos_seed, &how.worker)) return NULL;
    if (how.stack && how.stack < MP_STACK_LEAST) return PyErr_Format(PyExc_ValueError, "stack is at least %d bytes", MP_STACK_LEAST), NULL;
    struct mp_proc *p = st->node && st->loading ? mp_caller(st) : NULL;
    if (p && mp_is_loading(st, p)) return NULL;
    if (st->node) return PyErr_SetString(st->error, "mote: a node runs already: it starts with mote's first use, and ends with stop() or its block"), NULL;
    if (!mp_may_start(st)) return NULL;
    struct mp_node *node = node_start(st, &how);
    return node ? PyLong_FromSize_t(node->number) : NULL;
}

/* In the child of a fork: what the parent's node had is not touched any more. Before mote's first use a fork does no harm. */
static PyObject *py_forked(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    (void)none;
    if (st->node) {
        st->forked = true;
        st->node->attention |= MP_FORKED;
    }
    st->node = NULL;
    Py_RETURN_NONE;
}

/* node_info(number) -> figures of the running node, or None: it is not that one */
static PyObject *py_info(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    size_t number = PyLong_AsSize_t(o);
    mote_runtime_info info;
    if (PyErr_Occurred()) return NULL;
    if (!st->node || (number && st->node->number != number)) Py_RETURN_NONE;
    struct mp_proc *p = mp_caller(st);
    if (!p) return NULL;
    mote_err err = mote_runtime_info_get(p->self, &info);
    if (err) return mp_fail(st, err, "mote.Node.info");
    return Py_BuildValue("(nKKKKdK)", (Py_ssize_t)info.processes, info.processes_started, info.messages_sent, info.messages_dropped, info.messages_dead,
                         (double)info.uptime_ns / 1e9, p->node->hogs);
}

/* --------------------------------------------------------------------------------------------------- stopping */

/* The core's stop, on a thread of its own. */
struct stopper {
    mote_runtime *rt;
    int64_t drain_ms;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool done; /* mu */
};

static void stopper_free(struct stopper *s) {
    pthread_cond_destroy(&s->cond);
    pthread_mutex_destroy(&s->mu);
    PyMem_RawFree(s);
}

static void *stop_runtime(void *arg) {
    struct stopper *s = arg;
    mote_runtime_stop(s->rt, s->drain_ms);
    pthread_mutex_lock(&s->mu);
    s->done = true;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

/* NULL: no memory, no thread. */
static struct stopper *stopper_start(struct mp_node *node, int64_t drain_ms) {
    struct stopper *s = PyMem_RawCalloc(1, sizeof *s);
    pthread_condattr_t monotonic;
    sigset_t all, before;
    if (!s) return NULL;
    s->rt = node->rt;
    s->drain_ms = drain_ms;
    pthread_mutex_init(&s->mu, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, stop_runtime, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) return stopper_free(s), NULL;
    return s;
}

/* Whether it is done; waits `ns` at most. Without the GIL. */
static bool is_done(struct stopper *s, uint64_t ns) {
    uint64_t until = mp_now_ns() + ns;
    struct timespec t = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    pthread_mutex_lock(&s->mu);
    while (!s->done && pthread_cond_timedwait(&s->cond, &s->mu, &t) != ETIMEDOUT) continue;
    bool done = s->done;
    pthread_mutex_unlock(&s->mu);
    return done;
}

/* Python's own handlers run while a stop waits; one that raises makes it hurry, and its exception is kept. */
#define SLICE_NS UINT64_C(50000000)
#define FORCE_NS UINT64_C(1000000000) /* how long processes are ended as they stand */
static bool wait_done(struct mp_node *node, struct stopper *s, uint64_t deadline_ns) {
    for (;;) {
        uint64_t now = mp_now_ns(), left = now < deadline_ns ? deadline_ns - now : 0;
        uint64_t slice = node->force ? SLICE_NS / 5 : SLICE_NS;
        bool done;
        Py_BEGIN_ALLOW_THREADS
        done = is_done(s, left < slice ? left : slice);
        Py_END_ALLOW_THREADS
        if (done || now >= deadline_ns) return done;
        if (node->force) mp_throw(node);
        else if (PyErr_CheckSignals() < 0) return false;
    }
}

/* Node and stopper stay as they are: their threads may use them yet. */
static void leave_behind(struct mp_node *node, struct stopper *s) {
    mp_tell_left(node);
    atomic_store(&node->gone, true);
    node->st->lost = true;
    pthread_detach(s->thread);
}

/* Stops the node, within `seconds` and a little more. -1: an exception is set. */
static int node_stop(struct mp_state *st, double seconds, double drain) {
    struct mp_node *node = st->node;
    PyObject *dict = PyThreadState_GetDict();
    if (dict && PyDict_GetItemWithError(dict, node->key)) PyDict_DelItem(dict, node->key); /* this thread is no process any more */
    node->stopping = true; /* its processes still find it: they unwind */
    struct stopper *s = stopper_start(node, (int64_t)(drain * 1000));
    if (!s) return node->stopping = false, mp_fail(st, MOTE_ENOMEM, "mote: the node cannot be stopped"), -1;
    uint64_t deadline_ns = seconds < 0 || seconds + drain > 1e9 ? UINT64_MAX : mp_now_ns() + (uint64_t)((seconds + drain) * 1e9);
    bool done = wait_done(node, s, deadline_ns);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    node->force = !done;
    if (!done) done = wait_done(node, s, mp_now_ns() + FORCE_NS);
    st->node = NULL;
    if (done) {
        pthread_join(s->thread, NULL);
        stopper_free(s);
        node_drop(node);
    } else {
        leave_behind(node, s);
    }
    PyErr_Restore(type, value, traceback);
    if (!type && !done) PyErr_SetString(PyExc_TimeoutError, "mote: a process could not be ended in time; the node is left behind");
    return type || !done ? -1 : 0;
}

/* While a node stops, Ctrl-C means now: unless the program has a handler of its own. */
static void end_now(int number) {
    static const char text[] = "\nmote: interrupted while the node stops: ended at once\n";
    if (write(2, text, sizeof text - 1) < 0) _exit(128 + number);
    _exit(128 + number);
}

static bool has_usual_handler(void) {
    PyObject *module = PyImport_ImportModule("_signal"), *now = module ? PyObject_CallMethod(module, "getsignal", "i", SIGINT) : NULL;
    PyObject *usual = module ? PyObject_GetAttrString(module, "default_int_handler") : NULL;
    bool is = now && now == usual;
    Py_XDECREF(usual);
    Py_XDECREF(now);
    Py_XDECREF(module);
    PyErr_Clear();
    return is;
}

static int stop_with_ctrl_c(struct mp_state *st, double seconds, double drain) {
    bool usual = has_usual_handler();
    PyOS_sighandler_t before = usual ? PyOS_setsig(SIGINT, end_now) : SIG_DFL;
    int result = node_stop(st, seconds, drain);
    if (usual) PyOS_setsig(SIGINT, before);
    return result;
}

/* stop(number, seconds, drain): ends the node of that number (0: any), if it runs; seconds below 0: without limit. */
static PyObject *py_stop(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_node *node = st->node;
    Py_ssize_t number = 0;
    double seconds = 5, drain = 0;
    if (!PyArg_ParseTuple(args, "|ndd", &number, &seconds, &drain)) return NULL;
    if (!node || node->stopping || (number && node->number != (size_t)number)) Py_RETURN_NONE;
    if (PyThreadState_Get() == node->ts) return PyErr_SetString(st->error, "mote: a process cannot stop its own node"), NULL;
    if (stop_with_ctrl_c(st, seconds, drain) < 0) return NULL;
    Py_RETURN_NONE;
}

/* The interpreter ends. Called by atexit itself, so that no signal's handler comes between. */
#define EXIT_SECONDS 5
static PyObject *py_at_exit(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    (void)none;
    if (st->node && !st->node->stopping && !st->forked) {
        st->exiting = true;
        if (stop_with_ctrl_c(st, EXIT_SECONDS, 0) < 0) PyErr_Clear(); /* it was told of */
    }
    st->exiting = true;
    Py_RETURN_NONE;
}

PyMethodDef mp_node_methods[] = {
    {"start", py_start, METH_VARARGS, NULL},
    {"forked", py_forked, METH_NOARGS, NULL},
    {"node_info", py_info, METH_O, NULL},
    {"stop", py_stop, METH_VARARGS, "stop(number=0, seconds=5, drain=0, /)\n\nStops the node: its processes are ended."},
    {"at_exit", py_at_exit, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
