/* SPDX-License-Identifier: Apache-2.0
 * See cert.h; and the public functions about certificates. */
#include "dist/cert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mote/node.h>

#include "base/os_net.h"
#include "dist/digest.h"
#include "dist/epmd.h"
#include "dist/handshake.h"

#define SUBJECT_MAX 64
#define DAY_S 86400
#define SLACK_S (-3600) /* clocks of nodes differ */
#define PATH_SIZE 1024u
#define NAMES_SIZE 900u /* a host, twice, and a node at it */
#define CERT_DAYS 365u
#define SCHEME "erlnode:"

/* ------------------------------------------------------------------------------------------------- making */

struct maker {
    const struct mt_openssl *lib;
    EVP_PKEY *key;
    X509 *made;
    X509 *issuer; /* `made` itself, if it vouches for itself */
    EVP_PKEY *issuer_key;
};

static bool extend(struct maker *m, int nid, const char *value) {
    X509V3_CTX context = {0};
    if (!value) return true;
    m->lib->X509V3_set_ctx(&context, m->issuer, m->made, NULL, NULL, 0);
    X509_EXTENSION *e = m->lib->X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool done = e && m->lib->X509_add_ext(m->made, e, -1) == 1;
    if (e) m->lib->X509_EXTENSION_free(e);
    return done;
}

static bool describe(struct maker *m, const struct mt_cert_wish *w) {
    const struct mt_openssl *lib = m->lib;
    const unsigned char *subject = (const unsigned char *)w->subject;
    X509_NAME *name = lib->X509_get_subject_name(m->made);
    size_t size = strlen(w->subject);
    return lib->X509_set_version(m->made, X509_VERSION_3) && lib->ASN1_INTEGER_set_uint64(lib->X509_get_serialNumber(m->made), mt_os_random() >> 1 | 1) &&
           lib->X509_gmtime_adj(lib->X509_getm_notBefore(m->made), w->from_s) && lib->X509_gmtime_adj(lib->X509_getm_notAfter(m->made), w->until_s) &&
           lib->X509_set_pubkey(m->made, m->key) && lib->X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, subject, size > SUBJECT_MAX ? SUBJECT_MAX : (int)size, -1, 0) &&
           lib->X509_set_issuer_name(m->made, lib->X509_get_subject_name(m->issuer)) && extend(m, NID_basic_constraints, w->authority ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
           extend(m, NID_key_usage, w->authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") && extend(m, NID_ext_key_usage, w->usage) &&
           extend(m, NID_subject_alt_name, w->names) && extend(m, NID_subject_key_identifier, "hash") && extend(m, NID_authority_key_identifier, "keyid");
}

/* What was written into `bio`, as text; false: there is no room for it. */
static bool take_text(const struct mt_openssl *lib, BIO *bio, char to[MT_PEM_MAX]) {
    char *data = NULL;
    long size = lib->BIO_ctrl(bio, BIO_CTRL_INFO, 0, &data);
    bool fits = size > 0 && size < (long)MT_PEM_MAX;
    if (fits) memcpy(to, data, (size_t)size);
    to[fits ? size : 0] = 0;
    return fits;
}

static bool write_out(struct maker *m, struct mt_cert_pair *pair) {
    const struct mt_openssl *lib = m->lib;
    BIO *certificate = lib->BIO_new(lib->BIO_s_mem()), *key = lib->BIO_new(lib->BIO_s_mem());
    bool done = certificate && key && lib->PEM_write_bio_X509(certificate, m->made) && lib->PEM_write_bio_PrivateKey(key, m->key, NULL, NULL, 0, NULL, NULL) &&
                take_text(lib, certificate, pair->certificate) && take_text(lib, key, pair->key);
    lib->BIO_free(certificate);
    lib->BIO_free(key);
    return done;
}

static mote_bytes text_of(const char *text) { return (mote_bytes){text, strlen(text)}; }

mote_err mt_cert_issue(const struct mt_openssl *openssl, const struct mt_cert_wish *wish, const struct mt_cert_pair *issuer, struct mt_cert_pair *pair) {
    const struct mt_openssl *lib = openssl;
    struct maker m = {.lib = lib, .key = lib->EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), .made = lib->X509_new()};
    m.issuer = issuer ? mt_openssl_certificate_of(lib, text_of(issuer->certificate)) : m.made;
    m.issuer_key = issuer ? mt_openssl_key_of(lib, text_of(issuer->key)) : m.key;
    mote_err err = m.key && m.made ? MOTE_OK : MOTE_ENOMEM;
    if (!err && issuer && (!m.issuer || !m.issuer_key || lib->X509_check_private_key(m.issuer, m.issuer_key) != 1)) err = MOTE_EARG;
    if (!err && !(describe(&m, wish) && lib->X509_sign(m.made, m.issuer_key, lib->EVP_sha256()) && write_out(&m, pair))) err = MOTE_EARG;
    if (issuer) {
        lib->X509_free(m.issuer);
        lib->EVP_PKEY_free(m.issuer_key);
    }
    lib->X509_free(m.made);
    lib->EVP_PKEY_free(m.key);
    lib->ERR_clear_error();
    return err;
}

