/* SPDX-License-Identifier: Apache-2.0
 * Links, monitors and aliases. What a process holds of them are signals that wait in its table until they are sent: a link becomes the
 * LINK_EXIT of its holder's end, a monitor the DOWN, a watch the DEMONITOR. So an end needs no memory, and tells each relation once.
 *
 *   kind     key (root)   heap
 *   LINK     other's pid  1: id of the unlink that awaits its acknowledgement, 0: active
 *   MONITOR  reference    1: who monitors this process, 2: the name by which, or 0
 *   WATCH    reference    0: fragment of the tag (SHARED), 1: whom this process monitors, 2: the tag, 3: the name by which, if it is far, or 0
 *   ALIAS    reference    as a WATCH; `extra` of both: mode and flags of the alias
 *   STARTING reference    as a WATCH, 1: {undefined, Node}, where a process is to be started; 2: the node, `extra`: MT_STARTS_...
 * One with another node's process that was made from here has the connection's number (F5 of far.h), as a small: a LINK at 2, WATCH and STARTING at 4.
 * A signal DEMONITOR of a process of here has at 1: who sends it, for nodes.
 * A signal STARTED has at 1: the process, or 0, 3: or the error, 4: the node that answers; `extra`: what of LINKED and MONITORED is so there.
 *
 * R1 an unlinked link stays in the table, inactive, until the other side has acknowledged: what it sent before that (LINK, LINK_EXIT)
 *    came from the old link and is dropped. Both ends agree once all signals between them have arrived; tests/spin/link.pml.
 * R2 a signal that asks for an answer (LINK, UNLINK, MONITOR) is answered for the dead by mt_relation_bury().
 * R3 up to FEW relations are a list, more a hash table (low bit of `relations` set), for as long as the process lives.
 * R4 pending signals (mt_pending()) are older than everything in the inbox. */
#include <string.h>

#include "base/hash.h"
#include "proc/far.h"

#define FEW 8u
#define WATCH_WORDS 4u
#define MONITOR_WORDS 7u
#define NAMED_WORDS 10u
#define STARTED_WORDS 5u
#define ALIAS_COUNTER_BITS (MT_REF_COUNTER_BITS - MT_PID_INDEX_BITS)
/* Of `extra` of WATCH and ALIAS; the lowest bits are enum mote_alias_mode or MOTE_ALIAS_REPLY. */
#define MODE_MASK 15u
#define PRIORITY 16u

struct table {
    struct mt_hash hash;
    struct mt_sig *pending;
};

_Static_assert(offsetof(struct mt_sig, next) == offsetof(struct mt_node, next), "a signal is a node");
_Static_assert(offsetof(struct mt_sig, root) == offsetof(struct mt_node, key), "a signal is a node");

/* ------------------------------------------------------------------------------------------------- the table */

static struct table *table_of(const struct mt_proc *p) {
    return p->relations & 1 ? (struct table *)(uintptr_t)(p->relations - 1) : NULL;
}
static struct mt_sig *list_of(const struct mt_proc *p) {
    MT_ASSERT(!(p->relations & 1));
    return (struct mt_sig *)(uintptr_t)p->relations;
}

/* R3. Without memory the list just gets longer. */
static void to_table(struct mt_proc *p) {
    struct table *t = mt_os_alloc_zero(sizeof *t);
    if (!t || mt_hash_init(&t->hash)) {
        mt_os_free(t);
        return;
    }
    for (struct mt_sig *sig = list_of(p), *next; sig; sig = next) {
        next = sig->next;
        mt_hash_insert(&t->hash, (struct mt_node *)(void *)sig);
    }
    p->relations = (uint64_t)(uintptr_t)t | 1;
}

/* Whom a relation is with; 0: nobody. */
static uint64_t other_of(const struct mt_sig *sig) { return sig->kind == MT_SIG_LINK ? sig->root : sig->kind == MT_SIG_ALIAS ? 0 : sig->heap[1]; }

/* Once it is in no table: a word of another node's process is not held by it any more (Y3). */
static void let_go(struct mt_proc *p, const struct mt_sig *sig) {
    if (sig) mt_far_drop(mt_runtime(p), other_of(sig));
}

static void insert(struct mt_proc *p, struct mt_sig *sig) {
    mt_far_hold(mt_runtime(p), other_of(sig));
    if (!(p->relations & 1)) {
        uint32_t n = 0;
        for (struct mt_sig *at = list_of(p); at && n <= FEW; at = at->next) n++;
        if (n >= FEW) to_table(p);
    }
    if (p->relations & 1) {
        mt_hash_insert(&table_of(p)->hash, (struct mt_node *)(void *)sig);
        return;
    }
    sig->next = list_of(p);
    p->relations = (uint64_t)(uintptr_t)sig;
}

static struct mt_sig *find(const struct mt_proc *p, uint64_t key) {
    if (p->relations & 1) return (struct mt_sig *)(void *)*mt_hash_find(&table_of(p)->hash, key);
    struct mt_sig *sig = list_of(p);
    while (sig && sig->root != key) sig = sig->next;
    return sig;
}

