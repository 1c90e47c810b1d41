/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a job gets its bundle: which way is taken, what each of its failures leads to, what is kept
 * over a restart. */
#include "firmware_world.h"

#define RELAY_URL "http://127.0.0.1:40000/secret/bundle.raucb"

static World *started(FirmwareTransport choice)
{
    World *world = world_new();

    world->config.transport = choice;
    world_start(world);
    world_healthy(world);
    did(world, "good:A");
    return world;
}

static void request_by_hand(World *world, const char *source, gboolean taken)
{
    FirmwareRequest request = {
        .location = source, .retries = -1, .retry_interval_s = -1, .by_hand = TRUE};
    g_autoptr(GError) error = NULL;

    ck_assert_int_eq(firmware_request(world->firmware, &request, &error), taken);
    ck_assert_int_eq(error == NULL, taken);
    world_run(world);
}

START_TEST(streams_through_the_relay)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    in_state(world, JOB_INSTALLING);
    ck_assert_str_eq(world->rauc.source, RELAY_URL);
    ck_assert_int_eq(world_job(world)->transport, JOB_TRANSPORT_STREAM);
    ck_assert_ptr_nonnull(transport.relay);
    ck_assert_str_eq(world_wire(world), "Downloading");
    transport.relay->state.fetched = 1000;
    world_completed(world, -1);
    in_state(world, JOB_REBOOTING);
    ck_assert_ptr_null(transport.relay);
    ck_assert_int_eq(world_job(world)->fetched_bytes, 1000);
}
END_TEST

START_TEST(rauc_that_cannot_stream_is_remembered)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    relay_fails(RELAY_ERROR, RELAY_ERROR_WHOLE, "asked without a range");
    world_completed(world, RAUC_ERROR_RETRIEVAL);
    in_state(world, JOB_DOWNLOADING); /* at once, and not charged */
    ck_assert_uint_eq(world_job(world)->attempts, 0);
    ck_assert_ptr_nonnull(transport.download);
    download_ends(-1, 0);
    world_run(world);
    in_state(world, JOB_INSTALLING);
    ck_assert_str_eq(world->rauc.source, "/spool/job-1.raucb");
    ck_assert_str_eq(world_wire(world), "Downloading Downloaded Installing");
    world_completed(world, RAUC_ERROR_SIGNATURE);
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_int_eq(transport.kept, 0);

    world_restart(world);
    world_request(world, 0, 0);
    in_state(world, JOB_DOWNLOADING);
    ck_assert_uint_eq(transport.relays, 1);
    download_ends(TRANSFER_ERROR_REFUSED, 0);
    world_run(world);
    in_state(world, JOB_DOWNLOAD_FAILED);

    world_boot(world, OLD, RAUC_IDLE); /* another image may have another RAUC */
    world_healthy(world);
    world_request(world, 0, 0);
    ck_assert_uint_eq(transport.relays, 2);
}
END_TEST

START_TEST(server_without_ranges_is_not_remembered)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    relay_fails(TRANSFER_ERROR, TRANSFER_ERROR_RANGES, "no ranges");
    world_completed(world, RAUC_ERROR_RETRIEVAL);
    in_state(world, JOB_DOWNLOADING);
    download_ends(TRANSFER_ERROR_NETWORK, 0);
    world_run(world);
    in_state(world, JOB_DOWNLOAD_FAILED);
    world_request(world, 0, 0);
    ck_assert_uint_eq(transport.relays, 2);
}
END_TEST

START_TEST(plain_bundle_is_downloaded)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    world_completed(world, RAUC_ERROR_STREAM);
    in_state(world, JOB_DOWNLOADING);
}
END_TEST

START_TEST(stream_only_says_so)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_STREAM);

    world_request(world, 0, 3);
    world_completed(world, RAUC_ERROR_STREAM);
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), "Downloading Downloaded Installing InstallationFailed");
}
END_TEST

