/* SPDX-License-Identifier: Apache-2.0
 * Frames that come: see frame.h. */
#include <string.h>

#include "base/hash.h"
#include "dist/frame.h"
#include "dist/swap.h"
#include "term/term.h"

enum { PASS_THROUGH = 112, VERSION = 131, WHOLE = 68, FIRST = 69, NEXT = 70 };

#define REFS_MAX 255u
#define SEQUENCE_BYTES 256u /* what a message in pieces costs besides its bytes */
#define BUFFER_FIRST 4096u
#define PIECE_HEAD 18u                      /* bytes of a frame that goes on with a message, before the piece */
#define PIECE_LONG (2 * MT_FRAME_PIECE)     /* a frame that is longer is whole before there is room for it in its message (B1) */
#define MAPPED_FROM ((size_t)4 << 20) /* bytes that have come of a message in pieces: what follows is not copied as it grows */

/* An atom's text: in the cache, and held by messages in pieces. */
struct text {
    unsigned holds;
    uint32_t size;
    char bytes[];
};

struct buffer {
    uint8_t *data;
    size_t size, capacity;
    bool mapped; /* address space of its own, whose memory comes as it is written to */
};

/* A message of which pieces have come. */
struct sequence {
    struct mt_node node; /* key: its number */
    uint64_t next;       /* the fragment that must come; counts down to 1 */
    size_t control_size;
    struct buffer bytes; /* control and payload, as they came */
    unsigned empty;      /* pieces in a row */
    size_t refs_count, refs_bytes;
    struct text *refs[];
};

struct mt_frames_in {
    uint64_t flags;
    struct mt_frame_limits limits;
    struct text *cache[MT_FRAME_SLOTS];

    uint8_t head[4];
    size_t head_size;
    size_t frame_size;   /* once the head is there */
    struct buffer frame; /* of which not all has come; or its head, when `piece` has the rest */
    struct sequence *piece; /* whose next piece comes; or NULL */
    size_t piece_left;   /* bytes of it */

    struct text *refs[REFS_MAX]; /* of the frame that is read, held */
    size_t refs_count;
    mote_writer plain;           /* the last message, if it had references */

    struct mt_hash open;      /* sequences */
    size_t pieces_bytes;
    struct sequence *done;    /* whose bytes are lent */
    bool lent;                /* and the payload is the part of them behind the control term, not written anew */

    uint64_t pieces, came;    /* ever: pieces; bytes of frames that were not whole at once */
    uint64_t pieces_then, pieces_since_ns, came_then, came_since_ns; /* as they were at a check, and when that was */
};

