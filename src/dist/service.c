/* SPDX-License-Identifier: Apache-2.0
 * What every node answers, under names that no process has here: net_kernel (pings), rex (calls, which are refused), and global's first question. A process of one's own under such a
 * name takes its place. */
#include <string.h>

#include "dist/node.h"

static bool is(const mote_name *name, const char *text) { return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0; }

/* {Tag, Answer} to who has called: to the alias that the tag may have, else to the pid. */
static void reply(mote_self *self, mote_arena *arena, mote_term to, mote_term tag, mote_term answer) {
    mote_term head, rest, message;
    if (mote_list_get(tag, &head, &rest) == MOTE_OK && mote_match(head, "alias") && mote_term_type(rest) == MOTE_REFERENCE) to = rest;
    if (!mote_build(arena, &message, "{?, ?}", tag, answer)) (void)(mote_send_term)(self, to, message);
}

static void net_kernel(mote_self *self, mote_arena *arena, mote_term m) {
    mote_term from, tag;
    if (mote_match(m, "{'$gen_call', {?, ?}, {is_auth, _}}", &from, &tag)) reply(self, arena, from, tag, mote_atom_term(mote_atom_make("yes")));
}

static void rex(mote_self *self, mote_arena *arena, const struct mt_dist *dist, mote_term m) {
    mote_term from, tag, answer;
    const mote_term node = {dist->net.name};
    if (mote_match(m, "{?, features_request}", &from)) {
        if (!mote_build(arena, &answer, "{features_reply, ?, [erpc]}", node)) (void)(mote_send_term)(self, from, answer);
    } else if (mote_match(m, "{'$gen_call', {?, ?}, _}", &from, &tag)) {
        if (!mote_build(arena, &answer, "{badrpc, {'EXIT', {undef, []}}}")) reply(self, arena, from, tag, answer);
    } else if (mote_match(m, "{?, {call, _, _, _, _}}", &from)) {
        if (!mote_build(arena, &answer, "{rex, {badrpc, {'EXIT', {undef, []}}}}")) (void)(mote_send_term)(self, from, answer);
    } else if (mote_match(m, "{?, {sbcast, ?, _}}", &from, &tag) || mote_match(m, "{?, {send, ?, _}}", &from, &tag)) {
        if (!mote_build(arena, &answer, "{rex, ?, {nonexisting_name, ?}}", node, tag)) (void)(mote_send_term)(self, from, answer);
    }
}

/* The least that others need to get on without us: no names of ours are global. */
static void global(mote_self *self, mote_arena *arena, const struct mt_dist *dist, mote_term m) {
    mote_term from, tag, node, to, answer;
    if (mote_match(m, "{'$gen_cast', {init_connect, _, ?, _}}", &node)) {
        mote_err err = mote_build(arena, &answer, "{'$gen_cast', {in_sync, ?, true}}", (mote_term){dist->net.name});
        if (!err && !mote_build(arena, &to, "{global_name_server, ?}", node)) (void)(mote_send_term)(self, to, answer);
        return;
    }
    if (!mote_match(m, "{'$gen_call', {?, ?}, ?}", &from, &tag, &answer)) return;
    const char *text = "[]";
    if (mote_match(answer, "{set_lock, _}") || mote_match(answer, "{del_lock, _}")) text = "true";
    else if (mote_match(answer, "{register, _, _, _}") || mote_match(answer, "{register_ext, _, _, _, _}")) text = "yes";
    else if (mote_match(answer, "{unregister, _}")) text = "ok";
    reply(self, arena, from, tag, text[0] == '[' ? MOTE_TERM_NIL : mote_atom_term(mote_atom_make(text)));
}

bool mt_is_service(const mote_name *name) { return is(name, "net_kernel") || is(name, "rex") || is(name, "global_name_server"); }

enum mt_verdict mt_service(mote_self *self, struct mt_link *link, const mote_name *name, mote_bytes payload) {
    bool kernel = is(name, "net_kernel"), calls = is(name, "rex"), names = is(name, "global_name_server");
    mote_arena *arena = kernel || calls || names ? mote_arena_new(0) : NULL;
    mote_term m;
    if (!arena) return MT_FINE; /* nobody's */
    mote_err err = mt_far_term(link->dist->runtime, arena, payload, &m);
    if (!err && kernel) net_kernel(self, arena, m);
    if (!err && calls) rex(self, arena, link->dist, m);
    if (!err && names) global(self, arena, link->dist, m);
    mote_arena_free(arena);
    return err == MOTE_OK || err == MOTE_ENOMEM ? MT_FINE : err == MOTE_ELIMIT ? MT_NO_LARGE : MT_NO_TERM;
}
