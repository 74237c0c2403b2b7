/* SPDX-License-Identifier: Apache-2.0
 * A record is a head and, behind it, terms in the external format's MOTE form. Notes are signals that wait in a table, as relations are (relation.c):
 * one for each process and worker, which becomes its LOST signal; a question that has been sent waits there as well. A question that is answered
 * in the moment its worker is lost is answered once, by who takes it out of the table. */
#include "proc/far.h"

#include <string.h>

#include <mote/external.h>

#include "base/hash.h"

#define STANDING_FIRST 16u
#define RECORD_BYTES_MAX ((size_t)1 << 31)
#define PLACE_NONE UINT32_MAX /* a node has none */

struct head {
    uint32_t kind; /* enum mt_sig_kind, or ANSWER */
    uint32_t flags;
    uint64_t to, a, b;
};
#define ANSWER 64u

/* Behind the head of an ANSWER. */
struct answer {
    mote_process_info info; /* without its addresses and atoms */
};

struct peer { /* MT_SHARED */
    _Atomic uint32_t up;       /* atomic: seq_cst: worker + 1, or 0: it is not there */
    _Atomic uint32_t users;    /* atomic: seq_cst: who looks at `up` and may then use the carrier, see hold() */
    struct mt_carrier carrier; /* const while it is up, or somebody uses it */
    struct mt_hash notes;      /* lock: mu: struct mt_sig; the key is a process's pid, or a question's id */
    uint64_t *standing;        /* lock: mu: pids of those who stand still for it */
    size_t standing_count;     /* lock: mu */
    size_t standing_room;      /* lock: mu */
    _Atomic uint64_t node;     /* atomic: relaxed: a node's name, held; changes while it is not up, and nobody uses the carrier */
    uint64_t connection;       /* const while it is up: of a node: no other has had this number */
};

struct mt_far { /* MT_SHARED */
    struct mt_lock mu;
    _Atomic(const struct mt_freighter *) freighter; /* atomic: release; NULL: big binaries are written as others */
    uint64_t questions;        /* lock: mu: counts ids */
    struct peer peers[MT_WORKERS_MAX]; /* see there */
    _Atomic(const struct mt_net *) net; /* atomic: release */
    _Atomic(const struct mt_gate *) gate; /* atomic: release; NULL: there is none */
    _Atomic(struct mt_remotes *) remotes; /* atomic: release: there is one with the first word */
    _Atomic(struct peer *) nodes[MT_NODES_MAX]; /* atomic: release; they stay */
    _Atomic unsigned nodes_end; /* atomic: release: there is none from here on; changes under rt->mu */
    uint64_t connections;      /* lock: rt->mu: that nodes have had */
};

static struct mt_far *far_of(const mote_runtime *rt) { return atomic_load_explicit(&rt->far, memory_order_acquire); }

const struct mt_freighter *mt_far_freighter(const mote_runtime *rt) {
    struct mt_far *far = far_of(rt);
    return far ? atomic_load_explicit(&far->freighter, memory_order_acquire) : NULL;
}

static void release(struct peer *peer) { atomic_fetch_sub(&peer->users, 1); }

/* The peer that a place has; NULL: it never had one. */
static struct peer *peer_at(const struct mt_far *far, unsigned place) {
    if (place < MT_PLACE_NODES) return (struct peer *)(uintptr_t)&far->peers[place % MT_WORKERS_MAX];
    return place - MT_PLACE_NODES < MT_NODES_MAX ? atomic_load_explicit(&far->nodes[place - MT_PLACE_NODES], memory_order_acquire) : NULL;
}

/* The peer of a place, whose carrier may be used until release(); NULL: it is not there. `any`: whatever a worker's incarnation. Who takes it down clears `up` first and then waits for
 * `users` to be 0: so nobody is in the carrier, and nobody will be. */
static struct peer *hold(const mote_runtime *rt, unsigned place, bool any) {
    struct mt_far *far = far_of(rt);
    struct peer *peer = far ? peer_at(far, place) : NULL;
    if (!peer) return NULL;
    atomic_fetch_add(&peer->users, 1);
    uint32_t up = atomic_load(&peer->up);
    if (up && (any || up - 1 == place)) return peer;
    release(peer);
    return NULL;
}

bool mt_far_is_used(const mote_runtime *rt, unsigned place) {
    struct mt_far *far = far_of(rt);
    struct peer *peer = far ? peer_at(far, place) : NULL;
    return peer && atomic_load(&peer->users) != 0;
}

static struct mt_far *make(mote_runtime *rt) {
    struct mt_far *far = far_of(rt);
    if (far || !(far = mt_os_alloc_zero(sizeof *far))) return far;
    mt_lock_init(&far->mu, MT_RANK_FAR);
    atomic_store_explicit(&rt->far, far, memory_order_release);
    return far;
}

mote_err mt_far_freight(mote_runtime *rt, const struct mt_freighter *freighter) {
    mt_lock_take(&rt->mu);
    struct mt_far *far = make(rt);
    if (far) atomic_store_explicit(&far->freighter, freighter, memory_order_release);
    mt_lock_drop(&rt->mu);
    return far ? MOTE_OK : MOTE_ENOMEM;
}

bool mt_far_put(mote_runtime *rt, unsigned worker, bool any, const void *record, size_t size) {
    struct peer *peer = hold(rt, worker, any);
    if (!peer) return false;
    (void)peer->carrier.put(peer->carrier.context, record, size); /* what is not a message is never refused */
    release(peer);
    return true;
}

void mt_far_put_all(mote_runtime *rt, const void *record, size_t size) {
    for (unsigned i = 0; i < MT_WORKERS_MAX; i++) (void)mt_far_put(rt, i, true, record, size);
}

bool mt_far_crowded(const mote_runtime *rt, unsigned worker) {
    struct peer *peer = hold(rt, worker, false);
    bool crowded = peer && peer->carrier.crowded(peer->carrier.context, 0);
    if (peer) release(peer);
    return crowded;
}

static uint64_t node_of(struct peer *peer) { return atomic_load_explicit(&peer->node, memory_order_relaxed); }

/* It is there from now on; `node`: as a node's, by its name, else 0. */
static mote_err rise(struct mt_far *far, struct peer *peer, unsigned place, const struct mt_carrier *carrier, uint64_t node) {
    mote_err err = atomic_load(&peer->up) ? MOTE_EBUSY : peer->notes.buckets ? MOTE_OK : mt_hash_init(&peer->notes);
    if (err) return err;
    while (atomic_load(&peer->users)) mt_cpu_relax(); /* of the incarnation before: no longer than a put() takes */
    peer->carrier = *carrier;
    if (node) {
        uint64_t before = node_of(peer);
        mt_atom_hold(node);
        atomic_store_explicit(&peer->node, node, memory_order_relaxed);
        if (before) mt_atom_drop(before);
        peer->connection = ++far->connections;
    }
    atomic_store(&peer->up, place + 1);
    return MOTE_OK;
}

