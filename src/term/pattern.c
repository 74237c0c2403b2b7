/* SPDX-License-Identifier: Apache-2.0
 * Patterns compiled, kept at their sites, and reported when they are bad.
 *
 * The reader (scan.h) makes constants in the pattern's arena and *nodes* for what has holes in it; a node's word is its index
 * under the tag MT_HEADER, which no term has. Compounds of binaries and of maps are nodes too: in a match binaries fit texts as well, and
 * maps fit larger ones.
 * C1 a node comes after those inside it, the root last. C2 nodes nest at most MT_DEPTH_MAX deep: functions here may recurse. */
#include <stdio.h>
#include <string.h>

#include "term/pattern.h"
#include "term/scan.h"

#define NODE_ANY UINT32_MAX
#define WORDS_MAX ((size_t)1 << 28)

struct node {
    enum mt_form form;
    uint32_t first; /* kid; of a hole: the hole's number, or NODE_ANY */
    uint32_t count; /* kids; 0: a hole */
};

struct compiler {
    struct mt_parse parse;
    struct mt_pattern *pattern;
    struct node *nodes;
    size_t nodes_count;
    size_t nodes_capacity;
    uint64_t *kids;
    size_t kids_count;
    size_t kids_capacity;
    uint64_t *end; /* of the part of the template that is filled */
    bool in_key;   /* the program made now matches a key of a map, as a whole */
};

static bool is_node(uint64_t word) { return mt_tag(word) == MT_HEADER; }
static const struct node *node_of(const struct compiler *c, uint64_t word) {
    MT_ASSERT(is_node(word) && word >> 3 < c->nodes_count);
    return &c->nodes[word >> 3];
}
static bool is_map(uint64_t word) { return mt_tag(word) == MT_BOXED && mt_header_kind(*mt_ptr(word)) == MT_MAP; }
static bool is_hole(const struct compiler *c, uint64_t word) { return is_node(word) && node_of(c, word)->count == 0; }

/* ------------------------------------------------------------------------------------------------ reading */

/* Room for `more` items; false: memory. */
static bool reserve(void **items, size_t count, size_t *capacity, size_t more, size_t item_size) {
    if (count + more <= *capacity) return true;
    size_t want = *capacity * 2 + more;
    void *now = mt_os_realloc(*items, want * item_size);
    if (!now) return false;
    *items = now;
    *capacity = want;
    return true;
}

/* 0: scan.err. */
static uint64_t add_node(struct compiler *c, const struct node *node) {
    void *nodes = c->nodes;
    bool room = reserve(&nodes, c->nodes_count, &c->nodes_capacity, 1, sizeof *node);
    c->nodes = nodes;
    if (!room) {
        c->parse.scan.err = MOTE_ENOMEM;
        return 0;
    }
    c->nodes[c->nodes_count] = *node;
    return (uint64_t)c->nodes_count++ << 3 | MT_HEADER;
}

static uint64_t make(struct mt_parse *parse, enum mt_form form, size_t count, const mote_term *values) {
    struct compiler *c = parse->context;
    bool constant = form != MT_FORM_MAP || count == 0;
    for (size_t i = 0; i < count; i++) constant &= !is_node(values[i].word) && !mt_is_bits(values[i].word) && !is_map(values[i].word);
    if (constant) return mt_parse_make(parse, form, count, values);
    void *kids = c->kids;
    bool room = reserve(&kids, c->kids_count, &c->kids_capacity, count, sizeof *c->kids);
    c->kids = kids;
    if (!room) {
        parse->scan.err = MOTE_ENOMEM;
        return 0;
    }
    struct node node = {form == MT_FORM_LIST ? MT_FORM_TAIL : form, (uint32_t)c->kids_count, (uint32_t)count};
    memcpy(c->kids + c->kids_count, values, count * sizeof *values);
    c->kids_count += count;
    return add_node(c, &node);
}

