/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/channel.h"


/* The first word of what stands in the ring: kind, and for the first piece the size of the whole, from bit 8 on. */
enum { WHOLE, FIRST_PIECE, PIECE };

struct letter {
    struct letter *next;
    size_t size, sent; /* bytes */
    char bytes[];
};

struct mt_channel { /* MT_SHARED */
    char *memory;               /* const */
    struct mt_doorbell *bell;   /* const: the other's */
    uint32_t peer;              /* const: the other */
    int event;                  /* const */
    struct mt_lock mu;
    struct mt_ring_out out;     /* lock: mu */
    struct letter *pending;     /* lock: mu: oldest first */
    struct letter **pending_end; /* lock: mu */
    size_t pending_bytes;       /* lock: mu */
    bool crowded;               /* lock: mu: somebody was told so */
    _Atomic bool broken;        /* atomic: relaxed, set under mu: `out` is cut, and nothing waits any more */
    struct mt_ring_in in;       /* owner: the postman */
    bool cut;                   /* owner: the postman */
    char *whole;                /* owner: a record that comes in pieces; NULL: there was no memory for it */
    size_t whole_size, whole_got; /* owner: 0: none comes */
    _Alignas(16) char scratch[MT_RING_RECORD_MAX(MT_CHANNEL_RING)]; /* owner */
};

#define ROOM (MT_RING_RECORD_MAX(MT_CHANNEL_RING) - sizeof(uint64_t)) /* behind the first word */

static size_t ring_bytes(void) {
    size_t page = mt_os_page_size();
    return (mt_ring_bytes(MT_CHANNEL_RING) + page - 1) / page * page;
}

size_t mt_channel_bytes(void) { return 2 * ring_bytes(); }

mote_err mt_channel_new(int fd, bool first, struct mt_doorbell *bell, uint32_t peer, int event, struct mt_channel **channel) {
    size_t size;
    mote_err err = mt_os_memory_size(fd, &size);
    if (err || size != mt_channel_bytes()) return err ? err : MOTE_EARG;
    struct mt_channel *c = mt_os_alloc_aligned(128, sizeof *c);
    if (!c) return MOTE_ENOMEM;
    memset(c, 0, offsetof(struct mt_channel, scratch));
    if (!(c->memory = mt_os_memory_map(fd, size, true))) {
        mt_os_free(c);
        return MOTE_ENOMEM;
    }
    c->bell = bell;
    c->peer = peer;
    c->event = event;
    c->pending_end = &c->pending;
    mt_lock_init(&c->mu, MT_RANK_CHANNEL);
    mt_ring_attach_out(&c->out, c->memory + (first ? 0 : ring_bytes()), MT_CHANNEL_RING);
    mt_ring_attach_in(&c->in, c->memory + (first ? ring_bytes() : 0), MT_CHANNEL_RING);
    *channel = c;
    return MOTE_OK;
}

void mt_channel_free(struct mt_channel *c) {
    if (!c) return;
    for (struct letter *l = c->pending, *next; l; l = next) {
        next = l->next;
        mt_os_free(l);
    }
    mt_os_free(c->whole);
    mt_os_unmap(c->memory, mt_channel_bytes());
    mt_lock_fini(&c->mu);
    mt_os_free(c);
}

/* --------------------------------------------------------------------------------------------------- putting */

/* Into the ring, if there is room. */
static bool put_locked(struct mt_channel *c, uint64_t word, const void *data, size_t size) {
    char *p = mt_ring_reserve(&c->out, sizeof word + size);
    if (!p) return false;
    memcpy(p, &word, sizeof word);
    memcpy(p + sizeof word, data, size);
    mt_ring_commit(&c->out, sizeof word + size);
    return true;
}

/* Behind what waits. */
static bool queue_locked(struct mt_channel *c, const void *data, size_t size) {
    struct letter *l = mt_os_alloc(sizeof *l + size);
    if (!l) return false;
    *l = (struct letter){.size = size};
    memcpy(l->bytes, data, size);
    *c->pending_end = l;
    c->pending_end = &l->next;
    c->pending_bytes += l->size;
    return true;
}

/* The next piece of a letter that is larger than the ring takes. Its first word says of how much it is a piece. */
static bool put_piece_locked(struct mt_channel *c, struct letter *l) {
    size_t left = l->size - l->sent, size = left < ROOM ? left : ROOM;
    uint64_t word = l->sent ? PIECE : FIRST_PIECE | (uint64_t)l->size << 8;
    if (!put_locked(c, word, l->bytes + l->sent, size)) return false;
    l->sent += size;
    return true;
}

static bool put_letter_locked(struct mt_channel *c, struct letter *l) {
    if (l->size <= ROOM) return put_locked(c, WHOLE, l->bytes, l->size);
    while (l->sent < l->size)
        if (!put_piece_locked(c, l)) return false;
    return true;
}

/* The other side's index is wrong: what waits is lost, for there will never be room. */
static void break_locked(struct mt_channel *c) {
    atomic_store_explicit(&c->broken, true, memory_order_relaxed);
    for (struct letter *l; (l = c->pending); mt_os_free(l)) c->pending = l->next;
    c->pending_end = &c->pending;
    c->pending_bytes = 0;
}

