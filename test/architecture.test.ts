import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { deadExports } from './helpers/exports.ts';
import { forbiddenImports, importCycles, MAY_IMPORT } from './helpers/imports.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const files = new Map(
  ['src', 'stages', 'scripts', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .filter((name) => name.endsWith('.ts'))
      .sort()
      .map((name): [string, string] => [name, readFileSync(join(root, name), 'utf8')]),
  ),
);
const programFiles = [...files].filter(([name]) => !name.startsWith('test/'));
const namesWhere = (matches: (text: string, name: string) => boolean) =>
  programFiles.filter(([name, text]) => matches(text, name)).map(([name]) => name);

describe('imports', () => {
  test('point down only, and third-party packages come in through their doors', () => {
    expect(files.size).toBeGreaterThan(50);
    expect(forbiddenImports(files)).toEqual([]);
  });

  test('form no cycle', () => {
    expect(importCycles(files)).toEqual([]);
  });

  test('that are forbidden would be found', () => {
    const planted = new Map([
      ['src/errors.ts', ''],
      ['src/tensor/a.ts', "import { b } from '../model/b.ts';\nimport '../missing.ts';\nimport c from './a';"],
      ['src/model/b.ts', "import type { A } from '../tensor/a.ts';\nconst tf = require('@tensorflow/tfjs');"],
      ['src/run/c.ts', "const late = await import('../../stages/1-x.ts');\nexport * from 'apache-arrow';"],
      ['src/new/d.ts', "import '../tensor/a.ts';\nimport 'left-pad';"],
      ['src/tasks/e.ts', "import '../errors.ts';\nimport 'node:fs';"],
      ['stages/1-x.ts', "import './1-x.config.ts';\nimport './2-y.config.ts';"],
      ['stages/1-x.config.ts', "import 'zod';"],
      ['stages/2-y.config.ts', "import '../scripts/f.ts';"],
      ['scripts/f.ts', "import '../stages/1-x.ts';\nimport '../test/g.ts';"],
      ['test/g.ts', "import 'vitest';\nimport '../scripts/f.ts';"],
    ]);
    expect(forbiddenImports(planted)).toEqual([
      'src/tensor/a.ts imports ../model/b.ts: src/tensor may import errors, lanes, random',
      'src/tensor/a.ts imports ../missing.ts: there is no such file',
      'src/tensor/a.ts imports ./a: the extension is missing',
      'src/model/b.ts imports @tensorflow/tfjs: only ^src\\/tensor\\/ may',
      'src/run/c.ts imports ../../stages/1-x.ts: src imports only src',
      'src/run/c.ts imports apache-arrow: only ^src\\/(tables\\/(arrow-[a-z-]+|columns)|import\\/arrow-[a-z-]+)\\.ts$ may',
      'src/new/d.ts imports ../tensor/a.ts: src/new is not in the table of imports',
      'src/new/d.ts imports left-pad: no file may import this package',
      'stages/1-x.ts imports ./2-y.config.ts: stages meet only through files',
      'stages/2-y.config.ts imports ../scripts/f.ts: stages meet only through files',
      'scripts/f.ts imports ../test/g.ts: tests are for tests',
    ]);
    expect(importCycles(planted)).toEqual([
      'src/tensor/a.ts → src/model/b.ts → src/tensor/a.ts',
      'stages/1-x.ts → stages/2-y.config.ts → scripts/f.ts → stages/1-x.ts',
      'scripts/f.ts → test/g.ts → scripts/f.ts',
    ]);
  });
});

describe('exports', () => {
  test('are imported by another program file, or are of use in their own and tested', () => {
    expect(deadExports(files)).toEqual([]);
  });

  test('without a reason would be found', () => {
    const planted = new Map([
      ['src/a/a.ts', 'export const used = 1;\nexport const seen = 2;\nexport const kept = 3;\nexport let gone = kept;'],
      [
        'src/a/b.ts',
        'export interface Shape { next: Shape }\nexport type Size = 1;\nexport const of = (x: Shape) => x;',
      ],
      [
        'src/a/c.ts',
        "import { used as mine } from './a.ts';\nexport { of } from './b.ts';\nexport const whole = mine;",
      ],
      ['src/a/d.ts', "const all = await import('./c.ts');\nexport const [one, { two }] = f(all.seen);"],
      ['test/a.test.ts', "import { seen, kept } from '../src/a/a.ts';\nimport { two } from '../src/a/d.ts';"],
    ]);
    expect(deadExports(planted)).toEqual([
      'src/a/a.ts: seen: lives for tests only',
      'src/a/a.ts: gone: is used nowhere',
      'src/a/b.ts: Size: is used nowhere',
      'src/a/d.ts: one: is used nowhere',
      'src/a/d.ts: two: lives for tests only',
    ]);
    planted.delete('test/a.test.ts');
    expect(deadExports(planted)).toContain('src/a/a.ts: kept: is used in its own file only');
  });
});

