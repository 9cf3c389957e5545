// Package resolve resolves the DIDs of other organizations: did:webvh and did:web over
// HTTPS, did:key by itself.
//
// The address of what is fetched comes from a stranger, so every exchange is fenced.
// The address that is about to be dialled must be a public one, whatever the name said
// before or says next (DNS rebinding has nothing to aim at), on port 443; redirects are
// refused; there is no proxy, no cookie, no reused connection, no compression; size and
// duration of the whole exchange are bounded. A deployment opens private networks
// or other ports by naming them.
//
// What is believed of an answer is said with it (Assurance). did:webvh logs are
// verified whole, with their witnesses, and compared with the highest version that was
// ever seen of them (Memory): a log that is shorter than that, or another one, is
// refused. A did:web says what its host says today.
//
// Answers are kept for as long as their controller advises, within limits, and never
// served past that unless the caller asks for it.
package resolve
