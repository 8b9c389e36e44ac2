/** Rotary settings in config.json, as transformers 4 (rope_theta, rope_scaling) and 5 (rope_parameters) write them. */
import type { ModelDimensions } from '../../model/dimensions.ts';
import type { RopeScaling } from '../../tensor/rope-frequencies.ts';
import type { ConfigFields } from '../config-fields.ts';

/** What the fields are called in a family. */
interface RopeNames {
  readonly theta: string;
  readonly fraction?: string;
  readonly defaultFraction?: number;
}

type RopeDimensions = Pick<ModelDimensions, 'context' | 'ropeTheta' | 'ropeFraction' | 'ropeScaling'>;

/** Reads context and rotary settings; refuses kinds of scaling that are not linear, dynamic or llama3, and what else the settings say. */
export function readRope(fields: ConfigFields, names: RopeNames): RopeDimensions {
  const parameters = fields.section('rope_parameters');
  // Where both are there, both versions of transformers read rope_scaling.
  const settings = fields.section('rope_scaling') ?? parameters;
  const trained = fields.count('max_position_embeddings');
  const fraction = names.fraction === undefined ? 1 : fields.number(names.fraction, names.defaultFraction ?? 1);
  const share = settings?.number('partial_rotary_factor', fraction) ?? fraction;
  // Families without a field for it rotate whole heads, whatever stands here; a file that says otherwise is another model.
  if (names.fraction === undefined && share !== 1) {
    settings?.problem('partial_rotary_factor', `${share} is not supported; expected 1.`);
  }
  fields.only('partial_rotary_factor', [share]);
  for (const key of ['rope_interleaved', 'use_mrope']) fields.only(key, [false]);
  const found = settings === undefined ? null : readScaling(settings, trained);
  const theta = fields.number(names.theta, 10_000);
  const ropeTheta = settings?.number('rope_theta', theta) ?? theta;
  settings?.finish();
  return {
    // Dynamic scaling is there to read further than the positions the model was trained with.
    context: found?.type === 'dynamic' ? Math.round(trained * found.factor) : trained,
    ropeTheta,
    ropeFraction: share,
    ropeScaling: found,
  };
}

function readScaling(settings: ConfigFields, trained: number): RopeScaling | null {
  // Of the two names for it the newer counts.
  const [newer, older] = [settings.take('rope_type'), settings.take('type')];
  const type = newer ?? older ?? 'default';
  // Only llama3 reads it; transformers writes it beside others, too.
  settings.take('original_max_position_embeddings');
  if (type === 'default') return null;
  if (type === 'linear') return { type, factor: settings.number('factor') };
  // transformers takes the original length of dynamic scaling from max_position_embeddings.
  if (type === 'dynamic') return { type, factor: settings.number('factor'), originalContext: trained };
  if (type === 'llama3') {
    const [low, high] = [settings.number('low_freq_factor'), settings.number('high_freq_factor')];
    if (high <= low)
      settings.problem('high_freq_factor', `expected more than low_freq_factor ${low}, received ${high}.`);
    return {
      type,
      factor: settings.number('factor'),
      lowFrequencyFactor: low,
      highFrequencyFactor: high,
      originalContext: settings.count('original_max_position_embeddings'),
    };
  }
  const shown = JSON.stringify(type);
  settings.problem('rope_type', `${shown} is not supported; expected "default", "linear", "dynamic" or "llama3".`);
  return null;
}

/** The fields of both versions, so that either reads the file. */
export function writeRope(dimensions: ModelDimensions, names: RopeNames): Record<string, unknown> {
  const { ropeTheta, ropeFraction, ropeScaling, context } = dimensions;
  const type = ropeScaling?.type ?? 'default';
  const scaling = ropeScaling === null ? {} : scalingFields(ropeScaling);
  const share = names.fraction === undefined ? {} : { partial_rotary_factor: ropeFraction };
  return {
    max_position_embeddings: ropeScaling?.type === 'dynamic' ? ropeScaling.originalContext : context,
    [names.theta]: ropeTheta,
    ...(names.fraction === undefined ? {} : { [names.fraction]: ropeFraction }),
    rope_scaling: ropeScaling === null ? null : { rope_type: type, ...scaling },
    rope_parameters: { rope_type: type, rope_theta: ropeTheta, ...share, ...scaling },
  };
}

function scalingFields(scaling: RopeScaling): Record<string, number> {
  if (scaling.type !== 'llama3') return { factor: scaling.factor };
  return {
    factor: scaling.factor,
    low_freq_factor: scaling.lowFrequencyFactor,
    high_freq_factor: scaling.highFrequencyFactor,
    original_max_position_embeddings: scaling.originalContext,
  };
}