START_TEST(download_only_never_opens_a_relay)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_DOWNLOAD);

    world_request(world, 0, 0);
    in_state(world, JOB_DOWNLOADING);
    ck_assert_uint_eq(transport.relays, 0);
}
END_TEST

START_TEST(failed_downloads_are_tried_again_as_the_server_wants)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_DOWNLOAD);

    world_request(world, 0, 2);
    download_ends(TRANSFER_ERROR_SERVER, 200);
    world_run(world);
    in_state(world, JOB_RETRY_WAIT);
    ck_assert_ptr_null(transport.download);
    world_pass(world, 199 * SECOND);
    in_state(world, JOB_RETRY_WAIT);
    world_pass(world, 1 * SECOND);
    in_state(world, JOB_DOWNLOADING);
    download_ends(TRANSFER_ERROR_REFUSED, 0);
    world_pass(world, MINUTE);
    in_state(world, JOB_DOWNLOADING); /* a refusal spends the retries all the same */
    transport.download->received = 77;
    download_ends(TRANSFER_ERROR_REFUSED, 0);
    world_run(world);
    in_state(world, JOB_DOWNLOAD_FAILED);
    ck_assert_int_eq(world_job(world)->fetched_bytes, 77);
    ck_assert_str_eq(world_wire(world), "Downloading DownloadFailed");
}
END_TEST

START_TEST(gives_up_early_when_told_to)
{
    static const struct {
        int code;
        JobState expected;
    } CASES[] = {{TRANSFER_ERROR_REFUSED, JOB_DOWNLOAD_FAILED},
                 {TRANSFER_ERROR_TLS, JOB_DOWNLOAD_FAILED},
                 {TRANSFER_ERROR_NETWORK, JOB_RETRY_WAIT},
                 {TRANSFER_ERROR_SERVER, JOB_RETRY_WAIT}};
    g_autoptr(World) world = world_new();

    world->config.transport = FIRMWARE_TRANSPORT_DOWNLOAD;
    world->config.give_up_early = TRUE;
    world_start(world);
    world_healthy(world);
    world_request(world, 0, 2);
    download_ends(CASES[_i].code, 0);
    world_run(world);
    in_state(world, CASES[_i].expected);
}
END_TEST

START_TEST(budget_is_of_the_job)
{
    g_autoptr(World) world = world_new();

    world->config.transport = FIRMWARE_TRANSPORT_DOWNLOAD;
    world->config.data_budget = 1000;
    world_start(world);
    world_healthy(world);
    world_request(world, 0, 5);
    ck_assert_int_eq(transport.download->budget, 1000);
    transport.download->received = 400;
    download_ends(TRANSFER_ERROR_NETWORK, 0);
    world_pass(world, MINUTE);
    ck_assert_int_eq(transport.download->budget, 600);
    transport.download->received = 600;
    download_ends(TRANSFER_ERROR_BUDGET, 0);
    world_run(world);
    in_state(world, JOB_DOWNLOAD_FAILED); /* no retry gives it bytes */
}
END_TEST

START_TEST(relays_reason_is_the_jobs_reason)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    relay_fails(TRANSFER_ERROR, TRANSFER_ERROR_CHANGED, "the file changed on the server");
    world_completed(world, RAUC_ERROR_COPY);
    in_state(world, JOB_DOWNLOAD_FAILED);
    ck_assert_str_eq(world_job(world)->reason, "the file changed on the server");
}
END_TEST

/* The agent dies while RAUC streams, and is back: same port, same path, same file. */
START_TEST(relay_is_taken_up_again)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    transport.relay->place.file = (TransferFile){1234, g_strdup("\"a b\""), 99};
    transport.relay->events.known(&transport.relay->place.file, transport.relay->user_data);
    world->rauc.presence = RAUC_BUSY;
    world_restart(world);
    in_state(world, JOB_INSTALLING);
    ck_assert_uint_eq(transport.relays, 2);
    ck_assert_int_eq(transport.relay->place.port, 40000);
    ck_assert_str_eq(transport.relay->place.secret, "secret");
    ck_assert_int_eq(transport.relay->place.file.size, 1234);
    ck_assert_str_eq(transport.relay->place.file.etag, "\"a b\"");
    ck_assert_int_eq(transport.relay->place.file.modified, 99);
    world_completed(world, -1);
    in_state(world, JOB_REBOOTING);
}
END_TEST

