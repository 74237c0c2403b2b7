/* SPDX-License-Identifier: Apache-2.0
 * Processes that we start on other nodes, and functions that we call there; on this one, too, without a connection. */
#include <string.h>

#include "dist/node.h"

#define ARGUMENTS_MAX 255u

_Static_assert(MOTE_SPAWN_LINK == MT_STARTS_LINKED && MOTE_SPAWN_MONITOR == MT_STARTS_MONITORED && MOTE_SPAWN_QUIET == MT_STARTS_QUIETLY, "the same");
#define OPTIONS (MOTE_SPAWN_LINK | MOTE_SPAWN_MONITOR | MOTE_SPAWN_QUIET)

/* What is asked for. */
struct asking {
    mote_self *self;
    struct mt_dist *dist;
    mote_atom node;
    unsigned options;
    mote_ref ref; /* of the request; 0: nobody waits for an answer */
};

static bool is_atom(mote_atom atom) { return atom.word && mt_tag(atom.word) == MT_ATOM; }

static mote_err begin(struct asking *a, mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args) {
    size_t count;
    if (!self) return MOTE_ESELF;
    *a = (struct asking){.self = self, .dist = mt_dist_of(mt_runtime(mt_self(self))), .node = node};
    if (!is_atom(node) || !is_atom(module) || !is_atom(function)) return MOTE_EARG;
    if (!a->dist) return MOTE_ENOPROC;
    return mote_list_length(args, &count) || count > ARGUMENTS_MAX ? MOTE_ETERM : MOTE_OK;
}

/* ------------------------------------------------------------------------------------------- on this node */

/* Nobody knows the process yet: its relations, then the answer. */
static mote_err born_here(void *context, struct mt_proc *child) {
    struct asking *a = context;
    struct mt_proc *self = mt_self(a->self);
    struct mt_sig *sig = NULL;
    const mote_spawn_options link = {.link = a->options & MOTE_SPAWN_LINK};
    mote_err err = mt_relate_child(self, child, &link);
    if (!err && (a->options & MOTE_SPAWN_MONITOR)) err = mt_watch_child(self, child, a->ref.word);
    if (err || !a->ref.word || (a->options & MOTE_SPAWN_QUIET)) return err;
    const mote_term parts[4] = {{MT_WORD_OF(spawn_reply)}, mote_ref_term(a->ref), {MT_WORD_OF(ok)}, {mt_proc_pid(child)}};
    mote_arena *arena = mote_arena_new(0);
    mote_term reply = arena ? mote_tuple_make(arena, 4, parts) : MOTE_TERM_NONE;
    err = reply.word ? mt_sig_of_term(mt_cache_of(self), reply, 0, NULL, &sig) : MOTE_ENOMEM;
    mote_arena_free(arena);
    if (!err) mt_deliver(self->task.sched, mt_proc_pid(self), sig);
    return err;
}

static mote_err start_here(struct asking *a, enum mt_answer kind, mote_atom module, mote_atom function, mote_term args) {
    struct mt_asked asked = {.kind = kind, .arena = mote_arena_new(0), .module = mote_atom_term(module), .function = mote_atom_term(function), .tag = MOTE_TERM_NIL};
    if (a->options && !a->ref.word) a->ref = mote_ref_make(a->self);
    if (a->ref.word) asked.tag = mote_ref_term(a->ref);
    if (asked.arena) asked.args = mote_term_copy(asked.arena, args);
    if (asked.args.word) asked.module = mote_term_copy(asked.arena, asked.module);
    if (asked.args.word) asked.function = mote_term_copy(asked.arena, asked.function);
    if (asked.args.word && asked.module.word && asked.function.word) return mt_serve_start(a->self, a->dist, &asked, born_here, a);
    mote_arena_free(asked.arena);
    return MOTE_ENOMEM;
}

/* -------------------------------------------------------------------------------------------- on another */

/* The word of the node, as relations know it. */
static uint64_t word_of(const struct asking *a) {
    const struct mt_remote_id id = {.node = a->node.word, .kind = MT_REMOTE_NAME, .name = MT_WORD_OF(undefined)};
    return mt_far_word_of(a->dist->runtime, &id);
}

