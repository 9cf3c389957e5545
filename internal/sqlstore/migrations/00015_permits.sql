-- +goose Up
-- The permits of qualified decisions, and what became of the acts. due_ms is when
-- silence is taken for an answer, undo_ms until when the act can be undone; 0 = never.
CREATE TABLE permits (
    id      TEXT    PRIMARY KEY, -- the decision's
    org     TEXT    NOT NULL REFERENCES orgs (id),
    agent   TEXT    NOT NULL REFERENCES agents (id),
    state   TEXT    NOT NULL,
    due_ms  INTEGER NOT NULL,
    undo_ms INTEGER NOT NULL,
    doc     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX permits_org ON permits (org, id);
CREATE INDEX permits_agent ON permits (agent, id);
CREATE INDEX permits_state ON permits (org, state, id);
CREATE INDEX permits_due ON permits (due_ms) WHERE due_ms > 0;
CREATE INDEX permits_undo ON permits (agent, undo_ms) WHERE undo_ms > 0;

-- Which acts the requests are that proxies ask about, with the credential that they
-- are given for what they guard, sealed; '' = none.
CREATE TABLE pep_routes (
    pep    TEXT PRIMARY KEY REFERENCES peps (id),
    doc    TEXT NOT NULL,
    secret TEXT NOT NULL
) STRICT, WITHOUT ROWID;
