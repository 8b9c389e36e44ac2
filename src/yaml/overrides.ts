/** Applies `key.path=value` arguments to configuration data. */

import { parseDocument } from 'yaml';
import { ConfigError } from '../errors.ts';
import { isRecord } from './schema-fields.ts';

/** One `a.b.c=value` argument. */
export interface Override {
  /** The argument as it was typed. */
  readonly text: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

/**
 * Parses `key.path=value` arguments; values are YAML ("3", "1e-3", "true", "[a, b]", "text").
 * @throws ConfigError naming every argument that is not of that form
 */
export function parseOverrides(texts: readonly string[]): Override[] {
  const problems: string[] = [];
  const overrides: Override[] = [];
  for (const text of texts) {
    const equals = text.indexOf('=');
    const path = text.slice(0, Math.max(equals, 0)).split('.');
    if (equals < 1 || path.some((key) => key.trim() === '')) {
      problems.push(`argument "${text}": expected key.path=value, e.g. optimizer.learningRate=1e-3.`);
      continue;
    }
    const value = parseDocument(text.slice(equals + 1));
    if (value.errors.length > 0) {
      problems.push(`argument "${text}": the value is not valid YAML. Quote it, e.g. '${path.join('.')}="text"'.`);
      continue;
    }
    overrides.push({ text, path, value: value.toJS() });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return overrides;
}

/** A copy of `data` with one override set; sections on the way are made where they are missing. */
export function applyOverride(data: unknown, override: Override): unknown {
  return setAt(data, override.path, override);
}

function setAt(data: unknown, path: readonly string[], override: Override): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return override.value;
  if (Array.isArray(data)) {
    const index = Number(key);
    if (!Number.isInteger(index) || index < 0 || index >= data.length) {
      throw new ConfigError(
        `argument "${override.text}": "${key}" is no position in a list of ${data.length}. Count from 0, or give the whole list: key=[a, b].`,
      );
    }
    return data.map((item, position) => (position === index ? setAt(item, rest, override) : item));
  }
  if (data !== undefined && data !== null && !isRecord(data)) {
    const parent = override.path.slice(0, override.path.length - path.length).join('.');
    throw new ConfigError(
      `argument "${override.text}": ${parent} is the value ${JSON.stringify(data)}, not a section. Set ${parent} itself.`,
    );
  }
  const section = data ?? {};
  // A computed key makes an own property even for "__proto__".
  return { ...section, [key]: setAt(Object.hasOwn(section, key) ? section[key] : undefined, rest, override) };
}
