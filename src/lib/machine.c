/* SPDX-License-Identifier: Apache-2.0
 * Machines: the queue of events, and what follows from each.
 *
 * M1 events are handled in the order of the queue, which goes before messages. A change of state puts the postponed ones in front,
 *    oldest first; inserted ones go in front of these. M2 timeouts of 0 come when the queue is empty, before any message.
 * M3 a timer's message is known by its id, so that one that was too late to cancel is nobody's. */
#include <mote/machine.h>

#include "lib/gen.h"

#define EVENTS_MAX 256u /* of the queue that are handled in one go */

struct event {
    struct event *next;
    mote_event_kind kind;
    struct mt_stored content, from, name;
};

struct events {
    struct event *first, **end;
};

struct timeout {
    struct timeout *next;
    mote_event_kind kind;
    struct mt_stored content, name;
    int64_t ms;
    int64_t id;
    mote_ref timer; /* if ms > 0 */
};

struct mote_machine {
    struct mt_gen gen;
    mote_self *self;
    int state;
    bool entering;
    bool postpone; /* the event in hand */
    struct event *in_hand; /* if it came from the queue */
    struct events queue;
    struct events postponed;
    struct events inserted;   /* by the callback that runs */
    struct timeout *running;  /* oldest first */
    struct timeout *asked;    /* by the callback that runs, in its order */
    int64_t last_id;
};

static mote_machine *machine_of(struct mt_gen *gen) { return (mote_machine *)(void *)gen; }
static const mote_machine_module *module_of(const struct mt_gen *gen) { return gen->module; }

/* ------------------------------------------------------------------------------------------------- events */

static void append(struct events *events, struct event *e) {
    e->next = NULL;
    *events->end = e;
    events->end = &e->next;
}

static struct event *take(struct events *events) {
    struct event *e = events->first;
    if (e && !(events->first = e->next)) events->end = &events->first;
    return e;
}

/* M1 */
static void put_in_front(struct events *queue, struct events *events) {
    if (!events->first) return;
    *events->end = queue->first;
    if (!queue->first) queue->end = events->end;
    queue->first = events->first;
    events->end = &events->first;
    events->first = NULL;
}

static void free_event(mote_self *self, struct event *e) {
    mt_stored_drop(&e->content);
    mt_stored_drop(&e->from);
    mt_stored_drop(&e->name);
    mote_dealloc(self, e);
}

static struct event *keep_event(mote_self *self, const mote_event *from) {
    struct event *e = mote_alloc(self, sizeof *e);
    if (!e) return NULL;
    e->kind = from->kind;
    if (!mt_store_any(&e->content, from->content) && !mt_store_any(&e->from, from->from) && !mt_store_any(&e->name, from->name)) return e;
    free_event(self, e);
    return NULL;
}

/* Without memory the machine ends with an error: an event must not get lost. */
static void queue_event(mote_machine *m, struct events *events, const mote_event *event) {
    struct event *e = keep_event(m->self, event);
    m->gen.phase = MT_GEN_CALLBACK;
    if (!e) mote_must(m->self, MOTE_ENOMEM);
    append(events, e);
}

/* ------------------------------------------------------------------------------------------------ timeouts */

static void free_timeout(mote_self *self, struct timeout *t) {
    mt_stored_drop(&t->content);
    mt_stored_drop(&t->name);
    mote_dealloc(self, t);
}

static struct timeout *take_timeout(struct timeout **at) {
    struct timeout *t = *at;
    *at = t->next;
    return t;
}

static struct timeout **find_timeout(mote_machine *m, mote_event_kind kind, mote_term name) {
    struct timeout **at = &m->running;
    while (*at && ((*at)->kind != kind || !mote_term_same((*at)->name.term, name))) at = &(*at)->next;
    return at;
}

