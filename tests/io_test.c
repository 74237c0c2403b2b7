/* SPDX-License-Identifier: Apache-2.0
 * Descriptors and blocking calls: waits and messages for pipes and sockets, what is refused, hang-ups, ends of processes meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "live.h"

static mote_pid main_pid;

static void make_pipe(int ends[2]) {
    CHECK_INT(pipe(ends), 0);
    for (int i = 0; i < 2; i++) CHECK(fcntl(ends[i], F_SETFL, O_NONBLOCK) == 0);
}
static void make_sockets(int ends[2]) {
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (int i = 0; i < 2; i++) CHECK(fcntl(ends[i], F_SETFL, O_NONBLOCK) == 0);
}
static void close_both(const int ends[2]) { close(ends[0]), close(ends[1]); }
static void put(int fd, const char *text) { CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text)); }

/* -------------------------------------------------------------------------------------------------- fd_wait */

static void writes_later(mote_self *self, mote_term arg) {
    int64_t fd;
    CHECK_OK(mote_int_get(arg, &fd));
    CHECK_OK(mote_sleep(self, 5));
    put((int)fd, "x");
}

static int waits_for_pipe(mote_self *self, void *context) {
    int ends[2], ready = 77;
    char byte;
    (void)context;
    make_pipe(ends);
    uint64_t start = now_ns();
    CHECK_INT(mote_fd_wait(self, ends[0], MOTE_READ, 10, &ready), MOTE_TIMEOUT);
    CHECK(now_ns() - start >= 10000000 && ready == 77);
    CHECK_INT(mote_fd_wait(self, ends[0], MOTE_READ, 0, &ready), MOTE_TIMEOUT);
    CHECK_OK(mote_fd_wait(self, ends[1], MOTE_WRITE, PATIENCE_MS, &ready));
    CHECK_INT(ready, MOTE_WRITE);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(mote_spawn(self, writes_later, mote_int_make(NULL, ends[1]), NULL));
        CHECK_OK(mote_fd_wait(self, ends[0], MOTE_READ, i % 2 ? -1 : PATIENCE_MS, i % 3 ? &ready : NULL));
        CHECK(ready == (i % 3 ? MOTE_READ : ready));
        CHECK_INT(read(ends[0], &byte, 1), 1);
        CHECK(read(ends[0], &byte, 1) == -1 && errno == EAGAIN);
    }
    CHECK_INT(mote_fd_wait(self, ends[0], MOTE_READ, 1, &ready), MOTE_TIMEOUT);
    close_both(ends);
    return 0;
}
ONE_AND_TWO(pipes, waits_for_pipe)

