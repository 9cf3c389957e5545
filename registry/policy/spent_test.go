package policy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/writ-registry/writ/internal/hotstate"
	"github.com/writ-registry/writ/registry"
	"github.com/writ-registry/writ/registry/policy"
	"github.com/writ-registry/writ/registry/registrytest"
)

// memory is a real memory that a test breaks.
type memory struct {
	hotstate.Memory
	broken error  // what Spend answers, if set
	spent  func() // runs once, after the next proof was spent
}

func (m *memory) Begin(ctx context.Context, name string, now time.Time) error {
	if m.broken != nil {
		return m.broken
	}
	return m.Memory.Begin(ctx, name, now)
}

func (m *memory) Spend(ctx context.Context, name, key, record string, now, expires time.Time) (string, error) {
	if m.broken != nil {
		return "", m.broken
	}
	first, err := m.Memory.Spend(ctx, name, key, record, now, expires)
	if f := m.spent; f != nil {
		m.spent = nil
		f()
	}
	return first, err
}

// scene is an agent that may read, at a decision point with a memory.
type scene struct {
	*registrytest.House
	pdp   *policy.PDP
	mem   *memory
	agent *registrytest.Agent
	grant registry.Grant
	pep   registry.Call
}

func newScene(t *testing.T) *scene {
	t.Helper()
	t.Parallel() // a start waits for the next second
	h := registrytest.New(t)
	h.Catalogue(t, invoices...)
	a := h.NewAgent(t, "a")
	erp := []string{"https://erp.example"}
	s := &scene{House: h, mem: &memory{}, agent: a, pep: h.PEP(t, "gate", erp),
		grant: a.Grant(t, "read:invoices; create:shipment", func(n *registry.NewGrant) { n.Audience = erp })}
	s.pdp = s.start(t, s.mem)
	return s
}

// start is a process that takes over the database, a second later.
func (s *scene) start(t *testing.T, m policy.Spent) *policy.PDP {
	t.Helper()
	p := policy.New(s.Journal, registrytest.Origin, registrytest.Key(1).Public(), s.Clock.Now)
	if err := p.Remember(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	s.Clock.Add(time.Second)
	return p
}

func (s *scene) read(t *testing.T) policy.Request {
	t.Helper()
	return s.agent.Ask(t, s.grant, "read", "invoices", "7", "")
}

// material makes reading qualified, or not.
func (s *scene) material(t *testing.T, yes bool) {
	t.Helper()
	actions := append([]registry.CatalogueAction{}, invoices...)
	actions[0].Material = yes
	s.Catalogue(t, actions...)
}

func (s *scene) permit(t *testing.T, p *policy.PDP, req policy.Request) policy.Decision {
	t.Helper()
	d, err := p.Decide(t.Context(), s.agent.Direct(), req)
	if err != nil || d.Verdict != policy.Permit {
		t.Fatalf("want a permit: %+v, %v", d, err)
	}
	return d
}

func (s *scene) refuse(t *testing.T, p *policy.PDP, req policy.Request, code string) {
	t.Helper()
	d, err := p.Decide(t.Context(), s.agent.Direct(), req)
	var e *registry.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("want %s: %+v, %v", code, d, err)
	}
	if d, err := p.Decide(t.Context(), s.pep, req); err != nil || d.Verdict != policy.Deny {
		t.Errorf("relayed: %+v, %v", d, err)
	}
}

