/* SPDX-License-Identifier: Apache-2.0
 * The life of a cluster: nodes that are named, found by DNS and at a port mapper, go and come again; and calls to the members of groups on several nodes. */
#include <mote/cluster.h>
#include <mote/group.h>
#include <mote/server.h>
#include <stdio.h>
#include <string.h>

#include "dist/node.h"
#include "nodes.h"

/* Counts attempts that came to nothing. */
static void note(void *context, mote_log_level level, const char *text) {
    (void)level;
    if (strstr(text, "cannot connect to")) atomic_fetch_add(&((struct node *)context)->refused, 1);
}

static mote_self *self_of(unsigned i) { return nodes[i].self; }

static void start(unsigned i) {
    static const char *const names[] = {"a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"};
    CHECK_OK(enter(i, (mote_options){.log = note, .log_context = &nodes[i]}, (mote_node_options){.name = names[i]}, NULL, 0));
}

static mote_pid cluster_of(mote_cluster_options options) {
    mote_pid cluster;
    CHECK_OK(mote_cluster_start_link(self_of(0), &options, &cluster));
    return cluster;
}

#define NODES(...) (const char *const[]){__VA_ARGS__, NULL}

static void check_nodes(mote_pid cluster, const char *want) {
    mote_term map;
    CHECK_OK(mote_cluster_nodes(self_of(0), cluster, &map));
    CHECK_TERM(map, want);
}

/* Whether a node is connected, as a term; none: it is not wanted. */
static mote_term state_of(mote_pid cluster, const char *node) {
    mote_term map, value;
    CHECK_OK(mote_cluster_nodes(self_of(0), cluster, &map));
    return mote_map_get(map, atom(node), &value) == MOTE_OK ? value : MOTE_TERM_NONE;
}
static bool wants(mote_pid cluster, const char *node) { return state_of(cluster, node).word != 0; }
static bool is_connected(mote_pid cluster, const char *node) { return mote_match(state_of(cluster, node), "true"); }

/* One that is not there yet, goes and comes again; another that is only told of later; one that is forgotten. */
static void named(void) {
    epmd_port = free_port();
    start(0);
    mote_pid cluster = cluster_of((mote_cluster_options){.nodes = NODES("b@127.0.0.1", "a@127.0.0.1"), .retry_ms = 10, .retry_ms_max = 100});
    check_nodes(cluster, "#{'b@127.0.0.1' => false}"); /* itself not */
    CHECK_OK(mote_cluster_wait(self_of(0), cluster, 0, 0));
    CHECK_INT(mote_cluster_wait(self_of(0), cluster, 1, 30), MOTE_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        start(1);
        CHECK_OK(mote_cluster_wait(self_of(0), cluster, 1, PATIENCE_MS));
        check_nodes(cluster, "#{'b@127.0.0.1' => true}");
        leave(1);
        WAIT_UNTIL(self_of(0), !is_connected(cluster, "b@127.0.0.1"));
    }
    start(1);
    CHECK_OK(mote_cluster_wait(self_of(0), cluster, 1, PATIENCE_MS));
    CHECK_INT(mote_cluster_connect(self_of(0), cluster, mote_atom_make("c@127.0.0.1"), -1), MOTE_ENOPROC);
    start(2);
    CHECK_OK(mote_cluster_wait(self_of(0), cluster, 2, PATIENCE_MS));
    CHECK_OK(mote_cluster_connect(self_of(0), cluster, nodes[2].name, -1));
    CHECK_OK(mote_cluster_forget(self_of(0), cluster, nodes[2].name));
    CHECK_INT(mote_cluster_forget(self_of(0), cluster, nodes[2].name), MOTE_NOMATCH);
    check_nodes(cluster, "#{'b@127.0.0.1' => true,'c@127.0.0.1' => true}"); /* until it goes */
    CHECK_OK(mote_node_disconnect(self_of(1), nodes[0].name));
    leave(2);
    WAIT_UNTIL(self_of(0), !wants(cluster, "c@127.0.0.1"));
    CHECK(wants(cluster, "b@127.0.0.1"));
    leave_all();
}

