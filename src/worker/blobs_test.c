/* SPDX-License-Identifier: Apache-2.0
 * Blobs: what is held stays, what is not is freed and used again; notes in any order; deaths; nonsense. */
#include "worker/blobs.h"

#include <fcntl.h>

#include "base/atomic.h"
#include "check.h"

#define MIB ((size_t)1 << 20)
#define TOOL (MT_TSAN || MT_ASAN || getenv("MOTE_TEST_UNDER"))
#define PEER(worker, life) ((mt_peer)((life) * MT_PEER_WORKERS + (worker)))

enum { OWNER, HOLDER, THIRD, PEERS };

/* A node of three workers: 0 owns, the others map. */
static struct {
    struct mt_blobs *blobs;
    struct mt_blob_map *maps[PEERS];
} g;

static int fd_of_blobs(void) { return fcntl(mt_blobs_fd(g.blobs), F_DUPFD_CLOEXEC, 3); }

static void set_up(size_t bytes_max, size_t warm_max) {
    CHECK_OK(mt_blobs_new(OWNER, bytes_max, warm_max, &g.blobs));
    for (unsigned i = 1; i < PEERS; i++) CHECK_OK(mt_blob_map_new(i, OWNER, fd_of_blobs(), &g.maps[i]));
}

static void tear_down(void) {
    for (unsigned i = 1; i < PEERS; i++) mt_blob_map_close(g.maps[i]);
    mt_blobs_free(g.blobs);
}

static struct mt_blobs_info info(void) {
    struct mt_blobs_info of;
    mt_blobs_info_get(g.blobs, &of);
    return of;
}

/* A blob all of whose bytes are `fill`. */
static struct mt_blob_handle make(size_t size, int fill) {
    struct mt_blob_handle handle;
    void *data;
    CHECK_OK(mt_blobs_make(g.blobs, size, &handle, &data));
    CHECK(((char *)data)[size] == 0 && ((uintptr_t)data & (mt_os_page_size() - 1)) == MOTE_BLOB_GAP);
    memset(data, fill, size);
    return handle;
}

static bool all_are(const void *data, size_t size, int fill) {
    const char *p = data;
    return p[0] == fill && memcmp(p, p + 1, size - 1) == 0 && p[size] == 0;
}

static struct mt_blob_note tell(unsigned who, const struct mt_blob_note *note);

/* What `from` has sent arrives. */
static struct mt_blob_use *take(unsigned who, const struct mt_blob_handle *handle, unsigned from, struct mt_blob_note *note) {
    struct mt_blob_use *use;
    CHECK_OK(mt_blob_map_take(g.maps[who], handle, from, &use, note));
    CHECK(note->kind == (from == OWNER ? MT_BLOB_NONE : MT_BLOB_HOLD) && use->blob.size == handle->size);
    return use;
}

/* The owner's message with the handle to a peer, which takes it. */
static struct mt_blob_use *give(unsigned who, const struct mt_blob_handle *handle) {
    struct mt_blob_note none;
    CHECK_OK(mt_blobs_hold(g.blobs, handle, who));
    return take(who, handle, OWNER, &none);
}

static struct mt_blob_note drop(unsigned who, struct mt_blob_use *use) {
    struct mt_blob_note release;
    CHECK(!mt_blob_use_drop(g.maps[who], use, &release));
    return release;
}

/* The owner gets a note; its answer. */
static struct mt_blob_note tell(unsigned who, const struct mt_blob_note *note) {
    struct mt_blob_note answer;
    CHECK_OK(mt_blobs_apply(g.blobs, note, who, &answer));
    CHECK_INT(answer.kind, note->kind == MT_BLOB_HOLD ? MT_BLOB_COUNTED : MT_BLOB_NONE);
    CHECK(answer.kind == MT_BLOB_NONE || answer.peer == who);
    return answer;
}

/* A peer gets the owner's answer, and gives its holds back when that was all it kept them for. Whether it was. */
static bool answer(unsigned who, const struct mt_blob_note *note) {
    struct mt_blob_note release;
    CHECK_OK(mt_blob_map_apply(g.maps[who], note, &release));
    if (release.kind == MT_BLOB_NONE) return false;
    CHECK_INT(release.kind, MT_BLOB_RELEASE);
    tell(who, &release);
    return true;
}

