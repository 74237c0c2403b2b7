/* SPDX-License-Identifier: Apache-2.0
 * The fuzzer's corpus as a test: each line of a file of hexadecimal digits, all beginnings of it, and each with one bit turned.
 *
 *   corpus FILE     # begins a comment */
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 5000u

static const char *path;

/* In a block of its own size, so that reading on is seen. */
static void one_input(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    if (size) memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t digits(const char *line, uint8_t *to) {
    size_t size = 0;
    unsigned byte = 0;
    int used = 0;
    for (const char *at = line; *at && *at != '#'; at += used) {
        if (sscanf(at, " %2x%n", &byte, &used) != 1) break;
        CHECK(size < BYTES_MAX);
        to[size++] = (uint8_t)byte;
    }
    return size;
}

static void each(void (*run)(uint8_t *bytes, size_t size)) {
    static char line[2 * BYTES_MAX + 200];
    static uint8_t bytes[BYTES_MAX];
    size_t lines = 0;
    FILE *file = fopen(path, "r");
    CHECK(file);
    while (fgets(line, sizeof line, file)) {
        size_t size = digits(line, bytes);
        if (size == 0) continue;
        run(bytes, size);
        lines++;
    }
    fclose(file);
    CHECK(lines > 50); /* it is the corpus */
}

static void run_whole(uint8_t *bytes, size_t size) { one_input(bytes, size); }

static void run_beginnings(uint8_t *bytes, size_t size) {
    for (size_t n = 0; n < size; n++) one_input(bytes, n);
}

static void run_turned(uint8_t *bytes, size_t size) {
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        one_input(bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void as_it_is(void) { each(run_whole); }
static void beginnings(void) { each(run_beginnings); }
static void bits_turned(void) { each(run_turned); }

int main(int argc, char **argv) {
    CHECK(argc > 1);
    path = argv[1];
    return check_main(argc - 1, argv + 1, (struct check_test[]){TEST(as_it_is), TEST(beginnings), TEST_SLOW(bits_turned, 600), {0}});
}
