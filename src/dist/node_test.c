/* SPDX-License-Identifier: Apache-2.0
 * Nodes: three runtimes of this program, each a node of its own, with a port mapper that one of them has become. */
#include <mote/registry.h>
#include <mote/supervisor.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "dist/node.h"
#include "nodes.h"

#define NODES 3u /* and one more, of some tests */

static _Atomic unsigned told_lost; /* lines of logs that say that a signal is lost */
static _Atomic unsigned told_full; /* that no descriptor is left */

static void no_log(void *context, mote_log_level level, const char *text) {
    (void)context, (void)level;
    if (strstr(text, "a signal to c@127.0.0.1 is lost: it holds what only mote's nodes know")) told_lost++;
    if (strstr(text, "refused a connection from 127.0.0.1: no descriptor is left for it: ")) told_full++;
}

/* Sends back what comes, to whom it says; does what it is told. */
static void echo(mote_self *self, mote_term arg) {
    mote_term m, from, what;
    mote_pid pid;
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{exit, ?}", &what)) mote_exit(self, what);
        if (mote_match(m, "{?, {link, ?}}", &from, &pid)) CHECK_OK(mote_link(self, pid));
        if (mote_match(m, "{?, {unlink, ?}}", &from, &pid)) CHECK_OK(mote_unlink(self, pid));
        if (mote_match(m, "{?, trap}", &from)) CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
        if (mote_match(m, "{'EXIT', _, _}")) CHECK_OK(mote_send(self, mote_atom_make("main"), "{told, ?}", m));
        if (mote_match(m, "{?, ?}", &from, &what)) CHECK_OK((mote_send_term)(self, from, what));
    }
}

static mote_err start(unsigned i, const char *name, const char *cookie, unsigned rights, char *why, size_t size) {
    struct node *n = &nodes[i];
    mote_err err = enter(i, (mote_options){.log = no_log}, (mote_node_options){.name = name, .cookie = cookie, .rights = rights, .visible = i == 2}, why, size);
    if (err) return err;
    CHECK_OK(mote_spawn(n->self, echo, MOTE_TERM_NIL, &n->echo));
    CHECK_OK(mote_register(n->self, mote_atom_make("echo"), n->echo));
    CHECK_OK(mote_register(n->self, mote_atom_make("main"), mote_self_pid(n->self)));
    return MOTE_OK;
}

static void begin_with(unsigned rights) {
    static const char *const names[NODES] = {"a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"};
    char why[200];
    epmd_port = free_port();
    for (unsigned i = 0; i < NODES; i++) CHECK_OK(start(i, names[i], COOKIE, rights, why, sizeof why));
}
static void begin(void) { begin_with(0); }

/* {Name, Node} of a process there. */
static mote_term at(unsigned who, const char *name, unsigned node) {
    mote_term to;
    CHECK_OK(mote_build(mote_scratch(nodes[who].self), &to, "{?, ?}", mote_atom_make(name), nodes[node].name));
    return to;
}

/* The echo's pid of another node, as `who` knows it: valid while `arena` is. */
static mote_term echo_of(unsigned who, unsigned node, mote_arena *arena) {
    mote_term m, pid;
    CHECK_OK(mote_send(nodes[node].self, at(node, "main", who), "{pid, ?}", nodes[node].echo));
    m = got(who);
    CHECK(mote_match(m, "{pid, ?}", &pid));
    return mote_term_copy(arena, pid);
}

/* ------------------------------------------------------------------------------------------------- the tests */

static void connects(void) {
    mote_atom all[5];
    size_t count;
    uint32_t creation;
    uint16_t port;
    begin();
    CHECK(strcmp(mote_atom_name(mote_node_name(nodes[0].self, &creation, &port), NULL), "a@127.0.0.1") == 0 && creation > 3 && port);
    CHECK_OK(mote_nodes(nodes[0].self, true, all, 5, &count));
    CHECK_INT(count, 0);
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[1].name, -1));
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[1].name, -1));
    CHECK_OK(mote_node_connect(nodes[2].self, nodes[0].name, -1));
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[2].name, -1)); /* it knows, too */
    CHECK_OK(mote_nodes(nodes[0].self, true, all, 5, &count));
    CHECK_INT(count, 2);
    CHECK_OK(mote_nodes(nodes[0].self, false, all, 5, &count)); /* the third is visible, but we are not */
    CHECK_INT(count, 0);
    CHECK_INT(mote_node_connect(nodes[0].self, mote_atom_make("nobody@127.0.0.1"), -1), MOTE_ENOPROC);
    CHECK_INT(mote_node_connect(nodes[0].self, mote_atom_make("no node"), -1), MOTE_ENOPROC);
    CHECK_INT(mote_node_connect(nodes[0].self, nodes[0].name, -1), MOTE_EARG);
    CHECK_INT(mote_node_disconnect(nodes[0].self, mote_atom_make("nobody@127.0.0.1")), MOTE_ENOPROC);
    leave_all();
}

