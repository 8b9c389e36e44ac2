/** Shape checks for the public doors of tensor code. */
import { ShapeError } from '../errors.ts';

/**
 * Checks a shape against named dimensions, in order; null accepts any size.
 * @throws ShapeError naming the tensor, the expected dimensions and the received shape
 */
export function assertShape(
  shape: readonly number[],
  expected: Readonly<Record<string, number | null>>,
  what: string,
): void {
  const entries = Object.entries(expected);
  const fits =
    shape.length === entries.length && entries.every(([, size], axis) => size === null || size === shape[axis]);
  if (fits) return;
  const words = entries.map(([name, size]) => (size === null ? name : `${name}=${size}`)).join(', ');
  throw new ShapeError(`${what}: expected shape [${words}], received [${shape.join(', ')}].`);
}
