/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The test certificates of certs/make-test-pki.sh: in $TEST_PKI when that is set, else made anew
 * for this program.
 */
#pragma once

#include <check.h>
#include <glib.h>
#include <glib/gstdio.h>

typedef struct {
    char *folder;
    gboolean ours; /* to be removed */
} TestPki;

/* Before the suite runs, since each test runs in a process of its own. */
static inline TestPki test_pki_new(void)
{
    TestPki pki = {.folder = g_strdup(g_getenv("TEST_PKI"))};
    if (pki.folder == NULL) {
        pki.folder = g_dir_make_tmp("pki-XXXXXX", NULL);
        pki.ours = TRUE;
    }
    const char *argv[] = {"certs/make-test-pki.sh", pki.folder, NULL};
    int status = -1;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                      NULL) ||
        !g_spawn_check_wait_status(status, NULL)) {
        g_error("certs/make-test-pki.sh failed (it is called from the top folder of the project)");
    }
    return pki;
}

static inline char *test_pki_file(const TestPki *pki, const char *name)
{
    return g_build_filename(pki->folder, name, NULL);
}

static inline void test_pki_clear(TestPki *pki)
{
    GDir *dir = pki->ours ? g_dir_open(pki->folder, 0, NULL) : NULL;
    const char *name = NULL;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = test_pki_file(pki, name);
        g_unlink(file);
    }
    if (dir != NULL) {
        g_dir_close(dir);
        g_rmdir(pki->folder);
    }
    g_free(pki->folder);
}
