/**
 * Checks the headers of Arrow messages before the library decodes them: it believes the lengths of their lists, and a
 * damaged one keeps it busy for hours. Headers are FlatBuffers; tables as in https://github.com/apache/arrow format/*.fbs
 */

const messageTypes = { schema: 1, dictionary: 2, recordBatch: 3 };

/** The header of a message. @throws RangeError where a list in it cannot be as long as it claims */
export function verifyMessage(header: Uint8Array): void {
  const { root, ...walk } = openWalk(header);
  const type = walk.field(root, 1);
  const body = walk.table(root, 2);
  if (type === null || body === null) return;
  const kind = header[type];
  if (kind === messageTypes.schema) verifySchema(walk, body);
  if (kind === messageTypes.recordBatch) verifyBatch(walk, body);
  if (kind === messageTypes.dictionary) verifyBatch(walk, walk.table(body, 1));
}

/** The footer of a file. @throws RangeError as `verifyMessage` */
export function verifyFooter(footer: Uint8Array): void {
  const { root, ...walk } = openWalk(footer);
  verifySchema(walk, walk.table(root, 1));
  for (const blocks of [2, 3]) walk.list(root, blocks, 24);
  walk.list(root, 4, 4);
}

function verifySchema(walk: Walk, schema: number | null): void {
  if (schema === null) return;
  for (const field of walk.list(schema, 1, 4)) verifyField(walk, walk.follow(field));
  walk.list(schema, 2, 4);
}

function verifyField(walk: Walk, field: number): void {
  for (const child of walk.list(field, 5, 4)) verifyField(walk, walk.follow(child));
  walk.list(field, 6, 4);
}

function verifyBatch(walk: Walk, batch: number | null): void {
  if (batch === null) return;
  for (const structs of [1, 2]) walk.list(batch, structs, 16);
  walk.list(batch, 4, 8);
}

/** Positions in a FlatBuffer. */
interface Walk {
  /** Where a table keeps its n-th field; null where it has none. */
  field(table: number, n: number): number | null;
  /** The table that the n-th field refers to. */
  table(table: number, n: number): number | null;
  /** The position that the offset at a position leads to. */
  follow(at: number): number;
  /** Positions of the entries of the list in the n-th field. */
  list(table: number, n: number, entryLength: number): number[];
}

function openWalk(bytes: Uint8Array): Walk & { root: number } {
  // A DataView raises RangeError outside its bytes.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let entries = 0;
  const follow = (at: number): number => at + view.getUint32(at, true);
  const field = (table: number, n: number): number | null => {
    const slots = table - view.getInt32(table, true);
    const offset = 4 + 2 * n < view.getUint16(slots, true) ? view.getUint16(slots + 4 + 2 * n, true) : 0;
    return offset === 0 ? null : table + offset;
  };
  const table = (parent: number, n: number): number | null => {
    const at = field(parent, n);
    return at === null ? null : follow(at);
  };
  const list = (parent: number, n: number, entryLength: number): number[] => {
    const at = table(parent, n);
    if (at === null) return [];
    const length = view.getUint32(at, true);
    entries += length;
    // Damaged offsets may lead to one list many times over; a sound header has fewer entries than bytes.
    if (at + 4 + length * entryLength > bytes.length || entries > bytes.length) {
      throw new RangeError('a list in a header is longer than the header');
    }
    return Array.from({ length }, (_, i) => at + 4 + i * entryLength);
  };
  return { root: follow(0), field, table, follow, list };
}
