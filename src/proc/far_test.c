/* SPDX-License-Identifier: Apache-2.0
 * Signals between workers: two runtimes in this program, with a queue of records each way and a thread at its end that takes them. */
#include "proc/far.h"

#include <string.h>

#include "base/lock.h"
#include "live.h"

#define LEFT 0u
#define RIGHT (1u | 2u << MT_WORKER_BITS) /* its third incarnation */

struct letter {
    struct letter *next;
    size_t size;
    unsigned char bytes[];
};

/* One way: records that wait, and the thread that gives them to the runtime. */
struct way {
    pthread_mutex_t mu;
    pthread_cond_t news;
    struct letter *first, **last; /* lock: mu */
    size_t waiting;               /* lock: mu */
    bool closed, idle, held;      /* lock: mu */
    size_t crowd;                 /* const */
    mote_runtime *to;             /* const */
    unsigned from, target;        /* const: workers */
    mote_runtime *sender;         /* const */
    pthread_t thread;
    uint64_t taken, refused;      /* thread */
    bool answers_garbage;         /* const: what comes may be an answer to what nobody has asked */
};

struct node {
    mote_runtime *left, *right;
    struct way ways[2]; /* to the right, to the left */
};

static bool put(void *context, const void *record, size_t size) {
    struct way *w = context;
    struct letter *l = malloc(sizeof *l + size);
    CHECK(l != NULL);
    l->next = NULL;
    l->size = size;
    memcpy(l->bytes, record, size);
    pthread_mutex_lock(&w->mu);
    *w->last = l;
    w->last = &l->next;
    bool room = ++w->waiting <= w->crowd;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->mu);
    return room;
}

static bool crowded(void *context, uint64_t sender) {
    (void)sender;
    struct way *w = context;
    pthread_mutex_lock(&w->mu);
    bool is = w->waiting > w->crowd;
    pthread_mutex_unlock(&w->mu);
    return is;
}

static struct letter *next_letter(struct way *w) {
    pthread_mutex_lock(&w->mu);
    while ((!w->first || w->held) && !w->closed) {
        w->idle = true;
        pthread_cond_broadcast(&w->news);
        pthread_cond_wait(&w->news, &w->mu);
    }
    w->idle = false;
    struct letter *l = w->held ? NULL : w->first;
    if (l && !(w->first = l->next)) w->last = &w->first;
    pthread_mutex_unlock(&w->mu);
    return l;
}

static bool took(struct way *w) {
    pthread_mutex_lock(&w->mu);
    bool drained = --w->waiting == w->crowd;
    pthread_mutex_unlock(&w->mu);
    return drained;
}

/* The receiving runtime's thread delivers; the sending one's is told when the crowd has gone. */
static void *postman(void *context) {
    struct way *w = context;
    mote_self *here, *there;
    CHECK_OK(mote_attach(w->to, &here));
    CHECK_OK(mote_attach(w->sender, &there));
    for (struct letter *l; (l = next_letter(w)); free(l)) {
        if (mt_far_take(mt_self(here)->task.sched, w->from, l->bytes, l->size)) w->refused++;
        else w->taken++;
        if (took(w)) mt_far_drained(mt_self(there)->task.sched, w->target);
    }
    CHECK_OK(mote_detach(there));
    CHECK_OK(mote_detach(here));
    return NULL;
}

static void open_way(struct node *n, int right, size_t crowd) {
    struct way *w = &n->ways[right];
    *w = (struct way){.crowd = crowd, .to = right ? n->right : n->left, .sender = right ? n->left : n->right, .from = right ? LEFT : RIGHT, .target = right ? RIGHT : LEFT};
    pthread_mutex_init(&w->mu, NULL);
    pthread_cond_init(&w->news, NULL);
    w->last = &w->first;
    struct mt_carrier carrier = {.put = put, .crowded = crowded, .context = w};
    CHECK_OK(mt_far_open(w->sender, w->target, &carrier));
    CHECK_INT(mt_far_open(w->sender, w->target, &carrier), MOTE_EBUSY);
    CHECK_INT(pthread_create(&w->thread, NULL, postman, w), 0);
    pthread_mutex_lock(&w->mu);
    while (!w->idle) pthread_cond_wait(&w->news, &w->mu);
    pthread_mutex_unlock(&w->mu);
}

