-- +goose Up
-- What became of grants is read for the status lists by the scope that moved: an
-- epoch names the count of authority it last moved at.
ALTER TABLE epochs ADD COLUMN changed INTEGER NOT NULL DEFAULT 0; -- authority.version; 0 = before this column
CREATE INDEX epochs_changed ON epochs (changed);

-- The place of a grant in the status lists, and who is not in order: few rows, so
-- that nobody has to read those of the others.
ALTER TABLE grants ADD COLUMN place INTEGER GENERATED ALWAYS AS (json_extract(doc, '$.status_index')) VIRTUAL;
CREATE INDEX grants_place ON grants (org, place);
CREATE INDEX grants_ended ON grants (place) WHERE status <> 'active';
CREATE INDEX agents_stopped ON agents (id, status) WHERE status <> 'active' OR json_extract(doc, '$.key_ended');
CREATE INDEX principals_gone ON principals (id) WHERE json_extract(doc, '$.status') IS NOT NULL;
