/* SPDX-License-Identifier: Apache-2.0
 * Servers: what each callback's answer leads to; and the clients' side of system messages. */
#include "lib/gen.h"

struct server {
    struct mt_gen gen;
    mote_ref timer;   /* of the time limit, if `timed` */
    int64_t timer_id; /* in its message: one that was too late to cancel is known by it */
    bool timed;
};

static struct server *server_of(struct mt_gen *gen) { return (struct server *)(void *)gen; }
static const mote_server_module *module_of(const struct mt_gen *gen) { return gen->module; }

/* ---------------------------------------------------------------------------------------------- callbacks */

static void set_timeout(mote_self *self, struct server *s, int64_t timeout_ms) {
    s->timed = true;
    s->timer_id++;
    mote_must(self, mote_send_after(self, timeout_ms, mote_self_pid(self), &s->timer, "{'$mote_timeout', ?}", s->timer_id));
}

/* Any message ends the wait; the timer's own is told apart by its id. */
static void clear_timeout(mote_self *self, struct server *s) {
    if (!s->timed) return;
    s->timed = false;
    (void)mote_timer_cancel(self, s->timer, NULL);
}

static MOTE_NORETURN void stop(mote_self *self, struct server *s, mote_term from, const mote_next *next) {
    mt_gen_terminate(self, &s->gen, next->term);
    if (next->replies) mt_gen_reply(self, &s->gen, from, next->reply);
    mote_exit(self, next->term);
}

static mote_next continued(mote_self *self, struct server *s, mote_term term) {
    const mote_server_module *m = module_of(&s->gen);
    if (!m->continue_) mt_gen_undef(self, &s->gen, "continue_");
    mote_next next = m->continue_(self, term, s->gen.state);
    next.replies = false;
    return next;
}

/* What a callback said; it may lead to others. The phase is MT_GEN_CALLBACK. `from`: whose call it was. */
static void follow(mote_self *self, struct server *s, mote_term from, mote_next next) {
    for (;; next = continued(self, s, next.term)) {
        if (next.kind > MOTE_NEXT_STOP) mote_error(self, mote_to_name("bad_return_value"));
        if (next.replies && mote_term_type(next.reply) == MOTE_NONE) mote_error(self, mote_to_name("system_limit"));
        if (next.kind == MOTE_NEXT_STOP) stop(self, s, from, &next);
        if (next.replies) mt_gen_reply(self, &s->gen, from, next.reply);
        if (next.kind == MOTE_NEXT_WAIT) break;
    }
    if (next.timeout_ms >= 0) set_timeout(self, s, next.timeout_ms);
    s->gen.phase = MT_GEN_IDLE;
}

static void handle_call(mote_self *self, struct server *s, mote_term from, mote_term request) {
    const mote_server_module *m = module_of(&s->gen);
    if (!m->call) mt_gen_undef(self, &s->gen, "call");
    clear_timeout(self, s);
    s->gen.phase = MT_GEN_CALLBACK;
    s->gen.messages_in++;
    follow(self, s, from, m->call(self, request, from, s->gen.state));
}

/* The rest have nobody to reply to. */
static void handle_rest(mote_self *self, struct server *s, mote_term message,
                        mote_next (*callback)(mote_self *self, mote_term message, void *state)) {
    clear_timeout(self, s);
    s->gen.messages_in++;
    if (!callback) return;
    s->gen.phase = MT_GEN_CALLBACK;
    mote_next next = callback(self, message, s->gen.state);
    next.replies = false;
    follow(self, s, MOTE_TERM_NONE, next);
}

static void handle_timeout(mote_self *self, struct server *s) {
    const mote_server_module *m = module_of(&s->gen);
    s->timed = false;
    if (!m->timeout) {
        handle_rest(self, s, mote_to_name("timeout"), m->info);
        return;
    }
    s->gen.phase = MT_GEN_CALLBACK;
    mote_next next = m->timeout(self, s->gen.state);
    next.replies = false;
    follow(self, s, MOTE_TERM_NONE, next);
}

static void server_message(mote_self *self, struct mt_gen *gen, mote_term message) {
    struct server *s = server_of(gen);
    const mote_server_module *m = module_of(gen);
    mote_term from, content;
    long long id;
    if (mote_match(message, "{'$gen_call', ?, ?}", &from, &content)) {
        handle_call(self, s, from, content);
    } else if (mote_match(message, "{'$gen_cast', ?}", &content)) {
        if (!m->cast) mt_gen_undef(self, gen, "cast");
        handle_rest(self, s, content, m->cast);
    } else if (mote_match(message, "{'$mote_timeout', ?}", &id)) {
        if (s->timed && id == s->timer_id) handle_timeout(self, s);
    } else {
        handle_rest(self, s, message, m->info);
    }
}