static void flush_locked(struct mt_channel *c) {
    for (struct letter *l; (l = c->pending) && put_letter_locked(c, l); mt_os_free(l)) {
        if (!(c->pending = l->next)) c->pending_end = &c->pending;
        c->pending_bytes -= l->size;
    }
}

/* What waits into the ring, as far as there is room, and shows it; whether there was anything to show. Before something is left waiting the other side knows that it shall
 * ring when there is room: nobody else would. */
static bool push_locked(struct mt_channel *c) {
    bool any = false;
    do {
        flush_locked(c);
        any |= mt_ring_publish(&c->out);
    } while (c->pending && !c->out.cut && mt_ring_wants_room(&c->out, ROOM));
    if (mt_unlikely(c->out.cut)) break_locked(c);
    return any;
}

bool mt_channel_put(struct mt_channel *c, const void *record, size_t size) {
    MT_ASSERT(size < MT_CHANNEL_RECORD_MAX);
    mt_lock_take(&c->mu);
    bool ok = true;
    if (mt_unlikely(c->pending || size > ROOM || !put_locked(c, WHOLE, record, size))) ok = c->out.cut || queue_locked(c, record, size);
    bool any = push_locked(c), room = c->pending_bytes <= MT_CHANNEL_CROWD;
    if (!room) c->crowded = true;
    mt_lock_drop(&c->mu);
    if (any) mt_doorbell_ring(c->bell, c->peer, c->event);
    if (!ok) mt_os_log("mote: no memory for a signal to another worker, which is lost\n");
    return room;
}

bool mt_channel_crowded(struct mt_channel *c) {
    mt_lock_take(&c->mu);
    bool is = c->pending_bytes > MT_CHANNEL_CROWD;
    mt_lock_drop(&c->mu);
    return is;
}

bool mt_channel_flush(struct mt_channel *c) {
    mt_lock_take(&c->mu);
    bool any = push_locked(c), drained = c->crowded && c->pending_bytes <= MT_CHANNEL_CROWD / 2;
    if (drained) c->crowded = false;
    mt_lock_drop(&c->mu);
    if (any) mt_doorbell_ring(c->bell, c->peer, c->event);
    return drained;
}

bool mt_channel_waits(struct mt_channel *c) {
    mt_lock_take(&c->mu);
    bool waits = c->pending != NULL;
    mt_lock_drop(&c->mu);
    return waits;
}

/* ---------------------------------------------------------------------------------------------------- taking */

/* A record that comes in pieces begins. */
static mote_err begin_whole(struct mt_channel *c, uint64_t size) {
    if (c->whole_size || size <= ROOM || size > MT_CHANNEL_RECORD_MAX) return MOTE_EARG;
    c->whole = mt_os_alloc((size_t)size);
    c->whole_size = (size_t)size;
    c->whole_got = 0;
    return MOTE_OK;
}

static mote_err take_piece(struct mt_channel *c, const struct mt_channel_sink *sink, size_t size) {
    mote_err err = MOTE_ENOMEM;
    if (size == 0 || size > c->whole_size - c->whole_got) return MOTE_EARG;
    if (c->whole) memcpy(c->whole + c->whole_got, c->scratch + sizeof(uint64_t), size);
    c->whole_got += size;
    if (c->whole_got < c->whole_size) return MOTE_OK;
    if (c->whole) err = sink->take(sink->context, c->whole, c->whole_size);
    mt_os_free(c->whole);
    c->whole = NULL;
    c->whole_size = c->whole_got = 0;
    return err;
}

static mote_err take_one(struct mt_channel *c, const struct mt_channel_sink *sink, size_t size) {
    uint64_t word;
    if (size < sizeof word || !mt_ring_read(&c->in, c->scratch, size)) return MOTE_EARG; /* C3 */
    memcpy(&word, c->scratch, sizeof word);
    if ((word & 255) == FIRST_PIECE) {
        mote_err err = begin_whole(c, word >> 8);
        return err ? err : take_piece(c, sink, size - sizeof word);
    }
    if (word == PIECE) return take_piece(c, sink, size - sizeof word);
    return word == WHOLE ? sink->take(sink->context, c->scratch + sizeof word, size - sizeof word) : MOTE_EARG;
}

int mt_channel_take(struct mt_channel *c, const struct mt_channel_sink *sink) {
    int n = 0;
    enum mt_ring_got got = MT_RING_EMPTY;
    size_t size;
    if (atomic_load_explicit(&c->broken, memory_order_relaxed)) c->cut = true;
    for (; n < (int)MT_CHANNEL_BATCH && !c->cut && (got = mt_ring_next(&c->in, &size)) == MT_RING_RECORD; n++) {
        mote_err err = take_one(c, sink, size);
        if (err == MOTE_ENOMEM)
            mt_os_log("mote: no memory for a signal from another worker, which is lost\n");
        else if (err)
            c->cut = true;
    }
    if (got == MT_RING_CUT) c->cut = true;
    if (c->cut) return -1;
    if (mt_ring_release(&c->in)) mt_doorbell_ring(c->bell, c->peer, c->event);
    return n;
}

bool mt_channel_rests(struct mt_channel *c) {
    if (c->cut) return true;
    mt_lock_take(&c->mu);
    bool wants = c->out.cut || (c->pending && mt_ring_wants_room(&c->out, ROOM));
    mt_lock_drop(&c->mu);
    return !wants && !mt_ring_waits(&c->in);
}
