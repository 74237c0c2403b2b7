/* SPDX-License-Identifier: Apache-2.0
 * Our side of tests/dist_erlang.py: a node made of epmd.h, handshake.h, frame.h and control.h over plain sockets, which meets an Erlang node.
 *
 *   peer EPMD_PORT COOKIE ERLANG_NODE [RECORD]      RECORD: a file into which all that comes is written, in hexadecimal digits
 *
 * It registers, asks where the other is, dials it, has terms echoed by the process registered there as `probe`, exchanges ticks, closes, and is dialled by it; then by
 * erl_call, which knows neither headers nor pieces, and by a node that has no name. */
#include <arpa/inet.h>
#include <errno.h>
#include <mote/external.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "check.h"
#include "dist/control.h"
#include "dist/epmd.h"
#include "dist/frame.h"
#include "dist/handshake.h"

#define OUR_NODE "motepeer@localhost"
#define WAIT_MS 60000
#define LARGE 300000u
#define OUR_CREATION 0x5a5a5a5au

static struct {
    unsigned epmd_port;
    const char *cookie, *node;
    FILE *record;
    int alive, listener; /* sockets: of our registration, and where we are dialled */
    struct mt_challenges *challenges;
    struct mt_shake_self self;
} g;

static mote_bytes text(const char *s) { return (mote_bytes){s, strlen(s)}; }

static void note(const char *kind, mote_bytes bytes) {
    if (!g.record) return;
    fprintf(g.record, "%s ", kind);
    for (size_t i = 0; i < bytes.size; i++) fprintf(g.record, "%02x", ((const uint8_t *)bytes.data)[i]);
    fprintf(g.record, "\n");
}

/* ------------------------------------------------------------------------------------------------ sockets */

static int dial(unsigned port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static int listen_anywhere(unsigned *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 5) == 0 && getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void put(int fd, mote_bytes bytes) {
    const uint8_t *p = bytes.data;
    for (size_t n = 0; n < bytes.size;) {
        ssize_t wrote = send(fd, p + n, bytes.size - n, MSG_NOSIGNAL);
        CHECK(wrote > 0);
        n += (size_t)wrote;
    }
}

/* What has come, at least a byte of it; 0: the other has closed. */
static size_t get(int fd, void *to, size_t size) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK(poll(&ready, 1, WAIT_MS) == 1);
    ssize_t got = recv(fd, to, size, 0);
    CHECK(got >= 0 || errno == ECONNRESET);
    return got > 0 ? (size_t)got : 0;
}

/* ------------------------------------------------------------------------------------------------ epmd */

static void register_us(void) {
    uint8_t ask[MT_EPMD_ASK_MAX], answer[16];
    unsigned port;
    uint32_t creation = 0;
    g.listener = listen_anywhere(&port);
    g.alive = dial(g.epmd_port);
    put(g.alive, (mote_bytes){ask, mt_epmd_ask_alive(ask, text("motepeer"), (uint16_t)port, true)});
    size_t size = 0;
    enum mt_verdict verdict;
    do {
        size_t got = get(g.alive, answer + size, sizeof answer - size);
        CHECK(got > 0);
        size += got;
        verdict = mt_epmd_alive_answer((mote_bytes){answer, size}, &creation);
    } while (verdict == MT_MORE);
    note("epmd-alive", (mote_bytes){answer, size});
    CHECK_INT(verdict, MT_FINE);
    CHECK(creation >= 4);
}

/* Asks, and reads until epmd closes. */
static size_t ask_epmd(const uint8_t *ask, size_t size, uint8_t *answer, size_t room) {
    int fd = dial(g.epmd_port);
    size_t come = 0, got;
    put(fd, (mote_bytes){ask, size});
    while ((got = get(fd, answer + come, room - come)) > 0) come += got;
    close(fd);
    return come;
}

static void see(void *context, const struct mt_epmd_node *node) {
    unsigned *ours = context;
    *ours += node->name.size == 8 && memcmp(node->name.data, "motepeer", 8) == 0;
}

