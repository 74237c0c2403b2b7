/* SPDX-License-Identifier: Apache-2.0
 *
 * Law of the table: open addressing, linear probing; a word stands in the first free slot from (hash & (capacity - 1)) on,
 * and at most three quarters of the slots are used, so every search ends. Words live in blocks that never move. */
#include "census.h"

#include <assert.h>
#include <string.h>

#define SLOTS_MIN 256u
#define BLOCK_MIN 2048u
#define BLOCK_MAX (64u * 1024u)

struct census_block {
    struct census_block *next;
    size_t size;
    size_t used;
    uint8_t bytes[];
};

/* Room for `size` bytes that stay where they are; NULL when out of memory. */
static uint8_t *take(mote_self *self, struct census_table *table, size_t size) {
    struct census_block *block = table->blocks;
    if (!block || block->size - block->used < size) {
        size_t room = block ? 2 * block->size : BLOCK_MIN;
        if (room > BLOCK_MAX) room = BLOCK_MAX;
        block = mote_alloc(self, sizeof *block + room);
        if (!block) return NULL;
        block->size = room;
        block->next = table->blocks;
        table->blocks = block;
    }
    uint8_t *bytes = block->bytes + block->used;
    block->used += size;
    table->text_bytes += size;
    return bytes;
}

static bool grow(mote_self *self, struct census_table *table) {
    size_t capacity = table->capacity ? 2 * table->capacity : SLOTS_MIN;
    struct census_word *slots = mote_alloc(self, capacity * sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < table->capacity; i++) {
        if (!table->slots[i].count) continue;
        size_t at = table->slots[i].hash & (capacity - 1);
        while (slots[at].count) at = (at + 1) & (capacity - 1);
        slots[at] = table->slots[i];
    }
    mote_dealloc(self, table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

bool census_table_add(mote_self *self, struct census_table *table, const uint8_t *word, size_t length, uint64_t hash,
                      uint64_t count) {
    assert(length > 0 && length <= CENSUS_WORD_MAX && count > 0);
    if (4 * (table->used + 1) > 3 * table->capacity && !grow(self, table)) return false;
    size_t at = hash & (table->capacity - 1);
    for (struct census_word *slot; (slot = &table->slots[at])->count; at = (at + 1) & (table->capacity - 1)) {
        if (slot->hash == hash && slot->text[0] == length && memcmp(slot->text + 1, word, length) == 0) {
            slot->count += count;
            return true;
        }
    }
    if (table->used == table->used_max) return false;
    uint8_t *text = take(self, table, length + 1);
    if (!text) return false;
    text[0] = (uint8_t)length;
    memcpy(text + 1, word, length);
    table->slots[at] = (struct census_word){text, hash, count};
    table->used++;
    return true;
}

void census_table_clear(mote_self *self, struct census_table *table) {
    while (table->blocks) {
        struct census_block *next = table->blocks->next;
        mote_dealloc(self, table->blocks);
        table->blocks = next;
    }
    if (table->slots) memset(table->slots, 0, table->capacity * sizeof *table->slots);
    table->used = 0;
    table->text_bytes = 0;
}

int census_word_compare(const void *a, const void *b) {
    const struct census_word *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    size_t shorter = x->text[0] < y->text[0] ? x->text[0] : y->text[0];
    int order = memcmp(x->text + 1, y->text + 1, shorter);
    return order ? order : (int)x->text[0] - (int)y->text[0];
}

/* Puts words[at] to its place in a heap of `count` whose root is the last in the order of results. */
static void sift(struct census_word *words, size_t count, size_t at) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && census_word_compare(&words[child + 1], &words[child]) > 0) child++;
        if (census_word_compare(&words[at], &words[child]) >= 0) return;
        struct census_word moved = words[at];
        words[at] = words[child];
        words[child] = moved;
    }
}

size_t census_words_select(struct census_word *words, size_t count, size_t wanted) {
    if (count <= wanted) return count;
    if (wanted == 0) return 0;
    for (size_t i = wanted / 2; i-- > 0;) sift(words, wanted, i);
    for (size_t i = wanted; i < count; i++) {
        if (census_word_compare(&words[i], &words[0]) > 0) continue;
        words[0] = words[i];
        sift(words, wanted, 0);
    }
    return wanted;
}