static mote_err send(struct asking *a, uint64_t where, mote_arena *arena, mote_atom module, mote_atom function, mote_term args) {
    struct mt_proc *self = mt_self(a->self);
    const mote_pid me = mote_self_pid(a->self);
    struct mt_sig *sig;
    mote_term request;
    mote_err err = mote_build(arena, &request, "{?, ?, ?, ?, ?, ?}", a->ref, me, module, function, args, a->options);
    if (!err) err = mt_sig_of_term(mt_cache_of(self), request, 0, NULL, &sig);
    if (err) return err;
    sig->kind = MT_SIG_SPAWN;
    mt_request_send(self, where, a->ref.word, sig);
    return MOTE_OK;
}

/* Sends the request: of a function, or (`call`) of one that calls it and ends with its result. */
static mote_err start_there(struct asking *a, bool call, bool cast, mote_atom module, mote_atom function, mote_term args) {
    uint64_t where = word_of(a);
    mote_arena *arena = where ? mote_arena_new(0) : NULL;
    mote_err err = arena ? MOTE_OK : MOTE_ENOMEM;
    if (!err && !cast) err = mt_request_new(mt_self(a->self), where, a->options, &a->ref.word);
    if (cast) a->ref = mote_ref_make(a->self);
    if (!err && cast) err = mote_build(arena, &args, "[?, ?, ?]", module, function, args);
    else if (!err && call) err = mote_build(arena, &args, "[?, ?, ?, ?]", a->ref, module, function, args);
    if (cast || call) {
        module = mote_atom_make("erpc");
        function = mote_atom_make(cast ? "execute_cast" : "execute_call");
    }
    if (!err) err = send(a, where, arena, module, function, args);
    if (err && a->ref.word && !cast) (void)mote_demonitor(a->self, a->ref, false, NULL);
    mote_arena_free(arena);
    return err;
}

static bool is_here(const struct asking *a) { return a->node.word == a->dist->net.name; }

/* ------------------------------------------------------------------------------------------------ spawning */

mote_err mote_spawn_request(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, unsigned options, mote_ref *ref) {
    struct asking a;
    mote_err err = begin(&a, self, node, module, function, args);
    if (err || !ref || (options & ~(unsigned)OPTIONS)) return err ? err : MOTE_EARG;
    a.options = options;
    if (!is_here(&a)) {
        err = start_there(&a, false, false, module, function, args);
    } else {
        a.ref = mote_ref_make(self);
        err = start_here(&a, MT_ANSWER_NONE, module, function, args);
    }
    if (!err) *ref = a.ref;
    return err;
}