static void take_out(struct mt_proc *p, struct mt_sig *sig) {
    let_go(p, sig);
    if (p->relations & 1) {
        struct mt_hash *hash = &table_of(p)->hash;
        struct mt_node **at = mt_hash_find(hash, sig->root);
        MT_ASSERT(*at == (struct mt_node *)(void *)sig); /* keys are unique */
        mt_hash_remove(hash, at);
        return;
    }
    struct mt_sig *before = list_of(p);
    if (before == sig) {
        p->relations = (uint64_t)(uintptr_t)sig->next;
        return;
    }
    while (before->next != sig) before = before->next;
    before->next = sig->next;
}

static struct mt_sig *pop(struct mt_proc *p) {
    struct mt_sig *sig = p->relations & 1 ? (struct mt_sig *)(void *)mt_hash_pop(&table_of(p)->hash) : list_of(p);
    if (sig && !(p->relations & 1)) p->relations = (uint64_t)(uintptr_t)sig->next;
    let_go(p, sig);
    return sig;
}

static void free_table(struct mt_proc *p) {
    struct table *t = table_of(p);
    if (t) {
        MT_ASSERT(!t->pending);
        mt_hash_fini(&t->hash);
        mt_os_free(t);
    }
    p->relations = 0;
}

struct mt_sig **mt_pending(struct mt_proc *p) {
    return p->relations & 1 ? &table_of(p)->pending : NULL;
}

static void forget(struct mt_proc *p, struct mt_sig *sig) {
    take_out(p, sig);
    mt_sig_free(mt_cache_of(p), sig);
}

static void count_one(void *context, struct mt_node *node) {
    struct mt_relation_counts *n = context;
    const struct mt_sig *sig = (const struct mt_sig *)(const void *)node;
    if (sig->kind == MT_SIG_LINK && !sig->heap[1]) n->links++;
    if (sig->kind == MT_SIG_MONITOR) n->monitored_by++;
    if (sig->kind == MT_SIG_WATCH) n->monitors++;
    if (sig->kind == MT_SIG_ALIAS) n->aliases++;
}

struct mt_relation_counts mt_relations_count(const struct mt_proc *p) {
    struct mt_relation_counts n = {0};
    if (p->relations & 1)
        mt_hash_each(&table_of(p)->hash, count_one, &n);
    else
        for (struct mt_sig *sig = list_of(p); sig; sig = sig->next) count_one(&n, (struct mt_node *)(void *)sig);
    return n;
}

/* ------------------------------------------------------------------------------------------------ signals */

static const struct mt_reason noproc = {MT_WORD_OF(noproc), NULL}, noconnection = {MT_WORD_OF(noconnection), NULL};

/* Where a relation with another node's process has the number of its connection; NULL: it is of none that do. */
static uint64_t *connection_of(struct mt_sig *relation) {
    if (relation->kind == MT_SIG_LINK) return &relation->heap[2];
    bool has = (relation->kind == MT_SIG_WATCH || relation->kind == MT_SIG_STARTING) && relation->words > WATCH_WORDS;
    return has ? &relation->heap[WATCH_WORDS] : NULL;
}

/* As reaches(), to another worker's, or another node's. */
static bool reaches_far(struct mt_proc *self, uint64_t pid, struct mt_sig *sig, struct mt_sig *relation) {
    uint64_t connection = 0;
    self->task.budget -= MT_COST_AWAY;
    if (!relation) return mt_far_send(self->task.sched, pid, sig) != MT_FAR_ABSENT;
    bool sent = mt_far_relate(self->task.sched, mt_proc_pid(self), pid, sig, &connection) != MT_FAR_ABSENT;
    if (connection) *connection_of(relation) = mt_small((int64_t)connection);
    return sent;
}

/* Pushes a signal of the process's own; `relation`: of its table, that the signal makes, else NULL. Takes it; false (and it is still the caller's): the receiver has ended. Signals that
 * pile up cost more, as messages do; mt_pay() then lets the receiver run. */
static bool reaches(struct mt_proc *self, uint64_t pid, struct mt_sig *sig, struct mt_sig *relation) {
    struct mt_sched *s = self->task.sched;
    struct mt_proc *p = mt_table_find(mt_runtime_of_sched(s), pid);
    if (mt_unlikely(!p && mt_is_far(mt_runtime_of_sched(s), pid))) return reaches_far(self, pid, sig, relation);
    enum mt_push pushed = p ? mt_push(p, mt_pid_serial(pid), sig) : MT_PUSH_DEAD;
    if (pushed == MT_PUSH_WOKE) mt_sched_wake(s, &p->task);
    self->task.budget -= pushed == MT_PUSH_QUEUED ? MT_COST_QUEUED : 1;
    return pushed != MT_PUSH_DEAD;
}

static void send(struct mt_proc *self, uint64_t pid, struct mt_sig *sig) {
    if (!reaches(self, pid, sig, NULL)) mt_bury_letter(self->task.sched, pid, sig);
}

/* A MONITOR becomes its DOWN. `item`: the process that has ended (not used when it was monitored by name). */
static void fill_down(struct mt_sig *sig, uint64_t item, const struct mt_reason *reason) {
    uint64_t name = sig->heap[2];
    sig->kind = MT_SIG_DOWN;
    mt_reason_share(sig, reason);
    if ((sig->flags & MT_SIG_COUNTED) && mt_tag(reason->word) == MT_ATOM && mt_atom_counted(reason->word))
        mt_atom_hold(reason->word); /* its words are walked when it is freed, for the name's sake */
    if (name) {
        MT_ASSERT(sig->words == NAMED_WORDS);
        sig->heap[7] = mt_header(MT_TUPLE, 2);
        sig->heap[8] = name;
        sig->heap[9] = MT_NODE;
        item = mt_boxed(&sig->heap[7]);
    }
    sig->heap[1] = mt_header(MT_TUPLE, 5);
    sig->heap[2] = MT_WORD_OF(DOWN);
    sig->heap[3] = sig->root;
    sig->heap[4] = MT_WORD_OF(process);
    sig->heap[5] = item;
    sig->heap[6] = reason->word;
}

