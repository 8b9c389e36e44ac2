/** How a GGUF file says that rotary frequencies are stretched, as the field rope_scaling of config.json. */
import { rotaryFrequencies } from '../tensor/rope-frequencies.ts';
import type { ModelSource } from './metadata-keys.ts';

/** Factors, one for each pair of rotated values, in tensors of their own. */
const LLAMA3_TENSOR = 'rope_freqs.weight';
const LONG_TENSOR = 'rope_factors_long.weight';
const SHORT_TENSOR = 'rope_factors_short.weight';

/** Tensors that are read here, and are no weights. */
export const ROPE_TENSORS: readonly string[] = [LLAMA3_TENSOR, LONG_TENSOR, SHORT_TENSOR];

/** The field; null where nothing is stretched. */
export function readScaling(source: ModelSource): Record<string, unknown> | null {
  const { keys, file, own } = source;
  const key = (name: string): string => own(`rope.scaling.${name}`);
  if (file.tensors.has(LLAMA3_TENSOR)) return readLlama3(source);
  if (file.tensors.has(LONG_TENSOR)) return readLongrope(source);
  const type = keys.text(key('type')) ?? 'none';
  const factor = keys.number(key('factor')) ?? keys.number(own('rope.scale_linear')) ?? 1;
  const original = keys.count(key('original_context_length'));
  if (type === 'none' && factor === 1) return null;
  if (type === 'linear' || type === 'none') return factor === 1 ? null : { rope_type: 'linear', factor };
  if (type !== 'yarn') {
    keys.problem(key('type'), `${JSON.stringify(type)} is not known; expected none, linear or yarn.`);
    return null;
  }
  // llama.cpp multiplies with the amplitude of the paper, and with this.
  const amplitude = keys.number(key('attn_factor'));
  const usual = 0.1 * Math.log(factor) + 1;
  return {
    rope_type: 'yarn',
    factor,
    original_max_position_embeddings: original ?? keys.count(own('context_length')),
    beta_fast: keys.number(key('yarn_beta_fast')) ?? 32,
    beta_slow: keys.number(key('yarn_beta_slow')) ?? 1,
    ...(amplitude !== undefined && { attention_factor: amplitude * usual }),
  };
}

/** Scalings of Llama 3.1 and 3.2: the file has what frequencies are divided by, not what that was computed from. */
const PUBLISHED = [8, 32, 16, 4].flatMap((factor) =>
  [8192, 4096].map((originalContext) => ({
    type: 'llama3' as const,
    factor,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext,
  })),
);

function readLlama3({ keys, file, own }: ModelSource): Record<string, unknown> | null {
  const divisors = file.read(LLAMA3_TENSOR);
  const width = 2 * divisors.length;
  const theta = keys.number(own('rope.freq_base')) ?? 10_000;
  const plain = rotaryFrequencies(width, theta, null, 0);
  const found = PUBLISHED.find((scaling) => {
    const stretched = rotaryFrequencies(width, theta, scaling, 0);
    return divisors.every((divisor, i) => {
      const expected = (plain[i] as number) / (stretched[i] as number);
      return Math.abs(divisor - expected) <= 1e-5 * expected;
    });
  });
  if (found === undefined) {
    keys.problem(
      LLAMA3_TENSOR,
      `its ${divisors.length} divisors of frequencies follow from no published scaling of Llama 3 (factors 4, 8, 16, 32).`,
    );
    return null;
  }
  return {
    rope_type: 'llama3',
    factor: found.factor,
    low_freq_factor: found.lowFrequencyFactor,
    high_freq_factor: found.highFrequencyFactor,
    original_max_position_embeddings: found.originalContext,
  };
}

function readLongrope({ keys, file, own }: ModelSource): Record<string, unknown> {
  const amplitude = keys.number(own('rope.scaling.attn_factor'));
  keys.text(own('rope.scaling.type'));
  return {
    rope_type: 'longrope',
    long_factor: [...file.read(LONG_TENSOR)],
    short_factor: file.tensors.has(SHORT_TENSOR) ? [...file.read(SHORT_TENSOR)] : [],
    original_max_position_embeddings: keys.count(own('rope.scaling.original_context_length')),
    ...(amplitude !== undefined && { attention_factor: amplitude }),
  };
}
