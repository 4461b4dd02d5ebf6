/** placeholder until written below */
export async function runBench(_: { quick: boolean; json: boolean }): Promise<void> {}
