/* SPDX-License-Identifier: Apache-2.0
 * Guards on a kernel that has no light ones: page protections, within a budget. */
#define MT_GUARD_ADVICE 9999
#include "base/os.c"
#include "check.h"

static void guards_by_protection(void) {
    size_t page = mt_os_page_size();
    char *p = mt_os_map(20 * page);
    CHECK(p);
    CHECK_INT(mt_os_guard(p, 2 * page, 10), 10);
    CHECK_INT(atomic_load(&os.guard_kind), GUARD_PROTECT);
    int zero = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < 20; i++) CHECK(read(zero, p + (size_t)i * page, 1) == (i % 2 ? 1 : -1));
    mt_os_guard_forget(10);
    CHECK_INT(atomic_load(&os.guards), 0);
    mt_os_unmap(p, 20 * page);
}

static void protections_are_few(void) {
    size_t page = mt_os_page_size(), limit = read_number("/proc/sys/vm/max_map_count", 0, 0) / 4;
    if (getenv("MOTE_TEST_UNDER")) atomic_store(&os.guards_max, limit = 500); /* valgrind itself cannot keep so many mappings */
    size_t asked = limit + 100;
    CHECK(limit > 100 && limit < 200000);
    char *p = mt_os_map(2 * page * asked);
    CHECK(p);
    size_t first = mt_os_guard(p, 2 * page, asked);
    CHECK_INT(first, limit);
    CHECK_INT(mt_os_guard(p + 2 * page * first, 2 * page, 1), 0);
    mt_os_guard_forget(50);
    CHECK_INT(mt_os_guard(p + 2 * page * first, 2 * page, 100), 50);
    mt_os_unmap(p, 2 * page * asked);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(guards_by_protection), TEST(protections_are_few), {0}});
}
