/* SPDX-License-Identifier: Apache-2.0
 * Servers and calls: each callback and what it may return, starts that fail, calls that fail, system messages. */
#include <mote/server.h>
#include <sched.h>

#include "live.h"

/* Much of what ends here ends with an error, on purpose. */
static void quiet(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }
#undef RUN
#define RUN(count, body) run_with((mote_options){.schedulers = (count), .log = quiet}, body)

/* ------------------------------------------------------------------------------------- a server for all tests */

/* It does what it is asked to, and writes down what its callbacks saw. */
struct desk {
    mote_pid owner; /* is told of terminate; 0: nobody */
    int sum;
    int version;
    int limit; /* of the last time limit */
    char log[200];
};

static void log_term(struct desk *desk, const char *what, mote_term term) {
    size_t n = strlen(desk->log);
    n += (size_t)snprintf(desk->log + n, sizeof desk->log - n, "%s%s", n ? " " : "", what);
    CHECK(n < sizeof desk->log);
    if (mote_term_type(term) != MOTE_NONE) CHECK(n + mote_term_print(term, desk->log + n, sizeof desk->log - n) < sizeof desk->log);
}

static atomic_int slow_may_go;

static mote_next desk_init(mote_self *self, mote_term arg, void *state) {
    struct desk *desk = state;
    mote_term term;
    CHECK(desk->sum == 0 && desk->version == 0);
    if (mote_match(arg, "{owner, ?}", &desk->owner)) return mote_next_wait();
    if (mote_match(arg, "{stop, ?}", &term)) return mote_next_stop(term);
    if (mote_match(arg, "{refuse, ?}", &term)) return mote_next_refuse(term);
    if (mote_match(arg, "ignore")) return mote_next_ignore();
    if (mote_match(arg, "crash")) mote_error(self, atom("crash"));
    if (mote_match(arg, "{exit, ?}", &term)) mote_exit(self, term);
    if (mote_match(arg, "{wait_ms, ?, ?}", &desk->limit, &desk->owner)) return mote_next_wait_ms(desk->limit);
    if (mote_match(arg, "{continue, ?}", &term)) return mote_next_continue(term);
    if (mote_match(arg, "slow"))
        while (!atomic_load(&slow_may_go)) sched_yield();
    return mote_next_wait();
}

static mote_next bad_next(void) {
    mote_next next = mote_next_ignore();
    return next;
}

/* Requests that end it. */
static mote_next desk_end(mote_self *self, mote_term request) {
    mote_term a, b;
    if (mote_match(request, "{stop, ?}", &a)) return mote_next_stop(a);
    if (mote_match(request, "{stop, ?, ?}", &a, &b)) return mote_next_reply(b, mote_next_stop(a));
    if (mote_match(request, "{exit, ?}", &a)) mote_exit(self, a);
    if (mote_match(request, "bad")) return bad_next();
    if (mote_match(request, "none")) return mote_next_reply(MOTE_TERM_NONE, mote_next_wait());
    mote_error(self, request);
}

static mote_next desk_call(mote_self *self, mote_term request, mote_term from, void *state) {
    struct desk *desk = state;
    mote_term term, ok = atom("ok");
    mote_pid pid;
    int64_t trap;
    int n;
    if (mote_match(request, "{add, ?}", &n)) return mote_next_reply(mote_int_make(NULL, desk->sum += n), mote_next_wait());
    if (mote_match(request, "{say, ?}", &term)) {
        CHECK_OK(mote_reply(self, from, "{said, ?}", term));
        return mote_next_wait();
    }
    if (mote_match(request, "{pass, ?}", &pid)) {
        CHECK_OK(mote_send(self, pid, "{passed, ?}", from));
        return mote_next_wait();
    }
    if (mote_match(request, "log")) return mote_next_reply(mote_text_make(mote_scratch(self), desk->log, strlen(desk->log)), mote_next_wait());
    if (mote_match(request, "{wait_ms, ?}", &desk->limit)) return mote_next_reply(ok, mote_next_wait_ms(desk->limit));
    if (mote_match(request, "hibernate")) return mote_next_reply(ok, mote_next_hibernate());
    if (mote_match(request, "{continue, ?}", &term)) return mote_next_reply(ok, mote_next_continue(term));
    if (mote_match(request, "{trap, ?}", &trap)) {
        CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, trap, NULL));
        return mote_next_reply(ok, mote_next_wait());
    }
    if (mote_match(request, "{call_back, ?}", &term)) {
        CHECK_INT(mote_call_term(self, term, 0, request, &ok), MOTE_ECONTEXT);
        CHECK_INT(mote_server_stop(self, term, ok, 0), MOTE_ECONTEXT);
        return mote_next_reply(ok, mote_next_wait());
    }
    return desk_end(self, request);
}

static mote_next desk_cast(mote_self *self, mote_term message, void *state) {
    int n;
    mote_term term;
    if (mote_match(message, "{in_order, ?}", &n)) {
        CHECK_INT(n, ((struct desk *)state)->sum++);
        return mote_next_wait();
    }
    if (mote_match(message, "{finish, ?}", &term)) return desk_end(self, term);
    log_term(state, "cast ", message);
    return mote_next_wait();
}

static mote_next desk_info(mote_self *self, mote_term message, void *state) {
    (void)self;
    log_term(state, "info ", message);
    return mote_next_wait();
}

static mote_next desk_timeout(mote_self *self, void *state) {
    struct desk *desk = state;
    log_term(desk, "timeout", MOTE_TERM_NONE);
    if (desk->owner.word) CHECK_OK(mote_send(self, desk->owner, "{timeout, ?}", desk->limit));
    return mote_next_wait();
}

static mote_next desk_continue(mote_self *self, mote_term term, void *state) {
    int n;
    log_term(state, "continue ", term);
    if (mote_match(term, "?", &n) && n > 0) return mote_next_continue(mote_int_make(mote_scratch(self), n - 1));
    return mote_match(term, "{wait_ms, ?}", &n) ? mote_next_wait_ms(n) : mote_next_wait();
}

static void desk_terminate(mote_self *self, mote_term reason, void *state) {
    struct desk *desk = state;
    if (desk->owner.word) CHECK_OK(mote_send(self, desk->owner, "{terminate, ?}", reason));
    if (mote_match(reason, "crash_again")) mote_error(self, atom("crash_2"));
    if (mote_match(reason, "slow"))
        while (!atomic_load(&slow_may_go)) sched_yield();
}

static mote_term desk_format(mote_self *self, mote_arena *arena, void *state) {
    struct desk *desk = state;
    mote_term term;
    (void)self;
    return mote_build(arena, &term, "#{sum => ?, version => ?}", desk->sum, desk->version) ? MOTE_TERM_NONE : term;
}

static mote_err desk_replace(mote_self *self, mote_term term, void *state) {
    (void)self;
    return mote_match(term, "#{sum := ?}", &((struct desk *)state)->sum) ? MOTE_OK : MOTE_EARG;
}

static mote_err desk_upgrade(mote_self *self, mote_term old_version, mote_term extra, mote_server_change *change);

