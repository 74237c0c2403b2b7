/* SPDX-License-Identifier: Apache-2.0
 * The supervisor's process. It does one thing at a time and waits for its children inside, so its state is always whole between messages.
 *
 * S1 a child is in `by_pid` while it runs or is being restarted (then under its old pid), and in `by_id` always, unless the strategy is
 *    simple_one_for_one. S2 the list is in the order of starts. S3 who waits for a child's end watches it, whatever the child did to its link.
 * S4 the exit message of a child that was stopped comes later and finds nobody: pids are never reused. */
#include "lib/sup.h"

#include <mote/server.h>
#include <string.h>

#include "lib/index.h"
#include "lib/store.h"

#define SHUTDOWN_MS 5000

enum child_state { ABSENT, RUNNING, RESTARTING };

struct child {
    struct mt_index_node by_id;
    struct mt_index_node by_pid;
    struct child *before, *after;
    const mote_child_spec *spec; /* its own, behind it, or that of all */
    mote_pid pid;
    enum child_state state;
    struct mt_stored id, arg; /* nothing: those of the specification are good */
};

struct sup {
    mote_self *self;
    mote_supervisor_options options;
    mote_pid parent;
    bool tells;
    struct child *first, *last;
    size_t count, active;
    struct mt_index by_id, by_pid;
    const mote_child_spec *model; /* of simple_one_for_one */
    struct mt_window window;
    uint64_t restarts;
    mote_arena *arena; /* what the message in hand needs beyond its time */
};

struct answer {
    mote_err err;
    mote_term term; /* the answer, or the reason */
};

static bool simple(const struct sup *s) { return s->options.strategy == MOTE_SIMPLE_ONE_FOR_ONE; }
static mote_term atom(const char *name) { return mote_to_name(name); }
static mote_term or_limit(mote_term term) { return mote_term_type(term) == MOTE_NONE ? atom("system_limit") : term; }
static mote_term child_id(const struct child *c) { return c->id.term.word ? c->id.term : c->spec->id_term; }
static mote_term child_arg(const struct child *c) { return c->arg.term.word ? c->arg.term : c->spec->arg; }
static struct child *of_id(struct mt_index_node *node) { return (struct child *)(void *)node; }
static struct child *of_pid(struct mt_index_node *node) {
    return node ? (struct child *)(void *)((char *)node - offsetof(struct child, by_pid)) : NULL;
}

#define BUILD(s, text, ...) build((s)->arena, MOTE_SITE(text), MOTE_ARGS(__VA_ARGS__))
static mote_term build(mote_arena *arena, mote_site *site, size_t count, const mote_arg *args) {
    mote_term term = MOTE_TERM_NONE;
    mote_err err = mote_build_site(arena, &term, site, count, args);
    return err ? atom("system_limit") : term;
}

/* ----------------------------------------------------------------------------------------------- the table */

static struct child *find_pid(const struct sup *s, mote_pid pid) {
    struct mt_index_node *node = mt_index_first(&s->by_pid, mt_index_hash(pid.word));
    while (node && of_pid(node)->pid.word != pid.word) node = mt_index_next(node);
    return of_pid(node);
}

/* The child of that id; of simple_one_for_one, of that pid. */
static struct child *find(const struct sup *s, mote_term id) {
    mote_pid pid;
    if (simple(s)) return mote_pid_get(id, &pid) ? NULL : find_pid(s, pid);
    struct mt_index_node *node = mt_index_first(&s->by_id, mote_term_hash(id));
    while (node && !mote_term_same(child_id(of_id(node)), id)) node = mt_index_next(node);
    return node ? of_id(node) : NULL;
}

static void set_pid(struct sup *s, struct child *c, mote_pid pid, enum child_state state) {
    c->pid = pid;
    c->state = state;
    s->active += state == RUNNING;
    mt_index_put(&s->by_pid, &c->by_pid, mt_index_hash(pid.word));
}

