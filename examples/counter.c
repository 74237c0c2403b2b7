/* SPDX-License-Identifier: Apache-2.0
 * counter: a server as a handler process. It has a state and no stack of its own, so a million of them are cheap.
 * Requests carry a reference, so that an answer is found however full the mailbox is; a call that gets none times out. */
#include <mote/mote.h>

#include <stdio.h>

struct counter {
    int64_t value;
    mote_pid heir; /* who gets the value when it stops */
};

static void counter_init(mote_self *self, mote_term arg, void *state) {
    struct counter *counter = state;
    if (mote_int_get(arg, &counter->value) != MOTE_OK) mote_exit(self, mote_atom_term(mote_atom_make("badarg")));
}

static void counter_handle(mote_self *self, mote_term message, void *state) {
    struct counter *counter = state;
    mote_pid from;
    mote_ref ref;
    int64_t n;
    if (mote_match(message, "{add, ?}", &n)) counter->value += n; /* a cast: nobody waits for it */
    else if (mote_match(message, "{get, ?, ?}", &from, &ref)) mote_send(self, from, "{reply, ?, ?}", ref, counter->value);
    else if (mote_match(message, "{stop, ?}", &counter->heir)) mote_exit(self, mote_atom_term(mote_atom_make("normal")));
}

/* Runs however the counter ends, with its state as it is then. */
static void counter_stop(mote_self *self, mote_term reason, void *state) {
    struct counter *counter = state;
    mote_send(self, counter->heir, "{ended, ?, ?}", reason, counter->value);
}

static const mote_handler counter_server = {.name = "counter", .state_size = sizeof(struct counter), .init = counter_init, .handle = counter_handle, .stop = counter_stop};

/* Asks the counter, and waits at most `timeout_ms` for its answer. */
static mote_err counter_get(mote_self *self, mote_pid counter, int64_t timeout_ms, int64_t *value) {
    mote_ref ref = mote_ref_make(self);
    mote_send(self, counter, "{get, ?, ?}", mote_self_pid(self), ref);
    return mote_receive_match(self, timeout_ms, "{reply, ^, ?}", ref, value);
}

static int client(mote_self *self, void *context) {
    mote_pid counter;
    int64_t value;
    (void)context;
    if (mote_spawn_handler(self, &counter_server, mote_int_make(mote_scratch(self), 100), &counter) != MOTE_OK) return 1;
    for (int i = 1; i <= 10; i++) mote_send(self, counter, "{add, ?}", i);
    if (counter_get(self, counter, 5000, &value) != MOTE_OK) return 1;
    printf("the counter says %lld\n", (long long)value); /* signals keep their order: all ten were added before */

    mote_send(self, counter, "{stop, ?}", mote_self_pid(self));
    if (mote_receive_match(self, 5000, "{ended, normal, ?}", &value) != MOTE_OK) return 1;
    printf("the counter has ended at %lld\n", (long long)value);

    mote_err err = counter_get(self, counter, 100, &value); /* nobody is there any more */
    printf("asked again: %s\n", mote_err_name(err));
    return err == MOTE_TIMEOUT ? 0 : 1;
}

int main(void) {
    return mote_run(NULL, client, NULL);
}
