/** Vectors of parameters (and of their moments) as variables, one for each parameter, that live in the session. */
import type { Cell, Home } from '../tensor/cell.ts';
import type { ParameterLayout } from '../tensor/parameters.ts';
import type { Engine } from './engine.ts';
import { FLOAT32 } from './graph.ts';
import type { Variable } from './variables.ts';
import { assignVariables, createVariable, destroyVariables, readVariables } from './variables.ts';

interface Residence extends Home {
  readonly variables: readonly Variable[];
}

const residences = new WeakSet<Home>();

/** The variables of a vector, in the order of its layout. Moves the values there at the first call. */
export function reside(engine: Engine, cell: Cell, layout: ParameterLayout): readonly Variable[] {
  const home = cell.home();
  if (home !== null && residences.has(home)) return (home as Residence).variables;
  const values = cell.read();
  const variables = layout.specs.map(({ shape }) => createVariable(engine, FLOAT32, shape));
  const part = (index: number): Float32Array => {
    const start = layout.offsets[index] as number;
    return values.subarray(start, start + (layout.sizes[index] as number));
  };
  assignVariables(
    engine,
    variables.map((variable, index) => ({ variable, values: part(index) })),
  );
  const residence: Residence = {
    variables,
    read: () => {
      const whole = new Float32Array(layout.total);
      for (const [index, values] of readVariables(engine, variables).entries()) {
        whole.set(values, layout.offsets[index] as number);
      }
      return whole;
    },
    leave: () => destroyVariables(engine, variables),
  };
  residences.add(residence);
  cell.move(residence);
  return variables;
}
