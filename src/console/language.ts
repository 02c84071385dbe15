import { AsyncLocalStorage } from 'node:async_hooks';
import { accepts } from 'hono/accepts';
import type { MiddlewareHandler } from 'hono';

/** The languages that there is a catalogue in, the one for everybody else first. */
const languages = ['en', 'de'] as const;
export type Language = (typeof languages)[number];

/** Whose page is being made. Not an argument of each text: it would be handed through every function of every page. */
const reader = new AsyncLocalStorage<Language>();

/** Makes what follows in the language that the browser asks for (RFC 9110 §12.5.4), as far as there is one. */
export const inReadersLanguage: MiddlewareHandler = async (c, next) => {
  const asked = accepts(c, {
    header: 'Accept-Language',
    supports: [...languages],
    default: languages[0],
    match: preferred,
  });
  c.header('Vary', 'Accept-Language', { append: true });
  await reader.run(asked as Language, next);
};

/** The language of the page that is being made. */
export function currentLanguage(): Language {
  return reader.getStore() ?? languages[0];
}

type Asked = { type: string; q: number }[];

/** The first language by preference that there is; `de-AT` is as good as `de`. */
function preferred(asked: Asked): string {
  const wanted = asked.filter(({ q }) => q > 0).sort((a, b) => b.q - a.q);
  for (const { type } of wanted) {
    const base = type.toLowerCase().split('-')[0];
    const known = languages.find((language) => language === base);
    if (known !== undefined) return known;
  }
  return languages[0];
}
