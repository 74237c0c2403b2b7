/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls, and servers as Erlang's gen_server: a process without a stack that keeps a state and answers requests, one at a time.
 * Messages are Erlang's: {'$gen_call', From, Request}, {'$gen_cast', Message}, {system, From, Request}, {Tag, Reply}.
 */
#ifndef MOTE_SERVER_H
#define MOTE_SERVER_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------- calls */

/* Asks a process and waits for its reply: sends {'$gen_call', {Self, [alias|Ref]}, Request}, for which it answers with mote_reply().
 * `to`: a pid, a name, {Name, Node} or an alias (its process is then not watched: only the time limit ends the wait). `reply` is borrowed
 * until the next receive. MOTE_TIMEOUT: no reply in time; a late one never reaches the mailbox. MOTE_ENOPROC: the process had ended, or
 * ended before it replied, or nobody has the name; then `reply` is the reason (noproc if it had ended). MOTE_EBUSY: it would ask itself.
 * May switch. MOTE_ESELF, MOTE_ECONTEXT (in a handler), MOTE_EARG, MOTE_ETERM, MOTE_ENOMEM, MOTE_EFULL, MOTE_ESTOPPED. As
 * gen_server:call/3. */
MOTE_API MOTE_MUST mote_err mote_call_term(mote_self *self, mote_term to, int64_t timeout_ms, mote_term request, mote_term *reply);

/* Asks a process and does not wait, for handlers and for several calls at once. The answer comes as a message, {[alias|Ref], Reply} or
 * {'DOWN', Ref, process, _, Reason}, once; mote_call_answer() takes it apart. Gives `ref`. An alias as `to` is not watched.
 * MOTE_ESELF, MOTE_EARG, MOTE_ETERM, MOTE_ENOMEM, MOTE_EFULL. As gen_server:send_request/2. */
MOTE_API MOTE_MUST mote_err mote_call_start_term(mote_self *self, mote_term to, mote_term request, mote_ref *ref);

/* Whether a message is the answer to a call that was started: MOTE_OK: `reply` is the reply; MOTE_ENOPROC: the process has ended, and
 * `reply` is the reason; MOTE_NOMATCH: it is another message. `reply` is borrowed from the message. As gen_server:check_response/2. */
MOTE_API MOTE_MUST mote_err mote_call_answer(mote_term message, mote_ref ref, mote_term *reply);

/* Gives a call up: no answer arrives after this, except a reply that is in the mailbox already. Unknown ones are no error. MOTE_ESELF,
 * MOTE_ENOMEM. */
MOTE_API mote_err mote_call_cancel(mote_self *self, mote_ref ref);

/* Sends {'$gen_cast', Message}, which nobody answers. As mote_send_term(), and as gen_server:cast/2. */
MOTE_API mote_err mote_cast_term(mote_self *self, mote_term to, mote_term message);

/* Answers a call: `from` is {Pid, Tag} as the request brought it. Sends {Tag, Reply}, through the alias if the tag has one, else to the
 * pid. May be done later, and by another process. MOTE_ESELF, MOTE_ETERM, MOTE_ENOMEM, MOTE_EFULL. As gen_server:reply/2. */
MOTE_API mote_err mote_reply_term(mote_self *self, mote_term from, mote_term reply);

#ifndef __cplusplus
/* Builds a request and asks: mote_call(self, to, 5000, &reply, "{add, ?}", n); `to` in any form, at most 14 arguments. As
 * mote_call_term() and mote_build(). */
#define mote_call(self, to, timeout_ms, reply, text, ...)                                                          \
    mote_call_site(self, MOTE_TO(to), timeout_ms, reply, MOTE_SITE("{'$gen_call', {?, [alias|?]}, " text "}"), \
                   MOTE_ARGS(0, 0 __VA_OPT__(, ) __VA_ARGS__))

/* Builds a request and asks without waiting: mote_call_start(self, to, &ref, "{add, ?}", n). As mote_call_start_term() and mote_build(). */
#define mote_call_start(self, to, ref, text, ...)                                                          \
    mote_call_start_site(self, MOTE_TO(to), ref, MOTE_SITE("{'$gen_call', {?, [alias|?]}, " text "}"), \
                         MOTE_ARGS(0, 0 __VA_OPT__(, ) __VA_ARGS__))

