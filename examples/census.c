/* SPDX-License-Identifier: Apache-2.0
 *
 * census: counts the words of a directory tree with one process per file.
 *
 *      walker --asks the supervisor---> reader (one per file) ---{words, ..}------> counter (a few)
 *        ^  \                              |                                           |
 *        |   {directory, ..} {walked, ..}  | {counted, ..} {skipped, ..}               | {top, ..} {totals, ..}
 *        |                            \    v                                           v
 *        +------{credit, N}, stop------ coordinator (the main process) <---------------+
 *
 * Readers are children of a supervisor, which starts one that crashes anew (--chaos makes them crash on purpose). A new reader does the whole
 * file again, and sends the same batches with the same numbers: counters drop those they have had. So every word counts once.
 *
 * Every file ends in exactly one message to the coordinator: a reader reports from its stop callback when it has done what it can. So the
 * run ends when the walker has found N files and N have ended, and found = counted + skipped is checked. The coordinator is linked with
 * the walker, the counters and the supervisor, and traps exits: if one of them ends, the run says so and ends too.
 *
 * Memory is bounded whatever the tree is like: the walker needs a credit for each file and gets it back when the file has
 * ended; a reader holds one block of its file and at most FLUSH_BYTES of words; a counter's mailbox takes COUNTER_MAILBOX
 * batches, then readers that send more stand still (MOTE_SUSPEND); a counter keeps at most WORDS_MAX words.
 */
#include "census.h"

#include <mote/supervisor.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES (64u * 1024u)  /* read in one turn */
#define FLUSH_BYTES (128u * 1024u) /* of words in a reader before it sends them */
#define TOP_BYTES (32u * 1024u)    /* of one {top, ..} message */
#define COUNTER_MAILBOX 256u
#define WORDS_MAX (4u * 1024u * 1024u) /* different ones in one counter */
#define LISTING_MAX 128u               /* entries of a directory read at once */
#define TICK_MS 100
#define RESTARTS_MAX 100000 /* in a second; more, and the supervisor gives up */
#define CRASH_TEXT 200

/* ------------------------------------------------------------------------------------------------- common */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* As an argument of the macros, which would take the comma of a compound literal for their own. */
static mote_bytes bytes_of(const void *data, size_t size) {
    return (mote_bytes){data, size};
}

/* Ends the process when a call that must not fail has failed: its supervisor gets to see the reason. */
static void must(mote_self *self, mote_err err, const char *what) {
    if (err == MOTE_OK) return;
    mote_term reason = MOTE_TERM_NONE;
    if (mote_build(mote_scratch(self), &reason, "{?, ?}", what, mote_err_text(err)) != MOTE_OK)
        reason = mote_atom_term(mote_atom_make("out_of_memory"));
    mote_exit(self, reason);
}

static void *must_alloc(mote_self *self, size_t size) {
    void *memory = mote_alloc(self, size);
    must(self, memory ? MOTE_OK : MOTE_ENOMEM, "memory");
    return memory;
}

/* Without this message the coordinator would wait for ever, so there is nothing left to do but say why. */
static void must_report(mote_err err) {
    if (err == MOTE_OK || err == MOTE_ESTOPPED) return;
    fprintf(stderr, "census: a process cannot report to the coordinator: %s\n", mote_err_text(err));
    _exit(70);
}

static bool ended_normally(mote_term reason) {
    return mote_match(reason, "normal");
}

/* ------------------------------------------------------------------------------------------------- reader */

struct reader {
    mote_pid coordinator;
    bool started; /* there is somebody to report to */
    uint64_t number; /* of the file */
    uint64_t chaos;    /* of a million readers, so many crash */
    uint64_t crash_in; /* blocks from now; 0: it does not */
    mote_pid counters[CENSUS_COUNTERS_MAX];
    uint32_t sent[CENSUS_COUNTERS_MAX]; /* batches, to each counter */
    size_t counter_count;
    unsigned min_length;
    uint64_t size_max;
    char *path; /* ends in a zero byte */
    size_t path_size;
    int fd; /* -1: not open */
    uint8_t *block;
    size_t block_size;
    uint64_t bytes; /* read so far */
    uint64_t words;
    uint64_t words_sent; /* those of them that the counters have */
    struct census_table table;
    uint8_t word[CENSUS_WORD_MAX]; /* the run of letters that the last block ended in */
    size_t length;                 /* of that run; may exceed the maximum */
    uint64_t hash;
    bool skipped; /* then: why and detail */
    enum census_why why;
    uint64_t detail;
    char text[CRASH_TEXT]; /* of CENSUS_CRASHED */
};

static MOTE_NORETURN void skip(mote_self *self, struct reader *r, enum census_why why, uint64_t detail);

/* A call failed that needs memory or the like: no bug, and another try would fail too. The file is skipped. */
static void read_must(mote_self *self, struct reader *r, mote_err err, const char *what) {
    if (err == MOTE_OK) return;
    snprintf(r->text, sizeof r->text, "%s: %s", what, mote_err_text(err));
    skip(self, r, CENSUS_CRASHED, 0);
}

static void *read_alloc(mote_self *self, struct reader *r, size_t size) {
    void *memory = mote_alloc(self, size);
    read_must(self, r, memory ? MOTE_OK : MOTE_ENOMEM, "memory");
    return memory;
}

/* A bug, if one is wanted: each try of a reader has its own luck, and the place where it will run out. */
static void plan_crash(mote_self *self, struct reader *r, uint64_t blocks) {
    uint64_t dice = mote_ref_make(self).word * 0x9e3779b97f4a7c15u;
    dice ^= dice >> 32;
    bool crashes = dice % 1000000 < r->chaos;
    r->crash_in = crashes ? dice / 1000000 % (blocks + 1) + 1 : 0; /* 0: not */
}

