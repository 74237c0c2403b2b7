/* SPDX-License-Identifier: Apache-2.0
 * Bounded mailboxes: what each policy does with exact numbers, control signals that always come through, floods that do not lock up. */
#include <pthread.h>
#include <sched.h>

#include "live.h"

static mote_pid main_pid;

/* Takes messages {n, I} when {take, K} says how many; its mailbox holds what was sent and not taken. */
static void taker(mote_self *self, mote_term arg) {
    (void)arg;
    for (int k, n;;) {
        CHECK_OK(mote_receive_match(self, -1, "{take, ?}", &k));
        if (k == 0) return;
        while (k-- > 0) {
            CHECK_OK(mote_receive_match(self, -1, "{n, ?}", &n));
            CHECK_OK(mote_send(self, main_pid, "{took, ?}", n));
        }
    }
}

static mote_pid start(mote_self *self, size_t max, mote_policy policy) {
    mote_spawn_options options = {.body = taker, .mailbox_max = max, .policy = policy, .name = "taker"};
    mote_pid pid;
    main_pid = mote_self_pid(self);
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    wait_idle(self, pid);
    return pid;
}

static mote_process_info info_of(mote_self *self, mote_pid pid) {
    mote_process_info info;
    CHECK_OK(mote_process_info_get(self, pid, PATIENCE_MS, &info));
    return info;
}

/* Orders `k` messages to be taken. A timer's message is not suspended, but obeys a limit that drops: there must be room. */
static void take(mote_self *self, mote_pid pid, int k) { CHECK_OK(mote_send_after(self, 0, pid, NULL, "{take, ?}", k)); }

/* ------------------------------------------------------------------------------------------------------- drop */

static int drops(mote_self *self, void *context) {
    mote_pid pid = start(self, 10, MOTE_DROP);
    mote_runtime_info before, after;
    int n;
    (void)context;
    CHECK_OK(mote_runtime_info_get(self, &before));
    for (int i = 0; i < 100; i++) CHECK_INT(mote_send(self, pid, "{n, ?}", i), i < 10 ? MOTE_OK : MOTE_EFULL);
    mote_process_info info = info_of(self, pid); /* control signals come through */
    CHECK(info.mailbox == 10 && info.mailbox_max == 10 && info.dropped == 90);
    CHECK_OK(mote_runtime_info_get(self, &after));
    CHECK_INT(after.messages_dropped - before.messages_dropped, 90);
    for (int i = 0; i < 5; i++) CHECK_OK(mote_send_after(self, 0, pid, NULL, "{n, ?}", i));
    WAIT_UNTIL(self, info_of(self, pid).dropped == 95);
    CHECK_INT(info_of(self, pid).mailbox, 10);
    CHECK_OK(mote_exit_send(self, pid, atom("full")));
    wait_gone(self, pid);
    pid = start(self, 10, MOTE_DROP);
    for (int i = 0; i < 9; i++) CHECK_OK(mote_send(self, pid, "{n, ?}", i));
    CHECK_OK(mote_send(self, pid, "{take, 4}"));
    for (int i = 0; i < 4; i++) {
        CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{took, ?}", &n));
        CHECK_INT(n, i);
    }
    wait_idle(self, pid);
    for (int i = 0; i < 20; i++) CHECK_INT(mote_send(self, pid, "{n, ?}", i), i < 5 ? MOTE_OK : MOTE_EFULL);
    info = info_of(self, pid);
    CHECK(info.mailbox == 10 && info.dropped == 15);
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    wait_gone(self, pid);
    CHECK_OK(mote_send(self, pid, "{n, 1}")); /* a dead pid is no error, and not full */
    return 0;
}
ONE_AND_TWO(drop, drops)

/* However many send at once, no more than the limit is taken, and each message is delivered or refused. */
static atomic_long accepted, refused;
static void floods(mote_self *self, mote_term arg) {
    for (int i = 0; i < 2000; i++) {
        mote_err err = mote_send(self, pid_of(arg), "{n, ?}", i);
        CHECK(err == MOTE_OK || err == MOTE_EFULL);
        atomic_fetch_add(err ? &refused : &accepted, 1);
    }
}
static int drops_exactly(mote_self *self, void *context) {
    mote_pid pid = start(self, 1000, MOTE_DROP), senders[8];
    (void)context;
    for (int i = 0; i < 8; i++) CHECK_OK(mote_spawn(self, floods, mote_pid_term(pid), &senders[i]));
    for (int i = 0; i < 8; i++) wait_gone(self, senders[i]);
    mote_process_info info = info_of(self, pid);
    CHECK_INT(info.mailbox, 1000);
    CHECK_INT(atomic_load(&accepted), 1000);
    CHECK_INT(atomic_load(&refused), 15000);
    CHECK_INT(info.dropped, 15000);
    return 0;
}
ONE_AND_TWO(drop_exactly, drops_exactly)