static uint64_t hole(struct mt_parse *parse, uint32_t mark, size_t at) {
    struct compiler *c = parse->context;
    struct mt_pattern *p = c->pattern;
    struct node node = {.first = NODE_ANY};
    if (mark == '_') {
        if (p->any_at == MT_NOWHERE) p->any_at = (uint32_t)at;
        return add_node(c, &node);
    }
    if (p->holes == MT_HOLES_MAX) {
        mt_scan_wrong(&parse->scan, at, "a pattern has at most 16 holes: match or build it in parts");
        return 0;
    }
    node.first = p->holes;
    p->slots[p->holes] = (struct mt_slot){.at = MT_NOWHERE, .text = (uint32_t)at, .pin = mark == '^'};
    if (mark == '?') p->binds |= 1u << p->holes;
    p->holes++;
    return add_node(c, &node);
}

/* Notes the holes inside a map's key; false: there is a _. */
static bool check_key(struct compiler *c, uint64_t word) {
    if (!is_node(word)) return true;
    const struct node *n = node_of(c, word);
    if (n->count == 0 && n->first == NODE_ANY)
        return mt_scan_wrong(&c->parse.scan, c->pattern->any_at, "a key of a map cannot be _: leave the pair out");
    if (n->count == 0) {
        c->pattern->slots[n->first].in_key = true;
        c->pattern->bad_binds |= c->pattern->binds & 1u << n->first;
        return true;
    }
    for (uint32_t i = 0; i < n->count; i++)
        if (!check_key(c, c->kids[n->first + i])) return false;
    return true;
}

static bool check_keys(struct compiler *c) {
    for (size_t i = 0; i < c->nodes_count; i++) {
        const struct node *n = &c->nodes[i];
        for (uint32_t k = 0; n->form == MT_FORM_MAP && k < n->count; k += 2)
            if (!check_key(c, c->kids[n->first + k])) return false;
    }
    return true;
}

/* ----------------------------------------------------------------------------------------------- template */

static bool has_holes(const struct compiler *c, uint64_t word) {
    if (!is_node(word)) return false;
    const struct node *n = node_of(c, word);
    bool found = n->count == 0;
    for (uint32_t i = 0; i < n->count && !found; i++) found = has_holes(c, c->kids[n->first + i]);
    return found;
}

/* A map of the keys and values of a node, as terms: by turns, or once maps are arranged keys, then values. */
static uint64_t constant_map(struct compiler *c, size_t count, mote_term *kids, bool arranged) {
    size_t pairs = count / 2;
    if (arranged) return mote_map_make(c->pattern->arena, pairs, kids, kids + pairs).word;
    mote_term map = mote_map_make(c->pattern->arena, 0, kids, kids);
    for (size_t i = 0; map.word && i < pairs; i++) map = mote_map_put(c->pattern->arena, map, kids[2 * i], kids[2 * i + 1]);
    return map.word;
}

/* The constant that a node without holes stands for, in the pattern's arena. 0: memory. */
static uint64_t constant_of(struct compiler *c, uint64_t word, bool arranged) {
    if (!is_node(word)) return word;
    const struct node n = *node_of(c, word);
    mote_term *kids = mt_os_alloc(n.count * sizeof *kids);
    uint64_t made = 0;
    bool good = kids != NULL;
    for (uint32_t i = 0; good && i < n.count; i++) good = (kids[i].word = constant_of(c, c->kids[n.first + i], arranged)) != 0;
    if (good && n.form == MT_FORM_TUPLE) made = mote_tuple_make(c->pattern->arena, n.count, kids).word;
    if (good && n.form == MT_FORM_TAIL) made = mote_list_make(c->pattern->arena, n.count - 1, kids, kids[n.count - 1]).word;
    if (good && n.form == MT_FORM_MAP) made = constant_map(c, n.count, kids, arranged);
    mt_os_free(kids);
    return made;
}

/* The order in which a map with constant keys has its pairs: their numbers, later ones instead of equal earlier ones. NONE:
 * memory. */
