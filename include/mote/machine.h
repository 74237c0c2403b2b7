/* SPDX-License-Identifier: Apache-2.0
 *
 * State machines as Erlang's gen_statem: a server whose answer to an event depends on the state it is in. Calls, casts and system
 * messages are those of mote/server.h, with all the functions for clients.
 */
#ifndef MOTE_MACHINE_H
#define MOTE_MACHINE_H

#include <mote/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ machines */

/* A machine as its callbacks see it: for the functions below, in its own process only. */
typedef struct mote_machine mote_machine;

typedef enum mote_event_kind {
    MOTE_EVENT_CALL,
    MOTE_EVENT_CAST,
    MOTE_EVENT_INFO,          /* any other message */
    MOTE_EVENT_INTERNAL,      /* of mote_machine_next_event() */
    MOTE_EVENT_TIMEOUT,       /* no event came for so long */
    MOTE_EVENT_STATE_TIMEOUT, /* the state has not changed for so long */
    MOTE_EVENT_NAMED_TIMEOUT,
    MOTE_EVENT_ENTER          /* the state has been entered */
} mote_event_kind;

/* What happens to a machine; its terms are borrowed for the callback. */
typedef struct mote_event {
    mote_event_kind kind;
    mote_term content; /* the request, the message, what was given with the timeout; MOTE_TERM_NONE for ENTER */
    mote_term from;    /* of a call: for mote_reply(), now or later */
    mote_term name;    /* of a named timeout */
    int old_state;     /* of ENTER: the state before; of the first one: the same */
} mote_event;

typedef enum mote_step_kind {
    MOTE_STEP_KEEP,
    MOTE_STEP_NEXT,
    MOTE_STEP_REPEAT,
    MOTE_STEP_STOP,
    MOTE_STEP_IGNORE, /* of init only, as MOTE_NEXT_IGNORE */
    MOTE_STEP_REFUSE  /* of init only, as MOTE_NEXT_REFUSE */
} mote_step_kind;

/* What a callback of a machine returns: where it goes from here. Made by the functions below. */
typedef struct mote_step {
    mote_step_kind kind;
    int state;
    mote_term reason; /* borrowed until the callback's caller has used it */
} mote_step;

/* Stay in this state. */
static inline mote_step mote_step_keep(void) {
    mote_step step = {MOTE_STEP_KEEP, 0, {0}};
    return step;
}

/* Go to `state`. If it is another one: the state timeout is cancelled, postponed events are tried again, before newer ones, and
 * the state's enter call is made. From init: the first state. */
static inline mote_step mote_step_next(int state) {
    mote_step step = {MOTE_STEP_NEXT, 0, {0}};
    step.state = state;
    return step;
}

/* Stay in this state, and make its enter call again. */
static inline mote_step mote_step_repeat(void) {
    mote_step step = {MOTE_STEP_REPEAT, 0, {0}};
    return step;
}

/* Call terminate and end with `reason`. From init: no terminate, the start fails with the reason. */
static inline mote_step mote_step_stop(mote_term reason) {
    mote_step step = {MOTE_STEP_STOP, 0, {0}};
    step.reason = reason;
    return step;
}

/* From init: there shall be no such machine, which is no error. */
static inline mote_step mote_step_ignore(void) {
    mote_step step = {MOTE_STEP_IGNORE, 0, {0}};
    return step;
}

/* From init: the start fails with `reason`, and the process ends with reason normal. */
static inline mote_step mote_step_refuse(mote_term reason) {
    mote_step step = {MOTE_STEP_REFUSE, 0, {0}};
    step.reason = reason;
    return step;
}

/* Handles an event; `data` is the module's memory of this machine. */
typedef mote_step (*mote_machine_callback)(mote_self *self, mote_machine *machine, const mote_event *event, void *data);

/* A state: states are numbers from 0, and stand in this order in the module's table. */
typedef struct mote_machine_state {
    const char *name;             /* its atom in mote_server_get_state() */
    mote_machine_callback handle; /* NULL: the module's handle_event */
    bool enter;                   /* is called with MOTE_EVENT_ENTER when the state is entered; may then only keep or stop, and not
                                     postpone or insert events */
} mote_machine_state;

