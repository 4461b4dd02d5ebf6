import { asKvError, KvError } from "../../errors/kv-error.ts"
import { prefixBits } from "../../os/interface-networks.ts"
import type { RdmaDevice } from "../../os/rdma-devices.ts"
import { presenceText, type RdmaPresence, rdmaPresence } from "../../os/rdma-presence.ts"
import { openVerbsDevices, verbsLibraryFile } from "../../os/verbs/device-list.ts"
import { hasRegistrationWithIova } from "../../os/verbs/verbs-rail.ts"
import type { LocalRail } from "../rdma/driver.ts"
import type { EndpointOptions } from "../transport.ts"
import { chooseDevices, type RailPort, railRates } from "./choose-devices.ts"
import { chooseGid } from "./choose-gid.ts"
import { decideRelaxedOrdering } from "./relaxed-ordering.ts"
import { plainPath, type VerbsOptions } from "./verbs-options.ts"
import { VerbsLocalRail } from "./verbs-rails.ts"

/**
 * Chooses the ports by what sysfs says of them, and opens only those.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE saying what is missing; KV_USAGE for a wish that cannot be had; KV_OS.
 */
export function openVerbsRails(options: VerbsOptions, { rails }: EndpointOptions): readonly LocalRail[] {
  const { devices, numa, gid, path = plainPath } = options
  const { relaxedOrdering = { mode: "auto", origin: "default" } } = options
  const presence = rdmaPresence()
  if (presence.devices.length === 0) throw missing("this machine has no RDMA device", presence)
  const library = openLibrary(presence)
  const wishes = {
    ...(numa === undefined ? {} : { numa }),
    ...(devices === undefined ? { rails } : devices === "all" ? {} : { devices }),
  }
  const chosen = chooseDevices(allowedDevices(presence.devices, options), wishes)
  const ordering = decideRelaxedOrdering(relaxedOrdering, hasRegistrationWithIova(), library)
  const opened: VerbsLocalRail[] = []
  try {
    const rates = railRates(chosen.rails)
    for (const [rail, { device, port }] of chosen.rails.entries()) {
      const choice = {
        port,
        gid: chooseGid(device.name, port, gid, prefixBits),
        ordering,
        path,
        rate: weightOf(device.name, options) ?? rates?.[rail] ?? 1,
        ...(device.numaNode === undefined ? {} : { numaNode: device.numaNode }),
      }
      opened.push(openRail(device, choice))
    }
    return opened
  } catch (thrown) {
    for (const rail of opened) void rail[Symbol.asyncDispose]()
    throw thrown
  }
}

/**
 * The devices and ports that were not ruled out by name or number.
 * @throws KvError KV_USAGE when none is left: that nothing was found would be half the truth.
 */
export function allowedDevices(
  devices: readonly RdmaDevice[],
  { excluded = [], port }: Pick<VerbsOptions, "excluded" | "port">,
): readonly RdmaDevice[] {
  const allowed = devices
    .filter(({ name }) => !excluded.includes(name))
    .map((device) =>
      port === undefined ? device : { ...device, ports: device.ports.filter((own) => own.port === port) },
    )
  if (allowed.some(({ ports }) => ports.length > 0) || devices.every(({ ports }) => ports.length === 0)) {
    return allowed
  }
  const ruled = [
    ...(excluded.length === 0 ? [] : [`${excluded.join(", ")} excluded`]),
    ...(port === undefined ? [] : [`port ${port} alone`]),
  ]
  throw new KvError("KV_USAGE", {
    what: `no RDMA port is left: ${ruled.join(", ")}`,
    why: `this machine has ${devices.map(({ name, ports }) => `${name} with ${ports.length} ports`).join(", ")}`,
    next: "kvferry config show --origin tells where that was said",
  })
}

function weightOf(name: string, { deviceWeights }: VerbsOptions): number | undefined {
  if (deviceWeights === undefined) return undefined
  return deviceWeights.find(({ device }) => device === name)?.weight ?? 1
}

/** Each rail opens its device for itself, also where two stand on one: then nothing is shared between their threads. */
function openRail(
  { name }: RailPort["device"],
  choice: ConstructorParameters<typeof VerbsLocalRail>[1],
): VerbsLocalRail {
  const [context] = openVerbsDevices((candidate) => candidate === name)
  if (context === undefined)
    throw missing(`the kernel has the RDMA device ${name}, and libibverbs does not find it`, rdmaPresence())
  try {
    return new VerbsLocalRail(context, choice)
  } catch (thrown) {
    context[Symbol.dispose]()
    throw thrown
  }
}

function openLibrary(presence: RdmaPresence): string {
  try {
    return verbsLibraryFile()
  } catch (thrown) {
    throw missing(asKvError(thrown, "KV_TRANSPORT_UNAVAILABLE", "libibverbs cannot be opened").what, presence)
  }
}

/** Everything that was looked for, where, and what was there: the reader shall not have to search again. */
function missing(what: string, presence: RdmaPresence): KvError {
  const { next } = presence
  return new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what,
    why: presenceText(presence),
    ...(next === undefined ? {} : { next }),
  })
}
