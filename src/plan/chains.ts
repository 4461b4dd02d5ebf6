/** Longest chain of work requests behind one doorbell on a queue pair: what `verbs` posts, and what a forecast counts. */
export const chainMax = 128

/** Within a chain, every so many requests ask for a completion; its last one always does. */
export const signalEvery = 32
