/** Shows how far a program is: a bar on a terminal, plain lines elsewhere. */

import { type OutputStream, openDisplay } from './display.ts';
import { RateMeter } from './rate-meter.ts';

/** Numbers to show, already formatted, in order; `rate` replaces the measured rate. */
export type ProgressFields = Readonly<Record<string, string>>;

/** One phase of the work with a known number of steps. */
export interface Phase {
  /**
   * @param done   steps done so far
   * @param fields what to show beside rate and ETA, e.g. { loss: "1.31", accuracy: "0.62" }
   * @param units  how much has been processed since the phase began (tokens, responses), for the rate
   */
  update(done: number, fields?: ProgressFields, units?: number): void;
  /** Ends the phase with a last line: label, count, time and the summary (or the last fields). */
  finish(summary?: string): void;
}

/** Where programs say what they do. */
export interface Progress {
  /** Starts a phase; one that is still open is finished first. */
  phase(label: string, total: number, options?: PhaseOptions): Phase;
  /** Prints a line above the bar. */
  say(line: string): void;
  /** Ends what is open, without a last line. For errors and interrupts. */
  close(): void;
}

export interface PhaseOptions {
  /** What `units` counts; steps where left out. */
  readonly unit?: string;
  /** Steps done in an earlier session. */
  readonly start?: number;
}

export interface ProgressOptions {
  readonly stream?: OutputStream;
  /** Print nothing at all. */
  readonly quiet?: boolean;
  /** Seconds between two lines where the stream is no terminal. */
  readonly lineEverySeconds?: number;
  /** Milliseconds of a steady clock; replaced in tests. */
  readonly now?: () => number;
}

/** Progress on a stream (standard output unless given). */
export function openProgress(options: ProgressOptions = {}): Progress {
  const {
    stream = process.stdout as OutputStream,
    quiet = false,
    lineEverySeconds = 5,
    now = () => performance.now(),
  } = options;
  const display = openDisplay(stream, quiet);
  let current: Phase | undefined;

  const phase = (label: string, total: number, { unit = 'steps', start = 0 }: PhaseOptions = {}): Phase => {
    current?.finish();
    const meter = new RateMeter(now());
    let done = start;
    let fields: ProgressFields = {};
    let lastLine = now();
    const line = (): string => describe({ label, total, done, start, unit, fields, meter, time: now() });
    display.open(total, () => done, line);
    const self: Phase = {
      update: (newDone, newFields = fields, units = newDone - start) => {
        done = newDone;
        fields = newFields;
        meter.add(now(), units);
        if (display.draw() || now() - lastLine < lineEverySeconds * 1000) return;
        lastLine = now();
        display.write(line());
      },
      finish: (summary) => {
        if (current !== self) return;
        current = undefined;
        display.close();
        const values = Object.entries(fields).filter(([name]) => name !== 'rate');
        const ending = summary ?? values.map(([name, value]) => `${name} ${value}`).join('  ');
        display.write(
          `${label}  ${count(done)}/${count(total)}  ${formatSeconds(meter.elapsed(now()))}  ${ending}`.trimEnd(),
        );
      },
    };
    current = self;
    return self;
  };
  return {
    phase,
    say: display.write,
    close: () => {
      current = undefined;
      display.close();
    },
  };
}

interface LineFacts {
  label: string;
  total: number;
  done: number;
  start: number;
  unit: string;
  fields: ProgressFields;
  meter: RateMeter;
  time: number;
}

/** "instruct  120/450  27%  6,412 tokens/s  eta 0:52  loss 1.31  accuracy 0.62" */
function describe({ label, total, done, start, unit, fields, meter, time }: LineFacts): string {
  const { rate, ...others } = fields;
  const seconds = meter.elapsed(time);
  const left = done > start ? formatSeconds((seconds / (done - start)) * Math.max(0, total - done)) : '–';
  const parts = [
    label,
    `${count(done)}/${count(total)}`,
    `${Math.floor((100 * done) / Math.max(total, 1))}%`,
    rate ?? formatRate(meter.rate(), unit),
    `eta ${left}`,
    ...Object.entries(others).map(([name, value]) => `${name} ${value}`),
  ];
  return parts.join('  ');
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** "12.5 steps/s", or what takes longer as "4:55 a step". */
function formatRate(rate: number, unit: string): string {
  if (rate > 0 && rate < 0.1) return `${formatSeconds(1 / rate)} a ${unit.replace(/s$/, '')}`;
  return `${rate >= 100 ? count(Math.round(rate)) : rate.toFixed(rate >= 10 ? 1 : 2)} ${unit}/s`;
}

/** Seconds as "0:52", "12:05" or "1:02:05". */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}
