/* SPDX-License-Identifier: Apache-2.0
 * A mote node for tests/dist_spawn.py: exports functions, and does from its side what Erlang's node is there for. spawn_node EPMD_PORT COOKIE NAME RIGHTS: says "ready" once it can be reached; "end" on its
 * standard input ends it. The process `inbox` runs the tests of our side when Erlang sends {run, From, Node}. */
#include <mote/node.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static mote_atom a(const char *name) { return mote_atom_make(name); }

/* -------------------------------------------------------------------------------------------- functions */

static mote_term sum(mote_self *self, size_t count, const mote_term *args, void *context) {
    int64_t total = 0, one;
    (void)context;
    for (size_t i = 0; i < count; i++) {
        if (mote_int_get(args[i], &one)) mote_error(self, mote_atom_term(a("badarg")));
        total += one;
    }
    return mote_int_make(mote_scratch(self), total);
}

static mote_term same(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)self, (void)count, (void)context;
    return args[0];
}

static mote_term leaves(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)count, (void)context;
    mote_exit(self, args[0]);
}

static mote_term waits(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term m;
    (void)count, (void)context;
    if (mote_send(self, args[0], "{waits, ?}", mote_self_pid(self))) return MOTE_TERM_NONE;
    return mote_receive(self, -1, &m) ? MOTE_TERM_NONE : m;
}

static void body(mote_self *self, mote_term arg) {
    mote_term who, what, m;
    if (mote_match(arg, "{tell, ?, ?}", &who, &what)) mote_must(self, mote_send(self, who, "{told, ?, ?}", mote_self_pid(self), what));
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{exit, ?}", &what)) mote_exit(self, what);
        if (mote_match(m, "{?, ?}", &who, &what)) mote_must(self, (mote_send_term)(self, who, what));
    }
}

/* ---------------------------------------------------------------------------------------------- our side */

static mote_term list(mote_self *self, const char *text) {
    mote_term out = MOTE_TERM_NONE;
    mote_must(self, mote_term_parse(mote_scratch(self), text, strlen(text), &out, NULL));
    return out;
}

static mote_err call(mote_self *self, mote_atom node, const char *module, const char *function, const char *args, mote_term *result) {
    return mote_rpc_call(self, node, a(module), a(function), list(self, args), PATIENCE_MS, result);
}

/* Calls and processes in Erlang's node; what it returns is told to it: the line of the first thing that was wrong, or 0. */
#define WANT(condition) \
    if (!(condition)) return __LINE__
