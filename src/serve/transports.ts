import { KvError } from "../errors/kv-error.ts"
import { loopback } from "../transport/loopback/loopback.ts"
import { tcp } from "../transport/tcp/tcp.ts"
import type { Endpoint, Transport } from "../transport/transport.ts"

/** Every transport there is, in the order of preference. A new one is added here. */
export const transports: readonly Transport[] = [loopback, tcp]

/** Their names, for help texts and the default policy. */
export const transportNames: readonly string[] = transports.map(({ name }) => name)

/**
 * Opens the transports that a path policy names, in its order.
 * @throws KvError KV_USAGE for an unknown name; whatever a transport answers when it cannot be opened.
 */
export async function openPaths(
  paths: readonly string[],
  options: { readonly host: string; readonly rails: number },
): Promise<Endpoint[]> {
  const chosen = paths.map((path) => {
    const transport = transports.find(({ name }) => name === path)
    if (transport !== undefined) return transport
    throw new KvError("KV_USAGE", {
      what: `there is no transport ${JSON.stringify(path.slice(0, 40))}`,
      next: `--paths takes a list of: ${transportNames.join(", ")}`,
    })
  })
  const endpoints: Endpoint[] = []
  try {
    for (const transport of chosen) endpoints.push(await transport.open(options))
  } catch (thrown) {
    await Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()))
    throw thrown
  }
  return endpoints
}
