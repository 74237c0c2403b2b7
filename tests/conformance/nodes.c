/* SPDX-License-Identifier: Apache-2.0
 * Group L: two nodes, of which the second is this program again in an OS process of its own. What conf.erl has done there with functions of its own (rcall, spawn) is
 * done here with those that the other node exports. */
#include <mote/node.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"

#define OURS "conf_a@127.0.0.1"
#define NOWHERE "nosuch@localhost"
#define COOKIE "of the scenarios with two nodes"
#define TICK_MS 8000

extern char **environ;

static mote_atom a(const char *name) { return mote_atom_make(name); }
static mote_term me(mote_self *self) { return mote_pid_term(mote_self_pid(self)); }

/* ------------------------------------------------------------------------------------------- the other node */

/* conf.erl's node_loop/0. */
static void node_loop(mote_self *self, mote_term arg) {
    mote_term m, x, got = mote_atom_term(a("nothing"));
    mote_arena *kept = mote_arena_new(0);
    mote_pid pid;
    mote_ref ref;
    (void)arg;
    while (mote_receive(self, -1, &m) == MOTE_OK) {
        if (mote_match(m, "{?, ping}", &x)) mote_must(self, mote_send(self, x, "{?, pong}", me(self)));
        else if (mote_match(m, "{?, got}", &x)) mote_must(self, mote_send(self, x, "{?, ?}", me(self), got));
        else if (mote_match(m, "{link, ?}", &pid)) trap(self), mote_must(self, mote_link(self, pid)), tell(self, pid, "linked");
        else if (mote_match(m, "{monitor, ?}", &pid)) mote_must(self, mote_monitor(self, pid, &ref)), tell(self, pid, "monitored");
        else if (mote_match(m, "{'EXIT', _, ?}", &x)) got = mote_term_copy(kept, TERM(self, "{'EXIT', ?}", x));
        else if (mote_match(m, "{'DOWN', _, _, _, ?}", &x)) got = mote_term_copy(kept, TERM(self, "{'DOWN', ?}", x));
        else if (mote_match(m, "{die, ?}", &x)) mote_exit(self, x);
    }
    mote_arena_free(kept);
}

/* conf.erl's spam/3 with one receiver; told {To, N}. */
static void spam(mote_self *self, mote_term arg) {
    mote_term to;
    int64_t n;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &n));
    for (int64_t i = 1; i <= n; i++) mote_must(self, mote_send(self, to, "?", i));
}

static void a02(mote_self *self, mote_term arg) {
    mote_term m;
    mote_err err;
    (void)arg;
    while ((err = mote_receive_match(self, 0, "?", &m)) == MOTE_TIMEOUT || !err) {
        if (!err && is(m, "mustnot")) mote_exit(self, mote_atom_term(a("bad")));
        if (err) mote_must(self, mote_yield(self));
    }
}

/* Told {Pid, unlink} or {Pid, stay}: links to it, and ends with boom. */
static void links_and_ends(mote_self *self, mote_term arg) {
    mote_pid pid;
    mote_term how;
    mote_assert(self, mote_match(arg, "{?, ?}", &pid, &how));
    mote_must(self, mote_link(self, pid));
    if (is(how, "unlink")) mote_must(self, mote_unlink(self, pid));
    mote_exit(self, mote_atom_term(a("boom")));
}

enum { LARGE = 5000000 };
static uint32_t sum_of(const uint8_t *bytes, size_t size) {
    uint32_t sum = 1;
    for (size_t i = 0; i < size; i++) sum = sum * 31 + bytes[i];
    return sum;
}
/* Told {To, N}: large binaries with their sums, and small messages between them. */
static void big(mote_self *self, mote_term arg) {
    mote_term to;
    int n;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &n));
    for (int x = 1; x <= n; x++) {
        mote_arena *arena = mote_arena_new(0);
        uint8_t *bytes = malloc(LARGE);
        mote_assert(self, arena && bytes);
        for (uint32_t i = 0, state = (uint32_t)x; i < LARGE; i++) bytes[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
        mote_must(self, mote_send(self, to, "{?, ?, ?}", x, mote_binary_make(arena, bytes, LARGE), (int64_t)sum_of(bytes, LARGE)));
        mote_must(self, mote_send(self, to, "{?, small}", x));
        mote_arena_free(arena);
        free(bytes);
    }
}

