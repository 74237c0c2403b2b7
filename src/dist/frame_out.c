/* SPDX-License-Identifier: Apache-2.0
 * Frames that go: see frame.h. */
#include <string.h>

#include "base/hash.h"
#include "dist/frame.h"
#include "dist/swap.h"

enum { PASS_THROUGH = 112, VERSION = 131, WHOLE = 68, FIRST = 69, NEXT = 70 };

#define REFS_MAX 255u
#define CHAINS 1024u
#define NO_SLOT UINT16_MAX

/* A message that waits. */
struct mt_message {
    struct mt_message *next;
    mote_bytes control;
    const mote_bytes *parts; /* of the payload: from the one that is taken next on */
    mote_bytes own;          /* the only one, if there is no array of them */
    size_t payload;          /* bytes altogether */
    size_t sent;             /* of them */
    size_t sent_of_part;
    void (*release)(void *context);
    void *context;
    uint64_t sequence; /* 0: nothing has been taken of it */
    uint64_t fragment; /* the one to be taken next */
    uint8_t bytes[];   /* control, and the payload if it was copied */
};

/* What waits of one sender. In the ring of those that have something. */
struct stream {
    struct mt_node node; /* key: the sender */
    struct stream *before, *after;
    struct mt_message *first, *last;
    size_t left;  /* bytes of its turn */
    size_t bytes; /* of its messages */
};

/* An atom that the peer has. */
struct slot {
    char *name; /* NULL: the slot is empty */
    size_t size;
    uint64_t hash;
    uint16_t next;    /* of the chain */
    uint16_t ref;     /* its number in the message `used` */
    uint64_t used;    /* the last message that has it */
    bool again;       /* it was used since the hand passed by, and not only put in */
};

struct mt_frames_out {
    uint64_t flags;
    struct stream *turn; /* whose it is; the ring */
    struct mt_hash streams;
    size_t bytes;
    struct mt_message *over; /* taken whole: what they borrow is to be given back */
    uint64_t sequences;

    uint64_t message;         /* number of the one whose header is made */
    uint64_t seed;
    unsigned hand;
    unsigned refs;            /* of the message */
    uint16_t ref_slots[REFS_MAX];
    bool ref_new[REFS_MAX];
    uint16_t chains[CHAINS];
    struct slot slots[MT_FRAME_SLOTS];
    mote_writer terms;        /* of the message, with references */
};

