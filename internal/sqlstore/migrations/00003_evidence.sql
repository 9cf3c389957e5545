-- +goose Up
-- Published signed checkpoints, C2SP tlog-checkpoint notes. Rows are added in
-- order of size and pruned except for the latest and those of anchored heads.
CREATE TABLE checkpoints (
    log     TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    root    BLOB    NOT NULL,
    note    BLOB    NOT NULL,
    time_ms INTEGER NOT NULL, -- when it was signed
    PRIMARY KEY (log, size)
) STRICT;
CREATE INDEX checkpoints_time ON checkpoints (log, time_ms);
