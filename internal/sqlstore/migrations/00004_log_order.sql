-- +goose Up
-- Evidence in the order of the log. An event's place is one integer, the number
-- of its log << 48 | its index, and is the key of its row: rows are appended,
-- and each secondary index holds that integer beside what it finds. The last
-- event of an org's or agent's sequence is the last row of an index, so the
-- chains need no table of their own.
CREATE TABLE logs (
    n       INTEGER PRIMARY KEY, -- from 1, below 2^15
    log     TEXT    NOT NULL UNIQUE,
    size    INTEGER NOT NULL,
    root    BLOB    NOT NULL,
    time_ms INTEGER NOT NULL -- never falls: the clock of the registry
) STRICT;
INSERT INTO logs (log, size, root, time_ms) SELECT log, size, root, time_ms FROM log_heads ORDER BY log;
DROP TABLE log_heads;

CREATE TABLE entries (
    place    INTEGER PRIMARY KEY,
    cid      TEXT    NOT NULL,
    org      TEXT    NOT NULL,
    org_seq  INTEGER NOT NULL,
    agent    TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    type     TEXT    NOT NULL,
    time_ms  INTEGER NOT NULL,
    artifact BLOB    NOT NULL
) STRICT;
INSERT INTO entries (place, cid, org, org_seq, agent, seq, type, time_ms, artifact)
    SELECT (l.n << 48) + e.idx, e.cid, e.org, e.org_seq, e.agent, e.seq, e.type, e.time_ms, e.artifact
    FROM events e JOIN logs l ON l.log = e.log ORDER BY 1;

-- What an event commits to and does not contain, one document an event, keyed
-- by its place. It may be rewritten without a value, or deleted.
CREATE TABLE disclosed (
    place INTEGER PRIMARY KEY,
    doc   TEXT    NOT NULL -- [{"name": ..., "salt": ..., "value": ...}, ...]
) STRICT;
INSERT INTO disclosed (place, doc)
    SELECT e.place, json_group_array(json_object('name', d.name, 'salt', d.salt, 'value', json(d.value)) ORDER BY d.name)
    FROM disclosures d JOIN entries e ON e.cid = d.cid GROUP BY e.place;

DROP TABLE disclosures;
DROP TABLE events;
DROP TABLE chains;
ALTER TABLE entries RENAME TO events;
ALTER TABLE disclosed RENAME TO disclosures;
-- Found by the end of its CID, 65 bits of the digest: an index a third the size.
CREATE INDEX events_cid ON events (substr(cid, -13));
CREATE INDEX events_org ON events (org);
CREATE INDEX events_agent ON events (agent);

-- Consumed proofs are forgotten in the order they came, so the table needs no
-- index of their ends.
CREATE TABLE consumed (
    id         INTEGER PRIMARY KEY,
    thumbprint TEXT    NOT NULL,
    jti        TEXT    NOT NULL,
    caller     TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    answer     TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL,
    UNIQUE (thumbprint, jti)
) STRICT;
INSERT INTO consumed (thumbprint, jti, caller, digest, answer, expires_ms)
    SELECT thumbprint, jti, caller, digest, answer, expires_ms FROM proofs ORDER BY expires_ms;
DROP TABLE proofs;
ALTER TABLE consumed RENAME TO proofs;

-- How often any epoch was moved: while it stands, all of them do.
CREATE TABLE authority (
    version INTEGER NOT NULL
) STRICT;
INSERT INTO authority (version) VALUES (1);
