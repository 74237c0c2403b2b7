/* SPDX-License-Identifier: Apache-2.0
 * Names and texts of error codes. */
#include "base/os.h"
#include "check.h"

static void names_and_texts(void) {
    CHECK_STR(mote_err_name(MOTE_OK), "MOTE_OK");
    CHECK_STR(mote_err_name(MOTE_ENOMEM), "MOTE_ENOMEM");
    CHECK_STR(mote_err_name(MOTE_EOS), "MOTE_EOS");
    CHECK_STR(mote_err_text(MOTE_OK), "no error");
    for (int e = MOTE_OK; e <= MOTE_ECALL; e++) {
        CHECK(strncmp(mote_err_name((mote_err)e), "MOTE_", 5) == 0);
        CHECK(strlen(mote_err_text((mote_err)e)) > 5);
    }
}

static void numbers_that_are_no_codes(void) {
    const int no_codes[] = {-1, MOTE_ECALL + 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof no_codes / sizeof *no_codes; i++) {
        CHECK_STR(mote_err_name((mote_err)no_codes[i]), "MOTE_?");
        CHECK(strlen(mote_err_text((mote_err)no_codes[i])) > 5);
    }
}

static void version(void) {
    CHECK_STR(mote_version(), MOTE_VERSION);
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(names_and_texts), TEST(numbers_that_are_no_codes), TEST(version), {0}});
}
