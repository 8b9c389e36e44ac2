import { defineConfig } from 'vitest/config';
import { countReporter } from './test/helpers/count-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The TensorFlow addon is not safe in worker threads; child processes are.
    pool: 'forks',
    maxWorkers: 2,
    // For what hangs, not for what is slow: a machine may be four times slower, and busy.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['default', countReporter()],
  },
});
