import { createHmac, timingSafeEqual } from 'node:crypto';

/*
 * Pure: one-time codes of an authenticator app (RFC 6238 over RFC 4226), as all apps understand them: SHA-1, six
 * digits, a new one every 30 seconds.
 */

const stepSeconds = 30;
const digits = 6;

/** The code of a step; `secret` is raw bytes. */
function codeAt(secret: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  // RFC 4226 §5.3: four bytes from where the last one points to, without their sign.
  const offset = (mac.at(-1) ?? 0) & 0xf;
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

/**
 * The step whose code was given; null: a wrong one. One step early or late is taken, for clocks that go differently
 * (RFC 6238 §5.2). `now`: ms since 1970.
 */
export function stepOfCode(secret: Buffer, code: string, now: number): number | null {
  if (!/^\d{6}$/.test(code)) return null;
  const current = Math.floor(now / 1000 / stepSeconds);
  const steps = [current - 1, current, current + 1];
  const found = steps.filter((step) => timingSafeEqual(Buffer.from(codeAt(secret, step)), Buffer.from(code)));
  return found[0] ?? null;
}

/** What the code on the page says to an app: whose secret it is, and for where. */
export function totpAddress(secret: Buffer, { email, host }: { email: string; host: string }): string {
  const issuer = `Twoway ${host}`;
  const query = new URLSearchParams({ secret: base32(secret), issuer });
  // Apps show a plus sign where one stands for a blank.
  return `otpauth://totp/${encodeURIComponent(issuer)}:${encodeURIComponent(email)}?${query.toString().replaceAll('+', '%20')}`;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648 §6, without the padding. */
export function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => alphabet[Number.parseInt(group.padEnd(5, '0'), 2)]).join('');
}
