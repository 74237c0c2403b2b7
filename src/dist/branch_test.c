/* SPDX-License-Identifier: Apache-2.0
 * Nodes of two workers each, all in this program: what a process of a worker and one of another node have of each other. */
#include <mote/worker.h>
#include <stdio.h>
#include <unistd.h>

#include "dist/branch.h"
#include "nodes.h"

#define WORKER (1u | 1u << MT_WORKER_BITS) /* its second incarnation */
enum { A, B, A1, B1 };                     /* nodes[]: hubs, and a worker of each */

static struct mote_worker *members[4];

static void no_log(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

/* Does what it is told, by whom it says, and tells what it has heard. */
static void servant(mote_self *self, mote_term arg) {
    mote_term m, from, what, to;
    mote_pid pid;
    mote_ref ref;
    (void)arg;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{exit, ?}", &what)) mote_exit(self, what);
        if (mote_match(m, "{?, {link, ?}}", &from, &pid)) CHECK_OK(mote_link(self, pid));
        if (mote_match(m, "{?, {unlink, ?}}", &from, &pid)) CHECK_OK(mote_unlink(self, pid));
        if (mote_match(m, "{?, {monitor, ?}}", &from, &to)) CHECK_OK((mote_monitor)(self, to, &ref));
        if (mote_match(m, "{?, {kill, ?}}", &from, &pid)) CHECK_OK(mote_exit_send(self, pid, atom("on_purpose")));
        if (mote_match(m, "{'EXIT', _, ?}", &what)) (void)mote_send(self, mote_atom_make("main"), "{told, exit, ?}", what); /* which may have ended */
        if (mote_match(m, "{'DOWN', _, process, _, ?}", &what)) (void)mote_send(self, mote_atom_make("main"), "{told, down, ?}", what);
        if (mote_match(m, "{?, {settle, ?}}", &from, &pid)) CHECK_OK(mote_send(self, pid, "{?, settled}", from));
        else if (mote_match(m, "{?, ?}", &from, &what)) CHECK_OK((mote_send_term)(self, from, what));
    }
}

/* The public name of one of `where`, as a term of `who`: {Name, Node}. */
static mote_term at(unsigned who, const char *name, unsigned node) {
    mote_term to;
    CHECK_OK(mote_build(mote_scratch(nodes[who].self), &to, "{?, ?}", mote_atom_make(name), nodes[node].name));
    return to;
}

static void start(unsigned i, unsigned worker, const char *name, unsigned rights) {
    struct node *n = &nodes[i];
    char why[200];
    mote_options options = {.schedulers = 1, .chaos_seed = chaos_seed(), .log = no_log, .worker = worker};
    const mote_node_options node = {.name = name, .cookie = COOKIE, .epmd_port = epmd_port, .rights = rights};
    CHECK_OK(mote_runtime_start(&options, &n->runtime));
    CHECK_OK(mote_attach(n->runtime, &n->self));
    if (worker) CHECK_OK(mote_node_join(n->self));
    else CHECK_INT(mote_node_join(n->self), MOTE_EARG);
    CHECK_OK(mote_worker_new(n->self, worker, worker ? dup(mote_worker_board(members[i - A1])) : -1, &members[i]));
    if (worker) CHECK_INT(mote_node_start(n->self, &node, why, sizeof why), MOTE_ECONTEXT);
    else if (name) CHECK_OK(mote_node_start(n->self, &node, why, sizeof why));
}

/* Each of two knows the other. */
static void join(unsigned hub, unsigned worker) {
    int channel;
    CHECK_OK(mote_worker_channel(&channel));
    CHECK_OK(mote_worker_open(members[worker], 0, dup(channel), dup(mote_worker_event(members[hub])), dup(mote_worker_blobs(members[hub]))));
    CHECK_OK(mote_worker_open(members[hub], WORKER, channel, dup(mote_worker_event(members[worker])), dup(mote_worker_blobs(members[worker]))));
}

static void end_worker(unsigned i) {
    leave(i);
    mote_worker_free(members[i]);
    members[i] = NULL;
}

static void end(void) {
    static const unsigned all[] = {A1, B1, A, B};
    for (unsigned i = 0; i < 4; i++)
        if (members[all[i]]) end_worker(all[i]);
}

static void serve(unsigned i, const char *name) {
    CHECK_OK(mote_spawn(nodes[i].self, servant, MOTE_TERM_NIL, &nodes[i].echo));
    CHECK_OK(mote_register(nodes[i].self, mote_atom_make(name), nodes[i].echo));
}

