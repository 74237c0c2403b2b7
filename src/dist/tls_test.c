/* SPDX-License-Identifier: Apache-2.0
 * TLS between two ends of a socket, with certificates that are made here, right and wrong ones; and against OpenSSL as it is, which does what mote never would. */
#include <dirent.h>
#include <fcntl.h>
#include <mote/node.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/os_fd.h"
#include "crl.h"
#include "dist/tls.h"

#define HOUR 3600
#define NODE "b@b.example"    /* who is dialled */
#define DIALLER "a@127.0.0.1" /* and who dials */
#define BYTES(text) ((mote_bytes){text, sizeof(text) - 1})
#define PATH 300

static struct mt_openssl lib;
static char work[64];
static struct mt_cert_pair authority, stranger;

/* ------------------------------------------------------------------------------------------------ certificates */

static struct mt_cert_pair issue(struct mt_cert_wish wish, const struct mt_cert_pair *issuer) {
    struct mt_cert_pair pair;
    if (!wish.subject) wish.subject = "a test's";
    if (!wish.until_s) wish.from_s = -HOUR, wish.until_s = HOUR;
    CHECK_OK(mt_cert_issue(&lib, &wish, issuer, &pair));
    return pair;
}

static void put_in(const char *name, const char *file, const char *text, unsigned mode) {
    char path[2 * PATH];
    snprintf(path, sizeof path, "%s/%s/%s", work, name, file);
    CHECK_OK(mt_os_file_replace(path, text, strlen(text), mode));
}

static const char *at(const char *name) {
    static char path[PATH];
    snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

/* A folder as mote_node_options.tls names it. */
static void folder(const char *name, const struct mt_cert_pair *trusted, const struct mt_cert_pair *own) {
    mote_err err = mt_os_folder_make(at(name));
    CHECK(!err || err == MOTE_EBUSY);
    put_in(name, "ca.pem", trusted->certificate, 0444);
    put_in(name, "cert.pem", own->certificate, 0444);
    put_in(name, "key.pem", own->key, 0400);
}

static void remove_all(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    CHECK_INT(system(command), 0);
}

static void begin(void) {
    CHECK(mt_openssl_load(&lib));
    signal(SIGPIPE, SIG_IGN); /* as in the threads of schedulers */
    snprintf(work, sizeof work, "/tmp/mote-tls-XXXXXX");
    CHECK(mkdtemp(work));
    atexit(remove_all);
    authority = issue((struct mt_cert_wish){.authority = true}, NULL);
    stranger = issue((struct mt_cert_wish){.authority = true}, NULL);
    struct mt_cert_pair b = issue((struct mt_cert_wish){.names = "DNS:b.example", .usage = "serverAuth,clientAuth"}, &authority);
    struct mt_cert_pair a = issue((struct mt_cert_wish){.names = "IP:127.0.0.1", .usage = "serverAuth,clientAuth"}, &authority);
    folder("b", &authority, &b);
    folder("a", &authority, &a);
}

static struct mt_tls *tls_of(const char *name) {
    struct mt_tls *tls;
    char why[300] = "";
    if (mt_tls_new(at(name), (mote_bytes){"", 0}, &tls, why, sizeof why)) CHECK_STR(why, "");
    return tls;
}

/* ------------------------------------------------------------------------------------------------- connections */

struct ends {
    struct mt_tls *tls[2];
    struct mt_tls_conn *conn[2]; /* who dials, who is dialled */
    int fd[2];
    mote_err err[2];             /* of the handshake */
};

static void pair_of_sockets(int fd[2]) { CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd)); }

static void shake_both(struct ends *e) {
    e->err[0] = e->err[1] = MOTE_TIMEOUT;
    for (int i = 0; i < 1000 && (e->err[0] == MOTE_TIMEOUT || e->err[1] == MOTE_TIMEOUT); i++) {
        int side = i & 1;
        if (e->err[side] == MOTE_TIMEOUT) e->err[side] = mt_tls_shake(e->conn[side]);
        if (e->err[side] == MOTE_ESTOPPED) shutdown(e->fd[side], SHUT_WR); /* it closes */
    }
}

/* A handshake of two folders; `dialled` is who is expected at the other end. */
static struct ends meet(const char *dials, const char *is_dialled, const char *dialled) {
    struct ends e = {.tls = {tls_of(dials), tls_of(is_dialled)}};
    pair_of_sockets(e.fd);
    CHECK_OK(mt_tls_open(e.tls[0], e.fd[0], (mote_bytes){dialled, strlen(dialled)}, &e.conn[0]));
    CHECK_OK(mt_tls_open(e.tls[1], e.fd[1], (mote_bytes){"", 0}, &e.conn[1]));
    shake_both(&e);
    return e;
}

