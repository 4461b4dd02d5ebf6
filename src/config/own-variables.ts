import { settingRows } from "./setting-rows.ts"

/** What this program reads of its own beside the settings of RDMA. */
const others = [
  "ENCRYPT",
  "HOME",
  "HOST",
  "IDENTITY",
  "MODEL",
  "PATHS",
  "PEERS_PYTHON",
  "PORT",
  "RECEIPTS",
  "REQUIRE",
  "SECRET_FILE",
  "SEED",
  "TRUST",
]

/** Every variable that is this program's own. */
export const ownVariables: readonly string[] = [
  ...settingRows.map(({ variable }) => variable),
  ...others.map((name) => `KVFERRY_${name}`),
]
