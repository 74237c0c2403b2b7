/* SPDX-License-Identifier: Apache-2.0
 * Big binaries in messages between three workers, which are three runtimes of this program. */
#include <mote/external.h>
#include <mote/host.h>
#include <string.h>

#include "live.h"
#include "worker/postman.h"

#define SIDES 3u
#define BIG 100000u

struct side {
    mote_runtime *runtime;
    mote_self *self;
    mote_worker *worker;
    mote_pid keeper;
    mote_arena *kept;
};
static struct side sides[SIDES];

/* Keeps what it is told to, sends it on, and says what is in it. */
static void keeper(mote_self *self, mote_term arg) {
    mote_term m, what, have = MOTE_TERM_NIL;
    mote_pid from, to;
    mote_bytes bytes;
    uint64_t place;
    CHECK_OK(mote_uint_get(arg, &place));
    mote_arena *kept = sides[place].kept;
    while (!mote_receive(self, -1, &m)) {
        if (mote_match(m, "{keep, ?, ?}", &from, &what)) have = mote_term_copy(kept, what);
        else if (mote_match(m, "{pass, ?, ?}", &from, &to)) CHECK_OK(mote_send(self, to, "{keep, ?, ?}", from, have));
        else if (mote_match(m, "{back, ?}", &from)) CHECK_OK(mote_send_term(self, from, have));
        else if (mote_match(m, "{drop, ?}", &from)) {
            mote_arena_reset(kept);
            have = MOTE_TERM_NIL;
        }
        if (mote_match(m, "{pass, _, _}") || mote_match(m, "{back, _}")) continue;
        uint64_t first = 0;
        if (!mote_bytes_get(have, &bytes)) first = ((const uint8_t *)bytes.data)[0] + 1000 * bytes.size;
        CHECK_OK(mote_send(self, from, "{kept, ?}", first));
    }
}

static int dup_of(int fd) {
    int copy;
    CHECK_OK(mt_os_dup(fd, &copy));
    return copy;
}

static void join(unsigned i, unsigned peer) {
    struct side *s = &sides[i];
    mote_options options = {.schedulers = 1, .worker = peer & 255, .chaos_seed = chaos_seed()};
    CHECK_OK(mote_runtime_start(&options, &s->runtime));
    CHECK_OK(mote_attach(s->runtime, &s->self));
    CHECK_OK(mote_worker_new(s->self, peer, i ? dup_of(mote_worker_board(sides[0].worker)) : -1, &s->worker));
    s->kept = mote_arena_new(0);
    CHECK_OK(mote_spawn(s->self, keeper, mote_uint_make(s->kept, i), &s->keeper));
}

static void open_both(unsigned a, unsigned b, unsigned peer_a, unsigned peer_b, bool blobs) {
    int channel;
    CHECK_OK(mote_worker_channel(&channel));
    int both[2] = {channel, dup_of(channel)};
    CHECK_OK(mote_worker_open(sides[a].worker, peer_b, both[0], dup_of(mote_worker_event(sides[b].worker)), blobs ? dup_of(mote_worker_blobs(sides[b].worker)) : -1));
    CHECK_OK(mote_worker_open(sides[b].worker, peer_a, both[1], dup_of(mote_worker_event(sides[a].worker)), blobs ? dup_of(mote_worker_blobs(sides[a].worker)) : -1));
}

static void begin_with(bool blobs) {
    for (unsigned i = 0; i < SIDES; i++) join(i, i);
    for (unsigned a = 0; a < SIDES; a++)
        for (unsigned b = a + 1; b < SIDES; b++) open_both(a, b, a, b, blobs);
}
static void begin(void) { begin_with(true); }

static void leave(unsigned i) {
    if (!sides[i].runtime) return;
    CHECK_OK(mote_detach(sides[i].self));
    (void)mote_runtime_stop(sides[i].runtime, 0);
    mote_arena_free(sides[i].kept);
    mote_worker_free(sides[i].worker);
    sides[i] = (struct side){0};
}
static void end(void) {
    for (unsigned i = 0; i < SIDES; i++) leave(i);
}

