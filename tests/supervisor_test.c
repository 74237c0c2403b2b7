/* SPDX-License-Identifier: Apache-2.0
 * Supervisors: order, strategies, restart rules and limits, ends that are slow or refused, children that come and go. */
#include <mote/server.h>
#include <mote/supervisor.h>

#include "live.h"

/* ------------------------------------------------------------------------------------------------ children */

/* A child that tells the test what it sees, and does what the test says. Its argument: {Supervisor, {Test, Id, Kind}}. */
static void kid(mote_self *self, mote_term arg) {
    mote_term id, kind, m, reason;
    mote_pid test, pid;
    CHECK(mote_match(arg, "{?, {?, ?, ?}}", &pid, &test, &id, &kind));
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_send(self, test, "{log, up, ?, ?}", id, mote_self_pid(self)));
    CHECK_OK(mote_send(self, pid, "{ready, ?}", mote_self_pid(self)));
    for (;;) {
        CHECK_OK(mote_receive(self, -1, &m));
        if (mote_match(m, "{'EXIT', _, ?}", &reason)) {
            CHECK_OK(mote_send(self, test, "{log, term, ?, ?}", id, reason));
            if (!mote_match(kind, "stubborn")) mote_exit(self, reason);
        } else if (mote_match(m, "{die, ?}", &reason)) {
            mote_exit(self, reason);
        } else if (mote_match(m, "{unlink, ?}", &pid)) {
            CHECK_OK(mote_unlink(self, pid));
            CHECK_OK(mote_send(self, test, "unlinked"));
        }
    }
}

static atomic_int failures; /* how often a start still fails */

/* Starts a kid and waits until it has told that it is up, so that the order of starts is seen. Fails as often as was said, and says why. */
static mote_err start_kid(mote_self *self, mote_term arg, mote_pid *child) {
    mote_pid pid;
    mote_term all;
    if (atomic_load(&failures) > 0 && mote_match(arg, "{_, _, bad}")) {
        atomic_fetch_sub(&failures, 1);
        return mote_child_refuse(self, MOTE_EOS, atom("no_luck"));
    }
    CHECK_OK(mote_build(mote_scratch(self), &all, "{?, ?}", mote_self_pid(self), arg));
    CHECK_OK(mote_spawn_link(self, kid, all, &pid));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{ready, ^}", pid));
    *child = pid;
    return MOTE_OK;
}

/* Good until the test receives. */
static mote_child_spec spec_of(mote_self *self, const char *id, const char *kind) {
    mote_child_spec spec = {.id = id, .start = start_kid};
    CHECK_OK(mote_build(mote_scratch(self), &spec.arg, "{?, ?, ?}", mote_self_pid(self), mote_atom_make(id), mote_atom_make(kind)));
    return spec;
}

/* The next thing that a child tells is `want`: "up a", or "term a Reason". Gives the pid of an up. */
static mote_pid expect(mote_self *self, const char *want) {
    mote_term what, id, x;
    char text[250], parts[2][100];
    mote_pid pid = mote_self_pid(NULL);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{log, ?, ?, ?}", &what, &id, &x));
    bool up = mote_pid_get(x, &pid) == MOTE_OK;
    mote_term_print(id, parts[0], sizeof parts[0]);
    mote_term_print(x, parts[1], sizeof parts[1]);
    snprintf(text, sizeof text, "%s %s%s%s", up ? "up" : "term", parts[0], up ? "" : " ", up ? "" : parts[1]);
    CHECK_STR(text, want);
    return pid;
}

/* The supervisor is through with all it was told before, and no child has said more. */
static void quiet(mote_self *self, mote_pid supervisor) {
    mote_term list, a, b, c;
    CHECK_OK(mote_supervisor_which_children(self, supervisor, &list));
    CHECK_INT(mote_receive_match(self, 0, "{log, ?, ?, ?}", &a, &b, &c), MOTE_TIMEOUT);
}

static void expect_exit(mote_self *self, mote_pid pid, const char *want) {
    mote_term reason;
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, ?}", pid, &reason));
    CHECK_TERM(reason, want);
}

static void stop_it(mote_self *self, mote_pid supervisor) {
    CHECK_OK(mote_supervisor_stop(self, supervisor, atom("shutdown"), PATIENCE_MS));
    expect_exit(self, supervisor, "shutdown");
}

static void tell_die(mote_self *self, mote_pid pid, const char *reason) {
    CHECK_OK(mote_send(self, pid, "{die, ?}", mote_atom_make(reason)));
}

static void begin_test(mote_self *self) { CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL)); }

/* A supervisor of the children a, b and c, which are up; gives their pids. */
static mote_pid three(mote_self *self, mote_supervisor_options options, mote_pid pids[3]) {
    mote_pid supervisor;
    begin_test(self);
    mote_child_spec specs[] = {spec_of(self, "a", "good"), spec_of(self, "b", "good"), spec_of(self, "c", "good")};
    options.children = specs;
    options.count = 3;
    if (!options.intensity) options.intensity = 3;
    CHECK_OK(mote_supervisor_start_link(self, &options, &supervisor, NULL));
    pids[0] = expect(self, "up a");
    pids[1] = expect(self, "up b");
    pids[2] = expect(self, "up c");
    return supervisor;
}

static mote_pid one(mote_self *self, mote_supervisor_options options, mote_child_spec spec, mote_pid *pid) {
    mote_pid supervisor;
    char up[50];
    options.children = &spec;
    options.count = 1;
    begin_test(self);
    CHECK_OK(mote_supervisor_start_link(self, &options, &supervisor, NULL));
    snprintf(up, sizeof up, "up %s", spec.id);
    *pid = expect(self, up);
    return supervisor;
}

/* --------------------------------------------------------------------------------------- order and strategies */

