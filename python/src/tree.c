/* SPDX-License-Identifier: Apache-2.0
 * Trees: Python's processes as children of the core's supervisors.
 *
 * A specification is a tuple that the Python layer makes (see `form`); the supervisor holds it as an object within the child's argument. The
 * start functions run in the supervisor's process, a C process on the scheduler's thread.
 * T1 there no Python code runs and nothing of Python is held while it waits: a specification is only read. What a child needs of its own is made
 *    in its first turn, by mp_child_call(). T2 the child's argument is {Parent, Held}, and Held the specification's object, or {Specification, More}
 *    with the (args, kwargs) of one dynamic start. T3 a tuple that was read once, with the error looked at, can be read again without one. */
#include "process.h"

#include <mote/group.h>
#include <mote/registry.h>
#include <mote/supervisor.h>
#include <mote/worker.h>

enum kind { PLAIN, AWAITING, SUPERVISING, REGISTERING, GROUPING };

/* Borrowed from the tuple. */
struct child {
    PyObject *id;         /* an Atom, an int, or a tuple of such */
    int kind;
    PyObject *function;   /* SUPERVISING and later: the options, a tuple */
    PyObject *args;       /* as they are given: see mp_share() */
    PyObject *kwargs;     /* a dict, or None */
    PyObject *context;    /* a contextvars.Context, or None */
    const char *name;     /* to be registered, or NULL */
    const char *report;   /* for reports */
    int restart;
    long long shutdown_ms;
    int significant;
    PyObject *place;      /* None: here; else (where, call or None, ...): see place_child() of mote/_workers.py */
    int answers;          /* it says {'$started', Pid} to its parent, whose Pid is its first argument, when it is ready */
};
static const char form[] = "OiOO!OOzziLppO:child";

/* -1: error set, the tuple is none. */
static int child_read(PyObject *spec, struct child *c) {
    if (!PyTuple_CheckExact(spec)) return PyErr_SetString(PyExc_TypeError, "a specification of a child is a tuple"), -1;
    if (!PyArg_ParseTuple(spec, form, &c->id, &c->kind, &c->function, &PyTuple_Type, &c->args, &c->kwargs, &c->context, &c->name, &c->report, &c->restart,
                          &c->shutdown_ms, &c->significant, &c->answers, &c->place))
        return -1;
    if (c->kind < SUPERVISING ? PyCallable_Check(c->function) : PyTuple_CheckExact(c->function)) return 0;
    return PyErr_SetString(PyExc_TypeError, "a child is a function, or has a tuple of options"), -1;
}

/* The specification of a child, and what was said at its dynamic start (NULL: nothing). Borrowed. */
static PyObject *held_spec(mote_term held, PyObject **more) {
    mote_term spec, own;
    *more = NULL;
    if (!mote_match(held, "{?, ?}", &spec, &own)) return mote_host_object(held, &mp_object_kind);
    *more = mote_host_object(own, &mp_object_kind);
    return mote_host_object(spec, &mp_object_kind);
}

/* ------------------------------------------------------------------------------------- in the child's first turn */

/* args + those of the dynamic start, behind the parent's Pid if it wants that. */
static PyObject *own_args(struct mp_state *st, const struct child *c, mote_pid parent, PyObject *more) {
    PyObject *args = mp_share(st, c->args), *rest = NULL, *pid = NULL;
    if (args && more) {
        rest = mp_share(st, PyTuple_GET_ITEM(more, 0));
        Py_SETREF(args, rest ? PySequence_Concat(args, rest) : NULL);
    }
    if (args && c->answers) {
        pid = mp_pid_new(st, parent);
        PyObject *first = pid ? PyTuple_Pack(1, pid) : NULL;
        Py_SETREF(args, first ? PySequence_Concat(first, args) : NULL);
        Py_XDECREF(first);
    }
    Py_XDECREF(rest);
    Py_XDECREF(pid);
    return args;
}

