/* SPDX-License-Identifier: Apache-2.0
 * A tree of supervisors and workers in which somebody kills at random for a while. Usage: tree_test [seconds [schedulers [whole]]]
 *
 * Rounds of two kinds alternate. In the first only workers are killed, each once: then the restarts that the supervisors have counted equal
 * the deaths, exactly. In the second supervisors are killed as well, with all below them: the tree is whole again in the end, and the root has
 * counted them. At last no process and no memory is left over. */
#include <mote/supervisor.h>

#include "live.h"

#if defined(__SANITIZE_THREAD__)
static const bool under_tsan = true;
#else
static const bool under_tsan = false;
#endif

#define BRANCHES_MAX 100
#define LEAVES_MAX 100

static int branches, leaves; /* of each branch */
static int seconds = 5;

/* Who is where now: written by its supervisor, so that no late one of a branch that is gone overwrites its successor. */
static atomic_uint_least64_t leaf_at[BRANCHES_MAX][LEAVES_MAX];
static atomic_uint_least64_t branch_at[BRANCHES_MAX];
/* Whom the killer has hit last at each place: nobody is hit twice. */
static uint64_t leaf_hit[BRANCHES_MAX][LEAVES_MAX], branch_hit[BRANCHES_MAX];

static mote_child_spec leaf_specs[BRANCHES_MAX][LEAVES_MAX], branch_specs[BRANCHES_MAX];
static mote_supervisor_options branch_options[BRANCHES_MAX];

static uint64_t random_state = 88172645463325252u;
static int random_below(int n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)(random_state % (uint64_t)n);
}

static void leaf(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "crash"));
    mote_error(self, atom("crashed"));
}

static void handle_leaf(mote_self *self, mote_term message, void *state) {
    (void)state;
    if (mote_match(message, "crash")) mote_error(self, atom("crashed"));
}
static const mote_handler stackless = {.name = "leaf", .handle = handle_leaf};

/* Every other leaf has a stack; under ThreadSanitizer, which knows eight thousand threads at most, the first of each branch. */
static bool has_stack(int n) { return under_tsan ? n == 0 : n % 2 == 0; }

static mote_err start_leaf(mote_self *self, mote_term arg, mote_pid *child) {
    int branch, n;
    CHECK(mote_match(arg, "{?, ?}", &branch, &n));
    const mote_spawn_options options = {.body = has_stack(n) ? leaf : NULL, .handler = has_stack(n) ? NULL : &stackless, .link = true};
    mote_err err = mote_spawn_opt(self, &options, arg, child);
    if (!err) atomic_store(&leaf_at[branch][n], child->word);
    return err;
}

static mote_err start_branch(mote_self *self, mote_term arg, mote_pid *child) {
    int branch;
    mote_pid pid;
    CHECK(mote_match(arg, "?", &branch));
    mote_err err = mote_supervisor_start_link(self, &branch_options[branch], &pid, NULL);
    if (err) return err;
    atomic_store(&branch_at[branch], pid.word);
    *child = pid;
    return MOTE_OK;
}

static mote_pid grow(mote_self *self, mote_arena *arena) {
    mote_supervisor_options root = {.children = branch_specs, .count = (size_t)branches, .intensity = 1000000};
    mote_pid pid;
    for (int b = 0; b < branches; b++) {
        for (int i = 0; i < leaves; i++) {
            leaf_specs[b][i] = (mote_child_spec){.id_term = mote_int_make(arena, i), .start = start_leaf};
            CHECK_OK(mote_build(arena, &leaf_specs[b][i].arg, "{?, ?}", b, i));
        }
        branch_options[b] = (mote_supervisor_options){.children = leaf_specs[b], .count = (size_t)leaves, .intensity = 1000000};
        branch_specs[b] = (mote_child_spec){.id_term = mote_int_make(arena, b), .start = start_branch, .arg = mote_int_make(arena, b),
                                            .type = MOTE_SUPERVISOR};
    }
    CHECK_OK(mote_supervisor_start_link(self, &root, &pid, NULL));
    return pid;
}

/* Ends one leaf in one of three ways; false: that one has been hit already, and its successor has not begun. */
static bool hit_leaf(mote_self *self, int b, int i) {
    mote_pid pid = {atomic_load(&leaf_at[b][i])};
    if (!pid.word || pid.word == leaf_hit[b][i]) return false;
    leaf_hit[b][i] = pid.word;
    switch (random_below(3)) {
    case 0: CHECK_OK(mote_send(self, pid, "crash")); break;
    case 1: CHECK_OK(mote_exit_send(self, pid, atom("kill"))); break;
    default: CHECK_OK(mote_exit_send(self, pid, atom("broken")));
    }
    return true;
}

static bool hit_branch(mote_self *self, int b) {
    mote_pid pid = {atomic_load(&branch_at[b])};
    if (!pid.word || pid.word == branch_hit[b]) return false;
    branch_hit[b] = pid.word;
    CHECK_OK(mote_exit_send(self, pid, atom("kill")));
    return true;
}

