/* SPDX-License-Identifier: Apache-2.0
 * Starts, ends, system messages and suspension of servers and machines. */
#include "lib/gen.h"

#define LETTERS_MAX 256u /* of a backlog that are handled in one go */

/* -------------------------------------------------------------------------------------------- who starts one */

struct start {
    mote_pid pid;
    mote_ref ref;     /* in all that is about the start; the monitor's tag, too */
    mote_ref monitor;
    bool link;
};

static mote_err spawn(mote_self *self, const struct mt_gen_kind *kind, const void *module, mote_term arg, const mote_server_options *o,
                      struct start *start) {
    mote_term all, name = mote_term_type(o->name) == MOTE_NONE ? MOTE_TERM_NIL : o->name;
    mote_arena *scratch = mote_scratch(self);
    if (!scratch) return MOTE_ENOMEM;
    start->ref = mote_ref_make(self);
    mote_err err = mote_build(scratch, &all, "{?, ?, ?, ?, ?, ?}", (uint64_t)(uintptr_t)module, start->ref, mote_self_pid(self), start->link,
                              name, arg);
    mote_spawn_options options = {.handler = &kind->handler,
                                  .name = kind->name(module),
                                  .mailbox_max = o->mailbox_max,
                                  .policy = o->policy,
                                  .priority = o->priority,
                                  .link = start->link,
                                  .monitor = &start->monitor,
                                  .monitoring = {.tag = mote_ref_term(start->ref)}};
    return err ? err : mote_spawn_opt(self, &options, all, &start->pid);
}

/* Whether it is the DOWN; else it is what the process says of its start. */
static bool is_down(const struct start *start, mote_term message, mote_term *reason) {
    return mote_match(message, "{^, ^, process, _, ?}", start->ref, start->monitor, reason);
}

static mote_err await_down(mote_self *self, const struct start *start, mote_term *reason) {
    mote_term message = MOTE_TERM_NONE;
    mote_err err;
    do {
        err = mote_receive_ref(self, -1, start->ref, &message);
    } while (!err && !is_down(start, message, reason));
    return err;
}

/* The end of what did not start is no news for a caller that traps exits. Others get the signal, as in Erlang. */
static void drop_exit(mote_self *self, const struct start *start) {
    mote_process_info info;
    if (!start->link || mote_process_info_get(self, mote_self_pid(self), 0, &info) || !info.trap_exit) return;
    (void)mote_unlink(self, start->pid);
    (void)!mote_receive_match(self, 0, "{'EXIT', ^, _}", start->pid);
}

/* Waits for the end of what did not start. The reason must outlive what is received meanwhile; an exit signal may end the caller. */
static mote_err not_started(mote_self *self, const struct start *start, mote_err err, bool ended, mote_term why, mote_term *reason) {
    mote_arena *arena = mt_own_arena(self);
    mote_term copy = arena ? mote_term_copy(arena, why) : MOTE_TERM_NONE, ignored;
    if (!ended) (void)!await_down(self, start, &ignored);
    drop_exit(self, start);
    mote_arena *scratch = mote_scratch(self);
    copy = arena && scratch ? mote_term_copy(scratch, copy) : MOTE_TERM_NONE;
    mt_own_arena_free(self, arena);
    if (mote_term_type(copy) == MOTE_NONE) return MOTE_ENOMEM;
    if (reason) *reason = copy;
    return err;
}

static mote_err too_slow(mote_self *self, const struct start *start) {
    mote_term ignored;
    if (start->link) (void)mote_unlink(self, start->pid);
    (void)mote_exit_send(self, start->pid, mote_to_name("kill"));
    (void)!await_down(self, start, &ignored);
    drop_exit(self, start);
    return MOTE_TIMEOUT;
}

