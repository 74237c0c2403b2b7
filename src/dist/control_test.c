/* SPDX-License-Identifier: Apache-2.0
 * Control messages: each form read, written, and everything that is wrong with one refused. */
#include "dist/control.h"

#include "check.h"
#include "hex.h"

#define ALL (MT_FLAGS_OFFERED | MT_FLAG_ALTACT_SIG)

/* Pids of p@h (the peer), of o@h (us) and of q@h, and a reference of ours. */
#define P "5877037040680000002600000001deadbeef"
#define O "5877036f40680000001b0000000000000004"
#define Q "5877037140680000001b0000000000000004"
#define REF "5a000377036f4068000000040003ffff1234567889abcdef"
#define NAMED "7703666f6f" /* foo */
#define NONE "7700"
#define TOKEN "68056101770178610158770370406800000026000000010000000a6100"
#define MFA "680377016d7701666102"
#define TERM "6803610162000004d26a"

static const char peer[] = "p@h";

/* Every form: what is on the wire, what must follow, and the form that is written of it between who agree on `flags`. */
static const struct row {
    const char *term;
    enum mt_control_op op;
    bool followed;
    uint64_t flags; /* that are needed */
    const char *written; /* with ALL */
    bool follows;
} rows[] = {
    {"68036101" P O, MT_CONTROL_LINK, false, 0, "68036101" P O, false},
    {"68036102" NONE O, MT_CONTROL_SEND, true, 0, "68036102" NONE O, true},
    {"68036102" TERM O, MT_CONTROL_SEND, true, 0, "68036102" NONE O, true},
    {"68046103" P O TERM, MT_CONTROL_EXIT, false, 0, "68036118" P O, true},
    {"68046106" Q NONE NAMED, MT_CONTROL_SEND_NAMED, true, 0, "68046106" Q NONE NAMED, true},
    {"68036107" P O, MT_CONTROL_GROUP_LEADER, false, 0, "68036107" P O, false},
    {"68046108" P O TERM, MT_CONTROL_EXIT2, false, 0, "6803611a" P O, true},
    {"6804610c" NONE O TOKEN, MT_CONTROL_SEND, true, 0, "68036102" NONE O, true},
    {"6805610d" P O TOKEN TERM, MT_CONTROL_EXIT, false, 0, "68036118" P O, true},
    {"68056110" P NONE NAMED TOKEN, MT_CONTROL_SEND_NAMED, true, 0, "68046106" P NONE NAMED, true},
    {"68056112" P O TOKEN TERM, MT_CONTROL_EXIT2, false, 0, "6803611a" P O, true},
    {"68046113" P O REF, MT_CONTROL_MONITOR, false, MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "68046113" P O REF, false},
    {"68046113" P NAMED REF, MT_CONTROL_MONITOR, false, MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "68046113" P NAMED REF, false},
    {"68046114" P O REF, MT_CONTROL_DEMONITOR, false, MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "68046114" P O REF, false},
    {"68046114" P NAMED REF, MT_CONTROL_DEMONITOR, false, MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "68046114" P NAMED REF, false},
    {"68056115" P O REF TERM, MT_CONTROL_DOWN, false, MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "6804611c" P O REF, true},
    {"68036116" Q O, MT_CONTROL_SEND, true, MT_FLAG_SEND_SENDER, "68036116" Q O, true},
    {"68046117" P O TOKEN, MT_CONTROL_SEND, true, MT_FLAG_SEND_SENDER, "68036116" P O, true},
    {"68036118" P O, MT_CONTROL_EXIT, true, MT_FLAG_EXIT_PAYLOAD, "68036118" P O, true},
    {"68046119" P O TOKEN, MT_CONTROL_EXIT, true, MT_FLAG_EXIT_PAYLOAD, "68036118" P O, true},
    {"6803611a" P O, MT_CONTROL_EXIT2, true, MT_FLAG_EXIT_PAYLOAD, "6803611a" P O, true},
    {"6804611b" P O TOKEN, MT_CONTROL_EXIT2, true, MT_FLAG_EXIT_PAYLOAD, "6803611a" P O, true},
    {"6804611c" P O REF, MT_CONTROL_DOWN, true, MT_FLAG_EXIT_PAYLOAD | MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "6804611c" P O REF, true},
    {"6804611c" NAMED O REF, MT_CONTROL_DOWN, true, MT_FLAG_EXIT_PAYLOAD | MT_FLAG_MONITOR | MT_FLAG_MONITOR_NAME, "6804611c" NAMED O REF, true},
    {"6806611d" REF P P MFA TERM, MT_CONTROL_SPAWN, true, MT_FLAG_SPAWN, "6806611d" REF P P MFA TERM, true},
    {"6807611e" REF P Q MFA "6a" TOKEN, MT_CONTROL_SPAWN, true, MT_FLAG_SPAWN, "6806611d" REF P Q MFA "6a", true},
    {"6805611f" REF O "6103" P, MT_CONTROL_SPAWN_REPLY, false, MT_FLAG_SPAWN, "6805611f" REF O "6103" P, false},
    {"6805611f" REF O "6100" NAMED, MT_CONTROL_SPAWN_REPLY, false, MT_FLAG_SPAWN, "6805611f" REF O "6100" NAMED, false},
    {"68066120" REF O "6102" P TOKEN, MT_CONTROL_SPAWN_REPLY, false, MT_FLAG_SPAWN, "6805611f" REF O "6102" P, false},
    {"68036121" Q REF, MT_CONTROL_SEND_ALIAS, true, MT_FLAG_ALIAS, "68036121" Q REF, true},
    {"68046122" P REF TOKEN, MT_CONTROL_SEND_ALIAS, true, MT_FLAG_ALIAS, "68036121" P REF, true},
    {"680461236101" P O, MT_CONTROL_UNLINK, false, MT_FLAG_UNLINK_ID, "680461236101" P O, false},
    {"680461236e0800ffffffffffffffff" P O, MT_CONTROL_UNLINK, false, MT_FLAG_UNLINK_ID, "680461236e0800ffffffffffffffff" P O, false},
    {"680461246e04000000ff7f" P O, MT_CONTROL_UNLINK_ACK, false, MT_FLAG_UNLINK_ID, "68046124627fff0000" P O, false},
    {"680461256100" Q O, MT_CONTROL_ALTACT, true, MT_FLAG_ALTACT_SIG, "680461256100" Q O, true},
    {"680461256105" P REF, MT_CONTROL_ALTACT, true, MT_FLAG_ALTACT_SIG, "680461256105" P REF, true},
    {"680461256109" P NAMED, MT_CONTROL_ALTACT, true, MT_FLAG_ALTACT_SIG, "680461256109" P NAMED, true},
    {"680461256111" P O, MT_CONTROL_ALTACT, true, MT_FLAG_ALTACT_SIG, "680461256111" P O, true},
    {"680561256102" P O TOKEN, MT_CONTROL_ALTACT, true, MT_FLAG_ALTACT_SIG, "680461256100" P O, true},
    {"680861256e090001ffffffffffffff01" P O TOKEN "6a" TERM TERM, MT_CONTROL_ALTACT, true, MT_FLAG_ALTACT_SIG, "680461256101" P O, true},
};
#define ROWS (sizeof rows / sizeof *rows)

