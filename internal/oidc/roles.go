package oidc

import (
	"slices"

	"github.com/writ-registry/writ/registry"
)

// GroupRoles are the roles that groups can give: registry.GroupRoles says why.
var GroupRoles = registry.GroupRoles

// MapGroups returns the roles that an org's mapping, from group to roles, gives to
// somebody in groups: each once, in the order of GroupRoles. Groups are compared byte
// for byte; one that is not mapped gives nothing, and a mapped role that groups
// cannot give is left out. No roles is nil.
func MapGroups(groups []string, mapping map[string][]registry.Role) []registry.Role {
	var roles []registry.Role
	for _, role := range GroupRoles {
		if slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(mapping[g], role) }) {
			roles = append(roles, role)
		}
	}
	return roles
}