/* ------------------------------------------------------------------------------------------------- holds */

static void one_is_written_and_read(void) {
    set_up(64 * MIB, 16 * MIB);
    for (size_t size = 1; size < 3 * MIB; size = size * 3 + 1) {
        struct mt_blob_handle h = make(size, 5);
        struct mt_blob_use *use = give(HOLDER, &h);
        mt_blobs_drop(g.blobs, &h, OWNER);
        CHECK(all_are(use->blob.data, size, 5) && all_are(mt_blobs_data(g.blobs, &h), size, 5));
        memset((char *)use->blob.data - MOTE_BLOB_GAP, 9, MOTE_BLOB_GAP); /* a header of its own */
        CHECK(((char *)mt_blobs_data(g.blobs, &h))[-1] == 0);
        CHECK_INT(info().live, 1);
        struct mt_blob_note release = drop(HOLDER, use);
        CHECK(release.kind == MT_BLOB_RELEASE && release.count == 1 && mt_blob_map_count(g.maps[HOLDER]) == 0);
        tell(HOLDER, &release);
        CHECK(info().live == 0 && info().live_bytes == 0 && !mt_blobs_data(g.blobs, &h));
    }
    tear_down();
}

static void uses_are_shared_and_given_back_at_once(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(40000, 1);
    struct mt_blob_use *use = give(HOLDER, &h);
    use->blob.host = &h;
    for (int i = 0; i < 9; i++) CHECK(give(HOLDER, &h) == use && use->blob.host == &h);
    mt_blob_use_hold(g.maps[HOLDER], use);
    mt_blobs_drop(g.blobs, &h, OWNER);
    for (int i = 0; i < 10; i++) CHECK_INT(drop(HOLDER, use).kind, MT_BLOB_NONE);
    struct mt_blob_note release = drop(HOLDER, use);
    CHECK(release.kind == MT_BLOB_RELEASE && release.count == 10);
    struct mt_blob_handle back = make(40000, 2); /* elsewhere: the first is still held */
    CHECK(back.page != h.page);
    tell(HOLDER, &release);
    CHECK_INT(info().live, 1);
    tear_down();
}

/* What was written into the gap's page goes with the last use: the next blob there is read as its owner wrote it. */
static void pages_are_used_again(void) {
    set_up(MIB, MIB);
    uint32_t page = 0;
    for (int i = 1; i < 100; i++) {
        struct mt_blob_handle h = make(30000, i);
        CHECK(i == 1 || h.page == page);
        page = h.page;
        struct mt_blob_use *use = give(HOLDER, &h);
        memset((char *)use->blob.data - MOTE_BLOB_GAP, i, MOTE_BLOB_GAP);
        CHECK(all_are(use->blob.data, 30000, i));
        struct mt_blob_note release = drop(HOLDER, use);
        tell(HOLDER, &release);
        mt_blobs_drop(g.blobs, &h, OWNER);
    }
    CHECK_INT(info().made, 99);
    tear_down();
}

/* The passer keeps its hold until the receiver's is counted, whatever either does meanwhile. */
static void passing_on_in_any_order(void) {
    set_up(MIB, MIB);
    for (unsigned order = 0; order < 4; order++) {
        struct mt_blob_handle h = make(5000, 3), passed;
        struct mt_blob_note hold, release = {0}, counted;
        struct mt_blob_use *use = give(HOLDER, &h), *third;
        mt_blobs_drop(g.blobs, &h, OWNER);
        CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], use, THIRD, &passed));
        CHECK_INT(memcmp(&passed, &h, sizeof h), 0);
        CHECK_INT(drop(HOLDER, use).kind, MT_BLOB_NONE); /* keeps its hold: B3 */
        CHECK_INT(mt_blob_map_count(g.maps[HOLDER]), 1);
        third = take(THIRD, &passed, HOLDER, &hold);
        if (order == 0) release = drop(THIRD, third); /* before it is counted; the notes come in order */
        if (order == 3) { /* and on, back to where it came from */
            CHECK_OK(mt_blob_use_pass(g.maps[THIRD], third, HOLDER, &passed));
            CHECK_INT(drop(THIRD, third).kind, MT_BLOB_NONE);
            use = take(HOLDER, &passed, THIRD, &release);
        }
        counted = tell(THIRD, &hold);
        CHECK(hold.peer == HOLDER && info().live == 1);
        if (order == 0) tell(THIRD, &release);
        CHECK_INT(info().live, 1);
        if (order == 1) use = give(HOLDER, &h); /* the passer uses it anew before it hears that it was counted */
        CHECK_INT(answer(HOLDER, &counted), order % 2 == 0);
        if (order == 3) {
            counted = tell(HOLDER, &release);
            CHECK(answer(THIRD, &counted));
        }
        CHECK_INT(info().live, order != 0);
        if (order % 2) {
            CHECK(all_are(use->blob.data, 5000, 3));
            release = drop(HOLDER, use);
            CHECK_INT(release.count, 2);
            tell(HOLDER, &release);
        }
        if (order == 1 || order == 2) {
            CHECK(info().live == 1 && all_are(third->blob.data, 5000, 3));
            release = drop(THIRD, third);
            tell(THIRD, &release);
        }
        CHECK_INT(info().live, 0);
    }
    tear_down();
}

