/* SPDX-License-Identifier: Apache-2.0
 * Hosted processes, objects as terms, the schedulers' loop: what include/mote/host.h promises. A handler's or body's part of a test stands above the
 * test; what they found out stands in `seen`.
 */
#include <mote/host.h>
#include <pthread.h>
#include <sched.h>

#include "live.h"

static void quiet(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

/* An object that counts who refers to it. */
struct thing {
    _Atomic int held, ever;
};
static void hold(void *object) {
    struct thing *thing = object;
    atomic_fetch_add(&thing->ever, 1);
    CHECK(atomic_fetch_add(&thing->held, 1) >= 0);
}
static void drop(void *object) {
    struct thing *thing = object;
    CHECK(atomic_fetch_sub(&thing->held, 1) > 0);
}
static const mote_host_kind kind = {.name = "Thing", .hold = hold, .drop = drop};
static const mote_host_kind other_kind = {.name = "Other", .hold = hold, .drop = drop};

/* What tests and their processes share; each test has a program of its own. */
static struct {
    struct thing thing;
    mote_host_box box;
    _Atomic int count, turns, told, stopped, phase;
    _Atomic uint64_t at_ns;
} seen;

static mote_term boxed(void) { return mote_host_box_term(&seen.box, &kind, &seen.thing); }
static int held(void) { return atomic_load(&seen.thing.held); }
static int counted(void) { return atomic_load(&seen.count); }
static bool is_boxed(mote_term term) { return mote_host_object(term, &kind) == &seen.thing; }

/* With one and with two schedulers; when the runtime has stopped, nobody refers to the object. */
#define BOTH(name, body)                                                                                                      \
    static void name(void) { run_with((mote_options){.schedulers = 1, .log = quiet}, body), CHECK_INT(held(), 0); }     \
    static void name##_2(void) { run_with((mote_options){.schedulers = 2, .log = quiet}, body), CHECK_INT(held(), 0); }

static mote_pid spawn_opt(mote_self *self, mote_spawn_options options, mote_term arg) {
    mote_pid pid;
    CHECK_OK(mote_spawn_opt(self, &options, arg, &pid));
    return pid;
}
static mote_pid spawn_hosted(mote_self *self, mote_body body, mote_term arg) {
    return spawn_opt(self, (mote_spawn_options){.body = body, .hosted = true}, arg);
}
static void expect_down(mote_self *self, mote_ref ref, const char *reason) {
    mote_term why;
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &why));
    CHECK_TERM(why, reason);
}
/* Its reason, when it has ended. */
static void expect_end(mote_self *self, mote_pid pid, const char *reason) {
    mote_ref ref;
    mote_term why;
    CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &why));
    if (!mote_match(why, "noproc")) CHECK_TERM(why, reason);
}
static void expect(mote_self *self, const char *want) {
    mote_term m;
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    CHECK_TERM(m, want);
}
/* ------------------------------------------------------------------------------------------------------- boxes */

static void box_is_no(mote_term term) { CHECK(!mote_host_object(term, &kind)); }

static void box_terms(void) {
    struct thing others[2] = {{0}};
    mote_host_box b1, b2, b3;
    mote_arena *arena = mote_arena_new(0);
    mote_term t = boxed(), same = mote_host_box_term(&b1, &kind, &seen.thing), list;
    mote_term x = mote_host_box_term(&b2, &kind, &others[0]), y = mote_host_box_term(&b3, &kind, &others[1]);
    char want[80];
    snprintf(want, sizeof want, "#Thing<%llx>", (unsigned long long)(uintptr_t)&seen.thing);
    CHECK_TERM(t, want);
    CHECK_INT(mote_term_type(t), MOTE_FUNCTION);
    CHECK(is_boxed(t) && is_boxed(same) && mote_host_object(x, &kind) == &others[0]);
    CHECK(!mote_host_object(t, &other_kind));
    CHECK(mote_term_same(t, same) && mote_term_equal(t, same) && mote_term_hash(t) == mote_term_hash(same));
    CHECK(!mote_term_same(t, x) && !mote_term_equal(x, y) && mote_term_compare(x, y) < 0 && mote_term_compare(y, x) > 0);
    CHECK(mote_term_hash(x) != mote_term_hash(y));
    CHECK_OK(mote_build(arena, &list, "[?, ?, ?]", t, x, y));
    box_is_no(MOTE_TERM_NONE), box_is_no(MOTE_TERM_NIL), box_is_no(atom("x")), box_is_no(list), box_is_no(mote_int_make(NULL, 1));
    box_is_no(mote_float_make(arena, 1)), box_is_no(mote_binary_make(arena, "abc", 3)), box_is_no(mote_tuple_make(arena, 1, &t));
    mote_arena_free(arena);
}

/* Among functions, in Erlang's order of types. */
static void box_order(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_term t = boxed(), fun = mote_function_make(arena, mote_atom_make("m"), mote_atom_make("f"), 1);
    CHECK(mote_term_compare(mote_int_make(NULL, 1), t) < 0 && mote_term_compare(atom("z"), t) < 0);
    CHECK(mote_term_compare(fun, t) < 0 && mote_term_compare(t, fun) > 0);
    CHECK(mote_term_compare(t, mote_pid_term(mote_self_pid(NULL))) < 0 && mote_term_compare(t, mote_tuple_make(arena, 0, NULL)) < 0);
    mote_term key = t, value = atom("v"), found, map = mote_map_make(arena, 1, &key, &value);
    CHECK_OK(mote_map_get(map, t, &found));
    CHECK_TERM(found, "v");
    CHECK(mote_match(mote_tuple_make(arena, 1, &t), "{^}", t));
    mote_arena_free(arena);
}

/* Each copy counts once; a term built around a box is no copy. */
static void box_copies(void) {
    mote_arena *arena = mote_arena_new(0);
    mote_term t = boxed(), tuple = MOTE_TERM_NONE, copy, element;
    CHECK_OK(mote_build(arena, &tuple, "{a, [?, b, ?]}", t, t));
    int built = held();
    copy = mote_term_copy(arena, tuple);
    CHECK_INT(held(), built + 2);
    CHECK(mote_term_same(tuple, copy));
    CHECK_OK(mote_tuple_get(copy, 1, &element));
    CHECK_OK(mote_list_get(element, &element, NULL));
    CHECK(is_boxed(element) && element.word != t.word);
    CHECK(is_boxed(mote_term_copy(arena, t)));
    CHECK_INT(held(), built + 3);
    mote_arena_reset(arena);
    CHECK_INT(held(), 0);
    mote_arena_free(arena);
    mote_host_message_drop(NULL);
}

static int box_messages(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_term m, x;
    (void)context;
    CHECK_OK(mote_send_term(self, me, boxed()));
    CHECK_INT(held(), 1);
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK(is_boxed(m));
    CHECK_OK(mote_send(self, me, "{x, ?, [?]}", m, m));
    CHECK_INT(held(), 3);
    mote_host_message_drop(self);
    CHECK_INT(held(), 2);
    CHECK_INT(mote_message(self).word, 0);
    CHECK_OK(mote_receive_match(self, 0, "{x, _, [?]}", &x));
    CHECK(is_boxed(x));
    CHECK_OK(mote_forward(self, me)); /* whole */
    CHECK_INT(held(), 2);
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK_OK(mote_send_term(self, one_dead(self), m));
    CHECK_INT(held(), 2);
    CHECK_OK(mote_send(self, one_dead(self), "{?}", boxed()));
    mote_host_message_drop(self);
    mote_host_message_drop(self); /* there is none */
    CHECK_INT(held(), 0);
    return 0;
}
BOTH(boxes_in_messages, box_messages)

static int box_unread(mote_self *self, void *context) {
    mote_pid pid, last;
    (void)context;
    CHECK_OK(mote_spawn(self, never_ends, boxed(), &pid));
    for (int i = 0; i < 5; i++) CHECK_OK(mote_send(self, pid, "{?, ?}", i, boxed()));
    CHECK_INT(held(), 6); /* its argument, too */
    wait_idle(self, pid);
    CHECK_OK(mote_send_term(self, pid, boxed()));
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    wait_gone(self, pid);
    WAIT_UNTIL(self, held() == 0); /* its mailbox is closed first, then emptied */
    CHECK_OK(mote_spawn(self, never_ends, boxed(), &last)); /* these the runtime's end drops */
    CHECK_OK(mote_send_term(self, last, boxed()));
    CHECK_OK(mote_send_term(self, mote_self_pid(self), boxed()));
    return 0;
}
BOTH(boxes_unread, box_unread)

