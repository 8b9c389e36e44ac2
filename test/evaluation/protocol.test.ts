import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DataError } from '../../src/errors.ts';
import type { TaskAnswer } from '../../src/evaluation/answer-tasks.ts';
import type { AnswerSet, ProtocolResult, Seen } from '../../src/evaluation/protocol.ts';
import { protocolOf, readSeen, seenIn, summarise } from '../../src/evaluation/protocol.ts';
import type { TaskItem } from '../../src/evaluation/task-items.ts';
import { seededRandom } from '../../src/random.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { utf8 } from '../../src/tables/columns.ts';
import { taskItem } from './sample-item.ts';

const trained = [
  { task: 'mood', cluster: 'sentiment', template_id: 'plain' },
  { task: 'mood', cluster: 'sentiment', template_id: 'talk' },
  { task: 'trade', cluster: 'qa', template_id: 'plain' },
];
const seen: Seen = seenIn(trained);

describe('protocolOf', () => {
  it.each([
    ['seen_task', 'mood', 'sentiment', 'talk'],
    // "talk" was trained, but not for this task.
    ['unseen_template', 'trade', 'qa', 'talk'],
    ['unseen_dataset', 'review', 'sentiment', 'plain'],
    ['unseen_cluster', 'entails', 'entailment', 'plain'],
  ])('is %s for %s (%s) with template %s', (protocol, task, cluster, template) => {
    expect(protocolOf(seen, { task, cluster, template })).toBe(protocol);
    expect(protocolOf(undefined, { task, cluster, template })).toBe('unknown');
  });

  it('of a model that was trained on nothing is unseen_cluster', () => {
    expect(protocolOf(seenIn([]), { task: 'mood', cluster: 'sentiment', template: 'plain' })).toBe('unseen_cluster');
  });
});

describe('readSeen', () => {
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'seen-'));
    onTestFinished(() => rmSync(path, { recursive: true }));
    return path;
  };

  it('reads what a run trained from its instruct.arrow, and nothing from other folders', async () => {
    const run = folder();
    expect(readSeen(run)).toBeUndefined();
    expect(readSeen(join(run, 'missing'))).toBeUndefined();
    const columns = { task: utf8('a'), cluster: utf8('b'), template_id: utf8('c') };
    await writeTable(join(run, 'instruct.arrow'), columns, trained);
    expect(readSeen(run)).toEqual({
      clusters: new Set(['sentiment', 'qa']),
      tasks: new Set(['mood', 'trade']),
      templates: new Set(['mood/plain', 'mood/talk', 'trade/plain']),
    });
  });

  it('refuses a table of another make, naming what writes it', async () => {
    const run = folder();
    await writeTable(join(run, 'instruct.arrow'), { task: utf8('a') }, [{ task: 'mood' }]);
    expect(() => readSeen(run)).toThrow(DataError);
    expect(() => readSeen(run)).toThrow(/instruct\.arrow.*cluster.*node --import tsx stages\/1-instruct\.ts/s);
  });
});

const answer = (rowId: string, score: number, about: Partial<TaskItem> = {}): TaskAnswer => ({
  item: taskItem('q', 'a', { task: 'mood', cluster: 'sentiment', rowId, ...about }),
  ...{ prediction: '', score, correct: score === 1, scores: undefined, reasoning: '', votes: 1 },
});
const trade = { task: 'trade', cluster: 'qa' };
const bootstrap = { samples: 200, level: 0.95 };

function summary(answers: readonly TaskAnswer[], more: Partial<AnswerSet> = {}, base = answers): ProtocolResult[] {
  const set: AnswerSet = { model: 'instruct', shots: 0, answers, dev: [], ...more };
  const options = { seen, base: { model: 'base', shots: 0, answers: base, dev: [] }, bootstrap };
  return summarise(set, { ...options, random: seededRandom(1) });
}
const lines = (results: readonly ProtocolResult[]): unknown[] =>
  results.map(({ protocol, kind, task, cluster, questions, templates, mean }) => {
    return [protocol, kind, task, cluster, questions, templates, mean];
  });

