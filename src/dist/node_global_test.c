/* SPDX-License-Identifier: Apache-2.0
 * Global names: runtimes of this program that take part; and one with a node that speaks global's protocol by hand, well and badly. */
#include <mote/external.h>
#include <mote/global.h>
#include <mote/server.h>
#include <stdio.h>
#include <string.h>

#include "dist/node.h"
#include "nodes.h"

static void no_log(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

static mote_self *self_of(unsigned i) { return nodes[i].self; }

static void start_as(unsigned i, bool visible, bool names) {
    static const char *const alive[] = {"a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1", "d@127.0.0.1"};
    CHECK_OK(enter(i, (mote_options){.log = no_log}, (mote_node_options){.name = alive[i], .visible = visible, .global_names = names}, NULL, 0));
}
static void start(unsigned i) { start_as(i, true, true); }
static void start_all(unsigned count) {
    epmd_port = free_port();
    for (unsigned i = 0; i < count; i++) start(i);
}

/* What parts them may still be under way. */
static void try_to_meet(unsigned i, unsigned k) { (void)!mote_node_connect(self_of(i), nodes[k].name, -1); }
static void meet(unsigned i, unsigned k) { CHECK_OK(mote_node_connect(self_of(i), nodes[k].name, -1)); }
static bool is_connected(unsigned i, unsigned k) { return mote_peer_info_get(self_of(i), nodes[k].name, NULL) == MOTE_OK; }
static void sync_all(void) {
    for (unsigned i = 0; i < 4; i++)
        if (nodes[i].runtime) CHECK_OK(mote_global_sync(self_of(i), PATIENCE_MS));
}

static mote_pid idle(unsigned i) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self_of(i), never_ends, MOTE_TERM_NIL, &pid));
    return pid;
}
static void end(unsigned i, mote_pid pid) { CHECK_OK(mote_exit_send(self_of(i), pid, atom("kill"))); }

/* On which node the process of a name is, as `who` sees it: a number of a node, or NOBODY. */
#define NOBODY 9u
static unsigned home(unsigned who, const char *name) {
    mote_pid pid;
    mote_far far;
    mote_err err = mote_global_whereis(self_of(who), name, &pid);
    if (err == MOTE_NOMATCH) return NOBODY;
    CHECK_OK(err);
    if (!mote_far_get(mote_pid_term(pid), &far)) return who;
    for (unsigned i = 0; i < 4; i++)
        if (nodes[i].name.word == far.node.word) return i;
    return NOBODY + 1;
}
#define HOME(name, want)                               \
    for (unsigned i_ = 0; i_ < 4; i_++)                \
        if (nodes[i_].runtime) WAIT_UNTIL(self_of(i_), home(i_, name) == (want))

static void give(unsigned who, const char *name, mote_pid pid) { CHECK_OK(mote_global_register(self_of(who), name, pid, MOTE_CONFLICT_EXIT)); }

/* ------------------------------------------------------------------------------------------- between nodes */

static void one_node(void) {
    mote_term list, m;
    start_all(1);
    mote_pid pid = idle(0);
    CHECK_OK(mote_global_sync(self_of(0), PATIENCE_MS));
    give(0, "x", pid);
    CHECK_INT(mote_global_register(self_of(0), "x", idle(0), MOTE_CONFLICT_EXIT), MOTE_EBUSY);
    CHECK_INT(home(0, "x"), 0);
    CHECK_INT(mote_global_send(self_of(0), "y", atom("hello")), MOTE_NOMATCH);
    CHECK_OK(mote_global_reregister(self_of(0), "x", mote_self_pid(self_of(0)), MOTE_CONFLICT_EXIT));
    CHECK_OK(mote_global_send(self_of(0), "x", atom("hello")));
    CHECK_OK(mote_receive_match(self_of(0), PATIENCE_MS, "hello"));
    CHECK_OK(mote_build(mote_scratch(self_of(0)), &m, "{a, [1, ?]}", mote_text_make(mote_scratch(self_of(0)), "caf\xc3\xa9", 5)));
    CHECK_OK((mote_global_register)(self_of(0), m, pid, MOTE_CONFLICT_EXIT));
    CHECK_OK(mote_global_names(self_of(0), &list));
    CHECK(mote_match(list, "[x, {a, [1, ?]}]", &m) && mote_term_type(m) == MOTE_BINARY);
    CHECK_OK(mote_global_unregister(self_of(0), "x"));
    CHECK_OK(mote_global_unregister(self_of(0), "x"));
    CHECK_INT(home(0, "x"), NOBODY);
    end(0, pid);
    CHECK_OK(mote_global_names(self_of(0), &list));
    WAIT_UNTIL(self_of(0), mote_global_names(self_of(0), &list) == MOTE_OK && mote_match(list, "[]"));
    CHECK_INT(mote_global_register(self_of(0), "z", pid, (mote_conflict)7), MOTE_EARG);
    char *text = calloc(1, 2000);
    CHECK(text);
    m = mote_binary_make(mote_scratch(self_of(0)), text, 2000);
    CHECK_INT((mote_global_register)(self_of(0), m, pid, MOTE_CONFLICT_EXIT), MOTE_ELIMIT);
    free(text);
    CHECK_INT(mote_global_start(self_of(0), NULL), MOTE_EBUSY);
    leave_all();
}

