#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""check_stack.py OBJECT...: no program and what it calls need more than 512 bytes of stack together.

So it must be for kernels before 6.13, check_max_stack_depth() in kernel/bpf/verifier.c; later ones may give each function a stack of its own, and
would not tell.
"""
import struct
import sys

LIMIT, FRAME_UNIT = 512, 32
R10 = 10
CALL, MOV_REG, ADD_IMM = 0x85, 0xbf, 0x07
LOADS, STORES = (0x61, 0x69, 0x71, 0x79), (0x62, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b, 0xc3, 0xdb)


class Object:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        off, = struct.unpack_from("<Q", self.data, 40)
        size, count, names = struct.unpack_from("<HHH", self.data, 58)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, off + i * size) for i in range(count)]
        self.functions = {}  # (section, instruction) -> (name, instructions)
        self.calls = {}      # (section, instruction) -> symbol
        symbols = []
        for section in self.sections:
            if section[1] == 2:
                strings = self.sections[section[6]]
                symbols = [self.symbol(at, strings) for at in range(section[4], section[4] + section[5], 24)]
        for name, kind, section, value, length in symbols:
            if kind == 2:
                self.functions[section, value // 8] = name, length // 8
        for section in self.sections:
            if section[1] == 9:
                for at in range(section[4], section[4] + section[5], 16):
                    where, info = struct.unpack_from("<QQ", self.data, at)
                    self.calls[section[7], where // 8] = symbols[info >> 32]

    def symbol(self, at, strings):
        name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
        begin = strings[4] + name
        return self.data[begin:self.data.index(b"\0", begin)].decode(), info & 15, section, value, size

    def look(self, function):
        """Bytes of its own stack, and the functions that it calls."""
        section, first = function
        begin = self.sections[section][4]
        depth, callees, copied = 0, set(), None
        for i in range(first, first + self.functions[function][1]):
            op, regs, off, imm = struct.unpack_from("<BBhi", self.data, begin + i * 8)
            if (op in LOADS and regs >> 4 == R10) or (op in STORES and regs & 15 == R10):
                depth = max(depth, -off)
            if op == ADD_IMM and regs & 15 == copied:
                depth = max(depth, -imm)
            copied = regs & 15 if op == MOV_REG and regs >> 4 == R10 else None
            if op == CALL and regs >> 4 == 1:
                symbol = self.calls.get((section, i))
                if symbol is None:
                    callees.add((section, i + imm + 1))
                elif symbol[1] == 3:  # a section: the call says where in it
                    callees.add((symbol[2], symbol[3] // 8 + imm + 1))
                else:
                    callees.add((symbol[2], symbol[3] // 8))
        return depth, callees

    def deepest(self, function):
        depth, callees = self.look(function)
        below, path = max([self.deepest(callee) for callee in callees] or [(0, [])])
        own = max(FRAME_UNIT, (depth + FRAME_UNIT - 1) // FRAME_UNIT * FRAME_UNIT)
        return own + below, ["%s %d" % (self.functions[function][0], depth)] + path


def main():
    wrong = 0
    for path in sys.argv[1:]:
        loaded = Object(path)
        assert loaded.functions, path
        depth, calls = max(loaded.deepest(function) for function in loaded.functions)
        print("%s: up to %d of %d bytes of stack: %s" % (path, depth, LIMIT, " > ".join(calls)))
        wrong += depth > LIMIT
    sys.exit(wrong != 0)


main()
