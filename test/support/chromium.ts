import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

const quietly = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-sync',
  '--disable-background-networking',
  '--disable-component-update',
];

/** Debian's Chromium, which asks nobody for anything. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: quietly });
}

/** A page of its own, with all that it complained of and every host that it asked. */
export type WatchedPage = { page: Page; complaints: string[]; origins: Set<string> };

export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    locale: 'en-GB',
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:') origins.add(host);
  });
  return { page, complaints, origins };
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

type Finding = { id: string; help: string; nodes: { html: string; failureSummary?: string }[] };

/** Fails when axe finds anything on the page as it is now, its frames apart. */
async function assertAccessible(page: Page): Promise<void> {
  await page.evaluate(axeSource);
  const findings: Finding[] = await page.evaluate(
    'axe.run({ iframes: false }).then((found) => found.violations)',
  );
  const said = findings.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\n  ${html}\n  ${failureSummary ?? ''}`),
  );
  assert.deepEqual(said, [], page.url());
}

/** Fails when the page is wider than its window: what is wide scrolls by itself. */
async function assertFits(page: Page): Promise<void> {
  const [content, window]: [number, number] = await page.evaluate(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  assert.ok(content <= window, `${page.url()} is ${content} wide in ${window}`);
}

/** Where pictures of pages go for whoever wants to look at them; none are made where it is not set. */
const pictures = process.env['TWOWAY_TEST_PICTURES'];

/**
 * Looks at the page as it is now on a large screen and a phone, light and dark: axe finds nothing, and it fits.
 * `name` is that of its pictures.
 */
export async function assertGoodToRead(page: Page, name: string): Promise<void> {
  const before = page.viewportSize();
  for (const [width, colorScheme] of [
    [1280, 'light'],
    [390, 'dark'],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await assertAccessible(page);
    await assertFits(page);
    if (pictures === undefined) continue;
    await mkdir(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
  }
  if (before !== null) await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
}
