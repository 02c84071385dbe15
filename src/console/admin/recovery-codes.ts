import { randomBytes } from 'node:crypto';
import type { AdministratorId } from '../../lib/id.ts';
import type { SecretBox } from '../../lib/secret-box.ts';
import { base32 } from './totp.ts';

const recoveryCodesCount = 10;

/** New recovery codes, of 50 random bits each, as people copy them: `k3vab-7zqfm`. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: recoveryCodesCount }, () => {
    const text = base32(randomBytes(7)).slice(0, 10).toLowerCase();
    return `${text.slice(0, 5)}-${text.slice(5)}`;
  });
}

/** What is stored of a code, however it was typed. */
export function recoveryHash(secretBox: SecretBox, id: AdministratorId, code: string): Buffer {
  return secretBox.mac('recovery code', `${id} ${code.toLowerCase().replaceAll(/[^a-z2-7]/g, '')}`);
}
