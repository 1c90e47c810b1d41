/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What RAUC's texts come to: every cause that was measured, in the words of 1.8 and of the
 * streaming versions. */
#include "loop_fixture.h"

#include "src/adapter/rauc_internal.h"

static const struct {
    RaucError class_;
    const char *text;
} samples[] = {
    /* 1.8, which downloads */
    {RAUC_ERROR_RETRIEVAL, "Failed to download bundle http://h/b.raucb: HTTP returned >=400"},
    {RAUC_ERROR_RETRIEVAL, "Failed to download bundle http://h:1/b: Transfer failed: Failed to "
                           "connect to h port 1: Connection refused"},
    {RAUC_ERROR_RETRIEVAL, "Failed to download bundle http://nowhere/b: Transfer failed: Could not "
                           "resolve host: nowhere"},
    {RAUC_ERROR_RETRIEVAL, "Failed to download bundle http://h/b: Transfer failed: transfer closed "
                           "with 4096 bytes remaining to read"},
    {RAUC_ERROR_RETRIEVAL,
     "Failed to download bundle http://h/b: Transfer failed: Maximum file size exceeded"},
    {RAUC_ERROR_RETRIEVAL, "Failed to download bundle http://h/b: Transfer failed: Failure writing "
                           "output to destination"},
    {RAUC_ERROR_RETRIEVAL,
     "Failed to download bundle https://h/b: Transfer failed: SSL certificate "
     "problem: unable to get local issuer certificate"},
    /* streaming */
    {RAUC_ERROR_RETRIEVAL,
     "Failed to stream bundle http://h/b: not found: unexpected HTTP response code 404"},
    {RAUC_ERROR_RETRIEVAL,
     "Failed to stream bundle http://h/b: unauthorized: unexpected HTTP response code 401"},
    {RAUC_ERROR_RETRIEVAL, "Failed to stream bundle http://h/b: failed to configure streaming: "
                           "unexpected HTTP response code 503"},
    {RAUC_ERROR_RETRIEVAL,
     "Failed to stream bundle http://h/b: failed to configure streaming: server not responding"},
    {RAUC_ERROR_RETRIEVAL, "Failed to stream bundle http://h/b: failed to configure streaming: "
                           "range requests not supported by server"},
    {RAUC_ERROR_RETRIEVAL, "Invalid bundle format: Failed to read signature size from bundle: "
                           "failed to read data from remote server"},
    /* the bundle */
    {RAUC_ERROR_SIGNATURE, "signature verification failed: Verify error: unable to get local "
                           "issuer certificate"},
    {RAUC_ERROR_SIGNATURE,
     "signature verification failed: Verify error: certificate has expired\n"},
    {RAUC_ERROR_SIGNATURE,
     "signature verification failed: error:0200008A:rsa routines::invalid padding"},
    {RAUC_ERROR_COMPATIBLE, "Installation error: Compatible mismatch: Expected 'X' but bundle "
                            "manifest has 'Y'"},
    {RAUC_ERROR_COMPATIBLE, "Compatible mismatch: Expected 'X' but bundle manifest has 'Y'"},
    {RAUC_ERROR_COMPATIBLE,
     "Installation error: Bundle rejected: Hook returned: signature verification failed"},
    {RAUC_ERROR_FORMAT, "Invalid bundle format: Signature size (1) exceeds bundle size"},
    {RAUC_ERROR_STREAM, "Bundle format 'plain' not supported in streaming mode"},
    {RAUC_ERROR_FORMAT, "Bundle format 'plain' not allowed"},
    {RAUC_ERROR_FORMAT, "Unsupported key: transaction-id"},
    {RAUC_ERROR_SIZE, "Installation error: Failed updating slot rootfs.1: Failed splicing data: "
                      "Error writing to file descriptor: No space left on device"},
    {RAUC_ERROR_SIZE, "Installation error: Failed updating slot rootfs.1: Slot (1048576 bytes) is "
                      "too small for image (2097152 bytes)."},
    {RAUC_ERROR_COPY, "Installation error: Failed updating slot rootfs.1: Failed to copy data: "
                      "Error reading from file: Input/output error"},
    {RAUC_ERROR_COPY, "Installation error: Failed updating slot rootfs.1: Failed splicing data: "
                      "Error writing to file descriptor: Input/output error"},
    {RAUC_ERROR_STORE, "Installation error: Failed updating slot rootfs.1: failed to run "
                       "casync extract: Child process exited with code 1"},
    /* RAUC's own state */
    {RAUC_ERROR_BUSY, "Already processing a different method"},
    {RAUC_ERROR_BUSY, "already processing a different method"},
    /* the rest */
    {RAUC_ERROR_OTHER, "Failed mounting bundle: Failed to load dm table: Argument list too long"},
    {RAUC_ERROR_OTHER, "Failed mounting bundle: Failed to open /dev/mapper/control"},
    {RAUC_ERROR_STREAM, "Failed mounting bundle: failed to resolve 'nbd' netlink family"},
    {RAUC_ERROR_OTHER, "Installation error: Failed marking slot rootfs.1 bootable: backend failed"},
    {RAUC_ERROR_OTHER, "Did not find booted slot (matching 'C')"},
    {RAUC_ERROR_OTHER, "Post-install handler error: Child process exited with code 1"},
    {RAUC_ERROR_OTHER, "No space left on device"},
    {RAUC_ERROR_OTHER, "something new"},
    {RAUC_ERROR_OTHER, ""},
    /* a URL is only a URL */
    {RAUC_ERROR_RETRIEVAL,
     "Failed to stream bundle http://h/signature verification failed/Compatible "
     "mismatch: not found: unexpected HTTP response code 404"},
};

