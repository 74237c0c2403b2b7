/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proc/proc.h"

#define COST_SPAWN 20 /* reductions */
#define STATE_MAX ((size_t)1 << 30)

mote_err mt_more(struct mt_proc *p) {
    if (p->more) return MOTE_OK;
    struct mt_more *more = mt_cache_alloc(mt_cache_of(p), sizeof *more);
    if (!more) return MOTE_ENOMEM;
    memset(more, 0, sizeof *more);
    more->refused_before = atomic_load_explicit(&p->refused, memory_order_relaxed);
    p->more = more;
    return MOTE_OK;
}

size_t mt_task_stack_size(struct mt_task *task) {
    struct mt_proc *p = mt_task_proc(task);
    return task->own_stack ? p->more->stack_size : mt_stacks_size(task->sched->stacks.stacks);
}

static mote_err check(mote_runtime *rt, const mote_spawn_options *o, mote_term arg) {
    if (!o->body == !o->handler || (o->hosted && !o->body) || arg.word == 0) return arg.word == 0 ? MOTE_ETERM : MOTE_EARG;
    if (o->handler && (!o->handler->handle == !o->handler->resume || o->stack_size)) return MOTE_EARG;
    if (o->handler && o->handler->state_size > STATE_MAX) return MOTE_ELIMIT;
    if (o->stack_size && (o->stack_size < MT_STACK_MIN + rt->options.stack_head || o->stack_size > MT_STACK_MAX)) return MOTE_ELIMIT;
    if (o->mailbox_max > MT_COUNT_MAX) return MOTE_ELIMIT;
    if (o->name && strlen(o->name) >= sizeof ((struct mt_more *)0)->name) return MOTE_ELIMIT;
    if (o->policy > MOTE_END || o->priority > MOTE_LOW || o->monitoring.alias > MOTE_ALIAS_REPLY_DEMONITOR) return MOTE_EARG;
    return atomic_load_explicit(&rt->stopped, memory_order_relaxed) ? MOTE_ESTOPPED : MOTE_OK;
}

/* The scheduler's idea of the time: read anew only when it looks at its timers, so a start costs no clock. */
static uint32_t born_now(struct mt_sched *s) {
    uint64_t now = s->outside ? mt_os_now_ns() : s->now_ns;
    uint64_t since = now > s->cluster->started_ns ? now - s->cluster->started_ns : 0;
    return (uint32_t)(since >> MT_BORN_SHIFT);
}

uint64_t mt_lived_ms(struct mt_proc *p) {
    uint64_t now = (mt_os_now_ns() - p->task.sched->cluster->started_ns) >> MT_BORN_SHIFT;
    return (((uint32_t)now - p->born) << MT_BORN_SHIFT) / 1000000u;
}

void mt_reset(struct mt_proc *p, struct mt_sched *s, enum mt_task_kind kind) {
    memset(&p->task.context, 0, sizeof p->task.context);
    p->task.stack = NULL;
    p->task.sched = s;
    mt_task_set_kind(&p->task, kind);
    p->task.priority = p->task.own_stack = p->task.started = 0;
    p->task.budget = 0;
    p->current = p->queue = p->arg_sig = NULL;
    p->queue_end = p->mark_at = &p->queue;
    p->mark = 0;
    p->flags = p->queued = p->suspensions = 0;
    p->relations = 0;
    p->born = born_now(s);
    atomic_store_explicit(&p->naming, 0, memory_order_relaxed);
    p->scratch = NULL;
    p->more = NULL;
    p->reductions = 0;
}

void mt_set_hosted(struct mt_proc *p) {
    p->flags |= MT_PF_HOSTED;
    atomic_fetch_or(&p->naming, MT_IS_HOSTED);
}

#define REACH_BITS ((unsigned)3 << MT_REACH_SHIFT)

static mote_reach reach_in(uint16_t naming) { return (mote_reach)((naming & REACH_BITS) >> MT_REACH_SHIFT); }

mote_reach mt_reach_set(struct mt_proc *p, mote_reach reach) {
    uint16_t naming = atomic_load(&p->naming);
    while (!atomic_compare_exchange_weak(&p->naming, &naming, (uint16_t)((naming & ~REACH_BITS) | (unsigned)reach << MT_REACH_SHIFT))) {}
    return reach_in(naming);
}

mote_reach mt_reach_of(mote_runtime *rt, uint64_t pid) {
    struct mt_proc *p = mt_table_find(rt, pid);
    return p && mt_serial(p) == mt_pid_serial(pid) ? reach_in(atomic_load_explicit(&p->naming, memory_order_acquire)) : MOTE_REACH_ALL;
}

bool mt_has_ended(mote_runtime *rt, uint64_t pid) {
    struct mt_proc *p = mt_table_find(rt, pid);
    return p && (mt_serial(p) != mt_pid_serial(pid) || (atomic_load(&p->inbox.low) & MT_IN_CLOSED));
}

static void reset(struct mt_proc *p, struct mt_sched *s, const mote_spawn_options *o) {
    mt_reset(p, s, o->handler ? MT_HANDLER : MT_STRAIGHT);
    p->task.priority = (uint8_t)o->priority;
    if (o->handler)
        p->code.handler = o->handler;
    else
        p->code.body = o->body;
    if (o->hosted || (o->handler && o->handler->resume)) mt_set_hosted(p);
    if (o->reach) (void)mt_reach_set(p, o->reach);
}

