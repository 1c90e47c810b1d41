/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What hides secrets: wherever they lie in what is read, and nothing else. */
#include "loop_fixture.h"

#include "src/adapter/collector/redact.h"

static const char *const secrets[] = {"hunter2", "hunter2000", "r2d2", "%", "", "a:b", NULL};
static Redactor *redactor;

static void setup(void)
{
    fixture_log_start();
    redactor = redactor_new(secrets);
}

static void teardown(void)
{
    redactor_free(redactor);
}

static gboolean append(gpointer to, const char *data, gsize length)
{
    g_string_append_len(to, data, (gssize)length);
    return TRUE;
}

static gboolean refuse(gpointer to, const char *data, gsize length)
{
    (void)data;
    *(gsize *)to += length;
    return FALSE;
}

static char *hide(const char *text, gsize length, gsize step, gboolean whole)
{
    GString *shown = g_string_new(NULL);

    redactor_begin(redactor, (Sink){append, shown});
    for (gsize at = 0; at < length; at += step)
        ck_assert(redactor_take(redactor, text + at, MIN(step, length - at)));
    ck_assert(redactor_end(redactor, whole));
    return g_string_free(shown, FALSE);
}

START_TEST(hidden)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"", ""},
        {"nothing here", "nothing here"},
        {"hunter2", "***"},
        {"=hunter2000=", "=***="},
        {"=hunter2hunter2=", "=***="},
        {"=hunter2d2=", "=***="}, /* one begins in the other */
        {"hunter hunter1 Hunter2", "hunter hunter1 Hunter2"},
        {"6%7", "6*7"},
        {"ftp://u:p@h/d", "ftp://***@h/d"},
        {"ftp://user:pass@host/dir a@b", "ftp://***@host/dir a@b"},
        {"'ftp://user:p@ss@host/dir'", "'ftp://***@host/dir'"},
        {"ftp://user:p/w@host/dir", "ftp://***@host/dir"},
        {"http://token@host", "http://***@host"},
        {"\"ftp:\\/\\/user:pass@host\\/dir\"", "\"ftp:\\/\\/***@host\\/dir\""},
        {"http://host:80/p@th http://host/?m=a@b.c", "http://host:80/p@th http://host/?m=a@b.c"},
        {"http://[::1]:80/p@th", "http://[::1]:80/p@th"},
        {"http://u:q://v@h/", "http://***@h/"},
        {"a://b:c@d e://f:g@h", "a://***@d e://***@h"},
        {"://", "://"},
        {"://@", "://@"},
        {"Authorization: Basic Zm9v\nHost: a", "Authorization: ***\nHost: a"},
        {"> authorization:Bearer y\r\nb", "> authorization:***\nb"},
        {"Proxy-Authorization: Digest u=\"a\", r=b\nc", "Proxy-Authorization: ***\nc"},
        {"curl -H 'Authorization: Basic Zm9v' http://h", "curl -H 'Authorization: ***' http://h"},
        {"{\"Authorization\": \"Basic Zm9v\", \"b\": 1}", "{\"Authorization\": \"***\", \"b\": 1}"},
        {"{\"Authorization\":\"Ba\\\"sic\",\"b\":1}", "{\"Authorization\":\"***\",\"b\":1}"},
        {"Authorization: a\nAuthorization: b", "Authorization: *\nAuthorization: *"},
        {"authorization failed, Authorization:", "authorization failed, Authorization:"},
        {"Authorization:\nnext", "Authorization:\nnext"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (gsize step = 1; step < 50; step++) {
            g_autofree char *shown = hide(rows[i].text, strlen(rows[i].text), step, TRUE);

            ck_assert_str_eq(shown, rows[i].shown);
        }
    }
}
END_TEST

static void plant(char *into, const char *word)
{
    while (*word)
        *into++ = *word++;
}

/* Across every border of what is read and of what is held back. */
START_TEST(across_borders)
{
    const gsize border = SINK_CHUNK;

    for (gsize at = border - 20; at < border + 20; at++) {
        g_autofree char *text = g_strnfill(2 * border + 4096, '-');
        g_autofree char *shown = NULL;

        plant(text + at, "ftp://user:pass@h");
        plant(text + at + border, "hunter2000");
        shown = hide(text, strlen(text), border, TRUE);
        ck_assert(!strstr(shown, "hunter") && !strstr(shown, "pass"));
        ck_assert(strstr(shown, "-ftp://***@h-") && strstr(shown, "-***-"));
        ck_assert_uint_eq(strlen(shown), strlen(text) - 6 - 7);
    }
}
END_TEST

START_TEST(cut_in_a_secret)
{
    g_autofree char *cut = hide("-hunter200", 10, 3, FALSE);
    g_autofree char *whole = hide("-hunt", 5, 3, TRUE);

    ck_assert_str_eq(cut, "-***");
    ck_assert_str_eq(whole, "-hunt");
}
END_TEST

START_TEST(nobody_wants_more)
{
    g_autofree char *text = g_strnfill((gsize)10 * SINK_CHUNK, '-');
    gsize taken = 0;

    redactor_begin(redactor, (Sink){refuse, &taken});
    ck_assert(!redactor_take(redactor, text, strlen(text)));
    ck_assert(!redactor_end(redactor, TRUE));
    ck_assert_uint_lt(taken, SINK_CHUNK);
}
END_TEST

START_TEST(no_secrets)
{
    Redactor *none = redactor_new(NULL);
    g_autofree char *shown = redactor_text(none, "hunter2 ftp://u:p@h");

    ck_assert_str_eq(shown, "hunter2 ftp://***@h");
    redactor_free(none);
    redactor_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {hidden, across_borders, cut_in_a_secret, nobody_wants_more,
                                  no_secrets};

    return run_suite("collector_redact", setup, teardown, tests, G_N_ELEMENTS(tests));
}
