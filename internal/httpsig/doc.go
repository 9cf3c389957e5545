// Package httpsig signs and verifies HTTP messages (RFC 9421) under the keys of
// package jose, with the digests of their content (RFC 9530) and the directory of
// keys of the Web Bot Auth drafts.
//
// A Message is what a signature may cover. Sign signs one; Parse finds the
// signature that a Policy asks for, so that the caller can look up the key that it
// names; Signature.Verify then proves it. SignRequest and ParseRequest are Writ's
// own profile, for an agent that calls its registry directly:
//
//   - "@method" and "@target-uri" are covered and, where there is a body,
//     "content-digest", which is computed again from the body received;
//   - created is within 30 s of the registry's clock, expires at most 60 s after it;
//   - nonce is 128 to 512 random bits in base64url, which the caller spends;
//   - keyid is the DID URL of the agent's key, and tag is "writ";
//   - "@target-uri" begins with the origin that the registry was configured with,
//     never with the Host of the request.
//
// # Narrower than the RFC
//
// Of two readings none is chosen: labels, parameters and dictionary keys may not
// repeat (RFC 8941 takes the last), byte sequences are base64 in its one padded
// spelling, and a signature with a parameter that is not in RFC 9421 section 2.3 is
// refused. Decimals, dates and display strings of RFC 9651 are not read. Algorithms
// are ed25519 and ecdsa-p256-sha256 with low s; the key decides which, and an alg
// that says otherwise is refused (RFC 9421 section 3.2, step 6). Fields under "sf"
// and "key" must be known to be dictionaries.
//
// The package does no I/O and reads no clock. Replay is the caller's to check: it
// spends (key, nonce).
package httpsig
