/* SPDX-License-Identifier: Apache-2.0
 * Processes and their messages: order, choice, ends of every kind, handlers, inspection, priorities, limits. */
#include <sched.h>

#include "live.h"

/* What processes write down: each word once, in order, one process at a time (the reader waits for its end). */
static struct {
    char text[2000];
    size_t size;
} diary;

static void note(const char *text) {
    size_t n = strlen(text);
    CHECK(diary.size + n < sizeof diary.text);
    memcpy(diary.text + diary.size, text, n + 1);
    diary.size += n;
}
static void note_reason(mote_term reason) {
    char text[100];
    mote_term_print(reason, text, sizeof text);
    note("(");
    note(text);
    note(")");
}
static void new_diary(void) { diary.text[diary.size = 0] = 0; }

static mote_term address(mote_self *self, const void *p) { return mote_uint_make(mote_scratch(self), (uint64_t)(uintptr_t)p); }
static void *pointer(mote_term term) {
    uint64_t word;
    CHECK_OK(mote_uint_get(term, &word));
    return (void *)(uintptr_t)word;
}

/* ------------------------------------------------------------------------------------------------ messages */

static void numbers(mote_self *self, mote_term arg) {
    int n = scaled(20000);
    for (int i = 0; i < n; i++) CHECK_OK(mote_send(self, pid_of(arg), "{?, ?}", mote_self_pid(self), i));
}

static int in_order(mote_self *self, void *context) {
    enum { SENDERS = 4 };
    mote_pid pids[SENDERS], from;
    int seen[SENDERS] = {0}, got, n = scaled(20000);
    (void)context;
    for (int i = 0; i < SENDERS; i++) CHECK_OK(mote_spawn(self, numbers, self_term(self), &pids[i]));
    for (int i = 0; i < SENDERS * n; i++) {
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{?, ?}", &from, &got));
        for (int k = 0; k < SENDERS; k++)
            if (pids[k].word == from.word) CHECK_INT(got, seen[k]++);
    }
    for (int k = 0; k < SENDERS; k++) CHECK_INT(seen[k], n);
    return 0;
}
ONE_AND_TWO(order, in_order)

static void waits_for_stop(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

/* A question is answered after the messages sent before it, and an exit signal is obeyed after them. */
static int signals_too(mote_self *self, void *context) {
    mote_process_info info;
    mote_pid pid;
    (void)context;
    for (int i = 0; i < scaled(500); i++) {
        CHECK_OK(mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &pid));
        for (int k = 0; k < i % 50; k++) CHECK_OK(mote_send(self, pid, "{junk, ?}", k));
        CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
        CHECK_INT(info.mailbox, i % 50);
        CHECK_OK(mote_exit_send(self, pid, atom("stop")));
        CHECK_INT(mote_process_info_get(self, pid, PATIENCE_MS, &info), MOTE_ENOPROC);
    }
    return 0;
}
ONE_AND_TWO(signal_order, signals_too)

static int to_oneself(mote_self *self, void *context) {
    mote_term m;
    int n;
    (void)context;
    for (int i = 0; i < 10000; i++) CHECK_OK(mote_send(self, mote_self_pid(self), "{self, ?}", i));
    for (int i = 0; i < 10000; i++) {
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK(mote_match(m, "{self, ?}", &n) && n == i);
        CHECK(mote_term_same(m, mote_message(self)));
    }
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_INT(mote_term_type(mote_message(self)), MOTE_NONE);
    return 0;
}
ONE_AND_TWO(self_send, to_oneself)

/* Passes each message on, and ends when the message is `stop`. */
static void pass_on(mote_self *self, mote_term arg) {
    for (mote_term m;;) {
        CHECK_OK(mote_receive(self, -1, &m));
        bool last = mote_match(m, "stop");
        CHECK_OK(mote_forward(self, pid_of(arg)));
        CHECK_INT(mote_term_type(mote_message(self)), MOTE_NONE);
        CHECK_INT(mote_forward(self, pid_of(arg)), MOTE_EARG);
        if (last) return;
    }
}
static void pass_handle(mote_self *self, mote_term message, void *state) {
    mote_pid *next = state;
    if (mote_match(message, "{next, ?}", next)) return;
    bool last = mote_match(message, "stop");
    CHECK_OK(mote_forward(self, *next));
    CHECK_INT(mote_term_type(mote_message(self)), MOTE_NONE);
    if (last) mote_exit(self, atom("normal"));
}
static const mote_handler passer = {.name = "passer", .state_size = sizeof(mote_pid), .handle = pass_handle};

