import { terminalJson } from "../../terminal/one-line.ts"
import type { LoadDocument } from "../load-document.ts"
import { liar } from "../run/judge-liar.test.kit.ts"
import { type BenchedLoad, type BenchOptions, benchLoad } from "./bench-load.ts"
import { type LoadFlags, loadRequest } from "./load-request.ts"
import { printedLoad } from "./load-schema.test.kit.ts"
import { LocalAgent } from "./local-agent.ts"
import { onThisMachine, type Placement } from "./open-engines.ts"

/** A load of some kilobytes. */
export const tiny: LoadFlags = { blockBytes: 4096, numBlocks: 20, blocks: 3, rounds: 3, duration: 0.03 }

/** Agents of this machine; those of the engine `kvferry` tell a lie, or none. */
export const liars = (lie: string): Placement => ({
  ...onThisMachine,
  start: (_, dealt, { agents }, pattern) => LocalAgent.start(liar(lie), dealt, agents, pattern),
})

/** Runs a tiny load, of kvferry unless told. Whatever comes of it, its document is one by the published schema. */
export async function benchTiny(
  flags: LoadFlags = {},
  options: Partial<BenchOptions> = {},
): Promise<BenchedLoad> {
  const benched = await benchLoad(loadRequest({ ...tiny, ...flags }), {
    placement: onThisMachine,
    signal: new AbortController().signal,
    onStep: () => {},
    ...options,
  })
  printedLoad(terminalJson(benched.document))
  return benched
}

/** The result of one engine. */
export function resultOf({ results }: LoadDocument, engine: string): LoadDocument["results"][number] {
  const found = results.find((result) => result.engine === engine)
  if (found === undefined)
    throw new Error(`no ${engine} among ${results.map((one) => one.engine).join(", ")}`)
  return found
}
