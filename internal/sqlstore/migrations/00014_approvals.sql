-- +goose Up
-- What humans are asked to approve. subject is a digest of what it is asked for by
-- whom: there is one open request of a kind.
CREATE TABLE approvals (
    id           TEXT    PRIMARY KEY,
    org          TEXT    NOT NULL REFERENCES orgs (id),
    agent        TEXT    NOT NULL REFERENCES agents (id),
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'consumed')),
    subject      TEXT    NOT NULL,
    requested_ms INTEGER NOT NULL,
    doc          TEXT    NOT NULL
) STRICT;
CREATE INDEX approvals_agent ON approvals (agent, state, requested_ms);
CREATE INDEX approvals_org ON approvals (org, state, requested_ms);
CREATE UNIQUE INDEX approvals_open ON approvals (subject) WHERE state IN ('pending', 'approved');

-- Whose humans may see and answer it: the agent's org, and those its rule names.
CREATE TABLE approval_orgs (
    org      TEXT NOT NULL REFERENCES orgs (id),
    approval TEXT NOT NULL REFERENCES approvals (id),
    PRIMARY KEY (org, approval)
) STRICT, WITHOUT ROWID;

-- What humans sign with: keys of their own and passkeys. handle is the RFC 7638
-- thumbprint of the one, the credential id of the other; it is one human's for good.
CREATE TABLE authenticators (
    id        TEXT PRIMARY KEY,
    org       TEXT NOT NULL REFERENCES orgs (id),
    principal TEXT NOT NULL REFERENCES principals (id),
    handle    TEXT NOT NULL UNIQUE,
    state     TEXT NOT NULL CHECK (state IN ('pending', 'active', 'ended')),
    doc       TEXT NOT NULL
) STRICT;
CREATE INDEX authenticators_principal ON authenticators (principal, id);
CREATE INDEX authenticators_org ON authenticators (org, state);
