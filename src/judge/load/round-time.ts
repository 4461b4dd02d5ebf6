import { quantileOf } from "../../bench/statistics.ts"

/**
 * The time of one repeat out of those of a round.
 *
 * The median, which a disturbance does not move. But where several post at once they may wait for each other's processors, and a
 * median would leave these waits out: the sum of such rates was seen to be four times of what two cores can move. So then it is
 * the mean.
 * @param samples at least one, in microseconds.
 * @param posters how many post at once.
 */
export const timeOf = (samples: readonly number[], posters: number): number =>
  posters === 1 ? quantileOf(samples, 0.5) : samples.reduce((sum, micros) => sum + micros, 0) / samples.length
