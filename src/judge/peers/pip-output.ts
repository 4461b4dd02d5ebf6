import { KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"

/** What pip is doing, as its lines tell. */
export type PipStep =
  | { readonly kind: "asks" | "cached"; readonly what: string }
  | { readonly kind: "downloads"; readonly what: string; readonly bytes?: number }
  | { readonly kind: "installs" }

const units: Readonly<Record<string, number>> = { bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9 }
const textChars = 160

/** Reads one line of pip's output; undefined for one that says nothing of its progress. */
export function readPipLine(line: string): PipStep | undefined {
  const [, verb, what, size, unit] =
    /^\s*(Collecting|Downloading|Using cached) (\S+)(?:.*?\(([0-9.]+) (bytes|kB|MB|GB)\))?/.exec(line) ?? []
  if (verb === undefined || what === undefined) {
    return /^\s*Installing collected packages/.test(line) ? { kind: "installs" } : undefined
  }
  const name = oneLine(what.split("/").at(-1)!.split("#")[0]!, 60)
  if (verb === "Collecting") return { kind: "asks", what: name }
  if (verb === "Using cached") return { kind: "cached", what: name }
  const bytes = size === undefined ? {} : { bytes: Number(size) * units[unit!]! }
  return { kind: "downloads", what: name, ...bytes }
}

/** What went wrong, for a reader who wanted `wanted` ("nixl==9.9"). */
export function pipError(wanted: string, output: string, folder: string): KvError {
  if (/No space left on device|Errno 28|Errno 122/.test(output)) {
    return new KvError("KV_OS", {
      what: `${wanted} was not installed: no space is left in ${folder}`,
      next: "make room there, or set XDG_CACHE_HOME to a folder on another disk",
    })
  }
  const [, versions] = /\(from versions: ([^)]*)\)/.exec(output) ?? []
  if (versions !== undefined && versions !== "none") {
    return new KvError("KV_USAGE", {
      what: `the package index has no ${wanted} for this Python`,
      why: `it has ${oneLine(versions, 600)}`,
      next: "name one of these, or another Python with --python",
    })
  }
  const network = lineWith(
    output,
    /NewConnectionError|Max retries|timed out|name resolution|Connection refused|ProxyError|SSLError|CERTIFICATE|Could not fetch URL|Network is unreachable|HTTP error|Retrying|IncompleteRead|Connection broken|ConnectionReset|Connection reset|RemoteDisconnected|Connection aborted/,
  )
  if (network !== undefined) {
    return new KvError("KV_PEER_UNREACHABLE", {
      what: `${wanted} was not installed: the package index cannot be reached`,
      why: oneLine(network, textChars * 2),
      next: "look at the network and at pip's settings (pip config list), then run it again",
    })
  }
  if (versions === "none") {
    return new KvError("KV_USAGE", {
      what: `the package index has no ${wanted} for this Python and processor`,
      why: oneLine(lineWith(output, /^ERROR/) ?? "it lists no version at all", textChars * 2),
      next: "name another Python, kvferry peers install --python PYTHON: the wheels are made for 3.10 to 3.13, on x86_64 and arm64",
    })
  }
  if (/Wheel .* is invalid|is not a valid wheel|BadZipFile|DO NOT MATCH THE HASHES/.test(output)) {
    return new KvError("KV_PEER_UNREACHABLE", {
      what: `${wanted} was not installed: what the package index sent is no whole package`,
      why: "the download was cut off, or a proxy has answered in the index's place",
      next: "run it again; a cache of pip's is emptied with pip cache purge",
    })
  }
  return new KvError("KV_OS", {
    what: `pip did not install ${wanted}`,
    why: oneLine(
      lineWith(output, /^(ERROR|error)/) ?? lastLine(output) ?? "it did not say why",
      textChars * 2,
    ),
    next: "try it with pip itself in an environment of your own; it reads the same settings",
  })
}

function lineWith(output: string, pattern: RegExp): string | undefined {
  return output
    .split("\n")
    .find((line) => pattern.test(line))
    ?.trim()
}

function lastLine(output: string): string | undefined {
  return output
    .split("\n")
    .findLast((line) => line.trim() !== "")
    ?.trim()
}
