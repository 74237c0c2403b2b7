/* SPDX-License-Identifier: Apache-2.0
 *
 * Registries, as Elixir's: a process keeps which processes have which keys, any terms, with a value each. An entry goes with its process: who
 * has learnt of that one's end finds it no more.
 *
 * Who calls these functions waits for the registry's answer: they are for straight-line processes and attached threads (MOTE_ECONTEXT
 * in handlers). `registry` is a pid or a name, in any form that MOTE_TO() takes; without one: MOTE_ENOPROC. Lists that are given are borrowed until
 * the next receive.
 */
#ifndef MOTE_REGISTRY_H
#define MOTE_REGISTRY_H

#include <mote/mote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a registry is made. Zero everywhere is the default. */
typedef struct mote_registry_options {
    const char *name; /* registered; NULL: none */
    bool duplicate;   /* a key may be had by many, and several times by one; else by one process at most */
} mote_registry_options;

/* Starts a registry that is linked with the caller. Gives `registry`. MOTE_EBUSY: the name is taken. As mote_spawn() and mote_register(). */
MOTE_API MOTE_MUST mote_err mote_registry_start_link(mote_self *self, const mote_registry_options *options, mote_pid *registry);

/* The same for the specification of a supervisor's child (its `start`); `arg` is {Name, unique | duplicate}, Name [] for none. */
MOTE_API mote_err mote_registry_start(mote_self *self, mote_term arg, mote_pid *registry);

/* Gives the calling process a key; copies `key` and `value`. MOTE_EBUSY: it is taken, `holder` (may be NULL) has it. MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_registry_register(mote_self *self, mote_term registry, mote_term key, mote_term value, mote_pid *holder);

/* Takes the calling process's entries under a key away. MOTE_NOMATCH: it has none. */
MOTE_API MOTE_MUST mote_err mote_registry_unregister(mote_self *self, mote_term registry, mote_term key);

/* Who has a key: a list of {Pid, Value}, first come first. */
MOTE_API MOTE_MUST mote_err mote_registry_lookup(mote_self *self, mote_term registry, mote_term key, mote_term *entries);

/* Who has a key: the first one. MOTE_NOMATCH: nobody. */
MOTE_API MOTE_MUST mote_err mote_registry_whereis(mote_self *self, mote_term registry, mote_term key, mote_pid *pid);

/* The keys of a process: a list in the order in which it got them; one it has twice is there twice. */
MOTE_API MOTE_MUST mote_err mote_registry_keys(mote_self *self, mote_term registry, mote_pid pid, mote_term *keys);

/* All entries that fit a pattern: a list of {Key, Pid, Value}. `pattern` is such a tuple in which the atom '_' is anything: mote_build(arena, &pattern,
 * "{{user, '_'}, '_', online}"). Maps fit when they have the pattern's keys. MOTE_ELIMIT: a pattern nested more than 64 deep. O(entries). */
MOTE_API MOTE_MUST mote_err mote_registry_select(mote_self *self, mote_term registry, mote_term pattern, mote_term *entries);

/* The number of entries. */
MOTE_API MOTE_MUST mote_err mote_registry_count(mote_self *self, mote_term registry, size_t *count);

/* The calling process is told of changes from now on (or no more): {register, Registry, Key, Pid, Value} and {unregister, Registry, Key, Pid},
 * Registry a pid. MOTE_ENOMEM. */
MOTE_API MOTE_MUST mote_err mote_registry_listen(mote_self *self, mote_term registry, bool on);

#ifndef __cplusplus
/* The functions take a registry in any form. */
#define mote_registry_register(self, registry, key, value, holder) (mote_registry_register)(self, MOTE_TO(registry), MOTE_TO(key), value, holder)
#define mote_registry_unregister(self, registry, key) (mote_registry_unregister)(self, MOTE_TO(registry), MOTE_TO(key))
#define mote_registry_lookup(self, registry, key, entries) (mote_registry_lookup)(self, MOTE_TO(registry), MOTE_TO(key), entries)
#define mote_registry_whereis(self, registry, key, pid) (mote_registry_whereis)(self, MOTE_TO(registry), MOTE_TO(key), pid)
#define mote_registry_keys(self, registry, pid, keys) (mote_registry_keys)(self, MOTE_TO(registry), pid, keys)
#define mote_registry_select(self, registry, pattern, entries) (mote_registry_select)(self, MOTE_TO(registry), pattern, entries)
#define mote_registry_count(self, registry, count) (mote_registry_count)(self, MOTE_TO(registry), count)
#define mote_registry_listen(self, registry, on) (mote_registry_listen)(self, MOTE_TO(registry), on)
#endif

#ifdef __cplusplus
}
#endif
#endif
