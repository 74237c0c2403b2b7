/* SPDX-License-Identifier: Apache-2.0
 * What those may do that have not proved who they are, and what is told of them.
 *
 * Nothing here waits, sends or reads a clock: whoever has a guard calls under a lock of his own, and time is an argument.
 * U1 of handshakes that have come from outside MT_KNOCKS_MAX go on at once, MT_KNOCKS_OF_ONE of one address. For one more the oldest of that address, or of all, gives way: a
 *    newcomer that was refused instead would leave the door to whoever has filled it. Those that have been told to, and have not yet, count to MT_KNOCKS_HARD.
 * U2 who gives more than MT_FAILED_FREE wrong cookies a minute from one address hears of each further one MT_FAILED_LATE_NS later. Nobody is refused for that: all nodes of a host have one address.
 * U3 of refusals, for whatever reason, MT_TOLD_A_SECOND lines are told, and how many were not; of an address that U2 holds up one line a minute.
 */
#ifndef MT_DIST_GUARD_H
#define MT_DIST_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/os_net.h"

#define MT_KNOCKS_MAX 256u
#define MT_KNOCKS_OF_ONE 32u
#define MT_KNOCKS_HARD 512u
#define MT_FAILED_FREE 10u
#define MT_FAILED_ADDRESSES 64u /* that are remembered; the one that has been quiet for longest is forgotten for another */
#define MT_FAILED_WITHIN_NS UINT64_C(60000000000)
#define MT_FAILED_LATE_NS UINT64_C(1000000000)
#define MT_TOLD_A_SECOND 10u

/* A handshake that has come from outside, in its owner's memory. */
struct mt_knock {
    struct mt_knock *next;
    char from[MT_NET_ADDRESS];
    uint64_t process; /* that is told to give way; 0: there is none yet, which looks at `over` when it begins */
    bool over;        /* it gives way */
};

struct mt_failing {
    char from[MT_NET_ADDRESS];
    uint64_t since_ns, told_ns; /* 0: not yet */
    unsigned count, untold;     /* up to MT_FAILED_FREE; those behind them that were not told of */
};

/* Zeroed. */
struct mt_guard {
    struct mt_knock *first, *last; /* the oldest first */
    unsigned knocks;
    struct mt_failing failing[MT_FAILED_ADDRESSES];
    uint64_t second_ns; /* U3: when this second began, lines in it, and what was not told since the last */
    unsigned lines, untold;
};

/* One more begins. Borrows it until mt_guard_leave(). False: it may not (U1). *gives_way: the one that has to, whose `over` is set now; NULL: none. */
bool mt_guard_enter(struct mt_guard *guard, struct mt_knock *knock, struct mt_knock **gives_way);
/* It has ended, or is proved. */
void mt_guard_leave(struct mt_guard *guard, struct mt_knock *knock);
/* What is told of a refusal. */
struct mt_telling {
    bool told;
    unsigned many;   /* told: so many wrong cookies of that address, this one among them, in one line; 0: of this one */
    unsigned untold; /* told: refusals before it that were not */
};

/* One from that address is refused. Whether it is to hear of it later (U2: a wrong cookie). Gives `telling`. */
bool mt_guard_refuses(struct mt_guard *guard, const char *from, bool cookie, uint64_t now_ns, struct mt_telling *telling);

#endif
