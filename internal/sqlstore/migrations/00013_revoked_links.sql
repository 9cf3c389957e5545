-- +goose Up
-- Links of chains that holders made under a grant and that are revoked, by the hash
-- of their signing input.
CREATE TABLE revoked_links (
    grant_id TEXT NOT NULL REFERENCES grants (id),
    hash     TEXT NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (grant_id, hash)
) STRICT, WITHOUT ROWID;
