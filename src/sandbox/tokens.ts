import { createHash, createHmac, generateKeyPair, sign, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { Clock } from '../lib/clock.ts';
import type { Store } from './store.ts';

/** What a person has allowed, once. Revoking it ends every token made from it. */
export type Grant = {
  id: string;
  email: string;
  /** Scopes, separated by spaces. */
  scope: string;
};

export type Tokens = {
  /** Access tokens live an hour, refresh tokens until they are revoked. Both outlive a restart. */
  issue(kind: TokenKind, grant: Grant): string;
  /** The grant of a token that is genuine, of that kind, not expired and not revoked. */
  verify(kind: TokenKind, token: string): Grant | undefined;
  /** An OpenID Connect identity token, RS256, for an hour. */
  identity(claims: { issuer: string; audience: string; email: string; nonce?: string | undefined }): string;
  /** The public keys as Google's `/oauth2/v1/certs` gives them: PEM by key id. */
  certificates: Record<string, string>;
};

type TokenKind = 'access' | 'refresh';

export const accessTokenLifeSeconds = 3600;

/** Tokens signed under the store's secret. Identity tokens get a key of their own at each start. */
export async function createTokens(options: { store: Store; clock: Clock }): Promise<Tokens> {
  const { store, clock } = options;
  const keys = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const pem = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const keyId = createHash('sha256').update(pem).digest('hex').slice(0, 16);
  const nowSeconds = () => Math.floor(clock.now() / 1000);
  const mac = (kind: TokenKind, payload: string) =>
    createHmac('sha256', store.secret).update(`${kind}.${payload}`).digest();
  return {
    issue(kind, grant) {
      const expires = kind === 'access' ? nowSeconds() + accessTokenLifeSeconds : Number.MAX_SAFE_INTEGER;
      const payload = encode({ ...grant, expires });
      return `sandbox-${kind}.${payload}.${mac(kind, payload).toString('base64url')}`;
    },
    verify(kind, token) {
      const [name, payload = '', signature = ''] = token.split('.');
      const [given, right] = [Buffer.from(signature, 'base64url'), mac(kind, payload)];
      if (name !== `sandbox-${kind}` || given.length !== right.length || !timingSafeEqual(given, right))
        return undefined;
      const { expires, ...grant } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Grant & {
        expires: number;
      };
      return expires > nowSeconds() && !store.isRevoked(grant.id) ? grant : undefined;
    },
    identity({ issuer, audience, email, nonce }) {
      const iat = nowSeconds();
      const signed = `${encode({ alg: 'RS256', kid: keyId, typ: 'JWT' })}.${encode({
        iss: issuer,
        aud: audience,
        azp: audience,
        sub: createHash('sha256').update(email).digest('hex').slice(0, 21),
        email,
        email_verified: true,
        iat,
        exp: iat + accessTokenLifeSeconds,
        ...(nonce === undefined ? {} : { nonce }),
      })}`;
      return `${signed}.${sign('sha256', Buffer.from(signed), keys.privateKey).toString('base64url')}`;
    },
    certificates: { [keyId]: pem },
  };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
