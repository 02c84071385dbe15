import type { Hono } from 'hono';
import type { AdminPages } from '../app.tsx';
import { addHeldMail } from './held.tsx';
import { addLive } from './live.tsx';
import { addOverview } from './overview.tsx';
import { addSendPages } from './sends.tsx';
import { addWebhookPages } from './webhooks.tsx';

/** What waits for a person and how the rest does: `/admin`, `/admin/held`, `/admin/sends`, `/admin/webhooks`. */
export function addWork(app: Hono, pages: AdminPages): void {
  addLive(app, pages);
  addOverview(app, pages);
  addHeldMail(app, pages);
  addSendPages(app, pages);
  addWebhookPages(app, pages);
}