static int chain(mote_self *self, void *context) {
    enum { LINKS = 100 };
    mote_pid next = mote_self_pid(self), handler;
    mote_term items[1000], m, copy;
    mote_arena *arena = mote_arena_new(0);
    (void)context;
    for (int i = 0; i < LINKS; i++) {
        if (i % 2) {
            CHECK_OK(mote_spawn(self, pass_on, mote_pid_term(next), &next));
            continue;
        }
        CHECK_OK(mote_spawn_handler(self, &passer, MOTE_TERM_NIL, &handler));
        CHECK_OK(mote_send(self, handler, "{next, ?}", next));
        next = handler;
    }
    for (int i = 0; i < 1000; i++) items[i] = mote_int_make(arena, i);
    for (size_t size = 0; size <= 1000; size += 25) {
        copy = mote_tuple_make(arena, size, items);
        CHECK_OK(mote_send_term(self, next, copy));
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        CHECK(mote_term_same(m, copy));
    }
    CHECK_OK(mote_send(self, next, "stop"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "stop"));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(forward, chain)

/* Terms of more than 256 bytes are shared by the messages that carry them, smaller ones are copied. */
static int share(mote_self *self, void *context) {
    mote_term items[1000], m;
    mote_arena *arena = mote_arena_new(0);
    (void)context;
    for (int i = 0; i < 1000; i++) items[i] = mote_int_make(arena, i);
    for (size_t size = 4; size <= 1000; size *= 2) {
        mote_term tuple = mote_tuple_make(arena, size, items);
        CHECK_OK(mote_send_term(self, mote_self_pid(self), tuple));
        mote_arena_reset(arena);
        for (int i = 0; i < 10; i++) {
            CHECK_OK(mote_receive(self, 0, &m));
            uint64_t before = m.word;
            for (int k = 0; k < 3; k++) CHECK_OK(mote_send_term(self, mote_self_pid(self), m));
            for (int k = 0; k < 2; k++) CHECK_OK(mote_receive(self, 0, &m));
            if (size > 32) CHECK(m.word == before);
            if (size < 31) CHECK(m.word != before);
            for (size_t k = 0; k < size; k++) {
                mote_term e;
                CHECK_OK(mote_tuple_get(m, k, &e));
                CHECK(mote_term_same(e, items[k]));
            }
        }
        while (mote_receive(self, 0, &m) == MOTE_OK)
            ;
    }
    mote_arena_free(arena);
    return 0;
}
static void shared(void) { RUN(1, share); }

static atomic_int released;
static void release(void *data, void *context) {
    atomic_fetch_add(&released, 1);
    free(data);
    (void)context;
}
static void keeps_it(mote_self *self, mote_term arg) {
    mote_bytes bytes;
    CHECK_OK(mote_receive_match(self, -1, "{data, ?}", &bytes));
    CHECK_INT(bytes.size, 100000);
    CHECK_OK(mote_send(self, pid_of(arg), "got"));
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}

/* A shared binary is released once, when the last message that carries it is gone; also with its process. */
static int binaries(mote_self *self, void *context) {
    mote_pid pids[20];
    mote_arena *arena = mote_arena_new(0);
    mote_term binary = mote_binary_share(arena, calloc(1, 100000), 100000, release, NULL);
    (void)context;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(mote_spawn(self, keeps_it, self_term(self), &pids[i]));
        CHECK_OK(mote_send(self, pids[i], "{data, ?}", binary));
        CHECK_OK(mote_send(self, pids[i], "{unread, ?}", binary));
    }
    mote_arena_free(arena);
    for (int i = 0; i < 20; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "got"));
    CHECK_INT(atomic_load(&released), 0);
    for (int i = 0; i < 20; i++) CHECK_OK(i % 2 ? mote_send(self, pids[i], "stop") : mote_exit_send(self, pids[i], atom("kill")));
    WAIT_UNTIL(self, atomic_load(&released) == 1);
    for (int i = 0; i < 20; i++) wait_gone(self, pids[i]);
    CHECK_INT(atomic_load(&released), 1);
    return 0;
}
ONE_AND_TWO(shared_binary, binaries)

/* --------------------------------------------------------------------------------------------------- choice */

static int asked; /* how often is_odd was asked */
static bool is_odd(mote_term message, void *context) {
    int n;
    ++asked;
    return mote_match(message, "{n, ?}", &n) && n % *(int *)context == 1;
}

static int choose(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_ref ref = mote_ref_make(self), other = mote_ref_make(self);
    mote_term m;
    int n, two = 2;
    (void)context;
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send(self, me, "{n, ?}", i));
    CHECK_OK(mote_send(self, me, "{reply, ?, 1}", other));
    CHECK_OK(mote_send(self, me, "{reply, ?, 2}", ref));
    CHECK_OK(mote_receive_match(self, 0, "{reply, ^, ?}", ref, &n));
    CHECK_INT(n, 2);
    CHECK_INT(mote_receive_match(self, 0, "{reply, ^, ?}", ref, &n), MOTE_TIMEOUT);
    CHECK_OK(mote_receive_match(self, 0, "{reply, ^, ?}", other, &n));
    CHECK_INT(n, 1);
    for (int i = 99; i > 0; i -= 2) CHECK_OK(mote_receive_match(self, 0, "{n, ^}", i));
    for (int i = 0; i < 100; i += 2) CHECK_OK(mote_send(self, me, "{n, ?}", i + 1));
    for (int i = 0; i < 50; i++) { /* the odd ones came later, the even ones keep their order before them */
        CHECK_OK(mote_receive_if(self, 0, is_odd, &two, &m));
        CHECK(mote_match(m, "{n, ?}", &n) && n == 2 * i + 1);
    }
    asked = 0;
    CHECK_INT(mote_receive_if(self, 3, is_odd, &two, &m), MOTE_TIMEOUT);
    CHECK_INT(asked, 50); /* each once */
    for (int i = 0; i < 50; i++) {
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK(mote_match(m, "{n, ?}", &n) && n == 2 * i);
    }
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    return 0;
}
ONE_AND_TWO(selective, choose)

