/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/branch.h"

#include <limits.h>

#define HUB 0u
#define RECORD_MAX (MT_MESSAGE_MAX + ((size_t)1 << 20))

/* What a record is: of the hub's, of a worker's, of both; and MT_BRANCH_... */
enum { GREETING = 1, UP, LOST, CROWDED, DRAINED, TOLD, SIGNAL, LISTEN };

/* A record: behind it the node's name, a control message, text or (GREETING) key, a payload. */
struct record {
    uint32_t kind;     /* MT_FAR_GATE: first */
    uint32_t what;
    uint64_t number;   /* V2 */
    uint64_t pid, ref; /* who sends, gets it, asks; with which reference */
    uint32_t creation; /* UP: the peer's; GREETING: ours */
    uint32_t flags;    /* UP: HIDDEN, UNTYPED; a worker's SIGNAL: TYPED; LISTEN, TOLD: enum mt_told, and ON: from now on; up; SIGNAL of a peer's: its rights */
    uint32_t port, name_size, control_size;
    uint32_t parts;    /* of the payload: each a struct part, and its bytes or its handle */
};
struct part {
    uint64_t size;
    uint64_t handle; /* bytes of it; 0: none, the bytes themselves stand here */
};
#define PARTS_MAX (2u * MT_LEFT_MAX + 1)
#define ON 16u
#define HIDDEN 1u
#define UNTYPED 2u /* UP: it does not know our types */
#define TYPED 1u   /* SIGNAL of a worker's: control.h */

/* One that has come. */
struct came {
    struct record head;
    mote_bytes name, control;
    mote_writer written;    /* what stands in the record of the payload, if that is in several parts */
    mote_bytes payload;     /* the same, or the whole of it */
    struct mt_left left;    /* what does not */
};

/* ------------------------------------------------------------------------------------------------- records */

#define EVERYBODY UINT_MAX
static const mote_bytes nothing = {"", 0};

/* A part of a payload: large ones are shared with the worker, if they can be. */
static bool write_part(const struct mt_freighter *f, unsigned worker, void **load, unsigned *shared, const mote_bytes *bytes, mote_writer *w) {
    uint8_t handle[255];
    struct part p = {.size = bytes->size};
    bool large = f && bytes->size >= MOTE_BLOB_MIN && *shared < MT_LEFT_MAX;
    if (large) p.handle = f->load(f->context, worker, load, bytes->data, bytes->size, handle);
    *shared += p.handle != 0;
    return mote_raw_write(w, &p, sizeof p) && (p.handle ? mote_raw_write(w, handle, p.handle) : mote_raw_write(w, bytes->data, bytes->size));
}

/* To a worker (`any`: whatever incarnation), or to EVERYBODY, with a payload in parts. MOTE_ENOPROC: it is not there. */
static mote_err put_parts(mote_runtime *rt, unsigned worker, bool any, struct record *r, mote_bytes name, mote_bytes control, const mote_bytes *parts, size_t count) {
    const struct mt_freighter *f = mt_far_freighter(rt);
    uint64_t first[64];
    mote_writer w;
    void *load = NULL;
    unsigned shared = 0;
    r->kind = MT_FAR_GATE;
    r->name_size = (uint32_t)name.size;
    r->control_size = (uint32_t)control.size;
    r->parts = (uint32_t)count;
    mote_writer_init(&w, MOTE_FORM_MOTE, first, sizeof first, RECORD_MAX);
    bool fits = mote_raw_write(&w, r, sizeof *r) && mote_raw_write(&w, name.data, name.size) && mote_raw_write(&w, control.data, control.size);
    for (size_t i = 0; fits && i < count; i++) fits = write_part(f, worker, &load, &shared, parts + i, &w);
    const mote_bytes all = mote_writer_bytes(&w);
    mote_err err = !fits ? MOTE_ENOMEM : MOTE_OK;
    if (fits && worker == EVERYBODY) mt_far_put_all(rt, all.data, all.size);
    else if (fits && !mt_far_put(rt, worker, any, all.data, all.size)) err = MOTE_ENOPROC;
    if (load) f->loaded(f->context, load, !err);
    mote_writer_fini(&w);
    return err;
}

static mote_err put(mote_runtime *rt, unsigned worker, bool any, struct record *r, mote_bytes name, mote_bytes control) {
    return put_parts(rt, worker, any, r, name, control, NULL, 0);
}