static mote_err started(mote_self *self, const struct start *start, int64_t timeout_ms, mote_pid *pid, mote_term *reason) {
    mote_term message, why;
    mote_err err = mote_receive_ref(self, timeout_ms, start->ref, &message);
    if (err == MOTE_TIMEOUT) return too_slow(self, start);
    if (err) return err;
    if (is_down(start, message, &why)) return not_started(self, start, MOTE_ENOPROC, true, why, reason);
    if (mote_match(message, "{_, refused, ?}", &why)) return not_started(self, start, MOTE_ENOPROC, false, why, reason);
    if (mote_match(message, "{_, taken, ?}", &why)) return not_started(self, start, MOTE_EBUSY, false, why, reason);
    bool ignore = mote_match(message, "{_, ignore}");
    if (ignore && (err = not_started(self, start, MOTE_OK, false, MOTE_TERM_NIL, NULL))) return err;
    if (!ignore) (void)mote_demonitor(self, start->monitor, true, NULL);
    *pid = ignore ? mote_self_pid(NULL) : start->pid;
    return MOTE_OK;
}

mote_err mt_gen_start(mote_self *self, const struct mt_gen_kind *kind, const void *module, mote_term arg, const mote_server_options *options,
                      bool link, mote_pid *pid, mote_term *reason) {
    static const mote_server_options none;
    struct start start = {.link = link};
    const mote_server_options *o = options ? options : &none;
    int64_t timeout_ms = o->init_timeout_ms ? o->init_timeout_ms : -1;
    mote_type type = mote_term_type(o->name);
    mote_err err = mt_gen_may_wait(self, timeout_ms);
    if (!err && (!module || !pid || o->init_timeout_ms < 0)) err = MOTE_EARG;
    if (!err && type != MOTE_NONE && type != MOTE_ATOM) err = MOTE_ENAME;
    if (err || (err = spawn(self, kind, module, arg, o, &start))) return err;
    return started(self, &start, timeout_ms, pid, reason);
}

/* ----------------------------------------------------------------------------------- the beginning, the end */

/* A receiver that drops or has gone is its own affair; without memory this process ends, so that those who wait for it hear of it. */
static void sent(mote_self *self, mote_err err) {
    if (err == MOTE_ENOMEM) mote_must(self, err);
}

static void take_name(mote_self *self, struct mt_gen *gen, mote_term name) {
    mote_pid holder;
    mote_err err;
    while ((err = mote_register(self, name, mote_self_pid(self))) == MOTE_EBUSY) {
        if (mote_whereis(self, name, &holder)) continue; /* it has gone meanwhile */
        sent(self, mote_send(self, gen->starter, "{?, taken, ?}", gen->start, holder));
        mote_exit(self, mote_to_name("normal"));
    }
    mote_must(self, err);
}

void mt_gen_begin(mote_self *self, struct mt_gen *gen, const struct mt_gen_kind *kind, mote_term arg) {
    unsigned long long module;
    mote_term name, user;
    bool linked;
    gen->kind = kind;
    gen->backlog_end = &gen->backlog;
    mote_assert(self, mote_match(arg, "{?, ?, ?, ?, ?, ?}", &module, &gen->start, &gen->starter, &linked, &name, &user));
    gen->module = (const void *)(uintptr_t)module;
    gen->parent = linked ? gen->starter : mote_self_pid(NULL);
    if (mote_term_type(name) != MOTE_NIL) take_name(self, gen, name);
    size_t size = kind->state_size(gen->module);
    if (size && !(gen->state = mote_alloc(self, size))) mote_exit(self, mote_to_name("system_limit"));
    kind->begin(self, gen, user);
}

void mt_gen_started(mote_self *self, struct mt_gen *gen) {
    gen->phase = MT_GEN_IDLE;
    sent(self, mote_send(self, gen->starter, "{?, ok}", gen->start));
}

void mt_gen_not_started(mote_self *self, struct mt_gen *gen, mote_next_kind kind, mote_term reason) {
    gen->phase = MT_GEN_INIT;
    if (kind == MOTE_NEXT_IGNORE) sent(self, mote_send(self, gen->starter, "{?, ignore}", gen->start));
    if (kind == MOTE_NEXT_REFUSE) sent(self, mote_send(self, gen->starter, "{?, refused, ?}", gen->start, reason));
    mote_exit(self, kind == MOTE_NEXT_STOP ? reason : mote_to_name("normal"));
}

void mt_gen_terminate(mote_self *self, struct mt_gen *gen, mote_term reason) {
    gen->phase = MT_GEN_OVER; /* G1: first, for terminate may go wrong */
    gen->kind->terminate(self, gen, reason);
}