static struct mt_sig *demonitor_of(struct mt_cache *cache, uint64_t ref, uint64_t from) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_DEMONITOR, 2);
    if (!sig) return NULL;
    sig->root = ref;
    sig->heap[0] = 0;
    sig->heap[1] = from;
    return sig;
}

/* Nobody waits for the process that another node has started: it is told what it would be of one that has ended. */
static void forsake(struct mt_sched *s, uint64_t from, struct mt_sig *sig) {
    uint64_t child = sig->heap[1];
    struct mt_sig *demonitor = child && (sig->extra & MT_STARTS_MONITORED) ? demonitor_of(&s->cache, sig->root, from) : NULL;
    struct mt_sig *exit = child && (sig->extra & MT_STARTS_LINKED) ? mt_sig_new(&s->cache, MT_SIG_LINK_EXIT, MT_EXIT_WORDS) : NULL;
    if (demonitor) mt_deliver(s, child, demonitor);
    if (exit) {
        mt_exit_fill(exit, MT_SIG_LINK_EXIT, from, &noproc);
        mt_deliver(s, child, exit);
    }
    mt_sig_free(&s->cache, sig);
}

void mt_relation_bury(struct mt_sched *s, uint64_t dead, struct mt_sig *sig) {
    const struct mt_reason *why = mt_is_remote(dead) ? &noconnection : &noproc;
    uint64_t from;
    switch ((enum mt_sig_kind)sig->kind) { /* R2 */
    case MT_SIG_LINK:
        from = sig->root;
        mt_exit_fill(sig, MT_SIG_LINK_EXIT, dead, why);
        break;
    case MT_SIG_UNLINK:
        from = sig->heap[0];
        sig->kind = MT_SIG_UNLINKED;
        sig->heap[0] = dead;
        break;
    case MT_SIG_MONITOR:
        from = sig->heap[1];
        fill_down(sig, dead, why);
        break;
    case MT_SIG_STARTED: forsake(s, dead, sig); return;
    default: mt_sig_free(&s->cache, sig); return;
    }
    mt_deliver(s, from, sig);
}

/* Without memory for what it must not miss it ends. */
static void fail(struct mt_proc *self) {
    self->flags |= MT_PF_EXITING;
    self->arg = MT_WORD_OF(system_limit);
}

/* {'EXIT', ...} or {'DOWN', ...} with another tag, or about another node's process: built anew. */
static struct mt_sig *anew(struct mt_proc *self, struct mt_sig *sig, uint64_t tag) {
    size_t count = (size_t)mt_header_words(sig->heap[1]);
    mote_term term = {0}, elements[5];
    struct mt_sig *out = NULL;
    mote_arena *arena = mote_arena_new(0);
    for (size_t i = 0; arena && i < count; i++) elements[i] = mt_far_element(mt_runtime(self), arena, i ? sig->heap[2 + i] : tag);
    if (arena) term = mote_tuple_make(arena, count, elements);
    if (!term.word || mt_sig_of_term(mt_cache_of(self), term, 0, NULL, &out)) fail(self);
    mote_arena_free(arena);
    mt_sig_free(mt_cache_of(self), sig);
    return out;
}

/* As a message that nobody has sent. */
static struct mt_sig *unsent(struct mt_proc *self, struct mt_sig *sig) {
    sig->kind = MT_SIG_MESSAGE;
    sig->flags |= MT_SIG_UNSENT;
    if (self->flags & MT_PF_BOUNDED) atomic_fetch_add_explicit(&self->count, 1, memory_order_relaxed);
    return sig;
}

struct mt_sig *mt_as_message(struct mt_proc *self, struct mt_sig *sig) {
    if (mt_unlikely(mt_is_remote(sig->heap[1] == mt_header(MT_TUPLE, 5) ? sig->heap[5] : sig->heap[3]))) {
        sig = anew(self, sig, sig->heap[2]);
        return sig ? unsent(self, sig) : NULL;
    }
    sig->root = mt_boxed(&sig->heap[1]);
    return unsent(self, sig);
}

/* -------------------------------------------------------------------------------------------------- links */

struct mt_sig *mt_link_of_far(struct mt_cache *cache, uint64_t from) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_LINK, MT_EXIT_WORDS);
    if (!sig) return NULL;
    sig->root = from;
    sig->heap[0] = sig->heap[1] = sig->heap[2] = 0;
    return sig;
}

static struct mt_sig *new_link(struct mt_proc *self, uint64_t other) { return mt_link_of_far(mt_cache_of(self), other); }

