/* SPDX-License-Identifier: Apache-2.0
 * Each public function's errors: the code, its name and text, and that a failed call leaves its results untouched. */
#include <math.h>
#include <pthread.h>
#include <sys/resource.h>

#include "live.h"

/* A call gives this error, which has its name and a sentence. */
static void gives(int line, const char *call, mote_err got, mote_err want, const char *name) {
    if (got != want) fprintf(stderr, "# line %d: %s gave %s, not %s\n", line, call, mote_err_name(got), name);
    CHECK(got == want);
    CHECK_STR(mote_err_name(got), name);
    CHECK(strlen(mote_err_text(got)) > 5);
}
#define GIVES(call, err) gives(__LINE__, #call, call, err, #err)

static void body(mote_self *self, mote_term arg) { (void)self, (void)arg; }
static void nothing(void *context) { (void)context; }
static void handle(mote_self *self, mote_term message, void *state) { (void)self, (void)message, (void)state; }
static const mote_handler idle = {.name = "idle", .handle = handle};
static bool any(mote_term message, void *context) { return (void)message, (void)context, true; }

/* ---------------------------------------------------------------------------------------------------- names */

static void names(void) {
    static const char *const all[] = {"MOTE_OK",       "MOTE_TIMEOUT", "MOTE_NOMATCH", "MOTE_ENOMEM",   "MOTE_ETERM",  "MOTE_ERANGE",
                                      "MOTE_EPATTERN", "MOTE_EHOLE",   "MOTE_ESYNTAX", "MOTE_ESELF",    "MOTE_ECONTEXT", "MOTE_ENOPROC",
                                      "MOTE_ESTOPPED", "MOTE_EFULL",   "MOTE_ELIMIT",  "MOTE_EARG",     "MOTE_EBUSY",  "MOTE_EOS",
                                      "MOTE_ENAME",    "MOTE_EEXIT",   "MOTE_ECALL"};
    for (int i = 0; i < (int)(sizeof all / sizeof *all); i++) {
        CHECK_STR(mote_err_name((mote_err)i), all[i]);
        CHECK(strlen(mote_err_text((mote_err)i)) > 5);
    }
    CHECK_INT(MOTE_ECALL, sizeof all / sizeof *all - 1);
    CHECK_STR(mote_err_name((mote_err)(MOTE_ECALL + 1)), "MOTE_?");
    CHECK_STR(mote_err_name((mote_err)1000000), "MOTE_?");
    CHECK(mote_err_text((mote_err)1000000)[0]);
    CHECK_STR(mote_version(), MOTE_VERSION);
}

/* ---------------------------------------------------------------------------------------------------- terms */

#define SENTINEL 0x5a5a5a5a

static void wrong_numbers(void) {
    static const char huge[524289] = {[524288] = 1};
    mote_arena *a = mote_arena_new(0);
    mote_term x = atom("x"), tuple = mote_tuple_make(a, 1, &x);
    int64_t i = SENTINEL;
    uint64_t u = SENTINEL;
    double d = SENTINEL;
    unsigned char bytes[4];
    size_t size = SENTINEL;
    bool negative = false;
    GIVES(mote_int_get(x, &i), MOTE_ETERM);
    GIVES(mote_int_get(MOTE_TERM_NONE, &i), MOTE_ETERM);
    GIVES(mote_int_get(mote_uint_make(a, UINT64_MAX), &i), MOTE_ERANGE);
    GIVES(mote_uint_get(mote_float_make(a, 1.0), &u), MOTE_ETERM);
    GIVES(mote_uint_get(mote_int_make(a, -1), &u), MOTE_ERANGE);
    GIVES(mote_float_get(tuple, &d), MOTE_ETERM);
    GIVES(mote_float_get(mote_uint_make(a, UINT64_MAX), &d), MOTE_ERANGE);
    CHECK(i == SENTINEL && u == SENTINEL && d == SENTINEL);
    GIVES(mote_big_get(x, &negative, bytes, 4, &size), MOTE_ETERM);
    CHECK_INT(size, SENTINEL);
    GIVES(mote_big_get(mote_uint_make(a, UINT64_MAX), &negative, bytes, 4, &size), MOTE_ERANGE);
    CHECK_INT(size, 8);
    CHECK_INT(mote_term_type(mote_float_make(a, (double)NAN)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_float_make(a, (double)INFINITY)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_big_make(a, false, huge, sizeof huge)), MOTE_NONE);
    mote_arena_free(a);
}