/* conf.erl's two/1. */
static void two(mote_self *self, mote_term to) {
    mote_pid plain = start_here(self, forever, MOTE_TERM_NIL), linked;
    mote_must(self, mote_spawn_link(self, forever, MOTE_TERM_NIL, &linked));
    mote_must(self, mote_send(self, to, "{kids, ?, ?}", plain, linked));
    mote_must(self, mote_receive_match(self, -1, "die"));
    mote_exit(self, mote_atom_term(a("boom")));
}

static mote_term call_echo(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)count, (void)args, (void)context;
    return mote_term_copy(mote_scratch(self), mote_pid_term(start_here(self, node_loop, MOTE_TERM_NIL)));
}
/* conf.erl's node_proxy/1. */
static mote_term call_proxy(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term got;
    (void)count, (void)context;
    mote_must(self, mote_send(self, args[0], "{?, got}", me(self)));
    mote_must(self, mote_receive_match(self, LIMIT_MS, "{^, ?}", args[0], &got));
    return got;
}
static mote_term call_alive(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_pid pid;
    (void)count, (void)context;
    mote_assert(self, mote_match(args[0], "?", &pid));
    return mote_atom_term(a(is_alive(self, pid) ? "true" : "false"));
}
static mote_term call_name(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_pid pid;
    mote_atom name;
    (void)count, (void)context;
    mote_assert(self, mote_match(args[0], "?", &name) && mote_match(args[1], "?", &pid));
    mote_must(self, mote_register(self, name, pid));
    return MOTE_TERM_NIL;
}
/* {Error, whether more than 500 were started, whether one can be started again}. */
static mote_term call_limit(mote_self *self, size_t count, const mote_term *args, void *context) {
    static mote_pid pids[2000];
    size_t n = 0;
    mote_err err = MOTE_OK;
    mote_pid again;
    (void)count, (void)args, (void)context;
    while (n < sizeof pids / sizeof *pids && !(err = mote_spawn(self, forever, MOTE_TERM_NIL, &pids[n]))) n++;
    for (size_t i = 0; i < n; i++) signal_exit(self, pids[i], "kill");
    for (size_t i = 0; i < n; i++) mote_assert(self, !is_alive(self, pids[i]));
    bool freed = mote_spawn(self, forever, MOTE_TERM_NIL, &again) == MOTE_OK;
    return TERM(self, "{?, ?, ?}", a(err == MOTE_ELIMIT ? "system_limit" : mote_err_name(err)), (bool)(n > 500), freed);
}
/* Calls os:cmd("echo ran") on the node that is given; what it says. */
static mote_term call_back(mote_self *self, size_t count, const mote_term *args, void *context) {
    mote_term result = MOTE_TERM_NONE, why;
    mote_atom node;
    (void)count, (void)context;
    mote_assert(self, mote_match(args[0], "?", &node));
    mote_term list = mote_cons_make(mote_scratch(self), mote_text_make(mote_scratch(self), "echo ran", 8), MOTE_TERM_NIL);
    mote_err err = mote_rpc_call(self, node, a("os"), a("cmd"), list, LIMIT_MS, &result);
    if (err == MOTE_ECALL && mote_match(result, "{refused, ?}", &why)) return why;
    return err ? mote_atom_term(a(mote_err_name(err))) : result;
}

static const struct {
    const char *name;
    mote_body body;
} bodies[] = {{"spam", spam}, {"a02", a02}, {"exits_with", exits_with}, {"forever", forever}, {"links_and_ends", links_and_ends}, {"big", big}, {"two", two}};
static const struct {
    const char *name;
    unsigned arity;
    mote_term (*call)(mote_self *self, size_t count, const mote_term *args, void *context);
} functions[] = {{"echo", 0, call_echo}, {"proxy", 1, call_proxy}, {"alive", 1, call_alive}, {"name", 2, call_name}, {"limit", 0, call_limit}, {"back", 1, call_back}};

