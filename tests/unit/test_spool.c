/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spool's files: who may own what, what is believed of them, and what is cleaned. */
#include "loop_fixture.h"

#include <sys/stat.h>

#include "adapter/download.h"
#include "src/adapter/download/spool.h"

#define OTHER_USER 65534

static char *folder, *spool_folder;

static void setup(void)
{
    fixture_log_start();
    folder = g_dir_make_tmp("rauc-ocpp-agent-spool-XXXXXX", NULL);
    ck_assert_ptr_nonnull(folder);
    spool_folder = g_build_filename(folder, "spool", NULL);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *full = g_build_filename(path, name, NULL);

        if (!g_file_test(full, G_FILE_TEST_IS_SYMLINK) && g_file_test(full, G_FILE_TEST_IS_DIR))
            remove_tree(full);
        else
            g_unlink(full);
    }
    g_rmdir(path);
}

static void teardown(void)
{
    remove_tree(folder);
    g_free(folder);
    g_free(spool_folder);
}

static char *in_spool(const char *name)
{
    return g_build_filename(spool_folder, name, NULL);
}

static gboolean exists(const char *name)
{
    g_autofree char *path = in_spool(name);

    return g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK);
}

static void plant(const char *name, const char *text, mode_t mode)
{
    g_autofree char *path = in_spool(name);

    ck_assert(g_file_set_contents(path, text, -1, NULL));
    ck_assert_int_eq(chmod(path, mode), 0);
}

static Spool *open_spool(void)
{
    g_autoptr(GError) error = NULL;
    Spool *spool = spool_open(spool_folder, 7, &error);

    ck_assert_msg(spool != NULL, "%s", error ? error->message : "");
    return spool;
}

static void expect_refused(const char *directory, const char *words)
{
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(spool_open(directory, 7, &error));
    ck_assert(g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL));
    ck_assert_msg(strstr(error->message, words) != NULL, "%s", error->message);
}