static const mote_server_module desk_module = {.name = "desk",
                                               .state_size = sizeof(struct desk),
                                               .init = desk_init,
                                               .call = desk_call,
                                               .cast = desk_cast,
                                               .info = desk_info,
                                               .timeout = desk_timeout,
                                               .continue_ = desk_continue,
                                               .terminate = desk_terminate,
                                               .format = desk_format,
                                               .replace = desk_replace,
                                               .upgrade = desk_upgrade};

/* Whose state is larger and counts twofold. */
struct desk_2 {
    int doubled;
    char more[500];
};
static mote_next desk_2_init(mote_self *self, mote_term arg, void *state) {
    (void)self, (void)arg, (void)state;
    return mote_next_wait();
}
static mote_next desk_2_call(mote_self *self, mote_term request, mote_term from, void *state) {
    struct desk_2 *desk = state;
    int n = 0;
    (void)self, (void)from;
    CHECK(mote_match(request, "{add, ?}", &n));
    return mote_next_reply(mote_int_make(NULL, desk->doubled += 2 * n), mote_next_wait());
}
static const mote_server_module desk_2_module = {
    .name = "desk_2", .state_size = sizeof(struct desk_2), .init = desk_2_init, .call = desk_2_call};

static mote_err desk_upgrade(mote_self *self, mote_term old_version, mote_term extra, mote_server_change *change) {
    struct desk *desk = change->state;
    if (mote_match(extra, "refuse")) return MOTE_EARG;
    if (mote_match(extra, "{version, ?}", &desk->version)) {
        CHECK_TERM(old_version, "{1,2}");
        return MOTE_OK;
    }
    struct desk_2 *new_desk = mote_alloc(self, sizeof *new_desk);
    new_desk->doubled = 2 * desk->sum;
    change->module = &desk_2_module;
    change->state = new_desk;
    return MOTE_OK;
}

static mote_pid start_desk(mote_self *self) {
    mote_pid pid;
    mote_term arg;
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{owner, ?}", mote_self_pid(self)));
    CHECK_OK(mote_server_start(self, &desk_module, arg, NULL, &pid, NULL));
    return pid;
}

#define CHECK_CALL(self, to, want, text, ...)                                                     \
    do {                                                                                          \
        mote_term reply_;                                                                         \
        CHECK_OK(mote_call(self, to, PATIENCE_MS, &reply_, text __VA_OPT__(, ) __VA_ARGS__));     \
        CHECK_TERM(reply_, want);                                                                 \
    } while (0)
#define CHECK_LOG(self, pid, want) CHECK_CALL(self, pid, "<<\"" want "\">>", "log")

static void check_empty(mote_self *self) {
    mote_term m;
    mote_err err = mote_receive(self, 0, &m);
    if (!err) CHECK_TERM(m, "an empty mailbox");
    CHECK_INT(err, MOTE_TIMEOUT);
}

/* The next message. */
static void check_next(const char *file, int line, mote_self *self, const char *want) {
    mote_term m;
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    check_term(file, line, m, want);
}
#define CHECK_NEXT(self, want) check_next(__FILE__, __LINE__, self, want)

/* Only this process is left. */
static void check_alone(mote_self *self) {
    size_t count;
    WAIT_UNTIL(self, (mote_process_list(self, NULL, 0, &count) == MOTE_OK && count == 1));
}

static void stop_desk(mote_self *self, mote_pid pid) {
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    CHECK_NEXT(self, "{terminate,normal}");
    check_empty(self);
}

/* --------------------------------------------------------------------------------------------------- calls */

static int callbacks(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    (void)context;
    CHECK_CALL(self, pid, "3", "{add, ?}", 3);
    CHECK_CALL(self, pid, "5", "{add, ?}", 2);
    CHECK_CALL(self, pid, "{said,[a,1.5]}", "{say, [a, 1.5]}");
    CHECK_CALL(self, pid, "ok", "hibernate");
    CHECK_OK(mote_cast(self, pid, "hello"));
    CHECK_OK(mote_cast(self, pid, "{number, ?}", 7));
    CHECK_OK(mote_cast_term(self, pid, MOTE_TERM_NIL));
    CHECK_OK(mote_send(self, pid, "{any, message}"));
    CHECK_LOG(self, pid, "cast hello cast {number,7} cast [] info {any,message}");
    CHECK_CALL(self, pid, "ok", "{call_back, ?}", mote_self_pid(self));
    stop_desk(self, pid);
    check_alone(self);
    return 0;
}
ONE_AND_TWO(each_callback, callbacks)

static int continues(mote_self *self, void *context) {
    mote_pid pid = start_desk(self), other;
    mote_term arg;
    (void)context;
    CHECK_CALL(self, pid, "ok", "{continue, 3}");
    CHECK_LOG(self, pid, "continue 3 continue 2 continue 1 continue 0");
    stop_desk(self, pid);
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{continue, first}"));
    CHECK_OK(mote_server_start(self, &desk_module, arg, NULL, &other, NULL));
    CHECK_LOG(self, other, "continue first");
    CHECK_OK(mote_server_stop(self, other, atom("normal"), PATIENCE_MS));
    return 0;
}
ONE_AND_TWO(continuing, continues)

/* A time limit ends in the callback, unless a message comes first; then it is forgotten. */
static int timeouts(mote_self *self, void *context) {
    mote_pid pid = start_desk(self), other;
    mote_ref ref;
    mote_term arg;
    (void)context;
    CHECK_CALL(self, pid, "ok", "{wait_ms, 1}");
    CHECK_NEXT(self, "{timeout,1}");
    CHECK_CALL(self, pid, "ok", "{wait_ms, 0}");
    CHECK_NEXT(self, "{timeout,0}");
    CHECK_CALL(self, pid, "ok", "{continue, {wait_ms, 2}}");
    CHECK_NEXT(self, "{timeout,0}");
    CHECK_LOG(self, pid, "timeout timeout continue {wait_ms,2} timeout");
    stop_desk(self, pid);
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{wait_ms, 1, ?}", mote_self_pid(self)));
    CHECK_OK(mote_server_start(self, &desk_module, arg, NULL, &other, NULL));
    CHECK_NEXT(self, "{timeout,1}");
    /* A message ends the wait, though it leads to nothing. */
    CHECK_OK(mote_server_suspend(self, other, PATIENCE_MS));
    CHECK_OK(mote_call_start(self, other, &ref, "{wait_ms, 2}"));
    CHECK_OK(mote_send(self, other, "message"));
    CHECK_OK(mote_server_resume(self, other, PATIENCE_MS));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{[alias|^], ok}", ref));
    CHECK_INT(mote_receive_match(self, 10, "{timeout, _}"), MOTE_TIMEOUT);
    stop_desk(self, other);
    return 0;
}
ONE_AND_TWO(time_limits, timeouts)

