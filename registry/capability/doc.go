// Package capability says what an agent may do and proves what it does: the text
// and token forms of capabilities, their matching against one act, and the signed
// statements around them (grant, action proof, registration proof).
//
// # Text form
//
// People write a set of capabilities as
//
//	read:invoices; create:shipment(max_weight<=500); execute:none
//
// in this grammar (ISO/IEC 14977 EBNF; white space, that is space, tab, CR and LF,
// may stand between any two tokens but not inside verb:type/id):
//
//	set        = capability , { ";" , capability } ;
//	capability = name , ":" , ( "none" | name , [ "/" , pattern ] , [ arguments ] ) ;
//	arguments  = "(" , [ constraint , { "," , constraint } ] , ")" ;
//	constraint = name , [ bound ] ;
//	bound      = order , number | "==" , value | "!=" , value | "^=" , string
//	           | ( [ "not" ] , "in" | "contains" | "subset" ) , "[" , value , { "," , value } , "]"
//	           | ( "subpath" | "cidr" | "wildcard" ) , string
//	           | ( "all" | "any" ) , "(" , bound , "," , bound , { "," , bound } , ")" ;
//	order      = "<" | "<=" | ">" | ">=" ;
//	value      = string | number | "true" | "false" ;
//	string     = name - ( "true" | "false" | "null" ) | ? JSON string, RFC 8259 section 7 ? ;
//	number     = ? JSON number, RFC 8259 section 6, that an IEEE 754 double holds exactly
//	             in the sense of package canon ? ;
//	name       = ( letter | "_" ) , { letter | digit | "_" | "." | "-" } ; (* 1 to 64 *)
//	pattern    = item , { item } ;
//	item       = "*" | "**" | "\" , special | ? printable character but special ? ;
//	special    = "*" | "\" | "(" | ")" | ";" | "," | '"' | " " ;
//	letter     = ? A to Z, a to z ? ;
//	digit      = ? 0 to 9 ? ;
//
// A text has at most 16 KiB and 100 capabilities, a capability at most 32
// constraints with those inside all and any, which nest 4 levels deep, and a pattern
// at most 256 bytes.
//
// # Meaning
//
// In the terms of the OpenID AuthZEN Authorization API 1.0 (section 5), the verb
// is action.name, the type is resource.type, the pattern bounds resource.id, and a
// constraint bounds the member of action.properties that it names.
//
//   - Without a pattern any resource of the type is meant. In a pattern "*" stands
//     for any run of characters without "/", "**" for any run at all; both may be
//     empty. The rest is compared byte by byte.
//   - Without parentheses the arguments are free. With them the world is closed:
//     no argument may be present that is not named, and each constrained argument
//     must be present and satisfy every constraint on it. A name alone permits the
//     argument with any value and does not require it. "()" permits none.
//   - "<", "<=", ">", ">=" hold for numbers only, "^=" (begins with) for strings
//     only. A prefix is text, not a path: "/data/../x" begins with "/data/".
//   - "==" and "in" compare kind and value. "!=" and "not in" hold for a string,
//     number or boolean of the kind of a listed value that differs from all of
//     them: an object, an array, null or a value of another kind never gets past a
//     prohibition.
//   - "contains" and "subset" hold for arrays of strings, numbers and booleans: every
//     listed value is in it, or nothing else is (the empty array is a subset).
//   - "subpath" holds for the path itself and what is below it, segment by segment. A
//     path with an empty, "." or ".." segment, a backslash, a percent sign or a control
//     character is below none. "/" is above all that begin with "/".
//   - "cidr" holds for the text of an IP address in the network, without a zone and
//     not of IPv4 inside IPv6.
//   - "wildcard" holds for a string that fits a pattern as of ids, in which only "*"
//     and "\" are written behind a backslash.
//   - "all" and "any" join bounds on one argument.
//   - verb:none removes the verb: it wins over every other capability of the verb.
//   - What no capability covers is not permitted.
//
// Numbers compare exactly. Both sides must survive a round trip through a double
// (package canon refuses others), and on such texts rounding is one to one and
// keeps order, so comparing the doubles compares the decimals.
//
// # Token form
//
// In a grant the set is the RFC 9396 claim authorization_details with one object:
//
//	[{"type": "agent_capability", "actions": {
//	    "create":  {"shipment": [{"arguments": {"max_weight": {"range": {"lte": 500}}}}]},
//	    "execute": {},
//	    "read":    {"invoices": [{}]}}}]
//
// actions maps verb to type to alternatives, and an empty map is verb:none. An
// alternative has "id" if it has a pattern (in the text form's escaping) and
// "arguments" if it has parentheses. Each argument maps to an object of
// constraints that must all hold, empty for a name alone:
//
//	==  {"exact": v}       in      {"one_of": [v, ...]}       < <= > >=  {"range": {"lt","lte","gt","gte"}}
//	!=  {"not_exact": v}   not in  {"not_one_of": [v, ...]}   ^=         {"prefix": "s"}
//
// The words are members of their own names: {"contains": [v, ...]}, {"subset":
// [v, ...]}, {"subpath": "s"}, {"cidr": "s"}, {"wildcard": "s"}, {"all": [{...}, ...]}
// and {"any": [{...}, ...]}, where each part is an object with one constraint. An
// unknown constraint is refused, never ignored.
//
// Beside it a grant may have the claim budgets, an array of at most 8 objects by the
// order of their texts (Budget): {"measure": "sum", "action": "pay:invoice", "argument":
// "amount", "limit": "10000", "window": 86400}, with argument for sum only, and without
// window where it is for the life of the token.
//
// # One form
//
// Sets are kept in one order (by text), without repetition, with lists sorted, so
// equal sets have equal texts and equal claims: Parse(s.String()) equals s, and a
// claim that is not the form of its own set is refused.
//
// # Narrower
//
// Set.Within proves that one set permits nothing that another does not. Each
// capability must be within one of the other: the same verb and type, a pattern that
// is no wider, no argument that the other does not name, and constraints that imply
// the other's. What is not proven is refused, so some sets are refused that are within
// (x<3 within x any(<5, ==7) is proven; x any(==1, ==2) of a capability that the other
// spreads over two is not).
//
// The package is pure: no I/O, no clock; the time is a parameter.
package capability