mote_err mt_link(struct mt_proc *self, uint64_t pid) {
    uint64_t me = mt_proc_pid(self);
    struct mt_sig *link = find(self, pid), *sig, *made = NULL;
    uint64_t unlinked = link ? link->heap[1] : 0;
    if (pid == me || (link && !link->heap[1])) return MOTE_OK;
    if (!(sig = new_link(self, me))) return MOTE_ENOMEM;
    if (!link && !(link = made = new_link(self, pid))) {
        mt_sig_free(mt_cache_of(self), sig);
        return MOTE_ENOMEM;
    }
    if (made) insert(self, made);
    link->heap[1] = 0;
    if (reaches(self, pid, sig, link)) return MOTE_OK;
    if (self->flags & MT_PF_TRAPS) {
        mt_relation_bury(self->task.sched, pid, sig);
        return MOTE_OK;
    }
    mt_sig_free(mt_cache_of(self), sig);
    link->heap[1] = unlinked;
    if (made) forget(self, link);
    return MOTE_ENOPROC;
}

mote_err mt_unlink(struct mt_proc *self, uint64_t pid) {
    struct mt_sig *link = find(self, pid);
    if (!link || link->heap[1]) return MOTE_OK;
    struct mt_sig *sig = mt_sig_new(mt_cache_of(self), MT_SIG_UNLINK, 2);
    if (!sig) return MOTE_ENOMEM;
    sig->root = link->heap[1] = mt_ref_next(self->task.sched);
    sig->heap[0] = mt_proc_pid(self);
    send(self, pid, sig); /* who has ended is answered for: what it sent before is in our inbox, and must find the link inactive (R1) */
    return MOTE_OK;
}

bool mt_is_linked(const struct mt_proc *p, uint64_t from) {
    const struct mt_sig *link = find(p, from);
    return link && !link->heap[1];
}

/* Gives the exit signal if the link is active. */
static struct mt_sig *apply_link_exit(struct mt_proc *self, struct mt_sig *sig) {
    if (!mt_is_linked(self, mt_exit_from(sig))) { /* R1 */
        mt_sig_free(mt_cache_of(self), sig);
        return NULL;
    }
    forget(self, find(self, mt_exit_from(sig)));
    return sig;
}

static void apply_unlink(struct mt_proc *self, struct mt_sig *sig) {
    uint64_t from = sig->heap[0];
    struct mt_sig *link = find(self, from);
    if (link && !link->heap[1]) forget(self, link);
    sig->kind = MT_SIG_UNLINKED;
    sig->heap[0] = mt_proc_pid(self);
    mt_deliver(self->task.sched, from, sig);
}

/* ------------------------------------------------------------------------------------------------ monitors */

static uint64_t new_alias_ref(struct mt_proc *self) {
    uint64_t worker = (uint64_t)mt_own_worker(mt_runtime(self)) << MT_REF_COUNTER_BITS;
    for (;;) { /* never one that is in use: the counter comes round after 2^27 */
        uint64_t counter = mt_ref_next(self->task.sched) >> 3 & (((uint64_t)1 << ALIAS_COUNTER_BITS) - 1);
        uint64_t ref = MT_REF_ALIAS | (worker | counter << MT_PID_INDEX_BITS | self->index) << 3 | MT_REF;
        if (!find(self, ref)) return ref;
    }
}

/* The process's side of a monitor, or an alias. */
static mote_err new_watch(struct mt_proc *self, uint64_t pid, const mote_monitor_options *options, struct mt_sig **out) {
    struct mt_reason tag = {MT_WORD_OF(DOWN), NULL};
    if (options->tag.word) {
        mote_err err = mt_reason_of(options->tag, self->current, &tag);
        if (err) return err;
    }
    struct mt_sig *sig = mt_sig_new(mt_cache_of(self), MT_SIG_WATCH, WATCH_WORDS + mt_is_remote(pid));
    if (sig) {
        if (mt_is_remote(pid)) sig->heap[WATCH_WORDS] = 0;
        sig->root = options->alias ? new_alias_ref(self) : mt_ref_next(self->task.sched);
        mt_reason_share(sig, &tag);
        sig->heap[1] = pid;
        sig->heap[2] = tag.word;
        sig->heap[3] = 0;
        sig->extra = (uint16_t)((unsigned)options->alias | (options->priority ? PRIORITY : 0));
    }
    mt_reason_drop(&tag);
    *out = sig;
    return sig ? MOTE_OK : MOTE_ENOMEM;
}

/* By which name: for the DOWN when another worker ends, which nobody else writes. */
static void note_name(struct mt_sig *watch, uint64_t name) {
    watch->heap[3] = name;
    if (!mt_atom_counted(name)) return;
    mt_atom_hold(name);
    if (mt_tag(watch->heap[2]) == MT_ATOM && mt_atom_counted(watch->heap[2])) mt_atom_hold(watch->heap[2]); /* as in fill_down() */
    watch->flags |= MT_SIG_COUNTED;
}

/* An atom or 0, which the signal holds if it is counted. */
static uint64_t held(struct mt_sig *sig, uint64_t atom) {
    if (!mt_atom_counted(atom)) return atom;
    mt_atom_hold(atom);
    sig->flags |= MT_SIG_COUNTED;
    return atom;
}

/* The other's side. */
static struct mt_sig *monitor_from(struct mt_cache *cache, uint64_t from, uint64_t name, uint64_t ref) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_MONITOR, name ? NAMED_WORDS : MONITOR_WORDS);
    if (!sig) return NULL;
    memset(sig->heap, 0, sig->words * sizeof *sig->heap);
    sig->root = ref;
    sig->heap[1] = from;
    sig->heap[2] = held(sig, name);
    return sig;
}