static void start_node(struct node *n, size_t crowd) {
    mote_options o = {.schedulers = 2, .chaos_seed = chaos_seed()};
    CHECK_OK(mote_runtime_start(&o, &n->left));
    o.worker = RIGHT;
    CHECK_OK(mote_runtime_start(&o, &n->right));
    for (int right = 0; right < 2; right++) open_way(n, right, crowd);
}

static void close_way(struct way *w) {
    pthread_mutex_lock(&w->mu);
    w->closed = true;
    w->held = false;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->mu);
    CHECK_INT(pthread_join(w->thread, NULL), 0);
    CHECK(w->refused == 0 || w->answers_garbage);
}

static void free_way(struct way *w) {
    for (struct letter *l = w->first, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    pthread_mutex_destroy(&w->mu);
    pthread_cond_destroy(&w->news);
}

static void stop_node(struct node *n) {
    (void)mote_runtime_stop(n->left, 0); /* what their ends say to the other side has nobody to take it: it is freed with the ways */
    (void)mote_runtime_stop(n->right, 0);
    for (int i = 0; i < 2; i++) close_way(&n->ways[i]);
    for (int i = 0; i < 2; i++) free_way(&n->ways[i]); /* what the one has taken may have been answered into the other */
}

/* The calling thread as a process of both workers. */
struct both {
    struct node node;
    mote_self *left, *right;
};

static void begin(struct both *b, size_t crowd) {
    start_node(&b->node, crowd);
    CHECK_OK(mote_attach(b->node.left, &b->left));
    CHECK_OK(mote_attach(b->node.right, &b->right));
}

static void end(struct both *b) {
    CHECK_OK(mote_detach(b->left));
    CHECK_OK(mote_detach(b->right));
    stop_node(&b->node);
}

static mote_pid start(mote_self *self, mote_body body) {
    mote_pid pid;
    CHECK_OK(mote_spawn(self, body, MOTE_TERM_NIL, &pid));
    return pid;
}

/* The next message as text. */
static const char *heard(mote_self *self) {
    static char text[400];
    mote_term m;
    CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
    mote_term_print(m, text, sizeof text);
    return text;
}
#define HEARS(self, want) CHECK_STR(heard(self), want)

/* ------------------------------------------------------------------------------------------------ messages */

static void pids(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid l = mote_self_pid(b.left), r = mote_self_pid(b.right);
    CHECK_INT(mt_pid_worker(l.word), LEFT);
    CHECK_INT(mt_pid_worker(r.word), RIGHT);
    CHECK(!mt_is_far(b.node.left, l.word) && mt_is_far(b.node.left, r.word));
    CHECK(mt_is_far(b.node.right, l.word) && !mt_is_far(b.node.right, r.word));
    CHECK(!mt_table_find(b.node.left, r.word) && mt_table_find(b.node.right, r.word));
    mote_ref x = mote_ref_make(b.left), y = mote_ref_make(b.right);
    CHECK(mt_ref_worker(x.word) == 0 && mt_ref_worker(y.word) == 1);
    end(&b);
}

/* Answers {Pid, What} with What, to whoever it is. */
static void echo(mote_self *self, mote_term arg) {
    (void)arg;
    mote_term m, what;
    mote_pid from;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "stop")) return;
        CHECK(mote_match(m, "{?, ?}", &from, &what));
        CHECK_OK(mote_send_term(self, from, what));
    }
}

