/** The generate command with models that know two answers by heart. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { chatCommand } from '../../scripts/chat.ts';
import { generateCommand } from '../../scripts/generate.ts';
import { showTable } from '../../scripts/show.ts';
import { disposeSpeakers, openSpeakers } from '../../scripts/use/speaker.ts';
import { inspectTable } from '../../src/tables/arrow-file.ts';
import { currentLane, tensorCount } from '../../src/tensor/lane.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import { writeRandomSpeaker, writeSpeaker } from '../helpers/tiny-speakers.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
beforeAll(async () => {
  await useLane();
  await writeSpeaker(path('left'), [{ prompt: 'sky', target: 'blue, not green' }]);
  await writeSpeaker(path('right'), [{ prompt: 'sky', target: 'grey\ntoday' }]);
  writeRandomSpeaker(path('random'));
  writeRandomSpeaker(path('judge'), 'score');
});

/** What the command prints. */
async function ask(argv: readonly string[], terminal = false) {
  const texts: string[] = [];
  const notes: string[] = [];
  await generateCommand([...argv, '--backend', currentLane()], {
    write: (text) => texts.push(text),
    note: (line) => notes.push(line.replaceAll(`${path('')}/`, '')),
    terminal,
    width: 43,
  });
  return { text: texts.join('').replaceAll(`${path('')}/`, ''), texts, notes };
}
const greedy = ['--prompt', 'sky', '--temperature', '0', '--max-new-tokens', '24'];
const problems = (...argv: string[]) => problemsOf(() => ask(argv), path());

