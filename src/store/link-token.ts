import { createHash, randomBytes } from 'node:crypto';

/** What opens a link: 256 random bits, of which only the hash (SHA-256) is stored. */
export function newLinkToken(): { token: string; hash: Buffer } {
  const token = randomBytes(32).toString('base64url');
  return { token, hash: hashOfLinkToken(token) };
}

/** By what the link behind a token is found. */
export function hashOfLinkToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
