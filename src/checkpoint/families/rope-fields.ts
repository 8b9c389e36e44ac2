/** Rotary settings in config.json, as transformers 4 (rope_theta, rope_scaling) and 5 (rope_parameters) write them. */
import type { ModelDimensions } from '../../model/dimensions.ts';
import type { RopeScaling } from '../../tensor/rope-frequencies.ts';
import type { ConfigFields, FinishedFields } from '../config-fields.ts';
import type { ScalingKinds } from './rope-scaling.ts';
import { readScaling, scalingFields } from './rope-scaling.ts';

/** What the fields are called in a family. */
interface RopeNames {
  readonly theta: string;
  readonly fraction?: string;
  readonly defaultFraction?: number;
  /** Of max_position_embeddings and original_max_position_embeddings where they are missing. */
  readonly context?: number;
  readonly originalContext?: number;
  readonly kinds?: ScalingKinds;
}

type RopeDimensions = Pick<ModelDimensions, 'context' | 'ropeTheta' | 'ropeFraction' | 'ropeScaling' | 'windowRope'>;

/** Reads context and rotary settings; refuses kinds of scaling that are not known here, and what else the settings say. */
export function readRope(fields: ConfigFields, names: RopeNames): RopeDimensions {
  const parameters = fields.section('rope_parameters');
  // Where both are there, both versions of transformers read rope_scaling.
  const settings = fields.section('rope_scaling') ?? parameters;
  const trained = fields.count('max_position_embeddings', names.context);
  const fraction = names.fraction === undefined ? 1 : fields.number(names.fraction, names.defaultFraction ?? 1);
  const share = settings?.number('partial_rotary_factor', fraction) ?? fraction;
  // Families without a field for it rotate whole heads, whatever stands here; a file that says otherwise is another model.
  if (names.fraction === undefined && share !== 1) {
    settings?.problem('partial_rotary_factor', `${share} is not supported; expected 1.`);
  }
  fields.only('partial_rotary_factor', [share]);
  for (const key of ['rope_interleaved', 'use_mrope']) fields.only(key, [false]);
  // Phi-3 has it beside the settings, and transformers takes it from there in every family.
  const beside = fields.has('original_max_position_embeddings')
    ? fields.count('original_max_position_embeddings', trained)
    : names.originalContext;
  const found = settings === undefined ? null : readScaling(settings, trained, beside, names.kinds);
  const theta = fields.number(names.theta, 10_000);
  const ropeTheta = settings?.number('rope_theta', theta) ?? theta;
  settings?.finish();
  return { context: contextOf(found, trained), ropeTheta, ropeFraction: share, ropeScaling: found, windowRope: null };
}

/** Some scalings are there to read further than max_position_embeddings, which is then still the original length. */
function contextOf(scaling: RopeScaling | null, trained: number): number {
  if (scaling?.type === 'dynamic') return Math.round(trained * scaling.factor);
  if (scaling?.type === 'yarn') return Math.max(trained, Math.round(scaling.originalContext * scaling.factor));
  return trained;
}

/**
 * Reads the settings of layers that read all and of those with a window: rope_parameters has a section for each kind
 * (transformers 5); or rope_theta and rope_scaling are the first's, and rope_local_base_freq the second's.
 */
export function readRopeByLayer(fields: ConfigFields, context: number): RopeDimensions {
  const trained = fields.count('max_position_embeddings', context);
  const parameters = fields.section('rope_parameters');
  const [full, sliding] = ['full_attention', 'sliding_attention'].map((kind) => parameters?.section(kind));
  parameters?.finish();
  const rope = (settings: FinishedFields | undefined, usual: number) => {
    const scaling = settings === undefined ? null : readScaling(settings, trained, undefined);
    const theta = settings?.number('rope_theta', usual) ?? usual;
    settings?.finish();
    return { theta, scaling };
  };
  const outside = fields.number('rope_theta', 1_000_000);
  const all = rope(fields.section('rope_scaling') ?? full, full?.number('rope_theta', outside) ?? outside);
  const within = rope(sliding, fields.number('rope_local_base_freq', 10_000));
  return {
    context: contextOf(all.scaling, trained),
    ropeTheta: all.theta,
    ropeFraction: 1,
    ropeScaling: all.scaling,
    windowRope: within,
  };
}

/** The fields of both versions, so that either reads the file. */
export function writeRope(dimensions: ModelDimensions, names: RopeNames): Record<string, unknown> {
  const { ropeTheta, ropeFraction, ropeScaling } = dimensions;
  const share = names.fraction === undefined ? {} : { partial_rotary_factor: ropeFraction };
  return {
    max_position_embeddings: trainedOf(dimensions),
    [names.theta]: ropeTheta,
    ...(names.fraction === undefined ? {} : { [names.fraction]: ropeFraction }),
    rope_scaling: ropeScaling === null ? null : settingsOf(ropeScaling),
    rope_parameters: settingsOf(ropeScaling, { rope_theta: ropeTheta, ...share }),
  };
}

/** The same where layers with a window have settings of their own; a scaling of these is in the newer fields alone. */
export function writeRopeByLayer(dimensions: ModelDimensions): Record<string, unknown> {
  const { ropeTheta, ropeScaling, windowRope } = dimensions;
  const { theta, scaling } = windowRope ?? { theta: 10_000, scaling: null };
  return {
    max_position_embeddings: trainedOf(dimensions),
    rope_theta: ropeTheta,
    rope_local_base_freq: theta,
    rope_scaling: ropeScaling === null ? null : settingsOf(ropeScaling),
    rope_parameters: {
      full_attention: settingsOf(ropeScaling, { rope_theta: ropeTheta }),
      sliding_attention: settingsOf(scaling, { rope_theta: theta }),
    },
  };
}

/** What max_position_embeddings says; see `contextOf`. */
function trainedOf({ ropeScaling, context }: ModelDimensions): number {
  return ropeScaling?.type === 'dynamic' ? ropeScaling.originalContext : context;
}

function settingsOf(scaling: RopeScaling | null, more: Readonly<Record<string, unknown>> = {}) {
  return { rope_type: scaling?.type ?? 'default', ...more, ...(scaling === null ? {} : scalingFields(scaling)) };
}
