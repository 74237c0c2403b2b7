/* SPDX-License-Identifier: Apache-2.0
 * See openssl.h. */
#include "dist/openssl.h"

#include <string.h>

#include "base/os_fd.h"
#include "dist/digest.h"

#define LIBRARY "libssl.so.3" /* and what it needs: libcrypto */
#define KEY_MAX 16384u

/* A pointer to a function as what it is; false: there is none of that name. */
static bool find(const char *name, void *to, size_t size) {
    mt_os_function *function = mt_os_symbol(LIBRARY, name);
    MT_ASSERT(size == sizeof function);
    memcpy(to, &function, size);
    return function != NULL;
}

bool mt_openssl_load(struct mt_openssl *openssl) {
    bool all = true;
#define X(name) all = all && find(#name, &openssl->name, sizeof openssl->name);
#include "dist/openssl.def"
#undef X
    return all && openssl->OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) == 1; /* threads may use it until the program has ended */
}

const char *mt_openssl_why(const struct mt_openssl *openssl) {
    unsigned long code = openssl->ERR_peek_error();
    const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : openssl->ERR_reason_error_string(code);
    openssl->ERR_clear_error();
    return text ? text : "for an unknown reason";
}

/* Nobody is asked for a passphrase: a node starts alone. */
static int no_passphrase(char *to, int size, int writes, void *context) {
    (void)to, (void)size, (void)writes, (void)context;
    return -1;
}

X509 *mt_openssl_certificate_of(const struct mt_openssl *openssl, mote_bytes text) {
    BIO *bio = openssl->BIO_new_mem_buf(text.data, (int)text.size);
    X509 *certificate = bio ? openssl->PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    openssl->BIO_free(bio);
    return certificate;
}

EVP_PKEY *mt_openssl_key_of(const struct mt_openssl *openssl, mote_bytes text) {
    BIO *bio = openssl->BIO_new_mem_buf(text.data, (int)text.size);
    EVP_PKEY *key = bio ? openssl->PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    openssl->BIO_free(bio);
    return key;
}

X509 *mt_openssl_certificate(const struct mt_openssl *openssl, const char *path) {
    BIO *bio = openssl->BIO_new_file(path, "r");
    X509 *certificate = bio ? openssl->PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    openssl->BIO_free(bio);
    return certificate;
}

mote_err mt_openssl_key(const struct mt_openssl *openssl, const char *path, EVP_PKEY **key) {
    char text[KEY_MAX];
    size_t size = 0;
    mote_err err = mt_os_secret_read(path, true, text, sizeof text, &size);
    if (!err && !(*key = mt_openssl_key_of(openssl, (mote_bytes){text, size}))) err = MOTE_ETERM;
    openssl->ERR_clear_error();
    mt_digest_wipe(text, sizeof text);
    return err;
}
