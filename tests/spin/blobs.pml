/* SPDX-License-Identifier: Apache-2.0
 * Who holds a blob: src/worker/blobs.h, B1 to B4.
 *
 * One blob of worker 0, and workers 1 and 2. There is a ring for each ordered pair; what lies in one stays there when its writer has died. The owner
 * sends the handle to others and gives its own use up; they pass it on to each other and back, and drop it, as they like. Any may die between
 * any two steps (DEATHS in all); the hub tells of it later. A step is one record that is read or written and what changes with it in private
 * memory, of which nothing is left after a death.
 *
 * The blob is never freed while somebody who lives uses it, or will, because the handle is under way to him. When nothing can move any more, it is
 * free if its owner lives.
 *
 * Sizes: SENDS by the owner, PASSES between the others, BACK to the owner.
 */
#ifndef SENDS
#define SENDS 2
#endif
#ifndef PASSES
#define PASSES 2
#endif
#ifndef BACK
#define BACK 0
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#define W 3
#define RING(from, to) ((from) * W + (to))

mtype = { HANDLE, HOLD, COUNTED, RELEASE, ENDED };
chan ring[W * W] = [6] of { mtype, byte };

bool dead[W + 1]; /* by _pid, which is one more than the number */
bool told[W];     /* by the hub */
byte deaths;

byte count[W];    /* the owner's: of each peer, and its own uses */
bool freed;
byte said[W];     /* the owner's: bits of those who have read the ring of a dead one to its end */
bool forgotten[W];

byte uses[W], holds[W], awaited[W];
bool ended[W];    /* the owner has said to the other peer that this one's ring is read */
bool read_to_end[W * W];

byte sends = SENDS, passes = PASSES, back = BACK;

/* Whether a handle lies in a ring that somebody who lives will read. */
#define UNDER_WAY(to) (ring[RING(0, to)]??[HANDLE, 0] || ring[RING(1, to)]??[HANDLE, 0] || ring[RING(2, to)]??[HANDLE, 0])
#define LIVES(who) (!dead[(who) + 1])

inline free_if_unheld() {
    if
    :: !freed && count[0] + count[1] + count[2] == 0 ->
        freed = true;
        assert(!LIVES(1) || (uses[1] == 0 && !UNDER_WAY(1)));
        assert(!LIVES(2) || (uses[2] == 0 && !UNDER_WAY(2)))
    :: else
    fi
}

/* All who live have read the dead one's rings to their ends, or have died, and theirs to the owner are read: B4. */
#define ALL_SAID(d, other) (read_to_end[RING(0, d)] && ((said[d] & (1 << (other))) || read_to_end[RING(0, other)]))

inline forget(d, other) {
#ifdef BUG_FORGOTTEN_EARLY
    if
    :: read_to_end[RING(0, d)] && !forgotten[d] -> forgotten[d] = true; count[d] = 0; free_if_unheld()
#else
    if
    :: ALL_SAID(d, other) && !forgotten[d] -> forgotten[d] = true; count[d] = 0; free_if_unheld()
#endif
    :: else
    fi
}

inline owner_reads(from) {
    ring[RING(from, 0)]?what, arg;
    if
    :: what == HANDLE -> assert(!freed); count[0]++
    :: what == HOLD -> assert(!freed); count[from]++; ring[RING(0, 3 - from)]!COUNTED, from /* to the other, who passed it on */
    :: what == RELEASE -> assert(arg <= count[from]); count[from] = count[from] - arg; free_if_unheld()
    :: what == ENDED -> said[arg] = said[arg] | (1 << from); forget(arg, from)
    fi;
    what = 0;
    arg = 0
}