static void part(struct ends *e) {
    for (int i = 0; i < 2; i++) {
        mt_tls_close(e->conn[i]);
        mt_tls_free(e->tls[i]);
        mt_os_close(e->fd[i]);
    }
}

/* Reads until there is something: what comes without anybody else. */
static mote_err read_once(struct mt_tls_conn *c, char *to, size_t size, size_t *done) {
    mote_err err = MOTE_TIMEOUT;
    for (int i = 0; i < 100 && err == MOTE_TIMEOUT; i++) err = mt_tls_read(c, to, size, done);
    return err;
}

static void says_hello(struct ends *e) {
    char got[10];
    size_t n;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(mt_tls_write(e->conn[i], "hello", 5, &n));
        CHECK_INT(n, 5);
        CHECK_OK(read_once(e->conn[!i], got, sizeof got, &n));
        CHECK(n == 5 && memcmp(got, "hello", 5) == 0);
        CHECK_INT(mt_tls_read(e->conn[!i], got, sizeof got, &n), MOTE_TIMEOUT);
    }
}

static void good(void) {
    begin();
    struct ends e = meet("a", "b", NODE);
    CHECK_OK(e.err[0]);
    CHECK_OK(e.err[1]);
    CHECK(mt_tls_speaks_for(e.conn[0], BYTES(NODE)) && mt_tls_speaks_for(e.conn[1], BYTES(DIALLER)));
    CHECK(!mt_tls_speaks_for(e.conn[1], BYTES(NODE)) && !mt_tls_speaks_for(e.conn[1], BYTES("127.0.0.1")) && !mt_tls_speaks_for(e.conn[1], BYTES("a@")));
    says_hello(&e);
    char got[10];
    size_t n;
    mt_tls_close(e.conn[0]); /* tells the other */
    e.conn[0] = NULL;
    CHECK_INT(read_once(e.conn[1], got, sizeof got, &n), MOTE_ESTOPPED);
    CHECK_STR(mt_tls_why(e.conn[1]), "");
    part(&e);
}

static void much_through_little_room(void) {
    enum { SIZE = 3000000 };
    begin();
    struct ends e = meet("a", "b", NODE);
    uint8_t *sent = malloc(SIZE), *got = malloc(SIZE);
    size_t wrote = 0, red = 0, n;
    int least = 1;
    CHECK(sent && got);
    for (size_t i = 0; i < SIZE; i++) sent[i] = (uint8_t)(i * i >> 7);
    for (int i = 0; i < 2; i++) CHECK_OK(setsockopt(e.fd[i], SOL_SOCKET, SO_SNDBUF, &least, sizeof least));
    unsigned stood = 0;
    while (red < SIZE) {
        mote_err err = MOTE_OK;
        while (wrote < SIZE && !(err = mt_tls_write(e.conn[0], sent + wrote, SIZE - wrote, &n))) wrote += n;
        CHECK(!err || err == MOTE_TIMEOUT);
        stood += err == MOTE_TIMEOUT;
        while (!(err = mt_tls_read(e.conn[1], got + red, SIZE - red < 70000 ? SIZE - red : 70000, &n)) && (red += n) < SIZE) continue;
        CHECK(!err || err == MOTE_TIMEOUT);
    }
    CHECK(stood > 10);
    CHECK(memcmp(sent, got, SIZE) == 0);
    free(sent);
    free(got);
    part(&e);
}

/* What one shows, what the other says. TLS 1.3 lets who dials believe for a moment that it is done: what it reads tells. */
static void refused(bool dialler_is_wrong, const char *wrong, const char *dialled, const char *why, const char *told) {
    struct ends e = dialler_is_wrong ? meet(wrong, "b", dialled) : meet("a", wrong, dialled);
    int judge = dialler_is_wrong ? 1 : 0;
    char got[10];
    size_t n;
    CHECK_INT(e.err[judge], MOTE_ESTOPPED);
    CHECK_STR(mt_tls_why(e.conn[judge]), why);
    if (!e.err[!judge]) e.err[!judge] = read_once(e.conn[!judge], got, sizeof got, &n);
    CHECK_INT(e.err[!judge], MOTE_ESTOPPED);
    CHECK(strstr(mt_tls_why(e.conn[!judge]), told));
    CHECK_INT(mt_tls_read(e.conn[judge], got, sizeof got, &n), MOTE_ESTOPPED);
    CHECK_INT(mt_tls_write(e.conn[judge], "x", 1, &n), MOTE_ESTOPPED);
    part(&e);
}