START_TEST(lost_stream_is_not_charged)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    world->rauc.presence = RAUC_BUSY;
    transport.port_taken = _i == 1;
    world_restart(world);
    in_state(world, JOB_INSTALLING);
    transport.port_taken = FALSE;
    world_completed(world, RAUC_ERROR_COPY);
    in_state(world, JOB_INSTALLING); /* once more, at once */
    ck_assert_uint_eq(world_job(world)->attempts, 0);
    ck_assert_uint_eq(world_job(world)->interruptions, 1);
}
END_TEST

/* No relay of a job that ended long ago, or of another boot. */
START_TEST(old_relay_is_not_opened)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    world_boot(world, OLD, RAUC_BUSY);
    ck_assert_uint_eq(transport.relays, 1);
}
END_TEST

START_TEST(cancel_ends_the_stream_before_it_ends_rauc)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);
    g_autoptr(GError) error = NULL;

    world_request(world, 0, 0);
    did(world, "install");
    ck_assert(firmware_cancel(world->firmware, "cancelled", &error));
    world_run(world);
    in_state(world, JOB_UNDOING);
    ck_assert_ptr_nonnull(relay_failure(transport.relay)); /* it has to say no to RAUC */
    did(world, "");
    world_pass(world, MINUTE);
    did(world, "restart-rauc");
    world_completed(world, RAUC_ERROR_COPY);
    in_state(world, JOB_CANCELLED);
    ck_assert_ptr_null(transport.relay);
}
END_TEST

START_TEST(stalled_rauc_loses_its_stream_first)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    world_request(world, 0, 0);
    did(world, "install");
    world_pass(world, 30 * MINUTE);
    transport.relay->state.last_ms = clock_boottime_ms(world->clock); /* RAUC still reads */
    world_pass(world, 59 * MINUTE);
    ck_assert_ptr_null(relay_failure(transport.relay));
    world_pass(world, 1 * MINUTE);
    ck_assert_ptr_nonnull(relay_failure(transport.relay));
    did(world, "");
    world_pass(world, MINUTE);
    did(world, "restart-rauc");
}
END_TEST

START_TEST(casync_store_comes_through_the_relay)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_DOWNLOAD);

    world_request(world, 0, 0);
    download_ends(-1, 0);
    world_run(world);
    ck_assert_str_eq(world->rauc.source, "/spool/job-1.raucb");
    world_completed(world, RAUC_ERROR_STORE);
    in_state(world, JOB_DOWNLOADING); /* where the bundle is found whole */
    download_ends(-1, 0);
    world_run(world);
    in_state(world, JOB_INSTALLING);
    ck_assert_str_eq(world->rauc.source, RELAY_URL);
    ck_assert(transport.relay->local);
    world_completed(world, RAUC_ERROR_STORE);
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), "Downloading Downloaded Installing InstallationFailed");
}
END_TEST

START_TEST(download_goes_on_after_a_restart)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_DOWNLOAD);

    world_request(world, 0, 0);
    world_restart(world);
    in_state(world, JOB_DOWNLOADING);
    ck_assert_uint_eq(transport.downloads, 2);
    ck_assert_int_eq(transport.kept, 1);
    world_boot(world, OLD, RAUC_IDLE);
    in_state(world, JOB_DOWNLOADING);
    ck_assert_uint_eq(transport.downloads, 3);
}
END_TEST

