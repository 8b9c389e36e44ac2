/** Which filters and tests there are, here and in jinja2. */
import { SEQUENCE_FILTERS } from './sequence-filters.ts';
import { TESTS } from './tests.ts';
import { TEXT_FILTERS } from './text-filters.ts';

/** Filters of jinja2 that are not here: none was found in a published chat template. */
const MISSING_FILTERS: readonly string[] = [
  'filesizeformat',
  'pprint',
  'random',
  'striptags',
  'urlencode',
  'urlize',
  'wordwrap',
  'xmlattr',
];

export function hasFilter(name: string): boolean {
  return Object.hasOwn(TEXT_FILTERS, name) || Object.hasOwn(SEQUENCE_FILTERS, name);
}

export function isFilterOfPython(name: string): boolean {
  return hasFilter(name) || MISSING_FILTERS.includes(name);
}

/** Also the two tests that ask for names. */
export function hasTest(name: string): boolean {
  return Object.hasOwn(TESTS, name) || name === 'filter' || name === 'test';
}
