/* SPDX-License-Identifier: Apache-2.0
 * This program as a node among others: its name, which stands in its pids where others read them. Names and defaults are the Python layer's. */
#include "process.h"

/* Looked up until the node has a name, which it keeps; a node that stops is not asked any more. Borrowed; word 0: it has none. */
static mote_atom name_of(struct mp_node *node, uint32_t *creation) {
    if (!node) return (mote_atom){0};
    if (!node->name.word && !node->stopping) {
        node->name = mote_host_node(node->rt, &node->creation);
        if (node->name.word) mote_atom_hold(node->name);
    }
    *creation = node->creation;
    return node->name;
}

void mp_codec_name(const struct mp_state *st, struct mp_codec *codec) {
    codec->creation = 0;
    codec->node = name_of(st->node, &codec->creation);
}

PyObject *mp_node_name(struct mp_state *st) {
    struct mp_codec codec;
    size_t size;
    mp_codec_name(st, &codec);
    const char *name = codec.node.word ? mote_atom_name(codec.node, &size) : MP_NODELESS;
    return mp_atom_new(st, name, codec.node.word ? (Py_ssize_t)size : (Py_ssize_t)sizeof MP_NODELESS - 1);
}

static PyObject *py_node(PyObject *module, PyObject *none) {
    (void)none;
    return mp_node_name(mp_state_of(module));
}

PyMethodDef mp_net_methods[] = {
    {"node", py_node, METH_NOARGS,
     "node() -> Atom\n\n"
     "The name of this node: nonode@nohost while it has none. As Erlang's node/0."},
    {NULL, NULL, 0, NULL},
};