static mote_bytes name_of(uint64_t node) {
    const mote_name name = mt_name_of_atom(node);
    return (mote_bytes){name.data, name.size};
}

/* Of a node, to all workers. */
static void put_all(const struct mt_dist *d, struct record *r, uint64_t node) {
    (void)put(d->runtime, EVERYBODY, true, r, name_of(node), nothing);
}

static bool read_record(const void *record, size_t size, struct came *c) {
    if (size < sizeof c->head) return false;
    memcpy(&c->head, record, sizeof c->head);
    const uint8_t *at = (const uint8_t *)record + sizeof c->head;
    size -= sizeof c->head;
    if (c->head.name_size > MT_NODE_NAME_MAX || c->head.name_size > size || c->head.control_size > size - c->head.name_size) return false;
    c->name = (mote_bytes){at, c->head.name_size};
    c->control = (mote_bytes){at + c->name.size, c->head.control_size};
    c->payload = (mote_bytes){at + c->name.size + c->control.size, size - c->name.size - c->control.size};
    return c->head.parts <= PARTS_MAX;
}

static void drop_blob(void *data, void *blob) {
    (void)data;
    mote_blob_drop(blob);
}

/* What a handle stands for is left out of what was written so far. MOTE_ETERM: it stands for nothing. */
static mote_err unload(mote_runtime *rt, struct came *c, const struct part *p, const uint8_t *handle) {
    const struct mt_freighter *f = mt_far_freighter(rt);
    mote_blob *blob;
    mote_err err = f ? f->unload(f->context, (mote_bytes){handle, (size_t)p->handle}, &blob) : MOTE_ETERM;
    if (err) return err;
    struct mt_bin *bin = mt_bin_new(0);
    if (!bin) mote_blob_drop(blob);
    if (!bin) return MOTE_ENOMEM;
    bin->data = blob->data;
    bin->size = blob->size;
    bin->release = drop_blob;
    bin->context = blob;
    if (blob->size == p->size && mt_left_add(&c->left, mote_writer_bytes(&c->written).size, (mote_bytes){blob->data, blob->size}, bin)) return MOTE_OK;
    mt_bin_drop(bin);
    return MOTE_ETERM;
}

/* Reads the payload's parts. All that it has taken is given back by fini_came(). */
static mote_err read_parts(mote_runtime *rt, struct came *c) {
    const uint8_t *at = c->payload.data;
    size_t left = c->payload.size;
    struct part p;
    mote_err err = MOTE_OK;
    mote_bytes only = nothing;
    for (uint32_t i = 0; !err && i < c->head.parts; i++) {
        if (left < sizeof p) return MOTE_ETERM;
        memcpy(&p, at, sizeof p);
        at += sizeof p, left -= sizeof p;
        uint64_t here = p.handle ? p.handle : p.size;
        if (here > left || p.handle > 255) return MOTE_ETERM;
        if (p.handle) err = unload(rt, c, &p, at);
        else if (c->head.parts == 1) only = (mote_bytes){at, (size_t)p.size};
        else if (!mote_raw_write(&c->written, at, (size_t)p.size)) err = MOTE_ENOMEM;
        at += here, left -= (size_t)here;
    }
    c->payload = c->head.parts == 1 ? only : mote_writer_bytes(&c->written);
    return err || left == 0 ? err : MOTE_ETERM;
}

static void fini_came(struct came *c) {
    mt_left_drop(&c->left);
    mote_writer_fini(&c->written);
}

/* The process in which records are taken. */
static mote_self *self_of(struct mt_sched *s) {
    struct mt_task *task = s->attached ? s->attached : atomic_load_explicit(&s->current, memory_order_relaxed);
    MT_ASSERT(task);
    return mt_as_self(mt_task_proc(task));
}

/* -------------------------------------------------------------------------------------------------- a worker */

