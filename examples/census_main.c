/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of census. Exit codes: 0 counted (skipped files are no failure), 1 failed, 2 a wrong command line,
 * 70 the runtime does not start, 130 and 143 interrupted (what was counted so far is printed). */
#include "census.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define SIZE_LIMIT (UINT64_C(4) << 30)

/* Read when no path is given, in this order, as far as they exist. */
static const char *const default_paths[] = {"/usr/share/doc", "/usr/include", "/usr/lib/python3*", "/usr/share/perl*",
                                            "/usr/share/man", "/usr/share/*"};
#define DEFAULT_FILES_MAX 40000u
#define DEFAULT_TOTAL_MAX (UINT64_C(600) << 20)

static const char usage[] =
    "usage: census [options] [path ...]\n"
    "\n"
    "Counts the words in files and directory trees, with one mote process per file.\n"
    "Without a path: this machine's documentation and headers, 40,000 files of them at most.\n"
    "\n"
    "  --cores N         schedulers to use (default: one per core)\n"
    "  --compare         count on one core, then on all (or --cores N), and show the speed-up\n"
    "  --top N           words to show (default 20; 0: all)\n"
    "  --min-length N    bytes a word has at least, 1 to 64 (default 4)\n"
    "  --max-size SIZE   skip larger files (default 16M, at most 4G)\n"
    "  --max-files N     stop after so many files (0: no limit)\n"
    "  --max-total SIZE  stop after so many bytes (0: no limit)\n"
    "  --max-readers N   files in flight at once (default 1000)\n"
    "  --chaos P         let so many readers crash somewhere in their file, 0 to 0.5; their supervisor starts them anew\n"
    "  --examples N      skipped files to name for each reason (default 2)\n"
    "  --json            the report as one JSON object\n"
    "  --help\n"
    "\n"
    "A word is a run of letters (A-Z as a-z; bytes from 0x80 on count as letters, so that UTF-8 words stay whole) of\n"
    "at most 64 bytes. Symbolic links inside a tree are not followed. Skipped and reported: files with a zero byte in\n"
    "their first 8 KiB (binary), larger than --max-size, not readable, or gone when their turn comes.\n";

struct command {
    struct census_options options;
    bool compare;
    bool json;
    const char **paths; /* owned array; the strings live as long as the program */
};

static int usage_error(const char *what, const char *which, const char *advice) {
    fprintf(stderr, "census: %s", what);
    if (which) {
        fputs(" '", stderr);
        census_text_print(stderr, which, strlen(which), UINT_MAX);
        fputc('\'', stderr);
    }
    fprintf(stderr, "; %s\n", advice);
    return EXIT_USAGE;
}

/* A whole number from `least` to `most`, with K, M or G behind it when `size` is true. */
static bool number(const char *text, bool size, uint64_t least, uint64_t most, uint64_t *value) {
    if (*text < '0' || *text > '9') return false;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (size && *end) {
        shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
        if (shift) end++;
    }
    if (errno || *end || n > UINT64_MAX >> shift || n << shift < least || n << shift > most) return false;
    *value = n << shift;
    return true;
}

enum choice { CORES = 256, TOP, MIN_LENGTH, MAX_SIZE, MAX_FILES, MAX_TOTAL, MAX_READERS, EXAMPLES, COMPARE, CHAOS, JSON, HELP };

static const struct option option_table[] = {
    {"cores", required_argument, NULL, CORES},       {"top", required_argument, NULL, TOP},
    {"min-length", required_argument, NULL, MIN_LENGTH}, {"max-size", required_argument, NULL, MAX_SIZE},
    {"max-files", required_argument, NULL, MAX_FILES}, {"max-total", required_argument, NULL, MAX_TOTAL},
    {"max-readers", required_argument, NULL, MAX_READERS}, {"examples", required_argument, NULL, EXAMPLES},
    {"compare", no_argument, NULL, COMPARE},         {"chaos", required_argument, NULL, CHAOS},
            {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},               {0},
};

