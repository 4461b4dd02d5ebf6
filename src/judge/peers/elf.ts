/**
 * Numbers of the ELF format that the reader and the writer of this folder share.
 *
 * @see elf(5), /usr/include/elf.h
 */

/** Bytes of the 64-bit structures. */
export const elfSize = { header: 64, programHeader: 56, symbol: 24, dynamic: 16 } as const

/** Offsets in `Elf64_Ehdr`. */
export const headerAt = {
  class: 4,
  data: 5,
  version: 6,
  type: 16,
  machine: 18,
  fileVersion: 20,
  programHeaders: 32,
  headerBytes: 52,
  programHeaderBytes: 54,
  programHeaderCount: 56,
} as const

/** `p_type` */
export const segment = { load: 1, dynamic: 2, stack: 0x6474_e551 } as const

/** `d_tag` */
export const tag = {
  end: 0,
  needed: 1,
  hash: 4,
  strings: 5,
  symbols: 6,
  stringBytes: 10,
  symbolBytes: 11,
  soname: 14,
  gnuHash: 0x6fff_fef5,
} as const

/** `e_machine` of the processors that the engines' wheels are made for. */
export const machines = { x64: 62, arm64: 183 } as const
export type ElfMachine = keyof typeof machines
