/* SPDX-License-Identifier: Apache-2.0
 * asyncio in a node: coroutine processes may await what asyncio has, asyncio's tasks may await what mote has.
 *
 * The node has an event loop on the scheduler's thread once asyncio is imported. The scheduler sleeps in it, and looks at it every half
 * millisecond while processes run (mote_host_loop). A1 the thread's running loop and current task are those of the coroutine process that runs; in
 * the loop itself they are asyncio's (mp_aio_leave() goes before). A2 a future that a process awaits has the process's Task as its only callback of
 * ours, and the Task has the future; both let go when it is done, or the process ends. A3 what runs in the loop acts for mote as a process
 * of its own, and ends the loop's turn soon, so that those it woke may run.
 * All functions: with the GIL, on the scheduler's thread.
 */
#ifndef MP_AIO_H
#define MP_AIO_H

#include "process.h"

/* What asyncio takes for the current task while a coroutine process runs, for whom it can be cancelled; and the callback of what it awaits. */
struct mp_task {
    PyObject_HEAD
    struct mp_proc *p;     /* NULL: it has ended */
    PyObject *future;      /* what it awaits, or NULL */
    PyObject *message;     /* of the last cancel(), or NULL */
    PyObject *callbacks;   /* of add_done_callback(): a list, or NULL */
    PyObject *weakrefs;
    uint64_t clean_until_ns; /* told of its end, it may await until then */
    int cancelling;        /* cancel() less uncancel() */
    bool ready;            /* `future` is done, or there was nothing to wait for */
    bool must_cancel;      /* CancelledError is due where it waits */
};

#define MP_CLEAN_NS UINT64_C(5000000000) /* so long a process that is told of its end may await asyncio's things, to clean up */

/* Makes types; once for a module. -1: error set. */
int mp_aio_init(struct mp_state *st);
/* A coroutine process is about to run (A1). The loop is made at the first time. */
void mp_aio_enter(struct mp_proc *p);
/* It has run. Only processes whose task somebody knows get one of their own; all others share one that is theirs while they run. */
void mp_aio_left(struct mp_proc *p);
/* A function is about to run: it has no loop. */
void mp_aio_leave(struct mp_node *node);
/* It has yielded something that is not mote's: 0: it waits for it; -1: error set, to be thrown into it. Borrows `yielded`. */
int mp_aio_yielded(struct mp_proc *p, PyObject *yielded);
/* CancelledError when one is due, else NULL. Gives. */
PyObject *mp_aio_cancelled(struct mp_proc *p);
/* The process has ended: whoever watches its task is told. */
void mp_aio_ended(struct mp_proc *p);
/* What was awaited is not any more: cancels it. Takes; may be NULL. */
void mp_aio_drop(PyObject *future);
/* ProcessExit that asyncio takes for a cancellation. Borrowed; NULL: error set. */
PyObject *mp_aio_exit_class(struct mp_node *node);
/* Who calls mote out of the loop; NULL: error set. */
struct mp_proc *mp_aio_caller(struct mp_node *node);
/* For an awaitable of mote's awaited by asyncio: an iterator that waits in asyncio's way. Gives; NULL: error set. */
PyObject *mp_aio_await(struct mp_state *st, PyObject *awaitable);

/* Of mote_host_loop. */
bool mp_aio_waits(void *node, unsigned scheduler);
void mp_aio_wait(void *node, unsigned scheduler, int fd, uint64_t timeout_ns);
void mp_aio_look(void *node, unsigned scheduler);
/* The scheduler's thread ends. */
void mp_aio_close(struct mp_node *node);

extern PyMethodDef mp_aio_methods[];

#endif