/* -------------------------------------------------------------------------------------------------------- end */

static atomic_int go_on, in_handle;
static void end_handle(mote_self *self, mote_term message, void *state) {
    (void)self, (void)message, (void)state;
    atomic_fetch_add(&in_handle, 1);
    while (!atomic_load(&go_on)) sched_yield();
}
static void end_stop(mote_self *self, mote_term reason, void *state) {
    (void)state;
    CHECK_OK(mote_send(self, main_pid, "{ended, ?}", reason));
}
static const mote_handler ends = {.name = "ends", .handle = end_handle, .stop = end_stop};

static int overfill(mote_self *self, void *context) {
    mote_spawn_options options = {.handler = &ends, .mailbox_max = 10, .policy = MOTE_END};
    mote_pid pid, other = start(self, 10, MOTE_END);
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, pid, "handled")); /* it waits no longer */
    WAIT_UNTIL(self, atomic_load(&in_handle) == 1);
    for (int i = 0; i < 11; i++) CHECK_OK(mote_send(self, pid, "{n, ?}", i));
    atomic_store(&go_on, 1);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{ended, mailbox_full}"));
    wait_gone(self, pid);
    CHECK_INT(atomic_load(&in_handle), 1);
    for (int i = 0; i < 10; i++) CHECK_OK(mote_send(self, other, "{n, ?}", i));
    CHECK_INT(info_of(self, other).mailbox, 10); /* exactly full: it lives */
    CHECK_OK(mote_send(self, other, "{n, 10}"));
    wait_gone(self, other);
    return 0;
}
static void overfull_ends(void) { RUN(2, overfill); }

/* ---------------------------------------------------------------------------------------------------- suspend */

static atomic_int sent;
static void sends_100(mote_self *self, mote_term arg) {
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mote_send(self, pid_of(arg), "{n, ?}", i));
        atomic_fetch_add(&sent, 1);
    }
    CHECK_OK(mote_send(self, main_pid, "sent"));
}
static void took(mote_self *self, int count) {
    for (int i = 0; i < count; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{took, _}"));
}

static int suspends(mote_self *self, void *context) {
    mote_pid pid = start(self, 10, MOTE_SUSPEND), sender;
    (void)context;
    CHECK_OK(mote_spawn(self, sends_100, mote_pid_term(pid), &sender));
    WAIT_UNTIL(self, info_of(self, sender).state == MOTE_STATE_SUSPENDED);
    CHECK_INT(atomic_load(&sent), 10); /* the eleventh found it full: it is there, its sender stands still */
    CHECK_INT(info_of(self, pid).mailbox, 11);
    take(self, pid, 5);
    took(self, 5);
    CHECK_INT(info_of(self, pid).mailbox, 6);
    CHECK_INT(info_of(self, sender).state, MOTE_STATE_SUSPENDED);
    take(self, pid, 1); /* half is left: it goes on, until it finds ten again */
    took(self, 1);
    WAIT_UNTIL(self, atomic_load(&sent) == 16 && info_of(self, sender).state == MOTE_STATE_SUSPENDED);
    CHECK_INT(info_of(self, pid).mailbox, 11);
    CHECK_INT(info_of(self, pid).dropped, 0);
    take(self, pid, 94);
    took(self, 94);
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "sent"));
    wait_gone(self, sender);
    return 0;
}
ONE_AND_TWO(suspend, suspends)

