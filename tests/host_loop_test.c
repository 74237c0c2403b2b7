/* SPDX-License-Identifier: Apache-2.0
 * Event loops of a host: the scheduler that sleeps in one, nudges, and attached threads that watch a descriptor. */
#include <limits.h>
#include <mote/host.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "live.h"

static struct {
    _Atomic int resumed, waits, looks, told, stop;
    _Atomic(mote_self *) agent; /* the handler that the loop acts as */
    mote_pid main;
    int news; /* an eventfd: what the "loop" has to do */
} seen;

/* ------------------------------------------------------------------------------------------------------- nudges */

static void agent_init(mote_self *self, mote_term arg, void *state) {
    (void)arg, (void)state;
    atomic_store(&seen.agent, self);
}
static void agent_resume(mote_self *self, void *state) {
    mote_term m;
    (void)state;
    atomic_fetch_add(&seen.resumed, 1);
    if (mote_host_exit_reason(self, &m)) mote_exit(self, m);
    while (mote_receive(self, 0, &m) == MOTE_OK) atomic_fetch_add(&seen.told, 1);
}
static void agent_stop(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)reason, (void)state;
    atomic_store(&seen.agent, NULL);
}
static const mote_handler agent = {.name = "agent", .init = agent_init, .resume = agent_resume, .stop = agent_stop};

static mote_pid start_agent(mote_self *self) {
    mote_spawn_options options = {.handler = &agent};
    mote_pid pid;
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    return pid;
}

/* A process of the same scheduler nudges it, when it sleeps and when it does not. */
static void nudges(mote_self *self, mote_term arg) {
    mote_term m;
    (void)arg;
    for (int i = 1; i <= 1000; i++) {
        mote_self *other = atomic_load(&seen.agent);
        for (int k = 0; k < i % 3 + 1; k++) CHECK_OK(mote_host_nudge(other));
        int before = atomic_load(&seen.resumed);
        while (atomic_load(&seen.resumed) == before) CHECK_OK(mote_yield(self));
        if (i % 100 == 0) CHECK_INT(mote_receive(self, 1, &m), MOTE_TIMEOUT);
    }
}
static int nudging(mote_self *self, void *context) {
    mote_ref ref;
    mote_term m;
    (void)context;
    mote_pid pid = start_agent(self);
    WAIT_UNTIL(self, atomic_load(&seen.agent) != NULL);
    mote_spawn_options options = {.body = nudges, .monitor = &ref};
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, normal}", ref));
    CHECK(atomic_load(&seen.resumed) >= 1000);
    CHECK_INT(mote_host_nudge(NULL), MOTE_ESELF);
    CHECK_INT(mote_host_nudge(self), MOTE_ECONTEXT);
    CHECK_OK(mote_monitor(self, pid, &ref));
    CHECK_OK(mote_exit_send(self, pid, atom("enough")));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &m));
    CHECK_TERM(m, "enough");
    return 0;
}
static void nudge(void) { run_with((mote_options){.schedulers = 1}, nudging); }

/* ----------------------------------------------------------------------------------------- a scheduler's loop */

/* Acts as the agent, as what runs in a loop does. */
static void act(void) {
    uint64_t n;
    mote_self *self = atomic_load(&seen.agent);
    mote_term m;
    if (read(seen.news, &n, sizeof n) != sizeof n || !self) return;
    CHECK_OK(mote_host_nudge(self));
    while (n--) CHECK_OK(mote_send(self, seen.main, "{'from the loop', ?}", (int)n));
    while (mote_receive(self, 0, &m) == MOTE_OK) atomic_fetch_add(&seen.told, 1);
}
static bool loop_waits(void *context, unsigned scheduler) { return context == &seen && scheduler == 0; }
static void loop_wait(void *context, unsigned scheduler, int fd, uint64_t timeout_ns) {
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {seen.news, POLLIN, 0}};
    CHECK(context == &seen && scheduler == 0 && fd >= 0);
    atomic_fetch_add(&seen.waits, 1);
    poll(fds, 2, timeout_ns / 1000000 >= INT_MAX ? -1 : (int)(timeout_ns / 1000000) + 1);
    if (fds[1].revents) act();
}
static void loop_look(void *context, unsigned scheduler) {
    CHECK(context == &seen && scheduler == 0);
    atomic_fetch_add(&seen.looks, 1);
    act();
}
static const mote_host_loop hooks = {.context = &seen, .waits = loop_waits, .wait = loop_wait, .look = loop_look};

