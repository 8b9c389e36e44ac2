/** Weights in shards: round trips, files that transformers wrote, and every way a folder can be wrong or hostile. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openWeightFiles, weightPaths, writeWeightFiles } from '../../src/checkpoint/weight-files.ts';
import { CheckpointError } from '../../src/errors.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { writeTensors } from '../helpers/tensors.ts';

const inFolder = useTemporaryFolder();
const INDEX = 'model.safetensors.index.json';
const NAMES = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

const tensor = (name: string, ...values: number[]) => ({
  ...{ name, shape: [values.length], values: () => Float32Array.from(values) },
});
const shard = (name: string, ...tensors: ReturnType<typeof tensor>[]): Buffer =>
  writeTensors(inFolder(name), new Map(tensors.map((one) => [one.name, { shape: one.shape, values: one.values() }])));
const index = (content: unknown): void =>
  writeFileSync(inFolder(INDEX), typeof content === 'string' ? content : JSON.stringify(content));
const map = (...entries: [string, unknown][]): void => {
  // Written by hand: an object literal would take __proto__ for something else.
  index(
    `{"weight_map": {${entries.map(([name, file]) => `${JSON.stringify(name)}: ${JSON.stringify(file)}`).join()}}}`,
  );
};
/** A folder in order: "a" in the first shard, "b" and "c" in the second. */
function inOrder(): void {
  shard(NAMES[0], tensor('a', 1));
  shard(NAMES[1], tensor('b', 2), tensor('c', 3, 4));
  map(['a', NAMES[0]], ['b', NAMES[1]], ['c', NAMES[1]]);
}
function readAll(): Record<string, number[]> {
  const files = openWeightFiles(inFolder());
  try {
    return Object.fromEntries([...files.entries.keys()].map((name) => [name, [...files.read(name)]]));
  } finally {
    files.close();
  }
}
const problems = (): Promise<string[]> => problemsOf(readAll, inFolder());
const again = 'Copy the files of one revision again.';

describe('weights in shards', () => {
  it('are read from where the index has them', () => {
    inOrder();
    expect(readAll()).toEqual({ a: [1], b: [2], c: [3, 4] });
    expect(weightPaths(inFolder())).toEqual([inFolder(INDEX), inFolder(NAMES[0]), inFolder(NAMES[1])]);
  });

  it('as transformers wrote them hold what it wrote into one file', () => {
    const files = openWeightFiles(fixturePath('families/llama-biases'));
    const listed = JSON.parse(readFileSync(fixturePath(`families/llama-biases/${INDEX}`), 'utf8'));
    expect([...files.entries.keys()].sort()).toEqual(Object.keys(listed.weight_map).sort());
    let bytes = 0;
    for (const [name, { shape, from, to }] of files.entries) {
      expect(files.read(name).length, name).toBe(shape.reduce((product, size) => product * size, 1));
      bytes += to - from;
    }
    files.close();
    expect(bytes).toBe(listed.metadata.total_size);
  });

  it('are cut at whole tensors of at most the size that is asked for, and come back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: -8, max: 8 }), { maxLength: 6 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom('F32' as const, 'BF16' as const),
        (values, maxShardBytes, dtype) => {
          for (const name of readdirSync(inFolder())) rmSync(inFolder(name));
          const tensors = values.map((list, i) => tensor(`t${i}`, ...list));
          writeWeightFiles(inFolder(), tensors, { dtype, maxShardBytes });
          expect(readAll()).toEqual(Object.fromEntries(values.map((list, i) => [`t${i}`, list])));
          const files = openWeightFiles(inFolder());
          const width = dtype === 'F32' ? 4 : 2;
          const perShard = new Map<string, number[]>();
          const paths = weightPaths(inFolder());
          const listed = paths.length === 1 ? {} : JSON.parse(readFileSync(paths[0]!, 'utf8')).weight_map;
          values.forEach((list, i) => {
            const file = listed[`t${i}`] ?? 'model.safetensors';
            perShard.set(file, [...(perShard.get(file) ?? []), list.length * width]);
          });
          for (const sizes of perShard.values()) {
            const isOne = sizes.filter((size) => size > 0).length <= 1;
            expect(isOne || sizes.reduce((sum, size) => sum + size, 0) <= maxShardBytes).toBe(true);
          }
          files.close();
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });

  it('have the names and the total that transformers gives them', () => {
    writeWeightFiles(inFolder(), [tensor('a', 1), tensor('b', 2), tensor('c', 3)], { dtype: 'BF16', maxShardBytes: 4 });
    expect(readdirSync(inFolder()).sort()).toEqual([...NAMES, INDEX]);
    expect(JSON.parse(readFileSync(inFolder(INDEX), 'utf8'))).toEqual({
      metadata: { total_size: 6 },
      weight_map: { a: NAMES[0], b: NAMES[0], c: NAMES[1] },
    });
  });

  it('may be named like what every object has', () => {
    for (const maxShardBytes of [4, 100]) {
      for (const name of readdirSync(inFolder())) rmSync(inFolder(name));
      const names = ['__proto__', 'constructor', 'toString'];
      writeWeightFiles(
        inFolder(),
        names.map((name, i) => tensor(name, i)),
        { dtype: 'F32', maxShardBytes },
      );
      const files = openWeightFiles(inFolder());
      expect([...files.entries.keys()].sort()).toEqual(names.sort());
      expect([...files.read('__proto__')]).toEqual([0]);
      expect(() => files.read('hasOwnProperty')).toThrow(CheckpointError);
      files.close();
      expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    }
  });
});

