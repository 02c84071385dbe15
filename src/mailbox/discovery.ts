import { domainToASCII } from 'node:url';
import { request } from 'undici';
import type { Agent } from 'undici';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import { mailHostByExchanger, mailHostOf } from '../provider/mail-hosts.ts';
import type { MailHost, MailHostHint } from '../provider/mail-hosts.ts';
import type { ProviderName, ServerAddress } from '../provider/providers.ts';
import { isHostName, parseAutoconfig } from './autoconfig.ts';
import { serversOf, srvServices } from './srv.ts';
import type { SrvRecord, SrvService } from './srv.ts';

/** By what settings were found, the most certain first; `guess`: by nothing but custom. */
export type FoundBy = 'list' | 'srv' | 'autoconfig' | 'exchanger' | 'guess';

/** How a mailbox of an address may be reached. Whatever it says comes from strangers, and nothing has been tried. */
export type Found = {
  by: FoundBy;
  /** What the host is called, as far as that is known. */
  label: string | null;
  /** Null: there is no way in by IMAP and SMTP. */
  servers: { imap: ServerAddress; smtp: ServerAddress } | null;
  /** The user name; null: the address. */
  user: string | null;
  hint: MailHostHint | null;
  /** It is connected by a consent, where that is offered. */
  provider: ProviderName | null;
};

/** Finds the settings for an address. Never rejects: where nobody says anything, it guesses. */
export type Discover = (address: string) => Promise<Found>;

type Deps = {
  /** Rejects where there is no such record, or no answer. */
  resolve(name: string, type: 'SRV' | 'MX'): Promise<readonly unknown[]>;
  /** The text of a file; null where there is none. */
  fetchText(url: string): Promise<string | null>;
};

/** A person waits for it. */
const askMsMax = 6_000;

/**
 * Finds settings by a list of large hosts, DNS (RFC 6186, RFC 8314), the domain's own autoconfig, and the host that its
 * mail goes to, in this order. Only the domain itself is asked: no database of a third party, which would learn of it.
 */
export function createDiscover({ resolve, fetchText }: Deps): Discover {
  return async (address) => {
    const domain = domainToASCII(address.slice(address.lastIndexOf('@') + 1)).toLowerCase();
    const known = mailHostOf(domain);
    if (known !== null) return foundAt(known, 'list');
    if (!isHostName(domain)) return guess(domain);
    const late = new Promise<null>((done) => setTimeout(done, askMsMax, null).unref());
    const ask = (question: Promise<Found | null>) => Promise.race([question, late]);
    // All at once, since each may take its time; what is found first in the order counts.
    const [srv, autoconfig, exchanger] = await Promise.all([
      ask(bySrv(resolve, domain)),
      ask(byAutoconfig(fetchText, domain, address)),
      ask(byExchanger(resolve, domain)),
    ]);
    return srv ?? autoconfig ?? exchanger ?? guess(domain);
  };
}

function foundAt({ label, servers, hint, provider }: MailHost, by: FoundBy): Found {
  return { by, label, servers, user: null, hint, provider };
}

const unknown = { label: null, user: null, hint: null, provider: null };

/** What most hosts call their servers; nobody has said it. */
function guess(domain: string): Found {
  const imap = { host: `imap.${domain}`, port: 993, security: 'tls' } as const;
  const smtp = { host: `smtp.${domain}`, port: 465, security: 'tls' } as const;
  return { ...unknown, by: 'guess', servers: { imap, smtp } };
}

async function bySrv(resolve: Deps['resolve'], domain: string): Promise<Found | null> {
  const answers = await Promise.all(
    srvServices.map(async (service): Promise<[SrvService, SrvRecord[]]> => {
      const records = await answered(resolve(`${service}._tcp.${domain}`, 'SRV'));
      return [service, records as SrvRecord[]];
    }),
  );
  const { imap, smtp } = serversOf(Object.fromEntries(answers));
  if (imap === 'not_offered') return { ...unknown, by: 'srv', servers: null };
  if (imap === null || smtp === null || smtp === 'not_offered') return null;
  return { ...unknown, by: 'srv', servers: { imap, smtp } };
}

async function byAutoconfig(
  fetchText: Deps['fetchText'],
  domain: string,
  address: string,
): Promise<Found | null> {
  // Without the address in the query, which some servers would take: they are not asked whose mail it is.
  const files = await Promise.all([
    fetchText(`https://autoconfig.${domain}/mail/config-v1.1.xml`),
    fetchText(`https://${domain}/.well-known/autoconfig/mail/config-v1.1.xml`),
  ]);
  for (const file of files) {
    const settings = file === null ? null : parseAutoconfig(file, address);
    if (settings === null) continue;
    const { imap, smtp, user, label } = settings;
    return { ...unknown, by: 'autoconfig', servers: { imap, smtp }, user, label };
  }
  return null;
}

async function byExchanger(resolve: Deps['resolve'], domain: string): Promise<Found | null> {
  const records = (await answered(resolve(domain, 'MX'))) as { exchange: string; priority: number }[];
  for (const { exchange } of records.toSorted((one, other) => one.priority - other.priority)) {
    const known = mailHostByExchanger(exchange);
    if (known !== null) return foundAt(known, 'exchanger');
  }
  return null;
}

/** No answer and an answer that there is nothing come to the same. */
function answered(question: Promise<readonly unknown[]>): Promise<unknown[]> {
  return question.then(
    (records) => [...records],
    () => [],
  );
}

const fetching = { msMax: 5_000, bytesMax: 65_536, redirectsMax: 3 };

/** Fetches small files from hosts that strangers name: by TLS, within bounds, and never from a private network. */
export function createFetchText(
  netGuard: Pick<NetGuard, 'agent' | 'assertUrl'>,
  log: Pick<Log, 'debug'>,
): Deps['fetchText'] & { close(): Promise<void> } {
  const agent = netGuard.agent({ headersTimeout: fetching.msMax, bodyTimeout: fetching.msMax });
  const fetchText = async (url: string): Promise<string | null> => {
    try {
      return await fetchOnce({ agent, netGuard }, url, AbortSignal.timeout(fetching.msMax), 0);
    } catch (error) {
      log.debug({ host: new URL(url).hostname, error: messageOf(error) }, 'no settings were fetched');
      return null;
    }
  };
  return Object.assign(fetchText, { close: () => agent.close() });
}

async function fetchOnce(
  by: { agent: Agent; netGuard: Pick<NetGuard, 'assertUrl'> },
  url: string,
  signal: AbortSignal,
  redirects: number,
): Promise<string | null> {
  const target = by.netGuard.assertUrl(url);
  if (target.protocol !== 'https:' || redirects > fetching.redirectsMax) return null;
  const { statusCode, headers, body } = await request(target, { dispatcher: by.agent, signal });
  const { location } = headers;
  if ([301, 302, 303, 307, 308].includes(statusCode) && typeof location === 'string') {
    await body.dump({ limit: fetching.bytesMax, signal });
    return fetchOnce(by, new URL(location, target).href, signal, redirects + 1);
  }
  if (statusCode !== 200) {
    await body.dump({ limit: fetching.bytesMax, signal });
    return null;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > fetching.bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
