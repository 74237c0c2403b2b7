/* SPDX-License-Identifier: Apache-2.0
 * What tests of live runtimes share: sizes that suit the tool they run under, options, time, and waiting for a condition.
 *
 * MOTE_TEST_SEED=n runs everything with chaos_seed n. MOTE_TEST_UNDER=valgrind or qemu makes sizes small.
 */
#ifndef MT_TESTS_LIVE_H
#define MT_TESTS_LIVE_H

#include <mote/mote.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Under a tool figures of time and memory say nothing. */
__attribute__((unused)) static bool under_tool(void) { return SANITIZED || getenv("MOTE_TEST_UNDER") != NULL; }

/* A number of repetitions: a twentieth with sanitizers, a two-hundredth under an emulator, at least 2. */
__attribute__((unused)) static int scaled(int n) {
    int by = getenv("MOTE_TEST_UNDER") ? 200 : SANITIZED ? 20 : 1;
    return n / by < 2 ? 2 : n / by;
}

__attribute__((unused)) static uint64_t chaos_seed(void) {
    const char *text = getenv("MOTE_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 0;
}

/* Runs `body` as the first process with these options (and the seed of the environment); it must return 0. */
typedef int live_body(mote_self *self, void *context);
__attribute__((unused)) static void run_with(mote_options options, live_body *body) {
    options.chaos_seed = chaos_seed();
    CHECK_INT(mote_run(&options, body, NULL), 0);
}
#define RUN(count, body) run_with((mote_options){.schedulers = (count)}, body)
/* Tests of that name and of that name with _2: the body with one and with two schedulers. */
#define ONE_AND_TWO(name, body)               \
    static void name(void) { RUN(1, body); }  \
    static void name##_2(void) { RUN(2, body); }
#define TEST_ONE_AND_TWO(name) TEST(name), TEST(name##_2)

__attribute__((unused)) static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
__attribute__((unused)) static int64_t ms_since(uint64_t start_ns) { return (int64_t)((now_ns() - start_ns) / 1000000); }

#define PATIENCE_MS 60000

/* For mote_blocking(): returns when whoever has started this program has closed its input. */
__attribute__((unused)) static void wait_for_input_end(void *context) {
    char byte;
    (void)context;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
}

__attribute__((unused)) static void free_arena(void *arena) { mote_arena_free(arena); }

/* An arena that goes with its process, which may be ended from outside. */
__attribute__((unused)) static mote_arena *own_arena(mote_self *self) {
    mote_arena *arena = mote_arena_new(0);
    CHECK(arena);
    CHECK_OK(mote_cleanup_add(self, free_arena, arena));
    return arena;
}

/* The end of a program that others drive: its process `keeper` does what they say, it says that it is there, and ends when its input does. */
__attribute__((unused)) static int serve_until_input_ends(mote_self *self, void (*keeper)(mote_self *self, mote_term arg)) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, keeper, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_register(self, mote_atom_make("keeper"), pid));
    puts("ready");
    fflush(stdout);
    CHECK_OK(mote_blocking(self, wait_for_input_end, NULL));
    return 0;
}

/* Lets a millisecond pass; its caller looks again, until its patience is over. */
__attribute__((unused)) static void look_later(mote_self *self, uint64_t since_ns) {
    CHECK(ms_since(since_ns) < PATIENCE_MS);
    CHECK_INT(mote_receive_match(self, 1, "'a message that never comes'"), MOTE_TIMEOUT);
}
#define WAIT_UNTIL(self, condition) \
    for (uint64_t wait_since_ = now_ns(); !(condition);) look_later(self, wait_since_)

/* Waits until a process has ended. */
__attribute__((unused)) static void wait_gone(mote_self *self, mote_pid pid) {
    mote_process_info info;
    mote_err err;
    for (uint64_t since = now_ns(); (err = mote_process_info_get(self, pid, 1000, &info)) != MOTE_ENOPROC; look_later(self, since))
        CHECK(err == MOTE_OK || err == MOTE_TIMEOUT);
}

/* Waits until a process waits: it has done all it can. */
__attribute__((unused)) static void wait_idle(mote_self *self, mote_pid pid) {
    mote_process_info info;
    for (uint64_t since = now_ns();; look_later(self, since)) {
        CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
        if (info.state == MOTE_STATE_WAITING) return;
    }
}

__attribute__((unused)) static mote_term atom(const char *name) { return mote_atom_term(mote_atom_make(name)); }
__attribute__((unused)) static mote_pid pid_of(mote_term term) {
    mote_pid pid;
    CHECK_OK(mote_pid_get(term, &pid));
    return pid;
}
__attribute__((unused)) static mote_term self_term(mote_self *self) { return mote_pid_term(mote_self_pid(self)); }

/* A process that waits for ever, and one that has ended. */
__attribute__((unused)) static void never_ends(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "'a message that never comes'"));
}
__attribute__((unused)) static mote_pid one_dead(mote_self *self) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, never_ends, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    wait_gone(self, pid);
    return pid;
}

/* A term's text is `want`. */
__attribute__((unused)) static void check_term(const char *file, int line, mote_term term, const char *want) {
    char text[300];
    mote_term_print(term, text, sizeof text);
    check_str(file, line, "the term", text, want);
}
#define CHECK_TERM(term, want) check_term(__FILE__, __LINE__, term, want)

#endif