static void poke(uint64_t n) { CHECK(write(seen.news, &n, sizeof n) == sizeof n); }
static void expect_from_loop(mote_self *self, int n) {
    for (int i = n; i--;) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'from the loop', ^}", i));
}
static void spins(mote_self *self, mote_term arg) {
    (void)arg;
    while (!atomic_load(&seen.stop)) CHECK_OK(mote_yield(self));
}

/* A thread beside: what it sends wakes the scheduler out of the loop. */
static void *from_thread(void *context) {
    mote_self *self;
    mote_term m;
    CHECK_OK(mote_attach(context, &self));
    for (int i = 0; i < 200; i++) {
        CHECK_OK(mote_send(self, seen.main, "{?, ?}", mote_self_pid(self), i));
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    }
    CHECK_OK(mote_detach(self));
    return NULL;
}
static void answer_thread(mote_self *self) {
    pthread_t thread;
    mote_pid pid;
    CHECK(pthread_create(&thread, NULL, from_thread, mote_runtime_of(self)) == 0);
    for (int i = 0; i < 200; i++) {
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{?, ^}", &pid, i));
        CHECK_OK(mote_send(self, pid, "ok"));
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

static int in_host_loop(mote_self *self, void *context) {
    mote_pid pid = start_agent(self), spinner;
    (void)context;
    seen.main = mote_self_pid(self);
    WAIT_UNTIL(self, atomic_load(&seen.agent) != NULL);
    for (int i = 1; i < 50; i++) { /* asleep: the loop wakes the process, and timers wake it out of the loop */
        poke((uint64_t)i);
        expect_from_loop(self, i);
        if (i % 10 == 0) CHECK_OK(mote_sleep(self, 2));
    }
    answer_thread(self);
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send(self, pid, "news"));
    WAIT_UNTIL(self, atomic_load(&seen.told) == 100);
    int looks = atomic_load(&seen.looks);
    CHECK_OK(mote_spawn(self, spins, MOTE_TERM_NIL, &spinner));
    for (int i = 1; i < 20; i++) { /* busy: the loop is looked at */
        poke(2);
        expect_from_loop(self, 2);
    }
    CHECK(atomic_load(&seen.waits) > 0 && atomic_load(&seen.looks) > looks);
    atomic_store(&seen.stop, 1);
    return 0;
}
static void host_loop(void) {
    seen.news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(seen.news >= 0);
    run_with((mote_options){.schedulers = 1, .host_loop = &hooks}, in_host_loop);
    CHECK(close(seen.news) == 0);
}

/* ---------------------------------------------------------------------------------------------------- watching */

static bool written(int fd) {
    uint64_t n;
    return read(fd, &n, sizeof n) == sizeof n;
}
static void wait_for(int fd) {
    struct pollfd p = {fd, POLLIN, 0};
    CHECK(poll(&p, 1, PATIENCE_MS) == 1 && written(fd));
}
static mote_runtime *runtime_for(mote_self **self) {
    mote_runtime *rt;
    CHECK_OK(mote_runtime_start(&(mote_options){.schedulers = 2}, &rt));
    CHECK_OK(mote_host_attach(rt, self));
    return rt;
}
static void sends_back(mote_self *self, mote_term arg) {
    (void)arg;
    for (;;) {
        mote_pid to;
        CHECK_OK(mote_receive_match(self, -1, "?", &to));
        CHECK_OK(mote_send(self, to, "back"));
    }
}

static void watch(void) {
    mote_self *self;
    mote_runtime *rt = runtime_for(&self);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    mote_pid me = mote_self_pid(self), pid;
    mote_term m;
    CHECK_INT(mote_host_watch(NULL, fd), MOTE_ESELF);
    CHECK_INT(mote_host_watch(self, -1), MOTE_EARG);
    CHECK_INT(mote_host_unwatch(NULL), MOTE_ESELF);
    CHECK_OK(mote_host_unwatch(self));
    CHECK_OK(mote_spawn(self, sends_back, MOTE_TERM_NIL, &pid));
    for (int i = 0; i < 500; i++) {
        CHECK_OK(mote_host_watch(self, fd));
        if (i % 7 == 0) CHECK_OK(mote_host_watch(self, fd)); /* again: no harm */
        CHECK_OK(mote_send(self, pid, "?", me));
        wait_for(fd);
        CHECK_INT(mote_host_watch(self, fd), MOTE_NOMATCH); /* something is there */
        CHECK_OK(mote_receive(self, 0, &m));
        CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    }
    CHECK_OK(mote_host_watch(self, fd));
    CHECK_OK(mote_host_unwatch(self));
    CHECK_OK(mote_send(self, pid, "?", me));
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    CHECK(!written(fd));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT); /* it has looked at all */
    CHECK_OK(mote_host_watch(self, fd)); /* a wait takes it back */
    CHECK_OK(mote_send(self, pid, "?", me));
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    CHECK_INT(mote_receive(self, 0, &m), MOTE_TIMEOUT);
    CHECK_OK(mote_host_watch(self, fd));
    CHECK_OK(mote_exit_send(self, me, atom("enough")));
    CHECK_INT(mote_host_watch(self, fd), MOTE_EEXIT);
    CHECK_OK(mote_detach(self));
    CHECK_OK(mote_runtime_stop(rt, 0) == MOTE_TIMEOUT ? MOTE_OK : MOTE_EOS);
    CHECK(close(fd) == 0);
}