static void passing_on_to_many(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(5000, 3), passed;
    struct mt_blob_use *use = give(HOLDER, &h);
    struct mt_blob_note release, counted = {.kind = MT_BLOB_COUNTED, .page = h.page, .serial = h.serial, .count = 1};
    for (mt_peer to = 2; to < 60; to++)
        for (int i = 0; i < 3; i++) CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], use, to, &passed));
    CHECK_INT(drop(HOLDER, use).kind, MT_BLOB_NONE);
    for (counted.peer = 59; counted.peer > 1; counted.peer--)
        for (int i = 0; i < 3; i++) {
            CHECK_INT(mt_blob_map_count(g.maps[HOLDER]), 1);
            CHECK_OK(mt_blob_map_apply(g.maps[HOLDER], &counted, &release));
        }
    CHECK(release.kind == MT_BLOB_RELEASE && release.count == 1 && mt_blob_map_count(g.maps[HOLDER]) == 0);
    tear_down();
}

static void many_peers_hold(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(100, 1);
    struct mt_blob_note answer, release = {.kind = MT_BLOB_RELEASE, .page = h.page, .serial = h.serial, .count = 3};
    for (mt_peer p = 1; p < 64; p++)
        for (int i = 0; i < 3; i++) CHECK_OK(mt_blobs_hold(g.blobs, &h, p));
    mt_blobs_drop(g.blobs, &h, OWNER);
    for (mt_peer p = 63; p > 0; p--) {
        CHECK_INT(info().live, 1);
        CHECK_OK(mt_blobs_apply(g.blobs, &release, p, &answer));
    }
    CHECK_INT(info().live, 0);
    tear_down();
}

/* ------------------------------------------------------------------------------------------------ deaths */

static void the_dead_hold_nothing(void) {
    set_up(4 * MIB, 0);
    struct mt_blob_handle h[20];
    for (int i = 0; i < 20; i++) {
        h[i] = make(50000, i);
        CHECK_OK(mt_blobs_hold(g.blobs, &h[i], i % 2 ? HOLDER : THIRD));
        mt_blobs_drop(g.blobs, &h[i], OWNER);
    }
    mt_blobs_forget(g.blobs, HOLDER);
    CHECK_INT(info().live, 10);
    for (int i = 0; i < 20; i++) CHECK((mt_blobs_data(g.blobs, &h[i]) == NULL) == (i % 2));
    CHECK_INT(mt_blobs_hold(g.blobs, &h[0], HOLDER), MOTE_ENOPROC);
    CHECK_OK(mt_blobs_hold(g.blobs, &h[0], PEER(HOLDER, 1))); /* its next life */
    mt_blobs_forget(g.blobs, HOLDER);                        /* said twice: nothing of the new one's */
    mt_blobs_forget(g.blobs, THIRD);
    CHECK_INT(info().live, 1);
    mt_blobs_drop(g.blobs, &h[0], HOLDER); /* not sent after all, known too late: no matter */
    mt_blobs_forget(g.blobs, PEER(HOLDER, 1));
    CHECK(info().live == 0 && info().warm_bytes == 0);
    tear_down();
}