static void wrong_compounds(void) {
    mote_arena *a = mote_arena_new(0);
    mote_term x = atom("x"), tuple = mote_tuple_make(a, 1, &x), head = x, tail = x, improper = mote_cons_make(a, x, x);
    mote_term map = mote_map_make(a, 1, &x, &x), value = x;
    size_t size = SENTINEL;
    GIVES(mote_tuple_size(x, &size), MOTE_ETERM);
    GIVES(mote_tuple_get(x, 0, &value), MOTE_ETERM);
    GIVES(mote_tuple_get(tuple, 1, &value), MOTE_ERANGE);
    GIVES(mote_tuple_get(tuple, SIZE_MAX, &value), MOTE_ERANGE);
    GIVES(mote_list_get(MOTE_TERM_NIL, &head, &tail), MOTE_ETERM);
    GIVES(mote_list_get(x, NULL, NULL), MOTE_ETERM);
    GIVES(mote_list_length(improper, &size), MOTE_ETERM);
    GIVES(mote_list_length(x, &size), MOTE_ETERM);
    GIVES(mote_map_size(tuple, &size), MOTE_ETERM);
    GIVES(mote_map_get(tuple, x, &value), MOTE_ETERM);
    GIVES(mote_map_get(map, tuple, &value), MOTE_NOMATCH);
    GIVES(mote_map_at(tuple, 0, &head, &tail), MOTE_ETERM);
    GIVES(mote_map_at(map, 1, &head, &tail), MOTE_ERANGE);
    CHECK(mote_term_same(head, x) && mote_term_same(tail, x) && mote_term_same(value, x) && size == SENTINEL);
    CHECK_INT(mote_term_type(mote_map_put(a, tuple, x, x)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_map_put(a, map, MOTE_TERM_NONE, x)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_cons_make(a, MOTE_TERM_NONE, x)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_list_make(a, 1, &(mote_term){0}, MOTE_TERM_NIL)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_tuple_make(a, 1, &(mote_term){0})), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_tuple_make(a, (size_t)1 << 24, &x)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_tuple_make(a, SIZE_MAX, &x)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_function_make(a, mote_atom_make("m"), mote_atom_make("f"), 256)), MOTE_NONE);
    mote_arena_free(a);
}

static void wrong_scalars(void) {
    mote_arena *a = mote_arena_new(0);
    mote_term x = atom("x"), n = mote_int_make(a, 1);
    mote_atom name;
    mote_pid pid;
    mote_ref ref;
    mote_bytes bytes;
    unsigned arity;
    char data[1];
    size_t bits = SENTINEL;
    GIVES(mote_atom_get(n, &name), MOTE_ETERM);
    GIVES(mote_pid_get(x, &pid), MOTE_ETERM);
    GIVES(mote_ref_get(x, &ref), MOTE_ETERM);
    GIVES(mote_bytes_get(x, &bytes), MOTE_ETERM);
    GIVES(mote_bytes_get(mote_bitstring_make(a, "\xff", 3), &bytes), MOTE_ETERM);
    GIVES(mote_bits_get(n, data, 1, &bits), MOTE_ETERM);
    CHECK_INT(bits, SENTINEL);
    GIVES(mote_bits_get(mote_binary_make(a, "xyz", 3), data, 1, &bits), MOTE_ERANGE);
    CHECK_INT(bits, 24);
    GIVES(mote_function_get(n, &name, &name, &arity), MOTE_ETERM);
    CHECK_INT(mote_atom_make("\xff").word, 0);
    CHECK_INT(mote_term_type(mote_atom_make_counted(a, "\xff", 1)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_text_make(a, "\xff", 1)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_binary_part(a, mote_binary_make(a, "xyz", 3), 2, 2)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_binary_part(a, mote_binary_make(a, "xyz", 3), 2, SIZE_MAX)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_binary_part(a, n, 0, 0)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_binary_make(a, "x", SIZE_MAX)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_term_copy(a, MOTE_TERM_NONE)), MOTE_NONE);
    mote_arena_free(a);
    mote_arena_free(NULL);
}

static void full_arena(void) {
    static char big[100000];
    mote_arena *a = mote_arena_new(1000);
    mote_term t = MOTE_TERM_NIL;
    while (mote_term_type(t) != MOTE_NONE) t = mote_cons_make(a, MOTE_TERM_NIL, t);
    CHECK_INT(mote_term_type(mote_binary_make(a, big, 60)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_text_make(a, big, 60)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_bitstring_make(a, big, 61)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_binary_share(a, big, sizeof big, NULL, NULL)), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_big_make(a, false, memset(big, 1, 1000), 1000)), MOTE_NONE);
    t = atom("untouched");
    GIVES(mote_build(a, &t, "[?, {2, 3, 4}, [5, 6, 7]]", 1), MOTE_ENOMEM);
    GIVES(mote_term_parse(a, "[1, 2, {3}, [4], 5, 6, 7]", 25, &t, NULL), MOTE_ENOMEM);
    CHECK_TERM(t, "untouched");
    mote_arena_reset(a);
    CHECK_OK(mote_build(a, &t, "{?, ok}", 1));
    CHECK_TERM(t, "{1,ok}");
    mote_arena_free(a);
}

