/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/postman.h"

static mote_err make_parts(struct mote_worker *w, int board) {
    mote_err err = board < 0 ? mt_board_new(&w->board) : mt_board_open(board, &w->board);
    if (!err) err = mt_os_event_new(&w->event);
    if (!err) err = mt_freight_new(w->runtime, w->self, w->board, &w->freight);
    return err;
}

/* ------------------------------------------------------------------------------------------------ names */

static mote_err name_take(void *context, const char *name, size_t size, uint64_t pid) { return mt_board_register(((struct mote_worker *)context)->board, name, size, pid); }
static void name_give(void *context, const char *name, size_t size, uint64_t pid) { (void)mt_board_unregister(((struct mote_worker *)context)->board, name, size, pid); }
static uint64_t name_whereis(void *context, const char *name, size_t size) { return mt_board_whereis(((struct mote_worker *)context)->board, name, size); }
static bool name_next(void *context, size_t *cursor, char *name, size_t *size) {
    uint64_t pid;
    return mt_board_next(((struct mote_worker *)context)->board, cursor, name, size, &pid);
}

_Static_assert(MT_NAME_BYTES == MT_BOARD_NAME_MAX, "the board takes every name");

/* ------------------------------------------------------------------------------------------------ beginning */

static mote_err start_postman(mote_self *self, struct mote_worker *w) {
    const mote_spawn_options options = {.body = mt_postman, .name = "postman", .reach = MOTE_REACH_NONE};
    mote_arena *arena = mote_arena_new(0);
    mote_pid pid;
    if (!arena) return MOTE_ENOMEM;
    mote_err err = mote_spawn_opt(self, &options, mote_uint_make(arena, (uint64_t)(uintptr_t)w), &pid);
    if (!err) atomic_store(&w->postman, pid.word);
    mote_arena_free(arena);
    return err;
}

mote_err mote_worker_new(mote_self *self, unsigned peer, int board, mote_worker **worker) {
    if (!self) return MOTE_ESELF;
    mote_runtime *rt = mt_runtime(mt_self(self));
    if (!worker || (peer & 255) != mt_pid_worker(rt->table.own)) return MOTE_EARG;
    struct mote_worker *w = mt_os_alloc_zero(sizeof *w);
    if (!w) return MOTE_ENOMEM;
    w->runtime = rt;
    w->self = peer;
    w->event = -1;
    w->names = (struct mt_name_board){name_take, name_give, name_whereis, name_next, w};
    mote_err err = make_parts(w, board);
    if (!err) err = start_postman(self, w);
    if (!err) err = mt_names_publish(rt, &w->names);
    if (!err) *worker = w;
    else if (!atomic_load(&w->postman)) mote_worker_free(w); /* else the postman has it: it stays until the program ends */
    return err;
}

int mote_worker_board(const mote_worker *w) { return mt_board_fd(w->board); }
int mote_worker_event(const mote_worker *w) { return w->event; }
int mote_worker_blobs(const mote_worker *w) { return mt_freight_fd(w->freight); }
unsigned mote_worker_cut(mote_worker *w) { return atomic_load_explicit(&w->cut, memory_order_relaxed); }

bool mote_worker_idle(const mote_worker *w, unsigned number) {
    return number < MT_WORKERS_MAX && atomic_load_explicit(&mt_board_doorbell(w->board, number)->sleeps, memory_order_relaxed) != 0;
}

unsigned mote_worker_number(mote_pid pid) { return mt_pid_worker(pid.word) % MT_WORKERS_MAX; }

mote_err mote_worker_channel(int *fd) { return fd ? mt_os_memory_new("mote-channel", mt_channel_bytes(), fd) : MOTE_EARG; }

/* --------------------------------------------------------------------------------------------------- lines */

static bool put(void *context, const void *record, size_t size) { return mt_channel_put(((struct mt_line *)context)->channel, record, size); }
static bool crowded(void *context, uint64_t sender) {
    (void)sender; /* one ring takes all in their order: whoever goes on waits behind the others */
    return mt_channel_crowded(((struct mt_line *)context)->channel);
}


void mt_line_free(struct mt_line *line) {
    if (!line) return;
    mt_os_close(line->event);
    mt_channel_free(line->channel);
    mt_os_free(line);
}

