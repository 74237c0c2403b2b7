/* SPDX-License-Identifier: Apache-2.0
 * Each allocation and OS call of some scenarios fails in turn: the n-th alone, then all from the n-th on. An error is returned or a process
 * ends; nothing crashes, hangs or leaks; afterwards the same runtime does its work, or, every other time, is stopped while all still fails.
 *
 *   fault_test                     all scenarios, each fault in a child of its own
 *   fault_test SCENARIO N MODE     one fault, in this process; MODE 0: once, 1: sticky, 2: sticky until the runtime has stopped
 * Sanitizers take every few faults only; MOTE_TEST_UNDER (valgrind, qemu) fewer still.
 */
#define _GNU_SOURCE /* pipe2 */
#include <fcntl.h>
#include <mote/host.h>
#include <mote/mote.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "base/atomic.h"
#include "base/os.h"
#include "check.h"

enum mode { ONCE, STICKY, STICKY_STOP };
#define CHILD_SECONDS 180u

struct scenario {
    const char *name;
    void (*body)(mote_self *self); /* of the first process */
};

/* What a child tells its parent. */
struct result {
    uint64_t points; /* fault points passed */
    bool fired;
    size_t blocks, mapped; /* live at the end */
};

static struct {
    const struct scenario *scenario;
    bool faulty; /* errors are to be expected */
    _Atomic int ended;
    struct result *result; /* shared with the parent */
} g;

/* ------------------------------------------------------------------------------------------------- what is allowed */

#define BIT(err) (1u << (err))
#define EXPECTED (BIT(MOTE_TIMEOUT) | BIT(MOTE_NOMATCH) | BIT(MOTE_ENOMEM) | BIT(MOTE_EOS) | BIT(MOTE_ENOPROC) | BIT(MOTE_EFULL) | BIT(MOTE_ESTOPPED))

static mote_err allowed(int line, const char *call, mote_err err, unsigned also) {
    char text[300];
    if (err == MOTE_OK || (also & BIT(err)) || (g.faulty && (EXPECTED & BIT(err)))) return err;
    snprintf(text, sizeof text, "%.200s gave %s", call, mote_err_name(err));
    check_failed(__FILE__, line, text);
}
#define MAY(call) allowed(__LINE__, #call, call, 0)
#define MAY_ALSO(call, err) allowed(__LINE__, #call, call, BIT(err))
/* What holds in a run without faults. */
#define SURELY(cond) CHECK(g.faulty || (cond))

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------------------------------------------- scenarios */

#define WAIT_MS 20 /* for what a fault may have prevented */
static int64_t patience(void) { return g.faulty ? WAIT_MS : 50000; }

static void nothing(mote_self *self) { (void)self; }

static void child(mote_self *self, mote_term arg) {
    mote_pid parent;
    if (!mote_match(arg, "{?, _}", &parent)) return;
    MAY(mote_send(self, parent, "{hello, ?, [1, 2.5, <<\"three\">>]}", mote_self_pid(self)));
}

static void h_init(mote_self *self, mote_term arg, void *state) {
    mote_pid parent;
    if (mote_match(arg, "{?, _}", &parent)) MAY(mote_send(self, parent, "{hello, ?, [1]}", mote_self_pid(self)));
    memset(state, 1, 100);
}

static void h_handle(mote_self *self, mote_term message, void *state) {
    mote_pid from;
    CHECK(((char *)state)[99] == 1 || g.faulty);
    if (mote_match(message, "{ping, ?}", &from)) MAY(mote_send_term(self, from, message));
    if (mote_match(message, "stop")) mote_exit(self, MOTE_TERM_NIL);
}

static void h_stop(mote_self *self, mote_term reason, void *state) {
    (void)self, (void)reason, (void)state;
}
static const mote_handler handler = {.name = "fault", .state_size = 100, .init = h_init, .handle = h_handle, .stop = h_stop};
static const mote_handler large = {.name = "large", .state_size = 5000, .init = h_init, .handle = h_handle};

static void spawn(mote_self *self) {
    mote_spawn_options all[] = {{.body = child},
                                {.body = child, .name = "named", .stack_size = 256 << 10},
                                {.body = child, .mailbox_max = 5, .priority = MOTE_HIGH},
                                {.handler = &handler},
                                {.handler = &large, .name = "named", .mailbox_max = 3, .priority = MOTE_LOW}};
    mote_term arg, reason;
    int started = 0;
    if (MAY(mote_build(mote_scratch(self), &arg, "{?, \"an argument that is a list\"}", mote_self_pid(self)))) return;
    for (size_t i = 0; i < 2 * sizeof all / sizeof *all; i++) started += MAY(mote_spawn_opt(self, &all[i / 2], arg, NULL)) == MOTE_OK;
    for (int i = 0; i < started; i++) {
        mote_pid pid;
        if (MAY(mote_receive_match(self, patience(), "{hello, ?, _}", &pid))) break;
        if (MAY(mote_build(mote_scratch(self), &reason, "{enough, ?}", pid)) == MOTE_OK) MAY(mote_exit_send(self, pid, reason));
    }
}

