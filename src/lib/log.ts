import { pino } from 'pino';
import { logLines } from './meters.ts';

/**
 * The program's log: JSON lines on standard output. Callers pass allow-listed fields only (ids,
 * counts, durations, codes): never an address, a subject, a text, a token or a header of mail.
 */
export type Log = {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log whose every line carries `fields` too. */
  child(fields: LogFields): Log;
};

export type LogFields = Record<string, string | number | boolean | null | undefined>;

/** The log of a running gateway. */
export function createLog(level: 'debug' | 'info' | 'warn' | 'error'): Log {
  return wrap(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }));
}

type PinoLike = Pick<ReturnType<typeof pino>, 'debug' | 'info' | 'warn' | 'error' | 'child'>;

function wrap(logger: PinoLike): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => {
      logLines.add(['warn']);
      logger.warn(fields, message);
    },
    error: (fields, message) => {
      logLines.add(['error']);
      logger.error(fields, message);
    },
    child: (fields) => wrap(logger.child(fields)),
  };
}
