/* SPDX-License-Identifier: Apache-2.0
 * Hosting: for an interpreter whose programs run as mote's processes. Python's extension is written on this header.
 *
 * A *hosted* process is one of the three bodies of mote.h with two differences, because the host has frames of its own to unwind and a state of
 * its own to switch:
 * - It is told of its end instead of being dropped: when an exit signal that it does not trap has come, every call that receives or waits gives
 *   MOTE_EEXIT, mote_host_exit_reason() says why, and it ends itself soon, by returning or mote_exit(), with that reason whatever it gives.
 * - Others run only while it waits: in mote_host_wait(), mote_yield(), mote_sleep() and the like. A call that sends or starts never switches;
 *   mote_host_turn_over() says when a yield is due. A sender that a full mailbox makes stand still does so in its next wait or yield.
 * Everything else (links, monitors, names, limits, signals' order) is as for all processes.
 */
#ifndef MOTE_HOST_H
#define MOTE_HOST_H

#include <mote/external.h>
#include <mote/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------- objects */

struct mote_writer; /* external.h */

/* What the host's objects need in messages. Both are called by the threads of the runtime, and by attached threads. */
typedef struct mote_host_kind {
    const char *name;            /* for printing: #Name<address> */
    void (*hold)(void *object);  /* one more message refers to it */
    void (*drop)(void *object);  /* one less */
    /* Puts the object into a message to another worker or node, as one term of the writer's form (external.h; not Erlang's); false: it cannot be, and the writer has failed. NULL: none can. */
    bool (*encode)(void *object, struct mote_writer *writer);
} mote_host_kind;

/* Memory for a term that stands for an object; the term is valid while this is. */
typedef struct mote_host_box {
    uint64_t word[3];
} mote_host_box;

/* A term for an object: immutable as all terms, opaque to C, equal to itself only. It may stand within others. Borrows `box` and `object`
 * (each copy, as in a message, holds the object once); `kind` is borrowed for ever. Cannot fail. */
MOTE_API mote_term mote_host_box_term(mote_host_box *box, const mote_host_kind *kind, void *object);

/* The object of such a term, borrowed from it; NULL: the term is none of this kind. */
MOTE_API void *mote_host_object(mote_term term, const mote_host_kind *kind);

/* How the handles in a message become big binaries, while `decode` reads it (below): gives a use of the one that the bytes of a handle, at their place in the message,
 * stand for. MOTE_ETERM: they stand for none; MOTE_ENOMEM. */
typedef struct mote_host_blobs {
    mote_err (*take)(void *context, mote_bytes handle, mote_blob **blob);
    void *context;
} mote_host_blobs;

/* ---------------------------------------------------------------------------------------------------- loop */

/* Around the schedulers' work, on the thread of each: a host takes its lock while processes run and gives it up while there are none. Without
 * processes to run, signals to descriptors and timers are looked at between `idle` and `busy`. Members may be NULL. */
typedef struct mote_host_loop {
    void *context;
    void (*enter)(void *context, unsigned scheduler); /* the thread has begun; before anything runs on it */
    void (*idle)(void *context, unsigned scheduler);  /* nothing to run: it is about to look around, and to sleep */
    void (*busy)(void *context, unsigned scheduler);  /* after that */
    void (*leave)(void *context, unsigned scheduler); /* the thread ends */
    /* For a host with an event loop of its own, on a runtime with one scheduler; all three or none. While `waits` says so, the scheduler sleeps in
     * `wait`, between idle and busy: it runs that loop, and returns when `fd` is readable, after `timeout_ns` (UINT64_MAX: no limit) at the latest,
     * and soon after what the loop ran has sent or nudged. While processes run, `look` is called every half millisecond, to run what the
     * loop has ready without waiting. Both may act as a process they have nudged: see mote_host_nudge(). */
    bool (*waits)(void *context, unsigned scheduler);
    void (*wait)(void *context, unsigned scheduler, int fd, uint64_t timeout_ns);
    void (*look)(void *context, unsigned scheduler);
    /* Turns that last. Both are called on a thread of the runtime's own, which may wait for the host's lock; by the time it has that another turn may
     * be under way, see mote_host_turn(). */
    unsigned held_ms; /* a turn that has run, or been blocked, for so long is held; 0: 100 */
    bool (*held)(void *context, unsigned scheduler, uint64_t turn, uint64_t held_ns, bool blocked); /* instead of the log. `blocked`: in the system, maybe
                                                                                                       for the host's lock; false: once more, later */
    /* What another worker (MOTE_FORM_MOTE) or node (MOTE_FORM_NODES, `blobs` NULL) has sent to a hosted process: makes an object of the kind `decoded` from the term that the bytes begin
     * with. Gives it, held once, and the number of bytes in `used`; NULL: they are no term. It may read them more than once. On a scheduler's thread, between `busy` and `idle`. NULL: such processes get terms. */
    void *(*decode)(void *context, mote_form form, mote_bytes bytes, const mote_host_blobs *blobs, size_t *used);
    const mote_host_kind *decoded;
    bool (*unheard)(void *context, unsigned scheduler, uint64_t turn); /* signals have come in a turn that has lasted 10 ms; true: every 10 ms from now
                                                                          on, though no more come */
} mote_host_loop;

