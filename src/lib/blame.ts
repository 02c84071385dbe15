/** Errors that our own code has with what it was given. */
const ours: ReadonlySet<string> = new Set([
  'TypeError',
  'RangeError',
  'SyntaxError',
  'URIError',
  'AssertionError',
]);

/**
 * Whether an error lies in the message that was filed: a fault of our own, or values that the
 * database does not take (PostgreSQL, appendix A: classes 22, 23 and 54). Every other one may pass by
 * itself: a database that is away, busy or overtaken, a disk that is full or read-only. Pure.
 */
export function isOfOneMessage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Only what the database itself said has a severity.
  if ('severity' in error) return /^(22|23|54)/.test(codeOf(error) ?? '');
  return ours.has(error.name);
}

/** What may be logged of an error of our own: where it happened. Its message may hold content of mail. */
export function placeOfError(error: unknown): { error: string; code: string | null; stack: string | null } {
  if (!(error instanceof Error)) return { error: typeof error, code: null, stack: null };
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line));
  return { error: error.name, code: codeOf(error), stack: frames?.slice(0, 8).join('\n') ?? null };
}

function codeOf(error: Error): string | null {
  return 'code' in error && typeof error.code === 'string' ? error.code : null;
}