/* A hang-up and an error count as all events that were asked for. */
static int hangs_up(mote_self *self, void *context) {
    int ends[2], ready = 0;
    char byte;
    (void)context;
    make_pipe(ends);
    close(ends[1]);
    CHECK_OK(mote_fd_wait(self, ends[0], MOTE_READ, PATIENCE_MS, &ready));
    CHECK(ready & MOTE_READ);
    CHECK_INT(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    make_pipe(ends);
    close(ends[0]);
    CHECK_OK(mote_fd_wait(self, ends[1], MOTE_WRITE, PATIENCE_MS, &ready));
    CHECK(ready & MOTE_WRITE);
    close(ends[1]);
    make_sockets(ends);
    close(ends[1]);
    CHECK_OK(mote_fd_wait(self, ends[0], MOTE_READ | MOTE_WRITE, PATIENCE_MS, &ready));
    CHECK_INT(ready, MOTE_READ | MOTE_WRITE);
    close(ends[0]);
    return 0;
}
ONE_AND_TWO(hang_up, hangs_up)

/* Sends everything through a socket both ways, in small buffers. */
enum { STREAM = 300000 };
static void send_stream(mote_self *self, mote_term arg) {
    static char bytes[4096];
    int64_t fd;
    CHECK_OK(mote_int_get(arg, &fd));
    for (int sent = 0; sent < STREAM;) {
        int want = STREAM - sent < 4096 ? STREAM - sent : 4096;
        ssize_t n = write((int)fd, bytes, (size_t)want);
        if (n > 0) sent += (int)n;
        CHECK(n > 0 || errno == EAGAIN);
        if (n < 0) CHECK_OK(mote_fd_wait(self, (int)fd, MOTE_WRITE, PATIENCE_MS, NULL));
    }
    shutdown((int)fd, SHUT_WR);
    CHECK_OK(mote_send(self, main_pid, "sent"));
}
static void receive_stream(mote_self *self, mote_term arg) {
    char bytes[4096];
    int64_t fd;
    int got = 0;
    CHECK_OK(mote_int_get(arg, &fd));
    for (ssize_t n; (n = read((int)fd, bytes, sizeof bytes)) != 0;) {
        if (n > 0) got += (int)n;
        CHECK(n > 0 || errno == EAGAIN);
        if (n < 0) CHECK_OK(mote_fd_wait(self, (int)fd, MOTE_READ, PATIENCE_MS, NULL));
    }
    CHECK_INT(got, STREAM);
    CHECK_OK(mote_send(self, main_pid, "received"));
}
static int streams(mote_self *self, void *context) {
    enum { PAIRS = 50 };
    int ends[PAIRS][2], pairs = under_tool() ? 5 : PAIRS;
    (void)context;
    main_pid = mote_self_pid(self);
    for (int i = 0; i < pairs; i++) {
        make_sockets(ends[i]);
        CHECK_OK(mote_spawn(self, send_stream, mote_int_make(NULL, ends[i][0]), NULL));
        CHECK_OK(mote_spawn(self, receive_stream, mote_int_make(NULL, ends[i][1]), NULL));
    }
    for (int i = 0; i < pairs; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "sent"));
    for (int i = 0; i < pairs; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "received"));
    for (int i = 0; i < pairs; i++) close_both(ends[i]);
    return 0;
}
ONE_AND_TWO(sockets, streams)

static void *thread_waits(void *context) {
    int *fds = context, ready;
    mote_self *self;
    mote_term m;
    CHECK_OK(mote_attach(*(mote_runtime **)(void *)(fds + 2), &self));
    CHECK_INT(mote_fd_wait(self, fds[0], MOTE_READ, 3, &ready), MOTE_TIMEOUT);
    CHECK_OK(mote_send(self, main_pid, "waiting"));
    CHECK_OK(mote_fd_wait(self, fds[0], MOTE_READ, PATIENCE_MS, &ready));
    CHECK_INT(ready, MOTE_READ);
    CHECK_INT(mote_receive(self, 3, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_detach(self));
    return NULL;
}
static int from_thread(mote_self *self, void *context) {
    struct {
        int fds[2];
        mote_runtime *rt;
    } shared = {.rt = mote_runtime_of(self)};
    pthread_t thread;
    (void)context;
    main_pid = mote_self_pid(self);
    make_pipe(shared.fds);
    CHECK_INT(pthread_create(&thread, NULL, thread_waits, &shared), 0);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "waiting"));
    put(shared.fds[1], "x");
    pthread_join(thread, NULL);
    close_both(shared.fds);
    return 0;
}
static void threads_wait(void) { RUN(1, from_thread); }

