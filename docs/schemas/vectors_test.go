package schemas_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-registry/writ/anchor/tlog"
	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/journal"
)

// vectors are what another implementation recomputes. All inputs are fixed.
type vectors struct {
	Comment     string             `json:"comment"`
	JCS         []jcsVector        `json:"jcs"`
	Refused     []refusedVector    `json:"refused"`
	Disclosures []disclosureVector `json:"disclosures"`
	Events      []eventVector      `json:"events"`
	Size        int                `json:"size"`
	Root        string             `json:"root"`
}

// jcsVector is a JSON text and its RFC 8785 form.
type jcsVector struct {
	Name      string `json:"name"`
	Input     string `json:"input"`
	Canonical string `json:"canonical"`
}

// refusedVector is a text that is no artifact, and why.
type refusedVector struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// disclosureVector is a value that an artifact commits to: the commitment is
// base64url(SHA-256(JCS([salt, name, value]))).
type disclosureVector struct {
	Name       string          `json:"name"`
	Salt       string          `json:"salt"`
	Value      json.RawMessage `json:"value"`
	Commitment string          `json:"commitment"`
}

// eventVector is an artifact and what is made of it. Entry is the CID's 36
// binary bytes; leaf is SHA-256(0x00 || entry).
type eventVector struct {
	Value    json.RawMessage `json:"value"`    // members in another order than canonical
	Artifact string          `json:"artifact"` // canonical bytes
	SHA256   string          `json:"sha256"`
	CID      string          `json:"cid"`
	Entry    string          `json:"entry"`
	Leaf     string          `json:"leaf"`
}

var jcs = []jcsVector{
	{Name: "order of names (RFC 8785, section 3.2.3)", Input: "{\"\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\",\"\U0001f600\":\"Emoji: Grinning Face\",\"\u0080\":\"Control\",\"\u00f6\":\"Latin Small Letter O With Diaeresis\"}"},
	{Name: "strings", Input: `{"a":"\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\/<>&\u2028","b":"\ud83d\ude00"}`},
	{Name: "literals and nesting", Input: ` { "z" : [ null , true , false , [ ] , { } ] , "a" : { "c" : 1 , "b" : "" } } `},
	{Name: "integers", Input: `[0,-0,1,-1,9007199254740991,-9007199254740991,1E2,100000000000000000000,1000000000000000000000]`},
	{Name: "fractions and exponents", Input: `[0.5,1.50,-0.0,4.5e0,2e-3,1e-6,1e-7,1e21,1e23,5e-324,1.7976931348623157e308,0.000001,0.1]`},
}

var refused = []refusedVector{
	{"not canonical: order", `{"b":1,"a":2}`},
	{"not canonical: space", `{"a": 1}`},
	{"not canonical: escape", `{"a":"\u0041"}`},
	{"no object", `[1]`},
	{"a name outside [a-z0-9_]", `{"A":1}`},
	{"an empty name", `{"":1}`},
	{"null", `{"a":null}`},
	{"a fraction", `{"a":0.5}`},
	{"an integer of 2^53", `{"a":9007199254740992}`},
	{"a duplicate name", `{"a":1,"a":1}`},
	{"a lone surrogate", `{"a":"\ud800"}`},
	{"text behind", `{"a":1}x`},
}

// fixed is a stand-in for random bytes: SHA-256 of its name.
func fixed(name string, n int) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:n])
}

// id is a UUIDv7 made of a small number.
func id(n int) string { return fmt.Sprintf("019a0000-0000-7000-8000-%012x", n) }

