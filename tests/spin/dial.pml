/* SPDX-License-Identifier: Apache-2.0
 * Who gets the link when both nodes dial: src/dist/claim.c and conn.c. Node 1 has the greater name. Each dials up to DIALS times; a connection may be cut CUTS times, by either side.
 *
 * What is checked: nobody says that it is up on a connection that its dialler has given up (what is sent there would be lost), and none that is up ends before one is cut; when nothing moves any more both nodes
 * have no link, or the same. An end with who listens being told is one step here.
 */
#ifndef DIALS
#define DIALS 2
#endif
#ifndef CUTS
#define CUTS 1
#endif
#define N (2 * DIALS) /* connections: the even ones are dialled by node 0 */
#define NOBODY N

mtype = { NAME, NOK, ALIVE, INSISTS, GOES_ON, REPLY, ACK, CLOSED };
mtype = { NONE, DIALLING, YIELDING, TAKEN, UP };

chan to_acceptor[N] = [4] of { mtype };
chan to_dialler[N] = [4] of { mtype };
mtype state[2] = NONE;
byte owner[2] = NOBODY;
byte replaces[N] = NOBODY;
bool listed[N];
bool overtaken[N];
bool gave_up[N];
bool over[N];
bool told[2 * N]; /* to close: the dialler's end, and (N + ...) the acceptor's */
byte cuts;

inline rise(side, c) {
    atomic {
        assert(state[side] == TAKEN && owner[side] == c);
        state[side] = UP;
#ifndef BUG_NOT_OVERTAKEN
        for (i : 0 .. N - 1) {
            if
            :: i % 2 != side && listed[i] && i != c && replaces[i] != c -> overtaken[i] = true
            :: else
            fi
        }
        i = 0;
#endif
    }
}

/* Whether an attempt of the peer's goes on that `side` has heard of. */
#define attempt(side) ((listed[1 - side]) || (listed[N - 1 - side]))

proctype dialler(byte c) {
    byte side = c % 2, i, theirs = NOBODY;
    bool nok;
    do
    :: atomic { state[side] == NONE -> state[side] = DIALLING; owner[side] = c }; break
    :: over[c] = true; goto end_rest
    od;
    if
    :: to_acceptor[c]!NAME
    :: goto fails /* it is not reached */
    fi;
wait:
    if
    :: atomic { to_dialler[c]?GOES_ON ->
        if
#ifdef BUG_PROVES_LATE
        :: true -> to_acceptor[c]!REPLY
#else
        :: owner[side] == c -> to_acceptor[c]!REPLY
        :: else -> goto gives_up
#endif
        fi }; goto wait
    :: atomic { to_dialler[c]?ALIVE ->
        if
        :: owner[side] == c -> to_acceptor[c]!INSISTS
        :: else -> goto gives_up
        fi }; goto wait
    :: atomic { to_dialler[c]?NOK -> theirs = owner[1 - side]; nok = true }; goto fails
    :: to_dialler[c]?CLOSED -> goto fails
    :: atomic { to_dialler[c]?ACK ->
        if
        :: owner[side] == c -> state[side] = TAKEN
        :: else -> goto gives_up
        fi };
        goto risen
    :: told[c] -> goto gives_up
    fi;
gives_up:
    atomic { gave_up[c] = true; over[c] = true; to_acceptor[c]!CLOSED };
    goto end_rest;
fails:
    atomic {
        if
#ifdef BUG_NOT_YIELDED
        :: owner[side] == c
#else
        :: owner[side] == c -> state[side] = YIELDING
#endif
        :: else -> over[c] = true; goto end_rest
        fi
    };
    if
    :: atomic { owner[side] != c -> over[c] = true }
    :: atomic { owner[side] == c && !attempt(side) && (!nok || theirs == NOBODY || (over[theirs] && !listed[theirs])) -> state[side] = NONE; owner[side] = NOBODY; over[c] = true }
    fi;
    goto end_rest;
risen:
    rise(side, c);
end_up:
    if
    :: to_dialler[c]?CLOSED -> assert(cuts > 0)
    :: atomic { cuts < CUTS -> cuts++ }
    :: told[c] -> assert(cuts > 0)
    fi;
    atomic { to_acceptor[c]!CLOSED; state[side] = NONE; owner[side] = NOBODY; over[c] = true };
end_rest:
    do
    :: to_dialler[c]?_ /* nobody reads it */
    od
}

proctype acceptor(byte c) {
    byte side = 1 - c % 2, i;
end_wait:
    atomic { to_acceptor[c]?NAME -> listed[c] = true;
        if
        :: state[side] == DIALLING && side == 1 -> to_dialler[c]!NOK; listed[c] = false; goto end_rest
        :: state[side] == TAKEN || state[side] == UP -> replaces[c] = owner[side]; to_dialler[c]!ALIVE
        :: else -> to_dialler[c]!GOES_ON; goto proof
        fi };
    if
    :: to_acceptor[c]?INSISTS -> to_dialler[c]!GOES_ON
    :: to_acceptor[c]?CLOSED -> goto refuses
    fi;
proof:
    if
    :: to_acceptor[c]?REPLY
    :: to_acceptor[c]?CLOSED -> goto refuses
    fi;
claims:
    if
    :: overtaken[c] -> goto refuses
    :: atomic { !overtaken[c] && state[side] == NONE -> state[side] = TAKEN; owner[side] = c }
    :: atomic { !overtaken[c] && ((state[side] == DIALLING && side == 0) || state[side] == YIELDING) -> told[owner[side]] = true; state[side] = TAKEN; owner[side] = c }
    :: atomic { !overtaken[c] && (state[side] == UP || state[side] == TAKEN) && owner[side] == replaces[c] && !told[owner[side] + (owner[side] % 2 == side -> 0 : N)] ->
        told[owner[side] + (owner[side] % 2 == side -> 0 : N)] = true }; goto claims
    :: atomic { !overtaken[c] && state[side] == UP && owner[side] != replaces[c] -> goto refuses }
#ifdef BUG_TAKES_FROM_GREATER
    :: atomic { !overtaken[c] && state[side] == DIALLING && side == 1 -> told[owner[side]] = true; state[side] = TAKEN; owner[side] = c }
#endif
    fi;
    atomic { to_dialler[c]!ACK; listed[c] = false };
    assert(!gave_up[c]);
    rise(side, c);
end_up:
    if
    :: to_acceptor[c]?CLOSED -> assert(cuts > 0)
    :: atomic { cuts < CUTS -> cuts++ }
    :: told[N + c] -> assert(cuts > 0)
    fi;
    atomic { to_dialler[c]!CLOSED; state[side] = NONE; owner[side] = NOBODY };
    goto end_rest;
refuses:
    atomic { to_dialler[c]!CLOSED; listed[c] = false };
end_rest:
    do
    :: to_acceptor[c]?_
    od
}

init {
    byte i;
    atomic {
        for (i : 0 .. N - 1) {
            run dialler(i);
            run acceptor(i)
        }
        i = 0
    };
    timeout;
    assert(state[0] == NONE || state[0] == UP);
    assert(state[1] == state[0] && owner[1] == owner[0])
}
