import type { z } from 'zod';

/** How values from outside are checked: what is wrong is said in words of ours, unless the schema has its own. */
export const parsing = {
  reportInput: true,
  error: (issue: z.core.$ZodRawIssue): string | undefined => fieldWords(issue),
} as const;

/** What is wrong with a value, for people; undefined: as the library says it. Never quotes the value. Pure. */
function fieldWords(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== 'custom' && issue.input === undefined) return 'This is missing.';
  if (issue.code === 'invalid_type') return `This must be ${kinds[issue.expected] ?? issue.expected}.`;
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String).join(', ');
    return `This must be ${issue.values.length === 1 ? '' : 'one of: '}${values}.`;
  }
  if (issue.code === 'too_small') return `This must ${amount(issue.origin, issue.minimum)} or more.`;
  if (issue.code === 'too_big') return `This must ${amount(issue.origin, issue.maximum)} or fewer.`;
  if (issue.code === 'invalid_format' && issue.format === 'datetime')
    return 'This is no time as in RFC 3339: 2026-01-31T09:00:00Z.';
  return undefined;
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function amount(origin: string, bound: number | bigint): string {
  if (origin === 'string') return `have ${bound} characters`;
  return origin === 'array' ? `have ${bound} entries` : `be ${bound}`;
}