mote_err mt_far_open(mote_runtime *rt, unsigned worker, const struct mt_carrier *carrier) {
    if (worker >> MT_PID_WORKER_BITS || worker % MT_WORKERS_MAX == mt_own_worker(rt) || worker % MT_WORKERS_MAX == MT_REMOTE) return MOTE_EARG;
    mt_lock_take(&rt->mu);
    struct mt_far *far = make(rt);
    mote_err err = far ? rise(far, &far->peers[worker % MT_WORKERS_MAX], worker, carrier, 0) : MOTE_ENOMEM;
    const struct mt_gate *gate = err ? NULL : atomic_load(&far->gate);
    mt_lock_drop(&rt->mu);
    if (gate) gate->opened(rt, worker);
    return err;
}

mote_err mt_far_gate(mote_runtime *rt, const struct mt_gate *gate) {
    mt_lock_take(&rt->mu);
    struct mt_far *far = make(rt);
    if (far) atomic_store_explicit(&far->gate, gate, memory_order_release);
    mt_lock_drop(&rt->mu);
    for (unsigned i = 0; far && i < MT_WORKERS_MAX; i++) { /* one that is opened now may be told of twice */
        uint32_t up = atomic_load(&far->peers[i].up);
        if (up) gate->opened(rt, up - 1);
    }
    return far ? MOTE_OK : MOTE_ENOMEM;
}

static const struct mt_gate *gate_of(const mote_runtime *rt) {
    struct mt_far *far = far_of(rt);
    return far ? atomic_load_explicit(&far->gate, memory_order_acquire) : NULL;
}

/* -------------------------------------------------------------------------------------------------- nodes */

mote_err mt_far_net(mote_runtime *rt, const struct mt_net *net) {
    mt_lock_take(&rt->mu);
    struct mt_far *far = make(rt);
    mote_err err = !far ? MOTE_ENOMEM : atomic_load(&far->net) ? MOTE_EBUSY : MOTE_OK;
    if (!err) atomic_store_explicit(&far->net, net, memory_order_release);
    mt_lock_drop(&rt->mu);
    return err;
}

const struct mt_net *mt_far_net_of(const mote_runtime *rt) {
    struct mt_far *far = far_of(rt);
    return far ? atomic_load_explicit(&far->net, memory_order_acquire) : NULL;
}

static struct mt_remotes *remotes_of(const mote_runtime *rt) {
    struct mt_far *far = far_of(rt);
    return far ? atomic_load_explicit(&far->remotes, memory_order_acquire) : NULL;
}

static struct mt_remotes *make_remotes(mote_runtime *rt) {
    struct mt_remotes *remotes = remotes_of(rt);
    if (remotes) return remotes;
    mt_lock_take(&rt->mu);
    struct mt_far *far = make(rt);
    remotes = far ? atomic_load(&far->remotes) : NULL;
    if (far && !remotes && !mt_remotes_new(&remotes)) atomic_store_explicit(&far->remotes, remotes, memory_order_release);
    mt_lock_drop(&rt->mu);
    return remotes;
}

uint64_t mt_far_word(mote_runtime *rt, uint64_t term, bool *own) {
    struct mt_remote_id id;
    const struct mt_net *net = mt_far_net_of(rt);
    *own = false;
    if (!mt_remote_id_of(term, &id)) return 0;
    *own = id.node == MT_NODE || (net && id.node == net->name);
    struct mt_remotes *remotes = *own ? NULL : make_remotes(rt);
    return remotes ? mt_remote_word(remotes, &id) : 0;
}

uint64_t mt_far_word_of(mote_runtime *rt, const struct mt_remote_id *id) {
    struct mt_remotes *remotes = make_remotes(rt);
    return remotes ? mt_remote_word(remotes, id) : 0;
}

bool mt_far_id(const mote_runtime *rt, uint64_t word, struct mt_remote_id *id) {
    struct mt_remotes *remotes = remotes_of(rt);
    return remotes && mt_is_remote(word) && mt_remote_get(remotes, word, id);
}

mote_term mt_far_element(const mote_runtime *rt, mote_arena *arena, uint64_t word) {
    struct mt_remote_id id;
    if (!mt_is_remote(word)) return (mote_term){word};
    return mt_far_id(rt, word, &id) ? mt_remote_term(arena, &id) : MOTE_TERM_NIL;
}

void mt_far_hold(const mote_runtime *rt, uint64_t word) {
    if (mt_unlikely(mt_is_remote(word))) mt_remote_hold(remotes_of(rt), word);
}

void mt_far_drop(const mote_runtime *rt, uint64_t word) {
    if (mt_unlikely(mt_is_remote(word))) mt_remote_drop(remotes_of(rt), word);
}

/* The place of a node by its name. */
static unsigned node_place(const mote_runtime *rt, uint64_t node) {
    struct mt_far *far = far_of(rt);
    unsigned end = far ? atomic_load_explicit(&far->nodes_end, memory_order_acquire) : 0;
    for (unsigned i = 0; i < end; i++) {
        struct peer *peer = atomic_load_explicit(&far->nodes[i], memory_order_acquire);
        if (atomic_load(&peer->up) && node_of(peer) == node) return MT_PLACE_NODES + i;
    }
    return PLACE_NONE;
}

/* As hold(), and only if it is that node's: the number may have become another's since it was looked up. */
static struct peer *hold_for(const mote_runtime *rt, unsigned place, uint64_t node) {
    struct peer *peer = hold(rt, place, false);
    if (!peer || node_of(peer) == node) return peer;
    release(peer);
    return NULL;
}

/* The same; a node that has none is dialled. */
static unsigned place_for_node(struct mt_sched *s, uint64_t node) {
    mote_runtime *rt = mt_runtime_of_sched(s);
    const struct mt_net *net = mt_far_net_of(rt);
    unsigned place = node_place(rt, node);
    if (place != PLACE_NONE || !net) return place;
    return net->dial(net->context, s, node) ? node_place(rt, node) : PLACE_NONE;
}

/* The peer of a word's node, as hold(), and what the word stands for. NULL: the word is forgotten, or nobody connects the node. */
static struct peer *hold_node(struct mt_sched *s, uint64_t word, struct mt_remote_id *id) {
    mote_runtime *rt = mt_runtime_of_sched(s);
    return mt_far_id(rt, word, id) ? hold_for(rt, place_for_node(s, id->node), id->node) : NULL;
}

/* The same, of a node that is connected or about to be; nobody dials. */
static struct peer *hold_connected(const mote_runtime *rt, uint64_t word, struct mt_remote_id *id) {
    return mt_far_id(rt, word, id) ? hold_for(rt, node_place(rt, id->node), id->node) : NULL;
}

