// Package route says which act an HTTP request is: a table of routes, each of which
// maps a method and a path to verb, resource and arguments. The enforcement point that
// executes a request, the proxy that asks about it and the agent's side that signs it
// read one table, and so arrive at one act digest.
//
// A request is mapped whole. What of it is neither fixed by its route nor part of the
// act could be changed without the signature's noticing, so every variable of the path,
// every query parameter and the body is in the act, or the request is refused. Paths
// that servers read differently (dot segments, empty segments, escaped slashes) are
// refused, not normalized.
//
// The package speaks no HTTP: it is given the parts of a request as text.
package route
