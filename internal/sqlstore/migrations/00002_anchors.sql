-- +goose Up
-- The anchor journal: one row for each transaction prepared to anchor a head,
-- committed before the transaction is sent. Rows are never deleted; the chain
-- is the truth, these are our memory of it. Times are milliseconds since 1970
-- UTC. AUTOINCREMENT keeps ids from being used twice, so that they can be
-- paging cursors.
CREATE TABLE anchors (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    ledger     TEXT    NOT NULL, -- the operator's name of the ledger
    chain_id   TEXT    NOT NULL, -- decimal; it may need all 64 bits
    contract   TEXT    NOT NULL,
    log_id     BLOB    NOT NULL CHECK (length(log_id) = 32),
    size       INTEGER NOT NULL CHECK (size >= 0),
    root       BLOB    NOT NULL CHECK (length(root) = 32),
    head_key   TEXT    NOT NULL, -- who signed the head
    signature  BLOB    NOT NULL,
    tx         TEXT    NOT NULL, -- the ledger's id of the transaction
    raw        BLOB    NOT NULL, -- the bytes to send (again)
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'settled', 'failed', 'superseded')),
    finality   TEXT    NOT NULL,
    block      INTEGER NOT NULL DEFAULT 0,
    block_hash TEXT    NOT NULL DEFAULT '',
    block_time INTEGER NOT NULL DEFAULT 0, -- the ledger's own time, 0 = not included
    gas        INTEGER NOT NULL DEFAULT 0,
    reason     TEXT    NOT NULL DEFAULT '',
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    UNIQUE (ledger, chain_id, tx)
) STRICT;
CREATE INDEX anchors_pending ON anchors (ledger, log_id, id) WHERE state = 'pending';
CREATE INDEX anchors_settled ON anchors (ledger, chain_id, contract, log_id, size) WHERE state = 'settled';
CREATE INDEX anchors_log_size ON anchors (log_id, size);

-- +goose Down
DROP TABLE anchors;
