/* SPDX-License-Identifier: Apache-2.0
 * Timers: slots in type-stable chunks beside each scheduler's wheel. A timer's reference names scheduler, slot and generation, so
 * that anybody can cancel it under the wheel's lock, exactly once. Expired timers are taken out under the lock and delivered after it
 * (law L8). */
#include <string.h>

#include "proc/proc.h"

#define CHUNK 1024u
#define CHUNKS_MAX 16384u
#define SLOT_BITS 24
#define GENERATION_BITS 28
#define GENERATION_MAX (((uint64_t)1 << GENERATION_BITS) - 1)
#define BATCH 64u

struct alarm {
    struct mt_timer timer; /* first */
    uint64_t generation;
    uint64_t pid;
    struct mt_sig *sig; /* NULL: free or fired */
    uint32_t index;
    uint32_t next_free; /* index + 1 */
};

struct alarms {
    struct alarm **chunks;
    uint32_t chunk_count;
    uint32_t cut; /* slots from here on were never used */
    uint32_t oldest_free, newest_free; /* index + 1: first in, first out, so that generations last */
};

_Static_assert(SLOT_BITS + GENERATION_BITS + 8 + 1 == 61, "a timer's reference fills a word");
_Static_assert((uint64_t)CHUNK * CHUNKS_MAX == (uint64_t)1 << SLOT_BITS, "slots fit their field");

/* A signal that is not delivered, and the name it was for. */
static void free_unsent(struct mt_cache *cache, uint64_t to, struct mt_sig *sig) {
    if ((sig->flags & MT_SIG_NAMED) && mt_atom_counted(to)) mt_atom_drop(to);
    mt_sig_free(cache, sig);
}

/* Where workers have up to four schedulers each, their timers' references differ. */
static unsigned of_worker(const struct mt_sched *s) { return mt_own_worker((const mote_runtime *)(const void *)s->cluster) * 4 & 255; }

static uint64_t ref_of(const struct mt_sched *s, const struct alarm *a) {
    uint64_t value = (a->generation << SLOT_BITS | a->index) << 8 | (s->id ^ of_worker(s));
    return MT_REF_TIMER | value << 3 | MT_REF;
}

static struct alarm *at(struct alarms *as, uint32_t index) {
    return &as->chunks[index / CHUNK][index % CHUNK];
}

static void free_slot(struct alarms *as, struct alarm *a) {
    a->sig = NULL;
    if (++a->generation > GENERATION_MAX) return; /* its references are used up */
    a->next_free = 0;
    if (as->newest_free)
        at(as, as->newest_free - 1)->next_free = a->index + 1;
    else
        as->oldest_free = a->index + 1;
    as->newest_free = a->index + 1;
}

static size_t chunk_bytes(void) {
    size_t page = mt_os_page_size();
    return (CHUNK * sizeof(struct alarm) + page - 1) / page * page;
}

static mote_err grow(struct alarms *as) {
    if (as->chunk_count == CHUNKS_MAX) return MOTE_ELIMIT;
    if ((as->chunk_count & (as->chunk_count - 1)) == 0) {
        struct alarm **bigger = mt_os_realloc(as->chunks, (as->chunk_count ? 2 * as->chunk_count : 1) * sizeof(struct alarm *));
        if (!bigger) return MOTE_ENOMEM;
        as->chunks = bigger;
    }
    struct alarm *chunk = mt_os_map(chunk_bytes());
    if (!chunk) return MOTE_ENOMEM;
    if (as->chunk_count) mt_os_populate(chunk, chunk_bytes()); /* the first one is touched as it is needed, for small programs */
    as->chunks[as->chunk_count++] = chunk;
    return MOTE_OK;
}

/* A slot that was never used. */
static mote_err cut_slot(struct alarms *as, struct alarm **alarm) {
    mote_err err = as->cut < as->chunk_count * CHUNK ? MOTE_OK : grow(as);
    if (err) return err;
    *alarm = at(as, as->cut);
    (*alarm)->index = as->cut++;
    return MOTE_OK;
}

static mote_err take_slot_locked(struct mt_sched *s, struct alarm **alarm) {
    struct alarms *as = s->alarms;
    if (!as) {
        if (!(as = mt_os_alloc_zero(sizeof *as))) return MOTE_ENOMEM;
        s->alarms = as;
    }
    if (!as->oldest_free) return cut_slot(as, alarm);
    struct alarm *a = at(as, as->oldest_free - 1);
    as->oldest_free = a->next_free;
    if (!as->oldest_free) as->newest_free = 0;
    *alarm = a;
    return MOTE_OK;
}

static void note_next_locked(struct mt_sched *s) {
    atomic_store_explicit(&s->wheel_next_ns, mt_wheel_next_ns(&s->wheel), memory_order_relaxed);
}