/* A new dict, with what the dynamic start has said over what the specification says. */
static PyObject *own_kwargs(struct mp_state *st, const struct child *c, PyObject *more) {
    PyObject *kwargs = c->kwargs == Py_None ? PyDict_New() : mp_share(st, c->kwargs);
    PyObject *rest = kwargs && more ? mp_share(st, PyTuple_GET_ITEM(more, 1)) : NULL;
    if (kwargs && more && (!rest || PyDict_Update(kwargs, rest) < 0)) Py_CLEAR(kwargs);
    Py_XDECREF(rest);
    return kwargs;
}

static int own_context(const struct child *c) {
    PyThreadState *ts = PyThreadState_Get();
    if (c->context == Py_None) return 0;
    PyObject *context = PyContext_Copy(c->context);
    if (!context) return -1;
    Py_XSETREF(ts->context, context);
    ts->context_ver++;
    return 0;
}

PyObject *mp_child_call(struct mp_state *st, mote_term arg) {
    struct child c;
    mote_pid parent;
    mote_term held = MOTE_TERM_NONE;
    PyObject *more = NULL, *spec = mote_match(arg, "{?, ?}", &parent, &held) ? held_spec(held, &more) : NULL;
    if (!spec) return PyErr_SetString(st->error, "mote: a child without a specification"), NULL;
    if (child_read(spec, &c) < 0 || own_context(&c) < 0) return NULL;
    PyObject *args = own_args(st, &c, parent, more), *kwargs = args ? own_kwargs(st, &c, more) : NULL;
    PyObject *result = kwargs ? PyObject_Call(c.function, args, kwargs) : NULL;
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

/* ------------------------------------------------------------------------------------ in the supervisor's process */

struct startup {
    mote_pid pid;
    mote_ref ref;
};

static bool is_about_startup(mote_term message, void *context) {
    const struct startup *s = context;
    return mote_match(message, "{'$started', ^}", s->pid) || mote_match(message, "{'DOWN', ^, _, _, _}", s->ref);
}

static mote_err await_started(mote_self *self, mote_pid pid, mote_ref ref) {
    struct startup s = {pid, ref};
    mote_term message, why;
    mote_err err = mote_receive_if(self, -1, is_about_startup, &s, &message);
    if (err) return err;
    if (mote_match(message, "{'DOWN', _, _, _, {mote_error, 'MOTE_EBUSY'}}")) return MOTE_EBUSY; /* it could not have its name */
    if (mote_match(message, "{'DOWN', _, _, _, ?}", &why)) return mote_child_refuse(self, MOTE_ENOPROC, why);
    return mote_demonitor(self, ref, true, NULL);
}

/* Gives the child its name, before its first turn; without it there shall be no child. */
static mote_err name_child(mote_self *self, mote_pid pid, const char *name) {
    mote_err err = name ? mote_register(self, name, pid) : MOTE_OK;
    if (!err) return MOTE_OK;
    (void)mote_unlink(self, pid);
    (void)mote_exit_send(self, pid, mote_to_name("kill"));
    return err;
}

/* A child elsewhere: a process here finds one that is granted to us, and makes it the child when it is told that we watch it. `stays`: it is to be one of ours. */
static mote_err start_placed(mote_self *self, mote_term arg, mote_pid *child, bool *stays) {
    char keeper[32];
    mote_term reply, why;
    mote_pid pid, placer;
    mote_ref ref;
    snprintf(keeper, sizeof keeper, "mote keeper %u", mote_worker_number(mote_self_pid(self)));
    mote_err err = mote_call(self, keeper, -1, &reply, "{'$mote_place', ?}", arg);
    *stays = !err && mote_match(reply, "here");
    if (err || *stays) return err;
    if (mote_match(reply, "{refused, ?}", &why)) return mote_child_refuse(self, MOTE_ENOPROC, why);
    if (!mote_match(reply, "{placed, ?, ?}", &pid, &placer)) return MOTE_ETERM;
    err = mote_link(self, pid);
    if (!err) err = mote_monitor(self, pid, &ref);
    if (!err) err = mote_send(self, placer, "{go, ?}", pid);
    if (!err) err = await_started(self, pid, ref);
    if (!err) *child = pid;
    return err;
}

static mote_err start_here(mote_self *self, mote_term arg, mote_pid *child) {
    struct child c;
    PyObject *more, *spec = held_spec(arg, &more);
    mote_pid pid;
    mote_ref ref;
    mote_term all;
    if (!spec || child_read(spec, &c) < 0) return PyErr_Clear(), MOTE_EARG;
    mote_spawn_options how = {.name = c.report, .link = true, .monitor = c.answers ? &ref : NULL};
    mp_spawn_as(&how, c.kind == AWAITING);
    mote_err err = mote_build(mote_scratch(self), &all, "{?, ?}", mote_self_pid(self), arg);
    if (!err) err = mote_spawn_opt(self, &how, all, &pid);
    if (!err) err = name_child(self, pid, c.name);
    if (!err && c.answers) err = await_started(self, pid, ref); /* `c` is not to be looked at any more */
    if (!err) *child = pid;
    return err;
}

static mote_err start_process(mote_self *self, mote_term arg, mote_pid *child) {
    struct child c;
    PyObject *more, *spec = held_spec(arg, &more);
    bool stays = true;
    if (!spec || child_read(spec, &c) < 0) return PyErr_Clear(), MOTE_EARG;
    mote_err err = c.place == Py_None ? MOTE_OK : start_placed(self, arg, child, &stays);
    return err || !stays ? err : start_here(self, arg, child);
}

/* A registry or a scope of groups: (name or None, whether it takes duplicates). */
static mote_err start_roster(mote_self *self, mote_term arg, mote_pid *child) {
    struct child c;
    PyObject *spec = mote_host_object(arg, &mp_object_kind);
    const char *name;
    int duplicate;
    if (!spec || child_read(spec, &c) < 0 || !PyArg_ParseTuple(c.function, "zp", &name, &duplicate)) return PyErr_Clear(), MOTE_EARG;
    mote_registry_options options = {.name = name, .duplicate = duplicate != 0};
    return c.kind == REGISTERING ? mote_registry_start_link(self, &options, child) : mote_group_start_link(self, name, child);
}

/* ------------------------------------------------------------------------------------------------ supervisors */

static mote_err start_supervisor(mote_self *self, mote_term arg, mote_pid *child);

/* What a supervisor is started with, in memory of the process that does it: it goes when that is ended meanwhile. */
struct plan {
    mote_supervisor_options options;
    mote_child_spec *specs;
    mote_host_box *boxes;
};

/* A specification for the core; `box` has to live as long. -1: error set. */
static int spec_make(struct mp_state *st, mote_self *self, PyObject *spec, bool extend, mote_host_box *box, mote_child_spec *out) {
    struct child c;
    if (child_read(spec, &c) < 0) return -1;
    *out = (mote_child_spec){.id_term = mp_to_term(st, mote_scratch(self), c.id),
                             .start = c.kind < SUPERVISING ? start_process : c.kind == SUPERVISING ? start_supervisor : start_roster,
                             .arg = mote_host_box_term(box, &mp_object_kind, spec),
                             .restart = (mote_restart)c.restart,
                             .shutdown_ms = c.shutdown_ms,
                             .type = c.kind == SUPERVISING ? MOTE_SUPERVISOR : MOTE_WORKER,
                             .significant = c.significant != 0,
                             .extend = extend};
    return out->id_term.word ? 0 : -1;
}

static void plan_drop(mote_self *self, struct plan *plan) {
    mote_dealloc(self, plan->specs);
    mote_dealloc(self, plan->boxes);
}

/* From (strategy, intensity, period, auto_shutdown, name or None, (specification, ...)). -1: error set, nothing to drop. */
static int plan_make(struct mp_state *st, mote_self *self, PyObject *tuple, struct plan *plan) {
    int strategy, intensity, period, auto_shutdown;
    const char *name;
    PyObject *children;
    memset(plan, 0, sizeof *plan);
    if (!PyArg_ParseTuple(tuple, "iiiizO!:supervisor", &strategy, &intensity, &period, &auto_shutdown, &name, &PyTuple_Type, &children)) return -1;
    size_t count = (size_t)PyTuple_GET_SIZE(children);
    plan->specs = mote_alloc(self, (count + 1) * sizeof *plan->specs);
    plan->boxes = mote_alloc(self, (count + 1) * sizeof *plan->boxes);
    if (!plan->specs || !plan->boxes) PyErr_NoMemory();
    bool extend = strategy == MOTE_SIMPLE_ONE_FOR_ONE;
    for (size_t i = 0; !PyErr_Occurred() && i < count; i++)
        (void)spec_make(st, self, PyTuple_GET_ITEM(children, (Py_ssize_t)i), extend, &plan->boxes[i], &plan->specs[i]);
    plan->options = (mote_supervisor_options){.strategy = (mote_strategy)strategy, .intensity = intensity, .period_s = period, .name = name,
                                              .auto_shutdown = (mote_auto_shutdown)auto_shutdown, .children = plan->specs, .count = count};
    if (!PyErr_Occurred()) return 0;
    plan_drop(self, plan);
    return -1;
}

static mote_err start_supervisor(mote_self *self, mote_term arg, mote_pid *child) {
    struct mp_node *node = mote_host_context(self);
    struct plan plan;
    struct child c;
    mote_term reason = MOTE_TERM_NONE;
    PyObject *spec = mote_host_object(arg, &mp_object_kind);
    if (!spec || child_read(spec, &c) < 0 || plan_make(node->st, self, c.function, &plan) < 0) return PyErr_Clear(), MOTE_EARG;
    mote_err err = mote_supervisor_start_link(self, &plan.options, child, &reason);
    plan_drop(self, &plan);
    return err && reason.word ? mote_child_refuse(self, err, reason) : err;
}

/* supervisor(options) -> (Pid, Ref): {Ref, Code} tells how it went */
static PyObject *py_supervisor(PyObject *module, PyObject *options) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    struct plan plan;
    mote_pid pid;
    mote_ref ref;
    if (!p) return NULL;
    if (!PyTuple_CheckExact(options)) return PyErr_SetString(PyExc_TypeError, "the options of a supervisor are a tuple"), NULL;
    if (plan_make(st, p->self, options, &plan) < 0) return NULL;
    mote_err err = mote_supervisor_spawn_link(p->self, &plan.options, &pid, &ref);
    plan_drop(p->self, &plan);
    if (err) return mp_fail(st, err, "mote.Supervisor");
    PyObject *made = mp_pid_new(st, pid);
    return made ? mp_pid_and_ref(st, made, ref) : NULL;
}

