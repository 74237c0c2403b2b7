/* SPDX-License-Identifier: Apache-2.0
 * Readiness of descriptors, over an epoll set: one poller per runtime, run by whichever scheduler is idle.
 *
 * mt_poll_arm() and mt_poll_disarm() from any thread (lock POLL; the kernel is told at once, whether the poller sleeps or not).
 * mt_poll_run() by one thread at a time: the caller holds the poller's role (mt_poll_enter / mt_poll_leave, an atomic flag).
 * I1 a watch is armed once and fires once, or is disarmed. I2 events are collected under the role and given to the caller as an array.
 * I3 a watch is in the tables exactly as long as the kernel may report it to somebody: what it reports of another is dropped. I4 the tables and the
 * kernel change in one hold of the lock, for after mt_poll_disarm() or its event anybody may close the descriptor. (The calls for this
 * are the only ones under the lock.) A descriptor becomes non-blocking when it is watched first.
 */
#ifndef MT_SCHED_POLL_H
#define MT_SCHED_POLL_H

#include "base/lock.h"
#include "base/os.h"

struct mt_poll;

struct mt_poll_event {
    uint64_t owner;  /* as given to mt_poll_arm() */
    uint64_t ticket; /* the watch's name */
    int events;      /* MOTE_READ | MOTE_WRITE */
};

/* Gives; MOTE_ENOMEM, MOTE_EOS. */
mote_err mt_poll_new(struct mt_poll **poll);
/* Closes the set; armed watches are dropped. Takes. No other thread may be in it. */
void mt_poll_free(struct mt_poll *poll);

/* Watches fd for `events` once. `ticket` is a number never used before; `owner` is kept for the event. MOTE_EBUSY when the fd is
 * watched already (also one that was closed without disarming it), MOTE_EOS (bad descriptor, or one that cannot be polled),
 * MOTE_ENOMEM. An error of the descriptor is reported as an event with all bits set; a hang-up sets the bits that were asked for. Any thread. */
mote_err mt_poll_arm(struct mt_poll *poll, int fd, int events, uint64_t owner, uint64_t ticket);
/* Takes a watch back. MOTE_OK: it will not fire (after the events already given out), and the descriptor may be closed; MOTE_NOMATCH:
 * it has, or never was. Any thread. */
mote_err mt_poll_disarm(struct mt_poll *poll, uint64_t ticket);
/* Watches that are armed: whether running the poller makes sense. Lock-free. */
unsigned mt_poll_armed(const struct mt_poll *poll);

/* Tries to take the poller's role. Never waits. */
bool mt_poll_enter(struct mt_poll *poll);
void mt_poll_leave(struct mt_poll *poll);
/* Waits up to `timeout_ns` (0: looks only; MT_NEVER) for events or mt_poll_wake(); up to `max` of them into `events`, the number is
 * given. With the role only. Blocks. */
size_t mt_poll_run(struct mt_poll *poll, uint64_t timeout_ns, struct mt_poll_event *events, size_t max);
/* The same, once, with `wait` in place of the system's: it returns when `fd` is readable, after `timeout_ns`, or earlier. */
size_t mt_poll_run_within(struct mt_poll *poll, uint64_t timeout_ns, struct mt_poll_event *events, size_t max,
                          void (*wait)(void *context, int fd, uint64_t timeout_ns), void *context);
/* Makes the mt_poll_run() that is running, or else the next one, return. Any thread, async-signal-safe. */
void mt_poll_wake(struct mt_poll *poll);

#endif
