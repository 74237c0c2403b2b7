/* SPDX-License-Identifier: Apache-2.0
 *
 * What the workloads of mote-bench share. A workload is a row of the table in main.c; its function runs as the first
 * process of a runtime and does what the clause of the same name in peers/erlang/bench.erl does.
 *
 * B1  The messages, the part that is timed and the lines printed are those of bench.erl.
 * B2  Everything goes through mote.h and is written as a user would: nothing here is faster than a user's program.
 * B3  A call that fails, or a result that is wrong, ends the program: such a run prints no figure for it.
 */
#ifndef MOTE_BENCH_H
#define MOTE_BENCH_H

#include <mote/mote.h>

enum { ARGS_MAX = 3 };

/* One argument of a workload: a number from min to max, or, when max is 0, one of the words in `label` ("same|free"). */
struct argument {
    const char *label;
    int64_t min, max;
};

struct bench;

struct workload {
    const char *name;
    struct argument args[ARGS_MAX];
    const char *help;
    void (*run)(mote_self *self, const struct bench *bench);
    bool bodies;                                      /* --body handler has a meaning */
    const char *(*refuse)(const struct bench *bench); /* what is wrong with these arguments, or NULL; may be NULL */
};

/* What the command line asked for; constant while the workload runs. */
struct bench {
    const struct workload *workload;
    const char *text[ARGS_MAX]; /* the arguments as given: names of results carry them */
    int64_t number[ARGS_MAX];   /* their values; of a word its place in the label */
    unsigned schedulers;        /* 0: the runtime's default */
    bool handler;               /* --body handler */
};

/* A kind of process in its two bodies. */
struct kind {
    mote_body body;
    const mote_handler *handler;
};

/* Answers {P, X} with X until `stop`; takes no argument. */
extern const struct kind echo_kind;

/* Starts a process of a kind with the body asked for. Copies `arg`. */
mote_pid start(mote_self *self, bool handler, const struct kind *kind, mote_term arg);

/* Ends a handler's process with reason normal. */
MOTE_NORETURN void done(mote_self *self);

/* Prints one result, `name value unit`; the name is written as printf does. */
__attribute__((format(printf, 3, 4))) void out(double value, const char *unit, const char *name, ...);

/* Nanoseconds of a clock that never steps back; and those of processor time this program has used. */
int64_t now_ns(void);
int64_t cpu_ns(void);

/* The program's resident memory, bytes. */
int64_t resident_bytes(void);

/* Zeroed memory, or the end of the program. Gives it; free() releases. */
void *take(size_t count, size_t size);

/* Says what went wrong and ends the program with code 1 (B3). */
MOTE_NORETURN void fail(const char *what, mote_err err);

static inline void sure(mote_err err) {
    if (__builtin_expect(err != MOTE_OK, 0)) fail("a call failed", err);
}

static inline void expect(bool held, const char *what) {
    if (__builtin_expect(!held, 0)) fail(what, MOTE_OK);
}

/* Takes `count` messages `d` out of the mailbox. */
void wait_done(mote_self *self, int64_t count);

/* Takes `count` messages `m`; and sends as many. */
void count_in(mote_self *self, int64_t count);
void send_out(mote_self *self, mote_pid to, int64_t count);

/* `count` round trips {Self, x} and x with an echo. */
void ping(mote_self *self, mote_pid echo, int64_t count);

/* messages.c */
void run_pingpong(mote_self *self, const struct bench *bench);
void run_payload(mote_self *self, const struct bench *bench);
void run_ring(mote_self *self, const struct bench *bench);
void run_fanin(mote_self *self, const struct bench *bench);
void run_mailbox(mote_self *self, const struct bench *bench);
void run_big(mote_self *self, const struct bench *bench);
void run_selrecv(mote_self *self, const struct bench *bench);
void run_bigbin(mote_self *self, const struct bench *bench);
void run_pairs(mote_self *self, const struct bench *bench);

/* failures.c */
void run_monitor(mote_self *self, const struct bench *bench);
void run_linkfan(mote_self *self, const struct bench *bench);
void run_exits(mote_self *self, const struct bench *bench);
void run_gencall(mote_self *self, const struct bench *bench);

/* processes.c */
void run_boot(mote_self *self, const struct bench *bench);
void run_spawn(mote_self *self, const struct bench *bench);
void run_spawn_flood(mote_self *self, const struct bench *bench);
void run_skynet(mote_self *self, const struct bench *bench);
void run_memory(mote_self *self, const struct bench *bench);
void run_memory_hib(mote_self *self, const struct bench *bench);
void run_nqueens(mote_self *self, const struct bench *bench);
void run_chameneos(mote_self *self, const struct bench *bench);

/* nodes.c */
void run_node_pingpong(mote_self *self, const struct bench *bench);
void run_node_flood(mote_self *self, const struct bench *bench);
void run_node_binary(mote_self *self, const struct bench *bench);
void run_node_spawn(mote_self *self, const struct bench *bench);
void run_node_connect(mote_self *self, const struct bench *bench);
void run_node_mixed(mote_self *self, const struct bench *bench);
void run_node_serve(mote_self *self, const struct bench *bench);

/* time.c */
void run_timers(mote_self *self, const struct bench *bench);
void run_timers_fire(mote_self *self, const struct bench *bench);
void run_timers_procs(mote_self *self, const struct bench *bench);
void run_late(mote_self *self, const struct bench *bench);
void run_fair(mote_self *self, const struct bench *bench);
void run_lathog(mote_self *self, const struct bench *bench);

#endif