/* What only some processes have: a name, a limit, a stack of another size. */
static mote_err add_options(mote_runtime *rt, struct mt_proc *p, const mote_spawn_options *o) {
    if (!o->name && !o->mailbox_max && !o->stack_size) return MOTE_OK;
    size_t page = mt_os_page_size(), size = (o->stack_size + page - 1) / page * page;
    mote_err err = mt_more(p);
    if (err) return err;
    if (o->name) memcpy(p->more->name, o->name, strlen(o->name) + 1);
    if (o->mailbox_max) {
        p->flags |= MT_PF_BOUNDED;
        uint32_t limit = (uint32_t)o->mailbox_max | (uint32_t)o->policy << 30;
        atomic_store_explicit(&p->count_max, limit, memory_order_relaxed);
    }
    if (size && size != mt_stacks_size(rt->stacks)) {
        p->more->stack_size = size;
        p->task.own_stack = 1;
        if (!(p->task.stack = mt_stack_map(size))) return MOTE_ENOMEM;
    }
    return MOTE_OK;
}

static mote_err add_arg(struct mt_proc *p, mote_term arg) {
    p->arg = arg.word;
    if (!mt_is_pointer(arg.word) && mt_tag(arg.word) != MT_ATOM) return MOTE_OK;
    if (mt_tag(arg.word) == MT_ATOM && !mt_atom_counted(arg.word)) return MOTE_OK;
    mote_err err = mt_sig_of_term(mt_cache_of(p), arg, 0, NULL, &p->arg_sig);
    if (err) return err;
    p->arg = p->arg_sig->root;
    p->arg_sig->next = NULL;
    return MOTE_OK;
}

static mote_err add_state(struct mt_proc *p, const mote_handler *h) {
    if (!h || !h->state_size) return MOTE_OK;
    p->task.stack = mt_cache_alloc(mt_cache_of(p), h->state_size);
    if (!p->task.stack) return MOTE_ENOMEM;
    memset(p->task.stack, 0, h->state_size);
    return MOTE_OK;
}

/* Inherited from who starts it. */
static mote_err add_leader(struct mt_proc *self, struct mt_proc *p) {
    if (mt_likely(!(self->flags & MT_PF_LED))) return MOTE_OK;
    mote_err err = mt_more(p);
    if (err) return err;
    p->more->leader = self->more->leader;
    p->flags |= MT_PF_LED;
    return MOTE_OK;
}

static void undo(mote_runtime *rt, struct mt_proc *p) {
    struct mt_cache *cache = mt_cache_of(p);
    mt_free_arg(p);
    mt_relations_drop(p);
    if (mt_task_kind(&p->task) == MT_HANDLER && p->task.stack) mt_cache_free(cache, p->task.stack, p->code.handler->state_size);
    if (mt_task_kind(&p->task) != MT_HANDLER && p->task.stack) mt_stack_unmap(p->task.stack, p->more->stack_size);
    mt_free_more(rt, cache, p);
    mt_table_give(rt, p);
}

/* From here on it can be found, and runs. A handler without init sleeps until its first message. */
static void publish(struct mt_sched *s, struct mt_proc *p) {
    uint64_t bounded = p->flags & MT_PF_BOUNDED ? MT_IN_BOUNDED : 0;
    if (mt_task_kind(&p->task) == MT_HANDLER && !p->code.handler->init && !p->code.handler->resume) {
        p->task.started = 1;
        mt_free_arg(p);
        mt_pair_set(&p->inbox, bounded | MT_IN_WAITING, mt_serial(p));
        return;
    }
    mt_pair_set(&p->inbox, bounded, mt_serial(p));
    mt_sched_wake(s, &p->task);
}

/* Counts the process as started: who stops the runtime waits for it from now on. Or the runtime has stopped: then the one who stops it
 * may be through with waiting for processes. (Only an attached thread can meet that: other starters are waited for themselves.) */
static bool count_started(mote_runtime *rt, struct mt_proc *self) {
    struct mt_sched *s = self->task.sched;
    mt_count_release(&s->started);
    if (mt_task_kind(&self->task) != MT_THREAD) return true;
    mt_fence();
    if (!atomic_load(&rt->stopped)) return true;
    mt_runtime_ended(rt, s);
    return false;
}

mote_err mt_spawn_born(struct mt_proc *self, const mote_spawn_options *o, mote_term arg, mote_err (*born)(void *context, struct mt_proc *child), void *context,
                       mote_pid *pid) {
    struct mt_sched *s = self->task.sched;
    mote_runtime *rt = mt_runtime(self);
    struct mt_proc *p;
    mote_err err = check(rt, o, arg);
    if (err || (err = mt_table_take(rt, s, &p))) goto unborn;
    reset(p, s, o);
    if ((err = add_options(rt, p, o)) || (err = add_arg(p, arg)) || (err = add_state(p, o->handler)) || (err = add_leader(self, p)))
        goto fail;
    if ((o->link || o->monitor) && (err = mt_relate_child(self, p, o))) goto fail;
    if (!count_started(rt, self)) {
        err = MOTE_ESTOPPED;
        goto fail;
    }
    if (born && (err = born(context, p))) {
        mt_runtime_ended(rt, s);
        goto fail;
    }
    if (o->priority != MOTE_NORMAL) atomic_store_explicit(&s->cluster->priorities, true, memory_order_relaxed);
    uint64_t word = mt_proc_pid(p);
    publish(s, p);
    if (pid) pid->word = word;
    if ((self->task.budget -= COST_SPAWN) <= 0) mt_turn_over(self);
    return MOTE_OK;
fail:
    undo(rt, p);
unborn: /* who tries again and again must get to the end of its turn, too */
    if ((self->task.budget -= COST_SPAWN) <= 0) mt_turn_over(self);
    return err;
}

mote_err mt_spawn(struct mt_proc *self, const mote_spawn_options *o, mote_term arg, mote_pid *pid) { return mt_spawn_born(self, o, arg, NULL, NULL, pid); }
