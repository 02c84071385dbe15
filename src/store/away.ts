/**
 * What PostgreSQL says (appendix A) of itself and not of what was asked: 08 connection, 53 no memory, disk or connection
 * left, 57P01 to 57P03 it stops, was cut off, starts; 57P05 and 25P03 it had waited for us too long; 57014 it took too
 * long, 55P03 a lock was not to be had; 25006 it may only read, as a primary that has become a standby.
 */
const ofItself = /^(?:08|53|57P0[1235]$|57014$|55P03$|25P03$|25006$)/;

/** Node's words for a connection that does not come about, or breaks. */
const ofNetwork = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** What pg (8.23.1) says of connections, in words alone; knex puts the statement before them. */
const ofConnection =
  /(?:^| - )(?:Connection terminated(?: unexpectedly)?|timeout expired|Query read timeout|Client (?:has encountered a connection error|was closed) and is not queryable)$/;

/**
 * Whether an error is of a database that is away, starts, stops or is overloaded, and not of what was asked of it: the same
 * again succeeds when it is back. What was under way may have been committed all the same: the answer is lost as well.
 * To be asked of errors that no other edge has thrown, since a refused connection does not say whose it was. Pure.
 */
export function isOfAbsence(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if ('severity' in error) return ofItself.test(code);
  // Knex found no connection of its pool free in time, and could open none.
  if (error.name === 'KnexTimeoutError') return true;
  // Amazon's SDK: a bucket is away, not the database.
  if ('$metadata' in error) return false;
  return ofNetwork.has(code) || ofConnection.test(error.message);
}

/** What PostgreSQL says of what took too long, or waited for too long: something else need not. */
const ofTime = new Set(['57014', '55P03']);

/** As `isOfAbsence`, where whatever else is asked for at this moment fails as well. Pure. */
export function isOfAll(error: unknown): boolean {
  return isOfAbsence(error) && !(error instanceof Error && 'code' in error && ofTime.has(String(error.code)));
}
