/** What a disk refuses, in words. */
import { describeFailure, isSystemError } from '../files/atomic-write.ts';

/** Does what writes at `path`, and says what a disk refuses; trying again would not help. */
export async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isSystemError(error) ? describeFailure(path, error) : error;
  }
}