static void bad_certificates(void) {
    begin();
    static const char *const names[2] = {"DNS:b.example", "IP:127.0.0.1"};
    static const char *const usage[2] = {"clientAuth", "serverAuth"}; /* the other way round */
    for (int dials = 0; dials < 2; dials++) {
        struct mt_cert_wish good_one = {.names = names[dials], .usage = "serverAuth,clientAuth"}, wish = good_one;
        struct mt_cert_pair p = issue(wish, &stranger);
        folder("wrong-ca", &authority, &p);
        refused(dials, "wrong-ca", NODE, "its certificate is refused: unable to get local issuer certificate", "unknown CA");
        p = issue(wish, NULL);
        folder("self", &authority, &p);
        refused(dials, "self", NODE, "its certificate is refused: self-signed certificate", "unknown CA");
        wish.from_s = -2 * HOUR, wish.until_s = -HOUR;
        p = issue(wish, &authority);
        folder("expired", &authority, &p);
        refused(dials, "expired", NODE, "its certificate is refused: certificate has expired", "certificate expired");
        wish.from_s = HOUR, wish.until_s = 2 * HOUR;
        p = issue(wish, &authority);
        folder("early", &authority, &p);
        refused(dials, "early", NODE, "its certificate is refused: certificate is not yet valid", "bad certificate");
        wish = good_one, wish.usage = usage[dials];
        p = issue(wish, &authority);
        folder("other-usage", &authority, &p);
        refused(dials, "other-usage", NODE, "its certificate is refused: unsuitable certificate purpose", "unsupported certificate");
        p = issue(good_one, &authority); /* a node's certificate makes no others */
        struct mt_cert_pair q = issue(good_one, &p);
        size_t end = strlen(q.certificate), more = strlen(p.certificate) + 1;
        CHECK(end + more <= sizeof q.certificate);
        memcpy(q.certificate + end, p.certificate, more);
        folder("no-authority", &authority, &q);
        refused(dials, "no-authority", NODE, "its certificate is refused: invalid CA certificate", "unknown CA");
    }
    refused(false, "b", "b@c.example", "its certificate is refused: it is for another host, or for other nodes", "");
    refused(false, "b", "b@127.0.0.1", "its certificate is refused: it is for another host, or for other nodes", "");
    struct ends e = meet("b", "b", NODE); /* whom it dials from is for the caller to ask */
    CHECK_OK(e.err[1]);
    CHECK(!mt_tls_speaks_for(e.conn[1], BYTES(DIALLER)));
    part(&e);
}

/* ------------------------------------------------------------------------------------------------- OpenSSL itself */

/* Dials with a context of a test's own, until who is dialled has an end. */
static void raw(SSL_CTX *context, mote_err want, const char *why) {
    struct mt_tls *tls = tls_of("b");
    struct mt_tls_conn *conn;
    int fd[2];
    mote_err err = MOTE_TIMEOUT;
    pair_of_sockets(fd);
    SSL *ssl = SSL_new(context);
    CHECK(ssl && SSL_set_fd(ssl, fd[0]));
    SSL_set_connect_state(ssl);
    CHECK_OK(mt_tls_open(tls, fd[1], (mote_bytes){"", 0}, &conn));
    for (int i = 0; i < 20 && err == MOTE_TIMEOUT; i++) {
        (void)SSL_do_handshake(ssl);
        err = mt_tls_shake(conn);
    }
    CHECK_INT(err, want);
    CHECK_STR(mt_tls_why(conn), why);
    SSL_free(ssl);
    mt_tls_close(conn);
    mt_tls_free(tls);
    mt_os_close(fd[0]);
    mt_os_close(fd[1]);
    SSL_CTX_free(context);
}

static SSL_CTX *context_of(const char *name, int least, int most) {
    char path[2 * PATH];
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    CHECK(c && SSL_CTX_set_min_proto_version(c, least) && SSL_CTX_set_max_proto_version(c, most));
    if (!name) return c;
    snprintf(path, sizeof path, "%s/cert.pem", at(name));
    CHECK(SSL_CTX_use_certificate_file(c, path, SSL_FILETYPE_PEM) == 1);
    snprintf(path, sizeof path, "%s/key.pem", at(name));
    CHECK(SSL_CTX_use_PrivateKey_file(c, path, SSL_FILETYPE_PEM) == 1);
    return c;
}

