/* SPDX-License-Identifier: Apache-2.0
 * Links, monitors, aliases, names, flags, group leaders, hibernation, death certificates: as Erlang has them. Most processes are
 * puppets, which do what the test tells them, one call at a time.
 */
#include <pthread.h>

#include "live.h"

static void quiet(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }
#define BOTH(name, body)                                                                                        \
    static void name(void) { run_with((mote_options){.schedulers = 1, .log = quiet}, body); }     \
    static void name##_2(void) { run_with((mote_options){.schedulers = 2, .log = quiet}, body); }

/* ----------------------------------------------------------------------------------------------------- puppets */

typedef int64_t action(mote_self *self, mote_term arg);

static void puppet(mote_self *self, mote_term arg) {
    if (mote_match(arg, "trap")) CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    for (;;) {
        mote_pid from;
        mote_ref ref;
        unsigned long what;
        mote_term with;
        CHECK_OK(mote_receive_match(self, -1, "{call, ?, ?, ?, ?}", &from, &ref, &what, &with));
        int64_t result = ((action *)(uintptr_t)what)(self, with);
        CHECK_OK(mote_send(self, from, "{done, ?, ?}", ref, result));
    }
}

static mote_ref cast(mote_self *self, mote_pid pid, action *what, mote_term with) {
    mote_ref ref = mote_ref_make(self);
    CHECK_OK(mote_send(self, pid, "{call, ?, ?, ?, ?}", mote_self_pid(self), ref, (uint64_t)(uintptr_t)what, with));
    return ref;
}
static int64_t result(mote_self *self, mote_ref ref) {
    int64_t value;
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{done, ^, ?}", ref, &value));
    return value;
}
static int64_t call(mote_self *self, mote_pid pid, action *what, mote_term with) { return result(self, cast(self, pid, what, with)); }
static int64_t call_pid(mote_self *self, mote_pid pid, action *what, mote_pid with) { return call(self, pid, what, mote_pid_term(with)); }

static int64_t do_link(mote_self *self, mote_term arg) { return mote_link(self, pid_of(arg)); }
static int64_t do_unlink(mote_self *self, mote_term arg) { return mote_unlink(self, pid_of(arg)); }
static int64_t do_exit(mote_self *self, mote_term arg) { mote_exit(self, arg); }
static int64_t do_register(mote_self *self, mote_term arg) { return mote_register(self, arg, mote_self_pid(self)); }
static int64_t do_monitor(mote_self *self, mote_term arg) {
    mote_ref ref;
    return mote_monitor(self, arg, &ref);
}
static int64_t do_count(mote_self *self, mote_term arg) { /* of the messages of that kind, which it takes */
    int64_t n = 0;
    while (mote_match(arg, "'EXIT'") ? !mote_receive_match(self, 0, "{'EXIT', _, _}") : !mote_receive_match(self, 0, "{'DOWN', _, _, _, _}")) n++;
    return n;
}

static int64_t do_nothing(mote_self *self, mote_term arg) { return (void)self, (void)arg, 0; }

/* It traps, if it should, when this returns. */
static mote_pid new_puppet(mote_self *self, const char *how) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, puppet, atom(how), &pid));
    CHECK_INT(call(self, pid, do_nothing, MOTE_TERM_NIL), 0);
    return pid;
}
/* Ends it, without waiting. */
static void end(mote_self *self, mote_pid pid, const char *reason) { (void)cast(self, pid, do_exit, atom(reason)); }

static size_t alive(mote_self *self) {
    mote_runtime_info info;
    CHECK_OK(mote_runtime_info_get(self, &info));
    return info.processes;
}
/* Waits until no others than so many are there: those that ended have told everybody. */
static void settle(mote_self *self, size_t others) { WAIT_UNTIL(self, alive(self) == others + 1); }

static void nothing_left(mote_self *self) {
    mote_term m;
    if (mote_receive(self, 0, &m) == MOTE_TIMEOUT) return;
    CHECK_TERM(m, "no message");
}
static void traps(mote_self *self, int64_t on) { CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, on, NULL)); }

/* The next message about that process says so. */
static void expect_exit(mote_self *self, mote_pid pid, const char *reason) {
    mote_term why;
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, ?}", pid, &why));
    CHECK_TERM(why, reason);
}
static void expect_down(mote_self *self, mote_ref ref, mote_term item, const char *reason) {
    mote_term why;
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, ^, ?}", ref, item, &why));
    CHECK_TERM(why, reason);
}
static mote_process_info info_of(mote_self *self, mote_pid pid) {
    mote_process_info info;
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    return info;
}

/* ------------------------------------------------------------------------------------------------------- links */

static int link_basics(mote_self *self, void *context) {
    mote_pid a, b = new_puppet(self, "trap"), me = mote_self_pid(self);
    (void)context;
    traps(self, 1);
    CHECK_OK(mote_spawn_link(self, puppet, MOTE_TERM_NIL, &a));
    CHECK_OK(mote_link(self, a));
    CHECK_OK(mote_link(self, me));
    CHECK_INT(info_of(self, me).links, 1);
    CHECK_INT(call_pid(self, a, do_link, b), MOTE_OK);
    CHECK_INT(call_pid(self, b, do_link, a), MOTE_OK);
    CHECK_INT(info_of(self, a).links, 2);
    CHECK_INT(call_pid(self, b, do_unlink, a), MOTE_OK);
    CHECK_INT(call_pid(self, b, do_unlink, a), MOTE_OK);
    CHECK_INT(call_pid(self, a, do_link, b), MOTE_OK);
    end(self, a, "crash");
    expect_exit(self, a, "crash");
    settle(self, 1);
    CHECK_INT(call(self, b, do_count, atom("EXIT")), 1);
    CHECK_OK(mote_link(self, a));
    expect_exit(self, a, "noproc");
    CHECK_OK(mote_unlink(self, a));
    traps(self, 0);
    CHECK_INT(mote_link(self, a), MOTE_ENOPROC);
    CHECK_OK(mote_unlink(self, a));
    CHECK_OK(mote_link(self, b));
    CHECK_OK(mote_unlink(self, b));
    end(self, b, "crash");
    settle(self, 0);
    CHECK_INT(info_of(self, me).links, 0);
    nothing_left(self);
    return 0;
}
BOTH(links, link_basics)

/* A reason goes along a chain of links until somebody traps it. */
static void chain_of(mote_self *self, const char *reason, bool signal, const char *want) {
    mote_pid last = new_puppet(self, "plain"), middle = last;
    for (int i = 0; i < 20; i++) {
        mote_pid next = new_puppet(self, "plain");
        CHECK_INT(call_pid(self, next, do_link, last), MOTE_OK);
        if (i == 9) middle = next;
        last = next;
    }
    CHECK_OK(mote_link(self, last));
    if (signal) CHECK_OK(mote_exit_send(self, middle, atom(reason)));
    else end(self, middle, reason);
    expect_exit(self, last, want);
    settle(self, 0);
    nothing_left(self);
}
static int chains(mote_self *self, void *context) {
    (void)context;
    traps(self, 1);
    chain_of(self, "crash", false, "crash");
    chain_of(self, "crash", true, "crash");
    chain_of(self, "kill", false, "kill");
    chain_of(self, "kill", true, "killed");
    return 0;
}
BOTH(chain, chains)

/* normal ends nobody: neither the one it is sent to, nor those linked with one that ends so. Oneself it does. */
static int normal_ends(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "plain"), b = new_puppet(self, "plain"), me = mote_self_pid(self);
    (void)context;
    CHECK_INT(call_pid(self, a, do_link, b), MOTE_OK);
    CHECK_OK(mote_exit_send(self, a, atom("normal")));
    CHECK_INT(info_of(self, a).links, 1);
    end(self, a, "normal");
    settle(self, 1);
    CHECK_INT(info_of(self, b).links, 0);
    traps(self, 1);
    CHECK_OK(mote_link(self, b));
    CHECK_OK(mote_exit_send(self, me, atom("normal")));
    expect_exit(self, me, "normal");
    end(self, b, "normal");
    expect_exit(self, b, "normal");
    return 0;
}
BOTH(normal, normal_ends)

/* Two processes go step by step without looking at their inboxes, on two schedulers. */
static atomic_int stage;
static void reach(int n) { atomic_store(&stage, n); }
static void await(int n) {
    for (uint64_t since = now_ns(); atomic_load(&stage) < n; sched_yield()) CHECK(ms_since(since) < PATIENCE_MS);
}
static void await_end(mote_self *self) {
    for (uint64_t since = now_ns(); alive(self) > 1; sched_yield()) CHECK(ms_since(since) < PATIENCE_MS);
}
static void stepper(mote_self *self, mote_term arg) {
    reach(1);
    await(2);
    CHECK_OK(mote_link(self, pid_of(arg)));
    reach(3);
    await(4);
    mote_exit(self, atom("crash"));
}
/* Both have linked, neither knows of the other's link. */
static mote_pid cross(mote_self *self) {
    mote_pid pid;
    reach(0);
    CHECK_OK(mote_spawn(self, stepper, self_term(self), &pid));
    await(1);
    CHECK_OK(mote_link(self, pid));
    reach(2);
    await(3);
    return pid;
}
static int crossing(mote_self *self, void *context) {
    (void)context;
    traps(self, 1);
    mote_pid a = cross(self); /* the reason is the one it ended with, though it never saw our LINK */
    reach(4);
    await_end(self);
    expect_exit(self, a, "crash");
    nothing_left(self);
    a = cross(self); /* its LINK and its end are in our inbox, and its end is known: no link any more */
    reach(4);
    await_end(self);
    CHECK_OK(mote_unlink(self, a));
    nothing_left(self);
    CHECK_INT(info_of(self, mote_self_pid(self)).links, 0);
    a = cross(self); /* a link that fails does not bring back what was unlinked */
    CHECK_OK(mote_unlink(self, a));
    reach(4);
    await_end(self);
    traps(self, 0);
    CHECK_INT(mote_link(self, a), MOTE_ENOPROC);
    traps(self, 1);
    nothing_left(self);
    CHECK_INT(info_of(self, mote_self_pid(self)).links, 0);
    return 0;
}
static void crossed(void) { run_with((mote_options){.schedulers = 2, .log = quiet}, crossing); }