static mote_term order_of_keys(struct compiler *c, const struct node *n) {
    mote_arena *arena = c->pattern->arena;
    size_t pairs = n->count / 2;
    mote_term *keys = mt_os_alloc(2 * pairs * sizeof *keys), map = MOTE_TERM_NONE;
    bool good = keys != NULL;
    for (size_t i = 0; good && i < pairs; i++) {
        keys[pairs + i] = mote_int_make(arena, (int64_t)i);
        good = (keys[i].word = constant_of(c, c->kids[n->first + 2 * i], true)) != 0; /* C1: inside, all is arranged */
    }
    if (good) map = mote_map_make(arena, pairs, keys, keys + pairs);
    mt_os_free(keys);
    return map;
}

/* Makes kids of maps stand in the order of the object: keys, then values, those that count. Maps with holes in their keys
 * keep the order they are written in, and are put in order when built. */
static bool arrange_map(struct compiler *c, struct node *n) {
    uint32_t pairs = n->count / 2, left = pairs;
    bool open = false;
    for (uint32_t i = 0; i < pairs; i++) open |= has_holes(c, c->kids[n->first + 2 * i]);
    mote_term order = open ? MOTE_TERM_NIL : order_of_keys(c, n);
    uint64_t *from = mt_os_alloc(n->count * sizeof *from);
    if (!from || !order.word) {
        mt_os_free(from);
        return false;
    }
    memcpy(from, c->kids + n->first, n->count * sizeof *from);
    if (!open) left = (uint32_t)(mt_header_words(*mt_ptr(order.word)) / 2);
    for (uint32_t i = 0; i < left; i++) {
        uint64_t pair = open ? i : (uint64_t)mt_small_value(mt_ptr(order.word)[1 + left + i]);
        c->kids[n->first + i] = from[2 * pair];
        c->kids[n->first + left + i] = from[2 * pair + 1];
    }
    n->count = 2 * left;
    mt_os_free(from);
    return true;
}

static bool arrange_maps(struct compiler *c) {
    for (size_t i = 0; i < c->nodes_count; i++)
        if (c->nodes[i].form == MT_FORM_MAP && c->nodes[i].count && !arrange_map(c, &c->nodes[i])) return false;
    return true;
}

/* Adds the words of the objects that a word stands for. */
static mote_err measure(const struct compiler *c, uint64_t word, size_t *words) {
    size_t own = 0;
    mote_err err = MOTE_OK;
    if (is_node(word)) {
        const struct node *n = node_of(c, word);
        if (n->count) own = n->form == MT_FORM_TAIL ? 2 * ((size_t)n->count - 1) : (size_t)n->count + 1;
        for (uint32_t i = 0; i < n->count && !err; i++) err = measure(c, c->kids[n->first + i], words);
    } else if (mt_is_pointer(word)) {
        err = mt_term_size((mote_term){word}, &own);
    }
    *words += own;
    return *words > WORDS_MAX ? MOTE_ELIMIT : err;
}

static uint64_t *take(struct compiler *c, size_t words) {
    uint64_t *at = c->end;
    c->end += words;
    MT_ASSERT(c->end <= c->pattern->words_at + c->pattern->words);
    return at;
}

static void emit(struct compiler *c, uint64_t word, uint64_t *to);

static void emit_list(struct compiler *c, const struct node *n, uint64_t *to) {
    uint64_t *cells = take(c, 2 * ((size_t)n->count - 1));
    *to = mt_cons(cells);
    for (uint32_t i = 0; i + 1 < n->count; i++) {
        cells[2 * i] = MT_NIL_WORD;
        cells[2 * i + 1] = mt_cons(cells + 2 * (i + 1));
    }
    for (uint32_t i = 0; i + 1 < n->count; i++) emit(c, c->kids[n->first + i], cells + 2 * i);
    emit(c, c->kids[n->first + n->count - 1], cells + 2 * (n->count - 1) - 1);
}

