/* SPDX-License-Identifier: Apache-2.0
 * A worker is killed between any two instructions of what it does in shared memory: rings, doorbells, names, blobs. After each of these deaths
 * what the others rely on must hold. A child does the operation one instruction at a time, up to the n-th, and is killed there; n goes from the first
 * to the last. For blobs, whose operations are long, the n-th is every 61st; between any two instructions the child is stopped, and the others, in
 * a child of their own, meet the memory as a death would have left it. Planted errors show that this finds what it looks for.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "base/atomic.h"
#include "check.h"
#include "worker/blobs.h"
#include "worker/board.h"
#include "worker/ring.h"

#define CAPACITY 1024u
#define STRIDE 61
#define MIB ((size_t)1 << 20)
#define RECORD 60u
#define LENGTH 900u /* of blobs: processors write larger ones with one instruction that counts as thousands */
#define EXIT_NO_PTRACE 99

enum { OWNER, HOLDER, THIRD };

struct ring {
    struct mt_ring_out out;
    struct mt_ring_in in;
};

/* What is set up anew for each death. Rings and boards lie in shared memory; all else is copied by the fork, as if each side had its own. */
static struct {
    char *memory; /* of three rings and a bell */
    struct ring rings[3];
    struct mt_doorbell *bell;
    int event;
    struct mt_board *board;
    struct mt_blobs *blobs;
    struct mt_blob_map *holder, *third;
    struct mt_blob_handle handle;
    struct mt_blob_use *use;
    long silent; /* deaths that left a record without a wake-up */
    long done;   /* deaths after which what was done was there */
} g;

/* ------------------------------------------------------------------------------------------------- deaths */

struct kind {
    void (*set_up)(void);
    void (*operation)(void); /* in the child */
    bool (*holds)(void);     /* in the parent, after the death */
    void (*tear_down)(void);
};

/* A child that has stopped before its operation. */
static pid_t start(const struct kind *kind) {
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(EXIT_NO_PTRACE);
        raise(SIGSTOP);
        kind->operation();
        _exit(0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    return pid;
}

/* Lets the child do up to `count` instructions, and kills it; whether it had ended by itself. */
static bool run_and_kill(pid_t pid, long count) {
    int status;
    for (long i = 0; i < count; i++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status)) {
            CHECK_INT(WEXITSTATUS(status), 0);
            return true;
        }
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    }
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    return false;
}

static void say(const char *name, const char *how, long points, long broken, long first) {
    printf("# %s: %ld %s, %ld broken", name, points, how, broken);
    if (broken) printf(" from instruction %ld on", first);
    printf("\n");
    fflush(stdout);
}

/* Deaths at each `stride`-th instruction; gives how many of them broke something. */
static long die_often(const char *name, struct kind kind, long stride) {
    long broken = 0, points = 0, first = 0;
    g.silent = g.done = 0;
    for (bool ended = false; !ended; points++) {
        kind.set_up();
        ended = run_and_kill(start(&kind), points * stride);
        if (!kind.holds()) {
            if (!broken++) first = points * stride;
        }
        if (ended) CHECK(broken || g.done); /* it has been done at last */
        kind.tear_down();
    }
    CHECK(points > 3 && g.done < points);
    say(name, "deaths", points, broken, first);
    return broken;
}

static long die_everywhere(const char *name, struct kind kind) { return die_often(name, kind, 1); }

static size_t memory_bytes(void);