/* ---------------------------------------------------------------------------------------------------- monitors */

static int monitor_basics(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "plain"), me = mote_self_pid(self);
    mote_ref refs[3], gone, own, none;
    bool active;
    (void)context;
    for (int i = 0; i < 3; i++) CHECK_OK(mote_monitor(self, a, &refs[i]));
    CHECK_OK(mote_monitor(self, me, &own));
    CHECK_INT(info_of(self, me).monitors, 3);
    CHECK_INT(info_of(self, a).monitored_by, 3);
    CHECK_OK(mote_demonitor(self, own, false, &active));
    CHECK(!active);
    CHECK_OK(mote_demonitor(self, refs[1], false, &active));
    CHECK(active);
    CHECK_OK(mote_demonitor(self, refs[1], true, &active));
    CHECK(!active);
    CHECK_INT(info_of(self, a).monitored_by, 2);
    end(self, a, "crash");
    settle(self, 0);
    CHECK_OK(mote_demonitor(self, refs[0], true, &active)); /* its DOWN may be in the inbox: then it is active */
    expect_down(self, refs[2], mote_pid_term(a), "crash");
    CHECK_OK(mote_demonitor(self, refs[2], true, NULL));
    CHECK_OK(mote_monitor(self, a, &gone));
    expect_down(self, gone, mote_pid_term(a), "noproc");
    CHECK_OK(mote_monitor(self, "nobody has this name", &none));
    mote_term item;
    CHECK_OK(mote_build(mote_scratch(self), &item, "{'nobody has this name', nonode@nohost}"));
    expect_down(self, none, item, "noproc");
    CHECK_OK(mote_monitor(self, item, &none));
    expect_down(self, none, item, "noproc");
    nothing_left(self);
    return 0;
}
BOTH(monitors, monitor_basics)

/* flush takes the DOWN of that monitor only, wherever it stands. */
static int flushes(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self), a = new_puppet(self, "plain");
    mote_ref one, two;
    mote_term m;
    bool active = true;
    (void)context;
    CHECK_OK(mote_monitor(self, a, &one));
    CHECK_OK(mote_monitor(self, a, &two));
    CHECK_OK(mote_send(self, me, "before"));
    end(self, a, "crash");
    settle(self, 0);
    CHECK_OK(mote_send(self, me, "behind"));
    CHECK_INT(info_of(self, me).mailbox, 4);
    CHECK_OK(mote_demonitor(self, one, false, &active));
    CHECK(!active);
    CHECK_INT(info_of(self, me).mailbox, 4);
    CHECK_OK(mote_demonitor(self, two, true, &active));
    CHECK(!active);
    CHECK_INT(info_of(self, me).mailbox, 3);
    CHECK_OK(mote_receive_match(self, 0, "before"));
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, crash}", one, a));
    CHECK_OK(mote_receive_match(self, 0, "behind"));
    nothing_left(self);
    return 0;
}
BOTH(flush, flushes)

static void handle_none(mote_self *self, mote_term message, void *state) {
    (void)state;
    mote_exit(self, message);
}
static const mote_handler ends_with_it = {.name = "ends", .handle = handle_none};

/* Linked and monitored from the first moment, whatever kind of process, with a tag and an alias. */
static int from_the_start(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref ref, alias;
    mote_term m;
    (void)context;
    traps(self, 1);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_spawn_monitor(self, puppet, MOTE_TERM_NIL, &pid, &ref));
        CHECK_OK(mote_exit_send(self, pid, atom("early")));
        expect_down(self, ref, mote_pid_term(pid), "early");
    }
    mote_spawn_options o = {.handler = &ends_with_it, .link = true, .monitor = &alias,
                            .monitoring = {.alias = MOTE_ALIAS_REPLY_DEMONITOR, .tag = atom("gone")}};
    CHECK_OK(mote_spawn_opt(self, &o, MOTE_TERM_NIL, &pid));
    CHECK_INT(info_of(self, mote_self_pid(self)).links, 1);
    CHECK_INT(info_of(self, mote_self_pid(self)).monitors, 1);
    CHECK_INT(info_of(self, pid).links, 1);
    CHECK_INT(info_of(self, pid).monitored_by, 1);
    CHECK_OK(mote_send(self, pid, "why"));
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, alias, &m));
    CHECK(mote_match(m, "{gone, ^, process, ^, why}", alias, pid));
    expect_exit(self, pid, "why");
    CHECK_OK(mote_send(self, alias, "closed"));
    CHECK_OK(mote_spawn_opt(self, &o, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, alias, "open"));
    CHECK_OK(mote_receive_match(self, 0, "open"));
    CHECK_INT(info_of(self, mote_self_pid(self)).monitors, 0);
    CHECK_OK(mote_send(self, pid, "why"));
    expect_exit(self, pid, "why");
    settle(self, 0);
    nothing_left(self);
    return 0;
}
BOTH(spawn_related, from_the_start)

/* ----------------------------------------------------------------------------------------------------- reasons */

static const char *const reasons[] = {
    "crash", "17", "{a, [b, {c, 2.5}]}", "\"text\"",
    "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40]",
    "counted_one", "{counted_two, counted_three}",
    "{counted_two, [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,counted_four,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36]}",
};
static const char *const tags[] = {
    "tag", "counted_tag", "{tag, 1}", "{counted_tag, [counted_tag]}",
    "[t,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40]",
};
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static mote_term parsed(mote_arena *arena, const char *text) {
    mote_term t;
    CHECK_OK(mote_term_parse(arena, text, strlen(text), &t, NULL));
    return t;
}

static void check_down(mote_self *self, mote_ref ref, mote_term tag, mote_term item, mote_term reason) {
    mote_term m;
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
    CHECK(mote_match(m, "{^, ^, process, ^, ^}", tag, ref, item, reason));
}

/* One that ends is linked, and monitored by pid and by a counted name, each with DOWN and with a tag. */
static void tells(mote_self *self, mote_arena *arena, mote_term reason, mote_term tag) {
    mote_pid pid;
    mote_term name = parsed(arena, "counted_name"), item, down = atom("DOWN"), got;
    mote_monitor_options with = {.tag = tag};
    mote_ref refs[4];
    CHECK_OK(mote_spawn_link(self, puppet, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_register(self, name, pid));
    CHECK_OK(mote_build(arena, &item, "{?, nonode@nohost}", name));
    CHECK_OK(mote_monitor(self, pid, &refs[0]));
    CHECK_OK(mote_monitor(self, name, &refs[1]));
    CHECK_OK(mote_monitor_opt(self, pid, &with, &refs[2]));
    CHECK_OK(mote_monitor_opt(self, item, &with, &refs[3]));
    (void)cast(self, pid, do_exit, reason);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, ?}", pid, &got));
    CHECK(mote_term_same(got, reason));
    check_down(self, refs[3], tag, item, reason);
    check_down(self, refs[2], tag, mote_pid_term(pid), reason);
    check_down(self, refs[1], down, item, reason);
    check_down(self, refs[0], down, mote_pid_term(pid), reason);
    settle(self, 0);
    nothing_left(self);
}
static int all_reasons(mote_self *self, void *context) {
    mote_arena *arena = mote_arena_new(0);
    (void)context;
    traps(self, 1);
    tells(self, arena, atom("crash"), atom("tag")); /* makes the permanent atoms */
    mote_arena_reset(arena);
    size_t atoms = mote_atom_count();
    for (int i = 0; i < COUNT(reasons) * COUNT(tags); i++) {
        tells(self, arena, parsed(arena, reasons[i % COUNT(reasons)]), parsed(arena, tags[i / COUNT(reasons)]));
        mote_arena_reset(arena);
    }
    mote_term m;
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_INT(mote_atom_count(), atoms);
    mote_arena_free(arena);
    return 0;
}
BOTH(compound_reasons, all_reasons)

/* A reason that is a message in hand is shared, and lives as long as anybody has it. */
static void linked_child(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    CHECK_OK(mote_receive(self, -1, &m));
    mote_exit(self, m);
}
static int shared_reasons(mote_self *self, void *context) {
    mote_pid pids[20];
    mote_arena *arena = mote_arena_new(0);
    mote_term items[100], big, got;
    (void)context;
    traps(self, 1);
    for (int i = 0; i < 100; i++) items[i] = mote_int_make(arena, i);
    big = mote_tuple_make(arena, 100, items);
    for (int i = 0; i < 20; i++) CHECK_OK(mote_spawn_link(self, linked_child, MOTE_TERM_NIL, &pids[i]));
    for (int i = 0; i + 1 < 20; i++) CHECK_OK(mote_unlink(self, pids[i]));
    CHECK_OK(mote_send_term(self, pids[19], big));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, ?}", pids[19], &got));
    CHECK(mote_term_same(got, big));
    for (int i = 0; i + 1 < 20; i++) CHECK_OK(mote_exit_send(self, pids[i], got));
    CHECK(mote_term_same(got, big));
    settle(self, 0);
    nothing_left(self);
    mote_arena_free(arena);
    return 0;
}
BOTH(shared_reason, shared_reasons)

