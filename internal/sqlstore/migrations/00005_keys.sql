-- +goose Up
-- Every key that an agent has or had, by RFC 7638 thumbprint: no two agents ever
-- share one.
CREATE TABLE agent_keys (
    thumbprint TEXT    PRIMARY KEY,
    agent      TEXT    NOT NULL REFERENCES agents (id),
    n          INTEGER NOT NULL,
    doc        TEXT    NOT NULL,
    UNIQUE (agent, n)
) STRICT;
INSERT INTO agent_keys (thumbprint, agent, n, doc)
    SELECT a.thumbprint, a.id, 1, json_object(
        'thumbprint', a.thumbprint, 'agent', a.id, 'n', 1, 'key_id', json_extract(a.doc, '$.key_id'),
        'jwk', json(json_extract(a.doc, '$.jwk')), 'status', 'active', 'added', json_extract(a.doc, '$.created'),
        'version', json_extract(d.entry, '$.versionId'),
        'added_index', (SELECT e.place & 0xFFFFFFFFFFFF FROM events e WHERE e.agent = a.id AND e.type = 'agent.requested' ORDER BY e.place LIMIT 1))
    FROM agents a JOIN did_entries d ON d.agent = a.id AND d.n = 1;

-- Agents whose DID log is to follow what was decided about them, and from when on:
-- a retiring key's time is over, or the agent was revoked.
CREATE TABLE tending (
    agent  TEXT    PRIMARY KEY REFERENCES agents (id),
    due_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tending_due ON tending (due_ms);
INSERT INTO tending (agent, due_ms) SELECT id, 0 FROM agents WHERE status = 'revoked';

-- The children of an agent, for its right to have more.
ALTER TABLE agents ADD COLUMN parent TEXT REFERENCES agents (id);
CREATE INDEX agents_parent ON agents (parent) WHERE parent IS NOT NULL;
