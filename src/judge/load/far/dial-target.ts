import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { isIP } from "node:net"
import { MessageChannel } from "../../../agent/channel.ts"
import type { Credentials } from "../../../agent/credentials.ts"
import { greetAsCaller } from "../../../agent/greet.ts"
import { parsePeerAddress } from "../../../agent/peer-address.ts"
import { availableBytes } from "../../../bench/machine.ts"
import { KvError } from "../../../errors/kv-error.ts"
import { monotonicClock } from "../../../os/clock.ts"
import { tcpControlNetwork } from "../../../os/control-net.ts"
import { softwareVersion } from "../../../serve/version.ts"
import { secretVariable } from "../../engines/secret-variable.ts"
import { lineRateText, ownNics } from "../line-rates.ts"
import type { LoadAgent } from "../load-agent.ts"
import { type Placement, startHere } from "../open-engines.ts"
import { benchCard, checkSameVersion } from "./bench-card.ts"
import { FarAgent } from "./far-agent.ts"
import { FarLink } from "./far-link.ts"
import { type FarFacts, ownIdentity } from "./far-session.ts"

const dialMillis = 5000
const secretBytes = 32

/** A target that was reached: agents of its side run over there, the others here. */
export interface FarPlacement extends Placement, AsyncDisposable {
  readonly facts: FarFacts
  /** True when both sides share one machine's memory. */
  readonly sameMachine: boolean
}

/**
 * Calls a target, proves this side to it and it to this side, and compares versions.
 *
 * The side that posts runs here: decode for a read, prefill for a write.
 * @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_DEADLINE, KV_USAGE.
 */
export async function dialTarget(
  address: string,
  options: {
    readonly credentials: Credentials
    readonly op: "read" | "write"
    readonly software?: string
  },
): Promise<FarPlacement> {
  const { host, port } = parsePeerAddress(address)
  const ours = benchCard("initiator", options.software ?? softwareVersion())
  const channel = new MessageChannel(await tcpControlNetwork.connect(host, port, dialMillis))
  const { card } = await greetAsCaller(channel, {
    card: ours,
    credentials: options.credentials,
    clock: monotonicClock,
    timeoutMillis: dialMillis,
  })
  try {
    checkSameVersion("this initiator", ours, "the target", card)
  } catch (thrown) {
    channel.close(thrown instanceof KvError ? thrown : undefined)
    throw thrown
  }
  const link = new FarLink(
    channel,
    () => Promise.reject(unasked(address)),
    () => {},
  )
  const facts = (await link.ask("facts", {}, dialMillis)) as FarFacts
  const secret = randomBytes(secretBytes).toString("hex")
  const near = await localAddressTowards(channel.peerHost, port)
  const farSide = options.op === "read" ? "prefill" : "decode"
  let started = 0
  const sameMachine = facts.identity === ownIdentity() && facts.identity !== "unknown"
  return {
    facts,
    sameMachine,
    // Both sides have pools of one size. The smaller host decides, and where both are one, they share its memory.
    available: sameMachine ? availableBytes() : 2 * Math.min(availableBytes(), facts.availableBytes),
    nics:
      farSide === "prefill"
        ? { prefill: facts.nics, decode: ownNics() }
        : { prefill: ownNics(), decode: facts.nics },
    secrets: [secret, ...(options.credentials.secret === undefined ? [] : [options.credentials.secret])],
    notes: sameMachine ? ["the target is a process of this machine"] : farNotes(facts),
    start: async (spec, dealt, load, pattern, { devices, verbose }) => {
      const env = { [secretVariable]: secret, ...(devices === undefined ? {} : { KVFERRY_DEVICES: devices }) }
      if (dealt.side !== farSide) return startHere(spec, dealt, load, pattern, { env, verbose })
      const agent = `${spec.name} ${dealt.name} ${started++}`
      const { agents } = load
      const order = { agent, engine: spec.name, dealt, agents, seed: pattern.seed, secret, devices, verbose }
      await link.ask("start", order, dialMillis + 60_000)
      return new FarAgent(link, agent, dealt)
    },
    hostOf: (agent: LoadAgent) => (agent instanceof FarAgent ? channel.peerHost : near),
    [Symbol.asyncDispose]: async () => link.close(),
  }
}

function farNotes({ machine, rates }: FarFacts): string[] {
  const { cpuModel, cores, kernel, virtual } = machine
  return [
    `target: ${cpuModel}, ${cores} cores, ${virtual}, Linux ${kernel}; ${lineRateText(rates)}`,
    "memcpy is this host's alone: between two hosts the line rate bounds",
  ]
}

/** The address of ours that the way to another host begins at. Nothing is sent. */
async function localAddressTowards(host: string, port: number): Promise<string> {
  const socket = createSocket(isIP(host) === 6 ? "udp6" : "udp4")
  try {
    socket.connect(port, host)
    await once(socket, "connect")
    return socket.address().address
  } finally {
    socket.close()
  }
}

const unasked = (address: string): KvError =>
  new KvError("KV_WIRE_INVALID", { what: `${address} asks, where it should answer` })
