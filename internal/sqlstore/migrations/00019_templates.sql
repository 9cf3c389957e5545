-- +goose Up
-- Grants without their agent and moment, by names of an org's.
CREATE TABLE grant_templates (
    org  TEXT NOT NULL REFERENCES orgs (id),
    name TEXT NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (org, name)
) STRICT;