static void sends(void) {
    mote_term m, what, to;
    mote_bytes bytes;
    mote_arena *arena = mote_arena_new(0);
    static uint8_t big[3000000];
    begin();
    CHECK_OK(mote_send(nodes[0].self, at(0, "echo", 1), "{?, {by_name, 1}}", mote_self_pid(nodes[0].self))); /* connects by itself */
    CHECK(mote_match(got(0), "{by_name, 1}"));
    to = echo_of(0, 1, arena);
    CHECK(mote_term_type(to) == MOTE_PID);
    for (int i = 0; i < scaled(10000); i++) CHECK_OK(mote_send(nodes[0].self, to, "{?, {n, ?}}", mote_self_pid(nodes[0].self), i));
    for (int i = 0, n; i < scaled(10000); i++) {
        m = got(0);
        CHECK(mote_match(m, "{n, ?}", &n));
        CHECK_INT(n, i);
    }
    memset(big, 5, sizeof big);
    CHECK_OK(mote_send(nodes[0].self, to, "{?, ?}", mote_self_pid(nodes[0].self), mote_binary_make(arena, big, sizeof big)));
    m = got(0);
    CHECK_OK(mote_bytes_get(m, &bytes));
    CHECK(bytes.size == sizeof big && memcmp(bytes.data, big, sizeof big) == 0);
    static const char text[] = "[1, -2.5, atom, 'Ä', <<1:3>>, {}, #{a => [b|c]}, \"list\", 123456789012345678901234567890]";
    CHECK_OK(mote_term_parse(arena, text, sizeof text - 1, &what, NULL));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, ?}", mote_self_pid(nodes[0].self), what));
    CHECK(mote_term_same(got(0), what));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, ?}", mote_self_pid(nodes[0].self), to)); /* its own pid comes back as the same */
    CHECK(mote_term_same(got(0), to));
    CHECK_OK(mote_send(nodes[0].self, at(0, "nobody", 1), "lost"));
    mote_ref alias;
    CHECK_OK(mote_alias(nodes[0].self, MOTE_ALIAS_REPLY, &alias));
    for (int i = 0; i < 2; i++) CHECK_OK(mote_send(nodes[0].self, to, "{?, {through, ?}}", alias, i));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, last}", mote_self_pid(nodes[0].self)));
    CHECK(mote_match(got(0), "{through, 0}"));
    CHECK(mote_match(got(0), "last")); /* the second finds no alias any more */
    mote_arena_free(arena);
    leave_all();
}

/* Sends it there and back; whether it comes as it went. */
static bool comes_back(mote_term to, mote_term what) {
    CHECK_OK(mote_send(nodes[0].self, to, "{?, ?}", mote_self_pid(nodes[0].self), what));
    return mote_term_same(got(0), what);
}

/* Text is text there: in the first message, that waits for the connection, as in later ones. For a node that knows Erlang's form alone it is a binary; what has no such form is lost, and that is told. */
static void types(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_term text = mote_text_make(arena, "\xc3\xa4 text", 7), binary = mote_binary_make(arena, "\xc3\xa4 text", 7), both;
    static char letters[3000000];
    memset(letters, 'x', sizeof letters);
    mote_term large = mote_text_make(arena, letters, sizeof letters);
    CHECK_OK(mote_build(arena, &both, "#{? => 1, ? => [?, <<3:2>>]}", text, binary, text));
    told_lost = 0;
    begin();
    mt_dist_of(nodes[2].runtime)->shake.flags &= ~MT_FLAG_TYPES;
    for (unsigned i = 0; i < 2; i++) {
        CHECK(comes_back(at(0, "echo", 1), text) && comes_back(at(0, "echo", 1), binary));
        CHECK(comes_back(at(0, "echo", 1), both) && comes_back(at(0, "echo", 1), large));
    }
    for (unsigned i = 0; i < 2; i++) { /* before it is connected, and after */
        CHECK_OK(mote_send(nodes[0].self, at(0, "echo", 2), "{?, ?}", mote_self_pid(nodes[0].self), both));
        CHECK_OK(mote_send(nodes[0].self, at(0, "echo", 2), "{?, [?, ?]}", mote_self_pid(nodes[0].self), text, large));
        mote_term m = got(0), first, second;
        CHECK(mote_match(m, "[?, ?]", &first, &second) && mote_term_same(first, binary));
        CHECK(mote_term_type(second) == MOTE_BINARY);
        CHECK_INT(told_lost, i + 1);
    }
    mote_arena_free(arena);
    leave_all();
}

