/* SPDX-License-Identifier: Apache-2.0
 * Descriptors and blocking calls: what happens outside comes back as a signal that was allocated before. */
#include <string.h>

#include "proc/proc.h"

/* ------------------------------------------------------------------------------------------------ descriptors
 * A watch is a signal: while armed its process lists it (`more->watches`, linked by heap[LINK]), the poller's event pushes it into the
 * process's inbox. heap[0..3] is room for the tuple {mote_fd, Ref, Events}. */
enum { TUPLE = 0, PID = 4, LINK, WAITS, TICKET, WATCH_WORDS };

static struct mt_sig *link_of(const struct mt_sig *watch) { return (struct mt_sig *)(uintptr_t)watch->heap[LINK]; }

struct mt_sig *mt_fd_forget(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig *before = NULL;
    for (struct mt_sig *w = self->more ? self->more->watches : NULL; w; before = w, w = link_of(w)) {
        if (w != sig) continue;
        if (before)
            before->heap[LINK] = w->heap[LINK];
        else
            self->more->watches = link_of(w);
        break;
    }
    return sig;
}

struct mt_sig *mt_fd_apply(struct mt_proc *self, struct mt_sig *sig) {
    mt_fd_forget(self, sig);
    if (sig->heap[WAITS]) {
        self->more->fd_done = sig->heap[TICKET];
        self->more->fd_events = (int)sig->root;
        mt_sig_free(mt_cache_of(self), sig);
        return NULL;
    }
    sig->heap[TUPLE] = mt_header(MT_TUPLE, 3);
    sig->heap[TUPLE + 1] = MT_WORD_OF(mote_fd);
    sig->heap[TUPLE + 2] = sig->heap[TICKET];
    sig->heap[TUPLE + 3] = mt_small((int64_t)sig->root);
    sig->root = mt_boxed(&sig->heap[TUPLE]);
    sig->kind = MT_SIG_MESSAGE;
    if (self->flags & MT_PF_BOUNDED) atomic_fetch_add_explicit(&self->count, 1, memory_order_relaxed);
    return sig;
}

void mt_fd_close(struct mt_proc *self) {
    struct mt_poll *poll = self->task.sched->cluster->poll;
    for (struct mt_sig *w = self->more->watches, *next; w; w = next) {
        next = link_of(w);
        if (mt_poll_disarm(poll, w->heap[TICKET]) == MOTE_OK) mt_sig_free(mt_cache_of(self), w);
    }
    self->more->watches = NULL;
}

static mote_err arm(struct mt_proc *self, int fd, int events, bool waits, uint64_t *ticket) {
    struct mt_cluster *c = self->task.sched->cluster;
    if (fd < 0 || events < MOTE_READ || events > (MOTE_READ | MOTE_WRITE)) return MOTE_EARG;
    mote_err err = mt_more(self);
    struct mt_sig *w = err ? NULL : mt_sig_new(mt_cache_of(self), MT_SIG_FD, WATCH_WORDS);
    if (!w) return MOTE_ENOMEM;
    w->root = 0;
    w->flags = MT_SIG_UNSENT;
    w->heap[PID] = mt_proc_pid(self);
    w->heap[WAITS] = waits;
    w->heap[TICKET] = *ticket = mt_ref_next(self->task.sched);
    w->heap[LINK] = (uint64_t)(uintptr_t)self->more->watches;
    self->more->watches = w;
    err = mt_poll_arm(c->poll, fd, events, (uint64_t)(uintptr_t)w, *ticket);
    if (err) {
        self->more->watches = link_of(w);
        mt_sig_free(mt_cache_of(self), w);
        return err;
    }
    if (mt_task_kind(&self->task) == MT_THREAD) mt_cluster_notify(c); /* somebody has to take the poller's role */
    return MOTE_OK;
}

void mt_fd_ready(struct mt_sched *s, const struct mt_poll_event *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct mt_sig *w = (struct mt_sig *)(uintptr_t)events[i].owner;
        w->root = (uint64_t)events[i].events;
        mt_deliver(s, w->heap[PID], w);
    }
}

mote_err mt_fd_arm(struct mt_proc *self, int fd, int events, uint64_t *ref) {
    uint64_t ticket;
    mote_err err = arm(self, fd, events, false, &ticket);
    if (!err) *ref = ticket;
    return err;
}

mote_err mt_fd_disarm(struct mt_proc *self, uint64_t ref) {
    struct mt_sig *w = self->more ? self->more->watches : NULL;
    while (w && w->heap[TICKET] != ref) w = link_of(w);
    if (!w || mt_poll_disarm(self->task.sched->cluster->poll, ref)) {
        if (w) mt_fetch(self); /* its event is on the way: it becomes a message now or at the next receive */
        return MOTE_NOMATCH;
    }
    mt_sig_free(mt_cache_of(self), mt_fd_forget(self, w));
    return MOTE_OK;
}