static int ordered(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){0}, pids);
    (void)context;
    stop_it(self, s);
    expect(self, "term c shutdown");
    expect(self, "term b shutdown");
    expect(self, "term a shutdown");
    return 0;
}
ONE_AND_TWO(order, ordered)

static int for_one(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){0}, pids);
    (void)context;
    tell_die(self, pids[1], "x");
    expect(self, "up b");
    quiet(self, s);
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(one_for_one, for_one)

static int for_all(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){.strategy = MOTE_ONE_FOR_ALL}, pids);
    (void)context;
    tell_die(self, pids[1], "x");
    const char *const wants[] = {"term c shutdown", "term a shutdown", "up a", "up b", "up c"};
    for (size_t i = 0; i < 5; i++) expect(self, wants[i]);
    quiet(self, s);
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(one_for_all, for_all)

static int for_rest(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){.strategy = MOTE_REST_FOR_ONE}, pids);
    (void)context;
    tell_die(self, pids[1], "x");
    const char *const wants[] = {"term c shutdown", "up b", "up c"};
    for (size_t i = 0; i < 3; i++) expect(self, wants[i]);
    quiet(self, s);
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(rest_for_one, for_rest)

/* ------------------------------------------------------------------------------------------- limits and rules */

static int third_is_too_many(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){.intensity = 2, .period_s = 3600}, pids);
    mote_supervisor_count count;
    (void)context;
    for (int i = 0; i < 2; i++) {
        tell_die(self, pids[0], "x");
        pids[0] = expect(self, "up a");
    }
    CHECK_OK(mote_supervisor_count_children(self, s, &count));
    CHECK_INT(count.restarts, 2);
    tell_die(self, pids[0], "x");
    expect_exit(self, s, "shutdown");
    expect(self, "term c shutdown");
    expect(self, "term b shutdown");
    return 0;
}
ONE_AND_TWO(intensity, third_is_too_many)

static int none_allowed(mote_self *self, void *context) {
    mote_pid pid, s = one(self, (mote_supervisor_options){.intensity = MOTE_NO_RESTARTS}, spec_of(self, "a", "good"), &pid);
    (void)context;
    tell_die(self, pid, "x");
    expect_exit(self, s, "shutdown");
    return 0;
}
ONE_AND_TWO(no_restarts, none_allowed)

/* What is older than the period does not count. */
static int slides(mote_self *self, void *context) {
    mote_pid pid, s = one(self, (mote_supervisor_options){.intensity = 1, .period_s = 1}, spec_of(self, "a", "good"), &pid);
    (void)context;
    for (int i = 0; i < 2; i++) {
        tell_die(self, pid, "x");
        pid = expect(self, "up a");
        CHECK_OK(mote_sleep(self, 1050));
    }
    int deaths = 0;
    uint64_t since = now_ns();
    mote_term m;
    do { /* two within a second, when the machine can */
        CHECK(ms_since(since) < PATIENCE_MS);
        tell_die(self, pid, "x");
        deaths++;
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    } while (mote_match(m, "{log, up, a, ?}", &pid));
    CHECK(deaths >= 2 && mote_match(m, "{'EXIT', ^, shutdown}", s));
    return 0;
}
static void window(void) { RUN(1, slides); }

/* Whether a child with this rule is started anew after it ended with `reason`; what is left of its specification otherwise. */
static bool comes_back(mote_self *self, mote_restart rule, mote_term reason, size_t specs) {
    mote_child_spec spec = spec_of(self, "a", "good");
    mote_supervisor_count count;
    mote_pid pid;
    mote_ref ref;
    mote_arena *arena = mote_arena_new(0);
    mote_term kept = mote_term_copy(arena, reason), m;
    spec.restart = rule;
    mote_pid s = one(self, (mote_supervisor_options){0}, spec, &pid);
    CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_send(self, pid, "{die, ?}", kept));
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
    WAIT_UNTIL(self, mote_supervisor_count_children(self, s, &count) == MOTE_OK && (count.restarts || !count.active));
    bool back = count.restarts == 1;
    if (back) expect(self, "up a");
    else CHECK_INT(count.specs, specs);
    stop_it(self, s);
    if (back) expect(self, "term a shutdown");
    mote_arena_free(arena);
    return back;
}

static int by_rule(mote_self *self, void *context) {
    mote_term tuple;
    mote_arena *arena = mote_arena_new(0);
    CHECK_OK(mote_build(arena, &tuple, "{shutdown, done}"));
    (void)context;
    CHECK(comes_back(self, MOTE_TRANSIENT, atom("x"), 1));
    CHECK(!comes_back(self, MOTE_TRANSIENT, atom("normal"), 1));
    CHECK(!comes_back(self, MOTE_TRANSIENT, atom("shutdown"), 1));
    CHECK(!comes_back(self, MOTE_TRANSIENT, tuple, 1));
    CHECK(!comes_back(self, MOTE_TEMPORARY, atom("x"), 0));
    CHECK(!comes_back(self, MOTE_TEMPORARY, atom("normal"), 0));
    CHECK(comes_back(self, MOTE_PERMANENT, atom("normal"), 1));
    CHECK(comes_back(self, MOTE_PERMANENT, tuple, 1));
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(rules, by_rule)

/* ----------------------------------------------------------------------------------------------- stopping */

/* How many have told that they were asked to end. A machine that leaves them no time for that tries with more of it. */
static int asked_to_end(mote_self *self, const char *id) {
    int n = 0;
    while (mote_receive_match(self, 0, "{log, term, ^, shutdown}", atom(id)) == MOTE_OK) n++;
    return n;
}
static int after_time(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref ref;
    mote_term reason;
    (void)context;
    for (int64_t ms = 100, asked = 0; !asked; ms *= 4) {
        mote_child_spec spec = spec_of(self, "a", "stubborn");
        CHECK(ms < PATIENCE_MS);
        spec.shutdown_ms = ms;
        mote_pid s = one(self, (mote_supervisor_options){0}, spec, &pid);
        CHECK_OK(mote_monitor(self, pid, &ref));
        uint64_t start = now_ns();
        stop_it(self, s);
        CHECK(ms_since(start) >= ms);
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &reason));
        CHECK_TERM(reason, "killed");
        asked = asked_to_end(self, "a");
    }
    return 0;
}
ONE_AND_TWO(shutdown_time, after_time)

