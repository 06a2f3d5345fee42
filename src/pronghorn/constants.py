"""Constants and tables of RFC 9110, 9112 and 6455, shared by both forms of the hot path. No logic."""

from http import HTTPStatus

# The framing of a message's body (RFC 9112 section 6.3).
NO_BODY = 0
LENGTH = 1
CHUNKED = 2
UNTIL_CLOSE = 3
UNTIL_END = 4  # of the stream (RFC 9113 section 8.1)

# Versions, as in `scope["http_version"]`.
HTTP_1_0 = "1.0"
HTTP_1_1 = "1.1"
HTTP_2 = "2"

# Bytes of a chunk's size line with its extensions, which are ignored: enough for real ones, too few for a flood (RFC
# 9112 section 7.1.1).
MAX_CHUNK_LINE = 4096

# Bytes read at a time, so that the pieces of a body stay in the processor's cache.
PIECE_SIZE = 65536

# The least number of sockets, of those that are readable, that one event-loop iteration reads from.
MIN_BATCH = 8

PHRASES = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {code: b"HTTP/1.1 %d %s\r\n" % (code, PHRASES.get(code, "").encode("ascii")) for code in range(200, 600)}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n"
CONNECTION_CLOSE = b"connection: close\r\n"
CONNECTION_KEEP_ALIVE = b"connection: keep-alive\r\n"
TRANSFER_ENCODING_CHUNKED = b"transfer-encoding: chunked\r\n"
CRLF = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"
LAST_CHUNK_BEFORE_TRAILERS = b"0\r\n"

# The only version of WebSocket, and the fields of the 426 response to a request for another (RFC 6455 section 4.4, RFC
# 9110 section 15.5.22).
WEBSOCKET_VERSION = b"13"
UPGRADE_REQUIRED = [(b"upgrade", b"websocket"), (b"sec-websocket-version", WEBSOCKET_VERSION)]

# Fields that frame, route or authenticate a message must not be trailers (RFC 9110 section 6.5.1).
FORBIDDEN_TRAILERS = frozenset(
    (
        b"authorization",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expect",
        b"host",
        b"max-forwards",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"www-authenticate",
    )
)

# In the order in which they are looked up.
COMMON_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE")

# Names in most requests: the compiled scanner returns one shared object for each instead of a new one.
COMMON_FIELD_NAMES = (
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"access-control-request-headers",
    b"access-control-request-method",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-length",
    b"content-type",
    b"cookie",
    b"dnt",
    b"expect",
    b"forwarded",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"origin",
    b"pragma",
    b"priority",
    b"range",
    b"referer",
    b"sec-ch-ua",
    b"sec-ch-ua-mobile",
    b"sec-ch-ua-platform",
    b"sec-fetch-dest",
    b"sec-fetch-mode",
    b"sec-fetch-site",
    b"sec-fetch-user",
    b"te",
    b"traceparent",
    b"tracestate",
    b"transfer-encoding",
    b"upgrade",
    b"upgrade-insecure-requests",
    b"user-agent",
    b"via",
    b"x-api-key",
    b"x-correlation-id",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"x-request-id",
    b"x-requested-with",
)

# Opcodes of WebSocket frames (RFC 6455 section 5.2). NOTHING: bytes are missing. ENOUGH: others have their turn first.
ENOUGH = -3
NOTHING = -1
CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

# Bits of a frame's first byte. COMPRESSED is permessage-deflate's (RFC 7692 section 6).
FIN = 0x80
COMPRESSED = 0x40

# Close codes of WebSockets (RFC 6455 section 7.4.1). NO_CODE and LOST are never sent.
NORMAL = 1000
NO_CODE = 1005
LOST = 1006
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012

# Codes that a close frame may carry in addition to 3000 to 4999.
CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))

RETURNED = object()
"""The result of a step in which a coroutine returned None."""
