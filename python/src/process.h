/* SPDX-License-Identifier: Apache-2.0
 * Inside process.c, control.c, node.c and watch.c: a Python process, and what a call on its behalf needs.
 *
 * Who calls: on the scheduler's thread the process that runs (node->current), else the thread's own process, attached at its first call. A flow
 * that waits leaves the thread state as it found it (mp_leave), so whoever runs next finds the scheduler's own; M5: between two flows the thread
 * state is always that one. All functions: with the GIL.
 */
#ifndef MP_PROCESS_H
#define MP_PROCESS_H

#include "compat.h"
#include "frames.h"
#include "mp.h"

#include <mote/external.h>
#include <mote/server.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum flavour { COROUTINE, FUNCTION, THREAD, ASYNCIO /* what runs in the node's event loop */ };

/* What is waited for instead of a message. */
enum instead { A_MESSAGE, NOTHING, AN_ANSWER, KNOWN };

/* What a receive wants, while it waits. All but the awaitable's are on the waiting flow's stack. */
struct wanted {
    PyObject *pattern;  /* a Pattern, or NULL: anything; owned by the awaitable or the caller */
    PyObject *handler;  /* a function, or NULL */
    PyObject *fallback; /* what a time-out gives, or NULL: TimeoutError */
    uint64_t deadline_ns; /* UINT64_MAX: never */
    mote_ref since;     /* see mote_host_receive() */
    mote_ref call;      /* not 0: the answer of this call, or that its server is gone, instead of pattern and handler */
    mote_ref ref;       /* not 0: the pattern's, see mp_pattern_ref() */
    union { /* owned as `pattern` is */
        mote_host_question *question; /* AN_ANSWER */
        PyObject *known;              /* KNOWN: it need not be waited for */
    };
    uint8_t instead;    /* enum instead */
    bool yields;        /* NOTHING, in a coroutine: others run once, though the time is up */
    bool lives;         /* AN_ANSWER: whether it lives is the question, not what is known of it */
};

/* How far a search has got: messages older than `since` (0: want->since) were looked at in vain; `any`: others too, since the last wait. */
struct seen {
    mote_ref since;
    bool any;
};

struct receive;

struct mp_proc {
    mote_self *self;
    struct mp_node *node;
    uint8_t flavour;          /* enum flavour */
    bool searching;           /* a pattern or handler looks at its messages */
    bool told : 1;            /* it has got its ProcessExit */
    bool may_hold : 1;        /* it runs what takes long, on purpose: no hog */
    bool green : 1;           /* COROUTINE: of a function that runs on a greenlet, and waits through mote._greenlets */
    uint8_t tellings;         /* how often; FUNCTION: or has waited since */
    uint32_t told_ms;         /* when, last */
    PyObject *pid;            /* its Pid, or NULL: not made yet */
    PyObject *coroutine;      /* COROUTINE */
    PyObject *context;        /* COROUTINE: contextvars, or NULL */
    struct receive *awaited;  /* COROUTINE: what it waits in, borrowed from its frame, or NULL */
    struct mp_task *task;     /* COROUTINE: where asyncio is used, or NULL */
    PyObject *value;          /* COROUTINE: what came for `awaited`, or NULL */
    struct mp_frames frames;  /* FUNCTION: while it waits; from here on, no part of a coroutine's state */
    PyObject *function;       /* FUNCTION: borrowed from what it was started with */
    pid_t program;            /* THREAD: where it was attached; the child of a fork leaves it alone, */
    pthread_t thread;         /* and so does another thread, at the interpreter's end */
};

/* asyncio in a node: see aio.h. NULLs until it is used. */
struct mp_aio {
    PyObject *driver, *loop;  /* mote._asyncio.Driver, and its event loop */
    PyObject *task_class, *exit_class;
    PyObject *set_running, *current; /* asyncio's function for the running loop; its table of current tasks, from 3.14 on a function */
    struct mp_proc *process;  /* of what runs in the loop; NULL: it has not begun, or has ended */
    mote_pid pid;             /* its; word 0: there was never one */
    struct mp_task *here;     /* the task of a process that has none of its own, while it runs; or NULL */
    struct mp_task *shown;    /* what asyncio takes for the current one; borrowed, or NULL */
    bool running;             /* the thread's running loop is `loop` */
    bool within, told;        /* the loop runs; it has been told to stop */
};

