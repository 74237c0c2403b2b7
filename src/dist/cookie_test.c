/* SPDX-License-Identifier: Apache-2.0
 * The cookie's file: what is refused, what is made; and which cookies are weak. */
#include <stdlib.h>
#include <sys/stat.h>

#include "check.h"
#include "dist/node.h"

static char folder[200], path[300], cookie[MT_COOKIE_MAX + 1], why[200];

static void begin(void) {
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/cookieXXXXXX", temporary ? temporary : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/cookie", folder);
}

static void end(void) {
    CHECK_INT(chmod(folder, 0700), 0);
    (void)unlink(path);
    CHECK_INT(rmdir(folder), 0);
}

static void put(const char *text, size_t size, mode_t mode) {
    (void)unlink(path);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(text, 1, size, f) == size);
    CHECK_INT(fclose(f), 0);
    CHECK_INT(chmod(path, mode), 0);
}

static mote_err reads(void) { return mt_cookie_read(path, cookie, why, sizeof why); }

static void is_refused(const char *says) {
    why[0] = 0;
    CHECK_INT(reads(), MOTE_EARG);
    CHECK(strstr(why, says));
    CHECK(!strstr(why, "hidden_text")); /* never in words */
}

static void files(void) {
    static char large[1 << 20];
    char target[310];
    begin();
    put("hidden_text_of_the_cookie\r\n\n", 28, 0400);
    CHECK_OK(reads());
    CHECK_STR(cookie, "hidden_text_of_the_cookie");
    for (mode_t more = 1; more < 0100; more <<= 1) {
        put("hidden_text", 11, 0400 | more);
        is_refused("nobody else may read");
    }
    memset(large, 'x', sizeof large);
    put(large, sizeof large, 0400);
    is_refused("255 bytes at most");
    put(large, MT_COOKIE_MAX, 0400);
    CHECK_OK(reads());
    put(large, MT_COOKIE_MAX + 1, 0400);
    is_refused("1 to 255");
    put("", 0, 0400);
    is_refused("1 to 255");
    put("hidden_text with a blank", 24, 0400);
    is_refused("printable characters without blanks");
    (void)unlink(path);
    CHECK_INT(mkfifo(path, 0400), 0);
    is_refused("regular file"); /* and does not wait for a writer */
    (void)unlink(path);
    snprintf(target, sizeof target, "%s.target", path);
    put("hidden_text", 11, 0400);
    CHECK_INT(rename(path, target), 0);
    CHECK_INT(symlink(target, path), 0);
    is_refused("regular file");
    CHECK_INT(unlink(target), 0);
    if (geteuid() == 0) { /* only then there is another owner */
        put("hidden_text", 11, 0400);
        CHECK_INT(chown(path, 65534, 65534), 0);
        is_refused("of your own");
    }
    end();
}

/* One that is made is random, readable for its owner alone, and the same the next time. */
static void made(void) {
    char first[MT_COOKIE_MAX + 1];
    struct stat of;
    begin();
    CHECK_OK(reads());
    memcpy(first, cookie, sizeof first);
    CHECK_INT(strlen(first), 64);
    CHECK_INT(strspn(first, "0123456789abcdef"), 64);
    CHECK_INT(stat(path, &of), 0);
    CHECK_INT(of.st_mode & 0777, 0400);
    CHECK_OK(reads());
    CHECK_STR(cookie, first);
    CHECK(!mt_cookie_is_weak(cookie));
    (void)unlink(path);
    CHECK_OK(reads());
    CHECK(strcmp(cookie, first) != 0);
    end();
}

static void weak(void) {
    static const char *const bad[] = {"", "cookie", "secret", "monster", "COOKIE", "rabbit", "nineteen_characters", "ABCDEFGHIJKLMNOPQRST"};
    static const char *const good[] = {"abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOPQRS7", "ABCDEFGHIJKLMNOPQRSTU"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(mt_cookie_is_weak(bad[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(!mt_cookie_is_weak(good[i]));
}

int main(int argc, char **argv) { return check_main(argc, argv, (struct check_test[]){TEST(files), TEST(made), TEST(weak), {0}}); }
