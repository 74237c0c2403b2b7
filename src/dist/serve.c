/* SPDX-License-Identifier: Apache-2.0
 * Processes that peers start here: in functions that are exported, and in no others (W1). What they are asked for is spawn, erpc and rex, by one table.
 *
 * W1 a function that is not exported behaves as one that does not exist. W2 the answer to a request goes before whatever its process sends: it is put before anybody can know the process. W3 what
 *    a peer has running is counted from then until the process has ended, also when the connection has ended before it.
 */
#include <stdio.h>
#include <string.h>

#include "dist/node.h"

#define ARGUMENTS_MAX 255u

/* One such process. Its own, but `peer`. */
struct served {
    struct mt_dist *dist;
    struct mt_peer_facts *peer; /* which it counts for; NULL: none */
    enum mt_answer kind;
    const struct mt_export *export; /* NULL: there is no such function */
    mote_arena *arena;          /* of all terms here */
    mote_term module, function, args;
    mote_term tag, from;        /* of the answer, and who gets it */
    mote_ref timer;             /* that ends it; 0: none */
    bool returned;
    struct mt_reason answer;    /* returned */
    size_t count;
    mote_term list[];           /* args */
};

/* ------------------------------------------------------------------------------------------------- limits */

unsigned mt_rights_of(struct mt_dist *d, uint64_t node) {
    mt_lock_take(&d->mu);
    const struct mt_peer_facts *f = d->facts;
    while (f && f->node != node) f = f->next;
    unsigned rights = f && f->has_rights ? f->rights : d->options.rights;
    mt_lock_drop(&d->mu);
    return rights;
}

bool mt_has_right(struct mt_dist *d, uint64_t node, unsigned right) { return mt_rights_of(d, node) & right; }

void mt_refused(struct mt_dist *d, uint64_t node, const char *what, const char *why) {
    uint64_t now = mt_os_now_ns();
    uint32_t missed = 0;
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node);
    bool tells = !f || !f->told_ns || now - f->told_ns >= MT_REFUSED_NS;
    if (f && tells) {
        f->told_ns = now;
        missed = f->missed;
        f->missed = 0;
    } else if (f) {
        f->missed++;
    }
    mt_lock_drop(&d->mu);
    if (!tells) return;
    char more[60] = "";
    if (missed) snprintf(more, sizeof more, "; %u refusals before this were not told", missed);
    mt_log(d->runtime, MOTE_LOG_WARNING, "%s may not %s here: %s%s", mote_atom_name((mote_atom){node}, NULL), what, why, more);
}

/* Counts one more process of a peer; false: it has too many, or starts too many in a second. `starts`: the second counts. */
static bool admit(struct mt_dist *d, uint64_t node, bool starts, struct mt_peer_facts **peer) {
    uint64_t now = mt_os_now_ns();
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node);
    bool fits = f && f->running < d->options.processes_max;
    if (f && starts) {
        uint64_t gained = f->refilled_ns ? (now - f->refilled_ns) / (UINT64_C(1000000000) / MT_STARTS_A_SECOND) : MT_STARTS_AT_ONCE;
        if (gained) f->refilled_ns = now;
        f->starts = (uint32_t)(gained + f->starts > MT_STARTS_AT_ONCE ? MT_STARTS_AT_ONCE : gained + f->starts);
        fits = fits && f->starts > 0;
        if (fits) f->starts--;
    }
    if (fits) f->running++;
    mt_lock_drop(&d->mu);
    if (!fits) mt_refused(d, node, "start more processes", "it has as many as it may, or starts too many in a second (mote_node_options.processes_max)");
    *peer = f;
    return fits;
}

static void leave(struct mt_dist *d, struct mt_peer_facts *peer) {
    if (!peer) return;
    mt_lock_take(&d->mu);
    peer->running--;
    mt_lock_drop(&d->mu);
}

/* ------------------------------------------------------------------------------------------------- answers */

/* [{Module, Function, Args or Arity, Where}] */
static mote_term stack_of(mote_arena *a, const struct served *v, bool args, mote_term where) {
    mote_term call = MOTE_TERM_NONE;
    if (args && mote_build(a, &call, "[{?, ?, ?, ?}]", v->module, v->function, v->args, where)) return MOTE_TERM_NONE;
    if (!args && mote_build(a, &call, "[{?, ?, ?, ?}]", v->module, v->function, v->count, where)) return MOTE_TERM_NONE;
    return call;
}

