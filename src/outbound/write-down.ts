import { readBody } from '../filing/body.ts';
import type { Body } from '../filing/effects.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/id.ts';
import type { SendId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { noLimits } from '../message/attachment-limits.ts';
import { readHeader } from '../message/header.ts';
import type { MessageHeader } from '../message/header.ts';
import { htmlToPlainText } from '../message/html.ts';
import { blobName } from '../store/blobs.ts';
import type { BlobStore } from '../store/blobs.ts';
import { compose } from './compose.ts';
import type { MessagePlan, SendRequest } from './plan.ts';
import { trackMessage } from './tracking.ts';
import type { TrackedHtml } from './tracking.ts';

/** A message as it will go out, read back from its bytes. */
export type Written = {
  sendId: SendId;
  header: MessageHeader;
  body: Body;
  rawSha256: string;
  tracked: TrackedHtml | null;
  /** Its bytes are durable when it resolves, which must be awaited before anything that names them is committed. */
  kept: Promise<unknown>;
};

/** Composes a message, and begins to put its bytes, and what they were read as, on disk. */
export async function writeDown(
  deps: { blobs: BlobStore; secretBox: SecretBox; clock: Clock; trackingUrl: string | null },
  request: SendRequest,
  plan: MessagePlan,
): Promise<Written> {
  const sendId = newId('snd');
  const { html, track } = request;
  const { secretBox, trackingUrl } = deps;
  const tracked =
    html === null || trackingUrl === null || !(track.opens || track.clicks)
      ? null
      : trackMessage({ box: secretBox, trackingUrl }, { sendId, html, track });
  const { raw } = await compose({
    from: plan.from,
    to: plan.recipients.to,
    cc: plan.recipients.cc,
    subject: plan.subject,
    // Made from what was given: a text part is never tracked.
    text: request.text ?? (tracked === null || html === null ? null : htmlToPlainText(html)),
    html: tracked?.html ?? html,
    files: request.files,
    thread: plan.thread,
    headers: request.headers,
    // A message that is sent later is dated then: programs sort by it, and old dates look like spam.
    date: Math.max(deps.clock.now(), request.sendAt ?? 0),
  });
  const { body, kept } = await readBody(deps, raw, { limits: noLimits, anySize: true });
  // Shown as it was given; what was read back has the line ends of mail.
  const text = request.text ?? body.parsed.text;
  const shown = { ...body, parsed: { ...body.parsed, text } };
  return {
    sendId,
    header: readHeader(raw),
    body: shown,
    rawSha256: body.rawSha256 ?? blobName(raw),
    tracked,
    kept,
  };
}
