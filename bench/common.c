/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t resident_bytes(void) {
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    expect(size > 0, "cannot read /proc/self/statm");
    char *resident;
    strtoll(text, &resident, 10); /* the first number is the whole address space */
    return strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE);
}

void *take(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    expect(memory != NULL, "out of memory");
    return memory;
}

/* Not exit(): other schedulers are still running. */
void fail(const char *what, mote_err err) {
    if (err == MOTE_OK)
        fprintf(stderr, "mote-bench: %s\n", what);
    else
        fprintf(stderr, "mote-bench: %s: %s: %s\n", what, mote_err_name(err), mote_err_text(err));
    _Exit(1);
}

void out(double value, const char *unit, const char *name, ...) {
    va_list args;
    va_start(args, name);
    vprintf(name, args);
    va_end(args);
    printf(" %.3f %s\n", value, unit);
    fflush(stdout);
}

mote_pid start(mote_self *self, bool handler, const struct kind *kind, mote_term arg) {
    mote_pid pid;
    if (handler)
        sure(mote_spawn_handler(self, kind->handler, arg, &pid));
    else
        sure(mote_spawn(self, kind->body, arg, &pid));
    return pid;
}

void done(mote_self *self) {
    mote_term normal;
    sure(mote_build(mote_scratch(self), &normal, "normal"));
    mote_exit(self, normal);
}

void wait_done(mote_self *self, int64_t count) {
    while (count-- > 0) sure(mote_receive_match(self, -1, "d"));
}

void count_in(mote_self *self, int64_t count) {
    while (count-- > 0) sure(mote_receive_match(self, -1, "m"));
}

void send_out(mote_self *self, mote_pid to, int64_t count) {
    while (count-- > 0) sure(mote_send(self, to, "m"));
}

void ping(mote_self *self, mote_pid echo, int64_t count) {
    mote_pid me = mote_self_pid(self);
    while (count-- > 0) {
        sure(mote_send(self, echo, "{?, x}", me));
        sure(mote_receive_match(self, -1, "x"));
    }
}

/* Gives false for `stop`. */
static bool echo_answer(mote_self *self, mote_term message) {
    mote_pid from;
    mote_term x;
    if (!mote_match(message, "{?, ?}", &from, &x)) {
        expect(mote_match(message, "stop"), "echo: a message it does not know");
        return false;
    }
    sure(mote_send_term(self, from, x));
    return true;
}

static void echo_body(mote_self *self, mote_term arg) {
    (void)arg;
    mote_term message;
    do
        sure(mote_receive(self, -1, &message));
    while (echo_answer(self, message));
}

static void echo_handle(mote_self *self, mote_term message, void *state) {
    (void)state;
    if (!echo_answer(self, message)) done(self);
}

static const mote_handler echo_handler = {.name = "echo", .handle = echo_handle};
const struct kind echo_kind = {echo_body, &echo_handler};
