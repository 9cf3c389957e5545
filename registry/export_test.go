package registry

import "time"

// RememberCallers sets how long callers are remembered.
func (r *Registry) RememberCallers(d time.Duration) { r.callerAge = d }

// LimitDIDLogs sets how long a DID log gets before its end.
func (r *Registry) LimitDIDLogs(bytes int) { r.maxDIDLog = bytes }