static void emit_node(struct compiler *c, const struct node *n, uint64_t *to) {
    struct mt_pattern *p = c->pattern;
    if (n->form == MT_FORM_TAIL) {
        emit_list(c, n, to);
        return;
    }
    bool map = n->form == MT_FORM_MAP, open = false;
    uint64_t *object = take(c, (size_t)n->count + 1);
    object[0] = mt_header(map ? MT_MAP : MT_TUPLE, n->count);
    *to = mt_boxed(object);
    for (uint32_t i = 0; i < n->count; i++) {
        object[1 + i] = MT_NIL_WORD;
        open |= map && i < n->count / 2 && has_holes(c, c->kids[n->first + i]);
    }
    for (uint32_t i = 0; i < n->count; i++) emit(c, c->kids[n->first + i], object + 1 + i);
    if (open) p->maps[p->maps_count++] = (uint32_t)(object - p->words_at); /* behind those inside it */
}

/* Puts a word into the template at `to`, and its objects at the template's end. */
static void emit(struct compiler *c, uint64_t word, uint64_t *to) {
    struct mt_pattern *p = c->pattern;
    if (is_hole(c, word)) {
        uint32_t i = node_of(c, word)->first;
        *to = MT_NIL_WORD;
        if (i != NODE_ANY) p->slots[i].at = (uint32_t)(to - p->words_at);
    } else if (is_node(word)) {
        emit_node(c, node_of(c, word), to);
    } else if (mt_is_pointer(word)) {
        size_t words = 0;
        mote_err err = mt_term_size((mote_term){word}, &words); /* as in measure(); memory may be out */
        *to = MT_NIL_WORD;
        if (err) c->parse.scan.err = err;
        else *to = mt_term_copy_to((mote_term){word}, take(c, words), &p->counted).word;
    } else {
        *to = word;
        bool counted = mt_tag(word) == MT_ATOM && mt_atom_counted(word);
        if (counted) mt_atom_hold(word);
        p->counted |= counted;
    }
}

/* Makes the template's pointers offsets, and notes where they stand (I1). */
static void relocate(struct mt_pattern *p) {
    uint64_t *at = p->words_at, *end = at + p->words;
    while (at < end) {
        uint64_t word = *at;
        if (mt_tag(word) == MT_HEADER) {
            at += mt_tagged_words(word) == mt_header_words(word) ? 1 : 1 + mt_header_words(word);
            continue;
        }
        if (mt_is_pointer(word)) {
            *at = word - mt_boxed(p->words_at);
            p->relocs[p->relocs_count++] = (uint32_t)(at - p->words_at);
        }
        at++;
    }
    MT_ASSERT(at == end);
}

