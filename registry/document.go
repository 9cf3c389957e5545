package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry/did"
)

// Limits of a controller's document.
const (
	maxAliases  = 16
	maxServices = 16
	maxURI      = 512
)

// checkParameters refuses parameters that the registry would publish against its own
// interest: advice to keep the document for long, which a rotation would wait for.
func checkParameters(log did.Resolution) error {
	if log.TTL > maxDIDTTL {
		return badState("/parameters/ttl", "is longer than %d seconds", maxDIDTTL/time.Second)
	}
	if len(log.Watchers) > maxWatchers {
		return badState("/parameters/watchers", "more than %d", maxWatchers)
	}
	for i, w := range log.Watchers {
		if !isURI(w, "https") {
			return badState(fmt.Sprintf("/parameters/watchers/%d", i), "is no https URL of at most %d bytes", maxURI)
		}
	}
	return nil
}

func badState(at, format string, args ...any) *Error {
	e := Invalid("/entry"+at, format, args...)
	e.Code = "did_document"
	return e
}

// checkDocument holds a controller's document against what the registry knows of the
// agent. Members that this package does not know are refused: a key may hide there.
func (r *Registry) checkDocument(tx Tx, a Agent, state json.RawMessage, now time.Time) error {
	var doc did.Document
	if err := canon.Unmarshal(state, &doc); err != nil {
		return badState("/state", "%v", err)
	}
	if doc.ID != a.DID {
		return badState("/state/id", "is not the agent's DID")
	}
	if !slices.Equal(doc.Context, did.Strings{did.ContextDID, did.ContextMultikey}) {
		return badState("/state/@context", "must be %s and %s", did.ContextDID, did.ContextMultikey)
	}
	if err := a.checkMethods(doc, now); err != nil {
		return err
	}
	if err := checkServices(doc); err != nil {
		return err
	}
	if len(doc.Controller) > maxNextKeys {
		return badState("/state/controller", "more than %d", maxNextKeys)
	}
	for i, c := range doc.Controller {
		if _, err := did.Parse(c); err != nil {
			return badState(fmt.Sprintf("/state/controller/%d", i), "%v", err)
		}
	}
	return r.checkAliases(tx, a, doc)
}

// checkMethods: every key is one that counts as the agent's, by its own name; one on
// its way out says so, and the relationships name no other.
func (a Agent) checkMethods(doc did.Document, now time.Time) error {
	var counts []string
	if a.Status != AgentRevoked {
		var err error
		if counts, err = a.multikeysAt(now); err != nil {
			return err
		}
	}
	var ids []string
	for i, m := range doc.VerificationMethod {
		at := fmt.Sprintf("/state/verificationMethod/%d", i)
		switch {
		case !slices.Contains(counts, m.PublicKeyMultibase):
			return &Error{Kind: Conflict, Code: "did_key", Field: "/entry" + at, Detail: "the registry knows of no such key that counts as the agent's; keys are added, rotated and ended there first"}
		case m.Type != "Multikey" || m.Controller != doc.ID || m.ID != doc.ID+"#"+m.PublicKeyMultibase || m.Revoked != "":
			return badState(at, "must be a Multikey that is named by itself and controlled by the DID, without revoked")
		case slices.Contains(ids, m.ID):
			return badState(at, "is named twice")
		}
		if err := a.checkExpiry(m, at); err != nil {
			return err
		}
		ids = append(ids, m.ID)
	}
	for name, list := range map[string][]string{
		"authentication": doc.Authentication, "assertionMethod": doc.AssertionMethod,
		"capabilityInvocation": doc.CapabilityInvocation, "capabilityDelegation": doc.CapabilityDelegation,
	} {
		for i, id := range list {
			if !slices.Contains(ids, id) {
				return badState(fmt.Sprintf("/state/%s/%d", name, i), "is none of the document's own keys")
			}
		}
	}
	return nil
}

// checkExpiry: the document says of an earlier key that it ends no later than it does.
func (a Agent) checkExpiry(m did.VerificationMethod, at string) error {
	expires, err := time.Parse(time.RFC3339, m.Expires)
	if m.Expires != "" && err != nil {
		return badState(at+"/expires", "is no date and time")
	}
	for _, k := range a.Retiring {
		key, err := k.JWK.PublicKey()
		if err != nil {
			return err
		}
		if key.Multikey() == m.PublicKeyMultibase && (m.Expires == "" || expires.After(k.NotAfter)) {
			return badState(at+"/expires", "must be %s at the latest, when the key ends", k.NotAfter.Format(time.RFC3339))
		}
	}
	return nil
}

// checkServices: few and short ones, none of which says that the keys are in custody.
func checkServices(doc did.Document) error {
	if len(doc.Service) > maxServices {
		return badState("/state/service", "more than %d", maxServices)
	}
	var ids []string
	for i, s := range doc.Service {
		at := fmt.Sprintf("/state/service/%d", i)
		id := s.ID
		if strings.HasPrefix(id, "#") {
			id = doc.ID + id
		}
		of, fragment, err := did.ParseURL(id)
		switch {
		case err != nil || of.String() != doc.ID || fragment == "" || slices.Contains(ids, id):
			return badState(at+"/id", "must be a fragment of the DID, once")
		case s.Type == did.CustodyService:
			return badState(at+"/type", "the update keys are not in custody")
		case checkText("", s.Type, maxName, true) != nil:
			return badState(at+"/type", "must be a text of 1 to %d bytes", maxName)
		case !isURI(s.ServiceEndpoint, "https", "did"):
			return badState(at+"/serviceEndpoint", "must be an https or did URI of at most %d bytes", maxURI)
		case s.Context != "" && !isURI(s.Context, "https"):
			return badState(at+"/@context", "must be an https URL of at most %d bytes", maxURI)
		}
		ids = append(ids, id)
	}
	return nil
}

// checkAliases: the parallel did:web stays, and no DID of another agent is claimed.
func (r *Registry) checkAliases(tx Tx, a Agent, doc did.Document) error {
	const at = "/state/alsoKnownAs"
	if len(doc.AlsoKnownAs) > maxAliases {
		return badState(at, "more than %d", maxAliases)
	}
	if !slices.Contains(doc.AlsoKnownAs, a.WebDID) {
		return badState(at, "lacks the parallel %s", a.WebDID)
	}
	for i, alias := range doc.AlsoKnownAs {
		if !isURI(alias, "https", "did") {
			return badState(fmt.Sprintf("%s/%d", at, i), "must be an https or did URI of at most %d bytes", maxURI)
		}
		d, err := did.Parse(alias)
		if err != nil || alias == a.WebDID {
			continue
		}
		other, err := tx.AgentByDID(alias)
		if err == nil && other.ID == a.ID {
			continue
		}
		if err == nil || r.Hosts(d) {
			return badState(fmt.Sprintf("%s/%d", at, i), "is a DID of this registry, and not the agent's")
		}
		if !errors.Is(err, NotFound) {
			return err
		}
	}
	return nil
}

// isURI reports whether s is a URI of one of the schemes and of a fair length.
func isURI(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURI && slices.Contains(schemes, u.Scheme) && (u.Host != "" || u.Opaque != "" && u.Scheme == "did") &&
		checkText("", s, maxURI, true) == nil
}
