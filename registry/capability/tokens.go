package capability

import (
	"errors"
	"slices"

	"github.com/writ-registry/writ/internal/canon"
)

// Tokens is what an agent shows for an act: one grant, or a chain, root first. In JSON
// one token is a string, a chain an array of strings, and nothing is "".
type Tokens []string

// MarshalJSON returns the string or the array.
func (t Tokens) MarshalJSON() ([]byte, error) {
	switch len(t) {
	case 0:
		return []byte(`""`), nil
	case 1:
		return canon.Marshal(t[0])
	}
	return canon.Marshal([]string(t))
}

// UnmarshalJSON reads either. An array of one is one token.
func (t *Tokens) UnmarshalJSON(data []byte) error {
	var one string
	var many []string
	switch {
	case len(data) > 0 && data[0] == '"':
		if err := canon.Unmarshal(data, &one); err != nil {
			return err
		}
		if *t = nil; one != "" {
			*t = Tokens{one}
		}
		return nil
	case len(data) > 0 && data[0] == '[':
		if err := canon.Unmarshal(data, &many); err != nil {
			return err
		}
		if len(many) == 0 || len(many) > MaxLinks || slices.Contains(many, "") {
			return errors.New("a chain has 1 to 8 tokens")
		}
		*t = many
		return nil
	}
	return errors.New("not a token or an array of tokens")
}
