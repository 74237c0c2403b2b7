/* SPDX-License-Identifier: Apache-2.0
 * The atom table: names, counts, reuse, races. */
#include "check.h"
#include "term/term.h"

static uint64_t counted(const char *name) {
    uint64_t word = mt_atom_intern(name, strlen(name), false, NULL);
    CHECK(word != 0);
    return word;
}

static void predefined_come_first(void) {
#define X(name) CHECK_INT(mt_atom_intern(#name, sizeof #name - 1, true, NULL), (uint64_t)MT_ATOM_##name << 3 | MT_ATOM);
    MT_ATOMS(X)
#undef X
    CHECK_STR(mote_atom_name((mote_atom){MT_WORD_OF(mailbox_full)}, NULL), "mailbox_full");
    CHECK_STR(mote_atom_name((mote_atom){MT_WORD_OF(true)}, NULL), "true");
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE);
}

static void readable_before_anything_else(void) {
    CHECK_INT(mt_atom_compare(MT_WORD_OF(true), MT_WORD_OF(false)) > 0, 1);
    CHECK_STR(mote_atom_name((mote_atom){MT_WORD_OF(ok)}, NULL), "ok");
    CHECK(mt_atom_hash(MT_WORD_OF(ok)) != mt_atom_hash(MT_WORD_OF(error)));
}

static void permanent(void) {
    size_t before = mote_atom_count(), size = 0;
    mote_atom a = mote_atom_make("hello"), b = mote_atom_make("hello"), c = mote_atom_make("");
    CHECK(a.word != 0 && a.word == b.word && c.word != 0 && c.word != a.word);
    CHECK(!mt_atom_counted(a.word));
    CHECK_INT(mote_atom_count(), before + 2);
    CHECK_STR(mote_atom_name(a, &size), "hello");
    CHECK_INT(size, 5);
    CHECK_STR(mote_atom_name(c, &size), "");
    CHECK_INT(size, 0);
    mote_atom_drop(mote_atom_hold(a));
    mote_atom_drop(a);
    CHECK_STR(mote_atom_name(a, NULL), "hello");
    CHECK_INT(counted("hello"), a.word); /* found, and not counted */
    CHECK_INT(mote_atom_make(NULL).word, 0);
    CHECK_STR(mote_atom_name((mote_atom){0}, &size), "");
}

static void check_name(const char *name, size_t size, bool valid) {
    mote_err err = MOTE_OK;
    uint64_t word = mt_atom_intern(name, size, false, &err);
    CHECK_INT(word != 0, valid);
    CHECK_INT(err, valid ? MOTE_OK : MOTE_EARG);
    if (valid) mt_atom_drop(word);
}

static void names(void) {
    char text[4 * 256 + 1];
    memset(text, 'x', sizeof text);
    check_name(text, 255, true);
    check_name(text, 256, false);
    for (int i = 0; i < 256; i++) memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4);
    check_name(text, 4 * 255, true);
    check_name(text, 4 * 256, false);
    check_name(text, 4 * 255 - 1, false);
    check_name("a\0b", 3, true);
    check_name(NULL, 0, true);
    check_name("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xc2\x80", 12, true);
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80", "\xff", "abcdefgh\xe2\x82", "\xe2\x28\xa1", "\xc3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_name(bad[i], strlen(bad[i]), false);
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE);
}

static void counted_are_released(void) {
    uint64_t a = counted("one"), b = counted("two");
    CHECK(mt_atom_counted(a) && mt_atom_counted(b) && a != b);
    CHECK_INT(counted("one"), a);
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE + 2);
    mt_atom_drop(a);
    CHECK_STR(mote_atom_name((mote_atom){a}, NULL), "one");
    mt_atom_drop(a);
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE + 1);
    CHECK_INT(counted("three"), a); /* the index again */
    mote_atom_hold((mote_atom){b});
    mt_atom_drop(b);
    CHECK_STR(mote_atom_name((mote_atom){b}, NULL), "two");
    mote_atom_drop((mote_atom){b});
    mt_atom_drop(a);
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE);
}

