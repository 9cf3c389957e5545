// Package oidc signs people in by OpenID Connect: the authorization code flow
// (OpenID Connect Core 1.0 section 3.1) with PKCE (RFC 7636), as a client of one
// issuer.
//
// A Provider is one issuer as one org knows it. Begin sends the browser away and
// hands out a Flow, Finish takes what the browser brought back and returns an
// Identity, Refresh asks again who that person is, and LogoutURL ends the session
// at the issuer. Who a person is, is (issuer, subject) and nothing else: names and
// addresses change hands. What groups are worth is said by MapGroups.
//
// The issuer is asked when it is first needed and again after each failure, within
// an allowance: one that cannot be reached stops sign-in, not the registry, and
// nobody can make the registry hammer it. Its answers are bounded (1 MiB, 10 s, no
// redirects) and read as strictly as everything else (package canon). go-oidc finds
// the issuer and verifies signatures; claims are checked here, each with a named
// error, because a token that is well signed is not yet a token for us.
//
// The package keeps no state about people and writes nothing: sessions, their
// cookies and the single use of a Flow are the caller's.
package oidc
