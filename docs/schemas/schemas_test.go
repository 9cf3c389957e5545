// Package schemas_test generates the JSON Schema (2020-12) of every event's
// artifact from the Go types, and test vectors for other languages, and holds
// the committed files against both:
//
//	go test ./docs/schemas -update
package schemas_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/internal/route"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/capability"
	"github.com/writ-registry/writ/registry/did"
	"github.com/writ-registry/writ/registry/journal"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

var update = flag.Bool("update", false, "write the schemas and vectors anew")

// about says whether events of a type are about an agent.
type about int

const (
	noAgent about = iota
	anAgent
	maybe // a stop may cover an agent or not
)

// events are the types of events with their bodies.
var events = []struct {
	name  string
	about about
	body  any
	doc   string
}{
	{registry.EventRegistryCreated, noAgent, registry.RegistryCreated{}, "The first event of every log: whose it is and which keys speak for it."},
	{registry.EventOrgCreated, noAgent, registry.OrgCreated{}, "A tenant exists."},
	{registry.EventPrincipalCreated, noAgent, registry.PrincipalCreated{}, "A human may act for the org in these roles."},
	{registry.EventPrincipalSuspended, noAgent, registry.PrincipalStatusChanged{}, "The human and the agents they sponsor may do nothing until they are resumed."},
	{registry.EventPrincipalResumed, noAgent, registry.PrincipalStatusChanged{}, "The human may act again."},
	{registry.EventPrincipalLeft, noAgent, registry.PrincipalStatusChanged{}, "The human has left, for good."},
	{registry.EventRolesSet, noAgent, registry.RolesSet{}, "These are the roles that the human has, from a human's act or from groups of the org's issuer."},
	{registry.EventCredentialRotated, noAgent, registry.CredentialRotated{}, "A principal or enforcement point has a new credential; when those before end."},
	{registry.EventCredentialRevoked, noAgent, registry.CredentialRevoked{}, "A credential has ended."},
	{registry.EventSignInSet, noAgent, registry.SignInChanged{}, "People sign in for the org at an issuer with these settings."},
	{registry.EventSignInRemoved, noAgent, registry.SignInChanged{}, "Nobody signs in at the issuer any more."},
	{registry.EventSponsorChanged, anAgent, registry.SponsorChanged{}, "Another human answers for the agent."},
	{registry.EventPEPRegistered, noAgent, registry.PEPRegistered{}, "An enforcement point guards these resource servers."},
	{registry.EventCatalogueActivated, noAgent, registry.CatalogueActivated{}, "The org's actions are now those of this digest."},
	{registry.EventAgentRequested, anAgent, registry.AgentRegistration{}, "An agent with this key asks to be registered."},
	{registry.EventAgentApproved, anAgent, registry.AgentStatusChanged{}, "The agent may act within its grants."},
	{registry.EventAgentSuspended, anAgent, registry.AgentStatusChanged{}, "The agent is stopped until it is resumed."},
	{registry.EventAgentResumed, anAgent, registry.AgentStatusChanged{}, "The agent may act again."},
	{registry.EventAgentRevoked, anAgent, registry.AgentStatusChanged{}, "The agent has ended for good."},
	{registry.EventAgentSpawned, anAgent, registry.AgentSpawned{}, "The agent is the child of another and active; it stops with any of its ancestors."},
	{registry.EventSpawnSet, anAgent, registry.SpawnSet{}, "The agent may register so many children at once, so many generations deep."},
	{registry.EventKeyRotated, anAgent, registry.KeyRotated{}, "The agent has another key from here on."},
	{registry.EventKeyEnded, anAgent, registry.KeyEnd{}, "A key of the agent counts no more."},
	{registry.EventDIDDeactivated, anAgent, registry.DIDDeactivated{}, "The DID of a revoked agent resolves to no key any more."},
	{registry.EventOrgPolicySet, noAgent, registry.OrgPolicySet{}, "What the org demands of its agents and people from here on."},
	{registry.EventOrgDomainSet, noAgent, registry.OrgDomainSet{}, "The DIDs of the org's new agents are at this domain."},
	{registry.EventTrustAdded, noAgent, registry.TrustAdded{}, "The org accepts grants of a foreign registry, signed by these keys."},
	{registry.EventTrustRemoved, noAgent, registry.TrustRemoved{}, "The org accepts grants of a foreign registry no more."},
	{registry.EventTrustAlarmed, noAgent, registry.TrustAlarmed{}, "A foreign registry, or an agent of it, contradicted itself or what is pinned of it."},
	{registry.EventCompositionChanged, anAgent, registry.CompositionChanged{}, "The agent is made of other parts, or others vouch for them; trust in what it was ends."},
	{registry.EventVoucherRegistered, noAgent, registry.VoucherRegistered{}, "The holder of a key may vouch for parts of the org's agents."},
	{registry.EventVoucherRevoked, noAgent, registry.VoucherRevoked{}, "The voucher vouches for nothing more."},
	{registry.EventGrantIssued, anAgent, registry.GrantIssued{}, "The agent holds a grant."},
	{registry.EventGrantRevoked, anAgent, registry.GrantEnded{}, "The grant has ended for good."},
	{registry.EventKillSet, maybe, registry.KillChanged{}, "The scope is stopped."},
	{registry.EventKillReleased, maybe, registry.KillChanged{}, "The stop is lifted."},
	{registry.EventCAOpened, noAgent, registry.CAOpened{}, "Certificates are issued by this X.509 authority from here on."},
	{registry.EventCertificateIssued, maybe, registry.CertificateIssued{}, "The certificate speaks for the agent or enforcement point."},
	{registry.EventCertificateRevoked, maybe, registry.CertificateEnded{}, "The certificate counts no more."},
	{registry.EventRootEnrolled, noAgent, registry.RootChanged{}, "Agents of the org may enrol with certificates below this CA."},
	{registry.EventRootRemoved, noAgent, registry.RootChanged{}, "The CA is believed no more."},
	{registry.EventIssuerEnrolled, noAgent, registry.IssuerChanged{}, "Agents of the org may enrol with tokens of this issuer."},
	{registry.EventIssuerRemoved, noAgent, registry.IssuerChanged{}, "The issuer is believed no more."},
	{registry.EventAgentEnrolled, anAgent, registry.AgentEnrolled{}, "The org's own IAM vouched for the agent, and a rule of the org said what it may be."},
	{registry.EventLinkRevoked, anAgent, registry.LinkRevoked{}, "A link that a holder made under the grant, and what is under it, count no more."},
	{registry.EventPoliciesActivated, noAgent, registry.PoliciesActivated{}, "These Cedar policies of the org hold from here on."},
	{registry.EventEntitySet, noAgent, registry.EntityChanged{}, "What the org knows of a user, group, resource or agent is this from here on."},
	{registry.EventEntityRemoved, noAgent, registry.EntityChanged{}, "The org knows nothing of it any more."},
	{registry.EventAssertedDecision, noAgent, registry.AssertedDecision{}, "Whether an act of a subject that is no agent might be done, on the word of an enforcement point, and why."},
	{registry.EventPEPKeySet, noAgent, registry.PEPKeySet{}, "What the enforcement point reports of permitted acts is signed by this key."},
	{registry.EventPEPRoutesSet, noAgent, registry.PEPRoutesSet{}, "Requests that proxies ask about for the enforcement point are the acts that this table says."},
	{registry.EventPEPCallbacksSet, noAgent, registry.PEPCallbacksSet{}, "What becomes of the enforcement point's requests for approval may be told at these origins."},
	{registry.EventPermitRedeemed, anAgent, registry.PermitUsed{}, "The enforcement point is about to do a permitted act; nobody does it again."},
	{registry.EventOutcomeReported, anAgent, registry.OutcomeReported{}, "What the resource says became of a permitted act."},
	{registry.EventOutcomeUnknown, anAgent, registry.OutcomeMissed{}, "The resource has not said in time what became of a permitted act."},
	{registry.EventDecision, anAgent, registry.DecisionMade{}, "Whether an act might be done, and why."},
	{registry.EventCustodyMoved, anAgent, registry.CustodyMoved{}, "The registry has signed its last entry of the agent's DID log; the next is its controller's."},
	{registry.EventDIDUpdated, anAgent, registry.DIDUpdated{}, "The agent's controller has added an entry to its DID log."},
	{registry.EventApprovalRequested, anAgent, registry.ApprovalRequest{}, "Humans are asked to approve an act that a decision stepped up."},
	{registry.EventApprovalAnswered, anAgent, registry.ApprovalAnswered{}, "A human approved or refused, over the statement of this digest."},
	{registry.EventApprovalExpired, anAgent, registry.ApprovalEnded{}, "Nobody answered in time, or the approval was not used in time."},
	{registry.EventApprovalCancelled, anAgent, registry.ApprovalEnded{}, "Who asked wants no answer any more."},
	{registry.EventApprovalConsumed, anAgent, registry.ApprovalUsed{}, "A permit rests on the approval, which is good for nothing more."},
	{registry.EventGlassBroken, anAgent, registry.GlassBroken{}, "Two humans approved past the rule: somebody must look."},
	{registry.EventRulesProposed, noAgent, registry.ApprovalRulesChanged{}, "Rules of who must approve wait for another human."},
	{registry.EventRulesActivated, noAgent, registry.ApprovalRulesChanged{}, "Who must approve is said by these rules from here on."},
	{registry.EventAuthenticatorAdded, noAgent, registry.AuthenticatorChanged{}, "A human wants to sign with this key or passkey."},
	{registry.EventAuthenticatorActivated, noAgent, registry.AuthenticatorChanged{}, "Another human lets the authenticator count."},
	{registry.EventAuthenticatorEnded, noAgent, registry.AuthenticatorChanged{}, "The authenticator counts no more."},
	{registry.EventTemplateSet, noAgent, registry.TemplateChanged{}, "Grants may be issued from this template; it gives no authority."},
	{registry.EventTemplateRemoved, noAgent, registry.TemplateChanged{}, "No more grants are issued from the template; those that were stand."},
	{registry.EventDecision, anAgent, registry.DecisionMade{}, "Whether an act might be done, and why."},
	{registry.EventObservationBegun, maybe, registry.ObservationChanged{}, "What grants do not cover is permitted, and recorded, from here on until a time."},
	{registry.EventObservationEnded, maybe, registry.ObservationChanged{}, "What grants do not cover is denied again."},
	{registry.EventActionsSet, anAgent, registry.ActionsSet{}, "The agent is held to these actions, whatever its grants say, or to any of them again."},
}