/* The pauses grow, to their limit, and no attempt comes sooner. */
static void pauses(void) {
    epmd_port = free_port();
    start(0);
    uint64_t began = now_ns();
    mote_pid cluster = cluster_of((mote_cluster_options){.nodes = NODES("b@127.0.0.1"), .retry_ms = 40, .retry_ms_max = 160});
    CHECK_INT(mote_cluster_wait(self_of(0), cluster, 1, 1000), MOTE_TIMEOUT);
    unsigned tries = atomic_load(&nodes[0].refused);
    CHECK(tries <= 5 + ms_since(began) / 120); /* after 0, 30, 90, 210 ms, then every 120 ms at most */
    for (uint64_t since = now_ns(); atomic_load(&nodes[0].refused) < 5; look_later(self_of(0), since)) continue;
    leave_all();
}

/* The nodes that a port mapper knows and whose names begin so, also later. */
static void found_at_hosts(void) {
    mote_term names, name;
    epmd_port = free_port();
    start(0);
    mote_pid cluster = cluster_of((mote_cluster_options){.hosts = NODES("127.0.0.1", "localhost"), .prefix = "b", .look_ms = 20});
    start(2);
    start(1);
    CHECK_OK(mote_cluster_wait(self_of(0), cluster, 1, PATIENCE_MS));
    CHECK(wants(cluster, "b@127.0.0.1") && !wants(cluster, "c@127.0.0.1"));
    CHECK_OK(mote_net_names(self_of(0), "127.0.0.1", &names));
    size_t count;
    CHECK_OK(mote_list_length(names, &count));
    CHECK_INT(count, 3);
    CHECK(mote_match(names, "[{?, _}, _, _]", &name) && mote_term_type(name) == MOTE_TEXT);
    leave(1);
    WAIT_UNTIL(self_of(0), !wants(cluster, "b@127.0.0.1")); /* it is not found any more */
    CHECK_INT(mote_net_names(self_of(0), "no such host", &names), MOTE_ENOPROC);
    CHECK_INT(mote_net_names(NULL, "localhost", &names), MOTE_ESELF);
    leave_all();
}

/* A DNS name stands for the nodes at its addresses; one that there is not holds nothing up. */
static void found_by_dns(void) {
    mote_term addresses, name;
    epmd_port = free_port();
    for (unsigned i = 0; i < 2; i++) start(i);
    mote_pid cluster = cluster_of((mote_cluster_options){.dns = NODES("b@localhost", "b@no-such-host.invalid"), .look_ms = 20});
    CHECK_OK(mote_cluster_wait(self_of(0), cluster, 1, PATIENCE_MS));
    mote_term map;
    CHECK_OK(mote_cluster_nodes(self_of(0), cluster, &map));
    CHECK(mote_match(map, "#{'b@127.0.0.1' := true}"));
    CHECK_OK(mote_net_addresses(self_of(0), "127.0.0.1", &addresses));
    CHECK(mote_match(addresses, "[?]", &name) && mote_term_type(name) == MOTE_TEXT);
    CHECK_INT(mote_net_addresses(self_of(0), "no-such-host.invalid", &addresses), MOTE_ENOPROC);
    CHECK_INT(mote_net_addresses(self_of(0), NULL, &addresses), MOTE_EARG);
    leave_all();
}

static void errors(void) {
    const mote_cluster_options bad[] = {{.nodes = NODES("b")}, {.nodes = NODES("@x")}, {.nodes = NODES("b@")}, {.dns = NODES("localhost")}, {.hosts = NODES("b@localhost")}, {.hosts = NODES("")}};
    mote_pid cluster;
    mote_term term;
    mote_runtime *rt;
    mote_self *self;
    CHECK_OK(mote_runtime_start(NULL, &rt));
    CHECK_OK(mote_attach(rt, &self));
    CHECK_INT(mote_cluster_start_link(self, NULL, &cluster), MOTE_ENOPROC); /* no node */
    CHECK_INT(mote_net_names(self, "localhost", &term), MOTE_ENOPROC);
    CHECK_OK(mote_detach(self));
    (void)mote_runtime_stop(rt, 0);
    epmd_port = free_port();
    start(0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(mote_cluster_start_link(self_of(0), &bad[i], &cluster), MOTE_EARG);
    CHECK_INT(mote_cluster_start_link(NULL, NULL, &cluster), MOTE_ESELF);
    CHECK_INT(mote_cluster_nodes(self_of(0), "nobody", &term), MOTE_ENOPROC);
    cluster = cluster_of((mote_cluster_options){0});
    CHECK_INT(mote_cluster_connect(self_of(0), cluster, mote_atom_make("no node"), -1), MOTE_ENAME);
    CHECK_OK(mote_cluster_connect(self_of(0), cluster, nodes[0].name, -1));
    check_nodes(cluster, "#{}");
    CHECK_OK(mote_send(self_of(0), cluster, "garbage"));
    CHECK_OK(mote_send(self_of(0), cluster, "{'$found', 99, [x]}"));
    CHECK_OK(mote_send(self_of(0), cluster, "{'$found', ?, 0, ['b@127.0.0.1']}", mote_ref_make(self_of(0))));
    check_nodes(cluster, "#{}");
    leave_all();
}

/* ------------------------------------------------------------------------------------------------ calls to groups */

/* Answers {who, X} with {Name, X}, `arg` being its name; waits for ever with `never`; ends without an answer at `die`. */
static void server(mote_self *self, mote_term arg) {
    mote_term m, from, what;
    mote_arena *arena = mote_arena_new(0);
    arg = mote_term_copy(arena, arg);
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{'$gen_call', ?, {who, ?}}", &from, &what)) CHECK_OK(mote_reply(self, from, "{?, ?}", arg, what));
        else if (mote_match(m, "{'$gen_call', _, die}")) break;
    }
    mote_arena_free(arena);
}

