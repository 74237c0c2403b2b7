/* SPDX-License-Identifier: Apache-2.0
 * C: links. */
#include "conf.h"

#define MANY 5000

/* A process that exits with x when it is told to. */
static mote_pid obedient(mote_self *self) { return start(self, obeys, atom("x")); }
static void link_with(mote_self *self, mote_pid pid) { mote_must(self, mote_link(self, pid)); }
static void unlink_from(mote_self *self, mote_pid pid) { mote_must(self, mote_unlink(self, pid)); }

static void one_unlink(mote_self *self, struct out *out) {
    trap(self);
    mote_pid pid = obedient(self);
    link_with(self, pid), link_with(self, pid), unlink_from(self, pid);
    tell(self, pid, "go");
    settle(self);
    put_rest(self, out);
}
static void one_exit(mote_self *self, struct out *out) {
    trap(self);
    mote_pid pid = obedient(self);
    link_with(self, pid), link_with(self, pid);
    tell(self, pid, "go");
    settle_with(self, 1);
    put(out, "%d", count_rest(self));
}

static void unlinks_its_parent(mote_self *self, mote_term arg) {
    unlink_from(self, pid_of(arg));
    tell(self, pid_of(arg), "off");
    mote_exit(self, atom("x"));
}
static void other_side(mote_self *self, struct out *out) {
    trap(self);
    mote_pid child = start_linked(self, unlinks_its_parent, self_term(self));
    put_term(out, msg(self));
    put_exit(out, child, msg_within(self, 60));
}

static void link_to_dead(mote_self *self, struct out *out) {
    put_raised(out, mote_link(self, dead_here(self))); /* of another worker it is not known: the link is made, and the exit signal comes */
    trap(self);
    mote_pid pid = dead(self);
    put_returned(out, mote_link(self, pid));
    put_exit(out, pid, msg(self));
}
static void no_link(mote_self *self, struct out *out) {
    put_returned(out, mote_unlink(self, idle(self)));
    put_returned(out, mote_unlink(self, dead(self)));
    put_returned(out, mote_unlink(self, mote_self_pid(self)));
}

static void unlink_race(mote_self *self, struct out *out) {
    struct race race = {0};
    int n = rounds(3000);
    trap(self);
    for (int i = 1; i <= n; i++) {
        mote_pid pid = racer(self, i, "x");
        link_with(self, pid);
        let_see(self, pid, i);
        tell(self, pid, "go");
        sweep(self, &race);
        unlink_from(self, pid);
        bool came = mote_receive_match(self, 0, "{'EXIT', ^, _}", pid) == MOTE_OK;
        gone(self, pid);
        race_round(&race, came, mote_receive_match(self, 0, "{'EXIT', ^, _}", pid) == MOTE_TIMEOUT);
    }
    put_race(out, &race);
}

static void always_told(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(3000);
    trap(self);
    for (int i = 0; i < n; i++) {
        mote_pid child = start_linked(self, exits_with, atom("x"));
        violations += !mote_match(msg(self), "{'EXIT', ^, x}", child);
    }
    put_violations(out, violations);
}

static void link_to_oneself(mote_self *self, struct out *out) {
    mote_process_info info = {0};
    put_returned(out, mote_link(self, mote_self_pid(self)));
    mote_must(self, mote_process_info_get(self, mote_self_pid(self), 0, &info));
    put(out, "links:%zu", info.links);
}
static void link_again(mote_self *self, struct out *out) {
    trap(self);
    mote_pid pid = obedient(self);
    link_with(self, pid), unlink_from(self, pid), link_with(self, pid);
    tell(self, pid, "go");
    put_exit(out, pid, msg(self));
}

static void link_at_random(mote_self *self, mote_pid pid, int seed) {
    for (int i = 1; i <= 12; i++)
        if ((seed * 31 + i * 17) % 3 == 0) unlink_from(self, pid);
        else link_with(self, pid);
}
static void other_end(mote_self *self, mote_term arg) {
    mote_pid peer;
    int seed;
    mote_assert(self, mote_match(arg, "{?, ?}", &peer, &seed));
    trap(self);
    mote_must(self, mote_receive_match(self, -1, "{a, ^}", peer));
    link_at_random(self, peer, seed);
    tell(self, peer, "b_done");
    mote_must(self, mote_receive_match(self, -1, "fin"));
    link_with(self, peer);
    tell(self, peer, "b_linked");
    mote_must(self, mote_receive_match(self, -1, "die"));
    mote_exit(self, atom("agree"));
}
static bool both_ends_agree(mote_self *self, int seed) {
    mote_pid peer = start(self, other_end, TERM(self, "{?, ?}", mote_self_pid(self), seed));
    mote_must(self, mote_send(self, peer, "{a, ?}", mote_self_pid(self)));
    link_at_random(self, peer, seed + 1);
    mote_assert(self, is(msg(self), "b_done"));
    link_with(self, peer);
    tell(self, peer, "fin");
    mote_assert(self, is(msg(self), "b_linked"));
    tell(self, peer, "die");
    bool told = mote_match(msg(self), "{'EXIT', ^, agree}", peer);
    mote_assert(self, count_rest(self) == 0);
    return told;
}
static void random_links(mote_self *self, struct out *out) {
    int violations = 0, n = rounds(500);
    trap(self);
    for (int i = 1; i <= n; i++) violations += !both_ends_agree(self, i);
    put_violations(out, violations);
}

