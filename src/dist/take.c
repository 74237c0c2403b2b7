/* SPDX-License-Identifier: Apache-2.0
 * What comes from another node: control messages as signals. What is wrong ends the connection (L7); what the peer may not do is logged, and not done. */
#include <string.h>

#include "dist/branch.h"

struct taking {
    mote_self *self;
    struct mt_sched *s;
    mote_runtime *rt;
    struct mt_link *link;
    const struct mt_control *c;
    const struct mt_frame *frame; /* as it came */
    struct mt_frames_in *in;          /* that it has come by; NULL: from the hub */
    const struct mt_found *found;     /* by the hub; NULL: this is it */
    uint64_t named;                   /* the process of ours whose name it says; 0: there is none */
    mote_arena *arena;                /* of terms */
};

/* How a term that could not be read ends the connection; without memory only it is lost. */
static enum mt_verdict verdict_of(const struct taking *t, mote_err err) {
    if (err == MOTE_ENOMEM) mt_log(t->rt, MOTE_LOG_ERROR, "a signal from %s is lost: out of memory", mote_atom_name((mote_atom){t->link->node}, NULL));
    return mt_term_verdict(err);
}

static mote_err payload(struct taking *t, mote_term *term) {
    if (!t->arena && !(t->arena = mote_arena_new(0))) return MOTE_ENOMEM;
    return mt_link_term(t->link, t->arena, t->c->payload, term);
}

mote_err mt_link_term(struct mt_link *link, mote_arena *arena, mote_bytes bytes, mote_term *term) {
    mt_atom_payer(link->purse);
    mote_err err = mt_far_term(link->dist->runtime, arena, bytes, term);
    mt_atom_payer(NULL);
    return err;
}

static mote_err deliver_message(struct taking *t, uint64_t pid, uint64_t alias) {
    struct mt_bin *block = t->in ? mt_frames_in_give(t->in) : NULL;
    mt_atom_payer(t->link->purse);
    mote_err err = mt_far_message(t->s, pid, alias, t->c->payload, block);
    mt_atom_payer(NULL);
    if (block) mt_bin_drop(block);
    return err;
}

uint64_t mt_link_atom(struct mt_link *link, const mote_name *name) {
    char buffer[510];
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    mt_atom_payer(link->purse);
    uint64_t atom = mt_atom_intern(utf8.data, utf8.size, false, NULL);
    mt_atom_payer(NULL);
    return atom;
}

/* The process of ours that has a name, if it is for others; no atom is made to look. */
static uint64_t named(const struct taking *t, const mote_name *name) {
    char buffer[510];
    mote_bytes utf8 = mote_name_utf8(name, buffer);
    if (!mt_atom_exists(utf8.data, utf8.size)) return mt_whereis_away(t->rt, utf8.data, utf8.size);
    uint64_t atom = mt_link_atom(t->link, name);
    uint64_t pid = atom ? mt_whereis_for_others(t->rt, atom) : 0;
    if (atom) mt_atom_drop(atom);
    return mt_reach_of(t->rt, pid) == MOTE_REACH_NONE ? 0 : pid;
}

/* ------------------------------------------------------------------------------------------------ messages */

static enum mt_verdict take_message(struct taking *t, uint64_t pid) {
    uint64_t alias = 0, ref;
    if (t->c->op == MT_CONTROL_SEND_NAMED) pid = t->named;
    if (t->c->op == MT_CONTROL_SEND_ALIAS && (ref = mt_own_ref(t->link->dist, &t->c->ref)) && mt_resolve(t->rt, ref, &pid, &alias)) pid = 0;
    if (t->c->op == MT_CONTROL_SEND_ALIAS && !alias) pid = 0;
    if (!pid && t->c->op == MT_CONTROL_SEND_NAMED && !t->found) return mt_service(t->self, t->link, &t->c->name, t->c->payload);
    return pid ? verdict_of(t, deliver_message(t, pid, alias)) : MT_FINE;
}

/* ------------------------------------------------------------------------------------------------ relations */

/* A signal of who is related from now on; without memory for the note he is told as by one that has ended. Takes. */
static void relate(struct taking *t, uint64_t to, uint64_t from, struct mt_sig *sig) {
    if (to && !mt_far_note(t->s, to, from)) to = 0;
    if (to) mt_deliver(t->s, to, sig);
    else mt_relation_bury(t->s, to, sig);
}