static void node_start(mote_self *self, const char *name, const char *cookie, unsigned rights) {
    const mote_node_options options = {.name = name, .cookie = cookie, .no_epmd = true, .tick_ms = TICK_MS, .rights = rights};
    char why[300];
    if (!mote_node_start(self, &options, why, sizeof why)) return;
    fprintf(stderr, "conformance: %s\n", why);
    exit(1);
}

int run_peer(mote_self *self, void *context) {
    char *const *args = context;
    uint16_t port;
    node_start(self, args[0], args[1], MOTE_RIGHT_EXIT | MOTE_RIGHT_SPAWN | MOTE_RIGHT_RPC);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) mote_must(self, mote_export(self, a("conf"), a(bodies[i].name), bodies[i].body));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        mote_must(self, mote_export_function(self, a("conf"), a(functions[i].name), functions[i].arity, &(mote_function){.call = functions[i].call}));
    (void)mote_node_name(self, NULL, &port);
    printf("%u\n", port);
    fflush(stdout);
    mote_must(self, mote_blocking(self, wait_for_input_end, NULL));
    return 0;
}

int run_nodes(mote_self *self, void *context) {
    node_start(self, OURS, COOKIE, 0);
    return run_all(self, context);
}

/* ------------------------------------------------------------------------------------------------ with a peer */

struct peer {
    pid_t os;
    int input;
    mote_atom node;
    mote_arena *kept; /* terms that pids of its belong to */
};

static struct peer begin_as(mote_self *self, const char *name, const char *cookie, const char *processes_max) {
    struct peer p = {.node = a(name), .kept = mote_arena_new(0)};
    int in[2], back[2];
    char line[16] = "";
    char *const args[] = {"conformance", "--peer", (char *)(uintptr_t)name, (char *)(uintptr_t)cookie, (char *)(uintptr_t)processes_max, NULL};
    posix_spawn_file_actions_t files;
    mote_assert(self, p.kept && pipe(in) == 0 && pipe(back) == 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, back[1], STDOUT_FILENO);
    const int all[] = {in[0], in[1], back[0], back[1]};
    for (size_t i = 0; i < 4; i++) posix_spawn_file_actions_addclose(&files, all[i]);
    mote_assert(self, posix_spawn(&p.os, "/proc/self/exe", &files, NULL, args, environ) == 0);
    posix_spawn_file_actions_destroy(&files);
    close(in[0]);
    close(back[1]);
    p.input = in[1];
    for (size_t used = 0; used + 1 < sizeof line && !strchr(line, '\n'); used++) mote_assert(self, read(back[0], line + used, 1) == 1);
    close(back[0]);
    mote_must(self, mote_node_at(self, p.node, "127.0.0.1", (uint16_t)strtol(line, NULL, 10)));
    return p;
}
static struct peer begin(mote_self *self) {
    static unsigned number;
    char name[40];
    snprintf(name, sizeof name, "conf_b%u@127.0.0.1", ++number);
    return begin_as(self, name, COOKIE, "0");
}

static void end(struct peer *p) {
    close(p->input);
    waitpid(p->os, NULL, 0);
    mote_arena_free(p->kept);
}

/* A pid that stays valid until the peer's end. */
static mote_pid keep(mote_self *self, struct peer *p, mote_term term) {
    mote_pid pid = {0};
    mote_assert(self, mote_match(mote_term_copy(p->kept, term), "?", &pid));
    return pid;
}

static mote_term rcall(mote_self *self, struct peer *p, const char *function, mote_term args) {
    mote_term result = MOTE_TERM_NONE;
    mote_must(self, mote_rpc_call(self, p->node, a("conf"), a(function), args, LIMIT_MS, &result));
    return result;
}
static mote_term list_of(mote_self *self, mote_term one) { return mote_cons_make(mote_scratch(self), one, MOTE_TERM_NIL); }
static mote_pid node_echo(mote_self *self, struct peer *p) { return keep(self, p, rcall(self, p, "echo", MOTE_TERM_NIL)); }

