/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads between two nodes on this machine: this program, and another of the same that it starts (node_serve), which ends with it.
 */
#include "bench.h"

#include <mote/node.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OURS "bench_a@127.0.0.1"
#define THEIRS "bench_b@127.0.0.1"
#define COOKIE "of two programs that measure and end"

extern char **environ;

static void start_node(mote_self *self, const char *name) {
    const mote_node_options options = {.name = name, .cookie = COOKIE, .no_epmd = true, .rights = MOTE_RIGHT_SPAWN | MOTE_RIGHT_RPC, .processes_max = 2000000};
    char why[300];
    if (mote_node_start(self, &options, why, sizeof why)) fail(why, MOTE_OK);
}

/* ------------------------------------------------------------------------------------------------ the other */

/* Told {Parent, N}: takes N messages, whatever they are, and sends `d`. */
static void sink_body(mote_self *self, mote_term arg) {
    mote_pid parent;
    mote_term message;
    int64_t count;
    expect(mote_match(arg, "{?, ?}", &parent, &count), "sink: bad argument");
    while (count-- > 0) sure(mote_receive(self, -1, &message));
    sure(mote_send(self, parent, "d"));
}

/* Told Parent: sends it `d`. */
static void one_body(mote_self *self, mote_term parent) {
    sure(mote_send(self, parent, "d"));
}

static void nothing_body(mote_self *self, mote_term arg) {
    (void)self, (void)arg;
}

static mote_term nothing(mote_self *self, size_t count, const mote_term *args, void *context) {
    (void)self, (void)count, (void)args, (void)context;
    return MOTE_TERM_NIL;
}

static void wait_for_end(void *context) {
    char byte;
    (void)context;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
}

void run_node_serve(mote_self *self, const struct bench *bench) {
    static const struct {
        const char *name;
        mote_body body;
    } bodies[] = {{"sink", sink_body}, {"one", one_body}, {"nothing", nothing_body}};
    const mote_function f = {.call = nothing};
    uint16_t port;
    (void)bench;
    start_node(self, THEIRS);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) sure(mote_export(self, mote_atom_make("bench"), mote_atom_make(bodies[i].name), bodies[i].body));
    sure(mote_export(self, mote_atom_make("bench"), mote_atom_make("echo"), echo_kind.body));
    sure(mote_export_function(self, mote_atom_make("bench"), mote_atom_make("nothing"), 0, &f));
    (void)mote_node_name(self, NULL, &port);
    printf("%u\n", port);
    fflush(stdout);
    sure(mote_blocking(self, wait_for_end, NULL));
}

/* ------------------------------------------------------------------------------------------------------ ours */

/* The other node, and what is kept of pids of its: they are valid as long as the terms. */
struct other {
    pid_t pid;
    int input;
    mote_atom node;
    mote_arena *kept;
};

/* Starts the other and connects to it. */
static struct other begin(mote_self *self, const struct bench *bench) {
    struct other o = {.node = mote_atom_make(THEIRS), .kept = mote_arena_new(0)};
    int in[2], back[2];
    char schedulers[16], line[16] = "";
    char *const args[] = {"mote-bench", "node_serve", "--schedulers", schedulers, NULL};
    posix_spawn_file_actions_t files;
    snprintf(schedulers, sizeof schedulers, "%u", bench->schedulers);
    expect(o.kept && pipe(in) == 0 && pipe(back) == 0, "no pipes");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, back[1], STDOUT_FILENO);
    const int all[] = {in[0], in[1], back[0], back[1]};
    for (size_t i = 0; i < 4; i++) posix_spawn_file_actions_addclose(&files, all[i]);
    expect(posix_spawn(&o.pid, "/proc/self/exe", &files, NULL, bench->schedulers ? args : (char *[]){args[0], args[1], NULL}, environ) == 0, "the other node does not start");
    posix_spawn_file_actions_destroy(&files);
    close(in[0]);
    close(back[1]);
    o.input = in[1];
    for (size_t used = 0; used + 1 < sizeof line && !strchr(line, '\n'); used++) expect(read(back[0], line + used, 1) == 1, "the other node says nothing");
    close(back[0]);
    start_node(self, OURS);
    sure(mote_node_at(self, o.node, "127.0.0.1", (uint16_t)strtol(line, NULL, 10)));
    sure(mote_node_connect(self, o.node, -1));
    return o;
}