/* The peer of a far pid, as hold(); a node that has none is dialled. */
static struct peer *hold_of(struct mt_sched *s, uint64_t pid) {
    struct mt_remote_id id;
    return mt_is_remote(pid) ? hold_node(s, pid, &id) : hold(mt_runtime_of_sched(s), mt_pid_worker(pid), false);
}

bool mt_far_pass(struct mt_sched *s, uint64_t node, const void *what) {
    struct peer *peer = hold_for(mt_runtime_of_sched(s), place_for_node(s, node), node);
    if (!peer) return false;
    peer->carrier.pass(peer->carrier.context, s, what);
    release(peer);
    return true;
}

void mt_far_each_node(const mote_runtime *rt, void (*call)(void *carrier, void *context), void *context) {
    struct mt_far *far = far_of(rt);
    unsigned end = far ? atomic_load_explicit(&far->nodes_end, memory_order_acquire) : 0;
    for (unsigned i = 0; i < end; i++) {
        struct peer *peer = hold(rt, MT_PLACE_NODES + i, false);
        if (!peer) continue;
        call(peer->carrier.context, context);
        release(peer);
    }
}

/* A peer for a node: one that has been the same node's, or has none now, or a new one. */
static mote_err node_peer(struct mt_far *far, uint64_t node, unsigned *index) {
    unsigned end = atomic_load(&far->nodes_end), spare = end;
    for (unsigned i = 0; i < end; i++) {
        struct peer *peer = atomic_load(&far->nodes[i]);
        if (atomic_load(&peer->up) && node_of(peer) == node) return MOTE_EBUSY;
        if (!atomic_load(&peer->up) && (spare == end || node_of(peer) == node)) spare = i;
    }
    *index = spare;
    if (spare < end) return MOTE_OK;
    if (end == MT_NODES_MAX) return MOTE_ELIMIT;
    struct peer *peer = mt_os_alloc_zero(sizeof *peer);
    if (!peer) return MOTE_ENOMEM;
    atomic_store_explicit(&far->nodes[end], peer, memory_order_release);
    atomic_store_explicit(&far->nodes_end, end + 1, memory_order_release);
    return MOTE_OK;
}

mote_err mt_far_node_open(mote_runtime *rt, uint64_t node, const struct mt_carrier *carrier, unsigned *place) {
    unsigned index = 0;
    mt_lock_take(&rt->mu);
    struct mt_far *far = make(rt);
    mote_err err = far ? node_peer(far, node, &index) : MOTE_ENOMEM;
    if (!err) err = rise(far, atomic_load(&far->nodes[index]), MT_PLACE_NODES + index, carrier, node);
    if (!err) *place = MT_PLACE_NODES + index;
    mt_lock_drop(&rt->mu);
    return err;
}

static void forget(struct mt_cache *cache, struct mt_sig *sig) {
    if (sig->kind == MT_SIG_INFO) mt_question_drop((struct mt_info_request *)(uintptr_t)sig->heap[0]);
    mt_sig_free(cache, sig);
}

static void free_peer(mote_runtime *rt, struct peer *peer) {
    if (!peer->notes.buckets) return;
    for (struct mt_node *node; (node = mt_hash_pop(&peer->notes));) forget(&rt->stopper->cache, (struct mt_sig *)(void *)node);
    mt_hash_fini(&peer->notes);
    mt_os_free(peer->standing);
}

void mt_far_free(mote_runtime *rt) {
    struct mt_far *far = far_of(rt);
    if (!far) return;
    const struct mt_freighter *f = mt_far_freighter(rt);
    if (f) f->over(f->context);
    const struct mt_net *net = atomic_load(&far->net);
    if (net) net->over(net->context);
    for (struct peer *peer = far->peers; peer < far->peers + MT_WORKERS_MAX; peer++) free_peer(rt, peer);
    for (unsigned i = 0; i < atomic_load(&far->nodes_end); i++) {
        struct peer *peer = atomic_load(&far->nodes[i]);
        free_peer(rt, peer);
        if (node_of(peer)) mt_atom_drop(node_of(peer));
        mt_os_free(peer);
    }
    mt_remotes_free(atomic_load(&far->remotes));
    mt_lock_fini(&far->mu);
    mt_os_free(far);
}

/* --------------------------------------------------------------------------------------------------- notes */

/* Marks a process as noted; false: it has ended, or is about to, and will not forget its notes. */
static bool mark(mote_runtime *rt, uint64_t local) {
    struct mt_proc *p = mt_table_find(rt, local);
    return p && !(atomic_fetch_or(&p->naming, MT_IS_NOTED) & MT_DYING) && mt_serial(p) == mt_pid_serial(local);
}

/* A new note, in the table. */
static bool note_locked(struct mt_sched *s, struct peer *peer, uint64_t local, unsigned place) {
    struct mt_sig *note = mt_sig_new(&s->cache, MT_SIG_LOST, 4);
    if (!note) return false;
    note->extra = (uint16_t)place;
    note->root = local;
    note->heap[0] = note->heap[1] = 0;
    note->heap[2] = node_of(peer); /* of a place that is a node's, and the connection */
    note->heap[3] = peer->connection;
    if (mark(mt_runtime_of_sched(s), local))
        mt_hash_insert(&peer->notes, (struct mt_node *)(void *)note);
    else
        mt_sig_free(&s->cache, note);
    return true;
}

/* At a peer that is held. False: it is not there any more, or there is no memory. */
static bool note_at(struct mt_sched *s, struct peer *peer, uint64_t local, unsigned place) {
    struct mt_far *far = far_of(mt_runtime_of_sched(s));
    mt_lock_take(&far->mu);
    bool ok = atomic_load_explicit(&peer->up, memory_order_relaxed) == place + 1 && (*mt_hash_find(&peer->notes, local) || note_locked(s, peer, local, place));
    mt_lock_drop(&far->mu);
    return ok;
}

/* The place of a peer that is held: until it is released there is no other there. */
static bool note(struct mt_sched *s, struct peer *peer, uint64_t local) {
    uint32_t up = atomic_load_explicit(&peer->up, memory_order_relaxed);
    return up && note_at(s, peer, local, up - 1);
}

bool mt_far_note(struct mt_sched *s, uint64_t local, uint64_t far_pid) {
    struct peer *peer = hold_of(s, far_pid);
    bool ok = peer && note(s, peer, local);
    if (peer) release(peer);
    return ok;
}

/* Takes a note or a question out. NULL: there is none. */
static struct mt_sig *take_out(struct mt_far *far, struct peer *peer, uint64_t key) {
    mt_lock_take(&far->mu);
    struct mt_node **at = mt_hash_find(&peer->notes, key);
    struct mt_node *node = *at ? mt_hash_remove(&peer->notes, at) : NULL;
    mt_lock_drop(&far->mu);
    return (struct mt_sig *)(void *)node;
}