/* A timer that has fired when a message ends the wait is not taken for the one that is set then. */
static int stale_timers(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_ref ref;
    int limit;
    (void)context;
    for (int i = 0; i < scaled(60); i++) {
        CHECK_CALL(self, pid, "ok", "{wait_ms, 3}");
        CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
        CHECK_OK(mote_call_start(self, pid, &ref, "{wait_ms, 1000000}"));
        uint64_t since = now_ns();
        WAIT_UNTIL(self, ms_since(since) > 5);
        CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{[alias|^], ok}", ref));
        CHECK_CALL(self, pid, "{said,now}", "{say, now}");
        while (mote_receive_match(self, 0, "{timeout, ?}", &limit) == MOTE_OK) CHECK_INT(limit, 3); /* before the suspension */
    }
    stop_desk(self, pid);
    return 0;
}
ONE_AND_TWO(late_timers, stale_timers)

/* Takes the question's place: answers late, to another process, by itself. */
static void answer_for(mote_self *self, mote_term arg) {
    mote_term from;
    CHECK_OK(mote_receive_match(self, -1, "{passed, ?}", &from));
    CHECK_OK(mote_reply(self, from, "{answer, ?}", arg));
}

static int replies(mote_self *self, void *context) {
    mote_pid pid = start_desk(self), other;
    mote_ref alias;
    mote_term m;
    (void)context;
    CHECK_OK(mote_spawn(self, answer_for, atom("late"), &other));
    CHECK_CALL(self, pid, "{answer,late}", "{pass, ?}", other);
    /* Tags of older kinds. */
    CHECK_OK(mote_send(self, pid, "{'$gen_call', {?, tag}, {add, 1}}", mote_self_pid(self)));
    CHECK_NEXT(self, "{tag,1}");
    CHECK_OK(mote_alias(self, 0, &alias));
    CHECK_OK(mote_send(self, pid, "{'$gen_call', {nobody, [[alias|?]|x]}, {add, 1}}", alias));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{[[alias|^]|x], 2}", alias));
    CHECK_OK(mote_send(self, pid, "{'$gen_call', {nobody_has_this, tag}, {add, 1}}"));
    CHECK_OK(mote_send(self, pid, "{'$gen_call', what, {add, 1}}"));
    CHECK_CALL(self, pid, "5", "{add, 1}");
    CHECK_INT(mote_reply(self, atom("what"), "x"), MOTE_ETERM);
    CHECK_INT(mote_reply(NULL, atom("what"), "x"), MOTE_ESELF);
    CHECK_OK(mote_build(mote_scratch(self), &m, "{?, tag}", mote_self_pid(self)));
    CHECK_INT(mote_reply_term(self, m, MOTE_TERM_NONE), MOTE_ETERM);
    CHECK_OK(mote_reply_term(self, m, atom("x")));
    CHECK_NEXT(self, "{tag,x}");
    stop_desk(self, pid);
    return 0;
}
ONE_AND_TWO(replying, replies)

