/** Python's strftime in the C locale, of dates in UTC. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAY = 86_400_000;

/** Directives that stand for several others. */
const COMPOUND: Readonly<Record<string, string>> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  R: '%H:%M',
  r: '%I:%M:%S %p',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
  h: '%b',
  v: '%e-%b-%Y',
};

/** Numbers: their value, their width, and what they are filled with. */
type Field = readonly [number, number, string];

function numbers(date: Date): Readonly<Record<string, Field>> {
  const year = date.getUTCFullYear();
  const start = Date.UTC(year, 0, 1);
  const dayOfYear = Math.floor((date.getTime() - start) / DAY);
  const day = date.getUTCDay();
  const hour = date.getUTCHours();
  const twelve = hour % 12 === 0 ? 12 : hour % 12;
  // ISO 8601: a week belongs to the year of its Thursday.
  const thursday = new Date(Date.UTC(year, date.getUTCMonth(), date.getUTCDate() + 4 - (day === 0 ? 7 : day)));
  const isoYear = thursday.getUTCFullYear();
  const isoWeek = Math.floor((thursday.getTime() - Date.UTC(isoYear, 0, 1)) / DAY / 7) + 1;
  return {
    Y: [year, 1, '0'],
    y: [year % 100, 2, '0'],
    C: [Math.floor(year / 100), 2, '0'],
    m: [date.getUTCMonth() + 1, 2, '0'],
    d: [date.getUTCDate(), 2, '0'],
    e: [date.getUTCDate(), 2, ' '],
    j: [dayOfYear + 1, 3, '0'],
    H: [hour, 2, '0'],
    k: [hour, 2, ' '],
    I: [twelve, 2, '0'],
    l: [twelve, 2, ' '],
    M: [date.getUTCMinutes(), 2, '0'],
    S: [date.getUTCSeconds(), 2, '0'],
    f: [date.getUTCMilliseconds() * 1000, 6, '0'],
    u: [day === 0 ? 7 : day, 1, '0'],
    w: [day, 1, '0'],
    G: [isoYear, 1, '0'],
    g: [isoYear % 100, 2, '0'],
    V: [isoWeek, 2, '0'],
    U: [Math.floor((dayOfYear + 7 - day) / 7), 2, '0'],
    W: [Math.floor((dayOfYear + 7 - ((day + 6) % 7)) / 7), 2, '0'],
    s: [Math.floor(date.getTime() / 1000), 1, '0'],
  };
}

/** A date as Python writes it on Linux; "-" takes zeros away; directives that Python does not know stay as they are. */
export function strftime(date: Date, format: string): string {
  const fields = numbers(date);
  const month = MONTHS[date.getUTCMonth()] ?? '';
  const day = DAYS[date.getUTCDay()] ?? '';
  const texts: Readonly<Record<string, string>> = {
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    '%': '%',
    n: '\n',
    t: '\t',
    z: '',
    Z: '',
    p: date.getUTCHours() < 12 ? 'AM' : 'PM',
    P: date.getUTCHours() < 12 ? 'am' : 'pm',
  };
  return format.replace(/%(-)?([a-zA-Z%])/g, (whole, minus: string | undefined, letter: string) => {
    const compound = COMPOUND[letter];
    if (compound !== undefined) return strftime(date, compound);
    const field = fields[letter];
    if (field === undefined) return texts[letter] ?? whole;
    return minus === undefined ? String(field[0]).padStart(field[1], field[2]) : String(field[0]);
  });
}