static void forget_at(struct mt_proc *p, struct mt_far *far, struct peer *peer) {
    struct mt_sig *note = atomic_load_explicit(&peer->up, memory_order_acquire) ? take_out(far, peer, mt_proc_pid(p)) : NULL;
    if (note) mt_sig_free(mt_cache_of(p), note);
}

void mt_far_forget(struct mt_proc *p) {
    struct mt_far *far = far_of(mt_runtime(p));
    if (!far) return;
    for (struct peer *peer = far->peers; peer < far->peers + MT_WORKERS_MAX; peer++) forget_at(p, far, peer);
    for (unsigned i = 0; i < atomic_load_explicit(&far->nodes_end, memory_order_acquire); i++)
        forget_at(p, far, atomic_load_explicit(&far->nodes[i], memory_order_acquire));
}

/* -------------------------------------------------------------------------------------------------- sending */

/* A record as it is written: first in memory of its own. */
struct record {
    mote_runtime *rt;
    struct peer *peer; /* held */
    mote_parcel parcel;
    mote_writer out;
    uint64_t first[32];
};

/* Begins a record for a peer, which it takes over. */
static void begin(struct record *r, mote_runtime *rt, struct peer *peer, const struct head *head) {
    r->rt = rt;
    r->peer = peer;
    r->parcel = (mote_parcel){.pid = head->to};
    mote_writer_init(&r->out, MOTE_FORM_MOTE, r->first, sizeof r->first, RECORD_BYTES_MAX);
    mote_raw_write(&r->out, head, sizeof *head);
}

/* Gives the record to the carrier, and the peer up. */
static enum mt_far_sent finish(struct record *r) {
    struct peer *peer = r->peer;
    mote_err err = r->out.err;
    mote_bytes bytes = mote_writer_bytes(&r->out);
    bool crowded = false;
    if (err)
        mt_log(r->rt, MOTE_LOG_ERROR, "a signal to worker %u is lost: %s", (unsigned)(peer - far_of(r->rt)->peers), mote_err_text(err));
    else
        crowded = !peer->carrier.put(peer->carrier.context, bytes.data, bytes.size);
    mt_far_unload(r->rt, &r->parcel, !err);
    mote_writer_fini(&r->out);
    release(peer);
    return crowded ? MT_FAR_CROWDED : MT_FAR_TAKEN;
}

/* The receiver of an alias is named by the slot alone, in whatever incarnation. */
static uint64_t in_incarnation(uint64_t pid, uint32_t up) {
    return (pid & ~MT_PID_WORKER_MASK) | (uint64_t)(up - 1) << (3 + MT_PID_INDEX_BITS);
}

/* From now on it is for the incarnation that is there. */
static void settle(mote_runtime *rt, mote_parcel *parcel) {
    struct peer *peer = hold(rt, mt_pid_worker(parcel->pid), true);
    if (!peer) return;
    uint32_t up = atomic_load_explicit(&peer->up, memory_order_relaxed);
    if (up) parcel->pid = in_incarnation(parcel->pid, up);
    release(peer);
}

size_t mt_far_load(mote_runtime *rt, mote_parcel *parcel, const void *data, size_t size, uint8_t *handle) {
    const struct mt_freighter *f = mt_far_freighter(rt);
    if (mt_is_remote(parcel->pid)) return 0;
    if (f && parcel->alias && !parcel->load) settle(rt, parcel);
    return f ? f->load(f->context, mt_pid_worker(parcel->pid), &parcel->load, data, size, handle) : 0;
}

bool mt_far_leave(mote_parcel *parcel, size_t at, mote_bytes bytes, void (*ends)(void *data, void *context), void *context) {
    if (!mt_is_remote(parcel->pid) || bytes.size < MT_LEFT_MIN) return false;
    if (!parcel->load && !(parcel->load = mt_os_alloc_zero(sizeof(struct mt_left)))) return false;
    struct mt_bin *bin = mt_bin_new(0);
    if (!bin) return false;
    bin->data = bytes.data;
    bin->size = bytes.size;
    bool left = mt_left_add(parcel->load, at, bytes, bin);
    if (left) bin->release = ends, bin->context = context;
    else mt_bin_drop(bin);
    return left;
}

void mt_far_unload(mote_runtime *rt, mote_parcel *parcel, bool sent) {
    if (!parcel->load) return;
    const struct mt_freighter *f = mt_far_freighter(rt);
    void *load = parcel->load;
    parcel->load = NULL;
    if (mt_is_remote(parcel->pid)) {
        if (!sent) mt_left_drop(load);
        mt_os_free(load);
        return;
    }
    f->loaded(f->context, load, sent);
}

/* The encoder's: a binary of a record. */
static size_t load(void *context, mote_term binary, uint8_t *handle) {
    struct record *r = context;
    mote_bytes bytes;
    return mote_bytes_get(binary, &bytes) ? 0 : mt_far_load(r->rt, &r->parcel, bytes.data, bytes.size, handle);
}

/* What goes wrong the writer keeps. */
static void put_term(struct record *r, uint64_t word) {
    const mote_external_options form = {.form = MOTE_FORM_MOTE, .blob_min = MOTE_BLOB_MIN, .blob = load, .context = r};
    (void)!mote_term_encode((mote_term){word}, &form, &r->out);
}

/* The name in a signal MONITOR or DOWN, or []: none. */
static uint64_t name_in(const struct mt_sig *sig) {
    const uint64_t *item = sig->kind == MT_SIG_DOWN && mt_tag(sig->heap[5]) == MT_BOXED ? mt_ptr(sig->heap[5]) : NULL;
    uint64_t name = sig->kind == MT_SIG_MONITOR ? sig->heap[2] : item && item[0] == mt_header(MT_TUPLE, 2) ? item[1] : 0;
    return name ? name : MT_NIL_WORD;
}

/* A question waits for its answer here, under the id that this gives. Takes. */
static uint64_t keep_question(struct mt_far *far, struct peer *peer, struct mt_sig *sig) {
    mt_lock_take(&far->mu);
    uint64_t id = sig->root = ++far->questions << 3; /* no pid has this tag */
    mt_hash_insert(&peer->notes, (struct mt_node *)(void *)sig);
    mt_lock_drop(&far->mu);
    return id;
}

/* What stands in the head besides kind and receiver. */
static void fill_head(struct mt_sched *s, struct head *h, struct mt_sig *sig) {
    struct mt_task *current = atomic_load_explicit(&s->current, memory_order_relaxed);
    switch ((enum mt_sig_kind)sig->kind) {
    case MT_SIG_ALIASED: h->a = sig->heap[sig->words - 1]; /* fall through */
    case MT_SIG_MESSAGE: h->b = current ? mt_proc_pid(mt_task_proc(current)) : 0; break;
    case MT_SIG_EXIT:
    case MT_SIG_LINK_EXIT: h->a = mt_exit_from(sig); break;
    case MT_SIG_UNLINK:
    case MT_SIG_UNLINKED: h->b = sig->heap[0]; h->a = sig->root; break;
    case MT_SIG_MONITOR: h->b = sig->heap[1]; h->a = sig->root; break;
    case MT_SIG_DOWN: h->b = mt_tag(sig->heap[5]) == MT_PID ? sig->heap[5] : 0; h->a = sig->root; break;
    case MT_SIG_SUSPEND: h->a = sig->heap[0]; break;
    default: h->a = sig->root; /* LINK, DEMONITOR, GROUP_LEADER, STAND, RESUME: who, which */
    }
}

