package did

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
)

// parameters are the did:webvh v1.0 method parameters. nil means absent, which
// keeps the value of the entry before.
type parameters struct {
	Method        *string   `json:"method,omitempty"`
	SCID          *string   `json:"scid,omitempty"`
	UpdateKeys    *[]string `json:"updateKeys,omitempty"`
	NextKeyHashes *[]string `json:"nextKeyHashes,omitempty"`
	Portable      *bool     `json:"portable,omitempty"`
	Witness       *witness  `json:"witness,omitempty"`
	Watchers      *[]string `json:"watchers,omitempty"`
	Deactivated   *bool     `json:"deactivated,omitempty"`
	TTL           *int64    `json:"ttl,omitempty"` // seconds
}

// witness is the parameter of that name; without members it names nobody.
type witness struct {
	Threshold *int         `json:"threshold,omitempty"`
	Witnesses *[]witnessID `json:"witnesses,omitempty"`
}

type witnessID struct {
	ID string `json:"id"`
}

// nullDefaults is what null stands for where early implementations wrote it. In any
// other parameter null is refused ("did:webvh DID Method Parameters").
var nullDefaults = map[string]json.RawMessage{
	"updateKeys": json.RawMessage("[]"), "nextKeyHashes": json.RawMessage("[]"), "watchers": json.RawMessage("[]"),
	"witness": json.RawMessage("{}"), "ttl": json.RawMessage("3600"),
}

// parseParameters reads the parameters of an entry and checks each by itself.
func parseParameters(data json.RawMessage) (parameters, error) {
	if bytes.Contains(data, []byte("null")) {
		var members map[string]json.RawMessage
		if err := canon.Unmarshal(data, &members); err != nil {
			return parameters{}, err
		}
		for name, value := range members {
			if string(bytes.TrimSpace(value)) != "null" {
				continue
			}
			fallback, ok := nullDefaults[name]
			if !ok {
				return parameters{}, fmt.Errorf("%q is null", name)
			}
			members[name] = fallback
		}
		var err error
		if data, err = canon.Marshal(members); err != nil {
			return parameters{}, err
		}
	}
	var p parameters
	if err := canon.Unmarshal(data, &p); err != nil {
		return parameters{}, err
	}
	return p, p.check()
}

// check validates the values by themselves.
func (p parameters) check() error {
	if p.Method != nil && *p.Method != methodVersion {
		return fmt.Errorf("method is not %s", methodVersion)
	}
	for _, list := range []*[]string{p.UpdateKeys, p.NextKeyHashes, p.Watchers} {
		if list != nil && len(*list) > maxKeys {
			return errors.New("a list is too long")
		}
	}
	if p.UpdateKeys != nil {
		for _, text := range *p.UpdateKeys {
			if key, err := jose.ParseMultikey(text); err != nil || key.Alg() != jose.EdDSA {
				return errors.New("an update key is not an Ed25519 Multikey")
			}
		}
	}
	if p.TTL != nil && (*p.TTL < 0 || *p.TTL > maxTTL) {
		return errors.New("ttl is out of range")
	}
	_, err := p.Witness.parse()
	return err
}

// parse validates a witness parameter. {} names nobody; anything else needs a
// threshold that its distinct did:key can reach.
func (w *witness) parse() (Witnesses, error) {
	var out Witnesses
	if w == nil || w.Threshold == nil && w.Witnesses == nil {
		return out, nil
	}
	if w.Threshold == nil || w.Witnesses == nil || *w.Threshold < 1 || *w.Threshold > len(*w.Witnesses) {
		return out, errors.New("witness threshold is not between 1 and the number of witnesses")
	}
	if len(*w.Witnesses) > maxKeys {
		return out, errors.New("a list is too long")
	}
	seen := map[jose.PublicKey]bool{}
	for _, one := range *w.Witnesses {
		d, err := Parse(one.ID)
		if err != nil || d.Method() != MethodKey {
			return out, errors.New("a witness is no did:key")
		}
		key, err := d.PublicKey()
		if err != nil || key.Alg() != jose.EdDSA {
			return out, errors.New("a witness is no did:key of an Ed25519 key")
		}
		if seen[key] {
			return out, errors.New("a witness is repeated")
		}
		seen[key] = true
		out.Keys = append(out.Keys, key)
	}
	out.Threshold = *w.Threshold
	return out, nil
}

// parameter is the inverse of parse.
func (w Witnesses) parameter() *witness {
	if w.Threshold == 0 && len(w.Keys) == 0 {
		return &witness{}
	}
	out := &witness{Threshold: &w.Threshold, Witnesses: &[]witnessID{}}
	for _, key := range w.Keys {
		*out.Witnesses = append(*out.Witnesses, witnessID{Key(key).String()})
	}
	return out
}

// multikeys writes update keys, and nextHashes commitments to them, as parameters.
func multikeys(keys []jose.PublicKey) *[]string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = key.Multikey()
	}
	return &out
}

func nextHashes(keys []jose.PublicKey) (*[]string, error) {
	out := make([]string, len(keys))
	for i, key := range keys {
		if key.Alg() != jose.EdDSA {
			return nil, errors.New("did: a next update key is not Ed25519")
		}
		out[i] = NextKeyHash(key)
	}
	return &out, nil
}

// ttlSeconds writes a caching time as the parameter.
func ttlSeconds(d time.Duration) *int64 {
	seconds := int64(d / time.Second)
	return &seconds
}
