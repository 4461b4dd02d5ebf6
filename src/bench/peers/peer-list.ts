/** One way to run another engine. */
export interface PeerKind {
  readonly name: string
  /** What `--only` calls it. */
  readonly family: "nixl" | "mooncake"
  /** Its backend or protocol. */
  readonly backend: "UCX" | "LIBFABRIC" | "tcp"
  readonly options: Readonly<Record<string, boolean>>
  readonly env: Readonly<Record<string, string>>
  /** Kernel copies between two processes of a machine, or TCP. */
  readonly path: "one machine" | "tcp"
  /** As it comes, or as fast as it gets: for NIXL without its progress thread, with its caller polling on both sides. */
  readonly setting: "default" | "best"
  /** Whether a quick run has time for it. */
  readonly quick: boolean
}

function nixl(
  name: string,
  path: PeerKind["path"],
  setting: PeerKind["setting"],
  backend: "UCX" | "LIBFABRIC",
  env: PeerKind["env"],
  quick: boolean,
): PeerKind {
  const options = { progress: setting === "default" }
  return { name, family: "nixl", backend, options, env, path, setting, quick }
}

/** Every peer that the benchmark knows how to run. */
export const peerKinds: readonly PeerKind[] = [
  nixl("NIXL", "one machine", "default", "UCX", {}, true),
  nixl("NIXL, polled", "one machine", "best", "UCX", {}, true),
  nixl("NIXL UCX tcp", "tcp", "default", "UCX", { UCX_TLS: "tcp" }, false),
  nixl("NIXL UCX tcp, polled", "tcp", "best", "UCX", { UCX_TLS: "tcp" }, false),
  nixl("NIXL LIBFABRIC tcp", "tcp", "default", "LIBFABRIC", { FI_PROVIDER: "tcp" }, false),
  nixl("NIXL LIBFABRIC tcp, polled", "tcp", "best", "LIBFABRIC", { FI_PROVIDER: "tcp" }, true),
  {
    name: "Mooncake tcp",
    family: "mooncake",
    backend: "tcp",
    options: {},
    env: {},
    path: "tcp",
    setting: "best",
    quick: true,
  },
]
