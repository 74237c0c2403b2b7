/* SPDX-License-Identifier: Apache-2.0
 *
 * Supervisors, as Erlang's: a process that starts others in order, starts them anew when they end in the wrong way, and stops them in
 * reverse order. Trees of them make programs that mend themselves. And applications: a program that is such a tree, and ends in order
 * when it is told to.
 *
 * Who calls these functions waits for the supervisor's answer: they are for straight-line processes and attached threads
 * (MOTE_ECONTEXT in handlers). Handlers have mote_supervisor_spawn_link() and mote_supervisor_ask_child(). `supervisor` is a pid or a name, in any
 * form that MOTE_TO() takes. When the supervisor is not there, or ends before it answers: MOTE_ENOPROC.
 */
#ifndef MOTE_SUPERVISOR_H
#define MOTE_SUPERVISOR_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------- children */

/* When a child that ended by itself is started anew. */
typedef enum mote_restart {
    MOTE_PERMANENT, /* always */
    MOTE_TRANSIENT, /* unless its reason was normal, shutdown or {shutdown, _} */
    MOTE_TEMPORARY  /* never; its specification is forgotten with it */
} mote_restart;

typedef enum mote_child_type { MOTE_WORKER, MOTE_SUPERVISOR } mote_child_type;

/* Values of shutdown_ms besides milliseconds. 0 is the default: 5000 for workers, no limit for supervisors. */
enum {
    MOTE_INFINITY = -1,  /* waits for the child as long as it takes */
    MOTE_BRUTAL_KILL = -2 /* kills it at once; it is not asked */
};

/* Starts a child that is linked with the supervisor (`self`), in the supervisor's process, which waits meanwhile: mote_server_start_link() and the
 * like. `arg` is that of the specification, valid during the call. Gives `child`; left untouched: there is nothing to run, which is
 * no failure (Erlang's ignore). An error is a failure; say more with mote_child_refuse(). */
typedef mote_err (*mote_child_start)(mote_self *self, mote_term arg, mote_pid *child);

/* What a supervisor knows of a child. Set one of `start`, `body`, `handler`; zero elsewhere is the default. */
typedef struct mote_child_spec {
    const char *id;              /* its name among its siblings: an atom; copied */
    mote_term id_term;           /* instead of `id`: any term; copied */
    mote_child_start start;      /* starts it */
    mote_body body;              /* or: the supervisor starts this, linked */
    const mote_handler *handler; /* or this; borrowed for ever */
    mote_term arg;               /* MOTE_TERM_NONE: the empty list; copied */
    mote_restart restart;
    int64_t shutdown_ms;         /* how long it may take to stop: then it is killed */
    mote_child_type type;
    bool significant;            /* its end by itself can end the supervisor: see auto_shutdown. Not for MOTE_PERMANENT */
    bool extend;                 /* for MOTE_SIMPLE_ONE_FOR_ONE: a child's own argument does not replace `arg`, it gets {Arg, Own} */
} mote_child_spec;

/* For a start function that fails: tells the supervisor the reason, and gives `err`: return mote_child_refuse(self, err, reason);
 * Without it the reason is {mote_error, Name of the code}. Copies `reason`. */
MOTE_API MOTE_MUST mote_err mote_child_refuse(mote_self *self, mote_err err, mote_term reason);

/* ---------------------------------------------------------------------------------------- supervisors */

/* Who else is started anew with a child that is. */
typedef enum mote_strategy {
    MOTE_ONE_FOR_ONE,  /* nobody */
    MOTE_ONE_FOR_ALL,  /* all others: they are stopped in reverse order first */
    MOTE_REST_FOR_ONE, /* those that were started after it */
    MOTE_SIMPLE_ONE_FOR_ONE /* nobody; all children are made from one specification, and started by mote_supervisor_start_dynamic() */
} mote_strategy;

/* When significant children end a supervisor, with reason shutdown, by ending themselves without being started anew. */
typedef enum mote_auto_shutdown {
    MOTE_NEVER,
    MOTE_ANY_SIGNIFICANT, /* the first one does */
    MOTE_ALL_SIGNIFICANT  /* the last one does */
} mote_auto_shutdown;

/* For `intensity`: the first restart is too many. */
#define MOTE_NO_RESTARTS (-1)

/* How a supervisor is made. Zero everywhere is the default. */
typedef struct mote_supervisor_options {
    mote_strategy strategy;
    int intensity;   /* restarts allowed within the period; one more, and it stops its children and ends with reason shutdown. 0: 1 */
    int period_s;    /* seconds, a sliding window; 0: 5 */
    mote_auto_shutdown auto_shutdown;
    const char *name; /* registered; NULL: none */
    const mote_child_spec *children; /* started in this order; exactly one for MOTE_SIMPLE_ONE_FOR_ONE, which starts none */
    size_t count;
} mote_supervisor_options;

