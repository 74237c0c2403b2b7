/* SPDX-License-Identifier: Apache-2.0
 * What is tied and untied by which signals. */
#include "dist/bonds.h"

#include <string.h>

#include "check.h"
#include "term/term.h"

#define ONE 1u
#define TWO (2u | 1u << MT_WORKER_BITS)

static struct mt_bonds bonds;
static uint64_t pid_of(unsigned worker, uint64_t n) { return mt_pid_word(n, worker, 7); }
static struct mt_far_pid peer(uint32_t n) { return (struct mt_far_pid){.id = n, .serial = 2, .creation = 5}; }

static mote_err follow(enum mt_control_op op, uint64_t pid, uint32_t other, bool coming) {
    struct mt_control c = {.op = op, .from = peer(other), .to = peer(other), .flags = 1, .ref = {.count = 3, .words = {other, 1, 2}}};
    return mt_bonds_follow(&bonds, &c, pid, coming);
}

static size_t taken(unsigned worker) {
    size_t n = 0;
    for (struct mt_bond *t = mt_bonds_take(&bonds, worker), *next; t; t = next, n++) {
        next = t->next;
        CHECK(mt_pid_worker(t->pid) == worker);
        mt_os_free(t);
    }
    return n;
}

static void links(void) {
    static const enum mt_control_op ends[] = {MT_CONTROL_UNLINK, MT_CONTROL_EXIT};
    CHECK_OK(mt_bonds_init(&bonds));
    for (int way = 0; way < 8; way++) { /* made and ended by either side */
        CHECK_OK(follow(MT_CONTROL_LINK, pid_of(ONE, 1), 1, way & 1));
        CHECK_INT(bonds.hash.count, 1);
        CHECK_OK(follow(ends[way >> 2], pid_of(ONE, 1), 1, way & 2));
        CHECK_INT(bonds.hash.count, 0);
    }
    CHECK_OK(follow(MT_CONTROL_SPAWN_REPLY, pid_of(ONE, 1), 9, true));
    CHECK_OK(follow(MT_CONTROL_LINK, pid_of(ONE, 1), 9, false));
    CHECK_INT(bonds.hash.count, 1); /* the same */
    CHECK_OK(follow(MT_CONTROL_UNLINK_ACK, pid_of(ONE, 1), 9, true));
    CHECK_INT(bonds.hash.count, 1);
    CHECK_OK(follow(MT_CONTROL_LINK, pid_of(ONE, 2), 9, false));
    CHECK_OK(follow(MT_CONTROL_LINK, pid_of(TWO, 1), 9, true));
    CHECK_OK(follow(MT_CONTROL_LINK, pid_of(2, 1), 9, true)); /* an earlier incarnation */
    CHECK_INT(taken(TWO), 1);
    CHECK_INT(taken(ONE), 2);
    CHECK_INT(bonds.hash.count, 1);
    mt_bonds_fini(&bonds);
}

static void monitors(void) {
    CHECK_OK(mt_bonds_init(&bonds));
    const struct mt_far_ref ref = {.count = 3, .words = {4, 1, 2}}, other = {.count = 3, .words = {5, 1, 2}};
    struct mt_control c = {.op = MT_CONTROL_MONITOR, .from = peer(1), .ref = ref, .named = true, .name = {"name", 4, false}};
    CHECK_OK(mt_bonds_follow(&bonds, &c, pid_of(TWO, 3), true));
    for (int i = 0; i < 2; i++) { /* the worker's own, of the same number */
        CHECK_OK(follow(MT_CONTROL_MONITOR, pid_of(TWO, 3), 4, false));
        CHECK_INT(bonds.hash.count, 2);
        CHECK_OK(i ? follow(MT_CONTROL_DOWN, pid_of(TWO, 3), 4, true) : follow(MT_CONTROL_DEMONITOR, pid_of(TWO, 3), 4, false));
        CHECK_INT(bonds.hash.count, 1);
    }
    CHECK(mt_bonds_watched(&bonds, &ref) == pid_of(TWO, 3) && mt_bonds_watched(&bonds, &other) == 0);
    CHECK_OK(follow(MT_CONTROL_MONITOR, pid_of(ONE, 3), 5, true));
    CHECK_OK(follow(MT_CONTROL_DOWN, 0, 5, false));
    CHECK_OK(follow(MT_CONTROL_MONITOR, pid_of(ONE, 3), 5, true));
    CHECK_OK(follow(MT_CONTROL_DEMONITOR, 0, 5, true));
    CHECK_INT(bonds.hash.count, 1);
    struct mt_bond *t = mt_bonds_take(&bonds, TWO);
    CHECK(t && !t->next && t->kind == MT_BOND_WATCHED && t->name.size == 4 && memcmp(t->name.data, "name", 4) == 0 && t->peer.id == 1 && t->ref.words[0] == 4);
    mt_os_free(t);
    c = (struct mt_control){.op = MT_CONTROL_SPAWN_REPLY, .from = peer(1), .flags = 3, .ref = ref};
    CHECK_OK(mt_bonds_follow(&bonds, &c, pid_of(TWO, 3), true));
    CHECK_INT(bonds.hash.count, 2);
    CHECK_INT(taken(TWO), 2);
    mt_bonds_fini(&bonds);
    mt_bonds_fini(&(struct mt_bonds){0});
}

static void many(void) {
    CHECK_OK(mt_bonds_init(&bonds));
    for (uint32_t i = 0; i < 1000; i++) CHECK_OK(follow(i % 2 ? MT_CONTROL_LINK : MT_CONTROL_MONITOR, pid_of(i % 3 ? ONE : TWO, i), i, true));
    CHECK_INT(bonds.hash.count, 1000);
    CHECK_INT(taken(TWO), 334);
    for (uint32_t i = 0; i < 1000; i++) CHECK_OK(follow(i % 2 ? MT_CONTROL_EXIT : MT_CONTROL_DEMONITOR, pid_of(ONE, i), i, true));
    CHECK_INT(bonds.hash.count, 0);
    mt_bonds_fini(&bonds);
}

int main(int argc, char **argv) { return check_main(argc, argv, (struct check_test[]){TEST(links), TEST(monitors), TEST(many), {0}}); }
