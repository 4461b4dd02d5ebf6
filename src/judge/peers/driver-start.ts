import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import { type DriverStart, driverFolder } from "./check-peer.ts"
import type { PeerFamily } from "./peer-spec.ts"
import type { InstalledPeer } from "./peer-store.ts"
import { requirements } from "./requirements.ts"
import { cudaDriver, hasCudaDriver } from "./stand-in-cuda.ts"

export interface DriverChoice {
  /** The engine's path or backend. */
  readonly path?: string | undefined
  /** A libfabric that the user names, for engines that bring none. */
  readonly libfabric?: string | undefined
}

/**
 * How the driver of an installed peer is started.
 *
 * Libraries of the machine come first; where it has none of a name, the peer's own is loaded. The stand-in for a GPU's driver
 * is not even named where the machine has that driver.
 */
export function driverStart(
  peer: InstalledPeer,
  { path, libfabric = namedLibfabric() }: DriverChoice = {},
  user: NodeJS.ProcessEnv = process.env,
): DriverStart {
  const { family, version, folder } = peer
  const { driver, libraries, environment } = requirements[family]
  const standIn = join(folder, cudaDriver)
  const args = [
    ...(existsSync(standIn) && !hasCudaDriver() ? ["--else", `${cudaDriver}=${standIn}`] : []),
    ...libraries.flatMap(({ name, below }) => ["--else", `${name}=${join(folder, peer.site, below, name)}`]),
    ...(libfabric === undefined || !wantsLibfabric(family, path) ? [] : ["--load", libfabric]),
  ]
  return {
    // Settings and packages of the user's own Python stay out.
    python: join(folder, "venv", "bin", "python"),
    args: ["-E", "-s", "-B", join(driverFolder, driver), ...args],
    env: unlessSet(environment(version, path), user),
  }
}

/** A path that goes without it must not be judged with another library in its process. */
export const wantsLibfabric = (family: PeerFamily, path: string | undefined): boolean =>
  family === "nixl" && (path === undefined || path === "LIBFABRIC")

/** The library that `KVFERRY_LIBFABRIC` names: its path. */
export function namedLibfabric(user: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = user["KVFERRY_LIBFABRIC"] ?? ""
  return named === "" ? undefined : named
}

/** @throws KvError KV_USAGE for what is no file: a loader would say so too, of the wheel's library. */
export function checkLibraryFile(file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return
  throw new KvError("KV_USAGE", {
    what: `${oneLine(file, 200)} is no file`,
    why: "NIXL's LIBFABRIC backend was to load it as its libfabric",
    next: "name the library itself, /usr/lib/x86_64-linux-gnu/libfabric.so.1 say",
  })
}

/** What the user has set is the user's. */
export function unlessSet(
  wanted: Readonly<Record<string, string>>,
  user: NodeJS.ProcessEnv,
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => (user[name] ?? "") === ""))
}
