/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <stdlib.h>

#include "check.h"

#define MANY 100000u

static void holds_what_was_put_in(void) {
    struct mt_hash hash;
    struct mt_node *nodes = calloc(MANY, sizeof *nodes);
    CHECK(nodes && mt_hash_init(&hash) == MOTE_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        nodes[i].key = (uint64_t)i << 3 | 3;
        CHECK(!*mt_hash_find(&hash, nodes[i].key));
        mt_hash_insert(&hash, &nodes[i]);
    }
    CHECK_INT(hash.count, MANY);
    CHECK(hash.buckets >= MANY);
    for (uint32_t i = 0; i < MANY; i++) CHECK(*mt_hash_find(&hash, nodes[i].key) == &nodes[i]);
    for (uint32_t i = 0; i < MANY; i += 2) CHECK(mt_hash_remove(&hash, mt_hash_find(&hash, nodes[i].key)) == &nodes[i]);
    for (uint32_t i = 0; i < MANY; i++) CHECK((*mt_hash_find(&hash, nodes[i].key) != NULL) == (i % 2 == 1));
    uint32_t popped = 0;
    for (struct mt_node *n; (n = mt_hash_pop(&hash)); popped++) CHECK((n - nodes) % 2 == 1);
    CHECK_INT(popped, MANY / 2);
    CHECK_INT(hash.count, 0);
    mt_hash_fini(&hash);
    free(nodes);
}

static void count_one(void *context, struct mt_node *node) {
    (void)node;
    ++*(int *)context;
}

static void equal_keys(void) {
    struct mt_hash hash;
    struct mt_node nodes[3] = {{.key = 9}, {.key = 9}, {.key = 9}};
    int seen = 0;
    CHECK_OK(mt_hash_init(&hash));
    for (int i = 0; i < 3; i++) mt_hash_insert(&hash, &nodes[i]);
    CHECK(*mt_hash_find(&hash, 9) == &nodes[2]); /* the newest */
    mt_hash_each(&hash, count_one, &seen);
    CHECK_INT(seen, 3);
    CHECK(!*mt_hash_find(&hash, 8));
    mt_hash_fini(&hash);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(holds_what_was_put_in), TEST(equal_keys), {0}});
}
