/** Rotary settings in config.json, as transformers 4 (rope_theta, rope_scaling) and 5 (rope_parameters) write them. */
import type { ModelDimensions } from '../../model/dimensions.ts';
import type { RopeScaling } from '../../tensor/rope-frequencies.ts';
import type { ConfigFields } from '../config-fields.ts';
import { readScaling, scalingFields } from './rope-scaling.ts';

/** What the fields are called in a family. */
interface RopeNames {
  readonly theta: string;
  readonly fraction?: string;
  readonly defaultFraction?: number;
}

type RopeDimensions = Pick<ModelDimensions, 'context' | 'ropeTheta' | 'ropeFraction' | 'ropeScaling'>;

/** Reads context and rotary settings; refuses kinds of scaling that are not known here, and what else the settings say. */
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
  // Phi-3 has it beside the settings, and transformers takes it from there in every family.
  const beside = fields.has('original_max_position_embeddings')
    ? fields.count('original_max_position_embeddings', trained)
    : undefined;
  const found = settings === undefined ? null : readScaling(settings, trained, beside);
  const theta = fields.number(names.theta, 10_000);
  const ropeTheta = settings?.number('rope_theta', theta) ?? theta;
  settings?.finish();
  return { context: contextOf(found, trained), ropeTheta, ropeFraction: share, ropeScaling: found };
}

/** Some scalings are there to read further than max_position_embeddings, which is then still the original length. */
function contextOf(scaling: RopeScaling | null, trained: number): number {
  if (scaling?.type === 'dynamic') return Math.round(trained * scaling.factor);
  if (scaling?.type === 'yarn') return Math.max(trained, Math.round(scaling.originalContext * scaling.factor));
  return trained;
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