static mote_blob_stats stats(unsigned i) {
    mote_blob_stats s;
    mote_worker_blob_stats(sides[i].worker, &s);
    return s;
}

/* Waits until so many blobs of a worker live, and so many are in use there. */
static void await(unsigned i, size_t live, size_t held) {
    uint64_t since = now_ns();
    while (stats(i).live != live || stats(i).held != held) {
        CHECK(ms_since(since) < PATIENCE_MS);
        CHECK_OK(mote_yield(sides[i].self));
    }
}

static void await_kept(unsigned at, uint64_t first) {
    mote_term m;
    uint64_t got;
    CHECK_OK(mote_receive(sides[at].self, PATIENCE_MS, &m));
    CHECK(mote_match(m, "{kept, ?}", &got));
    CHECK_INT(got, first);
}

static uint64_t sum(unsigned fill) { return fill + UINT64_C(1000) * BIG; }

/* One to keep, from a thread of worker `from`. */
static void give(unsigned from, unsigned to, uint8_t fill) {
    static uint8_t data[BIG];
    mote_arena *arena = mote_arena_new(0);
    memset(data, fill, sizeof data);
    CHECK_OK(mote_send(sides[from].self, sides[to].keeper, "{keep, ?, ?}", mote_self_pid(sides[from].self), mote_binary_make(arena, data, sizeof data)));
    mote_arena_free(arena);
    await_kept(from, sum(fill));
}

static void pass(unsigned who, unsigned holder, unsigned to, uint64_t first) {
    CHECK_OK(mote_send(sides[who].self, sides[holder].keeper, "{pass, ?, ?}", mote_self_pid(sides[who].self), sides[to].keeper));
    await_kept(who, first);
}

static void drop(unsigned who, unsigned holder) {
    CHECK_OK(mote_send(sides[who].self, sides[holder].keeper, "{drop, ?}", mote_self_pid(sides[who].self)));
    await_kept(who, 0);
}

static void lose(unsigned at, unsigned peer) { CHECK_OK(mote_worker_lost(sides[at].worker, sides[at].self, peer, mote_atom_term(mote_atom_make("gone")))); }

/* ------------------------------------------------------------------------------------------------- the tests */

static void goes_and_is_freed(void) {
    begin();
    give(0, 1, 7);
    await(0, 1, 0);
    await(1, 0, 1);
    CHECK_INT(stats(0).made, 1);
    drop(0, 1);
    await(0, 0, 0);
    await(1, 0, 0);
    end();
}

/* What comes home is read where it was written, and sent again without a copy. */
static void comes_home(void) {
    mote_term m;
    mote_bytes bytes;
    begin();
    give(0, 1, 9);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(mote_send(sides[0].self, sides[1].keeper, "{back, ?}", mote_self_pid(sides[0].self)));
        CHECK_OK(mote_receive(sides[0].self, PATIENCE_MS, &m));
        CHECK_OK(mote_bytes_get(m, &bytes));
        CHECK(bytes.size == BIG && ((const uint8_t *)bytes.data)[BIG - 1] == 9 && ((const uint8_t *)bytes.data)[BIG] == 0);
        CHECK_OK(mote_send(sides[0].self, sides[2].keeper, "{keep, ?, ?}", mote_self_pid(sides[0].self), m));
        await_kept(0, sum(9));
    }
    CHECK_INT(stats(0).made, 1);
    drop(0, 1);
    await(0, 1, 0);
    drop(0, 2);
    await(0, 0, 0);
    end();
}

/* A third gets what the second has, while the first lets go; many at once, and each end in another order. */
static void is_passed_on(void) {
    begin();
    for (int i = 0; i < 20; i++) {
        give(0, 1, (uint8_t)i);
        pass(2, 1, 2, sum((unsigned)i));
        CHECK_INT(stats(1).made + stats(2).made, 0);
        drop(2, i % 2 ? 1 : 2);
        await(0, 1, 0);
        drop(2, i % 2 ? 2 : 1);
        await(0, 0, 0);
        await(1, 0, 0);
        await(2, 0, 0);
    }
    end();
}

