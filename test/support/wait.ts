import { inspect } from 'node:util';

/**
 * Asks `read` again until it gives something other than undefined, null or false, and returns that. At the
 * deadline it throws with the description and the last answer or error. Instead of a sleep in a test.
 */
export async function waitFor<T>(
  description: string,
  read: () => T | Promise<T>,
  options: { deadlineMs?: number; everyMs?: number } = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const { deadlineMs = 15_000, everyMs = 50 } = options;
  const end = Date.now() + deadlineMs;
  for (;;) {
    const last = await attempt(read);
    if ('value' in last && last.value !== undefined && last.value !== null && last.value !== false) {
      return last.value as NonNullable<Exclude<T, false>>;
    }
    if (Date.now() >= end) {
      const seen = 'error' in last ? inspect(last.error) : inspect(last.value);
      throw new Error(`waited ${deadlineMs} ms for: ${description}; last seen: ${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

async function attempt<T>(read: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await read() };
  } catch (error) {
    return { error };
  }
}
