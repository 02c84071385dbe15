/** One person of an address header. `name` is empty where none was written; encoded words are left as they are. */
export type Address = { name: string; address: string };

/**
 * The addresses in a From, To or Cc header (RFC 5322 §3.4). Members of a group are listed without the
 * group's name; what holds no `@` is left out.
 */
export function parseAddresses(header: string): Address[] {
  const found: Address[] = [];
  let phrase = '';
  let comment = '';
  let address: string | undefined;
  const flush = () => {
    const bare = address ?? phrase.trim();
    const name = address === undefined ? comment : phrase.trim() || comment;
    if (/^[^\s@]+@[^\s@]+$/.test(bare)) found.push({ name: name.trim().replace(/\s+/g, ' '), address: bare });
    [phrase, comment, address] = ['', '', undefined];
  };
  // A quoted string, a comment, an <address>, or one character: at each place one of the four matches.
  for (const [token] of header.matchAll(/"(?:\\.|[^"\\])*"|\((?:\\.|[^()\\])*\)|<[^<>]*>|[^]/g)) {
    if (token.length > 1 && token.startsWith('"')) phrase += unescaped(token);
    else if (token.length > 1 && token.startsWith('(')) comment += unescaped(token);
    else if (token.length > 1 && token.startsWith('<')) address = token.slice(1, -1).trim();
    else if (token === ':') phrase = '';
    else if (token === ',' || token === ';') flush();
    else phrase += token;
  }
  flush();
  return found;
}

/** An address as it stands in a header, with its name in quotes where RFC 5322 §3.2.5 wants them. */
export function formatAddress({ name, address }: Address): string {
  if (name === '') return address;
  const phrase = /^[\p{L}\p{N} '-]+$/u.test(name) ? name : `"${name.replace(/["\\]/g, '\\$&')}"`;
  return `${phrase} <${address}>`;
}

/** The form in which addresses compare here: lower case, without the `+tag`. */
export function canonicalAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const localPart = address.slice(0, Math.max(at, 0)).split('+')[0] ?? '';
  return `${localPart}${address.slice(Math.max(at, 0))}`.trim().toLowerCase();
}

function unescaped(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/g, '$1');
}