static void cancel_timeout(mote_machine *m, mote_event_kind kind, mote_term name) {
    struct timeout **at = m->running ? find_timeout(m, kind, name) : &m->running;
    if (!*at) return;
    struct timeout *t = take_timeout(at);
    if (t->ms > 0) (void)mote_timer_cancel(m->self, t->timer, NULL);
    free_timeout(m->self, t);
}

static void start_timeouts(mote_machine *m) {
    while (m->asked) {
        cancel_timeout(m, m->asked->kind, m->asked->name.term);
        struct timeout *t = take_timeout(&m->asked), **end = &m->running;
        while (*end) end = &(*end)->next;
        t->next = NULL;
        *end = t;
        t->id = ++m->last_id;
        if (t->ms > 0) mote_must(m->self, mote_send_after(m->self, t->ms, mote_self_pid(m->self), &t->timer, "{'$mote_timer', ?}", t->id));
        if (t->ms < 0) cancel_timeout(m, t->kind, t->name.term);
    }
}

/* M2: the oldest timeout of 0. */
static struct timeout *take_due(mote_machine *m) {
    struct timeout **at = &m->running;
    while (*at && (*at)->ms > 0) at = &(*at)->next;
    return *at ? take_timeout(at) : NULL;
}

/* M3 */
static struct timeout *take_fired(mote_machine *m, int64_t id) {
    struct timeout **at = &m->running;
    while (*at && (*at)->id != id) at = &(*at)->next;
    return *at ? take_timeout(at) : NULL;
}

/* The timeout as an event in the queue, whose terms it takes over. */
static void queue_timeout(mote_machine *m, struct timeout *t) {
    struct event *e = mote_alloc(m->self, sizeof *e);
    m->gen.phase = MT_GEN_CALLBACK;
    if (e) {
        e->kind = t->kind;
        e->content = t->content;
        e->name = t->name;
        append(&m->queue, e);
        mote_dealloc(m->self, t);
        return;
    }
    free_timeout(m->self, t);
    mote_must(m->self, MOTE_ENOMEM);
}

/* ----------------------------------------------------------------------------------------------- callbacks */

static const mote_machine_state *state_of(const mote_machine *m) {
    const mote_machine_module *module = module_of(&m->gen);
    return module->states ? &module->states[m->state] : NULL;
}

static bool is_state(const mote_machine *m, int state) {
    const mote_machine_module *module = module_of(&m->gen);
    return !module->states || (state >= 0 && (size_t)state < module->state_count);
}

static mote_step call_back(mote_machine *m, const mote_event *event) {
    const mote_machine_state *state = state_of(m);
    mote_machine_callback handle = state && state->handle ? state->handle : module_of(&m->gen)->handle_event;
    if (!handle) mt_gen_undef(m->self, &m->gen, "handle_event");
    m->gen.phase = MT_GEN_CALLBACK;
    return handle(m->self, m, event, m->gen.state);
}

static void enter(mote_machine *m, int old_state) {
    const mote_machine_state *state = state_of(m);
    mote_event event = {.kind = MOTE_EVENT_ENTER, .old_state = old_state};
    if (!(state ? state->enter : module_of(&m->gen)->enter)) return;
    m->entering = true;
    mote_step step = call_back(m, &event);
    m->entering = false;
    if (step.kind == MOTE_STEP_STOP) mt_gen_stop(m->self, &m->gen, step.reason);
    if (step.kind != MOTE_STEP_KEEP) mote_error(m->self, mote_to_name("bad_return_value"));
}

/* Whether it is another one now. */
static bool change_state(mote_machine *m, const mote_step *step) {
    if (step->kind != MOTE_STEP_NEXT || step->state == m->state) return false;
    if (!is_state(m, step->state)) mote_error(m->self, mote_to_name("bad_state"));
    m->state = step->state;
    cancel_timeout(m, MOTE_EVENT_STATE_TIMEOUT, MOTE_TERM_NIL);
    put_in_front(&m->queue, &m->postponed);
    return true;
}

static void postpone(mote_machine *m, const mote_event *event) {
    m->postpone = false;
    if (!m->in_hand) {
        queue_event(m, &m->postponed, event);
        return;
    }
    append(&m->postponed, m->in_hand);
    m->in_hand = NULL;
}