static void released(void *data, void *context) {
    free(data);
    atomic_fetch_add((_Atomic int *)context, 1);
}

static void messages(mote_self *self) {
    static _Atomic int given, back;
    mote_pid me = mote_self_pid(self);
    mote_term t, got;
    mote_arena *arena = mote_arena_new(0);
    char *data = calloc(1, 70000), name[] = "counted_atom_x";
    mote_bytes bytes = {data, 70000};
    CHECK(data);
    mote_term atom = mote_atom_make_counted(arena, name, sizeof name - 1);
    SURELY(atom.word != 0);
    if (atom.word && MAY(mote_build(arena, &t, "{?, ?}", atom, 1e100)) == MOTE_OK) MAY(mote_send_term(self, me, t));
    MAY(mote_send(self, me, "small"));
    MAY(mote_send(self, me, "{big, [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35], ?}",
                  bytes));
    t = mote_binary_share(arena, data, 70000, released, &back);
    if (t.word) {
        atomic_fetch_add(&given, 1);
        MAY(mote_send_term(self, me, t));
    } else {
        free(data);
    }
    mote_arena_free(arena);
    for (int i = 0; i < 6 && mote_receive(self, 0, &got) == MOTE_OK; i++)
        if (i < 4) MAY(mote_forward(self, me));
    while (mote_receive(self, 0, &got) == MOTE_OK)
        ;
    CHECK_INT(atomic_load(&given), atomic_load(&back));
}

static void patterns(mote_self *self) {
    static const char text[] = "{tuple, [1, 2, 123456789012345678901234567890 | tail], #{key => \"value\", 2 => <<1, 2, 3>>}, 'an atom', 1.5e300}";
    mote_arena *arena = mote_arena_new(0);
    mote_term t = MOTE_TERM_NONE, u, copy;
    char printed[300];
    int n = 0;
    (void)self;
    if (!arena) return;
    if (MAY(mote_term_parse(arena, text, sizeof text - 1, &t, NULL)) == MOTE_OK) {
        size_t length = mote_term_print(t, printed, sizeof printed);
        SURELY(length > 50 && length < sizeof printed);
        SURELY(mote_match(t, "{tuple, [?, 2 | _], #{key := _}, 'an atom', _}", &n) && n == 1);
        copy = mote_term_copy(arena, t);
        SURELY(copy.word && mote_term_same(t, copy));
    }
    if (MAY(mote_build(arena, &u, "#{deep => {[{?, \"s\"}, #{a => b, c => ?}], 99999999999999999999}, list => [?, ?]}", 1, 2.5, "text", true)) == MOTE_OK) {
        mote_term more = mote_map_put(arena, u, mote_atom_term(mote_atom_make("new_key_of_faults")), u);
        SURELY(more.word != 0);
        SURELY(mote_match(u, "#{deep := {[{1, _} | _], _}}"));
    }
    mote_arena_free(arena);
}

static bool is_last(mote_term message, void *context) {
    (void)context;
    return mote_match(message, "{last, _}");
}

static void selective(mote_self *self) {
    mote_pid me = mote_self_pid(self);
    mote_term got;
    for (int i = 0; i < 20; i++) MAY(mote_send(self, me, "{junk, ?}", i));
    mote_ref ref = mote_ref_make(self);
    bool sent = MAY(mote_send(self, me, "{reply, ?, 7}", ref)) == MOTE_OK;
    int n = 0;
    if (sent && MAY(mote_receive_match(self, patience(), "{reply, ^, ?}", ref, &n)) == MOTE_OK) CHECK_INT(n, 7);
    MAY(mote_send(self, me, "{last, \"one\"}"));
    MAY(mote_receive_if(self, patience(), is_last, NULL, &got));
    MAY_ALSO(mote_receive_match(self, 2, "never"), MOTE_TIMEOUT);
    MAY(mote_receive_match(self, 0, "{junk, 19}"));
}

static void timers(mote_self *self) {
    mote_pid me = mote_self_pid(self), pid;
    mote_ref t;
    mote_term got;
    int64_t left;
    for (int i = 0; i < 20; i++) {
        if (MAY(mote_send_after(self, 60000, me, &t, "{late, ?, \"some words that make it longer\"}", i))) break;
        if (i % 3 == 0) SURELY(mote_timer_read(self, t, &left) == MOTE_OK);
        if (i % 2 == 0) SURELY(mote_timer_cancel(self, t, NULL) == MOTE_OK);
    }
    if (MAY(mote_send_after(self, 1, me, NULL, "soon")) == MOTE_OK) MAY(mote_receive_match(self, patience(), "soon"));
    MAY_ALSO(mote_receive(self, 1, &got), MOTE_TIMEOUT);
    MAY(mote_sleep(self, 1));
    if (MAY(mote_spawn_handler(self, &handler, MOTE_TERM_NIL, &pid)) == MOTE_OK)
        MAY(mote_exit_after(self, 1, pid, mote_atom_term(mote_atom_make("kill")), NULL));
}