/* It does not run any more. Keeps `pid`. */
static void clear_pid(struct sup *s, struct child *c) {
    if (c->state == ABSENT) return;
    s->active -= c->state == RUNNING;
    c->state = ABSENT;
    mt_index_remove(&s->by_pid, &c->by_pid);
}

static void append(struct sup *s, struct child *c) {
    c->before = s->last;
    *(s->last ? &s->last->after : &s->first) = c;
    s->last = c;
    s->count++;
    if (!simple(s)) mt_index_put(&s->by_id, &c->by_id, mote_term_hash(child_id(c)));
}

static void drop(struct sup *s, struct child *c) {
    mt_stored_drop(&c->id);
    mt_stored_drop(&c->arg);
    mote_dealloc(s->self, c);
}

static void forget(struct sup *s, struct child *c) {
    clear_pid(s, c);
    *(c->before ? &c->before->after : &s->first) = c->after;
    *(c->after ? &c->after->before : &s->last) = c->before;
    s->count--;
    if (!simple(s)) mt_index_remove(&s->by_id, &c->by_id);
    drop(s, c);
}

/* A child with a specification of its own, the terms of which are good for ever, or stored with it. */
static struct child *new_child(struct sup *s, const mote_child_spec *spec, bool for_ever) {
    struct child *c = mote_alloc(s->self, sizeof *c + sizeof *spec);
    if (!c) return NULL;
    mote_child_spec *own = (mote_child_spec *)(c + 1);
    *own = *spec;
    c->spec = own;
    if (for_ever || (!mt_store(&c->id, spec->id_term) && !mt_store(&c->arg, spec->arg))) return c;
    drop(s, c);
    return NULL;
}

/* The argument of a child of the common specification, from its own (or none). */
static bool dynamic_arg(struct sup *s, mote_term *arg) {
    if (arg->word && s->model->extend) return mote_build(s->arena, arg, "{?, ?}", s->model->arg, *arg) == MOTE_OK;
    if (!arg->word) *arg = s->model->arg;
    return true;
}

/* A child of the common specification. One that is started once needs its argument only now. */
static struct child *new_dynamic(struct sup *s, mote_term *arg) {
    struct child *c = dynamic_arg(s, arg) ? mote_alloc(s->self, sizeof *c) : NULL;
    if (!c) return NULL;
    c->spec = s->model;
    if (arg->word == s->model->arg.word || s->model->restart == MOTE_TEMPORARY || !mt_store(&c->arg, *arg)) return c;
    mote_dealloc(s->self, c);
    return NULL;
}

/* --------------------------------------------------------------------------------------------------- starts */

static mote_term reason_of(struct sup *s, mote_err err) {
    mote_term reason;
    if (mote_receive_match(s->self, 0, "{'$child_refused', ?}", &reason) == MOTE_OK) return or_limit(mote_term_copy(s->arena, reason));
    return BUILD(s, "{mote_error, ?}", mote_atom_make(mote_err_name(err)));
}

static mote_err launch(struct sup *s, struct child *c, mote_term arg, mote_term *reason) {
    const mote_child_spec *spec = c->spec;
    const mote_spawn_options options = {.body = spec->body, .handler = spec->handler, .link = true};
    mote_pid pid = mote_self_pid(NULL);
    mote_err err = spec->start ? spec->start(s->self, arg, &pid) : mote_spawn_opt(s->self, &options, arg, &pid);
    clear_pid(s, c);
    if (err) *reason = reason_of(s, err);
    else if (pid.word != mote_self_pid(NULL).word) set_pid(s, c, pid, RUNNING);
    return err;
}

/* What had nothing to run and cannot be started again is forgotten. */
static bool useless(const struct sup *s, const struct child *c) {
    return c->state == ABSENT && (c->spec->restart == MOTE_TEMPORARY || simple(s));
}