/* Over 256 bytes the words are shared: one copy, however many messages. */
static int box_shared(mote_self *self, void *context) {
    mote_term many[60], m;
    mote_pid pid, me = mote_self_pid(self);
    (void)context;
    for (size_t i = 0; i < 60; i++) many[i] = i == 30 ? boxed() : mote_int_make(NULL, (int64_t)i);
    CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send_term(self, me, mote_tuple_make(mote_scratch(self), 60, many)));
    CHECK_INT(held(), 1);
    CHECK_OK(mote_receive(self, 0, &m));
    for (int i = 0; i < 10; i++) CHECK_OK(mote_send_term(self, i % 2 ? pid : me, m));
    CHECK_INT(held(), 1);
    CHECK_OK(mote_send_term(self, one_dead(self), m)); /* receives: this was the last use of `m` */
    CHECK_INT(held(), 1);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK_OK(mote_tuple_get(m, 30, &m));
        CHECK(is_boxed(m));
    }
    mote_host_message_drop(self);
    CHECK_INT(held(), 1);
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    wait_gone(self, pid);
    WAIT_UNTIL(self, held() == 0); /* its mailbox is closed first, then emptied */
    return 0;
}
BOTH(boxes_shared, box_shared)

static int box_timers(mote_self *self, void *context) {
    mote_ref timer;
    mote_pid me = mote_self_pid(self), gone = one_dead(self);
    mote_term x;
    (void)context;
    CHECK_OK(mote_send_after(self, 3600000, me, &timer, "{?}", boxed()));
    CHECK_INT(held(), 1);
    CHECK_OK(mote_timer_cancel(self, timer, NULL));
    CHECK_INT(held(), 0);
    CHECK_OK(mote_send_after(self, 1, me, NULL, "{later, ?}", boxed()));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{later, ?}", &x));
    CHECK(is_boxed(x));
    CHECK_OK(mote_send_after(self, 1, gone, NULL, "?", boxed()));
    CHECK_OK(mote_exit_after(self, 1, gone, boxed(), NULL));
    mote_host_message_drop(self);
    WAIT_UNTIL(self, held() == 0);
    CHECK_OK(mote_send_after(self, 3600000, me, NULL, "?", boxed())); /* the runtime's end drops it */
    return 0;
}
BOTH(boxes_in_timers, box_timers)

static void ends_with_box(mote_self *self, mote_term arg) {
    mote_term reason;
    CHECK(is_boxed(arg));
    CHECK_OK(mote_build(mote_scratch(self), &reason, "{why, ?}", arg));
    mote_exit(self, reason);
}
static int box_reasons(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref ref;
    mote_term x, y;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    pid = spawn_opt(self, (mote_spawn_options){.body = ends_with_box, .link = true, .monitor = &ref}, boxed());
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, ^, {why, ?}}", ref, pid, &x));
    CHECK(is_boxed(x));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, {why, ?}}", pid, &y));
    CHECK(is_boxed(y));
    CHECK_OK(mote_spawn_monitor(self, never_ends, MOTE_TERM_NIL, &pid, &ref));
    CHECK_OK(mote_exit_send(self, pid, boxed()));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, _, _, ?}", ref, &x));
    CHECK(is_boxed(x));
    mote_host_message_drop(self);
    wait_gone(self, pid);
    WAIT_UNTIL(self, held() == 0);
    return 0;
}
BOTH(boxes_as_reasons, box_reasons)

static int box_tags(mote_self *self, void *context) {
    mote_pid pid;
    mote_ref ref;
    mote_term x;
    mote_monitor_options options = {.tag = boxed()};
    (void)context;
    CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_monitor_opt(self, pid, &options, &ref));
    CHECK_OK(mote_demonitor(self, ref, true, NULL));
    CHECK_OK(mote_monitor_opt(self, pid, &options, &ref));
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{?, ^, process, ^, killed}", &x, ref, pid));
    CHECK(is_boxed(x));
    mote_host_message_drop(self);
    wait_gone(self, pid);
    WAIT_UNTIL(self, held() == 0);
    return 0;
}
BOTH(boxes_as_tags, box_tags)

/* A certificate copies heads of unread messages, which are functions then or boxes: all the same they are dropped. */
static int box_certificates(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_deaths_to(self, mote_self_pid(self)));
    CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send_term(self, pid, boxed()));
    CHECK_OK(mote_send(self, pid, "{?, ?}", boxed(), boxed()));
    CHECK_OK(mote_exit_send(self, pid, boxed()));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_death, #{pid := ^}}", pid));
    mote_host_message_drop(self);
    wait_gone(self, pid);
    WAIT_UNTIL(self, held() == 0);
    return 0;
}
BOTH(boxes_in_certificates, box_certificates)

/* ---------------------------------------------------------------------------------------- handlers with resume */

static void counts_stop(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)reason, (void)state;
    atomic_fetch_add(&seen.stopped, 1);
}
/* Ends if it has been told so; counts that it was. */
static void ends_if_told(mote_self *self) {
    mote_term reason;
    if (!mote_host_exit_reason(self, &reason)) return;
    atomic_fetch_add(&seen.told, 1);
    mote_exit(self, atom("not_this"));
}
static mote_pid spawn_handler(mote_self *self, const mote_handler *handler) {
    mote_pid pid;
    CHECK_OK(mote_spawn_handler(self, handler, MOTE_TERM_NIL, &pid));
    return pid;
}

static void is_none(mote_err err) { CHECK(err == MOTE_TIMEOUT || err == MOTE_EEXIT); }
static void contexts_resume(mote_self *self, void *state) {
    mote_term m;
    bool alive;
    CHECK(!state);
    ends_if_told(self);
    is_none(mote_receive(self, 0, &m));
    is_none(mote_receive_match(self, 0, "x"));
    is_none(mote_receive_ref(self, 0, mote_ref_make(self), &m));
    CHECK_INT(mote_receive(self, 1, &m), MOTE_ECONTEXT);
    CHECK_INT(mote_receive(self, -1, &m), MOTE_ECONTEXT);
    CHECK_INT(mote_host_wait(self, 0), MOTE_ECONTEXT);
    CHECK_INT(mote_host_wait(self, -1), MOTE_ECONTEXT);
    CHECK_INT(mote_sleep(self, 1), MOTE_ECONTEXT);
    CHECK_INT(mote_blocking(self, (void (*)(void *))abort, NULL), MOTE_ECONTEXT);
    CHECK_INT(mote_fd_wait(self, 0, MOTE_READ, 0, NULL), MOTE_ECONTEXT);
    CHECK_OK(mote_is_alive(self, mote_self_pid(self), &alive));
    CHECK(alive && !mote_host_stack_head(self) && !mote_host_turn_over(NULL) && !mote_host_exit_reason(self, NULL));
    atomic_fetch_add(&seen.turns, 1);
    ends_if_told(self); /* meanwhile */
}
static const mote_handler contexts = {.name = "contexts", .resume = contexts_resume, .stop = counts_stop};

static int begins(mote_self *self, void *context) {
    (void)context;
    mote_pid pid = spawn_handler(self, &contexts);
    WAIT_UNTIL(self, atomic_load(&seen.turns) >= 1); /* without a message */
    wait_idle(self, pid);
    CHECK_OK(mote_exit_send(self, pid, atom("enough")));
    expect_end(self, pid, "enough");
    CHECK_INT(atomic_load(&seen.stopped), 1);
    CHECK_INT(atomic_load(&seen.told), 1);
    return 0;
}
BOTH(handler_begins_at_once, begins)

static int bad_options(mote_self *self, void *context) {
    mote_handler both = {.name = "both", .resume = contexts_resume, .handle = (void (*)(mote_self *, mote_term, void *))abort}, none = {.name = "none"};
    mote_spawn_options options[] = {{.handler = &both}, {.handler = &none}, {.handler = &contexts, .hosted = true}, {.hosted = true}};
    mote_term m;
    (void)context;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) CHECK_INT(mote_spawn_opt(self, &options[i], MOTE_TERM_NIL, NULL), MOTE_EARG);
    CHECK_INT(mote_host_wait(NULL, 0), MOTE_ESELF);
    CHECK_INT(mote_host_wait(self, 0), MOTE_ECONTEXT); /* not hosted */
    CHECK_INT(mote_host_wake_after(NULL, 0), MOTE_ESELF);
    CHECK_INT(mote_host_wake_after(self, 0), MOTE_ECONTEXT);
    CHECK(!mote_host_exit_reason(NULL, &m) && !mote_host_exit_reason(self, &m));
    CHECK(!mote_host_stack_head(NULL) && !mote_host_stack_head(self));
    CHECK(!mote_host_context(NULL) && !mote_host_context(self));
    mote_self *thread;
    CHECK_INT(mote_host_attach(mote_runtime_of(self), &thread), MOTE_EBUSY);
    CHECK_INT(mote_host_attach(NULL, &thread), MOTE_EARG);
    CHECK_INT(mote_host_attach(mote_runtime_of(self), NULL), MOTE_EARG);
    return 0;
}
BOTH(errors, bad_options)

/* Leaves all messages until it is told to send three on. */
static void picky_resume(mote_self *self, void *state) {
    mote_pid from;
    mote_term m;
    (void)state;
    ends_if_told(self);
    while (mote_receive_match(self, 0, "{send_on, ?}", &from) == MOTE_OK)
        for (int i = 0; i < 3 && mote_receive(self, 0, &m) == MOTE_OK; i++) CHECK_OK(mote_send(self, from, "?", m));
}
static const mote_handler picky = {.name = "picky", .resume = picky_resume};