/* Builds a message and casts it: mote_cast(self, to, "{add, ?}", n). As mote_cast_term() and mote_build(). */
#define mote_cast(self, to, text, ...) mote_send(self, to, "{'$gen_cast', " text "}" __VA_OPT__(, ) __VA_ARGS__)

/* Builds a reply and answers: mote_reply(self, from, "{sum, ?}", n), at most 15 arguments. As mote_reply_term() and mote_build(). */
#define mote_reply(self, from, text, ...) \
    mote_reply_site(self, from, MOTE_SITE("{[alias|?], " text "}"), MOTE_ARGS(0 __VA_OPT__(, ) __VA_ARGS__))
#endif

/* What the macros call. `site` builds the whole message; the first arguments (of a call two: the caller and the reference; of a reply
 * one: the alias) are filled in here, whatever they are. */
MOTE_API MOTE_MUST mote_err mote_call_site(mote_self *self, mote_term to, int64_t timeout_ms, mote_term *reply, mote_site *site,
                                           size_t count, const mote_arg *args);
MOTE_API MOTE_MUST mote_err mote_call_start_site(mote_self *self, mote_term to, mote_ref *ref, mote_site *site, size_t count,
                                                 const mote_arg *args);
MOTE_API mote_err mote_reply_site(mote_self *self, mote_term from, mote_site *site, size_t count, const mote_arg *args);

/* ------------------------------------------------------------------------------------------- what follows */

typedef enum mote_next_kind {
    MOTE_NEXT_WAIT,     /* for the next message */
    MOTE_NEXT_CONTINUE, /* the callback continue_ is called, before any message */
    MOTE_NEXT_STOP,     /* terminate is called, and it ends with the reason */
    MOTE_NEXT_IGNORE,   /* of init only: it ends (normal), and who started it gets a pid that names nobody */
    MOTE_NEXT_REFUSE    /* of init only: it ends (normal), and who started it gets the reason */
} mote_next_kind;

/* What a callback of a server returns: what follows. Made by the functions below. */
typedef struct mote_next {
    mote_next_kind kind;
    int64_t timeout_ms; /* -1: none; else the callback timeout is called if no message comes for so long */
    mote_term term;     /* the reason, or what continue_ gets; borrowed until the callback's caller has used it */
    mote_term reply;    /* of call only: the reply, if `replies` */
    bool replies;
} mote_next;

/* Wait for the next message. */
static inline mote_next mote_next_wait(void) {
    mote_next next = {MOTE_NEXT_WAIT, -1, {0}, {0}, false};
    return next;
}

/* Wait, and call the callback timeout if no message comes for `timeout_ms` milliseconds. */
static inline mote_next mote_next_wait_ms(int64_t timeout_ms) {
    mote_next next = {MOTE_NEXT_WAIT, timeout_ms, {0}, {0}, false};
    return next;
}

/* Wait, for long. A server has no stack to give back: the same as mote_next_wait(). */
static inline mote_next mote_next_hibernate(void) { return mote_next_wait(); }

/* Call continue_ with `term`, before any message. */
static inline mote_next mote_next_continue(mote_term term) {
    mote_next next = {MOTE_NEXT_CONTINUE, -1, {0}, {0}, false};
    next.term = term;
    return next;
}

/* Call terminate and end with `reason`. From init: no terminate, the start fails with the reason. */
static inline mote_next mote_next_stop(mote_term reason) {
    mote_next next = {MOTE_NEXT_STOP, -1, {0}, {0}, false};
    next.term = reason;
    return next;
}

/* From init: there shall be no such server, which is no error. */
static inline mote_next mote_next_ignore(void) {
    mote_next next = {MOTE_NEXT_IGNORE, -1, {0}, {0}, false};
    return next;
}

/* From init: the start fails with `reason`, and the process ends with reason normal, so that nobody linked to it is ended. */
static inline mote_next mote_next_refuse(mote_term reason) {
    mote_next next = {MOTE_NEXT_REFUSE, -1, {0}, {0}, false};
    next.term = reason;
    return next;
}

/* From call: the reply, and what follows it: mote_next_reply(term, mote_next_wait()). A reply made with mote_reply() in the callback
 * need not be built first and is quicker. */
static inline mote_next mote_next_reply(mote_term reply, mote_next next) {
    next.reply = reply;
    next.replies = true;
    return next;
}

/* ----------------------------------------------------------------------------------------------- servers */

struct mote_server_change;

