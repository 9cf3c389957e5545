-- +goose Up
-- A credential has a name of its own, an age and perhaps an end. The one of the
-- first start is marked: it ends when the first operator comes by an issuer.
ALTER TABLE credentials ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0; -- 0: before this was kept
ALTER TABLE credentials ADD COLUMN expires_ms INTEGER NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE credentials ADD COLUMN bootstrap INTEGER NOT NULL DEFAULT 0;
UPDATE credentials SET id = lower('00000000-0000-7' || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)));
UPDATE credentials SET bootstrap = 1 WHERE kind = 'principal' AND owner =
    (SELECT json_extract(CAST(artifact AS TEXT), '$.body.operator') FROM events WHERE type = 'registry.created' ORDER BY place LIMIT 1);
CREATE UNIQUE INDEX credentials_id ON credentials (id);
CREATE INDEX credentials_owner ON credentials (kind, owner);

-- Whose a resource server is: the org's that registered an enforcement point for
-- it first.
CREATE TABLE resources (
    resource TEXT PRIMARY KEY,
    org      TEXT NOT NULL REFERENCES orgs (id)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO resources (resource, org)
    SELECT r.value, p.org FROM peps p, json_each(p.doc, '$.resources') r ORDER BY p.id;

-- A person is an issuer and a subject, within an org.
CREATE UNIQUE INDEX principals_identity ON principals (org, json_extract(doc, '$.issuer'), json_extract(doc, '$.subject'))
    WHERE json_extract(doc, '$.issuer') IS NOT NULL;

-- Where an org's people sign in. An issuer is one org's.
CREATE TABLE issuers (
    id  TEXT PRIMARY KEY,
    org TEXT NOT NULL REFERENCES orgs (id),
    url TEXT NOT NULL UNIQUE,
    doc TEXT NOT NULL -- its client secret is sealed
) STRICT;
CREATE INDEX issuers_org ON issuers (org, id);

-- Who is signed in to the pages: the SHA-256 of the cookie.
CREATE TABLE sessions (
    hash       BLOB    PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    principal  TEXT    NOT NULL REFERENCES principals (id),
    issuer     TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL,
    doc        TEXT    NOT NULL -- the issuer's tokens in it are sealed under the cookie
) STRICT;
CREATE INDEX sessions_principal ON sessions (principal, id);
CREATE INDEX sessions_issuer ON sessions (issuer);
CREATE INDEX sessions_expires ON sessions (expires_ms);
