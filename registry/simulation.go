package registry

import "context"

// MaySimulate finds an agent for a caller who may ask what it could do: policy authors of
// its org, and operators. Foreign and unknown agents answer alike.
func (r *Registry) MaySimulate(ctx context.Context, c Caller, ref string) (Agent, error) {
	var a Agent
	err := r.Store.View(ctx, func(tx Tx) (err error) {
		if a, err = findAgent(tx, ref); err != nil {
			return err
		}
		return c.may(a.Org, RolePolicyAuthor)
	})
	if err = hide(err, "agent"); err != nil {
		return Agent{}, err
	}
	return a, nil
}

// MayReadDecisions finds an org, and one of its agents ("" = all), for a caller who may
// read its decisions.
func (r *Registry) MayReadDecisions(ctx context.Context, c Caller, orgRef, agentRef string) (org, agent string, err error) {
	o, err := r.FindOrg(ctx, c, orgRef)
	if err == nil {
		err = c.sees(o.ID)
	}
	if err != nil || agentRef == "" {
		return o.ID, "", err
	}
	a, err := r.FindAgent(ctx, c, agentRef)
	if err == nil && a.Org != o.ID {
		err = Errorf(NotFound, "no such agent")
	}
	return o.ID, a.ID, err
}
