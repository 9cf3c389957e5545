package api_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/registrytest"
	"github.com/writ-registry/writ/registry/statuslist"
)

// subject is the agent that a status befalls: a child, with a sponsor of its own who
// is not who calls, a grant, a certificate for its key and the right to a child.
type subject struct {
	*world
	*registrytest.Agent
	parent  *registrytest.Agent
	sponsor string
	grant   *registry.Grant // nil: an agent that was never approved has none
	chain   []*x509.Certificate
	gate    string // the credential of an enforcement point
}

// newSubject makes a world with the agent in it. requested: nobody approved it.
func newSubject(t *testing.T, requested bool) *subject {
	t.Helper()
	s := &subject{world: open(t)}
	s.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible})
	s.gate = s.newPEP("gate", registrytest.Origin)
	s.sponsor = s.must("POST", "/v1/principals", `{"roles":["registrar"]}`)["principal"].(map[string]any)["id"].(string)
	family := func(depth, most int) func(*registry.NewAgent) {
		return func(in *registry.NewAgent) { in.Sponsor, in.Spawn = s.sponsor, registry.Spawn{Depth: depth, Max: most} }
	}
	defer s.Clock.Add(time.Minute) // entries of a DID log are a second apart
	if requested {
		s.Agent = s.RequestOnly(t, "subject", family(1, 2))
		return s
	}
	s.parent = s.NewAgent(t, "parent", family(2, 2))
	s.Agent = s.parent.Child(t, "subject", family(1, 2))
	g := s.Grant(t, "read:invoices", func(in *registry.NewGrant) { in.Expires = s.Clock.Now().Add(time.Hour) })
	s.grant = &g
	made := s.must("POST", "/v1/agents/"+s.ID+"/certificates", map[string]any{"csr": registrytest.CSR(t, s.Signer)})
	s.chain = registrytest.Chain(t, made["certificate"].(map[string]any)["pem"].(string))
	return s
}

// stop sends a call of the operator's.
func stop(method string, path func(*subject) string, body any) func(*subject) {
	return func(s *subject) { s.must(method, path(s), body) }
}

func (s *subject) kill(kind, id string) {
	s.must("POST", "/v1/kill", map[string]any{"scope": registry.Scope{Kind: registry.ScopeKind(kind), ID: id}, "reason": "drill"})
}

// answer is an answer of a call as the table has it: its status, and the code of a
// problem.
func answer(r reply) string {
	var p struct{ Type, Code string }
	_ = json.Unmarshal(r.body, &p) // a body that is not JSON has no code
	if r.StatusCode < 300 {
		return fmt.Sprint(r.StatusCode)
	}
	if p.Code == "" {
		p.Code = strings.TrimPrefix(p.Type, "urn:writ:problem:")
	}
	return fmt.Sprintf("%d `%s`", r.StatusCode, p.Code)
}

// reasoned is a yes, or a no with the codes of its reasons.
func reasoned(yes bool, word [2]string, reasons []struct{ Code string }) string {
	if yes {
		return word[0]
	}
	var codes []string
	for _, r := range reasons {
		codes = append(codes, "`"+r.Code+"`")
	}
	return word[1] + " " + strings.Join(codes, " ")
}

func (s *subject) evaluated(change ...request) string {
	if s.grant == nil {
		return "-"
	}
	r := s.do("POST", evaluation, authzen(s.Ask(s.t, *s.grant, "read", "invoices", "7", "")), change...)
	if r.StatusCode != 200 {
		return answer(r)
	}
	var d struct {
		Decision bool
		Context  struct{ Reasons []struct{ Code string } }
	}
	if err := json.Unmarshal(r.body, &d); err != nil {
		s.t.Fatal(err)
	}
	return reasoned(d.Decision, [2]string{"permit", "deny"}, d.Context.Reasons)
}

func (s *subject) verified() string {
	if s.grant == nil {
		return "-"
	}
	r := s.do("POST", "/v1/verify", authzen(s.Ask(s.t, *s.grant, "read", "invoices", "7", "")), as(s.Secret))
	var v struct {
		Active  bool
		Reasons []struct{ Code string }
	}
	if err := json.Unmarshal(r.body, &v); err != nil || r.StatusCode != 200 {
		return answer(r)
	}
	return reasoned(v.Active, [2]string{"active", "inactive"}, v.Reasons)
}

