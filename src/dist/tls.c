/* SPDX-License-Identifier: Apache-2.0
 * See tls.h. */
#include "dist/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lock.h"
#include "base/os_fd.h"
#include "base/os_net.h"
#include "dist/cert.h"
#include "dist/handshake.h"

#define PATH_SIZE 1024u
#define SUITES_OF_12 "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL" /* those of 1.3 are all like that */
#define GROUPS "X25519:P-256:P-384"
#define SIGNATURES "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define SECURITY_LEVEL 2 /* OpenSSL's: RSA of 2048 bits, no SHA-1 */

struct mt_tls { /* MT_SHARED */
    struct mt_openssl lib;           /* const */
    char folder[PATH_SIZE];          /* const */
    char node[MT_NODE_NAME_MAX];     /* const */
    size_t node_size;                /* const: 0: any */
    struct mt_lock mu;
    SSL_CTX *context;                /* lock: mu: counted; each connection has one more */
    _Atomic unsigned reloads;        /* atomic: seq_cst: written with `context`, under mu */
};

struct mt_tls_conn {
    struct mt_tls *tls;
    const struct mt_openssl *lib;
    SSL *ssl;
    unsigned looked; /* which reload its certificate was looked at with */
    char node[MT_NODE_NAME_MAX]; /* that is dialled */
    size_t node_size;            /* 0: we are */
    int events;
    char why[200];
};

/* ------------------------------------------------------------------------------------------------- the files */

struct loader {
    const struct mt_openssl *lib;
    const struct mt_tls *tls;
    SSL_CTX *context;
    char path[PATH_SIZE + 16];
    char *why;
    size_t size;
};

static mote_err wrong(struct loader *l, mote_err err, const char *text, const char *more) {
    if (l->size) snprintf(l->why, l->size, "TLS: %s: %s%s", l->path, text, more);
    return err;
}

static const char *path_of(struct loader *l, const char *file) {
    snprintf(l->path, sizeof l->path, "%s/%s", l->tls->folder, file);
    l->lib->ERR_clear_error();
    return l->path;
}

/* T1, T3 */
static bool set_rules(struct loader *l) {
    const struct mt_openssl *lib = l->lib;
    SSL_CTX *c = l->context;
    lib->SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    lib->SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    lib->SSL_CTX_set_verify_depth(c, MT_TLS_DEPTH_MAX);
    lib->SSL_CTX_set_security_level(c, SECURITY_LEVEL);
    lib->SSL_CTX_ctrl(c, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    lib->SSL_CTX_ctrl(c, SSL_CTRL_SET_MAX_CERT_LIST, MT_TLS_CERTIFICATES_MAX, NULL);
    lib->SSL_CTX_ctrl(c, SSL_CTRL_SET_READ_AHEAD, 1, NULL);
    lib->SSL_CTX_ctrl(c, SSL_CTRL_MODE, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS, NULL);
    return lib->SSL_CTX_ctrl(c, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) == 1 && lib->SSL_CTX_set_num_tickets(c, 0) == 1 && lib->SSL_CTX_set_cipher_list(c, SUITES_OF_12) == 1 &&
           lib->SSL_CTX_ctrl(c, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)GROUPS) == 1 && lib->SSL_CTX_ctrl(c, SSL_CTRL_SET_SIGALGS_LIST, 0, (void *)(uintptr_t)SIGNATURES) == 1;
}

/* Who vouches, and what it has taken back. */
static mote_err load_trust(struct loader *l) {
    const struct mt_openssl *lib = l->lib;
    if (lib->SSL_CTX_load_verify_file(l->context, path_of(l, "ca.pem")) != 1) return wrong(l, MOTE_EARG, "no certificate of an authority can be used: ", mt_openssl_why(lib));
    if (!mt_os_file_there(path_of(l, "crl.pem"))) return MOTE_OK;
    X509_STORE *store = lib->SSL_CTX_get_cert_store(l->context);
    X509_LOOKUP *lookup = lib->X509_STORE_add_lookup(store, lib->X509_LOOKUP_file());
    if (!lookup || lib->X509_load_crl_file(lookup, l->path, X509_FILETYPE_PEM) < 1) return wrong(l, MOTE_EARG, "a list of certificates that are taken back cannot be read: ", mt_openssl_why(lib));
    return lib->X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1 ? MOTE_OK : MOTE_ENOMEM;
}

