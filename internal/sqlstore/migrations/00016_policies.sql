-- +goose Up
-- Versions of an org's policies, and the one that holds. A text may be large: what
-- lists read stands beside it.
CREATE TABLE policy_sets (
    org     TEXT    NOT NULL REFERENCES orgs (id),
    version INTEGER NOT NULL,
    doc     TEXT    NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (org, version)
) STRICT;

CREATE TABLE active_policies (
    org TEXT PRIMARY KEY REFERENCES orgs (id),
    doc TEXT NOT NULL
) STRICT;

-- What an org knows of its users, groups and resources.
CREATE TABLE entities (
    org  TEXT NOT NULL REFERENCES orgs (id),
    type TEXT NOT NULL,
    id   TEXT NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (org, type, id)
) STRICT;