/* What is done with a lock is done by one at a time, on whichever node. */
#define WORKERS 4 /* on each node */
#define TURNS 12
static _Atomic int inside, turns, crowded;
static void takes_turns(mote_self *self, mote_term arg) {
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        CHECK_OK(mote_global_set_lock(self, atom("r"), MOTE_TERM_NONE, MOTE_TERM_NIL, -1));
        if (atomic_fetch_add(&inside, 1)) crowded = 1;
        CHECK_OK(mote_yield(self));
        atomic_fetch_sub(&inside, 1);
        turns++;
        CHECK_OK(mote_global_del_lock(self, atom("r"), MOTE_TERM_NONE, MOTE_TERM_NIL));
    }
}
static void holds(mote_self *self, mote_term arg) {
    mote_pid from;
    CHECK_OK(mote_pid_get(arg, &from));
    CHECK_OK(mote_global_set_lock(self, atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL, -1));
    CHECK_OK(mote_send(self, from, "{has, ?}", mote_self_pid(self)));
    never_ends(self, arg);
}

static void locks(void) {
    mote_term node, list, big;
    mote_pid pid;
    mote_arena *arena = mote_arena_new(0);
    const mote_term text_t = mote_text_make(arena, "t", 1), bytes_t = mote_binary_make(arena, "t", 1);
    start_all(3);
    for (unsigned i = 0; i < 3; i++) {
        meet(i, (i + 1) % 3);
        sync_all();
    }
    CHECK_OK(mote_global_set_lock(self_of(0), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL, 0));
    CHECK_OK(mote_global_set_lock(self_of(0), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL, 0)); /* it has it */
    CHECK_INT(mote_global_set_lock(self_of(1), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL, 50), MOTE_TIMEOUT);
    CHECK_OK(mote_spawn(self_of(2), holds, mote_pid_term(mote_self_pid(self_of(2))), NULL));
    CHECK_INT(mote_receive_match(self_of(2), 30, "{has, _}"), MOTE_TIMEOUT);
    CHECK_OK(mote_global_del_lock(self_of(1), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL)); /* which it has not */
    CHECK_OK(mote_global_del_lock(self_of(0), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL));
    CHECK_OK(mote_receive_match(self_of(2), PATIENCE_MS, "{has, ?}", &pid));
    CHECK_INT(mote_global_set_lock(self_of(0), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL, 0), MOTE_TIMEOUT);
    end(2, pid); /* it goes with who has it */
    CHECK_OK(mote_global_set_lock(self_of(0), atom("s"), MOTE_TERM_NONE, MOTE_TERM_NIL, PATIENCE_MS));
    /* several with one requester; a text is a binary; on one node alone */
    CHECK_OK(mote_build(arena, &list, "[?]", nodes[1].name));
    for (unsigned i = 0; i < 2; i++) CHECK_OK(mote_global_set_lock(self_of(i), i ? text_t : bytes_t, atom("ours"), list, 0));
    CHECK_INT(mote_global_set_lock(self_of(2), text_t, MOTE_TERM_NONE, list, 0), MOTE_TIMEOUT);
    CHECK_OK(mote_global_del_lock(self_of(0), text_t, atom("ours"), list));
    CHECK_INT(mote_global_set_lock(self_of(2), text_t, MOTE_TERM_NONE, list, 0), MOTE_TIMEOUT);
    CHECK_OK(mote_build(arena, &list, "[?]", nodes[2].name));
    CHECK_OK(mote_global_set_lock(self_of(2), text_t, MOTE_TERM_NONE, list, 0));
    /* what is none */
    CHECK_OK(mote_build(arena, &node, "[1]"));
    CHECK_INT(mote_global_set_lock(self_of(0), atom("s"), MOTE_TERM_NONE, node, 0), MOTE_EARG);
    char *text = calloc(1, 5000);
    CHECK(text);
    big = mote_binary_make(arena, text, 5000);
    CHECK_INT(mote_global_set_lock(self_of(0), big, MOTE_TERM_NONE, MOTE_TERM_NIL, -1), MOTE_ELIMIT);
    free(text);
    for (unsigned i = 0; i < 3; i++)
        for (int k = 0; k < WORKERS; k++) CHECK_OK(mote_spawn(self_of(i), takes_turns, MOTE_TERM_NIL, NULL));
    WAIT_UNTIL(self_of(0), turns == 3 * WORKERS * TURNS);
    CHECK(!crowded);
    /* who is gone does not count */
    leave(2);
    WAIT_UNTIL(self_of(0), !is_connected(0, 2) && !is_connected(1, 2));
    CHECK_OK(mote_build(arena, &list, "[?, ?, 'nobody@127.0.0.1']", nodes[0].name, nodes[1].name));
    CHECK_OK(mote_global_set_lock(self_of(1), atom("u"), MOTE_TERM_NONE, list, 0));
    mote_arena_free(arena);
    leave_all();
}