/* The newest reference skips what is older; older references and messages taken from before it do no harm. */
static int marks(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_term m;
    (void)context;
    for (int i = 0; i < 2000; i++) {
        mote_ref old = mote_ref_make(self);
        CHECK_OK(mote_send(self, me, "{a, ?}", old));
        if (i % 3 == 0) CHECK_OK(mote_send(self, me, "junk"));
        mote_ref new = mote_ref_make(self);
        if (i % 2) CHECK_OK(mote_receive_match(self, 0, "{a, ^}", old));
        CHECK_OK(mote_send(self, me, "{b, [?, {1, ?}]}", old, new));
        if (i % 3 == 0) CHECK_OK(mote_receive_match(self, 0, "junk"));
        CHECK_OK(mote_receive_match(self, 0, "{b, [_, {1, ^}]}", new));
        if (i % 2 == 0) CHECK_OK(mote_receive_match(self, 0, "{a, ^}", old));
        CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    }
    return 0;
}
static void references(void) { RUN(1, marks); }

static void echo(mote_self *self, mote_term arg) {
    mote_pid from;
    mote_ref ref;
    (void)arg;
    while (mote_receive_match(self, -1, "{?, ?}", &from, &ref) == MOTE_OK) CHECK_OK(mote_send(self, from, "{reply, ?}", ref));
}

static uint64_t call_cost(mote_self *self, mote_pid server, int n) {
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 10; round++) {
        uint64_t start = now_ns();
        for (int i = 0; i < n; i++) {
            mote_ref ref = mote_ref_make(self);
            CHECK_OK(mote_send(self, server, "{?, ?}", mote_self_pid(self), ref));
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{reply, ^}", ref));
        }
        if (now_ns() - start < best) best = now_ns() - start;
    }
    return best;
}

static int junk_ahead(mote_self *self, void *context) {
    mote_pid server;
    int n = scaled(2000), junk = scaled(100000), got;
    (void)context;
    CHECK_OK(mote_spawn(self, echo, MOTE_TERM_NIL, &server));
    uint64_t without = call_cost(self, server, n);
    for (int i = 0; i < junk; i++) CHECK_OK(mote_send(self, mote_self_pid(self), "{junk, ?}", i));
    uint64_t with = call_cost(self, server, n);
    if (with > 4 * without) fprintf(stderr, "# %d calls: %" PRIu64 " ns, with junk %" PRIu64 "\n", n, without, with);
    CHECK(under_tool() || with < 50 * without);
    for (int i = 0; i < junk; i++) {
        CHECK_OK(mote_receive_match(self, 0, "{junk, ?}", &got));
        CHECK_INT(got, i);
    }
    return 0;
}
static void junk(void) { RUN(1, junk_ahead); }

/* ----------------------------------------------------------------------------------------------------- ends */

static void note_context(void *context) { note(context); }
static mote_self *cleaned;
static void note_and_send(void *context) {
    CHECK_OK(mote_send(cleaned, *(mote_pid *)context, "cleaned"));
    note("s");
}

/* Registers s, a, b, c, b of which one b is taken back: they run as c, b, a, s. */
static void register_all(mote_self *self, mote_pid *main) {
    cleaned = self;
    CHECK_OK(mote_cleanup_add(self, note_and_send, main));
    CHECK_OK(mote_cleanup_add(self, note_context, "a"));
    CHECK_OK(mote_cleanup_add(self, note_context, "b"));
    CHECK_OK(mote_cleanup_add(self, note_context, "c"));
    static char same[] = "x";
    CHECK_OK(mote_cleanup_add(self, note_context, same));
    CHECK_OK(mote_cleanup_remove(self, note_context, same));
    CHECK_INT(mote_cleanup_remove(self, note_context, same), MOTE_NOMATCH);
    for (int i = 1; i < 200; i++) {
        char *p = mote_alloc(self, (size_t)i * 7);
        CHECK(p && ((uintptr_t)p & 15) == 0);
        for (int k = 0; k < i * 7; k++) CHECK(p[k] == 0);
        memset(p, 0xff, (size_t)i * 7);
        if (i % 3 == 0) mote_dealloc(self, p);
    }
}

static mote_pid main_pid;
static void all_ways(mote_self *self, mote_term arg) {
    register_all(self, &main_pid);
    mote_term m;
    if (mote_match(arg, "returns")) return;
    if (mote_match(arg, "exits")) mote_exit(self, atom("why"));
    if (mote_match(arg, "exits_deep")) {
        mote_term deep = MOTE_TERM_NIL;
        for (int i = 0; i < 1000; i++) deep = mote_cons_make(mote_scratch(self), deep, arg);
        mote_exit(self, deep);
    }
    if (mote_match(arg, "exits_with_message")) {
        CHECK_OK(mote_receive(self, -1, &m));
        mote_exit(self, m);
    }
    if (mote_match(arg, "yields"))
        for (;;) CHECK_OK(mote_yield(self));
    if (mote_match(arg, "sleeps")) CHECK_OK(mote_sleep(self, 1000000));
    CHECK_OK(mote_receive(self, -1, &m));
    CHECK(mote_match(m, "never"));
}