mote_err mote_spawn_at(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, unsigned options, int64_t timeout_ms, mote_pid *pid, mote_ref *ref) {
    mote_ref request;
    mote_term state, what;
    if (!self) return MOTE_ESELF;
    if (mt_task_kind(&mt_self(self)->task) == MT_HANDLER) return MOTE_ECONTEXT;
    mote_err err = mote_spawn_request(self, node, module, function, args, options & ~(unsigned)MOTE_SPAWN_QUIET, &request);
    if (err) return err;
    if ((err = mote_receive_match(self, timeout_ms, "{spawn_reply, ^, ?, ?}", request, &state, &what))) {
        (void)mote_demonitor(self, request, true, NULL); /* given up */
        return err;
    }
    if (state.word != MT_WORD_OF(ok)) return what.word == MT_WORD_OF(noconnection) ? MOTE_ENOPROC : what.word == MT_WORD_OF(system_limit) ? MOTE_ELIMIT : MOTE_ECALL;
    if (pid && (err = mote_pid_get(what, pid))) return err;
    if (ref) *ref = request;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- calling */

mote_err mote_rpc_start(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, mote_ref *ref) {
    struct asking a;
    mote_err err = begin(&a, self, node, module, function, args);
    if (err || !ref) return err ? err : MOTE_EARG;
    a.options = MOTE_SPAWN_MONITOR | MOTE_SPAWN_QUIET;
    err = is_here(&a) ? start_here(&a, MT_ANSWER_ERPC, module, function, args) : start_there(&a, true, false, module, function, args);
    if (!err) *ref = a.ref;
    return err;
}

mote_err mote_rpc_cast(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args) {
    struct asking a;
    mote_err err = begin(&a, self, node, module, function, args);
    if (err) return err;
    return is_here(&a) ? start_here(&a, MT_ANSWER_CAST, module, function, args) : start_there(&a, true, true, module, function, args);
}

/* What a call has ended with, by the reason of its process. */
static mote_err result_of(mote_arena *arena, mote_term reason, mote_ref ref, mote_term *result) {
    mote_term what, stack;
    mote_err err;
    if (mote_match(reason, "{^, return, ?}", ref, result)) return MOTE_OK;
    *result = reason;
    if (reason.word == MT_WORD_OF(noconnection)) return MOTE_ENOPROC;
    if (mote_match(reason, "{^, error, ?, ?}", ref, &what, &stack)) err = mote_build(arena, result, "{error, ?, ?}", what, stack);
    else if (mote_match(reason, "{^, error, ?}", ref, &what)) err = mote_build(arena, result, "{error, ?, []}", what);
    else if (mote_match(reason, "{^, exit, ?}", ref, &what)) err = mote_build(arena, result, "{exit, ?}", what);
    else if (mote_match(reason, "{^, throw, ?}", ref, &what)) err = mote_build(arena, result, "{throw, ?}", what);
    else err = mote_build(arena, result, "{signal, ?}", reason);
    return err ? err : MOTE_ECALL;
}

mote_err mote_rpc_result(mote_self *self, mote_term message, mote_ref ref, mote_term *result) {
    mote_term reason, out = MOTE_TERM_NONE;
    mote_arena *arena = mote_scratch(self);
    if (!self) return MOTE_ESELF;
    if (!result) return MOTE_EARG;
    if (!arena) return MOTE_ENOMEM;
    mote_err err = MOTE_NOMATCH;
    if (mote_match(message, "{'DOWN', ^, process, _, ?}", ref, &reason)) {
        err = result_of(arena, reason, ref, &out);
    } else if (mote_match(message, "{spawn_reply, ^, error, ?}", ref, &reason)) {
        out = reason;
        err = reason.word == MT_WORD_OF(noconnection) ? MOTE_ENOPROC : mote_build(arena, &out, "{refused, ?}", reason);
        if (!err) err = MOTE_ECALL;
    }
    if (out.word) *result = out;
    return err;
}

mote_err mote_rpc_call(mote_self *self, mote_atom node, mote_atom module, mote_atom function, mote_term args, int64_t timeout_ms, mote_term *result) {
    mote_ref ref;
    mote_term message;
    if (!self) return MOTE_ESELF;
    if (!result) return MOTE_EARG;
    if (mt_task_kind(&mt_self(self)->task) == MT_HANDLER) return MOTE_ECONTEXT;
    mote_err err = mote_rpc_start(self, node, module, function, args, &ref);
    if (err) return err;
    if (!(err = mote_receive_ref(self, timeout_ms, ref, &message))) return mote_rpc_result(self, message, ref, result);
    (void)mote_demonitor(self, ref, true, NULL); /* given up */
    return err;
}

/* ------------------------------------------------------------------------------------------------ exporting */

mote_err mote_export_function(mote_self *self, mote_atom module, mote_atom function, unsigned arity, const mote_function *how) {
    if (!self) return MOTE_ESELF;
    if (!how || !how->call || !is_atom(module) || !is_atom(function) || mt_atom_counted(module.word) || mt_atom_counted(function.word) || arity > MOTE_ARITY_ANY) return MOTE_EARG;
    const struct mt_export export = {.module = module.word, .function = function.word, .arity = arity, .call = how->call, .context = how->context, .hosted = how->hosted};
    return mt_export(mt_runtime(mt_self(self)), &export);
}