bool mt_branch_put(struct mt_link *l, uint64_t sender, struct mt_control *c, const mote_bytes *parts, size_t count) {
    struct record r = {.what = SIGNAL, .number = l->number, .pid = sender, .flags = c->typed ? TYPED : 0};
    uint64_t first[64];
    mote_writer w;
    bool follows;
    mote_writer_init(&w, MOTE_FORM_ERLANG, first, sizeof first, MT_MESSAGE_MAX);
    mote_err err = mt_control_write(c, MT_FLAGS_OFFERED, &w, &follows) == MT_FINE ? MOTE_OK : MOTE_EARG;
    if (!err) err = put_parts(l->dist->runtime, HUB, true, &r, name_of(l->node), mote_writer_bytes(&w), parts, follows ? count : 0);
    if (err) mt_log(l->dist->runtime, MOTE_LOG_ERROR, "a signal to %s is lost: %s", mote_atom_name((mote_atom){l->node}, NULL), mote_err_text(err));
    mote_writer_fini(&w);
    return !err;
}

bool mt_branch_crowded(struct mt_link *l) {
    mt_lock_take(&l->mu);
    bool crowded = l->crowded;
    mt_lock_drop(&l->mu);
    return crowded || mt_far_crowded(l->dist->runtime, HUB);
}

mote_err mt_branch_listen(struct mt_dist *d, const struct mt_listener *what, bool on) {
    struct record r = {.what = LISTEN, .pid = what->pid, .ref = what->ref, .flags = (uint32_t)what->kind | (on ? ON : 0)};
    return put(d->runtime, HUB, true, &r, what->node ? name_of(what->node) : nothing, nothing);
}

mote_err mt_branch_ask(struct mt_dist *d, enum mt_branch_asks what, uint64_t node, const char *text, uint16_t port) {
    struct record r = {.what = what, .port = port};
    return put(d->runtime, HUB, true, &r, name_of(node), (mote_bytes){text, strlen(text)});
}

/* The link of a node, made if there is none. NULL: no memory. */
static struct mt_link *link_of(struct mt_dist *d, struct mt_sched *s, uint64_t node) {
    struct mt_link *link = mt_link_await(d, node);
    mote_err err = link ? MOTE_OK : mt_link_new(d, s, node, NULL, &link);
    if (err == MOTE_EBUSY) return mt_link_await(d, node);
    if (err) mt_log(d->runtime, MOTE_LOG_ERROR, "%s cannot be reached from this worker: %s", mote_atom_name((mote_atom){node}, NULL), mote_err_text(err));
    return link;
}

static void hear_up(struct mt_dist *d, struct mt_sched *s, uint64_t node, const struct record *r) {
    struct mt_link *link = link_of(d, s, node);
    if (!link) return;
    mt_lock_take(&d->mu);
    link->state = MT_LINK_UP;
    link->hidden = r->flags & HIDDEN;
    mt_lock_drop(&d->mu);
    atomic_store_explicit(&link->untyped, (r->flags & UNTYPED) != 0, memory_order_relaxed);
    mt_lock_take(&link->mu);
    link->creation = r->creation;
    mt_lock_drop(&link->mu);
}

static void hear_lost(struct mt_dist *d, struct mt_sched *s, uint64_t node, uint64_t number) {
    mt_lock_take(&d->mu);
    if (number > d->ends) d->ends = number;
    mt_lock_drop(&d->mu);
    struct mt_link *link = mt_link_await(d, node);
    if (link && link->number < number) mt_link_end(self_of(s), link); /* V2: else it has begun since, and what it has sent goes over the next connection */
}

static void hear_crowd(struct mt_dist *d, struct mt_sched *s, uint64_t node, bool crowded) {
    struct mt_link *link = mt_link_await(d, node);
    if (!link) return;
    mt_lock_take(&link->mu);
    link->crowded = crowded;
    mt_lock_drop(&link->mu);
    if (!crowded) mt_far_drained(s, link->place);
}

/* What is wrong with a message of a peer's ends its connection (L7), which is the hub's. */
static void hear_signal(struct mt_dist *d, struct mt_sched *s, uint64_t node, const struct came *c) {
    struct mt_link *link = link_of(d, s, node);
    const struct mt_found found = {.named = c->head.pid, .rights = c->head.flags};
    const mote_bytes payload = c->left.count ? c->left.bytes[0] : c->payload; /* in one part */
    enum mt_verdict verdict = link ? mt_link_deliver(self_of(s), link, NULL, &(struct mt_frame){.control = c->control, .payload = payload}, &found) : MT_FINE;
    if (!verdict) return;
    mt_log(d->runtime, MOTE_LOG_WARNING, "the connection to %s is given up: %s", mote_atom_name((mote_atom){node}, NULL), mt_verdict_text(verdict));
    (void)mt_branch_ask(d, MT_BRANCH_DISCONNECT, node, "", 0);
}