static int leaves(mote_self *self, void *context) {
    mote_pid pid = spawn_handler(self, &picky);
    mote_process_info info;
    (void)context;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3; i++) CHECK_OK(mote_send(self, pid, "{?, ?}", round, i));
        if (round % 3) wait_idle(self, pid);
        CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
        CHECK_INT(info.mailbox, 3);
        CHECK(info.handler && info.function == (const void *)(uintptr_t)picky_resume);
        CHECK_OK(mote_send(self, pid, "{send_on, ?}", mote_self_pid(self)));
        for (int i = 0; i < 3; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{^, ^}", round, i));
    }
    return 0;
}
BOTH(handler_leaves_messages, leaves)

/* What a call that is no receive fetches is news all the same: the handler is resumed for it. */
static void fetches_resume(mote_self *self, void *state) {
    mote_term m;
    (void)state;
    ends_if_told(self);
    if (mote_receive(self, 0, &m) == MOTE_OK) atomic_fetch_add(&seen.count, 1);
    if (mote_receive(self, 0, &m) == MOTE_OK) atomic_fetch_add(&seen.count, 1);
    if (atomic_fetch_add(&seen.turns, 1)) return;
    CHECK_OK(mote_send(self, mote_self_pid(self), "for_later"));
    CHECK_OK(mote_demonitor(self, mote_ref_make(self), true, NULL)); /* looks for a DOWN */
}
static const mote_handler fetches = {.name = "fetches", .resume = fetches_resume};

static int news(mote_self *self, void *context) {
    (void)context;
    spawn_handler(self, &fetches);
    WAIT_UNTIL(self, counted() == 1);
    return 0;
}
BOTH(handler_hears_what_was_fetched, news)

/* --------------------------------------------------------------------------------------------------- questions */

/* Sends three messages to who is meant (or kill), asks about it, and tells what it was answered. */
struct inquiry {
    mote_host_question *question;
    mote_pid from;
};
static void inquires(mote_self *self, struct inquiry *inquiry, mote_pid about, bool kills) {
    mote_process_info info;
    mote_host_question *given_up;
    if (kills) CHECK_OK(mote_exit_send(self, about, atom("kill")));
    else
        for (int i = 0; i < 3; i++) CHECK_OK(mote_send(self, about, "?", i));
    CHECK_OK(mote_host_ask(self, about, &given_up));
    CHECK_OK(mote_host_ask(self, about, &inquiry->question));
    mote_host_question_drop(given_up);
    CHECK_INT(mote_host_answer(NULL, &info), MOTE_EARG);
    CHECK_INT(mote_host_answer(inquiry->question, NULL), MOTE_EARG);
}
static void inquirer_resume(mote_self *self, void *state) {
    struct inquiry *inquiry = state;
    mote_process_info info = {0};
    mote_pid about;
    bool kills;
    ends_if_told(self);
    if (!inquiry->question && mote_receive_match(self, 0, "{ask, ?, ?, ?}", &inquiry->from, &about, &kills) == MOTE_OK) inquires(self, inquiry, about, kills);
    mote_err err = inquiry->question ? mote_host_answer(inquiry->question, &info) : MOTE_TIMEOUT;
    if (err == MOTE_TIMEOUT) return;
    CHECK_INT(mote_host_answer(inquiry->question, &info), (int)err);
    mote_host_question_drop(inquiry->question);
    inquiry->question = NULL;
    CHECK_OK(mote_send(self, inquiry->from, "{told, ?, ?, ?}", (int)err, info.mailbox, (int)info.state));
}
static void inquirer_stop(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)reason;
    mote_host_question_drop(((struct inquiry *)state)->question);
}
static const mote_handler inquirer = {.name = "inquirer", .state_size = sizeof(struct inquiry), .resume = inquirer_resume, .stop = inquirer_stop};

static void leaves_all(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "'a message that never comes'"));
}
static void spins_until_released(mote_self *self, mote_term arg) {
    while (!atomic_load(&seen.phase)) CHECK_OK(mote_yield(self));
    leaves_all(self, arg);
}
static void expect_told(mote_self *self, mote_err err, int mailbox, mote_state state) {
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{told, ^, ^, ^}", (int)err, mailbox, (int)state));
}
static int asks_about(mote_self *self, void *context) {
    mote_pid asker = spawn_handler(self, &inquirer), pid, me = mote_self_pid(self);
    mote_host_question *none;
    (void)context;
    CHECK_INT(mote_host_ask(self, asker, &none), MOTE_ECONTEXT);
    CHECK_INT(mote_host_ask(NULL, asker, &none), MOTE_ESELF);
    mote_host_question_drop(NULL);
    CHECK_OK(mote_spawn(self, leaves_all, MOTE_TERM_NIL, &pid));
    wait_idle(self, pid);
    CHECK_OK(mote_send(self, asker, "{ask, ?, ?, ?}", me, pid, (bool)false));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{told, 0, 3, _}"));
    CHECK_OK(mote_send(self, asker, "{ask, ?, ?, ?}", me, pid, (bool)true));
    expect_told(self, MOTE_ENOPROC, 0, MOTE_STATE_RUNNABLE);
    CHECK_OK(mote_send(self, asker, "{ask, ?, ?, ?}", me, pid, (bool)true)); /* dead already */
    expect_told(self, MOTE_ENOPROC, 0, MOTE_STATE_RUNNABLE);
    CHECK_OK(mote_send(self, asker, "{ask, ?, ?, ?}", me, asker, (bool)false));
    expect_told(self, MOTE_OK, 3, MOTE_STATE_RUNNING); /* itself */
    CHECK_OK(mote_spawn(self, spins_until_released, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, asker, "{ask, ?, ?, ?}", me, pid, (bool)false));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{told, 0, 3, _}"));
    CHECK_OK(mote_send(self, asker, "{ask, ?, ?, ?}", me, pid, (bool)false)); /* it ends with the question open */
    CHECK_OK(mote_exit_send(self, asker, atom("enough")));
    expect_end(self, asker, "enough");
    atomic_store(&seen.phase, 1);
    return 0;
}
BOTH(handler_asks, asks_about)

/* Who is ended while it waits for an answer gives its question up. */
static void spins_hard(mote_self *self, mote_term arg) {
    (void)self, (void)arg;
    atomic_fetch_add(&seen.turns, 1);
    while (!atomic_load(&seen.phase)) continue;
}
static void asks_in_vain(mote_self *self, mote_term arg) {
    mote_process_info info;
    CHECK_INT(mote_process_info_get(self, pid_of(arg), -1, &info), -1); /* it does not return */
}
static int ends_asking(mote_self *self, void *context) {
    mote_pid busy, asker;
    (void)context;
    CHECK_OK(mote_spawn(self, spins_hard, MOTE_TERM_NIL, &busy));
    WAIT_UNTIL(self, atomic_load(&seen.turns) == 1);
    CHECK_OK(mote_spawn(self, asks_in_vain, mote_pid_term(busy), &asker));
    wait_idle(self, asker);
    CHECK_OK(mote_exit_send(self, asker, atom("kill")));
    expect_end(self, asker, "killed");
    atomic_store(&seen.phase, 1);
    return 0;
}
static void asker_ends(void) { run_with((mote_options){.schedulers = 2, .log = quiet}, ends_asking); }

/* -------------------------------------------------------------------------------------------------- wake_after */

static void alarms_resume(mote_self *self, void *state) {
    ends_if_told(self);
    int *alarms = state;
    CHECK_INT(mote_host_wake_after(self, -1), MOTE_EARG);
    CHECK_INT(mote_host_wake_after(self, INT64_MAX), MOTE_EARG);
    switch ((*alarms)++) { /* each ends the wait of the one before, none has a message */
    case 0:
        atomic_store(&seen.at_ns, now_ns());
        CHECK_OK(mote_host_wake_after(self, 30));
        break;
    case 1:
        CHECK(now_ns() - atomic_load(&seen.at_ns) >= 29000000);
        CHECK_OK(mote_host_wake_after(self, 3600000));
        CHECK_OK(mote_host_wake_after(self, 5)); /* earlier */
        break;
    case 2:
        CHECK_OK(mote_host_wake_after(self, 5));
        CHECK_OK(mote_host_wake_after(self, 3600000)); /* later: at the latest */
        break;
    case 3: CHECK_OK(mote_host_wake_after(self, 0)); break;
    default:
        if (*alarms < 50) CHECK_OK(mote_host_wake_after(self, *alarms % 3)); /* repeated */
        else mote_exit(self, atom("alarmed"));
    }
}
static const mote_handler alarms = {.name = "alarms", .state_size = sizeof(int), .resume = alarms_resume};

static int wakes(mote_self *self, void *context) {
    mote_ref ref;
    (void)context;
    spawn_opt(self, (mote_spawn_options){.handler = &alarms, .monitor = &ref}, MOTE_TERM_NIL);
    expect_down(self, ref, "alarmed");
    return 0;
}
BOTH(handler_wakes, wakes)

/* A long alarm is no reason to be resumed, and none to stay when the end comes. */
static void sleeps_long(mote_self *self, void *state) {
    (void)state;
    ends_if_told(self);
    atomic_fetch_add(&seen.turns, 1);
    CHECK_OK(mote_host_wake_after(self, 3600000));
}
static const mote_handler long_sleeper = {.name = "long_sleeper", .resume = sleeps_long};

