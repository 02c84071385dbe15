import type { ReadFolder } from '../../../store/connection-list.ts';
import { decisionsCountedMax } from '../../../store/connection-list.ts';
import type { LifeLine } from '../../../store/connection-log.ts';
import type { DecisionDay } from '../../../store/decision-counts.ts';
import { currentLanguage } from '../../language.ts';
import { Value } from '../../page.tsx';
import { Badge, Empty, Pager, StateBadge, Table, Time } from '../../parts.tsx';
import { counted, findText, number, words } from '../../texts/texts.ts';
import { Days } from '../work/days.tsx';

/* How a connection came to be as it is: what was judged, what was read, and what happened to it. */

/** What was decided on each of the last days. */
export function DecisionDays(props: {
  counted: { days: readonly DecisionDay[]; isWhole: boolean };
  days: number;
  today: string;
}) {
  const { days, isWhole } = props.counted;
  const title = words('life.days', { days: number(props.days) });
  return (
    <section>
      <h2>{title}</h2>
      {days.length === 0 ? (
        <Empty>
          <p>{words('life.no_decisions')}</p>
        </Empty>
      ) : (
        <Days label={title} days={days} today={props.today} />
      )}
      {!isWhole && <p class="soft">{words('life.not_whole', { most: number(decisionsCountedMax) })}</p>}
    </section>
  );
}

/** How far each folder was read. */
export function Folders({ folders, isCut }: { folders: readonly ReadFolder[]; isCut: boolean }) {
  if (folders.length === 0) return null;
  return (
    <section>
      <h2>{words('life.folders')}</h2>
      <Table label={words('life.folders')}>
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
              <td class="number" data-label={words('life.cursor')}>
                {folder.uid_validity === null ? '–' : folder.cursor_uid}
              </td>
              <td class="number" data-label="UIDVALIDITY">
                {folder.uid_validity ?? '–'}
              </td>
              <td data-label={words('life.last_mail')}>
                {folder.looked_at === null ? '–' : <Time at={folder.looked_at} short />}
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
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
