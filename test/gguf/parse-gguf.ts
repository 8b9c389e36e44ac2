import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

type Value = number | boolean | string | readonly Value[];

/** A file as the format's description has it, read straight on: a second opinion on what is written. */
export interface ParsedGguf {
  readonly fields: Readonly<Record<string, Value>>;
  /** Type, shape (slowest first) and bytes of each tensor. */
  readonly tensors: Readonly<Record<string, { type: number; shape: number[]; bytes: Buffer }>>;
}

const BLOCKS: Readonly<Record<number, readonly [number, number]>> = { 0: [1, 4], 1: [1, 2], 8: [32, 34], 30: [1, 2] };

export function parseGguf(path: string): ParsedGguf {
  const file = readFileSync(path);
  let at = 0;
  const step = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const uint32 = (): number => file.readUInt32LE(step(4));
  const uint64 = (): number => Number(file.readBigUInt64LE(step(8)));
  const text = (): string => {
    const length = uint64();
    return file.toString('utf8', at, step(length) + length);
  };
  const value = (type: number): Value => {
    if (type === 4) return uint32();
    if (type === 5) return file.readInt32LE(step(4));
    if (type === 6) return file.readFloatLE(step(4));
    if (type === 7) return file.readUInt8(step(1)) === 1;
    if (type === 8) return text();
    if (type !== 9) throw new Error(`type ${type} at ${at}`);
    const [kind, count] = [uint32(), uint64()];
    return Array.from({ length: count }, () => value(kind));
  };
  if (file.toString('latin1', 0, step(4) + 4) !== 'GGUF' || uint32() !== 3) throw new Error('no GGUF 3');
  const [tensorCount, fieldCount] = [uint64(), uint64()];
  const fields: Record<string, Value> = {};
  for (let i = 0; i < fieldCount; i++) {
    const key = text();
    if (key in fields) throw new Error(`${key} twice`);
    fields[key] = value(uint32());
  }
  const list = Array.from({ length: tensorCount }, () => {
    const name = text();
    const shape = Array.from({ length: uint32() }, uint64).reverse();
    return { name, shape, type: uint32(), offset: uint64() };
  });
  const start = Math.ceil(at / 32) * 32;
  let end = start;
  const tensors: Record<string, { type: number; shape: number[]; bytes: Buffer }> = {};
  for (const { name, shape, type, offset } of list) {
    const [block, size] = BLOCKS[type] as readonly [number, number];
    const length = (shape.reduce((product, one) => product * one, 1) / block) * size;
    if (start + offset !== Math.ceil(end / 32) * 32) throw new Error(`${name} begins at ${offset}`);
    end = start + offset + length;
    tensors[name] = { type, shape, bytes: file.subarray(start + offset, end) };
  }
  if (file.length !== Math.ceil(end / 32) * 32)
    throw new Error(`the file has ${file.length} bytes, the tensors end at ${end}`);
  return { fields, tensors };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
