/** The index of weights that are cut into several files: which names it may have. */
import { CheckpointError, errorMessage } from '../errors.ts';

/**
 * The weight_map of a model.safetensors.index.json: tensor name → what it says the file is called.
 * @param where names the index in errors
 * @throws CheckpointError where it is none
 */
export function readWeightMap(text: string, where: string): Readonly<Record<string, unknown>> {
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown } | null)?.weight_map;
  } catch (error) {
    throw new CheckpointError(
      `${where}: is not JSON (${errorMessage(error)}). Copy it again, or take another revision.`,
      {
        cause: error,
      },
    );
  }
  if (typeof map !== 'object' || map === null || Array.isArray(map) || Object.keys(map).length === 0) {
    throw new CheckpointError(
      `${where}: expected a weight_map of tensor names to file names. Copy it again, or take another revision.`,
    );
  }
  // Without a prototype, so that a tensor may have any name.
  return Object.assign(Object.create(null), map);
}

/** Whether an index may name a file so: a safetensors file beside it, never one that leads out of the folder. */
export function isShardName(name: unknown): name is string {
  return typeof name === 'string' && /^\w[\w.-]*\.safetensors$/.test(name);
}
