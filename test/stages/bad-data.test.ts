/** Data and templates that cannot be used: each with its whole message, and before any step is made. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { PreferenceRow } from '../../src/examples/pair-table.ts';
import { writePreferences } from '../../src/examples/pair-table.ts';
import { runStage } from '../../src/run/stage.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { int32List, utf8 } from '../../src/tables/columns.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { pretrain } from '../../stages/0-pretrain.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { reward } from '../../stages/2-reward.ts';
import { preferences } from '../../stages/preferences.ts';
import { refusal } from '../helpers/refusals.ts';
import { instructConfig, preferencesConfig, pretrainConfig, rewardConfig } from '../helpers/tiny-configs.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { copyWorld, makeTinyWorld, tinyPairs, writeTokenizer } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let lane: Lane;
let world: TinyWorld;
let tokenizer: Tokenizer;
beforeAll(async () => {
  lane = await useLane();
  world = await makeTinyWorld(path('world'));
  tokenizer = loadTokenizer(world.tokenizer);
});

let count = 0;
/** A new name for each spoilt copy or run. */
const fresh = (name: string): string => {
  count += 1;
  return path(`${name}-${count}`);
};
/** A copy of the world with one file changed. Its name in messages is "w". */
function spoil(file: string, change: (text: string) => string): TinyWorld {
  rmSync(path('w'), { recursive: true, force: true });
  const spoilt = copyWorld(world, path('w'));
  writeFileSync(join(spoilt.path, file), change(readFileSync(join(spoilt.path, file), 'utf8')));
  return spoilt;
}

const refuseReward = (changes: object): Promise<string[]> =>
  refusal(reward, rewardConfig(world, world.base, fresh('run'), { ...changes }), path(), lane);
const refuseInstruct = (of: TinyWorld, changes = {}): Promise<string[]> =>
  refusal(instruct, instructConfig(of, fresh('run'), changes), path(), lane);

describe('preference pairs', () => {
  const writtenBy = 'node --import tsx stages/preferences.ts or npm run import';
  const written = async (rows: readonly PreferenceRow[], of = tokenizer): Promise<string> => {
    await writePreferences(path('pairs.arrow'), rows, of);
    return path('pairs.arrow');
  };

  it('that are missing', async () => {
    expect(await refuseReward({ pairs: path('none.arrow') })).toEqual([
      'none.arrow: there is no such file or folder; expected preference pairs. Correct the path.',
    ]);
  });

  it('that are cut off', async () => {
    copyFileSync(world.pairs, path('cut.arrow'));
    truncateSync(path('cut.arrow'), 3000);
    expect(await refuseReward({ heldOut: path('cut.arrow') })).toEqual([
      `cut.arrow: the file is cut off; expected it to end with ARROW1, received 3000 bytes that do not. Run ${writtenBy}.`,
    ]);
  });

  it('with other columns', async () => {
    const columns = { prompt: utf8('A prompt.'), chosen: utf8('A response.') };
    await writeTable(path('columns.arrow'), columns, [{ prompt: 'a', chosen: 'b' }], {});
    expect(await refuseReward({ pairs: path('columns.arrow') })).toEqual([
      `columns.arrow: column "rejected" is missing; expected utf8, found the columns prompt, chosen. Run ${writtenBy}.`,
    ]);
    const some = { ...columns, chosen_ids: int32List('Ids of the chosen one.') };
    await writeTable(path('columns.arrow'), some, [{ prompt: 'a', chosen: 'b', chosen_ids: Int32Array.of(1) }], {});
    const missing = [
      ['rejected', 'utf8'],
      ['rejected_ids', 'list<int32>'],
      ['prompt_length', 'int32'],
    ];
    expect(await refuseReward({ pairs: path('columns.arrow') })).toEqual(
      missing.map(
        ([name, kind]) =>
          `columns.arrow: column "${name}" is missing; expected ${kind}, found the columns prompt, chosen, chosen_ids. Run ${writtenBy}.`,
      ),
    );
  });

  it('made with another tokenizer', async () => {
    mkdirSync(path('other tokenizer'));
    const other = writeTokenizer(path('other tokenizer'), ['a few other words'], 300);
    expect(await refuseReward({ pairs: await written(tinyPairs(world, other), other) })).toEqual([
      `pairs.arrow: made with another tokenizer; expected ${tokenizer.hash}, received ${other.hash}. ` +
        `Run ${writtenBy} with this tokenizer, or use the tokenizer it was made with.`,
    ]);
  });

  it('of which none are there', async () => {
    expect(await refuseReward({ heldOut: await written([]) })).toEqual([
      `pairs.arrow: no pairs; expected at least one. Run ${writtenBy}.`,
    ]);
  });

  it('that are too long, without a response, or the same twice: all are named', async () => {
    const [first, second, third] = tinyPairs(world, tokenizer) as [PreferenceRow, PreferenceRow, PreferenceRow];
    const long = Int32Array.of(...first.chosen_ids, ...new Int32Array(200).fill(5));
    const rows = [
      { ...first, chosen_ids: long },
      { ...second, rejected_ids: second.rejected_ids.subarray(0, second.prompt_length) },
      { ...third, chosen_ids: third.rejected_ids },
    ];
    const prompt = second.prompt_length;
    expect(await refuseReward({ pairs: await written(rows) })).toEqual([
      `pairs.arrow: row 0: chosen_ids: too long; expected at most 144 tokens (the model's context), received ${long.length}. Mend or remove the row, or set sequence.overlong to left or drop.`,
      `pairs.arrow: row 1: rejected_ids: no response; expected more than ${prompt} tokens, received ${prompt}. Mend or remove the row.`,
      'pairs.arrow: row 2: chosen and rejected are the same; expected two different responses. Mend or remove the row.',
    ]);
  });
});