static mote_err load_key(struct loader *l) {
    EVP_PKEY *key;
    mote_err err = mt_openssl_key(l->lib, path_of(l, "key.pem"), &key);
    switch (err) {
    case MOTE_OK: break;
    case MOTE_ENOPROC: return wrong(l, MOTE_EARG, "there is no private key", "");
    case MOTE_EARG: return wrong(l, err, "a private key has to be in a file of your own that nobody else may read (chmod 400)", "");
    case MOTE_ETERM: return wrong(l, MOTE_EARG, "this is no private key in PEM without a passphrase", "");
    default: return wrong(l, err, "it cannot be read: ", strerror(errno));
    }
    bool fits = l->lib->SSL_CTX_use_PrivateKey(l->context, key) == 1;
    l->lib->EVP_PKEY_free(key);
    return fits ? MOTE_OK : wrong(l, MOTE_EARG, "it does not go with cert.pem: ", mt_openssl_why(l->lib));
}

/* Whether it is for the node that uses it. */
static mote_err check_own(struct loader *l) {
    const struct mt_tls *tls = l->tls;
    X509 *own = l->lib->SSL_CTX_get0_certificate(l->context);
    path_of(l, "cert.pem");
    if (!tls->node_size) return MOTE_OK;
    if (l->lib->X509_cmp_current_time(l->lib->X509_get0_notAfter(own)) < 0) return wrong(l, MOTE_EARG, "this certificate has expired: a new one is needed", "");
    if (l->lib->X509_cmp_current_time(l->lib->X509_get0_notBefore(own)) > 0) return wrong(l, MOTE_EARG, "this certificate is not valid yet: is the clock right?", "");
    if (mt_cert_speaks_for(l->lib, own, (mote_bytes){tls->node, tls->node_size})) return MOTE_OK;
    if (l->size) snprintf(l->why, l->size, "TLS: %s: this certificate is not for %.*s: its alternative names lack the host, or have other nodes", l->path, (int)tls->node_size, tls->node);
    return MOTE_EARG;
}

/* OpenSSL works out what a certificate says when that is first looked at, for all who share it: its own and its authority's here, before anybody shares them. */
static void look_at_own(const struct loader *l) {
    const struct mt_openssl *lib = l->lib;
    X509_STORE_CTX *check = lib->X509_STORE_CTX_new();
    X509 *own = lib->SSL_CTX_get0_certificate(l->context);
    if (check && lib->X509_STORE_CTX_init(check, lib->SSL_CTX_get_cert_store(l->context), own, NULL) == 1) (void)lib->X509_verify_cert(check);
    lib->X509_STORE_CTX_free(check);
}

static mote_err load(const struct mt_tls *tls, SSL_CTX **context, char *why, size_t size) {
    const struct mt_openssl *lib = &tls->lib;
    struct loader l = {.lib = lib, .tls = tls, .context = lib->SSL_CTX_new(lib->TLS_method()), .why = why, .size = size};
    mote_err err = l.context ? MOTE_OK : MOTE_ENOMEM;
    path_of(&l, "");
    if (!err && !set_rules(&l)) err = wrong(&l, MOTE_EOS, "OpenSSL cannot do what is needed: is it restricted to other algorithms? ", mt_openssl_why(lib));
    if (!err) err = load_trust(&l);
    if (!err && lib->SSL_CTX_use_certificate_chain_file(l.context, path_of(&l, "cert.pem")) != 1) err = wrong(&l, MOTE_EARG, "the node's certificate cannot be used: ", mt_openssl_why(lib));
    if (!err) err = load_key(&l);
    if (!err) err = check_own(&l);
    if (!err) look_at_own(&l);
    if (!err) *context = l.context;
    else if (l.context) lib->SSL_CTX_free(l.context);
    lib->ERR_clear_error();
    return err;
}

mote_err mt_tls_new(const char *folder, mote_bytes node, struct mt_tls **tls, char *why, size_t size) {
    MT_ASSERT(node.size <= MT_NODE_NAME_MAX);
    struct mt_tls *t = mt_os_alloc_zero(sizeof *t);
    if (!t) return MOTE_ENOMEM;
    mt_lock_init(&t->mu, MT_RANK_TLS);
    int n = snprintf(t->folder, sizeof t->folder, "%s", folder);
    memcpy(t->node, node.data, t->node_size = node.size);
    bool fits = n > 0 && n < (int)sizeof t->folder, there = fits && mt_openssl_load(&t->lib);
    if (size && !there) snprintf(why, size, "TLS: %s", fits ? "OpenSSL 3 is not there (Debian: libssl3)" : "the path of its folder is too long, or empty");
    mote_err err = there ? load(t, &t->context, why, size) : fits ? MOTE_EOS : MOTE_EARG;
    if (!err) *tls = t;
    else mt_tls_free(t);
    return err;
}

