import type { Decision as DecisionMade } from '../../../store/decisions.ts';
import { hrefOf, Pieces, Value } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, Time } from '../../parts.tsx';
import type { Tone } from '../../parts.tsx';
import { findText, reasonSaid, words } from '../../texts/texts.ts';
import { Fact } from './list.tsx';

/** What the rules looked at, by decision; null: it is not kept. */
export type FactsOf = ReadonlyMap<DecisionMade['id'], object | null>;

const tones: Readonly<Record<DecisionMade['outcome'], Tone>> = {
  stored: 'good',
  skipped: 'plain',
  held: 'still',
  failed: 'bad',
};

/**
 * One decision (T1): what became of what was seen where, the rules that were asked, and what they looked at. `isWhole`:
 * it stands by itself, and names where it belongs.
 */
export function Decision(props: { site: Site; decision: DecisionMade; facts: FactsOf; isWhole?: boolean }) {
  const { site, decision, facts, isWhole = false } = props;
  const holds = decision.replaced_by === null;
  return (
    <article class={`card decision ${holds ? '' : 'replaced'}`} id={decision.id}>
      <p class="verdict">
        <Badge tone={holds ? tones[decision.outcome] : 'plain'}>
          {words(`why.outcome.${decision.outcome}`)}
        </Badge>{' '}
        <strong>{reasonWords(decision.reason)}</strong>
      </p>
      <p class="soft">
        <Time at={decision.decided_at} /> · <Where decision={decision} />
      </p>
      {!holds && <p class="outcome still">{words('why.replaced')}</p>}
      {decision.errand_id !== null && <p>{words('why.judged_again')}</p>}
      {decision.erased_at !== null && (
        <p>
          {words('why.erased')} <Time at={decision.erased_at} />
        </p>
      )}
      <Steps steps={decision.steps} />
      <Facts decision={decision} facts={facts.get(decision.id) ?? null} />
      {isWhole && <Belongs site={site} decision={decision} />}
    </article>
  );
}

/** What a reason says to people. */
export function reasonWords(reason: string): string {
  return (findText(`why.reason.${reason}`) ?? []).map(({ text }) => text).join('') || reason;
}

function Where({ decision }: { decision: DecisionMade }) {
  const { place } = decision;
  if (place === null)
    return <>{words(decision.intake_id === null ? 'why.in_crm' : 'why.at_logging_address')}</>;
  return (
    <>
      {words('why.in_folder')} <Value of={place.folder ?? place.folder_id} />, UID {place.uid}{' '}
      <span class="validity">
        ({words('why.validity')} {place.uid_validity})
      </span>
    </>
  );
}

/** The rules in the order in which they were asked; the last one answered. */
function Steps({ steps }: { steps: DecisionMade['steps'] }) {
  const answered = steps.at(-1);
  if (answered === undefined) return null;
  const before = steps.slice(0, -1);
  return (
    <>
      <p class="answer">
        <code>{answered.rule}</code> {ruleWords(answered.rule)}{' '}
        {answered.because !== null && (
          <q>
            <Pieces of={reasonSaid(answered.because)} />
          </q>
        )}
      </p>
      {before.length > 0 && (
        <details class="fold">
          <summary>{words('why.asked_before')}</summary>
          <ol class="rules">
            {before.map(({ rule }) => (
              <li>
                <code>{rule}</code> {ruleWords(rule)}
              </li>
            ))}
          </ol>
        </details>
      )}
    </>
  );
}

function ruleWords(rule: string): string {
  return (findText(`why.rule.${rule}`) ?? []).map(({ text }) => text).join('');
}

function Facts({ decision, facts }: { decision: DecisionMade; facts: object | null }) {
  if (facts === null) {
    // Of what the CRM sent nothing was asked.
    return decision.place === null ? null : <p class="soft">{words('why.no_facts')}</p>;
  }
  const named = Object.entries(facts).map(([name, value]) => ({
    name: factWords(name),
    value: value as unknown,
  }));
  const telling = named.filter(({ value }) => !isNothing(value));
  const nothing = named.filter(({ value }) => isNothing(value));
  return (
    <details class="fold">
      <summary>{words('why.facts')}</summary>
      <dl class="facts">
        {telling.map(({ name, value }) => (
          <Fact name={name}>
            <FactValue value={value} />
          </Fact>
        ))}
        {nothing.length > 0 && (
          <Fact name={words('why.not_so')}>{nothing.map(({ name }) => name).join(' · ')}</Fact>
        )}
      </dl>
    </details>
  );
}

function factWords(name: string): string {
  return (findText(`why.fact.${name}`) ?? []).map(({ text }) => text).join('') || name;
}

/** What is not so, or not there, is said in one line for all. */
function isNothing(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isNothing);
  return value === false || value === null || value === 0;
}

function FactValue({ value }: { value: unknown }) {
  if (value === true) return <>{words('page.yes')}</>;
  if (typeof value === 'object') return <pre>{JSON.stringify(value, null, 1)}</pre>;
  return <code>{typeof value === 'string' ? value : JSON.stringify(value)}</code>;
}

/** Where a decision that stands by itself belongs. */
function Belongs({ site, decision }: { site: Site; decision: DecisionMade }) {
  const { message_id: messageId, connection_id: connectionId } = decision;
  return (
    <p class="links">
      <span>
        {words('conn.sub_account')} <Value of={decision.sub_account_id} />
      </span>
      {connectionId !== null && (
        <a href={hrefOf(site, `/admin/connections/${connectionId}`)}>{words('why.see_connection')}</a>
      )}
      {messageId !== null && <a href={hrefOf(site, `/admin/why/${messageId}`)}>{words('why.see_story')}</a>}
    </p>
  );
}
