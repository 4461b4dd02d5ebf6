import { asKvError, KvError, type KvErrorRecord } from "../errors/kv-error.ts"
import type { Party } from "../receipt/receipt.ts"
import type { Endpoint, Session } from "../transport/transport.ts"
import { type Card, cardVersion, noCacheLayout } from "../wire/card.ts"
import type { Grant } from "../wire/grant.ts"
import { Calls } from "./calls.ts"
import { MessageChannel } from "./channel.ts"
import type { Clock, ControlNetwork } from "./control-network.ts"
import type { AuthenticatedPeer } from "./credentials.ts"
import { type GreetOptions, greetAsCaller } from "./greet.ts"
import { parsePeerAddress } from "./peer-address.ts"
import {
  isPathFailure,
  type PathCandidate,
  type PathPolicy,
  type RefusedPath,
  rankPaths,
} from "./rank-paths.ts"

/** What an observer brings: names and credentials for the handshake, and the fabrics that it has open. */
export interface ExplainOptions extends Pick<GreetOptions, "credentials" | "clock" | "timeoutMillis"> {
  readonly party: Party
  readonly endpoints: readonly Endpoint[]
  readonly policy: PathPolicy
  readonly network: ControlNetwork
}

/** What came of connecting over one path. */
export type ConnectOutcome =
  | { readonly connected: true; readonly micros: number }
  | { readonly connected: false; readonly error: KvErrorRecord }

/** A candidate; over one that reaches the peer it was really tried to connect. */
export type ExplainedPath = PathCandidate & { readonly outcome?: ConnectOutcome }

/** What a peer says of itself, and every way to it. Times in microseconds. */
export interface Explanation {
  readonly card: Card
  /** What it proved, and who that is by this side's own list. */
  readonly peer: AuthenticatedPeer
  readonly grant: Grant
  readonly candidates: readonly ExplainedPath[]
  /** To reach the agent, prove both sides, and read its card. */
  readonly handshakeMicros: number
}

/** A card that says nothing: the mirror's is shown in its place. */
const nobody: Card = {
  version: cardVersion,
  agentId: "",
  bootId: "",
  pid: 0,
  software: "",
  model: "",
  layout: noCacheLayout,
  transports: [],
}

/** Time for one path to connect: all of them must fit into the listener's patience with a handshake. */
const connectMillis = 2000

/**
 * Looks at a peer without taking part: authenticates, reads its card, judges every path, connects over each usable
 * one, and leaves. Nothing is claimed and no byte of a cache is read, so the peer may hold another model.
 *
 * @throws KvError KV_USAGE, KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_PEER_LOST, KV_DEADLINE.
 */
export async function explainPeer(address: string, options: ExplainOptions): Promise<Explanation> {
  const { host, port } = parsePeerAddress(address)
  const { clock, network, timeoutMillis } = options
  const startedAt = clock.now()
  const channel = new MessageChannel(await network.connect(host, port, timeoutMillis))
  const left = Math.max(1, startedAt + timeoutMillis - clock.now())
  const { party, credentials } = options
  const mirror = (theirs: Card): Card => ({ ...theirs, ...party, transports: [] })
  const { card, session, peer } = await greetAsCaller(channel, {
    credentials,
    clock,
    timeoutMillis: left,
    card: { ...nobody, ...party },
    mirror,
  })
  const handshakeMicros = Math.round((clock.now() - startedAt) * 1000)
  try {
    const calls = new Calls(channel, clock, card.agentId)
    channel.listen(
      ({ message: answer, attachment }) => void calls.take(answer, attachment),
      (error) => calls.end(error),
    )
    const { message } = await calls.ask((call) => ({ type: "ask-grant", call, direction: "read" }), "grant", {
      deadline: startedAt + timeoutMillis,
    })
    const { grant } = message
    const offered = grant.endpoints.map((endpoint) => endpoint.address)
    const reached = rankPaths(options.endpoints, offered, options.policy).candidates
    const outcomes = new Map<string, ConnectOutcome>()
    for (const { transport, usable } of reached) {
      const endpoint = options.endpoints.find((open) => open.transport === transport)
      if (!usable || endpoint === undefined) continue
      outcomes.set(transport, await connectOver(endpoint, grant, session, channel.peerHost, clock))
    }
    // As an agent does: one that did not connect leaves its place to the next.
    const policy = { ...options.policy, failed: failuresOf(outcomes) }
    const { candidates } = rankPaths(options.endpoints, offered, policy)
    const explained = candidates.map((candidate): ExplainedPath => {
      const outcome = outcomes.get(candidate.transport)
      return outcome === undefined ? candidate : { ...candidate, outcome }
    })
    return { card, peer, grant, candidates: explained, handshakeMicros }
  } finally {
    channel.close()
  }
}

/** The paths that do not work here, with their errors. */
function failuresOf(outcomes: ReadonlyMap<string, ConnectOutcome>): RefusedPath[] {
  return [...outcomes].flatMap(([transport, outcome]) =>
    outcome.connected || !isPathFailure(outcome.error.code)
      ? []
      : [{ transport, error: new KvError(outcome.error.code, outcome.error) }],
  )
}

/** Connects over one path and leaves again. Never rejects: what went wrong is the answer. */
async function connectOver(
  endpoint: Endpoint,
  grant: Grant,
  session: Session,
  peerHost: string,
  clock: Clock,
): Promise<ConnectOutcome> {
  const startedAt = clock.now()
  try {
    const remote = grant.endpoints.find(({ address }) => address.transport === endpoint.transport)!
    const deadline = startedAt + connectMillis
    await using _ = await endpoint.connect(session, remote.address, {
      deadline,
      peerHost,
      regions: remote.regions,
    })
    return { connected: true, micros: Math.round((clock.now() - startedAt) * 1000) }
  } catch (thrown) {
    const error = asKvError(thrown, "KV_INTERNAL", `${endpoint.transport} did not connect`)
    return { connected: false, error: error.toJSON() }
  }
}
