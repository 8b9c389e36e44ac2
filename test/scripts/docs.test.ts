import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ppoCurve } from '../../scripts/docs/curve.ts';
import { figures, figureTable } from '../../scripts/docs/figures.ts';
import { writtenDocuments } from '../../scripts/docs/write-documents.ts';

const measured = { commit: 'abc1234', date: '2026-01-02', machine: 'a machine', lane: 'cpu' };
const line = 'Commit `abc1234`, 2026-01-02, a machine, lane cpu.';

describe('the documents', () => {
  it('show the figures of docs/results as they are', () => {
    for (const [path, text] of writtenDocuments())
      expect(readFileSync(path, 'utf8'), `${path}: run npm run docs`).toBe(text);
  });

  it('give the mean and the deviation (n − 1) of the seeds', () => {
    // Gold after PPO: 0.857, 0.845, 0.867; by hand: mean 0.85633, squares 0.00024267, deviation √(0.00024267 / 2) = 0.01102.
    const gold = figures('.')
      .get('seeds/mean')
      ?.find((row) => row.startsWith('| gold'));
    expect(gold).toMatch(/ 0\.856 ± 0\.011 \|$/);
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
