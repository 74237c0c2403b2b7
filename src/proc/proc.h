/* SPDX-License-Identifier: Apache-2.0
 * Processes: control blocks, signals, inboxes; everything that the laws L1-L6 of docs/design/README.md speak of.
 *
 * A process's fields belong to the thread that runs it (owner); others reach it by pushing signals into its inbox only.
 * P1 inbox.low is the newest signal's address | state bits; inbox.high is the serial of the slot's use. A push succeeds only if serial
 *    and openness hold at that instant. P2 who clears WAITING makes the process runnable, nobody else does. P3 after a process has set
 *    WAITING or CLOSED it is not touched by its former runner. P4 control signals are applied by the process itself, in the order of the
 *    inbox, when it fetches. P5 a slot's memory stays a slot's (chunks are never unmapped while the runtime lives).
 */
#ifndef MT_PROC_PROC_H
#define MT_PROC_PROC_H

#include "base/hash.h"
#include "base/lock.h"
#include "sched/pool.h"
#include "sched/sched.h"
#include "term/term.h"

#define MT_IN_WAITING 1u /* it sleeps: who pushes clears this and wakes it */
#define MT_IN_CLOSED 2u  /* it has ended, or the slot is free */
#define MT_IN_BOUNDED 4u /* its mailbox has a limit: messages go through to_bounded() in send.c */
#define MT_IN_KILLED 8u  /* the runtime stops: it shall end; takes no memory, as a signal would */
#define MT_IN_STATE 15u
#define MT_COUNT_MAX 0x3fffffffu /* the largest mailbox limit */

enum mt_sig_kind {
    MT_SIG_MESSAGE,
    MT_SIG_ALIASED,      /* a message whose last word of heap is the alias it was sent to */
    MT_SIG_EXIT,         /* of exit/2; words 1 to 4: {'EXIT', From, Reason} */
    MT_SIG_LINK_EXIT,    /* a linked process has ended; as MT_SIG_EXIT */
    MT_SIG_LINK,         /* root: who links */
    MT_SIG_UNLINK,       /* root: the unlink's id; heap[0]: who unlinks */
    MT_SIG_UNLINKED,     /* the acknowledgement: root: id; heap[0]: who acknowledges */
    MT_SIG_MONITOR,      /* root: reference; see relation.c for the words */
    MT_SIG_DEMONITOR,    /* root: reference */
    MT_SIG_DOWN,         /* root: reference; from word 1: {'DOWN', Ref, process, Item, Reason} */
    MT_SIG_GROUP_LEADER, /* root: pid */
    MT_SIG_TIMEOUT,      /* the alarm of a wait has fired */
    MT_SIG_SUSPEND,      /* heap[0]: pid of a sender that stands still */
    MT_SIG_RESUME,       /* a sender may go on */
    MT_SIG_INFO,         /* heap[0]: struct mt_info_request * that the asker waits on */
    MT_SIG_FD,           /* a struct mt_watch whose descriptor is ready; becomes a message, or ends a wait */
    MT_SIG_DONE,         /* look again: a blocking call has returned (root 1), an answer is there (root 0) */
    MT_SIG_LOST,         /* another worker has ended: see relation.c; root: key of the note (far.c) */
    MT_SIG_STAND,        /* root: a far receiver whose mailbox is full: stand still for it */
    MT_SIG_SPAWN,        /* to another node only: root: {Ref, Pid, Module, Function, Arguments, MT_STARTS_...} of a process to be started */
    MT_SIG_STARTED,      /* the answer: root: reference; see relation.c for the words */
    MT_SIG_ALIAS,        /* relations only (relation.c): an alias; another process that this one monitors; a process that another node shall start */
    MT_SIG_WATCH,
    MT_SIG_STARTING
};
/* Of a request to start a process, and the first two of its answer. */
#define MT_STARTS_LINKED 1u
#define MT_STARTS_MONITORED 2u
#define MT_STARTS_QUIETLY 4u /* that it has started is no message */
#define MT_SIG_COUNTED 1u  /* its heap (behind the fragment's address) holds counted things */
#define MT_SIG_SHARED 2u   /* heap[0] is a struct mt_frag * that holds the term, or the reason (counted) */
#define MT_SIG_UNSENT 4u   /* no process sent it (timers, descriptors, blocking calls): not in the figures of messages */
#define MT_SIG_PRIORITY 8u /* goes ahead of ordinary messages, if the alias allows it */
#define MT_SIG_NAMED 16u   /* a timer's: the receiver is the name in `pid`'s place, looked up when it fires */

/* A signal in an inbox or queue; the term's words lie behind it. */
struct mt_sig {
    struct mt_sig *next;
    uint8_t kind;
    uint8_t flags;
    uint16_t extra; /* of a note and a LOST signal: the worker, see far.c; of a WATCH and an ALIAS: what the alias is, see relation.c */
    uint32_t words; /* of heap */
    uint64_t root;  /* the message, the reason */
    uint64_t heap[];
};

/* A large term, shared by the messages that carry it. */
struct mt_frag {
    _Atomic uint64_t refs; /* atomic: relaxed up, acq_rel down */
    uint64_t root;         /* const */
    uint32_t words;        /* const */
    uint32_t counted;      /* const: holds counted things */
    uint64_t heap[];       /* const */
};
#define MT_SHARE_WORDS 32u /* 256 bytes: terms of more words are shared */

