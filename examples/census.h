/* SPDX-License-Identifier: Apache-2.0
 *
 * census: counts the words of a directory tree with one process per file. What its files share:
 *   census.c         the pipeline: walker, readers, counters, coordinator; read this one first
 *   census_table.c   words and their counts, the state of readers and counters
 *   census_report.c  what a person or a program sees of it
 *   census_main.c    the command line
 *
 * A word is a run of letters: A to Z, a to z (counted as small letters) and every byte from 0x80 on, so that words in
 * UTF-8 stay whole. It counts when it has min_length to CENSUS_WORD_MAX bytes; longer runs are data, not words.
 * A file is text unless one of its first CENSUS_BINARY_BYTES bytes is zero.
 */
#ifndef CENSUS_H
#define CENSUS_H

#include <mote/mote.h>

#include <signal.h>
#include <stdio.h>

#define CENSUS_WORD_MAX 64u        /* bytes */
#define CENSUS_BINARY_BYTES 8192u  /* bytes looked at for a zero */
#define CENSUS_COUNTERS_MAX 16u
#define CENSUS_SCHEDULERS_MAX 256u

/* Why a file was not counted. The names are in census_report.c, in this order. */
enum census_why {
    CENSUS_BINARY,
    CENSUS_SYMLINK,
    CENSUS_SPECIAL,    /* a pipe, socket or device */
    CENSUS_HUGE,       /* detail: its size */
    CENSUS_UNREADABLE, /* detail: errno */
    CENSUS_VANISHED,
    CENSUS_CUT_SHORT,  /* failed or grew while it was read: what came before is counted; detail: errno or 0 */
    CENSUS_CRASHED,    /* its reader could not go on; text: why */
    CENSUS_WHYS
};

struct census_options {
    const char *const *paths; /* borrowed; every one existed when looked at */
    size_t path_count;
    unsigned cores;      /* 0: the runtime's default */
    unsigned counters;   /* counter processes */
    unsigned min_length; /* bytes */
    size_t top;          /* words to show; 0: all */
    size_t examples;     /* skipped files to name for each reason */
    uint64_t readers_max; /* alive at once */
    uint64_t size_max;   /* bytes of one file */
    uint64_t files_max;  /* 0: no limit */
    uint64_t total_max;  /* bytes of all files; 0: no limit */
    uint64_t chaos;      /* of a million readers, so many crash somewhere in their file */
    sigset_t signals;    /* blocked in every thread; one that is pending ends the walk */
    bool everything;     /* the paths are the default ones */
    bool live;           /* show progress on stderr */
};

struct census_skip {
    char *path; /* owned */
    size_t path_size;
    char *text; /* owned; may be NULL */
    uint64_t detail;
};

struct census_word {
    const uint8_t *text; /* its length, then its bytes */
    uint64_t hash;
    uint64_t count; /* 0: an empty slot */
};

/* What a run found: plain memory that outlives the runtime. Law: found = counted + the sum of skipped. */
struct census_result {
    uint64_t found;
    uint64_t counted;
    uint64_t skipped[CENSUS_WHYS];
    struct census_skip *examples[CENSUS_WHYS]; /* owned, as many as options.examples at most */
    size_t example_count[CENSUS_WHYS];
    uint64_t directories;
    uint64_t directories_skipped;
    struct census_skip directory_example; /* the first that could not be read */
    uint64_t bytes;
    uint64_t words;
    uint64_t distinct;
    uint64_t digest; /* equal for equal counts of equal words, in whatever order */
    struct census_word *top; /* owned, most frequent first, equal ones by their bytes */
    size_t top_count;
    uint8_t *top_text; /* owned: what `top` points into */
    uint64_t restarts; /* of readers that crashed */
    uint64_t readers_peak;
    uint64_t elapsed_ns;
    mote_runtime_info runtime;
    mote_scheduler_info schedulers[CENSUS_SCHEDULERS_MAX];
    bool capped;     /* files_max or total_max was reached */
    int signal;      /* not 0: interrupted by it */
    unsigned warnings; /* of the runtime */
    char warning[256]; /* the first of them */
    char failed[256]; /* not empty: why there is no result */
};

/* census.c */

/* Counts, in a runtime of its own. Fills `result` (zeroed before); release it with census_result_fini(). Gives the exit
 * code of the run: 0, 1 (result->failed says why) or 70 (no runtime). Waits. */
int census_run(const struct census_options *options, struct census_result *result);

/* Releases what a result owns, and zeroes it. */
void census_result_fini(struct census_result *result);

/* census_table.c: a hash table of words in a process's own memory. */

struct census_table {
    struct census_word *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t used;
    size_t used_max;
    size_t text_bytes; /* lengths included */
    struct census_block *blocks; /* newest first */
};

#define CENSUS_HASH_START 0xcbf29ce484222325u
#define CENSUS_HASH_PRIME 0x100000001b3u

/* The last step of a word's hash: start from CENSUS_HASH_START, and for each byte xor it in and multiply by the prime. */
static inline uint64_t census_hash_end(uint64_t hash) {
    hash ^= hash >> 29;
    return hash * 0xbf58476d1ce4e5b9u ^ hash >> 32;
}

/* Adds `count` to a word of `length` bytes (at most CENSUS_WORD_MAX); copies it. False: out of memory, or used_max words
 * are there already. */
bool census_table_add(mote_self *self, struct census_table *table, const uint8_t *word, size_t length, uint64_t hash,
                      uint64_t count);

/* Empties the table for new words; keeps its slots. */
void census_table_clear(mote_self *self, struct census_table *table);

/* The order of results: more frequent first, then by bytes. As for qsort(). */
int census_word_compare(const void *a, const void *b);

/* Moves the `wanted` first words by census_word_compare() to the front of `words`, in no order. Gives how many there are. */
size_t census_words_select(struct census_word *words, size_t count, size_t wanted);

/* census_report.c */

/* One line of progress on a terminal (stderr), over the one before. `at`: the directory that is walked now. */
void census_live_show(const struct census_result *result, uint64_t elapsed_ns, const char *at);

/* Takes the line away. */
void census_live_clear(void);

/* The report for people, on stdout. */
void census_report_print(const struct census_options *options, const struct census_result *result);

/* Two runs compared, on stdout: `one` on one core, `all` on more. */
void census_compare_print(const struct census_result *one, const struct census_result *all);

/* The report for programs: one JSON object on stdout. `one` may be NULL. Bytes that are not UTF-8 are written as Python's
 * surrogateescape has them (\udc80 to \udcff), so that nothing is lost. */
void census_json_print(const struct census_options *options, const struct census_result *result,
                       const struct census_result *one);

/* Writes bytes from outside to a stream: what is not printable comes out as \n, \t or \xff. Gives the columns used, and
 * stops before they exceed `columns_max`. `out` may be NULL: then it only measures. */
unsigned census_text_print(FILE *out, const void *text, size_t size, unsigned columns_max);

#endif
