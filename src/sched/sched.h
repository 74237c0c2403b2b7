/* SPDX-License-Identifier: Apache-2.0
 * Schedulers: threads that run tasks (processes, seen from below), and how an idle one sleeps.
 *
 * `struct mt_sched` belongs to its thread; an attached thread has one too, without a loop (`outside`). Fields are labelled.
 * L1 a task is in one queue, running, or neither (then somebody's signal will wake it). L2 a task that leaves is touched again only after
 * its context is saved: mt_sched_leave() names it in `left`, whoever runs next on this thread calls after(). L3 parking: announce
 * (park = 1 or 2), fence, look at every source again, sleep; a producer publishes, fences, looks for sleepers (modelled in
 * tests/spin/park.pml). L4 at most one idle scheduler is being woken or searching at a time; it wakes the next when it finds work.
 */
#ifndef MT_SCHED_SCHED_H
#define MT_SCHED_SCHED_H

#include <mote/host.h>
#include <setjmp.h>

#include "base/lock.h"
#include "base/slab.h"
#include "sched/poll.h"
#include "sched/runq.h"
#include "sched/stack.h"
#include "sched/switch.h"
#include "sched/wheel.h"

#define MT_SCHEDS_MAX 255u
#define MT_TURN 2000 /* reductions in a turn */
#define MT_FRESH_TURNS 128 /* after a turn that was used up so many tasks may begin before the ring has its turn again */
#define MT_STOPPED 320 /* bytes above its stack pointer that a task touches at once when it goes on */
#define MT_PATIENCE 8 /* who has so often looked so long in vain does it no more, but for every 16th time */
#define MT_LINGER_NS 50000 /* a poller who has just had news looks for more so long before it sleeps: what waking two cores costs */
#define MT_HOPE 8 /* where lingering was in vain this is a quarter; at 0 it is left, but for every MT_HOPELESS-th time */
#define MT_HOPELESS 64
#define MT_SPIN_NS 20000 /* who may soon have work looks for it so long before it sleeps: about what waking a core costs */

enum mt_task_kind { MT_STRAIGHT, MT_HANDLER, MT_THREAD };
enum mt_how { MT_HOW_WAIT = 1, MT_HOW_YIELD, MT_HOW_ASIDE, MT_HOW_END, MT_HOW_OVERFLOW };

/* What the scheduler knows of a process; its first part. */
struct mt_task {
    struct mt_context context; /* owner: where it stopped; sp NULL before it has run */
    char *stack;               /* owner: top of its stack; NULL until it first runs, and for handlers */
    struct mt_sched *sched;    /* owner: where it runs or ran last */
    _Atomic uint8_t kind;      /* atomic: relaxed, the runner stores: enum mt_task_kind; late senders to a reused slot read it */
    uint8_t priority;          /* const: enum mote_priority */
    uint8_t own_stack;         /* const: its stack is not of the standard size */
    uint8_t started;           /* owner: it has a context, or its init has been called (or it has none) */
    int32_t budget;            /* owner: reductions left in this turn */
};

static inline enum mt_task_kind mt_task_kind(const struct mt_task *task) {
    return (enum mt_task_kind)atomic_load_explicit(&task->kind, memory_order_relaxed);
}
static inline void mt_task_set_kind(struct mt_task *task, enum mt_task_kind kind) {
    atomic_store_explicit(&task->kind, (uint8_t)kind, memory_order_relaxed);
}

struct mt_cluster;

/* What the process layer does for the scheduler. */
struct mt_task_ops {
    void (*turn)(struct mt_sched *sched, struct mt_task *task);  /* run a handler; on the scheduler's stack */
    void (*entry)(void);                                         /* first function on a fresh stack */
    void (*after)(struct mt_sched *sched);                       /* finish what `left` left, see L2 */
    void (*no_stack)(struct mt_sched *sched, struct mt_task *task); /* there is no memory for its stack: end it */
    size_t (*stack_size)(struct mt_task *task);
    void (*expire)(struct mt_sched *sched, struct mt_sched *whose, uint64_t now_ns); /* fire timers of `whose` */
    void (*ready)(struct mt_sched *sched, const struct mt_poll_event *events, size_t count);
    void (*stuck)(struct mt_cluster *cluster, struct mt_sched *sched, struct mt_task *task, uint64_t ns); /* watchdog's report */
    bool (*news)(struct mt_task *task, uint64_t *seen); /* whether signals have come that were not there at `*seen`; any thread */
};