/* Tries again when the messages that wait now have been seen: nobody is shut out, and the attempts are counted. */
static void try_later(struct sup *s, struct child *c) {
    if (simple(s)) mote_must(s->self, mote_send(s->self, mote_self_pid(s->self), "{'$gen_cast', {try_again_restart, ?}}", c->pid));
    else mote_must(s->self, mote_send(s->self, mote_self_pid(s->self), "{'$gen_cast', {try_again_restart, ?}}", child_id(c)));
    set_pid(s, c, c->pid, RESTARTING);
}

/* Starts a child that has ended; false: not now. */
static bool start_again(struct sup *s, struct child *c) {
    mote_term reason;
    if (launch(s, c, child_arg(c), &reason)) return try_later(s, c), false;
    if (useless(s, c)) forget(s, c);
    return true;
}

/* Starts those from `c` on that do not run, in order, until one fails. */
static void start_from(struct sup *s, struct child *c) {
    for (struct child *after; c; c = after) {
        after = c->after;
        if (c->state == ABSENT && !start_again(s, c)) return;
    }
}

/* ----------------------------------------------------------------------------------------------------- ends */

static int64_t shutdown_ms(const mote_child_spec *spec) {
    if (spec->shutdown_ms) return spec->shutdown_ms;
    return spec->type == MOTE_SUPERVISOR ? MOTE_INFINITY : SHUTDOWN_MS;
}

static void stop_pid(mote_self *self, mote_pid pid, int64_t limit_ms) {
    mote_term message;
    mote_ref ref;
    bool brutal = limit_ms == MOTE_BRUTAL_KILL;
    mote_must(self, mote_monitor(self, pid, &ref)); /* S3 */
    mote_must(self, mote_exit_send(self, pid, atom(brutal ? "kill" : "shutdown")));
    mote_err err = mote_receive_ref(self, brutal ? -1 : limit_ms, ref, &message);
    if (err == MOTE_TIMEOUT) {
        mote_must(self, mote_exit_send(self, pid, atom("kill")));
        err = mote_receive_ref(self, -1, ref, &message);
    }
    mote_must(self, err);
}

static void stop(struct sup *s, struct child *c) {
    if (c->state == RUNNING) stop_pid(s->self, c->pid, shutdown_ms(c->spec));
    if (c->spec->restart == MOTE_TEMPORARY || simple(s)) forget(s, c);
    else clear_pid(s, c);
}

/* Stops those from `c` on, in reverse order. */
static void stop_from(struct sup *s, struct child *c) {
    for (struct child *at = s->last, *before; at; at = before) {
        before = at == c ? NULL : at->before;
        stop(s, at);
    }
}

static void each_exit(struct sup *s, const char *reason) {
    for (struct child *c = s->first; c; c = c->after)
        if (c->state == RUNNING) mote_must(s->self, mote_exit_send(s->self, c->pid, atom(reason)));
}

/* Stops children that have no order, all at once. Whatever else comes is of no use to anybody: this is the end. */
static void stop_all_at_once(struct sup *s) {
    int64_t limit = shutdown_ms(s->model);
    mote_ref ref, alarm = mote_ref_make(s->self), timer;
    mote_pid pid;
    mote_term message;
    struct child *c;
    for (c = s->first; c; c = c->after)
        if (c->state == RUNNING) mote_must(s->self, mote_monitor(s->self, c->pid, &ref));
    each_exit(s, limit == MOTE_BRUTAL_KILL ? "kill" : "shutdown");
    if (limit > 0) mote_must(s->self, mote_send_after(s->self, limit, mote_self_pid(s->self), &timer, "{'$alarm', ?}", alarm));
    while (s->active) {
        mote_must(s->self, mote_receive(s->self, -1, &message));
        if (mote_match(message, "{'DOWN', _, process, ?, _}", &pid) && (c = find_pid(s, pid))) clear_pid(s, c);
        else if (mote_match(message, "{'$alarm', ^}", alarm)) each_exit(s, "kill");
    }
    if (limit > 0) (void)mote_timer_cancel(s->self, timer, NULL);
}

static MOTE_NORETURN void finish(struct sup *s, mote_term reason) {
    if (simple(s)) stop_all_at_once(s);
    else stop_from(s, s->first);
    mote_exit(s->self, reason);
}

