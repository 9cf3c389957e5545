// Recomputes docs/schemas/vectors.json, sharing no code with the registry:
// RFC 8785 forms, the artifact profile, commitments, CIDs, RFC 6962 leaves and
// root. Node 20, no dependencies. Exits 1 on the first list of mismatches.
//
//   node scripts/vectors/check.mjs [vectors.json]
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { canonical, refusal } from "./jcs.mjs";

const file = process.argv[2] ?? new URL("../../docs/schemas/vectors.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8"));

const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const p of parts) hash.update(p);
  return hash.digest();
};

// RFC 4648 base32 in lower case without padding, multibase prefix b.
function base32(bytes) {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  let out = "b", bits = 0, acc = 0;
  for (const byte of bytes) {
    acc = (acc << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) out += alphabet[(acc >> (bits - 5)) & 31];
    acc &= (1 << bits) - 1;
  }
  return bits > 0 ? out + alphabet[(acc << (5 - bits)) & 31] : out;
}

// CIDv1, raw (0x55), sha2-256 (0x12) of 32 bytes.
const entry = (artifact) => Buffer.concat([Buffer.from([0x01, 0x55, 0x12, 0x20]), sha256(artifact)]);

// RFC 6962, section 2.1.
const leafHash = (e) => sha256(Buffer.from([0]), e);
function treeHash(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha256(Buffer.from([1]), treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)));
}

let wrong = 0, right = 0;
function same(what, got, want) {
  if (got === want) {
    right++;
    return;
  }
  wrong++;
  console.error(`MISMATCH ${what}\n  got  ${got}\n  want ${want}`);
}

for (const v of vectors.jcs) same("jcs: " + v.name, canonical(JSON.parse(v.input)), v.canonical);
for (const v of vectors.refused) same("refused: " + v.name, refusal(v.text) !== "", true);

const commitments = {};
for (const d of vectors.disclosures) {
  commitments[d.name] = sha256(canonical([d.salt, d.name, d.value])).toString("base64url");
  same("commitment: " + d.name, commitments[d.name], d.commitment);
}

const leaves = [];
const previous = new Map();
for (const v of vectors.events) {
  const { type, org, prev, body } = v.value;
  const artifact = canonical(v.value);
  same(type + ": artifact", artifact, v.artifact);
  same(type + ": profile", refusal(v.artifact), "");
  same(type + ": sha256", sha256(artifact).toString("hex"), v.sha256);
  const e = entry(artifact);
  same(type + ": entry", e.toString("hex"), v.entry);
  same(type + ": cid", base32(e), v.cid);
  same(type + ": previous event of the org", prev, previous.get(org));
  previous.set(org, base32(e));
  leaves.push(leafHash(e));
  same(type + ": leaf", leaves.at(-1).toString("hex"), v.leaf);
  for (const [name, c] of Object.entries(body.commitments ?? {})) same(`${type}: commitment ${name}`, c, commitments[name]);
}
same("size", leaves.length, vectors.size);
same("root", treeHash(leaves).toString("hex"), vectors.root);

if (wrong > 0) {
  console.error(`${wrong} of ${wrong + right} checks failed`);
  process.exit(1);
}
console.log(`${right} checks passed`);