// rows is how many proofs the database knows.
func (s *scene) rows(t *testing.T) (n int) {
	t.Helper()
	if err := s.DB.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM proofs`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUnqualifiedPermitIsSpentInMemory(t *testing.T) {
	s := newScene(t)
	req := s.read(t)
	d := s.permit(t, s.pdp, req)
	if d.Qualified || d.Event != nil || s.rows(t) != 0 {
		t.Errorf("%+v, %d rows", d, s.rows(t))
	}
	s.refuse(t, s.pdp, req, "replayed")

	relayed := s.read(t)
	first, err := s.pdp.Decide(t.Context(), s.pep, relayed)
	if err != nil || first.Verdict != policy.Permit || first.Repeated {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := s.pdp.Decide(t.Context(), s.pep, relayed)
	if err != nil || again.Verdict != policy.Permit || !again.Repeated || again.ID != first.ID {
		t.Errorf("the same enforcement point repeating itself: %+v, %v", again, err)
	}
	other := s.PEP(t, "other", []string{"https://erp.example"})
	if d, err := s.pdp.Decide(t.Context(), other, relayed); err != nil || d.Verdict != policy.Deny {
		t.Errorf("another enforcement point: %+v, %v", d, err)
	}
	changed := relayed
	changed.SubjectType = "program"
	if d, err := s.pdp.Decide(t.Context(), s.pep, changed); err != nil || d.Verdict != policy.Deny {
		t.Errorf("another body: %+v, %v", d, err)
	}
	s.material(t, false) // nothing changes but the epoch
	if d, err := s.pdp.Decide(t.Context(), s.pep, relayed); err != nil || d.Verdict != policy.Deny {
		t.Errorf("a permit came back after authority moved: %+v, %v", d, err)
	}
}

// TestNoPermitBesideARefusedLog: where nothing may be written, the memory is
// not enough.
func TestNoPermitBesideARefusedLog(t *testing.T) {
	s := newScene(t)
	s.pdp.Ready = func() error { return errors.New("another history") }
	if s.permit(t, s.pdp, s.read(t)); s.rows(t) != 1 {
		t.Error("permitted on the memory's word alone")
	}
}

// TestOneProofTwoWays: the catalogue changes between two uses of one proof.
func TestOneProofTwoWays(t *testing.T) {
	s := newScene(t)
	req := s.read(t)
	s.permit(t, s.pdp, req)
	s.material(t, true)
	s.refuse(t, s.pdp, req, "replayed")

	req = s.read(t)
	if d := s.permit(t, s.pdp, req); d.Event == nil {
		t.Errorf("material, and no event: %+v", d)
	}
	s.material(t, false)
	s.refuse(t, s.pdp, req, "replayed")
}

// TestMemoryIsLost: what was spent in it stays spent, and decisions go on.
func TestMemoryIsLost(t *testing.T) {
	for name, lose := range map[string]func(s *scene) error{
		"begun anew":  func(s *scene) error { return s.mem.Memory.Begin(t.Context(), "another", s.Clock.Now()) },
		"unreachable": func(s *scene) error { s.mem.broken = errors.New("i/o timeout"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			old, unused := s.read(t), s.read(t)
			s.permit(t, s.pdp, old)
			if err := lose(s); err != nil {
				t.Fatal(err)
			}
			s.refuse(t, s.pdp, old, "stale")
			s.refuse(t, s.pdp, unused, "stale") // it cannot be told from the other
			s.Clock.Add(time.Second)
			inDatabase := s.read(t)
			s.permit(t, s.pdp, inDatabase)
			if s.rows(t) == 0 {
				t.Error("the database alone decides, and knows nothing of the proof")
			}
			s.refuse(t, s.pdp, inDatabase, "replayed")

			s.mem.broken = nil
			if err := policy.Enter(t.Context(), s.pdp); err != nil {
				t.Fatal(err)
			}
			s.refuse(t, s.pdp, inDatabase, "replayed")
			s.refuse(t, s.pdp, old, "stale")
			rows := s.rows(t)
			s.permit(t, s.pdp, s.read(t))
			if s.rows(t) != rows {
				t.Error("the memory came back and is not used")
			}
		})
	}
}

// TestDatabaseOutlivesMemory: the new memory knows nothing of a proof that the
// database spent, and asks it.
func TestDatabaseOutlivesMemory(t *testing.T) {
	s := newScene(t)
	s.mem.broken = errors.New("away")
	s.refuse(t, s.pdp, s.read(t), "stale")
	s.Clock.Add(time.Second)
	req := s.read(t)
	if d, err := s.pdp.Decide(t.Context(), s.pep, req); err != nil || d.Verdict != policy.Permit {
		t.Fatalf("%+v, %v", d, err)
	}
	s.mem.broken = nil
	if err := policy.Enter(t.Context(), s.pdp); err != nil {
		t.Fatal(err)
	}
	if d, err := s.pdp.Decide(t.Context(), s.agent.Direct(), req); err == nil {
		t.Errorf("accepted again: %+v", d)
	}
	if d, err := s.pdp.Decide(t.Context(), s.pep, req); err != nil || !d.Repeated {
		t.Errorf("the recorded answer: %+v, %v", d, err)
	}
}

func TestRestartForgetsNothing(t *testing.T) {
	s := newScene(t)
	req := s.read(t)
	s.permit(t, s.pdp, req)
	next := s.start(t, &hotstate.Memory{})
	s.refuse(t, next, req, "stale")
	s.permit(t, next, s.read(t))
}

// TestFence: whoever moves the fence while a permit is under way, here a second
// process on the same database, knows that it is not given on the old memory's
// word.
func TestFence(t *testing.T) {
	s := newScene(t)
	req := s.read(t)
	var next *policy.PDP
	s.mem.spent = func() { next = s.start(t, &hotstate.Memory{}) }
	d, err := s.pdp.Decide(t.Context(), s.agent.Direct(), req)
	if err == nil {
		t.Errorf("permitted by a memory whose time was over: %+v", d)
	}
	if d, err := next.Decide(t.Context(), s.agent.Direct(), req); err == nil {
		t.Errorf("and by the next: %+v", d)
	}
}

// waiting is a Store whose next command waits for something else to happen.
type waiting struct {
	registry.Store
	before func()
}

func (w *waiting) Commit(ctx context.Context, c registry.Command) (registry.Commit, error) {
	if f := w.before; f != nil {
		w.before = nil
		f()
	}
	return w.Store.Commit(ctx, c)
}

// TestFenceHoldsTheDatabaseToo: a command of the time without a memory that
// comes late spends nothing that the memory has spent since.
func TestFenceHoldsTheDatabaseToo(t *testing.T) {
	s := newScene(t)
	s.mem.broken = errors.New("away")
	s.refuse(t, s.pdp, s.read(t), "stale")
	s.Clock.Add(time.Second)
	s.mem.broken = nil
	req, store := s.read(t), &waiting{Store: s.pdp.Store}
	s.pdp.Store = store
	store.before = func() {
		if err := policy.Enter(t.Context(), s.pdp); err != nil {
			t.Fatal(err)
		}
		s.permit(t, s.pdp, req)
	}
	if d, err := s.pdp.Decide(t.Context(), s.agent.Direct(), req); err == nil {
		t.Errorf("permitted twice: %+v", d)
	}
}

// TestKillAfterSpending: a kill that commits while the proof is being spent wins.
func TestKillAfterSpending(t *testing.T) {
	s := newScene(t)
	s.mem.spent = func() {
		if _, err := s.SetKill(t.Context(), s.Call(), registry.Scope{Kind: registry.ScopeAgent, ID: s.agent.ID}, "drill"); err != nil {
			t.Error(err)
		}
	}
	d, err := s.pdp.Decide(t.Context(), s.agent.Direct(), s.read(t))
	if err != nil || d.Verdict != policy.Deny || codes(d)[0] != policy.KillAgent || d.Event == nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestClockSetBackLeavesTheMemory: what it has forgotten by a clock that ran
// ahead does not become fresh again.
func TestClockSetBackLeavesTheMemory(t *testing.T) {
	s := newScene(t)
	old := s.read(t)
	s.permit(t, s.pdp, old)
	s.Clock.Add(3 * time.Minute)
	s.permit(t, s.pdp, s.read(t)) // forgets old, makes no event
	s.Clock.Add(-3 * time.Minute)
	s.refuse(t, s.pdp, old, "stale")
}