/* A process is ended while it waits; then another may wait for the same. */
static void waits_for_ever(mote_self *self, mote_term arg) {
    int64_t fd;
    CHECK_OK(mote_int_get(arg, &fd));
    CHECK_OK(mote_send(self, main_pid, "waits"));
    CHECK_OK(mote_fd_wait(self, (int)fd, MOTE_READ, -1, NULL));
    CHECK(false); /* not reached */
}
static int ended_waiting(mote_self *self, void *context) {
    int ends[2];
    mote_pid pid;
    (void)context;
    main_pid = mote_self_pid(self);
    make_sockets(ends);
    for (int i = 0; i < scaled(200); i++) {
        CHECK_OK(mote_spawn(self, waits_for_ever, mote_int_make(NULL, ends[0]), &pid));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "waits"));
        wait_idle(self, pid);
        CHECK_INT(mote_fd_wait(self, ends[0], MOTE_READ, 0, NULL), MOTE_EBUSY);
        CHECK_OK(mote_exit_send(self, pid, atom("kill")));
        wait_gone(self, pid);
        CHECK_INT(mote_fd_wait(self, ends[0], MOTE_READ, 0, NULL), MOTE_TIMEOUT);
    }
    close_both(ends);
    return 0;
}
ONE_AND_TWO(ended, ended_waiting)

/* -------------------------------------------------------------------------------------------------- fd_arm */

static int arms(mote_self *self, void *context) {
    int ends[2], events;
    mote_ref ref, second;
    mote_term m;
    (void)context;
    make_sockets(ends);
    for (int i = 0; i < scaled(300); i++) {
        CHECK_OK(mote_fd_arm(self, ends[0], MOTE_READ, &ref));
        if (i % 4 == 0) CHECK_INT(mote_receive(self, i % 3, &m), MOTE_TIMEOUT);
        CHECK_INT(mote_fd_arm(self, ends[0], MOTE_READ, &second), MOTE_EBUSY);
        put(ends[1], "xy");
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_fd, ^, ?}", ref, &events));
        CHECK_INT(events, MOTE_READ);
        CHECK_INT(mote_receive(self, i % 2, &m), MOTE_TIMEOUT); /* once, though there is more to read */
        CHECK_INT(mote_fd_disarm(self, ref), MOTE_NOMATCH);
        char bytes[4];
        CHECK_INT(read(ends[0], bytes, 4), 2);
        CHECK_OK(mote_fd_arm(self, ends[0], MOTE_READ, &ref));
        CHECK_OK(mote_fd_disarm(self, ref));
        put(ends[1], "z");
        CHECK_INT(mote_receive(self, i % 2, &m), MOTE_TIMEOUT);
        CHECK_INT(read(ends[0], bytes, 4), 1);
    }
    CHECK_OK(mote_fd_arm(self, ends[0], MOTE_READ | MOTE_WRITE, &ref));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_fd, ^, ?}", ref, &events));
    CHECK_INT(events, MOTE_WRITE);
    close(ends[1]);
    CHECK_OK(mote_fd_arm(self, ends[0], MOTE_READ | MOTE_WRITE, &ref));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_fd, ^, ?}", ref, &events));
    CHECK_INT(events, MOTE_READ | MOTE_WRITE);
    close(ends[0]);
    return 0;
}
ONE_AND_TWO(arm, arms)

/* Disarmed at the very moment when it becomes ready: the message comes, or does not, as was said. */
static int disarm_races(mote_self *self, void *context) {
    int ends[2], events;
    mote_ref ref;
    mote_term m;
    char bytes[4];
    (void)context;
    for (int i = 0; i < scaled(2000); i++) {
        make_sockets(ends);
        CHECK_OK(mote_fd_arm(self, ends[0], MOTE_READ, &ref));
        if (i % 3 == 0) CHECK_OK(mote_yield(self));
        put(ends[1], "x");
        for (int k = i % 50; k > 0; k--) sched_yield();
        if (mote_fd_disarm(self, ref) == MOTE_NOMATCH)
            CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_fd, ^, ?}", ref, &events));
        CHECK_INT(read(ends[0], bytes, 4), 1);
        close_both(ends);
        CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    }
    CHECK_INT(mote_receive(self, 5, &m), MOTE_TIMEOUT);
    return 0;
}
ONE_AND_TWO(disarm_race, disarm_races)

