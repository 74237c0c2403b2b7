/* SPDX-License-Identifier: Apache-2.0
 * Supervisors as their callers see them. */
#include <mote/server.h>
#include <string.h>

#include "lib/ask.h"
#include "lib/store.h"
#include "lib/sup.h"

mote_err mt_sup_pack(mote_arena *arena, const mote_child_spec *spec, mote_term *packed) {
    mote_term sealed, id = spec->id_term, arg = spec->arg.word ? spec->arg : MOTE_TERM_NIL;
    if (!id.word) id = spec->id ? mote_to_name(spec->id) : MOTE_TERM_NIL;
    mote_err err = mt_seal(arena, spec, sizeof *spec, &sealed);
    return err ? err : mote_build(arena, packed, "{?, ?, ?}", sealed, id, arg);
}

mote_err mt_sup_unpack(mote_term packed, mote_child_spec *spec) {
    mote_term sealed, id, arg;
    mote_child_spec copy;
    if (!mote_match(packed, "{?, ?, ?}", &sealed, &id, &arg) || mt_unseal(sealed, &copy, sizeof copy)) return MOTE_EARG;
    *spec = copy;
    spec->id = NULL;
    spec->id_term = id;
    spec->arg = arg;
    return MOTE_OK;
}

mote_err mote_child_refuse(mote_self *self, mote_err err, mote_term reason) {
    mote_err sent = mote_send(self, mote_self_pid(self), "{'$child_refused', ?}", reason);
    return sent ? sent : err;
}

/* ---------------------------------------------------------------------------------------------------- start */

static mote_err check(const mote_supervisor_options *o) {
    if (!o || (o->count && !o->children) || o->strategy > MOTE_SIMPLE_ONE_FOR_ONE || o->auto_shutdown > MOTE_ALL_SIGNIFICANT) return MOTE_EARG;
    if (o->intensity < MOTE_NO_RESTARTS || o->period_s < 0) return MOTE_EARG;
    if (o->strategy == MOTE_SIMPLE_ONE_FOR_ONE) return o->count == 1 ? MOTE_OK : MOTE_EARG;
    for (size_t i = 0; i < o->count; i++)
        if (!o->children[i].id && !o->children[i].id_term.word) return MOTE_EARG;
    return MOTE_OK;
}

/* The argument of the supervisor's process. */
static mote_err pack(mote_self *self, const mote_supervisor_options *options, bool tells, mote_term *arg) {
    struct mt_sup_plan plan;
    mote_arena *arena = mote_scratch(self);
    mote_term sealed, packed, list = MOTE_TERM_NIL, name = options->name ? mote_to_name(options->name) : MOTE_TERM_NIL;
    memset(&plan, 0, sizeof plan);
    plan.options = *options;
    plan.parent = mote_self_pid(self);
    plan.tells = tells;
    mote_err err = mt_seal(arena, &plan, sizeof plan, &sealed);
    for (size_t i = options->count; i-- && !err;) {
        err = mt_sup_pack(arena, &options->children[i], &packed);
        if (!err) list = mote_cons_make(arena, packed, list);
    }
    return err ? err : mote_build(arena, arg, "{?, ?, ?}", sealed, name, list);
}

static const char *name_of(const mote_supervisor_options *options) { return options->name ? options->name : "supervisor"; }

mote_err mt_sup_start(mote_self *self, const mote_supervisor_options *options, bool tells, mote_pid *supervisor, mote_term *reason) {
    mote_term arg;
    mote_err err = self ? mt_may_wait(self) : MOTE_ESELF;
    if (!err && !supervisor) err = MOTE_EARG;
    if (err || (err = check(options)) || (err = pack(self, options, tells, &arg))) return err;
    return mt_start_and_wait(self, mt_supervise, name_of(options), arg, supervisor, reason);
}

mote_err mote_supervisor_start_link(mote_self *self, const mote_supervisor_options *options, mote_pid *supervisor, mote_term *reason) {
    return mt_sup_start(self, options, false, supervisor, reason);
}

mote_err mote_supervisor_spawn_link(mote_self *self, const mote_supervisor_options *options, mote_pid *supervisor, mote_ref *ref) {
    mote_term arg;
    if (!self) return MOTE_ESELF;
    mote_err err = supervisor && ref ? check(options) : MOTE_EARG;
    if (err || (err = pack(self, options, false, &arg))) return err;
    return mt_start(self, mt_supervise, name_of(options), arg, supervisor, ref);
}

mote_term mote_supervisor_arg(mote_arena *arena, const mote_supervisor_options *options) {
    mote_term sealed = MOTE_TERM_NONE;
    return mt_seal(arena, options, sizeof *options, &sealed) ? MOTE_TERM_NONE : sealed;
}

mote_err mote_supervisor_start(mote_self *self, mote_term arg, mote_pid *supervisor) {
    mote_supervisor_options options;
    mote_term reason = MOTE_TERM_NONE;
    mote_err err = mt_unseal(arg, &options, sizeof options);
    if (!err) err = mote_supervisor_start_link(self, &options, supervisor, &reason);
    return err && reason.word ? mote_child_refuse(self, err, reason) : err;
}