/* -------------------------------------------------------------------------------------------- the behaviour */

static const char *server_name(const void *module) { return ((const mote_server_module *)module)->name; }
static size_t server_state_size(const void *module) { return ((const mote_server_module *)module)->state_size; }

static void server_begin(mote_self *self, struct mt_gen *gen, mote_term arg) {
    mote_next next = module_of(gen)->init(self, arg, gen->state);
    if (next.kind >= MOTE_NEXT_STOP) mt_gen_not_started(self, gen, next.kind, next.term);
    mt_gen_started(self, gen);
    gen->phase = MT_GEN_CALLBACK;
    next.replies = false;
    follow(self, server_of(gen), MOTE_TERM_NONE, next);
}

static void server_terminate(mote_self *self, struct mt_gen *gen, mote_term reason) {
    const mote_server_module *m = module_of(gen);
    if (m->terminate) m->terminate(self, reason, gen->state);
}

static mote_term server_format(mote_self *self, struct mt_gen *gen, mote_arena *arena) {
    const mote_server_module *m = module_of(gen);
    return m->format ? m->format(self, arena, gen->state) : mote_binary_make(arena, gen->state, m->state_size);
}

static mote_err server_replace(mote_self *self, struct mt_gen *gen, mote_term term) {
    const mote_server_module *m = module_of(gen);
    return m->replace ? m->replace(self, term, gen->state) : MOTE_ETERM;
}

static mote_err server_upgrade(mote_self *self, struct mt_gen *gen, mote_term old_version, mote_term extra) {
    const mote_server_module *m = module_of(gen);
    mote_server_change change = {m, gen->state};
    mote_err err = m->upgrade ? m->upgrade(self, old_version, extra, &change) : MOTE_OK;
    if (err) return err;
    gen->module = change.module;
    if (change.state == gen->state) return MOTE_OK;
    mote_dealloc(self, gen->state);
    gen->state = change.state;
    return MOTE_OK;
}

static void first_turn(mote_self *self, mote_term arg, void *state);
static void handle(mote_self *self, mote_term message, void *state);
static void ended(mote_self *self, mote_term reason, void *state) { mt_gen_ended(self, state, reason); }

static const struct mt_gen_kind servers = {
    .handler = {.name = "server", .state_size = sizeof(struct server), .init = first_turn, .handle = handle, .stop = ended},
    .name = server_name,
    .state_size = server_state_size,
    .begin = server_begin,
    .message = server_message,
    .terminate = server_terminate,
    .format = server_format,
    .replace = server_replace,
    .upgrade = server_upgrade};

static void first_turn(mote_self *self, mote_term arg, void *state) { mt_gen_begin(self, state, &servers, arg); }

/* Calls take the short way. */
static void handle(mote_self *self, mote_term message, void *state) {
    struct server *s = state;
    mote_term from, request;
    if (!mt_gen_busy(&s->gen) && mote_match(message, "{'$gen_call', ?, ?}", &from, &request))
        handle_call(self, s, from, request);
    else
        mt_gen_handle(self, &s->gen, message);
}

/* ------------------------------------------------------------------------------------------------ clients */

mote_err mote_server_start(mote_self *self, const mote_server_module *module, mote_term arg, const mote_server_options *options,
                           mote_pid *pid, mote_term *reason) {
    if (self && module && !module->init) return MOTE_EARG;
    return mt_gen_start(self, &servers, module, arg, options, false, pid, reason);
}

mote_err mote_server_start_link(mote_self *self, const mote_server_module *module, mote_term arg, const mote_server_options *options,
                                mote_pid *pid, mote_term *reason) {
    if (self && module && !module->init) return MOTE_EARG;
    return mt_gen_start(self, &servers, module, arg, options, true, pid, reason);
}

/* Whether it is the caller, by pid or by name. */
static bool is_self(mote_self *self, mote_term server) {
    mote_pid pid;
    bool known = mote_term_type(server) == MOTE_ATOM ? !mote_whereis(self, server, &pid) : !mote_pid_get(server, &pid);
    return known && pid.word == mote_self_pid(self).word;
}

/* The reason is kept as the monitor's tag, to be compared with that of the end. The server's answer goes nowhere. */
mote_err (mote_server_stop)(mote_self *self, mote_term server, mote_term reason, int64_t timeout_ms) {
    mote_monitor_options options = {.tag = reason};
    mote_term message, wanted, got;
    mote_ref ref;
    mote_err err = mt_gen_may_wait(self, timeout_ms);
    if (err) return err;
    if (mote_term_type(reason) == MOTE_NONE) return MOTE_ETERM;
    if (is_self(self, server)) return MOTE_EBUSY;
    mote_ref nowhere = mote_ref_make(self);
    if ((err = mote_monitor_opt(self, server, &options, &ref))) return err;
    err = mote_send(self, server, "{system, {?, [alias|?]}, {terminate, ?}}", mote_self_pid(self), nowhere, reason);
    if (!err || err == MOTE_ENAME) err = mote_receive_ref(self, timeout_ms, ref, &message);
    if (err) {
        (void)mote_demonitor(self, ref, true, NULL);
        return err;
    }
    return mote_match(message, "{?, ^, process, _, ?}", &wanted, ref, &got) && mote_term_same(wanted, got) ? MOTE_OK : MOTE_ENOPROC;
}

