import type { ControlChannel } from "../../agent/control-network.ts"
import type { ControlMessage } from "../../wire/control-messages.ts"
import type { SimNetwork } from "../network.ts"
import type { SimProcess } from "../process.ts"
import type { Random } from "../random.ts"
import { Lines, type Manner, type Mask, manners } from "./lines.ts"
import { Speaker } from "./speaker.ts"
import { takeTurn } from "./turn.ts"

/** A stranger with a protocol of its own: whom it plays, and where it leaves the right way. */
export interface Rogue {
  readonly process: SimProcess
  readonly network: SimNetwork
  readonly random: Random
  readonly mask: Mask
  /** True when its credentials are the cluster's: a member with a mistake in it. */
  readonly insider: boolean
  /** A promise was broken: a stranger heard what it should not. */
  readonly onLeak: (what: string) => void
}

/** The turn at which it does something else, and what. */
interface Deviation {
  readonly turn: number
  readonly manner: Manner
}

const drawnDeviation = (random: Random, turns: number): Deviation => ({
  turn: random.below(turns),
  manner: random.pick(manners),
})

/** How long a rogue waits for a connection. Milliseconds. */
const connectMillis = 2000

/** Calls an agent, goes some turns of the handshake as it should, and then does not. */
export async function rogueCaller(rogue: Rogue, host: string, port: number): Promise<void> {
  const { process, network, random, mask } = rogue
  const deviation = drawnDeviation(random, 4)
  const misfit = random.chance(0.3)
  let channel: ControlChannel
  try {
    channel = await network.of(process).connect(host, port, connectMillis)
  } catch {
    return
  }
  const lines = new Lines(mask, random)
  const turn = (number: number, due: ControlMessage): void =>
    takeTurn(speaker, due, number === deviation.turn ? deviation.manner : undefined, rogue)
  const speaker = new Speaker(channel, (message) => {
    if (message.type === "challenge") turn(1, lines.proof(message))
    else if (message.type === "welcome") {
      if (!rogue.insider) rogue.onLeak(`${host}:${port} showed its card to a stranger`)
      const card = misfit ? { ...mask.card, model: "another" } : mask.card
      turn(2, lines.present({ challenge: speaker.last("challenge"), welcome: message, card }))
      // It is in, or not: the next words have no place in either case.
      if (deviation.turn === 3) process.later(random.millis(0, 30), () => turn(3, lines.hello))
    }
  })
  turn(0, lines.hello)
}

/** Listens where agents call, goes some turns of the handshake as it should, and then does not. */
export async function rogueListener(rogue: Rogue, host: string, port: number): Promise<void> {
  const { process, network, random, mask } = rogue
  await network.of(process).listen(host, port, (channel) => {
    const deviation = drawnDeviation(random, 3)
    const misfit = random.chance(0.3)
    const lines = new Lines(misfit ? { ...mask, card: { ...mask.card, model: "another" } } : mask, random)
    const turn = (number: number, due: ControlMessage): void =>
      takeTurn(speaker, due, number === deviation.turn ? deviation.manner : undefined, rogue)
    const speaker = new Speaker(channel, (message) => {
      if (message.type === "hello") turn(0, lines.challenge)
      else if (message.type === "proof" && speaker.has("hello")) {
        turn(1, lines.welcome(speaker.last("hello"), message))
      } else if (message.type === "present" && !rogue.insider) {
        rogue.onLeak("an agent showed its card to a stranger")
      } else if ("call" in message) turn(2, lines.challenge)
    })
  })
}

/** Says to an agent what somebody else once said to one: whole, cut short, or with one byte changed. */
export async function replayer(
  rogue: Rogue,
  host: string,
  port: number,
  recorded: Uint8Array,
): Promise<void> {
  const { process, network, random } = rogue
  let channel: ControlChannel
  try {
    channel = await network.of(process).connect(host, port, connectMillis)
  } catch {
    return
  }
  new Speaker(channel, (message) => {
    if (message.type === "welcome") rogue.onLeak(`${host}:${port} took a replayed handshake for a new one`)
  })
  const bytes = recorded.slice(
    0,
    random.chance(0.5) ? recorded.byteLength : random.below(recorded.byteLength),
  )
  if (bytes.byteLength > 0 && random.chance(0.3))
    bytes[random.below(bytes.byteLength)]! ^= 1 << random.below(8)
  for (let at = 0; at < bytes.byteLength; ) {
    const length = random.between(1, 600)
    const piece = bytes.subarray(at, at + length)
    process.later(random.millis(0, 20) + at / 50, () => channel.send(piece))
    at += length
  }
  process.later(random.millis(30, 400), () => channel.close())
}