static enum mt_verdict read_row(const struct row *row, uint64_t flags, struct mt_control *control) {
    return mt_control_read(hex(row->term), row->followed ? hex(TERM) : (mote_bytes){NULL, 0}, flags, (mote_bytes){peer, 3}, control);
}

static void written_is(const struct mt_control *control, uint64_t flags, const char *want, bool want_follows) {
    mote_writer w;
    bool follows = !want_follows;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 4096);
    CHECK_INT(mt_control_write(control, flags, &w, &follows), MT_FINE);
    mote_bytes got = mote_writer_bytes(&w), bytes = hex(want);
    CHECK_INT(got.size, bytes.size);
    CHECK(memcmp(got.data, bytes.data, bytes.size) == 0);
    CHECK(follows == want_follows);
    mote_writer_fini(&w);
}

static void each_form_read_and_written(void) {
    for (size_t i = 0; i < ROWS; i++) {
        struct mt_control c;
        CHECK_INT(read_row(&rows[i], ALL, &c), MT_FINE);
        CHECK_INT(c.op, rows[i].op);
        bool has_payload = rows[i].followed || strstr(rows[i].term + 6, TERM) != NULL;
        if (rows[i].follows) CHECK(has_payload && c.payload.size == hex(TERM).size && memcmp(c.payload.data, hex(TERM).data, c.payload.size) == 0);
        else CHECK_INT(c.payload.size, 0); /* K2 */
        if (i == ROWS - 1) CHECK_INT(c.flags, 1), CHECK(c.flags == MT_ALTACT_PRIORITY);
        written_is(&c, ALL, rows[i].written, rows[i].follows);
    }
}

