-- +goose Up
-- Every certificate that the registry issued, or believes because an agent was
-- enrolled with it. Those that have ended stay, as evidence.
CREATE TABLE certificates (
    digest TEXT PRIMARY KEY, -- base64url SHA-256 of the DER
    id     TEXT NOT NULL UNIQUE,
    org    TEXT NOT NULL REFERENCES orgs (id),
    owner  TEXT NOT NULL,    -- agent or enforcement point
    doc    TEXT NOT NULL
) STRICT;
CREATE INDEX certificates_org ON certificates (org, id);
CREATE INDEX certificates_owner ON certificates (owner, id);

-- What an org's own IAM is believed about: CAs by the digest of the certificate,
-- issuers of tokens by their name. Each belongs to one org.
CREATE TABLE enterprise_roots (
    digest TEXT PRIMARY KEY,
    org    TEXT NOT NULL REFERENCES orgs (id),
    doc    TEXT NOT NULL
) STRICT;
CREATE INDEX enterprise_roots_org ON enterprise_roots (org, digest);
CREATE TABLE workload_issuers (
    id   TEXT PRIMARY KEY,
    org  TEXT NOT NULL REFERENCES orgs (id),
    name TEXT NOT NULL UNIQUE,
    doc  TEXT NOT NULL
) STRICT;
CREATE INDEX workload_issuers_org ON workload_issuers (org, id);

-- Which workload is which agent. A workload is enrolled once.
CREATE TABLE enrolments (
    org     TEXT NOT NULL REFERENCES orgs (id),
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    agent   TEXT NOT NULL UNIQUE REFERENCES agents (id),
    doc     TEXT NOT NULL,
    PRIMARY KEY (org, issuer, subject)
) STRICT;
CREATE TABLE spent_tokens (
    digest     TEXT    PRIMARY KEY,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX spent_tokens_expires ON spent_tokens (expires_ms);