START_TEST(every_cause_has_its_class)
{
    for (gsize i = 0; i < G_N_ELEMENTS(samples); i++)
        ck_assert_msg(rauc_error_classify(samples[i].text) == samples[i].class_, "%d: %s",
                      (int)rauc_error_classify(samples[i].text), samples[i].text);
    ck_assert_int_eq(rauc_error_classify(NULL), RAUC_ERROR_OTHER);
}
END_TEST

START_TEST(long_text_is_cut_between_characters)
{
    g_autofree char *fits = rauc_text_bounded("abc \n\n", 10);
    g_autofree char *cut = rauc_text_bounded("abcdef", 3);
    g_autofree char *exact = rauc_text_bounded("abc", 3);
    g_autofree char *whole = rauc_text_bounded("ab\303\244c", 4);
    g_autofree char *split = rauc_text_bounded("ab\303\244c", 3);
    g_autofree char *nothing = rauc_text_bounded("\303\244", 1);

    ck_assert_str_eq(fits, "abc");
    ck_assert_str_eq(cut, "abc");
    ck_assert_str_eq(exact, "abc");
    ck_assert_str_eq(whole, "ab\303\244");
    ck_assert_str_eq(split, "ab");
    ck_assert_str_eq(nothing, "");
}
END_TEST

static void expect_from_call(GQuark domain, int code, const char *text, RaucError class_,
                             const char *expected)
{
    g_autoptr(GError) error = g_error_new_literal(domain, code, text);
    g_autoptr(GError) ours = rauc_error_from_call(error);

    ck_assert_msg(g_error_matches(ours, RAUC_ERROR, (int)class_), "%s: %d", text, ours->code);
    ck_assert_str_eq(ours->message, expected);
}

START_TEST(calls_that_fail)
{
    expect_from_call(G_IO_ERROR, G_IO_ERROR_DBUS_ERROR,
                     "GDBus.Error:org.gtk.GDBus.UnmappedGError.Quark._g_2dio.Code30: already "
                     "processing a different method",
                     RAUC_ERROR_BUSY, "already processing a different method");
    expect_from_call(G_IO_ERROR, G_IO_ERROR_DBUS_ERROR,
                     "GDBus.Error:org.gtk.GDBus.UnmappedGError.Quark._g_2dio.Code30: No slot with "
                     "class or name rootfs.7 found\n",
                     RAUC_ERROR_OTHER, "No slot with class or name rootfs.7 found");
    expect_from_call(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Timeout was reached", RAUC_ERROR_GONE,
                     "RAUC does not answer: Timeout was reached");
    expect_from_call(G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY, "no reply", RAUC_ERROR_GONE,
                     "RAUC does not answer: no reply");
    expect_from_call(G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED, "denied", RAUC_ERROR_OTHER,
                     "denied");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_cause_has_its_class,
        long_text_is_cut_between_characters,
        calls_that_fail,
    };

    return run_suite("rauc-error", NULL, NULL, tests, G_N_ELEMENTS(tests));
}