mote_err mt_frames_in_new(uint64_t flags, const struct mt_frame_limits *limits, struct mt_frames_in **in) {
    struct mt_frames_in *f = mt_os_alloc_zero(sizeof *f);
    if (!f || mt_hash_init(&f->open)) {
        mt_os_free(f);
        return MOTE_ENOMEM;
    }
    f->flags = flags;
    if (limits) f->limits = *limits;
    if (!f->limits.frame_max) f->limits.frame_max = MT_FRAME_MAX;
    if (!f->limits.message_max) f->limits.message_max = MT_MESSAGE_MAX;
    if (!f->limits.pieces_bytes) f->limits.pieces_bytes = MT_PIECES_BYTES;
    if (!f->limits.pieces_open) f->limits.pieces_open = MT_PIECES_OPEN;
    mote_writer_init(&f->plain, MOTE_FORM_ERLANG, NULL, 0, f->limits.message_max);
    *in = f;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------ atoms */

static void drop(struct text *text) {
    if (text && --text->holds == 0) mt_os_free(text);
}

static void drop_refs(struct mt_frames_in *f) {
    while (f->refs_count > 0) drop(f->refs[--f->refs_count]);
}

/* Where a header is read. */
struct input {
    const uint8_t *at, *end;
};

/* The next `size` bytes; NULL: they are not there. */
static const uint8_t *take(struct input *in, size_t size) {
    if ((size_t)(in->end - in->at) < size) return NULL;
    in->at += size;
    return in->at - size;
}

/* A new atom for a slot. */
static enum mt_verdict read_text(struct input *in, bool is_long, struct text **slot) {
    size_t chars = 0;
    const uint8_t *p = take(in, is_long ? 2 : 1);
    size_t size = !p ? 0 : is_long ? mote_get16_(p) : p[0];
    const uint8_t *name = p ? take(in, size) : NULL;
    if (!name) return MT_NO_FRAME;
    if (!mt_utf8_valid(name, size, &chars) || chars > 255) return MT_NO_ATOMS;
    struct text *text = mt_os_alloc(sizeof *text + size);
    if (!text) return MT_NO_MEMORY;
    *text = (struct text){.holds = 1, .size = (uint32_t)size};
    memcpy(text->bytes, name, size);
    drop(*slot);
    *slot = text;
    return MT_FINE;
}

/* The atoms in the order of their numbers, which are kept in half bytes before them. */
static enum mt_verdict read_refs(struct mt_frames_in *f, struct input *in) {
    const uint8_t *count = take(in, 1);
    if (!count) return MT_NO_FRAME;
    size_t n = *count;
    if (n == 0) return MT_FINE;
    const uint8_t *halves = take(in, n / 2 + 1);
    if (!halves || !(f->flags & MT_FLAG_ATOM_CACHE)) return MT_NO_FRAME;
    bool is_long = halves[n / 2] >> (n % 2 * 4) & 1;
    for (size_t i = 0; i < n; i++) {
        unsigned half = halves[i / 2] >> (i % 2 * 4) & 15;
        const uint8_t *low = take(in, 1);
        if (!low) return MT_NO_FRAME;
        struct text **slot = &f->cache[(half & 7) * 256 + *low];
        enum mt_verdict verdict = half & 8 ? read_text(in, is_long, slot) : MT_FINE;
        if (verdict != MT_FINE) return verdict;
        if (!*slot) return MT_NO_ATOMS;
        (*slot)->holds++;
        f->refs[f->refs_count++] = *slot;
    }
    return MT_FINE;
}

/* ------------------------------------------------------------------------------------------------ memory */

/* Room for `size` bytes altogether, `more` of which have come. */
static bool reserve(struct buffer *b, size_t more, size_t size) {
    size_t capacity = b->capacity ? b->capacity : BUFFER_FIRST, need = b->size + more;
    if (need <= b->capacity) return true;
    while (capacity < need) capacity *= 2;
    if (capacity > size) capacity = size > need ? size : need;
    uint8_t *data = mt_os_realloc(b->data, capacity);
    if (!data) return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

/* They may stand there already. */
static void append(struct buffer *b, const uint8_t *data, size_t size) {
    if (size && b->data + b->size != data) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void free_bytes(const struct buffer *b) {
    if (b->mapped) mt_os_unmap(b->data, b->capacity);
    else mt_os_free(b->data);
}

static void give(struct buffer *b) {
    free_bytes(b);
    *b = (struct buffer){0};
}

/* As reserve(), when so many bytes of it are announced. Of address space there is plenty; memory grows with the bytes that have come all the same (B1). */
static bool reserve_announced(struct buffer *b, size_t more, size_t size) {
    const size_t page = mt_os_page_size();
    if (b->size + more <= b->capacity) return true;
    if (b->size + more < MAPPED_FROM) return reserve(b, more, size < MAPPED_FROM ? size : MAPPED_FROM);
    struct buffer wide = {.size = b->size, .capacity = (size + page - 1) & ~(page - 1), .mapped = true};
    if (!(wide.data = mt_os_map(wide.capacity))) return false;
    mt_os_large_pages(wide.data, wide.capacity);
    memcpy(wide.data, b->data, b->size);
    free_bytes(b);
    *b = wide;
    return true;
}

static size_t cost(const struct sequence *s) { return SEQUENCE_BYTES + s->refs_bytes + (s->bytes.mapped ? s->bytes.size : s->bytes.capacity); }

static void free_sequence(struct mt_frames_in *f, struct sequence *s) {
    f->pieces_bytes -= cost(s);
    for (size_t i = 0; i < s->refs_count; i++) drop(s->refs[i]);
    free_bytes(&s->bytes);
    mt_os_free(s);
}

void mt_frames_in_free(struct mt_frames_in *in) {
    if (!in) return;
    for (struct mt_node *node; (node = mt_hash_pop(&in->open));) free_sequence(in, (struct sequence *)node);
    if (in->done) free_sequence(in, in->done);
    mt_hash_fini(&in->open);
    drop_refs(in);
    for (size_t i = 0; i < MT_FRAME_SLOTS; i++) drop(in->cache[i]);
    mote_writer_fini(&in->plain);
    mt_os_free(in->frame.data);
    mt_os_free(in);
}

static void free_given(void *data, void *capacity) {
    free_bytes(&(struct buffer){.data = data, .capacity = (size_t)(uintptr_t)capacity, .mapped = true});
}

struct mt_bin *mt_frames_in_give(struct mt_frames_in *in) {
    if (!in->lent || !in->done->bytes.mapped) return NULL;
    struct mt_bin *bin = mt_bin_new(0);
    struct sequence *s = in->done;
    if (!bin) return NULL;
    bin->data = s->bytes.data;
    bin->size = s->bytes.size;
    bin->release = free_given;
    bin->context = (void *)(uintptr_t)s->bytes.capacity;
    in->pieces_bytes -= cost(s);
    s->bytes = (struct buffer){0};
    in->pieces_bytes += cost(s);
    return bin;
}

size_t mt_frames_in_bytes(const struct mt_frames_in *in) { return in->frame.capacity + in->pieces_bytes; }

/* ------------------------------------------------------------------------------------------------ messages */

/* Whether a large payload has no references: then it need not be written anew. */
static enum mt_verdict is_plain(const uint8_t *p, size_t size, bool *plain) {
    struct mt_swap_input input = {p, p + size};
    enum mt_verdict verdict = size < MAPPED_FROM ? MT_NO_ATOM_REF : mt_swap_skip(&input, 0);
    *plain = verdict == MT_FINE;
    return verdict == MT_NO_ATOM_REF ? MT_FINE : verdict;
}

/* A message of whose bytes the first `control_size` are its control term (which is not asked for if there are references): as it is, or with its atoms. B3 */
static enum mt_verdict message(struct mt_frames_in *f, const uint8_t *p, size_t size, size_t control_size, struct text *const *refs, size_t count, struct mt_frame *frame) {
    mote_bytes atoms[REFS_MAX];
    frame->control = (mote_bytes){p, control_size};
    frame->payload = (mote_bytes){p + control_size, size - control_size};
    f->lent = f->done && count == 0;
    if (count == 0) return MT_FINE;
    for (size_t i = 0; i < count; i++) atoms[i] = (mote_bytes){refs[i]->bytes, refs[i]->size};
    f->plain.next = f->plain.data;
    struct mt_swap_input input = {p, p + size};
    enum mt_verdict verdict = mt_swap_in(&input, atoms, count, &f->plain);
    bool plain = false;
    control_size = (size_t)(input.at - p);
    if (verdict == MT_FINE) verdict = is_plain(p + control_size, size - control_size, &plain);
    if (verdict != MT_FINE) return verdict;
    size_t control = mote_writer_bytes(&f->plain).size;
    if (plain) {
        frame->control = mote_writer_bytes(&f->plain);
        f->lent = f->done != NULL;
        return MT_FINE;
    }
    if (size > control_size) verdict = mt_swap_in(&input, atoms, count, &f->plain);
    if (verdict != MT_FINE) return verdict;
    mote_bytes all = mote_writer_bytes(&f->plain);
    frame->control = (mote_bytes){all.data, control};
    frame->payload = (mote_bytes){(const uint8_t *)all.data + control, all.size - control};
    return MT_FINE;
}

/* The bytes of the control term that stands here. */
static enum mt_verdict control_size(const struct input *in, size_t refs, size_t *size) {
    struct mt_swap_input input = {in->at, in->end};
    enum mt_verdict verdict = mt_swap_skip(&input, refs);
    *size = (size_t)(input.at - in->at);
    return verdict;
}

static enum mt_verdict whole(struct mt_frames_in *f, struct input *in, struct mt_frame *frame) {
    size_t control = 0;
    enum mt_verdict verdict = read_refs(f, in);
    if (verdict == MT_FINE && f->refs_count == 0) verdict = control_size(in, 0, &control);
    if (verdict == MT_FINE && (size_t)(in->end - in->at) > f->limits.message_max) verdict = MT_NO_LARGE;
    if (verdict == MT_FINE) verdict = message(f, in->at, (size_t)(in->end - in->at), control, f->refs, f->refs_count, frame);
    return verdict;
}

/* Both terms have a byte 131 of their own. */
static enum mt_verdict pass_through(struct mt_frames_in *f, struct input *in, struct mt_frame *frame) {
    size_t control = 0;
    const uint8_t *version = take(in, 1);
    if (!version || *version != VERSION) return MT_NO_FRAME;
    enum mt_verdict verdict = control_size(in, 0, &control);
    if (verdict != MT_FINE) return verdict;
    if ((size_t)(in->end - in->at) > f->limits.message_max) return MT_NO_LARGE;
    frame->control = (mote_bytes){take(in, control), control};
    version = take(in, 1);
    if (version && *version != VERSION) return MT_NO_FRAME;
    frame->payload = (mote_bytes){in->at, (size_t)(in->end - in->at)};
    return MT_FINE;
}

/* ------------------------------------------------------------------------------------------------ pieces */

/* How large the message becomes, if all its pieces are of this size. */
static size_t announced(const struct mt_frames_in *f, const struct sequence *s, size_t size) {
    const size_t left = f->limits.message_max - s->bytes.size;
    return s->bytes.size + (s->next > left / (size ? size : 1) ? left : (size_t)s->next * size);
}

static bool fits(const struct mt_frames_in *f, const struct sequence *s, size_t size) { return size <= f->limits.message_max - s->bytes.size && f->pieces_bytes + size <= f->limits.pieces_bytes; }

/* Room for a piece behind those before it. */
static enum mt_verdict room_for(struct mt_frames_in *f, struct sequence *s, size_t size) {
    size_t before = cost(s);
    f->pieces++;
    s->empty = size ? 0 : s->empty + 1;
    if (s->empty > MT_PIECES_EMPTY) return MT_NO_FRAGMENTS;
    if (!fits(f, s, size)) return size > f->limits.message_max - s->bytes.size ? MT_NO_LARGE : MT_NO_HOARD;
    if (!reserve_announced(&s->bytes, size, announced(f, s, size))) return MT_NO_MEMORY;
    f->pieces_bytes += cost(s) - before;
    return MT_FINE;
}

static void add(struct mt_frames_in *f, struct sequence *s, const uint8_t *p, size_t size) {
    size_t before = cost(s);
    append(&s->bytes, p, size);
    f->pieces_bytes += cost(s) - before;
}

/* A piece is there; whether the message is whole now. */
static enum mt_verdict piece_over(struct mt_frames_in *f, struct sequence *s, struct mt_frame *frame) {
    if (f->pieces_bytes > f->limits.pieces_bytes) return MT_NO_HOARD;
    if (--s->next > 0) return MT_MORE;
    mt_hash_remove(&f->open, mt_hash_find(&f->open, s->node.key));
    f->done = s;
    return message(f, s->bytes.data, s->bytes.size, s->control_size, s->refs, s->refs_count, frame);
}

/* The piece that it waited for has come. */
static enum mt_verdict go_on(struct mt_frames_in *f, struct sequence *s, const struct input *in, struct mt_frame *frame) {
    size_t size = (size_t)(in->end - in->at);
    enum mt_verdict verdict = room_for(f, s, size);
    if (verdict != MT_FINE) return verdict;
    add(f, s, in->at, size);
    return piece_over(f, s, frame);
}

/* Number of the sequence and of the fragment. */
static bool read_numbers(struct input *in, uint64_t *sequence, uint64_t *fragment) {
    const uint8_t *p = take(in, 16);
    if (!p) return false;
    *sequence = mote_get64_(p);
    *fragment = mote_get64_(p + 8);
    return *sequence != 0 && *fragment >= 1 && *fragment <= INT32_MAX; /* B6 */
}

static struct sequence *find(struct mt_frames_in *f, uint64_t number) { return (struct sequence *)*mt_hash_find(&f->open, number); }

static enum mt_verdict first(struct mt_frames_in *f, struct input *in, struct mt_frame *frame) {
    uint64_t number = 0, fragment = 0;
    size_t control = 0;
    if (!read_numbers(in, &number, &fragment) || find(f, number)) return MT_NO_FRAGMENT;
    if (f->open.count >= f->limits.pieces_open) return MT_NO_FRAGMENTS;
    enum mt_verdict verdict = read_refs(f, in);
    if (verdict == MT_FINE) verdict = control_size(in, f->refs_count, &control); /* which is whole */
    if (verdict != MT_FINE) return verdict;
    struct sequence *s = mt_os_alloc_zero(sizeof *s + f->refs_count * sizeof *s->refs);
    if (!s) return MT_NO_MEMORY;
    s->node.key = number;
    s->next = fragment;
    s->control_size = control;
    s->refs_count = f->refs_count;
    memcpy(s->refs, f->refs, f->refs_count * sizeof *s->refs); /* with their holds: later frames may change the cache */
    for (size_t i = 0; i < f->refs_count; i++) s->refs_bytes += sizeof *s->refs + sizeof **s->refs + s->refs[i]->size;
    f->refs_count = 0;
    f->pieces_bytes += cost(s);
    mt_hash_insert(&f->open, &s->node);
    return go_on(f, s, in, frame);
}

static enum mt_verdict next(struct mt_frames_in *f, struct input *in, struct mt_frame *frame) {
    uint64_t number = 0, fragment = 0;
    if (!read_numbers(in, &number, &fragment)) return MT_NO_FRAGMENT;
    struct sequence *s = find(f, number);
    if (!s || s->next != fragment) return MT_NO_FRAGMENT;
    return go_on(f, s, in, frame);
}

/* ------------------------------------------------------------------------------------------------ frames */

/* A frame's body. MT_MORE: it was a piece. */
static enum mt_verdict body(struct mt_frames_in *f, const uint8_t *p, size_t size, struct mt_frame *frame) {
    struct input in = {p, p + size};
    bool headers = f->flags & (MT_FLAG_ATOM_CACHE | MT_FLAG_FRAGMENTS);
    frame->tick = size == 0;
    if (size == 0) return MT_FINE;
    const uint8_t *tag = take(&in, headers ? 2 : 1);
    if (!tag) return MT_NO_FRAME;
    if (!headers) return tag[0] == PASS_THROUGH ? pass_through(f, &in, frame) : MT_NO_FRAME;
    if (tag[0] != VERSION) return MT_NO_FRAME;
    bool pieces = f->flags & MT_FLAG_FRAGMENTS;
    if (tag[1] == WHOLE) return whole(f, &in, frame);
    if (tag[1] == FIRST && pieces) return first(f, &in, frame);
    return tag[1] == NEXT && pieces ? next(f, &in, frame) : MT_NO_FRAME;
}

/* Ends what was lent. */
static void end_loan(struct mt_frames_in *f) {
    drop_refs(f);
    if (f->done) free_sequence(f, f->done);
    f->done = NULL;
    f->lent = false;
    if (f->head_size == 0) f->frame.size = 0;
    if (f->head_size == 0 && f->frame.capacity > MT_FRAME_PIECE * 2) give(&f->frame); /* a large one is rare */
    size_t plain = mote_writer_bytes(&f->plain).size;
    if (plain > MT_FRAME_PIECE) {
        mote_writer_fini(&f->plain);
        mote_writer_init(&f->plain, MOTE_FORM_ERLANG, NULL, 0, f->limits.message_max);
    }
}

/* A frame's head has come. If the rest is a piece that its message waits for, it is put there as it comes; what is wrong shows when the frame is whole. */
static enum mt_verdict begin_piece(struct mt_frames_in *f) {
    struct input in = {f->frame.data, f->frame.data + PIECE_HEAD};
    const uint8_t *tag = take(&in, 2);
    uint64_t number = 0, fragment = 0;
    if (!(f->flags & MT_FLAG_FRAGMENTS) || tag[0] != VERSION || tag[1] != NEXT || !read_numbers(&in, &number, &fragment)) return MT_FINE;
    struct sequence *s = find(f, number);
    const size_t size = f->frame_size - PIECE_HEAD;
    if (!s || s->next != fragment || !fits(f, s, size)) return MT_FINE;
    enum mt_verdict verdict = room_for(f, s, size);
    if (verdict != MT_FINE) return verdict;
    f->piece = s;
    f->piece_left = size;
    return MT_FINE;
}

/* Bytes of a frame that comes little by little, up to the first `size`. MT_MORE: it lacks some. */
static enum mt_verdict gather(struct mt_frames_in *f, struct input *in, size_t size) {
    size_t left = (size_t)(in->end - in->at), lacks = size - f->frame.size, more = left < lacks ? left : lacks;
    if (!reserve(&f->frame, more, f->frame_size)) return MT_NO_MEMORY;
    append(&f->frame, take(in, more), more);
    f->came += more;
    return more < lacks ? MT_MORE : MT_FINE;
}

static enum mt_verdict gather_piece(struct mt_frames_in *f, struct input *in) {
    size_t left = (size_t)(in->end - in->at), more = left < f->piece_left ? left : f->piece_left;
    add(f, f->piece, take(in, more), more);
    f->came += more;
    f->piece_left -= more;
    return f->piece_left ? MT_MORE : MT_FINE;
}

static enum mt_verdict gather_all(struct mt_frames_in *f, struct input *in) {
    enum mt_verdict verdict = MT_FINE;
    if (f->frame.size < PIECE_HEAD && f->frame_size > PIECE_HEAD && f->frame_size <= PIECE_LONG) {
        verdict = gather(f, in, PIECE_HEAD);
        if (verdict == MT_FINE) verdict = begin_piece(f);
    }
    if (verdict != MT_FINE) return verdict;
    return f->piece ? gather_piece(f, in) : gather(f, in, f->frame_size);
}

uint8_t *mt_frames_in_room(struct mt_frames_in *in, size_t *size) {
    if (!in->piece) return NULL;
    *size = in->piece_left;
    return in->piece->bytes.data + in->piece->bytes.size;
}

/* The next frame's body, when it is whole: in `data`, or collected. */
static enum mt_verdict collect(struct mt_frames_in *f, struct input *in, const uint8_t **p) {
    while (f->head_size < sizeof f->head && in->at < in->end) f->head[f->head_size++] = *in->at++;
    if (f->head_size < sizeof f->head) return MT_MORE;
    f->frame_size = mote_get32_(f->head);
    if (f->frame_size > f->limits.frame_max) return MT_NO_TOO_LONG; /* B1 */
    if (f->frame.size == 0 && (size_t)(in->end - in->at) >= f->frame_size) {
        *p = take(in, f->frame_size);
    } else {
        enum mt_verdict verdict = gather_all(f, in);
        if (verdict != MT_FINE) return verdict;
        *p = f->frame.data;
    }
    f->head_size = 0;
    return MT_FINE;
}

static enum mt_verdict whole_piece(struct mt_frames_in *f, struct mt_frame *frame) {
    struct sequence *s = f->piece;
    f->piece = NULL;
    return piece_over(f, s, frame);
}

enum mt_verdict mt_frames_in_feed(struct mt_frames_in *in, const void *data, size_t size, size_t *used, struct mt_frame *frame) {
    struct input bytes = {data, size ? (const uint8_t *)data + size : data};
    enum mt_verdict verdict;
    do {
        const uint8_t *p = NULL;
        end_loan(in);
        *frame = (struct mt_frame){.tick = false};
        verdict = collect(in, &bytes, &p);
        if (verdict == MT_FINE) verdict = in->piece ? whole_piece(in, frame) : body(in, p, in->frame_size, frame);
    } while (verdict == MT_MORE && bytes.at < bytes.end);
    *used = (size_t)(bytes.at - (const uint8_t *)data);
    return verdict;
}

/* ------------------------------------------------------------------------------------------------ time */

/* Whether `condition` has lasted for so long without so much having come. */
static bool stalls(bool condition, uint64_t came, uint64_t least, uint64_t for_ns, uint64_t now_ns, uint64_t *then, uint64_t *since_ns) {
    if (!condition || came - *then >= least || *since_ns == 0) {
        *then = came;
        *since_ns = now_ns;
        return false;
    }
    return now_ns - *since_ns >= for_ns;
}

enum mt_verdict mt_frames_in_check(struct mt_frames_in *in, uint64_t now_ns) {
    bool many = in->open.count >= MT_PIECES_OPEN / 2, begun = in->head_size > 0;
    bool pieces = stalls(many, in->pieces, 1, MT_PIECES_STALL_NS, now_ns, &in->pieces_then, &in->pieces_since_ns);
    bool frame = stalls(begun, in->came, MT_FRAME_STALL_BYTES, MT_FRAME_STALL_NS, now_ns, &in->came_then, &in->came_since_ns);
    return pieces || frame ? MT_NO_STALLED : MT_FINE;
}

enum mt_tick mt_tick(struct mt_ticker *ticker, uint64_t read, uint64_t written, size_t waiting, bool hidden) {
    bool heard = read != ticker->read, spoke = written != ticker->written;
    ticker->silent = heard ? 0 : ticker->silent + 1;
    ticker->read = read;
    ticker->written = written;
    if (ticker->silent >= MT_TICK_SILENT) return MT_TICK_DOWN;
    return (!spoke && waiting == 0) || (hidden && !heard) ? MT_TICK_SEND : MT_TICK_REST;
}