/* Who asks for it is told instead, and nothing is sent. */
static int told_instead(mote_self *self, void *context) {
    mote_pid pid = start(self, 10, MOTE_SUSPEND);
    mote_arena *arena = mote_arena_new(0);
    mote_term word;
    (void)context;
    CHECK_OK(mote_build(arena, &word, "{n, 1}"));
    for (int i = 0; i < 10; i++) CHECK_OK(mote_send_opt(self, pid, word, MOTE_SEND_NOSUSPEND));
    for (int i = 0; i < 3; i++) CHECK_INT(mote_send_opt(self, pid, word, MOTE_SEND_NOSUSPEND | MOTE_SEND_NOCONNECT), MOTE_EFULL);
    CHECK_INT(info_of(self, pid).mailbox, 10);
    CHECK_INT(info_of(self, pid).dropped, 0);
    take(self, pid, 1);
    took(self, 1);
    CHECK_OK(mote_send_opt(self, pid, word, MOTE_SEND_NOSUSPEND));
    CHECK_INT(mote_send_opt(self, pid, word, MOTE_SEND_NOSUSPEND), MOTE_EFULL);
    CHECK_INT(mote_send_opt(self, pid, word, 8), MOTE_EARG);
    CHECK_INT(mote_send_opt(self, "nobody", word, 0), MOTE_ENAME);
    CHECK_OK(mote_send_opt(self, mote_self_pid(self), word, MOTE_SEND_NOSUSPEND | MOTE_SEND_PRIORITY));
    CHECK_OK(mote_receive_match(self, 0, "{n, 1}"));
    mote_arena_free(arena);
    return 0;
}
ONE_AND_TWO(nosuspend, told_instead)

/* A sender that stands still can be ended, and goes on when the receiver ends. */
static int suspended_ends(mote_self *self, void *context) {
    mote_pid pid = start(self, 10, MOTE_SUSPEND), senders[10];
    (void)context;
    for (int i = 0; i < 10; i++) CHECK_OK(mote_spawn(self, sends_100, mote_pid_term(pid), &senders[i]));
    for (int i = 0; i < 10; i++) WAIT_UNTIL(self, info_of(self, senders[i]).state == MOTE_STATE_SUSPENDED);
    for (int i = 0; i < 5; i++) CHECK_OK(mote_exit_send(self, senders[i], atom("kill")));
    for (int i = 0; i < 5; i++) wait_gone(self, senders[i]);
    for (int i = 5; i < 10; i++) CHECK_INT(info_of(self, senders[i]).state, MOTE_STATE_SUSPENDED);
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    for (int i = 5; i < 10; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "sent"));
    for (int i = 5; i < 10; i++) wait_gone(self, senders[i]);
    return 0;
}
ONE_AND_TWO(suspend_ends, suspended_ends)

/* Who sends to itself is not suspended. */
static void to_oneself(mote_self *self, mote_term arg) {
    int n;
    (void)arg;
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send(self, mote_self_pid(self), "{n, ?}", i));
    for (int i = 0; i < 100; i++) CHECK_OK(mote_receive_match(self, 0, "{n, ?}", &n));
    CHECK_OK(mote_send(self, main_pid, "done"));
}
static int self_floods(mote_self *self, void *context) {
    mote_spawn_options options = {.body = to_oneself, .mailbox_max = 3};
    (void)context;
    main_pid = mote_self_pid(self);
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "done"));
    return 0;
}
static void self_flood(void) { RUN(1, self_floods); }

/* Threads are not suspended. */
static mote_pid for_thread;
static void *thread_floods(void *runtime) {
    mote_self *self;
    CHECK_OK(mote_attach(runtime, &self));
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send(self, for_thread, "{n, ?}", i));
    CHECK_OK(mote_detach(self));
    return NULL;
}
static int from_thread(mote_self *self, void *context) {
    pthread_t thread;
    (void)context;
    for_thread = start(self, 10, MOTE_SUSPEND);
    CHECK_INT(pthread_create(&thread, NULL, thread_floods, mote_runtime_of(self)), 0);
    pthread_join(thread, NULL);
    CHECK_INT(info_of(self, for_thread).mailbox, 100);
    for (int i = 0; i < 100; i++) CHECK_OK(mote_send_after(self, 0, for_thread, NULL, "{n, ?}", i));
    WAIT_UNTIL(self, info_of(self, for_thread).mailbox == 200);
    return 0;
}
static void threads_and_timers(void) { RUN(2, from_thread); }

/* ----------------------------------------------------------------------------------------------------- floods */

enum { NODES_MAX = 32 };
static struct {
    mote_pid pids[NODES_MAX];
    int nodes, messages;
    bool at_random;
} circle;

static mote_pid next_of(int node, uint64_t *random) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    if (circle.at_random) return circle.pids[(*random >> 33) % (uint64_t)circle.nodes];
    return circle.pids[(node + 1) % circle.nodes];
}

