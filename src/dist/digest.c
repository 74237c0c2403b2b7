/* SPDX-License-Identifier: Apache-2.0 */
#include "dist/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

bool mt_digest(mote_bytes cookie, uint32_t challenge, uint8_t digest[MT_DIGEST_BYTES]) {
    char text[MT_COOKIE_MAX + 11]; /* the cookie first, then the challenge in decimal digits */
    MT_ASSERT(cookie.size <= MT_COOKIE_MAX);
    memcpy(text, cookie.data, cookie.size);
    int n = snprintf(text + cookie.size, 11, "%u", challenge);
    MT_ASSERT(n > 0 && n < 11);
    unsigned size = 0;
    int done = EVP_Digest(text, cookie.size + (size_t)n, digest, &size, EVP_md5(), NULL);
    mt_digest_wipe(text, sizeof text);
    return done == 1 && size == MT_DIGEST_BYTES;
}

bool mt_digest_same(const uint8_t a[MT_DIGEST_BYTES], const uint8_t b[MT_DIGEST_BYTES]) { return CRYPTO_memcmp(a, b, MT_DIGEST_BYTES) == 0; }

void mt_digest_wipe(void *secret, size_t size) { OPENSSL_cleanse(secret, size); }
