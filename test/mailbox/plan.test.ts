import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planFolder, roleOf, watchOf } from '../../src/mailbox/plan.ts';
import type { Listed, Observed, Saved, Step } from '../../src/mailbox/plan.ts';

const plans: { name: string; saved: Saved; observed: Observed; step: Step }[] = [
  {
    name: 'never looked into',
    saved: { uidValidity: null, cursorUid: 0 },
    observed: { uidValidity: 7, uidNext: 1042 },
    step: { step: 'find_start' },
  },
  {
    name: 'never looked into, and empty',
    saved: { uidValidity: null, cursorUid: 0 },
    observed: { uidValidity: 7, uidNext: 1 },
    step: { step: 'find_start' },
  },
  {
    name: 'nothing new',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 7, uidNext: 1042 },
    step: { step: 'nothing' },
  },
  {
    name: 'known and empty, as before',
    saved: { uidValidity: 7, cursorUid: 0 },
    observed: { uidValidity: 7, uidNext: 1 },
    step: { step: 'nothing' },
  },
  {
    name: 'new mail',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 7, uidNext: 1045 },
    step: { step: 'read', fromUid: 1042, atMost: 3 },
  },
  {
    name: 'UIDNEXT missing: only reading tells',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 7, uidNext: null },
    step: { step: 'read', fromUid: 1042, atMost: null },
  },
  {
    name: 'UIDVALIDITY changed, with more mail',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 8, uidNext: 2000 },
    step: { step: 'find_start' },
  },
  {
    name: 'UIDVALIDITY changed, and UIDs begin anew: not a way backwards',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 8, uidNext: 4 },
    step: { step: 'find_start' },
  },
  {
    name: 'UIDVALIDITY became smaller: another one all the same',
    saved: { uidValidity: 8, cursorUid: 3 },
    observed: { uidValidity: 7, uidNext: 9 },
    step: { step: 'find_start' },
  },
  {
    name: 'UIDs went backwards',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 7, uidNext: 1041 },
    step: { step: 'stop', because: 'uids_went_backwards' },
  },
  {
    name: 'suddenly empty, with UIDs that begin anew',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 7, uidNext: 1 },
    step: { step: 'stop', because: 'uids_went_backwards' },
  },
  {
    name: 'UIDVALIDITY is 0',
    saved: { uidValidity: 7, cursorUid: 1041 },
    observed: { uidValidity: 0, uidNext: 1042 },
    step: { step: 'stop', because: 'uid_validity_missing' },
  },
  {
    name: 'UIDVALIDITY is no number, and the folder is new',
    saved: { uidValidity: null, cursorUid: 0 },
    observed: { uidValidity: Number.NaN, uidNext: 1042 },
    step: { step: 'stop', because: 'uid_validity_missing' },
  },
];

describe('what to do with a folder', () => {
  for (const { name, saved, observed, step } of plans) {
    test(name, () => assert.deepEqual(planFolder(saved, observed), step));
  }
});

function listed(path: string, attributes = '', specialUse?: string): Listed {
  const words = attributes.split(' ').filter((word) => word !== '');
  return { path, attributes: new Set(words), specialUse: specialUse ?? words.at(-1), observed: null };
}

const roles: [name: string, folder: Listed, role: ReturnType<typeof roleOf>][] = [
  ['the inbox', listed('INBOX', '\\HasNoChildren'), 'inbox'],
  ['the inbox in small letters (RFC 9051 §5.1)', listed('Inbox'), 'inbox'],
  ['Sent by attribute, in any language', listed('[Gmail]/Gesendet', '\\HasNoChildren \\Sent'), 'sent'],
  ['Sent by its localised name', listed('Gesendete Elemente', '\\HasNoChildren', '\\Sent'), 'sent'],
  ['Spam', listed('[Gmail]/Spam', '\\Junk'), 'spam'],
  ['Trash by its localised name', listed('Gelöschte Elemente', '', '\\Trash'), 'trash'],
  ['Drafts', listed('Drafts', '\\Drafts'), 'drafts'],
  ['Archive', listed('Archive', '\\Archive'), 'archive'],
  ['All Mail', listed('[Google Mail]/Alle Nachrichten', '\\HasNoChildren \\All'), 'all'],
  ['attributes in other letters', listed('All', '\\ALL'), 'all'],
  ['a folder whose name alone says "all"', listed('All', '', '\\All'), 'other'],
  ['a view of starred mail', listed('[Gmail]/Starred', '\\Flagged'), null],
  ['a folder whose name alone says "starred"', listed('Starred', '', '\\Flagged'), 'other'],
  ['a view of important mail', listed('[Gmail]/Important', '\\Important', undefined), null],
  ['a level without mail', listed('[Gmail]', '\\HasChildren \\Noselect'), null],
  ['a folder that is only subscribed', listed('Gone', '\\NonExistent'), null],
  ["a person's own folder", listed('Projects/2026'), 'other'],
  ["Outlook's Outbox", listed('Outbox', '\\HasNoChildren', undefined), 'drafts'],
  ["Outlook's Outbox, German", listed('Postausgang', '\\HasNoChildren', undefined), 'drafts'],
  ["Outlook's Outbox, French", listed('Boîte d’envoi', '\\HasNoChildren', undefined), 'drafts'],
  ["Outlook's Outbox, French, decomposed", listed("Boîte d'envoi".normalize('NFD')), 'drafts'],
  ["Outlook's Outbox, Spanish", listed('Bandeja de salida'), 'drafts'],
  ["Thunderbird's templates", listed('Templates'), 'drafts'],
  ["Thunderbird's templates, German, below the inbox", listed('INBOX.Vorlagen'), 'drafts'],
  ['what will be sent later', listed('Scheduled'), 'drafts'],
  ['what will be sent later, by attribute', listed('Später', '\\HasNoChildren \\Scheduled'), 'drafts'],
  ["a person's own folder of such a name", listed('Projects/Templates'), 'other'],
  ["a person's own folder, whose name begins so", listed('Outbox 2025'), 'other'],
  ['a folder of such a name that the server calls Sent', listed('Postausgang', '\\Sent'), 'sent'],
];