/* What answers for a process that there is not. */
static void refuse_link(struct taking *t) {
    struct mt_control c = {.op = MT_CONTROL_EXIT, .from = t->c->to, .to = t->c->from};
    (void)mt_link_put(t->link, t->s, 0, &c, MT_WORD_OF(noproc));
}

static void refuse_monitor(struct taking *t) {
    struct mt_control c = {.op = MT_CONTROL_DOWN, .named = t->c->named, .name = t->c->name, .from = t->c->to, .to = t->c->from, .ref = t->c->ref};
    (void)mt_link_put(t->link, t->s, 0, &c, MT_WORD_OF(noproc));
}

/* In a worker the hub says what the peer may. */
static bool has_right(const struct taking *t, unsigned right) { return t->found ? t->found->rights & right : mt_has_right(t->link->dist, t->link->node, right); }

/* Whether the peer may link with a process, or end it: one that is protected is for those that have a right to. */
static bool may_touch(struct taking *t, uint64_t to, const char *what) {
    if (mt_reach_of(t->rt, to) != MOTE_REACH_PROTECTED || has_right(t, MOTE_RIGHT_SYSTEM)) return true;
    mt_refused(t->link->dist, t->link->node, what, "it has no MOTE_RIGHT_SYSTEM");
    return false;
}

static enum mt_verdict take_link(struct taking *t, uint64_t to, uint64_t from) {
    if (to && !may_touch(t, to, "link with a process that is protected")) to = 0;
    mote_err err = to && from ? mt_tie_add(t->link, to, &t->c->from) : MOTE_OK;
    if (err == MOTE_ELIMIT) return MT_NO_RELATIONS;
    struct mt_sig *sig = to && !err ? mt_link_of_far(&t->s->cache, from) : NULL;
    if (sig) relate(t, to, from, sig);
    else if (from) refuse_link(t);
    return MT_FINE;
}

static enum mt_verdict take_monitor(struct taking *t, uint64_t to, uint64_t from) {
    uint64_t name = 0, own = 0;
    if (t->c->named && !(to = t->named) && !t->found && mt_is_service(&t->c->name)) to = atomic_load(&t->link->dist->process); /* who calls these watches them */
    mote_err err = to ? mt_watch_add(t->self, t->link, &t->c->ref, to, &own) : MOTE_OK;
    if (err == MOTE_ELIMIT || err == MOTE_EBUSY) return err == MOTE_ELIMIT ? MT_NO_RELATIONS : MT_FINE;
    if (t->c->named && own) name = mt_link_atom(t->link, &t->c->name);
    struct mt_sig *sig = own ? mt_monitor_of_far(&t->s->cache, from, name, own) : NULL;
    if (name) mt_atom_drop(name);
    if (sig) relate(t, to, from, sig);
    else refuse_monitor(t);
    return MT_FINE;
}

static enum mt_verdict take_demonitor(struct taking *t) {
    uint64_t pid, own = mt_watch_forget(t->link, &t->c->ref, &pid);
    struct mt_sig *sig = own ? mt_sig_new(&t->s->cache, MT_SIG_DEMONITOR, 0) : NULL;
    if (!sig) return MT_FINE;
    sig->root = own;
    mt_deliver(t->s, pid, sig);
    return MT_FINE;
}

/* What is monitored from here has ended. */
static enum mt_verdict take_down(struct taking *t, uint64_t to, uint64_t from) {
    struct mt_remote_id name = {.node = t->link->node, .kind = MT_REMOTE_NAME};
    uint64_t ref = mt_own_ref(t->link->dist, &t->c->ref), item = from;
    struct mt_reason reason;
    mote_term term;
    mote_err err = payload(t, &term);
    if (err || (err = mt_reason_of(term, NULL, &reason))) return verdict_of(t, err);
    if (t->c->named) {
        name.name = mt_link_atom(t->link, &t->c->name);
        item = name.name ? mt_far_word_of(t->rt, &name) : 0;
        if (name.name) mt_atom_drop(name.name);
    }
    struct mt_sig *sig = to && ref && item ? mt_down_of_far(&t->s->cache, ref, 0, item, &reason) : NULL;
    mt_reason_drop(&reason);
    if (sig) mt_deliver(t->s, to, sig);
    return MT_FINE;
}

