/* SPDX-License-Identifier: Apache-2.0
 * Registered names, and names of functions. Two tables of the same entries, by name and by pid, under one lock. A process that ends must give up a name that somebody may
 * just be giving it: both sides mark its `naming` word first and look at the other's mark then (N1), so one of them sees it.
 * In a node of several workers the names of all are on a board as well, by compare-and-swap (N2); here stand this worker's own.
 * What was put there and is not there any more another worker has unregistered. */
#include <string.h>

#include "base/hash.h"
#include "proc/far.h"

struct entry {
    struct mt_node by_name; /* key: atom */
    struct mt_node by_pid;  /* key: pid */
    bool here;              /* other nodes do not find it */
    bool published;         /* on the board: if it is not there any more, another worker has unregistered it */
};

struct mt_names { /* MT_SHARED */
    struct mt_lock mu;
    struct mt_hash by_name; /* lock: mu */
    struct mt_hash by_pid;  /* lock: mu */
    struct mt_hash exports; /* lock: mu */
    _Atomic(const struct mt_name_board *) board; /* atomic: release: or NULL */
};

static struct entry *of_name(struct mt_node *node) { return (struct entry *)(void *)node; }
static struct entry *of_pid(struct mt_node *node) {
    return (struct entry *)(void *)((char *)node - offsetof(struct entry, by_pid));
}

mote_err mt_names_new(struct mt_names **names) {
    struct mt_names *n = mt_os_alloc_zero(sizeof *n);
    if (!n) return MOTE_ENOMEM;
    if (mt_hash_init(&n->by_name) || mt_hash_init(&n->by_pid) || mt_hash_init(&n->exports)) {
        mt_hash_fini(&n->by_name);
        mt_hash_fini(&n->by_pid);
        mt_os_free(n);
        return MOTE_ENOMEM;
    }
    mt_lock_init(&n->mu, MT_RANK_NAMES);
    *names = n;
    return MOTE_OK;
}

static void free_entry(struct entry *e) {
    if (mt_atom_counted(e->by_name.key)) mt_atom_drop(e->by_name.key);
    mt_os_free(e);
}

void mt_names_free(struct mt_names *names) {
    for (struct mt_node *node; (node = mt_hash_pop(&names->by_name));) free_entry(of_name(node));
    mt_hash_fini(&names->by_name);
    mt_hash_fini(&names->by_pid);
    for (struct mt_node *node; (node = mt_hash_pop(&names->exports));) mt_os_free(node);
    mt_hash_fini(&names->exports);
    mt_lock_fini(&names->mu);
    mt_os_free(names);
}

/* The node's names (N2): a name is put there after it was put here, and looked at here once more, since its process may have ended meanwhile; it is taken away
 * there after it was here. */
static const struct mt_name_board *board_of(struct mt_names *n) { return atomic_load_explicit(&n->board, memory_order_acquire); }

static const char *letters(uint64_t name, size_t *size) { return mote_atom_name((mote_atom){name}, size); }

static void give_back(struct mt_names *n, uint64_t name, uint64_t pid) {
    const struct mt_name_board *board = board_of(n);
    size_t size;
    if (!board) return;
    const char *text = letters(name, &size);
    board->give(board->context, text, size, pid);
}

static mote_err insert_locked(struct mt_names *n, struct mt_proc *p, struct entry *e) {
    if (*mt_hash_find(&n->by_name, e->by_name.key) || *mt_hash_find(&n->by_pid, e->by_pid.key)) return MOTE_EBUSY;
    uint16_t before = atomic_fetch_or(&p->naming, MT_NAMED); /* N1 */
    if (before & MT_DYING) return MOTE_ENOPROC;
    if (mt_serial(p) != mt_pid_serial(e->by_pid.key) || (atomic_load(&p->inbox.low) & MT_IN_CLOSED)) return MOTE_ENOPROC;
    mt_hash_insert(&n->by_name, &e->by_name);
    mt_hash_insert(&n->by_pid, &e->by_pid);
    return MOTE_OK;
}

static struct entry *take_out_locked(struct mt_names *n, struct entry *e) {
    mt_hash_remove(&n->by_name, mt_hash_find(&n->by_name, e->by_name.key));
    mt_hash_remove(&n->by_pid, mt_hash_find(&n->by_pid, e->by_pid.key));
    return e;
}