static void restart(struct sup *s, struct child *c) {
    s->restarts++;
    if (!mt_window_add(&s->window, s->self)) finish(s, atom("shutdown"));
    switch (s->options.strategy) {
    case MOTE_ONE_FOR_ALL:
        stop_from(s, s->first);
        start_from(s, s->first);
        break;
    case MOTE_REST_FOR_ONE:
        stop_from(s, c);
        start_from(s, c);
        break;
    default: start_again(s, c);
    }
}

static bool orderly(mote_term reason) {
    return mote_match(reason, "normal") || mote_match(reason, "shutdown") || mote_match(reason, "{shutdown, _}");
}

/* Whether the end of a significant child is that of the supervisor. */
static bool decisive(const struct sup *s) {
    if (s->options.auto_shutdown != MOTE_ALL_SIGNIFICANT) return s->options.auto_shutdown == MOTE_ANY_SIGNIFICANT;
    for (const struct child *c = s->first; c; c = c->after)
        if (c->spec->significant && c->state != ABSENT) return false;
    return true;
}

/* A child has ended by itself. */
static void ended(struct sup *s, struct child *c, mote_term reason) {
    mote_restart rule = c->spec->restart;
    bool significant = c->spec->significant;
    clear_pid(s, c);
    if (rule == MOTE_PERMANENT || (rule == MOTE_TRANSIENT && !orderly(reason))) {
        restart(s, c);
        return;
    }
    if (rule == MOTE_TEMPORARY || simple(s)) forget(s, c);
    if (!significant || !decisive(s)) return;
    if (s->tells) mote_must(s->self, mote_send(s->self, s->parent, "{'$supervisor_done', ?}", mote_self_pid(s->self)));
    finish(s, atom("shutdown"));
}

/* ------------------------------------------------------------------------------------------------- requests */

static struct answer refused(mote_err err, const char *reason) { return (struct answer){err, atom(reason)}; }

/* What a start gave: {ok, Pid | undefined}. */
static struct answer started(struct sup *s, const struct child *c) {
    if (c->state == RUNNING) return (struct answer){MOTE_OK, BUILD(s, "{ok, ?}", c->pid)};
    return (struct answer){MOTE_OK, BUILD(s, "{ok, undefined}")};
}

static struct answer start_new(struct sup *s, struct child *c, mote_term arg) {
    struct answer a;
    if (!c) return refused(MOTE_ENOMEM, "system_limit");
    append(s, c);
    if ((a.err = launch(s, c, arg, &a.term))) {
        forget(s, c);
        return a;
    }
    a = started(s, c);
    if (useless(s, c)) forget(s, c);
    return a;
}

static mote_err check(const struct sup *s, const mote_child_spec *spec) {
    if ((spec->start != NULL) + (spec->body != NULL) + (spec->handler != NULL) != 1) return MOTE_EARG;
    if (spec->shutdown_ms < MOTE_BRUTAL_KILL || spec->restart > MOTE_TEMPORARY || spec->type > MOTE_SUPERVISOR) return MOTE_EARG;
    return spec->significant && (spec->restart == MOTE_PERMANENT || !s->options.auto_shutdown) ? MOTE_EARG : MOTE_OK;
}

static struct answer start_child(struct sup *s, mote_term packed) {
    mote_child_spec spec;
    if (simple(s) || mt_sup_unpack(packed, &spec) || check(s, &spec)) return refused(MOTE_EARG, "badarg");
    struct child *c = find(s, spec.id_term);
    if (c && c->state == RUNNING) return (struct answer){MOTE_EBUSY, BUILD(s, "{already_started, ?}", c->pid)};
    if (c) return refused(MOTE_EBUSY, "already_present");
    return start_new(s, new_child(s, &spec, false), spec.arg);
}

static struct answer start_dynamic(struct sup *s, mote_term arg) {
    if (!simple(s)) return refused(MOTE_EARG, "badarg");
    struct child *c = new_dynamic(s, &arg);
    return start_new(s, c, arg);
}