static void terms(void) {
    static const char *const texts[] = {
        "1", "-99999999999999999999999", "0.5", "atom", "'an atom'", "[]", "[1,2|x]", "{}", "{a,{b,[c]}}", "#{k => [v],1 => 2}", "<<\"bytes\">>", "<<1,2:3>>",
        "\"list\"", "fun lists:map/2",
    };
    struct both b;
    begin(&b, 1000);
    mote_pid e = start(b.right, echo);
    mote_arena *arena = mote_arena_new(0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        mote_term t;
        CHECK_OK(mote_term_parse(arena, texts[i], strlen(texts[i]), &t, NULL));
        CHECK_OK(mote_send(b.left, e, "{?, ?}", mote_self_pid(b.left), t));
        mote_term m;
        CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
        CHECK(mote_term_same(m, t));
    }
    mote_pid l = mote_self_pid(b.left), got;
    mote_ref ref = mote_ref_make(b.left), same;
    mote_term m;
    CHECK_OK(mote_send(b.left, e, "{?, {?, ?, ?}}", l, l, e, ref));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{^, ?, ?}", l, &got, &same) && got.word == e.word && same.word == ref.word);
    mote_arena_free(arena);
    end(&b);
}

static void large_terms(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid e = start(b.right, echo);
    size_t size = 3000000;
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 7);
    CHECK_OK(mote_send(b.left, e, "{?, {big, ?}}", mote_self_pid(b.left), ((mote_bytes){bytes, size})));
    mote_term m;
    mote_bytes back;
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{big, ?}", &back) && back.size == size && memcmp(back.data, bytes, size) == 0);
    free(bytes);
    end(&b);
}

/* A01: one sender, one receiver, in order; in both directions at once. */
static void counts_to(mote_self *self, mote_term arg) {
    int n, got;
    mote_pid to;
    mote_term m;
    CHECK_OK(mote_receive(self, -1, &m));
    CHECK(mote_match(m, "{count, ?, ?}", &n, &to));
    (void)arg;
    for (int i = 0; i < n; i++) {
        CHECK_OK(mote_receive(self, PATIENCE_MS, &m));
        CHECK(mote_match(m, "{n, ?}", &got));
        CHECK_INT(got, i);
    }
    CHECK_OK(mote_send(self, to, "{counted, ?}", n));
}

static void order(void) {
    struct both b;
    int n = scaled(100000);
    begin(&b, 1000000);
    mote_pid r = start(b.right, counts_to), l = start(b.left, counts_to);
    CHECK_OK(mote_send(b.left, r, "{count, ?, ?}", n, mote_self_pid(b.left)));
    CHECK_OK(mote_send(b.right, l, "{count, ?, ?}", n, mote_self_pid(b.left)));
    for (int i = 0; i < n; i++) {
        CHECK_OK(mote_send(b.left, r, "{n, ?}", i));
        CHECK_OK(mote_send(b.right, l, "{n, ?}", i));
    }
    char want[40];
    snprintf(want, sizeof want, "{counted,%d}", n);
    HEARS(b.left, want);
    HEARS(b.left, want);
    end(&b);
}

static void to_nobody(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid e = start(b.right, echo), gone = {e.word ^ (uint64_t)1 << (3 + MT_PID_INDEX_BITS + MT_PID_WORKER_BITS)}; /* another serial */
    mote_pid nowhere = {mt_pid_word(3, 9, 1)}, before = {(e.word & ~MT_PID_WORKER_MASK) | (uint64_t)1 << (3 + MT_PID_INDEX_BITS)}; /* its first incarnation */
    CHECK_OK(mote_send(b.left, gone, "x"));
    CHECK_OK(mote_send(b.left, nowhere, "x"));
    CHECK_OK(mote_send(b.left, before, "x"));
    CHECK_OK(mote_send(b.left, e, "{?, ok}", mote_self_pid(b.left)));
    HEARS(b.left, "ok");
    mote_ref ref;
    CHECK_OK(mote_monitor(b.left, before, &ref));
    mote_term m;
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, noproc}", ref, before));
    end(&b);
}

