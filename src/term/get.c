/* SPDX-License-Identifier: Apache-2.0
 * Accessors: what a term is and what is in it. */
#include <string.h>

#include "term/term.h"

static bool is_kind(mote_term term, enum mt_kind kind) {
    return term.word && mt_tag(term.word) == MT_BOXED && mt_header_kind(*mt_ptr(term.word)) == kind;
}

static mote_type boxed_type(const uint64_t *p) {
    switch (mt_header_kind(*p)) {
    case MT_TUPLE: return MOTE_TUPLE;
    case MT_MAP: return MOTE_MAP;
    case MT_FUN:
    case MT_OPAQUE:
    case MT_HOST: return MOTE_FUNCTION;
    case MT_FLOAT: return MOTE_FLOAT;
    case MT_BIG:
    case MT_BIG_NEG: return MOTE_INTEGER;
    case MT_BIN:
    case MT_BIN_SHARED: return p[1] % 8 ? MOTE_BITSTRING : MOTE_BINARY;
    case MT_TEXT:
    case MT_TEXT_SHARED: return MOTE_TEXT;
    case MT_PID_FAR: return MOTE_PID;
    case MT_PORT_FAR: return MOTE_PORT;
    case MT_REF_FAR: return MOTE_REFERENCE;
    }
    return MOTE_NONE;
}

mote_type mote_term_type(mote_term term) {
    switch ((enum mt_tag)mt_tag(term.word)) {
    case MT_BOXED: return term.word ? boxed_type(mt_ptr(term.word)) : MOTE_NONE;
    case MT_SMALL: return MOTE_INTEGER;
    case MT_ATOM: return MOTE_ATOM;
    case MT_PID: return MOTE_PID;
    case MT_REF: return MOTE_REFERENCE;
    case MT_CONS: return MOTE_LIST;
    case MT_NIL_TAG: return MOTE_NIL;
    case MT_HEADER: break;
    }
    return MOTE_NONE;
}

/* --------------------------------------------------------------------------------------------- numbers */

/* A big integer's limbs; false when the term is none. */
static bool big_of(mote_term term, const uint64_t **limbs, uint64_t *count, bool *negative) {
    if (!is_kind(term, MT_BIG) && !is_kind(term, MT_BIG_NEG)) return false;
    const uint64_t *p = mt_ptr(term.word);
    *limbs = p + 1;
    *count = mt_header_words(*p);
    *negative = mt_header_kind(*p) == MT_BIG_NEG;
    MT_ASSERT(*count > 0 && p[*count] != 0);
    return true;
}

mote_err mote_int_get(mote_term term, int64_t *value) {
    const uint64_t *limbs;
    uint64_t count;
    bool negative;
    if (mt_tag(term.word) == MT_SMALL) {
        *value = mt_small_value(term.word);
        return MOTE_OK;
    }
    if (!big_of(term, &limbs, &count, &negative)) return MOTE_ETERM;
    if (count > 1 || limbs[0] > (uint64_t)INT64_MAX + negative) return MOTE_ERANGE;
    *value = (int64_t)(negative ? 0 - limbs[0] : limbs[0]);
    return MOTE_OK;
}

mote_err mote_uint_get(mote_term term, uint64_t *value) {
    const uint64_t *limbs;
    uint64_t count;
    bool negative;
    if (mt_tag(term.word) == MT_SMALL) {
        int64_t small = mt_small_value(term.word);
        if (small < 0) return MOTE_ERANGE;
        *value = (uint64_t)small;
        return MOTE_OK;
    }
    if (!big_of(term, &limbs, &count, &negative)) return MOTE_ETERM;
    if (count > 1 || negative) return MOTE_ERANGE;
    *value = limbs[0];
    return MOTE_OK;
}

mote_err mote_big_get(mote_term term, bool *negative, void *magnitude, size_t capacity, size_t *size) {
    const uint64_t *limbs;
    uint64_t count, one;
    bool minus;
    if (mt_tag(term.word) == MT_SMALL) {
        int64_t small = mt_small_value(term.word);
        minus = small < 0;
        one = minus ? 0 - (uint64_t)small : (uint64_t)small;
        limbs = &one;
        count = small != 0;
    } else if (!big_of(term, &limbs, &count, &minus)) {
        return MOTE_ETERM;
    }
    size_t bytes = count ? 8 * count - (size_t)__builtin_clzll(limbs[count - 1]) / 8 : 0;
    *size = bytes;
    if (bytes > capacity) return MOTE_ERANGE;
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)magnitude)[i] = (uint8_t)(limbs[i / 8] >> i % 8 * 8);
    *negative = minus;
    return MOTE_OK;
}

