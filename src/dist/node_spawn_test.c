/* SPDX-License-Identifier: Apache-2.0
 * Processes that nodes start in each other, and functions that they call: three runtimes of this program, each a node of its own. */
#include <stdio.h>
#include <string.h>

#include "dist/node.h"
#include "nodes.h"

#define BOTH (MOTE_RIGHT_SPAWN | MOTE_RIGHT_RPC)

static mote_arena *arena; /* of terms of a test */

static void note(void *context, mote_log_level level, const char *text) {
    (void)level;
    if (strstr(text, " may not ") && strstr(text, "@127.0.0.1")) atomic_fetch_add(&((struct node *)context)->refused, 1);
}

static mote_atom named(const char *name) { return mote_atom_make(name); }

/* ------------------------------------------------------------------------------------- what is exported */

/* A body: tells main what it was started with, then does as it is told. */
static void body(mote_self *self, mote_term arg) {
    mote_term m, what, who;
    if (mote_match(arg, "{first, ?}", &who)) CHECK_OK((mote_send_term)(self, who, mote_atom_term(named("first"))));
    if (mote_match(arg, "{exit, ?}", &what)) mote_exit(self, what);
    if (mote_match(arg, "quick")) return;
    CHECK_OK(mote_send(self, "main", "{began, ?, ?}", mote_self_pid(self), arg));
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{exit, ?}", &what)) mote_exit(self, what);
        if (mote_match(m, "{ping, ?}", &who)) CHECK_OK((mote_send_term)(self, who, mote_atom_term(named("pong"))));
    }
}

/* The sum of its arguments, which are integers. */
static mote_term sum(mote_self *self, size_t count, const mote_term *args, void *context) {
    int64_t total = *(const int64_t *)context, one;
    for (size_t i = 0; i < count; i++) {
        if (mote_int_get(args[i], &one)) mote_error(self, mote_atom_term(named("badarg")));
        total += one;
    }
    return mote_int_make(mote_scratch(self), total);
}
static int64_t zero = 0;

/* The same that came, with much around it. */
static mote_term same(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term out;
    (void)context;
    CHECK_INT(count, 1);
    return mote_build(mote_scratch(self), &out, "{same, ?, [?]}", args[0], args[0]) ? MOTE_TERM_NONE : out;
}

static mote_term leaves(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)count, (void)context;
    mote_exit(self, args[0]);
}

static mote_term waits(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term m;
    (void)count, (void)args, (void)context;
    CHECK_OK(mote_send(self, "main", "{waits, ?}", mote_self_pid(self)));
    (void)!mote_receive(self, -1, &m);
    return mote_atom_term(named("done"));
}

static mote_term nothing(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)self, (void)count, (void)args, (void)context;
    return MOTE_TERM_NONE;
}

static void export(mote_self *self, const char *name, unsigned arity, mote_term (*call)(mote_self *, size_t, const mote_term *, void *)) {
    const mote_function f = {.call = call, .context = &zero};
    CHECK_OK(mote_export_function(self, named("m"), named(name), arity, &f));
}

/* --------------------------------------------------------------------------------------------- the nodes */

static void start(unsigned i, unsigned rights, uint32_t processes_max, uint32_t call_ms) {
    static const char *const names[] = {"a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"};
    struct node *n = &nodes[i];
    const mote_node_options node = {.name = names[i], .rights = rights, .processes_max = processes_max, .call_ms = call_ms};
    CHECK_OK(enter(i, (mote_options){.schedulers = 2, .log = note, .log_context = n}, node, NULL, 0));
    CHECK_OK(mote_register(n->self, named("main"), mote_self_pid(n->self)));
    CHECK_OK(mote_export(n->self, named("m"), named("body"), body));
    export(n->self, "sum", MOTE_ARITY_ANY, sum);
    export(n->self, "same", 1, same);
    export(n->self, "leaves", 1, leaves);
    export(n->self, "waits", 0, waits);
    export(n->self, "nothing", 0, nothing);
}

static void begin_with(unsigned rights, uint32_t processes_max, uint32_t call_ms) {
    epmd_port = free_port();
    arena = mote_arena_new(0);
    for (unsigned i = 0; i < 2; i++) start(i, rights, processes_max, call_ms);
}
static void begin(void) { begin_with(BOTH, 0, 0); }

