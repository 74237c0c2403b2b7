/* SPDX-License-Identifier: Apache-2.0
 * Words of other nodes' processes. */
#include "proc/remote.h"

#include <string.h>

#include "check.h"

static struct mt_remotes *remotes;
static mote_arena *arena;

static struct mt_remote_id pid_id(uint32_t n) {
    return (struct mt_remote_id){.node = mote_atom_make("a@b").word, .kind = MT_REMOTE_PID, .creation = 7, .count = 2, .words = {n, 3}};
}

static void begin(void) {
    CHECK_OK(mt_remotes_new(&remotes));
    arena = mote_arena_new(0);
}
static void end(void) {
    mote_arena_free(arena);
    mt_remotes_free(remotes);
}

static uint64_t again(uint64_t word) {
    struct mt_remote_id id, read;
    CHECK(mt_remote_get(remotes, word, &id));
    mote_term term = mt_remote_term(arena, &id);
    CHECK(mt_remote_id_of(term.word, &read));
    return mt_remote_word(remotes, &read);
}

static void kinds(void) {
    begin();
    struct mt_remote_id ids[] = {
        pid_id(1), pid_id(2), pid_id(UINT32_MAX),
        {.node = mote_atom_make("a@b").word, .kind = MT_REMOTE_NAME, .name = mote_atom_make("name").word},
        {.node = mote_atom_make("name").word, .kind = MT_REMOTE_NAME, .name = mote_atom_make("a@b").word},
        {.node = mote_atom_make("a@b").word, .kind = MT_REMOTE_ALIAS, .creation = 7, .count = 3, .words = {1, 2, 3}},
        {.node = mote_atom_make("a@b").word, .kind = MT_REMOTE_ALIAS, .creation = 7, .count = 5, .words = {1, 2, 3, 4, 5}},
        {.node = mote_atom_make("a@b").word, .kind = MT_REMOTE_ALIAS, .creation = 7, .count = 1, .words = {1}},
        {.node = mote_atom_make("a@b").word, .kind = MT_REMOTE_PID, .creation = 8, .count = 2, .words = {1, 3}},
        {.node = mote_atom_make("c@d").word, .kind = MT_REMOTE_PID, .creation = 7, .count = 2, .words = {1, 3}},
    };
    enum { N = sizeof ids / sizeof *ids };
    uint64_t words[N];
    for (int i = 0; i < N; i++) {
        words[i] = mt_remote_word(remotes, &ids[i]);
        CHECK(mt_is_remote(words[i]));
        for (int j = 0; j < i; j++) CHECK(words[i] != words[j]);
    }
    for (int i = 0; i < N; i++) {
        CHECK(mt_remote_word(remotes, &ids[i]) == words[i]); /* Y1 */
        CHECK(again(words[i]) == words[i]);
    }
    struct mt_remote_id none;
    CHECK(!mt_remote_get(remotes, words[0] ^ (uint64_t)1 << 60, &none) && !mt_remote_get(remotes, mt_pid_word(99, MT_REMOTE, 1), &none));
    CHECK(!mt_remote_id_of(MT_NIL_WORD, &none) && !mt_remote_id_of(mote_tuple_make(arena, 2, (mote_term[]){MOTE_TERM_NIL, MOTE_TERM_NIL}).word, &none));
    CHECK(!mt_remote_id_of(mote_tuple_make(arena, 1, (mote_term[]){MOTE_TERM_NIL}).word, &none) && !mt_is_remote(mt_pid_word(1, 62, 1)));
    end();
}

/* Y2: what nobody holds goes, oldest first; what is held stays. */
static void forgotten(void) {
    struct mt_remote_id id = pid_id(0);
    struct mt_remotes_info info;
    begin();
    uint64_t held = mt_remote_word(remotes, &id), first;
    mt_remote_hold(remotes, held);
    mt_remote_hold(remotes, held);
    id = pid_id(1);
    first = mt_remote_word(remotes, &id);
    for (uint32_t i = 2; i < MT_REMOTE_SPARE + 100; i++) {
        id = pid_id(i);
        CHECK(mt_remote_word(remotes, &id) != 0);
    }
    mt_remotes_info_get(remotes, &info);
    CHECK_INT(info.held, 1);
    CHECK_INT(info.words, MT_REMOTE_SPARE + 1);
    CHECK(mt_remote_get(remotes, held, &id) && id.words[0] == 0);
    CHECK(!mt_remote_get(remotes, first, &id));
    id = pid_id(1);
    CHECK(mt_remote_word(remotes, &id) != first); /* never the same again */
    mt_remote_drop(remotes, held);
    mt_remote_drop(remotes, held);
    mt_remote_drop(remotes, held);
    mt_remote_hold(remotes, first);
    mt_remotes_info_get(remotes, &info);
    CHECK_INT(info.held, 0);
    end();
}

int main(int argc, char **argv) { return check_main(argc, argv, (struct check_test[]){TEST(kinds), TEST(forgotten), {0}}); }
