import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './processes.ts';

/** Paths of PEM files: the authority that clients trust, and the servers' certificate with its key. */
export type Certificates = { caPath: string; certificatePath: string; keyPath: string };

/**
 * Makes a certificate authority and one server certificate for `host` and every address in `addresses`, both valid
 * for so many days. Elliptic curve keys: making RSA ones costs seconds.
 */
export async function makeCertificates(
  directory: string,
  addresses: string[],
  { host = 'localhost', days = 2 }: { host?: string; days?: number } = {},
): Promise<Certificates> {
  const caPath = join(directory, 'ca.pem');
  const caKeyPath = join(directory, 'ca.key');
  const certificatePath = join(directory, 'server.pem');
  const keyPath = join(directory, 'server.key');
  const newKey = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'];
  await openssl(
    newKey,
    ['-days', `${days}`, '-subj', '/CN=Tests of Twoway', '-keyout', caKeyPath, '-out', caPath],
    authority,
  );
  const names = [`DNS:${host}`, ...addresses.map((address) => `IP:${address}`)].join(',');
  const server = [
    'basicConstraints=critical,CA:FALSE',
    `subjectAltName=${names}`,
    'extendedKeyUsage=serverAuth',
  ];
  await openssl(
    newKey,
    [
      '-days',
      `${days}`,
      '-subj',
      `/CN=${host}`,
      '-keyout',
      keyPath,
      '-out',
      certificatePath,
      '-CA',
      caPath,
      '-CAkey',
      caKeyPath,
    ],
    server,
  );
  await chmod(keyPath, 0o600);
  return { caPath, certificatePath, keyPath };
}

async function openssl(command: string[], options: string[], extensions: string[]): Promise<void> {
  const additions = extensions.flatMap((extension) => ['-addext', extension]);
  await runCommand('openssl', [...command, ...options, ...additions]);
}
