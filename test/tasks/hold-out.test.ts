import { describe, expect, it, onTestFinished } from 'vitest';
import type { Cluster } from '../../src/tasks/clusters.ts';
import { divideTasks } from '../../src/tasks/hold-out.ts';
import type { Task } from '../../src/tasks/task.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { sampleFolder } from './sample-task.ts';

const clusters = new Map<string, Cluster>([
  ['entailment', { description: 'Whether it follows.', related: ['paraphrase'] }],
  ['paraphrase', { description: 'Whether it says the same.', related: ['entailment'] }],
  ['topic', { description: 'What it is about.', related: [] }],
]);
const none = { clusters: [], datasets: [], templates: [] };

/** Tasks with templates plain, who and the unseen one, other, in three clusters. */
function tasks(): Task[] {
  const folder = sampleFolder();
  onTestFinished(() => folder.remove());
  const [task] = loadTasks(folder.tables, folder.templates);
  const places = { claims: 'entailment', same: 'paraphrase', subject: 'topic' };
  return Object.entries(places).map(([name, cluster]) => ({ ...task!, name, cluster }));
}

describe('divideTasks', () => {
  it('trains everything where nothing is held out', () => {
    const { trained, heldOut } = divideTasks(tasks(), clusters, none);
    expect(trained.map(({ name }) => name)).toEqual(['claims', 'same', 'subject']);
    expect(heldOut).toEqual([]);
  });

  it('takes the related clusters out together with a cluster, and says why', () => {
    const { trained, heldOut } = divideTasks(tasks(), clusters, { ...none, clusters: ['entailment'] });
    expect(trained.map(({ name }) => name)).toEqual(['subject']);
    expect(heldOut.map(({ task, reason }) => [task.name, reason])).toEqual([
      ['claims', 'cluster entailment'],
      ['same', 'cluster paraphrase is related to entailment'],
    ]);
  });

  it('takes a dataset out alone: its cluster is still trained', () => {
    const { trained, heldOut } = divideTasks(tasks(), clusters, { ...none, datasets: ['same'] });
    expect(trained.map(({ name }) => name)).toEqual(['claims', 'subject']);
    expect(heldOut.map(({ task, reason }) => [task.name, reason])).toEqual([['same', 'dataset']]);
  });

  it('marks a held-out template of one dataset as unseen, there and nowhere else', () => {
    const { trained } = divideTasks(tasks(), clusters, { ...none, templates: ['same/who'] });
    const seen = trained.map(({ name, templates }) => [
      name,
      templates.templates.filter(({ split }) => split === 'train').map(({ id }) => id),
    ]);
    expect(seen).toEqual([
      ['claims', ['plain', 'who']],
      ['same', ['plain']],
      ['subject', ['plain', 'who']],
    ]);
  });

  it('names every unknown name with the nearest known one', () => {
    const wrong = { clusters: ['entailmnt'], datasets: ['subjekt'], templates: ['same/whoo', 'zebra'] };
    expect(() => divideTasks(tasks(), clusters, wrong)).toThrow(
      'holdOut.clusters: "entailmnt" is not there. Did you mean entailment?\n' +
        'holdOut.datasets: "subjekt" is not there. Did you mean subject?\n' +
        'holdOut.templates: "same/whoo" is not there. Did you mean same/who?\n' +
        'holdOut.templates: "zebra" is not there. Expected one of claims/plain, claims/who, claims/other, ',
    );
  });

  it('refuses to hold everything out', () => {
    expect(() => divideTasks(tasks(), clusters, { ...none, clusters: ['entailment', 'topic'] })).toThrow(
      /^holdOut: every task is held out; expected at least one to train on\./,
    );
  });
});
