/* SPDX-License-Identifier: Apache-2.0
 * E: registered names. F: what is gone when a process is. */
#include "conf.h"

static bool is_free(mote_self *self, const char *name) {
    mote_pid pid;
    mote_err err = mote_whereis(self, name, &pid);
    if (err != MOTE_ENAME) mote_must(self, err);
    return err == MOTE_ENAME;
}

static void come_and_go(mote_self *self, struct out *out) {
    mote_pid found, pid = idle(self);
    put_returned(out, name_it(self, "conf_e1", pid));
    put_bool(out, mote_whereis(self, "conf_e1", &found) == MOTE_OK && found.word == pid.word);
    put_returned(out, mote_unregister(self, "conf_e1"));
    put(out, "%s", is_free(self, "conf_e1") ? "undefined" : "PID");
}

static void refused(mote_self *self, struct out *out) {
    mote_pid p = idle(self), q = idle_here(self);
    mote_must(self, name_it(self, "conf_e2", p));
    put_raised(out, mote_register(self, "conf_e2", q));
    put_raised(out, name_it(self, "conf_e2b", p));
    mote_err err = name_it(self, "conf_e2c", dead(self));
    put_raised(out, err == MOTE_ENOPROC ? MOTE_EARG : err); /* told apart here; Erlang says badarg */
    put_raised(out, mote_register(self, "undefined", q));
    put_raised(out, mote_unregister(self, "conf_e2d"));
    signal_exit(self, p, "kill");
}

static void free_at_down(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_ref monitor;
        mote_pid pid = start_monitored(self, obeys, atom("normal"), &monitor);
        mote_must(self, name_it(self, "conf_e3", pid));
        tell(self, pid, "go");
        down(self, monitor);
        violations += !is_free(self, "conf_e3");
    }
    put_violations(out, violations);
}

static void free_at_exit(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    trap(self);
    for (int i = 0; i < n; i++) {
        mote_pid pid = start_linked(self, obeys, atom("normal"));
        mote_must(self, name_it(self, "conf_e4", pid));
        tell(self, pid, "go");
        mote_assert(self, mote_match(msg(self), "{'EXIT', ^, normal}", pid));
        mote_pid next = idle_here(self);
        violations += mote_register(self, "conf_e4", next) != MOTE_OK;
        signal_exit(self, next, "kill");
        is_alive(self, next);
    }
    put_violations(out, violations);
}

static void free_when_not_alive(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_pid pid = idle(self);
        mote_must(self, name_it(self, "conf_e5", pid));
        signal_exit(self, pid, "kill");
        mote_assert(self, !is_alive(self, pid));
        violations += !is_free(self, "conf_e5");
    }
    put_violations(out, violations);
}

static void wants_the_name(mote_self *self, mote_term arg) {
    mote_must(self, mote_receive_match(self, -1, "go"));
    bool won = mote_register(self, "conf_e6", mote_self_pid(self)) == MOTE_OK;
    mote_must(self, mote_send(self, pid_of(arg), "{w, ?}", won));
    mote_must(self, mote_receive_match(self, -1, "stop"));
}
static bool one_wins(mote_self *self) {
    mote_pid rivals[2];
    int winners = 0;
    for (int i = 0; i < 2; i++) rivals[i] = (i ? start : start_here)(self, wants_the_name, self_term(self));
    for (int i = 0; i < 2; i++) tell(self, rivals[i], "go");
    for (int i = 0; i < 2; i++) {
        bool won;
        mote_must(self, mote_receive_match(self, LIMIT_MS, "{w, ?}", &won));
        winners += won;
    }
    for (int i = 0; i < 2; i++) tell(self, rivals[i], "stop");
    for (int i = 0; i < 2; i++) gone(self, rivals[i]);
    return winners == 1;
}
static void name_race(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) violations += !one_wins(self);
    put_violations(out, violations);
}

const struct conf conf_names[] = {
    CONF(E, 01, come_and_go), CONF(E, 02, refused), CONF(E, 03, free_at_down), CONF(E, 04, free_at_exit),
    CONF(E, 05, free_when_not_alive), CONF(E, 06, name_race), {0},
};

/* ------------------------------------------------------------------------------------------------------ F */