static void asked_for(void) {
    mote_pid pid;
    mote_term names;
    char why[300];
    epmd_port = free_port();
    CHECK_INT(enter(0, (mote_options){.log = no_log}, (mote_node_options){.name = "a@127.0.0.1", .global_names = true}, why, sizeof why), MOTE_EARG); /* for visible nodes */
    leave_all();
    start_as(0, true, false);
    CHECK_INT(mote_global_names(self_of(0), &names), MOTE_ENOPROC);
    CHECK_INT(mote_global_whereis(self_of(0), "x", &pid), MOTE_ENOPROC);
    CHECK_INT(mote_global_sync(self_of(0), -1), MOTE_ENOPROC);
    leave_all();
}

/* Names of before and after, by any node for any process; the ends of processes and of nodes. */
static void names_of_others(void) {
    start_all(3);
    mote_pid a = idle(0), b = idle(1);
    give(0, "a", a);
    give(1, "b", b);
    meet(0, 1);
    sync_all();
    CHECK_INT(home(1, "a"), 0); /* synced is known */
    CHECK_INT(home(0, "b"), 1);
    CHECK_INT(mote_global_register(self_of(1), "a", b, MOTE_CONFLICT_EXIT), MOTE_EBUSY);
    meet(2, 0);
    sync_all();
    WAIT_UNTIL(self_of(2), is_connected(2, 1)); /* all with all */
    sync_all();
    CHECK_INT(home(2, "a"), 0);
    CHECK_INT(home(2, "b"), 1);
    give(2, "c", idle(2));
    CHECK_INT(home(0, "c"), 2); /* once it is registered it is everywhere */
    CHECK_INT(home(1, "c"), 2);
    mote_pid far;
    CHECK_OK(mote_global_whereis(self_of(2), "b", &far));
    CHECK_OK(mote_global_register(self_of(2), "b too", far, MOTE_CONFLICT_NOTIFY));
    CHECK_INT(home(1, "b too"), 1);
    CHECK_OK(mote_global_register(self_of(1), "me", mote_self_pid(self_of(1)), MOTE_CONFLICT_EXIT));
    CHECK_OK(mote_global_send(self_of(0), "me", atom("hello")));
    CHECK_OK(mote_receive_match(self_of(1), PATIENCE_MS, "hello"));
    CHECK_OK(mote_global_unregister(self_of(0), "me"));
    CHECK_INT(home(1, "me"), NOBODY);
    end(1, b);
    HOME("b", NOBODY);
    HOME("b too", NOBODY);
    CHECK_OK(mote_global_reregister(self_of(1), "a", idle(1), MOTE_CONFLICT_EXIT));
    CHECK_INT(home(2, "a"), 1);
    leave(2);
    HOME("c", NOBODY);
    WAIT_UNTIL(self_of(0), !is_connected(0, 2));
    give(0, "c", idle(0));
    HOME("c", 0);
    CHECK(is_connected(0, 1)); /* the end of a node parts nobody else */
    leave_all();
}