static void put_terms(struct record *r, const struct mt_sig *sig) {
    switch ((enum mt_sig_kind)sig->kind) {
    case MT_SIG_MESSAGE:
    case MT_SIG_ALIASED:
    case MT_SIG_EXIT:
    case MT_SIG_LINK_EXIT: put_term(r, sig->root); break;
    case MT_SIG_MONITOR: put_term(r, name_in(sig)); break;
    case MT_SIG_DOWN:
        put_term(r, name_in(sig));
        put_term(r, sig->heap[6]);
        break;
    default: break;
    }
}

/* Its carrier has taken something: gives the peer up. */
static enum mt_far_sent leave_node(struct peer *peer) {
    bool crowded = peer->carrier.crowded(peer->carrier.context, 0);
    release(peer);
    return crowded ? MT_FAR_CROWDED : MT_FAR_TAKEN;
}

enum mt_far_sent mt_far_relate(struct mt_sched *s, uint64_t local, uint64_t far_pid, struct mt_sig *sig, uint64_t *connection) {
    struct mt_remote_id id;
    if (!mt_is_remote(far_pid)) return mt_far_note(s, local, far_pid) ? mt_far_send(s, far_pid, sig) : MT_FAR_ABSENT;
    struct peer *peer = hold_node(s, far_pid, &id);
    if (!peer) return MT_FAR_ABSENT;
    if (!note(s, peer, local)) {
        release(peer);
        return MT_FAR_ABSENT;
    }
    *connection = peer->connection;
    peer->carrier.signal(peer->carrier.context, s, &id, sig); /* if that is over it is dropped: the note tells */
    return leave_node(peer);
}

/* What ends a relation connects nobody: with the connection the relation is over. */
static bool only_ends(const struct mt_sig *sig) {
    return sig->kind == MT_SIG_DOWN || sig->kind == MT_SIG_LINK_EXIT || sig->kind == MT_SIG_UNLINK || sig->kind == MT_SIG_UNLINKED || sig->kind == MT_SIG_DEMONITOR;
}

static enum mt_far_sent send_to_node(struct mt_sched *s, uint64_t word, struct mt_sig *sig) {
    struct mt_remote_id id;
    bool travels = sig->kind != MT_SIG_FD && sig->kind != MT_SIG_DONE && sig->kind != MT_SIG_INFO && sig->kind != MT_SIG_SUSPEND;
    struct peer *peer = !travels ? NULL : only_ends(sig) ? hold_connected(mt_runtime_of_sched(s), word, &id) : hold_node(s, word, &id);
    if (!peer) return MT_FAR_ABSENT;
    peer->carrier.signal(peer->carrier.context, s, &id, sig);
    return leave_node(peer);
}

enum mt_far_sent mt_far_send(struct mt_sched *s, uint64_t pid, struct mt_sig *sig) {
    if (mt_is_remote(pid)) return send_to_node(s, pid, sig);
    mote_runtime *rt = mt_runtime_of_sched(s);
    bool travels = sig->kind != MT_SIG_FD && sig->kind != MT_SIG_DONE;
    struct peer *peer = travels ? hold(rt, mt_pid_worker(pid), sig->kind == MT_SIG_ALIASED) : NULL;
    if (!peer) return MT_FAR_ABSENT;
    struct head head = {.kind = sig->kind, .flags = sig->flags & MT_SIG_PRIORITY, .to = pid};
    struct record record;
    if (sig->kind == MT_SIG_INFO) {
        head.b = mt_question_asker(sig);
        head.a = keep_question(far_of(rt), peer, sig);
        begin(&record, rt, peer, &head);
        (void)finish(&record);
        return MT_FAR_TAKEN;
    }
    if (sig->kind == MT_SIG_ALIASED) head.to = in_incarnation(pid, atomic_load_explicit(&peer->up, memory_order_relaxed));
    fill_head(s, &head, sig);
    begin(&record, rt, peer, &head);
    put_terms(&record, sig);
    enum mt_far_sent sent = finish(&record);
    mt_sig_free(&s->cache, sig);
    return sent;
}

static enum mt_far_sent send_encoded_to_node(struct mt_proc *self, mote_parcel *parcel, mote_bytes term) {
    struct mt_sched *s = self->task.sched;
    struct mt_remote_id id;
    struct peer *peer = hold_node(s, parcel->pid, &id);
    if (peer) {
        mt_count(&s->sent, 1);
        peer->carrier.message(peer->carrier.context, s, mt_proc_pid(self), &id, parcel->form, term, parcel->load);
    }
    mt_far_unload(mt_runtime(self), parcel, peer != NULL);
    if (!peer) return MT_FAR_ABSENT;
    return leave_node(peer);
}

enum mt_far_sent mt_far_send_encoded(struct mt_proc *self, mote_parcel *parcel, const void *term, size_t size) {
    if (mt_is_remote(parcel->pid)) return send_encoded_to_node(self, parcel, (mote_bytes){term, size});
    mote_runtime *rt = mt_runtime(self);
    uint64_t pid = parcel->pid, alias = parcel->alias;
    struct peer *peer = hold(rt, mt_pid_worker(pid), alias && !parcel->load);
    if (!peer) {
        mt_far_unload(rt, parcel, false);
        return MT_FAR_ABSENT;
    }
    struct head head = {.kind = alias ? MT_SIG_ALIASED : MT_SIG_MESSAGE, .to = pid, .a = alias, .b = mt_proc_pid(self)};
    if (alias) head.to = in_incarnation(pid, atomic_load_explicit(&peer->up, memory_order_relaxed));
    struct record record;
    mt_count(&self->task.sched->sent, 1);
    begin(&record, rt, peer, &head);
    record.parcel.load = parcel->load;
    parcel->load = NULL;
    mote_raw_write(&record.out, term, size);
    return finish(&record);
}

void mt_far_answer(struct mt_sched *s, uint64_t asker, uint64_t id, const mote_process_info *info) {
    mote_runtime *rt = mt_runtime_of_sched(s);
    struct peer *peer = hold(rt, mt_pid_worker(asker), false);
    struct answer answer = {0};
    struct record record;
    if (!peer) return;
    begin(&record, rt, peer, &(struct head){.kind = ANSWER, .to = asker, .a = id, .b = info != NULL});
    if (info) {
        answer.info = *info;
        answer.info.function = NULL;
        answer.info.registered.word = 0;
    }
    mote_raw_write(&record.out, &answer, sizeof answer);
    put_term(&record, info && info->registered.word ? info->registered.word : MT_NIL_WORD);
    (void)finish(&record);
}