static int sleeps(mote_self *self, void *context) {
    mote_pid pid = spawn_handler(self, &long_sleeper);
    (void)context;
    WAIT_UNTIL(self, atomic_load(&seen.turns) == 1);
    CHECK_INT(mote_receive_match(self, 20, "nothing"), MOTE_TIMEOUT);
    CHECK_INT(atomic_load(&seen.turns), 1);
    CHECK_OK(mote_send(self, pid, "hello"));
    WAIT_UNTIL(self, atomic_load(&seen.turns) == 2);
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    expect_end(self, pid, "killed");
    return 0;
}
BOTH(handler_sleeps_long, sleeps)

/* ------------------------------------------------------------------------------------------------------- yield */

static void yields_resume(mote_self *self, void *state) {
    (void)state;
    ends_if_told(self);
    atomic_fetch_add(&seen.turns, 1);
    CHECK_OK(mote_yield(self));
}
static const mote_handler yielder = {.name = "yielder", .resume = yields_resume};

/* It is resumed again and again, and everybody else goes on: this process too, which is one of two. */
static int yields(mote_self *self, void *context) {
    mote_pid pid = spawn_handler(self, &yielder), second = spawn_handler(self, &yielder);
    bool alive;
    (void)context;
    for (int before = 0, i = 0; i < 100; i++) {
        WAIT_UNTIL(self, atomic_load(&seen.turns) > before + 10);
        before = atomic_load(&seen.turns);
    }
    CHECK_OK(mote_is_alive(self, pid, &alive));
    CHECK(alive);
    CHECK_OK(mote_exit_send(self, pid, atom("kill"))); /* while it runs */
    CHECK_OK(mote_exit_send(self, second, atom("enough")));
    expect_end(self, pid, "killed");
    expect_end(self, second, "enough");
    wait_gone(self, pid);
    wait_gone(self, second);
    CHECK_INT(atomic_load(&seen.told), 2);
    return 0;
}
BOTH(handler_yields, yields)

/* Who gets messages without end does not keep the scheduler: its turn is over some time. */
static void floods_itself(mote_self *self, void *state) {
    mote_term m;
    (void)state;
    ends_if_told(self);
    while (mote_receive(self, 0, &m) == MOTE_OK) continue;
    ends_if_told(self);
    CHECK_OK(mote_send(self, mote_self_pid(self), "again"));
    atomic_fetch_add(&seen.turns, 1);
}
static const mote_handler flooder = {.name = "flooder", .resume = floods_itself};

static int floods(mote_self *self, void *context) {
    mote_pid pid = spawn_handler(self, &flooder);
    (void)context;
    for (int i = 0; i < 50; i++) {
        int before = atomic_load(&seen.turns);
        WAIT_UNTIL(self, atomic_load(&seen.turns) > before + 10);
    }
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    expect_end(self, pid, "killed");
    return 0;
}
BOTH(handler_flooded, floods)

/* ------------------------------------------------------------------------------------------- a handler's end */

/* Told of its end, it goes on until a message comes. */
static void lingers_resume(mote_self *self, void *state) {
    int *after = state;
    mote_term m, reason;
    atomic_fetch_add(&seen.turns, 1);
    if (mote_receive(self, 0, &m) == MOTE_OK) return;
    if (!mote_host_exit_reason(self, &reason)) return;
    CHECK(is_boxed(reason) || mote_match(reason, "{why, _}"));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_EEXIT);
    CHECK_INT(mote_receive_match(self, 0, "_"), MOTE_EEXIT);
    atomic_fetch_add(&seen.told, 1);
    if ((*after)++) mote_exit(self, atom("not_this"));
}
static const mote_handler lingers = {.name = "lingers", .state_size = sizeof(int), .resume = lingers_resume, .stop = counts_stop};

static int tells_once(mote_self *self, void *context) {
    mote_ref ref;
    mote_term reason;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    mote_pid pid = spawn_opt(self, (mote_spawn_options){.handler = &lingers, .monitor = &ref, .link = true}, MOTE_TERM_NIL);
    wait_idle(self, pid);
    CHECK_OK(mote_build(mote_scratch(self), &reason, "{why, [1, 2.5, \"text\"]}"));
    CHECK_OK(mote_exit_send(self, pid, reason));
    WAIT_UNTIL(self, atomic_load(&seen.told) == 1);
    CHECK_INT(mote_receive_match(self, 5, "nothing"), MOTE_TIMEOUT);
    CHECK_INT(atomic_load(&seen.told), 1);
    CHECK_OK(mote_exit_send(self, pid, atom("kill"))); /* it is resumed for that, but the first reason counts */
    expect_down(self, ref, "{why,[1,2.5,\"text\"]}");
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, {why, [1 | _]}}", pid));
    CHECK_INT(atomic_load(&seen.told), 2);
    CHECK_INT(atomic_load(&seen.stopped), 1);
    return 0;
}
BOTH(handler_told_once, tells_once)

/* The reason is an object's box, which lives until the end. */
static int boxed_end(mote_self *self, void *context) {
    mote_ref ref;
    mote_term x;
    (void)context;
    mote_pid pid = spawn_opt(self, (mote_spawn_options){.handler = &lingers, .monitor = &ref}, MOTE_TERM_NIL);
    CHECK_OK(mote_send_term(self, pid, boxed()));
    CHECK_OK(mote_exit_send(self, pid, boxed()));
    WAIT_UNTIL(self, atomic_load(&seen.told) >= 1);
    CHECK_OK(mote_send_term(self, pid, boxed()));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, _, _, ?}", ref, &x));
    CHECK(is_boxed(x));
    mote_host_message_drop(self);
    wait_gone(self, pid);
    WAIT_UNTIL(self, held() == 0);
    return 0;
}
BOTH(handler_ends_with_box, boxed_end)

static void traps_resume(mote_self *self, void *state) {
    mote_pid from;
    mote_term m;
    (void)state;
    ends_if_told(self);
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    atomic_store(&seen.phase, 1);
    while (mote_receive_match(self, 0, "{'EXIT', ?, ?}", &from, &m) == MOTE_OK) CHECK_OK(mote_send(self, from, "{trapped, ?}", m));
}
static const mote_handler trapper = {.name = "trapper", .resume = traps_resume};

static int traps(mote_self *self, void *context) {
    mote_pid pid = spawn_handler(self, &trapper);
    (void)context;
    WAIT_UNTIL(self, atomic_load(&seen.phase) == 1);
    CHECK_OK(mote_exit_send(self, pid, atom("why")));
    expect(self, "{trapped,why}");
    CHECK_OK(mote_exit_send(self, pid, atom("normal")));
    expect(self, "{trapped,normal}");
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    expect_end(self, pid, "killed");
    CHECK_INT(atomic_load(&seen.told), 1);
    return 0;
}
BOTH(handler_traps, traps)

static void exits_when_told(mote_self *self, mote_term arg) {
    CHECK_OK(mote_receive_match(self, -1, "go"));
    mote_exit(self, arg);
}
static int linked(mote_self *self, void *context) {
    mote_ref ref;
    mote_pid peer, pid = spawn_opt(self, (mote_spawn_options){.handler = &picky, .monitor = &ref}, MOTE_TERM_NIL);
    bool alive;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_link(self, pid));
    peer = spawn_opt(self, (mote_spawn_options){.body = exits_when_told, .link = true}, atom("peers_reason"));
    CHECK_OK(mote_exit_send(self, pid, atom("normal"))); /* ignored */
    CHECK_OK(mote_is_alive(self, pid, &alive));
    CHECK(alive);
    CHECK_OK(mote_send(self, peer, "go"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, peers_reason}", peer));
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 0, NULL));
    CHECK_OK(mote_unlink(self, pid));
    CHECK_OK(mote_exit_send(self, pid, atom("last")));
    expect_down(self, ref, "last");
    return 0;
}
BOTH(handler_linked, linked)

/* Its parent ends; the child is told through its link. */
static void links_and_exits(mote_self *self, mote_term arg) {
    mote_pid child = spawn_opt(self, (mote_spawn_options){.handler = &picky, .link = true}, MOTE_TERM_NIL);
    CHECK_OK(mote_send(self, pid_of(arg), "{child, ?}", child));
    CHECK_OK(mote_receive_match(self, -1, "go"));
    mote_exit(self, atom("parents_reason"));
}
static int parent_ends(mote_self *self, void *context) {
    mote_pid parent, child;
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_spawn(self, links_and_exits, self_term(self), &parent));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{child, ?}", &child));
    CHECK_OK(mote_monitor(self, child, &ref));
    CHECK_OK(mote_send(self, parent, "go"));
    expect_down(self, ref, "parents_reason");
    CHECK_INT(atomic_load(&seen.told), 1);
    return 0;
}
BOTH(handler_told_by_link, parent_ends)

