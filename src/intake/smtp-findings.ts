/** Pure: whether the gateway's SMTP port answers as its settings say, and how mail gets there. */
import { ok, problem, warning } from '../lib/finding.ts';
import type { Finding } from '../lib/finding.ts';
import type { SmtpSeen } from './ask-smtp.ts';

/** `seen` is null where the port is not known. */
export type SmtpPort = { host: string; port: number; seen: SmtpSeen | null };

const restart =
  'Start the gateway again with these settings; this command must have the same as the gateway.';

/** What answers at the port. `fingerprint` is that of the configured certificate; null where there is none to use. */
export function smtpFindings(
  { host, port, seen }: SmtpPort,
  configured: { domain: string | null; fingerprint: string | null },
): Finding[] {
  const place = `port ${port} of ${host}`;
  if (seen === null) {
    return [
      warning(
        'TWOWAY_SMTP_PORT is 0: the gateway takes another port at each start, and nothing can lead there',
        'Set TWOWAY_SMTP_PORT, for example to 2525.',
      ),
    ];
  }
  if (seen.state === 'silent') {
    return [
      warning(
        `no gateway answers at ${place} (${seen.cause})`,
        'Is the gateway running? Start it, and run this again.',
      ),
    ];
  }
  const { greeting, ehlo, fingerprint } = seen;
  if (!greeting.startsWith('220') || !greeting.includes('Twoway')) {
    return [
      problem(
        `${place} answers "${greeting.trim()}", which is not the greeting of this gateway`,
        'End the program that listens there, or choose another port by TWOWAY_SMTP_PORT. Where it is the gateway, try again in a minute.',
      ),
    ];
  }
  const { domain } = configured;
  if (domain !== null && !ehlo.toLowerCase().includes(domain)) {
    return [problem(`the gateway at ${place} does not take mail for ${domain}`, restart)];
  }
  if (configured.fingerprint !== null && fingerprint === null)
    return [
      problem(`the gateway at ${place} does not offer STARTTLS, although there is a certificate`, restart),
    ];
  if (fingerprint !== null && fingerprint !== configured.fingerprint) {
    return [
      warning(
        `the gateway at ${place} offers another certificate than the file has`,
        'It takes a renewed one within a minute. Where this stays, its log says what is wrong with the file.',
      ),
    ];
  }
  return [
    ok(
      `the gateway answers at ${place}${fingerprint === null ? '' : ', and offers STARTTLS with the certificate'}`,
    ),
  ];
}

/** How mail from the Internet, which comes to port 25, gets to the gateway's. */
export function wayFindings(settings: { host: string; port: number; proxies: readonly string[] }): Finding[] {
  const { host, port, proxies } = settings;
  const place = `${host}:${port}`;
  if (/^(?:127\.|::1$|localhost$)/.test(host) && proxies.length === 0) {
    return [
      warning(
        `the gateway listens at ${place}, which only this machine reaches: whatever passes mail on to it would be taken for its sender`,
        'Set TWOWAY_SMTP_HOST to 0.0.0.0 (:: with IPv6) and forward port 25 there; or name a load balancer on this machine that sends PROXY headers in TWOWAY_SMTP_PROXIES.',
      ),
    ];
  }
  if (port === 25) return [ok(`the gateway listens at ${place} itself`)];
  const via =
    proxies.length === 0
      ? "a port forwarding that keeps the senders' addresses must lead port 25 there"
      : `a load balancer among ${proxies.join(', ')} must lead port 25 there, with PROXY headers`;
  return [ok(`the gateway listens at ${place}; ${via}`)];
}
