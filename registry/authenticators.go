package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/capability"
)

// Passkeys is the port to WebAuthn (W3C Web Authentication, level 3), user verification
// required and the origin that of the registry. It is safe for concurrent use.
//
// Register reads a browser's RegistrationResponseJSON to a challenge, for a user handle
// (a principal's id), and returns the credential's id in base64url, its public key (nil
// where it is of a kind that JWKs here do not have), and a record of it.
// Verify reads an AuthenticationResponseJSON by the credential of a record, and returns
// the record after this use. Whatever is not as it must be is an error.
type Passkeys interface {
	Register(challenge []byte, user string, response json.RawMessage) (id string, key *jose.JWK, record json.RawMessage, err error)
	Verify(challenge []byte, user string, record, response json.RawMessage) (after json.RawMessage, err error)
}

// The kinds of authenticators.
const (
	AuthenticatorKey     = "key"     // a key of the human's own: Ed25519 or P-256
	AuthenticatorPasskey = "passkey" // WebAuthn
)

// AuthenticatorState is where an authenticator is in its life.
type AuthenticatorState string

const (
	AuthenticatorPending AuthenticatorState = "pending" // waits for another human
	AuthenticatorActive  AuthenticatorState = "active"
	AuthenticatorEnded   AuthenticatorState = "ended" // for good
)

// Authenticator is what a human signs approvals with.
type Authenticator struct {
	ID        string             `json:"id"` // UUIDv7
	Org       string             `json:"org"`
	Principal string             `json:"principal"`
	Kind      string             `json:"kind"`
	Name      string             `json:"name"`
	State     AuthenticatorState `json:"state"`
	Handle    string             `json:"handle"` // thumbprint of the key, or credential id
	JWK       *jose.JWK          `json:"jwk,omitempty"`
	Record    json.RawMessage    `json:"record,omitempty"` // of the passkey
	Created   time.Time          `json:"created"`
	By        string             `json:"activated_by,omitempty"` // principal
}

const (
	maxAuthenticators = 16               // of a human that have not ended
	challengeLife     = 10 * time.Minute // of a registration
)

func (a Authenticator) changed(event, reason string) *EventDraft {
	digest := a.Handle
	if a.Kind == AuthenticatorPasskey {
		digest = canon.Digest([]byte(a.Handle))
	}
	return &EventDraft{Type: event, Org: a.Org, Body: AuthenticatorChanged{a.ID, a.Principal, a.Kind, digest, reason}}
}

// NewAuthenticator is the input of AddAuthenticator: a key and the proof that the human
// holds it, or what a browser answered to a challenge.
type NewAuthenticator struct {
	Name       string
	JWK        json.RawMessage
	Possession string // authenticator+jwt by that key

	Challenge string          // of NewChallenge
	Response  json.RawMessage // RegistrationResponseJSON
}

// NewChallenge begins the registration of a passkey. It returns the challenge for the
// browser, and a token that comes back with the answer within ten minutes.
func (r *Registry) NewChallenge(c Caller) (challenge, token string, err error) {
	if c.Kind != ActorPrincipal {
		return "", "", Errorf(Denied, "only a human has passkeys")
	}
	if r.Passkeys == nil || r.Sealer == nil {
		return "", "", Errorf(NotFound, "passkeys are not set up here")
	}
	plain := binary.BigEndian.AppendUint64([]byte(canon.Nonce(16)), uint64(r.now().Add(challengeLife).Unix()))
	token = r.Sealer.Seal(plain, "passkey of "+c.ID)
	sum := sha256.Sum256([]byte(token))
	return jose.EncodeBase64(sum[:]), token, nil
}

// openChallenge returns the challenge that a token stands for, while it does.
func (r *Registry) openChallenge(c Caller, token string) ([]byte, error) {
	refuse := &Error{Kind: Malformed, Code: "challenge", Field: "/challenge", Detail: "the challenge is not of this human, or too old; begin again"}
	if r.Passkeys == nil || r.Sealer == nil {
		return nil, Errorf(NotFound, "passkeys are not set up here")
	}
	plain, err := r.Sealer.Open(token, "passkey of "+c.ID)
	if err != nil || len(plain) < 8 || r.now().Unix() >= int64(binary.BigEndian.Uint64(plain[len(plain)-8:])) {
		return nil, refuse
	}
	sum := sha256.Sum256([]byte(token))
	return sum[:], nil
}

