package cedar

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Entity is a principal, resource or group, with what policies may read of it. It
// is immutable.
type Entity struct{ entity types.Entity }

// NewEntity makes an entity of a JSON object of properties and the groups it is in.
func NewEntity(uid UID, properties []byte, parents []UID) (*Entity, error) {
	attrs, err := record(properties)
	if err != nil {
		return nil, err
	}
	return newEntity(uid, attrs, parents), nil
}

func newEntity(uid UID, attrs types.RecordMap, parents []UID) *Entity {
	attrs["id"] = types.String(uid.ID)
	groups := make([]types.EntityUID, len(parents))
	for i, p := range parents {
		groups[i] = p.cedar()
	}
	return &Entity{types.Entity{UID: uid.cedar(), Attributes: types.NewRecord(attrs), Parents: types.NewEntityUIDSet(groups...)}}
}

// With is the entity with those of some more properties, a JSON object, that it
// lacks: what is known of it is not said otherwise by others.
func (e *Entity) With(properties []byte) (*Entity, error) {
	attrs, err := record(properties)
	if err != nil || len(attrs) == 0 {
		return e, err
	}
	for name, v := range e.entity.Attributes.All() {
		attrs[name] = v
	}
	out := e.entity
	out.Attributes = types.NewRecord(attrs)
	return &Entity{out}, nil
}

// Agent is what policies may read of an agent.
type Agent struct {
	DID, Name, Role, Org, Sponsor, Parent string
	Domains, Workflows                    []string
	Level                                 int
}

// Entity makes the entity of an agent that is in some groups.
func (a Agent) Entity(parents []UID) *Entity {
	return newEntity(UID{"agent", a.DID}, types.RecordMap{
		"name": types.String(a.Name), "role": types.String(a.Role), "org": types.String(a.Org), "sponsor": types.String(a.Sponsor), "parent": types.String(a.Parent),
		"domains": texts(a.Domains), "workflows": texts(a.Workflows), "level": types.Long(a.Level),
	}, parents)
}

func texts(list []string) types.Set {
	out := make([]types.Value, len(list))
	for i, s := range list {
		out[i] = types.String(s)
	}
	return types.NewSet(out...)
}

// Request is an act as policies see it.
type Request struct {
	Principal, Resource *Entity
	Groups              []*Entity // those that the two are in, and those that these are in
	Action              string    // verb:type
	Context             Context
}

// Context is the circumstances of an act.
type Context struct {
	Server, PEP            string // resource server and enforcement point
	Domain, Workflow, Task string
	Time                   time.Time
	Risk                   Risk
	Arguments              []byte // JSON object, strict; "" = {}
	Hour, Day              int64  // acts of this kind that the agent was permitted in this hour and day
}

// Risk is what the catalogue says of an action.
type Risk struct {
	Reversibility string
	Egress        bool
	Material      bool
	Known         bool // it is in the catalogue
	Level         int
}

// Result is what a set says of a request, each list in the order of the ids.
type Result struct {
	Forbidden []string // policies that forbid it
	StepUps   []StepUp // policies that forbid it until it is approved
	Permitted []string // policies that permit it
	Failed    []string // forbids that could not be evaluated: nobody knows what they say
}

// StepUp is a demand for approval.
type StepUp struct{ Policy, Reason string }

// Narrow evaluates the forbids alone: what is permitted is not for the set to say.
func (s *Set) Narrow(req Request) (Result, error) { return s.evaluate(req, s.forbids) }

// Evaluate evaluates all policies. A permit that fails permits nothing.
func (s *Set) Evaluate(req Request) (Result, error) { return s.evaluate(req, s.forbids, s.permits) }

func (s *Set) evaluate(req Request, over ...index) (out Result, err error) {
	q := cedar.Request{Principal: req.Principal.entity.UID, Action: actionUID(req.Action), Resource: req.Resource.entity.UID}
	if q.Context, err = s.context(req.Context); err != nil {
		return out, err
	}
	for i, x := range over {
		if len(x) == 0 {
			continue
		}
		_, diag := cedar.Authorize(candidates{x, q}, req, q)
		for _, hit := range diag.Reasons {
			switch p := s.byID[string(hit.PolicyID)]; {
			case i > 0:
				out.Permitted = append(out.Permitted, p.id)
			case p.stepUp != nil:
				out.StepUps = append(out.StepUps, StepUp{p.id, *p.stepUp})
			default:
				out.Forbidden = append(out.Forbidden, p.id)
			}
		}
		if i == 0 {
			for _, e := range diag.Errors {
				out.Failed = append(out.Failed, string(e.PolicyID))
			}
		}
	}
	slices.Sort(out.Forbidden)
	slices.Sort(out.Permitted)
	slices.Sort(out.Failed)
	slices.SortFunc(out.StepUps, func(a, b StepUp) int { return strings.Compare(a.Policy, b.Policy) })
	return out, nil
}

// Get implements types.EntityGetter.
func (r Request) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case r.Principal.entity.UID:
		return r.Principal.entity, true
	case r.Resource.entity.UID:
		return r.Resource.entity, true
	}
	for _, g := range r.Groups {
		if g.entity.UID == uid {
			return g.entity, true
		}
	}
	return types.Entity{}, false
}

// context makes the members that the set reads.
func (s *Set) context(c Context) (types.Record, error) {
	m := make(types.RecordMap, len(s.reads))
	for name := range s.reads {
		switch name {
		case "origin":
			m[name] = types.NewRecord(types.RecordMap{"server": types.String(c.Server), "pep": types.String(c.PEP)})
		case "domain":
			m[name] = types.String(c.Domain)
		case "workflow":
			m[name] = types.String(c.Workflow)
		case "task":
			m[name] = types.String(c.Task)
		case "time":
			m[name] = second(c.Time)
		case "counts":
			m[name] = types.NewRecord(types.RecordMap{"hour": types.Long(c.Hour), "day": types.Long(c.Day)})
		case "risk":
			m[name] = c.Risk.record()
		}
	}
	if s.reads["arguments"] || s.reads["decimals"] {
		args, err := record(c.Arguments)
		if err != nil {
			return types.Record{}, err
		}
		m["arguments"], m["decimals"] = types.NewRecord(args), decimals(args)
	}
	return types.NewRecord(m), nil
}

// What many requests share is made once: the library hashes every record it makes.
var (
	risks  sync.Map // Risk: types.Record; some hundred, for all of its members are few
	recent atomic.Pointer[clock]
)

type clock struct {
	epoch  int64
	record types.Record
}

func (r Risk) record() types.Record {
	if have, ok := risks.Load(r); ok {
		return have.(types.Record)
	}
	made := types.NewRecord(types.RecordMap{
		"reversibility": types.String(r.Reversibility), "egress": types.Boolean(r.Egress), "material": types.Boolean(r.Material),
		"known": types.Boolean(r.Known), "level": types.Long(r.Level),
	})
	risks.Store(r, made)
	return made
}

func second(at time.Time) types.Record {
	epoch := at.Unix()
	if have := recent.Load(); have != nil && have.epoch == epoch {
		return have.record
	}
	t := at.UTC()
	made := types.NewRecord(types.RecordMap{"hour": types.Long(t.Hour()), "weekday": types.Long((int(t.Weekday())+6)%7 + 1), "epoch": types.Long(epoch)})
	recent.Store(&clock{epoch, made})
	return made
}