static void way(mote_self *self, const char *how, const char *signal) {
    mote_pid pid;
    new_diary();
    main_pid = mote_self_pid(self);
    CHECK_OK(mote_spawn(self, all_ways, atom(how), &pid));
    if (strcmp(how, "exits_with_message") == 0) CHECK_OK(mote_send(self, pid, "{a, [message, ?]}", 1e10));
    if (signal) {
        WAIT_UNTIL(self, cleaned != NULL);
        CHECK_OK(mote_exit_send(self, pid, atom(signal)));
    }
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "cleaned"));
    wait_gone(self, pid);
    CHECK_STR(diary.text, "cbas");
    cleaned = NULL;
}

static int straight_ends(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < 20; i++) {
        way(self, "returns", NULL);
        way(self, "exits", NULL);
        way(self, "exits_deep", NULL);
        way(self, "exits_with_message", NULL);
        way(self, "yields", "kill");
        way(self, "yields", "why");
        way(self, "receives", "kill");
        way(self, "receives", "why");
        way(self, "sleeps", "kill");
    }
    return 0;
}
static void clean_ups(void) { RUN(1, straight_ends); }

/* The same for handlers; `stop` comes after the clean-ups, with the reason. */
static void ways_init(mote_self *self, mote_term arg, void *state) {
    CHECK(*(int *)state == 0);
    register_all(self, &main_pid);
    note("i");
    *(int *)state = 1;
    if (mote_match(arg, "exits_in_init")) mote_exit(self, arg);
}
static void ways_handle(mote_self *self, mote_term message, void *state) {
    CHECK(++*(int *)state >= 2);
    note("h");
    if (mote_match(message, "exit")) mote_exit(self, message);
    if (mote_match(message, "{exit, _}")) {
        mote_term reason;
        CHECK_OK(mote_tuple_get(message, 1, &reason));
        mote_exit(self, reason);
    }
}
static void ways_stop(mote_self *self, mote_term reason, void *state) {
    CHECK(*(int *)state >= 1);
    note_reason(reason);
    CHECK_OK(mote_send(self, main_pid, "stopped"));
}
static const mote_handler ways = {.name = "ways", .state_size = sizeof(int), .init = ways_init, .handle = ways_handle, .stop = ways_stop};

static void handler_way(mote_self *self, const char *arg, const char *signal, const char *want) {
    mote_pid pid;
    new_diary();
    main_pid = mote_self_pid(self);
    CHECK_OK(mote_spawn_handler(self, &ways, atom(arg), &pid));
    if (strcmp(arg, "exits_in_init") != 0) {
        CHECK_OK(mote_send(self, pid, "first"));
        wait_idle(self, pid);
    }
    if (strcmp(arg, "exit") == 0) CHECK_OK(mote_send(self, pid, "exit"));
    if (strcmp(arg, "exit_part") == 0) CHECK_OK(mote_send(self, pid, "{exit, [part, {1.5}, message]}"));
    CHECK_OK(mote_send(self, pid, "too_late"));
    if (signal) CHECK_OK(mote_exit_send(self, pid, atom(signal)));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "cleaned"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "stopped"));
    wait_gone(self, pid);
    if (signal) { /* "too_late" may have been handled before the signal came */
        char *late = strstr(diary.text, "hh");
        if (late) memmove(late, late + 1, strlen(late));
    }
    CHECK_STR(diary.text, want);
}

static int handler_ends(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < 20; i++) {
        handler_way(self, "exits_in_init", NULL, "icbas(exits_in_init)");
        handler_way(self, "exit", NULL, "ihhcbas(exit)");
        handler_way(self, "exit_part", NULL, "ihhcbas([part,{1.5},message])");
        handler_way(self, "none", "why", "ihcbas(why)");
        handler_way(self, "none", "kill", "ihcbas(killed)");
    }
    return 0;
}
ONE_AND_TWO(handlers, handler_ends)

/* The runtime's stop ends what is left, as if killed, with all clean-ups. */
static atomic_int left_clean;
static void count_clean(void *context) { atomic_fetch_add(&left_clean, *(int *)context); }
static int one = 1, thousand = 1000;
static void left_body(mote_self *self, mote_term arg) {
    mote_term m;
    CHECK_OK(mote_cleanup_add(self, count_clean, &one));
    CHECK_OK(mote_send(self, pid_of(arg), "ready"));
    CHECK_OK(mote_receive(self, -1, &m));
}
static void left_init(mote_self *self, mote_term arg, void *state) {
    (void)state;
    CHECK_OK(mote_cleanup_add(self, count_clean, &one));
    CHECK_OK(mote_send(self, pid_of(arg), "ready"));
}
static void left_handle(mote_self *self, mote_term message, void *state) { (void)self, (void)message, (void)state; }
static void left_stop(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)state;
    CHECK_TERM(reason, "killed");
    count_clean(&thousand);
}
static const mote_handler left = {.name = "left", .init = left_init, .handle = left_handle, .stop = left_stop};
static int leave_some(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < 50; i++) CHECK_OK(mote_spawn(self, left_body, self_term(self), NULL));
    for (int i = 0; i < 50; i++) CHECK_OK(mote_spawn_handler(self, &left, self_term(self), NULL));
    for (int i = 0; i < 100; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "ready"));
    CHECK_OK(mote_cleanup_add(self, count_clean, &one));
    return 0;
}
static void stopped(void) {
    RUN(2, leave_some);
    CHECK_INT(atomic_load(&left_clean), 50 * 1000 + 100 + 1);
}