static unsigned port_of(const char *alive, size_t size) {
    uint8_t ask[MT_EPMD_ASK_MAX];
    static uint8_t answer[MT_EPMD_NAMES_MAX];
    struct mt_epmd_node node;
    unsigned ours = 0;
    size_t come = ask_epmd(ask, mt_epmd_ask_names(ask), answer, sizeof answer);
    note("epmd-names", (mote_bytes){answer, come});
    CHECK_INT(mt_epmd_names_answer((mote_bytes){answer, come}, (uint16_t)g.epmd_port, see, &ours), MT_FINE);
    CHECK_INT(ours, 1);
    come = ask_epmd(ask, mt_epmd_ask_port(ask, text("nobody")), answer, sizeof answer);
    note("epmd-port", (mote_bytes){answer, come});
    CHECK_INT(mt_epmd_port_answer((mote_bytes){answer, come}, text("nobody"), &node), MT_NO_UNKNOWN);
    come = ask_epmd(ask, mt_epmd_ask_port(ask, (mote_bytes){alive, size}), answer, sizeof answer);
    note("epmd-port", (mote_bytes){answer, come});
    CHECK_INT(mt_epmd_port_answer((mote_bytes){answer, come}, (mote_bytes){alive, size}, &node), MT_FINE);
    return node.port;
}

/* ------------------------------------------------------------------------------------------------ the handshake */

static size_t cookie(void *context, mote_bytes peer, char to[MT_COOKIE_MAX]) {
    (void)context;
    CHECK(peer.size > 0);
    memcpy(to, g.cookie, strlen(g.cookie));
    return strlen(g.cookie);
}

static enum mt_shake_step answer(struct mt_shake *s) {
    switch (s->step) {
    case MT_SHAKE_NAMED: return mt_shake_decide(s, MT_SHAKE_STRANGER, 0);
    case MT_SHAKE_LINKED: return mt_shake_insist(s, true);
    case MT_SHAKE_PROVEN: return mt_shake_admit(s, true);
    default: return s->step;
    }
}

/* To its end. No byte behind it is taken from the socket: what comes is read byte by byte. */
static void shake_hands(struct mt_shake *s, int fd) {
    uint8_t byte, come[4096];
    size_t used, size = 0;
    char why[400];
    note(s->dialling ? "handshake-dial" : "handshake-accept", (mote_bytes){g.cookie, 0});
    while (s->step != MT_SHAKE_UP && s->step != MT_SHAKE_OVER) {
        put(fd, mt_shake_out(s));
        if (get(fd, &byte, 1) == 0) check_failed(__FILE__, __LINE__, "the node has closed the connection in the handshake");
        CHECK(size < sizeof come);
        come[size++] = byte;
        mt_shake_feed(s, &byte, 1, 0, &used);
        CHECK_INT(used, 1);
        answer(s);
    }
    put(fd, mt_shake_out(s));
    note("handshake", (mote_bytes){come, size});
    note("challenge", (mote_bytes){(uint8_t[]){(uint8_t)(s->challenge >> 24), (uint8_t)(s->challenge >> 16), (uint8_t)(s->challenge >> 8), (uint8_t)s->challenge}, 4});
    if (s->step == MT_SHAKE_OVER) check_failed(__FILE__, __LINE__, mt_shake_print(s, why, sizeof why));
}

/* ------------------------------------------------------------------------------------------------ a connection */

struct connection {
    int fd;
    struct mt_shake shake;
    struct mt_frames_in *in;
    struct mt_frames_out *out;
    uint8_t come[65536];
    size_t size, at;
    unsigned ticks;
};

static void begin(struct connection *c, uint64_t flags) {
    CHECK(c->shake.flags == flags);
    CHECK_OK(mt_frames_in_new(c->shake.flags, NULL, &c->in));
    CHECK_OK(mt_frames_out_new(c->shake.flags, &c->out));
    uint8_t lacks = (uint8_t)((flags & MT_FLAG_ATOM_CACHE ? 0 : 1) | (flags & MT_FLAG_FRAGMENTS ? 0 : 2)); /* as dist_frame_fuzz.c has it */
    note("frames", (mote_bytes){&lacks, 1});
}

static void end(struct connection *c) {
    mt_frames_in_free(c->in), mt_frames_out_free(c->out);
    close(c->fd);
}

static struct mt_far_pid our_pid(void) { return (struct mt_far_pid){{OUR_NODE, sizeof OUR_NODE - 1, false}, 5, 0, OUR_CREATION}; }