/* A handler that echoes a socket until the other side hangs up. */
struct echo {
    int64_t fd;
    mote_ref ref;
    int count;
};
static void echo_init(mote_self *self, mote_term arg, void *state) {
    struct echo *e = state;
    CHECK_OK(mote_int_get(arg, &e->fd));
    CHECK_OK(mote_fd_arm(self, (int)e->fd, MOTE_READ, &e->ref));
}
static void echo_handle(mote_self *self, mote_term message, void *state) {
    struct echo *e = state;
    char bytes[100];
    int events;
    CHECK(mote_match(message, "{mote_fd, ^, ?}", e->ref, &events));
    ssize_t n = read((int)e->fd, bytes, sizeof bytes);
    if (n == 0) mote_exit(self, atom("normal"));
    CHECK(n > 0 && write((int)e->fd, bytes, (size_t)n) == n);
    e->count += (int)n;
    CHECK_OK(mote_fd_arm(self, (int)e->fd, MOTE_READ, &e->ref));
}
static void echo_stop(mote_self *self, mote_term reason, void *state) {
    struct echo *e = state;
    mote_ref ref;
    CHECK_INT(mote_fd_arm(self, (int)e->fd, MOTE_READ, &ref), MOTE_ECONTEXT);
    if (mote_match(reason, "killed")) CHECK_OK(mote_fd_disarm(self, e->ref));
    close((int)e->fd);
    CHECK_OK(mote_send(self, main_pid, "{echoed, ?}", e->count));
}
static const mote_handler echo = {.name = "echo", .state_size = sizeof(struct echo), .init = echo_init, .handle = echo_handle, .stop = echo_stop};

static int handler_echoes(mote_self *self, void *context) {
    int ends[2], count;
    mote_pid pid;
    char bytes[100];
    (void)context;
    main_pid = mote_self_pid(self);
    for (int round = 0; round < 20; round++) {
        make_sockets(ends);
        CHECK_OK(mote_spawn_handler(self, &echo, mote_int_make(NULL, ends[0]), &pid));
        for (int i = 0; i < 50; i++) {
            put(ends[1], "echo");
            CHECK_OK(mote_fd_wait(self, ends[1], MOTE_READ, PATIENCE_MS, NULL));
            CHECK_INT(read(ends[1], bytes, 100), 4);
        }
        if (round % 2)
            shutdown(ends[1], SHUT_WR);
        else
            CHECK_OK(mote_exit_send(self, pid, atom("kill")));
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{echoed, ?}", &count));
        CHECK_INT(count, 200);
        wait_gone(self, pid);
        close(ends[1]);
    }
    return 0;
}
ONE_AND_TWO(handler, handler_echoes)

/* Processes end while armed, and their descriptors are closed after them: the numbers can be watched anew. */
static void arms_and_ends(mote_self *self, mote_term arg) {
    int64_t fd;
    mote_ref ref;
    CHECK_OK(mote_int_get(arg, &fd));
    CHECK_OK(mote_fd_arm(self, (int)fd, MOTE_READ, &ref));
    if (fd % 2) put((int)fd + 1, "x");
}
static int ends_armed(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < scaled(500); i++) {
        int ends[2];
        mote_pid pid;
        make_sockets(ends);
        CHECK_OK(mote_spawn(self, arms_and_ends, mote_int_make(NULL, ends[0]), &pid));
        if (i % 2) put(ends[1], "y");
        wait_gone(self, pid);
        close_both(ends);
        make_pipe(ends); /* most likely the same numbers */
        CHECK_INT(mote_fd_wait(self, ends[0], MOTE_READ, 0, NULL), MOTE_TIMEOUT);
        put(ends[1], "x");
        CHECK_OK(mote_fd_wait(self, ends[0], MOTE_READ, PATIENCE_MS, NULL));
        close_both(ends);
    }
    return 0;
}
ONE_AND_TWO(ends_while_armed, ends_armed)

