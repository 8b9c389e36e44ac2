import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ppoCurve } from '../../scripts/docs/curve.ts';
import { figures, figureTable } from '../../scripts/docs/figures.ts';
import { answerColumns, curveColumns, recordChain, recordSeeds } from '../../scripts/docs/record-chain.ts';
import { writtenDocuments } from '../../scripts/docs/write-documents.ts';
import { newManifest, writeManifest } from '../../src/run/manifest.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const measured = { commit: 'abc1234', date: '2026-01-02', machine: 'a machine', lane: 'cpu' };
const line = 'Commit `abc1234`, 2026-01-02, a machine, lane cpu.';

describe('the documents', () => {
  it('show the figures of docs/results as they are', () => {
    for (const [path, text] of writtenDocuments())
      expect(readFileSync(path, 'utf8'), `${path}: run npm run docs`).toBe(text);
  });

  it('give the mean and the deviation (n − 1) of the seeds', () => {
    // Gold after PPO: 0.87980, 0.85117, 0.90215, 0.93552, 0.85076; by hand: mean 0.88388, squares 0.00518387, deviation √(0.00518387 / 4) = 0.03600.
    const gold = figures('.')
      .get('seeds/mean')
      ?.find((row) => row.startsWith('| gold'));
    expect(gold).toMatch(/ 0\.884 ± 0\.036 \|$/);
  });
});

describe('a table of docs/results', () => {
  const columns = [
    { title: 'what', format: 'text' },
    { title: 'share', format: 'percent' },
    { title: 'tokens/s', format: 'integer' },
    { title: 'change', format: 'fixed2' },
  ];

  it('becomes Markdown with the place and time of its measurement', () => {
    expect(
      figureTable('here', {
        measured,
        columns,
        rows: [
          ['a', 0.5, 12345, -0.5],
          ['b', null, 1, 2],
        ],
      }),
    ).toEqual([
      '| what | share | tokens/s | change |',
      '| --- | ---: | ---: | ---: |',
      '| a | 50.0 % | 12,345 | −0.50 |',
      '| b |  | 1 | 2.00 |',
      '',
      line,
    ]);
  });

  it('is refused where a row does not fit its columns', () => {
    const table = (cells: (string | number | null)[]) => () =>
      figureTable('here', { measured, columns, rows: [cells] });
    expect(table(['a', 0.5])).toThrow('here: row 0 has 2 cells; expected 4');
    expect(table(['a', '50 %', 1, 1])).toThrow('here: row 0, "share": expected percent, received 50 %');
    const odd = [{ title: 'x', format: 'furlongs' }];
    expect(() => figureTable('here', { measured, columns: odd, rows: [] })).toThrow(
      'the format "furlongs"; expected one of text,',
    );
  });
});

it('the curve shows every point, and widens where points leave the axis', () => {
  const curve = [
    { step: 0, gold: 0.6, reward: 0, kl: 0 },
    { step: 10, gold: 0.9, reward: 3, kl: 5 },
  ];
  const svg = ppoCurve({ curve, measured });
  expect(svg.match(/<circle/g)).toHaveLength(4);
  // The lowest score 0 lies a seventh above the lower end −0.5 of an axis that reaches 3; the last point lies at its upper end.
  expect(svg).toContain('points="46,136.3 284,30"');
  expect(svg).toContain('Commit abc1234, 2026-01-02, a machine, lane cpu.');
});

describe('recordChain', () => {
  const inFolder = useTemporaryFolder();
  const answer = (model: string, prompt: string, gold: number) => ({ model, prompt, response: `${model} says`, gold });

  async function chain(gitCommit: string | null): Promise<string> {
    for (const stage of ['ppo', 'evaluate']) mkdirSync(inFolder(stage));
    const manifest = newManifest({ stage: 'ppo', seed: 3, lane: 'wasm', device: 'cpu', versions: {} });
    await writeManifest(inFolder('ppo'), { ...manifest, gitCommit, startedAt: '2026-01-02T03:04:05.000Z' });
    writeFileSync(inFolder('summary.json'), JSON.stringify({ lane: 'wasm', seed: 3, seconds: 12 }));
    const table = [
      '| stage | measure | before | after |',
      '|---|---|---|---|',
      '| 1 instruct | accuracy | 25.0 % | 50.0 % |',
    ];
    const lines = ['# Report', '', ...table, '|  | unseen |  | 37.5 % |', '', '| prompt |', '|---|'];
    writeFileSync(inFolder('report.md'), lines.join('\n'));
    const measure = { 'held_out/gold': 0.5, 'held_out/reward': 1, 'held_out/kl': 2 };
    const none = { 'held_out/gold': null, 'held_out/reward': null, 'held_out/kl': null };
    const rows = [
      { step: 0, ...measure },
      { step: 1, ...none },
    ];
    await writeTable(inFolder('ppo', 'metrics.arrow'), curveColumns, rows);
    const answers = [answer('base', 'Who?', 0), answer('ppo', 'Who?', 0.5), answer('ppo', 'Where?', 1)];
    await writeTable(inFolder('evaluate', 'answers.arrow'), answerColumns, answers);
    return inFolder();
  }

  it('takes the printed table, the held-out curve and the answers to one prompt', async () => {
    const recorded = recordChain(await chain('abc1234'), 'a machine', 'Who?');
    expect(recorded.measured).toEqual({ ...measured, lane: 'wasm', note: 'seed 3' });
    expect(recorded.curve).toEqual([{ step: 0, gold: 0.5, reward: 1, kl: 2 }]);
    expect(recorded.answers.map(({ model, gold }) => [model, gold])).toEqual([
      ['base', 0],
      ['ppo', 0.5],
    ]);
    expect(recorded.printed).toEqual([
      'stage       measure   before   after',
      '----------  --------  ------  ------',
      '1 instruct  accuracy  25.0 %  50.0 %',
      '            unseen            37.5 %',
    ]);
  });

  it('refuses a prompt that nobody was asked, and a run of no known commit', async () => {
    const folder = await chain('abc1234');
    expect(() => recordChain(folder, 'a machine', 'When?')).toThrow(
      'nobody answered "When?"; expected a prompt of answers.arrow, as Who? | Where?.',
    );
    const manifest = newManifest({ stage: 'ppo', seed: 3, lane: 'wasm', device: 'cpu', versions: {} });
    await writeManifest(inFolder('ppo'), { ...manifest, gitCommit: null });
    expect(() => recordChain(folder, 'a machine', 'Who?')).toThrow('its manifest names no commit');
  });

  it('takes the numbers of several seeds, all of one commit', async () => {
    const folder = await chain('abc1234');
    const recorded = recordChain(folder, 'a machine', 'Who?');
    const numbers = { instruct: { accuracy: 0.5 }, reward: { ece: 0.1 }, ppo: { winRate: 0.75 } };
    writeFileSync(
      inFolder('summary.json'),
      JSON.stringify({ lane: 'wasm', seed: 3, seconds: 12, table: [], ...numbers }),
    );
    expect(recordSeeds([folder, folder], recorded)).toEqual({
      measured: { ...measured, lane: 'wasm' },
      runs: [
        { lane: 'wasm', seed: 3, seconds: 12, ...numbers },
        { lane: 'wasm', seed: 3, seconds: 12, ...numbers },
      ],
    });
    const other = { ...recorded, measured: { ...recorded.measured, commit: 'def5678' } };
    expect(() => recordSeeds([folder], other)).toThrow('is of commit abc1234; expected def5678');
  });
});