// shown calls with the agent's certificate, as the server has a request whose client
// proved it in the TLS handshake.
func (s *subject) shown() string {
	if s.chain == nil {
		return "-"
	}
	r := httptest.NewRequestWithContext(s.t.Context(), "GET", "/v1/whoami", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: s.chain}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return answer(reply{w.Result(), w.Body.Bytes()})
}

func (s *subject) listed() string {
	if s.grant == nil {
		return "-"
	}
	token, err := statuslist.Parse(string(s.do("GET", "/status/1", nil).body))
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := token.Verify(statuslist.Check{Key: s.StatusKey.Public(), URI: s.StatusListURI(1), Now: s.Clock.Now(), MaxAge: registry.StatusTTL})
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := list.Get(int(s.grant.StatusIndex))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.ToUpper(status.String())
}

// resolved is what the agent's DID resolves to: the log, the did:web document and the
// resolution of either say the same.
func (s *subject) resolved() string {
	s.tend()
	res, err := did.VerifyLog(s.do("GET", "/agents/"+s.ID+"/did.jsonl", nil).body, s.Clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	doc, err := did.ParseDocument(res.Current().Document)
	if err != nil {
		s.t.Fatal(err)
	}
	says, status, keys := "resolves", 200, len(doc.VerificationMethod)
	if res.Deactivated {
		says, status, keys = "deactivated, 410", 410, 0
	} else if keys == 0 {
		says = "resolves, no key"
	}
	s.resolve(s.DID, "").wants(s.t, "did:webvh", status, "", keys)
	s.resolve(s.WebDID, "").wants(s.t, "did:web", status, "", keys)
	web := s.do("GET", "/agents/"+s.ID+"/did.json", nil)
	if listed, _ := web.json(s.t)["verificationMethod"].([]any); web.StatusCode != status || len(listed) != keys {
		s.t.Errorf("did.json: %d %s", web.StatusCode, web.body)
	}
	return says
}

func (s *subject) newKey(name string) map[string]any {
	key, err := jose.GenerateEd25519()
	if err != nil {
		s.t.Fatal(err)
	}
	return map[string]any{"jwk": key.Public().JWK(), "possession": s.Possession(s.t, key, s.Org, name)}
}

// statusPaths are the columns: every way to get, use or show authority. Those of
// which reading is true change nothing.
var statusPaths = []struct {
	name    string
	reading bool
	try     func(*subject) string
}{
	{"new grant", false, func(s *subject) string {
		return answer(s.do("POST", "/v1/grants", map[string]any{"agent": s.ID, "capabilities": "read:invoices"}, as(s.Secret)))
	}},
	{"child, by its signature", false, func(s *subject) string {
		body := s.newKey("child")
		body["name"] = "child"
		return answer(s.do("POST", "/v1/agents", body, s.by(s.Agent)))
	}},
	{"new certificate", false, func(s *subject) string {
		return answer(s.do("POST", "/v1/agents/"+s.ID+"/certificates", map[string]any{"csr": registrytest.CSR(s.t, s.Signer)}, as(s.Secret)))
	}},
	{"own record, by its signature", true, func(s *subject) string { return answer(s.do("GET", "/v1/agents/"+s.ID, nil, s.by(s.Agent))) }},
	{"whoami, by mTLS", true, (*subject).shown},
	{"evaluation, direct", true, func(s *subject) string { return s.evaluated() }},
	{"evaluation, by its PEP", true, func(s *subject) string { return s.evaluated(as(s.gate)) }},
	{"/v1/verify", true, (*subject).verified},
	{"status list", true, (*subject).listed},
	{"DID", true, (*subject).resolved},
	// The last, for it has another key then.
	{"new key, by its signature", false, func(s *subject) string {
		return answer(s.do("POST", "/v1/agents/"+s.ID+"/keys", s.newKey(s.Name), s.by(s.Agent)))
	}},
	{"new key, by a registrar", false, func(s *subject) string {
		return answer(s.do("POST", "/v1/agents/"+s.ID+"/keys", s.newKey(s.Name), as(s.Secret)))
	}},
}

// statusRows are the statuses, how each comes about, and what is expected of every
// path, in the order of statusPaths.
var statusRows = []struct {
	name string
	stop func(*subject)
	want []string
}{
	{"active", func(*subject) {}, []string{
		"201", "201", "201", "200", "200", "permit", "permit", "active", "VALID", "resolves", "201", "201",
	}},
	{"requested", nil, []string{
		"409 `agent_requested`", "403 `agent_requested`", "409 `agent_requested`", "403 `agent_requested`", "-", "-", "-", "-", "-", "resolves", "403 `agent_requested`", "201",
	}},
	{"suspended", stop("POST", func(s *subject) string { return "/v1/agents/" + s.ID + "/suspend" }, nil), []string{
		"409 `agent_suspended`", "403 `agent_suspended`", "409 `agent_suspended`", "403 `agent_suspended`", "401 `agent_suspended`", "deny `agent_suspended`", "deny `agent_suspended`", "inactive `agent_suspended`", "SUSPENDED", "resolves", "403 `agent_suspended`", "201",
	}},
	{"revoked", stop("POST", func(s *subject) string { return "/v1/agents/" + s.ID + "/revoke" }, nil), []string{
		"410 `agent_revoked`", "403 `agent_revoked`", "410 `agent_revoked`", "403 `agent_revoked`", "401 `agent_revoked`", "deny `agent_revoked`", "deny `agent_revoked`", "inactive `agent_revoked`", "INVALID", "deactivated, 410", "403 `agent_revoked`", "410 `revoked`",
	}},
	{"agent killed", func(s *subject) { s.kill("agent", s.ID) }, []string{
		"409 `killed`", "403 `killed`", "409 `killed`", "403 `killed`", "401 `killed`", "deny `kill_agent`", "deny `kill_agent`", "inactive `kill_agent`", "SUSPENDED", "resolves", "403 `killed`", "201",
	}},
	{"org killed", func(s *subject) { s.kill("org", s.Org) }, []string{
		"409 `killed`", "403 `killed`", "409 `killed`", "403 `killed`", "401 `killed`", "deny `kill_org`", "deny `kill_org`", "inactive `kill_org`", "SUSPENDED", "resolves", "403 `killed`", "201",
	}},
	{"everything killed", func(s *subject) { s.kill("global", "") }, []string{
		"409 `killed`", "403 `killed`", "409 `killed`", "403 `killed`", "401 `killed`", "deny `kill_global`", "deny `kill_global`", "inactive `kill_global`", "SUSPENDED", "resolves", "403 `killed`", "201",
	}},
	{"parent suspended", stop("POST", func(s *subject) string { return "/v1/agents/" + s.parent.ID + "/suspend" }, nil), []string{
		"409 `ancestor_stopped`", "403 `ancestor_stopped`", "409 `ancestor_stopped`", "403 `ancestor_stopped`", "401 `ancestor_stopped`", "deny `ancestor_stopped`", "deny `ancestor_stopped`", "inactive `ancestor_stopped`", "SUSPENDED", "resolves", "403 `ancestor_stopped`", "201",
	}},
	{"parent revoked", stop("POST", func(s *subject) string { return "/v1/agents/" + s.parent.ID + "/revoke" }, nil), []string{
		"409 `ancestor_stopped`", "403 `ancestor_stopped`", "409 `ancestor_stopped`", "403 `ancestor_stopped`", "401 `ancestor_stopped`", "deny `ancestor_stopped`", "deny `ancestor_stopped`", "inactive `ancestor_stopped`", "INVALID", "resolves", "403 `ancestor_stopped`", "201",
	}},
	{"parent killed", func(s *subject) { s.kill("agent", s.parent.ID) }, []string{
		"409 `killed`", "403 `killed`", "409 `killed`", "403 `killed`", "401 `killed`", "deny `ancestor_stopped`", "deny `ancestor_stopped`", "inactive `ancestor_stopped`", "SUSPENDED", "resolves", "403 `killed`", "201",
	}},
	{"sponsor suspended", stop("POST", func(s *subject) string { return "/v1/principals/" + s.sponsor + "/suspend" }, nil), []string{
		"409 `sponsor_gone`", "403 `sponsor_gone`", "409 `sponsor_gone`", "403 `sponsor_gone`", "401 `sponsor_gone`", "deny `sponsor_gone`", "deny `sponsor_gone`", "inactive `sponsor_gone`", "SUSPENDED", "resolves", "403 `sponsor_gone`", "201",
	}},
	{"key compromised", stop("POST", func(s *subject) string { return "/v1/agents/" + s.ID + "/keys/" + s.Thumbprint + "/compromise" }, nil), []string{
		"409 `key_ended`", "401 `unknown_key`", "403 `foreign_key`", "401 `unknown_key`", "401 `foreign_key`", "401 `key_ended`", "deny `possession_failed` `key_ended`", "inactive `possession_failed`", "SUSPENDED", "resolves, no key", "401 `unknown_key`", "201",
	}},
	{"key too old", func(s *subject) {
		s.must("PUT", "/v1/orgs/"+s.Org+"/policy", `{"max_key_age":600}`)
		s.Clock.Add(20 * time.Minute)
	}, []string{
		"409 `key_expired`", "403 `key_expired`", "409 `key_expired`", "403 `key_expired`", "401 `key_expired`", "deny `key_expired`", "deny `key_expired`", "inactive `key_expired`", "VALID", "resolves", "403 `key_expired`", "201",
	}},
	{"grant killed", func(s *subject) { s.kill("grant", s.grant.ID) }, []string{
		"201", "201", "201", "200", "200", "deny `kill_grant`", "deny `kill_grant`", "inactive `kill_grant`", "SUSPENDED", "resolves", "201", "201",
	}},
	{"grant revoked", stop("POST", func(s *subject) string { return "/v1/grants/" + s.grant.ID + "/revoke" }, nil), []string{
		"201", "201", "201", "200", "200", "deny `grant_revoked`", "deny `grant_revoked`", "inactive `grant_revoked`", "INVALID", "resolves", "201", "201",
	}},
	{"grant expired", func(s *subject) { s.Clock.Add(time.Hour) }, []string{
		"201", "201", "201", "200", "200", "deny `grant_expired`", "deny `grant_expired`", "inactive `grant_expired`", "VALID", "resolves", "201", "201",
	}},
}

// TestStatusPaths is the table of statuses by paths: what a stop leaves open. The
// paths that read are tried before the stop as well, so that what is remembered of an
// agent that could act is there to be believed.
func TestStatusPaths(t *testing.T) {
	for _, row := range statusRows {
		t.Run(row.name, func(t *testing.T) {
			s := newSubject(t, row.stop == nil)
			if row.stop != nil {
				for _, p := range statusPaths {
					if p.reading {
						p.try(s)
					}
				}
				row.stop(s)
			}
			var got []string
			for _, p := range statusPaths {
				got = append(got, p.try(s))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	const file = "../docs/status-paths.md"
	if *update {
		if err := os.WriteFile(file, []byte(statusTable()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(statusTable(), string(committed)); diff != "" {
		t.Errorf("docs/status-paths.md is stale: go test ./api -run StatusPaths -update\n%s", diff)
	}
}

// statusTable is what is expected, as Markdown.
func statusTable() string {
	var b strings.Builder
	header, rule := "| |", "|---|"
	for _, p := range statusPaths {
		header, rule = header+" "+p.name+" |", rule+"---|"
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n", statusIntroduction, header, rule)
	for _, row := range statusRows {
		fmt.Fprintf(&b, "| **%s** | %s |\n", row.name, strings.Join(row.want, " | "))
	}
	return b.String() + statusNotes
}

const statusIntroduction = `# Statuses by paths

What each way to get, use or show authority answers about an agent in each status; the agent
is a child with a sponsor of its own, and every path was in use before the stop.
Generated and held by ` + "`api/status_paths_test.go: TestStatusPaths`" + `.
`

const statusNotes = `
Calls of the agent itself are "by its signature" (RFC 9421) or "by mTLS"; the others are a
registrar's, an enforcement point's or anyone's.

- "-": nobody approved the agent, so it has no grant and no certificate to show.
- A registrar may give a stopped agent another key, for that is the way out of a compromised or
  too old one; it lifts no stop, and no key comes after a revocation.
- A grant that ended stops itself, not its agent: what the agent has beside it goes on.
- Two cells are VALID in the status list though decisions deny, for time alone brought them: the
  end of a grant is in its token (` + "`exp`" + `); the age of a key is the org's rule online, which who
  reads only the list and the DID does not know.
- A DID says who an agent is, and which keys are its own, not that it may act: only a revocation
  and a compromised key show in it. After a revocation the log is deactivated and did.json gone
  as soon as the registry tends to it (the table is of then); who descends from the agent keeps
  a DID, and is INVALID.
`
