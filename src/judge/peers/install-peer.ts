import { mkdirSync, renameSync, statfsSync } from "node:fs"
import { join, relative } from "node:path"
import { z } from "zod"
import { asKvError, KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import type { Progress } from "../../terminal/progress.ts"
import { sizeText } from "../../terminal/units.ts"
import { checkPeer, type PeerPath } from "./check-peer.ts"
import { driverStart } from "./driver-start.ts"
import { bytesBelow } from "./folder-size.ts"
import { type PeerSpec, peerName } from "./peer-spec.ts"
import {
  discard,
  type InstalledPeer,
  installedPeer,
  makingFolder,
  peerFolder,
  peersFolder,
  sweep,
  writeManifest,
} from "./peer-store.ts"
import { pipInstall } from "./pip.ts"
import { basePython } from "./python.ts"
import { requirements } from "./requirements.ts"
import { runCommand } from "./run-command.ts"
import { cudaDriver, writeStandInCuda } from "./stand-in-cuda.ts"

export interface InstallOptions {
  /** The Python that the environment is made with. */
  readonly python: string
  readonly progress: Progress
  readonly signal?: AbortSignal
  readonly root?: string
}

/** A peer that is installed now. */
export interface Installed {
  readonly peer: InstalledPeer
  /** It was there before. */
  readonly already: boolean
  readonly paths: readonly PeerPath[]
}

/**
 * Installs a peer into an environment of its own, and lets its engine load once.
 *
 * It is made under another name and gets its own at the end: a peer is there whole or not at all. Of two that install the
 * same one at the same time, the first to finish wins, and the other uses that one.
 *
 * @throws KvError KV_USAGE for a version that does not exist; KV_PEER_UNREACHABLE without a package index; KV_OS without a
 *   Python, room or rights; KV_TRANSPORT_UNAVAILABLE when the engine does not load here; KV_CANCELLED.
 */
export async function installPeer(spec: PeerSpec, options: InstallOptions): Promise<Installed> {
  const { signal, root = peersFolder() } = options
  const before = spec.version === undefined ? undefined : installedPeer(spec, root)
  if (before !== undefined) return { peer: before, already: true, paths: await pathsOf(before, signal) }
  options.progress.update("looking for Python")
  const base = await basePython(options.python, signal)
  sweep(root)
  const folder = makingFolder(root)
  try {
    requireRoom(spec, root)
    const made = await fill(spec, folder, {
      ...options,
      base: base.command,
      pythonVersion: base.version,
      root,
    })
    if ("there" in made) return { peer: made.there, already: true, paths: await pathsOf(made.there, signal) }
    const final = peerFolder(root, made.peer.family, made.peer.version)
    return { ...named(folder, final, root, made.peer), paths: made.paths }
  } catch (thrown) {
    throw asKvError(thrown, "KV_OS", `${peerName(spec)} was not installed`)
  } finally {
    discard(root, folder)
  }
}

/** Gives a finished folder its name. Another process may have been faster. */
function named(
  folder: string,
  final: string,
  root: string,
  { family, version }: PeerSpec & { version: string },
): { readonly peer: InstalledPeer; readonly already: boolean } {
  const theirs = (): InstalledPeer | undefined => installedPeer({ family, version }, root)
  let already = false
  try {
    renameSync(folder, final)
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw thrown
    already = theirs() !== undefined
    if (!already) {
      // What has the name is no whole peer: nobody can be using it.
      discard(root, final)
      renameSync(folder, final)
    }
  }
  return { peer: theirs()!, already }
}

type Filled =
  | { readonly peer: InstalledPeer; readonly paths: readonly PeerPath[] }
  | { readonly there: InstalledPeer }

async function fill(
  spec: PeerSpec,
  folder: string,
  options: InstallOptions & { base: string; pythonVersion: string; root: string },
): Promise<Filled> {
  const { progress, signal, base, root } = options
  const needs = requirements[spec.family]
  progress.update("making an environment")
  const environment = join(folder, "venv")
  const made = await runCommand(base, ["-I", "-m", "venv", environment], { env: process.env, signal })
  if (made.code !== 0) {
    throw new KvError("KV_OS", {
      what: `${oneLine(base, 120)} could not make an environment in ${folder}`,
      why: oneLine(made.output.trim().split("\n").at(-1) ?? "", 300),
      next: "on Debian and Ubuntu: apt-get install python3-venv",
    })
  }
  const python = join(environment, "bin", "python")
  const temporary = join(folder, "tmp")
  mkdirSync(temporary)
  const pip = { python, temporary, folder: root, progress, signal }
  const main = spec.version === undefined ? needs.main : `${needs.main}==${spec.version}`
  await pipInstall([main], pip)
  const version = (await environmentOf(python, needs.main, signal)).version
  const there = installedPeer({ family: spec.family, version }, root)
  if (there !== undefined) return { there }
  const companions = needs.companions(version)
  if (companions.length > 0) {
    await pipInstall(
      companions.map(({ name, version: pinned }) => (pinned === undefined ? name : `${name}==${pinned}`)),
      pip,
    )
  }
  discard(root, temporary)
  const { site, packages } = await environmentOf(python, needs.main, signal)
  progress.update("writing what stands in for missing libraries")
  if (needs.standInCuda) writeStandInCuda(site, join(folder, cudaDriver))
  const peer: InstalledPeer = {
    family: spec.family,
    version,
    folder,
    installedAt: new Date().toISOString(),
    python: options.pythonVersion,
    packages,
    bytes: bytesBelow(folder),
    site: relative(folder, site),
  }
  progress.update(`loading ${needs.main} ${version}`)
  const paths = await loaded(peer, signal)
  const { folder: _, ...facts } = peer
  writeManifest(folder, facts)
  return { peer, paths }
}

/** Lets the engine load. @throws KvError KV_TRANSPORT_UNAVAILABLE when no path of it can be had. */
async function loaded(peer: InstalledPeer, signal: AbortSignal | undefined): Promise<readonly PeerPath[]> {
  const check = await checkPeer(driverStart(peer), signal)
  const paths = "error" in check ? [] : check.paths
  if (paths.some(({ usable }) => usable)) return paths
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `${peer.family} ${peer.version} was downloaded, but does not load on this machine`,
    why: "error" in check ? check.error : paths.map(({ path, why }) => `${path}: ${why ?? "no"}`).join("; "),
    next: "install what is missing and run it again (pip keeps what it has downloaded), or take another version",
  })
}

