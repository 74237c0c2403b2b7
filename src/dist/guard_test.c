/* SPDX-License-Identifier: Apache-2.0
 * Who has not proved who he is: how many at once, wrong cookies, and what is told. */
#include <stdio.h>

#include "check.h"
#include "dist/guard.h"

#define SECOND UINT64_C(1000000000)

static struct mt_guard guard;
static struct mt_knock knocks[MT_KNOCKS_HARD + 1];

static bool enters(unsigned i, const char *from, struct mt_knock **gives_way) {
    knocks[i] = (struct mt_knock){0};
    snprintf(knocks[i].from, sizeof knocks[i].from, "%s", from);
    return mt_guard_enter(&guard, &knocks[i], gives_way);
}

/* One address has no more than its share: the oldest of its own gives way, and nobody else. */
static void of_one_address(void) {
    struct mt_knock *out;
    CHECK(enters(100, "10.0.0.2", &out) && !out);
    for (unsigned i = 0; i < MT_KNOCKS_OF_ONE; i++) CHECK(enters(i, "10.0.0.1", &out) && !out);
    CHECK(enters(MT_KNOCKS_OF_ONE, "10.0.0.1", &out));
    CHECK(out == &knocks[0] && out->over);
    CHECK(enters(MT_KNOCKS_OF_ONE + 1, "10.0.0.1", &out) && out == &knocks[1]); /* who is told once is not told again */
    mt_guard_leave(&guard, &knocks[5]);
    CHECK(enters(5, "10.0.0.1", &out) && !out);
    CHECK(enters(101, "10.0.0.2", &out) && !out && !knocks[100].over);
}

static void of_all(void) {
    struct mt_knock *out;
    char from[20];
    for (unsigned i = 0; i < MT_KNOCKS_MAX; i++) {
        snprintf(from, sizeof from, "10.0.1.%u", i);
        CHECK(enters(i, from, &out) && !out);
    }
    for (unsigned i = MT_KNOCKS_MAX; i < MT_KNOCKS_HARD; i++) {
        snprintf(from, sizeof from, "10.0.2.%u", i - MT_KNOCKS_MAX);
        CHECK(enters(i, from, &out) && out == &knocks[i - MT_KNOCKS_MAX]);
    }
    CHECK(!enters(MT_KNOCKS_HARD, "10.0.3.1", &out) && !out); /* none of them has gone yet */
    mt_guard_leave(&guard, &knocks[0]);
    mt_guard_leave(&guard, &knocks[MT_KNOCKS_HARD - 1]);
    CHECK(enters(0, "10.0.3.1", &out) && !out); /* 255 were left that had not been told */
    CHECK(enters(MT_KNOCKS_HARD - 1, "10.0.3.2", &out) && out == &knocks[MT_KNOCKS_MAX]);
    for (unsigned i = 0; i < MT_KNOCKS_HARD; i++) mt_guard_leave(&guard, &knocks[i]);
    CHECK(!guard.first && !guard.last && guard.knocks == 0);
}

static struct mt_telling telling;
static bool refuses(const char *from, bool cookie, uint64_t now) { return mt_guard_refuses(&guard, from, cookie, now, &telling); }

static void wrong_cookies(void) {
    uint64_t now = 5 * SECOND;
    for (unsigned i = 0; i < MT_FAILED_FREE; i++) CHECK(!refuses("10.0.0.1", true, now) && telling.told && !telling.many);
    CHECK(refuses("10.0.0.1", true, now) && !telling.told); /* ten lines were told in this second */
    now += SECOND;
    CHECK(refuses("10.0.0.1", true, now) && telling.told && telling.untold == 0);
    CHECK_INT(telling.many, 2);
    for (unsigned i = 0; i < 100; i++) CHECK(refuses("10.0.0.1", true, now + i * SECOND / 2) && !telling.told);
    CHECK(!refuses("10.0.0.2", true, now)); /* another's */
    CHECK(!refuses("10.0.0.1", false, now)); /* something else */
    now += MT_FAILED_WITHIN_NS - SECOND - 1;
    CHECK(refuses("10.0.0.1", true, now) && !telling.told);
    now += 1;
    for (unsigned i = 0; i < MT_FAILED_FREE; i++) CHECK(!refuses("10.0.0.1", true, now)); /* the next minute */
    CHECK(refuses("10.0.0.1", true, now + SECOND) && telling.told);
    CHECK_INT(telling.many, 102);
}

/* However many addresses there are, the one that goes on is remembered. */
static void many_addresses(void) {
    char from[20];
    for (unsigned i = 0; i <= MT_FAILED_FREE; i++) (void)refuses("10.0.0.1", true, 100 * SECOND);
    for (unsigned i = 0; i < 10 * MT_FAILED_ADDRESSES; i++) {
        snprintf(from, sizeof from, "10.1.%u.%u", i / 256, i % 256);
        CHECK(!refuses(from, true, SECOND + i));
    }
    CHECK(refuses("10.0.0.1", true, 101 * SECOND));
}

static void lines(void) {
    for (unsigned i = 0; i < MT_TOLD_A_SECOND; i++) CHECK(!refuses("10.0.0.1", false, SECOND + i) && telling.told && !telling.untold);
    for (unsigned i = 0; i < 1000; i++) CHECK(!refuses("10.0.0.1", false, 2 * SECOND - 1) && !telling.told);
    CHECK(!refuses("10.0.0.1", false, 2 * SECOND) && telling.told);
    CHECK_INT(telling.untold, 1000);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(of_one_address), TEST(of_all), TEST(wrong_cookies), TEST(many_addresses), TEST(lines), {0}});
}
