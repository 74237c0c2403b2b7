/* SPDX-License-Identifier: Apache-2.0
 * OpenSSL's libcrypto is loaded when the first digest is wanted: who is no node needs none of it. */
#include "dist/digest.h"

#include <stdio.h>
#include <string.h>

#define LIBRARY "libcrypto.so.3"

typedef const void *md5_fn(void);                                                                                                /* EVP_md5() */
typedef int digest_fn(const void *data, size_t count, unsigned char *md, unsigned *size, const void *type, void *engine); /* EVP_Digest() */

bool mt_digest_there(void) { return mt_os_symbol(LIBRARY, "EVP_Digest") && mt_os_symbol(LIBRARY, "EVP_md5"); }

bool mt_digest(mote_bytes cookie, uint32_t challenge, uint8_t digest[MT_DIGEST_BYTES]) {
    char text[MT_COOKIE_MAX + 11]; /* the cookie first, then the challenge in decimal digits */
    mt_os_function *compute = mt_os_symbol(LIBRARY, "EVP_Digest"), *md5 = mt_os_symbol(LIBRARY, "EVP_md5");
    MT_ASSERT(cookie.size <= MT_COOKIE_MAX);
    if (!compute || !md5) return false;
    memcpy(text, cookie.data, cookie.size);
    int n = snprintf(text + cookie.size, 11, "%u", challenge);
    MT_ASSERT(n > 0 && n < 11);
    unsigned size = 0;
    int done = ((digest_fn *)compute)(text, cookie.size + (size_t)n, digest, &size, ((md5_fn *)md5)(), NULL);
    mt_digest_wipe(text, sizeof text);
    return done == 1 && size == MT_DIGEST_BYTES;
}

bool mt_digest_same(const uint8_t a[MT_DIGEST_BYTES], const uint8_t b[MT_DIGEST_BYTES]) {
    volatile uint8_t differs = 0;
    for (size_t i = 0; i < MT_DIGEST_BYTES; i++) differs |= (uint8_t)(a[i] ^ b[i]);
    return differs == 0;
}

void mt_digest_wipe(void *secret, size_t size) { explicit_bzero(secret, size); }