static enum mt_verdict take_exit(struct taking *t, uint64_t to, uint64_t from) {
    struct mt_reason reason;
    struct mt_sig *sig;
    mote_term term;
    mote_err err = payload(t, &term);
    if (err || !to || (err = mt_reason_of(term, NULL, &reason))) return verdict_of(t, err);
    err = mt_exit_new(&t->s->cache, from, &reason, &sig);
    mt_reason_drop(&reason);
    if (err) return verdict_of(t, err);
    if (t->c->op == MT_CONTROL_EXIT) sig->kind = MT_SIG_LINK_EXIT, mt_tie_cut(t->link, to, &t->c->from);
    mt_deliver(t->s, to, sig);
    return MT_FINE;
}

static enum mt_verdict take_unlink(struct taking *t, uint64_t to, uint64_t from) {
    struct mt_sig *sig = NULL;
    if (to && t->c->op == MT_CONTROL_UNLINK) mt_tie_cut(t->link, to, &t->c->from);
    if (to || t->c->op == MT_CONTROL_UNLINK_ACK) sig = mt_sig_new(&t->s->cache, t->c->op == MT_CONTROL_UNLINK ? MT_SIG_UNLINK : MT_SIG_UNLINKED, 2);
    if (sig) {
        sig->root = t->c->id;
        sig->heap[0] = from;
        sig->heap[1] = 0;
        mt_deliver(t->s, to, sig);
        return MT_FINE;
    }
    struct mt_control c = {.op = MT_CONTROL_UNLINK_ACK, .id = t->c->id, .from = t->c->to, .to = t->c->from};
    if (t->c->op == MT_CONTROL_UNLINK) (void)mt_link_put(t->link, t->s, 0, &c, 0); /* also for the dead */
    return MT_FINE;
}

static enum mt_verdict take_leader(struct taking *t, uint64_t to) {
    uint64_t leader = mt_own_pid(t->link->dist, &t->c->leader); /* of other nodes' none is known to processes here */
    struct mt_sig *sig = to && leader ? mt_sig_new(&t->s->cache, MT_SIG_GROUP_LEADER, 0) : NULL;
    if (!sig) return MT_FINE;
    sig->root = leader;
    mt_deliver(t->s, to, sig);
    return MT_FINE;
}

/* ------------------------------------------------------------------------------------------------ the rest */

/* Whether the one that ends has a right to: kill and exit/2 are for those that may, or have linked themselves with that process. */
static bool may_exit(const struct taking *t, uint64_t to) {
    if (!to || has_right(t, MOTE_RIGHT_EXIT) || mt_tie_is(t->link, to, &t->c->from)) return true;
    mt_refused(t->link->dist, t->link->node, "end processes that it is not linked with", "it has no MOTE_RIGHT_EXIT");
    return false;
}

/* The process whose name it says: in a worker the one that the hub has found, if others may still know it by that. */
static uint64_t who_is_named(const struct taking *t) {
    bool says = t->c->op == MT_CONTROL_SEND_NAMED || (t->c->op == MT_CONTROL_MONITOR && t->c->named);
    uint64_t pid = says ? named(t, &t->c->name) : 0;
    return t->found && pid != t->found->named ? 0 : pid;
}

/* The process of another worker that it is for; 0: it is for none, or this is no hub. */
static uint64_t away(const struct taking *t, uint64_t to) {
    const struct mt_control *c = t->c;
    uint64_t pid = t->named ? t->named : to, alias, ref;
    if (t->found || c->op == MT_CONTROL_SPAWN) return 0;
    if (c->op == MT_CONTROL_DEMONITOR) pid = mt_branch_watched(t->link, &c->ref);
    if (c->op == MT_CONTROL_SEND_ALIAS && (!(ref = mt_own_ref(t->link->dist, &c->ref)) || mt_resolve(t->rt, ref, &pid, &alias))) return 0;
    return pid && mt_is_far(t->rt, pid) ? pid : 0;
}

/* Gives it to the worker whose process it is for. False: it is for one of here, or for nobody any more: then *to says whom to answer for. */
static bool pass_on(struct taking *t, uint64_t *to) {
    uint64_t pid = away(t, *to);
    enum mt_branch_gave gave = pid ? mt_branch_give(t->link, t->c, t->frame, pid) : MT_BRANCH_ABSENT;
    if (pid && gave == MT_BRANCH_FULL) *to = t->named = 0;
    return gave == MT_BRANCH_GAVE;
}