static void end(struct other *o) {
    mote_arena_free(o->kept);
    close(o->input);
    waitpid(o->pid, NULL, 0);
}

/* A process of the other's. Valid until the end. */
static mote_pid start_there(mote_self *self, struct other *o, const char *function, mote_term arg) {
    mote_pid pid;
    mote_term args = mote_cons_make(mote_scratch(self), arg, MOTE_TERM_NIL);
    sure(mote_spawn_at(self, o->node, mote_atom_make("bench"), mote_atom_make(function), args, 0, -1, &pid, NULL));
    expect(mote_match(mote_term_copy(o->kept, mote_pid_term(pid)), "?", &pid), "spawn gives no pid");
    return pid;
}

static mote_pid start_sink(mote_self *self, struct other *o, int64_t count) {
    mote_term arg;
    sure(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), count));
    return start_there(self, o, "sink", arg);
}

void run_node_pingpong(mote_self *self, const struct bench *bench) {
    struct other o = begin(self, bench);
    mote_pid echo = start_there(self, &o, "echo", MOTE_TERM_NIL);
    ping(self, echo, 500);
    int64_t t0 = now_ns();
    ping(self, echo, bench->number[0]);
    out((double)(now_ns() - t0) / (double)bench->number[0], "ns", "node.pingpong");
    end(&o);
}

/* Told {Sink, N}: sends N small messages. */
static void sender_body(mote_self *self, mote_term arg) {
    mote_pid sink;
    int64_t count;
    expect(mote_match(arg, "{?, ?}", &sink, &count), "sender: bad argument");
    for (; count > 0; count--) sure(mote_send(self, sink, "{msg, ?}", count));
}

void run_node_flood(mote_self *self, const struct bench *bench) {
    struct other o = begin(self, bench);
    int64_t senders = bench->number[0], each = bench->number[1] / senders;
    mote_term arg;
    mote_pid pid, sink = start_sink(self, &o, each * senders);
    sure(mote_build(o.kept, &arg, "{?, ?}", sink, each));
    int64_t t0 = now_ns();
    for (int64_t k = 0; k < senders; k++) sure(mote_spawn(self, sender_body, arg, &pid));
    wait_done(self, 1);
    out((double)(now_ns() - t0) / (double)(each * senders), "ns", "node.flood.%s", bench->text[0]);
    end(&o);
}

static mote_term binary_of(mote_arena *arena, size_t size) {
    char *data = take(size, 1);
    memset(data, 1, size);
    mote_term binary = mote_binary_make(arena, data, size);
    free(data);
    return binary;
}

static void send_binaries(mote_self *self, struct other *o, mote_term binary, int64_t count) {
    mote_pid sink = start_sink(self, o, count);
    for (; count > 0; count--) sure((mote_send_term)(self, mote_pid_term(sink), binary));
    wait_done(self, 1);
}

void run_node_binary(mote_self *self, const struct bench *bench) {
    struct other o = begin(self, bench);
    size_t size = (size_t)bench->number[0];
    mote_term binary = binary_of(o.kept, size);
    send_binaries(self, &o, binary, 2);
    int64_t t0 = now_ns();
    send_binaries(self, &o, binary, bench->number[1]);
    double took = (double)(now_ns() - t0) / (double)bench->number[1];
    out(took, "ns", "node.binary.%s", bench->text[0]);
    out((double)size / took, "GB/s", "node.binary.%s.rate", bench->text[0]);
    end(&o);
}

static void spawn_and_hear(mote_self *self, const struct other *o, int64_t count) {
    for (; count > 0; count--) {
        mote_term args = mote_cons_make(mote_scratch(self), mote_pid_term(mote_self_pid(self)), MOTE_TERM_NIL);
        sure(mote_spawn_at(self, o->node, mote_atom_make("bench"), mote_atom_make("one"), args, 0, -1, NULL, NULL));
        wait_done(self, 1);
    }
}

