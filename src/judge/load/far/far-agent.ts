import { answerForms } from "../../driver/answer-forms.ts"
import { DriverFailed } from "../../driver/driver-failed.ts"
import { engineLog } from "../../driver/engine-text.ts"
import type { Answers, Op, Questions } from "../../driver/protocol.ts"
import type { DealtAgent } from "../deal-load.ts"
import type { Arrival, Checked, Places } from "../judged-memory.ts"
import type { LoadAgent } from "../load-agent.ts"
import type { FarLink } from "./far-link.ts"
import { decodeChecked, encodeArrivals, encodePlaces } from "./far-orders.ts"

/** Beside what a driver may take: the way there and back, and the looking at a large pool. */
const patienceMillis = 120_000
const openMillis = 120_000

/** A driver on the other host: what is asked of it goes over the sealed channel, and its memory is looked at over there. */
export class FarAgent implements LoadAgent {
  readonly dealt: DealtAgent
  readonly #link: FarLink
  readonly #key: string
  #words = ""

  /** @param key its name over there. The driver was started. */
  constructor(link: FarLink, key: string, dealt: DealtAgent) {
    this.#link = link
    this.#key = key
    this.dealt = dealt
  }

  get lastWords(): string {
    return this.#words
  }

  async open(question: Questions["open"]): Promise<Answers["open"]> {
    return this.#checked("open", await this.#order("open", { question }, openMillis))
  }

  async ask<O extends Op>(op: O, args: Questions[O], millis?: number): Promise<Answers[O]> {
    const answer = await this.#order("ask", { op, args, millis }, (millis ?? 0) + patienceMillis)
    return this.#checked(op, answer)
  }

  async fillAll(epoch: number, poison: boolean): Promise<void> {
    await this.#order("fillAll", { epoch, poison })
  }

  async fill(places: Places, epoch: number, poison: boolean): Promise<void> {
    await this.#order("fill", { places: encodePlaces(places), epoch, poison })
  }

  async checkPieces(arrivals: readonly Arrival[], bytesMax: number, from: number): Promise<Checked> {
    return decodeChecked(
      await this.#order("checkPieces", { arrivals: encodeArrivals(arrivals), bytesMax, from }),
    )
  }

  async checkAll(arrivals: readonly Arrival[]): Promise<Checked> {
    return decodeChecked(await this.#order("checkAll", { arrivals: encodeArrivals(arrivals) }))
  }

  async checkSource(epoch: number): Promise<Checked> {
    return decodeChecked(await this.#order("checkSource", { epoch }))
  }

  async pause(): Promise<void> {
    await this.#order("pause", {})
  }

  async resume(): Promise<void> {
    await this.#order("resume", {})
  }

  async kill(): Promise<void> {
    await this.#end("kill")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end("end")
  }

  /** When the other side is gone, so are its drivers. */
  async #end(order: "kill" | "end"): Promise<void> {
    try {
      this.#words = engineLog(String(await this.#order("words", {})))
      await this.#order(order, {})
    } catch {
      // Nobody is there any more.
    }
  }

  #order(name: string, body: object, millis = patienceMillis): Promise<unknown> {
    return this.#link.ask(name, { agent: this.#key, ...body }, millis)
  }

  #checked<O extends Op>(op: O, answer: unknown): Answers[O] {
    const parsed = answerForms[op].safeParse(answer)
    if (parsed.success) return parsed.data as Answers[O]
    throw new DriverFailed("crash", {
      code: "crash",
      text: `the target's answer to ${op} makes no sense`,
      log: "",
    })
  }
}
