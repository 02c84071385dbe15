import { becauseEnglish } from '../../filing/because.ts';
import type { FindingSaid } from '../../lib/finding.ts';
import { findingEnglish } from '../../lib/finding-words.ts';
import { fill, piecesSaid } from '../../lib/said.ts';
import type { Names, Piece, Saying } from '../../lib/said.ts';
import { currentLanguage } from '../language.ts';
import type { Language } from '../language.ts';
import { adminConnectionsGerman } from './admin-connections.de.ts';
import { adminConnectionsEnglish } from './admin-connections.en.ts';
import { adminEntryGerman } from './admin-entry.de.ts';
import { adminEntryEnglish } from './admin-entry.en.ts';
import { adminGatewayGerman } from './admin-gateway.de.ts';
import { adminGatewayEnglish } from './admin-gateway.en.ts';
import { adminGerman } from './admin.de.ts';
import { adminEnglish } from './admin.en.ts';
import { adminSendingGerman } from './admin-sending.de.ts';
import { adminSendingEnglish } from './admin-sending.en.ts';
import { adminWorkGerman } from './admin-work.de.ts';
import { adminWorkEnglish } from './admin-work.en.ts';
import { adminConversationsGerman } from './admin-conversations.de.ts';
import { adminConversationsEnglish } from './admin-conversations.en.ts';
import { adminWhyGerman } from './admin-why.de.ts';
import { adminWhyEnglish } from './admin-why.en.ts';
import { becauseGerman } from './because.de.ts';
import { commonGerman } from './common.de.ts';
import { commonEnglish } from './common.en.ts';
import { configurationGerman } from './configuration.de.ts';
import { connectGerman } from './connect.de.ts';
import { connectEnglish } from './connect.en.ts';
import { findingGerman } from './finding.de.ts';
import { mailboxReasonsGerman } from './mailbox-reasons.de.ts';
import { mailboxReasonsEnglish } from './mailbox-reasons.en.ts';
import { mailboxGerman } from './mailbox.de.ts';
import { mailboxEnglish } from './mailbox.en.ts';

/**
 * Every word that people read on the pages is in a catalogue beside this file, one for each part of the pages and
 * language: another language is another such set. `{name}` stands for a value, which is escaped and set apart where it
 * is shown. A text that depends on a number has two forms, `.one` and `.other`, with the number as `{n}`.
 */
const english = {
  ...commonEnglish,
  ...connectEnglish,
  ...mailboxEnglish,
  ...mailboxReasonsEnglish,
  ...adminEnglish,
  ...adminConnectionsEnglish,
  ...adminEntryEnglish,
  ...adminGatewayEnglish,
  ...adminWorkEnglish,
  ...adminSendingEnglish,
  ...adminConversationsEnglish,
  ...adminWhyEnglish,
  ...under('because', becauseEnglish),
  ...under('finding', findingEnglish),
};
const german = {
  ...commonGerman,
  ...connectGerman,
  ...mailboxGerman,
  ...mailboxReasonsGerman,
  ...adminGerman,
  ...adminConnectionsGerman,
  ...adminEntryGerman,
  ...adminGatewayGerman,
  ...adminWorkGerman,
  ...adminSendingGerman,
  ...adminConversationsGerman,
  ...adminWhyGerman,
  ...under('because', becauseGerman),
  ...under('finding', findingGerman),
};

export const catalogues: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = {
  en: english,
  de: german,
};

export type TextKey = keyof typeof english;

/** Texts without values. */
export type PlainKey = {
  [Key in TextKey]: Names<(typeof english)[Key]> extends never ? Key : never;
}[TextKey];

/** The values that a text needs: none, or all of its names. */
export type Values<Key extends TextKey> =
  Names<(typeof english)[Key]> extends never ? [] : [values: Record<Names<(typeof english)[Key]>, string>];

/** A text with its values, for where they are set apart. */
export function pieces<Key extends TextKey>(key: Key, ...[values]: Values<Key>): Piece[] {
  return piecesOf(key, values ?? {});
}

/** The same as one string, for titles and attributes. */
export function words<Key extends TextKey>(key: Key, ...values: Values<Key>): string {
  return pieces(key, ...values)
    .map((piece) => piece.text)
    .join('');
}

type CountKey = { [Key in TextKey]: Key extends `${infer Base}.one` ? Base : never }[TextKey];

/** A text that depends on a number, which it may name as `{n}`. */
export function counted(key: CountKey, n: number, values: Readonly<Record<string, string>> = {}): string {
  const form = new Intl.PluralRules(currentLanguage()).select(n) === 'one' ? 'one' : 'other';
  const said = findText(`${key as string}.${form}`, { ...values, n: number(n) }) ?? [];
  return said.map(({ text }) => text).join('');
}

/** A number as the reader writes it. */
export function number(n: number): string {
  return new Intl.NumberFormat(currentLanguage()).format(n);
}

/** For keys that are put together: whether there is such a text, and what it says; values that are missing stay out. */
export function findText(key: string, values: Readonly<Record<string, string>> = {}): Piece[] | null {
  return Object.hasOwn(english, key) ? piecesOf(key as TextKey, values) : null;
}

/** Why a rule answered as it did (filing/because.ts). */
export function reasonSaid(because: Saying): Piece[] {
  return piecesSaid(wordsFor('because'), because);
}

/** What was found of the installation (lib/finding-words.ts). */
export function findingSaid(found: FindingSaid): Piece[] {
  return piecesSaid(wordsFor('finding'), found);
}

/** The texts whose keys are this and a word. */
function wordsFor(of: string): (word: string) => string | undefined {
  const catalogue: Readonly<Record<string, string>> = catalogues[currentLanguage()];
  return (word) => (Object.hasOwn(catalogue, `${of}.${word}`) ? catalogue[`${of}.${word}`] : undefined);
}

function piecesOf(key: TextKey, values: Readonly<Record<string, string>>): Piece[] {
  return fill(catalogues[currentLanguage()][key], (name) => [{ text: values[name] ?? '', isValue: true }]);
}

type Under<Part extends string, Table extends Readonly<Record<string, string>>> = {
  [Key in keyof Table & string as `${Part}.${Key}`]: Table[Key];
};

/** A table of sentences as one part of the catalogue. */
function under<Part extends string, Table extends Readonly<Record<string, string>>>(
  part: Part,
  table: Table,
): Under<Part, Table> {
  const keyed = Object.entries(table).map(([word, text]) => [`${part}.${word}`, text]);
  return Object.fromEntries(keyed) as Under<Part, Table>;
}

/** What settings of the gateway mean, by name, in the languages that their own table is not in. */
export const settingMeanings: Readonly<Record<Exclude<Language, 'en'>, Readonly<Record<string, string>>>> = {
  de: configurationGerman,
};

/** What a setting means; `explain` says it in English. */
export function meaningOf({ name, explain }: { name: string; explain: string }): string {
  const language = currentLanguage();
  return (language === 'en' ? undefined : settingMeanings[language][name]) ?? explain;
}