/* Who registers beside others gets a name or is told that it is taken; one of them has it. */
static void races(void) {
    start_all(3);
    meet(0, 1);
    meet(1, 2);
    sync_all();
    for (int round = 0; round < scaled(20); round++) {
        mote_ref refs[3];
        mote_term reply;
        int code, won = 0;
        char name[20];
        snprintf(name, sizeof name, "race%d", round);
        for (unsigned i = 0; i < 3; i++) CHECK_OK(mote_call_start(self_of(i), "mote_global", &refs[i], "{register, ?, ?, 0, false}", atom(name), idle(i)));
        for (unsigned i = 0; i < 3; i++) {
            CHECK_OK(mote_receive_ref(self_of(i), PATIENCE_MS, refs[i], &reply));
            CHECK_OK(mote_call_answer(reply, refs[i], &reply));
            CHECK(mote_match(reply, "{?, _}", &code) && (code == MOTE_OK || code == MOTE_EBUSY));
            won += code == MOTE_OK;
        }
        CHECK_INT(won, 1);
        CHECK(home(0, name) == home(1, name) && home(1, name) == home(2, name));
    }
    leave_all();
}

/* Two clusters meet in which both have a name, by each way of conflicts; the methods of the resolving node's decide. */
static void conflicts(void) {
    mote_ref ends;
    mote_term m;
    start_all(4);
    meet(0, 3); /* a and d, b and c */
    meet(1, 2);
    sync_all();
    mote_pid one = idle(3), other = idle(2);
    give(0, "only", idle(0));
    CHECK_OK(mote_global_register(self_of(3), "killed", one, MOTE_CONFLICT_EXIT));
    CHECK_OK(mote_global_register(self_of(2), "killed", other, MOTE_CONFLICT_EXIT));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(mote_global_register(self_of(i), "told", mote_self_pid(self_of(i)), MOTE_CONFLICT_NOTIFY));
        CHECK_OK(mote_global_register(self_of(i), "both", mote_self_pid(self_of(i)), MOTE_CONFLICT_NOTIFY_ALL));
    }
    CHECK_OK(mote_monitor(self_of(3), one, &ends));
    meet(0, 1);
    sync_all();
    HOME("killed", 2);
    HOME("told", 0);
    HOME("both", NOBODY);
    HOME("only", 0);
    CHECK_OK(mote_receive_match(self_of(3), PATIENCE_MS, "{'DOWN', ^, process, _, killed}", ends));
    CHECK_OK(mote_receive_match(self_of(1), PATIENCE_MS, "{global_name_conflict, told}"));
    for (unsigned i = 0; i < 2; i++) CHECK_OK(mote_receive_match(self_of(i), PATIENCE_MS, "{global_name_conflict, both, ?}", &m));
    bool alive = false;
    CHECK_OK(mote_is_alive(self_of(2), other, &alive));
    CHECK(alive);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 4; k++)
            if (i != k) WAIT_UNTIL(self_of(i), is_connected(i, k));
    leave_all();
}

static bool has_all(unsigned who) { return home(who, "a") == 0 && home(who, "c") == 2; }