/* ----------------------------------------------------------------------------------------------------- aliases */

static int64_t do_send(mote_self *self, mote_term arg) {
    mote_term to, what;
    CHECK(mote_match(arg, "{?, ?}", &to, &what));
    return mote_send_term(self, to, what);
}
static int64_t do_forward(mote_self *self, mote_term arg) {
    mote_term to;
    CHECK(mote_match(arg, "{?, _}", &to));
    return mote_forward(self, to);
}
/* Another process sends {to, word} there; it has arrived when this returns. */
static void sends(mote_self *self, mote_pid by, action *how, mote_ref to, const char *word) {
    mote_term arg;
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", to, atom(word)));
    CHECK_INT(call(self, by, how, arg), MOTE_OK);
}
static bool came(mote_self *self, const char *word) { return mote_receive_match(self, 0, "^", atom(word)) == MOTE_OK; }

static int alias_basics(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "plain");
    mote_ref open, once;
    (void)context;
    CHECK_OK(mote_alias(self, 0, &open));
    CHECK_OK(mote_alias(self, MOTE_ALIAS_REPLY, &once));
    CHECK_INT(info_of(self, mote_self_pid(self)).aliases, 2);
    for (int i = 0; i < 3; i++) {
        sends(self, a, do_send, open, "open");
        CHECK(came(self, "open"));
        sends(self, a, do_send, once, "once");
        CHECK_INT(came(self, "once"), i == 0);
    }
    CHECK_INT(mote_unalias(self, once), MOTE_NOMATCH);
    CHECK_OK(mote_unalias(self, open));
    CHECK_INT(mote_unalias(self, open), MOTE_NOMATCH);
    CHECK_INT(mote_unalias(self, mote_ref_make(self)), MOTE_NOMATCH);
    sends(self, a, do_send, open, "closed");
    sends(self, a, do_send, mote_ref_make(self), "no alias");
    CHECK_OK(mote_alias(self, 0, &open));
    sends(self, a, do_forward, open, "whole"); /* it forwards the call itself */
    CHECK_OK(mote_receive_match(self, 0, "{call, _, _, _, {^, whole}}", open));
    CHECK_OK(mote_unalias(self, open));
    sends(self, a, do_forward, open, "closed");
    end(self, a, "normal");
    settle(self, 0);
    nothing_left(self);
    CHECK_INT(info_of(self, mote_self_pid(self)).aliases, 0);
    return 0;
}
BOTH(aliases, alias_basics)

static mote_ref monitor_with(mote_self *self, mote_pid pid, mote_alias_mode mode) {
    mote_ref ref;
    CHECK_OK(mote_monitor_opt(self, pid, &(mote_monitor_options){.alias = mode}, &ref));
    return ref;
}
static void is_open(mote_self *self, mote_pid by, mote_ref alias, bool want) {
    sends(self, by, do_send, alias, "word");
    CHECK_INT(came(self, "word"), want);
}

/* What closes the alias of a monitor: by mode, the DOWN, demonitor, a message, unalias. */
static int alias_modes(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "plain"), b = new_puppet(self, "plain"), me = mote_self_pid(self);
    bool active;
    (void)context;
    mote_ref keeps = monitor_with(self, a, MOTE_ALIAS_EXPLICIT_UNALIAS), until = monitor_with(self, a, MOTE_ALIAS_DEMONITOR);
    mote_ref reply = monitor_with(self, a, MOTE_ALIAS_REPLY_DEMONITOR), none = monitor_with(self, a, MOTE_ALIAS_NONE);
    mote_ref keeps2 = monitor_with(self, a, MOTE_ALIAS_EXPLICIT_UNALIAS), until2 = monitor_with(self, a, MOTE_ALIAS_DEMONITOR);
    mote_ref early = monitor_with(self, a, MOTE_ALIAS_DEMONITOR);
    is_open(self, b, keeps, true);
    is_open(self, b, keeps, true);
    is_open(self, b, until, true);
    is_open(self, b, until, true);
    is_open(self, b, none, false);
    CHECK_INT(info_of(self, a).monitored_by, 7);
    is_open(self, b, reply, true);
    is_open(self, b, reply, false);
    CHECK_INT(info_of(self, a).monitored_by, 6);
    CHECK_OK(mote_demonitor(self, reply, false, &active));
    CHECK(!active);
    CHECK_OK(mote_demonitor(self, keeps, false, &active));
    CHECK(active);
    is_open(self, b, keeps, true);
    CHECK_OK(mote_demonitor(self, until, false, &active));
    CHECK(active);
    is_open(self, b, until, false);
    CHECK_OK(mote_unalias(self, early));
    CHECK_INT(mote_unalias(self, early), MOTE_NOMATCH);
    CHECK_INT(mote_unalias(self, none), MOTE_NOMATCH);
    is_open(self, b, early, false);
    end(self, a, "crash");
    expect_down(self, early, mote_pid_term(a), "crash");
    expect_down(self, none, mote_pid_term(a), "crash");
    expect_down(self, keeps2, mote_pid_term(a), "crash");
    expect_down(self, until2, mote_pid_term(a), "crash");
    is_open(self, b, keeps2, true);
    is_open(self, b, until2, false);
    CHECK_OK(mote_unalias(self, keeps));
    CHECK_OK(mote_unalias(self, keeps2));
    is_open(self, b, keeps, false);
    is_open(self, b, keeps2, false);
    CHECK_INT(info_of(self, me).aliases + info_of(self, me).monitors, 0);
    nothing_left(self);
    return 0;
}
BOTH(monitor_aliases, alias_modes)

/* A monitor of oneself has no DOWN, but an alias all the same. */
static int own_alias(mote_self *self, void *context) {
    mote_pid b = new_puppet(self, "plain"), me = mote_self_pid(self);
    mote_ref keeps = monitor_with(self, me, MOTE_ALIAS_EXPLICIT_UNALIAS), reply = monitor_with(self, me, MOTE_ALIAS_REPLY_DEMONITOR);
    (void)context;
    is_open(self, b, keeps, true);
    is_open(self, b, keeps, true);
    is_open(self, b, reply, true);
    is_open(self, b, reply, false);
    CHECK_OK(mote_unalias(self, keeps));
    is_open(self, b, keeps, false);
    return 0;
}
BOTH(alias_of_oneself, own_alias)

/* What was sent through the alias of one that has ended reaches nobody, also when its slot is used again. */
static int64_t do_alias(mote_self *self, mote_term arg) {
    mote_ref ref;
    CHECK_OK(mote_alias(self, 0, &ref));
    return mote_send(self, pid_of(arg), "{alias, ?}", ref);
}
static int stale_aliases(mote_self *self, void *context) {
    mote_ref refs[50];
    (void)context;
    for (int i = 0; i < 50; i++) {
        mote_pid a = new_puppet(self, "plain");
        CHECK_INT(call(self, a, do_alias, self_term(self)), MOTE_OK);
        CHECK_OK(mote_receive_match(self, 0, "{alias, ?}", &refs[i]));
        for (int k = 0; k < i; k++) CHECK_OK(mote_send(self, refs[k], "{stale, ?}", k));
        CHECK_INT(info_of(self, a).mailbox, 0);
        CHECK_OK(mote_send(self, refs[i], "valid"));
        CHECK_INT(info_of(self, a).mailbox, 1);
        end(self, a, "normal");
        settle(self, 0);
    }
    return 0;
}
BOTH(stale_alias, stale_aliases)

/* Priority messages go before ordinary ones, behind their kind, through an alias that allows it; replies are found all the same. */
static int priorities(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_ref first, plain;
    mote_term m;
    int n;
    (void)context;
    CHECK_OK(mote_alias(self, MOTE_ALIAS_PRIORITY, &first));
    CHECK_OK(mote_alias(self, 0, &plain));
    mote_term word = mote_int_make(NULL, 3);
    CHECK_OK(mote_send(self, me, "1"));
    CHECK_OK(mote_send(self, first, "2"));
    CHECK_OK(mote_send_priority(self, plain, word));
    CHECK_OK(mote_send_priority(self, me, mote_int_make(NULL, 4)));
    CHECK_OK(mote_send_priority(self, first, mote_int_make(NULL, -2)));
    CHECK_INT(info_of(self, me).mailbox, 5);
    CHECK_OK(mote_send_priority(self, first, mote_int_make(NULL, -1)));
    CHECK_INT(info_of(self, me).mailbox, 6);
    static const int order[] = {-2, -1, 1, 2, 3, 4};
    for (int i = 0; i < COUNT(order); i++) {
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK(mote_match(m, "?", &n));
        CHECK_INT(n, order[i]);
    }
    CHECK_OK(mote_send(self, me, "old"));
    mote_ref ref = mote_ref_make(self);
    CHECK_OK(mote_send_priority(self, first, mote_ref_term(ref)));
    CHECK_OK(mote_send(self, me, "{later, ?}", ref));
    CHECK_OK(mote_receive_match(self, 0, "^", ref));
    CHECK_OK(mote_receive_match(self, 0, "{later, ^}", ref));
    CHECK_OK(mote_receive_match(self, 0, "old"));
    nothing_left(self);
    return 0;
}
BOTH(priority, priorities)

