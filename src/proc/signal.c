/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/proc.h"

static void frag_drop(struct mt_frag *frag) {
    if (atomic_fetch_sub_explicit(&frag->refs, 1, memory_order_acq_rel) != 1) return;
    if (frag->counted) mt_fragment_drop(frag->heap, frag->words);
    mt_os_free(frag);
}

void mt_sig_release(struct mt_cache *cache, struct mt_sig *sig) {
    bool shared = sig->flags & MT_SIG_SHARED;
    if (shared) frag_drop((struct mt_frag *)(uintptr_t)sig->heap[0]);
    if (sig->flags & MT_SIG_COUNTED) mt_fragment_drop(sig->heap + shared, sig->words - shared);
    mt_cache_free(cache, sig, sizeof *sig + sig->words * 8u);
}

/* A fragment of one reference, to be filled. */
static struct mt_frag *new_frag(size_t words) {
    struct mt_frag *f = mt_os_alloc(sizeof *f + words * 8);
    if (!f) return NULL;
    atomic_init(&f->refs, 1);
    f->words = (uint32_t)words;
    f->counted = 0;
    return f;
}

/* A signal around a fragment of its own, to be filled. */
static struct mt_sig *new_shared(struct mt_cache *cache, size_t words, size_t extra, struct mt_frag **frag) {
    struct mt_frag *f = new_frag(words);
    struct mt_sig *sig = f ? mt_sig_new(cache, MT_SIG_MESSAGE, 1 + extra) : NULL;
    if (!sig) {
        mt_os_free(f);
        return NULL;
    }
    sig->flags = MT_SIG_SHARED;
    sig->heap[0] = (uint64_t)(uintptr_t)f;
    *frag = f;
    return sig;
}

static struct mt_sig *new_message(struct mt_cache *cache, size_t words, size_t extra, struct mt_frag **frag) {
    return words <= MT_SHARE_WORDS ? mt_sig_new(cache, MT_SIG_MESSAGE, words + extra) : new_shared(cache, words, extra, frag);
}

static void finish(struct mt_sig *sig, struct mt_frag *frag, uint64_t root, bool counted) {
    sig->root = root;
    if (frag) frag->counted = counted;
    if (frag) frag->root = root;
    if (counted && !frag) sig->flags |= MT_SIG_COUNTED;
}

static void frag_hold(struct mt_frag *frag) { atomic_fetch_add_explicit(&frag->refs, 1, memory_order_relaxed); }

/* The fragment whose whole is `term`, if `from` holds it. */
static struct mt_frag *frag_of(const struct mt_sig *from, mote_term term) {
    if (!from || !(from->flags & MT_SIG_SHARED)) return NULL;
    struct mt_frag *frag = (struct mt_frag *)(uintptr_t)from->heap[0];
    return frag->root == term.word ? frag : NULL;
}

static struct mt_sig *share(struct mt_cache *cache, struct mt_frag *frag, size_t extra) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_MESSAGE, 1 + extra);
    if (!sig) return NULL;
    frag_hold(frag);
    sig->flags = MT_SIG_SHARED;
    sig->heap[0] = (uint64_t)(uintptr_t)frag;
    sig->root = frag->root;
    return sig;
}

/* The words of a copy, 0 for an immediate. */
static inline mote_err size_of(mote_term term, size_t *words) {
    *words = 0;
    if (mt_unlikely(term.word == 0)) return MOTE_ETERM;
    if (!mt_is_pointer(term.word) && (mt_tag(term.word) != MT_ATOM || mt_likely(!mt_atom_counted(term.word)))) return MOTE_OK;
    return mt_term_size(term, words);
}

/* A message that is one object of a host's. */
static mote_err sig_of_box(struct mt_cache *cache, const uint64_t *box, size_t extra, struct mt_sig **out) {
    struct mt_sig *sig = mt_sig_new(cache, MT_SIG_MESSAGE, MT_HOST_WORDS + extra);
    if (mt_unlikely(!sig)) return MOTE_ENOMEM;
    for (size_t i = 0; i < MT_HOST_WORDS + extra; i++) sig->heap[i] = i < MT_HOST_WORDS ? box[i] : MT_NIL_WORD; /* as below */
    mt_host_hold(box);
    finish(sig, NULL, mt_boxed(sig->heap), true);
    *out = sig;
    return MOTE_OK;
}

static inline bool is_box(mote_term term) {
    return term.word && mt_tag(term.word) == MT_BOXED && *mt_ptr(term.word) == MT_HOST_HEADER;
}

