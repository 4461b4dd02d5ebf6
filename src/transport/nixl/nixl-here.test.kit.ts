/** Tests that need a NIXL run where one is named; elsewhere they are skipped by name, with this reason. */
export const nixlLibrary = process.env["KVFERRY_NIXL_LIB"]

/** Options for a test that needs NIXL. */
export const needsNixl =
  nixlLibrary === undefined
    ? { skip: "no NIXL here: name the libnixl_capi.so of NIXL 1.5 or newer with KVFERRY_NIXL_LIB" }
    : {}
