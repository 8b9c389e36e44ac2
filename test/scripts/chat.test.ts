/** The chat command with scripted input: lines of a pipe, and keys of a terminal. */
import { readFileSync, writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { chatCommand } from '../../scripts/chat.ts';
import { generateCommand } from '../../scripts/generate.ts';
import { openChat } from '../../scripts/use/chat-session.ts';
import { openSpeakers } from '../../scripts/use/speaker.ts';
import { parseMessages } from '../../src/import/messages.ts';
import { seededRandom } from '../../src/random.ts';
import { currentLane, tensorCount } from '../../src/tensor/lane.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import { writeRandomSpeaker, writeSpeaker } from '../helpers/tiny-speakers.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
beforeAll(async () => {
  await useLane();
  await writeSpeaker(path('left'), [
    { prompt: 'sky', target: 'blue' },
    { prompt: 'sea', target: 'deep' },
  ]);
  await writeSpeaker(path('right'), [{ prompt: 'sky', target: 'grey' }]);
  writeRandomSpeaker(path('random'));
});

const flags = (): string[] => ['--temperature', '0', '--max-new-tokens', '10', '--backend', currentLane()];

/** What a conversation prints when these lines come through a pipe. */
async function talk(lines: readonly string[], checkpoints = ['left'], more: readonly string[] = []): Promise<string[]> {
  const input = new PassThrough();
  const output = new PassThrough();
  input.end(lines.map((line) => `${line}\n`).join(''));
  const argv = [...checkpoints.map((name) => path(name)), ...flags(), ...more];
  await chatCommand(argv, { input, output, terminal: false, note: () => undefined });
  const text = String(output.read() ?? '');
  return text
    .replaceAll(`${path('')}/`, '')
    .split('\n')
    .slice(0, -1);
}

describe('chat through a pipe', () => {
  it('answers line by line, until the end of the input or /quit', async () => {
    expect(await talk(['sky', '', '/reset', 'sea'])).toEqual(['blue', '(the conversation is forgotten)', 'deep']);
    expect(await talk(['sky', '/quit', 'sky'])).toEqual(['blue']);
    expect(await talk([])).toEqual([]);
  });

  it('lets two checkpoints answer, each with a history of its own', async () => {
    expect(await talk(['sky', '/undo', 'sky'], ['left', 'right'])).toEqual([
      ...['[left] blue', '[right] grey', '(taken back: sky)', '[left] blue', '[right] grey'],
    ]);
  });

  it('remembers what was said', async () => {
    const first = await talk(['hello', 'hello'], ['random']);
    const forgotten = await talk(['hello', '/reset', 'hello'], ['random']);
    expect(forgotten[2]).toBe(first[0]);
    expect(first[1]).not.toBe(first[0]);
    const takenBack = await talk(['hello', 'other', '/undo', 'hello'], ['random']);
    expect(takenBack.at(-1)).toBe(first[1]);
  });

  it('goes on where a line cannot be said in the model’s template, and where the template rewrites earlier answers', async () => {
    writeRandomSpeaker(path('chatty'));
    const file = path('chatty/tokenizer_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as object;
    const template =
      "{% for m in messages %}{{ m['content'] if loop.last or m.role == 'user' else '-' }}<|eos|>{% endfor %}";
    writeFileSync(file, JSON.stringify({ ...config, chat_template: template }));
    const printed = await talk(['hello', 'what is <|eos|>?', 'hello', 'and now?'], ['chatty']);
    const notes = printed.filter((line) => line.startsWith('('));
    expect(notes).toEqual([
      '(chatty: message 3 (user) contains "<|eos|>", a special token of the tokenizer; expected plain text, as it would ' +
        'end or open a turn. Remove it, or write it otherwise. Or see /undo and /reset)',
    ]);
    expect(printed.length).toBeGreaterThanOrEqual(4);
  });

  it('saves conversations in the form that imports read', async () => {
    const file = path('saved.jsonl');
    const printed = await talk(['/save x', `/save`, 'sky', `/save ${file}`], ['left', 'right']);
    expect(printed).toEqual([
      '(there is nothing to save yet)',
      '(/save: expected a file name, such as /save chat.jsonl)',
      ...['[left] blue', '[right] grey', '(saved to saved.jsonl)'],
    ]);
    const rows = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { messages: unknown });
    const messages = rows.map((row) =>
      parseMessages('messages', row.messages, {
        ...{ role: 'role', content: 'content', accept: [], maximumField: 1000 },
        note: (what) => expect.unreachable(what),
      }),
    );
    expect(messages[1]).toMatchObject([
      { role: 'user', content: 'sky' },
      { role: 'assistant', content: 'grey' },
    ]);
    expect((await talk(['sky', `/save ${path('left/config.json/x.jsonl')}`])).at(-1)).toMatch(/^\(not saved: /);
  });

  it('lets the system speak in front: by flag or by command, from the next question on, and into what is saved', async () => {
    const [plain] = await talk(['hello'], ['random']);
    // The plain format: system text, blank line, question, line break.
    const raw: string[] = [];
    const text = ['--raw', '--prompt', 'Be brief.\n\nhello\n'];
    const output = { write: (piece: string) => raw.push(piece), note: () => undefined, terminal: false, width: 80 };
    await generateCommand([path('random'), ...text, ...flags()], output);
    const told = raw.join('').replace(/^ /, '').trimEnd();
    expect(told).not.toBe(plain);
    expect(await talk(['hello'], ['random'], ['--system', 'Be brief.'])).toEqual(told.split('\n'));
    const file = path('told.jsonl');
    const printed = await talk(
      ['/system', '/system Be  brief.', '/system', 'hello', `/save ${file}`, '/system ""', '/undo', 'hello'],
      ['random'],
    );
    expect(printed.slice(0, 3)).toEqual([
      '(there is no system text)',
      '(system, from the next question on: Be  brief.)',
      '(system: Be  brief.)',
    ]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      messages: [{ role: 'system', content: 'Be  brief.' }, { role: 'user', content: 'hello' }, { role: 'assistant' }],
    });
    expect(printed).toContain('(no system text from the next question on)');
    expect(printed.at(-1)).toBe(plain);
  });

  it('names the model whose template has no place for the system', async () => {
    // As Gemma 2's template begins.
    const refusing =
      "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
      "{% for m in messages %}{{ m['content'] }}<|eos|>{% endfor %}";
    const silent = "{% for m in messages %}{% if m.role != 'system' %}{{ m['content'] }}<|eos|>{% endif %}{% endfor %}";
    for (const [name, template] of [
      ['refusing', refusing],
      ['silent', silent],
    ] as const) {
      writeRandomSpeaker(path(name));
      const file = path(`${name}/tokenizer_config.json`);
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), chat_template: template }));
    }
    const remedy = "Take the system text out, or put it into the user's first message.";
    const expected = [
      `refusing: chat_template: refuses a message of the system (line 1: System role not supported); expected user and assistant alone. ${remedy}`,
      `silent: chat_template: leaves out what the system says, so that the model would never read it; expected a template that writes it. ${remedy}`,
    ];
    const asked = ['--system', 'Be brief.'];
    expect(await problemsOf(() => talk(['x'], ['refusing', 'silent'], asked), path())).toEqual(expected);
    const noOutput = { write: () => undefined, note: () => undefined, terminal: false, width: 80 };
    const argv = [path('refusing'), path('silent'), '--prompt', 'x', ...asked, ...flags()];
    expect(await problemsOf(() => generateCommand(argv, noOutput), path())).toEqual(expected);
    expect(await talk(['/system Be brief.', '/system'], ['left', 'refusing'])).toEqual([
      `(${expected[0]} The system text stays as it was)`,
      '(there is no system text)',
    ]);
  });

  it('changes the temperature', async () => {
    const warm = await talk(['/temperature 2', 'hello'], ['random']);
    expect(warm[0]).toBe('(temperature 2)');
    expect(warm[1]).not.toBe((await talk(['hello'], ['random']))[0]);
    expect(await talk(['/temperature hot', '/temperature', '/temperature -1'])).toEqual([
      '(/temperature: expected a number of at least 0, received "hot")',
      '(/temperature: expected a number of at least 0, received "")',
      '(/temperature: expected a number of at least 0, received "-1")',
    ]);
  });

  it('helps, and says which command may have been meant', async () => {
    expect(await talk(['/rest', '/xyzzyx', '/undo'])).toEqual([
      '(/rest: there is no such command. Did you mean /reset?)',
      '(/xyzzyx: there is no such command. See /help)',
      '(there is nothing to take back)',
    ]);
    expect((await talk(['/help'])).map((line) => line.trim().split(' ')[0])).toEqual([
      ...['/reset', '/undo', '/system', '/save', '/temperature', '/help', '/quit'],
    ]);
  });

  it('leaves out the oldest turns when the context is full, and says so', async () => {
    // 64 tokens of context: "hello", its line break, an answer of up to ten tokens and EOS are 17 a turn.
    const printed = await talk(
      Array.from({ length: 5 }, () => 'hello'),
      ['random'],
    );
    const notes = printed.filter((line) => line.startsWith('(random: the context'));
    const left = notes.map(
      (line) => /the context of 64 tokens is full: the oldest (turn is|\d turns are) left out\)$/.exec(line)?.[1],
    );
    expect(left.slice(0, 2)).toEqual(['turn is', '2 turns are']);
    const long = await talk(['x'.repeat(80), 'sky']);
    expect(long).toEqual(['(left: this is too long: 82 tokens, and the context has 64. Shorten it)', 'blue']);
  });

  it('frees every tensor', async () => {
    await talk(['sky']);
    const before = tensorCount();
    await talk(['sky', 'sea'], ['left', 'right']);
    expect(tensorCount()).toBe(before);
  });

  it('refuses what it does not know before it loads anything', async () => {
    expect(await problemsOf(() => talk([], ['left'], ['--temprature', '1']), path())).toEqual([
      'argument "--temprature": unknown option. Did you mean --temperature?',
    ]);
    expect(await problemsOf(() => talk([], []), path())).toEqual([
      expect.stringMatching(/^expected one checkpoint, or two to compare, received none\. Usage: npm run chat/),
    ]);
    expect(await problemsOf(() => talk([], ['none']), path())).toHaveLength(1);
    expect((await talk([], [], ['--help'])).join('\n')).toContain('Usage: npm run chat -- <checkpoint>');
  });
});