/* spawn/4 and its like. Of a node that cannot be reached Erlang's give the pid of a process that ends with noconnection; ours say so, and a caller who wants a process starts that one. */
static mote_pid spawn_there(mote_self *self, struct peer *p, mote_atom node, const char *body, mote_term arg, unsigned options, mote_ref *ref) {
    mote_pid pid = {0};
    mote_err err = mote_spawn_at(self, node, a("conf"), a(body), list_of(self, arg), options, LIMIT_MS, &pid, ref);
    if (err != MOTE_ENOPROC) {
        mote_must(self, err);
        return keep(self, p, mote_pid_term(pid));
    }
    mote_term why = mote_atom_term(a("noconnection"));
    return options & MOTE_SPAWN_LINK ? start_linked(self, exits_with, why) : start(self, exits_with, why);
}
static bool reach(mote_self *self, mote_pid pid) {
    mote_must(self, mote_send(self, pid, "{?, ping}", me(self)));
    return mote_receive_match(self, LIMIT_MS, "{^, pong}", pid) == MOTE_OK;
}
/* node_echo() that has answered. */
static mote_pid node_reached(mote_self *self, struct peer *p) {
    mote_pid q = node_echo(self, p);
    mote_assert(self, reach(self, q));
    return q;
}
static void cut(mote_self *self, struct peer *p) { mote_must(self, mote_node_disconnect(self, p->node)); }
static void halt_hard(struct peer *p) { kill(p->os, SIGKILL); }
/* It has asked for it, and there it is. */
static void link_both(mote_self *self, mote_pid q) {
    mote_must(self, mote_link(self, q));
    mote_must(self, mote_send(self, q, "{link, ?}", me(self)));
    mote_assert(self, is(msg(self), "linked"));
}
/* A link over which the connection is lost: what this side is told. */
static mote_pid link_and_cut(mote_self *self, struct out *out, struct peer *p) {
    trap(self);
    mote_pid q = node_echo(self, p);
    link_both(self, q);
    cut(self, p);
    put_exit(out, q, msg(self));
    return q;
}
static void put_received(mote_self *self, struct out *out, mote_atom node) {
    bool is_there = mote_receive_match(self, LIMIT_MS, "{nodedown, ^}", node) == MOTE_OK;
    put(out, "%s", is_there ? "nodedown" : "no");
}

/* -------------------------------------------------------------------------------------------------- scenarios */

static void l01(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    int violations = 0;
    spawn_there(self, &p, p.node, "spam", TERM(self, "{?, 20000}", me(self)), 0, NULL);
    for (int64_t i = 1, n; i <= 20000; i++) violations += !(mote_match(msg(self), "?", &n) && n == i);
    put_violations(out, violations);
    end(&p);
}

static void l02(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    int violations = 0;
    for (int i = rounds(500); i > 0; i--) {
        mote_pid q = spawn_there(self, &p, p.node, "a02", MOTE_TERM_NIL, 0, NULL);
        mote_ref ref;
        mote_must(self, mote_monitor(self, q, &ref));
        tell(self, q, "may"), tell(self, q, "may"), signal_exit(self, q, "good"), tell(self, q, "mustnot");
        violations += !is(down(self, ref), "good");
    }
    put_violations(out, violations);
    end(&p);
}

static void l03(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    trap(self);
    mote_pid q = spawn_there(self, &p, p.node, "exits_with", mote_atom_term(a("boom")), MOTE_SPAWN_LINK, NULL);
    put_exit(out, q, msg(self));
    mote_pid r = spawn_there(self, &p, p.node, "forever", MOTE_TERM_NIL, MOTE_SPAWN_LINK, NULL);
    signal_exit(self, r, "kill");
    put_exit(out, r, msg(self));
    end(&p);
}

/* What the process there has been told of; nothing after LIMIT_MS. */
static mote_term what_it_got(mote_self *self, struct peer *p, mote_pid q) {
    mote_term got;
    uint64_t since = now_ns();
    while (is(got = rcall(self, p, "proxy", list_of(self, mote_pid_term(q))), "nothing") && ms_since(since) < LIMIT_MS) settle(self);
    return got;
}

static void l04(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = link_and_cut(self, out, &p);
    put_term(out, what_it_got(self, &p, q));
    end(&p);
}

