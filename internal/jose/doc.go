// Package jose is the strict subset of JOSE that Writ signs and verifies with:
// compact JWS (RFC 7515) under EdDSA (RFC 8037) or ES256 (RFC 7518 section 3.4),
// public keys as JWK (RFC 7517) and Multikey, and RFC 7638 thumbprints.
//
// Strict means that one signed statement has exactly one spelling, so that the
// hash of a token can name it:
//
//   - base64url is unpadded, without white space, and its unused trailing bits
//     are zero (RFC 4648 section 3.5; lenient decoders accept up to 16
//     spellings of one signature);
//   - an ES256 signature has the low s of the two that verify;
//   - a protected header holds alg and typ, perhaps kid, and nothing else. Keys
//     never come out of the token (jwk, jku, x5c, x5u) and crit is refused as
//     the unknown member it is;
//   - the caller names the one typ it accepts (RFC 8725 section 3.11), and the
//     algorithm follows from the key, never from the header alone;
//   - header and payload are strict JSON: no duplicate members, no unpaired
//     surrogates, no numbers that lose precision (package canon).
//
// An Ed25519 key is refused at every entry unless it is the canonical encoding
// (RFC 8032 section 5.1.3) of a point on the curve that has not small order: a
// small-order key verifies one signature under many messages.
//
// The package does no I/O and reads no clock. Expiry is the caller's business.
package jose
