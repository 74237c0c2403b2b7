/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/guard.h"

#include <string.h>

#include "base/os.h"

/* ------------------------------------------------------------------------------------------------ handshakes */

/* The oldest that has not been told to give way, of an address or (NULL) of all; *count: how many of them there are. */
static struct mt_knock *oldest(const struct mt_guard *g, const char *from, unsigned *count) {
    struct mt_knock *found = NULL;
    *count = 0;
    for (struct mt_knock *k = g->first; k; k = k->next) {
        if (k->over || (from && strcmp(k->from, from) != 0)) continue;
        if (!found) found = k;
        ++*count;
    }
    return found;
}

bool mt_guard_enter(struct mt_guard *g, struct mt_knock *knock, struct mt_knock **gives_way) {
    unsigned of_one, all;
    *gives_way = NULL;
    if (g->knocks >= MT_KNOCKS_HARD) return false;
    struct mt_knock *of_address = oldest(g, knock->from, &of_one), *of_all = oldest(g, NULL, &all);
    if (of_one >= MT_KNOCKS_OF_ONE) *gives_way = of_address;
    else if (all >= MT_KNOCKS_MAX) *gives_way = of_all;
    if (*gives_way) (*gives_way)->over = true;
    knock->next = NULL;
    if (g->last) g->last->next = knock;
    else g->first = knock;
    g->last = knock;
    g->knocks++;
    return true;
}

void mt_guard_leave(struct mt_guard *g, struct mt_knock *knock) {
    struct mt_knock *before = NULL, *k = g->first;
    for (; k != knock; k = k->next) {
        MT_ASSERT(k != NULL); /* it has entered, and left only once */
        before = k;
    }
    if (before) before->next = knock->next;
    else g->first = knock->next;
    if (g->last == knock) g->last = before;
    g->knocks--;
}

/* ------------------------------------------------------------------------------------------------ cookies */

/* What is known of an address: its entry, or the one that has been quiet for longest. */
static struct mt_failing *entry_of(struct mt_guard *g, const char *from) {
    struct mt_failing *quiet = g->failing;
    for (struct mt_failing *f = g->failing; f < g->failing + MT_FAILED_ADDRESSES; f++) {
        if (strcmp(f->from, from) == 0) return f;
        if (f->since_ns < quiet->since_ns) quiet = f;
    }
    memset(quiet, 0, sizeof *quiet);
    strncpy(quiet->from, from, sizeof quiet->from - 1);
    return quiet;
}

/* Whether a line may be told, with what was not told before it. */
static bool may_tell(struct mt_guard *g, uint64_t now, unsigned *untold) {
    if (!g->second_ns || now - g->second_ns >= UINT64_C(1000000000)) {
        g->second_ns = now;
        g->lines = 0;
    }
    if (g->lines >= MT_TOLD_A_SECOND) return false;
    g->lines++;
    *untold = g->untold;
    g->untold = 0;
    return true;
}

/* Counts a wrong cookie; NULL: there were not many. */
static struct mt_failing *fails_again(struct mt_guard *g, const char *from, uint64_t now) {
    struct mt_failing *f = entry_of(g, from);
    if (!f->since_ns || now - f->since_ns >= MT_FAILED_WITHIN_NS) {
        f->since_ns = now;
        f->count = 0;
    }
    if (f->count >= MT_FAILED_FREE) return f;
    f->count++;
    return NULL;
}

bool mt_guard_refuses(struct mt_guard *g, const char *from, bool cookie, uint64_t now, struct mt_telling *t) {
    struct mt_failing *f = cookie ? fails_again(g, from, now) : NULL;
    *t = (struct mt_telling){.told = false};
    if (f) f->untold++;
    bool quiet = f && f->told_ns && now - f->told_ns < MT_FAILED_WITHIN_NS;
    t->told = !quiet && may_tell(g, now, &t->untold);
    if (f && t->told) {
        t->many = f->untold;
        f->told_ns = now;
        f->untold = 0;
    } else if (!f && !t->told) {
        g->untold++;
    }
    return f != NULL;
}
