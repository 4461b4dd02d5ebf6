import type { EngineSpec } from "../judge/engine-spec.ts"
import { type Installed, installPeer } from "../judge/peers/install-peer.ts"
import { type PeerSpec, parsePeerSpec } from "../judge/peers/peer-spec.ts"
import { type InstalledPeer, installedPeer, peersFolder } from "../judge/peers/peer-store.ts"
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
  const done: object[] = []
  for (const spec of specs) {
    const { peer, already, paths } = await install(spec, python, signal)
    done.push({ ...peer, already, paths })
    if (json) continue
    process.stdout.write(`${installedText(peer, already)}\n`)
    for (const path of paths) process.stdout.write(`  ${pathText(path)}\n`)
  }
  if (json) process.stdout.write(`${terminalJson({ folder: peersFolder(), installed: done })}\n`)
  else process.stdout.write(`in ${peersFolder()}; next: kvferry verify --engines ${names[0]}\n`)
}

/**
 * Installs what the named engines need and is not there. A Python of the user's that has peers is asked before any of ours.
 * @throws KvError of the first that fails.
 */
export async function installMissingPeers(
  engines: readonly EngineSpec[],
  signal: AbortSignal,
): Promise<void> {
  if ((process.env["KVFERRY_PEERS_PYTHON"] ?? "") !== "") return
  for (const { family, version } of engines) {
    if (family === "kvferry") continue
    const spec = { family, ...(version === undefined ? {} : { version }) }
    if (installedPeer(spec) !== undefined) continue
    const { peer, already } = await install(spec, "python3", signal)
    process.stderr.write(`${installedText(peer, already)}\n`)
  }
}

async function install(spec: PeerSpec, python: string, signal: AbortSignal): Promise<Installed> {
  const progress = progressOn(process.stderr)
  try {
    return await installPeer(spec, { python, progress, signal })
  } finally {
    progress.end()
  }
}

const installedText = ({ family, version, bytes, python }: InstalledPeer, already: boolean): string =>
  `${family} ${version}: ${already ? "was installed before" : `installed, ${sizeText(bytes)}`}, Python ${python}`
