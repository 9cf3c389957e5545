// A canonicaliser to compare with. Each line of standard input is a JSON text in
// base64; each answer is one line of JSON: form, the RFC 8785 form in base64 or
// null where ECMAScript does not read the text, and refusal, why the text is no
// artifact ("" where it is one).
import { createInterface } from "node:readline";
import { canonical, refusal } from "./jcs.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const answer = { form: null, refusal: "not UTF-8" };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(line, "base64"));
    answer.refusal = refusal(text);
    answer.form = Buffer.from(canonical(JSON.parse(text))).toString("base64");
  } catch {
    // not JSON to ECMAScript: form stays null
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