/* ------------------------------------------------------------------------------------------------- standing still */

/* As hold(), of a far pid, whose node need not be connected. */
static struct peer *hold_known(const mote_runtime *rt, uint64_t pid) {
    struct mt_remote_id id;
    return mt_is_remote(pid) ? hold_connected(rt, pid, &id) : hold(rt, mt_pid_worker(pid), true);
}

bool mt_far_stand(struct mt_proc *self, uint64_t pid) {
    mote_runtime *rt = mt_runtime(self);
    struct mt_far *far = far_of(rt);
    struct peer *peer = hold_known(rt, pid);
    if (!peer) return false;
    mt_lock_take(&far->mu);
    bool stands = peer->carrier.crowded(peer->carrier.context, mt_proc_pid(self)); /* asked under the lock: mt_far_drained() comes later, or has been */
    if (stands && peer->standing_count == peer->standing_room) {
        size_t room = peer->standing_room ? 2 * peer->standing_room : STANDING_FIRST;
        uint64_t *more = mt_os_realloc(peer->standing, room * sizeof *more);
        stands = more != NULL;
        if (stands) {
            peer->standing = more;
            peer->standing_room = room;
        }
    }
    if (stands) {
        peer->standing[peer->standing_count++] = mt_proc_pid(self);
        self->suspensions++;
    }
    mt_lock_drop(&far->mu);
    release(peer);
    return stands;
}

enum mt_far_way mt_far_way_to(struct mt_proc *self, uint64_t pid) {
    struct peer *peer = hold_known(mt_runtime(self), pid);
    if (!peer) return MT_FAR_NO_WAY;
    bool crowded = peer->carrier.crowded(peer->carrier.context, mt_proc_pid(self));
    release(peer);
    return crowded ? MT_FAR_NARROW : MT_FAR_OPEN;
}

mote_form mt_far_form(const mote_runtime *rt, uint64_t pid) {
    if (!mt_is_remote(pid)) return MOTE_FORM_MOTE;
    struct peer *peer = hold_known(rt, pid);
    mote_form form = peer && peer->carrier.form ? peer->carrier.form(peer->carrier.context) : MOTE_FORM_NODES;
    if (peer) release(peer);
    return form;
}

/* Lets those go on who stand still; the caller's memory `pids`. */
static void resume_all(struct mt_sched *s, uint64_t *pids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct mt_sig *sig = mt_sig_new(&s->cache, MT_SIG_RESUME, 0);
        if (!sig) mt_os_log("mote: no memory to let a process go on that stands still for another worker\n");
        if (!sig) continue;
        sig->root = 0;
        mt_deliver(s, pids[i], sig);
    }
    mt_os_free(pids);
}

static void drained(struct mt_sched *s, struct mt_far *far, struct peer *peer) {
    mt_lock_take(&far->mu);
    uint64_t *pids = peer->standing;
    size_t count = peer->standing_count;
    peer->standing = NULL;
    peer->standing_count = peer->standing_room = 0;
    mt_lock_drop(&far->mu);
    resume_all(s, pids, count);
}

void mt_far_drained(struct mt_sched *s, unsigned place) {
    mote_runtime *rt = mt_runtime_of_sched(s);
    struct mt_far *far = far_of(rt);
    struct peer *peer = far ? peer_at(far, place) : NULL;
    if (!peer) return;
    drained(s, far, peer);
    unsigned end = place == 0 && mt_own_worker(rt) ? atomic_load_explicit(&far->nodes_end, memory_order_acquire) : 0;
    for (unsigned i = 0; i < end; i++) drained(s, far, atomic_load_explicit(&far->nodes[i], memory_order_acquire));
}

/* ----------------------------------------------------------------------------------------------------- taking */

/* A record that is being read, or a message of another node: then of the head `kind` and `a` alone. */
struct taking {
    struct mt_sched *s;
    mote_runtime *rt;
    unsigned worker;
    struct head head;
    const uint8_t *next, *end;
    uint64_t pid;      /* of the receiver: what an alias leads to */
    mote_external_options form; /* its terms' */
    mote_arena *arena; /* its terms */
    mote_err unloading; /* what was wrong with a handle */
};

static bool is_of(const struct taking *t, uint64_t pid) { return mt_tag(pid) == MT_PID && mt_pid_worker(pid) == t->worker; }
static bool is_ref_of(const struct taking *t, uint64_t ref) { return mt_tag(ref) == MT_REF && mt_ref_worker(ref) == t->worker % MT_WORKERS_MAX; }
static bool is_own_ref(const struct taking *t, uint64_t ref) { return mt_tag(ref) == MT_REF && mt_ref_worker(ref) == mt_own_worker(t->rt); }

/* A handle in the record: gives what it stands for. */
static mote_err take_blob(void *context, mote_bytes handle, mote_blob **blob) {
    struct taking *t = context;
    const struct mt_freighter *f = mt_far_freighter(t->rt);
    mote_err err = f ? f->unload(f->context, handle, blob) : MOTE_ETERM;
    if (err) t->unloading = err;
    return err;
}

static bool unblob(void *context, mote_bytes handle, mote_bytes *bytes, void **held) {
    mote_blob *blob;
    if (take_blob(context, handle, &blob)) return false;
    *bytes = (mote_bytes){blob->data, blob->size};
    *held = blob;
    return true;
}

static void drop_blob(void *data, void *held) {
    (void)data;
    mote_blob_drop(held);
}

static mote_err get_term(struct taking *t, mote_term *term) {
    if (!t->arena && !(t->arena = mote_arena_new(0))) return MOTE_ENOMEM;
    size_t used;
    mote_err err = mote_term_decode(t->arena, t->next, (size_t)(t->end - t->next), &t->form, term, &used);
    t->next += used;
    return err == MOTE_ETERM && t->unloading ? t->unloading : err;
}

/* A record that was not read to its end, for want of memory: what it holds is taken, and let go. */
static void let_go(struct taking *t, const uint8_t *terms) {
    mote_reader r;
    mote_token token;
    mote_blob *blob;
    mote_reader_init(&r, MOTE_FORM_MOTE, terms, (size_t)(t->end - terms));
    while (r.next < t->end && mote_token_read(&r, &token))
        if (token.kind == MOTE_TOKEN_HANDLE && !take_blob(t, token.bytes, &blob)) mote_blob_drop(blob);
}

static mote_err get_reason(struct taking *t, struct mt_reason *reason) {
    mote_term term;
    mote_err err = get_term(t, &term);
    return err ? err : mt_reason_of(term, NULL, reason);
}

