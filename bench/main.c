/* SPDX-License-Identifier: Apache-2.0
 *
 * mote-bench: the command line. Runs one workload in one runtime.
 */
#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USAGE = 2, SCHEDULERS_MAX = 1024 };

enum { MANY = 100000000 }; /* the most of most things */

static const char *refuse_fanin(const struct bench *bench) {
    return bench->number[1] < bench->number[0] ? "fewer messages than senders" : NULL;
}

static const char *refuse_skynet(const struct bench *bench) {
    int64_t n = bench->number[0];
    while (n % 10 == 0) n /= 10;
    return n == 1 ? NULL : "N must be a power of ten";
}

static const char *refuse_nqueens(const struct bench *bench) {
    return bench->number[1] > bench->number[0] ? "D must not be over N" : NULL;
}

static const struct workload workloads[] = {
    {.name = "boot", .run = run_boot,
     .help = "nothing: start-up and end of the runtime, timed from outside"},
    {.name = "pingpong", .args = {{.label = "same|cross|free"}, {"N", 1, MANY}}, .run = run_pingpong, .bodies = true,
     .help = "N round trips: on one scheduler, kept on two threads, or as it comes"},
    {.name = "payload", .args = {{.label = "bin|list|map"}, {"SIZE", 1, MANY}, {"N", 1, MANY}}, .run = run_payload,
     .help = "N round trips that carry a binary, a list or a map"},
    {.name = "ring", .args = {{"P", 1, MANY}, {"HOPS", 1, MANY}}, .run = run_ring, .bodies = true,
     .help = "a number goes round a ring of P processes"},
    {.name = "spawn", .args = {{"N", 1000, MANY}}, .run = run_spawn, .bodies = true,
     .help = "start and end, one after another and in batches of 1000"},
    {.name = "spawn_flood", .args = {{"N", 1, MANY}}, .run = run_spawn_flood, .bodies = true,
     .help = "start N at once and wait for all"},
    {.name = "skynet", .args = {{"N", 1, MANY}}, .run = run_skynet, .bodies = true, .refuse = refuse_skynet,
     .help = "a tree of processes, ten each, sums up its N leaves"},
    {.name = "memory", .args = {{"N", 1, MANY}}, .run = run_memory, .bodies = true,
     .help = "N waiting processes: memory, start until all wait, wake and end"},
    {.name = "memory_hib", .args = {{"N", 1, MANY}}, .run = run_memory_hib,
     .help = "N waiting processes without a stack: memory"},
    {.name = "fanin", .args = {{"S", 1, MANY}, {"M", 1, MANY}, {.label = "on_heap|off_heap"}}, .run = run_fanin, .bodies = true,
     .refuse = refuse_fanin,
     .help = "S senders, one receiver (--body is the receiver's), M messages; both words do the same"},
    {.name = "mailbox", .args = {{"M", 1, MANY}}, .run = run_mailbox, .bodies = true,
     .help = "fill a mailbox with M messages, then empty it (a handler takes them as they come)"},
    {.name = "big", .args = {{"P", 2, 100000}, {"ROUNDS", 1, MANY}}, .run = run_big, .bodies = true,
     .help = "each of P processes pings all others, in rounds"},
    {.name = "selrecv", .args = {{"Q", 0, MANY}, {"N", 100, MANY}}, .run = run_selrecv,
     .help = "calls with Q messages ahead: with a fresh reference, and without"},
    {.name = "timers", .args = {{"N", 1, MANY}}, .run = run_timers,
     .help = "receive with a time-out that does not come; timers set and cancelled"},
    {.name = "timers_fire", .args = {{"N", 1, MANY}}, .run = run_timers_fire,
     .help = "N timers fire within a second"},
    {.name = "timers_procs", .args = {{"N", 1, MANY}}, .run = run_timers_procs,
     .help = "N processes wait 1 to 1000 ms each"},
    {.name = "late", .args = {{"N", 2, MANY}}, .run = run_late,
     .help = "how long a wait of 1 ms takes"},
    {.name = "bigbin", .args = {{"MIB", 1, 4096}, {"P", 1, MANY}}, .run = run_bigbin,
     .help = "a large binary sent to P processes, 100 times"},
    {.name = "monitor", .args = {{"N", 1, MANY}}, .run = run_monitor, .bodies = true,
     .help = "start, end and DOWN or EXIT, one after another; monitor and demonitor, link and unlink"},
    {.name = "linkfan", .args = {{"N", 1, MANY}}, .run = run_linkfan, .bodies = true,
     .help = "a process ends that N others are linked to"},
    {.name = "exits", .args = {{"N", 1, MANY}}, .run = run_exits, .bodies = true,
     .help = "N processes end at once, each watched by one of N others"},
    {.name = "gencall", .args = {{"N", 1, MANY}}, .run = run_gencall,
     .help = "calls of a server that monitors, has an alias and a time limit"},
    {.name = "nqueens", .args = {{"N", 1, 14}, {"D", 0, 14}}, .run = run_nqueens, .bodies = true, .refuse = refuse_nqueens,
     .help = "N queens, a process for each partial board down to row D"},
    {.name = "chameneos", .args = {{"M", 1, MANY}}, .run = run_chameneos, .bodies = true,
     .help = "eight creatures meet M times"},
    {.name = "fair", .args = {{"H", 0, 10000}, {"N", 2, MANY}}, .run = run_fair,
     .help = "N round trips, 1 ms apart, beside H processes that compute"},
    {.name = "lathog", .args = {{"H", 0, 10000}, {"N", 2, MANY}}, .run = run_lathog,
     .help = "how long a wait of 1 ms takes beside H processes that compute"},
    {.name = "pairs", .args = {{"P", 1, MANY}, {"N", 1, MANY}}, .run = run_pairs, .bodies = true,
     .help = "P pairs make N round trips each, all at once"},
    {.name = "node_pingpong", .args = {{"N", 1, MANY}}, .run = run_node_pingpong,
     .help = "N round trips with a process of another node, a program of its own"},
    {.name = "node_flood", .args = {{"S", 1, MANY}, {"M", 1, MANY}}, .run = run_node_flood, .refuse = refuse_fanin,
     .help = "S senders, one receiver on another node, M small messages"},
    {.name = "node_binary", .args = {{"BYTES", 1, 134217728}, {"N", 1, MANY}}, .run = run_node_binary,
     .help = "N binaries to another node"},
    {.name = "node_spawn", .args = {{"N", 1, MANY}}, .run = run_node_spawn,
     .help = "start processes on another node, N of each kind: that answer, that are monitored; and calls"},
    {.name = "node_connect", .args = {{"N", 1, MANY}}, .run = run_node_connect,
     .help = "connect and disconnect N times"},
    {.name = "node_mixed", .args = {{"N", 1, MANY}}, .run = run_node_mixed,
     .help = "N round trips, 2 ms apart, while binaries of 64 MiB pass"},
    {.name = "node_serve", .run = run_node_serve,
     .help = "the other node of these, which start it; ends with its input"},
};

