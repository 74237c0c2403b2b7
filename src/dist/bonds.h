/* SPDX-License-Identifier: Apache-2.0
 * Relations of the other workers' processes with those of one peer, as the hub knows them: each *bond* is what the peer is to be told when the worker is lost, since nobody there can say it any more.
 *
 * Not thread-safe: under its link's lock. Nothing waits.
 * T1 every link and every monitor across has a bond from before the second of both sides knows of it until one has ended it.
 * T2 a bond of what is over already does no harm: the peer knows no such relation, and drops what tells of its end. A link made anew has one again: its LINK comes behind the UNLINK of the old one.
 */
#ifndef MT_DIST_BONDS_H
#define MT_DIST_BONDS_H

#include "base/hash.h"
#include "dist/control.h"

#define MT_BONDS_MAX 1000000u /* of one peer */

struct mt_bonds {
    struct mt_hash hash; /* struct mt_bond */
};

enum mt_bond_kind {
    MT_BOND_LINK,    /* known by both processes */
    MT_BOND_WATCHED, /* a monitor of the peer's, known by its reference */
    MT_BOND_WATCHES  /* one of the worker's, known by that, too */
};
struct mt_bond {
    struct mt_node node;  /* first; key: hash of what it is known by */
    struct mt_bond *next;  /* in a list that mt_bonds_take() gives */
    uint64_t pid;         /* of the worker's process */
    enum mt_bond_kind kind;
    struct mt_far_pid peer; /* without the node */
    struct mt_far_ref ref; /* of a monitor; the same */
    mote_name name;       /* by which that is; size 0: by the pid. Its text lies behind */
};

/* MOTE_ENOMEM. */
mote_err mt_bonds_init(struct mt_bonds *bonds);
/* Also one that is all zeros. */
void mt_bonds_fini(struct mt_bonds *bonds);
/* A signal goes from a worker's process to one of the peer's, or (`coming`) back: binds or unbinds them. Borrows. MOTE_ELIMIT (MT_BONDS_MAX), MOTE_ENOMEM: they are not bound. */
mote_err mt_bonds_follow(struct mt_bonds *bonds, const struct mt_control *control, uint64_t pid, bool coming);
/* The process that the peer monitors by a reference; 0: it is none of theirs. */
uint64_t mt_bonds_watched(const struct mt_bonds *bonds, const struct mt_far_ref *ref);
/* Takes out all of a worker (number and incarnation). Gives the list, to be freed one by one by mt_os_free(). */
struct mt_bond *mt_bonds_take(struct mt_bonds *bonds, unsigned worker);

#endif
