/* SPDX-License-Identifier: Apache-2.0
 * Nodes with TLS: runtimes of this program, and sockets that are no nodes. */
#include <openssl/ssl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/os_fd.h"
#include "crl.h"
#include "dist/node.h"
#include "nodes.h"

static char work[64];
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static unsigned lines;    /* mu: of all logs */
static char last[8][300]; /* mu: of which these are the last */

static void keep_log(void *context, mote_log_level level, const char *text) {
    (void)context, (void)level;
    pthread_mutex_lock(&mu);
    snprintf(last[lines++ % 8], sizeof last[0], "%s", text);
    pthread_mutex_unlock(&mu);
}

static bool is_among(const char *text) {
    bool is = false;
    pthread_mutex_lock(&mu);
    for (unsigned i = 0; i < 8; i++) is = is || strstr(last[i], text);
    pthread_mutex_unlock(&mu);
    return is;
}

/* Waits until that is logged, by whichever node. */
static void logs(const char *text) { WAIT_UNTIL(nodes[0].self, is_among(text)); }

static void remove_all(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    CHECK_INT(system(command), 0);
}

/* A folder with certificates: "ca/127.0.0.1" is made by the authority `ca`. */
static const char *folder(const char *ca, const char *who) {
    static char path[4][200];
    static unsigned used;
    char why[300] = "";
    if (!*work) {
        snprintf(work, sizeof work, "/tmp/mote-tls-XXXXXX");
        CHECK(mkdtemp(work));
        atexit(remove_all);
        epmd_port = free_port();
    }
    char *to = path[used++ % 4];
    snprintf(to, 200, "%s/%s", work, ca);
    mote_err err = mote_cert_make(to, who, 0, false, why, sizeof why);
    if (err && err != MOTE_EBUSY) CHECK_STR(why, "");
    snprintf(to, 200, "%s/%s/%s", work, ca, who);
    return to;
}

static void echo(mote_self *self, mote_term arg) {
    mote_term m, from, what;
    (void)arg;
    while (!mote_receive(self, -1, &m))
        if (mote_match(m, "{?, ?}", &from, &what)) CHECK_OK((mote_send_term)(self, from, what));
}

static mote_err start(unsigned i, mote_node_options node, char *why, size_t size) {
    struct node *n = &nodes[i];
    mote_err err = enter(i, (mote_options){.log = keep_log}, node, why, size);
    if (err) return err;
    CHECK_OK(mote_spawn(n->self, echo, MOTE_TERM_NIL, &n->echo));
    CHECK_OK(mote_register(n->self, mote_atom_make("echo"), n->echo));
    return MOTE_OK;
}

static void begin(unsigned i, const char *name, const char *tls) {
    char why[400] = "";
    if (start(i, (mote_node_options){.name = name, .tls = tls}, why, sizeof why)) CHECK_STR(why, "");
}

static void echoes(unsigned who, unsigned node, size_t size) {
    mote_term to;
    mote_bytes bytes;
    mote_arena *arena = mote_arena_new(0);
    uint8_t *big = malloc(size);
    CHECK(arena && big);
    memset(big, 5, size);
    CHECK_OK(mote_build(arena, &to, "{echo, ?}", nodes[node].name));
    CHECK_OK(mote_send(nodes[who].self, to, "{?, ?}", mote_self_pid(nodes[who].self), mote_binary_make(arena, big, size)));
    CHECK_OK(mote_bytes_get(got(who), &bytes));
    CHECK(bytes.size == size && memcmp(bytes.data, big, size) == 0);
    free(big);
    mote_arena_free(arena);
}

static bool connects(unsigned who, unsigned node) {
    mote_err err = mote_node_connect(nodes[who].self, nodes[node].name, -1);
    CHECK(!err || err == MOTE_ENOPROC);
    return !err;
}

static size_t connected(unsigned who) {
    size_t count;
    CHECK_OK(mote_nodes(nodes[who].self, true, NULL, 0, &count));
    return count;
}

/* ------------------------------------------------------------------------------------------------- the tests */

static void talk(void) {
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(1, "b@127.0.0.1", folder("ca", "b@127.0.0.1"));
    echoes(0, 1, 10);
    echoes(1, 0, 3000000);
    echoes(0, 1, 20000000);
    CHECK_INT(connected(0), 1);
    leave_all();
}

