// An OpenID provider as a process of its own, for the tests of internal/oidc. Its one argument is a file:
//   {port, accounts, jwks, clients}: port 0 takes a free one; accounts names a file {sub: {name, groups}} that is read anew whenever
//   the provider asks about somebody, so that a test can change it.
// It writes "ready ISSUER" when it listens, and ends when its standard input does.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'

const config = JSON.parse(readFileSync(process.argv[2]))
const accounts = () => JSON.parse(readFileSync(config.accounts))

const server = createServer()
server.listen(config.port, '127.0.0.1', () => {
  const issuer = `http://localhost:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: config.clients,
    jwks: config.jwks,
    cookies: { keys: ['of a test'] },
    scopes: ['openid', 'offline_access', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false, // the groups are in the ID token, as with most issuers
    findAccount: (_, sub) => accounts()[sub] && { accountId: sub, claims: () => ({ sub, ...accounts()[sub] }) },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'] },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 3600, IdToken: 300, Interaction: 300, RefreshToken: 3600, Session: 3600 },
  })
  server.on('request', provider.callback())
  console.log(`ready ${issuer}`)
})
process.stdin.resume().on('end', () => process.exit(0))
