# SPDX-License-Identifier: Apache-2.0
"""What `verilator --lint-only -Wall` says of a design, and why it is waived."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiver:
    """A kind of warning that stays.

    Members
    -------
    rule: Verilator's name of it
    reason: why it is right as it is
    matches: patterns of the messages that are meant, all where there is none
    """

    rule: str
    reason: str
    matches: tuple[str, ...] = ()


UNREAD = (
    "rst",
    "s_axil_awprot",
    "s_axil_arprot",
    "events__taken",
    "frame_error",
    "i__ready",
    "o__valid",
    "r_data",
    "restart_taken",
    "weights",
    "write__data",
)
"""Members of a stream or a bus that one of those who have it does not need."""

WAIVERS = (
    Waiver("DECLFILENAME", "all modules are in one file, so that no other can be forgotten"),
    Waiver(
        "PROCASSINIT",
        "a register's initial value is what the bitstream gives it, and the same as after `rst`",
    ),
    Waiver(
        "WIDTHEXPAND",
        "operands of unequal width are extended as Verilog's rules say, by their own sign",
    ),
    Waiver(
        "WIDTHTRUNC",
        "a shift's result is as wide as what is shifted, of which only the lowest bits are meant; "
        "`!` asks whether a whole word is 0",
    ),
    Waiver(
        "CASEOVERLAP",
        "a `casez` selects by single bits, of which at most one is set (its `parallel_case`)",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "an intermediate result has all bits that it can need; synthesis takes away those that "
        "nothing reads. Whole signals are unused only where one side of a stream or a bus needs "
        "less of it than the other gives: " + ", ".join(f"`{name}`" for name in UNREAD),
        (
            "Bits of signal are not used: *",
            "Signal is not used: '_*_'",
            *(f"Signal is not used: '{name}'" for name in UNREAD),
        ),
    ),
)


def waiver_file(name: str) -> str:
    """Verilator's configuration file that waives these for `NAME.v`, with the reasons."""
    lines = ["`verilator_config", ""]
    for waiver in WAIVERS:
        lines.append(f"// {waiver.reason}.")
        for match in waiver.matches or ("*",):
            lines.append(f'lint_off -rule {waiver.rule} -file "*{name}.v" -match "{match}"')
    return "\n".join(lines) + "\n"


def waivers(name: str) -> dict[str, str]:
    """`waiver_file` by its file name."""
    return {f"{name}.vlt": waiver_file(name)}