/* ------------------------------------------------------------------------------------------------ one child more */

/* Asks for a child: of a specification, or (None) of that which the supervisor has, with (args, kwargs) of its own or None. -1: error set. */
static int ask(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *spec, PyObject *more, mote_ref *ref) {
    mote_child_spec one;
    mote_host_box box;
    mote_err err;
    if (spec != Py_None) {
        if (spec_make(st, p->self, spec, false, &box, &one) < 0) return -1;
        err = mote_supervisor_ask_child(p->self, to, &one, ref);
    } else if (more != Py_None)
        err = mote_call_start(p->self, to, ref, "{mote, {start_child, ?}}", mote_host_box_term(&box, &mp_object_kind, more));
    else
        err = mote_call_start(p->self, to, ref, "{mote, start_child}");
    return err ? (mp_fail(st, err, "mote.Supervisor.start_child"), -1) : 0;
}

/* (to, specification or None, (args, kwargs) or None, timeout): the request is under way, and what it waits for in *want. NULL: error set. */
static struct mp_proc *ask_from(PyObject *module, PyObject *arguments, bool awaits, struct wanted *want) {
    struct mp_state *st = mp_state_of(module);
    struct mp_proc *p = mp_caller(st);
    PyObject *o, *spec, *more, *timeout;
    mote_term to;
    memset(want, 0, sizeof *want);
    if (!p || !PyArg_ParseTuple(arguments, "OOOO:start_child", &o, &spec, &more, &timeout)) return NULL;
    if (!mp_may_wait(p, awaits)) return PyErr_SetString(PyExc_RuntimeError, "start_child() waits as its process does"), NULL;
    if (mp_deadline_of(timeout, &want->deadline_ns) < 0 || mp_to_of(st, o, &to) < 0 || !(more = mp_share(st, more))) return NULL;
    int asked = ask(st, p, to, spec, more, &want->call);
    Py_DECREF(more);
    want->since = want->call;
    return asked < 0 ? NULL : p;
}