/* The receiver died before it told of its hold, or after: the passer waits until the owner has said that it read all of that. */
static void the_dead_are_awaited_no_more(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(5000, 3), k = make(6000, 4), passed;
    struct mt_blob_note release;
    struct mt_blob_use *use = give(HOLDER, &h), *other = give(HOLDER, &k);
    mt_blobs_drop(g.blobs, &h, OWNER);
    CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], use, THIRD, &passed));
    CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], use, THIRD, &passed));
    CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], other, THIRD, &passed));
    CHECK_INT(drop(HOLDER, use).kind, MT_BLOB_NONE);
    mt_blob_map_ended(g.maps[HOLDER], 5); /* another worker */
    CHECK(!mt_blob_map_released(g.maps[HOLDER], &release));
    mt_blob_map_ended(g.maps[HOLDER], THIRD);
    CHECK(mt_blob_map_released(g.maps[HOLDER], &release) && release.kind == MT_BLOB_RELEASE && release.page == h.page);
    tell(HOLDER, &release);
    CHECK(!mt_blob_map_released(g.maps[HOLDER], &release) && mt_blob_map_count(g.maps[HOLDER]) == 1 && info().live == 1);
    CHECK_INT(mt_blob_use_pass(g.maps[HOLDER], other, THIRD, &passed), MOTE_ENOPROC);
    CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], other, PEER(THIRD, 1), &passed));
    mt_blob_map_ended(g.maps[HOLDER], PEER(THIRD, 1));
    CHECK_INT(drop(HOLDER, other).kind, MT_BLOB_RELEASE);
    tear_down();
}

static void a_dead_owner_leaves_its_blobs(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(50000, 3), k = make(5000, 4), passed;
    struct mt_blob_note release;
    struct mt_blob_use *use = give(HOLDER, &h), *other = give(HOLDER, &k);
    CHECK_OK(mt_blob_use_pass(g.maps[HOLDER], other, THIRD, &passed));
    CHECK_INT(drop(HOLDER, other).kind, MT_BLOB_NONE);
    mt_blobs_free(g.blobs);
    mt_blob_map_owner_died(g.maps[HOLDER]);
    CHECK_INT(mt_blob_map_count(g.maps[HOLDER]), 1); /* the other waited for an answer alone */
    CHECK(all_are(use->blob.data, 50000, 3));
    CHECK_INT(mt_blob_use_pass(g.maps[HOLDER], use, THIRD, &passed), MOTE_ENOPROC);
    struct mt_blob_use *third = take(THIRD, &h, OWNER, &release); /* was under way */
    mt_blob_map_close(g.maps[HOLDER]);
    mt_blob_map_close(g.maps[THIRD]);
    mt_blob_use_hold(g.maps[HOLDER], use);
    CHECK(!mt_blob_use_drop(g.maps[HOLDER], use, &release) && all_are(use->blob.data, 50000, 3));
    CHECK(mt_blob_use_drop(g.maps[HOLDER], use, &release) && release.kind == MT_BLOB_NONE); /* the last of all */
    CHECK(all_are(third->blob.data, 50000, 3) && mt_blob_use_drop(g.maps[THIRD], third, &release));
}

/* ----------------------------------------------------------------------------------------------- nonsense */

