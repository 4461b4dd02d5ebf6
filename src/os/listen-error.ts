import { KvError } from "../errors/kv-error.ts"

/** What the system says of an address that is not this machine's. */
const elsewhere: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EINVAL"])

/** Why a server of Node's could not listen: KV_PORT_IN_USE, or KV_OS for anything else. */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number): KvError {
  const inUse = error.code === "EADDRINUSE"
  return new KvError(inUse ? "KV_PORT_IN_USE" : "KV_OS", {
    what: `cannot listen on ${host} port ${port}`,
    why: inUse ? "another process listens there" : error.message,
    next: elsewhere.has(error.code ?? "")
      ? "name an address of this machine: ip address shows them"
      : "choose another port, or 0 for a free one",
    cause: error,
  })
}