/* {What, Pid, Payload}, to the process registered as `probe`. */
static void send_probe(struct connection *c, const char *what, mote_bytes payload) {
    struct mt_control control = {.op = MT_CONTROL_SEND_NAMED, .from = our_pid(), .name = {"probe", 5, false}};
    mote_writer head, body, wire;
    bool follows;
    struct mt_far_pid pid = our_pid();
    mote_writer_init(&head, MOTE_FORM_ERLANG, NULL, 0, 4096);
    mote_writer_init(&body, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
    mote_writer_init(&wire, MOTE_FORM_ERLANG, NULL, 0, 1 << 24);
    CHECK_INT(mt_control_write(&control, c->shake.flags, &head, &follows), MT_FINE);
    CHECK(follows && mote_tuple_write(&body, 3) && mote_atom_write(&body, what, strlen(what)));
    CHECK(mote_far_pid_write(&body, text(OUR_NODE), pid.id, pid.serial, pid.creation) && mote_raw_write(&body, payload.data, payload.size));
    CHECK_OK(mt_frames_out_put(c->out, 1, mote_writer_bytes(&head), mote_writer_bytes(&body), NULL, NULL));
    while (mt_frames_out_take(c->out, &wire) == MT_FINE) {}
    put(c->fd, mote_writer_bytes(&wire));
    mote_writer_fini(&head), mote_writer_fini(&body), mote_writer_fini(&wire);
}

/* The next control message, ticks counted; false: the other has closed. */
static bool receive(struct connection *c, struct mt_control *control, unsigned ticks_wanted) {
    for (;;) {
        struct mt_frame frame;
        size_t used = 0;
        enum mt_verdict verdict = mt_frames_in_feed(c->in, c->come + c->at, c->size - c->at, &used, &frame);
        c->at += used;
        if (verdict == MT_FINE && frame.tick && ++c->ticks == ticks_wanted) return true;
        if (verdict == MT_FINE && !frame.tick) {
            enum mt_verdict read = mt_control_read(frame.control, frame.payload, c->shake.flags, (mote_bytes){c->shake.peer, c->shake.peer_size}, control);
            if (read != MT_FINE) check_failed(__FILE__, __LINE__, mt_verdict_text(read));
            return true;
        }
        if (verdict == MT_FINE) continue;
        if (verdict != MT_MORE) check_failed(__FILE__, __LINE__, mt_verdict_text(verdict));
        c->at = 0;
        c->size = get(c->fd, c->come, sizeof c->come);
        note("come", (mote_bytes){c->come, c->size});
        if (c->size == 0) return false;
    }
}

/* {`tag`, Term} to our pid, or the name `inbox`; what else comes (to rex, net_kernel) is passed over. Term's bytes. */
static mote_bytes receive_tagged(struct connection *c, const char *tag) {
    struct mt_control control;
    for (;;) {
        CHECK(receive(c, &control, 0));
        bool ours = (control.op == MT_CONTROL_SEND && control.to.id == 5 && control.to.creation == OUR_CREATION) ||
                    (control.op == MT_CONTROL_SEND_NAMED && control.name.size == 5 && memcmp(control.name.data, "inbox", 5) == 0);
        if (!ours) continue;
        mote_reader r;
        mote_token t;
        mote_reader_init(&r, MOTE_FORM_ERLANG, control.payload.data, control.payload.size);
        CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_TUPLE && t.count == 2);
        CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_ATOM && t.name.size == strlen(tag) && memcmp(t.name.data, tag, t.name.size) == 0);
        const uint8_t *term = r.next;
        CHECK(mote_reader_skip(&r, 1));
        return (mote_bytes){term, (size_t)(r.next - term)};
    }
}

/* ------------------------------------------------------------------------------------------------ the course of it */

