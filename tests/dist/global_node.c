/* SPDX-License-Identifier: Apache-2.0
 * A mote node with global names for tests/dist_global.py: an Erlang node tells its process `keeper` what to do.
 *
 *   global_node NAME COOKIE RIGHTS TICK_MS names|visible|hidden     prints `ready` once it is there; ends when its input does
 *
 * Each command {From, Name, Argument, ...} is answered by {keeper, Node, Answer}, but {From, part, Node}, which may end the connection that an answer would take; what else the keeper gets goes to who has sent the last one, as {told, Node, Message}. */
#include <mote/global.h>
#include <mote/node.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

static mote_term word_of(mote_err err) { return atom(err ? mote_err_name(err) : "ok"); }

/* The answer; none: it is no command. */
static mote_term obey(mote_self *self, mote_term m) {
    mote_term name, list = MOTE_TERM_NIL, message;
    mote_atom node;
    mote_pid pid;
    bool alive;
    int conflict;
    mote_err err;
    if (mote_match(m, "{_, idle}")) return mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid) ? MOTE_TERM_NONE : mote_pid_term(pid);
    if (mote_match(m, "{_, self}")) return self_term(self);
    if (mote_match(m, "{_, kill, ?}", &pid)) return word_of(mote_exit_send(self, pid, atom("kill")));
    if (mote_match(m, "{_, alive, ?}", &pid)) return mote_is_alive(self, pid, &alive) ? MOTE_TERM_NONE : atom(alive ? "true" : "false");
    if (mote_match(m, "{_, register, ?, ?, ?}", &name, &pid, &conflict)) return word_of(mote_global_register(self, name, pid, (mote_conflict)conflict));
    if (mote_match(m, "{_, reregister, ?, ?, ?}", &name, &pid, &conflict)) return word_of(mote_global_reregister(self, name, pid, (mote_conflict)conflict));
    if (mote_match(m, "{_, unregister, ?}", &name)) return word_of(mote_global_unregister(self, name));
    if (mote_match(m, "{_, whereis, ?}", &name)) {
        err = mote_global_whereis(self, name, &pid);
        return err == MOTE_NOMATCH ? atom("undefined") : err ? word_of(err) : mote_pid_term(pid);
    }
    if (mote_match(m, "{_, names}")) return mote_global_names(self, &list) ? MOTE_TERM_NONE : list;
    if (mote_match(m, "{_, send, ?, ?}", &name, &message)) return word_of(mote_global_send(self, name, message));
    if (mote_match(m, "{_, set_lock, ?, ?}", &name, &list)) return word_of(mote_global_set_lock(self, name, MOTE_TERM_NONE, list, 0));
    if (mote_match(m, "{_, del_lock, ?, ?}", &name, &list)) return word_of(mote_global_del_lock(self, name, MOTE_TERM_NONE, list));
    if (mote_match(m, "{_, sync}")) return word_of(mote_global_sync(self, PATIENCE_MS));
    if (mote_match(m, "{_, connect, ?}", &node)) return word_of(mote_node_connect(self, node, -1));
    if (mote_match(m, "{_, disconnect, ?}", &node)) return word_of(mote_node_disconnect(self, node));
    return MOTE_TERM_NONE;
}

static void keeper(mote_self *self, mote_term arg) {
    mote_arena *arena = own_arena(self), *one = own_arena(self);
    mote_term m, from, last = MOTE_TERM_NIL, answer;
    mote_atom node;
    (void)arg;
    for (; !mote_receive(self, -1, &m); mote_arena_reset(one)) {
        m = mote_term_copy(one, m); /* the answer comes in its place */
        if (mote_match(m, "{_, part, ?}", &node)) (void)!mote_node_disconnect(self, node);
        else if (mote_tuple_get(m, 0, &from) == MOTE_OK && mote_term_type(from) == MOTE_PID && (answer = obey(self, m)).word) {
            mote_arena_reset(arena);
            last = mote_term_copy(arena, from);
            CHECK_OK(mote_send(self, from, "{keeper, ?, ?}", mote_node_name(self, NULL, NULL), answer));
        } else if (mote_term_type(last) == MOTE_PID) {
            CHECK_OK(mote_send(self, last, "{told, ?, ?}", mote_node_name(self, NULL, NULL), m));
        }
    }
}

static void no_log(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

static int begin(mote_self *self, void *context) {
    char **argv = context, why[300] = "";
    const mote_node_options options = {.name = argv[1], .cookie = argv[2], .rights = (unsigned)atoi(argv[3]), .tick_ms = (uint32_t)atoi(argv[4]), .visible = strcmp(argv[5], "hidden") != 0,
                                       .global_names = strcmp(argv[5], "names") == 0};
    if (mote_node_start(self, &options, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", argv[1], why);
        return 1;
    }
    return serve_until_input_ends(self, keeper);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fputs("global_node NAME COOKIE RIGHTS TICK_MS names|visible|hidden\n", stderr);
        return 2;
    }
    return mote_run(&(mote_options){.log = no_log}, begin, argv);
}
