"""ncnn: phones and boards with ARM, RISC-V or MIPS processors, without a dependency."""