/* Thousands, some waiting, some running, when the runtime stops: all are told, and end. */
static const mote_handler many_waiting = {.name = "waiting", .resume = picky_resume, .stop = counts_stop};
static const mote_handler many_sleeping = {.name = "sleeping", .resume = sleeps_long, .stop = counts_stop};
static const mote_handler many_running = {.name = "running", .resume = yields_resume, .stop = counts_stop};
static int many(void) { return scaled(6000); }
static int starts_many(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < many(); i++) {
        mote_pid pid = spawn_handler(self, i % 50 == 0 ? &many_running : i % 2 ? &many_sleeping : &many_waiting);
        if (i % 3 == 0) CHECK_OK(mote_send(self, pid, "{?, ?}", i, boxed()));
        if (i % 500 == 0) CHECK_OK(mote_exit_send(self, pid, atom("enough")));
    }
    return 0;
}
static void stops_many(unsigned schedulers) {
    run_with((mote_options){.schedulers = schedulers, .log = quiet}, starts_many);
    CHECK_INT(held(), 0);
    CHECK(atomic_load(&seen.stopped) <= many() && atomic_load(&seen.told) <= many()); /* some have not begun */
}
static void stop_with_many(void) { stops_many(1); }
static void stop_with_many_2(void) { stops_many(2); }

/* ------------------------------------------------------------------------------------------- limited mailboxes */

static void floods_one(mote_self *self, mote_term arg) {
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_send(self, pid_of(arg), "?", i));
        atomic_fetch_add(&seen.count, 1);
    }
}
/* Takes messages when it is told so. */
static void bounded_resume(mote_self *self, void *state) {
    mote_term m;
    (void)state;
    ends_if_told(self);
    while (atomic_load(&seen.phase) && mote_receive(self, 0, &m) == MOTE_OK) atomic_fetch_add(&seen.turns, 1);
}
static const mote_handler bounded = {.name = "bounded", .resume = bounded_resume};

static int suspends(mote_self *self, void *context) {
    mote_pid pid = spawn_opt(self, (mote_spawn_options){.handler = &bounded, .mailbox_max = 10, .policy = MOTE_SUSPEND}, MOTE_TERM_NIL);
    mote_pid sender;
    mote_process_info info;
    (void)context;
    CHECK_OK(mote_spawn(self, floods_one, mote_pid_term(pid), &sender));
    do CHECK_OK(mote_process_info_get(self, sender, PATIENCE_MS, &info));
    while (info.state != MOTE_STATE_SUSPENDED);
    CHECK_INT(counted(), 10);
    atomic_store(&seen.phase, 1);
    CHECK_OK(mote_send_after(self, 0, pid, NULL, "look"));
    WAIT_UNTIL(self, counted() == 100 && atomic_load(&seen.turns) == 101);
    wait_gone(self, sender);
    return 0;
}
BOTH(handler_with_a_limit, suspends)

/* A handler that has filled a mailbox is not resumed until there is room, unless it has to hear of its end. */
static void fills_resume(mote_self *self, void *state) {
    mote_pid *to = state;
    ends_if_told(self);
    if (!to->word && mote_receive_match(self, 0, "{fill, ?}", to) != MOTE_OK) return;
    for (int i = 0; i < 10; i++) CHECK_OK(mote_send(self, *to, "?", i));
    atomic_fetch_add(&seen.turns, 1);
    if (atomic_load(&seen.phase)) mote_exit(self, atom("filled"));
    CHECK_OK(mote_yield(self));
}
static const mote_handler filler = {.name = "filler", .state_size = sizeof(mote_pid), .resume = fills_resume};

static void drains(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "drain"));
    while (mote_receive(self, 0, &m) == MOTE_OK) continue;
    never_ends(self, arg);
}
static mote_pid fill(mote_self *self, mote_pid pid, mote_ref *ref) {
    mote_pid from = spawn_opt(self, (mote_spawn_options){.handler = &filler, .monitor = ref}, MOTE_TERM_NIL);
    mote_process_info info;
    CHECK_OK(mote_send(self, from, "{fill, ?}", pid));
    do CHECK_OK(mote_process_info_get(self, from, PATIENCE_MS, &info));
    while (info.state != MOTE_STATE_SUSPENDED);
    return from;
}
static int is_suspended(mote_self *self, void *context) {
    mote_spawn_options options = {.body = drains, .mailbox_max = 5, .policy = MOTE_SUSPEND};
    mote_pid first = spawn_opt(self, options, MOTE_TERM_NIL), second = spawn_opt(self, options, MOTE_TERM_NIL), from;
    mote_ref ref;
    (void)context;
    from = fill(self, first, &ref);
    CHECK_INT(atomic_load(&seen.turns), 1);
    CHECK_OK(mote_send(self, from, "hello")); /* it stands still all the same */
    CHECK_INT(mote_receive_match(self, 10, "nothing"), MOTE_TIMEOUT);
    CHECK_INT(atomic_load(&seen.turns), 1);
    CHECK_OK(mote_exit_send(self, from, atom("enough"))); /* but not for ever */
    expect_down(self, ref, "enough");
    from = fill(self, second, &ref);
    atomic_store(&seen.phase, 1);
    CHECK_OK(mote_send(self, second, "drain"));
    expect_down(self, ref, "filled");
    return 0;
}
BOTH(handler_stands_still, is_suspended)

/* ------------------------------------------------------------------------------------------------ hosted bodies */

typedef mote_err waiting_call(mote_self *self);
static mote_err by_receive(mote_self *self) {
    mote_term m;
    return mote_receive(self, -1, &m);
}
static mote_err by_match(mote_self *self) { return mote_receive_match(self, PATIENCE_MS, "nothing"); }
static mote_err by_wait(mote_self *self) { return mote_host_wait(self, -1); }
static mote_err by_sleep(mote_self *self) { return mote_sleep(self, PATIENCE_MS); }
static mote_err by_yield(mote_self *self) {
    mote_err err;
    while (!(err = mote_yield(self))) continue;
    return err;
}
static mote_err by_polling(mote_self *self) {
    mote_err err;
    mote_term m;
    while ((err = mote_receive(self, 0, &m)) == MOTE_TIMEOUT) (void)!mote_yield(self);
    return err;
}
static mote_err by_descriptor(mote_self *self) {
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    mote_err err = mote_fd_wait(self, ends[0], MOTE_READ, -1, NULL);
    close(ends[0]), close(ends[1]);
    return err;
}
static void computes(void *context) {
    (void)context;
    for (uint64_t since = now_ns(); now_ns() - since < 5000000;) continue;
}
static mote_err by_blocking(mote_self *self) {
    CHECK_OK(mote_blocking(self, computes, NULL)); /* nobody can end it meanwhile */
    return mote_host_wait(self, -1);
}
static waiting_call *const waiting_calls[] = {by_receive, by_match, by_wait, by_sleep, by_yield, by_polling, by_descriptor, by_blocking};
#define WAITING_CALLS (sizeof waiting_calls / sizeof *waiting_calls)

/* Every call gives it, again and again; messages that came before are not received any more. */
static void is_exiting(mote_self *self, const char *why) {
    mote_term m, reason;
    bool alive;
    CHECK(mote_host_exit_reason(self, &reason) && mote_host_exit_reason(self, NULL));
    CHECK_TERM(reason, why);
    CHECK_OK(mote_send(self, mote_self_pid(self), "to_itself"));
    for (int i = 0; i < 3; i++) {
        CHECK_INT(mote_receive(self, 0, &m), MOTE_EEXIT);
        CHECK_INT(mote_receive(self, -1, &m), MOTE_EEXIT);
        CHECK_INT(mote_receive_match(self, i, "to_itself"), MOTE_EEXIT);
        CHECK_INT(mote_host_wait(self, i), MOTE_EEXIT);
        CHECK_INT(mote_yield(self), MOTE_EEXIT);
        CHECK_INT(mote_sleep(self, i), MOTE_EEXIT);
        CHECK_INT(by_descriptor(self), MOTE_EEXIT);
    }
    CHECK_OK(mote_is_alive(self, mote_self_pid(self), &alive));
    CHECK_OK(mote_blocking(self, computes, NULL));
}
static void is_ended(mote_self *self, mote_term arg) {
    int64_t n;
    CHECK_OK(mote_int_get(arg, &n));
    CHECK(!mote_host_exit_reason(self, NULL));
    atomic_fetch_add(&seen.count, 1);
    CHECK_INT(waiting_calls[n % (int64_t)WAITING_CALLS](self), MOTE_EEXIT);
    is_exiting(self, "{why,[2]}");
    if (n % 2) mote_exit(self, atom("not_this"));
}
static int ends_bodies(mote_self *self, void *context) {
    mote_ref ref[2 * WAITING_CALLS];
    mote_pid pid[2 * WAITING_CALLS];
    mote_term reason;
    (void)context;
    for (size_t i = 0; i < 2 * WAITING_CALLS; i++)
        pid[i] = spawn_opt(self, (mote_spawn_options){.body = is_ended, .hosted = true, .monitor = &ref[i]}, mote_int_make(NULL, (int64_t)i));
    WAIT_UNTIL(self, counted() == 2 * WAITING_CALLS);
    CHECK_INT(mote_receive_match(self, 5, "nothing"), MOTE_TIMEOUT);
    for (size_t i = 0; i < 2 * WAITING_CALLS; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &reason, "{why, [2]}"));
        CHECK_OK(mote_exit_send(self, pid[i], reason));
        CHECK_OK(mote_send(self, pid[i], "too_late"));
    }
    for (size_t i = 0; i < 2 * WAITING_CALLS; i++) expect_down(self, ref[i], "{why,[2]}");
    return 0;
}
BOTH(body_ends, ends_bodies)