/* A message that the host has encoded. */
static void send_encoded(mote_self *self, mote_term to, mote_term what) {
    mote_external_options form = {0};
    mote_parcel parcel;
    mote_writer w;
    form.node = mote_host_node(nodes[0].runtime, &form.creation, &form.ref_key);
    CHECK_OK(mote_parcel_begin(self, to, &parcel));
    CHECK_INT(parcel.form, MOTE_FORM_NODES);
    mote_writer_init(&w, parcel.form, NULL, 0, 1000);
    CHECK_OK(mote_term_encode(what, &form, &w));
    mote_host_send_encoded(&parcel, mote_writer_bytes(&w).data, mote_writer_bytes(&w).size);
    mote_writer_fini(&w);
}

static _Atomic unsigned released;
static void counts(void *data, void *context) {
    CHECK(data && context == &released);
    released++;
}

/* What the host leaves out is read where it lies, and given back. */
static void left_out(void) {
    static uint8_t large[200000];
    const uint8_t head[5] = {MOTE_TAG_BINARY_, 0, 3, 0x0d, 0x40};
    mote_arena *arena = mote_arena_new(0);
    mote_parcel parcel;
    mote_writer w;
    mote_bytes bytes;
    mote_term first, second;
    memset(large, 'l', sizeof large);
    begin();
    mote_self *self = nodes[0].self;
    CHECK_INT(mote_host_in_the_way(self, at(0, "echo", 1), MOTE_SEND_NOCONNECT), MOTE_ENOPROC);
    mote_term to = echo_of(0, 1, arena);
    CHECK_OK(mote_host_in_the_way(self, to, MOTE_SEND_NOCONNECT | MOTE_SEND_NOSUSPEND));
    CHECK_INT(mote_host_in_the_way(self, to, MOTE_SEND_PRIORITY), MOTE_EARG);
    for (unsigned drops = 0; drops < 2; drops++) {
        released = 0;
        CHECK_OK(mote_parcel_begin(self, to, &parcel));
        CHECK(!mote_parcel_leave(&parcel, 0, large, 1000, counts, &released));
        mote_external_options form = {0};
        form.node = mote_node_name(self, &form.creation, NULL);
        mote_writer_init(&w, parcel.form, NULL, 0, 1000);
        CHECK(mote_tuple_write(&w, 2) && !mote_term_encode(mote_pid_term(mote_self_pid(self)), &form, &w) && mote_tuple_write(&w, 2));
        for (unsigned i = 0; i < 2; i++) CHECK(mote_raw_write(&w, head, sizeof head) && mote_parcel_leave(&parcel, mote_writer_bytes(&w).size, large, sizeof large, counts, &released));
        if (drops) mote_parcel_drop(&parcel);
        else mote_host_send_encoded(&parcel, mote_writer_bytes(&w).data, mote_writer_bytes(&w).size);
        mote_writer_fini(&w);
        if (!drops) CHECK(mote_match(got(0), "{?, ?}", &first, &second) && mote_term_same(first, second));
        if (!drops) CHECK(!mote_bytes_get(first, &bytes) && bytes.size == sizeof large && memcmp(bytes.data, large, sizeof large) == 0);
        CHECK_INT(released, 2);
    }
    CHECK_INT(mote_parcel_begin(self, mote_pid_term(nodes[0].echo), &parcel), MOTE_ENOPROC);
    mote_arena_free(arena);
    leave_all();
}

/* An attached thread's messages arrive in order, however they are given: as terms, by a host, with what is no message between them. */
static void order_of_a_thread(void) {
    mote_arena *arena = mote_arena_new(0);
    begin();
    mote_self *self = nodes[0].self;
    mote_term to = echo_of(0, 1, arena), what;
    for (int i = 0, n = scaled(10000); i < n; i++) {
        mote_ref ref;
        if (i % 7 == 0) CHECK_OK((mote_monitor)(self, to, &ref));
        CHECK_OK(mote_build(arena, &what, "{?, {n, ?}}", mote_self_pid(self), i));
        if (i % 3) CHECK_OK((mote_send_term)(self, to, what));
        else send_encoded(self, to, what);
        if (i % 7 == 0) CHECK_OK(mote_demonitor(self, ref, true, NULL));
        mote_arena_reset(mote_scratch(self));
    }
    for (int i = 0, n; i < scaled(10000); i++) {
        CHECK(mote_match(got(0), "{n, ?}", &n));
        CHECK_INT(n, i);
    }
    mote_arena_free(arena);
    leave_all();
}

