-- Every statement may be repeated: a run that was cut off half-way is run again as a whole.
-- Tables that exist once. Names of Sources, hosts, targets and workers compare without case;
-- mail identifiers compare byte for byte and are never trimmed (NO PAD).
CREATE TABLE IF NOT EXISTS sources (
    id                INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name              VARCHAR(48) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
    api_key_hash      BINARY(32) NOT NULL,
    paused            BOOLEAN NOT NULL DEFAULT FALSE,
    -- Requests a second of this Source's key; NULL follows the scheduler's configuration, 0 is no limit.
    rate_limit        INT UNSIGNED NULL,
    -- Step of migrations/per_source that this Source's own tables have reached.
    schema_step       INT UNSIGNED NOT NULL DEFAULT 0,
    created           DATETIME(3) NOT NULL,
    modified          DATETIME(3) NOT NULL,
    UNIQUE KEY sources_name (name),
    UNIQUE KEY sources_api_key_hash (api_key_hash)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS sourcehosts (
    id                    INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source_id             INT UNSIGNED NOT NULL,
    name                  VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL,
    port                  SMALLINT UNSIGNED NULL,
    max_connections       INT UNSIGNED NOT NULL,
    reserved_for_priority INT UNSIGNED NOT NULL DEFAULT 0,
    migration_command1    LONGTEXT NOT NULL,
    migration_command2    LONGTEXT NULL,
    status_command        LONGTEXT NULL,
    paused                BOOLEAN NOT NULL DEFAULT FALSE,
    suspended_until       DATETIME(3) NULL,
    suspended_reason      VARCHAR(1024) NULL,
    created               DATETIME(3) NOT NULL,
    modified              DATETIME(3) NOT NULL,
    UNIQUE KEY sourcehosts_name (source_id, name),
    CONSTRAINT sourcehosts_source FOREIGN KEY (source_id) REFERENCES sources (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS targets (
    id      INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name    VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL,
    created DATETIME(3) NOT NULL,
    UNIQUE KEY targets_name (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS backends (
    id              INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    target_id       INT UNSIGNED NOT NULL,
    name            VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL,
    -- Random, new at every start of the worker process.
    incarnation     BINARY(16) NOT NULL,
    machine         VARCHAR(255) NOT NULL,
    version         VARCHAR(64) NOT NULL,
    -- Raised by every heartbeat; observers watch it change, nobody compares it with a clock.
    beat            BIGINT UNSIGNED NOT NULL DEFAULT 0,
    last_heartbeat  DATETIME(3) NOT NULL,
    initial_state   ENUM('RUNNING', 'PAUSED') NULL,
    wanted_state    ENUM('RUNNING', 'PAUSED', 'STOPPED') NOT NULL,
    actual_state    ENUM('RUNNING', 'PAUSED', 'STOPPED', 'GONE') NOT NULL,
    -- Set by API; NULL follows the worker's configuration.
    max_threads     INT UNSIGNED NULL,
    configured_threads INT UNSIGNED NOT NULL,
    threads_in_use  INT UNSIGNED NOT NULL DEFAULT 0,
    -- dmf.lease.deadline of its configuration: for so long children may live that nobody hears of.
    lease_deadline_ms INT UNSIGNED NOT NULL,
    created         DATETIME(3) NOT NULL,
    UNIQUE KEY backends_name (target_id, name),
    CONSTRAINT backends_target FOREIGN KEY (target_id) REFERENCES targets (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- One row for each targetUid in use on a target, over all Sources. `folded` is the lower-cased
-- uid: Dovecot often lower-cases, so two uids that differ by case only are one mailbox.
CREATE TABLE IF NOT EXISTS target_uids (
    target_id  INT UNSIGNED NOT NULL,
    folded     VARCHAR(510) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
    source_id  INT UNSIGNED NOT NULL,
    user_id    BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (target_id, folded),
    UNIQUE KEY target_uids_user (source_id, user_id),
    CONSTRAINT target_uids_target FOREIGN KEY (target_id) REFERENCES targets (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- One small row for each migration whose child may live: the lease, not the status, says so.
CREATE TABLE IF NOT EXISTS leases (
    source_id     INT UNSIGNED NOT NULL,
    journal_id    BIGINT UNSIGNED NOT NULL,
    user_id       BIGINT UNSIGNED NOT NULL,
    sourcehost_id INT UNSIGNED NOT NULL,
    backend_id    INT UNSIGNED NOT NULL,
    incarnation   BINARY(16) NOT NULL,
    -- The epoch that the claim wrote into the journal row: the fencing token.
    epoch         BIGINT UNSIGNED NOT NULL,
    beat          BIGINT UNSIGNED NOT NULL DEFAULT 0,
    wanted        ENUM('RUN', 'CANCEL', 'CLOSE') NOT NULL DEFAULT 'RUN',
    claimed       DATETIME(3) NOT NULL,
    PRIMARY KEY (source_id, journal_id),
    UNIQUE KEY leases_user (source_id, user_id),
    KEY leases_sourcehost (sourcehost_id),
    KEY leases_holder (backend_id, incarnation)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Who changed what by API, written before the change: a row without a status is a change whose end nobody
-- saw. What was refused leaves none.
CREATE TABLE IF NOT EXISTS audit (
    id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at         DATETIME(3) NOT NULL,
    -- admin:<name> or source:<name>
    actor      VARCHAR(320) NOT NULL,
    peer       VARCHAR(64) NULL,
    request_id VARCHAR(64) NULL,
    method     VARCHAR(16) NOT NULL,
    path       VARCHAR(2048) NOT NULL,
    -- JSON: the fields that were given, without any that may hold a secret.
    fields     LONGTEXT NULL,
    status     SMALLINT UNSIGNED NULL,
    KEY audit_at (at, id),
    KEY audit_actor (actor, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- "Look at this id": written in the transaction that changes the row, read by the relay.
CREATE TABLE IF NOT EXISTS outbox (
    id        BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind      ENUM('MIGRATION', 'SOURCEHOST', 'BACKEND') NOT NULL,
    -- 0 unless it is a migration.
    source_id INT UNSIGNED NOT NULL,
    -- Id of the journal row, the source host or the backend.
    ref_id    BIGINT UNSIGNED NOT NULL,
    -- For people, who want to know how late the relay is.
    added     DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Users whose migration failed for a reason that speaks against their source host, since its last success:
-- many of them in a row suspend the host.
CREATE TABLE IF NOT EXISTS host_troubles (
    sourcehost_id INT UNSIGNED NOT NULL,
    kind          ENUM('AUTHENTICATION', 'UNREACHABLE') NOT NULL,
    user_id       BIGINT UNSIGNED NOT NULL,
    noted         DATETIME(3) NOT NULL,
    PRIMARY KEY (sourcehost_id, kind, user_id),
    CONSTRAINT host_troubles_sourcehost FOREIGN KEY (sourcehost_id) REFERENCES sourcehosts (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