describe('what a folder is for', () => {
  for (const [name, folder, role] of roles) test(name, () => assert.equal(roleOf(folder), role));
});

const gmail = [
  { path: 'INBOX', role: 'inbox' },
  { path: '[Gmail]/All Mail', role: 'all' },
  { path: '[Gmail]/Sent Mail', role: 'sent' },
  { path: '[Gmail]/Drafts', role: 'drafts' },
  { path: '[Gmail]/Spam', role: 'spam' },
  { path: '[Gmail]/Trash', role: 'trash' },
  { path: 'Receipts', role: 'other' },
] as const;
const german = [
  { path: 'Archiv', role: 'archive' },
  { path: 'Entwürfe', role: 'drafts' },
  { path: 'Gelöschte Elemente', role: 'trash' },
  { path: 'Gesendete Elemente', role: 'sent' },
  { path: 'INBOX', role: 'inbox' },
  { path: 'Junk-E-Mail', role: 'spam' },
  { path: 'Postausgang', role: 'drafts' },
] as const;
const many = Array.from({ length: 200 }, (_, n) => ({ path: `Projects/${n}`, role: 'other' as const }));

const watches: { name: string; of: Parameters<typeof watchOf>; watch: ReturnType<typeof watchOf> }[] = [
  {
    name: 'Gmail: All Mail alone',
    of: [gmail, { gmailExtensions: true, connectionsMax: 3 }],
    watch: { idle: ['[Gmail]/All Mail'], sweep: [] },
  },
  {
    name: 'Gmail with All Mail hidden: inbox and Sent, and the labels that a filter may archive to',
    of: [gmail.filter(({ role }) => role !== 'all'), { gmailExtensions: true, connectionsMax: 3 }],
    watch: { idle: ['INBOX', '[Gmail]/Sent Mail'], sweep: ['Receipts'] },
  },
  {
    name: 'a view of all mail elsewhere, which may show Spam too, is not looked into',
    of: [gmail, { gmailExtensions: false, connectionsMax: 3 }],
    watch: { idle: ['INBOX', '[Gmail]/Sent Mail'], sweep: ['Receipts'] },
  },
  {
    name: 'a localised Outlook',
    of: [german, { gmailExtensions: false, connectionsMax: 2 }],
    watch: { idle: ['INBOX', 'Gesendete Elemente'], sweep: ['Archiv'] },
  },
  {
    name: 'one connection: Sent is swept',
    of: [german, { gmailExtensions: false, connectionsMax: 1 }],
    watch: { idle: ['INBOX'], sweep: ['Archiv', 'Gesendete Elemente'] },
  },
  {
    name: 'two Sent folders: the second is swept',
    of: [
      [
        { path: 'INBOX', role: 'inbox' },
        { path: 'Sent', role: 'sent' },
        { path: 'Sent Items', role: 'sent' },
      ],
      { gmailExtensions: false, connectionsMax: 3 },
    ],
    watch: { idle: ['INBOX', 'Sent'], sweep: ['Sent Items'] },
  },
  {
    name: 'no Sent folder yet',
    of: [[{ path: 'INBOX', role: 'inbox' }], { gmailExtensions: false, connectionsMax: 3 }],
    watch: { idle: ['INBOX'], sweep: [] },
  },
  {
    name: 'many folders: all of them are swept',
    of: [[{ path: 'INBOX', role: 'inbox' }, ...many], { gmailExtensions: false, connectionsMax: 3 }],
    watch: { idle: ['INBOX'], sweep: many.map(({ path }) => path) },
  },
  {
    name: 'an empty listing asks for nothing',
    of: [[], { gmailExtensions: true, connectionsMax: 3 }],
    watch: { idle: [], sweep: [] },
  },
];

describe('S14: which folders are watched', () => {
  for (const { name, of, watch } of watches) test(name, () => assert.deepEqual(watchOf(...of), watch));
});
