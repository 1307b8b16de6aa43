"""The processors that a header is proved on, as data: zig compiles for each, an emulator runs it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A processor.

    Attributes:
        name: on the command line.
        title: for people.
        flags: for zig's C compiler.
        architecture: unicorn's constant, or empty for WebAssembly.
        modes: unicorn's constants.
        model: the same.
        instructions: how long they are: `thumb` and `riscv` say it in their first bits, `words` are of four bytes,
            `any` can't be told without reading them.
        soft_floats: whether floats are computed by functions of the compiler's runtime.
    """

    name: str
    title: str
    flags: tuple[str, ...]
    architecture: str
    modes: tuple[str, ...] = ()
    model: str = ""
    instructions: str = "thumb"
    soft_floats: bool = False


def _cortex_m(name: str, cpu: str, model: str, *, floats: str = "") -> Target:
    """Return a Cortex-M, with the floating-point unit of that name in LLVM, or none."""
    abi, unit = ("eabihf", f"+{floats}") if floats else ("eabi", "")
    return Target(
        name=f"cortex-{name}",
        title=f"Cortex-{name.upper().replace('PLUS', '+')}{'F' if floats and name == 'm4' else ''}",
        flags=("-target", f"thumb-freestanding-{abi}", f"-mcpu={cpu}{unit}"),
        architecture="UC_ARCH_ARM",
        modes=("UC_MODE_THUMB", "UC_MODE_MCLASS"),
        model=f"UC_CPU_ARM_CORTEX_{model}",
        soft_floats=not floats,
    )


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _cortex_m("m0plus", "cortex_m0plus", "M0"),
        _cortex_m("m3", "cortex_m3", "M3"),
        _cortex_m("m4", "cortex_m4", "M4", floats="vfp4d16sp"),
        _cortex_m("m7", "cortex_m7", "M7", floats="fp_armv8d16sp"),
        _cortex_m("m33", "cortex_m33", "M33", floats="fp_armv8d16sp"),
        Target(
            name="rv32imc",
            title="RV32IMC",
            flags=("-target", "riscv32-freestanding", "-mcpu=generic_rv32+m+c"),
            architecture="UC_ARCH_RISCV",
            modes=("UC_MODE_RISCV32",),
            instructions="riscv",
            soft_floats=True,
        ),
        Target(
            name="armv7",
            title="ARMv7 (Cortex-A7)",
            flags=("-target", "arm-freestanding-eabihf", "-mcpu=cortex_a7"),
            architecture="UC_ARCH_ARM",
            modes=("UC_MODE_ARM",),
            model="UC_CPU_ARM_CORTEX_A7",
            instructions="words",
        ),
        Target(
            name="aarch64",
            title="AArch64 (Cortex-A53)",
            flags=("-target", "aarch64-freestanding", "-mcpu=cortex_a53"),
            architecture="UC_ARCH_ARM64",
            modes=("UC_MODE_ARM",),
            model="UC_CPU_ARM64_A53",
            instructions="words",
        ),
        Target(
            name="x86-64",
            title="x86-64",
            flags=("-target", "x86_64-freestanding", "-mcpu=x86_64"),
            architecture="UC_ARCH_X86",
            modes=("UC_MODE_64",),
            instructions="any",
        ),
        Target("wasm32", "WebAssembly", ("-target", "wasm32-freestanding"), ""),
    )
}
"""The targets by name."""
