import { canonicalAddress } from '../message/addresses.ts';
import { idKey } from '../message/message-id.ts';
import type { InternetMessageId } from '../message/message-id.ts';
import type { SecretBox } from '../lib/secret-box.ts';

/*
 * How a decision is found again without holding what it is about (T1): keyed hashes, so that nobody
 * who reads the database can try addresses or ids without the gateway's secret.
 */

/** Of a message key, in hexadecimal. */
export function hashOfMessageKey(secretBox: SecretBox, messageKey: string): string {
  return secretBox.macHex('decision message', messageKey);
}

/** Of a Message-ID without brackets. */
export function hashOfMessageId(secretBox: SecretBox, id: InternetMessageId): string {
  return hashOfMessageKey(secretBox, idKey(id));
}

/** Of an address as somebody wrote it, in hexadecimal. */
export function hashOfAddress(secretBox: SecretBox, written: string): string {
  return secretBox.macHex('decision address', canonicalAddress(written));
}