/* --------------------------------------------------------------------------------------------- relations */

/* Does what it is told: {exit, Reason}, {link, Pid}, {unlink, Pid, Answer}, trap, {tell, Pid}: passes every other message on. */
static void servant(mote_self *self, mote_term arg) {
    mote_term m, what;
    mote_pid pid, tell = mote_self_pid(NULL);
    (void)arg;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{exit, ?}", &what)) mote_exit(self, what);
        else if (mote_match(m, "{link, ?, ?}", &pid, &tell)) CHECK_OK(mote_link(self, pid));
        else if (mote_match(m, "{unlink, ?}", &pid)) CHECK_OK(mote_unlink(self, pid));
        else if (mote_match(m, "trap")) CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
        else if (mote_match(m, "{tell, ?}", &tell)) continue;
        else CHECK_OK(mote_send(self, tell, "{?, ?}", mote_self_pid(self), m));
        if (mote_match(m, "{link, _, _}") || mote_match(m, "{unlink, _}")) CHECK_OK(mote_send(self, tell, "done"));
    }
}

static void monitors(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid e = start(b.right, servant);
    mote_ref ref, named;
    mote_term m;
    CHECK_OK(mote_register(b.right, mote_atom_make("far_servant"), e));
    CHECK_OK(mote_monitor(b.left, e, &ref));
    CHECK_OK(mote_monitor(b.left, e, &named));
    bool active;
    CHECK_OK(mote_demonitor(b.left, named, true, &active));
    CHECK(active);
    CHECK_OK(mote_send(b.left, e, "{exit, {because, [1, 2]}}"));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, {because, [1, 2]}}", ref, e));
    CHECK_OK(mote_monitor(b.left, e, &ref));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, noproc}", ref, e));
    CHECK_INT(mote_receive(b.left, 0, &m), MOTE_TIMEOUT);
    end(&b);
}

/* A servant here is linked to one there; both trap, and pass what they get on to the thread. */
static void two_servants(struct both *b, mote_pid *l, mote_pid *r) {
    *l = start(b->left, servant);
    *r = start(b->right, servant);
    CHECK_OK(mote_send(b->left, *r, "trap"));
    CHECK_OK(mote_send(b->left, *r, "{tell, ?}", mote_self_pid(b->left)));
    mote_term m;
    CHECK_OK(mote_send(b->left, *r, "sync")); /* whoever ends from now on, it traps that */
    CHECK_OK(mote_receive(b->left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{^, sync}", *r));
    CHECK_OK(mote_send(b->left, *l, "trap"));
    CHECK_OK(mote_send(b->left, *l, "{link, ?, ?}", *r, mote_self_pid(b->left)));
    HEARS(b->left, "done");
}

static void links(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid l, r, r2;
    mote_term m;
    two_servants(&b, &l, &r);
    CHECK_OK(mote_send(b.left, l, "{exit, gone}"));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{^, {'EXIT', ^, gone}}", r, l));

    l = start(b.left, servant), r2 = start(b.right, servant); /* not trapping: the end goes over */
    mote_ref ref;
    CHECK_OK(mote_monitor(b.left, r2, &ref));
    CHECK_OK(mote_send(b.left, l, "{link, ?, ?}", r2, mote_self_pid(b.left)));
    HEARS(b.left, "done");
    CHECK_OK(mote_exit_send(b.left, l, mote_atom_term(mote_atom_make("kill"))));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, killed}", ref, r2));

    CHECK_OK(mote_send(b.left, r, "{link, ?, ?}", l, mote_self_pid(b.left))); /* to a dead one */
    HEARS(b.left, "done");
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{^, {'EXIT', ^, noproc}}", r, l));

    l = start(b.left, servant); /* not trapping: that ends it, the call does not fail */
    CHECK_OK(mote_monitor(b.left, l, &ref));
    CHECK_OK(mote_send(b.left, l, "{link, ?, ?}", r2, mote_self_pid(b.left)));
    HEARS(b.left, "done");
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, noproc}", ref, l));
    end(&b);
}

