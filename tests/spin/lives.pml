/* SPDX-License-Identifier: Apache-2.0
 * A doorbell whose sleeper dies and is replaced: rules D1 to D3 and D5 of src/worker/doorbell.h.
 *
 * All lives of a worker share the word on the board. A peer rings the life that it knows: the first, until it hears of the second, which can be long after that has begun. The first dies between any two steps. When nothing can move any more: the
 * living one has taken all that was given to it.
 */
#define A 1
#define B 2
#define PEERS 2
#define RINGS 2

byte word;            /* whose life sleeps, or is about to; 0: none */
byte given[3];        /* to each life: what it has not taken */
bool event[3], dead;  /* of each life: its event can be read */

inline ring(life) {
#ifdef BUG_ANY_LIFE
    if
    :: word -> atomic { word -> word = 0 }; event[life] = true
    :: else
    fi
#else
    if
    :: word == life ->
        if
        :: atomic { word == life -> word = 0 }; event[life] = true
        :: else
        fi
    :: else
    fi
#endif
}

proctype peer() {
    byte i, life;
    life = A;
again:
    if
    :: i < RINGS ->
#ifdef BUG_RUNG_FIRST
        ring(life);
        given[life]++;
#else
        given[life]++;
        ring(life);
#endif
        i++;
        goto again
    :: life == A && dead -> i = 0; life = B; goto again
    :: life == B && i == RINGS
    fi
}

inline live(life) {
    do
    :: given[life] = 0;
        word = life;
#ifdef BUG_NO_RECHECK
        event[life];
#else
        if
        :: given[life] == 0 -> event[life]
        :: else
        fi;
#endif
        word = 0;
        event[life] = false
    od
}

proctype first() {
    { live(A) } unless { dead }
}

proctype second() {
    dead;
    live(B)
}

proctype killer() {
    dead = true
}

init {
    byte i;
    atomic {
        run first();
        run second();
        run killer();
        do
        :: i < PEERS -> run peer(); i++
        :: else -> break
        od
    };
    timeout;
    assert(given[B] == 0)
}
