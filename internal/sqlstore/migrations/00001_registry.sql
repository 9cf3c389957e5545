-- +goose Up
-- Each aggregate is one row: the columns that are searched or must be unique,
-- and the rest as one JSON document, written whole. Times are milliseconds
-- since 1970 UTC. Rows are keyed by UUIDv7, so key order is creation order.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE orgs (
    id   TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    doc  TEXT NOT NULL
) STRICT;

CREATE TABLE principals (
    id  TEXT PRIMARY KEY,
    org TEXT NOT NULL REFERENCES orgs (id),
    doc TEXT NOT NULL
) STRICT;
CREATE INDEX principals_org ON principals (org, id);

CREATE TABLE peps (
    id  TEXT PRIMARY KEY,
    org TEXT NOT NULL REFERENCES orgs (id),
    doc TEXT NOT NULL
) STRICT;
CREATE INDEX peps_org ON peps (org, id);

-- A bearer secret of a principal or PEP; only its SHA-256 is kept.
CREATE TABLE credentials (
    hash  BLOB PRIMARY KEY,
    kind  TEXT NOT NULL,
    owner TEXT NOT NULL
) STRICT;

CREATE TABLE agents (
    id         TEXT PRIMARY KEY,
    org        TEXT NOT NULL REFERENCES orgs (id),
    name       TEXT NOT NULL,
    status     TEXT NOT NULL,
    thumbprint TEXT NOT NULL UNIQUE, -- RFC 7638: no two agents share a key
    doc        TEXT NOT NULL
) STRICT;
CREATE INDEX agents_org ON agents (org, id);

-- Every DID is an alias of its agent and is never removed.
CREATE TABLE agent_dids (
    did   TEXT PRIMARY KEY,
    agent TEXT NOT NULL REFERENCES agents (id)
) STRICT;

CREATE TABLE did_entries (
    agent TEXT    NOT NULL REFERENCES agents (id),
    n     INTEGER NOT NULL,
    entry TEXT    NOT NULL,
    PRIMARY KEY (agent, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE catalogues (
    org TEXT PRIMARY KEY REFERENCES orgs (id),
    doc TEXT NOT NULL
) STRICT;

CREATE TABLE grants (
    id     TEXT PRIMARY KEY,
    org    TEXT NOT NULL REFERENCES orgs (id),
    agent  TEXT NOT NULL REFERENCES agents (id),
    status TEXT NOT NULL,
    doc    TEXT NOT NULL
) STRICT;
CREATE INDEX grants_org ON grants (org, id);
CREATE INDEX grants_agent ON grants (agent, id);

-- What stops authority, and the counter that says it moved.
CREATE TABLE kills (
    scope TEXT PRIMARY KEY,
    doc   TEXT NOT NULL
) STRICT;

CREATE TABLE epochs (
    scope TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT;

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

-- Consumed action proofs: (key thumbprint, jti) is single use.
CREATE TABLE proofs (
    thumbprint TEXT    NOT NULL,
    jti        TEXT    NOT NULL,
    caller     TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    answer     TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (thumbprint, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX proofs_expiry ON proofs (expires_ms);

-- Repeated denies fold into one event per (agent, action, reasons, epochs) and day.
CREATE TABLE denials (
    fold       TEXT PRIMARY KEY,
    answer     TEXT    NOT NULL,
    count      INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX denials_expiry ON denials (expires_ms);

CREATE TABLE idempotency (
    scope      TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    result     TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_ms);

-- Evidence. An artifact is never rewritten; its disclosures may be deleted.
CREATE TABLE events (
    log      TEXT    NOT NULL,
    idx      INTEGER NOT NULL,
    cid      TEXT    NOT NULL UNIQUE,
    org      TEXT    NOT NULL,
    org_seq  INTEGER NOT NULL,
    agent    TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    type     TEXT    NOT NULL,
    time_ms  INTEGER NOT NULL,
    artifact BLOB    NOT NULL,
    PRIMARY KEY (log, idx)
) STRICT;
CREATE INDEX events_org ON events (log, org, idx);
CREATE INDEX events_agent ON events (log, agent, idx);

CREATE TABLE disclosures (
    cid   TEXT NOT NULL,
    name  TEXT NOT NULL,
    salt  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (cid, name)
) STRICT, WITHOUT ROWID;

-- The last event of each org and of each agent.
CREATE TABLE chains (
    scope TEXT PRIMARY KEY,
    seq   INTEGER NOT NULL,
    cid   TEXT    NOT NULL
) STRICT;

CREATE TABLE log_heads (
    log     TEXT PRIMARY KEY,
    size    INTEGER NOT NULL,
    root    BLOB    NOT NULL,
    time_ms INTEGER NOT NULL -- never falls: the clock of the registry
) STRICT;

CREATE TABLE log_tiles (
    log   TEXT    NOT NULL,
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    data  BLOB    NOT NULL,
    PRIMARY KEY (log, level, idx)
) STRICT;

CREATE TABLE log_bundles (
    log  TEXT    NOT NULL,
    idx  INTEGER NOT NULL,
    data BLOB    NOT NULL,
    PRIMARY KEY (log, idx)
) STRICT;