static void end(void) {
    leave_all();
    mote_arena_free(arena);
}

static void quiet(unsigned who) {
    mote_term m;
    CHECK_INT(mote_receive(nodes[who].self, 0, &m), MOTE_TIMEOUT);
}

/* A list written as Erlang. */
static mote_term args(const char *text) {
    mote_term list;
    CHECK_OK(mote_term_parse(arena, text, strlen(text), &list, NULL));
    return list;
}

static mote_ref request(const char *function, mote_term list, unsigned options) {
    mote_ref ref;
    CHECK_OK(mote_spawn_request(nodes[0].self, nodes[1].name, named("m"), named(function), list, options, &ref));
    return ref;
}

static mote_err call(unsigned node, const char *function, const char *list, mote_term *result) {
    return mote_rpc_call(nodes[0].self, nodes[node].name, named("m"), named(function), args(list), PATIENCE_MS, result);
}

/* How many processes node 1 counts for node 0. */
static unsigned running(void) {
    struct mt_dist *d = mt_dist_of(nodes[1].runtime);
    mt_lock_take(&d->mu);
    unsigned n = mt_facts_locked(d, nodes[0].name.word)->running;
    mt_lock_drop(&d->mu);
    return n;
}

/* ------------------------------------------------------------------------------------------------- the tests */

static void spawns(void) {
    mote_term m, pid, other, what;
    begin();
    for (unsigned node = 0; node < 2; node++) { /* here, and there */
        mote_ref ref;
        CHECK_OK(mote_spawn_request(nodes[0].self, nodes[node].name, named("m"), named("body"), args("[{x, [1, 2]}]"), 0, &ref));
        m = got(0);
        CHECK(mote_match(m, "{spawn_reply, ^, ok, ?}", ref, &pid));
        pid = mote_term_copy(arena, pid);
        m = got(node);
        CHECK(mote_match(m, "{began, ?, ?}", &other, &what) && mote_term_same(what, args("{x, [1, 2]}")));
        CHECK_OK(mote_send(nodes[0].self, pid, "{ping, ?}", mote_self_pid(nodes[0].self)));
        CHECK(mote_match(got(0), "pong"));
        CHECK_OK((mote_monitor)(nodes[0].self, pid, &ref));
        CHECK_OK(mote_send(nodes[0].self, pid, "{exit, {because, 1}}"));
        CHECK(mote_match(got(0), "{'DOWN', ^, process, _, {because, 1}}", ref));
    }
    WAIT_UNTIL(nodes[1].self, running() == 0);
    end();
}

static void relates(void) {
    mote_term m, pid, item;
    mote_ref ref;
    begin();
    CHECK_OK(mote_flag_set(nodes[0].self, MOTE_TRAP_EXIT, 1, NULL));
    for (int i = 0; i < scaled(1000); i++) { /* the answer is first, however quick the process is */
        unsigned options = (unsigned)i % 4;
        CHECK_OK(mote_spawn_request(nodes[0].self, nodes[i % 8 > 3].name, named("m"), named("body"), i % 2 ? args("[quick]") : args("[{exit, soon}]"), options, &ref));
        m = got(0);
        CHECK(mote_match(m, "{spawn_reply, ^, ok, ?}", ref, &pid));
        pid = mote_term_copy(arena, pid);
        unsigned told = 0;
        while (told != options) {
            m = got(0);
            if (mote_match(m, "{'EXIT', ?, ?}", &item, &m)) told |= MOTE_SPAWN_LINK;
            else if (mote_match(m, "{'DOWN', ^, process, ?, ?}", ref, &item, &m)) told |= MOTE_SPAWN_MONITOR;
            else check_failed(__FILE__, __LINE__, "something else");
            CHECK(mote_term_same(item, pid) && (i % 2 ? mote_match(m, "normal") : mote_match(m, "soon")));
        }
    }
    quiet(0);
    WAIT_UNTIL(nodes[1].self, running() == 0);
    end();
}

