import { KvError } from "../../errors/kv-error.ts"
import { receiptSchema, type TransferReceipt } from "../../receipt/receipt.ts"
import type { DecodeEvent, Evidence } from "../protocol.ts"
import { transferReceiptFrom } from "./transfer-receipt.ts"

type EndEvent = Extract<DecodeEvent, { event: "end" }>

/** What was asked of a decode worker: each of its events is held against this. */
export interface DecodeExpectation {
  readonly requestId: string
  readonly firstToken: number
  readonly maxTokens: number
  readonly vocabSize: number
}

/** An event in its right place. */
export type OrderedEvent =
  | { readonly kind: "transferred"; readonly receipt: TransferReceipt }
  /** The receipt of a transfer that failed, when the worker's error brought one. */
  | { readonly kind: "failed"; readonly receipt: TransferReceipt; readonly evidence?: Evidence }
  | { readonly kind: "token"; readonly token: number }
  | { readonly kind: "end"; readonly end: EndEvent }

/** An event that should not be there; the text says what is wrong with it. */
export class OutOfOrder extends Error {
  override readonly name = "OutOfOrder"
}

/**
 * Holds a decode worker to the protocol: proven blocks first, then tokens 0, 1, 2… of which the first is
 * the one that prefill drew, then one end. Another request's stream would not fit.
 */
export class DecodeOrder {
  readonly #expected: DecodeExpectation
  #transferred = false
  #tokens = 0
  #ended = false

  constructor(expected: DecodeExpectation) {
    this.#expected = expected
  }

  /** Tokens accepted so far. */
  get tokens(): number {
    return this.#tokens
  }

  /** True once the `end` event was there. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * @throws OutOfOrder when the event does not belong here
   * @throws KvError KV_BYTES_DIFFER when the receipt does not say that the blocks are the right ones
   */
  accept(event: Exclude<DecodeEvent, { event: "error" }>): OrderedEvent {
    if (this.#ended) throw new OutOfOrder(`sent ${event.event} after its end`)
    if (event.event === "transferred") return this.#transfer(event.receipt)
    if (!this.#transferred) throw new OutOfOrder(`sent ${event.event} before it reported the transfer`)
    return event.event === "token" ? this.#token(event.index, event.token) : this.#end(event)
  }

  #transfer(value: unknown): OrderedEvent {
    if (this.#transferred) throw new OutOfOrder("reported the transfer twice")
    const receipt = transferReceiptFrom(value)
    if (receipt === undefined) throw new OutOfOrder(`sent a receipt that is not a ${receiptSchema}`)
    if (receipt.requestId !== this.#expected.requestId) {
      throw new OutOfOrder("sent the receipt of another request")
    }
    if (receipt.state !== "delivered" || receipt.integrity.verdict === "different")
      throw notDelivered(receipt)
    this.#transferred = true
    return { kind: "transferred", receipt }
  }

  #token(index: number, token: number): OrderedEvent {
    const { firstToken, maxTokens, vocabSize } = this.#expected
    if (index !== this.#tokens)
      throw new OutOfOrder(`sent token ${index} where token ${this.#tokens} was due`)
    if (index >= maxTokens) throw new OutOfOrder(`sent more than the ${maxTokens} tokens asked for`)
    if (token >= vocabSize) throw new OutOfOrder(`sent token id ${token} of a vocabulary of ${vocabSize}`)
    if (index === 0 && token !== firstToken) {
      throw new OutOfOrder(`began with token ${token}; prefill drew ${firstToken}`)
    }
    this.#tokens += 1
    return { kind: "token", token }
  }

  #end(end: EndEvent): OrderedEvent {
    // An end-of-text token is generated but not sent, so the count may be one ahead of what came.
    const unsent = end.tokens - this.#tokens
    if (unsent !== 0 && !(unsent === 1 && end.reason === "stop")) {
      throw new OutOfOrder(`counted ${end.tokens} tokens and sent ${this.#tokens}`)
    }
    this.#ended = true
    return { kind: "end", end }
  }
}

function notDelivered({ state, integrity, ticket }: TransferReceipt): KvError {
  return new KvError("KV_BYTES_DIFFER", {
    what: `the transfer ended ${state} with the verdict ${integrity.verdict} and tokens would follow`,
    next: `look up the receipt of ticket ${ticket}, and do not trust that decode worker until it is explained`,
  })
}