enum mt_proc_flags {
    MT_PF_EXITING = 1,  /* an exit signal was applied: it ends at once */
    MT_PF_TRAPS = 2,    /* exit signals become messages */
    MT_PF_ENDING = 4,   /* clean-ups run: it must not wait or receive */
    MT_PF_TELLING = 8,   /* it has ended, and tells its relations so, some in each turn */
    MT_PF_HOSTED = 16,   /* told of its end, switched only where it waits: see host.h */
    MT_PF_DONE = 32,     /* a blocking call has returned */
    MT_PF_ARMED = 64,    /* its alarm is in a wheel */
    MT_PF_BOUNDED = 128, /* as MT_IN_BOUNDED */
    MT_PF_LED = 256,     /* it has a group leader, in `more` */
    MT_PF_HIBERNATING = 512, /* it leaves its stack, see mt_hibernate() */
    MT_PF_HIBERNATED = 1024, /* it begins anew when there is a message */
    MT_PF_AGAIN = 2048,      /* a handler to be resumed without a reason */
    MT_PF_NEWS = 4096,       /* a message was fetched, or the end, that a hosted process may not have looked at */
    MT_PF_TOLD = 8192,       /* its host has told of its end */
    MT_PF_HURRIES = 16384    /* what it sends now does not make it stand still */
};

/* Of `naming`. */
#define MT_NAMED 1u /* it has a name, or is about to get one */
#define MT_DYING 2u /* it gets no name any more */
#define MT_IS_HOSTED 4u /* as MT_PF_HOSTED, for others to see */
#define MT_IS_NOTED 8u /* has a relation with another worker's: see far.h */
#define MT_REACH_SHIFT 4 /* a mote_reach, in two bits */

struct mt_cleanup {
    struct mt_cleanup *next;
    void (*fn)(void *context);
    void *context;
};

/* Memory of mote_alloc(), in a list. */
struct mt_owned {
    struct mt_owned *next, *prev;
    size_t size;
    size_t unused;
};

struct mt_proc;
struct mt_reason;

/* What few processes have; made when first needed. */
struct mt_more { /* owner: all of it */
    char name[64];
    size_t stack_size;
    struct mt_cleanup *cleanups;
    struct mt_owned *owned;
    size_t owned_bytes;
    struct mt_sig *suspended; /* SUSPEND signals of senders that stand still */
    struct mt_sig *watches;   /* FD signals of descriptors it has armed, linked by `next` */
    uint32_t refused_before;  /* `refused` when it started */
    uint64_t leader;          /* group leader, with MT_PF_LED */
    uint64_t fd_done;         /* ticket of the wait for a descriptor that is over, and the events */
    int fd_events;
    void (*ending)(struct mt_proc *p, void *context, struct mt_reason *reason); /* has the last word on the reason that its relations are told, and ends the context; or NULL */
    void *ending_context;
};

struct mt_proc { /* MT_SHARED */
    struct mt_pair inbox;   /* atomic: see P1 */
    struct mt_task task;    /* owner: first line's rest; a handler's state is its `stack` */
    union {
        mote_body body;
        const mote_handler *handler;
    } code;                 /* const while the process lives */
    struct mt_sig *current; /* owner: the message last received */

    struct mt_sig *queue;       /* owner: fetched messages, oldest first */
    struct mt_sig **queue_end;  /* owner: where the next is linked */
    struct mt_sig **mark_at;    /* owner: messages before it are older than `mark` */
    uint64_t mark;              /* owner: the newest reference made, or 0 */
    uint32_t flags;             /* owner: enum mt_proc_flags */
    uint32_t queued;            /* owner: messages in `queue`; a free slot's link */
    uint64_t relations;         /* owner: links, monitors and aliases: see relation.c */
    uint64_t arg;               /* owner: what it was started with; the reason of its end */

    uint64_t reductions;        /* owner: of turns that are over */
    mote_arena *scratch;        /* owner: or NULL */
    _Atomic(struct mt_more *) more; /* atomic: owner stores; NULL or what few have; its name is read by the watchdog, see mt_free_more() */
    struct mt_sig *arg_sig;     /* owner: list of what holds `arg` and, when it ends, the reason; or NULL */
    uint64_t due_ns;            /* owner: when its armed alarm fires */
    uint64_t alarm;             /* owner: reference of its alarm */
    uint32_t index;             /* const: of the slot */
    uint16_t suspensions;       /* owner: receivers it waits for, by their policy */
    _Atomic uint16_t naming;    /* atomic: seq_cst: MT_NAMED, MT_DYING, see names.c; MT_IS_HOSTED, set while it starts */
    _Atomic uint32_t refused;   /* atomic: relaxed: messages dropped by policy, since the slot exists */
    uint32_t born;              /* owner: when it started: units of 2^MT_BORN_SHIFT ns since the runtime did */
    _Atomic int32_t count;      /* atomic: relaxed: messages accepted and not yet taken, when bounded; never reset, see send.c */
    _Atomic uint32_t count_max; /* atomic: relaxed: the limit, and the policy in its top two bits, when bounded */
};

_Static_assert(MT_ASAN || MT_TSAN || sizeof(struct mt_proc) <= 192, "three cache lines"); /* sanitizers add to its context */
#define MT_BORN_SHIFT 24 /* 16.8 ms: 32 bits last for two years */

#ifndef MT_CHUNK_SLOTS
#define MT_CHUNK_SLOTS 1024u
#endif

/* A chunk of the process table. */
struct mt_chunk { /* MT_SHARED */
    struct mt_proc *slots;             /* const */
    uint32_t first;                    /* const: index of slots[0] */
    _Atomic uint32_t freed;            /* atomic: acq_rel: stack of freed slots (position + 1), linked by `queued` */
    _Atomic uint32_t free_count;       /* atomic: acq_rel: free slots, the untouched ones included */
    _Atomic uint32_t state;            /* atomic: changed under the table's lock: enum in table.c */
    uint32_t local;                    /* owner of the chunk: free slots taken over (position + 1) */
    uint32_t touched;                  /* owner of the chunk: slots from here on were never used since serial_base */
    uint64_t serial_base;              /* owner of the chunk: serials of untouched slots start above it */
    struct mt_chunk *next;             /* lock: table mu: list of chunks with free slots */
    uint32_t whole;                    /* lock: table mu: counted in available_whole */
};