static void eater(mote_self *self, mote_term arg) {
    mote_term got;
    (void)arg;
    while (mote_receive(self, g.faulty ? 20 : 200, &got) == MOTE_OK && !mote_match(got, "stop"))
        ;
}

static void bounded(mote_self *self) {
    mote_policy policies[] = {MOTE_SUSPEND, MOTE_DROP, MOTE_END};
    for (int i = 0; i < 3; i++) {
        mote_spawn_options o = {.body = eater, .mailbox_max = 4, .policy = policies[i]};
        mote_pid pid;
        if (MAY(mote_spawn_opt(self, &o, MOTE_TERM_NIL, &pid))) continue;
        for (int k = 0; k < 40; k++) MAY_ALSO(mote_send(self, pid, "{n, ?}", k), MOTE_EFULL);
        MAY_ALSO(mote_send(self, pid, "stop"), MOTE_EFULL);
        MAY(mote_exit_send(self, pid, mote_atom_term(mote_atom_make("kill"))));
    }
}

static void information(mote_self *self) {
    mote_process_info info;
    mote_runtime_info all;
    mote_scheduler_info one;
    mote_pid pid, pids[10];
    size_t count;
    MAY(mote_process_info_get(self, mote_self_pid(self), 0, &info));
    if (MAY(mote_spawn_handler(self, &handler, MOTE_TERM_NIL, &pid)) == MOTE_OK) {
        MAY(mote_process_info_get(self, pid, patience(), &info));
        MAY_ALSO(mote_process_info_get(self, pid, 0, &info), MOTE_TIMEOUT);
        MAY(mote_send(self, pid, "stop"));
        MAY_ALSO(mote_process_info_get(self, pid, patience(), &info), MOTE_ENOPROC);
    }
    MAY(mote_process_list(self, pids, 10, &count));
    MAY(mote_runtime_info_get(self, &all));
    MAY(mote_scheduler_info_get(self, 0, &one));
}

static void add_one(void *context) { atomic_fetch_add((_Atomic int *)context, 1); }

static void blocking(mote_self *self) {
    static _Atomic int calls;
    int expected = 0;
    mote_ref ref[3];
    atomic_store(&calls, 0);
    for (int i = 0; i < 3; i++) expected += MAY(mote_blocking(self, add_one, &calls)) == MOTE_OK;
    CHECK_INT(atomic_load(&calls), expected);
    for (int i = 0; i < 3; i++)
        if (MAY(mote_blocking_start(self, add_one, &calls, &ref[i])) == MOTE_OK) MAY(mote_receive_match(self, patience(), "{mote_done, ^}", ref[i]));
}

