-- +goose Up
-- Trust lists: the foreign registries whose grants an org accepts.
CREATE TABLE trust (
    id     TEXT    PRIMARY KEY,
    org    TEXT    NOT NULL REFERENCES orgs (id),
    issuer TEXT    NOT NULL,
    public INTEGER NOT NULL,
    doc    TEXT    NOT NULL,
    UNIQUE (org, issuer)
) STRICT;
CREATE INDEX trust_org ON trust (org, id);
CREATE INDEX trust_public ON trust (id) WHERE public = 1;

-- The newest that was seen of issuers, their status lists and their agents. An
-- agent's row names no entry: its DID has one history, whoever trusts it.
CREATE TABLE followed (
    trust   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    seen_ms INTEGER NOT NULL,
    doc     TEXT    NOT NULL,
    PRIMARY KEY (trust, kind, name)
) STRICT;
CREATE INDEX followed_seen ON followed (kind, seen_ms);