/* A thread does not stand still: what it sends waits, however much, as long as the other takes it. */
static void floods(void) {
    size_t size = under_tool() ? 1000000 : 30000000;
    uint8_t *data = calloc(1, size);
    mote_arena *arena = mote_arena_new(0);
    begin();
    CHECK(data != NULL);
    mote_term binary = mote_binary_share(arena, data, size, NULL, NULL);
    for (int i = 0; i < 4; i++) CHECK_OK(mote_send(nodes[0].self, at(0, "echo", 1), "{?, {?, ?}}", mote_self_pid(nodes[0].self), i, binary));
    for (int i = 0; i < 4; i++) {
        mote_term what;
        mote_bytes bytes;
        int n;
        CHECK(mote_match(got(0), "{?, ?}", &n, &what));
        CHECK_OK(mote_bytes_get(what, &bytes));
        CHECK(n == i && bytes.size == size);
    }
    mote_arena_free(arena);
    leave_all();
    free(data);
}

static void monitors(void) {
    mote_term m, item, to;
    mote_ref ref, other;
    mote_arena *arena = mote_arena_new(0);
    begin();
    to = echo_of(0, 1, arena);
    CHECK_OK((mote_monitor)(nodes[0].self, to, &ref));
    CHECK_OK((mote_monitor)(nodes[0].self, at(0, "echo", 1), &other));
    CHECK_OK(mote_demonitor(nodes[0].self, other, false, NULL));
    CHECK_OK((mote_monitor)(nodes[0].self, at(0, "echo", 1), &other));
    CHECK_OK(mote_send(nodes[0].self, to, "{exit, {because, 7}}"));
    for (int i = 0; i < 2; i++) {
        m = got(0);
        if (mote_match(m, "{'DOWN', ^, process, ?, {because, 7}}", ref, &item)) CHECK(mote_term_same(item, to));
        else CHECK(mote_match(m, "{'DOWN', ^, process, {echo, 'b@127.0.0.1'}, {because, 7}}", other));
    }
    CHECK_OK((mote_monitor)(nodes[0].self, to, &ref));
    CHECK(mote_match(got(0), "{'DOWN', ^, process, _, noproc}", ref));
    CHECK_OK((mote_monitor)(nodes[0].self, at(0, "echo", 1), &ref));
    CHECK(mote_match(got(0), "{'DOWN', ^, process, {echo, 'b@127.0.0.1'}, noproc}", ref));
    mote_term nowhere;
    CHECK_OK(mote_build(mote_scratch(nodes[0].self), &nowhere, "{echo, 'nobody@127.0.0.1'}"));
    CHECK_OK((mote_monitor)(nodes[0].self, nowhere, &ref));
    CHECK(mote_match(got(0), "{'DOWN', ^, process, {echo, 'nobody@127.0.0.1'}, noconnection}", ref));
    mote_arena_free(arena);
    leave_all();
}

/* A process of another node links with ours, and the other way round. */
static void links(void) {
    mote_term m, item, to, me;
    mote_pid pid;
    mote_arena *arena = mote_arena_new(0);
    begin();
    CHECK_OK(mote_flag_set(nodes[0].self, MOTE_TRAP_EXIT, 1, NULL));
    to = echo_of(0, 1, arena);
    CHECK_OK(mote_pid_get(to, &pid));
    me = mote_pid_term(mote_self_pid(nodes[0].self));
    CHECK_OK(mote_link(nodes[0].self, pid));
    CHECK_OK(mote_unlink(nodes[0].self, pid));
    CHECK_OK(mote_link(nodes[0].self, pid));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, {link, ?}}", me, me));
    CHECK(mote_match(got(0), "{link, _}"));
    CHECK_OK(mote_send(nodes[0].self, to, "{exit, over}"));
    m = got(0);
    CHECK(mote_match(m, "{'EXIT', ?, over}", &item) && mote_term_same(item, to));
    CHECK_OK(mote_link(nodes[0].self, pid)); /* it has ended */
    m = got(0);
    CHECK(mote_match(m, "{'EXIT', ?, noproc}", &item) && mote_term_same(item, to));
    to = echo_of(0, 2, arena);
    CHECK_OK(mote_send(nodes[0].self, to, "{?, trap}", me));
    CHECK(mote_match(got(0), "trap"));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, {link, ?}}", me, nodes[0].echo));
    CHECK(mote_match(got(0), "{link, _}"));
    CHECK_OK(mote_send(nodes[0].self, nodes[0].echo, "{exit, here}"));
    CHECK(mote_match(got(2), "{told, {'EXIT', _, here}}"));
    mote_arena_free(arena);
    leave_all();
}

