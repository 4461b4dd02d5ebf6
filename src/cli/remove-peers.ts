import { KvError } from "../errors/kv-error.ts"
import { parsePeerSpec, peerName } from "../judge/peers/peer-spec.ts"
import {
  brokenFolders,
  discard,
  type InstalledPeer,
  installedPeer,
  installedPeers,
  peersFolder,
  sweep,
} from "../judge/peers/peer-store.ts"
import { oneLine } from "../terminal/one-line.ts"

/** Removes the named peers. @throws KvError KV_USAGE when one is not installed: then nothing was removed. */
export function removePeers(names: readonly string[], all: boolean): void {
  if (all === names.length > 0) {
    throw new KvError("KV_USAGE", {
      what: all ? "--all goes without names" : "nothing was named",
      next: "kvferry peers remove nixl==0.6.1, or kvferry peers remove --all",
    })
  }
  const root = peersFolder()
  const going = all ? installedPeers(root) : names.flatMap((name) => named(name, root))
  for (const { family, version, folder } of new Set(going)) {
    if (discard(root, folder)) process.stdout.write(`removed ${family} ${version}\n`)
  }
  if (!all) return
  for (const folder of brokenFolders(root))
    if (discard(root, folder)) process.stdout.write(`removed ${oneLine(folder, 200)}\n`)
  sweep(root)
}

function named(name: string, root: string): InstalledPeer[] {
  const spec = parsePeerSpec(name)
  const found =
    spec.version === undefined
      ? installedPeers(root).filter(({ family }) => family === spec.family)
      : [installedPeer(spec, root)].filter((one) => one !== undefined)
  if (found.length > 0) return found
  const there = installedPeers(root).map(peerName)
  throw new KvError("KV_USAGE", {
    what: `${peerName(spec)} is not installed`,
    why: there.length === 0 ? "no peer is" : `installed are ${there.join(", ")}`,
  })
}
