import { arch, release, version } from "node:os"
import { findLibrary } from "../../os/find-library.ts"
import { procText } from "../../os/proc.ts"
import { softwareVersion } from "../../serve/version.ts"
import type { BundleDocuments } from "./documents.ts"

/** Libraries that engines share with the distribution: an engine may have brought its own, which it names itself. */
const libraries = [
  "libfabric.so.1",
  "libibverbs.so.1",
  "librdmacm.so.1",
  "libefa.so.1",
  "libmlx5.so.1",
  "libucp.so.0",
  "libhwloc.so.15",
  "libcuda.so.1",
  "libcudart.so.12",
  "libnuma.so.1",
]

/** What ran: we, Node, the kernel, each engine in its own words, and the libraries that a loader would find. */
export function versions({ verify, load }: BundleDocuments): object {
  return {
    kvferry: softwareVersion(),
    node: { node: process.versions.node, uv: process.versions.uv, openssl: process.versions.openssl },
    kernel: { release: release(), version: version(), architecture: arch() },
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(procText("/etc/os-release") ?? "")?.[1] ?? null,
    libc: libcVersion(),
    engines: [
      ...(verify?.engines ?? []).map(({ engine, version, about, libraries: own, unavailable }) => ({
        engine,
        version,
        about,
        libraries: own,
        unavailable,
      })),
      ...(load?.results ?? []).map(({ engine, version, about, role }) => ({ engine, version, about, role })),
    ],
    libraries: libraries.map((name) => ({ name, file: findLibrary(name).file ?? null })),
  }
}

function libcVersion(): string | null {
  const report = process.report.getReport() as {
    readonly header?: { readonly glibcVersionRuntime?: unknown }
  }
  const found = report.header?.glibcVersionRuntime
  return typeof found === "string" ? `glibc ${found}` : null
}