async function pathsOf(peer: InstalledPeer, signal: AbortSignal | undefined): Promise<readonly PeerPath[]> {
  const check = await checkPeer(driverStart(peer), signal)
  return "error" in check ? [] : check.paths
}

function requireRoom(spec: PeerSpec, root: string): void {
  const { bavail, bsize } = statfsSync(root)
  const { diskBytes } = requirements[spec.family]
  if (bavail * bsize >= diskBytes) return
  throw new KvError("KV_OS", {
    what: `${root} has ${sizeText(bavail * bsize)} left; ${peerName(spec)} may need ${sizeText(diskBytes)} while it is installed`,
    next: "make room there, or set XDG_CACHE_HOME to a folder on another disk",
  })
}

const told = z.object({
  version: z.string().regex(/^[0-9][0-9A-Za-z.+]{0,60}$/),
  site: z.string().max(4096),
  packages: z.array(z.string().max(200)).max(100),
})

const question = `
import importlib.metadata as m, json, sys, sysconfig
kept = [(d.metadata["Name"], d.version) for d in m.distributions()]
kept = sorted("%s==%s" % p for p in kept if p[0] not in ("pip", "setuptools", "wheel"))
print(json.dumps({"version": m.version(sys.argv[1]), "site": sysconfig.get_paths()["platlib"], "packages": kept}))`

/** What is in an environment. @throws KvError KV_OS when its Python does not say. */
async function environmentOf(
  python: string,
  main: string,
  signal: AbortSignal | undefined,
): Promise<z.infer<typeof told>> {
  const { stdout, output } = await runCommand(python, ["-I", "-c", question, main], {
    env: process.env,
    signal,
  })
  try {
    return told.parse(JSON.parse(stdout))
  } catch (thrown) {
    throw new KvError("KV_OS", {
      what: `the environment of ${main} does not say what is in it`,
      why: oneLine(output.trim().split("\n").at(-1) ?? "", 300),
      cause: thrown,
    })
  }
}