/* A kind of machine: its callbacks, which must not wait. `data` is `data_size` zeroed bytes. All but init may be NULL. */
typedef struct mote_machine_module {
    const char *name;                 /* for reports; borrowed for ever */
    size_t data_size;                 /* bytes */
    const mote_machine_state *states; /* borrowed for ever; NULL: every number is a state, without a name */
    size_t state_count;
    mote_machine_callback handle_event; /* in states that have no function of their own */
    bool enter;                         /* makes enter calls to handle_event for states that are not in the table */
    /* Gives the first state, by mote_step_next(); may set timeouts and insert events. */
    mote_step (*init)(mote_self *self, mote_machine *machine, mote_term arg, void *data);
    void (*terminate)(mote_self *self, mote_term reason, int state, void *data); /* as a server's */
    /* The data as a term in `arena`, for mote_server_get_state(), which gives {State, Data}. NULL: its bytes as a binary. */
    mote_term (*format)(mote_self *self, mote_arena *arena, int state, void *data);
    /* Sets the data from the second element of {State, Data}, for mote_server_replace_state(). NULL: that gives MOTE_ETERM. */
    mote_err (*replace)(mote_self *self, mote_term term, void *data);
    /* Makes the data of version `old_version` this version's. NULL: nothing needs to be done. */
    mote_err (*upgrade)(mote_self *self, mote_term old_version, mote_term extra, int *state, void *data);
} mote_machine_module;

/* Starts a machine. As mote_server_start(), and as gen_statem:start/3. */
MOTE_API MOTE_MUST mote_err mote_machine_start(mote_self *self, const mote_machine_module *module, mote_term arg,
                                               const mote_server_options *options, mote_pid *pid, mote_term *reason);

/* Starts a machine that is linked. As mote_server_start_link(), and as gen_statem:start_link/3. */
MOTE_API MOTE_MUST mote_err mote_machine_start_link(mote_self *self, const mote_machine_module *module, mote_term arg,
                                                    const mote_server_options *options, mote_pid *pid, mote_term *reason);

/* What a callback may ask for besides what it returns. All of it happens when the callback has returned, in gen_statem's order: the event is
 * postponed, the state changes, events are inserted, timeouts start. Each gives MOTE_EARG, MOTE_ENOMEM or as said. */

/* The state the machine is in; inside an enter call it is the new one. */
MOTE_API int mote_machine_state_get(const mote_machine *machine);

/* Keeps the event in hand until the state changes; then it comes again. MOTE_ECONTEXT: in init or an enter call. */
MOTE_API mote_err mote_machine_postpone(mote_machine *machine);

/* Inserts an event that is handled before all others that wait; several in the order asked for. `kind`: MOTE_EVENT_INTERNAL, MOTE_EVENT_CAST
 * or MOTE_EVENT_INFO. Copies `content`. MOTE_ECONTEXT: in an enter call. */
MOTE_API MOTE_MUST mote_err mote_machine_next_event(mote_machine *machine, mote_event_kind kind, mote_term content);

/* Asks for MOTE_EVENT_TIMEOUT with `content` (copied) if no event comes for `ms` milliseconds; any event cancels it. 0: at once, if no
 * event is there; -1: cancels. */
MOTE_API MOTE_MUST mote_err mote_machine_timeout(mote_machine *machine, int64_t ms, mote_term content);

/* Asks for MOTE_EVENT_STATE_TIMEOUT with `content` (copied) after `ms` milliseconds; a change of state cancels it. 0: after the events
 * that are there; -1: cancels. A new one replaces the old one. */
MOTE_API MOTE_MUST mote_err mote_machine_state_timeout(mote_machine *machine, int64_t ms, mote_term content);

/* Asks for MOTE_EVENT_NAMED_TIMEOUT with `name` and `content` (copied) after `ms` milliseconds, whatever comes meanwhile. As
 * mote_machine_state_timeout(), for each name (=:=). */
MOTE_API MOTE_MUST mote_err mote_machine_named_timeout(mote_machine *machine, mote_term name, int64_t ms, mote_term content);

#ifdef __cplusplus
}
#endif
#endif