/* What follows from an event. */
static void follow(mote_machine *m, const mote_event *event, const mote_step *step) {
    int before = m->state;
    if (step->kind == MOTE_STEP_STOP) mt_gen_stop(m->self, &m->gen, step->reason);
    if (step->kind > MOTE_STEP_STOP) mote_error(m->self, mote_to_name("bad_return_value"));
    if (m->postpone) postpone(m, event);
    if (change_state(m, step) || step->kind == MOTE_STEP_REPEAT) enter(m, before);
    put_in_front(&m->queue, &m->inserted);
    start_timeouts(m);
    m->gen.phase = MT_GEN_IDLE;
}

static void deliver(mote_machine *m, const mote_event *event) {
    cancel_timeout(m, MOTE_EVENT_TIMEOUT, MOTE_TERM_NIL);
    m->postpone = false;
    mote_step step = call_back(m, event);
    follow(m, event, &step);
}

static void deliver_queued(mote_machine *m) {
    struct event *e = m->in_hand = take(&m->queue);
    mote_event event = {.kind = e->kind, .content = e->content.term, .from = e->from.term, .name = e->name.term};
    deliver(m, &event);
    if (m->in_hand) free_event(m->self, m->in_hand);
    m->in_hand = NULL;
}

/* Some of what waits; then others may run. */
static void work_off(mote_self *self, struct mt_gen *gen) {
    mote_machine *m = machine_of(gen);
    struct timeout *due;
    for (unsigned n = 0; m->queue.first || m->running; n++) {
        if (!m->queue.first && !(due = take_due(m))) return;
        if (!m->queue.first) queue_timeout(m, due);
        if (n >= EVENTS_MAX) {
            mt_gen_go_on_later(self, gen, n);
            return;
        }
        deliver_queued(m);
    }
}

/* An event from outside; M1. */
static void arrived(mote_machine *m, mote_event_kind kind, mote_term content, mote_term from) {
    mote_event event = {.kind = kind, .content = content, .from = from};
    if (m->queue.first)
        queue_event(m, &m->queue, &event);
    else
        deliver(m, &event);
    work_off(m->self, &m->gen);
}

static void machine_message(mote_self *self, struct mt_gen *gen, mote_term message) {
    mote_machine *m = machine_of(gen);
    mote_term from, content;
    struct timeout *fired;
    long long id;
    if (mote_match(message, "{'$mote_timer', ?}", &id)) {
        if (!(fired = take_fired(m, id))) return;
        queue_timeout(m, fired);
        work_off(self, gen);
        return;
    }
    gen->messages_in++;
    if (mote_match(message, "{'$gen_call', ?, ?}", &from, &content))
        arrived(m, MOTE_EVENT_CALL, content, from);
    else if (mote_match(message, "{'$gen_cast', ?}", &content))
        arrived(m, MOTE_EVENT_CAST, content, MOTE_TERM_NONE);
    else
        arrived(m, MOTE_EVENT_INFO, message, MOTE_TERM_NONE);
}

/* --------------------------------------------------------------------------------- what callbacks may ask for */

int mote_machine_state_get(const mote_machine *machine) { return machine->state; }

mote_err mote_machine_postpone(mote_machine *machine) {
    if (!machine) return MOTE_EARG;
    if (machine->entering || machine->gen.phase != MT_GEN_CALLBACK) return MOTE_ECONTEXT;
    machine->postpone = true;
    return MOTE_OK;
}

mote_err mote_machine_next_event(mote_machine *machine, mote_event_kind kind, mote_term content) {
    mote_event event = {.kind = kind, .content = content};
    bool allowed = kind == MOTE_EVENT_INTERNAL || kind == MOTE_EVENT_CAST || kind == MOTE_EVENT_INFO;
    if (!machine || !allowed) return MOTE_EARG;
    if (machine->entering) return MOTE_ECONTEXT;
    struct event *e = keep_event(machine->self, &event);
    if (!e) return MOTE_ENOMEM;
    append(&machine->inserted, e);
    return MOTE_OK;
}