enum { WORKLOADS = sizeof workloads / sizeof *workloads };

__attribute__((format(printf, 1, 2))) static MOTE_NORETURN void usage_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("mote-bench: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; mote-bench --help lists what there is\n", stderr);
    exit(USAGE);
}

static int arg_count(const struct workload *w) {
    int count = 0;
    while (count < ARGS_MAX && w->args[count].label != NULL) count++;
    return count;
}

static void print_usage(const struct workload *w, char *text, size_t size) {
    int used = snprintf(text, size, "%s", w->name);
    for (int k = 0; k < arg_count(w); k++) used += snprintf(text + used, size - (size_t)used, " %s", w->args[k].label);
    if (w->bodies) snprintf(text + used, size - (size_t)used, " [--body]");
}

static void help(void) {
    puts("mote-bench WORKLOAD [ARGS] [--schedulers N] [--body handler|stack]\n"
         "\n"
         "Runs a workload and prints its results, each a line `name value unit`; names and arguments are those of\n"
         "bench/peers/erlang/bench.erl. --schedulers: threads that run processes (default: MOTE_SCHEDULERS, else one per\n"
         "core). --body: processes with a stack of their own (default), or handlers.\n");
    for (int k = 0; k < WORKLOADS; k++) {
        char text[80];
        print_usage(&workloads[k], text, sizeof text);
        printf("  %-36s %s\n", text, workloads[k].help);
    }
}

/* The place of `text` among the words "a|b|c", or -1. */
static int64_t word_place(const char *words, const char *text) {
    size_t size = strlen(text);
    for (int64_t place = 0;; place++) {
        size_t length = strcspn(words, "|");
        if (length == size && memcmp(words, text, size) == 0) return place;
        if (words[length] == 0) return -1;
        words += length + 1;
    }
}

