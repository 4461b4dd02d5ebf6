import { MessageChannel } from "../../agent/channel.ts"
import { type GreetOptions, greetAsListener } from "../../agent/greet.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { Rogue } from "./rogues.ts"

/** Longest that its fabrics take to let a session in, and how often they do not. */
const admission = { millisMost: 80, refused: 0.25 } as const

/**
 * An honest listener whose fabrics take their time to let a session in, or do not: the agents of today admit nobody
 * before there is a grant, so they never wait here.
 */
export async function doorkeeper(
  { process, network, random, mask }: Rogue,
  at: { readonly host: string; readonly port: number },
  onStep: NonNullable<GreetOptions["onStep"]>,
): Promise<void> {
  await network.of(process).listen(at.host, at.port, (raw) => {
    const channel = new MessageChannel(raw)
    greetAsListener(channel, {
      ...mask,
      clock: process.clock,
      timeoutMillis: random.between(5, 120),
      random: (bytes) => Uint8Array.from({ length: bytes }, () => random.below(256)),
      onStep,
      admit: () =>
        new Promise((resolve, reject) => {
          const refused = random.chance(admission.refused)
          process.later(random.millis(0, admission.millisMost), () => {
            if (!refused) resolve()
            else reject(new KvError("KV_LIMIT", { what: "the fabric has no room for another session" }))
          })
        }),
    }).then(
      () => channel.close(),
      (thrown: unknown) => {
        if (!(thrown instanceof KvError)) throw thrown
        channel.close()
      },
    )
  })
}