mote_err mt_fd_wait(struct mt_proc *self, int fd, int events, int64_t timeout_ms, int *ready) {
    uint64_t ticket, deadline = mt_deadline(timeout_ms);
    mote_err err = arm(self, fd, events, true, &ticket);
    if (err) return err;
    for (;;) {
        mt_fetch(self);
        mt_end_if_exiting(self);
        if (self->more->fd_done == ticket) break;
        if ((err = mt_wait(self, deadline)) && mt_fd_disarm(self, ticket) == MOTE_OK) return err;
        if (err) deadline = MT_NEVER; /* the event is on the way */
    }
    if (ready) *ready = self->more->fd_events;
    return MOTE_OK;
}

/* ---------------------------------------------------------------------------------------------- blocking calls */

struct call {
    struct mt_job job; /* first */
    mote_runtime *rt;
    uint64_t pid;
    struct mt_sig *sig; /* tells the process */
};

/* Schedulers for pool threads to send from: as many are made as calls can end at once. */
static mote_err reserve_foreign(mote_runtime *rt) {
    struct mt_sched *made = NULL;
    mt_lock_take(&rt->mu);
    bool enough = rt->foreign_made >= rt->options.blocking_max || rt->foreign_made > rt->foreign_used;
    if (enough) rt->foreign_used++;
    mt_lock_drop(&rt->mu);
    if (enough) return MOTE_OK;
    mote_err err = mt_sched_new(&rt->cluster, rt->stacks, MT_SCHEDS_MAX, true, &made);
    if (err) return err;
    mt_lock_take(&rt->mu);
    made->chunk = rt->foreign;
    rt->foreign = made;
    rt->foreign_made++;
    rt->foreign_used++;
    mt_lock_drop(&rt->mu);
    return MOTE_OK;
}

static void unreserve_foreign(mote_runtime *rt) {
    mt_lock_take(&rt->mu);
    rt->foreign_used--;
    mt_lock_drop(&rt->mu);
}

static void call_returned(struct mt_job *job) {
    struct call *call = (struct call *)(void *)job;
    mote_runtime *rt = call->rt;
    mt_lock_take(&rt->mu);
    struct mt_sched *s = rt->foreign;
    MT_ASSERT(s);
    rt->foreign = s->chunk;
    mt_lock_drop(&rt->mu);
    mt_deliver(s, call->pid, call->sig);
    mt_cache_free(&s->cache, call, sizeof *call);
    mt_lock_take(&rt->mu);
    s->chunk = rt->foreign;
    rt->foreign = s;
    rt->foreign_used--;
    mt_lock_drop(&rt->mu);
}

static mote_err start_call(struct mt_proc *self, void (*fn)(void *), void *context, struct mt_sig *sig) {
    mote_runtime *rt = mt_runtime(self);
    struct call *call = sig ? mt_cache_alloc(mt_cache_of(self), sizeof *call) : NULL;
    mote_err err = call ? reserve_foreign(rt) : MOTE_ENOMEM;
    if (err) goto fail;
    *call = (struct call){.job = {.run = fn, .context = context, .done = call_returned}, .rt = rt, .pid = mt_proc_pid(self), .sig = sig};
    if (!(err = mt_pool_run(rt->pool, &call->job))) return MOTE_OK;
    unreserve_foreign(rt);
fail:
    if (call) mt_cache_free(mt_cache_of(self), call, sizeof *call);
    if (sig) mt_sig_free(mt_cache_of(self), sig);
    return err;
}

mote_err mt_blocking(struct mt_proc *self, void (*fn)(void *), void *context) {
    if (mt_task_kind(&self->task) == MT_THREAD) {
        fn(context);
        return MOTE_OK;
    }
    struct mt_sig *sig = mt_sig_new(mt_cache_of(self), MT_SIG_DONE, 0);
    self->flags &= ~(uint32_t)MT_PF_DONE;
    if (sig) sig->root = 1;
    mote_err err = start_call(self, fn, context, sig);
    if (err) return err;
    do { /* exit signals are applied, but wait until the call has returned: it may use our stack */
        mt_wait_through(self, MT_NEVER);
        mt_fetch(self);
    } while (!(self->flags & MT_PF_DONE));
    mt_end_if_exiting(self);
    return MOTE_OK;
}

mote_err mt_blocking_start(struct mt_proc *self, void (*fn)(void *), void *context, uint64_t *ref) {
    struct mt_sig *sig = mt_sig_new(mt_cache_of(self), MT_SIG_MESSAGE, 3);
    uint64_t made = mt_ref_next(self->task.sched);
    if (!sig) return MOTE_ENOMEM;
    sig->flags = MT_SIG_UNSENT;
    sig->heap[0] = mt_header(MT_TUPLE, 2);
    sig->heap[1] = MT_WORD_OF(mote_done);
    sig->heap[2] = made;
    sig->root = mt_boxed(sig->heap);
    mote_err err = start_call(self, fn, context, sig);
    if (!err) *ref = made;
    return err;
}
