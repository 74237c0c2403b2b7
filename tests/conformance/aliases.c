/* SPDX-License-Identifier: Apache-2.0
 * H: aliases. */
#include "conf.h"

static mote_ref alias_with(mote_self *self, unsigned flags) {
    mote_ref alias = {0};
    mote_must(self, mote_alias(self, flags, &alias));
    return alias;
}
static mote_ref monitor_alias(mote_self *self, mote_pid pid, mote_alias_mode mode) {
    mote_ref alias = {0};
    mote_monitor_options options = {.alias = mode};
    mote_must(self, mote_monitor_opt(self, pid, &options, &alias));
    return alias;
}
static bool unalias(mote_self *self, mote_ref alias) {
    mote_err err = mote_unalias(self, alias);
    if (err != MOTE_NOMATCH) mote_must(self, err);
    return err == MOTE_OK;
}
static void send_alias(mote_self *self, mote_ref alias, const char *name) { mote_must(self, say(self, mote_ref_term(alias), atom(name))); }

static void open_and_closed(mote_self *self, struct out *out) {
    mote_ref alias = alias_with(self, 0);
    send_alias(self, alias, "one");
    put_term(out, msg(self));
    put_bool(out, unalias(self, alias));
    send_alias(self, alias, "two");
    settle(self);
    put_bool(out, unalias(self, alias));
    put(out, "%d", count_rest(self));
}
static void first_reply_closes(mote_self *self, struct out *out) {
    mote_ref alias = alias_with(self, MOTE_ALIAS_REPLY);
    send_alias(self, alias, "one"), send_alias(self, alias, "two");
    settle_with(self, 1);
    put_rest(self, out);
}

static void reply_demonitor(mote_self *self, struct out *out) {
    mote_pid pid = idle(self);
    mote_ref alias = monitor_alias(self, pid, MOTE_ALIAS_REPLY_DEMONITOR);
    send_alias(self, alias, "r1"), send_alias(self, alias, "r2");
    settle_with(self, 1);
    signal_exit(self, pid, "x");
    settle(self);
    put_rest(self, out);
}
static void down_closes(mote_self *self, struct out *out) {
    mote_pid pid = idle(self);
    mote_ref alias = monitor_alias(self, pid, MOTE_ALIAS_DEMONITOR);
    signal_exit(self, pid, "x");
    put_reason(out, down(self, alias));
    send_alias(self, alias, "late");
    settle(self);
    put(out, "%d", count_rest(self));
}
static void outlives_down(mote_self *self, struct out *out) {
    mote_pid pid = idle(self);
    mote_ref alias = monitor_alias(self, pid, MOTE_ALIAS_EXPLICIT_UNALIAS);
    signal_exit(self, pid, "x");
    put_reason(out, down(self, alias));
    send_alias(self, alias, "late");
    put_term(out, msg(self));
    put_bool(out, unalias(self, alias));
}

static void gives_alias(mote_self *self, mote_term arg) { mote_must(self, mote_send(self, pid_of(arg), "?", alias_with(self, 0))); }
static void of_dead(mote_self *self, struct out *out) {
    mote_ref alias = {0};
    mote_pid pid = start(self, gives_alias, self_term(self));
    mote_must(self, mote_ref_get(msg(self), &alias));
    gone(self, pid);
    mote_err err = mote_send(self, alias, "x");
    put(out, "%s", err ? mote_err_name(err) : "x");
}

static void closes_others(mote_self *self, mote_term arg) {
    mote_pid to;
    mote_ref alias;
    mote_assert(self, mote_match(arg, "{?, ?}", &to, &alias));
    mote_must(self, mote_send(self, to, "{u, ?}", unalias(self, alias)));
}
static void only_its_own(mote_self *self, struct out *out) {
    bool closed = true;
    mote_ref alias = alias_with(self, 0);
    start(self, closes_others, TERM(self, "{?, ?}", mote_self_pid(self), alias));
    mote_assert(self, mote_match(msg(self), "{u, ?}", &closed));
    send_alias(self, alias, "x");
    put_bool(out, closed);
    put_term(out, msg(self));
}

/* Replies when it is told that the caller has given up: no timing decides how late that is. */
static void replies_late(mote_self *self, mote_term arg) {
    mote_ref to;
    mote_must(self, mote_receive_match(self, -1, "{q, ?}", &to));
    mote_must(self, mote_receive_match(self, -1, "late"));
    mote_must(self, mote_send(self, to, "{reply, ?}", to));
    tell(self, pid_of(arg), "replied");
}
static void no_late_reply(mote_self *self, struct out *out) {
    mote_pid server = start(self, replies_late, self_term(self));
    mote_ref alias = monitor_alias(self, server, MOTE_ALIAS_REPLY_DEMONITOR);
    mote_must(self, mote_send(self, server, "{q, ?}", alias));
    put(out, "%s", mote_receive_match(self, 5, "{reply, ^}", alias) ? "timeout" : "got");
    mote_must(self, mote_demonitor(self, alias, true, NULL));
    tell(self, server, "late");
    mote_must(self, mote_receive_match(self, LIMIT_MS, "replied"));
    put(out, "%d", count_rest(self));
}
static void queued_stay(mote_self *self, struct out *out) {
    mote_ref alias = alias_with(self, 0);
    send_alias(self, alias, "x");
    settle_with(self, 1);
    unalias(self, alias);
    put_rest(self, out);
}

static void messages_only(mote_self *self, struct out *out) {
    mote_ref monitor, alias = alias_with(self, 0);
    put_raised(out, mote_link(self, (mote_pid){alias.word}));
    put_raised(out, mote_monitor(self, alias, &monitor));
    put_raised(out, mote_exit_send(self, alias, atom("x")));
}

const struct conf conf_aliases[] = {
    CONF(H, 01, open_and_closed), CONF(H, 02, first_reply_closes), CONF(H, 03, reply_demonitor),
    CONF(H, 04, down_closes), CONF(H, 05, outlives_down), CONF(H, 06, of_dead), CONF(H, 07, only_its_own),
    CONF(H, 08, no_late_reply), CONF(H, 09, queued_stay), CONF(H, 10, messages_only), {0},
};