describe('summarise', () => {
  it('tells protocols and kinds apart, each over all tasks and by task', () => {
    const chain = { kind: 'chain_of_thought' } as const;
    const answers = [
      answer('1', 0, { task: 'entails', cluster: 'entailment' }),
      answer('1', 1),
      answer('2', 0),
      answer('1', 0, { template: 'other' }),
      answer('2', 0, { template: 'other' }),
      answer('1', 1, chain),
      answer('1', 0.25, trade),
    ];
    expect(lines(summary(answers))).toEqual([
      ['seen_task', 'direct', 'all', '', 3, 2, 0.375],
      ['seen_task', 'direct', 'mood', 'sentiment', 2, 1, 0.5],
      ['seen_task', 'direct', 'trade', 'qa', 1, 1, 0.25],
      ['seen_task', 'chain_of_thought', 'all', '', 1, 1, 1],
      ['seen_task', 'chain_of_thought', 'mood', 'sentiment', 1, 1, 1],
      ['unseen_template', 'direct', 'all', '', 2, 1, 0],
      ['unseen_template', 'direct', 'mood', 'sentiment', 2, 1, 0],
      ['unseen_cluster', 'direct', 'all', '', 1, 1, 0],
      ['unseen_cluster', 'direct', 'entails', 'entailment', 1, 1, 0],
    ]);
    expect(summary([])).toEqual([]);
  });

  it('measures the gain over the base model question by question; the base has none', () => {
    const answers = [answer('1', 1), answer('2', 1), answer('3', 0), answer('4', 1)];
    const base = [answer('1', 0), answer('2', 1), answer('3', 0), answer('4', 0.5)];
    for (const result of summary(answers, {}, base)) {
      expect(result.mean).toBe(0.75);
      expect(result.gain!.mean).toBe(0.375);
      expect(result.gain!.low).toBeGreaterThanOrEqual(0);
      expect(result.gain!.high).toBeLessThanOrEqual(1);
    }
    for (const result of summary(base, { model: 'base' }, base)) expect(result.gain).toBeNull();
    // Another task in front: the questions of a task meet their own in the base's answers.
    const [all, other, mood] = summary([answer('1', 0.5, trade), ...answers], {}, [answer('1', 1, trade), ...base]);
    expect([all, other, mood].map((result) => result!.gain!.mean)).toEqual([-0.0625, -0.5, 0.375]);
    // The same difference on every question leaves no doubt, however much the questions differ.
    const up = base.map((own) => ({ ...own, score: own.score + 0.25 }));
    for (const { gain, low, high } of summary(up, {}, base)) {
      expect(gain).toEqual({ mean: 0.25, low: 0.25, high: 0.25 });
      expect(high).toBeGreaterThan(low);
    }
  });

  it('keeps the answers to a row together in its intervals, and rows of the same id in two tasks apart', () => {
    // Each row is right with one template and wrong with the other: no choice of rows changes the mean.
    const talk = { template: 'talk' };
    const balanced = ['1', '2', '3'].flatMap((row) => [answer(row, 1), answer(row, 0, talk)]);
    for (const { mean, low, high } of summary(balanced)) expect([mean, low, high]).toEqual([0.5, 0.5, 0.5]);
    const twoTasks = [answer('1', 1), answer('1', 0, trade)];
    const [all, mood, other] = summary(twoTasks);
    expect([all, mood, other].map((result) => [result!.mean, result!.low, result!.high])).toEqual([
      [0.5, 0.5, 0.5],
      [1, 1, 1],
      [0, 0, 0],
    ]);
  });

  it('gives the spread over the templates of a task', () => {
    const talk = { template: 'talk' };
    const answers = [answer('1', 1), answer('2', 0.5), answer('1', 0.25, talk), answer('2', 0.25, talk)];
    const [all, mood, alone] = summary([...answers, answer('1', 1, trade)]);
    // Means 0.75 and 0.25: half their distance times √2.
    expect(mood!.spread).toBeCloseTo(0.5 / Math.SQRT2, 12);
    expect([all!.spread, alone!.spread]).toEqual([null, null]);
  });

  it('scores the template that was best on validation rows, not the one that is best here', () => {
    const talk = { template: 'talk' };
    const answers = [answer('1', 0.25), answer('1', 1, talk), answer('1', 0.75, trade)];
    const dev = [answer('9', 1), answer('9', 0.5, talk), answer('8', 0, trade)];
    const best = (more: Partial<AnswerSet>): (number | null)[] => summary(answers, more).map((one) => one.bestOnDev);
    expect(best({ dev })).toEqual([0.5, 0.25, 0.75]);
    expect(best({ dev: [] })).toEqual([null, null, null]);
    // A task without validation rows has no best template, and does not count.
    expect(best({ dev: dev.slice(0, 2) })).toEqual([0.25, 0.25, null]);
    // The first of equals.
    expect(best({ dev: [answer('9', 1), answer('9', 1, talk)] })[1]).toBe(0.25);
    // A template at 0 is chosen where none is better.
    expect(best({ dev: [answer('9', 0, talk)] })[1]).toBe(1);
  });

  it('weighs every task alike and every question of a task alike, as counted by hand', () => {
    const scores = fc.array(fc.constantFrom(0, 0.5, 1), { minLength: 1, maxLength: 6 });
    const law = fc.property(scores, scores, (first, second) => {
      const answers = [...first.map((x, i) => answer(`${i}`, x)), ...second.map((x, i) => answer(`${i}`, x, trade))];
      const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
      const [all, ...own] = summary(answers);
      expect(own.map((result) => result.mean)).toEqual([mean(first), mean(second)]);
      expect(all!.mean).toBeCloseTo((mean(first) + mean(second)) / 2, 12);
      for (const { low, mean: middle, high } of [all!, ...own]) {
        expect(low).toBeLessThanOrEqual(middle + 1e-12);
        expect(high).toBeGreaterThanOrEqual(middle - 1e-12);
      }
    });
    fc.assert(law, { numRuns: 50, seed: 2 });
  });
});
