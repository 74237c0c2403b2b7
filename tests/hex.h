/* SPDX-License-Identifier: Apache-2.0
 * Bytes that tests write as hexadecimal digits, and compare.
 *
 * One thread: the places of hex() are the program's.
 */
#ifndef MT_TESTS_HEX_H
#define MT_TESTS_HEX_H

#include <mote/mote.h>

#include "check.h"

/* Writes the bytes to `to`, which has room for `size_max`; gives how many they are. */
__attribute__((unused)) static size_t hex_read(const char *digits, uint8_t *to, size_t size_max) {
    size_t size = strlen(digits) / 2;
    CHECK(size <= size_max && strlen(digits) % 2 == 0);
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        CHECK(sscanf(digits + 2 * i, "%2x", &byte) == 1);
        to[i] = (uint8_t)byte;
    }
    return size;
}

/* The bytes, in one of eight places by turns: they stay until the eighth call after this one. */
__attribute__((unused)) static mote_bytes hex(const char *digits) {
    static uint8_t places[8][4096];
    static unsigned turn;
    uint8_t *p = places[turn++ % 8];
    return (mote_bytes){p, hex_read(digits, p, sizeof places[0])};
}

__attribute__((unused)) static void check_bytes(mote_bytes got, mote_bytes want) {
    CHECK_INT(got.size, want.size);
    CHECK(want.size == 0 || memcmp(got.data, want.data, want.size) == 0);
}

#endif
