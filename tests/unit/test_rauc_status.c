/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture of the slots: a device's, and what a broken or hostile RAUC might send. */
#include "loop_fixture.h"

#include "src/adapter/rauc_internal.h"

static RaucStatus *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_variant_parse(NULL, text, NULL, NULL, &error);

    ck_assert_msg(reply != NULL, "%s", error ? error->message : "");
    return rauc_status_parse(reply);
}

START_TEST(a_device)
{
    g_autoptr(RaucStatus) status = parse(
        "([('rootfs.1', {'class': <'rootfs'>, 'device': <'/dev/b'>, 'type': <'raw'>,"
        " 'bootname': <'B'>, 'state': <'inactive'>, 'boot-status': <'bad'>, 'status': <'ok'>,"
        " 'bundle.version': <'2.0'>, 'bundle.hash': <'abc'>, 'size': <uint64 5>,"
        " 'installed.timestamp': <'2024-01-01T00:00:00Z'>, 'installed.count': <uint32 4294967295>,"
        " 'activated.timestamp': <'2024-01-02T00:00:00Z'>}),"
        " ('appfs.1', {'class': <'appfs'>, 'state': <'inactive'>, 'parent': <'rootfs.1'>}),"
        " ('rootfs.0', {'class': <'rootfs'>, 'bootname': <'A'>, 'state': <'booted'>,"
        " 'boot-status': <'good'>})],)");
    const RaucSlot *b = rauc_status_slot(status, "rootfs.1");
    const RaucSlot *a = rauc_status_slot(status, "rootfs.0");

    ck_assert_uint_eq(status->slots->len, 3);
    ck_assert_ptr_null(status->primary);
    ck_assert_str_eq(b->class_, "rootfs");
    ck_assert_str_eq(b->bootname, "B");
    ck_assert_str_eq(b->state, "inactive");
    ck_assert_str_eq(b->boot_status, "bad");
    ck_assert_str_eq(b->status, "ok");
    ck_assert_str_eq(b->version, "2.0");
    ck_assert_str_eq(b->hash, "abc");
    ck_assert_str_eq(b->installed_timestamp, "2024-01-01T00:00:00Z");
    ck_assert_str_eq(b->activated_timestamp, "2024-01-02T00:00:00Z");
    ck_assert_int_eq(b->installed_count, 4294967295);
    ck_assert_str_eq(rauc_status_slot(status, "appfs.1")->parent, "rootfs.1");
    ck_assert_ptr_null(a->version);
    ck_assert_int_eq(a->installed_count, 0);
    ck_assert_ptr_eq(rauc_status_booted(status), a);
    ck_assert_ptr_eq(rauc_status_target(status), b);
    ck_assert_ptr_null(rauc_status_slot(status, "rootfs.7"));
    ck_assert_ptr_null(rauc_status_slot(status, NULL));
}
END_TEST

START_TEST(targets)
{
    /* the first by name of the booted slot's class that can be booted */
    g_autoptr(RaucStatus) three =
        parse("([('r.2', {'class': <'r'>, 'bootname': <'C'>, 'state': <'inactive'>}),"
              " ('r.0', {'class': <'r'>, 'state': <'inactive'>}),"
              " ('a.0', {'class': <'a'>, 'bootname': <'X'>, 'state': <'inactive'>}),"
              " ('r.1', {'class': <'r'>, 'bootname': <'B'>, 'state': <'inactive'>}),"
              " ('r.3', {'class': <'r'>, 'bootname': <'D'>, 'state': <'booted'>})],)");
    /* a rescue system */
    g_autoptr(RaucStatus) neither =
        parse("([('r.0', {'class': <'r'>, 'bootname': <'A'>, 'state': <'inactive'>}),"
              " ('r.1', {'class': <'r'>, 'bootname': <'B'>, 'state': <'inactive'>})],)");
    g_autoptr(RaucStatus) lonely =
        parse("([('r.0', {'class': <'r'>, 'bootname': <'A'>, 'state': <'booted'>}),"
              " ('r.1', {'class': <'r'>, 'bootname': <'B'>, 'state': <'booted'>})],)");
    g_autoptr(RaucStatus) classless =
        parse("([('r.0', {'bootname': <'A'>, 'state': <'booted'>}),"
              " ('r.1', {'bootname': <'B'>, 'state': <'inactive'>})],)");

    ck_assert_str_eq(rauc_status_target(three)->name, "r.1");
    ck_assert_ptr_null(rauc_status_booted(neither));
    ck_assert_ptr_null(rauc_status_target(neither));
    ck_assert_str_eq(rauc_status_booted(lonely)->name, "r.0");
    ck_assert_ptr_null(rauc_status_target(lonely));
    ck_assert_ptr_null(rauc_status_target(classless));
}
END_TEST