/* What the others would find if the child that is stopped were dead, found out by a child of their own; then the rings are as they were. */
static bool look(const struct kind *kind) {
    static char before[1 << 16];
    int status;
    CHECK(memory_bytes() <= sizeof before);
    memcpy(before, g.memory, memory_bytes());
    pid_t pid = fork();
    if (pid == 0) {
        g.done = 0;
        bool right = kind->holds();
        _exit(!right ? 1 : g.done ? 2 : 0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    memcpy(g.memory, before, memory_bytes());
    g.done += WIFEXITED(status) && WEXITSTATUS(status) == 2;
    return WIFEXITED(status) && WEXITSTATUS(status) != 1;
}

/* Looks between all instructions; gives how often something was broken. Then deaths at some of them. For what changes no shared memory but the rings, when `holds`. */
static long look_everywhere(const char *name, struct kind kind) {
    long broken = 0, points = 0, first = 0;
    int status;
    g.done = 0;
    kind.set_up();
    pid_t pid = start(&kind);
    for (bool ended = false; !ended;) {
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid);
        ended = WIFEXITED(status);
        CHECK(ended ? WEXITSTATUS(status) == 0 : WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
        if (!look(&kind) && !broken++) first = points;
        points++;
    }
    CHECK(points > 20 && g.done < points && (broken || g.done));
    kind.tear_down();
    say(name, "looks", points, broken, first);
    return broken + die_often(name, kind, STRIDE);
}

static bool may_trace(void) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(EXIT_NO_PTRACE);
        raise(SIGSTOP);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return false;
    bool steps = ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return steps;
}

/* -------------------------------------------------------------------------------------------------- rings */

static size_t memory_bytes(void) {
    size_t page = mt_os_page_size();
    return (3 * mt_ring_bytes(CAPACITY) + sizeof(struct mt_doorbell) + page - 1) / page * page;
}

static void fill(char *p, char first) {
    for (size_t i = 0; i < RECORD; i++) p[i] = (char)(first + (char)i);
}

static void send(struct ring *r, const void *data, size_t size) {
    void *p = mt_ring_reserve(&r->out, size);
    CHECK(p);
    memcpy(p, data, size);
    mt_ring_commit(&r->out, size);
    mt_ring_publish(&r->out);
}

/* The next record, of that size, copied; false: there is none. */
static bool receive(struct ring *r, void *data, size_t size) {
    size_t came;
    enum mt_ring_got got = mt_ring_next(&r->in, &came);
    CHECK(got != MT_RING_CUT);
    return got == MT_RING_RECORD && came == size && mt_ring_read(&r->in, data, size);
}

/* Rings that have been in use: the next record but one goes to the start. */
static void set_up_rings(void) {
    static char text[100];
    g.memory = mmap(NULL, memory_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(g.memory != MAP_FAILED);
    g.bell = (struct mt_doorbell *)(void *)(g.memory + 3 * mt_ring_bytes(CAPACITY));
    for (int i = 0; i < 3; i++) {
        char *at = g.memory + (size_t)i * mt_ring_bytes(CAPACITY);
        mt_ring_init(at, CAPACITY);
        mt_ring_attach_out(&g.rings[i].out, at, CAPACITY);
        mt_ring_attach_in(&g.rings[i].in, at, CAPACITY);
        for (int n = 0; n < 8; n++) {
            send(&g.rings[i], text, sizeof text);
            CHECK(receive(&g.rings[i], text, sizeof text));
            mt_ring_release(&g.rings[i].in);
        }
    }
}

static void tear_down_rings(void) { munmap(g.memory, memory_bytes()); }

static void send_two(void) {
    struct mt_ring_out *out = &g.rings[0].out;
    for (char i = 0; i < 2; i++) {
        char *p = mt_ring_reserve(out, RECORD);
        CHECK(p);
        fill(p, i);
        mt_ring_commit(out, RECORD);
    }
    mt_ring_publish(out);
}

/* Planted: shows the record, then writes it. */
static void send_two_early(void) {
    struct mt_ring_out *out = &g.rings[0].out;
    for (char i = 0; i < 2; i++) {
        char *p = mt_ring_reserve(out, RECORD);
        CHECK(p);
        mt_ring_commit(out, RECORD);
        mt_ring_publish(out);
        fill(p, i);
    }
}

static bool both_or_none(void) {
    char got[RECORD], want[RECORD];
    char count = 0;
    for (size_t size; mt_ring_next(&g.rings[0].in, &size) == MT_RING_RECORD; count++) {
        fill(want, count);
        if (size != RECORD || !mt_ring_read(&g.rings[0].in, got, RECORD) || memcmp(got, want, RECORD) != 0) return false;
    }
    g.done += count == 2;
    return !g.rings[0].in.cut && (count == 0 || count == 2);
}

static void senders_die(void) {
    CHECK_INT(die_everywhere("send", (struct kind){set_up_rings, send_two, both_or_none, tear_down_rings}), 0);
    CHECK(die_everywhere("send, planted", (struct kind){set_up_rings, send_two_early, both_or_none, tear_down_rings}) > 0);
}

static void set_up_three(void) {
    char text[RECORD] = "";
    set_up_rings();
    for (int i = 0; i < 3; i++) send(&g.rings[0], text, RECORD);
}

static void take_three(void) {
    char text[RECORD];
    for (int i = 0; i < 3; i++) {
        CHECK(receive(&g.rings[0], text, RECORD));
        mt_ring_release(&g.rings[0].in);
    }
}

/* The producer finds between all of the ring but the three records, and all of it. */
static bool room_is_as_it_was(void) {
    struct mt_ring_out *out = &g.rings[0].out;
    size_t count = 0;
    while (count < 100 && mt_ring_reserve(out, 8)) {
        mt_ring_commit(out, 8);
        count++;
    }
    mt_ring_publish(out);
    g.done += count == CAPACITY / 16;
    return !out->cut && count >= (CAPACITY - 4 * (RECORD + 12)) / 16 && /* three records, and what was padded */
            count <= CAPACITY / 16;
}

static void receivers_die(void) {
    CHECK_INT(die_everywhere("receive", (struct kind){set_up_three, take_three, room_is_as_it_was, tear_down_rings}), 0);
}

/* ---------------------------------------------------------------------------------------------- doorbells */

static void set_up_bell(void) {
    set_up_rings();
    CHECK_OK(mt_os_event_new(&g.event));
    mt_doorbell_sleep(g.bell, 0);
}

static void tear_down_bell(void) {
    mt_os_close(g.event);
    tear_down_rings();
}

static void send_and_ring(void) {
    send_two();
    mt_doorbell_ring(g.bell, 0, g.event);
}

/* The hub writes to the event whatever the word says (D4); then what was published is found. */
static bool all_are_found(void) {
    bool slept = atomic_load(&g.bell->sleeps) == 1, rung = mt_os_event_clear(g.event);
    g.silent += !slept && !rung;
    mt_os_event_write(g.event);
    mt_doorbell_wake(g.bell, g.event, true);
    return !(slept && rung) && both_or_none();
}

static void ringers_die(void) {
    CHECK_INT(die_everywhere("send and ring", (struct kind){set_up_bell, send_and_ring, all_are_found, tear_down_bell}), 0);
    CHECK(g.silent > 0); /* why D4 is there */
}

/* -------------------------------------------------------------------------------------------------- names */

#define NAME "a name"
#define OLD "another name"
#define DEAD 0x101u
#define ALIVE 0x202u

static void set_up_board(void) {
    CHECK_OK(mt_board_new(&g.board));
    CHECK_OK(mt_board_register(g.board, OLD, sizeof OLD, ALIVE));
}

static void tear_down_board(void) { mt_board_free(g.board); }

static void set_up_known(void) {
    set_up_board();
    CHECK_OK(mt_board_register(g.board, NAME, sizeof NAME, DEAD));
    CHECK_OK(mt_board_unregister(g.board, NAME, sizeof NAME, DEAD));
}

static void set_up_registered(void) {
    set_up_board();
    CHECK_OK(mt_board_register(g.board, NAME, sizeof NAME, DEAD));
}

static void set_name(void) { CHECK_OK(mt_board_register(g.board, NAME, sizeof NAME, DEAD)); }
static void take_name(void) { CHECK_OK(mt_board_unregister(g.board, NAME, sizeof NAME, DEAD)); }

/* The name is the dead one's or nobody's; when that has been cleared, others can have it. */
static bool names_are_whole(uint64_t done) {
    char name[MT_BOARD_NAME_MAX];
    size_t cursor = 0, size, count = 0;
    uint64_t pid = mt_board_whereis(g.board, NAME, sizeof NAME);
    g.done += pid == done;
    if (pid && (pid != DEAD || mt_board_register(g.board, NAME, sizeof NAME, ALIVE) != MOTE_EBUSY)) return false;
    if (mt_board_clear(g.board, 0xff, DEAD & 0xff) != (pid != 0)) return false;
    if (mt_board_register(g.board, NAME, sizeof NAME, ALIVE) || mt_board_whereis(g.board, NAME, sizeof NAME) != ALIVE) return false;
    while (mt_board_next(g.board, &cursor, name, &size, &pid)) {
        if (pid != ALIVE || memcmp(name, size == sizeof NAME ? NAME : OLD, size == sizeof NAME ? size : sizeof OLD) != 0) return false;
        count++;
    }
    return count == 2 && mt_board_whereis(g.board, OLD, sizeof OLD) == ALIVE;
}

static bool set_or_not(void) { return names_are_whole(DEAD); }
static bool taken_or_not(void) { return names_are_whole(0); }

static void registrars_die(void) {
    CHECK_INT(die_everywhere("register", (struct kind){set_up_board, set_name, set_or_not, tear_down_board}), 0);
    CHECK_INT(die_everywhere("register again", (struct kind){set_up_known, set_name, set_or_not, tear_down_board}), 0);
    CHECK_INT(die_everywhere("unregister", (struct kind){set_up_registered, take_name, taken_or_not, tear_down_board}), 0);
}

/* -------------------------------------------------------------------------------------------------- blobs */

static struct mt_blob_handle make(char fill, size_t size) {
    struct mt_blob_handle handle;
    void *data;
    CHECK_OK(mt_blobs_make(g.blobs, size, &handle, &data));
    memset(data, fill, size);
    return handle;
}

static bool all_are(const struct mt_blob_use *use, char fill) {
    const char *p = use->blob.data;
    return p[0] == fill && memcmp(p, p + 1, use->blob.size - 1) == 0 && p[use->blob.size] == 0;
}

static size_t live(void) {
    struct mt_blobs_info info;
    mt_blobs_info_get(g.blobs, &info);
    return info.live;
}

static struct mt_blob_map *map(mt_peer self) {
    struct mt_blob_map *made;
    CHECK_OK(mt_blob_map_new(self, OWNER, fcntl(mt_blobs_fd(g.blobs), F_DUPFD_CLOEXEC, 3), &made));
    return made;
}

static struct mt_blob_use *take(struct mt_blob_map *map, const struct mt_blob_handle *handle, mt_peer from, struct mt_blob_note *note) {
    struct mt_blob_use *use;
    CHECK_OK(mt_blob_map_take(map, handle, from, &use, note));
    return use;
}

/* One blob, which the holder has been sent. */
static void set_up_blobs_of(size_t warm_max) {
    set_up_rings();
    CHECK_OK(mt_blobs_new(OWNER, MIB, warm_max, &g.blobs));
    g.holder = map(HOLDER);
    g.third = map(THIRD);
    g.use = NULL;
    g.handle = make('a', LENGTH);
    CHECK_OK(mt_blobs_hold(g.blobs, &g.handle, HOLDER));
    mt_blobs_drop(g.blobs, &g.handle, OWNER);
}

static void set_up_blobs(void) { set_up_blobs_of(MIB); }

static void set_up_held_of(size_t warm_max) {
    struct mt_blob_note none;
    set_up_blobs_of(warm_max);
    g.use = take(g.holder, &g.handle, OWNER, &none);
}

static void set_up_held(void) { set_up_held_of(MIB); }
/* Nothing stays warm: its owner reads no clock, which could not be read from one tick to the next in single steps. */
static void set_up_cold(void) { set_up_held_of(0); }

static void tear_down_blobs(void) {
    struct mt_blob_note none;
    mt_blob_map_close(g.holder);
    mt_blob_map_close(g.third);
    if (g.use) CHECK(mt_blob_use_drop(g.holder, g.use, &none)); /* the dead one's, of which there is a copy here */
    mt_blobs_free(g.blobs);
    tear_down_rings();
}

/* The owner: a new blob is written and sent, others come and go. */
static void make_and_send(void) {
    struct mt_blob_handle handle = make('b', LENGTH);
    CHECK_OK(mt_blobs_hold(g.blobs, &handle, HOLDER));
    send(&g.rings[0], &handle, sizeof handle);
    mt_blobs_drop(g.blobs, &handle, OWNER);
    handle = make('c', 100);
    mt_blobs_drop(g.blobs, &handle, OWNER); /* its memory is given back */
}

/* What the holder has, and what it finds in the ring, is as it was written. */
static bool blobs_are_whole(void) {
    struct mt_blob_handle handle;
    struct mt_blob_note note;
    bool whole = true;
    if (receive(&g.rings[0], &handle, sizeof handle)) {
        struct mt_blob_use *use = take(g.holder, &handle, OWNER, &note);
        whole = use->blob.size == LENGTH && all_are(use, 'b');
        mt_blob_use_drop(g.holder, use, &note);
        g.done++;
    }
    mt_blob_map_owner_died(g.holder);
    whole = whole && all_are(g.use, 'a');
    mt_blob_use_drop(g.holder, g.use, &note);
    g.use = NULL;
    return whole && note.kind == MT_BLOB_NONE && mt_blob_map_count(g.holder) == 0;
}

static void owners_die(void) {
    CHECK_INT(look_everywhere("make, hold, drop", (struct kind){set_up_cold, make_and_send, blobs_are_whole, tear_down_blobs}), 0);
}

static void send_note(struct ring *r, const struct mt_blob_note *note) {
    if (note->kind != MT_BLOB_NONE) send(r, note, sizeof *note);
}

/* The holder: takes the blob, writes into the gap, gives it back. */
static void take_and_release(void) {
    struct mt_blob_note note;
    struct mt_blob_use *use = take(g.holder, &g.handle, OWNER, &note);
    memset((char *)use->blob.data - MOTE_BLOB_GAP, 1, MOTE_BLOB_GAP);
    mt_blob_use_drop(g.holder, use, &note);
    send_note(&g.rings[0], &note);
}

/* The owner reads the dead one's notes to the end, and forgets it: nothing is held. */
static bool all_is_freed(void) {
    struct mt_blob_note note;
    bool right = live() == 1 && memcmp(mt_blobs_data(g.blobs, &g.handle), "aaaa", 4) == 0;
    while (receive(&g.rings[0], &note, sizeof note)) {
        right = right && mt_blobs_apply(g.blobs, &note, HOLDER, &note) == MOTE_OK;
        g.done++;
    }
    mt_blobs_forget(g.blobs, HOLDER);
    return right && live() == 0;
}

static void holders_die(void) {
    CHECK_INT(look_everywhere("take, release", (struct kind){set_up_blobs, take_and_release, all_is_freed, tear_down_blobs}), 0);
}

/* The holder passes the blob on to the third, and drops it. */
static void pass_and_drop(void) {
    struct mt_blob_handle handle;
    struct mt_blob_note note;
    CHECK_OK(mt_blob_use_pass(g.holder, g.use, THIRD, &handle));
    send(&g.rings[1], &handle, sizeof handle);
    mt_blob_use_drop(g.holder, g.use, &note);
    send_note(&g.rings[0], &note);
}

/* The third has what was sent to it, and when it gives that back nothing is held. `early`: planted, the owner does not wait for it. */
static bool third_is_served(bool early) {
    struct mt_blob_handle handle;
    struct mt_blob_note note;
    bool right = true;
    if (early) mt_blobs_forget(g.blobs, HOLDER);
    bool came = receive(&g.rings[1], &handle, sizeof handle);
    struct mt_blob_use *use = came ? take(g.third, &handle, HOLDER, &note) : NULL;
    if (came) right = note.kind == MT_BLOB_HOLD && mt_blobs_apply(g.blobs, &note, THIRD, &note) == MOTE_OK;
    mt_blobs_forget(g.blobs, HOLDER); /* both have read the dead one's rings to their ends: B4 */
    if (came) {
        right = right && live() == 1 && all_are(use, 'a');
        mt_blob_use_drop(g.third, use, &note);
        mt_blobs_apply(g.blobs, &note, THIRD, &note);
        g.done++;
    }
    return right && live() == 0;
}

static bool third_is_served_in_time(void) { return third_is_served(false); }
static bool third_is_served_too_late(void) { return third_is_served(true); }

static void passers_die(void) {
    CHECK_INT(look_everywhere("pass on", (struct kind){set_up_held, pass_and_drop, third_is_served_in_time, tear_down_blobs}), 0);
    CHECK(look_everywhere("pass on, planted", (struct kind){set_up_held, pass_and_drop, third_is_served_too_late, tear_down_blobs}) > 0);
}

static void set_up_passed(void) {
    struct mt_blob_note none;
    set_up_held();
    CHECK_OK(mt_blob_use_pass(g.holder, g.use, THIRD, &g.handle));
    mt_blob_use_drop(g.holder, g.use, &none);
    g.use = NULL;
    send(&g.rings[1], &g.handle, sizeof g.handle);
}

/* The third takes what was passed on to it, tells of it, and gives it back. */
static void get_and_release(void) {
    struct mt_blob_handle handle;
    struct mt_blob_note note;
    CHECK(receive(&g.rings[1], &handle, sizeof handle));
    struct mt_blob_use *use = take(g.third, &handle, HOLDER, &note);
    send_note(&g.rings[2], &note);
    mt_blob_use_drop(g.third, use, &note);
    send_note(&g.rings[2], &note);
}

/* The owner has read the dead third's notes to the end, and says so to the holder, which waits no more. */
static bool holder_is_told(void) {
    struct mt_blob_note note, release;
    bool right = live() == 1 && mt_blob_map_count(g.holder) == 1;
    unsigned came = 0;
    for (; receive(&g.rings[2], &note, sizeof note); came++) {
        right = right && live() == 1 && mt_blobs_apply(g.blobs, &note, THIRD, &note) == MOTE_OK;
        if (note.kind != MT_BLOB_COUNTED) continue;
        right = right && mt_blob_map_apply(g.holder, &note, &release) == MOTE_OK;
        if (release.kind != MT_BLOB_NONE) mt_blobs_apply(g.blobs, &release, HOLDER, &release);
    }
    mt_blob_map_ended(g.holder, THIRD);
    while (mt_blob_map_released(g.holder, &release)) mt_blobs_apply(g.blobs, &release, HOLDER, &release);
    mt_blobs_forget(g.blobs, THIRD);
    g.done += came == 2;
    return right && live() == 0 && mt_blob_map_count(g.holder) == 0;
}

static void receivers_of_blobs_die(void) {
    CHECK_INT(look_everywhere("get, release", (struct kind){set_up_passed, get_and_release, holder_is_told, tear_down_blobs}), 0);
}

int main(int argc, char **argv) {
    if (!may_trace()) {
        printf("1..0 # SKIP this system does not permit to trace a child: nothing is known about deaths\n");
        return 0;
    }
    return check_main(argc, argv,
                      (struct check_test[]){TEST_SLOW(senders_die, 900), TEST_SLOW(receivers_die, 900), TEST_SLOW(ringers_die, 900),
                                            TEST_SLOW(registrars_die, 900), TEST_SLOW(owners_die, 900), TEST_SLOW(holders_die, 900),
                                            TEST_SLOW(passers_die, 900), TEST_SLOW(receivers_of_blobs_die, 900), {0}});
}
