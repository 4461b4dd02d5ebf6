import { KvError } from "../errors/kv-error.ts"

/** Where an agent listens. @throws KvError KV_USAGE when the text is not `host:port` or `[ipv6]:port`. */
export function parsePeerAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65535) {
    throw new KvError("KV_USAGE", {
      what: `${JSON.stringify(address.slice(0, 100))} is not HOST:PORT`,
      next: "give the address that the other side prints when it is ready; GET /health of a worker names its agent's",
    })
  }
  return { host: match[1] ?? match[2]!, port }
}
