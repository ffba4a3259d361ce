-- {users} and {journal} are replaced by users<Source> and journal<Source>.
CREATE TABLE IF NOT EXISTS {users} (
    id             BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source_uid     VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
    target_uid     VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
    target_id      INT UNSIGNED NOT NULL,
    sourcehost_id  INT UNSIGNED NOT NULL,
    sourceport     SMALLINT UNSIGNED NULL,
    email          VARCHAR(320) NULL,
    -- Nonce and ciphertext; the key that opens it is known by this alias.
    password       VARBINARY(2048) NULL,
    password_key   VARCHAR(255) NULL,
    container      VARCHAR(255) NULL,
    imapc_options  LONGTEXT NULL,
    use_imapc_ssl  VARCHAR(16) NULL,
    exclude_folders LONGTEXT NULL,
    created        DATETIME(3) NOT NULL,
    modified       DATETIME(3) NOT NULL,
    UNIQUE KEY source_uid (source_uid),
    KEY sourcehost (sourcehost_id, id),
    KEY target (target_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- next statement
CREATE TABLE IF NOT EXISTS {journal} (
    id                     BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id                BIGINT UNSIGNED NOT NULL,
    sourcehost_id          INT UNSIGNED NOT NULL,
    target_id              INT UNSIGNED NOT NULL,
    status                 ENUM('SCHEDULED', 'SYNC', 'SUCCESS', 'FAILURE', 'ABORTED') NOT NULL,
    phase                  ENUM('PRE_SYNC', 'CUTOVER') NOT NULL,
    priority               BOOLEAN NOT NULL,
    -- Fencing token: claim, reap, hand-back and close each add 1.
    epoch                  BIGINT UNSIGNED NOT NULL DEFAULT 0,
    not_before             DATETIME(3) NULL,
    cancel_requested       BOOLEAN NOT NULL DEFAULT FALSE,
    forced                 BOOLEAN NOT NULL DEFAULT FALSE,
    attempt                INT UNSIGNED NOT NULL DEFAULT 0,
    losses                 INT UNSIGNED NOT NULL DEFAULT 0,
    -- Set before the hook is started: whatever happens then, it may have had its effect.
    pre_started            BOOLEAN NOT NULL DEFAULT FALSE,
    post_started           BOOLEAN NOT NULL DEFAULT FALSE,
    -- Given up or cancelled after its pre command had started: the next claim runs the failure command
    -- alone, and then the row gets this end state.
    cleanup                ENUM('FAILURE', 'ABORTED') NULL,
    created                DATETIME(3) NOT NULL,
    started                DATETIME(3) NULL,
    stopped                DATETIME(3) NULL,
    modified               DATETIME(3) NOT NULL,
    -- target/worker, as text: the record outlives the backend.
    backend                VARCHAR(330) NULL,
    -- While the row is open: JSON that a worker leaves for the next claim, such as mails moved so far.
    carried                LONGTEXT NULL,
    details                LONGTEXT NULL,
    target_message_count   BIGINT UNSIGNED NULL,
    target_mailbox_size    BIGINT UNSIGNED NULL,
    source_message_count   BIGINT UNSIGNED NULL,
    source_mailbox_size    BIGINT UNSIGNED NULL,
    expunged_message_count BIGINT UNSIGNED NULL,
    sync_message_count     BIGINT UNSIGNED NULL,
    -- Milliseconds of the dsync block, sleeps between attempts included.
    sync_speed             BIGINT UNSIGNED NULL,
    verification           LONGTEXT NULL,
    -- A user has at most one open row; the database says so, not code.
    open_user              BIGINT UNSIGNED AS (IF(status IN ('SCHEDULED', 'SYNC'), user_id, NULL)) PERSISTENT,
    -- Bytes that the sync brought: its mails, at the mean size of the mails on the target.
    moved_size             BIGINT UNSIGNED AS (IF(target_message_count > 0,
        CAST(LEAST(target_mailbox_size / target_message_count * sync_message_count, 9223372036854775807)
             AS UNSIGNED), 0)) PERSISTENT,
    UNIQUE KEY open_user (open_user),
    KEY user (user_id, id),
    KEY status (status, id),
    -- The summary reads these two alone: what there is, and what ended lately.
    KEY summary (sourcehost_id, status, phase, sync_message_count, moved_size),
    KEY rate (stopped, sync_message_count, moved_size),
    KEY created (created),
    KEY backend (backend, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