/* Many descriptors armed by processes of all kinds when the runtime stops. */
static int leave_armed(mote_self *self, void *context) {
    int ends[2];
    mote_ref ref;
    (void)context;
    main_pid = mote_self_pid(self);
    for (int i = 0; i < 100; i++) {
        make_sockets(ends);
        CHECK_OK(mote_fd_arm(self, ends[0], MOTE_READ, &ref));
        if (i % 2) CHECK_OK(mote_spawn(self, waits_for_ever, mote_int_make(NULL, ends[1]), NULL));
        if (i % 2) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "waits"));
        if (i % 2 == 0) CHECK_OK(mote_spawn_handler(self, &echo, mote_int_make(NULL, ends[1]), NULL));
    }
    return 0;
}
ONE_AND_TWO(stop_while_armed, leave_armed)

/* ------------------------------------------------------------------------------------------------ blocking */

struct call {
    pthread_t thread;
    atomic_int began, may_end, ended;
};
static void call(void *context) {
    struct call *c = context;
    c->thread = pthread_self();
    atomic_fetch_add(&c->began, 1);
    while (!atomic_load(&c->may_end)) sched_yield();
    atomic_fetch_add(&c->ended, 1);
}
static void let_end(mote_self *self, mote_term arg) {
    uint64_t address;
    CHECK_OK(mote_uint_get(arg, &address));
    struct call *c = (struct call *)(uintptr_t)address;
    WAIT_UNTIL(self, atomic_load(&c->began));
    atomic_store(&c->may_end, 1);
}

static int blocks(mote_self *self, void *context) {
    (void)context;
    for (int i = 0; i < scaled(200); i++) {
        struct call c = {0};
        CHECK_OK(mote_spawn(self, let_end, mote_uint_make(mote_scratch(self), (uint64_t)(uintptr_t)&c), NULL));
        CHECK_OK(mote_blocking(self, call, &c));
        CHECK_INT(atomic_load(&c.ended), 1);
        CHECK(!pthread_equal(c.thread, pthread_self()));
    }
    return 0;
}
ONE_AND_TWO(blocking, blocks)

static struct call long_call;
static atomic_int cleaned;
static void clean(void *context) {
    (void)context;
    CHECK_INT(atomic_load(&long_call.ended), 1);
    atomic_store(&cleaned, 1);
}
static void calls(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_cleanup_add(self, clean, NULL));
    CHECK_OK(mote_blocking(self, call, &long_call));
    CHECK(false); /* not reached */
}
static int exit_in_call(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn(self, calls, MOTE_TERM_NIL, &pid));
    WAIT_UNTIL(self, atomic_load(&long_call.began));
    wait_idle(self, pid); /* it answers meanwhile */
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    CHECK_INT(mote_receive_match(self, 10, "nothing"), MOTE_TIMEOUT);
    CHECK_INT(atomic_load(&cleaned), 0);
    atomic_store(&long_call.may_end, 1);
    wait_gone(self, pid);
    CHECK_INT(atomic_load(&cleaned), 1);
    return 0;
}
ONE_AND_TWO(exit_while_blocking, exit_in_call)

