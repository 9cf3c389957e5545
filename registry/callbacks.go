package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A callback tells an enforcement point that its request for approval is not pending any
// more (AuthZEN Access Request and Approval Profile, draft 1, section "Callback
// Completion"). It is a notice only: what counts is what the request's status says. What
// there is to tell is a row of the transaction that ended the request, so that it is told
// at least once; package notify sends it.

// NewCallback is where a requester wants to be told.
type NewCallback struct {
	Endpoint string   // of an origin that is registered for the enforcement point
	State    string   // comes back as it is; may be empty
	Events   []string // names of states; empty: all. Unknown ones are passed over
}

// Callback is what is to be told of one request.
type Callback struct {
	Approval string          `json:"approval"`
	PEP      string          `json:"pep"`
	Endpoint string          `json:"endpoint"`
	State    string          `json:"state,omitempty"` // the requester's; erased when it is over
	Events   []ApprovalState `json:"events,omitempty"`
	Notice   ApprovalState   `json:"notice,omitempty"` // what the request has become; "" = it is pending
	Since    time.Time       `json:"since,omitzero"`   // when it became so
	Attempts int             `json:"attempts,omitempty"`
	Due      time.Time       `json:"due,omitzero"` // of the next attempt; zero: there is none
	Failure  string          `json:"failure,omitempty"`
	Told     time.Time       `json:"told,omitzero"`
}

// Limits of callbacks.
const (
	CallbackLife    = 24 * time.Hour   // after the request has ended; then it is given up
	CallbackWait    = 15 * time.Second // after the first attempt; longer than an attempt lasts
	MaxCallbackWait = time.Hour        // after later ones, each twice the one before
	MaxOrigins      = 16               // of an enforcement point
	maxCallbacks    = 8                // to an enforcement point at once
)

// CallbackTx holds callbacks.
type CallbackTx interface {
	Callback(approval string) (Callback, error)
	PutCallback(Callback) error
	// DueCallbacks returns those whose Due has come, the oldest first, but none of the
	// enforcement points in skip and no more than each of one.
	DueCallbacks(now time.Time, skip []string, each, limit int) ([]Callback, error)
}

// SetPEPCallbacks says to which origins callbacks of an enforcement point may go; none:
// nowhere. A registrar may, and not the enforcement point itself: whoever has stolen its
// credential would have the registry call where it likes.
func (r *Registry) SetPEPCallbacks(ctx context.Context, call Call, id string, origins []string) (Outcome[PEP], error) {
	if err := r.checkOrigins(origins); err != nil {
		return Outcome[PEP]{}, err
	}
	return commit(ctx, r, call, false, func(tx Tx) (PEP, *EventDraft, error) {
		p, err := governedPEP(tx, call.Caller, id, RoleRegistrar)
		if err != nil || slices.Equal(p.Callbacks, origins) {
			return p, nil, err
		}
		p.Callbacks = origins
		return p, &EventDraft{Type: EventPEPCallbacksSet, Org: p.Org, Body: PEPCallbacksSet{p.ID, nonNil(origins)}},
			errors.Join(tx.UpdatePEP(p), tx.BumpEpoch(Scope{ScopeOrg, p.Org}))
	})
}

func (r *Registry) checkOrigins(origins []string) error {
	if r.CheckCallback == nil {
		return Errorf(Conflict, "this registry makes no callbacks")
	}
	if len(origins) > MaxOrigins {
		return &Error{Kind: TooLarge, Field: "/origins", Detail: fmt.Sprintf("more than %d items", MaxOrigins)}
	}
	for i, s := range origins {
		at := fmt.Sprintf("/origins/%d", i)
		u, err := url.Parse(s)
		if err != nil || len(s) > maxURI || originOf(u) != s {
			return Invalid(at, "must be scheme, host and port only, in lower case, such as https://pep.example or https://pep.example:8443; http is for loopback")
		}
		if slices.Contains(origins[:i], s) {
			return Invalid(at, "is named twice")
		}
		if err := r.CheckCallback(u); err != nil {
			return Invalid(at, "%v", err)
		}
	}
	return nil
}

// originOf is the origin of a URL in its one form; "" where no callback goes.
func originOf(u *url.URL) string {
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && addr.IsLoopback()
	if u.User != nil || host == "" || host != strings.ToLower(host) || u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return ""
	}
	origin := u.Scheme + "://" + u.Host
	for _, port := range []string{":", map[string]string{"https": ":443", "http": ":80"}[u.Scheme]} {
		origin = strings.TrimSuffix(origin, port)
	}
	return origin
}

// check looks at the form of what is asked for.
func (c *NewCallback) check() error {
	u, err := url.Parse(c.Endpoint)
	if err != nil || len(c.Endpoint) > 2*maxURI || u.Fragment != "" || originOf(u) == "" || checkText("", c.Endpoint, 2*maxURI, true) != nil {
		return Invalid("/callback/endpoint", "must be an https URL without user and fragment, of at most %d bytes", 2*maxURI)
	}
	if len(c.State) > maxText {
		return &Error{Kind: TooLarge, Field: "/callback/state", Detail: fmt.Sprintf("longer than %d bytes", maxText)}
	}
	if len(c.Events) > maxList {
		return &Error{Kind: TooLarge, Field: "/callback/events", Detail: fmt.Sprintf("more than %d items", maxList)}
	}
	return nil
}

