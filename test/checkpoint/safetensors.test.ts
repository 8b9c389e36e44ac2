/** The safetensors format: round trips, bytes laid out by the published format, and every way a file can be wrong. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSafetensors } from '../../src/checkpoint/safetensors.ts';
import { CheckpointError } from '../../src/errors.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import type { HostTensor } from '../helpers/tensors.ts';
import { readTensors, writeTensors } from '../helpers/tensors.ts';

const inFolder = useTemporaryFolder();

/** A file of a header and data, as the format says: 8-byte little-endian length, JSON, bytes. */
function file(header: unknown, data: readonly number[] = [], length?: number): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(length ?? json.length));
  const path = inFolder('x.safetensors');
  writeFileSync(path, Buffer.concat([size, json, Buffer.from(data)]));
  return path;
}

const write = (tensors: Map<string, HostTensor>, type: 'F32' | 'BF16'): string => {
  const path = inFolder('x.safetensors');
  writeTensors(path, tensors, type);
  return path;
};
const vector = (...values: number[]): Map<string, HostTensor> =>
  new Map([['v', { shape: [values.length], values: Float32Array.from(values) }]]);

const bits = (values: Float32Array): number[] => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];
const anyFloat = fc
  .integer({ min: 0, max: 0xffffffff })
  .map((word) => new Float32Array(Uint32Array.of(word).buffer)[0]!);

/** A tensor of 0 to 3 axes of sizes 0 to 3, any bit patterns included; odd offsets come from BF16 files. */
const tensor = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }).chain((shape) => {
  const size = shape.reduce((product, length) => product * length, 1);
  return fc.record({
    shape: fc.constant(shape),
    values: fc.array(anyFloat, { minLength: size, maxLength: size }).map((values) => Float32Array.from(values)),
  });
});
const tensorMap = fc
  .dictionary(fc.string({ minLength: 1, maxLength: 8 }), tensor, { maxKeys: 5 })
  .map((entries) => new Map(Object.entries(entries).filter(([name]) => name !== '__metadata__')));

describe('round trips', () => {
  it('F32 keeps every bit of every number', () => {
    fc.assert(
      fc.property(tensorMap, (tensors) => {
        const found = readTensors(write(tensors, 'F32'));
        expect([...found.keys()].sort()).toEqual([...tensors.keys()].sort());
        for (const [name, { shape, values }] of tensors) {
          expect(found.get(name)!.shape).toEqual(shape);
          for (const [i, word] of bits(found.get(name)!.values).entries()) {
            // A signalling NaN may come back quiet from a JavaScript number; a NaN it stays.
            if (Number.isNaN(values[i]!)) expect(found.get(name)!.values[i]).toBeNaN();
            else expect(word).toBe(bits(values)[i]);
          }
        }
      }),
      { seed: 1, numRuns: 60 },
    );
  });

  it('BF16 keeps every number that bfloat16 can hold, and is idempotent for the others', () => {
    fc.assert(
      fc.property(tensorMap, (tensors) => {
        const once = readTensors(write(tensors, 'BF16'));
        const twice = readTensors(write(once, 'BF16'));
        for (const [name, { values }] of once) {
          expect(bits(twice.get(name)!.values)).toEqual(bits(values));
          for (const [i, value] of values.entries()) {
            const original = tensors.get(name)!.values[i]!;
            if (Number.isNaN(original)) expect(value).toBeNaN();
            // Half a unit of the 8-bit significand; beyond the largest it may become infinite.
            else if (Math.abs(original) < 3.38e38)
              expect(Math.abs(value - original)).toBeLessThanOrEqual(Math.max(Math.abs(original) / 256, 2 ** -134));
          }
        }
      }),
      { seed: 1, numRuns: 60 },
    );
  });

  it('BF16 rounds to nearest, ties to even', () => {
    // In units of 2⁻⁷ above 1: one half is a tie (down to 0), one and a half is a tie (up to 2), a hair decides.
    const unit = 2 ** -7;
    const hair = 2 ** -23;
    const given = [1 + 0.5 * unit, 1 + 1.5 * unit, 1 + 0.5 * unit + hair, 1 + 1.5 * unit - hair, -(1 + 1.5 * unit)];
    const found = readTensors(write(vector(...given), 'BF16')).get('v')!.values;
    expect([...found]).toEqual([1, 1 + 2 * unit, 1 + unit, 1 + unit, -(1 + 2 * unit)]);
  });

  it('BF16 keeps signs of zero, infinities and NaN; what is too large becomes infinite', () => {
    const given = [0, -0, Infinity, -Infinity, Number.NaN, 3.4e38];
    const found = readTensors(write(vector(...given), 'BF16')).get('v')!.values;
    expect([...found]).toEqual([0, -0, Infinity, -Infinity, Number.NaN, Infinity]);
  });
});