static mote_err ask_timeout(mote_machine *m, mote_event_kind kind, mote_term name, int64_t ms, mote_term content) {
    if (!m || ms < -1 || mote_term_type(name) == MOTE_NONE) return MOTE_EARG;
    struct timeout *t = mote_alloc(m->self, sizeof *t), **end = &m->asked;
    if (!t) return MOTE_ENOMEM;
    t->kind = kind;
    t->ms = ms;
    if (mt_store_any(&t->name, name) || mt_store_any(&t->content, content)) {
        free_timeout(m->self, t);
        return MOTE_ENOMEM;
    }
    while (*end) end = &(*end)->next;
    *end = t;
    return MOTE_OK;
}

mote_err mote_machine_timeout(mote_machine *machine, int64_t ms, mote_term content) {
    return ask_timeout(machine, MOTE_EVENT_TIMEOUT, MOTE_TERM_NIL, ms, content);
}

mote_err mote_machine_state_timeout(mote_machine *machine, int64_t ms, mote_term content) {
    return ask_timeout(machine, MOTE_EVENT_STATE_TIMEOUT, MOTE_TERM_NIL, ms, content);
}

mote_err mote_machine_named_timeout(mote_machine *machine, mote_term name, int64_t ms, mote_term content) {
    return ask_timeout(machine, MOTE_EVENT_NAMED_TIMEOUT, name, ms, content);
}

/* -------------------------------------------------------------------------------------------- the behaviour */

static const char *machine_name(const void *module) { return ((const mote_machine_module *)module)->name; }
static size_t machine_data_size(const void *module) { return ((const mote_machine_module *)module)->data_size; }

static void machine_begin(mote_self *self, struct mt_gen *gen, mote_term arg) {
    static const mote_next_kind as_server[] = {
        [MOTE_STEP_STOP] = MOTE_NEXT_STOP, [MOTE_STEP_IGNORE] = MOTE_NEXT_IGNORE, [MOTE_STEP_REFUSE] = MOTE_NEXT_REFUSE};
    mote_machine *m = machine_of(gen);
    m->self = self;
    m->queue.end = &m->queue.first;
    m->postponed.end = &m->postponed.first;
    m->inserted.end = &m->inserted.first;
    mote_step step = module_of(gen)->init(self, m, arg, gen->state);
    if (step.kind >= MOTE_STEP_STOP && step.kind <= MOTE_STEP_REFUSE) mt_gen_not_started(self, gen, as_server[step.kind], step.reason);
    if (step.kind != MOTE_STEP_NEXT || !is_state(m, step.state)) mote_error(self, mote_to_name("bad_return_value"));
    m->state = step.state;
    mt_gen_started(self, gen);
    gen->phase = MT_GEN_CALLBACK;
    enter(m, m->state);
    put_in_front(&m->queue, &m->inserted);
    start_timeouts(m);
    gen->phase = MT_GEN_IDLE;
    work_off(self, gen);
}

static void machine_terminate(mote_self *self, struct mt_gen *gen, mote_term reason) {
    const mote_machine_module *module = module_of(gen);
    if (module->terminate) module->terminate(self, reason, machine_of(gen)->state, gen->state);
}

static mote_term state_term(const mote_machine *m, mote_arena *arena) {
    const mote_machine_state *state = state_of(m);
    return state && state->name ? mote_to_name(state->name) : mote_int_make(arena, m->state);
}

static mote_term machine_format(mote_self *self, struct mt_gen *gen, mote_arena *arena) {
    const mote_machine_module *module = module_of(gen);
    mote_machine *m = machine_of(gen);
    mote_term both[2] = {state_term(m, arena), MOTE_TERM_NONE};
    both[1] = module->format ? module->format(self, arena, m->state, gen->state) : mote_binary_make(arena, gen->state, module->data_size);
    return mote_tuple_make(arena, 2, both);
}

