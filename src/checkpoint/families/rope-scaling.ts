/** How rotary frequencies are stretched: the settings of config.json, with the defaults of transformers' modeling_rope_utils.py. */
import type { RopeScaling } from '../../tensor/rope-frequencies.ts';
import type { ConfigFields } from '../config-fields.ts';

type Of<Type extends RopeScaling['type']> = RopeScaling & { type: Type };

const KNOWN = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const;

/** The kinds a family can have, by the words its files use for them. */
export type ScalingKinds = Readonly<Record<string, (typeof KNOWN)[number]>>;

const EVERY_KIND: ScalingKinds = Object.fromEntries(KNOWN.map((kind) => [kind, kind]));

/**
 * Reads rope_scaling or rope_parameters.
 * @param trained max_position_embeddings
 * @param beside original_max_position_embeddings where config.json has it outside the settings; it counts before theirs
 * @returns null where nothing is stretched, or a problem was found
 */
export function readScaling(
  settings: ConfigFields,
  trained: number,
  beside: number | undefined,
  kinds = EVERY_KIND,
): RopeScaling | null {
  // Of the two names for it the newer counts.
  const [newer, older] = [settings.take('rope_type'), settings.take('type')];
  const type = newer ?? older ?? 'default';
  const kind = typeof type === 'string' && Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  // Written beside every kind, read for the last three.
  settings.take('original_max_position_embeddings');
  const original = (): number => {
    const within = settings.count('original_max_position_embeddings', trained);
    return beside ?? within;
  };
  switch (kind) {
    case 'default':
      return null;
    case 'linear':
      return { type: 'linear', factor: settings.number('factor') };
    case 'dynamic':
      // transformers takes the original length of dynamic scaling from max_position_embeddings.
      return { type: 'dynamic', factor: settings.number('factor'), originalContext: trained };
    case 'llama3':
      return readLlama3(settings, original());
    case 'yarn':
      return readYarn(settings, original(), trained);
    case 'longrope':
      return readLongrope(settings, original(), trained);
    default: {
      const known = Object.keys(kinds)
        .map((one) => JSON.stringify(one))
        .join(', ');
      settings.problem('rope_type', `${JSON.stringify(type)} is not supported; expected one of ${known}.`);
      return null;
    }
  }
}

function readLlama3(settings: ConfigFields, originalContext: number): Of<'llama3'> {
  const [low, high] = [settings.number('low_freq_factor'), settings.number('high_freq_factor')];
  if (high <= low) settings.problem('high_freq_factor', `expected more than low_freq_factor ${low}, received ${high}.`);
  return {
    type: 'llama3',
    factor: settings.number('factor'),
    lowFrequencyFactor: low,
    highFrequencyFactor: high,
    originalContext,
  };
}

function readYarn(settings: ConfigFields, originalContext: number, trained: number): Of<'yarn'> {
  // Only where it is null is it the ratio of the lengths (DeepSeek-V3).
  const factor = isNull(settings, 'factor') ? trained / originalContext : settings.number('factor');
  settings.take('finetuned'); // in the first published files; read by nothing
  const [scale, allScale] = [amount(settings, 'mscale'), amount(settings, 'mscale_all_dim')];
  const growth = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const usual = scale !== undefined && allScale !== undefined ? growth(scale) / growth(allScale) : growth(1);
  return {
    type: 'yarn',
    factor,
    originalContext,
    betaFast: amount(settings, 'beta_fast') ?? 32,
    betaSlow: amount(settings, 'beta_slow') ?? 1,
    truncate: !isNull(settings, 'truncate') && settings.flag('truncate', true),
    attentionFactor: settings.number('attention_factor', usual),
  };
}

/** There, and null: transformers' defaults are for what is missing. */
function isNull(settings: ConfigFields, key: string): boolean {
  return settings.has(key) && settings.take(key) === undefined;
}

/** A number above 0; undefined where it is missing, null or 0, which Python takes for missing. */
function amount(settings: ConfigFields, key: string): number | undefined {
  return settings.take(key) === undefined || settings.take(key) === 0 ? undefined : settings.number(key);
}

function readLongrope(settings: ConfigFields, originalContext: number, trained: number): Of<'longrope'> {
  const factor = settings.number('factor', trained / originalContext);
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
  return {
    type: 'longrope',
    shortFactors: readFactors(settings, 'short_factor'),
    longFactors: readFactors(settings, 'long_factor'),
    originalContext,
    attentionFactor: settings.number('attention_factor', usual),
  };
}

/** One for each pair of rotated values; how many that is, is checked with the dimensions. */
function readFactors(settings: ConfigFields, key: string): readonly number[] {
  const factors = settings.take(key);
  const isFactor = (value: unknown): value is number =>
    typeof value === 'number' && Number.isFinite(value) && value > 0;
  if (Array.isArray(factors) && factors.every(isFactor)) return factors;
  settings.problem(key, `expected a list of numbers above 0, received ${JSON.stringify(factors) ?? 'nothing'}.`);
  return [];
}

/** The fields of a scaling as transformers names them, with nothing left to defaults. */
export function scalingFields(scaling: RopeScaling): Record<string, unknown> {
  switch (scaling.type) {
    case 'linear':
    case 'dynamic':
      return { factor: scaling.factor };
    case 'llama3':
      return {
        factor: scaling.factor,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalContext,
      };
    case 'yarn':
      return {
        factor: scaling.factor,
        beta_fast: scaling.betaFast,
        beta_slow: scaling.betaSlow,
        truncate: scaling.truncate,
        attention_factor: scaling.attentionFactor,
        original_max_position_embeddings: scaling.originalContext,
      };
    case 'longrope':
      return {
        short_factor: scaling.shortFactors,
        long_factor: scaling.longFactors,
        attention_factor: scaling.attentionFactor,
        original_max_position_embeddings: scaling.originalContext,
      };
  }
}