// mayCall refuses an endpoint that is not of the enforcement point's origins now.
func (p PEP) mayCall(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || !slices.Contains(p.Callbacks, originOf(u)) {
		return &Error{Kind: Malformed, Code: "callback_origin", Field: "/callback/endpoint", Detail: "its origin is not registered for the enforcement point"}
	}
	return nil
}

// listen has the requester told when a pending request ends. The last word of an
// enforcement point counts, for it asks once.
func (in *NewCallback) listen(tx Tx, c Caller, a Approval) error {
	if in == nil || a.State != ApprovalPending {
		return nil
	}
	if c.PEP == nil {
		return &Error{Kind: Malformed, Code: "callback_origin", Field: "/callback", Detail: "only enforcement points have origins that are called"}
	}
	p, err := tx.PEP(c.ID)
	if err == nil {
		err = p.mayCall(in.Endpoint)
	}
	if err != nil {
		return err
	}
	out := Callback{Approval: a.ID, PEP: p.ID, Endpoint: in.Endpoint, State: in.State}
	for _, e := range []ApprovalState{ApprovalApproved, ApprovalDenied, ApprovalExpired, ApprovalCancelled} {
		if slices.Contains(in.Events, string(e)) {
			out.Events = append(out.Events, e)
		}
	}
	if len(in.Events) > 0 && len(out.Events) == 0 {
		return nil // of what never comes to be
	}
	return tx.PutCallback(out)
}

// move is UpdateApproval, with what is to be told of it.
func (r *Registry) move(tx Tx, a Approval, was ApprovalState) error {
	err := tx.UpdateApproval(a, was)
	if err != nil || was != ApprovalPending || a.State == ApprovalPending {
		return err
	}
	c, err := tx.Callback(a.ID)
	if errors.Is(err, NotFound) || err == nil && len(c.Events) > 0 && !slices.Contains(c.Events, a.State) {
		return nil
	}
	now, clockErr := r.clock(tx)
	if err = errors.Join(err, clockErr); err != nil {
		return err
	}
	c.Notice, c.Since, c.Due = a.State, now, now
	return tx.PutCallback(c)
}

// TakeCallbacks gives out up to limit callbacks that are to be made now, for no
// enforcement point in skip. They are not given out again before their next attempt is
// due, whatever becomes of this one: say so to SettleCallback.
func (r *Registry) TakeCallbacks(ctx context.Context, skip []string, limit int) (taken []Callback, err error) {
	_, err = sweep(ctx, r, limit, func(tx Tx, now time.Time, limit int) ([]Callback, error) {
		taken = nil
		return tx.DueCallbacks(now, skip, maxCallbacks, limit)
	}, func(tx Tx, c Callback) ([]EventDraft, error) {
		now, err := r.clock(tx)
		if err != nil {
			return nil, err
		}
		p, err := tx.PEP(c.PEP)
		if err != nil {
			return nil, err
		}
		if err := p.mayCall(c.Endpoint); err != nil { // not any more
			c.Due, c.State, c.Failure = time.Time{}, "", "its origin was withdrawn"
			return nil, tx.PutCallback(c)
		}
		c.Due = now.Add(min(CallbackWait<<min(c.Attempts, 16), MaxCallbackWait))
		c.Attempts++
		taken = append(taken, c)
		return nil, tx.PutCallback(c)
	}, nil)
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// SettleCallback records what became of an attempt; failure "": the receiver has taken
// it. It says whether that was the last one.
func (r *Registry) SettleCallback(ctx context.Context, attempt Callback, failure string) (over bool, err error) {
	_, err = commitDraft(ctx, r, r.own(strings.Repeat("0", 32)), false, func(tx Tx) (bool, Draft, error) {
		c, err := tx.Callback(attempt.Approval)
		over = err == nil && c.Due.IsZero()
		if err != nil || over || failure != "" && c.Attempts != attempt.Attempts { // another was faster
			return over, Draft{}, err
		}
		if c.Failure = failure; failure == "" {
			if c.Told, err = r.clock(tx); err != nil {
				return false, Draft{}, err
			}
		}
		if over = failure == "" || !c.Due.Before(c.Since.Add(CallbackLife)); over {
			c.Due, c.State = time.Time{}, ""
		}
		return over, Draft{}, tx.PutCallback(c)
	})
	return over, err
}

// CallbackOf is what became of the callback of a request that the caller has found; nil
// where none was asked for.
func (r *Registry) CallbackOf(ctx context.Context, a Approval) (out *Callback, err error) {
	err = r.Store.View(ctx, func(tx Tx) error {
		c, err := tx.Callback(a.ID)
		if err == nil {
			out = &c
		}
		if errors.Is(err, NotFound) {
			return nil
		}
		return err
	})
	return out, err
}
