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

/* clang-format off */
static const struct workload workloads[] = {
    {"boot", {{0}}, "nothing: start-up and end of the runtime, timed from outside", run_boot, false, NULL},
    {"pingpong", {{"same|cross|free", 0, 0}, {"N", 1, MANY}}, "N round trips: on one scheduler, kept on two threads, or as it comes", run_pingpong, true, NULL},
    {"payload", {{"bin|list|map", 0, 0}, {"SIZE", 1, MANY}, {"N", 1, MANY}}, "N round trips that carry a binary, a list or a map", run_payload, false, NULL},
    {"ring", {{"P", 1, MANY}, {"HOPS", 1, MANY}}, "a number goes round a ring of P processes", run_ring, true, NULL},
    {"spawn", {{"N", 1000, MANY}}, "start and end, one after another and in batches of 1000", run_spawn, true, NULL},
    {"spawn_flood", {{"N", 1, MANY}}, "start N at once and wait for all", run_spawn_flood, true, NULL},
    {"skynet", {{"N", 1, MANY}}, "a tree of processes, ten each, sums up its N leaves", run_skynet, true, refuse_skynet},
    {"memory", {{"N", 1, MANY}}, "N waiting processes: memory, start until all wait, wake and end", run_memory, true, NULL},
    {"memory_hib", {{"N", 1, MANY}}, "N waiting processes without a stack: memory", run_memory_hib, false, NULL},
    {"fanin", {{"S", 1, MANY}, {"M", 1, MANY}, {"on_heap|off_heap", 0, 0}}, "S senders, one receiver (--body is the receiver's), M messages; both words do the same", run_fanin, true, refuse_fanin},
    {"mailbox", {{"M", 1, MANY}}, "fill a mailbox with M messages, then empty it (a handler takes them as they come)", run_mailbox, true, NULL},
    {"big", {{"P", 2, 100000}, {"ROUNDS", 1, MANY}}, "each of P processes pings all others, in rounds", run_big, true, NULL},
    {"selrecv", {{"Q", 0, MANY}, {"N", 100, MANY}}, "calls with Q messages ahead: with a fresh reference, and without", run_selrecv, false, NULL},
    {"timers", {{"N", 1, MANY}}, "receive with a time-out that does not come; timers set and cancelled", run_timers, false, NULL},
    {"timers_fire", {{"N", 1, MANY}}, "N timers fire within a second", run_timers_fire, false, NULL},
    {"timers_procs", {{"N", 1, MANY}}, "N processes wait 1 to 1000 ms each", run_timers_procs, false, NULL},
    {"late", {{"N", 2, MANY}}, "how long a wait of 1 ms takes", run_late, false, NULL},
    {"bigbin", {{"MIB", 1, 4096}, {"P", 1, MANY}}, "a large binary sent to P processes, 100 times", run_bigbin, false, NULL},
    {"nqueens", {{"N", 1, 14}, {"D", 0, 14}}, "N queens, a process for each partial board down to row D", run_nqueens, true, refuse_nqueens},
    {"chameneos", {{"M", 1, MANY}}, "eight creatures meet M times", run_chameneos, true, NULL},
    {"fair", {{"H", 0, 10000}, {"N", 2, MANY}}, "N round trips, 1 ms apart, beside H processes that compute", run_fair, false, NULL},
    {"lathog", {{"H", 0, 10000}, {"N", 2, MANY}}, "how long a wait of 1 ms takes beside H processes that compute", run_lathog, false, NULL},
    {"pairs", {{"P", 1, MANY}, {"N", 1, MANY}}, "P pairs make N round trips each, all at once", run_pairs, true, NULL},
};
/* clang-format on */

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

int main(int argc, char **argv) {
    struct bench bench = {0};
    for (int k = 1; k < argc; k++)
        if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) argc = 1;
    if (argc < 2) {
        help();
        return 0;
    }
    parse(&bench, argv);
    mote_options options = {.schedulers = schedulers_of(&bench)};
    return mote_run(&options, first_process, &bench);
}