mote_err mt_alarm_start(struct mt_sched *s, uint64_t deadline_ns, uint64_t pid, struct mt_sig *sig, uint64_t *ref) {
    struct mt_sched *whose = s->outside ? s->cluster->scheds[0] : s;
    struct alarm *a;
    bool sooner = false;
    mt_lock_take(&whose->wheel_mu);
    mote_err err = take_slot_locked(whose, &a);
    if (!err) {
        a->pid = pid;
        a->sig = sig;
        mt_wheel_add(&whose->wheel, &a->timer, deadline_ns);
        if (ref) *ref = ref_of(whose, a);
        if (deadline_ns < atomic_load_explicit(&whose->wheel_next_ns, memory_order_relaxed)) {
            note_next_locked(whose);
            sooner = true;
        }
    }
    mt_lock_drop(&whose->wheel_mu);
    if (sooner && whose != s) {
        mt_fence();
        mt_sched_kick(whose);
    }
    return err;
}

/* The live alarm of a reference, its wheel locked; NULL (nothing locked): none. */
static struct alarm *find_locked(struct mt_sched *s, uint64_t ref, struct mt_sched **whose) {
    uint64_t value = (ref & ~MT_REF_TIMER) >> 3;
    unsigned id = (unsigned)(value & 255) ^ of_worker(s);
    uint32_t index = (uint32_t)(value >> 8 & (((uint64_t)1 << SLOT_BITS) - 1));
    if (mt_tag(ref) != MT_REF || !(ref & MT_REF_TIMER) || id >= s->cluster->count) return NULL;
    *whose = s->cluster->scheds[id];
    mt_lock_take(&(*whose)->wheel_mu);
    struct alarms *as = (*whose)->alarms;
    struct alarm *a = as && index / CHUNK < as->chunk_count ? at(as, index) : NULL;
    if (a && a->generation == value >> (8 + SLOT_BITS) && a->sig && a->timer.prev) return a;
    mt_lock_drop(&(*whose)->wheel_mu);
    return NULL;
}

/* Another worker's is taken to live: to know better it would have to be asked. */
static bool receiver_lives(struct mt_sched *s, uint64_t pid) {
    if (mt_is_far(mt_runtime_of_sched(s), pid)) return true;
    struct mt_proc *p = mt_table_find(mt_runtime_of_sched(s), pid);
    return p && mt_serial(p) == mt_pid_serial(pid) && !(atomic_load(&p->inbox.low) & MT_IN_CLOSED);
}

static uint64_t left(const struct alarm *a) {
    uint64_t now = mt_os_now_ns();
    return a->timer.deadline_ns > now ? a->timer.deadline_ns - now : 0;
}

mote_err mt_alarm_cancel(struct mt_sched *s, uint64_t ref, uint64_t *left_ns) {
    struct mt_sched *whose;
    struct alarm *a = find_locked(s, ref, &whose);
    if (!a) return MOTE_NOMATCH;
    struct mt_sig *sig = a->sig;
    uint64_t pid = a->pid;
    if (left_ns) *left_ns = left(a);
    mt_wheel_remove(&whose->wheel, &a->timer);
    free_slot(whose->alarms, a);
    mt_lock_drop(&whose->wheel_mu);
    bool alive = sig->kind == MT_SIG_TIMEOUT || (sig->flags & MT_SIG_NAMED) || receiver_lives(s, pid);
    free_unsent(&s->cache, pid, sig);
    return alive ? MOTE_OK : MOTE_NOMATCH;
}

mote_err mt_alarm_read(struct mt_sched *s, uint64_t ref, uint64_t *left_ns) {
    struct mt_sched *whose;
    struct alarm *a = find_locked(s, ref, &whose);
    if (!a) return MOTE_NOMATCH;
    uint64_t pid = a->pid, ns = left(a);
    bool named = a->sig->flags & MT_SIG_NAMED;
    mt_lock_drop(&whose->wheel_mu);
    if (!named && !receiver_lives(s, pid)) return MOTE_NOMATCH;
    *left_ns = ns;
    return MOTE_OK;
}

void mt_alarm_expire(struct mt_sched *s, struct mt_sched *whose, uint64_t now_ns) {
    struct mt_sig *sigs[BATCH];
    uint64_t pids[BATCH];
    size_t n;
    do {
        n = 0;
        mt_lock_take(&whose->wheel_mu);
        for (struct mt_timer *t = mt_wheel_expire(&whose->wheel, now_ns, BATCH), *next; t; t = next) {
            struct alarm *a = (struct alarm *)(void *)t;
            next = t->next;
            mt_prefetch_write(a->sig);
            sigs[n] = a->sig;
            pids[n++] = a->pid;
            free_slot(whose->alarms, a);
        }
        note_next_locked(whose);
        mt_lock_drop(&whose->wheel_mu);
        for (size_t i = 0; i < n; i++) mt_deliver_timer(s, pids[i], sigs[i]);
    } while (n == BATCH);
}

void mt_alarms_free(struct mt_sched *whose, struct mt_cache *cache) {
    struct alarms *as = whose->alarms;
    if (!as) return;
    for (uint32_t i = 0; i < as->cut; i++)
        if (at(as, i)->sig) free_unsent(cache, at(as, i)->pid, at(as, i)->sig);
    for (uint32_t i = 0; i < as->chunk_count; i++) mt_os_unmap(as->chunks[i], chunk_bytes());
    mt_os_free(as->chunks);
    mt_os_free(as);
    whose->alarms = NULL;
}
