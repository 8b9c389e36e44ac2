/** Values that a graph has in float32 and in bfloat16: what bfloat16 products read instead of the float32 one. */
import type { NodeSpec, Port } from './graph.ts';
import { BFLOAT16, FLOAT32, type } from './graph.ts';

export interface Narrowing {
  /** The value in bfloat16; made once for all that read it. */
  narrow(port: Port): Port;
  /** The value in float32; narrowing that returns this port. */
  widen(port: Port): Port;
  /** Says that a port has the value of another in bfloat16. */
  twin(port: Port, narrow: Port): void;
}

/** Of one trace. */
export function narrowingOf(add: (spec: NodeSpec) => { readonly outputs: readonly Port[] }): Narrowing {
  const twins = new Map<string, Port>();
  const keyOf = ({ oper, index }: Port): string => `${String(oper)}:${index}`;
  const cast = (input: Port, to: number): Port => {
    const attributes = { SrcT: type(input.dtype), DstT: type(to), Truncate: { kind: 'bool', value: false } as const };
    return add({ op: 'Cast', inputs: [input], attributes }).outputs[0] as Port;
  };
  const twin = (port: Port, narrow: Port): void => void twins.set(keyOf(port), narrow);
  return {
    narrow: (port) => {
      if (!twins.has(keyOf(port))) twin(port, cast(port, BFLOAT16));
      return twins.get(keyOf(port)) as Port;
    },
    widen: (port) => {
      const wide = cast(port, FLOAT32);
      twin(wide, port);
      return wide;
    },
    twin,
  };
}