static void unlinks(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid l, r;
    mote_term m;
    mote_ref ref;
    two_servants(&b, &l, &r);
    CHECK_OK(mote_send(b.left, r, "{unlink, ?}", l));
    HEARS(b.left, "done");
    CHECK_OK(mote_monitor(b.left, l, &ref));
    CHECK_OK(mote_send(b.left, l, "{exit, gone}"));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, gone}", ref, l));
    CHECK_OK(mote_send(b.left, r, "last")); /* nothing of the link has come before it */
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{^, last}", r));
    end(&b);
}

static void exits_and_questions(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid r = start(b.right, servant);
    mote_process_info info;
    bool alive;
    mote_term m;
    CHECK_OK(mote_send(b.left, r, "{tell, ?}", mote_self_pid(b.left)));
    CHECK_OK(mote_send(b.left, r, "trap"));
    CHECK_OK(mote_send(b.left, r, "sync"));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m)); /* it has seen all */
    CHECK(mote_match(m, "{^, sync}", r));
    CHECK_OK(mote_process_info_get(b.left, r, PATIENCE_MS, &info));
    CHECK(info.trap_exit && info.pid.word == r.word && info.mailbox == 0);
    CHECK_OK(mote_is_alive(b.left, r, &alive));
    CHECK(alive);
    CHECK_OK(mote_exit_send(b.left, r, mote_atom_term(mote_atom_make("kill"))));
    CHECK_OK(mote_is_alive(b.left, r, &alive)); /* A12: the question comes after the kill */
    CHECK(!alive);
    CHECK_INT(mote_process_info_get(b.left, r, PATIENCE_MS, &info), MOTE_ENOPROC);
    end(&b);
}

static void aliases(void) {
    struct both b;
    begin(&b, 1000);
    mote_ref alias;
    mote_pid e = start(b.right, servant);
    CHECK_OK(mote_alias(b.left, MOTE_ALIAS_REPLY, &alias));
    CHECK_OK(mote_send(b.right, alias, "first"));
    CHECK_OK(mote_send(b.right, alias, "second")); /* a reply alias takes one */
    CHECK_OK(mote_send(b.right, mote_self_pid(b.left), "third"));
    HEARS(b.left, "first");
    HEARS(b.left, "third");
    (void)e;
    end(&b);
}

/* ------------------------------------------------------------------------------------------------------- loss */

static void lost(void) {
    struct both b;
    begin(&b, 1000);
    mote_pid l, r, other = start(b.right, servant);
    mote_term m;
    mote_ref ref, ref2;
    bool alive = true;
    two_servants(&b, &l, &r);
    CHECK_OK(mote_send(b.left, l, "{tell, ?}", mote_self_pid(b.left)));
    CHECK_OK(mote_monitor(b.left, r, &ref));
    CHECK_OK(mote_monitor(b.left, other, &ref2));
    CHECK_OK(mt_far_lost(mt_self(b.left)->task.sched, RIGHT, mote_atom_term(mote_atom_make("boom"))));
    CHECK_INT(mt_far_lost(mt_self(b.left)->task.sched, RIGHT, mote_atom_term(mote_atom_make("boom"))), MOTE_EARG);
    unsigned told = 0;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
        if (mote_match(m, "{'DOWN', ^, process, ^, boom}", ref, r)) told |= 1;
        if (mote_match(m, "{'DOWN', ^, process, ^, boom}", ref2, other)) told |= 2;
        if (mote_match(m, "{^, {'EXIT', ^, boom}}", l, r)) told |= 4;
    }
    CHECK_INT(told, 7);
    CHECK_OK(mote_is_alive(b.left, r, &alive));
    CHECK(!alive);
    CHECK_OK(mote_monitor(b.left, r, &ref));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, noproc}", ref, r));
    CHECK_OK(mote_send(b.left, l, "still"));
    CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
    CHECK_INT(mote_receive(b.left, 0, &m), MOTE_TIMEOUT);
    end(&b);
}