static void patterns_and_text(void) {
    mote_arena *a = mote_arena_new(0);
    mote_term t = atom("untouched");
    size_t at = 0;
    int n = SENTINEL;
    GIVES(mote_build(a, &t, "{a, "), MOTE_EPATTERN);
    GIVES(mote_build(a, &t, "{a, ?}"), MOTE_EPATTERN);
    GIVES(mote_build(a, &t, "{a, ?}", &n), MOTE_EHOLE);
    GIVES(mote_build(a, &t, "{a, ?}", MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_match_site(t, MOTE_SITE("{a, "), MOTE_ARGS()), MOTE_EPATTERN);
    GIVES(mote_match_site(t, MOTE_SITE("?"), MOTE_ARGS(1)), MOTE_EHOLE);
    GIVES(mote_match_site(t, MOTE_SITE("{?}"), MOTE_ARGS(&n)), MOTE_NOMATCH);
    GIVES(mote_term_parse(a, "{a, }", 5, &t, &at), MOTE_ESYNTAX);
    CHECK_INT(at, 4);
    GIVES(mote_term_parse(a, "", 0, &t, NULL), MOTE_ESYNTAX);
    CHECK(!mote_match(t, "{?}", &n) && n == SENTINEL);
    CHECK_TERM(t, "untouched");
    mote_arena_free(a);
}

/* ------------------------------------------------------------------------------------------------- runtimes */

static mote_err start(mote_options options) {
    mote_runtime *rt = (void *)&options;
    mote_err err = mote_runtime_start(&options, &rt);
    CHECK(err != MOTE_OK && rt == (void *)&options);
    return err;
}

static int never_runs(mote_self *self, void *context) { return (void)self, (void)context, 0; }

static void absurd_options(void) {
    GIVES(mote_runtime_start(NULL, NULL), MOTE_EARG);
    GIVES(start((mote_options){.schedulers = 255}), MOTE_ELIMIT);
    GIVES(start((mote_options){.schedulers = UINT32_MAX}), MOTE_ELIMIT);
    GIVES(start((mote_options){.stack_size = 1}), MOTE_ELIMIT);
    GIVES(start((mote_options){.stack_size = 16383}), MOTE_ELIMIT);
    GIVES(start((mote_options){.stack_size = ((size_t)1 << 30) + 1}), MOTE_ELIMIT);
    GIVES(start((mote_options){.stack_size = SIZE_MAX}), MOTE_ELIMIT);
    GIVES(start((mote_options){.processes_max = ((size_t)1 << 25) + 1}), MOTE_ELIMIT);
    GIVES(start((mote_options){.processes_max = SIZE_MAX}), MOTE_ELIMIT);
    GIVES(start((mote_options){.blocking_max = UINT32_MAX}), MOTE_ELIMIT);
    CHECK_INT(mote_run(NULL, NULL, NULL), 70);
    CHECK_INT(mote_run(&(mote_options){.schedulers = 1000}, never_runs, NULL), 70);
}

static void no_descriptors(void) {
    struct rlimit limit = {3, 3};
    if (under_tool()) return; /* tools need descriptors of their own */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    GIVES(start((mote_options){.schedulers = 2}), MOTE_EOS);
}

static void stop_and_attach(void) {
    mote_runtime *rt;
    mote_self *self, *again = NULL;
    CHECK_OK(mote_runtime_start(&(mote_options){.schedulers = 1, .processes_max = 1}, &rt));
    GIVES(mote_runtime_stop(NULL, 0), MOTE_EARG);
    GIVES(mote_runtime_stop(rt, -2), MOTE_EARG);
    GIVES(mote_runtime_stop(rt, INT64_MAX), MOTE_EARG);
    GIVES(mote_attach(NULL, &self), MOTE_EARG);
    GIVES(mote_attach(rt, NULL), MOTE_EARG);
    GIVES(mote_detach(NULL), MOTE_ESELF);
    CHECK(mote_runtime_of(NULL) == NULL);
    CHECK_OK(mote_attach(rt, &self));
    CHECK(mote_runtime_of(self) == rt);
    GIVES(mote_attach(rt, &again), MOTE_EBUSY);
    CHECK(again == NULL);
    GIVES(mote_spawn(self, body, MOTE_TERM_NIL, NULL), MOTE_ELIMIT);
    GIVES(mote_runtime_stop(rt, 0), MOTE_ECONTEXT); /* attached */
    CHECK_OK(mote_detach(self));
    CHECK_OK(mote_runtime_stop(rt, 0));
}

static void *attach_fails(void *rt) {
    mote_self *self = NULL;
    GIVES(mote_attach(rt, &self), MOTE_ELIMIT);
    CHECK(!self);
    return NULL;
}

static int inside(mote_self *self, void *context) {
    mote_self *another;
    (void)context;
    GIVES(mote_attach(mote_runtime_of(self), &another), MOTE_EBUSY);
    GIVES(mote_detach(self), MOTE_ECONTEXT);
    GIVES(mote_runtime_stop(mote_runtime_of(self), 0), MOTE_ECONTEXT);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, attach_fails, mote_runtime_of(self)), 0);
    pthread_join(thread, NULL);
    return 0;
}
static void in_a_process(void) { run_with((mote_options){.schedulers = 1, .processes_max = 1}, inside); }

/* ------------------------------------------------------------------------------------------------ no process */

