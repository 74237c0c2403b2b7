/* SPDX-License-Identifier: Apache-2.0
 * Processes of other nodes, and names and aliases there, as words: relations and signals know them by these as they know local pids.
 *
 * Any thread; a lock (REMOTE) for O(1). In terms they stand as they came (MT_PID_FAR, {Name, Node}, MT_REF_FAR); words are made of them where somebody sends or relates to
 * them, and terms again where a message tells of one.
 * Y1 one of the same node, creation and numbers has one word while anybody holds it. Y2 a word that nobody holds is forgotten only after MT_REMOTE_SPARE others of that kind: until
 *    then who has just made or read it may use it without holding it. A forgotten word is nobody's, and never anybody else's (27 bits of serial). Y3 relations
 *    hold their words (relation.c); signals under way do not, by Y2.
 */
#ifndef MT_PROC_REMOTE_H
#define MT_PROC_REMOTE_H

#include "base/lock.h"
#include "term/term.h"

#define MT_REMOTE_SPARE (1u << 20)

enum mt_remote_kind { MT_REMOTE_PID, MT_REMOTE_NAME, MT_REMOTE_ALIAS };

/* What a word stands for. Atoms are borrowed, from the caller or (mt_remote_get()) from the word's entry: as long as it is held, or just used. */
struct mt_remote_id {
    uint64_t node;       /* an atom */
    enum mt_remote_kind kind;
    uint32_t creation;   /* of a pid or alias */
    uint64_t name;       /* MT_REMOTE_NAME: an atom */
    uint32_t count;      /* MT_REMOTE_ALIAS: words, 1 to 5 */
    uint32_t words[5];   /* of a pid: id and serial */
};

struct mt_remotes;

/* Gives. MOTE_ENOMEM. */
mote_err mt_remotes_new(struct mt_remotes **remotes);
/* Takes; NULL is allowed. */
void mt_remotes_free(struct mt_remotes *remotes);

/* The word of an id, not held. 0: no memory. */
uint64_t mt_remote_word(struct mt_remotes *remotes, const struct mt_remote_id *id);
/* What it stands for; false: it is forgotten. */
bool mt_remote_get(struct mt_remotes *remotes, uint64_t word, struct mt_remote_id *id);
/* Holds it, and gives it back. A forgotten one: nothing. */
void mt_remote_hold(struct mt_remotes *remotes, uint64_t word);
void mt_remote_drop(struct mt_remotes *remotes, uint64_t word);

/* The id in a term: MT_PID_FAR, MT_REF_FAR, {Name, Node}. Borrows. False: it is none of these. */
bool mt_remote_id_of(uint64_t term, struct mt_remote_id *id);
/* The term of an id, in an arena. MOTE_TERM_NONE: no memory. */
mote_term mt_remote_term(mote_arena *arena, const struct mt_remote_id *id);

struct mt_remotes_info {
    size_t words, held; /* that are known; that somebody holds */
};
void mt_remotes_info_get(struct mt_remotes *remotes, struct mt_remotes_info *info);

#endif