static void impossible_notes_change_nothing(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(50000, 3);
    const struct mt_blob_note good = {.kind = MT_BLOB_RELEASE, .page = h.page, .serial = h.serial, .count = 1};
    struct mt_blob_note bad[] = {good, good, good, good, good, good, good, good, good, good, good}, told;
    bad[0].kind = 0, bad[1].kind = MT_BLOB_COUNTED, bad[2].kind = 77, bad[3].count = 0;
    bad[4].kind = MT_BLOB_HOLD, bad[4].count = 2, bad[4].peer = THIRD, bad[5].kind = MT_BLOB_HOLD, bad[5].peer = OWNER;
    bad[6].kind = MT_BLOB_HOLD, bad[6].peer = HOLDER;
    bad[7].page++, bad[8].page = UINT32_MAX, bad[9].serial++, bad[10].page = 0x10000;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(mt_blobs_apply(g.blobs, &bad[i], HOLDER, &told), i < 7 ? MOTE_EARG : MOTE_NOMATCH);
        CHECK_INT(told.kind, MT_BLOB_NONE);
        CHECK_INT(mt_blob_map_apply(g.maps[HOLDER], &bad[i], &told), i == 1 ? MOTE_NOMATCH : MOTE_EARG);
    }
    struct mt_blob_note much = good;
    much.count = UINT32_MAX;
    tell(HOLDER, &much); /* more than it has: nobody else's */
    CHECK_OK(mt_blobs_hold(g.blobs, &h, HOLDER));
    tell(HOLDER, &much);
    CHECK_OK(mt_blobs_hold(g.blobs, &h, HOLDER));
    mt_blobs_drop(g.blobs, &h, OWNER);
    CHECK_INT(info().live, 1);
    mt_blobs_forget(g.blobs, HOLDER);
    CHECK_INT(info().live, 0);
    h = make(50000, 3);
    CHECK_INT(mt_blobs_apply(g.blobs, &good, HOLDER, &told), MOTE_NOMATCH); /* speaks after its death */
    struct mt_blob_handle other = h;
    other.size++;
    CHECK_INT(mt_blobs_hold(g.blobs, &other, THIRD), MOTE_NOMATCH);
    other = h, other.owner = THIRD;
    CHECK(!mt_blobs_data(g.blobs, &other));
    tear_down();
}

static void impossible_handles_are_refused(void) {
    set_up(MIB, MIB);
    struct mt_blob_handle h = make(50000, 3), bad;
    struct mt_blob_use *use = give(HOLDER, &h), *none = NULL;
    struct mt_blob_note release;
    uint32_t pages = (uint32_t)(MIB / mt_os_page_size());
    const struct mt_blob_handle all = {.size = MIB - MOTE_BLOB_GAP - 1};
    for (int i = 0; i < 9; i++) {
        bad = i < 4 ? h : all;
        switch (i) {
        case 0: bad.size--; break;
        case 1: bad.serial++; break;
        case 2: bad.owner = THIRD; break;
        case 3: bad.size = 0; break;
        case 4: bad.page = 1; break;
        case 5: bad.size++; break;
        case 6: bad.page = pages; break;
        case 7: bad.size = UINT64_MAX; break;
        default: bad.page = UINT32_MAX; bad.size = 1;
        }
        CHECK_INT(mt_blob_map_take(g.maps[i < 2 ? HOLDER : THIRD], &bad, OWNER, &none, &release), MOTE_EARG);
    }
    CHECK(!none && mt_blob_map_count(g.maps[THIRD]) == 0);
    struct mt_blob_use *whole = take(THIRD, &all, OWNER, &release); /* is possible */
    memset((char *)whole->blob.data - MOTE_BLOB_GAP, 1, MOTE_BLOB_GAP);
    CHECK_INT(drop(THIRD, whole).kind, MT_BLOB_RELEASE);
    struct mt_blob_note counted = {.kind = MT_BLOB_COUNTED, .page = h.page, .serial = h.serial, .count = 1};
    CHECK_INT(mt_blob_map_apply(g.maps[HOLDER], &counted, &release), MOTE_NOMATCH); /* nothing was asked */
    drop(HOLDER, use);
    int fd = -1;
    struct mt_blob_map *map = NULL;
    CHECK_INT(mt_blob_map_new(HOLDER, OWNER, fd, &map), MOTE_EARG);
    CHECK(!map);
    tear_down();
}

/* -------------------------------------------------------------------------------------- the owner's memory */