/* A term there and back, which is the same then. */
static void echo(struct connection *c, const char *erlang) {
    mote_arena *arena = mote_arena_new(0);
    mote_term term, back;
    mote_writer w;
    mote_writer_init(&w, MOTE_FORM_ERLANG, NULL, 0, 1 << 20);
    CHECK_OK(mote_term_parse(arena, erlang, strlen(erlang), &term, NULL));
    CHECK_OK(mote_term_encode(term, NULL, &w));
    send_probe(c, "echo", mote_writer_bytes(&w));
    mote_bytes bytes = receive_tagged(c, "echoed");
    CHECK_OK(mote_term_decode(arena, bytes.data, bytes.size, NULL, &back, NULL));
    CHECK(mote_term_same(term, back));
    mote_writer_fini(&w);
    mote_arena_free(arena);
}

/* A binary in pieces, there and back. */
static void echo_large(struct connection *c) {
    static uint8_t term[5 + LARGE];
    term[0] = 109;
    mote_put32_(term + 1, LARGE);
    for (size_t i = 0; i < LARGE; i++) term[5 + i] = (uint8_t)(i * i >> 7);
    send_probe(c, "echo", (mote_bytes){term, sizeof term});
    mote_bytes back = receive_tagged(c, "echoed");
    CHECK(back.size == sizeof term && memcmp(back.data, term, sizeof term) == 0);
}

static void as_dialler(void) {
    static struct connection c;
    struct mt_control control;
    const char *at = strchr(g.node, '@');
    CHECK(at);
    c.fd = dial(port_of(g.node, (size_t)(at - g.node)));
    mt_shake_dial(&c.shake, &g.self, text(g.node), 0);
    shake_hands(&c.shake, c.fd);
    begin(&c, MT_FLAGS_OFFERED);
    for (int i = 0; i < 3; i++) { /* with atoms that are new, and then known */
        echo(&c, "{hello, [world, 'h\303\251llo', {nested, #{key => value}}], 1.5, -3, 123456789012345678901234567890}");
        echo(&c, "[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z]");
        echo_large(&c);
    }
    put(c.fd, (mote_bytes){"\0\0\0\0", MT_TICK_BYTES});
    while (c.ticks == 0) CHECK(receive(&c, &control, 1)); /* theirs */
    echo(&c, "still_there");
    send_probe(&c, "dial", (mote_bytes){"\x6a", 1});
    receive_tagged(&c, "dialling");
    end(&c);
}

static void accept_one(struct connection *c) {
    struct pollfd ready = {.fd = g.listener, .events = POLLIN};
    CHECK(poll(&ready, 1, WAIT_MS) == 1);
    c->fd = accept(g.listener, NULL, NULL);
    CHECK(c->fd >= 0);
    mt_shake_accept(&c->shake, &g.self, 0);
    shake_hands(&c->shake, c->fd);
}

/* What another program said that connected to us at their wish. */
static void check_said(struct connection *c, const char *want) {
    mote_bytes said = receive_tagged(c, "said");
    char got[200];
    CHECK(said.size >= 5);
    snprintf(got, sizeof got, "%.*s", (int)said.size - 5, (const char *)said.data + 5);
    CHECK_STR(got, want);
}

/* {rex, {hello, back}} to a pid. */
static void answer_call(struct connection *c, const struct mt_control *call) {
    mote_reader r;
    mote_token t, pid;
    mote_writer head, body, wire;
    bool follows;
    mote_reader_init(&r, MOTE_FORM_ERLANG, call->payload.data, call->payload.size);
    CHECK(mote_token_read(&r, &t) && t.kind == MOTE_TOKEN_TUPLE && mote_token_read(&r, &pid) && pid.kind == MOTE_TOKEN_PID);
    struct mt_control control = {.op = MT_CONTROL_SEND, .to = {pid.name, pid.words[0], pid.words[1], pid.creation}, .from = our_pid(), .sender = true};
    mote_writer_init(&head, MOTE_FORM_ERLANG, NULL, 0, 4096), mote_writer_init(&body, MOTE_FORM_ERLANG, NULL, 0, 4096), mote_writer_init(&wire, MOTE_FORM_ERLANG, NULL, 0, 4096);
    CHECK_INT(mt_control_write(&control, c->shake.flags, &head, &follows), MT_FINE);
    CHECK(mote_tuple_write(&body, 2) && mote_atom_write(&body, "rex", 3) && mote_tuple_write(&body, 2) && mote_atom_write(&body, "hello", 5) && mote_atom_write(&body, "back", 4));
    CHECK_OK(mt_frames_out_put(c->out, 1, mote_writer_bytes(&head), mote_writer_bytes(&body), NULL, NULL));
    CHECK_INT(mt_frames_out_take(c->out, &wire), MT_FINE);
    put(c->fd, mote_writer_bytes(&wire));
    mote_writer_fini(&head), mote_writer_fini(&body), mote_writer_fini(&wire);
}

