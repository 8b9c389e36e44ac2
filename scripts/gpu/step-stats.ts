/** What TensorFlow says of one run of a graph (tensorflow/core/framework/step_stats.proto), by device and op. */

/** Time of all nodes of one op on one device. */
export interface OpTime {
  /** "/device:GPU:0/stream:all": what the card did; without "stream" what the host did to have it done. */
  readonly device: string;
  /** Node names without their number: "MatMul". */
  readonly op: string;
  readonly count: number;
  readonly ms: number;
}

/** From RunMetadata's bytes; the longest first within each device. */
export function opTimes(metadata: Buffer): OpTime[] {
  const sums = new Map<string, { device: string; op: string; count: number; us: number }>();
  for (const stats of messages(metadata, 1)) {
    for (const deviceStats of messages(stats, 1)) {
      const device = textOf(deviceStats, 1).replace(/^\/job:\w+\/replica:\d+\/task:\d+/, '');
      for (const node of messages(deviceStats, 2)) {
        // Node names are ours: an op's name and a number; on streams the kernel's details follow.
        const op = textOf(node, 1).replace(/^(\w+?)_\d+\b.*$/, '$1');
        const key = `${device} ${op}`;
        const sum = sums.get(key) ?? { device, op, count: 0, us: 0 };
        sums.set(key, sum);
        sum.count += 1;
        sum.us += numberOf(node, 4) - numberOf(node, 3);
      }
    }
  }
  const all = [...sums.values()].map(({ us, ...rest }) => ({ ...rest, ms: us / 1000 }));
  return all.sort((a, b) => (a.device < b.device ? -1 : a.device > b.device ? 1 : b.ms - a.ms));
}

/** Fields of a message in protocol-buffer bytes: those of length-delimited kind as bytes, varints as numbers. */
function* fields(bytes: Buffer): Generator<readonly [number: number, content: Buffer | number]> {
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === 0) yield [number, varint()];
    else {
      const size = kind === 2 ? varint() : kind === 1 ? 8 : 4;
      yield [number, bytes.subarray(at, at + size)];
      at += size;
    }
  }
}

function messages(bytes: Buffer, wanted: number): Buffer[] {
  return [...fields(bytes)].flatMap(([number, content]) =>
    number === wanted && typeof content !== 'number' ? [content] : [],
  );
}

function textOf(bytes: Buffer, wanted: number): string {
  return messages(bytes, wanted)[0]?.toString('utf8') ?? '';
}

function numberOf(bytes: Buffer, wanted: number): number {
  for (const [number, content] of fields(bytes)) if (number === wanted && typeof content === 'number') return content;
  return 0;
}
