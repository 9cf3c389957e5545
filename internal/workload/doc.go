// Package workload verifies tokens by which workloads prove who they are to the IAM
// that an organization already has, so that their agents can be enrolled: Entra ID,
// Okta, Kubernetes service accounts and SPIFFE.
//
// Discovery and key sets are those of OpenID Connect Discovery 1.0 section 4 and RFC
// 7517, fetched by coreos/go-oidc. The rules on top are ours and stricter than any of
// the issuers' (RFC 8725):
//
//   - the signature is asymmetric and of a listed algorithm, by a key that kid names;
//   - issuer and audience are exactly the configured ones, and the audience is the only
//     one: a token for several may be replayed by any of them;
//   - the token is in time and lives a day at most;
//   - it is a workload's and no person's, by the marks of each issuer;
//   - all of that is looked at before a key is fetched, keys are fetched at most once in
//     ten seconds, and a key that the issuer withdrew is refused ten minutes later.
//
// A token is a bearer of its workload's name and nothing else. The caller demands proof
// of the agent's key beside it, spends Workload.Digest so that it enrols once, and
// honours Workload.Thumbprint.
package workload
