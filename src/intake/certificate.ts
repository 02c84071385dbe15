import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';

/** Paths of PEM files: the certificate with its chain, and its key. */
export type CertificatePaths = { certPath: string; keyPath: string };

/** PEM. */
export type Certificate = { cert: Buffer; key: Buffer };

/** A certificate that is renewed while the server runs. */
export type WatchedCertificate = {
  first: Certificate;
  /** The renewed one, once for each renewal. One that cannot be used is logged, and the one in use stays. */
  renewed(): Promise<Certificate | null>;
};

/** Throws where the files cannot be read, or the key is another's. */
export async function watchCertificate(paths: CertificatePaths, log: Log): Promise<WatchedCertificate> {
  let seen = await stampOf(paths);
  const first = await read(paths);
  return {
    first,
    async renewed() {
      try {
        const stamp = await stampOf(paths);
        if (stamp === seen) return null;
        seen = stamp;
        return await read(paths);
      } catch (error) {
        log.error(
          { error: messageOf(error) },
          'the new certificate for SMTP cannot be used: the old one stays',
        );
        return null;
      }
    },
  };
}

async function stampOf({ certPath, keyPath }: CertificatePaths): Promise<string> {
  const [cert, key] = await Promise.all([stat(certPath), stat(keyPath)]);
  return `${cert.mtimeMs} ${cert.size} ${key.mtimeMs} ${key.size}`;
}

async function read({ certPath, keyPath }: CertificatePaths): Promise<Certificate> {
  const [cert, key] = await Promise.all([readFile(certPath), readFile(keyPath)]);
  createSecureContext({ cert, key });
  return { cert, key };
}
