package sqlstore

import (
	"encoding/json"
	"time"

	"github.com/writ-registry/writ/registry"
)

// selectObserved names the columns of the indexes as they do: without that they are not
// used. Ends are texts of one length, in their own order.
const selectObserved = `SELECT 'agent', id, org, json_extract(doc, '$.observation') FROM agents WHERE json_extract(doc, '$.observation.until') > ?1
	UNION ALL SELECT 'org', id, id, json_extract(doc, '$.observation') FROM orgs WHERE json_extract(doc, '$.observation.until') > ?1 LIMIT ?2`

func (t tx) Observed(now time.Time, limit int) ([]registry.Observed, error) {
	return list(t.conn, "observation", func(scan func(...any) error) (o registry.Observed, err error) {
		var kind, doc string
		if err := scan(&kind, &o.Scope.ID, &o.Org, &doc); err != nil {
			return o, err
		}
		o.Scope.Kind = registry.ScopeKind(kind)
		return o, json.Unmarshal([]byte(doc), &o.Observation)
	}, selectObserved, now.UTC().Format(time.RFC3339), limit)
}
