package cedar

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

// UID names an entity by type and id, as the registry and AuthZEN spell them.
type UID struct{ Type, ID string }

func (u UID) cedar() types.EntityUID {
	return types.EntityUID{Type: entityType(u.Type), ID: types.String(u.ID)}
}

func actionUID(action string) types.EntityUID {
	return types.EntityUID{Type: "Action", ID: types.String(action)}
}

const (
	agentType = "Agent"
	userType  = "User"
)

// reserved are the names that would be taken for another: those with a meaning of
// their own here, and the words that the language keeps for itself.
var reserved = map[string]bool{
	agentType: true, userType: true, "Action": true, "": true,
	"true": true, "false": true, "if": true, "then": true, "else": true, "in": true, "like": true, "has": true, "is": true, "__cedar": true,
}

// entityType is the Cedar name of a type. Distinct types have distinct names.
func entityType(name string) types.EntityType {
	switch name {
	case "agent":
		return agentType
	case "user":
		return userType
	}
	if plain(name) && !reserved[name] {
		return types.EntityType(name)
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case !identifier(c, i == 0), i == 0 && reserved[name], c == '_' && i+1 < len(name) && name[i+1] == 'x':
			fmt.Fprintf(&b, "_x%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	if b.Len() == 0 {
		return "_x"
	}
	return types.EntityType(b.String())
}

// plain: the name is an identifier, and none that escaping makes.
func plain(name string) bool {
	for i := range len(name) {
		if !identifier(name[i], i == 0) {
			return false
		}
	}
	return !strings.Contains(name, "_x")
}

func identifier(c byte, first bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || !first && c >= '0' && c <= '9'
}
