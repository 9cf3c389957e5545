package policy

import (
	"testing"

	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
)

// TestIrreversibleActsAreRedeemedOnline, and so is what the catalogue does not know.
func TestIrreversibleActsAreRedeemedOnline(t *testing.T) {
	for _, c := range []struct {
		is   registry.Reversibility
		want string
	}{{registry.Irreversible, capability.RedeemOnline}, {registry.Compensable, capability.RedeemOffline}, {registry.Reversible, capability.RedeemOffline}} {
		if got := redemption(registry.CatalogueAction{Reversibility: c.is}); got != c.want {
			t.Errorf("%s: %s, want %s", c.is, got, c.want)
		}
	}
	if got := redemption(registry.Catalogue{}.Entry("pay:bills")); got != capability.RedeemOnline {
		t.Errorf("an unknown action: %s", got)
	}
}
