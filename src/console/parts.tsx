import type { Child } from 'hono/jsx';
import { currentLanguage } from './language.ts';
import { Pieces, Value } from './page.tsx';
import { findText, pieces, words } from './texts/texts.ts';
import type { PlainKey, TextKey, Values } from './texts/texts.ts';

/** By language, made once: to make one takes as long as to write a whole row of a list. */
const timeFormats = new Map<string, Intl.DateTimeFormat>();

function timeFormat(): Intl.DateTimeFormat {
  const language = currentLanguage();
  const format =
    timeFormats.get(language) ??
    new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  timeFormats.set(language, format);
  return format;
}

/** A time; UTC until the browser has put it into the reader's zone. `short`: only the hour where it is today. */
export function Time({ at, short = false }: { at: string | null; short?: boolean }) {
  if (at === null) return <>{words('page.never')}</>;
  const time = timeFormat().format(new Date(at));
  return (
    <time datetime={at} data-show={short ? 'short' : 'long'}>
      {words('page.utc', { time })}
    </time>
  );
}

/** A text of the catalogue in which `{time}` is a time, in the reader's zone; `short` as for Time. */
export function SayAt<Key extends TextKey>(props: { text: Key; with: Values<Key>[0]; short?: boolean }) {
  const { text, with: values, short = false } = props;
  const { time } = values as { time: string };
  const said = pieces(text, ...([values] as Values<Key>));
  return (
    <>
      {said.map((piece) => {
        if (!piece.isValue) return piece.text;
        return piece.text === time ? <Time at={time} short={short} /> : <Value of={piece.text} />;
      })}
    </>
  );
}

/** How well something is: said by colour and by its words. */
export type Tone = 'good' | 'still' | 'bad' | 'plain';

export function Badge({ tone, children }: { tone: Tone; children: Child }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

const stateTones: Readonly<Record<string, Tone>> = {
  live: 'good',
  connecting: 'still',
  catching_up: 'still',
  rate_limited: 'still',
  paused: 'plain',
  superseded: 'plain',
  disconnected: 'plain',
};

/** The state of a connection (C5). */
export function StateBadge({ state }: { state: string }) {
  const said = findText(`state.${state}`)?.map(({ text }) => text) ?? [state];
  return <Badge tone={stateTones[state] ?? 'bad'}>{said.join('')}</Badge>;
}

/** A scope as the provider's own page calls it. */
export function Permission({ scope }: { scope: string }) {
  // Microsoft's begin with the address of the cloud.
  const named = findText(`permission.${scope}`) ?? findText(`permission.${scope.split('/').at(-1)}`);
  return named === null ? <Value of={scope} /> : <Pieces of={named} />;
}

/** How much of something is used or done, of `most`. */
export function Meter({ label, value, most }: { label: string; value: number; most: number }) {
  return (
    <div class="meter">
      <span>{label}</span>
      <meter min={0} max={most} value={value} high={most * 0.8} optimum={0} aria-label={label} />
    </div>
  );
}

/** A text that is copied by a button; without scripts it can be marked. */
export function Copyable({ text }: { text: string }) {
  return (
    <span class="copyable">
      <code>{text}</code>
      <button type="button" class="quiet small" data-copy={text} data-copied={words('page.copied')}>
        {words('page.copy')}
      </button>
    </span>
  );
}

/** What stands where a list is empty: what that means, and what to do next. */
export function Empty({ children }: { children: Child }) {
  return <div class="empty">{children}</div>;
}

/**
 * The way to the next part of a list, and back to its start; nothing where there is only one. With `newer` it is a list
 * of what came when, which is read in both directions.
 */
export function Pager(props: { first: string | null; next: string | null; newer?: string | null }) {
  const { first, next, newer } = props;
  if (first === null && next === null && (newer ?? null) === null) return null;
  const link = (href: string | null | undefined, label: PlainKey, rel?: string) =>
    typeof href === 'string' && (
      <a class="button quiet" href={href} rel={rel}>
        {words(label)}
      </a>
    );
  return (
    <nav class="pager" aria-label={words('page.more_pages')}>
      {link(first, 'page.first')}
      {link(newer, 'page.newer', 'prev')}
      {link(next, newer === undefined ? 'page.next' : 'page.older', 'next')}
    </nav>
  );
}

/** One field of a form: what is wrong with it stands at it, and is read with it. */
export function Field(props: {
  name: string;
  label: string;
  value?: string;
  type?: string;
  hint?: string;
  wrong?: PlainKey | undefined;
  autocomplete?: string;
  required?: boolean;
  inputmode?: 'numeric' | 'email' | 'search';
}) {
  const { name, label, hint, wrong } = props;
  const described = [hint === undefined ? '' : `${name}-hint`, wrong === undefined ? '' : `${name}-wrong`];
  const ids = described.filter((id) => id !== '').join(' ');
  return (
    <label class="field" for={name}>
      <span>{label}</span>
      <input
        id={name}
        name={name}
        type={props.type ?? 'text'}
        value={props.value ?? ''}
        autocomplete={props.autocomplete}
        inputmode={props.inputmode}
        required={props.required}
        aria-invalid={wrong === undefined ? undefined : 'true'}
        aria-describedby={ids === '' ? undefined : ids}
      />
      {hint !== undefined && <small id={`${name}-hint`}>{hint}</small>}
      {wrong !== undefined && (
        <small id={`${name}-wrong`} class="wrong">
          {words(wrong)}
        </small>
      )}
    </label>
  );
}

/** A form of somebody who is signed in: it carries the token that only our own page knows. */
export function Form(props: { action: string; formToken: string; children: Child; class?: string }) {
  return (
    <form method="post" action={props.action} class={props.class}>
      <input type="hidden" name="form_token" value={props.formToken} />
      {props.children}
    </form>
  );
}

/** A button that asks once more, beside itself, before it does what cannot be undone. Works without scripts. */
export function Confirm(props: {
  label: string;
  /** What that means. */
  children: Child;
  /** What the button says that does it. */
  button: string;
  action: string;
  formToken: string;
  fields?: Readonly<Record<string, string>>;
}) {
  return (
    <details class="confirm">
      <summary>{props.label}</summary>
      <Form action={props.action} formToken={props.formToken}>
        {Object.entries(props.fields ?? {}).map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <p>{props.children}</p>
        <button class="danger small">{props.button}</button>
      </Form>
    </details>
  );
}

/**
 * A table that scrolls by itself where it is wider than the window. On a phone each row is a card, whose cells say by
 * `data-label` what they are where that is not plain; `class` is for those that look otherwise there.
 */
export function Table(props: { label: string; children: Child; class?: 'days' }) {
  return (
    <div class={`table ${props.class ?? 'stacks'}`} tabindex={0} role="region" aria-label={props.label}>
      <table>{props.children}</table>
    </div>
  );
}
