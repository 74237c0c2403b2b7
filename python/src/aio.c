/* SPDX-License-Identifier: Apache-2.0 */
#include "aio.h"

#include <stddef.h>
#include <structmember.h>
#include <sys/eventfd.h>

static void complain(void) {
    if (PyErr_Occurred()) PyErr_WriteUnraisable(NULL);
}

static PyObject *attribute_of(const char *module, const char *name) {
    PyObject *m = PyImport_ImportModule(module), *o = m ? PyObject_GetAttrString(m, name) : NULL;
    Py_XDECREF(m);
    return o;
}

/* ------------------------------------------------------------------------------------------------ the task */

/* ProcessTask() is made by mote alone: in a process, for it. */
static PyObject *task_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    return type->tp_alloc(type, 0);
}

static void task_dealloc(PyObject *self) {
    struct mp_task *t = (struct mp_task *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (t->weakrefs) PyObject_ClearWeakRefs(self);
    Py_CLEAR(t->future);
    Py_CLEAR(t->message);
    Py_CLEAR(t->callbacks);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Its process is looked at again. In the loop that ends the loop's turn (A3). */
static void stir(struct mp_task *t) {
    struct mp_node *node = t->p->node;
    mote_host_nudge(t->p->self);
    if (node->aio.within) (void)mp_aio_caller(node);
    PyErr_Clear();
}

/* As the callback of what is awaited. */
static PyObject *task_call(PyObject *self, PyObject *args, PyObject *kwargs) {
    struct mp_task *t = (struct mp_task *)self;
    PyObject *future;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O", &future)) return NULL;
    if (t->p && t->future == future) {
        t->ready = true;
        stir(t);
    }
    Py_RETURN_NONE;
}

/* cancel(msg=None): what is awaited is cancelled, or CancelledError is raised where the process waits for mote. */
static PyObject *task_cancel(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"msg", NULL};
    struct mp_task *t = (struct mp_task *)self;
    PyObject *message = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &message)) return NULL;
    if (!t->p) Py_RETURN_FALSE;
    t->cancelling++;
    Py_XSETREF(t->message, message == Py_None ? NULL : Py_NewRef(message));
    if (t->future && !t->ready) {
        PyObject *cancelled = PyObject_CallMethod(t->future, "cancel", NULL);
        int is = cancelled ? PyObject_IsTrue(cancelled) : -1;
        Py_XDECREF(cancelled);
        if (is < 0) return NULL;
        if (is) Py_RETURN_TRUE;
    }
    t->must_cancel = true;
    stir(t);
    Py_RETURN_TRUE;
}

static PyObject *task_cancelling(PyObject *self, PyObject *none) {
    (void)none;
    return PyLong_FromLong(((struct mp_task *)self)->cancelling);
}

static PyObject *task_uncancel(PyObject *self, PyObject *none) {
    struct mp_task *t = (struct mp_task *)self;
    (void)none;
    if (t->cancelling > 0 && --t->cancelling == 0) t->must_cancel = false;
    return PyLong_FromLong(t->cancelling);
}

static PyObject *task_done(PyObject *self, PyObject *none) {
    (void)none;
    return PyBool_FromLong(!((struct mp_task *)self)->p);
}

static PyObject *task_cancelled(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    Py_RETURN_FALSE;
}

static PyObject *task_pid(PyObject *self, void *none) {
    struct mp_task *t = (struct mp_task *)self;
    (void)none;
    if (!t->p) Py_RETURN_NONE;
    return mp_pid_new(t->p->node->st, mote_self_pid(t->p->self));
}

