/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/receive.h"

/* ------------------------------------------------------------------------------------------------ fetching */

static bool is_kill(const struct mt_sig *sig) { return sig->kind == MT_SIG_EXIT && sig->root == MT_WORD_OF(kill); }
static bool is_normal(struct mt_proc *self, const struct mt_sig *sig) {
    bool own = sig->kind == MT_SIG_EXIT && mt_exit_from(sig) == mt_proc_pid(self);
    return sig->root == MT_WORD_OF(normal) && !own;
}

/* An exit signal, by Erlang's rules: kill of exit/2 cannot be trapped and becomes killed; who traps gets a message; normal is ignored unless it is
 * one's own. Gives the message, or NULL. */
static struct mt_sig *apply_exit(struct mt_proc *self, struct mt_sig *sig) {
    bool kills = is_kill(sig);
    if ((self->flags & MT_PF_TRAPS) && !kills && !(self->flags & MT_PF_EXITING)) return mt_as_message(self, sig);
    bool ignored = is_normal(self, sig) || (self->flags & MT_PF_EXITING) || !mt_can_end(self);
    if (ignored) {
        mt_sig_free(mt_cache_of(self), sig);
        return NULL;
    }
    self->flags |= MT_PF_EXITING | MT_PF_NEWS;
    self->arg = kills ? MT_WORD_OF(killed) : sig->root;
    sig->next = self->arg_sig; /* the reason lives in it; the argument may still be used by a blocking call or a clean-up */
    self->arg_sig = sig;
    return NULL;
}

static void apply_suspend(struct mt_proc *self, struct mt_sig *sig) {
    if (atomic_load_explicit(&self->count, memory_order_relaxed) > mt_mailbox_max(self) / 2) {
        sig->next = self->more->suspended;
        self->more->suspended = sig;
        return;
    }
    mt_resume_sender(self->task.sched, sig);
}

static void apply_group_leader(struct mt_proc *self, uint64_t leader) {
    if (mt_more(self)) return; /* without memory it keeps the one it had */
    self->more->leader = leader;
    self->flags |= MT_PF_LED;
}

/* Applies one control signal (P4); gives the message it became, if it did. Takes. */
static struct mt_sig *apply(struct mt_proc *self, struct mt_sig *sig) {
    switch ((enum mt_sig_kind)sig->kind) {
    case MT_SIG_MESSAGE: return sig;
    case MT_SIG_ALIASED: return mt_alias_apply(self, sig);
    case MT_SIG_FD: return mt_fd_apply(self, sig);
    case MT_SIG_EXIT: return apply_exit(self, sig);
    case MT_SIG_LINK_EXIT:
        sig = mt_relation_apply(self, sig);
        return sig ? apply_exit(self, sig) : NULL;
    case MT_SIG_LINK:
    case MT_SIG_UNLINK:
    case MT_SIG_UNLINKED:
    case MT_SIG_MONITOR:
    case MT_SIG_DEMONITOR:
    case MT_SIG_DOWN:
    case MT_SIG_STARTED: return mt_relation_apply(self, sig);
    case MT_SIG_SPAWN:
    case MT_SIG_ALIAS:
    case MT_SIG_STARTING:
    case MT_SIG_WATCH: MT_ASSERT(sig->kind == MT_SIG_MESSAGE); break; /* relations are not sent as such */
    case MT_SIG_GROUP_LEADER: apply_group_leader(self, sig->root); break;
    case MT_SIG_SUSPEND: apply_suspend(self, sig); return NULL;
    case MT_SIG_INFO:
        if (self->flags & MT_PF_EXITING) return sig; /* it came after the exit signal: answered when the process has ended */
        mt_info_answer(self->task.sched, self, sig);
        return NULL;
    case MT_SIG_RESUME:
        if (self->suspensions) self->suspensions--; /* else a far one that nobody asked for */
        break;
    case MT_SIG_STAND: mt_stand_for(self, sig->root); break;
    case MT_SIG_LOST: return mt_relation_apply(self, sig);
    case MT_SIG_TIMEOUT: self->flags &= ~(uint32_t)MT_PF_ARMED; break;
    case MT_SIG_DONE: self->flags |= sig->root ? MT_PF_DONE : 0u; break;
    }
    mt_sig_free(mt_cache_of(self), sig);
    return NULL;
}

