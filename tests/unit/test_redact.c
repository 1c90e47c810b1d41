/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages without their secrets. */
#include <check.h>
#include <string.h>

#include "ocpp/redact.h"

static const struct {
    const char *text, *safe; /* NULL: no JSON */
} MESSAGES[] = {
    {"[2,\"1\",\"Heartbeat\",{}]", "[2,\"1\",\"Heartbeat\",{}]"},
    {"[2,\"1\",\"ChangeConfiguration\",{\"key\":\"AuthorizationKey\",\"value\":\"0011\"}]",
     "[2,\"1\",\"ChangeConfiguration\",{\"key\":\"AuthorizationKey\",\"value\":\"***\"}]"},
    {"[2,\"1\",\"ChangeConfiguration\",{\"value\":\"0011\",\"key\":\"\\u0061uthorizationKEY\"}]",
     "[2,\"1\",\"ChangeConfiguration\",{\"value\":\"***\",\"key\":\"authorizationKEY\"}]"},
    {"[3,\"1\",{\"configurationKey\":[{\"key\":\"VendorPassword\",\"readonly\":false,\"value\":"
     "\"x\"}]}]",
     "[3,\"1\",{\"configurationKey\":[{\"key\":\"VendorPassword\",\"readonly\":false,\"value\":\"**"
     "*\"}]}]"},
    {"[2,\"1\",\"X\",{\"apiToken\":{\"deep\":\"secret\"}}]",
     "[2,\"1\",\"X\",{\"apiToken\":\"***\"}]"},
    {"[2,\"1\",\"U\",{\"location\":\"ftp://user:p@ss@host/a@b.raucb\"}]",
     "[2,\"1\",\"U\",{\"location\":\"ftp://***@host/a@b.raucb\"}]"},
    {"[2,\"1\",\"U\",{\"location\":\"https://host/a?sig=s3cret\"}]",
     "[2,\"1\",\"U\",{\"location\":\"https://host/a?***\"}]"},
    {"[2,\"1\",\"U\",{\"location\":\"https://host/a@b\"}]",
     "[2,\"1\",\"U\",{\"location\":\"https://host/a@b\"}]"},
    {"\"ftp://u:p@h\"", "\"ftp://***@h\""},
    {"\"ftp://user:my secret@host/d\"", "\"ftp://***@host/d\""},
    {"\"ftp://u:abc?def@h/\"", "\"ftp://***@h/\""},
    {"\"ftp://u:12#34@h\"", "\"ftp://***@h\""},
    {"\"ftp://u:12/34@h\"", "\"ftp://***@h\""},
    {"\"ftp://a/ ftp://u:p@h/?q=1\"", "\"ftp://***@h/?***\""},
    {"[2,\"1\",\"DataTransfer\",{\"data\":\"{\\\"AuthorizationKey\\\":\\\"x\\\"}\"}]",
     "[2,\"1\",\"DataTransfer\",{\"data\":\"{\\\"AuthorizationKey\\\":\\\"***\\\"}\"}]"},
    {"[2,\"1\"", NULL},
    {"", NULL},
};

START_TEST(message)
{
    g_autofree char *safe = ocpp_redact(MESSAGES[_i].text, strlen(MESSAGES[_i].text));

    ck_assert_pstr_eq(safe, MESSAGES[_i].safe);
}
END_TEST

START_TEST(depth_is_bounded)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < 1000; i++)
        g_string_append_c(text, '[');
    for (guint i = 0; i < 1000; i++)
        g_string_append_c(text, ']');
    g_autofree char *safe = ocpp_redact(text->str, text->len);
    ck_assert_ptr_nonnull(safe);
    ck_assert_ptr_nonnull(strstr(safe, "***"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redact");
    TCase *tcase = tcase_create("messages");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_loop_test(tcase, message, 0, G_N_ELEMENTS(MESSAGES));
    tcase_add_test(tcase, depth_is_bounded);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed;
}
