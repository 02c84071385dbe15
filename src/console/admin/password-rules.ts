/* Pure: which passwords are refused. By length, and by what is tried first; signs of several kinds make none better. */

const passwordLengthMin = 12;
/** Longer is no password, but work for the server. In code points. */
const passwordLengthMax = 200;

export type PasswordFault =
  'password.too_short' | 'password.too_long' | 'password.is_address' | 'password.too_common';

/** What is wrong with a new password of somebody with this address; null: nothing. */
export function passwordFault(password: string, email: string): PasswordFault | null {
  const length = Array.from(password).length;
  if (length < passwordLengthMin) return 'password.too_short';
  if (length > passwordLengthMax) return 'password.too_long';
  if (isAddress(password, email)) return 'password.is_address';
  return isCommon(password) ? 'password.too_common' : null;
}

/** Made of the address and a few signs. */
function isAddress(password: string, email: string): boolean {
  const plain = password.toLowerCase();
  const [local = '', domain = ''] = email.trim().toLowerCase().split('@');
  const parts = [email.trim().toLowerCase(), domain, local, domain.split('.')[0] ?? ''];
  const rest = parts
    .filter((part) => part.length > 2)
    .reduce((left, part) => left.replaceAll(part, ''), plain);
  return rest.length <= 4 && rest.length < plain.length;
}

/** Words and runs that lists of leaked passwords are full of, in small letters. */
const commonWords = `
  password passwort passw0rd kennwort geheim secret letmein welcome willkommen hallo hello admin administrator
  root master login changeme default twoway operator gateway qwerty qwertz qwertyuiop qwertzuiop asdf asdfgh
  asdfghjkl yxcvbnm zxcvbnm iloveyou monkey dragon football baseball superman batman sunshine princess trustno
  abc abcdef abcdefghijkl abcd correcthorsebatterystaple correct horse battery staple qazwsx qazwsxedc test
  shadow michael jordan liverpool arsenal starwars pokemon whatever computer internet service support sommer
  winter spring summer autumn herbst fruehling january monday december oktober november love
`
  .trim()
  .split(/\s+/)
  .sort((a, b) => b.length - a.length);

/** Signs that stand for letters in every list. */
const letters: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** Common words with a few signs between and behind them; one thing again and again; a run of neighbours. */
function isCommon(password: string): boolean {
  const plain = password.toLowerCase();
  if (new Set(plain).size < 5 || isRepeated(plain) || isRun(plain)) return true;
  const spelled = Array.from(plain, (sign) => letters[sign] ?? sign).join('');
  return [plain, spelled].some((text) => {
    const left = commonWords.reduce((rest, word) => rest.replaceAll(word, ' '), text);
    const rest = left.replaceAll(/[\s\d\p{P}\p{S}]/gu, '');
    return left !== text && rest.length < 4;
  });
}

/** One part, of at most half its length, again and again. */
function isRepeated(text: string): boolean {
  return /^(.{1,8}?)\1+.{0,3}$/su.test(text);
}

const rows = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890',
  'qwertyuiop',
  'qwertzuiopü',
  'asdfghjklöä',
  'zxcvbnm',
  'yxcvbnm',
];

/** Most of its signs are the neighbour of the one before: 1234567890ab, or the same backwards. */
function isRun(text: string): boolean {
  const neighbours = new Set(
    rows.flatMap((row) =>
      Array.from(row)
        .slice(1)
        .map((sign, index) => `${row[index]}${sign}`),
    ),
  );
  const signs = Array.from(text);
  const steps = signs.slice(1).filter((sign, index) => {
    const before = signs[index] ?? '';
    return neighbours.has(before + sign) || neighbours.has(sign + before);
  });
  return steps.length >= (signs.length - 1) * 0.75;
}