/* What a process sends first comes behind the answer. */
static void is_answered_first(void) {
    mote_term list;
    begin();
    CHECK_OK(mote_build(arena, &list, "[{first, ?}]", mote_self_pid(nodes[0].self)));
    for (int i = 0; i < scaled(500); i++) {
        mote_ref ref = request("body", list, 0);
        CHECK(mote_match(got(0), "{spawn_reply, ^, ok, _}", ref));
        CHECK(mote_match(got(0), "first"));
    }
    end();
}

static void waiter(mote_self *self, mote_term arg) {
    mote_pid pid;
    mote_ref ref;
    mote_term m;
    (void)arg;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_spawn_at(self, nodes[1].name, named("m"), named("body"), args("[{exit, so}]"), MOTE_SPAWN_LINK | MOTE_SPAWN_MONITOR, -1, &pid, &ref));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        CHECK(mote_match(m, "{'EXIT', _, so}") || mote_match(m, "{'DOWN', ^, process, _, so}", ref));
    }
    CHECK_INT(mote_spawn_at(self, named("nobody@127.0.0.1"), named("m"), named("body"), args("[1]"), 0, -1, &pid, NULL), MOTE_ENOPROC);
    CHECK_OK(mote_spawn_at(self, nodes[1].name, named("m"), named("none"), args("[1, 2]"), MOTE_SPAWN_MONITOR, -1, NULL, &ref));
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, _, {undef, [{m, none, [1, 2], []}]}}", ref));
    CHECK_OK(mote_send(self, "main", "waited"));
}

static void wait_for_it(void) {
    begin();
    CHECK_OK(mote_spawn(nodes[0].self, waiter, MOTE_TERM_NIL, NULL));
    CHECK(mote_match(got(0), "waited"));
    end();
}

