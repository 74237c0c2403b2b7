/* SPDX-License-Identifier: Apache-2.0 */
#include "base/segv.h"

#include <pthread.h>
#include <signal.h>

#include "base/os.h"

#define ALT_STACK_SIZE ((size_t)65536)

/* One handler per OS process, because the kernel has one: the exception to "no mutable globals". */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static int users; /* lock: mu */
static _Atomic(mt_segv_fn) look;
static struct sigaction before_segv, before_bus; /* lock: mu; read by the handler while users > 0 */

static void pass_on(int number, siginfo_t *info, void *context, const struct sigaction *before) {
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else {
        signal(number, SIG_DFL); /* the fault happens again when we return, and ends the program as it would have; */
        if (info->si_code <= 0) raise(number); /* but not one that somebody has sent */
    }
}

static void on_fault(int number, siginfo_t *info, void *context) {
    mt_segv_fn fn = atomic_load(&look);
    if (fn) fn(info->si_addr);
    pass_on(number, info, context, number == SIGSEGV ? &before_segv : &before_bus);
}

mote_err mt_segv_start(mt_segv_fn fn) {
    mote_err err = MOTE_OK;
    pthread_mutex_lock(&mu);
    if (users == 0) {
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        sigemptyset(&action.sa_mask);
        atomic_store(&look, fn);
        if (mt_os_fault() || sigaction(SIGSEGV, &action, &before_segv) || sigaction(SIGBUS, &action, &before_bus)) err = MOTE_EOS;
    }
    if (!err) users++;
    pthread_mutex_unlock(&mu);
    return err;
}

void mt_segv_stop(void) {
    pthread_mutex_lock(&mu);
    MT_ASSERT(users > 0);
    if (--users == 0) {
        sigaction(SIGSEGV, &before_segv, NULL);
        sigaction(SIGBUS, &before_bus, NULL);
        atomic_store(&look, NULL);
    }
    pthread_mutex_unlock(&mu);
}

void *mt_segv_thread_begin(void) {
    stack_t now = {0}, made = {0};
    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE)) return NULL;
    made.ss_sp = mt_os_map(ALT_STACK_SIZE);
    made.ss_size = ALT_STACK_SIZE;
    if (!made.ss_sp) return NULL; /* without it an overflow ends the program without our report */
    sigaltstack(&made, NULL);
    return made.ss_sp;
}

void mt_segv_thread_end(void *stack) {
    stack_t none = {.ss_flags = SS_DISABLE};
    if (!stack) return;
    sigaltstack(&none, NULL);
    mt_os_unmap(stack, ALT_STACK_SIZE);
}