void mt_tls_free(struct mt_tls *tls) {
    if (!tls) return;
    if (tls->context) tls->lib.SSL_CTX_free(tls->context);
    mt_lock_fini(&tls->mu);
    mt_os_free(tls);
}

mote_err mt_tls_reload(struct mt_tls *tls, char *why, size_t size) {
    SSL_CTX *made, *before;
    mote_err err = load(tls, &made, why, size);
    if (err) return err;
    mt_lock_take(&tls->mu);
    before = tls->context;
    tls->context = made;
    atomic_fetch_add(&tls->reloads, 1);
    mt_lock_drop(&tls->mu);
    tls->lib.SSL_CTX_free(before);
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------ connections */

/* Tells a server of several names which one is meant: a host's, not an address. */
static bool ask_for(struct mt_tls_conn *c, mote_bytes node) {
    const char *host = (const char *)memchr(node.data, '@', node.size) + 1;
    size_t size = (size_t)((const char *)node.data + node.size - host);
    char text[MT_CERT_HOST_MAX + 1];
    MT_ASSERT(size < sizeof text);
    memcpy(text, host, size);
    text[size] = 0;
    return mt_net_is_address(text) || c->lib->SSL_ctrl(c->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, text) == 1;
}

/* The present one, and with which reload it came. Counted. */
static SSL_CTX *context_of(struct mt_tls *tls, unsigned *reload) {
    mt_lock_take(&tls->mu);
    SSL_CTX *context = tls->context;
    tls->lib.SSL_CTX_up_ref(context);
    *reload = atomic_load(&tls->reloads);
    mt_lock_drop(&tls->mu);
    return context;
}

mote_err mt_tls_open(struct mt_tls *tls, int fd, mote_bytes dialled, struct mt_tls_conn **conn) {
    const struct mt_openssl *lib = &tls->lib;
    struct mt_tls_conn *c = mt_os_alloc_zero(sizeof *c);
    if (!c) return MOTE_ENOMEM;
    SSL_CTX *context = context_of(tls, &c->looked);
    c->tls = tls;
    c->lib = lib;
    c->ssl = lib->SSL_new(context);
    MT_ASSERT(dialled.size <= sizeof c->node);
    memcpy(c->node, dialled.data, c->node_size = dialled.size);
    c->events = dialled.size ? MOTE_WRITE : MOTE_READ;
    lib->SSL_CTX_free(context);
    bool made = c->ssl && lib->SSL_set_fd(c->ssl, fd) == 1 && (!dialled.size || ask_for(c, dialled));
    if (made && dialled.size) lib->SSL_set_connect_state(c->ssl);
    else if (made) lib->SSL_set_accept_state(c->ssl);
    lib->ERR_clear_error();
    if (!made) return mt_tls_close(c), MOTE_ENOMEM;
    *conn = c;
    return MOTE_OK;
}

void mt_tls_close(struct mt_tls_conn *conn) {
    if (!conn) return;
    if (conn->ssl && conn->lib->SSL_is_init_finished(conn->ssl) && !*conn->why) (void)conn->lib->SSL_shutdown(conn->ssl);
    if (conn->ssl) conn->lib->SSL_free(conn->ssl);
    conn->lib->ERR_clear_error();
    mt_os_free(conn);
}

/* What OpenSSL says of its failure, for people. */
static void explain(struct mt_tls_conn *c) {
    const struct mt_openssl *lib = c->lib;
    unsigned long code = lib->ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *what = "", *more = "";
    if (*c->why) return;
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) what = "TLS: ", more = lib->ERR_reason_error_string(code);
    else if (reason >= SSL_AD_REASON_OFFSET) what = "it ends TLS, and says why: ", more = lib->SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) what = "its certificate is refused: ", more = lib->X509_verify_cert_error_string(lib->SSL_get_verify_result(c->ssl));
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) what = "it has shown no certificate";
    else if (reason == SSL_R_UNSUPPORTED_PROTOCOL) what = "it speaks no TLS of version 1.2 or 1.3";
    else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_BAD_RECORD_TYPE) what = "what it sends is no TLS: has it been started without?";
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) return; /* as if it had closed a socket without TLS */
    else what = "TLS: ", more = lib->ERR_reason_error_string(code);
    snprintf(c->why, sizeof c->why, "%s%s", what, more ? more : "an unknown failure");
}

/* How a call has ended that did not succeed. */
static mote_err ended(struct mt_tls_conn *c) {
    switch (c->lib->SSL_get_error(c->ssl, 0)) {
    case SSL_ERROR_WANT_READ: c->events = MOTE_READ; return MOTE_TIMEOUT;
    case SSL_ERROR_WANT_WRITE: c->events = MOTE_WRITE; return MOTE_TIMEOUT;
    case SSL_ERROR_SSL: explain(c); break;
    default: break; /* closed, by TLS or by the socket alone: the frames tell whether it was within one */
    }
    c->lib->ERR_clear_error();
    return MOTE_ESTOPPED;
}

