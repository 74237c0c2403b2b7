/* SPDX-License-Identifier: Apache-2.0
 * Error codes: names and texts, from err.def. */
#include "base/os.h"

/* The codes as err.def orders them; each must be the one of mote.h, and none may be missing at the end. */
enum err_order {
#define X(code, text) ORDER_##code,
#include "base/err.def"
#undef X
    ORDER_COUNT
};
#define X(code, text) _Static_assert((int)MOTE_##code == (int)ORDER_##code, "mote.h and err.def order " #code " differently");
#include "base/err.def"
#undef X
_Static_assert((int)ORDER_COUNT == (int)MOTE_ECALL + 1, "the last code of mote.h is not the last of err.def");

static const struct {
    const char *name, *text;
} errs[ORDER_COUNT] = {
#define X(code, text) {"MOTE_" #code, text},
#include "base/err.def"
#undef X
};

const char *mote_err_name(mote_err err) {
    return (unsigned)err < ORDER_COUNT ? errs[err].name : "MOTE_?";
}

const char *mote_err_text(mote_err err) {
    return (unsigned)err < ORDER_COUNT ? errs[err].text : "unknown error code: the library may be newer than the header";
}

const char *mote_version(void) {
    return MOTE_VERSION;
}
