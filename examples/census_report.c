/* SPDX-License-Identifier: Apache-2.0
 *
 * What people and programs see of a census. Escape codes only go to terminals; nothing that comes from file names or
 * words reaches a terminal unless it is printable. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include "census.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define BAR_COLUMNS 40u
#define WORD_COLUMNS 24u
#define PATH_COLUMNS 100u
#define PATHS_SHOWN 5u

static const struct {
    const char *name; /* in JSON */
    const char *text;
} whys[CENSUS_WHYS] = {
    [CENSUS_BINARY] = {"binary", "binary"},
    [CENSUS_SYMLINK] = {"symlink", "symbolic links"},
    [CENSUS_SPECIAL] = {"special", "pipes, sockets, devices"},
    [CENSUS_HUGE] = {"huge", "larger than --max-size"},
    [CENSUS_UNREADABLE] = {"unreadable", "unreadable"},
    [CENSUS_VANISHED] = {"vanished", "vanished before being read"},
    [CENSUS_CUT_SHORT] = {"cut_short", "counted in part"},
    [CENSUS_CRASHED] = {"crashed", "reader crashed"},
};

/* How stdout looks. */
struct look {
    bool utf8;
    bool colour;
};

static struct look look_of_stdout(void) {
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    bool dumb = !term || strcmp(term, "dumb") == 0;
    return (struct look){strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                         isatty(STDOUT_FILENO) && !dumb && !(no_colour && no_colour[0])};
}

enum paint { PLAIN, BOLD, DIM, GREEN, CYAN, YELLOW };

