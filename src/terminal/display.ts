/** Lines on a stream, with at most one bar below them where the stream is a terminal. */

import { type Options, SingleBar } from 'cli-progress';

/** The part of a stream that is written to. */
export type OutputStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** A stream with a bar. */
export interface Display {
  /** Prints a line, above the bar where there is one. */
  write(line: string): void;
  /** Opens a bar where the stream is a terminal; `line` is the text beside it. */
  open(total: number, done: () => number, line: () => string): void;
  /** Draws the bar anew where some time has passed. False where there is none. */
  draw(): boolean;
  /** Removes the bar. */
  close(): void;
}

const BAR: Options = {
  barsize: 20,
  barCompleteChar: '█',
  barIncompleteChar: '░',
  fps: 8,
  gracefulExit: false,
  hideCursor: true,
  emptyOnZero: true,
};

/** A display on a stream; `quiet` prints nothing at all. */
export function openDisplay(stream: OutputStream, quiet: boolean): Display {
  let bar: SingleBar | undefined;
  let draw = (): void => undefined;
  let start = (): void => undefined;
  const close = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    write: (line) => {
      if (quiet) return;
      // cli-progress returns to where its bar began, so a line may only be written while no bar is open.
      const wasOpen = bar !== undefined;
      close();
      stream.write(`${line}\n`);
      if (wasOpen) start();
    },
    open: (total, done, line) => {
      close();
      if (quiet || stream.isTTY !== true) return;
      const width = (): number => Math.max(20, (stream.columns ?? 100) - 1);
      const format = (options: Options, state: { progress: number }): string =>
        [...(drawn(options, state.progress) + line())].slice(0, width()).join('');
      draw = () => bar?.update(done());
      start = () => {
        bar = new SingleBar({ ...BAR, stream, clearOnComplete: true, format });
        bar.start(Math.max(total, 1), done());
      };
      start();
    },
    draw: () => {
      draw();
      return bar !== undefined;
    },
    close,
  };
}

function drawn(options: Options, progress: number): string {
  const size = options.barsize ?? 20;
  const full = Math.round(Math.min(1, Math.max(0, progress)) * size);
  return `${(options.barCompleteChar ?? '█').repeat(full)}${(options.barIncompleteChar ?? '░').repeat(size - full)} `;
}
