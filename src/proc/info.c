/* SPDX-License-Identifier: Apache-2.0
 * Questions about processes: a signal carries a request that asker and answerer share; the signal comes back as DONE. */
#include <stdio.h>
#include <string.h>

#include "proc/far.h"

struct mt_info_request {
    _Atomic uint32_t refs;   /* atomic: acq_rel; asker and signal */
    _Atomic uint32_t answer; /* atomic: release: 0 none yet, 1 info is valid, 2 dead */
    uint64_t asker;          /* const */
    uint64_t far_id;         /* const: of a question that has come from another worker */
    mote_process_info info;
};
enum { NO_ANSWER, ALIVE, DEAD };

static void drop(struct mt_info_request *r) {
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1) mt_os_free(r);
}

static size_t queue_bytes(const struct mt_proc *p) {
    size_t bytes = 0;
    for (const struct mt_sig *sig = p->queue; sig; sig = sig->next) bytes += sizeof *sig + sig->words * 8u;
    return bytes;
}

const char *mt_proc_name(struct mt_proc *p) {
    struct mt_more *more = p->more;
    if (more && more->name[0]) return more->name;
    return mt_task_kind(&p->task) == MT_HANDLER && p->code.handler->name ? p->code.handler->name : "";
}

static void fill(struct mt_proc *p, mote_process_info *info, mote_state state) {
    size_t stack = 0;
    if (mt_task_kind(&p->task) != MT_HANDLER && p->task.stack && p->task.started && p->task.context.sp) stack = (size_t)(p->task.stack - (char *)p->task.context.sp);
    memset(info, 0, sizeof *info);
    info->pid.word = mt_proc_pid(p);
    snprintf(info->name, sizeof info->name, "%s", mt_proc_name(p));
    info->state = state;
    info->handler = mt_task_kind(&p->task) == MT_HANDLER;
    info->priority = (mote_priority)p->task.priority;
    info->mailbox = p->queued;
    if (p->flags & MT_PF_BOUNDED) info->mailbox_max = (size_t)mt_mailbox_max(p);
    if (p->more) info->dropped = (uint32_t)(atomic_load(&p->refused) - p->more->refused_before);
    info->reductions = p->reductions + (uint64_t)(p->task.budget < MT_TURN ? MT_TURN - p->task.budget : 0);
    info->memory = sizeof *p + stack + queue_bytes(p) + (p->more ? sizeof *p->more + p->more->owned_bytes : 0) +
                   (p->scratch ? mt_arena_bytes(p->scratch) : 0);
    if (info->handler) info->memory += p->task.stack ? p->code.handler->state_size : 0;
    struct mt_relation_counts n = mt_relations_count(p);
    info->links = n.links;
    info->monitors = n.monitors;
    info->monitored_by = n.monitored_by;
    info->aliases = n.aliases;
    info->trap_exit = p->flags & MT_PF_TRAPS;
    info->registered.word = mt_name_of(mt_runtime(p), mt_proc_pid(p));
    info->group_leader.word = mt_leader(p);
    info->lived_ms = mt_lived_ms(p);
    const mote_handler *h = info->handler ? p->code.handler : NULL;
    info->function = !h ? (const void *)(uintptr_t)p->code.body : h->handle ? (const void *)(uintptr_t)h->handle : (const void *)(uintptr_t)h->resume;
}

static struct mt_info_request *request_of(const struct mt_sig *sig) { return (struct mt_info_request *)(uintptr_t)sig->heap[0]; }

uint64_t mt_question_asker(const struct mt_sig *sig) { return request_of(sig)->asker; }

struct mt_sig *mt_question_of_far(struct mt_cache *cache, uint64_t asker, uint64_t id) {
    struct mt_info_request *r = mt_os_alloc_zero(sizeof *r);
    struct mt_sig *sig = r ? mt_sig_new(cache, MT_SIG_INFO, 1) : NULL;
    if (!sig) {
        mt_os_free(r);
        return NULL;
    }
    atomic_init(&r->refs, 1);
    r->asker = asker;
    r->far_id = id;
    sig->root = 0;
    sig->heap[0] = (uint64_t)(uintptr_t)r;
    return sig;
}