/* What the answer to a system message means. */
static mote_err answered(mote_err err, mote_term reply, mote_term *out) {
    mote_term value;
    if (err) {
        if (err == MOTE_ENOPROC && out) *out = reply;
        return err;
    }
    if (mote_match(reply, "ok")) return MOTE_OK;
    if (mote_match(reply, "{error, _}")) return MOTE_ETERM;
    if (out) *out = mote_match(reply, "{ok, ?}", &value) ? value : reply;
    return MOTE_OK;
}

/* A system message, as mote_call(). */
#define ASK(self, server, timeout_ms, reply, text, ...)                                                          \
    mote_call_site(self, server, timeout_ms, reply, MOTE_SITE("{system, {?, [alias|?]}, " text "}"), \
                   MOTE_ARGS(0, 0 __VA_OPT__(, ) __VA_ARGS__))

#define ASK_START(self, server, ref, text, ...)                                                    \
    mote_call_start_site(self, server, ref, MOTE_SITE("{system, {?, [alias|?]}, " text "}"), \
                         MOTE_ARGS(0, 0 __VA_OPT__(, ) __VA_ARGS__))

mote_err (mote_server_get_state)(mote_self *self, mote_term server, int64_t timeout_ms, mote_term *state) {
    mote_term reply = MOTE_TERM_NONE;
    if (self && !state) return MOTE_EARG;
    mote_err err = ASK(self, server, timeout_ms, &reply, "get_state");
    return answered(err, reply, state);
}

mote_err (mote_server_replace_state)(mote_self *self, mote_term server, int64_t timeout_ms, mote_term state) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = ASK(self, server, timeout_ms, &reply, "{replace_state, ?}", state);
    return answered(err, reply, NULL);
}

mote_err (mote_server_suspend)(mote_self *self, mote_term server, int64_t timeout_ms) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = ASK(self, server, timeout_ms, &reply, "suspend");
    return answered(err, reply, NULL);
}

mote_err (mote_server_resume)(mote_self *self, mote_term server, int64_t timeout_ms) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = ASK(self, server, timeout_ms, &reply, "resume");
    return answered(err, reply, NULL);
}

mote_err (mote_server_statistics_set)(mote_self *self, mote_term server, int64_t timeout_ms, bool on) {
    mote_term reply = MOTE_TERM_NONE;
    mote_err err = ASK(self, server, timeout_ms, &reply, "{debug, {statistics, ?}}", on);
    return answered(err, reply, NULL);
}

mote_err (mote_server_statistics)(mote_self *self, mote_term server, int64_t timeout_ms, mote_term *list) {
    mote_term reply = MOTE_TERM_NONE;
    if (self && !list) return MOTE_EARG;
    mote_err err = ASK(self, server, timeout_ms, &reply, "{debug, {statistics, get}}");
    return answered(err, reply, list);
}

mote_err (mote_server_get_status)(mote_self *self, mote_term server, int64_t timeout_ms, mote_term *status) {
    mote_term reply = MOTE_TERM_NONE;
    if (self && !status) return MOTE_EARG;
    mote_err err = ASK(self, server, timeout_ms, &reply, "get_status");
    return answered(err, reply, status);
}

/* All three are sent at once and are handled in this order: so the terms need not outlive a wait. */
mote_err (mote_server_upgrade)(mote_self *self, mote_term server, int64_t timeout_ms, mote_term old_version, mote_term extra) {
    mote_ref asked[3];
    mote_term reply;
    size_t count = 0;
    mote_err err = mt_gen_may_wait(self, timeout_ms), result = MOTE_OK;
    if (err || (err = ASK_START(self, server, &asked[count], "suspend"))) return err;
    count++;
    result = ASK_START(self, server, &asked[count], "{change_code, undefined, ?, ?}", old_version, extra);
    if (!result) count++;
    err = ASK_START(self, server, &asked[count], "resume");
    if (!err) count++;
    if (!result) result = err;
    for (size_t i = 0; i < count; i++) {
        err = mt_call_wait(self, timeout_ms, asked[i], &reply);
        err = answered(err, reply, NULL);
        if (!result) result = err;
    }
    return result;
}