/* Whether the name is this pid's here; `out`: takes it away and gives the entry, else it is on the board now. */
static bool has_name(struct mt_names *n, uint64_t name, uint64_t pid, struct entry **out) {
    mt_lock_take(&n->mu);
    struct mt_node *node = *mt_hash_find(&n->by_name, name);
    bool has = node && of_name(node)->by_pid.key == pid;
    if (has && out) *out = take_out_locked(n, of_name(node));
    else if (has) of_name(node)->published = true;
    mt_lock_drop(&n->mu);
    return has;
}

/* Puts a name that was registered here onto the board. */
static mote_err publish(struct mt_names *n, uint64_t name, uint64_t pid) {
    const struct mt_name_board *board = board_of(n);
    struct entry *e = NULL;
    size_t size;
    const char *text = letters(name, &size);
    mote_err err = board->take(board->context, text, size, pid);
    if (!err && has_name(n, name, pid, NULL)) return MOTE_OK;
    if (!err) {
        board->give(board->context, text, size, pid);
        return MOTE_ENOPROC;
    }
    if (has_name(n, name, pid, &e)) free_entry(e);
    return err;
}

/* Whether an entry that was published is on the board no more. */
static bool is_stale(struct mt_names *n, const struct entry *e) {
    const struct mt_name_board *board = board_of(n);
    size_t size;
    if (!board || !e->published) return false;
    const char *text = letters(e->by_name.key, &size);
    return board->whereis(board->context, text, size) != e->by_pid.key;
}

/* The entry of a name or a pid is copied into *e, its atom held if it is published: is_stale() reads its name. False: there is none. */
static bool copy_entry(struct mt_names *n, const struct mt_hash *by, uint64_t key, struct entry *e) {
    mt_lock_take(&n->mu);
    struct mt_node *node = *mt_hash_find(by, key);
    if (node) *e = by == &n->by_name ? *of_name(node) : *of_pid(node);
    if (node && e->published && mt_atom_counted(e->by_name.key)) mt_atom_hold(e->by_name.key);
    mt_lock_drop(&n->mu);
    return node != NULL;
}

static void drop_copy(const struct entry *e) {
    if (e->published && mt_atom_counted(e->by_name.key)) mt_atom_drop(e->by_name.key);
}

/* What another worker has unregistered is not in the way of a new name. */
static void forget_stale(struct mt_names *n, const struct mt_hash *by, uint64_t key) {
    struct entry copy, *e = NULL;
    if (!board_of(n) || !copy_entry(n, by, key, &copy)) return;
    if (is_stale(n, &copy)) (void)has_name(n, copy.by_name.key, copy.by_pid.key, &e);
    drop_copy(&copy);
    if (e) free_entry(e);
}

mote_err mt_register(mote_runtime *rt, uint64_t name, uint64_t pid, bool here) {
    struct mt_proc *p = mt_table_find(rt, pid);
    if (mt_tag(name) != MT_ATOM || name == MT_WORD_OF(undefined)) return MOTE_ENAME;
    if (!p) return MOTE_ENOPROC;
    struct entry *e = mt_os_alloc_zero(sizeof *e);
    if (!e) return MOTE_ENOMEM;
    e->by_name.key = name;
    e->by_pid.key = pid;
    e->here = here;
    if (mt_atom_counted(name)) mt_atom_hold(name);
    forget_stale(rt->names, &rt->names->by_name, name);
    forget_stale(rt->names, &rt->names->by_pid, pid);
    mt_lock_take(&rt->names->mu);
    mote_err err = insert_locked(rt->names, p, e);
    mt_lock_drop(&rt->names->mu);
    if (err) {
        free_entry(e);
        return err;
    }
    return board_of(rt->names) ? publish(rt->names, name, pid) : MOTE_OK;
}
mote_err mt_unregister(mote_runtime *rt, uint64_t name) {
    struct mt_names *n = rt->names;
    const struct mt_name_board *board = board_of(n);
    struct entry *e = NULL;
    forget_stale(n, &n->by_name, name);
    mt_lock_take(&n->mu);
    struct mt_node *node = *mt_hash_find(&n->by_name, name);
    if (node) e = take_out_locked(n, of_name(node));
    mt_lock_drop(&n->mu);
    uint64_t pid = e ? e->by_pid.key : mt_whereis(rt, name); /* another worker's: only the board knows it */
    if (pid && board) give_back(n, name, pid);
    if (e) free_entry(e);
    return pid ? MOTE_OK : MOTE_ENAME;
}