/* ------------------------------------------------------------------------------------------------------- names */

static mote_pid holder(mote_self *self, const char *name) {
    mote_pid pid = {0};
    mote_err err = mote_whereis(self, name, &pid);
    CHECK(err == MOTE_OK || (err == MOTE_ENAME && !pid.word));
    return pid;
}

static int name_basics(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "plain"), b = new_puppet(self, "plain"), me = mote_self_pid(self);
    mote_atom all[4];
    size_t count;
    (void)context;
    CHECK_INT(mote_register(self, "undefined", a), MOTE_ENAME);
    CHECK_INT(mote_register(self, mote_int_make(NULL, 1), a), MOTE_ENAME);
    CHECK_OK(mote_register(self, "alice", a));
    CHECK_INT(mote_register(self, "alice", b), MOTE_EBUSY);
    CHECK_INT(mote_register(self, "bob", a), MOTE_EBUSY);
    CHECK_INT(call(self, b, do_register, atom("bob")), MOTE_OK);
    CHECK(holder(self, "alice").word == a.word && holder(self, "bob").word == b.word && !holder(self, "carol").word);
    CHECK_OK(mote_registered(self, all, 4, &count));
    CHECK_INT(count, 2);
    CHECK(all[0].word != all[1].word);
    CHECK_OK(mote_registered(self, NULL, 0, &count));
    CHECK_INT(count, 2);
    CHECK(info_of(self, a).registered.word == mote_atom_make("alice").word);
    CHECK_INT(info_of(self, me).registered.word, 0);
    CHECK_OK(mote_unregister(self, "bob"));
    CHECK_INT(mote_unregister(self, "bob"), MOTE_ENAME);
    CHECK_INT(mote_send(self, "bob", "lost"), MOTE_ENAME);
    CHECK_INT(mote_exit_send(self, "bob", atom("kill")), MOTE_ENAME);
    CHECK_OK(mote_register(self, "bob", me));
    end(self, a, "normal");
    settle(self, 1);
    CHECK(!holder(self, "alice").word);
    CHECK_INT(mote_register(self, "alice", a), MOTE_ENOPROC);
    CHECK_OK(mote_register(self, "alice", b));
    CHECK_OK(mote_exit_send(self, "alice", atom("kill")));
    settle(self, 0);
    CHECK_INT(mote_register(self, "alice", b), MOTE_ENOPROC);
    CHECK_OK(mote_registered(self, all, 4, &count));
    CHECK_INT(count, 1);
    CHECK_OK(mote_unregister(self, mote_atom_make("bob")));
    return 0;
}
BOTH(names, name_basics)

/* Everything that takes a destination takes a name, {Name, Node} and an alias. */
static int destinations(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_term here, away, three, m;
    mote_ref alias, timer;
    mote_arena *arena = mote_arena_new(0);
    (void)context;
    CHECK_OK(mote_build(arena, &here, "{me, nonode@nohost}"));
    CHECK_OK(mote_build(arena, &away, "{me, 'other@far'}"));
    CHECK_OK(mote_build(arena, &three, "{me, nonode@nohost, 1}"));
    CHECK_OK(mote_send_term(self, here, away)); /* nobody yet */
    CHECK_OK(mote_register(self, "me", me));
    CHECK_OK(mote_alias(self, 0, &alias));
    mote_term all[] = {here, atom("me"), mote_ref_term(alias), mote_pid_term(me)};
    for (int i = 0; i < COUNT(all); i++) {
        CHECK_OK(mote_send_term(self, all[i], three));
        CHECK_OK(mote_send(self, all[i], "{n, ?}", i));
        CHECK_OK(mote_send_after(self, 0, all[i], &timer, "{timer, ?}", i));
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK(mote_term_same(m, three));
        CHECK_OK(mote_forward(self, all[i]));
        CHECK_INT(mote_term_type(mote_message(self)), MOTE_NONE);
        CHECK_OK(mote_receive_match(self, 0, "{n, ^}", i));
        CHECK_OK(mote_receive_match(self, 0, "^", three));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{timer, ^}", i));
    }
    CHECK_OK(mote_send(self, away, "lost"));
    CHECK_INT(mote_send(self, three, "lost"), MOTE_ETERM);
    CHECK_INT(mote_send(self, MOTE_TERM_NIL, "lost"), MOTE_ETERM);
    CHECK_INT(mote_send(self, MOTE_TERM_NONE, "lost"), MOTE_ETERM);
    CHECK_OK(mote_send_priority(self, "me", three));
    CHECK_OK(mote_send(self, mote_atom_make("me"), "atom"));
    CHECK_OK(mote_receive_match(self, 0, "^", three));
    CHECK_OK(mote_receive_match(self, 0, "atom"));
    nothing_left(self);
    mote_arena_free(arena);
    return 0;
}
BOTH(destination, destinations)

/* ------------------------------------------------------------------------------------------ flags, leaders, info */

static int64_t do_leader(mote_self *self, mote_term arg) {
    mote_pid leader;
    CHECK_OK(mote_group_leader(self, &leader));
    return leader.word == pid_of(arg).word;
}
static int64_t do_spawn(mote_self *self, mote_term arg) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, puppet, MOTE_TERM_NIL, &pid));
    return mote_send(self, pid_of(arg), "{child, ?}", pid);
}
static int flags_and_leaders(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self), a = new_puppet(self, "plain"), b, leader;
    int64_t old = 7;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, &old));
    CHECK_INT(old, 0);
    CHECK(info_of(self, me).trap_exit);
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 0, &old));
    CHECK_INT(old, 1);
    CHECK(!info_of(self, me).trap_exit);
    CHECK_OK(mote_flag_set(self, MOTE_PRIORITY, MOTE_HIGH, &old));
    CHECK_INT(old, MOTE_NORMAL);
    CHECK_INT(info_of(self, me).priority, MOTE_HIGH);
    CHECK_OK(mote_yield(self));
    CHECK_OK(mote_flag_set(self, MOTE_PRIORITY, MOTE_LOW, &old));
    CHECK_INT(old, MOTE_HIGH);
    CHECK_OK(mote_yield(self));
    CHECK_OK(mote_flag_set(self, MOTE_PRIORITY, MOTE_NORMAL, NULL));
    CHECK_OK(mote_group_leader(self, &leader));
    CHECK(leader.word == me.word);
    CHECK_INT(call_pid(self, a, do_leader, me), true);
    CHECK_OK(mote_group_leader_set(self, a, a));
    CHECK_INT(call_pid(self, a, do_leader, a), true);
    CHECK(info_of(self, a).group_leader.word == a.word);
    CHECK_INT(call(self, a, do_spawn, self_term(self)), MOTE_OK);
    CHECK_OK(mote_receive_match(self, 0, "{child, ?}", &b));
    CHECK_INT(call_pid(self, b, do_leader, a), true);
    CHECK_OK(mote_group_leader_set(self, me, b));
    CHECK_INT(call_pid(self, b, do_leader, me), true);
    CHECK(info_of(self, me).group_leader.word == me.word);
    end(self, b, "normal");
    settle(self, 1);
    CHECK_OK(mote_group_leader_set(self, me, b));
    return 0;
}
BOTH(flags, flags_and_leaders)

static int informs(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "trap"), b = new_puppet(self, "trap");
    (void)context;
    CHECK_INT(call_pid(self, a, do_link, b), MOTE_OK);
    CHECK_INT(call_pid(self, a, do_monitor, b), MOTE_OK);
    CHECK_INT(call_pid(self, a, do_monitor, b), MOTE_OK);
    CHECK_INT(call_pid(self, b, do_monitor, a), MOTE_OK);
    CHECK_INT(call(self, a, do_alias, self_term(self)), MOTE_OK);
    CHECK_OK(mote_sleep(self, 40));
    mote_process_info of_a = info_of(self, a), of_b = info_of(self, b);
    CHECK(of_a.links == 1 && of_a.monitors == 2 && of_a.monitored_by == 1 && of_a.aliases == 1 && of_a.trap_exit);
    CHECK(of_b.links == 1 && of_b.monitors == 1 && of_b.monitored_by == 2 && of_b.aliases == 0);
    CHECK(of_a.function == (const void *)(uintptr_t)puppet && !of_a.registered.word);
    CHECK(of_a.lived_ms >= 17 && of_a.lived_ms < 2 * PATIENCE_MS);
    CHECK(of_a.group_leader.word == mote_self_pid(self).word);
    return 0;
}
BOTH(information, informs)