/* ----------------------------------------------------------------------------------------------- processes */

/* A hosted process is a `body` started with `hosted` in its options, or a handler with `resume` instead of `handle`. `resume` is called when the
 * process begins, whenever something new has come or its alarm is due, and after mote_yield(); also without a reason. It receives with a limit of 0,
 * looks at every message it may want, and returns to wait for more. */

/* Makes the calling OS thread a hosted process: mote_attach(), but exit signals count, and its waits give MOTE_EEXIT. */
MOTE_API MOTE_MUST mote_err mote_host_attach(mote_runtime *runtime, mote_self **self);

/* Waits until something new has come (a message, or the end), or `timeout_ms` are over (-1: without limit). Messages stay where they are:
 * receive with a limit of 0, and wait again. MOTE_TIMEOUT, MOTE_EEXIT, MOTE_ESELF, MOTE_ECONTEXT (not hosted, a handler, or ending), MOTE_EARG,
 * MOTE_ENOMEM, MOTE_ESTOPPED. May switch. */
MOTE_API MOTE_MUST mote_err mote_host_wait(mote_self *self, int64_t timeout_ms);

/* For a handler with `resume`: it is resumed after `ms` at the latest, without a message; earlier is possible. MOTE_ESELF, MOTE_EARG,
 * MOTE_ECONTEXT (no such handler), MOTE_ENOMEM. Never waits. */
MOTE_API MOTE_MUST mote_err mote_host_wake_after(mote_self *self, int64_t ms);

/* Resumes a handler with `resume`, soon, also when nothing has come. For the thread of its scheduler, while the process exists; it need not be the one
 * that runs. Between two turns (in the host's `wait` and `look`) that thread may then act as the process until it returns: it may call all that
 * does not wait. MOTE_ESELF, MOTE_ECONTEXT (no such handler). Never waits. */
MOTE_API mote_err mote_host_nudge(mote_self *self);

/* For an attached thread with an event loop of its own, instead of a wait: when something new has come, `fd` (an eventfd) is written to, once;
 * to wait takes that back. MOTE_OK: nothing has come so far; MOTE_NOMATCH: something may be there to be looked at (a receive with a limit of 0
 * has not said MOTE_TIMEOUT since), and `fd` will not be written to. mote_host_unwatch() ends it: then nobody writes any more. MOTE_ESELF,
 * MOTE_ECONTEXT (no attached thread), MOTE_EARG, MOTE_EEXIT, MOTE_ESTOPPED. Never waits. */
MOTE_API MOTE_MUST mote_err mote_host_watch(mote_self *self, int fd);
MOTE_API mote_err mote_host_unwatch(mote_self *self);

/* mote_receive_if() with a limit of 0 that need not look at messages older than the reference `since`, which the process has made, if it is the
 * newest that it made (0: at all): what is wanted can only have come later. Errors as there. */
MOTE_API MOTE_MUST mote_err mote_host_receive(mote_self *self, mote_ref since, bool (*wanted)(mote_term message, void *context), void *context,
                                              mote_term *message);

/* A question about a process, for those who cannot wait in mote_process_info_get() and mote_is_alive(): a handler with `resume`, or a thread that
 * watches. It is answered as there, after everything this process has sent before; then the handler is resumed, or the descriptor of
 * mote_host_watch() written to. */
typedef struct mote_host_question mote_host_question;

/* Asks. Gives `question`, which mote_host_question_drop() takes. MOTE_ESELF, MOTE_ECONTEXT (neither of them), MOTE_EARG, MOTE_ENOMEM. Never waits. */
MOTE_API MOTE_MUST mote_err mote_host_ask(mote_self *self, mote_pid pid, mote_host_question **question);

/* The answer, again and again once it is there: `info`, or MOTE_ENOPROC: the process has ended. MOTE_TIMEOUT: there is none yet. MOTE_EARG. */
MOTE_API MOTE_MUST mote_err mote_host_answer(mote_host_question *question, mote_process_info *info);

/* Gives a question up, answered or not. Takes `question`; NULL is allowed. Any thread. */
MOTE_API void mote_host_question_drop(mote_host_question *question);

/* mote_send_term() of a box, but the message takes the hold that the caller has over: nothing is held or dropped on the way. Takes `object`, whatever
 * it gives. Errors as there; never waits. */
MOTE_API MOTE_MUST mote_err mote_host_send(mote_self *self, mote_term to, const mote_host_kind *kind, void *object);

/* The other end of it: the object that the message last received is, with the message's hold, and frees the message. NULL: the message is no object
 * of this kind, and stays. Gives. */
MOTE_API void *mote_host_take(mote_self *self, const mote_host_kind *kind);