/* A connection between two of three ends: nobody is left with half a cluster; then they meet again. */
static void parted(void) {
    start_all(3);
    meet(0, 1);
    meet(1, 2);
    sync_all();
    WAIT_UNTIL(self_of(0), is_connected(0, 2));
    sync_all();
    give(0, "a", idle(0));
    give(2, "c", idle(2));
    for (uint64_t since = now_ns(); is_connected(1, 0) && is_connected(1, 2); look_later(self_of(1), since))
        if (is_connected(0, 2)) (void)!mote_node_disconnect(self_of(0), nodes[2].name); /* what was under way may have connected them again */
    WAIT_UNTIL(self_of(1), home(1, "a") == NOBODY || home(1, "c") == NOBODY);
    CHECK_INT(home(0, "a"), 0);
    CHECK_INT(home(2, "c"), 2);
    for (uint64_t since = now_ns(); !(is_connected(0, 2) && has_all(0) && has_all(1) && has_all(2)); look_later(self_of(1), since)) {
        try_to_meet(0, 1); /* what was told of the loss may still part them once more */
        try_to_meet(2, 1);
    }
    leave_all();
}

/* Nodes without names are none's hindrance. */
static void those_without(void) {
    epmd_port = free_port();
    start(0);
    start_as(1, true, false);
    start_as(2, false, false);
    start(3);
    for (unsigned i = 0; i < 3; i++) meet(3, i);
    CHECK_OK(mote_global_sync(self_of(0), PATIENCE_MS));
    CHECK_OK(mote_global_sync(self_of(3), PATIENCE_MS));
    give(0, "a", idle(0));
    CHECK_INT(home(3, "a"), 0);
    leave(1);
    leave(2);
    WAIT_UNTIL(self_of(3), !is_connected(3, 1) && !is_connected(3, 2));
    CHECK(is_connected(3, 0));
    leave_all();
}

/* Connections that end and come again. */
static void comes_and_goes(void) {
    start_all(2);
    give(0, "a", idle(0));
    give(1, "b", idle(1));
    for (int i = 0; i < scaled(40); i++) {
        unsigned one = i % 2 != 0, other = !one;
        meet(one, other);
        WAIT_UNTIL(self_of(other), is_connected(other, one));
        if (i % 4 == 3) {
            sync_all();
            HOME("a", 0);
        }
        mote_err err = mote_node_disconnect(self_of(one), nodes[other].name);
        CHECK(err == MOTE_OK || err == MOTE_ENOPROC);
        WAIT_UNTIL(self_of(other), !is_connected(other, one));
        WAIT_UNTIL(self_of(one), !is_connected(one, other));
    }
    meet(0, 1);
    sync_all();
    HOME("a", 0);
    HOME("b", 1);
    leave_all();
}

/* The same while what they had to say is still under way, among three that hear of each other: nobody is left who is known and whose names are not, or the other way round. */
static void at_short_notice(void) {
    start_all(3);
    give(0, "a", idle(0));
    give(2, "c", idle(2));
    for (int i = 0; i < scaled(40); i++) {
        for (unsigned k = 0; k < 4; k++) {
            const unsigned one = (unsigned)i + k, other = one + 1 + k / 2;
            try_to_meet(one % 3, other % 3);
            if (k < 3) (void)!mote_node_disconnect(self_of((k & 1 ? one : other) % 3), nodes[(k & 1 ? other : one) % 3].name);
        }
        for (uint64_t since = now_ns(); !(is_connected(0, 2) && has_all(0) && has_all(1) && has_all(2)); look_later(self_of(1), since)) {
            try_to_meet(0, 1);
            try_to_meet(2, 1);
        }
    }
    leave_all();
}

/* --------------------------------------------------------------------------------------- the protocol, by hand */

static mote_arena *arena;
static mote_term there;         /* its server, by name */
static mote_term his, him;      /* its tag, and its locker */

#define PLAY(...) CHECK_OK(mote_send(self_of(1), there, __VA_ARGS__))
#define CAST(text, ...) CHECK_OK(mote_send(self_of(1), there, "{'$gen_cast', " text "}" __VA_OPT__(, ) __VA_ARGS__))
#define HEARS(text, ...) CHECK_OK(mote_receive_match(self_of(1), PATIENCE_MS, text __VA_OPT__(, ) __VA_ARGS__))
#define HEARS_CAST(text, ...) HEARS("{'$gen_cast', " text "}" __VA_OPT__(, ) __VA_ARGS__)

