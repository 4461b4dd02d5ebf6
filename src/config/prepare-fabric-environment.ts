import { KvError } from "../errors/kv-error.ts"
import { fabricEnvironment } from "./fabric-environment.ts"
import type { RdmaSettings } from "./rdma-settings.ts"
import type { Environment } from "./variable.ts"

/** One variable that this program sets before it opens libfabric. */
export interface OwnVariable {
  readonly name: string
  readonly value: string
}

/**
 * What is to be set before libfabric is opened: what the table says and nobody has set. A variable that is set, also to
 * nothing, is its operator's.
 */
export function ownFabricVariables(
  env: Environment,
  settings: Pick<RdmaSettings, "gidIndex">,
): OwnVariable[] {
  const wanted = fabricEnvironment.flatMap(({ name, ours, recommended }) =>
    ours && recommended !== undefined && !(isForkSafety(name) && forkSafetyIsDecided(env))
      ? [{ name, value: recommended }]
      : [],
  )
  const gid =
    settings.gidIndex === undefined ? [] : [{ name: "FI_VERBS_GID_IDX", value: `${settings.gidIndex}` }]
  return [...wanted, ...gid].filter(({ name }) => env[name] === undefined)
}

/**
 * Readies the environment of a process for libfabric, and returns what it has set.
 *
 * Call it before the library's first function, on the main thread: libfabric reads the C environment once, when it is
 * initialised, and what another thread of Node sets stays in JavaScript.
 *
 * @param env `process.env` itself.
 * @throws KvError KV_USAGE for a variable because of which libfabric would end this process.
 */
export function prepareFabricEnvironment(
  env: Record<string, string | undefined>,
  settings: Pick<RdmaSettings, "gidIndex">,
): OwnVariable[] {
  const own = ownFabricVariables(env, settings)
  const after = { ...env, ...Object.fromEntries(own.map(({ name, value }) => [name, value])) }
  const [fatal] = fatalVariables(after)
  if (fatal !== undefined) throw fatal
  for (const { name, value } of own) env[name] = value
  return own
}

/** What would make libfabric call abort() in this process: it does so when it is initialised, with a device or without. */
export function fatalVariables(env: Environment): KvError[] {
  const withdrawn = ["FI_EFA_MTU_SIZE", "FI_EFA_TX_IOV_LIMIT", "FI_EFA_RX_IOV_LIMIT"]
  const credits = env["FI_EFA_TX_MIN_CREDITS"]
  const rdma = env["FI_EFA_USE_DEVICE_RDMA"]
  return [
    ...withdrawn
      .filter((name) => env[name] !== undefined)
      .map((name) => fatal(`${name} is set`, "it was withdrawn", `unset ${name}`)),
    ...(credits !== undefined && !(Number(credits) > 0)
      ? [fatal(`FI_EFA_TX_MIN_CREDITS is ${quoted(credits)}`, "it must be above 0", "unset it")]
      : []),
    ...(env["FI_EFA_IFACE"] === ""
      ? [
          fatal(
            "FI_EFA_IFACE is set to nothing",
            "it must name devices, or be all",
            "unset it, or use --devices",
          ),
        ]
      : []),
    ...(rdma !== undefined && booleanOf(rdma) === undefined
      ? [fatal(`FI_EFA_USE_DEVICE_RDMA is ${quoted(rdma)}`, "it must be 0 or 1", "unset it")]
      : []),
    ...(booleanOf(env["FI_EFA_USE_HUGE_PAGE"]) === true && asksForForkSafety(env)
      ? [
          fatal(
            "FI_EFA_USE_HUGE_PAGE is on together with fork safety",
            "rdma-core's fork support and huge pages exclude each other on kernels before 5.13",
            "unset FI_EFA_USE_HUGE_PAGE, or unset FI_EFA_FORK_SAFE, RDMAV_FORK_SAFE and IBV_FORK_SAFE",
          ),
        ]
      : []),
  ]
}

const fatal = (what: string, why: string, next: string): KvError =>
  new KvError("KV_USAGE", {
    what: `${what}: libfabric ends a process for that`,
    why: `${why}; libfabric calls abort() when it is initialised, with EFA or without`,
    next,
  })

const quoted = (text: string): string => JSON.stringify(text.slice(0, 40))

const isForkSafety = (name: string): boolean => name === "FI_EFA_FORK_SAFE" || name === "RDMAV_FORK_SAFE"

/** Somebody has said something about it already: one of the two alone would be half an answer, or would overrule theirs. */
const forkSafetyIsDecided = (env: Environment): boolean =>
  ["FI_EFA_FORK_SAFE", "RDMAV_FORK_SAFE", "IBV_FORK_SAFE", "FI_EFA_USE_HUGE_PAGE"].some(
    (name) => env[name] !== undefined,
  )

/** As the EFA provider sees it: a variable of rdma-core counts when it is there, whatever it says. */
const asksForForkSafety = (env: Environment): boolean =>
  booleanOf(env["FI_EFA_FORK_SAFE"]) === true ||
  env["RDMAV_FORK_SAFE"] !== undefined ||
  env["IBV_FORK_SAFE"] !== undefined

/** As libfabric reads one. @see fi_parse_bool in src/var.c */
function booleanOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  const lower = text.toLowerCase()
  if (["1", "true", "yes", "on"].includes(lower)) return true
  return ["0", "false", "no", "off"].includes(lower) ? false : undefined
}
