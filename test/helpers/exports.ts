/** Finds exports of program files that no program needs. */
import ts from 'typescript';
import { resolveImport } from './imports.ts';

/**
 * Exports of src, stages and scripts without a reason, as "file: name: why". An export has a reason where another program
 * file imports it, where its own file uses it and a test imports it, and where it is a type that its own file uses: that of
 * an argument or a result.
 * @param files program files and tests, paths → texts
 */
export function deadExports(files: ReadonlyMap<string, string>): string[] {
  const byProgram = new Set<string>();
  const byTests = new Set<string>();
  const exported: { key: string; isType: boolean; isUsed: boolean; file: string }[] = [];
  for (const [file, text] of files) {
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
    const isTest = file.startsWith('test/');
    for (const [module, name] of importedNames(source)) {
      (isTest ? byTests : byProgram).add(`${resolveImport(file, module)}: ${name}`);
    }
    if (isTest) continue;
    const mentions = source.statements.map(identifiersOf);
    for (const [index, statement] of source.statements.entries()) {
      const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
      for (const name of exportsOf(statement)) {
        const isUsed = mentions.some((names, other) => other !== index && names.has(name));
        exported.push({ key: `${file}: ${name}`, isType, isUsed, file });
      }
    }
  }
  return exported.flatMap(({ key, isType, isUsed, file }) => {
    const isIn = (some: ReadonlySet<string>): boolean => some.has(key) || some.has(`${file}: *`);
    if (isIn(byProgram)) return [];
    if (!isUsed) return [`${key}: ${isIn(byTests) ? 'lives for tests only' : 'is used nowhere'}`];
    return isType || isIn(byTests) ? [] : [`${key}: is used in its own file only`];
  });
}

/** The names that a statement exports. */
function exportsOf(statement: ts.Statement): string[] {
  if (ts.isExportDeclaration(statement)) {
    const clause = statement.exportClause;
    return clause !== undefined && ts.isNamedExports(clause) ? clause.elements.map(({ name }) => name.text) : [];
  }
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  if (!modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => namesBoundBy(name));
  }
  const { name } = statement as ts.DeclarationStatement;
  return name === undefined ? [] : [name.text];
}

function namesBoundBy(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : namesBoundBy(element.name)));
}

/** The identifiers in a statement; names of properties that are read are none. */
function identifiersOf(statement: ts.Statement): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) names.add(node.text);
    if (ts.isPropertyAccessExpression(node)) visit(node.expression);
    else ts.forEachChild(node, visit);
  };
  visit(statement);
  return names;
}

/** Every [module, name] that a file imports or passes on; the name is "*" where it takes the module whole. */
function importedNames(source: ts.SourceFile): [string, string][] {
  const found: [string, string][] = [];
  const whole = (node: ts.Node | undefined): void => {
    if (node !== undefined && ts.isStringLiteral(node)) found.push([node.text, '*']);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      const names = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : node.exportClause;
      const module = node.moduleSpecifier;
      if (names === undefined || module === undefined || !('elements' in names)) whole(module);
      else {
        for (const { name, propertyName } of names.elements) {
          found.push([(module as ts.StringLiteral).text, (propertyName ?? name).text]);
        }
      }
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      whole(node.arguments[0]);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) whole(node.argument.literal);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
