import { hrefOf } from '../page.tsx';
import type { Page } from '../page.tsx';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { adminPage } from './app.tsx';
import type { AdminPages, AdminSession } from './app.tsx';

/** The pages about the gateway itself, in the order of their second bar. */
const pagesOfGateway = {
  keys: '/admin/keys',
  settings: '/admin/settings',
  configuration: '/admin/configuration',
  setup: '/admin/setup',
  administrators: '/admin/administrators',
  audit: '/admin/audit',
} as const;

export type GatewayPart = keyof typeof pagesOfGateway;

/** A page about the gateway itself: below the bar of the administration, and a second one of these pages. */
export function gatewayPage(
  pages: AdminPages,
  session: AdminSession,
  {
    tab,
    ...page
  }: { tab: GatewayPart; title?: string; body: Page['body'] } & Pick<Partial<Page>, 'list' | 'status'>,
): Promise<Page> {
  const label = (part: GatewayPart) => words(`nav.${part}` satisfies PlainKey);
  return adminPage(pages, session, {
    title: label(tab),
    ...page,
    part: 'gateway',
    body: (
      <>
        <nav class="tabs" aria-label={words('nav.gateway')}>
          <ul>
            {(Object.keys(pagesOfGateway) as GatewayPart[]).map((part) => (
              <li>
                <a
                  href={hrefOf(pages.site, pagesOfGateway[part])}
                  aria-current={part === tab ? 'page' : undefined}
                >
                  {label(part)}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        {page.body}
      </>
    ),
  });
}