static void versions_and_suites(void) {
    begin();
    raw(context_of("a", TLS1_3_VERSION, TLS1_3_VERSION), MOTE_OK, "");
    raw(context_of("a", TLS1_2_VERSION, TLS1_2_VERSION), MOTE_OK, "");
    raw(context_of(NULL, TLS1_3_VERSION, TLS1_3_VERSION), MOTE_ESTOPPED, "it has shown no certificate");
    raw(context_of(NULL, TLS1_2_VERSION, TLS1_2_VERSION), MOTE_ESTOPPED, "it has shown no certificate");
    SSL_CTX *old = context_of("a", TLS1_VERSION, TLS1_1_VERSION);
    SSL_CTX_set_security_level(old, 0);
    CHECK(SSL_CTX_set_cipher_list(old, "ALL:@SECLEVEL=0"));
    raw(old, MOTE_ESTOPPED, "it speaks no TLS of version 1.2 or 1.3");
    static const char *const weak[] = {"ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"};
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        SSL_CTX *c = context_of("a", TLS1_2_VERSION, TLS1_2_VERSION);
        CHECK(SSL_CTX_set_cipher_list(c, weak[i]));
        raw(c, MOTE_ESTOPPED, "TLS: no shared cipher");
    }
    SSL_CTX *curve = context_of("a", TLS1_3_VERSION, TLS1_3_VERSION);
    CHECK(SSL_CTX_set1_groups_list(curve, "P-521"));
    raw(curve, MOTE_ESTOPPED, "TLS: no suitable key share");
}

/* Bytes that are no TLS. */
static void nonsense(void) {
    static const struct {
        const char *bytes;
        size_t size;
        mote_err err;
        const char *why;
    } cases[] = {
        {"\0\24N\0\0\0\1\0\0\0\0\0\0\0\4\0\13a@127.0.0.1", 26, MOTE_ESTOPPED, "what it sends is no TLS: has it been started without?"},
        {"GET / HTTP/1.1\r\n\r\n", 18, MOTE_ESTOPPED, "what it sends is no TLS: has it been started without?"},
        {"\26\3\1\377\377", 5, MOTE_ESTOPPED, "what it sends is no TLS: has it been started without?"}, /* a record larger than any */
        {"\26\3\1\0\4\1\377\377\377", 9, MOTE_ESTOPPED, NULL},                                            /* a greeting larger than any */
        {"\26\3\1", 3, MOTE_TIMEOUT, ""},
        {"", 0, MOTE_TIMEOUT, ""},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mt_tls *tls = tls_of("b");
        struct mt_tls_conn *conn;
        int fd[2];
        pair_of_sockets(fd);
        CHECK_OK(mt_tls_open(tls, fd[1], (mote_bytes){"", 0}, &conn));
        CHECK_INT(write(fd[0], cases[i].bytes, cases[i].size), cases[i].size);
        CHECK_INT(mt_tls_shake(conn), cases[i].err);
        if (cases[i].why) CHECK_STR(mt_tls_why(conn), cases[i].why);
        if (cases[i].err == MOTE_TIMEOUT) {
            CHECK_INT(mt_tls_events(conn), MOTE_READ);
            mt_os_close(fd[0]);
            CHECK_INT(mt_tls_shake(conn), MOTE_ESTOPPED);
            CHECK_STR(mt_tls_why(conn), "");
        } else {
            mt_os_close(fd[0]);
        }
        mt_tls_close(conn);
        mt_tls_free(tls);
        mt_os_close(fd[1]);
    }
}