struct mp_node {
    struct mp_state *st;
    mote_runtime *rt;
    mote_host_loop loop;
    PyInterpreterState *interp;
    PyThreadState *ts;        /* of the scheduler's thread */
    struct mp_proc *current;  /* the Python process that runs there, or NULL */
    unsigned attention;       /* what to look at before another flow runs there: MP_THROWN, MP_FORKED */
    bool started;             /* rt is there */
    bool stopping;            /* nobody new may attach */
    bool force;               /* who is told of its end now is ended as it stands */
    struct mp_frames base;    /* the thread state between flows, while one runs */
    struct mp_frames bare;    /* the same before the first */
    mote_atom name;           /* as one of a cluster's, held; word 0: it has none, or has not been asked for it. See net.c */
    uint32_t creation;
    mote_ref_key ref_key;     /* of its references, where it has a name */
    PyObject *key;            /* of its processes in the threads' dictionaries: a number no other node has */
    size_t number;            /* that one */
    unsigned users;           /* itself, and each attached thread */
    uint64_t hogs;            /* turns that were reported */
    uint64_t quick_turn;      /* a turn that is blocked, and how often in a row the GIL was to be had meanwhile: see mp_watch_held() */
    unsigned quick;
    uint64_t told_since_ns;   /* ends that were told of, see may_tell() */
    unsigned told, missed;
    _Atomic bool gone;        /* it was left behind: nothing of Python is touched any more */
    struct mp_aio aio;
    bool spare_cores;         /* const: there is more than one */
    /* Hints for who wants the interpreter's lock: see mp_lock_soon(). Relaxed. */
    _Atomic int scheduler_holds; /* the scheduler's thread has it */
    _Atomic int thread_holds;    /* a thread that waited for a message has it, and may soon wait again */
};
#define MP_THROWN 1u /* an exception is under way to `current` */
#define MP_FORKED 2u /* this is the child of a fork */

/* Whether it waits by `await`. */
static inline bool mp_awaits(const struct mp_proc *p) { return (p->flavour == COROUTINE && !p->green) || p->flavour == ASYNCIO; }

/* Before the interpreter's lock is taken: waits a little as long as its holder, who is likely to give it up in a moment, has it. */
void mp_lock_soon(const struct mp_node *node, const _Atomic int *holder);
/* The calling process; NULL: error set. A node is started if there is none. */
struct mp_proc *mp_caller_slow(struct mp_state *st);
static inline struct mp_proc *mp_caller(struct mp_state *st) {
    struct mp_node *node = st->node;
    bool runs = node && node->current && !node->attention && PyThreadState_Get() == node->ts;
    return runs ? node->current : mp_caller_slow(st);
}
/* Whether a node may be started; else an error is set that says why not. */
bool mp_may_start(struct mp_state *st);
/* Raises what a core's error means, "doing: text (NAME)"; gives NULL. */
PyObject *mp_fail(struct mp_state *st, mote_err err, const char *doing);
/* Raises ProcessExit with the reason of the signal that ends this process; gives NULL. */
PyObject *mp_raise_exit(struct mp_proc *p);
/* A flow gives the thread state back, and takes it again (M5): around every call of the core that may switch. */
void mp_leave(struct mp_proc *p);
void mp_enter(struct mp_proc *p);
/* A function or a thread lets others run; a function when it has used up its turn. -1: an exit signal has come, ProcessExit is set. */
int mp_yield(struct mp_proc *p);
int mp_turn_over(struct mp_proc *p);
static inline int mp_let_others(struct mp_proc *p) {
    return p->flavour == FUNCTION && mote_host_turn_over(p->self) ? mp_turn_over(p) : 0;
}
/* A Pid, and nothing else. -1: error set. */
int mp_pid_from(struct mp_state *st, PyObject *o, mote_pid *pid);
/* The same of this node alone: what `doing` does is done where the process is. */
int mp_own_pid_from(struct mp_state *st, PyObject *o, const char *doing, mote_pid *pid);
/* A Pid, a name or (name, node) as a process; also a Ref (an alias) as a destination. The term is valid until the caller receives, or
 * asks for the next. -1: error set. */
int mp_process_of(struct mp_state *st, PyObject *process, mote_term *term);
int mp_to_of(struct mp_state *st, PyObject *to, mote_term *term);
/* A value as its receiver takes it: shared with Python's processes, encoded for all others. -1: error set, nothing to drop. */
struct mp_outgoing {
    mote_term term;
    mote_host_box box;
    PyObject *shared;  /* or */
    mote_arena *arena; /* where the term lies */
};
/* Whether a message gets there as an object: here as it is, to another worker or node encoded. */
bool mp_takes(struct mp_proc *p, mote_term to);
/* Whether it is of another node, or of an earlier life of this one. */
bool mp_is_abroad(struct mp_proc *p, mote_term to);
int mp_outgoing(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *value, struct mp_outgoing *out);
/* The same, always encoded. */
int mp_encoded(struct mp_state *st, PyObject *value, struct mp_outgoing *out);
void mp_outgoing_drop(struct mp_outgoing *out);
/* (pid, ref), taking pid; ref is made. NULL: error set. */
PyObject *mp_pid_and_ref(struct mp_state *st, PyObject *pid, mote_ref ref);
/* A name as an atom; `needed` says what else would do. -1: error set. */
int mp_name_of(PyObject *name, const char *needed, mote_term *term);
/* Sends what is shared already to a hosted process. -1: error set. */
int mp_send_shared(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message);
/* Sends to a process of another worker. -1: error set. See worker.c, as for the next two, which are the core's to call: mote_host_kind.encode, mote_host_loop.decode. */
int mp_far_send(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message);
bool mp_far_encode(void *object, mote_writer *writer);
void *mp_far_decode(void *context, mote_form form, mote_bytes bytes, const mote_host_blobs *blobs, size_t *used);
/* Sends; shares or encodes, as the receiver needs. -1: error set. */
int mp_send(struct mp_state *st, struct mp_proc *p, mote_term to, PyObject *message);
/* A message as a value: objects, Down and ExitSignal, other terms. Gives; NULL: error set. */
PyObject *mp_value_of(struct mp_state *st, mote_term message);
/* The calling process's Pid. Gives. */
PyObject *mp_pid_of(struct mp_proc *p);
/* Seconds (None: for ever) to a deadline; -1: error set. And that to milliseconds from now; -1: for ever. */
int mp_deadline_of(PyObject *timeout, uint64_t *deadline_ns);
int64_t mp_ms_until(uint64_t deadline_ns);
/* A receive of a function or a thread; gives. And an awaitable for one in a coroutine; takes what `want` owns. */
PyObject *mp_receive(struct mp_proc *p, const struct wanted *want);
PyObject *mp_awaitable(struct mp_state *st, const struct wanted *want);
/* What an awaitable (taken; NULL: an error is set) gives, for a function on a greenlet. */
PyObject *mp_await_green(PyObject *awaitable);
/* What the answer to a question about a process means; gives. NULL: error set. See look.c. */
PyObject *mp_answer_value(struct mp_state *st, bool lives, mote_err err, const mote_process_info *info);
/* Whether it imports the program's main module for a worker, which must not run as the program; then RuntimeError is set. */
bool mp_is_loading(struct mp_state *st, struct mp_proc *p);
/* Starts a process of f, args, kwargs (may be NULL) as `how` says; gives its Pid. */
PyObject *mp_spawn(struct mp_state *st, struct mp_proc *p, PyObject *function, PyObject *args, PyObject *kwargs, mote_spawn_options *how);

