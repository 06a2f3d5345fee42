"""Checks of a WebSocket server in JavaScript, for browsers and Node: `checks(base)` resolves to the results."""

CHECKS = """
"use strict";

function ended(socket) {
  return new Promise((resolve) => socket.addEventListener("close", (event) => resolve([event.code, event.reason])));
}

function opened(socket) {
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("no handshake")));
  });
}

function next(socket) {
  return new Promise((resolve) => socket.addEventListener("message", (event) => resolve(event.data), {once: true}));
}

async function echoes(base) {
  const socket = new WebSocket(base + "/echo");
  socket.binaryType = "arraybuffer";
  const closed = ended(socket);
  await opened(socket);
  const told = {extensions: socket.extensions, text: [], binary: []};
  for (const text of ["", "short", "ünï\\u{1F98C}", "long ".repeat(100000)]) {
    const answer = next(socket);
    socket.send(text);
    told.text.push(await answer === text);
  }
  for (const size of [0, 125, 126, 65535, 65536, 1 << 20]) {
    const data = new Uint8Array(size).map((_, index) => (index * 7919) >> 3);
    const answer = next(socket);
    socket.send(data);
    const got = new Uint8Array(await answer);
    told.binary.push(got.length === size && got.every((byte, index) => byte === data[index]));
  }
  socket.close(4001, "enough");
  told.closed = await closed;
  return told;
}

async function refused(base, path) {
  try {
    await opened(new WebSocket(base + path));
  } catch (error) {
    return error.message;
  }
  return "opened";
}

async function parted(base, path) {
  return await ended(new WebSocket(base + path));
}

async function chosen(base) {
  const socket = new WebSocket(base + "/greet?subprotocol=second", ["first", "second"]);
  await next(socket);
  const closed = ended(socket);
  socket.close(1000);
  return [socket.protocol, (await closed)[0]];
}

async function checks(base) {
  return {
    echoes: await echoes(base),
    refused: await refused(base, "/refuse?name=script"),
    parted: await parted(base, "/part?name=script&code=4321&reason=b%C3%BCe"),
    failed: await parted(base, "/fail?how=error&when=after"),
    chosen: await chosen(base),
  };
}
"""

PAGE = f"""<!doctype html>
<meta charset="utf-8">
<title>WebSocket checks</title>
<script>{CHECKS}
async function run() {{
  const asked = new URLSearchParams(location.search);
  const told = {{}};
  for (const port of asked.get("ports").split(",")) {{
    try {{
      told[port] = await checks("ws://127.0.0.1:" + port);
    }} catch (error) {{
      told[port] = String(error);
    }}
  }}
  await fetch("/report?name=" + asked.get("name"), {{method: "POST", body: JSON.stringify(told)}});
}}
run();
</script>
"""

SCRIPT = f"""{CHECKS}
checks("ws://127.0.0.1:" + process.argv[2]).then(
  (told) => console.log(JSON.stringify(told)),
  (error) => {{ console.error(error); process.exitCode = 1; }},
);
"""
