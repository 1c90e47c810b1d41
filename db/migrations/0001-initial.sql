-- SPDX-License-Identifier: LGPL-2.1-or-later
-- The first schema.  STRICT and the CHECKs let the integrity check at start find a damaged row before anything reads it.
-- Needs SQLite 3.37.  Every later migration keeps the tables jobs, reports and outbox: store_settle_copies() empties
-- them in copies.

-- "ROCA": tells a store of this agent from any other SQLite file.
PRAGMA application_id = 0x524f4341;

-- One column for each field of Job (db/jobs.h).  AUTOINCREMENT: the number of a job is never given out again.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    role TEXT NOT NULL CHECK (role IN ('active', 'waits', 'ended')),
    state TEXT NOT NULL CHECK (state IN (
        'scheduled', 'downloading', 'retry-wait', 'verifying', 'install-wait', 'installing', 'reboot-wait', 'rebooting',
        'confirming', 'rolling-back', 'undoing', 'installed', 'download-failed', 'install-failed', 'signature-invalid',
        'rolled-back', 'cancelled', 'superseded')),
    location TEXT NOT NULL,
    retrieve_date_ms INTEGER NOT NULL,
    has_retrieve_date INTEGER NOT NULL CHECK (has_retrieve_date IN (0, 1)),
    retries INTEGER NOT NULL CHECK (retries BETWEEN 0 AND 4294967295),
    retry_interval_s INTEGER NOT NULL CHECK (retry_interval_s BETWEEN 0 AND 4294967295),
    request_id INTEGER NOT NULL,
    by_hand INTEGER NOT NULL CHECK (by_hand IN (0, 1)),
    transport TEXT NOT NULL CHECK (transport IN ('undecided', 'stream', 'download', 'store')),
    fetched_bytes INTEGER NOT NULL CHECK (fetched_bytes >= 0),
    attempts INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    interruptions INTEGER NOT NULL CHECK (interruptions BETWEEN 0 AND 4294967295),
    tried INTEGER NOT NULL CHECK (tried IN (0, 1)),
    written INTEGER NOT NULL CHECK (written IN (0, 1)),
    wire TEXT NOT NULL CHECK (wire IN ('nothing', 'downloading', 'downloaded', 'installing', 'ended')),
    last_status TEXT,
    reason TEXT,
    failure TEXT NOT NULL CHECK (failure IN (
        'scheduled', 'downloading', 'retry-wait', 'verifying', 'install-wait', 'installing', 'reboot-wait', 'rebooting',
        'confirming', 'rolling-back', 'undoing', 'installed', 'download-failed', 'install-failed', 'signature-invalid',
        'rolled-back', 'cancelled', 'superseded')),
    retry_boot_id TEXT,
    retry_boottime_ms INTEGER NOT NULL,
    snapshot INTEGER NOT NULL CHECK (snapshot IN (0, 1)),
    boot_id TEXT,
    booted_slot TEXT,
    target_slot TEXT,
    primary_slot TEXT,
    firmware_version TEXT,
    before_installed_count INTEGER NOT NULL CHECK (before_installed_count >= 0),
    before_installed_timestamp TEXT,
    before_activated_timestamp TEXT,
    before_version TEXT,
    before_hash TEXT,
    after_installed_count INTEGER NOT NULL CHECK (after_installed_count >= 0),
    after_installed_timestamp TEXT,
    after_activated_timestamp TEXT,
    after_version TEXT,
    after_hash TEXT,
    confirm_boots INTEGER NOT NULL CHECK (confirm_boots BETWEEN 0 AND 4294967295),
    confirm_boottime_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    CHECK ((role = 'ended') = (state IN (
        'installed', 'download-failed', 'install-failed', 'signature-invalid', 'rolled-back', 'cancelled', 'superseded')))
) STRICT;

CREATE UNIQUE INDEX jobs_one_active ON jobs (role) WHERE role = 'active';
CREATE UNIQUE INDEX jobs_one_waits ON jobs (role) WHERE role = 'waits';

-- instr() and not IN, which builds a table for each row: 20 ms of every start with a full history.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    time_ms INTEGER NOT NULL,
    from_state TEXT NOT NULL CHECK (instr(
        ' scheduled downloading retry-wait verifying install-wait installing reboot-wait rebooting confirming rolling-back undoing' ||
        ' installed download-failed install-failed signature-invalid rolled-back cancelled superseded ', ' ' || from_state || ' ')),
    to_state TEXT NOT NULL CHECK (instr(
        ' scheduled downloading retry-wait verifying install-wait installing reboot-wait rebooting confirming rolling-back undoing' ||
        ' installed download-failed install-failed signature-invalid rolled-back cancelled superseded ', ' ' || to_state || ' ')),
    event TEXT NOT NULL,
    detail TEXT
) STRICT;

-- One column for each field of Report (db/reports.h).
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    role TEXT NOT NULL CHECK (role IN ('active', 'waits', 'ended')),
    state TEXT NOT NULL CHECK (state IN (
        'requested', 'collecting', 'uploading', 'retry-wait', 'uploaded', 'upload-failed', 'superseded')),
    location TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    stop_ms INTEGER NOT NULL,
    clock_ahead_ms INTEGER NOT NULL,
    retries INTEGER NOT NULL CHECK (retries BETWEEN 0 AND 4294967295),
    retry_interval_s INTEGER NOT NULL CHECK (retry_interval_s BETWEEN 0 AND 4294967295),
    file_name TEXT NOT NULL,
    told INTEGER NOT NULL CHECK (told IN (0, 1)),
    attempts INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    interruptions INTEGER NOT NULL CHECK (interruptions BETWEEN 0 AND 4294967295),
    begun INTEGER NOT NULL CHECK (begun IN (0, 1)),
    reason TEXT,
    retry_boot_id TEXT,
    retry_boottime_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    CHECK ((role = 'ended') = (state IN ('uploaded', 'upload-failed', 'superseded')))
) STRICT;

CREATE UNIQUE INDEX reports_one_active ON reports (role) WHERE role = 'active';
CREATE UNIQUE INDEX reports_one_waits ON reports (role) WHERE role = 'waits';

-- No foreign key: a notification outlives the row of its job.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL CHECK (job_id >= 0),
    action TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE configuration (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agent (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