static mote_err hear(mote_runtime *rt, struct mt_sched *s, const struct came *c) {
    struct mt_dist *d = mt_dist_of(rt);
    if (c->head.what == GREETING) {
        mote_ref_key key;
        if (c->control.size != sizeof key) return MOTE_EARG;
        memcpy(&key, c->control.data, sizeof key);
        mote_err err = d ? MOTE_OK : mt_dist_join(rt, c->name, c->head.creation, &key, (uint16_t)c->head.port, c->head.pid, &d);
        if (err) return err;
        atomic_store_explicit(&d->leader, c->head.ref, memory_order_relaxed);
        mt_lock_take(&d->mu);
        if (c->head.number > d->ends) d->ends = c->head.number;
        mt_lock_drop(&d->mu);
        return MOTE_OK;
    }
    if (!d) return MOTE_OK;
    uint64_t node = mt_atom_intern((const char *)c->name.data, c->name.size, false, NULL);
    if (!node) return MOTE_ENOMEM;
    switch (c->head.what) {
    case UP: hear_up(d, s, node, &c->head); break;
    case LOST: hear_lost(d, s, node, c->head.number); break;
    case CROWDED:
    case DRAINED: hear_crowd(d, s, node, c->head.what == CROWDED); break;
    case TOLD:
        if (!mt_is_far(rt, c->head.pid)) mt_tell_one(s, &(struct mt_listener){.kind = (enum mt_told)(c->head.flags & ~ON), .pid = c->head.pid, .ref = c->head.ref}, node, c->head.flags & ON);
        break;
    case SIGNAL: hear_signal(d, s, node, c); break;
    default: break; /* the hub says nothing else */
    }
    mt_atom_drop(node);
    return MOTE_OK;
}

/* -------------------------------------------------------------------------------------------- the hub: to workers */

/* The relation that a message would have made is not. */
static void untie(struct mt_link *l, struct mt_control c, uint64_t pid) {
    enum mt_control_op op = c.op;
    if (op != MT_CONTROL_LINK && op != MT_CONTROL_MONITOR && op != MT_CONTROL_SPAWN_REPLY) return;
    mt_lock_take(&l->mu);
    c.op = op == MT_CONTROL_MONITOR ? MT_CONTROL_DEMONITOR : MT_CONTROL_EXIT;
    (void)!mt_bonds_follow(&l->bonds, &c, pid, true);
    c.op = MT_CONTROL_DOWN; /* of a started one's monitor */
    if (op == MT_CONTROL_SPAWN_REPLY) (void)!mt_bonds_follow(&l->bonds, &c, pid, true);
    mt_lock_drop(&l->mu);
}

enum mt_branch_gave mt_branch_give(struct mt_link *l, const struct mt_control *c, const struct mt_frame *frame, uint64_t pid) {
    bool asks = c->op == MT_CONTROL_LINK || c->op == MT_CONTROL_EXIT2; /* what the peer may: for messages it need not be looked up */
    struct record r = {.what = SIGNAL, .pid = pid, .flags = asks ? mt_rights_of(l->dist, l->node) : 0};
    bool any = c->op == MT_CONTROL_SEND_ALIAS;
    mt_lock_take(&l->mu);
    mote_err err = mt_bonds_follow(&l->bonds, c, pid, true); /* T1 */
    mt_lock_drop(&l->mu);
    if (err && (c->op == MT_CONTROL_LINK || c->op == MT_CONTROL_MONITOR)) return MT_BRANCH_FULL;
    err = put_parts(l->dist->runtime, any ? mt_pid_worker(pid) % MT_WORKERS_MAX : mt_pid_worker(pid), any, &r, name_of(l->node), frame->control, &frame->payload, frame->payload.size ? 1 : 0);
    if (err == MOTE_ENOPROC) untie(l, *c, pid);
    if (err == MOTE_ENOMEM) mt_log(l->dist->runtime, MOTE_LOG_ERROR, "a signal from %s is lost: out of memory", mote_atom_name((mote_atom){l->node}, NULL));
    return err == MOTE_ENOPROC ? MT_BRANCH_ABSENT : MT_BRANCH_GAVE;
}

