package registry_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// controller holds the update keys of an agent's DID, and counts them.
type controller struct {
	*registrytest.Agent
	h    *registrytest.House
	keys byte // that were used
}

// updateKey is the n-th key of a controller.
func updateKey(n byte) *jose.PrivateKey { return registrytest.Key(150 + n) }

// handedOver is an agent whose controller holds its update keys.
func handedOver(t *testing.T, h *registrytest.House, change ...func(*registry.NewCustody)) *controller {
	t.Helper()
	c := &controller{Agent: h.NewAgent(t, "a"), h: h}
	if err := c.takeOver(t, h.Call(), change...); err != nil {
		t.Fatalf("hand over: %v", err)
	}
	return c
}

func (c *controller) takeOver(t *testing.T, call registry.Call, change ...func(*registry.NewCustody)) error {
	t.Helper()
	key := updateKey(0)
	jwk, _ := json.Marshal(key.Public().JWK())
	in := registry.NewCustody{Agent: c.ID, JWK: jwk, Possession: c.h.Possession(t, key, c.Org, c.Name)}
	for _, f := range change {
		f(&in)
	}
	out, err := c.h.MoveCustody(t.Context(), call, in)
	if err == nil {
		c.Agent.Agent = out.Value
	}
	return err
}

// entry makes the controller's next entry, with the agent's own key unless change says
// otherwise.
func (c *controller) entry(t *testing.T, change ...func(*did.UpdateParams)) did.Entry {
	t.Helper()
	c.h.Clock.Add(2 * time.Second)
	return c.NextEntry(t, updateKey(c.keys), updateKey(c.keys+1), change...)
}

// send has the agent send an entry itself.
func (c *controller) send(t *testing.T, e did.Entry) (registry.Outcome[registry.Agent], error) {
	t.Helper()
	out, err := c.h.AppendDID(t.Context(), c.Signed(), c.ID, json.RawMessage(e.Line))
	if err == nil {
		c.Agent.Agent = out.Value
		c.keys++
	}
	return out, err
}

func (c *controller) mustSend(t *testing.T, e did.Entry) registry.Outcome[registry.Agent] {
	t.Helper()
	out, err := c.send(t, e)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	return out
}

// edited makes the controller's next entry with a document that text was replaced in.
func (c *controller) edited(t *testing.T, old, replacement string) did.Entry {
	t.Helper()
	form, err := c.entry(t).Document.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(form), old) {
		t.Fatalf("the document has no %s: %s", old, form)
	}
	return c.entry(t, func(p *did.UpdateParams) {
		p.Keys, p.Document = nil, json.RawMessage(strings.ReplaceAll(string(form), old, replacement))
	})
}

// named is the kind and code of an error of the registry's.
func named(err error) string {
	var e *registry.Error
	if errors.As(err, &e) {
		return string(e.Kind) + " " + e.Code
	}
	return ""
}

// The controller's own update resolves, and the registry cannot make one any more.
func TestCustody(t *testing.T) {
	h := registrytest.New(t)
	c := handedOver(t, h)
	_, res := keysOf(t, h, c.Agent)
	if c.Custodial || len(res.Versions) != 2 || !slices.Equal(res.NextKeyHashes, []string{did.NextKeyHash(updateKey(0).Public())}) {
		t.Fatalf("after the hand-over: custodial %t, %+v", c.Custodial, res)
	}
	if doc := string(res.Current().Document); strings.Contains(doc, did.CustodyService) || !strings.Contains(doc, c.WebDID) {
		t.Errorf("the document still speaks of custody, or lost its did:web: %s", doc)
	}
	for n := range 5 {
		key, err := h.Successor(c.ID, n+1)
		if err != nil {
			t.Fatal(err)
		}
		for _, own := range []jose.Signer{key, h.UpdateKey, h.NextKey} {
			if res.MaySign(own.Public()) {
				t.Errorf("the registry's key for entry %d may still sign", n+1)
			}
			if _, err := did.Update(c.Log(t), did.UpdateParams{Time: h.Clock.Now().Add(time.Hour), Signer: own, NextKeys: []jose.PublicKey{updateKey(9).Public()}}); !errors.Is(err, did.PreRotation) {
				t.Errorf("the registry's own entry: %v", err)
			}
		}
	}
	out := c.mustSend(t, c.entry(t, func(p *did.UpdateParams) {
		p.AlsoKnownAs = []string{"https://acme.example/agents/a"}
		p.Services = []did.Service{{ID: "#mcp", Type: "MCP", ServiceEndpoint: "https://acme.example/mcp"}}
	}))
	if out.Event.CID == "" || !c.DIDPending.IsZero() {
		t.Errorf("the controller's entry: %+v, pending %v", out.Event, c.DIDPending)
	}
	found, err := h.ResolveDID(t.Context(), mustDID(t, c.DID), did.VersionQuery{})
	if err != nil || !strings.Contains(string(found.Document), "https://acme.example/mcp") {
		t.Errorf("it resolves to %s, %v", found.Document, err)
	}
	if err := c.takeOver(t, h.Call()); named(err) != "conflict self_custody" {
		t.Errorf("handed over again: %v", err)
	}
}

