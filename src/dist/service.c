/* SPDX-License-Identifier: Apache-2.0
 * What every node answers, under names that no process has here: net_kernel (pings), rex (calls, by serve.c), and global's: who has no global names answers its first question. A process of one's own under such a
 * name takes its place. */
#include <string.h>

#include "dist/node.h"

void mt_service_reply(mote_self *self, mote_arena *arena, mote_term to, mote_term tag, mote_term answer) {
    mote_term head, rest, message;
    if (mote_list_get(tag, &head, &rest) == MOTE_OK && mote_match(head, "alias") && mote_term_type(rest) == MOTE_REFERENCE) to = rest;
    if (!mote_build(arena, &message, "{?, ?}", tag, answer)) (void)(mote_send_term)(self, to, message);
}

void mt_service_answer(mote_self *self, mote_arena *arena, enum mt_answer kind, mote_term to, mote_term tag, mote_term result) {
    mote_term message;
    if (kind == MT_ANSWER_CALL) mt_service_reply(self, arena, to, tag, result);
    else if (kind == MT_ANSWER_REX && !mote_build(arena, &message, "{rex, ?}", result)) (void)(mote_send_term)(self, to, message);
}

static void net_kernel(mote_self *self, mote_arena *arena, mote_term m) {
    mote_term from, tag, answer;
    if (mote_match(m, "{'$gen_call', {?, ?}, {is_auth, _}}", &from, &tag)) mt_service_reply(self, arena, from, tag, mote_atom_term(mote_atom_make("yes")));
    else if (mote_match(m, "{'$gen_call', {?, ?}, _}", &from, &tag) && !mote_build(arena, &answer, "{error, notsup}")) /* how old nodes spawn */
        mt_service_reply(self, arena, from, tag, answer);
}

/* A call that is not to be: as rpc:call() says it. */
static void refuse_call(mote_self *self, mote_arena *arena, const struct mt_asked *asked, const char *why) {
    mote_term result;
    if (!mote_build(arena, &result, "{badrpc, {'EXIT', ?}}", mote_atom_make_counted(arena, why, strlen(why))))
        mt_service_answer(self, arena, asked->kind, asked->from, asked->tag, result);
}

static bool is_call(mote_term m, struct mt_asked *a) {
    *a = (struct mt_asked){.kind = MT_ANSWER_CALL};
    if (mote_match(m, "{'$gen_call', {?, ?}, {call, ?, ?, ?, _}}", &a->from, &a->tag, &a->module, &a->function, &a->args)) return true;
    if (mote_match(m, "{'$gen_call', {?, ?}, {block_call, ?, ?, ?, _}}", &a->from, &a->tag, &a->module, &a->function, &a->args)) return true;
    a->kind = MT_ANSWER_CAST;
    if (mote_match(m, "{'$gen_cast', {cast, ?, ?, ?, _}}", &a->module, &a->function, &a->args)) return true;
    a->kind = MT_ANSWER_REX;
    return mote_match(m, "{?, {call, ?, ?, ?, _}}", &a->from, &a->module, &a->function, &a->args);
}

/* {sbcast, Name, Message}, {send, Name, Message}: as a message to a name, but answered. */
static void pass_on(mote_self *self, mote_arena *arena, mote_term node, mote_term from, mote_term name, mote_term message) {
    mote_term answer;
    mote_runtime *rt = mt_runtime(mt_self(self));
    uint64_t pid = mote_term_type(name) == MOTE_ATOM ? mt_whereis_for_others(rt, name.word) : 0;
    bool sent = pid && mt_reach_of(rt, pid) != MOTE_REACH_NONE && (mote_send_term)(self, mote_pid_term((mote_pid){pid}), message) == MOTE_OK;
    mote_err err = sent ? mote_build(arena, &answer, "{rex, ?, ?}", node, node) : mote_build(arena, &answer, "{rex, ?, {nonexisting_name, ?}}", node, name);
    if (!err) (void)(mote_send_term)(self, from, answer);
}