/* The number of a state by its name, or by itself. */
static mote_err find_state(const mote_machine *m, mote_term term, int *state) {
    const mote_machine_module *module = module_of(&m->gen);
    for (size_t i = 0; module->states && i < module->state_count; i++) {
        if (!module->states[i].name || !mote_term_same(term, mote_to_name(module->states[i].name))) continue;
        *state = (int)i;
        return MOTE_OK;
    }
    return mote_match(term, "?", state) && is_state(m, *state) ? MOTE_OK : MOTE_ETERM;
}

static mote_err machine_replace(mote_self *self, struct mt_gen *gen, mote_term term) {
    const mote_machine_module *module = module_of(gen);
    mote_machine *m = machine_of(gen);
    mote_term which, data;
    int state;
    if (!module->replace || !mote_match(term, "{?, ?}", &which, &data)) return MOTE_ETERM;
    mote_err err = find_state(m, which, &state);
    if (err || (err = module->replace(self, data, gen->state))) return err;
    m->state = state;
    return MOTE_OK;
}

static mote_err machine_upgrade(mote_self *self, struct mt_gen *gen, mote_term old_version, mote_term extra) {
    const mote_machine_module *module = module_of(gen);
    mote_machine *m = machine_of(gen);
    int state = m->state;
    mote_err err = module->upgrade ? module->upgrade(self, old_version, extra, &state, gen->state) : MOTE_OK;
    if (!err && !is_state(m, state)) err = MOTE_ERANGE;
    if (!err) m->state = state;
    return err;
}

static void drop_events(mote_self *self, struct events *events) {
    for (struct event *e; (e = take(events));) free_event(self, e);
}

static void machine_drop(struct mt_gen *gen) {
    mote_machine *m = machine_of(gen);
    if (!m->self) return;
    if (m->in_hand) free_event(m->self, m->in_hand);
    drop_events(m->self, &m->queue);
    drop_events(m->self, &m->postponed);
    drop_events(m->self, &m->inserted);
    while (m->running) free_timeout(m->self, take_timeout(&m->running));
    while (m->asked) free_timeout(m->self, take_timeout(&m->asked));
}

static void first_turn(mote_self *self, mote_term arg, void *state);
static void handle(mote_self *self, mote_term message, void *state) { mt_gen_handle(self, state, message); }
static void ended(mote_self *self, mote_term reason, void *state) { mt_gen_ended(self, state, reason); }

static const struct mt_gen_kind machines = {
    .handler = {.name = "machine", .state_size = sizeof(mote_machine), .init = first_turn, .handle = handle, .stop = ended},
    .name = machine_name,
    .state_size = machine_data_size,
    .begin = machine_begin,
    .message = machine_message,
    .more = work_off,
    .terminate = machine_terminate,
    .format = machine_format,
    .replace = machine_replace,
    .upgrade = machine_upgrade,
    .drop = machine_drop};

static void first_turn(mote_self *self, mote_term arg, void *state) { mt_gen_begin(self, state, &machines, arg); }

/* MOTE_EARG before anything is started. */
static mote_err start(mote_self *self, const mote_machine_module *module, mote_term arg, const mote_server_options *options, bool link,
                      mote_pid *pid, mote_term *reason) {
    if (self && module && (!module->init || (module->states && !module->state_count))) return MOTE_EARG;
    return mt_gen_start(self, &machines, module, arg, options, link, pid, reason);
}

mote_err mote_machine_start(mote_self *self, const mote_machine_module *module, mote_term arg, const mote_server_options *options,
                            mote_pid *pid, mote_term *reason) {
    return start(self, module, arg, options, false, pid, reason);
}

mote_err mote_machine_start_link(mote_self *self, const mote_machine_module *module, mote_term arg, const mote_server_options *options,
                                 mote_pid *pid, mote_term *reason) {
    return start(self, module, arg, options, true, pid, reason);
}
