/** A hash of what is trained of a model, to detect whether training has changed it. */
import { createHash } from 'node:crypto';
import type { Model } from '../model/model.ts';
import { parameterValues, readParameters } from '../tensor/parameters.ts';

/** Below this an update is smaller than the float32 resolution of weights of ordinary size. */
const IDLE = 1e-10;

/**
 * SHA-256 of the trained values as they act: a low-rank change whose every entry is below 1e-10 does not count, as the
 * model is then its frozen part whatever the two matrices hold.
 */
export function trainedHash({ parameters }: Model): string {
  const { layout, adapters } = parameters;
  const values = readParameters(parameters);
  const idle = new Set<string>();
  if (adapters !== null) {
    const largestOf = (name: string): number => largest(parameterValues(layout, values, name));
    for (const { name } of adapters.places) {
      const [a, b] = [`${name}.a`, `${name}.b`] as const;
      if (adapters.scale * adapters.rank * largestOf(a) * largestOf(b) < IDLE) idle.add(a).add(b);
    }
  }
  const hash = createHash('sha256');
  for (const { name } of layout.specs) {
    if (idle.has(name)) continue;
    const { buffer, byteOffset, byteLength } = parameterValues(layout, values, name);
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return `sha256:${hash.digest('hex')}`;
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
