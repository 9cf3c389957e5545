package registry

// LimitDIDLogs sets how long a DID log gets before its end.
func (r *Registry) LimitDIDLogs(bytes int) { r.maxDIDLog = bytes }