static int brutally(mote_self *self, void *context) {
    mote_child_spec spec = spec_of(self, "a", "stubborn");
    mote_pid pid;
    mote_ref ref;
    mote_term reason, a, b, c;
    (void)context;
    spec.shutdown_ms = MOTE_BRUTAL_KILL;
    mote_pid s = one(self, (mote_supervisor_options){0}, spec, &pid);
    CHECK_OK(mote_monitor(self, pid, &ref));
    stop_it(self, s);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &reason));
    CHECK_TERM(reason, "killed");
    CHECK_INT(mote_receive_match(self, 0, "{log, ?, ?, ?}", &a, &b, &c), MOTE_TIMEOUT);
    return 0;
}
ONE_AND_TWO(brutal_kill, brutally)

/* A child that took its link back is waited for all the same, and no longer. */
static int unlinks(mote_self *self, void *context) {
    mote_child_spec spec = spec_of(self, "a", "good");
    mote_pid pid;
    mote_supervisor_count count;
    (void)context;
    spec.shutdown_ms = MOTE_INFINITY;
    mote_pid s = one(self, (mote_supervisor_options){0}, spec, &pid);
    CHECK_OK(mote_send(self, pid, "{unlink, ?}", s));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "unlinked"));
    tell_die(self, pid, "x");
    wait_gone(self, pid);
    CHECK_OK(mote_supervisor_count_children(self, s, &count)); /* it was not told */
    CHECK_INT(count.active, 1);
    CHECK_OK(mote_supervisor_terminate_child(self, s, "a"));
    CHECK_OK(mote_supervisor_restart_child(self, s, "a", &pid, NULL));
    expect(self, "up a");
    CHECK_OK(mote_send(self, pid, "{unlink, ?}", s));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "unlinked"));
    stop_it(self, s);
    expect(self, "term a shutdown");
    return 0;
}
ONE_AND_TWO(unlinked_child, unlinks)

static void parent_of_one(mote_self *self, mote_term arg) {
    mote_child_spec spec = {.id = "a", .start = start_kid, .arg = arg};
    mote_supervisor_options options = {.children = &spec, .count = 1};
    mote_pid s, test;
    mote_term reason;
    CHECK(mote_match(arg, "{?, _, _}", &test));
    CHECK_OK(mote_supervisor_start_link(self, &options, &s, NULL));
    CHECK_OK(mote_send(self, test, "{supervisor, ?}", s));
    CHECK_OK(mote_receive_match(self, -1, "{die, ?}", &reason));
    mote_exit(self, reason);
}

static int orphan(mote_self *self, void *context) {
    mote_pid parent, s;
    mote_ref ref;
    mote_term reason;
    (void)context;
    CHECK_OK(mote_spawn(self, parent_of_one, spec_of(self, "a", "good").arg, &parent));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{supervisor, ?}", &s));
    CHECK_OK(mote_monitor(self, s, &ref));
    CHECK_OK(mote_exit_send(self, s, atom("shutdown"))); /* not from its parent */
    expect(self, "up a");
    quiet(self, s);
    tell_die(self, parent, "of_the_parent");
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &reason));
    CHECK_TERM(reason, "of_the_parent");
    expect(self, "term a shutdown");
    return 0;
}
ONE_AND_TWO(parent_ends, orphan)

/* ---------------------------------------------------------------------------------------------------- starts */

static mote_err start_nothing(mote_self *self, mote_term arg, mote_pid *child) {
    (void)self, (void)arg, (void)child;
    return MOTE_OK;
}
static mote_err start_badly(mote_self *self, mote_term arg, mote_pid *child) {
    (void)self, (void)arg, (void)child;
    return MOTE_EFULL;
}

static int third_fails(mote_self *self, void *context) {
    mote_pid s = mote_self_pid(NULL), before = s;
    mote_term reason = MOTE_TERM_NIL;
    mote_runtime_info info;
    begin_test(self);
    (void)context;
    for (int badly = 0; badly < 2; badly++) {
        mote_child_spec specs[] = {spec_of(self, "a", "good"), spec_of(self, "b", "good"), spec_of(self, "c", "good"), spec_of(self, "d", "good")};
        mote_supervisor_options options = {.children = specs, .count = 4, .name = "failing"};
        specs[2] = spec_of(self, "c", "bad");
        if (badly) specs[2].start = start_badly;
        atomic_store(&failures, 1);
        CHECK_INT(mote_supervisor_start_link(self, &options, &s, &reason), badly ? MOTE_EFULL : MOTE_EOS);
        CHECK_TERM(reason, badly ? "{shutdown,{failed_to_start_child,c,{mote_error,'MOTE_EFULL'}}}"
                                 : "{shutdown,{failed_to_start_child,c,no_luck}}");
        CHECK(s.word == before.word);
        const char *const wants[] = {"up a", "up b", "term b shutdown", "term a shutdown"};
        for (size_t i = 0; i < 4; i++) expect(self, wants[i]);
        CHECK_INT(mote_receive(self, 0, &reason), MOTE_TIMEOUT); /* no exit message, no DOWN */
        CHECK_INT(mote_whereis(self, "failing", &s), MOTE_ENAME);
        WAIT_UNTIL(self, mote_runtime_info_get(self, &info) == MOTE_OK && info.processes == 1);
    }
    return 0;
}
ONE_AND_TWO(start_fails, third_fails)