describe('an index', () => {
  it('that is none is refused', async () => {
    index('{"weight_map": ');
    expect((await problems())[0]).toMatch(
      /^model\.safetensors\.index\.json: is not JSON \(.+\)\. Copy it again, or take another revision\.$/,
    );
    for (const content of [
      'null',
      '3',
      {},
      { weight_map: null },
      { weight_map: [] },
      { weight_map: {} },
      { weight_map: 'x' },
    ]) {
      index(content);
      expect(await problems()).toEqual([
        `${INDEX}: expected a weight_map of tensor names to file names. Copy it again, or take another revision.`,
      ]);
    }
  });

  it.each([
    ...['../x.safetensors', '..', '/etc/x.safetensors', 'sub/x.safetensors', 'a\\x.safetensors', 'C:x.safetensors'],
    ...[
      'x\0.safetensors',
      'x.safetensors\0',
      '.x.safetensors',
      'x.bin',
      'x.safetensors\n',
      '',
      7,
      null,
      ['x.safetensors'],
      {},
    ],
  ])('with the shard name %j is refused', async (name) => {
    shard(NAMES[0], tensor('a', 1));
    map(['a', NAMES[0]], ['b', name]);
    expect(await problems()).toEqual([
      `${INDEX}: ${JSON.stringify(name)} is no name of a safetensors file in this folder. Do not trust this folder.`,
    ]);
  });

  it('of which shards are missing names all of them', async () => {
    map(['a', NAMES[0]], ['b', NAMES[1]], ['c', NAMES[1]]);
    expect(await problems()).toEqual(
      NAMES.map((name) => `${INDEX}: ${name} is missing in the folder; expected every shard. Copy it there.`),
    );
  });

  it('must agree with its shards: a tensor that is not there, in another, in two, or unlisted', async () => {
    inOrder();
    map(['a', NAMES[0]], ['b', NAMES[0]], ['d', NAMES[1]]);
    shard(NAMES[1], tensor('a', 9), tensor('b', 2), tensor('c', 3));
    expect(await problems()).toEqual([
      `${INDEX}: says that "b" is in ${NAMES[0]}, which does not hold it.`,
      `${INDEX}: says that "d" is in ${NAMES[1]}, which does not hold it.`,
      ...['a', 'b', 'c'].map(
        (name) => `${INDEX}: ${NAMES[1]} holds "${name}", which the index has elsewhere or not at all.`,
      ),
      again,
    ]);
  });

  it('of damaged shards says so of each', async () => {
    inOrder();
    for (const name of NAMES) writeFileSync(inFolder(name), 'abc');
    const end = 'The file is damaged or was cut short: copy or make it again.';
    expect(await problems()).toEqual(
      NAMES.map((name) => `${name}: expected a safetensors file, received 3 bytes. ${end}`),
    );
  });
});

