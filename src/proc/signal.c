/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/proc.h"

static void frag_drop(struct mt_frag *frag) {
    if (atomic_fetch_sub_explicit(&frag->refs, 1, memory_order_acq_rel) != 1) return;
    if (frag->counted) mt_fragment_drop(frag->heap, frag->words);
    mt_os_free(frag);
}

void mt_sig_release(struct mt_cache *cache, struct mt_sig *sig) {
    if (sig->flags & MT_SIG_SHARED)
        frag_drop((struct mt_frag *)(uintptr_t)sig->heap[0]);
    else if (sig->flags & MT_SIG_COUNTED)
        mt_fragment_drop(sig->heap, sig->words);
    mt_cache_free(cache, sig, sizeof *sig + sig->words * 8u);
}

/* A signal around a fragment of its own, to be filled. */
static struct mt_sig *new_shared(struct mt_cache *cache, enum mt_sig_kind kind, size_t words, struct mt_frag **frag) {
    struct mt_frag *f = mt_os_alloc(sizeof *f + words * 8);
    struct mt_sig *sig = f ? mt_sig_new(cache, kind, 1) : NULL;
    if (!sig) {
        mt_os_free(f);
        return NULL;
    }
    atomic_init(&f->refs, 1);
    f->words = (uint32_t)words;
    f->counted = 0;
    sig->flags = MT_SIG_SHARED;
    sig->heap[0] = (uint64_t)(uintptr_t)f;
    *frag = f;
    return sig;
}

static struct mt_sig *share(struct mt_cache *cache, enum mt_sig_kind kind, const struct mt_sig *from) {
    struct mt_sig *sig = mt_sig_new(cache, kind, 1);
    if (!sig) return NULL;
    struct mt_frag *frag = (struct mt_frag *)(uintptr_t)from->heap[0];
    atomic_fetch_add_explicit(&frag->refs, 1, memory_order_relaxed);
    sig->flags = MT_SIG_SHARED;
    sig->heap[0] = from->heap[0];
    sig->root = from->root;
    return sig;
}

mote_err mt_sig_of_term(struct mt_cache *cache, enum mt_sig_kind kind, mote_term term, struct mt_sig *from, struct mt_sig **out) {
    size_t words = 0;
    bool counted = false;
    struct mt_sig *sig;
    struct mt_frag *frag = NULL;
    if (from && (from->flags & MT_SIG_SHARED) && from->root == term.word) {
        *out = share(cache, kind, from);
        return *out ? MOTE_OK : MOTE_ENOMEM;
    }
    if (mt_unlikely(term.word == 0)) return MOTE_ETERM;
    if (mt_is_pointer(term.word) || (mt_tag(term.word) == MT_ATOM && mt_unlikely(mt_atom_counted(term.word)))) {
        mote_err err = mt_term_size(term, &words);
        if (err) return err;
    }
    sig = words <= MT_SHARE_WORDS ? mt_sig_new(cache, kind, words) : new_shared(cache, kind, words, &frag);
    if (mt_unlikely(!sig)) return MOTE_ENOMEM;
    sig->root = words ? mt_term_copy_to(term, frag ? frag->heap : sig->heap, &counted).word : term.word;
    if (frag) frag->counted = counted;
    if (frag) frag->root = sig->root;
    if (counted && !frag) sig->flags |= MT_SIG_COUNTED;
    *out = sig;
    return MOTE_OK;
}

mote_err mt_sig_of_pattern(struct mt_cache *cache, const struct mt_pattern *pattern, size_t count, const mote_arg *args,
                           struct mt_sig **out) {
    size_t words;
    bool counted = false;
    mote_term root;
    struct mt_frag *frag = NULL;
    mote_err err = mt_pattern_size(pattern, count, args, &words);
    if (mt_unlikely(err)) return err;
    struct mt_sig *sig = words <= MT_SHARE_WORDS ? mt_sig_new(cache, MT_SIG_MESSAGE, words)
                                                 : new_shared(cache, MT_SIG_MESSAGE, words, &frag);
    if (mt_unlikely(!sig)) return MOTE_ENOMEM;
    err = mt_pattern_fill(pattern, args, frag ? frag->heap : sig->heap, &counted, &root);
    if (mt_unlikely(err)) {
        mt_sig_free(cache, sig);
        return err;
    }
    sig->root = root.word;
    if (frag) frag->counted = counted;
    if (frag) frag->root = sig->root;
    if (counted && !frag) sig->flags |= MT_SIG_COUNTED;
    *out = sig;
    return MOTE_OK;
}