static void without_self(void) {
    mote_pid pid = {SENTINEL}, nobody = mote_self_pid(NULL);
    mote_term t = MOTE_TERM_NIL;
    mote_ref ref = {SENTINEL};
    int64_t left = SENTINEL;
    size_t count = SENTINEL;
    mote_process_info info;
    mote_runtime_info ri;
    mote_scheduler_info si;
    GIVES(mote_spawn(NULL, body, MOTE_TERM_NIL, &pid), MOTE_ESELF);
    GIVES(mote_spawn_handler(NULL, &idle, MOTE_TERM_NIL, &pid), MOTE_ESELF);
    GIVES(mote_spawn_opt(NULL, &(mote_spawn_options){.body = body}, MOTE_TERM_NIL, &pid), MOTE_ESELF);
    GIVES(mote_exit_send(NULL, nobody, t), MOTE_ESELF);
    GIVES(mote_yield(NULL), MOTE_ESELF);
    GIVES(mote_reductions(NULL, 1), MOTE_ESELF);
    GIVES(mote_sleep(NULL, 1), MOTE_ESELF);
    GIVES(mote_cleanup_add(NULL, nothing, NULL), MOTE_ESELF);
    GIVES(mote_cleanup_remove(NULL, nothing, NULL), MOTE_ESELF);
    GIVES(mote_blocking(NULL, nothing, NULL), MOTE_ESELF);
    GIVES(mote_blocking_start(NULL, nothing, NULL, &ref), MOTE_ESELF);
    GIVES(mote_send_term(NULL, nobody, t), MOTE_ESELF);
    GIVES(mote_send(NULL, nobody, "x"), MOTE_ESELF);
    GIVES(mote_forward(NULL, nobody), MOTE_ESELF);
    GIVES(mote_receive(NULL, 0, &t), MOTE_ESELF);
    GIVES(mote_receive_if(NULL, 0, any, NULL, &t), MOTE_ESELF);
    GIVES(mote_receive_match(NULL, 0, "x"), MOTE_ESELF);
    GIVES(mote_send_after(NULL, 0, nobody, &ref, "x"), MOTE_ESELF);
    GIVES(mote_exit_after(NULL, 0, nobody, t, &ref), MOTE_ESELF);
    GIVES(mote_timer_cancel(NULL, ref, &left), MOTE_ESELF);
    GIVES(mote_timer_read(NULL, ref, &left), MOTE_ESELF);
    GIVES(mote_fd_wait(NULL, 0, MOTE_READ, 0, NULL), MOTE_ESELF);
    GIVES(mote_fd_arm(NULL, 0, MOTE_READ, &ref), MOTE_ESELF);
    GIVES(mote_fd_disarm(NULL, ref), MOTE_ESELF);
    GIVES(mote_process_info_get(NULL, nobody, 0, &info), MOTE_ESELF);
    GIVES(mote_process_list(NULL, &pid, 1, &count), MOTE_ESELF);
    GIVES(mote_runtime_info_get(NULL, &ri), MOTE_ESELF);
    GIVES(mote_scheduler_info_get(NULL, 0, &si), MOTE_ESELF);
    CHECK(pid.word == SENTINEL && ref.word == SENTINEL && left == SENTINEL && count == SENTINEL);
    CHECK_INT(mote_term_type(mote_message(NULL)), MOTE_NONE);
    CHECK(mote_scratch(NULL) == NULL && mote_alloc(NULL, 1) == NULL);
    mote_dealloc(NULL, NULL);
    CHECK_INT(mote_term_type(mote_ref_term(mote_ref_make(NULL))), MOTE_NONE);
    CHECK_INT(mote_term_type(mote_pid_term(nobody)), MOTE_PID);
}

/* --------------------------------------------------------------------------------------- in a straight-line process */

static mote_err spawn_opt(mote_self *self, mote_spawn_options options) {
    mote_pid pid = {SENTINEL};
    mote_err err = mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid);
    CHECK(err == MOTE_OK || pid.word == SENTINEL);
    return err;
}

static int bad_spawns(mote_self *self, void *context) {
    static const mote_handler deaf = {.name = "deaf"}, huge = {.handle = handle, .state_size = ((size_t)1 << 30) + 1};
    char name[65];
    (void)context;
    memset(name, 'n', 64);
    name[64] = 0;
    GIVES(mote_spawn(self, NULL, MOTE_TERM_NIL, NULL), MOTE_EARG);
    GIVES(mote_spawn(self, body, MOTE_TERM_NONE, NULL), MOTE_ETERM);
    GIVES(mote_spawn_handler(self, NULL, MOTE_TERM_NIL, NULL), MOTE_EARG);
    GIVES(mote_spawn_handler(self, &deaf, MOTE_TERM_NIL, NULL), MOTE_EARG);
    GIVES(mote_spawn_handler(self, &huge, MOTE_TERM_NIL, NULL), MOTE_ELIMIT);
    GIVES(mote_spawn_handler(self, &idle, MOTE_TERM_NONE, NULL), MOTE_ETERM);
    GIVES(mote_spawn_opt(self, NULL, MOTE_TERM_NIL, NULL), MOTE_EARG);
    GIVES(spawn_opt(self, (mote_spawn_options){0}), MOTE_EARG);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .handler = &idle}), MOTE_EARG);
    GIVES(spawn_opt(self, (mote_spawn_options){.handler = &idle, .stack_size = 65536}), MOTE_EARG);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .stack_size = 1}), MOTE_ELIMIT);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .stack_size = SIZE_MAX}), MOTE_ELIMIT);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .mailbox_max = (size_t)1 << 30}), MOTE_ELIMIT);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .mailbox_max = SIZE_MAX}), MOTE_ELIMIT);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .name = name}), MOTE_ELIMIT);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .policy = (mote_policy)3}), MOTE_EARG);
    GIVES(spawn_opt(self, (mote_spawn_options){.body = body, .priority = (mote_priority)3}), MOTE_EARG);
    name[63] = 0;
    CHECK_OK(spawn_opt(self, (mote_spawn_options){.body = body, .name = name, .mailbox_max = ((size_t)1 << 30) - 1}));
    return 0;
}

