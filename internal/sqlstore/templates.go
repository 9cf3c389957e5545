package sqlstore

import "github.com/writ-registry/writ/registry"

func (t tx) GrantTemplate(org, name string) (registry.GrantTemplate, error) {
	return doc[registry.GrantTemplate](t.conn, "template", `SELECT doc FROM grant_templates WHERE org = ? AND name = ?`, org, name)
}

func (t tx) ListGrantTemplates(org string, p registry.Page) ([]registry.GrantTemplate, error) {
	return docs[registry.GrantTemplate](t.conn, "template", `SELECT doc FROM grant_templates WHERE org = ? AND name > ? ORDER BY name LIMIT ?`, org, p.After, p.Limit)
}

func (t tx) PutGrantTemplate(org string, g registry.GrantTemplate) error {
	return t.exec("template", `INSERT INTO grant_templates (org, name, doc) VALUES (?, ?, ?) ON CONFLICT (org, name) DO UPDATE SET doc = excluded.doc`, org, g.Name, encode(g))
}

func (t tx) DeleteGrantTemplate(org, name string) error {
	return t.exec("template", `DELETE FROM grant_templates WHERE org = ? AND name = ?`, org, name)
}
