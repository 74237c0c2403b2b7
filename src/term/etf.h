/* SPDX-License-Identifier: Apache-2.0
 * The external term format read in two steps, for those who give a term its place themselves: how many words it takes, then the term.
 *
 * Any thread. The bytes must stay and not change from the first step to the second.
 * F1 the first step reads every byte and refuses all that is wrong but a key that stands twice in a map; the second can fail because of that, because
 *    memory or the room for atoms is out, and because a handle stands for nothing.
 * F2 what the second step takes altogether (the words, binaries, a note of each map) is at most MT_ETF_TIMES times the bytes read, and MT_ETF_MORE.
 *    The first step says so before anything is allocated.
 * F3 neither recurses, or needs memory for depth: places that wait for their terms are chained through themselves.
 */
#ifndef MT_TERM_ETF_H
#define MT_TERM_ETF_H

#include <mote/external.h>

#include "term/term.h"

#define MT_ETF_TIMES 24u
#define MT_ETF_MORE 65536u

/* What the first step has found. */
struct mt_etf {
    const uint8_t *data; /* the term's first byte, borrowed */
    size_t before;       /* bytes before it: the version */
    size_t size;         /* its bytes */
    const mote_external_options *options; /* borrowed */
    mote_bytes node;     /* borrowed: this node's name */
    uint64_t words;      /* what it takes as a fragment; 0: an immediate */
    uint64_t outside;    /* bytes of shared binaries that have to be made */
    uint64_t maps;       /* of two pairs or more */
    bool atom;           /* it is an atom alone, which stands in a tuple of one, as mt_term_size() says */
};

/* The first step. `options` is not NULL. Errors as mote_term_decode(), and `at`. */
mote_err mt_etf_scan(struct mt_etf *etf, const void *data, size_t size, const mote_external_options *options, size_t *at);
/* The second: fills exactly etf->words words with the fragment, its root first; sets *counted when there is anything counted (else leaves it). When it
 * fails, `to` holds nothing counted, but whole objects. Calls back `hold`, `unblob` and, for what they gave when it fails, `release`. */
mote_err mt_etf_fill(const struct mt_etf *etf, uint64_t *to, bool *counted, mote_term *term, size_t *at);

#endif