/* ------------------------------------------------------------------------------------------------ its names */

static GENERAL_NAMES *names_of(const struct mt_openssl *lib, X509 *certificate) { return lib->X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL); }

static int name_count(const struct mt_openssl *lib, const GENERAL_NAMES *names) { return names ? lib->OPENSSL_sk_num((const OPENSSL_STACK *)names) : 0; }

/* The type (GEN_...) and the bytes of one. */
static int name_at(const struct mt_openssl *lib, const GENERAL_NAMES *names, int i, mote_bytes *bytes) {
    const GENERAL_NAME *name = lib->OPENSSL_sk_value((const OPENSSL_STACK *)names, i);
    *bytes = (mote_bytes){"", 0};
    if (name->type == GEN_DNS || name->type == GEN_URI) *bytes = (mote_bytes){lib->ASN1_STRING_get0_data(name->d.ia5), (size_t)lib->ASN1_STRING_length(name->d.ia5)};
    else if (name->type == GEN_IPADD) *bytes = (mote_bytes){lib->ASN1_STRING_get0_data(name->d.iPAddress), (size_t)lib->ASN1_STRING_length(name->d.iPAddress)};
    return name->type;
}

static bool begins_with_scheme(mote_bytes name) { return name.size >= sizeof SCHEME - 1 && memcmp(name.data, SCHEME, sizeof SCHEME - 1) == 0; }

/* It names no nodes, or this one among others. */
static bool may_be_node(const struct mt_openssl *lib, X509 *certificate, mote_bytes node) {
    GENERAL_NAMES *names = names_of(lib, certificate);
    bool any = false, this = false;
    mote_bytes name;
    for (int i = 0; i < name_count(lib, names); i++) {
        if (name_at(lib, names, i, &name) != GEN_URI || !begins_with_scheme(name)) continue;
        any = true;
        const char *rest = (const char *)name.data + sizeof SCHEME - 1;
        if (name.size - (sizeof SCHEME - 1) == node.size && memcmp(rest, node.data, node.size) == 0) this = true;
    }
    if (names) lib->GENERAL_NAMES_free(names);
    return this || !any;
}

