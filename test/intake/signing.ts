import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { sealMessage } from 'mailauth/lib/arc/index.js';
import { dkimSign } from 'mailauth/lib/dkim/sign.js';
import type { ResolveDns } from '../../src/intake/dns.ts';
import type { Zone } from '../support/dns.ts';

/** A DNS of these records alone, that keeps what it was asked. */
export function stubDns(zone: Zone): ResolveDns & { asked: string[] } {
  const asked: string[] = [];
  const resolve: ResolveDns = async (name, type) => {
    asked.push(`${type} ${name}`);
    const found = zone[`${type} ${name.toLowerCase()}`] ?? 'ENOTFOUND';
    if (typeof found === 'string') throw Object.assign(new Error(found), { code: found });
    return type === 'TXT' ? found.map((record) => [record]) : [...found];
  };
  return Object.assign(resolve, { asked });
}

type Key = { privatePem: string; record: string };

function newKey(kind: 'rsa' | 'ed25519'): Key {
  const { privateKey } =
    kind === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519');
  const privatePem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const spki = createPublicKey(createPrivateKey(privatePem)).export({ format: 'der', type: 'spki' });
  // RFC 8463 §4: of an Ed25519 key the 32 bytes alone are published.
  const bytes = kind === 'rsa' ? spki : spki.subarray(-32);
  return { privatePem, record: `v=DKIM1; k=${kind}; p=${bytes.toString('base64')}` };
}

const keys = { rsa: newKey('rsa'), ed25519: newKey('ed25519') };

export type Signing = {
  domain: string;
  key?: keyof typeof keys;
  expires?: Date;
  bodyLength?: number;
};

/** The message with a DKIM signature above it. Selectors are the kinds of the keys. */
export async function signed(raw: string, ...signings: Signing[]): Promise<string> {
  let message = raw;
  for (const { domain, key = 'rsa', expires, bodyLength } of signings) {
    const signature = {
      signingDomain: domain,
      selector: key,
      privateKey: keys[key].privatePem,
      algorithm: key === 'rsa' ? 'rsa-sha256' : 'ed25519-sha256',
      canonicalization: 'relaxed/relaxed',
      ...(bodyLength === undefined ? {} : { maxBodyLength: bodyLength }),
    };
    const { signatures, errors } = await dkimSign(message, {
      ...signature,
      signatureData: [signature],
      ...(expires === undefined ? {} : { expires, signTime: new Date(expires.getTime() - 60_000) }),
    });
    if (errors.length > 0) throw new Error(`not signed: ${JSON.stringify(errors)}`);
    message = signatures + message;
  }
  return message;
}

/** The message as a forwarder seals it (RFC 8617). */
export async function sealed(raw: string, domain: string): Promise<string> {
  const headers = await sealMessage(raw, {
    signingDomain: domain,
    selector: 'rsa',
    privateKey: keys.rsa.privatePem,
    authResults: `${domain}; dkim=pass`,
    cv: 'none',
  });
  return headers.toString() + raw;
}

/** The records of the keys of these domains. */
export function keyRecords(...domains: string[]): Zone {
  return Object.fromEntries(
    domains.flatMap((domain) =>
      (['rsa', 'ed25519'] as const).map((key) => [`TXT ${key}._domainkey.${domain}`, [keys[key].record]]),
    ),
  );
}
