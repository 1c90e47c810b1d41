/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the relay reads of a request: its head, its path, its range; and the URL of a chunk. */
#include "loop_fixture.h"

#include "src/adapter/relay/relay_head.h"
#include "src/adapter/relay/relay_range.h"

#define SECRET "00112233445566778899aabbccddeeff"
#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define STORE  "/" SECRET "/bundle.castr/"

static void setup(void)
{
}

static void teardown(void)
{
}

/* Of a file of 1000 bytes. */
static const struct {
    const char *header;
    gint64 offset, length; /* length 0: there is no such range; -1: it cannot be read */
} ranges[] = {
    {"bytes=0-3", 0, 4},
    {"Bytes=992-999", 992, 8},
    {"bytes=990-2000", 990, 10},
    {"bytes=5-", 5, 995},
    {"bytes=-8", 992, 8},
    {"bytes=-2000", 0, 1000},
    {"bytes=999-999", 999, 1},
    {"bytes=1000-1000", 0, 0},
    {"bytes=-0", 0, 0},
    {"bytes=999999999999999999-", 0, 0},
    {"bytes=4-3", 0, -1},
    {"bytes=-", 0, -1},
    {"bytes=", 0, -1},
    {"bytes", 0, -1},
    {"", 0, -1},
    {"bytes=0-3,5-6", 0, -1},
    {"bytes=0-3 ", 0, -1},
    {"bytes= 0-3", 0, -1},
    {"bytes=+0-3", 0, -1},
    {"bytes=0--3", 0, -1},
    {"bytes=--3", 0, -1},
    {"bytes=0x1-3", 0, -1},
    {"bytes=1", 0, -1},
    {"bytes=9999999999999999999-", 0, -1},
    {"lines=0-3", 0, -1},
};

START_TEST(range)
{
    for (gsize i = 0; i < G_N_ELEMENTS(ranges); i++) {
        RelayAsked asked = {0, 0};
        RelayRange found = {0, 0};
        gboolean readable = relay_range_parse(ranges[i].header, &asked);

        ck_assert_msg(readable == (ranges[i].length >= 0), "%s", ranges[i].header);
        if (!readable)
            continue;
        gboolean there = relay_range_resolve(&asked, 1000, &found);
        ck_assert_msg(there == (ranges[i].length > 0), "%s", ranges[i].header);
        ck_assert_int_eq(found.offset, ranges[i].offset);
        ck_assert_int_eq(found.length, ranges[i].length);
    }
}
END_TEST

static const struct {
    const char *path;
    RelayTarget target;
} paths[] = {
    {"/" SECRET "/bundle.raucb", RELAY_TARGET_BUNDLE},
    {STORE "0123/" DIGITS ".cacnk", RELAY_TARGET_STORE},
    {"/" SECRET "/bundle.raucb?", RELAY_TARGET_NONE},
    {"/" SECRET "/bundle.raucb/", RELAY_TARGET_NONE},
    {"/" SECRET "/bundle", RELAY_TARGET_NONE},
    {"/" SECRET "/", RELAY_TARGET_NONE},
    {"/" SECRET, RELAY_TARGET_NONE},
    {"/" SECRET "0/bundle.raucb", RELAY_TARGET_NONE},
    {"/10112233445566778899aabbccddeeff/bundle.raucb", RELAY_TARGET_NONE},
    {"//" SECRET "/bundle.raucb", RELAY_TARGET_NONE},
    {"", RELAY_TARGET_NONE},
    {"*", RELAY_TARGET_NONE},
    {"http://127.0.0.1/" SECRET "/bundle.raucb", RELAY_TARGET_NONE},
    {STORE, RELAY_TARGET_NONE},
    {STORE "0123/" DIGITS, RELAY_TARGET_NONE},
    {STORE "0123/" DIGITS ".cacn", RELAY_TARGET_NONE},
    {STORE "0123/" DIGITS ".cacnkx", RELAY_TARGET_NONE},
    {STORE "4567/" DIGITS ".cacnk", RELAY_TARGET_NONE},
    {STORE "012/" DIGITS "0.cacnk", RELAY_TARGET_NONE},
    {STORE "0123//" DIGITS ".cacnk", RELAY_TARGET_NONE},
    {STORE "0123/../0123/" DIGITS ".cacnk", RELAY_TARGET_NONE},
    {STORE "../../" DIGITS ".cacnk", RELAY_TARGET_NONE},
    {STORE "0123/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef.cacnk",
     RELAY_TARGET_NONE},
};

START_TEST(target)
{
    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        const char *chunk = NULL;

        ck_assert_msg(relay_target(paths[i].path, SECRET, &chunk) == paths[i].target, "%s",
                      paths[i].path);
        if (paths[i].target == RELAY_TARGET_STORE)
            ck_assert_str_eq(chunk, "0123/" DIGITS ".cacnk");
    }
}
END_TEST

static const struct {
    const char *url, *store;
} urls[] = {
    {"https://u:p@h/a/b.raucb", "https://u:p@h/a/b.castr/0123/c"},
    {"https://h/a.raucb?token=x.raucb", "https://h/a.castr/0123/c?token=x.raucb"},
    {"https://h/a.raucb?t#f", "https://h/a.castr/0123/c?t"},
    {"ftp://h/a.raucb#f", "ftp://h/a.castr/0123/c"},
    {"https://h/a.img", NULL},
    {"https://h/?a.raucb", NULL},
    {".raucb", NULL},
    {"", NULL},
};

