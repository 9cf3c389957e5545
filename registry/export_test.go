package registry

import "time"

// RememberCallers sets how long callers are remembered.
func (r *Registry) RememberCallers(d time.Duration) { r.callerAge = d }