/* A question that nobody will answer is answered when the worker is lost. */
static void *loses(void *context) {
    struct both *b = context;
    mote_self *self;
    CHECK_OK(mote_attach(b->node.left, &self));
    struct way *w = &b->node.ways[1];
    pthread_mutex_lock(&w->mu);
    while (!w->first) pthread_cond_wait(&w->news, &w->mu); /* the question */
    pthread_mutex_unlock(&w->mu);
    CHECK_OK(mt_far_lost(mt_self(self)->task.sched, RIGHT, mote_atom_term(mote_atom_make("boom"))));
    CHECK_OK(mote_detach(self));
    return NULL;
}

static void lost_question(void) {
    struct both b;
    pthread_t thread;
    mote_process_info info;
    begin(&b, 1000);
    mote_pid r = start(b.right, servant);
    pthread_mutex_lock(&b.node.ways[1].mu);
    b.node.ways[1].held = true;
    pthread_mutex_unlock(&b.node.ways[1].mu);
    CHECK_INT(pthread_create(&thread, NULL, loses, &b), 0);
    CHECK_INT(mote_process_info_get(b.left, r, PATIENCE_MS, &info), MOTE_ENOPROC);
    CHECK_INT(pthread_join(thread, NULL), 0);
    end(&b);
}

/* Ends while a thousand watch from the other side, and the other way round: each once. */
static void fans_out(mote_self *self, mote_term arg) {
    (void)arg;
    mote_term m;
    mote_pid hub, to;
    CHECK_OK(mote_receive(self, -1, &m));
    CHECK(mote_match(m, "{watch, ?, ?}", &hub, &to));
    mote_ref ref;
    CHECK_OK(mote_monitor(self, hub, &ref));
    CHECK_OK(mote_send(self, to, "watching"));
    CHECK_OK(mote_receive(self, -1, &m));
    CHECK(mote_match(m, "{'DOWN', ^, process, ^, over}", ref, hub));
    CHECK_OK(mote_send(self, to, "seen"));
}

static void many(void) {
    struct both b;
    int n = scaled(1000);
    begin(&b, 100000);
    mote_pid hub = start(b.right, servant);
    for (int i = 0; i < n; i++) CHECK_OK(mote_send(b.left, start(b.left, fans_out), "{watch, ?, ?}", hub, mote_self_pid(b.left)));
    for (int i = 0; i < n; i++) HEARS(b.left, "watching");
    CHECK_OK(mote_send(b.left, hub, "{exit, over}"));
    for (int i = 0; i < n; i++) HEARS(b.left, "seen");
    mote_term m;
    CHECK_INT(mote_receive(b.left, 0, &m), MOTE_TIMEOUT);
    end(&b);
}

/* ----------------------------------------------------------------------------------------------- limits */

struct flood {
    mote_pid to;
    int n;
    _Atomic int sent;
};
static struct flood flood;

static void floods(mote_self *self, mote_term arg) {
    (void)arg;
    for (int i = 0; i < flood.n; i++) {
        CHECK_OK(mote_send(self, flood.to, "{n, ?}", i));
        atomic_fetch_add(&flood.sent, 1);
    }
}

static size_t waiting(struct way *w) {
    pthread_mutex_lock(&w->mu);
    size_t n = w->waiting;
    pthread_mutex_unlock(&w->mu);
    return n;
}