static void just_waits(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

static int addresses(mote_self *self, void *context) {
    mote_server_options options = {.name = atom("the_desk")};
    mote_term arg, reply;
    mote_pid pid, other;
    mote_ref alias;
    (void)context;
    CHECK_OK(mote_build(mote_scratch(self), &arg, "{owner, ?}", mote_self_pid(self)));
    CHECK_OK(mote_server_start(self, &desk_module, arg, &options, &pid, NULL));
    CHECK_CALL(self, "the_desk", "1", "{add, 1}");
    CHECK_CALL(self, options.name, "2", "{add, 1}");
    CHECK_CALL(self, mote_atom_make("the_desk"), "3", "{add, 1}");
    CHECK_OK(mote_cast(self, "the_desk", "hello"));
    CHECK_OK(mote_call_term(self, "the_desk", PATIENCE_MS, atom("log"), &reply));
    CHECK_TERM(reply, "<<\"cast hello\">>");
    /* Nobody has the name; nobody is there. */
    CHECK_INT(mote_call(self, "no_desk", PATIENCE_MS, &reply, "log"), MOTE_ENOPROC);
    CHECK_TERM(reply, "noproc");
    CHECK_INT(mote_cast(self, "no_desk", "hello"), MOTE_ENAME);
    CHECK_INT(mote_call(self, mote_self_pid(NULL), PATIENCE_MS, &reply, "log"), MOTE_ENOPROC);
    /* Oneself. */
    CHECK_INT(mote_call(self, mote_self_pid(self), PATIENCE_MS, &reply, "log"), MOTE_EBUSY);
    CHECK_OK(mote_register(self, "me", mote_self_pid(self)));
    CHECK_INT(mote_call(self, "me", PATIENCE_MS, &reply, "log"), MOTE_EBUSY);
    CHECK_INT(mote_server_stop(self, "me", atom("x"), PATIENCE_MS), MOTE_EBUSY);
    check_empty(self);
    /* An alias: of this process, which is no call to itself, for nobody knows whose it is. */
    CHECK_OK(mote_alias(self, MOTE_ALIAS_REPLY, &alias));
    CHECK_INT(mote_call(self, alias, 0, &reply, "ping"), MOTE_TIMEOUT);
    CHECK_OK(mote_receive(self, 0, &arg));
    CHECK(mote_match(arg, "{'$gen_call', {_, _}, ping}"));
    CHECK_INT(mote_call(self, alias, 1, &reply, "ping"), MOTE_TIMEOUT);
    check_empty(self);
    CHECK_OK(mote_spawn(self, just_waits, MOTE_TERM_NIL, &other));
    CHECK_OK(mote_send(self, other, "stop"));
    wait_gone(self, other);
    CHECK_INT(mote_call(self, other, PATIENCE_MS, &reply, "log"), MOTE_ENOPROC);
    CHECK_TERM(reply, "noproc");
    stop_desk(self, pid);
    return 0;
}
ONE_AND_TWO(to_any_form, addresses)

static void lends_alias(mote_self *self, mote_term arg) {
    mote_term from;
    mote_ref alias;
    CHECK_OK(mote_alias(self, 0, &alias));
    CHECK_OK(mote_send(self, pid_of(arg), "{alias, ?}", alias));
    CHECK_OK(mote_receive_match(self, -1, "{'$gen_call', ?, question}", &from));
    CHECK_OK(mote_reply(self, from, "answer"));
}
static int call_alias(mote_self *self, void *context) {
    mote_term reply;
    mote_ref alias;
    (void)context;
    CHECK_OK(mote_spawn(self, lends_alias, self_term(self), NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{alias, ?}", &alias));
    CHECK_OK(mote_call(self, alias, PATIENCE_MS, &reply, "question"));
    CHECK_TERM(reply, "answer");
    check_empty(self);
    return 0;
}
ONE_AND_TWO(through_alias, call_alias)

static int bad_arguments(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term reply = atom("untouched");
    mote_ref ref;
    (void)context;
    CHECK_INT(mote_call(NULL, pid, 0, &reply, "log"), MOTE_ESELF);
    CHECK_INT(mote_call(self, pid, -2, &reply, "log"), MOTE_EARG);
    CHECK_INT(mote_call(self, pid, INT64_MAX, &reply, "log"), MOTE_EARG);
    CHECK_INT(mote_call(self, pid, 0, NULL, "log"), MOTE_EARG);
    CHECK_INT(mote_call(self, MOTE_TERM_NIL, 0, &reply, "log"), MOTE_ETERM);
    CHECK_INT(mote_call_term(self, pid, 0, MOTE_TERM_NONE, &reply), MOTE_ETERM);
    CHECK_INT(mote_call_start(NULL, pid, &ref, "log"), MOTE_ESELF);
    CHECK_INT(mote_call_start(self, pid, NULL, "log"), MOTE_EARG);
    CHECK_INT(mote_call_start(self, mote_self_pid(self), &ref, "log"), MOTE_EBUSY);
    CHECK_INT(mote_call_start_term(self, pid, MOTE_TERM_NONE, &ref), MOTE_ETERM);
    CHECK_INT(mote_call_answer(reply, mote_ref_make(self), &reply), MOTE_NOMATCH);
    CHECK_INT(mote_call_answer(reply, mote_ref_make(self), NULL), MOTE_EARG);
    CHECK_INT(mote_call_cancel(NULL, mote_ref_make(self)), MOTE_ESELF);
    CHECK_OK(mote_call_cancel(self, mote_ref_make(self)));
    CHECK_TERM(reply, "untouched");
    CHECK_INT(mote_server_start(NULL, &desk_module, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_ESELF);
    CHECK_INT(mote_server_start(self, NULL, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_EARG);
    CHECK_INT(mote_server_start(self, &desk_module, MOTE_TERM_NIL, NULL, NULL, NULL), MOTE_EARG);
    CHECK_INT(mote_server_start(self, &desk_module, MOTE_TERM_NONE, NULL, &pid, NULL), MOTE_ETERM);
    CHECK_INT(mote_server_start(self, &(mote_server_module){.name = "x"}, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_EARG);
    CHECK_INT(mote_server_start(self, &desk_module, MOTE_TERM_NIL, &(mote_server_options){.name = MOTE_TERM_NIL}, &pid, NULL), MOTE_ENAME);
    CHECK_INT(mote_server_start(self, &desk_module, MOTE_TERM_NIL, &(mote_server_options){.init_timeout_ms = -1}, &pid, NULL), MOTE_EARG);
    CHECK_INT(mote_server_get_state(self, pid, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_server_statistics(self, pid, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_server_get_status(self, pid, 0, NULL), MOTE_EARG);
    CHECK_INT(mote_server_stop(self, pid, MOTE_TERM_NONE, 0), MOTE_ETERM);
    CHECK_INT(mote_server_stop(self, pid, atom("x"), -2), MOTE_EARG);
    CHECK_INT(mote_server_stop(NULL, pid, atom("x"), 0), MOTE_ESELF);
    stop_desk(self, pid);
    check_alone(self);
    return 0;
}
ONE_AND_TWO(arguments, bad_arguments)

/* A reply after the time limit never comes; one that is there when the limit is found out counts. */
static int late_replies(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term reply, from;
    int in_time = 0, late = 0;
    (void)context;
    for (int i = 0; i < 20; i++) {
        mote_pid me = mote_self_pid(self);
        CHECK_INT(mote_call(self, pid, i % 3, &reply, "{pass, ?}", me), MOTE_TIMEOUT);
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{passed, ?}", &from));
        CHECK_OK(mote_reply(self, from, "late"));
        check_empty(self);
    }
    for (int i = 0; i < scaled(20000); i++) {
        mote_err err = mote_call(self, pid, i % 50 == 0, &reply, "{add, 1}");
        CHECK(err == MOTE_OK || err == MOTE_TIMEOUT);
        if (err) late++;
        else in_time++;
    }
    CHECK_CALL(self, pid, "{said,last}", "{say, last}");
    check_empty(self);
    printf("# %d in time, %d late\n", in_time, late);
    stop_desk(self, pid);
    return 0;
}
ONE_AND_TWO(late, late_replies)

static int deaths(mote_self *self, void *context) {
    mote_term reply, reason = atom("normal");
    mote_process_info info;
    mote_pid pid;
    (void)context;
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "{stop, [why, 1]}"), MOTE_ENOPROC);
    CHECK_TERM(reply, "[why,1]");
    CHECK_NEXT(self, "{terminate,[why,1]}");
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "{exit, gone}"), MOTE_ENOPROC);
    CHECK_TERM(reply, "gone");
    CHECK_NEXT(self, "{terminate,gone}");
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "oops"), MOTE_ENOPROC);
    CHECK(mote_match(reply, "{error, oops, {_, _}}"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{terminate, {error, oops, _}}"));
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "bad"), MOTE_ENOPROC);
    CHECK(mote_match(reply, "{error, bad_return_value, _}"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{terminate, {error, bad_return_value, _}}"));
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "none"), MOTE_ENOPROC);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{terminate, {error, system_limit, _}}"));
    pid = start_desk(self);
    CHECK_OK(mote_call(self, pid, PATIENCE_MS, &reply, "{stop, done, result}"));
    CHECK_TERM(reply, "result");
    CHECK_NEXT(self, "{terminate,done}");
    pid = start_desk(self);
    CHECK_OK(mote_cast(self, pid, "{finish, {stop, by_cast}}"));
    CHECK_NEXT(self, "{terminate,by_cast}");
    /* terminate itself goes wrong: that is the reason then, and terminate is not called again. */
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "{stop, crash_again}"), MOTE_ENOPROC);
    CHECK(mote_match(reply, "{error, crash_2, _}"));
    CHECK_NEXT(self, "{terminate,crash_again}");
    /* An exit signal is no error of its own: no terminate. */
    pid = start_desk(self);
    CHECK_INT(mote_call(self, pid, 0, &reply, "{pass, ?}", mote_self_pid(self)), MOTE_TIMEOUT);
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    CHECK_INT(mote_process_info_get(self, pid, PATIENCE_MS, &info), MOTE_ENOPROC);
    while (mote_receive_match(self, 0, "{passed, _}") == MOTE_OK)
        ;
    check_empty(self);
    CHECK_INT(mote_server_stop(self, pid, reason, PATIENCE_MS), MOTE_ENOPROC);
    check_alone(self);
    return 0;
}
ONE_AND_TWO(dying, deaths)

static void kills(mote_self *self, mote_term arg) {
    mote_term from;
    CHECK_OK(mote_receive_match(self, -1, "{passed, ?}", &from));
    CHECK_OK(mote_exit_send(self, pid_of(arg), atom("shot")));
}
static int killed_in_call(mote_self *self, void *context) {
    mote_term reply;
    mote_pid pid, killer;
    (void)context;
    for (int i = 0; i < scaled(200); i++) {
        pid = start_desk(self);
        CHECK_OK(mote_spawn(self, kills, mote_pid_term(pid), &killer));
        CHECK_INT(mote_call(self, pid, PATIENCE_MS, &reply, "{pass, ?}", killer), MOTE_ENOPROC);
        CHECK_TERM(reply, "shot");
        check_empty(self);
    }
    return 0;
}
ONE_AND_TWO(shot, killed_in_call)

/* ------------------------------------------------------------------------------------------ without waiting */

