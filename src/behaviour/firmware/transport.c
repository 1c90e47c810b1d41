/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the bundle of a job comes to RAUC: streamed through the relay, downloaded into the spool, or
 * a local file.  What does not work one way is tried the next (JobTransport); that this RAUC cannot
 * stream is remembered until the next boot.
 */
#include "src/behaviour/firmware/internal.h"

#include <string.h>

/* Names in the agent's table of values. */
#define VALUE_CANNOT_STREAM "rauc-cannot-stream-boot-id"
#define VALUE_RELAY         "relay"
#define VALUE_FETCHED       "fetched"

#define FETCHED_KEEP_BYTES (1 << 20) /* with a data budget, how much of it a crash may forget */

gboolean firmware_is_local(const Job *job)
{
    return job->by_hand && job->location[0] == '/';
}

gboolean firmware_streams(const Firmware *firmware)
{
    if (firmware->job->transport >= JOB_TRANSPORT_DOWNLOAD || firmware->cannot_stream)
        return FALSE;
    return firmware->config.transport != FIRMWARE_TRANSPORT_DOWNLOAD;
}

static void keep(Firmware *firmware, const char *name, const char *value)
{
    g_autoptr(GError) error = NULL;

    if (!values_set(firmware->store, VALUES_AGENT, name, value, &error))
        g_warning("cannot keep %s: %s", name, error->message);
}

static char *kept(Firmware *firmware, const char *name)
{
    g_autoptr(GError) error = NULL;
    char *value = NULL;

    if (!values_get(firmware->store, VALUES_AGENT, name, &value, &error))
        g_warning("cannot read %s: %s", name, error->message);
    return value;
}

void firmware_learned(Firmware *firmware, const char *boot_id)
{
    g_autofree char *value = kept(firmware, VALUE_CANNOT_STREAM);

    firmware->cannot_stream =
        firmware->config.transport == FIRMWARE_TRANSPORT_AUTO && g_strcmp0(value, boot_id) == 0;
}

/* ----------------------------------------------------------------------------- what was fetched */

/* "JOB BEFORE BYTES": the attempt under way, whose bytes are not in the job's row yet.  Without a
 * budget it is not worth a write. */
void firmware_keep_fetched(Firmware *firmware)
{
    gint64 fetched = firmware->fetched_before + firmware_fetched_bytes(firmware);
    g_autofree char *text = NULL;

    if (firmware->config.data_budget == 0 || fetched - firmware->fetched_kept < FETCHED_KEEP_BYTES)
        return;
    firmware->fetched_kept = fetched;
    text = g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT,
                           firmware->job->id, firmware->job->fetched_bytes, fetched);
    keep(firmware, VALUE_FETCHED, text);
}

/* After a restart in mid-attempt. */
static void recall_fetched(Firmware *firmware)
{
    g_autofree char *text = kept(firmware, VALUE_FETCHED);
    g_auto(GStrv) words = text ? g_strsplit(text, " ", 3) : NULL;

    if (words && g_strv_length(words) == 3 &&
        g_ascii_strtoll(words[0], NULL, 10) == firmware->job->id &&
        g_ascii_strtoll(words[1], NULL, 10) == firmware->job->fetched_bytes)
        firmware->fetched_before = firmware->fetched_kept = g_ascii_strtoll(words[2], NULL, 10);
}

static gint64 budget_left(const Firmware *firmware)
{
    if (firmware->config.data_budget == 0)
        return -1;
    return MAX(
        firmware->config.data_budget - firmware->job->fetched_bytes - firmware->fetched_before, 0);
}

/* --------------------------------------------------------------------------------- own download */

static void download_progress(gint64 bytes, gint64 size, gpointer user_data)
{
    Firmware *firmware = user_data;

    (void)bytes, (void)size;
    firmware_note_transfer(firmware);
    firmware->events.changed(firmware->user_data);
}

/* In words, for whoever reads the log: RAUC installs it all the same. */
static void warn_of_plain(const Firmware *firmware, const char *path)
{
    gint64 bytes, size;

    download_position(firmware->download, &bytes, &size);
    if (MAX(bytes, size) > BUNDLE_PLAIN_MAX && bundle_format(path) == BUNDLE_PLAIN)
        g_warning("job=%" G_GINT64_FORMAT " the bundle is plain and larger than 2 GB: RAUC before "
                  "1.15.2 checks only a part of it (CVE-2026-34155); use format=verity",
                  firmware->job->id);
}

