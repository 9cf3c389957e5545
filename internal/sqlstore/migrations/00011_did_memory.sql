-- +goose Up
-- The highest version that was seen of each foreign did:webvh log, by its SCID.
-- used_ms is when it was last compared, to the day: the longest unused makes room.
CREATE TABLE did_memory (
    scid       TEXT    PRIMARY KEY,
    version_id TEXT    NOT NULL,
    entries    INTEGER NOT NULL,
    used_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX did_memory_used ON did_memory (used_ms);
