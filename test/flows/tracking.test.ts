import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseMessage } from '../../src/message/parse.ts';
import type { ReceivedEvent } from '../support/receiver.ts';
import { deliver, openMailbox } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

type Tracked = { count: number };
type Send = {
  copy_seen: boolean;
  tracking: { opens: Tracked | null; clicks: ({ url: string } & Tracked)[] } | null;
};

const trackingUrl = 'https://go.crm.example/mail';
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0';
const gmail = 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)';
const offer = 'https://shop.example/offer?for=carla&n=1';

describe('D7: a mail with tracking is sent, opened and clicked', () => {
  let story: Story;
  before(async () => {
    const environment = { TWOWAY_TRACKING_URL: `${trackingUrl}/` };
    story = await openStory({ name: 'tracking', database: 'postgres', environment });
    await story.connect('gmail');
  });
  after(() => story.end());

  /** What a recipient's program asks of the address in the mail, whose host leads to the gateway. */
  const load = (url: string, userAgent = firefox, method = 'GET') => {
    assert.ok(url.startsWith(`${trackingUrl}/t/`), url);
    const target = `${story.gateway.url}${url.slice(trackingUrl.length)}`;
    return fetch(target, { method, redirect: 'manual', headers: { 'user-agent': userAgent } });
  };
  const post = (more: Record<string, unknown>) =>
    story.gateway.must<{ message: { id: string; html: string }; send: { id: string } }>(
      'POST',
      `${story.sub}/messages`,
      { kind: 'individual', user_id: 'ann', contact_id: 'carla', ...more },
    );
  const received = async (subject: string) => {
    const mailbox = await openMailbox(story.servers, story.carla);
    try {
      const mail = await mailbox.waitForMail(subject);
      return parseMessage(Buffer.from(await mailbox.source(mail.uid), 'utf8'));
    } finally {
      await mailbox.close();
    }
  };

  test('the CRM hears of the first opening and of each link, and of what machines do nothing', async () => {
    const html = `<p>Dear Carla, <a href="${offer.replace('&', '&amp;')}">our offer</a>, <a href="mailto:x@y.example">mail</a></p>`;
    const { message, send } = await post({
      subject: 'Tracked',
      html,
      track: { opens: true, clicks: true },
    });
    const mail = await received('Tracked');
    const [, picture = ''] = /<img[^>]* src="([^"]+)"/.exec(mail.html ?? '') ?? [];
    const [, link = ''] = /<a href="(http[^"]+)"/.exec(mail.html ?? '') ?? [];
    assert.match(mail.html ?? '', /href="mailto:x@y\.example"/);
    assert.ok(mail.text.includes(offer));
    assert.doesNotMatch(mail.text, /go\.crm\.example/);

    const shown = () => story.gateway.must<Send>('GET', `${story.sub}/sends/${send.id}`);
    const told = (type: string) => story.receiver.events.filter((event) => event.type === type);
    const repeatedly = async (url: string, userAgent: string, type: string): Promise<ReceivedEvent> =>
      waitFor(
        `${type} by the webhook`,
        async () => {
          // Too soon after the handover it is taken for a scanner's look.
          await load(url, userAgent);
          return told(type)[0];
        },
        { deadlineMs: 30_000, everyMs: 200 },
      );
    await waitFor('the Sent copy', async () => (await shown()).copy_seen);
    // Scanners first, so that what they do would be seen by now.
    assert.equal((await load(picture, 'Mozilla/5.0')).status, 200);
    assert.equal((await load(link, firefox, 'HEAD')).headers.get('location'), offer);
    const opened = await repeatedly(picture, gmail, 'send.opened');
    assert.deepEqual([opened.data.id, opened.data['opened_by']], [send.id, 'proxy']);
    assert.deepEqual(told('send.clicked'), []);
    const redirect = await load(link);
    assert.deepEqual([redirect.status, redirect.headers.get('location')], [302, offer]);
    const clicked = await repeatedly(link, firefox, 'send.clicked');
    assert.deepEqual([clicked.data.id, clicked.data['url']], [send.id, offer]);

    const { tracking } = await shown();
    assert.deepEqual(
      [tracking?.opens?.count, tracking?.clicks.map(({ url, count }) => [url, count])],
      [1, [[offer, 1]]],
    );
    assert.deepEqual([told('send.opened').length, told('send.clicked').length], [1, 1]);
    const [inCrm] = await story.conversationOf(1);
    assert.equal(inCrm?.html, message.html, 'also when its Sent copy was seen');
    assert.doesNotMatch(JSON.stringify(inCrm), /go\.crm\.example/);

    // She quotes it, as her program got it.
    await deliver(story.servers, {
      from: story.carla,
      to: story.ann,
      subject: 'Re: Tracked',
      text: `Yes.\n> our offer <${link}>`,
      html: `<p>Yes.</p><blockquote><a href="${link}">our offer</a><img src="${picture}"></blockquote>`,
    });
    const [, answer] = await story.conversationOf(2);
    assert.match(
      `${answer?.text} ${answer?.html}`,
      /<https:\/\/shop\.example.*href="https:\/\/shop\.example/s,
    );
    assert.doesNotMatch(JSON.stringify(answer), /go\.crm\.example|<img/);
    assert.doesNotMatch(story.gateway.output(), /Firefox|GoogleImageProxy|shop\.example/);
  });

  test('a mail whose call did not ask is sent as it is', async () => {
    const html = `<p><a href="${offer.replace('&', '&amp;')}">our offer</a></p>`;
    await post({ subject: 'Untracked', html });
    const mail = await received('Untracked');
    assert.doesNotMatch(mail.html ?? '', /go\.crm\.example|<img/);
  });
});