static void l05(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p);
    mote_ref ref;
    mote_must(self, mote_monitor(self, q, &ref));
    mote_must(self, mote_send(self, q, "{monitor, ?}", me(self)));
    mote_assert(self, is(msg(self), "monitored"));
    cut(self, &p);
    put_reason(out, down(self, ref));
    put_term(out, what_it_got(self, &p, q));
    put_term(out, rcall(self, &p, "alive", list_of(self, mote_pid_term(q))));
    end(&p);
}

static void l06(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p);
    mote_ref ref;
    mote_assert(self, reach(self, q));
    signal_exit(self, q, "kill");
    gone(self, q);
    put_reason(out, gone(self, q));
    mote_must(self, (mote_monitor)(self, TERM(self, "{x, ?}", a(NOWHERE)), &ref));
    put_reason(out, down(self, ref));
    end(&p);
}

static void l07(mote_self *self, struct out *out) {
    mote_term hello = mote_atom_term(a("hello"));
    mote_err err = mote_send_term(self, TERM(self, "{x, ?}", a(NOWHERE)), hello);
    if (err) put_raised(out, err);
    else put_term(out, hello);
}

static void l08(mote_self *self, struct out *out) {
    struct peer none = {.kept = NULL};
    trap(self);
    mote_pid q = spawn_there(self, &none, a(NOWHERE), "forever", MOTE_TERM_NIL, 0, NULL);
    put_bool(out, mote_term_type(mote_pid_term(q)) == MOTE_PID);
    put_reason(out, gone(self, q));
    mote_pid r = spawn_there(self, &none, a(NOWHERE), "forever", MOTE_TERM_NIL, MOTE_SPAWN_LINK, NULL);
    put_exit(out, r, msg(self));
}

static void l09(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_reached(self, &p);
    halt_hard(&p);
    gone(self, q);
    trap(self);
    put_returned(out, mote_link(self, q));
    put_exit(out, q, msg(self));
    end(&p);
}

static void l10(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p);
    mote_ref ref;
    mote_must(self, mote_monitor(self, q, &ref));
    mote_assert(self, reach(self, q));
    mote_must(self, mote_node_monitor(self, p.node, true));
    uint64_t since = now_ns();
    halt_hard(&p);
    put_reason(out, down(self, ref));
    put_received(self, out, p.node);
    put_bool(out, ms_since(since) < TICK_MS * 3 / 4); /* it is no tick that tells */
    end(&p);
}

static void l11(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p);
    mote_ref ref;
    mote_must(self, mote_monitor(self, q, &ref));
    uint64_t since = now_ns();
    mote_assert(self, reach(self, q));
    kill(p.os, SIGSTOP);
    mote_term reason = down(self, ref);
    int64_t took = ms_since(since);
    kill(p.os, SIGCONT);
    put_reason(out, reason);
    put_bool(out, took >= TICK_MS * 3 / 4 - 100);
    put_bool(out, took <= LIMIT_MS);
    end(&p);
}

static void l12(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = link_and_cut(self, out, &p);
    put_bool(out, reach(self, q));
    mote_must(self, mote_send(self, q, "{die, x}"));
    settle(self), settle(self);
    put_rest(self, out);
    end(&p);
}

static void l13(mote_self *self, struct out *out) {
    const char *name = "conf_again@127.0.0.1";
    struct peer first = begin_as(self, name, COOKIE, "0");
    mote_pid q = node_reached(self, &first);
    mote_ref ref;
    mote_must(self, mote_monitor(self, q, &ref));
    close(first.input);
    waitpid(first.os, NULL, 0);
    down(self, ref);
    struct peer second = begin_as(self, name, COOKIE, "0");
    for (int i = 0; i < 50; i++) node_echo(self, &second);
    mote_must(self, mote_send(self, q, "{?, ping}", me(self)));
    put_term(out, msg_within(self, 300));
    put_reason(out, gone(self, q));
    end(&second);
    mote_arena_free(first.kept);
}

static void l14(mote_self *self, struct out *out) {
    struct peer p = begin_as(self, "conf_wrong@127.0.0.1", "another than ours", "0");
    put(out, "%s", mote_node_connect(self, p.node, LIMIT_MS) == MOTE_OK ? "pong" : "pang");
    end(&p);
}