/* --------------------------------------------------------------------------------------------------- requests */

/* What a start was answered: {ok, Pid | undefined}, or an error with its reason. */
static mote_err answer_start(mote_err err, mote_term reply, mote_pid *child, mote_term *reason) {
    mote_term term = MOTE_TERM_NONE;
    mote_pid pid = mote_self_pid(NULL);
    err = mt_answer(err, reply, &term);
    if (err) {
        if (reason && term.word) *reason = term;
        return err;
    }
    (void)mote_match(term, "{ok, ?}", &pid);
    if (child) *child = pid;
    return MOTE_OK;
}

static mote_err pack_spec(mote_self *self, const mote_child_spec *spec, mote_term *packed) {
    if (!self || !spec || (!spec->id && !spec->id_term.word)) return self ? MOTE_EARG : MOTE_ESELF;
    return mt_sup_pack(mote_scratch(self), spec, packed);
}

mote_err (mote_supervisor_ask_child)(mote_self *self, mote_term supervisor, const mote_child_spec *spec, mote_ref *ref) {
    mote_term packed;
    mote_err err = pack_spec(self, spec, &packed);
    return err ? err : mote_call_start(self, supervisor, ref, "{mote, {start_spec, ?}}", packed);
}

mote_err (mote_supervisor_start_child)(mote_self *self, mote_term supervisor, const mote_child_spec *spec, mote_pid *child, mote_term *reason) {
    mote_term packed, reply = MOTE_TERM_NONE;
    mote_err err = pack_spec(self, spec, &packed);
    if (err) return err;
    err = mote_call(self, supervisor, -1, &reply, "{mote, {start_spec, ?}}", packed);
    return answer_start(err, reply, child, reason);
}

mote_err (mote_supervisor_start_dynamic)(mote_self *self, mote_term supervisor, mote_term arg, mote_pid *child, mote_term *reason) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = arg.word ? mote_call(self, supervisor, -1, &reply, "{mote, {start_child, ?}}", arg)
                            : mote_call(self, supervisor, -1, &reply, "{mote, start_child}");
    return answer_start(err, reply, child, reason);
}

mote_err (mote_supervisor_terminate_child)(mote_self *self, mote_term supervisor, mote_term id) {
    mote_term term, reply = MOTE_TERM_NONE;
    mote_err err = mote_call(self, supervisor, -1, &reply, "{mote, {terminate_child, ?}}", id);
    return mt_answer(err, reply, &term);
}

mote_err (mote_supervisor_restart_child)(mote_self *self, mote_term supervisor, mote_term id, mote_pid *child, mote_term *reason) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = mote_call(self, supervisor, -1, &reply, "{mote, {restart_child, ?}}", id);
    return answer_start(err, reply, child, reason);
}

mote_err (mote_supervisor_delete_child)(mote_self *self, mote_term supervisor, mote_term id) {
    mote_term term, reply = MOTE_TERM_NONE;
    mote_err err = mote_call(self, supervisor, -1, &reply, "{mote, {delete_child, ?}}", id);
    return mt_answer(err, reply, &term);
}

mote_err (mote_supervisor_which_children)(mote_self *self, mote_term supervisor, mote_term *children) {
    mote_term term, reply = MOTE_TERM_NONE;
    if (!children) return MOTE_EARG;
    mote_err err = mote_call(self, supervisor, -1, &reply, "{mote, which_children}");
    if (!(err = mt_answer(err, reply, &term))) *children = term;
    return err;
}

mote_err (mote_supervisor_count_children)(mote_self *self, mote_term supervisor, mote_supervisor_count *count) {
    mote_term term, reply = MOTE_TERM_NONE;
    unsigned long specs, active, supervisors, workers, restarts;
    if (!count) return MOTE_EARG;
    mote_err err = mote_call(self, supervisor, -1, &reply, "{mote, count_children}");
    if ((err = mt_answer(err, reply, &term))) return err;
    if (!mote_match(term, "{[{specs, ?}, {active, ?}, {supervisors, ?}, {workers, ?}], ?}", &specs, &active, &supervisors, &workers, &restarts))
        return MOTE_ETERM;
    *count = (mote_supervisor_count){specs, active, supervisors, workers, restarts};
    return MOTE_OK;
}

mote_err (mote_supervisor_get_childspec)(mote_self *self, mote_term supervisor, mote_term id, mote_child_spec *spec) {
    mote_term term, reply = MOTE_TERM_NONE;
    if (!spec) return MOTE_EARG;
    mote_err err = mote_call(self, supervisor, -1, &reply, "{mote, {get_childspec, ?}}", id);
    return (err = mt_answer(err, reply, &term)) ? err : mt_sup_unpack(term, spec);
}

mote_err (mote_supervisor_stop)(mote_self *self, mote_term supervisor, mote_term reason, int64_t timeout_ms) {
    return mote_server_stop(self, supervisor, reason, timeout_ms);
}
