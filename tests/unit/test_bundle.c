/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which kind of bundle a file is, by its signature; what a hostile file makes of that. */
#include <check.h>
#include <glib/gstdio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "adapter/bundle.h"

static char *path;

static void setup(void)
{
    int fd = g_file_open_tmp("bundle-XXXXXX", &path, NULL);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    g_unlink(path);
    g_free(path);
}

static GBytes *signature(unsigned int flags)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *certificate = X509_new();
    BIO *data = BIO_new_mem_buf("manifest", -1);
    CMS_ContentInfo *cms;
    guint8 *der = NULL;
    int length;
    GBytes *bytes;

    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
    cms = CMS_sign(certificate, key, NULL, data, flags | CMS_BINARY);
    ck_assert_ptr_nonnull(cms);
    length = i2d_CMS_ContentInfo(cms, &der);
    bytes = g_bytes_new(der, (gsize)length);
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    BIO_free(data);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return bytes;
}

/* Some content, `tail`, and a trailer that says `length`. */
static BundleFormat format(const void *tail, gsize tail_length, guint64 length)
{
    GByteArray *file = g_byte_array_new();
    guint64 big = GUINT64_TO_BE(length);
    BundleFormat result;

    g_byte_array_append(file, (const guint8 *)"hsqs image", 10);
    g_byte_array_append(file, tail, (guint)tail_length);
    g_byte_array_append(file, (const guint8 *)&big, sizeof(big));
    ck_assert(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
    result = bundle_format(path);
    g_byte_array_unref(file);
    return result;
}

START_TEST(signatures)
{
    g_autoptr(GBytes) plain = signature(CMS_DETACHED);
    g_autoptr(GBytes) verity = signature(0);
    gsize length;
    const void *data = g_bytes_get_data(plain, &length);

    ck_assert_int_eq(format(data, length, length), BUNDLE_PLAIN);
    ck_assert_int_eq(format(data, length, length - 1), BUNDLE_UNKNOWN);
    data = g_bytes_get_data(verity, &length);
    ck_assert_int_eq(format(data, length, length), BUNDLE_EMBEDDED);
}
END_TEST

START_TEST(no_bundles)
{
    static const guint64 LENGTHS[] = {
        0,          1,          10, 11, 12, 1000, BUNDLE_MAX_SIGNATURE, BUNDLE_MAX_SIGNATURE + 1,
        G_MAXINT64, G_MAXUINT64};

    for (guint i = 0; i < G_N_ELEMENTS(LENGTHS); i++)
        ck_assert_int_eq(format("", 0, LENGTHS[i]), BUNDLE_UNKNOWN);
    ck_assert(g_file_set_contents(path, "short", 5, NULL));
    ck_assert_int_eq(bundle_format(path), BUNDLE_UNKNOWN);
    ck_assert_int_eq(bundle_format("/nonexistent"), BUNDLE_UNKNOWN);
    ck_assert_int_eq(bundle_format("/proc"), BUNDLE_UNKNOWN);
    ck_assert_int_eq(bundle_format("/dev/zero"), BUNDLE_UNKNOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bundle");
    TCase *tests = tcase_create("bundle");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, signatures);
    tcase_add_test(tests, no_bundles);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