/* A decimal number from min to max, digits only. */
static bool number_get(const char *text, int64_t min, int64_t max, int64_t *number) {
    if (*text == 0 || text[strspn(text, "0123456789")] != 0) return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0 || value < min || value > max) return false;
    *number = value;
    return true;
}

static const struct workload *find_workload(const char *name) {
    for (int k = 0; k < WORKLOADS; k++)
        if (strcmp(workloads[k].name, name) == 0) return &workloads[k];
    usage_error("unknown workload '%s'", name);
}

static void take_argument(struct bench *bench, int index, const char *text) {
    const struct workload *w = bench->workload;
    if (index >= arg_count(w)) usage_error("%s: one argument too many: '%s'", w->name, text);
    const struct argument *arg = &w->args[index];
    bench->text[index] = text;
    if (arg->max == 0) {
        bench->number[index] = word_place(arg->label, text);
        if (bench->number[index] < 0) usage_error("%s: '%s' is none of %s", w->name, text, arg->label);
    } else if (!number_get(text, arg->min, arg->max, &bench->number[index])) {
        usage_error("%s: %s is '%s', not a number from %lld to %lld", w->name, arg->label, text, (long long)arg->min,
                    (long long)arg->max);
    }
}

/* An option's value: what follows `=`, or the next word. Gives NULL when `word` is not this option. */
static const char *option_value(const char *name, char **argv, int *at) {
    size_t size = strlen(name);
    if (strncmp(argv[*at], name, size) != 0 || (argv[*at][size] != 0 && argv[*at][size] != '=')) return NULL;
    if (argv[*at][size] == '=') return argv[*at] + size + 1;
    if (argv[*at + 1] == NULL) usage_error("%s needs a value", name);
    return argv[++*at];
}

static bool take_option(struct bench *bench, char **argv, int *at) {
    const char *value;
    int64_t number;
    if ((value = option_value("--schedulers", argv, at)) != NULL) {
        if (!number_get(value, 1, SCHEDULERS_MAX, &number))
            usage_error("--schedulers is '%s', not a number from 1 to %d", value, SCHEDULERS_MAX);
        bench->schedulers = (unsigned)number;
    } else if ((value = option_value("--body", argv, at)) != NULL) {
        number = word_place("stack|handler", value);
        if (number < 0) usage_error("--body: '%s' is none of stack|handler", value);
        bench->handler = number == 1;
    } else if (argv[*at][0] == '-') {
        usage_error("unknown option '%s'", argv[*at]);
    } else {
        return false;
    }
    return true;
}

/* pingpong decides on how many schedulers it runs: `same` on one; in `cross` a thread takes the place of one. */
static unsigned schedulers_of(const struct bench *bench) {
    if (bench->workload->run != run_pingpong || bench->number[0] > 1) return bench->schedulers;
    return bench->number[0] == 0 || bench->schedulers < 2 ? 1 : bench->schedulers - 1;
}

static void parse(struct bench *bench, char **argv) {
    int taken = 0;
    for (int at = 1; argv[at] != NULL; at++) {
        if (take_option(bench, argv, &at)) continue;
        if (bench->workload == NULL)
            bench->workload = find_workload(argv[at]);
        else
            take_argument(bench, taken++, argv[at]);
    }
    const struct workload *w = bench->workload;
    if (w == NULL) usage_error("no workload");
    if (taken < arg_count(w)) usage_error("%s: %s is missing", w->name, w->args[taken].label);
    if (bench->handler && !w->bodies) usage_error("%s: it has no --body handler", w->name);
    const char *wrong = w->refuse != NULL ? w->refuse(bench) : NULL;
    if (wrong != NULL) usage_error("%s: %s", w->name, wrong);
}

static int first_process(mote_self *self, void *context) {
    const struct bench *bench = context;
    bench->workload->run(self, bench);
    return 0;
}

/* Workloads end processes on purpose, and some hold a scheduler for long: that is no news. */
static void print_log(void *context, mote_log_level level, const char *text) {
    (void)context, (void)level;
    if (!strstr(text, " ended: boom;") && !strstr(text, " ended: killed;") && !strstr(text, " has held scheduler ")) fprintf(stderr, "mote: %s\n", text);
}

int main(int argc, char **argv) {
    struct bench bench = {0};
    for (int k = 1; k < argc; k++)
        if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) argc = 1;
    if (argc < 2) {
        help();
        return 0;
    }
    parse(&bench, argv);
    mote_options options = {.schedulers = schedulers_of(&bench), .log = print_log};
    return mote_run(&options, first_process, &bench);
}