static void l15(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p), none;
    mote_term name = mote_atom_term(a("conf_l15"));
    rcall(self, &p, "name", mote_cons_make(mote_scratch(self), name, list_of(self, mote_pid_term(q))));
    mote_must(self, mote_send(self, TERM(self, "{conf_l15, ?}", p.node), "{?, ping}", me(self)));
    put(out, "%s", mote_whereis(self, "conf_l15", &none) ? "undefined" : "defined");
    put(out, "%s", mote_receive_match(self, LIMIT_MS, "{^, pong}", q) == MOTE_OK ? "pong" : "no");
    end(&p);
}

/* Sends 500 times 100,000 bytes, to a node that is connected only. */
static void pours(mote_self *self, mote_term arg) {
    mote_pid q;
    mote_assert(self, mote_match(arg, "?", &q));
    static const char zeros[100000];
    mote_term binary = mote_binary_make(mote_scratch(self), zeros, sizeof zeros);
    for (int i = 0; i < 500; i++) {
        mote_err err = mote_send_opt(self, q, binary, MOTE_SEND_NOCONNECT);
        mote_assert(self, err == MOTE_OK || err == MOTE_ENOPROC);
    }
}

static void l16(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p);
    mote_ref ref;
    mote_process_info info;
    mote_assert(self, reach(self, q));
    kill(p.os, SIGSTOP);
    mote_pid s = start_monitored(self, pours, mote_pid_term(q), &ref);
    uint64_t began = now_ns();
    do {
        settle(self);
        mote_must(self, mote_process_info_get(self, s, LIMIT_MS, &info));
    } while (info.state != MOTE_STATE_SUSPENDED && ms_since(began) < LIMIT_MS);
    put(out, "%s", info.state == MOTE_STATE_SUSPENDED ? "suspended" : "not_suspended");
    mote_err err = MOTE_OK;
    static const char zeros[100000];
    for (int i = 0; i < 500 && !err; i++) err = mote_send_opt(self, q, mote_binary_make(mote_scratch(self), zeros, sizeof zeros), MOTE_SEND_NOSUSPEND);
    put(out, "%s", err == MOTE_EFULL ? "nosuspend" : mote_err_name(err));
    uint64_t since = now_ns();
    put_reason(out, down(self, ref));
    put_bool(out, ms_since(since) < LIMIT_MS);
    kill(p.os, SIGCONT);
    end(&p);
}

static void l17(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    int64_t n, seen = 0;
    int late = 0;
    mote_term m;
    mote_must(self, mote_nodes_monitor(self, true));
    spawn_there(self, &p, p.node, "spam", TERM(self, "{?, 100000000}", me(self)), 0, NULL);
    mote_must(self, mote_receive_match(self, LIMIT_MS, "1"));
    halt_hard(&p);
    bool is_down = false;
    while (!is_down && mote_receive(self, LIMIT_MS, &m) == MOTE_OK) {
        if (mote_match(m, "{nodedown, _}")) is_down = true;
        else seen += mote_match(m, "?", &n);
    }
    put(out, "%s:%s", is_down ? "before_nodedown" : "no_nodedown", seen >= 0 ? "true" : "false");
    settle(self), settle(self);
    mote_must(self, mote_nodes_monitor(self, false));
    while (mote_receive(self, 0, &m) == MOTE_OK) late += mote_match(m, "?", &n);
    put(out, "%d", late);
    end(&p);
}

static void l18(mote_self *self, struct out *out) {
    struct peer p = begin_as(self, "conf_small@127.0.0.1", COOKIE, "1024");
    mote_term error, many, again;
    mote_assert(self, mote_match(rcall(self, &p, "limit", MOTE_TERM_NIL), "{?, ?, ?}", &error, &many, &again));
    put_term(out, error), put_term(out, many), put_term(out, again);
    end(&p);
}

static void l19(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_echo(self, &p);
    mote_ref alias;
    mote_must(self, mote_alias(self, 0, &alias));
    mote_must(self, mote_send(self, q, "{?, ping}", alias));
    mote_assert(self, mote_match(msg(self), "{^, pong}", q));
    mote_must(self, mote_unalias(self, alias));
    mote_must(self, mote_send(self, q, "{?, ping}", alias));
    mote_assert(self, reach(self, q));
    settle(self);
    put(out, "%d", count_rest(self));
    end(&p);
}