static void many_in_one(void) {
    static uint8_t data[3][BIG];
    begin();
    mote_arena *arena = mote_arena_new(0);
    mote_term list = MOTE_TERM_NIL;
    for (int i = 0; i < 30; i++) {
        memset(data[i % 3], i, BIG);
        list = mote_cons_make(arena, mote_binary_make(arena, data[i % 3], BIG), list);
    }
    CHECK_OK(mote_send(sides[0].self, sides[1].keeper, "{keep, ?, ?}", mote_self_pid(sides[0].self), list));
    mote_arena_free(arena);
    await_kept(0, 0);
    await(0, 30, 0);
    await(1, 0, 30);
    pass(0, 1, 2, 0);
    await(2, 0, 30);
    drop(0, 1);
    await(0, 30, 0);
    drop(0, 2);
    await(0, 0, 0);
    end();
}

/* Its holds end with a holder, but not those that it has passed on. */
static void holder_dies(void) {
    begin();
    give(0, 1, 5);
    pass(0, 1, 2, sum(5));
    lose(2, 1);
    await(0, 1, 0);
    lose(0, 1);
    leave(1);
    give(0, 2, 6); /* the first is dropped for it, only then: ENDED has come, or will */
    await(2, 0, 2);
    drop(0, 2);
    await(0, 0, 0);
    end();
}

/* Held by nobody but the dead. */
static void last_holder_dies(void) {
    begin();
    give(0, 1, 5);
    await(0, 1, 0);
    lose(0, 1);
    CHECK_INT(stats(0).live, 1); /* until the other has read all that the dead one has sent */
    lose(2, 1);
    await(0, 0, 0);
    leave(1);
    join(1, 1 + 64);
    open_both(0, 1, 0, 1 + 64, true);
    open_both(1, 2, 1 + 64, 2, true);
    give(0, 1, 8); /* the next incarnation */
    pass(0, 1, 2, sum(8));
    drop(0, 2);
    drop(0, 1);
    await(0, 0, 0);
    end();
}

/* What it has sent stays readable, and is copied when it is sent on. */
static void owner_dies(void) {
    begin();
    give(1, 2, 3);
    lose(2, 1);
    lose(0, 1);
    leave(1);
    pass(0, 2, 0, sum(3));
    CHECK_INT(stats(2).made, 1);
    drop(0, 0);
    drop(0, 2);
    await(2, 0, 0);
    end();
}

/* A worker that has no room to map others' gets the bytes. */
static void without_maps(void) {
    begin_with(false);
    give(0, 1, 5);
    pass(0, 1, 2, sum(5));
    CHECK_INT(stats(0).made + stats(1).made, 0);
    end();
}

static void buffers(void) {
    mote_blob *blob;
    mote_arena *arena = mote_arena_new(0);
    begin();
    CHECK_INT(mote_blob_make(NULL, 1, &blob), MOTE_EARG);
    CHECK_INT(mote_blob_make(sides[0].worker, 0, &blob), MOTE_EARG);
    CHECK_INT(mote_blob_make(sides[0].worker, 1, NULL), MOTE_EARG);
    CHECK_INT(mote_blob_make(sides[0].worker, SIZE_MAX / 2, &blob), MOTE_ELIMIT);
    CHECK_OK(mote_blob_make(sides[0].worker, BIG, &blob));
    CHECK(blob->size == BIG && !blob->host && (uintptr_t)blob->data % 64 == 0);
    memset(blob->data, 4, BIG);
    for (int sealed = 0; sealed < 2; sealed++) {
        if (sealed) mote_blob_seal(blob);
        mote_term binary = mote_binary_share(arena, blob->data, BIG, NULL, NULL);
        CHECK_OK(mote_send(sides[0].self, sides[1].keeper, "{keep, ?, ?}", mote_self_pid(sides[0].self), binary));
        memset(blob->data, sealed ? 4 : 11, sealed ? 1 : BIG); /* before it is sealed one may still write */
        await_kept(0, sum(4));
        if (!sealed) memset(blob->data, 4, BIG);
        CHECK_INT(stats(0).made, 2); /* it, and the copy */
    }
    mote_blob_hold(blob);
    mote_blob_drop(blob);
    await(0, 2, 1);
    mote_blob_drop(blob);
    await(0, 2, 0);
    drop(0, 1);
    await(0, 0, 0);
    CHECK_OK(mote_blob_make(sides[0].worker, BIG, &blob));
    mote_arena_free(arena);
    end();
    memset(blob->data, 1, BIG); /* it is the caller's, whatever has ended */
    mote_blob_drop(blob);
}