void run_node_spawn(mote_self *self, const struct bench *bench) {
    struct other o = begin(self, bench);
    int64_t count = bench->number[0];
    mote_term result;
    mote_ref ref;
    spawn_and_hear(self, &o, 100);
    int64_t t0 = now_ns();
    spawn_and_hear(self, &o, count);
    int64_t t1 = now_ns();
    for (int64_t k = 0; k < count; k++) {
        mote_term args = mote_cons_make(mote_scratch(self), MOTE_TERM_NIL, MOTE_TERM_NIL);
        sure(mote_spawn_at(self, o.node, mote_atom_make("bench"), mote_atom_make("nothing"), args, MOTE_SPAWN_MONITOR, -1, NULL, &ref));
        sure(mote_receive_match(self, -1, "{'DOWN', ^, process, _, _}", ref));
    }
    int64_t t2 = now_ns();
    for (int64_t k = 0; k < count; k++) sure(mote_rpc_call(self, o.node, mote_atom_make("bench"), mote_atom_make("nothing"), MOTE_TERM_NIL, -1, &result));
    int64_t t3 = now_ns();
    out((double)(t1 - t0) / (double)count, "ns", "node.spawn_reply");
    out((double)(t2 - t1) / (double)count, "ns", "node.spawn_monitor_down");
    out((double)(t3 - t2) / (double)count, "ns", "node.call");
    end(&o);
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void run_node_connect(mote_self *self, const struct bench *bench) {
    struct other o = begin(self, bench);
    int64_t count = bench->number[0], *took = take((size_t)count, sizeof *took);
    for (int64_t k = 0; k < count; k++) {
        sure(mote_node_monitor(self, o.node, true));
        sure(mote_node_disconnect(self, o.node));
        sure(mote_receive_match(self, -1, "{nodedown, _}"));
        sure(mote_sleep(self, 20)); /* the other has seen it, too: as bench.erl */
        int64_t t0 = now_ns();
        sure(mote_node_connect(self, o.node, -1));
        took[k] = now_ns() - t0;
    }
    qsort(took, (size_t)count, sizeof *took, compare);
    out((double)took[count / 2], "ns", "node.connect");
    free(took);
    end(&o);
}

/* Told {Sink, Binary}: sends it for ever. */
static void stream_body(mote_self *self, mote_term arg) {
    mote_pid sink;
    mote_term binary;
    expect(mote_match(arg, "{?, ?}", &sink, &binary), "stream: bad argument");
    for (;;) sure((mote_send_term)(self, mote_pid_term(sink), binary));
}

void run_node_mixed(mote_self *self, const struct bench *bench) {
    struct other o = begin(self, bench);
    int64_t count = bench->number[0], *took = take((size_t)count, sizeof *took);
    mote_pid stream, echo = start_there(self, &o, "echo", MOTE_TERM_NIL), sink = start_sink(self, &o, 1 << 30);
    mote_term arg;
    mote_ref ref;
    sure(mote_build(o.kept, &arg, "{?, ?}", sink, binary_of(o.kept, (size_t)64 << 20)));
    sure(mote_spawn(self, stream_body, arg, &stream));
    sure(mote_sleep(self, 300)); /* the stream is under way: as bench.erl */
    for (int64_t k = 0; k < count; k++) {
        int64_t t0 = now_ns();
        ping(self, echo, 1);
        took[k] = now_ns() - t0;
        sure(mote_sleep(self, 2));
    }
    sure(mote_monitor(self, stream, &ref));
    sure(mote_exit_send(self, mote_pid_term(stream), mote_atom_term(mote_atom_make("kill"))));
    sure(mote_receive_match(self, -1, "{'DOWN', ^, _, _, _}", ref));
    qsort(took, (size_t)count, sizeof *took, compare);
    out((double)took[count / 2], "ns", "node.mixed.p50");
    out((double)took[count * 99 / 100], "ns", "node.mixed.p99");
    free(took);
    end(&o);
}
