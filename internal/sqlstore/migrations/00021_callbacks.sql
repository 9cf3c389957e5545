-- +goose Up
-- When time ends an approval; 0 = it has ended.
ALTER TABLE approvals ADD COLUMN due_ms INTEGER NOT NULL DEFAULT 0;
UPDATE approvals SET due_ms = CAST(round(1000 * unixepoch(json_extract(doc, '$.expires'), 'subsec')) AS INTEGER) WHERE state = 'pending';
UPDATE approvals SET due_ms = CAST(round(1000 * unixepoch(json_extract(doc, '$.until'), 'subsec')) AS INTEGER) WHERE state = 'approved';
CREATE INDEX approvals_due ON approvals (due_ms) WHERE due_ms > 0;