/* Priority messages go behind earlier ones of their kind, before all others. */
static void put_ahead(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig **at = &self->queue;
    while (*at && ((*at)->flags & MT_SIG_PRIORITY)) at = &(*at)->next;
    sig->next = *at;
    *at = sig;
    if (self->queue_end == at) self->queue_end = &sig->next;
    self->mark = 0; /* it may be about the newest reference, and stands before the mark */
}

static void append(struct mt_proc *self, struct mt_sig *sig) {
    if (mt_likely(!(sig->flags & MT_SIG_PRIORITY))) {
        mt_append(self, sig);
        return;
    }
    self->queued++;
    self->flags |= MT_PF_NEWS;
    put_ahead(self, sig);
}

/* Signals applied before others get a turn: a process that many tell of their end at once has a million of them. */
#define APPLY_MAX 1000u

/* Applies up to APPLY_MAX signals and keeps the rest, if the process can keep it; they cost what they take. */
static void apply_all(struct mt_proc *self, struct mt_sig *oldest) {
    uint32_t n = 0;
    struct mt_sig **pending, *next;
    for (struct mt_sig *sig = oldest; sig; sig = next, n++) {
        if (n >= APPLY_MAX && (pending = mt_pending(self))) {
            *pending = sig;
            break;
        }
        next = sig->next;
        struct mt_sig *message = apply(self, sig);
        if (message) append(self, message);
    }
    self->task.budget -= (int32_t)(n / 4);
}

/* R4 of relation.c: what was fetched earlier comes first. */
static bool apply_pending(struct mt_proc *self) {
    struct mt_sig **pending = mt_pending(self), *oldest = pending ? *pending : NULL;
    if (!oldest) return false;
    *pending = NULL;
    apply_all(self, oldest);
    return true;
}

void mt_queue_remove(struct mt_proc *self, struct mt_sig **at) {
    struct mt_sig *sig = *at;
    mt_queue_unlink(self, at);
    if (self->flags & MT_PF_BOUNDED) mt_resume_senders(self);
    mt_sig_free(mt_cache_of(self), sig);
}

/* The runtime stops; threads look at that themselves. */
static void apply_kill(struct mt_proc *self) {
    if ((self->flags & MT_PF_EXITING) || !mt_can_end(self)) return;
    self->flags |= MT_PF_EXITING | MT_PF_NEWS;
    self->arg = MT_WORD_OF(killed);
}

bool mt_fetch(struct mt_proc *self) {
    if (mt_unlikely(self->relations & 1) && apply_pending(self)) return true;
    uint64_t low = atomic_load_explicit(&self->inbox.low, memory_order_relaxed);
    if (!(low & ~(uint64_t)(MT_IN_STATE & ~MT_IN_KILLED))) return false;
    low = mt_pair_swap_low(&self->inbox, low & MT_IN_BOUNDED);
    if (mt_unlikely(low & MT_IN_KILLED)) apply_kill(self);
    struct mt_sig *sig = (struct mt_sig *)(uintptr_t)(low & ~(uint64_t)MT_IN_STATE), *newest = sig, *oldest = NULL;
    if (mt_unlikely(!sig)) return true;
    if (mt_likely(!sig->next && sig->kind == MT_SIG_MESSAGE)) {
        append(self, sig);
        return true;
    }
    uint32_t n = 0;
    unsigned kinds = 0;
    while (sig) {
        struct mt_sig *older = sig->next;
        kinds |= sig->kind;
        sig->next = oldest;
        oldest = sig;
        sig = older;
        n++;
    }
    if (mt_likely(kinds == MT_SIG_MESSAGE)) {
        *self->queue_end = oldest;
        self->queue_end = &newest->next;
        self->queued += n;
        self->flags |= MT_PF_NEWS;
    } else {
        apply_all(self, oldest);
    }
    return true;
}