/* What each option with a number takes. */
static const struct {
    bool size;
    uint64_t least, most;
    const char *advice;
} ranges[] = {
    [CORES - CORES] = {false, 1, CENSUS_SCHEDULERS_MAX, "--cores takes a number from 1 to 256"},
    [TOP - CORES] = {false, 0, UINT32_MAX, "--top takes a number of words; 0 shows all"},
    [MIN_LENGTH - CORES] = {false, 1, CENSUS_WORD_MAX, "--min-length takes a number from 1 to 64"},
    [MAX_SIZE - CORES] = {true, 1, SIZE_LIMIT, "--max-size takes bytes, as in 500K, 16M or 1G, at most 4G"},
    [MAX_FILES - CORES] = {false, 0, UINT64_MAX, "--max-files takes a number of files; 0 is no limit"},
    [MAX_TOTAL - CORES] = {true, 0, UINT64_MAX, "--max-total takes bytes, as in 500M or 2G; 0 is no limit"},
    [MAX_READERS - CORES] = {false, 1, 1000000, "--max-readers takes a number from 1 to 1000000"},
    [EXAMPLES - CORES] = {false, 0, 1000000, "--examples takes a number from 0 to 1000000"},
};

static void set(struct command *c, int choice, uint64_t value) {
    struct census_options *o = &c->options;
    switch (choice) {
    case CORES: o->cores = (unsigned)value; break;
    case TOP: o->top = (size_t)value; break;
    case MIN_LENGTH: o->min_length = (unsigned)value; break;
    case MAX_SIZE: o->size_max = value; break;
    case MAX_FILES: o->files_max = value; break;
    case MAX_TOTAL: o->total_max = value; break;
    case MAX_READERS: o->readers_max = value; break;
    case EXAMPLES: o->examples = (size_t)value; break;
    default: break;
    }
}

/* A probability, kept in millionths. */
static bool set_chaos(struct command *c, const char *text) {
    char *end;
    double p = strtod(text, &end);
    if (end == text || *end || !(p >= 0 && p <= 0.5)) return false;
    c->options.chaos = (uint64_t)(p * 1e6 + 0.5);
    return true;
}

/* Adds a path unless it is there already. */
static bool add_path(struct command *c, const char *path) {
    for (size_t i = 0; i < c->options.path_count; i++)
        if (strcmp(c->paths[i], path) == 0) return true;
    const char **grown = realloc(c->paths, (c->options.path_count + 1) * sizeof *grown);
    if (!grown) return false;
    c->paths = grown;
    c->paths[c->options.path_count] = strdup(path);
    c->options.paths = c->paths;
    return c->paths[c->options.path_count++] != NULL;
}

static bool add_default_paths(struct command *c) {
    for (size_t i = 0; i < sizeof default_paths / sizeof *default_paths; i++) {
        glob_t found;
        if (glob(default_paths[i], 0, NULL, &found) != 0) continue;
        bool added = true;
        for (size_t k = 0; k < found.gl_pathc; k++) {
            struct stat s;
            if (lstat(found.gl_pathv[k], &s) == 0 && S_ISDIR(s.st_mode)) added = added && add_path(c, found.gl_pathv[k]);
        }
        globfree(&found);
        if (!added) return false;
    }
    return true;
}

/* The paths of the command line: each must exist; one that is a symbolic link is followed, here and once. */
static int take_paths(struct command *c, char **paths) {
    static const char memory[] = "out of memory";
    for (; *paths; paths++) {
        struct stat s;
        if (stat(*paths, &s) != 0) {
            fprintf(stderr, "census: cannot look at '");
            census_text_print(stderr, *paths, strlen(*paths), UINT_MAX);
            fprintf(stderr, "': %s; give the path of a file or a directory\n", strerror(errno));
            return EXIT_USAGE;
        }
        char *real = lstat(*paths, &s) == 0 && S_ISLNK(s.st_mode) ? realpath(*paths, NULL) : strdup(*paths);
        if (!real || !add_path(c, real)) return usage_error(memory, NULL, "give fewer paths");
        free(real);
    }
    return 0;
}

