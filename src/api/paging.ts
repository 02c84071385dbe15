import { z } from 'zod';

/** The query of every list. The cursor arrives decoded: the values of the last row, or null for the start. */
export const pageQuery = z.object({
  cursor: z
    .string()
    .max(1024)
    .optional()
    .describe('`next_cursor` of the page before; left out for the first page.')
    .transform((cursor, context) => {
      if (cursor === undefined) return null;
      const values = decode(cursor);
      if (values === null) {
        context.addIssue({
          code: 'custom',
          params: { code: 'invalid_cursor' },
          message: 'This is no cursor of this list.',
        });
      }
      return values;
    }),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many rows, at most.'),
});

/** The answer of every list. */
export function pageSchema<S extends z.ZodType>(row: S, name: string) {
  return z
    .strictObject({
      data: z.array(row).describe('The rows of this page.'),
      next_cursor: z.string().nullable().describe('For `cursor` of the next page; null: this was the last.'),
    })
    .meta({ id: name, description: 'One page of a list.' });
}

/**
 * A page from rows that were asked for with `limit + 1`: the one too many tells that more follow.
 * `position` gives the values by which the list is ordered.
 */
export function pageOf<Row, Shown>(
  found: readonly Row[],
  limit: number,
  position: (row: Row) => readonly string[],
  show: (row: Row) => Shown,
): { data: Shown[]; next_cursor: string | null } {
  const page = found.slice(0, limit);
  const last = page.at(-1);
  const more = found.length > limit && last !== undefined;
  return { data: page.map(show), next_cursor: more ? encode(position(last)) : null };
}

function encode(values: readonly string[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

function decode(cursor: string): string[] | null {
  let values: unknown;
  try {
    values = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  return (
    z
      .array(z.string().refine((text) => !text.includes('\0')))
      .min(1)
      .safeParse(values).data ?? null
  );
}
