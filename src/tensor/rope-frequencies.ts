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
    };

/**
 * θ^(−2i / width) for i < width / 2, stretched.
 * @param width  values of a head that are rotated
 * @param length longest sequence of the batch; read by `dynamic` only
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
  if (scaling?.type === 'linear') return plain.map((frequency) => frequency / scaling.factor);
  if (scaling?.type === 'llama3') return plain.map((frequency) => blended(frequency, scaling));
  return plain;
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
