import type { IncomingMessage } from "node:http"
import { KvError } from "../../errors/kv-error.ts"
import { decodeEventSchema } from "../protocol.ts"
import type { ApiError } from "./api-error.ts"
import { type DecodeExpectation, DecodeOrder, type OrderedEvent, OutOfOrder } from "./decode-order.ts"
import { LineTooLong, readLines } from "./lines.ts"
import { printable } from "./printable.ts"
import { transferReceiptFrom } from "./transfer-receipt.ts"
import { workerLost, workerRefused, workerSpokeWrong } from "./worker-errors.ts"
import type { Worker } from "./worker-pool.ts"

/** How long a worker may keep its stream open after the end event. */
const CLOSE_MILLIS = 250

/**
 * The events of a decode, checked, those of one read together. Leaving the loop early closes the connection,
 * which tells the worker to stop.
 *
 * @throws KvError when the stream is cut off, is not the protocol's, or reports an error; the signal's reason when aborted
 */
export async function* readDecodeStream(
  worker: Worker,
  response: IncomingMessage,
  expected: DecodeExpectation,
  maxLineBytes: number,
  signal: AbortSignal,
): AsyncGenerator<readonly OrderedEvent[]> {
  const order = new DecodeOrder(expected)
  let closing: NodeJS.Timeout | undefined
  try {
    for await (const lines of readLines(response, maxLineBytes)) {
      const { events, failure } = readEvents(worker, lines, order)
      if (events.length > 0) yield events
      if (failure !== undefined) throw failure
      if (order.ended) closing ??= setTimeout(() => response.destroy(), CLOSE_MILLIS)
    }
  } catch (thrown) {
    if (isAnswer(thrown)) throw thrown
    if (thrown instanceof LineTooLong) throw workerSpokeWrong(worker, `sent ${thrown.message}`)
    if (signal.aborted) throw signal.reason
    if (!order.ended) throw workerLost(worker, `after ${order.tokens} tokens`, thrown)
  } finally {
    clearTimeout(closing)
    response.destroy()
  }
  if (!order.ended) throw workerLost(worker, `after ${order.tokens} tokens: its stream has no end event`)
}

// Events before a bad line are good: the client gets their text before it gets the error.
function readEvents(
  worker: Worker,
  lines: readonly string[],
  order: DecodeOrder,
): { events: OrderedEvent[]; failure?: Error } {
  const events: OrderedEvent[] = []
  for (const line of lines) {
    const event = decodeEventSchema.safeParse(parseJson(line)).data
    if (event === undefined) {
      const what = `sent a line that is no event after ${order.tokens} tokens: ${printable(line)}`
      return { events, failure: workerSpokeWrong(worker, what) }
    }
    if (event.event === "error") {
      const receipt = transferReceiptFrom(event.error["receipt"])
      const { evidence } = event.error
      if (receipt !== undefined) {
        events.push({ kind: "failed", receipt, ...(evidence === undefined ? {} : { evidence }) })
      }
      return { events, failure: workerRefused(worker, event.error) }
    }
    try {
      events.push(order.accept(event))
    } catch (thrown) {
      const failure =
        thrown instanceof OutOfOrder ? workerSpokeWrong(worker, thrown.message) : (thrown as Error)
      return { events, failure }
    }
  }
  return { events }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function isAnswer(thrown: unknown): thrown is KvError | ApiError {
  return thrown instanceof KvError || (thrown instanceof Error && thrown.name === "ApiError")
}
