-- +goose Up
-- Who is observed stands in the rows of agents and orgs. They are few, and somebody
-- must always see which.
CREATE INDEX agents_observed ON agents (json_extract(doc, '$.observation.until')) WHERE json_extract(doc, '$.observation.until') IS NOT NULL;
CREATE INDEX orgs_observed ON orgs (json_extract(doc, '$.observation.until')) WHERE json_extract(doc, '$.observation.until') IS NOT NULL;
