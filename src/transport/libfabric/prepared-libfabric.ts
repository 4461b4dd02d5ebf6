import { prepareFabricEnvironment } from "../../config/prepare-fabric-environment.ts"
import type { RdmaSettings } from "../../config/rdma-settings.ts"
import { type Libfabric, openLibfabric } from "../../os/libfabric/library.ts"

/** What is set beside the table of the EFA environment, where its user has not set it: for any provider. */
const variables: Readonly<Record<string, string>> = {
  // Peers of an endpoint: ofi_rxm makes its completion queue 256 entries longer for each, and asks for 1024 of them
  // unless told, which is more than a NIC may have (Soft-RoCE: 32767). A lane's endpoint has one.
  FI_UNIVERSE_SIZE: "2",
  // One receive queue for all connections of an endpoint. Without it ofi_rxm of 1.17 crashes when an endpoint is closed
  // while a message of its flow control has come in, since it gives that buffer to the connection that is no more.
  FI_OFI_RXM_USE_SRX: "1",
  // Buffers of ofi_rxm for messages, of which we send none, are made and registered with each endpoint: 1.6 s and 40 MB
  // with its own numbers on Soft-RoCE in the lab, 50 ms with these.
  FI_OFI_RXM_BUFFER_SIZE: "1024",
  FI_OFI_RXM_RX_SIZE: "64",
  FI_OFI_RXM_MSG_RX_SIZE: "16",
  FI_OFI_RXM_TX_SIZE: "512",
}

/**
 * Opens libfabric after its environment has been set.
 *
 * It reads the C environment once, at its first function; what Node's main thread sets in `process.env` is there.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE; KV_USAGE for a variable because of which libfabric would end this process.
 */
export function openPreparedLibfabric(rdma: Pick<RdmaSettings, "gidIndex">): Libfabric {
  prepareFabricEnvironment(process.env, rdma)
  for (const [name, value] of Object.entries(variables)) process.env[name] ??= value
  return openLibfabric()
}