/* The handler's form. */
static struct call from_handler;
static void start_init(mote_self *self, mote_term arg, void *state) {
    (void)arg;
    CHECK_OK(mote_blocking_start(self, call, &from_handler, state));
}
static void start_handle(mote_self *self, mote_term message, void *state) {
    if (mote_match(message, "ask")) CHECK_OK(mote_send(self, main_pid, "here"));
    if (mote_match(message, "{mote_done, ^}", *(mote_ref *)state)) {
        CHECK_INT(atomic_load(&from_handler.ended), 1);
        CHECK_OK(mote_send(self, main_pid, "done"));
    }
}
static const mote_handler starter = {.name = "starter", .state_size = sizeof(mote_ref), .init = start_init, .handle = start_handle};
static int handler_calls(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    main_pid = mote_self_pid(self);
    for (int i = 0; i < 20; i++) {
        from_handler = (struct call){0};
        CHECK_OK(mote_spawn_handler(self, &starter, MOTE_TERM_NIL, &pid));
        WAIT_UNTIL(self, atomic_load(&from_handler.began));
        CHECK_OK(mote_send(self, pid, "ask")); /* it handles messages meanwhile */
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "here"));
        if (i % 2) CHECK_OK(mote_exit_send(self, pid, atom("kill"))); /* and can be ended; the call goes on */
        if (i % 2) wait_gone(self, pid);
        CHECK_INT(atomic_load(&from_handler.ended), 0);
        atomic_store(&from_handler.may_end, 1);
        if (i % 2 == 0) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "done"));
        WAIT_UNTIL(self, atomic_load(&from_handler.ended));
    }
    return 0;
}
ONE_AND_TWO(handler_form, handler_calls)

/* No more than blocking_max calls at once; all are made. */
static atomic_int at_once, most, finished;
static void count_call(void *context) {
    (void)context;
    int n = atomic_fetch_add(&at_once, 1) + 1, m = atomic_load(&most);
    while (n > m && !atomic_compare_exchange_weak(&most, &m, n))
        ;
    for (uint64_t end = now_ns() + 300000; now_ns() < end;) sched_yield();
    atomic_fetch_sub(&at_once, 1);
    atomic_fetch_add(&finished, 1);
}
static void one_call(mote_self *self, mote_term arg) {
    mote_ref ref;
    (void)arg;
    for (int i = 0; i < 3; i++) CHECK_OK(mote_blocking(self, count_call, NULL));
    CHECK_OK(mote_blocking_start(self, count_call, NULL, &ref));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{mote_done, ^}", ref));
    CHECK_OK(mote_send(self, main_pid, "done"));
}
static int limited(mote_self *self, void *context) {
    (void)context;
    main_pid = mote_self_pid(self);
    for (int i = 0; i < 50; i++) CHECK_OK(mote_spawn(self, one_call, MOTE_TERM_NIL, NULL));
    for (int i = 0; i < 50; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "done"));
    CHECK_INT(atomic_load(&finished), 200);
    CHECK(atomic_load(&most) <= 3 && atomic_load(&most) >= 1);
    return 0;
}
static void blocking_limit(void) { run_with((mote_options){.schedulers = 2, .blocking_max = 3}, limited); }

/* Calls that are under way or wait for a thread when the runtime stops are made to their end. */
static atomic_int made;
static void short_call(void *context) {
    (void)context;
    for (uint64_t end = now_ns() + 1000000; now_ns() < end;) sched_yield();
    atomic_fetch_add(&made, 1);
}
static int leave_calls(mote_self *self, void *context) {
    mote_ref ref;
    (void)context;
    for (int i = 0; i < 20; i++) CHECK_OK(mote_blocking_start(self, short_call, NULL, &ref));
    return 0;
}
static void stop_while_blocking(void) {
    run_with((mote_options){.schedulers = 1, .blocking_max = 2}, leave_calls);
    CHECK_INT(atomic_load(&made), 20);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    return check_main(argc, argv,
                      (struct check_test[]){TEST_ONE_AND_TWO(pipes), TEST_ONE_AND_TWO(hang_up), TEST_ONE_AND_TWO(sockets), TEST(threads_wait),
                                            TEST_ONE_AND_TWO(ended), TEST_ONE_AND_TWO(arm), TEST_ONE_AND_TWO(disarm_race),
                                            TEST_ONE_AND_TWO(handler), TEST_ONE_AND_TWO(ends_while_armed), TEST_ONE_AND_TWO(stop_while_armed),
                                            TEST_ONE_AND_TWO(blocking), TEST_ONE_AND_TWO(exit_while_blocking), TEST_ONE_AND_TWO(handler_form),
                                            TEST(blocking_limit), TEST(stop_while_blocking), {0}});
}