/* Its own end, without a signal; and one by a signal to itself. */
static void ends_itself(mote_self *self, mote_term arg) {
    if (mote_match(arg, "returns")) return;
    if (mote_match(arg, "exits")) mote_exit(self, arg);
    CHECK_OK(mote_exit_send(self, mote_self_pid(self), arg));
    is_exiting(self, "itself");
}
static void link_dies(mote_self *self, mote_term arg) {
    mote_pid peer = spawn_opt(self, (mote_spawn_options){.body = exits_when_told, .link = true}, arg);
    CHECK_OK(mote_send(self, peer, "go"));
    CHECK_INT(mote_host_wait(self, -1), MOTE_EEXIT);
    is_exiting(self, "by_link");
}
static void is_killed(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_INT(mote_host_wait(self, -1), MOTE_EEXIT);
}
static int own_ends(mote_self *self, void *context) {
    mote_ref ref;
    mote_pid pid;
    (void)context;
    spawn_opt(self, (mote_spawn_options){.body = ends_itself, .hosted = true, .monitor = &ref}, atom("returns"));
    expect_down(self, ref, "normal");
    spawn_opt(self, (mote_spawn_options){.body = ends_itself, .hosted = true, .monitor = &ref}, atom("exits"));
    expect_down(self, ref, "exits");
    spawn_opt(self, (mote_spawn_options){.body = ends_itself, .hosted = true, .monitor = &ref}, atom("itself"));
    expect_down(self, ref, "itself");
    spawn_opt(self, (mote_spawn_options){.body = link_dies, .hosted = true, .monitor = &ref}, atom("by_link"));
    expect_down(self, ref, "by_link");
    for (int i = 0; i < 100; i++) { /* some before they begin */
        pid = spawn_opt(self, (mote_spawn_options){.body = is_killed, .hosted = true, .monitor = &ref}, MOTE_TERM_NIL);
        CHECK_OK(mote_exit_send(self, pid, atom("kill")));
        expect_down(self, ref, "killed");
    }
    return 0;
}
BOTH(body_ends_itself, own_ends)

/* -------------------------------------------------------------------------------------- a body's waits and sends */

static void awaits(mote_self *self, mote_term arg) {
    mote_pid parent = pid_of(arg);
    mote_term m;
    uint64_t since = now_ns();
    CHECK_INT(mote_host_wait(self, -2), MOTE_EARG);
    CHECK_INT(mote_host_wait(self, INT64_MAX), MOTE_EARG);
    CHECK_INT(mote_host_wait(self, 0), MOTE_TIMEOUT);
    atomic_store(&seen.phase, 1);
    CHECK_INT(mote_host_wait(self, 40), MOTE_TIMEOUT); /* signals that are no messages come meanwhile */
    CHECK(ms_since(since) >= 40);
    atomic_store(&seen.phase, 2);
    CHECK_OK(mote_host_wait(self, -1));
    CHECK_INT(mote_host_wait(self, 1), MOTE_TIMEOUT); /* what it has been told of is no news, */
    CHECK_OK(mote_receive(self, 0, &m));              /* and stays where it is */
    CHECK_TERM(m, "a");
    CHECK_INT(mote_receive_match(self, 0, "never"), MOTE_TIMEOUT);
    CHECK_OK(mote_send(self, mote_self_pid(self), "b"));
    CHECK_OK(mote_yield(self)); /* fetches */
    CHECK_OK(mote_host_wait(self, -1));
    CHECK_OK(mote_send(self, mote_self_pid(self), "c"));
    CHECK_OK(mote_sleep(self, 1));
    CHECK_OK(mote_host_wait(self, PATIENCE_MS));
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK_TERM(m, "b");
    CHECK_OK(mote_send(self, parent, "?", m));
}
static int body_waits(mote_self *self, void *context) {
    mote_pid pid = spawn_hosted(self, awaits, self_term(self));
    mote_process_info info;
    mote_ref ref;
    (void)context;
    WAIT_UNTIL(self, atomic_load(&seen.phase) >= 1);
    while (atomic_load(&seen.phase) == 1) {
        CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
        CHECK_OK(mote_monitor(self, pid, &ref));
        CHECK_OK(mote_demonitor(self, ref, true, NULL));
    }
    wait_idle(self, pid);
    CHECK_OK(mote_send(self, pid, "a"));
    expect(self, "b");
    return 0;
}
BOTH(body_that_waits, body_waits)

static void counts_messages(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    while (mote_receive(self, -1, &m) == MOTE_OK) atomic_fetch_add(&seen.count, 1);
}
/* Nobody runs between two sends; at a yield everybody does. */
static void sends(mote_self *self, mote_term arg) {
    mote_pid to = pid_of(arg), child;
    for (int round = 0; round < 5; round++) {
        int before = counted(), n = scaled(20000);
        for (int i = 0; i < n; i++) {
            CHECK_OK(mote_send(self, to, "?", i));
            if (i % 1000 == 0) CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &child));
            if (i % 1000 == 0) CHECK_OK(mote_exit_send(self, child, atom("kill")));
            CHECK_OK(mote_reductions(self, 5));
            CHECK_INT(counted(), before);
        }
        CHECK(mote_host_turn_over(self));
        int yields = 0;
        do CHECK_OK(mote_yield(self));
        while (mote_host_turn_over(self) && ++yields < 100); /* a turn is over by the clock, too: on a busy machine before it has begun */
        CHECK(yields < 100);
        while (counted() < before + n) CHECK_OK(mote_yield(self));
    }
}
static int sends_do_not_switch(mote_self *self, void *context) {
    mote_pid to;
    mote_ref ref;
    (void)context;
    CHECK_OK(mote_spawn(self, counts_messages, MOTE_TERM_NIL, &to));
    wait_idle(self, to);
    spawn_opt(self, (mote_spawn_options){.body = sends, .hosted = true, .monitor = &ref}, mote_pid_term(to));
    expect_down(self, ref, "normal");
    return 0;
}
static void body_sends(void) { run_with((mote_options){.schedulers = 1}, sends_do_not_switch); }

/* A full mailbox's sender stands still in its next wait, and misses nothing that comes meanwhile. */
static void overfills(mote_self *self, mote_term arg) {
    mote_term m;
    mote_pid to;
    bool yields_first;
    CHECK(mote_match(arg, "{?, ?}", &to, &yields_first));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    for (int i = 0; i < 12; i++) CHECK_OK(mote_send(self, to, "?", i));
    atomic_store(&seen.phase, 1);
    if (yields_first) CHECK_OK(mote_yield(self));
    if (yields_first) CHECK(atomic_load(&seen.phase) == 2);
    CHECK_OK(mote_host_wait(self, -1));
    CHECK(atomic_load(&seen.phase) == 2);
    CHECK_OK(mote_receive_match(self, 0, "meanwhile"));
}
static int body_suspends(mote_self *self, void *context) {
    mote_process_info info;
    mote_ref ref;
    (void)context;
    for (int i = 0; i < 4; i++) {
        mote_pid to = spawn_opt(self, (mote_spawn_options){.body = drains, .mailbox_max = 5, .policy = MOTE_SUSPEND}, MOTE_TERM_NIL), from;
        mote_term arg;
        atomic_store(&seen.phase, 0);
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?}", to, (bool)(i % 2)));
        from = spawn_opt(self, (mote_spawn_options){.body = overfills, .hosted = true, .monitor = &ref}, arg);
        WAIT_UNTIL(self, atomic_load(&seen.phase) == 1);
        do CHECK_OK(mote_process_info_get(self, from, PATIENCE_MS, &info));
        while (info.state != MOTE_STATE_SUSPENDED);
        CHECK_OK(mote_send(self, from, "meanwhile"));
        CHECK_OK(mote_process_info_get(self, from, PATIENCE_MS, &info)); /* now it is fetched */
        CHECK_INT(info.mailbox, 1);
        atomic_store(&seen.phase, 2);
        CHECK_OK(mote_send(self, to, "drain"));
        expect_down(self, ref, "normal");
    }
    return 0;
}
BOTH(body_stands_still, body_suspends)

/* One that stands still hears of its end. */
static void overfills_and_ends(mote_self *self, mote_term arg) {
    for (int i = 0; i < 12; i++) CHECK_OK(mote_send(self, pid_of(arg), "?", i));
    atomic_fetch_add(&seen.count, 1);
    CHECK_INT(mote_host_wait(self, -1), MOTE_EEXIT);
}
static int suspended_ends(mote_self *self, void *context) {
    mote_pid to = spawn_opt(self, (mote_spawn_options){.body = drains, .mailbox_max = 5, .policy = MOTE_SUSPEND}, MOTE_TERM_NIL), from;
    mote_ref ref;
    (void)context;
    from = spawn_opt(self, (mote_spawn_options){.body = overfills_and_ends, .hosted = true, .monitor = &ref}, mote_pid_term(to));
    WAIT_UNTIL(self, counted() == 1);
    CHECK_OK(mote_exit_send(self, from, atom("enough")));
    expect_down(self, ref, "enough");
    return 0;
}
BOTH(body_ends_while_it_stands_still, suspended_ends)

