import { createHmac } from 'node:crypto';
import { addAdministrator, setPassword } from '../../../src/store/administrators.ts';
import type { Administrator } from '../../../src/store/administrators.ts';
import { createPasswords } from '../../../src/console/admin/passwords.ts';
import type { Db } from '../../../src/store/database.ts';
import { pagesNow, publicUrl } from '../pages.ts';
import type { Browser, Shown } from '../pages.ts';

export const goodPassword = 'plum harbour ladder';

let hashed: Promise<string> | null = null;

/** An administrator whose password is `goodPassword`. */
export async function addAnn(db: Db, email = 'ann@operator.example'): Promise<Administrator> {
  // Once for all of a file: each takes a tenth of a second.
  hashed ??= createPasswords().hash(goodPassword);
  const { administrator } = await addAdministrator(db, email);
  await setPassword(db, administrator.id, await hashed);
  return administrator;
}

/** Opens the page of the sign-in, and signs in by password. */
export async function signIn(
  browser: Browser,
  { email = 'ann@operator.example', password = goodPassword, to = '' } = {},
): Promise<Shown> {
  await browser.get(`${publicUrl}/admin/sign-in${to === '' ? '' : `?to=${encodeURIComponent(to)}`}`);
  return browser.submit({ email, password });
}

/** What an authenticator app shows of a secret in base32, `steps` of 30 seconds from what the pages take for now; by the RFC's own words. */
export function appCode(secret: string, steps = 0): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = Array.from(secret.replaceAll(' ', ''), (sign) =>
    alphabet.indexOf(sign).toString(2).padStart(5, '0'),
  ).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeUInt32BE(Math.floor(pagesNow / 30_000) + steps, 4);
  const mac = createHmac('sha1', key).update(counter).digest();
  const offset = (mac[19] ?? 0) % 16;
  return String((mac.readUInt32BE(offset) % 2 ** 31) % 1_000_000).padStart(6, '0');
}