/* Reads the command line. Gives -1 to go on, else the exit code. */
static int parse(int argc, char **argv, struct command *c) {
    c->options = (struct census_options){.min_length = 4, .top = 20, .examples = 2, .readers_max = 1000,
                                         .size_max = 16u << 20, .files_max = UINT64_MAX, .total_max = UINT64_MAX};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", option_table, NULL)) != -1;) {
        uint64_t value = 0;
        if (option == ':') return usage_error("a value is missing after", argv[optind - 1], "try census --help");
        if (option == '?') return usage_error("there is no option", argv[optind - 1], "try census --help");
        if (option == HELP) {
            fputs(usage, stdout);
            return 0;
        }
        c->compare = c->compare || option == COMPARE;
        c->json = c->json || option == JSON;
        if (option == CHAOS && !set_chaos(c, optarg))
            return usage_error("cannot use the value", optarg, "--chaos takes a probability from 0 to 0.5, as 0.01");
        if (option >= COMPARE) continue;
        if (!number(optarg, ranges[option - CORES].size, ranges[option - CORES].least, ranges[option - CORES].most, &value))
            return usage_error("cannot use the value", optarg, ranges[option - CORES].advice);
        set(c, option, value);
    }
    bool chosen = argv[optind] != NULL;
    c->options.everything = !chosen;
    int code = chosen ? take_paths(c, argv + optind) : 0;
    if (code) return code;
    if (!chosen && !add_default_paths(c)) return usage_error("out of memory", NULL, "name the paths to count");
    if (c->options.path_count == 0) return usage_error("this machine has none of the default paths", NULL, "name one");
    if (c->options.files_max == UINT64_MAX) c->options.files_max = chosen ? 0 : DEFAULT_FILES_MAX;
    if (c->options.total_max == UINT64_MAX) c->options.total_max = chosen ? 0 : DEFAULT_TOTAL_MAX;
    return -1;
}

/* Every reader may have a file open: takes as many descriptors as the system gives, and does with them. */
static void fit_to_descriptors(struct census_options *o) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t wanted = o->readers_max + 256;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    }
    uint64_t most = limit.rlim_cur > 128 ? limit.rlim_cur - 64 : limit.rlim_cur / 2 + 1;
    if (o->readers_max > most) o->readers_max = most;
}

static int run(const struct command *c, const char *doing, unsigned cores, struct census_result *result) {
    struct census_options options = c->options;
    options.cores = cores;
    if (doing && !c->json) {
        fprintf(stderr, "%s\n", doing);
        fflush(stderr);
    }
    int code = census_run(&options, result);
    if (code) fprintf(stderr, "census: %s\n", result->failed);
    return code ? code : result->signal ? 128 + result->signal : 0;
}

static void print(const struct command *c, const struct census_result *result, const struct census_result *one) {
    if (c->json) {
        census_json_print(&c->options, result, one);
        return;
    }
    census_report_print(&c->options, result);
    if (one) census_compare_print(one, result);
}

/* Three runs: the first only brings the files into memory, so that the two that are compared find the same machine. */
static int compare(const struct command *c, struct census_result *result) {
    struct census_result one = {0};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cores = c->options.cores ? c->options.cores : online < 1 ? 1 : (unsigned)online;
    if (cores > CENSUS_SCHEDULERS_MAX) cores = CENSUS_SCHEDULERS_MAX;
    int code = run(c, "reading everything once, so that both runs find it in memory ...", cores, &one);
    if (!code) {
        census_result_fini(&one);
        code = run(c, "counting on one core ...", 1, &one);
    }
    if (code) *result = one;
    if (code > 128) print(c, result, NULL);
    if (code) return code;
    code = run(c, cores == 1 ? "again on one core, for want of another ..." : "counting on all cores ...", cores, result);
    bool same = one.words == result->words && one.digest == result->digest;
    if (!code || code > 128) print(c, result, code ? NULL : &one);
    census_result_fini(&one);
    return code ? code : same ? 0 : 1;
}

int main(int argc, char **argv) {
    struct command command = {0};
    struct census_result result = {0};
    setlocale(LC_CTYPE, "");
    int code = parse(argc, argv, &command);
    if (code >= 0) return code;

    struct census_options *o = &command.options;
    fit_to_descriptors(o);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    o->counters = online < 4 ? 4 : online > (long)CENSUS_COUNTERS_MAX ? CENSUS_COUNTERS_MAX : (unsigned)online;
    const char *term = getenv("TERM");
    o->live = !command.json && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    sigemptyset(&o->signals);
    sigaddset(&o->signals, SIGINT);
    sigaddset(&o->signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &o->signals, NULL);

    code = command.compare ? compare(&command, &result) : run(&command, NULL, o->cores, &result);
    if (!command.compare && (!code || code > 128)) print(&command, &result, NULL);
    census_result_fini(&result);
    for (size_t i = 0; i < o->path_count; i++) free((char *)(uintptr_t)command.paths[i]);
    free(command.paths);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "census: cannot write the report: %s\n", strerror(errno));
        return code ? code : 1;
    }
    return code;
}