// AddAuthenticator registers what the caller will sign with. It counts once another
// human has activated it. An agent's key is nobody's.
func (r *Registry) AddAuthenticator(ctx context.Context, call Call, in NewAuthenticator) (Outcome[Authenticator], error) {
	if call.Caller.Kind != ActorPrincipal {
		return Outcome[Authenticator]{}, Errorf(Denied, "only a human approves")
	}
	if err := checkText("/name", in.Name, maxName, true); err != nil {
		return Outcome[Authenticator]{}, err
	}
	a := Authenticator{ID: NewID(), Org: call.Caller.Org, Principal: call.Caller.ID, Name: in.Name, State: AuthenticatorPending, Created: r.now()}
	var err error
	if len(in.Response) > 0 {
		err = r.readPasskey(call.Caller, in, &a)
	} else {
		err = r.readKey(call.Caller, in, &a)
	}
	if err != nil {
		return Outcome[Authenticator]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (Authenticator, *EventDraft, error) {
		mine, err := tx.ListAuthenticators(a.Principal)
		if err != nil {
			return a, nil, err
		}
		mine = slices.DeleteFunc(mine, func(a Authenticator) bool { return a.State == AuthenticatorEnded })
		if len(mine) >= maxAuthenticators {
			return a, nil, Errorf(Conflict, "this human has %d authenticators; end one first", maxAuthenticators)
		}
		holders, err := tx.SearchAgents(AgentQuery{Org: a.Org, Thumbprint: a.Handle, Page: Page{Limit: 1}})
		if err != nil {
			return a, nil, err
		}
		if len(holders) > 0 {
			return a, nil, &Error{Kind: Conflict, Code: "key_taken", Field: "/jwk", Detail: "it is an agent's key: agents do not approve"}
		}
		return a, a.changed(EventAuthenticatorAdded, ""), tx.InsertAuthenticator(a)
	})
}

func (r *Registry) readKey(c Caller, in NewAuthenticator, a *Authenticator) error {
	key, err := parseKey(in.JWK)
	if err != nil {
		return err
	}
	pop, err := capability.ParseAuthenticator(in.Possession)
	if err == nil {
		err = pop.Verify(key, r.Origin, c.ID, r.Now())
	}
	if err != nil {
		return proofError("/possession", err)
	}
	jwk := key.JWK()
	a.Kind, a.Handle, a.JWK = AuthenticatorKey, key.Thumbprint(), &jwk
	return nil
}

func (r *Registry) readPasskey(c Caller, in NewAuthenticator, a *Authenticator) error {
	challenge, err := r.openChallenge(c, in.Challenge)
	if err != nil {
		return err
	}
	a.Kind = AuthenticatorPasskey
	if a.Handle, a.JWK, a.Record, err = r.Passkeys.Register(challenge, c.ID, in.Response); err != nil {
		return &Error{Kind: Malformed, Code: "passkey", Field: "/response", Detail: err.Error(), Err: err}
	}
	return nil
}

func proofError(field string, err error) error {
	e := &Error{Kind: Malformed, Field: field, Detail: err.Error(), Err: err}
	var pe *capability.ProofError
	if errors.As(err, &pe) {
		e.Code = string(pe.Code)
	}
	return e
}

// ActivateAuthenticator lets an authenticator count. An owner of the human's org may,
// and for the first one of an org an operator; never the human whose it is.
func (r *Registry) ActivateAuthenticator(ctx context.Context, call Call, principal, id string) (Outcome[Authenticator], error) {
	return commit(ctx, r, call, false, func(tx Tx) (Authenticator, *EventDraft, error) {
		a, err := authenticatorOf(tx, call.Caller, principal, id)
		if err != nil {
			return a, nil, err
		}
		c := call.Caller
		if owner := c.Org == a.Org && slices.Contains(c.Roles, RoleOwner); !owner {
			n, err := tx.CountAuthenticators(a.Org)
			if err != nil {
				return a, nil, err
			}
			if n > 0 || !c.Operator() {
				return a, nil, Errorf(Denied, "an owner of the org activates authenticators; an operator only its first")
			}
		}
		switch {
		case c.ID == a.Principal:
			return a, nil, notAlone("another human activates what one will sign with")
		case a.State == AuthenticatorEnded:
			return a, nil, Errorf(Revoked, "the authenticator has ended, for good")
		case a.State == AuthenticatorActive:
			return a, nil, nil
		}
		a.State, a.By = AuthenticatorActive, c.ID
		return a, a.changed(EventAuthenticatorActivated, ""), tx.UpdateAuthenticator(a)
	})
}