/* No way back to TCP, on either side. */
static void not_with_those_without(void) {
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(1, "b@127.0.0.1", NULL);
    CHECK(!connects(0, 1) && !connects(1, 0));
    logs("has it another cookie, or TLS? Its log says why");
    logs("what it sends is no TLS: has it been started without?");
    leave_all();
}

static void not_with_strangers(void) {
    char why[300];
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(1, "b@127.0.0.1", folder("another", "127.0.0.1"));
    CHECK(!connects(0, 1) && !connects(1, 0));
    logs("cannot connect to b@127.0.0.1: its certificate is refused: ");
    CHECK_OK(start(2, (mote_node_options){.name = "c@127.0.0.1", .cookie = "another", .tls = folder("ca", "127.0.0.1")}, why, sizeof why));
    CHECK(!connects(0, 2) && !connects(2, 0)); /* a certificate is no cookie */
    logs("wrong cookie");
    leave_all();
}

/* A name that the certificate is not for is not had by others either: who claims it is refused before it can take anybody's place. */
static void not_in_anothers_name(void) {
    char why[400];
    mote_node_options wrong = {.name = "a@localhost", .tls = folder("ca", "127.0.0.1")};
    CHECK_INT(start(3, wrong, why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "this certificate is not for a@localhost"));
    leave(3);
    wrong = (mote_node_options){.name = "a@127.0.0.1", .tls = folder("ca", "b@127.0.0.1")};
    CHECK_INT(start(3, wrong, why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "this certificate is not for a@127.0.0.1"));
    leave(3);
    wrong.tls = "/nowhere";
    CHECK_INT(start(3, wrong, why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "/nowhere/ca.pem"));
    leave(3);
    begin(0, "a@localhost", folder("ca", "localhost"));
    begin(1, "b@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(2, "c@127.0.0.1", folder("ca", "c@127.0.0.1"));
    CHECK_OK(mote_node_at(nodes[1].self, mote_atom_make("d@127.0.0.1"), "127.0.0.1", mt_dist_of(nodes[0].runtime)->port)); /* another answers there */
    CHECK_INT(mote_node_connect(nodes[1].self, mote_atom_make("d@127.0.0.1"), -1), MOTE_ENOPROC);
    logs("cannot connect to d@127.0.0.1: its certificate is refused: it is for another host, or for other nodes");
    CHECK_OK(mote_node_at(nodes[1].self, mote_atom_make("e@127.0.0.1"), "127.0.0.1", mt_dist_of(nodes[2].runtime)->port));
    CHECK_INT(mote_node_connect(nodes[1].self, mote_atom_make("e@127.0.0.1"), -1), MOTE_ENOPROC);
    logs("cannot connect to e@127.0.0.1: its certificate is refused: it is for another host, or for other nodes");
    CHECK(connects(1, 2));
    leave_all();
}

static void elsewhere_without_insecure(void) {
    char why[300];
    const mote_node_options options = {.name = "a@127.0.0.1", .address = "0.0.0.0", .tls = folder("ca", "127.0.0.1")};
    CHECK_OK(start(0, options, why, sizeof why));
    CHECK_INT(start(1, (mote_node_options){.name = "b@127.0.0.1", .address = "0.0.0.0"}, why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "`tls` protects, `insecure` allows it"));
    leave_all();
}

static void new_certificates(void) {
    char why[400], path[300];
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(1, "b@127.0.0.1", folder("ca", "b@127.0.0.1"));
    CHECK_INT(mote_node_tls_reload(NULL, NULL, 0), MOTE_ESELF);
    echoes(0, 1, 10);
    snprintf(path, sizeof path, "%s/ca", work);
    char moved[300];
    snprintf(moved, sizeof moved, "%s/old", work);
    CHECK_OK(rename(path, moved));
    CHECK_INT(mote_node_tls_reload(nodes[1].self, why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "/ca/b@127.0.0.1/ca.pem: no certificate of an authority can be used"));
    (void)folder("ca", "127.0.0.1"); /* of another authority */
    (void)folder("ca", "b@127.0.0.1");
    CHECK_OK(mote_node_monitor(nodes[0].self, nodes[1].name, true));
    CHECK_OK(mote_node_tls_reload(nodes[1].self, why, sizeof why));
    CHECK(mote_match(got(0), "{nodedown, _}")); /* its certificate is of an authority that is none any more */
    logs("the connection is given up to a@127.0.0.1: its certificate does not hold any more: ");
    CHECK(!connects(0, 1)); /* the other has the old ones */
    CHECK_OK(mote_node_tls_reload(nodes[0].self, why, sizeof why));
    echoes(0, 1, 10);
    begin(2, "c@127.0.0.1", NULL);
    CHECK_INT(mote_node_tls_reload(nodes[2].self, why, sizeof why), MOTE_ENOPROC);
    CHECK_STR(why, "this is no node with TLS");
    leave_all();
}

static void read_text(const char *ca, const char *file, char to[MT_PEM_MAX]) {
    char path[300];
    size_t size;
    snprintf(path, sizeof path, "%s/%s/%s", work, ca, file);
    CHECK_OK(mt_os_file_read(path, to, MT_PEM_MAX - 1, &size));
    to[size] = 0;
}

static void authority_of(const char *ca, struct mt_cert_pair *pair) {
    read_text(ca, "ca.pem", pair->certificate);
    read_text(ca, "ca-key.pem", pair->key);
}

static void put_text(const char *folder, const char *file, const char *text, unsigned mode) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    CHECK_OK(mt_os_file_replace(path, text, strlen(text), mode));
}