/* ------------------------------------------------------------------------------------------- exit signals */

static int ignore_normal(mote_self *self, void *context) {
    mote_process_info info;
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_exit_send(self, pid, atom("normal")));
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    CHECK_OK(mote_exit_send(self, mote_self_pid(NULL), atom("normal"))); /* nobody */
    CHECK_OK(mote_send(self, pid, "stop"));
    wait_gone(self, pid);
    CHECK_OK(mote_exit_send(self, pid, atom("late"))); /* a dead pid is no error */
    return 0;
}
static void normal(void) { RUN(1, ignore_normal); }

/* An exit signal that comes while a process does something that looks at signals ends it at its next wait at the latest. */
static void tell_main(void *self) { CHECK_OK(mote_send(self, main_pid, "gone")); }
static void asks_itself(mote_self *self, mote_term arg) {
    mote_process_info info;
    mote_term m;
    (void)arg;
    CHECK_OK(mote_cleanup_add(self, tell_main, self));
    CHECK_OK(mote_exit_send(self, mote_self_pid(self), atom("boom")));
    CHECK_OK(mote_process_info_get(self, mote_self_pid(self), 0, &info));
    CHECK_OK(mote_receive(self, -1, &m));
}
static atomic_int polled;
static void polls(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    CHECK_OK(mote_cleanup_add(self, tell_main, self));
    atomic_fetch_add(&polled, 1);
    for (int i = 0; i < 100; i++) {
        mote_err err = mote_receive(self, i % 2, &m);
        CHECK(err == MOTE_TIMEOUT);
    }
    CHECK_OK(mote_receive(self, -1, &m));
}
static int signal_is_kept(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    main_pid = mote_self_pid(self);
    CHECK_OK(mote_spawn(self, asks_itself, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "gone"));
    for (int i = 0; i < scaled(400); i++) {
        CHECK_OK(mote_spawn(self, polls, MOTE_TERM_NIL, &pid));
        for (int k = i % 7; k > 0; k--) CHECK_OK(mote_yield(self));
        WAIT_UNTIL(self, atomic_load(&polled) > i);
        CHECK_OK(mote_exit_send(self, pid, atom("boom")));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "gone"));
    }
    return 0;
}
ONE_AND_TWO(signal_kept, signal_is_kept)

/* A handler with much to do hears of an exit signal within a turn. */
static atomic_int handled, gate;
static void slow_handle(mote_self *self, mote_term message, void *state) {
    (void)self, (void)message, (void)state;
    int n = atomic_fetch_add(&handled, 1) + 1;
    while (n > atomic_load(&gate)) sched_yield();
}
static const mote_handler slow = {.name = "slow", .handle = slow_handle};
static int much_to_do(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_handler(self, &slow, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, pid, "one"));
    WAIT_UNTIL(self, atomic_load(&handled) == 1);
    for (int i = 0; i < 30000; i++) CHECK_OK(mote_send(self, pid, "more"));
    atomic_store(&gate, 1);
    WAIT_UNTIL(self, atomic_load(&handled) == 2);
    CHECK_OK(mote_exit_send(self, pid, atom("enough")));
    atomic_store(&gate, 1000000);
    wait_gone(self, pid);
    CHECK(atomic_load(&handled) <= 2100);
    return 0;
}
static void busy_handler(void) { RUN(2, much_to_do); }

/* An argument lives as long as its process, also while an exit signal waits for a blocking call. */
static atomic_int call_began, call_may_end;
static void print_arg(void *context) {
    char text[300];
    atomic_store(&call_began, 1);
    while (!atomic_load(&call_may_end)) sched_yield();
    mote_term_print(*(mote_term *)context, text, sizeof text);
    CHECK_STR(text, "{<0.1.2>,[long,list,1.5,<<\"and some bytes\">>],#{map => true}}");
}
static void arg_in_call(mote_self *self, mote_term arg) {
    mote_term copy = arg;
    CHECK_OK(mote_cleanup_add(self, print_arg, memcpy(mote_alloc(self, sizeof copy), &copy, sizeof copy)));
    CHECK_OK(mote_blocking(self, print_arg, &copy));
    CHECK(false); /* not reached */
}
static int arg_stays(mote_self *self, void *context) {
    static const char text[] = "{<0.1.2>,[long,list,1.5,<<\"and some bytes\">>],#{map => true}}";
    mote_process_info info;
    mote_term arg;
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_term_parse(mote_scratch(self), text, sizeof text - 1, &arg, NULL));
    CHECK_OK(mote_spawn(self, arg_in_call, arg, &pid));
    WAIT_UNTIL(self, atomic_load(&call_began));
    CHECK_OK(mote_exit_send(self, pid, atom("ended")));
    CHECK_INT(mote_process_info_get(self, pid, 20, &info), MOTE_TIMEOUT); /* it has heard of it, and answers when it has ended */
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send(self, mote_self_pid(self), "{memory, is, used, again, ?, ?}", i, 1.5));
    atomic_store(&call_may_end, 1);
    wait_gone(self, pid);
    return 0;
}
ONE_AND_TWO(argument, arg_stays)