static void memory_is_limited_and_given_back(void) {
    set_up(8 * MIB, 2 * MIB);
    struct mt_blob_handle h[8], more;
    void *data;
    CHECK_INT(mt_blobs_make(g.blobs, 8 * MIB, &more, &data), MOTE_ELIMIT);
    size_t size = MIB - 100;
    for (int i = 0; i < 8; i++) h[i] = make(size, i);
    CHECK_INT(mt_blobs_make(g.blobs, 1, &more, &data), MOTE_ENOMEM);
    for (int i = 0; i < 8; i++) CHECK(all_are(mt_blobs_data(g.blobs, &h[i]), size, i));
    for (int i = 0; i < 8; i += 2) mt_blobs_drop(g.blobs, &h[i], OWNER);
    CHECK_INT(info().warm_bytes, 2 * MIB); /* the limit; the oldest were punched */
    CHECK_INT(info().punched, 2 * MIB);
    CHECK_INT(mt_blobs_make(g.blobs, 2 * MIB, &more, &data), MOTE_ENOMEM); /* not in one piece */
    CHECK_INT(info().warm_bytes, 0);
    mt_blobs_drop(g.blobs, &h[5], OWNER);
    more = make(3 * MIB - 100, 9); /* 4 to 6 */
    CHECK_INT(more.page, h[4].page);
    for (int i = 1; i < 8; i += 2)
        if (i != 5) CHECK(all_are(mt_blobs_data(g.blobs, &h[i]), size, i));
    CHECK(all_are(mt_blobs_data(g.blobs, &more), 3 * MIB - 100, 9));
    tear_down();
}

static void memory_is_given_back_after_a_second(void) {
    set_up(64 * MIB, 64 * MIB);
    CHECK_INT(mt_blobs_trim(g.blobs, mt_os_now_ns()), MT_NEVER);
    size_t before = mt_os_rss();
    uint64_t now = mt_os_now_ns();
    for (int i = 0; i < 4; i++) {
        struct mt_blob_handle h = make(8 * MIB - 100, 1);
        mt_blobs_drop(g.blobs, &h, OWNER); /* the same memory each time */
    }
    CHECK_INT(info().warm_bytes, 8 * MIB);
    CHECK(TOOL || mt_os_rss() > before + 7 * MIB);
    uint64_t next = mt_blobs_trim(g.blobs, now); /* as of then */
    CHECK(next >= now && next <= mt_os_now_ns() + 1000000000 && info().warm_bytes == 8 * MIB);
    CHECK_INT(mt_blobs_trim(g.blobs, next), MT_NEVER);
    CHECK(info().warm_bytes == 0 && info().punched == 8 * MIB);
    CHECK(TOOL || mt_os_rss() < before + 2 * MIB);
    tear_down();
}

/* Sizes of all kinds come and go; none has anything of another's pages. */
static void many_come_and_go(void) {
    enum { LIVE = 100 };
    struct mt_blob_handle h[LIVE] = {{0}};
    uint64_t random = 1;
    set_up(64 * MIB, 2 * MIB);
    for (int i = 0; i < (TOOL ? 1000 : 50000); i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        struct mt_blob_handle *at = &h[(random >> 33) % LIVE];
        if (at->size) {
            char *data = mt_blobs_data(g.blobs, at);
            CHECK(data[0] == (char)at->serial && data[at->size - 1] == (char)at->serial && data[at->size] == 0);
            mt_blobs_drop(g.blobs, at, OWNER);
        }
        void *data;
        size_t size = (size_t)1 + (random >> 40) % (random >> 60 ? 100000 : 2 * MIB);
        CHECK_OK(mt_blobs_make(g.blobs, size, at, &data));
        ((char *)data)[0] = ((char *)data)[size - 1] = (char)at->serial;
    }
    for (int i = 0; i < LIVE; i++)
        if (h[i].size) mt_blobs_drop(g.blobs, &h[i], OWNER);
    CHECK(info().live == 0 && info().live_bytes == 0 && info().warm_bytes <= 2 * MIB && info().punched > 0);
    mt_blobs_trim(g.blobs, MT_NEVER);
    struct mt_blob_handle all = make(64 * MIB - MOTE_BLOB_GAP - 1, 7); /* it is one piece again */
    CHECK_INT(all.page, 0);
    tear_down();
}

/* ------------------------------------------------------------------------------------ threads, memory that fails */

static void *use_and_drop(void *arg) {
    struct mt_blob_handle *h = arg;
    for (int i = 0; i < (TOOL ? 200 : 20000); i++) {
        struct mt_blob_use *use = give(HOLDER, h);
        CHECK(((char *)use->blob.data)[0] == 6);
        struct mt_blob_note release = drop(HOLDER, use);
        if (release.kind != MT_BLOB_NONE) tell(HOLDER, &release);
        struct mt_blob_handle own = make(40000, 1);
        mt_blobs_drop(g.blobs, &own, OWNER);
    }
    return NULL;
}