void mt_gen_stop(mote_self *self, struct mt_gen *gen, mote_term reason) {
    mt_gen_terminate(self, gen, reason);
    mote_exit(self, reason);
}

void mt_gen_undef(mote_self *self, struct mt_gen *gen, const char *callback) {
    mote_term what = mote_to_name("undef");
    mote_arena *scratch = mote_scratch(self);
    if (scratch && mote_build(scratch, &what, "{undef, ?, ?}", gen->kind->name(gen->module), callback)) what = mote_to_name("undef");
    mt_gen_stop(self, gen, what);
}

static void drop_letter(mote_self *self, struct mt_gen *gen) {
    struct mt_letter *letter = gen->backlog;
    gen->backlog = letter->next;
    if (!gen->backlog) gen->backlog_end = &gen->backlog;
    mt_stored_drop(&letter->message);
    mote_dealloc(self, letter);
}

void mt_gen_ended(mote_self *self, struct mt_gen *gen, mote_term reason) {
    if (!gen->kind) return;
    if (gen->phase == MT_GEN_CALLBACK) mt_gen_terminate(self, gen, reason);
    while (gen->backlog) drop_letter(self, gen);
    if (gen->kind->drop) gen->kind->drop(gen);
}

/* ---------------------------------------------------------------------------------------------- the backlog */

static void append(mote_self *self, struct mt_gen *gen, mote_term message) {
    struct mt_letter *letter = mote_alloc(self, sizeof *letter);
    if (!letter || mt_store_any(&letter->message, message)) {
        gen->phase = MT_GEN_CALLBACK; /* an error found: terminate is called */
        mote_must(self, MOTE_ENOMEM);
    }
    *gen->backlog_end = letter;
    gen->backlog_end = &letter->next;
}

void mt_gen_go_on_later(mote_self *self, struct mt_gen *gen, unsigned done) {
    (void)mote_reductions(self, done);
    gen->woken = gen->woken || mote_send(self, mote_self_pid(self), "'$mote_more'") == MOTE_OK;
}

/* Some of it; then others may run. */
static void work_off(mote_self *self, struct mt_gen *gen) {
    for (unsigned n = 0; gen->backlog && !gen->suspended; n++) {
        if (n >= LETTERS_MAX) {
            mt_gen_go_on_later(self, gen, n);
            return;
        }
        gen->kind->message(self, gen, gen->backlog->message.term);
        drop_letter(self, gen);
    }
}

/* ------------------------------------------------------------------------------------------ system messages */

void mt_gen_reply(mote_self *self, struct mt_gen *gen, mote_term from, mote_term reply) {
    gen->messages_out++;
    sent(self, mote_reply(self, from, "?", reply));
}

static uint64_t uptime_ms(mote_self *self) {
    mote_runtime_info info;
    return mote_runtime_info_get(self, &info) ? 0 : info.uptime_ns / 1000000;
}

static uint64_t reductions(mote_self *self) {
    mote_process_info info;
    return mote_process_info_get(self, mote_self_pid(self), 0, &info) ? 0 : info.reductions;
}

static void set_statistics(mote_self *self, struct mt_gen *gen, bool on) {
    gen->counts = on;
    gen->messages_in = gen->messages_out = 0;
    gen->counts_since_ms = uptime_ms(self);
    gen->reductions_before = reductions(self);
}

static mote_err tell_statistics(mote_self *self, struct mt_gen *gen, mote_term from) {
    if (!gen->counts) return mote_reply(self, from, "{ok, no_statistics}");
    return mote_reply(self, from,
                      "{ok, [{start_time, ?}, {current_time, ?}, {reductions, ?}, {messages_in, ?}, {messages_out, ?}]}",
                      gen->counts_since_ms, uptime_ms(self), reductions(self) - gen->reductions_before, gen->messages_in,
                      gen->messages_out);
}

/* The state as a term in scratch; none without memory. */
static mote_term state_term(mote_self *self, struct mt_gen *gen) {
    mote_arena *scratch = mote_scratch(self);
    return scratch ? gen->kind->format(self, gen, scratch) : MOTE_TERM_NONE;
}