/* A linked child ends with who has asked for it, at whatever moment that ends; others go on. */
static void asker(mote_self *self, mote_term arg) {
    mote_term m;
    mote_ref ref;
    bool waits_for_answer = mote_match(arg, "{waits, _}");
    for (unsigned options = 0; options < 2; options++)
        CHECK_OK(mote_spawn_request(self, nodes[1].name, named("m"), named("body"), args(options ? "[linked]" : "[plain]"), options | MOTE_SPAWN_MONITOR, &ref));
    if (!waits_for_answer) mote_exit(self, mote_atom_term(named("at_once")));
    for (int i = 0; i < 2; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{spawn_reply, _, ok, _}"));
    (void)m;
    mote_exit(self, mote_atom_term(named("boom")));
}

static void asker_ends(void) {
    mote_term m, pid;
    mote_ref ref;
    begin();
    CHECK_OK(mote_flag_set(nodes[1].self, MOTE_TRAP_EXIT, 1, NULL));
    for (int waits_for_answer = 0; waits_for_answer < 2; waits_for_answer++) {
        mote_pid plain = {0}, linked = {0};
        CHECK_OK(mote_spawn(nodes[0].self, asker, waits_for_answer ? args("{waits, 1}") : MOTE_TERM_NIL, NULL));
        for (int i = 0; i < 2; i++) {
            m = got(1);
            if (mote_match(m, "{began, ?, linked}", &pid)) linked.word = pid.word;
            else if (mote_match(m, "{began, ?, plain}", &pid)) plain.word = pid.word;
            else if (mote_match(m, "{'DOWN', _, process, _, _}")) i--;
        }
        CHECK_OK(mote_monitor(nodes[1].self, linked, &ref));
        m = got(1);
        CHECK(waits_for_answer ? mote_match(m, "{'DOWN', ^, process, _, boom}", ref) || mote_match(m, "{'DOWN', ^, process, _, noproc}", ref)
                               : mote_match(m, "{'DOWN', ^, process, _, noproc}", ref));
        bool alive;
        CHECK_OK(mote_is_alive(nodes[1].self, plain, &alive));
        CHECK(alive);
        CHECK_OK(mote_send(nodes[1].self, plain, "{exit, normal}"));
    }
    WAIT_UNTIL(nodes[1].self, running() == 0);
    end();
}

static void gives_up(void) {
    mote_term pid;
    mote_ref ref, other;
    bool active;
    begin();
    ref = request("body", args("[1]"), MOTE_SPAWN_LINK | MOTE_SPAWN_MONITOR);
    CHECK_OK(mote_demonitor(nodes[0].self, ref, false, &active));
    CHECK(active);
    CHECK(mote_match(got(1), "{began, ?, 1}", &pid));
    CHECK_OK((mote_monitor)(nodes[1].self, pid, &other));
    ref = request("body", args("[{exit, normal}]"), MOTE_SPAWN_LINK);
    CHECK(mote_match(got(0), "{spawn_reply, ^, ok, _}", ref)); /* the first's answer came before it, and is no message */
    CHECK(mote_match(got(1), "{'DOWN', ^, process, _, noproc}", other));
    quiet(0);
    end();
}

/* Connections end, and are not there. */
static void is_lost(void) {
    mote_ref ref;
    mote_term pid;
    begin();
    CHECK_OK(mote_flag_set(nodes[0].self, MOTE_TRAP_EXIT, 1, NULL));
    for (unsigned options = 0; options < 8; options++) {
        CHECK_OK(mote_spawn_request(nodes[0].self, named("nobody@127.0.0.1"), named("m"), named("body"), args("[1]"), options, &ref));
        CHECK(mote_match(got(0), "{spawn_reply, ^, error, noconnection}", ref));
    }
    CHECK_OK(mote_spawn_request(nodes[0].self, named("no node"), named("m"), named("body"), args("[1]"), 0, &ref));
    CHECK(mote_match(got(0), "{spawn_reply, ^, error, noconnection}", ref));
    ref = request("body", args("[1]"), MOTE_SPAWN_LINK | MOTE_SPAWN_MONITOR);
    CHECK(mote_match(got(0), "{spawn_reply, ^, ok, _}", ref));
    CHECK(mote_match(got(1), "{began, ?, 1}", &pid));
    CHECK_OK((mote_monitor)(nodes[1].self, pid, &ref));
    CHECK_OK(mote_node_disconnect(nodes[0].self, nodes[1].name));
    for (int i = 0; i < 2; i++) {
        mote_term m = got(0);
        CHECK(mote_match(m, "{'EXIT', _, noconnection}") || mote_match(m, "{'DOWN', _, process, _, noconnection}"));
    }
    CHECK(mote_match(got(1), "{'DOWN', ^, process, _, noconnection}", ref)); /* it was linked */
    for (int i = 0; i < scaled(100); i++) { /* each request is answered once, whenever the connection ends */
        ref = request("body", args("[quick]"), 0);
        if (i % 2) (void)!mote_node_disconnect(nodes[i % 3 == 0].self, nodes[i % 3 != 0].name);
        CHECK(mote_match(got(0), "{spawn_reply, ^, _, _}", ref));
    }
    quiet(0);
    end();
}

static void refuses(void) {
    mote_term r, pid;
    mote_ref ref;
    for (unsigned rights = 0; rights < 4; rights++) {
        bool spawn = rights & 1, rpc = rights & 2;
        uint64_t since = now_ns();
        begin_with((spawn ? MOTE_RIGHT_SPAWN : 0) | (rpc ? MOTE_RIGHT_RPC : 0), 0, 0);
        for (int i = 0; i < 100; i++) {
            ref = request("body", args("[quick]"), MOTE_SPAWN_MONITOR);
            mote_term m = got(0);
            CHECK(spawn ? mote_match(m, "{spawn_reply, ^, ok, ?}", ref, &pid) : mote_match(m, "{spawn_reply, ^, error, denied}", ref));
            if (spawn) CHECK(mote_match(got(0), "{'DOWN', ^, process, _, normal}", ref));
            mote_err err = call(1, "sum", "[1, 2]", &r);
            CHECK(rpc ? err == MOTE_OK && mote_match(r, "3") : err == MOTE_ECALL && mote_match(r, "{refused, denied}"));
        }
        unsigned lines = atomic_load(&nodes[1].refused);
        CHECK(rights == 3 ? lines == 0 : lines >= 1 && (int64_t)lines <= 3 + ms_since(since) / 1000); /* a second has one */
        end();
    }
}

static void calls(void) {
    mote_term r, m, big;
    mote_ref ref;
    begin();
    for (unsigned node = 0; node < 2; node++) { /* here, and there */
        CHECK_OK(call(node, "sum", "[]", &r));
        CHECK(mote_match(r, "0"));
        CHECK_OK(call(node, "sum", "[1, 2, 3, -10]", &r));
        CHECK(mote_match(r, "-4"));
        CHECK_OK(call(node, "same", "[#{a => [\"text\", <<1, 2>>, 1.5, 'Ä']}]", &r));
        CHECK(mote_term_same(r, args("{same, #{a => [\"text\", <<1, 2>>, 1.5, 'Ä']}, [#{a => [\"text\", <<1, 2>>, 1.5, 'Ä']}]}")));
        CHECK_OK(call(node, "body", "[quick]", &r));
        CHECK(mote_match(r, "ok"));
        CHECK_INT(call(node, "body", "[{exit, why}]", &r), MOTE_ECALL);
        CHECK(mote_match(r, "{exit, why}"));
        CHECK_INT(call(node, "leaves", "[{error, x}]", &r), MOTE_ECALL);
        CHECK(mote_match(r, "{exit, {error, x}}"));
        CHECK_INT(call(node, "leaves", "[normal]", &r), MOTE_ECALL);
        CHECK(mote_match(r, "{exit, normal}"));
        CHECK_INT(call(node, "sum", "[a, 1]", &r), MOTE_ECALL);
        CHECK(mote_match(r, "{error, badarg, [{m, sum, 2, [{file, _}, {line, _}]}]}"));
        CHECK_INT(call(node, "nothing", "[]", &r), MOTE_ECALL);
        CHECK(mote_match(r, "{error, system_limit, _}"));
        CHECK_INT(call(node, "same", "[1, 2]", &r), MOTE_ECALL);
        CHECK(mote_match(r, "{error, undef, [{m, same, [1, 2], []}]}"));
        CHECK_INT(mote_rpc_call(nodes[0].self, nodes[node].name, named("os"), named("cmd"), args("[\"true\"]"), PATIENCE_MS, &r), MOTE_ECALL);
        CHECK(mote_match(r, "{error, undef, [{os, cmd, _, []}]}"));
        CHECK_OK(mote_rpc_call(nodes[0].self, nodes[node].name, named("erlang"), named("node"), MOTE_TERM_NIL, PATIENCE_MS, &r));
        CHECK_INT(r.word, nodes[node].name.word);
        static uint8_t bytes[2000000];
        big = mote_cons_make(arena, mote_binary_make(arena, bytes, sizeof bytes), MOTE_TERM_NIL);
        CHECK_OK(mote_rpc_call(nodes[0].self, nodes[node].name, named("m"), named("same"), big, PATIENCE_MS, &r));
        CHECK(mote_match(r, "{same, _, _}"));
        CHECK_OK(mote_rpc_start(nodes[0].self, nodes[node].name, named("m"), named("sum"), args("[4]"), &ref)); /* as a handler would */
        m = got(0);
        CHECK_INT(mote_rpc_result(nodes[0].self, args("{'DOWN', a, process, b, c}"), ref, &r), MOTE_NOMATCH);
        CHECK_OK(mote_rpc_result(nodes[0].self, m, ref, &r));
        CHECK(mote_match(r, "4"));
        CHECK_OK(mote_rpc_cast(nodes[0].self, nodes[node].name, named("m"), named("waits"), MOTE_TERM_NIL));
        CHECK(mote_match(got(node), "{waits, ?}", &m));
        CHECK_OK(mote_send(nodes[node].self, m, "go"));
    }
    CHECK_INT(mote_rpc_call(nodes[0].self, named("nobody@127.0.0.1"), named("m"), named("sum"), MOTE_TERM_NIL, -1, &r), MOTE_ENOPROC);
    CHECK(mote_match(r, "noconnection"));
    quiet(0);
    WAIT_UNTIL(nodes[1].self, running() == 0);
    end();
}

/* Calls that are given up, ended from outside, lost. */
static void calls_end(void) {
    mote_term r, m, pid;
    mote_ref ref;
    begin();
    CHECK_INT(mote_rpc_call(nodes[0].self, nodes[1].name, named("m"), named("waits"), MOTE_TERM_NIL, 20, &r), MOTE_TIMEOUT);
    CHECK(mote_match(got(1), "{waits, ?}", &pid));
    CHECK_OK(mote_send(nodes[1].self, pid, "go"));
    WAIT_UNTIL(nodes[1].self, running() == 0);
    CHECK_OK(call(1, "sum", "[7]", &r));
    quiet(0); /* its late result is nobody's */
    CHECK_OK(mote_rpc_start(nodes[0].self, nodes[1].name, named("m"), named("waits"), MOTE_TERM_NIL, &ref));
    CHECK(mote_match(got(1), "{waits, ?}", &pid));
    CHECK_OK((mote_exit_send)(nodes[1].self, pid, mote_atom_term(named("enough"))));
    m = got(0);
    CHECK_INT(mote_rpc_result(nodes[0].self, m, ref, &r), MOTE_ECALL);
    CHECK(mote_match(r, "{signal, enough}"));
    CHECK_OK(mote_rpc_start(nodes[0].self, nodes[1].name, named("m"), named("waits"), MOTE_TERM_NIL, &ref));
    CHECK(mote_match(got(1), "{waits, ?}", &pid));
    CHECK_OK(mote_node_disconnect(nodes[0].self, nodes[1].name));
    m = got(0);
    CHECK_INT(mote_rpc_result(nodes[0].self, m, ref, &r), MOTE_ENOPROC);
    CHECK_INT(running(), 1); /* it goes on, and counts */
    CHECK_OK(mote_send(nodes[1].self, pid, "go"));
    WAIT_UNTIL(nodes[1].self, running() == 0);
    end();
}

static void limits(void) {
    mote_term r, pid, m;
    mote_ref ref;
    begin_with(BOTH, 3, 50);
    mote_term pids[3];
    for (int i = 0; i < 3; i++) {
        ref = request("body", args("[1]"), 0);
        CHECK(mote_match(got(0), "{spawn_reply, ^, ok, ?}", ref, &pid));
        pids[i] = mote_term_copy(arena, pid);
    }
    ref = request("body", args("[1]"), 0);
    CHECK(mote_match(got(0), "{spawn_reply, ^, error, system_limit}", ref));
    CHECK_INT(call(1, "sum", "[1]", &r), MOTE_ECALL);
    CHECK(mote_match(r, "{refused, system_limit}"));
    CHECK_OK(mote_send(nodes[0].self, pids[0], "{exit, normal}"));
    WAIT_UNTIL(nodes[1].self, running() == 2);
    CHECK_OK(call(1, "sum", "[1]", &r));
    CHECK_INT(call(1, "waits", "[]", &r), MOTE_ECALL); /* 50 ms */
    CHECK(mote_match(r, "{signal, timeout}"));
    CHECK(atomic_load(&nodes[1].refused) >= 1);
    (void)m;
    end();
    begin(); /* 1000 at once, 200 a second */
    unsigned fine = 0, n = 3000;
    uint64_t since = now_ns();
    for (unsigned i = 0; i < n; i++) (void)request("body", args("[quick]"), 0);
    for (unsigned i = 0; i < n; i++) {
        m = got(0);
        if (mote_match(m, "{spawn_reply, _, ok, _}")) fine++;
        else CHECK(mote_match(m, "{spawn_reply, _, error, system_limit}"));
    }
    CHECK(fine >= 3 && fine <= 1000 + (unsigned)(ms_since(since) / 5) + 1);
    end();
}

/* What a peer asks for in a way that cannot be. */
/* A call that rex cannot begin is answered, to who has asked, and by his tag. */
static void refused_by_rex(void) {
    char many[1024] = "[1";
    mote_term rex, m;
    mote_ref tag;
    begin();
    tag = mote_ref_make(nodes[0].self);
    for (int i = 1; i < 256; i++) strcat(many, ", 1");
    strcat(many, "]");
    CHECK_OK(mote_build(arena, &rex, "{rex, ?}", nodes[1].name));
    CHECK_OK(mote_send(nodes[0].self, rex, "{?, {call, m, sum, ?, user}}", mote_self_pid(nodes[0].self), args(many)));
    m = got(0);
    CHECK(mote_match(m, "{rex, {badrpc, {'EXIT', badarg}}}"));
    CHECK_OK(mote_send(nodes[0].self, rex, "{'$gen_call', {?, ?}, {call, m, sum, ?, user}}", mote_self_pid(nodes[0].self), tag, args(many)));
    m = got(0);
    CHECK(mote_match(m, "{^, {badrpc, {'EXIT', badarg}}}", tag));
    end();
}

static void oddities(void) {
    static const char *const odd[][2] = {{"execute_call", "[r, m, sum, 1]"}, {"execute_call", "[r, m, 2, []]"}, {"execute_call", "[r, \"m\", sum, []]"}, {"execute_call", "[r, m, sum, [1|2]]"},
                                         {"execute_cast", "[m, sum, x]"}, {"execute_cast", "[1, sum, []]"}};
    mote_ref ref;
    begin();
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        CHECK_OK(mote_spawn_request(nodes[0].self, nodes[1].name, named("erpc"), named(odd[i][0]), args(odd[i][1]), MOTE_SPAWN_MONITOR, &ref));
        CHECK(mote_match(got(0), "{spawn_reply, ^, error, badarg}", ref));
    }
    CHECK_OK(mote_spawn_request(nodes[0].self, nodes[1].name, named("erpc"), named("execute_call"), args("[r]"), MOTE_SPAWN_MONITOR, &ref)); /* of another arity: nothing that is exported */
    CHECK(mote_match(got(0), "{spawn_reply, ^, ok, _}", ref));
    CHECK(mote_match(got(0), "{'DOWN', ^, process, _, {undef, [{erpc, execute_call, [r], []}]}}", ref));
    WAIT_UNTIL(nodes[1].self, running() == 0);
    end();
}

