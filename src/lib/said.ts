/**
 * Pure: what is said in more than one language. It is kept as a word for a sentence with the values in it; each
 * language has a table of sentences by word, in which `{name}` stands for a value.
 */

/** What is said. A value is somebody's (an id, a number, a name), or said itself. */
export type Saying = { readonly say: string; readonly [name: string]: string | Saying };

/** The names of the values in a sentence. */
export type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

/** All that can be said with a table of sentences, each with its values. */
export type Said<Table extends Readonly<Record<string, string>>> = {
  [Key in keyof Table & string]: { readonly say: Key } & {
    readonly [Name in Names<Table[Key]>]: string | Said<Table>;
  };
}[keyof Table & string];

/** A sentence in pieces, in order: words of ours and values of somebody's. */
export type Piece = { text: string; isValue: boolean };

/** What is said, in the language of `sentenceOf`; a word that has no sentence there stands for itself. */
export function piecesSaid(sentenceOf: (word: string) => string | undefined, saying: Saying): Piece[] {
  const sentence = sentenceOf(saying.say);
  if (sentence === undefined) return [{ text: saying.say, isValue: true }];
  return fill(sentence, (name) => {
    const value = saying[name] ?? '';
    return typeof value === 'string' ? [{ text: value, isValue: true }] : piecesSaid(sentenceOf, value);
  });
}

/** A sentence with its values in it. */
export function fill(sentence: string, valueOf: (name: string) => Piece[]): Piece[] {
  return sentence
    .split(/\{(\w+)\}/)
    .flatMap((part, index) => (index % 2 === 0 ? [{ text: part, isValue: false }] : valueOf(part)))
    .filter((piece) => piece.text !== '');
}

/** What is said with a table, as one string. */
export function say(table: Readonly<Record<string, string>>, saying: Saying): string {
  const said = piecesSaid((word) => (Object.hasOwn(table, word) ? table[word] : undefined), saying);
  return said.map(({ text }) => text).join('');
}
