-- +goose Up
-- What permits have taken of the budgets of grants and of the links under them, in
-- millionths, window by window. A window without a row is untouched. Times are
-- Unix seconds; forget_ms is when a row neither counts nor can be given back to.
CREATE TABLE budget_windows (
    grant_id  TEXT    NOT NULL REFERENCES grants (id),
    link      TEXT    NOT NULL, -- hash of the link's signing input; '' = the grant itself
    budget    TEXT    NOT NULL, -- canonical text
    begins    INTEGER NOT NULL,
    ends      INTEGER NOT NULL,
    used      INTEGER NOT NULL,
    forget_ms INTEGER NOT NULL,
    PRIMARY KEY (grant_id, link, budget, begins)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_windows_forget ON budget_windows (forget_ms);
