/* SPDX-License-Identifier: Apache-2.0
 * Death certificates: what is known of a process that ends for a reason nobody planned. To the log and to one subscriber, at most MAX_TOLD in
 * each WINDOW_NS; those beyond are counted and told with the next one. */
#include <stdio.h>
#include <string.h>

#include "proc/far.h"

#define MAX_TOLD 20u
#define WINDOW_NS UINT64_C(1000000000)
#define HEADS_MAX 8u
#define REASON_TEXT 400

bool mt_is_planned(uint64_t reason) {
    if (reason == MT_WORD_OF(normal) || reason == MT_WORD_OF(shutdown)) return true;
    const uint64_t *t = reason && mt_tag(reason) == MT_BOXED ? mt_ptr(reason) : NULL;
    return t && t[0] == mt_header(MT_TUPLE, 2) && t[1] == MT_WORD_OF(shutdown);
}

/* Whether one more may be told in this second. */
static bool may_tell(mote_runtime *rt) {
    uint64_t now = mt_os_now_ns(), since = atomic_load_explicit(&rt->deaths_since_ns, memory_order_relaxed);
    if (now - since >= WINDOW_NS && atomic_compare_exchange_strong(&rt->deaths_since_ns, &since, now)) atomic_store(&rt->deaths_told, 0);
    if (atomic_load_explicit(&rt->deaths_told, memory_order_relaxed) < MAX_TOLD && atomic_fetch_add(&rt->deaths_told, 1) < MAX_TOLD) return true;
    atomic_fetch_add_explicit(&rt->deaths_missed, 1, memory_order_relaxed);
    return false;
}

/* What names a message: itself if it is no compound, a tuple's first element, else its type. */
static mote_term head_of(mote_arena *arena, uint64_t root) {
    const uint64_t *t = mt_tag(root) == MT_BOXED ? mt_ptr(root) : NULL;
    if (t && mt_header_kind(t[0]) == MT_TUPLE && mt_header_words(t[0])) root = t[1];
    if (!mt_is_pointer(root)) return (mote_term){root};
    static const char *const types[] = {"none", "integer", "float", "atom", "reference", "function", "port", "pid",
                                        "tuple", "map", "nil", "list", "binary", "bitstring", "text"};
    const char *type = types[mote_term_type((mote_term){root})];
    return mote_atom_make_counted(arena, type, strlen(type));
}

/* The message in hand, then those unread. */
static mote_term heads(struct mt_proc *p, mote_arena *arena) {
    mote_term found[HEADS_MAX];
    size_t n = 0;
    if (p->current) found[n++] = head_of(arena, p->current->root);
    for (const struct mt_sig *sig = p->queue; sig && n < HEADS_MAX; sig = sig->next)
        if (mt_is_message(sig)) found[n++] = head_of(arena, sig->root);
    return mote_list_make(arena, n, found, MOTE_TERM_NIL);
}

/* {File, Line} of an error, {signal | link, From} of an exit signal, or exit. */
static mote_term where(struct mt_proc *p, mote_arena *arena, uint64_t reason) {
    mote_term place, what = {reason};
    if (mote_match(what, "{error, _, ?}", &place)) return place;
    const struct mt_sig *sig = p->flags & MT_PF_EXITING ? p->arg_sig : NULL;
    if (!sig || (sig->kind != MT_SIG_EXIT && sig->kind != MT_SIG_LINK_EXIT)) return mote_atom_term(mote_atom_make("exit"));
    mote_term from = mt_far_element(mt_runtime(p), arena, mt_exit_from(sig));
    mote_term pair[2] = {mote_atom_term(mote_atom_make(sig->kind == MT_SIG_EXIT ? "signal" : "link")), from};
    return mote_tuple_make(arena, 2, pair);
}

static mote_term certificate(struct mt_proc *p, mote_arena *arena, uint64_t reason, uint32_t missed) {
    struct mt_relation_counts n = mt_relations_count(p);
    uint64_t registered = mt_name_of(mt_runtime(p), mt_proc_pid(p));
    mote_term term = MOTE_TERM_NONE;
    mote_err err = mote_build(arena, &term,
                              "#{pid => ?, name => ?, registered => ?, reason => ?, where => ?, lived_ms => ?, handler => ?, messages => ?, "
                              "mailbox => ?, links => ?, monitors => ?, missed => ?}",
                              (mote_pid){mt_proc_pid(p)}, mt_proc_name(p), (mote_term){registered ? registered : MT_WORD_OF(undefined)},
                              (mote_term){reason}, where(p, arena, reason), mt_lived_ms(p), (bool)(mt_task_kind(&p->task) == MT_HANDLER), heads(p, arena),
                              p->queued, n.links, n.monitored_by, missed);
    return err ? MOTE_TERM_NONE : term;
}

static void write_log(struct mt_proc *p, mote_term t) {
    char who[128], reason[REASON_TEXT], at[128], messages[200], more[80] = "";
    mote_term why, place, waiting;
    int64_t lived, unread, links, monitors, missed;
    if (!mote_match(t, "#{reason := ?, where := ?, messages := ?, lived_ms := ?, mailbox := ?, links := ?, monitors := ?, missed := ?}", &why, &place,
                    &waiting, &lived, &unread, &links, &monitors, &missed))
        return;
    mt_proc_describe(p, who, sizeof who);
    mote_term_print(why, reason, sizeof reason);
    mote_term_print(place, at, sizeof at);
    mote_term_print(waiting, messages, sizeof messages);
    if (missed) snprintf(more, sizeof more, "; %lld deaths before it were too many to be told", (long long)missed);
    mt_log(mt_runtime(p), MOTE_LOG_ERROR,
           "process %s ended: %s; where: %s; lived %lld ms; messages in hand and unread: %s (%lld unread); told %lld links and %lld monitors%s", who,
           reason, at, (long long)lived, messages, (long long)unread, (long long)links, (long long)monitors, more);
}

static void tell_subscriber(struct mt_proc *p, mote_arena *arena, mote_term t) {
    uint64_t to = atomic_load_explicit(&mt_runtime(p)->deaths_to, memory_order_relaxed);
    mote_term message;
    struct mt_sig *sig;
    if (!mt_pid_serial(to) || to == mt_proc_pid(p)) return;
    if (mote_build(arena, &message, "{mote_death, ?}", t) || mt_sig_of_term(mt_cache_of(p), message, 0, NULL, &sig)) return;
    sig->flags |= MT_SIG_UNSENT;
    mt_deliver_timer(p->task.sched, to, sig); /* its mailbox's policy holds; nobody stands still */
}

void mt_certify(struct mt_proc *p, uint64_t reason) {
    mote_runtime *rt = mt_runtime(p);
    if (mt_likely(mt_is_planned(reason)) || atomic_load_explicit(&rt->stopped, memory_order_relaxed) || !may_tell(rt)) return;
    mote_arena *arena = mote_arena_new(0);
    uint32_t missed = atomic_exchange(&rt->deaths_missed, 0);
    mote_term t = arena ? certificate(p, arena, reason, missed) : MOTE_TERM_NONE;
    if (t.word) {
        if (!(p->flags & MT_PF_TOLD)) write_log(p, t);
        tell_subscriber(p, arena, t);
    } else {
        atomic_fetch_add_explicit(&rt->deaths_missed, missed + 1, memory_order_relaxed);
    }
    mote_arena_free(arena);
}