/* [{file, File}, {line, Line}] as Erlang has it: text is a list there. */
static mote_term where_of(mote_arena *a, mote_bytes file, int64_t line) {
    mote_term name = MOTE_TERM_NIL, where;
    for (size_t i = file.size; i; i--) name = mote_cons_make(a, mote_int_make(a, ((const uint8_t *)file.data)[i - 1]), name);
    return mote_build(a, &where, "[{file, ?}, {line, ?}]", name, line) ? MOTE_TERM_NONE : where;
}

/* What has ended it: error, What and Stack, or exit and What. */
static void outcome(mote_arena *a, const struct served *v, mote_term reason, mote_term *what, mote_term *stack) {
    mote_bytes file;
    int64_t line;
    *stack = MOTE_TERM_NONE;
    *what = reason;
    if (!v->export) {
        *what = mote_atom_term((mote_atom){MT_WORD_OF(undef)});
        *stack = stack_of(a, v, true, MOTE_TERM_NIL);
    } else if (mote_match(reason, "{error, ?, {?, ?}}", what, &file, &line)) {
        *stack = stack_of(a, v, false, where_of(a, file, line));
    }
}

/* As erpc:execute_call/4 ends. */
static mote_term erpc_reason(mote_arena *a, const struct served *v, mote_term reason) {
    mote_term what, stack, out;
    outcome(a, v, reason, &what, &stack);
    mote_err err = stack.word ? mote_build(a, &out, "{?, error, ?, ?}", v->tag, what, stack) : mote_build(a, &out, "{?, exit, ?}", v->tag, what);
    return err ? MOTE_TERM_NONE : out;
}

/* As rex answers. */
static mote_term rex_result(mote_arena *a, const struct served *v, mote_term reason) {
    mote_term what, stack, out;
    outcome(a, v, reason, &what, &stack);
    mote_err err = stack.word ? mote_build(a, &out, "{badrpc, {'EXIT', {?, ?}}}", what, stack) : mote_build(a, &out, "{badrpc, {'EXIT', ?}}", what);
    return err ? MOTE_TERM_NONE : out;
}

static void answer_rex(mote_self *self, struct served *v, mote_term result) {
    if (result.word) mt_service_answer(self, v->arena, v->kind, v->from, v->tag, result);
}

static void drop(struct served *v) {
    mt_reason_drop(&v->answer);
    mote_arena_free(v->arena);
    mt_os_free(v);
}

/* Its last word. What ends it from outside is told as it is: nobody takes that for an answer. */
static void ended(struct mt_proc *p, void *context, struct mt_reason *reason) {
    struct served *v = context;
    bool killed = p->flags & MT_PF_EXITING;
    mote_self *self = mt_as_self(p);
    struct mt_reason last = {MT_WORD_OF(system_limit), NULL};
    if (v->timer.word) (void)mote_timer_cancel(self, v->timer, NULL);
    if (v->kind == MT_ANSWER_ERPC && (v->returned || !killed)) {
        mote_term term = v->returned ? MOTE_TERM_NONE : erpc_reason(v->arena, v, (mote_term){reason->word});
        if (v->returned) last = v->answer;
        else if (term.word && mt_reason_of(term, NULL, &last)) last = (struct mt_reason){MT_WORD_OF(system_limit), NULL};
        v->answer = (struct mt_reason){MT_NIL_WORD, NULL};
        mt_reason_drop(reason);
        *reason = last;
    } else if (!v->returned && (v->kind == MT_ANSWER_CALL || v->kind == MT_ANSWER_REX)) {
        answer_rex(self, v, rex_result(v->arena, v, (mote_term){reason->word}));
    }
    leave(v->dist, v->peer);
    drop(v);
}

/* ------------------------------------------------------------------------------------------------ running */

static bool is_call(const struct served *v) { return v->kind != MT_ANSWER_NONE; }

