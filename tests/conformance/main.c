/* SPDX-License-Identifier: Apache-2.0
 * conformance [--schedulers N] [--workers 2 | --nodes 2] [PREFIX ...]: runs the scenarios whose ids have one of the prefixes, and prints "id result" for each.
 * With two workers the parties of each are in different ones, and its line says so if they were not. With two nodes it is group L, without it all others.
 *
 * CONF_N scales rounds as in conf.erl, MOTE_TEST_SEED is the chaos_seed, CONF_LOG=1 shows what the runtime reports. */
#include "conf.h"

#define SCENARIO_MS (LIMIT_MS * 15 / 2)

static const struct conf *const groups[] = {
    conf_order,   conf_exits,   conf_links,  conf_monitors, conf_names,       conf_ends, conf_timers,
    conf_aliases, conf_mailbox, conf_limits, conf_calls,    conf_supervisors, NULL,
};
static const struct conf *const groups_of_nodes[] = {conf_nodes, NULL};

/* Those of which nothing crosses from one worker to another, and why not. */
static const struct here {
    const char *id, *why;
} heres[] = {
    {"A09", "there is no party: nobody has the name"},
    {"B08", "there is no other party: it sends the signal to itself"},
    {"B17", "there is no other party: it asks for its own flag"},
    {"C08", "there is no other party: it links to itself"},
    {"D02", "there is no party: nobody has the name"},
    {"D08", "there is no party: nobody has the reference"},
    {"D10", "there is no other party: it monitors itself"},
    {"F06", "functions are looked up by the runtime that starts the process"},
    {"G07", "that the receiver has ended is known in its own worker; a timer's function does not wait for an answer from there"},
    {"G10", "nothing is sent: the arguments are refused"},
    {"H10", "nothing is sent: the arguments are refused"},
    {"I04", "memory of one runtime, in which the binary is shared"},
    {"K04", "there is no other party: it calls itself"},
};

static unsigned scenarios_across;

/* What is wrong with where the parties of a scenario were; NULL: nothing. */
static const char *misplaced(const char *id, unsigned crossed) {
    bool here = false;
    scenarios_across += crossed != 0;
    for (size_t i = 0; i < sizeof heres / sizeof *heres; i++) here |= strcmp(heres[i].id, id) == 0;
    return here && crossed ? "it_crosses_after_all" : !here && !crossed ? "nothing_crossed" : NULL;
}

static void run_one(mote_self *self, mote_term arg) {
    struct out out = {0};
    mote_pid starter;
    mote_ref ref;
    uint64_t word;
    mote_assert(self, mote_match(arg, "{?, ?, ?}", &starter, &ref, &word));
    const struct conf *conf = (const struct conf *)(uintptr_t)word;
    conf->run(self, &out);
    mote_must(self, mote_send(self, starter, "{?, ?}", ref, out.size ? (const char *)out.text : "none"));
}

/* The line of a scenario, whatever becomes of it. */
static void result(mote_self *self, const struct conf *conf, struct out *out) {
    mote_ref ref = mote_ref_make(self), monitor;
    mote_term m, value;
    mote_pid pid = {0};
    mote_must(self, mote_spawn_monitor(self, run_one, TERM(self, "{?, ?, ?}", mote_self_pid(self), ref, (uint64_t)(uintptr_t)conf), &pid, &monitor));
    bool found = false;
    for (uint64_t since = now_ns(); !found && ms_since(since) < SCENARIO_MS;) {
        if (mote_receive(self, 100, &m)) continue;
        found = true;
        if (mote_match(m, "{^, ?}", ref, &value)) put_term(out, value);
        else if (mote_match(m, "{'DOWN', ^, _, _, ?}", monitor, &value)) put(out, "harness_died"), put_reason(out, value);
        else found = false;
    }
    if (!found) put(out, "hang");
    if (!found) signal_exit(self, pid, "kill");
    mote_must(self, mote_demonitor(self, monitor, true, NULL));
    const char *wrong = across() ? misplaced(conf->id, crossed()) : NULL;
    if (wrong) put(out, "%s", wrong);
}

struct choice {
    const struct conf *const *groups;
    int count;
    char **prefixes;
};

static bool chosen(const struct choice *choice, const char *id) {
    for (int i = 0; i < choice->count; i++)
        if (strncmp(choice->prefixes[i], id, strlen(choice->prefixes[i])) == 0) return true;
    return choice->count == 0;
}

static struct choice choice; /* the program's */

int run_all(mote_self *self, void *context) {
    const struct choice *of = context;
    trap(self);
    for (const struct conf *const *group = of->groups; *group; group++)
        for (const struct conf *conf = *group; conf->id; conf++) {
            struct out out = {0};
            if (!chosen(context, conf->id)) continue;
            result(self, conf, &out);
            printf("%s %s\n", conf->id, out.text);
            fflush(stdout);
        }
    return 0;
}
static void runs_all(mote_self *self, mote_term arg) {
    (void)arg;
    run_all(self, &choice);
    for (size_t i = 0; i < sizeof heres / sizeof *heres; i++)
        if (chosen(&choice, heres[i].id)) printf("# in one worker: %s, %s\n", heres[i].id, heres[i].why);
    printf("# in two workers: %u scenarios\n", scenarios_across);
    fflush(stdout);
}

static void log_nothing(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

/* The number behind an option at the front of the arguments; 0: it is not there. */
static unsigned option(int *argc, char ***argv, const char *name) {
    if (*argc < 2 || strcmp(**argv, name) != 0) return 0;
    unsigned n = (unsigned)strtoul((*argv)[1], NULL, 10);
    *argc -= 2, *argv += 2;
    return n;
}

int main(int argc, char **argv) {
    mote_options options = {.chaos_seed = chaos_seed(), .overflow_ends_process = true, .log = getenv("CONF_LOG") ? NULL : log_nothing};
    argc--, argv++;
    options.schedulers = option(&argc, &argv, "--schedulers");
    bool workers = option(&argc, &argv, "--workers") == 2, nodes = option(&argc, &argv, "--nodes") == 2;
    if (argc == 4 && strcmp(argv[0], "--peer") == 0) {
        options.processes_max = strtoul(argv[3], NULL, 10);
        return mote_run(&options, run_peer, argv + 1);
    }
    choice = (struct choice){nodes ? groups_of_nodes : groups, argc, argv};
    return workers ? run_across(&options, runs_all) : mote_run(&options, nodes ? run_nodes : run_all, &choice);
}
