import { installPeer } from "../judge/peers/install-peer.ts"
import { parsePeerSpec } from "../judge/peers/peer-spec.ts"
import { peersFolder } from "../judge/peers/peer-store.ts"
import { terminalJson } from "../terminal/one-line.ts"
import { progressOn } from "../terminal/progress.ts"
import { sizeText } from "../terminal/units.ts"
import { interruption } from "./lifetime.ts"
import { pathText } from "./list-peers.ts"

/** Installs the named peers one after the other. @throws KvError of the first that fails. */
export async function installPeers(
  names: readonly string[],
  { python, json }: { readonly python: string; readonly json: boolean },
): Promise<void> {
  const specs = names.map(parsePeerSpec)
  const signal = interruption()
  const progress = progressOn(process.stderr)
  const done: object[] = []
  for (const spec of specs) {
    try {
      const { peer, already, paths } = await installPeer(spec, { python, progress, signal })
      progress.end()
      done.push({ ...peer, already, paths })
      if (json) continue
      const size = already ? "was installed before" : `installed, ${sizeText(peer.bytes)}`
      process.stdout.write(`${peer.family} ${peer.version}: ${size}, Python ${peer.python}\n`)
      for (const path of paths) process.stdout.write(`  ${pathText(path)}\n`)
    } finally {
      progress.end()
    }
  }
  if (json) process.stdout.write(`${terminalJson({ folder: peersFolder(), installed: done })}\n`)
  else process.stdout.write(`in ${peersFolder()}; next: kvferry verify --engines ${names[0]}\n`)
}
