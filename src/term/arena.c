/* SPDX-License-Identifier: Apache-2.0
 * Arenas: chunks filled from the front, newest first in a chain.
 *
 * A1 a chunk's used words are whole objects, so they can be walked. A2 only the newest chunk is filled; a large object gets a
 * chunk of its own, which is then the newest. A3 `words` of all chunks <= words_max. */
#include "term/term.h"

#define FIRST_BYTES 512u
#define CHUNK_BYTES_MAX ((size_t)65536)

struct chunk {
    struct chunk *older;
    size_t capacity; /* words */
    size_t used;     /* words; of the newest chunk: when it stops being that */
    uint64_t words[];
};

struct mote_arena {
    uint64_t *next;      /* owner: free words of the newest chunk */
    uint64_t *end;       /* owner */
    struct chunk *chunk; /* owner: the newest */
    size_t words;        /* owner: capacity of all chunks */
    size_t words_max;    /* const */
    size_t chunk_bytes;  /* owner: size of the next chunk */
    bool counted;        /* owner: some objects hold counts */
};

static struct chunk *first_chunk(mote_arena *arena) { return (struct chunk *)(void *)(arena + 1); }

static void use_chunk(mote_arena *arena, struct chunk *chunk, size_t used) {
    MT_ASSERT(used <= chunk->capacity);
    arena->chunk = chunk;
    arena->next = chunk->words + used;
    arena->end = chunk->words + chunk->capacity;
}

mote_arena *mote_arena_new(size_t bytes_max) {
    mote_arena *arena = mt_os_alloc(FIRST_BYTES);
    if (!arena) return NULL;
    size_t room = (FIRST_BYTES - sizeof *arena - sizeof(struct chunk)) / sizeof(uint64_t);
    struct chunk *first = first_chunk(arena);
    arena->words_max = bytes_max ? bytes_max / sizeof(uint64_t) : SIZE_MAX / 16;
    arena->chunk_bytes = 2 * FIRST_BYTES;
    arena->counted = false;
    first->older = NULL;
    first->used = 0;
    first->capacity = room < arena->words_max ? room : arena->words_max;
    arena->words = first->capacity;
    use_chunk(arena, first, 0);
    return arena;
}

/* A new chunk with room for `words`; false: memory or the limit. */
static bool grow(mote_arena *arena, size_t words) {
    size_t left = arena->words_max - arena->words;
    if (words > left || words > SIZE_MAX / 16) return false;
    size_t capacity = (arena->chunk_bytes - sizeof(struct chunk)) / sizeof(uint64_t);
    bool regular = words <= capacity;
    if (!regular) capacity = words;
    if (capacity > left) capacity = left;
    struct chunk *chunk = mt_os_alloc(sizeof *chunk + capacity * sizeof(uint64_t));
    if (!chunk) return false;
    if (regular && arena->chunk_bytes < CHUNK_BYTES_MAX) arena->chunk_bytes *= 2;
    arena->chunk->used = (size_t)(arena->next - arena->chunk->words);
    chunk->older = arena->chunk;
    chunk->capacity = capacity;
    chunk->used = 0;
    arena->words += capacity;
    MT_ASSERT(arena->words <= arena->words_max); /* A3 */
    use_chunk(arena, chunk, 0);
    return true;
}

uint64_t *mt_arena_words(mote_arena *arena, size_t words) {
    if (mt_unlikely(!arena)) return NULL;
    if (mt_unlikely((size_t)(arena->end - arena->next) < words) && !grow(arena, words)) return NULL;
    uint64_t *p = arena->next;
    arena->next += words;
    return p;
}

struct mt_arena_mark mt_arena_mark(mote_arena *arena) {
    struct mt_arena_mark mark = {arena->chunk, (size_t)(arena->next - arena->chunk->words)};
    return mark;
}

/* Gives back the counts in a chunk from word `from` on. */
static void release(const mote_arena *arena, const struct chunk *chunk, size_t from) {
    size_t used = chunk == arena->chunk ? (size_t)(arena->next - chunk->words) : chunk->used;
    MT_ASSERT(from <= used && used <= chunk->capacity);
    if (arena->counted) mt_fragment_drop(chunk->words + from, used - from);
}

void mt_arena_rewind(mote_arena *arena, struct mt_arena_mark mark) {
    struct chunk *chunk = arena->chunk;
    while (chunk != mark.chunk) {
        struct chunk *older = chunk->older;
        MT_ASSERT(older != NULL); /* the mark is of this arena and not older than a rewind */
        release(arena, chunk, 0);
        arena->words -= chunk->capacity;
        use_chunk(arena, older, older->used);
        mt_os_free(chunk);
        chunk = older;
    }
    release(arena, chunk, mark.used);
    use_chunk(arena, chunk, mark.used);
}

void mote_arena_reset(mote_arena *arena) {
    MT_ASSERT(arena != NULL);
    mt_arena_rewind(arena, (struct mt_arena_mark){first_chunk(arena), 0});
    arena->counted = false;
    arena->chunk_bytes = 2 * FIRST_BYTES;
    MT_ASSERT(arena->words == arena->chunk->capacity);
}

void mote_arena_free(mote_arena *arena) {
    if (!arena) return;
    mote_arena_reset(arena);
    mt_os_free(arena);
}

void mt_arena_note_counted(mote_arena *arena) { arena->counted = true; }

size_t mt_arena_bytes(const mote_arena *arena) { return sizeof *arena + arena->words * sizeof(uint64_t); }
