package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// guard says which addresses may be dialled.
type guard struct {
	allow []netip.Prefix // any port
	ports []uint16       // at public addresses
}

// check refuses an address that is neither public nor allowed. IPv6 is public within
// 2000::/3 only, which leaves out loopback, link-local, unique local and multicast
// addresses and IPv4 in its mapped, compatible and NAT64 forms.
func (g guard) check(to netip.AddrPort) error {
	addr := to.Addr()
	switch {
	case !addr.IsValid() || addr.Zone() != "" || addr.Is4In6():
		return fmt.Errorf("%w: %s is no plain address", Address, addr)
	case slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return nil
	case addr.Is6() && !globalUnicast.Contains(addr):
		return fmt.Errorf("%w: %s is no public address", Address, addr)
	case slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return fmt.Errorf("%w: %s is no public address", Address, addr)
	case !slices.Contains(g.ports, to.Port()):
		return fmt.Errorf("%w: port %d", Address, to.Port())
	}
	return nil
}

// control is the Control of a net.Dialer: the last look, at the very address that the
// socket is about to be connected to.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", Address, err)
	}
	return g.check(to)
}

var globalUnicast = netip.MustParsePrefix("2000::/3")

// special are the blocks of the IANA special-purpose registries (RFC 6890) that are
// not for anybody to reach, those that carry an IPv4 address in an IPv6 one, and an
// address of a cloud that looks public.
var special = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // shared by a carrier (RFC 6598); Alibaba's metadata
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's own service
	"169.254.0.0/16",   // link-local; metadata of most clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved; broadcast
	"2001::/23",        // protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4
	"3fff::/20",        // documentation
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}
