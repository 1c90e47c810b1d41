/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `status` and `history` print, from the answers of the agent. */
#include "agent/show.h"

#include <check.h>
#include <stdlib.h>

/* An answer in GVariant's text form, and what it becomes; NULL: not of interest. */
static const struct {
    const char *answer, *people, *json;
} STATUS[] = {
    {"@a{sv} {}", "", "{}\n"},
    {"{'version': <'1.0'>, 'connected': <true>, 'a': <false>, 'n': <@x -7>, 'u': <@u 4000000000>}",
     "version:   1.0\nconnected: yes\na:         no\nn:         -7\nu:         4000000000\n",
     "{\n  \"version\": \"1.0\",\n  \"connected\": true,\n  \"a\": false,\n  \"n\": -7,\n"
     "  \"u\": 4000000000\n}\n"},
    {"{'rauc': <'idle'>, 'job': <{'id': <@x 7>, 'reason': <''>}>, 'z': <1.5>}",
     "rauc: idle\njob:\n  id:     7\n  reason: -\nz:    1.5\n",
     "{\n  \"rauc\": \"idle\",\n  \"job\": {\n    \"id\": 7,\n    \"reason\": \"\"\n  },\n  \"z\": "
     "1.5\n}\n"},
    {"{'list': <['a', 'b']>, 'none': <@as []>, 'rows': <[{'k': <1>}]>, 'map': <{'a': 'b'}>}",
     "list:\n  1: a\n  2: b\nnone: -\nrows:\n  1:\n    k: 1\nmap:\n  a: b\n",
     "{\n  \"list\": [\n    \"a\",\n    \"b\"\n  ],\n  \"none\": [],\n  \"rows\": [\n    {\n"
     "      \"k\": 1\n    }\n  ],\n  \"map\": {\n    \"a\": \"b\"\n  }\n}\n"},
    {"{'types': <(byte 1, int16 -2, uint16 3, -4, uint64 18446744073709551615, inf)>}",
     "types:\n  1: 1\n  2: -2\n  3: 3\n  4: -4\n  5: 9223372036854775807\n  6: inf\n",
     "{\n  \"types\": [\n    1,\n    -2,\n    3,\n    -4,\n    9223372036854775807,\n    null\n  "
     "]\n}\n"},
    {"{'who': <'evil\\u001b[31m\\nversion: 2'>, '\xc3\xa4\xc3\xb6': <<<'deep'>>>, 'k\\n': <1>}",
     "who:   evil\\x1b[31m\\x0aversion: 2\n\xc3\xa4\xc3\xb6:    deep\nk\\x0a: 1\n", NULL},
};

START_TEST(test_status)
{
    g_autoptr(GVariant) status = g_variant_ref_sink(g_variant_new_parsed(STATUS[_i].answer));
    g_autofree char *people = show_status(status);
    g_autofree char *json = show_json(status);
    ck_assert_str_eq(people, STATUS[_i].people);
    if (STATUS[_i].json)
        ck_assert_str_eq(json, STATUS[_i].json);
}
END_TEST

static const char HISTORY[] =
    "[{'time': <'2026-11-22T08:00:00Z'>, 'job': <@x 7>, 'from': <'installing'>,"
    " 'to': <'reboot-wait'>, 'event': <'rauc-completed'>, 'detail': <'words\\nforged'>},"
    " {'time': <'2026-11-22T08:00:01Z'>, 'job': <@x 8>, 'from': <''>, 'to': <'scheduled'>,"
    " 'event': <'request'>}, {'job': <'of another type'>}]";

START_TEST(test_history)
{
    g_autoptr(GVariant) entries = g_variant_ref_sink(g_variant_new_parsed(HISTORY));
    g_autofree char *people = show_history(entries);
    ck_assert_str_eq(people, "2026-11-22T08:00:00Z job=7 installing -> reboot-wait "
                             "rauc-completed: words\\x0aforged\n"
                             "2026-11-22T08:00:01Z job=8 - -> scheduled request\n"
                             "- job=0 - -> - -\n");
    g_autofree char *json = show_json(entries);
    ck_assert(g_str_has_prefix(json, "[\n  {\n    \"time\": \"2026-11-22T08:00:00Z\",\n"));

    g_autoptr(GVariant) none = g_variant_ref_sink(g_variant_new_parsed("@aa{sv} []"));
    g_autofree char *empty = show_history(none);
    g_autofree char *empty_json = show_json(none);
    ck_assert_str_eq(empty, "");
    ck_assert_str_eq(empty_json, "[]\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("show");
    TCase *tcase = tcase_create("show");
    tcase_add_loop_test(tcase, test_status, 0, G_N_ELEMENTS(STATUS));
    tcase_add_test(tcase, test_history);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