static mote_err make_template(struct compiler *c, uint64_t root) {
    struct mt_pattern *p = c->pattern;
    size_t words = 0;
    p->root_word = root;
    if (is_hole(c, root) || !(mt_is_pointer(root) || is_node(root))) {
        p->root = is_node(root) ? MT_ROOT_HOLE : MT_ROOT_CONST;
        p->plain = !is_node(root) && !(mt_tag(root) == MT_ATOM && mt_atom_counted(root));
        return MOTE_OK;
    }
    mote_err err = measure(c, root, &words);
    if (err) return err;
    MT_ASSERT(words > 0);
    p->words_at = mt_os_alloc_zero(words * sizeof *p->words_at);
    p->relocs = mt_os_alloc(words * sizeof *p->relocs);
    p->maps = mt_os_alloc((c->nodes_count + 1) * sizeof *p->maps);
    if (!p->words_at || !p->relocs || !p->maps) return MOTE_ENOMEM;
    p->words = (uint32_t)words;
    c->end = p->words_at;
    emit(c, root, &p->root_word);
    if (c->parse.scan.err) return c->parse.scan.err;
    MT_ASSERT(c->end == p->words_at + words);
    MT_ASSERT(mt_ptr(p->root_word) == p->words_at); /* I1 */
    p->root = MT_ROOT_OBJECT;
    p->root_word = mt_tag(p->root_word);
    relocate(p);
    p->plain = p->relocs_count == 0 && p->maps_count == 0 && !p->counted;
    for (uint32_t i = 0; i < p->holes; i++) p->plain &= p->slots[i].at != MT_NOWHERE;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------- program */

static bool add_op(struct compiler *c, const struct mt_op *op) {
    struct mt_pattern *p = c->pattern;
    void *ops = p->ops;
    size_t capacity = p->ops_capacity;
    bool room = reserve(&ops, p->ops_count, &capacity, 1, sizeof *op);
    p->ops = ops;
    p->ops_capacity = (uint32_t)capacity;
    if (room) p->ops[p->ops_count++] = *op;
    return room;
}

/* The tuple of a binary and, when its bytes are UTF-8, the same as text. 0: memory. */
static uint64_t both_kinds(struct compiler *c, uint64_t word) {
    mote_arena *arena = c->pattern->arena;
    mote_term both[2] = {{word}, {word}};
    mote_bytes bytes;
    size_t count = 1;
    if (mote_bytes_get((mote_term){word}, &bytes) == MOTE_OK && mt_utf8_valid(bytes.data, bytes.size, NULL)) {
        both[0] = mote_binary_make(arena, bytes.data, bytes.size);
        both[1] = mote_text_make(arena, bytes.data, bytes.size);
        count = 2;
    }
    return mote_tuple_make(arena, count, both).word;
}

static bool match_word(struct compiler *c, uint64_t word, unsigned from, uint32_t index);

static bool match_constant(struct compiler *c, uint64_t word, unsigned from, uint32_t index) {
    struct mt_op op = {.code = MT_OP_WORD, .from = (uint8_t)from, .index = index, .word = word};
    if (mt_is_bits(word)) {
        op.code = MT_OP_BYTES;
        op.word = both_kinds(c, word);
        if (!op.word) return false;
    } else if (is_map(word)) { /* an empty one */
        op.code = MT_OP_MAP;
        op.word = c->in_key ? mt_header(MT_MAP, 0) : 0;
    } else if (mt_is_pointer(word)) {
        op.code = MT_OP_SAME;
    }
    return add_op(c, &op);
}

/* The cells of a list follow each other in one base. */
static bool match_list(struct compiler *c, const struct node *n, unsigned from, uint32_t index) {
    unsigned to = from + 1;
    for (uint32_t i = 0; i + 1 < n->count; i++) {
        struct mt_op op = {.code = MT_OP_CONS, .from = (uint8_t)(i ? to : from), .to = (uint8_t)to, .index = i ? 1 : index};
        if (!add_op(c, &op) || !match_word(c, c->kids[n->first + i], to, 0)) return false;
    }
    return match_word(c, c->kids[n->first + n->count - 1], to, 1);
}

/* Whether only one term fits a key: no holes, no binaries. */
static bool is_exact(const struct compiler *c, uint64_t word) {
    if (!is_node(word)) return !mt_is_bits(word);
    const struct node *n = node_of(c, word);
    bool exact = n->count > 0;
    for (uint32_t i = 0; i < n->count && exact; i++) exact = is_exact(c, c->kids[n->first + i]);
    return exact;
}

/* The op that finds the value of a key. */
static bool match_key(struct compiler *c, uint64_t key, struct mt_op op) {
    bool outer = c->in_key;
    if (is_hole(c, key)) {
        op.code = MT_OP_FETCH;
        op.hole = (uint8_t)node_of(c, key)->first;
        return add_op(c, &op);
    }
    if (is_exact(c, key) || !is_node(key)) {
        op.code = is_exact(c, key) ? MT_OP_FIND : MT_OP_LOOK;
        op.word = op.code == MT_OP_FIND ? constant_of(c, key, false) : both_kinds(c, key);
        return op.word && add_op(c, &op);
    }
    uint32_t at = c->pattern->ops_count;
    op.code = MT_OP_SEARCH;
    c->in_key = true;
    if (!add_op(c, &op) || !match_word(c, key, op.to, 0)) return false;
    c->in_key = outer;
    c->pattern->ops[at].word = c->pattern->ops_count - at - 1;
    return true;
}

static bool match_map(struct compiler *c, const struct node *n, unsigned from, uint32_t index) {
    struct mt_op op = {.code = MT_OP_MAP, .from = (uint8_t)from, .to = (uint8_t)(from + 1), .index = index};
    if (c->in_key) op.word = mt_header(MT_MAP, n->count);
    if (!add_op(c, &op)) return false;
    for (uint32_t i = 0; i < n->count; i += 2)
        if (!match_key(c, c->kids[n->first + i], op) || !match_word(c, c->kids[n->first + i + 1], op.to, 0)) return false;
    return true;
}

static bool match_tuple(struct compiler *c, const struct node *n, unsigned from, uint32_t index) {
    struct mt_op op = {.code = MT_OP_TUPLE, .from = (uint8_t)from, .to = (uint8_t)(from + 1), .index = index};
    op.word = mt_header(MT_TUPLE, n->count);
    if (!add_op(c, &op)) return false;
    for (uint32_t i = 0; i < n->count; i++)
        if (!match_word(c, c->kids[n->first + i], op.to, i)) return false;
    return true;
}

/* Adds the ops that match a word of the pattern with base[from][index]; false: memory. */
static bool match_word(struct compiler *c, uint64_t word, unsigned from, uint32_t index) {
    MT_ASSERT(from <= MT_DEPTH_MAX); /* C2 */
    if (!is_node(word)) return match_constant(c, word, from, index);
    const struct node *n = node_of(c, word);
    if (n->count == 0 && n->first == NODE_ANY) return true;
    if (n->count == 0) {
        bool pin = c->pattern->slots[n->first].pin;
        struct mt_op op = {.from = (uint8_t)from, .hole = (uint8_t)n->first, .index = index};
        op.code = pin ? MT_OP_PIN : MT_OP_BIND;
        return add_op(c, &op);
    }
    switch (n->form) {
    case MT_FORM_TUPLE: return match_tuple(c, n, from, index);
    case MT_FORM_MAP: return match_map(c, n, from, index);
    default: return match_list(c, n, from, index);
    }
}

/* ------------------------------------------------------------------------------------------------ compiling */

static void pattern_free(struct mt_pattern *p) {
    if (p->words_at) mt_fragment_drop(p->words_at, p->words);
    mt_os_free(p->words_at);
    mt_os_free(p->relocs);
    mt_os_free(p->maps);
    mt_os_free(p->ops);
    mote_arena_free(p->arena);
    mt_os_free(p);
}

static bool is_flat(const struct mt_pattern *p) {
    bool flat = p->ops_count > 0 && p->ops[0].code == MT_OP_TUPLE;
    for (uint32_t i = 1; i < p->ops_count; i++) flat &= p->ops[i].code == MT_OP_WORD || p->ops[i].code == MT_OP_BIND || p->ops[i].code == MT_OP_PIN;
    return flat;
}

static bool is_quick(const struct mt_pattern *p) {
    bool quick = p->any_at == MT_NOWHERE && p->words <= MT_QUICK_WORDS && p->maps_count == 0 && !p->counted;
    if (p->root == MT_ROOT_CONST) return quick && p->plain;
    for (uint32_t i = 0; p->root == MT_ROOT_OBJECT && i < p->holes; i++) quick &= p->slots[i].at != MT_NOWHERE;
    return quick;
}

/* Everything but a bad text; that of MOTE_ESYNTAX is noted in scan. The program comes first: the template changes maps. */
static mote_err compile_into(struct compiler *c) {
    uint64_t root;
    if (!mt_parse_run(&c->parse, &root) || !check_keys(c)) return c->parse.scan.err;
    if (!match_word(c, root, 0, 0) || !arrange_maps(c)) return MOTE_ENOMEM;
    c->pattern->flat = is_flat(c->pattern);
    c->pattern->word = c->pattern->ops_count == 1 && c->pattern->ops[0].code == MT_OP_WORD;
    mote_err err = make_template(c, root);
    c->pattern->quick = is_quick(c->pattern);
    return err;
}

static mote_err compile(const mote_site *site, struct mt_pattern **made) {
    struct compiler c = {0};
    struct mt_pattern *p = c.pattern = mt_os_alloc_zero(sizeof *p);
    if (!p) return MOTE_ENOMEM;
    p->site = site;
    p->any_at = MT_NOWHERE;
    p->arena = mote_arena_new(0);
    if (!p->arena) {
        pattern_free(p);
        return MOTE_ENOMEM;
    }
    mt_parse_init(&c.parse, p->arena, site->text, strlen(site->text));
    c.parse.permanent = true;
    c.parse.depth_max = MT_DEPTH_MAX;
    c.parse.make = make;
    c.parse.hole = hole;
    c.parse.context = &c;
    mote_err err = compile_into(&c);
    mt_parse_fini(&c.parse);
    mt_os_free(c.nodes);
    mt_os_free(c.kids);
    p->bad = err == MOTE_ESYNTAX || err == MOTE_ELIMIT; /* I3 */
    if (err && !p->bad) {
        pattern_free(p);
        return err;
    }
    p->why = err == MOTE_ESYNTAX ? c.parse.scan.why : "it is too large";
    p->why_at = err == MOTE_ESYNTAX ? (uint32_t)c.parse.scan.wrong : MT_NOWHERE;
    *made = p;
    return MOTE_OK;
}

/* Every pattern of this program: so they stay reachable whatever becomes of their sites. They are not freed at exit(), when
 * threads of a runtime may still be using them. */
static _Atomic(struct mt_pattern *) patterns;

static void list(struct mt_pattern *p) {
    struct mt_pattern *next = atomic_load_explicit(&patterns, memory_order_relaxed);
    do p->next = next;
    while (!atomic_compare_exchange_weak_explicit(&patterns, &next, p, memory_order_release, memory_order_relaxed));
}

static __attribute__((noinline)) mote_err first_use(mote_site *site, struct mt_pattern **pattern) {
    struct mt_pattern *made = NULL;
    void *old = NULL;
    MT_ASSERT(site->text);
    mote_err err = compile(site, &made);
    if (err) return err;
    if (__atomic_compare_exchange_n(&site->code, &old, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        list(made);
        if (made->bad) mt_pattern_report(made, MOTE_EPATTERN, made->why_at, made->why);
        *pattern = made;
    } else {
        pattern_free(made);
        *pattern = old;
    }
    return MOTE_OK;
}

mote_err mt_site_pattern(mote_site *site, const struct mt_pattern **pattern) {
    struct mt_pattern *p = __atomic_load_n(&site->code, __ATOMIC_ACQUIRE);
    if (mt_unlikely(!p)) {
        mote_err err = first_use(site, &p);
        if (err) return err;
    }
    *pattern = p;
    return mt_unlikely(p->bad) ? MOTE_EPATTERN : MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------ reporting */

mote_err mt_pattern_report(const struct mt_pattern *pattern, mote_err err, uint32_t at, const char *what) {
    struct mt_pattern *p = (struct mt_pattern *)(uintptr_t)pattern;
    char text[640], place[32] = "";
    if (atomic_exchange_explicit(&p->reported, true, memory_order_relaxed)) return err;
    if (at != MT_NOWHERE) snprintf(place, sizeof place, " at column %u", at + 1);
    snprintf(text, sizeof text, "mote: %.150s:%d: bad pattern \"%.200s\"%s: %s\n", p->site->file ? p->site->file : "?", p->site->line,
             p->site->text, place, what);
    mt_os_log(text);
    return err;
}

mote_err mt_pattern_report_hole(const struct mt_pattern *pattern, size_t hole, mote_arg_kind kind, bool matching) {
    static const char *const names[] = {
        "",          "an integer",   "an integer",  "a bool",     "a double",     "a string",     "a mote_term",   "a mote_pid",
        "a mote_ref", "a mote_atom", "a mote_bytes", "int *",      "long *",       "long long *",  "unsigned *",    "unsigned long *",
        "unsigned long long *", "bool *", "double *", "mote_term *", "mote_pid *", "mote_ref *", "mote_atom *", "mote_bytes *"};
    const struct mt_slot *slot = &pattern->slots[hole];
    char text[200];
    if (!mt_arg_is_value(kind) && !mt_arg_is_address(kind))
        snprintf(text, sizeof text, "the argument of this hole is of no kind that exists (%d)", (int)kind);
    else if (!matching)
        snprintf(text, sizeof text, "an address (%s) cannot be built; pass the value", names[kind]);
    else if (slot->pin)
        snprintf(text, sizeof text, "an address (%s) cannot be compared with; pass the value, or write ? to bind it", names[kind]);
    else if (mt_arg_is_address(kind))
        snprintf(text, sizeof text, "the address (%s) is NULL; write _ for what is not wanted", names[kind]);
    else
        snprintf(text, sizeof text, "a value (%s) cannot be bound; pass its address, or write ^ to compare with it", names[kind]);
    return mt_pattern_report(pattern, MOTE_EHOLE, slot->text, text);
}

mote_err mt_pattern_report_count(const struct mt_pattern *pattern, size_t count) {
    char text[120];
    snprintf(text, sizeof text, "it has %u holes, but %zu arguments are given; give one for each ? and ^", pattern->holes, count);
    return mt_pattern_report(pattern, MOTE_EPATTERN, MT_NOWHERE, text);
}

/* ---------------------------------------------------------------------------------------- the public face */

/* Builds in the arena; `words` > 0. The arena's words are whole objects also after a failure. */
static mote_err build_in(mote_arena *arena, const struct mt_pattern *p, const mote_arg *args, size_t words, mote_term *term) {
    bool counted = false;
    uint64_t *to = arena ? mt_arena_words(arena, words) : NULL;
    if (!to) return MOTE_ENOMEM;
    mote_err err = mt_pattern_fill(p, args, to, &counted, term);
    for (size_t i = 0; err && i < words; i++) to[i] = MT_NIL_WORD;
    if (counted) mt_arena_note_counted(arena);
    return err;
}

mote_err mote_build_site(mote_arena *arena, mote_term *term, mote_site *site, size_t count, const mote_arg *args) {
    const struct mt_pattern *p;
    size_t words = 0;
    bool counted = false;
    mote_err err = mt_site_pattern(site, &p);
    if (!err) err = mt_pattern_size(p, count, args, &words);
    if (err) return err == MOTE_ELIMIT ? MOTE_ENOMEM : err;
    return words ? build_in(arena, p, args, words, term) : mt_pattern_fill(p, args, NULL, &counted, term);
}

static __attribute__((noinline)) mote_err match_first(mote_term term, mote_site *site, size_t count, const mote_arg *args) {
    const struct mt_pattern *p;
    mote_err err = mt_site_pattern(site, &p);
    if (!err) err = mt_pattern_check(p, count, args);
    if (err) return err;
    return mt_pattern_match(p, term, args) ? MOTE_OK : MOTE_NOMATCH;
}

mote_err mote_match_site(mote_term term, mote_site *site, size_t count, const mote_arg *args) {
    const struct mt_pattern *p = mt_site_compiled(site);
    if (mt_unlikely(!p)) return match_first(term, site, count, args);
    mote_err err = mt_pattern_check_quick(p, count, args);
    if (mt_unlikely(err)) return err;
    return mt_pattern_match_quick(p, term, args) ? MOTE_OK : MOTE_NOMATCH;
}
