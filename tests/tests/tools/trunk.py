"""A switch of two ports on TAP interfaces: frames without a tag at one, the same with a VLAN tag at the other.

Arguments: the interface without tags, the one with them, the tag. Prints a line when it is ready.
"""

import fcntl
import os
import select
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
# Two hardware addresses stand before it.
TAG_AT, FRAME_LEN_MAX = 12, 65_536


def tap(name):
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


plain, tagged = tap(sys.argv[1]), tap(sys.argv[2])
tag = struct.pack("!HH", 0x8100, int(sys.argv[3]))
print("ready", flush=True)
while True:
    for device in select.select([plain, tagged], [], [])[0]:
        frame = os.read(device, FRAME_LEN_MAX)
        if device == plain:
            os.write(tagged, frame[:TAG_AT] + tag + frame[TAG_AT:])
        elif frame[TAG_AT : TAG_AT + 4] == tag:
            os.write(plain, frame[:TAG_AT] + frame[TAG_AT + 4 :])