/* A byte that is not what was sent ends it, wherever; but for what both sides leave open in their greetings, such as a record's version. */
static void a_byte_is_changed(void) {
    begin();
    struct mt_tls *tls[2] = {tls_of("a"), tls_of("b")};
    unsigned done = 0, over = 0;
    for (unsigned round = 0; round < 150; round++) {
        struct ends e;
        int wire[2][2];
        uint64_t seed = round * UINT64_C(0x9e3779b97f4a7c15);
        for (int i = 0; i < 2; i++) pair_of_sockets(wire[i]);
        CHECK_OK(mt_tls_open(tls[0], wire[0][0], BYTES(NODE), &e.conn[0]));
        CHECK_OK(mt_tls_open(tls[1], wire[1][0], (mote_bytes){"", 0}, &e.conn[1]));
        e.err[0] = e.err[1] = MOTE_TIMEOUT;
        size_t change = seed >> 54; /* of the first 1024, either way */
        for (int i = 0; i < 12; i++) {
            uint8_t bytes[8192];
            int from = i & 1;
            if (e.err[from] == MOTE_TIMEOUT) e.err[from] = mt_tls_shake(e.conn[from]);
            ssize_t n = read(wire[from][1], bytes, sizeof bytes);
            for (ssize_t k = 0; k < n; k++, change--)
                if (change == 0) bytes[k] ^= (uint8_t)(1u << (seed >> 20 & 7));
            if (n > 0) CHECK_INT(write(wire[!from][1], bytes, (size_t)n), n);
        }
        done += !e.err[0] && !e.err[1];
        over += e.err[0] == MOTE_ESTOPPED || e.err[1] == MOTE_ESTOPPED;
        for (int i = 0; i < 2; i++) {
            mt_tls_close(e.conn[i]);
            mt_os_close(wire[i][0]);
            mt_os_close(wire[i][1]);
        }
    }
    CHECK(over > 100);
    CHECK(done < 40);
    for (int i = 0; i < 2; i++) mt_tls_free(tls[i]);
}

/* ------------------------------------------------------------------------------------------------- files */

static void cannot(const char *name, const char *node, mote_err want, const char *part_of_why) {
    struct mt_tls *tls;
    char why[400] = "";
    CHECK_INT(mt_tls_new(at(name), (mote_bytes){node, strlen(node)}, &tls, why, sizeof why), want);
    if (!strstr(why, part_of_why)) CHECK_STR(why, part_of_why);
}

static void remove_in(const char *name, const char *file) {
    char path[2 * PATH];
    snprintf(path, sizeof path, "%s/%s", at(name), file);
    CHECK_INT(unlink(path), 0);
}

static void files(void) {
    char path[2 * PATH], other[200];
    begin();
    struct mt_cert_pair p = issue((struct mt_cert_wish){.names = "DNS:b.example,URI:erlnode:" NODE}, &authority), q = issue((struct mt_cert_wish){.names = "DNS:b.example"}, &authority);
    cannot("nothing", NODE, MOTE_EARG, "nothing/ca.pem: no certificate of an authority can be used: ");
    folder("f", &authority, &p);
    cannot("f", "c@b.example", MOTE_EARG, "f/cert.pem: this certificate is not for c@b.example: its alternative names lack the host, or have other nodes");
    cannot("f", "b@c.example", MOTE_EARG, "is not for b@c.example");
    put_in("f", "key.pem", q.key, 0400);
    cannot("f", NODE, MOTE_EARG, "f/key.pem: it does not go with cert.pem: ");
    put_in("f", "key.pem", p.key, 0440);
    cannot("f", NODE, MOTE_EARG, "f/key.pem: a private key has to be in a file of your own that nobody else may read (chmod 400)");
    put_in("f", "key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMEQ=\n-----END ENCRYPTED PRIVATE KEY-----\n", 0400);
    cannot("f", NODE, MOTE_EARG, "f/key.pem: this is no private key in PEM without a passphrase");
    remove_in("f", "key.pem");
    cannot("f", NODE, MOTE_EARG, "f/key.pem: there is no private key");
    put_in("f", "real.pem", p.key, 0400); /* a link to a key is as good: who deploys secrets makes them so */
    snprintf(path, sizeof path, "%s/key.pem", at("f"));
    CHECK_OK(symlink("real.pem", path));
    struct mt_tls *tls;
    CHECK_OK(mt_tls_new(at("f"), BYTES(NODE), &tls, NULL, 0));
    mt_tls_free(tls);
    put_in("f", "crl.pem", "nonsense", 0444);
    cannot("f", NODE, MOTE_EARG, "f/crl.pem: a list of certificates that are taken back cannot be read: ");
    remove_in("f", "crl.pem");
    put_in("f", "cert.pem", "nonsense", 0444);
    cannot("f", NODE, MOTE_EARG, "f/cert.pem: the node's certificate cannot be used: ");
    p = issue((struct mt_cert_wish){.names = "DNS:b.example", .from_s = -2 * HOUR, .until_s = -HOUR}, &authority);
    folder("g", &authority, &p);
    cannot("g", NODE, MOTE_EARG, "g/cert.pem: this certificate has expired: a new one is needed");
    memset(other, 'x', sizeof other - 1);
    other[sizeof other - 1] = 0;
    cannot(other, NODE, MOTE_EARG, "ca.pem: ");
}

