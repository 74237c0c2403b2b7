/* SPDX-License-Identifier: Apache-2.0
 * hello: two processes talk. One is spawned, gets a message and answers it. */
#include <mote/mote.h>

#include <stdio.h>

/* A process is a function; this one answers a single message and ends by returning. */
static void greeter(mote_self *self, mote_term arg) {
    mote_pid from;
    (void)arg;
    if (mote_receive_match(self, 5000, "{hello, ?}", &from) != MOTE_OK) return;
    mote_send(self, from, "{greeting, ?}", "hello from another process");
}

static int hello(mote_self *self, void *context) {
    mote_pid pid;
    mote_bytes text;
    (void)context;
    if (mote_spawn(self, greeter, MOTE_TERM_NIL, &pid) != MOTE_OK) return 1;
    mote_send(self, pid, "{hello, ?}", mote_self_pid(self));
    if (mote_receive_match(self, 5000, "{greeting, ?}", &text) != MOTE_OK) return 1;
    printf("%.*s\n", (int)text.size, (const char *)text.data);
    return 0;
}

int main(void) {
    return mote_run(NULL, hello, NULL);
}