/* ------------------------------------------------------------------------------------------ for the host's messages */

static bool wants_b(mote_term message, void *context) {
    atomic_fetch_add((_Atomic int *)context, 1);
    return mote_match(message, "{b, _}");
}
static int receives(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_term m;
    mote_ref since;
    (void)context;
    CHECK_INT(mote_host_receive(NULL, (mote_ref){0}, wants_b, &seen.count, &m), MOTE_ESELF);
    CHECK_INT(mote_host_receive(self, (mote_ref){0}, NULL, &seen.count, &m), MOTE_EARG);
    CHECK_INT(mote_host_receive(self, (mote_ref){0}, wants_b, &seen.count, NULL), MOTE_EARG);
    CHECK_INT(mote_host_receive(self, (mote_ref){0}, wants_b, &seen.count, &m), MOTE_TIMEOUT);
    for (int i = 0; i < 3; i++) CHECK_OK(mote_send(self, me, "a"));
    CHECK_OK(mote_send(self, me, "{b, 1}"));
    CHECK_INT(mote_receive_match(self, 0, "never"), MOTE_TIMEOUT);
    since = mote_ref_make(self);
    CHECK_OK(mote_send(self, me, "{b, 2}"));
    CHECK_OK(mote_host_receive(self, since, wants_b, &seen.count, &m));
    CHECK_TERM(m, "{b,2}");
    CHECK_INT(counted(), 1);
    CHECK_INT(mote_host_receive(self, since, wants_b, &seen.count, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_host_receive(self, (mote_ref){0}, wants_b, &seen.count, &m));
    CHECK_TERM(m, "{b,1}");
    CHECK_INT(counted(), 5);
    return 0;
}
BOTH(receives_since, receives)

static int takes(mote_self *self, void *context) {
    mote_pid handler = spawn_handler(self, &long_sleeper), body = spawn_hosted(self, is_killed, MOTE_TERM_NIL), plain;
    mote_ref alias;
    (void)context;
    CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &plain));
    CHECK(mote_host_takes(self, mote_pid_term(handler)) && mote_host_takes(self, mote_pid_term(body)));
    CHECK(!mote_host_takes(self, mote_pid_term(plain)) && !mote_host_takes(self, self_term(self)));
    CHECK_OK(mote_register(self, "somebody", handler));
    CHECK(mote_host_takes(self, atom("somebody")) && !mote_host_takes(self, atom("nobody")));
    CHECK_OK(mote_alias(self, 0, &alias));
    CHECK(!mote_host_takes(self, mote_ref_term(alias)) && !mote_host_takes(self, mote_int_make(NULL, 1)) && !mote_host_takes(NULL, atom("somebody")));
    CHECK_OK(mote_exit_send(self, handler, atom("kill")));
    CHECK_OK(mote_exit_send(self, body, atom("kill")));
    wait_gone(self, handler);
    wait_gone(self, body);
    CHECK(!mote_host_takes(self, mote_pid_term(handler)) && !mote_host_takes(self, mote_pid_term(body)) && !mote_host_takes(self, atom("somebody")));
    return 0;
}
BOTH(takes_objects, takes)

/* --------------------------------------------------------------------------------------------- attached threads */

static void *attached(void *runtime) {
    mote_self *self, *again;
    mote_term m;
    int64_t n = (int64_t)atomic_fetch_add(&seen.count, 1);
    CHECK_OK(mote_host_attach(runtime, &self));
    CHECK_INT(mote_host_attach(runtime, &again), MOTE_EBUSY);
    CHECK_INT(mote_host_wait(self, 0), MOTE_TIMEOUT);
    CHECK_INT(mote_host_wait(self, 5), MOTE_TIMEOUT);
    CHECK_INT(mote_host_wake_after(self, 5), MOTE_ECONTEXT);
    CHECK(!mote_host_stack_head(self) && mote_host_takes(self, self_term(self)));
    CHECK_OK(mote_send(self, "tester", "{attached, ?, ?}", self_term(self), n));
    CHECK_OK(mote_host_wait(self, -1));
    CHECK_OK(mote_receive(self, 0, &m));
    CHECK_TERM(m, "go");
    CHECK_OK(mote_yield(self));
    CHECK_OK(mote_send(self, "tester", "here"));
    CHECK_INT(n % 5 == 0 ? by_receive(self) : n % 5 == 1 ? by_wait(self) : n % 5 == 2 ? by_sleep(self) : n % 5 == 3 ? by_yield(self) : by_polling(self), MOTE_EEXIT);
    is_exiting(self, "{why,[2]}");
    CHECK_OK(mote_detach(self));
    return NULL;
}
static int ends_threads(mote_self *self, void *context) {
    pthread_t thread;
    mote_pid pid;
    mote_term reason;
    (void)context;
    CHECK_OK(mote_register(self, "tester", mote_self_pid(self)));
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    for (int i = 0; i < 10; i++) {
        CHECK_INT(pthread_create(&thread, NULL, attached, mote_runtime_of(self)), 0);
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{attached, ?, _}", &pid));
        CHECK_OK(mote_link(self, pid));
        CHECK_OK(mote_exit_send(self, pid, atom("normal"))); /* ignored */
        CHECK_OK(mote_send(self, pid, "go"));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "here"));
        if (i % 2) CHECK_INT(mote_receive_match(self, 2, "nothing"), MOTE_TIMEOUT);
        CHECK_OK(mote_build(mote_scratch(self), &reason, "{why, [2]}"));
        CHECK_OK(mote_exit_send(self, pid, reason));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, {why, [2]}}", pid));
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    return 0;
}
BOTH(attached_thread_ends, ends_threads)