describe('every program file', () => {
  test('opens with a sentence that says what it holds', () => {
    expect(namesWhere((text) => !/^(#!.*\n)?\/\*\*/.test(text))).toEqual([]);
  });

  test('has at most 300 lines', () => {
    expect(namesWhere((text) => text.split('\n').length > 301)).toEqual([]);
  });

  test('has at most 220 where it is a stage', () => {
    const isStage = (name: string) => name.startsWith('stages/') && !name.endsWith('.config.ts');
    expect(namesWhere((text, name) => isStage(name) && text.split('\n').length > 221)).toEqual([]);
  });

  test('is no barrel and has no default export', () => {
    const isBarrel = (text: string): boolean => {
      const { statements } = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest);
      return statements.length > 0 && statements.every((node) => ts.isExportDeclaration(node) && node.moduleSpecifier);
    };
    expect(isBarrel("export { a } from './a.ts';\nexport * from './b.ts';")).toBe(true);
    expect(isBarrel("export { a } from './a.ts';\nexport const b = 1;")).toBe(false);
    expect(namesWhere((text, name) => isBarrel(text) || /\/index\.ts$/.test(name))).toEqual([]);
    expect(namesWhere((text) => /^export default\b/m.test(text))).toEqual([]);
  });

  test('has neither `any`, switched-off checks, non-null assertions, functions over 60 lines nor literals spread in literals', () => {
    const offences = programFiles.flatMap(([name, text]) => findOffences(name, text));
    expect(offences).toEqual([]);
    expect(findOffences('a.ts', 'let a: any;\nconst b = a!;\n// @ts-ignore\nlet c: Record<string, any>;')).toEqual([
      'a.ts:1 any',
      'a.ts:2 non-null assertion',
      'a.ts:4 any',
      'a.ts:3 switched-off check',
    ]);
    const lines = (count: number): string => `const f = () => {\n${'f();\n'.repeat(count - 2)}};\n`;
    expect(findOffences('b.ts', lines(60) + lines(61))).toEqual(['b.ts:61 function of 61 lines']);
    expect(findOffences('c.ts', 'const a = { ...{ b, ...c } };\nconst d = [\n...[e, ...f],\n];')).toEqual([
      'c.ts:1 literal spread in a literal',
      'c.ts:3 literal spread in a literal',
    ]);
  });

  test('has a name in kebab-case', () => {
    expect(namesWhere((_, name) => !/^[a-z]+(\/[a-z0-9-]+)*\/[a-z0-9-]+(\.config)?\.ts$/.test(name))).toEqual([]);
  });
});

function findOffences(name: string, text: string): string[] {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest);
  const found: string[] = [];
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1;
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`${name}:${lineOf(node.getStart(source))} any`);
    if (ts.isNonNullExpression(node)) found.push(`${name}:${lineOf(node.getStart(source))} non-null assertion`);
    if (isSpreadLiteral(node)) found.push(`${name}:${lineOf(node.getStart(source))} literal spread in a literal`);
    // Biome's noExcessiveLinesPerFunction leaves out some lines of a function; here every line counts.
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = lineOf(node.getStart(source));
      const count = lineOf(node.end) - first + 1;
      if (count > 60) found.push(`${name}:${first} function of ${count} lines`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  for (const match of text.matchAll(/@ts-(ignore|nocheck)/g))
    found.push(`${name}:${lineOf(match.index)} switched-off check`);
  return found;
}

/** `...{ a, b }` in an object or `...[a, b]` in a list: only folds lines. */
function isSpreadLiteral(node: ts.Node): boolean {
  if (ts.isSpreadAssignment(node)) return ts.isObjectLiteralExpression(node.expression);
  return ts.isSpreadElement(node) && ts.isArrayLiteralExpression(node.expression);
}

describe('the documents', () => {
  const inDocs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  const documents = [
    ...['README.md', 'ARCHITECTURE.md', 'stages/README.md', 'data/README.md'],
    ...inDocs.map((name) => `docs/${name}`),
  ];

  test.each(documents)('%s names only files that exist', (document) => {
    const text = readFileSync(join(root, document), 'utf8');
    expect(pathsNamed(text).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test.each([
    ['README.md', 8192],
    ['ARCHITECTURE.md', 12_288],
  ])('%s is read in one sitting', (document, bytes) => {
    expect(statSync(join(root, document)).size).toBeLessThanOrEqual(bytes);
  });

  test('README.md quotes PPO as it stands in its stage, in order', () => {
    const [, quote = ''] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? [];
    const quoted = linesOf(quote);
    expect(quoted.length).toBeGreaterThan(10);
    let at = -1;
    const stage = linesOf(readFileSync(join(root, 'stages/3-ppo.ts'), 'utf8'));
    const strange = quoted.filter((line) => {
      const found = stage.indexOf(line, at + 1);
      at = Math.max(at, found);
      return found < 0;
    });
    expect(strange).toEqual([]);
  });

  test('the map of ARCHITECTURE.md says of every folder what it may import', () => {
    const rows = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').matchAll(
      /^\| `src\/([\w-]+)` \|.*\| ([^|]*) \|$/gm,
    );
    const map = [...rows].map(([, folder = '', names = '']): [string, string[]] => [folder, names.split(', ').sort()]);
    // The map is of folders; src/message.ts and src/random.ts are none.
    const table = Object.entries(MAY_IMPORT).map(([folder, all]): [string, string[]] => {
      const names = all.filter((name) => !['message', 'random'].includes(name)).sort();
      return [folder, names.length === 0 ? [''] : names];
    });
    expect(Object.fromEntries(map)).toEqual(Object.fromEntries(table));
  });

  test('name every folder of src, and every stage', () => {
    // stages/README.md is generated from the list of stages.
    const readers = ['README.md', 'ARCHITECTURE.md', 'stages/README.md'];
    const text = readers.map((name) => readFileSync(join(root, name), 'utf8')).join('\n');
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const stages = readdirSync(join(root, 'stages')).flatMap((name) => /^[\w-]+(?=\.ts$)/.exec(name) ?? []);
    const isNamed = (name: string) =>
      new RegExp(`(^|[\\s\`/│├└─])${name.replaceAll('.', '\\.')}([\\s\`/,]|$)`, 'm').test(text);
    expect([...folders.map(({ name }) => name), ...stages].filter((name) => !isNamed(name))).toEqual([]);
  });

  test.each(documents)('%s links only to files that exist', (document) => {
    const text = readFileSync(join(root, document), 'utf8');
    const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '');
    const own = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(own.filter((link) => !existsSync(join(root, dirname(document), link)))).toEqual([]);
  });

  test.each(documents)('%s names only npm scripts that exist', (document) => {
    const text = readFileSync(join(root, document), 'utf8');
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    const named = [...text.matchAll(/\bnpm run ([\w-]+)/g)].map((match) => match[1] ?? '');
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  test('would be found naming a file that does not exist', () => {
    const text =
      'See `src/tensor/tf.ts`, configs/<stage>/tiny.yaml, data/runs/x/, test/*.ts, [log](docs/log.md) and (src/gone/file.ts).';
    expect(pathsNamed(text)).toEqual(['src/tensor/tf.ts', 'docs/log.md', 'src/gone/file.ts']);
  });
});

/** The lines of a text without indentation, empty ones left out. */
function linesOf(text: string): string[] {
  return text.split('\n').flatMap((line) => line.trim() || []);
}

/** Paths of this project in a text; patterns, placeholders and what programs make (data/build, data/models, data/runs) left out. */
function pathsNamed(text: string): string[] {
  const candidates = text.match(/(?<![\w/.:-])(?:src|stages|scripts|configs|test|data|docs)\/[^\s`'"()[\],;|]*/g) ?? [];
  return candidates
    .map((path) => path.replace(/[.:]+$/, '').replace(/:\d+$/, ''))
    .filter((path) => !/[<>*{}…$]|^data\/(build|models|runs)\b/.test(path));
}
