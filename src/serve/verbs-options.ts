import { originOf, type RdmaSettings, registrationsAtOnce } from "../config/rdma-settings.ts"
import { parseDeviceNames } from "../transport/verbs/choose-devices.ts"
import type { VerbsOptions } from "../transport/verbs/verbs-options.ts"

/**
 * What an operator decided of RDMA, as the verbs transport takes it. Without names every port that is up is a rail.
 * @throws KvError KV_USAGE for a device's name with a port that is none.
 */
export function verbsOptions(rdma: RdmaSettings): VerbsOptions {
  const { devices, cpus, numa, port, gidIndex, railWeights } = rdma
  const path = {
    pkeyIndex: rdma.pkeyIndex,
    trafficClass: rdma.trafficClass,
    serviceLevel: rdma.serviceLevel,
    mtu: rdma.pathMtu,
    queueDepth: rdma.queueDepth,
  }
  return {
    devices: devices === undefined ? "all" : parseDeviceNames(devices.join(","), originOf(rdma, "devices")),
    excluded: rdma.excludedDevices,
    path,
    relaxedOrdering: { mode: rdma.relaxedOrdering, origin: originOf(rdma, "relaxedOrdering") },
    sliceBytes: rdma.sliceBytes,
    maxConcurrentRegistrations: registrationsAtOnce(rdma),
    ...(cpus === undefined ? {} : { cpus }),
    ...(numa === undefined ? {} : { numa }),
    ...(port === undefined ? {} : { port }),
    ...(gidIndex === undefined ? {} : { gid: { index: gidIndex, origin: originOf(rdma, "gidIndex") } }),
    ...(railWeights === undefined ? {} : { deviceWeights: railWeights }),
  }
}