static const char *paint(const struct look *look, enum paint colour) {
    static const char *const codes[] = {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[36m", "\x1b[33m"};
    return look->colour ? codes[colour] : "";
}

/* 1234567 as 1,234,567 in `text`. */
static const char *grouped(char text[32], uint64_t number) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, number), at = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

static double seconds(uint64_t ns) {
    return (double)ns / 1e9;
}

/* Something per second; 0 when no time has passed. */
static double per_second(uint64_t count, uint64_t ns) {
    return ns ? (double)count / seconds(ns) : 0;
}

/* A bar of `share` (0 to 1) of `columns`: eighths of a block where the terminal knows them, else #. Gives the columns that
 * are left of it. */
static int bar_print(const struct look *look, double share, unsigned columns) {
    static const char *const eighths[] = {"", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589"};
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    unsigned units = (unsigned)(share * columns * 8 + 0.5), whole = look->utf8 ? units / 8 : (units + 4) / 8, used = whole;
    fputs(paint(look, CYAN), stdout);
    for (unsigned i = 0; i < whole; i++) fputs(look->utf8 ? "\u2588" : "#", stdout);
    if (look->utf8 && units % 8) {
        fputs(eighths[units % 8], stdout);
        used++;
    }
    fputs(paint(look, PLAIN), stdout);
    return (int)(columns - used);
}

/* Writes what stands for one character into `text`; gives its columns, and the bytes it takes into `bytes`. */
static unsigned escape(char text[16], const unsigned char *from, size_t size, size_t *bytes) {
    mbstate_t state = {0};
    wchar_t wide = 0;
    size_t got = mbrtowc(&wide, (const char *)from, size, &state);
    int columns = got && got <= size ? wcwidth(wide) : -1;
    *bytes = 1;
    if (columns >= 0 && iswprint((wint_t)wide) && *from != '\\') {
        *bytes = got;
        memcpy(text, from, got);
        text[got] = 0;
        return (unsigned)columns;
    }
    switch (*from) {
    case '\n': return (unsigned)snprintf(text, 16, "\\n");
    case '\t': return (unsigned)snprintf(text, 16, "\\t");
    case '\\': return (unsigned)snprintf(text, 16, "\\\\");
    default: return (unsigned)snprintf(text, 16, "\\x%02x", *from);
    }
}

unsigned census_text_print(FILE *out, const void *text, size_t size, unsigned columns_max) {
    const unsigned char *at = text, *end = at + size;
    unsigned used = 0;
    while (at < end) {
        char shown[16];
        size_t bytes;
        unsigned columns = escape(shown, at, (size_t)(end - at), &bytes);
        if (used + columns > columns_max) break;
        if (out) fputs(shown, out);
        used += columns;
        at += bytes;
    }
    return used;
}

/* The same with "..." in place of what does not fit. */
static unsigned cut_print(const void *text, size_t size, unsigned columns_max) {
    if (census_text_print(NULL, text, size, columns_max + 1) <= columns_max)
        return census_text_print(stdout, text, size, columns_max);
    unsigned used = census_text_print(stdout, text, size, columns_max - 3);
    fputs("...", stdout);
    return used + 3;
}

/* ------------------------------------------------------------------------------------------------ progress */

void census_live_show(const struct census_result *result, uint64_t elapsed_ns, const char *at) {
    static const char spinner[] = "|/-\\";
    struct winsize window = {0};
    unsigned columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
    char files[32], line[160];
    uint64_t ended = result->counted;
    for (size_t i = 0; i < CENSUS_WHYS; i++) ended += result->skipped[i];
    int size = snprintf(line, sizeof line, "%c %s files  %.0f MB  %.0f files/s  %.0f MB/s  ",
                        spinner[elapsed_ns / 100000000 % 4], grouped(files, ended), (double)result->bytes / 1e6,
                        per_second(ended, elapsed_ns), per_second(result->bytes, elapsed_ns) / 1e6);
    if (result->restarts) {
        char again[32];
        size += snprintf(line + size, sizeof line - (size_t)size, "%s restarts  ", grouped(again, result->restarts));
    }
    fputs("\r\x1b[K", stderr);
    unsigned used = census_text_print(stderr, line, (size_t)size, columns - 1);
    if (used + 8 < columns) census_text_print(stderr, at, strlen(at), columns - 1 - used);
    fflush(stderr);
}

void census_live_clear(void) {
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
}

/* ------------------------------------------------------------------------------------------ for people */

static void top_print(const struct look *look, const struct census_result *r) {
    char number[32];
    for (size_t i = 0; i < r->top_count; i++) {
        const struct census_word *word = &r->top[i];
        printf("  %s", paint(look, BOLD));
        unsigned used = cut_print(word->text + 1, word->text[0], WORD_COLUMNS);
        printf("%s%*s %11s  ", paint(look, PLAIN), (int)(WORD_COLUMNS - used), "", grouped(number, word->count));
        bar_print(look, (double)word->count / (double)r->top[0].count, BAR_COLUMNS);
        putchar('\n');
    }
    if (r->top_count == 0) puts("  no words");
    putchar('\n');
}

static void skip_print(const struct look *look, enum census_why why, const struct census_skip *s) {
    printf("  %15s%s", "", paint(look, DIM));
    cut_print(s->path, s->path_size, PATH_COLUMNS);
    if (why == CENSUS_HUGE) printf(" (%.1f MB)", (double)s->detail / 1e6);
    if ((why == CENSUS_UNREADABLE || why == CENSUS_CUT_SHORT) && s->detail) printf(": %s", strerror((int)s->detail));
    if (why == CENSUS_CUT_SHORT && !s->detail) fputs(": it outgrew --max-size while it was read", stdout);
    if (s->text) {
        fputs(": ", stdout);
        cut_print(s->text, strlen(s->text), PATH_COLUMNS);
    }
    printf("%s\n", paint(look, PLAIN));
}

static void skips_print(const struct look *look, const struct census_result *r) {
    char number[32];
    bool heading = false;
    for (size_t why = 0; why < CENSUS_WHYS; why++) {
        if (!r->skipped[why]) continue;
        if (!heading) puts("  skipped");
        heading = true;
        printf("  %s%13s%s  %s\n", paint(look, YELLOW), grouped(number, r->skipped[why]), paint(look, PLAIN), whys[why].text);
        for (size_t i = 0; i < r->example_count[why]; i++) skip_print(look, (enum census_why)why, &r->examples[why][i]);
    }
    if (r->directories_skipped) {
        if (!heading) puts("  skipped");
        heading = true;
        printf("  %s%13s%s  unreadable directories\n", paint(look, YELLOW), grouped(number, r->directories_skipped),
               paint(look, PLAIN));
        if (r->directory_example.path) skip_print(look, CENSUS_UNREADABLE, &r->directory_example);
    }
    if (heading) putchar('\n');
}

static void figures_print(const struct look *look, const struct census_result *r) {
    char a[32], b[32], c[32];
    uint64_t skipped = r->found - r->counted;
    const char *bold = paint(look, BOLD), *plain = paint(look, PLAIN);
    printf("  files        %s%s%s found = %s counted + %s skipped, in ", bold, grouped(a, r->found), plain,
           grouped(b, r->counted), grouped(c, skipped));
    printf("%s directories\n", grouped(a, r->directories));
    printf("  text         %s%.1f MB%s, %s words, ", bold, (double)r->bytes / 1e6, plain, grouped(a, r->words));
    printf("%s of them different\n", grouped(a, r->distinct));
    printf("  time         %s%.2f s%s", bold, seconds(r->elapsed_ns), plain);
    printf("   %s%s files/s   %.1f MB/s%s", paint(look, GREEN), grouped(a, (uint64_t)per_second(r->found, r->elapsed_ns)),
           per_second(r->bytes, r->elapsed_ns) / 1e6, plain);
    printf("   %s%s messages/s%s\n", paint(look, GREEN),
           grouped(b, (uint64_t)per_second(r->runtime.messages_sent, r->elapsed_ns)), plain);
    printf("  processes    %s%s%s created, %s files in flight at once", bold, grouped(a, r->runtime.processes_started), plain,
           grouped(b, r->readers_peak));
    printf("   %s messages\n", grouped(c, r->runtime.messages_sent));
    if (r->restarts)
        printf("  crashes      %s%s%s readers crashed, and their supervisor started as many anew\n", bold, grouped(a, r->restarts), plain);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        printf("  memory       %ld MB at most, all told\n", usage.ru_maxrss / 1024);
    putchar('\n');
}

static void schedulers_print(const struct look *look, const struct census_result *r) {
    char busy[32], turns[32], steals[32];
    for (unsigned i = 0; i < r->runtime.schedulers && i < CENSUS_SCHEDULERS_MAX; i++) {
        const mote_scheduler_info *s = &r->schedulers[i];
        double share = r->runtime.uptime_ns ? (double)s->busy_ns / (double)r->runtime.uptime_ns : 0;
        printf("  scheduler %-2u ", i + 1);
        int left = bar_print(look, share, BAR_COLUMNS / 2);
        printf("%*s  %3.0f %%  %7s ms busy  ", left, "", 100 * share, grouped(busy, s->busy_ns / 1000000));
        printf("%9s turns  %7s stolen\n", grouped(turns, s->turns), grouped(steals, s->steals));
    }
    putchar('\n');
}

void census_report_print(const struct census_options *options, const struct census_result *result) {
    struct look look = look_of_stdout();
    if (result->signal)
        printf("%sinterrupted: this is what was counted so far%s\n\n", paint(&look, YELLOW), paint(&look, PLAIN));
    printf("census of%s", options->everything ? " this machine's documentation and headers" : "");
    for (size_t i = 0; !options->everything && i < options->path_count && i < PATHS_SHOWN; i++) {
        putchar(' ');
        cut_print(options->paths[i], strlen(options->paths[i]), PATH_COLUMNS / 2);
    }
    if (!options->everything && options->path_count > PATHS_SHOWN)
        printf(" and %zu more", options->path_count - PATHS_SHOWN);
    printf(": words of %u letters and more\n\n", options->min_length);
    top_print(&look, result);
    skips_print(&look, result);
    figures_print(&look, result);
    schedulers_print(&look, result);
    if (result->warnings) {
        printf("  %s%u warnings of the runtime%s, the first:\n  ", paint(&look, YELLOW), result->warnings,
               paint(&look, PLAIN));
        census_text_print(stdout, result->warning, strlen(result->warning), UINT16_MAX);
        puts("\n");
    }
    if (result->capped) puts("  there is more: it stopped at --max-files or --max-total\n");
}

void census_compare_print(const struct census_result *one, const struct census_result *all) {
    struct look look = look_of_stdout();
    const struct census_result *runs[2] = {one, all};
    double speed_up = all->elapsed_ns ? (double)one->elapsed_ns / (double)all->elapsed_ns : 0;
    for (size_t i = 0; i < 2; i++) {
        printf("  %3u %-8s %8.2f s  ", runs[i]->runtime.schedulers, runs[i]->runtime.schedulers == 1 ? "core" : "cores",
               seconds(runs[i]->elapsed_ns));
        bar_print(&look, one->elapsed_ns ? (double)runs[i]->elapsed_ns / (double)one->elapsed_ns : 0, BAR_COLUMNS);
        putchar('\n');
    }
    bool same = one->words == all->words && one->digest == all->digest;
    printf("\n  speed-up     %s%.2f times%s, %s\n", paint(&look, GREEN), speed_up, paint(&look, PLAIN),
           same ? "and the same counts" : "but the counts differ: files have changed in between, or there is a bug");
}

/* ---------------------------------------------------------------------------------------- for programs */

/* The bytes of the UTF-8 character at `at`; 0 when it is none (overlong, a surrogate, cut off, above U+10FFFF). */
static size_t utf8_size(const unsigned char *at, size_t left) {
    if (at[0] < 0x80) return 1;
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size) return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    if (at[0] == 0xe0 && at[1] < 0xa0) return 0;
    if (at[0] == 0xed && at[1] > 0x9f) return 0;
    if (at[0] == 0xf0 && at[1] < 0x90) return 0;
    if (at[0] == 0xf4 && at[1] > 0x8f) return 0;
    return size;
}

static void json_string(const void *text, size_t size) {
    const unsigned char *at = text, *end = at + size;
    putchar('"');
    while (at < end) {
        size_t bytes = utf8_size(at, (size_t)(end - at));
        if (bytes == 0) printf("\\udc%02x", *at);
        else if (*at == '"' || *at == '\\') printf("\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f) printf("\\u%04x", *at);
        else fwrite(at, 1, bytes, stdout);
        at += bytes ? bytes : 1;
    }
    putchar('"');
}

static void json_skipped(const struct census_result *r) {
    fputs("  \"skipped\": {", stdout);
    for (size_t why = 0; why < CENSUS_WHYS; why++)
        printf("%s\"%s\": %" PRIu64, why ? ", " : "", whys[why].name, r->skipped[why]);
    fputs("},\n  \"examples\": {", stdout);
    for (size_t why = 0; why < CENSUS_WHYS; why++) {
        printf("%s\"%s\": [", why ? ", " : "", whys[why].name);
        for (size_t i = 0; i < r->example_count[why]; i++) {
            if (i) fputs(", ", stdout);
            json_string(r->examples[why][i].path, r->examples[why][i].path_size);
        }
        putchar(']');
    }
    fputs("},\n", stdout);
}

static void json_schedulers(const struct census_result *r) {
    fputs("  \"schedulers\": [", stdout);
    for (unsigned i = 0; i < r->runtime.schedulers && i < CENSUS_SCHEDULERS_MAX; i++) {
        const mote_scheduler_info *s = &r->schedulers[i];
        printf("%s\n    {\"busy_ns\": %" PRIu64 ", \"turns\": %" PRIu64, i ? "," : "", s->busy_ns, s->turns);
        printf(", \"steals\": %" PRIu64 ", \"parks\": %" PRIu64 "}", s->steals, s->parks);
    }
    fputs("],\n", stdout);
}

void census_json_print(const struct census_options *options, const struct census_result *result,
                       const struct census_result *one) {
    const struct census_result *r = result;
    printf("{\n  \"min_length\": %u, \"max_length\": %u, \"max_size\": %" PRIu64 ",\n", options->min_length, CENSUS_WORD_MAX,
           options->size_max);
    printf("  \"interrupted\": %s, \"capped\": %s,", r->signal ? "true" : "false", r->capped ? "true" : "false");
    printf(" \"warnings\": %u,\n", r->warnings);
    printf("  \"found\": %" PRIu64 ", \"counted\": %" PRIu64 ",\n", r->found, r->counted);
    json_skipped(r);
    printf("  \"directories\": %" PRIu64 ", \"directories_skipped\": %" PRIu64 ",\n", r->directories, r->directories_skipped);
    printf("  \"bytes\": %" PRIu64 ", \"words\": %" PRIu64 ", \"distinct\": %" PRIu64 ",\n", r->bytes, r->words, r->distinct);
    printf("  \"elapsed_ns\": %" PRIu64 ", \"processes\": %" PRIu64, r->elapsed_ns, r->runtime.processes_started);
    printf(", \"messages\": %" PRIu64 ", \"in_flight\": %" PRIu64 ", \"restarts\": %" PRIu64 ",\n", r->runtime.messages_sent, r->readers_peak,
           r->restarts);
    json_schedulers(r);
    if (one)
        printf("  \"compare\": {\"one_core_ns\": %" PRIu64 ", \"all_cores_ns\": %" PRIu64 ", \"same\": %s},\n", one->elapsed_ns,
               r->elapsed_ns, one->words == r->words && one->digest == r->digest ? "true" : "false");
    fputs("  \"top\": [", stdout);
    for (size_t i = 0; i < r->top_count; i++) {
        fputs(i ? ",\n    [" : "\n    [", stdout);
        json_string(r->top[i].text + 1, r->top[i].text[0]);
        printf(", %" PRIu64 "]", r->top[i].count);
    }
    fputs("]\n}\n", stdout);
}