static void download_done(const char *path, const char *sha256, const GError *error,
                          guint retry_after_s, gpointer user_data)
{
    Firmware *firmware = user_data;

    if (error) {
        firmware->fetch_error = g_error_copy(error);
        firmware->retry_after_s = retry_after_s;
    } else {
        g_message("job=%" G_GINT64_FORMAT " downloaded %s sha256=%s", firmware->job->id, path,
                  sha256);
        warn_of_plain(firmware, path);
        firmware->fetched = TRUE;
        g_free(firmware->bundle_sha256);
        firmware->bundle_sha256 = g_strdup(sha256);
    }
    firmware_advance(firmware);
}

void firmware_fetch(Firmware *firmware)
{
    static const DownloadEvents EVENTS = {.progress = download_progress, .done = download_done};
    g_autofree char *reason = NULL;
    g_autofree char *url = location_to_url(firmware->job->location, &reason);
    DownloadRequest request = {.directory = firmware->config.spool_directory,
                               .job = firmware->job->id,
                               .url = url,
                               .hold_ms = firmware->config.hold_ms,
                               .timeout_ms = firmware->config.download_timeout_ms,
                               .budget = budget_left(firmware),
                               .boot_id = firmware->config.boot_id};

    if (firmware->download || firmware->fetched || firmware->fetch_error)
        return;
    if (!url) {
        firmware->fetch_error = g_error_new_literal(TRANSFER_ERROR, TRANSFER_ERROR_URL, reason);
        return;
    }
    firmware->download =
        download_begin(firmware->transfers, firmware->clock, &request, &EVENTS, firmware);
}

/* ------------------------------------------------------------------------------------ the relay */

/* "JOB PORT SECRET SIZE MODIFIED ETAG": what a restarted agent needs to go on where RAUC asks. */
static void keep_place(Firmware *firmware)
{
    const RelayPlace *place = relay_place(firmware->relay);
    g_autofree char *text =
        g_strdup_printf("%" G_GINT64_FORMAT " %u %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s",
                        firmware->job->id, place->port, place->secret, place->file.size,
                        place->file.modified, place->file.etag ? place->file.etag : "");

    keep(firmware, VALUE_RELAY, text);
}

static gboolean recall_place(Firmware *firmware, RelayPlace *ret_place)
{
    g_autofree char *text = kept(firmware, VALUE_RELAY);
    g_auto(GStrv) words = text ? g_strsplit(text, " ", 6) : NULL;

    if (!words || g_strv_length(words) != 6 ||
        g_ascii_strtoll(words[0], NULL, 10) != firmware->job->id)
        return FALSE;
    *ret_place = (RelayPlace){.port = (guint16)g_ascii_strtoull(words[1], NULL, 10),
                              .secret = g_strdup(words[2]),
                              .file = {.size = g_ascii_strtoll(words[3], NULL, 10),
                                       .etag = *words[5] ? g_strdup(words[5]) : NULL,
                                       .modified = g_ascii_strtoll(words[4], NULL, 10)}};
    return TRUE;
}

static void relay_known(const TransferFile *file, gpointer user_data)
{
    (void)file;
    keep_place(user_data);
}

static void relay_failed(gpointer user_data)
{
    Firmware *firmware = user_data;

    g_warning("job=%" G_GINT64_FORMAT " the stream ends: %s", firmware->job->id,
              relay_failure(firmware->relay)->message);
}

static gboolean open_relay(Firmware *firmware, const RelayPlace *place, GError **error)
{
    static const RelayEvents EVENTS = {.known = relay_known, .failed = relay_failed};
    g_autofree char *reason = NULL;
    g_autofree char *url = location_to_url(firmware->job->location, &reason);
    g_autofree char *bundle =
        firmware->job->transport == JOB_TRANSPORT_STORE
            ? download_path(firmware->config.spool_directory, firmware->job->id)
            : NULL;
    RelayConfig config = {.url = url,
                          .local_bundle = bundle,
                          .read_ahead = firmware->config.read_ahead,
                          .hold_ms = firmware->config.hold_ms,
                          .budget = budget_left(firmware)};

    if (!url) {
        g_set_error_literal(error, RAUC_ERROR, RAUC_ERROR_RETRIEVAL, reason);
        return FALSE;
    }
    firmware->relay =
        relay_new(firmware->transfers, firmware->clock, &config, place, &EVENTS, firmware, error);
    return firmware->relay != NULL;
}

