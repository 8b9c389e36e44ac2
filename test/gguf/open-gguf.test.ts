/** GGUF files of the `gguf` package of llama.cpp (scripts/fixtures/gguf_files.py), and such files damaged at random. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../src/checkpoint/safetensors.ts';
import { CheckpointError } from '../../src/errors.ts';
import { openGguf } from '../../src/gguf/open-gguf.ts';
import { seededRandom } from '../../src/random.ts';
import { fixturePath } from '../helpers/fixtures.ts';

const types = fixturePath('gguf/types.gguf');
const folder = mkdtempSync(join(tmpdir(), 'plumbline-gguf-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The message of what opening these bytes throws. */
function refusal(bytes: Uint8Array): string {
  const path = join(folder, 'file.gguf');
  writeFileSync(path, bytes);
  try {
    openGguf(path).close();
  } catch (error) {
    if (error instanceof CheckpointError) return error.message.replaceAll(folder, '');
    throw error;
  }
  return 'opened';
}

/** The fixture with a text replaced by one of the same length. */
function changed(from: string | Uint8Array, to: string | Uint8Array): Buffer {
  const bytes = Buffer.from(readFileSync(types));
  const at = bytes.indexOf(Buffer.from(from));
  expect(at).toBeGreaterThan(-1);
  Buffer.from(to).copy(bytes, at);
  return bytes;
}

describe('the header', () => {
  it('has every kind of value as the gguf package wrote it', () => {
    const file = openGguf(types);
    expect(Object.fromEntries([...file.metadata].filter(([key]) => key.startsWith('test.')))).toEqual({
      'test.uint8': 250,
      'test.int8': -5,
      'test.uint16': 65_000,
      'test.int16': -300,
      'test.uint32': 4_000_000_000,
      'test.int32': -70_000,
      'test.uint64': 2 ** 40,
      'test.int64': -(2 ** 40),
      'test.float32': Math.fround(1e-5),
      'test.float64': 0.1,
      'test.bool': true,
      'test.string': 'naïve \ufeff⟨|end|⟩',
      'test.strings': ['', 'Ġthe', '\ufeff', '日本'],
      'test.numbers': [1, -2, 3],
      'test.floats': [0.5, -1000],
    });
    expect(file.metadata.get('general.architecture')).toBe('llama');
    file.close();
  });
});

describe('tensors', () => {
  it('are to the bit what the gguf package makes of every type', () => {
    const [file, expected] = [openGguf(types), openSafetensors(fixturePath('gguf/types.safetensors'))];
    expect([...file.tensors.keys()].sort()).toEqual([...expected.entries.keys()].sort());
    for (const [name, { shape, type }] of file.tensors) {
      expect(type).toBe(name);
      expect(shape).toEqual(expected.entries.get(name)?.shape);
      // Adding 0 makes one zero of the two.
      const plain = (values: Float32Array): number[] => [...values].map((value) => value + 0);
      expect(plain(file.read(name)), name).toEqual(plain(expected.read(name)));
    }
    file.close();
    expected.close();
  });
});

describe('what is refused', () => {
  it.each([
    ['another file', Buffer.from('a text of some length'), /^\/file\.gguf: begins with "a te"; expected "GGUF"\./],
    ['an older format', Buffer.from('tjggxxxxxxxxxxxx'), /begins with "tjgg" \(a format before GGUF\)/],
    ['nothing', Buffer.alloc(0), /ends at byte 0, within the first four bytes/],
    ['version 1', changed('GGUF\u0003', 'GGUF\u0001'), /has version 1; expected 2 or 3/],
    ['another byte order', changed('GGUF\u0003\0\0\0', 'GGUF\0\0\0\u0003'), /the highest byte first/],
    ['a key twice', changed('test.int8', 'test.bool'), /metadata key "test\.bool" stands there twice/],
    ['a tensor twice', changed('Q4_0', 'Q4_1'), /tensor "Q4_1": stands there twice/],
    [
      'text that is none',
      changed('naïve', Uint8Array.of(110, 97, 0xff, 0xff)),
      /"test\.string": holds text that is not UTF-8/,
    ],
  ])('%s', (_, bytes, message) => expect(refusal(bytes)).toMatch(message));

  it('a type that is not read, by its name', () => {
    // Type 13 (Q5_K) of the tensor of that name becomes 18.
    const bytes = readFileSync(types);
    const at = bytes.indexOf('Q5_K') + 4 + 4 + 2 * 8;
    expect(bytes.readUInt32LE(at)).toBe(13);
    bytes.writeUInt32LE(18, at);
    expect(refusal(bytes)).toBe(
      '/file.gguf: tensor "Q5_K": has type IQ3_XXS; expected one of F32, F16, Q8_0, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K. Take a file of another quantization.',
    );
  });

  it('a file that was cut short, wherever', () => {
    const bytes = readFileSync(types);
    const data = bytes.length - 10_000;
    for (let length = 1; length < bytes.length; length += length < data ? 7 : 331) {
      expect(refusal(bytes.subarray(0, length))).toMatch(/ends at|of the file are left|begins with/);
    }
  });

  it('numbers that no file holds', () => {
    const bytes = readFileSync(types);
    for (const at of [8, 16]) {
      for (const value of [2n ** 64n - 1n, 2n ** 53n - 1n, 2n ** 32n, BigInt(bytes.length)]) {
        const copy = Buffer.from(bytes);
        copy.writeBigUInt64LE(value, at);
        expect(refusal(copy)).toMatch(/is more than any file holds|would be more than|of the file are left/);
      }
    }
  });
});

describe('files damaged at random', () => {
  // PLUMBLINE_FUZZ=10000 for a longer run.
  const rounds = Number(process.env.PLUMBLINE_FUZZ ?? 400);

  it(`open, or are refused in words (${rounds} of them)`, () => {
    const original = readFileSync(types);
    const random = seededRandom(1, 'gguf');
    const outcomes = { opened: 0, refused: 0 };
    for (let round = 0; round < rounds; round++) {
      const bytes = Buffer.from(original);
      // The header is the first part of the file; what is in the data has no form to damage.
      for (let k = 0; k <= random.integer(4); k++) bytes[random.integer(1_400)] = random.integer(256);
      const said = refusal(round % 5 === 0 ? bytes.subarray(0, random.integer(bytes.length)) : bytes);
      expect(said).toMatch(/^opened$|^\/file\.gguf: .+/);
      outcomes[said === 'opened' ? 'opened' : 'refused']++;
    }
    expect(outcomes.refused).toBeGreaterThan(rounds / 2);
    expect(outcomes.opened).toBeGreaterThan(0);
  });
});