/* More relations than a list holds: each is found, and each is told once. */
static int many_relations(mote_self *self, void *context) {
    enum { N = 60 };
    mote_pid pids[N];
    mote_ref refs[N], aliases[N];
    (void)context;
    traps(self, 1);
    for (int i = 0; i < N; i++) {
        CHECK_OK(mote_spawn_link(self, puppet, MOTE_TERM_NIL, &pids[i]));
        CHECK_OK(mote_monitor(self, pids[i], &refs[i]));
        CHECK_OK(mote_alias(self, 0, &aliases[i]));
        if (i) CHECK_INT(call_pid(self, pids[0], do_link, pids[i]), MOTE_OK);
        if (i) CHECK_INT(call_pid(self, pids[0], do_unlink, pids[i]), MOTE_OK);
        if (i) CHECK_INT(call_pid(self, pids[i], do_monitor, pids[0]), MOTE_OK);
    }
    mote_process_info mine = info_of(self, mote_self_pid(self)), zero = info_of(self, pids[0]);
    CHECK(mine.links == N && mine.monitors == N && mine.aliases == N);
    CHECK(zero.links == 1 && zero.monitored_by == N);
    for (int i = 0; i < N; i += 3) CHECK_OK(mote_unlink(self, pids[i]));
    for (int i = 1; i < N; i += 3) CHECK_OK(mote_demonitor(self, refs[i], true, NULL));
    for (int i = 2; i < N; i += 3) CHECK_OK(mote_unalias(self, aliases[i]));
    for (int i = 0; i < N; i++) CHECK_OK(mote_send(self, aliases[i], "{through, ?}", i));
    for (int i = 0; i < N; i++) CHECK_INT(mote_receive_match(self, 0, "{through, ^}", i), i % 3 == 2 ? MOTE_TIMEOUT : MOTE_OK);
    for (int i = 0; i < N; i++) end(self, pids[i], "crash");
    settle(self, 0);
    for (int i = 0; i < N; i++) {
        CHECK_INT(mote_receive_match(self, 0, "{'EXIT', ^, crash}", pids[i]), i % 3 == 0 ? MOTE_TIMEOUT : MOTE_OK);
        CHECK_INT(mote_receive_match(self, 0, "{'DOWN', ^, process, ^, crash}", refs[i], pids[i]), i % 3 == 1 ? MOTE_TIMEOUT : MOTE_OK);
    }
    nothing_left(self);
    return 0;
}
BOTH(many, many_relations)

/* -------------------------------------------------------------------------------------- receive_ref, is_alive */

static int about_references(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_ref refs[3], other = mote_ref_make(self);
    mote_term m;
    (void)context;
    for (int round = 0; round < 2; round++) { /* the newest reference, and an older one */
        CHECK_OK(mote_send(self, me, "{junk, ?}", other));
        refs[0] = mote_ref_make(self);
        if (round) refs[1] = mote_ref_make(self);
        CHECK_OK(mote_send(self, me, "{}"));
        CHECK_OK(mote_send(self, me, "{a, b, ?}", refs[0]));
        CHECK_OK(mote_send(self, me, "{?}", refs[0]));
        CHECK_OK(mote_send(self, me, "{reply, ?}", refs[0]));
        CHECK_OK(mote_send(self, me, "{[alias | ?], x}", refs[0]));
        CHECK_OK(mote_send(self, me, "{[alias | ?], x}", other));
        CHECK_OK(mote_receive_ref(self, 0, refs[0], &m));
        CHECK(mote_match(m, "{_}"));
        CHECK_OK(mote_receive_ref(self, 0, refs[0], &m));
        CHECK(mote_match(m, "{reply, _}"));
        CHECK_OK(mote_receive_ref(self, 0, refs[0], &m));
        CHECK(mote_match(m, "{[alias | ^], x}", refs[0]));
        m = atom("untouched");
        CHECK_INT(mote_receive_ref(self, 0, refs[0], &m), MOTE_TIMEOUT);
        CHECK_INT(mote_receive_ref(self, 2, refs[0], &m), MOTE_TIMEOUT);
        CHECK_TERM(m, "untouched");
        for (int i = 0; i < 2; i++) CHECK_OK(mote_receive_ref(self, 0, other, &m));
        CHECK_OK(mote_receive_match(self, 0, "{}"));
        CHECK_OK(mote_receive_match(self, 0, "{a, b, _}"));
        nothing_left(self);
    }
    CHECK_OK(mote_send_after(self, 5, me, NULL, "{late, ?}", other));
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, other, &m));
    return 0;
}
BOTH(receive_ref, about_references)

static bool lives(mote_self *self, mote_pid pid) {
    bool alive;
    CHECK_OK(mote_is_alive(self, pid, &alive));
    return alive;
}
static int who_lives(mote_self *self, void *context) {
    (void)context;
    CHECK(lives(self, mote_self_pid(self)));
    CHECK(!lives(self, mote_self_pid(NULL)));
    for (int i = 0; i < scaled(2000); i++) {
        mote_pid a = new_puppet(self, "trap");
        CHECK(lives(self, a));
        CHECK_OK(mote_exit_send(self, a, atom(i % 2 ? "kill" : "trapped")));
        CHECK_INT(lives(self, a), i % 2 == 0);
        CHECK_OK(mote_exit_send(self, a, atom("kill")));
        CHECK(!lives(self, a));
        mote_ref ref;
        CHECK_OK(mote_monitor(self, a, &ref));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, ^, _}", ref, a));
    }
    return 0;
}
BOTH(is_alive, who_lives)

/* -------------------------------------------------------------------------------------------------- hibernation */

static atomic_int awakened;
static void awake(mote_self *self, mote_term arg) {
    mote_pid to;
    mote_term m;
    atomic_fetch_add(&awakened, 1);
    CHECK(mote_match(arg, "{?, [counted_state, 1, 2]}", &to));
    CHECK_INT(mote_term_type(mote_message(self)), MOTE_NONE);
    CHECK_OK(mote_receive(self, 0, &m));
    if (mote_match(m, "stop")) return;
    CHECK_OK(mote_send(self, to, "{awake, ?}", m));
    CHECK_INT(mote_hibernate(self, awake, arg), MOTE_OK);
}
static void sleepy(mote_self *self, mote_term arg) {
    char stack[8000];
    mote_term with;
    memset(stack, 1, sizeof stack);
    CHECK_OK(mote_build(mote_scratch(self), &with, "{?, ?}", pid_of(arg), parsed(mote_scratch(self), "[counted_state, 1, 2]")));
    if (stack[77] == 1) CHECK_INT(mote_hibernate(self, awake, with), MOTE_OK);
    CHECK(false);
}
static int hibernations(mote_self *self, void *context) {
    mote_spawn_options o[] = {{.body = sleepy}, {.body = sleepy, .stack_size = 200000}, {.body = sleepy, .mailbox_max = 3, .name = "sleepy"}};
    mote_ref ref;
    (void)context;
    for (int k = 0; k < COUNT(o); k++) {
        mote_pid pid;
        int n, before = atomic_load(&awakened);
        o[k].monitor = &ref;
        CHECK_OK(mote_spawn_opt(self, &o[k], self_term(self), &pid));
        for (int i = 0; i < 100; i++) {
            if (i % 3 == 0) wait_idle(self, pid);
            if (i % 5 == 0) CHECK_OK(mote_link(self, pid)); /* signals alone do not wake it */
            if (i % 5 == 0) CHECK_OK(mote_unlink(self, pid));
            CHECK_OK(mote_send(self, pid, "{n, ?}", i));
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{awake, {n, ?}}", &n));
            CHECK_INT(n, i);
        }
        wait_idle(self, pid);
        CHECK(info_of(self, pid).memory < 1500);
        CHECK_INT(atomic_load(&awakened), before + 100);
        if (k == 0) CHECK_OK(mote_send(self, pid, "stop"));
        else CHECK_OK(mote_exit_send(self, pid, atom("why")));
        expect_down(self, ref, mote_pid_term(pid), k == 0 ? "normal" : "why");
    }
    settle(self, 0);
    nothing_left(self);
    return 0;
}
BOTH(hibernate, hibernations)

/* ------------------------------------------------------------------------------------------ bugs and certificates */

static void bug_error(mote_self *self) { mote_error(self, atom("oops")); }
static void bug_assert(mote_self *self) { mote_assert(self, 1 + 1 == 2), mote_assert(self, 1 + 1 == 3); }
/* What the macros call, for other languages. */
static void bug_called(mote_self *self) { mote_check_at(self, "other.py", 7, MOTE_OK), mote_check_at(self, "other.py", 7, MOTE_EBUSY); }
static void bug_called_error(mote_self *self) { mote_error_at(self, "other.py", 8, atom("oops")); }
static void bug_called_assertion(mote_self *self) { mote_assertion_failed(self, NULL, 9, NULL); }
static void bug_must(mote_self *self) { mote_must(self, MOTE_OK), mote_must(self, MOTE_EBUSY); }
static int64_t do_bug(mote_self *self, mote_term arg) {
    int n;
    CHECK(mote_match(arg, "?", &n));
    static void (*const all[])(mote_self *) = {bug_error, bug_assert, bug_must, bug_called_error, bug_called_assertion, bug_called};
    all[n](self);
    return 0;
}
/* What the reason says happened: the name of it, and a text. */
static void check_what(int which, mote_term what) {
    mote_bytes text = {"oops", 4}, code;
    static const char *const texts[] = {"oops", "1 + 1 == 3", "MOTE_EBUSY"};
    CHECK(which != 0 || mote_match(what, "oops"));
    CHECK(which != 1 || mote_match(what, "{assertion_failed, ?}", &text));
    CHECK(which != 2 || mote_match(what, "{mote_error, ?, ?}", &text, &code));
    CHECK_INT(text.size, strlen(texts[which]));
    CHECK(memcmp(text.data, texts[which], text.size) == 0);
}
static int bugs(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < 3; i++) {
        mote_pid pid;
        mote_ref ref;
        mote_term why, m;
        mote_bytes file;
        int line;
        CHECK_OK(mote_spawn_monitor(self, puppet, MOTE_TERM_NIL, &pid, &ref));
        (void)cast(self, pid, do_bug, mote_int_make(NULL, i));
        CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
        CHECK(mote_match(m, "{'DOWN', _, process, _, {error, ?, {?, ?}}}", &why, &file, &line));
        check_what(i, why);
        CHECK(file.size >= 15 && memcmp((const char *)file.data + file.size - 15, "relation_test.c", 15) == 0 && line > 100);
    }
    return 0;
}
BOTH(errors, bugs)