static struct answer terminate_child(struct sup *s, mote_term id) {
    if (simple(s) && mote_term_type(id) != MOTE_PID) return refused(MOTE_EARG, "simple_one_for_one");
    struct child *c = find(s, id);
    if (!c) return refused(MOTE_NOMATCH, "not_found");
    stop(s, c);
    return (struct answer){MOTE_OK, atom("ok")};
}

/* The child that does not run of that id. */
static struct answer find_absent(struct sup *s, mote_term id, struct child **child) {
    if (simple(s)) return refused(MOTE_EARG, "simple_one_for_one");
    *child = find(s, id);
    if (!*child) return refused(MOTE_NOMATCH, "not_found");
    if ((*child)->state == ABSENT) return (struct answer){MOTE_OK, atom("ok")};
    return refused(MOTE_EBUSY, (*child)->state == RUNNING ? "running" : "restarting");
}

static struct answer restart_child(struct sup *s, mote_term id) {
    struct child *c;
    struct answer a = find_absent(s, id, &c);
    if (a.err || (a.err = launch(s, c, child_arg(c), &a.term))) return a;
    return started(s, c);
}

static struct answer delete_child(struct sup *s, mote_term id) {
    struct child *c;
    struct answer a = find_absent(s, id, &c);
    if (!a.err) forget(s, c);
    return a;
}

static const char *type_name(const mote_child_spec *spec) { return spec->type == MOTE_SUPERVISOR ? "supervisor" : "worker"; }

static struct answer which_children(struct sup *s) {
    mote_term list = MOTE_TERM_NIL;
    for (struct child *c = s->first; c; c = c->after) {
        mote_term pid = c->state == RUNNING ? mote_pid_term(c->pid) : atom(c->state == RESTARTING ? "restarting" : "undefined");
        mote_term id = simple(s) ? atom("undefined") : child_id(c);
        list = mote_cons_make(s->arena, BUILD(s, "{?, ?, ?, []}", id, pid, mote_atom_make(type_name(c->spec))), list);
    }
    return mote_term_type(list) == MOTE_NONE ? refused(MOTE_ENOMEM, "system_limit") : (struct answer){MOTE_OK, list};
}

static struct answer count_children(struct sup *s, bool wrapped) {
    size_t supervisors = 0, specs = simple(s) ? 1 : s->count;
    for (struct child *c = s->first; c && !simple(s); c = c->after) supervisors += c->spec->type == MOTE_SUPERVISOR;
    if (simple(s) && s->model->type == MOTE_SUPERVISOR) supervisors = s->count;
    size_t workers = s->count - supervisors;
    mote_term list = BUILD(s, "[{specs, ?}, {active, ?}, {supervisors, ?}, {workers, ?}]", specs, s->active, supervisors, workers);
    return (struct answer){MOTE_OK, wrapped ? BUILD(s, "{?, ?}", list, s->restarts) : list};
}

/* As Erlang's map; its start is not for Erlang, and undefined. */
static mote_term spec_map(struct sup *s, const mote_child_spec *spec, mote_term id) {
    static const char *const restarts[] = {"permanent", "transient", "temporary"};
    int64_t ms = shutdown_ms(spec);
    mote_term shutdown = ms >= 0 ? mote_int_make(s->arena, ms) : atom(ms == MOTE_INFINITY ? "infinity" : "brutal_kill");
    return BUILD(s, "#{id => ?, start => undefined, restart => ?, shutdown => ?, type => ?, modules => [], significant => ?}", id,
                 mote_atom_make(restarts[spec->restart]), shutdown, mote_atom_make(type_name(spec)), spec->significant);
}