/* The answer is there, in the request: tells the asker. Takes the signal. */
static void tell_asker(struct mt_sched *s, struct mt_sig *sig, bool alive) {
    struct mt_info_request *r = request_of(sig);
    uint64_t asker = r->asker;
    if (mt_is_far(mt_runtime_of_sched(s), asker)) {
        mt_far_answer(s, asker, r->far_id, alive ? &r->info : NULL);
        drop(r);
        mt_sig_free(&s->cache, sig);
        return;
    }
    atomic_store_explicit(&r->answer, alive ? ALIVE : DEAD, memory_order_release);
    drop(r);
    sig->kind = MT_SIG_DONE;
    sig->root = 0;
    mt_deliver(s, asker, sig);
}

void mt_info_answer(struct mt_sched *s, struct mt_proc *p, struct mt_sig *sig) {
    mote_state state = sig->root != 0 ? MOTE_STATE_WAITING : MOTE_STATE_RUNNABLE;
    if (p) fill(p, &request_of(sig)->info, mt_suspended(p) ? MOTE_STATE_SUSPENDED : state);
    tell_asker(s, sig, p != NULL);
}

void mt_question_answered(struct mt_sched *s, struct mt_sig *sig, const mote_process_info *info) {
    if (info) request_of(sig)->info = *info;
    tell_asker(s, sig, info != NULL);
}

/* Sends the question; whether the receiver slept is noted in the signal. */
static void ask(struct mt_proc *self, uint64_t pid, struct mt_sig *sig) {
    struct mt_proc *p = mt_table_find(mt_runtime(self), pid);
    sig->root = p && (atomic_load_explicit(&p->inbox.low, memory_order_relaxed) & MT_IN_WAITING);
    mt_deliver(self->task.sched, pid, sig);
}

/* A question under way: the caller holds it once. MOTE_ENOMEM. */
static mote_err question_new(struct mt_proc *self, uint64_t pid, struct mt_info_request **question) {
    struct mt_info_request *r = mt_os_alloc_zero(sizeof *r);
    struct mt_sig *sig = r ? mt_sig_new(mt_cache_of(self), MT_SIG_INFO, 1) : NULL;
    if (!sig) {
        mt_os_free(r);
        return MOTE_ENOMEM;
    }
    atomic_init(&r->refs, 2);
    r->asker = mt_proc_pid(self);
    sig->heap[0] = (uint64_t)(uintptr_t)r;
    ask(self, pid, sig);
    *question = r;
    return MOTE_OK;
}

mote_err mt_question_answer(struct mt_info_request *r, mote_process_info *info) {
    uint32_t answer = atomic_load_explicit(&r->answer, memory_order_acquire);
    if (answer == ALIVE) *info = r->info;
    return answer == NO_ANSWER ? MOTE_TIMEOUT : answer == ALIVE ? MOTE_OK : MOTE_ENOPROC;
}

void mt_question_drop(struct mt_info_request *r) { drop(r); }

mote_err mt_question_new(struct mt_proc *self, uint64_t pid, struct mt_info_request **question) {
    if (pid != mt_proc_pid(self)) return question_new(self, pid, question);
    struct mt_info_request *r = mt_os_alloc_zero(sizeof *r);
    if (!r) return MOTE_ENOMEM;
    mt_fetch(self);
    fill(self, &r->info, MOTE_STATE_RUNNING);
    atomic_init(&r->refs, 1);
    atomic_init(&r->answer, ALIVE);
    *question = r;
    return MOTE_OK;
}

static mote_err await(struct mt_proc *self, struct mt_info_request *r, int64_t timeout_ms, mote_process_info *info) {
    uint64_t deadline = mt_deadline(timeout_ms);
    for (;;) {
        mt_fetch(self);
        if (self->flags & MT_PF_EXITING) return MOTE_EEXIT;
        mote_err err = mt_question_answer(r, info);
        if (err != MOTE_TIMEOUT) return err;
        if ((err = mt_wait(self, deadline))) return err;
    }
}

mote_err mt_info(struct mt_proc *self, uint64_t pid, int64_t timeout_ms, mote_process_info *info) {
    if (pid == mt_proc_pid(self)) {
        mt_fetch(self);
        fill(self, info, MOTE_STATE_RUNNING);
        return MOTE_OK;
    }
    struct mt_info_request *r;
    mote_err err = question_new(self, pid, &r);
    if (err) return err;
    err = await(self, r, timeout_ms, info);
    drop(r); /* before it ends, if it ends */
    return err == MOTE_EEXIT ? mt_exiting(self) : err;
}