static PyObject *py_start_child(PyObject *module, PyObject *args) {
    struct wanted want;
    struct mp_proc *p = ask_from(module, args, false, &want);
    return p ? mp_receive(p, &want) : NULL;
}

static PyObject *py_aio_start_child(PyObject *module, PyObject *args) {
    struct wanted want;
    return ask_from(module, args, true, &want) ? mp_awaitable(mp_state_of(module), &want) : NULL;
}

/* child(function, args, kwargs) -> (kind, function, args, kwargs, context): how it will be started; the arguments as a message would have them */
static PyObject *py_child(PyObject *module, PyObject *arguments) {
    struct mp_state *st = mp_state_of(module);
    PyObject *function, *args, *kwargs, *context = NULL, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "OO!O!:child", &function, &PyTuple_Type, &args, &PyDict_Type, &kwargs)) return NULL;
    function = mp_flavoured(st, function);
    int flavour = function ? mp_flavour_of(function) : -1;
    if (flavour < 0) return Py_XDECREF(function), NULL;
    args = mp_share(st, args);
    kwargs = args ? mp_share(st, kwargs) : NULL;
    if (kwargs) context = PyThreadState_Get()->context ? PyContext_CopyCurrent() : Py_NewRef(Py_None);
    if (context) result = Py_BuildValue("iOOOO", flavour ? AWAITING : PLAIN, function, args, PyDict_GET_SIZE(kwargs) ? kwargs : Py_None, context);
    Py_XDECREF(context);
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_DECREF(function);
    return result;
}

