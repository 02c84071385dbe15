import { parseXml } from '../lib/xml.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { ServerAddress } from '../provider/providers.ts';

/** What a domain says of its mail servers. */
export type Settings = {
  imap: ServerAddress;
  smtp: ServerAddress;
  /** The user name; null: the address. */
  user: string | null;
  /** What the host calls itself; hostile text. */
  label: string | null;
};

const labelCharsMax = 60;

/**
 * Settings of a file in Thunderbird's format (its wiki, "Autoconfiguration: Config file format", version 1.1): the first
 * server of each kind that speaks TLS and takes a password. Null where there is none. Pure.
 */
export function parseAutoconfig(source: string, address: string): Settings | null {
  const root = parseXml(source);
  const provider = root?.name === 'clientConfig' ? childrenOf(root, 'emailProvider')[0] : undefined;
  if (provider === undefined) return null;
  const imap = serverOf(childrenOf(provider, 'incomingServer'), 'imap', address);
  const smtp = serverOf(childrenOf(provider, 'outgoingServer'), 'smtp', address);
  if (imap === null || smtp === null) return null;
  const label = textOf(provider, 'displayName').slice(0, labelCharsMax);
  const { user } = imap;
  return {
    imap: imap.server,
    smtp: smtp.server,
    user: user === '' || user === address ? null : user,
    label: label === '' ? null : label,
  };
}

const securities = new Map<string, ServerAddress['security']>([
  ['SSL', 'tls'],
  ['STARTTLS', 'starttls'],
]);

/** A password never goes out in clear for what a file says (`plain`): whoever wants that types it. */
function serverOf(
  servers: readonly XmlElement[],
  type: string,
  address: string,
): { server: ServerAddress; user: string } | null {
  for (const element of servers.filter(({ attributes }) => attributes.get('type') === type)) {
    const host = filledIn(textOf(element, 'hostname'), address).toLowerCase();
    const port = Number(textOf(element, 'port'));
    const security = securities.get(textOf(element, 'socketType'));
    const ways = childrenOf(element, 'authentication').map(({ text }) => text);
    const takesPassword = ways.length === 0 || ways.some((way) => /^(?:password-|plain$|secure$)/.test(way));
    if (security === undefined || !takesPassword || !isHostName(host) || !isPort(port)) continue;
    return { server: { host, port, security }, user: filledIn(textOf(element, 'username'), address) };
  }
  return null;
}

function filledIn(text: string, address: string): string {
  const at = address.lastIndexOf('@');
  const values = new Map([
    ['EMAILADDRESS', address],
    ['EMAILLOCALPART', address.slice(0, at)],
    ['EMAILDOMAIN', address.slice(at + 1)],
  ]);
  return text.replaceAll(/%(\w+)%/g, (whole, name: string) => values.get(name) ?? whole);
}

/** A name with a dot, as the DNS has it; no address, which no certificate is for. */
export function isHostName(text: string): boolean {
  return (
    text.length <= 253 && /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z][a-z\d-]{0,61}[a-z\d]$/i.test(text)
  );
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function childrenOf(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((child) => child.name === name);
}

function textOf(element: XmlElement, name: string): string {
  return childrenOf(element, name)[0]?.text ?? '';
}
