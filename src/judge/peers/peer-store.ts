import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { isAbsolute, join } from "node:path"
import { z } from "zod"
import { asKvError } from "../../errors/kv-error.ts"
import { compareVersions, type PeerFamily, type PeerSpec, peerFamilies } from "./peer-spec.ts"

/** A peer that was installed, as its folder tells. */
export interface InstalledPeer {
  readonly family: PeerFamily
  readonly version: string
  /** Everything of it. */
  readonly folder: string
  readonly installedAt: string
  /** The version of Python that it runs on. */
  readonly python: string
  /** Packages in its environment, "name==version". */
  readonly packages: readonly string[]
  /** Bytes on the disk. */
  readonly bytes: number
  /** Where the environment's packages lie, from `folder`. */
  readonly site: string
}

const manifestFile = "peer.json"
const text = z.string().max(200)
const manifest = z.object({
  schema: z.literal("kvferry/peer/1"),
  family: z.enum(["nixl", "mooncake"]),
  version: text,
  installedAt: text,
  python: text,
  packages: z.array(text).max(100),
  bytes: z.number().int().min(0),
  site: z.string().regex(/^venv(\/(?![.]{1,2}(\/|$))[A-Za-z0-9._-]+)+$/),
})

/** Half made, or half removed: `.making-PID-random`. */
const passing = /^[.](making|removing)-([0-9]+)-[0-9a-f]+$/

/** Where peers are installed: `kvferry/peers` in `XDG_CACHE_HOME`, else in `~/.cache`. Safe to delete. */
export function peersFolder(env: NodeJS.ProcessEnv = process.env): string {
  const named = env["XDG_CACHE_HOME"] ?? ""
  // The specification wants relative ones ignored.
  return join(isAbsolute(named) ? named : join(homedir(), ".cache"), "kvferry", "peers")
}

/** The folder of one peer. */
export const peerFolder = (root: string, family: PeerFamily, version: string): string =>
  join(root, `${family}-${version}`)

/** What is installed, by family, the newest first. Folders that are not whole are left out. */
export function installedPeers(root = peersFolder()): InstalledPeer[] {
  return names(root)
    .flatMap((name) => readPeer(join(root, name)) ?? [])
    .filter(({ folder, family, version }) => folder === peerFolder(root, family, version))
    .sort(
      (a, b) =>
        peerFamilies.indexOf(a.family) - peerFamilies.indexOf(b.family) ||
        compareVersions(b.version, a.version),
    )
}

/** The peer that `spec` names: the newest installed one when it has no version. */
export function installedPeer(spec: PeerSpec, root = peersFolder()): InstalledPeer | undefined {
  return installedPeers(root).find(
    ({ family, version }) =>
      family === spec.family && (spec.version === undefined || compareVersions(version, spec.version) === 0),
  )
}

/** Undefined when the folder has no whole peer in it. */
function readPeer(folder: string): InstalledPeer | undefined {
  try {
    const read = manifest.parse(JSON.parse(readFileSync(join(folder, manifestFile), "utf8")))
    const { schema: _, ...peer } = read
    return { ...peer, folder }
  } catch {
    return undefined
  }
}

export function writeManifest(folder: string, peer: Omit<InstalledPeer, "folder">): void {
  writeFileSync(
    join(folder, manifestFile),
    `${JSON.stringify({ schema: "kvferry/peer/1", ...peer }, null, 2)}\n`,
  )
}

/** An empty folder beside the peers, for one that is being made. @throws KvError KV_OS. */
export function makingFolder(root: string): string {
  const folder = join(root, `.making-${process.pid}-${randomBytes(6).toString("hex")}`)
  try {
    mkdirSync(folder, { recursive: true })
  } catch (thrown) {
    throw asKvError(thrown, "KV_OS", `the folder of the peers cannot be written: ${root}`)
  }
  return folder
}

/** Takes a folder away: at once for whoever looks, then from the disk. False when there was none. */
export function discard(root: string, folder: string): boolean {
  const going = join(root, `.removing-${process.pid}-${randomBytes(6).toString("hex")}`)
  try {
    renameSync(folder, going)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return false
    throw asKvError(thrown, "KV_OS", `${folder} cannot be removed`)
  }
  rmSync(going, { recursive: true, force: true })
  return true
}

/** Removes what processes that are no more have left half made or half removed. */
export function sweep(root: string): void {
  for (const name of names(root)) {
    const pid = passing.exec(name)?.[2]
    if (pid === undefined || alive(Number(pid))) continue
    rmSync(join(root, name), { recursive: true, force: true })
  }
}

/** Folders in `root` that are no peer and that nobody works at. */
export function brokenFolders(root = peersFolder()): string[] {
  const whole = new Set(installedPeers(root).map(({ folder }) => folder))
  return names(root)
    .filter((name) => !passing.test(name))
    .map((name) => join(root, name))
    .filter((folder) => !whole.has(folder))
}

function names(root: string): string[] {
  try {
    return readdirSync(root).sort()
  } catch {
    return []
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM"
  }
}