/* mote_receive() with a limit of 0 and mote_host_take(), in one: `object` is NULL when the message is none, see mote_message(). Errors as those of
 * mote_receive(); gives `object`. */
MOTE_API MOTE_MUST mote_err mote_host_next(mote_self *self, const mote_host_kind *kind, void **object);

/* Whether what is sent to this pid, name or alias now gets to a hosted process, which understands objects. */
MOTE_API bool mote_host_takes(mote_self *self, mote_term to);

/* Whether what is sent to this pid, name or alias goes to another worker or node: then an object need not be made sharable, but is encoded, for mote_host_send_encoded(). */
MOTE_API bool mote_host_is_far(mote_self *self, mote_term to);

/* What mote_send_opt() would say with these `options` before it sends: MOTE_OK, MOTE_EFULL, MOTE_ENOPROC; its other errors. A hint: it may be otherwise since. */
MOTE_API MOTE_MUST mote_err mote_host_in_the_way(mote_self *self, mote_term to, unsigned options);

/* A message to another worker or node while it is encoded. */
typedef struct mote_parcel {
    uint64_t pid, alias; /* of the receiver */
    mote_self *self;
    mote_form form;      /* in which it is to be encoded */
    void *load;          /* its big binaries */
} mote_parcel;

/* Begins a message to a pid, name or alias of another worker or node, whose other calls are of the same process: mote_host_send_encoded() or mote_parcel_drop() ends it. Errors as mote_send_term();
 * MOTE_ENOPROC: it is this worker's own. */
MOTE_API MOTE_MUST mote_err mote_parcel_begin(mote_self *self, mote_term to, mote_parcel *parcel);

/* A big binary in it: gives the size of a handle, which is put into `handle` (255 bytes), to be written instead; 0: the bytes shall be written. Copies, unless the bytes are a blob's
 * (worker.h). */
MOTE_API size_t mote_parcel_blob(mote_parcel *parcel, const void *data, size_t size, uint8_t *handle);

/* For other nodes, whose forms have no handles: leaves the bytes of a big binary out, which belong behind the first `at` that are written; of several the first one first. They do not change until
 * `release`(data, context) is called, on any thread of the runtime's. False: the bytes shall be written, and nothing was taken. */
MOTE_API bool mote_parcel_leave(mote_parcel *parcel, size_t at, const void *data, size_t size, void (*release)(void *data, void *context), void *context);

/* It is not sent. Takes. */
MOTE_API void mote_parcel_drop(mote_parcel *parcel);

/* Sends it: one term of the parcel's form. Copies. Takes the parcel. As mote_send_term() from here on. */
MOTE_API void mote_host_send_encoded(mote_parcel *parcel, const void *term, size_t size);

/* Whether an exit signal ends the process; gives its reason (may be NULL), borrowed until it has ended. */
MOTE_API bool mote_host_exit_reason(mote_self *self, mote_term *reason);

/* Applies the signals that have come, as receiving does, and says whether one of them ends the process. Never waits, never switches. */
MOTE_API bool mote_host_look(mote_self *self);

/* The same without applying them, for a thread that is not the process's own while the host's lock keeps that one from calling mote: whether the
 * process ends as soon as it looks. */
MOTE_API bool mote_host_ends(mote_self *self);

/* The name of a process: the one it is registered under, else the one it was started with, else none. Cut to `size` bytes, with the 0 at its end.
 * Called as mote_host_ends() is, or by the process. */
MOTE_API void mote_host_name(mote_self *self, char *name, size_t size);

/* The number of the turn that a scheduler is in or was in last; it changes with each. 0: there is no such scheduler. */
MOTE_API uint64_t mote_host_turn(mote_runtime *runtime, unsigned scheduler);

/* The host has told of the process's end itself: the log need not. */
MOTE_API void mote_host_told(mote_self *self);

/* Whether the process has used up its turn, in reductions or by the clock (some milliseconds), and shall yield (a handler: return). */
MOTE_API bool mote_host_turn_over(mote_self *self);

/* The runtime's name as a node, its creation and what hides its references (may be NULL; the key is borrowed while the runtime lives): what stands in its pids and references when other nodes read them.
 * Word 0, NULL: it is none, see mote/node.h. Any thread. */
MOTE_API mote_atom mote_host_node(const mote_runtime *runtime, uint32_t *creation, const mote_ref_key **key);

/* The `context` of the runtime's host loop; NULL: it has none. */
MOTE_API void *mote_host_context(mote_self *self);

/* Frees the message last received now, not at the next receive. */
MOTE_API void mote_host_message_drop(mote_self *self);

/* Bytes of the calling straight-line process's stack, without the head; 0: it has none. */
MOTE_API size_t mote_host_stack_size(mote_self *self);

/* The lowest byte of the `stack_head` bytes above the calling straight-line process's stack. NULL: it has none. */
MOTE_API void *mote_host_stack_head(mote_self *self);

#ifdef __cplusplus
}
#endif

#endif