static struct answer get_childspec(struct sup *s, mote_term id, bool wrapped) {
    mote_pid pid;
    mote_term packed;
    struct child *c = find(s, id);
    if (!c && mote_pid_get(id, &pid) == MOTE_OK) c = find_pid(s, pid);
    if (!c) return refused(MOTE_NOMATCH, "not_found");
    mote_child_spec spec = *c->spec;
    spec.id_term = simple(s) ? atom("undefined") : child_id(c);
    spec.arg = child_arg(c);
    if (!wrapped) return (struct answer){MOTE_OK, BUILD(s, "{ok, ?}", spec_map(s, &spec, spec.id_term))};
    mote_err err = mt_sup_pack(s->arena, &spec, &packed);
    return err ? refused(err, "system_limit") : (struct answer){MOTE_OK, packed};
}

static struct answer serve(struct sup *s, mote_term request, bool wrapped) {
    mote_term a;
    if (mote_match(request, "{start_spec, ?}", &a)) return start_child(s, a);
    if (mote_match(request, "{start_child, ?}", &a)) return start_dynamic(s, a);
    if (mote_match(request, "start_child")) return start_dynamic(s, MOTE_TERM_NONE);
    if (mote_match(request, "{terminate_child, ?}", &a)) return terminate_child(s, a);
    if (mote_match(request, "{restart_child, ?}", &a)) return restart_child(s, a);
    if (mote_match(request, "{delete_child, ?}", &a)) return delete_child(s, a);
    if (mote_match(request, "which_children")) return which_children(s);
    if (mote_match(request, "count_children")) return count_children(s, wrapped);
    if (mote_match(request, "{get_childspec, ?}", &a)) return get_childspec(s, a, wrapped);
    return refused(MOTE_EARG, "badarg");
}

/* A caller that cannot be answered hears of the supervisor's end, and never waits for ever. */
static void answered(struct sup *s, mote_err err) {
    if (err == MOTE_ENOMEM || err == MOTE_ELIMIT) mote_must(s->self, err);
}

static void call(struct sup *s, mote_term from, mote_term request) {
    mote_term inner;
    bool wrapped = mote_match(request, "{mote, ?}", &inner);
    struct answer a = serve(s, wrapped ? inner : request, wrapped);
    if (wrapped) answered(s, mote_reply(s->self, from, "{?, ?}", (int)a.err, a.term));
    else if (a.err) answered(s, mote_reply(s->self, from, "{error, ?}", a.term));
    else answered(s, mote_reply_term(s->self, from, a.term));
}

/* ----------------------------------------------------------------------------------------------- the process */

static void exit_came(struct sup *s, mote_pid from, mote_term reason) {
    struct child *c = find_pid(s, from);
    if (from.word == s->parent.word) finish(s, reason);
    if (c && c->state == RUNNING) ended(s, c, reason); /* S4 */
}

static void try_again(struct sup *s, mote_term id) {
    struct child *c = find(s, id);
    if (c && c->state == RESTARTING) restart(s, c);
}

static void handle(struct sup *s, mote_term message) {
    mote_term a, b;
    mote_pid pid;
    if (mote_match(message, "{'EXIT', ?, ?}", &pid, &a)) exit_came(s, pid, a);
    else if (mote_match(message, "{'$gen_call', ?, ?}", &a, &b)) call(s, a, b);
    else if (mote_match(message, "{'$gen_cast', {try_again_restart, ?}}", &a)) try_again(s, a);
    else if (mote_match(message, "{system, _, {terminate, ?}}", &a)) finish(s, a);
    else if (mote_match(message, "{system, ?, ?}", &a, &b)) answered(s, mote_reply(s->self, a, "{error, {unknown_system_msg, ?}}", b));
}

/* Terms that are stored do not belong to the process; it has not given its memory back yet. */
static void release(void *context) {
    struct sup *s = context;
    for (struct child *c = s->first; c; c = c->after) {
        mt_stored_drop(&c->id);
        mt_stored_drop(&c->arg);
    }
    mote_arena_free(s->arena);
}

