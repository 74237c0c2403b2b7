/* SPDX-License-Identifier: Apache-2.0
 * A node of two workers: this program, and itself once more as another. They talk by what worker.h gives them. */
#include <mote/external.h>
#include <mote/host.h>
#include <mote/worker.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/os_fd.h"
#include "live.h"
#include "worker/postman.h"

#define OTHER 1u
#define TOOL (getenv("MOTE_TEST_UNDER") != NULL) /* valgrind and qemu do not know descriptors of processes */

struct side {
    mote_runtime *runtime;
    mote_self *self;
    mote_worker *worker;
};

static void join(struct side *s, unsigned number, int board) {
    mote_options options = {.schedulers = 1, .worker = number, .chaos_seed = chaos_seed()};
    CHECK_OK(mote_runtime_start(&options, &s->runtime));
    CHECK_OK(mote_attach(s->runtime, &s->self));
    CHECK_OK(mote_worker_new(s->self, number, board, &s->worker));
}

static void leave(struct side *s) {
    CHECK_OK(mote_detach(s->self));
    (void)mote_runtime_stop(s->runtime, 0);
    mote_worker_free(s->worker);
}

static void receive_fds(int socket, int *fds, size_t want) {
    char byte;
    size_t size, count;
    mote_err err;
    while ((err = mt_os_fds_receive(socket, &byte, 1, &size, fds, want, &count)) == MOTE_TIMEOUT) mt_os_thread_yield();
    CHECK_OK(err);
    CHECK_INT(count, want);
}

static void send_fds(int socket, const int *fds, size_t count) { CHECK_OK(mt_os_fds_send(socket, "x", 1, fds, count)); }

/* ------------------------------------------------------------------------------------------------ the other one */

static void echo(mote_self *self, mote_term arg) {
    mote_term m, what;
    mote_pid from;
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{exit, ?}", &what)) mote_exit(self, what);
        CHECK(mote_match(m, "{?, ?}", &from, &what));
        CHECK_OK(mote_send_term(self, from, what));
    }
}

/* Counts messages, and tells how many when `done` comes. */
static void counter(mote_self *self, mote_term arg) {
    mote_term m;
    mote_pid from;
    int64_t n = 0, got;
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{done, ?}", &from)) {
            CHECK_OK(mote_send(self, from, "{counted, ?}", n));
            n = 0;
            continue;
        }
        CHECK(mote_match(m, "{n, ?}", &got));
        CHECK_INT(got, n);
        n++;
    }
}