/* As a host does it: what it has begun and not sent is nobody's. */
static void parcels(void) {
    static uint8_t data[BIG];
    mote_parcel parcel;
    mote_writer w;
    uint8_t handle[255];
    begin();
    for (int sent = 0; sent < 2; sent++) {
        mote_writer_init(&w, MOTE_FORM_MOTE, NULL, 0, 1000);
        CHECK_OK(mote_parcel_begin(sides[0].self, mote_pid_term(sides[1].keeper), &parcel));
        CHECK(mote_tuple_write(&w, 3) && mote_atom_write(&w, "keep", 4) && mote_pid_write(&w, mote_self_pid(sides[0].self)) && mote_list_write(&w, 9));
        for (int i = 0; i < 9; i++) {
            size_t size = mote_parcel_blob(&parcel, data, BIG, handle);
            CHECK(size && mote_handle_write(&w, handle, size));
        }
        CHECK(mote_nil_write(&w));
        await(0, 9, 0);
        if (sent) mote_host_send_encoded(&parcel, mote_writer_bytes(&w).data, mote_writer_bytes(&w).size);
        else mote_parcel_drop(&parcel);
        mote_writer_fini(&w);
        if (sent) await_kept(0, 0);
        await(0, sent ? 9 : 0, 0);
    }
    lose(0, 1); /* to one that is not there */
    lose(2, 1);
    await(0, 0, 0);
    CHECK_OK(mote_parcel_begin(sides[0].self, mote_pid_term(sides[1].keeper), &parcel));
    CHECK_INT(mote_parcel_blob(&parcel, data, BIG, handle), 0);
    mote_host_send_encoded(&parcel, "j", 1);
    CHECK_INT(mote_parcel_begin(sides[0].self, mote_pid_term(sides[1].keeper), NULL), MOTE_EARG);
    end();
}

/* Handles and records that cannot be: the channel is cut, and the blobs are as they were. */
static void nonsense(void) {
    for (unsigned kind = 0; kind < 8; kind++) {
        mote_writer w;
        mote_parcel parcel;
        uint32_t words[16] = {MT_FREIGHT_RECORD + kind % 3, 0, kind == 6 ? 77 : MT_BLOB_COUNTED, 5, 5, 1, 0, 0};
        struct mt_blob_handle h = {.size = BIG, .page = 3, .serial = 9, .owner = kind % 4};
        begin();
        give(0, 1, 1);
        if (kind < 4) { /* of each of us, and of nobody */
            mote_writer_init(&w, MOTE_FORM_MOTE, NULL, 0, 1000);
            if (kind == 1) h.page = UINT32_MAX;
            CHECK(mote_handle_write(&w, &h, kind == 2 ? 5 : sizeof h));
            CHECK_OK(mote_parcel_begin(sides[1].self, mote_pid_term(sides[0].keeper), &parcel));
            mote_host_send_encoded(&parcel, mote_writer_bytes(&w).data, mote_writer_bytes(&w).size);
            mote_writer_fini(&w);
        } else {
            words[1] = kind == 4 ? 1 : 0; /* that it, or that we, have ended */
            CHECK(mt_far_put(sides[1].runtime, 0, false, words, kind == 7 ? 4 : 32));
        }
        uint64_t since = now_ns();
        while (!mote_worker_cut(sides[0].worker)) {
            CHECK(ms_since(since) < PATIENCE_MS);
            CHECK_OK(mote_yield(sides[0].self));
        }
        CHECK_INT(mote_worker_cut(sides[0].worker), 1);
        CHECK_INT(stats(0).live, 1);
        end();
    }
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(goes_and_is_freed), TEST(comes_home), TEST(is_passed_on), TEST(many_in_one), TEST(holder_dies), TEST(last_holder_dies),
                                            TEST(owner_dies), TEST(without_maps), TEST(buffers), TEST(parcels), TEST(nonsense), {0}});
}