/* A name, or 0 for []. */
static mote_err get_name(struct taking *t, uint64_t *name) {
    mote_term term;
    mote_err err = get_term(t, &term);
    if (err) return err;
    if (term.word != MT_NIL_WORD && mt_tag(term.word) != MT_ATOM) return MOTE_ETERM;
    *name = term.word == MT_NIL_WORD ? 0 : term.word;
    return MOTE_OK;
}

/* Whether the receiver is a host's process, for which the host makes an object. */
static bool is_hosted(const struct taking *t) {
    const mote_host_loop *host = t->rt->options.host_loop;
    struct mt_proc *p = host && host->decode ? mt_table_find(t->rt, t->pid) : NULL;
    return p && (atomic_load_explicit(&p->naming, memory_order_acquire) & MT_IS_HOSTED);
}

static mote_err take_object(struct taking *t, size_t extra, struct mt_sig **out) {
    const mote_host_loop *host = t->rt->options.host_loop;
    const mote_host_blobs blobs = {take_blob, t};
    size_t used;
    void *object = host->decode(host->context, t->form.form, (mote_bytes){t->next, (size_t)(t->end - t->next)}, t->form.unblob ? &blobs : NULL, &used);
    if (!object) return t->unloading ? t->unloading : MOTE_ETERM;
    t->next += used;
    mote_host_box box;
    mote_err err = mt_sig_of_term(&t->s->cache, mote_host_box_term(&box, host->decoded, object), extra, NULL, out);
    host->decoded->drop(object);
    return err;
}

static mote_err take_message(struct taking *t, struct mt_sig **out) {
    mote_term term;
    bool aliased = t->head.kind == MT_SIG_ALIASED;
    mote_err err = is_hosted(t) ? take_object(t, aliased, out) : get_term(t, &term);
    if (!err && !*out) err = mt_sig_of_term(&t->s->cache, term, aliased, NULL, out);
    if (err) return err;
    (*out)->flags |= (uint8_t)(t->head.flags & MT_SIG_PRIORITY);
    mt_address(*out, aliased ? t->head.a : 0);
    return MOTE_OK;
}

static mote_err take_exit(struct taking *t, struct mt_sig **out) {
    struct mt_reason reason;
    mote_err err = is_of(t, t->head.a) ? get_reason(t, &reason) : MOTE_ETERM;
    if (err) return err;
    err = mt_exit_new(&t->s->cache, t->head.a, &reason, out);
    if (!err) (*out)->kind = (uint8_t)t->head.kind;
    mt_reason_drop(&reason);
    return err;
}

static mote_err take_down(struct taking *t, struct mt_sig **out) {
    struct mt_reason reason;
    uint64_t name;
    mote_err err = is_own_ref(t, t->head.a) && (!t->head.b || is_of(t, t->head.b)) ? get_name(t, &name) : MOTE_ETERM;
    if (!err && !name && !t->head.b) err = MOTE_ETERM;
    if (err || (err = get_reason(t, &reason))) return err;
    *out = mt_down_of_far(&t->s->cache, t->head.a, name, t->head.b, &reason);
    mt_reason_drop(&reason);
    return *out ? MOTE_OK : MOTE_ENOMEM;
}

static mote_err take_monitor(struct taking *t, struct mt_sig **out) {
    uint64_t name;
    mote_err err = is_ref_of(t, t->head.a) && is_of(t, t->head.b) ? get_name(t, &name) : MOTE_ETERM;
    if (err) return err;
    *out = mt_monitor_of_far(&t->s->cache, t->head.b, name, t->head.a);
    return *out ? MOTE_OK : MOTE_ENOMEM;
}

/* A signal of a root and at most one word. */
static mote_err take_plain(struct taking *t, uint64_t root, uint64_t word, struct mt_sig **out) {
    *out = mt_sig_new(&t->s->cache, (enum mt_sig_kind)t->head.kind, 2);
    if (!*out) return MOTE_ENOMEM;
    (*out)->root = root;
    (*out)->heap[0] = word;
    (*out)->heap[1] = 0;
    return MOTE_OK;
}

static mote_err take_answer(struct taking *t) {
    struct answer answer;
    uint64_t name = 0;
    if ((size_t)(t->end - t->next) < sizeof answer) return MOTE_ETERM;
    memcpy(&answer, t->next, sizeof answer);
    t->next += sizeof answer;
    mote_err err = get_name(t, &name);
    if (err) return err;
    struct mt_sig *question = (t->head.a & 7) == 0 ? take_out(far_of(t->rt), &far_of(t->rt)->peers[t->worker % MT_WORKERS_MAX], t->head.a) : NULL;
    if (!question) return MOTE_ETERM;
    answer.info.name[sizeof answer.info.name - 1] = 0;
    answer.info.registered.word = name && !mt_atom_counted(name) ? name : 0; /* nobody would hold it */
    mt_question_answered(t->s, question, t->head.b ? &answer.info : NULL);
    return MOTE_OK;
}

static mote_err take_signal(struct taking *t, struct mt_sig **out) {
    const struct head *h = &t->head;
    switch (h->kind) {
    case MT_SIG_MESSAGE:
    case MT_SIG_ALIASED: return take_message(t, out);
    case MT_SIG_EXIT:
    case MT_SIG_LINK_EXIT: return take_exit(t, out);
    case MT_SIG_DOWN: return take_down(t, out);
    case MT_SIG_MONITOR: return take_monitor(t, out);
    case MT_SIG_LINK:
        if (!is_of(t, h->a)) return MOTE_ETERM;
        *out = mt_link_of_far(&t->s->cache, h->a);
        return *out ? MOTE_OK : MOTE_ENOMEM;
    case MT_SIG_UNLINK:
    case MT_SIG_UNLINKED: return is_of(t, h->b) ? take_plain(t, h->a, h->b, out) : MOTE_ETERM;
    case MT_SIG_DEMONITOR: return is_ref_of(t, h->a) ? take_plain(t, h->a, 0, out) : MOTE_ETERM;
    case MT_SIG_STAND: return is_of(t, h->a) ? take_plain(t, h->a, 0, out) : MOTE_ETERM;
    case MT_SIG_GROUP_LEADER: return mt_tag(h->a) == MT_PID ? take_plain(t, h->a, 0, out) : MOTE_ETERM;
    case MT_SIG_SUSPEND: return is_of(t, h->a) ? take_plain(t, 0, h->a, out) : MOTE_ETERM;
    case MT_SIG_RESUME: return take_plain(t, 0, 0, out);
    case MT_SIG_INFO:
        if (!is_of(t, h->b)) return MOTE_ETERM;
        *out = mt_question_of_far(&t->s->cache, h->b, h->a);
        return *out ? MOTE_OK : MOTE_ENOMEM;
    default: return MOTE_ETERM;
    }
}

