import type { SendId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { trackHtml } from '../message/tracked-html.ts';
import { clickPath, openPath, targetCharsMax } from '../message/tracking-links.ts';

/** Tracking was asked for, and the operator named no address for it. */
export const trackingNotConfigured = {
  code: 'tracking_not_configured',
  detail: 'This gateway is not set up for tracking: its operator must set TWOWAY_TRACKING_URL.',
} as const;

/** So many different links of a message are tracked; more than that no person writes, and the rest is left as it is. */
const linksMax = 200;

/** HTML as it goes out, and what of it is tracked. */
export type TrackedHtml = {
  html: string;
  opens: boolean;
  /** Where its links lead, each once: number 1 is the first. */
  urls: string[];
};

/** Makes the HTML that goes out (D7). Links that are ours already, out of a mail that is quoted, are left alone. */
export function trackMessage(
  by: { box: Pick<SecretBox, 'mac'>; trackingUrl: string },
  message: { sendId: SendId; html: string; track: { opens: boolean; clicks: boolean } },
): TrackedHtml {
  const { sendId, track } = message;
  // By target, in the order in which they come: signing one takes longer than finding it.
  const links = new Map<string, string>();
  const link = (url: string): string | null => {
    if (!track.clicks || url.length > targetCharsMax || url.startsWith(`${by.trackingUrl}/t/`)) return null;
    const known = links.get(url);
    if (known !== undefined || links.size === linksMax) return known ?? null;
    const tracked = by.trackingUrl + clickPath(by.box, { sendId, n: links.size + 1, url });
    links.set(url, tracked);
    return tracked;
  };
  const pixel = track.opens ? by.trackingUrl + openPath(by.box, sendId) : null;
  const html = trackHtml(message.html, { link, pixel });
  return { html, opens: track.opens, urls: [...links.keys()] };
}
