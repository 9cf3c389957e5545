package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/anchor"
	"github.com/writ-registry/writ/registry"
)

func (s *server) routeAnchors() {
	route(s, huma.Operation{OperationID: "list-anchors", Method: http.MethodGet, Path: "/v1/anchors", Tags: []string{"anchors"},
		Summary: "Attempts to anchor the log, newest first"}, s.listAnchors)
}

// Anchor is one attempt to anchor a head of the log on a ledger.
type Anchor struct {
	ID           int64               `json:"id"`
	Ledger       string              `json:"ledger"`
	Kind         string              `json:"kind,omitempty" doc:"evm, ...; absent for a ledger that is no longer configured"`
	ChainID      string              `json:"chain_id"`
	Contract     string              `json:"contract"`
	LogID        string              `json:"log_id" doc:"The log on that contract, 0x-hex"`
	OperatorsOwn bool                `json:"operators_own" doc:"Whoever runs the registry also runs this ledger: it proves nothing to outsiders"`
	Size         uint64              `json:"size"`
	Root         string              `json:"root" doc:"base64url"`
	HeadKey      string              `json:"head_key"`
	Tx           string              `json:"tx"`
	State        anchor.AttemptState `json:"state" enum:"pending,settled,failed,superseded"`
	Finality     anchor.Finality     `json:"finality" enum:"none,submitted,included,safe,finalized,failed"`
	Block        uint64              `json:"block,omitempty"`
	BlockHash    string              `json:"block_hash,omitempty"`
	BlockTime    *time.Time          `json:"block_time,omitempty" doc:"As the ledger says"`
	GasUsed      uint64              `json:"gas_used,omitempty"`
	Reason       string              `json:"reason,omitempty" doc:"Why it failed"`
	Created      time.Time           `json:"created"`
	Updated      time.Time           `json:"updated"`
}

func (s *server) listAnchors(ctx context.Context, _ registry.Call, in *PageParams) (*plain[page[Anchor]], error) {
	id := func(a Anchor) string { return strconv.FormatInt(a.ID, 10) }
	return listed(*in, "anchors", id, func(p registry.Page) ([]Anchor, error) {
		before := int64(0)
		if p.After != "" {
			var err error
			if before, err = strconv.ParseInt(p.After, 10, 64); err != nil || before <= 0 {
				return nil, registry.Invalid("/cursor", "not a cursor of this list")
			}
		}
		return s.anchors(ctx, before, p.Limit)
	})
}

func (s *server) anchors(ctx context.Context, before int64, limit int) ([]Anchor, error) {
	if s.Anchors == nil {
		return nil, nil
	}
	records, err := s.Anchors(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	ledgers, err := s.ledgers(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Anchor, len(records))
	for i, r := range records {
		out[i] = anchorOf(r, ledgers)
	}
	return out, nil
}

// ledgers are those that are known now: a ledger may open after the server.
func (s *server) ledgers(ctx context.Context) ([]anchor.Info, error) {
	out := slices.Clone(s.Ledgers)
	if s.Anchored == nil {
		return out, nil
	}
	heads, err := s.Anchored.NewestAnchors(ctx, s.Log.Origin())
	for _, h := range heads {
		out = append(out, h.Ledger)
	}
	return out, err
}

func anchorOf(r anchor.AttemptRecord, ledgers []anchor.Info) Anchor {
	c := r.Confirmation
	a := Anchor{
		ID: r.ID, Ledger: r.Ledger, ChainID: r.ChainID, Contract: r.Contract, LogID: "0x" + hex.EncodeToString(r.LogID[:]),
		Size: r.Size, Root: base64.RawURLEncoding.EncodeToString(r.Root[:]), HeadKey: r.HeadKey, Tx: r.Tx,
		State: r.State, Finality: c.Finality, Block: c.Block, BlockHash: c.BlockHash, GasUsed: c.GasUsed, Reason: c.Reason,
		Created: r.Created, Updated: r.Updated,
	}
	if !c.Time.IsZero() {
		a.BlockTime = &c.Time
	}
	for _, l := range ledgers {
		if l.Name == r.Ledger && l.ChainID == r.ChainID && l.Contract == r.Contract {
			a.Kind, a.OperatorsOwn = l.Kind, l.OperatorsOwn
		}
	}
	return a
}
