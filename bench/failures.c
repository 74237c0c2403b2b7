/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads about links, monitors and calls.
 */
#include "bench.h"

#include <stdlib.h>

#include <mote/server.h>

/* Ends at once. */
static void nothing_body(mote_self *self, mote_term arg) {
    (void)self;
    (void)arg;
}
static void nothing_init(mote_self *self, mote_term arg, void *state) {
    (void)arg;
    (void)state;
    done(self);
}
static void nothing_handle(mote_self *self, mote_term message, void *state) {
    (void)self;
    (void)message;
    (void)state;
}
static const mote_handler nothing = {.name = "nothing", .init = nothing_init, .handle = nothing_handle};

static mote_spawn_options brief(bool handler) {
    return handler ? (mote_spawn_options){.handler = &nothing} : (mote_spawn_options){.body = nothing_body};
}

static void watch(mote_self *self, bool handler, int64_t count) {
    mote_ref ref;
    mote_pid pid;
    mote_spawn_options options = brief(handler);
    options.monitor = &ref;
    while (count-- > 0) {
        sure(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
        sure(mote_receive_match(self, -1, "{'DOWN', ^, process, ^, normal}", ref, pid));
    }
}

static void bind(mote_self *self, bool handler, int64_t count) {
    mote_pid pid;
    mote_spawn_options options = brief(handler);
    options.link = true;
    while (count-- > 0) {
        sure(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
        sure(mote_receive_match(self, -1, "{'EXIT', ^, normal}", pid));
    }
}

static void report(const char *name, int64_t since, int64_t count) {
    out((double)(now_ns() - since) / (double)count, "ns", "%s", name);
}

void run_monitor(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0];
    watch(self, bench->handler, 1000);
    int64_t t0 = now_ns();
    watch(self, bench->handler, count);
    report("monitor.spawn_exit_down", t0, count);
    sure(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    int64_t t1 = now_ns();
    bind(self, bench->handler, count);
    report("link.spawn_exit_EXIT", t1, count);
    mote_pid other = start(self, bench->handler, &echo_kind, MOTE_TERM_NIL);
    int64_t t2 = now_ns();
    for (int64_t i = 0; i < count; i++) {
        mote_ref ref;
        sure(mote_monitor(self, other, &ref));
        sure(mote_demonitor(self, ref, true, NULL));
    }
    report("monitor.mon_demon", t2, count);
    int64_t t3 = now_ns();
    for (int64_t i = 0; i < count; i++) {
        sure(mote_link(self, other));
        sure(mote_unlink(self, other));
    }
    report("link.link_unlink", t3, count);
}

/* Waits for `die` and ends with reason boom. */
static void hub_body(mote_self *self, mote_term arg) {
    (void)arg;
    sure(mote_receive_match(self, -1, "die"));
    mote_exit(self, mote_atom_term(mote_atom_make("boom")));
}

/* Told {Hub, Parent}: links with the hub, says d, and d again when the hub has ended. */
static void linked_body(mote_self *self, mote_term arg) {
    mote_pid hub, parent;
    expect(mote_match(arg, "{?, ?}", &hub, &parent), "linkfan: bad argument");
    sure(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    sure(mote_link(self, hub));
    sure(mote_send(self, parent, "d"));
    sure(mote_receive_match(self, -1, "{'EXIT', ^, boom}", hub));
    sure(mote_send(self, parent, "d"));
}

struct linked {
    mote_pid hub, parent;
};

static void linked_init(mote_self *self, mote_term arg, void *state) {
    struct linked *l = state;
    expect(mote_match(arg, "{?, ?}", &l->hub, &l->parent), "linkfan: bad argument");
    sure(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    sure(mote_link(self, l->hub));
    sure(mote_send(self, l->parent, "d"));
}
static void linked_handle(mote_self *self, mote_term message, void *state) {
    struct linked *l = state;
    expect(mote_match(message, "{'EXIT', ^, boom}", l->hub), "linkfan: a message it does not know");
    sure(mote_send(self, l->parent, "d"));
    done(self);
}
static const mote_handler linked = {
    .name = "linked", .state_size = sizeof(struct linked), .init = linked_init, .handle = linked_handle};
static const struct kind linked_kind = {linked_body, &linked};

void run_linkfan(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0];
    mote_pid hub;
    sure(mote_spawn(self, hub_body, MOTE_TERM_NIL, &hub));
    for (int64_t i = 0; i < count; i++) {
        mote_term arg;
        sure(mote_build(mote_scratch(self), &arg, "{?, ?}", hub, mote_self_pid(self)));
        start(self, bench->handler, &linked_kind, arg);
        mote_arena_reset(mote_scratch(self));
    }
    wait_done(self, count);
    int64_t t0 = now_ns();
    sure(mote_send(self, hub, "die"));
    wait_done(self, count);
    report("link.fan_exit", t0, count);
}

/* Ends when told to. */
static void doomed_body(mote_self *self, mote_term arg) {
    (void)arg;
    sure(mote_receive_match(self, -1, "stop"));
}
static void doomed_handle(mote_self *self, mote_term message, void *state) {
    (void)state;
    expect(mote_match(message, "stop"), "exits: a message it does not know");
    done(self);
}
static const mote_handler doomed = {.name = "doomed", .handle = doomed_handle};
static const struct kind doomed_kind = {doomed_body, &doomed};

/* Told {Doomed, Parent}: monitors it, says d, and d again when it has ended. */
static void watcher_body(mote_self *self, mote_term arg) {
    mote_pid target, parent;
    mote_ref ref;
    expect(mote_match(arg, "{?, ?}", &target, &parent), "exits: bad argument");
    sure(mote_monitor(self, target, &ref));
    sure(mote_send(self, parent, "d"));
    sure(mote_receive_match(self, -1, "{'DOWN', ^, process, ^, normal}", ref, target));
    sure(mote_send(self, parent, "d"));
}

struct watcher {
    mote_pid target, parent;
    mote_ref ref;
};

static void watcher_init(mote_self *self, mote_term arg, void *state) {
    struct watcher *w = state;
    expect(mote_match(arg, "{?, ?}", &w->target, &w->parent), "exits: bad argument");
    sure(mote_monitor(self, w->target, &w->ref));
    sure(mote_send(self, w->parent, "d"));
}
static void watcher_handle(mote_self *self, mote_term message, void *state) {
    struct watcher *w = state;
    expect(mote_match(message, "{'DOWN', ^, process, ^, normal}", w->ref, w->target), "exits: a message it does not know");
    sure(mote_send(self, w->parent, "d"));
    done(self);
}
static const mote_handler watcher = {
    .name = "watcher", .state_size = sizeof(struct watcher), .init = watcher_init, .handle = watcher_handle};
static const struct kind watcher_kind = {watcher_body, &watcher};

/* N end at once, each watched by one of N others. */
void run_exits(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0];
    mote_pid *targets = take((size_t)count, sizeof *targets);
    for (int64_t i = 0; i < count; i++) targets[i] = start(self, bench->handler, &doomed_kind, MOTE_TERM_NIL);
    for (int64_t i = 0; i < count; i++) {
        mote_term arg;
        sure(mote_build(mote_scratch(self), &arg, "{?, ?}", targets[i], mote_self_pid(self)));
        start(self, bench->handler, &watcher_kind, arg);
        mote_arena_reset(mote_scratch(self));
    }
    wait_done(self, count);
    int64_t t0 = now_ns();
    for (int64_t i = 0; i < count; i++) sure(mote_send(self, targets[i], "stop"));
    wait_done(self, count);
    report("monitor.exits", t0, count);
    free(targets);
}

/* --------------------------------------------------------------------------------------------------- calls */

static mote_next server_init(mote_self *self, mote_term arg, void *state) {
    (void)self, (void)arg, (void)state;
    return mote_next_wait();
}
static mote_next server_call(mote_self *self, mote_term request, mote_term from, void *state) {
    (void)state;
    sure(mote_reply_term(self, from, request));
    return mote_next_wait();
}
static const mote_server_module server = {.name = "gencall", .init = server_init, .call = server_call};

static void call(mote_self *self, mote_pid pid, int64_t count) {
    for (int64_t n = count; n > 0; n--) {
        mote_term reply;
        sure(mote_call(self, pid, 5000, &reply, "?", n));
        expect(mote_match(reply, "^", n), "gencall: another's reply");
    }
}

void run_gencall(mote_self *self, const struct bench *bench) {
    int64_t count = bench->number[0];
    mote_pid pid;
    sure(mote_server_start_link(self, &server, MOTE_TERM_NIL, NULL, &pid, NULL));
    call(self, pid, 1000);
    int64_t t0 = now_ns();
    call(self, pid, count);
    report("gencall", t0, count);
}