struct mt_sched { /* MT_SHARED */
    struct mt_context base;           /* owner: the thread's own stack */
    struct mt_task *left;             /* owner: the task that was left and is not yet dealt with */
    enum mt_how how;                  /* owner: why it left */
    struct mt_task *picked;           /* owner: to be run from the base stack */
    uint32_t tick;                    /* owner: counts picks */
    uint32_t lifo_runs;               /* owner: picks from the slot in a row */
    uint32_t fresh_picks;             /* owner: counts mt_sched_pick_fresh() */
    uint32_t fruitless;               /* owner: times it has looked for work in vain, one after another */
    bool lively;                      /* owner: its last sleep ended soon, by a descriptor's event */
    uint32_t hope;                    /* owner: not 0: to linger has been worth it nearly always; up to MT_HOPE */
    uint32_t hopeless;                /* owner: counts sleeps at which it was 0 */
    uint32_t fresh_turns;             /* owner: tasks that may begin before those in the ring go on */
    uint64_t random;                  /* owner: xorshift state */
    uint64_t chaos;                   /* const: not 0: short turns, mixed queues */
    bool alone;                       /* const: the only scheduler */
    bool outside;                     /* const: an attached thread's; it has no loop */
    bool watched;                     /* owner: of an attached thread: its next news goes to watch_fd */
    bool oldest_due;                  /* owner: the oldest task that has not begun is next */
    bool duty;                        /* owner: timers or descriptors want a look */
    struct mt_task *attached;         /* const: of an attached thread's: the task of its process; else NULL */
    unsigned id;                      /* const */
    struct mt_cluster *cluster;       /* const */
    struct mt_cache cache;            /* owner */
    struct mt_stack_cache stacks;     /* owner */
    struct mote_arena *spare_arena;   /* owner: an empty scratch arena, or NULL */
    void *chunk;                      /* owner: the process layer's: where slots come from */
    uint64_t ref_next, ref_end;       /* owner: the block of references it hands out */
    int64_t quota;                    /* owner: processes it may start before it asks the runtime */
    uint64_t now_ns;                  /* owner: the time when it last looked: at most 64 picks old, or one long turn */
    uint64_t woken_ns;                /* owner: when it last came out of its sleep */
    uint32_t toil;                    /* owner: not 0: of the last times that it was awake one was long */
    uint64_t polled_ns;               /* owner: when it last looked at descriptors */
    uint64_t oldest_ns;               /* owner: when oldest_due was last set */
    jmp_buf restart;                  /* owner: the loop's start, for tasks that end on the base stack */
    pthread_t thread;                 /* const */

    _Alignas(64) _Atomic uint64_t turns; /* atomic: relaxed, owner stores; the watchdog compares */
    _Atomic(struct mt_task *) current;   /* atomic: release, owner stores; the watchdog, which acquires it, may look into the slot, however young that is */
    _Atomic uint64_t sent;               /* atomic: relaxed, owner stores, as the next four */
    _Atomic uint64_t dropped;            /* atomic: as sent */
    _Atomic uint64_t dead;               /* atomic: as sent */
    _Atomic uint64_t steals;             /* atomic: as sent */
    _Atomic uint64_t parks;              /* atomic: as sent */
    _Atomic uint64_t idle_ns;            /* atomic: as sent; without the present sleep */
    _Atomic int thread_id;               /* atomic: relaxed, stored once */
    _Atomic uint64_t asleep_since_ns;    /* atomic: as sent; 0: awake */
    _Atomic uint64_t started;            /* atomic: release, processes started here */
    _Atomic uint64_t ended;              /* atomic: release, processes ended here */

    _Alignas(64) _Atomic(struct mt_task *) lifo; /* atomic: acq_rel: the newest woken task, stealable */
    _Atomic uint32_t park;                       /* atomic: seq_cst: 0 awake, 1 asleep on this word, 2 in the poller, 3 woken */
    _Atomic bool searching;                      /* atomic: counted in cluster->searching */
    _Atomic int watch_fd;                        /* atomic: seq_cst: written to by who wakes an attached thread, or -1 */
    _Atomic bool stuck;                          /* atomic: the watchdog's, or relaxed, owner: its slot may be stolen; a host's turn is over */
    struct mt_ring rings[MT_PRIORITIES];         /* atomic: see runq.h */
    struct mt_fresh fresh;                       /* atomic: see runq.h; normal priority only */

