-- +goose Up
-- How many permits an agent had for an action, by the hour (Unix seconds / 3600), where
-- the org's policies ask for it.
CREATE TABLE act_counts (
    agent_id TEXT    NOT NULL REFERENCES agents (id),
    action   TEXT    NOT NULL,
    hour     INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (agent_id, action, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX act_counts_hour ON act_counts (hour);