/* Two nodes, the first named before its worker is there, the second when it is. */
static void begin_with(unsigned rights) {
    epmd_port = free_port();
    start(A, 0, "a@127.0.0.1", rights);
    start(B, 0, NULL, 0);
    start(A1, WORKER, NULL, 0);
    start(B1, WORKER, NULL, 0);
    join(A, A1);
    join(B, B1);
    const mote_node_options b = {.name = "b@127.0.0.1", .cookie = COOKIE, .epmd_port = epmd_port, .rights = rights};
    CHECK_OK(mote_node_start(nodes[B].self, &b, NULL, 0));
    for (unsigned i = A; i <= B1; i++) {
        uint32_t creation, of_hub;
        uint16_t port;
        nodes[i].name = mote_node_name(nodes[i % 2].self, &of_hub, &port);
        WAIT_UNTIL(nodes[i].self, mote_node_name(nodes[i].self, NULL, NULL).word == nodes[i].name.word);
        (void)mote_node_name(nodes[i].self, &creation, &port);
        CHECK(creation == of_hub && port != 0);
    }
    for (unsigned i = A1; i <= B1; i++) CHECK_OK(mote_register(nodes[i].self, mote_atom_make("main"), mote_self_pid(nodes[i].self)));
    serve(A, "hub"), serve(B, "hub"), serve(A1, "there"), serve(B1, "there");
}
static void begin(void) { begin_with(0); }

/* A pid of `of` as `who` has it, from a message; valid while `arena` is. */
static mote_pid known(unsigned who, unsigned of, mote_pid pid, mote_arena *arena) {
    mote_term m, term;
    CHECK_OK(mote_send(nodes[of].self, at(of, "main", who), "{pid, ?}", pid));
    m = got(who);
    CHECK(mote_match(m, "{pid, ?}", &term));
    return pid_of(mote_term_copy(arena, term));
}

/* A servant links, unlinks, monitors or kills, and has done so. */
static void does(unsigned who, mote_pid servant_pid, const char *what, mote_term whom) {
    mote_term order, request;
    CHECK_OK(mote_build(mote_scratch(nodes[who].self), &order, "{?, ?}", mote_atom_make(what), whom));
    CHECK_OK(mote_build(mote_scratch(nodes[who].self), &request, "{?, ?}", mote_self_pid(nodes[who].self), order));
    CHECK_OK(mote_send_term(nodes[who].self, servant_pid, request));
    CHECK(mote_term_same(got(who), order));
}

#define HEARS(who, ...) \
    do { \
        const mote_term heard_ = got(who); \
        CHECK(mote_match(heard_, __VA_ARGS__)); \
    } while (0)

/* What a servant has sent to a process has come there. */
static void settles(unsigned who, mote_pid servant_pid, mote_pid where) {
    CHECK_OK(mote_send(nodes[who].self, servant_pid, "{?, {settle, ?}}", mote_self_pid(nodes[who].self), where));
    HEARS(who, "settled");
}

/* ------------------------------------------------------------------------------------------------- the tests */

