-- +goose Up
-- When time ends an approval; 0 = it has ended.
ALTER TABLE approvals ADD COLUMN due_ms INTEGER NOT NULL DEFAULT 0;
UPDATE approvals SET due_ms = CAST(round(1000 * unixepoch(json_extract(doc, '$.expires'), 'subsec')) AS INTEGER) WHERE state = 'pending';
UPDATE approvals SET due_ms = CAST(round(1000 * unixepoch(json_extract(doc, '$.until'), 'subsec')) AS INTEGER) WHERE state = 'approved';
CREATE INDEX approvals_due ON approvals (due_ms) WHERE due_ms > 0;

-- What enforcement points are told of their requests for approval. due_ms is when the
-- next attempt is due; 0 = nothing is to be told, yet or any more.
CREATE TABLE callbacks (
    approval TEXT    PRIMARY KEY REFERENCES approvals (id),
    pep      TEXT    NOT NULL REFERENCES peps (id),
    due_ms   INTEGER NOT NULL,
    doc      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX callbacks_due ON callbacks (due_ms) WHERE due_ms > 0;
