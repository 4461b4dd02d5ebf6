/** Controllers that are kept for the next transfers. */
const spareMax = 256
const spare: AbortController[] = []

/**
 * A controller whose signal nobody has aborted. Making one costs as much as a small transfer does, so one that was not
 * used is used again.
 */
export const takeController = (): AbortController => spare.pop() ?? new AbortController()

/** Takes a controller back from a transfer that is over. One that was aborted is nobody's any more. */
export function giveController(controller: AbortController): void {
  if (!controller.signal.aborted && spare.length < spareMax) spare.push(controller)
}
