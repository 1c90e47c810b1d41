/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and URLs of archives. */
#include "loop_fixture.h"

#include "src/behaviour/diagnostics/internal.h"

#define NAME "CP_2026.tar.gz"

static const struct {
    const char *location, *url, *name; /* url NULL: not usable */
} TARGETS[] = {
    {"ftp://h/d/", "ftp://h/d/" NAME, NAME},
    {"ftp://h/d", "ftp://h/d/" NAME, NAME},
    {"ftp://h", "ftp://h/" NAME, NAME},
    {"ftp://u:p%40w@h:2121/d/", "ftp://u:p%40w@h:2121/d/" NAME, NAME},
    {"https://h/put/?sig=a%2Fb", "https://h/put/" NAME "?sig=a%2Fb", NAME},
    {"https://h/put/mine.tar.gz?sig=1", "https://h/put/mine.tar.gz?sig=1", "mine.tar.gz"},
    {"http://h/a%20b.tar.gz", "http://h/a%20b.tar.gz", "a b.tar.gz"},
    {"http://h/d/log.zip", "http://h/d/log.zip/" NAME, NAME},
    {"sftp://h/~/in coming", "sftp://h/~/in%20coming/" NAME, NAME},
    {"http://h/a%0Ab.tar.gz", NULL, NAME},
    {"C:\\logs", NULL, NAME},
    {"file:///var/log", NULL, NAME},
    {"", NULL, NAME},
    {"http:///x", NULL, NAME},
};

START_TEST(targets)
{
    for (guint i = 0; i < G_N_ELEMENTS(TARGETS); i++) {
        g_autofree char *name = NULL, *reason = NULL;
        g_autofree char *url = diagnostics_url(TARGETS[i].location, NAME, &name, &reason);

        ck_assert_pstr_eq(url, TARGETS[i].url);
        ck_assert_str_eq(name, TARGETS[i].name);
        ck_assert_int_eq(reason == NULL, url != NULL);
    }
}
END_TEST

START_TEST(file_names)
{
    g_autofree char *plain = diagnostics_file_name("CP001-FW", 1795336032321);
    g_autofree char *odd = diagnostics_file_name("../a b:\xc3\xa4", 0);
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autofree char *cut = diagnostics_file_name(longest, 0);

    ck_assert_str_eq(plain, "CP001-FW_20261122T082712Z.tar.gz");
    ck_assert_str_eq(odd, ".._a_b____19700101T000000Z.tar.gz");
    ck_assert_uint_le(strlen(cut), 255);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {targets, file_names};

    return run_suite("diagnostics_target", NULL, NULL, tests, G_N_ELEMENTS(tests));
}
