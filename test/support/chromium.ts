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
  if ((await page.evaluate(`typeof axe`)) === 'undefined') await page.evaluate(axeSource);
  const findings: Finding[] = await page.evaluate(
    `axe.run({ iframes: false, resultTypes: ['violations'] }).then((found) => found.violations)`,
  );
  const said = findings.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\n  ${html}\n  ${failureSummary ?? ''}`),
  );
  assert.deepEqual(said, [], page.url());
}

/** Fails when the page is wider than its window, or something wider than what it stands in: what is wide scrolls by itself. */
async function assertFits(page: Page): Promise<void> {
  const sticksOut: string[] = await page.evaluate(`
    [document.documentElement, ...document.querySelectorAll('body, body :not(.away, svg *)')]
      .filter((one) => one.checkVisibility() && one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1)
      .filter((one) => one === document.documentElement || getComputedStyle(one).overflowX === 'visible')
      .map((one) => one.outerHTML.slice(0, 200) + ': ' + one.scrollWidth + ' in ' + one.clientWidth)
  `);
  assert.deepEqual(sticksOut, [], page.url());
}

/** Where pictures of pages go for whoever wants to look at them; none are made where it is not set. */
const pictures = process.env['TWOWAY_TEST_PICTURES'];

/** How a page is looked at, and whether by axe, which takes half a second: each width and each scheme once. */
type Look = { width: number; colorScheme: 'light' | 'dark'; axe: boolean };

const looks: readonly Look[] = [
  { width: 1280, colorScheme: 'light', axe: true },
  { width: 1280, colorScheme: 'dark', axe: false },
  { width: 390, colorScheme: 'dark', axe: true },
  { width: 390, colorScheme: 'light', axe: false },
];
const looksInGerman: readonly Look[] = [
  { width: 1280, colorScheme: 'dark', axe: false },
  { width: 390, colorScheme: 'light', axe: true },
];

/** Paths of the pages that were looked at in this process. */
export const lookedAt = new Set<string>();

/**
 * Looks at the page as it is now on a large screen and a phone, light and dark: axe finds nothing, and it fits. Then at
 * what its address shows in German, which has longer words, where that shows anything: what a form was answered with
 * does not. `name` is that of its pictures.
 */
export async function assertGoodToRead(page: Page, name: string): Promise<void> {
  lookedAt.add(new URL(page.url()).pathname);
  const before = page.viewportSize();
  await assertLooks(page, looks, name);
  if (before !== null) await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
  const context = await page.context().browser()?.newContext({ locale: 'de-DE', ignoreHTTPSErrors: true });
  assert.ok(context !== undefined);
  await context.addCookies(await page.context().cookies());
  const german = await context.newPage();
  const answer = await german.goto(page.url());
  if (answer?.ok() === true) {
    assert.equal(await german.locator('html').getAttribute('lang'), 'de');
    await assertLooks(german, looksInGerman, `${name}-german`);
  }
  await context.close();
}

/**
 * The same, once, of what a form was answered with, or of a page without scripts: axe is a script itself, and what is
 * there now is looked at in another page, with the styles that belong to it and without our scripts.
 */
export async function assertCopyGoodToRead(page: Page): Promise<void> {
  const context = await page
    .context()
    .browser()
    ?.newContext({ viewport: page.viewportSize(), ignoreHTTPSErrors: true });
  assert.ok(context !== undefined);
  const copy = await context.newPage();
  // What stands there for whoever has no scripts would be no part of the copy.
  const body = (await page.content()).replaceAll(/(?<=<\/?)noscript\b/g, 'div');
  await copy.route(page.url(), (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body }));
  await copy.route('**/*.js', (route) => route.abort());
  await copy.goto(page.url());
  await assertAccessible(copy);
  await assertFits(copy);
  await context.close();
}

async function assertLooks(page: Page, ways: readonly Look[], name: string): Promise<void> {
  for (const { width, colorScheme, axe } of ways) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    if (axe) await assertAccessible(page);
    await assertFits(page);
    if (pictures === undefined) continue;
    await mkdir(pictures, { recursive: true });
    // Not `fullPage`: frames of another origin are drawn only as far as the window goes.
    const height: number = await page.evaluate('document.documentElement.scrollHeight');
    await page.setViewportSize({ width, height });
    await page.screenshot({ path: join(pictures, `${name}-${width}-${colorScheme}.png`) });
  }
}