/* The other key of an entry, or 0. */
static uint64_t look_up(struct mt_names *n, const struct mt_hash *by, uint64_t key) {
    struct entry copy;
    if (!copy_entry(n, by, key, &copy)) return 0;
    uint64_t other = is_stale(n, &copy) ? 0 : by == &n->by_name ? copy.by_pid.key : copy.by_name.key;
    drop_copy(&copy);
    return other;
}

uint64_t mt_whereis_away(mote_runtime *rt, const char *text, size_t size) {
    const struct mt_name_board *board = board_of(rt->names);
    uint64_t pid = board ? board->whereis(board->context, text, size) : 0;
    return mt_is_far(rt, pid) && mt_pid_serial(pid) ? pid : 0; /* of this worker's own the table knows more */
}

uint64_t mt_whereis(mote_runtime *rt, uint64_t name) {
    uint64_t pid = look_up(rt->names, &rt->names->by_name, name);
    size_t size;
    if (pid || !board_of(rt->names) || mt_tag(name) != MT_ATOM) return pid;
    const char *text = letters(name, &size);
    return mt_whereis_away(rt, text, size);
}

uint64_t mt_whereis_for_others(mote_runtime *rt, uint64_t name) {
    mt_lock_take(&rt->names->mu);
    struct mt_node *node = *mt_hash_find(&rt->names->by_name, name);
    bool here = node && of_name(node)->here;
    mt_lock_drop(&rt->names->mu);
    return here ? 0 : mt_whereis(rt, name);
}

uint64_t mt_name_of(mote_runtime *rt, uint64_t pid) { return look_up(rt->names, &rt->names->by_pid, pid); }

struct listing {
    mote_atom *names;
    size_t capacity, count;
};

static void list_one(void *context, struct mt_node *node) {
    struct listing *l = context;
    if (l->count < l->capacity) l->names[l->count].word = node->key;
    l->count++;
}

static mote_err list_board(const struct mt_name_board *board, struct listing *l) {
    char text[MT_NAME_BYTES];
    size_t size, cursor = 0;
    mote_err err = MOTE_OK;
    while (!err && board->next(board->context, &cursor, text, &size)) {
        uint64_t atom = l->count < l->capacity ? mt_atom_intern(text, size, true, &err) : 0;
        if (err == MOTE_EARG) err = MOTE_OK; /* no name that one of ours would write */
        else if (atom) l->names[l->count++].word = atom;
        else l->count++;
    }
    return err;
}

mote_err mt_registered(mote_runtime *rt, mote_atom *names, size_t capacity, size_t *count) {
    struct listing l = {names, capacity, 0};
    if (board_of(rt->names)) {
        mote_err err = list_board(board_of(rt->names), &l);
        *count = l.count;
        return err;
    }
    mt_lock_take(&rt->names->mu);
    mt_hash_each(&rt->names->by_name, list_one, &l);
    mt_lock_drop(&rt->names->mu);
    *count = l.count;
    return MOTE_OK;
}

void mt_name_end(struct mt_proc *p) {
    struct entry *e = NULL;
    uint16_t before = atomic_fetch_or(&p->naming, MT_DYING); /* N1 */
    if (mt_likely(!(before & (MT_NAMED | MT_IS_NOTED)))) return;
    if (before & MT_IS_NOTED) mt_far_forget(p);
    if (!(before & MT_NAMED)) return;
    struct mt_names *n = mt_runtime(p)->names;
    mt_lock_take(&n->mu);
    struct mt_node *node = *mt_hash_find(&n->by_pid, mt_proc_pid(p));
    if (node) e = take_out_locked(n, of_pid(node));
    mt_lock_drop(&n->mu);
    if (!e) return;
    give_back(n, e->by_name.key, e->by_pid.key);
    free_entry(e);
}

static void count_name(void *context, struct mt_node *node) {
    struct listing *l = context;
    l->names[l->count++].word = node->key;
}

