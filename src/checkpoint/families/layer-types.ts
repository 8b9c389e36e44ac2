/** Which layers have a window, as a list of words: full_attention and sliding_attention. */
import type { ModelDimensions } from '../../model/dimensions.ts';
import type { ConfigFields } from '../config-fields.ts';

/**
 * Windows of the layers, by `layer_types` where it is there.
 * @param window of those that have one; null where none has
 * @param slides whether a layer has one where the file has no list
 * @returns an entry a layer, none where no layer has a window
 */
export function readLayerTypes(
  fields: ConfigFields,
  layers: number,
  window: number | null,
  slides: (layer: number) => boolean,
): (number | null)[] {
  const types = fields.take('layer_types');
  const known: unknown[] = ['full_attention', 'sliding_attention'];
  const isList = Array.isArray(types) && types.length === layers && types.every((type) => known.includes(type));
  if (types !== undefined && !isList) {
    const shown = JSON.stringify(types);
    fields.problem('layer_types', `expected ${known.join(' or ')} for each of ${layers} layers, received ${shown}.`);
  }
  const windows = Array.from({ length: layers }, (_, layer) =>
    (isList ? types[layer] === 'sliding_attention' : slides(layer)) ? window : null,
  );
  return windows.every((size) => size === null) ? [] : windows;
}

/** The list, as it is written. */
export function layerTypes({ layers, windows }: ModelDimensions): string[] {
  return Array.from({ length: layers }, (_, layer) =>
    (windows[layer] ?? null) === null ? 'full_attention' : 'sliding_attention',
  );
}
