/**
 * The entry of one process of the benchmark.
 *
 * It answers questions over the channel to its parent, and dies with that channel: by SIGKILL, because its threads may
 * wait in native calls that nothing else ends. It owns nothing that outlives it.
 */
import { asKvError } from "../../errors/kv-error.ts"
import { Side } from "./side.ts"
import type { Question, SideAnswers, SideQuestions, SideReply, SideRequest } from "./side-messages.ts"

let side: Side | undefined

type Answerer<Q extends Question> = (options: SideQuestions[Q]) => SideAnswers[Q] | Promise<SideAnswers[Q]>

const answerers: { readonly [Q in Question]: Answerer<Q> } = {
  open: (options) => {
    side = new Side(options)
    return true
  },
  offer: ({ lane, peers }) => opened().ways.offer(lane, peers),
  reach: async (offer) => {
    await opened().ways.reach(offer)
    return true as const
  },
  offerAgent: (options) => opened().offerAgent(options),
  reachAgent: async (offer) => {
    await opened().agents.reach(offer)
    return true as const
  },
  offerCeilings: (options) => opened().offerCeilings(options),
  reachCeilings: async (options) => {
    await opened().reachCeilings(options)
    return true as const
  },
  wipe: (options) => {
    opened().wipe(options)
    return true
  },
  move: (options) => opened().move(options),
  crowd: (options) => opened().crowd(options),
  tickets: (options) => opened().tickets(options),
  attachments: (options) => opened().attachments(options),
  check: (options) => opened().check(options),
  plan: (options) => opened().plan(options),
  hash: (options) => opened().hash(options),
  places: () => opened().places,
  cpu: () => {
    const { user, system } = process.cpuUsage()
    return { micros: user + system }
  },
  end: () => {
    setImmediate(() => process.exit(0))
    return true
  },
}

// A Ctrl-C of the terminal reaches this process too. Its parent hears it and ends both.
process.on("SIGINT", () => {})
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"))
process.on("message", (request: SideRequest) => void answer(request))

async function answer<Q extends Question>({ call, question, options }: SideRequest<Q>): Promise<void> {
  try {
    reply({ call, answer: await answerers[question](options) })
  } catch (thrown) {
    const error = asKvError(thrown, "KV_INTERNAL", `a process of the bench failed at "${question}"`)
    reply({ call, error: error.toJSON() })
  }
}

function reply(message: SideReply): void {
  process.send?.(message)
}

function opened(): Side {
  if (side === undefined) throw new Error("open comes first")
  return side
}