// bodies are one of each type of event, in an order that could happen.
func bodies(commitments map[string]string) []struct {
	typ, org, agent string
	actor           registry.Actor
	body            any
} {
	const did = "did:webvh:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG:writ.example:agents:019a0000-0000-7000-8000-00000000000a"
	const web = "did:web:writ.example:agents:019a0000-0000-7000-8000-00000000000a"
	house, acme, agent, grant := id(1), id(2), id(10), id(11)
	operator, owner := registry.Actor{Kind: registry.ActorPrincipal, ID: id(3)}, registry.Actor{Kind: registry.ActorPrincipal, ID: id(4)}
	type row = struct {
		typ, org, agent string
		actor           registry.Actor
		body            any
	}
	only := func(names ...string) map[string]string {
		out := map[string]string{}
		for _, name := range names {
			out[name] = commitments[name]
		}
		return out
	}
	status := func(typ string, s registry.AgentStatus, reason string) row {
		return row{typ, acme, agent, owner, registry.AgentStatusChanged{DID: did, Status: s, Reason: reason}}
	}
	key := "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
	return []row{
		{registry.EventRegistryCreated, house, "", registry.Actor{Kind: registry.ActorRegistry, ID: house}, registry.RegistryCreated{Origin: "https://writ.example", DID: "did:web:writ.example", TokenKey: key, UpdateKey: key, Operator: operator.ID}},
		{registry.EventOrgCreated, acme, "", operator, registry.OrgCreated{Org: acme, Name: "acme"}},
		{registry.EventPrincipalCreated, acme, "", operator, registry.PrincipalCreated{Principal: owner.ID, Roles: []registry.Role{registry.RoleOwner, registry.RoleAuditor}}},
		{registry.EventPEPRegistered, acme, "", owner, registry.PEPRegistered{PEP: id(5), Resources: []string{"https://erp.example"}, ContextKeys: []string{}}},
		{registry.EventCatalogueActivated, acme, "", owner, registry.CatalogueActivated{Digest: fixed("catalogue", 32), Actions: 3}},
		{registry.EventAgentRequested, acme, agent, owner, registry.AgentRegistration{
			DID: did, WebDID: web, DIDEntryHash: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", Thumbprint: fixed("thumbprint", 32), KeyAlg: "EdDSA",
			PossessionHash: fixed("possession", 32), Sponsor: owner.ID, Domains: []string{"finance"}, Workflows: []string{}, AuthorityLevel: 2, Composition: fixed("composition", 32), Custodial: true,
		}},
		status(registry.EventAgentApproved, registry.AgentActive, ""),
		status(registry.EventAgentSuspended, registry.AgentSuspended, "drill"),
		status(registry.EventAgentResumed, registry.AgentActive, "drill-over"),
		{registry.EventGrantIssued, acme, agent, owner, registry.GrantIssued{
			Grant: grant, DID: did, TokenHash: fixed("token", 32), Capabilities: fixed("capabilities", 32), Audience: []string{"https://erp.example"},
			AuthorityLevel: 1, NotBefore: "2026-01-02T03:04:05.000Z", Expires: "2026-01-03T03:04:05.000Z",
		}},
		{registry.EventDecision, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.DecisionMade{
			Decision: id(12), DID: did, Grant: grant, TokenHash: fixed("token", 32), ProofHash: fixed("proof", 32), Audience: "https://erp.example", PEP: id(5),
			Action: "create:shipment", Verdict: "permit", Reasons: []string{}, QualifiedBy: []string{"material"}, PolicyDigest: fixed("policy", 32),
			CatalogueDigest: fixed("catalogue", 32), Epochs: map[string]int64{"global": 0, "org": 1, "agent": 3, "grant": 0}, Commitments: only("payload", "resource", "proof", "token"),
		}},
		{registry.EventKillSet, house, "", operator, registry.KillChanged{Scope: "global", Epoch: 1, Reason: "drill"}},
		{registry.EventKillReleased, house, "", operator, registry.KillChanged{Scope: "global", Epoch: 2}},
		{registry.EventGrantRevoked, acme, agent, owner, registry.GrantEnded{Grant: grant, DID: did, Reason: "over"}},
		status(registry.EventAgentRevoked, registry.AgentRevoked, "key-compromise"),
		{registry.EventOrgPolicySet, acme, "", owner, registry.OrgPolicySet{MaxKeyAge: 7776000, WarnKeyAge: 5184000, SeparateDuties: true}},
		{registry.EventSpawnSet, acme, agent, owner, registry.SpawnSet{DID: did, SpawnDepth: 1, SpawnMax: 5}},
		{registry.EventAgentSpawned, acme, id(13), registry.Actor{Kind: registry.ActorAgent, ID: agent}, registry.AgentSpawned{DID: did + "d", Parent: agent, ParentDID: did}},
		{registry.EventKeyRotated, acme, agent, registry.Actor{Kind: registry.ActorAgent, ID: agent}, registry.KeyRotated{
			DID: did, Thumbprint: fixed("thumbprint 2", 32), KeyAlg: "ES256", PossessionHash: fixed("possession 2", 32), Previous: fixed("thumbprint", 32),
			PreviousUntil: "2026-01-02T04:04:05.000Z", By: "agent", NextKeyHash: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG",
			DIDEntryHash: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", Renewed: []registry.GrantRenewed{{Grant: grant, TokenHash: fixed("token 2", 32)}},
		}},
		{registry.EventKeyEnded, acme, agent, owner, registry.KeyEnd{DID: did, Thumbprint: fixed("thumbprint", 32), Status: registry.KeyCompromised, CompromisedFrom: "7", Reason: "stolen-laptop"}},
		{registry.EventDIDDeactivated, acme, agent, registry.Actor{Kind: registry.ActorRegistry, ID: acme}, registry.DIDDeactivated{DID: did, DIDEntryHash: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"}},
		{registry.EventOrgDomainSet, acme, "", owner, registry.OrgDomainSet{Domain: "agents.acme.example"}},
		{registry.EventTrustAdded, acme, "", owner, registry.TrustAdded{
			Trust: id(20), Issuer: "did:web:other.example", TokenKeys: []string{key}, LogKey: "other.example/log+c6ab4e0e+AQfjxMNtJC0Y4OF7t3OwMdS4+vuu6KYMAbMDbCUX8ZpE", Terms: fixed("terms", 32), Public: true,
		}},
		{registry.EventTrustAlarmed, acme, "", registry.Actor{Kind: registry.ActorRegistry, ID: acme}, registry.TrustAlarmed{
			Trust: id(20), Issuer: "did:web:other.example", Subject: "did:web:other.example", Code: registry.AlarmLogFork, Evidence: fixed("evidence", 32),
		}},
		{registry.EventTrustRemoved, acme, "", owner, registry.TrustRemoved{Trust: id(20), Issuer: "did:web:other.example", Reason: "log-forked"}},
		{registry.EventCAOpened, house, "", registry.Actor{Kind: registry.ActorRegistry, ID: house}, registry.CAOpened{Root: fixed("root", 32), Issuing: fixed("issuing", 32), NotAfter: "2027-01-02T03:04:05.000Z"}},
		{registry.EventCertificateIssued, acme, agent, owner, registry.CertificateIssued{
			Certificate: fixed("certificate", 32), Serial: "0a1b", Kind: registry.CertificateDID, Issuer: fixed("issuing", 32), Names: fixed("names", 32), Thumbprint: fixed("thumbprint", 32),
			NotBefore: "2026-01-02T03:04:05.000Z", NotAfter: "2026-01-02T11:04:05.000Z",
		}},
		{registry.EventCertificateRevoked, acme, agent, owner, registry.CertificateEnded{Certificate: fixed("certificate", 32), Serial: "0a1b", Reason: "replaced"}},
		{registry.EventRootEnrolled, acme, "", owner, registry.RootChanged{Root: fixed("enterprise", 32), Rules: fixed("rules", 32)}},
		{registry.EventRootRemoved, acme, "", owner, registry.RootChanged{Root: fixed("enterprise", 32), Rules: fixed("rules", 32)}},
		{registry.EventIssuerEnrolled, acme, "", owner, registry.IssuerChanged{Issuer: id(20), Kind: "kubernetes", Config: fixed("config", 32)}},
		{registry.EventAgentEnrolled, acme, id(21), registry.Actor{Kind: registry.ActorAgent, ID: id(21)}, registry.AgentEnrolled{
			DID: did + "e", Kind: "kubernetes", Issuer: id(20), Evidence: fixed("token", 32), Rules: fixed("rules", 32), Approved: true,
			Commitments: only("issuer", "subject"),
		}},
		{registry.EventIssuerRemoved, acme, "", owner, registry.IssuerChanged{Issuer: id(20), Kind: "kubernetes", Config: fixed("config", 32)}},
		{registry.EventVoucherRegistered, acme, "", owner, registry.VoucherRegistered{Voucher: id(14), Kind: "builder", Thumbprint: fixed("builder", 32), KeyAlg: "EdDSA"}},
		{registry.EventCompositionChanged, acme, agent, owner, registry.CompositionChanged{
			DID: did, Composition: fixed("composition 2", 32), Previous: fixed("composition", 32), Source: "build-signed", Parts: 1,
			Statements: []string{fixed("statement", 32)}, Vouchers: []string{id(14)}, Commitments: map[string]string{},
		}},
		{registry.EventVoucherRevoked, acme, "", owner, registry.VoucherRevoked{Voucher: id(14), Thumbprint: fixed("builder", 32), Reason: "ci-replaced"}},
		{registry.EventSignInSet, acme, "", owner, registry.SignInChanged{Issuer: id(14), Config: fixed("issuer", 32)}},
		{registry.EventRolesSet, acme, "", registry.Actor{Kind: registry.ActorPrincipal, ID: id(15)}, registry.RolesSet{Principal: id(15), Roles: []registry.Role{registry.RoleAuditor}, Source: "groups"}},
		{registry.EventSignInRemoved, acme, "", owner, registry.SignInChanged{Issuer: id(14), Config: fixed("issuer", 32)}},
		{registry.EventSponsorChanged, acme, agent, owner, registry.SponsorChanged{DID: did, Sponsor: id(15), Previous: owner.ID}},
		{registry.EventCredentialRotated, acme, "", owner, registry.CredentialRotated{Owner: registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, Credential: id(16), PreviousUntil: "2026-01-02T04:04:05.000Z"}},
		{registry.EventCredentialRevoked, acme, "", owner, registry.CredentialRevoked{Owner: owner, Credential: id(17), Reason: "lost"}},
		{registry.EventPrincipalSuspended, acme, "", owner, registry.PrincipalStatusChanged{Principal: id(15), Status: "suspended", Reason: "drill"}},
		{registry.EventPrincipalResumed, acme, "", owner, registry.PrincipalStatusChanged{Principal: id(15), Status: "active"}},
		{registry.EventPrincipalLeft, acme, "", owner, registry.PrincipalStatusChanged{Principal: id(15), Status: "left"}},
		{registry.EventCustodyMoved, acme, agent, owner, registry.CustodyMoved{DID: did, DIDEntryHash: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", NextKeyHashes: []string{"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"}, PossessionHash: fixed("possession", 32)}},
		{registry.EventDIDUpdated, acme, agent, registry.Actor{Kind: registry.ActorAgent, ID: agent}, registry.DIDUpdated{DID: did, DIDEntryHash: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", Entry: 3}},
		{registry.EventLinkRevoked, acme, agent, owner, registry.LinkRevoked{Grant: grant, DID: did, Link: fixed("link", 32), Reason: "over"}},
		{registry.EventAuthenticatorAdded, acme, "", owner, registry.AuthenticatorChanged{Authenticator: id(22), Principal: owner.ID, Kind: "key", KeyDigest: fixed("approver", 32)}},
		{registry.EventAuthenticatorActivated, acme, "", operator, registry.AuthenticatorChanged{Authenticator: id(22), Principal: owner.ID, Kind: "key", KeyDigest: fixed("approver", 32)}},
		{registry.EventRulesProposed, acme, "", owner, registry.ApprovalRulesChanged{Digest: fixed("approval rules", 32), Rules: 1, ProposedBy: owner.ID}},
		{registry.EventRulesActivated, acme, "", operator, registry.ApprovalRulesChanged{Digest: fixed("approval rules", 32), Rules: 1, ProposedBy: owner.ID}},
		{registry.EventApprovalRequested, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.ApprovalRequest{
			Approval: id(23), DID: did, Decision: id(13), Action: "execute:payment", ActDigest: fixed("act", 32), Rule: fixed("rule", 32), Quorum: 1,
			Statement: fixed("statement of approval", 32), Expires: "2026-01-02T04:05:00.000Z",
		}},
		{registry.EventApprovalAnswered, acme, agent, owner, registry.ApprovalAnswered{
			Approval: id(23), DID: did, Principal: owner.ID, Verdict: "approve", State: registry.ApprovalApproved, Authenticator: id(22),
			SignatureHash: fixed("approval+jwt", 32), Statement: fixed("statement of approval", 32), Until: "2026-01-02T03:20:00.000Z", Commitments: map[string]string{},
		}},
		{registry.EventGlassBroken, acme, agent, operator, registry.GlassBroken{Approval: id(23), DID: did, Approvers: []string{owner.ID, operator.ID}}},
		{registry.EventDecision, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.DecisionMade{
			Decision: id(24), DID: did, Grant: grant, TokenHash: fixed("token", 32), ProofHash: fixed("proof of payment", 32), Audience: "https://erp.example", PEP: id(5),
			Action: "execute:payment", Verdict: "permit", Reasons: []string{}, QualifiedBy: []string{"irreversible", "approval"}, PolicyDigest: fixed("policy", 32), CatalogueDigest: fixed("catalogue", 32),
			Epochs: map[string]int64{"global": 1}, Commitments: only("payload", "resource"), Approval: id(23), Approvers: []string{owner.ID},
		}},
		{registry.EventApprovalConsumed, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.ApprovalUsed{Approval: id(23), DID: did, Decision: id(24), Approvers: []string{owner.ID}}},
		{registry.EventApprovalCancelled, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.ApprovalEnded{Approval: id(25), DID: did, Was: "pending", Reason: "not-needed"}},
		{registry.EventApprovalExpired, acme, agent, registry.Actor{Kind: registry.ActorRegistry, ID: acme}, registry.ApprovalEnded{Approval: id(26), DID: did, Was: "approved"}},
		{registry.EventAuthenticatorEnded, acme, "", owner, registry.AuthenticatorChanged{Authenticator: id(22), Principal: owner.ID, Kind: "key", KeyDigest: fixed("approver", 32), Reason: "lost"}},
		{registry.EventPoliciesActivated, acme, "", owner, registry.PoliciesActivated{Version: 2, Digest: fixed("policies", 32), Policies: 7, Previous: fixed("policies before", 32)}},
		{registry.EventEntitySet, acme, "", owner, registry.EntityChanged{Commitments: only("entity")}},
		{registry.EventEntityRemoved, acme, "", owner, registry.EntityChanged{Commitments: only("entity")}},
		{registry.EventAssertedDecision, acme, "", registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.AssertedDecision{
			Decision: id(22), PEP: id(5), Action: "read:invoices", Verdict: "deny", Reasons: []string{"policy_no_permit"}, QualifiedBy: []string{"verdict"},
			PolicyDigest: fixed("policy", 32), CatalogueDigest: fixed("catalogue", 32), Epochs: map[string]int64{"global": 1, "org": 4},
			Commitments: only("subject", "payload", "resource"), Folds: true,
		}},
		{registry.EventPEPKeySet, acme, "", owner, registry.PEPKeySet{PEP: id(5), Thumbprint: fixed("tool key", 32)}},
		{registry.EventPEPRoutesSet, acme, "", owner, registry.PEPRoutesSet{PEP: id(5), Routes: fixed("routes", 32), Inject: true}},
		{registry.EventPermitRedeemed, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.PermitUsed{Permit: id(18), DID: did, Audience: "https://erp.example", PEP: id(5)}},
		{registry.EventOutcomeReported, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.OutcomeReported{
			Permit: id(18), DID: did, PEP: id(5), Outcome: "executed", ReportHash: fixed("report", 32), Commitments: only("report"),
		}},
		{registry.EventOutcomeUnknown, acme, agent, registry.Actor{Kind: registry.ActorRegistry, ID: acme}, registry.OutcomeMissed{Permit: id(19), DID: did, Audience: "https://erp.example"}},
		{registry.EventTemplateSet, acme, "", owner, registry.TemplateChanged{Name: "invoice-reader", Digest: fixed("template", 32)}},
		{registry.EventTemplateRemoved, acme, "", owner, registry.TemplateChanged{Name: "invoice-reader", Digest: fixed("template", 32)}},
		{registry.EventObservationBegun, acme, agent, owner, registry.ObservationChanged{Scope: "agent:" + agent, Until: "2026-01-09T03:04:00.000Z", Reason: "onboarding"}},
		{registry.EventDecision, acme, agent, registry.Actor{Kind: registry.ActorPEP, ID: id(5)}, registry.DecisionMade{
			Decision: id(27), DID: did, Grant: grant, TokenHash: fixed("token", 32), ProofHash: fixed("proof under observation", 32), Audience: "https://erp.example", PEP: id(5),
			Action: "read:ledger", Verdict: "permit", Reasons: []string{"capability_missing"}, QualifiedBy: []string{"observed"}, PolicyDigest: fixed("policy", 32), CatalogueDigest: fixed("catalogue", 32),
			Epochs: map[string]int64{"global": 1}, Commitments: only("payload", "resource"), Observed: true,
		}},
		{registry.EventObservationEnded, acme, agent, owner, registry.ObservationChanged{Scope: "agent:" + agent, Until: "2026-01-09T03:04:00.000Z", Reason: "onboarding"}},
		{registry.EventPEPCallbacksSet, acme, "", owner, registry.PEPCallbacksSet{PEP: id(5), Origins: []string{"https://erp.example"}}},
		{registry.EventActionsSet, acme, agent, owner, registry.ActionsSet{DID: did, Actions: []string{"create:shipment", "read:invoices"}}},
	}
}

func disclosures(t *testing.T) (list []disclosureVector, commitments map[string]string) {
	commitments = map[string]string{}
	for _, d := range []canon.Disclosure{
		{Name: "payload", Value: json.RawMessage(`{"task":"","arguments":{"weight":12.5,"Zone":null,"note":"\u20ac 1\u00bd"}}`)},
		{Name: "resource", Value: json.RawMessage(`{"type":"shipment","id":"s-1"}`)},
		{Name: "proof", Value: json.RawMessage(`"eyJ.eyJ.sig"`)},
		{Name: "token", Value: json.RawMessage(`"eyJ.eyJ.gis"`)},
		{Name: "issuer", Value: json.RawMessage(`"https://k8s.example"`)},
		{Name: "subject", Value: json.RawMessage(`"system:serviceaccount:prod:courier"`)},
		{Name: "entity", Value: json.RawMessage(`{"type":"user","id":"alice","properties":{"grade":3},"parents":[{"type":"group","id":"staff"}]}`)},
		{Name: "report", Value: json.RawMessage(`"eyJ.eyJ.tro"`)},
	} {
		d.Salt = fixed("salt of "+d.Name, 16)
		c, err := d.Commitment()
		if err != nil {
			t.Fatal(err)
		}
		commitments[d.Name] = c
		list = append(list, disclosureVector{d.Name, d.Salt, d.Value, c})
	}
	return list, commitments
}

// made recomputes all vectors with the registry's own code.
func made(t *testing.T) vectors {
	v := vectors{
		Comment: "Deterministic inputs: random bytes are SHA-256 of a name. Hashes and entries are lower-case hex. root is the RFC 6962 tree hash over the entries in order.",
		JCS:     jcs, Refused: refused,
	}
	for i := range v.JCS {
		form, err := canon.Canonical([]byte(v.JCS[i].Input))
		if err != nil {
			t.Fatalf("%s: %v", v.JCS[i].Name, err)
		}
		v.JCS[i].Canonical = string(form)
	}
	for _, r := range v.Refused {
		if canon.CheckArtifact([]byte(r.Text)) == nil {
			t.Errorf("%s is accepted", r.Name)
		}
	}
	var commitments map[string]string
	v.Disclosures, commitments = disclosures(t)
	last := map[string]journal.Link{}
	var entries [][]byte
	for i, e := range bodies(commitments) {
		body, err := json.Marshal(e.body)
		if err != nil {
			t.Fatal(err)
		}
		org := last["org:"+e.org]
		env := journal.Envelope{
			V: registry.EnvelopeVersion, Type: e.typ, Org: e.org, Agent: e.agent, Log: "writ.example/log", OrgSeq: org.Seq + 1, Prev: org.CID,
			Time: fmt.Sprintf("2026-01-02T03:%02d:%02d.000Z", 4+i/60, i%60), Actor: e.actor, Trace: fmt.Sprintf("%032x", i+1), Nonce: fixed(fmt.Sprintf("nonce %d", i), 32), Body: body,
		}
		if e.agent != "" {
			env.Seq = last["agent:"+e.agent].Seq + 1
		}
		raw, err := json.Marshal(env)
		if err != nil {
			t.Fatal(err)
		}
		artifact, err := canon.Canonical(raw)
		if err == nil {
			err = canon.CheckArtifact(artifact)
		}
		if err != nil {
			t.Fatalf("%s: %v", e.typ, err)
		}
		cid, sum := journal.CID(artifact), sha256.Sum256(artifact)
		leaf := tlog.LeafHash(cid.Bytes())
		v.Events = append(v.Events, eventVector{raw, string(artifact), hex.EncodeToString(sum[:]), cid.String(), hex.EncodeToString(cid.Bytes()), hex.EncodeToString(leaf[:])})
		entries = append(entries, cid.Bytes())
		last["org:"+e.org] = journal.Link{Seq: env.OrgSeq, CID: cid.String()}
		last["agent:"+e.agent] = journal.Link{Seq: env.Seq, CID: cid.String()}
	}
	grown, err := tlog.Append(t.Context(), empty{}, 0, entries)
	if err != nil {
		t.Fatal(err)
	}
	v.Size, v.Root = len(entries), hex.EncodeToString(grown.Root[:])
	return v
}

// empty is a log without entries.
type empty struct{}

func (empty) HashTile(context.Context, int, uint64) ([]byte, error) { return nil, tlog.ErrMissing }

func (empty) EntryBundle(context.Context, uint64) ([]byte, error) { return nil, tlog.ErrMissing }

// TestVectors keeps the committed vectors true, and inside the schemas.
func TestVectors(t *testing.T) {
	v := made(t)
	committed(t, "vectors.json", v)
	types := map[string]bool{}
	for _, e := range v.Events {
		var value map[string]any
		if err := json.Unmarshal([]byte(e.Artifact), &value); err != nil {
			t.Fatal(err)
		}
		typ := value["type"].(string)
		types[typ] = true
		for _, f := range check(load(t, typ), value, "") {
			t.Errorf("%s: %s", typ, f)
		}
	}
	for _, e := range events {
		if !types[e.name] {
			t.Errorf("no vector of %s", e.name)
		}
	}
}

// TestVectorsInJavaScript recomputes the vectors with code that shares nothing
// with the registry's, and makes sure that it notices a wrong one.
func TestVectorsInJavaScript(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on PATH: the vectors are checked by Go only")
	}
	script := filepath.Join("..", "..", "scripts", "vectors", "check.mjs")
	if out, err := exec.CommandContext(t.Context(), node, script, "vectors.json").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	good, err := os.ReadFile("vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := made(t)
	for name, value := range map[string]string{
		"canonical form": v.JCS[3].Canonical, "commitment": v.Disclosures[0].Commitment, "sha256": v.Events[0].SHA256,
		"CID": v.Events[1].CID, "leaf": v.Events[2].Leaf, "root": v.Root,
	} {
		t.Run("wrong "+name, func(t *testing.T) {
			quoted, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			flipped := bytes.Replace(quoted, []byte{quoted[len(quoted)-3]}, []byte{quoted[len(quoted)-3] ^ 1}, 1)
			file := filepath.Join(t.TempDir(), "vectors.json")
			if err := os.WriteFile(file, bytes.Replace(good, quoted, flipped, 1), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), node, script, file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "MISMATCH") {
				t.Errorf("not noticed: %v\n%s", err, out)
			}
		})
	}
}