START_TEST(made_for_us_alone)
{
    g_autoptr(Spool) spool = NULL;
    g_autofree char *part = in_spool("job-7.part"), *whole = in_spool("job-7.raucb");
    g_autofree char *path = download_path(spool_folder, 7);
    gint64 length = -1;
    struct stat st;
    int fd;

    umask(0);
    spool = open_spool();
    ck_assert_int_eq(stat(spool_folder, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    umask(0777);
    fd = spool_open_part(spool, &length, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(length, 0);
    ck_assert_int_eq(write(fd, "abc", 3), 3);
    close(fd);
    ck_assert_int_eq(stat(part, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    close(spool_open_part(spool, &length, NULL));
    ck_assert_int_eq(length, 3);

    ck_assert_int_eq(spool_open_whole(spool, &length), -1);
    ck_assert(spool_publish(spool, NULL));
    ck_assert(!exists("job-7.part"));
    ck_assert_str_eq(path, whole);
    ck_assert_str_eq(spool_whole_path(spool), whole);
    fd = spool_open_whole(spool, &length);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(length, 3);
    ck_assert(spool_discard(spool, NULL));
    ck_assert(!exists("job-7.raucb"));
}
END_TEST

START_TEST(folders_that_are_not_safe)
{
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_autofree char *link_slash = g_strconcat(link, "/", NULL);
    g_autofree char *below = g_build_filename(folder, "not", "there", NULL);
    g_autofree char *file = g_build_filename(folder, "file", NULL);

    ck_assert_int_eq(mkdir(spool_folder, 0700), 0);
    ck_assert_int_eq(symlink(spool_folder, link), 0);
    expect_refused(link, "cannot use the spool");
    expect_refused(link_slash, "cannot use the spool");
    ck_assert(g_file_set_contents(file, "", 0, NULL));
    expect_refused(file, "cannot use the spool");
    expect_refused(below, "cannot make the spool");

    ck_assert_int_eq(chmod(spool_folder, 0770), 0);
    expect_refused(spool_folder, "others may write to it");
    ck_assert_int_eq(chmod(spool_folder, 01707), 0);
    expect_refused(spool_folder, "others may write to it");
    ck_assert_int_eq(chmod(spool_folder, 0755), 0);
    spool_free(open_spool());
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(spool_folder, OTHER_USER, OTHER_USER), 0);
        expect_refused(spool_folder, "it belongs to another user");
    }
}
END_TEST

/* Whatever was put there in the place of a partial file: it is neither read, written to, followed
 * nor waited for. */
START_TEST(planted_files)
{
    g_autoptr(Spool) spool = open_spool();
    g_autofree char *part = in_spool("job-7.part"), *other = in_spool("other");
    g_autofree char *text = NULL;
    gint64 length;
    struct stat st;

    plant("other", "precious", 0600);
    for (int kind = 0; kind < 6; kind++) {
        if (kind == 0)
            ck_assert_int_eq(symlink("other", part), 0);
        else if (kind == 1)
            ck_assert_int_eq(link(other, part), 0);
        else if (kind == 2)
            ck_assert_int_eq(mkfifo(part, 0600), 0);
        else if (kind == 3)
            plant("job-7.part", "text", 0666);
        else if (kind == 4)
            plant("job-7.part", "text", 04600);
        else if (geteuid() == 0)
            ck_assert_int_eq((plant("job-7.part", "text", 0600), chown(part, OTHER_USER, -1)), 0);
        length = -1;
        close(spool_open_part(spool, &length, NULL));
        ck_assert_int_eq(length, 0);
        ck_assert_int_eq(lstat(part, &st), 0);
        ck_assert(S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid());
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_int_eq(g_unlink(part), 0);
    }
    ck_assert(g_file_get_contents(other, &text, NULL, NULL));
    ck_assert_str_eq(text, "precious");
}
END_TEST

START_TEST(a_folder_in_the_place_of_a_file)
{
    g_autoptr(Spool) spool = open_spool();
    g_autofree char *part = in_spool("job-7.part");
    g_autoptr(GError) error = NULL;
    gint64 length;

    ck_assert_int_eq(mkdir(part, 0700), 0);
    ck_assert_int_eq(spool_open_part(spool, &length, &error), -1);
    ck_assert(g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL));
    g_clear_error(&error);
    ck_assert(!spool_discard(spool, &error));
    ck_assert(g_error_matches(error, TRANSFER_ERROR, TRANSFER_ERROR_LOCAL));
}
END_TEST

static void expect_kept(const SpoolInfo *info, const char *etag)
{
    g_autoptr(Spool) spool = open_spool();
    g_auto(SpoolInfo) read = SPOOL_INFO_NONE;

    ck_assert(spool_save_info(spool, info, NULL));
    ck_assert(spool_load_info(spool, &read));
    ck_assert_str_eq(read.url_sha256, info->url_sha256);
    ck_assert_int_eq(g_strcmp0(read.boot_id, info->boot_id), 0);
    ck_assert_int_eq(g_strcmp0(read.file.etag, etag), 0);
    ck_assert_int_eq(read.file.size, info->file.size);
    ck_assert_int_eq(read.file.modified, info->file.modified);
    ck_assert_int_eq(read.synced, info->synced);
    ck_assert(!exists("job-7.info.new"));
}

START_TEST(information_comes_back)
{
    g_autofree char *long_etag = g_strnfill(SPOOL_MAX_ETAG_BYTES + 1, 'e');
    const char *const kept[] = {"\"a\"", "W/\"; [x]=\\n\\s#\"", " blanks\t\n\r ", "\303\244", ""};
    SpoolInfo info = {(char *)"0123abcd", {67108864, NULL, 1700000000}, 8388608, (char *)"boot"};

    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++) {
        info.file.etag = (char *)kept[i];
        expect_kept(&info, kept[i]);
    }
    info.file.etag = long_etag;
    expect_kept(&info, NULL);
    info.file.etag = (char *)"\"\377\"";
    expect_kept(&info, NULL);
    info = (SpoolInfo){(char *)"", {TRANSFER_MAX_SIZE, NULL, -1}, 0, NULL};
    expect_kept(&info, NULL);
}
END_TEST

START_TEST(information_that_makes_no_sense)
{
#define GOOD "[download]\nurl-sha256=ab\nsize=5\nmodified=1\nsynced=0\n"
    g_autofree char *filling = g_strnfill(SPOOL_MAX_INFO_BYTES, 'x');
    g_autofree char *large = g_strconcat(GOOD, "etag=", filling, NULL);
    const char *const texts[] = {
        "",
        "\n",
        "size=5\n",
        "[download]\n",
        "[download]\nurl-sha256=ab\nsize=5\nmodified=1\n",
        "[download]\nurl-sha256=ab\nsize=-2\nmodified=1\nsynced=0\n",
        "[download]\nurl-sha256=ab\nsize=5\nmodified=1\nsynced=-1\n",
        "[download]\nurl-sha256=ab\nsize=5x\nmodified=1\nsynced=0\n",
        "[download]\nurl-sha256=ab\nsize=99999999999999999999\nmodified=1\nsynced=0\n",
        "[download]\nurl-sha256=ab\nsize=1099511627777\nmodified=1\nsynced=0\n",
        "[download]\nurl-sha256=\377\nsize=5\nmodified=1\nsynced=0\n",
        "[download]\nsize=5\nmodified=1\nsynced=0\n",
        large,
    };
    g_autoptr(Spool) spool = open_spool();
    SpoolInfo info = SPOOL_INFO_NONE;

    ck_assert(!spool_load_info(spool, &info));
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        plant("job-7.info", texts[i], 0600);
        ck_assert_msg(!spool_load_info(spool, &info), "%s", texts[i]);
        ck_assert_ptr_null(info.url_sha256);
    }
    plant("job-7.info", GOOD, 0644);
    ck_assert(!spool_load_info(spool, &info));
    plant("job-7.info", GOOD, 0600);
    ck_assert(spool_load_info(spool, &info));
    spool_info_clear(&info);
    ck_assert_ptr_null(info.url_sha256);
}
END_TEST