static mote_err tell_state(mote_self *self, struct mt_gen *gen, mote_term from) {
    mote_term state = state_term(self, gen);
    return mote_term_type(state) == MOTE_NONE ? mote_reply(self, from, "{error, system_limit}") : mote_reply(self, from, "{ok, ?}", state);
}

static mote_err tell_status(mote_self *self, struct mt_gen *gen, mote_term from) {
    const char *name = gen->kind->name(gen->module), *phase = gen->suspended ? "suspended" : "running";
    mote_term state = state_term(self, gen);
    if (mote_term_type(state) == MOTE_NONE) return mote_reply(self, from, "{error, system_limit}");
    return mote_reply(self, from,
                      "{status, ?, {module, ?}, [[], ?, ?, [], [{header, ?}, {data, [{\"Status\", ?}, {\"Parent\", ?}]}, "
                      "{data, [{\"State\", ?}]}]]}",
                      mote_self_pid(self), mote_to_name(name), mote_to_name(phase), gen->parent, name, mote_to_name(phase), gen->parent, state);
}

static mote_err replace(mote_self *self, struct mt_gen *gen, mote_term from, mote_term term) {
    mote_err err = gen->kind->replace(self, gen, term);
    return err ? mote_reply(self, from, "{error, ?}", mote_err_name(err)) : tell_state(self, gen, from);
}

static mote_err upgrade(mote_self *self, struct mt_gen *gen, mote_term from, mote_term old_version, mote_term extra) {
    mote_err err = gen->kind->upgrade(self, gen, old_version, extra);
    return err ? mote_reply(self, from, "{error, ?}", mote_err_name(err)) : mote_reply(self, from, "ok");
}

static mote_err suspend(mote_self *self, struct mt_gen *gen, mote_term from, bool suspended) {
    gen->suspended = suspended;
    return mote_reply(self, from, "ok");
}

/* Answers a system message, all but terminate. */
static mote_err system_answer(mote_self *self, struct mt_gen *gen, mote_term from, mote_term request) {
    mote_term a, b;
    bool on;
    if (mote_match(request, "get_state")) return tell_state(self, gen, from);
    if (mote_match(request, "{replace_state, ?}", &a)) return replace(self, gen, from, a);
    if (mote_match(request, "suspend")) return suspend(self, gen, from, true);
    if (mote_match(request, "resume")) return suspend(self, gen, from, false);
    if (mote_match(request, "get_status")) return tell_status(self, gen, from);
    if (gen->suspended && mote_match(request, "{change_code, _, ?, ?}", &a, &b)) return upgrade(self, gen, from, a, b);
    if (mote_match(request, "{debug, {statistics, get}}")) return tell_statistics(self, gen, from);
    if (mote_match(request, "{debug, {statistics, ?}}", &on)) {
        set_statistics(self, gen, on);
        return mote_reply(self, from, "ok");
    }
    return mote_reply(self, from, "{error, {unknown_system_msg, ?}}", request);
}

static void system_message(mote_self *self, struct mt_gen *gen, mote_term from, mote_term request) {
    mote_term reason;
    if (mote_match(request, "{terminate, ?}", &reason)) {
        sent(self, mote_reply(self, from, "ok"));
        mt_gen_stop(self, gen, reason);
    }
    gen->phase = MT_GEN_CALLBACK;
    sent(self, system_answer(self, gen, from, request));
    gen->phase = MT_GEN_IDLE;
    if (gen->kind->more && !gen->suspended) gen->kind->more(self, gen);
    work_off(self, gen);
}

void mt_gen_handle(mote_self *self, struct mt_gen *gen, mote_term message) {
    mote_term from, request;
    if (mote_match(message, "{system, ?, ?}", &from, &request)) {
        system_message(self, gen, from, request);
    } else if (mote_match(message, "{'EXIT', ^, ?}", gen->parent, &request)) {
        mt_gen_stop(self, gen, request);
    } else if (mote_match(message, "'$mote_more'")) {
        gen->woken = false;
        if (gen->kind->more && !gen->suspended) gen->kind->more(self, gen);
        work_off(self, gen);
    } else if (mt_gen_busy(gen)) { /* G2 */
        append(self, gen, message);
        work_off(self, gen);
    } else {
        gen->kind->message(self, gen, message);
    }
}