static int fails_for_a_while(mote_self *self, void *context) {
    for (int strategy = 0; strategy < 3; strategy++) {
        mote_child_spec specs[] = {spec_of(self, "a", "good"), spec_of(self, "b", "bad")};
        mote_supervisor_options options = {.children = specs, .count = 2, .intensity = 5, .strategy = (mote_strategy)strategy};
        mote_supervisor_count count;
        mote_pid s, pid;
        begin_test(self);
        atomic_store(&failures, 0);
        CHECK_OK(mote_supervisor_start_link(self, &options, &s, NULL));
        expect(self, "up a");
        pid = expect(self, "up b");
        atomic_store(&failures, 3);
        tell_die(self, pid, "x");
        for (int i = 0; i < 4 && strategy == MOTE_ONE_FOR_ALL; i++) {
            expect(self, "term a shutdown");
            expect(self, "up a");
        }
        pid = expect(self, "up b");
        CHECK_OK(mote_supervisor_count_children(self, s, &count));
        CHECK_INT(count.restarts, 4);
        atomic_store(&failures, 100);
        tell_die(self, pid, "x");
        expect_exit(self, s, "shutdown");
        while (mote_receive_match(self, 0, "{log, _, _, _}") == MOTE_OK)
            ;
    }
    (void)context;
    return 0;
}
ONE_AND_TWO(restart_fails, fails_for_a_while)

static int nothing_to_run(mote_self *self, void *context) {
    mote_pid pids[3], pid, s = three(self, (mote_supervisor_options){0}, pids);
    mote_term list, reason;
    mote_child_spec spec = {.id = "n", .start = start_nothing};
    (void)context;
    CHECK_OK(mote_supervisor_start_child(self, s, &spec, &pid, NULL));
    CHECK(pid.word == mote_self_pid(NULL).word);
    CHECK_INT(mote_supervisor_start_child(self, s, &spec, &pid, &reason), MOTE_EBUSY);
    CHECK_TERM(reason, "already_present");
    spec.id = "t";
    spec.restart = MOTE_TEMPORARY;
    for (int i = 0; i < 2; i++) CHECK_OK(mote_supervisor_start_child(self, s, &spec, NULL, NULL));
    CHECK_OK(mote_supervisor_which_children(self, s, &list));
    CHECK(mote_match(list, "[{n, undefined, worker, []}, {c, ^, worker, []}, {b, ^, worker, []}, {a, ^, worker, []}]", pids[2], pids[1], pids[0]));
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(ignored, nothing_to_run)

/* -------------------------------------------------------------------------------------------------- requests */

static int come_and_go(mote_self *self, void *context) {
    mote_pid pids[3], pid, same, s = three(self, (mote_supervisor_options){.name = "boss"}, pids);
    mote_supervisor_count count;
    mote_child_spec spec = spec_of(self, "d", "good"), got;
    mote_term reason;
    (void)context;
    spec.type = MOTE_SUPERVISOR;
    CHECK_OK(mote_supervisor_start_child(self, "boss", &spec, &pid, NULL));
    expect(self, "up d");
    spec = spec_of(self, "d", "good");
    CHECK_INT(mote_supervisor_start_child(self, s, &spec, NULL, &reason), MOTE_EBUSY);
    CHECK(mote_match(reason, "{already_started, ^}", pid));
    CHECK_OK(mote_supervisor_count_children(self, s, &count));
    CHECK(count.specs == 4 && count.active == 4 && count.supervisors == 1 && count.workers == 3 && count.restarts == 0);
    CHECK_INT(mote_supervisor_restart_child(self, s, "d", NULL, &reason), MOTE_EBUSY);
    CHECK_TERM(reason, "running");
    CHECK_INT(mote_supervisor_delete_child(self, s, "d"), MOTE_EBUSY);
    CHECK_OK(mote_supervisor_terminate_child(self, s, "d"));
    expect(self, "term d shutdown");
    CHECK_OK(mote_supervisor_terminate_child(self, s, "d"));
    CHECK_OK(mote_supervisor_restart_child(self, s, "d", &same, NULL));
    CHECK(expect(self, "up d").word == same.word && same.word != pid.word);
    CHECK_OK(mote_supervisor_get_childspec(self, s, mote_pid_term(same), &got));
    CHECK(got.start == start_kid && got.type == MOTE_SUPERVISOR && !got.body && !got.handler);
    CHECK_TERM(got.id_term, "d");
    CHECK(mote_match(got.arg, "{^, d, good}", mote_self_pid(self)));
    CHECK_OK(mote_supervisor_terminate_child(self, s, "d"));
    CHECK_OK(mote_supervisor_delete_child(self, s, "d"));
    CHECK_INT(mote_supervisor_terminate_child(self, s, "d"), MOTE_NOMATCH);
    CHECK_INT(mote_supervisor_restart_child(self, s, "d", NULL, NULL), MOTE_NOMATCH);
    CHECK_INT(mote_supervisor_delete_child(self, s, "d"), MOTE_NOMATCH);
    CHECK_INT(mote_supervisor_get_childspec(self, s, "d", &got), MOTE_NOMATCH);
    stop_it(self, s);
    CHECK_INT(mote_supervisor_terminate_child(self, s, "d"), MOTE_ENOPROC);
    CHECK_INT(mote_supervisor_start_child(self, "boss", &spec, NULL, NULL), MOTE_ENOPROC);
    return 0;
}
ONE_AND_TWO(requests, come_and_go)

/* Ids and arguments may be any terms, and are the supervisor's own. */
static int any_terms(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){0}, pids);
    mote_child_spec spec = {.start = start_kid}, got;
    mote_term id;
    mote_arena *arena = mote_arena_new(0);
    (void)context;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_build(arena, &spec.id_term, "{id, ?, ?}", i, mote_atom_make_counted(arena, "from outside", 12)));
        CHECK_OK(mote_build(arena, &spec.arg, "{?, ?, good}", mote_self_pid(self), i));
        CHECK_OK(mote_supervisor_start_child(self, s, &spec, NULL, NULL));
        mote_arena_reset(arena);
    }
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_build(arena, &id, "{id, ?, 'from outside'}", i));
        CHECK_OK(mote_supervisor_get_childspec(self, s, id, &got));
        CHECK(mote_match(got.arg, "{_, ^, good}", i));
        CHECK_OK(mote_supervisor_terminate_child(self, s, id));
        if (i % 2) CHECK_OK(mote_supervisor_delete_child(self, s, id));
    }
    stop_it(self, s);
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(terms, any_terms)