describe('generate', () => {
  it('writes the answer as it comes, and says why it ended and how fast it was', async () => {
    const { text, texts, notes } = await ask([path('left'), ...greedy]);
    expect(text).toBe('blue, not green\n');
    expect(texts.length).toBeGreaterThan(10);
    expect(notes[0]).toMatch(/^lane /);
    expect(notes[1]).toMatch(/^17 tokens in \d+\.\d\d s, \d+ tokens\/s; ended by itself$/);
  });

  it('keeps its weights apart, as nothing is trained: one flat tensor would be split at every token', async () => {
    const speakers = await openSpeakers([path('left')], { backend: currentLane(), say: () => undefined, usage: '' });
    const [{ parameters }] = speakers.map(({ model }) => model) as [(typeof speakers)[number]['model']];
    expect(parameters.layout.total).toBe(0);
    expect(Object.keys(parameters.frozen)).toContain('embedding.tokens');
    disposeSpeakers(speakers);
  });

  it('stops at texts and at the limit', async () => {
    const stopped = await ask([path('right'), ...greedy, '--stop', '\\n']);
    expect(stopped.text).toBe('grey\n');
    expect(stopped.notes[1]).toMatch(/; stopped at "\\n"$/);
    const cut = await ask([path('left'), '--prompt', 'sky', '--temperature', '0', '--max-new-tokens', '5']);
    expect(cut.text).toBe('blue\n');
    expect(cut.notes[1]).toMatch(/; stopped at the limit of 5 tokens$/);
  });

  it('draws several samples with a seed', async () => {
    const drawn = (seed: string) =>
      ask([path('random'), '--prompt', 'x', '--samples', '2', '--max-new-tokens', '6', '--seed', seed]);
    const { text, notes } = await drawn('1');
    expect(text).toMatch(/^── 1 of 2\n.*\n\n── 2 of 2\n.*\n$/s);
    expect(notes[1]).toMatch(/^\d+ tokens in /);
    expect((await drawn('1')).text).toBe(text);
    expect((await drawn('2')).text).not.toBe(text);
  });

  it('sets two checkpoints side by side on a terminal, and below each other elsewhere', async () => {
    const both = [path('left'), path('right'), ...greedy];
    const { text, notes } = await ask(both, true);
    expect(text).toMatch(/^…\S*left │ …\S*right\n/);
    expect(text.split('\n').slice(2)).toEqual(['blue, not green      │ grey', '                     │ today', '']);
    expect(notes.slice(1).map((line) => line.split(':')[0])).toEqual(['left', 'right']);
    expect((await ask(both)).text).toBe('[left]\nblue, not green\n[right]\ngrey\ntoday\n');
    const several = await ask([...both, '--samples', '2'], true);
    expect(several.text.match(/── \d of 2\n/g)).toHaveLength(2);
    expect(several.text.match(/blue, not green {6}│ grey\n/g)).toHaveLength(2);
  });

  it('writes a line of JSON an answer', async () => {
    const { text } = await ask([path('left'), path('right'), ...greedy, '--json', '--samples', '2', '--stop', 'y']);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ checkpoint, sample }) => [checkpoint, sample])).toEqual([
      ...[
        ['left', 0],
        ['left', 1],
        ['right', 0],
        ['right', 1],
      ],
    ]);
    expect(lines[0]).toMatchObject({ prompt: 'sky', seed: 1, text: 'blue, not green', reason: 'end', tokens: 17 });
    expect(lines[2]).toMatchObject({ text: 'gre', reason: 'stop', stop: 'y' });
    expect(lines[0]?.log_prob).toBeLessThan(0);
  });

  it('goes on with a raw text, after BOS where the model knows it', async () => {
    // What stands behind the prompt in training: a line break, and the space of the answer.
    const { text } = await ask([path('left'), '--raw', ...greedy.map((word) => (word === 'sky' ? 'sky\n' : word))]);
    expect(text).toBe(' blue, not green\n');
  });

  it('reads the prompt from a file, without its byte-order mark and its last line break', async () => {
    writeFileSync(path('prompt.txt'), '\uFEFFsky\n');
    const { text } = await ask([path('left'), '--prompt-file', path('prompt.txt'), '--temperature', '0']);
    expect(text).toBe('blue, not green\n');
  });

  describe('of a file of rows', () => {
    const says = (role: string, content: string) => ({ role, content });
    const earlier = [says('user', 'sky'), says('assistant', 'blue, not green')];
    const rows = [
      { messages: [says('system', 'x'), says('user', 'sky')] },
      { messages: [...earlier, says('user', 'sky')] },
      { messages: [...earlier, says('user', 'sky'), says('assistant', 'gone')] },
      { messages: [...earlier, says('user', '')] },
      { messages: [says('user', 'x'.repeat(60))] },
    ];
    const few = ['--temperature', '0', '--max-new-tokens', '12'];
    const write = (name: string, own: readonly object[]): string => {
      writeFileSync(path(name), own.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return path(name);
    };
    const file = () => write('rows.jsonl', rows);

    it('answers each conversation as chat does, shows it, and names the rows that are left out', async () => {
      const { text, notes } = await ask([path('left'), '--prompt-file', file(), ...few]);
      const [first] = (await ask([path('left'), '--prompt', 'sky', '--system', 'x', ...few])).text.split('\n');
      const output = new PassThrough();
      await chatCommand([path('left'), ...few.slice(0, 3), '24', '--backend', currentLane()], {
        input: Readable.from(['sky\nsky\n']),
        output,
        terminal: false,
        note: () => undefined,
      });
      const [known, second = ''] = String(output.read()).split('\n');
      expect(known).toBe('blue, not green');
      expect(text).toBe(
        `── rows-1\nsystem\n  x\nuser\n  sky\nassistant\n  ${first}\n\n` +
          `── rows-2\nuser\n  sky\nassistant\n  blue, not green\nuser\n  sky\nassistant\n  ${second.slice(0, 11)}\n`,
      );
      expect(notes.slice(1)).toEqual([
        'prompts  rows.jsonl: taken for conversations (messages); train 4 rows',
        '  left out 1 of 5 rows:  empty text 1 (rows.jsonl:4)',
        '  not as they stood:  ends with an answer: it is left out, and what stands before it is the prompt 1 (rows.jsonl:3)',
        '  the same prompt again, kept once  1 (rows.jsonl:3)',
        '  left out: 1 of 3 rows do not fit the model, first rows.jsonl:5: the prompt has 62 tokens; expected at most 52, so that an answer fits the context',
        expect.stringMatching(/^21 tokens in /),
      ]);
    });

    it('writes a table and lines of JSON that hold the conversations with their answers', async () => {
      const to = path('answers.arrow');
      const argv = [path('left'), path('right'), '--prompt-file', file(), '--samples', '2', '--to', to, ...few];
      const lines = (await ask([...argv, '--json'])).text.trimEnd().split('\n');
      const said = lines.map((line) => JSON.parse(line) as Record<string, string>);
      const { rowCount, row, columns, metadata } = inspectTable(to);
      expect(columns.map(({ name }) => name).join(' ')).toBe(
        'id checkpoint sample messages tools response reason length log_prob',
      );
      const found = Array.from({ length: rowCount }, (_, i) => row(i));
      expect(found.map(({ id, checkpoint, sample }) => [id, String(checkpoint).replace(/.*\//, ''), sample])).toEqual(
        ['left', 'right'].flatMap((name) => ['rows-1', 'rows-2'].flatMap((id) => [0, 1].map((i) => [id, name, i]))),
      );
      found.forEach(({ id, messages, response, reason, length }, i) => {
        const { id: sameId, text, prompt, messages: spoken } = said[i] as Record<string, string> & { messages: never };
        expect([id, response]).toEqual([sameId, text]);
        const own = (messages as Record<string, unknown>[]).map(({ role, content }) => ({ role, content }));
        expect(own).toEqual([...rows[id === 'rows-1' ? 0 : 1]!.messages, says('assistant', text!)]);
        expect(own).toEqual(spoken);
        expect(prompt).toBe(id === 'rows-1' ? 'x\n\nsky' : 'sky\n blue, not green\nsky');
        expect(reason === 'length' ? 12 : length).toBe(length);
      });
      expect(JSON.parse(metadata.settings ?? '')).toMatchObject({ seed: 1, temperature: 0, maxNewTokens: 12 });
      expect(await problems(...argv)).toEqual([
        '--to answers.arrow: is there already; expected a new file. Choose another name.',
      ]);
    });

    it('writes conversations with tools that are shown, and asked again as they were', async () => {
      cpSync(path('left'), path('tooled'), { recursive: true });
      const config = path('tooled', 'tokenizer_config.json');
      const chat_template =
        "{% if tools %}{{ tools[0]['function']['name'] }}{% endif %}{% for m in messages %}{{ m['content'] }}<|eos|>{% endfor %}";
      writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template }));
      const tools = [{ type: 'function', function: { name: 'clock', parameters: {} } }];
      const own = write('tooled.jsonl', [{ messages: rows[0]!.messages, tools }, { messages: [says('user', 'sky')] }]);
      const to = path('tooled.arrow');
      const first = await ask([path('tooled'), '--prompt-file', own, '--to', to, ...few]);
      expect(showTable(to, { rows: 2, tokenizers: [], color: false })).toMatch(
        /messages\n {4}system\n {6}x\n {4}user\n {6}sky\n {4}assistant\n[\s\S]* {2}tools\n {4}clock {"name":"clock","parameters":{}}\n[\s\S]* {2}tools +null/,
      );
      const again = await ask([path('tooled'), '--prompt-file', to, '--to', path('again.arrow'), ...few]);
      expect(again.notes).toContain('prompts  tooled.arrow: taken for conversations (messages); train 2 rows');
      expect(again.text).toBe(first.text);
      const column = (file: string, name: string) => [0, 1].map((i) => inspectTable(path(file)).row(i)[name]);
      expect(column('tooled.arrow', 'tools')).toEqual([JSON.stringify(tools), null]);
      for (const name of ['messages', 'tools'])
        expect(column('again.arrow', name)).toEqual(column('tooled.arrow', name));
    });

    it('sets --system in front of prompts that have none, and labels several answers', async () => {
      const own = write('plain.jsonl', [{ messages: [says('user', 'sky')] }, rows[0]!]);
      const argv = [path('left'), path('right'), '--prompt-file', own, '--samples', '2', '--system', 'y', ...few];
      const { text, notes } = await ask(argv);
      expect(text.split('\n── ')[0]).toMatch(
        /^── plain-1\nsystem\n {2}y\nuser\n {2}sky\nassistant \(left, 1 of 2\)\n[\s\S]*assistant \(right, 2 of 2\)\n/,
      );
      expect(text).toContain('── plain-2\nsystem\n  x\n');
      expect(notes).toContain('  system text of its own, kept  1 (plain.jsonl:2)');
    });

    it('asks what both models can be asked, and says whose template refuses what', async () => {
      cpSync(path('right'), path('strict'), { recursive: true });
      const config = path('strict', 'tokenizer_config.json');
      const chat_template =
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system') }}{% endif %}" +
        "{% for m in messages %}{{ m['content'] }}<|eos|>{% endfor %}";
      writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template }));
      const own = write('both.jsonl', [rows[0]!, { messages: [says('user', 'sky')] }]);
      const { text, notes } = await ask([path('left'), path('strict'), '--prompt-file', own, ...few]);
      expect(text).toMatch(/^── both-2\nuser\n {2}sky\nassistant \(left\)\n {2}blue, not g\nassistant \(strict\)\n/);
      expect(notes.find((line) => line.startsWith('strict: '))).toMatch(
        /^strict: left out: 1 of 2 rows do not fit the model, first both.jsonl:1: chat_template: refuses a message of the system/,
      );
    });

    it('goes on with texts as they are', async () => {
      const own = write('raw.jsonl', [{ text: 'sky\n' }]);
      const to = path('raw.arrow');
      const { text } = await ask([path('left'), '--raw', '--prompt-file', own, '--to', to, ...greedy.slice(2)]);
      expect(text).toBe('── raw-1\nsky\n blue, not green\n');
      const { row, columns } = inspectTable(to);
      expect(columns.map(({ name }) => name).join(' ')).toBe(
        'id checkpoint sample prompt response reason length log_prob',
      );
      expect(row(0)).toMatchObject({ id: 'raw-1', prompt: 'sky\n', response: ' blue, not green' });
    });

    it('says what is wrong with it before anything is drawn', async () => {
      expect(await problems(path('left'), '--prompt-file', path('none.jsonl'))).toEqual([
        'none.jsonl: missing; expected a file or folder of data. Fetch it, or correct the path.',
      ]);
      expect(await problems(path('left'), '--prompt-file', path('none.txt'))).toEqual([
        '--prompt-file none.txt: there is no such file. Correct the path.',
      ]);
    });
  });

  it('lowers the limit to what fits, and says so', async () => {
    const { notes } = await ask([path('left'), '--prompt', 'x'.repeat(50)]);
    expect(notes[1]).toBe('left: only 12 new tokens fit behind 52 of prompt in a context of 64.');
  });

  it('frees every tensor', async () => {
    await ask([path('left'), ...greedy]);
    const before = tensorCount();
    await ask([path('left'), path('right'), ...greedy, '--samples', '3']);
    expect(tensorCount()).toBe(before);
  });

  it('shows its options', async () => {
    const { text } = await ask(['--help']);
    expect(text).toContain('Usage: npm run generate -- <checkpoint>');
    expect(text).toMatch(/--temperature <x> +Divides the logits/);
  });

  it('says what is wrong with what was typed', async () => {
    const usage = 'Usage: npm run generate -- <checkpoint> [<checkpoint 2>] --prompt "…" [options]';
    expect(await problems('--prompt', 'x')).toEqual([
      `expected one checkpoint, or two to compare, received none. ${usage}`,
    ]);
    expect(await problems('a', 'b', 'c', '--prompt', 'x')).toEqual([
      `expected one checkpoint, or two to compare, received 3 (a, b, c). ${usage}`,
    ]);
    expect(await problems(path('left'))).toEqual([
      `expected either --prompt or --prompt-file, received none. ${usage}`,
    ]);
    expect(await problems(path('left'), '--prompt', 'x', '--prompt-file', 'y')).toEqual([
      `expected either --prompt or --prompt-file, received both. ${usage}`,
    ]);
    expect(await problems(path('left'), '--prompt-file', path('none.txt'))).toEqual([
      '--prompt-file none.txt: there is no such file. Correct the path.',
    ]);
    expect(await problems(path('left'), '--promt', 'x')).toEqual([
      'argument "--promt": unknown option. Did you mean --prompt?',
    ]);
  });

  it('says what is wrong with checkpoints and prompts, all at once', async () => {
    mkdirSync(path('empty'));
    expect(await problems(path('none'), path('judge'), '--prompt', 'x')).toEqual([
      'checkpoint none: there is no such folder. Run the stage that makes it, or correct the path.',
      'checkpoint judge: is a reward model; expected a language model. Name another checkpoint.',
    ]);
    expect(await problems(path('empty'), '--prompt', 'x')).toEqual([
      expect.stringContaining('config.json, model.safetensors, tokenizer.json missing in'),
    ]);
    const long = 'x'.repeat(70);
    expect(await problems(path('left'), path('right'), '--prompt', long)).toEqual(
      ['left', 'right'].map(
        (name) =>
          `${name}: the prompt is too long; expected at most 63 tokens, as the context has 64, received 72. Shorten it.`,
      ),
    );
  });
});