static void sends(void) {
    mote_term m, what;
    mote_bytes bytes;
    mote_ref alias;
    static uint8_t big[3000000];
    mote_arena *arena = mote_arena_new(0);
    begin();
    for (unsigned node = A; node <= B; node++) { /* to the own node, and to the other; by name, with and without knowing it */
        CHECK_OK(mote_send(nodes[A1].self, at(A1, "there", node), "{?, {by_name, 1}}", mote_self_pid(nodes[A1].self)));
        HEARS(A1, "{by_name, 1}");
    }
    mote_pid there = known(A1, B1, nodes[B1].echo, arena), hub = known(A1, B, nodes[B].echo, arena), mine = known(B1, A1, nodes[A1].echo, arena);
    CHECK(mote_term_type(mote_pid_term(there)) == MOTE_PID && there.word != nodes[B1].echo.word);
    for (int i = 0; i < scaled(20000); i++) {
        CHECK_OK(mote_send(nodes[A1].self, there, "{?, {n, ?}}", mote_self_pid(nodes[A1].self), i));
        CHECK_OK(mote_send(nodes[A1].self, hub, "{?, {m, ?}}", mote_self_pid(nodes[A1].self), i));
    }
    for (int i = 0, n, next[2] = {0}; i < 2 * scaled(20000); i++) {
        m = got(A1);
        bool of_hub = mote_match(m, "{m, ?}", &n);
        CHECK(of_hub || mote_match(m, "{n, ?}", &n));
        CHECK_INT(n, next[of_hub]++);
    }
    memset(big, 5, sizeof big);
    CHECK_OK(mote_send(nodes[A1].self, there, "{?, ?}", mote_self_pid(nodes[A1].self), mote_binary_make(arena, big, sizeof big)));
    m = got(A1);
    CHECK_OK(mote_bytes_get(m, &bytes));
    CHECK(bytes.size == sizeof big && memcmp(bytes.data, big, sizeof big) == 0);
    CHECK_OK(mote_build(arena, &what, "{?, ?, ?, 1.5}", there, mote_self_pid(nodes[A1].self), hub));
    CHECK_OK(mote_send(nodes[A1].self, there, "{?, ?}", mote_self_pid(nodes[A1].self), what));
    CHECK(mote_term_same(got(A1), what));
    CHECK_OK(mote_send(nodes[B1].self, mine, "{?, here}", mote_self_pid(nodes[B1].self)));
    HEARS(B1, "here");
    CHECK_OK(mote_alias(nodes[A1].self, MOTE_ALIAS_REPLY, &alias));
    for (int i = 0; i < 2; i++) CHECK_OK(mote_send(nodes[A1].self, there, "{?, {through, ?}}", alias, i));
    CHECK_OK(mote_send(nodes[A1].self, there, "{?, last}", mote_self_pid(nodes[A1].self)));
    HEARS(A1, "{through, 0}");
    HEARS(A1, "last"); /* the second finds no alias any more */
    CHECK_OK(mote_send(nodes[A1].self, at(A1, "nobody", B), "lost"));
    mote_arena_free(arena);
    end();
}

/* From a worker to a worker, from a worker to a hub, from a hub to a worker. */
static const unsigned pairs[][2] = {{A1, B1}, {A1, B}, {A, B1}};

/* The one that tells its main, which is the worker's of its node. */
#define MAIN_OF(i) ((i) % 2 ? B1 : A1)

static void relations(void) {
    mote_arena *arena = mote_arena_new(0);
    begin_with(MOTE_RIGHT_EXIT);
    for (unsigned k = 0; k < 3; k++) {
        unsigned x = pairs[k][0], y = pairs[k][1], n = MAIN_OF(x), m = MAIN_OF(y);
        for (unsigned way = 0; way < 2; way++, x = pairs[k][1], y = pairs[k][0], n = MAIN_OF(x), m = MAIN_OF(y)) {
            mote_pid own, own2, other, other2;
            CHECK_OK(mote_spawn(nodes[x].self, servant, MOTE_TERM_NIL, &own));
            CHECK_OK(mote_spawn(nodes[x].self, servant, MOTE_TERM_NIL, &own2));
            CHECK_OK(mote_spawn(nodes[y].self, servant, MOTE_TERM_NIL, &other));
            CHECK_OK(mote_spawn(nodes[y].self, servant, MOTE_TERM_NIL, &other2));
            mote_pid o = known(n, y, other, arena), o2 = known(n, y, other2, arena);
            CHECK_OK(mote_register(nodes[y].self, mote_atom_make("known"), other));
            /* monitors by pid and by name, one of which is taken back; a link that is undone, a link */
            does(n, own, "monitor", mote_pid_term(o));
            does(n, own, "monitor", at(n, "known", y));
            does(n, own2, "link", mote_pid_term(o2));
            does(n, own2, "unlink", mote_pid_term(o2));
            does(n, own2, "link", mote_pid_term(o));
            does(n, own2, "monitor", at(n, "nobody", y));
            HEARS(n, "{told, down, noproc}");
            CHECK_OK(mote_send(nodes[n].self, o2, "{exit, unheard}"));
            CHECK_OK(mote_send(nodes[n].self, o, "{exit, {why, 1}}"));
            unsigned downs = 0, exits = 0;
            for (int i = 0; i < 3; i++) {
                const mote_term t = got(n);
                if (mote_match(t, "{told, down, {why, 1}}")) downs++;
                if (mote_match(t, "{told, exit, {why, 1}}")) exits++;
            }
            CHECK(downs == 2 && exits == 1);
            does(n, own, "monitor", mote_pid_term(o)); /* it has ended */
            HEARS(n, "{told, down, noproc}");
            does(n, own, "link", mote_pid_term(o));
            HEARS(n, "{told, exit, noproc}");
            /* exit/2, and one who is watched from there ends */
            CHECK_OK(mote_spawn(nodes[y].self, servant, MOTE_TERM_NIL, &other));
            CHECK_OK(mote_send(nodes[y].self, other, "{?, traps}", mote_self_pid(nodes[y].self)));
            HEARS(y, "traps"); /* before that it would end of what it is sent */
            o = known(n, y, other, arena);
            does(n, own, "kill", mote_pid_term(o));
            HEARS(m, "{told, exit, on_purpose}");
            does(m, other, "link", mote_pid_term(known(m, x, own, arena)));
            does(m, other, "monitor", mote_pid_term(known(m, x, own2, arena)));
            settles(m, other, known(m, x, own, arena));
            settles(m, other, known(m, x, own2, arena));
            CHECK_OK(mote_exit_send(nodes[x].self, own2, atom("kill")));
            HEARS(m, "{told, down, killed}");
            CHECK_OK(mote_exit_send(nodes[x].self, own, atom("kill")));
            HEARS(m, "{told, exit, killed}");
            CHECK_INT(mote_receive_match(nodes[n].self, 0, "_"), MOTE_TIMEOUT);
        }
    }
    mote_arena_free(arena);
    end();
}

