/* SPDX-License-Identifier: Apache-2.0
 * Process groups across nodes: runtimes of this program with a scope each; and a scope with a process that speaks pg's protocol by hand, well and badly. */
#include <mote/external.h>
#include <mote/group.h>
#include <stdio.h>
#include <string.h>

#include "dist/node.h"
#include "nodes.h"

static void no_log(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

static mote_self *self_of(unsigned i) { return nodes[i].self; }

static void start(unsigned i, bool visible) {
    static const char *const names[] = {"a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"};
    CHECK_OK(enter(i, (mote_options){.log = no_log}, (mote_node_options){.name = names[i], .visible = visible}, NULL, 0));
}

static mote_pid scope_of(unsigned i) {
    mote_pid scope;
    CHECK_OK(mote_group_start_link(nodes[i].self, "pg", &scope));
    return scope;
}

static mote_pid idle(unsigned i) {
    mote_pid pid;
    CHECK_OK(mote_spawn(nodes[i].self, never_ends, MOTE_TERM_NIL, &pid));
    return pid;
}

static void end(unsigned i, mote_pid pid) { CHECK_OK(mote_exit_send(nodes[i].self, pid, atom("kill"))); }

static void meet(unsigned i, unsigned k) { CHECK_OK(mote_node_connect(nodes[i].self, nodes[k].name, -1)); }

static bool is_connected(unsigned i, unsigned k) {
    mote_peer_info info = {0};
    mote_err err = mote_peer_info_get(nodes[i].self, nodes[k].name, &info);
    CHECK(err == MOTE_NOMATCH || (err == MOTE_OK && info.monitors && info.visible));
    return err == MOTE_OK;
}

/* How many members a group has as `who` sees it, waiting until there are so many. */
static void wait_members(unsigned who, const char *group, size_t want) {
    mote_term list;
    size_t count = SIZE_MAX;
    for (uint64_t since = now_ns(); count != want; look_later(self_of(who), since)) {
        CHECK_OK(mote_group_members(self_of(who), "pg", group, &list));
        CHECK_OK(mote_list_length(list, &count));
        if (count == want) return;
    }
}

/* The next about a watched group. */
static void watched(unsigned who, mote_ref ref, const char *what, const char *group, size_t want) {
    mote_term pids;
    mote_atom tag, name;
    size_t count;
    CHECK_OK(mote_receive_match(self_of(who), PATIENCE_MS, "{^, ?, ?, ?}", ref, &tag, &name, &pids));
    CHECK_STR(mote_atom_name(tag, NULL), what);
    CHECK_STR(mote_atom_name(name, NULL), group);
    CHECK_OK(mote_list_length(pids, &count));
    CHECK_INT(count, want);
}

/* Members of before the connection and of after it; a scope that was there before its node was connected, and one that came later; an end; a node that goes. */
static void members_of_others(void) {
    mote_ref ref;
    mote_term list, m;
    epmd_port = free_port();
    for (unsigned i = 0; i < 3; i++) start(i, i == 1);
    mote_pid here = idle(0), there = idle(1), third = idle(2);
    (void)scope_of(0);
    (void)scope_of(1);
    CHECK_OK(mote_group_join(self_of(0), "pg", "g", here));
    CHECK_OK(mote_group_join(self_of(1), "pg", "g", there));
    CHECK_OK(mote_group_join(self_of(1), "pg", "only", there));
    CHECK_OK(mote_group_monitor(self_of(0), "pg", "g", &ref, &list));
    CHECK(mote_match(list, "[^]", here));
    meet(0, 1);
    watched(0, ref, "join", "g", 1);
    wait_members(1, "g", 2);
    CHECK_OK(mote_group_members(self_of(0), "pg", "g", &list));
    CHECK(mote_match(list, "[^, ?]", here, &m) && mote_far_get(m, NULL)); /* those of here first */
    CHECK_OK(mote_group_local_members(self_of(0), "pg", "g", &list));
    CHECK(mote_match(list, "[^]", here));
    CHECK_OK(mote_group_local_members(self_of(0), "pg", "only", &list));
    CHECK_TERM(list, "[]");
    wait_members(0, "only", 1);
    CHECK_OK(mote_group_names(self_of(0), "pg", &list));
    CHECK_TERM(list, "[g,only]");
    CHECK_OK(mote_group_join(self_of(1), "pg", "g", there));
    watched(0, ref, "join", "g", 1);
    wait_members(0, "g", 3);
    CHECK_OK(mote_group_leave(self_of(1), "pg", "g", there));
    watched(0, ref, "leave", "g", 1);
    CHECK_OK(mote_group_join(self_of(1), "pg", "g", there));
    watched(0, ref, "join", "g", 1);
    meet(2, 0);
    (void)scope_of(2);
    CHECK_OK(mote_group_join(self_of(2), "pg", "g", third));
    watched(0, ref, "join", "g", 1);
    wait_members(2, "g", 2); /* it is not connected with the second */
    mote_ref all;
    CHECK_OK(mote_group_monitor_scope(self_of(0), "pg", &all, &m));
    CHECK(mote_match(m, "#{g := [_, _, _, _], only := [_]}"));
    end(1, there);
    watched(0, ref, "leave", "g", 1); /* a message for each time, as pg has them */
    watched(0, ref, "leave", "g", 1);
    wait_members(0, "only", 0);
    CHECK_OK(mote_group_names(self_of(0), "pg", &list));
    CHECK_TERM(list, "[g]");
    CHECK_OK(mote_group_demonitor(self_of(0), "pg", all));
    leave(2);
    watched(0, ref, "leave", "g", 1);
    wait_members(0, "g", 1);
    leave_all();
}

/* A connection that ends and comes again, again and again: each side has the other's members at the end. */
static void comes_and_goes(void) {
    epmd_port = free_port();
    for (unsigned i = 0; i < 2; i++) start(i, true), (void)scope_of(i);
    CHECK_OK(mote_group_join(self_of(0), "pg", "g", idle(0)));
    CHECK_OK(mote_group_join(self_of(1), "pg", "g", idle(1)));
    for (int i = 0; i < scaled(200); i++) {
        unsigned one = i % 2 != 0, other = !one;
        meet(one, other);
        WAIT_UNTIL(self_of(other), is_connected(other, one));
        if (i % 3 == 0) wait_members(0, "g", 2);
        mote_pid pid = idle(1);
        CHECK_OK(mote_group_join(self_of(1), "pg", "g", pid));
        mote_err err = mote_node_disconnect(self_of(one), nodes[other].name); /* what is sent meanwhile does not connect them again */
        CHECK(err == MOTE_OK || err == MOTE_ENOPROC);
        CHECK_OK(mote_group_leave(self_of(1), "pg", "g", pid));
        WAIT_UNTIL(self_of(other), !is_connected(other, one)); /* who dials next; the first may not have noticed yet */
    }
    meet(scaled(200) % 2 != 0, scaled(200) % 2 == 0);
    wait_members(0, "g", 2);
    wait_members(1, "g", 2);
    leave_all();
}

/* To others a text is a binary. */
static void texts(void) {
    mote_term list, text, tuple, binary;
    mote_ref ref;
    epmd_port = free_port();
    for (unsigned i = 0; i < 2; i++) start(i, false), (void)scope_of(i);
    meet(0, 1);
    for (unsigned i = 2; i--;) { /* who watches first */
        text = mote_text_make(mote_scratch(self_of(i)), "caf\xc3\xa9", 5);
        CHECK_OK(mote_build(mote_scratch(self_of(i)), &tuple, "{g, [?]}", text));
        if (i) CHECK_OK(mote_group_monitor(self_of(1), "pg", tuple, &ref, NULL));
        if (!i) CHECK_OK(mote_group_join(self_of(0), "pg", tuple, idle(0)));
        CHECK_OK(mote_group_join(self_of(i), "pg", text, idle(i)));
    }
    wait_members(1, "none", 0);
    CHECK_OK(mote_receive_match(self_of(1), PATIENCE_MS, "{^, join, {g, [?]}, [_]}", ref, &text));
    CHECK_INT(mote_term_type(text), MOTE_TEXT); /* as it was asked for */
    binary = mote_binary_make(mote_scratch(self_of(1)), "caf\xc3\xa9", 5);
    text = mote_text_make(mote_scratch(self_of(1)), "caf\xc3\xa9", 5);
    size_t count = 0;
    for (uint64_t since = now_ns(); count != 2; look_later(self_of(1), since)) {
        CHECK_OK(mote_group_members(self_of(1), "pg", binary, &list));
        CHECK_OK(mote_list_length(list, &count));
        if (count == 2) break;
    }
    CHECK_OK(mote_group_members(self_of(1), "pg", text, &list));
    CHECK_OK(mote_list_length(list, &count));
    CHECK_INT(count, 2);
    CHECK_OK(mote_group_names(self_of(1), "pg", &list));
    CHECK(mote_match(list, "[?, {g, [_]}]", &text) && mote_term_type(text) == MOTE_TEXT); /* once */
    leave_all();
}

/* ------------------------------------------------------------------------------------- the protocol, by hand */

static mote_term found; /* the scope of node 0, as node 1 knows it: in `arena` */
static mote_arena *arena;

#define PLAY(...) CHECK_OK(mote_send(self_of(1), found, __VA_ARGS__))
#define HEARS(...) CHECK_OK(mote_receive_match(self_of(1), PATIENCE_MS, __VA_ARGS__))

/* Node 1's own process is a scope by name. */
static void begin_play(void) {
    mote_term pid;
    epmd_port = free_port();
    arena = mote_arena_new(0);
    for (unsigned i = 0; i < 2; i++) start(i, true);
    CHECK_OK(mote_register(self_of(1), mote_atom_make("pg"), mote_self_pid(self_of(1))));
    (void)scope_of(0);
    meet(0, 1);
    HEARS("{discover, ?}", &pid);
    found = mote_term_copy(arena, pid);
    CHECK(mote_far_get(found, NULL));
}
static void end_play(void) {
    mote_arena_free(arena);
    leave_all();
}

static size_t count_of(const char *group) {
    mote_term list;
    size_t count;
    CHECK_OK(mote_group_members(self_of(0), "pg", group, &list));
    CHECK_OK(mote_list_length(list, &count));
    return count;
}

/* After this all that was played before has been heard. */
static void settle(void) {
    mote_term names;
    CHECK_OK(mote_group_names(self_of(1), found, &names)); /* also from another node a scope is asked */
}

/* The same, and it knows node 1's process. */
static void introduce(void) {
    PLAY("{discover, ?}", mote_self_pid(self_of(1)));
    HEARS("{'$gen_cast', {sync, _, _}}");
}

/* What is said, and to whom: no change before the sync that has what was before it, no leave of what was not told. */
static void says(void) {
    mote_pid me, pid, other;
    mote_term m, groups, a;
    begin_play();
    me = mote_self_pid(self_of(1));
    pid = idle(0);
    other = idle(0);
    for (int i = 0; i < 2; i++) CHECK_OK(mote_group_join(self_of(0), "pg", "g", pid));
    CHECK_OK(mote_group_join(self_of(0), "pg", "h", other));
    CHECK_INT(mote_receive(self_of(1), 0, &m), MOTE_TIMEOUT); /* it knows nobody yet */
    PLAY("{discover, ?}", me);
    HEARS("{'$gen_cast', {sync, ^, ?}}", found, &groups);
    CHECK(mote_match(groups, "[{g, [?, ?]}, {h, [_]}]", &a, &m) && mote_term_same(a, m));
    HEARS("{discover, ^}", found);
    PLAY("{discover, ?, {version, 2}}", me); /* newer ones say more */
    HEARS("{'$gen_cast', {sync, ^, [{g, [_, _]}, {h, [_]}]}}", found);
    CHECK_OK(mote_group_join(self_of(0), "pg", "i", pid));
    HEARS("{join, ^, i, _}", found);
    CHECK_OK(mote_group_leave(self_of(0), "pg", "h", other));
    HEARS("{leave, ^, _, [h]}", found);
    CHECK_INT(mote_group_leave(self_of(0), "pg", "h", other), MOTE_NOMATCH);
    end(0, pid);
    HEARS("{leave, ^, _, [g, g, i]}", found);
    CHECK_INT(mote_receive(self_of(1), 0, &m), MOTE_TIMEOUT);
    PLAY("{'$gen_cast', {sync, ?, []}}", me);
    settle();
    CHECK_INT(mote_receive(self_of(1), 0, &m), MOTE_TIMEOUT);
    end_play();
}

/* Who was met by a sync alone is told all, too. */
static void met_by_sync(void) {
    mote_pid me, pid;
    begin_play();
    me = mote_self_pid(self_of(1));
    CHECK_OK(mote_group_join(self_of(0), "pg", "g", idle(0)));
    pid = idle(1);
    PLAY("{'$gen_cast', {sync, ?, [{g, [?, ?]}]}}", me, pid, pid);
    HEARS("{'$gen_cast', {sync, ^, [{g, [_]}]}}", found);
    CHECK_INT(count_of("g"), 3);
    end_play();
}

/* What a sync does not name has left; what it names as often stays without a word. */
static void syncs(void) {
    mote_pid me, a, b;
    mote_ref ref;
    mote_term m;
    begin_play();
    me = mote_self_pid(self_of(1));
    a = idle(1);
    b = idle(1);
    PLAY("{join, ?, g, ?}", me, a); /* of nobody that is known */
    PLAY("{'$gen_cast', {sync, ?, [{g, [?, ?, ?]}, {h, [?]}]}}", me, a, b, a, b);
    settle();
    CHECK_INT(count_of("g"), 3);
    CHECK_OK(mote_group_monitor(self_of(0), "pg", "g", &ref, NULL));
    PLAY("{'$gen_cast', {sync, ?, [{g, [?, ?]}, {i, [?]}]}}", me, b, a, b);
    watched(0, ref, "leave", "g", 1);
    settle();
    CHECK_INT(count_of("h"), 0);
    CHECK_INT(count_of("i"), 1);
    PLAY("{leave, ?, [?, ?], [g, g, i, nobody_is_there]}", me, a, b);
    watched(0, ref, "leave", "g", 2);
    settle();
    CHECK_INT(count_of("g") + count_of("i"), 0);
    PLAY("{join, ?, g, [?, ?]}", me, a, b);
    watched(0, ref, "join", "g", 2);
    CHECK_INT(mote_receive(self_of(0), 0, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_node_disconnect(self_of(1), nodes[0].name));
    watched(0, ref, "leave", "g", 2);
    end_play();
}

/* Nothing of this changes anything, or ends it. */
static void garbage(void) {
    static const char *const texts[] = {
        "hello", "{discover}", "{discover, hello}", "{discover, 1, 2, 3}", "{'$gen_cast', hello}", "{'$gen_cast', {sync, 1, 2}}", "{sync, 1, 2}", "[]", "{join, 1, 2}",
        "{join, 1, 2, 3}", "{leave, 1, 2, 3}", "{nodeup, 1}", "{nodedown, x}", "{'DOWN', 1, process, 2, 3}", "{'$gen_call', 1, 2}", "{'$gen_call', {1, 2}, {join, g, 3}}", "#{a => 1}", "{'EXIT', 1, 2}"};
    static const char *const of_us[] = {"[{g, [1, g, {}]}]", "[{g}, 1, {g, 1}, {g, 1, 2} | x]", "[{g, [x | y]}]", "x", "{}"};
    mote_pid me, mine;
    mote_term m, own;
    begin_play();
    me = mote_self_pid(self_of(1));
    mine = idle(1);
    introduce();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK_OK(mote_term_parse(arena, texts[i], strlen(texts[i]), &m, NULL));
        PLAY("?", m);
    }
    for (size_t i = 0; i < sizeof of_us / sizeof *of_us; i++) {
        CHECK_OK(mote_term_parse(arena, of_us[i], strlen(of_us[i]), &m, NULL));
        PLAY("{'$gen_cast', {sync, ?, ?}}", me, m);
        PLAY("{join, ?, g, ?}", me, m);
        PLAY("{leave, ?, ?, ?}", me, m, m);
        PLAY("{leave, ?, ?, g}", me, mine);
    }
    CHECK_OK(mote_build(arena, &own, "?", found)); /* a member of another node, and one of none: a peer speaks for its own */
    PLAY("{join, ?, g, ?}", me, own);
    const mote_far third = {.node = mote_atom_make("c@127.0.0.1"), .creation = 5, .count = 2, .words = {7, 8}};
    mote_far_box box;
    m = mote_pid_term(mote_far_pid_make(&box, &third));
    PLAY("{join, ?, g, [?, ?]}", me, m, own);
    PLAY("{discover, ?}", m); /* of a node that is not connected: it is not dialled for that */
    PLAY("{'$gen_cast', {sync, ?, [{g, [?]}]}}", m, m);
    settle();
    CHECK_INT(count_of("g"), 0);
    uint8_t *long_name = calloc(1, MT_NODE_NAME_MAX + 2000);
    CHECK(long_name);
    PLAY("{join, ?, ?, ?}", me, mote_binary_make(arena, long_name, 2000), mine);
    free(long_name);
    settle();
    CHECK_OK(mote_group_names(self_of(0), "pg", &m));
    CHECK_TERM(m, "[]");
    end_play();
}

#define PAIRS_MAX 100000

/* Who is there by name is not ended by whoever may end processes. */
static void is_protected(void) {
    begin_play();
    CHECK_OK(mote_node_rights(self_of(0), nodes[1].name, MOTE_RIGHT_EXIT));
    CHECK_OK((mote_exit_send)(self_of(1), found, atom("kill")));
    settle();
    CHECK_INT(count_of("g"), 0);
    end_play();
}

/* 100,000 at most, whichever way they come; then there is room again. */
static void flood(void) {
    mote_pid me, mine;
    mote_term list = MOTE_TERM_NIL;
    begin_play();
    me = mote_self_pid(self_of(1));
    mine = idle(1);
    for (int i = 0; i < PAIRS_MAX / 2; i++) list = mote_cons_make(arena, mote_pid_term(mine), list);
    PLAY("{'$gen_cast', {sync, ?, [{g, ?}]}}", me, list);
    for (int i = 0; i < 300; i++) PLAY("{join, ?, {g, ?}, ?}", me, i, mine);
    PLAY("{join, ?, h, ?}", me, list);
    PLAY("{join, ?, h, ?}", me, list);
    settle();
    CHECK_INT(count_of("g") + count_of("h"), PAIRS_MAX - 300);
    PLAY("{leave, ?, ?, [h]}", me, mine);
    PLAY("{join, ?, i, [?, ?]}", me, mine, mine);
    settle();
    CHECK_INT(count_of("i"), 1);
    PLAY("{leave, ?, ?, [g, h]}", me, list); /* of h there are fewer: what is not there is passed over */
    settle();
    CHECK_INT(count_of("g") + count_of("h"), 0);
    end_play();
}

/* As many different members of one group, who leave one by one: no step of it looks at all of them. */
static void crowd(void) {
    mote_pid me, pid;
    mote_term list = MOTE_TERM_NIL, members;
    size_t count;
    begin_play();
    me = mote_self_pid(self_of(1));
    introduce();
    const int n = scaled(PAIRS_MAX);
    for (int i = 0; i < n; i++) {
        CHECK(mote_pid_of_far((uint32_t)i << 3 | 3, 4, &pid));
        list = mote_cons_make(arena, mote_pid_term(pid), list);
    }
    uint64_t since = now_ns();
    PLAY("{'$gen_cast', {sync, ?, [{g, ?}]}}", me, list);
    settle();
    printf("# a sync of %d: %lld ms\n", n, (long long)ms_since(since));
    since = now_ns();
    CHECK_OK(mote_group_members(self_of(0), "pg", "g", &members));
    CHECK_OK(mote_list_length(members, &count));
    CHECK_INT(count, n);
    printf("# the members: %lld ms\n", (long long)ms_since(since));
    since = now_ns();
    for (mote_term rest = list, one; !mote_list_get(rest, &one, &rest);) PLAY("{leave, ?, ?, [g]}", me, one);
    settle();
    printf("# that they leave: %lld ms\n", (long long)ms_since(since));
    CHECK_INT(count_of("g"), 0);
    end_play();
}

/* Many names, and all gone with the connection. */
static void names_flood(void) {
    mote_pid me, mine;
    mote_term list;
    mote_process_info before, after;
    mote_pid scope;
    begin_play();
    CHECK_OK(mote_whereis(self_of(0), mote_atom_make("pg"), &scope));
    CHECK_OK(mote_process_info_get(self_of(0), scope, PATIENCE_MS, &before));
    me = mote_self_pid(self_of(1));
    mine = idle(1);
    introduce();
    for (int i = 0, n = scaled(20000); i < n; i++) PLAY("{join, ?, {name, ?}, ?}", me, i, mine);
    settle();
    size_t count;
    CHECK_OK(mote_group_names(self_of(0), "pg", &list));
    CHECK_OK(mote_list_length(list, &count));
    CHECK_INT(count, scaled(20000));
    CHECK_OK(mote_node_disconnect(self_of(0), nodes[1].name));
    for (uint64_t since = now_ns(); count; look_later(self_of(0), since)) {
        CHECK_OK(mote_group_names(self_of(0), "pg", &list));
        CHECK_OK(mote_list_length(list, &count));
        if (!count) break;
    }
    CHECK_OK(mote_process_info_get(self_of(0), scope, PATIENCE_MS, &after));
    CHECK(after.memory < before.memory + 2000000);
    end_play();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(members_of_others), TEST(comes_and_goes), TEST(texts), TEST(says), TEST(met_by_sync), TEST(syncs), TEST(garbage), TEST(is_protected), TEST(flood), TEST(crowd), TEST(names_flood), {0}});
}
