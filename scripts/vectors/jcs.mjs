// RFC 8785 and the profile of evidence, by ECMAScript's own means. Shared by
// check.mjs and serve.mjs; shares nothing with the registry.

// ECMAScript's own serialization of numbers and strings is what the RFC
// prescribes (sections 3.2.2.2 and 3.2.2.3), and its default order of strings,
// by UTF-16 code units, is that of section 3.2.3.
export function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value !== null && typeof value === "object") {
    return "{" + Object.keys(value).sort().map((k) => canonical(k) + ":" + canonical(value[k])).join(",") + "}";
  }
  if (typeof value === "string" && !value.isWellFormed()) throw new Error("lone surrogate");
  return JSON.stringify(value);
}

// The profile of evidence (docs/standards.md): returns why text is no artifact.
export function refusal(text) {
  let value;
  try {
    value = JSON.parse(text);
    if (canonical(value) !== text) return "not canonical"; // duplicates do not survive parsing
  } catch (e) {
    return e.message;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return "no object";
  const look = (v) => {
    if (v === null) return "null";
    if (typeof v === "number") return Number.isSafeInteger(v) ? "" : "number";
    if (typeof v !== "object") return "";
    for (const [k, m] of Object.entries(v)) {
      if (!Array.isArray(v) && !/^[a-z0-9_]+$/.test(k)) return "name";
      const why = look(m);
      if (why) return why;
    }
    return "";
  };
  return look(value);
}
