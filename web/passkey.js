// Asks the browser for a passkey, and puts its answer into the form. It decides nothing:
// what is signed is the challenge that the page was rendered with, and the registry
// verifies it. Without script a form can only refuse.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

async function ask(form) {
  const challenge = bytes(form.dataset.challenge);
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: {
      challenge, rp: { name: "Writ" }, attestation: "none", timeout: 120000,
      user: { id: new TextEncoder().encode(form.dataset.user), name: form.dataset.name, displayName: form.dataset.name },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
    } });
  }
  const ids = form.dataset.credentials.split(" ").filter(Boolean);
  return navigator.credentials.get({ publicKey: {
    challenge, userVerification: "required", timeout: 120000,
    allowCredentials: ids.map((id) => ({ type: "public-key", id: bytes(id) })),
  } });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const field = form.querySelector("input[name=response], input[name=assertion]");
  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (field.value || button?.value === "deny") return;
    event.preventDefault();
    const failed = form.querySelector(".failed");
    failed.textContent = "";
    try {
      field.value = JSON.stringify(await ask(form));
      form.requestSubmit(button);
    } catch (error) {
      field.value = "";
      failed.textContent = "The passkey was not used: " + error.message;
    }
  });
}
