// DID resolvers by other authors, as a process of its own, for the tests of interoperation. It reads a request a line from its
// standard input, answers each with a line of JSON, and ends with its input:
//   {"resolve": DID, "versionId"?, "versionTime"?, "versionNumber"?}   {"id", "keys", "error", "meta"}: what the DID resolves to
//   {"create": "host:port", "paths": [...]}                            {"did", "log"}: a did:webvh of two entries, the second rotated
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Resolver } from 'did-resolver'
import { AbstractCrypto, createDID, deriveNextKeyHash, multibaseEncode, MultibaseEncoding, prepareDataForSigning, resolveDID, updateDID } from 'didwebvh-ts'
import * as web from 'web-did-resolver'

console.log = console.error // standard output is for answers
const spki = Buffer.from('302a300506032b6570032100', 'hex')

// Ed25519 of Node, as the library has its callers bring it.
class Ed25519 extends AbstractCrypto {
  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(spki.length)
    super({ verificationMethod: { type: 'Multikey', publicKeyMultibase: multibaseEncode(Buffer.concat([Buffer.from([0xed, 1]), raw]), MultibaseEncoding.BASE58_BTC) } })
    this.key = privateKey
    this.multikey = this.verificationMethod.publicKeyMultibase
  }
  async sign({ document, proof }) {
    return { proofValue: multibaseEncode(sign(null, await prepareDataForSigning(document, proof), this.key), MultibaseEncoding.BASE58_BTC) }
  }
  async verify(signature, message, publicKey) {
    return verify(null, message, createPublicKey({ key: Buffer.concat([spki, publicKey]), format: 'der', type: 'spki' }), signature)
  }
}
const verifier = new Ed25519()
const stock = new Resolver(web.getResolver())

async function resolve({ resolve: did, versionTime, ...version }) {
  let document, meta
  if (did.startsWith('did:web:')) {
    const result = await stock.resolve(did)
    document = result.didDocument
    meta = { ...result.didDocumentMetadata, error: result.didResolutionMetadata.error }
  } else {
    const result = await resolveDID(did, { ...version, ...(versionTime && { versionTime: new Date(versionTime) }), verifier })
    document = result.doc
    meta = result.meta
  }
  const error = meta.error && JSON.stringify([meta.error, meta.problemDetails])
  return { id: document?.id, keys: (document?.verificationMethod ?? []).map(m => m.publicKeyMultibase), error, meta: { versionId: meta.versionId, deactivated: meta.deactivated } }
}

async function create({ create: domain, paths }) {
  const [first, second, third, key] = [new Ed25519(), new Ed25519(), new Ed25519(), new Ed25519()]
  const verificationMethods = [{ type: 'Multikey', publicKeyMultibase: key.multikey, purpose: 'assertionMethod' }]
  const ago = s => new Date(Date.now() - s * 1000).toISOString().replace(/\.\d+/, '')
  const begun = await createDID({
    address: `https://${domain}`, paths, signer: first, verifier, updateKeys: [first.multikey], nextKeyHashes: [await deriveNextKeyHash(second.multikey)],
    verificationMethods, created: ago(60),
  })
  const { did, log } = await updateDID({
    log: begun.log, signer: second, verifier, updateKeys: [second.multikey], nextKeyHashes: [await deriveNextKeyHash(third.multikey)],
    verificationMethods: [...verificationMethods, { type: 'Multikey', publicKeyMultibase: third.multikey, purpose: 'authentication' }], updated: ago(30),
  })
  return { did, log: log.map(entry => JSON.stringify(entry) + '\n').join('') }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  let answer
  try {
    answer = await (request.create ? create : resolve)(request)
  } catch (e) {
    answer = { error: String(e) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