/* Node 1's own process is its server. */
static void begin_play(void) {
    epmd_port = free_port();
    arena = mote_arena_new(0);
    start(0);
    start_as(1, true, false);
    CHECK_OK(mote_register(self_of(1), mote_atom_make("global_name_server"), mote_self_pid(self_of(1))));
    CHECK_OK(mote_build(arena, &there, "{global_name_server, ?}", nodes[0].name));
    meet(1, 0);
    HEARS_CAST("{init_connect, {8, ?}, 'a@127.0.0.1', {locker, _, _, ?}}", &his, &him);
    his = mote_term_copy(arena, his);
    him = mote_term_copy(arena, him);
    CHECK(mote_far_get(him, NULL));
}
static void end_play(void) {
    mote_arena_free(arena);
    leave_all();
}

static mote_term ask(mote_term request) {
    mote_term reply;
    CHECK_OK(mote_call_term(self_of(1), there, PATIENCE_MS, request, &reply));
    return reply;
}
static mote_term parsed(const char *text) {
    mote_term m;
    CHECK_OK(mote_term_parse(arena, text, strlen(text), &m, NULL));
    return m;
}
static void settle(void) { CHECK_TERM(ask(parsed("get_protocol_version")), "8"); }
/* A request with a term in it. */
static mote_term with(const char *what, mote_term term) {
    mote_term m;
    CHECK_OK(mote_build(arena, &m, "{?, ?}", atom(what), term));
    return m;
}

/* All steps, begun by node 1; its tag is 77. */
static void agree(mote_term names, mote_term resolved, mote_term known) {
    const mote_pid me = mote_self_pid(self_of(1));
    mote_term lock, list, ops;
    mote_far far;
    CAST("{init_connect, {8, 77}, 'b@127.0.0.1', {locker, no_longer_a_pid, #{}, ?}}", me);
    HEARS("{init_connect_ack, 'a@127.0.0.1', 77, ^}", his);
    CHECK(mote_far_get(him, &far));
    const struct mt_far_pid own = mt_far_pid_of(mt_dist_of(nodes[1].runtime), me.word);
    bool first = own.serial != far.words[1] ? own.serial < far.words[1] : own.id < far.words[0]; /* Erlang's order of pids */
    CHECK_OK(mote_build(arena, &lock, "{global, [?, ?]}", first ? mote_pid_term(me) : him, first ? him : mote_pid_term(me)));
    CHECK_TERM(ask(with("set_lock", lock)), "true");
    CHECK_TERM(ask(with("set_lock", parsed("{global, [1, 2]}"))), "false");
    CAST("{lock_set, ?, true, [], ?}", me, his);
    HEARS_CAST("{lock_set, ^, true, [], 77}", him);
    HEARS_CAST("{exchange, 'a@127.0.0.1', ?, [], 77}", &list);
    CAST("{exchange, 'b@127.0.0.1', ?, [], ?}", names, his);
    HEARS_CAST("{resolved, 'a@127.0.0.1', ?, [], unused, [], 77}", &ops);
    CAST("{resolved, 'b@127.0.0.1', ?, ?, unused, [], ?}", resolved, known, his);
    CHECK_TERM(ask(with("del_lock", lock)), "true");
    settle();
}

static void says(void) {
    mote_pid me;
    mote_term m, list;
    begin_play();
    me = mote_self_pid(self_of(1));
    give(0, "a", idle(0));
    CHECK_TERM(ask(parsed("get_known")), "[]");
    CHECK_OK(mote_build(arena, &m, "{register, b, ?, nothing}", me));
    CHECK_TERM(ask(m), "no"); /* it is not known yet */
    CHECK_OK(mote_build(arena, &list, "[{b, ?, nothing}]", me));
    agree(list, MOTE_TERM_NIL, MOTE_TERM_NIL);
    CHECK_OK(mote_global_sync(self_of(0), PATIENCE_MS));
    CHECK_TERM(ask(parsed("get_known")), "['b@127.0.0.1']");
    CHECK_INT(home(0, "b"), 1);
    CHECK_OK(mote_build(arena, &m, "{register, c, ?, nothing}", me));
    CHECK_TERM(ask(m), "yes");
    CHECK_INT(home(0, "c"), 1);
    CHECK_TERM(ask(parsed("{unregister, c}")), "ok");
    CHECK_INT(home(0, "c"), NOBODY);
    CHECK_TERM(ask(parsed("{set_lock, {mine, 1}}")), "true"); /* locks go with their holder, or with their own */
    CHECK_TERM(ask(parsed("{set_lock, {mine, 1}}")), "true");
    CHECK_TERM(ask(parsed("{set_lock, {mine, 2}}")), "false");
    CHECK_TERM(ask(parsed("{del_lock, {mine, 2}}")), "true");
    CHECK_TERM(ask(parsed("{set_lock, {mine, 2}}")), "false");
    CHECK_TERM(ask(parsed("{del_lock, {mine, 1}}")), "true");
    CHECK_TERM(ask(parsed("{set_lock, {mine, 2}}")), "true");
    end_play();
}

