/** Vectors of parameters (and of their moments) as variables, one for each parameter, that live in the session. */

import type { ParameterLayout } from '../tensor/parameters.ts';
import { partsOf } from '../tensor/parameters.ts';
import type { Home, StoredVector } from '../tensor/stored-vector.ts';
import { tf } from '../tensor/tf.ts';
import type { Engine } from './engine.ts';
import type { Variable } from './graph.ts';
import { FLOAT32 } from './graph.ts';
import { assignVariables, createVariable, destroyVariables, readVariables } from './variables.ts';

interface Residence extends Home {
  readonly variables: readonly Variable[];
}

/** What else goes when the values of some variables leave. */
interface Estate {
  readonly extras: Variable[];
  nodes: number;
}

const residences = new WeakSet<Home>();
const estates = new WeakMap<readonly Variable[], Estate>();

/** The variables of a vector, in the order of its layout. Moves the values there at the first call. */
export function reside(engine: Engine, stored: StoredVector, layout: ParameterLayout): readonly Variable[] {
  const home = stored.home();
  if (home !== null && residences.has(home)) return (home as Residence).variables;
  const values = stored.read();
  const before = engine.graph.nodes;
  const variables = layout.specs.map(({ shape }) => createVariable(engine, FLOAT32, shape));
  const estate: Estate = { extras: [], nodes: engine.graph.nodes - before };
  estates.set(variables, estate);
  const parts = partsOf(layout, values);
  assignVariables(
    engine,
    variables.map((variable, index) => ({ variable, values: parts[index] as Float32Array })),
  );
  const resident = { moveOut: () => stored.replace(tf.keep(tf.tensor1d(stored.read()))) };
  const residence: Residence = {
    variables,
    read: () => {
      const whole = new Float32Array(layout.total);
      for (const [index, found] of readVariables(engine, variables).entries()) {
        whole.set(found, layout.offsets[index] as number);
      }
      return whole;
    },
    leave: () => {
      engine.residents.delete(resident);
      engine.garbage += estate.nodes;
      destroyVariables(engine, [...variables, ...estate.extras]);
    },
  };
  residences.add(residence);
  engine.residents.add(resident);
  stored.move(residence);
  return variables;
}

/** Makes graphs, or more variables, that are of no use without the given variables: they go when those go. */
export function madeFor<T>(engine: Engine, variables: readonly Variable[], make: () => T): T {
  const before = engine.graph.nodes;
  try {
    return make();
  } finally {
    const estate = estates.get(variables);
    if (estate !== undefined) estate.nodes += engine.graph.nodes - before;
  }
}

/** A variable that goes when the given ones go. */
export function extraVariable(engine: Engine, variables: readonly Variable[], shape: readonly number[]): Variable {
  const variable = createVariable(engine, FLOAT32, shape);
  estates.get(variables)?.extras.push(variable);
  return variable;
}
