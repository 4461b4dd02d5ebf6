import type { FabricProvider } from "../config/rdma-settings.ts"
import { KvError } from "../errors/kv-error.ts"
import { transportNames } from "../serve/transports.ts"

/** libfabric's providers for machines without a NIC, as paths: they are no one's default. */
export const providerPaths: Readonly<Record<string, FabricProvider>> = {
  "libfabric-tcp": "tcp",
  "libfabric-shm": "shm",
}

/**
 * Checks a path that kvferry was asked for, before anything is started for it.
 * @param whose how the user wrote it: "kvferry:pigeon", "--paths pigeon".
 * @throws KvError KV_USAGE with the paths that there are.
 */
export function checkKvferryPath(path: string, whose: string, known = transportNames): void {
  if (known.includes(path)) return
  throw new KvError("KV_USAGE", {
    what: `${JSON.stringify(whose.slice(0, 80))}: kvferry has no path ${JSON.stringify(path.slice(0, 40))}`,
    next: `take one of ${known.join(", ")}`,
  })
}

/** What may stand behind "kvferry:". */
export const enginePaths: readonly string[] = [...transportNames, ...Object.keys(providerPaths)]