static void descriptors(mote_self *self) {
    int ends[2], ready = 0;
    mote_ref ref, got;
    int events;
    CHECK_OK(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
    MAY_ALSO(mote_fd_wait(self, ends[0], MOTE_READ, 1, &ready), MOTE_TIMEOUT);
    if (MAY(mote_fd_arm(self, ends[0], MOTE_READ, &ref)) == MOTE_OK) MAY_ALSO(mote_fd_disarm(self, ref), MOTE_NOMATCH);
    CHECK_INT(write(ends[1], "x", 1), 1);
    if (MAY(mote_fd_wait(self, ends[0], MOTE_READ, patience(), &ready)) == MOTE_OK) CHECK_INT(ready & MOTE_READ, MOTE_READ);
    if (MAY(mote_fd_arm(self, ends[0], MOTE_READ, &ref)) == MOTE_OK) {
        MAY(mote_receive_match(self, patience(), "{mote_fd, ?, ?}", &got, &events));
        mote_fd_disarm(self, ref);
    }
    int high = fcntl(ends[0], F_DUPFD_CLOEXEC, 300); /* a number the tables have no room for yet */
    if (high >= 0 && MAY(mote_fd_arm(self, high, MOTE_READ, &ref)) == MOTE_OK) mote_fd_disarm(self, ref);
    close(high);
    close(ends[0]);
    close(ends[1]);
}

struct thread {
    mote_runtime *rt;
    mote_pid to;
};

static void *attached(void *arg) {
    struct thread *t = arg;
    mote_self *self;
    mote_term got;
    if (MAY(mote_attach(t->rt, &self))) return NULL;
    MAY(mote_send(self, t->to, "{from, ?}", mote_self_pid(self)));
    MAY(mote_receive(self, patience(), &got));
    MAY_ALSO(mote_receive(self, 1, &got), MOTE_TIMEOUT);
    MAY(mote_spawn(self, child, MOTE_TERM_NIL, NULL));
    CHECK_OK(mote_detach(self));
    return NULL;
}

static void attach(mote_self *self) {
    struct thread t = {mote_runtime_of(self), mote_self_pid(self)};
    mote_pid pid;
    pthread_t thread;
    CHECK_OK(pthread_create(&thread, NULL, attached, &t));
    if (MAY(mote_receive_match(self, patience(), "{from, ?}", &pid)) == MOTE_OK) MAY(mote_send(self, pid, "{answer, \"to a thread\"}"));
    pthread_join(thread, NULL);
}

static void ending(mote_self *self, mote_term arg) {
    static _Atomic int cleanups;
    mote_term reason;
    char *memory = mote_alloc(self, 1000), *other = mote_alloc(self, 10);
    if (memory) memset(memory, 1, 1000);
    mote_dealloc(self, other);
    for (int i = 0; i < 3; i++) MAY(mote_cleanup_add(self, add_one, &cleanups));
    MAY(mote_cleanup_remove(self, add_one, &cleanups));
    if (MAY(mote_build(mote_scratch(self), &reason, "{reason, ?, \"a text that is longer than three hundred bytes would be if it went on\"}", arg)))
        return;
    mote_exit(self, reason);
}

static void ends(mote_self *self) {
    mote_pid pid;
    for (int i = 0; i < 3; i++) MAY(mote_spawn(self, ending, mote_pid_term(mote_self_pid(self)), NULL));
    if (MAY(mote_spawn(self, eater, MOTE_TERM_NIL, &pid)) == MOTE_OK) {
        mote_term reason;
        if (MAY(mote_build(mote_scratch(self), &reason, "{shutdown, [?, ?]}", 1, 2)) == MOTE_OK) MAY(mote_exit_send(self, pid, reason));
    }
    MAY(mote_yield(self));
    char *memory = mote_alloc(self, 100);
    SURELY(memory != NULL);
}

/* Counts the words of its text and tells the one that adds up. */
static void counter(mote_self *self, mote_term arg) {
    mote_pid to;
    mote_bytes text = {NULL, 0};
    int words = 0;
    if (!mote_match(arg, "{?, ?}", &to, &text)) return;
    for (size_t i = 0; i < text.size; i++) words += ((const char *)text.data)[i] == ' ';
    MAY(mote_send(self, to, "{counted, ?, #{words => ?}}", mote_self_pid(self), words));
}

static void pipeline(mote_self *self) {
    char text[500];
    int started = 0, words = 0, n;
    memset(text, ' ', sizeof text);
    for (int i = 0; i < 20; i++) {
        mote_term arg;
        mote_bytes part = {text, (size_t)i * 20};
        if (MAY(mote_build(mote_scratch(self), &arg, "{?, ?}", mote_self_pid(self), part)) == MOTE_OK)
            started += MAY(mote_spawn(self, counter, arg, NULL)) == MOTE_OK;
    }
    for (int i = 0; i < started; i++) {
        mote_pid pid;
        if (MAY(mote_receive_match(self, patience(), "{counted, ?, #{words := ?}}", &pid, &n))) break;
        words += n;
    }
    SURELY(words == 3800);
}

/* ------------------------------------------------------------------------------------------------------- relations */

/* Who was told a link or a monitor is made is told of the end, whatever fails: ends need no memory. These wait without limit, so
 * that a child that misses it runs into its alarm; they use no pattern, which takes memory. */
static void told_down(mote_self *self, mote_ref ref) {
    mote_term got;
    CHECK_OK(mote_receive_ref(self, -1, ref, &got));
}
static bool is_exit_of(mote_term message, void *context) {
    mote_term from;
    return mote_tuple_get(message, 1, &from) == MOTE_OK && from.word == ((const mote_pid *)context)->word;
}
static void told_exit(mote_self *self, mote_pid pid) {
    mote_term got;
    CHECK_OK(mote_receive_if(self, -1, is_exit_of, &pid, &got));
}

static void brief(mote_self *self, mote_term arg) { (void)self, (void)arg; }
static void gated(mote_self *self, mote_term arg) { /* ends after any message, for its argument */
    mote_term got;
    CHECK_OK(mote_receive(self, -1, &got));
    mote_exit(self, arg);
}
static bool opens(mote_self *self, mote_pid pid) { return MAY(mote_send_term(self, pid, mote_pid_term(pid))) == MOTE_OK; }
static bool start_gated(mote_self *self, mote_pid *pid) {
    mote_term why;
    if (MAY(mote_build(mote_scratch(self), &why, "{why, ?, [1, 2, 3]}", mote_self_pid(self)))) return false;
    return MAY(mote_spawn(self, gated, why, pid)) == MOTE_OK;
}

static void links(mote_self *self) {
    mote_pid pid = mote_self_pid(NULL), pids[12];
    bool linked[12];
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    if (MAY(mote_spawn_link(self, brief, MOTE_TERM_NIL, &pid)) == MOTE_OK) told_exit(self, pid);
    if (MAY(mote_link(self, pid)) == MOTE_OK) told_exit(self, pid);
    for (int i = 0; i < 12; i++) { /* more than a list holds */
        linked[i] = false;
        pids[i] = mote_self_pid(NULL);
        if (!start_gated(self, &pids[i])) continue;
        linked[i] = MAY(mote_link(self, pids[i])) == MOTE_OK;
        if (linked[i] && i % 2 && MAY(mote_unlink(self, pids[i])) == MOTE_OK) linked[i] = i % 4 == 3 && MAY(mote_link(self, pids[i])) == MOTE_OK;
    }
    for (int i = 0; i < 12; i++)
        if (opens(self, pids[i]) && linked[i]) told_exit(self, pids[i]);
}

static void monitors(mote_self *self) {
    mote_monitor_options plain = {.alias = MOTE_ALIAS_EXPLICIT_UNALIAS, .tag = mote_atom_term(mote_atom_make("gone"))}, tagged = plain;
    mote_pid pid = mote_self_pid(NULL);
    mote_ref ref, refs[12];
    bool made[12], active = false;
    if (!plain.tag.word) return;
    if (MAY(mote_spawn_monitor(self, brief, MOTE_TERM_NIL, &pid, &ref)) == MOTE_OK) told_down(self, ref);
    if (MAY(mote_monitor(self, pid, &ref)) == MOTE_OK) told_down(self, ref);
    if (!start_gated(self, &pid)) return;
    for (int i = 0; i < 12; i++) {
        made[i] = MAY(mote_monitor_opt(self, pid, i % 2 ? &plain : NULL, &refs[i])) == MOTE_OK;
        if (made[i] && i % 3 == 0 && MAY(mote_demonitor(self, refs[i], true, &active)) == MOTE_OK) CHECK(active), made[i] = false;
    }
    if (opens(self, pid))
        for (int i = 0; i < 12; i++)
            if (made[i]) told_down(self, refs[i]);
    if (!start_gated(self, &pid) || MAY(mote_build(mote_scratch(self), &tagged.tag, "{tag, [1, 2, 3], 17}"))) return;
    if (MAY(mote_monitor_opt(self, pid, &tagged, &ref)) == MOTE_OK && opens(self, pid)) told_down(self, ref); /* or it ends for want of memory */
}

static void aliases(mote_self *self) {
    mote_ref open, once, refs[10];
    mote_term got, word = mote_atom_term(mote_atom_make("word"));
    for (int i = 0; i < 10; i++)
        if (MAY(mote_alias(self, MOTE_ALIAS_PRIORITY, &refs[i])) == MOTE_OK && i % 2) CHECK_OK(mote_unalias(self, refs[i]));
    if (!word.word || MAY(mote_alias(self, 0, &open)) || MAY(mote_alias(self, MOTE_ALIAS_REPLY, &once))) return;
    for (int i = 0; i < 3; i++) {
        bool sent = MAY(mote_send_term(self, open, word)) == MOTE_OK;
        CHECK_INT(mote_receive(self, 0, &got), sent ? MOTE_OK : MOTE_TIMEOUT);
        if (sent && MAY(mote_forward(self, open)) == MOTE_OK) CHECK_OK(mote_receive(self, 0, &got));
    }
    if (MAY(mote_send_priority(self, once, word)) == MOTE_OK) {
        CHECK_OK(mote_receive(self, 0, &got));
        CHECK_INT(mote_unalias(self, once), MOTE_NOMATCH);
    }
    MAY(mote_send(self, once, "{closed, \"a text\"}"));
    MAY(mote_send_after(self, 1, open, NULL, "{timer, 1}"));
    CHECK_OK(mote_unalias(self, open));
}

static void names(mote_self *self) {
    mote_pid me = mote_self_pid(self), pid, found;
    mote_term name, message;
    mote_ref ref;
    mote_arena *arena = mote_arena_new(0);
    bool mine = arena && MAY(mote_term_parse(arena, "counted_name_of_faults", 22, &name, NULL)) == MOTE_OK;
    if (mine && MAY(mote_register(self, name, me)) == MOTE_OK) {
        CHECK_OK(mote_whereis(self, name, &found));
        CHECK(found.word == me.word);
        if (MAY(mote_send_term(self, name, name)) == MOTE_OK) CHECK_OK(mote_receive(self, 0, &message));
        MAY(mote_send_after(self, 60000, name, NULL, "{late, 1}"));
        MAY(mote_exit_after(self, 60000, name, name, NULL));
        CHECK_OK(mote_unregister(self, name));
    }
    if (mine && start_gated(self, &pid) && MAY(mote_register(self, name, pid)) == MOTE_OK) {
        bool watched = MAY(mote_monitor(self, name, &ref)) == MOTE_OK;
        if (opens(self, pid) && watched) {
            told_down(self, ref);
            CHECK_INT(mote_whereis(self, name, &found), MOTE_ENAME);
        }
    }
    mote_arena_free(arena);
}

static void awakened(mote_self *self, mote_term arg) {
    mote_term got;
    mote_pid to;
    CHECK_OK(mote_receive(self, -1, &got));
    CHECK(mote_tuple_get(arg, 1, &got) == MOTE_OK && mote_pid_get(got, &to) == MOTE_OK);
    MAY(mote_send(self, to, "{awake, ?}", mote_self_pid(self)));
}
static void sleepy(mote_self *self, mote_term arg) {
    mote_err err = mote_hibernate(self, awakened, arg);
    MAY(err);
    CHECK(err != MOTE_OK);
}
static void hibernation(mote_self *self) {
    mote_term arg;
    mote_ref ref;
    mote_spawn_options o[] = {{.body = sleepy, .monitor = &ref}, {.body = sleepy, .monitor = &ref, .stack_size = 256 << 10, .link = true}};
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    for (int i = 0; i < 2; i++) {
        mote_pid pid;
        if (MAY(mote_build(mote_scratch(self), &arg, "{to, ?, [1, 2, 3]}", mote_self_pid(self)))) return;
        if (MAY(mote_spawn_opt(self, &o[i], arg, &pid))) continue;
        MAY(mote_link(self, pid)); /* signals do not wake it */
        MAY(mote_unlink(self, pid));
        if (opens(self, pid)) told_down(self, ref);
    }
}

static void buggy(mote_self *self, mote_term arg) {
    mote_pid to;
    if (mote_match(arg, "{to, ?, _}", &to)) MAY(mote_send(self, mote_self_pid(self), "{unread, \"message\"}"));
    mote_must(self, mote_match(arg, "{nothing}") ? MOTE_OK : MOTE_EBUSY);
}
static void deaths(mote_self *self) {
    mote_term arg;
    mote_pid pid;
    mote_ref ref;
    CHECK_OK(mote_deaths_to(self, mote_self_pid(self)));
    for (int i = 0; i < 3; i++) {
        if (MAY(mote_build(mote_scratch(self), &arg, "{to, ?, [1, 2, 3]}", mote_self_pid(self)))) break;
        if (MAY(mote_spawn_monitor(self, i ? buggy : gated, arg, &pid, &ref))) continue;
        if (!i && MAY(mote_exit_send(self, pid, arg))) continue;
        told_down(self, ref);
        MAY(mote_receive_match(self, patience(), "{mote_death, #{pid := ^}}", pid));
    }
    CHECK_OK(mote_deaths_to(self, mote_self_pid(NULL)));
}

/* Related from the first moment, with all there is. */
static void spawn_related(mote_self *self) {
    mote_ref ref;
    mote_term arg;
    mote_pid pid;
    mote_spawn_options o[] = {{.body = brief, .link = true, .monitor = &ref},
                              {.body = brief, .link = true, .monitor = &ref, .monitoring = {.alias = MOTE_ALIAS_REPLY_DEMONITOR, .priority = true}},
                              {.handler = &large, .link = true, .monitor = &ref, .monitoring = {.alias = MOTE_ALIAS_DEMONITOR}}};
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, 1, NULL));
    MAY(mote_group_leader_set(self, mote_self_pid(self), mote_self_pid(self)));
    for (int i = 0; i < 9; i++) {
        if (MAY(mote_build(mote_scratch(self), &arg, "[?, 1, 2, 3]", i))) return;
        if (MAY(mote_spawn_opt(self, &o[i % 3], arg, &pid))) continue;
        if (i % 3 == 2 && MAY(mote_exit_send(self, pid, arg))) continue;
        told_exit(self, pid);
        told_down(self, ref);
    }
}