static int other(void) {
    struct side s;
    int fds[4], own[2]; /* board, channel, the hub's event and blobs */
    mote_pid pid;
    receive_fds(3, fds, 4);
    join(&s, OTHER, fds[0]);
    CHECK_OK(mote_worker_open(s.worker, 0, fds[1], fds[2], fds[3]));
    CHECK_OK(mote_spawn(s.self, echo, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_register(s.self, mote_atom_make("far_echo"), pid));
    CHECK_OK(mote_spawn(s.self, counter, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_register(s.self, mote_atom_make("far_counter"), pid));
    CHECK_OK(mote_spawn(s.self, echo, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_register(s.self, mote_atom_make("far_named"), pid));
    own[0] = mote_worker_event(s.worker);
    own[1] = mote_worker_blobs(s.worker);
    send_fds(3, own, 2);
    CHECK_OK(mote_receive_match(s.self, -1, "stop")); /* nobody sends it: it is killed */
    return 0;
}

/* -------------------------------------------------------------------------------------------------- the hub */

struct pair {
    struct side hub;
    pid_t pid;
    int process;
    mote_pid echo, counter;
};

static void begin(struct pair *p) {
    int ends[2], channel, theirs[2];
    char *argv[] = {(char[]){"worker_test"}, (char[]){"--other"}, NULL};
    join(&p->hub, 0, -1);
    CHECK_OK(mote_worker_channel(&channel));
    CHECK_OK(mt_os_socket_pair(ends));
    struct mt_os_program program = {.path = "/proc/self/exe", .argv = argv, .fds = &ends[1], .fd_count = 1};
    CHECK_OK(mt_os_program_start(&program, &p->pid, &p->process));
    mt_os_close(ends[1]);
    send_fds(ends[0], (int[]){mote_worker_board(p->hub.worker), channel, mote_worker_event(p->hub.worker), mote_worker_blobs(p->hub.worker)}, 4);
    receive_fds(ends[0], theirs, 2);
    CHECK_OK(mote_worker_open(p->hub.worker, OTHER, channel, theirs[0], theirs[1]));
    mt_os_close(ends[0]);
    CHECK_OK(mote_whereis(p->hub.self, mote_atom_make("far_echo"), &p->echo));
    CHECK_OK(mote_whereis(p->hub.self, mote_atom_make("far_counter"), &p->counter));
}

static void end(struct pair *p) {
    struct mt_os_end how;
    mt_os_process_kill(p->process, SIGKILL);
    CHECK_OK(mt_os_process_wait(p->process, true, &how));
    mt_os_close(p->process);
    leave(&p->hub);
}

static void talks(void) {
    struct pair p;
    mote_term m;
    int n = scaled(20000), got;
    if (TOOL) return;
    begin(&p);
    CHECK_INT(mote_worker_number(p.echo), OTHER);
    uint64_t since = now_ns();
    for (int i = 0; i < n; i++) {
        CHECK_OK(mote_send(p.hub.self, p.echo, "{?, {n, ?}}", mote_self_pid(p.hub.self), i));
        CHECK_OK(mote_receive(p.hub.self, PATIENCE_MS, &m));
        CHECK(mote_match(m, "{n, ?}", &got) && got == i);
    }
    fprintf(stderr, "# round trip from a thread: %ld ns\n", (long)((now_ns() - since) / (uint64_t)n));
    CHECK_OK(mote_send(p.hub.self, mote_atom_make("far_echo"), "{?, by_name}", mote_self_pid(p.hub.self)));
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "by_name"));
    end(&p);
}

/* From a process, so that senders stand still when too much waits. */
struct stream {
    mote_pid to, then;
    int n;
};
static struct stream stream;
static void streams(mote_self *self, mote_term arg) {
    (void)arg;
    for (int i = 0; i < stream.n; i++) CHECK_OK(mote_send(self, stream.to, "{n, ?}", i));
    CHECK_OK(mote_send(self, stream.to, "{done, ?}", stream.then));
}

static void one_way(void) {
    struct pair p;
    mote_pid pid;
    int64_t counted;
    if (TOOL) return;
    begin(&p);
    stream = (struct stream){p.counter, mote_self_pid(p.hub.self), scaled(2000000)};
    uint64_t since = now_ns();
    CHECK_OK(mote_spawn(p.hub.self, streams, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "{counted, ?}", &counted));
    CHECK_INT(counted, stream.n);
    fprintf(stderr, "# one way: %ld ns\n", (long)((now_ns() - since) / (uint64_t)stream.n));
    end(&p);
}

static void large(void) {
    struct pair p;
    mote_term m;
    mote_bytes back;
    if (TOOL) return;
    begin(&p);
    for (size_t size = 1000; size < 40000000; size *= 7) {
        unsigned char *bytes = malloc(size);
        for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 13 + size);
        CHECK_OK(mote_send(p.hub.self, p.echo, "{?, {big, ?}}", mote_self_pid(p.hub.self), ((mote_bytes){bytes, size})));
        CHECK_OK(mote_receive(p.hub.self, PATIENCE_MS, &m));
        CHECK(mote_match(m, "{big, ?}", &back) && back.size == size && memcmp(back.data, bytes, size) == 0);
        free(bytes);
    }
    end(&p);
}

static void dies(void) {
    struct pair p;
    mote_term m;
    mote_ref ref;
    mote_pid pid;
    struct mt_os_end how;
    if (TOOL) return;
    begin(&p);
    CHECK_OK(mote_monitor(p.hub.self, p.echo, &ref));
    CHECK_OK(mote_send(p.hub.self, p.echo, "{?, here}", mote_self_pid(p.hub.self)));
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "here"));
    mt_os_process_kill(p.process, SIGKILL);
    CHECK_OK(mt_os_process_wait(p.process, true, &how));
    CHECK_INT(how.signal, SIGKILL);
    CHECK_OK(mote_worker_lost(p.hub.worker, p.hub.self, OTHER, mote_atom_term(mote_atom_make("killed_from_outside"))));
    CHECK_OK(mote_receive(p.hub.self, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, killed_from_outside}", ref, p.echo));
    CHECK_INT(mote_whereis(p.hub.self, mote_atom_make("far_echo"), &pid), MOTE_ENAME);
    mt_os_close(p.process);
    leave(&p.hub);
}