/* A list of one certificate that is taken back. */
static void take_back(const char *name, const struct mt_cert_pair *which, long until_s) {
    char text[MT_PEM_MAX];
    crl_of(&lib, &authority, which->certificate, until_s, text);
    put_in(name, "crl.pem", text, 0444);
}

static void taken_back(void) {
    begin();
    struct mt_cert_pair a = issue((struct mt_cert_wish){.names = "IP:127.0.0.1"}, &authority);
    folder("gone", &authority, &a);
    take_back("b", &a, HOUR);
    refused(true, "gone", NODE, "its certificate is refused: certificate revoked", "revoked");
    struct ends e = meet("a", "b", NODE);
    CHECK_OK(e.err[1]);
    part(&e);
}

static const char over[] = "its certificate does not hold any more: ";

/* Who is dialled has read its files again: what it says then of who has dialled; NULL: nothing. */
static const char *said_of(struct ends *e) {
    mote_err err;
    CHECK(!mt_tls_is_dated(e->conn[1]));
    CHECK_OK(mt_tls_reload(e->tls[1], NULL, 0));
    CHECK(mt_tls_is_dated(e->conn[1]));
    err = mt_tls_look(e->conn[1]);
    CHECK(!mt_tls_is_dated(e->conn[1]) && (!err || err == MOTE_ESTOPPED));
    CHECK_OK(mt_tls_look(e->conn[0])); /* by its own files */
    if (!err) says_hello(e);
    return err ? mt_tls_why(e->conn[1]) : NULL;
}

/* Those that are connected are judged as those that come, but for a list that is out of date. */
static void taken_back_while_connected(void) {
    char both[2 * MT_PEM_MAX], want[100];
    begin();
    struct mt_cert_pair a = issue((struct mt_cert_wish){.names = "IP:127.0.0.1"}, &authority), other = issue((struct mt_cert_wish){.names = "IP:127.0.0.1"}, &authority);
    folder("gone", &authority, &a);
    for (int old = 0; old < 2; old++) {
        struct ends e = meet("gone", "b", NODE);
        says_hello(&e);
        CHECK_OK(mt_tls_look(e.conn[0]));
        CHECK_OK(mt_tls_look(e.conn[1]));
        take_back("b", &other, old ? -60 : HOUR);
        CHECK(!said_of(&e));
        if (old) refused(true, "gone", NODE, "its certificate is refused: CRL has expired", "expired");
        take_back("b", &a, old ? -60 : HOUR);
        snprintf(want, sizeof want, "%scertificate revoked", over);
        CHECK_STR(said_of(&e), want);
        CHECK_INT(mt_tls_look(e.conn[1]), MOTE_ESTOPPED);
        part(&e);
        remove_in("b", "crl.pem");
    }
    struct ends e = meet("gone", "b", NODE);
    snprintf(both, sizeof both, "%s%s", stranger.certificate, authority.certificate);
    put_in("b", "ca.pem", both, 0444); /* as one authority gives way to another */
    CHECK(!said_of(&e));
    put_in("b", "ca.pem", stranger.certificate, 0444);
    CHECK(strncmp(said_of(&e), over, sizeof over - 1) == 0);
    part(&e);
}

static void files_change_within_a_handshake(void) {
    begin();
    struct ends e = {.tls = {tls_of("a"), tls_of("b")}};
    pair_of_sockets(e.fd);
    CHECK_OK(mt_tls_open(e.tls[0], e.fd[0], BYTES(NODE), &e.conn[0]));
    CHECK_OK(mt_tls_open(e.tls[1], e.fd[1], (mote_bytes){"", 0}, &e.conn[1]));
    put_in("b", "ca.pem", stranger.certificate, 0444);
    CHECK_OK(mt_tls_reload(e.tls[1], NULL, 0));
    shake_both(&e);
    CHECK(!e.err[0] && !e.err[1] && !mt_tls_is_dated(e.conn[0]) && mt_tls_is_dated(e.conn[1])); /* so it is looked at before anything is said */
    CHECK_INT(mt_tls_look(e.conn[1]), MOTE_ESTOPPED);
    part(&e);
}