/* Without memory for it the result is an error as others. */
static void give(mote_self *self, struct served *v, mote_term result) {
    mote_term term = MOTE_TERM_NONE;
    if (!result.word) mote_error(self, mote_atom_term((mote_atom){MT_WORD_OF(system_limit)}));
    if (v->kind == MT_ANSWER_ERPC) {
        if (mote_build(v->arena, &term, "{?, return, ?}", v->tag, result) || mt_reason_of(term, NULL, &v->answer))
            mote_error(self, mote_atom_term((mote_atom){MT_WORD_OF(system_limit)}));
    } else {
        answer_rex(self, v, result);
    }
    v->returned = true;
}

/* The body of all of them. */
static void serve(mote_self *self, mote_term arg) {
    uint64_t address = 0;
    mote_must(self, mote_uint_get(arg, &address));
    struct served *v = (struct served *)(uintptr_t)address;
    const struct mt_export *e = v->export;
    mote_term stack, reason, result = mote_atom_term((mote_atom){MT_WORD_OF(ok)});
    if (!e && is_call(v)) return; /* ended() says it */
    if (!e) {
        stack = stack_of(v->arena, v, true, MOTE_TERM_NIL);
        if (!stack.word || mote_build(v->arena, &reason, "{undef, ?}", stack)) reason = mote_atom_term((mote_atom){MT_WORD_OF(undef)});
        mote_exit(self, reason);
    }
    if (is_call(v) && v->dist->options.call_ms != UINT32_MAX)
        mote_must(self, mote_exit_after(self, v->dist->options.call_ms, mote_self_pid(self), mote_atom_term((mote_atom){MT_WORD_OF(timeout)}), &v->timer));
    if (e->body) e->body(self, v->list[0]);
    else result = e->call(self, v->count, v->list, e->context);
    give(self, v, result);
}

/* What is to be started; takes the arena. NULL: no memory, or no list of at most 255 (*err says it). */
static struct served *prepare(struct mt_dist *d, const struct mt_asked *asked, mote_err *err) {
    size_t count = 0;
    *err = mote_list_length(asked->args, &count);
    if (!*err && count > ARGUMENTS_MAX) *err = MOTE_ETERM;
    struct served *v = *err ? NULL : mt_os_alloc_zero(sizeof *v + count * sizeof *v->list);
    if (!v) {
        if (!*err) *err = MOTE_ENOMEM;
        mote_arena_free(asked->arena);
        return NULL;
    }
    *v = (struct served){.dist = d, .kind = asked->kind, .arena = asked->arena, .module = asked->module, .function = asked->function, .args = asked->args, .tag = asked->tag,
                         .from = asked->from, .count = count, .answer = {MT_NIL_WORD, NULL}};
    mote_term rest = asked->args;
    for (size_t i = 0; i < count; i++) (void)!mote_list_get(rest, &v->list[i], &rest);
    if (mote_term_type(v->module) == MOTE_ATOM && mote_term_type(v->function) == MOTE_ATOM) v->export = mt_exported(d->runtime, v->module.word, v->function.word, count);
    return v;
}

struct birth {
    struct served *served;
    mote_err (*born)(void *context, struct mt_proc *child);
    void *context;
};

static mote_err born(void *context, struct mt_proc *child) {
    struct birth *b = context;
    mote_err err = mt_more(child);
    if (err || (b->born && (err = b->born(b->context, child)))) return err;
    child->more->ending = ended;
    child->more->ending_context = b->served;
    return MOTE_OK;
}

mote_err mt_serve_start(mote_self *self, struct mt_dist *d, const struct mt_asked *asked, mote_err (*first)(void *context, struct mt_proc *child), void *context) {
    mote_err err;
    struct served *v = prepare(d, asked, &err);
    if (!v) return err;
    char name[64];
    snprintf(name, sizeof name, "%.30s:%.30s", mote_atom_name((mote_atom){v->module.word}, NULL), mote_atom_name((mote_atom){v->function.word}, NULL));
    struct birth b = {v, first, context};
    const mote_spawn_options options = {.body = serve, .name = name, .hosted = v->export && v->export->hosted};
    if (asked->node && !admit(d, asked->node, asked->kind == MT_ANSWER_NONE, &v->peer)) {
        drop(v);
        return MOTE_ELIMIT;
    }
    mote_term arg = mote_uint_make(v->arena, (uint64_t)(uintptr_t)v);
    err = mt_spawn_born(mt_self(self), &options, arg, born, &b, NULL);
    if (!err) return MOTE_OK;
    leave(d, v->peer);
    drop(v);
    return err;
}

