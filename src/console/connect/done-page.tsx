import type { Context } from 'hono';
import type { ConnectionId } from '../../lib/id.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { isFramed, Say } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { words } from '../texts/texts.ts';

/** Where a page is shown: in a frame of the CRM, or in a window or tab of its own. */
export type Where = { site: Site; isFramed: boolean };

export function whereOf(c: Context, site: Site): Where {
  return { site, isFramed: isFramed(c) };
}

/** What is connected; `address` null: to whom it is not known to be theirs. */
type Connected = { connectionId: ConnectionId; address: string | null };

/**
 * It is done. Whoever opened this page, in a pop-up or in a frame, hears of it by a message, if it is the CRM
 * (`data-tell`, console.js); a pop-up closes, and any other window goes back to the CRM by itself, where that has
 * named an address.
 */
export function connectedPage({ site, isFramed }: Where, result: Connected, link: ConnectLink | null): Page {
  const { connectionId, address } = result;
  const back = returnUrlOf(connectionId, link);
  const company = link?.subAccountName ?? '';
  const message = { type: 'twoway:connected', connection: connectionId, state: 'connected' };
  const goesTo = isFramed ? null : back;
  return {
    title: words('connected.title'),
    status: 200,
    goesTo,
    body: (
      <>
        <div
          class="outcome good"
          role="status"
          data-tell={JSON.stringify(message)}
          data-tell-to={site.crmOrigins.join(' ')}
          data-goes-to={goesTo ?? undefined}
        >
          <p>
            {address === null ? (
              <Say text="connected.text_plain" with={{ company }} />
            ) : (
              <Say text="connected.text" with={{ address, company }} />
            )}
          </p>
        </div>
        {goesTo === null ? (
          <p>{words(isFramed ? 'connected.next_framed' : 'connected.next')}</p>
        ) : (
          <p>
            <Say text="connected.next_return" with={{ host: new URL(goesTo).host }} />
          </p>
        )}
        {back !== null && (
          <p class="actions">
            <a class="button" href={back} target="_top">
              <Say text="page.back" with={{ host: new URL(back).host }} />
            </a>
          </p>
        )}
      </>
    ),
  };
}

/** Where the browser goes after it is done; null: nowhere. */
function returnUrlOf(connection: ConnectionId, link: ConnectLink | null): string | null {
  const url = link?.returnUrl ?? null;
  return url === null ? null : withState(url, { connection, state: 'connected' });
}

/** A return URL with what came of it in its query. */
export function withState(url: string, values: Record<string, string>): string {
  const target = new URL(url);
  for (const [name, value] of Object.entries(values)) target.searchParams.set(name, value);
  return target.href;
}