// schema is a JSON Schema; encoding/json writes its members in order of name.
type schema map[string]any

func pattern(re string) schema { return schema{"type": "string", "pattern": "^" + re + "$"} }

func enum(values ...any) schema { return schema{"enum": values} }

const (
	uuid   = `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}` // RFC 9562, version 7
	digest = `[A-Za-z0-9_-]{43}`                                                   // base64url of 32 bytes
	word   = `[a-z0-9][a-z0-9._-]{0,63}`
	key    = `z[1-9A-HJ-NP-Za-km-z]{40,60}` // Multikey
	moment = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z`
	cidRE  = `bafkrei[a-z2-7]{52}` // CIDv1, raw, sha2-256, base32
	didRE  = `did:web(vh)?:[A-Za-z0-9._:%-]+`
)

func maybeEmpty(re string) schema { return pattern("(" + re + ")?") }

// members says more about a member than its Go type does. A name with a type
// in front wins over the bare name.
var members = map[string]schema{
	"org": pattern(uuid), "agent": pattern(uuid), "principal": pattern(uuid), "sponsor": pattern(uuid), "operator": pattern(uuid),
	"pep": pattern(uuid), "grant": pattern(uuid), "id": pattern(uuid),
	"DecisionMade.pep": maybeEmpty(uuid), "DecisionMade.grant": maybeEmpty(uuid), "decision": pattern(uuid),
	"prev": pattern(cidRE), "time": pattern(moment), "not_before": pattern(moment), "expires": pattern(moment),
	"trace": pattern("[0-9a-f]{32}"), "nonce": pattern(digest), "log": {"type": "string", "minLength": 1},
	"did": pattern(didRE), "web_did": pattern(`did:web:[A-Za-z0-9._:%-]+`), "did_entry_hash": pattern(`Qm[1-9A-HJ-NP-Za-km-z]{44}`),
	"token_key": pattern(key), "update_key": pattern(key), "key_alg": enum("EdDSA", "ES256"),
	"digest": pattern(digest), "thumbprint": pattern(digest), "possession_hash": pattern(digest), "token_hash": pattern(digest),
	"composition": pattern(digest), "capabilities": pattern(digest), "policy_digest": pattern(digest),
	"DecisionMade.token_hash": maybeEmpty(digest), "DecisionMade.proof_hash": maybeEmpty(digest), "DecisionMade.catalogue_digest": maybeEmpty(digest),
	"name": pattern(word), "reason": maybeEmpty(word), "role": maybeEmpty(word), "domain": maybeEmpty(word), "workflow": maybeEmpty(word),
	"domains[]": pattern(word), "workflows[]": pattern(word), "context_keys[]": pattern(word),
	"parent": pattern(uuid), "parent_did": pattern(didRE), "previous": pattern(digest), "previous_until": maybeEmpty(moment), "by": enum("registrar", "agent", "recovery"),
	"next_key_hash": maybeEmpty(`Qm[1-9A-HJ-NP-Za-km-z]{44}`), "KeyRotated.did_entry_hash": maybeEmpty(`Qm[1-9A-HJ-NP-Za-km-z]{44}`), "KeyEnd.did_entry_hash": maybeEmpty(`Qm[1-9A-HJ-NP-Za-km-z]{44}`),
	"KeyEnd.status": enum("retired", "compromised"), "compromised_from": maybeEmpty("(0|[1-9][0-9]{0,15})"),
	"voucher": pattern(uuid), "vouchers[]": pattern(uuid), "statements[]": pattern(digest), "VoucherRegistered.kind": enum("builder", "attester"),
	"CompositionChanged.previous": pattern(digest), "source": enum("none", "self", "sponsor", "build-signed", "runtime-attested"),
	"spawn_depth": {"type": "integer", "minimum": 0, "maximum": 8}, "spawn_max": {"type": "integer", "minimum": 0, "maximum": 1000},
	"trust": pattern(uuid), "issuer": pattern(`did:web:[A-Za-z0-9._:%-]+`), "subject": pattern(didRE), "token_keys[]": pattern(key), "terms": pattern(digest),
	"log_key": pattern(`[^+ ]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+`), "evidence": pattern(digest), "OrgDomainSet.domain": maybeEmpty(`[a-z0-9-]+(\.[a-z0-9-]+)+`),
	"TrustAlarmed.code": enum("key_not_pinned", "checkpoint_foreign", "log_forked", "log_shrunk", "did_forked"),
	"authority_level":   {"type": "integer", "minimum": 0, "maximum": 4},
	"scope":             pattern("(global|(org|agent|grant):" + uuid + ")"),
	"status":            enum("requested", "active", "suspended", "revoked"), "roles[]": enum("owner", "registrar", "policy_author", "approver", "auditor", "operator"),
	"PrincipalStatusChanged.status": enum("active", "suspended", "left"), "RolesSet.source": enum("registry", "groups"),
	"credential": pattern(uuid), "SignInChanged.issuer": pattern(uuid), "SponsorChanged.previous": pattern(uuid),
	"Actor.kind": enum("principal", "pep", "agent", "registry"), "verdict": enum("permit", "deny", "step_up"),
	"reasons[]": pattern("[a-z_]+"), "qualified_by[]": enum("unknown_action", "material", "egress", "irreversible", "verdict", "approval", "observed", "budgeted", "counted"),
	"CertificateIssued.pep": maybeEmpty(uuid), "CertificateEnded.pep": maybeEmpty(uuid), "certificate": pattern(digest), "root": pattern(digest), "issuing": pattern(digest),
	"serial": pattern("([0-9a-f]{2}){1,20}"), "CertificateIssued.kind": enum("did", "svid", "pep", "enterprise"), "CertificateIssued.issuer": pattern(digest), "names": pattern(digest),
	"not_after": pattern(moment), "rules": pattern(digest), "config": pattern(digest), "IssuerChanged.issuer": pattern(uuid), "AgentEnrolled.issuer": maybeEmpty(uuid),
	"IssuerChanged.kind": enum("entra", "okta", "kubernetes", "spiffe"), "AgentEnrolled.kind": enum("entra", "okta", "kubernetes", "spiffe", "x509"),
	"next_key_hashes[]": pattern(`Qm[1-9A-HJ-NP-Za-km-z]{44}`), "CustodyMoved.custodial": {"const": false}, "DIDUpdated.entry": {"type": "integer", "minimum": 3, "maximum": 1000},
	"approval": pattern(uuid), "approvers[]": pattern(uuid), "adg": pattern(digest), "ApprovalRequest.rule": pattern(digest), "ApprovalRulesChanged.rules": {"type": "integer", "minimum": 0, "maximum": 64}, "statement": pattern(digest), "state": enum("pending", "approved", "denied"),
	"ApprovalAnswered.verdict": enum("approve", "deny"), "authenticator": pattern(uuid), "ApprovalAnswered.authenticator": maybeEmpty(uuid), "signature_hash": maybeEmpty(digest),
	"until": maybeEmpty(moment), "was": enum("pending", "approved"), "proposed_by": pattern(uuid), "AuthenticatorChanged.kind": enum("key", "passkey"), "key_digest": pattern(digest),
	"link":    pattern(digest),
	"version": {"type": "integer", "minimum": 1, "maximum": int64(1)<<53 - 1}, "policies": {"type": "integer", "minimum": 0, "maximum": 2000}, "PoliciesActivated.previous": maybeEmpty(digest),
	"AssertedDecision.catalogue_digest": maybeEmpty(digest),
	"commitments{}":                     pattern(digest), "action": maybeEmpty(`[^:]+:[^:]+`),
	"permit": pattern(uuid), "PEPKeySet.previous": maybeEmpty(digest), "routes": pattern(digest), "report_hash": pattern(digest),
	"ObservationChanged.scope": pattern("(org|agent):" + uuid), "ObservationChanged.until": pattern(moment), "DecisionMade.observed": {"const": true}, "AssertedDecision.observed": {"const": true},
	"actions[]": pattern(`[^:]+:[^:]+`),
	"origins[]": pattern(`https?://[^/ ]+`),
	"outcome":   enum("executed", "failed", "not_executed", "compensated"),
}

