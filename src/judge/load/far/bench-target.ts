import { networkInterfaces } from "node:os"
import { MessageChannel } from "../../../agent/channel.ts"
import type { ControlChannel, ControlListener } from "../../../agent/control-network.ts"
import type { Credentials } from "../../../agent/credentials.ts"
import { greetAsListener } from "../../../agent/greet.ts"
import { KvError } from "../../../errors/kv-error.ts"
import { monotonicClock } from "../../../os/clock.ts"
import { tcpControlNetwork } from "../../../os/control-net.ts"
import { softwareVersion } from "../../../serve/version.ts"
import type { Card } from "../../../wire/card.ts"
import { benchCard, checkSameVersion } from "./bench-card.ts"
import { FarLink } from "./far-link.ts"
import { FarSession } from "./far-session.ts"

/** Strangers have so long to prove themselves. */
const handshakeMillis = 5000
/** Channels that have not proven themselves yet, and one that has. */
const channelsMax = 16

export interface BenchTargetOptions {
  /** Where it listens; nothing else of it listens anywhere else. */
  readonly host: string
  readonly port: number
  readonly credentials: Credentials
  /** Told of what happens, in words. */
  readonly onEvent: (text: string) => void
  /** For tests: what this side says its version is. */
  readonly software?: string
}

/**
 * The far side of a bench: waits for one initiator at a time, and runs drivers and looks at their memory as that one orders.
 *
 * Whoever calls must prove itself by the agents' handshake before it learns anything; from then on every message is sealed. What
 * it has started ends with its channel.
 */
export class BenchTarget implements AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly #options: BenchTargetOptions
  readonly #listener: ControlListener
  readonly #card: Card
  readonly #channels = new Set<MessageChannel>()
  #session: FarSession | undefined

  /** @throws KvError KV_PORT_IN_USE, KV_OS. */
  static async open(options: BenchTargetOptions): Promise<BenchTarget> {
    let serve = (_: ControlChannel): void => {}
    const listener = await tcpControlNetwork.listen(options.host, options.port, (channel) => serve(channel))
    const target = new BenchTarget(options, listener)
    serve = (channel) => void target.#serve(new MessageChannel(channel))
    return target
  }

  private constructor(options: BenchTargetOptions, listener: ControlListener) {
    this.#options = options
    this.#listener = listener
    this.host = listener.host
    this.port = listener.port
    this.#card = benchCard("target", options.software ?? softwareVersion())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]()
    for (const channel of this.#channels) channel.close()
    await this.#session?.[Symbol.asyncDispose]()
  }

  async #serve(channel: MessageChannel): Promise<void> {
    const { credentials, onEvent } = this.#options
    if (this.#channels.size >= channelsMax)
      return channel.close(new KvError("KV_LIMIT", { what: "too many callers at once" }))
    this.#channels.add(channel)
    try {
      const { card } = await greetAsListener(channel, {
        card: this.#card,
        credentials,
        clock: monotonicClock,
        timeoutMillis: handshakeMillis,
        admit: () => Promise.resolve(),
      })
      checkSameVersion("this target", this.#card, "the initiator", card)
      if (this.#session !== undefined)
        throw new KvError("KV_LIMIT", {
          what: "this target works for another initiator",
          next: "wait until that one is done",
        })
      this.#run(channel, card)
    } catch (thrown) {
      this.#channels.delete(channel)
      if (!(thrown instanceof KvError)) throw thrown
      channel.close(thrown)
      onEvent(`${channel.peer} was not let in: ${thrown.message}`)
    }
  }

  #run(channel: MessageChannel, { agentId }: Card): void {
    const { onEvent } = this.#options
    const session = new FarSession((asked) => this.#hostFor(asked))
    this.#session = session
    onEvent(`${channel.peer} (${agentId}) measures`)
    const link = new FarLink(
      channel,
      (name, body) => session.answer(name, body),
      ({ why, message }) => {
        this.#channels.delete(channel)
        void session[Symbol.asyncDispose]().finally(() => {
          if (this.#session === session) this.#session = undefined
          onEvent(`${channel.peer} is done (${why ?? message})`)
        })
      },
    )
    void link
  }

  /** Drivers listen where this target does. Only where that is everywhere, the initiator may say which of our addresses it calls. */
  #hostFor(asked: string): string {
    const { host } = this.#options
    if (host !== "0.0.0.0" && host !== "::") return host
    const own = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).map(({ address }) => address),
    )
    if (own.includes(asked)) return asked
    throw new KvError("KV_USAGE", {
      what: `this target has no address ${JSON.stringify(asked.slice(0, 60))}`,
      next: "start the target with --host and the address that the initiator calls",
    })
  }
}
