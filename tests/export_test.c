/* SPDX-License-Identifier: Apache-2.0
 * Functions that are known by name, and processes that are started in them. */
#include "live.h"

#include <string.h>

/* Some of these processes end badly on purpose. */
static void quiet(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }
static void spawn_by_name_with(unsigned schedulers, live_body *body) {
    run_with((mote_options){.schedulers = schedulers, .log = quiet}, body);
}

static void exported(mote_self *self, mote_term arg) { CHECK_OK(mote_send(self, pid_of(arg), "from_exported")); }
static void exported_too(mote_self *self, mote_term arg) { (void)self, (void)arg; }
static int by_name(mote_self *self, void *context) {
    mote_atom m = mote_atom_make("some_module"), f = mote_atom_make("some_function"), counted;
    mote_arena *a = mote_arena_new(0);
    mote_term fun = mote_function_make(a, m, f, 1), two = mote_function_make(a, m, f, 2), none = mote_function_make(a, f, m, 1), why;
    mote_ref ref;
    mote_spawn_options options = {.monitor = &ref}, set = {.body = exported};
    (void)context;
    CHECK_OK(mote_atom_get(mote_atom_make_counted(a, "from_outside", 12), &counted));
    CHECK_INT(mote_export(NULL, m, f, exported), MOTE_ESELF);
    CHECK_INT(mote_export(self, m, f, NULL), MOTE_EARG);
    CHECK_INT(mote_export(self, counted, f, exported), MOTE_EARG);
    CHECK_INT(mote_export(self, m, (mote_atom){0}, exported), MOTE_EARG);
    CHECK_OK(mote_export(self, m, f, exported));
    CHECK_OK(mote_export(self, m, f, exported)); /* the same again */
    CHECK_INT(mote_export(self, m, f, exported_too), MOTE_EBUSY);
    CHECK_INT(mote_spawn_exported(NULL, fun, NULL, MOTE_TERM_NIL, NULL), MOTE_ESELF);
    CHECK_INT(mote_spawn_exported(self, two, NULL, MOTE_TERM_NIL, NULL), MOTE_ETERM);
    CHECK_INT(mote_spawn_exported(self, atom("f"), NULL, MOTE_TERM_NIL, NULL), MOTE_ETERM);
    CHECK_INT(mote_spawn_exported(self, none, NULL, MOTE_TERM_NONE, NULL), MOTE_ETERM);
    CHECK_INT(mote_spawn_exported(self, fun, &set, MOTE_TERM_NIL, NULL), MOTE_EARG);
    CHECK_OK(mote_spawn_exported(self, fun, &options, self_term(self), NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "from_exported"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, normal}", ref));
    CHECK_OK(mote_spawn_exported(self, none, &options, self_term(self), NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{'DOWN', ^, process, _, ?}", ref, &why));
    mote_bytes name;
    CHECK(mote_match(why, "{error, undef, {?, 0}}", &name) && name.size == 27 && memcmp(name.data, "some_function:some_module/1", 27) == 0);
    mote_arena_free(a);
    return 0;
}
static void spawn_by_name(void) { spawn_by_name_with(1, by_name); }
static void spawn_by_name_2(void) { spawn_by_name_with(2, by_name); }

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST_ONE_AND_TWO(spawn_by_name), {0}});
}