/* A connection ends when the peer's certificate is taken back; others stay. */
static void taken_back(void) {
    struct mt_openssl lib;
    struct mt_cert_pair ca;
    char list[MT_PEM_MAX], gone[MT_PEM_MAX], why[300];
    begin(0, "a@127.0.0.1", folder("lists", "127.0.0.1"));
    begin(1, "b@127.0.0.1", folder("lists", "b@127.0.0.1"));
    begin(2, "c@127.0.0.1", folder("lists", "c@127.0.0.1"));
    echoes(0, 1, 10);
    echoes(2, 0, 10);
    CHECK(mt_openssl_load(&lib));
    authority_of("lists", &ca);
    read_text("lists", "b@127.0.0.1/cert.pem", gone);
    crl_of(&lib, &ca, gone, 3600, list);
    put_text(folder("lists", "127.0.0.1"), "crl.pem", list, 0444);
    CHECK_OK(mote_nodes_monitor(nodes[0].self, true));
    CHECK_OK(mote_nodes_monitor(nodes[1].self, true));
    CHECK_OK(mote_node_tls_reload(nodes[0].self, why, sizeof why));
    CHECK(mote_match(got(0), "{nodedown, 'b@127.0.0.1'}"));
    CHECK(mote_match(got(1), "{nodedown, 'a@127.0.0.1'}"));
    logs("the connection is given up to b@127.0.0.1: its certificate does not hold any more: certificate revoked");
    CHECK(!connects(0, 1) && !connects(1, 0));
    CHECK_INT(connected(0), 1);
    CHECK_OK(mote_nodes_monitor(nodes[0].self, false));
    echoes(0, 2, 10);
    echoes(2, 0, 100000);
    leave_all();
}

/* It ends at the first tick after the peer's certificate has expired. A machine that takes longer than that tries with a longer one. */
static void expires(void) {
    struct mt_openssl lib;
    struct mt_cert_pair ca, pair;
    char why[300];
    CHECK(mt_openssl_load(&lib));
    const char *of_b = folder("short", "b@127.0.0.1");
    CHECK_OK(start(0, (mote_node_options){.name = "a@127.0.0.1", .tls = folder("short", "127.0.0.1"), .tick_ms = 8000}, why, sizeof why));
    authority_of("short", &ca);
    for (int seconds = 2;; seconds *= 2) {
        const struct mt_cert_wish wish = {.subject = "b", .names = "DNS:127.0.0.1,IP:127.0.0.1", .from_s = -3600, .until_s = seconds};
        CHECK_OK(mt_cert_issue(&lib, &wish, &ca, &pair));
        put_text(of_b, "key.pem", pair.key, 0400);
        put_text(of_b, "cert.pem", pair.certificate, 0444);
        if (!start(1, (mote_node_options){.name = "b@127.0.0.1", .tls = of_b, .tick_ms = 8000}, why, sizeof why) && connects(0, 1)) break;
        leave(1);
        CHECK(seconds < 100);
    }
    CHECK_OK(mote_node_monitor(nodes[0].self, nodes[1].name, true));
    CHECK(mote_match(got(0), "{nodedown, 'b@127.0.0.1'}"));
    logs("the connection is given up to b@127.0.0.1: its certificate does not hold any more: certificate has expired");
    CHECK(!connects(0, 1));
    leave_all();
}

