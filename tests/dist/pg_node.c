/* SPDX-License-Identifier: Apache-2.0
 * A mote node with process groups for tests/dist_pg.py: an Erlang node tells its process `keeper` what to do.
 *
 *   pg_node NAME COOKIE RIGHTS TICK_MS visible|hidden     prints `ready` once it is there; ends when its input does
 *
 * Each command {From, Name, Argument, ...} is answered by {keeper, Node, Answer}. */
#include <mote/group.h>
#include <mote/node.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live.h"

#define MEMBERS 20
#define GROUPS 5

/* Joins and leaves as its numbers have it, and ends some; what it has started lives on where it has not. */
static void storm(mote_self *self, mote_term scope, int rounds) {
    mote_pid pids[MEMBERS] = {{0}};
    uint64_t n = 12345;
    for (int i = 0; i < rounds; i++) {
        n = n * 6364136223846793005u + 1442695040888963407u;
        mote_pid *pid = &pids[(n >> 33) % MEMBERS];
        int group = (int)((n >> 40) % GROUPS), what = (int)((n >> 50) % 8);
        if (!pid->word) CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, pid));
        if (what == 0) {
            CHECK_OK(mote_exit_send(self, *pid, atom("kill")));
            pid->word = 0;
        } else {
            mote_term name = mote_int_make(NULL, group);
            mote_err err = what < 5 ? mote_group_join(self, scope, name, *pid) : mote_group_leave(self, scope, name, *pid);
            CHECK(err == MOTE_OK || (what >= 5 && err == MOTE_NOMATCH));
        }
    }
}

static mote_term word_of(mote_err err) { return atom(err ? mote_err_name(err) : "ok"); }

/* The answer; none: it is no command. */
static mote_term obey(mote_self *self, mote_term m) {
    mote_term scope, group, list = MOTE_TERM_NIL;
    mote_atom node, name;
    mote_pid pid;
    mote_ref ref;
    int n;
    if (mote_match(m, "{_, start, ?}", &name)) return word_of(mote_group_start_link(self, mote_atom_name(name, NULL), &pid));
    if (mote_match(m, "{_, idle}")) return mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid) ? MOTE_TERM_NONE : mote_pid_term(pid);
    if (mote_match(m, "{_, kill, ?}", &pid)) return word_of(mote_exit_send(self, pid, atom("kill")));
    if (mote_match(m, "{_, join, ?, ?, ?}", &scope, &group, &pid)) return word_of(mote_group_join(self, scope, group, pid));
    if (mote_match(m, "{_, leave, ?, ?, ?}", &scope, &group, &pid)) return word_of(mote_group_leave(self, scope, group, pid));
    if (mote_match(m, "{_, members, ?, ?}", &scope, &group)) return mote_group_members(self, scope, group, &list) ? MOTE_TERM_NONE : list;
    if (mote_match(m, "{_, local, ?, ?}", &scope, &group)) return mote_group_local_members(self, scope, group, &list) ? MOTE_TERM_NONE : list;
    if (mote_match(m, "{_, names, ?}", &scope)) return mote_group_names(self, scope, &list) ? MOTE_TERM_NONE : list;
    if (mote_match(m, "{_, monitor, ?, ?}", &scope, &group)) return mote_group_monitor(self, scope, group, &ref, &list) ? MOTE_TERM_NONE : list;
    if (mote_match(m, "{_, connect, ?}", &node)) return word_of(mote_node_connect(self, node, -1));
    if (mote_match(m, "{_, disconnect, ?}", &node)) return word_of(mote_node_disconnect(self, node));
    if (mote_match(m, "{_, storm, ?, ?}", &scope, &n)) return storm(self, scope, n), atom("ok");
    return MOTE_TERM_NONE;
}

static void keeper(mote_self *self, mote_term arg) {
    mote_arena *arena = mote_arena_new(0);
    mote_term m, from, watcher = MOTE_TERM_NIL, answer;
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        mote_ref ref;
        mote_arena *one = mote_arena_new(0);
        CHECK(arena && one);
        m = mote_term_copy(one, m); /* the answer comes in its place */
        if (mote_match(m, "{?, monitor, _, _}", &from)) watcher = mote_term_copy(arena, from);
        if (mote_tuple_get(m, 0, &from) == MOTE_OK && mote_term_type(from) == MOTE_PID && (answer = obey(self, m)).word)
            CHECK_OK(mote_send(self, from, "{keeper, ?, ?}", mote_node_name(self, NULL, NULL), answer));
        else if (mote_match(m, "{?, _, _, _}", &ref) && mote_term_type(watcher) == MOTE_PID)
            CHECK_OK(mote_send(self, watcher, "{told, ?, ?}", mote_node_name(self, NULL, NULL), m));
        mote_arena_free(one);
    }
}

static void no_log(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

static int begin(mote_self *self, void *context) {
    char **argv = context, why[300] = "";
    const mote_node_options options = {.name = argv[1], .cookie = argv[2], .rights = (unsigned)atoi(argv[3]), .tick_ms = (uint32_t)atoi(argv[4]), .visible = strcmp(argv[5], "visible") == 0};
    if (mote_node_start(self, &options, why, sizeof why)) {
        fprintf(stderr, "%s: %s\n", argv[1], why);
        return 1;
    }
    return serve_until_input_ends(self, keeper);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fputs("pg_node NAME COOKIE RIGHTS TICK_MS visible|hidden\n", stderr);
        return 2;
    }
    return mote_run(&(mote_options){.log = no_log}, begin, argv);
}