/* Whether one of these signals ends the process, as apply_exit() would find. */
static bool has_end(struct mt_proc *p, const struct mt_sig *sig) {
    for (; sig; sig = sig->next) {
        if (is_kill(sig)) return true;
        if ((p->flags & MT_PF_TRAPS) || is_normal(p, sig)) continue;
        if (sig->kind == MT_SIG_EXIT || (sig->kind == MT_SIG_LINK_EXIT && mt_is_linked(p, mt_exit_from(sig)))) return true;
    }
    return false;
}

bool mt_will_end(struct mt_proc *p) {
    if (p->flags & MT_PF_EXITING) return true;
    if (!mt_can_end(p)) return false;
    uint64_t low = atomic_load_explicit(&p->inbox.low, memory_order_acquire);
    if ((low & MT_IN_KILLED) || has_end(p, (const struct mt_sig *)(uintptr_t)(low & ~(uint64_t)MT_IN_STATE))) return true;
    return (p->relations & 1) && has_end(p, *mt_pending(p));
}

void mt_scratch_return(struct mt_proc *p) {
    struct mt_sched *s = p->task.sched;
    mote_arena_reset(p->scratch);
    if (s->spare_arena)
        mote_arena_free(p->scratch);
    else
        s->spare_arena = p->scratch;
    p->scratch = NULL;
}

/* ---------------------------------------------------------------------------------------------------- taking */

/* Half of a full mailbox has been read: those who waited for room may go on. */
void mt_resume_senders(struct mt_proc *self) {
    int32_t count = atomic_fetch_sub_explicit(&self->count, 1, memory_order_relaxed) - 1;
    if (count > mt_mailbox_max(self) / 2) return;
    while (self->more->suspended) {
        struct mt_sig *sig = self->more->suspended;
        self->more->suspended = sig->next;
        mt_resume_sender(self->task.sched, sig);
    }
}

uint64_t mt_deadline(int64_t timeout_ms) {
    if (timeout_ms < 0) return MT_NEVER;
    if (timeout_ms > INT64_MAX / 1000000) return MT_NEVER - 1; /* beyond what the clock counts */
    return mt_os_now_ns() + (uint64_t)timeout_ms * 1000000;
}

/* ---------------------------------------------------------------------------------------------------- waiting */

mote_err mt_ensure_alarm(struct mt_proc *self, uint64_t deadline_ns) {
    struct mt_sched *s = self->task.sched;
    if (self->flags & MT_PF_ARMED) {
        if (self->due_ns <= deadline_ns) return MOTE_OK;
        mt_alarm_cancel(s, self->alarm, NULL);
        self->flags &= ~(uint32_t)MT_PF_ARMED;
    }
    struct mt_sig *sig = mt_sig_new(&s->cache, MT_SIG_TIMEOUT, 0);
    if (!sig) return MOTE_ENOMEM;
    sig->root = 0;
    mote_err err = mt_alarm_start(s, deadline_ns, mt_proc_pid(self), sig, &self->alarm);
    if (err) {
        mt_sig_free(&s->cache, sig);
        return err;
    }
    self->flags |= MT_PF_ARMED;
    self->due_ns = deadline_ns;
    return MOTE_OK;
}

/* A little before sleeping: an answer from another core is often quicker than a sleep and its end. */
static void spin_thread(const struct mt_cluster *c, _Atomic uint32_t *word) {
    if (!c->spare_cores) return;
    uint64_t end = mt_os_now_ns() + MT_SPIN_NS;
    while (atomic_load_explicit(word, memory_order_acquire) == 1 && mt_os_now_ns() < end)
        for (int i = 0; i < 32 && atomic_load_explicit(word, memory_order_relaxed) == 1; i++) mt_cpu_relax();
}

/* The same announcement as that of a sleep: `park` is 1 and WAITING set. Who takes WAITING back wakes: writes to the descriptor, then clears `park`;
 * a fetch never finds WAITING and signals together. */
