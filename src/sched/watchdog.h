/* SPDX-License-Identifier: Apache-2.0
 * The watchdog: one thread per runtime that sees schedulers held by one turn for too long, and helps those that wait behind.
 *
 * It wakes every few ms while anything runs, and sleeps without limit while nothing does.
 * I1 a turn of MT_STUCK_MS is reported once. I2 while a scheduler is stuck its slot may be stolen, its timers are fired by the
 * watchdog, and so are descriptors nobody looks at; a hosted process's turn is over then. I3 it returns free memory of the depot about once a second.
 */
#ifndef MT_SCHED_WATCHDOG_H
#define MT_SCHED_WATCHDOG_H

#include "sched/sched.h"

#define MT_STUCK_MS 100

mote_err mt_watchdog_start(struct mt_cluster *cluster);
void mt_watchdog_stop(struct mt_cluster *cluster);

#endif