static void many_connect_at_once(void) {
    mote_ref ref;
    bool up;
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(1, "b@127.0.0.1", folder("ca", "127.0.0.1"));
    CHECK_OK(mote_nodes_monitor(nodes[0].self, true));
    for (int round = 0; round < scaled(40); round++) { /* both dial */
        CHECK_OK(mote_node_connect_start(nodes[1].self, nodes[0].name, &ref));
        CHECK(connects(0, 1));
        CHECK_OK(mote_receive_match(nodes[1].self, PATIENCE_MS, "{mote_node, ^, ?}", ref, &up));
        CHECK(up);
        CHECK_OK(mote_node_disconnect(nodes[0].self, nodes[1].name));
        CHECK_OK(mote_receive_match(nodes[0].self, PATIENCE_MS, "{nodedown, _}"));
        WAIT_UNTIL(nodes[1].self, connected(1) == 0);
    }
    leave_all();
}

/* ------------------------------------------------------------------------------------------ sockets that are no nodes */

static int dialled(unsigned node) {
    int fd;
    uint16_t port;
    (void)mote_node_name(nodes[node].self, NULL, &port);
    CHECK_OK(mt_net_dial("127.0.0.1", port, &fd));
    CHECK_OK(mote_fd_wait(nodes[node].self, fd, MOTE_WRITE, PATIENCE_MS, NULL));
    CHECK_OK(mt_net_dialled(fd));
    return fd;
}

static void silent_ones_keep_nobody_out(void) {
    enum { SILENT = 200 };
    int fd[SILENT];
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    begin(1, "b@127.0.0.1", folder("ca", "127.0.0.1"));
    for (int i = 0; i < SILENT; i++) fd[i] = dialled(0);
    uint64_t since = now_ns();
    echoes(1, 0, 10);
    CHECK(under_tool() || ms_since(since) < 6000); /* before they are closed */
    for (int i = 0; i < SILENT; i++) { /* and they are closed */
        char c;
        size_t n;
        while (mt_net_read(fd[i], &c, 1, &n) == MOTE_TIMEOUT) CHECK_OK(mote_fd_wait(nodes[1].self, fd[i], MOTE_READ, PATIENCE_MS, NULL));
        mt_os_close(fd[i]);
    }
    CHECK(ms_since(since) < 40000 || under_tool()); /* each has 7 s */
    logs("it did not answer in time");
    leave_all();
}

/* Who has a certificate, and says too much at first. */
static void first_message_is_too_long(void) {
    static const uint8_t first[] = {0, 16, 0, 0, 'N'};
    char path[300], more[10];
    begin(0, "a@127.0.0.1", folder("ca", "127.0.0.1"));
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    snprintf(path, sizeof path, "%s/cert.pem", folder("ca", "127.0.0.1"));
    CHECK(context && SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM) == 1);
    snprintf(path, sizeof path, "%s/key.pem", folder("ca", "127.0.0.1"));
    CHECK(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1);
    SSL *ssl = SSL_new(context);
    int fd = dialled(0), done = 0;
    CHECK(ssl && SSL_set_fd(ssl, fd));
    while ((done = SSL_connect(ssl)) != 1) {
        CHECK_INT(SSL_get_error(ssl, done), SSL_ERROR_WANT_READ);
        CHECK_OK(mote_fd_wait(nodes[0].self, fd, MOTE_READ, PATIENCE_MS, NULL));
    }
    CHECK_INT(SSL_write(ssl, first, sizeof first), sizeof first);
    while ((done = SSL_read(ssl, more, sizeof more)) <= 0 && SSL_get_error(ssl, done) == SSL_ERROR_WANT_READ) CHECK_OK(mote_fd_wait(nodes[0].self, fd, MOTE_READ, PATIENCE_MS, NULL));
    CHECK(done <= 0);
    logs("it announces a message longer than any may be here");
    SSL_free(ssl);
    SSL_CTX_free(context);
    mt_os_close(fd);
    leave_all();
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(talk), TEST(not_with_those_without), TEST(not_with_strangers), TEST(not_in_anothers_name), TEST(elsewhere_without_insecure), TEST(new_certificates), TEST(taken_back), TEST(expires),
                                                        TEST(many_connect_at_once), TEST(silent_ones_keep_nobody_out), TEST(first_message_is_too_long), {0}});
}