// of makes the closed schema of a Go type. Every member without omitempty is
// required: an artifact has one shape.
func of(t reflect.Type, name string) schema {
	switch t.Kind() {
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return schema{"type": "integer", "minimum": 0, "maximum": int64(1)<<53 - 1}
	case reflect.Slice:
		return schema{"type": "array", "items": member("", name+"[]", t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "propertyNames": pattern("[a-z0-9_]+"), "additionalProperties": member("", name+"{}", t.Elem())}
	case reflect.Struct:
		properties, required := schema{}, []string{}
		for i := range t.NumField() {
			tag, opts, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			properties[tag] = member(t.Name(), tag, t.Field(i).Type)
			if opts != "omitempty" {
				required = append(required, tag)
			}
		}
		return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	panic("no schema for " + t.String())
}

func member(typ, name string, t reflect.Type) schema {
	for _, n := range []string{typ + "." + name, name} {
		if s, ok := members[n]; ok {
			return s
		}
	}
	return of(t, name)
}

// artifactSchema is the schema of an artifact: the envelope around the body.
func artifactSchema(i int) schema {
	e := events[i]
	s := of(reflect.TypeFor[struct {
		V      int            `json:"v"`
		Type   string         `json:"type"`
		Org    string         `json:"org"`
		Agent  string         `json:"agent,omitempty"`
		Log    string         `json:"log"`
		Seq    uint64         `json:"seq,omitempty"`
		OrgSeq uint64         `json:"org_seq"`
		Prev   string         `json:"prev,omitempty"`
		Time   string         `json:"time"`
		Actor  registry.Actor `json:"actor"`
		Trace  string         `json:"trace"`
		Nonce  string         `json:"nonce"`
	}](), "")
	properties := s["properties"].(schema)
	properties["v"], properties["type"] = schema{"const": registry.EnvelopeVersion}, schema{"const": e.name}
	properties["body"] = of(reflect.TypeOf(e.body), "")
	first := schema{"type": "integer", "minimum": 1, "maximum": int64(1)<<53 - 1}
	properties["seq"], properties["org_seq"] = first, first
	required := append(s["required"].([]string), "body")
	switch e.about {
	case noAgent:
		delete(properties, "agent")
		delete(properties, "seq")
	case anAgent:
		required = append(required, "agent", "seq")
	case maybe:
		s["dependentRequired"] = schema{"agent": []string{"seq"}, "seq": []string{"agent"}}
	}
	s["required"] = required
	// prev names the org's previous event: all but the first have one.
	s["if"] = schema{"properties": schema{"org_seq": schema{"const": 1}}}
	s["then"] = schema{"not": schema{"required": []string{"prev"}}}
	s["else"] = schema{"required": []string{"prev"}}
	s["$schema"], s["$id"] = "https://json-schema.org/draft/2020-12/schema", fmt.Sprintf("urn:writ:schema:event:%s:%d", e.name, registry.EnvelopeVersion)
	s["title"], s["description"] = fmt.Sprintf("Writ event %s, version %d", e.name, registry.EnvelopeVersion), e.doc
	return s
}

// committed compares a generated file with the committed one, or writes it.
func committed(t *testing.T, file string, v any) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is stale: go test ./docs/schemas -update", file)
	}
}