static void nodes_come_and_go(void) {
    mote_atom all[3];
    size_t count;
    mote_arena *arena = mote_arena_new(0);
    begin();
    CHECK_OK(mote_nodes(nodes[A1].self, true, all, 3, &count));
    CHECK_INT(count, 0);
    CHECK_INT(mote_node_disconnect(nodes[A1].self, nodes[B].name), MOTE_ENOPROC);
    CHECK_OK(mote_nodes_monitor(nodes[A1].self, true));
    CHECK_INT(mote_node_connect(nodes[A1].self, mote_atom_make("nobody@127.0.0.1"), -1), MOTE_ENOPROC);
    CHECK_INT(mote_node_connect(nodes[A1].self, mote_atom_make("no node"), -1), MOTE_ENOPROC);
    CHECK_INT(mote_node_connect(nodes[A1].self, nodes[A].name, -1), MOTE_EARG);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(mote_node_connect(nodes[A1].self, nodes[B].name, -1));
        HEARS(A1, "{nodeup, ^}", nodes[B].name);
        CHECK_OK(mote_node_connect(nodes[A1].self, nodes[B].name, -1)); /* it is */
        CHECK_OK(mote_nodes(nodes[A1].self, true, all, 3, &count));
        CHECK(count == 1 && all[0].word == nodes[B].name.word);
        WAIT_UNTIL(nodes[B1].self, mote_nodes(nodes[B1].self, true, all, 3, &count) == MOTE_OK && count == 1); /* the other side */
        mote_pid there = known(A1, B1, nodes[B1].echo, arena);
        mote_ref ref;
        CHECK_OK(mote_monitor(nodes[A1].self, there, &ref));
        does(A1, nodes[A1].echo, "link", mote_pid_term(there));
        settles(A1, nodes[A1].echo, there);
        CHECK_OK(mote_node_monitor(nodes[A1].self, nodes[B].name, true));
        CHECK_OK(mote_send(nodes[A1].self, nodes[A].echo, "{?, {asked, 1}}", mote_self_pid(nodes[A1].self))); /* behind what the hub is asked */
        HEARS(A1, "{asked, 1}");
        CHECK_OK(mote_node_disconnect(i % 2 ? nodes[B1].self : nodes[A1].self, nodes[i % 2 ? A : B].name));
        unsigned told = 0;
        for (int k = 0; k < 4; k++) { /* each of these, whatever comes first */
            const mote_term m = got(A1);
            if (mote_match(m, "{'DOWN', ^, process, _, noconnection}", ref)) told |= 1;
            if (mote_match(m, "{nodedown, ^}", nodes[B].name)) told += 2;
            if (mote_match(m, "{told, exit, noconnection}")) told |= 8;
        }
        CHECK_INT(told, 13);
        HEARS(B1, "{told, exit, noconnection}");
        CHECK_OK(mote_nodes(nodes[A1].self, true, all, 3, &count));
        CHECK_INT(count, 0);
    }
    CHECK_OK(mote_nodes_monitor(nodes[A1].self, false));
    CHECK_OK(mote_node_cookie(nodes[A1].self, nodes[B].name, "another"));
    CHECK_INT(mote_node_connect(nodes[A1].self, nodes[B].name, -1), MOTE_ENOPROC);
    CHECK_OK(mote_node_at(nodes[A1].self, mote_atom_make("x@127.0.0.1"), "127.0.0.1", free_port()));
    CHECK_OK(mote_node_monitor(nodes[A1].self, mote_atom_make("x@127.0.0.1"), true));
    HEARS(A1, "{nodedown, 'x@127.0.0.1'}");
    mote_ref ref;
    CHECK_OK(mote_monitor(nodes[A1].self, at(A1, "name", B), &ref));
    HEARS(A1, "{'DOWN', ^, process, _, noconnection}", ref);
    mote_arena_free(arena);
    end();
}