static struct sup *prepare(mote_self *self, const struct mt_sup_plan *plan) {
    struct sup *s = mote_alloc(self, sizeof *s);
    if (!s || !(s->arena = mote_arena_new(0))) return NULL;
    s->self = self;
    s->options = plan->options;
    s->parent = plan->parent;
    s->tells = plan->tells;
    int intensity = plan->options.intensity ? plan->options.intensity : 1;
    s->window.limit = intensity < 0 ? 0 : (size_t)intensity;
    s->window.period_ms = 1000u * (uint64_t)(plan->options.period_s ? plan->options.period_s : 5);
    mt_index_init(&s->by_id, self);
    mt_index_init(&s->by_pid, self);
    mote_must(self, mote_cleanup_add(self, release, s));
    return s;
}

static struct answer take_name(struct sup *s, mote_term name) {
    mote_pid holder = mote_self_pid(NULL);
    mote_err err = mote_term_type(name) == MOTE_ATOM ? mote_register(s->self, name, mote_self_pid(s->self)) : MOTE_OK;
    if (err == MOTE_EBUSY && mote_whereis(s->self, name, &holder) == MOTE_OK)
        return (struct answer){err, BUILD(s, "{shutdown, {already_started, ?}}", holder)};
    return (struct answer){err, BUILD(s, "{shutdown, {mote_error, ?}}", mote_atom_make(mote_err_name(err)))};
}

/* Takes in one specification of the options and starts it, unless it is the common one. */
static struct answer take_child(struct sup *s, const mote_child_spec *spec) {
    struct answer a = refused(MOTE_OK, "badarg");
    if (check(s, spec)) return refused(MOTE_EARG, "badarg");
    if (!simple(s) && find(s, spec->id_term)) return (struct answer){MOTE_EARG, BUILD(s, "{duplicate_child_name, ?}", spec->id_term)};
    struct child *c = new_child(s, spec, true);
    if (!c) return refused(MOTE_ENOMEM, "system_limit");
    if (simple(s)) {
        s->model = c->spec;
        return a;
    }
    append(s, c);
    a.err = launch(s, c, spec->arg, &a.term);
    if (a.err || useless(s, c)) forget(s, c);
    return a;
}

static struct answer take_children(struct sup *s, mote_term list) {
    mote_child_spec spec;
    mote_term head;
    while (mote_list_get(list, &head, &list) == MOTE_OK) {
        mote_must(s->self, mt_sup_unpack(head, &spec));
        struct answer a = take_child(s, &spec);
        if (a.err) return (struct answer){a.err, BUILD(s, "{shutdown, {failed_to_start_child, ?, ?}}", spec.id_term, a.term)};
    }
    return (struct answer){MOTE_OK, MOTE_TERM_NIL};
}

/* The parent gets the error as a value: it is not ended by it. */
static MOTE_NORETURN void not_started(struct sup *s, mote_ref start, struct answer a) {
    stop_from(s, s->first);
    mote_must(s->self, mote_unlink(s->self, s->parent));
    mote_must(s->self, mote_send(s->self, s->parent, "{?, ?}", start, (int)a.err));
    mote_exit(s->self, a.term);
}

void mt_supervise(mote_self *self, mote_term arg) {
    mote_term bytes, name, children, message;
    mote_ref start;
    struct mt_sup_plan plan;
    struct sup *s;
    mote_must(self, mote_receive_match(self, -1, "{'$start', ?}", &start));
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    mote_assert(self, mote_match(arg, "{?, ?, ?}", &bytes, &name, &children) && !mt_unseal(bytes, &plan, sizeof plan));
    mote_must(self, (s = prepare(self, &plan)) ? MOTE_OK : MOTE_ENOMEM);
    struct answer a = take_name(s, name);
    if (!a.err) a = take_children(s, children);
    if (a.err) not_started(s, start, a);
    mote_must(self, mote_send(self, s->parent, "{?, 0}", start));
    for (;;) {
        mote_must(self, mote_receive(self, -1, &message));
        mote_arena_reset(s->arena);
        message = mote_term_copy(s->arena, message); /* what it does may need other messages */
        if (mote_term_type(message) == MOTE_NONE) mote_must(self, MOTE_ENOMEM);
        handle(s, message);
    }
}
