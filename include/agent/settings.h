/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings: a GKeyFile (RAUC's own format), then the fragments in `<file>.d/` (agent.conf ->
 * agent.conf.d/<*.conf>) in the order of their names. One table says each key's group, type, bounds
 * and default.
 *
 * A bad value or an unreadable file is one line `file:line: group.key: what is wrong, what is
 * allowed`; all of them are told at once.  Unknown keys and groups are only warned about, so that
 * an older agent starts with a newer one's settings after a rollback.
 */
#pragma once

#include <glib.h>

#define SETTINGS_DEFAULT_FILE   "/etc/rauc-ocpp-agent/agent.conf"
#define SETTINGS_MAX_FILE_BYTES ((gsize)256 * 1024)
#define SETTINGS_MAX_FRAGMENTS  64
#define SETTINGS_MAX_PROBLEMS   100 /* that are told one by one */

typedef enum { MARK_GOOD_ALWAYS, MARK_GOOD_JOBS, MARK_GOOD_NEVER } MarkGood;
typedef enum { REBOOT_AUTOMATIC, REBOOT_REQUIRED } RebootPermission;
typedef enum { REPORT_AFTER_CONFIRM, REPORT_BEFORE_REBOOT } ReportInstalled;
typedef enum { TRANSPORT_AUTO, TRANSPORT_STREAM, TRANSPORT_DOWNLOAD } Transport;
typedef enum { UPLOAD_METHOD_PUT, UPLOAD_METHOD_POST } UploadMethodSetting;
typedef enum { HEALTH_CSMS = 1, HEALTH_COMMAND = 2, HEALTH_STACK = 4 } Health; /* flags */

typedef struct {
    /* [csms] */
    char *url;             /* required */
    char *identity;        /* required */
    gint security_profile; /* 0..3 */
    char *authorization_key_file;
    GBytes *authorization_key; /* decoded content of that file; NULL: none */
    char *ca_file, *client_cert_file, *client_key_file;
    gint64 ping_interval_s;   /* 60 */
    gint64 call_timeout_s;    /* 30 */
    gint64 max_message_bytes; /* 256K */
    gboolean boot_notification_on_reconnect;
    /* [charge-point] */
    char *vendor, *model;        /* required, at most 20 characters */
    char *serial_number;         /* NULL or at most 25 */
    char *firmware_version;      /* NULL or at most 50; with a file: its content */
    char *firmware_version_file; /* read by settings_load(), stripped of white space; excludes
                                    the key firmware-version */
    gint64 connectors;           /* 0 */
    /* [store] */
    char *store_path; /* /var/lib/rauc-ocpp-agent/store.db */
    /* [rauc] */
    gint64 stall_timeout_s;  /* 600 */
    gint64 silent_timeout_s; /* 3600 */
    gint64 absent_timeout_s; /* 3600: RAUC mute since a boot -> reboot */
    char *restart_command;   /* systemctl restart rauc */
    MarkGood mark_good;      /* always */
    /* [update] */
    Transport transport;                /* auto */
    char *spool_directory;              /* /var/lib/rauc-ocpp-agent/spool */
    gint64 default_retries;             /* 3 */
    gint64 default_retry_interval_s;    /* 60 */
    char *reboot_command;               /* systemctl reboot */
    RebootPermission reboot_permission; /* automatic */
    gint64 reboot_wait_limit_s;         /* 0: without limit */
    gint64 report_wait_s;               /* 300 */
    ReportInstalled report_installed;   /* after-confirm */
    Health health;                      /* csms */
    char *health_directory;             /* /etc/rauc-ocpp-agent/health.d */
    gint64 health_timeout_s;            /* 3600 */
    /* [download] */
    gint64 hold_s;             /* 270, less than the kernel's 300 */
    gint64 read_ahead;         /* 4M */
    gint64 rate_limit;         /* bytes/s, 0: none */
    gint64 data_budget;        /* bytes a job, 0: without limit */
    gint64 connect_timeout_s;  /* 20 */
    gint64 download_timeout_s; /* 86400: of one own download; 0: without limit */
    gint64 low_speed_limit;    /* bytes/s, 100 */
    gint64 spread_s;           /* 0 */
    gboolean give_up_early;
    char *download_ca_file, *download_client_cert_file, *download_client_key_file;
    char *netrc_file, *known_hosts_file, *proxy;
    /* [diagnostics] */
    char **diagnostics_sources;        /* journal */
    gint64 diagnostics_size_limit;     /* 20M: of all that is collected, before compression */
    gint64 diagnostics_frames;         /* bytes of OCPP frames that are kept, 0: none */
    gint64 diagnostics_rate_limit;     /* bytes/s, 0: none */
    UploadMethodSetting upload_method; /* put */
    /* [system] */
    char *boot_id_file; /* /proc/sys/kernel/random/boot_id */
} Settings;

typedef struct {
    char *where;      /* "file:line: group.key"; also "file: group.key" (missing), "file:line", the
                         file alone */
    char *what;       /* what is wrong, what is allowed */
    gboolean fatal;   /* FALSE: a warning */
    gboolean unknown; /* the warning is about an unknown key or group: check-config refuses it */
} SettingsProblem;

/* Reads `file` and its fragments.  `*ret_problems` receives SettingsProblem* (never NULL, maybe
 * empty; free with g_ptr_array_unref()). NULL when one of them is fatal. */
Settings *settings_load(const char *file, GPtrArray **ret_problems);
void settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* The settings in effect, defaults too, in the form of the file; g_free().  There is no secret in
 * them but what the owner writes into URLs. */
char *settings_text(Settings *settings);

/* AuthorizationKey as it stands in its file (W, TC_085): 32..40 hexadecimal digits are bytes (an
 * even number), 16..20 printable ASCII characters are plain text.  NULL for anything else. */
GBytes *settings_decode_authorization_key(const char *text);