/* Objects in messages are dropped as often as they are held, whatever fails. */
static _Atomic int objects;
static void one_more(void *object) { (void)object, atomic_fetch_add(&objects, 1); }
static void one_less(void *object) {
    (void)object;
    CHECK(atomic_fetch_sub(&objects, 1) > 0);
}
static const mote_host_kind object_kind = {"object", one_more, one_less, NULL};

static void answers(mote_self *self) {
    mote_pid from;
    mote_term m;
    if (mote_receive_match(self, 0, "{?, ?}", &from, &m) == MOTE_OK) MAY(mote_send(self, from, "{got, ?}", m));
}
static void hosted_resume(mote_self *self, void *state) {
    (void)state;
    if (mote_host_exit_reason(self, NULL)) mote_exit(self, MOTE_TERM_NIL);
    answers(self);
    MAY(mote_host_wake_after(self, 1));
}
static void hosted_body(mote_self *self, mote_term arg) {
    mote_err err;
    (void)arg;
    do {
        answers(self);
        err = allowed(__LINE__, "mote_host_wait", mote_host_wait(self, 1), BIT(MOTE_TIMEOUT) | BIT(MOTE_EEXIT));
    } while (err == MOTE_OK || err == MOTE_TIMEOUT);
}
static void hosted(mote_self *self) {
    static const mote_handler resumed = {.name = "resumed", .resume = hosted_resume};
    mote_host_box box;
    mote_term x, object = mote_host_box_term(&box, &object_kind, &box);
    for (int i = 0; i < 4; i++) {
        mote_spawn_options options = {.body = i % 2 ? hosted_body : NULL, .handler = i % 2 ? NULL : &resumed, .hosted = i % 2};
        mote_pid pid;
        if (MAY(mote_spawn_opt(self, &options, object, &pid))) continue;
        if (MAY(mote_send(self, pid, "{?, ?}", mote_self_pid(self), object)) == MOTE_OK)
            SURELY(MAY(mote_receive_match(self, patience(), "{got, ?}", &x)) || mote_host_object(x, &object_kind) == &box);
        MAY(mote_send(self, pid, "[?, ?]", object, object));
        one_more(&box);
        MAY(mote_host_send(self, mote_pid_term(pid), &object_kind, &box));
        MAY(mote_exit_send(self, pid, object));
    }
    mote_host_message_drop(self);
}

