package resolve

import "net/netip"

// MayDial reports what the guard of a Resolver says just before a socket is connected.
func (r *Resolver) MayDial(address string) error {
	return r.exchanger.guard.control("tcp", address, nil)
}

// MayLookUp is MayDial before a socket is made.
func (r *Resolver) MayLookUp(to netip.AddrPort) error { return r.exchanger.guard.check(to) }
