"""Tables of HPACK (RFC 7541), shared by both forms of the hot path."""

STATIC_TABLE = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)
"""The entries with the indexes 1 to 61 (appendix A)."""

STATIC_NAMES = {name: STATIC_TABLE.index((name, value)) + 1 for name, value in reversed(STATIC_TABLE)}
"""The lowest index of each name in the static table."""

STATUS_FIELDS = {status: b"\x08\x03%d" % status for status in range(100, 600)}
for _index, (_name, _value) in enumerate(STATIC_TABLE, 1):
    if _name == b":status":
        STATUS_FIELDS[int(_value)] = bytes((0x80 | _index,))
"""The field `:status` of each response, encoded."""

SENSITIVE_FIELDS = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
"""Fields that no intermediary may add to a table, where their values could be guessed (section 7.1.3)."""

# The length in bits of the code of each octet and, at the end, of EOS (appendix B). The codes follow from that: those
# of one length are consecutive, in the order of their symbols.
_CODE_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c"
    "060a0a0c0d06080b0a0a080b080606060505050606060606060607080f060c0a"
    "0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c"
    "1416141416161617161717171717181718181617181717171715161716171718"
    "1615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b"
    "14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
    "1e"
)
_EOS = 256


def huffman_transitions() -> list[tuple[int, int]]:
    """The transitions of a decoder that reads four bits at a time.

    State `s` continues with bits `b` at index `16 * s + b`: the next state, or -1 for a code that must not occur, and
    the octet that these bits complete, or -1. The initial state is 0.
    """
    children = _code_tree()
    transitions = []
    for start in range(len(children)):
        for bits in range(16):
            state, symbol = start, -1
            for shift in (3, 2, 1, 0):
                child = children[state][bits >> shift & 1]
                if child >= 0:
                    state = child
                elif child == ~_EOS:
                    state = -1
                    break
                else:
                    state, symbol = 0, ~child
            transitions.append((state, symbol))
    return transitions


def huffman_ends() -> list[bool]:
    """For each state, whether a string may end in it: after less than eight bits of padding, all ones (section 5.2)."""
    children = _code_tree()
    ends = [False] * len(children)
    state = 0
    for _ in range(8):
        ends[state] = True
        state = children[state][1]
    return ends


def _code_tree() -> list[list[int]]:
    """The inner nodes of the tree of codes, each with its children: the index of another, or `~symbol` for a leaf."""
    children = [[0, 0]]
    code = length = 0
    for size, symbol in sorted((size, symbol) for symbol, size in enumerate(_CODE_LENGTHS)):
        code <<= size - length
        length = size
        node = 0
        for shift in range(size - 1, 0, -1):
            bit = code >> shift & 1
            if not children[node][bit]:
                children[node][bit] = len(children)
                children.append([0, 0])
            node = children[node][bit]
        children[node][code & 1] = ~symbol
        code += 1
    return children