/* What we have asked to be started there has been, or not. */
static enum mt_verdict take_started(struct taking *t, uint64_t to, uint64_t child) {
    uint64_t ref = mt_own_ref(t->link->dist, &t->c->ref), error = 0;
    if (!child) { /* of no memory for the pid, too: then nobody here will know it */
        error = t->c->named ? mt_link_atom(t->link, &t->c->name) : 0;
        if (!error) error = MT_WORD_OF(system_limit);
    }
    struct mt_sig *sig = to && ref ? mt_started_new(&t->s->cache, ref, t->link->node, child, t->c->flags & (MT_STARTS_LINKED | MT_STARTS_MONITORED), error) : NULL;
    if (error) mt_atom_drop(error);
    if (sig) mt_deliver(t->s, to, sig);
    return MT_FINE;
}

/* Whether it matters which of the peer's processes it is from. */
static bool says_from(const struct mt_control *c) {
    switch (c->op) {
    case MT_CONTROL_SEND:
    case MT_CONTROL_SEND_NAMED:
    case MT_CONTROL_SEND_ALIAS:
    case MT_CONTROL_GROUP_LEADER:
    case MT_CONTROL_DEMONITOR: return false;
    case MT_CONTROL_DOWN:
    case MT_CONTROL_SPAWN_REPLY: return !c->named;
    default: return true;
    }
}

/* Whom it is for; 0: nobody, or one that others do not reach, but by what answers to what it has asked for itself. */
static uint64_t reached(const struct taking *t, uint64_t to) {
    switch (t->c->op) {
    case MT_CONTROL_SEND:
    case MT_CONTROL_LINK:
    case MT_CONTROL_EXIT2:
    case MT_CONTROL_GROUP_LEADER:
    case MT_CONTROL_MONITOR: return to && mt_reach_of(t->rt, to) == MOTE_REACH_NONE ? 0 : to;
    default: return to;
    }
}

static enum mt_verdict take(struct taking *t) {
    const struct mt_control *c = t->c;
    uint64_t to = mt_own_pid(t->link->dist, &c->to); /* what the message has not is 0 */
    t->named = who_is_named(t);
    if (pass_on(t, &to)) return MT_FINE;
    to = reached(t, to);
    uint64_t from = says_from(c) ? mt_peer_pid(t->link, &c->from) : 0;
    switch (c->op) {
    case MT_CONTROL_SEND:
    case MT_CONTROL_SEND_NAMED:
    case MT_CONTROL_SEND_ALIAS: return take_message(t, to);
    case MT_CONTROL_LINK: return take_link(t, to, from);
    case MT_CONTROL_EXIT: return take_exit(t, to, from);
    case MT_CONTROL_EXIT2: return may_exit(t, to) && (!to || may_touch(t, to, "end a process that is protected")) ? take_exit(t, to, from) : MT_FINE;
    case MT_CONTROL_GROUP_LEADER: return take_leader(t, to);
    case MT_CONTROL_MONITOR: return take_monitor(t, to, from);
    case MT_CONTROL_DEMONITOR: return take_demonitor(t);
    case MT_CONTROL_DOWN: return take_down(t, to, from);
    case MT_CONTROL_UNLINK:
    case MT_CONTROL_UNLINK_ACK: return take_unlink(t, to, from);
    case MT_CONTROL_SPAWN: return mt_serve_spawn(t->self, t->link, c, from);
    case MT_CONTROL_SPAWN_REPLY: return take_started(t, to, from);
    default: return MT_NO_NOT_AGREED;
    }
}

enum mt_verdict mt_link_deliver(mote_self *self, struct mt_link *link, struct mt_frames_in *in, const struct mt_frame *frame, const struct mt_found *found) {
    struct mt_control c;
    const mote_name peer = mt_name_of_atom(link->node);
    enum mt_verdict verdict = mt_control_read(frame->control, frame->payload, link->flags, (mote_bytes){peer.data, peer.size}, &c);
    if (verdict) return verdict;
    struct taking t = {.self = self, .s = mt_self(self)->task.sched, .rt = link->dist->runtime, .link = link, .c = &c, .frame = frame, .in = in, .found = found};
    verdict = take(&t);
    mote_arena_free(t.arena);
    return mt_purse_refused(link->purse) ? MT_NO_MADE : verdict;
}