// EndAuthenticator ends an authenticator for good: what it approved and was not used
// counts no more. Its human may, and an owner.
func (r *Registry) EndAuthenticator(ctx context.Context, call Call, principal, id, reason string) (Outcome[Authenticator], error) {
	if err := checkReason(reason); err != nil {
		return Outcome[Authenticator]{}, err
	}
	return commit(ctx, r, call, true, func(tx Tx) (Authenticator, *EventDraft, error) {
		a, err := authenticatorOf(tx, call.Caller, principal, id)
		if err == nil && call.Caller.ID != a.Principal {
			err = call.Caller.may(a.Org, RoleOwner)
		}
		if err != nil || a.State == AuthenticatorEnded {
			return a, nil, err
		}
		a.State = AuthenticatorEnded
		return a, a.changed(EventAuthenticatorEnded, reason), tx.UpdateAuthenticator(a)
	})
}

// authenticatorOf finds a human's authenticator for somebody who may see the human.
func authenticatorOf(tx Tx, c Caller, principal, id string) (Authenticator, error) {
	if err := first(checkID("/principal", principal), checkID("/authenticator", id)); err != nil {
		return Authenticator{}, err
	}
	a, err := tx.Authenticator(id)
	if err == nil && a.Principal != principal {
		err = NotFound
	}
	if err == nil {
		err = c.sees(a.Org)
	}
	return a, hide(err, "authenticator")
}

// ListAuthenticators lists what a human signs or signed with, for anyone of the org.
func (r *Registry) ListAuthenticators(ctx context.Context, c Caller, principal string) ([]Authenticator, error) {
	p, err := r.FindPrincipal(ctx, c, principal)
	if err != nil && c.ID == principal {
		p, err = r.Self(ctx, c)
	}
	var list []Authenticator
	if err == nil {
		err = r.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.ListAuthenticators(p.ID); return err })
	}
	return list, err
}

// signed verifies an approver's signature over the SHA-256 of a statement, by one of
// their authenticators that counts.
func (r *Registry) signed(tx Tx, a Approval, in NewAnswer, statement string) (Authenticator, string, error) {
	refuse := func(code, detail string) (Authenticator, string, error) {
		return Authenticator{}, "", &Error{Kind: Denied, Code: code, Detail: detail}
	}
	handle, err := in.handle()
	if err != nil {
		return Authenticator{}, "", err
	}
	k, err := tx.AuthenticatorByHandle(handle)
	switch {
	case errors.Is(err, NotFound) || err == nil && k.Principal != in.by:
		return refuse("authenticator_unknown", "this is no authenticator of the caller's")
	case err != nil:
		return k, "", err
	case k.State != AuthenticatorActive:
		return refuse("authenticator_"+string(k.State), "the authenticator is "+string(k.State))
	}
	if k.Kind == AuthenticatorPasskey {
		if r.Passkeys == nil {
			return refuse("passkey", "passkeys are not set up here")
		}
		challenge, err := jose.DecodeBase64(statement)
		if err != nil {
			return k, "", fmt.Errorf("digest of approval %s: %w", a.ID, err)
		}
		if k.Record, err = r.Passkeys.Verify(challenge, k.Principal, k.Record, in.Assertion); err != nil {
			return Authenticator{}, "", &Error{Kind: Denied, Code: "passkey", Field: "/assertion", Detail: err.Error(), Err: err}
		}
		return k, canon.Digest(in.Assertion), tx.UpdateAuthenticator(k) // its counter
	}
	// An agent may have been given the key since.
	keys, err := tx.AgentKeys(a.Agent)
	if err != nil {
		return k, "", err
	}
	if slices.ContainsFunc(keys, func(x AgentKey) bool { return x.Thumbprint == k.Handle }) {
		return refuse("authenticator_agent", "the key is the agent's: agents do not approve")
	}
	key, err := k.JWK.PublicKey()
	if err != nil {
		return k, "", err
	}
	err = in.parsed.Verify(capability.ApprovalCheck{Key: key, Now: r.Now(), Origin: r.Origin, Approval: a.ID, Statement: statement, Verdict: in.Verdict})
	if err != nil {
		var pe *capability.ProofError
		errors.As(err, &pe)
		return Authenticator{}, "", &Error{Kind: Denied, Code: "signature_" + string(pe.Code), Field: "/signature", Detail: err.Error(), Err: err}
	}
	return k, in.parsed.Hash(), nil
}
