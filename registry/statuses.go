package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/writ-registry/writ/internal/jose"
	"github.com/writ-registry/writ/registry/statuslist"
)

// Every grant has a place in the status lists, for good: place n is index n mod
// ListSize of list n / ListSize + 1, and the grant's token names both.
const (
	PlaceCounter = "status_list"
	ListSize     = 1 << 20
	listBits     = 2
)

// How long a published status counts. What happens to a grant is in the list that
// is asked for next; who keeps one as it says learns it StatusTTL later at most, and
// no list is believed after StatusLife.
const (
	StatusTTL  = time.Minute
	StatusLife = 5 * time.Minute
)

// maxMoved is how many scopes are looked at one by one; more, and all is read anew.
const maxMoved = 256

// StatusListURI is where list n is published, the sub of its token.
func (r *Registry) StatusListURI(n int) string { return r.Origin + "/status/" + strconv.Itoa(n) }

func listOf(place int64) (n, index int) { return int(place/ListSize) + 1, int(place % ListSize) }

// StatusToken is a published status list.
type StatusToken struct {
	Token  string // statuslist+jwt, or vc+jwt
	Issued time.Time
}

// statusLists are all lists, in memory, as of a count of authority. They are read
// whole once; then the scopes that moved are.
type statusLists struct {
	mu        sync.Mutex
	authority uint64 // 0 = not read yet
	lists     []*statusList
}

type statusList struct {
	list   *statuslist.List
	as     uint64 // the count of authority when it last changed
	token  StatusToken
	signed uint64 // what as was for token
	vcs    map[string]credential
}

type credential struct {
	StatusToken
	as uint64
}

// StatusList returns the signed Token Status List n (draft-ietf-oauth-status-list,
// section 5.1), from 1, as of now. NotFound: no grant has a place in it.
func (r *Registry) StatusList(ctx context.Context, n int) (StatusToken, error) {
	r.statuses.mu.Lock()
	defer r.statuses.mu.Unlock()
	l, err := r.refreshed(ctx, n)
	if err != nil {
		return StatusToken{}, err
	}
	now := r.Now().UTC().Truncate(time.Second)
	if l.token.Token != "" && l.signed == l.as && fresh(l.token, now) {
		return l.token, nil
	}
	token, err := statuslist.Sign(r.StatusKey, r.StatusKeyID(), statuslist.Claims{
		Issuer: r.DID, Subject: r.StatusListURI(n), IssuedAt: now.Unix(), Expires: now.Add(StatusLife).Unix(),
		TTL: int64(StatusTTL / time.Second), StatusList: l.list.Encode(),
	})
	if err != nil {
		return StatusToken{}, fmt.Errorf("sign status list %d: %w", n, err)
	}
	l.token, l.signed = StatusToken{token, now}, l.as
	return l.token, nil
}

// fresh: a token is signed anew when half its time is over, so that who keeps it as
// it says never keeps one that has ended.
func fresh(t StatusToken, now time.Time) bool {
	return !t.Issued.After(now) && now.Sub(t.Issued) < StatusTTL/2
}

// Purposes of a Bitstring Status List.
var purposes = map[string]statuslist.Status{"revocation": statuslist.Invalid, "suspension": statuslist.Suspended}

// StatusCredential returns list n as a Bitstring Status List credential for one
// purpose, revocation or suspension (W3C Bitstring Status List 1.0), secured as a
// JWT (VC-JOSE-COSE, section 3.1).
func (r *Registry) StatusCredential(ctx context.Context, n int, purpose string) (StatusToken, error) {
	status, ok := purposes[purpose]
	if !ok {
		return StatusToken{}, Invalid("/purpose", "must be revocation or suspension")
	}
	r.statuses.mu.Lock()
	defer r.statuses.mu.Unlock()
	l, err := r.refreshed(ctx, n)
	if err != nil {
		return StatusToken{}, err
	}
	now := r.Now().UTC().Truncate(time.Second)
	if c, ok := l.vcs[purpose]; ok && c.as == l.as && fresh(c.StatusToken, now) {
		return c.StatusToken, nil
	}
	id := r.StatusListURI(n) + "/bitstring?purpose=" + purpose
	token, err := jose.Sign(r.StatusKey, "vc+jwt", r.StatusKeyID(), bitstringCredential{
		Context: []string{"https://www.w3.org/ns/credentials/v2"}, ID: id,
		Type: []string{"VerifiableCredential", "BitstringStatusListCredential"}, Issuer: r.DID,
		ValidFrom: now.Format(time.RFC3339), ValidUntil: now.Add(StatusLife).Format(time.RFC3339),
		Subject: bitstringSubject{id + "#list", "BitstringStatusList", purpose, l.list.Bitstring(status), StatusTTL.Milliseconds()},
	})
	if err != nil {
		return StatusToken{}, fmt.Errorf("sign status credential %d: %w", n, err)
	}
	l.vcs[purpose] = credential{StatusToken{token, now}, l.as}
	return l.vcs[purpose].StatusToken, nil
}