func TestSchemas(t *testing.T) {
	known := map[string]bool{"receipt.schema.json": true}
	for i, e := range events {
		file := e.name + ".schema.json"
		known[file] = true
		committed(t, file, artifactSchema(i))
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".schema.json") && !known[f.Name()] {
			t.Errorf("%s is the schema of nothing", f.Name())
		}
	}
	// The envelope above is written out; it must be the journal's.
	want := []string{}
	for i := range reflect.TypeFor[journal.Envelope]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[journal.Envelope]().Field(i).Tag.Get("json"), ",")
		want = append(want, name)
	}
	got := artifactSchema(len(events) - 1)["properties"].(schema) // a decision has every member
	for _, name := range want {
		if got[name] == nil {
			t.Errorf("the schemas lack the envelope's %s", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the schemas have %d members, the envelope %d", len(got), len(want))
	}
}

// check holds a value against a committed schema; it knows the keywords that
// the schemas use and refuses others.
func check(s map[string]any, v any, at string) (faults []string) {
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, at+": "+fmt.Sprintf(format, args...))
		}
	}
	object, isObject := v.(map[string]any)
	for keyword, arg := range s {
		switch keyword {
		case "$schema", "$id", "title", "description", "then", "else":
		case "const":
			fault(v == arg, "is %v, want %v", v, arg)
		case "enum":
			fault(slices.Contains(arg.([]any), v), "%v is none of %v", v, arg)
		case "type":
			_, isString := v.(string)
			_, isBool := v.(bool)
			_, isArray := v.([]any)
			n, isNumber := v.(float64)
			is := map[string]bool{"string": isString, "boolean": isBool, "array": isArray, "object": isObject, "integer": isNumber && n == float64(int64(n))}
			fault(is[arg.(string)], "%v is no %v", v, arg)
		case "pattern":
			text, _ := v.(string)
			fault(regexp.MustCompile(arg.(string)).MatchString(text), "%q does not match %v", v, arg)
		case "minLength":
			text, _ := v.(string)
			fault(len(text) >= int(arg.(float64)), "too short")
		case "minimum":
			n, _ := v.(float64)
			fault(n >= arg.(float64), "%v is below %v", v, arg)
		case "maximum":
			n, _ := v.(float64)
			fault(n <= arg.(float64), "%v is above %v", v, arg)
		case "items":
			list, _ := v.([]any)
			for i, it := range list {
				faults = append(faults, check(arg.(map[string]any), it, fmt.Sprintf("%s/%d", at, i))...)
			}
		case "required":
			for _, name := range arg.([]any) {
				_, has := object[name.(string)]
				fault(has, "lacks %v", name)
			}
		case "dependentRequired":
			for name, others := range arg.(map[string]any) {
				for _, other := range others.([]any) {
					_, a := object[name]
					_, b := object[other.(string)]
					fault(!a || b, "has %s and lacks %v", name, other)
				}
			}
		case "properties":
			for name, sub := range arg.(map[string]any) {
				if m, has := object[name]; has {
					faults = append(faults, check(sub.(map[string]any), m, at+"/"+name)...)
				}
			}
		case "propertyNames":
			for name := range object {
				faults = append(faults, check(arg.(map[string]any), name, at+"/"+name)...)
			}
		case "additionalProperties":
			properties, _ := s["properties"].(map[string]any)
			for name, m := range object {
				if _, named := properties[name]; named {
					continue
				}
				if sub, ok := arg.(map[string]any); ok {
					faults = append(faults, check(sub, m, at+"/"+name)...)
				} else {
					fault(arg != false, "has %s", name)
				}
			}
		case "not":
			fault(len(check(arg.(map[string]any), v, at)) > 0, "is what it must not be")
		case "if":
			branch := "then"
			if len(check(arg.(map[string]any), v, at)) > 0 {
				branch = "else"
			}
			faults = append(faults, check(s[branch].(map[string]any), v, at)...)
		default:
			fault(false, "keyword %s is not known", keyword)
		}
	}
	return faults
}