/* exit/2 is for those who may. */
static void exits(void) {
    for (unsigned rights = 0; rights < 2; rights++) {
        mote_term to;
        mote_ref ref;
        mote_arena *arena = mote_arena_new(0);
        begin_with(rights ? MOTE_RIGHT_EXIT : 0);
        to = echo_of(0, 1, arena);
        CHECK_OK((mote_monitor)(nodes[0].self, to, &ref));
        CHECK_OK((mote_exit_send)(nodes[0].self, to, mote_atom_term(mote_atom_make("please"))));
        CHECK_OK(mote_send(nodes[0].self, to, "{exit, later}"));
        mote_term m = got(0);
        CHECK(rights ? mote_match(m, "{'DOWN', ^, process, _, please}", ref) : mote_match(m, "{'DOWN', ^, process, _, later}", ref));
        mote_arena_free(arena);
        leave_all();
    }
}

/* Who has linked itself with a process may end it, as long as it is linked. */
static void exits_of_linked(void) {
    mote_term to, m;
    mote_ref ref;
    mote_pid pid;
    mote_arena *arena = mote_arena_new(0);
    begin();
    to = echo_of(0, 1, arena);
    CHECK_OK(mote_pid_get(to, &pid));
    CHECK_OK(mote_flag_set(nodes[0].self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK((mote_monitor)(nodes[0].self, to, &ref));
    CHECK_OK(mote_link(nodes[0].self, pid));
    CHECK_OK(mote_unlink(nodes[0].self, pid));
    CHECK_OK((mote_exit_send)(nodes[0].self, to, mote_atom_term(mote_atom_make("unlinked"))));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, there}", mote_self_pid(nodes[0].self)));
    CHECK(mote_match(got(0), "there"));
    CHECK_OK(mote_link(nodes[0].self, pid));
    CHECK_OK((mote_exit_send)(nodes[0].self, to, mote_atom_term(mote_atom_make("kill"))));
    CHECK_OK(mote_receive_match(nodes[0].self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &m));
    CHECK_TERM(m, "killed");
    CHECK_OK(mote_receive_match(nodes[0].self, PATIENCE_MS, "{'EXIT', _, killed}"));
    mote_arena_free(arena);
    leave_all();
}

static void ends(void) {
    mote_term m, item, to, again;
    mote_pid pid;
    mote_ref ref;
    mote_arena *arena = mote_arena_new(0);
    begin();
    CHECK_OK(mote_flag_set(nodes[0].self, MOTE_TRAP_EXIT, 1, NULL));
    to = echo_of(0, 1, arena);
    CHECK_OK(mote_pid_get(to, &pid));
    CHECK_OK(mote_link(nodes[0].self, pid));
    CHECK_OK((mote_monitor)(nodes[0].self, to, &ref));
    CHECK_OK(mote_node_monitor(nodes[0].self, nodes[1].name, true));
    CHECK_OK(mote_nodes_monitor(nodes[0].self, true));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, x}", mote_self_pid(nodes[0].self)));
    CHECK(mote_match(got(0), "x"));
    leave(1);
    unsigned seen = 0;
    for (int i = 0; i < 4; i++) {
        m = got(0);
        /* A runtime that is stopped kills its processes: their last signals may still come. */
        if ((mote_match(m, "{'EXIT', ?, noconnection}", &item) || mote_match(m, "{'EXIT', ?, killed}", &item)) && mote_term_same(item, to)) seen |= 1;
        else if (mote_match(m, "{'DOWN', ^, process, _, noconnection}", ref) || mote_match(m, "{'DOWN', ^, process, _, killed}", ref)) seen |= 2;
        else if (mote_match(m, "{nodedown, 'b@127.0.0.1'}")) seen |= seen & 4 ? 8 : 4;
        else CHECK(false && "something else");
    }
    CHECK_INT(seen, 15);
    CHECK_OK(mote_node_monitor(nodes[0].self, mote_atom_make("nobody@127.0.0.1"), true));
    CHECK(mote_match(got(0), "{nodedown, 'nobody@127.0.0.1'}")); /* once: it was never up, so who listens to all is not told */
    CHECK_OK(mote_nodes_monitor(nodes[0].self, false));
    char why[100];
    CHECK_OK(start(1, "b@127.0.0.1", COOKIE, 0, why, sizeof why)); /* its next life */
    again = echo_of(0, 1, arena);
    CHECK(!mote_term_same(again, to));
    CHECK_OK(mote_send(nodes[0].self, to, "{?, lost}", mote_self_pid(nodes[0].self))); /* one of its last */
    CHECK_OK(mote_send(nodes[0].self, again, "{?, found}", mote_self_pid(nodes[0].self)));
    CHECK(mote_match(got(0), "found"));
    mote_arena_free(arena);
    leave_all();
}