uint64_t mt_branch_watched(struct mt_link *l, const struct mt_far_ref *ref) {
    mt_lock_take(&l->mu);
    uint64_t pid = mt_bonds_watched(&l->bonds, ref);
    mt_lock_drop(&l->mu);
    return pid;
}

static struct record up_record(const struct mt_link *l) { return (struct record){.what = UP, .creation = l->creation, .flags = (l->hidden ? HIDDEN : 0) | (atomic_load_explicit(&l->untyped, memory_order_relaxed) ? UNTYPED : 0)}; }

void mt_branch_up_locked(const struct mt_link *l) {
    struct record r = up_record(l);
    if (!l->dist->is_branch) put_all(l->dist, &r, l->node);
}

/* All hear that the node is lost: V2. */
static void lost_locked(struct mt_dist *d, struct mt_peer_facts *facts, uint64_t node) {
    struct record r = {.what = LOST, .number = ++d->ends};
    if (facts) atomic_store(&facts->ended, r.number);
    put_all(d, &r, node);
}

void mt_branch_lost_locked(struct mt_link *l) {
    if (!l->dist->is_branch) lost_locked(l->dist, l->facts, l->node);
}

void mt_branch_tell(mote_runtime *rt, const struct mt_listener *l, uint64_t node, bool up) {
    struct record r = {.what = TOLD, .pid = l->pid, .ref = l->ref, .flags = (uint32_t)l->kind | (up ? ON : 0)};
    (void)put(rt, mt_pid_worker(l->pid), false, &r, name_of(node), nothing);
}

void mt_branch_drained(struct mt_link *l) {
    struct record r = {.what = DRAINED};
    mt_lock_take(&l->dist->mu);
    for (unsigned i = 1; i < MT_WORKERS_MAX && l->crowders; i++)
        if (l->crowders >> i & 1) (void)put(l->dist->runtime, i, true, &r, name_of(l->node), nothing);
    l->crowders = 0;
    mt_lock_drop(&l->dist->mu);
}

/* A worker that has filled the link is told so, once. */
static void crowd(struct mt_link *l, unsigned worker, uint64_t sender) {
    struct record r = {.what = CROWDED};
    uint64_t bit = UINT64_C(1) << worker % MT_WORKERS_MAX;
    if (!mt_link_crowded(l, sender)) return;
    mt_lock_take(&l->dist->mu);
    if (!(l->crowders & bit) && mt_link_waiting(l) > MT_LINK_CROWD) {
        l->crowders |= bit;
        (void)put(l->dist->runtime, worker, false, &r, name_of(l->node), nothing);
    }
    mt_lock_drop(&l->dist->mu);
}

/* A worker is there: it hears of the node, and of all that are connected. */
static void greet(mote_runtime *rt, unsigned worker) {
    struct mt_dist *d = mt_dist_of(rt);
    if (mt_own_worker(rt) != HUB || !d) return;
    struct record r = {.what = GREETING, .pid = atomic_load_explicit(&d->process, memory_order_relaxed), .ref = atomic_load_explicit(&d->leader, memory_order_relaxed), .creation = d->net.creation, .port = d->port};
    mt_lock_take(&d->mu);
    r.number = d->ends;
    (void)put(rt, worker, false, &r, d->shake.name, (mote_bytes){&d->net.ref_key, sizeof d->net.ref_key});
    for (const struct mt_link *l = d->links; l; l = l->next) {
        r = up_record(l);
        if (l->state == MT_LINK_UP) (void)put(rt, worker, false, &r, name_of(l->node), nothing);
    }
    mt_lock_drop(&d->mu);
}

/* ------------------------------------------------------------------------------------------ the hub: from workers */

/* A message of a worker's process. */
struct passed {
    unsigned worker;
    uint64_t number, sender;
    uint64_t from; /* what it says: of relations the process of here */
    struct mt_control control;
    struct mt_left *left; /* taken by who puts it into a link */
};

