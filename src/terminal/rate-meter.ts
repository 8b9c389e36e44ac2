/** Measures how fast work goes. */

/** Units per second over about the last ten seconds, so that a slow start or a pause for evaluation fades. */
export class RateMeter {
  readonly #start: number;
  #points: { time: number; units: number }[];
  constructor(time: number) {
    this.#start = time;
    this.#points = [{ time, units: 0 }];
  }
  add(time: number, units: number): void {
    this.#points.push({ time, units });
    while (this.#points.length > 2 && time - (this.#points[1]?.time ?? time) > 10_000) this.#points.shift();
  }
  rate(): number {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (first === undefined || last === undefined || last.time <= first.time) return 0;
    return ((last.units - first.units) * 1000) / (last.time - first.time);
  }
  elapsed(time: number): number {
    return (time - this.#start) / 1000;
  }
}