char *firmware_open_source(Firmware *firmware, GError **error)
{
    static const RelayPlace ANYWHERE = {.file = TRANSFER_FILE_UNKNOWN};
    g_autoptr(GError) trouble = NULL;

    if (firmware_is_local(firmware->job))
        return g_strdup(firmware->job->location);
    if (firmware->job->transport == JOB_TRANSPORT_DOWNLOAD)
        return download_path(firmware->config.spool_directory, firmware->job->id);
    g_clear_pointer(&firmware->relay, relay_free);
    if (!open_relay(firmware, &ANYWHERE, &trouble)) {
        g_set_error(error, RAUC_ERROR, RAUC_ERROR_RETRIEVAL, "no relay: %s", trouble->message);
        return NULL;
    }
    keep_place(firmware);
    return g_strdup(relay_url(firmware->relay));
}

/* RAUC asks again for about five seconds, then its stream is lost.  Where the job is being taken
 * back, it has to hear a no. */
void firmware_adopt(Firmware *firmware)
{
    RelayPlace place = {.file = TRANSFER_FILE_UNKNOWN};
    g_autoptr(GError) error = NULL;
    gboolean wanted = firmware->job && (firmware->job->state == JOB_INSTALLING ||
                                        firmware->job->state == JOB_UNDOING);

    if (firmware->job)
        recall_fetched(firmware);
    if (!wanted || firmware_is_local(firmware->job) ||
        firmware->job->transport == JOB_TRANSPORT_DOWNLOAD ||
        g_strcmp0(firmware->job->boot_id, firmware->config.boot_id) != 0)
        return;
    if (!recall_place(firmware, &place))
        return;
    firmware->relay_lost = !open_relay(firmware, &place, &error);
    if (firmware->relay_lost)
        g_warning("job=%" G_GINT64_FORMAT " the stream is lost: %s", firmware->job->id,
                  error->message);
    if (firmware->job->state == JOB_UNDOING)
        firmware_abort_relay(firmware, "cancelled");
    relay_place_clear(&place);
}

gboolean firmware_abort_relay(Firmware *firmware, const char *why)
{
    g_autoptr(GError) reason = NULL;

    if (!firmware->relay || relay_failure(firmware->relay))
        return FALSE;
    reason = g_error_new_literal(TRANSFER_ERROR, TRANSFER_ERROR_NETWORK, why);
    relay_abort(firmware->relay, reason);
    return TRUE;
}

/* --------------------------------------------------------------------------------- how it ended */

/* What is to be changed when no other way is left. */
static const char *advice(const Firmware *firmware)
{
    if (firmware->job->transport == JOB_TRANSPORT_STORE)
        return "; give RAUC a store of its own ([casync] store-path) or a bundle with its image in "
               "it";
    return firmware->config.transport == FIRMWARE_TRANSPORT_STREAM
               ? "; set [update] transport=auto or download"
               : "";
}

static GError *not_streamed(const Firmware *firmware, const char *why)
{
    return g_error_new(RAUC_ERROR, RAUC_ERROR_STREAM, "%s%s", why, advice(firmware));
}

static GError *cannot_stream(Firmware *firmware, const char *why)
{
    if (!firmware->cannot_stream && firmware->config.transport == FIRMWARE_TRANSPORT_AUTO) {
        firmware->cannot_stream = TRUE;
        keep(firmware, VALUE_CANNOT_STREAM, firmware->config.boot_id);
    }
    return not_streamed(firmware, why);
}

/* RAUC knows only the relay's address, and nobody else has to. */
static GError *without_secret(const Firmware *firmware, const GError *error)
{
    GError *told = g_error_copy(error);
    g_auto(GStrv) parts = NULL;

    if (!firmware->relay)
        return told;
    parts = g_strsplit(error->message, relay_url(firmware->relay), -1);
    g_free(told->message);
    told->message = g_strjoinv("(relay)", parts);
    return told;
}