/* The peer does not know requests, or there is no memory for it: its answer is ours. */
static void refuse_spawn(struct mt_link *l, const struct mt_control *c, uint64_t pid) {
    mt_lock_take(&l->mu);
    const char *why = l->out && !(l->flags & MT_FLAG_SPAWN) ? "notsup" : "system_limit";
    mt_lock_drop(&l->mu);
    struct mt_control answer = {.op = MT_CONTROL_SPAWN_REPLY, .ref = c->ref, .to = c->from, .named = true, .name = {why, strlen(why), false}};
    uint64_t first[64];
    mote_writer w;
    bool follows;
    mote_writer_init(&w, MOTE_FORM_ERLANG, first, sizeof first, MT_MESSAGE_MAX);
    if (!mt_control_write(&answer, MT_FLAGS_OFFERED, &w, &follows)) (void)mt_branch_give(l, &answer, &(struct mt_frame){.control = mote_writer_bytes(&w)}, pid);
    mote_writer_fini(&w);
}

void mt_branch_pass(void *context, struct mt_sched *s, const void *what) {
    const struct passed *p = what;
    struct mt_link *l = context;
    struct mt_control c = p->control;
    if (p->number < atomic_load(&l->facts->ended)) return; /* V2 */
    mt_lock_take(&l->mu);
    bool over = l->over;
    mote_err err = over ? MOTE_OK : mt_bonds_follow(&l->bonds, &c, p->from, false);
    mt_lock_drop(&l->mu);
    if (over) return;
    if (err) mt_log(l->dist->runtime, MOTE_LOG_ERROR, "%s will not be told of the end of worker %u: %s", mote_atom_name((mote_atom){l->node}, NULL), p->worker % MT_WORKERS_MAX, mote_err_text(err));
    struct mt_left left = *p->left;
    p->left->count = 0;
    if (!mt_link_put_control(l, s, p->sender, &c, left.count ? &left : NULL) && c.op == MT_CONTROL_SPAWN) refuse_spawn(l, &c, p->from);
    crowd(l, p->worker, p->sender);
}

/* No link has taken something: whether one may, that has come since. If none is there the worker is told that the node is lost, unless that has ended which it was for: then it is told already. */
static bool may_come(struct mt_dist *d, uint64_t node, uint64_t number) {
    mt_lock_take(&d->mu);
    struct mt_peer_facts *f = mt_facts_locked(d, node);
    bool told = f && number < atomic_load(&f->ended), there = mt_link_find_locked(d, node) != NULL;
    if (!told && !there) lost_locked(d, f, node);
    mt_lock_drop(&d->mu);
    return !told && there;
}

static mote_err pass(struct mt_dist *d, struct mt_sched *s, unsigned worker, uint64_t node, struct came *c) {
    struct passed p = {.worker = worker, .number = c->head.number, .sender = c->head.pid, .left = &c->left};
    if (p.sender && (mt_tag(p.sender) != MT_PID || mt_pid_worker(p.sender) != worker)) return MOTE_ETERM;
    if (mt_control_read(c->control, c->left.count ? c->left.bytes[0] : c->payload, MT_FLAGS_OFFERED, d->shake.name, &p.control)) return MOTE_ETERM; /* whether there is one */
    if (c->left.count) p.control.payload = c->payload;
    p.control.typed = c->head.flags & TYPED;
    p.from = mt_own_pid(d, &p.control.from);
    if (p.from && mt_pid_worker(p.from) != worker && !p.control.sender) return MOTE_ETERM; /* a timer's message is from the hub */
    while (!mt_far_pass(s, node, &p) && may_come(d, node, p.number)) continue;
    return MOTE_OK;
}

static mote_err listens(struct mt_dist *d, struct mt_sched *s, unsigned worker, uint64_t node, const struct record *r) {
    const struct mt_listener what = {.kind = (enum mt_told)(r->flags & ~ON), .node = node, .pid = r->pid, .ref = r->ref};
    if ((r->flags & ~ON) > MT_TOLD_NUMBERED || mt_tag(r->pid) != MT_PID || mt_pid_worker(r->pid) != worker || (!node && !mt_told_always(what.kind))) return MOTE_ETERM;
    mote_err err = mt_listen(d, s, &what, r->flags & ON);
    return err == MOTE_ENOMEM ? err : MOTE_OK;
}