static int run(mote_self *self, mote_atom node) {
    mote_term r, m;
    mote_ref ref;
    mote_pid pid;
    WANT(call(self, node, "lists", "reverse", "[[1, 2, c]]", &r) == MOTE_OK && mote_match(r, "[c, 2, 1]"));
    WANT(call(self, node, "erlang", "node", "[]", &r) == MOTE_OK && r.word == node.word);
    WANT(call(self, node, "erlang", "exit", "[why]", &r) == MOTE_ECALL && mote_match(r, "{exit, why}"));
    WANT(call(self, node, "erlang", "throw", "[ball]", &r) == MOTE_ECALL && mote_match(r, "{throw, ball}"));
    WANT(call(self, node, "erlang", "error", "[wrong]", &r) == MOTE_ECALL && mote_match(r, "{error, wrong, _}"));
    WANT(call(self, node, "no", "such", "[1]", &r) == MOTE_ECALL && mote_match(r, "{error, undef, [{no, such, [1], _}|_]}"));
    WANT(call(self, node, "dist_spawn", "killed", "[]", &r) == MOTE_ECALL && mote_match(r, "{signal, killed}"));
    mote_term printed;
    WANT(mote_spawn_at(self, node, a("dist_spawn"), a("prints"), mote_cons_make(mote_scratch(self), mote_pid_term(mote_self_pid(self)), MOTE_TERM_NIL), 0, PATIENCE_MS, NULL, NULL) == MOTE_OK);
    WANT(mote_receive_match(self, PATIENCE_MS, "{printed, true, ?}", &printed) == MOTE_OK && mote_match(printed, "{error, enotsup}"));
    WANT(mote_rpc_call(self, node, a("timer"), a("sleep"), list(self, "[infinity]"), 50, &r) == MOTE_TIMEOUT);
    mote_term me = mote_pid_term(mote_self_pid(self));
    mote_term echo = mote_cons_make(mote_scratch(self), me, MOTE_TERM_NIL);
    WANT(mote_rpc_cast(self, node, a("dist_spawn"), a("hello"), echo) == MOTE_OK);
    WANT(mote_receive_match(self, PATIENCE_MS, "{hello, _}") == MOTE_OK);
    (void)mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL);
    for (unsigned options = 0; options < 4; options++) {
        echo = mote_cons_make(mote_scratch(self), me, MOTE_TERM_NIL);
        WANT(mote_spawn_at(self, node, a("dist_spawn"), a("hello"), echo, options, PATIENCE_MS, &pid, &ref) == MOTE_OK);
        WANT(mote_receive_match(self, PATIENCE_MS, "{hello, _}") == MOTE_OK);
        for (unsigned left = options; left;) {
            WANT(mote_receive(self, PATIENCE_MS, &m) == MOTE_OK);
            if (mote_match(m, "{'EXIT', _, bye}")) left &= ~1u;
            else if (mote_match(m, "{'DOWN', ^, process, _, bye}", ref)) left &= ~2u;
            else return __LINE__;
        }
    }
    WANT(mote_spawn_at(self, node, a("no"), a("such"), MOTE_TERM_NIL, MOTE_SPAWN_MONITOR, PATIENCE_MS, NULL, &ref) == MOTE_OK);
    WANT(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, {undef, _}}", ref) == MOTE_OK);
    echo = mote_cons_make(mote_scratch(self), me, MOTE_TERM_NIL);
    WANT(mote_spawn_request(self, node, a("dist_spawn"), a("waits"), echo, MOTE_SPAWN_LINK, &ref) == MOTE_OK);
    WANT(mote_demonitor(self, ref, false, NULL) == MOTE_OK); /* given up: the linked one ends of it */
    WANT(mote_receive_match(self, PATIENCE_MS, "{waits_ended, noproc}") == MOTE_OK);
    WANT(mote_receive(self, 0, &m) == MOTE_TIMEOUT);
    return 0;
}

static void runner(mote_self *self, mote_term arg) {
    mote_term from;
    mote_atom node;
    if (!mote_match(arg, "{?, ?}", &from, &node)) return;
    int line = run(self, node);
    mote_must(self, mote_send(self, from, "{ran, ?}", line));
}

static void inbox(mote_self *self, mote_term arg) {
    mote_term m, from, node, pair;
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        if (!mote_match(m, "{run, ?, ?}", &from, &node)) continue;
        mote_must(self, mote_build(mote_scratch(self), &pair, "{?, ?}", from, node));
        mote_must(self, mote_spawn(self, runner, pair, NULL));
    }
}

/* ------------------------------------------------------------------------------------------------ the node */

struct setting {
    mote_node_options node;
};

static mote_err export(mote_self *self, const char *name, unsigned arity, mote_term (*call_it)(mote_self *, size_t, const mote_term *, void *)) {
    const mote_function f = {.call = call_it};
    return mote_export_function(self, a("m"), a(name), arity, &f);
}

static void read_line(void *context) {
    char line[100];
    (void)context;
    if (!fgets(line, sizeof line, stdin)) return;
}

static int start(mote_self *self, void *context) {
    const struct setting *setting = context;
    char why[300];
    mote_pid pid;
    mote_err err = mote_node_start(self, &setting->node, why, sizeof why);
    if (err) {
        fprintf(stderr, "spawn_node: %s\n", why);
        return 1;
    }
    mote_must(self, mote_export(self, a("m"), a("body"), body));
    mote_must(self, export(self, "sum", MOTE_ARITY_ANY, sum));
    mote_must(self, export(self, "same", 1, same));
    mote_must(self, export(self, "leaves", 1, leaves));
    mote_must(self, export(self, "waits", 1, waits));
    mote_must(self, mote_spawn(self, inbox, MOTE_TERM_NIL, &pid));
    mote_must(self, mote_register(self, "inbox", pid));
    printf("ready\n");
    fflush(stdout);
    mote_must(self, mote_blocking(self, read_line, NULL));
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    struct setting setting = {.node = {.name = argv[3], .cookie = argv[2], .epmd_port = (uint16_t)atoi(argv[1]), .rights = (unsigned)atoi(argv[4]), .call_ms = 20000}};
    return mote_run(NULL, start, &setting);
}