static struct mt_sig *new_monitor(struct mt_proc *self, uint64_t name, uint64_t ref) {
    return monitor_from(mt_cache_of(self), mt_proc_pid(self), name, ref);
}

static void mark(struct mt_proc *self, uint64_t ref) {
    self->mark = ref;
    self->mark_at = self->queue_end;
}

mote_err mt_monitor(struct mt_proc *self, uint64_t pid, uint64_t name, const mote_monitor_options *options, uint64_t *ref) {
    struct mt_sig *watch, *sig;
    mote_err err = new_watch(self, pid, options, &watch);
    if (err) return err;
    mark(self, watch->root);
    *ref = watch->root;
    if (pid == mt_proc_pid(self)) { /* never fires; its alias is one all the same */
        watch->kind = MT_SIG_ALIAS;
        watch->extra = (uint16_t)((watch->extra & PRIORITY) | (options->alias == MOTE_ALIAS_REPLY_DEMONITOR ? MOTE_ALIAS_REPLY : 0u));
        if (!options->alias) mt_sig_free(mt_cache_of(self), watch);
        else insert(self, watch);
        return MOTE_OK;
    }
    if (!(sig = new_monitor(self, name, watch->root))) {
        mt_sig_free(mt_cache_of(self), watch);
        return MOTE_ENOMEM;
    }
    if (name && mt_is_far(mt_runtime(self), pid)) note_name(watch, name);
    insert(self, watch);
    if (!pid || !reaches(self, pid, sig, watch)) mt_relation_bury(self->task.sched, pid, sig);
    return MOTE_OK;
}

/* A WATCH leaves the table and tells the other side. */
static void send_demonitor(struct mt_proc *self, struct mt_sig *watch) {
    uint64_t pid = watch->heap[1];
    take_out(self, watch);
    watch->kind = MT_SIG_DEMONITOR;
    watch->heap[1] = mt_proc_pid(self);
    send(self, pid, watch);
}

/* The monitor goes, its alias stays. */
static mote_err keep_alias(struct mt_proc *self, struct mt_sig *watch) {
    struct mt_sig *sig = demonitor_of(mt_cache_of(self), watch->root, mt_proc_pid(self));
    if (!sig) return MOTE_ENOMEM;
    watch->kind = MT_SIG_ALIAS;
    watch->extra &= PRIORITY;
    send(self, watch->heap[1], sig);
    return MOTE_OK;
}

static bool is_down(const struct mt_sig *sig, uint64_t ref) {
    const uint64_t *t = mt_tag(sig->root) == MT_BOXED ? mt_ptr(sig->root) : NULL;
    if (t && t[0] == mt_header(MT_TUPLE, 4)) return t[1] == MT_WORD_OF(spawn_reply) && t[2] == ref;
    return t && t[0] == mt_header(MT_TUPLE, 5) && t[2] == ref && t[3] == MT_WORD_OF(process);
}

/* Takes a DOWN, or the error of a request, out of the mailbox. */
static void flush_down(struct mt_proc *self, uint64_t ref) {
    mt_fetch(self);
    for (struct mt_sig **at = &self->queue; *at; at = &(*at)->next) {
        if (!is_down(*at, ref)) continue;
        mt_queue_remove(self, at);
        return;
    }
}

mote_err mt_demonitor(struct mt_proc *self, uint64_t ref, bool flush, bool *active) {
    struct mt_sig *watch = find(self, ref);
    *active = watch && (watch->kind == MT_SIG_WATCH || watch->kind == MT_SIG_STARTING);
    if (*active && watch->kind == MT_SIG_STARTING) {
        forget(self, watch); /* given up: see apply_started() */
    } else if (*active) {
        if ((watch->extra & MODE_MASK) == MOTE_ALIAS_EXPLICIT_UNALIAS) return keep_alias(self, watch);
        send_demonitor(self, watch);
    } else if (flush) {
        flush_down(self, ref);
    }
    return MOTE_OK;
}

static struct mt_sig *apply_down(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig *watch = find(self, sig->root);
    bool forged = watch && mt_tag(sig->heap[5]) == MT_PID && mt_is_remote(sig->heap[5]) && sig->heap[5] != watch->heap[1]; /* references are guessed: only the node of whom it watches may tell */
    if (!watch || watch->kind != MT_SIG_WATCH || forged) {
        mt_sig_free(mt_cache_of(self), sig);
        return NULL;
    }
    if (watch->flags & MT_SIG_SHARED) {
        sig = anew(self, sig, watch->heap[2]);
        if (sig) unsent(self, sig);
    } else {
        sig->heap[2] = watch->heap[2];
        sig = mt_as_message(self, sig);
    }
    if ((watch->extra & MODE_MASK) != MOTE_ALIAS_EXPLICIT_UNALIAS) {
        forget(self, watch);
    } else {
        watch->kind = MT_SIG_ALIAS;
        watch->extra &= PRIORITY;
    }
    return sig;
}

static void apply_demonitor(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig *monitor = find(self, sig->root);
    if (monitor && monitor->kind == MT_SIG_MONITOR) forget(self, monitor);
    mt_sig_free(mt_cache_of(self), sig);
}

/* -------------------------------------------------------------------------------------------------- far ones */

struct mt_sig *mt_monitor_of_far(struct mt_cache *cache, uint64_t from, uint64_t name, uint64_t ref) { return monitor_from(cache, from, name, ref); }