/* A function (the context) that another node has started or called: mote_function.call. On a stack of its own. */
mote_term mp_exported_call(mote_self *self, size_t count, const mote_term *args, void *context);

/* Asks: sends (head, (caller, alias), request), and sets what the answer is known by in `want`. `to`: a Pid, a Ref or a name. -1: error set. */
int mp_call_start(struct mp_state *st, struct mp_proc *p, PyObject *to, PyObject *head, PyObject *request, struct wanted *want);
int mp_cast(struct mp_state *st, struct mp_proc *p, PyObject *to, PyObject *message);
/* Whether it waits by `await` (a coroutine, or a task of asyncio's in whatever thread), or without (a function, a thread). */
bool mp_may_wait(const struct mp_proc *p, bool awaits);
/* Whether a function starts a coroutine; -1: error set, it cannot be a process. */
int mp_flavour_of(PyObject *function);
/* The function, or where functions need greenlets the coroutine function that runs it. Gives; NULL: error set. */
PyObject *mp_flavoured(struct mp_state *st, PyObject *function);
/* Says so in the options of a spawn. */
void mp_spawn_as(mote_spawn_options *how, bool coroutine);

/* tree.c: what a supervisor's child runs, called in its first turn with `arg`; gives what it returns, or a coroutine. NULL: error set. */
PyObject *mp_child_call(struct mp_state *st, mote_term arg);
extern PyMethodDef mp_tree_methods[];

/* ------------------------------------------------------------------------------------------------ watch.c, node.c */

uint64_t mp_now_ns(void);
/* What host and core report: mote_host_loop's members, and mote_options' log. Any thread. */
bool mp_watch_held(void *context, unsigned scheduler, uint64_t turn, uint64_t held_ns, bool blocked);
bool mp_watch_unheard(void *context, unsigned scheduler, uint64_t turn);
void mp_node_log(void *context, mote_log_level level, const char *text);
/* Tells of an end that nobody has planned: its reason, and the exception that was not caught, or NULL. */
void mp_tell_end(struct mp_proc *p, PyObject *reason, PyObject *error);
/* Throws its ProcessExit at the process that runs, if an exit signal ends that and it was not told just now; whether one does. By another thread. */
bool mp_throw(struct mp_node *node);
/* The process gets its ProcessExit: by what it called, or thrown. */
void mp_is_told(struct mp_proc *p);
/* Whether it has had time to clean up since. */
bool mp_had_time(const struct mp_proc *p);
/* Takes it back: before another flow may run. */
void mp_withdraw(struct mp_node *node);
/* Ends the OS process at the end of a flow that has forked; the exception that is set says how. */
MOTE_NORETURN void mp_child_ends(void);
/* Ends the process that runs without unwinding it: what its frames hold is lost, the one exception to M3. */
MOTE_NORETURN void mp_end_as_it_stands(struct mp_proc *p);
/* Tells of the process that runs and could not be ended. */
void mp_tell_left(struct mp_node *node);
/* The process of the calling thread, not the scheduler's, if it has one. */
struct mp_proc *mp_thread_known(struct mp_node *node);
/* Stops a thread for ever that would go on into an interpreter that ends. Without the GIL. */
MOTE_NORETURN void mp_freeze(void);
extern PyMethodDef mp_control_methods[], mp_look_methods[], mp_net_methods[], mp_node_methods[], mp_together_methods[], mp_watch_methods[], mp_worker_methods[];

int mp_server_init(struct mp_state *st);

#endif
