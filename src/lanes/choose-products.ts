/** Whose products linear layers use on this machine, ours or TensorFlow's: both are timed once, in a child process. */
import { fileURLToPath } from 'node:url';
import { LaneError } from '../errors.ts';
import { runProgram, tellingLine } from './programs.ts';

/** Time of TensorFlow's products / time of ours, by layer. */
export type ProductRatios = Readonly<Record<string, number>>;

/**
 * Our products lose where they are slower than this in the geometric mean. Not 1: on two cores (EPYC 7001) the mean was 1.08 to
 * 1.11 on an idle machine, 0.98 to 1.12 on one with other work, and a choice that noise turned over would change the last
 * digits of results from one set-up to the next.
 */
const ENOUGH = 0.9;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** A program, not an import: it stands above this folder, and what it loads may crash. */
const TRIAL = fileURLToPath(new URL('../execution/time-products.ts', import.meta.url));

/**
 * Times training steps of linear layers with a library that was just built. Some five seconds; measures best on an idle machine.
 * @throws LaneError where the library does not load into TensorFlow, or crashes
 */
export async function timeProducts(library: string, environment: NodeJS.ProcessEnv): Promise<ProductRatios> {
  const args = ['--import', 'tsx', TRIAL, library];
  const timed = await runProgram(process.execPath, args, { folder: ROOT, environment, limitSeconds: 120 });
  if (!timed.ok) {
    const line = tellingLine(timed.output) || timed.failure;
    throw new LaneError(`${library}: linear layers do not run here (${line}; ${timed.failure}).`);
  }
  return JSON.parse(timed.standardOutput.split('\n').at(-1) ?? '') as ProductRatios;
}

/** The products to use, and a line for people that says which and why. */
export function chooseProducts(ratios: ProductRatios): { products: 'native' | 'tensorflow'; says: string } {
  const values = Object.values(ratios);
  const mean = Math.exp(values.reduce((sum, ratio) => sum + Math.log(ratio), 0) / values.length);
  const speed = `${mean.toFixed(2)} × as fast (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
  return mean < ENOUGH
    ? { products: 'tensorflow', says: `TensorFlow's products, as ours are ${speed}` }
    : { products: 'native', says: `native products, ${speed} as TensorFlow's` };
}
