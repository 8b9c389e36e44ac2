/** The sizes of a student in distillation: a new decoder that is like its teacher but for what is named. */
import { ConfigError } from '../errors.ts';
import { checkDimensions, type ModelDimensions } from './dimensions.ts';

/** Sizes by the names of the configuration; null: as the teacher. */
export interface StudentSizes {
  readonly checkpoint: string | null;
  readonly layers: number | null;
  readonly heads: number | null;
  readonly kvHeads: number | null;
  readonly dModel: number | null;
  readonly dFf: number | null;
}

/**
 * The teacher's dimensions with the sizes that the configuration names.
 * @throws ConfigError naming sizes that do not fit together
 */
export function studentDimensions(
  teacher: ModelDimensions,
  { checkpoint: _, ...named }: StudentSizes,
): ModelDimensions {
  const chosen = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== null));
  const sizes: ModelDimensions = { ...teacher, ...chosen };
  // Key/value heads follow the heads where only those are named and the teacher's would not divide them.
  const kvHeads = named.kvHeads ?? (sizes.heads % teacher.kvHeads === 0 ? teacher.kvHeads : sizes.heads);
  const isNarrowed = named.dModel !== null || named.heads !== null;
  const headDim = isNarrowed ? sizes.dModel / sizes.heads : teacher.headDim;
  if (!Number.isInteger(headDim)) {
    throw new ConfigError(
      `student.heads: expected a divisor of dModel ${sizes.dModel}, received ${sizes.heads}. Name both, or neither.`,
    );
  }
  // A teacher of more or fewer layers has its pattern of windows cut, or begun again.
  const { windows: pattern } = teacher;
  const windows =
    pattern.length === 0 ? [] : Array.from({ length: sizes.layers }, (_, i) => pattern[i % pattern.length] ?? null);
  return checkStudent({ ...sizes, kvHeads, headDim, windows });
}

/** Says of the student what is wrong with its sizes. */
function checkStudent(sizes: ModelDimensions): ModelDimensions {
  try {
    return checkDimensions(sizes);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems.map((problem) => problem.replace(/^model\./, 'student.')));
  }
}