static int started_calls(mote_self *self, void *context) {
    mote_pid pid = start_desk(self), other;
    mote_term m, reply;
    mote_ref refs[20], ref;
    (void)context;
    for (int i = 0; i < 20; i++) CHECK_OK(mote_call_start(self, pid, &refs[i], "{say, ?}", i));
    for (int i = 19; i >= 0; i--) {
        int n = -1;
        CHECK_OK(mote_receive_ref(self, PATIENCE_MS, refs[i], &m));
        CHECK_INT(mote_call_answer(m, refs[(i + 1) % 20], &reply), MOTE_NOMATCH);
        CHECK_OK(mote_call_answer(m, refs[i], &reply));
        CHECK(mote_match(reply, "{said, ?}", &n) && n == i);
    }
    CHECK_OK(mote_call_start_term(self, "no_desk", atom("x"), &ref));
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    CHECK_INT(mote_call_answer(m, ref, &reply), MOTE_ENOPROC);
    CHECK_TERM(reply, "noproc");
    CHECK_OK(mote_call_start(self, pid, &ref, "{stop, bye}"));
    CHECK_OK(mote_receive_ref(self, PATIENCE_MS, ref, &m));
    CHECK_INT(mote_call_answer(m, ref, &reply), MOTE_ENOPROC);
    CHECK_TERM(reply, "bye");
    CHECK_NEXT(self, "{terminate,bye}");
    /* A call that was given up is not answered. */
    other = start_desk(self);
    CHECK_OK(mote_call_start(self, other, &ref, "{pass, ?}", mote_self_pid(self)));
    CHECK_OK(mote_call_cancel(self, ref));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{passed, ?}", &m));
    CHECK_OK(mote_reply(self, m, "late"));
    CHECK_OK(mote_call_start(self, other, &ref, "{stop, x}"));
    CHECK_OK(mote_call_cancel(self, ref));
    CHECK_NEXT(self, "{terminate,x}");
    wait_gone(self, other);
    check_empty(self);
    return 0;
}
ONE_AND_TWO(call_start, started_calls)

/* Two servers that ask each other while both are asked: `n` hops, then the answers go all the way back. */
struct friend {
    mote_pid other;
    mote_arena *arena;
    struct {
        mote_ref ref;
        mote_term from;
    } open[200];
    int count;
};

static mote_next friend_init(mote_self *self, mote_term arg, void *state) {
    (void)self, (void)arg;
    ((struct friend *)state)->arena = mote_arena_new(0);
    return mote_next_wait();
}
static mote_next friend_call(mote_self *self, mote_term request, mote_term from, void *state) {
    struct friend *friend = state;
    int n = 0;
    if (mote_match(request, "{meet, ?}", &friend->other)) return mote_next_reply(atom("ok"), mote_next_wait());
    CHECK(mote_match(request, "{hops, ?}", &n));
    if (n == 0) return mote_next_reply(mote_int_make(NULL, 0), mote_next_wait());
    CHECK(friend->count < 200);
    CHECK_OK(mote_call_start(self, friend->other, &friend->open[friend->count].ref, "{hops, ?}", n - 1));
    friend->open[friend->count++].from = mote_term_copy(friend->arena, from);
    return mote_next_wait();
}
static mote_next friend_info(mote_self *self, mote_term message, void *state) {
    struct friend *friend = state;
    mote_term reply;
    for (int i = 0; i < friend->count; i++) {
        int n = -1;
        if (mote_call_answer(message, friend->open[i].ref, &reply) == MOTE_NOMATCH) continue;
        CHECK(mote_match(reply, "?", &n));
        CHECK_OK(mote_reply(self, friend->open[i].from, "?", n + 1));
        friend->open[i] = friend->open[--friend->count];
        return mote_next_wait();
    }
    CHECK(false);
    return mote_next_wait();
}
static void friend_terminate(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)reason;
    mote_arena_free(((struct friend *)state)->arena);
}
static const mote_server_module friend_module = {.name = "friend",
                                                 .state_size = sizeof(struct friend),
                                                 .init = friend_init,
                                                 .call = friend_call,
                                                 .info = friend_info,
                                                 .terminate = friend_terminate};

static int ask_each_other(mote_self *self, void *context) {
    mote_pid a, b;
    mote_ref refs[10];
    mote_term m, reply;
    (void)context;
    CHECK_OK(mote_server_start(self, &friend_module, MOTE_TERM_NIL, NULL, &a, NULL));
    CHECK_OK(mote_server_start(self, &friend_module, MOTE_TERM_NIL, NULL, &b, NULL));
    CHECK_CALL(self, a, "ok", "{meet, ?}", b);
    CHECK_CALL(self, b, "ok", "{meet, ?}", a);
    CHECK_CALL(self, a, "30", "{hops, 30}");
    for (int i = 0; i < 10; i++) CHECK_OK(mote_call_start(self, i % 2 ? a : b, &refs[i], "{hops, ?}", 10 + i));
    for (int i = 0; i < 10; i++) {
        int n = 0;
        CHECK_OK(mote_receive_ref(self, PATIENCE_MS, refs[i], &m));
        CHECK_OK(mote_call_answer(m, refs[i], &reply));
        CHECK(mote_match(reply, "?", &n) && n == 10 + i);
    }
    CHECK_OK(mote_server_stop(self, a, atom("normal"), PATIENCE_MS));
    CHECK_OK(mote_server_stop(self, b, atom("normal"), PATIENCE_MS));
    check_empty(self);
    return 0;
}
ONE_AND_TWO(mutual, ask_each_other)

/* --------------------------------------------------------------------------------------------------- starts */

static mote_err start_with(mote_self *self, bool link, const char *text, mote_pid *pid, mote_term *reason) {
    mote_term arg;
    CHECK_OK(mote_term_parse(mote_scratch(self), text, strlen(text), &arg, NULL));
    return link ? mote_server_start_link(self, &desk_module, arg, NULL, pid, reason)
                : mote_server_start(self, &desk_module, arg, NULL, pid, reason);
}

/* What init does to the start; nothing is left of it, no process and no message. */
static int failing_starts(mote_self *self, void *context) {
    mote_pid pid = {7};
    mote_term reason = MOTE_TERM_NIL;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    for (int i = 0; i < scaled(400); i++) {
        bool link = i % 2;
        CHECK_INT(start_with(self, link, "{stop, {because, [1, 2.5]}}", &pid, &reason), MOTE_ENOPROC);
        CHECK_TERM(reason, "{because,[1,2.5]}");
        CHECK_INT(start_with(self, link, "{refuse, <<\"no\">>}", &pid, &reason), MOTE_ENOPROC);
        CHECK_TERM(reason, "<<\"no\">>");
        CHECK_INT(start_with(self, link, "crash", &pid, &reason), MOTE_ENOPROC);
        CHECK(mote_match(reason, "{error, crash, {_, _}}"));
        CHECK_INT(start_with(self, link, "{exit, kill}", &pid, &reason), MOTE_ENOPROC);
        CHECK_TERM(reason, "kill");
        CHECK_INT(start_with(self, link, "{stop, normal}", &pid, NULL), MOTE_ENOPROC);
        CHECK_INT(pid.word, 7);
        CHECK_OK(start_with(self, link, "ignore", &pid, &reason));
        CHECK_INT(pid.word, mote_self_pid(NULL).word);
        pid.word = 7;
        check_empty(self);
    }
    check_alone(self);
    check_empty(self);
    return 0;
}
ONE_AND_TWO(refusals, failing_starts)