/* Those of another node that were related with a worker's processes are told why they have ended. */
static void worker_dies(void) {
    mote_term reason;
    mote_arena *arena = mote_arena_new(0);
    begin();
    mote_pid there = known(B1, A1, nodes[A1].echo, arena), b = known(A1, B, nodes[B].echo, arena);
    does(B1, nodes[B1].echo, "link", mote_pid_term(there));
    does(B1, nodes[B].echo, "monitor", at(B1, "there", A));
    does(B1, nodes[B].echo, "monitor", mote_pid_term(there));
    does(A1, nodes[A1].echo, "link", mote_pid_term(b));
    does(A1, nodes[A1].echo, "monitor", mote_pid_term(b));
    does(A1, nodes[A1].echo, "monitor", at(A1, "hub", B));
    settles(A1, nodes[A1].echo, b);
    settles(B1, nodes[B1].echo, there);
    settles(B1, nodes[B].echo, there);
    CHECK_OK(mote_build(arena, &reason, "{worker_died, 1, {signal, 9}}"));
    CHECK_OK(mote_worker_lost(members[A], nodes[A].self, WORKER, reason));
    unsigned downs = 0, exits = 0;
    for (int i = 0; i < 4; i++) {
        const mote_term m = got(B1);
        if (mote_match(m, "{told, down, {worker_died, 1, {signal, 9}}}")) downs++;
        if (mote_match(m, "{told, exit, {worker_died, 1, {signal, 9}}}")) exits++;
    }
    CHECK(downs == 2 && exits == 2);
    mote_process_info info;
    for (uint64_t since = now_ns();; look_later(nodes[B].self, since)) { /* what ends the last relation may still be under way */
        CHECK_OK(mote_process_info_get(nodes[B].self, nodes[B].echo, PATIENCE_MS, &info));
        if (info.links == 0 && info.monitored_by == 0 && info.monitors == 0) break;
    }
    does(B1, nodes[B1].echo, "monitor", mote_pid_term(there)); /* from now on it has ended */
    HEARS(B1, "{told, down, noproc}");
    does(B1, nodes[B1].echo, "link", mote_pid_term(there));
    HEARS(B1, "{told, exit, noproc}");
    does(B1, nodes[B1].echo, "monitor", at(B1, "there", A));
    HEARS(B1, "{told, down, noproc}");
    mote_arena_free(arena);
    end();
}

/* Links and monitors, and waits for what becomes of it. */
static void relates(mote_self *self, mote_term arg) {
    mote_pid main, other;
    mote_ref ref;
    CHECK(mote_match(arg, "{?, ?}", &main, &other));
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_link(self, other));
    CHECK_OK(mote_monitor(self, other, &ref));
    CHECK_OK(mote_receive_match(self, -1, "{'DOWN', _, process, _, noconnection}"));
    CHECK_OK(mote_receive_match(self, -1, "{'EXIT', _, noconnection}"));
    CHECK_OK(mote_send(self, main, "told"));
}