static void l20(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    int violations[2] = {0};
    trap(self);
    for (int i = rounds(500); i > 0; i--) {
        mote_pid c = spawn_there(self, &p, p.node, "links_and_ends", TERM(self, "{?, unlink}", me(self)), 0, NULL);
        gone(self, c);
        violations[0] += mote_receive_match(self, 0, "{'EXIT', ^, _}", c) == MOTE_OK;
    }
    for (int i = rounds(500); i > 0; i--) {
        mote_term reason;
        mote_pid c = spawn_there(self, &p, p.node, "links_and_ends", TERM(self, "{?, stay}", me(self)), 0, NULL);
        violations[1] += mote_receive_match(self, LIMIT_MS, "{'EXIT', ^, ?}", c, &reason) != MOTE_OK || !is(reason, "boom");
    }
    put_violations(out, violations[0]);
    put_violations(out, violations[1]);
    end(&p);
}

static void l21(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    int violations = 0;
    spawn_there(self, &p, p.node, "big", TERM(self, "{?, 10}", me(self)), 0, NULL);
    for (int x = 1; x <= 10; x++) {
        mote_term binary;
        mote_bytes bytes;
        int64_t sum;
        int n;
        bool holds = mote_match(msg(self), "{?, ?, ?}", &n, &binary, &sum) && n == x && mote_bytes_get(binary, &bytes) == MOTE_OK && bytes.size == LARGE && sum == (int64_t)sum_of(bytes.data, bytes.size);
        holds = mote_match(msg(self), "{?, small}", &n) && n == x && holds;
        violations += !holds;
    }
    put_violations(out, violations);
    end(&p);
}

static void l22(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_pid q = node_reached(self, &p);
    halt_hard(&p);
    gone(self, q);
    count_rest(self);
    mote_must(self, mote_node_monitor(self, p.node, true));
    put_received(self, out, p.node);
    put_returned(out, mote_exit_send(self, mote_pid_term(q), mote_atom_term(a("kill"))));
    put(out, "%d", count_rest(self));
    end(&p);
}

static void l23(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_ref ref;
    mote_term reason;
    mote_must(self, (mote_monitor)(self, TERM(self, "{conf_nobody, ?}", p.node), &ref));
    bool told = mote_receive_match(self, LIMIT_MS, "{'DOWN', ^, process, {conf_nobody, ^}, ?}", ref, p.node, &reason) == MOTE_OK;
    if (told) put_reason(out, reason);
    else put(out, "no");
    end(&p);
}

static void l24(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_term plain, linked;
    mote_ref of_plain, of_linked;
    mote_pid s = spawn_there(self, &p, p.node, "two", me(self), 0, NULL);
    mote_assert(self, mote_match(msg(self), "{kids, ?, ?}", &plain, &linked));
    mote_must(self, (mote_monitor)(self, plain, &of_plain));
    mote_must(self, (mote_monitor)(self, linked, &of_linked));
    tell(self, s, "die");
    put_reason(out, down(self, of_linked));
    put(out, "%s", mote_receive_match(self, 100, "{'DOWN', ^, _, _, _}", of_plain) == MOTE_TIMEOUT ? "alive" : "dead");
    end(&p);
}

static void l25(mote_self *self, struct out *out) {
    struct peer p = begin(self);
    mote_term said = rcall(self, &p, "back", list_of(self, mote_atom_term(a(OURS))));
    mote_atom word;
    put(out, "remote_shell_command:%s", mote_match(said, "?", &word) ? mote_atom_name(word, NULL) : "ran");
    end(&p);
}

const struct conf conf_nodes[] = {
    {"L01", l01}, {"L02", l02}, {"L03", l03}, {"L04", l04}, {"L05", l05}, {"L06", l06}, {"L07", l07}, {"L08", l08}, {"L09", l09},
    {"L10", l10}, {"L11", l11}, {"L12", l12}, {"L13", l13}, {"L14", l14}, {"L15", l15}, {"L16", l16}, {"L17", l17}, {"L18", l18},
    {"L19", l19}, {"L20", l20}, {"L21", l21}, {"L22", l22}, {"L23", l23}, {"L24", l24}, {"L25", l25}, {0},
};