static bool is_listed(mote_self *self, mote_pid pid) {
    bool found;
    processes(self, pid, &found);
    return found;
}
static void nothing_left(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    mote_process_info info;
    for (int i = 0; i < n; i++) {
        mote_ref monitor;
        mote_pid pid = start_monitored(self, ends, MOTE_TERM_NIL, &monitor);
        down(self, monitor);
        bool alive = is_alive(self, pid), known = mote_process_info_get(self, pid, LIMIT_MS, &info) != MOTE_ENOPROC;
        violations += alive || known || is_listed(self, pid);
    }
    put_violations(out, violations);
}

/* What a process owns here: memory, a clean-up that gives something back, a name. */
static atomic_int given;
static void give_back(void *context) { atomic_fetch_sub((atomic_int *)context, 1); }
static void takes(mote_self *self, mote_term arg) {
    (void)arg;
    mote_must(self, mote_cleanup_add(self, give_back, &given));
    atomic_fetch_add(&given, 1);
    mote_must(self, mote_register(self, "conf_f2", mote_self_pid(self)));
}
static void resources_gone(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(1000);
    for (int i = 0; i < n; i++) {
        mote_ref monitor;
        start_monitored(self, takes, MOTE_TERM_NIL, &monitor);
        mote_assert(self, is(down(self, monitor), "normal"));
        violations += atomic_load(&given) != 0 || !is_free(self, "conf_f2");
    }
    put_violations(out, violations);
}

static void unread_vanish(mote_self *self, struct out *out) {
    mote_pid pid = idle(self);
    for (int i = 1; i <= 1000; i++) mote_must(self, mote_send(self, pid, "?", i));
    signal_exit(self, pid, "kill");
    gone(self, pid);
    settle(self);
    put_rest(self, out);
}

static int by_word(const void *a, const void *b) {
    uint64_t x = ((const mote_pid *)a)->word, y = ((const mote_pid *)b)->word;
    return x < y ? -1 : x > y;
}
static void pids_are_new(mote_self *self, struct out *out) {
    enum { N = 100000 };
    mote_pid *pids = mote_alloc(self, N * sizeof *pids), old = dead(self);
    int distinct = 1;
    bool again = false;
    mote_assert(self, pids);
    for (int i = 0; i < N; i++) pids[i] = start_light(self, false, NULL);
    qsort(pids, N, sizeof *pids, by_word);
    for (int i = 1; i < N; i++) distinct += pids[i].word != pids[i - 1].word;
    for (int i = 0; i < N; i++) again |= pids[i].word == old.word;
    put(out, "%d", distinct);
    put_bool(out, is_alive(self, old));
    put_bool(out, again);
}

/* A process has no dictionary here: its name, its priority and its memory are what could leak. */
static void tells_what_it_has(mote_self *self, mote_term arg) {
    mote_process_info info;
    int64_t trapped = -1, priority = -1;
    const char *memory = mote_alloc(self, 16);
    mote_assert(self, memory);
    mote_must(self, mote_process_info_get(self, mote_self_pid(self), 0, &info));
    mote_must(self, mote_flag_set(self, MOTE_TRAP_EXIT, false, &trapped));
    mote_must(self, mote_flag_set(self, MOTE_PRIORITY, MOTE_NORMAL, &priority));
    bool alone = !info.registered.word && !info.links && !info.monitors && !info.aliases;
    bool bare = alone && !info.name[0] && !memory[0] && priority == MOTE_NORMAL;
    mote_must(self, mote_send(self, pid_of(arg), "{?, ?}", mote_atom_make(bare ? "undefined" : "leaks"), (bool)trapped));
}
static void no_leak(mote_self *self, struct out *out) {
    char *memory = mote_alloc(self, 16);
    mote_assert(self, memory);
    memory[0] = 'v';
    trap(self);
    mote_must(self, mote_flag_set(self, MOTE_PRIORITY, MOTE_HIGH, NULL));
    start(self, tells_what_it_has, self_term(self));
    put_term(out, msg(self));
}

/* A function that does not exist does not link: what is left is none at all, and that is refused. */
static void no_function(mote_self *self, struct out *out) {
    mote_ref monitor;
    mote_spawn_options options = {.monitor = &monitor};
    mote_term function = mote_function_make(mote_scratch(self), mote_atom_make("conf_no_such_module"), mote_atom_make("f"), 1);
    mote_must(self, mote_spawn_exported(self, function, &options, MOTE_TERM_NIL, NULL));
    put_reason(out, down(self, monitor));
}

const struct conf conf_ends[] = {
    CONF(F, 01, nothing_left), CONF(F, 02, resources_gone), CONF(F, 03, unread_vanish), CONF(F, 04, pids_are_new),
    CONF(F, 05, no_leak), CONF(F, 06, no_function), {0},
};
