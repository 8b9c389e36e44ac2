/** The parts of a template once it is read. */
import type { BinaryOperator } from './operators.ts';
import type { Value } from './values.ts';

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** What stands behind * and **. */
  readonly spread?: Expression;
  readonly spreadNamed?: Expression;
}

interface Choice {
  readonly type: 'choice';
  readonly condition: Expression;
  readonly chosen: Expression;
  /** Undefined where there is no `else`: the value is then undefined. */
  readonly otherwise: Expression | undefined;
}

/** An expression and the line it stands in. */
export type Expression = { readonly line: number } & (
  | { readonly type: 'constant'; readonly value: Value }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'tuple' | 'list' | 'concat'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | { readonly type: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly type: 'item'; readonly object: Expression; readonly key: Expression }
  | { readonly type: 'slice'; readonly object: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly type: 'call'; readonly callee: Expression; readonly args: CallArguments }
  | {
      readonly type: 'filter' | 'test';
      readonly input: Expression;
      readonly name: string;
      readonly args: CallArguments;
    }
  | { readonly type: 'not' | '-' | '+'; readonly operand: Expression }
  | {
      readonly type: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly type: 'compare';
      readonly first: Expression;
      readonly rest: readonly (readonly [Comparison, Expression])[];
    }
  | Choice
);

/** What a value can be given to. */
export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'field'; readonly object: string; readonly field: string; readonly line: number }
  | { readonly type: 'targets'; readonly items: readonly Target[]; readonly line: number };

export type Body = readonly Statement[];

/** A macro's parameter with its default. */
export type Parameter = readonly [string, Expression | undefined];

export interface Macro {
  readonly parameters: readonly Parameter[];
  readonly body: Body;
  /** It reads `varargs` or `kwargs`: arguments that it does not list. */
  readonly takesMore: boolean;
  readonly takesNames: boolean;
}

/** The filters of a block, first to last. */
export type BlockFilters = readonly { readonly name: string; readonly args: CallArguments; readonly line: number }[];

interface For {
  readonly type: 'for';
  readonly target: Target;
  readonly iterable: Expression;
  readonly condition: Expression | undefined;
  readonly isRecursive: boolean;
  readonly body: Body;
  readonly otherwise: Body;
}

/** A statement and the line it begins in. */
export type Statement = { readonly line: number } & (
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'output'; readonly value: Expression }
  | { readonly type: 'if'; readonly branches: readonly (readonly [Expression | undefined, Body])[] }
  | For
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly type: 'set-block'; readonly target: Target; readonly filters: BlockFilters; readonly body: Body }
  | { readonly type: 'with'; readonly values: readonly (readonly [Target, Expression])[]; readonly body: Body }
  | { readonly type: 'macro'; readonly name: string; readonly macro: Macro }
  | { readonly type: 'call-block'; readonly call: Expression; readonly macro: Macro }
  | { readonly type: 'filter-block'; readonly filters: BlockFilters; readonly body: Body }
  /** {% generation %}: what the assistant wrote, in a scope of its own. */
  | { readonly type: 'generation'; readonly body: Body }
  | { readonly type: 'break' | 'continue' }
);
