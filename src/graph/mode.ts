/** Whether steps run as graphs, and how; one setting for the process, like the lane. */
import { CompileError, errorMessage } from '../errors.ts';
import { currentLane } from '../tensor/lane.ts';
import { settleCaptured } from './captured.ts';
import type { Engine } from './engine.ts';
import { engine, openEngine, sweepEngine, useXla } from './engine.ts';
import type { TraceOptions } from './trace.ts';

export interface CompileSettings {
  /** `auto`: on the tensorflow lane, eagerly where that fails; `on`: fail instead. */
  readonly compile: 'auto' | 'on' | 'off';
  /** `tf32` is the lane's affair (`openLane`): graphs are the same as with `f32`. */
  readonly precision: 'f32' | 'tf32' | 'bf16';
  /** False where products in bfloat16 would be slower than in float32: then `bf16` makes graphs in float32. */
  readonly bfloat16Products: boolean;
  /** Whether XLA compiles graphs into few kernels. */
  readonly xla: boolean;
}

const DEFAULTS: CompileSettings = { compile: 'auto', precision: 'f32', bfloat16Products: true, xla: false };

let settings = DEFAULTS;
let say: (line: string) => void = () => undefined;
let isBroken = false;

/** Chooses for all steps that are traced from now on. `warn` is called once where `auto` has to run eagerly. */
export function setCompilation(chosen: Partial<CompileSettings>, warn: (line: string) => void = () => undefined): void {
  settings = { ...DEFAULTS, ...chosen };
  useXla(settings.xla);
  say = warn;
  isBroken = false;
}

/** True where steps run as graphs, as far as is known. */
export function compiles(): boolean {
  return settings.compile !== 'off' && !isBroken && currentLane() === 'tensorflow';
}

/** The metric `graphsMade`, in words. */
export const GRAPHS_MADE =
  'Graphs that this process has compiled: level once every shape has been met. Null where steps run eagerly.';

/** Graphs traced so far; null where steps run eagerly. */
export function graphsMade(): number | null {
  return compiles() ? (openEngine()?.traces ?? 0) : null;
}

/** Largest relative error of a number that a matrix product reads: 2 to the minus bits of its mantissa. */
export function productRounding(): number {
  const bits = { f32: 24, tf32: 11, bf16: compiles() ? 8 : 24 }[settings.precision];
  return 2 ** -bits;
}

/** How graphs are made now. */
export function traceOptions(): TraceOptions {
  return { precision: allowsBfloat16() && settings.bfloat16Products ? 'bf16' : 'f32' };
}

/** True where weights may be rounded to bfloat16 for speed. */
export function allowsBfloat16(): boolean {
  return settings.precision === 'bf16';
}

/**
 * Runs `compiled` where steps are compiled, `eager` otherwise, and where `auto` finds that it cannot compile.
 * @param compiled must not have changed anything when it throws while it traces; of promises see `compiledOrAsync`
 * @throws CompileError where runtime.compile is `on` and a step cannot be compiled
 */
export function compiledOr<T>(compiled: (engine: Engine) => T, eager: () => T): T {
  const opened = usableEngine();
  if (opened === null) return eager();
  try {
    return compiled(opened);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    giveUp(error);
    return eager();
  }
}

/** `compiledOr` for what is awaited: falls back as well where the promise of `compiled` is rejected. */
export async function compiledOrAsync<T>(
  compiled: (engine: Engine) => Promise<T>,
  eager: () => T | Promise<T>,
): Promise<T> {
  const opened = usableEngine();
  if (opened === null) return eager();
  try {
    return await compiled(opened);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    giveUp(error);
    return eager();
  }
}

/** The engine, with all captured tensors settled, where steps are compiled; null where they run eagerly. */
function usableEngine(): Engine | null {
  if (!compiles()) return null;
  sweepEngine();
  let opened: Engine;
  try {
    opened = engine();
  } catch (error) {
    giveUp(error);
    return null;
  }
  settleCaptured(opened);
  return opened;
}

/** From now on steps run eagerly; throws the error where only graphs will do. */
function giveUp(error: unknown): void {
  if (settings.compile === 'on') throw error;
  isBroken = true;
  say(`${errorMessage(error)} Steps run eagerly, about half as fast.`);
}
