/* SPDX-License-Identifier: Apache-2.0
 * The cookie: read from a file that nobody else can read, made when there is none. It is never written anywhere else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/node.h"

#define RANDOM_WORDS 4u /* 64 digits */
#define WEAK_BELOW 20u  /* characters; all defaults that are known are shorter */

static mote_err make(const char *path) {
    char text[16 * RANDOM_WORDS + 1];
    for (unsigned i = 0; i < RANDOM_WORDS; i++) snprintf(text + 16 * i, 17, "%016llx", (unsigned long long)mt_os_random());
    mote_err err = mt_os_secret_make(path, text, sizeof text - 1);
    mt_digest_wipe(text, sizeof text);
    return err;
}

/* Where it is; false: there is no home directory to look in. */
static bool find(const char *file, char path[1024]) {
    const char *home = getenv("HOME"), *set = getenv("MOTE_COOKIE_FILE");
    if (!file && set && *set) file = set;
    int n = file ? snprintf(path, 1024, "%s", file) : home ? snprintf(path, 1024, "%s/.erlang.cookie", home) : -1;
    return n > 0 && n < 1024;
}

bool mt_cookie_is_weak(const char *cookie) {
    size_t size = strlen(cookie), capitals = strspn(cookie, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return size < WEAK_BELOW || (size == WEAK_BELOW && capitals == size);
}

static bool fits(const char *cookie, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (cookie[i] < '!' || cookie[i] > '~') return false;
    return size > 0 && size <= MT_COOKIE_MAX;
}

mote_err mt_cookie_read(const char *file, char cookie[MT_COOKIE_MAX + 1], char *why, size_t size) {
    char path[1024], text[MT_COOKIE_MAX + 3];
    size_t n = 0;
    if (!find(file, path)) {
        snprintf(why, size, "no cookie: give one, or name a file, or set HOME");
        return MOTE_EARG;
    }
    mote_err err = mt_os_secret_read(path, false, text, sizeof text, &n);
    if (err == MOTE_ENOPROC && !(err = make(path))) err = mt_os_secret_read(path, false, text, sizeof text, &n);
    if (err) snprintf(why, size, "cookie file %s: %s", path, err == MOTE_EARG ? "it has to be a regular file of your own that nobody else may read (chmod 400), of 255 bytes at most" : "it cannot be read");
    while (!err && n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    if (!err && !fits(text, n)) {
        snprintf(why, size, "cookie file %s: a cookie is 1 to 255 printable characters without blanks", path);
        err = MOTE_EARG;
    }
    if (!err) {
        memcpy(cookie, text, n);
        cookie[n] = 0;
    }
    mt_digest_wipe(text, sizeof text);
    return err;
}
