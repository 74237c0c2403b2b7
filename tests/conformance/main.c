/* SPDX-License-Identifier: Apache-2.0
 * conformance [--schedulers N] [PREFIX ...]: runs the scenarios whose ids have one of the prefixes, and prints "id result" for each.
 *
 * CONF_N scales rounds as in conf.erl, MOTE_TEST_SEED is the chaos_seed, CONF_LOG=1 shows what the runtime reports. */
#include "conf.h"

#define SCENARIO_MS (LIMIT_MS * 15 / 2)

static const struct conf *const groups[] = {
    conf_order,   conf_exits,   conf_links,  conf_monitors, conf_names,       conf_ends, conf_timers,
    conf_aliases, conf_mailbox, conf_limits, conf_calls,    conf_supervisors, NULL,
};

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
    mote_pid pid = start_monitored(self, run_one, TERM(self, "{?, ?, ?}", mote_self_pid(self), ref, (uint64_t)(uintptr_t)conf), &monitor);
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
}

struct choice {
    int count;
    char **prefixes;
};

static bool chosen(const struct choice *choice, const char *id) {
    for (int i = 0; i < choice->count; i++)
        if (strncmp(choice->prefixes[i], id, strlen(choice->prefixes[i])) == 0) return true;
    return choice->count == 0;
}

static int run_all(mote_self *self, void *context) {
    trap(self);
    for (const struct conf *const *group = groups; *group; group++)
        for (const struct conf *conf = *group; conf->id; conf++) {
            struct out out = {0};
            if (!chosen(context, conf->id)) continue;
            result(self, conf, &out);
            printf("%s %s\n", conf->id, out.text);
            fflush(stdout);
        }
    return 0;
}

static void log_nothing(void *context, mote_log_level level, const char *text) { (void)context, (void)level, (void)text; }

int main(int argc, char **argv) {
    mote_options options = {.chaos_seed = chaos_seed(), .overflow_ends_process = true, .log = getenv("CONF_LOG") ? NULL : log_nothing};
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--schedulers") == 0) {
        options.schedulers = (unsigned)strtoul(argv[2], NULL, 10);
        first = 3;
    }
    struct choice choice = {argc - first, argv + first};
    return mote_run(&options, run_all, &choice);
}
