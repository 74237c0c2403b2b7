/* SPDX-License-Identifier: Apache-2.0
 * Lists of certificates that are taken back, made by OpenSSL as it is. For tests that are linked with it.
 */
#ifndef MT_TESTS_CRL_H
#define MT_TESTS_CRL_H

#include "check.h"
#include "dist/cert.h"

/* An authority's list of one certificate (PEM), which is out of date after `until_s`, as text. */
static void crl_of(const struct mt_openssl *lib, const struct mt_cert_pair *authority, const char *certificate, long until_s, char text[MT_PEM_MAX]) {
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    X509 *ca = mt_openssl_certificate_of(lib, (mote_bytes){authority->certificate, strlen(authority->certificate)}), *it = mt_openssl_certificate_of(lib, (mote_bytes){certificate, strlen(certificate)});
    EVP_PKEY *key = mt_openssl_key_of(lib, (mote_bytes){authority->key, strlen(authority->key)});
    ASN1_TIME *since = X509_gmtime_adj(NULL, -3600), *next = X509_gmtime_adj(NULL, until_s);
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    CHECK(crl && entry && ca && it && key && bio);
    CHECK(X509_CRL_set_version(crl, 1) && X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) && X509_CRL_set1_lastUpdate(crl, since) && X509_CRL_set1_nextUpdate(crl, next));
    CHECK(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(it)) && X509_REVOKED_set_revocationDate(entry, since) && X509_CRL_add0_revoked(crl, entry));
    CHECK(X509_CRL_sort(crl) && X509_CRL_sign(crl, key, EVP_sha256()) && PEM_write_bio_X509_CRL(bio, crl));
    long size = BIO_get_mem_data(bio, &data);
    CHECK(size > 0 && size < (long)MT_PEM_MAX);
    memcpy(text, data, (size_t)size);
    text[size] = 0;
    X509_CRL_free(crl), X509_free(ca), X509_free(it), EVP_PKEY_free(key), ASN1_TIME_free(since), ASN1_TIME_free(next), BIO_free(bio);
}

#endif