static const struct scenario scenarios[] = {
    {"start_and_stop", nothing}, {"spawn", spawn},       {"messages", messages},       {"patterns", patterns}, {"selective_receive", selective},
    {"timers", timers},          {"bounded", bounded},   {"information", information}, {"blocking", blocking}, {"descriptors", descriptors},
    {"attach", attach},          {"ends", ends},         {"pipeline", pipeline},       {"links", links},       {"monitors", monitors},
    {"aliases", aliases},        {"names", names},       {"hibernation", hibernation}, {"deaths", deaths},     {"spawn_related", spawn_related},
    {"hosted", hosted},
};
#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

/* ------------------------------------------------------------------------------------------------------- one run */

static void first(mote_self *self, mote_term arg) {
    (void)arg;
    g.scenario->body(self);
    atomic_store(&g.ended, 1);
}

/* One ends by its own hand, one by a signal, one by a link: then every pattern that a death certificate needs is compiled, which stays. */
static void ends_badly(mote_self *self, mote_term arg) {
    mote_term got;
    if (mote_match(arg, "now")) mote_exit(self, arg);
    if (mote_match(arg, "link")) CHECK_OK(mote_spawn_link(self, ends_badly, mote_atom_term(mote_atom_make("now")), NULL));
    CHECK_OK(mote_receive(self, -1, &got));
}
static void bad_ends(mote_self *self) {
    static const char *const how[] = {"now", "signal", "link"};
    for (int i = 0; i < 3; i++) {
        mote_term way = mote_atom_term(mote_atom_make(how[i])), got;
        mote_pid pid;
        mote_ref ref;
        CHECK_OK(mote_spawn_monitor(self, ends_badly, way, &pid, &ref));
        if (i == 1) CHECK_OK(mote_exit_send(self, pid, way));
        CHECK_OK(mote_receive_ref(self, 50000, ref, &got));
    }
}