START_TEST(cleaned)
{
    const char *const ours[] = {"job-7.part",  "job-7.info",  "job-7.info.new",
                                "job-7.raucb", "job-12.part", "job-9223372036854775807.raucb"};
    const char *const kept[] = {"job-8.part", "job-8.info", "job-8.raucb"};
    const char *const foreign[] = {"job-07.part", "job-7.partx", "job-7",
                                   "job-.part",   "job-x.part",  "job- 7.part",
                                   "other",       "xjob-7.part", "job-7.raucb.sig"};

    download_clean(spool_folder, 0);
    ck_assert(!g_file_test(spool_folder, G_FILE_TEST_EXISTS));
    spool_free(open_spool());
    for (gsize i = 0; i < G_N_ELEMENTS(ours); i++)
        plant(ours[i], "x", 0600);
    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++)
        plant(kept[i], "x", 0600);
    for (gsize i = 0; i < G_N_ELEMENTS(foreign); i++)
        plant(foreign[i], "x", 0600);
    download_clean(spool_folder, 8);
    for (gsize i = 0; i < G_N_ELEMENTS(ours); i++)
        ck_assert_msg(!exists(ours[i]), "%s", ours[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++)
        ck_assert_msg(exists(kept[i]), "%s", kept[i]);
    download_clean(spool_folder, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++)
        ck_assert_msg(!exists(kept[i]), "%s", kept[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(foreign); i++)
        ck_assert_msg(exists(foreign[i]), "%s", foreign[i]);
    ck_assert_str_eq(fixture_log->str, "");
}
END_TEST

START_TEST(not_cleaned_through_a_link)
{
    g_autofree char *link = g_build_filename(folder, "link", NULL);

    spool_free(open_spool());
    plant("job-7.part", "x", 0600);
    ck_assert_int_eq(symlink(spool_folder, link), 0);
    download_clean(link, 0);
    ck_assert(exists("job-7.part"));
    ck_assert_ptr_nonnull(strstr(fixture_log->str, "WARNING cannot use the spool"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        made_for_us_alone,
        folders_that_are_not_safe,
        planted_files,
        a_folder_in_the_place_of_a_file,
        information_comes_back,
        information_that_makes_no_sense,
        cleaned,
        not_cleaned_through_a_link,
    };

    return run_suite("spool", setup, teardown, tests, G_N_ELEMENTS(tests));
}