mote_err mt_watch(struct mt_proc *self, int fd) {
    struct mt_sched *s = self->task.sched;
    mt_unwatch(self);
    if (self->flags & MT_PF_EXITING) return MOTE_EEXIT;
    uint64_t low = atomic_load_explicit(&self->inbox.low, memory_order_relaxed);
    atomic_store(&s->watch_fd, fd);
    atomic_store(&s->park, 1);
    s->watched = true;
    bool nothing = !(self->flags & MT_PF_NEWS) && !mt_has_pending(self) && !(low & ~(uint64_t)MT_IN_BOUNDED);
    if (nothing && mt_pair_cas_low(&self->inbox, low, low | MT_IN_WAITING)) return MOTE_OK;
    atomic_store(&s->park, 0);
    mt_unwatch(self);
    return MOTE_NOMATCH;
}

void mt_unwatch(struct mt_proc *self) {
    struct mt_sched *s = self->task.sched;
    if (!s->watched) return;
    for (uint64_t low; (low = atomic_load(&self->inbox.low)) & MT_IN_WAITING;)
        if (mt_pair_cas_low(&self->inbox, low, low & ~(uint64_t)MT_IN_WAITING)) atomic_store(&s->park, 0);
    while (atomic_load(&s->park)) mt_os_futex_wait(&s->park, 1, MT_NEVER); /* somebody is about to write */
    atomic_store(&s->watch_fd, -1);
    s->watched = false;
}

/* An attached thread sleeps on its scheduler's word until a signal's sender has cleared WAITING and woken it. */
static mote_err wait_thread(struct mt_proc *self, uint64_t deadline_ns) {
    _Atomic uint32_t *word = &self->task.sched->park;
    mt_unwatch(self);
    uint64_t low = atomic_load_explicit(&self->inbox.low, memory_order_relaxed);
    atomic_store(word, 1);
    if ((low & ~(uint64_t)MT_IN_BOUNDED) || !mt_pair_cas_low(&self->inbox, low, low | MT_IN_WAITING)) {
        atomic_store(word, 0);
        return MOTE_OK;
    }
    spin_thread(self->task.sched->cluster, word);
    while (atomic_load(word) == 1) {
        uint64_t now = deadline_ns == MT_NEVER ? 0 : mt_os_now_ns();
        if (now < deadline_ns) {
            mt_os_futex_wait(word, 1, deadline_ns == MT_NEVER ? MT_NEVER : deadline_ns - now);
        } else if (mt_pair_cas_low(&self->inbox, low | MT_IN_WAITING, low)) {
            atomic_store(word, 0);
            return MOTE_TIMEOUT;
        } else {
            deadline_ns = MT_NEVER; /* somebody is about to wake us */
        }
    }
    return MOTE_OK;
}

mote_err mt_wait(struct mt_proc *self, uint64_t deadline_ns) {
    return mt_unlikely(self->flags & MT_PF_EXITING) ? mt_exiting(self) : mt_wait_through(self, deadline_ns);
}

mote_err mt_wait_through(struct mt_proc *self, uint64_t deadline_ns) {
    if (deadline_ns != MT_NEVER && mt_os_now_ns() >= deadline_ns) return MOTE_TIMEOUT;
    if (mt_has_pending(self)) return MOTE_OK;
    if (mt_task_kind(&self->task) == MT_THREAD) {
        if (atomic_load_explicit(&mt_runtime(self)->stopped, memory_order_acquire)) return MOTE_ESTOPPED;
        return wait_thread(self, deadline_ns);
    }
    MT_ASSERT(mt_task_kind(&self->task) == MT_STRAIGHT && !(self->flags & MT_PF_ENDING));
    return mt_wait_inline(self, deadline_ns, true);
}