/* The text of a record, which ends it. */
static mote_err sets(mote_self *self, const struct came *c, uint64_t node) {
    char text[MT_COOKIE_MAX + 1];
    if (c->control.size >= sizeof text) return MOTE_ETERM;
    memcpy(text, c->control.data, c->control.size);
    text[c->control.size] = 0;
    mote_err err = c->head.what == MT_BRANCH_AT ? mote_node_at(self, (mote_atom){node}, text, (uint16_t)c->head.port) : mote_node_cookie(self, (mote_atom){node}, text);
    mt_digest_wipe(text, sizeof text);
    return err == MOTE_ENOMEM ? err : MOTE_OK;
}

static mote_err obey(struct mt_dist *d, struct mt_sched *s, unsigned worker, uint64_t node, struct came *c) {
    if (c->head.what == LISTEN) return listens(d, s, worker, node, &c->head);
    if (!node) return MOTE_ETERM;
    switch (c->head.what) {
    case SIGNAL: return pass(d, s, worker, node, c);
    case MT_BRANCH_AT:
    case MT_BRANCH_COOKIE: return sets(self_of(s), c, node);
    case MT_BRANCH_DISCONNECT: (void)!mote_node_disconnect(self_of(s), (mote_atom){node}); return MOTE_OK;
    default: return MOTE_ETERM;
    }
}

/* ------------------------------------------------------------------------------------------------------ the gate */

static mote_err take_whole(mote_runtime *rt, struct mt_sched *s, unsigned worker, struct came *c) {
    struct mt_dist *d = mt_dist_of(rt);
    mote_err err = MOTE_OK;
    if (mt_own_worker(rt) != HUB) return worker == HUB && (!c->left.count || c->head.parts == 1) ? hear(rt, s, c) : MOTE_ETERM;
    if (!d) return MOTE_ETERM;
    uint64_t node = c->name.size ? mt_atom_intern((const char *)c->name.data, c->name.size, false, &err) : 0;
    if (!err) err = obey(d, s, worker, node, c);
    if (node) mt_atom_drop(node);
    return err;
}

static mote_err take(mote_runtime *rt, struct mt_sched *s, unsigned worker, const void *record, size_t size) {
    struct came c;
    if (!read_record(record, size, &c)) return MOTE_ETERM;
    c.left.count = 0;
    mote_writer_init(&c.written, MOTE_FORM_MOTE, NULL, 0, RECORD_MAX);
    mote_err err = read_parts(rt, &c);
    if (!err) err = take_whole(rt, s, worker, &c);
    fini_came(&c);
    return err;
}

struct end {
    struct mt_sched *s;
    unsigned worker;
    uint64_t reason;
};

/* V3: those whom the peer was related with. */
static void tell_peer(void *carrier, void *context) {
    const struct end *e = context;
    struct mt_link *l = carrier;
    mt_lock_take(&l->mu);
    struct mt_bond *ties = mt_bonds_take(&l->bonds, e->worker);
    uint32_t creation = l->creation;
    mt_lock_drop(&l->mu);
    for (struct mt_bond *t; (t = ties); mt_os_free(t)) {
        ties = t->next;
        static const enum mt_control_op ops[] = {[MT_BOND_LINK] = MT_CONTROL_EXIT, [MT_BOND_WATCHED] = MT_CONTROL_DOWN, [MT_BOND_WATCHES] = MT_CONTROL_DEMONITOR};
        struct mt_control c = {.op = ops[t->kind], .from = mt_far_pid_of(l->dist, t->pid), .to = t->peer, .ref = t->ref, .named = t->name.size != 0, .name = t->name};
        c.to.node = mt_name_of_atom(l->node);
        c.ref.node = t->kind == MT_BOND_WATCHES ? c.from.node : c.to.node;
        if (c.op != MT_CONTROL_EXIT || !creation || t->peer.creation == creation) (void)mt_link_put(l, e->s, t->pid, &c, t->kind == MT_BOND_WATCHES ? 0 : e->reason);
    }
}

static void lost(mote_runtime *rt, struct mt_sched *s, unsigned worker, mote_term reason) {
    struct mt_dist *d = mt_dist_of(rt);
    struct end e = {s, worker, reason.word};
    if (!d || mt_own_worker(rt) != HUB) return;
    mt_far_each_node(rt, tell_peer, &e);
    mt_unlisten_worker(d, worker);
}

static const struct mt_gate gate = {take, greet, lost};

mote_err mt_branch_begin(mote_runtime *rt) { return mt_far_gate(rt, &gate); }