/* By the clock. A machine that takes longer than its certificate is valid tries with a longer one. */
static void expires_while_connected(void) {
    struct ends e;
    struct mt_tls *tls;
    char want[100], why[300];
    begin();
    for (int seconds = 4;; seconds *= 2) {
        struct mt_cert_pair a = issue((struct mt_cert_wish){.names = "IP:127.0.0.1", .from_s = -HOUR, .until_s = seconds}, &authority);
        folder("short", &authority, &a);
        CHECK(seconds < 100);
        if (mt_tls_new(at("short"), (mote_bytes){"", 0}, &tls, why, sizeof why)) continue; /* it is over */
        mt_tls_free(tls);
        e = meet("short", "b", NODE);
        if (!e.err[0] && !e.err[1] && !mt_tls_look(e.conn[1])) break;
        part(&e);
    }
    while (!mt_tls_look(e.conn[1])) CHECK_OK(mt_tls_look(e.conn[0]));
    snprintf(want, sizeof want, "%scertificate has expired", over);
    CHECK_STR(mt_tls_why(e.conn[1]), want);
    part(&e);
}

static void new_files(void) {
    char why[300];
    begin();
    struct ends e = meet("a", "b", NODE);
    struct mt_cert_pair b = issue((struct mt_cert_wish){.names = "DNS:b.example"}, &stranger);
    put_in("b", "cert.pem", "nonsense", 0444);
    CHECK_INT(mt_tls_reload(e.tls[1], why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "b/cert.pem: the node's certificate cannot be used"));
    struct ends f = {.tls = {e.tls[0], e.tls[1]}};
    for (int round = 0; round < 2; round++) { /* with the old ones still, then with the new */
        pair_of_sockets(f.fd);
        CHECK_OK(mt_tls_open(f.tls[0], f.fd[0], BYTES(NODE), &f.conn[0]));
        CHECK_OK(mt_tls_open(f.tls[1], f.fd[1], (mote_bytes){"", 0}, &f.conn[1]));
        shake_both(&f);
        CHECK_INT(f.err[0], round ? MOTE_ESTOPPED : MOTE_OK);
        for (int i = 0; i < 2; i++) mt_tls_close(f.conn[i]), mt_os_close(f.fd[i]);
        folder("b", &stranger, &b);
        CHECK_OK(mt_tls_reload(e.tls[1], NULL, 0));
        says_hello(&e); /* what was there goes on: the other's certificate is the same */
    }
    part(&e);
}

/* ------------------------------------------------------------------------------------------------- names */

static bool fits(const char *names, const char *node) {
    struct mt_cert_pair p = issue((struct mt_cert_wish){.subject = "d.example", .names = names}, &authority);
    X509 *x = mt_openssl_certificate_of(&lib, (mote_bytes){p.certificate, strlen(p.certificate)});
    bool does = x && mt_cert_speaks_for(&lib, x, (mote_bytes){node, strlen(node)});
    X509_free(x);
    return does;
}

static void whom_it_is_for(void) {
    begin();
    CHECK(fits("DNS:d.example", "x@d.example") && fits("DNS:D.Example", "x@d.example") && fits("DNS:host", "x@host"));
    CHECK(!fits(NULL, "x@d.example") && !fits("DNS:e.example", "x@d.example")); /* the subject says it, which does not count */
    CHECK(!fits("DNS:d.example", "x@e.d.example") && !fits("DNS:e.d.example", "x@.d.example") && !fits("DNS:d.example", "x@.example"));
    CHECK(fits("DNS:*.d.example", "x@e.d.example") && !fits("DNS:*.d.example", "x@d.example") && !fits("DNS:*.d.example", "x@f.e.d.example") && !fits("DNS:e*.d.example", "x@ef.d.example"));
    CHECK(fits("IP:10.0.0.1", "x@10.0.0.1") && !fits("IP:10.0.0.1", "x@10.0.0.2") && fits("DNS:10.0.0.1", "x@10.0.0.1") && !fits("DNS:*.0.0.1", "x@10.0.0.1") && fits("IP:::1", "x@::1"));
    CHECK(fits("DNS:d.example,URI:erlnode:x@d.example", "x@d.example") && !fits("DNS:d.example,URI:erlnode:x@d.example", "y@d.example"));
    CHECK(!fits("DNS:d.example,URI:erlnode:x@d.example", "x@d.example.") && !fits("DNS:d.example,URI:erlnode:x", "x@d.example"));
    CHECK(fits("DNS:d.example,URI:erlnode:y@d.example,URI:erlnode:x@d.example", "x@d.example") && !fits("URI:erlnode:x@d.example", "x@d.example"));
    CHECK(fits("DNS:d.example,URI:https://d.example", "x@d.example"));
}