/* What cannot be is refused here, before it is sent. */
static void errors(void) {
    mote_self *self;
    mote_term r, long_list = MOTE_TERM_NIL;
    mote_ref ref;
    mote_pid pid;
    mote_function f = {0};
    begin();
    self = nodes[0].self;
    mote_atom b = nodes[1].name, m = named("m");
    for (int i = 0; i < 256; i++) long_list = mote_cons_make(arena, mote_int_make(arena, i), long_list);
    CHECK_INT(mote_spawn_request(NULL, b, m, m, MOTE_TERM_NIL, 0, &ref), MOTE_ESELF);
    CHECK_INT(mote_spawn_request(self, b, m, m, MOTE_TERM_NIL, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_spawn_request(self, b, m, m, MOTE_TERM_NIL, 8, &ref), MOTE_EARG);
    CHECK_INT(mote_spawn_request(self, (mote_atom){0}, m, m, MOTE_TERM_NIL, 0, &ref), MOTE_EARG);
    CHECK_INT(mote_spawn_request(self, b, (mote_atom){6}, m, MOTE_TERM_NIL, 0, &ref), MOTE_EARG);
    CHECK_INT(mote_spawn_request(self, b, m, m, args("[a|b]"), 0, &ref), MOTE_ETERM);
    CHECK_INT(mote_spawn_request(self, b, m, m, long_list, 0, &ref), MOTE_ETERM);
    CHECK_INT(mote_spawn_at(NULL, b, m, m, MOTE_TERM_NIL, 0, 0, &pid, NULL), MOTE_ESELF);
    CHECK_INT(mote_rpc_call(NULL, b, m, m, MOTE_TERM_NIL, 0, &r), MOTE_ESELF);
    CHECK_INT(mote_rpc_call(self, b, m, m, MOTE_TERM_NIL, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_rpc_start(self, b, m, m, MOTE_TERM_NIL, NULL), MOTE_EARG);
    CHECK_INT(mote_rpc_cast(self, b, m, m, args("[a|b]")), MOTE_ETERM);
    CHECK_INT(mote_rpc_result(NULL, MOTE_TERM_NIL, ref, &r), MOTE_ESELF);
    CHECK_INT(mote_export_function(NULL, m, m, 0, &f), MOTE_ESELF);
    CHECK_INT(mote_export_function(self, m, m, 0, &f), MOTE_EARG);
    f.call = sum;
    CHECK_INT(mote_export_function(self, m, m, 257, &f), MOTE_EARG);
    CHECK_OK(mote_export_function(self, m, m, 0, &f));
    CHECK_OK(mote_export_function(self, m, m, 0, &f)); /* the same again */
    f.call = same;
    CHECK_INT(mote_export_function(self, m, m, 0, &f), MOTE_EBUSY);
    CHECK_OK(mote_export_function(self, m, m, 1, &f));
    mote_runtime *rt;
    CHECK_OK(mote_runtime_start(NULL, &rt));
    CHECK_OK(mote_attach(rt, &self));
    CHECK_INT(mote_spawn_request(self, b, m, m, MOTE_TERM_NIL, 0, &ref), MOTE_ENOPROC);
    CHECK_OK(mote_detach(self));
    (void)mote_runtime_stop(rt, 0);
    end();
}

/* Asks for what operators ask; of this node and of another. */
static mote_err observe(unsigned node, const char *function, mote_term list, mote_term *r) {
    return mote_rpc_call(nodes[0].self, nodes[node].name, named("erlang"), named(function), list, PATIENCE_MS, r);
}

static bool has(mote_term list, mote_term what) {
    mote_term head;
    while (mote_list_get(list, &head, &list) == MOTE_OK)
        if (mote_term_same(head, what)) return true;
    return false;
}

static void observed(void) {
    begin_with(MOTE_RIGHT_RPC, 0, 0);
    for (unsigned node = 0; node < 2; node++) {
        mote_term r, pid;
        mote_pid started;
        CHECK_OK(mote_spawn(nodes[node].self, never_ends, MOTE_TERM_NIL, &started));
        CHECK_OK(mote_register(nodes[node].self, "observed", started));
        wait_idle(nodes[node].self, started);
        CHECK_OK(observe(node, "whereis", args("[observed]"), &r));
        CHECK(mote_term_type(r) == MOTE_PID);
        pid = mote_term_copy(arena, r);
        CHECK_OK(observe(node, "processes", MOTE_TERM_NIL, &r));
        CHECK(has(r, pid));
        CHECK_OK(observe(node, "registered", MOTE_TERM_NIL, &r));
        CHECK(has(r, mote_atom_term(named("observed"))));
        CHECK_OK(observe(node, "nodes", MOTE_TERM_NIL, &r));
        CHECK(mote_match(r, "[]")); /* they are hidden */
        CHECK_OK(observe(node, "process_info", mote_cons_make(mote_scratch(nodes[0].self), pid, MOTE_TERM_NIL), &r));
        CHECK(mote_match(r, "[{registered_name, observed}, {status, waiting}, {message_queue_len, 0}, {trap_exit, _}, {group_leader, _}, {memory, _}, {reductions, _}, {label, _}]"));
        const mote_term one[] = {pid, mote_atom_term(named("message_queue_len"))}, wrong[] = {pid, mote_atom_term(named("nothing"))};
        CHECK_OK(observe(node, "process_info", mote_list_make(mote_scratch(nodes[0].self), 2, one, MOTE_TERM_NIL), &r));
        CHECK(mote_match(r, "{message_queue_len, 0}"));
        const mote_term two[] = {pid, args("[status, trap_exit]")};
        CHECK_OK(observe(node, "process_info", mote_list_make(mote_scratch(nodes[0].self), 2, two, MOTE_TERM_NIL), &r));
        CHECK(mote_match(r, "[{status, waiting}, {trap_exit, _}]"));
        CHECK_INT(observe(node, "process_info", mote_list_make(mote_scratch(nodes[0].self), 2, wrong, MOTE_TERM_NIL), &r), MOTE_ECALL);
        CHECK(mote_match(r, "{error, badarg, _}"));
        CHECK_INT(observe(node, "process_info", args("[no_pid]"), &r), MOTE_ECALL);
        CHECK_INT(observe(node, "whereis", args("[1]"), &r), MOTE_ECALL);
        CHECK_OK(observe(node, "whereis", args("[nobody_has_it]"), &r));
        CHECK(mote_match(r, "undefined"));
    }
    end();
    begin_with(0, 0, 0); /* who may call nothing may not look either */
    mote_term r;
    CHECK_INT(observe(1, "processes", MOTE_TERM_NIL, &r), MOTE_ECALL);
    CHECK(mote_match(r, "{refused, denied}"));
    end();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(spawns), TEST(relates), TEST(is_answered_first), TEST(wait_for_it), TEST(asker_ends), TEST(gives_up), TEST(is_lost), TEST(refuses), TEST(calls),
                                                        TEST(calls_end), TEST(limits), TEST(refused_by_rex), TEST(oddities), TEST(errors), TEST(observed), {0}});
}
