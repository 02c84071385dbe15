import type { Leaving } from '../../store/leaving.ts';
import { Say } from '../page.tsx';
import { counted, words } from '../texts/texts.ts';

/** C6: what ends in the mailbox that is left, and what stays. */
export function Leaves({ leaving }: { leaving: Leaving | null }) {
  if (leaving === null) return null;
  const { address, conversations, sends } = leaving;
  return (
    <div class="outcome still leaves">
      <p>
        <strong>
          <Say text="leaves.title" with={{ address }} />
        </strong>
      </p>
      <ul>
        <li>{words('leaves.stored')}</li>
        {conversations > 0 && <li>{counted('leaves.conversations', conversations)}</li>}
        <li>{words('leaves.answers')}</li>
        {sends > 0 && <li>{counted('leaves.sends', sends)}</li>}
      </ul>
    </div>
  );
}