/* Who has sent a message to a full mailbox whose policy says so is told to stand still. */
static void tell_to_stand(struct taking *t, uint64_t pid) {
    struct mt_sig *sig;
    if (!is_of(t, t->head.b) || !(sig = mt_sig_new(&t->s->cache, MT_SIG_STAND, 0))) return;
    sig->root = pid;
    mt_deliver(t->s, t->head.b, sig);
}

static void deliver(struct taking *t, uint64_t pid, struct mt_sig *sig) {
    if ((t->head.kind == MT_SIG_LINK || t->head.kind == MT_SIG_MONITOR) && !mt_far_note(t->s, pid, t->head.kind == MT_SIG_LINK ? t->head.a : t->head.b)) {
        mt_bury_letter(t->s, pid, sig); /* no memory for the note: answered as by one that has ended */
        return;
    }
    if (mt_is_message(sig)) {
        if (mt_deliver_message(t->s, pid, sig)) tell_to_stand(t, pid);
        return;
    }
    mt_deliver(t->s, pid, sig);
}

mote_err mt_far_take(struct mt_sched *s, unsigned worker, const void *record, size_t size) {
    struct taking t = {.s = s, .rt = mt_runtime_of_sched(s), .worker = worker};
    struct mt_sig *sig = NULL;
    uint64_t alias;
    if (size < sizeof t.head || !far_of(t.rt)) return MOTE_ETERM;
    memcpy(&t.head, record, sizeof t.head);
    if (t.head.kind == MT_FAR_GATE) return gate_of(t.rt) ? gate_of(t.rt)->take(t.rt, s, worker, record, size) : MOTE_OK;
    t.form = (mote_external_options){.form = MOTE_FORM_MOTE, .unblob = unblob, .release = drop_blob, .context = &t};
    t.next = (const uint8_t *)record + sizeof t.head;
    t.end = (const uint8_t *)record + size;
    if (mt_tag(t.head.to) != MT_PID || mt_is_far(t.rt, t.head.to)) return MOTE_ETERM;
    t.pid = t.head.to;
    if (t.head.kind == MT_SIG_ALIASED && (!is_own_ref(&t, t.head.a) || mt_resolve(t.rt, t.head.a, &t.pid, &alias))) return MOTE_ETERM;
    if (!t.pid) t.pid = mt_pid_of(t.rt, 0, 0);
    mote_err err = t.head.kind == ANSWER ? take_answer(&t) : take_signal(&t, &sig);
    if (!err && sig) deliver(&t, t.pid, sig);
    if (err == MOTE_ENOMEM && t.head.kind != ANSWER) let_go(&t, (const uint8_t *)record + sizeof t.head);
    mote_arena_free(t.arena);
    return err;
}

/* ------------------------------------------------------------------------------------------- from another node */

static mote_external_options node_form(const mote_runtime *rt) {
    const struct mt_net *net = mt_far_net_of(rt);
    return (mote_external_options){.form = MOTE_FORM_NODES, .node = {net ? net->name : 0}, .creation = net ? net->creation : 0, .ref_key = net ? &net->ref_key : NULL};
}

mote_err mt_far_term(const mote_runtime *rt, mote_arena *arena, mote_bytes bytes, mote_term *term) {
    const mote_external_options form = node_form(rt);
    size_t used;
    return mote_term_decode(arena, bytes.data, bytes.size, &form, term, &used);
}

static void hold_block(void *block, const void *data) {
    (void)data;
    mt_bin_hold(block);
}

static void drop_block(void *data, void *block) {
    (void)data;
    mt_bin_drop(block);
}

mote_err mt_far_message(struct mt_sched *s, uint64_t pid, uint64_t alias, mote_bytes bytes, struct mt_bin *block) {
    struct taking t = {.s = s, .rt = mt_runtime_of_sched(s), .pid = pid, .next = bytes.data, .end = (const uint8_t *)bytes.data + bytes.size};
    struct mt_sig *sig = NULL;
    t.head = (struct head){.kind = alias ? MT_SIG_ALIASED : MT_SIG_MESSAGE, .a = alias};
    t.form = node_form(t.rt);
    if (block) {
        t.form.hold_min = bytes.size / 2; /* less shall not keep all of it */
        t.form.hold = hold_block;
        t.form.release = drop_block;
        t.form.context = block;
    }
    mote_err err = take_message(&t, &sig);
    mote_arena_free(t.arena);
    if (!err) (void)mt_deliver_message(s, pid, sig);
    return err;
}

/* ------------------------------------------------------------------------------------------------------- loss */

/* A note becomes the LOST signal, a question is answered. Takes. */
static void tell(struct mt_sched *s, struct mt_sig *sig, const struct mt_reason *reason) {
    if (sig->kind == MT_SIG_INFO) {
        mt_question_answered(s, sig, NULL);
        return;
    }
    mt_reason_share(sig, reason);
    sig->heap[1] = reason->word;
    mt_deliver(s, sig->root, sig);
}

void mt_far_close(const mote_runtime *rt, unsigned place, struct mt_hash *notes) {
    struct mt_far *far = far_of(rt);
    struct peer *peer = peer_at(far, place);
    mt_lock_take(&far->mu);
    MT_ASSERT(atomic_load(&peer->up) == place + 1);
    struct mt_hash all = peer->notes;
    peer->notes = *notes;
    *notes = all;
    atomic_store(&peer->up, 0); /* last: from now on the next one may rise, which has another lock */
    mt_lock_drop(&far->mu);
}

/* Tells those of the notes, and frees them. */
static void tell_all(struct mt_sched *s, unsigned place, struct mt_hash *notes, const struct mt_reason *reason) {
    for (struct mt_node *node; (node = mt_hash_pop(notes));) tell(s, (struct mt_sig *)(void *)node, reason);
    mt_hash_fini(notes);
    mt_far_drained(s, place);
}

void mt_far_tell(struct mt_sched *s, unsigned place, struct mt_hash *notes, mote_term atom) {
    struct mt_reason reason;
    mote_err err = mt_reason_of(atom, NULL, &reason);
    MT_ASSERT(!err); /* an atom is no memory */
    tell_all(s, place, notes, &reason);
    mt_reason_drop(&reason);
}

mote_err mt_far_lost(struct mt_sched *s, unsigned place, mote_term term) {
    mote_runtime *rt = mt_runtime_of_sched(s);
    struct peer *peer = hold(rt, place, false);
    struct mt_hash notes;
    struct mt_reason reason;
    mote_err err = peer ? mt_reason_of(term, NULL, &reason) : MOTE_EARG;
    if (peer) release(peer);
    if (err) return err;
    if ((err = mt_hash_init(&notes)) == MOTE_OK) {
        mt_far_close(rt, place, &notes);
        tell_all(s, place, &notes, &reason);
        if (place < MT_PLACE_NODES && gate_of(rt)) gate_of(rt)->lost(rt, s, place, (mote_term){reason.word});
    }
    mt_reason_drop(&reason);
    return err;
}
