/** Tensors that stay inside TensorFlow between calls. */
import type { Pointer } from './c-api.ts';
import type { Engine, HostValues } from './engine.ts';
import { runGraph } from './engine.ts';
import type { Port, Variable } from './graph.ts';
import { addNode, addOutput, RESOURCE } from './graph.ts';

/** Makes a variable; it has no value before `assignVariables`. */
export function createVariable({ graph }: Engine, dtype: number, shape: readonly number[]): Variable {
  const type = { kind: 'type', value: dtype } as const;
  const handle = addOutput(graph, {
    op: 'VarHandleOp',
    inputs: [],
    attributes: {
      dtype: type,
      shape: { kind: 'shape', value: shape },
      container: { kind: 'string', value: '' },
      shared_name: { kind: 'string', value: `variable_${graph.nodes}` },
    },
  });
  const placeholder = addPlaceholder({ graph }, dtype, shape);
  const { operation: assign } = addNode(graph, {
    op: 'AssignVariableOp',
    inputs: [handle, placeholder],
    attributes: { dtype: type },
  });
  const { operation: destroy } = addNode(graph, { op: 'DestroyResourceOp', inputs: [handle] });
  const variable = { shape, dtype, handle: { ...handle, dtype: RESOURCE }, placeholder, assign, destroy };
  return { ...variable, value: readVariable({ graph }, variable) };
}

/** A node that is fed. */
export function addPlaceholder({ graph }: Pick<Engine, 'graph'>, dtype: number, shape: readonly number[]): Port {
  return addOutput(graph, {
    op: 'Placeholder',
    inputs: [],
    attributes: { dtype: { kind: 'type', value: dtype }, shape: { kind: 'shape', value: shape } },
  });
}

/** A node that reads a variable when `after` have run. */
export function readVariable(
  { graph }: Pick<Engine, 'graph'>,
  { handle, dtype }: Pick<Variable, 'handle' | 'dtype'>,
  after: readonly Pointer[] = [],
): Port {
  return addOutput(graph, {
    op: 'ReadVariableOp',
    inputs: [handle],
    attributes: { dtype: { kind: 'type', value: dtype } },
    after,
  });
}

/** Sets variables, all in one call. */
export function assignVariables(
  engine: Engine,
  pairs: readonly { variable: Variable; values: HostValues | Uint16Array }[],
): void {
  if (pairs.length === 0) return;
  for (const { variable } of pairs) engine.live.add(variable);
  const feeds = pairs.map(({ variable: { placeholder, shape }, values }) => ({ port: placeholder, shape, values }));
  runGraph(
    engine,
    feeds,
    [],
    pairs.map(({ variable }) => variable.assign),
  );
}

/** Values of variables, copied to the host. */
export function readVariables(engine: Engine, variables: readonly Variable[]): HostValues[] {
  if (variables.length === 0) return [];
  return runGraph(
    engine,
    [],
    variables.map(({ value }) => value),
    [],
  );
}

/** Frees what variables hold. */
export function destroyVariables(engine: Engine, variables: readonly Variable[]): void {
  for (const variable of variables) engine.live.delete(variable);
  if (variables.length > 0)
    runGraph(
      engine,
      [],
      [],
      variables.map(({ destroy }) => destroy),
    );
}
