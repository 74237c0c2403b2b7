/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/store.h"

#include <mote/external.h>
#include <string.h>

#define TIMES_FIRST 8u
#define SEALED_MAX 320u

/* Whether a term is whole in its word. A counted atom is, but has to be held; pids and references of other nodes are not. */
static bool immediate(mote_term term) {
    int64_t value;
    switch (mote_term_type(term)) {
    case MOTE_PID:
    case MOTE_REFERENCE: return !mote_far_get(term, NULL);
    case MOTE_ATOM:
    case MOTE_NIL: return true;
    case MOTE_INTEGER: return mote_int_get(term, &value) == MOTE_OK && mote_int_make(NULL, value).word == term.word;
    default: return false;
    }
}

mote_err mt_store(struct mt_stored *stored, mote_term term) {
    mote_atom atom;
    struct mt_stored k = {.term = term};
    if (mote_term_type(term) == MOTE_NONE) return MOTE_ETERM;
    if (!immediate(term)) {
        if (!(k.arena = mote_arena_new(0))) return MOTE_ENOMEM;
        k.term = mote_term_copy(k.arena, term);
        if (mote_term_type(k.term) == MOTE_NONE) {
            mote_arena_free(k.arena);
            return MOTE_ENOMEM;
        }
    } else if (mote_atom_get(term, &atom) == MOTE_OK) {
        mote_atom_hold(atom);
    }
    *stored = k;
    return MOTE_OK;
}

void mt_stored_drop(struct mt_stored *stored) {
    mote_atom atom;
    if (!stored->arena && stored->term.word && mote_atom_get(stored->term, &atom) == MOTE_OK) mote_atom_drop(atom);
    mote_arena_free(stored->arena);
    *stored = (struct mt_stored){0};
}

static void free_arena(void *arena) { mote_arena_free(arena); }

mote_arena *mt_own_arena(mote_self *self) {
    mote_arena *arena = mote_arena_new(0);
    if (!arena || mote_cleanup_add(self, free_arena, arena) == MOTE_OK) return arena;
    mote_arena_free(arena);
    return NULL;
}

void mt_own_arena_free(mote_self *self, mote_arena *arena) {
    if (arena) (void)mote_cleanup_remove(self, free_arena, arena);
    mote_arena_free(arena);
}

/* A seal: where it lies, and where this code lies. Large enough for a binary that is kept once and does not move. */
struct seal {
    const void *place;
    mote_err (*code)(mote_term sealed, void *data, size_t size);
    uint64_t room[7];
};

mote_err mt_seal(mote_arena *arena, const void *data, size_t size, mote_term *sealed) {
    union {
        char bytes[SEALED_MAX];
        struct seal seal;
    } u = {{0}};
    mote_bytes bytes;
    if (size > sizeof u - sizeof u.seal) return MOTE_ELIMIT;
    memcpy(u.bytes + sizeof u.seal, data, size);
    mote_term binary = mote_binary_make(arena, &u, sizeof u.seal + size);
    if (mote_bytes_get(binary, &bytes)) return MOTE_ENOMEM;
    u.seal.place = bytes.data;
    u.seal.code = mt_unseal;
    memcpy((void *)(uintptr_t)bytes.data, &u.seal, sizeof u.seal); /* nobody has seen it yet */
    *sealed = binary;
    return MOTE_OK;
}

mote_err mt_unseal(mote_term sealed, void *data, size_t size) {
    struct seal seal;
    mote_bytes bytes;
    if (mote_bytes_get(sealed, &bytes) || bytes.size != sizeof seal + size) return MOTE_EARG;
    memcpy(&seal, bytes.data, sizeof seal);
    if (seal.place != bytes.data || seal.code != mt_unseal) return MOTE_EARG;
    memcpy(data, (const char *)bytes.data + sizeof seal, size);
    return MOTE_OK;
}

uint64_t mt_now_ms(mote_self *self) {
    mote_runtime_info info = {0};
    mote_err err = mote_runtime_info_get(self, &info);
    return err ? 0 : info.uptime_ns / 1000000u;
}

int64_t mt_left_ms(mote_self *self, uint64_t start_ms, int64_t timeout_ms) {
    if (timeout_ms <= 0) return timeout_ms;
    int64_t left = timeout_ms - (int64_t)(mt_now_ms(self) - start_ms);
    return left > 0 ? left : 0;
}

static bool grow(struct mt_window *w, mote_self *self) {
    size_t capacity = w->capacity ? 2 * w->capacity : TIMES_FIRST;
    if (capacity > w->limit) capacity = w->limit;
    uint64_t *times = mote_alloc(self, capacity * sizeof *times);
    if (!times) return false;
    for (size_t i = 0; i < w->count; i++) times[i] = w->times[(w->first + i) % w->capacity];
    mote_dealloc(self, w->times);
    w->times = times;
    w->capacity = capacity;
    w->first = 0;
    return true;
}

bool mt_window_add(struct mt_window *w, mote_self *self) {
    uint64_t now = mt_now_ms(self);
    while (w->count && now - w->times[w->first] > w->period_ms) {
        w->first = (w->first + 1) % w->capacity;
        w->count--;
    }
    if (w->count == w->limit || (w->count == w->capacity && !grow(w, self))) return false;
    w->times[(w->first + w->count++) % w->capacity] = now;
    return true;
}