mote_err mt_frames_out_new(uint64_t flags, struct mt_frames_out **out) {
    struct mt_frames_out *o = mt_os_alloc_zero(sizeof *o);
    if (!o || mt_hash_init(&o->streams)) {
        mt_os_free(o);
        return MOTE_ENOMEM;
    }
    o->flags = flags;
    o->seed = mt_os_random();
    for (size_t i = 0; i < CHAINS; i++) o->chains[i] = NO_SLOT;
    mote_writer_init(&o->terms, MOTE_FORM_ERLANG, NULL, 0, MT_MESSAGE_MAX);
    *out = o;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------ what waits */

static size_t size_of(const struct mt_message *m) { return sizeof *m + m->control.size + m->payload; }

static void end_message(struct mt_message *m) {
    if (m->release) m->release(m->context);
    mt_os_free(m);
}

/* What is borrowed is given back when the caller asks for it: that may call anything. */
static void taken_whole(struct mt_frames_out *o, struct mt_message *m) {
    o->bytes -= size_of(m);
    if (!m->release) {
        mt_os_free(m);
        return;
    }
    m->next = o->over;
    o->over = m;
}

struct mt_message *mt_frames_out_over(struct mt_frames_out *out) {
    struct mt_message *over = out->over;
    out->over = NULL;
    return over;
}

void mt_frames_over_free(struct mt_message *over) {
    for (struct mt_message *m; (m = over);) {
        over = m->next;
        end_message(m);
    }
}

static void ring_out(struct mt_frames_out *o, struct stream *s) {
    if (o->turn == s) o->turn = s->after == s ? NULL : s->after;
    s->before->after = s->after;
    s->after->before = s->before;
}

/* Before the one whose turn it is, so last. */
static void ring_in(struct mt_frames_out *o, struct stream *s) {
    struct stream *turn = o->turn ? o->turn : s;
    s->after = turn;
    s->before = o->turn ? turn->before : s;
    s->before->after = s;
    turn->before = s;
    o->turn = turn;
}

static void free_stream(struct mt_frames_out *o, struct stream *s) {
    ring_out(o, s);
    mt_hash_remove(&o->streams, mt_hash_find(&o->streams, s->node.key));
    mt_os_free(s);
}

void mt_frames_out_free(struct mt_frames_out *out) {
    if (!out) return;
    while (out->turn) {
        for (struct mt_message *m; (m = out->turn->first);) {
            out->turn->first = m->next;
            end_message(m);
        }
        free_stream(out, out->turn);
    }
    mt_frames_over_free(out->over);
    mt_hash_fini(&out->streams);
    for (size_t i = 0; i < MT_FRAME_SLOTS; i++) mt_os_free(out->slots[i].name);
    mote_writer_fini(&out->terms);
    mt_os_free(out);
}

static struct stream *stream_of(struct mt_frames_out *o, uint64_t sender) {
    struct mt_node **where = mt_hash_find(&o->streams, sender);
    if (*where) return (struct stream *)*where;
    struct stream *s = mt_os_alloc_zero(sizeof *s);
    if (!s) return NULL;
    s->node.key = sender;
    s->left = MT_FRAME_TURN;
    mt_hash_insert(&o->streams, &s->node);
    ring_in(o, s);
    return s;
}

/* A message with its control term and room for `copied` bytes behind it. Larger than all of it may be: NULL and MOTE_ELIMIT. */
static struct mt_message *message_of(mote_bytes control, size_t payload, size_t copied, mote_err *err) {
    MT_ASSERT(control.size > 0);
    *err = MOTE_ELIMIT;
    if (control.size > MT_MESSAGE_MAX || payload > MT_MESSAGE_MAX - control.size) return NULL;
    *err = MOTE_ENOMEM;
    struct mt_message *m = mt_os_alloc(sizeof *m + control.size + copied);
    if (!m) return NULL;
    *m = (struct mt_message){.control = {m->bytes, control.size}, .payload = payload};
    memcpy(m->bytes, control.data, control.size);
    return m;
}

/* Puts it behind those of its sender. Takes it when that fails. */
static mote_err put(struct mt_frames_out *out, uint64_t sender, struct mt_message *m) {
    struct stream *s = m ? stream_of(out, sender) : NULL;
    if (!s) {
        mt_os_free(m);
        return MOTE_ENOMEM;
    }
    if (s->first) s->last->next = m;
    else s->first = m;
    s->last = m;
    out->bytes += size_of(m);
    s->bytes += size_of(m);
    return MOTE_OK;
}

mote_err mt_frames_out_put(struct mt_frames_out *out, uint64_t sender, mote_bytes control, mote_bytes payload, void (*release)(void *context),
                           void *context) {
    mote_err err;
    size_t copied = release ? 0 : payload.size;
    struct mt_message *m = message_of(control, payload.size, copied, &err);
    if (!m) return err;
    m->own = payload;
    m->parts = &m->own;
    if (copied) m->own.data = memcpy(m->bytes + control.size, payload.data, copied);
    m->release = release;
    m->context = context;
    return put(out, sender, m);
}

mote_err mt_frames_out_put_parts(struct mt_frames_out *out, uint64_t sender, mote_bytes control, const mote_bytes *parts, size_t count,
                                 void (*release)(void *context), void *context) {
    mote_err err;
    size_t payload = 0;
    for (size_t i = 0; i < count; i++) payload = parts[i].size > MT_MESSAGE_MAX - payload ? MT_MESSAGE_MAX : payload + parts[i].size;
    struct mt_message *m = message_of(control, payload, 0, &err);
    if (!m) return err;
    MT_ASSERT(payload > MT_FRAME_PIECE);
    m->parts = parts;
    m->release = release;
    m->context = context;
    return put(out, sender, m);
}

size_t mt_frames_out_bytes(const struct mt_frames_out *out) { return out->bytes; }

#define SHARE_LEAST 1024u

bool mt_frames_out_hogs(const struct mt_frames_out *out, uint64_t sender, size_t limit) {
    const struct stream *s = (const struct stream *)*mt_hash_find(&out->streams, sender);
    const size_t share = out->streams.count ? limit / out->streams.count : limit;
    return s && s->bytes > (share > SHARE_LEAST ? share : SHARE_LEAST);
}

/* ------------------------------------------------------------------------------------------------ atoms */

static uint64_t hash_of(const struct mt_frames_out *o, mote_bytes name) {
    const uint8_t *p = name.data;
    uint64_t hash = o->seed ^ name.size, word;
    for (size_t left = name.size; left; left -= left < sizeof word ? left : sizeof word, p += sizeof word) {
        word = 0;
        memcpy(&word, p, left < sizeof word ? left : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

static uint16_t *chain_of(struct mt_frames_out *o, uint64_t hash) { return &o->chains[hash % CHAINS]; }

static struct slot *find(struct mt_frames_out *o, mote_bytes name, uint64_t hash) {
    for (uint16_t i = *chain_of(o, hash); i != NO_SLOT; i = o->slots[i].next) {
        struct slot *slot = &o->slots[i];
        if (slot->hash == hash && slot->size == name.size && memcmp(slot->name, name.data, name.size) == 0) return slot;
    }
    return NULL;
}

static void forget(struct mt_frames_out *o, struct slot *slot) {
    uint16_t *at = chain_of(o, slot->hash);
    while (&o->slots[*at] != slot) at = &o->slots[*at].next;
    *at = slot->next;
    mt_os_free(slot->name);
    slot->name = NULL;
}

/* The slot to be used next: the hand goes on to one that is empty, or has not been used again; those of this message stay. B7 */
static struct slot *free_slot(struct mt_frames_out *o) {
    for (;;) {
        struct slot *slot = &o->slots[o->hand++ % MT_FRAME_SLOTS];
        if (!slot->name) return slot;
        if (slot->used == o->message) continue; /* of 255 at most */
        if (!slot->again) return slot;
        slot->again = false;
    }
}

/* Puts an atom into a slot. NULL: out of memory, so it stays where it stands. */
static struct slot *remember(struct mt_frames_out *o, mote_bytes name, uint64_t hash) {
    char *copy = mt_os_alloc(name.size ? name.size : 1);
    if (!copy) return NULL;
    memcpy(copy, name.data, name.size);
    struct slot *slot = free_slot(o);
    if (slot->name) forget(o, slot);
    uint16_t *chain = chain_of(o, hash);
    *slot = (struct slot){.name = copy, .size = name.size, .hash = hash, .next = *chain};
    *chain = (uint16_t)(slot - o->slots);
    return slot;
}

/* The number of an atom in the message's header; -1: it is not there. */
static int refer(void *context, mote_bytes name) {
    struct mt_frames_out *o = context;
    uint64_t hash = hash_of(o, name);
    struct slot *slot = find(o, name, hash);
    if (slot && slot->used == o->message) return slot->ref;
    if (o->refs == REFS_MAX) return -1;
    bool is_new = !slot;
    if (is_new && !(slot = remember(o, name, hash))) return -1;
    slot->again = !is_new;
    slot->used = o->message;
    slot->ref = (uint16_t)o->refs;
    o->ref_slots[o->refs] = (uint16_t)(slot - o->slots);
    o->ref_new[o->refs] = is_new;
    return (int)o->refs++;
}

/* The header: how many atoms, their half bytes, their slots and those that are new. Atoms of more than 255 bytes are not in it. */
static void put_refs(struct mt_frames_out *o, mote_writer *w) {
    uint8_t halves[REFS_MAX / 2 + 1] = {0}, count = (uint8_t)o->refs;
    mote_raw_write(w, &count, 1);
    if (count == 0) return;
    for (unsigned i = 0; i < o->refs; i++) {
        unsigned half = (o->ref_new[i] ? 8u : 0u) | (unsigned)(o->ref_slots[i] >> 8);
        halves[i / 2] |= (uint8_t)(half << (i % 2 * 4));
    }
    mote_raw_write(w, halves, o->refs / 2 + 1);
    for (unsigned i = 0; i < o->refs; i++) {
        const struct slot *slot = &o->slots[o->ref_slots[i]];
        uint8_t low[2] = {(uint8_t)o->ref_slots[i], (uint8_t)slot->size};
        mote_raw_write(w, low, o->ref_new[i] ? 2 : 1);
        if (o->ref_new[i]) mote_raw_write(w, slot->name, slot->size);
    }
}

/* ------------------------------------------------------------------------------------------------ frames */

/* A term of ours into `terms`, with references. */
static void put_term(struct mt_frames_out *o, mote_bytes term) {
    struct mt_swap_input input = {term.data, (const uint8_t *)term.data + term.size};
    if (o->flags & MT_FLAG_ATOM_CACHE) {
        enum mt_verdict verdict = mt_swap_out(&input, refer, o, &o->terms);
        MT_ASSERT(verdict != MT_NO_TERM && verdict != MT_NO_ATOM_REF); /* it is ours */
        MT_ASSERT(o->terms.err || input.at == input.end);
    } else {
        mote_raw_write(&o->terms, term.data, term.size);
    }
}

/* The header and the terms of a frame with its atoms: the control term, and `payload` if its atoms are to be in the header. */
static void put_terms(struct mt_frames_out *o, const struct mt_message *m, mote_bytes payload, mote_writer *w) {
    o->message++;
    o->refs = 0;
    o->terms.next = o->terms.data;
    put_term(o, m->control);
    if (payload.size) put_term(o, payload);
    if (o->terms.err) mote_writer_fail(w, o->terms.err);
    put_refs(o, w);
    mote_bytes terms = mote_writer_bytes(&o->terms);
    mote_raw_write(w, terms.data, terms.size);
}

static void put_tag(mote_writer *w, uint8_t tag) {
    uint8_t *p = mote_writer_room(w, 2);
    if (p) p[0] = VERSION, p[1] = tag;
}

static void put_numbers(mote_writer *w, const struct mt_message *m) {
    uint8_t *p = mote_writer_room(w, 16);
    if (!p) return;
    mote_put64_(p, m->sequence);
    mote_put64_(p + 8, m->fragment);
}

static void put_piece(struct mt_message *m, size_t size, mote_writer *w) {
    m->sent += size;
    while (size > 0) {
        for (; m->parts->size == m->sent_of_part; m->parts++) m->sent_of_part = 0;
        const size_t left = m->parts->size - m->sent_of_part, some = size < left ? size : left;
        mote_raw_write(w, (const uint8_t *)m->parts->data + m->sent_of_part, some);
        m->sent_of_part += some;
        size -= some;
    }
}

/* The first of several. Its control term is whole, with its atoms; the payload stays as it is. */
static void put_first(struct mt_frames_out *o, struct mt_message *m, mote_writer *w) {
    size_t room = m->control.size < MT_FRAME_PIECE ? MT_FRAME_PIECE - m->control.size : 0, piece = m->payload < room ? m->payload : room;
    m->sequence = ++o->sequences;
    m->fragment = 1 + (m->payload - piece + MT_FRAME_PIECE - 1) / MT_FRAME_PIECE;
    MT_ASSERT(m->fragment <= INT32_MAX); /* B6 */
    put_tag(w, FIRST);
    put_numbers(w, m);
    put_terms(o, m, (mote_bytes){NULL, 0}, w);
    put_piece(m, piece, w);
}

static void put_next(struct mt_message *m, mote_writer *w) {
    size_t left = m->payload - m->sent;
    put_tag(w, NEXT);
    put_numbers(w, m);
    put_piece(m, left < MT_FRAME_PIECE ? left : MT_FRAME_PIECE, w);
}

static void put_pass_through(struct mt_message *m, mote_writer *w) {
    uint8_t head[2] = {PASS_THROUGH, VERSION};
    mote_raw_write(w, head, 2);
    mote_raw_write(w, m->control.data, m->control.size);
    if (m->payload) mote_raw_write(w, head + 1, 1);
    put_piece(m, m->payload, w);
}

static void put_body(struct mt_frames_out *o, struct mt_message *m, mote_writer *w) {
    bool large = m->control.size + m->payload > MT_FRAME_PIECE;
    if (m->sequence) return put_next(m, w);
    if (large && o->flags & MT_FLAG_FRAGMENTS && m->payload) return put_first(o, m, w);
    if (!(o->flags & (MT_FLAG_ATOM_CACHE | MT_FLAG_FRAGMENTS))) return put_pass_through(m, w);
    put_tag(w, WHOLE);
    put_terms(o, m, large ? (mote_bytes){NULL, 0} : *m->parts, w);
    if (large) put_piece(m, m->payload, w);
}

/* A frame has been taken: what is left of the sender's turn and of its message. */
static void taken(struct mt_frames_out *o, struct stream *s, size_t size) {
    struct mt_message *m = s->first;
    bool over = m->sequence ? --m->fragment == 0 : true;
    if (over) {
        s->first = m->next;
        s->bytes -= size_of(m);
        taken_whole(o, m);
    }
    s->left -= size < s->left ? size : s->left;
    if (!s->first) return free_stream(o, s);
    if (s->left > 0) return;
    s->left = MT_FRAME_TURN; /* B4 */
    o->turn = s->after;
}

enum mt_verdict mt_frames_out_take(struct mt_frames_out *out, mote_writer *writer) {
    struct stream *s = out->turn;
    if (!s) return MT_MORE;
    size_t before = mote_writer_bytes(writer).size;
    mote_raw_write(writer, "\0\0\0\0", 4);
    put_body(out, s->first, writer);
    if (writer->err) return MT_NO_MEMORY; /* B5: the atoms may be known to nobody */
    size_t size = mote_writer_bytes(writer).size - before;
    mote_put32_(writer->data + before, size - 4);
    taken(out, s, size);
    return MT_FINE;
}