struct mt_table { /* MT_SHARED */
    uint64_t own;                  /* const: the worker bits of this runtime's pids, in their place */
    struct mt_chunk **chunks;      /* atomic by construction: an entry is written before chunk_count counts it, see table.c */
    _Atomic uint32_t chunk_count;  /* atomic: release */
    uint32_t chunk_max;            /* const */
    struct mt_lock mu;
    struct mt_chunk *available;    /* lock: mu */
    uint32_t available_whole;      /* lock: mu: chunks in the list without a process */
};

struct mt_attached {
    struct mt_attached *next;
    struct mt_proc *proc;
    pthread_t thread;
};

struct mote_runtime { /* MT_SHARED */
    struct mt_cluster cluster;     /* see there; first */
    struct mt_table table;         /* see there */
    struct mt_stacks *stacks;      /* const */
    struct mt_sched *stopper;      /* const: to wake processes from when the runtime stops */
    struct mt_pool *pool;          /* const */
    mote_options options;          /* const */
    _Atomic uint64_t refs;         /* atomic: block numbers of references */
    _Atomic uint64_t tickets;      /* atomic: names of descriptor watches */
    _Atomic int64_t room;          /* atomic: processes that may still start, beyond the schedulers' quotas */
    _Atomic bool stopped;          /* atomic: no new processes, waits of threads end */
    _Atomic bool draining;         /* atomic: who ends the last process wakes the stopper */
    _Atomic uint32_t drained;      /* atomic: the stopper's futex */
    struct mt_names *names;        /* const: see names.c */
    _Atomic(struct mt_far *) far;  /* atomic: release: the other workers, see far.c; NULL: there never was one */
    _Atomic uint64_t leader;       /* atomic: relaxed: the group leader of those who have none of their own */
    _Atomic uint64_t deaths_to;    /* atomic: relaxed: who gets death certificates */
    _Atomic uint64_t deaths_since_ns; /* atomic: relaxed: see death.c */
    _Atomic uint32_t deaths_told;  /* atomic: relaxed: as above */
    _Atomic uint32_t deaths_missed; /* atomic: relaxed: as above */
    int64_t quota_batch;           /* const: how many a scheduler may reserve at once */
    struct mt_lock mu;             /* rank RUNTIME */
    struct mt_sched *foreign;      /* lock: mu: schedulers for threads of the blocking pool to send from, linked by spare_arena */
    unsigned foreign_made;         /* lock: mu */
    unsigned foreign_used;         /* lock: mu: reserved by blocking calls under way */
    struct mt_attached *attached;  /* lock: mu */
    uint64_t attached_started;     /* lock: mu */
    _Atomic uint64_t gone_started; /* atomic: figures of detached threads */
    _Atomic uint64_t gone_ended;   /* atomic: as above */
    _Atomic uint64_t gone_sent;    /* atomic: as above */
    _Atomic uint64_t gone_dropped; /* atomic: as above */
    _Atomic uint64_t gone_dead;    /* atomic: as above */
    _Atomic bool inspecting;       /* atomic: seq_cst: the watchdog reads some process's `more` */
    _Atomic uint32_t owners;       /* atomic: the starter and each attached thread; the last frees */
};

static inline struct mt_proc *mt_self(mote_self *self) { return (struct mt_proc *)(void *)self; }
static inline mote_self *mt_as_self(struct mt_proc *p) { return (mote_self *)(void *)p; }
static inline struct mt_proc *mt_task_proc(struct mt_task *t) {
    return (struct mt_proc *)(void *)((char *)t - offsetof(struct mt_proc, task));
}
static inline mote_runtime *mt_runtime_of_sched(struct mt_sched *s) { return (mote_runtime *)(void *)s->cluster; }
static inline mote_runtime *mt_runtime(struct mt_proc *p) { return mt_runtime_of_sched(p->task.sched); }
static inline int32_t mt_mailbox_max(struct mt_proc *p) {
    return (int32_t)(atomic_load_explicit(&p->count_max, memory_order_relaxed) & MT_COUNT_MAX);
}
static inline uint64_t mt_serial(struct mt_proc *p) { return atomic_load_explicit(&p->inbox.high, memory_order_relaxed); }
/* The pid of a slot's use. */
static inline uint64_t mt_pid_of(const mote_runtime *rt, uint64_t index, uint64_t serial) { return mt_pid_word(index, 0, serial) | rt->table.own; }
static inline uint64_t mt_proc_pid(struct mt_proc *p) { return mt_pid_of(mt_runtime(p), p->index, mt_serial(p)); }
/* This runtime's number among the node's workers. */
static inline unsigned mt_own_worker(const mote_runtime *rt) { return mt_pid_worker(rt->table.own) & (MT_WORKERS_MAX - 1); }
/* Whether a pid is another worker's. */
static inline bool mt_is_far(const mote_runtime *rt, uint64_t pid) { return mt_tag(pid) == MT_PID && ((pid ^ rt->table.own) & MT_PID_WORKER_MASK); }
/* The group leader: its own, or the runtime's. */
static inline uint64_t mt_leader(struct mt_proc *p) {
    return p->flags & MT_PF_LED ? p->more->leader : atomic_load_explicit(&mt_runtime(p)->leader, memory_order_relaxed);
}
static inline struct mt_cache *mt_cache_of(struct mt_proc *p) { return &p->task.sched->cache; }

/* ------------------------------------------------------------------------------------------- table.c */