static void queued_exit_stays(mote_self *self, struct out *out) {
    trap(self);
    mote_pid child = start_linked(self, exits_with, atom("x"));
    settle_with(self, 1);
    unlink_from(self, child);
    put_exit(out, child, msg_within(self, 50));
}

/* What one of many has to know; its argument is {To, Hub}. */
struct peer {
    mote_pid to, hub;
    bool told;
};
static struct peer link_to_hub(mote_self *self, mote_term arg, bool traps) {
    struct peer peer = {0};
    mote_assert(self, mote_match(arg, "{?, ?}", &peer.to, &peer.hub));
    if (traps) trap(self);
    link_with(self, peer.hub);
    tell(self, peer.to, "up");
    return peer;
}
/* One of many: every second is a process without a stack, or all where stacks are dear. */
static mote_ref start_peer(mote_self *self, int i, mote_body body, const mote_handler *handler, mote_pid hub) {
    bool stackless = FEW_STACKS || i % 2;
    mote_ref monitor = {0};
    mote_spawn_options options = {.body = stackless ? NULL : body, .handler = stackless ? handler : NULL, .monitor = &monitor};
    launch(self, &options, TERM(self, "{?, ?}", mote_self_pid(self), hub));
    mote_arena_reset(mote_scratch(self));
    return monitor;
}
static void await_up(mote_self *self) {
    for (int i = 0; i < MANY; i++) mote_must(self, mote_receive_match(self, -1, "up"));
}

static void tells_of_hub(mote_self *self, mote_term arg) {
    struct peer peer = link_to_hub(self, arg, true);
    mote_term reason = MOTE_TERM_NONE;
    mote_must(self, mote_receive_match(self, -1, "{'EXIT', ^, ?}", peer.hub, &reason));
    mote_must(self, mote_send(self, peer.to, "{got, ?}", reason));
    if (mote_receive_match(self, 50, "{'EXIT', ^, _}", peer.hub) == MOTE_OK) tell(self, peer.to, "dup");
}
static void tells_init(mote_self *self, mote_term arg, void *state) { *(struct peer *)state = link_to_hub(self, arg, true); }
static void tells_handle(mote_self *self, mote_term message, void *state) {
    struct peer *peer = state;
    mote_term reason;
    if (is(message, "over")) mote_exit(self, atom("normal"));
    mote_assert(self, mote_match(message, "{'EXIT', ^, ?}", peer->hub, &reason));
    if (peer->told) tell(self, peer->to, "dup");
    else mote_must(self, mote_send(self, peer->to, "{got, ?}", reason));
    if (!peer->told) mote_must(self, mote_send_after(self, 50, mote_self_pid(self), NULL, "over"));
    peer->told = true;
}
static void many_links(mote_self *self, struct out *out) {
    static const mote_handler teller = {.name = "teller", .state_size = sizeof(struct peer), .init = tells_init, .handle = tells_handle};
    mote_pid hub = idle_here(self);
    int got = 0;
    for (int i = 0; i < MANY; i++) mote_demonitor(self, start_peer(self, i, tells_of_hub, &teller, hub), true, NULL);
    await_up(self);
    signal_exit(self, hub, "bye");
    for (int i = 0; i < MANY; i++) got += mote_receive_match(self, LIMIT_MS, "{got, bye}") == MOTE_OK;
    settle(self), settle(self), settle(self);
    put(out, "%d:%d", got, count_rest(self));
}

static void links_to_hub(mote_self *self, mote_term arg) {
    link_to_hub(self, arg, false);
    forever(self, arg);
}
static void links_init(mote_self *self, mote_term arg, void *state) { *(struct peer *)state = link_to_hub(self, arg, false); }
static void ignores(mote_self *self, mote_term message, void *state) { (void)self, (void)message, (void)state; }
static void crash_of_set(mote_self *self, struct out *out) {
    static const mote_handler linker = {.name = "linker", .state_size = sizeof(struct peer), .init = links_init, .handle = ignores};
    mote_pid hub = idle_here(self);
    mote_ref *monitors = mote_alloc(self, MANY * sizeof *monitors);
    int same = 0;
    mote_assert(self, monitors);
    for (int i = 0; i < MANY; i++) monitors[i] = start_peer(self, i, links_to_hub, &linker, hub);
    await_up(self);
    signal_exit(self, hub, "bye");
    for (int i = 0; i < MANY; i++) same += is(down(self, monitors[i]), "bye");
    put(out, "same:%d", same);
}

const struct conf conf_links[] = {
    CONF(C, 01, one_unlink), CONF(C, 02, one_exit), CONF(C, 03, other_side), CONF(C, 04, link_to_dead),
    CONF(C, 05, no_link), CONF(C, 06, unlink_race), CONF(C, 07, always_told), CONF(C, 08, link_to_oneself),
    CONF(C, 09, link_again), CONF(C, 10, random_links), CONF(C, 11, queued_exit_stays), CONF(C, 12, many_links),
    CONF(C, 13, crash_of_set), {0},
};