/* A kind of server: its callbacks, all of them called in the server's own process, which must not wait. Terms they get are borrowed for
 * the call; `state` is `state_size` zeroed bytes. All but init may be NULL: a message for which there is no callback is an error
 * that ends the server (undef), except info, which drops it. mote_exit() and mote_error() in a callback are found: terminate is called
 * (also for an exit signal that a callback sends to its own process). */
typedef struct mote_server_module {
    const char *name;  /* for reports; borrowed for ever */
    size_t state_size; /* bytes */
    mote_next (*init)(mote_self *self, mote_term arg, void *state);
    mote_next (*call)(mote_self *self, mote_term request, mote_term from, void *state);
    mote_next (*cast)(mote_self *self, mote_term message, void *state);
    mote_next (*info)(mote_self *self, mote_term message, void *state); /* all other messages: answers, DOWN, EXIT, timers */
    mote_next (*timeout)(mote_self *self, void *state);                 /* NULL: info gets the atom timeout */
    mote_next (*continue_)(mote_self *self, mote_term term, void *state);
    /* Before it ends because a callback said stop or went wrong, or, in a server that traps exits, because its parent has ended; not when
     * an exit signal ends it. After an error it must not end the process itself. */
    void (*terminate)(mote_self *self, mote_term reason, void *state);
    /* The state as a term in `arena`, for mote_server_get_state(). NULL: the state's bytes as a binary. */
    mote_term (*format)(mote_self *self, mote_arena *arena, void *state);
    /* Sets the state from a term, for mote_server_replace_state(). NULL: that gives MOTE_ETERM. An error leaves the state as it was. */
    mote_err (*replace)(mote_self *self, mote_term term, void *state);
    /* Makes the state of version `old_version` this version's, for mote_server_upgrade(). NULL: nothing needs to be done. */
    mote_err (*upgrade)(mote_self *self, mote_term old_version, mote_term extra, struct mote_server_change *change);
} mote_server_module;

/* What the callback upgrade changes: it may set both for another version of the module. */
typedef struct mote_server_change {
    const mote_server_module *module; /* in: as it is now; out: whose callbacks are called from now on */
    void *state;                      /* in: the state; out: the state, or memory of mote_alloc() that is the new one */
} mote_server_change;

/* How a server is started. Zero everywhere is the default. */
typedef struct mote_server_options {
    mote_term name;          /* registered under it before init is called; MOTE_TERM_NONE: no name */
    size_t mailbox_max;      /* messages; 0: no limit */
    mote_policy policy;      /* when mailbox_max is reached */
    mote_priority priority;
    int64_t init_timeout_ms; /* until init has returned; 0: no limit */
} mote_server_options;

/* Starts a server and waits until its init has returned. `module` is borrowed for ever, `arg` copied, `options` may be NULL. Gives `pid`; a
 * pid that names nobody (mote_self_pid(NULL)) if init said ignore. MOTE_ENOPROC: init said stop or refuse, or went wrong; `reason` (may be
 * NULL) is why, borrowed until the next receive. MOTE_EBUSY: the name is taken; `reason` is the holder's pid. MOTE_TIMEOUT: init was too slow. No
 * process is left then. May switch. Otherwise as mote_spawn_opt(); MOTE_ECONTEXT (in a handler). As gen_server:start/3. */
MOTE_API MOTE_MUST mote_err mote_server_start(mote_self *self, const mote_server_module *module, mote_term arg,
                                              const mote_server_options *options, mote_pid *pid, mote_term *reason);

/* The same, linked from its first moment. The caller is its parent: when the server traps exits and the parent ends, the server ends
 * with the same reason, terminate called. A start that fails by stop or by an error sends the caller an exit signal, unless it traps
 * exits. As gen_server:start_link/3. */
MOTE_API MOTE_MUST mote_err mote_server_start_link(mote_self *self, const mote_server_module *module, mote_term arg,
                                                   const mote_server_options *options, mote_pid *pid, mote_term *reason);

/* Ends a server with a reason, terminate called, and waits until it has ended. MOTE_OK: it has ended with that reason; MOTE_ENOPROC: it had
 * ended, or has ended with another reason, which stands in its DOWN, mote_message(self); MOTE_TIMEOUT: it has not ended yet. May switch.
 * MOTE_ESELF, MOTE_ECONTEXT, MOTE_EARG, MOTE_ETERM, MOTE_EBUSY (itself), MOTE_ENOMEM, MOTE_ESTOPPED. As gen_server:stop/3. */
MOTE_API MOTE_MUST mote_err mote_server_stop(mote_self *self, mote_term server, mote_term reason, int64_t timeout_ms);

