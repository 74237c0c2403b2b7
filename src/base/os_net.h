/* SPDX-License-Identifier: Apache-2.0
 * TCP sockets: non-blocking, closed on exec, without delay of small packets, without signals.
 *
 * Any thread. Nothing waits but mt_net_resolve() and mt_net_resolve_all(). Addresses are IPv4 or IPv6 as text; errno says more about MOTE_EOS.
 */
#ifndef MT_BASE_OS_NET_H
#define MT_BASE_OS_NET_H

#include "base/os_fd.h"

#define MT_NET_ADDRESS 64u /* bytes for an address as text, its 0 included */

/* Whether a text is an address. */
bool mt_net_is_address(const char *text);
/* Whether it is one of this host's alone: 127.0.0.0/8, ::1. */
bool mt_net_is_loopback(const char *address);
/* The first address of a host; the first `max` addresses, *count gets how many there are of them. May wait for seconds. MOTE_ENOPROC: it has none. */
mote_err mt_net_resolve(const char *host, char address[MT_NET_ADDRESS]);
mote_err mt_net_resolve_all(const char *host, char (*addresses)[MT_NET_ADDRESS], size_t max, size_t *count);

/* Listens, at :: for IPv4 too; *port (0: any) gets the port. Gives. MOTE_EARG: no address; MOTE_EBUSY: the port is taken; MOTE_EOS. */
mote_err mt_net_listen(const char *address, uint16_t *port, int *fd);
/* Takes a connection: its socket, who it is from, and whether that is this host (loopback, or the very address that it came to). Gives. MOTE_TIMEOUT: there is none now;
 * MOTE_ELIMIT: no descriptor is left for it; MOTE_EOS. */
mote_err mt_net_accept(int listener, int *fd, char from[MT_NET_ADDRESS], bool *local);
/* When no descriptor is left for who waits: gives up a spare one for a moment, takes him with it, and closes him, so that he need not wait until others end; tells whom as above. *spare is another then: mt_os_dup() of the listener, as
 * the first was; -1: there is none. MOTE_TIMEOUT, MOTE_EOS: as above; MOTE_ELIMIT: there is no spare one, or somebody else has got it. */
mote_err mt_net_turn_away(int listener, int *spare, char from[MT_NET_ADDRESS]);
/* Begins to connect; it is there, or not (mt_net_dialled()), when it can be written. Gives. MOTE_EARG, MOTE_EOS. */
mote_err mt_net_dial(const char *address, uint16_t port, int *fd);
/* How dialling has ended. MOTE_ENOPROC: nobody listens there; MOTE_EOS. */
mote_err mt_net_dialled(int fd);

/* Read, write what is there and fits: *done bytes. MOTE_TIMEOUT: nothing now; MOTE_ESTOPPED: the other has closed, or is gone. */
mote_err mt_net_read(int fd, void *to, size_t size, size_t *done);
mote_err mt_net_write(int fd, const void *from, size_t size, size_t *done);
/* Reads into one place, and what does not fit there into another. */
mote_err mt_net_read_both(int fd, void *to, size_t size, void *then, size_t then_size, size_t *done);

#endif