mote_err mt_table_init(struct mt_table *table, size_t processes_max);
void mt_table_fini(struct mt_table *table);
/* A free slot with a fresh serial, still closed; its `index` is set. MOTE_ELIMIT, MOTE_ENOMEM. Owner of the scheduler. */
mote_err mt_table_take(mote_runtime *rt, struct mt_sched *s, struct mt_proc **p);
/* Gives a closed slot back. The runner of the process. */
void mt_table_give(mote_runtime *rt, struct mt_proc *p);
/* Gives up the chunk a scheduler takes slots from. */
void mt_table_release_chunk(mote_runtime *rt, struct mt_sched *s);

/* The slot of a pid: maybe another process's by now (a push tells). NULL: no such slot (a far pid's place lies behind all of them), or serial 0,
 * which no process has and untouched slots show. Any thread. */
static inline struct mt_proc *mt_table_find(mote_runtime *rt, uint64_t pid) {
    uint64_t index = (pid ^ rt->table.own) >> 3 & (((uint64_t)1 << (MT_PID_INDEX_BITS + MT_PID_WORKER_BITS)) - 1);
    uint32_t chunk = (uint32_t)(index / MT_CHUNK_SLOTS);
    if (mt_unlikely(mt_tag(pid) != MT_PID || mt_pid_serial(pid) == 0 || chunk >= atomic_load_explicit(&rt->table.chunk_count, memory_order_acquire))) return NULL;
    return &rt->table.chunks[chunk]->slots[index % MT_CHUNK_SLOTS];
}

/* ------------------------------------------------------------------------------------------ signal.c */

/* A signal with room for `words`; kind and root to be set. NULL: memory. */
static inline struct mt_sig *mt_sig_new(struct mt_cache *cache, enum mt_sig_kind kind, size_t words) {
    struct mt_sig *sig = mt_cache_alloc(cache, sizeof *sig + words * 8);
    if (mt_unlikely(!sig)) return NULL;
    sig->kind = (uint8_t)kind;
    sig->flags = 0;
    sig->extra = 0;
    sig->words = (uint32_t)words;
    return sig;
}
void mt_sig_release(struct mt_cache *cache, struct mt_sig *sig);
/* Frees a signal and what it holds. Takes. */
static inline void mt_sig_free(struct mt_cache *cache, struct mt_sig *sig) {
    if (mt_unlikely(sig->flags & (MT_SIG_COUNTED | MT_SIG_SHARED)))
        mt_sig_release(cache, sig);
    else
        mt_cache_free(cache, sig, sizeof *sig + sig->words * 8u);
}
/* A signal that carries a copy of `term`, or shares it when it is the whole of `from` (may be NULL); `extra` words of heap behind it are
 * the caller's to fill with immediate terms. */
mote_err mt_sig_of_term(struct mt_cache *cache, mote_term term, size_t extra, const struct mt_sig *from, struct mt_sig **sig);
/* A message that goes through an alias (0: it does not) names it in its last word of heap. */
static inline void mt_address(struct mt_sig *sig, uint64_t alias) {
    if (!alias) return;
    sig->kind = MT_SIG_ALIASED;
    sig->heap[sig->words - 1] = alias;
}
/* A signal that carries what a pattern builds; `extra` as above. */
mote_err mt_sig_of_pattern(struct mt_cache *cache, const struct mt_pattern *pattern, size_t count, const mote_arg *args, size_t extra,
                           struct mt_sig **sig);
/* A reason that several signals share: an immediate word, or one in a fragment of its own. */
struct mt_reason {
    uint64_t word;
    struct mt_frag *frag; /* NULL: immediate. One count is the holder's */
};
/* Copies `term`, or shares it when it is the whole of `from` or its reason. Gives; drop it with mt_reason_drop(). MOTE_ETERM, MOTE_ENOMEM. */
mote_err mt_reason_of(mote_term term, const struct mt_sig *from, struct mt_reason *reason);
void mt_reason_drop(struct mt_reason *reason);
/* Puts the fragment, if there is one, into heap[0] of a signal; shares. */
void mt_reason_share(struct mt_sig *sig, const struct mt_reason *reason);
/* The reason that an applied exit signal carries; shares. */
struct mt_reason mt_exit_reason_of(const struct mt_sig *sig);
/* An exit signal (EXIT or LINK_EXIT) from `from` in a signal of MT_EXIT_WORDS. Shares the reason. */
#define MT_EXIT_WORDS 5u
void mt_exit_fill(struct mt_sig *sig, enum mt_sig_kind kind, uint64_t from, const struct mt_reason *reason);
static inline uint64_t mt_exit_from(const struct mt_sig *sig) { return sig->heap[3]; }
/* A new one. MOTE_ENOMEM. */
mote_err mt_exit_new(struct mt_cache *cache, uint64_t from, const struct mt_reason *reason, struct mt_sig **sig);
static inline bool mt_is_message(const struct mt_sig *sig) { return sig->kind <= MT_SIG_ALIASED; }

/* -------------------------------------------------------------------------------------------- send.c */

enum mt_push { MT_PUSH_DEAD, MT_PUSH_QUEUED, MT_PUSH_FIRST, MT_PUSH_WOKE };

/* Who learns that a process has ended sees all that it did before. */
static inline enum mt_push mt_push_dead(struct mt_proc *p) {
    (void)atomic_load_explicit(&p->inbox.high, memory_order_acquire);
    (void)atomic_load_explicit(&p->inbox.low, memory_order_acquire);
    return MT_PUSH_DEAD;
}

/* The newest message of a process's queue. Owner, or who has woken it and not yet made it runnable. */
static inline void mt_append(struct mt_proc *p, struct mt_sig *sig) {
    p->queued++;
    p->flags |= MT_PF_NEWS;
    sig->next = NULL;
    *p->queue_end = sig;
    p->queue_end = &sig->next;
}

/* Whether a signal need not be applied by its receiver: it is a message like any other. */
static inline bool mt_is_plain(const struct mt_sig *sig) { return sig->kind == MT_SIG_MESSAGE && !(sig->flags & MT_SIG_PRIORITY); }