static void erl_call_dials(struct connection *probe) {
    static struct connection c;
    struct mt_control control;
    send_probe(probe, "call", (mote_bytes){"\x77\x12" OUR_NODE, 2 + sizeof OUR_NODE - 1});
    accept_one(&c);
    CHECK(!(c.shake.flags & (MT_FLAG_ATOM_CACHE | MT_FLAG_FRAGMENTS | MT_FLAG_SEND_SENDER)));
    begin(&c, c.shake.flags);
    CHECK(receive(&c, &control, 0) && control.op == MT_CONTROL_SEND_NAMED && memcmp(control.name.data, "rex", 3) == 0);
    answer_call(&c, &control);
    while (receive(&c, &control, 0)) {}
    end(&c);
    check_said(probe, "{hello, back}");
}

static void a_node_without_a_name_dials(struct connection *probe) {
    static struct connection c;
    send_probe(probe, "nameless", (mote_bytes){"\x77\x12" OUR_NODE, 2 + sizeof OUR_NODE - 1});
    accept_one(&c);
    CHECK(c.shake.nameless);
    begin(&c, MT_FLAGS_OFFERED);
    mote_bytes name = receive_tagged(&c, "hi");
    CHECK(name.size == 2 + c.shake.peer_size && memcmp((const char *)name.data + 2, c.shake.peer, c.shake.peer_size) == 0); /* it knows how we have called it */
    end(&c);
    check_said(probe, "");
}

static void as_acceptor(void) {
    static struct connection c;
    struct mt_control control;
    accept_one(&c);
    CHECK(c.shake.peer_size == strlen(g.node) && memcmp(c.shake.peer, g.node, c.shake.peer_size) == 0 && !c.shake.nameless);
    begin(&c, MT_FLAGS_OFFERED);
    receive_tagged(&c, "hi");
    echo(&c, "{dialled, by, erlang}");
    echo_large(&c);
    erl_call_dials(&c);
    a_node_without_a_name_dials(&c);
    send_probe(&c, "stop", (mote_bytes){"\x6a", 1});
    while (receive(&c, &control, 0)) {} /* it ends */
    end(&c);
}

/* Wrong cookies end a handshake on either side, and the node does not mind. */
static void with_a_wrong_cookie(void) {
    const char *right = g.cookie, *at = strchr(g.node, '@');
    struct mt_shake s;
    uint8_t bytes[500];
    size_t used, size;
    g.cookie = "not_the_cookie";
    int fd = dial(port_of(g.node, (size_t)(at - g.node)));
    mt_shake_dial(&s, &g.self, text(g.node), 0);
    do {
        put(fd, mt_shake_out(&s));
        size = get(fd, bytes, sizeof bytes);
        mt_shake_feed(&s, bytes, size, 0, &used);
    } while (size > 0);
    CHECK_INT(s.step, MT_SHAKE_WAITS); /* it has closed without a word */
    close(fd);
    g.cookie = right;
}

static void meets_erlang(void) {
    g.self = (struct mt_shake_self){.name = text(OUR_NODE), .creation = OUR_CREATION, .flags = MT_FLAGS_OFFERED, .prefix = 2, .cookie = cookie};
    CHECK_OK(mt_challenges_new(&g.challenges));
    g.self.challenges = g.challenges;
    register_us();
    with_a_wrong_cookie();
    as_dialler();
    as_acceptor();
    close(g.alive), close(g.listener);
    mt_challenges_free(g.challenges);
    if (g.record) fclose(g.record);
}

int main(int argc, char **argv) {
    CHECK(argc >= 4);
    g.epmd_port = (unsigned)strtoul(argv[1], NULL, 10);
    g.cookie = argv[2];
    g.node = argv[3];
    if (argc > 4) CHECK((g.record = fopen(argv[4], "w")));
    return check_main(1, argv, (struct check_test[]){TEST(meets_erlang), {0}});
}