type bitstringCredential struct {
	Context    []string         `json:"@context"`
	ID         string           `json:"id"`
	Type       []string         `json:"type"`
	Issuer     string           `json:"issuer"`
	ValidFrom  string           `json:"validFrom"`
	ValidUntil string           `json:"validUntil"`
	Subject    bitstringSubject `json:"credentialSubject"`
}

type bitstringSubject struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Purpose     string `json:"statusPurpose"`
	EncodedList string `json:"encodedList"`
	TTL         int64  `json:"ttl"` // milliseconds
}

// refreshed returns list n with all that is known to have been committed. The
// caller holds the lock: those who ask meanwhile get the same answer.
func (r *Registry) refreshed(ctx context.Context, n int) (*statusList, error) {
	s := r.statuses
	m, err := r.Store.Moment(ctx, callerAge)
	if err != nil {
		return nil, err
	}
	if m.Authority != s.authority || n > len(s.lists) {
		if err := r.Store.View(ctx, s.read); err != nil {
			return nil, fmt.Errorf("read statuses: %w", err)
		}
	}
	if n < 1 || n > len(s.lists) {
		return nil, Errorf(NotFound, "no such status list")
	}
	return s.lists[n-1], nil
}

// read brings the lists to the snapshot's count of authority.
func (s *statusLists) read(tx Tx) error {
	m, err := tx.Moment()
	if err != nil {
		return err
	}
	last, err := tx.LastPlace()
	if err == nil {
		err = s.grow(last)
	}
	if err != nil || m.Authority == s.authority {
		return err
	}
	set := func(place int64, to statuslist.Status) {
		if n, index := listOf(place); n <= len(s.lists) {
			err = errors.Join(err, s.lists[n-1].set(index, to, m.Authority))
		}
	}
	moved, all, failed := s.moved(tx)
	if failed == nil && all {
		failed = s.readAll(tx, set)
	}
	for _, scope := range moved {
		if failed == nil {
			failed = tx.GrantStatuses(scope, set)
		}
	}
	if err = errors.Join(err, failed); err == nil {
		s.authority = m.Authority
	}
	return err
}

// grow makes the lists that there are places for; the first is always there.
func (s *statusLists) grow(last int64) error {
	n, _ := listOf(max(last, 0))
	for len(s.lists) < n {
		l, err := statuslist.New(listBits, ListSize)
		if err != nil {
			return err
		}
		s.lists = append(s.lists, &statusList{list: l, vcs: map[string]credential{}})
	}
	return nil
}

// moved lists the agents and grants to look at, or says that all must be: nothing
// was read before, much has moved, or what moved has many grants.
func (s *statusLists) moved(tx Tx) (few []Scope, all bool, err error) {
	if s.authority == 0 {
		return nil, true, nil
	}
	scopes, err := tx.Moved(s.authority, maxMoved)
	if err != nil || len(scopes) == maxMoved {
		return nil, true, err
	}
	for _, scope := range scopes {
		switch scope.Kind {
		case ScopeGlobal, ScopeOrg:
			return nil, true, nil
		case ScopeAgent, ScopeGrant:
			few = append(few, scope)
		}
	}
	return few, false, nil
}

// readAll sets every place.
func (s *statusLists) readAll(tx Tx, set func(int64, statuslist.Status)) error {
	want := make([]statuslist.Status, len(s.lists)*ListSize)
	err := tx.StoppedGrants(func(place int64, to statuslist.Status) {
		if place < int64(len(want)) && want[place] != statuslist.Invalid {
			want[place] = to
		}
	})
	if err != nil {
		return err
	}
	for place, to := range want {
		set(int64(place), to)
	}
	return nil
}

func (l *statusList) set(index int, to statuslist.Status, authority uint64) error {
	before, err := l.list.Get(index)
	if err != nil || before == to {
		return err
	}
	l.as = authority
	return l.list.Set(index, to)
}