START_TEST(local_file_by_hand)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);

    request_by_hand(world, "/media/x.raucb", TRUE);
    in_state(world, JOB_INSTALLING);
    ck_assert_str_eq(world->rauc.source, "/media/x.raucb");
    ck_assert_uint_eq(transport.relays + transport.downloads, 0);
    ck_assert_str_eq(world_wire(world), "Installing");
    request_by_hand(world, "http://h/other.raucb", FALSE); /* does not wait */
    request_by_hand(world, "/media/x.raucb", TRUE);        /* the same: looks on */
    world_completed(world, RAUC_ERROR_COMPATIBLE);
    in_state(world, JOB_INSTALL_FAILED);
    ck_assert_str_eq(world_wire(world), "Installing InstallationFailed");
}
END_TEST

START_TEST(only_a_person_may_name_a_file)
{
    g_autoptr(World) world = started(FIRMWARE_TRANSPORT_AUTO);
    FirmwareRequest request = {.location = "/etc/passwd", .retries = 5, .retry_interval_s = -1};
    GError *error = NULL;

    ok(firmware_request(world->firmware, &request, &error));
    world_run(world);
    in_state(world, JOB_DOWNLOAD_FAILED);
    request_by_hand(world, "ssh://h/x", FALSE);
    request_by_hand(world, "", FALSE);
}
END_TEST

/* Each charge point has a place of its own within the time, and keeps it over a restart. */
START_TEST(fleet_is_spread)
{
    g_autoptr(World) world = world_new();
    guint late = 0;

    world->config.transport = FIRMWARE_TRANSPORT_DOWNLOAD;
    world->config.spread_s = 600;
    world->config.health_timeout_ms = SECOND;
    for (guint i = 0; i < 20; i++) {
        g_autofree char *identity = g_strdup_printf("CP%u", i);
        gint64 date, waited = 0;

        world->config.identity = identity;
        world_start(world);
        date = WALL_2030 + clock_boottime_ms(world->clock) + MINUTE;
        clock_set_csms_time(world->clock, date - MINUTE);
        world_request(world, date, 0);
        while (world_job(world)->state == JOB_SCHEDULED && waited++ < 1000) {
            world_pass(world, SECOND);
            if (waited == 30)
                world_restart(world);
        }
        ck_assert_int_ge(waited, 60);
        ck_assert_int_le(waited, 661);
        late += waited > 360;
        download_ends(TRANSFER_ERROR_REFUSED, 0);
        world_stop(world);
    }
    ck_assert_uint_gt(late, 3);
    ck_assert_uint_lt(late, 17);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware_transport");
    TCase *tests = tcase_create("firmware_transport");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, streams_through_the_relay);
    tcase_add_test(tests, rauc_that_cannot_stream_is_remembered);
    tcase_add_test(tests, server_without_ranges_is_not_remembered);
    tcase_add_test(tests, plain_bundle_is_downloaded);
    tcase_add_test(tests, stream_only_says_so);
    tcase_add_test(tests, download_only_never_opens_a_relay);
    tcase_add_test(tests, failed_downloads_are_tried_again_as_the_server_wants);
    tcase_add_loop_test(tests, gives_up_early_when_told_to, 0, 4);
    tcase_add_test(tests, budget_is_of_the_job);
    tcase_add_test(tests, relays_reason_is_the_jobs_reason);
    tcase_add_test(tests, relay_is_taken_up_again);
    tcase_add_loop_test(tests, lost_stream_is_not_charged, 0, 2);
    tcase_add_test(tests, old_relay_is_not_opened);
    tcase_add_test(tests, cancel_ends_the_stream_before_it_ends_rauc);
    tcase_add_test(tests, stalled_rauc_loses_its_stream_first);
    tcase_add_test(tests, casync_store_comes_through_the_relay);
    tcase_add_test(tests, download_goes_on_after_a_restart);
    tcase_add_test(tests, local_file_by_hand);
    tcase_add_test(tests, only_a_person_may_name_a_file);
    tcase_add_test(tests, fleet_is_spread);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
