/** An emulated PC with Debian's own kernel: a second opinion, ten times slower. */
import { readFileSync } from "node:fs"
import { requirePackages } from "./kernel.mjs"
import { debianKernel } from "./qemu-kernel.mjs"

/**
 * @returns what `runGuest` spawns, for the folder that the guest reads at boot
 * @throws Trouble where QEMU is not installed, or Debian's kernel cannot be had
 */
export async function qemuMachine(options, mounts, progress) {
  requirePackages([["qemu-system-x86_64", "qemu-system-x86"]], "the emulated machine takes")
  const { kernel, initrd } = await debianKernel(progress)
  const channels = { output: 3, errors: 4, reports: 5 }
  return (run) => ({
    program: "qemu-system-x86_64",
    arguments: [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ...["-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "1"],
      ...[
        "-m",
        `${options.memoryMiB}M`,
        "-kernel",
        kernel,
        "-initrd",
        initrd,
        "-append",
        kernelLine(options),
      ],
      ...["-chardev", "socket,id=console,fd=6", "-serial", "chardev:console", "-device", "virtio-serial-pci"],
      ...Object.entries(channels).flatMap(([name, descriptor]) => [
        ...["-chardev", `socket,id=${name},fd=${descriptor}`],
        ...["-device", `virtserialport,chardev=${name},name=${name}`],
      ]),
      ...folder("run", run),
      ...mounts.flatMap(({ kind, path }, index) => (kind === "hide" ? [] : folder(`view${index}`, path))),
    ],
    environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: run },
    channels: Object.fromEntries(Object.keys(channels).map((name) => [name, `/dev/lab-${name}`])),
  })
}

function folder(tag, path) {
  return [
    ...["-fsdev", `local,id=${tag},path=${path},security_model=none,readonly=on,multidevs=remap`],
    ...["-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
  ]
}

/**
 * The clock is given, not measured: on a busy host the guest would measure it wrongly, and every timeout with it. The
 * emulator's counter of cycles is the host's.
 */
function kernelLine({ verbose }) {
  const megahertz = Number(
    /^cpu MHz\s*:\s*([\d.]+)/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "2000",
  )
  return [
    "console=ttyS0 panic=-1 reboot=t",
    "nokaslr mitigations=off audit=0 random.trust_cpu=on no_timer_check",
    `tsc=reliable tsc_early_khz=${Math.round(megahertz * 1000)} lpj=4000000`,
    verbose ? "loglevel=7" : "quiet",
  ].join(" ")
}
