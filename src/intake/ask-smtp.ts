import { on, once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { messageOf } from '../lib/failure.ts';
import { isIn } from '../lib/networks.ts';

/** What answers at the gateway's SMTP port. */
export type SmtpSeen =
  /** `cause` in words. */
  | { state: 'silent'; cause: string }
  | {
      state: 'answers';
      /** The greeting, and all lines of the reply to EHLO. */
      greeting: string;
      ehlo: string;
      /** SHA-256 of the certificate that STARTTLS offers, in hex with colons; null where it is not offered. */
      fingerprint: string | null;
    };

/** Opens a connection, as node:net does. */
export type Dial = (where: { host: string; port: number }) => Socket;

/** All of it; ms. */
const answerMsMax = 5_000;

/**
 * Says EHLO and STARTTLS at an SMTP port, and goes. `proxies` are those of which it wants a PROXY header. Never
 * rejects.
 */
export async function askSmtp(
  where: { host: string; port: number; proxies: readonly string[] },
  dial: Dial = connectTcp,
): Promise<SmtpSeen> {
  const { host, port, proxies } = where;
  const socket = dial({ host, port });
  const late = setTimeout(() => socket.destroy(new Error(`no answer within ${answerMsMax} ms`)), answerMsMax);
  try {
    await once(socket, 'connect');
    if (isIn(proxies, socket.localAddress ?? '')) socket.write(proxyHeader(socket));
    const greeting = await nextReply(socket);
    if (!greeting.startsWith('220')) return { state: 'answers', greeting, ehlo: '', fingerprint: null };
    const ehlo = await say(socket, 'EHLO localhost');
    const hasStartTls =
      /^250[ -]STARTTLS\r$/im.test(ehlo) && (await say(socket, 'STARTTLS')).startsWith('220');
    const fingerprint = hasStartTls ? await offeredCertificate(socket) : null;
    return { state: 'answers', greeting, ehlo, fingerprint };
  } catch (error) {
    return { state: 'silent', cause: messageOf(error) };
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
}

/** PROXY protocol, version 1: this connection as it is. */
function proxyHeader({ localAddress, localFamily, localPort, remoteAddress, remotePort }: Socket): string {
  const family = localFamily === 'IPv6' ? 'TCP6' : 'TCP4';
  return `PROXY ${family} ${localAddress} ${remoteAddress} ${localPort} ${remotePort}\r\n`;
}

function say(socket: Socket, line: string): Promise<string> {
  socket.write(`${line}\r\n`);
  return nextReply(socket);
}

/** All lines of the next reply (RFC 5321 §4.2.1). Nothing else comes before the next command. */
async function nextReply(socket: Socket): Promise<string> {
  let text = '';
  for await (const [piece] of on(socket, 'data', { close: ['close'] })) {
    text += String(piece);
    if (/^\d{3}(?: .*)?\r\n$/m.test(text)) return text;
  }
  throw new Error('the connection was closed');
}

async function offeredCertificate(socket: Socket): Promise<string> {
  // Whether it is a good one is seen in its file: here it only matters which one is in use.
  const secured = connectTls({ socket, rejectUnauthorized: false });
  await once(secured, 'secureConnect');
  return secured.getPeerX509Certificate()?.fingerprint256 ?? '';
}
