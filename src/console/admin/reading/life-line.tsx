import type { DayOfDecisions, ReadFolder } from '../../../store/connection-list.ts';
import { decisionsCountedMax } from '../../../store/connection-list.ts';
import type { LifeLine } from '../../../store/connection-log.ts';
import { currentLanguage } from '../../language.ts';
import { Value } from '../../page.tsx';
import { Badge, Empty, Pager, StateBadge, Time } from '../../parts.tsx';
import { counted, findText, number, words } from '../../texts/texts.ts';

/* How a connection came to be as it is: what was judged, what was read, and what happened to it. */

/** What was decided on each of the last days. */
export function Days(props: {
  counted: { days: readonly DayOfDecisions[]; isWhole: boolean };
  days: number;
}) {
  const { days, isWhole } = props.counted;
  const most = Math.max(1, ...days.map(({ judged }) => judged));
  return (
    <section>
      <h2 id="days">{words('life.days', { days: number(props.days) })}</h2>
      {days.length === 0 ? (
        <Empty>
          <p>{words('life.no_decisions')}</p>
        </Empty>
      ) : (
        <div class="table" tabindex={0} role="region" aria-labelledby="days">
          <table class="wide">
            <thead>
              <tr>
                <th scope="col">{words('life.day')}</th>
                <th scope="col" class="number">
                  {words('life.judged')}
                </th>
                <th scope="col" class="number">
                  {words('life.stored')}
                </th>
                <th scope="col" class="number">
                  {words('life.left_out')}
                </th>
                <th scope="col" class="number">
                  {words('life.waits')}
                </th>
              </tr>
            </thead>
            <tbody>
              {days.map(({ day, judged, stored, left_out, held, failed }) => (
                <tr>
                  <th scope="row">{dayWords(day)}</th>
                  <td class="number">
                    {number(judged)}
                    <meter class="bar" min={0} max={most} value={judged} aria-label={words('life.judged')} />
                  </td>
                  <td class="number">{number(stored)}</td>
                  <td class="number">{number(left_out)}</td>
                  <td class="number">{number(held + failed)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!isWhole && <p class="soft">{words('life.not_whole', { most: number(decisionsCountedMax) })}</p>}
    </section>
  );
}

/** Days are the database's, in UTC. */
function dayWords(day: string): string {
  return new Intl.DateTimeFormat(currentLanguage(), {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    timeZone: 'UTC',
  }).format(new Date(day));
}

/** How far each folder was read. */
export function Folders({ folders, isCut }: { folders: readonly ReadFolder[]; isCut: boolean }) {
  if (folders.length === 0) return null;
  return (
    <section>
      <h2 id="folders">{words('life.folders')}</h2>
      <div class="table" tabindex={0} role="region" aria-labelledby="folders">
        <table class="wide">
          <thead>
            <tr>
              <th scope="col">{words('life.folder')}</th>
              <th scope="col">{words('life.role')}</th>
              <th scope="col" class="number">
                {words('life.cursor')}
              </th>
              <th scope="col" class="number">
                UIDVALIDITY
              </th>
              <th scope="col">{words('life.last_mail')}</th>
            </tr>
          </thead>
          <tbody>
            {folders.map((folder) => (
              <tr>
                <th scope="row">
                  <Value of={folder.path} />{' '}
                  {folder.missing_since !== null && <Badge tone="still">{words('life.missing')}</Badge>}
                </th>
                <td>{roleWords(folder.role)}</td>
                <td class="number">{folder.uid_validity === null ? '–' : folder.cursor_uid}</td>
                <td class="number">{folder.uid_validity ?? '–'}</td>
                <td>{folder.looked_at === null ? '–' : <Time at={folder.looked_at} short />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {isCut && <p class="soft">{words('life.more_folders')}</p>}
    </section>
  );
}

function roleWords(role: string): string {
  return (findText(`life.role.${role}`) ?? []).map(({ text }) => text).join('');
}

/** What happened, the newest first. */
export function LifeLines(props: { lines: readonly LifeLine[]; first: string | null; next: string | null }) {
  return (
    <section aria-labelledby="life">
      <h2 id="life">{words('life.title')}</h2>
      {props.lines.length === 0 ? (
        <Empty>
          <p>{words('life.nothing')}</p>
        </Empty>
      ) : (
        <ol class="life">
          {props.lines.map((line) => (
            <li class={line.kind}>
              <Time at={line.at} short />
              <div>
                <Line line={line} />
              </div>
            </li>
          ))}
        </ol>
      )}
      <Pager first={props.first} next={props.next} />
    </section>
  );
}

function Line({ line }: { line: LifeLine }) {
  switch (line.kind) {
    case 'state':
      return (
        <p>
          <StateBadge state={line.state} /> {line.reason !== null && <code>{line.reason}</code>}
        </p>
      );
    case 'token':
      return <p>{words('life.token')}</p>;
    case 'session':
      return <Session line={line} />;
    default:
      return line satisfies never;
  }
}

function Session({ line }: { line: Extract<LifeLine, { kind: 'session' }> }) {
  const { logged_in_at, ended_at, reason, times } = line;
  if (logged_in_at === null) {
    return (
      <p>
        {counted('life.no_login', times)} <Ending reason={reason} />{' '}
        {times > 1 && (
          <span class="soft">
            {words('life.last_try')} <Time at={ended_at} short />
          </span>
        )}
      </p>
    );
  }
  if (ended_at === null)
    return <p>{words(line.is_last ? 'life.session_goes_on' : 'life.session_without_end')}</p>;
  return (
    <p>
      {words('life.session', { length: lengthWords(Date.parse(ended_at) - Date.parse(logged_in_at)) })}{' '}
      <Ending reason={reason} />
    </p>
  );
}

/** What a session ended by, in words where there are any, and as the machine has it. */
function Ending({ reason }: { reason: string | null }) {
  if (reason === null) return null;
  const said = findText(`life.end.${reason}`);
  return (
    <>
      {said !== null && `${said.map(({ text }) => text).join('')} `}
      <code>{reason}</code>
    </>
  );
}

/** A length of time in its largest unit. */
function lengthWords(ms: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ] as const;
  const [unit, length] = units.find(([, unitMs]) => ms >= unitMs) ?? units[3];
  return new Intl.NumberFormat(currentLanguage(), {
    style: 'unit',
    unit,
    unitDisplay: 'long',
    maximumFractionDigits: 0,
  }).format(ms / length);
}
