"""The pause program: the process that holds a sandbox's namespaces and reaps orphans in a shared PID namespace.

A static ELF file of under 300 bytes, written here byte by byte because users' machines have no compiler. In C:

    int main(void) { sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_IGN }, 0); for (;;) pause(); }

SIGCHLD ignored means that the kernel reaps children by itself. There are no other handlers: as the first process of a PID
namespace it is
deaf to all but SIGKILL from outside, which is how sandboxes end it. Its private memory is one stack page and page tables.
"""

from __future__ import annotations

import platform
import struct

_BASE = 0x400000
_HEADER = 64 + 2 * 56
_SIGCHLD, _SIG_IGN = 17, 1
_PT_LOAD, _PT_GNU_STACK, _R, _W, _X = 1, 0x6474E551, 4, 2, 1
# struct sigaction of both kernels: handler, flags, restorer, mask (8 bytes each)
_SIGACTION = struct.pack("<QQQQ", _SIG_IGN, 0, 0, 0)


def _x86_64() -> bytes:
    setup = b"\xb8\x0d\x00\x00\x00"  # mov eax, 13 (rt_sigaction)
    setup += b"\xbf" + struct.pack("<I", _SIGCHLD)  # mov edi, SIGCHLD
    tail = b"\x31\xd2"  # xor edx, edx
    tail += b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8 (size of the mask)
    tail += b"\x0f\x05"  # syscall
    tail += b"\xb8\x22\x00\x00\x00"  # loop: mov eax, 34 (pause)
    tail += b"\x0f\x05"  # syscall
    tail += b"\xeb\xf7"  # jmp loop
    load_address = b"\x48\x8d\x35" + struct.pack("<i", len(tail))  # lea rsi, [rip + tail]: the sigaction follows the code
    return setup + load_address + tail + _SIGACTION


def _aarch64() -> bytes:
    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    svc = 0xD4000001
    words = [movz(8, 134), movz(0, _SIGCHLD), 0, movz(2, 0), movz(3, 8), svc]  # rt_sigaction; word 2 is set below
    loop = len(words)
    words += [movz(8, 73), movz(0, 0), movz(1, 0), movz(2, 0), movz(3, 0), svc]  # ppoll(NULL, 0, NULL, NULL) waits for ever
    words.append(0x14000000 | (loop - len(words)) & 0x3FFFFFF)  # b loop
    if len(words) % 2:
        words.append(0xD503201F)  # nop: keeps the sigaction 8-byte aligned
    distance = 4 * (len(words) - 2)
    words[2] = 0x10000000 | (distance & 3) << 29 | (distance >> 2) << 5 | 1  # adr x1, sigaction
    return struct.pack(f"<{len(words)}I", *words) + _SIGACTION


def pause_program(machine: str = "") -> bytes:
    """The ELF file for `machine` (platform.machine() by default). Raises KeyError for one that is not known."""
    elf_machine, code = {"x86_64": (62, _x86_64), "aarch64": (183, _aarch64)}[machine or platform.machine()]
    text = code()
    header = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header += struct.pack("<HHIQQQIHHHHHH", 2, elf_machine, 1, _BASE + _HEADER, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    size = _HEADER + len(text)
    load = struct.pack("<IIQQQQQQ", _PT_LOAD, _R | _X, 0, _BASE, _BASE, size, size, 0x10000)
    stack = struct.pack("<IIQQQQQQ", _PT_GNU_STACK, _R | _W, 0, 0, 0, 0, 0, 16)
    return header + load + stack + text
