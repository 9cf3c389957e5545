package sqlstore

import (
	"context"

	"github.com/writ-registry/writ/anchor"
)

// Newest returns, for each grade from submitted on, the open or settled row of
// exactly the ledger, chain, contract and log of info with the largest size:
// larger heads cover every entry of smaller ones.
func (a *Anchors) Newest(ctx context.Context, info anchor.Info) ([]anchor.AttemptRecord, error) {
	return a.query(ctx, `WHERE id IN (
		SELECT id FROM (
			SELECT id, row_number() OVER (PARTITION BY finality ORDER BY size DESC, id DESC) AS place
			FROM anchors
			WHERE ledger = ? AND chain_id = ? AND contract = ? AND log_id = ? AND state IN ('pending', 'settled')
			  AND finality IN ('submitted', 'included', 'safe', 'finalized'))
		WHERE place = 1)
		ORDER BY id`, info.Name, info.ChainID, info.Contract, info.LogID[:])
}