/* Starts a supervisor that is linked with the caller, its parent: when the parent ends, so does it, with the same reason. Waits until all
 * children run. Copies the options. Gives `supervisor`. MOTE_EARG: options that Erlang's check_childspecs refuses (two children of one id, ...);
 * MOTE_EBUSY: the name is taken; else a child failed to start, with its error: those before it have been stopped in reverse order,
 * the supervisor has ended, and `reason` (may be NULL) is {shutdown, {failed_to_start_child, Id, Reason}}, borrowed until the next receive.
 * MOTE_ENOPROC: it was ended meanwhile, `reason` says why. MOTE_ESELF, MOTE_ECONTEXT, MOTE_ENOMEM, MOTE_ELIMIT, MOTE_ESTOPPED.
 * As supervisor:start_link/2. */
MOTE_API MOTE_MUST mote_err mote_supervisor_start_link(mote_self *self, const mote_supervisor_options *options, mote_pid *supervisor,
                                                       mote_term *reason);

/* The same for handlers and all others: never waits. The answer is a message: {Ref, 0}, its children run (then remove the monitor `ref` by
 * mote_demonitor()); {Ref, Code} with another code, a child failed to start, and after that {'DOWN', Ref, process, Pid, Reason}, with the reason of
 * mote_supervisor_start_link(); or that DOWN alone, it was ended meanwhile. MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM, MOTE_ELIMIT, MOTE_ESTOPPED. */
MOTE_API MOTE_MUST mote_err mote_supervisor_spawn_link(mote_self *self, const mote_supervisor_options *options, mote_pid *supervisor,
                                                       mote_ref *ref);

/* A child of a supervisor may be a supervisor: set this as `start`, type MOTE_SUPERVISOR, and mote_supervisor_arg() as `arg`. */
MOTE_API mote_err mote_supervisor_start(mote_self *self, mote_term arg, mote_pid *supervisor);

/* The options as a term, for mote_supervisor_start(). What they point to (children, and theirs) is borrowed: it must live as long as the
 * tree does; the terms in it must not need an arena that is gone by then. */
MOTE_API mote_term mote_supervisor_arg(mote_arena *arena, const mote_supervisor_options *options);

/* Adds a child and starts it. Copies `spec`. Gives `child` (may be NULL), which names nobody when the start function had nothing to run.
 * MOTE_EBUSY: a child of that id is there, `reason` is {already_started, Pid} or already_present; MOTE_EARG: no good specification, or the strategy
 * is MOTE_SIMPLE_ONE_FOR_ONE; else the error with which it failed to start, and the supervisor forgets the specification. `reason`
 * (may be NULL) is borrowed until the next receive. As supervisor:start_child/2. */
MOTE_API MOTE_MUST mote_err mote_supervisor_start_child(mote_self *self, mote_term supervisor, const mote_child_spec *spec, mote_pid *child,
                                                        mote_term *reason);

/* The same for handlers and all others: never waits, and gives the reference of a mote_call_start(). mote_call_answer() finds the answer:
 * {0, {ok, Child | undefined}}, or {Code, Reason}. mote_call_start(self, supervisor, &ref, "{mote, {start_child, ?}}", arg) asks for one more child of a
 * MOTE_SIMPLE_ONE_FOR_ONE supervisor in the same way. MOTE_ESELF, MOTE_EARG, MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_supervisor_ask_child(mote_self *self, mote_term supervisor, const mote_child_spec *spec, mote_ref *ref);

/* Starts one more child of the specification of a MOTE_SIMPLE_ONE_FOR_ONE supervisor, with `arg` (MOTE_TERM_NONE: that of the specification; see also
 * `extend`); copies it. MOTE_EARG: another strategy. Otherwise as mote_supervisor_start_child(). */
MOTE_API MOTE_MUST mote_err mote_supervisor_start_dynamic(mote_self *self, mote_term supervisor, mote_term arg, mote_pid *child,
                                                          mote_term *reason);

/* Stops a child, by its id (by its pid for MOTE_SIMPLE_ONE_FOR_ONE: MOTE_EARG for an id); its specification stays, except for a temporary one.
 * A child that does not run is no error. MOTE_NOMATCH: no such child. As supervisor:terminate_child/2. */
MOTE_API MOTE_MUST mote_err mote_supervisor_terminate_child(mote_self *self, mote_term supervisor, mote_term id);

/* Starts a child that does not run. MOTE_NOMATCH: no such child; MOTE_EBUSY: it runs or is being restarted; MOTE_EARG: the strategy is
 * MOTE_SIMPLE_ONE_FOR_ONE. Otherwise as mote_supervisor_start_child(), but a failure leaves the specification.
 * As supervisor:restart_child/2. */
MOTE_API MOTE_MUST mote_err mote_supervisor_restart_child(mote_self *self, mote_term supervisor, mote_term id, mote_pid *child,
                                                          mote_term *reason);