mote_err mt_tls_shake(struct mt_tls_conn *conn) {
    conn->lib->ERR_clear_error();
    if (conn->lib->SSL_do_handshake(conn->ssl) != 1) return ended(conn);
    if (!conn->node_size || mt_tls_speaks_for(conn, (mote_bytes){conn->node, conn->node_size})) return MOTE_OK; /* T2 */
    snprintf(conn->why, sizeof conn->why, "its certificate is refused: it is for another host, or for other nodes");
    return MOTE_ESTOPPED;
}

int mt_tls_events(const struct mt_tls_conn *conn) { return conn->events; }

bool mt_tls_speaks_for(struct mt_tls_conn *conn, mote_bytes node) {
    X509 *certificate = conn->lib->SSL_get1_peer_certificate(conn->ssl);
    bool does = certificate && mt_cert_speaks_for(conn->lib, certificate, node);
    if (certificate) conn->lib->X509_free(certificate);
    return does;
}

/* What is wrong with the other's certificate (X509_V_...) by a context's files, as a handshake would judge it, but for these flags. */
static int wrong_with(const struct mt_tls_conn *c, SSL_CTX *context, X509 *it, unsigned long with, unsigned long without) {
    const struct mt_openssl *lib = c->lib;
    X509_STORE_CTX *check = lib->X509_STORE_CTX_new();
    int wrong = X509_V_ERR_OUT_OF_MEM;
    if (check && lib->X509_STORE_CTX_init(check, lib->SSL_CTX_get_cert_store(context), it, lib->SSL_get_peer_cert_chain(c->ssl)) == 1) {
        X509_VERIFY_PARAM *how = lib->X509_STORE_CTX_get0_param(check);
        lib->X509_STORE_CTX_set_default(check, c->node_size ? "ssl_server" : "ssl_client");
        lib->X509_STORE_CTX_set_depth(check, MT_TLS_DEPTH_MAX);
        lib->X509_VERIFY_PARAM_set_auth_level(how, SECURITY_LEVEL);
        lib->X509_VERIFY_PARAM_set_flags(how, with);
        lib->X509_VERIFY_PARAM_clear_flags(how, without);
        wrong = lib->X509_verify_cert(check) == 1 ? X509_V_OK : lib->X509_STORE_CTX_get_error(check);
    }
    lib->X509_STORE_CTX_free(check);
    return wrong;
}

mote_err mt_tls_look(struct mt_tls_conn *c) {
    const struct mt_openssl *lib = c->lib;
    if (*c->why) return MOTE_ESTOPPED;
    SSL_CTX *context = context_of(c->tls, &c->looked);
    X509 *it = lib->SSL_get1_peer_certificate(c->ssl);
    int wrong = wrong_with(c, context, it, 0, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    if (!wrong) wrong = wrong_with(c, context, it, X509_V_FLAG_NO_CHECK_TIME, 0); /* the lists, however old (T5) */
    lib->X509_free(it);
    lib->SSL_CTX_free(context);
    lib->ERR_clear_error();
    if (!wrong) return MOTE_OK;
    snprintf(c->why, sizeof c->why, "its certificate does not hold any more: %s", lib->X509_verify_cert_error_string(wrong));
    return MOTE_ESTOPPED;
}

bool mt_tls_is_dated(const struct mt_tls_conn *c) { return atomic_load(&c->tls->reloads) != c->looked; }

mote_err mt_tls_read(struct mt_tls_conn *conn, void *to, size_t size, size_t *done) {
    size_t got, all = 0;
    if (*conn->why) return MOTE_ESTOPPED;
    conn->lib->ERR_clear_error();
    while (all < size && conn->lib->SSL_read_ex(conn->ssl, (char *)to + all, size - all, &got) == 1) all += got;
    mote_err err = all < size ? ended(conn) : MOTE_OK;
    if (!all) return err;
    *done = all; /* an end is told by the next */
    return MOTE_OK;
}

mote_err mt_tls_write(struct mt_tls_conn *conn, const void *from, size_t size, size_t *done) {
    if (*conn->why) return MOTE_ESTOPPED;
    conn->lib->ERR_clear_error();
    return conn->lib->SSL_write_ex(conn->ssl, from, size, done) == 1 ? MOTE_OK : ended(conn);
}

const char *mt_tls_why(const struct mt_tls_conn *conn) { return conn->why; }
