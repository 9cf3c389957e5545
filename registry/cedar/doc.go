// Package cedar is an org's own rules in the Cedar policy language: it parses,
// validates and evaluates a set of policies against what the registry knows of an
// act. It is pure, and the one place that knows the library cedar-go.
//
// # Names
//
// An action verb:type is Action::"verb:type". A type of the registry or of OpenID
// AuthZEN is an entity type of the same name, but: agent is Agent and user is User;
// a character that Cedar identifiers lack is _xHH (its hexadecimal code), as in
// todo_x2ditem; and so is the first character of a name that would be taken for
// another, such as a type Agent. No two types have one name.
//
// # What policies read
//
//	context.origin     {server, pep}: the resource server and enforcement point, "" where there is none
//	context.domain, context.workflow, context.task    text, "" where there is none
//	context.time       {hour 0-23, weekday 1-7 from Monday, epoch in seconds}, UTC
//	context.counts     {hour, day}: acts of this kind that the agent was permitted in the hour and day that run
//	context.risk       {reversibility, egress, material, known, level} of the catalogue
//	context.arguments  of the action
//	context.decimals   the arguments again, as decimals
//
// An Agent has id (its DID), name, role, org, sponsor, parent, domains, workflows
// and level; an agent that the org has put into groups is in them. Any other
// principal or resource has id, and the properties that the org has stored.
//
// JSON becomes Cedar so: a whole number of 64 bits is a Long; another number is a
// decimal where four places hold it; a string, truth value, array or object is what
// it is; and what Cedar has no value for (null, other numbers, arrays of several
// kinds) is one that no operator takes, so that to read it is an error and not a
// silence. That a name is there, has sees for all of them.
//
// # What validation knows
//
// Actions, the types they are done to, an Agent and the context are known; text
// that names another is refused. Arguments and stored properties have no schema:
// whether there is one of a name is never known, so that a policy must ask (has)
// before it reads, and of which type it is follows from how the policy uses it. A
// policy that uses one name as two types is refused. What an argument then is, only
// the act shows; where it is of another type, evaluation fails.
package cedar
