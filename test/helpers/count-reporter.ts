/** Ends a test run with one plain line, "N passed, N failed", whatever else is printed. */
import type { Reporter, TestModule } from 'vitest/node';

/** A vitest reporter; a file that fails before its tests run counts as one failure. */
export function countReporter(): Reporter {
  return {
    onTestRunEnd(modules: readonly TestModule[]) {
      const counts = { passed: 0, failed: 0, skipped: 0 };
      for (const module of modules) {
        const tests = [...module.children.allTests()];
        for (const test of tests) {
          const { state } = test.result();
          counts[state === 'passed' ? 'passed' : state === 'failed' ? 'failed' : 'skipped'] += 1;
        }
        const broken = module.state() === 'failed' && tests.every((test) => test.result().state !== 'failed');
        if (broken) counts.failed += 1;
      }
      const skipped = counts.skipped > 0 ? `${counts.skipped} skipped\n` : '';
      process.stdout.write(`\n${skipped}${counts.passed} passed, ${counts.failed} failed\n`);
    },
  };
}
