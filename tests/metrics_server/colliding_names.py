# SPDX-License-Identifier: MIT
"""colliding_names COUNT: texts of one length that std::hash of libstdc++ (MurmurHash64A) takes for the same, one a line.
Each has three parts, whichever of each place leads the hash from one state to the same next one."""

import itertools
import struct
import sys

MASK, M = (1 << 64) - 1, 0xC6A4A7935BD1E995
INVERSE = pow(M, -1, 1 << 64)
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def mixed(k):
    k = k * M & MASK
    return (k ^ k >> 47) * M & MASK


def unmixed(k):
    k = k * INVERSE & MASK
    return (k ^ k >> 47) * INVERSE & MASK


def parts(state, target, count):
    found, number = [], 0
    while len(found) < count:
        number += 1
        first = bytes(LETTERS[number >> 6 * i & 63] for i in range(8))
        after = (state ^ mixed(struct.unpack("<Q", first)[0])) * M & MASK
        second = struct.pack("<Q", unmixed(after ^ target * INVERSE & MASK))
        if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in second):
            found.append((first + second).decode())
    return found


count = int(sys.argv[1])
each = next(n for n in range(1, 1000) if n ** 3 >= count)
state, places = (0xC70F6907 ^ 48 * M) & MASK, []
for target in (1, 2, 3):
    places.append(parts(state, target, each))
    state = target
for line in itertools.islice(itertools.product(*places), count):
    print("".join(line))
