"""The header fields that a browser sends."""

from __future__ import annotations

COOKIE = (
    "session=7f3c1e9ab2d84c5fa06d1b7e3c9f8a42; theme=dark; consent=analytics%3Dfalse; _ga=GA1.1.1234567890.1700000000"
)
# A fetch() made by Chrome, without Host and Connection.
FIELDS = (
    ("sec-ch-ua-platform", '"Linux"'),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("sec-ch-ua", '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'),
    ("sec-ch-ua-mobile", "?0"),
    ("Accept", "application/json, text/plain, */*"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
    ("Referer", "https://app.example.com/dashboard/orders?page=2"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Cookie", COOKIE),
)
# With `host`, which the server adds for `:authority`, the application gets 14 as well.
HTTP2_FIELDS = (*((name.lower(), value) for name, value in FIELDS), ("priority", "u=1, i"))