struct mt_sig *mt_down_of_far(struct mt_cache *cache, uint64_t ref, uint64_t name, uint64_t item, const struct mt_reason *reason) {
    struct mt_sig *sig = monitor_from(cache, 0, name, ref);
    if (sig) fill_down(sig, item, reason);
    return sig;
}

/* What the end of another worker makes of a relation; NULL: nothing. Without memory *failed. */
static struct mt_sig *lose(struct mt_proc *self, const struct mt_sig *sig, const struct mt_reason *reason, bool *failed) {
    struct mt_sig *out = NULL;
    if (sig->kind == MT_SIG_LINK && !sig->heap[1]) {
        if ((out = mt_sig_new(mt_cache_of(self), MT_SIG_LINK_EXIT, MT_EXIT_WORDS))) mt_exit_fill(out, MT_SIG_LINK_EXIT, sig->root, reason);
    } else if (sig->kind == MT_SIG_WATCH) {
        out = mt_down_of_far(mt_cache_of(self), sig->root, sig->heap[3], sig->heap[1], reason);
    } else if (sig->kind == MT_SIG_STARTING) {
        out = mt_started_new(mt_cache_of(self), sig->root, sig->heap[2], 0, 0, MT_WORD_OF(noconnection));
    } else {
        return NULL;
    }
    if (!out) *failed = true;
    return out;
}

/* Whether a relation with a far process is with the place that is lost. */
static bool is_of_place(const mote_runtime *rt, struct mt_sig *sig, const struct mt_sig *lost) {
    struct mt_remote_id id;
    uint64_t other = other_of(sig), *connection = connection_of(sig);
    if (!mt_is_remote(other)) return mt_pid_worker(other) == lost->extra;
    if (lost->extra < MT_PLACE_NODES || (mt_far_id(rt, other, &id) && id.node != lost->heap[2])) return false;
    return !connection || (uint64_t)mt_small_value(*connection) <= lost->heap[3]; /* F5 */
}

/* Links and monitors of it are told by signals to oneself, as if it had sent them last; what it had of this process goes. */
static void apply_lost(struct mt_proc *self, struct mt_sig *lost) {
    const struct mt_reason reason = {lost->heap[1], lost->flags & MT_SIG_SHARED ? (struct mt_frag *)(uintptr_t)lost->heap[0] : NULL};
    struct mt_sig *kept = NULL, *next;
    bool failed = false;
    for (struct mt_sig *sig; (sig = pop(self));) {
        bool is_its = mt_is_far(mt_runtime(self), other_of(sig)) && is_of_place(mt_runtime(self), sig, lost);
        struct mt_sig *out = is_its ? lose(self, sig, &reason, &failed) : NULL;
        if (out) mt_deliver(self->task.sched, mt_proc_pid(self), out);
        if (is_its && (sig->kind == MT_SIG_MONITOR || (sig->kind == MT_SIG_LINK && sig->heap[1]))) {
            mt_sig_free(mt_cache_of(self), sig);
            continue;
        }
        sig->next = kept;
        kept = sig;
    }
    for (struct mt_sig *sig = kept; sig; sig = next) {
        next = sig->next;
        insert(self, sig);
    }
    if (failed) fail(self);
}

/* ------------------------------------------------------------------------- processes that other nodes start */

struct mt_sig *mt_started_new(struct mt_cache *cache, uint64_t ref, uint64_t node, uint64_t child, unsigned flags, uint64_t error) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_STARTED, STARTED_WORDS);
    if (!sig) return NULL;
    memset(sig->heap, 0, sig->words * sizeof *sig->heap);
    sig->root = ref;
    sig->extra = (uint16_t)flags;
    sig->heap[1] = child;
    sig->heap[3] = held(sig, error);
    sig->heap[4] = held(sig, node);
    return sig;
}

mote_err mt_request_new(struct mt_proc *self, uint64_t where, unsigned flags, uint64_t *ref) {
    const mote_monitor_options options = {0};
    struct mt_remote_id id;
    struct mt_sig *request;
    if (!mt_far_id(mt_runtime(self), where, &id)) return MOTE_EARG;
    mote_err err = new_watch(self, where, &options, &request);
    if (err) return err;
    request->kind = MT_SIG_STARTING;
    request->extra = (uint16_t)flags;
    request->heap[2] = held(request, id.node);
    insert(self, request);
    mark(self, request->root);
    *ref = request->root;
    return MOTE_OK;
}

void mt_request_send(struct mt_proc *self, uint64_t where, uint64_t ref, struct mt_sig *sig) {
    struct mt_sig *request = find(self, ref), *answer;
    bool sent = request ? reaches(self, where, sig, request) : mt_far_send(self->task.sched, where, sig) != MT_FAR_ABSENT;
    if (sent) return;
    mt_sig_free(mt_cache_of(self), sig);
    if (!request) return;
    if ((answer = mt_started_new(mt_cache_of(self), ref, request->heap[2], 0, 0, MT_WORD_OF(noconnection)))) mt_deliver(self->task.sched, mt_proc_pid(self), answer);
    else fail(self);
}