static void promoted_stay(void) {
    uint64_t a = counted("later_permanent");
    mote_atom p = mote_atom_make("later_permanent"), q = mote_atom_make("later_permanent");
    CHECK(p.word == a && q.word == a);
    mt_atom_drop(a);
    CHECK_STR(mote_atom_name(p, NULL), "later_permanent");
    for (int i = 0; i < 10; i++) mt_atom_drop(counted("later_permanent"));
    CHECK_STR(mote_atom_name(p, NULL), "later_permanent");
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE + 1);
}

static void order_is_by_code_points(void) {
    static const char *const sorted[] = {"", "A", "a", "aa", "ab", "b", "z", "\xc3\xa9", "\xe2\x82\xac", "\xef\xbf\xbd", "\xf0\x9f\x98\x80"};
    size_t n = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            int order = mt_atom_compare(mote_atom_make(sorted[i]).word, mote_atom_make(sorted[j]).word);
            CHECK_INT((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

/* Many: chunks, buckets that split, and all of them found again. */
static void many(void) {
    enum { MANY = 200000 };
    uint64_t *words = malloc(MANY * sizeof *words);
    char name[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "atom_%d", i);
            words[i] = counted(name);
        }
        CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE + MANY);
        for (int i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "atom_%d", i);
            CHECK_INT(counted(name), words[i]);
            CHECK_STR(mote_atom_name((mote_atom){words[i]}, NULL), name);
            CHECK((words[i] >> 3) < MT_ATOM_PERMANENT_MAX + MANY); /* indexes are used again */
            mt_atom_drop(words[i]);
        }
        for (int i = 0; i < MANY; i++) mt_atom_drop(words[i]);
        CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE);
    }
    free(words);
}

/* More permanent names than there are uncounted words: they get counted ones, held for ever. */
static void permanent_beyond_the_range(void) {
    char name[32];
    uint64_t word = 0;
    for (uint64_t i = MT_ATOM_FIRST_FREE; i < MT_ATOM_PERMANENT_MAX + 10; i++) {
        snprintf(name, sizeof name, "p%" PRIu64, i);
        word = mote_atom_make(name).word;
        CHECK(word != 0 && mt_atom_counted(word) == (i >= MT_ATOM_PERMANENT_MAX));
    }
    CHECK_INT(counted(name), word);
    mt_atom_drop(word);
    CHECK_STR(mote_atom_name((mote_atom){word}, NULL), name);
}

/* ----------------------------------------------------------------------------------------------- races */

enum { THREADS = 4, NAMES = 8, KEPT = 3 };

struct racer {
    pthread_t thread;
    uint64_t seed;
    unsigned rounds;
    uint64_t kept[NAMES][KEPT];
};

static void race_step(struct racer *racer) {
    char name[16];
    racer->seed = racer->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    unsigned which = racer->seed >> 40 & (NAMES - 1), slot = (unsigned)(racer->seed >> 50) % KEPT;
    uint64_t *kept = &racer->kept[which][slot];
    snprintf(name, sizeof name, "race%u", which);
    if (*kept) {
        CHECK_STR(mote_atom_name((mote_atom){*kept}, NULL), name);
        mt_atom_drop(*kept);
        *kept = 0;
        return;
    }
    *kept = counted(name);
    mt_atom_hold(*kept);
    CHECK_STR(mote_atom_name((mote_atom){*kept}, NULL), name);
    mt_atom_drop(*kept);
}

static void *race(void *arg) {
    struct racer *racer = arg;
    for (unsigned i = 0; i < racer->rounds; i++) race_step(racer);
    return NULL;
}

static void threads_race(void) {
    static struct racer racers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        racers[i].seed = i + 1;
        racers[i].rounds = 300000;
        CHECK_INT(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(racers[i].thread, NULL);
    size_t alive = 0;
    for (unsigned n = 0; n < NAMES; n++) {
        uint64_t word = 0;
        for (unsigned i = 0; i < THREADS * KEPT; i++) {
            uint64_t kept = racers[i / KEPT].kept[n][i % KEPT];
            if (kept && word) CHECK_INT(kept, word); /* one name, one word */
            if (kept) word = kept;
        }
        alive += word != 0;
    }
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE + alive);
    for (unsigned i = 0; i < THREADS * KEPT * NAMES; i++) {
        uint64_t kept = racers[i / (KEPT * NAMES)].kept[i / KEPT % NAMES][i % KEPT];
        if (kept) mt_atom_drop(kept);
    }
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE);
}