/* A big integer as a double, when its highest 53 bits are all it has. */
static bool big_double(const uint64_t *limbs, uint64_t count, bool negative, double *value) {
    int zeros = __builtin_clzll(limbs[count - 1]);
    uint64_t high = limbs[count - 1] << zeros, length = 64 * count - (uint64_t)zeros, low = 0;
    if (length > 1024) return false;
    for (uint64_t i = 0; i + 2 < count; i++) low |= limbs[i];
    if (count > 1) {
        high |= zeros ? limbs[count - 2] >> (64 - zeros) : 0;
        low |= limbs[count - 2] << zeros;
    }
    if (low || high & 2047) return false;
    uint64_t bits = (high >> 11 & (((uint64_t)1 << 52) - 1)) | (length + 1022) << 52 | (uint64_t)negative << 63;
    memcpy(value, &bits, sizeof bits);
    return true;
}

mote_err mote_float_get(mote_term term, double *value) {
    const uint64_t *limbs;
    uint64_t count;
    bool negative;
    if (is_kind(term, MT_FLOAT)) {
        memcpy(value, mt_ptr(term.word) + 1, sizeof *value);
        return MOTE_OK;
    }
    if (mt_tag(term.word) == MT_SMALL) {
        int64_t small = mt_small_value(term.word);
        double d = (double)small; /* below 2^60: back is safe */
        if ((int64_t)d != small) return MOTE_ERANGE;
        *value = d;
        return MOTE_OK;
    }
    if (!big_of(term, &limbs, &count, &negative)) return MOTE_ETERM;
    return big_double(limbs, count, negative, value) ? MOTE_OK : MOTE_ERANGE;
}

/* --------------------------------------------------------------------------------------- names and bits */

mote_err mote_atom_get(mote_term term, mote_atom *value) {
    if (mt_tag(term.word) != MT_ATOM) return MOTE_ETERM;
    value->word = term.word;
    return MOTE_OK;
}

mote_err mote_pid_get(mote_term term, mote_pid *value) {
    if (mt_tag(term.word) != MT_PID && !is_kind(term, MT_PID_FAR)) return MOTE_ETERM;
    value->word = term.word;
    return MOTE_OK;
}

mote_err mote_ref_get(mote_term term, mote_ref *value) {
    if (mt_tag(term.word) != MT_REF && !is_kind(term, MT_REF_FAR)) return MOTE_ETERM;
    value->word = term.word;
    return MOTE_OK;
}

mote_err mote_bytes_get(mote_term term, mote_bytes *value) {
    if (!mt_is_bits(term.word)) return MOTE_ETERM;
    struct mt_bits bits = mt_bits_of(term.word);
    if (bits.first || bits.count % 8) return MOTE_ETERM;
    value->data = bits.data;
    value->size = bits.count / 8;
    return MOTE_OK;
}

mote_err mote_bits_get(mote_term term, void *data, size_t capacity, size_t *count) {
    if (!mt_is_bits(term.word)) return MOTE_ETERM;
    struct mt_bits bits = mt_bits_of(term.word);
    *count = bits.count;
    if ((bits.count + 7) / 8 > capacity) return MOTE_ERANGE;
    mt_bits_copy(&bits, data);
    return MOTE_OK;
}

mote_err mote_function_get(mote_term term, mote_atom *module, mote_atom *function, unsigned *arity) {
    if (!is_kind(term, MT_FUN)) return MOTE_ETERM;
    const uint64_t *p = mt_ptr(term.word);
    module->word = p[1];
    function->word = p[2];
    *arity = (unsigned)mt_small_value(p[3]);
    return MOTE_OK;
}

/* -------------------------------------------------------------------------------------- compound terms */

mote_err mote_tuple_size(mote_term term, size_t *size) {
    if (!is_kind(term, MT_TUPLE)) return MOTE_ETERM;
    *size = mt_header_words(*mt_ptr(term.word));
    return MOTE_OK;
}

mote_err mote_tuple_get(mote_term term, size_t index, mote_term *element) {
    if (!is_kind(term, MT_TUPLE)) return MOTE_ETERM;
    const uint64_t *p = mt_ptr(term.word);
    if (index >= mt_header_words(*p)) return MOTE_ERANGE;
    element->word = p[1 + index];
    return MOTE_OK;
}