/* {spawn_reply, Ref, ok | error, Pid | Reason} */
static struct mt_sig *spawn_reply(struct mt_proc *self, const struct mt_sig *sig) {
    struct mt_sig *out = NULL;
    mote_term term = {0}, pid;
    mote_arena *arena = mote_arena_new(0);
    if (arena) {
        pid = mt_far_element(mt_runtime(self), arena, sig->heap[1]);
        const mote_term parts[4] = {{MT_WORD_OF(spawn_reply)}, {sig->root}, {sig->heap[1] ? MT_WORD_OF(ok) : MT_WORD_OF(error)}, sig->heap[1] ? pid : (mote_term){sig->heap[3]}};
        term = mote_tuple_make(arena, 4, parts);
    }
    if (!term.word || mt_sig_of_term(mt_cache_of(self), term, 0, NULL, &out)) fail(self);
    mote_arena_free(arena);
    return out ? unsent(self, out) : NULL;
}

/* Only the node that was asked answers, and only once. From here on the process is linked and monitored. */
static struct mt_sig *apply_started(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig *request = find(self, sig->root), *link, *out = NULL;
    uint64_t child = sig->heap[1];
    if (!request || request->kind != MT_SIG_STARTING || request->heap[2] != sig->heap[4]) {
        forsake(self->task.sched, mt_proc_pid(self), sig);
        return NULL;
    }
    unsigned flags = request->extra, both = flags & sig->extra;
    take_out(self, request);
    if (child && (both & MT_STARTS_LINKED) && !find(self, child)) {
        if ((link = new_link(self, child))) {
            link->heap[2] = *connection_of(request);
            insert(self, link);
        } else {
            fail(self);
        }
    }
    if (!child || !(flags & MT_STARTS_QUIETLY)) out = spawn_reply(self, sig);
    if (child && (both & MT_STARTS_MONITORED)) {
        if (mt_atom_counted(request->heap[2])) mt_atom_drop(request->heap[2]);
        request->flags &= (uint8_t)~MT_SIG_COUNTED;
        request->kind = MT_SIG_WATCH;
        request->extra = 0;
        request->heap[1] = child;
        request->heap[2] = MT_WORD_OF(DOWN);
        insert(self, request);
    } else {
        mt_sig_free(mt_cache_of(self), request);
    }
    mt_sig_free(mt_cache_of(self), sig);
    return out;
}