static void *make_same(void *arg) {
    *(uint64_t *)arg = mote_atom_make("first_of_all").word;
    return NULL;
}

static void threads_start_the_table(void) {
    pthread_t threads[THREADS];
    uint64_t words[THREADS];
    for (unsigned i = 0; i < THREADS; i++) CHECK_INT(pthread_create(&threads[i], NULL, make_same, &words[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) CHECK_INT(words[i], words[0]);
    CHECK_INT(mote_atom_count(), MT_ATOM_FIRST_FREE + 1);
}

/* The table stays while somebody says so: leak checkers must find it reachable. */
static void kept_for_a_user(void) {
    mt_atom_table_hold();
    mt_atom_table_hold();
    mt_atom_table_drop();
    CHECK(mote_atom_make("still_there").word != 0);
}

static void out_of_memory(void) {
    for (uint64_t nth = 1; nth < 5; nth++)
        for (int sticky = 0; sticky < 2; sticky++)
            for (int kind = 0; kind < 2; kind++) {
                mote_err err = MOTE_OK;
                char name[32];
                snprintf(name, sizeof name, "oom_%d_%d_%d", (int)nth, sticky, kind);
                size_t before = mote_atom_count();
                mt_os_fault_arm(nth, sticky);
                uint64_t word = mt_atom_intern(name, strlen(name), kind, &err);
                mt_os_fault_arm(0, false);
                CHECK_INT(err, word ? MOTE_OK : MOTE_ENOMEM);
                CHECK_INT(mote_atom_count(), before + (word != 0));
                if (word && !kind) mt_atom_drop(word);
            }
}

static uint64_t numbered(unsigned i, mote_err *err) {
    char name[20];
    snprintf(name, sizeof name, "paid_%u", i);
    return mt_atom_intern(name, strlen(name), false, err);
}

/* Who pays has so many at once, and not one more, until one goes. */
static void purses(void) {
    uint64_t words[100];
    mote_err err = MOTE_OK;
    size_t before = mote_atom_count();
    uint64_t old = counted("was_there"), other;
    struct mt_purse *purse = mt_purse_new(100);
    CHECK(purse != NULL);
    mt_atom_payer(purse);
    for (unsigned i = 0; i < 100; i++) CHECK((words[i] = numbered(i, NULL)) != 0);
    CHECK_INT(mt_purse_held(purse), 100);
    CHECK(counted("was_there") == old && numbered(99, NULL) == words[99]); /* found */
    CHECK(!mt_purse_refused(purse));
    CHECK(!numbered(100, &err));
    CHECK_INT(err, MOTE_ELIMIT);
    CHECK(mt_purse_refused(purse) && !mt_purse_refused(purse));
    CHECK_INT(mt_purse_held(purse), 100);
    mt_atom_drop(words[0]);
    CHECK((words[0] = numbered(100, NULL)) != 0);
    CHECK(mt_atom_intern("paid_1", 6, true, NULL) == words[1]); /* for ever: nobody's */
    CHECK_INT(mt_purse_held(purse), 99);
    mt_atom_payer(NULL);
    CHECK((other = numbered(101, NULL)) != 0 && mt_purse_held(purse) == 99);
    mt_purse_drop(purse); /* it goes with the last atom */
    for (unsigned i = 0; i < 100; i++) mt_atom_drop(words[i]);
    mt_atom_drop(words[99]);
    mt_atom_drop(other);
    mt_atom_drop(old), mt_atom_drop(old);
    CHECK_INT(mote_atom_count(), before + 1);
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(predefined_come_first), TEST(readable_before_anything_else), TEST(permanent), TEST(names),
                                            TEST(counted_are_released), TEST(promoted_stay), TEST(order_is_by_code_points), TEST(many),
                                            TEST(permanent_beyond_the_range), TEST(threads_race), TEST(threads_start_the_table), TEST(kept_for_a_user),
                                            TEST(out_of_memory), TEST(purses), {0}});
}
