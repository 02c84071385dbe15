import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { putContacts } from '../store/contacts.ts';
import type { ContactInput } from '../store/contacts.ts';
import { inTransaction } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { contactInputFields } from './contacts.ts';
import { ApiError, notFound } from './errors.ts';
import { parsing } from './field-words.ts';
import { crmId, subAccountParam } from './fields.ts';
import { readLines } from './ndjson.ts';
import type { Line } from './ndjson.ts';
import { addRoute, bodyChunks, defineRoute, fieldErrors, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `POST …/contacts/import`: any number of contacts in one call, at the memory of one batch. */
export function addContactsImport(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    importRoute,
    async (c) => {
      const { sid } = c.req.valid('param');
      const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
      if (!contentTypes.includes(type)) {
        throw new ApiError(
          'unsupported_media_type',
          `The content type must be ${contentTypes.join(' or ')}.`,
        );
      }
      return c.json(await importContacts(deps, sid, bodyChunks(c)), 200);
    },
    ['unsupported_media_type', 'incomplete_body'],
  );
}

/** A contact of 50 addresses at their longest is far below. */
const lineBytesMax = 65_536;
/**
 * A transaction each: large enough that a round trip costs nothing, small enough that nobody waits for its
 * locks. The embedded database has one session, for which everybody waits.
 */
const batchLinesOf = { postgres: 500, pglite: 100 };
/** More are counted and not listed. */
const errorsListedMax = 10_000;

const contentTypes = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

const lineSchema = z
  .strictObject({ id: crmId.describe("The contact, by the CRM's id."), ...contactInputFields })
  .meta({ id: 'ContactLine', description: 'One line of an import: a contact, as it shall be.' });

const resultSchema = z
  .strictObject({
    created: z.int().describe('Lines that made a contact.'),
    updated: z.int().describe('Lines that changed one.'),
    unchanged: z.int().describe('Lines that said what is so, or that a later line of this call replaced.'),
    error_count: z.int().describe('Lines that are not valid; none of them changed anything.'),
    errors: z
      .array(
        z.strictObject({
          line: z.int().describe('Number of the line, from 1; empty lines count.'),
          code: z
            .string()
            .describe(
              '`malformed_json`, `line_too_long`, `invalid_utf8`, `unknown_user`, or a code that the field ' +
                'would get in a single PUT: `invalid_id`, `invalid_address`, `unknown_field`, …',
            ),
          detail: z.string().describe('For people, with the name of the field.'),
        }),
      )
      .describe(`Those lines, in their order; at most ${errorsListedMax}.`),
  })
  .meta({ id: 'ContactImport', description: 'What an import did.' });

const importRoute = defineRoute({
  method: 'post',
  path: '/v1/sub-accounts/{sid}/contacts/import',
  tags: ['Contacts'],
  summary: 'Import contacts',
  description:
    'One JSON object for each line (NDJSON), of any number; it is read as a stream and stored in batches while it ' +
    `arrives. A line has at most ${lineBytesMax} bytes. Each line is a PUT of that contact: the same call twice ` +
    'changes nothing, of two lines with the same id the later wins, and a line that is not valid harms no other. ' +
    'When the call breaks off, what was stored stays; repeat it.',
  request: {
    params: subAccountParam,
    body: { required: true, content: { 'application/x-ndjson': { schema: lineSchema } } },
  },
  responses: { 200: jsonResponse(resultSchema, 'Everything was read.') },
});

type ImportResult = z.output<typeof resultSchema>;
type Row = { line: number; contact: ContactInput };

async function importContacts(
  { db, databaseKind }: Pick<ApiDeps, 'db' | 'databaseKind'>,
  subAccountId: string,
  body: AsyncIterable<Uint8Array>,
): Promise<ImportResult> {
  const result: ImportResult = { created: 0, updated: 0, unchanged: 0, error_count: 0, errors: [] };
  const batchLines = batchLinesOf[databaseKind];
  let batch: Row[] = [];
  for await (const lines of readLines(body, lineBytesMax)) {
    for (const line of lines) {
      const parsed = parseLine(line);
      if ('code' in parsed) addError(result, parsed);
      else batch.push(parsed);
      if (batch.length < batchLines) continue;
      await storeBatch(db, subAccountId, batch, result);
      batch = [];
      // The embedded database answers without a turn of the event loop; others wait for theirs.
      await nextTurn();
    }
  }
  if (batch.length > 0) await storeBatch(db, subAccountId, batch, result);
  result.errors.sort((a, b) => a.line - b.line);
  return result;
}

async function storeBatch(
  db: Db,
  subAccountId: string,
  batch: readonly Row[],
  result: ImportResult,
): Promise<void> {
  const contacts = batch.map((row) => row.contact);
  const outcomes = await inTransaction(db, (tx) => putContacts(tx, subAccountId, contacts));
  if (outcomes === null) throw notFound('sub-account');
  for (const [position, outcome] of outcomes.entries()) {
    if (outcome !== 'unknown_user') result[outcome] += 1;
    else {
      const line = batch[position]?.line ?? 0;
      const detail = 'assigned_user_id: No member of the sub-account has this id.';
      addError(result, { line, code: 'unknown_user', detail });
    }
  }
}

function parseLine(line: Line): Row | ImportResult['errors'][number] {
  if (line.problem !== undefined)
    return { line: line.number, code: line.problem, detail: details[line.problem] };
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { line: line.number, code: 'malformed_json', detail: 'The line is not JSON.' };
  }
  const parsed = lineSchema.safeParse(value, parsing);
  if (parsed.success) {
    const { id, name, emails, assigned_user_id: assignedUserId } = parsed.data;
    return { line: line.number, contact: { id, name, emails, assignedUserId } };
  }
  const [first] = fieldErrors('body', parsed.error.issues);
  const field = first?.path ? `${first.path}: ` : '';
  return {
    line: line.number,
    code: first?.code ?? 'invalid_value',
    detail: `${field}${first?.detail ?? ''}`,
  };
}

const details = {
  line_too_long: `The line is longer than ${lineBytesMax} bytes.`,
  invalid_utf8: 'The line is not UTF-8.',
};

function addError(result: ImportResult, error: ImportResult['errors'][number]): void {
  result.error_count += 1;
  if (result.errors.length < errorsListedMax) result.errors.push(error);
}