/* --------------------------------------------------------------------------------------- requests of peers */

struct request {
    mote_self *self;
    struct mt_link *link;
    const struct mt_control *control;
    uint64_t from; /* the word of who asks */
    bool link_it, monitor_it;
};

static bool reply(const struct request *r, uint64_t sender, struct mt_control *c) {
    c->op = MT_CONTROL_SPAWN_REPLY;
    c->ref = r->control->ref;
    c->to = r->control->from;
    return mt_link_put(r->link, mt_self(r->self)->task.sched, sender, c, 0);
}

static void refuse(const struct request *r, const char *why) {
    struct mt_control c = {.named = true, .name = {why, strlen(why), false}};
    (void)reply(r, 0, &c);
}

/* W2: relations first, then the answer; nothing of the process can go before it. */
static mote_err granted(void *context, struct mt_proc *child) {
    const struct request *r = context;
    uint64_t pid = mt_proc_pid(child), own = 0;
    if (r->monitor_it && mt_watch_add(r->self, r->link, &r->control->ref, pid, &own)) return MOTE_ELIMIT;
    mote_err err = r->link_it ? mt_tie_add(r->link, pid, &r->control->from) : MOTE_OK;
    if (!err) err = mt_relate_child_far(mt_self(r->self)->task.sched, child, r->from, r->link_it, own);
    struct mt_far_ref ref;
    struct mt_control c = {.flags = (r->link_it ? MT_STARTS_LINKED : 0) | (r->monitor_it ? MT_STARTS_MONITORED : 0), .from = mt_far_pid_of(r->link->dist, pid)};
    if (!err && !reply(r, pid, &c)) err = MOTE_ENOMEM;
    if (err && own) (void)mt_watch_take(r->link, own, &ref);
    if (err) mt_tie_cut(r->link, pid, &r->control->from);
    return err;
}

/* The options; what tunes Erlang's memory says nothing here. False: one that nobody knows. */
static bool read_options(struct request *r, mote_term options) {
    static const char *const harmless[] = {"priority", "min_heap_size", "min_bin_vheap_size", "fullsweep_after", "message_queue_data", "max_heap_size", "async_dist", "scheduler"};
    mote_term option, name, value;
    for (; mote_list_get(options, &option, &options) == MOTE_OK;) {
        if (mote_match(option, "link")) r->link_it = true;
        else if (mote_match(option, "monitor") || mote_match(option, "{monitor, _}")) r->monitor_it = true;
        else if (mote_match(option, "{?, ?}", &name, &value) && mote_term_type(name) == MOTE_ATOM) {
            bool known = false;
            for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) known = known || strcmp(mote_atom_name((mote_atom){name.word}, NULL), harmless[i]) == 0;
            if (!known) return false;
        } else {
            return false;
        }
    }
    return options.word == MT_NIL_WORD;
}

static mote_term atom_of(mote_arena *a, const mote_name *name) {
    char buffer[510];
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    return mote_atom_make_counted(a, utf8.data, utf8.size);
}

/* What a call asks for: as erpc:execute_call/4, or execute_cast/3. */
static bool is_erpc(const struct mt_control *c) {
    return mt_name_is(&c->module, "erpc") && ((mt_name_is(&c->function, "execute_call") && c->arity == 4) || (mt_name_is(&c->function, "execute_cast") && c->arity == 3));
}

/* Reads what is asked for. MOTE_EARG: it cannot be; others as of terms. */
static mote_err read_asked(struct request *r, bool erpc, struct mt_asked *asked, bool *fits) {
    const struct mt_control *c = r->control;
    mote_term options, args;
    size_t count;
    mote_err err = mt_link_term(r->link, asked->arena, c->options, &options);
    if (!err) err = mt_link_term(r->link, asked->arena, c->payload, &args);
    if (err) return err;
    *fits = read_options(r, options);
    if (mote_list_length(args, &count) || count != c->arity) return MOTE_EARG;
    asked->args = args;
    if (!erpc) {
        mt_atom_payer(r->link->purse);
        asked->module = atom_of(asked->arena, &c->module);
        asked->function = atom_of(asked->arena, &c->function);
        mt_atom_payer(NULL);
        return asked->module.word && asked->function.word ? MOTE_OK : MOTE_ENOMEM;
    }
    asked->kind = c->arity == 4 ? MT_ANSWER_ERPC : MT_ANSWER_CAST;
    bool all = c->arity == 4 ? mote_match(args, "[?, ?, ?, ?]", &asked->tag, &asked->module, &asked->function, &asked->args)
                             : mote_match(args, "[?, ?, ?]", &asked->module, &asked->function, &asked->args);
    return all && mote_term_type(asked->module) == MOTE_ATOM && mote_term_type(asked->function) == MOTE_ATOM && !mote_list_length(asked->args, &count) ? MOTE_OK : MOTE_EARG;
}