func mustDID(t *testing.T, text string) did.DID {
	t.Helper()
	d, err := did.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is no hand-over to somebody is refused, and leaves custody where it was.
func TestCustodyIsHandedToAHolder(t *testing.T) {
	h := registrytest.New(t)
	c := &controller{Agent: h.NewAgent(t, "a"), h: h}
	_, res := keysOf(t, h, c.Agent)
	auditor := h.Call()
	auditor.Caller.Roles = []registry.Role{registry.RoleAuditor}
	agentKey, _ := json.Marshal(c.JWK)
	p256, err := jose.GenerateP256()
	if err != nil {
		t.Fatal(err)
	}
	p256JWK, _ := json.Marshal(p256.Public().JWK())
	own := did.NextKeyHash(updateKey(0).Public())
	for name, row := range map[string]struct {
		call   registry.Call
		change func(*registry.NewCustody)
		want   string
	}{
		"by the agent itself":      {c.Signed(), nil, "denied "},
		"by an auditor":            {auditor, nil, "denied roles_changed"},
		"a key nobody showed":      {h.Call(), func(n *registry.NewCustody) { n.Possession = h.Possession(t, updateKey(1), c.Org, c.Name) }, "unauthenticated signature"},
		"for another agent":        {h.Call(), func(n *registry.NewCustody) { n.Possession = h.Possession(t, updateKey(0), c.Org, "b") }, "unauthenticated wrong_act"},
		"P-256":                    {h.Call(), func(n *registry.NewCustody) { n.JWK = p256JWK }, "malformed "},
		"hashes of others only":    {h.Call(), func(n *registry.NewCustody) { n.NextKeyHashes = []string{did.NextKeyHash(updateKey(1).Public())} }, "malformed "},
		"no hash":                  {h.Call(), func(n *registry.NewCustody) { n.NextKeyHashes = []string{own, "Qm"} }, "malformed "},
		"the same twice":           {h.Call(), func(n *registry.NewCustody) { n.NextKeyHashes = []string{own, own} }, "malformed "},
		"nine":                     {h.Call(), func(n *registry.NewCustody) { n.NextKeyHashes = slices.Repeat([]string{own}, 9) }, "too-large "},
		"the registry's next key":  {h.Call(), func(n *registry.NewCustody) { n.NextKeyHashes = []string{res.NextKeyHashes[0], own} }, "conflict key_taken"},
		"the registry's first key": {h.Call(), func(n *registry.NewCustody) { n.NextKeyHashes = []string{own, did.NextKeyHash(h.UpdateKey.Public())} }, "conflict key_taken"},
		"the agent's own key": {h.Call(), func(n *registry.NewCustody) {
			n.JWK, n.Possession = agentKey, h.Possession(t, c.Signer, c.Org, c.Name)
		}, "conflict key_taken"},
	} {
		var change []func(*registry.NewCustody)
		if row.change != nil {
			change = append(change, row.change)
		}
		if err := c.takeOver(t, row.call, change...); named(err) != row.want {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
	e := c.entryBy(t, res)
	if _, err := h.AppendDID(t.Context(), h.Call(), c.ID, e); named(err) != "conflict in_custody" {
		t.Errorf("an entry for a DID in custody: %v", err)
	}
	if a, err := h.FindAgent(t.Context(), h.Operator, c.ID); err != nil || !a.Custodial {
		t.Errorf("custody after all that: %t, %v", a.Custodial, err)
	}
	if err := c.takeOver(t, h.Call(), func(n *registry.NewCustody) {
		n.NextKeyHashes = []string{did.NextKeyHash(updateKey(7).Public()), own}
	}); err != nil {
		t.Fatal(err)
	}
	c.keys = 7 // a key that was never shown
	c.mustSend(t, c.entry(t))
}

// entryBy is an entry that the registry's own next key signs, taken from its folder.
func (c *controller) entryBy(t *testing.T, res did.Resolution) json.RawMessage {
	t.Helper()
	key, err := c.h.Successor(c.ID, len(res.Versions)+1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := did.Update(c.Log(t), did.UpdateParams{Time: res.NextTime(c.h.Clock.Now()), Signer: key, NextKeys: []jose.PublicKey{updateKey(9).Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(e.Line)
}

// What does not follow from the log so far, or does not belong there, is refused by
// name, and leaves the log as it was.
func TestEntriesThatAreNotTheNext(t *testing.T) {
	h := registrytest.New(t)
	c := handedOver(t, h)
	other := h.NewAgent(t, "b")
	start, forked := c.Log(t), c.entry(t)
	first := c.entry(t, func(p *did.UpdateParams) { p.NextKeys = []jose.PublicKey{updateKey(1).Public(), updateKey(2).Public()} })
	sent := c.mustSend(t, first)
	if again, err := h.AppendDID(t.Context(), c.Signed(), c.ID, json.RawMessage(first.Line)); err != nil || again.Event.CID != "" || sent.Event.CID == "" {
		t.Errorf("the same again: %+v, %v", again.Event, err)
	}
	before := c.Log(t)
	h.Clock.Add(2 * time.Second)
	onFork, err := did.Update(slices.Concat(start, forked.Line), did.UpdateParams{Time: h.Clock.Now(), Signer: updateKey(1), NextKeys: []jose.PublicKey{updateKey(2).Public()}})
	if err != nil {
		t.Fatal(err)
	}
	tampered := func(e did.Entry, old, replacement string) json.RawMessage {
		if !strings.Contains(string(e.Line), old) {
			t.Fatalf("no %s in %s", old, e.Line)
		}
		return json.RawMessage(strings.Replace(string(e.Line), old, replacement, 1))
	}
	line := func(e did.Entry) json.RawMessage { return json.RawMessage(e.Line) }
	witness := did.Witnesses{Threshold: 1, Keys: []jose.PublicKey{updateKey(8).Public()}}
	week := 7 * 24 * time.Hour
	multikey := c.Signer.Public().Multikey()
	foreign := other.Signer.Public().Multikey()
	unknown := updateKey(20).Public()
	for name, row := range map[string]struct {
		line json.RawMessage
		want string
	}{
		"stale":                           {line(forked), "conflict did_entry_stale"},
		"forked":                          {line(onFork), "malformed did_entry_hash"},
		"changed after it was signed":     {tampered(c.entry(t), c.WebDID, c.WebDID+":x"), "malformed did_entry_hash"},
		"oversized":                       {json.RawMessage(`{"versionId":"4-` + strings.Repeat("x", registry.MaxDIDEntry) + `"}`), "too-large "},
		"no JSON":                         {json.RawMessage(`{"versionId":`), "malformed did_malformed"},
		"no entry":                        {json.RawMessage(`{"versionId":"4-x"}`), "malformed did_parameters"},
		"from the future":                 {line(c.entry(t, func(p *did.UpdateParams) { p.Time = p.Time.Add(time.Hour) })), "malformed did_version_time"},
		"with witnesses":                  {line(c.entry(t, func(p *did.UpdateParams) { p.Witness = &witness })), "malformed did_unwitnessed"},
		"kept for a week":                 {line(c.entry(t, func(p *did.UpdateParams) { p.TTL = &week })), "malformed did_document"},
		"with a watcher in the clear":     {line(c.entry(t, func(p *did.UpdateParams) { p.Watchers = []string{"http://127.0.0.1/"} })), "malformed did_document"},
		"with a key nobody knows":         {line(c.entry(t, func(p *did.UpdateParams) { p.Keys = append(p.Keys, unknown) })), "conflict did_key"},
		"with another agent's key":        {line(c.entry(t, func(p *did.UpdateParams) { p.Keys = []jose.PublicKey{other.Signer.Public()} })), "conflict did_key"},
		"relying on another DID's key":    {line(c.edited(t, `"authentication":["`+c.KeyID, `"authentication":["`+other.KeyID)), "malformed did_document"},
		"with its key by another's name":  {line(c.edited(t, `"id":"`+c.KeyID, `"id":"`+c.DID+"#"+foreign)), "malformed did_document"},
		"with a key controlled by others": {line(c.edited(t, `"controller":"`+c.DID, `"controller":"`+other.DID)), "malformed did_document"},
		"with a hidden key":               {line(c.edited(t, `"assertionMethod":`, `"keyAgreement":["`+other.KeyID+`"],"assertionMethod":`)), "malformed did_document"},
		"with its key twice":              {line(c.entry(t, func(p *did.UpdateParams) { p.Keys = append(p.Keys, p.Keys[0]) })), "malformed did_document"},
		"with another context":            {line(c.edited(t, did.ContextMultikey, "https://evil.example/v1")), "malformed did_document"},
		"without its did:web":             {line(c.edited(t, `"`+c.WebDID+`"`, `"https://acme.example"`)), "malformed did_document"},
		"that claims another agent":       {line(c.entry(t, func(p *did.UpdateParams) { p.AlsoKnownAs = []string{other.WebDID} })), "malformed did_document"},
		"that claims the registry":        {line(c.entry(t, func(p *did.UpdateParams) { p.AlsoKnownAs = []string{h.DID} })), "malformed did_document"},
		"with a script":                   {line(c.entry(t, func(p *did.UpdateParams) { p.AlsoKnownAs = []string{"javascript:alert(1)"} })), "malformed did_document"},
		"that says it is in custody":      {line(c.entry(t, func(p *did.UpdateParams) { p.Custodian = registrytest.Origin })), "malformed did_document"},
		"with another's service": {line(c.entry(t, func(p *did.UpdateParams) {
			p.Services = []did.Service{{ID: other.DID + "#mcp", Type: "MCP", ServiceEndpoint: "https://acme.example"}}
		})), "malformed did_document"},
		"with a service in the clear": {line(c.entry(t, func(p *did.UpdateParams) {
			p.Services = []did.Service{{ID: "#mcp", Type: "MCP", ServiceEndpoint: "http://10.0.0.1"}}
		})), "malformed did_document"},
		"with too many services":         {line(c.entry(t, func(p *did.UpdateParams) { p.Services = make([]did.Service, 17) })), "malformed did_document"},
		"with its key's date unreadable": {line(c.edited(t, `"publicKeyMultibase":"`+multikey, `"expires":"soon","publicKeyMultibase":"`+multikey)), "malformed did_document"},
	} {
		if _, err := h.AppendDID(t.Context(), c.Signed(), c.ID, row.line); named(err) != row.want {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
	ended, err := did.Deactivate(before, updateKey(1), h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	open, err := did.VerifyNext(before, ended[0].Line, h.Clock.Now()) // the first of the two, which any agent may send
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(c.Log(t)) {
		t.Fatal("a refused entry is in the log")
	}
	h.Clock.Add(2 * time.Second)
	c.mustSend(t, open)
	if _, err := c.send(t, ended[1]); named(err) != "conflict did_agent_stands" {
		t.Errorf("the end of an agent that stands: %v", err)
	}
	if _, err := h.AppendDID(t.Context(), other.Signed(), c.ID, line(first)); !errors.Is(err, registry.Denied) {
		t.Errorf("sent by another agent: %v", err)
	}
}

// A log signed by a key that it did not commit to is refused, whoever relays it.
func TestEntrySignedByAnother(t *testing.T) {
	h := registrytest.New(t)
	c := handedOver(t, h)
	log := c.Log(t)
	// The thief's own continuation: as if the entry before had committed to its key.
	fake := handedOverLog(t, c, updateKey(30))
	h.Clock.Add(5 * time.Second)
	e, err := did.Update(fake, did.UpdateParams{Time: h.Clock.Now(), Signer: updateKey(30), NextKeys: []jose.PublicKey{updateKey(31).Public()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.AppendDID(t.Context(), h.Call(), c.ID, json.RawMessage(e.Line)); named(err) != "denied did_pre_rotation" {
		t.Errorf("a thief's entry: %v", err)
	}
	if string(log) != string(c.Log(t)) {
		t.Error("it is in the log")
	}
}

// handedOverLog is the agent's log with a hand-over to somebody else in place of its own.
func handedOverLog(t *testing.T, c *controller, to *jose.PrivateKey) []byte {
	t.Helper()
	log := c.Log(t)
	genesis := log[:strings.IndexByte(string(log), '\n')+1]
	key, err := c.h.Successor(c.ID, 2)
	if err != nil {
		t.Fatal(err)
	}
	e, err := did.Update(genesis, did.UpdateParams{Time: c.h.Clock.Now().Add(time.Second), Signer: key, NextKeys: []jose.PublicKey{to.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(genesis, e.Line)
}

// A rotation counts at once; the DID follows when its controller does, and until then
// the agent says that it is behind.
func TestRotationUnderSelfCustody(t *testing.T) {
	h := registrytest.New(t)
	c := handedOver(t, h)
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	g := c.Grant(t, "read:invoices")
	before := *c.Agent
	h.Clock.Add(time.Second)
	minute := time.Minute
	c.Rotate(t, func(n *registry.NewKey) { n.Overlap = &minute })
	since := c.DIDPending
	if since.IsZero() {
		t.Error("the DID log is not said to be behind")
	}
	renewed, err := h.FindGrant(t.Context(), h.Operator, g.ID)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "the new key, before the DID has it", decide(t, h, *c.Agent, renewed), "")
	if keys, res := keysOf(t, h, c.Agent); !slices.Equal(keys, []string{before.Thumbprint}) || len(res.Versions) != 2 {
		t.Errorf("the DID has %v in %d versions", keys, len(res.Versions))
	}
	if k := history(t, h, c.Agent)[c.Thumbprint]; k.Version != "" {
		t.Errorf("the new key is said to be in %s", k.Version)
	}
	overlap := did.OverlapKey{Key: before.Signer.Public(), Until: c.Retiring[0].NotAfter}
	for name, p := range map[string]func(*did.UpdateParams){
		"without its end": func(p *did.UpdateParams) { p.Keys = append(p.Keys, before.Signer.Public()) },
		"ending later": func(p *did.UpdateParams) {
			o := overlap
			o.Until = o.Until.Add(time.Second)
			p.Overlap = []did.OverlapKey{o}
		},
	} {
		if _, err := c.send(t, c.entry(t, p)); named(err) != "malformed did_document" {
			t.Errorf("the earlier key %s: %v", name, err)
		}
	}
	c.mustSend(t, c.entry(t, func(p *did.UpdateParams) { p.Keys = nil })) // says nothing new
	if !c.DIDPending.Equal(since) {
		t.Errorf("behind since %v, want %v still", c.DIDPending, since)
	}
	e := c.entry(t, func(p *did.UpdateParams) { p.Overlap = []did.OverlapKey{overlap} })
	c.mustSend(t, e)
	if k := history(t, h, c.Agent)[c.Thumbprint]; !c.DIDPending.IsZero() || k.Version != e.VersionID {
		t.Errorf("after the controller's entry: pending %v, key %+v", c.DIDPending, k)
	}
	h.Clock.Add(time.Minute)
	if _, err := h.Tend(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	a, err := h.FindAgent(t.Context(), h.Operator, c.ID)
	if err != nil || len(a.Retiring) != 0 || !a.DIDPending.IsZero() { // the document says itself when the key ended
		t.Errorf("after the overlap: %+v, %v", a, err)
	}
	c.Agent.Agent = a
	more := func(p *did.UpdateParams) { p.AlsoKnownAs = []string{"https://acme.example"} } // the same document could stay
	if _, err := c.send(t, c.entry(t, more, func(p *did.UpdateParams) { p.Overlap = []did.OverlapKey{overlap} })); named(err) != "conflict did_key" {
		t.Errorf("the earlier key after its end: %v", err)
	}
}

// Stops wait for no controller: a compromise and a revocation count at once, and the
// DID ends by the controller's own entries, if ever.
func TestStopsUnderSelfCustody(t *testing.T) {
	h := registrytest.New(t)
	c := handedOver(t, h)
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	g := c.Grant(t, "read:invoices")
	expect(t, "at first", decide(t, h, *c.Agent, g), "")
	scope := registry.Scope{Kind: registry.ScopeAgent, ID: c.ID}
	if _, err := h.SetKill(t.Context(), h.Call(), scope, "drill"); err != nil {
		t.Fatal(err)
	}
	expect(t, "killed", decide(t, h, *c.Agent, g), policy.KillAgent)
	if _, err := h.ReleaseKill(t.Context(), h.Call(), scope, "drill"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.EndKey(t.Context(), h.Call(), c.ID, c.Thumbprint, true, nil, "stolen-laptop"); err != nil {
		t.Fatal(err)
	}
	expect(t, "compromised", decide(t, h, *c.Agent, g), policy.PossessionFailed)
	a, err := h.FindAgent(t.Context(), h.Operator, c.ID)
	if err != nil || a.DIDPending.IsZero() {
		t.Errorf("after the compromise: pending %v, %v", a.DIDPending, err)
	}
	if _, err := h.AppendDID(t.Context(), h.Call(), c.ID, json.RawMessage(c.entry(t, func(p *did.UpdateParams) { p.AlsoKnownAs = []string{"https://acme.example"} }).Line)); named(err) != "conflict did_key" {
		t.Errorf("the compromised key: %v", err)
	}
	if _, err := h.AppendDID(t.Context(), h.Call(), c.ID, json.RawMessage(c.entry(t, func(p *did.UpdateParams) { p.Keys, p.NoKeys = nil, true }).Line)); err != nil {
		t.Fatal(err)
	}
	c.keys++
	if a, err = h.FindAgent(t.Context(), h.Operator, c.ID); err != nil || !a.DIDPending.IsZero() {
		t.Errorf("without keys: pending %v, %v", a.DIDPending, err)
	}
	if _, err := h.RevokeAgent(t.Context(), h.Call(), c.ID, "over"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if left, err := h.Tend(t.Context(), 10); left != 0 || err != nil {
			t.Fatal(left, err)
		}
	}
	if a, err = h.FindAgent(t.Context(), h.Operator, c.ID); err != nil || a.DIDPending.IsZero() {
		t.Errorf("revoked: pending %v, %v", a.DIDPending, err)
	}
	if _, res := keysOf(t, h, c.Agent); res.Deactivated || len(res.Versions) != 3 {
		t.Errorf("the registry wrote to the log: %d versions", len(res.Versions))
	}
	h.Clock.Add(5 * time.Second)
	end, err := did.Deactivate(c.Log(t), updateKey(c.keys), h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range end {
		out, err := h.AppendDID(t.Context(), h.Call(), c.ID, json.RawMessage(e.Line))
		if err != nil || out.Value.DIDPending.IsZero() != (i == 1) {
			t.Fatalf("entry %d of its end: pending %v, %v", i+1, out.Value.DIDPending, err)
		}
	}
	if _, res := keysOf(t, h, c.Agent); !res.Deactivated {
		t.Error("the DID is not deactivated")
	}
	events, err := h.ListEvents(t.Context(), h.Operator, "", c.ID, registry.EventFilter{Type: registry.EventDIDDeactivated})
	if err != nil || len(events) != 1 {
		t.Errorf("events of the end: %d, %v", len(events), err)
	}
	if err := c.takeOver(t, h.Call()); !errors.Is(err, registry.Revoked) {
		t.Errorf("custody of a revoked agent: %v", err)
	}
}

// A log that is full takes its end only.
func TestFullLogUnderSelfCustody(t *testing.T) {
	h := registrytest.New(t)
	c := handedOver(t, h)
	h.LimitDIDLogs(100)
	if _, err := c.send(t, c.entry(t)); named(err) != "conflict did_log_full" {
		t.Errorf("an entry: %v", err)
	}
	h.Clock.Add(time.Second)
	if err := c.TryRotate(t, h.Call()); err != nil {
		t.Errorf("a rotation waits for the log: %v", err)
	}
	if _, err := h.RevokeAgent(t.Context(), h.Call(), c.ID, ""); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(5 * time.Second)
	end, err := did.Deactivate(c.Log(t), updateKey(0), h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range end {
		if _, err := h.AppendDID(t.Context(), h.Call(), c.ID, json.RawMessage(e.Line)); err != nil {
			t.Errorf("its end: %v", err)
		}
	}
}