static void disconnects(void) {
    mote_ref ref;
    begin();
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[1].name, -1));
    CHECK_OK((mote_monitor)(nodes[0].self, at(0, "echo", 1), &ref));
    CHECK_OK(mote_node_disconnect(nodes[0].self, nodes[1].name));
    CHECK(mote_match(got(0), "{'DOWN', ^, process, {echo, 'b@127.0.0.1'}, noconnection}", ref));
    CHECK_OK(mote_send(nodes[0].self, at(0, "echo", 1), "{?, again}", mote_self_pid(nodes[0].self)));
    CHECK(mote_match(got(0), "again"));
    leave_all();
}

static bool has_link(unsigned i, unsigned k) {
    struct mt_dist *d = mt_dist_of(nodes[i].runtime);
    mt_lock_take(&d->mu);
    bool has = mt_link_find_locked(d, nodes[k].name.word) != NULL;
    mt_lock_drop(&d->mu);
    return has;
}

/* What ends a relation connects nobody: its connection has ended, though who ends it has not heard of that. Of connections one after the other each has its number. */
static void ends_nothing(void) {
    mote_ref ref;
    uint64_t first, second, down;
    begin();
    CHECK_OK(mote_connections_monitor(nodes[0].self, true));
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[1].name, -1));
    CHECK(mote_match(got(0), "{nodeup, 'b@127.0.0.1', ?}", &first));
    CHECK_OK((mote_monitor)(nodes[0].self, at(0, "echo", 1), &ref));
    CHECK_OK(mote_node_disconnect(nodes[0].self, nodes[1].name));
    for (uint64_t since = now_ns(); has_link(0, 1);) CHECK(ms_since(since) < PATIENCE_MS);
    CHECK_OK(mote_demonitor(nodes[0].self, ref, true, NULL));
    CHECK(!has_link(0, 1));
    CHECK(mote_match(got(0), "{nodedown, 'b@127.0.0.1', ?}", &down));
    CHECK_INT(down, first);
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[1].name, -1));
    CHECK(mote_match(got(0), "{nodeup, 'b@127.0.0.1', ?}", &second) && second > first);
    mote_peer_info info;
    CHECK_OK(mote_peer_info_get(nodes[0].self, nodes[1].name, &info));
    CHECK_INT(info.connection_id, second);
    CHECK_OK(mote_connections_monitor(nodes[0].self, false));
    leave_all();
}

/* Both dial, again and again: they always meet. */
static void at_once(void) {
    begin();
    for (int i = 0; i < scaled(100); i++) {
        mote_ref refs[2];
        for (unsigned k = 0; k < 2; k++) CHECK_OK(mote_node_connect_start(nodes[k].self, nodes[!k].name, &refs[k]));
        for (unsigned k = 0; k < 2; k++) CHECK(mote_match(got(k), "{mote_node, ^, true}", refs[k]));
        for (unsigned k = 0; k < 2; k++) CHECK_OK(mote_send(nodes[k].self, at(k, "echo", !k), "{?, ?}", mote_self_pid(nodes[k].self), i));
        for (unsigned k = 0; k < 2; k++) {
            int n;
            CHECK(mote_match(got(k), "?", &n));
            CHECK_INT(n, i);
        }
        CHECK_OK(mote_node_monitor(nodes[0].self, nodes[1].name, true));
        CHECK_OK(mote_node_monitor(nodes[1].self, nodes[0].name, true));
        CHECK_OK(mote_node_disconnect(nodes[i % 2].self, nodes[!(i % 2)].name));
        for (unsigned k = 0; k < 2; k++) CHECK(mote_match(got(k), "{nodedown, _}"));
    }
    leave_all();
}

/* What the libraries keep of another node's process outlives the message that it came in. */
static void kept(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_pid registry;
    mote_term found, value;
    begin();
    mote_self *self = nodes[0].self;
    CHECK_OK(mote_registry_start_link(self, NULL, &registry));
    CHECK_OK(mote_registry_register(self, registry, "key", echo_of(0, 1, arena), NULL));
    mote_arena_free(arena);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_send(self, at(0, "echo", 1), "{?, {n, ?}}", mote_self_pid(self), i));
        CHECK(mote_match(got(0), "{n, ^}", i));
    }
    CHECK_OK(mote_registry_lookup(self, registry, "key", &found));
    CHECK(mote_match(found, "[{_, ?}]", &value) && mote_term_type(value) == MOTE_PID);
    CHECK_OK(mote_send(self, value, "{?, there}", mote_self_pid(self)));
    CHECK(mote_match(got(0), "there"));
    leave_all();
}

