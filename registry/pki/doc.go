// Package pki is Writ's X.509 authority: a certificate signing request goes in, a
// certificate of a few hours comes out, and certificates that callers present are
// verified and read. It stands on crypto/x509 (ADR 0020) and narrows it.
//
// A leaf (RFC 5280) says what the registry knows, not what was asked for: the names
// are those of the Profile, and a request that asks for any other is refused. It
// holds an Ed25519 or P-256 key, lives for hours and carries noRevAvail (RFC 9608):
// there is no CRL and no OCSP, because the registry is asked about the agent, and
// what is not asked is short-lived. There are three kinds of it:
//
//   - Agent names an agent by its DIDs, as URI SANs;
//   - EnforcementPoint names one by the URN of its UUID (RFC 9562 section 4);
//   - SVID is a SPIFFE X.509-SVID, whose only URI SAN is the SPIFFE ID, as its
//     section 2 demands. It therefore holds no DID, and an agent that needs both
//     has two certificates.
//
// The authority is the registry's own (NewRoot, NewIssuing) or an intermediate of
// the enterprise; Open checks either. What the chain above forbids by name
// constraints, path lengths, validity or extended key usage is not issued.
//
// Verify reads what a TLS client presented and says in which root it ended. Which
// organization that root may speak for is the caller's knowledge, and so is whether
// the issuance of a certificate is in the log: without it a certificate counts for
// nothing.
//
// The package is pure: no I/O, no clock. Only serial numbers and signatures are
// random.
package pki