proctype owner() provided (!dead[_pid]) {
    mtype what;
    byte arg;
    do
    :: atomic { sends > 0 && count[0] > 0 && !told[1] -> sends--; count[1]++; ring[RING(0, 1)]!HANDLE, 0 } /* B1 */
    :: atomic { sends > 0 && count[0] > 0 && !told[2] -> sends--; count[2]++; ring[RING(0, 2)]!HANDLE, 0 }
    :: atomic { count[0] > 0 -> count[0]--; free_if_unheld() }
    :: atomic { nempty(ring[RING(1, 0)]) -> owner_reads(1) }
    :: atomic { nempty(ring[RING(2, 0)]) -> owner_reads(2) }
    :: atomic {
            told[1] && empty(ring[RING(1, 0)]) && !read_to_end[RING(0, 1)] ->
            read_to_end[RING(0, 1)] = true;
            forget(1, 2);
            forget(2, 1);
#ifndef BUG_NOT_SAID
            ring[RING(0, 2)]!ENDED, 1
#endif
        }
    :: atomic {
            told[2] && empty(ring[RING(2, 0)]) && !read_to_end[RING(0, 2)] ->
            read_to_end[RING(0, 2)] = true;
            forget(2, 1);
            forget(1, 2);
#ifndef BUG_NOT_SAID
            ring[RING(0, 1)]!ENDED, 2
#endif
        }
    od
}

/* B2 */
inline release_if_unused(me) {
    if
#ifdef BUG_NOT_AWAITED
    :: uses[me] == 0 && holds[me] > 0 ->
#else
    :: uses[me] == 0 && awaited[me] == 0 && holds[me] > 0 ->
#endif
        arg = holds[me];
        holds[me] = 0;
        ring[RING(me, 0)]!RELEASE, arg;
        arg = 0
    :: else
    fi
}

inline peer_reads(from) {
    ring[RING(from, me)]?what, arg;
    if
    :: what == HANDLE ->
        uses[me]++;
        holds[me]++;
#ifndef BUG_NOT_HELD
        if
        :: from != 0 -> ring[RING(me, 0)]!HOLD, from /* B3 */
        :: else
        fi
#endif
    :: what == COUNTED ->
        if
        :: awaited[me] > 0 -> awaited[me]--; release_if_unused(me)
        :: else
        fi
    :: what == ENDED && from == 0 -> ended[me] = true; awaited[me] = 0; release_if_unused(me)
    :: what == ENDED && from != 0 -> skip
    fi;
    what = 0;
    arg = 0
}

proctype peer(byte me) provided (!dead[_pid]) {
    mtype what;
    byte arg;
#define other (3 - me)
    do
#ifdef BUG_PASSED_TO_ENDED
    :: atomic { uses[me] > 0 && passes > 0 -> passes--; awaited[me]++; ring[RING(me, other)]!HANDLE, 0 }
#else
    :: atomic { uses[me] > 0 && passes > 0 && !ended[me] -> passes--; awaited[me]++; ring[RING(me, other)]!HANDLE, 0 }
#endif
    :: atomic { uses[me] > 0 && back > 0 -> back--; ring[RING(me, 0)]!HANDLE, 0 }
    :: atomic { uses[me] > 0 -> uses[me]--; release_if_unused(me) }
    :: atomic { nempty(ring[RING(0, me)]) -> peer_reads(0) }
    :: atomic { nempty(ring[RING(other, me)]) -> peer_reads(other) }
    :: atomic {
#ifdef BUG_SAID_EARLY
            told[other] && !read_to_end[RING(me, other)] ->
#else
            told[other] && empty(ring[RING(other, me)]) && !read_to_end[RING(me, other)] ->
#endif
            read_to_end[RING(me, other)] = true;
#ifdef BUG_PASSER_DECIDES
            awaited[me] = 0;
            release_if_unused(me);
#endif
            ring[RING(me, 0)]!ENDED, other
        }
    od
}

proctype hub() {
    byte who;
    do
    :: deaths < DEATHS ->
        atomic {
            if
            :: LIVES(0) -> who = 0
            :: LIVES(1) -> who = 1
            :: LIVES(2) -> who = 2
            fi;
            dead[who + 1] = true;
            deaths++
        };
        told[who] = true
    :: break
    od
}

init {
    atomic { count[0] = 1; run owner(); run peer(1); run peer(2); run hub() };
    timeout;
    assert(!LIVES(0) || freed)
}