mote_err mote_list_get(mote_term term, mote_term *head, mote_term *tail) {
    if (mt_tag(term.word) != MT_CONS) return MOTE_ETERM;
    const uint64_t *p = mt_ptr(term.word);
    if (head) head->word = p[0];
    if (tail) tail->word = p[1];
    return MOTE_OK;
}

mote_err mote_list_length(mote_term term, size_t *length) {
    uint64_t word = term.word;
    size_t n = 0;
    for (; mt_tag(word) == MT_CONS; n++) word = mt_ptr(word)[1];
    if (word != MT_NIL_WORD) return MOTE_ETERM;
    *length = n;
    return MOTE_OK;
}

mote_err mote_map_size(mote_term term, size_t *size) {
    if (!is_kind(term, MT_MAP)) return MOTE_ETERM;
    *size = mt_header_words(*mt_ptr(term.word)) / 2;
    return MOTE_OK;
}

bool mt_map_find(uint64_t map, uint64_t key, size_t *index) {
    const uint64_t *p = mt_ptr(map);
    size_t low = 0, high = mt_header_words(*p) / 2;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = mt_term_compare_keys(p[1 + middle], key);
        if (order == 0) {
            *index = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *index = low;
    return false;
}

mote_err mote_map_get(mote_term map, mote_term key, mote_term *value) {
    size_t index;
    if (!is_kind(map, MT_MAP)) return MOTE_ETERM;
    if (!mt_map_find(map.word, key.word, &index)) return MOTE_NOMATCH;
    const uint64_t *p = mt_ptr(map.word);
    value->word = p[1 + mt_header_words(*p) / 2 + index];
    return MOTE_OK;
}

mote_err mote_map_at(mote_term map, size_t index, mote_term *key, mote_term *value) {
    if (!is_kind(map, MT_MAP)) return MOTE_ETERM;
    const uint64_t *p = mt_ptr(map.word);
    size_t n = mt_header_words(*p) / 2;
    if (index >= n) return MOTE_ERANGE;
    if (key) key->word = p[1 + index];
    if (value) value->word = p[1 + n + index];
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- objects of a host */

mote_term mote_host_box_term(mote_host_box *box, const mote_host_kind *kind, void *object) {
    return mt_host_put(box->word, kind, object);
}

void *mote_host_object(mote_term term, const mote_host_kind *kind) {
    const uint64_t *p = term.word && mt_tag(term.word) == MT_BOXED ? mt_ptr(term.word) : NULL;
    return p && *p == MT_HOST_HEADER && mt_host_kind(p) == kind ? (void *)(uintptr_t)p[1] : NULL;
}

/* -------------------------------------------------------------------------------------------- pids and references of other nodes */

_Static_assert(sizeof(mote_far_box) == 6 * sizeof(uint64_t), "a header, the node, what is with the count, five words in pairs");

bool mote_far_get(mote_term term, mote_far *far) {
    bool pid = is_kind(term, MT_PID_FAR);
    if (!pid && !is_kind(term, MT_REF_FAR)) return false;
    if (!far) return true;
    const uint64_t *p = mt_ptr(term.word), *raw = pid ? p + 2 : p + 3;
    *far = (mote_far){.node = {p[1]}, .creation = (uint32_t)p[pid ? 3 : 2], .count = pid ? 2 : (uint32_t)(p[2] >> 32)};
    MT_ASSERT(far->count <= 5);
    for (uint32_t i = 0; i < far->count; i++) far->words[i] = (uint32_t)(raw[i / 2] >> (32 * (i % 2)));
    return true;
}

mote_pid mote_far_pid_make(mote_far_box *box, const mote_far *far) {
    if (far->count != 2) return (mote_pid){0};
    box->word[0] = mt_header(MT_PID_FAR, 3);
    box->word[1] = far->node.word;
    box->word[2] = far->words[0] | (uint64_t)far->words[1] << 32;
    box->word[3] = far->creation;
    return (mote_pid){mt_boxed(box->word)};
}

mote_ref mote_far_ref_make(mote_far_box *box, const mote_far *far) {
    uint32_t count = far->count;
    if (count == 0 || count > 5) return (mote_ref){0};
    box->word[0] = mt_header(MT_REF_FAR, 2 + (count + 1) / 2);
    box->word[1] = far->node.word;
    box->word[2] = far->creation | (uint64_t)count << 32;
    for (uint32_t i = 0; i < count; i += 2) box->word[3 + i / 2] = far->words[i] | (i + 1 < count ? (uint64_t)far->words[i + 1] << 32 : 0);
    return (mote_ref){mt_boxed(box->word)};
}
