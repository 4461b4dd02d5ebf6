import { checkPeer, type PeerPath } from "../judge/peers/check-peer.ts"
import { driverStart } from "../judge/peers/driver-start.ts"
import { whatHelps } from "../judge/peers/find-peer.ts"
import { brokenFolders, installedPeers, peersFolder } from "../judge/peers/peer-store.ts"
import { oneLine, terminalJson } from "../terminal/one-line.ts"
import { styleFor } from "../terminal/style.ts"
import { sizeText } from "../terminal/units.ts"

/** Prints what is installed. Each engine is loaded once: what a machine lacks may have come since. */
export async function listPeers(json: boolean): Promise<void> {
  const root = peersFolder()
  const installed = await Promise.all(
    installedPeers(root).map(async (peer) => {
      const check = await checkPeer(driverStart(peer))
      return { ...peer, ...("error" in check ? { error: check.error, paths: [] } : { paths: check.paths }) }
    }),
  )
  const broken = brokenFolders(root)
  if (json) {
    process.stdout.write(`${terminalJson({ folder: root, installed, broken })}\n`)
    return
  }
  const style = styleFor(process.stdout)
  for (const { family, version, python, bytes, packages, paths, ...rest } of installed) {
    process.stdout.write(`${style.strong(`${family} ${version}`)}  Python ${python}, ${sizeText(bytes)}\n`)
    process.stdout.write(`  ${style.faint(packages.map((name) => oneLine(name, 80)).join(" "))}\n`)
    for (const path of paths) process.stdout.write(`  ${pathText(path)}\n`)
    if ("error" in rest) process.stdout.write(`  ${style.bad("does not load")}: ${rest.error}\n`)
  }
  for (const folder of broken)
    process.stdout.write(`${oneLine(folder, 200)} is no whole peer: kvferry peers remove --all\n`)
  process.stdout.write(
    installed.length === 0
      ? "no peer is installed: kvferry peers install nixl mooncake\n"
      : `in ${oneLine(root, 400)}\n`,
  )
}

/** One line about a path of an engine. */
export function pathText({ path, usable, why }: PeerPath): string {
  const style = styleFor(process.stdout)
  if (usable) return `${path}: ${style.good("loads")}`
  return `${path}: ${style.bad("not here")}${why === undefined ? "" : `: ${why}${whatHelps(why)}`}`
}