/* Whenever a connection ends: each relation is there on both sides, or on none. */
static void churns(void) {
    mote_process_info info = {0};
    mote_arena *arena = mote_arena_new(0);
    int n = scaled(400), told = 0;
    begin();
    mote_pid there = known(A1, B1, nodes[B1].echo, arena), *pids = calloc((size_t)n, sizeof *pids);
    for (int i = 0; i < n; i++) {
        mote_term arg;
        CHECK_OK(mote_build(arena, &arg, "{?, ?}", mote_self_pid(nodes[A1].self), there));
        CHECK_OK(mote_spawn(nodes[A1].self, relates, arg, &pids[i]));
        if (i == 3) wait_idle(nodes[A1].self, pids[0]); /* it will be told */
        if (i % 5 == 3) (void)!mote_node_disconnect(nodes[i % 2 ? A : B].self, nodes[i % 2 ? B : A].name);
        while (!mote_receive_match(nodes[A1].self, 0, "told")) told++;
    }
    do CHECK_OK(mote_send(nodes[A1].self, there, "{?, still}", mote_self_pid(nodes[A1].self))); /* the last end may still be under way */
    while (mote_receive_match(nodes[A1].self, 500, "still"));
    while (!mote_receive_match(nodes[A1].self, 0, "told")) told++;
    if (!told) CHECK_OK(mote_receive_match(nodes[A1].self, PATIENCE_MS, "told"));
    for (int i = 0; i < n; i++) CHECK_OK(mote_exit_send(nodes[A1].self, pids[i], atom("kill")));
    for (uint64_t since = now_ns();; look_later(nodes[B].self, since)) { /* a relation of one side alone would stay */
        CHECK_OK(mote_process_info_get(nodes[B1].self, nodes[B1].echo, PATIENCE_MS, &info));
        if (!info.links && !info.monitored_by) break;
    }
    free(pids);
    mote_arena_free(arena);
    end();
}

static mote_term twice(mote_self *self, size_t count, const mote_term *args, void *context) {
    int64_t n;
    (void)context;
    CHECK(count == 1);
    return mote_int_get(args[0], &n) ? MOTE_TERM_NONE : mote_int_make(mote_scratch(self), 2 * n);
}

