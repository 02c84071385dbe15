import type { Context } from 'hono';
import { counted } from '../../texts/texts.ts';

/** What a form has done, said on the page that follows it: `?done=<name>&n=<how many>`. */
const done = [
  'held_released',
  'held_discarded',
  'held_left',
  'send_cancelled',
  'send_too_late',
  'webhook_saved',
  'webhook_deleted',
  'webhook_paused',
  'webhook_resumed',
  'webhook_overtaken',
  'delivery_retried',
] as const;

export type Done = (typeof done)[number];

/** What the address of this page says was done; nothing where it says nothing that we say. */
export function Notice({ c }: { c: Context }) {
  const name = done.find((known) => known === c.req.query('done'));
  const n = Number(c.req.query('n') ?? '1');
  if (name === undefined || !Number.isSafeInteger(n) || n < 0) return null;
  const isStill = ['held_left', 'send_too_late', 'webhook_overtaken'].includes(name);
  return (
    <p class={`outcome ${isStill ? 'still' : 'good'}`} role="status">
      {counted(`done.${name}`, n)}
    </p>
  );
}

/** What goes into the address of the page that follows. */
export function doneQuery(name: Done, n = 1): Record<string, string> {
  return { done: name, n: String(n) };
}
