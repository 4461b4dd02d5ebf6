import type { SideChannel } from "./side-channel.ts"
import { readSideMessage, type SideMessage } from "./side-messages.ts"

/** Questions of one side on a channel: each has an answer, or an end in time. What is no answer goes to `hear`. */
export class SideCalls {
  readonly #channel: SideChannel
  readonly #waiting = new Map<number, (answer: SideMessage | undefined) => void>()
  #next = 1

  constructor(channel: SideChannel, hear: (message: SideMessage) => void) {
    this.#channel = channel
    channel.listen((value) => {
      const message = readSideMessage(value)
      if (isAnswer(message)) this.#waiting.get(message.call)?.(message)
      else hear(message)
    })
    void channel.ended.then(() => {
      for (const answered of this.#waiting.values()) answered(undefined)
    })
  }

  get peerHost(): string {
    return this.#channel.peerHost
  }

  /** Resolves with the answer; with undefined when there is none in time, or no channel any more. */
  ask(question: (call: number) => SideMessage, millisMax: number): Promise<SideMessage | undefined> {
    const call = this.#next++
    return new Promise((resolve) => {
      const answered = (answer: SideMessage | undefined): void => {
        clearTimeout(timer)
        this.#waiting.delete(call)
        resolve(answer)
      }
      const timer = setTimeout(() => answered(undefined), Math.max(1, millisMax))
      if (!this.#channel.open) return answered(undefined)
      this.#waiting.set(call, answered)
      this.#channel.send(question(call))
    })
  }
}

type Answer = Extract<SideMessage, { type: "opened" | "not-opened" | "because" | "left" }>

const isAnswer = (message: SideMessage): message is Answer =>
  message.type === "opened" ||
  message.type === "not-opened" ||
  message.type === "because" ||
  message.type === "left"