mote_err mt_receive(struct mt_proc *self, int64_t timeout_ms, mote_term *message) {
    uint64_t deadline = timeout_ms < 0 ? MT_NEVER : 0;
    mt_drop_current(self);
    if (mt_unlikely(--self->task.budget <= 0)) mt_turn_over(self);
    if (mt_unlikely(self->flags & MT_PF_EXITING)) return mt_exiting(self);
    for (;;) {
        if (!self->queue) {
            if (!mt_inbox_empty(self)) mt_fetch(self);
            if (mt_unlikely(self->flags & MT_PF_EXITING)) return mt_exiting(self); /* whoever has fetched the signal */
        }
        if (mt_likely(self->queue != NULL)) {
            mt_take(self, &self->queue);
            message->word = self->current->root;
            return MOTE_OK;
        }
        if (timeout_ms == 0) return mt_seen_all(self);
        bool first = !deadline;
        if (first) deadline = mt_deadline(timeout_ms);
        mote_err err = mt_wait_inline(self, deadline, first);
        if (mt_unlikely(err && !mt_fetch(self))) return err;
    }
}

/* ---------------------------------------------------------------------------------------------------- handlers */

/* Ends the turn that had `budget`, unless something has come. The process is another thread's when it has. */
static bool fell_asleep(struct mt_proc *p, int32_t budget) {
    p->reductions += (uint64_t)(budget > p->task.budget ? budget - p->task.budget : 0);
    return mt_fall_asleep(p);
}

/* One resumption of a handler that receives for itself: not while it stands still, unless it has to hear of its end. Whether it is to go on. */
static bool resume(struct mt_proc *p) {
    while (mt_fetch(p) && mt_has_pending(p) && p->task.budget > 0) continue;
    if (mt_suspended(p) && !(p->flags & MT_PF_EXITING)) return false;
    p->flags &= ~(uint32_t)(MT_PF_AGAIN | MT_PF_NEWS);
    p->code.handler->resume(mt_as_self(p), p->task.stack);
    mt_drop_scratch(p);
    p->task.budget--;
    if (p->flags & MT_PF_NEWS) return true; /* fetched by a call that was no receive, or not looked at */
    return (p->flags & MT_PF_AGAIN) && !mt_suspended(p);
}

/* A turn of it. mote_yield() ends it, so that others run. */
static void hosted_turn(struct mt_sched *s, struct mt_proc *p, int32_t budget) {
    do {
        bool again = resume(p);
        if (again || mt_has_pending(p)) continue;
        if (fell_asleep(p, budget)) return;
        budget = p->task.budget; /* what was used is counted */
    } while (p->task.budget > 0 && !(p->flags & MT_PF_AGAIN));
    p->reductions += (uint64_t)(budget > p->task.budget ? budget - p->task.budget : 0);
    s->fresh_turns = MT_FRESH_TURNS;
    mt_sched_push(s, &p->task);
}

static void first_turn(struct mt_proc *p) {
    const mote_handler *h = p->code.handler;
    p->task.started = 1;
    if (h->init) h->init(mt_as_self(p), (mote_term){p->arg}, p->task.stack);
    mt_free_arg(p);
    mt_drop_scratch(p);
}

void mt_turn(struct mt_sched *s, struct mt_task *task) {
    struct mt_proc *p = mt_task_proc(task);
    const mote_handler *h = p->code.handler;
    int32_t budget = task->budget;
    mt_look_ahead(s);
    if (mt_unlikely(p->flags & MT_PF_TELLING)) {
        mt_bury(s, p);
        return;
    }
    if (mt_unlikely(!task->started)) first_turn(p);
    if (h->resume) {
        hosted_turn(s, p, budget);
        return;
    }
    mt_fetch(p); /* once a turn, so that signals are heard however long the queue is */
    for (;;) {
        if (!p->queue || mt_unlikely(p->suspensions)) mt_fetch(p);
        if (mt_unlikely(p->flags & MT_PF_EXITING)) mt_end_if_exiting(p);
        if (!p->queue || mt_unlikely(mt_suspended(p))) {
            if (mt_unlikely(mt_has_pending(p))) {
                if (task->budget <= 0) break;
                continue;
            }
            if (fell_asleep(p, budget)) return;
            continue;
        }
        mt_take(p, &p->queue);
        h->handle(mt_as_self(p), (mote_term){p->current->root}, task->stack);
        mt_drop_current(p);
        if (mt_unlikely(--task->budget <= 0)) break;
    }
    p->reductions += MT_TURN;
    s->fresh_turns = MT_FRESH_TURNS;
    mt_sched_push(s, task);
}