/** A terminal that types; `seen` waits for a text. */
function terminal() {
  const input = new PassThrough();
  const output = Object.assign(new PassThrough(), { columns: 43 });
  let text = '';
  output.on('data', (data: Buffer) => {
    text += data.toString();
  });
  const seen = async (wanted: string | RegExp): Promise<void> => {
    const isThere = () => (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text));
    for (let i = 0; i < 400 && !isThere(); i++) await sleep(5);
    expect(text).toMatch(wanted);
  };
  return { input, output, seen, text: () => text };
}

describe('chat on a terminal', () => {
  it('shows a prompt, streams the answer, and tells what it cost and how full the context is', async () => {
    const { input, output, seen } = terminal();
    const done = chatCommand([path('left'), ...flags()], { input, output, terminal: true, note: () => undefined });
    await seen('> ');
    input.write('sky\r');
    await seen(/blue\n\(6 tokens in \d+\.\d\d s, \d+ tokens\/s; ended by itself; 11 of 64 tokens of context\)/);
    input.write('/quit\r');
    await done;
  });

  it('sets two answers side by side', async () => {
    const { input, output, seen } = terminal();
    const argv = [path('left'), path('right'), ...flags()];
    const done = chatCommand(argv, { input, output, terminal: true, note: () => undefined });
    await seen('> ');
    input.write('sky\r');
    await seen('blue                 │ grey\n');
    // Ctrl-D ends it.
    input.write('\x04');
    await done;
  });

  it('quits at the second Ctrl-C', async () => {
    const { input, output, seen } = terminal();
    const done = chatCommand([path('left'), ...flags()], { input, output, terminal: true, note: () => undefined });
    await seen('> ');
    input.write('\x03');
    await seen('(press Ctrl-C again to quit)');
    input.write('\x03');
    await done;
  });

  it('stops an answer at the first Ctrl-C and keeps what was written; nothing written takes the question back', async () => {
    const say = () => undefined;
    const speakers = await openSpeakers([path('random')], { backend: currentLane(), say, usage: '' });
    const printed: string[] = [];
    let pieces = 0;
    let stopAfter = 2;
    const io = {
      write: (text: string) => {
        printed.push(text);
        pieces += 1;
      },
      terminal: false,
      width: () => 80,
      interrupted: () => pieces >= stopAfter,
    };
    const settings = {
      system: '',
      maxNewTokens: 20,
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      stops: [],
    };
    const chat = openChat(speakers, [seededRandom(1)], settings, io);
    await chat.line('hello');
    const before = tensorCount();
    expect(printed.slice(-2)).toEqual(['\n', '(stopped)\n']);
    await chat.line('/undo');
    expect(printed.at(-1)).toBe('(taken back: hello)\n');
    stopAfter = 0;
    await chat.line('hello');
    expect(printed.at(-1)).toBe('(stopped; the question is taken back)\n');
    await chat.line('/undo');
    expect(printed.at(-1)).toBe('(there is nothing to take back)\n');
    expect(tensorCount()).toBe(before);
    for (const { model } of speakers) model.parameters.stored.dispose();
  });
});