static int called_bugs(mote_self *self, void *context) {
    (void)context;
    for (int i = 3; i < 6; i++) {
        mote_pid pid;
        mote_ref ref;
        mote_term why, m;
        mote_bytes file, what;
        int line;
        CHECK_OK(mote_spawn_monitor(self, puppet, MOTE_TERM_NIL, &pid, &ref));
        (void)cast(self, pid, do_bug, mote_int_make(NULL, i));
        CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
        CHECK(mote_match(m, "{'DOWN', _, process, _, {error, ?, {?, ?}}}", &why, &file, &line));
        CHECK_INT(line, i == 3 ? 8 : i == 4 ? 9 : 7);
        CHECK_INT(file.size, i == 4 ? 1 : 8); /* "?" for no file */
        CHECK(i != 3 || mote_match(why, "oops"));
        CHECK(i != 4 || (mote_match(why, "{assertion_failed, ?}", &what) && what.size == 1));
        CHECK(i != 5 || (mote_match(why, "{mote_error, ?, _}", &what) && what.size == 10));
    }
    return 0;
}
BOTH(errors_of_other_languages, called_bugs)

static mote_term certificate(mote_self *self, mote_pid pid) {
    mote_term t;
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_death, #{pid := ^}}", pid));
    CHECK(mote_match(mote_message(self), "{_, ?}", &t));
    return t;
}
static void part(mote_term map, const char *key, const char *want) {
    mote_term value;
    CHECK_OK(mote_map_get(map, atom(key), &value));
    CHECK_TERM(value, want);
}
static int64_t do_bug_with_hands_full(mote_self *self, mote_term arg) {
    CHECK_OK(mote_send(self, mote_self_pid(self), "{more, 1}"));
    CHECK_OK(mote_send(self, mote_self_pid(self), "17"));
    CHECK_OK(mote_send(self, mote_self_pid(self), "[list]"));
    CHECK_INT(info_of(self, mote_self_pid(self)).mailbox, 3);
    return do_bug(self, arg);
}
static int full_certificate(mote_self *self, void *context) {
    mote_ref ref;
    mote_pid pid, other = new_puppet(self, "trap");
    mote_bytes name;
    mote_term where, place;
    mote_spawn_options o = {.body = puppet, .name = "worker", .monitor = &ref};
    (void)context;
    CHECK_OK(mote_deaths_to(self, mote_self_pid(self)));
    CHECK_OK(mote_spawn_opt(self, &o, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_register(self, "the_worker", pid));
    CHECK_INT(call_pid(self, pid, do_link, other), MOTE_OK);
    (void)cast(self, pid, do_bug_with_hands_full, mote_int_make(NULL, 0));
    mote_term t = certificate(self, pid);
    CHECK(mote_match(t, "#{name := ?, where := ?, reason := {error, oops, ?}}", &name, &where, &place));
    CHECK(name.size == 6 && memcmp(name.data, "worker", 6) == 0);
    CHECK(mote_term_same(where, place));
    part(t, "registered", "the_worker");
    part(t, "handler", "false");
    part(t, "messages", "[call,more,17,list]");
    part(t, "mailbox", "3");
    part(t, "links", "1");
    part(t, "monitors", "1");
    part(t, "missed", "0");
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, ^, {error, oops, _}}", ref, pid));
    return 0;
}
BOTH(certificates, full_certificate)

/* Who ended it, and who gets none. */
static int other_certificates(mote_self *self, void *context) {
    mote_pid a = new_puppet(self, "plain"), b = new_puppet(self, "plain"), c = new_puppet(self, "plain"), me = mote_self_pid(self);
    mote_term shutdown, t;
    (void)context;
    CHECK_OK(mote_deaths_to(self, me));
    CHECK_INT(call_pid(self, a, do_link, b), MOTE_OK);
    CHECK_OK(mote_exit_send(self, a, atom("kill")));
    t = certificate(self, a);
    CHECK(mote_match(t, "#{where := {signal, ^}, reason := killed, registered := undefined, messages := []}", me));
    t = certificate(self, b);
    CHECK(mote_match(t, "#{where := {link, ^}, reason := killed, links := 0}", a));
    end(self, c, "why");
    t = certificate(self, c);
    CHECK(mote_match(t, "#{where := exit, reason := why, messages := [call], mailbox := 0}"));
    CHECK_OK(mote_spawn_handler(self, &ends_with_it, MOTE_TERM_NIL, &a));
    CHECK_OK(mote_send(self, a, "{because, 1}"));
    t = certificate(self, a);
    CHECK(mote_match(t, "#{where := exit, reason := {because, 1}, messages := [because], handler := true}"));
    CHECK_OK(mote_build(mote_scratch(self), &shutdown, "{shutdown, [1]}"));
    mote_term planned[] = {atom("normal"), atom("shutdown"), shutdown};
    for (int i = 0; i < 3; i++) (void)cast(self, new_puppet(self, "plain"), do_exit, planned[i]);
    settle(self, 0);
    nothing_left(self);
    CHECK_OK(mote_deaths_to(self, mote_self_pid(NULL)));
    end(self, new_puppet(self, "plain"), "unseen");
    settle(self, 0);
    nothing_left(self);
    return 0;
}
BOTH(other_deaths, other_certificates)

/* At most so many a second; the others are counted, and none is lost from the count. */
static int too_many_deaths(mote_self *self, void *context) {
    int told = 0, all = 0, missed, deaths = 50;
    (void)context;
    CHECK_OK(mote_deaths_to(self, mote_self_pid(self)));
    uint64_t since = now_ns();
    for (int i = 0; i < deaths; i++) end(self, new_puppet(self, "plain"), "crash");
    settle(self, 0);
    int64_t took = ms_since(since);
    CHECK_OK(mote_sleep(self, 1100));
    end(self, new_puppet(self, "plain"), "crash");
    settle(self, 0);
    while (mote_receive_match(self, 0, "{mote_death, #{missed := ?}}", &missed) == MOTE_OK) told++, all += 1 + missed;
    CHECK_INT(all, deaths + 1);
    CHECK(told <= 21 + 20 * (1 + took / 1000));
    return 0;
}
BOTH(death_limit, too_many_deaths)

/* ------------------------------------------------------------------------------------------------------ errors */

#define GIVES(call, err) CHECK_STR(mote_err_name(call), #err)

static void without_self(void) {
    mote_pid pid = {77}, nobody = mote_self_pid(NULL);
    mote_ref ref = {77};
    mote_term x = atom("x");
    size_t count = 77;
    bool yes = true;
    int64_t old = 77;
    GIVES(mote_flag_set(NULL, MOTE_TRAP_EXIT, 1, &old), MOTE_ESELF);
    GIVES(mote_link(NULL, nobody), MOTE_ESELF);
    GIVES(mote_unlink(NULL, nobody), MOTE_ESELF);
    GIVES(mote_spawn_link(NULL, puppet, x, &pid), MOTE_ESELF);
    GIVES(mote_spawn_monitor(NULL, puppet, x, &pid, &ref), MOTE_ESELF);
    GIVES(mote_monitor(NULL, nobody, &ref), MOTE_ESELF);
    GIVES(mote_monitor_opt(NULL, nobody, NULL, &ref), MOTE_ESELF);
    GIVES(mote_demonitor(NULL, ref, true, &yes), MOTE_ESELF);
    GIVES(mote_alias(NULL, 0, &ref), MOTE_ESELF);
    GIVES(mote_unalias(NULL, ref), MOTE_ESELF);
    GIVES(mote_is_alive(NULL, nobody, &yes), MOTE_ESELF);
    GIVES(mote_hibernate(NULL, puppet, x), MOTE_ESELF);
    GIVES(mote_register(NULL, x, nobody), MOTE_ESELF);
    GIVES(mote_unregister(NULL, x), MOTE_ESELF);
    GIVES(mote_whereis(NULL, x, &pid), MOTE_ESELF);
    GIVES(mote_registered(NULL, NULL, 0, &count), MOTE_ESELF);
    GIVES(mote_group_leader(NULL, &pid), MOTE_ESELF);
    GIVES(mote_group_leader_set(NULL, nobody, nobody), MOTE_ESELF);
    GIVES(mote_deaths_to(NULL, nobody), MOTE_ESELF);
    GIVES(mote_send_priority(NULL, nobody, x), MOTE_ESELF);
    GIVES(mote_send_opt(NULL, nobody, x, 0), MOTE_ESELF);
    GIVES(mote_receive_ref(NULL, 0, ref, &x), MOTE_ESELF);
    CHECK(pid.word == 77 && ref.word == 77 && count == 77 && yes && old == 77);
}