describe('task rows', () => {
  it('without a target, or with one that is not among the options: all are named', async () => {
    const spoilt = spoil('seed/review_sentiment.jsonl', (text) => {
      const lines = text.split('\n');
      for (const [index, answer] of [
        [2, ''],
        [4, 'so-so'],
      ] as const) {
        lines[index] = lines[index]!.replace(/"sentiment":"\w+"/, `"sentiment":"${answer}"`);
      }
      return lines.join('\n');
    });
    expect(await refuseInstruct(spoilt)).toEqual([
      'w/seed/review_sentiment.jsonl:3: field "sentiment": empty; expected text to learn from. Mend the row, or name its split in prompt_only of w/templates/review_sentiment.yaml.',
      'w/seed/review_sentiment.jsonl:5: answer "so-so" is not among the options; expected one of positive, negative. Mend the row.',
    ]);
  });

  it('that are missing, or of a task that does not exist', async () => {
    const spoilt = spoil('seed/cheaper.jsonl', (text) => text);
    rmSync(join(spoilt.tables, 'cheaper.jsonl'));
    expect(await refuseInstruct(spoilt)).toEqual([
      'w/seed/cheaper.jsonl: the file is missing; expected a JSONL file. Run node --import tsx scripts/build-seed.ts or npm run import.',
    ]);
    expect(await refuseInstruct(world, { data: { tasks: ['cheeper'] } })).toEqual([
      'world/templates: no task "cheeper". Did you mean cheaper?',
    ]);
  });

  it('that are longer than a packed row, unless they are to be dropped', async () => {
    const [first = '', ...others] = await refuseInstruct(world, { sequence: { length: 24 } });
    expect(first).toMatch(
      /^world\/seed\/\w+\.jsonl:\d+: the example is too long; expected at most 24 tokens, received \d+ of prompt and \d+ of target and EOS\. Raise the sequence length, shorten the row, or choose overlong: drop\.$/,
    );
    expect(others.length).toBeLessThanOrEqual(20);
    const dropping = { sequence: { length: 60, overlong: 'drop' }, training: { epochs: 0.1 } };
    const { examples } = await runStage(instruct, instructConfig(world, fresh('run'), dropping), { lane, quiet: true });
    expect(examples).toBeLessThan(24);
  });
});

describe('templates', () => {
  it('that name a field the rows do not have', async () => {
    const spoilt = spoil('templates/cheaper.yaml', (text) => text.replace('{first}', '{frist}'));
    expect(await refuseInstruct(spoilt)).toMatchInlineSnapshot(`
      [
        "w/templates/cheaper.yaml:13:12 template "plain", input: unknown placeholder {frist}. Did you mean first?",
      ]
    `);
  });

  it('of which none are there', async () => {
    const spoilt = spoil('templates/chat.yaml', (text) => text);
    rmSync(spoilt.templates, { recursive: true });
    expect(await refuseInstruct(spoilt)).toMatchInlineSnapshot(`
      [
        "templates w/templates: there is no such file or folder. Correct the path.",
      ]
    `);
  });
});

