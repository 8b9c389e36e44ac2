/** Rotary frequencies, plain and stretched for sequences longer than those a model was first trained with. */

/** How frequencies are stretched. */
export type RopeScaling =
  /** Positions divided by the factor (Chen et al. 2023, arXiv:2306.15595). */
  | { readonly type: 'linear'; readonly factor: number }
  /** A larger θ for sequences longer than `originalContext` (NTK-aware). */
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalContext: number }
  /** Long wavelengths divided by the factor, short ones kept, those between blended (Llama 3.1, arXiv:2407.21783). */
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    }
  /** Frequencies that turn less than `betaSlow` times within `originalContext` divided by the factor (YaRN, Peng et al. 2023, arXiv:2309.00071). */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalContext: number;
      /** Turns within the original context from which a frequency is kept, and below which it is divided. */
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Whether the ends of the blend are rounded to whole pairs. */
      readonly truncate: boolean;
      readonly attentionFactor: number;
    }
  /** Each frequency divided by a number of its own, other ones beyond `originalContext` (LongRoPE, Ding et al. 2024, arXiv:2402.13753). */
  | {
      readonly type: 'longrope';
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalContext: number;
      readonly attentionFactor: number;
    };

/**
 * θ^(−2i / width) for i < width / 2, stretched.
 * @param width  values of a head that are rotated
 * @param length longest sequence of the batch; read by `dynamic` and `longrope`
 * @see transformers modeling_rope_utils.py
 */
export function rotaryFrequencies(
  width: number,
  theta: number,
  scaling: RopeScaling | null,
  length: number,
): Float64Array {
  const base = scaling?.type === 'dynamic' ? theta * dynamicGrowth(scaling, length) ** (width / (width - 2)) : theta;
  const plain = Float64Array.from({ length: width / 2 }, (_, i) => base ** ((-2 * i) / width));
  switch (scaling?.type) {
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3':
      return plain.map((frequency) => blended(frequency, scaling));
    case 'yarn':
      return plain.map((frequency, i) => frequency * yarnShare(i, width, theta, scaling));
    case 'longrope': {
      const factors = length > scaling.originalContext ? scaling.longFactors : scaling.shortFactors;
      return plain.map((frequency, i) => frequency / (factors[i] as number));
    }
    default:
      return plain;
  }
}

/** What cosines and sines are multiplied with, so that attention over longer sequences stays as sharp. */
export function rotaryAmplitude(scaling: RopeScaling | null): number {
  return scaling?.type === 'yarn' || scaling?.type === 'longrope' ? scaling.attentionFactor : 1;
}

function dynamicGrowth(scaling: RopeScaling & { type: 'dynamic' }, length: number): number {
  const { factor, originalContext } = scaling;
  return (factor * Math.max(length, originalContext)) / originalContext - (factor - 1);
}

function blended(frequency: number, scaling: RopeScaling & { type: 'llama3' }): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  const turns = (originalContext * frequency) / (2 * Math.PI); // of this frequency within the original context
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const kept = (turns - low) / (high - low);
  return ((1 - kept) * frequency) / factor + kept * frequency;
}

/** What the frequency of pair `i` is multiplied with: 1 for the fast ones, 1 / factor for the slow ones, between them a blend. */
function yarnShare(i: number, width: number, theta: number, scaling: RopeScaling & { type: 'yarn' }): number {
  const { factor, originalContext, betaFast, betaSlow, truncate } = scaling;
  // The pair, not a whole number, that turns so often within the original context.
  const pairOf = (turns: number): number =>
    (width * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, width - 1);
  // transformers keeps the two apart by as much.
  const span = high === low ? 0.001 : high - low;
  const slowness = Math.min(Math.max((i - low) / span, 0), 1);
  return slowness / factor + (1 - slowness);
}