START_TEST(wrong_types)
{
    g_autoptr(RaucStatus) status =
        parse("([('r.0', {'class': <5>, 'state': <['booted']>, 'bootname': <<'A'>>,"
              " 'installed.count': <'7'>, 'status': <objectpath '/ok'>, 'bundle.version': <''>}),"
              " ('r.0', {'class': <'second of that name'>}), ('', {'class': <'nameless'>}),"
              " ('r.1', {'installed.count': <int64 -1>, 'state': <'x'>, 'state': <'y'>})],)");
    const RaucSlot *slot;

    ck_assert_uint_eq(status->slots->len, 2);
    slot = rauc_status_slot(status, "r.0");
    ck_assert_ptr_null(slot->class_);
    ck_assert_ptr_null(slot->state);
    ck_assert_ptr_null(slot->bootname);
    ck_assert_ptr_null(slot->status);
    ck_assert_str_eq(slot->version, "");
    ck_assert_int_eq(slot->installed_count, 0);
    ck_assert_int_eq(rauc_status_slot(status, "r.1")->installed_count, 0);
    ck_assert_str_eq(rauc_status_slot(status, "r.1")->state, "x");

    ck_assert_ptr_null(parse("('not a list',)"));
    ck_assert_ptr_null(parse("([('r.0', {'class': 'bare'})],)"));
    ck_assert_ptr_null(parse("[('r.0', {'class': <'outside a tuple'>})]"));
}
END_TEST

START_TEST(sizes)
{
    g_autofree char *fits = g_strnfill(RAUC_MAX_FIELD, 'a');
    g_autofree char *too_long = g_strnfill(RAUC_MAX_FIELD + 1, 'a');
    g_autoptr(GString) many = g_string_new("([('x', @a{sv} {})");
    g_autofree char *fields =
        g_strdup_printf("([('s', {'class': <'%s'>, 'state': <'%s'>}), ('%s', @a{sv} {})],)", fits,
                        too_long, too_long);
    g_autoptr(RaucStatus) one = parse(fields), crowd = NULL, none = NULL;

    ck_assert_uint_eq(one->slots->len, 1);
    ck_assert_str_eq(rauc_status_slot(one, "s")->class_, fits);
    ck_assert_ptr_null(rauc_status_slot(one, "s")->state);

    for (int i = 0; i < 1000; i++)
        g_string_append_printf(many, ", ('slot.%d', {})", i);
    g_string_append(many, "],)");
    crowd = parse(many->str);
    ck_assert_uint_eq(crowd->slots->len, RAUC_MAX_SLOTS);

    none = parse("(@a(sa{sv}) [],)");
    ck_assert_uint_eq(none->slots->len, 0);
    ck_assert_ptr_null(rauc_status_booted(none));
    ck_assert_ptr_null(rauc_status_target(none));
    rauc_status_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_device, targets, wrong_types, sizes};

    return run_suite("rauc-status", NULL, NULL, tests, G_N_ELEMENTS(tests));
}
