import type { MessageId } from '../lib/id.ts';
import { jsonText, run } from './database.ts';
import type { Db } from './database.ts';

/** The rest of a message of which only the header was stored (L1). */
export type FillRow = {
  id: MessageId;
  body_text: string;
  body_html: string | null;
  reply_text: string;
  partial: string | null;
  raw_sha256: string | null;
  raw_size: number;
};

/** Writes the rest of messages, whose attachments are the caller's; false: one of them is whole meanwhile, or gone. */
export async function fillMessages(db: Db, fills: readonly FillRow[]): Promise<boolean> {
  if (fills.length === 0) return true;
  const filled = await run(
    db,
    `update messages m set omitted = null, body_text = t.body_text, body_html = t.body_html, reply_text = t.reply_text,
            partial = t.partial, raw_sha256 = t.raw_sha256, raw_size = t.raw_size, updated_at = now()
       from json_to_recordset(:fills::json) as t(id text, body_text text, body_html text, reply_text text,
                                                 partial text, raw_sha256 text, raw_size bigint)
      where m.id = t.id and m.omitted is not null`,
    { fills: jsonText(fills) },
  );
  return filled === fills.length;
}
