// Package did parses and builds the DIDs of Writ and makes and verifies the logs
// behind them.
//
// Three methods are understood: did:webvh v1.0, whose log of signed entries fixes
// every key an agent ever had; did:web, published in parallel for resolvers that
// know no other and worth only as much as its host; and did:key for what has no
// home. Identifiers of other methods parse by the syntax of DID Core 1.0 section
// 3.1 and can be compared, no more.
//
// A DID of the two web methods has one spelling. The host is in lower case,
// percent-encoding is in upper case and only where a character needs it, and a path
// segment cannot climb (".", "..", an encoded "/"). Hosts that a URL parser would
// read as an IP address, in any of its notations, are refused (did:webvh v1.0
// section 3.3; did:web section 3.1). One departure from the did:webvh grammar: a
// host of one label, such as localhost, is accepted for development.
//
// A log entry is hashed and signed in its RFC 8785 form. Genesis makes the first
// entry, with the next update key already committed to (pre-rotation); Update and
// Deactivate make those after it, and VerifyNext takes one that somebody else signed.
// VerifyLog proves a whole log: SCID, entry hashes, parameters, authorization and
// eddsa-jcs-2022 proof of each entry, and the approval of its witnesses. What it
// returns is a Resolution, which answers for any version.
//
// The package is pure: no I/O and no clock; resolving over HTTP is the caller's.
package did
