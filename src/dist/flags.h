/* SPDX-License-Identifier: Apache-2.0
 * What a node says it can do, one bit each, and what two nodes can do with each other.
 *
 * Any thread.
 * G1 on a connection holds what both have said, and nothing else. G2 bits of MT_FLAGS_OTP25 mean nothing alone when MT_FLAG_DIGEST is there: a later
 * release may use them for something else.
 */
#ifndef MT_DIST_FLAGS_H
#define MT_DIST_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#define MT_FLAG(bit) ((uint64_t)1 << (bit))

#define MT_FLAG_PUBLISHED MT_FLAG(0) /* both: they see each other in nodes() */
#define MT_FLAG_MONITOR MT_FLAG(3)
#define MT_FLAG_MONITOR_NAME MT_FLAG(5)
#define MT_FLAG_ATOM_CACHE MT_FLAG(13)
#define MT_FLAG_SEND_SENDER MT_FLAG(19)
#define MT_FLAG_EXIT_PAYLOAD MT_FLAG(22)
#define MT_FLAG_FRAGMENTS MT_FLAG(23)
#define MT_FLAG_HANDSHAKE_23 MT_FLAG(24)
#define MT_FLAG_UNLINK_ID MT_FLAG(25)
#define MT_FLAG_DIGEST MT_FLAG(26) /* stands for all of MT_FLAGS_OTP25 */
#define MT_FLAG_SPAWN MT_FLAG(32)
#define MT_FLAG_NAME_ME MT_FLAG(33)
#define MT_FLAG_V4_NC MT_FLAG(34) /* identifiers of 32 bits and more */
#define MT_FLAG_ALIAS MT_FLAG(35)
#define MT_FLAG_ALTACT_SIG MT_FLAG(37)
#define MT_FLAG_TYPES MT_FLAG(61) /* mote's own: payloads are of MOTE_FORM_NODES */

/* What OTP 25 asks of everybody: long references, funs, long pids and ports, exported functions, bitstrings, floats, UTF-8 atoms, maps, creations of 32 bits,
 * this handshake. */
#define MT_FLAGS_OTP25                                                                                                                            \
    (MT_FLAG(2) | MT_FLAG(4) | MT_FLAG(7) | MT_FLAG(8) | MT_FLAG(9) | MT_FLAG(10) | MT_FLAG(11) | MT_FLAG(16) | MT_FLAG(17) | MT_FLAG(18) | \
     MT_FLAG_HANDSHAKE_23)
/* What we ask of everybody: OTP 24 and later. */
#define MT_FLAGS_NEEDED (MT_FLAGS_OTP25 | MT_FLAG_UNLINK_ID | MT_FLAG_V4_NC)
/* What we say, hidden: with PUBLISHED exactly what OTP 25 says. 12: Unicode in the io protocol, 14: short atoms, 20: big labels of sequential traces. */
#define MT_FLAGS_OFFERED                                                                                                                            \
    (MT_FLAGS_NEEDED | MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME | MT_FLAG(12) | MT_FLAG_ATOM_CACHE | MT_FLAG(14) | MT_FLAG_SEND_SENDER | MT_FLAG(20) | \
     MT_FLAG_EXIT_PAYLOAD | MT_FLAG_FRAGMENTS | MT_FLAG_DIGEST | MT_FLAG_SPAWN | MT_FLAG_ALIAS)

_Static_assert(MT_FLAGS_OFFERED == UINT64_C(0xd07df7fbc), "as OTP 25 says it");
/* That, and what only nodes of mote know: Erlang passes over bits of which it has not heard. */
#define MT_FLAGS_OURS (MT_FLAGS_OFFERED | MT_FLAG_TYPES)

/* What holds on a connection between who says `ours` and who says `theirs` (G1). */
static inline uint64_t mt_flags_agreed(uint64_t ours, uint64_t theirs) {
    if (ours & MT_FLAG_DIGEST) ours |= MT_FLAGS_OTP25;
    if (theirs & MT_FLAG_DIGEST) theirs |= MT_FLAGS_OTP25;
    return ours & theirs & ~MT_FLAG_NAME_ME;
}
/* Whether that is enough for a connection. */
static inline bool mt_flags_suffice(uint64_t agreed) { return (agreed & MT_FLAGS_NEEDED) == MT_FLAGS_NEEDED; }

#endif