static int bad_messages(mote_self *self, void *context) {
    mote_pid nobody = mote_self_pid(NULL), me = mote_self_pid(self);
    mote_term t = atom("untouched");
    int n = SENTINEL;
    (void)context;
    GIVES(mote_send_term(self, me, MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_send(self, me, "{x, ?}", MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_send(self, me, "{x, "), MOTE_EPATTERN);
    GIVES(mote_send(self, me, "{x, ?}", &n), MOTE_EHOLE);
    GIVES(mote_forward(self, me), MOTE_EARG);
    GIVES(mote_exit_send(self, me, MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_exit_send(self, nobody, MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_receive(self, -2, &t), MOTE_EARG);
    GIVES(mote_receive(self, INT64_MAX, &t), MOTE_EARG);
    GIVES(mote_receive(self, INT64_MIN, &t), MOTE_EARG);
    GIVES(mote_receive(self, 0, NULL), MOTE_EARG);
    GIVES(mote_receive(self, 0, &t), MOTE_TIMEOUT); /* nothing of the above was sent */
    GIVES(mote_receive_if(self, -2, any, NULL, &t), MOTE_EARG);
    GIVES(mote_receive_if(self, 0, NULL, NULL, &t), MOTE_EARG);
    GIVES(mote_receive_if(self, 0, any, NULL, NULL), MOTE_EARG);
    GIVES(mote_receive_if(self, 0, any, NULL, &t), MOTE_TIMEOUT);
    GIVES(mote_receive_match(self, -2, "x"), MOTE_EARG);
    GIVES(mote_receive_match(self, 0, "{x, "), MOTE_EPATTERN);
    GIVES(mote_receive_match(self, 0, "{x, ?}"), MOTE_EPATTERN);
    GIVES(mote_receive_match(self, 0, "{x, ?}", 1), MOTE_EHOLE);
    GIVES(mote_receive_match(self, 0, "{x, ?}", &n), MOTE_TIMEOUT);
    CHECK_INT(n, SENTINEL);
    CHECK_TERM(t, "untouched");
    CHECK_INT(mote_term_type(mote_message(self)), MOTE_NONE);
    CHECK_OK(mote_send_term(self, nobody, t)); /* whom nobody hears */
    GIVES(mote_send(self, (mote_pid){0}, "x"), MOTE_ETERM);
    GIVES(mote_send(self, (mote_pid){UINT64_MAX}, "x"), MOTE_ETERM);
    CHECK_OK(mote_exit_send(self, nobody, t));
    return 0;
}

static int bad_times(mote_self *self, void *context) {
    mote_pid me = mote_self_pid(self);
    mote_ref timer = {SENTINEL}, none = mote_ref_make(self);
    int64_t left = SENTINEL, too_much = ((int64_t)1 << 47) + 1;
    (void)context;
    GIVES(mote_sleep(self, -1), MOTE_EARG);
    GIVES(mote_sleep(self, too_much), MOTE_EARG);
    GIVES(mote_send_after(self, -1, me, &timer, "x"), MOTE_EARG);
    GIVES(mote_send_after(self, too_much, me, &timer, "x"), MOTE_EARG);
    GIVES(mote_send_after(self, INT64_MAX, me, &timer, "x"), MOTE_EARG);
    GIVES(mote_send_after(self, 1, me, &timer, "{x, "), MOTE_EPATTERN);
    GIVES(mote_send_after(self, 1, me, &timer, "{x, ?}", &left), MOTE_EHOLE);
    GIVES(mote_send_after(self, 1, me, &timer, "{x, ?}", MOTE_TERM_NONE), MOTE_ETERM);
    GIVES(mote_exit_after(self, -1, me, MOTE_TERM_NIL, &timer), MOTE_EARG);
    GIVES(mote_exit_after(self, too_much, me, MOTE_TERM_NIL, &timer), MOTE_EARG);
    GIVES(mote_exit_after(self, 1, me, MOTE_TERM_NONE, &timer), MOTE_ETERM);
    GIVES(mote_timer_cancel(self, none, &left), MOTE_NOMATCH);
    GIVES(mote_timer_cancel(self, (mote_ref){0}, &left), MOTE_NOMATCH);
    GIVES(mote_timer_cancel(self, (mote_ref){UINT64_MAX}, &left), MOTE_NOMATCH);
    GIVES(mote_timer_read(self, none, &left), MOTE_NOMATCH);
    GIVES(mote_timer_read(self, none, NULL), MOTE_EARG);
    CHECK(timer.word == SENTINEL && left == SENTINEL);
    CHECK_INT(mote_receive_match(self, 0, "_"), MOTE_TIMEOUT);
    return 0;
}

static int bad_outside(mote_self *self, void *context) {
    int pair[2];
    mote_ref ref = {SENTINEL}, first;
    (void)context;
    CHECK_INT(pipe(pair), 0);
    GIVES(mote_blocking(self, NULL, NULL), MOTE_EARG);
    GIVES(mote_blocking_start(self, NULL, NULL, &ref), MOTE_EARG);
    GIVES(mote_blocking_start(self, nothing, NULL, NULL), MOTE_EARG);
    GIVES(mote_cleanup_add(self, NULL, NULL), MOTE_EARG);
    GIVES(mote_cleanup_remove(self, nothing, NULL), MOTE_NOMATCH);
    CHECK_OK(mote_cleanup_add(self, nothing, &ref));
    GIVES(mote_cleanup_remove(self, nothing, NULL), MOTE_NOMATCH);
    GIVES(mote_fd_wait(self, -1, MOTE_READ, 0, NULL), MOTE_EARG);
    GIVES(mote_fd_wait(self, pair[0], 0, 0, NULL), MOTE_EARG);
    GIVES(mote_fd_wait(self, pair[0], 4, 0, NULL), MOTE_EARG);
    GIVES(mote_fd_wait(self, pair[0], MOTE_READ, -2, NULL), MOTE_EARG);
    GIVES(mote_fd_wait(self, pair[0], MOTE_READ, 0, NULL), MOTE_TIMEOUT);
    GIVES(mote_fd_wait(self, 1 << 20, MOTE_READ, 0, NULL), MOTE_EOS);
    GIVES(mote_fd_arm(self, pair[0], MOTE_READ, NULL), MOTE_EARG);
    GIVES(mote_fd_arm(self, pair[0], -1, &ref), MOTE_EARG);
    GIVES(mote_fd_arm(self, 1 << 20, MOTE_READ, &ref), MOTE_EOS);
    CHECK_OK(mote_fd_arm(self, pair[0], MOTE_READ, &first));
    GIVES(mote_fd_arm(self, pair[0], MOTE_READ, &ref), MOTE_EBUSY);
    GIVES(mote_fd_wait(self, pair[0], MOTE_READ, 0, NULL), MOTE_EBUSY);
    CHECK_OK(mote_fd_disarm(self, first));
    GIVES(mote_fd_disarm(self, first), MOTE_NOMATCH);
    GIVES(mote_fd_disarm(self, (mote_ref){0}), MOTE_NOMATCH);
    CHECK_INT(ref.word, SENTINEL);
    CHECK(mote_alloc(self, SIZE_MAX) == NULL && mote_alloc(self, SIZE_MAX / 2 + 1) == NULL);
    close(pair[0]), close(pair[1]);
    return 0;
}

static void busy(mote_self *self, mote_term arg) {
    atomic_int *go;
    uint64_t address;
    CHECK_OK(mote_uint_get(arg, &address));
    go = (atomic_int *)(uintptr_t)address;
    atomic_store(go, 1);
    while (atomic_load(go) != 2) /* holds its scheduler */
        ;
    (void)self;
}

static int bad_questions(mote_self *self, void *context) {
    mote_process_info info;
    mote_runtime_info ri;
    mote_scheduler_info si;
    mote_pid pid;
    size_t count = SENTINEL;
    static atomic_int go;
    (void)context;
    CHECK_OK(mote_runtime_info_get(self, &ri));
    GIVES(mote_process_info_get(self, mote_self_pid(NULL), 1000, &info), MOTE_ENOPROC);
    GIVES(mote_process_info_get(self, (mote_pid){UINT64_MAX}, 1000, &info), MOTE_ENOPROC);
    GIVES(mote_process_info_get(self, (mote_pid){0}, 1000, &info), MOTE_ENOPROC);
    GIVES(mote_process_info_get(self, mote_self_pid(NULL), -2, &info), MOTE_EARG);
    GIVES(mote_process_info_get(self, mote_self_pid(NULL), 0, NULL), MOTE_EARG);
    GIVES(mote_process_info_get(self, mote_self_pid(self), 0, NULL), MOTE_EARG);
    GIVES(mote_process_list(self, &pid, 1, NULL), MOTE_EARG);
    GIVES(mote_process_list(self, NULL, 1, &count), MOTE_EARG);
    CHECK_OK(mote_process_list(self, NULL, 0, &count));
    GIVES(mote_runtime_info_get(self, NULL), MOTE_EARG);
    GIVES(mote_scheduler_info_get(self, 0, NULL), MOTE_EARG);
    GIVES(mote_scheduler_info_get(self, ri.schedulers, &si), MOTE_ERANGE);
    GIVES(mote_scheduler_info_get(self, UINT32_MAX, &si), MOTE_ERANGE);
    CHECK_OK(mote_spawn(self, busy, mote_uint_make(mote_scratch(self), (uint64_t)(uintptr_t)&go), &pid));
    WAIT_UNTIL(self, atomic_load(&go) == 1);
    GIVES(mote_process_info_get(self, pid, 5, &info), MOTE_TIMEOUT);
    atomic_store(&go, 2);
    wait_gone(self, pid);
    return 0;
}

static void spawns(void) { RUN(1, bad_spawns); }
static void messages(void) { RUN(1, bad_messages); }
static void times(void) { RUN(1, bad_times); }
static void outside(void) { RUN(1, bad_outside); }
static void questions(void) { RUN(2, bad_questions); }

/* ---------------------------------------------------------------------------------- in handlers and clean-ups */

/* Every call that waits is refused where nothing may wait. */
static void refuse_to_wait(mote_self *self, mote_pid other) {
    mote_term t = MOTE_TERM_NIL;
    mote_process_info info;
    GIVES(mote_receive(self, 0, &t), MOTE_ECONTEXT);
    GIVES(mote_receive_if(self, 0, any, NULL, &t), MOTE_ECONTEXT);
    GIVES(mote_receive_match(self, 0, "x"), MOTE_ECONTEXT);
    GIVES(mote_sleep(self, 1), MOTE_ECONTEXT);
    GIVES(mote_blocking(self, nothing, NULL), MOTE_ECONTEXT);
    GIVES(mote_fd_wait(self, 0, MOTE_READ, 0, NULL), MOTE_ECONTEXT);
    GIVES(mote_process_info_get(self, other, 0, &info), MOTE_ECONTEXT);
    CHECK_OK(mote_process_info_get(self, mote_self_pid(self), 0, &info));
    CHECK_INT(info.state, MOTE_STATE_RUNNING);
    CHECK_OK(mote_yield(self));
    CHECK_OK(mote_reductions(self, 100000));
}

static void strict_init(mote_self *self, mote_term arg, void *state) {
    (void)state;
    refuse_to_wait(self, pid_of(arg));
    *(mote_pid *)state = pid_of(arg);
}
static void strict_handle(mote_self *self, mote_term message, void *state) {
    (void)message;
    refuse_to_wait(self, *(mote_pid *)state);
    mote_exit(self, MOTE_TERM_NIL);
}
static void strict_stop(mote_self *self, mote_term reason, void *state) {
    (void)reason;
    refuse_to_wait(self, *(mote_pid *)state);
    CHECK_OK(mote_send(self, *(mote_pid *)state, "stopped"));
}
static const mote_handler strict = {.name = "strict", .state_size = sizeof(mote_pid), .init = strict_init, .handle = strict_handle, .stop = strict_stop};

static void in_cleanup(void *context) { refuse_to_wait(context, mote_self_pid(NULL)); }
static void strict_body(mote_self *self, mote_term arg) {
    CHECK_OK(mote_cleanup_add(self, in_cleanup, self));
    CHECK_OK(mote_send(self, pid_of(arg), "cleaned"));
}

static int no_waiting(mote_self *self, void *context) {
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_handler(self, &strict, self_term(self), &pid));
    CHECK_OK(mote_send(self, pid, "go"));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "stopped"));
    CHECK_OK(mote_spawn(self, strict_body, self_term(self), &pid));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "cleaned"));
    wait_gone(self, pid);
    return 0;
}
static void where_nothing_waits(void) { RUN(1, no_waiting); }