/* ----------------------------------------------------------------------------------------------- inspection */

static void many_fields(mote_self *self, mote_term arg) {
    char *memory = mote_alloc(self, 100000);
    CHECK_OK(mote_send(self, pid_of(arg), "ready"));
    CHECK_OK(mote_receive_match(self, -1, "free"));
    mote_dealloc(self, memory);
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}
static int fields(mote_self *self, void *context) {
    mote_spawn_options options = {.body = many_fields, .mailbox_max = 1000, .priority = MOTE_HIGH, .policy = MOTE_DROP};
    mote_process_info info, before;
    mote_pid pid;
    char name[64];
    (void)context;
    memset(name, 'n', 63);
    name[63] = 0;
    options.name = name;
    CHECK_OK(mote_spawn_opt(self, &options, self_term(self), &pid));
    memset(name, 'x', 63); /* it was copied */
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "ready"));
    wait_idle(self, pid);
    for (int i = 0; i < 7; i++) CHECK_OK(mote_send(self, pid, "junk"));
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    CHECK(info.pid.word == pid.word && strlen(info.name) == 63 && strspn(info.name, "n") == 63);
    CHECK(!info.handler && info.priority == MOTE_HIGH && info.mailbox == 7 && info.mailbox_max == 1000);
    CHECK(info.dropped == 0 && info.reductions > 0 && info.memory > 100000 && info.function == (const void *)(uintptr_t)many_fields);
    before = info;
    CHECK_OK(mote_send(self, pid, "free"));
    wait_idle(self, pid);
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    CHECK(info.memory < before.memory - 90000 && info.reductions > before.reductions);
    CHECK_INT(info.state, MOTE_STATE_WAITING);
    CHECK_OK(mote_process_info_get(self, mote_self_pid(self), 0, &info));
    CHECK(info.state == MOTE_STATE_RUNNING && !info.handler && info.priority == MOTE_NORMAL && info.mailbox_max == 0);
    CHECK_OK(mote_spawn_handler(self, &ways, atom("none"), &pid));
    main_pid = mote_self_pid(self);
    wait_idle(self, pid);
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    CHECK(info.handler && info.function == (const void *)(uintptr_t)ways_handle && info.mailbox == 0);
    CHECK_STR(info.name, "ways");
    return 0;
}
ONE_AND_TWO(info, fields)

static void yields(mote_self *self, mote_term arg) {
    (void)arg;
    while (mote_yield(self) == MOTE_OK)
        ;
}
static int runnable(mote_self *self, void *context) {
    mote_process_info info;
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn(self, yields, MOTE_TERM_NIL, &pid));
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
        CHECK(info.state == MOTE_STATE_RUNNABLE);
    }
    return 0;
}
static void states(void) { RUN(1, runnable); }

static bool is_listed(mote_self *self, mote_pid pid, size_t want) {
    mote_pid pids[300];
    size_t count = 0, found = 0;
    CHECK_OK(mote_process_list(self, pids, 300, &count));
    CHECK_INT(count, want);
    for (size_t i = 0; i < count; i++) found += pids[i].word == pid.word;
    CHECK(found <= 1);
    return found;
}
static int listing(mote_self *self, void *context) {
    mote_pid pids[100], few[5] = {{1}, {1}, {1}, {1}, {7}};
    mote_runtime_info ri;
    size_t count;
    (void)context;
    WAIT_UNTIL(self, (mote_process_list(self, NULL, 0, &count) == MOTE_OK && count == 1));
    for (int i = 0; i < 100; i++) CHECK_OK(mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &pids[i]));
    CHECK_OK(mote_process_list(self, few, 4, &count));
    CHECK(count == 101 && few[3].word != 1 && few[4].word == 7);
    for (int i = 0; i < 100; i++) CHECK(is_listed(self, pids[i], 101));
    CHECK(is_listed(self, mote_self_pid(self), 101));
    for (int i = 0; i < 50; i++) CHECK_OK(mote_send(self, pids[i], "stop"));
    for (int i = 0; i < 50; i++) wait_gone(self, pids[i]);
    for (int i = 0; i < 100; i++) CHECK(is_listed(self, pids[i], 51) == (i >= 50));
    WAIT_UNTIL(self, (mote_runtime_info_get(self, &ri) == MOTE_OK && ri.processes == 51));
    CHECK_INT(ri.processes_started, 101);
    CHECK(ri.uptime_ns > 0 && ri.schedulers >= 1);
    return 0;
}
ONE_AND_TWO(list, listing)