static mote_pid serve(unsigned i, const char *name) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self_of(i), server, atom(name), &pid));
    CHECK_OK(mote_group_join(self_of(i), "pg", "g", pid));
    return pid;
}

static void group_calls(void) {
    mote_pid scope, who;
    mote_term request, reply, name, replies, one;
    mote_arena *arena = mote_arena_new(0);
    unsigned answered[3] = {0};
    size_t count = 0;
    epmd_port = free_port();
    for (unsigned i = 0; i < 2; i++) start(i), CHECK_OK(mote_group_start_link(self_of(i), "pg", &scope));
    mote_self *self = self_of(0);
    CHECK_OK(mote_build(arena, &request, "{who, 7}"));
    CHECK_INT(mote_group_call_any(self, "pg", "g", -1, request, &reply, NULL), MOTE_NOMATCH);
    CHECK_OK(mote_group_call_all(self, "pg", "g", -1, request, arena, &replies));
    CHECK_TERM(replies, "[]");
    (void)cluster_of((mote_cluster_options){.nodes = NODES("b@127.0.0.1")});
    mote_pid first = serve(0, "0");
    CHECK_OK(mote_group_join(self, "pg", "g", first)); /* twice: it is called once */
    (void)serve(1, "1");
    (void)serve(1, "2");
    for (uint64_t since = now_ns(); count != 4; look_later(self, since)) {
        CHECK_OK(mote_group_members(self, "pg", "g", &replies));
        CHECK_OK(mote_list_length(replies, &count));
        if (count == 4) break;
    }
    for (int i = 0; i < 300; i++) {
        CHECK_OK(mote_group_call_any(self, "pg", "g", PATIENCE_MS, request, &reply, &who));
        CHECK(mote_match(reply, "{?, 7}", &name));
        answered[mote_atom_name((mote_atom){name.word}, NULL)[0] - '0']++;
    }
    CHECK(answered[0] && answered[1] && answered[2]);
    CHECK_OK(mote_group_call_all(self, "pg", "g", PATIENCE_MS, request, arena, &replies));
    CHECK(mote_match(replies, "[{?, ok, {'0', 7}}, {_, ok, {_, 7}}, {_, ok, {_, 7}}]", &one) && one.word == mote_pid_term(first).word);
    CHECK_OK(mote_build(arena, &request, "{never, 7}"));
    CHECK_INT(mote_group_call_any(self, "pg", "g", 20, request, &reply, NULL), MOTE_TIMEOUT);
    CHECK_OK(mote_group_call_all(self, "pg", "g", 20, request, arena, &replies));
    CHECK(mote_match(replies, "[{_, error, timeout}, {_, error, timeout}, {_, error, timeout}]"));
    CHECK_INT(mote_group_call_any(self, "nobody", "g", 20, request, &reply, NULL), MOTE_ENOPROC);
    CHECK_OK(mote_group_call_all(self, "pg", "g", PATIENCE_MS, atom("die"), arena, &replies));
    CHECK(mote_match(replies, "[{_, error, normal}, {_, error, normal}, {_, error, normal}]"));
    CHECK_INT(mote_receive(self, 0, &one), MOTE_TIMEOUT); /* nothing is left */
    mote_arena_free(arena);
    leave_all();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(named), TEST(pauses), TEST(found_at_hosts), TEST(found_by_dns), TEST(errors), TEST(group_calls), {0}});
}