#define FAST(f) ((PyCFunction)(void (*)(void))(f))
static PyMethodDef task_methods[] = {
    {"cancel", FAST(task_cancel), METH_VARARGS | METH_KEYWORDS, NULL},
    {"cancelling", task_cancelling, METH_NOARGS, NULL},
    {"uncancel", task_uncancel, METH_NOARGS, NULL},
    {"done", task_done, METH_NOARGS, NULL},
    {"cancelled", task_cancelled, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef task_members[] = {
    {"callbacks", T_OBJECT, offsetof(struct mp_task, callbacks), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct mp_task, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyGetSetDef task_getset[] = {{"pid", task_pid, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot task_slots[] = {{Py_tp_new, task_new},         {Py_tp_dealloc, task_dealloc}, {Py_tp_call, task_call},
                                   {Py_tp_methods, task_methods}, {Py_tp_members, task_members}, {Py_tp_getset, task_getset},
                                   {0, NULL}};
static PyType_Spec task_spec = {"mote._mote.ProcessTask", sizeof(struct mp_task), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, task_slots};

int mp_aio_init(struct mp_state *st) {
    PyObject *type = PyType_FromModuleAndSpec(st->module, &task_spec, NULL);
    if (!type) return -1;
    st->process_task = (PyTypeObject *)type;
    return PyModule_AddObject(st->module, "ProcessTask", Py_NewRef(type));
}

/* ------------------------------------------------------------------------------- the loop's process (A3) */

static void loop_process_init(mote_self *self, mote_term arg, void *state) {
    struct mp_proc *p = state;
    (void)arg;
    p->self = self;
    p->node = mote_host_context(self);
    p->flavour = ASYNCIO;
    p->node->aio.process = p;
}

/* Something has come for it: the tasks that wait look for themselves. */
static void loop_process_resume(mote_self *self, void *state) {
    struct mp_proc *p = state;
    mote_term why;
    if (mote_host_exit_reason(self, &why)) mote_exit(self, why);
    PyObject *done = p->node->aio.driver ? PyObject_CallMethod(p->node->aio.driver, "news", NULL) : NULL;
    if (!done) complain();
    Py_XDECREF(done);
}

static void loop_process_stop(mote_self *self, mote_term reason, void *state) {
    struct mp_proc *p = state;
    (void)self, (void)reason;
    p->node->aio.process = NULL;
    Py_CLEAR(p->pid);
}

static const mote_handler loop_process = {.name = "asyncio",
                                          .state_size = offsetof(struct mp_proc, frames),
                                          .init = loop_process_init,
                                          .stop = loop_process_stop,
                                          .resume = loop_process_resume};

/* The loop gives way soon, once. */
static void stop_loop(struct mp_node *node) {
    if (!node->aio.within || node->aio.told) return;
    node->aio.told = true;
    PyObject *done = PyObject_CallMethod(node->aio.loop, "stop", NULL);
    if (!done) complain();
    Py_XDECREF(done);
}

struct mp_proc *mp_aio_caller(struct mp_node *node) {
    if (!node->aio.within || !node->aio.process) {
        PyErr_SetString(node->st->error, "mote: called on the scheduler's thread, outside a process");
        return NULL;
    }
    stop_loop(node);
    mote_host_nudge(node->aio.process->self);
    return node->aio.process;
}

/* -------------------------------------------------------------------------------------------- in and out */

/* Makes the loop and its process; `p` starts it. */
static int begin(struct mp_node *node, struct mp_proc *p) {
    struct mp_aio *aio = &node->aio;
    PyObject *module = PyImport_ImportModule("mote._asyncio");
    PyObject *driver = module ? PyObject_CallMethod(module, "begin", NULL) : NULL;
    PyObject *loop = driver ? PyObject_GetAttrString(driver, "loop") : NULL, *class = module ? PyObject_GetAttrString(module, "Task") : NULL;
    PyObject *set = attribute_of("asyncio", "_set_running_loop");
#if PY_VERSION_HEX < 0x030E0000
    PyObject *current = attribute_of("asyncio.tasks", "_current_tasks");
#else
    PyObject *current = attribute_of("asyncio.tasks", "_swap_current_task");
#endif
    const mote_spawn_options how = {.handler = &loop_process, .name = "asyncio"};
    Py_XDECREF(module);
    if (loop && class && set && current && mote_spawn_opt(p->self, &how, MOTE_TERM_NIL, &aio->pid) == MOTE_OK) {
        aio->driver = driver, aio->loop = loop, aio->task_class = class, aio->set_running = set, aio->current = current;
        return 0;
    }
    Py_XDECREF(driver), Py_XDECREF(loop), Py_XDECREF(class), Py_XDECREF(set), Py_XDECREF(current);
    return -1;
}

static void set_running(struct mp_node *node, PyObject *loop) {
    PyObject *done = PyObject_CallFunctionObjArgs(node->aio.set_running, loop, NULL);
    if (!done) complain();
    Py_XDECREF(done);
}

/* `task`: NULL for none. */
static void set_current(struct mp_node *node, PyObject *task) {
    int failed;
#if PY_VERSION_HEX < 0x030E0000
    failed = task ? PyDict_SetItem(node->aio.current, node->aio.loop, task) : PyDict_DelItem(node->aio.current, node->aio.loop);
#else
    PyObject *before = PyObject_CallFunctionObjArgs(node->aio.current, node->aio.loop, task ? task : Py_None, NULL);
    failed = before ? 0 : -1;
    Py_XDECREF(before);
#endif
    if (failed < 0) PyErr_Clear();
}

void mp_aio_enter(struct mp_proc *p) {
    struct mp_node *node = p->node;
    struct mp_aio *aio = &node->aio;
    if (!aio->loop && begin(node, p) < 0) {
        PyErr_WriteUnraisable(NULL);
        return;
    }
    if (!p->task && !aio->here && !(aio->here = (struct mp_task *)PyObject_CallNoArgs(aio->task_class))) {
        PyErr_WriteUnraisable(NULL);
        return;
    }
    struct mp_task *task = p->task ? p->task : aio->here;
    task->p = p;
    if (!aio->running) {
        set_running(node, aio->loop);
        aio->running = true;
    }
    if (aio->shown == task) return;
    set_current(node, (PyObject *)task);
    aio->shown = task;
}

/* The task that serves all becomes that of one process. */
static void keep_task(struct mp_proc *p) {
    struct mp_aio *aio = &p->node->aio;
    p->task = aio->here;
    p->task->p = p;
    if (p->told) p->task->clean_until_ns = mp_now_ns() + MP_CLEAN_NS;
    aio->here = NULL;
}

void mp_aio_left(struct mp_proc *p) {
    struct mp_aio *aio = &p->node->aio;
    struct mp_task *t = aio->here;
    if (p->task || !t) return;
    if (Py_REFCNT(t) > 1 + (aio->shown == t) || t->weakrefs || t->cancelling || t->must_cancel || t->callbacks) keep_task(p);
    else t->p = NULL;
}

void mp_aio_leave(struct mp_node *node) {
    if (!node->aio.running) return;
    node->aio.running = false;
    node->aio.shown = NULL;
    set_current(node, NULL);
    set_running(node, Py_None);
}

/* ------------------------------------------------------------------------------------------------ awaiting */

/* Whether it is a future, by its mark; lets it know that it is awaited. 1, 0; -1: error set. */
static int take_future(struct mp_proc *p, PyObject *o) {
    PyObject *blocking = PyObject_GetAttrString(o, "_asyncio_future_blocking");
    int is = blocking ? PyObject_IsTrue(blocking) : 0;
    Py_XDECREF(blocking);
    if (!blocking) PyErr_Clear();
    if (is <= 0) return is;
    PyObject *loop = PyObject_CallMethod(o, "get_loop", NULL);
    bool ours = loop == p->node->aio.loop;
    Py_XDECREF(loop);
    if (!loop) return -1;
    if (!ours) return PyErr_Format(PyExc_RuntimeError, "mote: %R belongs to another event loop than that of the node's processes", o), -1;
    return PyObject_SetAttrString(o, "_asyncio_future_blocking", Py_False) < 0 ? -1 : 1;
}

static int await_future(struct mp_task *t, PyObject *future) {
    PyObject *done = PyObject_CallMethod(future, "add_done_callback", "O", (PyObject *)t);
    if (!done) return -1;
    Py_DECREF(done);
    Py_XSETREF(t->future, Py_NewRef(future));
    t->ready = false;
    if (!t->must_cancel) return 0;
    t->must_cancel = false;
    PyObject *cancelled = PyObject_CallMethod(future, "cancel", NULL);
    Py_XDECREF(cancelled);
    return cancelled ? 0 : -1;
}

int mp_aio_yielded(struct mp_proc *p, PyObject *yielded) {
    if (!p->task && p->node->aio.here) keep_task(p);
    struct mp_task *t = p->task;
    if (yielded == Py_None) { /* as asyncio.sleep(0): others first */
        if (t) t->ready = true;
        (void)mote_yield(p->self);
        return 0;
    }
    int is = t ? take_future(p, yielded) : 0;
    if (is == 1) return await_future(t, yielded);
    if (is == 0) PyErr_Format(p->node->st->error, "mote: a coroutine process has awaited %R, which is neither mote's nor asyncio's", yielded);
    return -1;
}

PyObject *mp_aio_cancelled(struct mp_proc *p) {
    struct mp_task *t = p->task;
    if (!t || !t->must_cancel || (t->future && !t->ready)) return NULL;
    t->must_cancel = false;
    PyObject *class = attribute_of("asyncio", "CancelledError");
    PyObject *e = class ? PyObject_CallFunctionObjArgs(class, t->message, NULL) : NULL;
    Py_XDECREF(class);
    if (!e) complain();
    return e;
}

void mp_aio_drop(PyObject *future) {
    PyObject *type, *e, *traceback; /* of the end that is under way */
    if (!future) return;
    PyErr_Fetch(&type, &e, &traceback);
    PyObject *done = PyObject_CallMethod(future, "cancel", NULL);
    if (!done) complain();
    Py_XDECREF(done);
    Py_DECREF(future);
    PyErr_Restore(type, e, traceback);
}

PyObject *mp_aio_exit_class(struct mp_node *node) {
    if (!node->aio.exit_class) node->aio.exit_class = attribute_of("mote._asyncio", "ProcessCancelled");
    return node->aio.exit_class;
}

static void call_back(struct mp_node *node, struct mp_task *t) {
    for (Py_ssize_t i = 0; PyList_Check(t->callbacks) && i < PyList_GET_SIZE(t->callbacks); i++) {
        PyObject *done = PyObject_CallMethod(node->aio.loop, "call_soon", "OO", PyList_GET_ITEM(t->callbacks, i), (PyObject *)t);
        if (!done) complain();
        Py_XDECREF(done);
    }
    Py_CLEAR(t->callbacks);
}

void mp_aio_ended(struct mp_proc *p) {
    struct mp_task *t = p->task;
    if (!t) return;
    p->task = NULL;
    t->p = NULL;
    Py_CLEAR(t->future);
    if (t->callbacks && p->node->aio.loop) call_back(p->node, t);
    Py_DECREF(t);
}

PyObject *mp_aio_await(struct mp_state *st, PyObject *awaitable) {
    PyObject *asyncio = st->asyncio ? attribute_of("mote._asyncio", "receive") : NULL;
    if (!asyncio) {
        PyErr_Clear();
        PyErr_SetString(PyExc_RuntimeError, "mote.aio.receive() is for coroutine processes and asyncio's tasks: elsewhere use mote.receive()");
        return NULL;
    }
    PyObject *coroutine = PyObject_CallOneArg(asyncio, awaitable), *iterator = coroutine ? PyObject_CallMethod(coroutine, "__await__", NULL) : NULL;
    Py_DECREF(asyncio);
    Py_XDECREF(coroutine);
    return iterator;
}

/* ------------------------------------------------------------------------------------------- the scheduler */

bool mp_aio_waits(void *node, unsigned scheduler) {
    (void)scheduler;
    return ((struct mp_node *)node)->aio.loop != NULL;
}

/* Runs the loop. What comes out of it is a bug of somebody's callback (or SystemExit of one): told, and the loop goes on. */
static void run_loop(struct mp_node *node, PyObject *done) {
    if (!done) complain();
    Py_XDECREF(done);
    node->aio.within = false;
    node->aio.told = false;
}

void mp_aio_wait(void *context, unsigned scheduler, int fd, uint64_t timeout_ns) {
    struct mp_node *node = context;
    (void)scheduler;
    PyObject *seconds = timeout_ns == UINT64_MAX ? Py_NewRef(Py_None) : PyFloat_FromDouble((double)timeout_ns * 1e-9);
    mp_aio_leave(node);
    node->aio.within = true;
    run_loop(node, seconds ? PyObject_CallMethod(node->aio.driver, "wait", "iO", fd, seconds) : NULL);
    Py_XDECREF(seconds);
}

void mp_aio_look(void *context, unsigned scheduler) {
    struct mp_node *node = context;
    (void)scheduler;
    mp_aio_leave(node);
    node->aio.within = true;
    run_loop(node, PyObject_CallMethod(node->aio.driver, "look", NULL));
}

void mp_aio_close(struct mp_node *node) {
    struct mp_aio *aio = &node->aio;
    if (!aio->loop) return;
    mp_aio_leave(node);
    run_loop(node, PyObject_CallMethod(aio->driver, "close", NULL));
    Py_CLEAR(aio->here);
    Py_CLEAR(aio->driver);
    Py_CLEAR(aio->loop);
    Py_CLEAR(aio->task_class);
    Py_CLEAR(aio->set_running);
    Py_CLEAR(aio->current);
    Py_CLEAR(aio->exit_class);
}

/* ---------------------------------------------------------------------------------------------- for Python */

static PyObject *py_asyncio_came(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    struct mp_node *node = st->node;
    (void)none;
    st->asyncio = true;
    if (node && PyThreadState_Get() == node->ts && node->current && node->current->flavour == COROUTINE) mp_aio_enter(node->current);
    Py_RETURN_NONE;
}

static PyObject *py_event_fd(PyObject *module, PyObject *none) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    (void)module, (void)none;
    return fd < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(fd);
}

/* watch(fd) -> whether nothing has come so far */
static PyObject *py_watch(PyObject *module, PyObject *o) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    long fd = PyLong_AsLong(o);
    if (!p || (fd == -1 && PyErr_Occurred())) return NULL;
    mote_err err = mote_host_watch(p->self, (int)fd);
    if (err && err != MOTE_NOMATCH && err != MOTE_EEXIT && err != MOTE_ESTOPPED) return mp_fail(st, err, "mote: waiting in asyncio");
    return PyBool_FromLong(!err);
}

static PyObject *py_unwatch(PyObject *module, PyObject *none) {
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    if (!p) return NULL;
    (void)mote_host_unwatch(p->self);
    Py_RETURN_NONE;
}

/* blocking_done(pid, ref): a thread has done what a process waits for. Without a node nobody waits any more. */
static PyObject *py_blocking_done(PyObject *module, PyObject *args) {
    struct mp_state *st = mp_state_of(module);
    struct mp_node *node = st->node;
    PyObject *pid, *ref;
    mote_self *self = NULL;
    if (!PyArg_ParseTuple(args, "O!O!", st->pid, &pid, st->ref, &ref)) return NULL;
    if (!node || node->stopping) Py_RETURN_NONE;
    mote_err err = mote_attach(node->rt, &self); /* a process for a moment, unless the call has made it one */
    struct mp_proc *p = err == MOTE_EBUSY ? mp_caller(st) : NULL;
    if (err == MOTE_EBUSY && !p) return NULL;
    if (!err || p) err = mote_send(p ? p->self : self, ((struct mp_pid *)pid)->pid, "{mote_done, ?}", ((struct mp_ref *)ref)->ref);
    if (self) mote_detach(self);
    if (err) return mp_fail(st, err, "mote.blocking");
    Py_RETURN_NONE;
}

/* asyncio_process() -> the Pid of the process that runs asyncio's loop, from the moment at which it is there; None: there was never one */
static PyObject *py_asyncio_process(PyObject *module, PyObject *none) {
    struct mp_state *st = mp_state_of(module);
    (void)none;
    if (!st->node || !st->node->aio.pid.word) Py_RETURN_NONE;
    return mp_pid_new(st, st->node->aio.pid);
}

PyMethodDef mp_aio_methods[] = {
    {"asyncio_process", py_asyncio_process, METH_NOARGS, NULL},
    {"blocking_done", py_blocking_done, METH_VARARGS, NULL},
    {"asyncio_came", py_asyncio_came, METH_NOARGS, NULL},
    {"event_fd", py_event_fd, METH_NOARGS, NULL},
    {"watch", py_watch, METH_O, NULL},
    {"unwatch", py_unwatch, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