/* ---------------------------------------------------------------------------------------------- mailbox, misuse */

static void full_body(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "stop"));
}
static int full_mailbox(mote_self *self, void *context) {
    mote_spawn_options options = {.body = full_body, .mailbox_max = 1, .policy = MOTE_DROP};
    mote_pid pid;
    (void)context;
    CHECK_OK(mote_spawn_opt(self, &options, MOTE_TERM_NIL, &pid));
    CHECK_OK(mote_send(self, pid, "x"));
    GIVES(mote_send(self, pid, "x"), MOTE_EFULL);
    GIVES(mote_send_term(self, pid, atom("x")), MOTE_EFULL);
    CHECK_OK(mote_send(self, mote_self_pid(self), "x"));
    CHECK_OK(mote_receive_match(self, 0, "x"));
    GIVES(mote_forward(self, pid), MOTE_EFULL);
    return 0;
}
static void full(void) { RUN(1, full_mailbox); }

/* Runs `body` in a child; it must abort with `words` on stderr. */
static void must_abort(void (*child)(void), const char *words) {
    char text[4000] = "";
    int pair[2], status = 0;
    size_t size = 0;
    ssize_t n;
    CHECK_INT(pipe(pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pair[1], STDERR_FILENO);
        close(pair[0]), close(pair[1]);
        child();
        _exit(0);
    }
    close(pair[1]);
    while ((n = read(pair[0], text + size, sizeof text - 1 - size)) > 0) size += (size_t)n;
    close(pair[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!strstr(text, words)) fprintf(stderr, "# not in the child's words: %s\n%s", words, text);
    CHECK(strstr(text, words));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void exit_nobody(void) { mote_exit(NULL, MOTE_TERM_NIL); }
static void exit_thread(void) {
    mote_runtime *rt;
    mote_self *self;
    if (mote_runtime_start(&(mote_options){.schedulers = 1}, &rt) || mote_attach(rt, &self)) return;
    mote_exit(self, MOTE_TERM_NIL);
}
static void exit_again(void *self) { mote_exit(self, MOTE_TERM_NIL); }
static int cleanup_exits(mote_self *self, void *context) {
    (void)context;
    return (int)mote_cleanup_add(self, exit_again, self);
}
static void exit_cleanup(void) { mote_run(NULL, cleanup_exits, NULL); }
static void exits(mote_self *self, mote_term arg, void *state) {
    (void)arg, (void)state;
    mote_exit(self, MOTE_TERM_NIL);
}
static const mote_handler stop_exits = {.name = "stop_exits", .handle = exits, .stop = exits};
static int stop_exits_main(mote_self *self, void *context) {
    mote_pid pid;
    mote_term t;
    (void)context;
    if (mote_spawn_handler(self, &stop_exits, MOTE_TERM_NIL, &pid) || mote_send(self, pid, "go")) return 1;
    return mote_receive(self, -1, &t) ? 1 : 0;
}
static void exit_stop(void) { mote_run(NULL, stop_exits_main, NULL); }

static void misuse(void) {
    must_abort(exit_nobody, "mote_exit: called outside a process");
    must_abort(exit_thread, "mote_exit: called in an attached thread");
    must_abort(exit_cleanup, "mote_exit: called by a clean-up");
    must_abort(exit_stop, "mote_exit: called by a clean-up or stop");
}

/* ---------------------------------------------------------------------------------------------------- stopped */

struct late {
    mote_runtime *rt;
    atomic_int attached, stopped;
};

static void *other_thread(void *context) {
    struct late *late = context;
    mote_self *self = NULL;
    GIVES(mote_attach(late->rt, &self), MOTE_ESTOPPED);
    return NULL;
}

static void late_messages(mote_self *self) {
    mote_pid me = mote_self_pid(self);
    mote_term t = MOTE_TERM_NIL;
    mote_ref ref;
    int64_t left;
    GIVES(mote_send_term(self, me, t), MOTE_ESTOPPED);
    GIVES(mote_send(self, me, "x"), MOTE_ESTOPPED);
    GIVES(mote_forward(self, me), MOTE_ESTOPPED);
    GIVES(mote_exit_send(self, me, t), MOTE_ESTOPPED);
    GIVES(mote_receive(self, 0, &t), MOTE_ESTOPPED);
    GIVES(mote_receive(self, -1, &t), MOTE_ESTOPPED);
    GIVES(mote_receive_if(self, -1, any, NULL, &t), MOTE_ESTOPPED);
    GIVES(mote_receive_match(self, -1, "x"), MOTE_ESTOPPED);
    GIVES(mote_send_after(self, 1, me, &ref, "x"), MOTE_ESTOPPED);
    GIVES(mote_exit_after(self, 1, me, t, &ref), MOTE_ESTOPPED);
    GIVES(mote_timer_cancel(self, (mote_ref){0}, &left), MOTE_ESTOPPED);
    GIVES(mote_timer_read(self, (mote_ref){0}, &left), MOTE_ESTOPPED);
}

static void late_others(mote_self *self) {
    mote_pid pid;
    mote_ref ref;
    mote_process_info info;
    mote_runtime_info ri;
    mote_scheduler_info si;
    size_t count;
    GIVES(mote_spawn(self, body, MOTE_TERM_NIL, &pid), MOTE_ESTOPPED);
    GIVES(mote_spawn_handler(self, &idle, MOTE_TERM_NIL, &pid), MOTE_ESTOPPED);
    GIVES(mote_spawn_opt(self, &(mote_spawn_options){.body = body}, MOTE_TERM_NIL, &pid), MOTE_ESTOPPED);
    GIVES(mote_yield(self), MOTE_ESTOPPED);
    GIVES(mote_reductions(self, 1), MOTE_ESTOPPED);
    GIVES(mote_sleep(self, 1), MOTE_ESTOPPED);
    GIVES(mote_cleanup_add(self, nothing, NULL), MOTE_ESTOPPED);
    GIVES(mote_cleanup_remove(self, nothing, NULL), MOTE_ESTOPPED);
    GIVES(mote_blocking(self, nothing, NULL), MOTE_ESTOPPED);
    GIVES(mote_blocking_start(self, nothing, NULL, &ref), MOTE_ESTOPPED);
    GIVES(mote_fd_wait(self, 0, MOTE_READ, -1, NULL), MOTE_ESTOPPED);
    GIVES(mote_fd_arm(self, 0, MOTE_READ, &ref), MOTE_ESTOPPED);
    GIVES(mote_fd_disarm(self, (mote_ref){0}), MOTE_ESTOPPED);
    GIVES(mote_process_info_get(self, mote_self_pid(self), 0, &info), MOTE_ESTOPPED);
    GIVES(mote_process_list(self, &pid, 1, &count), MOTE_ESTOPPED);
    GIVES(mote_runtime_info_get(self, &ri), MOTE_ESTOPPED);
    GIVES(mote_scheduler_info_get(self, 0, &si), MOTE_ESTOPPED);
}

static void *late_thread(void *context) {
    struct late *late = context;
    mote_self *self;
    pthread_t other;
    mote_term t;
    CHECK_OK(mote_attach(late->rt, &self));
    atomic_store(&late->attached, 1);
    GIVES(mote_receive(self, -1, &t), MOTE_ESTOPPED); /* waits until the runtime stops */
    late_messages(self);
    late_others(self);
    CHECK_INT(pthread_create(&other, NULL, other_thread, late), 0);
    pthread_join(other, NULL);
    CHECK_OK(mote_detach(self));
    return NULL;
}

static void stopped(void) {
    struct late late = {0};
    pthread_t thread;
    CHECK_OK(mote_runtime_start(&(mote_options){.schedulers = 2}, &late.rt));
    CHECK_INT(pthread_create(&thread, NULL, late_thread, &late), 0);
    while (!atomic_load(&late.attached)) sched_yield();
    CHECK_OK(mote_runtime_stop(late.rt, 0));
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(names), TEST(wrong_numbers), TEST(wrong_compounds), TEST(wrong_scalars), TEST(full_arena),
                                            TEST(patterns_and_text), TEST(absurd_options), TEST(no_descriptors), TEST(stop_and_attach),
                                            TEST(in_a_process), TEST(without_self), TEST(spawns), TEST(messages), TEST(times), TEST(outside),
                                            TEST(questions), TEST(where_nothing_waits), TEST(full), TEST(misuse), TEST(stopped), {0}});
}