/* Restarts that the branches have counted; -1: one is not whole, or is just being started. */
static int64_t restarts_counted(mote_self *self) {
    int64_t sum = 0;
    mote_supervisor_count count;
    for (int b = 0; b < branches; b++) {
        mote_pid pid = {atomic_load(&branch_at[b])};
        mote_err err = mote_supervisor_count_children(self, pid, &count);
        CHECK(err == MOTE_OK || err == MOTE_ENOPROC);
        if (err || count.active != (size_t)leaves) return -1;
        sum += (int64_t)count.restarts;
    }
    return sum;
}

static size_t processes(mote_self *self) {
    mote_runtime_info info;
    CHECK_OK(mote_runtime_info_get(self, &info));
    return info.processes;
}

static bool all_begun(void) {
    for (int b = 0; b < branches; b++)
        for (int i = 0; i < leaves; i++)
            if (atomic_load(&leaf_at[b][i]) == leaf_hit[b][i]) return false;
    return true;
}

/* Everyone lives: the first process, the root, the branches, the leaves. */
static void until_whole(mote_self *self, mote_pid root, int64_t branch_deaths) {
    mote_supervisor_count count;
    size_t all = 2 + (size_t)branches * (size_t)(leaves + 1);
    WAIT_UNTIL(self, mote_supervisor_count_children(self, root, &count) == MOTE_OK && (int64_t)count.restarts >= branch_deaths);
    CHECK_INT(count.restarts, branch_deaths);
    CHECK_INT(count.active, branches);
    WAIT_UNTIL(self, restarts_counted(self) >= 0 && processes(self) == all && all_begun());
}

static int64_t resident_kib(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The accounted kind: exactly as many restarts as deaths. */
static int64_t kill_leaves(mote_self *self, int kills) {
    int64_t before = restarts_counted(self), deaths = 0;
    CHECK(before >= 0);
    for (int i = 0; i < kills; i++) {
        deaths += hit_leaf(self, random_below(branches), random_below(leaves));
        if (i % 50 == 0) CHECK_OK(mote_yield(self));
    }
    WAIT_UNTIL(self, restarts_counted(self) >= before + deaths);
    CHECK_INT(restarts_counted(self), before + deaths);
    return deaths;
}

static int64_t kill_all_kinds(mote_self *self, int kills) {
    int64_t branch_deaths = 0;
    for (int i = 0; i < kills; i++) {
        if (random_below(20) == 0) branch_deaths += hit_branch(self, random_below(branches));
        else hit_leaf(self, random_below(branches), random_below(leaves));
        if (i % 50 == 0) CHECK_OK(mote_yield(self));
    }
    return branch_deaths;
}

static int run_tree(mote_self *self, void *context) {
    mote_arena *arena = mote_arena_new(0);
    int64_t deaths = 0, branch_deaths = 0, rounds = 0, first_kib = 0;
    int kills = branches * leaves / 20 + 1;
    (void)context;
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    uint64_t start = now_ns();
    mote_pid root = grow(self, arena);
    until_whole(self, root, 0);
    printf("# %d leaves on %d branches grew in %" PRId64 " ms\n", branches * leaves, branches, ms_since(start));
    for (start = now_ns(); ms_since(start) < seconds * 1000 || rounds < 2; rounds++) {
        deaths += kill_leaves(self, kills);
        until_whole(self, root, branch_deaths);
        branch_deaths += kill_all_kinds(self, kills);
        until_whole(self, root, branch_deaths);
        if (rounds == 1) first_kib = resident_kib();
    }
    int64_t last_kib = resident_kib();
    printf("# %" PRId64 " rounds: %" PRId64 " leaves restarted exactly, %" PRId64 " branches with all below them\n", rounds, deaths, branch_deaths);
    CHECK_OK(mote_supervisor_stop(self, root, atom("shutdown"), PATIENCE_MS));
    WAIT_UNTIL(self, processes(self) == 1);
    printf("# resident: %" PRId64 " KiB after two rounds, %" PRId64 " at the end, %" PRId64 " without the tree\n", first_kib, last_kib, resident_kib());
    CHECK(under_tool() || last_kib < first_kib + first_kib / 4 + 16384);
    mote_arena_free(arena);
    return 0;
}

/* Thousands of deaths are meant. */
static void silent(void *context, mote_log_level level, const char *text) {
    (void)context, (void)level, (void)text;
}

int main(int argc, char **argv) {
    mote_options options = {.schedulers = 2, .log = silent, .chaos_seed = chaos_seed()};
    if (argc > 1) seconds = atoi(argv[1]);
    if (argc > 2) options.schedulers = (unsigned)atoi(argv[2]);
    bool whole = argc > 3 && strcmp(argv[3], "whole") == 0; /* of full size under tools, too */
    branches = under_tool() && !whole ? 10 : BRANCHES_MAX;
    leaves = under_tool() && !whole ? 20 : LEAVES_MAX;
    if (chaos_seed()) random_state ^= chaos_seed() << 20;
    printf("1..1\n");
    CHECK_INT(mote_run(&options, run_tree, NULL), 0);
    printf("ok 1 - tree\n");
    return 0;
}