static GError *from_relay(Firmware *firmware, const GError *failure)
{
    RelayState state;

    if (failure->domain == RELAY_ERROR)
        return cannot_stream(firmware, "this RAUC cannot stream");
    relay_state(firmware->relay, &state);
    firmware->retry_after_s = state.retry_after_s;
    /* A server that makes no sense of ranges may still have the file as a whole. */
    if (failure->code == TRANSFER_ERROR_RANGES ||
        (failure->code == TRANSFER_ERROR_PROTOCOL && firmware_has_other_way(firmware, NULL)))
        return not_streamed(firmware, failure->message);
    g_clear_error(&firmware->fetch_error);
    firmware->fetch_error = g_error_copy(failure);
    return g_error_new_literal(RAUC_ERROR, RAUC_ERROR_RETRIEVAL, failure->message);
}

static gboolean is_of_transfer(const GError *error)
{
    return error->code == RAUC_ERROR_COPY || error->code == RAUC_ERROR_RETRIEVAL ||
           error->code == RAUC_ERROR_STORE;
}

GError *firmware_true_error(Firmware *firmware, const GError *error)
{
    const GError *failure = firmware->relay ? relay_failure(firmware->relay) : NULL;

    if (!error)
        return NULL;
    if (failure)
        return from_relay(firmware, failure);
    if (error->code == RAUC_ERROR_STREAM)
        return strstr(error->message, "nbd") ? cannot_stream(firmware, error->message)
                                             : not_streamed(firmware, error->message);
    /* The agent was away while RAUC asked: not the attempt's fault. */
    if (firmware->adopted && is_of_transfer(error) && (firmware->relay || firmware->relay_lost))
        return g_error_new_literal(RAUC_ERROR, RAUC_ERROR_BUSY,
                                   "the stream was lost when the agent restarted");
    return without_secret(firmware, error);
}

gint64 firmware_relay_moved_ms(const Firmware *firmware)
{
    RelayState state;

    if (!firmware->relay)
        return -1;
    relay_state(firmware->relay, &state);
    return state.last_ms;
}

/* A bundle that cannot be streamed is downloaded, unless that is forbidden; one that is downloaded
 * and wants its casync store gets it through the relay. */
gboolean firmware_has_other_way(const Firmware *firmware, const GError *error)
{
    if (firmware_is_local(firmware->job))
        return FALSE;
    if (firmware->job->transport == JOB_TRANSPORT_STREAM)
        return firmware->config.transport == FIRMWARE_TRANSPORT_AUTO;
    return firmware->job->transport == JOB_TRANSPORT_DOWNLOAD &&
           g_error_matches(error, RAUC_ERROR, RAUC_ERROR_STORE);
}

gboolean firmware_is_hopeless(const Firmware *firmware, const GError *error)
{
    g_autofree char *reason = NULL;
    g_autofree char *url = NULL;

    if (!error || error->domain != TRANSFER_ERROR)
        return FALSE;
    if (error->code == TRANSFER_ERROR_BUDGET)
        return TRUE;
    url = location_to_url(firmware->job->location, &reason);
    if (!url)
        return TRUE;
    return firmware->config.give_up_early &&
           (error->code == TRANSFER_ERROR_REFUSED || error->code == TRANSFER_ERROR_TLS ||
            error->code == TRANSFER_ERROR_URL);
}

gint64 firmware_fetched_bytes(const Firmware *firmware)
{
    RelayState state = {0};
    gint64 bytes = firmware->download ? download_received(firmware->download) : 0;

    if (firmware->relay)
        relay_state(firmware->relay, &state);
    return bytes + state.fetched;
}

/* While RAUC is busy with a cancelled job the relay still has to say no to it. */
void firmware_drop_transport(Firmware *firmware, JobState state)
{
    gboolean taken_back = state == JOB_UNDOING && rauc_presence(firmware->rauc) != RAUC_IDLE;

    if (state != JOB_INSTALLING && !taken_back)
        g_clear_pointer(&firmware->relay, relay_free);
    if (state != JOB_DOWNLOADING)
        g_clear_pointer(&firmware->download, download_free);
}
