/* SPDX-License-Identifier: Apache-2.0
 * The explicit stack for walking terms, and how to do without: see walk.h. */
#include "term/walk.h"

#include <string.h>

bool mt_walk_grow(struct mt_walk *walk) {
    MT_ASSERT(walk->count == walk->capacity);
    if (walk->capacity > UINT32_MAX / 2) return false;
    size_t size = walk->capacity * sizeof(struct mt_span);
    bool inside = walk->spans == walk->inside;
    struct mt_span *more = mt_os_realloc(inside ? NULL : walk->spans, 2 * size);
    if (!more) return false;
    if (inside) memcpy(more, walk->inside, size);
    walk->spans = more;
    walk->capacity *= 2;
    return true;
}

enum which { NEITHER, PART, REST };

static uint64_t measure(struct mt_span span, uint64_t most);

/* Which one has at most `most` terms (`size` gets how many), found by looking at both with ever larger limits. */
static enum which smaller_within(struct mt_span part, struct mt_span rest, uint64_t most, uint64_t *size) {
    uint64_t limit = 0;
    while (limit < most) {
        limit = limit == 0 ? 1 : limit < most / 2 ? 2 * limit : most;
        if ((*size = measure(part, limit)) <= limit) return PART;
        if ((*size = measure(rest, limit)) <= limit) return REST;
    }
    return NEITHER;
}

/* The number of terms in a span, nested ones included, if it is at most `most`; else most + 1. Each call looks for at most half
 * of what is left, so the depth is at most log2(most). Time is polynomial in the result; linear for lists nested either way. */
static uint64_t measure(struct mt_span span, uint64_t most) {
    uint64_t left = most, size = 0;
    while (span.count > 0) {
        struct mt_span part = {.b = NULL}, rest = {.a = span.a + 1, .count = span.count - 1};
        if (left == 0) return most + 1;
        left--;
        part.count = mt_walk_inner(*span.a, &part.a);
        enum which smaller = part.count == 0 ? PART : REST;
        size = 0;
        if (part.count > 0 && rest.count > 0) smaller = smaller_within(part, rest, left / 2, &size);
        if (smaller == NEITHER) return most + 1;
        span = smaller == PART ? rest : part;
        left -= size;
    }
    return most - left;
}

bool mt_walk_smaller(const struct mt_span *part, const struct mt_span *rest) {
    uint64_t size;
    MT_ASSERT(part->count > 0 && rest->count > 0);
    enum which smaller = smaller_within(*part, *rest, UINT64_MAX / 2, &size);
    MT_ASSERT(smaller != NEITHER); /* nobody counts to 2^63 */
    return smaller == PART;
}
