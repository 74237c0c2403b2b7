/* SPDX-License-Identifier: Apache-2.0
 * Finding nodes: the addresses of a host, and the nodes that its port mapper knows. */
#include <string.h>

#include "dist/node.h"

#define ADDRESSES_MAX 1024u

struct lookup {
    const char *host;
    char (*addresses)[MT_NET_ADDRESS];
    size_t max, count;
    mote_err err;
};

static void look_up(void *context) {
    struct lookup *l = context;
    l->err = mt_net_resolve_all(l->host, l->addresses, l->max, &l->count);
}

/* The first `max` addresses of a host, an address being its own. */
static mote_err resolve(mote_self *self, struct lookup *l) {
    if (mt_net_is_address(l->host) && strlen(l->host) < MT_NET_ADDRESS) {
        memcpy(l->addresses[0], l->host, strlen(l->host) + 1);
        l->count = 1;
        return MOTE_OK;
    }
    mote_err err = mote_blocking(self, look_up, l);
    return err ? err : l->err;
}

mote_err mote_net_addresses(mote_self *self, const char *host, mote_term *addresses) {
    if (!self) return MOTE_ESELF;
    if (!host || !addresses) return MOTE_EARG;
    struct lookup l = {.host = host, .addresses = mote_alloc(self, ADDRESSES_MAX * sizeof *l.addresses), .max = ADDRESSES_MAX};
    if (!l.addresses) return MOTE_ENOMEM;
    mote_err err = resolve(self, &l);
    mote_arena *arena = mote_scratch(self);
    mote_term list = MOTE_TERM_NIL;
    for (size_t i = err ? 0 : l.count; i--;) list = mote_cons_make(arena, mote_text_make(arena, l.addresses[i], strlen(l.addresses[i])), list);
    mote_dealloc(self, l.addresses);
    if (!err && !list.word) err = MOTE_ENOMEM;
    if (!err) *addresses = list;
    return err;
}

struct names {
    mote_arena *arena;
    mote_term list;
};

static void add(void *context, const struct mt_epmd_node *node) {
    struct names *n = context;
    const mote_term pair[2] = {mote_text_make(n->arena, node->name.data, node->name.size), mote_int_make(n->arena, node->port)};
    if (n->list.word) n->list = mote_cons_make(n->arena, mote_tuple_make(n->arena, 2, pair), n->list);
}

mote_err mote_net_names(mote_self *self, const char *host, mote_term *names) {
    if (!self) return MOTE_ESELF;
    struct mt_dist *d = mt_dist_of(mt_runtime(mt_self(self)));
    if (!host || !names) return MOTE_EARG;
    if (!d) return MOTE_ENOPROC;
    char address[1][MT_NET_ADDRESS];
    struct lookup l = {.host = host, .addresses = address, .max = 1};
    mote_err err = resolve(self, &l);
    struct names n = {.arena = mote_scratch(self), .list = MOTE_TERM_NIL};
    if (!err) err = mt_epmd_list(self, d->epmd_port, address[0], add, &n);
    if (!err && !n.list.word) err = MOTE_ENOMEM;
    if (!err) *names = n.list;
    return err;
}