static void rex(mote_self *self, mote_arena *arena, struct mt_link *link, mote_term m) {
    mote_term from, tag, answer, name, message;
    const mote_term node = {link->dist->net.name};
    struct mt_asked asked;
    if (is_call(m, &asked)) {
        const char *why = mt_serve_rex(self, link, &asked);
        if (why) refuse_call(self, arena, &asked, why);
        return;
    }
    if (mote_match(m, "{?, features_request}", &from)) {
        if (!mote_build(arena, &answer, "{features_reply, ?, [erpc]}", node)) (void)(mote_send_term)(self, from, answer);
    } else if (mote_match(m, "{'$gen_call', {?, ?}, _}", &from, &tag)) {
        if (!mote_build(arena, &answer, "{badrpc, {'EXIT', {undef, []}}}")) mt_service_reply(self, arena, from, tag, answer);
    } else if (mote_match(m, "{?, {sbcast, ?, ?}}", &from, &name, &message)) {
        pass_on(self, arena, node, from, name, message);
    } else if (mote_match(m, "{?, {send, ?, ?}}", &from, &name, &message)) {
        if (!mote_build(arena, &answer, "{?, ?}", from, message)) pass_on(self, arena, node, from, name, answer);
    }
}

/* The server of global names gets it with the name of the visible node that it is from; false: there is none (lib/global.c). */
static bool to_name_server(mote_self *self, mote_arena *arena, struct mt_link *link, mote_term m) {
    struct mt_dist *d = link->dist;
    mote_term wrapped;
    mt_lock_take(&d->mu);
    bool hidden = link->hidden;
    mt_lock_drop(&d->mu);
    uint64_t server = hidden ? 0 : mt_whereis(d->runtime, mote_atom_make("mote_global").word);
    return server && (mote_build(arena, &wrapped, "{'$global', ?, ?}", (mote_atom){link->node}, m) || (mote_send_term)(self, mote_pid_term((mote_pid){server}), wrapped) == MOTE_OK);
}

/* The least that others need to get on without us: no names of ours are global. */
static void global(mote_self *self, mote_arena *arena, struct mt_link *link, mote_term m) {
    const struct mt_dist *dist = link->dist;
    mote_term from, tag, node, to, answer;
    if (to_name_server(self, arena, link, m)) return;
    if (mote_match(m, "{'$gen_cast', {init_connect, _, ?, _}}", &node)) {
        mote_err err = mote_build(arena, &answer, "{'$gen_cast', {in_sync, ?, false}}", (mote_term){dist->net.name}); /* false, which nobody of Erlang's looks at: without names (lib/global.c) */
        if (!err && !mote_build(arena, &to, "{global_name_server, ?}", node)) (void)(mote_send_term)(self, to, answer);
        return;
    }
    if (!mote_match(m, "{'$gen_call', {?, ?}, ?}", &from, &tag, &answer)) return;
    const char *text = "[]";
    if (mote_match(answer, "{set_lock, _}") || mote_match(answer, "{del_lock, _}")) text = "true";
    else if (mote_match(answer, "{register, _, _, _}") || mote_match(answer, "{register_ext, _, _, _, _}")) text = "yes";
    else if (mote_match(answer, "{unregister, _}")) text = "ok";
    mt_service_reply(self, arena, from, tag, text[0] == '[' ? MOTE_TERM_NIL : mote_atom_term(mote_atom_make(text)));
}

bool mt_is_service(const mote_name *name) { return mt_name_is(name, "net_kernel") || mt_name_is(name, "rex") || mt_name_is(name, "global_name_server"); }

enum mt_verdict mt_service(mote_self *self, struct mt_link *link, const mote_name *name, mote_bytes payload) {
    bool kernel = mt_name_is(name, "net_kernel"), calls = mt_name_is(name, "rex"), names = mt_name_is(name, "global_name_server");
    mote_arena *arena = kernel || calls || names ? mote_arena_new(0) : NULL;
    mote_term m;
    if (!arena) return MT_FINE; /* nobody's */
    mote_err err = mt_link_term(link, arena, payload, &m);
    if (!err && kernel) net_kernel(self, arena, m);
    if (!err && calls) rex(self, arena, link, m);
    if (!err && names) global(self, arena, link, m);
    mote_arena_free(arena);
    return mt_term_verdict(err);
}