/* A sender stands still while too much waits for the other worker, and all arrives in the end. */
static void crowd(void) {
    struct both b;
    begin(&b, 100);
    struct way *w = &b.node.ways[1];
    mote_pid r = start(b.right, counts_to);
    flood.to = r;
    flood.n = 5000;
    CHECK_OK(mote_send(b.left, r, "{count, ?, ?}", flood.n, mote_self_pid(b.left)));
    pthread_mutex_lock(&w->mu);
    w->held = true;
    pthread_mutex_unlock(&w->mu);
    mote_pid l = start(b.left, floods);
    mote_process_info info = {0};
    while (info.state != MOTE_STATE_SUSPENDED) CHECK_OK(mote_process_info_get(b.left, l, PATIENCE_MS, &info));
    CHECK(waiting(w) <= 103 && atomic_load(&flood.sent) < 110);
    pthread_mutex_lock(&w->mu);
    w->held = false;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->mu);
    HEARS(b.left, "{counted,5000}");
    end(&b);
}

/* What no worker of ours would write is refused, and does nothing. */
static void garbage(void) {
    struct both b;
    uint64_t seed = 12345;
    begin(&b, 1000);
    mote_pid l = start(b.left, servant);
    struct mt_sched *s = mt_self(b.left)->task.sched;
    unsigned char bytes[120];
    unsigned long refused = 0;
    int n = scaled(200000);
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[k] = (unsigned char)(seed >> 33);
        }
        uint32_t kind = (uint32_t)(seed >> 40) % 70;
        uint64_t to = i % 2 ? l.word : mote_self_pid(b.left).word;
        memcpy(bytes, &kind, sizeof kind);
        if (i % 8) memcpy(bytes + 8, &to, sizeof to);
        if (i % 3) memcpy(bytes + 16, &(uint64_t){mt_pid_word(seed % 7, RIGHT, seed % 5)}, 8);
        if (i % 5) memcpy(bytes + 24, &(uint64_t){mt_pid_word(seed % 7, RIGHT, seed % 5)}, 8);
        if (mt_far_take(s, RIGHT, bytes, (size_t)(seed >> 20) % (sizeof bytes + 1))) refused++;
    }
    CHECK(refused > (unsigned long)n / 4);
    b.node.ways[1].answers_garbage = true;
    bool alive;
    mote_pid fresh = start(b.left, echo);
    CHECK_OK(mote_is_alive(b.left, fresh, &alive));
    CHECK(alive);
    end(&b);
}

static void net_over(void *context) { ++*(int *)context; }

/* A runtime has a name from when it is given one. */
static void named(void) {
    struct both b;
    uint32_t creation = 1;
    const mote_ref_key *key, *none;
    int over = 0;
    begin(&b, 1000);
    CHECK(mote_host_node(NULL, NULL, NULL).word == 0 && mote_host_node(b.node.left, &creation, NULL).word == 0 && creation == 0);
    struct mt_net net = {.context = &over, .name = mote_atom_make("left@here").word, .creation = 77, .over = net_over};
    CHECK_OK(mt_far_net(b.node.left, &net));
    CHECK_INT(mt_far_net(b.node.left, &net), MOTE_EBUSY);
    CHECK(mote_host_node(b.node.left, NULL, &key).word == net.name && mote_host_node(b.node.left, &creation, NULL).word == net.name && creation == 77 && key == &net.ref_key);
    CHECK(mote_host_node(b.node.right, &creation, &none).word == 0 && creation == 0 && !none);
    end(&b);
    CHECK_INT(over, 1);
}

/* A node's carrier counts what is for it. */
static void counts_signal(void *context, struct mt_sched *s, const struct mt_remote_id *to, struct mt_sig *sig) {
    CHECK(to->kind == MT_REMOTE_PID);
    ++*(int *)context;
    mt_sig_free(&s->cache, sig);
}
static bool never_crowded(void *context, uint64_t sender) { return context == NULL && sender; }

static void open_node(struct both *b, const char *name, int *signals, unsigned *place) {
    const struct mt_carrier carrier = {.crowded = never_crowded, .signal = counts_signal, .context = signals};
    CHECK_OK(mt_far_node_open(b->node.left, mote_atom_make(name).word, &carrier, place));
}

