/**
 * What a stage declares of itself in its own file: what it takes from other stages, what it writes, and what it adds to the
 * report of a chain. The chain, manifests, `npm run validate` and stages/README.md know of a stage no more than this.
 */

import type { Columns } from '../tables/columns.ts';

/**
 * What one stage makes and others take; of a checkpoint it stands in the manifest of its run. A language model is a base
 * model or a tuned one.
 */
export type Kind =
  | 'language model'
  | 'base model'
  | 'tuned model'
  | 'reward model'
  | 'instruction examples'
  | 'preference pairs'
  | 'evaluation table'
  | 'judged answers';

/** True where something of this kind can be what is taken. */
export function fits(kind: string | undefined, takes: Kind): boolean {
  return kind === takes || (takes === 'language model' && (kind === 'base model' || kind === 'tuned model'));
}

/** Something a stage takes that another stage made. */
export interface ParentDeclaration {
  /** What it is for, in messages: "policy", "reward model". */
  readonly role: string;
  readonly takes: Kind;
  /**
   * Where a chain has it, relative to the chain's folder: "instruct" for the folder of that stage, "preferences/train.arrow"
   * for a file in one; "base" is what the chain starts from. "every": the key is a map, and the chain fills it with
   * every earlier stage that makes this kind and has no other key here. Left out, or where the chain lacks that stage: as its file has it.
   */
  readonly inChain?: string;
  /** What is read from the same run folder, where it is there. */
  readonly with?: Kind;
}
/** By the configuration's key, e.g. "model" or "data.examples". */
export type Parents = Readonly<Record<string, ParentDeclaration>>;

/** A file or folder that a stage writes into its run folder. */
export interface Output {
  /** Relative to the run folder. */
  readonly path: string;
  /** What is in it, in a few words. */
  readonly holds: string;
  /** Which parent of other stages it can be; left out for what only people read. */
  readonly kind?: Kind;
  /** Of an Arrow table. */
  readonly columns?: Columns;
  /** Columns after these that depend on the run, in words. */
  readonly moreColumns?: string;
  /** When it is written, where that is not always: "where prompts are given". */
  readonly written?: string;
}
/** By the role it has in the manifest; a checkpoint that others start from has the role "model". */
export type Outputs = Readonly<Record<string, Output>>;

/** A line of a chain's report: a measure before and after a stage. */
export interface Figure {
  readonly measure: string;
  /** How it is shown: digits after the point, or a share as a percentage. */
  readonly shown: number | 'percent';
  /** A number, which stands in summary.json under the stage's name where it has a name. */
  readonly before?: number | Readonly<Record<string, number>>;
  readonly after?: number | Readonly<Record<string, number>>;
}

/** The numbers of a finished chain, as far as its stages need them for their figures. */
export interface ChainNumbers {
  /** A number of the stage's own summary. */
  own(name: string): number;
  /** Those numbers of the stage's own summary whose names begin so, by name; perhaps none. */
  ownStarting(start: string): Readonly<Record<string, number>>;
  /** A number of the evaluation's table, by model and column. */
  of(model: string, column: string): number;
  /** The same; null where the evaluation does not tell it. */
  told(model: string, column: string): number | null;
}

/** A model's answer to the first prompt of an evaluation. */
export interface FirstAnswer {
  readonly prompt: string;
  readonly response: string;
  /** Null where nothing tells. */
  readonly isRight: boolean | null;
}
