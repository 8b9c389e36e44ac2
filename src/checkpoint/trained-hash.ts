/** A hash of what is trained of a model, to tell whether training has changed it. */
import { createHash } from 'node:crypto';
import type { Model } from '../model/model.ts';
import { parameterValues, readParameters } from '../tensor/parameters.ts';

/**
 * SHA-256 of the trained values as they act: of a low-rank change whose second matrix is 0 the first one does not count,
 * as the model is then its frozen part whatever the first one holds.
 */
export function trainedHash({ parameters }: Model): string {
  const { layout, adapters } = parameters;
  const values = readParameters(parameters);
  const idle = new Set(
    (adapters?.places ?? [])
      .filter(({ name }) => parameterValues(layout, values, `${name}.b`).every((value) => value === 0))
      .map(({ name }) => `${name}.a`),
  );
  const hash = createHash('sha256');
  for (const { name } of layout.specs) {
    if (idle.has(name)) continue;
    const { buffer, byteOffset, byteLength } = parameterValues(layout, values, name);
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return `sha256:${hash.digest('hex')}`;
}
