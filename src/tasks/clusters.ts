/** The clusters of a folder of datasets (`clusters.yaml`): what each is, and which leave training together. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError } from '../errors.ts';
import { suggestion } from './template-patterns.ts';
import { readContent } from './template-yaml.ts';

/** Name of the file in a folder of templates; it is no dataset. */
export const clusterFile = 'clusters.yaml';

const ClusterSchema = z.strictObject({
  description: z.string().min(1).describe('What the tasks of the cluster have in common, in a sentence.'),
  related: z.array(z.string()).default([]).describe('Clusters that are left out of training whenever this one is.'),
});

/** A cluster of datasets. */
export interface Cluster {
  description: string;
  /** Both ways: a related cluster names this one too. Sorted. */
  related: readonly string[];
}

/**
 * Reads `clusters.yaml`. Related clusters are FLAN's extra exclusions, such as paraphrase for entailment
 * (arXiv:2109.01652 section 2.2): a relation that is written on one side holds on both.
 *
 * {entailment: {related: [paraphrase]}, paraphrase: {}}  ->  paraphrase is related to entailment too
 *
 * @returns an empty map where the folder has no such file
 * @throws DataError with all problems: unknown, missing and wrong keys, related clusters that do not exist
 */
export function loadClusters(templateFolder: string): ReadonlyMap<string, Cluster> {
  const path = join(templateFolder, clusterFile);
  if (!existsSync(path)) return new Map();
  const schema = z.record(z.string(), ClusterSchema);
  const { data, source } = readContent(path, 'a list of clusters', schema, { '': ClusterSchema });
  const names = Object.keys(data);
  const problems = Object.entries(data).flatMap(([name, { related }]) =>
    related.flatMap((other, i) => {
      const at = `${source.locate([name, 'related', i])} ${name}.related:`;
      if (other === name) return [`${at} a cluster is always held out with itself. Remove it.`];
      return names.includes(other) ? [] : [`${at} unknown cluster "${other}". ${suggestion(other, names)}`];
    }),
  );
  if (problems.length > 0) throw new DataError(problems);
  return new Map(
    Object.entries(data).map(([name, { description, related }]) => {
      const back = names.filter((other) => data[other]?.related.includes(name));
      return [name, { description, related: [...new Set([...related, ...back])].sort() }];
    }),
  );
}
