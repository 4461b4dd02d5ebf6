/** Bytes flow out, imports point in. Each arrow that is forbidden says why. */
const tests = "([.]test([.]kit)?|contract|support-for-tests)[.]ts$"
const pure = "^src/(errors|config|kv|topology|plan|wire|receipt)/"
const entries = "^src/(cli|demo|bench|serve|library|doctor|deploy)/"

export default {
  forbidden: [
    {
      name: "no-circles",
      comment: "Two files that need each other are one thought, or a third is missing.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "pure-rooms-stay-pure",
      comment: "plan and its kin are arithmetic. Pass them values; agent does the talking.",
      severity: "error",
      from: { path: pure, pathNot: tests },
      to: { pathNot: pure },
    },
    {
      name: "agent-knows-only-the-interface",
      comment: "Entries choose a fabric. The engine never asks which one it got.",
      severity: "error",
      from: { path: "^src/(memory|agent|verify)/", pathNot: tests },
      to: { path: "^src/(os|transport/[^/]+)/" },
    },
    {
      name: "state-does-not-know-its-entries",
      comment: "What is below an entry can be used without it.",
      severity: "error",
      from: {
        path: "^src/(memory|agent|verify|movers|transport|os|engine|metrics|records|terminal|trust)/",
        pathNot: tests,
      },
      to: { path: entries },
    },
    {
      name: "agent-reads-no-files",
      comment: "An agent is given credentials and a clock. Entries read the files, through trust/.",
      severity: "error",
      from: { path: "^src/(memory|agent|verify)/", pathNot: tests },
      to: { path: "^src/trust/|^(node:)?(fs|os|net|child_process)(/|$)" },
    },
    {
      name: "the-judge-has-its-own-oracle",
      comment:
        "What belongs where is worked out anew, row by row: a mistake of our planner must not be its own judge.",
      severity: "error",
      from: { path: "^src/judge/(pattern|cases|run|load)/", pathNot: tests },
      to: { path: "^src/plan/" },
    },
    {
      name: "trust-knows-keys-only",
      comment: "Files of keys, and who may do what. What is moved, and over what, is no business of theirs.",
      severity: "error",
      from: { path: "^src/trust/", pathNot: tests },
      to: { path: "^src/", pathNot: "^src/(trust|errors|wire)/|^src/agent/(credentials|key-pairs)[.]ts$" },
    },
    {
      name: "movers-serve-any-fabric",
      comment: "A crew copies runs of bytes. Which fabric they belong to, and who may, was settled before.",
      severity: "error",
      from: { path: "^src/movers/", pathNot: tests },
      to: { path: "^src/(agent|plan|wire|transport)/" },
    },
    {
      name: "transports-are-strangers",
      comment: "What two fabrics share moves up to transport/, or to transport/rdma/ where both have a NIC.",
      severity: "error",
      from: { path: "^src/transport/([^/]+)/", pathNot: tests },
      to: { path: "^src/transport/[^/]+/", pathNot: "^src/transport/($1|rdma)/" },
    },
    {
      name: "rdma-serves-any-fabric",
      comment: "What verbs and libfabric share knows neither of them: a fabric comes as an RdmaDriver.",
      severity: "error",
      from: { path: "^src/transport/[^/]+/", pathNot: `^src/transport/(verbs|libfabric|rdma)/|${tests}` },
      to: { path: "^src/transport/rdma/" },
    },
    {
      name: "the-edge-knows-interfaces-only",
      comment: "os/ returns plain data and implements interfaces; it runs nothing of the rooms above it.",
      severity: "error",
      from: { path: "^src/os/", pathNot: tests },
      to: {
        path: "^src/",
        pathNot: "^src/(os|errors)/|^src/(agent/control-network|memory/host-memory)[.]ts$",
      },
    },
    {
      name: "ffi-has-one-room",
      comment: "A wrong address is a crash. Only os/ makes addresses.",
      severity: "error",
      from: { pathNot: "^src/os/" },
      to: { path: "node_modules/koffi" },
    },
    {
      name: "nothing-knows-the-simulation",
      comment:
        "It plays the agents, and it is not shipped. What it needs of a room, the room offers to everybody.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/sim/" },
      to: { path: "^src/sim/" },
    },
    {
      name: "an-engine-is-arithmetic",
      comment: "A model runner reads files and computes. It moves nothing and talks to nobody.",
      severity: "error",
      from: { path: "^src/engine/", pathNot: tests },
      to: { path: "^src/", pathNot: "^src/(engine|errors|kv)/" },
    },
    {
      name: "a-page-knows-nobody",
      comment: "Colours, axes and safe markup. What stands in a page is the business of whoever makes one.",
      severity: "error",
      from: { path: "^src/page/", pathNot: tests },
      to: { path: "^src/", pathNot: "^src/page/" },
    },
    {
      name: "nothing-ships-what-tests-need",
      comment: "Development dependencies are not there for whoever installs the package.",
      severity: "error",
      from: { path: "^src/", pathNot: tests },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "everything-resolves",
      comment: "An import that is not found was not checked by any of these rules.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
}
