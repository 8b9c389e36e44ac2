/** Programs timed in turn, and the ratios of their times: repetition by repetition, so that a machine's drift cancels. */

/** What float32 matrices are multiplied in, for a whole process: TensorFloat-32 only where a GPU has it. */
export type Float32 = 'f32' | 'tf32';

/** What identifies a program: whose it is, the name of the variant, the precision of its matrix products. */
export interface ProgramName {
  readonly side: 'ours' | 'torch' | 'llama.cpp';
  readonly variant: string;
  readonly precision: Float32 | 'bf16' | 'f16';
}

/** One repetition. */
export interface Repetition {
  readonly ms: number;
  /** A loss or a number of tokens: both sides must agree on the first. */
  readonly value: number;
  /** Processor time it took, of all its threads. */
  readonly cpuMs: number;
  /** Nodes of the graphs that were made in it; null where that is not known. */
  readonly nodes: number | null;
}

/** A program that can be timed. */
export interface Program extends ProgramName {
  repetition(): Promise<Repetition>;
}

/** A program's times, one a repetition, and value and nodes of its very first run. */
export interface Timed extends ProgramName {
  readonly ms: readonly number[];
  readonly cpuMs: readonly number[];
  readonly firstValue: number;
  readonly nodes: number | null;
}

/** A program that could not go on. */
export interface Failed extends ProgramName {
  readonly why: string;
}

/** What lies in the middle of some numbers: a quarter of them is below q1, a quarter above q3. */
export interface Spread {
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
}

/** What ours is compared with. */
export type Against = "PyTorch's best" | 'TRL' | 'llama.cpp' | 'our compiled' | 'our eager';

/** How many times as long `other` takes as `ours`. */
export interface Ratio extends Spread {
  readonly ours: ProgramName;
  readonly other: ProgramName;
  readonly against: Against;
  /** The same of processor time: what is left to compare by where other programs disturb. */
  readonly cpu: number;
}

/** How programs are timed. */
export interface TimingOptions {
  /** Turns that are not counted. */
  readonly warmUps: number;
  /** Turns that are. */
  readonly repetitions: number;
  /** Turns made at most while waiting for calm ones, as a multiple of the repetitions. */
  readonly patience: number;
  /** Processor time that everything on the machine has taken so far. */
  readonly busyMs: () => number;
  /** Called when a program's first warm-up begins: compiling may take a minute. */
  readonly onFirst: (program: ProgramName) => void;
}

/** A turn in which other programs took more than this share of a core says little: threads wait for each other. */
export const CALM = 0.1;

/**
 * Runs all programs in turn, again and again, until enough turns were calm or patience ends; keeps the calmest. The
 * choice looks at what other programs did and never at a time. A program that fails is left out, with the reason.
 * @returns `others`: for each turn kept, the largest share of a core that other programs took meanwhile
 */
export async function timeInTurn(
  programs: readonly Program[],
  { warmUps, repetitions, patience, busyMs, onFirst }: TimingOptions,
): Promise<{ timed: Timed[]; failed: Failed[]; others: number[] }> {
  const fresh = () => ({
    ms: [] as number[],
    cpuMs: [] as number[],
    firstValue: Number.NaN,
    nodes: null as number | null,
    why: '',
  });
  const running = programs.map((program) => ({ program, ...fresh() }));
  const others: number[] = [];
  const isCalm = (share: number): boolean => share <= CALM;
  for (let turn = 0; turn < warmUps + patience * repetitions; turn++) {
    let most = 0;
    for (const state of running) {
      if (state.why !== '') continue;
      if (turn === 0) onFirst(state.program);
      const before = busyMs();
      try {
        const { ms, value, cpuMs, nodes } = await state.program.repetition();
        if (turn === 0) [state.firstValue, state.nodes] = [value, nodes];
        if (turn >= warmUps) {
          state.ms.push(ms);
          state.cpuMs.push(cpuMs);
        }
        most = Math.max(most, (busyMs() - before - cpuMs) / ms);
      } catch (error) {
        // Without compiler, say; ours are not expected to fail.
        if (state.program.side === 'ours') throw error;
        state.why = error instanceof Error ? error.message : String(error);
      }
    }
    if (turn >= warmUps) others.push(most);
    if (others.filter(isCalm).length >= repetitions) break;
  }
  const calmest = [...others.keys()].sort((a, b) => (others[a] ?? 0) - (others[b] ?? 0)).slice(0, repetitions);
  const kept = <T>(values: readonly T[]): T[] => values.filter((_, turn) => calmest.includes(turn));
  const name = ({ side, variant, precision }: ProgramName): ProgramName => ({ side, variant, precision });
  const timed = running.filter(({ why }) => why === '');
  return {
    timed: timed.map(({ program, ms, cpuMs, firstValue, nodes }) => {
      return { ...name(program), ms: kept(ms), cpuMs: kept(cpuMs), firstValue, nodes };
    }),
    failed: running.flatMap(({ program, why }) => (why === '' ? [] : [{ ...name(program), why }])),
    others: kept(others),
  };
}

/** Quartiles by linear interpolation, as numpy's default. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN];
    return low + (high - low) * (place - Math.floor(place));
  };
  return { q1: at(0.25), median: at(0.5), q3: at(0.75) };
}

/** The variant that is TRL's own trainer, compared with by itself. */
const TRL = 'trl';

/**
 * Each of our programs against the fastest of PyTorch's of the same precision (TRL aside), against TRL, against llama.cpp,
 * against our eager one; native ones also against the compiled one of the same precision.
 */
export function ratiosOf(timed: readonly Timed[]): Ratio[] {
  const mine = timed.filter(({ side }) => side === 'ours');
  const eager = mine.find(({ variant }) => variant === 'eager');
  const llama = timed.find(({ side }) => side === 'llama.cpp');
  return mine.flatMap((ours) => {
    const theirs = timed.filter(({ side, precision }) => side === 'torch' && precision === ours.precision);
    const best = fastest(theirs.filter(({ variant }) => variant !== TRL));
    const trl = theirs.find(({ variant }) => variant === TRL);
    const compiled = mine.find(({ variant, precision }) => isCompiled(variant) && precision === ours.precision);
    return [
      ...(best === undefined ? [] : [ratio(ours, best, "PyTorch's best")]),
      ...(trl === undefined ? [] : [ratio(ours, trl, 'TRL')]),
      ...(llama === undefined ? [] : [ratio(ours, llama, 'llama.cpp')]),
      ...(compiled === undefined || !isNative(ours.variant) ? [] : [ratio(ours, compiled, 'our compiled')]),
      ...(eager === undefined || eager === ours ? [] : [ratio(ours, eager, 'our eager')]),
    ];
  });
}

const isCompiled = (variant: string): boolean => variant.startsWith('compiled');
const isNative = (variant: string): boolean => variant.startsWith('native');

function fastest(programs: readonly Timed[]): Timed | undefined {
  const ordered = [...programs].sort((a, b) => spreadOf(a.ms).median - spreadOf(b.ms).median);
  return ordered[0];
}

function ratio(ours: Timed, other: Timed, against: Against): Ratio {
  const paired = (name: 'ms' | 'cpuMs'): Spread =>
    spreadOf(ours[name].map((ms, turn) => (other[name][turn] ?? Number.NaN) / ms));
  return { ours, other, against, ...paired('ms'), cpu: paired('cpuMs').median };
}