/* Whoever watches hears of the runtime's end, and may detach while it watches. */
static void *stops(void *context) {
    mote_err err = mote_runtime_stop(context, 0);
    CHECK(err == MOTE_OK || err == MOTE_TIMEOUT);
    return NULL;
}
static void watch_and_stop(void) {
    mote_self *self;
    mote_runtime *rt = runtime_for(&self);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_t thread;
    CHECK_OK(mote_host_watch(self, fd));
    CHECK(pthread_create(&thread, NULL, stops, rt) == 0);
    wait_for(fd);
    CHECK(mote_host_watch(self, fd) != MOTE_OK);
    CHECK_OK(mote_detach(self));
    CHECK(pthread_join(thread, NULL) == 0 && close(fd) == 0);
    rt = runtime_for(&self);
    fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK_OK(mote_host_watch(self, fd));
    CHECK_OK(mote_detach(self));
    CHECK(!written(fd) && close(fd) == 0);
    CHECK_OK(mote_runtime_stop(rt, 0));
}

/* Many send while it watches, unwatches, waits and closes its descriptors: each message comes, and a descriptor that was closed is not written to. */
#define ROUNDS 2000
static void *floods(void *context) {
    mote_self *self;
    CHECK_OK(mote_attach(context, &self));
    for (int i = 0; i < ROUNDS; i++) CHECK_OK(mote_send(self, seen.main, "?", i));
    CHECK_OK(mote_detach(self));
    return NULL;
}
static int take_all(mote_self *self) {
    mote_term m;
    int n = 0;
    while (mote_receive(self, 0, &m) == MOTE_OK) n++;
    return n;
}
static void watch_races(void) {
    mote_self *self;
    mote_runtime *rt = runtime_for(&self);
    pthread_t threads[3];
    int left = 3 * ROUNDS;
    seen.main = mote_self_pid(self);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, floods, rt) == 0);
    for (int i = 0; left; i++) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        mote_err err = mote_host_watch(self, fd);
        CHECK(err == MOTE_OK || err == MOTE_NOMATCH);
        if (err == MOTE_OK && i % 3 == 0) wait_for(fd);
        if (i % 3 == 1) CHECK(mote_host_wait(self, 0) != MOTE_EEXIT);
        CHECK_OK(mote_host_unwatch(self));
        CHECK(close(fd) == 0);
        left -= take_all(self);
    }
    CHECK_INT(take_all(self), 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_OK(mote_detach(self));
    CHECK_OK(mote_runtime_stop(rt, 0));
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(nudge), TEST(host_loop), TEST(watch), TEST(watch_and_stop), TEST(watch_races), {0}});
}