    struct mt_lock wheel_mu;
    struct mt_wheel wheel;           /* lock: wheel_mu */
    void *alarms;                    /* lock: wheel_mu: the process layer's timers */
    _Atomic uint64_t wheel_next_ns;  /* atomic: relaxed hint, written under wheel_mu */
};

/* All schedulers of a runtime. */
struct mt_cluster { /* MT_SHARED */
    struct mt_sched **scheds;         /* const */
    unsigned count;                   /* const */
    const struct mt_task_ops *ops;    /* const */
    const struct mote_host_loop *host; /* const: or NULL */
    size_t stack_head;                /* const: bytes above each stack that are a host's */
    struct mt_poll *poll;             /* const */
    struct mt_depot *depot;           /* const */
    uint64_t started_ns;              /* const */
    bool spare_cores;                 /* const: there is more than one core: spinning makes sense */
    struct mt_injector injector;      /* lock: its own */
    _Alignas(64) _Atomic uint32_t parked;    /* atomic: seq_cst: schedulers asleep */
    _Atomic int32_t searching;              /* atomic: seq_cst: schedulers that look for work */
    _Atomic bool stopping;                   /* atomic: seq_cst: schedulers shall end */
    _Atomic bool priorities;                 /* atomic: relaxed: there is or was a task whose priority is not normal */
    _Atomic uint32_t watch_word;             /* atomic: seq_cst: the watchdog sleeps on it: 1 for a tick, 2 without limit */
    pthread_t watchdog;                      /* const */
};

/* The scheduler of the calling thread, or NULL. Not inlined: thread-local addresses must not be carried across switches. */
struct mt_sched *mt_sched_here(void);
void mt_sched_set_here(struct mt_sched *sched);

/* Makes a scheduler's struct, without thread. MOTE_ENOMEM. */
mote_err mt_sched_new(struct mt_cluster *cluster, struct mt_stacks *stacks, unsigned id, bool outside, struct mt_sched **sched);
/* Frees it; its thread has ended. Takes. */
void mt_sched_free(struct mt_sched *sched);
/* Starts the threads of `count` schedulers and the watchdog. MOTE_EOS: none is left running. */
mote_err mt_cluster_start(struct mt_cluster *cluster);
/* Tells all to end and joins them. No task may be left. Blocks. */
void mt_cluster_stop(struct mt_cluster *cluster);

/* Makes a task runnable: woken by a message (it runs next here, if nothing stands against it), or at the end of the queue. The task
 * may run elsewhere before the call returns. `sched` is the caller's. */
static inline void mt_sched_wake(struct mt_sched *sched, struct mt_task *task);
void mt_sched_wake_any(struct mt_sched *sched, struct mt_task *task);
void mt_sched_push(struct mt_sched *sched, struct mt_task *task);
/* Wakes an idle scheduler if there is one and none is searching. */
void mt_cluster_notify(struct mt_cluster *cluster);
/* Hands ready descriptors to the process layer, if there are any and nobody else looks at them. */
void mt_sched_look_at_descriptors(struct mt_sched *sched);
/* Wakes one scheduler if it sleeps (it shall look at its wheel or at descriptors). */
void mt_sched_kick(struct mt_sched *sched);

/* The next task from the scheduler's own queues; NULL: go to the base stack. */
struct mt_task *mt_sched_pick_slow(struct mt_sched *sched);
/* From the ring or from those that have not begun; NULL when both are empty. */
struct mt_task *mt_sched_pick_fresh(struct mt_sched *sched);

static inline void mt_count(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Counts one, after what was done before. */
static inline void mt_count_release(_Atomic uint64_t *counter) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_release);
}

/* Puts a task (or none) into the slot and gives the one that was there. Where there is one scheduler there is nobody to steal it. */
static inline struct mt_task *mt_sched_swap_lifo(struct mt_sched *s, struct mt_task *task) {
    if (!s->alone) return atomic_exchange_explicit(&s->lifo, task, memory_order_acq_rel);
    struct mt_task *old = atomic_load_explicit(&s->lifo, memory_order_relaxed);
    atomic_store_explicit(&s->lifo, task, memory_order_relaxed);
    return old;
}

