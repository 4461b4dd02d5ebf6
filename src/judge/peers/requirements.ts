import { compareVersions, type PeerFamily } from "./peer-spec.ts"

/** A package that is installed for a peer, and why. */
export interface PeerPackage {
  readonly name: string
  /** This version and no other; the newest when absent. */
  readonly version?: string
  readonly why: string
}

/** What a family of engines needs to be driven by the judge on any machine. */
export interface PeerRequirements {
  /** The package whose version the user names. */
  readonly main: string
  /** Packages beside it, of which nothing is taken but what is listed: dependencies are left out. */
  companions(version: string): readonly PeerPackage[]
  /** Its driver, in `tools/engines`. */
  readonly driver: string
  /** Paths that its driver knows, as the engine spells them. */
  readonly paths: readonly string[]
  /** What the engine has beside them, and why no driver drives it. */
  readonly undriven: Readonly<Record<string, string>>
  /** Which library to take where the machine has none of that name: package folders below the environment's libraries. */
  readonly libraries: readonly { readonly name: string; readonly below: string }[]
  /** Libraries whose imports of a GPU's driver are answered by a stand-in. */
  readonly standInCuda: boolean
  /** On the disk while it is installed: measured with the largest version, rounded up. */
  readonly diskBytes: number
  /** Environment of its driver, which the user's own environment overrides. */
  environment(version: string, path: string | undefined): Readonly<Record<string, string>>
}

/** Until here NIXL's wheel had the engine in it. @see `requires_dist` of nixl 0.7.0 and 0.7.1 on PyPI */
const lastWholeNixl = "0.7.0"

const numpy: PeerPackage = {
  name: "numpy",
  why: "NIXL's Python API takes lists of descriptors as its arrays",
}

/** @see `supportsRemote` in each folder of src/plugins of NIXL */
const storageBackends = ["POSIX", "GDS", "GDS_MT", "OBJ", "HF3FS", "GUSLI", "INFINIA", "AZURE_BLOB"] as const

/**
 * What each peer needs. Dependencies that packages declare are not followed: NIXL declares torch (gigabytes), of which it
 * uses the name of a type, and Mooncake the client libraries of its store.
 */
export const requirements: Readonly<Record<PeerFamily, PeerRequirements>> = {
  nixl: {
    main: "nixl",
    companions: (version) => [
      numpy,
      ...(compareVersions(version, lastWholeNixl) > 0
        ? [
            {
              name: "nixl-cu12",
              version,
              why: "since 0.7.1 the package nixl is a shim, and this is the engine",
            },
          ]
        : []),
      {
        name: "nvidia-cuda-runtime-cu12",
        why: "its plugins (all until 0.7, LIBFABRIC to this day) are linked to libcudart.so.12",
      },
    ],
    driver: "nixl_driver.py",
    paths: ["UCX", "LIBFABRIC", "UCX_MO", "Mooncake", "UCCL"],
    undriven: {
      ...Object.fromEntries(
        storageBackends.map((name) => [name, "a backend for storage, which moves nothing between processes"]),
      ),
      GPUNETIO: "a backend that a GPU drives; the judge has memory of the host",
    },
    libraries: [{ name: "libcudart.so.12", below: "nvidia/cuda_runtime/lib" }],
    standInCuda: true,
    diskBytes: 700e6,
    environment: (version, path) => ({
      NIXL_LOG_LEVEL: "ERROR",
      ...(path === "LIBFABRIC" ? { FI_PROVIDER: softwareProvider(version) } : {}),
    }),
  },
  mooncake: {
    main: "mooncake-transfer-engine-non-cuda",
    companions: () => [numpy],
    driver: "mooncake_driver.py",
    paths: ["tcp", "rdma"],
    undriven: {},
    libraries: [],
    standInCuda: false,
    diskBytes: 400e6,
    environment: () => ({}),
  },
}

/**
 * The provider of libfabric that NIXL's LIBFABRIC backend gets along with where there is no NIC. 0.6.1 takes `sockets` and
 * `efa` alone; from 1.0 on `tcp` is taken too, which is the faster one.
 */
function softwareProvider(version: string): string {
  return compareVersions(version, "1.0.0") < 0 ? "sockets" : "tcp"
}