/* What Erlang's supervisor module would send is answered as there. */
static int as_erlang(mote_self *self, void *context) {
    mote_pid pids[3], pid, s = three(self, (mote_supervisor_options){0}, pids);
    mote_term reply;
    (void)context;
    CHECK_OK(mote_call(self, s, -1, &reply, "count_children"));
    CHECK_TERM(reply, "[{specs,3},{active,3},{supervisors,0},{workers,3}]");
    CHECK_OK(mote_call(self, s, -1, &reply, "which_children"));
    CHECK(mote_match(reply, "[{c, _, worker, _}, {b, _, worker, _}, {a, ^, worker, _}]", pids[0]));
    CHECK_OK(mote_call(self, s, -1, &reply, "{terminate_child, a}"));
    CHECK_TERM(reply, "ok");
    CHECK_OK(mote_call(self, s, -1, &reply, "{terminate_child, z}"));
    CHECK_TERM(reply, "{error,not_found}");
    CHECK_OK(mote_call(self, s, -1, &reply, "{restart_child, b}"));
    CHECK_TERM(reply, "{error,running}");
    CHECK_OK(mote_call(self, s, -1, &reply, "{restart_child, a}"));
    CHECK(mote_match(reply, "{ok, ?}", &pid) && pid.word != pids[0].word);
    CHECK_OK(mote_call(self, s, -1, &reply, "{delete_child, a}"));
    CHECK_TERM(reply, "{error,running}");
    CHECK_OK(mote_call(self, s, -1, &reply, "{get_childspec, a}"));
    CHECK(mote_match(reply, "{ok, #{id := a, restart := permanent, shutdown := 5000, type := worker, significant := false}}"));
    CHECK_OK(mote_call(self, s, -1, &reply, "nonsense"));
    CHECK_OK(mote_send(self, s, "nonsense"));
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(wire, as_erlang)

/* A specification holds addresses of code: one that was not made here is refused. */
static int forged_spec(mote_self *self, void *context) {
    mote_pid pids[3], s = three(self, (mote_supervisor_options){0}, pids);
    mote_child_spec spec = {.body = kid}; /* good, if it were from here */
    mote_term reply;
    (void)context;
    for (size_t size = 0; size < 400; size++) {
        char forged[400] = {0};
        mote_bytes bytes = {forged, size};
        if (size >= sizeof spec) memcpy(forged + size - sizeof spec, &spec, sizeof spec);
        CHECK_OK(mote_call(self, s, -1, &reply, "{mote, {start_spec, {?, a, []}}}", bytes));
        CHECK(mote_match(reply, "{^, badarg}", (int)MOTE_EARG));
    }
    stop_it(self, s);
    return 0;
}
static void forged(void) { RUN(1, forged_spec); }

/* -------------------------------------------------------------------------------------- significant children */

/* A supervisor of a (significant), b (significant) and c. */
static mote_pid significant(mote_self *self, mote_auto_shutdown when, mote_pid pids[3]) {
    mote_pid s;
    mote_child_spec specs[] = {spec_of(self, "a", "good"), spec_of(self, "b", "good"), spec_of(self, "c", "good")};
    mote_supervisor_options options = {.children = specs, .count = 3, .auto_shutdown = when};
    begin_test(self);
    specs[0].significant = specs[1].significant = true;
    specs[0].restart = MOTE_TRANSIENT;
    specs[1].restart = MOTE_TEMPORARY;
    CHECK_OK(mote_supervisor_start_link(self, &options, &s, NULL));
    pids[0] = expect(self, "up a");
    pids[1] = expect(self, "up b");
    pids[2] = expect(self, "up c");
    return s;
}

static int by_itself(mote_self *self, void *context) {
    mote_pid pids[3], s;
    (void)context;
    s = significant(self, MOTE_ANY_SIGNIFICANT, pids);
    tell_die(self, pids[0], "x"); /* it is started anew */
    expect(self, "up a");
    CHECK_OK(mote_supervisor_terminate_child(self, s, "a")); /* it does not end by itself */
    expect(self, "term a shutdown");
    quiet(self, s);
    tell_die(self, pids[1], "x");
    expect_exit(self, s, "shutdown");
    expect(self, "term c shutdown");
    s = significant(self, MOTE_ALL_SIGNIFICANT, pids);
    tell_die(self, pids[1], "x");
    wait_gone(self, pids[1]);
    quiet(self, s);
    tell_die(self, pids[0], "normal");
    expect_exit(self, s, "shutdown");
    expect(self, "term c shutdown");
    return 0;
}
ONE_AND_TWO(auto_shutdown, by_itself)

/* --------------------------------------------------------------------------------------------------- dynamic */

static mote_pid dynamic(mote_self *self, mote_child_spec spec) {
    mote_supervisor_options options = {.strategy = MOTE_SIMPLE_ONE_FOR_ONE, .children = &spec, .count = 1, .intensity = 3};
    mote_pid s;
    begin_test(self);
    CHECK_OK(mote_supervisor_start_link(self, &options, &s, NULL));
    return s;
}

static int few(mote_self *self, void *context) {
    mote_child_spec spec = spec_of(self, "z", "good"), got;
    mote_pid pid, other, s;
    mote_supervisor_count count;
    mote_term list, reason;
    (void)context;
    spec.restart = MOTE_TRANSIENT;
    s = dynamic(self, spec);
    CHECK_OK(mote_supervisor_start_dynamic(self, s, MOTE_TERM_NONE, &pid, NULL));
    expect(self, "up z");
    CHECK_OK(mote_supervisor_start_dynamic(self, s, spec_of(self, "y", "good").arg, &other, NULL));
    expect(self, "up y");
    tell_die(self, other, "x");
    CHECK((other = expect(self, "up y")).word != pid.word);
    CHECK_OK(mote_supervisor_which_children(self, s, &list));
    CHECK(mote_match(list, "[{undefined, _, worker, []}, {undefined, _, worker, []}]"));
    CHECK_OK(mote_supervisor_get_childspec(self, s, mote_pid_term(other), &got));
    CHECK(mote_match(got.arg, "{_, y, good}"));
    tell_die(self, other, "normal");
    wait_gone(self, other);
    WAIT_UNTIL(self, mote_supervisor_count_children(self, s, &count) == MOTE_OK && count.active == 1);
    CHECK(count.specs == 1 && count.workers == 1 && count.restarts == 1);
    CHECK_INT(mote_supervisor_terminate_child(self, s, mote_pid_term(other)), MOTE_NOMATCH);
    CHECK_INT(mote_supervisor_terminate_child(self, s, "z"), MOTE_EARG);
    CHECK_INT(mote_supervisor_delete_child(self, s, "z"), MOTE_EARG);
    CHECK_INT(mote_supervisor_restart_child(self, s, "z", NULL, NULL), MOTE_EARG);
    spec = spec_of(self, "z", "good");
    CHECK_INT(mote_supervisor_start_child(self, s, &spec, NULL, &reason), MOTE_EARG);
    CHECK_OK(mote_supervisor_terminate_child(self, s, mote_pid_term(pid)));
    expect(self, "term z shutdown");
    CHECK_OK(mote_supervisor_count_children(self, s, &count));
    CHECK(count.active == 0 && count.workers == 0);
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(simple, few)

/* A child's own argument stands behind that of the specification, also when it is started anew. */
static mote_err start_extended(mote_self *self, mote_term arg, mote_pid *child) {
    mote_term common, own;
    return start_kid(self, mote_match(arg, "{?, {own, ?}}", &common, &own) ? own : arg, child);
}

static int extended(mote_self *self, void *context) {
    mote_child_spec spec = spec_of(self, "z", "good"), got;
    mote_term arg;
    mote_pid pid, s;
    (void)context;
    spec.start = start_extended;
    spec.extend = true;
    s = dynamic(self, spec);
    CHECK_OK(mote_supervisor_start_dynamic(self, s, MOTE_TERM_NONE, &pid, NULL));
    expect(self, "up z");
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{own, ?}", spec_of(self, "y", "good").arg));
    CHECK_OK(mote_supervisor_start_dynamic(self, s, arg, &pid, NULL));
    expect(self, "up y");
    CHECK_OK(mote_supervisor_get_childspec(self, s, mote_pid_term(pid), &got));
    CHECK(mote_match(got.arg, "{{_, z, good}, {own, {_, y, good}}}"));
    tell_die(self, pid, "x");
    expect(self, "up y");
    stop_it(self, s);
    return 0;
}
ONE_AND_TWO(simple_extend, extended)

/* One that is stubborn does not hold up the others; it is killed after its time. */
static int in_parallel(mote_self *self, void *context) {
    (void)context;
    for (int64_t ms = 100;; ms *= 4) {
        mote_child_spec spec = spec_of(self, "z", "stubborn");
        CHECK(ms < PATIENCE_MS);
        spec.shutdown_ms = ms;
        mote_pid s = dynamic(self, spec);
        for (int i = 0; i < 20; i++) CHECK_OK(mote_supervisor_start_dynamic(self, s, MOTE_TERM_NONE, NULL, NULL));
        for (int i = 0; i < 20; i++) expect(self, "up z");
        uint64_t start = now_ns();
        stop_it(self, s);
        int64_t took = ms_since(start);
        CHECK(took >= ms);
        if (asked_to_end(self, "z") == 20 && took <= 10 * ms) break; /* one after another they take 20 times as long */
    }
    return 0;
}
ONE_AND_TWO(simple_stop, in_parallel)

static void sleeper_handle(mote_self *self, mote_term message, void *state) {
    (void)message, (void)state;
    mote_exit(self, atom("normal"));
}
static const mote_handler sleeper = {.name = "sleeper", .handle = sleeper_handle};

/* Many: each start, end and look-up costs the same however many there are. */
static int crowd(mote_self *self, void *context) {
    int n = scaled(100000);
    mote_pid *pids = calloc((size_t)n, sizeof *pids), s;
    mote_supervisor_count count;
    mote_runtime_info info;
    mote_child_spec spec = {.handler = &sleeper, .restart = MOTE_TRANSIENT};
    s = dynamic(self, spec);
    (void)context;
    uint64_t start = now_ns();
    for (int i = 0; i < n; i++) CHECK_OK(mote_supervisor_start_dynamic(self, s, MOTE_TERM_NONE, &pids[i], NULL));
    int64_t started = ms_since(start);
    for (int i = 0; i < n; i += 2) CHECK_OK(mote_send(self, pids[i], "stop"));
    WAIT_UNTIL(self, mote_supervisor_count_children(self, s, &count) == MOTE_OK && count.active == (size_t)n / 2);
    for (int i = 1; i < n; i += 4) CHECK_OK(mote_supervisor_terminate_child(self, s, mote_pid_term(pids[i])));
    CHECK_OK(mote_supervisor_count_children(self, s, &count));
    CHECK_INT(count.workers, n / 4);
    start = now_ns();
    stop_it(self, s);
    fprintf(stderr, "# %d children: %" PRId64 " ms to start, %" PRId64 " ms to stop the last quarter\n", n, started, ms_since(start));
    WAIT_UNTIL(self, mote_runtime_info_get(self, &info) == MOTE_OK && info.processes == 1);
    free(pids);
    return 0;
}
ONE_AND_TWO(simple_many, crowd)

/* ---------------------------------------------------------------------------------------------------- trees */

static int nested(mote_self *self, void *context) {
    mote_child_spec leaves[] = {spec_of(self, "a", "good"), spec_of(self, "b", "good")};
    mote_supervisor_options inner = {.children = leaves, .count = 2, .name = "inner", .strategy = MOTE_ONE_FOR_ALL};
    mote_child_spec spec = {.id = "inner", .start = mote_supervisor_start, .type = MOTE_SUPERVISOR};
    mote_supervisor_options outer = {.children = &spec, .count = 1, .intensity = 5};
    mote_arena *arena = mote_arena_new(0);
    mote_pid s, pid, first, again;
    begin_test(self);
    (void)context;
    for (int i = 0; i < 2; i++) leaves[i].arg = mote_term_copy(arena, leaves[i].arg); /* the tree borrows it */
    spec.arg = mote_supervisor_arg(arena, &inner);
    CHECK_OK(mote_supervisor_start_link(self, &outer, &s, NULL));
    expect(self, "up a");
    expect(self, "up b");
    CHECK_OK(mote_whereis(self, "inner", &first));
    CHECK_OK(mote_exit_send(self, first, atom("kill")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{log, term, a, killed}")); /* by their links; the new ones may be earlier */
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{log, term, b, killed}"));
    expect(self, "up a");
    pid = expect(self, "up b");
    CHECK_OK(mote_whereis(self, "inner", &again));
    CHECK(again.word != first.word);
    for (int i = 0; i < 2; i++) { /* the second is too many for the inner one */
        tell_die(self, pid, "x");
        expect(self, "term a shutdown");
        expect(self, "up a");
        pid = expect(self, "up b");
    }
    stop_it(self, s);
    expect(self, "term b shutdown");
    expect(self, "term a shutdown");
    mote_arena_free(arena);
    return 0;
}
static void tree(void) { RUN(1, nested); }

/* ---------------------------------------------------------------------------------------------------- errors */

static void in_handler(mote_self *self, mote_term message, void *state) {
    mote_supervisor_options options = {0};
    mote_pid test, s;
    mote_term list;
    (void)state;
    CHECK(mote_match(message, "{go, ?}", &test));
    CHECK_INT(mote_supervisor_start_link(self, &options, &s, NULL), MOTE_ECONTEXT);
    CHECK_INT(mote_supervisor_which_children(self, test, &list), MOTE_ECONTEXT);
    CHECK_OK(mote_send(self, test, "done"));
}
static const mote_handler asker = {.name = "asker", .handle = in_handler};

/* A handler starts a supervisor and a child more, and waits for neither. Its argument: {Test, Address of the options}. */
struct client {
    mote_pid test, supervisor;
    mote_ref start, child;
};

static void client_init(mote_self *self, mote_term arg, void *state) {
    struct client *c = state;
    unsigned long long address;
    CHECK(mote_match(arg, "{?, ?}", &c->test, &address));
    const mote_supervisor_options *options = (const mote_supervisor_options *)(uintptr_t)address;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_INT(mote_supervisor_spawn_link(NULL, options, &c->supervisor, &c->start), MOTE_ESELF);
    CHECK_INT(mote_supervisor_spawn_link(self, NULL, &c->supervisor, &c->start), MOTE_EARG);
    CHECK_INT(mote_supervisor_spawn_link(self, options, NULL, &c->start), MOTE_EARG);
    CHECK_INT(mote_supervisor_spawn_link(self, options, &c->supervisor, NULL), MOTE_EARG);
    CHECK_OK(mote_supervisor_spawn_link(self, options, &c->supervisor, &c->start));
}

static void client_handle(mote_self *self, mote_term message, void *state) {
    struct client *c = state;
    mote_child_spec spec = {.id = "more", .handler = &sleeper};
    mote_term reply, reason;
    int code;
    if (mote_match(message, "{^, ?}", c->start, &code)) {
        CHECK_OK(mote_send(self, c->test, "{code, ?}", code));
        if (code) return; /* its DOWN comes */
        CHECK_OK(mote_demonitor(self, c->start, true, NULL));
        CHECK_INT(mote_supervisor_ask_child(NULL, c->supervisor, &spec, &c->child), MOTE_ESELF);
        CHECK_INT(mote_supervisor_ask_child(self, c->supervisor, NULL, &c->child), MOTE_EARG);
        CHECK_INT(mote_supervisor_ask_child(self, c->supervisor, &spec, NULL), MOTE_EARG);
        CHECK_OK(mote_supervisor_ask_child(self, c->supervisor, &spec, &c->child));
    } else if (mote_match(message, "{'DOWN', ^, process, _, ?}", c->start, &reason)) {
        CHECK_OK(mote_send(self, c->test, "{down, ?}", reason));
    } else if (c->child.word && mote_call_answer(message, c->child, &reply) == MOTE_OK) {
        CHECK_OK(mote_send(self, c->test, "{child, ?, ?}", c->supervisor, reply));
    }
}
static const mote_handler client = {.name = "client", .state_size = sizeof(struct client), .init = client_init, .handle = client_handle};

static mote_pid start_client(mote_self *self, mote_supervisor_options *options) {
    const mote_spawn_options how = {.handler = &client};
    mote_pid pid;
    mote_term arg;
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), (unsigned long long)(uintptr_t)options));
    CHECK_OK(mote_spawn_opt(self, &how, arg, &pid));
    return pid;
}

static int not_waiting(mote_self *self, void *context) {
    mote_child_spec good = {.id = "a", .handler = &sleeper}, bad = {.id = "a", .start = start_kid};
    mote_supervisor_options options = {.children = &good, .count = 1};
    mote_arena *arena = mote_arena_new(0);
    mote_supervisor_count count;
    mote_pid supervisor, child, pid;
    mote_term reason;
    int code;
    (void)context;
    pid = start_client(self, &options);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{code, 0}"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{child, ?, {0, {ok, ?}}}", &supervisor, &child));
    CHECK_OK(mote_supervisor_count_children(self, supervisor, &count));
    CHECK_INT(count.active, 2);
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    wait_gone(self, supervisor); /* with its parent */
    wait_gone(self, child);
    bad.arg = mote_term_copy(arena, spec_of(self, "a", "bad").arg); /* the client looks at it while the test receives */
    options.children = &bad;
    atomic_store(&failures, 1);
    pid = start_client(self, &options);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{code, ?}", &code));
    CHECK_INT(code, MOTE_EOS);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{down, ?}", &reason));
    CHECK_TERM(reason, "{shutdown,{failed_to_start_child,a,no_luck}}");
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    wait_gone(self, pid);
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(never_waits, not_waiting)