static void fields(void) {
    struct mt_control c;
    CHECK_INT(mt_control_read(hex("6806611d" REF P O MFA TERM), hex(TERM), ALL, (mote_bytes){peer, 3}, &c), MT_FINE);
    CHECK(c.from.node.size == 3 && memcmp(c.from.node.data, "p@h", 3) == 0 && c.from.id == 0x26 && c.from.serial == 1 && c.from.creation == 0xdeadbeef);
    CHECK(memcmp(c.leader.node.data, "o@h", 3) == 0 && c.leader.id == 0x1b && c.leader.serial == 0 && c.leader.creation == 4);
    CHECK(c.ref.count == 3 && c.ref.words[0] == 0x3ffff && c.ref.words[1] == 0x12345678 && c.ref.words[2] == 0x89abcdef && c.ref.creation == 4);
    CHECK(c.module.size == 1 && c.module.data[0] == 'm' && c.function.data[0] == 'f' && c.arity == 2 && c.options.size == hex(TERM).size);
    CHECK_INT(mt_control_read(hex("680461236e0800ffffffffffffffff" P O), (mote_bytes){NULL, 0}, ALL, (mote_bytes){peer, 3}, &c), MT_FINE);
    CHECK(c.id == UINT64_MAX);
    CHECK_INT(mt_control_read(hex("6805611f" REF O "6103" P), (mote_bytes){NULL, 0}, ALL, (mote_bytes){peer, 3}, &c), MT_FINE);
    CHECK(c.flags == 3 && !c.named);
    CHECK_INT(mt_control_read(hex("6804611c" NAMED O REF), hex(TERM), ALL, (mote_bytes){peer, 3}, &c), MT_FINE);
    CHECK(c.named && c.name.size == 3 && memcmp(c.name.data, "foo", 3) == 0);
}

/* K3: with less agreed on, older forms; and none of what is not there at all. */
static void only_what_is_agreed_on(void) {
    for (size_t i = 0; i < ROWS; i++) {
        struct mt_control c;
        for (unsigned bit = 0; bit < 64; bit++)
            if (rows[i].flags >> bit & 1) CHECK_INT(read_row(&rows[i], ALL & ~MT_FLAG(bit), &c), MT_NO_NOT_AGREED);
        CHECK_INT(read_row(&rows[i], rows[i].flags, &c), MT_FINE);
    }
    struct mt_control c;
    uint64_t old = ALL & ~(MT_FLAG_EXIT_PAYLOAD | MT_FLAG_SEND_SENDER);
    CHECK_INT(read_row(&rows[3], ALL, &c), MT_FINE);
    written_is(&c, old, "68046103" P O TERM, false);
    CHECK_INT(read_row(&rows[6], ALL, &c), MT_FINE);
    written_is(&c, old, "68046108" P O TERM, false);
    CHECK_INT(read_row(&rows[15], ALL, &c), MT_FINE);
    written_is(&c, old, "68056115" P O REF TERM, false);
    CHECK_INT(read_row(&rows[16], ALL, &c), MT_FINE);
    written_is(&c, old, "68036102" NONE O, true);
    static const enum mt_control_op need[] = {MT_CONTROL_MONITOR, MT_CONTROL_DEMONITOR, MT_CONTROL_DOWN, MT_CONTROL_SPAWN, MT_CONTROL_SPAWN_REPLY, MT_CONTROL_SEND_ALIAS, MT_CONTROL_UNLINK, MT_CONTROL_UNLINK_ACK, MT_CONTROL_ALTACT};
    for (size_t i = 0; i < sizeof need / sizeof *need; i++) {
        mote_writer w;
        bool follows;
        mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 4096);
        c = (struct mt_control){.op = need[i]};
        CHECK_INT(mt_control_write(&c, MT_FLAGS_OTP25, &w, &follows), MT_NO_NOT_AGREED);
        CHECK_INT(mote_writer_bytes(&w).size, 0);
        mote_writer_fini(&w);
    }
}

/* K1: one element too few, one too many, one that is something else, nothing behind it, and every beginning. */
static void each_form_spoilt(void) {
    static uint8_t copy[4096];
    for (size_t i = 0; i < ROWS; i++) {
        struct mt_control c = {.id = 77};
        mote_bytes term = hex(rows[i].term), payload = hex(TERM);
        bool grows = rows[i].op == MT_CONTROL_ALTACT;
        memcpy(copy, term.data, term.size);
        copy[1]++, copy[term.size] = 0x6a;
        enum mt_verdict more = mt_control_read((mote_bytes){copy, term.size + 1}, payload, ALL, (mote_bytes){peer, 3}, &c);
        CHECK_INT(more, grows ? MT_FINE : MT_NO_ARITY);
        copy[1] = ((const uint8_t *)term.data)[1];
        CHECK_INT(mt_control_read((mote_bytes){copy, term.size + 1}, payload, ALL, (mote_bytes){peer, 3}, &c), MT_NO_CONTROL);
        c.id = 77;
        for (size_t n = 0; n < term.size; n++) {
            enum mt_verdict verdict = mt_control_read((mote_bytes){copy, n}, payload, ALL, (mote_bytes){peer, 3}, &c);
            CHECK(verdict == MT_NO_CONTROL || verdict == MT_NO_FIELD);
        }
        if (rows[i].followed) CHECK_INT(mt_control_read(term, (mote_bytes){NULL, 0}, ALL, (mote_bytes){peer, 3}, &c), MT_NO_PAYLOAD);
        CHECK_INT(c.id, 77);
    }
}