func load(t *testing.T, name string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRecordedEventsFit runs a registry through every type of event and holds
// what it recorded against the schemas, and against schemas that are closed.
func TestRecordedEventsFit(t *testing.T) {
	h := registrytest.New(t)
	ctx, call := t.Context(), h.Call()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h.Catalogue(t, registry.CatalogueAction{Action: "read:invoices", Reversibility: registry.Reversible, Material: true})
	_, err := h.CreateOrg(ctx, call, registry.NewOrg{Name: "acme"})
	must(err)
	_, err = h.CreatePrincipal(ctx, call, registry.NewPrincipal{Org: "acme", Roles: []registry.Role{registry.RoleOwner, registry.RoleAuditor}})
	must(err)
	pep := h.PEP(t, "gate", []string{registrytest.Origin}, "domain")
	p256, err := jose.GenerateP256()
	must(err)
	jwk, err := json.Marshal(p256.Public().JWK())
	must(err)
	_, err = h.RequestAgent(ctx, call, registry.NewAgent{Name: "p256", JWK: jwk, Possession: h.Possession(t, p256, registry.HouseOrg, "p256"), Org: registry.HouseOrg, Domains: []string{"finance"}, Role: "clerk"})
	must(err)
	a := h.NewAgent(t, "a")
	leaf, err := h.IssueAgentCertificate(ctx, call, a.ID, registry.NewCertificate{CSR: registrytest.CSR(t, a.Signer)})
	must(err)
	_, err = h.RevokeCertificate(ctx, call, leaf.Value.Digest, "replaced")
	must(err)
	_, err = h.IssuePEPCertificate(ctx, call, pep.Caller.ID, registry.NewCertificate{CSR: registrytest.CSR(t, registrytest.Key(40))})
	must(err)
	enterprise := h.NewEnterprise(t, "CA")
	root, err := h.EnrolRoot(ctx, call, "", registry.NewEnterpriseRoot{PEM: enterprise.PEM(), Rules: []registry.EnrolmentRule{h.Rule("uri:urn:prod:", true)}})
	must(err)
	issuer, err := h.EnrolIssuer(ctx, call, "", registry.NewWorkloadIssuer{Kind: "okta", Issuer: "https://okta.example", Rules: []registry.EnrolmentRule{h.Rule("app:", true)}})
	must(err)
	byCertificate := h.Enrolment(t, registrytest.Key(41), registry.HouseOrg, "prod-a")
	byCertificate.Presented = []*x509.Certificate{enterprise.Client(t, registrytest.Key(41), "urn:prod:a")}
	_, err = h.Enrol(ctx, call, byCertificate)
	must(err)
	byToken := h.Enrolment(t, registrytest.Key(42), registry.HouseOrg, "prod-b")
	byToken.Token = h.Tokens.Token("https://okta.example", registry.Workload{Subject: "app:b", Digest: canon.Digest([]byte("b")), Expires: h.Clock.Now().Add(time.Hour)})
	_, err = h.Enrol(ctx, call, byToken)
	must(err)
	_, err = h.RemoveRoot(ctx, call, "", root.Value.Digest)
	must(err)
	_, err = h.RemoveIssuer(ctx, call, "", issuer.Value.ID)
	must(err)
	g := a.Grant(t, "read:invoices", func(n *registry.NewGrant) { n.Domain = "finance" })
	for _, req := range []policy.Request{a.Ask(t, g, "read", "invoices", "7", ""), a.Ask(t, g, "write", "invoices", "7", "")} {
		_, err = h.PDP.Decide(ctx, a.Direct(), req)
		must(err)
	}
	toolKey, err := json.Marshal(registrytest.Key(43).Public().JWK())
	must(err)
	set, err := h.SetPEPKey(ctx, call, pep.Caller.ID, toolKey)
	must(err)
	pep.Caller.PEP = &set.Value
	table := route.Table{Audience: registrytest.Origin, Routes: []route.Route{{Method: "GET", Path: "/invoices/{id}", Action: "read:invoices", Resource: "{id}"}}}
	_, err = h.SetPEPCallbacks(ctx, call, pep.Caller.ID, []string{"https://erp.example"})
	must(err)
	_, err = h.SetPEPRoutes(ctx, call, registry.NewPEPRoutes{PEP: pep.Caller.ID, Table: table})
	must(err)
	for i := range 2 { // what became of one is reported
		req := a.Ask(t, g, "read", "invoices", "7", "")
		req.Permit = true
		d, err := h.PDP.Decide(ctx, pep, req)
		must(err)
		_, err = h.RedeemPermit(ctx, pep, d.Permit)
		must(err)
		if i == 0 {
			report, err := capability.SignOutcome(registrytest.Key(43), capability.OutcomeClaims{Audience: registrytest.Origin, Permit: d.ID, Outcome: capability.Executed, IssuedAt: 1})
			must(err)
			_, err = h.ReportOutcome(ctx, pep, d.ID, report)
			must(err)
		}
	}
	unproven := a.Ask(t, g, "read", "invoices", "7", "")
	unproven.Proof, unproven.Token = "x", capability.Tokens{"x"}
	_, err = h.PDP.Decide(ctx, pep, unproven)
	must(err)
	for _, s := range []registry.Scope{{Kind: registry.ScopeGlobal}, {Kind: registry.ScopeOrg, ID: a.Org}, {Kind: registry.ScopeAgent, ID: a.ID}, {Kind: registry.ScopeGrant, ID: g.ID}} {
		_, err = h.SetKill(ctx, call, s, "drill")
		must(err)
		_, err = h.ReleaseKill(ctx, call, s, "")
		must(err)
	}
	_, err = h.RevokeLink(ctx, call, registry.LinkRevocation{Grant: g.ID, Hash: g.TokenHash, Reason: "drill"})
	must(err)
	_, err = h.RevokeGrant(ctx, call, g.ID, "over")
	must(err)
	_, err = h.SetOrgPolicy(ctx, call, registry.HouseOrg, registry.OrgPolicy{WarnKeyAge: 3600})
	must(err)
	h.TXT.Set("_writ.agents.acme.example", "org="+a.Org)
	_, err = h.SetDomain(ctx, call, registry.HouseOrg, "agents.acme.example")
	must(err)
	trust := h.Trust(t, "did:web:other.example")
	foreign, err := did.Parse(trust.Issuer)
	must(err)
	must(h.RaiseAlarm(ctx, trust.ID, registry.FollowedIssuer, foreign, registry.AlarmLogFork, "drill", canon.Digest(nil)))
	_, err = h.RemoveTrust(ctx, call, trust.ID, "drill")
	must(err)
	_, err = h.SetSpawn(ctx, call, a.ID, registry.Spawn{Depth: 1, Max: 2})
	must(err)
	a.Child(t, "child")
	a.Rotate(t)
	_, err = h.EndKey(ctx, call, a.ID, a.Thumbprint, true, nil, "stolen-laptop")
	must(err)
	builder := registrytest.Key(20)
	builderJWK, err := json.Marshal(builder.Public().JWK())
	must(err)
	voucher, err := h.RegisterVoucher(ctx, call, registry.NewVoucher{Kind: registry.VoucherBuilder, Name: "ci", JWK: builderJWK})
	must(err)
	part := capability.Part{Kind: "tools", Name: "t", Digest: strings.Repeat("ab", 32)}
	now := h.Clock.Now().Unix()
	statement, err := capability.SignComposition(builder, capability.CompositionClaims{Audience: registrytest.Origin, ID: capability.NewJTI(), IssuedAt: now, Expires: now + 60, Parts: []capability.Part{part}})
	must(err)
	_, err = h.SetComposition(ctx, call, a.ID, registry.NewComposition{Parts: []registry.Component{{Kind: part.Kind, Name: part.Name, Digest: part.Digest, Source: registry.SourceBuild}}, Statements: []string{statement}})
	must(err)
	_, err = h.RevokeVoucher(ctx, call, voucher.Value.ID, "over")
	must(err)
	_, err = h.SuspendAgent(ctx, call, a.ID, "drill")
	must(err)
	_, err = h.ResumeAgent(ctx, call, a.ID, "")
	must(err)
	_, err = h.RevokeAgent(ctx, call, a.ID, "key-compromise")
	must(err)
	_, err = h.Tend(ctx, 10)
	must(err)
	h.Clock.Add(time.Hour)
	_, err = h.Settle(ctx, 10)
	must(err)

	clerk, err := h.CreatePrincipal(ctx, call, registry.NewPrincipal{Roles: []registry.Role{registry.RoleAuditor}})
	must(err)
	person := clerk.Value.ID
	b := h.NewAgent(t, "b")
	b.HandOver(t, registrytest.Key(50))
	h.Clock.Add(2 * time.Second)
	_, err = h.AppendDID(ctx, b.Signed(), b.ID, json.RawMessage(b.NextEntry(t, registrytest.Key(50), registrytest.Key(51)).Line))
	must(err)
	_, err = h.SetSponsor(ctx, call, b.ID, person)
	must(err)
	for _, owner := range []registry.Actor{{Kind: registry.ActorPrincipal, ID: person}, {Kind: registry.ActorPEP, ID: pep.Caller.ID}} {
		_, err = h.RotateCredential(ctx, call, owner, time.Hour)
		must(err)
		fresh, err := h.RotateCredential(ctx, call, owner, 0)
		must(err)
		_, err = h.RevokeCredential(ctx, call, owner, fresh.Value.ID, "drill")
		must(err)
	}
	people, err := h.SetSignInIssuer(ctx, call, "", registry.NewIssuer{URL: "https://idp.example", ClientID: "writ", GroupsClaim: "groups", Mapping: map[string][]registry.Role{"Staff": {registry.RoleAuditor}}})
	must(err)
	_, err = h.SignIn(ctx, call.Trace, registry.Identified{Issuer: people.Value, Subject: "alice", Roles: []registry.Role{registry.RoleAuditor}})
	must(err)
	_, err = h.RemoveSignInIssuer(ctx, call, "", people.Value.ID)
	must(err)
	_, err = h.SetRoles(ctx, call, person, []registry.Role{registry.RoleApprover})
	must(err)
	_, err = h.SuspendPrincipal(ctx, call, person, "drill")
	must(err)
	_, err = h.ResumePrincipal(ctx, call, person, "")
	must(err)
	_, err = h.EndPrincipal(ctx, call, person, "left")
	must(err)

	payer, ann := h.NewAgent(t, "payer"), h.Human(t, "", registry.RoleApprover, registry.RoleOwner)
	bob := h.Human(t, "", registry.RoleOwner)
	pays := payer.Grant(t, "wire:money")
	request := func(args string) (policy.Request, registry.Approval) {
		req := payer.Ask(t, pays, "wire", "money", "m", args)
		d, err := h.PDP.Decide(ctx, pep, req)
		must(err)
		record, err := h.RequestFor(t, pep, d, req)
		must(err)
		return payer.Ask(t, pays, "wire", "money", "m", args), record
	}
	again, record := request(`{"n":1}`)
	ann.Approve(t, record)
	again.Approval = record.ID
	_, err = h.PDP.Decide(ctx, pep, again)
	must(err)
	_, record = request(`{"n":2}`)
	for _, who := range []*registrytest.Human{ann, bob} {
		_, err = h.AnswerApproval(ctx, who.Call(), record.ID, who.Signed(t, record, capability.Approve, true))
		must(err)
	}
	h.Clock.Add(time.Hour)
	_, err = h.TrackApproval(ctx, pep, record.ID, 0)
	must(err)
	_, record = request(`{"n":3}`)
	_, err = h.CancelApproval(ctx, pep, record.ID, "not-needed")
	must(err)
	rules, err := h.ProposeApprovalRules(ctx, ann.Call(), "", []registry.ApprovalRule{registry.DefaultApproval})
	must(err)
	_, err = h.ActivateApprovalRules(ctx, bob.Call(), "", rules.Value.Proposed.Digest)
	must(err)
	_, err = h.EndAuthenticator(ctx, bob.Call(), bob.ID, bob.Authenticator.ID, "lost")
	must(err)
	for _, id := range []string{"staff", "gone"} {
		_, err = h.PutEntity(ctx, call, registry.HouseOrg, registry.Entity{Type: "group", ID: id})
		must(err)
	}
	_, err = h.PutEntity(ctx, call, registry.HouseOrg, registry.Entity{Type: "user", ID: "alice", Properties: []byte(`{"grade":3}`), Parents: []registry.EntityRef{{Type: "group", ID: "staff"}}})
	must(err)
	_, err = h.DeleteEntity(ctx, call, registry.HouseOrg, "group", "gone")
	must(err)
	_, err = h.PutGrantTemplate(ctx, call, registry.HouseOrg, registry.GrantTemplate{Name: "reader", Capabilities: "read:invoices"})
	must(err)
	_, err = h.DeleteGrantTemplate(ctx, call, registry.HouseOrg, "reader")
	must(err)
	drafted, err := h.DraftPolicies(ctx, call, registry.HouseOrg, `permit(principal in group::"staff", action == Action::"read:invoices", resource);`)
	must(err)
	_, err = h.ActivatePolicies(ctx, call, registry.HouseOrg, drafted.Value.Version)
	must(err)
	for _, who := range []string{"alice", "bob"} {
		_, err = h.PDP.Decide(ctx, h.PEP(t, "gate-"+who, []string{registrytest.Origin}), policy.Request{SubjectType: "user", Subject: who,
			Act: capability.Act{Action: "read", Resource: capability.Resource{Type: "invoices", ID: "7"}}})
		must(err)
	}

	_, err = h.ObserveAgent(ctx, call, payer.ID, h.Clock.Now().Add(time.Hour), "drill")
	must(err)
	d, err := h.PDP.Decide(ctx, pep, payer.Ask(t, pays, "read", "invoices", "7", ""))
	must(err)
	if !d.Observed {
		t.Errorf("not observed: %+v", d)
	}
	_, err = h.UnobserveAgent(ctx, call, payer.ID)
	must(err)
	_, err = h.ObserveOrg(ctx, call, "", h.Clock.Now().Add(time.Hour), "drill")
	must(err)
	_, err = h.SetActions(ctx, call, payer.ID, []string{"read:invoices"})
	must(err)
	_, err = h.ClearActions(ctx, call, payer.ID)
	must(err)

	recorded, err := h.ListEvents(ctx, h.Operator, "", "", registry.EventFilter{Page: registry.Page{Limit: registry.MaxPage}})
	must(err)
	seen := map[string]bool{}
	for _, ev := range recorded {
		seen[ev.Type] = true
		s := load(t, ev.Type)
		var v map[string]any
		must(json.Unmarshal(ev.Artifact, &v))
		for _, f := range check(s, v, "") {
			t.Errorf("%s: %s\n%s", ev.Type, f, ev.Artifact)
		}
		v["body"].(map[string]any)["more"] = 1.0
		if len(check(s, v, "")) == 0 {
			t.Errorf("the schema of %s is not closed", ev.Type)
		}
	}
	for _, e := range events {
		if !seen[e.name] {
			t.Errorf("no %s was recorded", e.name)
		}
	}
	must(canon.CheckArtifact(recorded[0].Artifact))
}
