import type { MessageChannel } from "../../../agent/channel.ts"
import { asKvError, KvError, kvErrorFromRecord } from "../../../errors/kv-error.ts"
import { fields, oneOf, whole } from "../../../wire/fields.ts"
import { DriverFailed } from "../../driver/driver-failed.ts"
import { engineLine, engineLog } from "../../driver/engine-text.ts"

/** A question's name and its body, which goes as JSON behind the message. */
export type Answerer = (name: string, body: unknown) => Promise<unknown>

interface Waiting {
  readonly timer: NodeJS.Timeout
  resolve(answer: unknown): void
  reject(error: Error): void
}

const callsMax = 1024

/**
 * Questions and answers between the two hosts of a bench, in the sealed frames of an agent's control channel: what is asked is in
 * the attachment of a notification, which has room for the pieces of any load.
 */
export class FarLink {
  readonly #channel: MessageChannel
  readonly #waiting = new Map<number, Waiting>()
  readonly #answerer: Answerer
  #next = 1
  #lost: KvError | undefined
  #serving = 0

  /** @param channel after its handshake. @param onLost told once when the other side is gone. */
  constructor(channel: MessageChannel, answerer: Answerer, onLost: (error: KvError) => void) {
    this.#channel = channel
    this.#answerer = answerer
    channel.listen(
      ({ message, attachment }) => {
        if (message.type === "refused")
          return channel.close(kvErrorFromRecord(message.error, "KV_PEER_REFUSED"))
        if (message.type !== "notify") {
          const what = `${channel.peer} sent "${message.type}" in a bench`
          return channel.close(new KvError("KV_WIRE_INVALID", { what }))
        }
        this.#hear(message.text, attachment)
      },
      (error) => {
        this.#lost = error
        for (const { timer, reject } of this.#waiting.values()) {
          clearTimeout(timer)
          reject(error)
        }
        this.#waiting.clear()
        onLost(error)
      },
    )
  }

  /** @throws KvError KV_DEADLINE, KV_PEER_LOST, or what the other side failed with; DriverFailed of a driver over there. */
  ask(name: string, body: unknown, millis: number): Promise<unknown> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    const call = this.#next++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(call)
        const what = `${this.#channel.peer} did not answer "${name}" within ${millis} ms`
        reject(
          new KvError("KV_DEADLINE", {
            what,
            next: "check that the other host is not stopped or overloaded",
          }),
        )
      }, millis)
      this.#waiting.set(call, { timer, resolve, reject })
      this.#send({ call, kind: "ask" }, { name, body })
    })
  }

  close(error?: KvError): void {
    this.#channel.close(error)
  }

  #hear(text: string, attachment: Uint8Array): void {
    try {
      const head = fields(JSON.parse(text), "bench message")
      const call = whole(head, "call")
      const kind = oneOf(head, "kind", ["ask", "answer", "failed"])
      const body: unknown = JSON.parse(Buffer.from(attachment).toString("utf8"))
      if (kind === "ask") void this.#serve(call, body)
      else this.#settle(call, kind, body)
    } catch (thrown) {
      this.#channel.close(
        asKvError(thrown, "KV_WIRE_INVALID", `${this.#channel.peer} sent what is no message of a bench`),
      )
    }
  }

  async #serve(call: number, question: unknown): Promise<void> {
    this.#serving += 1
    try {
      if (this.#serving > callsMax)
        throw new KvError("KV_LIMIT", { what: `${callsMax} questions wait already` })
      const { name, body } = fields(question, "question")
      const answer = await this.#answerer(String(name), body)
      this.#send({ call, kind: "answer" }, { answer: answer ?? null })
    } catch (thrown) {
      this.#send({ call, kind: "failed" }, failureRecord(thrown))
    } finally {
      this.#serving -= 1
    }
  }

  #settle(call: number, kind: "answer" | "failed", body: unknown): void {
    const waiting = this.#waiting.get(call)
    // An answer that comes after its question was given up.
    if (waiting === undefined) return
    this.#waiting.delete(call)
    clearTimeout(waiting.timer)
    if (kind === "answer") waiting.resolve(fields(body, "answer")["answer"])
    else waiting.reject(failureOf(body))
  }

  #send(head: { readonly call: number; readonly kind: string }, body: unknown): void {
    const attachment = new TextEncoder().encode(JSON.stringify(body))
    this.#channel.send({ type: "notify", text: JSON.stringify(head) }, attachment)
  }
}

function failureRecord(thrown: unknown): object {
  if (thrown instanceof DriverFailed) {
    const { kind, code, text, log } = thrown
    return { driver: { kind, code, text, log } }
  }
  return { error: asKvError(thrown, "KV_INTERNAL", "the target of a bench failed").toJSON() }
}

function failureOf(body: unknown): Error {
  const { driver, error } = fields(body, "failure")
  if (driver === undefined) return kvErrorFromRecord(error, "KV_PEER_LOST")
  const said = fields(driver, "driver's failure")
  const kind = oneOf(said, "kind", ["error", "hang", "crash"])
  const text = (name: string): string => engineLine(String(said[name] ?? ""), 4096)
  const log = engineLog(String(said["log"] ?? ""))
  return new DriverFailed(kind, { code: text("code"), text: text("text"), log })
}