/* Sends everything before it takes anything. */
static void flood_body(mote_self *self, mote_term arg) {
    int64_t node;
    uint64_t random;
    mote_term m;
    CHECK_OK(mote_int_get(arg, &node));
    random = (uint64_t)node;
    CHECK_OK(mote_receive_match(self, -1, "start"));
    for (int i = 0; i < circle.messages; i++) CHECK_OK(mote_send(self, next_of((int)node, &random), "{flood, ?, ?}", node, i));
    CHECK_OK(mote_send(self, main_pid, "flooded"));
    for (;;) {
        CHECK_OK(mote_receive(self, -1, &m));
        if (mote_match(m, "stop")) return;
        CHECK_OK(mote_send(self, main_pid, "took"));
    }
}
struct flooder {
    int64_t node;
    uint64_t random;
};
static void flood_init(mote_self *self, mote_term arg, void *state) {
    (void)self;
    CHECK_OK(mote_int_get(arg, &((struct flooder *)state)->node));
}
/* A handler sends a few with each message it gets from itself. */
static void flood_handle(mote_self *self, mote_term m, void *state) {
    struct flooder *f = state;
    int from, i = 0;
    if (mote_match(m, "start") || mote_match(m, "{more, ?}", &i)) {
        for (int k = 0; k < 10 && i < circle.messages; k++, i++)
            CHECK_OK(mote_send(self, next_of((int)f->node, &f->random), "{flood, ?, ?}", f->node, i));
        CHECK_OK(i < circle.messages ? mote_send(self, mote_self_pid(self), "{more, ?}", i) : mote_send(self, main_pid, "flooded"));
    } else if (mote_match(m, "{flood, ?, _}", &from)) {
        CHECK_OK(mote_send(self, main_pid, "took"));
    } else {
        mote_exit(self, atom("normal"));
    }
}
static const mote_handler flooder = {.name = "flooder", .state_size = sizeof(struct flooder), .init = flood_init, .handle = flood_handle};

/* `kinds` bit 0: straight-line ones, bit 1: handlers, bit 2: every third has no limit. */
static void flood(mote_self *self, int nodes, unsigned kinds, size_t limit) {
    main_pid = mote_self_pid(self);
    circle.nodes = nodes;
    circle.messages = scaled(600);
    for (int i = 0; i < nodes; i++) {
        bool handler = (kinds & 3) == 2 || ((kinds & 3) == 3 && i % 2);
        mote_spawn_options options = {.mailbox_max = (kinds & 4) && i % 3 == 0 ? 0 : limit};
        if (handler)
            options.handler = &flooder;
        else
            options.body = flood_body;
        CHECK_OK(mote_spawn_opt(self, &options, mote_int_make(NULL, i), &circle.pids[i]));
    }
    for (int i = 0; i < nodes; i++) CHECK_OK(mote_send(self, circle.pids[i], "start"));
    for (int i = 0; i < nodes; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "flooded"));
    for (int i = 0; i < nodes * circle.messages; i++) CHECK_OK(mote_receive_match(self, PATIENCE_MS, "took"));
    for (int i = 0; i < nodes; i++) CHECK_OK(mote_send(self, circle.pids[i], "stop"));
    for (int i = 0; i < nodes; i++) wait_gone(self, circle.pids[i]);
}

static int all_floods(mote_self *self, void *context) {
    static const int sizes[] = {1, 2, 3, 5, 16, 32};
    (void)context;
    for (int i = 0; i < 6; i++)
        for (unsigned kinds = 1; kinds < 8; kinds++)
            if (kinds & 3) flood(self, sizes[i], kinds, 1 + (size_t)i * 2);
    return 0;
}
ONE_AND_TWO(floods_in_circles, all_floods)

static int random_floods(mote_self *self, void *context) {
    (void)context;
    circle.at_random = true;
    for (unsigned kinds = 1; kinds < 8; kinds++)
        if (kinds & 3) flood(self, 12, kinds, 4);
    return 0;
}
ONE_AND_TWO(floods_at_random, random_floods)

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST_ONE_AND_TWO(drop), TEST_ONE_AND_TWO(drop_exactly), TEST(overfull_ends),
                                            TEST_ONE_AND_TWO(suspend), TEST_ONE_AND_TWO(suspend_ends), TEST_ONE_AND_TWO(nosuspend), TEST(self_flood),
                                            TEST(threads_and_timers), TEST_ONE_AND_TWO(floods_in_circles), TEST_ONE_AND_TWO(floods_at_random),
                                            {0}});
}
