-- +goose Up
-- What agents are searched by. Each filter of a list has an index that is read in
-- the order of the list, so a page costs the same among ten agents and a million.
ALTER TABLE agents ADD COLUMN sponsor TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN key_since_ms INTEGER NOT NULL DEFAULT 0;
UPDATE agents SET sponsor = json_extract(doc, '$.sponsor'),
    key_since_ms = CAST(round(unixepoch(coalesce(json_extract(doc, '$.key_since'), json_extract(doc, '$.created')), 'subsec') * 1000) AS INTEGER);
CREATE INDEX agents_status ON agents (org, status, id);
CREATE INDEX agents_sponsor ON agents (org, sponsor, id);
CREATE INDEX agents_name ON agents (org, name, id);
CREATE INDEX agents_key_since ON agents (org, key_since_ms, id);
DROP INDEX agents_parent;
CREATE INDEX agents_family ON agents (parent, id) WHERE parent IS NOT NULL;

-- The domains and workflows that agents are approved for, by name.
CREATE TABLE agent_words (
    org   TEXT NOT NULL,
    kind  TEXT NOT NULL CHECK (kind IN ('domain', 'workflow')),
    word  TEXT NOT NULL,
    agent TEXT NOT NULL REFERENCES agents (id),
    PRIMARY KEY (org, kind, word, agent)
) STRICT, WITHOUT ROWID;
INSERT INTO agent_words (org, kind, word, agent) SELECT a.org, 'domain', j.value, a.id FROM agents a, json_each(a.doc, '$.domains') j;
INSERT INTO agent_words (org, kind, word, agent) SELECT a.org, 'workflow', j.value, a.id FROM agents a, json_each(a.doc, '$.workflows') j;

-- When an agent was last seen to act, and since when an active grant lies unused:
-- a projection of the log, made by a loop of its own, behind the decisions.
CREATE TABLE agent_usage (
    agent      TEXT    PRIMARY KEY REFERENCES agents (id),
    org        TEXT    NOT NULL,
    last_ms    INTEGER NOT NULL, -- 0 = never
    created_ms INTEGER NOT NULL  -- of the agent
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_usage_last ON agent_usage (org, last_ms, agent);
INSERT INTO agent_usage (agent, org, last_ms, created_ms)
    SELECT id, org, 0, CAST(round(unixepoch(json_extract(doc, '$.created'), 'subsec') * 1000) AS INTEGER) FROM agents;

CREATE TABLE grant_usage (
    id         TEXT    PRIMARY KEY REFERENCES grants (id),
    org        TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    since_ms   INTEGER NOT NULL, -- its last use; before the first one, its issue
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_usage_since ON grant_usage (org, since_ms, id);
CREATE INDEX grant_usage_agent ON grant_usage (agent, since_ms, id);
CREATE INDEX grant_usage_expiry ON grant_usage (expires_ms); -- what has expired is forgotten
INSERT INTO grant_usage (id, org, agent, since_ms, expires_ms)
    SELECT id, org, agent, CAST(round(unixepoch(json_extract(doc, '$.created'), 'subsec') * 1000) AS INTEGER), unixepoch(json_extract(doc, '$.expires')) * 1000
    FROM grants WHERE status = 'active';

-- Which agents hold an action (verb:type) by an active grant.
CREATE TABLE grant_actions (
    org        TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    id         TEXT    NOT NULL REFERENCES grants (id),
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (org, action, agent, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_actions_grant ON grant_actions (id);

-- How far the loop has come: the place of the last event that it has read, and the
-- last grant of before this table whose actions it has read ('done' at the end).
CREATE TABLE projections (
    name  TEXT PRIMARY KEY,
    after TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO projections (name, after) SELECT 'grant_actions', '' WHERE EXISTS (SELECT 1 FROM grants);

-- Callers that no agent is known for, as enforcement points saw them.
CREATE TABLE unregistered (
    org      TEXT    NOT NULL REFERENCES orgs (id),
    subject  TEXT    NOT NULL,
    pep      TEXT    NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (org, subject, pep)
) STRICT, WITHOUT ROWID;
CREATE INDEX unregistered_last ON unregistered (org, last_ms);

-- Who vouches for the parts of agents: builders and attesters of an org.
CREATE TABLE vouchers (
    id         TEXT PRIMARY KEY,
    org        TEXT NOT NULL REFERENCES orgs (id),
    thumbprint TEXT NOT NULL, -- RFC 7638
    doc        TEXT NOT NULL,
    UNIQUE (org, thumbprint)
) STRICT;
CREATE INDEX vouchers_org ON vouchers (org, id);