static void perhaps_crash(mote_self *self, struct reader *r) {
    if (r->crash_in && --r->crash_in == 0) mote_error(self, mote_atom_term(mote_atom_make("chaos")));
}

#define LETTER(c) \
    ((c) >= 0x80 ? (uint8_t)(c) : ((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z' ? (uint8_t)((c) | 0x20) : (uint8_t)0)
#define LETTERS4(c) LETTER(c), LETTER((c) + 1), LETTER((c) + 2), LETTER((c) + 3)
#define LETTERS16(c) LETTERS4(c), LETTERS4((c) + 4), LETTERS4((c) + 8), LETTERS4((c) + 12)
#define LETTERS64(c) LETTERS16(c), LETTERS16((c) + 16), LETTERS16((c) + 32), LETTERS16((c) + 48)

/* What a byte counts as: the small letter, itself from 0x80 on, 0 when it is no letter. */
static const uint8_t letters[256] = {LETTERS64(0), LETTERS64(64), LETTERS64(128), LETTERS64(192)};

/* Which counter has a word: by bits of the hash that the tables do not use for their slots. */
static size_t counter_of(uint64_t hash, size_t counter_count) {
    return (size_t)(hash >> 40) % counter_count;
}

/* Sends what was counted so far, one batch to each counter: for each word its count (uint32), length (uint8) and bytes. */
static void flush(mote_self *self, struct reader *r) {
    size_t starts[CENSUS_COUNTERS_MAX + 1] = {0}, ends[CENSUS_COUNTERS_MAX];
    for (size_t i = 0; i < r->table.capacity; i++) {
        const struct census_word *w = &r->table.slots[i];
        if (w->count) starts[counter_of(w->hash, r->counter_count) + 1] += sizeof(uint32_t) + 1 + w->text[0];
    }
    for (size_t k = 0; k < r->counter_count; k++) {
        starts[k + 1] += starts[k];
        ends[k] = starts[k];
    }
    if (starts[r->counter_count] == 0) return;
    uint8_t *batches = read_alloc(self, r, starts[r->counter_count]);
    for (size_t i = 0; i < r->table.capacity; i++) {
        const struct census_word *w = &r->table.slots[i];
        if (!w->count) continue;
        assert(w->count <= UINT32_MAX);
        size_t *end = &ends[counter_of(w->hash, r->counter_count)];
        memcpy(batches + *end, &(uint32_t){(uint32_t)w->count}, sizeof(uint32_t));
        memcpy(batches + *end + sizeof(uint32_t), w->text, 1u + w->text[0]);
        *end += sizeof(uint32_t) + 1 + w->text[0];
    }
    for (size_t k = 0; k < r->counter_count; k++) {
        assert(ends[k] == starts[k + 1]);
        if (starts[k] == ends[k]) continue;
        mote_bytes batch = {batches + starts[k], ends[k] - starts[k]};
        read_must(self, r, mote_send(self, r->counters[k], "{words, ?, ?, ?}", r->number, r->sent[k] + 1, batch), "sending words");
        r->sent[k]++;
    }
    r->words_sent = r->words;
    mote_dealloc(self, batches);
    census_table_clear(self, &r->table);
}

/* A run of letters has ended. */
static void end_word(mote_self *self, struct reader *r, size_t length, uint64_t hash) {
    if (length < r->min_length || length > CENSUS_WORD_MAX) return;
    r->words++;
    bool added = census_table_add(self, &r->table, r->word, length, census_hash_end(hash), 1);
    read_must(self, r, added ? MOTE_OK : MOTE_ENOMEM, "counting words");
    if (r->table.text_bytes >= FLUSH_BYTES) flush(self, r);
}

static void scan(mote_self *self, struct reader *r, const uint8_t *data, size_t size) {
    size_t length = r->length;
    uint64_t hash = r->hash;
    for (size_t i = 0; i < size; i++) {
        uint8_t letter = letters[data[i]];
        if (letter) {
            if (length < CENSUS_WORD_MAX) r->word[length] = letter;
            length++;
            hash = (hash ^ letter) * CENSUS_HASH_PRIME;
        } else if (length) {
            end_word(self, r, length, hash);
            length = 0;
            hash = CENSUS_HASH_START;
        }
    }
    r->length = length;
    r->hash = hash;
}

/* The reader's work is done; what it found is reported by reader_stop(). */
static MOTE_NORETURN void finish(mote_self *self) {
    mote_exit(self, mote_atom_term(mote_atom_make("normal")));
}

static MOTE_NORETURN void skip(mote_self *self, struct reader *r, enum census_why why, uint64_t detail) {
    r->skipped = true;
    r->why = why;
    r->detail = detail;
    finish(self);
}

/* What an error of open() or stat() says about a file that the walker has seen a moment ago. */
static enum census_why why_of(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR: return CENSUS_VANISHED;
    case ELOOP: return CENSUS_SYMLINK; /* O_NOFOLLOW: it has become one */
    case ENXIO: return CENSUS_SPECIAL;
    default: return CENSUS_UNREADABLE;
    }
}

/* Opens the file. It may have changed its kind since the walker saw it: O_NONBLOCK does not wait for a pipe's writer. */
static void open_file(mote_self *self, struct reader *r) {
    r->fd = open(r->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (r->fd < 0) skip(self, r, why_of(errno), (uint64_t)errno);
    struct stat s;
    if (fstat(r->fd, &s) != 0) skip(self, r, CENSUS_UNREADABLE, (uint64_t)errno);
    if (!S_ISREG(s.st_mode)) skip(self, r, CENSUS_SPECIAL, 0);
    if ((uint64_t)s.st_size > r->size_max) skip(self, r, CENSUS_HUGE, (uint64_t)s.st_size);
    r->block_size = (size_t)s.st_size + 1; /* a small file and its end are read in one turn */
    if (r->block_size > BLOCK_BYTES) r->block_size = BLOCK_BYTES;
    if (r->block_size < 4096) r->block_size = 4096; /* /proc says that files are empty when they are not */
    r->block = read_alloc(self, r, r->block_size);
    plan_crash(self, r, (uint64_t)s.st_size / r->block_size);
}

/* Reads one block and counts its words; the next one in another turn, so that other processes run in between. */
static void read_block(mote_self *self, struct reader *r) {
    size_t size = 0;
    ssize_t got = 0;
    int error = 0;
    perhaps_crash(self, r);
    do {
        got = read(r->fd, r->block + size, r->block_size - size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        size += (size_t)got;
    } while (size < r->block_size);
    if (got < 0) error = errno;
    if (error && r->bytes + size == 0) skip(self, r, CENSUS_UNREADABLE, (uint64_t)error);
    size_t head = size < CENSUS_BINARY_BYTES ? size : CENSUS_BINARY_BYTES;
    if (r->bytes == 0 && memchr(r->block, 0, head)) skip(self, r, CENSUS_BINARY, 0);

    bool grown = r->bytes + size > r->size_max;
    if (grown) size = (size_t)(r->size_max - r->bytes);
    scan(self, r, r->block, size);
    r->bytes += size;
    mote_reductions(self, (uint32_t)size / 4); /* about two nanoseconds for each byte */
    if (!error && !grown && got > 0) {
        read_must(self, r, mote_send(self, mote_self_pid(self), "more"), "going on");
        return;
    }
    if (r->length) end_word(self, r, r->length, r->hash);
    flush(self, r);
    perhaps_crash(self, r);
    if (error || grown) skip(self, r, CENSUS_CUT_SHORT, (uint64_t)error);
    finish(self);
}

/* arg: {Path, Number, {Coordinator, Counters, MinLength, SizeMax, Chaos}} */
static void reader_init(mote_self *self, mote_term arg, void *state) {
    struct reader *r = state;
    mote_bytes path;
    mote_term counters;
    r->fd = -1;
    r->hash = CENSUS_HASH_START;
    r->table.used_max = SIZE_MAX; /* FLUSH_BYTES is the limit */
    r->started =
        mote_match(arg, "{?, ?, {?, ?, ?, ?, ?}}", &path, &r->number, &r->coordinator, &counters, &r->min_length, &r->size_max, &r->chaos);
    assert(r->started);
    must(self, mote_tuple_size(counters, &r->counter_count), "counting the counters");
    assert(r->counter_count > 0 && r->counter_count <= CENSUS_COUNTERS_MAX);
    for (size_t k = 0; k < r->counter_count; k++) {
        mote_term counter;
        must(self, mote_tuple_get(counters, k, &counter), "finding a counter");
        must(self, mote_pid_get(counter, &r->counters[k]), "finding a counter");
    }
    r->path = mote_alloc(self, path.size + 1);
    read_must(self, r, r->path ? MOTE_OK : MOTE_ENOMEM, "memory");
    memcpy(r->path, path.data, path.size);
    r->path_size = path.size;
    open_file(self, r);
    read_block(self, r);
}

static void reader_handle(mote_self *self, mote_term message, void *state) {
    if (mote_match(message, "more")) read_block(self, state);
}

static void reader_stop(mote_self *self, mote_term reason, void *state) {
    struct reader *r = state;
    if (!r->started) return;
    if (r->fd >= 0) close(r->fd);
    mote_bytes sent = bytes_of(r->sent, r->counter_count * sizeof r->sent[0]);
    mote_bytes path = bytes_of(r->path ? r->path : "", r->path_size), text = bytes_of(r->text, strlen(r->text));
    if (!ended_normally(reason)) /* the supervisor starts another one; what was sent until now was sent */
        must_report(mote_send(self, r->coordinator, "{crashed, ?, ?, ?}", r->number, r->words_sent, sent));
    else if (!r->skipped)
        must_report(mote_send(self, r->coordinator, "{counted, ?, ?, ?, ?}", r->number, r->bytes, r->words, sent));
    else
        must_report(mote_send(self, r->coordinator, "{skipped, ?, ?, ?, ?, ?, ?, ?, ?}", r->number, (int)r->why, path, r->detail, text,
                              r->bytes, r->words_sent, sent));
}

static const mote_handler reader = {.name = "reader", .state_size = sizeof(struct reader), .init = reader_init, .handle = reader_handle, .stop = reader_stop};

/* ------------------------------------------------------------------------------------------------ counter */

struct counter {
    mote_pid coordinator;
    struct census_table table;
    uint64_t batches;  /* received, each once */
    uint32_t *seen;    /* of each file: the number of its newest batch */
    size_t seen_count;
    uint64_t expected; /* batches to wait for before it answers */
    uint64_t top;
    uint64_t words;
    bool asked;
};

/* arg: Coordinator */
static void counter_init(mote_self *self, mote_term arg, void *state) {
    struct counter *c = state;
    (void)self;
    c->table.used_max = WORDS_MAX;
    bool fits = mote_match(arg, "?", &c->coordinator);
    assert(fits);
}

/* Whether a batch comes for the first time: a file whose reader crashed is read again from its start. */
static bool is_new(mote_self *self, struct counter *c, uint64_t file, uint32_t number) {
    if (file >= c->seen_count) {
        size_t count = 2 * file + 1024;
        uint32_t *grown = must_alloc(self, count * sizeof *grown);
        if (c->seen_count) memcpy(grown, c->seen, c->seen_count * sizeof *grown);
        mote_dealloc(self, c->seen);
        c->seen = grown;
        c->seen_count = count;
    }
    if (number <= c->seen[file]) return false;
    c->seen[file] = number;
    return true;
}

static void merge(mote_self *self, struct counter *c, mote_bytes batch) {
    const uint8_t *at = batch.data, *end = at + batch.size;
    while (at < end) {
        uint32_t count;
        memcpy(&count, at, sizeof count);
        const uint8_t *word = at + sizeof count + 1;
        size_t length = word[-1];
        assert(word + length <= end);
        uint64_t hash = CENSUS_HASH_START;
        for (size_t i = 0; i < length; i++) hash = (hash ^ word[i]) * CENSUS_HASH_PRIME;
        bool added = census_table_add(self, &c->table, word, length, census_hash_end(hash), count);
        must(self, added ? MOTE_OK : MOTE_ELIMIT, "too many different words: count fewer files or raise --min-length");
        c->words += count;
        at = word + length;
    }
    c->batches++;
    mote_reductions(self, (uint32_t)(batch.size / 4));
}

/* Sends the first words of the order of results, in messages of bounded size, and the totals after them. */
static void answer(mote_self *self, struct counter *c) {
    struct census_word *words = must_alloc(self, (c->table.used + 1) * sizeof *words);
    uint8_t *text = must_alloc(self, TOP_BYTES);
    size_t distinct = 0, size = 0;
    uint64_t digest = 0;
    for (size_t i = 0; i < c->table.capacity; i++) {
        if (!c->table.slots[i].count) continue;
        words[distinct++] = c->table.slots[i];
        digest += census_hash_end(c->table.slots[i].hash + c->table.slots[i].count);
    }
    assert(distinct == c->table.used);
    size_t chosen = census_words_select(words, distinct, c->top ? (size_t)c->top : distinct);
    for (size_t i = 0; i < chosen; i++) {
        if (size + sizeof words[i].count + 1 + CENSUS_WORD_MAX > TOP_BYTES) {
            must(self, mote_send(self, c->coordinator, "{top, ?}", bytes_of(text, size)), "sending the top words");
            size = 0;
        }
        memcpy(text + size, &words[i].count, sizeof words[i].count);
        memcpy(text + size + sizeof words[i].count, words[i].text, 1u + words[i].text[0]);
        size += sizeof words[i].count + 1 + words[i].text[0];
    }
    must(self, mote_send(self, c->coordinator, "{top, ?}", bytes_of(text, size)), "sending the top words");
    must(self, mote_send(self, c->coordinator, "{totals, ?, ?, ?}", c->words, distinct, digest), "sending the totals");
    mote_dealloc(self, text);
    mote_dealloc(self, words);
}

static void counter_handle(mote_self *self, mote_term message, void *state) {
    struct counter *c = state;
    mote_bytes batch;
    uint64_t file;
    unsigned number;
    if (mote_match(message, "{words, ?, ?, ?}", &file, &number, &batch) && is_new(self, c, file, number)) merge(self, c, batch);
    if (mote_match(message, "{report, ?, ?}", &c->expected, &c->top)) c->asked = true;
    /* Messages of different senders have no order: the coordinator may know of a batch that is not here yet. */
    if (!c->asked || c->batches != c->expected) return;
    c->asked = false;
    answer(self, c);
}

static void counter_stop(mote_self *self, mote_term reason, void *state) {
    struct counter *c = state;
    char text[200];
    mote_term_print(reason, text, sizeof text);
    must_report(mote_send(self, c->coordinator, "{failed, ?}", bytes_of(text, strlen(text))));
}

static const mote_handler counter = {.name = "counter", .state_size = sizeof(struct counter), .init = counter_init, .handle = counter_handle, .stop = counter_stop};

/* ------------------------------------------------------------------------------------------------- walker */

struct entry {
    char name[256];
    mode_t mode;
    int error; /* of stat: not 0, and the mode is not known */
    uint64_t size;
};

/* Some entries of a directory: filled by list(), on a thread where it may wait for the disk. */
struct listing {
    const char *path;
    DIR *dir; /* NULL: not open */
    int error;
    bool end;
    size_t count;
    struct entry entries[LISTING_MAX];
};

struct walker {
    mote_pid coordinator;
    mote_pid readers; /* their supervisor */
    mote_term job; /* for readers; borrowed from the argument */
    uint64_t readers_max;
    uint64_t files_max;
    uint64_t total_max;
    uint64_t size_max;
    uint64_t credits;
    uint64_t found;
    uint64_t total; /* bytes of the files that are not too large */
    uint64_t peak;  /* files in flight */
    bool stopped;
    bool capped;
    char **pending; /* directories to read, the next one last */
    size_t pending_count;
    size_t pending_capacity;
    struct listing *listing;
};

/* As must(), and tells the coordinator first: a walker has no stop callback that would do it. */
static void walk_must(mote_self *self, struct walker *w, mote_err err, const char *what) {
    if (err == MOTE_OK) return;
    char text[200];
    snprintf(text, sizeof text, "%s: %s", what, mote_err_text(err));
    must_report(mote_send(self, w->coordinator, "{failed, ?}", bytes_of(text, strlen(text))));
    must(self, err, what);
}

static void *walk_alloc(mote_self *self, struct walker *w, size_t size) {
    void *memory = mote_alloc(self, size);
    walk_must(self, w, memory ? MOTE_OK : MOTE_ENOMEM, "memory for the walk");
    return memory;
}

static void list(void *context) {
    struct listing *l = context;
    l->count = 0;
    if (!l->dir) l->dir = opendir(l->path);
    if (!l->dir) l->error = errno;
    while (l->dir && l->count < LISTING_MAX) {
        errno = 0;
        const struct dirent *d = readdir(l->dir);
        l->error = d ? 0 : errno;
        l->end = !d;
        if (!d) return;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        struct entry *e = &l->entries[l->count++];
        struct stat s;
        e->error = fstatat(dirfd(l->dir), d->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
        e->mode = e->error ? 0 : s.st_mode;
        e->size = e->error ? 0 : (uint64_t)s.st_size;
        snprintf(e->name, sizeof e->name, "%s", d->d_name);
    }
}

static void close_listing(void *context) {
    struct listing *l = context;
    if (l->dir) closedir(l->dir);
    l->dir = NULL;
}

/* Takes what the coordinator says; waits for the next word when it may not go on without. */
static void heed(mote_self *self, struct walker *w) {
    mote_term message;
    uint64_t granted;
    while (!w->stopped && mote_receive(self, w->credits ? 0 : -1, &message) == MOTE_OK) {
        if (mote_match(message, "{credit, ?}", &granted)) w->credits += granted;
        if (mote_match(message, "stop")) w->stopped = true;
    }
    if (!w->credits) w->stopped = true; /* the runtime stops */
}

static void push(mote_self *self, struct walker *w, const char *path) {
    if (w->pending_count == w->pending_capacity) {
        size_t capacity = 2 * w->pending_capacity + 64;
        char **grown = walk_alloc(self, w, capacity * sizeof *grown);
        if (w->pending_count) memcpy(grown, w->pending, w->pending_count * sizeof *grown);
        mote_dealloc(self, w->pending);
        w->pending = grown;
        w->pending_capacity = capacity;
    }
    char *copy = walk_alloc(self, w, strlen(path) + 1);
    strcpy(copy, path);
    w->pending[w->pending_count++] = copy;
}

/* Deals with one thing in the tree: a directory waits for its turn, a file gets its process, the rest is reported. */
static void visit(mote_self *self, struct walker *w, const char *path, const struct entry *e) {
    if (S_ISDIR(e->mode)) {
        push(self, w, path);
        return;
    }
    heed(self, w);
    if (w->stopped) return;
    uint64_t size = S_ISREG(e->mode) && e->size <= w->size_max ? e->size : 0;
    if ((w->files_max && w->found == w->files_max) || (w->total_max && w->total + size > w->total_max)) {
        w->capped = w->stopped = true;
        return;
    }
    w->found++;
    w->total += size;
    w->credits--;
    if (w->readers_max - w->credits > w->peak) w->peak = w->readers_max - w->credits;
    mote_bytes name = {path, strlen(path)};
    if (S_ISREG(e->mode)) {
        mote_term arg;
        walk_must(self, w, mote_build(mote_scratch(self), &arg, "{?, ?, ?}", name, w->found, w->job), "naming a file");
        walk_must(self, w, mote_supervisor_start_dynamic(self, w->readers, arg, NULL, NULL), "starting a reader");
    } else {
        enum census_why why = e->error ? why_of(e->error) : S_ISLNK(e->mode) ? CENSUS_SYMLINK : CENSUS_SPECIAL;
        walk_must(self, w, mote_send(self, w->coordinator, "{skipped, ?, ?, ?, ?, <<>>, 0, 0, <<>>}", w->found, (int)why, name, e->error),
             "reporting");
    }
}

static void walk_directory(mote_self *self, struct walker *w, const char *path) {
    struct listing *l = w->listing;
    bool first = true;
    l->path = path;
    l->end = false;
    l->error = 0;
    do {
        walk_must(self, w, mote_blocking(self, list, l), "reading a directory");
        mote_bytes name = {path, strlen(path)};
        if (first && l->dir) walk_must(self, w, mote_send(self, w->coordinator, "{directory, ?}", name), "reporting");
        if (l->error) walk_must(self, w, mote_send(self, w->coordinator, "{closed, ?, ?}", name, l->error), "reporting");
        first = false;
        for (size_t i = 0; i < l->count && !w->stopped; i++) {
            const char *between = path[strlen(path) - 1] == '/' ? "" : "/";
            size_t size = strlen(path) + strlen(between) + strlen(l->entries[i].name) + 1;
            char *whole = walk_alloc(self, w, size);
            snprintf(whole, size, "%s%s%s", path, between, l->entries[i].name);
            visit(self, w, whole, &l->entries[i]);
            mote_dealloc(self, whole);
        }
        heed(self, w);
    } while (!w->stopped && !l->end && !l->error);
    close_listing(l);
}

static void walk(mote_self *self, struct walker *w, mote_term roots) {
    mote_term root;
    w->listing = walk_alloc(self, w, sizeof *w->listing);
    walk_must(self, w, mote_cleanup_add(self, close_listing, w->listing), "registering a clean-up");
    while (!w->stopped && mote_list_get(roots, &root, &roots) == MOTE_OK) {
        mote_bytes bytes;
        walk_must(self, w, mote_bytes_get(root, &bytes), "reading a path");
        char *path = walk_alloc(self, w, bytes.size + 1);
        memcpy(path, bytes.data, bytes.size);
        struct stat s;
        struct entry e = {.error = lstat(path, &s) == 0 ? 0 : errno};
        if (!e.error) e.mode = s.st_mode;
        if (!e.error) e.size = (uint64_t)s.st_size;
        visit(self, w, path, &e);
        mote_dealloc(self, path);
        while (w->pending_count && !w->stopped) {
            char *directory = w->pending[--w->pending_count];
            walk_directory(self, w, directory);
            mote_dealloc(self, directory);
        }
    }
}

/* arg: {Job, Roots, ReadersMax, FilesMax, TotalMax, Readers} */
static void walker(mote_self *self, mote_term arg) {
    struct walker w = {0};
    mote_term roots;
    bool fits = mote_match(arg, "{?, ?, ?, ?, ?, ?}", &w.job, &roots, &w.readers_max, &w.files_max, &w.total_max, &w.readers)
                && mote_match(w.job, "{?, _, _, ?, _}", &w.coordinator, &w.size_max);
    assert(fits);
    w.credits = w.readers_max;
    walk(self, &w, roots);
    walk_must(self, &w, mote_send(self, w.coordinator, "{walked, ?, ?, ?}", w.found, w.peak, w.capped), "reporting");
}

/* -------------------------------------------------------------------------------------------- coordinator */

/* A file whose reader has crashed and that has not ended yet: what its readers had sent when they did. */
struct crashed {
    struct crashed *next;
    uint64_t number;
    uint64_t words;
    uint32_t sent[CENSUS_COUNTERS_MAX];
};

struct run {
    const struct census_options *options;
    struct census_result *result;
    mote_pid walker;
    mote_pid readers; /* their supervisor */
    struct crashed *crashed;
    mote_pid counters[CENSUS_COUNTERS_MAX];
    uint64_t expected[CENSUS_COUNTERS_MAX]; /* batches sent to each counter */
    uint64_t ended;                         /* files */
    uint64_t owed;                          /* credits not yet given back */
    uint64_t started_ns;
    bool walked;
    char at[256]; /* the directory walked now, for the live line */
    size_t top_size;
    unsigned answers;
    atomic_uint warnings; /* of the runtime; the first one is kept in the result */
};

static void fail(struct run *run, const char *what, const char *why, size_t size) {
    if (run->result->failed[0]) return;
    snprintf(run->result->failed, sizeof run->result->failed, "%s%.*s", what, (int)size, why);
}

static bool copy_bytes(char **copy, mote_bytes bytes) {
    *copy = malloc(bytes.size + 1);
    if (!*copy) return false;
    memcpy(*copy, bytes.data, bytes.size);
    (*copy)[bytes.size] = 0;
    return true;
}

/* What the readers of one file have sent: the one that came furthest decides. */
static void most(struct crashed *c, uint64_t words, mote_bytes sent) {
    uint32_t batches[CENSUS_COUNTERS_MAX] = {0};
    assert(sent.size <= sizeof batches);
    if (sent.size) memcpy(batches, sent.data, sent.size);
    for (size_t k = 0; k < CENSUS_COUNTERS_MAX; k++)
        if (batches[k] > c->sent[k]) c->sent[k] = batches[k];
    if (words > c->words) c->words = words;
}

static struct crashed **find_crashed(struct run *run, uint64_t number) {
    struct crashed **at = &run->crashed;
    while (*at && (*at)->number != number) at = &(*at)->next;
    return at;
}

static void reader_crashed(mote_self *self, struct run *run, uint64_t number, uint64_t words, mote_bytes sent) {
    struct crashed **at = find_crashed(run, number);
    run->result->restarts++;
    if (!*at) {
        *at = must_alloc(self, sizeof **at);
        (*at)->number = number;
    }
    most(*at, words, sent);
}

/* One file fewer in flight. Credits go back in lots, as messages are cheap but not free. */
static void file_ended(mote_self *self, struct run *run, uint64_t number, uint64_t words, mote_bytes sent) {
    struct crashed **at = find_crashed(run, number), all = {0};
    if (*at) {
        struct crashed *c = *at;
        all = *c;
        *at = c->next;
        mote_dealloc(self, c);
    }
    most(&all, words, sent);
    run->result->words += all.words;
    for (size_t k = 0; k < run->options->counters; k++) run->expected[k] += all.sent[k];
    run->ended++;
    if (++run->owed * 8 < run->options->readers_max) return;
    must(self, mote_send(self, run->walker, "{credit, ?}", run->owed), "giving credit");
    run->owed = 0;
}

static void file_skipped(struct run *run, int why, mote_bytes path, uint64_t detail, mote_bytes text) {
    struct census_result *r = run->result;
    assert(why >= 0 && why < CENSUS_WHYS);
    r->skipped[why]++;
    size_t count = r->example_count[why];
    if (count >= run->options->examples) return;
    if ((count & (count - 1)) == 0) { /* 0 or a power of two: full */
        struct census_skip *grown = realloc(r->examples[why], (count ? 2 * count : 1) * sizeof *grown);
        if (!grown) return; /* it is counted, only not named */
        r->examples[why] = grown;
    }
    struct census_skip skipped = {.path_size = path.size, .detail = detail};
    if (!copy_bytes(&skipped.path, path)) return;
    if (text.size && !copy_bytes(&skipped.text, text)) skipped.text = NULL;
    r->examples[why][r->example_count[why]++] = skipped;
}

static void directory_skipped(struct run *run, mote_bytes path, uint64_t error) {
    struct census_result *r = run->result;
    if (r->directories_skipped++) return;
    r->directory_example.path_size = path.size;
    r->directory_example.detail = error;
    if (!copy_bytes(&r->directory_example.path, path)) r->directory_example.path_size = 0;
}

/* Ten times a second: shows where it is, and looks whether somebody pressed Ctrl-C. */
static void tick(mote_self *self, struct run *run) {
    sigset_t pending;
    struct census_result *r = run->result;
    if (!r->signal && sigpending(&pending) == 0) {
        if (sigismember(&pending, SIGINT)) r->signal = SIGINT;
        if (sigismember(&pending, SIGTERM)) r->signal = SIGTERM;
        if (r->signal) { /* files in flight are finished; a second signal ends the program at once */
            int taken;
            sigwait(&run->options->signals, &taken);
            pthread_sigmask(SIG_UNBLOCK, &run->options->signals, NULL);
            must(self, mote_send(self, run->walker, "stop"), "stopping the walker");
        }
    }
    if (run->options->live) census_live_show(r, now_ns() - run->started_ns, run->at);
    must(self, mote_send_after(self, TICK_MS, mote_self_pid(self), NULL, "tick"), "setting a timer");
}

/* A process that the run cannot do without has ended; the walker does when it has walked. */
static void part_ended(struct run *run, mote_pid who, mote_term reason) {
    char text[CRASH_TEXT];
    if (ended_normally(reason)) return;
    mote_term_print(reason, text, sizeof text);
    const char *what = who.word == run->walker.word ? "the walker ended: " : who.word == run->readers.word
        ? "the readers' supervisor gave up, too many of them crash: "
        : "a counter ended: ";
    fail(run, what, text, strlen(text));
}

static void dispatch(mote_self *self, struct run *run, mote_term message) {
    struct census_result *r = run->result;
    mote_bytes path, text, sent;
    uint64_t number, bytes, words, detail;
    mote_term reason;
    mote_pid who;
    int why;
    if (mote_match(message, "{counted, ?, ?, ?, ?}", &number, &bytes, &words, &sent)) {
        r->counted++;
        r->bytes += bytes;
        file_ended(self, run, number, words, sent);
    } else if (mote_match(message, "{skipped, ?, ?, ?, ?, ?, ?, ?, ?}", &number, &why, &path, &detail, &text, &bytes, &words, &sent)) {
        r->bytes += bytes;
        file_skipped(run, why, path, detail, text);
        file_ended(self, run, number, words, sent);
    } else if (mote_match(message, "{crashed, ?, ?, ?}", &number, &words, &sent)) {
        reader_crashed(self, run, number, words, sent);
    } else if (mote_match(message, "{'EXIT', ?, ?}", &who, &reason)) {
        part_ended(run, who, reason);
    } else if (mote_match(message, "{directory, ?}", &path)) {
        r->directories++;
        snprintf(run->at, sizeof run->at, "%.*s", (int)path.size, (const char *)path.data);
    } else if (mote_match(message, "{closed, ?, ?}", &path, &detail)) {
        directory_skipped(run, path, detail);
    } else if (mote_match(message, "{walked, ?, ?, ?}", &r->found, &r->readers_peak, &r->capped)) {
        run->walked = true;
    } else if (mote_match(message, "{failed, ?}", &text)) {
        fail(run, "", text.data, text.size);
    } else if (mote_match(message, "tick")) {
        tick(self, run);
    }
}

/* Starts the counters and the walker, which needs them. */
static void start(mote_self *self, struct run *run) {
    const struct census_options *o = run->options;
    mote_pid me = mote_self_pid(self);
    mote_arena *scratch = mote_scratch(self);
    mote_term pids[CENSUS_COUNTERS_MAX], job, arg, roots = MOTE_TERM_NIL;
    mote_child_spec child = {.id = "reader", .handler = &reader, .restart = MOTE_TRANSIENT};
    mote_supervisor_options readers = {
        .strategy = MOTE_SIMPLE_ONE_FOR_ONE, .intensity = RESTARTS_MAX, .period_s = 1, .children = &child, .count = 1};
    must(self, mote_flag_set(self, MOTE_TRAP_EXIT, true, NULL), "trapping exits");
    must(self, mote_supervisor_start_link(self, &readers, &run->readers, NULL), "starting the readers' supervisor");
    for (size_t k = 0; k < o->counters; k++) {
        mote_spawn_options how = {.handler = &counter, .mailbox_max = COUNTER_MAILBOX, .policy = MOTE_SUSPEND, .link = true};
        must(self, mote_spawn_opt(self, &how, mote_pid_term(me), &run->counters[k]), "starting a counter");
        pids[k] = mote_pid_term(run->counters[k]);
    }
    mote_term counters = mote_tuple_make(scratch, o->counters, pids);
    must(self, mote_build(scratch, &job, "{?, ?, ?, ?, ?}", me, counters, o->min_length, o->size_max, o->chaos), "describing the job");
    for (size_t i = o->path_count; i-- > 0;)
        roots = mote_cons_make(scratch, mote_binary_make(scratch, o->paths[i], strlen(o->paths[i])), roots);
    must(self, mote_build(scratch, &arg, "{?, ?, ?, ?, ?, ?}", job, roots, o->readers_max, o->files_max, o->total_max, run->readers),
         "describing the job");
    mote_spawn_options how = {.body = walker, .name = "walker", .link = true};
    must(self, mote_spawn_opt(self, &how, arg, &run->walker), "starting the walker");
}

/* Collects the counters' answers: {top, Words} any number of times, then {totals, ..} once from each. */
static void gather(mote_self *self, struct run *run) {
    struct census_result *r = run->result;
    uint64_t words = 0, sum, distinct, digest;
    mote_bytes text;
    mote_term message;
    for (size_t k = 0; k < run->options->counters; k++)
        must(self, mote_send(self, run->counters[k], "{report, ?, ?}", run->expected[k], run->options->top), "asking");
    while (run->answers < run->options->counters && !r->failed[0]) {
        must(self, mote_receive(self, -1, &message), "waiting for the counters");
        if (mote_match(message, "{top, ?}", &text) && text.size) {
            uint8_t *grown = realloc(r->top_text, run->top_size + text.size);
            must(self, grown ? MOTE_OK : MOTE_ENOMEM, "keeping the words");
            memcpy(grown + run->top_size, text.data, text.size);
            r->top_text = grown;
            run->top_size += text.size;
        } else if (mote_match(message, "{totals, ?, ?, ?}", &sum, &distinct, &digest)) {
            words += sum;
            r->distinct += distinct;
            r->digest += digest;
            run->answers++;
        } else {
            dispatch(self, run, message); /* a tick, or a counter that failed */
        }
    }
    if (words != r->words && !r->failed[0]) fail(run, "the readers counted more or fewer words than the counters", "", 0);
}

static void sort(void *context) {
    struct census_result *r = context;
    qsort(r->top, r->top_count, sizeof *r->top, census_word_compare);
}

/* Puts the words of all counters in order. Sorting may take long: it is done where it holds nobody up. */
static void rank(mote_self *self, struct run *run) {
    struct census_result *r = run->result;
    for (size_t at = 0; at < run->top_size; at += sizeof(uint64_t) + 1u + r->top_text[at + sizeof(uint64_t)]) r->top_count++;
    r->top = malloc((r->top_count + 1) * sizeof *r->top);
    must(self, r->top ? MOTE_OK : MOTE_ENOMEM, "ranking the words");
    size_t at = 0;
    for (size_t i = 0; i < r->top_count; i++) {
        uint64_t count;
        memcpy(&count, r->top_text + at, sizeof count);
        r->top[i] = (struct census_word){r->top_text + at + sizeof count, 0, count};
        at += sizeof count + 1u + r->top_text[at + sizeof count];
    }
    must(self, mote_blocking(self, sort, r), "sorting");
    if (run->options->top && r->top_count > run->options->top) r->top_count = run->options->top;
}

/* No file is in flight any more. The supervisor has counted the same restarts. */
static void stop_readers(mote_self *self, struct run *run) {
    mote_supervisor_count count;
    must(self, mote_supervisor_count_children(self, run->readers, &count), "asking the supervisor");
    if (count.restarts != run->result->restarts) fail(run, "the supervisor has counted other restarts than there were crashes", "", 0);
    must(self, mote_supervisor_stop(self, run->readers, mote_atom_term(mote_atom_make("shutdown")), -1), "stopping the readers");
}

/* The first process of the runtime. */
static int coordinate(mote_self *self, void *context) {
    struct run *run = context;
    struct census_result *r = run->result;
    mote_term message;
    run->started_ns = now_ns();
    start(self, run);
    tick(self, run);
    while (!(run->walked && run->ended == r->found) && !r->failed[0]) {
        must(self, mote_receive(self, -1, &message), "waiting");
        dispatch(self, run, message);
    }
    if (!r->failed[0]) gather(self, run);
    if (!r->failed[0]) rank(self, run);
    if (!r->failed[0]) stop_readers(self, run);
    r->elapsed_ns = now_ns() - run->started_ns;
    if (run->options->live) census_live_clear();
    if (r->failed[0]) return 1;

    uint64_t skipped = 0;
    for (size_t i = 0; i < CENSUS_WHYS; i++) skipped += r->skipped[i];
    assert(r->found == r->counted + skipped);
    must(self, mote_runtime_info_get(self, &r->runtime), "asking for figures");
    for (unsigned i = 0; i < r->runtime.schedulers && i < CENSUS_SCHEDULERS_MAX; i++)
        must(self, mote_scheduler_info_get(self, i, &r->schedulers[i]), "asking for figures");
    return 0;
}

/* What the runtime has to say, from any thread: errors at once, warnings (of a disk that holds up a scheduler, mostly) with
 * the report. */
static void take_log(void *context, mote_log_level level, const char *text) {
    struct run *run = context;
    if (run->options->chaos && strstr(text, "{error,chaos,")) return; /* the death certificate of a crash on purpose */
    if (level == MOTE_LOG_ERROR) {
        if (run->options->live) census_live_clear();
        fprintf(stderr, "census: %s\n", text);
    } else if (atomic_fetch_add(&run->warnings, 1) == 0) {
        snprintf(run->result->warning, sizeof run->result->warning, "%s", text);
    }
}

int census_run(const struct census_options *options, struct census_result *result) {
    struct run run = {.options = options, .result = result};
    mote_options how = {.schedulers = options->cores, .log = take_log, .log_context = &run};
    int code = mote_run(&how, coordinate, &run);
    result->warnings = run.warnings;
    if (code && !result->failed[0]) snprintf(result->failed, sizeof result->failed, "the runtime ended early, see above");
    return code;
}

void census_result_fini(struct census_result *result) {
    for (size_t why = 0; why < CENSUS_WHYS; why++) {
        for (size_t i = 0; i < result->example_count[why]; i++) {
            free(result->examples[why][i].path);
            free(result->examples[why][i].text);
        }
        free(result->examples[why]);
    }
    free(result->directory_example.path);
    free(result->top);
    free(result->top_text);
    *result = (struct census_result){0};
}
