package workload

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/writ-registry/writ/registry/pki"
)

// Kind is the shape of an issuer's tokens.
type Kind string

const (
	// Entra: access tokens v2.0 of Microsoft Entra ID for an application, not a user.
	Entra Kind = "entra"
	// Okta: access tokens of a custom authorization server for client credentials.
	Okta Kind = "okta"
	// Kubernetes: bound service account tokens (KEP-1205).
	Kubernetes Kind = "kubernetes"
	// SPIFFE: JWT-SVIDs.
	SPIFFE Kind = "spiffe"
)

// entraHosts are the clouds of Entra ID.
var entraHosts = []string{"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}

// entraTenant returns the tenant that an issuer of Entra ID, https://host/{tid}/v2.0, is of.
// Issuers for all tenants, such as common, have none: anybody can make a tenant.
func entraTenant(issuer string) (string, bool) {
	for _, host := range entraHosts {
		rest, ok := strings.CutPrefix(issuer, "https://"+host+"/")
		tid, isV2 := strings.CutSuffix(rest, "/v2.0")
		if ok && isV2 && isUUID(tid) {
			return tid, true
		}
	}
	return "", false
}

func isUUID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// secureURL reports whether s is an https URL with a host and without user, query and
// fragment (OpenID Connect Discovery 1.0 section 3).
func secureURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.Opaque == ""
}

// identify reads what a token says of its workload, by the rules of its kind, into w.
func (c Config) identify(t token, w *Workload) error {
	switch c.Kind {
	case Entra:
		return c.identifyEntra(t, w)
	case Okta:
		return identifyOkta(t, w)
	case Kubernetes:
		return identifyKubernetes(t, w)
	default:
		return c.identifySPIFFE(t, w)
	}
}

// identifyEntra takes application tokens alone: idtyp is app, and there is no scp, which
// marks a user's. idtyp is an optional claim that the app registration must ask for:
// without it the two can only be guessed apart.
func (c Config) identifyEntra(t token, w *Workload) error {
	var e struct {
		Tid   string          `json:"tid"`
		Oid   string          `json:"oid"`
		Azp   string          `json:"azp"`
		Idtyp string          `json:"idtyp"`
		Ver   string          `json:"ver"`
		Uti   string          `json:"uti"`
		Scp   json.RawMessage `json:"scp"`
	}
	if err := t.decode(&e); err != nil {
		return err
	}
	tenant, _ := entraTenant(c.Issuer)
	switch {
	case e.Ver != "2.0":
		return fail(NotWorkload, "ver is not 2.0")
	case e.Tid != tenant:
		return fail(NotWorkload, "tid is not the tenant of the issuer")
	case e.Idtyp != "app" || e.Scp != nil:
		return fail(NotWorkload, "idtyp is not app: add the optional claim idtyp to the app registration")
	case !isUUID(e.Oid) || !isUUID(e.Azp):
		return fail(NotWorkload, "oid or azp is no UUID")
	}
	if w.ID == "" {
		w.ID = e.Uti
	}
	w.Subject = e.Oid // of the service principal: the application's object in this tenant
	w.Attributes = map[string]string{"tid": e.Tid, "oid": e.Oid, "azp": e.Azp}
	return nil
}

// identifyOkta takes tokens for client credentials: the subject is the client itself, and
// there is no user.
func identifyOkta(t token, w *Workload) error {
	var o struct {
		Cid string          `json:"cid"`
		Uid json.RawMessage `json:"uid"`
	}
	if err := t.decode(&o); err != nil {
		return err
	}
	if o.Cid == "" || t.claims.Sub != o.Cid || o.Uid != nil {
		return fail(NotWorkload, "sub is not the client: the token is not for client credentials")
	}
	w.Subject = o.Cid
	w.Attributes = map[string]string{"cid": o.Cid}
	return nil
}

// identifyKubernetes takes bound service account tokens. The uid tells a service account
// from a later one of its name.
func identifyKubernetes(t token, w *Workload) error {
	type object struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	}
	var k struct {
		Claim struct {
			Namespace      string `json:"namespace"`
			ServiceAccount object `json:"serviceaccount"`
			Pod            object `json:"pod"`
			Node           object `json:"node"`
		} `json:"kubernetes.io"`
	}
	if err := t.decode(&k); err != nil {
		return err
	}
	namespace, account := k.Claim.Namespace, k.Claim.ServiceAccount
	if namespace == "" || account.Name == "" || account.UID == "" || strings.Contains(namespace+account.Name, ":") ||
		t.claims.Sub != "system:serviceaccount:"+namespace+":"+account.Name {
		return fail(NotWorkload, "sub is not the service account of the claim kubernetes.io")
	}
	w.Subject = t.claims.Sub
	w.Attributes = map[string]string{"namespace": namespace, "serviceaccount": account.Name, "serviceaccount_uid": account.UID}
	for name, value := range map[string]string{"pod": k.Claim.Pod.Name, "pod_uid": k.Claim.Pod.UID, "node": k.Claim.Node.Name} {
		if value != "" {
			w.Attributes[name] = value
		}
	}
	return nil
}

// identifySPIFFE takes JWT-SVIDs of the configured trust domain (JWT-SVID section 3.1).
func (c Config) identifySPIFFE(t token, w *Workload) error {
	id, err := pki.ParseSPIFFEID(t.claims.Sub)
	if err != nil || id.TrustDomain() != c.TrustDomain {
		return fail(NotWorkload, "sub is no SPIFFE ID of the trust domain")
	}
	w.Subject = id.String()
	w.Attributes = map[string]string{"trust_domain": c.TrustDomain}
	return nil
}