static void starts_linked(mote_self *self, mote_term arg) {
    mote_pid pid;
    mote_term what, report;
    bool fails;
    CHECK(mote_match(arg, "{?, ?, _}", &what, &fails));
    mote_err err = mote_server_start_link(self, &desk_module, what, NULL, &pid, NULL);
    CHECK(mote_match(arg, "{_, _, ?}", &report));
    if (fails) CHECK_OK(mote_receive_match(self, -1, "never"));
    CHECK(err == MOTE_OK || err == MOTE_ENOPROC);
}

/* Who is linked and does not trap exits ends with what did not start, unless that was refused or ignored. */
static int links_of_starts(mote_self *self, void *context) {
    static const char *const cases[][2] = {{"{{stop, dead}, true, 1}", "dead"},
                                           {"{{exit, gone}, true, 1}", "gone"},
                                           {"{{refuse, no}, false, 1}", "normal"},
                                           {"{{stop, normal}, false, 1}", "normal"},
                                           {"{ignore, false, 1}", "normal"}};
    mote_term arg, reason;
    mote_ref ref;
    (void)context;
    for (int i = 0; i < scaled(200); i++) {
        const char *const *one = cases[i % 5];
        CHECK_OK(mote_term_parse(mote_scratch(self), one[0], strlen(one[0]), &arg, NULL));
        CHECK_OK(mote_spawn_monitor(self, starts_linked, arg, NULL, &ref));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &reason));
        CHECK_TERM(reason, one[1]);
    }
    check_alone(self);
    return 0;
}
ONE_AND_TWO(linked_starts, links_of_starts)

static int names(mote_self *self, void *context) {
    mote_server_options options = {.name = atom("one_of_us")};
    mote_pid first, second = {7}, found;
    mote_process_info info;
    mote_term reason = MOTE_TERM_NIL;
    (void)context;
    CHECK_OK(mote_server_start(self, &desk_module, MOTE_TERM_NIL, &options, &first, NULL));
    CHECK_INT(mote_server_start(self, &desk_module, MOTE_TERM_NIL, &options, &second, &reason), MOTE_EBUSY);
    CHECK(pid_of(reason).word == first.word && second.word == 7);
    CHECK_INT(mote_server_start_link(self, &desk_module, MOTE_TERM_NIL, &options, &second, NULL), MOTE_EBUSY);
    CHECK_OK(mote_whereis(self, "one_of_us", &found));
    CHECK(found.word == first.word);
    CHECK_OK(mote_process_info_get(self, first, PATIENCE_MS, &info));
    CHECK_STR(info.name, "desk");
    CHECK(info.handler && info.registered.word == options.name.word);
    CHECK_OK(mote_server_stop(self, "one_of_us", atom("normal"), PATIENCE_MS));
    CHECK_INT(mote_whereis(self, "one_of_us", &found), MOTE_ENAME);
    for (int i = 0; i < scaled(200); i++) { /* a name is free as soon as the start has failed, or the stop is known */
        mote_term arg;
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{stop, ?}", i));
        CHECK_INT(mote_server_start(self, &desk_module, arg, &options, &second, NULL), MOTE_ENOPROC);
        CHECK_OK(mote_server_start(self, &desk_module, MOTE_TERM_NIL, &options, &first, NULL));
        CHECK_OK(mote_server_stop(self, first, atom("normal"), PATIENCE_MS));
    }
    check_alone(self);
    check_empty(self);
    return 0;
}
ONE_AND_TWO(registered, names)

static void lets_go(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "go"));
    atomic_store(&slow_may_go, 1);
}
static int slow_starts(mote_self *self, void *context) {
    mote_server_options options = {.init_timeout_ms = 5};
    mote_pid helper, pid = {7};
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    for (int i = 0, ms = 300; i < 2;) {
        atomic_store(&slow_may_go, 0);
        CHECK_OK(mote_spawn(self, lets_go, MOTE_TERM_NIL, &helper));
        CHECK_OK(mote_send_after(self, ms, helper, NULL, "go"));
        mote_err err = i ? mote_server_start_link(self, &desk_module, atom("slow"), &options, &pid, NULL)
                         : mote_server_start(self, &desk_module, atom("slow"), &options, &pid, NULL);
        if (!err && ms < PATIENCE_MS) { /* both times had come when the first was looked at */
            CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
            if (i) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, normal}", pid));
            pid = (mote_pid){7};
            ms *= 4;
            continue;
        }
        CHECK_INT(err, MOTE_TIMEOUT);
        CHECK_INT(pid.word, 7);
        check_empty(self);
        i++;
    }
    check_alone(self);
    return 0;
}
static void slow(void) { RUN(2, slow_starts); }

static mote_next limited_call(mote_self *self, mote_term request, mote_term from, void *state) {
    mote_pid pid;
    (void)self, (void)request, (void)from, (void)state;
    CHECK_INT(mote_server_start(self, &desk_module, MOTE_TERM_NIL, NULL, &pid, NULL), MOTE_ECONTEXT);
    return mote_next_reply(atom("ok"), mote_next_wait());
}
static int options_kept(mote_self *self, void *context) {
    static const mote_server_module limited = {.name = "limited", .init = desk_2_init, .call = limited_call};
    mote_server_options options = {.mailbox_max = 100, .policy = MOTE_DROP, .priority = MOTE_HIGH};
    mote_process_info info;
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_server_start_link(self, &limited, MOTE_TERM_NIL, &options, &pid, NULL));
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    CHECK(info.mailbox_max == 100 && info.priority == MOTE_HIGH && info.links == 1);
    CHECK_STR(info.name, "limited");
    CHECK_CALL(self, pid, "ok", "x");
    mote_term reply;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    CHECK_OK(mote_cast(self, pid, "for_which_there_is_nothing"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'EXIT', ^, {undef, _, _}}", pid));
    CHECK_OK(mote_server_start(self, &limited, MOTE_TERM_NIL, &options, &pid, NULL));
    CHECK_OK(mote_send(self, pid, "dropped"));
    CHECK_OK(mote_server_get_state(self, pid, PATIENCE_MS, &reply));
    CHECK_TERM(reply, "<<>>");
    CHECK_INT(mote_server_replace_state(self, pid, PATIENCE_MS, reply), MOTE_ETERM);
    CHECK_OK(mote_server_upgrade(self, pid, PATIENCE_MS, atom("x"), atom("y")));
    CHECK_CALL(self, pid, "ok", "x");
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    return 0;
}
ONE_AND_TWO(options, options_kept)

/* ------------------------------------------------------------------------------------------ parents, the end */

static void parent_of(mote_self *self, mote_term arg) {
    mote_pid pid;
    mote_term desk_arg, reason;
    mote_pid owner = pid_of(arg);
    CHECK_OK(mote_build(mote_scratch(self), &desk_arg, "{owner, ?}", owner));
    CHECK_OK(mote_server_start_link(self, &desk_module, desk_arg, NULL, &pid, NULL));
    CHECK_OK(mote_send(self, owner, "{child, ?}", pid));
    CHECK_OK(mote_receive_match(self, -1, "{finish, ?}", &reason));
    mote_exit(self, reason);
}

