/* SPDX-License-Identifier: Apache-2.0
 * Binaries: shared memory with a count, bits that start anywhere, UTF-8. */
#include <string.h>

#include "base/lock.h"
#include "term/term.h"

struct mt_bin *mt_bin_new(size_t size) {
    if (size > SIZE_MAX / 16) return NULL;
    struct mt_bin *bin = mt_os_alloc(sizeof *bin + size);
    if (!bin) return NULL;
    atomic_init(&bin->refs, 1);
    bin->size = size;
    bin->data = (const uint8_t *)(bin + 1);
    bin->release = NULL;
    bin->context = NULL;
    return bin;
}

void mt_bin_drop(struct mt_bin *bin) {
    uint64_t old = atomic_fetch_sub_explicit(&bin->refs, 1, memory_order_release);
    MT_ASSERT(old > 0);
    if (old > 1) return;
    /* Acquire by a load, not a fence: the thread sanitizer knows no fences. */
    old = atomic_load_explicit(&bin->refs, memory_order_acquire);
    MT_ASSERT(old == 0);
    mt_lock_assert_none();
    if (bin->release) bin->release((void *)(uintptr_t)bin->data, bin->context);
    mt_os_free(bin);
}

/* ----------------------------------------------------------------------------------------------- bits */

struct mt_bits mt_bits_of(uint64_t word) {
    MT_ASSERT(mt_is_bits(word));
    const uint64_t *p = mt_ptr(word);
    struct mt_bits bits = {(const uint8_t *)(p + 2), 0, p[1]};
    if (mt_header_kind(*p) >= MT_BIN_SHARED) {
        const struct mt_bin *bin = (const struct mt_bin *)(uintptr_t)p[3];
        MT_ASSERT((p[1] + p[2] + 7) / 8 <= bin->size);
        bits.data = bin->data + p[2] / 8;
        bits.first = p[2] % 8;
    }
    return bits;
}

uint8_t mt_bits_byte(const struct mt_bits *bits, uint64_t i) {
    uint64_t left = bits->count - 8 * i;
    MT_ASSERT(8 * i < bits->count && bits->first < 8);
    unsigned value = (unsigned)bits->data[i] << bits->first;
    if (bits->first && left > 8 - bits->first) value |= (unsigned)bits->data[i + 1] >> (8 - bits->first);
    if (left < 8) value &= 0xff00u >> left;
    return (uint8_t)value;
}

void mt_bits_copy(const struct mt_bits *bits, uint8_t *to) {
    uint64_t bytes = (bits->count + 7) / 8, i = 0;
    if (bits->first == 0 && bits->count >= 8) {
        i = bits->count / 8;
        memcpy(to, bits->data, i);
    }
    for (; i < bytes; i++) to[i] = mt_bits_byte(bits, i);
}

/* ----------------------------------------------------------------------------------------------- UTF-8 */

/* The bytes of the code point that starts at p, with `left` bytes there; 0 when it is none. */
static size_t utf8_length(const uint8_t *p, size_t left) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n <= 1 || n > left) return n > left ? 0 : n;
    uint32_t code = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

/* How many of the first bytes are ASCII, eight at a time. */
static size_t ascii_prefix(const uint8_t *p, size_t size) {
    size_t i = 0;
    for (uint64_t eight; i + 8 <= size; i += 8) {
        memcpy(&eight, p + i, 8);
        if (eight & UINT64_C(0x8080808080808080)) break;
    }
    return i;
}

bool mt_utf8_valid(const void *data, size_t size, size_t *chars) {
    const uint8_t *p = data;
    size_t count = 0;
    for (size_t i = 0, n; i < size; i += n) {
        n = ascii_prefix(p + i, size - i);
        count += n;
        if (n) continue;
        n = utf8_length(p + i, size - i);
        if (n == 0) return false;
        count++;
    }
    if (chars) *chars = count;
    return true;
}
