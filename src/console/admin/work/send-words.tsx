import type { SendState } from '../../../store/public-send.ts';
import { Badge } from '../../parts.tsx';
import type { Tone } from '../../parts.tsx';
import { findText, words } from '../../texts/texts.ts';

const tones: Readonly<Record<SendState, Tone>> = {
  queued: 'plain',
  held: 'still',
  sending: 'plain',
  uncertain: 'still',
  sent: 'good',
  bounced: 'bad',
  failed: 'bad',
  cancelled: 'plain',
};

/** The states in the order of a send's life (D6). */
export const sendStates = Object.keys(tones) as SendState[];

export function SendStateBadge({ state }: { state: SendState }) {
  return <Badge tone={tones[state]}>{words(`send_state.${state}`)}</Badge>;
}

/** What the reason of a send's state says, in our words, and what a server said. */
export type SendReason = { said: string; server: string | null };

/** A reason is a word, behind which the server's own may stand: `refused: 550 5.7.1 No`; or `gave_up: ` and such a one. */
function readSendReason(reason: string | null): SendReason | null {
  if (reason === null) return null;
  const [, word = '', rest = null] = /^(\w+)(?:: ([\s\S]*))?$/.exec(reason) ?? [];
  const said = textOf(`send_reason.${word}`);
  if (said === null) return { said: reason, server: null };
  if (word === 'gave_up') {
    const last = readSendReason(rest);
    return { said: last === null ? said : `${said} ${last.said}`, server: last?.server ?? null };
  }
  // Behind this word stands why nobody can tell, in words of ours.
  if (word === 'no_answer')
    return { said: rest === null ? said : words('send_reason.nobody_can_tell'), server: null };
  return { said, server: rest };
}

export function textOf(key: string): string | null {
  return (
    findText(key)
      ?.map(({ text }) => text)
      .join('') ?? null
  );
}

/** In a list: our words alone. */
export function ReasonInShort({ reason }: { reason: string | null }) {
  const read = readSendReason(reason);
  return read === null ? null : <small>{read.said}</small>;
}

/** Our words, and beneath them the server's, as they came. */
export function ReasonInFull({ reason }: { reason: string | null }) {
  const read = readSendReason(reason);
  if (read === null) return null;
  return (
    <>
      <p>{read.said}</p>
      {read.server !== null && (
        <figure class="said">
          <figcaption>{words('sends.server_said')}</figcaption>
          <pre>{read.server}</pre>
        </figure>
      )}
    </>
  );
}