describe('prompts', () => {
  it('that leave no room for a response: all are named', async () => {
    const model = path('world/base');
    const changes = { sampling: { maxNewTokens: 130 } };
    const found = await refusal(preferences, preferencesConfig(world, model, fresh('run'), changes), path(), lane);
    expect(found).toHaveLength(8);
    for (const problem of found) {
      expect(problem).toMatch(
        /^world\/seed\/chat\.jsonl:\d+: the prompt has \d+ tokens and the context leaves 14 beside the response\. Lower sampling\.maxNewTokens or use a model with a longer context\.$/,
      );
    }
  });

  it('of a split that has none, without the words of the world, or of an unknown kind', async () => {
    const refuse = (of: TinyWorld, changes = {}): Promise<string[]> =>
      refusal(preferences, preferencesConfig(of, of.base, fresh('run'), changes), path(), lane);
    expect(await refuse(world, { prompts: { split: 'rewards' } })).toEqual([
      'world/seed/chat.jsonl: no rows of split "rewards"; expected prompts.',
    ]);
    const kinds = spoil('seed/chat.jsonl', (text) => text.replace(/"answer_kind":"\w+"/g, '"answer_kind":"wether"'));
    const [first = ''] = await refuse(kinds);
    expect(first).toMatch(
      /^w\/seed\/chat\.jsonl:\d+: answer_kind: expected one of \w+(, \w+)+, received "wether"\. Mend the row\.$/,
    );
    const words = spoil('seed/chat.jsonl', (text) => text);
    rmSync(join(words.tables, 'lexicon.json'));
    expect(await refuse(words)).toEqual([
      'w/seed/lexicon.json: there is no such file; expected the words of the world. Run node --import tsx scripts/build-seed.ts.',
    ]);
  });
});

describe('a corpus', () => {
  it('that is missing or has lines that are no documents', async () => {
    const refuse = (corpus: string): Promise<string[]> =>
      refusal(pretrain, pretrainConfig(world, fresh('run'), { corpus }), path(), lane);
    expect(await refuse(path('none.jsonl'))).toEqual([
      'corpus none.jsonl: there is no such file or folder. Correct the path.',
    ]);
    writeFileSync(path('bad.jsonl'), '{"id": "a", "text": "b"}\n[1]\n{"id": \n');
    const found = await refuse(path('bad.jsonl'));
    expect(found[0]).toBe('bad.jsonl:2: not an object; expected {"name": value, …}, received [1]. Mend the line.');
    // Node's own words stand between the brackets.
    expect(found[1]).toMatch(/^bad\.jsonl:3: not JSON \(.+\); expected one object on the line\. Mend the line\.$/);
    writeFileSync(path('bad.jsonl'), '{"id": "a", "text": " "}\n');
    expect(await refuse(path('bad.jsonl'))).toEqual([
      'bad.jsonl:1: no "text"; expected a document. Mend or remove the line.',
    ]);
  });
});

describe('a tokenizer', () => {
  it('with more tokens than the model has rows', async () => {
    const spoilt = spoil('base/tokenizer.json', (text) => text);
    writeTokenizer(spoilt.base, [readFileSync(world.corpus, 'utf8')], 500);
    expect(await refuseInstruct(spoilt)).toEqual([
      'base model w/base: the tokenizer has 500 tokens and the embedding 448 rows; expected no more tokens than rows. Use the tokenizer the model was trained with.',
    ]);
  });
});

it('the mended command runs in the folder of the one that was refused', async () => {
  const folder = fresh('run');
  const broken = rewardConfig(world, world.base, folder, { pairs: path('none.arrow') });
  expect(await refusal(reward, broken, path(), lane)).toHaveLength(1);
  const mended = rewardConfig(world, world.base, folder, { training: { epochs: 0.5 } });
  expect(await runStage(reward, mended, { lane, quiet: true })).toMatchObject({ steps: 1 });
});
