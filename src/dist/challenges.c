/* SPDX-License-Identifier: Apache-2.0
 * A ring of the last challenges, chained by their lowest bits. Each entry says how far behind it the one before it in its chain was written; a chain ends where
 * that has been written over. */
#include "dist/challenges.h"

#include "base/lock.h"

#define CHAINS 4096u

struct entry {
    uint64_t at_ns;
    uint32_t challenge;
    uint32_t back; /* 0: the chain's first */
};

struct mt_challenges { /* MT_SHARED */
    struct mt_lock mu;
    struct entry *ring;     /* const; its entries: lock: mu */
    uint64_t written;       /* lock: mu */
    uint64_t last[CHAINS];  /* lock: mu: the newest of a chain, counted from 1; 0: none */
};

mote_err mt_challenges_new(struct mt_challenges **challenges) {
    struct mt_challenges *c = mt_os_alloc_zero(sizeof *c);
    if (c) c->ring = mt_os_map(MT_CHALLENGES * sizeof *c->ring);
    if (!c || !c->ring) {
        mt_os_free(c);
        return MOTE_ENOMEM;
    }
    mt_lock_init(&c->mu, MT_RANK_CHALLENGES);
    *challenges = c;
    return MOTE_OK;
}

void mt_challenges_free(struct mt_challenges *challenges) {
    if (!challenges) return;
    mt_lock_fini(&challenges->mu);
    mt_os_unmap(challenges->ring, MT_CHALLENGES * sizeof *challenges->ring);
    mt_os_free(challenges);
}

static bool issued_locked(const struct mt_challenges *c, uint32_t challenge, uint64_t now_ns) {
    uint64_t at = c->last[challenge % CHAINS];
    while (at > 0 && at + MT_CHALLENGES > c->written) {
        const struct entry *e = &c->ring[at % MT_CHALLENGES];
        if (e->challenge == challenge) return now_ns - e->at_ns < MT_CHALLENGE_NS; /* the newest of its kind (H1) */
        if (e->back == 0) break;
        at -= e->back;
    }
    return false;
}

bool mt_challenges_issued(struct mt_challenges *challenges, uint32_t challenge, uint64_t now_ns) {
    mt_lock_take(&challenges->mu);
    bool issued = issued_locked(challenges, challenge, now_ns);
    mt_lock_drop(&challenges->mu);
    return issued;
}

static bool note_locked(struct mt_challenges *c, uint32_t challenge, uint64_t now_ns) {
    if (issued_locked(c, challenge, now_ns)) return false;
    uint64_t *last = &c->last[challenge % CHAINS], at = ++c->written, back = *last ? at - *last : 0;
    c->ring[at % MT_CHALLENGES] = (struct entry){now_ns, challenge, back < MT_CHALLENGES ? (uint32_t)back : 0};
    *last = at;
    return true;
}

uint32_t mt_challenges_issue(struct mt_challenges *challenges, uint64_t now_ns) {
    uint32_t challenge;
    bool fresh;
    do {
        challenge = (uint32_t)mt_os_random();
        mt_lock_take(&challenges->mu);
        fresh = note_locked(challenges, challenge, now_ns);
        mt_lock_drop(&challenges->mu);
    } while (!fresh);
    return challenge;
}
