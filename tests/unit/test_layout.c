/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Warnings about what lies in a slot.  /proc stands for another file system.
 */
#include <check.h>
#include <glib/gstdio.h>

#include "agent/layout.h"

static char *folder, *config;

static void setup(void)
{
    folder = g_dir_make_tmp("layout-XXXXXX", NULL);
    config = g_build_filename(folder, "system.conf", NULL);
}

static void teardown(void)
{
    g_unlink(config);
    g_rmdir(folder);
    g_free(config);
    g_free(folder);
}

static guint warnings(const char *store, const char *text, const char *root)
{
    g_autoptr(GPtrArray) list = NULL;

    if (text)
        ck_assert(g_file_set_contents(config, text, -1, NULL));
    list = layout_warnings(store, NULL, config, root);
    return list->len;
}

START_TEST(store_beside_the_slots_is_fine)
{
    g_autofree char *store = g_build_filename(folder, "not", "there", "yet.db", NULL);

    ck_assert_uint_eq(warnings(store, NULL, "/proc"), 0);
    ck_assert_uint_eq(warnings(store, NULL, folder), 1);
}
END_TEST

START_TEST(spool_in_the_slot)
{
    g_autoptr(GPtrArray) list = layout_warnings("/dev/null", folder, config, folder);

    ck_assert_uint_eq(list->len, 1);
    ck_assert(g_str_has_prefix(list->pdata[0], "update.spool-directory: "));
}
END_TEST

START_TEST(status_file_of_rauc)
{
    static const char *const BAD[] = {"[system]\ncompatible=x\n", "[system]\nstatusfile=per-slot\n",
                                      "[system]\nstatusfile=/proc/self/x\n",
                                      "[system]\ndata-directory=/proc\n"};

    for (guint i = 0; i < G_N_ELEMENTS(BAD); i++)
        ck_assert_uint_eq(warnings(folder, BAD[i], "/proc"), 1);
    ck_assert_uint_eq(warnings(folder, "[system]\nstatusfile=/dev/null\n", "/proc"), 0);
    ck_assert_uint_eq(warnings(folder, "not a key file", "/proc"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layout");
    TCase *tests = tcase_create("layout");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, store_beside_the_slots_is_fine);
    tcase_add_test(tests, spool_in_the_slot);
    tcase_add_test(tests, status_file_of_rauc);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