/* After the faults: the runtime must do everything. */
static void sanity(mote_self *self, mote_term arg) {
    static _Atomic int calls;
    mote_term term;
    mote_pid pid;
    (void)arg;
    CHECK_OK(mote_send_after(self, 1, mote_self_pid(self), NULL, "tick"));
    CHECK_OK(mote_receive_match(self, 50000, "tick"));
    CHECK_OK(mote_blocking(self, add_one, &calls));
    CHECK_OK(mote_build(mote_scratch(self), &term, "{?, x}", mote_self_pid(self)));
    CHECK_OK(mote_spawn(self, child, term, NULL));
    CHECK_OK(mote_receive_match(self, 50000, "{hello, ?, _}", &pid));
    bad_ends(self);
    atomic_store(&g.ended, 1);
}

/* Waits until all processes have ended; when faults may have left some waiting, only so long after the first has. */
static void await(mote_self *self) {
    long until = now_ms() + (g.faulty ? 2000 : 40000);
    for (bool shortened = false; now_ms() < until;) {
        mote_runtime_info info;
        CHECK_OK(mote_runtime_info_get(self, &info));
        if (info.processes == 1) return;
        if (atomic_load(&g.ended) && g.faulty && !shortened) until = now_ms() + 10, shortened = true;
        CHECK_OK(mote_sleep(self, 1));
    }
    CHECK(g.faulty);
}

static void run_body(mote_runtime *rt, mote_body body) {
    mote_self *self;
    if (MAY(mote_attach(rt, &self))) return;
    atomic_store(&g.ended, 0);
    if (MAY(mote_spawn(self, body, MOTE_TERM_NIL, NULL)) == MOTE_OK) await(self);
    CHECK_OK(mote_detach(self));
}