static void errors(void) {
    char why[300];
    mote_node_options bad[] = {
        {.name = NULL}, {.name = "a"}, {.name = "a@"}, {.name = "a b@c"}, {.name = "a@b", .cookie = ""},
        {.name = "a@b", .cookie = "x", .address = "0.0.0.0"}, {.name = "a@b", .cookie = "x", .address = "localhost"},
        {.name = "a@b", .cookie_file = "/"}, {.name = "a@b", .cookie = "short", .address = "0.0.0.0", .insecure = true},
        {.name = "a@b", .cookie = "ABCDEFGHIJKLMNOPQRST", .address = "0.0.0.0", .insecure = true},
    };
    begin();
    CHECK_INT(start(NODES, "a@127.0.0.1", COOKIE, 0, why, sizeof why), MOTE_ENAME);
    CHECK(strstr(why, "another node of this host has it"));
    leave(NODES);
    CHECK_OK(start(NODES, "d@127.0.0.1", "another cookie", 0, why, sizeof why));
    CHECK_INT(mote_node_connect(nodes[NODES].self, nodes[1].name, -1), MOTE_ENOPROC);
    CHECK_OK(mote_node_cookie(nodes[NODES].self, nodes[1].name, COOKIE));
    CHECK_OK(mote_node_connect(nodes[NODES].self, nodes[1].name, -1));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mote_runtime *rt;
        mote_self *self;
        CHECK_OK(mote_runtime_start(NULL, &rt));
        CHECK_OK(mote_attach(rt, &self));
        why[0] = 0;
        mote_err err = mote_node_start(self, &bad[i], why, sizeof why);
        CHECK((err == MOTE_ENAME || err == MOTE_EARG) && why[0]);
        CHECK_OK(mote_detach(self));
        (void)mote_runtime_stop(rt, 0);
    }
    CHECK_INT(mote_node_start(NULL, &bad[0], NULL, 0), MOTE_ESELF);
    CHECK_INT(mote_node_start(nodes[1].self, NULL, NULL, 0), MOTE_ENAME); /* nobody has said one in the environment */
    CHECK_INT(mote_node_start(nodes[1].self, &bad[1], why, sizeof why), MOTE_EBUSY);
    CHECK_INT(mote_node_at(nodes[1].self, nodes[2].name, "nowhere", 1), MOTE_EARG);
    CHECK_OK(mote_node_at(nodes[1].self, nodes[2].name, "127.0.0.1", epmd_port)); /* no node listens there */
    CHECK_INT(mote_node_connect(nodes[1].self, nodes[2].name, -1), MOTE_ENOPROC);
    leave_all();
}

/* Whom much waits for, and who takes nothing of it. */
static void stuck(void) {
    const uint64_t second = 1000000000;
    CHECK(!mt_link_is_stuck(MT_LINK_MAX, MT_LINK_MAX, 11 * second));
    CHECK(mt_link_is_stuck(MT_LINK_MAX + 1, MT_LINK_MAX, 11 * second));
    CHECK(!mt_link_is_stuck(MT_LINK_MAX + 1, MT_LINK_MAX, 10 * second));
    CHECK(!mt_link_is_stuck(MT_LINK_CROWD, MT_LINK_MAX, 31 * second));
    CHECK(mt_link_is_stuck(MT_LINK_CROWD + 1, MT_LINK_MAX, 31 * second));
    CHECK(mt_link_is_stuck(1001, 1000, 11 * second) && !mt_link_is_stuck(1000, 1000, 11 * second));
}

/* A supervisor is protected: exit/2 alone is not enough. */
static void system_processes(void) {
    mote_pid supervisor;
    mote_ref ref;
    mote_arena *arena = mote_arena_new(0);
    mote_term m, to;
    begin_with(MOTE_RIGHT_EXIT);
    CHECK_OK(mote_flag_set(nodes[0].self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_supervisor_start_link(nodes[0].self, &(mote_supervisor_options){0}, &supervisor, NULL));
    CHECK_OK(mote_send(nodes[0].self, at(0, "main", 1), "{pid, ?}", supervisor));
    m = got(1);
    CHECK(mote_match(m, "{pid, ?}", &to));
    to = mote_term_copy(arena, to);
    CHECK_OK((mote_monitor)(nodes[1].self, to, &ref));
    CHECK_OK((mote_exit_send)(nodes[1].self, to, mote_atom_term(mote_atom_make("kill"))));
    CHECK_OK(mote_send(nodes[1].self, at(1, "echo", 0), "{?, after_that}", mote_self_pid(nodes[1].self)));
    CHECK(mote_match(got(1), "after_that"));
    CHECK_OK(mote_node_rights(nodes[0].self, nodes[1].name, MOTE_RIGHT_EXIT | MOTE_RIGHT_SYSTEM));
    CHECK_OK((mote_exit_send)(nodes[1].self, to, mote_atom_term(mote_atom_make("kill"))));
    CHECK(mote_match(got(1), "{'DOWN', ^, process, _, killed}", ref));
    mote_arena_free(arena);
    leave_all();
}

static void rights(void) {
    char why[100];
    begin();
    CHECK_INT(mote_node_rights(nodes[0].self, nodes[1].name, 16), MOTE_EARG);
    CHECK_INT(mote_node_rights(nodes[0].self, (mote_atom){0}, 1), MOTE_EARG);
    CHECK_OK(mote_node_rights(nodes[0].self, nodes[1].name, MOTE_RIGHT_EXIT | MOTE_RIGHT_SYSTEM));
    mote_term to = echo_of(1, 0, mote_scratch(nodes[1].self));
    mote_ref ref;
    CHECK_OK((mote_monitor)(nodes[1].self, to, &ref));
    CHECK_OK((mote_exit_send)(nodes[1].self, to, mote_atom_term(mote_atom_make("please"))));
    CHECK(mote_match(got(1), "{'DOWN', ^, process, _, please}", ref));
    CHECK_INT(start(NODES, "e@127.0.0.1", COOKIE, 16, why, sizeof why), MOTE_EARG);
    leave(NODES);
    leave_all();
}

static void listens(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_nodes_monitor(self, true));
    CHECK_OK(mote_node_monitor(self, nodes[1].name, true));
}

