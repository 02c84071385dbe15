/** A word, a quoted string's or literal's content, or a parenthesised list. */
export type Token = string | Token[];

/**
 * The words of an IMAP command (RFC 3501 §9), and of a script's own lines, which follow the same
 * grammar. A bracketed section stays in its word: `BODY.PEEK[HEADER.FIELDS (FROM TO)]<0.100>`.
 */
export function tokensOf(text: string, literals: readonly Buffer[] = []): Token[] {
  const waiting = [...literals];
  const open: Token[][] = [[]];
  // A quote, a literal's marker, a parenthesis, or a word, whose brackets may hold spaces.
  const word = /"((?:[^"\\]|\\.)*)"|\{\d+\+?\}|[()]|(?:\[[^\]]*\]|[^\s()"])+/g;
  for (const match of text.matchAll(word)) {
    const [all, quoted] = match;
    const current = open.at(-1);
    if (current === undefined) throw new Error(`one ")" too many: ${text}`);
    if (all === '(') open.push([]);
    else if (all === ')') {
      open.pop();
      open.at(-1)?.push(current);
    } else if (quoted !== undefined) current.push(quoted.replace(/\\(.)/g, '$1'));
    else if (/^\{\d+\+?\}$/.test(all)) current.push((waiting.shift() ?? Buffer.alloc(0)).toString());
    else current.push(all);
  }
  const [tokens] = open;
  if (tokens === undefined || open.length !== 1) throw new Error(`parentheses do not match: ${text}`);
  return tokens;
}

/** A token that must be a word. */
export function wordOf(token: Token | undefined): string {
  if (typeof token === 'string') return token;
  throw new Error(`a word was expected, not ${JSON.stringify(token)}`);
}

/** A token that must be a list of words. */
export function wordsOf(token: Token | undefined): string[] {
  if (Array.isArray(token)) return token.map(wordOf);
  throw new Error(`a list in parentheses was expected, not ${JSON.stringify(token)}`);
}

/** An IMAP string, quoted. Not for what may hold line ends or bytes that are no UTF-8. */
export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