/* The channel, and the other's big binaries: first, since messages that carry them may come as soon as the line is open. */
static mote_err make_line(mote_worker *w, struct mt_line *line, int channel, int blobs) {
    unsigned number = line->peer % MT_WORKERS_MAX;
    if (atomic_load(&w->peers[number])) return MOTE_EBUSY;
    mote_err err = mt_channel_new(channel, w->self % MT_WORKERS_MAX < number, mt_board_doorbell(w->board, number), line->peer, line->event, &line->channel);
    if (err || (err = mt_freight_open(w->freight, line->peer, blobs))) return err;
    err = mt_far_open(w->runtime, line->peer & 255, &(struct mt_carrier){.put = put, .crowded = crowded, .context = line});
    if (err) mt_freight_shut(w->freight, line->peer);
    return err;
}

mote_err mote_worker_open(mote_worker *w, unsigned peer, int channel, int event, int blobs) {
    unsigned number = peer % MT_WORKERS_MAX;
    if (!w || number == w->self % MT_WORKERS_MAX) return MOTE_EARG;
    struct mt_line *line = mt_os_alloc_zero(sizeof *line);
    if (!line) return MOTE_ENOMEM;
    line->peer = peer;
    line->event = event;
    mote_err err = make_line(w, line, channel, blobs);
    if (err) {
        mt_channel_free(line->channel);
        mt_os_free(line);
        return err;
    }
    mt_os_close(channel);
    if (blobs >= 0) mt_os_close(blobs);
    MT_ASSERT(!atomic_load(&w->lines[number])); /* else mt_far_open() would have said EBUSY */
    atomic_store(&w->lines[number], line);
    atomic_store(&w->peers[number], peer + 1);
    if (number >= atomic_load(&w->end)) atomic_store(&w->end, number + 1);
    mt_freight_announce(w->freight, peer);
    mt_doorbell_ring(mt_board_doorbell(w->board, w->self % MT_WORKERS_MAX), w->self, w->event); /* the postman may sleep, and not know this line */
    return MOTE_OK;
}

mote_err mote_worker_lost(mote_worker *w, mote_self *self, unsigned peer, mote_term reason) {
    if (!w || !self) return w ? MOTE_ESELF : MOTE_EARG;
    if (atomic_load(&w->peers[peer % MT_WORKERS_MAX]) != peer + 1) return MOTE_EARG;
    if (!reason.word) return MOTE_ETERM;
    mt_freight_losing(w->freight, peer); /* before the postman knows */
    if (w->self % MT_WORKERS_MAX == 0) /* N2 of board.h: before anybody is told */
        mt_board_clear(w->board, MT_PID_WORKER_MASK, mt_pid_word(0, peer & 255, 0) & MT_PID_WORKER_MASK);
    mote_err err = mote_send(self, (mote_pid){atomic_load(&w->postman)}, "{lost, ?, ?}", (uint64_t)peer, reason);
    if (!err) atomic_store(&w->peers[peer % MT_WORKERS_MAX], 0);
    return err;
}

bool mote_worker_flush(mote_worker *w) {
    bool waits = false;
    for (unsigned i = 0; i < MT_WORKERS_MAX; i++) {
        struct mt_line *line = atomic_load(&w->lines[i]);
        if (!line) continue;
        (void)mt_channel_flush(line->channel);
        waits |= mt_channel_waits(line->channel);
    }
    return !waits;
}

void mote_worker_free(mote_worker *w) {
    if (!w) return;
    mt_freight_free(w->freight);
    for (unsigned i = 0; i < MT_WORKERS_MAX; i++) mt_line_free(w->lines[i]);
    if (w->board) mt_board_free(w->board);
    if (w->event >= 0) mt_os_close(w->event);
    mt_os_free(w);
}

mote_err mote_blob_make(mote_worker *w, size_t size, mote_blob **blob) {
    return w && blob && size ? mt_freight_make(w->freight, size, blob) : MOTE_EARG;
}

void mote_worker_blob_stats(mote_worker *w, mote_blob_stats *stats) { mt_freight_stats(w->freight, stats); }