/* Pushes a signal (P1). Takes it unless DEAD. FIRST: the inbox was empty, WOKE: the caller must make the process runnable; a message is in
 * its queue already (P6). */
static inline enum mt_push mt_push(struct mt_proc *p, uint64_t serial, struct mt_sig *sig) {
    mt_prefetch_write(p);
    for (;;) {
        uint64_t high = atomic_load_explicit(&p->inbox.high, memory_order_relaxed);
        uint64_t low = atomic_load_explicit(&p->inbox.low, memory_order_relaxed);
        if (mt_unlikely(high != serial || (low & MT_IN_CLOSED))) return mt_push_dead(p);
        uint64_t state = low & (MT_IN_BOUNDED | MT_IN_KILLED);
        if ((low & MT_IN_WAITING) && mt_likely(mt_is_plain(sig) && mt_task_kind(&p->task) != MT_THREAD)) {
            if (mt_unlikely(!mt_pair_cas(&p->inbox, low, serial, state))) continue;
            mt_append(p, sig);
            return MT_PUSH_WOKE;
        }
        sig->next = (struct mt_sig *)(uintptr_t)(low & ~(uint64_t)MT_IN_STATE);
        if (mt_likely(mt_pair_cas(&p->inbox, low, serial, (uint64_t)(uintptr_t)sig | state))) {
            if (low & MT_IN_WAITING) return MT_PUSH_WOKE;
            return low & ~(uint64_t)MT_IN_STATE ? MT_PUSH_QUEUED : MT_PUSH_FIRST; /* `sig` may be freed by now */
        }
    }
}

/* Sends a signal of any kind but messages to bounded mailboxes' limits. Takes it, and frees it when the receiver is dead (false). */
bool mt_deliver(struct mt_sched *s, uint64_t pid, struct mt_sig *sig);
/* The same for a message that no process here sends: a mailbox's limit counts; true: its sender shall stand still. */
bool mt_deliver_message(struct mt_sched *s, uint64_t pid, struct mt_sig *sig);
/* The same for what a timer sends: nobody stands still. */
void mt_deliver_timer(struct mt_sched *s, uint64_t pid, struct mt_sig *sig);
/* Lets the sender of a SUSPEND go on. Takes the signal, which goes back to it. */
void mt_resume_sender(struct mt_sched *s, struct mt_sig *suspend);
/* A signal that `dead` will not receive: counted, or answered, or freed. Takes. */
void mt_bury_letter(struct mt_sched *s, uint64_t dead, struct mt_sig *sig);
/* Sends a message from a process, with its receiver's policy; may switch. Takes it. */
mote_err mt_send(struct mt_proc *self, uint64_t pid, struct mt_sig *sig);
/* The same to a far pid of a message that is encoded already; takes what the parcel has. */
void mt_send_encoded(struct mt_proc *self, struct mote_parcel *parcel, const void *term, size_t size);
/* Whether a receiver's policy makes it stand still. */
bool mt_suspended(struct mt_proc *p);
/* A far receiver's mailbox is full: the process stands still after this turn, if it can, until there is room. */
void mt_stand_for(struct mt_proc *self, uint64_t pid);
/* Reductions for a signal that lands behind others: senders that outrun a receiver yield. */
#define MT_COST_QUEUED 32
/* For one to another worker. */
#define MT_COST_AWAY 4
/* Ends a turn that is used up: not a handler's, nor a hosted process's. */
void mt_turn_over(struct mt_proc *self);
/* Lets others run, whatever the process is but a handler. */
void mt_give_way(struct mt_proc *self);
/* Gives way to whom it has woken last, and goes on as if that one had woken it. A straight-line process. */
void mt_step_aside(struct mt_proc *self);
static inline void mt_pay(struct mt_proc *self) {
    if (mt_unlikely(self->task.budget <= 0)) mt_turn_over(self);
}

/* ----------------------------------------------------------------------------------------- receive.c */

/* Moves the inbox to the queue and applies control signals. False: there was nothing. */
bool mt_fetch(struct mt_proc *self);
/* mote_host_watch() and mote_host_unwatch(), of an attached thread. */
mote_err mt_watch(struct mt_proc *self, int fd);
void mt_unwatch(struct mt_proc *self);
/* Takes a message out of the queue and frees it. */
void mt_queue_remove(struct mt_proc *self, struct mt_sig **at);
/* Takes the next message into `current`. */
mote_err mt_receive(struct mt_proc *self, int64_t timeout_ms, mote_term *message);
/* Waits for any signal, or `deadline_ns`, whatever comes first; the caller looks again. MOTE_TIMEOUT, MOTE_ENOMEM, MOTE_ESTOPPED, MOTE_EEXIT. */
mote_err mt_wait(struct mt_proc *self, uint64_t deadline_ns);
/* The same for what cannot be left: not even an exit signal ends it. */
mote_err mt_wait_through(struct mt_proc *self, uint64_t deadline_ns);
/* Whether an exit signal in its inbox, or an applied one, ends the process. Its owner's, or as mote_host_ends() is called. */
bool mt_will_end(struct mt_proc *p);
/* Frees the current message and what was built in the scratch arena. */
static inline void mt_drop_scratch(struct mt_proc *p);
void mt_scratch_return(struct mt_proc *p);
static inline void mt_drop_current(struct mt_proc *p) {
    if (p->current) {
        mt_sig_free(mt_cache_of(p), p->current);
        p->current = NULL;
    }
    mt_drop_scratch(p);
}
static inline void mt_drop_scratch(struct mt_proc *p) {
    if (mt_unlikely(p->scratch != NULL)) mt_scratch_return(p);
}
/* Frees what holds the argument and the reason. */
void mt_free_arg(struct mt_proc *p);
uint64_t mt_deadline(int64_t timeout_ms);
void mt_turn(struct mt_sched *s, struct mt_task *task);

