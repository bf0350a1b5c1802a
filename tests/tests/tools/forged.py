"""A TCP peer that says what no kernel would, to a card's echo service.

Arguments: interface, an address of the link that nobody has, the card's address. Prints a line a case, which begins
with "ok" or "not ok"; its exit status is how many are not.
"""

import select
import socket
import sys
import time

from scapy.config import conf
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import (
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.utils6 import in6_getnsma, in6_getnsmac

INTERFACE, OWN, CARD = sys.argv[1:4]
IS_V6 = ":" in CARD
ECHO = 7
# How long a card that answers at all takes at most, and how long silence is listened to.
ANSWER_SECS, SILENCE_SECS = 5.0, 0.1
EVERYTHING = 2**32


class Link:
    """The link as a host with a hardware address, an IP address and nothing else."""

    def __init__(self):
        self.socket = conf.L2socket(iface=INTERFACE)
        # An address of its own: the kernel takes nothing that goes there.
        self.hardware = "02:68:70:62:00:66" if IS_V6 else "02:68:70:62:00:44"
        self.card_hardware = None
        self.port = 50000
        self.resolve()

    def frames(self, secs):
        """Yields what comes in that time, and answers who asks for this host."""
        end = time.monotonic() + secs
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return
            frame = self.socket.recv()
            if frame is None or frame.src == self.hardware:
                continue
            if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == OWN:
                reply = ARP(op=2, hwsrc=self.hardware, psrc=OWN, hwdst=frame.src, pdst=frame[ARP].psrc)
                self.socket.send(Ether(src=self.hardware, dst=frame.src) / reply)
            elif ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == OWN:
                reply = IPv6(src=OWN, dst=frame[IPv6].src, hlim=255) / ICMPv6ND_NA(tgt=OWN, R=0, S=1, O=1)
                reply /= ICMPv6NDOptDstLLAddr(lladdr=self.hardware)
                self.socket.send(Ether(src=self.hardware, dst=frame.src) / reply)
            else:
                yield frame

    def resolve(self):
        if IS_V6:
            group = in6_getnsma(socket.inet_pton(socket.AF_INET6, CARD))
            question = IPv6(src=OWN, dst=socket.inet_ntop(socket.AF_INET6, group), hlim=255)
            question /= ICMPv6ND_NS(tgt=CARD) / ICMPv6NDOptSrcLLAddr(lladdr=self.hardware)
            self.socket.send(Ether(src=self.hardware, dst=in6_getnsmac(group)) / question)
        else:
            question = ARP(op=1, hwsrc=self.hardware, psrc=OWN, pdst=CARD)
            self.socket.send(Ether(src=self.hardware, dst="ff:ff:ff:ff:ff:ff") / question)
        for frame in self.frames(ANSWER_SECS):
            if ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == CARD:
                self.card_hardware = frame[ARP].hwsrc
                return
            if ICMPv6ND_NA in frame and frame[ICMPv6ND_NA].tgt == CARD:
                self.card_hardware = frame.src
                return
        sys.exit(f"not ok: {CARD} does not answer")

    def ip(self, **fields):
        return IPv6(src=OWN, dst=CARD, **fields) if IS_V6 else IP(src=OWN, dst=CARD, **fields)

    def send(self, packet):
        self.socket.send(Ether(src=self.hardware, dst=self.card_hardware) / packet)

    def heard(self, port, secs):
        """Yields TCP segments of the card's to a port of ours."""
        for frame in self.frames(secs):
            ip = frame.getlayer(IPv6 if IS_V6 else IP)
            if ip is None or TCP not in ip or (ip.src, ip.dst) != (CARD, OWN):
                continue
            if (ip[TCP].sport, ip[TCP].dport) == (ECHO, port):
                yield ip[TCP]

    def next_port(self):
        self.port += 1
        return self.port


class Session:
    """A session with the echo service; offsets count the bytes of either direction from zero."""

    def __init__(self, link):
        self.link, self.port = link, link.next_port()
        self.isn = 4_294_967_290  # So that every session passes the wrap.
        syn = TCP(sport=self.port, dport=ECHO, flags="S", seq=self.isn, window=65535, options=[("MSS", 1460)])
        link.send(link.ip() / syn)
        answer = next(link.heard(self.port, ANSWER_SECS), None)
        assert answer is not None and answer.flags == "SA", f"no SYN|ACK but {answer!r}"
        self.card_isn = answer.seq
        self.sent = self.taken = 0
        self.segment("A", 0)

    def tcp(self, flags, offset, **fields):
        seq, ack = (self.isn + 1 + offset) % EVERYTHING, (self.card_isn + 1 + self.taken) % EVERYTHING
        return TCP(sport=self.port, dport=ECHO, flags=flags, seq=seq, ack=ack, window=65535, **fields)

    def segment(self, flags, offset, payload=b"", **fields):
        segment = self.tcp(flags, offset, **fields)
        self.link.send(self.link.ip() / (segment / Raw(payload) if payload else segment))

    def say(self, offset, payload):
        self.segment("PA", offset, payload)
        self.sent = max(self.sent, offset + len(payload))

    def hear(self, length):
        """The next bytes of the echo."""
        parts = {}
        came = lambda: b"".join(parts[at] for at in sorted(parts))
        for segment in self.link.heard(self.port, ANSWER_SECS):
            assert "R" not in segment.flags, "reset"
            payload = bytes(segment.payload)[: payload_len(segment)]
            at = (segment.seq - self.card_isn - 1) % EVERYTHING
            if payload and at >= self.taken:
                parts[at] = payload
            if len(came()) >= length:
                break
        self.taken += len(came())
        self.segment("A", self.sent)
        assert len(came()) == length, f"{len(came())} bytes of {length}: {came()!r}"
        return came()

    def is_silent(self):
        return next(self.link.heard(self.port, SILENCE_SECS), None) is None

    def close(self):
        self.segment("R", self.sent)


def payload_len(segment):
    """Without the padding of a short frame."""
    whole = segment.underlayer
    ip_len = whole.plen if IS_V6 else whole.len - whole.ihl * 4
    return ip_len - segment.dataofs * 4


def wrong_checksum(packet):
    packet[TCP].chksum = packet.__class__(bytes(packet))[TCP].chksum ^ 0x0101
    return packet


def stray(**fields):
    """A segment of no session."""
    def make(link, port):
        return link.ip() / TCP(sport=port, dport=ECHO, seq=1000, **fields)
    return make


def strays():
    """Cases that get no answer: what they are and how they are made."""
    yield "a SYN with a bad checksum", lambda link, port: wrong_checksum(stray(flags="S")(link, port))
    yield "SYN and FIN", stray(flags="SF")
    yield "SYN and RST", stray(flags="SR")
    yield "all flags", stray(flags="FSRPAU")
    yield "no flags", stray(flags=0)
    yield "FIN", stray(flags="F")
    yield "FIN, PSH and URG", stray(flags="FPU")
    yield "an ACK of nothing", stray(flags="A", ack=77)
    yield "data of no session", lambda link, port: stray(flags="PA", ack=77)(link, port) / Raw(b"data")
    yield "a TCP header of 12 bytes", stray(flags="S", dataofs=3)
    yield "a TCP header longer than its packet", stray(flags="S", dataofs=15)
    yield "options that break off", lambda link, port: link.ip() / TCP(
        sport=port, dport=9999, flags="S", options=[(253, b"\x00" * 34)])
    if IS_V6:
        yield "a packet shorter than it says", lambda link, port: link.ip(plen=400) / TCP(
            sport=port, dport=ECHO, flags="S")
        yield "a header that nobody knows", lambda link, port: link.ip(nh=253) / TCP(sport=port, dport=ECHO, flags="S")
    else:
        yield "an IP header of 16 bytes", lambda link, port: link.ip(ihl=4) / TCP(sport=port, dport=ECHO, flags="S")
        yield "an IP header longer than its packet", lambda link, port: link.ip(ihl=15) / TCP(
            sport=port, dport=ECHO, flags="S")
        yield "a packet longer than it says", lambda link, port: link.ip(len=30) / TCP(
            sport=port, dport=ECHO, flags="S")
        yield "a packet shorter than it says", lambda link, port: link.ip(len=400) / TCP(
            sport=port, dport=ECHO, flags="S")


def fragments(link, packet):
    """The packet's payload in fragments of eight bytes."""
    whole = bytes(packet.__class__(bytes(packet)).payload)
    last = (len(whole) - 1) // 8
    for number in range(last + 1):
        part = Raw(whole[number * 8 : number * 8 + 8])
        if IS_V6:
            yield link.ip(nh=44) / IPv6ExtHdrFragment(nh=6, id=7, offset=number, m=int(number < last)) / part
        else:
            yield link.ip(proto=6, id=7, frag=number, flags="MF" if number < last else 0) / part


def overlaps_that_agree(link):
    session = Session(link)
    session.say(0, b"abcdefgh")
    session.say(4, b"efghijkl")
    assert session.hear(12) == b"abcdefghijkl"
    session.say(0, b"abcdefghijkl")
    session.say(16, b"qrst")
    session.say(10, b"klmnopqr")
    assert session.hear(8) == b"mnopqrst"
    session.close()


def overlaps_that_differ(link):
    session = Session(link)
    session.say(4, b"EFGH")
    session.say(2, b"cdXY")
    session.say(0, b"ab")
    first = session.hear(8)
    assert first in (b"abcdEFGH", b"abcdXYGH"), first
    # What was delivered is not changed any more.
    session.say(0, b"01234567ij")
    assert session.hear(2) == b"ij"
    session.close()


def nonsense_inside_a_session(link):
    session = Session(link)
    # All without RST, which would end it: its number is right.
    for flags in [0, "F", "FPU", "SF", "S", "FSPU", "FSPAU", "SA"]:
        session.segment(flags, 0, b"nonsense")
    for fields in [{"dataofs": 3}, {"dataofs": 15}, {"chksum": 1}]:
        session.segment("PA", 0, b"nonsense", **fields)
    session.say(0, b"sense")
    assert session.hear(5) == b"sense"
    session.close()


def resets_that_only_come_near(link):
    session = Session(link)
    for offset in [1, 100, 60_000, 100_000, -1]:
        session.segment("R", offset)
    session.say(0, b"still here")
    assert session.hear(10) == b"still here"
    session.close()
    assert session.is_silent()
    session.segment("PA", session.sent, b"gone")
    assert session.is_silent(), "the exact reset did not end it"


def tiny_fragments(link):
    port = link.next_port()
    for part in fragments(link, link.ip() / TCP(sport=port, dport=ECHO, flags="S", seq=1)):
        link.send(part)
    assert next(link.heard(port, SILENCE_SECS), None) is None
    session = Session(link)
    for part in fragments(link, link.ip() / session.tcp("PA", 0) / Raw(b"in pieces")):
        link.send(part)
    assert session.is_silent()
    session.say(0, b"in one piece")
    assert session.hear(12) == b"in one piece"
    session.close()


SESSIONS = [
    overlaps_that_agree, overlaps_that_differ, nonsense_inside_a_session, resets_that_only_come_near, tiny_fragments,
]


def main():
    link = Link()
    failed = 0

    def tell(name, problem):
        nonlocal failed
        failed += problem is not None
        print(f"ok {name}" if problem is None else f"not ok {name}: {problem}", flush=True)

    for name, make in strays():
        port = link.next_port()
        link.send(make(link, port))
        answer = next(link.heard(port, SILENCE_SECS), None)
        tell(name, None if answer is None else f"answered by {answer.flags}")
    for case in SESSIONS:
        try:
            case(link)
            tell(case.__name__.replace("_", " "), None)
        except AssertionError as error:
            tell(case.__name__.replace("_", " "), repr(error))
    sys.exit(failed)


main()
