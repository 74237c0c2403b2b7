/* SPDX-License-Identifier: Apache-2.0
 * Turns that last, as a host is told of them: who holds a scheduler, and whom signals reach that he does not hear. */
#include <mote/host.h>
#include <pthread.h>
#include <sched.h>

#include "live.h"

/* The host's lock keeps the process from calling mote while another thread looks at it. */
static struct {
    pthread_mutex_t lock;
    mote_self *current; /* lock */
    mote_runtime *runtime; /* lock */
    _Atomic int held, asked, ends, linked;
    bool traps, links;
    const char *signal;
} lasting = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool turn_held(void *context, unsigned scheduler, uint64_t turn, uint64_t held_ns, bool blocked) {
    CHECK(context == &lasting && scheduler < 2 && turn && held_ns >= 30000000);
    (void)blocked; /* the processor may be another's just now */
    return atomic_fetch_add(&lasting.held, 1) == 1;
}
static bool turn_unheard(void *context, unsigned scheduler, uint64_t turn) {
    char name[8];
    CHECK(context == &lasting && scheduler < 2);
    pthread_mutex_lock(&lasting.lock);
    if (lasting.current && mote_host_turn(lasting.runtime, scheduler) == turn) {
        mote_host_name(lasting.current, name, sizeof name);
        CHECK(strcmp(name, "lasting") == 0);
        if (mote_host_ends(lasting.current)) atomic_store(&lasting.ends, 1);
        atomic_fetch_add(&lasting.asked, 1);
    }
    pthread_mutex_unlock(&lasting.lock);
    return true;
}

static bool is_signal(const char *name) { return lasting.signal && strcmp(lasting.signal, name) == 0; }
static bool will_end(void) { return lasting.links || is_signal("kill") || (is_signal("because") && !lasting.traps); }

/* A turn in which signals come that it does not look at; `links` to a process that ends meanwhile, or to the first, which does not. */
static void turn_lasts(mote_self *self, mote_term arg) {
    mote_pid other;
    bool ends = will_end();
    CHECK_OK(mote_pid_get(arg, &other));
    CHECK_OK(mote_register(self, "lasting", mote_self_pid(self)));
    CHECK_OK(mote_flag_set(self, MOTE_TRAP_EXIT, lasting.traps, NULL));
    if (lasting.links) CHECK_OK(mote_link(self, other));
    atomic_store(&lasting.linked, 1);
    pthread_mutex_lock(&lasting.lock);
    lasting.current = self;
    lasting.runtime = mote_runtime_of(self);
    while (atomic_load(&lasting.held) < 2 || atomic_load(&lasting.asked) < 3 || (ends && !atomic_load(&lasting.ends))) {
        pthread_mutex_unlock(&lasting.lock);
        sched_yield();
        pthread_mutex_lock(&lasting.lock);
    }
    lasting.current = NULL;
    pthread_mutex_unlock(&lasting.lock);
    CHECK(atomic_load(&lasting.ends) == ends && mote_host_look(self) == ends && mote_host_ends(self) == ends);
    CHECK(mote_host_exit_reason(self, NULL) == ends);
    mote_host_told(self);
    mote_exit(self, atom("unplanned"));
}
static void waits(mote_self *self, mote_term arg) {
    (void)arg;
    CHECK_OK(mote_receive_match(self, -1, "'a message that never comes'"));
}
static void ends_soon(mote_self *self, mote_term arg) {
    (void)arg;
    while (!atomic_load(&lasting.linked)) CHECK_OK(mote_sleep(self, 1));
    CHECK_OK(mote_sleep(self, 50));
    mote_exit(self, atom("linked"));
}
static const mote_host_loop lasting_loop = {.context = &lasting, .held_ms = 30, .held = turn_held, .unheard = turn_unheard};

static int lasts(mote_self *self, void *context) {
    mote_ref ref;
    mote_pid other, pid;
    mote_term why;
    (void)context;
    CHECK_INT(mote_host_turn(NULL, 0), 0);
    CHECK_INT(mote_host_turn(mote_runtime_of(self), 99), 0);
    CHECK(!mote_host_look(NULL) && !mote_host_ends(NULL));
    mote_host_told(NULL);
    CHECK_OK(mote_spawn(self, lasting.links ? ends_soon : waits, MOTE_TERM_NIL, &other));
    mote_spawn_options options = {.body = turn_lasts, .hosted = true, .monitor = &ref};
    CHECK_OK(mote_spawn_opt(self, &options, mote_pid_term(other), &pid));
    if (lasting.signal) CHECK_OK(mote_exit_after(self, 200, pid, atom(lasting.signal), NULL));
    CHECK_OK(mote_receive_match(self, PATIENCE_MS, "{\'DOWN\', ^, process, _, ?}", ref, &why));
    CHECK_TERM(why, !will_end() ? "unplanned" : lasting.links ? "linked" : is_signal("kill") ? "killed" : "because");
    return 0;
}
static char last_log[400];
static void keep_log(void *context, mote_log_level level, const char *text) {
    (void)context, (void)level;
    snprintf(last_log, sizeof last_log, "%s", text);
}
static void last(unsigned schedulers, bool traps, const char *signal) {
    lasting.traps = traps;
    lasting.signal = signal;
    lasting.links = !signal;
    run_with((mote_options){.schedulers = schedulers, .host_loop = &lasting_loop, .log = keep_log}, lasts);
    CHECK(!signal || !last_log[0]); /* neither of the turn nor of the end */
}
static void turns_that_last(void) { last(1, false, "because"); }
static void turns_that_last_killed(void) { last(1, true, "kill"); }
static void turns_that_last_trapping(void) { last(1, true, "because"); }
static void turns_that_last_normal(void) { last(2, false, "normal"); }
static void turns_that_last_linked(void) { last(2, false, NULL); }

int main(int argc, char **argv) {
    return check_main(
        argc, argv,
        (struct check_test[]){TEST(turns_that_last), TEST(turns_that_last_killed), TEST(turns_that_last_trapping),
                              TEST(turns_that_last_normal), TEST(turns_that_last_linked), {0}});
}
