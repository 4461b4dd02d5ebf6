/** Variables that make an engine or its libraries log, and the values that are quiet. */
const variables: Readonly<Record<string, RegExp>> = {
  NIXL_LOG_LEVEL: /^(|error|fatal|warn(ing)?|off)$/i,
  UCX_LOG_LEVEL: /^(|fatal|error|warn)$/i,
  FI_LOG_LEVEL: /^(|warn)$/i,
  MC_LOG_LEVEL: /^(|error|warn(ing)?|fatal)$/i,
  NCCL_DEBUG: /^(|version|warn)$/i,
}

/** Variables of this environment that make somebody log while it moves: that costs speed, also when nobody asked for it. */
export const loggingVariables = (env: NodeJS.ProcessEnv = process.env): string[] =>
  Object.entries(variables).flatMap(([name, quiet]) =>
    env[name] === undefined || quiet.test(env[name]) ? [] : [name],
  )