/* Who has monitored a name is told of the name: of one that this program knows for ever, and of one that it has read, with a tag that it has read. */
static void dies_by_name(void) {
    struct pair p;
    mote_ref ref, far_ref, gone;
    mote_term m;
    bool active;
    if (TOOL) return;
    begin(&p);
    mote_arena *arena = mote_arena_new(0);
    mote_term name = mote_atom_make_counted(arena, "far_named", 9);
    mote_monitor_options options = {.tag = mote_atom_make_counted(arena, "a_tag_read", 10), .alias = MOTE_ALIAS_EXPLICIT_UNALIAS};
    CHECK_OK(mote_monitor(p.hub.self, mote_atom_make("far_echo"), &ref));
    CHECK_OK(mote_monitor_opt(p.hub.self, name, &options, &far_ref));
    CHECK_OK(mote_monitor_opt(p.hub.self, name, &options, &gone));
    CHECK_OK(mote_demonitor(p.hub.self, gone, true, &active));
    CHECK_OK(mote_unalias(p.hub.self, gone));
    mt_os_process_kill(p.process, SIGKILL);
    CHECK_OK(mote_worker_lost(p.hub.worker, p.hub.self, OTHER, mote_atom_term(mote_atom_make("over"))));
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "{'DOWN', ^, process, {far_echo, nonode@nohost}, over}", ref));
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "{_, ^, process, {_, nonode@nohost}, over}", far_ref));
    m = mote_message(p.hub.self);
    CHECK(mote_match(m, "{^, _, process, {^, _}, over}", options.tag, name));
    CHECK_INT(mote_receive(p.hub.self, 0, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_unalias(p.hub.self, far_ref));
    size_t atoms = mote_atom_count();
    mote_arena_free(arena);
    CHECK_INT(atoms - mote_atom_count(), 2); /* nobody else holds them, or has given up what it did not hold */
    end(&p);
}

/* A host's own way: what it has encoded itself. */
static void encoded(void) {
    struct pair p;
    unsigned char memory[100];
    mote_writer w;
    if (TOOL) return;
    begin(&p);
    CHECK(mote_host_is_far(p.hub.self, mote_pid_term(p.echo)));
    CHECK(mote_host_is_far(p.hub.self, mote_atom_term(mote_atom_make("far_echo"))));
    CHECK(!mote_host_is_far(p.hub.self, mote_pid_term(mote_self_pid(p.hub.self))));
    CHECK(!mote_host_is_far(p.hub.self, mote_atom_term(mote_atom_make("nobody"))) && !mote_host_is_far(NULL, mote_pid_term(p.echo)));
    mote_writer_init(&w, MOTE_FORM_MOTE, memory, sizeof memory, sizeof memory);
    CHECK(mote_tuple_write(&w, 2) && mote_pid_write(&w, mote_self_pid(p.hub.self)) && mote_int_write(&w, 77));
    mote_bytes bytes = mote_writer_bytes(&w);
    mote_parcel parcel;
    CHECK_OK(mote_parcel_begin(p.hub.self, mote_pid_term(p.echo), &parcel));
    mote_host_send_encoded(&parcel, bytes.data, bytes.size);
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "77"));
    CHECK_INT(mote_parcel_begin(p.hub.self, mote_pid_term(mote_self_pid(p.hub.self)), &parcel), MOTE_ENOPROC);
    CHECK_INT(mote_parcel_begin(p.hub.self, mote_atom_term(mote_atom_make("nobody")), &parcel), MOTE_ENAME);
    CHECK_INT(mote_parcel_begin(NULL, mote_pid_term(p.echo), &parcel), MOTE_ESELF);
    mote_writer_fini(&w);
    end(&p);
}

/* A name is one process's in the whole node. */
static void names(void) {
    struct pair p;
    mote_pid me, pid;
    mote_atom all[10];
    size_t count;
    if (TOOL) return;
    begin(&p);
    me = mote_self_pid(p.hub.self);
    CHECK_INT(mote_register(p.hub.self, mote_atom_make("far_echo"), me), MOTE_EBUSY);
    CHECK_INT(mote_whereis(p.hub.self, mote_atom_make("hub"), &pid), MOTE_ENAME);
    CHECK_OK(mote_register(p.hub.self, mote_atom_make("hub"), me));
    CHECK_OK(mote_registered(p.hub.self, all, 10, &count));
    CHECK_INT(count, 4);
    CHECK_INT(mote_register(p.hub.self, mote_atom_make("other_name"), p.echo), MOTE_ENOPROC); /* only its own worker can */
    mote_ref ref;
    CHECK_OK(mote_monitor(p.hub.self, p.echo, &ref));
    CHECK_OK(mote_send(p.hub.self, p.echo, "{exit, over}"));
    CHECK_OK(mote_receive_match(p.hub.self, PATIENCE_MS, "{'DOWN', ^, process, _, over}", ref));
    CHECK_INT(mote_whereis(p.hub.self, mote_atom_make("far_echo"), &pid), MOTE_ENAME); /* L5 */
    CHECK_OK(mote_unregister(p.hub.self, mote_atom_make("far_counter")));
    CHECK_INT(mote_whereis(p.hub.self, mote_atom_make("far_counter"), &pid), MOTE_ENAME);
    end(&p);
}

