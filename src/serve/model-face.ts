import { readChatTemplate } from "../engine/chat-template.ts"
import { readLlamaConfig } from "../engine/hf-config.ts"
import { readTokenizer } from "../engine/tokenizer.ts"
import type { FrontendOptions } from "./frontend/frontend.ts"
import { servedContext } from "./served-context.ts"

/** The parts of a model folder that a frontend needs: everything but the weights. */
export type ModelFace = Pick<
  FrontendOptions,
  "tokenizer" | "chatTemplate" | "contextTokens" | "endTokens" | "vocabSize"
>

/** Reads a model's tokeniser, chat template and limits. @throws KvError KV_MODEL_INVALID. */
export function readModelFace(directory: string, context: number | undefined): ModelFace {
  const config = readLlamaConfig(directory)
  const tokenizer = readTokenizer(directory)
  return {
    tokenizer: {
      encode: (text) => tokenizer.encode(text),
      // The template has written its special tokens itself.
      encodeChat: (rendered) => tokenizer.encode(rendered, { addSpecialTokens: false }),
      openDecoder: () => tokenizer.openDecoder(),
    },
    chatTemplate: readChatTemplate(directory),
    contextTokens: servedContext(directory, context),
    endTokens: config.endTokens,
    vocabSize: config.vocabSize,
  }
}
