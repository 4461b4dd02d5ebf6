import { softwareVersion } from "../../serve/version.ts"
import type { Answers, Op, Questions } from "../driver/protocol.ts"
import { BlocksAgent } from "./blocks-agent.ts"
import type { DrivenAgent } from "./driven-agent.ts"
import { driverOptions } from "./driver-options.ts"
import { usage } from "./engine-words.ts"
import { PiecesAgent } from "./pieces-agent.ts"
import { TransferBook } from "./transfer-book.ts"

type Answerers = { readonly [O in Op]: (args: Questions[O]) => Answers[O] | Promise<Answers[O]> }

/** Answers the judge's questions for one agent of kvferry. */
export class Driver {
  readonly #secret: Uint8Array
  readonly #transfers = new TransferBook()
  #opened: DrivenAgent | undefined

  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  /** @throws KvError what kvferry says. */
  async answer<O extends Op>(op: O, args: Questions[O]): Promise<Answers[O]> {
    if (!Object.hasOwn(this.#answerers, op))
      throw usage(`no question ${JSON.stringify(String(op).slice(0, 40))}`)
    return await this.#answerers[op](args)
  }

  readonly #answerers: Answerers = {
    open: (args) => this.#open(args),
    invite: async ({ peer }) => ({ card: await this.#agent.invite(peer) }),
    connect: async ({ peer, card }) => ({ path: await this.#agent.connect(peer, card) }),
    disconnect: async ({ peer }) => {
      await this.#agent.disconnect(peer)
      return {}
    },
    lend: (args) => ({ offer: this.#agent.lend(args) }),
    withdraw: async ({ offer }) => {
      await this.#agent.withdraw(offer)
      return {}
    },
    reuse: ({ blocks }) => {
      this.#agent.reuse(blocks)
      return {}
    },
    prepare: async (args) => {
      const started = performance.now()
      await this.#transfers.add(args.transfer, () => this.#agent.prepare(args))
      return { micros: (performance.now() - started) * 1000 }
    },
    post: ({ transfer, timeoutMillis }) => {
      this.#transfers.post([transfer], timeoutMillis)
      return {}
    },
    postTogether: ({ transfers, timeoutMillis }) => {
      this.#transfers.post(transfers, timeoutMillis)
      return {}
    },
    wait: (args) => this.#transfers.wait(args),
    cancel: ({ transfer }) => {
      this.#transfers.cancel(transfer)
      return {}
    },
    release: async ({ transfer }) => {
      await this.#transfers.release(transfer)
      return {}
    },
    notes: () => ({ notes: this.#agent.notes() }),
    // The threads of kvferry need nobody who asks.
    poll: () => ({}),
    deregister: async () => {
      await this.#agent.deregister()
      return {}
    },
    measure: (args) => this.#transfers.measure(args),
    usage: () => {
      const { user, system } = process.cpuUsage()
      return { cpuMicros: user + system, residentBytes: process.memoryUsage.rss() }
    },
    close: async () => {
      await this.#opened?.[Symbol.asyncDispose]()
      return {}
    },
  }

  async #open(args: Questions["open"]): Promise<Answers["open"]> {
    if (this.#opened !== undefined) throw usage("this driver has an agent already")
    const options = driverOptions(args)
    const agent =
      args.level === "blocks"
        ? await BlocksAgent.open(args, options, this.#secret)
        : await PiecesAgent.open(args, options, this.#secret)
    this.#opened = agent
    const { about, capabilities, files, regionBytes, micros } = agent
    return {
      about: `kvferry ${softwareVersion()}: ${about}`,
      version: softwareVersion(),
      libraries: [],
      capabilities,
      memory: files.map((fd) => ({ path: `/proc/${process.pid}/fd/${fd}`, bytes: regionBytes })),
      micros,
    }
  }

  get #agent(): DrivenAgent {
    if (this.#opened === undefined) throw usage("open comes first")
    return this.#opened
  }
}