describe('the bytes', () => {
  it('are the length, a header padded with spaces to 8 bytes, and the numbers in order', () => {
    const bytes = writeTensors(inFolder('x.safetensors'), vector(1, -2), 'F32', { step: '7' });
    const length = Number(bytes.readBigUInt64LE(0));
    const header = bytes.toString('utf8', 8, 8 + length);
    expect(length % 8).toBe(0);
    expect(header).toMatch(/^\{.*\} *$/);
    expect(JSON.parse(header)).toEqual({
      __metadata__: { step: '7' },
      v: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    });
    expect([...bytes.subarray(8 + length)]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
  });

  it('of bfloat16 are the upper halves', () => {
    const bytes = writeTensors(inFolder('x.safetensors'), vector(1, -2), 'BF16');
    expect([...bytes.subarray(-4)]).toEqual([0x80, 0x3f, 0, 0xc0]);
  });

  it('are read whatever the order of names in the header, and F16 too', () => {
    const path = file(
      {
        b: { dtype: 'F16', shape: [5], data_offsets: [4, 14] },
        a: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
      },
      // 1 | 1, −2, the largest 65504, the smallest 2⁻²⁴, −∞: IEEE 754 binary16
      [0, 0, 0x80, 0x3f, 0, 0x3c, 0, 0xc0, 0xff, 0x7b, 1, 0, 0, 0xfc],
    );
    const found = readTensors(path);
    expect([...found.get('a')!.values]).toEqual([1]);
    expect([...found.get('b')!.values]).toEqual([1, -2, 65504, 2 ** -24, -Infinity]);
  });

  it('may hold an empty tensor beside its neighbour, in any order of names', () => {
    const path = file(
      {
        z: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
        a: { dtype: 'F32', shape: [0, 3], data_offsets: [0, 0] },
      },
      [0, 0, 0x80, 0x3f],
    );
    expect([...readTensors(path)].map(([name, { values }]) => [name, [...values]]).sort()).toEqual([
      ['a', []],
      ['z', [1]],
    ]);
  });
});

describe('a damaged file', () => {
  const end = ' The file is damaged or was cut short: copy or make it again.';
  const f32 = (shape: unknown, from: unknown, to: unknown, dtype = 'F32') => ({
    dtype,
    shape,
    data_offsets: [from, to],
  });
  const eight = [0, 0, 0, 0, 0, 0, 0, 0];
  const types = 'F32, BF16, F16, F64, BOOL, U8, I8, F8_E4M3, F8_E5M2, I16, U16, I32, U32, I64, U64';

  it.each<[string, () => string, string]>([
    ['has an empty header', () => file('', [], 0), 'the header is not JSON (Unexpected end of JSON input).'],
    ['claims a huge header', () => file('{}', [], 2 ** 40), 'its header would take 1099511627776 bytes; the format allows 100000000.'],
    ['was cut within the header', () => file('{}', [], 20), 'the header should take 20 bytes and the file has 10.'],
    ['has a header that is no object', () => file('null'), 'the header is not JSON (it holds no object).'],
    ['was cut within the data', () => file({ w: f32([2], 0, 8) }, [0, 0, 0, 0]), 'tensor "w": ends at byte 8, after the end of the data (4).'],
    ['has data that no tensor claims', () => file({ w: f32([1], 0, 4) }, eight), 'the tensors end at byte 4 of 8.'],
    ['has tensors that overlap', () => file({ a: f32([1], 0, 4), b: f32([1], 2, 6) }, eight), 'tensor "b": starts at byte 2; expected 4 (tensors may not overlap or leave holes).'],
    ['has a hole', () => file({ a: f32([1], 4, 8) }, eight), 'tensor "a": starts at byte 4; expected 0 (tensors may not overlap or leave holes).'],
    ['has a shape that does not fit its bytes', () => file({ a: f32([3], 0, 8) }, eight), 'tensor "a": has 8 bytes; its shape [3] needs 12.'],
    ['has an element type of its own', () => file({ a: f32([1], 0, 8, 'C64') }, eight), `tensor "a": element type C64 is not known; expected ${types}.`],
    ['names a JavaScript property as element type', () => file({ a: f32([1], 0, 8, 'toString') }, eight), `tensor "a": element type toString is not known; expected ${types}.`],
    ['names a tensor twice', () => file('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}', eight), 'the header names "a" twice.'],
    ['has a negative size', () => file({ a: f32([-1, -2], 0, 8) }, eight), 'tensor "a": shape or data_offsets are not lists of whole numbers.'],
    ['has an entry that is null', () => file({ a: null }), 'tensor "a": shape or data_offsets are not lists of whole numbers.'],
    ['has no offsets', () => file({ a: { dtype: 'F32', shape: [1] } }), 'tensor "a": shape or data_offsets are not lists of whole numbers.'],
  ])('that %s is refused', async (_, make, problem) => {
    const path = make();
    expect(() => readTensors(path)).toThrow(CheckpointError);
    expect(await problemsOf(() => readTensors(path), inFolder())).toEqual([`x.safetensors: ${problem}${end}`]);
  }); // biome-ignore format: table

  it('may hold masks and other types, which are refused only when they are read', async () => {
    const path = file({ mask: f32([8], 0, 8, 'BOOL') }, eight);
    const opened = openSafetensors(path);
    expect(opened.entries.get('mask')).toMatchObject({ dtype: 'BOOL', shape: [8] });
    expect(await problemsOf(() => opened.read('mask'), inFolder())).toEqual([
      'x.safetensors: tensor "mask" is of type BOOL; expected F32, BF16, F16, F64.',
    ]);
    opened.close();
  });

  it('with flipped bytes is read or refused, and nothing else happens', () => {
    const whole = writeTensors(inFolder('whole.safetensors'), new Map([...vector(1, 2, 3), ...vector(4)]));
    const path = inFolder('x.safetensors');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (flips) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of flips) bytes[at] = value;
          writeFileSync(path, bytes);
          try {
            readTensors(path);
          } catch (error) {
            expect(error).toBeInstanceOf(CheckpointError);
          }
        },
      ),
      { seed: 1, numRuns: 400 },
    );
  });

  it('of fewer than 8 bytes is refused', async () => {
    const path = inFolder('x.safetensors');
    writeFileSync(path, 'abc');
    expect(await problemsOf(() => readTensors(path), inFolder())).toEqual([
      `x.safetensors: expected a safetensors file, received 3 bytes.${end}`,
    ]);
  });

  it('is refused wherever it was cut', () => {
    const whole = writeTensors(
      inFolder('whole.safetensors'),
      new Map([...vector(1, 2, 3), ['w', { shape: [1], values: Float32Array.of(4) }]]),
    );
    const path = inFolder('x.safetensors');
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      expect(() => readTensors(path), `cut to ${length} bytes`).toThrow(CheckpointError);
    }
  });

  it('of doubles is read as float32', () => {
    const doubles = Buffer.from(Float64Array.of(0.1, -2, 1e-300).buffer);
    const path = file({ a: { dtype: 'F64', shape: [3], data_offsets: [0, 24] } }, [...doubles]);
    expect(readTensors(path).get('a')?.values).toEqual(Float32Array.of(0.1, -2, 0));
  });

  it('that is missing or no file is said to be', async () => {
    expect(await problemsOf(() => readTensors(inFolder('none')), inFolder())).toEqual([
      'none: there is no such file; expected the weights of a checkpoint.',
    ]);
    mkdirSync(inFolder('folder'));
    spawnSync('mkfifo', [inFolder('pipe')]);
    for (const [name, kind] of [
      ['folder', 'a folder'],
      ['pipe', 'a pipe'],
    ] as const) {
      expect(await problemsOf(() => readTensors(inFolder(name)), inFolder())).toEqual([
        `${name}: is ${kind}; expected a file with the weights of a checkpoint. Put the file itself there.`,
      ]);
    }
  });
});
