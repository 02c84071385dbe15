import { createWorld } from '../../../filing/world.ts';
import type { TestMailbox, World } from '../../../filing/world.ts';
import { startPages } from '../../pages.ts';
import type { PagesUnderTest } from '../../pages.ts';

/** The pages over mail that was filed: of Ann, who is connected in `acme`, and of Zoe in `other`. */
export type ReadingWorld = {
  t: PagesUnderTest;
  world: World;
  ann: TestMailbox;
  zoe: TestMailbox;
  /** The one conversation with a contact. */
  conversationWith(contactId: string): Promise<string>;
  /** A stored message, by its subject. */
  messageOf(subject: string): Promise<string>;
};

export async function startReading(): Promise<ReadingWorld> {
  const t = await startPages();
  const world = await createWorld(t.db);
  Object.assign(world.filing, { secretBox: t.secretBox, blobs: t.blobs });
  for (const sub of ['acme', 'other']) await world.addSubAccount(sub);
  await world.addUser('ann', 'ann@mail.example', ['acme']);
  await world.addUser('zoe', 'zoe@mail.example', ['other']);
  await world.addContact('acme', 'rita', ['rita@customer.example', 'rita@home.example']);
  await world.addContact('other', 'omar', ['omar@customer.example']);
  const ann = await world.connect('ann@mail.example', [['acme', 'ann']]);
  const zoe = await world.connect('zoe@mail.example', [['other', 'zoe']]);
  const one = async (statement: string) => (await t.sql<{ id: string }>(statement))[0]?.id ?? '';
  return {
    t,
    world,
    ann,
    zoe,
    conversationWith: (contactId) => one(`select id from conversations where contact_id = '${contactId}'`),
    messageOf: (subject) => one(`select id from messages where subject = '${subject}'`),
  };
}

/** A mail of HTML, with pictures and files, as it travels. */
export function htmlMail(options: {
  from?: string;
  subject: string;
  html: string;
  files?: readonly { name: string; type: string; content: Buffer; contentId?: string }[];
}): Buffer {
  const { from = 'Rita <rita@customer.example>', subject, html, files = [] } = options;
  const parts = [
    [
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: base64',
      '',
      base64(Buffer.from(html)),
    ],
    ...files.map(({ name, type, content, contentId }) => [
      `Content-Type: ${type}`,
      `Content-Disposition: ${contentId === undefined ? 'attachment' : 'inline'}; filename*=UTF-8''${encodeURIComponent(name)}`,
      ...(contentId === undefined ? [] : [`Content-ID: <${contentId}>`]),
      'Content-Transfer-Encoding: base64',
      '',
      base64(content),
    ]),
  ];
  return Buffer.from(
    [
      `From: ${from}`,
      'To: ann@mail.example',
      `Subject: =?utf-8?B?${Buffer.from(subject).toString('base64')}?=`,
      `Date: ${new Date(Date.UTC(2026, 10, 21, 9)).toUTCString()}`,
      `Message-ID: <${encodeURIComponent(subject).slice(0, 60)}@customer.example>`,
      'MIME-Version: 1.0',
      'Content-Type: multipart/related; boundary="b"',
      '',
      ...parts.flatMap((lines) => ['--b', ...lines]),
      '--b--',
      '',
    ].join('\r\n'),
  );
}

function base64(content: Buffer): string {
  return content.toString('base64').replaceAll(/.{76}/g, '$&\r\n');
}