/* The next call, answered. */
static void answers(const char *what, const char *reply) {
    mote_term from, request, name;
    HEARS("{'$gen_call', ?, ?}", &from, &request);
    CHECK_OK(mote_tuple_get(request, 0, &name));
    CHECK_TERM(name, what);
    CHECK_OK(mote_reply_term(self_of(1), from, parsed(reply)));
}

/* What others are asked for, in which order: who is refused a lock gives it back, and comes again; it is told what was registered before he has his answer. */
static void registers(void) {
    mote_term m;
    mote_ref ref;
    begin_play();
    agree(MOTE_TERM_NIL, MOTE_TERM_NIL, MOTE_TERM_NIL);
    CHECK_OK(mote_call_start(self_of(0), "mote_global", &ref, "{register, x, ?, 0, false}", idle(0)));
    answers("set_lock", "false");
    answers("del_lock", "true");
    answers("set_lock", "true");
    CHECK_INT(mote_receive(self_of(0), 0, &m), MOTE_TIMEOUT);
    answers("register", "yes");
    answers("del_lock", "true");
    CHECK_OK(mote_receive_ref(self_of(0), PATIENCE_MS, ref, &m));
    CHECK_OK(mote_call_start(self_of(0), "mote_global", &ref, "{unregister, x}"));
    answers("set_lock", "true");
    answers("unregister", "ok");
    answers("del_lock", "true");
    CHECK_OK(mote_receive_ref(self_of(0), PATIENCE_MS, ref, &m));
    end_play();
}

/* A name whose method is none of global's is known as others are, and goes with its node. That such a method is asked for tests/dist_global.py has. */
static void opaque_methods(void) {
    mote_term list, m;
    begin_play();
    CHECK_OK(mote_node_rights(self_of(1), nodes[0].name, MOTE_RIGHT_RPC));
    CHECK_OK(mote_build(arena, &list, "[{b, ?, {some, method}}]", mote_self_pid(self_of(1))));
    agree(list, MOTE_TERM_NIL, MOTE_TERM_NIL);
    CHECK_INT(home(0, "b"), 1);
    CHECK_OK(mote_node_disconnect(self_of(1), nodes[0].name));
    WAIT_UNTIL(self_of(0), home(0, "b") == NOBODY);
    WAIT_UNTIL(self_of(1), !is_connected(1, 0));
    CHECK_OK(mote_call(self_of(0), "mote_global", PATIENCE_MS, &m, "{register, b, ?, 0, false}", idle(0)));
    end_play();
}

