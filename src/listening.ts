import { messageOf } from './lib/failure.ts';

/** Starts a server; where it cannot listen, the error says what is in the way and which setting changes it. */
export async function listening<T>(
  settings: { port: string; host?: string },
  start: () => Promise<T>,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    throw new Error(problemOf(error, settings), { cause: error });
  }
}

function problemOf(error: unknown, settings: { port: string; host?: string }): string {
  const { code, address, hostname, port } = error as NodeJS.ErrnoException & Partial<Record<string, string>>;
  const where = `port ${port ?? ''} of ${address ?? ''}`;
  if (code === 'EADDRINUSE')
    return `${where} is taken by another program: end that one, or choose another port by ${settings.port}`;
  if (code === 'EACCES')
    return `${where} is not allowed to this user: choose one above 1023 by ${settings.port}`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `${address ?? hostname ?? ''} is no address of this machine: set ${settings.host ?? settings.port} to one that is`;
  }
  return messageOf(error);
}