static mote_err start_with(mote_self *self, mote_supervisor_options options) {
    mote_pid s;
    mote_err err = mote_supervisor_start_link(self, &options, &s, NULL);
    if (!err) stop_it(self, s);
    return err;
}

static int wrong_options(mote_self *self, void *context) {
    mote_child_spec no_id = {.body = kid}, none = {.id = "a"}, both = {.id = "a", .body = kid, .handler = &asker};
    mote_child_spec late = {.id = "a", .body = kid, .shutdown_ms = -3}, main_one = {.id = "a", .body = kid, .significant = true, .restart = MOTE_TRANSIENT};
    mote_child_spec twins[] = {{.id = "a", .start = start_nothing}, {.id = "a", .start = start_nothing}};
    mote_child_spec *const bad[] = {&no_id, &none, &both, &late, &main_one};
    mote_pid s;
    mote_term reason;
    (void)context;
    begin_test(self);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(start_with(self, (mote_supervisor_options){.children = bad[i], .count = 1}), MOTE_EARG);
    CHECK_INT(start_with(self, (mote_supervisor_options){.children = twins, .count = 2}), MOTE_EARG);
    CHECK_INT(start_with(self, (mote_supervisor_options){.children = twins, .count = 2, .strategy = MOTE_SIMPLE_ONE_FOR_ONE}), MOTE_EARG);
    CHECK_INT(start_with(self, (mote_supervisor_options){.count = 2}), MOTE_EARG);
    CHECK_INT(start_with(self, (mote_supervisor_options){.intensity = -2}), MOTE_EARG);
    CHECK_INT(start_with(self, (mote_supervisor_options){.period_s = -1}), MOTE_EARG);
    CHECK_INT(start_with(self, (mote_supervisor_options){.strategy = (mote_strategy)9}), MOTE_EARG);
    CHECK_OK(start_with(self, (mote_supervisor_options){0}));
    CHECK_INT(mote_supervisor_start_link(NULL, &(mote_supervisor_options){0}, &s, NULL), MOTE_ESELF);
    CHECK_INT(mote_supervisor_start_link(self, NULL, &s, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_start_link(self, &(mote_supervisor_options){0}, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_start_link(self, &(mote_supervisor_options){.name = "undefined"}, &s, &reason), MOTE_ENAME);
    CHECK_OK(mote_supervisor_start_link(self, &(mote_supervisor_options){.name = "me"}, &s, NULL));
    CHECK_INT(mote_supervisor_start_link(self, &(mote_supervisor_options){.name = "me"}, &s, &reason), MOTE_EBUSY);
    CHECK(mote_match(reason, "{shutdown, {already_started, ^}}", s));
    CHECK_INT(mote_supervisor_start_child(self, s, &none, NULL, &reason), MOTE_EARG);
    CHECK_INT(mote_supervisor_start_child(self, s, &no_id, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_start_child(self, s, NULL, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_start_dynamic(self, s, MOTE_TERM_NIL, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_which_children(self, s, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_count_children(self, s, NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_get_childspec(self, s, "a", NULL), MOTE_EARG);
    CHECK_INT(mote_supervisor_stop(self, "nobody has this", atom("shutdown"), 0), MOTE_ENOPROC);
    CHECK_INT(mote_supervisor_start(self, MOTE_TERM_NIL, &s), MOTE_EARG);
    stop_it(self, s);
    CHECK_OK(mote_spawn_handler(self, &asker, MOTE_TERM_NIL, &s));
    CHECK_OK(mote_send(self, s, "{go, ?}", mote_self_pid(self)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "done"));
    return 0;
}
static void errors(void) { RUN(1, wrong_options); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){
        TEST_ONE_AND_TWO(order), TEST_ONE_AND_TWO(one_for_one), TEST_ONE_AND_TWO(one_for_all), TEST_ONE_AND_TWO(rest_for_one),
        TEST_ONE_AND_TWO(intensity), TEST_ONE_AND_TWO(no_restarts), TEST(window), TEST_ONE_AND_TWO(rules),
        TEST_ONE_AND_TWO(shutdown_time), TEST_ONE_AND_TWO(brutal_kill), TEST_ONE_AND_TWO(unlinked_child), TEST_ONE_AND_TWO(parent_ends),
        TEST_ONE_AND_TWO(start_fails), TEST_ONE_AND_TWO(restart_fails), TEST_ONE_AND_TWO(ignored), TEST_ONE_AND_TWO(requests),
        TEST_ONE_AND_TWO(terms), TEST_ONE_AND_TWO(wire), TEST(forged), TEST_ONE_AND_TWO(auto_shutdown), TEST_ONE_AND_TWO(simple),
        TEST_ONE_AND_TWO(simple_extend), TEST_ONE_AND_TWO(simple_stop), TEST_ONE_AND_TWO(never_waits), TEST_ONE_AND_TWO(simple_many), TEST(tree), TEST(errors), {0}});
}
