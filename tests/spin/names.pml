/* SPDX-License-Identifier: Apache-2.0
 * Registering a name while its process ends: N1 of src/proc/names.c, mt_name_end() and mt_close(), and the slot's next use.
 *
 * One slot is used by processes 1 and 2, one after the other; each ends. Two others register a name each for 1 or 2, and it may be taken away again.
 * From the moment when a process is closed it has no name, whatever happens; a process has one name at most.
 */
#define NAMED 1
#define DYING 2

byte serial, naming;  /* of the slot */
bool closed = true;
byte owner[2];        /* who has the name, 0: nobody */
bool known[3], ended[3], locked;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

inline no_name(who) { assert(owner[0] != who && owner[1] != who) }

proctype processes() {
    byte me = 1, before;
    do
    :: me < 3 ->
        serial = me; /* mt_table_take(), mt_reset() */
        naming = 0;
        atomic { closed = false; known[me] = true }; /* publish() */
        /* mt_name_end() */
#ifdef BUG_LOOKS_FIRST
        before = naming;
        naming = naming | DYING;
#else
        atomic { before = naming; naming = naming | DYING };
#endif
        if
        :: before & NAMED ->
            lock();
            if
            :: owner[0] == me -> owner[0] = 0
            :: owner[1] == me -> owner[1] = 0
            :: else
            fi;
            unlock()
        :: else
        fi;
        atomic { closed = true; ended[me] = true; no_name(me) };
        me++
    :: else -> break
    od
}

proctype registrar(byte name) {
    byte who, before, s;
    if
    :: known[1] -> who = 1
    :: known[2] -> who = 2
    fi;
    lock();
    if
    :: owner[name] == 0 && owner[1 - name] != who -> /* insert_locked() */
#ifdef BUG_NO_MARK
        before = naming;
#else
        atomic { before = naming; naming = naming | NAMED };
#endif
        s = serial;
        if
#ifdef BUG_NO_SERIAL
        :: !(before & DYING) ->
#else
        :: !(before & DYING) && s == who && !closed ->
#endif
            atomic { owner[name] = who; assert(owner[1 - name] != who) }
        :: else
        fi
    :: else
    fi;
    unlock();
    if
    :: true
    :: lock(); owner[name] = 0; unlock() /* mt_unregister() */
    fi
}

init {
    atomic { run processes(); run registrar(0); run registrar(1) };
    timeout;
    assert(!locked && ended[1] && ended[2]);
    no_name(1);
    no_name(2)
}
