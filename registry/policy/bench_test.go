package policy_test

import (
	"testing"

	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// BenchmarkDecide is a decision with full cryptography, from request to durable
// commit, without HTTP: one caller (serial) and many (group commit).
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name, verb, typ string
		permit          bool
	}{{"unqualified", "read", "invoices", false}, {"unqualified, permit asked for", "read", "invoices", true}, {"qualified", "create", "shipment", false}, {"qualified, permit asked for", "create", "shipment", true}} {
		h := registrytest.New(b)
		h.Catalogue(b, invoices...)
		a := h.NewAgent(b, "a")
		g := a.Grant(b, "read:invoices; create:shipment")
		ask := func(b testing.TB) {
			req := a.Ask(b, g, c.verb, c.typ, "1", "{}")
			req.Permit = c.permit
			d, err := h.PDP.Decide(b.Context(), a.Direct(), req)
			if err != nil || d.Verdict != policy.Permit || (d.Permit != "") != c.permit {
				b.Errorf("%+v, %v", d, err)
			}
		}
		b.Run(c.name+"/serial", func(b *testing.B) {
			for b.Loop() {
				ask(b)
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask(b)
				}
			})
		})
	}
}
