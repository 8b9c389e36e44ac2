/** Errors meant for people: programs print `message` without a stack and exit 1. Any other error keeps its stack. */

/**
 * Something the user can mend. `problems` lists everything that is wrong, each as
 * "where: what is wrong; expected X, received Y. What to do."
 */
export class UserError extends Error {
  readonly problems: readonly string[];
  constructor(problems: string | readonly string[], options?: ErrorOptions) {
    const list = typeof problems === 'string' ? [problems] : problems;
    super(list.join('\n'), options);
    this.name = new.target.name;
    this.problems = list;
  }
}

/** A configuration file or override is wrong. */
export class ConfigError extends UserError {}

/** A dataset, template or Arrow file is missing, damaged or not what was expected. */
export class DataError extends UserError {}

/** A checkpoint or run folder is missing, damaged, or does not fit its parents. */
export class CheckpointError extends UserError {}

/** A tensor lane (tensorflow, wasm, webgpu, cpu) cannot be used as asked. */
export class LaneError extends UserError {}

/** A step cannot become a graph. */
export class CompileError extends UserError {}

/** A tensor has another shape than its reader documents. */
export class ShapeError extends UserError {}

/** Training produced a number that is not finite, or an invariant of the algorithm does not hold. */
export class InvariantError extends UserError {}

/** The text of any thrown value. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True where a thrown value is a Node file-system error with this code ("ENOENT", "ENOSPC", …). */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