/* A task that runs soon: where it stopped is fetched meanwhile. Only a hint, so it may be read while others run it. */
static inline void mt_task_prefetch(const struct mt_task *task) {
    const char *sp = MT_TSAN ? NULL : __atomic_load_n((char *const *)(const void *)&task->context.sp, __ATOMIC_RELAXED);
    if (!sp) return;
    for (size_t at = 0; at < MT_STOPPED; at += 64) mt_prefetch_write(sp + at);
}

static inline void mt_sched_wake(struct mt_sched *s, struct mt_task *task) {
    bool here = !s->outside && !s->chaos && task->priority == MOTE_NORMAL && mt_task_kind(task) != MT_THREAD;
    if (mt_unlikely(!here)) {
        mt_sched_wake_any(s, task);
        return;
    }
    mt_task_prefetch(task);
    task = mt_sched_swap_lifo(s, task);
    if (task) mt_sched_push(s, task);
}

/* The next in the ring are fetched: the first with its stack and what else it touches, the third to be looked at when it is the first. */
static inline void mt_sched_look_ahead(struct mt_ring *ring) {
    const struct mt_task *next = mt_ring_peek(ring, 0), *third;
    if (!next) return;
    mt_prefetch_write((const char *)next + 64);
    mt_prefetch_write((const char *)next + 128);
    mt_task_prefetch(next);
    if ((third = mt_ring_peek(ring, 2))) mt_prefetch_write(third);
}

static inline struct mt_task *mt_sched_pick(struct mt_sched *s) {
    if (mt_unlikely((++s->tick & 63) == 0 || s->chaos)) return mt_sched_pick_slow(s);
    if (mt_unlikely(atomic_load_explicit(&s->cluster->priorities, memory_order_relaxed))) return mt_sched_pick_slow(s);
    if (atomic_load_explicit(&s->lifo, memory_order_relaxed) && (++s->lifo_runs & 63)) {
        struct mt_task *task = mt_sched_swap_lifo(s, NULL);
        if (mt_likely(task != NULL)) return task;
    }
    if (mt_unlikely(mt_fresh_count(&s->fresh) != 0)) return mt_sched_pick_fresh(s);
    struct mt_task *task = mt_ring_pop(&s->rings[0]);
    if (task) mt_sched_look_ahead(&s->rings[0]);
    return task;
}

/* Makes a picked straight-line task ready to be switched to; false: there is no stack for it. */
static inline bool mt_sched_bind(struct mt_sched *s, struct mt_task *task) {
    if (mt_likely(task->started)) return true;
    task->sched = s; /* the one it was started from may be gone: a detached thread's */
    if (!task->stack) task->stack = mt_stack_take(&s->stacks);
    if (mt_unlikely(!task->stack)) return false;
    size_t head = s->cluster->stack_head;
    mt_context_prepare(&task->context, task->stack - head, s->cluster->ops->stack_size(task) - head, s->cluster->ops->entry);
    task->started = 1;
    return true;
}

static inline void mt_sched_resume(struct mt_sched *s, struct mt_task *task) {
    task->sched = s;
    task->budget = mt_likely(!s->chaos) ? MT_TURN : (int32_t)(s->random >> 40 & 31) + 1;
    atomic_store_explicit(&s->current, task, memory_order_release);
    mt_count(&s->turns, 1);
}

/* Leaves the running straight-line task: others run. When it returns, the caller runs again, maybe on another scheduler
 * (task->sched), and must call ops->after() or its inlined form at once. Inlined: see switch.h. */
static inline __attribute__((always_inline)) void mt_sched_leave(struct mt_sched *s, struct mt_task *task, enum mt_how how) {
    s->left = task;
    s->how = how;
    struct mt_task *next = mt_sched_pick(s);
    if (mt_likely(next && mt_task_kind(next) == MT_STRAIGHT && mt_sched_bind(s, next))) {
        mt_sched_resume(s, next);
        mt_context_switch(&task->context, &next->context, how == MT_HOW_END);
    } else {
        s->picked = next;
        atomic_store_explicit(&s->current, NULL, memory_order_relaxed);
        mt_context_switch(&task->context, &s->base, how == MT_HOW_END);
    }
}

#endif