/* Figures: every message is counted once, and those that nobody read. */
static int count_messages(mote_self *self, void *context) {
    mote_runtime_info before, after;
    mote_scheduler_info si;
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_runtime_info_get(self, &before));
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send(self, pid, "unread"));
    CHECK_OK(mote_send(self, pid, "stop"));
    wait_gone(self, pid);
    for (int i = 0; i < 10; i++) CHECK_OK(mote_send(self, pid, "too_late"));
    WAIT_UNTIL(self, (mote_runtime_info_get(self, &after) == MOTE_OK && after.messages_dead - before.messages_dead == 110));
    CHECK_INT(after.messages_sent - before.messages_sent, 111);
    CHECK_INT(after.messages_dropped, 0);
    for (unsigned i = 0; i < after.schedulers; i++) {
        CHECK_OK(mote_scheduler_info_get(self, i, &si));
        CHECK(si.busy_ns < after.uptime_ns + 10000000000u);
    }
    return 0;
}
ONE_AND_TWO(figures, count_messages)

/* ------------------------------------------------------------------------------------------------ scheduling */

static void note_letter(mote_self *self, mote_term arg) {
    char text[2] = {0};
    int64_t letter;
    (void)self;
    CHECK_OK(mote_int_get(arg, &letter));
    text[0] = (char)letter;
    note(text);
}
static int high_first(mote_self *self, void *context) {
    mote_pid pids[30];
    (void)context;
    new_diary();
    for (int i = 0; i < 30; i++) {
        mote_spawn_options options = {.body = note_letter, .priority = i < 10 ? MOTE_LOW : i < 20 ? MOTE_NORMAL : MOTE_HIGH};
        CHECK_OK(mote_spawn_opt(self, &options, mote_int_make(NULL, i < 10 ? 'l' : i < 20 ? 'n' : 'h'), &pids[i]));
    }
    for (int i = 0; i < 30; i++) wait_gone(self, pids[i]);
    CHECK_INT(diary.size, 30);
    if (chaos_seed()) return 0;
    CHECK_INT(strspn(diary.text, "h"), 10);
    CHECK(strrchr(diary.text, 'l') > strrchr(diary.text, 'n'));
    return 0;
}
static void priorities(void) { RUN(1, high_first); }

static atomic_int low_turns;
static void low_body(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) {
        atomic_fetch_add(&low_turns, 1);
        CHECK_OK(mote_yield(self));
    }
}
static int low_lives(mote_self *self, void *context) {
    mote_spawn_options options = {.body = low_body, .priority = MOTE_LOW};
    (void)context;
    for (int i = 0; i < 3; i++) CHECK_OK(mote_spawn(self, yields, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, NULL));
    for (uint64_t since = now_ns(); atomic_load(&low_turns) < 100; CHECK_OK(mote_yield(self))) CHECK(ms_since(since) < PATIENCE_MS);
    return 0;
}
static void low_goes_on(void) { RUN(1, low_lives); }

static atomic_long work[2];
static void worker(mote_self *self, mote_term arg) {
    int64_t which;
    CHECK_OK(mote_int_get(arg, &which));
    for (int i = 0; i < 100000 && atomic_load(&work[!which]) < 100000; i++) {
        CHECK_OK(mote_reductions(self, 50));
        atomic_fetch_add(&work[which], 1);
    }
}
static int share_fairly(mote_self *self, void *context) {
    mote_pid a, b;
    (void)context;
    CHECK_OK(mote_spawn(self, worker, mote_int_make(NULL, 0), &a));
    CHECK_OK(mote_spawn(self, worker, mote_int_make(NULL, 1), &b));
    wait_gone(self, a);
    wait_gone(self, b);
    long x = atomic_load(&work[0]), y = atomic_load(&work[1]);
    CHECK(x + y > 180000 && labs(x - y) < 20000);
    return 0;
}
static void fairness(void) { RUN(1, share_fairly); }

/* ---------------------------------------------------------------------------------------------------- limits */

static int up_to_100(mote_self *self, void *context) {
    mote_pid pids[99], pid;
    (void)context;
    for (int round = 0; round < scaled(20); round++) {
        for (int i = 0; i < 99; i++) { /* a slot may come back a little after its process has gone */
            mote_err err = MOTE_OK;
            WAIT_UNTIL(self, (err = mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &pids[i])) != MOTE_ELIMIT || round == 0);
            CHECK_OK(err);
        }
        for (int i = 0; i < 5; i++) CHECK_INT(mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &pid), MOTE_ELIMIT);
        for (int i = 0; i < 5; i++) CHECK_INT(mote_spawn_handler(self, &left, MOTE_TERM_NIL, &pid), MOTE_ELIMIT);
        for (int i = 0; i < 99; i++) CHECK_OK(mote_send(self, pids[i], "stop"));
        for (int i = 0; i < 99; i++) wait_gone(self, pids[i]);
    }
    return 0;
}
static void limit_100(void) { run_with((mote_options){.schedulers = 1, .processes_max = 100}, up_to_100); }
static void limit_100_2(void) { run_with((mote_options){.schedulers = 2, .processes_max = 100}, up_to_100); }

/* Larger limits are kept; one scheduler reaches them exactly. */
static int up_to_1000(mote_self *self, void *context) {
    int n = 0;
    (void)context;
    while (mote_spawn_handler(self, &passer, MOTE_TERM_NIL, NULL) == MOTE_OK) n++;
    CHECK_INT(n, 999);
    return 0;
}
static void limit_1000(void) { run_with((mote_options){.schedulers = 1, .processes_max = 1000}, up_to_1000); }