START_TEST(store_url)
{
    for (gsize i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autofree char *url = relay_store_url(urls[i].url, "0123/c");

        ck_assert_pstr_eq(url, urls[i].store);
    }
}
END_TEST

/* ---- heads ---- */

static const struct {
    const char *text;
    guint refuse;
    gboolean head, last;
    const char *path, *range;
} heads[] = {
    {"GET /a HTTP/1.1\r\n\r\n", 0, FALSE, FALSE, "/a", NULL},
    {"HEAD /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", 0, TRUE, FALSE, "/a?b=c", NULL},
    {"GET /a HTTP/1.1\r\nHost: x\r\nrange:bytes=0-3\t\r\n\r\n", 0, FALSE, FALSE, "/a", "bytes=0-3"},
    {"GET /a HTTP/1.1\r\nRANGE:   x y \r\nConnection: Close\r\n\r\n", 0, FALSE, TRUE, "/a", "x y"},
    {"GET /a HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 0, FALSE, TRUE, "/a", NULL},
    {"POST /a HTTP/1.1\r\n\r\n", 405, FALSE, TRUE, "/a", NULL},
    {"get /a HTTP/1.1\r\n\r\n", 405, FALSE, TRUE, "/a", NULL},
    {"GET /a HTTP/1.1\r\nRange: a\r\nRange: a\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nno colon\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nA : b\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\n: b\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nA: b\x01\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/1.1\r\nA: b\nRange: c\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a HTTP/2.0\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a b HTTP/1.1\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET  HTTP/1.1\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET /a\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"GET\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {" / HTTP/1.1\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
    {"\r\n\r\n", 400, FALSE, TRUE, NULL, NULL},
};

START_TEST(head)
{
    for (gsize i = 0; i < G_N_ELEMENTS(heads); i++) {
        /* What follows is the next request. */
        g_autofree char *text = g_strconcat(heads[i].text, "GET /next", NULL);
        RelayHead found = {0};

        ck_assert_uint_eq(relay_head_parse(text, strlen(text), &found), strlen(heads[i].text));
        ck_assert_msg(found.refuse == heads[i].refuse, "%s: %u", heads[i].text, found.refuse);
        ck_assert_int_eq(found.last, heads[i].last);
        if (found.refuse != 0)
            continue;
        ck_assert_int_eq(found.head, heads[i].head);
        ck_assert_pstr_eq(found.path, heads[i].path);
        ck_assert_pstr_eq(found.range, heads[i].range);
    }
}
END_TEST

START_TEST(head_is_not_whole)
{
    const char text[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    char with_nul[] = "GET /a HTTP/1.1\r\nHost: \0\r\n\r\n";
    RelayHead found = {0};

    for (gsize length = 1; length < strlen(text); length++) {
        /* Of exactly this size, so that a sanitizer sees whoever reads on. */
        g_autofree char *copy = g_memdup2(text, length);

        ck_assert_uint_eq(relay_head_parse(copy, length, &found), 0);
    }
    ck_assert_uint_eq(relay_head_parse(with_nul, sizeof(with_nul) - 1, &found),
                      sizeof(with_nul) - 1);
    ck_assert_uint_eq(found.refuse, 400);
}
END_TEST

START_TEST(random_heads)
{
    static const char *const parts[] = {"GET ",   "HEAD", " ",  "/a",  "HTTP/1.1",
                                        "\r\n",   "\r",   "\n", ":",   "Range",
                                        "bytes=", "0-3",  "\t", "\xFF"};
    g_autoptr(GRand) random = g_rand_new_with_seed(5);

    for (guint i = 0; i < 20000; i++) {
        GString *text = g_string_new("GET /a HTTP/1.1");
        RelayHead found = {0};

        for (gint32 more = g_rand_int_range(random, 0, 20); more > 0; more--)
            g_string_append(text, parts[g_rand_int_range(random, 0, G_N_ELEMENTS(parts))]);
        g_autofree char *copy = g_memdup2(text->str, text->len);
        gsize used = relay_head_parse(copy, text->len, &found);
        ck_assert_uint_le(used, text->len);
        if (used > 0 && found.refuse == 0)
            ck_assert_str_eq(found.path, "/a");
        g_string_free(text, TRUE);
    }
}
END_TEST

START_TEST(answer_heads)
{
    static const struct {
        RelayAnswer answer;
        const char *text;
    } answers[] = {
        {{.status = 206, .size = 1000, .offset = 10, .length = 5},
         "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-14/1000\r\nContent-Length: 5\r\n"
         "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n\r\n"},
        {{.status = 204, .size = -1}, "HTTP/1.1 204 No Content\r\n\r\n"},
        {{.status = 416, .size = 1000},
         "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */1000\r\n"
         "Content-Length: 0\r\n\r\n"},
        {{.status = 405, .size = -1},
         "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n\r\n"},
    };
    char text[RELAY_ANSWER_HEAD];

    for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
        ck_assert_uint_eq(relay_head_format(&answers[i].answer, FALSE, text),
                          strlen(answers[i].text));
        ck_assert_str_eq(text, answers[i].text);
    }
    RelayAnswer largest = {206, G_MAXINT64, G_MAXINT64 - 1, 1, NULL, NULL};
    ck_assert_uint_lt(relay_head_format(&largest, TRUE, text), RELAY_ANSWER_HEAD);
    ck_assert_ptr_nonnull(strstr(text, "Connection: close\r\n\r\n"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        range, target, store_url, head, head_is_not_whole, random_heads, answer_heads,
    };

    return run_suite("relay_range", setup, teardown, tests, G_N_ELEMENTS(tests));
}