mote_err mt_names_publish(mote_runtime *rt, const struct mt_name_board *board) {
    struct mt_names *n = rt->names;
    mote_err err = MOTE_OK;
    mt_lock_take(&n->mu);
    size_t room = n->by_name.count;
    mt_lock_drop(&n->mu);
    struct listing l = {mt_os_alloc((room + 1) * sizeof(mote_atom)), room, 0};
    if (!l.names) return MOTE_ENOMEM;
    mt_lock_take(&n->mu);
    if (n->by_name.count <= room) mt_hash_each(&n->by_name, count_name, &l);
    mt_lock_drop(&n->mu);
    atomic_store_explicit(&n->board, board, memory_order_release);
    for (size_t i = 0; i < l.count && !err; i++) {
        uint64_t pid = look_up(n, &n->by_name, l.names[i].word);
        if (pid) err = publish(n, l.names[i].word, pid);
    }
    mt_os_free(l.names);
    return err == MOTE_ENOPROC ? MOTE_OK : err;
}

/* {Name, Node}; a pid or alias of another node's, or of an earlier life of this one. */
static mote_err resolve_boxed(mote_runtime *rt, uint64_t to, uint64_t *pid) {
    struct mt_remote_id id;
    bool own;
    if (!mt_remote_id_of(to, &id)) return MOTE_ETERM;
    *pid = mt_far_word(rt, to, &own);
    if (own && id.kind == MT_REMOTE_NAME) *pid = mt_whereis(rt, id.name);
    return MOTE_OK;
}

mote_err mt_resolve(mote_runtime *rt, uint64_t to, uint64_t *pid, uint64_t *alias) {
    *alias = 0;
    switch (mt_tag(to)) {
    case MT_PID: *pid = to; return MOTE_OK;
    case MT_ATOM: *pid = mt_whereis(rt, to); return *pid ? MOTE_OK : MOTE_ENAME;
    case MT_BOXED: return resolve_boxed(rt, to, pid);
    case MT_REF: break;
    default: return MOTE_ETERM;
    }
    *pid = 0;
    if (!mt_is_alias(to)) return MOTE_OK; /* as in Erlang: it may have been one elsewhere */
    uint64_t index = to >> 3 & (((uint64_t)1 << MT_PID_INDEX_BITS) - 1);
    if (mt_ref_worker(to) != mt_own_worker(rt)) { /* its worker looks for the process */
        *pid = mt_pid_word(index, mt_ref_worker(to), 0);
        *alias = to;
        return MOTE_OK;
    }
    struct mt_proc *p = mt_table_find(rt, mt_pid_of(rt, index, 1));
    uint64_t serial = p ? mt_serial(p) : 0;
    if (!serial) return MOTE_OK;
    *pid = mt_pid_of(rt, index, serial); /* another process by now? It does not know the alias, and drops what comes through it */
    *alias = to;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- functions */

/* The one of just this arity. */
static struct mt_export *find_export_locked(struct mt_names *n, uint64_t module, uint64_t function, size_t arity) {
    uint64_t key = module * 31 + function;
    struct mt_node *node = *mt_hash_find(&n->exports, key);
    while (node) {
        struct mt_export *e = (struct mt_export *)(void *)node;
        if (e->module == module && e->function == function && e->arity == arity) return e;
        for (node = node->next; node && node->key != key;) node = node->next;
    }
    return NULL;
}

static bool is_same_export(const struct mt_export *a, const struct mt_export *b) {
    return a->body == b->body && a->call == b->call && a->context == b->context && a->hosted == b->hosted;
}

mote_err mt_export(mote_runtime *rt, const struct mt_export *export) {
    struct mt_export *e = mt_os_alloc_zero(sizeof *e), *old;
    if (!e) return MOTE_ENOMEM;
    *e = *export;
    e->node.key = e->module * 31 + e->function;
    mt_lock_take(&rt->names->mu);
    if (!(old = find_export_locked(rt->names, e->module, e->function, e->arity))) mt_hash_insert(&rt->names->exports, &e->node);
    mote_err err = old && !is_same_export(old, e) ? MOTE_EBUSY : MOTE_OK;
    mt_lock_drop(&rt->names->mu);
    if (old) mt_os_free(e);
    return err;
}

const struct mt_export *mt_exported(mote_runtime *rt, uint64_t module, uint64_t function, size_t arity) {
    mt_lock_take(&rt->names->mu);
    const struct mt_export *e = find_export_locked(rt->names, module, function, arity);
    if (!e) e = find_export_locked(rt->names, module, function, MT_ARITY_ANY);
    mt_lock_drop(&rt->names->mu);
    return e;
}