struct mt_sig *mt_relation_apply(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig *link;
    switch ((enum mt_sig_kind)sig->kind) {
    case MT_SIG_LINK_EXIT: return apply_link_exit(self, sig);
    case MT_SIG_DOWN: return apply_down(self, sig);
    case MT_SIG_MONITOR:
        if (mt_unlikely(mt_is_far(mt_runtime(self), sig->heap[1])) && find(self, sig->root)) break; /* keys are unique, whatever a worker sends */
        insert(self, sig);
        return NULL;
    case MT_SIG_STARTED: return apply_started(self, sig);
    case MT_SIG_LOST: apply_lost(self, sig); break;
    case MT_SIG_DEMONITOR: apply_demonitor(self, sig); return NULL;
    case MT_SIG_UNLINK: apply_unlink(self, sig); return NULL;
    case MT_SIG_LINK:
        if (!find(self, sig->root)) { /* else it is linked already, or R1 */
            insert(self, sig);
            return NULL;
        }
        break;
    case MT_SIG_UNLINKED:
        link = find(self, sig->heap[0]);
        if (link && link->heap[1] == sig->root) forget(self, link);
        break;
    default: MT_ASSERT(sig->kind == MT_SIG_LINK_EXIT); /* nothing else is a relation's signal */
    }
    mt_sig_free(mt_cache_of(self), sig);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------- aliases */

mote_err mt_alias(struct mt_proc *self, unsigned flags, uint64_t *ref) {
    mote_monitor_options options = {.alias = MOTE_ALIAS_EXPLICIT_UNALIAS, .priority = flags & MOTE_ALIAS_PRIORITY};
    struct mt_sig *alias;
    mote_err err = new_watch(self, 0, &options, &alias);
    if (err) return err;
    alias->kind = MT_SIG_ALIAS;
    alias->extra = (uint16_t)((alias->extra & PRIORITY) | (flags & MOTE_ALIAS_REPLY));
    insert(self, alias);
    mark(self, alias->root);
    *ref = alias->root;
    return MOTE_OK;
}

mote_err mt_unalias(struct mt_proc *self, uint64_t ref) {
    struct mt_sig *alias = find(self, ref);
    if (!alias) return MOTE_NOMATCH;
    if (alias->kind == MT_SIG_ALIAS) {
        forget(self, alias);
        return MOTE_OK;
    }
    if (alias->kind != MT_SIG_WATCH || !(alias->extra & MODE_MASK)) return MOTE_NOMATCH;
    alias->extra = MOTE_ALIAS_NONE; /* the monitor stays */
    return MOTE_OK;
}

struct mt_sig *mt_alias_apply(struct mt_proc *self, struct mt_sig *sig) {
    struct mt_sig *alias = find(self, sig->heap[sig->words - 1]);
    bool open = alias && (alias->kind == MT_SIG_ALIAS || (alias->kind == MT_SIG_WATCH && (alias->extra & MODE_MASK)));
    if (!open) {
        if (self->flags & MT_PF_BOUNDED) atomic_fetch_sub_explicit(&self->count, 1, memory_order_relaxed);
        mt_bury_letter(self->task.sched, mt_proc_pid(self), sig);
        return NULL;
    }
    sig->kind = MT_SIG_MESSAGE;
    if (!(alias->extra & PRIORITY)) sig->flags &= (uint8_t)~MT_SIG_PRIORITY;
    if (alias->kind == MT_SIG_ALIAS && (alias->extra & MOTE_ALIAS_REPLY))
        forget(self, alias);
    else if (alias->kind == MT_SIG_WATCH && (alias->extra & MODE_MASK) == MOTE_ALIAS_REPLY_DEMONITOR)
        send_demonitor(self, alias);
    return sig;
}

/* ------------------------------------------------------------------------------------- the beginning, the end */

mote_err mt_relate_child(struct mt_proc *self, struct mt_proc *child, const mote_spawn_options *options) {
    uint64_t pid = mt_proc_pid(child);
    struct mt_sig *link = NULL, *back = NULL, *watch = NULL, *monitor = NULL;
    mote_err err = MOTE_OK;
    if (options->link) {
        link = new_link(self, pid);
        back = new_link(self, mt_proc_pid(self));
        if (!link || !back) err = MOTE_ENOMEM;
    }
    if (!err && options->monitor && !(err = new_watch(self, pid, &options->monitoring, &watch)) &&
        !(monitor = new_monitor(self, 0, watch->root)))
        err = MOTE_ENOMEM;
    struct mt_sig *made[] = {link, watch, back, monitor};
    for (int i = 0; i < 4; i++) {
        if (!made[i]) continue;
        if (err) mt_sig_free(mt_cache_of(self), made[i]);
        else insert(i < 2 ? self : child, made[i]);
    }
    if (err || !watch) return err;
    mark(self, watch->root);
    options->monitor->word = watch->root;
    return MOTE_OK;
}

mote_err mt_relate_child_far(struct mt_sched *s, struct mt_proc *child, uint64_t far, bool link, uint64_t ref) {
    struct mt_sig *linked = link ? mt_link_of_far(&s->cache, far) : NULL, *monitor = ref ? monitor_from(&s->cache, far, 0, ref) : NULL;
    bool fine = (!link || linked) && (!ref || monitor) && ((!link && !ref) || mt_far_note(s, mt_proc_pid(child), far));
    struct mt_sig *made[] = {linked, monitor};
    for (int i = 0; i < 2; i++) {
        if (made[i] && fine) insert(child, made[i]);
        else if (made[i]) mt_sig_free(&s->cache, made[i]);
    }
    return fine ? MOTE_OK : MOTE_ENOMEM;
}

mote_err mt_watch_child(struct mt_proc *self, struct mt_proc *child, uint64_t ref) {
    const mote_monitor_options options = {0};
    struct mt_sig *watch, *monitor = new_monitor(self, 0, ref);
    mote_err err = monitor ? new_watch(self, mt_proc_pid(child), &options, &watch) : MOTE_ENOMEM;
    if (err) {
        if (monitor) mt_sig_free(mt_cache_of(self), monitor);
        return err;
    }
    watch->root = ref;
    insert(self, watch);
    insert(child, monitor);
    return MOTE_OK;
}

void mt_relations_drop(struct mt_proc *p) {
    for (struct mt_sig *sig; (sig = pop(p));) mt_sig_free(mt_cache_of(p), sig);
    free_table(p);
}

void mt_relations_end(struct mt_proc *p, const struct mt_reason *reason) {
    p->arg = reason->word;
    p->mark = (uint64_t)(uintptr_t)reason->frag;
}

/* Whom a relation is about; 0: nobody is told. R1 */
static uint64_t told(const struct mt_sig *sig) {
    if (sig->kind == MT_SIG_LINK) return sig->heap[1] ? 0 : sig->root;
    return sig->kind == MT_SIG_MONITOR || sig->kind == MT_SIG_WATCH ? sig->heap[1] : 0;
}

/* Tells one relation, which the signal is about. */
static void tell(struct mt_sched *s, uint64_t me, const struct mt_reason *reason, struct mt_sig *sig) {
    uint64_t to = told(sig);
    if (!to) {
        mt_sig_free(&s->cache, sig);
        return;
    }
    if (sig->kind == MT_SIG_LINK) {
        mt_exit_fill(sig, MT_SIG_LINK_EXIT, me, reason);
    } else if (sig->kind == MT_SIG_MONITOR) {
        fill_down(sig, me, reason);
    } else {
        sig->kind = MT_SIG_DEMONITOR;
        sig->heap[1] = me;
    }
    mt_deliver(s, to, sig);
}

#define AHEAD 8u /* relations that are taken out together, so that whom they are about is fetched before it is told */

bool mt_relations_tell(struct mt_sched *s, struct mt_proc *p, size_t max) {
    struct mt_reason reason = {p->arg, (struct mt_frag *)(uintptr_t)p->mark};
    uint64_t me = mt_proc_pid(p);
    struct mt_sig *sigs[AHEAD];
    bool many = p->relations & 1;
    size_t batch = many ? AHEAD : 1, n = batch;
    for (size_t done = 0; n == batch; done += n) {
        if (done >= max) return false;
        for (n = 0; n < batch && (sigs[n] = pop(p)); n++)
            if (many) mt_prefetch_write(mt_table_find(mt_runtime_of_sched(s), told(sigs[n])));
        for (size_t i = 0; i < n; i++) tell(s, me, &reason, sigs[i]);
    }
    free_table(p);
    mt_reason_drop(&reason);
    p->mark = 0;
    return true;
}