/* Who has listened, and ended, is forgotten. */
static void listeners_end(void) {
    begin();
    struct mt_dist *d = mt_dist_of(nodes[0].runtime);
    CHECK_OK(mote_node_connect(nodes[0].self, nodes[1].name, -1));
    CHECK_OK(mote_nodes_monitor(nodes[0].self, true));
    unsigned most = 0;
    for (int i = 0; i < 1000; i++) {
        mote_pid pid;
        mote_ref ref;
        CHECK_OK(mote_spawn_monitor(nodes[0].self, listens, MOTE_TERM_NIL, &pid, &ref));
        CHECK(mote_match(got(0), "{'DOWN', ^, process, _, normal}", ref));
        mt_lock_take(&d->mu);
        if (d->listening > most) most = d->listening;
        mt_lock_drop(&d->mu);
    }
    CHECK(most < 40);
    leave(1);
    CHECK(mote_match(got(0), "{nodedown, 'b@127.0.0.1'}")); /* who is there still is told */
    leave_all();
}

static void dial(int fd, uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(connect(fd, (const struct sockaddr *)&to, sizeof to));
}

/* Who comes when no descriptor is left is closed, and told of; who is connected stays, and when there are some again others come. */
static void no_descriptor_is_left(void) {
    enum { CLIENTS = 50, OF_MAPPER = 5 };
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    struct rlimit before, now;
    int fd[CLIENTS], next;
    char byte;
    begin();
    struct mt_dist *d = mt_dist_of(nodes[0].runtime);
    CHECK_OK(mote_send(nodes[1].self, at(1, "echo", 0), "{?, first}", mote_self_pid(nodes[1].self)));
    CHECK(mote_match(got(1), "first"));
    for (int i = 0; i < CLIENTS; i++) {
        CHECK((fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
        CHECK_OK(setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
    }
    for (int round = 0; round < 2; round++) {
        CHECK((next = dup(0)) >= 0);
        close(next);
        CHECK_OK(getrlimit(RLIMIT_NOFILE, &before));
        now = (struct rlimit){(rlim_t)next, before.rlim_max};
        CHECK_OK(setrlimit(RLIMIT_NOFILE, &now));
        const int half = CLIENTS / 2 * round;
        for (int i = half; i < half + CLIENTS / 2; i++) dial(fd[i], i < half + OF_MAPPER ? epmd_port : d->port);
        for (int i = half; i < half + CLIENTS / 2; i++) {
            CHECK(recv(fd[i], &byte, 1, 0) == 0);
            close(fd[i]);
        }
        CHECK_OK(mote_send(nodes[1].self, at(1, "echo", 0), "{?, still}", mote_self_pid(nodes[1].self)));
        CHECK(mote_match(got(1), "still"));
        CHECK_OK(setrlimit(RLIMIT_NOFILE, &before));
        CHECK(told_full > 0 && told_full <= (unsigned)(CLIENTS - 2 * OF_MAPPER)); /* closed ones are logged soon */
        CHECK_OK(mote_node_connect(nodes[2].self, nodes[0].name, -1));
        CHECK_OK(mote_node_disconnect(nodes[2].self, nodes[0].name));
    }
    leave_all();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(connects), TEST(sends), TEST(types), TEST(floods), TEST(left_out), TEST(order_of_a_thread), TEST(monitors), TEST(links), TEST(exits), TEST(exits_of_linked), TEST(ends), TEST(disconnects), TEST(ends_nothing), TEST(at_once), TEST(kept), TEST(stuck), TEST(rights), TEST(system_processes), TEST(listeners_end), TEST(no_descriptor_is_left), TEST(errors), {0}});
}
