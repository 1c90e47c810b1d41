-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Made by tests/component/stores/make.py.
BEGIN TRANSACTION;
CREATE TABLE agent (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "agent" VALUES('csms-time','1795349928193');
INSERT INTO "agent" VALUES('inoperative.1','true');
INSERT INTO "agent" VALUES('marked-boot-id','36ee8043-897e-4cbd-a0cd-02f0d1132ffd');
CREATE TABLE configuration (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "configuration" VALUES('WebSocketPingInterval','77');
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
INSERT INTO "history" VALUES(1,1,1795349928781,'scheduled','scheduled','request',NULL);
INSERT INTO "history" VALUES(2,1,1795349928785,'scheduled','downloading','due',NULL);
INSERT INTO "history" VALUES(3,1,1795349928836,'downloading','install-wait','fetch-ok','529608 bytes fetched, sha256=893edff1e9b55a25363f86855085b6951783125f4dcad8b1da236b2cf913de4c');
INSERT INTO "history" VALUES(4,1,1795349928868,'install-wait','installing','permit',NULL);
INSERT INTO "history" VALUES(5,1,1795349928928,'installing','installing','writing',NULL);
INSERT INTO "history" VALUES(6,1,1795349928965,'installing','reboot-wait','activated',NULL);
INSERT INTO "history" VALUES(7,1,1795349928969,'reboot-wait','rebooting','reboot-now',NULL);
INSERT INTO "history" VALUES(8,1,1795349929266,'rebooting','confirming','boot-target',NULL);
INSERT INTO "history" VALUES(9,1,1795349929281,'confirming','confirming','healthy',NULL);
INSERT INTO "history" VALUES(10,1,1795349929298,'confirming','installed','marked',NULL);
INSERT INTO "history" VALUES(11,2,1795349929959,'scheduled','scheduled','request',NULL);
INSERT INTO "history" VALUES(12,2,1795349929961,'scheduled','downloading','due',NULL);
INSERT INTO "history" VALUES(13,2,1795349929994,'downloading','download-failed','fetch-fail-last','cannot read http://bundles.example/3.0.0.raucb: there is no such file on the server (HTTP status 404)');
INSERT INTO "history" VALUES(14,3,1795349930029,'scheduled','scheduled','request',NULL);
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
INSERT INTO "jobs" VALUES(1,'ended','installed','http://bundles.example/2.0.0.raucb',1795349928782,1,0,1,-1,0,'download',529608,1,0,1,1,'ended','Installed',NULL,'scheduled',NULL,0,1,'36ee8043-897e-4cbd-a0cd-02f0d1132ffd','rootfs.0','rootfs.1','rootfs.0','1.0.0',0,NULL,NULL,NULL,NULL,1,'2026-11-22T12:18:48Z','2026-11-22T12:18:48Z','2.0.0',NULL,1,39699696,1795349928781,1795349929298);
INSERT INTO "jobs" VALUES(2,'ended','download-failed','http://bundles.example/3.0.0.raucb',1795349929959,1,0,1,-1,0,'download',0,1,0,0,0,'ended','DownloadFailed','cannot read http://bundles.example/3.0.0.raucb: there is no such file on the server (HTTP status 404)','scheduled',NULL,0,0,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,0,0,1795349929959,1795349929994);
INSERT INTO "jobs" VALUES(3,'active','scheduled','http://bundles.example/4.0.0.raucb',4070908800000,1,3,60,-1,0,'undecided',0,0,0,0,0,'nothing',NULL,NULL,'scheduled',NULL,0,0,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,0,0,1795349930029,0);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL CHECK (job_id >= 0),
    action TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
INSERT INTO "outbox" VALUES(8,2,'FirmwareStatusNotification','{"status":"Downloading"}');
INSERT INTO "outbox" VALUES(9,2,'FirmwareStatusNotification','{"status":"DownloadFailed"}');
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
INSERT INTO "reports" VALUES(1,'ended','uploaded','http://bundles.example/incoming/',-9223372036854775808,9223372036854775807,0,0,1,'CP001-FW_20261122T121848Z.tar.gz',1,0,0,0,NULL,NULL,0,1795349928239,1795349928686);
INSERT INTO "reports" VALUES(2,'active','retry-wait','ftp://127.0.0.1:9/',-9223372036854775808,9223372036854775807,0,9,3600,'CP001-FW_20261122T121849Z.tar.gz',1,1,0,0,'cannot send to ftp://127.0.0.1:9/CP001-FW_20261122T121849Z.tar.gz: no connection (Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server)','36ee8043-897e-4cbd-a0cd-02f0d1132ffd',43300277,1795349929400,0);
CREATE UNIQUE INDEX jobs_one_active ON jobs (role) WHERE role = 'active';
CREATE UNIQUE INDEX jobs_one_waits ON jobs (role) WHERE role = 'waits';
CREATE UNIQUE INDEX reports_one_active ON reports (role) WHERE role = 'active';
CREATE UNIQUE INDEX reports_one_waits ON reports (role) WHERE role = 'waits';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('reports',2);
INSERT INTO "sqlite_sequence" VALUES('outbox',9);
INSERT INTO "sqlite_sequence" VALUES('jobs',3);
COMMIT;
PRAGMA application_id = 1380926273;
PRAGMA user_version = 1;
