import { join } from "node:path"
import { checkPeer, type DriverStart, driverFolder } from "./check-peer.ts"
import { type DriverChoice, driverStart, namedLibfabric, unlessSet, wantsLibfabric } from "./driver-start.ts"
import { spelled, whyNoPath } from "./peer-paths.ts"
import { compareVersions, type PeerFamily, peerName } from "./peer-spec.ts"
import { installedPeer } from "./peer-store.ts"
import { requirements } from "./requirements.ts"

/** A peer that can be driven here. */
export interface PeerInstall extends DriverStart {
  readonly family: PeerFamily
  readonly version: string
  /** As the engine spells it; its default when absent. */
  readonly path?: string
  /** For people: what will be started. */
  readonly about: string
}

/** A peer that cannot, and what would help. */
export interface NoPeer {
  readonly unavailable: string
}

/**
 * Finds the Python and the driver of an engine: in the Python that the user names, else among what `kvferry peers install`
 * has installed. Its engine is loaded once, so that what it lacks is known before it is judged.
 *
 * @param choice.python a Python that has the engine's packages; `KVFERRY_PEERS_PYTHON` when absent.
 */
export async function findPeer(
  family: PeerFamily,
  version?: string,
  choice: DriverChoice & { readonly python?: string | undefined } = {},
): Promise<PeerInstall | NoPeer> {
  const named = { ...choice, path: spelled(family, choice.path) }
  const python = choice.python ?? (process.env["KVFERRY_PEERS_PYTHON"] || undefined)
  if (python !== undefined) {
    const found = await inPython(python, family, version, named)
    if (!("unavailable" in found) || choice.python !== undefined) return found
  }
  const peer = installedPeer({ family, ...(version === undefined ? {} : { version }) })
  if (peer === undefined) {
    const name = peerName({ family, ...(version === undefined ? {} : { version }) })
    return { unavailable: `${name} is not installed: kvferry peers install ${name}` }
  }
  return usable(family, peer.version, driverStart(peer, named), named.path)
}

/** An engine in an environment of the user's: with whatever libraries that environment has. */
async function inPython(
  python: string,
  family: PeerFamily,
  version: string | undefined,
  { path, libfabric = namedLibfabric() }: DriverChoice,
): Promise<PeerInstall | NoPeer> {
  const { driver, environment } = requirements[family]
  const load = libfabric === undefined || !wantsLibfabric(family, path) ? [] : ["--load", libfabric]
  const args = ["-B", join(driverFolder, driver), ...load]
  const check = await checkPeer({ python, args, env: { NIXL_LOG_LEVEL: "ERROR" } })
  if ("error" in check) return { unavailable: `${python} has no ${family} that loads: ${check.error}` }
  if (version !== undefined && compareVersions(version, check.version) !== 0)
    return { unavailable: `${python} has ${family} ${check.version}, not ${version}` }
  const env = unlessSet(environment(check.version, path), process.env)
  return usable(family, check.version, { python, args, env }, path)
}

/** The start, unless the engine says that this path of it does not load. */
async function usable(
  family: PeerFamily,
  version: string,
  start: DriverStart,
  path: string | undefined,
): Promise<PeerInstall | NoPeer> {
  const check = await checkPeer(start)
  if ("error" in check)
    return { unavailable: `${family} ${version} does not load: ${check.error}${whatHelps(check.error)}` }
  const why = path === undefined ? undefined : whyNoPath(family, check, path)
  if (why !== undefined) return { unavailable: `${why}${whatHelps(why)}` }
  const over = path === undefined ? {} : { path }
  return {
    family,
    version,
    ...over,
    ...start,
    about: `${family} ${version}${path === undefined ? "" : `, ${path}`}`,
  }
}

/** Libraries that the wheels leave to the distribution, and its packages. */
const packages = { libhwloc: "libhwloc15", libibverbs: "libibverbs1", libnuma: "libnuma1" } as const

/** What to do about a library that the loader has not found. */
export function whatHelps(why: string): string {
  if (/FABRIC_[0-9.]+|libfabric/.test(why)) {
    return "; name one that is new enough, 2.7 has all versions up to FABRIC_1.10: KVFERRY_LIBFABRIC=/path/to/libfabric.so.1, or --libfabric of verify and bench"
  }
  const [, missing] = /(lib[A-Za-z0-9_+-]+)[.]so[.0-9]*: cannot open shared object file/.exec(why) ?? []
  const known = Object.entries(packages).find(([library]) => library === missing)
  if (known !== undefined) return `; on Debian and Ubuntu: apt-get install ${known[1]}`
  return missing === undefined ? "" : `; install ${missing}`
}