/* Forgets the specification of a child that does not run. MOTE_NOMATCH, MOTE_EBUSY, MOTE_EARG as mote_supervisor_restart_child().
 * As supervisor:delete_child/2. */
MOTE_API MOTE_MUST mote_err mote_supervisor_delete_child(mote_self *self, mote_term supervisor, mote_term id);

/* The children: a list of {Id, Pid | undefined | restarting, worker | supervisor, []}, newest first (of a MOTE_SIMPLE_ONE_FOR_ONE in no order, with
 * undefined as Id), borrowed until the next receive. As supervisor:which_children/1. */
MOTE_API MOTE_MUST mote_err mote_supervisor_which_children(mote_self *self, mote_term supervisor, mote_term *children);

typedef struct mote_supervisor_count {
    size_t specs;
    size_t active;      /* children that run */
    size_t supervisors; /* specifications of them; children for MOTE_SIMPLE_ONE_FOR_ONE */
    size_t workers;
    uint64_t restarts;  /* attempts since the supervisor started, of children that ended by themselves (not of their siblings) */
} mote_supervisor_count;

/* How many children there are. As supervisor:count_children/1. */
MOTE_API MOTE_MUST mote_err mote_supervisor_count_children(mote_self *self, mote_term supervisor, mote_supervisor_count *count);

/* The specification of a child by its id or pid; its terms are borrowed until the next receive, `id` is NULL. MOTE_NOMATCH: no such child.
 * As supervisor:get_childspec/2. */
MOTE_API MOTE_MUST mote_err mote_supervisor_get_childspec(mote_self *self, mote_term supervisor, mote_term id, mote_child_spec *spec);

/* Stops a supervisor, whose children are stopped in reverse order first, and waits until it has ended. MOTE_TIMEOUT: not yet, it goes on;
 * MOTE_ENOPROC: it had ended, or ended with another reason. As gen_server:stop/3. */
MOTE_API MOTE_MUST mote_err mote_supervisor_stop(mote_self *self, mote_term supervisor, mote_term reason, int64_t timeout_ms);

/* --------------------------------------------------------------------------------------- applications */

/* A program that is a tree of processes. Set `root` or `start`. */
typedef struct mote_application {
    const mote_supervisor_options *root; /* its supervisor; borrowed for the call */
    mote_child_start start;              /* or: starts it, linked, with the empty list as `arg`; the caller traps exits */
    int64_t stop_ms;                     /* how long an ordered stop may take; 0: 10000, MOTE_INFINITY: no limit */
} mote_application;

/* Runs a program: makes a runtime, starts its root supervisor and waits until that has ended. SIGTERM or SIGINT ends it in order, with
 * reason shutdown. Gives the exit code for main() to return: 0 after an ordered stop, and when the root ended normally or by its
 * auto_shutdown; 1 when it failed to start, gave up or crashed (which is logged); 70 when there is no runtime. A second signal ends the
 * OS process at once, with 128 + its number; an ordered stop that exceeds its limit does so with 124. Both signals are blocked in the
 * calling thread meanwhile, and so in all that are made; call it before others are. Waits. */
MOTE_API int mote_application_run(const mote_options *options, const mote_application *application);

#ifndef __cplusplus
/* The functions take a supervisor in any form. */
#define mote_supervisor_start_child(self, supervisor, spec, child, reason) \
    (mote_supervisor_start_child)(self, MOTE_TO(supervisor), spec, child, reason)
#define mote_supervisor_ask_child(self, supervisor, spec, ref) (mote_supervisor_ask_child)(self, MOTE_TO(supervisor), spec, ref)
#define mote_supervisor_start_dynamic(self, supervisor, arg, child, reason) \
    (mote_supervisor_start_dynamic)(self, MOTE_TO(supervisor), arg, child, reason)
#define mote_supervisor_terminate_child(self, supervisor, id) (mote_supervisor_terminate_child)(self, MOTE_TO(supervisor), MOTE_TO(id))
#define mote_supervisor_restart_child(self, supervisor, id, child, reason) \
    (mote_supervisor_restart_child)(self, MOTE_TO(supervisor), MOTE_TO(id), child, reason)
#define mote_supervisor_delete_child(self, supervisor, id) (mote_supervisor_delete_child)(self, MOTE_TO(supervisor), MOTE_TO(id))
#define mote_supervisor_which_children(self, supervisor, children) (mote_supervisor_which_children)(self, MOTE_TO(supervisor), children)
#define mote_supervisor_count_children(self, supervisor, count) (mote_supervisor_count_children)(self, MOTE_TO(supervisor), count)
#define mote_supervisor_get_childspec(self, supervisor, id, spec) (mote_supervisor_get_childspec)(self, MOTE_TO(supervisor), MOTE_TO(id), spec)
#define mote_supervisor_stop(self, supervisor, reason, timeout_ms) (mote_supervisor_stop)(self, MOTE_TO(supervisor), reason, timeout_ms)
#endif

#ifdef __cplusplus
}
#endif
#endif