/* The parent's end: terminate is called if the server traps exits; else it ends with the parent, or not (normal). */
static int parents_end(mote_self *self, void *context) {
    mote_pid parent, child;
    mote_ref ref;
    mote_term reason;
    (void)context;
    for (int i = 0; i < 3 * scaled(50); i++) {
        bool traps = i % 3, normal = i % 3 == 2;
        CHECK_OK(mote_spawn(self, parent_of, self_term(self), &parent));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{child, ?}", &child));
        CHECK_CALL(self, child, "ok", "{trap, ?}", (int)traps);
        CHECK_OK(mote_monitor(self, child, &ref));
        if (traps && i % 2) CHECK_OK(mote_server_suspend(self, child, PATIENCE_MS));
        CHECK_OK(mote_send(self, parent, "{finish, ?}", atom(normal ? "normal" : "over")));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &reason));
        CHECK_TERM(reason, normal ? "normal" : "over");
        if (traps) CHECK_NEXT(self, normal ? "{terminate,normal}" : "{terminate,over}");
        check_empty(self);
    }
    /* From others an EXIT is a message. */
    child = start_desk(self);
    CHECK_CALL(self, child, "ok", "{trap, 1}");
    CHECK_OK(mote_exit_send(self, child, atom("odd")));
    CHECK_OK(mote_exit_send(self, child, atom("normal")));
    char want[200], me[50];
    mote_term_print(self_term(self), me, sizeof me);
    snprintf(want, sizeof want, "<<\"info {'EXIT',%s,odd} info {'EXIT',%s,normal}\">>", me, me);
    CHECK_CALL(self, child, want, "log");
    stop_desk(self, child);
    return 0;
}
ONE_AND_TWO(parents, parents_end)

static int stops(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term reason;
    (void)context;
    CHECK_OK(mote_build(mote_scratch(self), &reason, "{shutdown, [a, \"long\", reason, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}"));
    CHECK_OK(mote_server_stop(self, pid, reason, PATIENCE_MS));
    CHECK_OK(mote_receive_match(self, 0, "{terminate, {shutdown, [a|_]}}"));
    CHECK_INT(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS), MOTE_ENOPROC);
    CHECK(mote_match(mote_message(self), "{_, _, process, _, noproc}"));
    CHECK_INT(mote_server_stop(self, "no_desk", atom("normal"), PATIENCE_MS), MOTE_ENOPROC);
    pid = start_desk(self);
    CHECK_INT(mote_server_stop(self, pid, atom("crash_again"), PATIENCE_MS), MOTE_ENOPROC);
    CHECK(mote_match(mote_message(self), "{_, _, process, _, {error, crash_2, _}}"));
    CHECK_NEXT(self, "{terminate,crash_again}");
    check_empty(self);
    return 0;
}
ONE_AND_TWO(stopping, stops)

static int slow_stop(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    (void)context;
    CHECK_INT(mote_server_stop(self, pid, atom("slow"), 5), MOTE_TIMEOUT);
    CHECK_NEXT(self, "{terminate,slow}");
    atomic_store(&slow_may_go, 1);
    wait_gone(self, pid);
    check_empty(self);
    return 0;
}
static void slow_end(void) { RUN(2, slow_stop); }

/* ------------------------------------------------------------------------------------------ system messages */

static int states(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term state, m;
    (void)context;
    CHECK_CALL(self, pid, "4", "{add, 4}");
    CHECK_OK(mote_server_get_state(self, pid, PATIENCE_MS, &state));
    CHECK_TERM(state, "#{sum => 4,version => 0}");
    CHECK_OK(mote_build(mote_scratch(self), &m, "#{sum => 40}"));
    CHECK_OK(mote_server_replace_state(self, pid, PATIENCE_MS, m));
    CHECK_CALL(self, pid, "41", "{add, 1}");
    CHECK_INT(mote_server_replace_state(self, pid, PATIENCE_MS, atom("what")), MOTE_ETERM);
    CHECK_CALL(self, pid, "42", "{add, 1}");
    CHECK_OK(mote_server_get_status(self, pid, PATIENCE_MS, &state));
    CHECK(mote_match(state, "{status, ^, {module, desk}, [[], running, _, [], [{header, _}, {data, _}, {data, [{_, ?}]}]]}", pid, &m));
    CHECK_TERM(m, "#{sum => 42,version => 0}");
    /* As Erlang's sys sends it. */
    CHECK_OK(mote_send(self, pid, "{system, {?, tag}, get_state}", mote_self_pid(self)));
    CHECK_NEXT(self, "{tag,{ok,#{sum => 42,version => 0}}}");
    CHECK_OK(mote_send(self, pid, "{system, {?, tag}, {strange, 1}}", mote_self_pid(self)));
    CHECK_NEXT(self, "{tag,{error,{unknown_system_msg,{strange,1}}}}");
    CHECK_OK(mote_send(self, pid, "{system, {?, tag}, {change_code, desk, 1, 2}}", mote_self_pid(self)));
    CHECK_NEXT(self, "{tag,{error,{unknown_system_msg,{change_code,desk,1,2}}}}");
    CHECK_OK(mote_send(self, pid, "{system, {?, tag}, {terminate, over}}", mote_self_pid(self)));
    CHECK_NEXT(self, "{tag,ok}");
    CHECK_NEXT(self, "{terminate,over}");
    wait_gone(self, pid);
    CHECK_INT(mote_server_get_state(self, pid, PATIENCE_MS, &state), MOTE_ENOPROC);
    CHECK_TERM(state, "noproc");
    CHECK_INT(mote_server_suspend(self, "no_desk", PATIENCE_MS), MOTE_ENOPROC);
    return 0;
}
ONE_AND_TWO(state, states)

/* What comes during a suspension waits, in its order, before what comes after it. */
static int suspension(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term reply, status;
    int n = scaled(60000), k = 0;
    mote_ref ref;
    (void)context;
    for (int round = 0; round < 3; round++) {
        CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
        CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
        for (int i = 0; i < n; i++) CHECK_OK(mote_cast(self, pid, "{in_order, ?}", k++));
        CHECK_INT(mote_call(self, pid, 0, &reply, "{add, 1000000}"), MOTE_TIMEOUT);
        CHECK_OK(mote_cast(self, pid, "{in_order, ?}", 1000000 + k));
        CHECK_OK(mote_server_get_state(self, pid, PATIENCE_MS, &reply));
        CHECK(mote_match(reply, "#{sum := ^}", k - n));
        CHECK_OK(mote_server_get_status(self, pid, PATIENCE_MS, &status));
        CHECK(mote_match(status, "{status, _, _, [_, suspended|_]}"));
        CHECK_OK(mote_build(mote_scratch(self), &status, "#{sum => ?}", k - n));
        CHECK_OK(mote_server_replace_state(self, pid, PATIENCE_MS, status));
        CHECK_OK(mote_call_start(self, pid, &ref, "{say, all}"));
        CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
        if (round == 1) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{[alias|^], {said, all}}", ref)); /* by itself */
        for (int i = 0; i < n; i++) CHECK_OK(mote_cast(self, pid, "{in_order, ?}", 1000001 + k + i));
        if (round != 1) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{[alias|^], {said, all}}", ref));
        k += 1000001 + n;
        CHECK_OK(mote_call(self, pid, PATIENCE_MS, &reply, "{add, 0}"));
        int64_t sum = 0;
        CHECK_OK(mote_int_get(reply, &sum));
        CHECK_INT(sum, k);
    }
    stop_desk(self, pid);
    /* It ends while messages wait. */
    pid = start_desk(self);
    CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
    for (int i = 0; i < n; i++) CHECK_OK(mote_cast(self, pid, "{unread, [?]}", i));
    stop_desk(self, pid);
    pid = start_desk(self);
    CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
    for (int i = 0; i < 10; i++) CHECK_OK(mote_cast(self, pid, "{finish, {stop, [?]}}", i));
    CHECK_OK(mote_server_resume(self, pid, PATIENCE_MS));
    CHECK_NEXT(self, "{terminate,[0]}");
    wait_gone(self, pid);
    return 0;
}
ONE_AND_TWO(suspended, suspension)