static void short_life(mote_self *self, mote_term arg) { (void)self, (void)arg; }
static void short_init(mote_self *self, mote_term arg, void *state) {
    (void)state;
    mote_exit(self, arg);
}
static const mote_handler short_handler = {.name = "short", .init = short_init, .handle = left_handle};
#if defined(__SANITIZE_THREAD__)
#define STACKLESS_ONLY 1 /* ThreadSanitizer takes a millisecond for a stack */
#else
#define STACKLESS_ONLY 0
#endif
static int by_word(const void *a, const void *b) {
    uint64_t x = ((const mote_pid *)a)->word, y = ((const mote_pid *)b)->word;
    return x < y ? -1 : x > y;
}
static int never_again(mote_self *self, void *context) {
    int n = scaled(3000000);
    mote_pid *pids = malloc((size_t)n * sizeof *pids), live[100];
    mote_runtime_info before, after;
    mote_process_info info;
    (void)context;
    for (int i = 0; i < n; i++)
        if (STACKLESS_ONLY || i % 2)
            CHECK_OK(mote_spawn_handler(self, &short_handler, MOTE_TERM_NIL, &pids[i]));
        else
            CHECK_OK(mote_spawn(self, short_life, MOTE_TERM_NIL, &pids[i]));
    WAIT_UNTIL(self, (mote_runtime_info_get(self, &before) == MOTE_OK && before.processes == 1));
    for (int i = 0; i < 100; i++) CHECK_OK(mote_spawn(self, waits_for_stop, MOTE_TERM_NIL, &live[i])); /* in slots used before */
    for (int i = 0; i < n; i++) CHECK_OK(mote_send(self, pids[i], "stop"));
    CHECK_OK(mote_runtime_info_get(self, &after));
    CHECK_INT(after.messages_dead - before.messages_dead, n);
    for (int i = 0; i < 100; i++) CHECK_OK(mote_process_info_get(self, live[i], PATIENCE_MS, &info));
    qsort(pids, (size_t)n, sizeof *pids, by_word);
    for (int i = 1; i < n; i++) CHECK(pids[i].word != pids[i - 1].word);
    free(pids);
    return 0;
}
ONE_AND_TWO(stale_pids, never_again)

static void is_busy(mote_self *self, mote_term arg) {
    atomic_int *go = pointer(arg);
    (void)self;
    atomic_store(go, 1);
    while (atomic_load(go) != 2) sched_yield();
}
static atomic_int asker_calls, asker_returned, let_call_go;
static void until_let_go(void *context) {
    (void)context;
    atomic_store(&asker_calls, 1);
    while (!atomic_load(&let_call_go)) sched_yield();
}
static void impatient(mote_self *self, mote_term arg) {
    mote_process_info info;
    CHECK_INT(mote_process_info_get(self, pid_of(arg), 1, &info), MOTE_TIMEOUT);
    CHECK_OK(mote_blocking(self, until_let_go, NULL));
    atomic_store(&asker_returned, 1);
}

/* An answer that comes too late is not taken for the end of a blocking call. */
static int late_answer(mote_self *self, void *context) {
    static atomic_int go;
    mote_process_info info;
    mote_pid busy, asker;
    (void)context;
    CHECK_OK(mote_spawn(self, is_busy, address(self, &go), &busy));
    WAIT_UNTIL(self, atomic_load(&go) == 1);
    CHECK_OK(mote_spawn(self, impatient, mote_pid_term(busy), &asker));
    WAIT_UNTIL(self, atomic_load(&asker_calls));
    atomic_store(&go, 2);
    wait_gone(self, busy);
    for (int i = 0; i < 5; i++) CHECK_OK(mote_process_info_get(self, asker, PATIENCE_MS, &info));
    CHECK_INT(atomic_load(&asker_returned), 0);
    atomic_store(&let_call_go, 1);
    wait_gone(self, asker);
    CHECK_INT(atomic_load(&asker_returned), 1);
    return 0;
}
static void late_answers(void) { RUN(2, late_answer); }

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST_ONE_AND_TWO(order), TEST_ONE_AND_TWO(signal_order), TEST_ONE_AND_TWO(self_send),
                                            TEST_ONE_AND_TWO(forward), TEST(shared), TEST_ONE_AND_TWO(shared_binary),
                                            TEST_ONE_AND_TWO(selective), TEST(references), TEST(junk), TEST(clean_ups),
                                            TEST_ONE_AND_TWO(handlers), TEST(stopped), TEST(normal), TEST_ONE_AND_TWO(signal_kept),
                                            TEST(busy_handler), TEST_ONE_AND_TWO(argument), TEST_ONE_AND_TWO(info), TEST(states),
                                            TEST_ONE_AND_TWO(list), TEST_ONE_AND_TWO(figures), TEST(priorities), TEST(low_goes_on),
                                            TEST(fairness), TEST(limit_100), TEST(limit_100_2), TEST(limit_1000),
                                            TEST_ONE_AND_TWO(stale_pids), TEST(late_answers), {0}});
}