bool mt_cert_speaks_for(const struct mt_openssl *openssl, X509 *certificate, mote_bytes node) {
    const char *at = memchr(node.data, '@', node.size);
    char host[MT_CERT_HOST_MAX + 1];
    size_t size = at ? node.size - (size_t)(at + 1 - (const char *)node.data) : 0;
    if (!size || size > MT_CERT_HOST_MAX || at[1] == '.') return false; /* a dot first would mean to OpenSSL: any host of that domain */
    memcpy(host, at + 1, size);
    host[size] = 0;
    bool address = mt_net_is_address(host);
    unsigned how = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | (address ? X509_CHECK_FLAG_NO_WILDCARDS : X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool fits = openssl->X509_check_host(certificate, host, size, how, NULL) == 1 || (address && openssl->X509_check_ip_asc(certificate, host, 0) == 1);
    openssl->ERR_clear_error();
    return fits && may_be_node(openssl, certificate, node);
}

/* Room for text; what does not fit sets `full`. */
struct lines {
    char *at, *end;
    bool full;
};
static void put_line(struct lines *l, const char *text, size_t size) {
    if (memchr(text, 0, size) || memchr(text, '\n', size)) return; /* such a name is none */
    if ((size_t)(l->end - l->at) < size + 2) {
        l->full = true;
        return;
    }
    memcpy(l->at, text, size);
    l->at += size;
    *l->at++ = '\n';
}

static void put_name(struct lines *l, int type, mote_bytes name) {
    char address[INET6_ADDRSTRLEN];
    if (type == GEN_DNS || (type == GEN_URI && begins_with_scheme(name))) put_line(l, name.data, name.size);
    else if (type == GEN_IPADD && inet_ntop(name.size == 4 ? AF_INET : AF_INET6, name.data, address, sizeof address)) put_line(l, address, strlen(address));
}

static mote_err wrong(char *why, size_t size, mote_err err, const char *path, const char *text) {
    if (size) snprintf(why, size, "%s: %s", path, text);
    return err;
}

static mote_err load(struct mt_openssl *lib, char *why, size_t size) {
    return mt_openssl_load(lib) ? MOTE_OK : wrong(why, size, MOTE_EOS, "TLS", "OpenSSL 3 is not there (Debian: libssl3)");
}

mote_err mote_cert_names(const char *file, char *names, size_t names_size, char *why, size_t size) {
    struct mt_openssl lib;
    mote_bytes name;
    if (!why) size = 0;
    if (!file || !names || !names_size) return MOTE_EARG;
    mote_err err = load(&lib, why, size);
    if (err) return err;
    X509 *certificate = mt_openssl_certificate(&lib, file);
    if (!certificate) return wrong(why, size, MOTE_EOS, file, mt_openssl_why(&lib));
    struct lines lines = {names, names + names_size, false};
    GENERAL_NAMES *all = names_of(&lib, certificate);
    for (int i = 0; i < name_count(&lib, all); i++) {
        int type = name_at(&lib, all, i, &name);
        if (type != GEN_IPADD || name.size == 4 || name.size == 16) put_name(&lines, type, name);
    }
    *lines.at = 0;
    if (all) lib.GENERAL_NAMES_free(all);
    lib.X509_free(certificate);
    return lines.full ? MOTE_ELIMIT : MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------ in folders */

struct folder {
    const struct mt_openssl *lib;
    const char *path, *node, *names;
    unsigned days;
    bool renew;
    char *why;
    size_t size;
};

static mote_err says(const struct folder *f, mote_err err, const char *path, const char *text) { return wrong(f->why, f->size, err, path, err == MOTE_EOS ? strerror(errno) : text); }

static mote_err path_of(const struct folder *f, char to[PATH_SIZE], const char *folder, const char *file) {
    int n = *folder ? snprintf(to, PATH_SIZE, "%s/%s/%s", f->path, folder, file) : snprintf(to, PATH_SIZE, "%s/%s", f->path, file);
    return n > 0 && n < (int)PATH_SIZE ? MOTE_OK : says(f, MOTE_EARG, f->path, "the path is too long");
}

static mote_err put_file(const struct folder *f, const char *folder, const char *file, const char *text, unsigned mode) {
    char path[PATH_SIZE];
    mote_err err = path_of(f, path, folder, file);
    if (err) return err;
    bool replaces = f->renew && *folder;
    err = replaces ? mt_os_file_replace(path, text, strlen(text), mode) : mt_os_file_make(path, text, strlen(text), mode);
    return err ? says(f, err, path, "it is there already") : MOTE_OK;
}

static mote_err make_folder(const struct folder *f, const char *path, bool new) {
    mote_err err = mt_os_folder_make(path);
    if (!err || (err == MOTE_EBUSY && !new)) return MOTE_OK;
    return says(f, err, path, "it is there already; to have a new certificate in its place, renew it");
}

/* Reads a text file of ours, wherever it stands. */
static mote_err get_text(const struct folder *f, const char *file, bool secret, char to[MT_PEM_MAX]) {
    char path[PATH_SIZE];
    size_t n = 0;
    mote_err err = path_of(f, path, "", file);
    if (err) return err;
    if (secret) err = mt_os_secret_read(path, true, to, MT_PEM_MAX - 1, &n);
    else err = mt_os_file_read(path, to, MT_PEM_MAX - 1, &n);
    to[n] = 0;
    if (!err) return MOTE_OK;
    return says(f, err, path, err == MOTE_ENOPROC ? "it is missing: an authority is ca.pem and ca-key.pem" : secret ? "it has to be a file of your own that nobody else may read (chmod 400)" : "it is too large");
}

/* The authority of the folder, which is made where there is none. */
static mote_err authority(const struct folder *f, struct mt_cert_pair *pair) {
    const struct mt_cert_wish wish = {.subject = "mote nodes", .authority = true, .from_s = SLACK_S, .until_s = MT_CERT_AUTHORITY_DAYS * DAY_S};
    char certificate[PATH_SIZE], key[PATH_SIZE];
    mote_err err = path_of(f, certificate, "", "ca.pem");
    if (!err) err = path_of(f, key, "", "ca-key.pem");
    if (err) return err;
    if (mt_os_file_there(certificate) || mt_os_file_there(key)) {
        if (!(err = get_text(f, "ca.pem", false, pair->certificate))) err = get_text(f, "ca-key.pem", true, pair->key);
        return err;
    }
    if ((err = mt_cert_issue(f->lib, &wish, NULL, pair))) return says(f, err, f->path, "no authority can be made: out of memory");
    if (!(err = put_file(f, "", "ca-key.pem", pair->key, 0400))) err = put_file(f, "", "ca.pem", pair->certificate, 0444);
    return err;
}

/* The names of a host's or a node's certificate, as OpenSSL wants them. False: that is neither. No character of them means anything there. */
static bool wanted_names(const char *node, char to[NAMES_SIZE]) {
    const char *at = strchr(node, '@'), *host = at ? at + 1 : node;
    bool fits = strlen(node) <= MT_NODE_NAME_MAX && *host && *host != '.' && *host != '-' && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") == strlen(host);
    if (at) fits = fits && mt_node_name_fits((mote_bytes){node, strlen(node)}) && mt_epmd_name_fits((mote_bytes){node, (size_t)(at - node)});
    if (!fits || (strchr(host, ':') && !mt_net_is_address(host))) return false;
    bool address = mt_net_is_address(host); /* Erlang looks for one among the names */
    int n = snprintf(to, NAMES_SIZE, "DNS:%s%s%s%s%s", host, address ? ",IP:" : "", address ? host : "", at ? ",URI:" SCHEME : "", at ? node : "");
    return n > 0 && n < (int)NAMES_SIZE;
}

static mote_err make_node(const struct folder *f, const struct mt_cert_pair *issuer, struct mt_cert_pair *pair) {
    char path[PATH_SIZE];
    const struct mt_cert_wish wish = {.subject = f->node, .names = f->names, .usage = "serverAuth,clientAuth", .from_s = SLACK_S, .until_s = (int)f->days * DAY_S};
    mote_err err = path_of(f, path, "", f->node);
    if (err) return err;
    if ((err = mt_cert_issue(f->lib, &wish, issuer, pair))) return says(f, err, f->path, "ca.pem and ca-key.pem are no authority's certificate and its key");
    if ((err = make_folder(f, path, !f->renew))) return err;
    if (!(err = put_file(f, f->node, "key.pem", pair->key, 0400)) && !(err = put_file(f, f->node, "cert.pem", pair->certificate, 0444))) err = put_file(f, f->node, "ca.pem", issuer->certificate, 0444);
    return err;
}

mote_err mote_cert_make(const char *folder, const char *node, unsigned days, bool renew, char *why, size_t size) {
    struct mt_openssl lib;
    char names[NAMES_SIZE];
    struct mt_cert_pair *pairs = NULL; /* the authority's, the node's */
    const struct folder f = {&lib, folder, node, names, days ? days : CERT_DAYS, renew, why, why ? size : 0};
    if (!folder || !*folder || !node || days > MT_CERT_AUTHORITY_DAYS) return MOTE_EARG;
    if (!wanted_names(node, names)) return says(&f, MOTE_EARG, node, "a certificate is for a host's name, an IP address, or a node: alive@host");
    mote_err err = load(&lib, f.why, f.size);
    if (!err && !(pairs = mt_os_alloc_zero(2 * sizeof *pairs))) err = MOTE_ENOMEM;
    if (!err) err = make_folder(&f, folder, false);
    if (!err) err = authority(&f, &pairs[0]);
    if (!err) err = make_node(&f, &pairs[0], &pairs[1]);
    if (pairs) mt_digest_wipe(pairs, 2 * sizeof *pairs);
    mt_os_free(pairs);
    return err;
}