static int counts(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term list;
    unsigned long long since, now, in = 0, out = 0;
    long long reductions;
    (void)context;
    CHECK_OK(mote_server_statistics(self, pid, PATIENCE_MS, &list));
    CHECK_TERM(list, "no_statistics");
    CHECK_CALL(self, pid, "0", "{add, 0}");
    CHECK_OK(mote_server_statistics_set(self, pid, PATIENCE_MS, true));
    for (int i = 0; i < 10; i++) CHECK_CALL(self, pid, "0", "{add, 0}");
    for (int i = 0; i < 5; i++) CHECK_OK(mote_cast(self, pid, "{in_order, ?}", i));
    CHECK_OK(mote_server_statistics(self, pid, PATIENCE_MS, &list));
    CHECK(mote_match(list, "[{start_time, ?}, {current_time, ?}, {reductions, ?}, {messages_in, ?}, {messages_out, ?}]", &since, &now,
                     &reductions, &in, &out));
    CHECK(now >= since && in == 15 && out == 10 && reductions >= 0);
    CHECK_OK(mote_server_statistics_set(self, pid, PATIENCE_MS, false));
    CHECK_OK(mote_server_statistics(self, pid, PATIENCE_MS, &list));
    CHECK_TERM(list, "no_statistics");
    stop_desk(self, pid);
    return 0;
}
ONE_AND_TWO(statistics, counts)

static int upgrades(mote_self *self, void *context) {
    mote_pid pid = start_desk(self);
    mote_term version, extra, state;
    mote_ref ref;
    (void)context;
    CHECK_CALL(self, pid, "10", "{add, 10}");
    CHECK_OK(mote_build(mote_scratch(self), &version, "{1, 2}"));
    CHECK_OK(mote_build(mote_scratch(self), &extra, "{version, 3}"));
    CHECK_OK(mote_server_upgrade(self, pid, PATIENCE_MS, version, extra));
    CHECK_OK(mote_server_get_state(self, pid, PATIENCE_MS, &state));
    CHECK_TERM(state, "#{sum => 10,version => 3}");
    CHECK_INT(mote_server_upgrade(self, pid, PATIENCE_MS, atom("old"), atom("refuse")), MOTE_ETERM);
    CHECK_CALL(self, pid, "11", "{add, 1}");
    /* A call under way is answered by the new version. */
    CHECK_OK(mote_server_suspend(self, pid, PATIENCE_MS));
    CHECK_OK(mote_call_start(self, pid, &ref, "{add, 4}"));
    CHECK_OK(mote_server_upgrade(self, pid, PATIENCE_MS, atom("old"), atom("new")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{[alias|^], 30}", ref));
    CHECK_CALL(self, pid, "40", "{add, 5}");
    CHECK_OK(mote_server_get_status(self, pid, PATIENCE_MS, &state));
    CHECK(mote_match(state, "{status, _, {module, desk_2}, _}"));
    CHECK_OK(mote_server_stop(self, pid, atom("normal"), PATIENCE_MS));
    CHECK_INT(mote_server_upgrade(self, pid, PATIENCE_MS, atom("old"), atom("new")), MOTE_ENOPROC);
    check_empty(self);
    return 0;
}
ONE_AND_TWO(upgraded, upgrades)

/* ------------------------------------------------------------------------------------------------- in a crowd */

static void crowd_client(mote_self *self, mote_term arg) {
    mote_pid main, desks[2];
    mote_term reply;
    int id, wrong = 0, timed_out = 0;
    CHECK(mote_match(arg, "{?, ?, ?, ?}", &main, &desks[0], &desks[1], &id));
    for (int i = 0; i < scaled(2000); i++) {
        mote_err err = mote_call(self, desks[i % 2], (i + id) % 10 ? PATIENCE_MS : 0, &reply, "{say, {?, ?}}", id, i);
        if (err == MOTE_TIMEOUT) timed_out++;
        else if (err || !mote_match(reply, "{said, {^, ^}}", id, i)) wrong++;
    }
    check_empty(self);
    CHECK_OK(mote_send(self, main, "{done, ?, ?}", wrong, timed_out));
}
static int crowd(mote_self *self, void *context) {
    enum { CLIENTS = 20 };
    mote_pid desks[2] = {start_desk(self), start_desk(self)};
    mote_term arg;
    int late = 0;
    (void)context;
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_OK(mote_build(mote_scratch(self), &arg, "{?, ?, ?, ?}", mote_self_pid(self), desks[0], desks[1], i));
        CHECK_OK(mote_spawn(self, crowd_client, arg, NULL));
    }
    for (int i = 0, wrong = -1, n = 0; i < CLIENTS; i++) {
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{done, ?, ?}", &wrong, &n));
        CHECK_INT(wrong, 0);
        late += n;
    }
    printf("# %d calls timed out\n", late);
    stop_desk(self, desks[0]);
    stop_desk(self, desks[1]);
    return 0;
}
ONE_AND_TWO(many, crowd)

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST_ONE_AND_TWO(each_callback), TEST_ONE_AND_TWO(continuing), TEST_ONE_AND_TWO(time_limits),
                              TEST_ONE_AND_TWO(late_timers), TEST_ONE_AND_TWO(replying), TEST_ONE_AND_TWO(to_any_form),
                              TEST_ONE_AND_TWO(through_alias), TEST_ONE_AND_TWO(arguments), TEST_ONE_AND_TWO(late),
                              TEST_ONE_AND_TWO(dying), TEST_ONE_AND_TWO(shot), TEST_ONE_AND_TWO(call_start), TEST_ONE_AND_TWO(mutual),
                              TEST_ONE_AND_TWO(refusals), TEST_ONE_AND_TWO(linked_starts), TEST_ONE_AND_TWO(registered), TEST(slow),
                              TEST_ONE_AND_TWO(options), TEST_ONE_AND_TWO(parents), TEST_ONE_AND_TWO(stopping), TEST(slow_end),
                              TEST_ONE_AND_TWO(state), TEST_ONE_AND_TWO(suspended), TEST_ONE_AND_TWO(statistics),
                              TEST_ONE_AND_TWO(upgraded), TEST_ONE_AND_TWO(many), {0}});
}