mote_err mt_sig_of_term(struct mt_cache *cache, mote_term term, size_t extra, const struct mt_sig *from, struct mt_sig **out) {
    if (is_box(term)) return sig_of_box(cache, mt_ptr(term.word), extra, out);
    size_t words;
    bool counted = false;
    struct mt_frag *frag = frag_of(from, term);
    if (frag) {
        *out = share(cache, frag, extra);
        return *out ? MOTE_OK : MOTE_ENOMEM;
    }
    mote_err err = size_of(term, &words);
    if (mt_unlikely(err)) return err;
    struct mt_sig *sig = new_message(cache, words, extra, &frag);
    if (mt_unlikely(!sig)) return MOTE_ENOMEM;
    uint64_t root = words ? mt_term_copy_to(term, frag ? frag->heap : sig->heap, &counted).word : term.word;
    finish(sig, frag, root, counted);
    if (counted)
        for (size_t i = 0; i < extra; i++) sig->heap[sig->words - 1 - i] = MT_NIL_WORD; /* a release may walk over them */
    *out = sig;
    return MOTE_OK;
}

mote_err mt_sig_of_pattern(struct mt_cache *cache, const struct mt_pattern *pattern, size_t count, const mote_arg *args, size_t extra,
                           struct mt_sig **out) {
    size_t words;
    bool counted = false;
    mote_term root;
    struct mt_frag *frag = NULL;
    mote_err err = mt_pattern_size(pattern, count, args, &words);
    if (mt_unlikely(err)) return err;
    struct mt_sig *sig = new_message(cache, words, extra, &frag);
    if (mt_unlikely(!sig)) return MOTE_ENOMEM;
    err = mt_pattern_fill(pattern, args, frag ? frag->heap : sig->heap, &counted, &root);
    if (mt_unlikely(err)) {
        mt_sig_free(cache, sig);
        return err;
    }
    finish(sig, frag, root.word, counted);
    if (counted)
        for (size_t i = 0; i < extra; i++) sig->heap[sig->words - 1 - i] = MT_NIL_WORD;
    *out = sig;
    return MOTE_OK;
}

/* ---------------------------------------------------------------------------------------------------- reasons */

mote_err mt_reason_of(mote_term term, const struct mt_sig *from, struct mt_reason *reason) {
    size_t words;
    bool counted = false;
    struct mt_frag *frag = frag_of(from, term);
    if (frag) {
        frag_hold(frag);
        *reason = (struct mt_reason){term.word, frag};
        return MOTE_OK;
    }
    mote_err err = size_of(term, &words);
    if (err) return err;
    *reason = (struct mt_reason){term.word, NULL};
    if (!words) return MOTE_OK;
    if (!(frag = new_frag(words))) return MOTE_ENOMEM;
    frag->root = mt_term_copy_to(term, frag->heap, &counted).word;
    frag->counted = counted;
    *reason = (struct mt_reason){frag->root, frag};
    return MOTE_OK;
}

void mt_reason_drop(struct mt_reason *reason) {
    if (reason->frag) frag_drop(reason->frag);
    *reason = (struct mt_reason){0};
}

void mt_reason_share(struct mt_sig *sig, const struct mt_reason *reason) {
    sig->heap[0] = (uint64_t)(uintptr_t)reason->frag;
    if (!reason->frag) return;
    frag_hold(reason->frag);
    sig->flags |= MT_SIG_SHARED;
}

void mt_exit_fill(struct mt_sig *sig, enum mt_sig_kind kind, uint64_t from, const struct mt_reason *reason) {
    MT_ASSERT(sig->words >= MT_EXIT_WORDS && !(sig->flags & MT_SIG_SHARED));
    sig->kind = (uint8_t)kind;
    sig->root = reason->word;
    mt_reason_share(sig, reason);
    sig->heap[1] = mt_header(MT_TUPLE, 3);
    sig->heap[2] = MT_WORD_OF(EXIT);
    sig->heap[3] = from;
    sig->heap[4] = reason->word;
}

mote_err mt_exit_new(struct mt_cache *cache, uint64_t from, const struct mt_reason *reason, struct mt_sig **sig) {
    *sig = mt_sig_new(cache, MT_SIG_EXIT, MT_EXIT_WORDS);
    if (!*sig) return MOTE_ENOMEM;
    mt_exit_fill(*sig, MT_SIG_EXIT, from, reason);
    return MOTE_OK;
}

struct mt_reason mt_exit_reason_of(const struct mt_sig *sig) {
    struct mt_reason reason = {sig->root, NULL};
    if (!(sig->flags & MT_SIG_SHARED)) return reason;
    reason.frag = (struct mt_frag *)(uintptr_t)sig->heap[0];
    frag_hold(reason.frag);
    return reason;
}
