/* SPDX-License-Identifier: Apache-2.0
 * Terms whose atoms stand in their message's header: putting references to them in place of atoms, and atoms in place of references.
 *
 * Any thread. Nothing waits; only the writer allocates. Besides external.h, whose reader gives tokens, this alone knows the shape of terms: it has to find atoms within
 * them, and to copy all else.
 * W1 no byte behind the last is read, and no term may announce more terms than bytes are left. What a term means is looked at by who reads it; here it has a
 *    shape. Never recurses.
 * W2 references are put only in place of atoms of 255 bytes at most, in their shortest form, and not within closures, whose size stands before them.
 */
#ifndef MT_DIST_SWAP_H
#define MT_DIST_SWAP_H

#include <mote/external.h>

#include "dist/verdict.h"

/* Where reading is: *at moves to the term's end. */
struct mt_swap_input {
    const uint8_t *at, *end;
};

/* Move over the next term; references in it must be below `count`. MT_NO_TERM, MT_NO_ATOM_REF. */
enum mt_verdict mt_swap_skip(struct mt_swap_input *input, size_t count);

/* Writes the next term with the atoms that its references stand for. Borrows. Also: MT_NO_LARGE, MT_NO_MEMORY: the writer has failed. */
enum mt_verdict mt_swap_in(struct mt_swap_input *input, const mote_bytes *atoms, size_t count, mote_writer *to);

/* Writes the next term, of ours, with references in place of those atoms for which `refer` gives their number, from 0 to 254; -1: it stays. */
enum mt_verdict mt_swap_out(struct mt_swap_input *input, int (*refer)(void *context, mote_bytes atom), void *context, mote_writer *to);

#endif