/* awaits(function) -> whether a process of it is a coroutine */
static PyObject *py_awaits(PyObject *module, PyObject *function) {
    int coroutine = mp_flavour_of(function);
    (void)module;
    return coroutine < 0 ? NULL : PyBool_FromLong(coroutine);
}

/* flavour() -> what the caller is: "coroutine", "function", "thread", or "asyncio", a task in the node's loop */
static PyObject *py_flavour(PyObject *module, PyObject *none) {
    static const char *const names[] = {[COROUTINE] = "coroutine", [FUNCTION] = "function", [THREAD] = "thread", [ASYNCIO] = "asyncio"};
    struct mp_proc *p = mp_caller(mp_state_of(module));
    (void)none;
    return p ? PyUnicode_InternFromString(names[p->green ? FUNCTION : p->flavour]) : NULL;
}

/* err_name(code) -> "MOTE_EBUSY": what the core's small servers answer with */
static PyObject *py_err_name(PyObject *module, PyObject *code) {
    long value = PyLong_AsLong(code);
    (void)module;
    return value == -1 && PyErr_Occurred() ? NULL : PyUnicode_FromString(mote_err_name((mote_err)value));
}

PyMethodDef mp_tree_methods[] = {
    {"supervisor", py_supervisor, METH_O, NULL},
    {"start_child", py_start_child, METH_VARARGS, NULL},
    {"aio_start_child", py_aio_start_child, METH_VARARGS, NULL},
    {"child", py_child, METH_VARARGS, NULL},
    {"err_name", py_err_name, METH_O, NULL},
    {"awaits", py_awaits, METH_O, NULL},
    {"flavour", py_flavour, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