static void threads_share_both_sides(void) {
    pthread_t threads[3];
    set_up(16 * MIB, MIB);
    struct mt_blob_handle h = make(40000, 6);
    for (int i = 0; i < 3; i++) CHECK_OK(mt_os_thread_start(&threads[i], use_and_drop, &h, "uses"));
    for (int i = 0; i < 3; i++) mt_os_thread_join(threads[i]);
    CHECK(mt_blob_map_count(g.maps[HOLDER]) == 0 && info().live == 1);
    mt_blobs_drop(g.blobs, &h, OWNER);
    CHECK_INT(info().live, 0);
    tear_down();
}

#ifdef MT_FAULTS
static void set_up_fails(void) {
    size_t blocks, mapped, blocks_after, mapped_after;
    mote_err err = MOTE_EOS;
    mt_os_fault_live(&blocks, &mapped);
    for (uint64_t nth = 1; err; nth++) {
        mt_os_fault_arm(nth, false);
        err = mt_blobs_new(OWNER, MIB, MIB, &g.blobs);
        CHECK(nth > 1 || err);
        if (!err) {
            int fd = fd_of_blobs();
            err = mt_blob_map_new(HOLDER, OWNER, fd, &g.maps[HOLDER]);
            if (err) mt_os_close(fd);
            if (!err) mt_blob_map_close(g.maps[HOLDER]);
            mt_blobs_free(g.blobs);
        }
        mt_os_fault_arm(0, false);
        mt_os_fault_live(&blocks_after, &mapped_after);
        CHECK(blocks == blocks_after && mapped == mapped_after);
    }
}

static void holds_survive_want_of_memory(void) {
    set_up_fails();
    set_up(MIB, MIB);
    struct mt_blob_handle h, k = make(5000, 1);
    struct mt_blob_use *use;
    struct mt_blob_note note, told;
    void *data;
    mt_os_fault_arm(1, true);
    CHECK_INT(mt_blobs_make(g.blobs, 5000, &h, &data), MOTE_ENOMEM);
    CHECK_OK(mt_blobs_hold(g.blobs, &k, HOLDER));
    CHECK_INT(mt_blob_map_take(g.maps[HOLDER], &k, OWNER, &use, &note), MOTE_ENOMEM);
    CHECK(note.kind == MT_BLOB_RELEASE && note.count == 1);
    tell(HOLDER, &note); /* the hold goes back */
    CHECK_INT(mt_blob_map_take(g.maps[HOLDER], &k, THIRD, &use, &note), MOTE_ENOMEM);
    CHECK(note.kind == MT_BLOB_HOLD && note.count == 0 && tell(HOLDER, &note).kind == MT_BLOB_COUNTED); /* the passer waits no longer */
    for (mt_peer p = 1; p < 4; p++) CHECK_OK(mt_blobs_hold(g.blobs, &k, p));
    CHECK_INT(mt_blobs_hold(g.blobs, &k, 4), MOTE_ENOMEM);
    note = (struct mt_blob_note){.kind = MT_BLOB_HOLD, .page = k.page, .serial = k.serial, .count = 1, .peer = THIRD};
    CHECK_OK(mt_blobs_apply(g.blobs, &note, 4, &told)); /* cannot be written down: the blob stays */
    CHECK_INT(told.kind, MT_BLOB_COUNTED);
    for (mt_peer p = 0; p < 4; p++) mt_blobs_drop(g.blobs, &k, p);
    CHECK_INT(info().live, 1);
    mt_os_fault_arm(0, false);
    tear_down();
}
#else
static void holds_survive_want_of_memory(void) {}
#endif

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(one_is_written_and_read), TEST(uses_are_shared_and_given_back_at_once), TEST(pages_are_used_again),
                              TEST(passing_on_in_any_order), TEST(passing_on_to_many), TEST(many_peers_hold), TEST(the_dead_hold_nothing), TEST(the_dead_are_awaited_no_more),
                              TEST(a_dead_owner_leaves_its_blobs), TEST(impossible_notes_change_nothing), TEST(impossible_handles_are_refused),
                              TEST(memory_is_limited_and_given_back), TEST(memory_is_given_back_after_a_second), TEST(many_come_and_go),
                              TEST(threads_share_both_sides), TEST(holds_survive_want_of_memory), {0}});
}