static void spawns_and_calls(void) {
    const mote_function how = {.call = twice};
    const mote_atom m = mote_atom_make("m");
    mote_arena *arena = mote_arena_new(0);
    mote_term args, result;
    mote_pid pid;
    mote_ref ref;
    begin_with(MOTE_RIGHT_RPC | MOTE_RIGHT_SPAWN);
    CHECK_OK(mote_export_function(nodes[B].self, m, mote_atom_make("twice"), 1, &how));
    CHECK_OK(mote_export(nodes[B].self, m, mote_atom_make("servant"), servant));
    CHECK_OK(mote_build(arena, &args, "[21]"));
    CHECK_OK(mote_rpc_call(nodes[A1].self, nodes[B].name, m, mote_atom_make("twice"), args, -1, &result));
    CHECK(mote_match(result, "42"));
    CHECK_INT(mote_rpc_call(nodes[A1].self, nodes[B].name, m, mote_atom_make("nothing"), args, -1, &result), MOTE_ECALL);
    CHECK_INT(mote_rpc_call(nodes[A1].self, mote_atom_make("no@127.0.0.1"), m, m, args, -1, &result), MOTE_ENOPROC);
    CHECK_OK(mote_flag_set(nodes[A1].self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_spawn_at(nodes[A1].self, nodes[B].name, m, mote_atom_make("servant"), args, MOTE_SPAWN_LINK | MOTE_SPAWN_MONITOR, -1, &pid, &ref));
    CHECK_OK(mote_send(nodes[A1].self, pid, "{?, hello}", mote_self_pid(nodes[A1].self)));
    CHECK_OK(mote_receive_match(nodes[A1].self, PATIENCE_MS, "hello"));
    CHECK_OK(mote_send(nodes[A1].self, at(A1, "hub", B), "{?, {x, 1}}", mote_self_pid(nodes[A1].self)));
    CHECK_OK(mote_receive_match(nodes[A1].self, PATIENCE_MS, "{x, 1}"));
    CHECK_OK(mote_node_disconnect(nodes[A1].self, nodes[B].name));
    CHECK_OK(mote_receive_match(nodes[A1].self, PATIENCE_MS, "{'DOWN', ^, process, _, noconnection}", ref));
    CHECK_OK(mote_receive_match(nodes[A1].self, PATIENCE_MS, "{'EXIT', _, noconnection}"));
    mote_arena_free(arena);
    end();
}

/* What other nodes may not do to a process of the hub they may not do to a worker's: the worker itself looks, by the rights that the hub says. */
static void what_is_not_reached(void) {
    for (unsigned k = 0; k < 2; k++) { /* with the right to exit alone, and with that to what is protected */
        mote_arena *arena = mote_arena_new(0);
        mote_pid hidden, guarded;
        mote_ref ref;
        begin_with(MOTE_RIGHT_EXIT | (k ? MOTE_RIGHT_SYSTEM : 0));
        CHECK_OK(mote_spawn_opt(nodes[A1].self, &(mote_spawn_options){.body = servant, .reach = MOTE_REACH_NONE}, MOTE_TERM_NIL, &hidden));
        CHECK_OK(mote_spawn_opt(nodes[A1].self, &(mote_spawn_options){.body = servant, .reach = MOTE_REACH_PROTECTED}, MOTE_TERM_NIL, &guarded));
        CHECK_OK(mote_register(nodes[A1].self, mote_atom_make("hidden"), hidden));
        CHECK_OK(mote_register_here(nodes[A1].self, mote_atom_make("at_home"), guarded));
        mote_pid h = known(B1, A1, hidden, arena), g = known(B1, A1, guarded, arena);
        CHECK_OK(mote_send(nodes[B1].self, h, "{?, hello}", mote_self_pid(nodes[B1].self)));
        CHECK_OK(mote_send(nodes[B1].self, at(B1, "hidden", A), "{?, hello}", mote_self_pid(nodes[B1].self)));
        CHECK_OK(mote_send(nodes[B1].self, at(B1, "at_home", A), "{?, hello}", mote_self_pid(nodes[B1].self)));
        CHECK_OK(mote_exit_send(nodes[B1].self, mote_pid_term(h), atom("kill")));
        for (unsigned i = 0; i < 3; i++) {
            CHECK_OK((mote_monitor)(nodes[B1].self, i ? at(B1, i == 1 ? "hidden" : "at_home", A) : mote_pid_term(h), &ref));
            CHECK_OK(mote_receive_match(nodes[B1].self, PATIENCE_MS, "{'DOWN', ^, process, _, noproc}", ref));
        }
        does(B1, nodes[B1].echo, "link", mote_pid_term(h));
        HEARS(B1, "{told, exit, noproc}");
        CHECK_OK(mote_send(nodes[A1].self, hidden, "{?, alive}", mote_self_pid(nodes[A1].self))); /* nothing has come to it */
        HEARS(A1, "alive");
        CHECK_OK(mote_send(nodes[B1].self, g, "{?, hello}", mote_self_pid(nodes[B1].self))); /* that is allowed */
        HEARS(B1, "hello");
        CHECK_OK(mote_monitor(nodes[B1].self, g, &ref));
        if (k) {
            does(B1, nodes[B1].echo, "link", mote_pid_term(g));
            settles(B1, nodes[B1].echo, g);
        } else {
            does(B1, nodes[B1].echo, "link", mote_pid_term(g));
            HEARS(B1, "{told, exit, noproc}");
        }
        CHECK_OK(mote_exit_send(nodes[B1].self, mote_pid_term(g), atom("kill")));
        CHECK_OK(mote_send(nodes[B1].self, g, "{?, afterwards}", mote_self_pid(nodes[B1].self)));
        if (k) CHECK_OK(mote_receive_match(nodes[B1].self, PATIENCE_MS, "{'DOWN', ^, process, _, killed}", ref));
        else CHECK_OK(mote_receive_match(nodes[B1].self, PATIENCE_MS, "afterwards"));
        mote_arena_free(arena);
        end();
    }
}

/* Who has linked itself with a worker's process may exit it, without a right; the worker knows. */
static void exits_of_linked(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_pid pid;
    mote_term m;
    begin_with(0);
    CHECK_OK(mote_spawn(nodes[A1].self, servant, MOTE_TERM_NIL, &pid));
    mote_pid g = known(B1, A1, pid, arena);
    does(B1, nodes[B1].echo, "kill", mote_pid_term(g));
    settles(B1, nodes[B1].echo, g);
    CHECK_INT(mote_receive(nodes[A1].self, 0, &m), MOTE_TIMEOUT);
    does(B1, nodes[B1].echo, "link", mote_pid_term(g));
    does(B1, nodes[B1].echo, "kill", mote_pid_term(g));
    HEARS(A1, "{told, exit, on_purpose}");
    mote_arena_free(arena);
    end();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(sends), TEST(relations), TEST(nodes_come_and_go), TEST(worker_dies), TEST(churns), TEST(spawns_and_calls), TEST(what_is_not_reached), TEST(exits_of_linked), {0}});
}