static void each_element_spoilt(void) {
    static const char *const bad[] = {
        "68036101" O P, "68036101" "7701" "61" O, "68036101" P REF, "68036102" NONE NAMED, "68046106" P NONE P, "68046106" NAMED NONE NAMED, "68046113" P O P, "68046113" P REF REF,
        "68046113" NAMED O REF, "6804611c" P NAMED REF, "6804611c" REF O REF, "6806611d" P P P MFA "6a", "6806611d" REF P NAMED MFA "6a", "6806611d" REF P P NAMED "6a",
        "6806611d" REF P P "680277016d770166" "6a", "6806611d" REF P P "680377016d77016662000001006a", "6806611d" REF P P "680377016d770166770161" "6a",
        "6806611d" REF P P "6803610177016661016a", "6805611f" REF O "62ffffffff" P, "6805611f" REF O NAMED P, "6805611f" REF O "6101" REF, "68036121" P O,
        "680461236100" P O, "6804612362ffffffff" P O, "680461236e09000000000000000000" "01" P O, "680461236e0101" "01" P O, "6804612377016" "1" P O,
        "680461256105" P O, "680461256109" P O, "680461256100" P NAMED, "6804612562ffffffff" P O, "680461256e0101" "01" P O,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mt_control c = {.id = 77};
        enum mt_verdict verdict = mt_control_read(hex(bad[i]), hex(TERM), ALL, (mote_bytes){peer, 3}, &c);
        CHECK_INT(verdict, i == 0 ? MT_NO_FORGED : MT_NO_FIELD);
        CHECK_INT(c.id, 77);
    }
}

static void no_control_at_all(void) {
    static const char *const bad[] = {"", "6101", "6a", "6800", "680161", "68016a", "680177016" "1", "68016100", "68016126", "680161ff", "680162ffffffff", "68036104" P O, "68016105",
                                      "68036109" P O, "68056e0901000000000000000001" P O, "69ffffffff6101", "7400000000", "8368036101" P O, "5016" "0000", "52" "00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mt_control c;
        CHECK_INT(mt_control_read(hex(bad[i]), hex(TERM), ALL, (mote_bytes){peer, 3}, &c), MT_NO_CONTROL);
    }
}

/* K4: a node that speaks for the processes of another. */
static void nobody_speaks_for_another(void) {
    static const char *const forged[] = {"68036101" Q O, "68046103" Q O TERM, "68046108" Q O TERM, "68046113" Q O REF, "68046114" Q O REF, "68036118" Q O, "6803611a" Q O, "6804611b" O O TOKEN,
                                         "6806611d" REF Q P MFA "6a", "680461236101" Q O, "680461246101" Q O, "680461256110" Q O};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct mt_control c;
        CHECK_INT(mt_control_read(hex(forged[i]), hex(TERM), ALL, (mote_bytes){peer, 3}, &c), MT_NO_FORGED);
        CHECK_INT(mt_control_read(hex(forged[i]), hex(TERM), ALL, (mote_bytes){"p@", 2}, &c), MT_NO_FORGED);
        CHECK_INT(mt_control_read(hex(forged[i]), hex(TERM), ALL, (mote_bytes){i == 7 ? "o@h" : "q@h", 3}, &c), MT_FINE);
    }
}

static void a_writer_that_is_full(void) {
    for (size_t i = 0; i < ROWS; i++) {
        struct mt_control c;
        CHECK_INT(read_row(&rows[i], ALL, &c), MT_FINE);
        size_t whole = hex(rows[i].written).size;
        for (size_t room = 0; room <= whole; room++) {
            uint8_t memory[200];
            mote_writer w;
            bool follows;
            mote_writer_init(&w, MOTE_FORM_ERLANG, memory, room, room);
            CHECK_INT(mt_control_write(&c, ALL, &w, &follows), room < whole ? MT_NO_MEMORY : MT_FINE);
            mote_writer_fini(&w);
        }
    }
}

int main(int argc, char **argv) {
    return check_main(argc, argv,
                      (struct check_test[]){TEST(each_form_read_and_written), TEST(fields), TEST(only_what_is_agreed_on), TEST(each_form_spoilt),
                                            TEST(each_element_spoilt), TEST(no_control_at_all), TEST(nobody_speaks_for_another), TEST(a_writer_that_is_full), {0}});
}