/* Every result is NULL, every choice absurd, in turn. */
static void bad_arguments(mote_self *self) {
    mote_ref ref = {77};
    mote_pid me = mote_self_pid(self), pid = {77};
    size_t count = 77;
    int64_t old = 77;
    mote_monitor_options odd = {.alias = (mote_alias_mode)4}, none = {.tag = MOTE_TERM_NONE};
    mote_spawn_options o = {.body = puppet, .monitor = &ref, .monitoring = {.alias = (mote_alias_mode)4}};
    GIVES(mote_flag_set(self, (mote_flag)3, 1, &old), MOTE_EARG);
    GIVES(mote_flag_set(self, MOTE_TRAP_EXIT, 2, &old), MOTE_EARG);
    GIVES(mote_flag_set(self, MOTE_TRAP_EXIT, -1, &old), MOTE_EARG);
    GIVES(mote_flag_set(self, MOTE_PRIORITY, MOTE_LOW + 1, &old), MOTE_EARG);
    GIVES(mote_flag_set(self, MOTE_PRIORITY, -1, &old), MOTE_EARG);
    GIVES(mote_spawn_monitor(self, puppet, MOTE_TERM_NIL, &pid, NULL), MOTE_EARG);
    GIVES(mote_spawn_monitor(self, NULL, MOTE_TERM_NIL, &pid, &ref), MOTE_EARG);
    GIVES(mote_spawn_link(self, NULL, MOTE_TERM_NIL, &pid), MOTE_EARG);
    GIVES(mote_spawn_link(self, puppet, MOTE_TERM_NONE, &pid), MOTE_ETERM);
    GIVES(mote_spawn_opt(self, &o, MOTE_TERM_NIL, &pid), MOTE_EARG);
    GIVES(mote_monitor(self, me, NULL), MOTE_EARG);
    GIVES(mote_monitor_opt(self, me, &odd, &ref), MOTE_EARG);
    CHECK_OK(mote_monitor_opt(self, me, &none, &(mote_ref){0}));
    GIVES(mote_alias(self, 0, NULL), MOTE_EARG);
    GIVES(mote_alias(self, 4, &ref), MOTE_EARG);
    GIVES(mote_is_alive(self, me, NULL), MOTE_EARG);
    GIVES(mote_hibernate(self, NULL, MOTE_TERM_NIL), MOTE_EARG);
    GIVES(mote_hibernate(self, puppet, MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_whereis(self, "x", NULL), MOTE_EARG);
    GIVES(mote_registered(self, NULL, 0, NULL), MOTE_EARG);
    GIVES(mote_registered(self, NULL, 1, &count), MOTE_EARG);
    GIVES(mote_group_leader(self, NULL), MOTE_EARG);
    GIVES(mote_receive_ref(self, 0, ref, NULL), MOTE_EARG);
    GIVES(mote_receive_ref(self, -2, ref, &(mote_term){0}), MOTE_EARG);
    CHECK(ref.word == 77 && pid.word == 77 && count == 77 && old == 77);
}

static void bad_terms(mote_self *self) {
    mote_pid me = mote_self_pid(self), odd = {mote_atom_make("x").word}, pid = {77};
    mote_ref ref = {77}, made = mote_ref_make(self);
    mote_term one = mote_int_make(NULL, 1);
    bool active = true;
    GIVES(mote_link(self, odd), MOTE_ETERM);
    GIVES(mote_link(self, (mote_pid){0}), MOTE_ETERM);
    GIVES(mote_unlink(self, odd), MOTE_ETERM);
    GIVES(mote_monitor(self, one, &ref), MOTE_ETERM);
    GIVES(mote_monitor(self, made, &ref), MOTE_ETERM);
    GIVES(mote_monitor(self, MOTE_TERM_NONE, &ref), MOTE_ETERM);
    GIVES(mote_exit_send(self, made, one), MOTE_ETERM);
    GIVES(mote_exit_after(self, 1, made, one, NULL), MOTE_ETERM);
    GIVES(mote_group_leader_set(self, me, odd), MOTE_ETERM);
    GIVES(mote_group_leader_set(self, odd, me), MOTE_ETERM);
    GIVES(mote_deaths_to(self, odd), MOTE_ETERM);
    GIVES(mote_send_priority(self, one, one), MOTE_ETERM);
    GIVES(mote_send_priority(self, me, MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_send_priority(self, "nobody", one), MOTE_ENAME);
    GIVES(mote_register(self, one, me), MOTE_ENAME);
    GIVES(mote_register(self, "x", odd), MOTE_ENOPROC);
    GIVES(mote_register(self, "x", mote_self_pid(NULL)), MOTE_ENOPROC);
    GIVES(mote_unregister(self, one), MOTE_ENAME);
    GIVES(mote_unregister(self, "nobody"), MOTE_ENAME);
    GIVES(mote_whereis(self, one, &pid), MOTE_ENAME);
    GIVES(mote_whereis(self, "nobody", &pid), MOTE_ENAME);
    GIVES(mote_unalias(self, made), MOTE_NOMATCH);
    GIVES(mote_unalias(self, (mote_ref){0}), MOTE_NOMATCH);
    CHECK_OK(mote_demonitor(self, (mote_ref){0}, true, &active));
    CHECK(!active && ref.word == 77 && pid.word == 77);
    nothing_left(self);
}

static mote_err seen[4];
static void handler_asks(mote_self *self, mote_term message, void *state) {
    bool alive;
    mote_term m;
    (void)state;
    seen[0] = mote_is_alive(self, pid_of(message), &alive);
    seen[1] = mote_hibernate(self, puppet, MOTE_TERM_NIL);
    seen[2] = mote_receive_ref(self, 0, mote_ref_make(self), &m);
    mote_exit(self, atom("asked"));
}
static const mote_handler asker = {.name = "asker", .handle = handler_asks};
static int wrong_places(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref ref;
    mote_spawn_options o = {.handler = &asker, .monitor = &ref};
    (void)context;
    bad_arguments(self);
    bad_terms(self);
    CHECK_OK(mote_spawn_opt(self, &o, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, pid, "?", mote_self_pid(self))); /* who runs, when there are two schedulers, or waits */
    expect_down(self, ref, mote_pid_term(pid), "asked");
    CHECK(seen[0] == MOTE_OK || seen[0] == MOTE_ECONTEXT);
    GIVES(seen[1], MOTE_ECONTEXT);
    GIVES(seen[2], MOTE_ECONTEXT);
    return 0;
}
BOTH(wrong_calls, wrong_places)

/* An attached thread is told, when it traps, and ended by nothing. */
static void attached_thread(void) {
    mote_runtime *rt;
    mote_self *self;
    mote_pid pid;
    mote_ref ref;
    CHECK_OK(mote_runtime_start(&(mote_options){.schedulers = 2, .log = quiet, .chaos_seed = chaos_seed()}, &rt));
    CHECK_OK(mote_attach(rt, &self));
    CHECK_INT(mote_hibernate(self, puppet, MOTE_TERM_NIL), MOTE_ECONTEXT);
    for (int i = 0; i < 50; i++) {
        traps(self, i % 2);
        CHECK_OK(mote_spawn_opt(self, &(mote_spawn_options){.body = puppet, .link = true, .monitor = &ref}, MOTE_TERM_NIL, &pid));
        CHECK_OK(mote_register(self, "puppet", pid));
        CHECK_OK(mote_exit_send(self, "puppet", atom("crash")));
        expect_down(self, ref, mote_pid_term(pid), "crash");
        CHECK_INT(mote_receive_match(self, i % 2 ? PATIENCE_MS : 0, "{'EXIT', ^, crash}", pid), i % 2 ? MOTE_OK : MOTE_TIMEOUT);
    }
    CHECK_OK(mote_spawn_link(self, puppet, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_detach(self)); /* normal: the child stays, linked with nobody */
    CHECK_OK(mote_attach(rt, &self));
    CHECK_INT(info_of(self, pid).links, 0);
    CHECK_OK(mote_detach(self));
    CHECK_INT(mote_runtime_stop(rt, 0), MOTE_TIMEOUT);
}

/* ------------------------------------------------------------------------------------------------------ stress */

static uint64_t next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}
static uint64_t new_seed(int round) { return (chaos_seed() + 1) * 0x9e3779b97f4a7c15u + (uint64_t)round * 2654435761u + 1; }

/* One that links and unlinks at random with one that does not, and ends: it is linked, or not, by what it called last. */
static void see_exits(mote_self *self, mote_pid other, bool *linked) {
    while (mote_receive_match(self, 0, "{'EXIT', ^, _}", other) == MOTE_OK) {
        CHECK(*linked);
        *linked = false;
    }
}
static int64_t do_strict(mote_self *self, mote_term arg) {
    mote_pid other;
    unsigned long seed;
    bool linked = false;
    CHECK(mote_match(arg, "{?, ?}", &other, &seed));
    for (int i = 0; i < 40; i++) {
        uint64_t what = next(&seed) % 4;
        if (what < 3) see_exits(self, other, &linked);
        if (what == 1) CHECK_OK(mote_link(self, other));
        if (what == 2) CHECK_OK(mote_unlink(self, other));
        if (what == 1 || what == 2) linked = what == 1;
        if (what == 3) CHECK_OK(mote_yield(self));
    }
    CHECK_OK(mote_exit_send(self, other, atom("kill")));
    while (lives(self, other)) CHECK_OK(mote_yield(self));
    if (linked) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, _}", other));
    return 0;
}
static void ends_soon(mote_self *self, mote_term arg) {
    int turns = 0;
    CHECK(mote_match(arg, "?", &turns));
    while (turns-- > 0) CHECK_OK(mote_yield(self));
    mote_exit(self, atom("crash"));
}
static int strict_links(mote_self *self, void *context) {
    (void)context;
    for (int round = 0; round < scaled(3000); round++) {
        uint64_t seed = new_seed(round);
        mote_pid a = new_puppet(self, "trap"), b;
        mote_term arg;
        CHECK_OK(mote_spawn(self, ends_soon, mote_int_make(NULL, (int64_t)(next(&seed) % 20)), &b));
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", b, next(&seed)));
        CHECK_INT(call(self, a, do_strict, arg), 0);
        settle(self, 1);
        CHECK_INT(call(self, a, do_count, atom("EXIT")), 0);
        CHECK_INT(info_of(self, a).links, 0);
        end(self, a, "normal");
    }
    return 0;
}
BOTH(stress_strict, strict_links)

/* Both link and unlink at will. When they have stopped they agree; the end of one is told if they are linked, and not else. */
static int64_t do_random(mote_self *self, mote_term arg) {
    mote_pid other;
    unsigned long seed;
    CHECK(mote_match(arg, "{?, ?}", &other, &seed));
    for (int i = 0; i < 60; i++) {
        uint64_t what = next(&seed) % 5;
        if (what <= 1) CHECK_OK(mote_link(self, other));
        if (what >= 3) CHECK_OK(mote_unlink(self, other));
        if (next(&seed) % 4 == 0) CHECK_OK(mote_yield(self));
    }
    return 0;
}
static int both_random(mote_self *self, void *context) {
    int linked = 0, rounds = scaled(2000);
    (void)context;
    for (int round = 0; round < rounds; round++) {
        uint64_t seed = new_seed(round);
        mote_pid a = new_puppet(self, "trap"), b = new_puppet(self, "trap");
        mote_term to_a, to_b;
        CHECK_OK(mote_build(mote_scratch(self), &to_a, "{?, ?}", b, next(&seed)));
        CHECK_OK(mote_build(mote_scratch(self), &to_b, "{?, ?}", a, next(&seed)));
        mote_ref of_a = cast(self, a, do_random, to_a), of_b = cast(self, b, do_random, to_b);
        CHECK_INT(result(self, of_a), 0);
        CHECK_INT(result(self, of_b), 0);
        CHECK_INT(call(self, a, do_nothing, MOTE_TERM_NIL), 0); /* two rounds: what was on its way has arrived, and been answered */
        CHECK_INT(call(self, b, do_nothing, MOTE_TERM_NIL), 0);
        int64_t links = (int64_t)info_of(self, a).links;
        CHECK_INT(info_of(self, b).links, links);
        linked += (int)links;
        end(self, b, "crash");
        settle(self, 1);
        CHECK_INT(call(self, a, do_count, atom("EXIT")), links);
        end(self, a, "normal");
    }
    CHECK(linked > rounds / 20 && linked < rounds - rounds / 20);
    return 0;
}
BOTH(stress_random, both_random)

/* Both do so, and one ends in the middle of it: in the end nothing is left of it at the other, who has been told at most once for each link. */
static int64_t do_random_end(mote_self *self, mote_term arg) {
    int64_t done = do_random(self, arg);
    CHECK_INT(done, 0);
    mote_exit(self, atom("crash"));
}
static int ends_amid(mote_self *self, void *context) {
    (void)context;
    for (int round = 0; round < scaled(2000); round++) {
        uint64_t seed = new_seed(round);
        mote_pid a = new_puppet(self, "trap"), b = new_puppet(self, "trap");
        mote_term to_a, to_b;
        CHECK_OK(mote_build(mote_scratch(self), &to_a, "{?, ?}", b, next(&seed)));
        CHECK_OK(mote_build(mote_scratch(self), &to_b, "{?, ?}", a, next(&seed)));
        (void)cast(self, b, do_random_end, to_b);
        if (round % 2) CHECK_OK(mote_exit_send(self, b, atom("kill")));
        CHECK_INT(call(self, a, do_random, to_a), 0);
        settle(self, 1);
        CHECK_INT(call(self, a, do_nothing, MOTE_TERM_NIL), 0);
        CHECK_INT(info_of(self, a).links, 0);
        CHECK(call(self, a, do_count, atom("EXIT")) <= 61);
        end(self, a, "normal");
    }
    return 0;
}
BOTH(stress_end, ends_amid)

/* A web of monitors and links; many end; each that is left has been told of each of its own that ended, once. */
enum { WEB = 1000, EDGES = 6, LINKS = 3 };
static struct member {
    mote_pid pid;
    mote_ref refs[EDGES];
    int monitors[EDGES], links[LINKS];
    bool ended;
} web[WEB];

static int64_t do_weave(mote_self *self, mote_term arg) {
    int me = 0;
    CHECK(mote_match(arg, "?", &me));
    for (int i = 0; i < EDGES; i++) CHECK_OK(mote_monitor(self, web[web[me].monitors[i]].pid, &web[me].refs[i]));
    for (int i = 0; i < LINKS; i++) CHECK_OK(mote_link(self, web[web[me].links[i]].pid));
    return 0;
}
static bool are_linked(int a, int b) {
    bool linked = false;
    for (int i = 0; i < LINKS; i++) linked |= (web[a].links[i] == b || web[b].links[i] == a) && a != b;
    return linked;
}
static int64_t do_check(mote_self *self, mote_term arg) {
    int me = 0;
    CHECK(mote_match(arg, "?", &me));
    for (int i = 0; i < EDGES; i++) {
        int other = web[me].monitors[i], want = web[other].ended && other != me ? MOTE_OK : MOTE_TIMEOUT;
        CHECK_INT(mote_receive_match(self, 0, "{'DOWN', ^, process, ^, _}", web[me].refs[i], web[other].pid), want);
    }
    for (int other = 0; other < WEB; other++)
        if (are_linked(me, other))
            CHECK_INT(mote_receive_match(self, 0, "{'EXIT', ^, _}", web[other].pid), web[other].ended ? MOTE_OK : MOTE_TIMEOUT);
    nothing_left(self);
    return 0;
}
static void call_all(mote_self *self, action *what, int n) {
    static mote_ref refs[WEB];
    for (int i = 0; i < n; i++)
        if (!web[i].ended) refs[i] = cast(self, web[i].pid, what, mote_int_make(NULL, i));
    for (int i = 0; i < n; i++)
        if (!web[i].ended) CHECK_INT(result(self, refs[i]), 0);
}
/* Ends those marked in its share, in its own order, some by signal, some by their own hand. */
static void killer(mote_self *self, mote_term arg) {
    int first = 0, n = 0;
    CHECK(mote_match(arg, "{?, ?}", &first, &n));
    for (int i = first; i < n; i += 3) {
        if (!web[i].ended) continue;
        if (i % 2) CHECK_OK(mote_exit_send(self, web[i].pid, atom("kill")));
        else end(self, web[i].pid, "crash");
    }
}
static int webs(mote_self *self, void *context) {
    int n = under_tool() ? 100 : WEB;
    (void)context;
    for (int round = 0; round < (under_tool() ? 2 : 5); round++) {
        uint64_t seed = new_seed(round);
        size_t left = 0;
        for (int i = 0; i < n; i++) {
            web[i] = (struct member){.pid = new_puppet(self, "trap")};
            for (int k = 0; k < EDGES; k++) web[i].monitors[k] = (int)(next(&seed) % (uint64_t)n);
            for (int k = 0; k < LINKS; k++) web[i].links[k] = (int)(next(&seed) % (uint64_t)n);
        }
        call_all(self, do_weave, n);
        for (int i = 0; i < n; i++) left += !(web[i].ended = next(&seed) % 2);
        for (int k = 0; k < 3; k++) {
            mote_term arg;
            CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", k, n));
            CHECK_OK(mote_spawn(self, killer, arg, NULL));
        }
        settle(self, left);
        call_all(self, do_check, n);
        for (int i = 0; i < n; i++)
            if (!web[i].ended) CHECK_OK(mote_exit_send(self, web[i].pid, atom("kill")));
        settle(self, 0);
    }
    return 0;
}
BOTH(stress_web, webs)

int main(int argc, char **argv) {
    static const struct check_test tests[] = {
        TEST_ONE_AND_TWO(links), TEST_ONE_AND_TWO(chain), TEST_ONE_AND_TWO(normal), TEST(crossed), TEST_ONE_AND_TWO(monitors),
        TEST_ONE_AND_TWO(flush), TEST_ONE_AND_TWO(spawn_related), TEST_ONE_AND_TWO(compound_reasons), TEST_ONE_AND_TWO(shared_reason),
        TEST_ONE_AND_TWO(aliases), TEST_ONE_AND_TWO(monitor_aliases), TEST_ONE_AND_TWO(alias_of_oneself), TEST_ONE_AND_TWO(stale_alias),
        TEST_ONE_AND_TWO(priority), TEST_ONE_AND_TWO(names), TEST_ONE_AND_TWO(destination),
        TEST_ONE_AND_TWO(flags), TEST_ONE_AND_TWO(information), TEST_ONE_AND_TWO(many), TEST_ONE_AND_TWO(receive_ref),
        TEST_ONE_AND_TWO(is_alive), TEST_ONE_AND_TWO(hibernate), TEST_ONE_AND_TWO(errors), TEST_ONE_AND_TWO(errors_of_other_languages), TEST_ONE_AND_TWO(certificates),
        TEST_ONE_AND_TWO(other_deaths), TEST_ONE_AND_TWO(death_limit), TEST(without_self), TEST_ONE_AND_TWO(wrong_calls), TEST(attached_thread),
        TEST_ONE_AND_TWO(stress_strict), TEST_ONE_AND_TWO(stress_random), TEST_ONE_AND_TWO(stress_end), TEST_ONE_AND_TWO(stress_web), {0}};
    return check_main(argc, argv, tests);
}