static void check_mode(const char *name, unsigned mode) {
    struct stat of;
    CHECK_OK(stat(at(name), &of));
    CHECK_INT(of.st_mode & 0777, mode);
}

static void are_for(const char *name, const char *want) {
    char names[300], why[300];
    CHECK_OK(mote_cert_names(at(name), names, sizeof names, why, sizeof why));
    CHECK_STR(names, want);
}

static void made_for_a_start(void) {
    char why[400], path[PATH];
    umask(022);
    begin();
    snprintf(path, sizeof path, "%s", at("certs"));
    CHECK_OK(mote_cert_make(path, "127.0.0.1", 0, false, why, sizeof why));
    CHECK_OK(mote_cert_make(path, NODE, 30, false, why, sizeof why));
    check_mode("certs", 0700), check_mode("certs/ca-key.pem", 0400), check_mode("certs/ca.pem", 0444);
    check_mode("certs/" NODE, 0700), check_mode("certs/" NODE "/key.pem", 0400), check_mode("certs/" NODE "/cert.pem", 0444), check_mode("certs/" NODE "/ca.pem", 0444);
    are_for("certs/" NODE "/cert.pem", "b.example\nerlnode:" NODE "\n");
    are_for("certs/127.0.0.1/cert.pem", "127.0.0.1\n127.0.0.1\n");
    are_for("certs/ca.pem", "");
    struct ends e = meet("certs/127.0.0.1", "certs/" NODE, NODE);
    CHECK_OK(e.err[0]);
    CHECK_OK(e.err[1]);
    CHECK(mt_tls_speaks_for(e.conn[0], BYTES(NODE)) && !mt_tls_speaks_for(e.conn[0], BYTES("c@b.example")) && mt_tls_speaks_for(e.conn[1], BYTES("any@127.0.0.1")));
    part(&e);
    CHECK_INT(mote_cert_make(path, NODE, 0, false, why, sizeof why), MOTE_EBUSY);
    CHECK(strstr(why, "certs/" NODE ": it is there already; to have a new certificate in its place, renew it"));
    CHECK_OK(mote_cert_make(path, NODE, 0, true, why, sizeof why));
    check_mode("certs/" NODE "/key.pem", 0400);
    e = meet("certs/127.0.0.1", "certs/" NODE, NODE);
    CHECK_OK(e.err[0]);
    part(&e);
    static const char *const no_names[] = {"", "a@", "@b", "a@b@c", "a b", "a,DNS:b", "../x", "a@../x", ".x", "x\ny", "a:b", "-x", "a/b@c"};
    for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++) CHECK_INT(mote_cert_make(path, no_names[i], 0, false, why, sizeof why), MOTE_EARG);
    CHECK_INT(mote_cert_make(path, "x", 4000, false, NULL, 0), MOTE_EARG);
    remove_in("certs", "ca.pem");
    CHECK_INT(mote_cert_make(path, "x", 0, false, why, sizeof why), MOTE_ENOPROC);
    CHECK(strstr(why, "certs/ca.pem: it is missing: an authority is ca.pem and ca-key.pem"));
    put_in("certs", "ca.pem", stranger.certificate, 0444);
    CHECK_INT(mote_cert_make(path, "x", 0, false, why, sizeof why), MOTE_EARG);
    CHECK(strstr(why, "are no authority's certificate and its key"));
    CHECK_INT(mote_cert_names(at("certs/ca-key.pem"), why, sizeof why, NULL, 0), MOTE_EOS);
    CHECK_INT(mote_cert_names(at("certs/127.0.0.1/cert.pem"), why, 8, NULL, 0), MOTE_ELIMIT);
    CHECK_INT(mote_cert_make("/proc/nothing", "x", 0, false, why, sizeof why), MOTE_EOS);
}

int main(int argc, char **argv) {
    return check_main(argc, argv, (struct check_test[]){TEST(good), TEST(much_through_little_room), TEST(bad_certificates), TEST(versions_and_suites), TEST(nonsense), TEST(a_byte_is_changed), TEST(files),
                                                        TEST(taken_back), TEST(taken_back_while_connected), TEST(files_change_within_a_handshake), TEST(expires_while_connected), TEST(new_files), TEST(whom_it_is_for), TEST(made_for_a_start), {0}});
}
