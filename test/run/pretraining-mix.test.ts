/** The examples that PPO mixes in: which table, what is refused, and their order. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CheckpointError, ConfigError, DataError } from '../../src/errors.ts';
import { writeInstruct } from '../../src/examples/instruction-table.ts';
import type { Manifest } from '../../src/run/manifest.ts';
import { openPretrainingMix, PretrainingMix } from '../../src/run/pretraining-mix.ts';
import { encodeTable } from '../../src/tables/arrow-file.ts';
import { int32List } from '../../src/tables/columns.ts';
import { instructRow } from '../helpers/instruct-row.ts';
import { byteTokenizer, trainedTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'mix-'));
afterAll(() => rmSync(folder, { recursive: true }));
const tokenizer = byteTokenizer();
const table = join(folder, 'instruct.arrow');
const plain = { path: 'a model', manifest: undefined };

/** Five examples of six tokens: of task a those that begin with 10, 11 and 12, of task b with 20 and 21. */
beforeAll(async () => {
  const rows = [10, 20, 11, 21, 12].map((first) => {
    const ids = Int32Array.of(first, 50, 51, 52, 53, 2);
    return { ...instructRow(ids, Int32Array.of(0, 0, 1, 1, 1, 1)), task: first < 20 ? 'a' : 'b' };
  });
  await writeInstruct(table, rows, tokenizer);
});

type Changes = Partial<ReturnType<typeof PretrainingMix.parse>>;
const open = (changes: Changes = {}, policy: Parameters<typeof openPretrainingMix>[1] = plain, context = 64) =>
  openPretrainingMix(
    PretrainingMix.parse({ examples: table, length: 8, rows: 2, ...changes }),
    policy,
    context,
    tokenizer,
  )!;

/** First tokens of the rows of some updates, and the table closed. */
function firsts(mix: ReturnType<typeof open>, from: Parameters<typeof mix.start>[0], updates: number): number[] {
  const rows = mix.start(from);
  const found = Array.from({ length: updates }, () => {
    const { ids, batch, seq } = rows.next();
    return Array.from({ length: batch }, (_, row) => ids[row * seq]!);
  });
  mix.close();
  return found.flat();
}

describe('openPretrainingMix', () => {
  it('gives every row once a pass, in an order by seed that a saved state goes on with', () => {
    const drawn = firsts(open(), 1, 5);
    expect(drawn.slice(0, 5).sort()).toEqual([10, 11, 12, 20, 21]);
    expect(drawn.slice(5).sort()).toEqual([10, 11, 12, 20, 21]);
    expect(firsts(open(), 1, 5)).toEqual(drawn);
    const others = [2, 3, 4].map((seed) => firsts(open(), seed, 5).join());
    expect(others.some((other) => other !== drawn.join())).toBe(true);
    const mix = open();
    const rows = mix.start(1);
    for (let update = 0; update < 3; update++) rows.next();
    const state = JSON.parse(JSON.stringify(rows.state()));
    mix.close();
    expect(firsts(open(), state, 2)).toEqual(drawn.slice(6));
  });

  it('keeps to tasks, rows and lengths that are asked for, and tells them', () => {
    expect(firsts(open({ tasks: ['b'], rows: 4 }), 1, 1).sort()).toEqual([20, 20, 21, 21]);
    const mix = open({ tasks: ['a'], length: 12, rows: 3, coefficient: 0.5 });
    expect(mix.lines).toEqual([`mix  3 examples of ${table} in 2 packed rows of 12 tokens; 3 an update, γ 0.5`]);
    expect(mix.start(1)).toMatchObject({ coefficient: 0.5 });
    mix.close();
  });

  it('takes the examples of the run that made the policy where none are named', () => {
    const outputs = [{ role: 'examples', path: 'instruct.arrow', hash: 'x', kind: 'instruction examples' }];
    const run = { path: folder, manifest: { outputs } as unknown as Manifest };
    const mix = open({ examples: null }, run);
    expect(mix.path).toBe(table);
    mix.close();
    expect(() => open({ examples: null })).toThrow(
      new CheckpointError(
        'pretrainingMix.examples: expected the instruct.arrow of a stage-1 run; policy a model has no instruction examples beside it. Name a table.',
      ),
    );
  });

  it('is nothing without a section', () => {
    expect(openPretrainingMix(undefined, plain, 64, tokenizer)).toBeUndefined();
  });

  it('refuses a table that is empty, of another tokenizer or missing, unknown tasks and rows of the wrong length', async () => {
    const empty = join(folder, 'empty.arrow');
    const ids = { input_ids: int32List('Ids.'), loss_mask: int32List('Mask.') };
    writeFileSync(empty, encodeTable(empty, ids, [], { tokenizer: tokenizer.hash }));
    expect(() => open({ examples: empty })).toThrow(/empty\.arrow: no examples; expected at least one/);
    expect(() =>
      openPretrainingMix(
        PretrainingMix.parse({ examples: table }),
        plain,
        512,
        trainedTokenizer(['the cat and the cat and the cat'], 270),
      ),
    ).toThrow(/instruct\.arrow: made with another tokenizer/);
    expect(() => open({ examples: join(folder, 'none.arrow') })).toThrow(DataError);
    expect(() => open({ tasks: ['a', 'c'] })).toThrow(
      new DataError(`pretrainingMix.tasks: ${table} has no examples of c; expected some of a, b.`),
    );
    expect(() => open({ length: 5 })).toThrow(
      new DataError(`${table}: row 0: expected at most 5 tokens, a packed row, received 6. Raise the length of rows.`),
    );
    expect(() => open({ length: 65 })).toThrow(
      new ConfigError('pretrainingMix.length: expected at most 64, which the policy reads; received 65.'),
    );
  });
});