static bool may(struct mt_dist *d, uint64_t node, bool calls) {
    if (mt_has_right(d, node, calls ? MOTE_RIGHT_RPC : MOTE_RIGHT_SPAWN)) return true;
    mt_refused(d, node, calls ? "call functions" : "start processes", calls ? "it has no MOTE_RIGHT_RPC" : "it has no MOTE_RIGHT_SPAWN");
    return false;
}

/* Visible nodes ask whose a global name is that two have: who takes part in that has agreed to it (lib/global.c). */
static bool asks_for_name(struct mt_link *link, mote_term module, mote_term function) {
    mt_lock_take(&link->dist->mu);
    bool hidden = link->hidden;
    mt_lock_drop(&link->dist->mu);
    return !hidden && link->dist->options.global_names && mote_match(module, "global") && mote_match(function, "resolve_it");
}

enum mt_verdict mt_serve_spawn(mote_self *self, struct mt_link *link, const struct mt_control *c, uint64_t from) {
    struct request r = {.self = self, .link = link, .control = c, .from = from};
    struct mt_asked asked = {.node = link->node, .kind = MT_ANSWER_NONE};
    bool erpc = is_erpc(c), fits = true, names = erpc && link->dist->options.global_names; /* then what it asks for is read first */
    if (!names && !may(link->dist, link->node, erpc)) {
        refuse(&r, "denied");
        return MT_FINE;
    }
    asked.arena = mote_arena_new(0);
    mote_err err = from && asked.arena ? read_asked(&r, erpc, &asked, &fits) : MOTE_ENOMEM;
    if (names && !err && !asks_for_name(link, asked.module, asked.function) && !may(link->dist, link->node, erpc)) {
        mote_arena_free(asked.arena);
        refuse(&r, "denied");
        return MT_FINE;
    }
    if (err || !fits) {
        mote_arena_free(asked.arena);
        refuse(&r, err == MOTE_ENOMEM ? "system_limit" : err ? "badarg" : "badopt");
        return err == MOTE_EARG ? MT_FINE : mt_term_verdict(err);
    }
    err = mt_serve_start(self, link->dist, &asked, granted, &r);
    if (err) refuse(&r, err == MOTE_ETERM ? "badarg" : "system_limit");
    return MT_FINE;
}

/* -------------------------------------------------------------------------------------------------- rex */

/* What is asked for with copies of its terms, since its message goes. */
static mote_err copy(const struct mt_asked *asked, struct mt_asked *own) {
    mote_arena *a = mote_arena_new(0);
    *own = *asked;
    own->arena = a;
    mote_term *terms[] = {&own->module, &own->function, &own->args, &own->tag, &own->from};
    for (size_t i = 0; a && i < sizeof terms / sizeof *terms; i++) {
        if (!terms[i]->word) *terms[i] = MOTE_TERM_NIL; /* nobody waits */
        if ((*terms[i] = mote_term_copy(a, *terms[i])).word) continue;
        mote_arena_free(a);
        return MOTE_ENOMEM;
    }
    return a ? MOTE_OK : MOTE_ENOMEM;
}

const char *mt_serve_rex(mote_self *self, struct mt_link *link, const struct mt_asked *asked) {
    struct mt_asked own;
    size_t count;
    if (!may(link->dist, link->node, true)) return "denied";
    if (mote_term_type(asked->module) != MOTE_ATOM || mote_term_type(asked->function) != MOTE_ATOM || mote_list_length(asked->args, &count)) return "badarg";
    mote_err err = copy(asked, &own);
    own.node = link->node;
    if (!err) err = mt_serve_start(self, link->dist, &own, NULL, NULL);
    return !err ? NULL : err == MOTE_ETERM ? "badarg" : "system_limit";
}