/* Goes to sleep if the inbox is still empty; then it is no longer ours (P3). */
static inline bool mt_fall_asleep(struct mt_proc *p) {
    uint64_t low = atomic_load_explicit(&p->inbox.low, memory_order_relaxed);
    return mt_likely(!(low & ~(uint64_t)MT_IN_BOUNDED) && mt_pair_cas_low(&p->inbox, low, low | MT_IN_WAITING));
}

/* Fetches what the next in the ring will find in its inbox. Only a hint. */
static inline void mt_look_ahead(struct mt_sched *s) {
    struct mt_task *next = mt_ring_peek(&s->rings[0], 0);
    if (!next || MT_TSAN) return;
    struct mt_proc *p = mt_task_proc(next);
    mt_prefetch_write((const void *)(uintptr_t)(atomic_load_explicit(&p->inbox.low, memory_order_relaxed) & ~(uint64_t)MT_IN_STATE));
    mt_prefetch_write((const void *)(uintptr_t)__atomic_load_n(&p->relations, __ATOMIC_RELAXED));
}

/* The post-switch hook (sched.h, L2), inlined where a process comes back. */
void mt_after_slow(struct mt_sched *s);
static inline void mt_after(struct mt_sched *s) {
    struct mt_task *task = s->left;
    if (!task) return;
    if (mt_likely(s->how == MT_HOW_WAIT)) {
        struct mt_proc *p = mt_task_proc(task);
        s->left = NULL;
        p->reductions += (uint64_t)(MT_TURN - p->task.budget);
        if (mt_fall_asleep(p)) return;
        mt_sched_push(s, task);
        return;
    }
    mt_after_slow(s);
}

/* ---------------------------------------------------------------------------------- spawn.c, end.c */

mote_err mt_spawn(struct mt_proc *self, const mote_spawn_options *options, mote_term arg, mote_pid *pid);
/* The same; `born` is called before anybody can know the child, which it is not after an error of `born`: the last that there can be. Not for threads. */
mote_err mt_spawn_born(struct mt_proc *self, const mote_spawn_options *options, mote_term arg, mote_err (*born)(void *context, struct mt_proc *child), void *context,
                       mote_pid *pid);
mote_err mt_more(struct mt_proc *p);
void mt_set_hosted(struct mt_proc *p);
/* Whether a process of this runtime has ended; false of others. Any thread. */
bool mt_has_ended(mote_runtime *rt, uint64_t pid);
/* What other nodes may do to it: sets that, gives what it was (owner); the same of a pid, MOTE_REACH_ALL of one that has ended. Any thread. */
mote_reach mt_reach_set(struct mt_proc *p, mote_reach reach);
mote_reach mt_reach_of(mote_runtime *rt, uint64_t pid);
/* How long the process has lived, to 17 ms. */
uint64_t mt_lived_ms(struct mt_proc *p);
#define MT_STACK_MIN ((size_t)16 << 10) /* bytes, of what users may ask for */
#define MT_STACK_MAX ((size_t)1 << 30)
/* The fields of a slot just taken as those of a new process that has nothing yet; `code` is not set. */
void mt_reset(struct mt_proc *p, struct mt_sched *s, enum mt_task_kind kind);
void mt_entry(void);
void mt_no_stack(struct mt_sched *s, struct mt_task *task);
size_t mt_task_stack_size(struct mt_task *task);
/* Ends the running process. Takes the reason. Straight-line and handlers: does not return. */
__attribute__((noreturn)) void mt_end(struct mt_proc *self, struct mt_reason reason);
/* Runs clean-ups, closes the inbox and answers what is in it, frees all but stack, slot and relations. Takes the reason. Any body; the
 * process's runner. */
void mt_close(struct mt_proc *p, struct mt_reason reason);
/* Takes a straight-line process's stack away and lets it wait for a message, to go on in another body. Does not return. */
__attribute__((noreturn)) void mt_hibernate(struct mt_proc *self);
/* Frees `more` of a closed process, or of one that was never published. */
void mt_free_more(mote_runtime *rt, struct mt_cache *cache, struct mt_proc *p);
/* After mt_close(): tells the relations, in turns of its own if they are many, and gives back stack and slot. Not on that stack. */
void mt_bury(struct mt_sched *s, struct mt_proc *p);
/* Ends at once if an exit signal was applied. */
void mt_end_if_exiting(struct mt_proc *self);
/* The same, and MOTE_EEXIT if it goes on, because it is hosted. */
mote_err mt_exiting(struct mt_proc *self);
/* Why an exit signal ends it; shares. */
struct mt_reason mt_signal_reason(struct mt_proc *self);
/* Ends a process that an exit signal ends, hosted or not. */
MOTE_NORETURN void mt_end_by_signal(struct mt_proc *self);
void mt_overflowed(const void *address);

/* ---------------------------------------------------------------------------------------- relation.c */