/* A thread that is still attached when the runtime stops hears of it. */
static void *outlives(void *runtime) {
    mote_self *self;
    CHECK_OK(mote_host_attach(runtime, &self));
    atomic_store(&seen.phase, 1);
    mote_err err = mote_host_wait(self, -1);
    CHECK(err == MOTE_EEXIT || err == MOTE_ESTOPPED);
    CHECK_INT(mote_host_wait(self, -1), MOTE_ESTOPPED);
    CHECK_OK(mote_detach(self));
    return NULL;
}
static void thread_outlives(void) {
    mote_runtime *runtime;
    pthread_t thread;
    CHECK_OK(mote_runtime_start(&(mote_options){.schedulers = 2, .chaos_seed = chaos_seed()}, &runtime));
    CHECK_INT(pthread_create(&thread, NULL, outlives, runtime), 0);
    while (!atomic_load(&seen.phase)) sched_yield();
    CHECK_OK(mote_runtime_stop(runtime, 0));
    CHECK_INT(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------------------------------------- the host's loop */

enum { OUT, BUSY, IDLE };
/* A host's lock is held by who runs processes, and guards what is no atomic. */
static struct {
    pthread_mutex_t lock;
    long plain;
    int state[2];
    int entered[2], left[2], idles[2];
} loop = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void change(unsigned scheduler, int from, int to) {
    CHECK(scheduler < 2 && loop.state[scheduler] == from);
    loop.state[scheduler] = to;
}
static void loop_enters(void *context, unsigned scheduler) {
    CHECK(context == &loop && pthread_mutex_lock(&loop.lock) == 0);
    change(scheduler, OUT, BUSY);
    loop.entered[scheduler]++;
}
static void loop_idles(void *context, unsigned scheduler) {
    change(scheduler, BUSY, IDLE);
    loop.idles[scheduler]++;
    CHECK(context == &loop && pthread_mutex_unlock(&loop.lock) == 0);
}
static void loop_is_busy(void *context, unsigned scheduler) {
    CHECK(context == &loop && pthread_mutex_lock(&loop.lock) == 0);
    change(scheduler, IDLE, BUSY);
}
static void loop_leaves(void *context, unsigned scheduler) {
    change(scheduler, BUSY, OUT);
    loop.left[scheduler]++;
    CHECK(context == &loop && pthread_mutex_unlock(&loop.lock) == 0);
}
static const mote_host_loop loop_hooks = {
    .context = &loop, .enter = loop_enters, .idle = loop_idles, .busy = loop_is_busy, .leave = loop_leaves};

/* Some scheduler is busy, and this process has the lock: with two, they run in turns. */
static void in_loop(void) {
    CHECK(loop.state[0] == BUSY || loop.state[1] == BUSY);
    loop.plain++;
}
static void works(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        in_loop();
        if (i % 3 == 0) CHECK_OK(mote_sleep(self, 1));
        else if (i % 3 == 1) CHECK_OK(mote_yield(self));
        else CHECK_INT(mote_receive(self, 1, &m), MOTE_TIMEOUT);
    }
    in_loop();
}
static void hooked_resume(mote_self *self, void *state) {
    int *n = state;
    in_loop();
    if (mote_host_exit_reason(self, NULL) || ++*n == 21) mote_exit(self, atom("normal"));
    CHECK_OK(*n % 2 ? mote_host_wake_after(self, 1) : mote_yield(self));
}
static const mote_handler hooked = {.name = "hooked", .state_size = sizeof(int), .resume = hooked_resume};

static int in_hooks(mote_self *self, void *context) {
    mote_ref refs[30];
    (void)context;
    CHECK(mote_host_context(self) == &loop);
    for (int i = 0; i < 30; i++) {
        mote_spawn_options options = {.body = i % 3 ? works : NULL, .handler = i % 3 ? NULL : &hooked, .hosted = i % 3 == 1, .monitor = &refs[i]};
        spawn_opt(self, options, MOTE_TERM_NIL);
    }
    in_loop();
    for (int i = 0; i < 30; i++) expect_down(self, refs[i], "normal");
    in_loop();
    return 0;
}
static void hooks(unsigned schedulers) {
    run_with((mote_options){.schedulers = schedulers, .host_loop = &loop_hooks}, in_hooks);
    for (unsigned i = 0; i < 2; i++) CHECK(loop.state[i] == OUT && loop.entered[i] == (i < schedulers) && loop.left[i] == loop.entered[i]);
    CHECK(loop.idles[0] + loop.idles[1] > 0);
    CHECK(loop.plain >= 30 * 21 + 2); /* a handler may be resumed early */
}
static void loop_hooks_called(void) { hooks(1); }
static void loop_hooks_called_2(void) { hooks(2); }

static int nothing(mote_self *self, void *context) { return (void)self, (void)context, 0; }
static void loop_without_hooks(void) {
    static const mote_host_loop none = {.context = &loop};
    run_with((mote_options){.schedulers = 2, .host_loop = &none}, nothing);
}

/* ---------------------------------------------------------------------------------------------- above the stack */

#define HEAD ((size_t)16 << 10)
#define STACK ((size_t)128 << 10)

__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) static int deep(volatile int *below, int n) {
    volatile int here[64];
    here[n % 64] = *below + n;
    return n == 0 ? here[0] : deep(here, n - 1) + here[1];
}
/* The whole head is its own, whatever the stack below it does. */
static void uses_head(mote_self *self, mote_term arg) {
    unsigned char *head = mote_host_stack_head(self);
    volatile int zero = 0;
    int64_t n;
    CHECK_OK(mote_int_get(arg, &n));
    CHECK(head && (uintptr_t)head % 16 == 0);
    CHECK(mote_host_stack_size(self) >= 32768 && mote_host_stack_size(self) <= STACK);
    if (!SANITIZED) CHECK((uintptr_t)head > (uintptr_t)&zero && (uintptr_t)head - (uintptr_t)&zero < STACK);
    for (int round = 0; round < 3; round++) {
        memset(head, (int)(n + round), HEAD);
        zero = deep(&zero, 20);
        CHECK_OK(round % 2 ? mote_yield(self) : mote_sleep(self, 1));
        CHECK(mote_host_stack_head(self) == head);
        for (size_t i = 0; i < HEAD; i++) CHECK(head[i] == (unsigned char)(n + round));
        zero = 0;
    }
    atomic_fetch_add(&seen.count, 1);
}
static void heads_resume(mote_self *self, void *state) {
    (void)state;
    CHECK(!mote_host_stack_head(self) && mote_host_stack_size(self) == 0 && mote_host_stack_size(NULL) == 0);
    mote_exit(self, atom("normal"));
}
static const mote_handler headless = {.name = "headless", .resume = heads_resume};

static int heads(mote_self *self, void *context) {
    mote_spawn_options small = {.body = uses_head, .stack_size = HEAD};
    mote_ref ref;
    (void)context;
    CHECK(mote_host_stack_head(self));
    memset(mote_host_stack_head(self), 1, HEAD);
    for (int i = 0; i < 60; i++) {
        mote_spawn_options options = {.body = uses_head, .hosted = i % 2, .stack_size = i % 3 ? 0 : HEAD + 32768};
        spawn_opt(self, options, mote_int_make(NULL, i));
    }
    WAIT_UNTIL(self, counted() == 60);
    spawn_opt(self, (mote_spawn_options){.handler = &headless, .monitor = &ref}, MOTE_TERM_NIL);
    expect_down(self, ref, "normal");
    CHECK_INT(mote_spawn_opt(self, &small, MOTE_TERM_NIL, NULL), MOTE_ELIMIT);
    small.stack_size = HEAD + 16384 - 16;
    CHECK_INT(mote_spawn_opt(self, &small, MOTE_TERM_NIL, NULL), MOTE_ELIMIT);
    return 0;
}
static void stack_heads(void) { run_with((mote_options){.schedulers = 1, .stack_size = STACK, .stack_head = HEAD}, heads); }
static void stack_heads_2(void) { run_with((mote_options){.schedulers = 2, .stack_size = STACK, .stack_head = HEAD}, heads); }

static void absurd_heads(void) {
    static const mote_options options[] = {{.stack_head = 8}, {.stack_head = HEAD + 1}, {.stack_head = (size_t)1 << 40}, {.stack_head = SIZE_MAX - 15},
                                           {.stack_size = STACK, .stack_head = STACK}, {.stack_size = STACK, .stack_head = STACK - 16384 + 16}};
    mote_runtime *runtime;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) CHECK_INT(mote_runtime_start(&options[i], &runtime), MOTE_ELIMIT);
    run_with((mote_options){.schedulers = 1, .stack_size = STACK, .stack_head = STACK - 16384}, nothing);
}

/* A stack that overflows below its head is found out all the same. */
static void dives(mote_self *self, mote_term arg) {
    volatile int zero = 0;
    (void)arg;
    memset(mote_host_stack_head(self), 1, HEAD);
    zero = deep(&zero, 1000000);
}
__attribute__((unused)) static int dive(mote_self *self, void *context) {
    mote_ref ref;
    (void)context;
    for (int i = 0; i < 20; i++) {
        spawn_opt(self, (mote_spawn_options){.body = dives, .hosted = i % 2, .monitor = &ref, .stack_size = i % 3 ? 0 : HEAD + 32768}, MOTE_TERM_NIL);
        expect_down(self, ref, "stack_overflow");
        spawn_opt(self, (mote_spawn_options){.body = uses_head, .monitor = &ref}, mote_int_make(NULL, i));
        expect_down(self, ref, "normal");
    }
    return 0;
}
static void overflows(void) {
    mote_options options = {.schedulers = 2, .stack_size = STACK, .stack_head = HEAD, .overflow_ends_process = true, .log = quiet};
    if (!SANITIZED) run_with(options, dive); /* sanitizers do not bear that a signal handler is left for another stack */
}

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(box_terms), TEST(box_order), TEST(box_copies), TEST_ONE_AND_TWO(boxes_in_messages), TEST_ONE_AND_TWO(boxes_unread),
                              TEST_ONE_AND_TWO(boxes_shared), TEST_ONE_AND_TWO(boxes_in_timers), TEST_ONE_AND_TWO(boxes_as_reasons),
                              TEST_ONE_AND_TWO(boxes_as_tags), TEST_ONE_AND_TWO(boxes_in_certificates), TEST_ONE_AND_TWO(handler_begins_at_once),
                              TEST_ONE_AND_TWO(errors), TEST_ONE_AND_TWO(handler_leaves_messages), TEST_ONE_AND_TWO(handler_hears_what_was_fetched),
                              TEST_ONE_AND_TWO(handler_asks), TEST(asker_ends), TEST_ONE_AND_TWO(handler_wakes),
                              TEST_ONE_AND_TWO(handler_sleeps_long), TEST_ONE_AND_TWO(handler_yields),
                              TEST_ONE_AND_TWO(handler_flooded), TEST_ONE_AND_TWO(handler_told_once), TEST_ONE_AND_TWO(handler_ends_with_box),
                              TEST_ONE_AND_TWO(handler_traps), TEST_ONE_AND_TWO(handler_linked), TEST_ONE_AND_TWO(handler_told_by_link),
                              TEST_ONE_AND_TWO(stop_with_many), TEST_ONE_AND_TWO(handler_with_a_limit), TEST_ONE_AND_TWO(handler_stands_still),
                              TEST_ONE_AND_TWO(body_ends), TEST_ONE_AND_TWO(body_ends_itself), TEST_ONE_AND_TWO(body_that_waits), TEST(body_sends),
                              TEST_ONE_AND_TWO(body_stands_still), TEST_ONE_AND_TWO(body_ends_while_it_stands_still), TEST_ONE_AND_TWO(receives_since),
                              TEST_ONE_AND_TWO(takes_objects), TEST_ONE_AND_TWO(attached_thread_ends), TEST(thread_outlives),
                              TEST_ONE_AND_TWO(loop_hooks_called), TEST(loop_without_hooks), TEST_ONE_AND_TWO(stack_heads), TEST(absurd_heads),
                              TEST(overflows), {0}});
}
