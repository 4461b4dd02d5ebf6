import { availableBytes, machineFacts } from "../../../bench/machine.ts"
import { KvError } from "../../../errors/kv-error.ts"
import { machineIdentity } from "../../../os/machine-identity.ts"
import { sizeText } from "../../../terminal/units.ts"
import { answerForms } from "../../driver/answer-forms.ts"
import type { Op, Questions } from "../../driver/protocol.ts"
import { parseEngineSpec } from "../../engine-spec.ts"
import { secretVariable } from "../../engines/secret-variable.ts"
import { regionBytes } from "../../pattern/cache-places.ts"
import { Pattern } from "../../pattern/pattern.ts"
import { lineRates, ownNics } from "../line-rates.ts"
import type { LocalAgent } from "../local-agent.ts"
import { startHere } from "../open-engines.ts"
import { decodeArrivals, decodePlaces, encodeChecked, orderForms, read, startForm } from "./far-orders.ts"

/** What is left to the machine. */
const shareOfAvailable = 0.7
/** Drivers of one initiator. */
const agentsMax = 64

/** What the target tells of itself to an initiator that has proven itself. */
export interface FarFacts {
  readonly machine: ReturnType<typeof machineFacts>
  readonly availableBytes: number
  readonly rates: ReturnType<typeof lineRates>
  /** RDMA devices with a port that is up. */
  readonly nics: readonly string[]
  /** Equal on both sides when they are processes of one machine in one network. */
  readonly identity: string
}

/** What this machine is, so that two sides can tell whether they are one. */
export function ownIdentity(): string {
  const identity = machineIdentity()
  return identity === undefined ? "unknown" : `${identity.kernelBootId} ${identity.networkNamespace}`
}

/** One initiator's drivers on this host: started, asked, filled and looked at as it orders, and ended with it. */
export class FarSession implements AsyncDisposable {
  readonly #host: (asked: string) => string
  readonly #agents = new Map<string, LocalAgent>()
  #taken = 0

  /** @param host the address that drivers listen on, for the one that the initiator would like. */
  constructor(host: (asked: string) => string) {
    this.#host = host
  }

  /** @throws KvError, DriverFailed. */
  async answer(name: string, body: unknown): Promise<unknown> {
    switch (name) {
      case "facts":
        return {
          machine: machineFacts(),
          availableBytes: availableBytes(),
          rates: lineRates(),
          nics: ownNics(),
          identity: ownIdentity(),
        } satisfies FarFacts
      case "start":
        return this.#start(body)
      case "open":
        return this.#open(body)
      case "ask":
        return this.#ask(body)
      case "fillAll": {
        const { agent, epoch, poison } = read(orderForms.fillAll, body, name)
        return this.#agent(agent).fillAll(epoch, poison)
      }
      case "fill": {
        const { agent, places, epoch, poison } = read(orderForms.fill, body, name)
        return this.#agent(agent).fill(decodePlaces(places), epoch, poison)
      }
      case "checkPieces": {
        const { agent, arrivals, bytesMax, from } = read(orderForms.checkPieces, body, name)
        return encodeChecked(await this.#agent(agent).checkPieces(decodeArrivals(arrivals), bytesMax, from))
      }
      case "checkAll": {
        const { agent, arrivals } = read(orderForms.checkAll, body, name)
        return encodeChecked(await this.#agent(agent).checkAll(decodeArrivals(arrivals)))
      }
      case "checkSource": {
        const { agent, epoch } = read(orderForms.checkSource, body, name)
        return encodeChecked(await this.#agent(agent).checkSource(epoch))
      }
      default:
        return this.#just(name, body)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const agents = [...this.#agents.values()]
    this.#agents.clear()
    await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()))
  }

  /** What needs no more than an agent's name. */
  async #just(name: string, body: unknown): Promise<unknown> {
    const { agent: key } = read(orderForms.just, body, name)
    const agent = this.#agent(key)
    switch (name) {
      case "pause":
        return agent.pause()
      case "resume":
        return agent.resume()
      case "kill":
        return agent.kill()
      case "words":
        return agent.lastWords
      case "end":
        this.#agents.delete(key)
        return agent[Symbol.asyncDispose]()
      default:
        throw new KvError("KV_WIRE_INVALID", {
          what: `a bench's target knows no ${JSON.stringify(name.slice(0, 40))}`,
        })
    }
  }

  async #start(body: unknown): Promise<void> {
    const { agent, engine, dealt, agents, seed, secret, devices, verbose } = read(startForm, body, "start")
    if (this.#agents.has(agent) || this.#agents.size >= agentsMax)
      throw new KvError("KV_LIMIT", { what: `${this.#agents.size} drivers run for this initiator already` })
    const wanted = regionBytes(dealt.cache) * dealt.cache.layers
    const room = availableBytes() * shareOfAvailable
    if (!(wanted <= room)) {
      throw new KvError("KV_LIMIT", {
        what: `a pool of ${sizeText(wanted)} was asked for on the target's host`,
        why: `${sizeText(room)} can be used there, beside ${this.#taken} drivers of this bench`,
        next: "take a smaller --num-blocks",
      })
    }
    this.#taken += 1
    const env = { [secretVariable]: secret, ...(devices === undefined ? {} : { KVFERRY_DEVICES: devices }) }
    const started = await startHere(parseEngineSpec(engine), dealt, { agents }, new Pattern(seed), {
      env,
      verbose,
    })
    this.#agents.set(agent, started)
  }

  async #open(body: unknown): Promise<unknown> {
    const { agent, question } = read(orderForms.open, body, "open")
    const asked = question as Questions["open"]
    const started = this.#agent(agent)
    const host = this.#host(String(asked?.options?.["host"] ?? ""))
    // The cache is what was told at the start: so much memory was found to be there.
    return started.open({
      ...asked,
      name: started.dealt.name,
      cache: started.dealt.cache,
      options: { ...asked?.options, host },
    })
  }

  #ask(body: unknown): Promise<unknown> {
    const { agent, op, args, millis } = read(orderForms.ask, body, "ask")
    if (!Object.hasOwn(answerForms, op) || op === "open")
      throw new KvError("KV_WIRE_INVALID", { what: `a driver knows no ${JSON.stringify(op)}` })
    return this.#agent(agent).ask(op as Op, args as Questions[Op], millis)
  }

  #agent(key: string): LocalAgent {
    const agent = this.#agents.get(key)
    if (agent === undefined)
      throw new KvError("KV_WIRE_INVALID", {
        what: `no driver ${JSON.stringify(key.slice(0, 80))} was started`,
      })
    return agent
  }
}
