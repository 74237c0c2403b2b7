/* SPDX-License-Identifier: Apache-2.0
 * The challenges that a node has given out lately, so that it never answers one of its own.
 *
 * A digest covers a cookie and a challenge, not who asks whom. Who has no cookie could open a connection to us, be given a challenge, let us dial him, and hand it to us.
 * Any thread; the lock CHALLENGES.
 * H1 a challenge is random, and not one of those remembered. H2 remembered are those of the last MT_CHALLENGE_NS, but no more than the last MT_CHALLENGES. A
 * handshake ends sooner (handshake.h), so that in the time one is open 4,000 others a second would have to begin to push it out.
 */
#ifndef MT_DIST_CHALLENGES_H
#define MT_DIST_CHALLENGES_H

#include "base/os.h"

#define MT_CHALLENGES 65536u
#define MT_CHALLENGE_NS ((uint64_t)60000000000)

struct mt_challenges;

/* Gives. MOTE_ENOMEM. */
mote_err mt_challenges_new(struct mt_challenges **challenges);
/* Takes; NULL is allowed. */
void mt_challenges_free(struct mt_challenges *challenges);
/* A fresh challenge, which is remembered. */
uint32_t mt_challenges_issue(struct mt_challenges *challenges, uint64_t now_ns);
/* Whether that is one of ours. */
bool mt_challenges_issued(struct mt_challenges *challenges, uint32_t challenge, uint64_t now_ns);

#endif