/* Links, monitors and aliases of a process, each a signal that lies in its table until it is sent: see relation.c. Owner. */
mote_err mt_link(struct mt_proc *self, uint64_t pid);
mote_err mt_unlink(struct mt_proc *self, uint64_t pid);
/* `name`: 0, or the name that `pid` was found by; pid 0: nobody has it. */
mote_err mt_monitor(struct mt_proc *self, uint64_t pid, uint64_t name, const mote_monitor_options *options, uint64_t *ref);
mote_err mt_demonitor(struct mt_proc *self, uint64_t ref, bool flush, bool *active);
mote_err mt_alias(struct mt_proc *self, unsigned flags, uint64_t *ref);
mote_err mt_unalias(struct mt_proc *self, uint64_t ref);
/* Links and monitors of a child that nobody knows yet. On an error nothing is left of them, if mt_relations_drop(child) is called. */
mote_err mt_relate_child(struct mt_proc *self, struct mt_proc *child, const mote_spawn_options *options);
/* The same with a process of another node (`ref` 0: no monitor), or a monitor of the caller's whose reference is known already. */
mote_err mt_relate_child_far(struct mt_sched *s, struct mt_proc *child, uint64_t far, bool link, uint64_t ref);
mote_err mt_watch_child(struct mt_proc *self, struct mt_proc *child, uint64_t ref);
void mt_relations_drop(struct mt_proc *p);
/* A request to another node (`where`: {undefined, Node}) to start a process waits from now on under a reference (flags: MT_STARTS_...). Its signal (SPAWN), which is taken; when it cannot
 * be sent, that is answered. What answers: `child` 0: an error, an atom. NULL: memory. */
mote_err mt_request_new(struct mt_proc *self, uint64_t where, unsigned flags, uint64_t *ref);
void mt_request_send(struct mt_proc *self, uint64_t where, uint64_t ref, struct mt_sig *sig);
struct mt_sig *mt_started_new(struct mt_cache *cache, uint64_t ref, uint64_t node, uint64_t child, unsigned flags, uint64_t error);
/* Applies a signal of kinds LINK_EXIT to DOWN, or STARTED; gives the message it became, or the exit signal to be applied, or NULL. Takes. */
struct mt_sig *mt_relation_apply(struct mt_proc *self, struct mt_sig *sig);
/* The signal has become the message that lies from word 1 on, which no mailbox refuses. Gives it. */
struct mt_sig *mt_as_message(struct mt_proc *self, struct mt_sig *sig);
/* A message through an alias: gives it, or NULL when the alias is closed. Takes. */
struct mt_sig *mt_alias_apply(struct mt_proc *self, struct mt_sig *sig);
/* A signal about relations to a process that has ended is answered for it. Takes. */
void mt_relation_bury(struct mt_sched *s, uint64_t dead, struct mt_sig *sig);
/* The process has ended: tells up to `max` of its relations; false: some are left. Its runner. */
bool mt_relations_tell(struct mt_sched *s, struct mt_proc *p, size_t max);
/* What mt_relations_tell() says: shares the reason. */
void mt_relations_end(struct mt_proc *p, const struct mt_reason *reason);
/* The same signals, as they come from other workers. NULL: memory. */
struct mt_sig *mt_link_of_far(struct mt_cache *cache, uint64_t from);
struct mt_sig *mt_monitor_of_far(struct mt_cache *cache, uint64_t from, uint64_t name, uint64_t ref);
struct mt_sig *mt_down_of_far(struct mt_cache *cache, uint64_t ref, uint64_t name, uint64_t item, const struct mt_reason *reason);
/* Whether an exit signal comes from an active link. */
bool mt_is_linked(const struct mt_proc *p, uint64_t from);
struct mt_relation_counts {
    size_t links, monitors, monitored_by, aliases;
};
struct mt_relation_counts mt_relations_count(const struct mt_proc *p);
/* Signals fetched and not applied yet, oldest first; see mt_fetch(). NULL: the process keeps none. */
struct mt_sig **mt_pending(struct mt_proc *p);
static inline bool mt_has_pending(struct mt_proc *p) { return mt_unlikely(p->relations & 1) && *mt_pending(p); }

/* References that are aliases name their process's slot: see mt_resolve(). */
#define MT_REF_ALIAS ((uint64_t)1 << 62)
static inline bool mt_is_alias(uint64_t ref) {
    return mt_tag(ref) == MT_REF && (ref & (MT_REF_ALIAS | (uint64_t)1 << 63)) == MT_REF_ALIAS;
}

/* ------------------------------------------------------------------------------------------- names.c */

/* Names that all workers of a node see. Its functions never wait; pids are words from outside. */
struct mt_name_board {
    mote_err (*take)(void *context, const char *name, size_t size, uint64_t pid); /* MOTE_EBUSY, MOTE_ELIMIT */
    void (*give)(void *context, const char *name, size_t size, uint64_t pid);     /* if it is this pid's */
    uint64_t (*whereis)(void *context, const char *name, size_t size);            /* 0: nobody's */
    bool (*next)(void *context, size_t *cursor, char *name, size_t *size);        /* from *cursor (0) on; name: MT_NAME_BYTES */
    void *context;
};
#define MT_NAME_BYTES 1020u

mote_err mt_names_new(struct mt_names **names);
void mt_names_free(struct mt_names *names);
/* From now on names are the node's: those that there are go onto the board, which is borrowed while the runtime lives. MOTE_EBUSY, MOTE_ELIMIT. Before another worker
 * runs; no process may be registering. */