describe('a link', () => {
  const build = (target: string, ...folder: string[]): string => {
    mkdirSync(inFolder(...folder), { recursive: true });
    mkdirSync(inFolder('blobs'), { recursive: true });
    shard('blobs/0123', tensor('a', 1));
    symlinkSync(target, inFolder(...folder, NAMES[0]));
    map(['a', NAMES[0]]);
    copyFileSync(inFolder(INDEX), inFolder(...folder, INDEX));
    return inFolder(...folder);
  };

  it('of the Hub’s cache, or to a file beside it, is followed', () => {
    const cached = openWeightFiles(build('../../blobs/0123', 'snapshots', 'abc'));
    expect([...cached.read('a')]).toEqual([1]);
    cached.close();
    const folder = build('x', 'other');
    copyFileSync(inFolder('blobs', '0123'), inFolder('other', 'x'));
    openWeightFiles(folder).close();
  });

  it.each([
    ['another folder', '../secret', 'model'],
    ['another folder named blobs', '../blobs/0123', 'model'],
    ['the cache from a folder that is not in it', '../../blobs/0123', 'other/abc'],
    ['beneath the cache', '../../blobs/deep/0123', 'snapshots/abc'],
  ])('to %s is refused', async (_, target, where) => {
    mkdirSync(inFolder('blobs', 'deep'), { recursive: true });
    shard('secret', tensor('a', 1));
    shard('blobs/deep/0123', tensor('a', 1));
    const folder = build(target, ...where.split('/'));
    expect(await problemsOf(() => openWeightFiles(folder), folder)).toEqual([
      `${INDEX}: ${NAMES[0]} is a link out of the folder. Put the file itself there.`,
    ]);
  });

  it('in place of the one file is followed and refused by the same rule', async () => {
    const single = (folder: string, target: string): string => {
      mkdirSync(inFolder(folder), { recursive: true });
      mkdirSync(inFolder('blobs'), { recursive: true });
      shard('blobs/0123', tensor('a', 1));
      symlinkSync(target, inFolder(folder, 'model.safetensors'));
      return inFolder(folder);
    };
    openWeightFiles(single('snapshots/abc', '../../blobs/0123')).close();
    const folder = single('model', '../blobs/0123');
    expect(await problemsOf(() => openWeightFiles(folder), folder)).toEqual([
      'model.safetensors: is a link out of the folder. Put the file itself there.',
    ]);
  });

  it('to nothing, or to itself, is a missing file', async () => {
    for (const target of ['nothing', NAMES[0]]) {
      const folder = build(target, `to-${target}`);
      expect(await problemsOf(() => openWeightFiles(folder), folder)).toEqual([
        `${INDEX}: ${NAMES[0]} is missing in the folder; expected every shard. Copy it there.`,
      ]);
    }
  });
});

describe('a folder without safetensors', () => {
  it.each(['pytorch_model.bin', 'pytorch_model.bin.index.json'])('but %s says how to convert', async (name) => {
    writeFileSync(inFolder(name), 'a pickle');
    expect(await problems()).toEqual([
      `${inFolder()}: has its weights as ${name} only. Such files can run code when they are read, so they are not read here: ` +
        'save the model as safetensors with transformers (from_pretrained, then save_pretrained), or take a revision that has it.',
    ]);
  });
});

describe('whatever the bytes', () => {
  /** Reads or refuses; anything else is a bug. */
  function readOrRefuse(): void {
    try {
      readAll();
    } catch (error) {
      expect(error).toBeInstanceOf(CheckpointError);
    }
  }

  it('of an index, the folder is read or refused', () => {
    inOrder();
    const text = readFileSync(inFolder(INDEX), 'utf8');
    const edit = fc.record({
      at: fc.nat(text.length),
      cut: fc.nat(9),
      put: fc.string({ maxLength: 6, unit: 'binary' }),
    });
    const file = fc.oneof(fc.constantFrom<unknown>(...NAMES), fc.string(), fc.jsonValue());
    const name = fc.oneof(fc.constantFrom('a', 'b', 'c', '__proto__'), fc.string());
    const edited = fc
      .array(edit, { maxLength: 3 })
      .map((edits) => edits.reduce((now, { at, cut, put }) => now.slice(0, at) + put + now.slice(at + cut), text));
    const made = fc.dictionary(name, file).map((weights) => JSON.stringify({ weight_map: weights }));
    fc.assert(
      fc.property(fc.oneof(edited, made), (content) => {
        writeFileSync(inFolder(INDEX), content);
        readOrRefuse();
      }),
      { seed: 1, numRuns: 600 },
    );
  });

  it('of a shard, the folder is read or refused', () => {
    inOrder();
    const whole = readFileSync(inFolder(NAMES[1]));
    const flip = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(flip, { maxLength: 4 }), fc.nat(whole.length), (flips, length) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of flips) bytes[at] = value;
        writeFileSync(inFolder(NAMES[1]), bytes.subarray(0, length % 3 === 0 ? length : whole.length));
        readOrRefuse();
      }),
      { seed: 1, numRuns: 600 },
    );
  });
});
