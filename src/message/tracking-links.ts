/** Pure: the addresses by which openings and clicks are told (D7), and the proof that they are ours. */
import { timingSafeEqual } from 'node:crypto';
import type { SendId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';

/*
 * A token is a signature (20 characters: 120 bits of an HMAC under a key of its own) and what is signed: the send's
 * id, and for a click the number and the target of the link.
 *
 * The target is in the token and not looked up: a link in somebody's mailbox works for as long as the key is there,
 * also when the message was erased here, or the database is away. That makes a link a third longer than its target;
 * one that would get too long for old programs is not tracked (`targetCharsMax`). Since the signature covers it,
 * nobody can make one of our links lead elsewhere.
 */

type Mac = Pick<SecretBox, 'mac'>;

/** What a link tells when it is clicked. `n` is its number in the message, from 1. */
export type Click = { sendId: SendId; n: number; url: string };

/** A longer target is not tracked: with it a link would come near 2,083 characters, where old Outlooks cut. */
export const targetCharsMax = 1400;

/** Path of the picture of a send. */
export function openPath(box: Mac, sendId: SendId): string {
  return `/t/o/${signed(box, 'tracked open', uuidOf(sendId))}`;
}

/** Path of a link of a send. */
export function clickPath(box: Mac, { sendId, n, url }: Click): string {
  const number = Buffer.from([n >> 8, n & 0xff]);
  return `/t/c/${signed(box, 'tracked click', Buffer.concat([uuidOf(sendId), number, Buffer.from(url)]))}`;
}

/** The send behind the token of a picture; null when it is none of ours. */
export function readOpen(box: Mac, token: string): SendId | null {
  const content = verified(box, 'tracked open', token);
  return content === null ? null : sendIdOf(content);
}

/** What is behind the token of a link; null when it is none of ours. The target is http or https. */
export function readClick(box: Mac, token: string): Click | null {
  const content = verified(box, 'tracked click', token);
  if (content === null) return null;
  const url = content.subarray(18).toString('utf8');
  if (!/^https?:\/\//.test(url)) return null;
  return { sendId: sendIdOf(content), n: content.readUInt16BE(16), url };
}

/** 15 bytes: without a remainder in base64, so that a signature can be written in one way alone. */
const signatureBytes = 15;
const signatureChars = 20;

function signed(box: Mac, purpose: string, content: Buffer): string {
  const text = content.toString('base64url');
  return signatureOf(box, purpose, text) + text;
}

function verified(box: Mac, purpose: string, token: string): Buffer | null {
  const text = token.slice(signatureChars);
  const given = Buffer.from(token.slice(0, signatureChars));
  const expected = Buffer.from(signatureOf(box, purpose, text));
  // The text is signed as it is written: what is decoded from it is what was encoded.
  const isOurs = given.length === expected.length && timingSafeEqual(given, expected);
  return isOurs ? Buffer.from(text, 'base64url') : null;
}

function signatureOf(box: Mac, purpose: string, text: string): string {
  return box.mac(purpose, text).subarray(0, signatureBytes).toString('base64url');
}

function uuidOf(sendId: SendId): Buffer {
  return Buffer.from(sendId.slice('snd_'.length).replaceAll('-', ''), 'hex');
}

function sendIdOf(content: Buffer): SendId {
  const [, ...parts] = /^(.{8})(.{4})(.{4})(.{4})(.{12})/.exec(content.toString('hex')) ?? [];
  return `snd_${parts.join('-')}`;
}