mote_err mt_names_publish(mote_runtime *rt, const struct mt_name_board *board);
/* `here`: not for other nodes. */
mote_err mt_register(mote_runtime *rt, uint64_t name, uint64_t pid, bool here);
mote_err mt_unregister(mote_runtime *rt, uint64_t name);
/* The pid, or 0. Any thread. */
uint64_t mt_whereis(mote_runtime *rt, uint64_t name);
/* The same for another node: 0 also for a name that is not for them. */
uint64_t mt_whereis_for_others(mote_runtime *rt, uint64_t name);
/* The same of another worker's process, by the name's text: which need be no atom here. */
uint64_t mt_whereis_away(mote_runtime *rt, const char *text, size_t size);
mote_err mt_registered(mote_runtime *rt, mote_atom *names, size_t capacity, size_t *count);
/* What can be started, or called, by name, in the same lock: a body (arity 1), or what gives a result. */
#define MT_ARITY_ANY 256u
struct mt_export {
    struct mt_node node; /* key: of module and function; first */
    uint64_t module, function;
    unsigned arity;
    mote_body body;
    mote_term (*call)(mote_self *self, size_t count, const mote_term *args, void *context);
    void *context;
    bool hosted;
};
/* Copies. MOTE_EBUSY, MOTE_ENOMEM. */
mote_err mt_export(mote_runtime *rt, const struct mt_export *export);
/* NULL: nothing is exported under the name; else it is as long as the runtime. Any thread. */
const struct mt_export *mt_exported(mote_runtime *rt, uint64_t module, uint64_t function, size_t arity);
/* The name of a process, or 0: valid while the process does not lose it. */
uint64_t mt_name_of(mote_runtime *rt, uint64_t pid);
/* The process ends: takes its name away, and its notes (far.h). */
void mt_name_end(struct mt_proc *p);
/* Where a destination's messages go now; an alias in *alias, else 0. pid 0: nowhere, silently. MOTE_ETERM, MOTE_ENAME. */
mote_err mt_resolve(mote_runtime *rt, uint64_t to, uint64_t *pid, uint64_t *alias);
/* The node's name in {Name, Node}. */
#define MT_NODE MT_WORD_OF(nonode_at_nohost)

/* ------------------------------------------------------------------------------------------- death.c */

/* Whether it is normal, shutdown or {shutdown, _}. */
bool mt_is_planned(uint64_t reason);
/* Writes the certificate of a process that ends, if its reason is worth one. Before its inbox is closed and its relations are told. */
void mt_certify(struct mt_proc *p, uint64_t reason);

/* ------------------------------------------------------------------------------------------ alarm.c */

/* Starts a timer that delivers `sig` to `pid`. Takes `sig` on success. MOTE_ENOMEM, MOTE_ELIMIT. */
mote_err mt_alarm_start(struct mt_sched *s, uint64_t deadline_ns, uint64_t pid, struct mt_sig *sig, uint64_t *ref);
mote_err mt_alarm_cancel(struct mt_sched *s, uint64_t ref, uint64_t *left_ns);
mote_err mt_alarm_read(struct mt_sched *s, uint64_t ref, uint64_t *left_ns);
void mt_alarm_expire(struct mt_sched *s, struct mt_sched *whose, uint64_t now_ns);
/* Drops every timer of a scheduler that has ended. */
void mt_alarms_free(struct mt_sched *whose, struct mt_cache *cache);

/* --------------------------------------------------------------------------------- block.c, info.c */

mote_err mt_fd_arm(struct mt_proc *self, int fd, int events, uint64_t *ref);
mote_err mt_fd_disarm(struct mt_proc *self, uint64_t ref);
mote_err mt_fd_wait(struct mt_proc *self, int fd, int events, int64_t timeout_ms, int *ready);
void mt_fd_ready(struct mt_sched *s, const struct mt_poll_event *events, size_t count);
mote_err mt_blocking(struct mt_proc *self, void (*call)(void *), void *context);
mote_err mt_blocking_start(struct mt_proc *self, void (*call)(void *), void *context, uint64_t *ref);

struct mt_info_request;
struct mt_watch;
/* The watch of a signal FD, applied by its process: gives the message, or NULL when it ended a wait. Takes. */
struct mt_sig *mt_fd_apply(struct mt_proc *self, struct mt_sig *sig);
/* Takes back every watch of an ending process. */
void mt_fd_close(struct mt_proc *self);
/* Unlinks a watch whose event has come; gives it back. */
struct mt_sig *mt_fd_forget(struct mt_proc *self, struct mt_sig *sig);
mote_err mt_info(struct mt_proc *self, uint64_t pid, int64_t timeout_ms, mote_process_info *info);
/* The same question for who cannot wait: gives it; its answer, MOTE_ENOPROC, or MOTE_TIMEOUT while there is none; gives it up. */
mote_err mt_question_new(struct mt_proc *self, uint64_t pid, struct mt_info_request **question);
mote_err mt_question_answer(struct mt_info_request *question, mote_process_info *info);
void mt_question_drop(struct mt_info_request *question);
/* A question that is sent to another worker, or has come from one: who asks; a new one (NULL: memory); its answer (NULL: dead), which takes the signal. */
uint64_t mt_question_asker(const struct mt_sig *sig);
struct mt_sig *mt_question_of_far(struct mt_cache *cache, uint64_t asker, uint64_t id);
void mt_question_answered(struct mt_sched *s, struct mt_sig *sig, const mote_process_info *info);
/* Answers a request at the process it asks about, or (p NULL) that it is dead. Takes the signal. */
void mt_info_answer(struct mt_sched *s, struct mt_proc *p, struct mt_sig *sig);
mote_err mt_list(mote_runtime *rt, mote_pid *pids, size_t capacity, size_t *count);

/* A reference of this scheduler's block. */
uint64_t mt_ref_next(struct mt_sched *s);
#define MT_REF_TIMER ((uint64_t)1 << 63) /* references of timers have it: sched.c's id, slot, generation */

/* ---------------------------------------------------------------------------------------- runtime.c */

mote_err mt_runtime_start(const mote_options *options, mote_runtime **rt);
mote_err mt_runtime_stop(mote_runtime *rt, int64_t drain_ms);
mote_err mt_attach(mote_runtime *rt, struct mt_proc **self);
mote_err mt_detach(struct mt_proc *self);
void mt_log(mote_runtime *rt, mote_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Its name for reports, or ""; borrowed while the process lives. */
const char *mt_proc_name(struct mt_proc *p);
/* "<0.1.2> (name)" for reports. */
void mt_proc_describe(struct mt_proc *p, char *text, size_t size);
void mt_runtime_figures(mote_runtime *rt, mote_runtime_info *info);
/* Counts an ended process and tells the stopper. */
void mt_runtime_ended(mote_runtime *rt, struct mt_sched *s);

#endif