/* What follows works on servers and machines, by {system, From, Request} of Erlang's module sys. `server`: a pid or a name. They wait and
 * fail as mote_call_term() does; terms they give are borrowed until the next receive. */

/* The state, as the callback format tells it. As sys:get_state/2. */
MOTE_API MOTE_MUST mote_err mote_server_get_state(mote_self *self, mote_term server, int64_t timeout_ms, mote_term *state);

/* Sets the state by the callback replace. MOTE_ETERM: it refused, or there is none. As sys:replace_state/3. */
MOTE_API MOTE_MUST mote_err mote_server_replace_state(mote_self *self, mote_term server, int64_t timeout_ms, mote_term state);

/* From now on only system messages are handled; all others wait, in their order, until mote_server_resume(). As sys:suspend/2. */
MOTE_API MOTE_MUST mote_err mote_server_suspend(mote_self *self, mote_term server, int64_t timeout_ms);

/* Ends a suspension. As sys:resume/2. */
MOTE_API MOTE_MUST mote_err mote_server_resume(mote_self *self, mote_term server, int64_t timeout_ms);

/* Starts (again from 0) or ends the counting of messages. As sys:statistics/3. */
MOTE_API MOTE_MUST mote_err mote_server_statistics_set(mote_self *self, mote_term server, int64_t timeout_ms, bool on);

/* The counts: [{start_time, Ms}, {current_time, Ms}, {reductions, R}, {messages_in, In}, {messages_out, Out}], times in milliseconds of
 * the runtime; the atom no_statistics when nothing is counted. `Out` counts replies that callbacks returned. As sys:statistics/3. */
MOTE_API MOTE_MUST mote_err mote_server_statistics(mote_self *self, mote_term server, int64_t timeout_ms, mote_term *list);

/* {status, Pid, {module, Name}, [[], running | suspended, Parent, [], Items]}; among the items is {data, [{"State", State}]}. As
 * sys:get_status/2. */
MOTE_API MOTE_MUST mote_err mote_server_get_status(mote_self *self, mote_term server, int64_t timeout_ms, mote_term *status);

/* Changes a server to a new version: suspends it, has its callback upgrade called with these terms, and resumes it. MOTE_ETERM: the callback
 * gave an error; the state is then as it was. Each step has the time limit. As sys:change_code/5 between sys:suspend/2 and sys:resume/2. */
MOTE_API MOTE_MUST mote_err mote_server_upgrade(mote_self *self, mote_term server, int64_t timeout_ms, mote_term old_version,
                                                mote_term extra);

#ifndef __cplusplus
/* The functions that take a destination take it in any form. */
#define mote_call_term(self, to, timeout_ms, request, reply) (mote_call_term)(self, MOTE_TO(to), timeout_ms, request, reply)
#define mote_call_start_term(self, to, request, ref) (mote_call_start_term)(self, MOTE_TO(to), request, ref)
#define mote_cast_term(self, to, message) (mote_cast_term)(self, MOTE_TO(to), message)
#define mote_server_stop(self, server, reason, timeout_ms) (mote_server_stop)(self, MOTE_TO(server), reason, timeout_ms)
#define mote_server_get_state(self, server, timeout_ms, state) (mote_server_get_state)(self, MOTE_TO(server), timeout_ms, state)
#define mote_server_replace_state(self, server, timeout_ms, state) (mote_server_replace_state)(self, MOTE_TO(server), timeout_ms, state)
#define mote_server_suspend(self, server, timeout_ms) (mote_server_suspend)(self, MOTE_TO(server), timeout_ms)
#define mote_server_resume(self, server, timeout_ms) (mote_server_resume)(self, MOTE_TO(server), timeout_ms)
#define mote_server_statistics_set(self, server, timeout_ms, on) (mote_server_statistics_set)(self, MOTE_TO(server), timeout_ms, on)
#define mote_server_statistics(self, server, timeout_ms, list) (mote_server_statistics)(self, MOTE_TO(server), timeout_ms, list)
#define mote_server_get_status(self, server, timeout_ms, status) (mote_server_get_status)(self, MOTE_TO(server), timeout_ms, status)
#define mote_server_upgrade(self, server, timeout_ms, old_version, extra) \
    (mote_server_upgrade)(self, MOTE_TO(server), timeout_ms, old_version, extra)
#endif

#ifdef __cplusplus
}
#endif
#endif