/* Nothing of this changes anything, ends it, or parts anybody. */
static void garbage(void) {
    static const char *const texts[] = {
        "hello", "{'$gen_cast', hello}", "{'$gen_cast', {init_connect, 1, 2, 3}}", "{'$gen_cast', {init_connect, {8, 1}, 'c@127.0.0.1', {locker, 1, 2, 3}}}", "{'$gen_cast', {in_sync, 'c@127.0.0.1', true}}",
        "{'$gen_cast', {init_connect, {8, 1}, 'b@127.0.0.1', {locker, 1, 2, 3}}}", "{'$gen_cast', {lock_set, 1, 2, 3, 4}}", "{'$gen_cast', {exchange, 'b@127.0.0.1', x, y, 0}}",
        "{'$gen_cast', {resolved, 'b@127.0.0.1', [], ['z@127.0.0.1'], 1, 2, 0}}", "{'$gen_cast', {new_nodes, 'c@127.0.0.1', [{delete, a}], [], [{'z@127.0.0.1', 8}], []}}", "{lost_connection, 1, 2, 3, 4}",
        "{lost_connection, 'b@127.0.0.1', 2, 3, 'c@127.0.0.1'}", "{remove_connection, 'c@127.0.0.1'}", "{cancel_connect, 'b@127.0.0.1', 0}", "{'$gen_call', 1, 2}", "{'$gen_call', {1, 2}, {set_lock, {global, x}}}",
        "{'$gen_call', {1, 2}, {set_lock, {global, 3}}}", "{'$gen_call', {1, 2}, {del_lock, 3}}", "{'$gen_call', {1, 2}, {register, a, 3, 4}}", "{'$global', 'b@127.0.0.1', x}", "{'DOWN', 1, 2, 3, 4}", "{nodedown, 'b@127.0.0.1'}",
        "{'$done', 1, true, []}", "#{a => 1}", "[1|2]"};
    mote_term m;
    begin_play();
    give(0, "a", idle(0));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) PLAY("?", parsed(texts[i]));
    settle();
    CHECK_INT(home(0, "a"), 0);
    agree(parsed("[1, {a}, {x, 1, 2}, {a, b, c, d}, {y, z, 3} | x]"), parsed("[{delete}, {insert, x}, {insert, {x, 1, 2}}, {delete, q}, 1]"), parsed("[{1, 2}, x, [], {'q@127.0.0.1', 8}]"));
    CHECK_OK(mote_global_sync(self_of(0), PATIENCE_MS)); /* those that cannot be connected are none */
    CHECK_TERM(ask(parsed("get_known")), "['b@127.0.0.1']");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) PLAY("?", parsed(texts[i]));
    for (int i = 0; i < 1000; i++) PLAY("{lost_connection, 'c@127.0.0.1', 1, ?, 'd@127.0.0.1'}", i);
    CAST("{new_nodes, 'b@127.0.0.1', ?, 1, ?, 2}", parsed("[{insert, {a, 1, 2}}, {insert, x} | y]"), parsed("[1, {2, 3} | z]"));
    uint8_t *long_name = calloc(1, 5000);
    CHECK(long_name);
    const mote_term large = mote_binary_make(arena, long_name, 5000);
    free(long_name);
    CHECK_OK(mote_build(arena, &m, "{register, ?, ?, 1}", large, mote_self_pid(self_of(1))));
    CHECK_TERM(ask(m), "no");
    CHECK_OK(mote_build(arena, &m, "{register, x, ?, ?}", mote_self_pid(self_of(1)), large));
    CHECK_TERM(ask(m), "no");
    CHECK_OK(mote_build(arena, &m, "{set_lock, {?, 1}}", large));
    CHECK_TERM(ask(m), "false");
    settle();
    CHECK_OK(mote_global_names(self_of(0), &m));
    CHECK_TERM(m, "[a]");
    CHECK(is_connected(0, 1));
    end_play();
}

/* As many names as there may be, then there is room again. */
static void flood(void) {
    mote_term list = MOTE_TERM_NIL, one, m, names;
    size_t count;
    begin_play();
    for (int i = 0; i < 100500; i++) {
        CHECK_OK(mote_build(arena, &one, "{{name, ?}, ?, x}", i, mote_self_pid(self_of(1))));
        list = mote_cons_make(arena, one, list);
    }
    agree(list, MOTE_TERM_NIL, MOTE_TERM_NIL);
    CHECK_OK(mote_global_names(self_of(0), &names));
    CHECK_OK(mote_list_length(names, &count));
    CHECK_INT(count, 100000);
    CHECK_OK(mote_build(arena, &m, "{register, more, ?, 1}", mote_self_pid(self_of(1))));
    CHECK_TERM(ask(m), "no");
    CHECK_OK(mote_node_disconnect(self_of(1), nodes[0].name));
    WAIT_UNTIL(self_of(0), mote_global_names(self_of(0), &names) == MOTE_OK && mote_match(names, "[]"));
    end_play();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(one_node), TEST(locks), TEST(asked_for), TEST(names_of_others), TEST(races), TEST(conflicts), TEST(parted), TEST(those_without), TEST(comes_and_goes), TEST(at_short_notice), TEST(says), TEST(registers), TEST(opaque_methods), TEST(garbage), TEST(flood), {0}});
}