static void run_sanity(mote_runtime *rt) {
    mote_self *self;
    CHECK_OK(mote_attach(rt, &self));
    atomic_store(&g.ended, 0);
    CHECK_OK(mote_spawn(self, sanity, MOTE_TERM_NIL, NULL));
    for (long until = now_ms() + 50000; !atomic_load(&g.ended);) {
        CHECK(now_ms() < until);
        CHECK_OK(mote_sleep(self, 1));
    }
    CHECK_OK(mote_detach(self));
}

/* Processes that end for want of memory are reported: as they should. */
static void quiet(void *context, mote_log_level level, const char *text) {
    (void)context, (void)level, (void)text;
}

static void run_once(bool faulty, enum mode mode) {
    mote_options options = {.schedulers = 2, .blocking_max = 2, .log = quiet};
    mote_runtime *rt;
    g.faulty = faulty;
    if (MAY(mote_runtime_start(&options, &rt))) return;
    run_body(rt, first);
    if (!g.result->points) g.result->points = mt_os_fault_count();
    if (mode != STICKY_STOP) {
        if (faulty) mt_os_fault_arm(0, false);
        run_sanity(rt);
    }
    MAY_ALSO(mote_runtime_stop(rt, faulty ? 0 : 50000), MOTE_TIMEOUT);
}

/* A run with the fault, and one without. */
static void inject(uint64_t nth, enum mode mode) {
    mt_os_fault_arm(nth, mode != ONCE);
    run_once(nth != UINT64_MAX, mode);
    g.result->fired = mt_os_fault_count() >= nth;
    mt_os_fault_arm(0, false);
    run_once(false, ONCE);
    mt_os_fault_live(&g.result->blocks, &g.result->mapped);
}

/* ---------------------------------------------------------------------------------------------------- all of them */

static void in_child(uint64_t nth, enum mode mode) {
    int status = 0;
    fflush(NULL);
    *g.result = (struct result){0};
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        inject(nth, mode);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    if (status == 0) return;
    fprintf(stderr, "# fault_test %s %" PRIu64 " %d: %s %d\n", g.scenario->name, nth, mode, WIFSIGNALED(status) ? "signal" : "exit code",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    check_failed(__FILE__, __LINE__, "a fault was not survived");
}

static uint64_t stride(uint64_t points) {
    uint64_t want = getenv("MOTE_TEST_UNDER") || MT_TSAN ? 4 : MT_ASAN ? 25 : 1000;
    return points / want + 1;
}

static void all_faults(const struct scenario *scenario) {
    unsigned faults = 0;
    g.scenario = scenario;
    g.result = mmap(NULL, sizeof *g.result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(g.result != MAP_FAILED);
    in_child(UINT64_MAX, ONCE);
    struct result clean = *g.result;
    CHECK(clean.points > 0);
    for (uint64_t n = 1; n <= clean.points + 2; n += stride(clean.points)) {
        for (int kind = 0; kind < 2; kind++) {
            enum mode mode = kind == 0 ? ONCE : n / stride(clean.points) % 2 ? STICKY : STICKY_STOP;
            in_child(n, mode);
            faults += g.result->fired;
            if (g.result->blocks == clean.blocks && g.result->mapped == clean.mapped) continue;
            fprintf(stderr, "# fault_test %s %" PRIu64 " %d: %zu blocks and %zu mapped bytes are left, not %zu and %zu\n", scenario->name, n, mode,
                    g.result->blocks, g.result->mapped, clean.blocks, clean.mapped);
            check_failed(__FILE__, __LINE__, "a fault leaked");
        }
    }
    printf("# %s: %" PRIu64 " fault points, %u faults\n", scenario->name, clean.points, faults);
    fflush(stdout);
}

#define T(i) static void faults_##i(void) { all_faults(&scenarios[i]); }
T(0) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12) T(13) T(14) T(15) T(16) T(17) T(18) T(19) T(20)

int main(int argc, char **argv) {
    static void (*const runs[])(void) = {faults_0, faults_1, faults_2, faults_3, faults_4,  faults_5, faults_6,
                                         faults_7, faults_8, faults_9, faults_10, faults_11, faults_12, faults_13,
                                         faults_14, faults_15, faults_16, faults_17, faults_18, faults_19, faults_20};
    struct check_test tests[SCENARIOS + 1] = {0};
    _Static_assert(sizeof runs / sizeof *runs == SCENARIOS, "one test each");
    for (size_t i = 0; i < SCENARIOS; i++) {
        tests[i] = (struct check_test){scenarios[i].name, runs[i], 600};
        if (argc > 3 && strcmp(argv[1], scenarios[i].name) == 0) {
            static struct result result;
            g.scenario = &scenarios[i];
            g.result = &result;
            inject(strtoull(argv[2], NULL, 10), (enum mode)atoi(argv[3]));
            printf("fired %d, left %zu blocks, %zu mapped bytes\n", result.fired, result.blocks, result.mapped);
            return 0;
        }
    }
    return check_main(argc, argv, tests);
}