static mote_err ignore(void *context, const void *record, size_t size) {
    (void)record;
    *(size_t *)context += size;
    return MOTE_OK;
}

/* What waits for room goes out after the runtime has stopped, as the other side takes it. */
static void flush(void) {
    struct side s;
    struct mt_channel *far_end;
    int fd, again, event, own_event;
    size_t got = 0;
    static char data[3 * MT_CHANNEL_RING];
    join(&s, 0, -1);
    CHECK(mote_worker_flush(s.worker));
    CHECK_OK(mote_worker_channel(&fd));
    CHECK((again = dup(fd)) >= 0);
    CHECK_OK(mt_os_event_new(&event));
    CHECK_OK(mt_os_event_new(&own_event));
    CHECK_OK(mote_worker_open(s.worker, 1, fd, event, -1));
    CHECK_OK(mote_send(s.self, (mote_pid){mt_pid_word(1, 1, 1)}, "?", ((mote_bytes){data, sizeof data})));
    CHECK_OK(mote_detach(s.self));
    (void)mote_runtime_stop(s.runtime, 0);
    CHECK(!mote_worker_flush(s.worker));
    CHECK_OK(mt_channel_new(again, false, mt_board_doorbell(s.worker->board, 0), 0, own_event, &far_end));
    const struct mt_channel_sink sink = {ignore, &got};
    while (!mote_worker_flush(s.worker)) CHECK(mt_channel_take(far_end, &sink) >= 0);
    while (mt_channel_take(far_end, &sink) > 0) continue;
    CHECK(got > sizeof data);
    mt_channel_free(far_end);
    mt_os_close(again);
    mt_os_close(own_event);
    mote_worker_free(s.worker);
}

static void errors(void) {
    struct side s;
    mote_worker *w = NULL;
    int fd, event;
    join(&s, 0, -1);
    CHECK_INT(mote_worker_new(NULL, 0, -1, &w), MOTE_ESELF);
    CHECK_INT(mote_worker_new(s.self, 1, -1, &w), MOTE_EARG);
    CHECK_INT(mote_worker_new(s.self, 0, -1, NULL), MOTE_EARG);
    CHECK_INT(mote_worker_channel(NULL), MOTE_EARG);
    CHECK_OK(mote_worker_channel(&fd));
    CHECK_OK(mt_os_event_new(&event));
    CHECK_INT(mote_worker_open(NULL, 1, fd, event, -1), MOTE_EARG);
    CHECK_INT(mote_worker_open(s.worker, 64, fd, event, -1), MOTE_EARG); /* its own number */
    CHECK_INT(mote_worker_open(s.worker, 1, event, event, -1), MOTE_EARG);
    CHECK_OK(mote_worker_open(s.worker, 1, fd, event, -1));
    CHECK_OK(mote_worker_channel(&fd));
    CHECK_INT(mote_worker_open(s.worker, 65, fd, event, -1), MOTE_EBUSY);
    mt_os_close(fd);
    CHECK_INT(mote_worker_cut(s.worker), 0);
    CHECK_INT(mote_worker_number(mote_self_pid(s.self)), 0);
    while (!mote_worker_idle(s.worker, 0)) CHECK_OK(mote_yield(s.self)); /* its postman has nothing to do, soon */
    CHECK(!mote_worker_idle(s.worker, 5) && !mote_worker_idle(s.worker, 1000));
    CHECK_INT(mote_worker_lost(NULL, s.self, 1, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_worker_lost(s.worker, NULL, 1, MOTE_TERM_NIL), MOTE_ESELF);
    CHECK_INT(mote_worker_lost(s.worker, s.self, 2, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_worker_lost(s.worker, s.self, 65, MOTE_TERM_NIL), MOTE_EARG);
    CHECK_INT(mote_worker_lost(s.worker, s.self, 1, MOTE_TERM_NONE), MOTE_ETERM);
    mote_worker_free(NULL);
    mote_options o = {.worker = 256};
    mote_runtime *rt;
    CHECK_INT(mote_runtime_start(&o, &rt), MOTE_ELIMIT);
    leave(&s);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--other") == 0) return other();
    return check_main(argc, argv, (struct check_test[]){TEST(talks), TEST(one_way), TEST(large), TEST(dies), TEST(dies_by_name), TEST(encoded), TEST(names), TEST(flush), TEST(errors), {0}});
}
