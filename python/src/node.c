/* SPDX-License-Identifier: Apache-2.0
 * The node: the runtime of an interpreter, its scheduler's thread, and the threads that are processes of it. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "aio.h"
#include "process.h"

#include <sched.h>

/* ----------------------------------------------------------------------------------------------- who calls */

/* A thread's process; lives in the thread's dictionary, which ends with it. */
static const char thread_key[] = "mote process";

static void forget_thread(PyObject *capsule) {
    struct mp_proc *p = PyCapsule_GetPointer(capsule, thread_key);
    if (p->program != getpid() || !pthread_equal(p->thread, pthread_self())) return; /* it is still used, or cannot be ended here: it stays */
    mote_detach(p->self);
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
    int set = PyDict_SetItem(dict, node->key, capsule);
    Py_DECREF(capsule);
    return set < 0 ? NULL : p;
}

static struct mp_proc *thread_process(struct mp_node *node) {
    PyObject *dict = PyThreadState_GetDict(), *capsule = dict ? PyDict_GetItemWithError(dict, node->key) : NULL;
    if (capsule) return PyCapsule_GetPointer(capsule, thread_key);
    if (!dict) PyErr_SetString(node->st->error, "mote: this thread has no Python state");
    return PyErr_Occurred() ? NULL : attach_thread(node, dict);
}

static struct mp_node *node_start(struct mp_state *st, unsigned processes_max, uint64_t chaos_seed);

/* The calling process; NULL: error set. A node is started if there is none. */
struct mp_proc *mp_caller(struct mp_state *st) {
    struct mp_node *node = st->node;
    if (st->forked) return PyErr_SetString(st->error, "mote: this is the child of os.fork(), where the node does not run: start the program anew (subprocess), or fork before mote is used"), NULL;
    if (!node && !(node = node_start(st, 0, 0))) return NULL;
    if (PyThreadState_Get() != node->ts) return thread_process(node);
    return node->current ? node->current : mp_aio_caller(node);
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

/* --------------------------------------------------------------------------------------------------- the node */

static void loop_enter(void *context, unsigned scheduler) {
    struct mp_node *node = context;
    (void)scheduler;
    node->ts = PyThreadState_New(node->interp);
    PyEval_RestoreThread(node->ts);
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

static struct mp_node *node_start(struct mp_state *st, unsigned processes_max, uint64_t chaos_seed) {
    PyObject *threading = PyImport_ImportModule("threading"); /* takes the thread that imports it first for the main one: not the scheduler's */
    struct mp_node *node = threading ? PyMem_RawCalloc(1, sizeof *node) : NULL;
    mote_err err;
    Py_XDECREF(threading);
    if (!threading) return NULL;
    if (!node) return PyErr_NoMemory(), NULL;
    node->st = st;
    node->interp = PyInterpreterState_Get();
    node->spare_cores = has_spare_cores();
    node->key = PyUnicode_FromFormat("mote %zu", ++st->nodes_started);
    if (!node->key) return PyMem_RawFree(node), NULL;
    node->loop = (mote_host_loop){.context = node, .enter = loop_enter, .idle = loop_idle, .busy = loop_busy, .leave = loop_leave, .waits = mp_aio_waits, .wait = mp_aio_wait,
                                  .look = mp_aio_look};
    mote_options options = {.schedulers = 1, .stack_size = MP_STACK_DEFAULT, .stack_head = MP_STACK_HEAD, .processes_max = processes_max,
                            .host_loop = &node->loop, .chaos_seed = chaos_seed};
    Py_BEGIN_ALLOW_THREADS
    err = mote_runtime_start(&options, &node->rt);
    Py_END_ALLOW_THREADS
    if (err) {
        Py_DECREF(node->key);
        PyMem_RawFree(node);
        mp_fail(st, err, "mote: the runtime cannot start");
        return NULL;
    }
    st->node = node;
    return node;
}

/* In the child of a fork: what the parent's node had is not touched any more. Before mote's first use a fork does no harm. */
static PyObject *py_forked(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    (void)none;
    st->forked = st->node != NULL;
    st->node = NULL;
    Py_RETURN_NONE;
}

/* start(chaos_seed=0): not 0: turns end at random, for tests. */
static PyObject *py_start(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    unsigned long long chaos_seed = 0;
    if (!PyArg_ParseTuple(args, "|K", &chaos_seed)) return NULL;
    if (!st->node && !node_start(st, 0, chaos_seed)) return NULL;
    Py_RETURN_NONE;
}

/* stop(seconds to drain): ends the node; its processes are ended. */
static PyObject *py_stop(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_node *node = st->node;
    mote_err err;
    (void)none;
    if (!node || node->stopping) Py_RETURN_NONE;
    if (PyThreadState_Get() == node->ts) return PyErr_SetString(st->error, "mote: a process cannot stop its own node"), NULL;
    PyObject *dict = PyThreadState_GetDict();
    if (dict && PyDict_GetItemWithError(dict, node->key)) PyDict_DelItem(dict, node->key); /* this thread is no process any more */
    node->stopping = true; /* its processes still find it: they unwind */
    Py_BEGIN_ALLOW_THREADS
    err = mote_runtime_stop(node->rt, 0);
    Py_END_ALLOW_THREADS
    st->node = NULL;
    if (err && err != MOTE_TIMEOUT) return mp_fail(st, err, "mote.stop");
    Py_DECREF(node->key);
    PyMem_RawFree(node);
    Py_RETURN_NONE;
}

PyMethodDef mp_node_methods[] = {
    {"start", py_start, METH_VARARGS, "Starts the node, if it does not run."},
    {"forked", py_forked, METH_NOARGS, NULL},
    {"stop", py_stop, METH_NOARGS, "Stops the node: its processes are ended."},
    {NULL, NULL, 0, NULL},
};