static void lose_node(struct both *b, unsigned place) { CHECK_OK(mt_far_lost(mt_self(b->left)->task.sched, place, atom("noconnection"))); }

static mote_pid pid_at(mote_arena *arena, const char *node, uint32_t number) {
    const struct mt_remote_id id = {.node = mote_atom_make(node).word, .kind = MT_REMOTE_PID, .creation = 4, .count = 2, .words = {number, 1}};
    return pid_of(mt_remote_term(arena, &id));
}

/* What is made over the next connection to a node is not lost with the one before, though that has not been heard of yet: F5. */
static void connections(void) {
    struct both b;
    int before = 0, after = 0;
    unsigned place, next;
    mote_ref first, second;
    mote_arena *arena = mote_arena_new(0);
    begin(&b, 1000);
    mote_pid x = pid_at(arena, "node@host", 1), y = pid_at(arena, "node@host", 2), z = pid_at(arena, "node@host", 3);
    CHECK_OK(mote_flag_set(b.left, MOTE_TRAP_EXIT, 1, NULL));
    open_node(&b, "node@host", &before, &place);
    CHECK_OK(mote_monitor(b.left, x, &first));
    CHECK_OK(mote_link(b.left, y));
    lose_node(&b, place);
    open_node(&b, "node@host", &after, &next);
    CHECK_INT(next, place);
    CHECK_OK(mote_monitor(b.left, x, &second));
    CHECK_OK(mote_link(b.left, z));
    CHECK(before == 2 && after == 2);
    for (int i = 0; i < 2; i++) {
        mote_term m;
        CHECK_OK(mote_receive(b.left, PATIENCE_MS, &m));
        CHECK(mote_match(m, "{'DOWN', ^, process, _, noconnection}", first) || mote_match(m, "{'EXIT', ^, noconnection}", y));
    }
    CHECK_INT(mote_receive_match(b.left, 0, "_"), MOTE_TIMEOUT);
    lose_node(&b, next);
    CHECK_OK(mote_receive_match(b.left, PATIENCE_MS, "{'DOWN', ^, process, _, noconnection}", second));
    CHECK_OK(mote_receive_match(b.left, PATIENCE_MS, "{'EXIT', ^, noconnection}", z));
    CHECK_INT(mote_receive_match(b.left, 0, "_"), MOTE_TIMEOUT);
    mote_arena_free(arena);
    end(&b);
}

/* A place that was a node's and is another's now gets nothing for the first. */
static void places(void) {
    struct both b;
    int one = 0, two = 0;
    unsigned place, next;
    mote_ref ref;
    mote_arena *arena = mote_arena_new(0);
    begin(&b, 1000);
    mote_pid x = pid_at(arena, "one@host", 1), y = pid_at(arena, "two@host", 1);
    open_node(&b, "one@host", &one, &place);
    CHECK_OK(mote_send(b.left, x, "hello"));
    lose_node(&b, place);
    open_node(&b, "two@host", &two, &next);
    CHECK_INT(next, place);
    CHECK_OK(mote_send(b.left, x, "hello"));
    CHECK_OK(mote_monitor(b.left, x, &ref));
    CHECK_OK(mote_receive_match(b.left, 0, "{'DOWN', ^, process, _, noconnection}", ref));
    CHECK_OK(mote_send(b.left, y, "hello"));
    CHECK(one == 1 && two == 1);
    mote_arena_free(arena);
    end(&b);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(pids), TEST(terms), TEST(large_terms), TEST(order), TEST(to_nobody), TEST(monitors), TEST(links),
                                                        TEST(unlinks), TEST(exits_and_questions), TEST(aliases), TEST(lost), TEST(lost_question), TEST(many),
                                                        TEST(crowd), TEST(garbage), TEST(named), TEST(connections), TEST(places), {0}});
}
